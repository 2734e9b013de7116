//! Rule 7.4: what the activity log tells of lists and admin calls that came by an activation alone.

use super::apply_organization_request::Part;
use super::emergency::{activate, as_user, create, rule, world};
use super::*;
use crate::service::OnBehalfOf;
use tokio_stream::StreamExt;

/// Ana may activate `organization-admin`, and does.
async fn activated() -> (World, String) {
    let world = world().await;
    let rule = EmergencyRule { role: "organization-admin".into(), ..rule(&["ana"]) };
    ok(world.admin.create_emergency_rule(by(create(rule))).await);
    let all = ActivateEmergencyAccessRequest { role: "organization-admin".into(), ..activate() };
    let activation = ok(world.admin.activate_emergency_access(as_user("ana", all)).await).activation.unwrap();
    (world, activation.id)
}

async fn grant(world: &World, member: &str, permissions: &[&str]) {
    let permissions = permissions.iter().map(ToString::to_string).collect();
    let grant = Some(Grant { permissions, member: member.into(), ..Grant::default() });
    ok(world
        .admin
        .create_grants(by(CreateGrantsRequest { organization: "acme".into(), grant, ..Default::default() }))
        .await);
}

/// The marked entries but for the activation itself, in order: the last name of the method, on whose behalf, and
/// what is told.
async fn told(world: &World, activation: &str) -> Vec<(String, String, String)> {
    // What follows a call without being waited for is there with the next one that is.
    world.group(&format!("g{}", world.revision().await)).await;
    let marked = ActivityFilter { emergency_only: true, ..Default::default() };
    let list = ListActivityRequest { organization: "acme".into(), filter: Some(marked), ..Default::default() };
    let entries = ok(world.admin.list_activity(by(list)).await).entries;
    assert!(entries.iter().all(|entry| entry.emergency_activation == activation), "{entries:#?}");
    let told = |entry: ActivityEntry| {
        let method = entry.method.rsplit('/').next().unwrap_or_default().to_owned();
        (method, if entry.on_behalf_of.is_empty() { entry.caller } else { entry.on_behalf_of }, entry.summary)
    };
    let all = entries.into_iter().rev().map(told);
    all.filter(|(method, ..)| method != "ActivateEmergencyAccess").collect()
}

fn of(method: &str, summary: &str) -> (String, String, String) {
    (method.into(), "user:ana".into(), summary.into())
}

const READ: &str = "emergency access allowed a read";

fn get(user: &str) -> GetUserRequest {
    GetUserRequest { organization: "acme".into(), user: user.into(), min_revision: None }
}

#[tokio::test]
async fn m7_4_an_admin_read_by_an_activation_alone_is_told_once_a_minute() {
    let (world, activation) = activated().await;
    grant(&world, "user:ana", &["roles.read"]).await;
    for _ in 0..3 {
        ok(world.admin.get_user(as_user("ana", get("bo"))).await);
    }
    let groups = ListGroupsRequest { organization: "acme".into(), ..Default::default() };
    ok(world.admin.list_groups(as_user("ana", groups.clone())).await);
    // What she holds anyway, what others do, and what is refused is no use.
    let roles = ListRolesRequest { organization: "acme".into(), ..Default::default() };
    ok(world.admin.list_roles(as_user("ana", roles)).await);
    ok(world.admin.list_groups(by(groups.clone())).await);
    assert_eq!(refused(world.admin.list_groups(as_user("bo", groups)).await).0, Code::PermissionDenied);
    let activity = ListActivityRequest { organization: "acme".into(), ..Default::default() };
    ok(world.admin.list_activity(as_user("ana", activity)).await);
    let reads = ["GetUser", "ListGroups", "ListActivity"].map(|method| of(method, READ));
    assert_eq!(told(&world, &activation).await, reads);
    let all = ok(world
        .admin
        .list_activity(by(ListActivityRequest { organization: "acme".into(), ..Default::default() }))
        .await);
    let read = all.entries.iter().find(|entry| entry.method.ends_with("/GetUser")).unwrap();
    assert_eq!((read.outcome(), read.caller.as_str()), (ActivityOutcome::Recorded, "platform:tests"));
    assert_eq!((read.account.as_str(), read.revision.as_ref()), ("main", None));
}

