//! Rule 7.3, separation of duties, sentence by sentence; what rule 4.5 makes of it too.

use doorward::core::change::{Applied, Change, ChangeError, apply, apply_at};
use doorward::core::decision::{Context, Question, Reason, Record, Resource, Walk, decide};
use doorward::core::explain::{Explanation, explain};
use doorward::core::id::Id;
use doorward::core::model::{Assignment, Enforcement, Key, Member, Period, Relation, Row, Separation, Status, Target};
use doorward::core::table::Table;
use serde_json::{Value, json};

use crate::support::{blank, filter, rows, table};

const NOW: i64 = 1_795_348_800_000;
const HOUR: i64 = 3_600_000;

fn base(more: Value) -> Value {
    let mut file = json!({
        "organization": "acme",
        "preset": "integration",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}],
        "accounts": [{"id": "main", "default": true}, {"id": "emea"}],
        "permissions": [
            {"name": "pay.out"}, {"name": "pay.sign"}, {"name": "pay.book", "level": "account"}, {"name": "pay.all", "level": "organization"},
            {"name": "data.see", "requires_visibility": true},
        ],
        "objects": [{"id": "app", "kind": "app"}, {"id": "other", "kind": "app"}],
        "users": [
            {"id": "ana", "email": "ana@acme.com"},
            {"id": "bo", "email": "bo@acme.com"},
            {"id": "eve", "email": "eve@else.org", "account": "emea"},
            {"id": "inv", "email": "inv@acme.com", "status": "invited"},
        ],
        "service_accounts": [{"id": "bot"}],
        "groups": [
            {"id": "payers", "kind": "manual"}, {"id": "signers", "kind": "manual"}, {"id": "inner", "kind": "manual"},
            {"id": "staff", "kind": "dynamic", "domains": ["acme.com"]},
        ],
        "roles": [
            {"id": "payer", "scope": "organization", "permissions": ["pay.out", "pay.book", "pay.all"]},
            {"id": "signer", "scope": "organization", "permissions": ["pay.sign"]},
            {"id": "local", "scope": "account", "permissions": ["pay.sign", "pay.book"]},
            {"id": "here", "scope": "object", "permissions": ["pay.sign", "data.see"]},
            {"id": "shared", "scope": "object", "object": "app", "permissions": ["pay.sign"], "auto_share": ["watcher"]},
            {"id": "third", "scope": "organization", "permissions": ["pay.sign"]},
        ],
        "separation_of_duties": [pay("deny")],
    });
    for (key, value) in more.as_object().unwrap() {
        file[key] = value.clone();
    }
    file
}

fn pay(enforce: &str) -> Value {
    json!({"id": "pay", "roles": ["payer", "signer", "local", "here", "shared"], "max": 1, "enforce": enforce})
}

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

fn target(text: &str) -> Target {
    match text.split('/').collect::<Vec<_>>().as_slice() {
        [""] => Target::Organization,
        ["account", account] => Target::Account(id(account)),
        [object] => Target::Object(id(object)),
        [object, record] => Target::Record(id(object), record.parse().unwrap()),
        _ => panic!("{text}"),
    }
}

/// `role member target`, such as `here user:ana app/r-1`.
fn assignment(text: &str, period: Period) -> Row {
    let [role, member, at] = text.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
    let (role, member, target) = (id(role), member.parse().unwrap(), target(at));
    let by_hand = ["org", "default-user", "admin", "org-admin"].contains(&role.as_str());
    Row::Assignment(Assignment { role, member, target, period, by_hand })
}

fn always(text: &str) -> Change {
    Change::Create(assignment(text, Period::default()))
}

fn during(text: &str, starts_at: Option<i64>, expires_at: Option<i64>) -> Change {
    Change::Create(assignment(text, Period { starts_at, expires_at }))
}

fn adding(group: &str, member: &str) -> Change {
    Change::AddMembers { group: id(group), members: vec![member.parse().unwrap()] }
}

/// Applied, whether or not it breaks anything.
fn after(before: &Table, changes: Vec<Change>) -> Table {
    apply(before, changes).unwrap_or_else(|e| panic!("{e:?}")).table
}

