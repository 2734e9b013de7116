//! Relations, auto-share, policies and conditions: each rule on the smallest organization that shows it.

use super::*;
use crate::oracle::conditions::{Attribute, Comparison, Condition, Path, Term, TextTest};
use crate::oracle::{FilterQuestion, Oracle};

fn text(text: &str) -> Attribute {
    Attribute::String(text.into())
}

fn literal(value: Attribute) -> Term {
    Term::Literal(value)
}

fn record(name: &str) -> Term {
    Term::Read(Path::Record(name.into()))
}

fn user(name: &str) -> Term {
    Term::Read(Path::User(name.into()))
}

fn sent(name: &str) -> Term {
    Term::Read(Path::ContextAttribute(name.into()))
}

fn equal(left: Term, right: Term) -> Condition {
    Condition::Compare(left, Comparison::Equal, right)
}

fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

fn and(left: Condition, right: Condition) -> Condition {
    Condition::And(Box::new(left), Box::new(right))
}

fn or(left: Condition, right: Condition) -> Condition {
    Condition::Or(Box::new(left), Box::new(right))
}

/// An organization in which everyone may read records, if only they see them; its policies all concern `app`.
struct Seen {
    file: Value,
    conditions: BTreeMap<(String, String), Condition>,
}

impl Seen {
    fn by(policies: &[(&str, &[&str], Option<Condition>)]) -> Seen {
        let mut file = acme(json!({
            "grants": [{"permissions": ["records.*"], "member": "group:everyone"}],
            "groups": [
                {"id": "everyone", "kind": "manual", "members": ["user:ana", "user:bo", "user:ext", "user:lim", "service:ci"], "visibility": ["data_access"]},
                {"id": "team", "kind": "manual", "members": ["group:inner"], "visibility": ["data_access", "watchable", "assignable", "mentionable", "approver"]},
                {"id": "inner", "kind": "manual", "members": ["user:ana", "service:ci"]},
                {"id": "acme", "kind": "dynamic", "domains": ["acme.com", "gone.io"], "visibility": ["data_access"]},
                {"id": "all-users", "kind": "system", "visibility": ["data_access"]},
                {"id": "external-users", "kind": "system", "visibility": ["data_access"]}],
            "user_attributes": {"team": "string", "level": "double"},
        }));
        file["objects"][0]["fields"] = json!({
            "region": "string", "amount": "double", "level": "int", "tags": "list<string>", "due": "timestamp", "open": "bool"});
        let mut conditions = BTreeMap::new();
        let mut rows = Vec::new();
        for (at, (effect, members, condition)) in policies.iter().enumerate() {
            let id = format!("p{at}");
            let mut row = json!({"id": id, "object": "app", "effect": effect, "members": members});
            if let Some(condition) = condition {
                row["condition"] = json!(condition.to_string());
                conditions.insert(("app".to_owned(), id), condition.clone());
            }
            rows.push(row);
        }
        file["data_access"] = rows.into();
        Seen { file, conditions }
    }

    fn with(mut self, key: &str, value: Value) -> Seen {
        self.file[key] = value;
        self
    }

    fn change(mut self, of: impl FnOnce(&mut Value)) -> Seen {
        of(&mut self.file);
        self
    }

    fn answer(&self, question: &Question) -> Answer {
        Oracle::with_conditions(&self.file, &self.conditions).authorize(question)
    }

    /// May `who` read this record?
    fn read(&self, who: &str, record: RecordQ) -> Answer {
        let question = Question { channel: Some("email".into()), ..ask(who, "records.read") };
        self.answer(&Question { object: Some("app".into()), record: Some(record), ..question })
    }

    fn approve(&self, who: &str, record: &str) -> Answer {
        self.answer(&on(ask(who, "records.approve"), record, None, None))
    }
}

fn r(attributes: &[(&str, Attribute)]) -> RecordQ {
    let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    RecordQ { id: "r".into(), attributes, ..RecordQ::default() }
}

