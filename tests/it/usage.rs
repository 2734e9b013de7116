//! What decisions allowed, and which roles and permissions are not used for it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use doorward::core::decision::{Question, Reason, Record, Resource};
use doorward::core::review::unused::HOUR_MS;
use doorward::engine::Engine;
use doorward::service::Decisions;
use doorward::service::proto as pb;
use doorward::service::proto::activity_service_server::ActivityService;
use doorward::service::proto::decision_service_server::DecisionService;
use doorward::service::proto::organization_service_server::OrganizationService;
use doorward::service::proto::role_service_server::RoleService;

use crate::activity::{NOW, World, by, granting, ok, operator, user};

const DAY_MS: i64 = 24 * HOUR_MS;

fn days(days: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds: days * DAY_MS / 1_000, nanos: 0 })
}

fn millis(time: Option<prost_types::Timestamp>) -> Option<i64> {
    time.map(|t| t.seconds * 1_000 + i64::from(t.nanos) / 1_000_000)
}

fn hour(at: i64) -> i64 {
    at - at % HOUR_MS
}

fn pass(world: &World, span: i64) {
    world.clock.0.fetch_add(span, Ordering::Relaxed);
}

async fn declare(world: &World, permission: pb::Permission) {
    let request =
        pb::CreatePermissionRequest { organization: "acme".into(), permission: Some(permission), ..Default::default() };
    ok(world.admin.create_permission(by(&operator(), request)).await);
}

fn named(name: &str) -> pb::Permission {
    pb::Permission { name: name.into(), ..Default::default() }
}

async fn grant(world: &World, member: &str, permissions: &[&str]) {
    ok(world.admin.create_grants(by(&operator(), granting(member, permissions, ""))).await);
}

fn ask(engine: &Engine, principal: &str, permission: &str) -> Reason {
    let question = Question { principal, permission, ..Question::default() };
    engine.authorize("acme", None, &question, |decided, _| decided.reason).unwrap()
}

async fn permissions(
    world: &World,
    unused_for: Option<prost_types::Duration>,
) -> Result<pb::ListUnusedPermissionsResponse, String> {
    let request = pb::ListUnusedPermissionsRequest {
        organization: "acme".into(),
        unused_for,
        page_size: 1_000,
        ..Default::default()
    };
    match world.admin.list_unused_permissions(by(&operator(), request)).await {
        Ok(reply) => Ok(reply.into_inner()),
        Err(status) => Err(crate::wire::reason(&status)),
    }
}

/// Of the organization's own permissions, those not used for a time, with their holders and last use.
async fn own(world: &World, unused_for: Option<prost_types::Duration>) -> Vec<(String, u64, Option<i64>)> {
    let listed = permissions(world, unused_for).await.unwrap().permissions.into_iter();
    let listed = listed.filter(|p| p.permission.starts_with("own."));
    listed.map(|p| (p.permission, p.holders, millis(p.last_used_at))).collect()
}

async fn own_names(world: &World, unused_for: Option<prost_types::Duration>) -> Vec<String> {
    own(world, unused_for).await.into_iter().map(|(name, ..)| name).collect()
}

/// When the store's row has it that a permission was last allowed.
fn marked(world: &World, permission: &str) -> Option<i64> {
    let published = world.engine.snapshots().find("acme").unwrap();
    let number = published.table().permission(permission).unwrap().number;
    published.marks().get(number).at
}

#[tokio::test]
async fn what_is_allowed_is_marked_and_what_is_denied_is_not() {
    let world = World::memory().await;
    declare(&world, pb::Permission { aliases: vec!["OWN_THING".into()], ..named("own.thing") }).await;
    declare(&world, named("own.other")).await;
    declare(&world, named("own.nobodys")).await;
    grant(&world, "user:ana", &["own.thing", "own.other"]).await;
    grant(&world, "user:eve", &["own.thing"]).await;
    pass(&world, 10 * DAY_MS);
    // Counted since all of it began, and no longer.
    assert_eq!(own_names(&world, days(10)).await, ["own.nobodys", "own.other", "own.thing"]);
    assert_eq!(permissions(&world, days(11)).await, Err("NOT_OBSERVED_LONG_ENOUGH".into()));
    let held_by_nobody = permissions(&world, None).await.unwrap();
    assert_eq!(millis(held_by_nobody.observed_since), Some(NOW));
    assert_eq!(own(&world, None).await, [("own.nobodys".to_owned(), 0, None)]);

    assert_eq!(ask(&world.engine, "user:ana", "OWN_THING"), Reason::Allowed);
    assert_eq!(ask(&world.engine, "user:eve", "own.other"), Reason::NoPermission);
    let at = hour(NOW + 10 * DAY_MS);
    assert_eq!((marked(&world, "own.thing"), marked(&world, "own.other")), (Some(at), None));
    let nobodys = ("own.nobodys".to_owned(), 0, None);
    let other = ("own.other".to_owned(), 1, None);
    assert_eq!(own(&world, days(10)).await, [nobodys.clone(), other.clone()]);
    // Until the end of the hour it may have been used.
    pass(&world, 3 * DAY_MS);
    assert_eq!(own_names(&world, days(3)).await, ["own.nobodys", "own.other"]);
    pass(&world, HOUR_MS);
    assert_eq!(own(&world, days(3)).await, [nobodys, other, ("own.thing".to_owned(), 2, Some(at))]);
    // What is new was not unused for longer than it is there.
    declare(&world, named("own.new")).await;
    grant(&world, "user:ana", &["own.new"]).await;
    assert!(!own_names(&world, days(1)).await.contains(&"own.new".to_owned()));
    pass(&world, DAY_MS);
    assert!(own_names(&world, days(1)).await.contains(&"own.new".to_owned()));
}