#[tokio::test]
async fn m7_4_who_reads_the_log_of_an_account_by_an_activation_alone_is_told() {
    let world = world().await;
    let auditor = Role {
        id: "auditor".into(),
        scope: RoleScope::Account.into(),
        permissions: vec!["activity.read".into()],
        ..Role::default()
    };
    ok(world
        .admin
        .create_role(by(CreateRoleRequest { organization: "acme".into(), role: Some(auditor), ..Default::default() }))
        .await);
    let target = Some(Target { account: "main".into(), ..Target::default() });
    let rule = EmergencyRule { role: "auditor".into(), target: target.clone(), ..rule(&["ana"]) };
    ok(world.admin.create_emergency_rule(by(create(rule))).await);
    let activity = || ListActivityRequest { organization: "acme".into(), ..Default::default() };
    assert_eq!(refused(world.admin.list_activity(as_user("ana", activity())).await).0, Code::PermissionDenied);
    let there = ActivateEmergencyAccessRequest { role: "auditor".into(), target, ..activate() };
    let activation = ok(world.admin.activate_emergency_access(as_user("ana", there)).await).activation.unwrap().id;
    ok(world.admin.list_activity(as_user("ana", activity())).await);
    assert_eq!(told(&world, &activation).await, [of("ListActivity", READ)]);
}

#[tokio::test]
async fn m7_4_a_list_of_permissions_that_an_activation_alone_gives_is_told() {
    let (world, activation) = activated().await;
    let list = |principal: &str| ListPermissionsRequest {
        organization: "acme".into(),
        principal: principal.into(),
        page_size: 1_000,
        ..Default::default()
    };
    grant(&world, "user:bo", &["tasks.read"]).await;
    assert_eq!(ok(world.decisions.list_permissions(by(list("user:bo"))).await).permissions, ["tasks.read"]);
    assert!(told(&world, &activation).await.is_empty());
    let all = ok(world.decisions.list_permissions(by(list("user:ana"))).await).permissions;
    ok(world.decisions.list_permissions(by(list("user:ana"))).await);
    let summary = format!("emergency access gave `{}` and {} more, in a list", all[0], all.len() - 1);
    assert_eq!(told(&world, &activation).await, [of("ListPermissions", &summary)]);
    // What she holds without it is not counted; of a page, what is on it.
    let (world, activation) = activated().await;
    grant(&world, "user:ana", &[all[0].as_str()]).await;
    let page = ListPermissionsRequest { page_size: 2, ..list("user:ana") };
    ok(world.decisions.list_permissions(by(page)).await);
    let summary = format!("emergency access gave `{}`, in a list", all[1]);
    assert_eq!(told(&world, &activation).await, [of("ListPermissions", &summary)]);
}

#[tokio::test]
async fn m7_4_a_record_that_an_activation_alone_shows_is_told() {
    let world = world().await;
    world.object("app").await;
    let at = |record: &str| Some(Target { object: "app".into(), record: record.into(), ..Target::default() });
    let mut activation = String::new();
    for record in ["r-1", "r-2"] {
        let (role, target) = ("content-viewer".to_owned(), at(record));
        let rule = EmergencyRule { role: role.clone(), target: target.clone(), ..rule(&["ana"]) };
        ok(world.admin.create_emergency_rule(by(create(rule))).await);
        if record == "r-1" {
            let there = ActivateEmergencyAccessRequest { role, target, ..activate() };
            activation = ok(world.admin.activate_emergency_access(as_user("ana", there)).await).activation.unwrap().id;
        }
    }
    world.assign("content-viewer", "user:ana", at("r-2")).await;
    let sees = async |records: &[&str]| {
        let records = records.iter().map(|id| Record { id: (*id).into(), ..Record::default() }).collect();
        let (organization, principal, object) = ("acme".into(), "user:ana".into(), "app".into());
        let request = FilterRecordsRequest { organization, principal, object, records, ..Default::default() };
        ok(world.decisions.filter_records(by(request)).await).positions
    };
    // What is seen anyway, or not at all, is no use.
    assert_eq!(sees(&["r-2", "r-3"]).await, [0]);
    assert!(told(&world, &activation).await.is_empty());
    assert_eq!(sees(&["r-2", "r-1"]).await, [0, 1]);
    let of = |summary: &str| ("doorward.v1.DecisionService".into(), "user:ana".into(), summary.to_owned());
    let seen = of("emergency access showed a record");
    assert_eq!(told(&world, &activation).await, [seen.clone()]);
    // Of several permissions, each that came by it.
    let request = FilterRecordsRequest {
        organization: "acme".into(),
        principal: "user:ana".into(),
        object: "app".into(),
        records: ["r-2", "r-1"].map(|id| Record { id: id.into(), ..Record::default() }).to_vec(),
        permissions: ["records.update", "tasks.read", "", "records.read"].map(str::to_owned).to_vec(),
        ..Default::default()
    };
    let all = ok(world.decisions.filter_records(by(request)).await).by_permission;
    let positions: Vec<Vec<u32>> = all.into_iter().map(|one| one.positions).collect();
    assert_eq!(positions, [vec![], vec![0, 1], vec![0, 1], vec![0, 1]]);
    let given = ["tasks.read", "records.read"].map(|name| of(&format!("emergency access gave `{name}`")));
    let mut told = told(&world, &activation).await;
    told.sort();
    let mut expected = [vec![seen], given.to_vec()].concat();
    expected.sort();
    assert_eq!(told, expected, "to see was told less than a minute ago");
}

