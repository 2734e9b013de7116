//! The oracle is trusted: each rule it claims, on the smallest organization that shows it; and the generator's questions
//! are spread as the property test needs them.

mod duties;
mod records;
mod spread;

use std::collections::{BTreeMap, BTreeSet};

use crate::generate::NOW_MS;
use crate::oracle::{self, Answer, Question, RecordQ, authorize};
use serde_json::{Value, json};

const DAY_MS: i64 = 86_400_000;

fn acme(more: Value) -> Value {
    let mut file = json!({
        "organization": "acme", "preset": "workspace",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}, {"domain": "partner.io", "audience": "external"}],
        "accounts": [{"id": "main", "default": true}, {"id": "emea"}],
        "objects": [{"id": "app", "kind": "app"}, {"id": "sf", "kind": "element", "private_to": "account:emea"}],
        "users": [
            {"id": "ana", "email": "Ana@ACME.com"}, {"id": "bo", "email": "bo@acme.com", "account": "emea"},
            {"id": "ext", "email": "e@partner.io"}, {"id": "lim", "email": "l@acme.com", "status": "limited"},
            {"id": "new", "email": "n@acme.com", "status": "invited"}, {"id": "off", "email": "o@acme.com", "status": "inactive"}],
        "service_accounts": [{"id": "ci"}],
    });
    file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    file
}

fn ask(principal: &str, permission: &str) -> Question {
    let (principal, permission) = (principal.to_owned(), permission.to_owned());
    Question {
        principal,
        permission,
        account: None,
        object: None,
        record: None,
        channel: None,
        invitee_email: None,
        context_attributes: BTreeMap::new(),
        authenticated_at_ms: None,
        now_ms: NOW_MS,
    }
}

fn at(question: Question, account: Option<&str>, object: Option<&str>) -> Question {
    Question { account: account.map(Into::into), object: object.map(Into::into), ..question }
}

fn on(question: Question, record: &str, owner: Option<&str>, account: Option<&str>) -> Question {
    let record = RecordQ {
        id: record.into(),
        owner: owner.map(Into::into),
        account: account.map(Into::into),
        ..RecordQ::default()
    };
    Question { object: question.object.or(Some("app".into())), record: Some(record), ..question }
}

fn granted(permission: &str, member: &str) -> Value {
    json!({"grants": [{"permissions": [permission], "member": member}]})
}

use Answer::{Allow, Deny, Error};
const NO_PERMISSION: Answer = Deny("NO_PERMISSION");

