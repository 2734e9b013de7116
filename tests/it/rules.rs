//! More of the rules of ACCESS-MODEL.md, one by one and by hand; and that each of them has a test of its name.

use std::collections::BTreeSet;

use doorward::core::change::Change;
use doorward::core::decision::{Context, ProblemKind, Question, Reason, Record, Resource, decide};
use doorward::core::model::Key;
use doorward::core::presets::WORKSPACE;
use doorward::core::table::Table;
use doorward::service::proto as pb;
use doorward::service::proto::role_service_server::RoleService;
use serde_json::{Value, json};
use tonic::Code;

use crate::activity::{World, by, operator};
use crate::model::{NOW, ask, base, id, in_account, in_app, violations};
use crate::support::table;
use crate::wire::reason;

/// Every rule that a caller can see at work.
const RULES: [(u32, u32); 7] = [(1, 4), (2, 10), (3, 7), (4, 11), (5, 2), (6, 6), (7, 6)];

/// Of the product: what tests the oracle tests no rule of ours.
#[test]
fn every_rule_has_a_test_named_after_it() {
    let mut tested = BTreeSet::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut open = vec![root.join("src"), root.join("tests/it")];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs")
                && !path.file_name().unwrap().to_string_lossy().starts_with("oracle")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let mut lines = text.lines().map(str::trim_start).peekable();
                let mut test = false;
                while let Some(line) = lines.next() {
                    // An attribute with arguments is one, too; others may stand between it and its function.
                    test = line.starts_with("#[test")
                        || line.starts_with("#[tokio::test")
                        || test && line.starts_with("#[");
                    let name = lines
                        .peek()
                        .map(|next| next.trim_start_matches("async "))
                        .and_then(|next| next.strip_prefix("fn m"));
                    if let (true, Some(name)) = (test, name) {
                        let mut numbers = name.split('_').map_while(|n| n.parse::<u32>().ok());
                        tested.extend(numbers.next().zip(numbers.next()));
                    }
                }
            }
        }
    }
    let all = RULES.iter().flat_map(|(section, last)| (1..=*last).map(move |rule| (*section, rule)));
    let missing: Vec<_> = all.filter(|rule| !tested.contains(rule)).collect();
    assert_eq!(missing, [], "no test is named after these");
}

fn record<'a>(account: &'a str, owner: &'a str) -> Record<'a> {
    Record { id: "r", account, owner, ..Record::default() }
}

/// On a record of `app`.
fn on<'a>(account: &'a str, record: Record<'a>) -> Resource<'a> {
    Resource { account, record: Some(record), ..in_app() }
}

#[test]
fn m1_4_a_records_account_is_the_resources_and_without_one_an_account_gives_nothing() {
    let mover = json!([{"id": "mover", "scope": "account", "permissions": ["data.read", "data.move"]}]);
    for held in [
        json!({"grants": [{"permissions": ["data.read", "data.move"], "member": "user:ana", "account": "emea"}]}),
        json!({"roles": mover, "assignments": [{"role": "mover", "member": "user:ana", "account": "emea"}]}),
    ] {
        let table = table(&base(held.clone()));
        for permission in ["data.read", "data.move"] {
            for (requests, records, allowed) in [
                ("emea", None, true),
                ("main", None, false),
                ("", None, false),
                ("emea", Some(""), true),
                ("", Some("emea"), true),
                ("main", Some("emea"), true),
                ("emea", Some("main"), false),
                ("", Some("main"), false),
                ("", Some(""), false),
            ] {
                let resource = match records {
                    None => in_account(requests),
                    Some(account) => on(requests, record(account, "")),
                };
                let expected = if allowed { Reason::Allowed } else { Reason::NoPermission };
                let got = ask(&table, "ana", permission, resource);
                assert_eq!(got, expected, "{permission} of {held}, in `{requests}`, the record in {records:?}");
            }
        }
    }
}

#[test]
fn m1_4_an_unknown_account_and_a_record_without_object_or_id_are_errors() {
    let table = table(&base(json!({"grants": [{"permissions": ["*"], "member": "user:ana"}]})));
    let problems = |resource| {
        let question = Question { principal: "ana", permission: "data.read", resource, ..Question::default() };
        let problems = decide(&table, &question, NOW)
            .map_err(|problems| problems.into_iter().map(|p| (p.field, p.kind)).collect::<Vec<_>>());
        problems.err().unwrap_or_default()
    };
    let unknown = |account: &str| ProblemKind::UnknownAccount(account.to_owned());
    assert_eq!(problems(in_account("nowhere")), [("resource.account", unknown("nowhere"))]);
    assert_eq!(problems(on("", record("nowhere", ""))), [("resource.record.account", unknown("nowhere"))]);
    // The one that counts is known: the other is wrong all the same.
    assert_eq!(problems(on("nowhere", record("main", ""))), [("resource.account", unknown("nowhere"))]);
    assert_eq!(problems(on("main", record("nowhere", ""))), [("resource.record.account", unknown("nowhere"))]);
    let homeless = Resource { record: Some(record("", "")), ..Resource::default() };
    assert_eq!(problems(homeless), [("resource.object", ProblemKind::RecordWithoutObject)]);
    let nameless = problems(on("", Record::default()));
    assert!(matches!(nameless.as_slice(), [("resource.record.id", ProblemKind::Malformed(_))]), "{nameless:?}");
    assert_eq!(problems(on("main", record("emea", "user:nobody"))), [], "an owner may be gone");
}

