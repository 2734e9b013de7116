//! What a record costs: a decision that five conditions have to be asked for, and a million records by
//! column, in this process; `FilterRecords` of a hundred rows, and of as many by column, beside one
//! `Authorize`, over gRPC on the same connection.
//!
//! Population: 10,000 users in 100 groups, one object with six declared fields. The conditions do
//! not fold away: a text out of many, a range of doubles, an instant against now, a list that
//! contains a text, and a restriction with a negation. A tenth of all values is null. Mix: users,
//! records and their values uniform; the share of allows is printed: a third, and by column also with
//! other constants, so that a thousandth or most of them pass. A second population, the element instances of
//! `instances`, is asked beside it.
//!
//! Over gRPC one request is in flight at a time, client and server in this process, the kinds in
//! turn, so that what else the machine does meets all. The client is a bare HTTP/2 client that sends
//! prepared bytes, of every kind of call: it is the server that is weighed, not a client's encoding. `cargo bench --bench records`
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench may fail loudly"
)]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use doorward::cli::bench::wire::{Address, ask, connect, framed, head};
use doorward::cli::file::{Known, OrganizationFile};
use doorward::clock::SystemClock;
use doorward::config::{Access, Config, Storage};
use doorward::core::change::{Change, apply};
use doorward::core::decision::{Question, Reason, Record, Resource, decide};
use doorward::core::filter::{Records, filter};
use doorward::core::model::{Grant, Member, Period, Row, Target, Value};
use doorward::core::table::Table;
use doorward::engine::Engine;
use doorward::server::{Bound, serve_with};
use doorward::service;
use doorward::service::proto::decision_service_server::DecisionServiceServer;
use doorward::service::proto::{self, AuthorizeRequest, FilterRecordsRequest, FilterRecordsResponse, column};
use doorward::store::MemoryStore;
use doorward::telemetry::Sampler;
use fastrand::Rng;
use prost::Message;
use serde_json::json;
use tokio::sync::oneshot;

mod instances;
mod measure;
mod running;

use measure::Spread;
use running::write;

const USERS: usize = 10_000;
const GROUPS: usize = 100;
const RECORDS: usize = 100_000;
const ROWS: usize = 100;
const BLOCK: usize = 32;
const CALLS: usize = 3_000;
const REGIONS: [&str; 8] = ["eu-west", "eu-north", "us-east", "us-west", "apac-1", "apac-2", "latam", "mea"];
const TAGS: [&str; 6] = ["urgent", "public", "audit", "vendor", "legal", "internal"];
const WANTED_NS: f64 = 1_000.0;
const WANTED_RATIO: f64 = 3.0;
const WANTED_COLUMNS_RATIO: f64 = 1.5;
const WANTED_COLUMN_NS: f64 = 10.0;
const WANTED_HELD_NS: f64 = 25.0;
const WANTED_PER_SECOND: f64 = 5_000_000.0;
/// Records at which something is held directly, of [`BY_COLUMN`], in the second organization.
const HELD: usize = 10_000;
/// Records by column, asked in calls of as many as there are.
const BY_COLUMN: usize = 1_000_000;
/// Calls by column that are prepared for each of those that are in flight over gRPC.
const PREPARED: usize = 4;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Attributes = BTreeMap<String, Value>;

fn main() {
    println!("cores: {} (shared with whatever else runs)", measure::cores());
    let rows = rows(&POLICIES);
    let table = |rows: &[Row]| {
        let blank = Table::blank("bench".parse().unwrap(), "h".into(), 1);
        let change = Change::Replace { rows: rows.to_vec(), deactivate_missing: false };
        apply(&blank, vec![change]).map(|a| a.table).unwrap_or_else(|e| panic!("{e:?}"))
    };
    let third = table(&rows);
    let mut rng = Rng::with_seed(5);
    let now = now();
    let records: Vec<(String, Attributes)> =
        (0..RECORDS).map(|n| (format!("r-{n}"), attributes(&mut rng, now))).collect();
    in_process(&third, &records, now);
    let sent = by_column(&records);
    columns_in_process("none of them held", &third, &sent, now, WANTED_COLUMN_NS);
    for (what, policies) in [("sparse", &SPARSE), ("dense", &DENSE)] {
        let what = format!("none of them held, {what}");
        columns_in_process(&what, &table(&self::rows(policies)), &sent, now, WANTED_COLUMN_NS);
    }
    // Of those that are sent, as many as of a million: one in a hundred.
    let held = (0..HELD).map(|n| grant_at(&format!("r-{}", n * (BY_COLUMN / HELD)))).collect();
    let held = table(&[rows.clone(), held].concat());
    columns_in_process("something held at 10000 of 1000000", &held, &sent, now, WANTED_HELD_NS);
    instances::measure(now);
    over_grpc(rows, &records, &sent);
}

