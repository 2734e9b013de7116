//! Rule 4.11, by hand: every kind of path, of policy result and of near miss.

use std::collections::BTreeMap;

use doorward::core::decision::{Question, Reason, Record, Resource};
use doorward::core::explain::{Explanation, Path, Said, Source, explain};
use doorward::core::model::Value as Attribute;
use doorward::core::table::Table;
use serde_json::{Value, json};

use crate::support::{applied, rows, table};

const NOW: i64 = 1_795_348_800_000; // 2026-11-22T12:00:00Z

/// Ana is in `risk` and in `leads`, both of which are in `all`.
fn base(more: Value) -> Value {
    let mut file = json!({
        "organization": "acme",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}],
        "accounts": [{"id": "main", "default": true}, {"id": "emea"}],
        "permissions": [
            {"name": "records.read", "aliases": ["READ"], "requires_visibility": true},
            {"name": "records.edit", "when_not_owner": "records.edit_any"},
            {"name": "records.edit_any", "level": "account"},
            {"name": "records.approve", "requires_approver": true},
        ],
        "objects": [
            {"id": "app", "kind": "app", "fields": {
                "region": "string", "amount": "double", "tags": "list<string>", "open": "bool",
            }},
            {"id": "other", "kind": "app"},
        ],
        "users": [
            {"id": "ana", "email": "ana@acme.com", "attributes": {"region": "eu"}},
            {"id": "bo", "email": "bo@acme.com"},
            {"id": "cy", "email": "cy@acme.com", "status": "inactive", "status_before": "active"},
        ],
        "groups": [
            {"id": "risk", "kind": "manual", "members": ["user:ana"], "visibility": ["data_access"]},
            {"id": "leads", "kind": "manual", "members": ["user:ana"]},
            {"id": "all", "kind": "manual", "members": ["group:risk", "group:leads"], "visibility": ["data_access"]},
            {"id": "board", "kind": "manual", "members": ["user:bo"], "visibility": ["approver", "watchable"]},
            {"id": "staff", "kind": "dynamic", "domains": ["acme.com"]},
        ],
        "roles": [
            {"id": "reader", "scope": "object", "permissions": ["records.read", "records.*", "*"]},
            {"id": "admin-of-all", "scope": "organization", "permissions": ["*"]},
            {"id": "of-account", "scope": "account", "permissions": ["records.*"]},
        ],
    });
    for (key, value) in more.as_object().unwrap() {
        file[key] = value.clone();
    }
    file
}

fn with(more: Value) -> Table {
    table(&base(more))
}

fn ask<'a>(principal: &'a str, permission: &'a str, record: Option<Record<'a>>) -> Question<'a> {
    let resource = Resource { object: "app", record, ..Resource::default() };
    Question { principal, permission, resource, ..Question::default() }
}

fn why(table: &Table, question: &Question<'_>) -> Explanation {
    explain(table, question, NOW, 10).unwrap()
}

fn bare(id: &str) -> Option<Record<'_>> {
    Some(Record { id, ..Record::default() })
}

/// `user:ana > group:risk > assignment reader @ object app (records.read)`.
fn told(path: &Path) -> String {
    let members: Vec<String> = path.members.iter().map(ToString::to_string).collect();
    let source = match &path.source {
        Source::Assignment(a) => format!("assignment {} @ {}", a.role, a.target),
        Source::ByRule(a) => format!("by rule {} @ {}", a.role, a.target),
        Source::Grant(g) => format!("grant {} @ {}", g.permission, g.target),
        Source::AutoShare { role, relation } => format!("share {role} by {} @ {}", relation.relation, relation.record),
        Source::Activation(a) => format!("activation {} of {} @ {}", a.id, a.role, a.target),
        Source::Relation(relation) => format!("relation {} @ {}", relation.relation, relation.record),
        Source::Policy(id) => format!("policy {id}"),
    };
    let pattern = path.pattern.as_ref().map(|p| format!(" ({p})")).unwrap_or_default();
    format!("{} > {source}{pattern}", members.join(" > "))
}

fn paths(explanation: &Explanation) -> Vec<String> {
    explanation.paths.iter().map(told).collect()
}

fn misses(explanation: &Explanation) -> Vec<(String, String)> {
    explanation.misses.iter().map(|miss| (told(&miss.path), miss.lacks.clone())).collect()
}

