//! What every write promises.

use prost_types::{FieldMask, Timestamp};

use super::*;

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(ToString::to_string).collect() })
}

fn create(id: &str, request_id: &str) -> CreateGroupRequest {
    let group = Group { id: id.into(), kind: GroupKind::Manual.into(), ..Group::default() };
    let request_id = request_id.into();
    CreateGroupRequest { organization: "acme".into(), group: Some(group), request_id, validate_only: false }
}

#[tokio::test]
async fn the_same_request_again_gets_the_first_reply_and_another_one_is_refused() {
    let world = World::acme().await;
    let first = ok(world.admin.create_group(by(create("risk", "r1"))).await);
    world.group("other").await;
    let again = ok(world.admin.create_group(by(create("risk", "r1"))).await);
    assert_eq!(first, again);
    let reused = world.admin.create_group(by(create("staff", "r1"))).await;
    assert_eq!(refused(reused), (Code::InvalidArgument, "REQUEST_ID_REUSED".into()));
    let mut stranger = by(create("staff", "r1"));
    stranger.extensions_mut().insert(Caller::operator("somebody else".into()));
    ok(world.admin.create_group(stranger).await);
    let long = world.admin.create_group(by(create("x", &"r".repeat(129)))).await;
    assert_eq!(fields(long), ["request_id"]);
}

#[tokio::test]
async fn a_dry_run_says_what_would_change_and_leaves_nothing() {
    let world = World::acme().await;
    let before = world.revision().await;
    let dry = CreateGroupRequest { validate_only: true, ..create("risk", "") };
    let reply = ok(world.admin.create_group(by(dry)).await);
    assert_eq!(reply.group.unwrap().id, "risk");
    assert_eq!(reply.revision.unwrap().number, before);
    let [change] = reply.changes.as_slice() else { panic!("{:?}", reply.changes) };
    assert_eq!((change.kind(), change.entity.as_str(), change.id.as_str()), (ChangeKind::Create, "group", "risk"));
    let get = GetGroupRequest { organization: "acme".into(), group: "risk".into(), min_revision: None };
    assert_eq!(refused(world.admin.get_group(by(get)).await), (Code::NotFound, "NOT_FOUND".into()));
    assert_eq!(world.revision().await, before);
    let organization = Some(Organization { id: "new".into(), ..Organization::default() });
    let dry = CreateOrganizationRequest { organization, validate_only: true, ..Default::default() };
    ok(world.admin.create_organization(by(dry)).await);
    let get = GetOrganizationRequest { organization: "new".into(), min_revision: None };
    assert_eq!(refused(world.admin.get_organization(by(get)).await).0, Code::NotFound);
}

#[tokio::test]
async fn another_etag_than_the_stored_one_aborts() {
    let world = World::acme().await;
    let group = world.group("risk").await;
    let update = |name: &str, etag: &str| UpdateGroupRequest {
        organization: "acme".into(),
        group: Some(Group { id: "risk".into(), name: name.into(), ..Group::default() }),
        etag: etag.into(),
        ..Default::default()
    };
    let updated = ok(world.admin.update_group(by(update("Risk", &group.etag))).await).group.unwrap();
    assert_eq!((updated.name.as_str(), updated.kind()), ("Risk", GroupKind::Manual));
    assert_ne!(updated.etag, group.etag);
    let stale = world.admin.update_group(by(update("Other", &group.etag))).await;
    assert_eq!(refused(stale), (Code::Aborted, "ETAG_MISMATCH".into()));
    let user = world.user("ana").await;
    let deactivate = |etag: &str| DeactivateUserRequest {
        organization: "acme".into(),
        user: "ana".into(),
        etag: etag.into(),
        ..Default::default()
    };
    ok(world.admin.deactivate_user(by(deactivate(&user.etag))).await);
    assert_eq!(refused(world.admin.deactivate_user(by(deactivate(&user.etag))).await).0, Code::Aborted);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let world = World::acme().await;
    let user = User {
        id: "a\0b".into(),
        email: "no address".into(),
        kind: 77,
        attributes: [("team".to_owned(), Value { kind: None })].into(),
        ..User::default()
    };
    let request = CreateUserRequest { organization: "not an id".into(), user: Some(user), ..Default::default() };
    let reply = world.admin.create_user(by(request.clone())).await;
    assert_eq!(fields(reply), ["organization", "user.id", "user.email", "user.kind", "user.attributes[\"team\"]"]);
    assert_eq!(refused(world.admin.create_user(by(request)).await), (Code::InvalidArgument, "INVALID_REQUEST".into()));
    let role = Role {
        id: "r".into(),
        scope: RoleScope::Object.into(),
        object: "nope".into(),
        permissions: vec!["no.such".into(), "records.read".into()],
        ..Role::default()
    };
    let request = CreateRoleRequest { organization: "acme".into(), role: Some(role), ..Default::default() };
    assert_eq!(fields(world.admin.create_role(by(request)).await), ["role.permissions", "role.object"]);
    let request = CreateUserRequest { organization: "nope".into(), ..Default::default() };
    assert_eq!(fields(world.admin.create_user(by(request)).await), ["user"]);
}

