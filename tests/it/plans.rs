//! Rule 6.6 by hand: what a plan says. That it passes the records that a filter does is in `plan_properties`.

use doorward::core::condition::Constant;
use doorward::core::decision::{Question, Reason, Resource};
use doorward::core::model::Value as Stored;
use doorward::core::plan::{Dialect, Filter, Operand, Plan, PlanError, Sql, plan, sql};
use doorward::core::table::Table;
use serde_json::{Value, json};

use crate::support::table;

const NOW: i64 = 1_795_348_800_000;

fn base(more: Value) -> Table {
    let mut file = json!({
        "organization": "acme",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}],
        "accounts": [{"id": "main", "default": true}, {"id": "emea"}, {"id": "apac"}],
        "permissions": [
            {"name": "records.see", "requires_visibility": true},
            {"name": "records.approve", "requires_approver": true},
            {"name": "records.edit", "when_not_owner": "records.edit_others"},
            {"name": "records.edit_others", "level": "account"},
        ],
        "objects": [{"id": "app", "kind": "app", "fields": {
            "region": "string", "amount": "double", "level": "int", "due": "timestamp", "tags": "list<string>", "open": "bool",
        }}],
        "users": [
            {"id": "ana", "email": "ana@acme.com", "manager": "bo", "attributes": {"region": "eu"}},
            {"id": "bo", "email": "bo@acme.com"},
            {"id": "gone", "email": "gone@acme.com", "status": "limited"},
        ],
        "groups": [{"id": "risk", "kind": "manual", "members": ["user:ana", "user:bo"], "visibility": ["data_access", "watchable"]}],
        "grants": [{"permissions": ["records.see"], "member": "group:risk"}],
    });
    for (key, value) in more.as_object().unwrap() {
        file[key] = value.clone();
    }
    table(&file)
}

/// With policies that allow and restrict, in turn.
fn seeing(allow: &str, restrict: Option<&str>) -> Table {
    let policy = |id: &str, effect: &str, condition: &str| json!({"id": id, "object": "app", "effect": effect, "members": ["group:risk"], "condition": condition});
    let policies: Vec<Value> =
        [policy("a", "allow", allow)].into_iter().chain(restrict.map(|r| policy("r", "restrict", r))).collect();
    base(json!({"data_access": policies}))
}

fn planned(table: &Table, principal: &str, permission: &str, account: &str) -> Result<Plan, PlanError> {
    let resource = Resource { object: "app", account, record: None };
    plan(table, &Question { principal, permission, resource, ..Question::default() }, NOW)
}

fn seen(table: &Table, principal: &str) -> String {
    said(&planned(table, principal, "records.see", "").unwrap())
}

fn said(plan: &Plan) -> String {
    match &plan.filter {
        Filter::Always => "always".to_owned(),
        Filter::Never(reason) => format!("never {}", reason.name()),
        Filter::Conditional(condition) => written(condition),
    }
}

fn written(operand: &Operand) -> String {
    let constant = |constant: &Constant| match constant {
        Constant::Bool(value) => value.to_string(),
        Constant::Int(value) => value.to_string(),
        Constant::Double(value) => format!("{value:?}"),
        Constant::String(text) => format!("'{text}'"),
        Constant::Timestamp(ms) | Constant::Duration(ms) => format!("{ms}ms"),
    };
    let joined = |parts: Vec<String>| parts.join(", ");
    match operand {
        Operand::Null => "null".to_owned(),
        Operand::Value(value) => constant(value),
        Operand::List(values) => format!("[{}]", joined(values.iter().map(constant).collect())),
        Operand::Field(field) => field.name.to_string(),
        Operand::Has(field) => format!("has({})", field.name),
        Operand::Variable(name, _) => name.to_string(),
        Operand::Expression(operator, operands) => {
            format!("{}({})", operator.name(), joined(operands.iter().map(written).collect()))
        }
    }
}