#[track_caller]
fn misses_by(more: Value, question: &Question<'_>, path: &str, lacks: &str) {
    let explanation = why(&with(more), question);
    assert_ne!(explanation.reason, Reason::Allowed);
    let misses = misses(&explanation);
    let found = misses.iter().any(|(p, l)| p == path && l == lacks);
    assert!(found, "{path}, {lacks}: not in {misses:#?}");
}

#[test]
fn m4_11_every_path_is_told_shortest_first() {
    let table = with(json!({
        "assignments": [
            {"role": "reader", "member": "group:all", "object": "app"},
            {"role": "reader", "member": "group:risk", "object": "app"},
            {"role": "admin-of-all", "member": "group:staff"},
            {"role": "of-account", "member": "user:ana", "account": "emea"},
            {"role": "reader", "member": "user:ana", "object": "other"},
        ],
        "grants": [{"permissions": ["READ"], "member": "user:ana", "object": "app", "record": "r"}],
    }));
    let record = Some(Record { id: "r", account: "emea", ..Record::default() });
    let explanation = why(&table, &ask("user:ana", "READ", record));
    assert_eq!((explanation.reason, explanation.permission.as_str()), (Reason::Allowed, "records.read"));
    assert!(!explanation.truncated);
    let mut found = paths(&explanation);
    found[..2].sort();
    found[2..4].sort();
    found[4..].sort();
    assert_eq!(
        found,
        [
            "user:ana > assignment of-account @ account `emea` (records.*)",
            "user:ana > grant READ @ record `r` of object `app` (READ)",
            "user:ana > group:risk > assignment reader @ object `app` (records.read)",
            "user:ana > group:staff > assignment admin-of-all @ the organization (*)",
            "user:ana > group:leads > group:all > assignment reader @ object `app` (records.read)",
            "user:ana > group:risk > group:all > assignment reader @ object `app` (records.read)",
        ]
    );
    // What is held at the record shows it (rule 6.4).
    let shown: Vec<String> = explanation.shown_by.iter().map(told).collect();
    assert_eq!(shown, ["user:ana > grant READ @ record `r` of object `app` (READ)"]);
    // Fewer, if so asked.
    let few = explain(&table, &ask("user:ana", "READ", record), NOW, 2).unwrap();
    assert!(few.truncated && few.paths == explanation.paths[..2]);
}

#[test]
fn m4_11_many_ways_cost_no_more_than_those_asked_for() {
    // Forty diamonds on top of each other.
    let mut groups = vec![json!({"id": "g0", "kind": "manual", "members": ["user:ana"]})];
    for n in 0..40 {
        let (below, above) = (format!("group:g{n}"), format!("g{}", n + 1));
        for side in ["l", "r"] {
            groups.push(json!({"id": format!("{side}{n}"), "kind": "manual", "members": [below]}));
        }
        let members = [format!("group:l{n}"), format!("group:r{n}")];
        groups.push(json!({"id": above, "kind": "manual", "members": members}));
    }
    let table = with(json!({
        "groups": groups, "assignments": [{"role": "reader", "member": "group:g40", "object": "app"}],
    }));
    let explanation = explain(&table, &ask("user:ana", "records.approve", None), NOW, 100).unwrap();
    assert!(explanation.truncated);
    assert_eq!(explanation.paths.len(), 100);
    assert!(explanation.paths.iter().all(|p| p.members.len() == 82));
}

#[test]
fn m5_2_a_role_shared_by_a_relation_is_a_path_and_a_cleared_flag_a_near_miss() {
    let shared = |flags: Value| {
        json!({
            "roles": [{"id": "watching", "scope": "object", "object": "app", "permissions": ["records.read"],
                "auto_share": ["watcher"]}],
            "groups": [{"id": "board", "kind": "manual", "members": ["user:bo", "group:subs"], "visibility": flags},
                {"id": "subs", "kind": "manual", "members": ["user:ana"]}],
            "relations": [{"relation": "watcher", "member": "group:board", "object": "app", "record": "r"}],
        })
    };
    let on = with(shared(json!(["watchable"])));
    let explanation = why(&on, &ask("user:ana", "records.read", bare("r")));
    assert_eq!(explanation.reason, Reason::Allowed);
    let path = "user:ana > group:subs > group:board > share watching by watcher @ r (records.read)";
    assert_eq!(paths(&explanation), [path]);
    assert_eq!(explanation.shown_by, explanation.paths);
    // The flag is cleared: the relation stays, suspended.
    let change =
        doorward::core::change::Change::Replace { rows: rows(&base(shared(json!([])))), deactivate_missing: false };
    let off = applied(&on, vec![change]);
    let explanation = why(&off, &ask("user:ana", "records.read", bare("r")));
    let lacks = "`group:board` is not usable as watcher: its flag `watchable` is off";
    assert_eq!(misses(&explanation), [(path.to_owned(), lacks.to_owned())]);
}