#[test]
fn m1_4_an_owner_is_a_user_or_a_service_account_that_is_named_as_such() {
    let grant = |member| json!({"permissions": ["data.edit"], "member": member});
    let grants = ["user:ana", "user:bot", "service:bot"].map(grant);
    let table = table(&base(json!({
        "permissions": [{"name": "data.edit", "when_not_owner": "data.edit_any"}, {"name": "data.edit_any"}],
        "users": [{"id": "ana", "email": "a@acme.com"}, {"id": "bot", "email": "b@acme.com"}],
        "groups": [],
        "grants": grants,
    })));
    for (owner, whose) in [
        ("ana", [true, false, false]),
        ("user:ana", [true, false, false]),
        ("bot", [false, true, false]),
        ("user:bot", [false, true, false]),
        ("service:bot", [false, false, true]),
        ("service:ana", [false, false, false]),
        ("somebody", [false, false, false]),
        ("", [false, false, false]),
    ] {
        let may = ["ana", "user:bot", "service:bot"]
            .map(|who| ask(&table, who, "data.edit", on("", record("", owner))) == Reason::Allowed);
        assert_eq!(may, whose, "owned by `{owner}`");
    }
}

#[test]
fn m3_4_what_is_held_for_a_time_begins_and_ends_to_the_millisecond() {
    let at = |now: i64| format!("1970-01-01T00:00:00.{now:03}Z");
    let may = |table: &Table, now: i64, resource| {
        let question = Question { principal: "ana", permission: "data.read", resource, ..Question::default() };
        decide(table, &question, now).unwrap() == Reason::Allowed
    };
    let times = [199, 200, 299, 300];
    let places = [
        (json!({}), "o", Resource::default()),
        (json!({"account": "emea"}), "a", in_account("emea")),
        (json!({"object": "app"}), "b", in_app()),
        (json!({"object": "app", "record": "r"}), "b", on("", record("", ""))),
    ];
    for (target, role, resource) in places {
        for member in ["user:ana", "group:risk"] {
            for (starts, expires, expected) in [
                (Some(200), Some(300), [false, true, true, false]),
                (Some(200), None, [false, true, true, true]),
                (None, Some(300), [true, true, true, false]),
                (None, None, [true; 4]),
            ] {
                let mut held = target.clone();
                held["member"] = member.into();
                for (key, time) in [("starts_at", starts), ("expires_at", expires)] {
                    if let Some(ms) = time {
                        held[key] = at(ms).into();
                    }
                }
                let (mut assignment, mut grant) = (held.clone(), held);
                assignment["role"] = role.into();
                grant["permissions"] = json!(["data.read"]);
                let groups = json!([{"id": "risk", "kind": "manual", "members": ["user:ana"]}]);
                let roles = [("o", "organization"), ("a", "account"), ("b", "object")]
                    .map(|(id, scope)| json!({"id": id, "scope": scope, "permissions": ["data.*"]}));
                for held in [json!({"assignments": [assignment]}), json!({"grants": [grant]})] {
                    let mut file = base(json!({"groups": groups, "roles": roles}));
                    file.as_object_mut().unwrap().extend(held.as_object().unwrap().clone());
                    let table = table(&file);
                    let got = times.map(|now| may(&table, now, resource));
                    assert_eq!(got, expected, "{held}, from {starts:?} to {expires:?}");
                }
            }
        }
    }
}

/// What the roles of the preset give: in the order of the roles below.
const GIVEN: [(&str, [bool; 4]); 22] = [
    ("records.read", [true, true, true, true]),
    ("records.create", [true, true, true, false]),
    ("records.update", [true, true, true, false]),
    ("records.delete", [true, true, true, false]),
    ("tasks.read", [true, true, true, true]),
    ("tasks.delete", [true, true, true, false]),
    ("analytics.read", [true, true, true, true]),
    ("analytics.update", [true, true, true, false]),
    ("automations.read", [true, true, true, true]),
    ("automations.run", [true, true, true, false]),
    ("automations.create", [true, true, false, false]),
    ("agents.run", [true, true, true, false]),
    ("agents.delete", [true, true, false, false]),
    ("ai_providers.use", [true, true, true, false]),
    ("ai_providers.read", [true, true, false, false]),
    ("apps.read", [true, true, true, true]),
    ("apps.configure", [true, true, false, false]),
    ("objects.configure", [true, true, false, false]),
    ("roles.assign", [true, true, false, false]),
    ("data_access.manage", [true, true, false, false]),
    ("relations.report", [true, true, true, false]),
    ("organization.update", [true, false, false, false]),
];
const MANAGED: [&str; 4] = ["organization-admin", "app-admin", "content-editor", "content-viewer"];

