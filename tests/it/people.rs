//! People, groups and who administers, over the wire: rules 2.2 to 2.4, 2.6, 3.7, and the end of an
//! organization.

use doorward::service::proto as pb;
use doorward::service::proto::activity_service_client::ActivityServiceClient;
use doorward::service::proto::decision_service_client::DecisionServiceClient;
use doorward::service::proto::group_service_client::GroupServiceClient;
use doorward::service::proto::organization_service_client::OrganizationServiceClient;
use doorward::service::proto::relation_service_client::RelationServiceClient;
use doorward::service::proto::role_service_client::RoleServiceClient;
use doorward::service::proto::user_service_client::UserServiceClient;
use tonic::{Code, Status};

use crate::callers::{World, granting, outcome};
use crate::wire::{Running, create_user, reason, user};

const ADMINISTRATOR: &str = "organization-admin";

fn acme() -> String {
    "acme".to_owned()
}

fn assignment(role: &str, member: &str) -> pb::CreateAssignmentRequest {
    let assignment = pb::Assignment { role: role.into(), member: member.into(), ..Default::default() };
    pb::CreateAssignmentRequest { organization: acme(), assignment: Some(assignment), ..Default::default() }
}

fn unassign(role: &str, member: &str) -> pb::DeleteAssignmentRequest {
    let (role, member) = (role.into(), member.into());
    pb::DeleteAssignmentRequest { organization: acme(), role, member, ..Default::default() }
}

