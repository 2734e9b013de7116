//! Rule 2.3: invited through groups or alone, and what becomes of it.

use doorward::core::decision::{Question, Reason, decide};
use doorward::service::proto as pb;
use doorward::service::proto::group_service_server::GroupService;
use doorward::service::proto::user_service_server::UserService;
use serde_json::json;
use tonic::Code;

use crate::activity::founded;
use crate::activity::{NOW, World, by, ok, operator, why};

/// The group `risk` holds `tasks.read`, `all-users` holds `apps.read`, `internal-users` `agents.read`.
async fn acme() -> World {
    founded(&json!({
        "organization": "acme",
        "preset": "workspace",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}],
        "users": [{"id": "ana", "email": "ana@acme.com"}],
        "groups": [
            {"id": "risk", "kind": "manual", "members": ["user:ana"]},
            {"id": "audit", "kind": "manual"},
            {"id": "staff", "kind": "dynamic", "domains": ["acme.com"]},
        ],
        "grants": [
            {"permissions": ["tasks.read"], "member": "group:risk"},
            {"permissions": ["apps.read"], "member": "group:all-users"},
            {"permissions": ["agents.read"], "member": "group:internal-users"},
        ],
    }))
    .await
}

fn invitation(id: &str, groups: &[&str]) -> pb::InviteUserRequest {
    let user = pb::User { id: id.into(), email: format!("{id}@acme.com"), ..Default::default() };
    let groups = groups.iter().map(ToString::to_string).collect();
    pb::InviteUserRequest { organization: "acme".into(), user: Some(user), groups, ..Default::default() }
}

async fn invite(world: &World, id: &str, groups: &[&str]) -> pb::User {
    ok(world.admin.invite_user(by(&operator(), invitation(id, groups))).await).user.unwrap()
}

async fn complete(world: &World, id: &str) -> pb::CompleteRegistrationResponse {
    let request =
        pb::CompleteRegistrationRequest { organization: "acme".into(), user: id.into(), ..Default::default() };
    ok(world.admin.complete_registration(by(&operator(), request)).await)
}

/// Whether a user may do what `risk`, all and internal users may.
fn may(world: &World, id: &str) -> [Reason; 3] {
    let ask = |table: &_| {
        ["tasks.read", "apps.read", "agents.read"].map(|permission| {
            decide(table, &Question { principal: id, permission, ..Question::default() }, NOW).unwrap()
        })
    };
    world.engine.with_table("acme", None, ask).unwrap()
}

/// The groups that a user is in by any path: `?` where that is pending.
async fn groups(world: &World, id: &str) -> Vec<String> {
    let request = pb::ListUserGroupsRequest {
        organization: "acme".into(),
        user: id.into(),
        transitive: true,
        ..Default::default()
    };
    let groups = ok(world.admin.list_user_groups(by(&operator(), request)).await).groups;
    groups.iter().map(|g| format!("{}{}", g.group, if g.pending { "?" } else { "" })).collect()
}

/// The direct members of `risk`: `?` where that is pending.
async fn risk(world: &World) -> Vec<String> {
    let request = pb::ListMembersRequest { organization: "acme".into(), group: "risk".into(), ..Default::default() };
    let members = ok(world.admin.list_members(by(&operator(), request)).await).members;
    members.iter().map(|m| format!("{}{}", m.member, if m.pending { "?" } else { "" })).collect()
}

fn revision(world: &World) -> u64 {
    world.engine.with_table("acme", None, doorward::core::table::Table::revision).unwrap()
}

#[tokio::test]
async fn m2_3_an_invitation_through_a_group_takes_effect_when_registration_completes() {
    let world = acme().await;
    let pat = invite(&world, "pat", &["risk", "audit"]).await;
    assert_eq!((pat.status(), pat.pending_groups), (pb::PrincipalStatus::Invited, vec!["audit".into(), "risk".into()]));
    assert_eq!(risk(&world).await, ["user:ana", "user:pat?"]);
    assert_eq!(groups(&world, "pat").await, ["audit?", "risk?"], "and in no system or dynamic group");
    assert_eq!(may(&world, "pat"), [Reason::PrincipalInvited; 3]);
    let before = revision(&world);
    let done = complete(&world, "pat").await;
    assert_eq!(done.revision.unwrap().number, before + 1);
    let pat = done.user.unwrap();
    assert_eq!((pat.status(), pat.pending_groups.len()), (pb::PrincipalStatus::Active, 0));
    assert_eq!(risk(&world).await, ["user:ana", "user:pat"]);
    assert_eq!(groups(&world, "pat").await, ["all-users", "audit", "internal-users", "risk", "staff"]);
    assert_eq!(may(&world, "pat"), [Reason::Allowed; 3]);
}

#[tokio::test]
async fn m2_3_whoever_is_invited_without_a_group_has_only_what_the_system_groups_give() {
    let world = acme().await;
    let sol = invite(&world, "sol", &[]).await;
    assert_eq!((sol.status(), sol.pending_groups.len()), (pb::PrincipalStatus::Invited, 0));
    assert_eq!(groups(&world, "sol").await, [""; 0]);
    assert_eq!(may(&world, "sol"), [Reason::PrincipalInvited; 3]);
    complete(&world, "sol").await;
    assert_eq!(groups(&world, "sol").await, ["all-users", "internal-users", "staff"]);
    assert_eq!(may(&world, "sol"), [Reason::NoPermission, Reason::Allowed, Reason::Allowed]);
    // Of all that there is, only that.
    let request = pb::ListAssignmentsRequest { organization: "acme".into(), ..Default::default() };
    let held = doorward::service::proto::role_service_server::RoleService::list_assignments;
    assert_eq!(ok(held(&world.admin, by(&operator(), request)).await).assignments, []);
    let everything = world.engine.with_table("acme", None, |table| {
        let names: Vec<String> = table.catalogue().map(|(_, slot)| slot.row.name.to_string()).collect();
        let allowed = |permission: &String| {
            let question = Question { principal: "sol", permission, ..Question::default() };
            decide(table, &question, NOW) == Ok(Reason::Allowed)
        };
        names.into_iter().filter(allowed).collect::<Vec<_>>()
    });
    let mut everything = everything.unwrap();
    everything.sort();
    assert_eq!(everything, ["agents.read", "apps.read"]);
}