#[tokio::test]
async fn m7_4_ending_what_somebody_else_activated_is_marked_if_an_activation_alone_allowed_it() {
    let (world, activation) = activated().await;
    ok(world.admin.create_emergency_rule(by(create(rule(&["bo"])))).await);
    let mut marks = Vec::new();
    for configures in [false, true] {
        if configures {
            grant(&world, "user:ana", &["emergency.configure"]).await;
        }
        let bos = ok(world.admin.activate_emergency_access(as_user("bo", activate())).await).activation.unwrap().id;
        let end =
            EndEmergencyAccessRequest { organization: "acme".into(), activation: bos.clone(), ..Default::default() };
        ok(world.admin.end_emergency_access(as_user("ana", end)).await);
        let list = ListActivityRequest { organization: "acme".into(), page_size: 1, ..Default::default() };
        let last = ok(world.admin.list_activity(by(list)).await).entries.remove(0);
        assert!(last.method.ends_with("/EndEmergencyAccess"), "{last:?}");
        marks.push((last.emergency_activation, bos));
    }
    assert_eq!(marks[0].0, activation);
    assert_eq!(marks[1].0, marks[1].1, "it names the one that it is about");
}

#[tokio::test]
async fn m7_4_a_change_is_marked_if_nothing_else_allowed_it() {
    let (world, activation) = activated().await;
    let rename = |first_name: &str| {
        let user = Some(User { id: "bo".into(), first_name: first_name.into(), ..User::default() });
        as_user("ana", UpdateUserRequest { organization: "acme".into(), user, ..Default::default() })
    };
    ok(world.admin.update_user(rename("Bob")).await);
    // One of two permissions that would do is held anyway.
    grant(&world, "user:ana", &["users.provision", "organization.read"]).await;
    ok(world.admin.update_user(rename("Rob")).await);
    ok(world.admin.get_user(as_user("ana", get("bo"))).await);
    assert_eq!(told(&world, &activation).await, [of("UpdateUser", "update user `bo`")]);

    // So is an erasure, which makes no revision.
    let erase = ErasePersonalDataRequest { organization: "acme".into(), user: "bo".into(), ..Default::default() };
    assert_eq!(ok(world.admin.erase_personal_data(as_user("ana", erase)).await).entries_erased, 3);
    let erased = told(&world, &activation).await;
    assert_eq!(
        erased.last(),
        Some(&of("ErasePersonalData", "erase what is personal of user `bo` from 3 entries")),
        "{erased:?}"
    );

    // A file that is applied asks for what its differences ask.
    let request = ExportOrganizationRequest { organization: "acme".into(), min_revision: None };
    let mut stream = ok(world.admin.export_organization(by(request)).await);
    let mut rows = Vec::new();
    while let Some(message) = stream.next().await {
        rows.extend(message.unwrap().rows);
    }
    let west = Account { id: "west".into(), ..Account::default() };
    rows.push(Row { kind: Some(row::Kind::Account(west)) });
    let header = ApplyHeader { organization: "acme".into(), ..ApplyHeader::default() };
    let end = ApplyEnd { row_count: rows.len() as u64 };
    let parts = [Part::Header(header), Part::Rows(RowBatch { rows }), Part::End(end)];
    let parts = parts.map(|part| Ok(ApplyOrganizationRequest { part: Some(part) }));
    let behalf = OnBehalfOf { user: "user:ana".into(), authenticated_at: None };
    let ana = Caller { on_behalf_of: Some(Box::new(behalf)), ..Caller::operator("tests".into()) };
    assert_eq!(ok(world.admin.apply(ana, tokio_stream::iter(parts)).await).created, 1);
    let applied = told(&world, &activation).await;
    assert_eq!(applied.last(), Some(&of("ApplyOrganization", "create account `west`")), "{applied:?}");
}

