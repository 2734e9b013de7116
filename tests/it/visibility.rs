//! Rules 4.7, 5 and 6 of ACCESS-MODEL.md, one by one and by hand; the names begin with their numbers.

use std::collections::BTreeMap;

use doorward::core::change::{Change, ChangeError, Effect, apply};
use doorward::core::columns::{Bits, Column, Columns, Texts, Values};
use doorward::core::decision::{Context, ProblemKind, Question, Reason, Record, Resource, decide};
use doorward::core::filter::{self, Records, Wrong};
use doorward::core::model::{Key, Member, Related, Relation, Row, Value as Attribute};
use doorward::core::table::Table;
use serde_json::{Value, json};

use crate::support::{applied, filter, rows, table};

const NOW: i64 = 1_795_348_800_000;

type Attributes = BTreeMap<String, Attribute>;

/// Everybody may read; whether a record is visible is what is asked.
fn base(more: Value) -> Value {
    let mut file = json!({
        "organization": "acme",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}],
        "accounts": [{"id": "main", "default": true}, {"id": "emea"}],
        "permissions": [
            {"name": "records.read", "requires_visibility": true},
            {"name": "records.approve", "requires_visibility": true, "requires_approver": true},
            {"name": "records.create"},
        ],
        "objects": [
            {"id": "app", "kind": "app", "fields": {
                "region": "string", "amount": "double", "due": "timestamp", "tags": "list<string>", "open": "bool",
            }},
            {"id": "other", "kind": "app", "fields": {"region": "string"}},
        ],
        "user_attributes": {"team": "string"},
        "users": [
            {"id": "ana", "email": "ana@acme.com", "manager": "bo", "attributes": {"team": "eu"}},
            {"id": "bo", "email": "bo@acme.com", "manager": "cy", "account": "emea"},
            {"id": "cy", "email": "cy@else.org", "status": "limited"},
        ],
        "service_accounts": [{"id": "bot", "attributes": {"team": "eu"}}],
        "groups": [
            {"id": "risk", "kind": "manual", "members": ["user:ana", "service:bot"], "visibility": ["data_access"]},
            {"id": "all", "kind": "manual", "members": ["group:risk", "user:bo"], "visibility": ["data_access"]},
        ],
        "grants": [{"permissions": ["records.*"], "member": "group:all"}],
    });
    for (key, value) in more.as_object().unwrap() {
        file[key] = value.clone();
    }
    file
}

/// With one policy of the object `app`.
fn policy(effect: &str, members: Value, condition: &str) -> Value {
    let mut policy = json!({"id": "p", "object": "app", "effect": effect, "members": members});
    if !condition.is_empty() {
        policy["condition"] = condition.into();
    }
    policy
}

fn with(policies: Value) -> Table {
    table(&base(json!({"data_access": policies})))
}

/// What the whole of `risk` sees of records with these attributes.
fn allow(condition: &str) -> Table {
    with(json!([policy("allow", json!(["group:risk"]), condition)]))
}

fn attributes(of: &[(&str, Attribute)]) -> Attributes {
    of.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn text(text: &str) -> Attribute {
    Attribute::String(text.to_owned())
}

fn read(table: &Table, principal: &str, record: Record<'_>) -> Reason {
    ask(table, principal, "records.read", record)
}

fn ask(table: &Table, principal: &str, permission: &str, record: Record<'_>) -> Reason {
    let resource = Resource { object: "app", record: Some(record), ..Resource::default() };
    decide(table, &Question { principal, permission, resource, ..Question::default() }, NOW).unwrap()
}

fn r(attributes: &Attributes) -> Record<'_> {
    Record { id: "r", attributes, ..Record::default() }
}

fn bare(id: &str) -> Record<'_> {
    Record { id, ..Record::default() }
}

