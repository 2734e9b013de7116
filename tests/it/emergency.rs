//! Rule 7.4, emergency access, as far as it is a matter of rows and decisions.

use doorward::core::change::{Change, ChangeError, apply, apply_at};
use doorward::core::decision::{Question, Reason, Record, Resource, decide};
use doorward::core::emergency::used;
use doorward::core::explain::{Source, explain};
use doorward::core::id::Id;
use doorward::core::model::{Activation, EmergencyRule, Key, Row, Target};
use doorward::core::table::Table;
use serde_json::{Value, json};

use crate::support::{rows, table};

const NOW: i64 = 1_795_348_800_000;
const HOUR: i64 = 3_600_000;

fn base(more: Value) -> Value {
    let mut file = json!({
        "organization": "acme",
        "accounts": [{"id": "main", "default": true}, {"id": "emea"}],
        "permissions": [{"name": "data.fix"}, {"name": "data.move", "level": "account"}, {"name": "data.see", "requires_visibility": true}],
        "objects": [{"id": "app", "kind": "app"}],
        "users": [
            {"id": "ana", "email": "ana@acme.com"}, {"id": "bo", "email": "bo@acme.com"},
            {"id": "off", "email": "off@acme.com", "status": "inactive"},
        ],
        "roles": [
            {"id": "fixer", "scope": "organization", "permissions": ["data.*"]},
            {"id": "local", "scope": "account", "permissions": ["data.move"]},
            {"id": "here", "scope": "object", "permissions": ["data.fix", "data.see"]},
            {"id": "payer", "scope": "organization", "permissions": ["data.fix"]},
        ],
        "emergency": [
            {"role": "fixer", "users": ["ana", "off"], "max_duration": "1h"},
            {"role": "local", "users": ["ana"], "max_duration": "30m", "account": "emea"},
            {"role": "here", "users": ["ana"], "max_duration": "7d", "object": "app", "record": "r-1"},
        ],
    });
    for (key, value) in more.as_object().unwrap() {
        file[key] = value.clone();
    }
    file
}

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn running(name: &str, role: &str, target: Target) -> Activation {
    Activation {
        id: id(name),
        role: id(role),
        target,
        user: "ana".parse().unwrap(),
        justification: "it burns".into(),
        rehearsal: false,
        starts_at: NOW,
        expires_at: NOW + HOUR,
        ended_at: None,
    }
}

fn fixing() -> Activation {
    running("a-1", "fixer", Target::Organization)
}

fn create(activation: Activation) -> Change {
    Change::Create(Row::Activation(activation))
}

fn after(before: &Table, changes: Vec<Change>) -> Table {
    apply_at(before, changes, NOW).unwrap_or_else(|e| panic!("{e:?}")).table
}

fn wrong(before: &Table, row: Row) -> Vec<(&'static str, &'static str)> {
    match apply(before, vec![Change::Create(row)]) {
        Err(ChangeError::Violations(v)) => v.iter().map(|v| (v.field, v.fault.reason())).collect(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => vec![],
    }
}

fn asking<'a>(who: &'a str, permission: &'a str, resource: Resource<'a>) -> Question<'a> {
    Question { principal: who, permission, resource, ..Question::default() }
}

fn at(table: &Table, now: i64) -> Reason {
    decide(table, &asking("user:ana", "data.fix", Resource::default()), now).unwrap()
}

fn on(record: &str) -> Resource<'_> {
    Resource { account: "emea", object: "app", record: Some(Record { id: record, ..Record::default() }) }
}

