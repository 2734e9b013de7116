//! The engine over real stores: what is acknowledged is decided by and survives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

use doorward::clock::{Clock, ClockError};
use doorward::core::change::{Change, ChangeError};
use doorward::core::decision::{Question, Reason, Resource};
use doorward::core::id::{Id, OpaqueId, Pattern};
use doorward::core::model::{Grant, Key, Member, Millis, Period, Row, Target};
use doorward::engine::{AtLeast, Call, Create, Engine, ReadError, WriteError};
use doorward::store::{MemoryStore, Options, PolicyStore, SledStore};
use serde_json::json;

use crate::support::rows;

/// A clock that stands still until it is told.
pub struct TestClock(pub AtomicI64, AtomicU8);

impl TestClock {
    pub fn at(now: Millis) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now), AtomicU8::new(1)))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Millis {
        self.0.load(Ordering::Relaxed)
    }

    fn random(&self) -> Result<[u8; 16], ClockError> {
        Ok([self.1.fetch_add(1, Ordering::Relaxed); 16])
    }
}

fn acme() -> Vec<Row> {
    rows(&json!({
        "organization": "acme",
        "preset": "workspace",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}],
        "objects": [{"id": "app", "kind": "app"}],
        "users": [{"id": "ana", "email": "ana@acme.com"}, {"id": "bo", "email": "bo@acme.com"}],
        "groups": [{"id": "risk", "kind": "manual"}],
        "assignments": [{"role": "app-admin", "member": "group:risk", "object": "app"}],
    }))
}

fn call(request_id: &str) -> Call {
    Call { request_id: request_id.into(), ..crate::support::call("acme") }
}

fn open(store: Arc<dyn PolicyStore>, clock: Arc<TestClock>) -> Arc<Engine> {
    Arc::new(Engine::open(store, clock, |error| panic!("{error}")).unwrap())
}

async fn write(engine: &Arc<Engine>, call: Call, changes: Vec<Change>) -> Result<(String, bool), WriteError<()>> {
    let reply = |o: &doorward::engine::Outcome| format!("{}:{}", o.revision.number, o.effects.len()).into_bytes();
    let written = engine.write(call, |_| Ok(changes), reply).await?;
    Ok((String::from_utf8(written.reply).unwrap(), written.replayed))
}

fn member(user: &str) -> Member {
    Member::User(user.parse().unwrap())
}

fn add(user: &str) -> Vec<Change> {
    vec![Change::AddMembers { group: "risk".parse().unwrap(), members: vec![member(user)] }]
}

fn may(engine: &Engine, user: &str, at_least: Option<u64>) -> Result<Reason, ReadError> {
    let question = Question {
        principal: user,
        permission: "tasks.read",
        resource: Resource { object: "app", ..Resource::default() },
        ..Question::default()
    };
    let at_least = at_least.map(|number| AtLeast { history: "", number });
    engine.authorize("acme", at_least, &question, |decided, _| decided.reason)
}