fn grant_at(record: &str) -> Row {
    Row::Grant(Grant {
        permission: "records.read".parse().unwrap(),
        member: Member::User("u1".parse().unwrap()),
        target: Target::Record("app".parse().unwrap(), record.parse().unwrap()),
        period: Period::default(),
    })
}

/// All records as a message has them by column: texts sent once where they repeat.
fn by_column(records: &[(String, Attributes)]) -> proto::RecordColumns {
    fn once(texts: impl Iterator<Item = String>) -> proto::StringColumn {
        let (mut numbers, mut column) = (BTreeMap::new(), proto::StringColumn::default());
        for text in texts {
            let next = numbers.len() as u32;
            let number = *numbers.entry(text.clone()).or_insert_with(|| {
                column.text.push_str(&text);
                column.lengths.push(text.len() as u32);
                next
            });
            column.indexes.push(number);
        }
        column
    }
    let text = |value: &Value| if let Value::String(text) = value { text.clone() } else { String::new() };
    let column = |name: &str| {
        let values: Vec<&Value> = records.iter().map(|(_, attributes)| &attributes[name]).collect();
        let mut missing = vec![0u8; values.len().div_ceil(8)];
        for (at, _) in values.iter().enumerate().filter(|(_, value)| ***value == Value::Null) {
            missing[at / 8] |= 1 << (at % 8);
        }
        let mut list_lengths = Vec::new();
        let values = match name {
            "region" => column::Values::Strings(once(values.iter().map(|v| text(v)))),
            "tags" => {
                let lists = values.iter().map(|v| if let Value::List(list) = v { list.as_slice() } else { &[] });
                list_lengths = lists.clone().map(|list| list.len() as u32).collect();
                column::Values::Strings(once(lists.flatten().map(text)))
            }
            "amount" => {
                let values = values.iter().map(|v| if let Value::Double(n) = v { *n } else { 0.0 }).collect();
                column::Values::Doubles(proto::DoubleColumn { values })
            }
            "due" => {
                let unix_millis = values.iter().map(|v| if let Value::Timestamp(n) = v { *n } else { 0 }).collect();
                column::Values::Timestamps(proto::TimestampColumn { unix_millis })
            }
            "open" => {
                let values = values.iter().map(|v| **v == Value::Bool(true)).collect();
                column::Values::Bools(proto::BoolColumn { values })
            }
            _ => {
                let values = values.iter().map(|v| if let Value::Int(n) = v { *n } else { 0 }).collect();
                column::Values::Ints(proto::IntColumn { values })
            }
        };
        proto::Column { name: name.to_owned(), missing, list_lengths, values: Some(values) }
    };
    let ids = proto::StringColumn {
        text: records.iter().map(|(id, _)| id.as_str()).collect(),
        lengths: records.iter().map(|(id, _)| id.len() as u32).collect(),
        indexes: Vec::new(),
    };
    let attributes = ["amount", "due", "level", "open", "region", "tags"].map(column).into();
    proto::RecordColumns { ids: Some(ids), owners: None, accounts: None, attributes }
}

fn columns_in_process(what: &str, table: &Table, sent: &proto::RecordColumns, now: i64, wanted: f64) {
    let columns = service::columns(sent).unwrap();
    for run in 1..=3 {
        let (mut spread, mut passed) = (Spread::default(), 0);
        for call in 0..BY_COLUMN / RECORDS {
            let question = Question {
                principal: &format!("u{}", call * 17 + run),
                permission: "records.read",
                resource: Resource { object: "app", ..Resource::default() },
                ..Question::default()
            };
            let start = Instant::now();
            passed += black_box(filtered(table, &question, Records::Columns(&columns), now));
            spread.add(start.elapsed().as_nanos() as f64 / RECORDS as f64);
        }
        let met = if spread.at(0.5) <= wanted { "met" } else { "NOT MET" };
        println!(
            "run {run}: {BY_COLUMN} records by column, five conditions, {what}: {:.2} ns a record (median of calls of {RECORDS}), {:.1}% pass (wanted ≤ {wanted} ns: {met})",
            spread.at(0.5),
            100.0 * passed as f64 / BY_COLUMN as f64
        );
    }
}