fn group(file: &mut Value, at: usize) -> &mut Value {
    &mut file["groups"][at]
}

const NOT_VISIBLE: Answer = Deny("NOT_VISIBLE");
const RESTRICTED: Answer = Deny("RESTRICTED");

#[test]
fn m2_9_an_allow_policy_counts_a_group_only_while_its_own_flag_is_on() {
    let seen = Seen::by(&[("allow", &["group:team"], None)]);
    assert_eq!((seen.read("user:ana", r(&[])), seen.read("user:bo", r(&[]))), (Allow, NOT_VISIBLE));
    // The group in between needs none; the one that is named does.
    let off = seen.change(|file| group(file, 1)["visibility"] = json!(["watchable"]));
    assert_eq!(off.read("user:ana", r(&[])), NOT_VISIBLE);
    assert_eq!(Seen::by(&[("allow", &["user:ana"], None)]).read("user:ana", r(&[])), Allow);
}

#[test]
fn m2_9_restrict_policies_ignore_flags_status_and_removed_domains() {
    for (member, hidden) in [
        ("group:inner", "ana"), // it has no flag
        ("group:all-users", "ana bo ext lim"),
        ("group:acme", "ana bo lim"),
        ("group:internal-users", "ana bo lim"),
        ("group:external-users", "ext"),
        ("user:lim", "lim"),
    ] {
        let mut seen = Seen::by(&[("allow", &["group:everyone"], None), ("restrict", &[member], None)]);
        for domains in [seen.file["email_domains"].clone(), json!([])] {
            for user in seen.file["users"].as_array_mut().unwrap() {
                user["kind"] = json!(if user["id"] == "ext" { "external" } else { "internal" });
            }
            seen.file["email_domains"] = domains;
            for who in ["ana", "bo", "ext", "lim"] {
                let expected = if hidden.split(' ').any(|one| one == who) { RESTRICTED } else { Allow };
                assert_eq!(seen.read(&format!("user:{who}"), r(&[])), expected, "{who} of {member}");
            }
        }
        assert_eq!(seen.read("service:ci", r(&[])), if member == "group:inner" { RESTRICTED } else { Allow });
    }
}

#[test]
fn m2_9_allow_policies_follow_status_and_domains() {
    let mut seen = Seen::by(&[("allow", &["group:acme", "group:external-users"], None)]);
    let see = |seen: &Seen| ["ana", "bo", "ext", "lim"].map(|who| seen.read(&format!("user:{who}"), r(&[])) == Allow);
    assert_eq!(see(&seen), [true, true, true, false]);
    seen.file["email_domains"] = json!([]); // then all are external, and none is of the domain
    assert_eq!(see(&seen), [true, true, true, false]);
    seen.file["groups"].as_array_mut().unwrap().pop();
    assert_eq!(see(&seen), [false; 4]);
}

#[test]
fn m4_7_not_visible_restricted_or_no_approver() {
    let allow = ("allow", ["user:ana", "user:bo"]);
    let both = |restricted: &[&str]| {
        Seen::by(&[(allow.0, &allow.1, None), ("restrict", restricted, None)])
            .with("relations", json!([{"relation": "approver", "member": "user:bo", "object": "app", "record": "r"}]))
    };
    let seen = both(&["user:ext"]);
    assert_eq!((seen.approve("user:ana", "r"), seen.approve("user:bo", "r")), (Deny("NOT_APPROVER"), Allow));
    assert_eq!((seen.approve("user:bo", "s"), seen.approve("user:ext", "r")), (Deny("NOT_APPROVER"), NOT_VISIBLE));
    let seen = both(&["user:bo"]);
    assert_eq!((seen.approve("user:ana", "r"), seen.approve("user:bo", "r")), (Deny("NOT_APPROVER"), RESTRICTED));
    // Creating needs no visibility, and the object alone asks for the permission alone.
    assert_eq!(seen.answer(&on(ask("user:bo", "records.create"), "r", None, None)), Allow);
    assert_eq!(seen.answer(&at(ask("user:bo", "records.approve"), None, Some("app"))), Allow);
}

