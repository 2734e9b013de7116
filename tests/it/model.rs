//! The rules of ACCESS-MODEL.md, one by one and by hand; the names begin with their numbers.

use doorward::core::change::{Change, ChangeError, Effect, apply, apply_at};
use doorward::core::decision::{Context, ProblemKind, Question, Reason, Record, Resource, decide};
use doorward::core::id::Id;
use doorward::core::model::{Account, Group, GroupKind, Key, Member, Object, PrivateTo, Row, Visibility};
use doorward::core::table::Table;
use serde_json::{Value, json};

use crate::support::{applied, blank, rows, table};

pub const NOW: i64 = 1_795_348_800_000;

pub fn base(more: Value) -> Value {
    let mut file = json!({
        "organization": "acme",
        "preset": "workspace",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}, {"domain": "partner.io", "audience": "external"}],
        "accounts": [{"id": "main", "default": true}, {"id": "emea"}],
        "permissions": [
            {"name": "data.read", "aliases": ["READ"]},
            {"name": "data.move", "level": "account"},
            {"name": "data.wipe", "level": "organization"},
        ],
        "objects": [{"id": "app", "kind": "app"}, {"id": "other", "kind": "app"}],
        "users": [
            {"id": "ana", "email": "Ana@Acme.com"},
            {"id": "ext", "email": "e@partner.io"},
            {"id": "lim", "email": "l@acme.com", "status": "limited"},
            {"id": "inv", "email": "i@acme.com", "status": "invited", "pending_groups": ["risk"]},
            {"id": "off", "email": "o@acme.com", "status": "inactive", "status_before": "active"},
        ],
        "service_accounts": [{"id": "bot"}],
        "groups": [{"id": "risk", "kind": "manual"}],
    });
    for (key, value) in more.as_object().unwrap() {
        file[key] = value.clone();
    }
    file
}

pub fn ask(table: &Table, principal: &str, permission: &str, resource: Resource<'_>) -> Reason {
    let question = Question { principal, permission, resource, ..Question::default() };
    decide(table, &question, NOW).unwrap()
}

pub fn in_app<'a>() -> Resource<'a> {
    Resource { object: "app", ..Resource::default() }
}

pub fn in_account(account: &str) -> Resource<'_> {
    Resource { account, ..Resource::default() }
}

pub fn id(text: &str) -> Id {
    text.parse().unwrap()
}