/// How many pass, with their positions made known.
fn filtered(table: &Table, question: &Question<'_>, records: Records<'_>, now: i64) -> usize {
    let all = filter(table, question, &[question.permission], records, now).unwrap();
    all.iter().map(|one| black_box(one.positions().collect::<Vec<_>>()).len()).sum()
}

/// Policies by id, effect and condition.
type Policies = [(&'static str, &'static str, &'static str); 5];
const CLOSED: (&str, &str, &str) = ("closed", "restrict", "!(record.open && record.level < 9)");
const POLICIES: Policies = [
    ("region", "allow", "record.region in ['apac-1', 'apac-2', 'latam', 'mea'] && record.level > 8"),
    ("amount", "allow", "record.amount >= 900.0 && record.amount < 950.0"),
    ("due", "allow", "record.due < now - duration('300h')"),
    ("tags", "allow", "'legal' in record.tags || 'audit' in record.tags"),
    CLOSED,
];
const SPARSE: Policies = [
    ("region", "allow", "record.region in ['apac-1', 'apac-2', 'latam', 'mea'] && record.level > 8"),
    ("amount", "allow", "record.amount >= 900.0 && record.amount < 900.9"),
    ("due", "allow", "record.due < now - duration('399h42m')"),
    ("tags", "allow", "'none' in record.tags || 'nothing' in record.tags"),
    CLOSED,
];
const DENSE: Policies = [
    ("region", "allow", "record.region in ['apac-1', 'apac-2', 'latam', 'mea'] && record.level > 1"),
    ("amount", "allow", "record.amount >= 100.0 && record.amount < 950.0"),
    ("due", "allow", "record.due < now - duration('30h')"),
    ("tags", "allow", "'legal' in record.tags || 'audit' in record.tags"),
    ("closed", "restrict", "!(record.open || record.level < 9)"),
];

/// The organization, as a file would have it.
fn rows(policies: &Policies) -> Vec<Row> {
    let users: Vec<_> = (0..USERS)
        .map(|n| {
            let regions = [REGIONS[n % REGIONS.len()], REGIONS[n / REGIONS.len() % REGIONS.len()]];
            json!({"id": format!("u{n}"), "email": format!("u{n}@acme.com"), "attributes": {"regions": regions, "limit": 500.0}})
        })
        .collect();
    let groups: Vec<_> = (0..GROUPS)
        .map(|g| {
            let members: Vec<_> = (g..USERS).step_by(GROUPS).map(|n| format!("user:u{n}")).collect();
            json!({"id": format!("g{g}"), "kind": "manual", "members": members, "visibility": ["data_access"]})
        })
        .collect();
    let everyone: Vec<_> = (0..GROUPS).map(|g| format!("group:g{g}")).collect();
    let policy = |id: &str, effect: &str, condition: &str| json!({"id": id, "object": "app", "effect": effect, "members": everyone, "condition": condition});
    let file = json!({
        "organization": "bench",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}],
        "permissions": [{"name": "records.read", "requires_visibility": true}],
        "objects": [{"id": "app", "kind": "app", "fields": {
            "region": "string", "amount": "double", "due": "timestamp", "tags": "list<string>", "open": "bool", "level": "int",
        }}],
        "users": users,
        "groups": groups,
        "grants": [{"permissions": ["records.read"], "member": "group:all-users"}],
        "data_access": policies.map(|(id, effect, condition)| policy(id, effect, condition)),
    });
    OrganizationFile::parse(&file.to_string(), "bench.json", Known::of).unwrap_or_else(|e| panic!("{e}")).rows
}

fn now() -> i64 {
    use doorward::clock::Clock;
    SystemClock.now()
}

fn attributes(rng: &mut Rng, now: i64) -> Attributes {
    let text = |text: &str| Value::String(text.to_owned());
    let values = [
        ("region", text(REGIONS[rng.usize(..8)])),
        ("amount", Value::Double(rng.f64() * 1_000.0)),
        ("due", Value::Timestamp(now - rng.i64(0..1_440_000_000))),
        ("tags", Value::List((0..rng.usize(0..4)).map(|_| text(TAGS[rng.usize(..6)])).collect())),
        ("open", Value::Bool(rng.u8(0..10) > 0)),
        ("level", Value::Int(rng.i64(0..10))),
    ];
    let null = |(name, value): (&str, Value)| {
        let value = if rng.u8(0..10) == 0 { Value::Null } else { value };
        (name.to_owned(), value)
    };
    values.into_iter().map(null).collect()
}

