//! Where users come from and what becomes of them, over the wire: rules 2.2, 2.4, 2.6.

use doorward::service::proto as pb;
use doorward::service::proto::group_service_client::GroupServiceClient;
use doorward::service::proto::organization_service_client::OrganizationServiceClient;
use doorward::service::proto::role_service_client::RoleServiceClient;
use doorward::service::proto::user_service_client::UserServiceClient;
use tonic::Status;

use crate::callers::{World, granting, outcome};
use crate::people::{acme, revision};
use crate::wire::{Running, reason, user};

fn sign_on(issuer: &str, subject: &str) -> Option<pb::SignOn> {
    Some(pb::SignOn { issuer: issuer.into(), subject: subject.into() })
}

fn provision(subject: &str, email: &str) -> pb::ProvisionUserRequest {
    pb::ProvisionUserRequest {
        organization: acme(),
        sign_on: sign_on("https://login.acme.com", subject),
        email: email.into(),
        ..Default::default()
    }
}

async fn create_unknown(world: &World, auto_create_unknown_users: bool) {
    let settings = Some(pb::OrganizationSettings { auto_create_unknown_users, ..Default::default() });
    let organization = pb::Organization { id: acme(), settings, ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["settings.auto_create_unknown_users".into()] });
    let request = pb::UpdateOrganizationRequest { organization: Some(organization), update_mask, ..Default::default() };
    OrganizationServiceClient::new(world.wire.clone()).update_organization(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m2_4_a_verified_identity_stays_bound_to_its_user() {
    let world = World::new().await;
    world.furnish().await;
    let login = world.caller("acme", "login", &["users.provision"]).await;
    let other = world.caller("acme", "other", &["organization_users.create", "users.update"]).await;
    let mut users = UserServiceClient::new(world.server.channel().await);
    let mut says = async |request: pb::ProvisionUserRequest| {
        users.provision_user(login.request(request)).await.map(tonic::Response::into_inner)
    };
    let refused = |reply: Result<pb::ProvisionUserResponse, Status>| reason(&reply.unwrap_err());

    // Nobody is created but where the organization says so, and of its own domains.
    assert_eq!(refused(says(provision("s-new", "new@acme.com")).await), "AUTO_CREATION_REFUSED");
    create_unknown(&world, true).await;
    assert_eq!(refused(says(provision("s-new", "new@else.org")).await), "AUTO_CREATION_REFUSED");
    let dry = pb::ProvisionUserRequest { validate_only: true, ..provision("s-new", "new@acme.com") };
    assert!(says(dry).await.unwrap().created);
    let new =
        pb::ProvisionUserRequest { first_name: "Noa".into(), user: "noa".into(), ..provision("s-new", "Noa@ACME.com") };
    let made = says(new.clone()).await.unwrap();
    let noa = made.user.unwrap();
    assert!(made.created && !made.registered);
    assert_eq!(
        (noa.id.as_str(), noa.first_name.as_str(), noa.kind(), noa.status()),
        ("noa", "Noa", pb::UserKind::Internal, pb::PrincipalStatus::Active)
    );
    assert_eq!(noa.sign_ons, [sign_on("https://login.acme.com", "s-new").unwrap()]);
    let named_by_server = says(provision("s-2", "two@acme.com")).await.unwrap().user.unwrap();
    assert!(named_by_server.id.starts_with("u-"), "{named_by_server:?}");

    // Known: by the identity, whatever the address says now.
    let again = says(provision("s-new", "changed@acme.com")).await.unwrap();
    assert_eq!((again.created, again.user.unwrap().id.as_str()), (false, "noa"));
    assert_eq!(again.revision.unwrap().number, revision(&world).await, "nothing was changed");
    // By the address: bound from then on.
    let ana = says(provision("s-ana", "ANA@acme.com")).await.unwrap();
    assert_eq!((ana.created, ana.user.unwrap().id.as_str()), (false, "ana"));
    assert_eq!(says(provision("s-ana", "x@else.org")).await.unwrap().user.unwrap().id, "ana");
    // An address may have gone to somebody else; of another issuer it is one more identity.
    assert_eq!(refused(says(provision("s-ana-2", "ana@acme.com")).await), "SIGN_ON_MISMATCH");
    let elsewhere =
        pb::ProvisionUserRequest { sign_on: sign_on("https://other.example", "7"), ..provision("", "ana@acme.com") };
    assert_eq!(says(elsewhere).await.unwrap().user.unwrap().sign_ons.len(), 2);

    // The first verified sign-on completes a registration, with what was pending (rule 2.3).
    let invited = says(provision("s-inv", "inv@acme.com")).await.unwrap();
    assert!(invited.registered && !invited.created);
    assert_eq!(invited.user.unwrap().status(), pb::PrincipalStatus::Active);
    // Whoever was removed stays so.
    let gone = says(provision("s-gone", "gone@acme.com")).await.unwrap().user.unwrap();
    assert_eq!((gone.status(), gone.sign_ons.len()), (pb::PrincipalStatus::Inactive, 0));

    // What is no identity, and who is not trusted.
    for (issuer, subject) in [("", "s"), ("i", ""), ("i", "a\0b"), (&*"i".repeat(2_049), "s")] {
        let wrong = pb::ProvisionUserRequest { sign_on: sign_on(issuer, subject), ..provision("", "ana@acme.com") };
        assert_eq!(refused(says(wrong).await), "INVALID_REQUEST");
    }
    let mut users = UserServiceClient::new(world.server.channel().await);
    let untrusted = users.provision_user(other.request(provision("s-9", "nine@acme.com"))).await;
    assert_eq!(outcome(untrusted), "PERMISSION_DENIED");

    // Identities are found, replaced only where they are named, and bound once.
    let mut users = UserServiceClient::new(world.wire.clone());
    let list = pb::ListUsersRequest {
        organization: acme(),
        sign_on: sign_on("https://other.example", "7"),
        ..Default::default()
    };
    let found = users.list_users(list).await.unwrap().into_inner().users;
    assert_eq!(found.iter().map(|u| u.id.as_str()).collect::<Vec<_>>(), ["ana"]);
    let steal = pb::User {
        id: "lim".into(),
        sign_ons: vec![sign_on("https://other.example", "7").unwrap()],
        ..Default::default()
    };
    let update = |user: &pb::User, mask: &str| pb::UpdateUserRequest {
        organization: acme(),
        user: Some(user.clone()),
        update_mask: (!mask.is_empty()).then(|| prost_types::FieldMask { paths: vec![mask.into()] }),
        ..Default::default()
    };
    assert_eq!(outcome(users.update_user(update(&steal, "sign_ons")).await), "SIGN_ON_TAKEN");
    let unnamed = users.update_user(update(&steal, "")).await.unwrap().into_inner();
    assert_eq!(unnamed.user.unwrap().sign_ons, []);
    let bare = pb::User { id: "ana".into(), ..Default::default() };
    assert_eq!(users.update_user(update(&bare, "sign_ons")).await.unwrap().into_inner().user.unwrap().sign_ons, []);
    assert_eq!(outcome(users.update_user(update(&steal, "sign_ons")).await), "ok", "what was given up is free");

    // They outlive a restart.
    let World { server, operator, dir, .. } = world;
    server.stop().await;
    let server = Running::start(dir.path()).await;
    let mut users = UserServiceClient::new(server.with(Some(&operator)).await);
    let known = users.provision_user(provision("s-new", "new@acme.com")).await.unwrap().into_inner();
    assert_eq!((known.created, known.user.unwrap().id.as_str()), (false, "noa"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m2_4_provisioning_creates_updates_replaces_membership_and_never_deletes() {
    let world = World::new().await;
    world.furnish().await;
    world.grant("acme", "group:g", &["records.delete"], None).await;
    let bridge = world.caller("acme", "bridge", &["users.provision"]).await;
    let channel = world.server.channel().await;
    let mut users = UserServiceClient::new(channel.clone());
    let mut groups = GroupServiceClient::new(channel.clone());
    let mut roles = RoleServiceClient::new(channel);
    let create =
        pb::CreateUserRequest { organization: acme(), user: Some(user("zoe", "zoe@acme.com")), ..Default::default() };
    assert_eq!(outcome(users.create_user(bridge.request(create)).await), "ok");
    let members = |members: &[&str]| pb::ReplaceMembersRequest {
        organization: acme(),
        group: "g".into(),
        members: members.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    // It is trusted with people, not with itself.
    let replaced = groups.replace_members(bridge.request(members(&["user:zoe", "user:ana"]))).await.unwrap();
    assert_eq!(replaced.into_inner().added, 2);
    assert_eq!(outcome(groups.replace_members(bridge.request(members(&["service:bridge"]))).await), "HANDS_OUT_MORE");
    assert_eq!(
        outcome(roles.create_grants(bridge.request(granting("records.read", "user:zoe"))).await),
        "PERMISSION_DENIED"
    );
    let renamed = pb::User { id: "zoe".into(), email: "zoe.x@acme.com".into(), ..Default::default() };
    let request = pb::UpdateUserRequest { organization: acme(), user: Some(renamed), ..Default::default() };
    assert_eq!(outcome(users.update_user(bridge.request(request)).await), "ok");
    let request = pb::DeactivateUserRequest { organization: acme(), user: "zoe".into(), ..Default::default() };
    let gone = users.deactivate_user(bridge.request(request)).await.unwrap().into_inner().user.unwrap();
    assert_eq!(gone.status(), pb::PrincipalStatus::Inactive);
    let request = pb::ListUserGroupsRequest { organization: acme(), user: "zoe".into(), ..Default::default() };
    let kept = users.list_user_groups(bridge.request(request)).await.unwrap().into_inner().groups;
    assert_eq!(kept.iter().map(|g| g.group.as_str()).collect::<Vec<_>>(), ["g"], "memberships stay");
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m2_4_provisioning_creates_and_updates_groups_and_deletes_none() {
    let world = World::new().await;
    world.furnish().await;
    let bridge = world.caller("acme", "bridge", &["users.provision"]).await;
    let other = world.caller("acme", "other", &["users.update", "groups.read", "groups.manage_members"]).await;
    let mut groups = GroupServiceClient::new(world.server.channel().await);
    let group = |id: &str, kind: pb::GroupKind, name: &str| pb::Group {
        id: id.into(),
        kind: kind.into(),
        name: name.into(),
        ..Default::default()
    };
    let create = |group| pb::CreateGroupRequest { organization: acme(), group: Some(group), ..Default::default() };
    let update = |group| pb::UpdateGroupRequest { organization: acme(), group: Some(group), ..Default::default() };
    let team = group("team", pb::GroupKind::Manual, "Team");
    assert_eq!(outcome(groups.create_group(other.request(create(team.clone()))).await), "PERMISSION_DENIED");
    let made = groups.create_group(bridge.request(create(team))).await.unwrap().into_inner().group.unwrap();
    assert_eq!((made.id.as_str(), made.name.as_str(), made.kind()), ("team", "Team", pb::GroupKind::Manual));
    let renamed = pb::Group { id: "team".into(), name: "The Team".into(), ..Default::default() };
    assert_eq!(outcome(groups.update_group(other.request(update(renamed.clone()))).await), "PERMISSION_DENIED");
    let changed = groups.update_group(bridge.request(update(renamed))).await.unwrap().into_inner().group.unwrap();
    assert_eq!(changed.name, "The Team");
    let get = pb::GetGroupRequest { organization: acme(), group: "team".into(), min_revision: None };
    assert_eq!(groups.get_group(bridge.request(get)).await.unwrap().into_inner().group, Some(changed));
    // It is trusted with what a directory has; what groups hold is not its to take away, nor to give to itself.
    let delete = pb::DeleteGroupRequest { organization: acme(), group: "team".into(), ..Default::default() };
    assert_eq!(outcome(groups.delete_group(bridge.request(delete)).await), "PERMISSION_DENIED");
    let system = pb::Group { id: "all-users".into(), name: "Everyone".into(), ..Default::default() };
    assert_eq!(outcome(groups.update_group(bridge.request(update(system))).await), "BUILT_IN");
    // With a group's domains it could hand out what the group holds.
    let late = pb::Group { domains: vec!["late.org".into()], ..group("late", pb::GroupKind::Dynamic, "") };
    assert_eq!(outcome(groups.create_group(bridge.request(create(late))).await), "ok");
    world.grant("acme", "group:late", &["records.delete"], None).await;
    let wider = pb::Group { id: "late".into(), domains: vec!["acme.com".into()], ..Default::default() };
    assert_eq!(outcome(groups.update_group(bridge.request(update(wider))).await), "HANDS_OUT_MORE");
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m2_6_a_dry_run_says_what_a_domain_takes_with_it() {
    let world = World::new().await;
    world.furnish().await;
    let mut groups = GroupServiceClient::new(world.wire.clone());
    let visibility = Some(pb::Visibility { data_access: true, ..Default::default() });
    let staff = pb::Group {
        id: "staff".into(),
        kind: pb::GroupKind::Dynamic.into(),
        domains: vec!["acme.com".into()],
        visibility,
        ..Default::default()
    };
    let request = pb::CreateGroupRequest { organization: acme(), group: Some(staff), ..Default::default() };
    groups.create_group(request).await.unwrap();
    let mut data = pb::data_access_service_client::DataAccessServiceClient::new(world.wire.clone());
    for (id, effect, member) in [
        ("shows", pb::PolicyEffect::Allow, "group:staff"),
        ("hides", pb::PolicyEffect::Restrict, "group:staff"),
        ("other", pb::PolicyEffect::Allow, "group:g"),
    ] {
        let policy = pb::DataAccessPolicy {
            id: id.into(),
            object: "app".into(),
            effect: effect.into(),
            members: vec![member.into()],
            ..Default::default()
        };
        let request = pb::CreatePolicyRequest { organization: acme(), policy: Some(policy), ..Default::default() };
        data.create_policy(request).await.unwrap();
    }
    let mut organizations = OrganizationServiceClient::new(world.wire.clone());
    let before = revision(&world).await;
    let remove = |validate_only| pb::RemoveEmailDomainRequest {
        organization: acme(),
        domain: "acme.com".into(),
        validate_only,
        ..Default::default()
    };
    let said = organizations.remove_email_domain(remove(true)).await.unwrap().into_inner().effect.unwrap();
    assert_eq!(revision(&world).await, before);
    // Ana is the one who is active; all of them are external then.
    let groups: Vec<(&str, u64, bool)> =
        said.groups.iter().map(|g| (g.group.as_str(), g.members_lost, g.emptied)).collect();
    assert_eq!(groups, [("internal-users", 1, true), ("staff", 1, true), ("external-users", 0, false)]);
    assert_eq!((said.policy_count, said.policies.clone()), (1, vec!["shows".to_owned()]));
    assert_eq!((said.user_count, said.users.join(" ")), (4, "ana gone inv lim".to_owned()));
    let done = organizations.remove_email_domain(remove(false)).await.unwrap().into_inner().effect.unwrap();
    assert_eq!(done, said, "as was said beforehand");
    assert_eq!(revision(&world).await, before + 1);
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m2_2_a_file_moves_no_status_that_a_call_could_not() {
    use pb::apply_organization_request::Part;
    let world = World::new().await;
    world.furnish().await;
    let mut organizations = OrganizationServiceClient::new(world.wire.clone());
    let request = pb::ExportOrganizationRequest { organization: acme(), ..Default::default() };
    let mut stream = organizations.export_organization(request).await.unwrap().into_inner();
    let mut rows = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        rows.extend(message.rows);
    }
    let mut apply = async |id: &str, status: pb::PrincipalStatus| {
        let mut rows = rows.clone();
        for row in &mut rows {
            if let Some(pb::row::Kind::User(user)) = &mut row.kind
                && user.id == id
            {
                user.set_status(status);
                user.status_before = 0;
            }
        }
        let header = pb::ApplyHeader { organization: acme(), validate_only: true, ..Default::default() };
        let end = pb::ApplyEnd { row_count: rows.len() as u64 };
        let parts = [Part::Header(header), Part::Rows(pb::RowBatch { rows }), Part::End(end)];
        let parts = parts.map(|part| pb::ApplyOrganizationRequest { part: Some(part) });
        outcome(organizations.apply_organization(tokio_stream::iter(parts)).await)
    };
    use pb::PrincipalStatus::{Active, Inactive, Invited, Limited};
    for (id, to, said) in [
        ("ana", Limited, "ok"),
        ("ana", Inactive, "ok"),
        ("ana", Invited, "ILLEGAL_STATUS_MOVE"),
        ("lim", Active, "ok"),
        ("lim", Invited, "ILLEGAL_STATUS_MOVE"),
        ("inv", Active, "ok"),
        ("inv", Limited, "ILLEGAL_STATUS_MOVE"),
        ("gone", Active, "ok"),
        ("gone", Limited, "ILLEGAL_STATUS_MOVE"),
        ("gone", Invited, "ILLEGAL_STATUS_MOVE"),
    ] {
        assert_eq!(apply(id, to).await, said, "{id} to {to:?}");
    }
    world.server.stop().await;
}
