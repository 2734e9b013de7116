//! What two roles give, one against the other.

use std::collections::BTreeSet;

use doorward::service::proto as pb;
use doorward::service::proto::organization_service_server::OrganizationService;
use doorward::service::proto::role_service_server::RoleService;
use serde_json::json;
use tonic::Code;

use crate::activity::founded;
use crate::activity::{World, by, ok, operator};
use crate::wire::{fields, reason};

async fn acme() -> World {
    let role = |id: &str, permissions: &[&str]| json!({"id": id, "scope": "organization", "permissions": permissions});
    founded(&json!({
        "organization": "acme",
        "preset": "workspace",
        "permissions": [
            {"name": "data.read", "aliases": ["READ", "SEE"]},
            {"name": "data.move"},
            {"name": "data.wipe", "aliases": ["WIPE"]},
            {"name": "database.read"},
        ],
        "roles": [
            role("clerk", &["READ", "data.move", "tasks.read"]),
            role("cleaner", &["SEE", "data.read", "WIPE"]),
            role("keeper", &["data.*", "tasks.read"]),
            role("reader", &["data.*", "data.read"]),
            role("chief", &["*", "tasks.*"]),
            role("idle", &[]),
        ],
    }))
    .await
}

fn comparing(first: &str, second: &str) -> pb::CompareRolesRequest {
    pb::CompareRolesRequest {
        organization: "acme".into(),
        first_role: first.into(),
        second_role: second.into(),
        min_revision: None,
    }
}

async fn compare(world: &World, first: &str, second: &str) -> pb::CompareRolesResponse {
    let compared = ok(world.admin.compare_roles(by(&operator(), comparing(first, second))).await);
    // The other way round it is the same, mirrored.
    let mirrored = ok(world.admin.compare_roles(by(&operator(), comparing(second, first))).await);
    let pb::CompareRolesResponse { only_first, only_second, both, patterns_only_first, patterns_only_second, revision } =
        mirrored;
    let again = pb::CompareRolesResponse {
        only_first: only_second,
        only_second: only_first,
        both,
        patterns_only_first: patterns_only_second,
        patterns_only_second: patterns_only_first,
        revision,
    };
    assert_eq!(compared, again);
    compared
}

fn strings<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).into()
}

#[tokio::test]
async fn roles_are_compared_by_what_they_give_whatever_they_call_it() {
    let world = acme().await;
    let revision = Some(pb::Revision { number: 1, ..compare(&world, "idle", "idle").await.revision.unwrap() });
    let compared = compare(&world, "clerk", "cleaner").await;
    let expected = pb::CompareRolesResponse {
        only_first: strings(["data.move", "tasks.read"]),
        only_second: strings(["data.wipe"]),
        both: strings(["data.read"]),
        revision: revision.clone(),
        ..Default::default()
    };
    assert_eq!(compared, expected, "an alias is the permission");
    let compared = compare(&world, "clerk", "keeper").await;
    let expected = pb::CompareRolesResponse {
        only_second: strings(["data.wipe"]),
        both: strings(["data.move", "data.read", "tasks.read"]),
        patterns_only_second: strings(["data.*"]),
        revision: revision.clone(),
        ..Default::default()
    };
    assert_eq!(compared, expected, "a wildcard is what it covers, which `database.read` is not");
    let compared = compare(&world, "keeper", "reader").await;
    let expected = pb::CompareRolesResponse {
        only_first: strings(["tasks.read"]),
        both: strings(["data.move", "data.read", "data.wipe"]),
        revision: revision.clone(),
        ..Default::default()
    };
    assert_eq!(compared, expected, "a wildcard that both contain is no difference");
    let compared = compare(&world, "idle", "clerk").await;
    let expected = pb::CompareRolesResponse {
        only_second: strings(["data.move", "data.read", "tasks.read"]),
        revision,
        ..Default::default()
    };
    assert_eq!(compared, expected);
}

#[tokio::test]
async fn a_wildcard_is_compared_with_everything() {
    let world = acme().await;
    let request =
        pb::ListCatalogPermissionsRequest { organization: "acme".into(), page_size: 1_000, ..Default::default() };
    let catalogue = ok(world.admin.list_catalog_permissions(by(&operator(), request)).await);
    assert_eq!(catalogue.next_page_token, "");
    let all: BTreeSet<String> = catalogue.permissions.into_iter().map(|p| p.name).collect();
    assert!(all.len() > 50 && all.contains("organization.admin") && all.contains("database.read"));
    let both = strings(["data.move", "data.read", "data.wipe", "tasks.read"]);
    let rest: Vec<String> = all.iter().filter(|name| !both.contains(name)).cloned().collect();
    let expected = pb::CompareRolesResponse {
        only_second: rest,
        both,
        patterns_only_first: strings(["data.*"]),
        patterns_only_second: strings(["*", "tasks.*"]),
        revision: catalogue.revision,
        ..Default::default()
    };
    assert_eq!(compare(&world, "keeper", "chief").await, expected);
    // The shipped administrator against one of one's own.
    let compared = compare(&world, "organization-admin", "chief").await;
    assert_eq!((compared.only_first.len(), compared.only_second.len(), compared.both.len()), (0, 0, all.len()));
    assert_eq!((compared.patterns_only_first, compared.patterns_only_second), (vec![], strings(["tasks.*"])));
}

#[tokio::test]
async fn only_roles_that_are_there_are_compared() {
    let world = acme().await;
    for (first, second) in [("clerk", "nothing"), ("nothing", "clerk"), ("org-admin", "clerk")] {
        let status = world.admin.compare_roles(by(&operator(), comparing(first, second))).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "NOT_FOUND"), "{first} and {second}");
        let missing = if second == "clerk" { first } else { second };
        assert_eq!(status.message(), format!("role `{missing}` does not exist"));
    }
    let status = world.admin.compare_roles(by(&operator(), comparing("", "a b"))).await.unwrap_err();
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, strings(["first_role", "second_role"])));
}