fn in_process(table: &Table, records: &[(String, Attributes)], now: i64) {
    let mut rng = Rng::with_seed(6);
    let users: Vec<String> = (0..records.len()).map(|_| format!("u{}", rng.usize(..USERS))).collect();
    let record = |n: usize| Record { id: &records[n].0, attributes: &records[n].1, ..Record::default() };
    let question = |n: usize, record| Question {
        principal: &users[n],
        permission: "records.read",
        resource: Resource { object: "app", record, ..Resource::default() },
        ..Question::default()
    };
    for run in 1..=3 {
        let (mut spread, mut allowed) = (Spread::default(), 0);
        for block in 0..records.len() / BLOCK {
            let start = Instant::now();
            for n in block * BLOCK..(block + 1) * BLOCK {
                let asked = decide(table, &question(n, Some(record(n))), now).unwrap();
                allowed += usize::from(black_box(asked) == Reason::Allowed);
            }
            spread.add(start.elapsed().as_nanos() as f64 / BLOCK as f64);
        }
        let met = if spread.at(0.5) <= WANTED_NS { "met" } else { "NOT MET" };
        let share = 100.0 * allowed as f64 / records.len() as f64;
        println!(
            "run {run}: five conditions: {} ns a decision, {share:.0}% allowed (wanted ≤ {WANTED_NS} ns: {met})",
            spread.line()
        );
    }
    let mut spread = Spread::default();
    for chunk in 0..records.len() / ROWS {
        let start = Instant::now();
        let rows: Vec<_> = (chunk * ROWS..(chunk + 1) * ROWS).map(record).collect();
        black_box(filtered(table, &question(chunk, None), Records::Rows(&rows), now));
        spread.add(start.elapsed().as_nanos() as f64 / ROWS as f64);
    }
    println!("filter of {ROWS} rows: {} ns a row", spread.line());
}

fn over_grpc(rows: Vec<Row>, records: &[(String, Attributes)], columns: &proto::RecordColumns) {
    let control = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let fatal = |error| panic!("{error}");
    let engine = Engine::open(Arc::new(MemoryStore::new()), Arc::new(SystemClock), fatal).unwrap();
    let engine = Arc::new(engine);
    control.block_on(write(&engine, "bench", Change::Replace { rows, deactivate_missing: false }));
    let config = Config {
        storage: Storage::Memory,
        access: Access::Tokens { files: Vec::new(), first: Some(folder.path().join("token")) },
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        unix: None,
        address_file: None,
        workers: Some(1),
        drain_delay: Duration::ZERO,
        drain_timeout: Duration::from_secs(1),
    };
    let decisions = DecisionServiceServer::new(service::Decisions::new(Arc::clone(&engine)));
    let (ready, bound) = oneshot::channel();
    let (_stop, stopped) = oneshot::channel::<()>();
    control.spawn(async move {
        let ready = move |bound: Bound| drop(ready.send(bound.tcp[0].to_string()));
        serve_with(&config, &engine, decisions, Sampler::off(), ready, async { drop(stopped.await) }).await.unwrap();
    });
    let address = control.block_on(bound).unwrap();
    let token = std::fs::read_to_string(folder.path().join("token")).unwrap();
    let client = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    client.block_on(measure_calls(&address, token.trim(), records, columns));
}

