//! Rule 2.2: where each move leads from each status, by the RPCs; and what a file may say.

use doorward::core::change::{Change, ChangeError, apply};
use doorward::core::model::{Key, Row, Status, User};
use doorward::service::proto as pb;
use doorward::service::proto::organization_service_server::OrganizationService;
use doorward::service::proto::user_service_server::UserService;
use serde_json::json;
use tonic::Code;

use crate::activity::{World, by, creating, ok, operator};
use crate::model::base;
use crate::support::table;
use crate::wire::reason;

const MOVES: [&str; 6] =
    ["CompleteRegistration", "RevokeInvitation", "DowngradeUser", "UpgradeUser", "DeactivateUser", "ActivateUser"];

/// What comes of each move, in the order of `MOVES`, from the status that these moves led to. `-`: it is refused.
const TABLE: [(&str, &[&str], [&str; 6]); 6] = [
    ("invited", &["InviteUser"], ["active", "inactive", "-", "-", "-", "-"]),
    ("active", &["CreateUser"], ["-", "-", "limited", "-", "inactive", "-"]),
    ("limited", &["CreateUser", "DowngradeUser"], ["-", "-", "-", "active", "inactive", "-"]),
    ("inactive", &["CreateUser", "DeactivateUser"], ["-", "-", "-", "-", "-", "active"]),
    ("inactive", &["CreateUser", "DowngradeUser", "DeactivateUser"], ["-", "-", "-", "-", "-", "limited"]),
    ("inactive", &["InviteUser", "RevokeInvitation"], ["-", "-", "-", "-", "-", "-"]),
];

/// Makes a move: the user after it, and the revision.
async fn go(world: &World, rpc: &str, user: &str) -> Result<(pb::User, pb::Revision), tonic::Status> {
    macro_rules! go {
        ($rpc:ident $message:ident) => {{
            let request = pb::$message { organization: "acme".into(), user: user.into(), ..Default::default() };
            let reply = world.admin.$rpc(by(&operator(), request)).await?.into_inner();
            (reply.user, reply.revision)
        }};
    }
    let (user, revision) = match rpc {
        "CreateUser" => {
            let reply = world.admin.create_user(by(&operator(), creating(user, ""))).await?.into_inner();
            (reply.user, reply.revision)
        }
        "InviteUser" => {
            let user = creating(user, "").user;
            let request = pb::InviteUserRequest { organization: "acme".into(), user, ..Default::default() };
            let reply = world.admin.invite_user(by(&operator(), request)).await?.into_inner();
            (reply.user, reply.revision)
        }
        "CompleteRegistration" => go!(complete_registration CompleteRegistrationRequest),
        "RevokeInvitation" => go!(revoke_invitation RevokeInvitationRequest),
        "DowngradeUser" => go!(downgrade_user DowngradeUserRequest),
        "UpgradeUser" => go!(upgrade_user UpgradeUserRequest),
        "DeactivateUser" => go!(deactivate_user DeactivateUserRequest),
        "ActivateUser" => go!(activate_user ActivateUserRequest),
        other => panic!("{other}"),
    };
    Ok((user.unwrap(), revision.unwrap()))
}

async fn found(world: &World, user: &str) -> pb::User {
    let request = pb::GetUserRequest { organization: "acme".into(), user: user.into(), min_revision: None };
    ok(world.admin.get_user(by(&operator(), request)).await).user.unwrap()
}

async fn revision(world: &World) -> pb::Revision {
    let request = pb::GetOrganizationRequest { organization: "acme".into(), min_revision: None };
    ok(world.admin.get_organization(by(&operator(), request)).await).revision.unwrap()
}

fn name(status: pb::PrincipalStatus) -> String {
    status.as_str_name().trim_start_matches("PRINCIPAL_STATUS_").to_lowercase()
}