#[test]
fn m6_6_what_is_known_of_the_principal_is_a_constant() {
    for (condition, expected) in [
        ("record.region == user.attributes.region", "eq(region, 'eu')"),
        ("user.kind == 'internal' || record.open", "always"),
        ("user.kind == 'external' && record.open", "never ALLOWED"),
        ("record.region in user.groups", "in(region, ['all-users', 'internal-users', 'risk'])"),
        ("record.owner in user.direct_reports", "never ALLOWED"),
        ("record.due < now - duration('1s')", "lt(due, 1795348799000ms)"),
        ("record.due + duration('1s') < now", "lt(add(due, 1000ms), 1795348800000ms)"),
        ("record.level + 1 + 2 > -(record.level)", "gt(add(add(level, 1), 2), sub(0, level))"),
        ("has(record.due) && size(record.tags) > 1", "and(has(due), gt(size(tags), 1))"),
        ("record.tags.exists(t, t.startsWith('a'))", "exists(tags, lambda(startsWith(t, 'a'), t))"),
        ("record.amount in [1, 2.5]", "in(amount, [1.0, 2.5])"),
        // An attribute that nobody declared and that is not there: an error, of which only the rest is left.
        ("record.region == user.attributes.none || record.open", "open"),
        ("record.region == user.attributes.none", "never ALLOWED"),
    ] {
        assert_eq!(seen(&seeing(condition, None), "ana"), expected, "{condition}");
    }
    assert_eq!(seen(&seeing("record.owner in user.direct_reports", None), "bo"), "in(owner, ['ana'])");
}

#[test]
fn m6_6_an_error_neither_allows_nor_stops_restricting() {
    let restricted = |condition: &str| seen(&seeing("record.open", Some(condition)), "ana");
    assert_eq!(restricted("record.amount > 10.0"), "and(open, not(gt(amount, 10.0)))");
    assert_eq!(restricted("record.amount > user.attributes.none"), "never ALLOWED");
    assert_eq!(restricted("record.amount > user.attributes.none && record.level == 1"), "and(open, not(eq(level, 1)))");
    assert_eq!(
        restricted("(record.amount > user.attributes.none && record.level == 1) == record.open"),
        "and(open, not(or(and(eq(level, 1), open), not(open))))"
    );
    assert_eq!(restricted("user.kind == 'external'"), "open");
    // In nothing: false of whatever there is, and an error where there is nothing.
    assert_eq!(restricted("record.owner in user.direct_reports"), "and(open, has(owner))");
}

#[test]
fn m6_6_relation_lists_are_the_callers_and_what_was_told() {
    let policies = |condition: &str| json!([{"id": "a", "object": "app", "effect": "allow", "members": ["group:risk"], "condition": condition}]);
    let relations = json!([
        {"relation": "watcher", "member": "user:ana", "object": "app", "record": "r-1"},
        {"relation": "watcher", "member": "group:risk", "object": "app", "record": "r-2"},
        {"relation": "watcher", "member": "user:bo", "object": "app", "record": "r-3"},
        {"relation": "assignee", "member": "user:ana", "object": "app", "record": "r-4"},
    ]);
    let with = |condition: &str| base(json!({"data_access": policies(condition), "relations": relations}));
    let own = with("user.id in record.watchers");
    assert_eq!(seen(&own, "ana"), "or(and(has(watchers), in('ana', watchers)), in(id, ['r-1', 'r-2']))");
    assert_eq!(seen(&own, "bo"), "or(and(has(watchers), in('bo', watchers)), in(id, ['r-2', 'r-3']))");
    let owner = with("record.owner in record.assignees");
    assert_eq!(
        seen(&owner, "ana"),
        "or(and(has(assignees), in(owner, assignees)), and(in(id, ['r-4']), in(owner, ['ana'])), ne(owner, owner))"
    );
    for condition in ["size(record.watchers) > 1", "record.watchers.exists(w, w == 'ana')"] {
        let error = planned(&with(condition), "ana", "records.see", "").unwrap_err();
        assert!(matches!(error, PlanError::Inexpressible(_)), "{condition}: {error}");
    }
}