fn violations(file: &Value) -> Vec<(&'static str, &'static str, String)> {
    let blank = crate::support::blank(1);
    match apply(&blank, vec![Change::Replace { rows: rows(file), deactivate_missing: false }]) {
        Err(ChangeError::Violations(v)) => v.iter().map(|v| (v.field, v.fault.reason(), v.fault.to_string())).collect(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => vec![],
    }
}

fn refusals(table: &Table, change: Change) -> Vec<&'static str> {
    match apply(table, vec![change]) {
        Err(ChangeError::Violations(v)) => v.iter().map(|v| v.fault.reason()).collect(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => vec![],
    }
}

fn related(relation: Relation, member: &str) -> Row {
    let (member, object, record) = (member.parse().unwrap(), "app".parse().unwrap(), "r".parse().unwrap());
    Row::Related(Related { relation, member, object, record })
}

#[test]
fn m4_7_without_a_record_visibility_is_not_asked_and_creating_needs_none() {
    let table = with(json!([]));
    let resource = Resource { object: "app", ..Resource::default() };
    let question = Question { principal: "ana", permission: "records.read", resource, ..Question::default() };
    assert_eq!(decide(&table, &question, NOW), Ok(Reason::Allowed));
    assert_eq!(read(&table, "ana", bare("r")), Reason::NotVisible);
    assert_eq!(ask(&table, "ana", "records.create", bare("r")), Reason::Allowed);
}

#[test]
fn m4_7_only_an_approver_approves_and_only_what_it_sees() {
    let approvers = json!([
        {"relation": "approver", "member": "user:ana", "object": "app", "record": "r"},
        {"relation": "approver", "member": "group:all", "object": "app", "record": "by group"},
    ]);
    let everything = json!([policy("allow", json!(["group:all"]), "record.id != 'hidden'")]);
    let mut file = base(json!({"data_access": everything, "relations": approvers}));
    file["groups"][1]["visibility"] = json!(["data_access", "approver"]);
    let before = table(&file);
    let approve = |t: &Table, who: &str, record| ask(t, who, "records.approve", bare(record));
    assert_eq!(approve(&before, "ana", "r"), Reason::Allowed);
    assert_eq!(approve(&before, "bo", "r"), Reason::NotApprover);
    assert_eq!(approve(&before, "bo", "by group"), Reason::Allowed);
    assert_eq!(approve(&before, "bo", "hidden"), Reason::NotVisible);
    // 2.9: what a cleared flag suspends stays, and returns with it.
    file["groups"][1]["visibility"] = json!(["data_access"]);
    let after = applied(&before, vec![Change::Replace { rows: rows(&file), deactivate_missing: false }]);
    assert_eq!(approve(&after, "bo", "by group"), Reason::NotApprover);
    assert_eq!(after.rows().filter(|r| matches!(r, Row::Related(_))).count(), 2);
}

#[test]
fn m5_1_repeating_a_relation_changes_nothing_and_a_group_needs_its_flag_to_come_to_have_it() {
    let table = with(json!([]));
    let watcher = Change::Create(related(Relation::Watcher, "user:ana"));
    let once = applied(&table, vec![watcher]);
    let again = Change::Update { row: related(Relation::Watcher, "user:ana"), etag: None };
    assert!(apply(&once, vec![again]).unwrap().effects.is_empty());
    for relation in [Relation::Watcher, Relation::Assignee, Relation::Mentioned, Relation::Approver] {
        assert_eq!(refusals(&table, Change::Create(related(relation, "group:risk"))), ["GROUP_NOT_USABLE"]);
    }
    assert!(refusals(&table, Change::Create(related(Relation::Shared, "group:risk"))).is_empty());
    assert_eq!(refusals(&table, Change::Create(related(Relation::Shared, "service:bot"))), ["MISPLACED"]);
    assert_eq!(refusals(&table, Change::Create(related(Relation::Shared, "user:nobody"))), ["UNKNOWN_REFERENCE"]);
}

#[test]
fn m5_1_a_forgotten_record_leaves_nothing_to_a_reused_id() {
    let file = base(json!({
        "roles": [{"id": "reader", "scope": "object", "object": "app", "permissions": ["records.read"], "auto_share": ["shared"]}],
        "relations": [
            {"relation": "shared", "member": "user:ana", "object": "app", "record": "r"},
            {"relation": "shared", "member": "user:ana", "object": "app", "record": "kept"},
        ],
        "assignments": [{"role": "reader", "member": "group:all", "object": "app", "record": "r"}],
        "grants": [
            {"permissions": ["records.*"], "member": "group:all"},
            {"permissions": ["records.read"], "member": "user:bo", "object": "app", "record": "r"},
        ],
    }));
    let before = table(&file);
    assert_eq!(["ana", "bo"].map(|who| read(&before, who, bare("r"))), [Reason::Allowed; 2]);
    let forget = Change::Forget { object: "app".parse().unwrap(), record: "r".parse().unwrap() };
    let after = apply(&before, vec![forget.clone()]).unwrap();
    assert_eq!(after.effects.iter().filter(|(_, e)| *e == Effect::Deleted).count(), 3);
    assert_eq!(["ana", "bo"].map(|who| read(&after.table, who, bare("r"))), [Reason::NotVisible; 2]);
    assert_eq!(read(&after.table, "ana", bare("kept")), Reason::Allowed);
    assert!(apply(&after.table, vec![forget]).unwrap().effects.is_empty());
}

#[test]
fn m5_2_whoever_has_the_relation_has_the_role_there_while_both_last() {
    let mut file = base(json!({
        "roles": [{"id": "reader", "scope": "object", "object": "app", "permissions": ["records.read"], "auto_share": ["watcher"]}],
        "groups": [
            {"id": "risk", "kind": "manual", "members": ["user:ana"], "visibility": ["watchable"]},
            {"id": "all", "kind": "manual", "members": ["group:risk", "user:bo"]},
        ],
        "relations": [
            {"relation": "watcher", "member": "group:risk", "object": "app", "record": "r"},
            {"relation": "assignee", "member": "user:bo", "object": "app", "record": "r"},
        ],
        "grants": [],
    }));
    let replaced =
        |t: &Table, file: &Value| applied(t, vec![Change::Replace { rows: rows(file), deactivate_missing: false }]);
    let both = |t: &Table| ["ana", "bo"].map(|who| read(t, who, bare("r")));
    let mut now = table(&file);
    // Neither holds anything else: the role itself is what permits, and what shows.
    assert_eq!(both(&now), [Reason::Allowed, Reason::NoPermission]);
    assert_eq!(read(&now, "ana", bare("another")), Reason::NoPermission);
    // Editing the triggers takes effect on existing relations.
    file["roles"][0]["auto_share"] = json!(["assignee"]);
    now = replaced(&now, &file);
    assert_eq!(both(&now), [Reason::NoPermission, Reason::Allowed]);
    file["roles"][0]["auto_share"] = json!(["assignee", "watcher"]);
    now = replaced(&now, &file);
    assert_eq!(both(&now), [Reason::Allowed; 2]);
    // 2.9: the group's flag suspends it.
    file["groups"][0]["visibility"] = json!([]);
    now = replaced(&now, &file);
    assert_eq!(both(&now), [Reason::NoPermission, Reason::Allowed]);
    // And the role's end.
    file["roles"] = json!([]);
    now = replaced(&now, &file);
    assert_eq!(both(&now), [Reason::NoPermission; 2]);
}

#[test]
fn m5_2_a_trigger_on_any_other_role_is_refused() {
    let role = |more: Value| {
        let mut role =
            json!({"id": "x", "scope": "object", "object": "app", "permissions": [], "auto_share": ["shared"]});
        for (key, value) in more.as_object().unwrap() {
            role[key] = value.clone();
        }
        role.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let found = violations(&base(json!({"roles": [role]})));
        found.into_iter().map(|(field, reason, _)| (field, reason)).collect::<Vec<_>>()
    };
    assert!(role(json!({})).is_empty());
    assert_eq!(role(json!({"object": null})), [("auto_share", "MISPLACED")]);
    assert_eq!(role(json!({"object": null, "scope": "organization"})), [("auto_share", "MISPLACED")]);
}

#[test]
fn m6_1_policies_are_about_groups_nested_ones_included_and_users() {
    let table = with(json!([policy("allow", json!(["group:all"]), "")]));
    assert_eq!(["ana", "bo", "service:bot"].map(|who| read(&table, who, bare("r"))), [Reason::Allowed; 3]);
    let table = with(json!([policy("allow", json!(["user:bo"]), "")]));
    assert_eq!(["ana", "bo"].map(|who| read(&table, who, bare("r"))), [Reason::NotVisible, Reason::Allowed]);
    let other = Record { id: "r", ..Record::default() };
    let resource = Resource { object: "other", record: Some(other), ..Resource::default() };
    let question = Question { principal: "bo", permission: "records.read", resource, ..Question::default() };
    assert_eq!(decide(&table, &question, NOW), Ok(Reason::NotVisible), "a policy is about one object");
}

#[test]
fn m6_1_a_condition_reads_the_record_the_user_the_context_and_the_time() {
    let cases = [
        ("record.region == user.attributes.team", true),
        ("record.id == 'r' && record.owner == 'bo' && record.account == 'emea'", true),
        ("user.id == 'ana' && user.email == 'ana@acme.com' && user.kind == 'internal'", true),
        ("user.account == 'main' && user.manager == 'bo'", true),
        ("'all' in user.groups && 'risk' in user.groups && 'all-users' in user.groups", true),
        ("user.groups.size() == 4", true),
        ("context.channel == 'email' && context.attributes.trusted", true),
        ("record.due < now && now - record.due <= duration('1h')", true),
        ("record.amount > 10 && 'x' in record.tags && record.tags.exists(t, t.startsWith('y'))", true),
        ("record.region != user.attributes.team", false),
        ("record.due > now", false),
    ];
    let attributes = attributes(&[
        ("region", text("eu")),
        ("amount", Attribute::Double(10.5)),
        ("due", Attribute::Timestamp(NOW - 3_600_000)),
        ("tags", Attribute::List(vec![text("x"), text("yy")])),
    ]);
    let sent: Attributes = [("trusted".to_owned(), Attribute::Bool(true))].into();
    for (condition, holds) in cases {
        let table = allow(condition);
        let record = Record { id: "r", owner: "user:bo", account: "emea", attributes: &attributes };
        let resource = Resource { object: "app", record: Some(record), ..Resource::default() };
        let context = Context { channel: "email", attributes: &sent, ..Context::default() };
        let question = Question { principal: "ana", permission: "records.read", resource, context };
        let expected = if holds { Reason::Allowed } else { Reason::NotVisible };
        assert_eq!(decide(&table, &question, NOW), Ok(expected), "{condition}");
    }
}

#[test]
fn m6_1_reports_count_whatever_their_status_and_a_service_account_has_none() {
    let owned = |table: &Table, who: &str, owner: &str| {
        read(table, who, Record { id: "r", owner, ..Record::default() }) == Reason::Allowed
    };
    let mut file = base(json!({}));
    file["users"][0]["status"] = "inactive".into();
    let among = |list: &str| {
        let members = json!(["user:bo", "user:cy", "group:risk"]);
        file.as_object().unwrap().clone().into_iter().chain([(
            "data_access".to_owned(),
            json!([policy("allow", members, &format!("record.owner in user.{list}"))]),
        )])
    };
    let direct = table(&among("direct_reports").collect());
    let all = table(&among("all_reports").collect());
    let by_mail = |table: &Table, owner: &str| {
        let record = Record { id: "r", owner, ..Record::default() };
        let resource = Resource { object: "app", record: Some(record), ..Resource::default() };
        let context = Context { channel: "email", ..Context::default() };
        let walk =
            Question { principal: "cy", permission: "", resource: Resource { record: None, ..resource }, context };
        filter(table, &walk, [record], NOW).unwrap().positions.len() == 1
    };
    assert!(owned(&direct, "bo", "ana") && owned(&all, "bo", "user:ana"));
    assert!(!owned(&all, "bo", "bo") && !owned(&all, "bo", "service:bot"), "one does not report to oneself");
    assert!(!by_mail(&direct, "ana") && by_mail(&direct, "bo") && by_mail(&all, "ana"));
    assert!(!owned(&all, "service:bot", "ana"));
    let missing = allow("user.kind == 'service' && user.id == 'service:bot' && !has(user.email) && !has(user.manager)");
    assert_eq!(read(&missing, "service:bot", bare("r")), Reason::Allowed);
}

#[test]
fn m6_2_a_wrong_condition_is_refused_at_its_place() {
    let wrong = |condition: &str| {
        violations(&base(json!({"data_access": [policy("allow", json!(["group:risk"]), condition)]})))
    };
    let cases = [
        ("record.amount > 5 && record.regoin == 'eu'", "column 29", "region"),
        ("record.amount == 'eu'", "column 15", "double"),
        ("record.amount", "column 1", "bool"),
        ("record.amount >", "column 16", ""),
        ("user.attributes.team == 5", "column 22", "string"),
    ];
    for (condition, place, word) in cases {
        let found = wrong(condition);
        let [(field, reason, message)] = found.as_slice() else { panic!("{condition}: {found:?}") };
        assert_eq!((*field, *reason), ("condition", "CONDITION"), "{condition}");
        assert!(message.contains(place) && message.contains(word), "{condition}: {message}");
    }
    for bad in [
        vec!["1"; 5_000].join("+") + " > 0",
        "(".repeat(200) + "true" + &")".repeat(200),
        "record.tags.all(a, record.tags.all(b, record.tags.all(c, record.tags.all(d, a == d))))".to_owned(),
        format!("record.region == '{}'", "x".repeat(65_536)),
    ] {
        assert_eq!(wrong(&bad).len(), 1, "{}", &bad[..40]);
    }
    let declared = base(json!({"objects": [{"id": "app", "kind": "app", "fields": {"owner": "string"}}]}));
    assert_eq!(violations(&declared)[0].0, "fields", "built-in names cannot be declared");
}

#[test]
fn m6_2_what_is_declared_cannot_change_under_a_condition() {
    let file =
        base(json!({"data_access": [policy("allow", json!(["group:risk"]), "record.region == user.attributes.team")]}));
    let before = table(&file);
    let replace = |edit: fn(&mut Value)| {
        let mut file = file.clone();
        edit(&mut file);
        let change = Change::Replace { rows: rows(&file), deactivate_missing: false };
        apply(&before, vec![change]).map(|a| a.table).map_err(|e| e.to_string())
    };
    assert!(replace(|f| drop(f["objects"][0]["fields"].as_object_mut().unwrap().remove("region"))).is_err());
    assert!(replace(|f| f["user_attributes"]["team"] = "int".into()).is_err());
    // Other fields move the places of those that are read.
    let after = replace(|f| f["objects"][0]["fields"]["a"] = "int".into()).unwrap();
    let eu = attributes(&[("region", text("eu")), ("a", Attribute::Int(1))]);
    assert_eq!(read(&after, "ana", r(&eu)), Reason::Allowed);
}

#[test]
fn m6_2_relation_lists_hold_what_is_sent_what_was_told_and_the_asker_through_a_usable_group() {
    let mut file = base(json!({
        "data_access": [policy("allow", json!(["group:all"]), "user.id in record.watchers && record.watchers.size() <= 2")],
        "relations": [{"relation": "watcher", "member": "user:bo", "object": "app", "record": "told"},
                      {"relation": "watcher", "member": "group:risk", "object": "app", "record": "grouped"}],
    }));
    file["groups"][0]["visibility"] = json!(["data_access", "watchable"]);
    let before = table(&file);
    let sent = attributes(&[("watchers", Attribute::List(vec![text("ana"), text("ana")]))]);
    let both = |t: &Table, record: Record<'_>| ["ana", "bo"].map(|who| read(t, who, record) == Reason::Allowed);
    assert_eq!(both(&before, r(&sent)), [true, false]);
    assert_eq!(both(&before, Record { id: "told", ..r(&sent) }), [true, true], "told and sent add up, each once");
    assert_eq!(both(&before, bare("told")), [false, true]);
    assert_eq!(both(&before, bare("grouped")), [true, false]);
    let odd = attributes(&[("watchers", Attribute::List(vec![text("ana"), Attribute::Int(1)]))]);
    assert_eq!(both(&before, r(&odd)), [false, false], "a list that is not as declared is none (6.3)");
    file["groups"][0]["visibility"] = json!(["data_access"]);
    let after = applied(&before, vec![Change::Replace { rows: rows(&file), deactivate_missing: false }]);
    assert_eq!(both(&after, bare("grouped")), [false, false]);
}

/// What is sent in place of a relation list and is none is an error, told or not, by row and by column; of a list that
/// is not sent it is known who is in it.
fn relation_lists_that_are_none(everything: &Value) {
    let relations = json!([{"relation": "assignee", "member": "user:ana", "object": "app", "record": "told"}]);
    let with = |policies: Value| table(&base(json!({"data_access": policies, "relations": relations})));
    let hides = |condition: &str| {
        let mut hides = policy("restrict", json!(["group:risk"]), condition);
        hides["id"] = "hides".into();
        with(json!([everything.clone(), hides]))
    };
    let list = |items: &[Attribute]| Attribute::List(items.to_vec());
    for odd in
        [Attribute::Int(3), text("bo"), list(&[text("ana"), Attribute::Int(1)]), list(&[text("ana"), Attribute::Null])]
    {
        let sent = attributes(&[("assignees", odd.clone())]);
        for condition in [
            "!('bo' in record.assignees)",
            "!(user.id in record.assignees)",
            "!(record.owner in record.assignees)",
            "record.assignees.size() >= 0",
            "record.assignees.all(a, a != 'bo')",
            "has(record.assignees)",
        ] {
            let (opens, restricts) =
                (with(json!([policy("allow", json!(["group:risk"]), condition)])), hides(condition));
            for id in ["r", "told"] {
                let one = |of| Record { id, owner: "cy", attributes: of, ..Record::default() };
                let says = |table: &Table, record| [read(table, "ana", record), filtered(table, record)];
                assert_eq!(says(&opens, one(&sent)), [Reason::NotVisible; 2], "{condition} of {odd:?}, {id}");
                let hidden = if condition.starts_with("has") { Reason::Allowed } else { Reason::Restricted };
                assert_eq!(read(&restricts, "ana", one(&sent)), hidden, "{condition} of {odd:?}, {id}");
                assert_eq!(filtered(&restricts, one(&sent)) == Reason::Allowed, hidden == Reason::Allowed);
                let none = attributes(&[("assignees", Attribute::Null)]);
                for of in [&none, &Attributes::new()] {
                    let holds = id == "r" || condition != "!(user.id in record.assignees)";
                    assert_eq!(read(&opens, "ana", one(of)) == Reason::Allowed, holds, "{condition}, {id}");
                }
            }
        }
        assert_eq!(read(&hides("user.id in record.assignees"), "ana", r(&sent)), Reason::Restricted, "{odd:?}");
    }
    // By column, of another type than texts: those that have an empty list or none are asked.
    let opens = with(json!([policy("allow", json!(["group:risk"]), "!('bo' in record.assignees)")]));
    let ids: Vec<&str> = vec!["one", "empty", "none", "told"];
    let column = |values: Values<'static>, lists: Option<Vec<u32>>| Columns {
        ids: ids.iter().copied().collect::<Texts<'_>>(),
        owners: None,
        accounts: None,
        attributes: vec![Column { name: "assignees", present: Bits::but(4, &[0b0100]), odd: None, lists, values }],
    };
    for (columns, passed) in [
        (column(Values::Ints(vec![7, 7, 7, 7].into()), None), vec![2]),
        (column(Values::Ints(vec![7, 7].into()), Some(vec![1, 1, 1, 2])), vec![1, 2]),
        (column(Values::Texts(["bo", "cy"].into_iter().collect()), Some(vec![1, 1, 1, 2])), vec![1, 2, 3]),
    ] {
        let resource = Resource { object: "app", ..Resource::default() };
        let question = Question { principal: "ana", resource, ..Question::default() };
        let found = filter::filter(&opens, &question, &["records.read"], Records::Columns(&columns), NOW).unwrap();
        assert_eq!(found[0].positions().collect::<Vec<_>>(), passed, "{columns:?}");
    }
}