#[tokio::test]
async fn an_acknowledged_write_decides_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let before;
    {
        let engine = open(Arc::new(SledStore::open(dir.path(), Options::default()).unwrap()), TestClock::at(5));
        write(&engine, call(""), vec![Change::Replace { rows: acme(), deactivate_missing: false }]).await.unwrap();
        assert_eq!(may(&engine, "ana", None), Ok(Reason::NoPermission));
        for n in 0..20 {
            let change = if n % 2 == 0 {
                add("ana")
            } else {
                vec![Change::RemoveMembers { group: "risk".parse().unwrap(), members: vec![member("ana")] }]
            };
            write(&engine, call(""), change).await.unwrap();
            let expected = if n % 2 == 0 { Reason::Allowed } else { Reason::NoPermission };
            assert_eq!(may(&engine, "ana", Some(n + 2)), Ok(expected));
        }
        write(&engine, call(""), add("ana")).await.unwrap();
        before = engine.table("acme", None, Duration::ZERO).await.unwrap();
        engine.stop();
    }
    let engine = open(Arc::new(SledStore::open(dir.path(), Options::default()).unwrap()), TestClock::at(5));
    assert_eq!(may(&engine, "ana", None), Ok(Reason::Allowed));
    let after = engine.table("acme", None, Duration::ZERO).await.unwrap();
    assert_eq!((after.revision(), after.history()), (22, before.history()));
    let sorted = |t: &doorward::core::table::Table| {
        let mut rows: Vec<Row> = t.rows().collect();
        rows.sort_by_key(Row::key);
        rows
    };
    assert_eq!(sorted(&after), sorted(&before));
    let mut logged = Vec::new();
    engine
        .log(&"acme".parse().unwrap(), 0, &mut |revision, entry| {
            assert_eq!(entry.caller, "test");
            logged.push(revision);
            true
        })
        .unwrap();
    assert_eq!(logged, (1..=22).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_repeated_request_gets_the_first_reply_for_a_day_and_across_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let clock = TestClock::at(1_000_000);
    let day = 24 * 60 * 60 * 1_000;
    {
        let engine = open(Arc::new(SledStore::open(dir.path(), Options::default()).unwrap()), Arc::clone(&clock));
        let replace = || vec![Change::Replace { rows: acme(), deactivate_missing: false }];
        let first = write(&engine, call("one"), replace()).await.unwrap();
        assert_eq!(first, ("1:7".into(), false));
        write(&engine, call("two"), add("ana")).await.unwrap();
        assert_eq!(write(&engine, call("one"), replace()).await.unwrap(), ("1:7".into(), true));
        let other = Call { body: [8; 32], ..call("one") };
        assert!(matches!(write(&engine, other, replace()).await, Err(WriteError::RequestIdReused)));
        let caller = Call { caller: "else".into(), ..call("two") };
        assert_eq!(write(&engine, caller, add("bo")).await.unwrap(), ("3:1".into(), false));
        engine.stop();
    }
    let engine = open(Arc::new(SledStore::open(dir.path(), Options::default()).unwrap()), Arc::clone(&clock));
    assert_eq!(write(&engine, call("two"), add("ana")).await.unwrap(), ("2:1".into(), true));
    clock.0.fetch_add(day, Ordering::Relaxed);
    // Forgotten: it is carried out again, and changes nothing.
    assert_eq!(write(&engine, call("two"), add("ana")).await.unwrap(), ("3:0".into(), false));
}

#[tokio::test]
async fn m7_6_the_log_says_on_whose_behalf_and_a_retry_is_of_the_same_user() {
    let engine = open(Arc::new(MemoryStore::new()), TestClock::at(0));
    let replace = vec![Change::Replace { rows: acme(), deactivate_missing: false }];
    write(&engine, call(""), replace).await.unwrap();
    let behalf = |user: &str| Call { on_behalf_of: Some(user.to_owned()), ..call("one") };
    assert_eq!(write(&engine, behalf("user:bo"), add("ana")).await.unwrap(), ("2:1".into(), false));
    assert_eq!(write(&engine, behalf("user:bo"), add("ana")).await.unwrap(), ("2:1".into(), true));
    assert_eq!(write(&engine, behalf("user:al"), add("ana")).await.unwrap(), ("2:0".into(), false));
    assert_eq!(write(&engine, call("one"), add("ana")).await.unwrap(), ("2:0".into(), false));
    let mut logged = Vec::new();
    let note = &mut |_, entry: doorward::engine::Logged| {
        logged.push((entry.caller, entry.on_behalf_of));
        true
    };
    engine.log(&"acme".parse().unwrap(), 0, note).unwrap();
    assert_eq!(logged, [("test".into(), None), ("test".into(), Some("user:bo".into()))]);
}