#[test]
fn m4_7_an_approver_through_a_group_needs_its_flag() {
    let approver = |member: &str| {
        Seen::by(&[("allow", &["group:everyone"], None)])
            .with("relations", json!([{"relation": "approver", "member": member, "object": "app", "record": "r"}]))
    };
    let seen = approver("group:team");
    assert_eq!(
        (seen.approve("user:ana", "r"), seen.approve("service:ci", "r"), seen.approve("user:bo", "r")),
        (Allow, Allow, Deny("NOT_APPROVER"))
    );
    let off = seen.change(|file| group(file, 1)["visibility"] = json!(["data_access", "watchable"]));
    assert_eq!(off.approve("user:ana", "r"), Deny("NOT_APPROVER"));
    assert_eq!(approver("group:inner").approve("user:ana", "r"), Deny("NOT_APPROVER"));
}

#[test]
fn m5_2_a_role_is_shared_while_the_relation_and_the_groups_flag_last() {
    for (relation, flag) in
        [("watcher", "watchable"), ("assignee", "assignable"), ("mentioned", "mentionable"), ("shared", "")]
    {
        let shared = |member: &str, triggers: Value| {
            Seen::by(&[])
                .with("grants", json!([]))
                .with("roles", json!([{"id": "s", "name": "S", "scope": "object", "object": "app", "permissions": ["records.read"], "auto_share": triggers}]))
                .with("relations", json!([{"relation": relation, "member": member, "object": "app", "record": "r"}]))
        };
        let seen = shared("user:bo", json!([relation]));
        assert_eq!((seen.read("user:bo", r(&[])), seen.read("user:ana", r(&[]))), (Allow, NO_PERMISSION), "{relation}");
        let other = RecordQ { id: "other".into(), ..RecordQ::default() };
        assert_eq!(seen.read("user:bo", other), NO_PERMISSION);
        assert_eq!(seen.answer(&on(ask("user:bo", "records.update"), "r", None, None)), NO_PERMISSION);
        let another = ["watcher", "shared"].into_iter().find(|one| *one != relation).unwrap();
        assert_eq!(shared("user:bo", json!([another])).read("user:bo", r(&[])), NO_PERMISSION);
        let seen = shared("group:team", json!([another, relation]));
        assert_eq!((seen.read("user:ana", r(&[])), seen.read("service:ci", r(&[]))), (Allow, Allow));
        let off = seen.change(|file| {
            let flags = ["data_access", "watchable", "assignable", "mentionable", "approver"];
            group(file, 1)["visibility"] = flags.into_iter().filter(|one| *one != flag).collect();
        });
        assert_eq!(off.read("user:ana", r(&[])), if flag.is_empty() { Allow } else { NO_PERMISSION });
        // What a caller sends makes nobody a watcher (5.1).
        let told = r(&[("watchers", Attribute::List(vec![text("ana")]))]);
        assert_eq!(seen_by_nobody(relation).read("user:ana", told), NO_PERMISSION);
    }
}

fn seen_by_nobody(relation: &str) -> Seen {
    let role = json!({"id": "s", "name": "S", "scope": "object", "object": "app", "permissions": ["records.read"], "auto_share": [relation]});
    Seen::by(&[]).with("grants", json!([])).with("roles", json!([role]))
}

#[test]
fn m6_1_a_policy_concerns_its_object_and_its_members() {
    let mut seen = Seen::by(&[("allow", &["user:ana"], None)]);
    seen.file["objects"].as_array_mut().unwrap().push(json!({"id": "app2", "kind": "app"}));
    let elsewhere =
        |seen: &Seen| seen.answer(&on(at(ask("user:ana", "records.read"), None, Some("app2")), "r", None, None));
    assert_eq!((seen.read("user:ana", r(&[])), elsewhere(&seen)), (Allow, NOT_VISIBLE));
    seen.file["data_access"][0]["object"] = json!("app2");
    assert_eq!((seen.read("user:ana", r(&[])), elsewhere(&seen)), (NOT_VISIBLE, Allow));
}

