//! Rule 2.10: what goes with a role, a permission, an account, as the replies count it.

use doorward::service::proto as pb;
use doorward::service::proto::organization_service_server::OrganizationService;
use doorward::service::proto::role_service_server::RoleService;
use doorward::service::proto::user_service_server::UserService;
use serde_json::{Value, json};

use crate::activity::founded;
use crate::activity::{World, by, ok, operator, why};

fn acme() -> Value {
    json!({
        "organization": "acme",
        "preset": "workspace",
        "accounts": [{"id": "main", "default": true}, {"id": "emea"}, {"id": "apac"}],
        "permissions": [
            {"name": "data.read", "aliases": ["READ"]},
            {"name": "data.edit", "when_not_owner": "data.edit_any"},
            {"name": "data.edit_any"},
        ],
        "objects": [{"id": "app", "kind": "app"}],
        "users": [
            {"id": "ana", "email": "a@acme.com"},
            {"id": "eve", "email": "e@acme.com", "account": "emea"},
        ],
        "service_accounts": [{"id": "bot"}],
        "groups": [{"id": "risk", "kind": "manual"}],
        "roles": [
            {"id": "clerk", "scope": "object", "permissions": ["data.read", "tasks.read"]},
            {"id": "reader", "scope": "organization", "permissions": ["READ", "data.edit", "data.*"]},
            {"id": "local", "scope": "account", "permissions": ["tasks.read"]},
            {"id": "other", "scope": "object", "permissions": ["tasks.read"]},
            {"id": "spare", "scope": "object", "permissions": []},
        ],
        "assignments": [
            {"role": "clerk", "member": "user:ana", "object": "app"},
            {"role": "clerk", "member": "group:risk", "object": "app"},
            {"role": "clerk", "member": "service:bot", "object": "app", "record": "r"},
            {"role": "other", "member": "user:ana", "object": "app"},
            {"role": "local", "member": "user:ana", "account": "emea"},
            {"role": "local", "member": "user:eve", "account": "emea"},
            {"role": "local", "member": "user:eve", "account": "main"},
        ],
        "grants": [
            {"permissions": ["data.read"], "member": "user:ana"},
            {"permissions": ["READ"], "member": "group:risk", "object": "app"},
            {"permissions": ["data.*"], "member": "user:eve"},
            {"permissions": ["tasks.read", "apps.read"], "member": "group:risk", "account": "emea"},
            {"permissions": ["data.read"], "member": "user:eve", "account": "main"},
        ],
        "separation_of_duties": [{"id": "apart", "roles": ["clerk", "other", "reader", "spare"], "max": 2}],
        "emergency": [{"role": "clerk", "object": "app", "users": ["ana"], "max_duration": "1h"}],
    })
}

/// The rows of the organization, and its revision.
fn rows(world: &World) -> (Vec<String>, u64) {
    let rows = world.engine.with_table("acme", None, |table| {
        let mut rows: Vec<String> = table.rows().map(|row| row.key().describe()).collect();
        rows.sort();
        (rows, table.revision())
    });
    rows.unwrap()
}

/// Deletes for a try and then in earnest: what is said of both, and the rows that went.
macro_rules! deleted {
    ($world:expr, $rpc:ident $message:ident { $field:ident: $value:expr }) => {{
        let request = pb::$message { organization: "acme".into(), $field: $value.into(), ..Default::default() };
        let before = rows(&$world);
        let dry = pb::$message { validate_only: true, ..request.clone() };
        let said = ok($world.admin.$rpc(by(&operator(), dry)).await).removed.unwrap();
        assert_eq!(rows(&$world), before, "a dry run deletes nothing");
        let done = ok($world.admin.$rpc(by(&operator(), request.clone())).await);
        assert_eq!(done.removed, Some(said), "as was said beforehand");
        let after = rows(&$world);
        assert_eq!((after.1, done.revision.unwrap().number), (before.1 + 1, before.1 + 1), "one revision");
        assert_eq!(why($world.admin.$rpc(by(&operator(), request)).await), "NOT_FOUND");
        assert!(after.0.iter().all(|row| before.0.contains(row)));
        let gone: Vec<String> = before.0.into_iter().filter(|row| !after.0.contains(row)).collect();
        (said, gone)
    }};
}

#[tokio::test]
async fn m2_10_a_deleted_role_takes_its_assignments_with_it() {
    let world = founded(&acme()).await;
    let (removed, gone) = deleted!(world, delete_role DeleteRoleRequest { role: "clerk" });
    let expected = pb::Removed { assignments: 3, constraint_roles: 1, emergency_rules: 1, ..Default::default() };
    assert_eq!(removed, expected);
    assert_eq!(
        gone,
        [
            "assignment of role `clerk` to `group:risk` at object `app`",
            "assignment of role `clerk` to `service:bot` at record `r` of object `app`",
            "assignment of role `clerk` to `user:ana` at object `app`",
            "emergency access to role `clerk` at object `app`",
            "role `clerk`",
        ]
    );
    let (removed, _) = deleted!(world, delete_role DeleteRoleRequest { role: "local" });
    assert_eq!(removed, pb::Removed { assignments: 3, ..Default::default() });
}