#[test]
fn m3_6_a_role_by_rule_is_a_path_of_its_own_kind() {
    let file = json!({
        "organization": "acme", "preset": "integration",
        "accounts": [{"id": "main", "default": true}, {"id": "emea"}],
        "users": [{"id": "ana", "email": "a@x.org"}, {"id": "emil", "email": "e@x.org", "account": "emea"}],
    });
    let table = table(&file);
    let permissions: Vec<String> = table.catalogue().map(|(_, slot)| slot.row.name.to_string()).collect();
    let by_rule = |principal: &str, account: &str| {
        permissions.iter().find_map(|permission| {
            let resource = Resource { account, ..Resource::default() };
            let question = Question { principal, permission, resource, ..Question::default() };
            let explanation = why(&table, &question);
            (explanation.reason == Reason::Allowed).then(|| told(&explanation.paths[0]))
        })
    };
    let starts = |path: Option<String>, with: &str| assert!(path.as_ref().unwrap().starts_with(with), "{path:?}");
    starts(by_rule("user:ana", ""), "user:ana > by rule org @ the organization (");
    starts(by_rule("user:emil", "emea"), "user:emil > by rule default-user @ account `emea` (");
    assert_eq!(by_rule("user:emil", "main"), None);
}

#[test]
fn m4_5_what_lacks_one_thing_is_a_near_miss() {
    let at = |target: Value| {
        let mut row = json!({"role": "reader", "member": "group:risk"});
        row.as_object_mut().unwrap().extend(target.as_object().unwrap().clone());
        json!({"assignments": [row]})
    };
    let question = ask("user:ana", "records.approve", bare("r"));
    let path = |place: &str| format!("user:ana > group:risk > assignment reader @ {place} (records.*)");
    let app = path("object `app`");
    let expired = at(json!({"object": "app", "expires_at": "2026-01-01T00:00:00Z"}));
    misses_by(expired, &question, &app, "expired at 2026-01-01T00:00:00Z");
    let future = at(json!({"object": "app", "starts_at": "2027-01-01T00:00:00Z"}));
    misses_by(future, &question, &app, "starts at 2027-01-01T00:00:00Z only");
    let elsewhere = "held at object `other`; the question is about object `app`";
    misses_by(at(json!({"object": "other"})), &question, &path("object `other`"), elsewhere);
    let other = at(json!({"object": "app", "record": "q"}));
    let elsewhere = "held at record `q` of object `app`; the question is about record `r`";
    misses_by(other.clone(), &question, &path("record `q` of object `app`"), elsewhere);
    let elsewhere = "held at record `q` of object `app`; the question is about no record";
    misses_by(other, &ask("user:ana", "records.approve", None), &path("record `q` of object `app`"), elsewhere);
    let account = json!({"assignments": [{"role": "of-account", "member": "group:risk", "account": "emea"}]});
    let of_account = "user:ana > group:risk > assignment of-account @ account `emea` (records.*)";
    misses_by(account.clone(), &question, of_account, "held at account `emea`; the question is about no account");
    let main = Resource { account: "main", ..question.resource };
    let elsewhere = "held at account `emea`; the question is about account `main`";
    misses_by(account, &Question { resource: main, ..question }, of_account, elsewhere);
    // Two things are no near miss.
    let both = at(json!({"object": "other", "expires_at": "2026-01-01T00:00:00Z"}));
    assert_eq!(why(&with(both), &question).misses, []);
}

#[test]
fn m3_1_a_level_that_is_too_narrow_is_a_near_miss() {
    let file = json!({"assignments": [{"role": "reader", "member": "user:ana", "object": "app"}]});
    let lacks = "`records.edit_any` takes effect only where it is held at an account or the organization";
    let path = "user:ana > assignment reader @ object `app` (records.*)";
    misses_by(file, &ask("user:ana", "records.edit_any", None), path, lacks);
}

