//! Rule 2.6 at size: a domain goes, on which 50,000 memberships depend.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use doorward::core::change::Change;
use doorward::core::decision::{Question, Reason, Walk};
use doorward::core::model::{Key, Row};
use doorward::engine::Outcome;
use doorward::service::proto as pb;
use doorward::service::proto::organization_service_server::OrganizationService;
use doorward::service::{Admin, Caller, OnBehalfOf};
use serde_json::json;
use tonic::Request;

use crate::support::{call, rows};
use crate::{engine, met};

const USERS: usize = 100_000;
/// On two cores; told, not asserted.
const ALLOWED: Duration = Duration::from_secs(1);

/// Rule 2.6: half of the users leave a dynamic group, in one revision, while decisions go on. It is the RPC's
/// own way, from the request to the disk and back: whether the caller may, what the change hands out, who is left to
/// administer, and the report of all that moved are in its time, which is printed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m2_6_a_domain_that_fifty_thousand_memberships_depend_on_goes_in_one_revision() {
    let dir = tempfile::tempdir().unwrap();
    let engine = engine(dir.path());
    let admin = Admin::new(Arc::clone(&engine));
    let domain = |n: usize| if n.is_multiple_of(2) { "acme.com" } else { "partner.io" };
    let users: Vec<_> =
        (0..USERS).map(|n| json!({"id": format!("u{n}"), "email": format!("u{n}@{}", domain(n))})).collect();
    let rows = rows(&json!({
        "organization": "acme",
        "preset": "workspace",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}, {"domain": "partner.io", "audience": "external"}],
        "objects": [{"id": "app", "kind": "app"}],
        "users": users,
        "groups": [{"id": "everyone", "kind": "dynamic", "domains": ["acme.com", "partner.io"], "visibility": ["data_access"]}],
        "assignments": [{"role": "organization-admin", "member": "user:u0"}],
        "grants": [
            {"permissions": ["tasks.read"], "member": "group:everyone"},
            {"permissions": ["organization.update"], "member": "user:u2"},
        ],
        "data_access": [{"id": "shows", "object": "app", "effect": "allow", "members": ["group:everyone"]}],
    }));
    let changes = vec![Change::Replace { rows, deactivate_missing: false }];
    engine.write::<(), _, _>(call("acme"), move |_| Ok(changes), |_| Vec::new()).await.unwrap();
    let founded = engine.with_table("acme", None, doorward::core::table::Table::revision).unwrap();

    let stop = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(AtomicU64::new(0));
    let reader = {
        let (engine, stop, rounds) = (Arc::clone(&engine), Arc::clone(&stop), Arc::clone(&rounds));
        std::thread::spawn(move || {
            let (mut seen, mut longest) = ([false; 2], Duration::ZERO);
            while !stop.load(Ordering::Relaxed) {
                let about = |principal| Question { principal, ..Question::default() };
                let mut may = [true; 3];
                let began = Instant::now();
                engine
                    .with_table("acme", None, |table| {
                        let permission = table.permission("tasks.read").unwrap();
                        for (may, user) in may.iter_mut().zip(["u0", "u1", "u99999"]) {
                            *may = Walk::begin(table, &about(user), 5).unwrap().ask(permission) == Reason::Allowed;
                        }
                    })
                    .unwrap();
                longest = longest.max(began.elapsed());
                // Never some of them: one revision.
                assert!(may[0] && may[1] == may[2], "{may:?}");
                seen[usize::from(may[1])] = true;
                rounds.fetch_add(1, Ordering::Relaxed);
            }
            (seen, longest)
        })
    };

    // She may change the organization, and administers nothing else.
    let behalf = OnBehalfOf { user: "user:u2".into(), authenticated_at: None };
    let u2 = Caller { on_behalf_of: Some(Box::new(behalf)), ..Caller::operator("root".into()) };
    let remove = async |validate_only| {
        let request = pb::RemoveEmailDomainRequest {
            organization: "acme".into(),
            domain: "partner.io".into(),
            validate_only,
            ..Default::default()
        };
        let mut request = Request::new(request);
        request.extensions_mut().insert(u2.clone());
        let (before, began) = (rounds.load(Ordering::Relaxed), Instant::now());
        let reply = admin.remove_email_domain(request).await.unwrap().into_inner();
        (reply, began.elapsed(), rounds.load(Ordering::Relaxed) - before)
    };
    let (said, dry, _) = remove(true).await;
    let (done, took, meanwhile) = remove(false).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    stop.store(true, Ordering::Relaxed);
    let (seen, longest) = reader.join().unwrap();
    println!(
        "{} memberships went in {took:?} (a dry run: {dry:?}); {meanwhile} rounds of three decisions went on beside it, \
         the longest {longest:?}",
        USERS / 2
    );
    met("half of 100,000 users leave a group", took.max(dry) < ALLOWED);
    assert!(meanwhile > 0, "decisions went on");
    assert_eq!(seen, [true, true], "before and after were seen");

    assert_eq!((said.revision.unwrap().number, done.revision.unwrap().number), (founded, founded + 1));
    let effect = done.effect.unwrap();
    assert_eq!(said.effect.as_ref(), Some(&effect), "as was said beforehand");
    let half = USERS as u64 / 2;
    let lost = pb::GroupEffect { group: "everyone".into(), members_gained: 0, members_lost: half, emptied: false };
    assert_eq!((effect.group_count, effect.groups), (1, vec![lost]));
    assert_eq!((effect.user_count, effect.users.len()), (half, 1_000));
    assert_eq!((effect.policy_count, effect.policies), (1, vec!["shows".to_owned()]));
    let mut written = Vec::new();
    let note = &mut |_, entry: doorward::engine::Logged| {
        written.push(entry.writes.len());
        true
    };
    engine.log(&"acme".parse().unwrap(), founded + 1, note).unwrap();
    assert_eq!(written, [1], "one row");
    let left = engine.with_table("acme", None, |t| t.members_of(&"everyone".parse().unwrap()).unwrap().count());
    assert_eq!(left.unwrap(), USERS / 2);
    // A domain that made its users internal: each of them is external then (rule 2.1), in the same revision.
    let settings = engine.with_table("acme", None, |table| table.row(&Key::Settings).unwrap()).unwrap();
    let Row::Settings(mut settings) = settings else { panic!("settings") };
    settings.email_domains.retain(|d| d.domain.as_str() != "acme.com");
    let removal = vec![Change::Update { row: Row::Settings(settings), etag: None }];
    let began = Instant::now();
    let told = |o: &Outcome| format!("{} {}", o.revision.number, o.effects.len()).into_bytes();
    let written = engine.write::<(), _, _>(call("acme"), |_| Ok(removal), told).await.unwrap();
    println!("{} users became external in {:?}", USERS / 2, began.elapsed());
    assert_eq!(written.reply, format!("{} {}", founded + 2, 1 + USERS / 2).into_bytes());
    engine.stop();
}