fn judged(before: &Table, changes: Vec<Change>) -> Result<Applied, Vec<String>> {
    match apply_at(before, changes, NOW) {
        Ok(applied) => Ok(applied),
        Err(ChangeError::Violations(violations)) => {
            assert!(violations.iter().all(|v| v.fault.reason() == "SEPARATION_OF_DUTIES"), "{violations:?}");
            assert!(violations.iter().all(|v| !v.fault.is_invalid()));
            Err(violations.into_iter().map(|v| v.fault.to_string()).collect())
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[track_caller]
fn fine(before: &Table, changes: Vec<Change>) -> Table {
    judged(before, changes).unwrap_or_else(|told| panic!("{told:?}")).table
}

#[track_caller]
fn refused(before: &Table, changes: Vec<Change>) -> String {
    let Err(told) = judged(before, changes) else { panic!("was not refused") };
    told.join("\n")
}

fn ask(table: &Table, who: &str, permission: &str, resource: Resource<'_>) -> Reason {
    let question = Question { principal: who, permission, resource, ..Question::default() };
    decide(table, &question, NOW).unwrap()
}

fn at(account: &'static str, object: &'static str, record: &'static str) -> Resource<'static> {
    let record = (!record.is_empty()).then(|| Record { id: record, ..Record::default() });
    Resource { account, object, record }
}

/// Constraint, principal, paths.
fn reported(table: &Table) -> Vec<(String, String, usize)> {
    let broken = table.broken_separations(None, NOW);
    let breaches = table.breaches(&broken, NOW);
    assert_eq!(breaches.len(), broken.len());
    breaches.iter().map(|b| (b.broken.constraint.to_string(), b.broken.principal.to_string(), b.paths.len())).collect()
}

#[test]
fn m7_3_a_change_that_would_break_it_is_refused_with_the_two_paths() {
    let before = fine(
        &table(&base(json!({}))),
        vec![always("payer group:payers "), adding("payers", "group:inner"), adding("inner", "user:ana")],
    );
    let told = refused(&before, vec![always("signer user:ana ")]);
    assert_eq!(
        told,
        "`user:ana` would hold more than 1 of the roles of `pay`: role `payer` at the organization (`user:ana` → \
         `group:inner` → `group:payers`), and role `signer` at the organization (`user:ana`)"
    );
    // Another may have it, and the same role twice is one.
    let before = fine(&before, vec![always("signer user:bo "), always("payer user:ana ")]);
    assert_eq!(reported(&before), []);
    // A change that makes both at once is no better, and what is wrong is wrong for everybody.
    let told =
        refused(&before, vec![always("payer service:bot "), always("signer service:bot "), adding("inner", "user:bo")]);
    assert!(told.contains("`service:bot`") && told.contains("`user:bo`"), "{told}");
}

#[test]
fn m7_3_any_path_is_judged_by_the_edge_that_a_change_makes() {
    let empty = table(&base(json!({})));
    let held = fine(
        &empty,
        vec![always("payer group:payers "), always("signer group:signers "), adding("signers", "user:ana")],
    );
    // A membership, a nesting, a group of the system or of a domain that is assigned or nested.
    assert!(refused(&held, vec![adding("payers", "user:ana")]).contains("(`user:ana` → `group:payers`)"));
    let nested = fine(&held, vec![adding("inner", "user:ana")]);
    assert!(refused(&nested, vec![adding("payers", "group:inner")]).contains("`group:inner` → `group:payers`"));
    assert!(refused(&held, vec![adding("payers", "group:staff")]).contains("`group:staff` → `group:payers`"));
    assert!(refused(&held, vec![always("payer group:all-users ")]).contains("`group:all-users`"));
    // A role by rule is held, too.
    let by_rule = json!({"separation_of_duties": [{"id": "pay", "roles": ["org", "payer"], "max": 1}]});
    assert!(
        refused(&table(&base(by_rule)), vec![always("payer user:ana ")])
            .contains("role `org` at the organization, by rule")
    );
    // A pending membership as if registration were completed.
    let Some(Row::User(mut user)) = held.row(&Key::User("inv".parse().unwrap())) else { panic!() };
    user.pending_groups = vec![id("payers"), id("signers")];
    assert!(refused(&held, vec![Change::Update { row: Row::User(user.clone()), etag: None }]).contains("`user:inv`"));
    // What touches nobody who holds too much, or no role of it, is fine.
    user.pending_groups = vec![id("payers")];
    fine(&held, vec![Change::Update { row: Row::User(user), etag: None }]);
    fine(&held, vec![adding("payers", "user:bo"), always("third user:ana "), adding("inner", "group:signers")]);
}

#[test]
fn m7_3_scopes_overlap_where_one_question_can_be_about_both() {
    let places = ["", "account/main", "account/emea", "app", "other", "app/r-1", "app/r-2", "other/r-1"];
    let role = |place: &str| match place {
        "" => ["payer", "signer"],
        p if p.starts_with("account") => ["local", "branch"],
        _ => ["here", "there"],
    };
    let more = json!({
        "roles": [
            {"id": "payer", "scope": "organization"}, {"id": "signer", "scope": "organization"},
            {"id": "local", "scope": "account"}, {"id": "branch", "scope": "account"},
            {"id": "here", "scope": "object"}, {"id": "there", "scope": "object"},
        ],
        "separation_of_duties": [
            {"id": "pay", "roles": ["payer", "signer", "local", "branch", "here", "there"], "max": 1},
        ],
    });
    let empty = table(&base(more));
    let overlap = |a: &str, b: &str| match (a, b) {
        ("", _) | (_, "") => true,
        (a, b) if a.starts_with("account") && b.starts_with("account") => a == b,
        (a, b) if a.starts_with("account") || b.starts_with("account") => true,
        (a, b) if a.contains('/') && b.contains('/') => a == b,
        (a, b) => a.split('/').next() == b.split('/').next(),
    };
    for first in places {
        for second in places {
            let member = ["user:ana", "service:bot"][(first.len() + second.len()) % 2];
            let [one, _] = role(first);
            let [_, two] = role(second);
            let before = fine(&empty, vec![always(&format!("{one} {member} {first}"))]);
            let second_one = always(&format!("{two} {member} {second}"));
            let judged = judged(&before, vec![second_one]);
            assert_eq!(judged.is_err(), overlap(first, second), "`{first}` and `{second}`");
        }
    }
}

#[test]
fn m7_3_periods_overlap_to_the_millisecond_and_what_is_over_does_not_count() {
    let empty = table(&base(json!({})));
    let before = fine(&empty, vec![during("payer user:ana ", Some(NOW + HOUR), Some(NOW + 2 * HOUR))]);
    fine(&before, vec![during("signer user:ana ", None, Some(NOW + HOUR))]);
    fine(&before, vec![during("signer user:ana ", Some(NOW + 2 * HOUR), None)]);
    let clash = |from, until| refused(&before, vec![during("signer user:ana ", from, until)]);
    clash(None, Some(NOW + HOUR + 1));
    clash(Some(NOW + 2 * HOUR - 1), None);
    clash(Some(NOW + HOUR + 5), Some(NOW + HOUR + 6));
    clash(None, None);
    // Three of two: pairs that overlap one after the other are no three together.
    let two = json!({"separation_of_duties": [{"id": "pay", "roles": ["payer", "signer", "third"], "max": 2}]});
    let two = fine(
        &table(&base(two)),
        vec![
            during("payer user:ana ", Some(NOW), Some(NOW + 10)),
            during("signer user:ana ", Some(NOW + 5), Some(NOW + 20)),
        ],
    );
    fine(&two, vec![during("third user:ana ", Some(NOW + 10), None)]);
    refused(&two, vec![during("third user:ana ", Some(NOW + 9), None)]);
    // What was over before now breaks nothing.
    let past = fine(&empty, vec![during("payer user:ana ", None, Some(NOW))]);
    let past = fine(&past, vec![always("signer user:ana ")]);
    assert_eq!(reported(&past), []);
    // To make a period longer is an edge, to make it shorter is none.
    let longer = assignment("payer user:ana ", Period { starts_at: None, expires_at: Some(NOW + 1) });
    refused(&past, vec![Change::Update { row: longer, etag: None }]);
    let broken = after(&empty, vec![always("payer user:ana "), always("signer user:ana ")]);
    fine(
        &broken,
        vec![Change::Update {
            row: assignment("payer user:ana ", Period { starts_at: None, expires_at: Some(NOW + 1) }),
            etag: None,
        }],
    );
}

#[test]
fn m7_3_what_moves_by_itself_is_reported_and_not_refused() {
    let held = |more: Value| {
        fine(
            &table(&base(more)),
            vec![
                always("payer group:staff "),
                always("signer group:signers "),
                adding("signers", "user:eve"),
                adding("signers", "user:inv"),
            ],
        )
    };
    let before = held(json!({}));
    assert_eq!(reported(&before), []);
    let user = |table: &Table, name: &str| match table.row(&Key::User(name.parse().unwrap())) {
        Some(Row::User(user)) => user,
        _ => panic!(),
    };
    // A status: who completes the registration becomes a member of the dynamic group.
    let mut inv = user(&before, "inv");
    inv.status = Status::Active;
    let completed = fine(&before, vec![Change::Update { row: Row::User(inv), etag: None }]);
    assert_eq!(reported(&completed), [("pay".into(), "user:inv".into(), 2)]);
    // An address, and a domain of the organization or of the group.
    let mut eve = user(&before, "eve");
    eve.email = "eve@acme.com".parse().unwrap();
    let moved = fine(&before, vec![Change::Update { row: Row::User(eve), etag: None }]);
    assert_eq!(reported(&moved), [("pay".into(), "user:eve".into(), 2)]);
    let Some(Row::Group(mut staff)) = before.row(&Key::Group(id("staff"))) else { panic!() };
    staff.kind =
        doorward::core::model::GroupKind::Dynamic(vec!["acme.com".parse().unwrap(), "else.org".parse().unwrap()]);
    let wider = fine(&before, vec![Change::Update { row: Row::Group(staff), etag: None }]);
    let Some(Row::Settings(mut settings)) = wider.row(&Key::Settings) else { panic!() };
    settings.email_domains.push(doorward::core::model::EmailDomain {
        domain: "else.org".parse().unwrap(),
        audience: doorward::core::model::UserKind::External,
    });
    let wider = fine(&wider, vec![Change::Update { row: Row::Settings(settings), etag: None }]);
    assert_eq!(reported(&wider), [("pay".into(), "user:eve".into(), 2)]);
    // A relation as it is told.
    let related = |member: &str| {
        let (member, object, record) = (member.parse().unwrap(), id("app"), "r-1".parse().unwrap());
        Change::Create(Row::Related(doorward::core::model::Related {
            relation: Relation::Watcher,
            member,
            object,
            record,
        }))
    };
    let told = fine(&before, vec![related("user:ana")]);
    assert_eq!(reported(&told), [("pay".into(), "user:ana".into(), 2)]);
    // But a trigger is somebody's change.
    let Some(Row::Role(mut role)) = told.row(&Key::Role(id("shared"))) else { panic!() };
    role.auto_share = Vec::new();
    let without = fine(&told, vec![Change::Update { row: Row::Role(role.clone()), etag: None }]);
    role.auto_share = vec![Relation::Watcher];
    let text = refused(&without, vec![Change::Update { row: Row::Role(role), etag: None }]);
    assert!(text.contains("role `shared` on record `r-1` of object `app`, as its watcher"), "{text}");
    // What is broken is not broken again by what has nothing to do with it, and can be mended.
    let mended = fine(
        &completed,
        vec![
            adding("inner", "user:inv"),
            Change::RemoveMembers { group: id("signers"), members: vec!["user:inv".parse().unwrap()] },
        ],
    );
    assert_eq!(reported(&mended), []);
}

#[test]
fn m7_3_a_constraint_is_not_made_while_it_is_broken_unless_it_denies() {
    let broken = after(
        &table(&base(json!({"separation_of_duties": []}))),
        vec![always("payer user:ana "), always("signer user:ana ")],
    );
    let row = |enforcement, max| {
        let roles = ["payer", "signer", "third"].map(id).to_vec();
        Row::Separation(Separation { id: id("pay"), roles, max, enforcement })
    };
    let told = refused(&broken, vec![Change::Create(row(Enforcement::Prevent, 1))]);
    assert!(told.contains("role `payer`") && told.contains("role `signer`"), "{told}");
    fine(&broken, vec![Change::Create(row(Enforcement::Prevent, 2))]);
    let denying = fine(&broken, vec![Change::Create(row(Enforcement::Deny, 1))]);
    assert_eq!(reported(&denying), [("pay".into(), "user:ana".into(), 2)]);
    // Denying or not, what somebody does is refused from then on.
    let change = |row| vec![Change::Update { row, etag: None }];
    refused(&denying, change(row(Enforcement::Prevent, 1)));
    refused(&fine(&denying, vec![always("payer user:bo ")]), vec![always("signer user:bo ")]);
    // To change a constraint is refused for whom it would break, not for whom it was broken before.
    let slipped = after(&broken, vec![Change::Create(row(Enforcement::Prevent, 1))]);
    let Row::Separation(narrower) = row(Enforcement::Prevent, 1) else { panic!() };
    let narrower = Separation { roles: ["payer", "signer"].map(id).to_vec(), ..narrower };
    fine(&slipped, change(Row::Separation(narrower)));
}

#[test]
fn m7_3_an_organization_is_founded_with_what_had_moved_by_itself() {
    let dynamic = json!({"assignments": [{"role": "payer", "member": "group:staff"}, {"role": "signer", "member": "user:ana"}], "separation_of_duties": [pay("prevent")]});
    let by_hand = json!({"assignments": [{"role": "payer", "member": "user:ana"}, {"role": "signer", "member": "user:ana"}], "separation_of_duties": [pay("prevent")]});
    let found = |file: &Value| judged(&blank(1), vec![Change::Replace { rows: rows(file), deactivate_missing: false }]);
    let founded = found(&base(dynamic)).unwrap().table;
    assert_eq!(reported(&founded), [("pay".into(), "user:ana".into(), 2)]);
    assert!(found(&base(by_hand.clone())).is_err());
    let mut denying = by_hand;
    denying["separation_of_duties"] = json!([pay("deny")]);
    assert!(found(&base(denying)).is_ok());
    // An export applies to nothing changed.
    let exported: Vec<Row> = founded.rows().collect();
    let again = judged(&founded, vec![Change::Replace { rows: exported, deactivate_missing: false }]).unwrap();
    assert!(again.effects.is_empty());
}

#[test]
fn m4_5_roles_of_a_constraint_that_denies_give_nothing_where_too_many_are_held() {
    let empty = table(&base(json!({})));
    let both = after(&empty, vec![always("payer group:staff "), always("here user:ana app")]);
    let refusals = |table: &Table, permission| {
        [at("", "", ""), at("", "app", ""), at("", "app", "r-1"), at("", "other", "")]
            .map(|r| ask(table, "user:ana", permission, r))
    };
    use Reason::{Allowed, NoPermission, SeparationOfDuties};
    // Where the two meet; elsewhere each gives what it gives.
    assert_eq!(refusals(&both, "pay.out"), [Allowed, SeparationOfDuties, SeparationOfDuties, Allowed]);
    assert_eq!(refusals(&both, "pay.sign"), [NoPermission, SeparationOfDuties, SeparationOfDuties, NoPermission]);
    // Whatever the permission's level, and for whom holds one of them only.
    assert_eq!(refusals(&both, "pay.all"), [Allowed, SeparationOfDuties, SeparationOfDuties, Allowed]);
    assert_eq!(ask(&both, "user:bo", "pay.out", at("", "app", "")), Allowed);
    // What anything else gives is given.
    let granted = after(
        &both,
        vec![Change::Create(Row::Grant(doorward::core::model::Grant {
            permission: "pay.out".parse().unwrap(),
            member: "user:ana".parse().unwrap(),
            target: Target::Organization,
            period: Period::default(),
        }))],
    );
    assert_eq!(refusals(&granted, "pay.out"), [Allowed; 4]);
    let third = after(&both, vec![always("third group:staff ")]);
    assert_eq!(refusals(&third, "pay.sign"), [Allowed; 4]);
    // Now is when it counts.
    let later = after(&empty, vec![always("payer user:ana "), during("here user:ana app", Some(NOW + 1), None)]);
    assert_eq!(refusals(&later, "pay.out"), [Allowed; 4]);
    let starting =
        after(&empty, vec![always("payer user:ana "), during("here user:ana app", Some(NOW), Some(NOW + 1))]);
    assert_eq!(refusals(&starting, "pay.out"), [Allowed, SeparationOfDuties, SeparationOfDuties, Allowed]);
    // A constraint that only prevents takes nothing away, nor does one that is gone or looser.
    let row = |enforcement, max| match both.row(&Key::Separation(id("pay"))) {
        Some(Row::Separation(row)) => Row::Separation(Separation { enforcement, max, ..row }),
        _ => panic!(),
    };
    for change in [
        Change::Update { row: row(Enforcement::Prevent, 1), etag: None },
        Change::Update { row: row(Enforcement::Deny, 2), etag: None },
        Change::Delete { keys: vec![Key::Separation(id("pay"))], etag: None },
    ] {
        assert_eq!(refusals(&after(&both, vec![change]), "pay.out"), [Allowed; 4]);
    }
}

#[test]
fn m4_5_by_any_path_at_any_target() {
    let more = json!({"relations": [{"relation": "watcher", "member": "user:ana", "object": "app", "record": "r-1"}]});
    let told = after(&table(&base(more)), vec![always("payer user:ana ")]);
    assert_eq!(ask(&told, "user:ana", "pay.out", at("", "app", "r-1")), Reason::SeparationOfDuties);
    assert_eq!(ask(&told, "user:ana", "pay.out", at("", "app", "r-2")), Reason::Allowed);
    // An account of the record, or of the question.
    let local =
        after(&table(&base(json!({}))), vec![always("payer user:ana "), always("local group:all-users account/emea")]);
    let of_emea = Record { id: "r-1", account: "emea", ..Record::default() };
    let on_record = Resource { account: "main", object: "app", record: Some(of_emea) };
    assert_eq!(ask(&local, "user:ana", "pay.book", on_record), Reason::SeparationOfDuties);
    assert_eq!(ask(&local, "user:ana", "pay.book", at("emea", "", "")), Reason::SeparationOfDuties);
    assert_eq!(ask(&local, "user:ana", "pay.book", at("main", "", "")), Reason::Allowed);
    // By rule.
    let by_rule =
        json!({"separation_of_duties": [{"id": "pay", "roles": ["org", "payer"], "max": 1, "enforce": "deny"}]});
    let by_rule = after(&table(&base(by_rule)), vec![always("payer user:ana "), always("payer user:eve ")]);
    assert_eq!(ask(&by_rule, "user:ana", "pay.out", at("", "", "")), Reason::SeparationOfDuties);
    assert_eq!(ask(&by_rule, "user:eve", "pay.out", at("", "", "")), Reason::Allowed);
    // At the very record: what is void there shows nothing either (6.4).
    let at_record = after(&table(&base(json!({}))), vec![always("here user:ana app/r-1")]);
    assert_eq!(ask(&at_record, "user:ana", "data.see", at("", "app", "r-1")), Reason::Allowed);
    let seen = |table: &Table| {
        let question = Question { principal: "user:ana", resource: at("", "app", ""), ..Question::default() };
        filter(table, &question, [Record { id: "r-1", ..Record::default() }], NOW).unwrap().positions
    };
    assert_eq!(seen(&at_record), [0]);
    let void = after(&at_record, vec![always("payer user:ana ")]);
    assert_eq!(seen(&void), [] as [u32; 0]);
}

#[test]
fn m4_9_administering_by_a_void_role_is_no_way_to_invite() {
    let mut file = base(json!({
        "separation_of_duties": [{"id": "a", "roles": ["boss", "payer"], "max": 1, "enforce": "deny"}],
    }));
    let boss = json!({"id": "boss", "scope": "organization", "permissions": ["organization.admin"]});
    file["roles"].as_array_mut().unwrap().push(boss);
    let before = after(&table(&file), vec![always("boss user:ana ")]);
    let context = Context { invitee_email: "x@acme.com", ..Context::default() };
    let invite = |table: &Table| {
        let permission = "organization_users.create";
        decide(table, &Question { principal: "user:ana", permission, context, ..Question::default() }, NOW).unwrap()
    };
    assert_eq!(invite(&before), Reason::Allowed);
    let void = after(&before, vec![always("payer user:ana ")]);
    assert_eq!(invite(&void), Reason::SeparationOfDuties);
    let question =
        Question { principal: "user:ana", permission: "organization_users.create", context, ..Question::default() };
    let e = explain(&void, &question, NOW, 10).unwrap();
    assert_eq!((e.reason, e.asked.as_str(), e.separated.len()), (Reason::SeparationOfDuties, "organization.admin", 1));
    assert_eq!(e.misses.len(), 1);
}

fn explained(table: &Table, permission: &str, resource: Resource<'_>) -> Explanation {
    explain(table, &Question { principal: "user:ana", permission, resource, ..Question::default() }, NOW, 10).unwrap()
}

#[test]
fn m4_11_explain_tells_both_paths() {
    let both = after(&table(&base(json!({}))), vec![always("payer group:staff "), always("here user:ana app")]);
    let e = explained(&both, "pay.out", at("", "app", ""));
    assert_eq!((e.reason, e.reason.rule(), e.paths.len()), (Reason::SeparationOfDuties, "4.5", 0));
    let [(constraint, paths)] = e.separated.as_slice() else { panic!("{e:#?}") };
    let members: Vec<Vec<String>> = paths.iter().map(|p| p.members.iter().map(Member::to_string).collect()).collect();
    assert_eq!(
        (constraint.as_str(), members),
        ("pay", vec![vec!["user:ana".to_owned()], vec!["user:ana".to_owned(), "group:staff".to_owned()]])
    );
    let [miss] = e.misses.as_slice() else { panic!("{e:#?}") };
    assert_eq!(miss.lacks, "void by the separation constraint `pay`: more than 1 of its roles are held here");
    // Where nothing is void, nothing is said; and a void path is none.
    assert!(explained(&both, "pay.out", at("", "other", "")).separated.is_empty());
    let third = after(&both, vec![always("third group:staff ")]);
    let e = explained(&third, "pay.sign", at("", "app", ""));
    assert_eq!((e.reason, e.paths.len(), e.separated.len()), (Reason::Allowed, 1, 1));
}

#[test]
fn m7_3_a_list_of_permissions_is_the_same_walk() {
    let both = after(&table(&base(json!({}))), vec![always("payer user:ana "), always("here user:ana app")]);
    let question = |resource| Question { principal: "user:ana", resource, ..Question::default() };
    let list = |resource| {
        let question = question(resource);
        let walk = Walk::begin(&both, &question, NOW).unwrap();
        walk.permissions().map(|slot| slot.row.name.to_string()).filter(|n| n.starts_with("pay.")).collect::<Vec<_>>()
    };
    assert_eq!(list(at("", "app", "")), [] as [&str; 0]);
    assert_eq!(list(at("", "other", "")), ["pay.all", "pay.book", "pay.out"]);
}

#[test]
fn m2_10_a_deleted_role_is_taken_out_and_what_can_not_be_broken_goes() {
    let before = table(&base(json!({})));
    let delete = |table: &Table, role: &str| {
        apply(table, vec![Change::Delete { keys: vec![Key::Role(id(role))], etag: None }]).unwrap()
    };
    let one = delete(&before, "third");
    assert!(!one.effects.iter().any(|(key, _)| matches!(key, Key::Separation(_))));
    let mut left = delete(&before, "signer");
    assert!(left.effects.iter().any(|(key, _)| *key == Key::Separation(id("pay"))));
    assert_eq!(left.table.separation_row(&id("pay")).unwrap().roles.len(), 4);
    for role in ["local", "here", "shared"] {
        left = delete(&left.table, role);
    }
    assert!(left.table.separation_row(&id("pay")).is_none());
    // A role of that id made anew is another one.
    let object = Change::Delete { keys: vec![Key::Object(id("app"))], etag: None };
    assert_eq!(after(&before, vec![object]).separation_row(&id("pay")).unwrap().roles.len(), 4, "a tied role went");
}

#[test]
fn m7_3_what_is_wrong_with_a_constraint_is_told() {
    let before = table(&base(json!({})));
    let put = |roles: &[&str], max| {
        let roles = roles.iter().map(|r| id(r)).collect();
        let row = Row::Separation(Separation { id: id("x"), roles, max, enforcement: Enforcement::Deny });
        match apply(&before, vec![Change::Create(row)]) {
            Err(ChangeError::Violations(v)) => v.iter().map(|v| (v.field, v.fault.reason())).collect::<Vec<_>>(),
            Err(other) => panic!("{other:?}"),
            Ok(_) => vec![],
        }
    };
    assert_eq!(put(&["payer", "signer"], 1), []);
    assert_eq!(put(&["payer", "signer"], 0), [("max", "MISPLACED")]);
    assert_eq!(put(&["payer", "signer"], 2), [("max", "MISPLACED")]);
    assert_eq!(put(&["payer"], 1), [("roles", "MISPLACED"), ("max", "MISPLACED")]);
    assert_eq!(put(&["payer", "payer"], 1), [("roles", "DUPLICATE")]);
    assert_eq!(put(&["payer", "nobody"], 1), [("roles", "UNKNOWN_REFERENCE")]);
    let many: Vec<String> = (0..101).map(|n| format!("r{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(put(&many, 1).contains(&("roles", "TOO_MANY")));
}