#[tokio::test]
async fn a_dry_run_and_a_refusal_leave_nothing() {
    let engine = open(Arc::new(MemoryStore::new()), TestClock::at(5));
    let never = Call { create: Create::Never, ..call("") };
    assert!(matches!(write(&engine, never, add("ana")).await, Err(WriteError::UnknownOrganization(_))));
    write(&engine, call(""), vec![Change::Replace { rows: acme(), deactivate_missing: false }]).await.unwrap();
    let always = Call { create: Create::Always, ..call("") };
    assert!(matches!(write(&engine, always, vec![]).await, Err(WriteError::OrganizationExists(_))));
    let dry = Call { validate_only: true, ..call("x") };
    assert_eq!(write(&engine, dry, add("ana")).await.unwrap(), ("1:1".into(), false));
    assert_eq!(may(&engine, "ana", None), Ok(Reason::NoPermission));
    let wrong = write(&engine, call(""), [add("ana"), add("nobody")].concat()).await;
    let Err(WriteError::Change(ChangeError::Violations(v))) = wrong else { panic!("{wrong:?}") };
    assert_eq!(v.iter().map(|v| v.fault.reason()).collect::<Vec<_>>(), ["UNKNOWN_REFERENCE"]);
    assert_eq!(may(&engine, "ana", None), Ok(Reason::NoPermission));
    assert_eq!(engine.table("acme", None, Duration::ZERO).await.unwrap().revision(), 1);
    // What failed to come into being is not there.
    let other = Call { organization: "other".parse().unwrap(), ..call("") };
    let delete = vec![Change::Delete { keys: vec![Key::Settings], etag: None }];
    assert!(write(&engine, other, delete).await.is_err());
    assert_eq!(engine.organizations(), ["acme"]);
}

#[tokio::test]
async fn an_unreached_least_revision_is_waited_for_and_never_answered_by_an_older_one() {
    let engine = open(Arc::new(MemoryStore::new()), TestClock::at(5));
    write(&engine, call(""), vec![Change::Replace { rows: acme(), deactivate_missing: false }]).await.unwrap();
    assert_eq!(may(&engine, "ana", Some(2)), Err(ReadError::NotReached { wanted: 2, reached: 1 }));
    let two = AtLeast { history: "", number: 2 };
    let waited = engine.wait_for("acme", two, Duration::from_millis(20)).await;
    assert_eq!(waited, Err(ReadError::NotReached { wanted: 2, reached: 1 }));
    let waiting = {
        let engine = Arc::clone(&engine);
        tokio::spawn(async move { engine.wait_for("acme", two, Duration::from_secs(5)).await })
    };
    write(&engine, call(""), add("ana")).await.unwrap();
    assert_eq!(waiting.await.unwrap(), Ok(()));
    assert_eq!(may(&engine, "ana", Some(2)), Ok(Reason::Allowed));
    let other = AtLeast { history: "another", number: 1 };
    assert_eq!(engine.wait_for("acme", other, Duration::ZERO).await, Err(ReadError::OtherHistory));
}

#[tokio::test]
async fn a_period_begins_and_ends_to_the_millisecond_without_a_write() {
    let clock = TestClock::at(100);
    let engine = open(Arc::new(MemoryStore::new()), Arc::clone(&clock));
    let grant = |member: &str| {
        Row::Grant(Grant {
            permission: Pattern::parse("tasks.read").unwrap(),
            member: member.parse().unwrap(),
            target: Target::Object(Id::parse("app").unwrap()),
            period: Period { starts_at: Some(200), expires_at: Some(300) },
        })
    };
    let rows = acme().into_iter().chain([grant("user:ana"), grant("group:internal-users")]).collect();
    write(&engine, call(""), vec![Change::Replace { rows, deactivate_missing: false }]).await.unwrap();
    for user in ["ana", "bo"] {
        for (now, reason) in
            [(199, Reason::NoPermission), (200, Reason::Allowed), (299, Reason::Allowed), (300, Reason::NoPermission)]
        {
            clock.0.store(now, Ordering::Relaxed);
            assert_eq!(may(&engine, user, None), Ok(reason), "{user} at {now}");
        }
    }
}