#[tokio::test]
async fn m2_10_a_deleted_permission_goes_out_of_roles_and_takes_its_grants() {
    let world = founded(&acme()).await;
    let (removed, gone) = deleted!(world, delete_permission DeletePermissionRequest { permission: "data.read" });
    assert_eq!(removed, pb::Removed { role_permissions: 2, grants: 3, ..Default::default() }, "by its alias, too");
    assert_eq!(
        gone,
        [
            "grant of `READ` to `group:risk` at object `app`",
            "grant of `data.read` to `user:ana` at the organization",
            "grant of `data.read` to `user:eve` at account `main`",
            "permission `data.read`",
        ]
    );
    let left = async |role: &str| {
        let request = pb::GetRoleRequest { organization: "acme".into(), role: role.into(), min_revision: None };
        ok(world.admin.get_role(by(&operator(), request)).await).role.unwrap().permissions
    };
    assert_eq!(left("clerk").await, ["tasks.read"]);
    assert_eq!(left("reader").await, ["data.*", "data.edit"], "a wildcard stays");
    // Neither what another one stands in for, nor what ships.
    let before = rows(&world);
    for (permission, reason) in [("data.edit_any", "IN_USE"), ("tasks.read", "BUILT_IN"), ("READ", "NOT_FOUND")] {
        let request = pb::DeletePermissionRequest {
            organization: "acme".into(),
            permission: permission.into(),
            ..Default::default()
        };
        assert_eq!(why(world.admin.delete_permission(by(&operator(), request)).await), reason, "{permission}");
    }
    assert_eq!(rows(&world), before);
}

#[tokio::test]
async fn m2_10_a_deleted_account_takes_what_is_held_there() {
    let world = founded(&acme()).await;
    let delete = |account: &str| pb::DeleteAccountRequest {
        organization: "acme".into(),
        account: account.into(),
        ..Default::default()
    };
    let before = rows(&world);
    assert_eq!(why(world.admin.delete_account(by(&operator(), delete("emea"))).await), "IN_USE", "Eve is of it");
    assert_eq!(why(world.admin.delete_account(by(&operator(), delete("main"))).await), "IN_USE", "the default one");
    assert_eq!(rows(&world), before);
    let (removed, gone) = deleted!(world, delete_account DeleteAccountRequest { account: "apac" });
    assert_eq!((removed, gone), (pb::Removed::default(), vec!["account `apac`".to_owned()]));
    let moved = pb::User { id: "eve".into(), account: "main".into(), ..Default::default() };
    let request = pb::UpdateUserRequest { organization: "acme".into(), user: Some(moved), ..Default::default() };
    ok(world.admin.update_user(by(&operator(), request)).await);
    let (removed, gone) = deleted!(world, delete_account DeleteAccountRequest { account: "emea" });
    assert_eq!(removed, pb::Removed { assignments: 2, grants: 2, ..Default::default() });
    assert_eq!(
        gone,
        [
            "account `emea`",
            "assignment of role `local` to `user:ana` at account `emea`",
            "assignment of role `local` to `user:eve` at account `emea`",
            "grant of `apps.read` to `group:risk` at account `emea`",
            "grant of `tasks.read` to `group:risk` at account `emea`",
        ]
    );
}

/// What a system group holds goes with the role, the permission and the place as what others hold: what is
/// created again under an id inherits nothing, and the store is read again.
#[tokio::test]
async fn m2_10_what_a_system_group_holds_goes_too_and_the_store_opens_again() {
    let mut file = acme();
    let held = |holder: &str, row: Value| {
        let mut row = row;
        row["member"] = format!("group:{holder}").into();
        row
    };
    let mut add = |section: &str, rows: Vec<Value>| file[section].as_array_mut().unwrap().extend(rows);
    add("objects", vec![json!({"id": "gone", "kind": "app"})]);
    for group in ["all-users", "internal-users", "external-users"] {
        add(
            "assignments",
            vec![
                held(group, json!({"role": "spare", "object": "app"})),
                held(group, json!({"role": "other", "object": "gone"})),
                held(group, json!({"role": "other", "object": "gone", "record": "r"})),
                held(group, json!({"role": "local", "account": "apac"})),
            ],
        );
        add(
            "grants",
            vec![
                held(group, json!({"permissions": ["data.read"]})),
                held(group, json!({"permissions": ["tasks.read"], "object": "gone"})),
                held(group, json!({"permissions": ["tasks.read"], "account": "apac"})),
            ],
        );
    }
    let world = founded(&file).await;
    let (removed, _) = deleted!(world, delete_role DeleteRoleRequest { role: "spare" });
    assert_eq!(removed, pb::Removed { assignments: 3, constraint_roles: 1, ..Default::default() });
    let (removed, _) = deleted!(world, delete_object DeleteObjectRequest { object: "gone" });
    assert_eq!(removed, pb::Removed { assignments: 6, grants: 3, ..Default::default() });
    let (removed, _) = deleted!(world, delete_account DeleteAccountRequest { account: "apac" });
    assert_eq!(removed, pb::Removed { assignments: 3, grants: 3, ..Default::default() });
    let (removed, _) = deleted!(world, delete_permission DeletePermissionRequest { permission: "data.read" });
    assert_eq!(removed, pb::Removed { role_permissions: 2, grants: 3 + 3, ..Default::default() });
    let object = pb::Object { id: "gone".into(), kind: pb::ObjectKind::App.into(), ..Default::default() };
    let request = pb::CreateObjectRequest { organization: "acme".into(), object: Some(object), ..Default::default() };
    ok(world.admin.create_object(by(&operator(), request)).await);
    let before = rows(&world);
    assert!(before.0.iter().all(|row| !row.contains("at object `gone`") && !row.contains("of object `gone`")));
    world.engine.stop();
    assert_eq!(rows(&World::over(std::sync::Arc::clone(&world.store))), before);
}