#[test]
fn m6_6_what_is_held_depends_on_the_account_the_owner_and_the_record() {
    let table = base(json!({"grants": [
        {"permissions": ["records.edit"], "member": "user:ana"},
        {"permissions": ["records.edit_others"], "member": "user:ana", "account": "emea"},
        {"permissions": ["records.edit"], "member": "user:bo", "object": "app", "record": "r-1"},
        {"permissions": ["records.see"], "member": "user:bo", "object": "app", "record": "r-2"},
        {"permissions": ["records.approve"], "member": "user:bo"},
    ], "relations": [{"relation": "approver", "member": "user:bo", "object": "app", "record": "r-3"}]}));
    let edit = |principal: &str, account: &str| planned(&table, principal, "records.edit", account).unwrap();
    let own = "and(has(owner), eq(owner, 'ana'))";
    let not_own = format!("not({own})");
    assert_eq!(said(&edit("ana", "")), format!("or({own}, and({not_own}, has(account), in(account, ['emea'])))"));
    let here = "or(not(has(account)), in(account, ['emea']))";
    assert_eq!(said(&edit("ana", "emea")), format!("or({own}, and({not_own}, {here}))"));
    let bo = edit("bo", "");
    assert_eq!(said(&bo), "and(in(id, ['r-1']), has(owner), eq(owner, 'bo'))");
    assert_eq!((bo.granted, bo.complete, bo.valid_until), (vec!["r-1".to_owned()], true, None));
    assert_eq!(seen(&table, "bo"), "in(id, ['r-2'])");
    assert_eq!(said(&planned(&table, "bo", "records.approve", "").unwrap()), "in(id, ['r-3'])");
}

#[test]
fn m6_6_where_a_rule_before_visibility_decides_the_plan_says_which() {
    let table = seeing("true", None);
    assert_eq!(seen(&table, "ana"), "always");
    let never = |principal: &str, permission: &str| planned(&table, principal, permission, "").unwrap().filter;
    assert_eq!(never("nobody", "records.see"), Filter::Never(Reason::PrincipalUnknown));
    assert_eq!(never("gone", "records.see"), Filter::Never(Reason::PrincipalLimited));
    assert_eq!(never("ana", "records.edit"), Filter::Never(Reason::NoPermission));
    assert_eq!(planned(&table, "ana", "", "").unwrap().filter, Filter::Always);
    for wrong in [planned(&table, "ana", "records.sea", ""), planned(&table, "ana", "", "nowhere")] {
        assert!(matches!(wrong, Err(PlanError::Question(_))), "{wrong:?}");
    }
}

#[test]
fn m6_6_a_plan_says_until_when_it_holds() {
    let until = |more: Value, permission: &str| planned(&base(more), "ana", permission, "").unwrap().valid_until;
    let grant = |from: &str, to: &str| json!({"grants": [{"permissions": ["records.*"], "member": "group:risk", "starts_at": from, "expires_at": to}]});
    assert_eq!(until(json!({}), "records.see"), None);
    let soon = grant("2026-11-22T13:00:00Z", "2026-11-22T14:00:00Z");
    assert_eq!(until(soon, "records.edit"), Some(1_795_352_400_000));
    let begun = grant("2026-11-22T11:00:00Z", "2026-11-22T14:00:00Z");
    assert_eq!(until(begun, "records.edit"), Some(1_795_356_000_000));
    let past = grant("2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z");
    assert_eq!(until(past, "records.edit"), None);
    // What is compared with the clock may come out otherwise a millisecond later.
    let table = seeing("record.due < now", None);
    assert_eq!(planned(&table, "ana", "records.see", "").unwrap().valid_until, Some(NOW + 1));
}

fn written_for(condition: &str, dialect: Dialect) -> Result<Sql, PlanError> {
    sql(&planned(&seeing(condition, None), "ana", "records.see", "").unwrap().filter, dialect)
}