pub fn violations(table: &Table, change: Change) -> Vec<(&'static str, &'static str)> {
    match apply(table, vec![change]) {
        Err(ChangeError::Violations(v)) => v.iter().map(|v| (v.field, v.fault.reason())).collect(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => vec![],
    }
}

fn manual(name: &str, groups: &[&str]) -> Row {
    Row::Group(Group {
        id: id(name),
        name: String::new(),
        kind: GroupKind::Manual,
        photo_uri: String::new(),
        visibility: Visibility::default(),
        groups: groups.iter().map(|g| id(g)).collect(),
    })
}

#[test]
fn m1_2_every_user_belongs_to_one_account_of_which_one_is_the_default() {
    let users = json!([{"id": "ana", "email": "a@acme.com"}, {"id": "bo", "email": "b@acme.com", "account": "emea"}]);
    let before = table(&base(json!({"users": users})));
    let account = |table: &Table, user: &str| match table.row(&Key::User(user.parse().unwrap())) {
        Some(Row::User(user)) => user.account.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!([account(&before, "ana"), account(&before, "bo")], ["main", "emea"]);
    let row = |name: &str, default| Row::Account(Account { id: id(name), default, display_name: String::new() });
    let put = |row| Change::Update { row, etag: None };
    assert_eq!(violations(&before, put(row("emea", true))), [("accounts", "DEFAULT_ACCOUNTS")], "two");
    assert_eq!(violations(&before, put(row("main", false))), [("accounts", "DEFAULT_ACCOUNTS")], "none");
    for taken in ["main", "emea"] {
        let delete = Change::Delete { keys: vec![Key::Account(id(taken))], etag: None };
        assert!(apply(&before, vec![delete]).is_err(), "the default one, or one with users: {taken}");
    }
    // Where the mark goes, nobody moves.
    let moved = apply(&before, vec![put(row("main", false)), put(row("emea", true))]).unwrap().table;
    assert_eq!([account(&moved, "ana"), account(&moved, "bo")], ["main", "emea"]);
    let Some(Row::User(stray)) = before.row(&Key::User("bo".parse().unwrap())) else { panic!() };
    let stray = Row::User(doorward::core::model::User { account: id("nowhere"), ..stray });
    assert_eq!(violations(&before, put(stray)), [("account", "UNKNOWN_REFERENCE")]);
}

#[test]
fn m1_3_an_object_is_one_of_four_kinds_and_only_an_element_may_be_private() {
    let kinds = ["app", "element", "task", "workflow"];
    let fields = json!({"amount": "double", "tags": "list<string>"});
    let object = |kind: &str| json!({"id": kind, "kind": kind, "fields": fields.clone()});
    let made = table(&base(json!({"objects": kinds.map(object)})));
    for kind in kinds {
        let Some(Row::Object(row)) = made.row(&Key::Object(id(kind))) else { panic!("{kind}") };
        assert_eq!(row.fields.keys().collect::<Vec<_>>(), ["amount", "tags"]);
        for private_to in [PrivateTo::Account(id("emea")), PrivateTo::User("ana".parse().unwrap())] {
            let private = Row::Object(Object { private_to: Some(private_to), ..row.clone() });
            let wrong = violations(&made, Change::Update { row: private, etag: None });
            let expected: &[_] = if kind == "element" { &[] } else { &[("private_to", "MISPLACED")] };
            assert_eq!(wrong, expected, "{kind}");
        }
    }
    let other = base(json!({"objects": [{"id": "x", "kind": "folder"}]}));
    assert!(crate::support::parsed(&other).is_err());
}

#[test]
fn m2_1_an_address_is_one_users_within_one_change_too() {
    let file = base(json!({}));
    let before = table(&file);
    let replace = |edit: &dyn Fn(&mut Value)| {
        let mut file = file.clone();
        edit(&mut file);
        violations(&before, Change::Replace { rows: rows(&file), deactivate_missing: false })
    };
    // Whoever has it is put again, with another name; somebody before or after it in order claims it.
    for id in ["aaa", "zzz"] {
        let claim = |file: &mut Value| {
            file["users"][0]["first_name"] = "Ana".into();
            file["users"].as_array_mut().unwrap().push(json!({"id": id, "email": "ANA@acme.com"}));
        };
        assert_eq!(replace(&claim), [("email", "EMAIL_TAKEN")], "{id}");
    }
    // Two may change places, and what is given up is free.
    let change_places = |file: &mut Value| {
        file["users"][0]["email"] = "l@acme.com".into();
        file["users"][2]["email"] = "ana@acme.com".into();
    };
    assert_eq!(replace(&change_places), []);
}

#[test]
fn m2_2_only_an_active_user_may_act_and_a_limited_one_by_e_mail() {
    let everyone = ["ana", "lim", "inv", "off", "nobody"].map(|u| format!("user:{u}"));
    let grants: Vec<Value> =
        everyone.iter().take(4).map(|m| json!({"permissions": ["data.read"], "member": m})).collect();
    let table = table(&base(json!({"grants": grants})));
    let reasons = everyone.each_ref().map(|m| ask(&table, m, "data.read", Resource::default()));
    assert_eq!(
        reasons,
        [
            Reason::Allowed,
            Reason::PrincipalLimited,
            Reason::PrincipalInvited,
            Reason::PrincipalInactive,
            Reason::PrincipalUnknown,
        ]
    );
    let context = Context { channel: "email", ..Context::default() };
    let by_mail = Question { principal: "user:lim", permission: "data.read", context, ..Question::default() };
    assert_eq!(decide(&table, &by_mail, NOW), Ok(Reason::Allowed));
}

#[test]
fn m2_6_dynamic_and_system_groups_follow_the_domain_and_the_status() {
    let dynamic = json!([{"id": "staff", "kind": "dynamic", "domains": ["acme.com", "elsewhere.org"]}]);
    let grants = json!([
        {"permissions": ["data.read"], "member": "group:staff"},
        {"permissions": ["data.move"], "member": "group:external-users"},
        {"permissions": ["data.wipe"], "member": "group:all-users"},
    ]);
    let mut file = base(json!({"groups": dynamic, "grants": grants}));
    file["users"][3].as_object_mut().unwrap().remove("pending_groups");
    let before = table(&file);
    let all = |t: &Table, who: &str| {
        ["data.read", "data.move", "data.wipe"].map(|p| ask(t, who, p, Resource::default()) == Reason::Allowed)
    };
    assert_eq!(all(&before, "ana"), [true, false, true]);
    assert_eq!(all(&before, "ext"), [false, true, true]);
    assert_eq!(all(&before, "service:bot"), [false, false, false]);
    file["email_domains"] = json!([{"domain": "partner.io", "audience": "external"}]);
    let after = applied(&before, vec![Change::Replace { rows: rows(&file), deactivate_missing: false }]);
    assert_eq!(after.revision(), before.revision() + 1, "in the same revision");
    // Ana's kind was derived from the domain when the file was read, so it changed with it.
    assert_eq!(all(&after, "ana"), [false, true, true]);
}

#[test]
fn m2_7_membership_is_transitive_to_any_depth_and_a_cycle_is_refused() {
    let depth = 10_000;
    let mut rows = rows(&base(json!({"groups": [{"id": "risk", "kind": "manual"}]})));
    rows.extend(
        (0..depth)
            .map(|n| manual(&format!("g{n}"), &[&if n == 0 { "risk".to_owned() } else { format!("g{}", n - 1) }])),
    );
    let table = applied(&blank(1), vec![Change::Replace { rows, deactivate_missing: false }]);
    let member = Member::User("ana".parse().unwrap());
    let deep = Change::AddMembers { group: id(&format!("g{}", depth - 1)), members: vec![member] };
    let grant = rows_of(json!([{"permissions": ["data.read"], "member": "group:risk"}]));
    let table = applied(&table, vec![deep, Change::Create(grant[0].clone())]);
    assert_eq!(ask(&table, "ana", "data.read", Resource::default()), Reason::Allowed);
    let closing = Change::Update { row: manual("risk", &[&format!("g{}", depth - 1)]), etag: None };
    assert_eq!(violations(&table, closing), [("groups", "CYCLE")]);
    assert_eq!(
        violations(&table, Change::AddMembers { group: id("g5"), members: vec![Member::Group(id("g5"))] }),
        [("groups", "CYCLE")]
    );
    // Cut in the middle, the deep member is out.
    let cut = Change::RemoveMembers { group: id("g4999"), members: vec![Member::Group(id("g5000"))] };
    assert_eq!(ask(&applied(&table, vec![cut]), "ana", "data.read", Resource::default()), Reason::NoPermission);
}

pub fn rows_of(grants: Value) -> Vec<Row> {
    rows(&base(json!({"grants": grants}))).into_iter().filter(|r| matches!(r, Row::Grant(_))).collect()
}

#[test]
fn m2_8_system_groups_change_their_visibility_only() {
    let table = table(&base(json!({})));
    let shown = |name: &str, kind| {
        Row::Group(Group {
            name: name.to_owned(),
            kind,
            visibility: Visibility { mentionable: true, ..Visibility::default() },
            ..match manual("all-users", &[]) {
                Row::Group(g) => g,
                _ => unreachable!(),
            }
        })
    };
    assert_eq!(violations(&table, Change::Update { row: shown("", GroupKind::System), etag: None }), []);
    assert_eq!(
        violations(&table, Change::Update { row: shown("Everyone", GroupKind::System), etag: None }),
        [("", "BUILT_IN")]
    );
    assert_eq!(
        violations(&table, Change::Update { row: shown("", GroupKind::Manual), etag: None }),
        [("", "BUILT_IN"), ("kind", "IMMUTABLE")]
    );
    let ana = vec![Member::User("ana".parse().unwrap())];
    assert_eq!(
        violations(&table, Change::AddMembers { group: id("all-users"), members: ana }),
        [("members", "NOT_MANUAL")]
    );
    assert_eq!(
        violations(&table, Change::Delete { keys: vec![Key::Group(id("all-users"))], etag: None }),
        [("", "BUILT_IN")]
    );
}

#[test]
fn m2_10_deleting_takes_what_refers_to_it_in_one_revision() {
    let file = base(json!({
        "groups": [{"id": "risk", "kind": "manual", "members": ["user:ana", "service:bot", "group:inner"]}, {"id": "inner", "kind": "manual"}],
        "roles": [{"id": "tied", "scope": "object", "object": "app", "permissions": ["data.read"]},
                  {"id": "wide", "scope": "organization", "permissions": ["data.read", "data.wipe"]}],
        "assignments": [{"role": "tied", "member": "user:ana", "object": "app"}, {"role": "wide", "member": "group:risk"}],
        "grants": [{"permissions": ["data.read"], "member": "group:risk", "object": "app", "record": "r1"},
                   {"permissions": ["data.wipe"], "member": "user:ext"}],
    }));
    let table = table(&file);
    let deleted = |key: Key| {
        let applied = apply(&table, vec![Change::Delete { keys: vec![key], etag: None }]).unwrap();
        assert_eq!(applied.table.revision(), table.revision() + 1);
        let mut effects: Vec<String> = applied.effects.iter().map(|(k, e)| format!("{e:?} {}", k.describe())).collect();
        effects.sort();
        (applied.table, effects)
    };
    let (after, effects) = deleted(Key::Group(id("risk")));
    assert_eq!(
        effects,
        [
            "Deleted assignment of role `wide` to `group:risk` at the organization",
            "Deleted grant of `data.read` to `group:risk` at record `r1` of object `app`",
            "Deleted group `risk`",
            "Updated group `inner`",
            "Updated service account `bot`",
            "Updated user `ana`",
            "Updated user `inv`",
        ]
    );
    assert_eq!(ask(&after, "ana", "data.wipe", Resource::default()), Reason::NoPermission);
    let (_, effects) = deleted(Key::Object(id("app")));
    assert_eq!(
        effects,
        [
            "Deleted assignment of role `tied` to `user:ana` at object `app`",
            "Deleted grant of `data.read` to `group:risk` at record `r1` of object `app`",
            "Deleted object `app`",
            "Deleted role `tied`",
        ]
    );
    let (after, effects) = deleted(Key::Permission("data.wipe".parse().unwrap()));
    assert_eq!(
        effects,
        [
            "Deleted grant of `data.wipe` to `user:ext` at the organization",
            "Deleted permission `data.wipe`",
            "Updated role `wide`",
        ]
    );
    assert_eq!(ask(&after, "ana", "data.read", Resource::default()), Reason::Allowed);
    let refused = |key| violations(&table, Change::Delete { keys: vec![key], etag: None });
    assert_eq!(refused(Key::Account(id("main"))), [("", "IN_USE"), ("", "IN_USE"), ("", "IN_USE")]);
    assert_eq!(refused(Key::User("ana".parse().unwrap())), [("", "NEVER_REMOVED")]);
    assert_eq!(refused(Key::Settings), [("", "BUILT_IN")]);
}

#[test]
fn m3_1_names_and_aliases_share_one_name_space_and_levels_bind() {
    let at = |target: Value| {
        let mut grant = json!({"permissions": ["*"], "member": "user:ana"});
        for (key, value) in target.as_object().unwrap() {
            grant[key] = value.clone();
        }
        table(&base(json!({"grants": [grant]})))
    };
    let here = Resource { account: "emea", object: "app", record: None };
    for (target, expected) in [
        (json!({}), [true, true, true]),
        (json!({"account": "emea"}), [true, true, false]),
        (json!({"object": "app"}), [true, false, false]),
    ] {
        let table = at(target.clone());
        let got = ["READ", "data.move", "data.wipe"].map(|p| ask(&table, "ana", p, here) == Reason::Allowed);
        assert_eq!(got, expected, "{target}");
    }
    let clash = |p: Value| {
        let file = base(json!({"permissions": [p]}));
        doorward::cli::file::OrganizationFile::parse(&file.to_string(), "f", doorward::cli::file::Known::of).is_err()
            || apply(&blank(1), vec![Change::Replace { rows: rows(&file), deactivate_missing: false }]).is_err()
    };
    assert!(clash(json!({"name": "records.read"})));
    assert!(clash(json!({"name": "my.own", "aliases": ["ADMIN"]})));
    assert!(clash(json!({"name": "my.own", "when_not_owner": "my.absent"})));
}

#[test]
fn m3_2_a_wildcard_covers_what_is_added_later() {
    let roles = json!([{"id": "all-data", "scope": "organization", "permissions": ["data.*"]}]);
    let assignments = json!([{"role": "all-data", "member": "group:risk"}]);
    let groups = json!([{"id": "risk", "kind": "manual", "members": ["user:ana"]}]);
    let table = table(&base(json!({"roles": roles, "assignments": assignments, "groups": groups})));
    let new = rows(&base(json!({"permissions": [{"name": "data.new"}, {"name": "database.read"}]})));
    let new = new.into_iter().filter(|r| matches!(r, Row::Permission(_))).map(Change::Create);
    let table = applied(&table, new.collect());
    assert_eq!(ask(&table, "ana", "data.new", Resource::default()), Reason::Allowed);
    assert_eq!(ask(&table, "ana", "database.read", Resource::default()), Reason::NoPermission);
}

#[test]
fn m3_3_a_role_is_assigned_where_its_scope_allows() {
    let roles = json!([
        {"id": "o", "scope": "organization", "permissions": ["data.read"]},
        {"id": "a", "scope": "account", "permissions": ["data.read"]},
        {"id": "b", "scope": "object", "permissions": ["data.read"]},
        {"id": "t", "scope": "object", "object": "app", "permissions": ["data.read"]},
    ]);
    let targets = [
        json!({}),
        json!({"account": "emea"}),
        json!({"object": "app"}),
        json!({"object": "other"}),
        json!({"object": "app", "record": "r"}),
    ];
    for (role, allowed) in
        [("o", [1, 0, 0, 0, 0]), ("a", [0, 1, 0, 0, 0]), ("b", [0, 0, 1, 1, 1]), ("t", [0, 0, 1, 0, 1])]
    {
        for (target, fine) in targets.iter().zip(allowed) {
            let mut assignment = target.clone();
            assignment["role"] = json!(role);
            assignment["member"] = json!("user:ana");
            let file = base(json!({"roles": roles, "assignments": [assignment]}));
            let got = violations(&blank(1), Change::Replace { rows: rows(&file), deactivate_missing: false });
            assert_eq!(got.is_empty(), fine == 1, "{role} at {target}: {got:?}");
        }
    }
    let table = table(&base(json!({"roles": roles})));
    let Some(doorward::core::model::Role { .. }) = table.role_row(&id("o")) else { panic!() };
    let mut wider = table.role_row(&id("b")).unwrap().clone();
    wider.scope = doorward::core::model::Scope::Organization;
    assert_eq!(violations(&table, Change::Update { row: Row::Role(wider), etag: None }), [("scope", "IMMUTABLE")]);
    let mut managed = table.role_row(&id("app-admin")).unwrap().clone();
    managed.permissions.clear();
    assert_eq!(violations(&table, Change::Update { row: Row::Role(managed), etag: None }), [("", "BUILT_IN")]);
}

#[test]
fn m3_6_the_rule_gives_a_role_by_account_unless_one_was_given_by_hand() {
    let file = |assignments: Value| {
        json!({
            "organization": "acme", "preset": "integration",
            "accounts": [{"id": "main", "default": true}, {"id": "emea"}],
            "users": [{"id": "d", "email": "d@x.io"}, {"id": "e", "email": "e@x.io", "account": "emea"}],
            "groups": [{"id": "g", "kind": "manual"}],
            "assignments": assignments,
        })
    };
    let plain = table(&file(json!([])));
    assert_eq!(ask(&plain, "d", "formula_templates.read", Resource::default()), Reason::Allowed);
    assert_eq!(ask(&plain, "e", "formula_templates.run", in_account("emea")), Reason::Allowed);
    assert_eq!(ask(&plain, "e", "formula_templates.run", in_account("main")), Reason::NoPermission);
    assert_eq!(ask(&plain, "e", "formula_templates.read", in_account("emea")), Reason::NoPermission);
    // By hand is what whoever administers the user assigned: at the organization, or at the user's own account.
    for (role, member, account, stands) in [
        ("org", "e", None, false),
        ("default-user", "e", Some("emea"), false),
        ("default-user", "e", Some("main"), true),
        ("org", "d", None, false),
        ("default-user", "d", Some("main"), false),
        ("default-user", "d", Some("emea"), true),
    ] {
        let member = format!("user:{member}");
        let mut row = json!({"role": role, "member": member, "expires_at": "2020-01-01T00:00:00Z"});
        if let Some(account) = account {
            row["account"] = json!(account);
        }
        let assigned = table(&file(json!([row])));
        let (permission, place) = match member.as_str() {
            "user:d" => ("formula_templates.read", Resource::default()),
            _ => ("formula_templates.run", in_account("emea")),
        };
        let says = if stands { Reason::Allowed } else { Reason::NoPermission };
        assert_eq!(ask(&assigned, &member, permission, place), says, "{row}");
    }
    // Whose account changes, of that one another assignment counts.
    let mut moving = file(json!([
        {"role": "default-user", "member": "user:e", "account": "main"},
        {"role": "default-user", "member": "user:d", "account": "main", "expires_at": "2020-01-01T00:00:00Z"},
    ]));
    let apart = table(&moving);
    moving["users"][0]["account"] = json!("emea");
    moving["users"][1]["account"] = json!("main");
    let swapped = applied(&apart, vec![Change::Replace { rows: rows(&moving), deactivate_missing: false }]);
    assert_eq!(ask(&apart, "d", "formula_templates.read", Resource::default()), Reason::NoPermission);
    assert_eq!(ask(&swapped, "d", "formula_templates.run", in_account("emea")), Reason::Allowed);
    assert_eq!(ask(&apart, "e", "formula_templates.run", in_account("emea")), Reason::Allowed);
    assert_eq!(ask(&swapped, "e", "formula_templates.read", Resource::default()), Reason::NoPermission);
    assert_eq!(ask(&swapped, "e", "formula_templates.run", in_account("main")), Reason::Allowed);
    for (member, refused) in [("user:d", false), ("user:e", true), ("group:g", true)] {
        let file = file(json!([{"role": "org-admin", "member": member}]));
        let got = violations(&blank(1), Change::Replace { rows: rows(&file), deactivate_missing: false });
        assert_eq!(!got.is_empty(), refused, "{member}: {got:?}");
    }
}

#[test]
fn m3_6_a_row_of_a_system_role_is_by_hand_whoever_wrote_it() {
    let mut file = json!({
        "organization": "acme", "preset": "integration",
        "accounts": [{"id": "main", "default": true}, {"id": "emea"}],
        "users": [{"id": "d", "email": "d@x.io"}, {"id": "e", "email": "e@x.io", "account": "emea"}],
        "roles": [{"id": "own", "scope": "account", "permissions": ["elements.read"]}],
        "assignments": [
            {"role": "org", "member": "user:d", "expires_at": "2020-01-01T00:00:00Z"},
            {"role": "own", "member": "user:e", "account": "emea", "by_hand": true},
        ],
    });
    let silent = table(&file);
    assert_eq!(ask(&silent, "d", "formula_templates.read", Resource::default()), Reason::NoPermission);
    let by_hand = |table: &Table| {
        let of = |row| if let Row::Assignment(a) = row { Some((a.role.to_string(), a.by_hand)) } else { None };
        table.rows().filter_map(of).collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(by_hand(&silent), [("org".to_owned(), true), ("own".to_owned(), false)].into());
    // Nothing is changed by a file that says of either what the other did, nor by what is exported.
    file["assignments"][0]["by_hand"] = json!(true);
    file["assignments"][1].as_object_mut().unwrap().remove("by_hand");
    for rows in [rows(&file), silent.rows().collect()] {
        let applied = apply(&silent, vec![Change::Replace { rows, deactivate_missing: false }]).unwrap();
        assert!(applied.effects.is_empty(), "{:?}", applied.effects);
    }
}

#[test]
fn m4_1_everything_wrong_with_a_question_is_an_error_and_named_at_once() {
    let table = table(&base(json!({})));
    let question = Question {
        principal: "user:",
        permission: "data.raed",
        resource: Resource {
            account: "nowhere",
            object: "",
            record: Some(Record { id: "a\0b", owner: "service:", account: "else", ..Record::default() }),
        },
        ..Question::default()
    };
    let problems = decide(&table, &question, NOW).unwrap_err();
    let fields: Vec<&str> = problems.iter().map(|p| p.field).collect();
    assert_eq!(
        fields,
        [
            "principal",
            "permission",
            "resource.account",
            "resource.object",
            "resource.record.id",
            "resource.record.owner",
            "resource.record.account",
        ]
    );
    let one = |principal: &str, permission: &str, resource| {
        let q = Question { principal, permission, resource, ..Question::default() };
        decide(&table, &q, NOW).map_err(|p| p.into_iter().map(|p| p.kind).collect::<Vec<_>>())
    };
    assert_eq!(
        one("ana", "data.read", Resource { object: "nope", ..Resource::default() }),
        Err(vec![ProblemKind::UnknownObject("nope".into())])
    );
    // A bare id is a user's, whatever it looks like; hostile ones are nobody.
    for odd in ["group:risk", "a|b", "..", "a:b", "service", "user:user:ana", "ünï 😀"] {
        assert_eq!(one(odd, "data.read", Resource::default()), Ok(Reason::PrincipalUnknown), "{odd}");
    }
    for wrong in ["", "a\nb", "\u{7f}", "service:", &"x".repeat(129), &"x".repeat(65_536)] {
        assert!(one(wrong, "data.read", Resource::default()).is_err(), "{wrong:.9}");
    }
}

#[test]
fn m4_4_lists_and_privacy_close_elements_and_nothing_else() {
    let file = |lists: Value| {
        let mut file = base(json!({
            "objects": [
                {"id": "app", "kind": "app"},
                {"id": "jira", "kind": "element"},
                {"id": "sap", "kind": "element"},
                {"id": "own", "kind": "element", "private_to": "user:ana"},
            ],
            "grants": [{"permissions": ["*"], "member": "user:ana"}, {"permissions": ["*"], "member": "service:bot"}],
        }));
        for (key, value) in lists.as_object().unwrap() {
            file[key] = value.clone();
        }
        file
    };
    let at = |object| Resource { object, ..Resource::default() };
    let answers = |table: &Table, who: &str| {
        ["app", "jira", "sap", "own"].map(|object| match ask(table, who, "data.read", at(object)) {
            Reason::Allowed => true,
            Reason::ElementNotListed => false,
            other => panic!("{other:?}"),
        })
    };
    let open = table(&file(json!({})));
    assert_eq!((answers(&open, "ana"), answers(&open, "service:bot")), ([true; 4], [true, true, true, false]));
    let safe = table(&file(json!({"element_safelist": ["jira"]})));
    assert_eq!(
        (answers(&safe, "ana"), answers(&safe, "service:bot")),
        ([true, true, false, false], [true, true, false, false])
    );
    // Whatever is held: the element is nobody's, its records included, and in a list of permissions.
    let record = Resource { record: Some(Record { id: "r", owner: "ana", ..Record::default() }), ..at("sap") };
    assert_eq!(ask(&safe, "ana", "data.read", record), Reason::ElementNotListed);
    let question = Question { principal: "ana", resource: at("sap"), ..Question::default() };
    let walk = doorward::core::decision::Walk::begin(&safe, &question, NOW).unwrap();
    assert_eq!((walk.permissions().count(), walk.refused()), (0, Some(Reason::ElementNotListed)));
    let both = table(&file(json!({"element_safelist": ["jira", "own"]})));
    assert_eq!(
        (answers(&both, "ana"), answers(&both, "service:bot")),
        ([true, true, false, true], [true, true, false, false])
    );
    let denied = table(&file(json!({"super_organization": "globex", "element_denylist": ["sap", "app", "elsewhere"]})));
    assert_eq!(
        (answers(&denied, "ana"), answers(&denied, "service:bot")),
        ([true, true, false, true], [true, true, false, false])
    );
    // Status comes first (4.2), and what is not known is an error whatever is listed (4.1).
    let grant = |member: &str| json!([{"permissions": ["*"], "member": member}]);
    let off = table(&file(json!({"element_safelist": ["jira"], "grants": grant("user:off")})));
    assert_eq!(ask(&off, "off", "data.read", at("sap")), Reason::PrincipalInactive);
}

#[test]
fn m7_2_a_safelist_lists_elements_and_an_element_that_goes_opens_no_others() {
    let objects =
        json!([{"id": "app", "kind": "app"}, {"id": "jira", "kind": "element"}, {"id": "sap", "kind": "element"}]);
    let before = table(&base(json!({"objects": objects, "element_safelist": ["jira"]})));
    let entry = |element: &str| Row::SafelistElement(doorward::core::model::SafelistElement { element: id(element) });
    assert_eq!(violations(&before, Change::Create(entry("app"))), [("element", "MISPLACED")]);
    assert_eq!(violations(&before, Change::Create(entry("nothing"))), [("element", "UNKNOWN_REFERENCE")]);
    let delete = |element: &str| Change::Delete { keys: vec![Key::Object(id(element))], etag: None };
    assert_eq!(violations(&before, delete("jira")), [("", "LAST_LISTED")]);
    // With another one listed it goes, and its entry with it; who deletes both asks for just that.
    let both = applied(&before, vec![Change::Create(entry("sap"))]);
    let after = doorward::core::change::apply(&both, vec![delete("jira")]).unwrap();
    let effects = [(Key::Object(id("jira")), Effect::Deleted), (Key::SafelistElement(id("jira")), Effect::Deleted)];
    assert_eq!(after.effects, effects);
    assert_eq!(after.table.safelist().iter().map(Id::as_str).collect::<Vec<_>>(), ["sap"]);
    let keys = vec![Key::Object(id("jira")), Key::SafelistElement(id("jira"))];
    let emptied = applied(&before, vec![Change::Delete { keys, etag: None }]);
    assert!(emptied.safelist().is_empty());
    assert_eq!(
        ask(&emptied, "ana", "data.read", Resource { object: "sap", ..Resource::default() }),
        Reason::NoPermission
    );
}

#[test]
fn m4_5_what_is_held_reaches_down_and_not_up_or_across() {
    let groups = json!([{"id": "risk", "kind": "manual", "members": ["user:ana", "group:sub"]}, {"id": "sub", "kind": "manual", "members": ["service:bot"]}]);
    let record = |id| Resource { record: Some(Record { id, ..Record::default() }), ..in_app() };
    let everywhere =
        [Resource::default(), in_account("main"), in_account("emea"), in_app(), record("r1"), record("r2")];
    for (target, expected) in [
        (json!({}), [true; 6]),
        (json!({"account": "emea"}), [false, false, true, false, false, false]),
        (json!({"object": "app"}), [false, false, false, true, true, true]),
        (json!({"object": "other"}), [false; 6]),
        (json!({"object": "app", "record": "r1"}), [false, false, false, false, true, false]),
    ] {
        for member in ["user:ana", "group:risk", "service:bot"] {
            let mut grant = target.clone();
            grant["permissions"] = json!(["data.read"]);
            grant["member"] = json!(member);
            let table = table(&base(json!({"groups": groups, "grants": [grant]})));
            let who = if member == "group:risk" { "service:bot" } else { member };
            let got = everywhere.map(|r| ask(&table, who, "data.read", r) == Reason::Allowed);
            assert_eq!(got, expected, "{member} at {target}");
        }
    }
}

#[test]
fn ids_that_look_alike_are_not_the_same() {
    let ids = ["a", "A", "á", "a\u{301}", "a ", "a|b", "a:b", "user:a", "..", "*", "\"", "\\", "null", "😀"];
    let users: Vec<Value> =
        ids.iter().enumerate().map(|(n, i)| json!({"id": i, "email": format!("u{n}@x.io")})).collect();
    for holder in ids {
        let grants = json!([{"permissions": ["data.read"], "member": format!("user:{holder}")}]);
        let table = table(&base(json!({"users": users, "grants": grants})));
        for who in ids {
            let got = ask(&table, &format!("user:{who}"), "data.read", Resource::default());
            assert_eq!(got == Reason::Allowed, who == holder, "{who} for {holder}");
        }
    }
}

#[test]
fn an_applied_file_is_whole_or_nothing_and_names_what_changed() {
    let table = table(&base(json!({})));
    let mut file = base(json!({"groups": [{"id": "risk", "kind": "manual", "members": ["user:ana"]}]}));
    file["users"][1]["email"] = json!("ana@ACME.com");
    let twice = Change::Replace { rows: rows(&file), deactivate_missing: false };
    assert_eq!(violations(&table, twice), [("email", "EMAIL_TAKEN")]);
    file["users"][1]["email"] = json!("new@partner.io");
    let fine = apply(&table, vec![Change::Replace { rows: rows(&file), deactivate_missing: false }]).unwrap();
    let effects: Vec<_> = fine.effects.iter().map(|(k, e)| (k.describe(), *e)).collect();
    assert_eq!(effects, [("user `ana`".to_owned(), Effect::Updated), ("user `ext`".to_owned(), Effect::Updated)]);
    // Addresses may change hands within one change.
    let (a, b) = (file["users"][0]["email"].clone(), file["users"][1]["email"].clone());
    (file["users"][0]["email"], file["users"][1]["email"]) = (b, a);
    applied(&fine.table, vec![Change::Replace { rows: rows(&file), deactivate_missing: false }]);
    // Nobody is removed: a user missing from the file is an error, or deactivated if asked.
    file["users"].as_array_mut().unwrap().remove(1);
    let without = |deactivate_missing| Change::Replace { rows: rows(&file), deactivate_missing };
    assert_eq!(violations(&table, without(false)), [("", "NEVER_REMOVED")]);
    let left = applied(&table, vec![without(true)]);
    assert_eq!(ask(&left, "ext", "data.read", Resource::default()), Reason::PrincipalInactive);
}

#[test]
fn an_etag_is_of_what_was_read() {
    let table = table(&base(json!({})));
    let row = table.row(&Key::Group(id("risk"))).unwrap();
    let etag = doorward::core::change::etag(&row);
    let renamed = |name: &str| match row.clone() {
        Row::Group(g) => Row::Group(Group { name: name.to_owned(), ..g }),
        _ => unreachable!(),
    };
    let update = |name: &str| Change::Update { row: renamed(name), etag: Some(etag.clone()) };
    let next = applied(&table, vec![update("Risk")]);
    assert!(matches!(apply(&next, vec![update("Other")]), Err(ChangeError::EtagMismatch(_))));
    // Becoming a member is no change of the member.
    let add = Change::AddMembers { group: id("risk"), members: vec![Member::Group(id("all-users"))] };
    let next = applied(&table, vec![add]);
    applied(&next, vec![update("Risk")]);
}

#[test]
fn m3_1_an_alias_in_use_cannot_be_dropped() {
    let file = |aliases: Value, member: &str| {
        base(json!({
            "permissions": [{"name": "data.read", "aliases": aliases}, {"name": "data.move"}],
            "roles": [{"id": "r", "scope": "organization", "permissions": ["data.move"]}],
            "grants": [{"permissions": [if member == "user:ext" { "data.read" } else { "READ" }], "member": member}],
        }))
    };
    let table = table(&file(json!(["READ"]), "user:ana"));
    let dropped = rows(&file(json!([]), "user:ext"))
        .into_iter()
        .find(|r| matches!(r, Row::Permission(p) if p.name.as_str() == "data.read"));
    let drop_alias = Change::Update { row: dropped.unwrap(), etag: None };
    assert_eq!(violations(&table, drop_alias.clone()), [("permissions", "UNKNOWN_REFERENCE")]);
    // Once the grant by that alias is gone, the alias may go too.
    let rows = rows(&file(json!([]), "user:ext"));
    let table = applied(&table, vec![Change::Replace { rows: rows.clone(), deactivate_missing: false }]);
    assert_eq!(ask(&table, "ana", "data.read", Resource::default()), Reason::NoPermission);
    assert_eq!(ask(&table, "ext", "data.read", Resource::default()), Reason::Allowed);
    Table::load(id("acme"), "h".into(), 1, 1, rows).unwrap();
}

#[test]
fn m3_6_a_holder_of_org_admin_stays_in_the_default_account() {
    let file = |account: &str, default: &str| {
        json!({
            "organization": "acme", "preset": "integration",
            "accounts": [{"id": "main", "default": default == "main"}, {"id": "emea", "default": default == "emea"}],
            "users": [{"id": "d", "email": "d@x.io", "account": account}],
            "assignments": [{"role": "org-admin", "member": "user:d"}],
        })
    };
    let table = table(&file("main", "main"));
    let replace = |f: Value| Change::Replace { rows: rows(&f), deactivate_missing: false };
    assert_eq!(violations(&table, replace(file("emea", "main"))), [("account", "MISPLACED")]);
    assert_eq!(violations(&table, replace(file("main", "emea"))), [("account", "MISPLACED")]);
    assert_eq!(violations(&table, replace(file("emea", "emea"))), []);
}

#[test]
fn m3_6_an_assignment_of_org_admin_that_is_over_holds_nobody_in_the_default_account() {
    let file = |account: &str, until: i64| {
        let until = jiff::Timestamp::from_millisecond(until).unwrap().to_string();
        json!({
            "organization": "acme", "preset": "integration",
            "accounts": [{"id": "main", "default": true}, {"id": "emea"}],
            "users": [{"id": "d", "email": "d@x.io", "account": account}],
            "assignments": [{"role": "org-admin", "member": "user:d", "expires_at": until}],
        })
    };
    let replace = |f: &Value| vec![Change::Replace { rows: rows(f), deactivate_missing: false }];
    let before = table(&file("main", NOW));
    let moved = file("emea", NOW);
    assert!(matches!(apply_at(&before, replace(&moved), NOW - 1), Err(ChangeError::Violations(_))), "not over yet");
    let moved = apply_at(&before, replace(&moved), NOW).unwrap().table;
    // It can be exported, applied elsewhere and loaded, but not made to last again there.
    let rows: Vec<Row> = moved.rows().collect();
    Table::load(id("acme"), "h".into(), 1, 1, rows.clone()).unwrap();
    apply_at(&blank(1), vec![Change::Replace { rows, deactivate_missing: false }], NOW).unwrap();
    match apply_at(&moved, replace(&file("emea", NOW + 1)), NOW) {
        Err(ChangeError::Violations(v)) => assert_eq!((v[0].field, v[0].fault.reason()), ("member", "MISPLACED")),
        other => panic!("{:?}", other.map(|applied| applied.effects)),
    }
    apply_at(&moved, replace(&file("main", NOW + 1)), NOW).unwrap();
}