/// What a condition says, asked as an allow and as a restrict policy.
fn said(condition: &Condition, change: impl Fn(&mut Value), question: &Question) -> Option<bool> {
    let ask = |effect| {
        let others: [(&str, &[&str], Option<Condition>); 2] =
            [("allow", &["group:everyone"], None), (effect, &["group:everyone"], Some(condition.clone()))];
        let policies = if effect == "allow" { &others[1..] } else { &others[..] };
        Seen::by(policies).change(|file| {
            file["data_access"][0]["id"] = json!("p0");
            change(file);
        })
    };
    let (allow, restrict) = (ask("allow").answer(question), ask("restrict").answer(question));
    match (allow, restrict) {
        (Allow, RESTRICTED) => Some(true),
        (NOT_VISIBLE, Allow) => Some(false),
        (NOT_VISIBLE, RESTRICTED) => None,
        odd => panic!("{condition}: {odd:?}"),
    }
}

fn says(condition: &Condition, record: RecordQ) -> Option<bool> {
    says_to("user:ana", condition, |_| {}, record)
}

fn says_to(who: &str, condition: &Condition, change: impl Fn(&mut Value), record: RecordQ) -> Option<bool> {
    let context_attributes =
        BTreeMap::from([("two".to_owned(), Attribute::Int(2)), ("nothing".to_owned(), Attribute::Null)]);
    let question = Question { context_attributes, ..ask(who, "records.read") };
    said(condition, change, &Question { object: Some("app".into()), record: Some(record), ..question })
}

#[test]
fn m6_1_users_and_services_look_like_this() {
    let staff = |file: &mut Value| {
        for (at, manager) in [(0, "bo"), (4, "ana"), (5, "ana"), (3, "off")] {
            file["users"][at]["manager"] = json!(manager); // lim → off → ana → bo, and new → ana
        }
    };
    let says = |who: &str, condition: Condition| says_to(who, &condition, staff, r(&[]));
    let lists = |list: &str, whom: &str| Condition::In(literal(text(whom)), user(list));
    let has = |name: &str| Condition::Has(Path::User(name.into()));
    for (condition, of_ana, of_ci) in [
        (equal(user("id"), literal(text("ana"))), Some(true), Some(false)),
        (equal(user("id"), literal(text("service:ci"))), Some(false), Some(true)),
        (equal(user("kind"), literal(text("internal"))), Some(true), Some(false)),
        (equal(user("kind"), literal(text("service"))), Some(false), Some(true)),
        (equal(user("account"), literal(text("main"))), Some(true), Some(true)),
        (equal(user("manager"), literal(text("bo"))), Some(true), None),
        (equal(user("email"), literal(text("Ana@ACME.com"))), Some(true), None),
        (has("manager"), Some(true), Some(false)),
        (has("email"), Some(true), Some(false)),
        (lists("direct_reports", "off"), Some(true), Some(false)), // whatever her status
        (lists("direct_reports", "lim"), Some(false), Some(false)),
        (lists("all_reports", "lim"), Some(true), Some(false)),
        (lists("all_reports", "bo"), Some(false), Some(false)),
        (lists("groups", "inner"), Some(true), Some(true)),
        (lists("groups", "team"), Some(true), Some(true)),
        (lists("groups", "acme"), Some(true), Some(false)),
        (lists("groups", "all-users"), Some(true), Some(false)),
        (lists("groups", "external-users"), Some(false), Some(false)),
    ] {
        assert_eq!(
            (says("user:ana", condition.clone()), says("service:ci", condition.clone())),
            (of_ana, of_ci),
            "{condition}"
        );
    }
}