#[tokio::test]
async fn what_was_not_counted_for_so_long_is_not_said_to_be_unused() {
    let world = World::acme().await;
    let unused_for = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let request = ListUnusedRolesRequest { organization: "acme".into(), unused_for, ..Default::default() };
    assert_eq!(
        refused(world.admin.list_unused_roles(by(request)).await),
        (Code::FailedPrecondition, "NOT_OBSERVED_LONG_ENOUGH".into())
    );
    let unused_for = Some(prost_types::Duration { seconds: 0, nanos: 0 });
    let request = ListUnusedPermissionsRequest { organization: "acme".into(), unused_for, ..Default::default() };
    assert_eq!(fields(world.admin.list_unused_permissions(by(request)).await), ["unused_for"]);
}

#[tokio::test]
async fn a_mask_changes_what_it_names_and_nothing_else() {
    let world = World::acme().await;
    world.user("ana").await;
    let update = |user: User, mask| UpdateUserRequest {
        organization: "acme".into(),
        user: Some(User { id: "ana".into(), ..user }),
        update_mask: mask,
        ..Default::default()
    };
    let named = User { first_name: "Ana".into(), last_name: "Li".into(), ..User::default() };
    let user = ok(world.admin.update_user(by(update(named.clone(), mask(&["first_name"])))).await).user.unwrap();
    assert_eq!((user.first_name.as_str(), user.last_name.as_str(), user.kind()), ("Ana", "", UserKind::Internal));
    let user = ok(world.admin.update_user(by(update(named, None))).await).user.unwrap();
    assert_eq!((user.first_name.as_str(), user.last_name.as_str()), ("Ana", "Li"));
    let emptied = update(User::default(), mask(&["last_name"]));
    assert_eq!(ok(world.admin.update_user(by(emptied)).await).user.unwrap().last_name, "");
    for path in ["id", "status", "nonsense", "attributes.team"] {
        let reply = world.admin.update_user(by(update(User::default(), mask(&[path])))).await;
        assert_eq!(fields(reply), ["update_mask"], "{path}");
    }
    let reply = world.admin.update_user(by(update(User::default(), mask(&["email"])))).await;
    assert_eq!(fields(reply), ["user.email"]);
    let scope = Role { id: "content-viewer".into(), name: "x".into(), ..Role::default() };
    let request = UpdateRoleRequest { organization: "acme".into(), role: Some(scope), ..Default::default() };
    assert_eq!(refused(world.admin.update_role(by(request)).await), (Code::FailedPrecondition, "BUILT_IN".into()));
}