#[test]
fn now_is_noon() {
    assert_eq!("2026-11-22T12:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond(), NOW_MS);
}

#[test]
fn what_ships_is_counted() {
    let count = |preset| oracle::built_in_permissions(preset).len();
    assert_eq!(
        (count("none"), count("workspace"), count("integration")),
        (29, 29 + 6 + 15 + 4 + 2 + 4, 29 + 4 + 1 + 8 + 5 + 4)
    );
    assert_eq!(
        (
            oracle::preset_roles("none").len(),
            oracle::preset_roles("workspace").len(),
            oracle::preset_roles("integration").len()
        ),
        (0, 4, 4)
    );
    for preset in ["workspace", "integration"] {
        let names: BTreeSet<String> =
            oracle::built_in_permissions(preset).into_iter().map(|permission| permission.name).collect();
        for pattern in oracle::preset_roles(preset).into_iter().flat_map(|role| role.permissions) {
            assert!(pattern.ends_with('*') || names.contains(&pattern), "{pattern}");
        }
    }
}

#[test]
fn m1_4_unknown_places_and_malformed_ids_are_errors_before_anything_else() {
    let file = acme(granted("*", "user:ana"));
    let fine = ask("user:ana", "records.create");
    assert_eq!(authorize(&file, &fine), Allow);
    let nobody = ask("user:nobody", "records.create");
    assert_eq!(authorize(&file, &nobody), Deny("PRINCIPAL_UNKNOWN"));
    // A bare id is a user's, whatever it contains.
    assert_eq!(authorize(&file, &ask("ana", "records.create")), Allow);
    assert_eq!(authorize(&file, &ask("group:all-users", "records.create")), Deny("PRINCIPAL_UNKNOWN"));
    let long = format!("user:{}", "x".repeat(129));
    let no_object = Question { object: None, ..on(fine.clone(), "r", None, None) };
    for wrong in [
        ask("user:nobody", "records.nope"),
        ask("user:", "records.create"),
        ask(&long, "records.create"),
        ask("user:ana", "records.*"),
        at(nobody.clone(), Some("nowhere"), None),
        at(nobody, None, Some("nowhere")),
        on(fine.clone(), "", None, None),
        on(fine.clone(), "a\nb", None, None),
        on(fine.clone(), "r", Some("service:"), None),
        on(fine.clone(), "r", None, Some("nowhere")),
        at(on(fine.clone(), "r", None, Some("main")), Some("nowhere"), Some("app")),
        no_object,
    ] {
        assert_eq!(authorize(&file, &wrong), Error, "{wrong:?}");
    }
    assert_eq!(authorize(&file, &ask(&long[..long.len() - 1], "records.create")), Deny("PRINCIPAL_UNKNOWN"));
}

#[test]
fn m4_2_status_decides_before_permission() {
    let file = acme(json!({}));
    for (who, reason) in [
        ("new", "PRINCIPAL_INVITED"),
        ("off", "PRINCIPAL_INACTIVE"),
        ("lim", "PRINCIPAL_LIMITED"),
        ("ana", "NO_PERMISSION"),
    ] {
        assert_eq!(authorize(&file, &ask(&format!("user:{who}"), "records.create")), Deny(reason));
    }
    let by = |channel: &str| Question { channel: Some(channel.into()), ..ask("user:lim", "records.create") };
    assert_eq!(authorize(&file, &by("email")), NO_PERMISSION);
    assert_eq!(authorize(&file, &by("Email")), Deny("PRINCIPAL_LIMITED"));
}

#[test]
fn m4_3_an_external_user_signs_in_again_in_time() {
    let file = acme(json!({"settings": {"external_reauthentication": {"max_age": "12h"}}}));
    let signed_in = |who: &str, ago: Option<i64>| {
        authorize(&file, &Question { authenticated_at_ms: ago.map(|ago| NOW_MS - ago), ..ask(who, "records.create") })
    };
    for (ago, again) in
        [(None, true), (Some(0), false), (Some(-1), true), (Some(DAY_MS / 2), false), (Some(DAY_MS / 2 + 1), true)]
    {
        assert_eq!(signed_in("user:ext", ago) == Deny("REAUTHENTICATION_REQUIRED"), again, "{ago:?}");
        assert_eq!((signed_in("user:ana", ago), signed_in("service:ci", ago)), (NO_PERMISSION, NO_PERMISSION));
    }
}

#[test]
fn m4_4_a_private_element_is_its_owners() {
    let mut file = acme(
        json!({"grants": [{"permissions": ["*"], "member": "group:all-users"}, {"permissions": ["*"], "member": "service:ci"}]}),
    );
    let opens = |file: &Value, who: &str| authorize(file, &at(ask(who, "records.create"), Some("emea"), Some("sf")));
    assert_eq!(
        (opens(&file, "user:bo"), opens(&file, "user:ana"), opens(&file, "service:ci")),
        (Allow, Deny("ELEMENT_NOT_LISTED"), Deny("ELEMENT_NOT_LISTED"))
    );
    file["objects"][1]["private_to"] = json!("user:ana");
    assert_eq!(
        (opens(&file, "user:bo"), opens(&file, "user:ana"), opens(&file, "service:ci")),
        (Deny("ELEMENT_NOT_LISTED"), Allow, Deny("ELEMENT_NOT_LISTED"))
    );
}

#[test]
fn m4_4_lists_close_elements_to_everybody() {
    let grants = json!([{"permissions": ["*"], "member": "group:all-users"}]);
    let file = |safelist: Value, denylist: Value| {
        let mut file = acme(json!({"grants": grants, "element_safelist": safelist, "element_denylist": denylist}));
        let objects = file["objects"].as_array_mut().unwrap();
        objects.extend([json!({"id": "jira", "kind": "element"}), json!({"id": "sap", "kind": "element"})]);
        file
    };
    let opens =
        |file: &Value, object| authorize(file, &at(ask("user:bo", "records.create"), Some("emea"), Some(object)));
    let answers = |safelist, denylist| {
        let file = file(safelist, denylist);
        ["sf", "jira", "sap", "app"].map(|object| opens(&file, object) == Allow)
    };
    assert_eq!(answers(json!([]), json!([])), [true; 4]);
    assert_eq!(
        answers(json!(["jira"]), json!([])),
        [false, true, false, true],
        "private ones too; apps are no elements"
    );
    assert_eq!(answers(json!(["jira", "sf"]), json!([])), [true, true, false, true]);
    assert_eq!(answers(json!([]), json!(["sap", "app"])), [true, true, false, true]);
    assert_eq!(answers(json!(["jira"]), json!(["sap"])), [false, true, false, true]);
}

#[test]
fn m2_6_dynamic_and_system_groups_follow_status_domain_and_kind() {
    for (group, inside) in [
        ("all-users", "ana bo ext"),
        ("internal-users", "ana bo"),
        ("external-users", "ext"),
        ("acme", "ana bo"),
        ("gone", ""),
    ] {
        let mut file = acme(granted("records.create", &format!("group:{group}")));
        file["groups"] = json!([{"id": "acme", "kind": "dynamic", "domains": ["acme.com", "gone.io"]}, {"id": "gone", "kind": "dynamic", "domains": ["gone.io"]}]);
        file["users"]
            .as_array_mut()
            .unwrap()
            .push(json!({"id": "gone", "email": "g@gone.io", "kind": "internal", "status": "limited"}));
        for who in ["ana", "bo", "ext", "lim", "gone"] {
            let question = Question { channel: Some("email".into()), ..ask(&format!("user:{who}"), "records.create") };
            assert_eq!(
                authorize(&file, &question) == Allow,
                inside.split(' ').any(|one| one == who),
                "{who} in {group}"
            );
        }
        assert_eq!(authorize(&file, &ask("service:ci", "records.create")), NO_PERMISSION);
    }
}

#[test]
fn m2_7_groups_nest_and_limited_users_and_services_keep_manual_ones() {
    let mut file = acme(granted("records.create", "group:top"));
    file["groups"] = json!([
        {"id": "a-bottom", "kind": "manual", "members": ["user:lim", "service:ci", "group:external-users"]},
        {"id": "top", "kind": "manual", "members": ["group:middle"]}, {"id": "middle", "kind": "manual", "members": ["group:a-bottom"]}]);
    for (who, inside) in [("user:lim", true), ("service:ci", true), ("user:ext", true), ("user:ana", false)] {
        let question = Question { channel: Some("email".into()), ..ask(who, "records.create") };
        assert_eq!(authorize(&file, &question) == Allow, inside, "{who}");
    }
}

#[test]
fn m3_1_a_permission_takes_effect_from_its_level_and_above() {
    let file = acme(json!({
        "permissions": [{"name": "o.p", "level": "organization"}, {"name": "a.p", "level": "account", "aliases": ["AP", "b.p"]}, {"name": "b.q"}],
        "grants": [
            {"permissions": ["*"], "member": "user:ana"}, {"permissions": ["*"], "member": "user:bo", "account": "emea"},
            {"permissions": ["*"], "member": "user:ext", "object": "app"}, {"permissions": ["AP", "b.*"], "member": "service:ci"}]}));
    let allowed = |who: &str| {
        ["o.p", "a.p", "b.q"].map(|name| authorize(&file, &at(ask(who, name), Some("emea"), Some("app"))) == Allow)
    };
    assert_eq!(allowed("user:ana"), [true, true, true]);
    assert_eq!(allowed("user:bo"), [false, true, true]);
    assert_eq!(allowed("user:ext"), [false, false, true]);
    assert_eq!(allowed("service:ci"), [false, true, true]);
    assert_eq!(authorize(&file, &at(ask("user:bo", "b.p"), Some("emea"), None)), Allow); // by its alias
}

#[test]
fn m3_2_a_wildcard_covers_names_not_aliases() {
    let mut file = acme(granted("b.*", "user:ana"));
    file["permissions"] = json!([{"name": "a.p", "aliases": ["b.p"]}, {"name": "b.c.d"}, {"name": "bc.d"}]);
    let allowed = ["b.p", "b.c.d", "bc.d"].map(|name| authorize(&file, &ask("user:ana", name)) == Allow);
    assert_eq!(allowed, [false, true, false]);
}

#[test]
fn m3_3_an_account_reaches_what_is_in_it_and_the_records_account_counts() {
    let file = acme(json!({
        "roles": [{"id": "r", "name": "R", "scope": "account", "permissions": ["records.create"]}],
        "assignments": [{"role": "r", "member": "user:ana", "account": "emea"}]}));
    let question = ask("user:ana", "records.create");
    let answer =
        |account, record_account| authorize(&file, &on(at(question.clone(), account, None), "r", None, record_account));
    assert_eq!(authorize(&file, &question), NO_PERMISSION);
    assert_eq!(authorize(&file, &at(question.clone(), Some("emea"), None)), Allow);
    assert_eq!((answer(Some("emea"), None), answer(None, Some("emea"))), (Allow, Allow));
    assert_eq!((answer(Some("emea"), Some("main")), answer(Some("main"), Some("emea"))), (NO_PERMISSION, Allow));
}

#[test]
fn m3_3_an_object_reaches_its_records_and_a_record_only_itself() {
    let file = acme(json!({"assignments": [
        {"role": "content-viewer", "member": "user:ana", "object": "app"}, {"role": "content-viewer", "member": "user:bo", "object": "app", "record": "r"}]}));
    let answer = |who, object: &str, record: Option<&str>| {
        let question = at(ask(who, "tasks.read"), None, Some(object));
        authorize(&file, &record.map_or(question.clone(), |record| on(question, record, None, None)))
    };
    assert_eq!((answer("user:ana", "app", None), answer("user:ana", "app", Some("r2"))), (Allow, Allow));
    assert_eq!(
        (answer("user:bo", "app", Some("r")), answer("user:bo", "app", Some("r2")), answer("user:bo", "app", None)),
        (Allow, NO_PERMISSION, NO_PERMISSION)
    );
    assert_eq!(authorize(&file, &ask("user:ana", "tasks.read")), NO_PERMISSION);
}

#[test]
fn m3_4_a_period_has_its_beginning_and_not_its_end() {
    let file = acme(
        json!({"grants": [{"permissions": ["records.create"], "member": "user:ana", "starts_at": "2026-11-22T12:00:00Z", "expires_at": "2026-11-22T14:00:00.002+02:00"}]}),
    );
    let answers = [-1, 0, 1, 2].map(|late| {
        authorize(&file, &Question { now_ms: NOW_MS + late, ..ask("user:ana", "records.create") }) == Allow
    });
    assert_eq!(answers, [false, true, true, false]);
}

#[test]
fn m3_6_roles_by_rule_follow_the_account_unless_given_by_hand() {
    let over = "2020-01-01T00:00:00Z";
    let by_hand = json!({"role": "org", "member": "user:bo", "expires_at": over});
    let mut file = acme(json!({"preset": "integration", "roles": [{"id": "org", "permissions": ["elements.read"]}]}));
    let answer = |file: &Value, who: &str, account| authorize(file, &at(ask(who, "elements.read"), account, None));
    assert_eq!((answer(&file, "user:ana", None), answer(&file, "service:ci", None)), (Allow, NO_PERMISSION));
    assert_eq!(
        (answer(&file, "user:bo", Some("emea")), answer(&file, "user:bo", Some("main"))),
        (Allow, NO_PERMISSION)
    );
    assert_eq!(authorize(&file, &ask("user:ana", "formula_templates.run")), NO_PERMISSION); // the file changed what `org` gives
    file["assignments"] = json!([by_hand]);
    assert_eq!((answer(&file, "user:ana", None), answer(&file, "user:bo", Some("emea"))), (Allow, NO_PERMISSION));
    // At an account, the users of that account are meant.
    for (member, account, has) in
        [("bo", "emea", false), ("bo", "main", true), ("ana", "emea", true), ("ana", "main", false)]
    {
        file["assignments"] = json!([{"role": "default-user", "member": format!("user:{member}"), "account": account, "expires_at": over}]);
        let home = if member == "bo" { Some("emea") } else { None };
        assert_eq!(answer(&file, &format!("user:{member}"), home) == Allow, has, "{member} {account}");
    }
}

#[test]
fn m4_6_on_what_is_not_ones_own_the_twin_is_asked() {
    let mut file = acme(granted("element_instances.view", "user:ana"));
    file["preset"] = json!("integration");
    file["assignments"] = json!([{"role": "org", "member": "user:ana", "expires_at": "2020-01-01T00:00:00Z"}]);
    let answer = |file: &Value, owner| {
        authorize(file, &on(at(ask("user:ana", "element_instances.view"), Some("main"), None), "r", owner, None))
    };
    let (own, foreign) =
        ([Some("ana"), Some("user:ana")], [None, Some("bo"), Some("service:ana"), Some("user:user:ana")]);
    assert!(
        own.iter().all(|owner| answer(&file, *owner) == Allow)
            && foreign.iter().all(|owner| answer(&file, *owner) == NO_PERMISSION)
    );
    assert_eq!(authorize(&file, &at(ask("user:ana", "element_instances.view"), None, Some("app"))), Allow); // no record, nobody's question
    file["grants"] = json!([{"permissions": ["viewAccountElementInstances"], "member": "user:ana", "account": "main"}]);
    assert!(
        own.iter().all(|owner| answer(&file, *owner) == NO_PERMISSION)
            && foreign.iter().all(|owner| answer(&file, *owner) == Allow)
    );
}

#[test]
fn m4_6_chains_are_followed_once_and_the_marks_stay() {
    let file = acme(json!({
        "permissions": [{"name": "x.a", "when_not_owner": "x.b"}, {"name": "x.b", "when_not_owner": "x.c", "requires_visibility": true}, {"name": "x.c"}],
        "grants": [{"permissions": ["x.b"], "member": "user:ana"}, {"permissions": ["x.c"], "member": "user:bo"}]}));
    let answer = |who, name| authorize(&file, &on(ask(who, name), "r", None, None));
    assert_eq!((answer("user:ana", "x.a"), answer("user:bo", "x.a")), (Allow, NO_PERMISSION));
    assert_eq!((answer("user:ana", "x.b"), answer("user:bo", "x.b")), (NO_PERMISSION, Deny("NOT_VISIBLE")));
}

#[test]
fn m4_7_a_record_is_visible_by_what_is_held_at_it() {
    let file = acme(json!({"grants": [
        {"permissions": ["records.*"], "member": "user:ana"}, {"permissions": ["records.read"], "member": "group:all-users", "object": "app", "record": "shared"},
        {"permissions": ["tasks.read"], "member": "user:ana", "object": "app", "record": "task"}]}));
    let answer = |who, name, record| authorize(&file, &on(ask(who, name), record, None, None));
    assert_eq!(
        (answer("user:ana", "records.update", "shared"), answer("user:ana", "records.update", "task")),
        (Allow, Deny("NOT_VISIBLE"))
    );
    assert_eq!(
        (answer("user:bo", "records.read", "shared"), answer("user:bo", "records.update", "shared")),
        (Allow, NO_PERMISSION)
    );
    assert_eq!(
        (answer("user:ana", "records.approve", "shared"), answer("user:ana", "records.approve", "other")),
        (Deny("NOT_APPROVER"), Deny("NOT_VISIBLE"))
    );
    assert_eq!(
        (answer("user:ana", "records.create", "other"), authorize(&file, &ask("user:ana", "records.approve"))),
        (Allow, Allow)
    );
}

#[test]
fn permissions_lists_what_authorize_allows() {
    let file = acme(json!({"assignments": [{"role": "content-viewer", "member": "user:ana", "object": "app"}]}));
    let names = oracle::permissions(&file, &at(ask("user:ana", "no.such"), None, Some("app"))).unwrap();
    assert_eq!(
        names.into_iter().collect::<Vec<_>>(),
        ["agents.read", "analytics.read", "apps.read", "automations.read", "records.read", "tasks.read"]
    );
    assert_eq!(oracle::permissions(&file, &ask("user:nobody", "no.such")), Some(BTreeSet::new()));
    assert_eq!(oracle::permissions(&file, &at(ask("user:ana", "no.such"), None, Some("nowhere"))), None);
}