#[test]
fn m6_1_records_have_an_owner_an_account_and_an_id() {
    let record_of = |owner: Option<&str>, account: Option<&str>| RecordQ {
        id: "r".into(),
        owner: owner.map(Into::into),
        account: account.map(Into::into),
        ..RecordQ::default()
    };
    let own = equal(record("owner"), user("id"));
    assert_eq!(says(&own, record_of(Some("ana"), None)), Some(true));
    assert_eq!(says(&own, record_of(Some("user:ana"), None)), Some(true));
    assert_eq!(
        (says(&own, record_of(Some("service:ana"), None)), says(&own, record_of(None, None))),
        (Some(false), None)
    );
    let near = equal(record("account"), user("account"));
    assert_eq!((says(&near, record_of(None, Some("main"))), says(&near, record_of(None, None))), (Some(true), None));
    assert_eq!(says(&equal(record("id"), literal(text("r"))), record_of(None, None)), Some(true));
}

#[test]
fn m6_2_relation_lists_join_what_is_sent_told_and_held_through_groups() {
    let watching = |whom: &str| Condition::In(literal(text(whom)), record("watchers"));
    let told = |relation: &'static str, member: &'static str| {
        move |file: &mut Value| {
            file["relations"] = json!([{"relation": relation, "member": member, "object": "app", "record": "r"}]);
        }
    };
    let list = |users: &[&str]| r(&[("watchers", Attribute::List(users.iter().map(|user| text(user)).collect()))]);
    assert_eq!(says(&watching("bo"), r(&[])), Some(false));
    assert_eq!(says(&watching("bo"), list(&["bo", "ext"])), Some(true));
    assert_eq!(says(&watching("bo"), r(&[("watchers", Attribute::Null)])), Some(false)); // as good as not sent
    for odd in [Attribute::Int(3), Attribute::List(vec![text("bo"), Attribute::Int(1)])] {
        let sent = || r(&[("watchers", odd.clone())]);
        assert_eq!((says(&watching("bo"), sent()), says(&not(watching("bo")), sent())), (None, None));
        assert_eq!(says(&Condition::Has(Path::Record("watchers".into())), sent()), Some(false));
        assert_eq!(says_to("user:ana", &watching("bo"), told("watcher", "user:bo"), sent()), None);
    }
    assert_eq!(says_to("user:ana", &watching("bo"), told("watcher", "user:bo"), list(&["ext"])), Some(true));
    assert_eq!(says_to("user:ana", &watching("bo"), told("assignee", "user:bo"), list(&["ext"])), Some(false));
    // Through a group only the one who asks is listed, and only while it is usable.
    assert_eq!(says_to("user:ana", &watching("ana"), told("watcher", "group:team"), r(&[])), Some(true));
    assert_eq!(says_to("user:bo", &watching("ana"), told("watcher", "group:team"), r(&[])), Some(false));
    assert_eq!(says_to("user:ana", &watching("ana"), told("watcher", "group:inner"), r(&[])), Some(false));
    assert_eq!(says_to("service:ci", &watching("service:ci"), told("watcher", "group:team"), r(&[])), Some(true));
    let sharing = Condition::In(literal(text("ana")), record("shared_with"));
    assert_eq!(says_to("user:ana", &sharing, told("shared", "group:inner"), r(&[])), Some(true));
}

#[test]
fn m6_3_errors_combine_as_cel_combines_them() {
    let error = || equal(record("region"), literal(text("eu"))); // it is not sent
    let (yes, no) = (|| Condition::Always(true), || Condition::Always(false));
    for (condition, says_so) in [
        (error(), None),
        (not(error()), None),
        (or(yes(), error()), Some(true)),
        (or(error(), yes()), Some(true)),
        (or(no(), error()), None),
        (or(error(), no()), None),
        (and(no(), error()), Some(false)),
        (and(error(), no()), Some(false)),
        (and(yes(), error()), None),
        (and(error(), yes()), None),
        (not(and(error(), no())), Some(true)),
        (Condition::Has(Path::Record("region".into())), Some(false)),
        (not(Condition::Has(Path::Record("region".into()))), Some(true)),
        (Condition::Text(record("region"), TextTest::Contains, literal(text(""))), None),
        (Condition::In(record("region"), literal(Attribute::List(vec![text("eu")]))), None),
        (Condition::In(literal(text("eu")), record("tags")), None),
        (
            Condition::Compare(Term::Size(Path::Record("tags".into())), Comparison::Equal, literal(Attribute::Int(0))),
            None,
        ),
    ] {
        assert_eq!(says(&condition, r(&[])), says_so, "{condition}");
        assert_eq!(
            says(&condition, r(&[("region", Attribute::Null), ("tags", Attribute::Null)])),
            says_so,
            "{condition}"
        );
        assert_eq!(says(&condition, r(&[("region", Attribute::Int(1)), ("tags", text("eu"))])), says_so, "{condition}");
    }
}