#[test]
fn m7_4_an_activation_gives_its_role_to_the_user_at_the_target_for_its_time() {
    let before = table(&base(json!({})));
    assert_eq!(at(&before, NOW), Reason::NoPermission, "to be named gives nothing");
    let active = after(&before, vec![create(fixing())]);
    // Rule 3.4: to the millisecond.
    let times = [NOW - 1, NOW, NOW + HOUR - 1, NOW + HOUR].map(|now| at(&active, now));
    assert_eq!(times, [Reason::NoPermission, Reason::Allowed, Reason::Allowed, Reason::NoPermission]);
    let bo = asking("user:bo", "data.fix", Resource::default());
    assert_eq!(decide(&active, &bo, NOW).unwrap(), Reason::NoPermission);
    // Where it says, and nowhere else.
    let local = after(&before, vec![create(running("a-2", "local", Target::Account(id("emea"))))]);
    let move_in = |account| {
        decide(&local, &asking("user:ana", "data.move", Resource { account, ..Resource::default() }), NOW).unwrap()
    };
    assert_eq!(["emea", "main", ""].map(move_in), [Reason::Allowed, Reason::NoPermission, Reason::NoPermission]);
    let record = Target::Record(id("app"), "r-1".parse().unwrap());
    let here = after(&before, vec![create(running("a-3", "here", record))]);
    let see = |record| decide(&here, &asking("user:ana", "data.see", on(record)), NOW).unwrap();
    assert_eq!(["r-1", "r-2"].map(see), [Reason::Allowed, Reason::NoPermission]);
    // Rule 4.2 comes first.
    let off = Activation { user: "off".parse().unwrap(), ..fixing() };
    let off = after(&before, vec![create(off)]);
    assert_eq!(
        decide(&off, &asking("user:off", "data.fix", Resource::default()), NOW).unwrap(),
        Reason::PrincipalInactive
    );
    // What the role comes to contain, it comes to give.
    let Some(Row::Role(mut role)) = active.row(&Key::Role(id("fixer"))) else { panic!() };
    role.permissions = vec!["data.move".parse().unwrap()];
    let narrower = after(&active, vec![Change::Update { row: Row::Role(role), etag: None }]);
    assert_eq!(at(&narrower, NOW), Reason::NoPermission);
}

#[test]
fn m7_4_a_rehearsal_gives_nothing_and_ending_takes_away() {
    let before = table(&base(json!({})));
    let rehearsed = after(&before, vec![create(Activation { rehearsal: true, ..fixing() })]);
    assert_eq!(at(&rehearsed, NOW), Reason::NoPermission);
    assert!(rehearsed.activation(&id("a-1")).is_some());
    let active = after(&before, vec![create(fixing())]);
    let end = |at: i64| after(&active, vec![Change::Update { row: Row::Activation(fixing().ended(at)), etag: None }]);
    let ended = end(NOW + 5);
    assert_eq!([NOW + 4, NOW + 5].map(|now| at(&ended, now)), [Reason::Allowed, Reason::NoPermission]);
    let at_once = end(NOW);
    assert_eq!(at(&at_once, NOW), Reason::NoPermission);
    assert_eq!(at_once.activation(&id("a-1")).unwrap().ended_at, Some(NOW));
    // And again; whichever row comes first when they are loaded, the last one counts.
    for (name, other) in [("a-0", "a-1"), ("a-2", "a-1")] {
        let again = Activation { id: id(name), starts_at: NOW + 10, ..fixing() };
        let again = after(&ended, vec![create(again)]);
        assert_eq!(at(&again, NOW + 10), Reason::Allowed);
        let mut loaded: Vec<Row> = again.rows().collect();
        loaded.sort_by_key(Row::key);
        let loaded = Table::load(id("acme"), "h".into(), 3, 1, loaded).unwrap();
        assert_eq!([NOW + 9, NOW + 10].map(|now| at(&loaded, now)), [Reason::NoPermission, Reason::Allowed]);
        // To delete the one that is over leaves the other.
        let pruned = after(&loaded, vec![Change::Delete { keys: vec![Key::Activation(id(other))], etag: None }]);
        assert_eq!(at(&pruned, NOW + 10), Reason::Allowed);
        let none = after(&loaded, vec![Change::Delete { keys: vec![Key::Activation(id(name))], etag: None }]);
        assert_eq!(at(&none, NOW + 10), Reason::NoPermission);
    }
}

#[test]
fn m7_4_it_is_beside_an_assignment_of_the_same_role() {
    let over = json!({"assignments": [{"role": "fixer", "member": "user:ana", "expires_at": "2026-01-01T00:00:00Z"}]});
    let before = table(&base(over));
    let active = after(&before, vec![create(fixing())]);
    assert_eq!(at(&active, NOW), Reason::Allowed);
    assert_eq!(active.edge_rows().count(), before.edge_rows().count(), "no row of an assignment is made");
    // To end an assignment ends no activation, and the other way round.
    let key = Key::Assignment(id("fixer"), "user:ana".parse().unwrap(), Target::Organization);
    let alone = after(&active, vec![Change::Delete { keys: vec![key.clone()], etag: None }]);
    assert_eq!(at(&alone, NOW), Reason::Allowed);
    let ended = after(&active, vec![Change::Update { row: Row::Activation(fixing().ended(NOW)), etag: None }]);
    assert!(ended.row(&key).is_some());
}

