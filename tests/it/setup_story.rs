//! A workspace organization as its administrator sets it up, over gRPC alone: domains, groups, roles,
//! data access, invitations; then people join, move and leave. Decisions and the activity log are looked at after each step.

use doorward::service::proto as pb;
use doorward::service::proto::data_access_service_client::DataAccessServiceClient;
use doorward::service::proto::group_service_client::GroupServiceClient;
use doorward::service::proto::organization_service_client::OrganizationServiceClient;
use doorward::service::proto::relation_service_client::RelationServiceClient;
use doorward::service::proto::role_service_client::RoleServiceClient;
use doorward::service::proto::user_service_client::UserServiceClient;

mod console;

use console::{Console, Log, TEXT, acme, ask, done, string, strings};

use crate::callers::{Who, World, credential_of, outcome};
use crate::wire::{create_user, user};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_sets_up_a_workspace_and_people_join_move_and_leave() {
    let world = World::new().await;
    // The platform operator founds it with one administrator, a portal and a login service.
    let first = pb::User { kind: pb::UserKind::Internal.into(), ..user("ana", "ana@acme.com") };
    create_user(&world.wire, "acme", first).await.unwrap();
    let mut operator = RoleServiceClient::new(world.wire.clone());
    let first = pb::Assignment { role: "organization-admin".into(), member: "user:ana".into(), ..Default::default() };
    let request = pb::CreateAssignmentRequest { organization: acme(), assignment: Some(first), ..Default::default() };
    operator.create_assignment(request).await.unwrap();
    world.service("acme", "portal").await;
    let trusted = pb::CreateCredentialRequest { acts_for_users: true, ..credential_of("acme", "portal") };
    let portal = Who::of(&world.credential(trusted).await.secret);
    let login = world.caller("acme", "login", &["users.provision"]).await;
    let ana = Who { on_behalf_of: Some("user:ana"), ..portal.clone() };
    let console = Console { who: ana, channel: world.server.channel().await };
    let eve_calls = Console { who: Who { on_behalf_of: Some("user:eve"), ..portal }, channel: console.channel.clone() };
    let auditor = world.caller("acme", "auditor", &["activity.read"]).await;
    let mut log = Log::begin(auditor, console.channel.clone()).await;

    // Domains, and what the records are.
    for (domain, audience) in [("acme.com", pb::UserKind::Internal), ("partner.io", pb::UserKind::External)] {
        let email_domain = pb::EmailDomain { domain: domain.into(), audience: audience.into() };
        done!(
            console,
            OrganizationServiceClient.add_email_domain(AddEmailDomainRequest { email_domain: email_domain })
        );
    }
    let settings = pb::OrganizationSettings {
        auto_create_unknown_users: true,
        invite_policy: Some(pb::InvitePolicy {
            mode: pb::InvitePolicyMode::AllowedDomains.into(),
            domains: strings(&["partner.io"]),
        }),
        ..Default::default()
    };
    let region = [("region".to_owned(), TEXT)];
    let user_attributes = region.clone().into();
    let organization = pb::Organization { id: acme(), settings: Some(settings), user_attributes, ..Default::default() };
    let request = pb::UpdateOrganizationRequest { organization: Some(organization), ..Default::default() };
    let mut organizations = OrganizationServiceClient::new(console.channel.clone());
    organizations.update_organization(console.who.request(request)).await.unwrap();
    let cases = pb::Object {
        id: "cases".into(),
        kind: pb::ObjectKind::App.into(),
        fields: region.into(),
        ..Default::default()
    };
    done!(console, OrganizationServiceClient.create_object(CreateObjectRequest { object: cases }));
    assert_eq!(console.may("user:ana", "tasks.read", None).await, "ALLOWED");
    assert_eq!(
        console.may("user:ana", "records.read", Some(("c-1", "eu"))).await,
        "NOT_VISIBLE",
        "power alone shows nothing"
    );
    log.says(
        "user:ana",
        &[
            "OrganizationService/AddEmailDomain: update the organization",
            "OrganizationService/AddEmailDomain: update the organization",
            "OrganizationService/UpdateOrganization: update the organization",
            "OrganizationService/CreateObject: create object `cases`",
        ],
    )
    .await;

    // Groups.
    let visible = pb::Visibility { data_access: true, ..Default::default() };
    for (id, kind, domains) in [
        ("staff", pb::GroupKind::Dynamic, strings(&["acme.com"])),
        ("partners", pb::GroupKind::Manual, vec![]),
        ("reviewers", pb::GroupKind::Manual, vec![]),
        ("leads", pb::GroupKind::Manual, vec![]),
    ] {
        let group =
            pb::Group { id: id.into(), kind: kind.into(), domains, visibility: Some(visible), ..Default::default() };
        done!(console, GroupServiceClient.create_group(CreateGroupRequest { group: group }));
    }
    done!(
        console,
        GroupServiceClient.add_members(AddMembersRequest { group: "reviewers", members: strings(&["group:leads"]) })
    );
    log.says(
        "user:ana",
        &[
            "GroupService/CreateGroup: create group `staff`",
            "GroupService/CreateGroup: create group `partners`",
            "GroupService/CreateGroup: create group `reviewers`",
            "GroupService/CreateGroup: create group `leads`",
            "GroupService/AddMembers: add group `leads` to group `reviewers`",
        ],
    )
    .await;

    // Roles: the shipped ones, and one of their own.
    let approver = pb::Role {
        id: "closer".into(),
        scope: pb::RoleScope::Object.into(),
        object: "cases".into(),
        permissions: strings(&["records.read", "records.delete"]),
        ..Default::default()
    };
    done!(console, RoleServiceClient.create_role(CreateRoleRequest { role: approver }));
    let guest = pb::Role {
        id: "guest".into(),
        scope: pb::RoleScope::Object.into(),
        object: "cases".into(),
        permissions: strings(&["records.read"]),
        auto_share: vec![pb::Relation::Shared.into()],
        ..Default::default()
    };
    done!(console, RoleServiceClient.create_role(CreateRoleRequest { role: guest }));
    for (role, member) in
        [("content-viewer", "group:staff"), ("content-editor", "group:reviewers"), ("closer", "group:leads")]
    {
        let target = Some(pb::Target { object: "cases".into(), ..Default::default() });
        let assignment = pb::Assignment { role: role.into(), member: member.into(), target, ..Default::default() };
        done!(console, RoleServiceClient.create_assignment(CreateAssignmentRequest { assignment: assignment }));
    }
    assert_eq!(console.may("user:ana", "records.read", Some(("c-1", "eu"))).await, "NOT_VISIBLE", "no policy yet");
    log.says("user:ana", &["RoleService/CreateRole: create role `closer`", "RoleService/CreateRole: create role `guest`", "RoleService/CreateAssignment: create assignment of role `content-viewer` to `group:staff` at object `cases`", "RoleService/CreateAssignment: create assignment of role `content-editor` to `group:reviewers` at object `cases`", "RoleService/CreateAssignment: create assignment of role `closer` to `group:leads` at object `cases`"]).await;

    // Data access: one's own region, and nothing of the vault but for leads.
    for (id, effect, member, condition) in [
        ("own-region", pb::PolicyEffect::Allow, "group:staff", "record.region == user.attributes.region"),
        ("partner-region", pb::PolicyEffect::Allow, "group:partners", "record.region == 'shared'"),
        ("vault", pb::PolicyEffect::Restrict, "group:staff", "record.region == 'vault' && !('leads' in user.groups)"),
    ] {
        let policy = pb::DataAccessPolicy {
            id: id.into(),
            object: "cases".into(),
            effect: effect.into(),
            members: strings(&[member]),
            condition: condition.into(),
            ..Default::default()
        };
        done!(console, DataAccessServiceClient.create_policy(CreatePolicyRequest { policy: policy }));
    }
    log.says(
        "user:ana",
        &[
            "DataAccessService/CreatePolicy: create data-access policy `own-region`",
            "DataAccessService/CreatePolicy: create data-access policy `partner-region`",
            "DataAccessService/CreatePolicy: create data-access policy `vault`",
        ],
    )
    .await;

    // Eve comes by single sign-on: nobody invited her, her domain is the organization's.
    let eve = pb::ProvisionUserRequest {
        organization: acme(),
        sign_on: Some(pb::SignOn { issuer: "https://login.acme.com".into(), subject: "e-1".into() }),
        email: "eve@acme.com".into(),
        user: "eve".into(),
        attributes: [("region".to_owned(), string("eu"))].into(),
        ..Default::default()
    };
    let mut users = UserServiceClient::new(console.channel.clone());
    assert!(users.provision_user(login.request(eve.clone())).await.unwrap().into_inner().created);
    assert_eq!(console.may("user:eve", "records.read", Some(("c-1", "eu"))).await, "ALLOWED");
    assert_eq!(console.may("user:eve", "records.read", Some(("c-2", "us"))).await, "NOT_VISIBLE");
    assert_eq!(console.may("user:eve", "records.update", Some(("c-1", "eu"))).await, "NO_PERMISSION");
    log.says("service:login", &["UserService/ProvisionUser: create user `eve`"]).await;

    // Ana invites whom she likes; Eve, who may invite, only whom the policy lets her, and not into more than she has.
    assert_eq!(
        outcome(ask!(
            eve_calls,
            UserServiceClient.invite_user(InviteUserRequest { user: user("pat", "pat@partner.io") })
        )),
        "PERMISSION_DENIED"
    );
    log.says(
        "user:eve",
        &["UserService/InviteUser: PERMISSION_DENIED: `user:eve` lacks `organization_users.create` for this"],
    )
    .await;
    let grant = pb::Grant {
        permissions: strings(&["organization_users.create"]),
        member: "user:eve".into(),
        ..Default::default()
    };
    done!(console, RoleServiceClient.create_grants(CreateGrantsRequest { grant: grant }));
    log.says(
        "user:ana",
        &["RoleService/CreateGrants: create grant of `organization_users.create` to `user:eve` at the organization"],
    )
    .await;
    assert_eq!(
        outcome(ask!(
            eve_calls,
            UserServiceClient.invite_user(InviteUserRequest { user: user("pat", "pat@else.org") })
        )),
        "INVITE_POLICY"
    );
    let into_leads = ask!(
        eve_calls,
        UserServiceClient
            .invite_user(InviteUserRequest { user: user("pat", "pat@partner.io"), groups: strings(&["leads"]) })
    );
    assert_eq!(outcome(into_leads), "HANDS_OUT_MORE");
    log.says(
        "user:eve",
        &[
            "UserService/InviteUser: INVITE_POLICY: the invite policy does not allow this address",
            "UserService/InviteUser: HANDS_OUT_MORE: `user:eve` would hand out `…",
        ],
    )
    .await;
    done!(
        console,
        UserServiceClient.invite_user(InviteUserRequest {
            user: user("pat", "pat@partner.io"),
            groups: strings(&["partners", "reviewers"]),
        })
    );
    assert_eq!(console.may("user:pat", "records.read", Some(("c-3", "shared"))).await, "PRINCIPAL_INVITED");
    let pending = done!(console, GroupServiceClient.list_members(ListMembersRequest { group: "partners" })).members;
    assert!(pending.len() == 1 && pending[0].pending, "{pending:?}");
    log.says("user:ana", &["UserService/InviteUser: create user `pat`"]).await;

    // Pat joins with a first verified sign-on.
    let pat = pb::ProvisionUserRequest {
        organization: acme(),
        sign_on: Some(pb::SignOn { issuer: "https://login.partner.io".into(), subject: "p-1".into() }),
        email: "pat@partner.io".into(),
        ..Default::default()
    };
    let joined = users.provision_user(login.request(pat)).await.unwrap().into_inner();
    assert!(joined.registered);
    assert_eq!(joined.user.unwrap().kind(), pb::UserKind::External);
    assert_eq!(console.may("user:pat", "records.update", Some(("c-3", "shared"))).await, "ALLOWED");
    assert_eq!(console.may("user:pat", "records.update", Some(("c-1", "eu"))).await, "NOT_VISIBLE");
    log.says("service:login", &["UserService/ProvisionUser: update user `pat` and 2 more"]).await;

    // One record is shared with Pat, and forgotten when it goes.
    let relation = pb::RecordRelation {
        relation: pb::Relation::Shared.into(),
        member: "user:pat".into(),
        object: "cases".into(),
        record: "c-1".into(),
    };
    let report = pb::RelationReport { relation: Some(relation), event: pb::RelationEvent::Added.into() };
    done!(console, RelationServiceClient.report_relation(ReportRelationRequest { report: report }));
    assert_eq!(console.may("user:pat", "records.read", Some(("c-1", "eu"))).await, "ALLOWED");
    done!(console, RelationServiceClient.forget_record(ForgetRecordRequest { object: "cases", record: "c-1" }));
    assert_eq!(console.may("user:pat", "records.read", Some(("c-1", "eu"))).await, "NOT_VISIBLE");
    log.says(
        "user:ana",
        &[
            "RelationService/ReportRelation: create relation `shared` of `user:pat` to record `c-1` of object `cases`",
            "RelationService/ForgetRecord: delete relation `shared` of `user:pat` to record `c-1` of object `cases`",
        ],
    )
    .await;

    // External users prove from time to time who they are.
    let settings = pb::OrganizationSettings {
        external_reauthentication: Some(pb::ExternalReauthentication {
            max_age: Some(prost_types::Duration { seconds: 3_600, nanos: 0 }),
        }),
        ..Default::default()
    };
    let organization = pb::Organization { id: acme(), settings: Some(settings), ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: strings(&["settings.external_reauthentication"]) });
    let request = pb::UpdateOrganizationRequest { organization: Some(organization), update_mask, ..Default::default() };
    organizations.update_organization(console.who.request(request)).await.unwrap();
    assert_eq!(console.may("user:pat", "records.update", Some(("c-3", "shared"))).await, "REAUTHENTICATION_REQUIRED");
    assert_eq!(console.may("user:eve", "records.read", Some(("c-1", "eu"))).await, "ALLOWED", "she is internal");
    log.says("user:ana", &["OrganizationService/UpdateOrganization: update the organization"]).await;

    // Eve moves: to another region, and up.
    let moved = pb::User {
        id: "eve".into(),
        manager: "ana".into(),
        attributes: [("region".to_owned(), string("us"))].into(),
        ..Default::default()
    };
    done!(console, UserServiceClient.update_user(UpdateUserRequest { user: moved }));
    assert_eq!(console.may("user:eve", "records.read", Some(("c-1", "eu"))).await, "NOT_VISIBLE");
    assert_eq!(console.may("user:eve", "records.read", Some(("c-2", "us"))).await, "ALLOWED");
    done!(
        console,
        GroupServiceClient.add_members(AddMembersRequest { group: "leads", members: strings(&["user:eve"]) })
    );
    assert_eq!(console.may("user:eve", "records.delete", Some(("c-2", "us"))).await, "ALLOWED", "as a lead");
    assert_eq!(console.may("user:eve", "records.update", Some(("c-2", "us"))).await, "ALLOWED", "a lead is a reviewer");
    let in_groups =
        done!(console, UserServiceClient.list_user_groups(ListUserGroupsRequest { user: "eve", transitive: true }));
    let direct: Vec<String> = in_groups.groups.iter().filter(|g| g.direct).map(|g| g.group.clone()).collect();
    assert_eq!(direct, ["all-users", "internal-users", "leads", "staff"]);
    let reviewers = in_groups.groups.iter().find(|g| g.group == "reviewers").unwrap();
    assert!(!reviewers.direct && reviewers.path == ["leads", "reviewers"], "{reviewers:?}");
    let holders =
        done!(console, RoleServiceClient.list_role_holders(ListRoleHoldersRequest { role: "content-editor" })).holders;
    assert_eq!(holders.iter().map(|h| h.principal.as_str()).collect::<Vec<_>>(), ["user:eve", "user:pat"]);
    assert_eq!(holders[0].paths[0].members, ["user:eve", "group:leads", "group:reviewers"]);
    log.says(
        "user:ana",
        &["UserService/UpdateUser: update user `eve`", "GroupService/AddMembers: add user `eve` to group `leads`"],
    )
    .await;

    // For a while by e-mail only.
    done!(console, UserServiceClient.downgrade_user(DowngradeUserRequest { user: "eve" }));
    assert_eq!(console.may("user:eve", "records.read", Some(("c-2", "us"))).await, "PRINCIPAL_LIMITED");
    done!(console, UserServiceClient.upgrade_user(UpgradeUserRequest { user: "eve" }));
    log.says(
        "user:ana",
        &["UserService/DowngradeUser: update user `eve`", "UserService/UpgradeUser: update user `eve`"],
    )
    .await;

    // The partnership ends: what depended on the domain is said beforehand, and goes in one revision.
    let remove = |validate_only| pb::RemoveEmailDomainRequest {
        organization: acme(),
        domain: "partner.io".into(),
        validate_only,
        ..Default::default()
    };
    let before = organizations.remove_email_domain(console.who.request(remove(true))).await.unwrap().into_inner();
    assert!(before.effect.unwrap().in_invite_policy);
    organizations.remove_email_domain(console.who.request(remove(false))).await.unwrap();
    log.says("user:ana", &["OrganizationService/RemoveEmailDomain: update the organization"]).await;
    assert_eq!(
        outcome(ask!(
            eve_calls,
            UserServiceClient.invite_user(InviteUserRequest { user: user("pim", "pim@partner.io") })
        )),
        "INVITE_POLICY",
        "it counts no longer"
    );
    log.says("user:eve", &["UserService/InviteUser: INVITE_POLICY: the invite policy does not allow this address"])
        .await;
    done!(console, UserServiceClient.deactivate_user(DeactivateUserRequest { user: "pat" }));
    assert_eq!(console.may("user:pat", "records.update", Some(("c-3", "shared"))).await, "PRINCIPAL_INACTIVE");
    log.says("user:ana", &["UserService/DeactivateUser: update user `pat`"]).await;

    // Ana leaves: not before somebody else administers.
    assert_eq!(
        outcome(ask!(console, UserServiceClient.deactivate_user(DeactivateUserRequest { user: "ana" }))),
        "LAST_ADMINISTRATOR"
    );
    let heir = pb::Assignment { role: "organization-admin".into(), member: "user:eve".into(), ..Default::default() };
    done!(console, RoleServiceClient.create_assignment(CreateAssignmentRequest { assignment: heir }));
    done!(console, UserServiceClient.deactivate_user(DeactivateUserRequest { user: "ana" }));
    assert_eq!(
        outcome(ask!(console, UserServiceClient.get_user(GetUserRequest { user: "eve" }))),
        "PRINCIPAL_INACTIVE"
    );
    log.says("user:ana", &["UserService/DeactivateUser: LAST_ADMINISTRATOR: nobody could administer the organization any more: the last holder of `organization.admin` stays", "RoleService/CreateAssignment: create assignment of role `organization-admin` to `user:eve` at the organization", "UserService/DeactivateUser: update user `ana`", "UserService/GetUser: PRINCIPAL_INACTIVE: `user:ana` is inactive"]).await;
    let kept = done!(
        eve_calls,
        RoleServiceClient.get_assignment(GetAssignmentRequest { role: "organization-admin", member: "user:ana" })
    );
    assert!(kept.assignment.is_some(), "what she was given stays, for when she comes back");
    done!(eve_calls, UserServiceClient.activate_user(ActivateUserRequest { user: "ana" }));
    assert_eq!(console.may("user:ana", "tasks.read", None).await, "ALLOWED");
    log.says("user:eve", &["UserService/ActivateUser: update user `ana`"]).await;
    assert_eq!(log.verified().await.last_sequence, log.seen(), "nothing else was logged, and nothing is missing");
    world.server.stop().await;
}
