//! Rule 3.7 at its edges, over the wire: each way to hand something out that is not an assignment, a grant or a
//! membership.

use doorward::clock::{Clock, SystemClock};
use doorward::service::proto as pb;
use doorward::service::proto::apply_organization_request::Part;
use doorward::service::proto::group_service_client::GroupServiceClient;
use doorward::service::proto::organization_service_client::OrganizationServiceClient;
use doorward::service::proto::role_service_client::RoleServiceClient;
use doorward::service::proto::user_service_client::UserServiceClient;
use pb::row::Kind;
use prost_types::FieldMask;

use crate::callers::{Who, World, granting, outcome};
use crate::people::{acme, revision};
use crate::wire::{create_user, user};

const MORE: &str = "HANDS_OUT_MORE";

fn mask(path: &str) -> Option<FieldMask> {
    Some(FieldMask { paths: vec![path.to_owned()] })
}

fn grant_row(permission: &str, member: &str) -> Kind {
    Kind::Grant(pb::Grant { permissions: vec![permission.into()], member: member.into(), ..Default::default() })
}

/// Applies what `who` exports, with these rows more.
async fn apply_with(world: &World, who: &Who, more: Vec<Kind>) -> String {
    let mut organizations = OrganizationServiceClient::new(world.server.channel().await);
    let request = pb::ExportOrganizationRequest { organization: acme(), min_revision: None };
    let mut stream = organizations.export_organization(who.request(request)).await.unwrap().into_inner();
    let mut rows = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        rows.extend(message.rows);
    }
    rows.extend(more.into_iter().map(|kind| pb::Row { kind: Some(kind) }));
    let header = pb::ApplyHeader { organization: acme(), ..Default::default() };
    let end = pb::ApplyEnd { row_count: rows.len() as u64 };
    let parts = [Part::Header(header), Part::Rows(pb::RowBatch { rows }), Part::End(end)];
    let parts = parts.map(|part| pb::ApplyOrganizationRequest { part: Some(part) });
    outcome(organizations.apply_organization(who.request(tokio_stream::iter(parts))).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m3_7_an_applied_file_hands_out_no_more_than_its_caller_holds() {
    let world = World::new().await;
    world.furnish().await;
    let clerk = world.caller("acme", "clerk", &["organization.read", "roles.assign"]).await;
    let before = revision(&world).await;
    assert_eq!(apply_with(&world, &clerk, vec![grant_row("records.delete", "user:ana")]).await, MORE);
    // Each difference asks for what it would ask as a call of its own: one that is refused refuses all.
    let west = || Kind::Account(pb::Account { id: "west".into(), ..Default::default() });
    assert_eq!(apply_with(&world, &clerk, vec![west()]).await, "PERMISSION_DENIED");
    let both = vec![west(), grant_row("organization.read", "user:ana")];
    assert_eq!(apply_with(&world, &clerk, both).await, "PERMISSION_DENIED");
    let both = vec![grant_row("records.delete", "user:ana"), grant_row("organization.read", "user:ana")];
    assert_eq!(apply_with(&world, &clerk, both).await, MORE);
    assert_eq!(revision(&world).await, before, "what is refused leaves nothing changed");
    assert_eq!(apply_with(&world, &clerk, vec![grant_row("organization.read", "user:ana")]).await, "ok");
    assert_eq!(revision(&world).await, before + 1);
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m3_7_a_domain_hands_out_what_depends_on_it() {
    let world = World::new().await;
    world.furnish().await;
    let clerk = world.caller("acme", "clerk", &["organization.update"]).await;
    let dynamic = pb::Group {
        id: "d".into(),
        kind: pb::GroupKind::Dynamic.into(),
        domains: vec!["else.org".into()],
        ..Default::default()
    };
    let around = pb::Group { id: "around".into(), kind: pb::GroupKind::Manual.into(), ..Default::default() };
    let mut groups = GroupServiceClient::new(world.wire.clone());
    for group in [dynamic, around] {
        let request = pb::CreateGroupRequest { organization: acme(), group: Some(group), ..Default::default() };
        groups.create_group(request).await.unwrap();
    }
    let members = vec!["group:d".to_owned()];
    let request = pb::AddMembersRequest { organization: acme(), group: "around".into(), members, ..Default::default() };
    groups.add_members(request).await.unwrap();
    world.grant("acme", "group:around", &["records.delete"], None).await;
    create_user(&world.wire, "acme", user("eve", "eve@kin.org")).await.unwrap();
    world.grant("acme", "group:internal-users", &["records.comment"], None).await;
    let mut organizations = OrganizationServiceClient::new(world.server.channel().await);
    let add = |domain: &str, audience: pb::UserKind| pb::AddEmailDomainRequest {
        organization: acme(),
        email_domain: Some(pb::EmailDomain { domain: domain.into(), audience: audience.into() }),
        ..Default::default()
    };
    let before = revision(&world).await;
    for audience in [pb::UserKind::External, pb::UserKind::Internal] {
        let request = add("else.org", audience);
        assert_eq!(outcome(organizations.add_email_domain(clerk.request(request)).await), MORE, "a group's");
    }
    // Eve would be internal.
    let request = add("kin.org", pb::UserKind::Internal);
    assert_eq!(outcome(organizations.add_email_domain(clerk.request(request.clone())).await), MORE, "a kind's");
    assert_eq!(revision(&world).await, before);
    let external = add("kin.org", pb::UserKind::External);
    assert_eq!(outcome(organizations.add_email_domain(clerk.request(external)).await), "ok", "gives nothing");
    world.grant("acme", "service:clerk", &["records.delete", "records.comment"], None).await;
    let request = add("else.org", pb::UserKind::Internal);
    assert_eq!(outcome(organizations.add_email_domain(clerk.request(request)).await), "ok");
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m3_7_a_loosened_mark_hands_out_its_permission() {
    let world = World::new().await;
    world.furnish().await;
    let clerk = world.caller("acme", "clerk", &["permissions.manage"]).await;
    let strict = pb::Permission {
        name: "own.strict".into(),
        requires_visibility: true,
        requires_approver: true,
        when_not_owner: "records.delete".into(),
        ..Default::default()
    };
    let mut organizations = OrganizationServiceClient::new(world.server.channel().await);
    let permission = Some(strict.clone());
    let request = pb::CreatePermissionRequest { organization: acme(), permission, ..Default::default() };
    assert_eq!(outcome(organizations.create_permission(clerk.request(request)).await), "ok", "nobody holds it yet");
    let update = |path: &str, permission: pb::Permission| pb::UpdatePermissionRequest {
        organization: acme(),
        permission: Some(permission),
        update_mask: mask(path),
        ..Default::default()
    };
    let loosened = [
        ("requires_visibility", pb::Permission { requires_visibility: false, ..strict.clone() }),
        ("requires_approver", pb::Permission { requires_approver: false, ..strict.clone() }),
        ("when_not_owner", pb::Permission { when_not_owner: String::new(), ..strict.clone() }),
        ("when_not_owner", pb::Permission { when_not_owner: "tasks.read".into(), ..strict.clone() }),
    ];
    let before = revision(&world).await;
    for (path, permission) in &loosened {
        let request = update(path, permission.clone());
        assert_eq!(outcome(organizations.update_permission(clerk.request(request)).await), MORE, "{path}");
    }
    assert_eq!(revision(&world).await, before);
    world.grant("acme", "service:clerk", &["own.strict"], None).await;
    for (path, permission) in loosened {
        let request = update(path, permission);
        assert_eq!(outcome(organizations.update_permission(clerk.request(request)).await), "ok", "{path}");
    }
    let tighter = update("requires_visibility", strict);
    let request = pb::DeleteGrantsRequest {
        organization: acme(),
        permissions: vec!["own.strict".into()],
        member: "service:clerk".into(),
        ..Default::default()
    };
    RoleServiceClient::new(world.wire.clone()).delete_grants(request).await.unwrap();
    assert_eq!(
        outcome(organizations.update_permission(clerk.request(tighter)).await),
        "ok",
        "a mark set gives nothing"
    );
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m3_7_whose_sign_on_is_changed_is_who_the_caller_could_be() {
    let world = World::new().await;
    world.furnish().await;
    world.grant("acme", "user:lim", &["records.delete"], None).await;
    let clerk = world.caller("acme", "clerk", &["users.update", "tasks.read"]).await;
    let mut users = UserServiceClient::new(world.server.channel().await);
    let bind = |id: &str| {
        let sign_ons = vec![pb::SignOn { issuer: "https://login.acme.com".into(), subject: format!("mine-{id}") }];
        let user = Some(pb::User { id: id.into(), sign_ons, ..Default::default() });
        let update_mask = mask("sign_ons");
        pb::UpdateUserRequest { organization: acme(), user, update_mask, ..Default::default() }
    };
    let before = revision(&world).await;
    assert_eq!(outcome(users.update_user(clerk.request(bind("lim"))).await), MORE);
    assert_eq!(revision(&world).await, before);
    assert_eq!(outcome(users.update_user(clerk.request(bind("ana"))).await), "ok", "it holds all that Ana does");
    // Who may not act now may act later: what the groups of its domain hold counts.
    let dynamic = pb::Group {
        id: "d".into(),
        kind: pb::GroupKind::Dynamic.into(),
        domains: vec!["acme.com".into()],
        ..Default::default()
    };
    let request = pb::CreateGroupRequest { organization: acme(), group: Some(dynamic), ..Default::default() };
    GroupServiceClient::new(world.wire.clone()).create_group(request).await.unwrap();
    world.grant("acme", "group:d", &["records.comment"], None).await;
    assert_eq!(outcome(users.update_user(clerk.request(bind("gone"))).await), MORE);
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m3_7_a_trigger_hands_out_the_role_where_it_shares() {
    let world = World::new().await;
    world.furnish().await;
    let clerk = world.caller("acme", "clerk", &["roles.configure"]).await;
    let sharer = pb::Role {
        id: "sharer".into(),
        scope: pb::RoleScope::Object.into(),
        object: "app".into(),
        permissions: vec!["records.delete".into()],
        ..Default::default()
    };
    let request = pb::CreateRoleRequest { organization: acme(), role: Some(sharer.clone()), ..Default::default() };
    RoleServiceClient::new(world.wire.clone()).create_role(request).await.unwrap();
    let shared = pb::Role { auto_share: vec![pb::Relation::Watcher.into()], ..sharer.clone() };
    let update = |role: &pb::Role| pb::UpdateRoleRequest {
        organization: acme(),
        role: Some(role.clone()),
        update_mask: mask("auto_share"),
        ..Default::default()
    };
    let mut roles = RoleServiceClient::new(world.server.channel().await);
    let before = revision(&world).await;
    assert_eq!(outcome(roles.update_role(clerk.request(update(&shared))).await), MORE);
    assert_eq!(revision(&world).await, before);
    let at = Some(pb::Target { object: "app".into(), ..Default::default() });
    world.grant("acme", "service:clerk", &["records.delete"], at).await;
    assert_eq!(outcome(roles.update_role(clerk.request(update(&shared))).await), "ok");
    assert_eq!(outcome(roles.update_role(clerk.request(update(&sharer))).await), "ok", "one taken away");
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m3_7_a_longer_period_hands_out_what_is_held_in_it() {
    let world = World::new().await;
    world.furnish().await;
    let clerk = world.caller("acme", "clerk", &["roles.assign"]).await;
    let soon = SystemClock.now() + 3_600_000;
    let until = |at: i64| Some(pb::Period { starts_at: None, expires_at: Some(doorward::service::to_timestamp(at)) });
    let assignment = |at: i64| {
        Some(pb::Assignment {
            role: "helper".into(),
            member: "user:lim".into(),
            period: until(at),
            ..Default::default()
        })
    };
    let grant = |at: i64| {
        let mut request = granting("records.comment", "user:lim");
        request.grant.as_mut().unwrap().period = until(at);
        request
    };
    let mut operator = RoleServiceClient::new(world.wire.clone());
    let request =
        pb::CreateAssignmentRequest { organization: acme(), assignment: assignment(soon), ..Default::default() };
    operator.create_assignment(request).await.unwrap();
    operator.create_grants(grant(soon)).await.unwrap();
    let mut roles = RoleServiceClient::new(world.server.channel().await);
    let before = revision(&world).await;
    for (end, said) in [(soon + 1, MORE), (soon - 1, "ok")] {
        let request =
            pb::UpdateAssignmentRequest { organization: acme(), assignment: assignment(end), ..Default::default() };
        assert_eq!(outcome(roles.update_assignment(clerk.request(request)).await), said, "an assignment");
        let grant = grant(end).grant;
        let request = pb::UpdateGrantsRequest { organization: acme(), grant, ..Default::default() };
        assert_eq!(outcome(roles.update_grants(clerk.request(request)).await), said, "a grant");
        assert_eq!(revision(&world).await, if said == "ok" { before + 2 } else { before });
    }
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m3_7_completing_a_registration_hands_out_nothing_and_inviting_does() {
    let world = World::new().await;
    world.furnish().await;
    world.grant("acme", "group:g", &["records.delete"], None).await;
    world.grant("acme", "group:all-users", &["records.comment"], None).await;
    let clerk = world.caller("acme", "clerk", &["organization_users.create", "users.set_status"]).await;
    let invite = |id: &str, groups: &[&str]| pb::InviteUserRequest {
        organization: acme(),
        user: Some(user(id, &format!("{id}@acme.com"))),
        groups: groups.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    UserServiceClient::new(world.wire.clone()).invite_user(invite("late", &["g"])).await.unwrap();
    let any = pb::InvitePolicy { mode: pb::InvitePolicyMode::AnyDomain.into(), domains: vec![] };
    let settings = Some(pb::OrganizationSettings { invite_policy: Some(any), ..Default::default() });
    let organization = Some(pb::Organization { id: acme(), settings, ..Default::default() });
    let request = pb::UpdateOrganizationRequest { organization, ..Default::default() };
    OrganizationServiceClient::new(world.wire.clone()).update_organization(request).await.unwrap();
    let mut users = UserServiceClient::new(world.server.channel().await);
    let before = revision(&world).await;
    assert_eq!(outcome(users.invite_user(clerk.request(invite("new", &["g"]))).await), MORE);
    assert_eq!(revision(&world).await, before);
    assert_eq!(outcome(users.invite_user(clerk.request(invite("new", &[]))).await), "ok");
    for id in ["late", "new"] {
        let request = pb::CompleteRegistrationRequest { organization: acme(), user: id.into(), ..Default::default() };
        assert_eq!(outcome(users.complete_registration(clerk.request(request)).await), "ok", "{id}");
    }
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m3_7_an_element_that_is_private_no_more_hands_out_what_reaches_it() {
    let world = World::new().await;
    world.furnish().await;
    let clerk = world.caller("acme", "clerk", &["objects.configure"]).await;
    let mut operator = OrganizationServiceClient::new(world.wire.clone());
    let private_to = "user:ana".to_owned();
    let kind = pb::ObjectKind::Element.into();
    let object = Some(pb::Object { id: "crm".into(), kind, private_to, ..Default::default() });
    let request = pb::CreateObjectRequest { organization: acme(), object, ..Default::default() };
    operator.create_object(request).await.unwrap();
    create_user(&world.wire, "acme", user("eve", "eve@acme.com")).await.unwrap();
    let mut organizations = OrganizationServiceClient::new(world.server.channel().await);
    let mut make = async |private_to: &str| {
        let object = Some(pb::Object { id: "crm".into(), private_to: private_to.into(), ..Default::default() });
        let update_mask = mask("private_to");
        let request = pb::UpdateObjectRequest { organization: acme(), object, update_mask, ..Default::default() };
        let validate_only = true;
        outcome(organizations.update_object(clerk.request(pb::UpdateObjectRequest { validate_only, ..request })).await)
    };
    assert_eq!(make("").await, "ok", "whoever holds anything there is the clerk");
    let there = || Some(pb::Target { object: "crm".into(), ..Default::default() });
    world.grant("acme", "user:ana", &["records.comment"], there()).await;
    assert_eq!(make("").await, "ok", "it was open to Ana");
    world.grant("acme", "user:eve", &["records.comment"], there()).await;
    assert_eq!(make("").await, MORE);
    assert_eq!(make("user:eve").await, MORE);
    assert_eq!(make("user:lim").await, "ok", "Eve has nothing of it");
    world.grant("acme", "service:clerk", &["records.comment"], there()).await;
    assert_eq!(make("").await, "ok");
    // At the organization, where it is of objects; by a group, whoever is in it; a wildcard needs one.
    world.grant("acme", "group:internal-users", &["records.delete"], None).await;
    assert_eq!(make("").await, MORE);
    world.grant("acme", "service:clerk", &["records.delete"], there()).await;
    assert_eq!(make("").await, "ok");
    world.grant("acme", "user:eve", &["records.*"], None).await;
    world.grant("acme", "service:clerk", &["records.*"], there()).await;
    assert_eq!(make("").await, MORE);
    assert_eq!(make("user:lim").await, "ok", "the group may be Lim's, and the clerk has what it has");
    world.grant("acme", "service:clerk", &["records.*"], None).await;
    assert_eq!(make("").await, "ok");
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m3_7_what_a_constraint_voids_for_the_caller_it_does_not_hand_out() {
    let world = World::new().await;
    world.furnish().await;
    let clerk = world.caller("acme", "clerk", &["roles.assign"]).await;
    let mut operator = RoleServiceClient::new(world.wire.clone());
    for (id, scope, permission) in
        [("payer", pb::RoleScope::Organization, "records.delete"), ("judge", pb::RoleScope::Object, "records.comment")]
    {
        let permissions = vec![permission.to_owned()];
        let role = Some(pb::Role { id: id.into(), scope: scope.into(), permissions, ..Default::default() });
        let request = pb::CreateRoleRequest { organization: acme(), role, ..Default::default() };
        operator.create_role(request).await.unwrap();
    }
    let app = || Some(pb::Target { object: "app".into(), ..Default::default() });
    for (role, target) in [("payer", None), ("judge", app())] {
        let member = "service:clerk".to_owned();
        let assignment = Some(pb::Assignment { role: role.into(), member, target, ..Default::default() });
        let request = pb::CreateAssignmentRequest { organization: acme(), assignment, ..Default::default() };
        operator.create_assignment(request).await.unwrap();
    }
    let object = Some(pb::Object { id: "other".into(), kind: pb::ObjectKind::App.into(), ..Default::default() });
    let request = pb::CreateObjectRequest { organization: acme(), object, ..Default::default() };
    OrganizationServiceClient::new(world.wire.clone()).create_object(request).await.unwrap();
    let mut roles = RoleServiceClient::new(world.server.channel().await);
    let mut give = async |permission: &str, target: Option<pb::Target>| {
        let mut request = granting(permission, "user:ana");
        request.grant.as_mut().unwrap().target = target;
        request.validate_only = true;
        outcome(roles.create_grants(clerk.request(request)).await)
    };
    assert_eq!(give("records.delete", None).await, "ok");
    assert_eq!(give("records.comment", app()).await, "ok");
    let apart = pb::SeparationConstraint {
        id: "apart".into(),
        roles: vec!["payer".into(), "judge".into()],
        max: 1,
        enforcement: pb::SeparationEnforcement::Deny.into(),
        ..Default::default()
    };
    let request = pb::CreateSeparationConstraintRequest {
        organization: acme(),
        separation_constraint: Some(apart),
        ..Default::default()
    };
    operator.create_separation_constraint(request).await.unwrap();
    assert_eq!(give("records.delete", None).await, MORE, "not at the app, which the organization includes");
    assert_eq!(give("records.delete", app()).await, MORE);
    assert_eq!(give("records.comment", app()).await, MORE);
    let other = Some(pb::Target { object: "other".into(), ..Default::default() });
    assert_eq!(give("records.delete", other).await, "ok", "where only one of them is held");
    world.server.stop().await;
}
