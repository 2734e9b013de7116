use super::*;
use crate::core::Violation;
use crate::core::change::{Applied, Change, ChangeError, apply};
use crate::core::id::{Email, OpaqueId, Pattern, PermissionName};
use crate::core::model::*;
use crate::core::table::Table;

/// FILES.md's example without the sections of later versions.
pub const EXAMPLE: &str = r"organization: acme
display_name: Acme Ltd
super_organization: globex
preset: workspace                 # workspace | integration | none
email_domains: [{domain: acme.com, audience: internal}, {domain: partner.io, audience: external}]
settings:
  invite_policy: {mode: allowed_domains, domains: [acme.com]}     # admins_only | any_domain | allowed_domains
  auto_create_unknown_users: true
  external_reauthentication: {max_age: 12h}
accounts: [{id: main, default: true}, {id: emea}]
permissions:
  - {name: invoices.approve, aliases: [APPROVE_INVOICE], requires_visibility: true, requires_approver: true, when_not_owner: invoices.approve_any}
  - {name: invoices.approve_any, level: account}                 # organization | account | object (default)
objects:
  - {id: vendor-risk, kind: app, fields: {region: string, amount: double, tags: list<string>, due: timestamp, open: bool, level: int}}
  - {id: salesforce, kind: element, private_to: account:emea}     # or user:ID
user_attributes: {team: string}   # declared ones are type-checked in conditions
users:
  - {id: ana, email: ana@acme.com, first_name: Ana, last_name: Li, kind: internal, account: main, manager: bo, status: active, attributes: {team: risk}}
  - {id: ext, email: e@partner.io, status: inactive, status_before: limited}
  - {id: new, email: n@acme.com, status: invited, pending_groups: [risk]}
  - {id: bo, email: bo@acme.com}
service_accounts: [{id: ci-bot, account: main, status: active, attributes: {team: build}}]
groups:
  - {id: risk, name: Risk, kind: manual, photo_uri: 'https://…', members: ['user:ana', 'group:staff'], visibility: [data_access, watchable]}
  - {id: staff, kind: dynamic, domains: [acme.com], visibility: [data_access]}
  - {id: all-users, kind: system, visibility: [mentionable]}       # also internal-users, external-users
roles:                            # managed roles cannot be given; a system role's permissions can
  - {id: reviewer, name: Reviewer, description: reads and comments, scope: object, object: vendor-risk, permissions: [records.read, 'automations.*'], auto_share: [watcher, shared]}
assignments:
  - {role: reviewer, member: 'group:risk', object: vendor-risk, starts_at: 2026-01-01T00:00:00Z, expires_at: 2027-01-01T00:00:00Z}
  - {role: reviewer, member: 'user:bo', object: vendor-risk, record: r-9}
grants: [{permissions: [records.read], member: 'user:bo', object: vendor-risk, record: r-17}]
relations: [{relation: shared, member: 'user:ext', object: vendor-risk, record: r-17}]     # … | approver
data_access:
  - {id: own-team, object: vendor-risk, effect: allow, members: ['group:risk'], condition: 'record.region == user.attributes.region'}
";

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn opaque(text: &str) -> OpaqueId {
    OpaqueId::parse(text).unwrap()
}

fn row(file: &OrganizationFile, key: &Key) -> Row {
    file.rows.iter().find(|row| row.key() == *key).unwrap().clone()
}

#[test]
fn the_documented_example_reads() {
    let file = parse(EXAMPLE).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(file.organization, id("acme"));
    assert_eq!(file.rows.len(), 21);
    assert!(file.rows.is_sorted_by_key(Row::key));
    let Row::Settings(settings) = row(&file, &Key::Settings) else { panic!() };
    assert_eq!(settings.external_reauthentication_ms, Some(12 * 3_600_000));
    assert_eq!(settings.super_organization, Some(id("globex")));
    assert_eq!(
        row(&file, &Key::User(opaque("ana"))),
        Row::User(User {
            id: opaque("ana"),
            email: Email::parse("ana@acme.com").unwrap(),
            first_name: "Ana".to_owned(),
            last_name: "Li".to_owned(),
            kind: UserKind::Internal,
            account: id("main"),
            manager: Some(opaque("bo")),
            status: Status::Active,
            status_before: None,
            pending_groups: vec![],
            attributes: [("team".to_owned(), Value::String("risk".to_owned()))].into(),
            groups: vec![id("risk")],
            sign_ons: vec![],
        })
    );
    let Row::User(ext) = row(&file, &Key::User(opaque("ext"))) else { panic!() };
    assert_eq!((ext.kind, ext.account.as_str()), (UserKind::External, "main"));
    let Row::Group(staff) = row(&file, &Key::Group(id("staff"))) else { panic!() };
    assert_eq!(staff.groups, [id("risk")]);
    let Row::Permission(approve) = row(&file, &Key::Permission(PermissionName::parse("invoices.approve").unwrap()))
    else {
        panic!()
    };
    assert_eq!(approve.aliases, [PermissionName::parse("APPROVE_INVOICE").unwrap()]);
    let Row::Role(reviewer) = row(&file, &Key::Role(id("reviewer"))) else { panic!() };
    assert_eq!(reviewer.auto_share, [Relation::Watcher, Relation::Shared]);
    let (relation, member) = (Relation::Shared, Member::User(opaque("ext")));
    let key = Key::Related(relation, member.clone(), id("vendor-risk"), opaque("r-17"));
    let related = Related { relation, member, object: id("vendor-risk"), record: opaque("r-17") };
    assert_eq!(row(&file, &key), Row::Related(related));
    assert_eq!(
        row(&file, &Key::Policy(id("own-team"))),
        Row::Policy(Policy {
            id: id("own-team"),
            object: id("vendor-risk"),
            effect: Effect::Allow,
            members: vec![Member::Group(id("risk"))],
            condition: Some("record.region == user.attributes.region".to_owned()),
        })
    );
}

