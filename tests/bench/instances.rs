//! The second population of the bench `records`: element instances of mixed owners and accounts (rule 4.6), as the
//! integration platform filters them. 9,000 users in three accounts, who have the role that the rule gives; every third also sees
//! what others of its account own. An element's 100,000 instances: owner uniform, in the owner's account.

use std::hint::black_box;
use std::time::Instant;

use doorward::cli::file::{Known, OrganizationFile};
use doorward::core::change::{Change, apply};
use doorward::core::decision::{Question, Reason, Record, Resource, decide};
use doorward::core::filter::Records;
use doorward::core::table::Table;
use doorward::service;
use doorward::service::proto;
use fastrand::Rng;
use serde_json::json;

use crate::filtered;
use crate::measure::Spread;

const ACCOUNTS: [&str; 3] = ["main", "emea", "apac"];
const USERS: usize = 9_000;
const INSTANCES: usize = 100_000;
const ROWS: usize = 100;
const CALLS: usize = 1_000;

/// Where a user belongs.
fn account(user: usize) -> &'static str {
    ACCOUNTS[user % ACCOUNTS.len()]
}

fn table() -> Table {
    let users: Vec<_> = (0..USERS)
        .map(|n| json!({"id": format!("u{n}"), "email": format!("u{n}@acme.com"), "account": account(n)}))
        .collect();
    // Every third user of each account.
    let viewers: Vec<_> = (0..USERS)
        .filter(|n| (n / ACCOUNTS.len()).is_multiple_of(3))
        .map(|n| json!({"role": "viewer", "member": format!("user:u{n}"), "account": account(n)}))
        .collect();
    let file = json!({
        "organization": "instances",
        "preset": "integration",
        "accounts": [{"id": "main", "default": true}, {"id": "emea"}, {"id": "apac"}],
        "objects": [{"id": "salesforce", "kind": "element"}],
        "users": users,
        "roles": [{"id": "viewer", "scope": "account", "permissions": ["element_instances.view_account"]}],
        "assignments": viewers,
    });
    let file =
        OrganizationFile::parse(&file.to_string(), "instances.json", Known::of).unwrap_or_else(|e| panic!("{e}"));
    let blank = Table::blank("instances".parse().unwrap(), "h".into(), 1);
    let change = Change::Replace { rows: file.rows, deactivate_missing: false };
    apply(&blank, vec![change]).map(|a| a.table).unwrap_or_else(|e| panic!("{e:?}"))
}

/// The instances' ids and owners.
fn instances(rng: &mut Rng) -> Vec<(String, String, &'static str)> {
    let instance = |n| {
        let owner = rng.usize(..USERS);
        (format!("i-{n}"), format!("u{owner}"), account(owner))
    };
    (0..INSTANCES).map(instance).collect()
}

/// As a message has them: owners end to end, each account once.
fn by_column(instances: &[(String, String, &'static str)]) -> proto::RecordColumns {
    fn texts<'t>(texts: impl Iterator<Item = &'t str>) -> proto::StringColumn {
        let mut column = proto::StringColumn::default();
        for text in texts {
            column.text.push_str(text);
            column.lengths.push(text.len() as u32);
        }
        column
    }
    let number = |name: &str| ACCOUNTS.iter().position(|account| *account == name).unwrap() as u32;
    let indexes = instances.iter().map(|(.., account)| number(account)).collect();
    proto::RecordColumns {
        ids: Some(texts(instances.iter().map(|(id, ..)| id.as_str()))),
        owners: Some(texts(instances.iter().map(|(_, owner, _)| owner.as_str()))),
        accounts: Some(proto::StringColumn { indexes, ..texts(ACCOUNTS.into_iter()) }),
        attributes: Vec::new(),
    }
}

/// Decisions, rows and columns, in this process.
pub fn measure(now: i64) {
    let table = table();
    let mut rng = Rng::with_seed(7);
    let instances = instances(&mut rng);
    let sent = by_column(&instances);
    let columns = service::columns(&sent).unwrap();
    let users: Vec<String> = (0..CALLS).map(|_| format!("u{}", rng.usize(..USERS))).collect();
    let question = |call: usize| Question {
        principal: &users[call % CALLS],
        permission: "element_instances.view",
        resource: Resource { object: "salesforce", ..Resource::default() },
        ..Question::default()
    };
    println!("population: {INSTANCES} element instances of {USERS} owners in {} accounts", ACCOUNTS.len());
    for run in 1..=3 {
        let (mut single, mut rows, mut all) = (Spread::default(), Spread::default(), Spread::default());
        let (mut allowed, mut passed, mut found) = (0, 0, 0);
        for call in 0..CALLS {
            let at = call * ROWS % (INSTANCES - ROWS);
            let records: Vec<Record<'_>> = instances[at..at + ROWS]
                .iter()
                .map(|(id, owner, account)| Record { id, owner, account, ..Record::default() })
                .collect();
            let question = question(call);
            let start = Instant::now();
            for record in &records {
                let resource = Resource { record: Some(*record), ..question.resource };
                let decided = decide(&table, &Question { resource, ..question }, now).unwrap();
                allowed += usize::from(black_box(decided) == Reason::Allowed);
            }
            single.add(start.elapsed().as_nanos() as f64 / ROWS as f64);
            let start = Instant::now();
            passed += black_box(filtered(&table, &question, Records::Rows(&records), now));
            rows.add(start.elapsed().as_nanos() as f64 / ROWS as f64);
        }
        assert_eq!(allowed, passed, "decisions and rows");
        for call in 0..CALLS / 50 {
            let start = Instant::now();
            found += black_box(filtered(&table, &question(call * 50 + run), Records::Columns(&columns), now));
            all.add(start.elapsed().as_nanos() as f64 / INSTANCES as f64);
        }
        println!(
            "run {run}: element instances of mixed owners and accounts: {:.0} ns a decision; {:.1} ns a row in calls of {ROWS}, {:.1}% pass; {:.2} ns a record by column in calls of {INSTANCES}, {:.1}% pass (medians)",
            single.at(0.5),
            rows.at(0.5),
            100.0 * passed as f64 / (CALLS * ROWS) as f64,
            all.at(0.5),
            100.0 * found as f64 / (CALLS / 50 * INSTANCES) as f64
        );
    }
}