#[tokio::test]
async fn a_role_is_unused_if_all_that_it_gives_is() {
    let world = World::memory().await;
    for name in ["own.a", "own.b", "own.c"] {
        declare(&world, named(name)).await;
    }
    for (id, permissions) in
        [("ab", vec!["own.a", "own.b"]), ("bc", vec!["own.b", "own.c"]), ("c", vec!["own.c"]), ("free", vec!["own.a"])]
    {
        let permissions = permissions.into_iter().map(ToOwned::to_owned).collect();
        let role =
            pb::Role { id: id.into(), scope: pb::RoleScope::Organization.into(), permissions, ..Default::default() };
        let request = pb::CreateRoleRequest { organization: "acme".into(), role: Some(role), ..Default::default() };
        ok(world.admin.create_role(by(&operator(), request)).await);
    }
    // Ana by herself and by the group, eve by herself.
    for (role, member) in [("ab", "user:eve"), ("bc", "group:risk"), ("c", "group:risk"), ("c", "user:eve")] {
        let assignment = Some(pb::Assignment { role: role.into(), member: member.into(), ..Default::default() });
        let request = pb::CreateAssignmentRequest { organization: "acme".into(), assignment, ..Default::default() };
        ok(world.admin.create_assignment(by(&operator(), request)).await);
    }
    pass(&world, 5 * DAY_MS);
    assert_eq!(ask(&world.engine, "user:ana", "own.b"), Reason::Allowed);
    let roles = async |unused_for| {
        let request = pb::ListUnusedRolesRequest {
            organization: "acme".into(),
            unused_for,
            page_size: 1_000,
            ..Default::default()
        };
        let roles = ok(world.admin.list_unused_roles(by(&operator(), request)).await).roles;
        let own = roles.into_iter().filter(|r| ["ab", "bc", "c", "free"].contains(&r.role.as_str()));
        own.map(|r| (r.role, r.holders, millis(r.last_used_at))).collect::<Vec<_>>()
    };
    assert_eq!(roles(None).await, [("free".to_owned(), 0, None)]);
    assert_eq!(roles(days(5)).await, [("c".to_owned(), 2, None), ("free".to_owned(), 0, None)]);
    pass(&world, 6 * DAY_MS);
    let at = Some(hour(NOW + 5 * DAY_MS));
    let all =
        [("ab".to_owned(), 1, at), ("bc".to_owned(), 1, at), ("c".to_owned(), 2, None), ("free".to_owned(), 0, None)];
    assert_eq!(roles(days(5)).await, all);
}

#[tokio::test]
async fn what_doorwards_own_calls_ask_for_is_not_counted_and_not_said_to_be_unused() {
    let world = World::memory().await;
    grant(&world, "user:ana", &["activity.read", "tasks.read"]).await;
    pass(&world, 5 * DAY_MS);
    ok(world
        .admin
        .list_activity(by(&user("ana"), pb::ListActivityRequest { organization: "acme".into(), ..Default::default() }))
        .await);
    let names: Vec<String> =
        permissions(&world, days(1)).await.unwrap().permissions.into_iter().map(|p| p.permission).collect();
    assert!(names.contains(&"tasks.read".to_owned()), "{names:?}");
    assert!(!names.contains(&"activity.read".to_owned()), "{names:?}");
}