#[test]
fn m4_6_who_may_edit_only_what_is_its_own_misses_by_that() {
    let file = || json!({"grants": [{"permissions": ["records.edit"], "member": "user:ana", "object": "app"}]});
    let of_bo = Some(Record { id: "r", owner: "bo", ..Record::default() });
    let question = ask("user:ana", "records.edit", of_bo);
    let path = "user:ana > grant records.edit @ object `app` (records.edit)";
    let lacks = "gives `records.edit` on the principal's own records only; this one belongs to `bo`, so \
                 `records.edit_any` is asked";
    misses_by(file(), &question, path, lacks);
    let lacks = "gives `records.edit` on the principal's own records only; this one has no owner, so \
                 `records.edit_any` is asked";
    misses_by(file(), &ask("user:ana", "records.edit", bare("r")), path, lacks);
    let explanation = why(&with(file()), &question);
    assert_eq!(explanation.asked.as_str(), "records.edit_any");
    let own = Some(Record { id: "r", owner: "ana", ..Record::default() });
    assert_eq!(why(&with(file()), &ask("user:ana", "records.edit", own)).asked.as_str(), "records.edit");
}

#[test]
fn m4_5_what_was_given_to_others_is_a_near_miss() {
    let file = || {
        json!({
            "assignments": [
                {"role": "reader", "member": "group:board", "object": "app"},
                {"role": "reader", "member": "user:bo", "object": "app", "record": "r"},
            ],
        })
    };
    let question = ask("user:ana", "records.approve", bare("r"));
    let path = "group:board > assignment reader @ object `app` (records.*)";
    misses_by(file(), &question, path, "the principal is not a member of group `board`");
    let path = "user:bo > assignment reader @ record `r` of object `app` (records.*)";
    misses_by(file(), &question, path, "the principal is not `user:bo`");
}

#[test]
fn m4_2_who_is_deactivated_misses_what_would_be_its() {
    let file = json!({"assignments": [{"role": "reader", "member": "user:cy", "object": "app"}]});
    let path = "user:cy > assignment reader @ object `app` (records.*)";
    misses_by(file, &ask("user:cy", "records.approve", None), path, "the principal is deactivated");
    let nobody = why(&with(json!({})), &ask("user:nobody", "records.read", None));
    assert_eq!((nobody.reason, nobody.reason.rule()), (Reason::PrincipalUnknown, "4.1"));
    assert!(nobody.misses.is_empty() && nobody.paths.is_empty());
}

#[test]
fn m4_7_who_approves_is_told_whether_it_is_the_principal_or_not() {
    let file = |member: &str| {
        json!({
            "assignments": [{"role": "reader", "member": "user:ana", "object": "app"}],
            "relations": [{"relation": "approver", "member": member, "object": "app", "record": "r"}],
        })
    };
    let question = ask("user:ana", "records.approve", bare("r"));
    let path = "group:board > relation approver @ r";
    misses_by(file("group:board"), &question, path, "the principal is not a member of group `board`");
    let explanation = why(&with(file("user:ana")), &question);
    assert_eq!(explanation.reason, Reason::Allowed);
    assert_eq!(explanation.approver_by.iter().map(told).collect::<Vec<_>>(), ["user:ana > relation approver @ r"]);
}

/// What the policies said of a record of `app` with these attributes, as (policy, result, detail).
fn said(policies: Value, attributes: &[(&str, Attribute)]) -> (Reason, Vec<(String, Said, String)>) {
    let attributes: BTreeMap<String, Attribute> =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let table = with(json!({
        "data_access": policies, "assignments": [{"role": "reader", "member": "group:all", "object": "app"}],
    }));
    let record = Some(Record { id: "r", attributes: &attributes, ..Record::default() });
    let explanation = why(&table, &ask("user:ana", "records.read", record));
    let said = explanation.policies.into_iter().map(|p| (p.policy.to_string(), p.said, p.detail));
    (explanation.reason, said.collect())
}

fn policy(id: &str, effect: &str, member: &str, condition: &str) -> Value {
    let mut policy = json!({"id": id, "object": "app", "effect": effect, "members": [member]});
    if !condition.is_empty() {
        policy["condition"] = condition.into();
    }
    policy
}

fn text(text: &str) -> Attribute {
    Attribute::String(text.to_owned())
}

