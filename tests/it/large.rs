//! What large organizations must bear.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use doorward::core::change::Change;
use doorward::core::decision::{Question, Reason, Walk};
use doorward::core::model::{Key, Row};
use doorward::engine::{Engine, Outcome};
use doorward::store::MemoryStore;
use serde_json::json;

use crate::engine::TestClock;
use crate::support::{call, rows};

const USERS: usize = 100_000;

async fn write(engine: &Arc<Engine>, changes: Vec<Change>) -> (u64, usize) {
    let reply = |o: &Outcome| format!("{} {}", o.revision.number, o.effects.len()).into_bytes();
    let written = engine.write::<(), _, _>(call("acme"), |_| Ok(changes), reply).await.unwrap();
    let text = String::from_utf8(written.reply).unwrap();
    let (revision, effects) = text.split_once(' ').unwrap();
    (revision.parse().unwrap(), effects.parse().unwrap())
}

/// Rule 2.6: half of the users leave a dynamic group, in one revision, while decisions go on. Prints how
/// long it took: a second is allowed in a release build.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "builds an organization of 100,000 users: run it with `--ignored`"]
async fn m2_6_a_domain_that_fifty_thousand_memberships_depend_on_goes_in_one_revision() {
    let engine =
        Arc::new(Engine::open(Arc::new(MemoryStore::new()), TestClock::at(5), |error| panic!("{error}")).unwrap());
    let domain = |n: usize| if n.is_multiple_of(2) { "acme.com" } else { "partner.io" };
    let users: Vec<_> =
        (0..USERS).map(|n| json!({"id": format!("u{n}"), "email": format!("u{n}@{}", domain(n))})).collect();
    let rows = rows(&json!({
        "organization": "acme",
        "preset": "workspace",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}, {"domain": "partner.io", "audience": "external"}],
        "users": users,
        "groups": [{"id": "everyone", "kind": "dynamic", "domains": ["acme.com", "partner.io"]}],
        "grants": [{"permissions": ["tasks.read"], "member": "group:everyone"}],
    }));
    let (founded, _) = write(&engine, vec![Change::Replace { rows, deactivate_missing: false }]).await;
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (engine, stop) = (Arc::clone(&engine), Arc::clone(&stop));
        std::thread::spawn(move || {
            let (mut asked, mut seen) = (0_u64, [false; 2]);
            while !stop.load(Ordering::Relaxed) {
                let about = |principal| Question { principal, ..Question::default() };
                let mut may = [true; 3];
                engine
                    .with_table("acme", None, |table| {
                        let permission = table.permission("tasks.read").unwrap();
                        for (may, user) in may.iter_mut().zip(["u0", "u1", "u99999"]) {
                            *may = Walk::begin(table, &about(user), 5).unwrap().ask(permission) == Reason::Allowed;
                        }
                    })
                    .unwrap();
                // Never some of them: one revision.
                assert!(may[0] && may[1] == may[2], "{may:?}");
                seen[usize::from(may[1])] = true;
                asked += 1;
            }
            (asked, seen)
        })
    };
    let without = |domain: &str| {
        let settings = engine.with_table("acme", None, |table| table.row(&Key::Settings).unwrap()).unwrap();
        let Row::Settings(mut settings) = settings else { panic!("settings") };
        settings.email_domains.retain(|d| d.domain.as_str() != domain);
        vec![Change::Update { row: Row::Settings(settings), etag: None }]
    };
    let removal = without("partner.io");
    let began = Instant::now();
    let (revision, effects) = write(&engine, removal).await;
    let took = began.elapsed();
    std::thread::sleep(std::time::Duration::from_millis(50));
    stop.store(true, Ordering::Relaxed);
    let (asked, seen) = reader.join().unwrap();
    println!("{} memberships went in {took:?}, with {asked} rounds of decisions beside it", USERS / 2);
    assert_eq!((revision, effects), (founded + 1, 1), "one revision, one row");
    assert_eq!(seen, [true, true], "before and after were seen");
    let left = engine.with_table("acme", None, |t| t.members_of(&"everyone".parse().unwrap()).unwrap().count());
    assert_eq!(left.unwrap(), USERS / 2);
    // A domain that made its users internal: each of them is external then (rule 2.1), in the same revision.
    let removal = without("acme.com");
    let began = Instant::now();
    let (revision, effects) = write(&engine, removal).await;
    println!("{} users became external in {:?}", USERS / 2, began.elapsed());
    assert_eq!((revision, effects), (founded + 2, 1 + USERS / 2));
}