#[tokio::test]
async fn statuses_move_only_as_the_model_says() {
    let world = World::acme().await;
    world.group("risk").await;
    let user = User { id: "new".into(), email: "new@acme.com".into(), ..User::default() };
    let invite = InviteUserRequest {
        organization: "acme".into(),
        user: Some(user),
        groups: vec!["risk".into()],
        ..Default::default()
    };
    let invited = ok(world.admin.invite_user(by(invite)).await).user.unwrap();
    assert_eq!((invited.status(), invited.pending_groups), (PrincipalStatus::Invited, vec!["risk".to_owned()]));
    let organization = || "acme".to_owned();
    let downgrade = DowngradeUserRequest { organization: organization(), user: "new".into(), ..Default::default() };
    let illegal = world.admin.downgrade_user(by(downgrade.clone())).await;
    assert!(illegal.as_ref().unwrap_err().message().ends_with("possible: `CompleteRegistration`, `RevokeInvitation`"));
    assert_eq!(refused(illegal), (Code::FailedPrecondition, "ILLEGAL_STATUS_MOVE".into()));
    let list = ListMembersRequest { organization: organization(), group: "risk".into(), ..Default::default() };
    let [pending] = ok(world.admin.list_members(by(list.clone())).await).members.try_into().unwrap();
    assert!(pending.pending && pending.direct);
    let complete =
        CompleteRegistrationRequest { organization: organization(), user: "new".into(), ..Default::default() };
    let active = ok(world.admin.complete_registration(by(complete)).await).user.unwrap();
    assert_eq!((active.status(), active.pending_groups.len()), (PrincipalStatus::Active, 0));
    let [member] = ok(world.admin.list_members(by(list)).await).members.try_into().unwrap();
    assert!(!member.pending && member.direct);
    ok(world.admin.downgrade_user(by(downgrade)).await);
    let deactivate = DeactivateUserRequest { organization: organization(), user: "new".into(), ..Default::default() };
    let inactive = ok(world.admin.deactivate_user(by(deactivate)).await).user.unwrap();
    assert_eq!(inactive.status_before(), PrincipalStatus::Limited);
    let activate = ActivateUserRequest { organization: organization(), user: "new".into(), ..Default::default() };
    let restored = ok(world.admin.activate_user(by(activate)).await).user.unwrap();
    assert_eq!((restored.status(), restored.status_before()), (PrincipalStatus::Limited, PrincipalStatus::Unspecified));
}

#[tokio::test]
async fn deleting_counts_what_went_with_it() {
    let world = World::acme().await;
    world.user("ana").await;
    world.user("bo").await;
    world.group("risk").await;
    world.object("app").await;
    assert_eq!(world.add("risk", &["user:ana", "user:bo", "user:bo"]).await.added, 2);
    assert_eq!(world.add("risk", &["user:ana"]).await.added, 0);
    world.assign("content-viewer", "group:risk", object_target("app")).await;
    let delete = DeleteGroupRequest { organization: "acme".into(), group: "risk".into(), ..Default::default() };
    let removed = ok(world.admin.delete_group(by(delete.clone())).await).removed.unwrap();
    assert_eq!(removed, Removed { memberships: 2, assignments: 1, ..Removed::default() });
    assert_eq!(refused(world.admin.delete_group(by(delete)).await).0, Code::NotFound);
    let system = DeleteGroupRequest { organization: "acme".into(), group: "all-users".into(), ..Default::default() };
    assert_eq!(refused(world.admin.delete_group(by(system)).await).0, Code::FailedPrecondition);
}

#[tokio::test]
async fn an_assignment_that_exists_is_left_alone_unless_its_period_differs() {
    let world = World::acme().await;
    world.user("ana").await;
    world.object("app").await;
    let first = world.assign("content-viewer", "user:ana", object_target("app")).await;
    let again = world.assign("content-viewer", "user:ana", object_target("app")).await;
    assert_eq!((first.assignment, first.revision), (again.assignment, again.revision));
    assert_eq!((first.changes.len(), again.changes.len()), (1, 0));
    let with = |nanos| {
        let expires_at = Some(Timestamp { seconds: 4_000_000_000, nanos });
        let assignment = Assignment {
            role: "content-viewer".into(),
            member: "user:ana".into(),
            target: object_target("app"),
            period: Some(Period { starts_at: None, expires_at }),
            ..Assignment::default()
        };
        CreateAssignmentRequest { organization: "acme".into(), assignment: Some(assignment), ..Default::default() }
    };
    assert_eq!(refused(world.admin.create_assignment(by(with(0))).await).0, Code::AlreadyExists);
    assert_eq!(fields(world.admin.create_assignment(by(with(1))).await), ["assignment.period.expires_at"]);
    let CreateAssignmentRequest { assignment, .. } = with(5_000_000);
    let update = UpdateAssignmentRequest { organization: "acme".into(), assignment, ..Default::default() };
    let updated = ok(world.admin.update_assignment(by(update)).await).assignment.unwrap();
    assert_eq!(updated.period.unwrap().expires_at.unwrap().nanos, 5_000_000);
}