#[test]
fn m7_4_a_rule_that_goes_ends_what_runs_by_it() {
    let active = after(&table(&base(json!({}))), vec![create(fixing())]);
    let rule = Key::Emergency(id("fixer"), Target::Organization);
    let later = NOW + 7;
    let change = |changes| apply_at(&active, changes, later).unwrap().table;
    let gone = change(vec![Change::Delete { keys: vec![rule.clone()], etag: None }]);
    assert_eq!((at(&gone, later - 1), at(&gone, later)), (Reason::Allowed, Reason::NoPermission));
    assert_eq!(gone.activation(&id("a-1")).unwrap().ended_at, Some(later));
    // A user taken out of it, too; who stays and a shorter time do nothing to what runs.
    let Some(Row::Emergency(row)) = active.row(&rule) else { panic!() };
    let with = |users: &[&str], max_duration_ms| {
        let users = users.iter().map(|u| u.parse().unwrap()).collect();
        change(vec![Change::Update {
            row: Row::Emergency(EmergencyRule { users, max_duration_ms, ..row.clone() }),
            etag: None,
        }])
    };
    assert_eq!(at(&with(&["bo"], HOUR), later), Reason::NoPermission);
    assert_eq!(at(&with(&["ana"], 1), later), Reason::Allowed);
    // A file that is applied says what may be, not what happened.
    let same: Vec<Row> = active.rows().filter(|row| !matches!(row, Row::Activation(_))).collect();
    let replace =
        |rows: Vec<Row>| apply_at(&active, vec![Change::Replace { rows, deactivate_missing: false }], later).unwrap();
    assert!(replace(same.clone()).effects.is_empty());
    let without = same.into_iter().filter(|row| row.key() != rule).collect();
    assert_eq!(at(&replace(without).table, later), Reason::NoPermission);
}

#[test]
fn m2_10_what_is_deleted_or_forgotten_takes_rules_and_activations_with_it() {
    let record = Target::Record(id("app"), "r-1".parse().unwrap());
    let all = [fixing(), running("a-2", "local", Target::Account(id("emea"))), running("a-3", "here", record)];
    let active = after(&table(&base(json!({}))), all.into_iter().map(create).collect());
    let left = |change| {
        let next = after(&active, vec![change]);
        let loaded = Table::load(id("acme"), "h".into(), 3, 1, next.rows().collect());
        assert!(loaded.is_ok(), "{:?}", loaded.err());
        (next.emergencies().count(), next.activations().map(|a| a.id.to_string()).collect::<Vec<_>>())
    };
    let delete = |key| Change::Delete { keys: vec![key], etag: None };
    assert_eq!(left(delete(Key::Role(id("fixer")))), (2, vec!["a-2".into(), "a-3".into()]));
    assert_eq!(left(delete(Key::Account(id("emea")))), (2, vec!["a-1".into(), "a-3".into()]));
    assert_eq!(left(delete(Key::Object(id("app")))), (2, vec!["a-1".into(), "a-2".into()]));
    let forget = || Change::Forget { object: id("app"), record: "r-1".parse().unwrap() };
    assert_eq!(left(forget()), (2, vec!["a-1".into(), "a-2".into()]));
    // What was held at the record showed it.
    let see = |table: &Table| decide(table, &asking("user:ana", "data.see", on("r-1")), NOW).unwrap();
    assert_eq!((see(&active), see(&after(&active, vec![forget()]))), (Reason::Allowed, Reason::NotVisible));
}