#[tokio::test]
async fn m2_2_each_move_leads_where_it_should_or_is_refused_and_says_which_are_possible() {
    let world = World::memory().await;
    let mut refused = 0;
    for (row, (status, way, leads)) in TABLE.into_iter().enumerate() {
        let possible: Vec<String> =
            MOVES.iter().zip(leads).filter(|(_, to)| *to != "-").map(|(m, _)| format!("`{m}`")).collect();
        let possible = if possible.is_empty() { "none".to_owned() } else { possible.join(", ") };
        for (column, (rpc, to)) in MOVES.into_iter().zip(leads).enumerate() {
            let user = format!("u{row}{column}");
            for step in way {
                go(&world, step, &user).await.unwrap();
            }
            let before = found(&world, &user).await;
            assert_eq!(name(before.status()), status, "after {way:?}");
            let at = revision(&world).await;
            match go(&world, rpc, &user).await {
                Ok((after, made)) => {
                    assert_eq!(name(after.status()), to, "{rpc} after {way:?}");
                    assert_eq!(made, pb::Revision { number: at.number + 1, ..at });
                    let restores =
                        if rpc == "DeactivateUser" { before.status() } else { pb::PrincipalStatus::Unspecified };
                    assert_eq!(after.status_before(), restores, "{rpc} after {way:?}");
                    assert_eq!(found(&world, &user).await, after);
                }
                Err(error) => {
                    assert_eq!(to, "-", "{rpc} after {way:?}: {error}");
                    assert_eq!(
                        (error.code(), reason(&error).as_str()),
                        (Code::FailedPrecondition, "ILLEGAL_STATUS_MOVE")
                    );
                    let said = format!("user `{user}` is {status}: `{rpc}` is not possible; possible: {possible}");
                    assert_eq!(error.message(), said);
                    assert_eq!(
                        (revision(&world).await, found(&world, &user).await),
                        (at, before),
                        "{rpc} after {way:?}"
                    );
                    refused += 1;
                }
            }
        }
    }
    assert_eq!(refused, 28);
}

#[test]
fn m2_2_a_status_that_is_set_by_a_file_says_which_are_possible() {
    use Status::{Active, Inactive, Invited, Limited};
    let users = json!([
        {"id": "invited", "email": "a@acme.com", "status": "invited"},
        {"id": "active", "email": "b@acme.com"},
        {"id": "limited", "email": "c@acme.com", "status": "limited"},
        {"id": "was-active", "email": "d@acme.com", "status": "inactive", "status_before": "active"},
        {"id": "was-limited", "email": "e@acme.com", "status": "inactive", "status_before": "limited"},
        {"id": "revoked", "email": "f@acme.com", "status": "inactive"},
    ]);
    let table = table(&base(json!({"users": users})));
    for (id, from, leads, possible) in [
        ("invited", Invited, &[Active, Inactive][..], "`active`, `inactive`"),
        ("active", Active, &[Limited, Inactive], "`limited`, `inactive`"),
        ("limited", Limited, &[Active, Inactive], "`active`, `inactive`"),
        ("was-active", Inactive, &[Active], "`active`"),
        ("was-limited", Inactive, &[Limited], "`limited`"),
        ("revoked", Inactive, &[], "none"),
    ] {
        let Some(Row::User(user)) = table.row(&Key::User(id.parse().unwrap())) else { panic!("{id}") };
        for to in [Invited, Active, Limited, Inactive] {
            let status_before = user.status_before.filter(|_| to == Inactive);
            let row = Row::User(User { status: to, status_before, ..user.clone() });
            let result = apply(&table, vec![Change::Update { row, etag: None }]);
            if to == from || leads.contains(&to) {
                assert!(result.is_ok(), "{id} to {to:?}");
                continue;
            }
            let Err(ChangeError::Violations(violations)) = result else { panic!("{id} to {to:?}") };
            let [violation] = violations.as_slice() else { panic!("{violations:?}") };
            assert_eq!((violation.field, violation.fault.reason()), ("status", "ILLEGAL_STATUS_MOVE"));
            let said = format!("a user cannot become `{}` from `{}`; possible: {possible}", to.name(), from.name());
            assert_eq!(violation.fault.to_string(), said);
        }
    }
}
