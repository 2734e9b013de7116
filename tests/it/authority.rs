//! Whose permissions decide of an admin call, and what it may hand out: rules 7.6, 3.7 and 7.1, over the wire.

use doorward::clock::{Clock, SystemClock};
use doorward::service::proto as pb;
use doorward::service::proto::credential_service_client::CredentialServiceClient;
use doorward::service::proto::group_service_client::GroupServiceClient;
use doorward::service::proto::organization_service_client::OrganizationServiceClient;
use doorward::service::proto::role_service_client::RoleServiceClient;
use doorward::service::proto::user_service_client::UserServiceClient;
use tonic::Code;

use crate::callers::{Who, World, credential_of, granting, outcome};
use crate::wire::{create_user, user};

fn at_account(id: &str) -> Option<pb::Target> {
    Some(pb::Target { account: id.into(), ..Default::default() })
}

fn masked(id: &str, first_name: &str) -> pb::UpdateUserRequest {
    let user = pb::User { id: id.into(), first_name: first_name.into(), ..Default::default() };
    pb::UpdateUserRequest { organization: "acme".into(), user: Some(user), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m7_6_a_permission_counts_where_the_call_touches() {
    let world = World::new().await;
    world.furnish().await;
    let spare = pb::User { account: "spare".into(), ..user("sid", "sid@acme.com") };
    create_user(&world.wire, "acme", spare).await.unwrap();
    let who = world.caller("acme", "clerk", &[]).await;
    world
        .grant("acme", "service:clerk", &["users.update", "users.read", "users.set_status"], at_account("spare"))
        .await;
    let mut users = UserServiceClient::new(world.server.channel().await);

    assert_eq!(outcome(users.update_user(who.request(masked("sid", "Sid"))).await), "ok");
    assert_eq!(outcome(users.update_user(who.request(masked("ana", "Ana"))).await), "PERMISSION_DENIED");
    let mut moved = masked("sid", "");
    moved.user.as_mut().unwrap().account = "main".into();
    let out = outcome(users.update_user(who.request(moved)).await);
    assert_eq!(out, "PERMISSION_DENIED", "out of the account where it holds it");
    let list = |account: &str| pb::ListUsersRequest {
        organization: "acme".into(),
        account: account.into(),
        ..Default::default()
    };
    let listed = users.list_users(who.request(list("spare"))).await.unwrap().into_inner();
    assert_eq!(listed.users.iter().map(|u| u.id.as_str()).collect::<Vec<_>>(), ["sid"]);
    for account in ["", "main", "no-such-account"] {
        assert_eq!(outcome(users.list_users(who.request(list(account))).await), "PERMISSION_DENIED", "{account}");
    }
    // What is not there is no news for who may not look.
    let get = |id: &str| pb::GetUserRequest { organization: "acme".into(), user: id.into(), ..Default::default() };
    let missing = users.get_user(who.request(get("nobody"))).await.unwrap_err();
    let there = users.get_user(who.request(get("ana"))).await.unwrap_err();
    assert_eq!((missing.code(), missing.message()), (there.code(), there.message()));
    let as_operator = Who::of(&world.operator);
    assert_eq!(outcome(users.get_user(as_operator.request(get("nobody"))).await), "NOT_FOUND");

    // A reply is not repeated to who may not have it any more.
    let again = pb::UpdateUserRequest { request_id: "once".into(), ..masked("sid", "Sidney") };
    assert_eq!(outcome(users.update_user(who.request(again.clone())).await), "ok");
    assert_eq!(outcome(users.update_user(who.request(again.clone())).await), "ok");
    let request = pb::DeleteGrantsRequest {
        organization: "acme".into(),
        permissions: vec!["users.update".into()],
        member: "service:clerk".into(),
        target: at_account("spare"),
        ..Default::default()
    };
    RoleServiceClient::new(world.wire.clone()).delete_grants(request).await.unwrap();
    assert_eq!(outcome(users.update_user(who.request(again)).await), "PERMISSION_DENIED");
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m7_6_on_behalf_of_a_user_its_permissions_alone_decide() {
    let world = World::new().await;
    world.furnish().await;
    create_user(&world.wire, "acme", user("eve", "eve@elsewhere.org")).await.unwrap();
    for who in ["user:ana", "user:eve", "user:lim"] {
        world.grant("acme", who, &["users.read"], None).await;
    }
    world.service("acme", "backend").await;
    world.grant("acme", "service:backend", &["*"], None).await;
    let trusted = pb::CreateCredentialRequest { acts_for_users: true, ..credential_of("acme", "backend") };
    let backend = Who::of(&world.credential(trusted).await.secret);
    let ana = Who { on_behalf_of: Some("user:ana"), ..backend.clone() };
    let mut users = UserServiceClient::new(world.server.channel().await);
    let get = || pb::GetUserRequest { organization: "acme".into(), user: "ana".into(), ..Default::default() };
    assert_eq!(outcome(users.get_user(ana.request(get())).await), "ok");
    assert_eq!(outcome(users.update_user(ana.request(masked("ana", "A"))).await), "PERMISSION_DENIED");
    assert_eq!(outcome(users.update_user(backend.request(masked("ana", "A"))).await), "ok", "in its own name");
    let operator = Who { on_behalf_of: Some("user:ana"), ..Who::of(&world.operator) };
    assert_eq!(outcome(users.update_user(operator.request(masked("ana", "A"))).await), "PERMISSION_DENIED");
    for (who, refused) in
        [("user:lim", "PRINCIPAL_LIMITED"), ("user:gone", "PRINCIPAL_INACTIVE"), ("user:nobody", "PRINCIPAL_UNKNOWN")]
    {
        let who = Who { on_behalf_of: Some(who), ..backend.clone() };
        assert_eq!(outcome(users.get_user(who.request(get())).await), refused);
    }
    for wrong in ["ana", "service:backend", "user:", "group:g"] {
        let who = Who { on_behalf_of: Some(wrong), ..backend.clone() };
        assert_eq!(outcome(users.get_user(who.request(get())).await), "INVALID_REQUEST", "{wrong}");
    }

    // Rule 4.3, by what the backend says.
    let organization = pb::Organization {
        id: "acme".into(),
        settings: Some(pb::OrganizationSettings {
            external_reauthentication: Some(pb::ExternalReauthentication {
                max_age: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }),
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let request = pb::UpdateOrganizationRequest { organization: Some(organization), ..Default::default() };
    OrganizationServiceClient::new(world.wire.clone()).update_organization(request).await.unwrap();
    let eve = Who { on_behalf_of: Some("user:eve"), ..backend };
    assert_eq!(outcome(users.get_user(eve.request(get())).await), "REAUTHENTICATION_REQUIRED");
    for (at, said) in [(SystemClock.now() - 60_000, "ok"), (1_000, "REAUTHENTICATION_REQUIRED")] {
        let mut request = eve.request(get());
        let at = doorward::core::condition::timestamp_text(at);
        request.metadata_mut().insert("x-doorward-authenticated-at", at.parse().unwrap());
        assert_eq!(outcome(users.get_user(request).await), said, "{at}");
    }
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m3_7_nobody_hands_out_what_they_lack() {
    let world = World::new().await;
    world.furnish().await;
    let held = [
        "roles.assign",
        "roles.configure",
        "groups.manage",
        "groups.manage_members",
        "credentials.manage",
        "users.update",
        "permissions.manage",
        "tasks.read",
    ];
    let clerk = world.caller("acme", "clerk", &held).await;
    world.grant("acme", "group:g", &["records.delete"], None).await;
    world.grant("acme", "user:lim", &["records.delete"], None).await;
    world.caller("acme", "admin", &["*"]).await;
    let channel = world.server.channel().await;
    let (mut roles, mut groups) = (RoleServiceClient::new(channel.clone()), GroupServiceClient::new(channel.clone()));
    let (mut users, mut tokens) =
        (UserServiceClient::new(channel.clone()), CredentialServiceClient::new(channel.clone()));
    let mut organizations = OrganizationServiceClient::new(channel);
    const MORE: &str = "HANDS_OUT_MORE";
    let revision = async || {
        let request = pb::GetOrganizationRequest { organization: "acme".into(), ..Default::default() };
        let reply = OrganizationServiceClient::new(world.wire.clone()).get_organization(request).await.unwrap();
        reply.into_inner().revision.unwrap().number
    };

    // Grants: what it holds, not a wildcard over it, not to itself either.
    for (permission, to) in
        [("records.read", "user:lim"), ("tasks.*", "user:lim"), ("*", "service:clerk"), ("records.read", "group:g")]
    {
        assert_eq!(outcome(roles.create_grants(clerk.request(granting(permission, to))).await), MORE, "{permission}");
    }
    // Assignments.
    let assign = |role: &str| {
        let assignment = pb::Assignment { role: role.into(), member: "user:lim".into(), ..Default::default() };
        pb::CreateAssignmentRequest { organization: "acme".into(), assignment: Some(assignment), ..Default::default() }
    };
    assert_eq!(outcome(roles.create_assignment(clerk.request(assign("organization-admin"))).await), MORE);
    // What a role contains, where it is held.
    let fill = |permissions: &[&str]| {
        let permissions = permissions.iter().map(ToString::to_string).collect();
        let role = pb::Role { id: "helper".into(), permissions, ..Default::default() };
        pb::UpdateRoleRequest { organization: "acme".into(), role: Some(role), ..Default::default() }
    };
    assert_eq!(outcome(roles.update_role(clerk.request(fill(&["tasks.read", "records.read"]))).await), MORE);
    // Membership and nesting.
    let join = |members: &[&str]| pb::AddMembersRequest {
        organization: "acme".into(),
        group: "g".into(),
        members: members.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    assert_eq!(outcome(groups.add_members(clerk.request(join(&["service:clerk"]))).await), MORE);
    let nest = pb::CreateGroupRequest {
        organization: "acme".into(),
        group: Some(pb::Group { id: "inner".into(), kind: pb::GroupKind::Manual.into(), ..Default::default() }),
        ..Default::default()
    };
    GroupServiceClient::new(world.wire.clone()).create_group(nest).await.unwrap();
    assert_eq!(outcome(groups.add_members(clerk.request(join(&["group:inner"]))).await), MORE);
    // A dynamic group over one more of the organization's domains.
    let dynamic = |domain: &str| pb::Group {
        id: "d".into(),
        kind: pb::GroupKind::Dynamic.into(),
        domains: vec![domain.into()],
        ..Default::default()
    };
    let group = Some(dynamic("else.org"));
    let request = pb::CreateGroupRequest { organization: "acme".into(), group, ..Default::default() };
    GroupServiceClient::new(world.wire.clone()).create_group(request).await.unwrap();
    world.grant("acme", "group:d", &["records.delete"], None).await;
    let before = revision().await;
    let group = Some(dynamic("acme.com"));
    let request = pb::UpdateGroupRequest { organization: "acme".into(), group, ..Default::default() };
    assert_eq!(outcome(groups.update_group(clerk.request(request)).await), MORE);
    // Who changes an address, or a credential, could be its principal.
    let address = |id: &str| {
        let mut request = masked(id, "");
        request.user.as_mut().unwrap().email = format!("{id}2@acme.com");
        request
    };
    assert_eq!(outcome(users.update_user(clerk.request(address("lim"))).await), MORE);
    assert_eq!(outcome(tokens.create_credential(clerk.request(credential_of("acme", "admin"))).await), MORE);
    let trusted = pb::CreateCredentialRequest { acts_for_users: true, ..credential_of("acme", "robot") };
    assert_eq!(outcome(tokens.create_credential(clerk.request(trusted)).await), "PERMISSION_DENIED");
    assert_eq!(revision().await, before, "what is refused leaves nothing changed");

    // What it holds, it may hand out.
    assert_eq!(outcome(roles.create_grants(clerk.request(granting("tasks.read", "user:lim"))).await), "ok");
    assert_eq!(outcome(roles.create_assignment(clerk.request(assign("helper"))).await), "ok");
    assert_eq!(outcome(users.update_user(clerk.request(address("ana"))).await), "ok");
    assert_eq!(outcome(tokens.create_credential(clerk.request(credential_of("acme", "robot"))).await), "ok");
    let own = pb::Permission {
        name: "own.thing".into(),
        level: pb::PermissionLevel::Organization.into(),
        ..Default::default()
    };
    let request = pb::UpdatePermissionRequest {
        organization: "acme".into(),
        permission: Some(own.clone()),
        ..Default::default()
    };
    assert_eq!(outcome(organizations.update_permission(clerk.request(request)).await), "ok", "narrower");
    let wider = pb::Permission { level: pb::PermissionLevel::Object.into(), ..own };
    let request =
        pb::UpdatePermissionRequest { organization: "acme".into(), permission: Some(wider), ..Default::default() };
    assert_eq!(outcome(organizations.update_permission(clerk.request(request)).await), MORE, "wider");

    // For no longer than it holds it.
    let soon = SystemClock.now() + 3_600_000;
    let until = |at| pb::Period { starts_at: None, expires_at: Some(doorward::service::to_timestamp(at)) };
    let mut timed = granting("records.comment", "service:clerk");
    timed.grant.as_mut().unwrap().period = Some(until(soon));
    RoleServiceClient::new(world.wire.clone()).create_grants(timed).await.unwrap();
    for (end, said) in [(None, MORE), (Some(soon + 1), MORE), (Some(soon), "ok")] {
        let mut request = granting("records.comment", "user:ana");
        request.grant.as_mut().unwrap().period = end.map(until);
        assert_eq!(outcome(roles.create_grants(clerk.request(request)).await), said, "{end:?}");
    }
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m7_1_the_invite_policy_is_asked_of_who_does_not_administer() {
    let world = World::new().await;
    world.furnish().await;
    let host = world.caller("acme", "host", &["organization_users.create"]).await;
    let admin = world.caller("acme", "admin", &["organization.admin"]).await;
    let mut users = UserServiceClient::new(world.server.channel().await);
    let invite = |email: &str| pb::InviteUserRequest {
        organization: "acme".into(),
        user: Some(user("new", email)),
        validate_only: true,
        ..Default::default()
    };
    let policy = async |mode: pb::InvitePolicyMode| {
        let domains = if mode == pb::InvitePolicyMode::AllowedDomains { vec!["acme.com".to_owned()] } else { vec![] };
        let invite_policy = Some(pb::InvitePolicy { mode: mode.into(), domains });
        let settings = Some(pb::OrganizationSettings { invite_policy, ..Default::default() });
        let organization = pb::Organization { id: "acme".into(), settings, ..Default::default() };
        let request = pb::UpdateOrganizationRequest { organization: Some(organization), ..Default::default() };
        OrganizationServiceClient::new(world.wire.clone()).update_organization(request).await.unwrap();
    };
    for (mode, own, foreign) in [
        (pb::InvitePolicyMode::AdminsOnly, "INVITE_POLICY", "INVITE_POLICY"),
        (pb::InvitePolicyMode::AllowedDomains, "ok", "INVITE_POLICY"),
        (pb::InvitePolicyMode::AnyDomain, "ok", "ok"),
    ] {
        policy(mode).await;
        assert_eq!(outcome(users.invite_user(host.request(invite("new@acme.com"))).await), own, "{mode:?}");
        assert_eq!(outcome(users.invite_user(host.request(invite("new@else.org"))).await), foreign, "{mode:?}");
        assert_eq!(outcome(users.invite_user(admin.request(invite("new@else.org"))).await), "ok", "{mode:?}");
    }
    policy(pb::InvitePolicyMode::AdminsOnly).await;
    let refused = users.invite_user(host.request(invite("new@acme.com"))).await.unwrap_err();
    assert_eq!((refused.code(), crate::wire::fields(&refused)), (Code::InvalidArgument, vec!["user.email".to_owned()]));
    world.server.stop().await;
}