#[test]
fn m6_3_an_error_never_opens_a_record() {
    let error = || equal(record("region"), literal(text("eu")));
    let seen = Seen::by(&[("allow", &["user:ana"], Some(error()))]);
    assert_eq!(seen.read("user:ana", r(&[])), NOT_VISIBLE);
    let seen = Seen::by(&[("allow", &["user:ana"], None), ("restrict", &["user:ana"], Some(error()))]);
    assert_eq!(seen.read("user:ana", r(&[])), RESTRICTED);
    assert_eq!(seen.read("user:ana", r(&[("region", text("us"))])), Allow);
}

#[test]
fn m6_3_what_is_not_of_the_declared_type_is_missing_and_undeclared_mismatches_are_errors() {
    let more = |left: Term, right: Attribute| Condition::Compare(left, Comparison::Greater, literal(right));
    let amount = |value: Attribute| says(&more(record("amount"), Attribute::Double(1.5)), r(&[("amount", value)]));
    assert_eq!(
        (amount(Attribute::Double(2.0)), amount(Attribute::Int(2)), amount(text("2"))),
        (Some(true), Some(true), None)
    );
    let level = |value: Attribute| says(&more(record("level"), Attribute::Int(1)), r(&[("level", value)]));
    assert_eq!((level(Attribute::Int(2)), level(Attribute::Double(2.0))), (Some(true), None));
    let tags =
        |of: Vec<Attribute>| says(&Condition::Has(Path::Record("tags".into())), r(&[("tags", Attribute::List(of))]));
    assert_eq!((tags(vec![]), tags(vec![text("a")])), (Some(true), Some(true)));
    assert_eq!((tags(vec![text("a"), Attribute::Int(1)]), tags(vec![Attribute::Null])), (Some(false), Some(false)));
    for (condition, says_so) in [
        (equal(sent("two"), literal(Attribute::Int(2))), Some(true)),
        (equal(sent("two"), literal(Attribute::Double(2.0))), Some(true)),
        (equal(literal(Attribute::Double(2.5)), sent("two")), Some(false)),
        (equal(sent("two"), literal(text("2"))), None),
        (not(equal(sent("two"), literal(text("2")))), None),
        (Condition::Compare(sent("two"), Comparison::NotEqual, literal(text("2"))), None),
        (equal(sent("two"), literal(Attribute::Bool(true))), None),
        (Condition::In(sent("two"), literal(Attribute::List(vec![text("2")]))), None),
        (Condition::In(sent("two"), literal(Attribute::List(vec![Attribute::Int(1), Attribute::Int(2)]))), Some(true)),
        (Condition::In(literal(text("2")), sent("two")), None),
        (Condition::Text(sent("two"), TextTest::StartsWith, literal(text("2"))), None),
        (Condition::Has(Path::ContextAttribute("two".into())), Some(true)),
        (Condition::Has(Path::ContextAttribute("nothing".into())), Some(false)),
        (equal(sent("nothing"), sent("nothing")), None),
        (equal(Term::Read(Path::Channel), literal(text(""))), None),
    ] {
        assert_eq!(says(&condition, r(&[])), says_so, "{condition}");
    }
}