fn granting(member: &str, permission: &str) -> Request<CreateGrantsRequest> {
    let grant = Some(Grant { permissions: vec![permission.into()], member: member.into(), ..Grant::default() });
    as_user("ana", CreateGrantsRequest { organization: "acme".into(), grant, ..Default::default() })
}

#[tokio::test]
async fn m7_4_a_change_that_hands_out_what_an_activation_alone_gives_is_marked() {
    let world = world().await;
    grant(&world, "user:ana", &["roles.assign"]).await;
    ok(world.admin.create_emergency_rule(by(create(rule(&["ana"])))).await);
    assert_eq!(refused(world.admin.create_grants(granting("user:bo", "tasks.read")).await).1, "HANDS_OUT_MORE");
    let activation = ok(world.admin.activate_emergency_access(as_user("ana", activate())).await).activation.unwrap();
    let until = activation.expires_at;
    // As long as she holds it.
    assert_eq!(refused(world.admin.create_grants(granting("user:bo", "tasks.read")).await).1, "HANDS_OUT_MORE");
    let timed = |member: &str| {
        let mut request = granting(member, "tasks.read");
        let period = Some(Period { starts_at: None, expires_at: until });
        request.get_mut().grant.as_mut().unwrap().period = period;
        request
    };
    ok(world.admin.create_grants(timed("user:bo")).await);
    // What she may hand out anyway is not marked, nor that once she holds it herself.
    ok(world.admin.create_grants(granting("user:bo", "roles.assign")).await);
    grant(&world, "user:ana", &["tasks.read"]).await;
    ok(world.admin.create_grants(timed("user:cy")).await);
    let summary = "create grant of `tasks.read` to `user:bo` at the organization";
    assert_eq!(told(&world, &activation.id).await, [of("CreateGrants", summary)]);
}

#[tokio::test]
async fn m7_4_a_change_that_is_exempt_because_of_an_activation_is_marked() {
    let world = world().await;
    let bridge = Role {
        id: "bridge".into(),
        scope: RoleScope::Organization.into(),
        permissions: vec!["users.provision".into()],
        ..Role::default()
    };
    let request = CreateRoleRequest { organization: "acme".into(), role: Some(bridge), ..Default::default() };
    ok(world.admin.create_role(by(request)).await);
    ok(world.admin.create_emergency_rule(by(create(EmergencyRule { role: "bridge".into(), ..rule(&["ana"]) }))).await);
    grant(&world, "user:ana", &["users.update"]).await;
    grant(&world, "user:bo", &["tasks.read"]).await;
    let readdress = |email: &str| {
        let user = Some(User { id: "bo".into(), email: email.into(), ..User::default() });
        as_user("ana", UpdateUserRequest { organization: "acme".into(), user, ..Default::default() })
    };
    assert_eq!(refused(world.admin.update_user(readdress("bo2@acme.com")).await).1, "HANDS_OUT_MORE");
    let there = ActivateEmergencyAccessRequest { role: "bridge".into(), ..activate() };
    let activation = ok(world.admin.activate_emergency_access(as_user("ana", there)).await).activation.unwrap().id;
    ok(world.admin.update_user(readdress("bo2@acme.com")).await);
    // Once she holds what Bo does, nothing need be exempt.
    grant(&world, "user:ana", &["tasks.read"]).await;
    ok(world.admin.update_user(readdress("bo3@acme.com")).await);
    assert_eq!(told(&world, &activation).await, [of("UpdateUser", "update user `bo`")]);
}