#[test]
fn m7_3_an_activation_counts_as_its_role_and_is_refused_if_it_would_break_a_constraint() {
    let separated = |enforce: &str| {
        json!({
            "assignments": [{"role": "payer", "member": "user:ana"}],
            "separation_of_duties": [{"id": "pay", "roles": ["payer", "fixer"], "max": 1, "enforce": enforce}],
        })
    };
    let before = table(&base(separated("prevent")));
    let Err(ChangeError::Violations(told)) = apply_at(&before, vec![create(fixing())], NOW) else { panic!() };
    let [told] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(told.fault.reason(), "SEPARATION_OF_DUTIES");
    assert!(told.fault.to_string().contains("role `fixer` at the organization, activated in an emergency"), "{told:?}");
    // A rehearsal is a row and nothing else.
    after(&before, vec![create(Activation { rehearsal: true, ..fixing() })]);
    // One that is there counts for what comes after it, and while it runs.
    let active = after(
        &table(&base(json!({"separation_of_duties": separated("deny")["separation_of_duties"]}))),
        vec![create(fixing())],
    );
    let payer = |starts_at| {
        let period = doorward::core::model::Period { starts_at, expires_at: None };
        let (role, member, target) = (id("payer"), "user:ana".parse().unwrap(), Target::Organization);
        Change::Create(Row::Assignment(doorward::core::model::Assignment {
            role,
            member,
            target,
            period,
            by_hand: false,
        }))
    };
    assert!(apply_at(&active, vec![payer(None)], NOW).is_err());
    assert!(apply_at(&active, vec![payer(Some(NOW + HOUR))], NOW).is_ok());
    let both = apply(&active, vec![payer(None)]).unwrap().table;
    assert_eq!([at(&both, NOW), at(&both, NOW + HOUR)], [Reason::SeparationOfDuties, Reason::Allowed]);
    let [broken] = both.broken_separations(None, NOW).try_into().unwrap();
    let paths = both.breaches(&[broken], NOW).remove(0).paths;
    assert!(paths.iter().any(|path| matches!(&path.source, Source::Activation(a) if a.id == id("a-1"))), "{paths:?}");
}

