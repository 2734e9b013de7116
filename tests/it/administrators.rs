//! Rule 3.7, its last sentence, and rule 3.6 of `org-admin`, where emergency access and constraints come in.

use doorward::core::administrators::last_goes;
use doorward::core::change::{Change, ChangeError, apply};
use doorward::core::model::{Activation, Key, Member, Millis, Row, Target};
use doorward::core::table::Table;
use serde_json::{Value, json};

use crate::support::{applied, rows, table};

const NOW: Millis = 1_795_348_800_000;
const HOUR: Millis = 3_600_000;

fn base(more: Value) -> Value {
    let mut file = json!({
        "organization": "acme",
        "preset": "workspace",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}],
        "users": [{"id": "ana", "email": "ana@acme.com"}, {"id": "bo", "email": "bo@else.org"}],
        "roles": [{"id": "payer", "scope": "organization", "permissions": ["tasks.read"]}],
        "assignments": [{"role": "organization-admin", "member": "user:ana"}],
        "emergency": [{"role": "organization-admin", "users": ["bo"], "max_duration": "2h"}],
    });
    file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    file
}

fn activation(role: &str, user: &str) -> Activation {
    Activation {
        id: "a-1".parse().unwrap(),
        role: role.parse().unwrap(),
        target: Target::Organization,
        user: user.parse().unwrap(),
        justification: "it burns".to_owned(),
        rehearsal: false,
        starts_at: NOW,
        expires_at: NOW + HOUR,
        ended_at: None,
    }
}

fn assignment(role: &str, member: &str) -> Key {
    let member = Member::User(member.parse().unwrap());
    Key::Assignment(role.parse().unwrap(), member, Target::Organization)
}

fn takes_the_last(table: &Table, changes: Vec<Change>) -> bool {
    let made = apply(table, changes).unwrap();
    last_goes(table, &made.table, &made.effects, NOW)
}

fn deleted(key: Key) -> Vec<Change> {
    vec![Change::Delete { keys: vec![key], etag: None }]
}

/// What makes the organization this file's.
fn replaced(file: &Value) -> Vec<Change> {
    vec![Change::Replace { rows: rows(file), deactivate_missing: false }]
}

#[test]
fn m3_7_who_administers_by_an_activation_alone_does_not_let_the_last_one_go() {
    let plain = table(&base(json!({})));
    let active = applied(&plain, vec![Change::Create(Row::Activation(activation("organization-admin", "bo")))]);
    let ana = || deleted(assignment("organization-admin", "ana"));
    assert!(takes_the_last(&plain, ana()));
    assert!(takes_the_last(&active, ana()), "it ends, and nobody is left");
    let both = json!([
        {"role": "organization-admin", "member": "user:ana"}, {"role": "organization-admin", "member": "user:bo"},
    ]);
    let active = applied(&active, replaced(&base(json!({"assignments": both}))));
    assert!(!takes_the_last(&active, ana()), "Bo has it for good, too");
    // That what was activated ends takes it from nobody who had it.
    let nobody = table(&base(json!({"assignments": []})));
    let active = applied(&nobody, vec![Change::Create(Row::Activation(activation("organization-admin", "bo")))]);
    let ended = activation("organization-admin", "bo").ended(NOW + 1);
    assert!(!takes_the_last(&active, vec![Change::Update { row: Row::Activation(ended), etag: None }]));
}

#[test]
fn m3_7_no_constraint_voids_the_role_of_the_last_administrator() {
    let held = |others: &[&str]| {
        let others = others.iter().map(|member| json!({"role": "organization-admin", "member": member}));
        let own = [
            json!({"role": "organization-admin", "member": "user:ana"}),
            json!({"role": "payer", "member": "user:ana"}),
        ];
        own.into_iter().chain(others).collect::<Vec<_>>()
    };
    let apart =
        |enforce: &str| json!([{"id": "pay", "roles": ["payer", "organization-admin"], "max": 1, "enforce": enforce}]);
    let alone = base(json!({"assignments": held(&[])}));
    let denied = base(json!({"assignments": held(&[]), "separation_of_duties": apart("deny")}));
    assert!(takes_the_last(&table(&alone), replaced(&denied)));
    let (two, denied) = (
        base(json!({"assignments": held(&["user:bo"])})),
        base(json!({"assignments": held(&["user:bo"]), "separation_of_duties": apart("deny")})),
    );
    let bo_is_left = table(&denied);
    assert!(!takes_the_last(&table(&two), replaced(&denied)), "Bo is left");
    assert!(takes_the_last(&bo_is_left, deleted(assignment("organization-admin", "bo"))), "Ana's is void");
    // Nor does a group that fills by itself.
    let filling = |domain: &str| {
        let grouped = json!([
            {"role": "organization-admin", "member": "user:ana"}, {"role": "payer", "member": "group:payers"},
        ]);
        let groups = json!([{"id": "payers", "kind": "dynamic", "domains": [domain]}]);
        base(json!({"assignments": grouped, "groups": groups, "separation_of_duties": apart("deny")}))
    };
    assert!(takes_the_last(&table(&filling("gone.org")), replaced(&filling("acme.com"))));
    assert!(!takes_the_last(&table(&filling("gone.org")), replaced(&filling("else.org"))));
}

#[test]
fn m3_6_who_may_activate_org_admin_is_not_moved_out_of_the_default_account() {
    let file = |account: &str, emergency: Value| {
        json!({
            "organization": "acme",
            "preset": "integration",
            "accounts": [{"id": "main", "default": true}, {"id": "emea"}],
            "users": [{"id": "kim", "email": "kim@acme.com", "account": account}],
            "emergency": emergency,
        })
    };
    let named = || json!([{"role": "org-admin", "users": ["kim"], "max_duration": "2h"}]);
    let before = table(&file("main", named()));
    let active = applied(&before, vec![Change::Create(Row::Activation(activation("org-admin", "kim")))]);
    for table in [&before, &active] {
        let user = rows(&file("emea", json!([]))).into_iter().find(|row| matches!(row, Row::User(_))).unwrap();
        match apply(table, vec![Change::Update { row: user, etag: None }]) {
            Err(ChangeError::Violations(violations)) => {
                let [violation] = violations.as_slice() else { panic!("{violations:?}") };
                assert_eq!((violation.field, violation.fault.reason()), ("account", "MISPLACED"));
            }
            other => panic!("{:?}", other.map(|applied| applied.effects)),
        }
    }
    // Once the rule names nobody, nothing holds Kim there; and what was activated once still loads.
    let moved = applied(&active, replaced(&file("emea", json!([]))));
    let stored: Vec<Row> = moved.rows().collect();
    assert!(stored.iter().any(|row| matches!(row, Row::Activation(a) if a.ended_at.is_some())), "{stored:?}");
    Table::load(moved.id().clone(), "h".into(), 3, 1, stored).unwrap();
}