#[tokio::test]
async fn m2_3_an_invited_user_that_is_added_to_a_group_is_pending_there() {
    let world = acme().await;
    invite(&world, "sol", &[]).await;
    let root = &operator();
    let added = async |members: &[&str]| {
        let members = members.iter().map(ToString::to_string).collect();
        let request =
            pb::AddMembersRequest { organization: "acme".into(), group: "risk".into(), members, ..Default::default() };
        let reply = ok(world.admin.add_members(by(root, request)).await);
        (reply.added, reply.revision.unwrap().number)
    };
    let before = revision(&world);
    assert_eq!(added(&["user:sol", "group:audit"]).await, (2, before + 1));
    assert_eq!(added(&["user:sol"]).await, (0, before + 1), "again it changes nothing");
    assert_eq!(risk(&world).await, ["group:audit", "user:ana", "user:sol?"]);
    assert_eq!(may(&world, "sol"), [Reason::PrincipalInvited; 3]);
    let remove = pb::RemoveMembersRequest {
        organization: "acme".into(),
        group: "risk".into(),
        members: vec!["user:sol".into()],
        ..Default::default()
    };
    assert_eq!(ok(world.admin.remove_members(by(root, remove)).await).removed, 1);
    assert_eq!(risk(&world).await, ["group:audit", "user:ana"]);
    let replace = pb::ReplaceMembersRequest {
        organization: "acme".into(),
        group: "risk".into(),
        members: vec!["user:sol".into()],
        ..Default::default()
    };
    let replaced = ok(world.admin.replace_members(by(root, replace)).await);
    assert_eq!((replaced.added, replaced.removed), (1, 2));
    assert_eq!(risk(&world).await, ["user:sol?"]);
    complete(&world, "sol").await;
    assert_eq!((risk(&world).await, may(&world, "sol")), (vec!["user:sol".to_owned()], [Reason::Allowed; 3]));
}

#[tokio::test]
async fn m2_3_a_revoked_invitation_leaves_nothing_and_is_not_taken_up_again() {
    let world = acme().await;
    invite(&world, "rex", &["risk"]).await;
    let before = revision(&world);
    let request = pb::RevokeInvitationRequest { organization: "acme".into(), user: "rex".into(), ..Default::default() };
    let revoked = ok(world.admin.revoke_invitation(by(&operator(), request)).await);
    assert_eq!(revoked.revision.unwrap().number, before + 1);
    let rex = revoked.user.unwrap();
    assert_eq!(
        (rex.status(), rex.status_before(), rex.pending_groups.len()),
        (pb::PrincipalStatus::Inactive, pb::PrincipalStatus::Unspecified, 0)
    );
    assert_eq!((risk(&world).await, groups(&world, "rex").await), (vec!["user:ana".to_owned()], vec![]));
    assert_eq!(may(&world, "rex"), [Reason::PrincipalInactive; 3]);
    let activate = pb::ActivateUserRequest { organization: "acme".into(), user: "rex".into(), ..Default::default() };
    assert_eq!(why(world.admin.activate_user(by(&operator(), activate)).await), "ILLEGAL_STATUS_MOVE");
    let finish =
        pb::CompleteRegistrationRequest { organization: "acme".into(), user: "rex".into(), ..Default::default() };
    assert_eq!(why(world.admin.complete_registration(by(&operator(), finish)).await), "ILLEGAL_STATUS_MOVE");
    // A sign-on of that address completes nothing either, and the address stays taken.
    let sign_on = Some(pb::SignOn { issuer: "https://login.acme.com".into(), subject: "r".into() });
    let signed = pb::ProvisionUserRequest {
        organization: "acme".into(),
        sign_on,
        email: "rex@acme.com".into(),
        ..Default::default()
    };
    let signed = ok(world.admin.provision_user(by(&operator(), signed)).await);
    assert_eq!((signed.registered, signed.user.unwrap().status()), (false, pb::PrincipalStatus::Inactive));
    let mut second = invitation("rexy", &[]);
    second.user.as_mut().unwrap().email = "REX@acme.com".into();
    assert_eq!(why(world.admin.invite_user(by(&operator(), second)).await), "EMAIL_TAKEN");
    assert_eq!(revision(&world), before + 1);
}

#[tokio::test]
async fn m2_3_nobody_is_invited_through_what_is_no_manual_group() {
    let world = acme().await;
    let before = revision(&world);
    for (group, reason) in [("staff", "NOT_MANUAL"), ("all-users", "NOT_MANUAL"), ("nothing", "UNKNOWN_REFERENCE")] {
        let status = world.admin.invite_user(by(&operator(), invitation("new", &["risk", group]))).await.unwrap_err();
        assert_eq!((status.code(), crate::wire::reason(&status).as_str()), (Code::InvalidArgument, reason), "{group}");
        assert_eq!(revision(&world), before);
    }
}