/// What a filter says of one record.
fn filtered(table: &Table, record: Record<'_>) -> Reason {
    let resource = Resource { object: "app", ..Resource::default() };
    let question = Question { principal: "ana", permission: "records.read", resource, ..Question::default() };
    let passed = filter(table, &question, [record], NOW).unwrap().positions;
    if passed.is_empty() { Reason::NotVisible } else { Reason::Allowed }
}

#[test]
fn m6_3_no_error_ever_opens_a_record() {
    let everything = policy("allow", json!(["group:all"]), "");
    let cases = [
        // The condition, and whether a record without attributes satisfies it, or the error it is.
        ("record.region == 'eu'", None),
        ("!(record.region == 'eu')", None),
        ("record.region == 'eu' || true", Some(true)),
        ("record.region == 'eu' && false", Some(false)),
        ("has(record.region)", Some(false)),
        ("user.attributes.level == 1", None),
        ("context.attributes.x == context.attributes.y", None),
    ];
    for (condition, holds) in cases {
        let expected = if holds == Some(true) { Reason::Allowed } else { Reason::NotVisible };
        assert_eq!(read(&allow(condition), "ana", bare("r")), expected, "allow {condition}");
        let mut hides = policy("restrict", json!(["group:risk"]), condition);
        hides["id"] = "hides".into();
        let restricted = with(json!([everything.clone(), hides]));
        let expected = if holds == Some(false) { Reason::Allowed } else { Reason::Restricted };
        assert_eq!(read(&restricted, "ana", bare("r")), expected, "restrict {condition}");
    }
    // Null counts as missing, and so does what is not of the declared type.
    for odd in [Attribute::Null, Attribute::Int(5), Attribute::List(vec![])] {
        let odd = attributes(&[("region", odd)]);
        assert_eq!(read(&allow("record.region != 'eu'"), "ana", r(&odd)), Reason::NotVisible);
        assert_eq!(read(&allow("!has(record.region)"), "ana", r(&odd)), Reason::Allowed);
    }
    relation_lists_that_are_none(&everything);
    // A mismatch of undeclared attributes is an error, in `==` and in `in`.
    let sent: Attributes = [("x".to_owned(), Attribute::Int(1))].into();
    for condition in ["context.attributes.x != 'a'", "!(context.attributes.x in ['a', 'b'])"] {
        let resource = Resource { object: "app", record: Some(bare("r")), ..Resource::default() };
        let context = Context { attributes: &sent, ..Context::default() };
        let question = Question { principal: "ana", permission: "records.read", resource, context };
        assert_eq!(decide(&allow(condition), &question, NOW), Ok(Reason::NotVisible), "{condition}");
    }
}