#[test]
fn m6_6_a_plan_is_sql_without_a_value_in_its_text() {
    let both = |condition: &str| Dialect::ALL.map(|dialect| written_for(condition, dialect).unwrap());
    let hostile = "eu'; DROP TABLE records; --\"";
    let [postgres, sqlite] = both(&format!("record.region == {hostile:?}"));
    assert_eq!(postgres.text, r#"(record."region" = $1::text)"#);
    assert_eq!(sqlite.text, r#"(record."region" COLLATE BINARY = ?1)"#);
    assert_eq!(postgres.parameters, [Stored::String(hostile.to_owned())]);
    assert_eq!(sqlite.parameters, postgres.parameters);

    let [postgres, sqlite] = both("record.due < timestamp('2026-01-01T00:00:00Z') && !record.open");
    assert_eq!(postgres.text, r#"((record."due" < $1::timestamptz) AND (NOT record."open"))"#);
    assert_eq!(postgres.parameters, [Stored::Timestamp(1_767_225_600_000)]);
    assert_eq!(sqlite.parameters, [Stored::Int(1_767_225_600_000)]);

    let [postgres, sqlite] = both("record.region in ['a', 'b'] || record.amount in [1.5, 2.5]");
    assert_eq!(postgres.text, r#"((record."region" = ANY ($1::text[])) OR (record."amount" = ANY ($2::float8[])))"#);
    assert_eq!(sqlite.parameters[0], Stored::String(r#"["a","b"]"#.to_owned()));
    assert_eq!(sqlite.parameters[1..], [Stored::Double(1.5), Stored::Double(2.5)]);

    let [postgres, sqlite] = both("true");
    assert_eq!((postgres.text.as_str(), sqlite.text.as_str()), ("TRUE", "TRUE"));
    let never = planned(&base(json!({})), "ana", "records.edit", "").unwrap().filter;
    assert_eq!(sql(&never, Dialect::Sqlite).unwrap().text, "FALSE");
}

/// Mentioned twice at each level it would be of a million letters.
#[test]
fn m6_6_the_text_grows_with_the_condition_and_no_faster() {
    let sum = vec!["record.level"; 20].join(" + ");
    for dialect in Dialect::ALL {
        let text = written_for(&format!("{sum} > 3"), dialect).unwrap().text;
        assert_eq!(text.matches("record.\"level\"").count(), 20, "{text}");
    }
    // A chain of tests is a tree that is as high as it must be.
    let any = (0..200).map(|n| format!("record.level == {n}")).collect::<Vec<_>>().join(" || ");
    let text = written_for(&any, Dialect::Sqlite).unwrap().text;
    let depth = text.chars().scan(0i32, |depth, c| {
        *depth += i32::from(c == '(') - i32::from(c == ')');
        Some(*depth)
    });
    assert!(depth.max().unwrap() <= 10, "{text}");
}

#[test]
fn m6_6_what_a_database_would_cut_short_or_misread_is_an_error() {
    let long = "f".repeat(64);
    let quoted = r#"we"ird"#;
    let fields = json!({quoted: "string", "value": "string", long.as_str(): "string"});
    let with = |condition: &str| {
        let mut file = json!({"data_access": [{"id": "a", "object": "app", "effect": "allow", "members": ["group:risk"], "condition": condition}]});
        file["objects"] = json!([{"id": "app", "kind": "app", "fields": fields}]);
        planned(&base(file), "ana", "records.see", "").unwrap().filter
    };
    let named = with(&format!("record['{quoted}'] == record.value"));
    assert_eq!(sql(&named, Dialect::PostgreSql).unwrap().text, r#"(record."we""ird" = record."value")"#);
    let cut = with(&format!("record.{long} == 'x'"));
    assert!(matches!(sql(&cut, Dialect::PostgreSql), Err(PlanError::Inexpressible(_))));
    sql(&cut, Dialect::Sqlite).unwrap();
}