#[test]
fn m6_3_attributes_of_users_are_declared_or_not() {
    let attribute = |name: &str| Term::Read(Path::UserAttribute(name.into()));
    let set = |attributes: Value| move |file: &mut Value| file["users"][0]["attributes"] = attributes.clone();
    let risk = equal(attribute("team"), literal(text("risk")));
    let says = |condition: &Condition, attributes: Value| says_to("user:ana", condition, set(attributes), r(&[]));
    assert_eq!(says(&risk, json!({"team": "risk"})), Some(true));
    assert_eq!(
        (says(&risk, json!({"team": 3})), says(&risk, json!({})), says(&risk, json!({"team": null}))),
        (None, None, None)
    );
    let has = |name: &str| Condition::Has(Path::UserAttribute(name.into()));
    assert_eq!(
        (says(&has("team"), json!({"team": 3})), says(&has("other"), json!({"other": 3}))),
        (Some(false), Some(true))
    );
    assert_eq!(says(&equal(attribute("level"), literal(Attribute::Double(3.0))), json!({"level": 3})), Some(true));
    assert_eq!(says(&equal(attribute("other"), literal(Attribute::Double(3.0))), json!({"other": 3})), Some(true));
}

#[test]
fn m6_3_exists_and_all_are_many_ors_and_ands() {
    let of = |tags: &[&str]| r(&[("tags", Attribute::List(tags.iter().map(|tag| text(tag)).collect()))]);
    let is_eu = || Box::new(equal(Term::Item, literal(text("eu"))));
    let is_region_or_eu = || Box::new(or(equal(Term::Item, record("region")), *is_eu()));
    let exists = |predicate| Condition::Exists(record("tags"), predicate);
    let all = |predicate| Condition::All(record("tags"), predicate);
    for (tags, some_eu, all_eu, some_unclear, all_unclear) in [
        (&[][..], Some(false), Some(true), Some(false), Some(true)),
        (&["eu"], Some(true), Some(true), Some(true), Some(true)),
        (&["us"], Some(false), Some(false), None, None),
        (&["us", "eu"], Some(true), Some(false), Some(true), None),
    ] {
        assert_eq!((says(&exists(is_eu()), of(tags)), says(&all(is_eu()), of(tags))), (some_eu, all_eu), "{tags:?}");
        assert_eq!(
            (says(&exists(is_region_or_eu()), of(tags)), says(&all(is_region_or_eu()), of(tags))),
            (some_unclear, all_unclear),
            "{tags:?}"
        );
    }
    assert_eq!((says(&exists(is_eu()), r(&[])), says(&all(is_eu()), r(&[]))), (None, None));
}

#[test]
fn m6_3_now_is_the_question_s() {
    let due = |at: i64| r(&[("due", Attribute::Timestamp(at))]);
    let later = |than: Term| Condition::Compare(record("due"), Comparison::Greater, than);
    assert_eq!(
        (says(&later(Term::Now(0)), due(NOW_MS)), says(&later(Term::Now(0)), due(NOW_MS + 1))),
        (Some(false), Some(true))
    );
    assert_eq!(says(&later(Term::Now(-3_600_000)), due(NOW_MS - 3_599_999)), Some(true));
    assert_eq!(says(&later(literal(Attribute::Timestamp(NOW_MS))), due(NOW_MS + 1)), Some(true));
}

#[test]
fn m6_4_visible_is_shown_or_held_and_not_restricted() {
    let eu = || Some(equal(record("region"), literal(text("eu"))));
    let here = |region: &str| r(&[("region", text(region))]);
    let seen =
        Seen::by(&[("allow", &["user:bo"], None), ("allow", &["user:ana"], eu()), ("restrict", &["user:ana"], eu())]);
    assert_eq!((seen.read("user:ana", here("eu")), seen.read("user:ana", here("us"))), (RESTRICTED, NOT_VISIBLE));
    // What is held at the record itself shows it; what is held at the object does not.
    let held = |seen: Seen, record: Value, permission: &str| {
        seen.with(
            "grants",
            json!([
            {"permissions": ["records.*"], "member": "group:everyone"},
            {"permissions": [permission], "member": "user:ana", "object": "app", "record": record}]),
        )
    };
    let restricts = || Seen::by(&[("restrict", &["user:ana"], eu())]);
    let seen = held(restricts(), json!("r"), "records.delete");
    assert_eq!((seen.read("user:ana", here("eu")), seen.read("user:ana", here("us"))), (RESTRICTED, Allow));
    assert_eq!(held(restricts(), json!(null), "records.read").read("user:ana", here("us")), NOT_VISIBLE);
    assert_eq!(held(restricts(), json!("r"), "tasks.read").read("user:ana", here("us")), NOT_VISIBLE);
    assert_eq!(held(restricts(), json!("s"), "records.read").read("user:ana", here("us")), NOT_VISIBLE);
}