#[test]
fn m6_4_a_powerful_role_alone_does_everything_to_nothing() {
    let file = base(json!({
        "grants": [{"permissions": ["*"], "member": "user:ana"},
                   {"permissions": ["records.read"], "member": "user:bo", "object": "app", "record": "r"},
                   {"permissions": ["records.create"], "member": "user:ana", "object": "app", "record": "r"}],
    }));
    let table = table(&file);
    assert_eq!(read(&table, "ana", bare("r")), Reason::NotVisible, "creating shows nothing");
    assert_eq!(read(&table, "bo", bare("r")), Reason::Allowed, "what is held at the record shows it");
    assert_eq!(read(&table, "bo", bare("s")), Reason::NoPermission);
}

#[test]
fn m6_4_restriction_is_strict_about_whom_it_means() {
    // 2.9: to restrict, a group needs no flag, and neither status nor a lost domain ends membership.
    let file = base(json!({
        "email_domains": [],
        "users": [{"id": "lim", "email": "l@acme.com", "kind": "internal", "status": "limited"}],
        "groups": [{"id": "staff", "kind": "dynamic", "domains": ["acme.com"]},
                   {"id": "quiet", "kind": "manual", "members": ["user:lim"]}],
        "grants": [{"permissions": ["records.*"], "member": "user:lim"}],
        "service_accounts": [],
    }));
    let ask = |group: &str| {
        let mut file = file.clone();
        let mut hides = policy("restrict", json!([group]), "");
        hides["id"] = "hides".into();
        file["data_access"] = json!([policy("allow", json!(["user:lim"]), ""), hides]);
        let table = table(&file);
        let resource = Resource { object: "app", record: Some(bare("r")), ..Resource::default() };
        let context = Context { channel: "email", ..Context::default() };
        let question = Question { principal: "lim", permission: "records.read", resource, context };
        decide(&table, &question, NOW).unwrap()
    };
    for group in ["group:staff", "group:all-users", "group:internal-users", "group:quiet"] {
        assert_eq!(ask(group), Reason::Restricted, "{group}");
    }
    assert_eq!(ask("group:external-users"), Reason::Allowed);
    // To allow, all of that matters.
    for group in ["group:staff", "group:all-users", "group:quiet"] {
        let mut file = file.clone();
        file["data_access"] = json!([policy("allow", json!([group]), "")]);
        let resource = Resource { object: "app", record: Some(bare("r")), ..Resource::default() };
        let context = Context { channel: "email", ..Context::default() };
        let question = Question { principal: "lim", permission: "records.read", resource, context };
        assert_eq!(decide(&table(&file), &question, NOW), Ok(Reason::NotVisible), "{group}");
    }
}