#[test]
fn m3_5_the_managed_roles_of_the_workspace_give_what_they_should_where_they_are_held() {
    for (nth, role) in MANAGED.into_iter().enumerate() {
        let mut assignment = json!({"role": role, "member": "user:ana"});
        if nth > 0 {
            assignment["object"] = "app".into();
        }
        let table = table(&base(json!({"assignments": [assignment]})));
        let may = |permission, object| {
            ask(&table, "ana", permission, Resource { object, ..Resource::default() }) == Reason::Allowed
        };
        for (permission, given) in GIVEN {
            assert_eq!(may(permission, "app"), given[nth], "{permission} by {role}");
            assert_eq!(may(permission, "other"), nth == 0, "{permission} by {role}, elsewhere");
        }
        // All that ships, of one's own and to come, by the administrator's `*`.
        let all = WORKSPACE.iter().map(|p| p.name).chain(["data.read", "data.wipe"]);
        assert_eq!(all.filter(|p| !may(p, "")).count() == 0, nth == 0, "{role}");
    }
}

#[tokio::test]
async fn m3_5_a_managed_role_is_neither_changed_nor_deleted() {
    let world = World::memory().await;
    let root = &operator();
    let roles = async || {
        let request = pb::ListRolesRequest { organization: "acme".into(), ..Default::default() };
        let reply = world.admin.list_roles(by(root, request)).await.unwrap().into_inner();
        (reply.roles, reply.revision)
    };
    let before = roles().await;
    for id in MANAGED {
        let managed = before.0.iter().find(|role| role.id == id).unwrap();
        assert_eq!(managed.kind(), pb::RoleKind::Managed);
        let mut refused = Vec::new();
        for (path, edited) in [
            ("permissions", pb::Role { permissions: vec![], ..managed.clone() }),
            ("permissions", pb::Role { permissions: vec!["tasks.read".into()], ..managed.clone() }),
            ("name", pb::Role { name: "Mine".into(), ..managed.clone() }),
            ("description", pb::Role { description: "mine".into(), ..managed.clone() }),
        ] {
            let request = pb::UpdateRoleRequest {
                organization: "acme".into(),
                role: Some(edited),
                update_mask: Some(prost_types::FieldMask { paths: vec![path.into()] }),
                ..Default::default()
            };
            refused.push(world.admin.update_role(by(root, request)).await.map(drop).unwrap_err());
        }
        let request = pb::DeleteRoleRequest { organization: "acme".into(), role: id.into(), ..Default::default() };
        refused.push(world.admin.delete_role(by(root, request)).await.map(drop).unwrap_err());
        for status in refused {
            assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "BUILT_IN"), "{id}");
        }
    }
    assert_eq!(roles().await, before);
    // Nor by a file, which names what it keeps.
    let table = table(&base(json!({})));
    for role in MANAGED {
        let delete = Change::Delete { keys: vec![Key::Role(id(role))], etag: None };
        assert_eq!(violations(&table, delete), [("", "BUILT_IN")], "{role}");
    }
}

#[test]
fn m4_3_a_sign_on_counts_until_it_is_older_than_the_organization_allows() {
    const HOUR: i64 = 3_600_000;
    let grants =
        ["user:ana", "user:ext", "service:bot"].map(|member| json!({"permissions": ["data.read"], "member": member}));
    let file = |settings: Value| table(&base(json!({"settings": settings, "grants": grants})));
    let strict = file(json!({"external_reauthentication": {"max_age": "1h"}}));
    let open = file(json!({}));
    let ask = |table: &Table, principal: &str, permission: &str, authenticated_at| {
        let context = Context { authenticated_at, ..Context::default() };
        decide(table, &Question { principal, permission, context, ..Question::default() }, NOW).unwrap()
    };
    for (authenticated_at, counts) in [
        (None, false),
        (Some(NOW + 1), false),
        (Some(NOW), true),
        (Some(NOW - 1), true),
        (Some(NOW - HOUR + 1), true),
        (Some(NOW - HOUR), true),
        (Some(NOW - HOUR - 1), false),
        (Some(0), false),
    ] {
        let expected = if counts { Reason::Allowed } else { Reason::ReauthenticationRequired };
        assert_eq!(ask(&strict, "ext", "data.read", authenticated_at), expected, "{authenticated_at:?}");
        // It is asked of external users, where the organization asks it.
        for who in ["ana", "service:bot"] {
            assert_eq!(ask(&strict, who, "data.read", authenticated_at), Reason::Allowed, "{who}");
        }
        assert_eq!(ask(&open, "ext", "data.read", authenticated_at), Reason::Allowed);
    }
    // Before it is asked what is held, and after the status.
    assert_eq!(ask(&strict, "ext", "data.wipe", None), Reason::ReauthenticationRequired);
    assert_eq!(ask(&strict, "ext", "data.wipe", Some(NOW)), Reason::NoPermission);
    let users = json!([{"id": "ext", "email": "e@partner.io", "status": "inactive", "status_before": "active"}]);
    let settings = json!({"external_reauthentication": {"max_age": "1h"}});
    let gone = table(&base(json!({"settings": settings, "users": users, "groups": []})));
    assert_eq!(ask(&gone, "ext", "data.read", None), Reason::PrincipalInactive);
}