/// Rule 4.6: of a permission with a twin, what was asked is marked and what was held for it.
#[tokio::test]
async fn the_twin_that_is_held_is_marked_beside_the_permission_that_is_asked() {
    let level = pb::PermissionLevel::Object.into();
    for (owner, any) in [("user:eve", true), ("user:ana", false)] {
        for filtered in [false, true] {
            let world = World::memory().await;
            let object = Some(pb::Object { id: "app".into(), kind: pb::ObjectKind::App.into(), ..Default::default() });
            let request = pb::CreateObjectRequest { organization: "acme".into(), object, ..Default::default() };
            ok(world.admin.create_object(by(&operator(), request)).await);
            declare(&world, pb::Permission { level, ..named("own.edit_any") }).await;
            let twin = "own.edit_any".to_owned();
            declare(&world, pb::Permission { level, when_not_owner: twin, ..named("own.edit") }).await;
            grant(&world, "user:ana", &["own.edit", "own.edit_any"]).await;
            if filtered {
                let records =
                    ["r-1", "r-2"].map(|id| pb::Record { id: id.into(), owner: owner.into(), ..Default::default() });
                let request = pb::FilterRecordsRequest {
                    organization: "acme".into(),
                    principal: "user:ana".into(),
                    permission: "own.edit".into(),
                    object: "app".into(),
                    records: records.to_vec(),
                    ..Default::default()
                };
                let decisions = Decisions::new(Arc::clone(&world.engine));
                assert_eq!(ok(decisions.filter_records(by(&operator(), request)).await).record_ids, ["r-1", "r-2"]);
            } else {
                let record = Some(Record { id: "r-1", owner, ..Record::default() });
                let resource = Resource { object: "app", record, ..Resource::default() };
                let question =
                    Question { principal: "user:ana", permission: "own.edit", resource, ..Question::default() };
                let decided = world.engine.authorize("acme", None, &question, |decided, _| decided.reason);
                assert_eq!(decided, Ok(Reason::Allowed));
            }
            let marked = (marked(&world, "own.edit").is_some(), marked(&world, "own.edit_any").is_some());
            assert_eq!(marked, (true, any), "{owner} {filtered}");
        }
    }
}