#[test]
fn m6_5_a_filter_keeps_the_order_and_a_wrong_record_is_an_error() {
    let table = allow("record.region == 'eu'");
    let eu = attributes(&[("region", text("eu"))]);
    let resource = Resource { object: "app", ..Resource::default() };
    let question = Question { principal: "ana", permission: "records.read", resource, ..Question::default() };
    let records = ["c", "a", "b"].map(|id| Record { id, ..r(&eu) });
    let [c, a, _] = records;
    let filtered = filter(&table, &question, [c, bare("x"), a], NOW).unwrap();
    assert_eq!((filtered.positions, filtered.reason), (vec![0, 2], Reason::Allowed));
    let wrong = filter(&table, &question, [c, bare(""), Record { account: "no", ..a }], NOW).unwrap_err();
    assert_eq!(wrong.len(), 2);
    let twice = filter(&table, &question, [c, a, c], NOW).unwrap_err();
    assert!(
        matches!(twice.as_slice(), [Wrong::Record(2, problems)] if problems[0].kind == ProblemKind::RecordTwice("c".into()))
    );
    let nobody = Question { principal: "nobody", ..question };
    assert_eq!(filter(&table, &nobody, records, NOW).unwrap().reason, Reason::PrincipalUnknown);
}

/// Each permission has the records that it has by itself: seen or not, related or not, held at or not.
#[test]
fn m6_5_several_permissions_are_asked_at_once_and_answered_each_by_itself() {
    let mut file = base(json!({"data_access": [policy("allow", json!(["user:ana"]), "record.region == 'eu'")]}));
    let held = json!({"permissions": ["records.read", "records.create"], "member": "user:ana", "object": "app", "record": "held"});
    file["grants"].as_array_mut().unwrap().push(held);
    let table = table(&file);
    let (eu, us) = (attributes(&[("region", text("eu"))]), attributes(&[("region", text("us"))]));
    let records = [("a", &us), ("b", &eu), ("held", &us), ("c", &eu)];
    let rows = records.map(|(id, attributes)| Record { id, attributes, ..Record::default() });
    let texts = |texts: &'static [&str]| texts.iter().copied().collect::<Texts<'_>>();
    let columns = Columns {
        ids: texts(&["a", "b", "held", "c"]),
        owners: None,
        accounts: None,
        attributes: vec![Column {
            name: "region",
            present: Bits::all(4, true),
            odd: None,
            lists: None,
            values: Values::Texts(texts(&["us", "eu", "us", "eu"])),
        }],
    };
    let resource = Resource { object: "app", ..Resource::default() };
    let question = Question { principal: "ana", permission: "no.such", resource, ..Question::default() };
    let permissions = ["records.create", "", "records.approve", "records.read"];
    let expected: [&[u32]; 4] = [&[0, 1, 2, 3], &[1, 2, 3], &[], &[1, 2, 3]];
    for records in [Records::Rows(&rows), Records::Columns(&columns)] {
        let all = filter::filter(&table, &question, &permissions, records, NOW).unwrap();
        let positions: Vec<Vec<u32>> = all.iter().map(|one| one.positions().collect()).collect();
        assert_eq!(positions, expected);
        assert!(all.iter().all(|one| one.reason == Reason::Allowed));
        let allowed: Vec<usize> = all.iter().map(|one| one.allowed.len()).collect();
        assert_eq!(allowed, [1, 0, 0, 1], "what is allowed has a number, and to see is no permission");
        assert_eq!(filter::filter(&table, &question, &[], records, NOW), Ok(vec![]));
        let nobody = Question { principal: "nobody", ..question };
        let all = filter::filter(&table, &nobody, &permissions, records, NOW).unwrap();
        assert!(all.len() == 4 && all.iter().all(|one| one.passed.none() && one.reason == Reason::PrincipalUnknown));
        // All that is wrong, the permissions by their positions.
        let wrong = Question { resource: Resource { object: "nope", ..resource }, ..question };
        let wrong =
            filter::filter(&table, &wrong, &["records.read", "no.such", "", "no such"], records, NOW).unwrap_err();
        let [Wrong::Question(of_question), Wrong::Permission(1, unknown), Wrong::Permission(3, malformed)] = &wrong[..]
        else {
            panic!("{wrong:?}")
        };
        assert_eq!(of_question[0].kind, ProblemKind::UnknownObject("nope".into()));
        assert_eq!(*unknown, ProblemKind::UnknownPermission("no.such".into()));
        assert!(matches!(malformed, ProblemKind::Malformed(_)));
    }
}