#[test]
fn m6_1_each_policy_says_why() {
    let policies = json!([
        policy("a-matches", "allow", "user:ana", "record.region == user.attributes.region"),
        policy("b-every", "allow", "group:risk", ""),
        policy("c-suspended", "allow", "group:leads", ""),
        policy("d-others", "allow", "group:board", ""),
        policy("e-restricts", "restrict", "group:leads", "record.amount > 10.0"),
    ]);
    let (reason, said) = said(policies, &[("region", text("us")), ("amount", Attribute::Double(1.5))]);
    assert_eq!(reason, Reason::Allowed);
    let expected = [
        (
            "a-matches",
            Said::NotMatched,
            "`record.region == user.attributes.region` is false: `record.region` is \"us\", `user.attributes.region` \
             is \"eu\"",
        ),
        ("b-every", Said::Matched, "it has no condition: it is about every record"),
        ("c-suspended", Said::Suspended, "group `leads` is not usable for data access: its flag `data_access` is off"),
        ("e-restricts", Said::NotMatched, "`record.amount > 10.0` is false: `record.amount` is 1.5"),
    ];
    assert_eq!(said, expected.map(|(id, said, detail)| (id.to_owned(), said, detail.to_owned())));
}

#[test]
fn m6_3_the_parts_that_settled_a_condition_are_told_with_what_they_saw() {
    let cases = [
        (
            "record.open && record.region == \"eu\"",
            Said::NotMatched,
            "`record.region == \"eu\"` is false: `record.region` is \"us\"",
        ),
        ("record.open || record.region == \"eu\"", Said::Matched, "`record.open` is true"),
        (
            "!record.open || record.region == \"eu\"",
            Said::NotMatched,
            "`record.open` is true; `record.region == \"eu\"` is false: `record.region` is \"us\"",
        ),
        (
            "record.amount > 1.0 && record.open",
            Said::Error,
            "`record.amount > 1.0` cannot be answered: `record.amount` is missing",
        ),
        (
            "record.region == user.attributes.nothing",
            Said::Error,
            "`record.region == user.attributes.nothing` cannot be answered: `user.attributes.nothing` is missing, \
             `record.region` is \"us\"",
        ),
        ("\"x\" in record.tags", Said::NotMatched, "`\"x\" in record.tags` is false: `record.tags` is [\"a\", \"b\"]"),
        (
            "record.tags.exists(t, t == \"b\")",
            Said::Matched,
            "`record.tags.exists(t, t == \"b\")` is true: `record.tags` is [\"a\", \"b\"]",
        ),
        ("has(record.amount)", Said::NotMatched, "`has(record.amount)` is false"),
    ];
    let tags = Attribute::List(vec![text("a"), text("b")]);
    let sent = [("region", text("us")), ("open", Attribute::Bool(true)), ("tags", tags)];
    for (condition, result, detail) in cases {
        let (_, said) = said(json!([policy("p", "allow", "user:ana", condition)]), &sent);
        assert_eq!(said, [("p".to_owned(), result, detail.to_owned())], "{condition}");
    }
}

#[test]
fn m6_4_what_would_have_shown_the_record_is_a_near_miss() {
    let base = |policies: Value| {
        json!({
            "data_access": policies, "assignments": [
                {"role": "reader", "member": "group:all", "object": "app"},
                {"role": "reader", "member": "user:ana", "object": "app", "record": "r", "expires_at": "2026-01-01T00:00:00Z"},
            ],
        })
    };
    let question = ask("user:ana", "records.read", bare("r"));
    let policies = json!([
        policy("others", "allow", "group:board", "record.id == \"r\""),
        policy("others-else", "allow", "group:board", "record.id == \"q\""),
        policy("suspended", "allow", "group:leads", ""),
    ]);
    let explanation = why(&with(base(policies.clone())), &question);
    assert_eq!(explanation.reason, Reason::NotVisible);
    let expected = [
        ("user:ana > assignment reader @ record `r` of object `app` (records.read)", "expired at 2026-01-01T00:00:00Z"),
        ("group:board > policy others", "the policy would show the record: the principal is none of `group:board`"),
        (
            "user:ana > group:leads > policy suspended",
            "group `leads` is not usable for data access: its flag `data_access` is off",
        ),
    ];
    assert_eq!(misses(&explanation), expected.map(|(path, lacks)| (path.to_owned(), lacks.to_owned())));
    // Hidden even so: nothing would have shown it.
    let mut hidden = policies;
    hidden.as_array_mut().unwrap().push(policy("hides", "restrict", "user:ana", ""));
    assert_eq!(why(&with(base(hidden)), &question).misses, []);
}