async fn measure_calls(address: &str, token: &str, records: &[(String, Attributes)], columns: &proto::RecordColumns) {
    let address = Address::Tcp(address.to_owned());
    let client = connect(&address).await.unwrap();
    let authorization = format!("Bearer {token}").parse().unwrap();
    let [authorize, filter] =
        ["Authorize", "FilterRecords"].map(|method| head(&address, method, Some(&authorization)).unwrap());
    let sent = |(id, attributes): &(String, Attributes)| proto::Record {
        id: id.clone(),
        attributes: attributes.iter().map(|(n, v)| (n.clone(), service::to_value(v.clone()))).collect(),
        ..proto::Record::default()
    };
    let (mut single, mut many, mut passed) = (Spread::default(), Spread::default(), 0);
    let mut few = Spread::default();
    for n in 0..CALLS {
        let rows = &records[n * ROWS % (RECORDS - ROWS)..][..ROWS];
        let (organization, object, permission) = ("bench".to_owned(), "app".to_owned(), "records.read".to_owned());
        let principal = format!("user:u{}", n * 7 % USERS);
        let one = framed(&AuthorizeRequest {
            organization: organization.clone(),
            principal: principal.clone(),
            permission: permission.clone(),
            resource: Some(proto::Resource {
                object: object.clone(),
                record: Some(sent(&rows[0])),
                ..proto::Resource::default()
            }),
            ..AuthorizeRequest::default()
        });
        let all = FilterRecordsRequest {
            organization,
            principal,
            permission,
            object,
            records: rows.iter().map(sent).collect(),
            ..FilterRecordsRequest::default()
        };
        let by_column =
            framed(&FilterRecordsRequest { records: Vec::new(), columns: Some(self::by_column(rows)), ..all.clone() });
        let all = framed(&all);
        let started = Instant::now();
        ask(&client, &authorize, one).await.unwrap();
        let between = Instant::now();
        let of_rows = ask(&client, &filter, all).await.unwrap();
        let then = Instant::now();
        let of_columns = ask(&client, &filter, by_column).await.unwrap();
        let ended = Instant::now();
        let [of_rows, of_columns] =
            [of_rows, of_columns].map(|reply| FilterRecordsResponse::decode(reply).unwrap().positions);
        assert_eq!(of_rows, of_columns, "rows and columns");
        passed += of_rows.len();
        // The first calls warm caches and the connection.
        if n >= CALLS / 10 {
            single.add((between - started).as_nanos() as f64 / 1e3);
            many.add((then - between).as_nanos() as f64 / 1e3);
            few.add((ended - then).as_nanos() as f64 / 1e3);
        }
    }
    let ratio = many.at(0.5) / single.at(0.5);
    let met = if ratio <= WANTED_RATIO { "met" } else { "NOT MET" };
    println!("Authorize with a record, one in flight, in µs: {}", single.line());
    println!(
        "FilterRecords of {ROWS} rows with six attributes, in µs: {}; {:.0}% pass",
        many.line(),
        100.0 * passed as f64 / (CALLS * ROWS) as f64
    );
    println!("FilterRecords takes {ratio:.2} times one Authorize (wanted ≤ {WANTED_RATIO}: {met})");
    let ratio = few.at(0.5) / single.at(0.5);
    let met = if ratio <= WANTED_COLUMNS_RATIO { "met" } else { "NOT MET" };
    println!("the same by column, in µs: {}", few.line());
    println!("that is {ratio:.2} times one Authorize (wanted ≤ {WANTED_COLUMNS_RATIO}: {met})");
    // Of two clients, whose principals differ.
    let prepared = [0, 1].map(|first| {
        let call = |n: usize| FilterRecordsRequest {
            organization: "bench".to_owned(),
            principal: format!("user:u{}", first + n * 2),
            permission: "records.read".to_owned(),
            object: "app".to_owned(),
            positions_only: true,
            columns: Some(columns.clone()),
            ..FilterRecordsRequest::default()
        };
        (0..PREPARED).map(|n| framed(&call(n))).collect::<Vec<Bytes>>()
    });
    let started = Instant::now();
    let calls = |prepared: Vec<Bytes>| {
        let (client, filter) = (&client, &filter);
        async move {
            let mut filtered = 0;
            while started.elapsed() < Duration::from_secs(4) {
                ask(client, filter, prepared[filtered / RECORDS % PREPARED].clone()).await.unwrap();
                filtered += RECORDS;
            }
            filtered
        }
    };
    // The client sends one call while the server answers another.
    let [one, other] = prepared.map(calls);
    let (one, other) = tokio::join!(one, other);
    let filtered = one + other;
    let rate = filtered as f64 / started.elapsed().as_secs_f64();
    let met = if rate >= WANTED_PER_SECOND { "met" } else { "NOT MET" };
    println!(
        "{:.2} million records a second by column, {RECORDS} a call, two calls at a time, the client beside it (wanted ≥ {:.0}: {met})",
        rate / 1e6,
        WANTED_PER_SECOND / 1e6
    );
}