#[test]
fn what_is_written_reads_back() {
    let file = parse(EXAMPLE).unwrap();
    let text = write(&file.organization, &file.rows);
    let again = parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(again.rows, file.rows);
    assert_eq!(write(&file.organization, &again.rows), text);
}

#[test]
fn rows_are_found_in_the_file() {
    let file = parse(EXAMPLE).unwrap();
    let place = |key: &Key| file.place(key).map(|p| format!("{}:{}:{}", p.line, p.column, p.path));
    let at = |text: &str| Some(text.to_owned());
    assert_eq!(place(&Key::User(opaque("ext"))), at("20:10:users[1]"));
    assert_eq!(place(&Key::Settings), at("1:15:organization"));
    let target = Target::Record(id("vendor-risk"), opaque("r-17"));
    let member = Member::User(opaque("bo"));
    let grant = Key::Grant(Pattern::parse("records.read").unwrap(), member, target);
    assert_eq!(place(&grant), at("33:10:grants[0]"));
    assert_eq!(place(&Key::User(opaque("nobody"))), None);
    let related = Key::Related(Relation::Shared, Member::User(opaque("ext")), id("vendor-risk"), opaque("r-17"));
    assert_eq!(place(&related), at("34:13:relations[0]"));
    let policy = Key::Policy(id("own-team"));
    assert_eq!(place(&policy), at("36:10:data_access[0]"));
    let field = |field| file.place_of(&policy, field).map(|p| format!("{}:{}:{}", p.line, p.column, p.path));
    assert_eq!(field("condition"), at("36:92:data_access[0].condition"));
    assert_eq!(field("members"), at("36:10:data_access[0].members"));
}

fn made(text: &str) -> (OrganizationFile, Result<Applied, ChangeError>) {
    let file = OrganizationFile::parse(text, "acme.yaml", Known::of).unwrap_or_else(|e| panic!("{e}"));
    let blank = Table::blank(file.organization.clone(), "offline".into(), 0);
    let rows = file.rows.clone();
    let applied = apply(&blank, vec![Change::Replace { rows, deactivate_missing: false }]);
    (file, applied)
}

#[test]
fn the_documented_example_makes_an_organization() {
    let (file, applied) = made(EXAMPLE);
    let table = applied.unwrap_or_else(|e| panic!("{e:?}")).table;
    let mut rows: Vec<Row> = table.rows().collect();
    rows.sort_by_cached_key(Row::key);
    assert_eq!(rows, file.rows);
}

#[test]
fn what_is_wrong_with_a_policy_points_at_it() {
    let text = "organization: a
users: [{id: x, email: x@y.z}]
service_accounts: [{id: ci}]
objects: [{id: o, kind: app, fields: {region: string}}]
roles: [{id: r, scope: object, auto_share: [shared]}]
relations: [{relation: watcher, member: 'service:ci', object: o, record: r-1}]
data_access:
  - {id: fine, object: o, effect: allow, members: [], condition: record.region == 'eu'}
  - id: wrong
    object: o
    effect: restrict
    members: ['service:ci']
    condition: >-
      record.regoin == 'eu' &&
      record.region > 5
  - {id: empty, object: o, effect: restrict, members: ['user:x'], condition: ''}
";
    let (file, applied) = made(text);
    let Err(ChangeError::Violations(violations)) = applied else { panic!() };
    let told = |v: &Violation| {
        let p = file.place_of(&v.key, v.field).unwrap();
        format!("{}:{}: {}: {}", p.line, p.column, p.path, v.fault)
    };
    let mut found: Vec<String> = violations.iter().map(told).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "14:7: data_access[1].condition: line 1, column 40: `>` cannot compare a string with an int",
            "14:7: data_access[1].condition: line 1, column 8: unknown field `regoin`, did you mean `region`?",
            "16:78: data_access[2].condition: line 1, column 1: the condition is empty",
            "5:14: roles[0].auto_share: only a custom role that is tied to an object can be shared automatically",
            "6:13: relations[0].member: a relation is a user's or a group's",
            "9:9: data_access[1].members: a policy is about groups and users; a service account may be in a group",
        ]
    );
}