#[tokio::test]
async fn grants_are_given_and_taken_one_by_one() {
    let world = World::acme().await;
    world.user("ana").await;
    let permissions = vec!["records.read".to_owned(), "tasks.*".to_owned()];
    let grant = Grant { permissions: permissions.clone(), member: "user:ana".into(), ..Grant::default() };
    let create = CreateGrantsRequest { organization: "acme".into(), grant: Some(grant), ..Default::default() };
    let grants = ok(world.admin.create_grants(by(create)).await).grants;
    assert_eq!(grants.iter().flat_map(|g| g.permissions.clone()).collect::<Vec<_>>(), permissions);
    let list = ListGrantsRequest { organization: "acme".into(), member: "user:ana".into(), ..Default::default() };
    assert_eq!(ok(world.admin.list_grants(by(list.clone())).await).grants, grants);
    let mut delete = DeleteGrantsRequest {
        organization: "acme".into(),
        permissions,
        member: "user:ana".into(),
        etag: grants[0].etag.clone(),
        ..Default::default()
    };
    assert_eq!(fields(world.admin.delete_grants(by(delete.clone())).await), ["etag"]);
    delete.etag = String::new();
    ok(world.admin.delete_grants(by(delete.clone())).await);
    assert!(ok(world.admin.list_grants(by(list)).await).grants.is_empty());
    assert_eq!(refused(world.admin.delete_grants(by(delete)).await).0, Code::NotFound);
}

#[tokio::test]
async fn removing_a_domain_says_what_it_empties() {
    let world = World::acme().await;
    world.user("ana").await;
    let group = Group {
        id: "staff".into(),
        kind: GroupKind::Dynamic.into(),
        domains: vec!["acme.com".into(), "other.org".into()],
        ..Group::default()
    };
    let create = CreateGroupRequest { organization: "acme".into(), group: Some(group), ..Default::default() };
    ok(world.admin.create_group(by(create)).await);
    let remove = RemoveEmailDomainRequest {
        organization: "acme".into(),
        domain: "Acme.COM".into(),
        validate_only: true,
        ..Default::default()
    };
    let beforehand = ok(world.admin.remove_email_domain(by(remove.clone())).await);
    let done = ok(world
        .admin
        .remove_email_domain(by(RemoveEmailDomainRequest { validate_only: false, ..remove.clone() }))
        .await);
    assert_eq!(beforehand.effect, done.effect);
    let groups = done.effect.unwrap().groups;
    let staff = GroupEffect { group: "staff".into(), members_gained: 0, members_lost: 1, emptied: true };
    assert!(groups.contains(&staff), "{groups:?}");
    assert_eq!(refused(world.admin.remove_email_domain(by(remove)).await).0, Code::NotFound);
}

#[tokio::test]
async fn the_default_mark_moves_with_the_account() {
    let world = World::acme().await;
    let account = Account { id: "emea".into(), default: true, ..Account::default() };
    let create = CreateAccountRequest { organization: "acme".into(), account: Some(account), ..Default::default() };
    assert!(ok(world.admin.create_account(by(create)).await).account.unwrap().default);
    let get = |id: &str| GetAccountRequest { organization: "acme".into(), account: id.into(), min_revision: None };
    assert!(!ok(world.admin.get_account(by(get("main"))).await).account.unwrap().default);
    assert_eq!(world.user("ana").await.account, "emea");
    let cleared = UpdateAccountRequest {
        organization: "acme".into(),
        account: Some(Account { id: "emea".into(), ..Account::default() }),
        update_mask: mask(&["default"]),
        ..Default::default()
    };
    assert_eq!(
        refused(world.admin.update_account(by(cleared)).await),
        (Code::FailedPrecondition, "DEFAULT_ACCOUNTS".into())
    );
}

#[tokio::test]
async fn service_accounts_are_kept_and_deactivated() {
    let world = World::acme().await;
    let service_account = Some(ServiceAccount { id: "ci".into(), ..ServiceAccount::default() });
    let create = CreateServiceAccountRequest { organization: "acme".into(), service_account, ..Default::default() };
    let created = ok(world.admin.create_service_account(by(create.clone())).await).service_account.unwrap();
    assert_eq!((created.account.as_str(), created.status()), ("main", PrincipalStatus::Active));
    assert_eq!(
        refused(world.admin.create_service_account(by(create)).await),
        (Code::AlreadyExists, "ALREADY_EXISTS".into())
    );
    let off = DeactivateServiceAccountRequest {
        organization: "acme".into(),
        service_account: "ci".into(),
        ..Default::default()
    };
    let off = ok(world.admin.deactivate_service_account(by(off)).await).service_account.unwrap();
    assert_eq!(off.status(), PrincipalStatus::Inactive);
}
