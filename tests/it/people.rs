//! Who administers, over the wire: rule 3.7.

use doorward::service::proto as pb;
use doorward::service::proto::group_service_client::GroupServiceClient;
use doorward::service::proto::organization_service_client::OrganizationServiceClient;
use doorward::service::proto::relation_service_client::RelationServiceClient;
use doorward::service::proto::role_service_client::RoleServiceClient;
use doorward::service::proto::user_service_client::UserServiceClient;
use tonic::Code;

use crate::callers::{World, granting, outcome};
use crate::wire::{create_user, reason, user};

pub const ADMINISTRATOR: &str = "organization-admin";

pub fn acme() -> String {
    "acme".to_owned()
}

pub fn assignment(role: &str, member: &str) -> pb::CreateAssignmentRequest {
    let assignment = pb::Assignment { role: role.into(), member: member.into(), ..Default::default() };
    pb::CreateAssignmentRequest { organization: acme(), assignment: Some(assignment), ..Default::default() }
}

fn unassign(role: &str, member: &str) -> pb::DeleteAssignmentRequest {
    let (role, member) = (role.into(), member.into());
    pb::DeleteAssignmentRequest { organization: acme(), role, member, ..Default::default() }
}

pub async fn revision(world: &World) -> u64 {
    let request = pb::GetOrganizationRequest { organization: acme(), ..Default::default() };
    let reply = OrganizationServiceClient::new(world.wire.clone()).get_organization(request).await.unwrap();
    reply.into_inner().revision.unwrap().number
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m3_7_the_last_administrator_stays() {
    const LAST: &str = "LAST_ADMINISTRATOR";
    let world = World::new().await;
    world.furnish().await;
    let mut roles = RoleServiceClient::new(world.wire.clone());
    let mut users = UserServiceClient::new(world.wire.clone());
    let mut groups = GroupServiceClient::new(world.wire.clone());
    let deactivate =
        |id: &str| pb::DeactivateUserRequest { organization: acme(), user: id.into(), ..Default::default() };
    let downgrade = |id: &str| pb::DowngradeUserRequest { organization: acme(), user: id.into(), ..Default::default() };

    let unhindered = pb::DeleteSeparationConstraintRequest {
        organization: acme(),
        separation_constraint: "pay".into(),
        ..Default::default()
    };
    roles.delete_separation_constraint(unhindered).await.unwrap();

    // Where nobody administers, nothing is guarded.
    assert_eq!(outcome(users.downgrade_user(downgrade("ana")).await), "ok");
    let upgrade = pb::UpgradeUserRequest { organization: acme(), user: "ana".into(), ..Default::default() };
    assert_eq!(outcome(users.upgrade_user(upgrade).await), "ok");

    // Ana is the last: whoever calls, she stays, whichever way she would go.
    roles.create_assignment(assignment(ADMINISTRATOR, "user:ana")).await.unwrap();
    for other in ["user:lim", "user:gone", "user:inv", "group:g"] {
        // These hold it and could not act, or nobody is in them.
        roles.create_assignment(assignment(ADMINISTRATOR, other)).await.unwrap();
    }
    let before = revision(&world).await;
    let refused = roles.delete_assignment(unassign(ADMINISTRATOR, "user:ana")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, LAST));
    assert_eq!(outcome(users.deactivate_user(deactivate("ana")).await), LAST);
    assert_eq!(outcome(users.downgrade_user(downgrade("ana")).await), LAST);
    let mut dry = deactivate("ana");
    dry.validate_only = true;
    assert_eq!(outcome(users.deactivate_user(dry).await), LAST, "a dry run says so too");
    assert_eq!(revision(&world).await, before, "what is refused leaves nothing changed");

    // Another may take her place: through a group, which then is guarded.
    create_user(&world.wire, "acme", user("bo", "bo@acme.com")).await.unwrap();
    let join = pb::AddMembersRequest {
        organization: acme(),
        group: "g".into(),
        members: vec!["user:bo".into()],
        ..Default::default()
    };
    groups.add_members(join).await.unwrap();
    assert_eq!(outcome(roles.delete_assignment(unassign(ADMINISTRATOR, "user:ana")).await), "ok");
    let leave = pb::RemoveMembersRequest {
        organization: acme(),
        group: "g".into(),
        members: vec!["user:bo".into()],
        ..Default::default()
    };
    assert_eq!(outcome(groups.remove_members(leave).await), LAST);
    let delete = pb::DeleteGroupRequest { organization: acme(), group: "g".into(), ..Default::default() };
    // A policy would go with it; the administrator does not.
    assert_eq!(outcome(groups.delete_group(delete).await), LAST);
    assert_eq!(outcome(roles.delete_assignment(unassign(ADMINISTRATOR, "group:g")).await), LAST);
    assert_eq!(outcome(users.deactivate_user(deactivate("bo")).await), LAST);

    // Through a role of one's own: neither what it contains nor the role itself goes.
    let own = pb::Role {
        id: "chief".into(),
        scope: pb::RoleScope::Organization.into(),
        permissions: vec!["organization.admin".into(), "tasks.read".into()],
        ..Default::default()
    };
    let request = pb::CreateRoleRequest { organization: acme(), role: Some(own.clone()), ..Default::default() };
    roles.create_role(request).await.unwrap();
    roles.create_assignment(assignment("chief", "user:ana")).await.unwrap();
    assert_eq!(outcome(roles.delete_assignment(unassign(ADMINISTRATOR, "group:g")).await), "ok");
    let less = pb::Role { permissions: vec!["tasks.read".into()], ..own };
    let request = pb::UpdateRoleRequest { organization: acme(), role: Some(less), ..Default::default() };
    assert_eq!(outcome(roles.update_role(request).await), LAST);
    let request = pb::DeleteRoleRequest { organization: acme(), role: "chief".into(), ..Default::default() };
    assert_eq!(outcome(roles.delete_role(request).await), LAST);

    // Through the domain of a dynamic group.
    let staff = pb::Group {
        id: "staff".into(),
        kind: pb::GroupKind::Dynamic.into(),
        domains: vec!["acme.com".into()],
        ..Default::default()
    };
    let request = pb::CreateGroupRequest { organization: acme(), group: Some(staff), ..Default::default() };
    groups.create_group(request).await.unwrap();
    roles.create_assignment(assignment(ADMINISTRATOR, "group:staff")).await.unwrap();
    assert_eq!(outcome(roles.delete_assignment(unassign("chief", "user:ana")).await), "ok");
    let mut organizations = OrganizationServiceClient::new(world.wire.clone());
    let request =
        pb::RemoveEmailDomainRequest { organization: acme(), domain: "acme.com".into(), ..Default::default() };
    assert_eq!(outcome(organizations.remove_email_domain(request).await), LAST);

    // By a grant; and that it ends one day is no removal.
    roles.create_grants(granting("organization.*", "user:ana")).await.unwrap();
    assert_eq!(outcome(roles.delete_assignment(unassign(ADMINISTRATOR, "group:staff")).await), "ok");
    let mut ends = granting("organization.*", "user:ana");
    let expires_at = Some(doorward::service::to_timestamp(4_000_000_000_000));
    ends.grant.as_mut().unwrap().period = Some(pb::Period { starts_at: None, expires_at });
    let ends = pb::UpdateGrantsRequest { organization: acme(), grant: ends.grant, ..Default::default() };
    assert_eq!(outcome(roles.update_grants(ends).await), "ok");
    let mut over = granting("organization.*", "user:ana");
    let expires_at = Some(doorward::service::to_timestamp(1_000));
    over.grant.as_mut().unwrap().period = Some(pb::Period { starts_at: None, expires_at });
    let over = pb::UpdateGrantsRequest { organization: acme(), grant: over.grant, ..Default::default() };
    assert_eq!(outcome(roles.update_grants(over).await), LAST);
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m3_7_what_is_given_by_rule_and_what_a_relation_shares_is_handed_out_too() {
    const MORE: &str = "HANDS_OUT_MORE";
    let world = World::new().await;
    world.furnish().await;
    // A user of an integration organization gets a role by rule.
    let invite_policy = Some(pb::InvitePolicy { mode: pb::InvitePolicyMode::AnyDomain.into(), domains: vec![] });
    let connect = pb::Organization {
        id: "connect".into(),
        preset: pb::Preset::Integration.into(),
        settings: Some(pb::OrganizationSettings { invite_policy, ..Default::default() }),
        ..Default::default()
    };
    let request = pb::CreateOrganizationRequest { organization: Some(connect), ..Default::default() };
    OrganizationServiceClient::new(world.wire.clone()).create_organization(request).await.unwrap();
    let account = Some(pb::Account { id: "west".into(), ..Default::default() });
    let request = pb::CreateAccountRequest { organization: "connect".into(), account, ..Default::default() };
    OrganizationServiceClient::new(world.wire.clone()).create_account(request).await.unwrap();
    let clerk = world.caller("connect", "clerk", &["organization_users.create", "users.update"]).await;
    let in_west = Some(pb::Target { account: "west".into(), ..Default::default() });
    let given = ["elements.read", "element_instances.*", "formula_templates.run", "virtual_data_resources.read"];
    world.grant("connect", "service:clerk", &given, in_west).await;
    let mut users = UserServiceClient::new(world.server.channel().await);
    let create = |id: &str, account: &str| pb::CreateUserRequest {
        organization: "connect".into(),
        user: Some(pb::User { account: account.into(), ..user(id, &format!("{id}@else.org")) }),
        ..Default::default()
    };
    assert_eq!(outcome(users.create_user(clerk.request(create("one", ""))).await), MORE, "`org` at the organization");
    assert_eq!(outcome(users.create_user(clerk.request(create("two", "west"))).await), "ok", "`default-user` there");
    let moved = pb::User { id: "two".into(), account: "main".into(), ..Default::default() };
    let request = pb::UpdateUserRequest { organization: "connect".into(), user: Some(moved), ..Default::default() };
    assert_eq!(outcome(users.update_user(clerk.request(request)).await), MORE, "moved to where it gets more");

    // Whoever shares a record hands out what sharing gives.
    let role = pb::Role {
        id: "guest".into(),
        scope: pb::RoleScope::Object.into(),
        object: "app".into(),
        permissions: vec!["records.delete".into()],
        auto_share: vec![pb::Relation::Shared.into()],
        ..Default::default()
    };
    let request = pb::CreateRoleRequest { organization: acme(), role: Some(role), ..Default::default() };
    RoleServiceClient::new(world.wire.clone()).create_role(request).await.unwrap();
    let reporter = world.caller("acme", "reporter", &["relations.report"]).await;
    let mut relations = RelationServiceClient::new(world.server.channel().await);
    let report = |relation: pb::Relation| pb::ReportRelationRequest {
        organization: acme(),
        report: Some(pb::RelationReport {
            relation: Some(pb::RecordRelation {
                relation: relation.into(),
                member: "user:ana".into(),
                object: "app".into(),
                record: "r-1".into(),
            }),
            event: pb::RelationEvent::Added.into(),
        }),
        ..Default::default()
    };
    assert_eq!(outcome(relations.report_relation(reporter.request(report(pb::Relation::Shared))).await), MORE);
    assert_eq!(outcome(relations.report_relation(reporter.request(report(pb::Relation::Watcher))).await), "ok");
    world.grant("acme", "service:reporter", &["records.delete"], None).await;
    assert_eq!(outcome(relations.report_relation(reporter.request(report(pb::Relation::Shared))).await), "ok");
    world.server.stop().await;
}