#[test]
fn a_file_without_accounts_has_the_account_main() {
    let file = parse("organization: a\nusers: [{id: x, email: x@y.z}]\n").unwrap();
    let Row::Account(account) = row(&file, &Key::Account(id("main"))) else { panic!() };
    assert!(account.default);
    let Row::User(user) = row(&file, &Key::User(opaque("x"))) else { panic!() };
    assert_eq!(user.account, id("main"));
    assert_eq!(file.place(&Key::Account(id("main"))), None);
    assert_eq!(file.rows.len(), 3);
}

#[test]
fn absent_settings_are_the_closed_ones() {
    let file = parse("organization: a\n").unwrap();
    let Row::Settings(settings) = row(&file, &Key::Settings) else { panic!() };
    assert_eq!(settings.invite_policy, InvitePolicy::AdminsOnly);
    assert!(!settings.auto_create_unknown_users);
    assert_eq!(settings.external_reauthentication_ms, None);
    assert_eq!(settings.preset, Preset::None);
}

#[test]
fn the_order_of_the_sections_does_not_matter() {
    let forward = parse(EXAMPLE).unwrap();
    let mut sections: Vec<String> = vec![];
    for line in EXAMPLE.lines() {
        if line.starts_with(' ') {
            let last = sections.last_mut().unwrap();
            last.push_str(line);
            last.push('\n');
        } else {
            sections.push(format!("{line}\n"));
        }
    }
    sections.reverse();
    let backward = parse(&sections.concat()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(backward.rows, forward.rows);
}

#[test]
fn json_is_yaml_too() {
    let text = "{\n\t\"organization\": \"a\",\n\t\"users\": [{\"id\": \"\\ud83d\\ude00\", \"email\": \"x@y.z\",\
        \"attributes\": {\"n\": 1.5e3, \"t\": true, \"z\": null, \"s\": \"\\/\\u00e9\"}}]\n}\n";
    let file = parse(text).unwrap_or_else(|e| panic!("{e}"));
    let Row::User(user) = row(&file, &Key::User(opaque("😀"))) else { panic!() };
    let expected = [
        ("n".to_owned(), Value::Double(1500.0)),
        ("s".to_owned(), Value::String("/é".to_owned())),
        ("t".to_owned(), Value::Bool(true)),
        ("z".to_owned(), Value::Null),
    ];
    assert_eq!(user.attributes, expected.into());
}

#[test]
fn attributes_have_their_declared_types() {
    let text = "organization: a
user_attributes: {due: timestamp, dues: list<timestamp>, rate: double}
users:
  - id: x
    email: x@y.z
    attributes: {due: 2026-01-01T00:00:00.5Z, dues: ['2026-01-01T01:00:00+01:00'], rate: 3, free: 2026-01-01T00:00:00Z,
      said: !!timestamp 2026-01-01T00:00:00Z, n: 0x10, t: [a, 1, null]}
";
    let file = parse(text).unwrap_or_else(|e| panic!("{e}"));
    let Row::User(user) = row(&file, &Key::User(opaque("x"))) else { panic!() };
    let day = 1_767_225_600_000;
    let expected = [
        ("due", Value::Timestamp(day + 500)),
        ("dues", Value::List(vec![Value::Timestamp(day)])),
        ("free", Value::String("2026-01-01T00:00:00Z".to_owned())),
        ("n", Value::Int(16)),
        ("rate", Value::Double(3.0)),
        ("said", Value::Timestamp(day)),
        ("t", Value::List(vec![Value::String("a".to_owned()), Value::Int(1), Value::Null])),
    ];
    assert_eq!(user.attributes, expected.map(|(k, v)| (k.to_owned(), v)).into());
}

#[test]
fn a_system_group_that_joins_a_group_gets_a_row() {
    let text = "organization: a
groups:
  - {id: one, kind: manual, members: ['group:all-users']}
  - {id: two, kind: manual, members: ['group:all-users']}
";
    let file = parse(text).unwrap_or_else(|e| panic!("{e}"));
    let Row::Group(all) = row(&file, &Key::Group(id("all-users"))) else { panic!() };
    assert_eq!(all.groups, [id("one"), id("two")]);
    assert_eq!(all.kind, GroupKind::System);
    assert_eq!(parse(&write(&id("a"), &file.rows)).unwrap().rows, file.rows);
}

#[test]
fn a_system_role_keeps_all_but_its_permissions() {
    let text = "organization: a\npreset: integration\nroles: [{id: org, permissions: [users.read]}]\n";
    let file = parse(text).unwrap_or_else(|e| panic!("{e}"));
    let Row::Role(role) = row(&file, &Key::Role(id("org"))) else { panic!() };
    assert_eq!((role.kind, role.scope, role.name.as_str()), (RoleKind::System, Scope::Organization, "ORG"));
    assert_eq!(parse(&write(&id("a"), &file.rows)).unwrap().rows, file.rows);
}