#[test]
fn m6_5_a_bitmap_has_the_first_record_in_the_lowest_bit_and_ends_with_the_last_record() {
    for (count, passing, expected) in [
        (0, vec![], vec![]),
        (1, vec![0], vec![0b1]),
        (7, vec![6], vec![0b100_0000]),
        (8, vec![0, 7], vec![0b1000_0001]),
        (9, vec![1, 8], vec![0b10, 0b1]),
        (16, vec![], vec![0, 0]),
        (64, vec![63], vec![0, 0, 0, 0, 0, 0, 0, 0x80]),
        (65, vec![9, 64], vec![0, 0b10, 0, 0, 0, 0, 0, 0, 0b1]),
    ] {
        let bits: Bits = (0..count).map(|at| passing.contains(&at)).collect();
        assert_eq!(bits.bytes(count), expected, "{count}");
        // As it says what is missing.
        assert_eq!(Bits::but(count, &expected).places().count(), count - passing.len(), "{count}");
    }
}

#[test]
fn m4_9_whom_one_may_invite_is_the_organizations_policy() {
    let mut file = base(json!({
        "email_domains": [{"domain": "acme.com", "audience": "internal"}, {"domain": "partner.io", "audience": "external"}],
        "grants": [
            {"permissions": ["organization_users.create"], "member": "user:ana"},
            {"permissions": ["organization.admin"], "member": "user:bo"},
        ],
    }));
    let ask = |file: &Value, who: &str, invitee_email: &str| {
        let context = Context { invitee_email, ..Context::default() };
        let question =
            Question { principal: who, permission: "organization_users.create", context, ..Question::default() };
        decide(&table(file), &question, NOW).unwrap()
    };
    let policy = |file: &mut Value, policy: Value| file["settings"] = json!({"invite_policy": policy});
    policy(&mut file, json!({"mode": "admins_only"}));
    assert_eq!(ask(&file, "ana", "x@acme.com"), Reason::InvitePolicy);
    assert_eq!(ask(&file, "ana", ""), Reason::InvitePolicy, "without an address, too");
    assert_eq!(ask(&file, "bo", "x@else.org"), Reason::Allowed, "an administrator always may");
    assert_eq!(ask(&file, "service:bot", "x@acme.com"), Reason::NoPermission);
    policy(&mut file, json!({"mode": "any_domain"}));
    assert_eq!(ask(&file, "ana", "x@else.org"), Reason::Allowed);
    policy(&mut file, json!({"mode": "allowed_domains", "domains": ["acme.com", "gone.org"]}));
    let asked = ["x@ACME.com", "x@partner.io", "x@gone.org", "x@sub.acme.com", "nobody", ""];
    let (no, yes) = (Reason::InvitePolicy, Reason::Allowed);
    assert_eq!(asked.map(|email| ask(&file, "ana", email)), [yes, no, no, no, no, yes]);
}