#[tokio::test]
async fn batches_filters_and_plans_mark_what_they_allow() {
    let world = World::memory().await;
    let object = Some(pb::Object { id: "app".into(), kind: pb::ObjectKind::App.into(), ..Default::default() });
    let request = pb::CreateObjectRequest { organization: "acme".into(), object, ..Default::default() };
    ok(world.admin.create_object(by(&operator(), request)).await);
    for name in ["own.batch", "own.filter", "own.several", "own.plan", "own.denied", "own.malformed"] {
        declare(&world, named(name)).await;
    }
    grant(&world, "user:ana", &["own.batch", "own.filter", "own.several", "own.plan", "own.malformed"]).await;
    let decisions = Decisions::new(Arc::clone(&world.engine));
    let item = |permission: &str, record: &str| pb::AuthorizeRequest {
        principal: "user:ana".into(),
        permission: permission.into(),
        resource: Some(pb::Resource {
            object: "app".into(),
            record: Some(pb::Record { id: record.into(), ..Default::default() }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let request = pb::BatchAuthorizeRequest {
        organization: "acme".into(),
        items: vec![item("own.batch", "r"), item("own.denied", "r"), item("own.malformed", "")],
        ..Default::default()
    };
    ok(decisions.batch_authorize(by(&operator(), request)).await);
    let record = pb::Record { id: "r".into(), ..Default::default() };
    for permission in ["own.filter", "own.denied"] {
        let request = pb::FilterRecordsRequest {
            organization: "acme".into(),
            principal: "user:ana".into(),
            permission: permission.into(),
            object: "app".into(),
            records: vec![record.clone()],
            ..Default::default()
        };
        ok(decisions.filter_records(by(&operator(), request)).await);
    }
    let request = pb::FilterRecordsRequest {
        organization: "acme".into(),
        principal: "user:ana".into(),
        permissions: ["own.denied", "", "own.several"].map(str::to_owned).to_vec(),
        object: "app".into(),
        records: vec![record],
        ..Default::default()
    };
    ok(decisions.filter_records(by(&operator(), request)).await);
    for permission in ["own.plan", "own.denied"] {
        let request = pb::PlanRecordsRequest {
            organization: "acme".into(),
            principal: "user:ana".into(),
            permission: permission.into(),
            object: "app".into(),
            ..Default::default()
        };
        ok(decisions.plan_records(by(&operator(), request)).await);
    }
    for name in ["own.batch", "own.filter", "own.several", "own.plan"] {
        assert!(marked(&world, name).is_some(), "{name}");
    }
    for name in ["own.denied", "own.malformed"] {
        assert_eq!(marked(&world, name), None, "{name}");
    }
}

#[tokio::test]
async fn a_mark_is_stored_once_an_hour_and_kept_when_there_is_one() {
    let world = World::memory().await;
    declare(&world, named("own.thing")).await;
    grant(&world, "user:ana", &["own.thing"]).await;
    let revision = world.engine.table("acme", None, Duration::ZERO).await.unwrap().revision();
    assert_eq!((world.engine.keep_marks(), world.engine.keep_marks()), (1, 0), "since when it is counted is kept");
    let question = |engine| assert_eq!(ask(engine, "user:ana", "own.thing"), Reason::Allowed);
    question(&world.engine);
    let is_changed = || world.engine.snapshots().find("acme").unwrap().marks().is_changed();
    assert!(is_changed());
    assert_eq!(world.engine.keep_marks(), 1);
    for _ in 0..1_000 {
        question(&world.engine);
    }
    assert!(!is_changed(), "a mark was stored again within the hour");
    assert_eq!(world.engine.keep_marks(), 0);
    pass(&world, HOUR_MS);
    question(&world.engine);
    assert_eq!(world.engine.keep_marks(), 1);
    let table = world.engine.table("acme", None, Duration::ZERO).await.unwrap();
    assert_eq!(table.revision(), revision, "it is in no revision");
}

/// [`World::on_disk`] opens at `NOW`: what begins to be counted then is told from what was kept.
fn on_disk(path: &Path, at: i64) -> World {
    let world = World::on_disk(path);
    world.clock.0.store(at, Ordering::Relaxed);
    world
}

#[tokio::test]
async fn marks_are_kept_over_a_restart_and_what_is_gone_leaves_none() {
    let dir = tempfile::tempdir().unwrap();
    let later = NOW + 20 * DAY_MS;
    {
        let world = on_disk(dir.path(), NOW - DAY_MS).acme().await;
        for name in ["own.thing", "own.gone"] {
            declare(&world, named(name)).await;
            grant(&world, "user:ana", &[name]).await;
        }
        world.clock.0.store(NOW + 2 * DAY_MS, Ordering::Relaxed);
        for name in ["own.thing", "own.gone"] {
            assert_eq!(ask(&world.engine, "user:ana", name), Reason::Allowed);
        }
        world.engine.stop();
    }
    {
        let world = on_disk(dir.path(), later);
        let used = Some(hour(NOW + 2 * DAY_MS));
        assert_eq!((marked(&world, "own.thing"), marked(&world, "own.gone")), (used, used));
        let since = permissions(&world, None).await.unwrap().observed_since;
        assert_eq!(millis(since), Some(NOW - DAY_MS));
        // What is created under the name of what is deleted is another permission.
        let grants = pb::DeleteGrantsRequest {
            organization: "acme".into(),
            permissions: vec!["own.gone".into()],
            member: "user:ana".into(),
            ..Default::default()
        };
        ok(world.admin.delete_grants(by(&operator(), grants)).await);
        let request = pb::DeletePermissionRequest {
            organization: "acme".into(),
            permission: "own.gone".into(),
            ..Default::default()
        };
        ok(world.admin.delete_permission(by(&operator(), request)).await);
        declare(&world, named("own.gone")).await;
        grant(&world, "user:ana", &["own.gone"]).await;
        assert_eq!(marked(&world, "own.gone"), None);
        assert_eq!(own_names(&world, days(10)).await, ["own.thing"]);
        // It ends without a word: nothing is kept but what the changes brought with them.
    }
    let world = on_disk(dir.path(), later + DAY_MS);
    assert_eq!((marked(&world, "own.thing"), marked(&world, "own.gone")), (Some(hour(NOW + 2 * DAY_MS)), None));
    assert_eq!(own_names(&world, days(1)).await, ["own.gone", "own.thing"], "it was there for a day");
    assert_eq!(own_names(&world, days(2)).await, ["own.thing"]);
}

#[tokio::test]
async fn an_organization_that_is_created_again_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let again = NOW + 9 * DAY_MS;
    {
        let world = on_disk(dir.path(), NOW - DAY_MS).acme().await;
        declare(&world, named("own.thing")).await;
        grant(&world, "user:ana", &["own.thing"]).await;
        ask(&world.engine, "user:ana", "own.thing");
        assert_eq!(world.engine.keep_marks(), 1);
        world.clock.0.store(again, Ordering::Relaxed);
        let request = pb::DeleteOrganizationRequest { organization: "acme".into(), ..Default::default() };
        ok(world.admin.delete_organization(by(&operator(), request)).await);
        assert_eq!(world.engine.keep_marks(), 0);
        let world = world.acme().await;
        declare(&world, named("own.thing")).await;
        assert_eq!(marked(&world, "own.thing"), None);
        assert_eq!(permissions(&world, days(1)).await, Err("NOT_OBSERVED_LONG_ENOUGH".into()));
        world.engine.stop();
    }
    let world = on_disk(dir.path(), again + DAY_MS);
    assert_eq!(marked(&world, "own.thing"), None);
    let reply = permissions(&world, days(1)).await.unwrap();
    assert_eq!(millis(reply.observed_since), Some(again));
    world.engine.stop();
}