#[test]
fn m7_4_a_use_is_an_allow_that_comes_by_an_activation_alone() {
    let before = table(&base(json!({})));
    let active = after(&before, vec![create(fixing())]);
    let question = asking("user:ana", "data.fix", Resource::default());
    let of = |table: &Table, now| used(table, &question, now).map(|a| a.id.to_string());
    assert_eq!(of(&active, NOW), Some("a-1".into()));
    assert_eq!(of(&active, NOW + HOUR), None, "it is not allowed");
    let runs = |table: &Table| [NOW, NOW + HOUR - 1, NOW + HOUR].map(|now| table.has_activations(now));
    assert_eq!([runs(&before), runs(&active)], [[false; 3], [true, true, false]]);
    let ended =
        apply_at(&active, vec![Change::Update { row: Row::Activation(fixing().ended(NOW + 1)), etag: None }], NOW + 1);
    assert_eq!(runs(&ended.unwrap().table), [true, false, false]);
    let rehearsed = after(&before, vec![create(Activation { rehearsal: true, ..fixing() })]);
    assert_eq!(runs(&rehearsed), [false; 3]);
    assert_eq!(used(&active, &asking("user:bo", "data.fix", Resource::default()), NOW), None);
    // What is held anyway is no use of it.
    let key = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let held = table(&base(json!({"assignments": [key(r#"{"role": "payer", "member": "user:ana"}"#)]})));
    let held = after(&held, vec![create(fixing())]);
    assert_eq!(at(&held, NOW), Reason::Allowed);
    assert_eq!(of(&held, NOW), None);
    // At the very record: what shows it.
    let record = Target::Record(id("app"), "r-1".parse().unwrap());
    let shown = table(&base(json!({"grants": [{"permissions": ["data.see"], "member": "user:ana"}]})));
    let shown = after(&shown, vec![create(running("a-3", "here", record))]);
    let see = asking("user:ana", "data.see", on("r-1"));
    assert_eq!(used(&shown, &see, NOW).map(|a| a.id.to_string()), Some("a-3".into()));
    // Nobody comes by it to the relation of somebody else.
    let watched = table(&base(json!({
        "grants": [{"permissions": ["data.see"], "member": "user:ana"}],
        "relations": [{"relation": "watcher", "member": "user:bo", "object": "app", "record": "r-1"}],
        "data_access": [{"id": "w", "object": "app", "effect": "allow", "members": ["user:ana"], "condition": "user.id in record.watchers"}],
    })));
    let record = Target::Record(id("app"), "r-1".parse().unwrap());
    let watched = after(&watched, vec![create(running("a-3", "here", record))]);
    assert_eq!(used(&watched, &see, NOW).map(|a| a.id.to_string()), Some("a-3".into()));
    // Explain names it.
    let e = explain(&active, &question, NOW, 10).unwrap();
    let [path] = e.paths.as_slice() else { panic!("{e:#?}") };
    assert!(matches!(&path.source, Source::Activation(a) if a.id == id("a-1")), "{path:?}");
    assert_eq!(path.pattern.as_ref().unwrap().as_str(), "data.*");
}

#[test]
fn m7_4_what_is_wrong_with_a_rule_or_an_activation_is_told() {
    let before = table(&base(json!({})));
    let rule = |role: &str, users: &[&str], max_duration_ms, target| {
        let users = users.iter().map(|u| u.parse().unwrap()).collect();
        wrong(&before, Row::Emergency(EmergencyRule { role: id(role), target, users, max_duration_ms }))
    };
    let main = || Target::Account(id("main"));
    assert_eq!(rule("local", &["bo"], 1, main()), []);
    assert_eq!(rule("local", &[], 1, main()), [("users", "MISPLACED")]);
    assert_eq!(rule("local", &["bo", "bo"], 1, main()), [("users", "DUPLICATE")]);
    assert_eq!(rule("local", &["nobody"], 1, main()), [("users", "UNKNOWN_REFERENCE")]);
    assert_eq!(rule("nothing", &["bo"], 1, main()), [("role", "UNKNOWN_REFERENCE")]);
    assert_eq!(rule("local", &["bo"], 1, Target::Account(id("west"))), [("target", "UNKNOWN_REFERENCE")]);
    assert_eq!(rule("fixer", &["bo"], 1, main()), [("role", "WRONG_SCOPE")]);
    for (span, fine) in [(0, false), (-1, false), (7 * 24 * HOUR, true), (7 * 24 * HOUR + 1, false)] {
        assert_eq!(rule("local", &["bo"], span, main()).is_empty(), fine, "{span}");
    }
    let many: Vec<String> = (0..1_001).map(|n| format!("u{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(rule("local", &many, 1, main()).contains(&("users", "TOO_MANY")));

    let activation = |change: &dyn Fn(&mut Activation)| {
        let mut row = fixing();
        change(&mut row);
        wrong(&before, Row::Activation(row))
    };
    assert_eq!(activation(&|_| ()), []);
    assert_eq!(activation(&|a| a.justification = " \n".into()), [("justification", "MISPLACED")]);
    assert_eq!(activation(&|a| a.justification = "x".repeat(4_097)), [("justification", "TOO_MANY")]);
    assert_eq!(activation(&|a| a.justification = "x".repeat(4_096)), []);
    assert_eq!(activation(&|a| a.expires_at = a.starts_at), [("expires_at", "MISPLACED")]);
    assert_eq!(activation(&|a| a.expires_at = a.starts_at + 7 * 24 * HOUR + 1), [("expires_at", "MISPLACED")]);
    assert_eq!(activation(&|a| a.user = "nobody".parse().unwrap()), [("user", "UNKNOWN_REFERENCE")]);
    assert_eq!(activation(&|a| a.target = Target::Object(id("app"))), [("role", "WRONG_SCOPE")]);
    let admin = json!({
        "preset": "integration", "users": [{"id": "eve", "email": "eve@acme.com", "account": "emea"}], "emergency": [],
    });
    let integration = table(&base(admin));
    let users = vec!["eve".parse().unwrap()];
    let row = EmergencyRule { role: id("org-admin"), target: Target::Organization, users, max_duration_ms: 1 };
    assert_eq!(wrong(&integration, Row::Emergency(row)), [("users", "MISPLACED")], "3.6");
}

#[test]
fn m7_4_a_file_has_rules_and_no_activations() {
    let active = after(&table(&base(json!({}))), vec![create(fixing())]);
    let file: Vec<Row> = rows(&base(json!({})));
    assert_eq!(file.iter().filter(|row| matches!(row, Row::Emergency(_))).count(), 3);
    let text = doorward::cli::file::write(&id("acme"), &active.rows().collect::<Vec<_>>());
    assert!(!text.contains("it burns") && text.contains("max_duration: 30m"), "{text}");
    let again = doorward::cli::file::OrganizationFile::parse(&text, "f", doorward::cli::file::Known::of).unwrap();
    let sorted = |rows: Vec<Row>| {
        let mut rows: Vec<Row> = rows.into_iter().filter(|row| !matches!(row, Row::Activation(_))).collect();
        rows.sort_by_key(Row::key);
        rows
    };
    assert_eq!(sorted(again.rows), sorted(active.rows().collect()));
}