#[test]
fn m2_10_a_group_goes_out_of_allow_policies_and_stays_in_restrict_policies() {
    let delete = |id: &str| Change::Delete { keys: vec![Key::Group(id.parse().unwrap())], etag: None };
    let allowing = with(json!([policy("allow", json!(["group:risk", "user:bo"]), "")]));
    let after = apply(&allowing, vec![delete("risk")]).unwrap();
    let left = after.table.policies().next().unwrap().row.members.clone();
    assert_eq!(left, [Member::User("bo".parse().unwrap())]);
    let restricting = with(json!([policy("restrict", json!(["group:risk"]), "")]));
    assert_eq!(refusals(&restricting, delete("risk")), ["IN_USE"]);
    // In one revision with the policy, it can go.
    let mut file = base(json!({"data_access": [policy("restrict", json!(["group:all"]), "")]}));
    file["groups"] = json!([{"id": "all", "kind": "manual", "members": ["user:bo"], "visibility": ["data_access"]}]);
    let both = Change::Replace { rows: rows(&file), deactivate_missing: false };
    assert!(refusals(&restricting, both).is_empty());
    let object = Change::Delete { keys: vec![Key::Object("app".parse().unwrap())], etag: None };
    assert_eq!(applied(&restricting, vec![object]).policies().count(), 0);
}