async fn revision(world: &World) -> u64 {
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
    // Ana is the one who is active.
    assert_eq!((said.group_count, said.groups[0].group.as_str(), said.groups[0].emptied), (1, "staff", true));
    assert_eq!((said.policy_count, said.policies.clone()), (1, vec!["shows".to_owned()]));
    assert_eq!((said.user_count, said.users.clone()), (1, vec!["ana".to_owned()]));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_a_role_and_who_may_do_what_by_which_path() {
    let world = World::new().await;
    world.furnish().await;
    create_user(&world.wire, "acme", user("bo", "bo@acme.com")).await.unwrap();
    let mut groups = GroupServiceClient::new(world.wire.clone());
    let inner = pb::Group { id: "inner".into(), kind: pb::GroupKind::Manual.into(), ..Default::default() };
    let request = pb::CreateGroupRequest { organization: acme(), group: Some(inner), ..Default::default() };
    groups.create_group(request).await.unwrap();
    for (group, member) in [("inner", "user:bo"), ("g", "group:inner"), ("g", "user:gone"), ("g", "service:robot")] {
        let members = vec![member.to_owned()];
        let request =
            pb::AddMembersRequest { organization: acme(), group: group.into(), members, ..Default::default() };
        groups.add_members(request).await.unwrap();
    }
    let mut roles = RoleServiceClient::new(world.wire.clone());
    let at_app = Some(pb::Target { object: "app".into(), ..Default::default() });
    for member in ["group:g", "user:bo"] {
        let mut request = assignment("content-editor", member);
        request.assignment.as_mut().unwrap().target = at_app.clone();
        roles.create_assignment(request).await.unwrap();
    }
    let holders = |target: Option<pb::Target>, page_token: &str| pb::ListRoleHoldersRequest {
        organization: acme(),
        role: "content-editor".into(),
        target,
        page_size: 2,
        page_token: page_token.into(),
        ..Default::default()
    };
    let first = roles.list_role_holders(holders(None, "")).await.unwrap().into_inner();
    let next = roles.list_role_holders(holders(None, &first.next_page_token)).await.unwrap().into_inner();
    let all: Vec<pb::RoleHolder> = first.holders.into_iter().chain(next.holders).collect();
    let ids: Vec<&str> = all.iter().map(|h| h.principal.as_str()).collect();
    // Holding is not acting: whoever is deactivated still holds it.
    assert_eq!((ids, next.next_page_token.as_str()), (vec!["service:robot", "user:bo", "user:gone"], ""));
    let ways: Vec<Vec<String>> = all[1].paths.iter().map(|p| p.members.clone()).collect();
    assert_eq!(ways, [vec!["user:bo".to_owned()], vec!["user:bo".into(), "group:inner".into(), "group:g".into()]]);
    let elsewhere =
        roles.list_role_holders(holders(Some(pb::Target { account: "main".into(), ..Default::default() }), "")).await;
    assert_eq!(elsewhere.unwrap().into_inner().holders, []);
    let nowhere = pb::Target { object: "no-such".into(), ..Default::default() };
    assert_eq!(outcome(roles.list_role_holders(holders(Some(nowhere), "")).await), "NOT_FOUND");
    let nothing = pb::ListRoleHoldersRequest { role: "no-such".into(), ..holders(None, "") };
    assert_eq!(outcome(roles.list_role_holders(nothing).await), "NOT_FOUND");

    // The review of one permission on one object.
    let mut activity = ActivityServiceClient::new(world.wire.clone());
    let review = pb::ReviewAccessRequest {
        organization: acme(),
        target: at_app.clone(),
        permissions: vec!["tasks.update".into()],
        ..Default::default()
    };
    let mut read = async |request: pb::ReviewAccessRequest| {
        let mut stream = activity.review_access(request).await?.into_inner();
        let mut entries = Vec::new();
        while let Some(message) = stream.message().await? {
            assert!(message.revision.is_some() && message.evaluated_at.is_some());
            entries.extend(message.entries);
        }
        Ok::<_, Status>(entries)
    };
    let entries = read(review.clone()).await.unwrap();
    let short = |entries: &[pb::AccessReviewEntry]| -> Vec<String> {
        entries.iter().map(|e| format!("{} {} {}", e.principal, e.permission, e.paths.len())).collect()
    };
    assert_eq!(short(&entries), ["service:robot tasks.update 1", "user:bo tasks.update 2"]);
    assert_eq!(entries[1].paths[0].pattern, "tasks.*");
    assert_eq!(entries[1].target, at_app);
    let inactive = pb::ReviewAccessRequest { include_inactive: true, ..review.clone() };
    assert_eq!(read(inactive).await.unwrap().len(), 3);
    let one =
        pb::ReviewAccessRequest { permissions: vec![], principals: vec!["bo".into()], target: None, ..review.clone() };
    let given = read(one).await.unwrap();
    assert!(given.iter().any(|e| e.permission == "records.*" && e.subject_to_policies), "as it was given: {given:?}");
    let unknown = pb::ReviewAccessRequest { permissions: vec!["no.such".into()], ..review };
    assert_eq!(reason(&read(unknown).await.unwrap_err()), "UNKNOWN_PERMISSION");

    // What nobody holds, and nothing gives.
    let request = pb::ListUnusedRolesRequest { organization: acme(), ..Default::default() };
    let unused = activity.list_unused_roles(request).await.unwrap().into_inner().roles;
    let unused: Vec<&str> = unused.iter().map(|r| r.role.as_str()).collect();
    assert_eq!(unused, ["app-admin", "content-viewer", "organization-admin"]);
    let request = pb::ListUnusedPermissionsRequest { organization: acme(), page_size: 1_000, ..Default::default() };
    let nothing = activity.list_unused_permissions(request).await.unwrap().into_inner().permissions;
    let nothing: Vec<&str> = nothing.iter().map(|p| p.permission.as_str()).collect();
    assert!(nothing.contains(&"own.thing") && nothing.contains(&"apps.configure"), "{nothing:?}");
    assert!(!nothing.contains(&"tasks.update") && !nothing.contains(&"records.approve"), "{nothing:?}");
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_do_this_here_is_whom_authorize_allows() {
    let world = World::new().await;
    world.furnish().await;
    for n in 0..7 {
        create_user(&world.wire, "acme", user(&format!("u{n}"), &format!("u{n}@acme.com"))).await.unwrap();
    }
    for member in ["user:u1", "user:u4", "user:gone", "service:robot", "user:lim", "user:inv"] {
        world.grant("acme", member, &["tasks.read", "records.read"], None).await;
    }
    let mut groups = GroupServiceClient::new(world.wire.clone());
    let members = vec!["user:u4".to_owned(), "service:robot".to_owned()];
    let request = pb::AddMembersRequest { organization: acme(), group: "g".into(), members, ..Default::default() };
    groups.add_members(request).await.unwrap();
    let mut decisions = DecisionServiceClient::new(world.wire.clone());
    let everyone: Vec<String> = ["service:robot", "user:ana", "user:gone", "user:inv", "user:lim"]
        .into_iter()
        .map(ToOwned::to_owned)
        .chain((0..7).map(|n| format!("user:u{n}")))
        .collect();
    let record = |owner: &str| pb::Record { id: "r-1".into(), owner: owner.into(), ..Default::default() };
    let resources = [
        None,
        Some(pb::Resource { object: "app".into(), ..Default::default() }),
        Some(pb::Resource { object: "app".into(), record: Some(record("")), ..Default::default() }),
    ];
    for permission in ["tasks.read", "READ_NOTHING", "records.read", "records.approve", "organization.admin"] {
        for resource in &resources {
            for channel in ["", "email"] {
                let context = Some(pb::Context { channel: channel.into(), ..Default::default() });
                let mut listed = Vec::new();
                let mut page_token = String::new();
                let mut failed = None;
                loop {
                    let request = pb::ListPrincipalsRequest {
                        organization: acme(),
                        permission: permission.into(),
                        resource: resource.clone(),
                        context: context.clone(),
                        page_size: 2,
                        page_token: page_token.clone(),
                        ..Default::default()
                    };
                    match decisions.list_principals(request).await {
                        Err(status) => break failed = Some(reason(&status)),
                        Ok(reply) => {
                            let reply = reply.into_inner();
                            assert!(reply.principals.len() <= 2);
                            listed.extend(reply.principals);
                            page_token = reply.next_page_token;
                            if page_token.is_empty() {
                                break;
                            }
                        }
                    }
                }
                let mut allowed = Vec::new();
                for principal in &everyone {
                    let request = pb::AuthorizeRequest {
                        organization: acme(),
                        principal: principal.clone(),
                        permission: permission.into(),
                        resource: resource.clone(),
                        context: context.clone(),
                        ..Default::default()
                    };
                    match decisions.authorize(request).await {
                        Ok(reply) if reply.get_ref().decision() == pb::Decision::Allow => {
                            allowed.push(principal.clone())
                        }
                        Ok(_) => {}
                        Err(status) => assert_eq!(failed, Some(reason(&status)), "{permission}"),
                    }
                }
                assert_eq!(listed, allowed, "{permission} {resource:?} {channel}");
            }
        }
    }
    world.server.stop().await;
}