/// ≤ 2 pages at any size: the million is part of the promise, so it is built.
#[test]
fn adding_a_member_rewrites_the_same_few_pages_at_ten_thousand_and_at_a_million_users() {
    use doorward::core::model::{Status, User, UserKind};
    use doorward::core::{change, table::Table};
    let mut costs = Vec::new();
    for size in [10_000, 1_000_000] {
        let user = |n: u32| {
            Row::User(User {
                id: OpaqueId::parse(&format!("u{n}")).unwrap(),
                email: format!("u{n}@acme.com").parse().unwrap(),
                first_name: String::new(),
                last_name: String::new(),
                kind: UserKind::Internal,
                account: "main".parse().unwrap(),
                manager: None,
                status: Status::Active,
                status_before: None,
                pending_groups: Vec::new(),
                attributes: std::collections::BTreeMap::new(),
                groups: Vec::new(),
                sign_ons: Vec::new(),
            })
        };
        let rows = acme().into_iter().chain((0..size).map(user)).collect();
        let mut table = Table::load("acme".parse().unwrap(), "h".into(), 7, 1, rows).unwrap();
        assert_eq!(table.user_count(), size as usize + 2);
        let before = table.pages_written();
        for n in 0..10 {
            let next = change::apply(&table, add(&format!("u{}", n * 997))).unwrap();
            assert_eq!(next.writes.len(), 1, "one row is stored");
            table = next.table;
        }
        costs.push(table.pages_written() - before);
    }
    assert_eq!(costs[0], costs[1]);
    assert!(costs[0] <= 2 * 10, "{costs:?}");
}

/// Readers never wait and never see half a write: the group is given and taken away in one
/// revision with its mirror, so exactly one of the two may act at any revision.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_sees_one_revision_whole_while_writes_go_on() {
    let engine = open(Arc::new(MemoryStore::new()), TestClock::at(5));
    write(&engine, call(""), vec![Change::Replace { rows: acme(), deactivate_missing: false }]).await.unwrap();
    write(&engine, call(""), add("ana")).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (engine, stop) = (Arc::clone(&engine), Arc::clone(&stop));
        std::thread::spawn(move || {
            let (mut asked, mut last) = (0u64, 0);
            let question = |user| Question {
                principal: user,
                resource: Resource { object: "app", ..Resource::default() },
                ..Question::default()
            };
            while !stop.load(Ordering::Relaxed) {
                let (ana, bo, revision) = engine
                    .with_table("acme", None, |table| {
                        let ask = |user| {
                            let question = question(user);
                            let walk = doorward::core::decision::Walk::begin(table, &question, 5).unwrap();
                            walk.ask(table.permission("tasks.read").unwrap()) == Reason::Allowed
                        };
                        (ask("ana"), ask("bo"), table.revision())
                    })
                    .unwrap();
                assert_ne!(ana, bo, "at revision {revision}");
                assert!(revision >= last, "revisions never go back");
                (asked, last) = (asked + 1, revision);
            }
            asked
        })
    };
    for n in 0..300 {
        let (to, from) = if n % 2 == 0 { ("bo", "ana") } else { ("ana", "bo") };
        let change =
            [Change::RemoveMembers { group: "risk".parse().unwrap(), members: vec![member(from)] }, add(to).remove(0)];
        write(&engine, call(""), change.into()).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    assert!(reader.join().unwrap() > 0);
    // With no reader left, the publisher frees what it replaced.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(engine.snapshots().retired(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_one_organization_are_in_one_gapless_order() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(Arc::new(SledStore::open(dir.path(), Options::default()).unwrap()), TestClock::at(5));
    write(&engine, call(""), vec![Change::Replace { rows: acme(), deactivate_missing: false }]).await.unwrap();
    let mut tasks = Vec::new();
    for n in 0..64 {
        let engine = Arc::clone(&engine);
        tasks.push(tokio::spawn(async move {
            let role = format!("role-{n}");
            let row = Row::Role(doorward::core::model::Role {
                id: role.parse().unwrap(),
                name: String::new(),
                description: String::new(),
                kind: doorward::core::model::RoleKind::Custom,
                scope: doorward::core::model::Scope::Object,
                object: None,
                permissions: vec!["tasks.read".parse().unwrap()],
                auto_share: Vec::new(),
            });
            write(&engine, call(&role), vec![Change::Create(row)]).await.unwrap().0
        }));
    }
    let mut revisions = Vec::new();
    for task in tasks {
        revisions.push(task.await.unwrap().split_once(':').unwrap().0.parse::<u64>().unwrap());
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (2..66).collect::<Vec<_>>());
}