#[test]
fn m6_5_what_ends_for_want_of_steps_alone_ends_so_among_many() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let eight = |name: &str| vec![format!("record.{name}"); 8].join(" + ");
    let condition = names.map(|name| format!("({}) in record.tags", eight(name))).join(" || ");
    let mut fields = serde_json::Map::new();
    names.iter().for_each(|name| drop(fields.insert((*name).to_owned(), json!("string"))));
    fields.insert("tags".to_owned(), json!("list<string>"));
    let table = table(&json!({
        "organization": "acme",
        "objects": [{"id": "app", "kind": "app", "fields": fields}],
        "users": [{"id": "ana", "email": "ana@acme.com"}],
        "data_access": [
            {"id": "all", "object": "app", "effect": "allow", "members": ["user:ana"]},
            {"id": "long", "object": "app", "effect": "restrict", "members": ["user:ana"], "condition": condition},
        ],
        "grants": [{"permissions": ["records.read"], "member": "user:ana"}],
        "preset": "workspace",
    }));
    let mut sent: BTreeMap<String, Attribute> =
        names.iter().map(|name| ((*name).to_owned(), Attribute::String("x".repeat(8_192)))).collect();
    sent.insert("tags".to_owned(), Attribute::List(vec![Attribute::String("y".to_owned()); 1_000]));
    let record = Record { id: "r", attributes: &sent, ..Record::default() };
    let resource = Resource { object: "app", record: Some(record), ..Resource::default() };
    let question = Question { principal: "ana", permission: "records.read", resource, ..Question::default() };
    assert_eq!(decide(&table, &question, 0), Ok(Reason::Restricted), "too many steps");
    assert!(filter(&table, &question, [record], 0).unwrap().positions.is_empty());
    let mut short = sent.clone();
    short.insert("tags".to_owned(), Attribute::List(vec![]));
    let record = Record { id: "r", attributes: &short, ..Record::default() };
    let question = Question { resource: Resource { record: None, ..resource }, ..question };
    assert_eq!(filter(&table, &question, [record], 0).unwrap().positions, [0]);
}