#[test]
fn m6_5_a_filter_is_authorize_record_by_record() {
    let eu = equal(record("region"), literal(text("eu")));
    let seen = Seen::by(&[("allow", &["group:everyone"], Some(eu))])
        .change(|file| file["grants"][0]["member"] = json!("user:ana"));
    let oracle = Oracle::with_conditions(&seen.file, &seen.conditions);
    let record = |id: &str, region: &str| RecordQ { id: id.into(), ..r(&[("region", text(region))]) };
    let filter = |who: &str, permission: Option<&str>, records: Vec<RecordQ>| {
        oracle.filter(&FilterQuestion {
            principal: who.into(),
            permission: permission.map(Into::into),
            account: None,
            object: "app".into(),
            records,
            channel: None,
            invitee_email: None,
            context_attributes: BTreeMap::new(),
            authenticated_at_ms: None,
            now_ms: NOW_MS,
        })
    };
    let three = || vec![record("c", "eu"), record("b", "us"), record("a", "eu")];
    assert_eq!(filter("user:ana", Some("records.read"), three()), Some(vec![0, 2]));
    assert_eq!(filter("user:bo", Some("records.read"), three()), Some(vec![])); // sees, but may not read
    assert_eq!(filter("user:bo", None, three()), Some(vec![0, 2]));
    assert_eq!(filter("user:ana", Some("records.create"), three()), Some(vec![0, 1, 2])); // needs no visibility
    assert_eq!((filter("user:lim", None, three()), filter("user:nobody", None, three())), (Some(vec![]), Some(vec![])));
    assert_eq!(filter("user:ana", Some("no.such"), three()), None);
    assert_eq!(filter("user:ana", None, vec![record("c", "eu"), record("", "eu")]), None);
}

#[test]
fn conditions_are_written_as_cel() {
    let region = || equal(record("region"), literal(text("it's")));
    let soon = Condition::Compare(record("due"), Comparison::LessOrEqual, Term::Now(-90_000));
    let since = Condition::Compare(
        literal(Attribute::Timestamp(NOW_MS + 1)),
        Comparison::Less,
        Term::Read(Path::UserAttribute("since".into())),
    );
    let one = Condition::In(Term::Item, literal(Attribute::List(vec![text("a\\\"b"), text("'")])));
    for (condition, written) in [
        (
            and(or(region(), not(region())), not(soon)),
            r#"(record.region == "it's" || !(record.region == "it's")) && !(record.due <= now - duration("90s"))"#,
        ),
        (
            or(and(since, Condition::Always(true)), not(not(Condition::Has(Path::Channel)))),
            r#"timestamp("2026-11-22T12:00:00.001Z") < user.attributes.since && true || !!has(context.channel)"#,
        ),
        (Condition::All(record("tags"), Box::new(one)), r#"record.tags.all(x, x in ['a\\"b', "'"])"#),
        (equal(record("amount"), literal(Attribute::Double(2.0))), "record.amount == 2.0"),
        (
            Condition::Compare(
                Term::Size(Path::Record("tags".into())),
                Comparison::Greater,
                literal(Attribute::Int(-3)),
            ),
            "size(record.tags) > -3",
        ),
    ] {
        assert_eq!(condition.to_string(), written);
    }
}
