use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use super::*;
use crate::core::id::{Domain, Email, OpaqueId, Pattern, PermissionName};
use crate::core::model::*;

const HOSTILE: &[&str] = &[
    "",
    " ",
    "yes",
    "No",
    "ON",
    "y",
    "null",
    "~",
    "true",
    "False",
    "1e3",
    "0x1",
    "0o7",
    "1_000",
    "12",
    "-1",
    "+.5",
    ".inf",
    ".nan",
    "2026-01-01",
    "2026-01-01T00:00:00Z",
    "12:30:45",
    "=",
    "<<",
    "-",
    "--",
    "---",
    "...",
    "- a",
    "a - b",
    "a -b",
    "? x",
    ": ",
    "a: b",
    "a:",
    "a #b",
    "#",
    "# x",
    "'",
    "\"",
    "'a'",
    "\\",
    "\\n",
    "a\nb",
    "\n",
    "\r\n",
    "\t",
    "a\tb",
    " lead",
    "trail ",
    "a  b",
    "*x",
    "&x",
    "!x",
    "!!str",
    "%x",
    "@x",
    "`x`",
    "|",
    ">",
    "|-\n x",
    "[a",
    "a]",
    "{a",
    "a}",
    "a,b",
    ",",
    "ünï",
    "日本",
    "😀",
    "👩‍👩‍👧",
    "\u{0}",
    "\u{7}",
    "\u{1b}[0m",
    "\u{7f}",
    "\u{80}",
    "\u{85}",
    "\u{9f}",
    "\u{a0}",
    "\u{2028}",
    "\u{2029}",
    "\u{202e}",
    "\u{feff}",
    "\u{feff}x",
    "\u{fffe}",
    "\u{ffff}",
    "\u{10ffff}",
    "e\u{301}",
    "𝒳",
    "user:x",
    "group:x",
    "a/b.c",
    "Acme Ltd",
    "https://x.y/?a=b&c#d",
    "\u{ad}",
];

fn text(r: &mut Rng) -> String {
    let count = r.usize(0..3);
    (0..count).map(|_| *r.choice(HOSTILE).unwrap()).collect()
}

fn pick<T: Clone>(r: &mut Rng, from: &[T]) -> T {
    r.choice(from).unwrap().clone()
}

fn some<T: Clone + Ord>(r: &mut Rng, from: &[T]) -> Vec<T> {
    let set: BTreeSet<T> = (0..r.usize(0..4)).filter_map(|_| r.choice(from).cloned()).collect();
    set.into_iter().collect()
}

fn id(r: &mut Rng) -> Id {
    const IDS: [&str; 9] = ["yes", "null", "1e3", "0x1", "12", "2026-01-01", "A/b.c_d-e", "true", "n"];
    let tail = r.u8(..);
    let text = if r.bool() { pick(r, &IDS).to_owned() } else { format!("i{tail}") };
    Id::parse(&text).unwrap()
}

fn opaque(r: &mut Rng) -> OpaqueId {
    loop {
        if let Ok(id) = OpaqueId::parse(&text(r)) {
            return id;
        }
    }
}

fn unique<T: Ord>(r: &mut Rng, most: usize, make: impl Fn(&mut Rng) -> T) -> Vec<T> {
    let set: BTreeSet<T> = (0..r.usize(0..most)).map(|_| make(r)).collect();
    set.into_iter().collect()
}

fn domain(r: &mut Rng) -> Domain {
    Domain::parse(pick(r, &["acme.com", "partner.io", "münchen.de", "no", "1.2"])).unwrap()
}

fn email(r: &mut Rng) -> Email {
    let host = match r.u8(..3) {
        0 => domain(r).to_string().to_uppercase(),
        1 => domain(r).to_string(),
        _ => "x:y".to_owned(),
    };
    loop {
        if let Ok(email) = Email::parse(&format!("{}@{host}", text(r))) {
            return email;
        }
    }
}

fn millis(r: &mut Rng) -> Millis {
    r.i64(-62_135_596_800_000..253_402_207_200_000)
}

fn scalar_type(r: &mut Rng) -> FieldType {
    use FieldType::{Bool, Double, Int, String, Timestamp};
    pick(r, &[String, Int, Double, Bool, Timestamp])
}

fn types(r: &mut Rng) -> BTreeMap<String, FieldType> {
    (0..r.usize(0..4))
        .map(|_| {
            let item = scalar_type(r);
            let field = if r.bool() { item } else { FieldType::List(Box::new(item)) };
            (opaque(r).to_string(), field)
        })
        .collect()
}

fn single(r: &mut Rng) -> Value {
    match r.u8(..6) {
        0 => Value::Null,
        1 => Value::Bool(r.bool()),
        2 => Value::Int(pick(r, &[0, 1, -1, 10, i64::MAX, i64::MIN])),
        3 => Value::Double(pick(r, &[0.0, 1.0, -0.5, 0.1, 1e300, 5e-324, 1e16, f64::MAX, f64::MIN, -3.0])),
        4 => Value::String(text(r)),
        _ => Value::Timestamp(millis(r)),
    }
}

fn attributes(r: &mut Rng, declared: &BTreeMap<String, FieldType>) -> BTreeMap<String, Value> {
    let names: Vec<String> = declared.keys().cloned().collect();
    (0..r.usize(0..4))
        .map(|_| {
            let name = match r.choice(&names) {
                Some(name) if r.bool() => name.clone(),
                _ => opaque(r).to_string(),
            };
            let value =
                if r.u8(..4) == 0 { Value::List((0..r.usize(0..3)).map(|_| single(r)).collect()) } else { single(r) };
            (name, value)
        })
        .collect()
}

fn period(r: &mut Rng) -> Period {
    let mut bound = || r.bool().then(|| millis(r));
    Period { starts_at: bound(), expires_at: bound() }
}

fn pattern(r: &mut Rng, catalogue: &[PermissionName]) -> Pattern {
    match r.u8(..3) {
        0 => Pattern::parse("*").unwrap(),
        1 => Pattern::parse("records.*").unwrap(),
        _ => Pattern::of(&pick(r, catalogue)),
    }
}

/// Everything that rows can be, of an organization that names only what it has.
#[expect(clippy::too_many_lines)]
fn organization(r: &mut Rng) -> Vec<Row> {
    let preset = pick(r, &[Preset::None, Preset::Workspace, Preset::Integration]);
    let known = known(preset);
    let user_attributes = types(r);
    let email_domains: BTreeMap<Domain, UserKind> =
        (0..r.usize(0..3)).map(|_| (domain(r), pick(r, &[UserKind::Internal, UserKind::External]))).collect();
    let mut rows = vec![Row::Settings(Settings {
        display_name: text(r),
        super_organization: r.bool().then(|| id(r)),
        preset,
        email_domains: email_domains.into_iter().map(|(domain, audience)| EmailDomain { domain, audience }).collect(),
        invite_policy: match r.u8(..3) {
            0 => InvitePolicy::AdminsOnly,
            1 => InvitePolicy::AnyDomain,
            _ => InvitePolicy::AllowedDomains(unique(r, 3, domain)),
        },
        auto_create_unknown_users: r.bool(),
        external_reauthentication_ms: r
            .bool()
            .then(|| pick(r, &[1, 999, 1000, 60_000, 5_400_000, 86_400_000, 999_999_999_999])),
        user_attributes: user_attributes.clone(),
    })];

    let mut accounts = unique(r, 3, id);
    if accounts.is_empty() {
        accounts.push(Id::parse("main").unwrap());
    }
    let home = pick(r, &accounts);
    for account in &accounts {
        let display_name = if r.bool() { text(r) } else { String::new() };
        rows.push(Row::Account(Account { id: account.clone(), default: *account == home, display_name }));
    }

    let own: Vec<_> = (0..r.usize(0..4)).map(|n| PermissionName::parse(&format!("own.p{n}")).unwrap()).collect();
    let mut catalogue = own.clone();
    catalogue.push(PermissionName::parse("users.read").unwrap());
    for (n, name) in own.iter().enumerate() {
        rows.push(Row::Permission(Permission {
            name: name.clone(),
            aliases: (0..r.usize(0..3)).map(|m| PermissionName::parse(&format!("{n}{m}")).unwrap()).collect(),
            level: pick(r, &[Level::Object, Level::Account, Level::Organization]),
            requires_visibility: r.bool(),
            requires_approver: r.bool(),
            when_not_owner: r.bool().then(|| pick(r, &catalogue)),
        }));
    }

    let users = unique(r, 8, opaque);
    let services = unique(r, 4, opaque);
    let objects = unique(r, 4, id);
    for object in &objects {
        rows.push(Row::Object(Object {
            id: object.clone(),
            kind: pick(r, &[ObjectKind::App, ObjectKind::Element, ObjectKind::Task, ObjectKind::Workflow]),
            display_name: text(r),
            fields: types(r),
            private_to: match (r.u8(..3), r.choice(&users)) {
                (0, _) => Some(PrivateTo::Account(pick(r, &accounts))),
                (1, Some(user)) => Some(PrivateTo::User(user.clone())),
                _ => None,
            },
        }));
    }

    let mut roles: Vec<Id> = known.roles.keys().map(|id| Id::parse(id).unwrap()).collect();
    for shipped in known.roles.values().filter(|role| role.kind == RoleKind::System) {
        if r.bool() {
            let permissions = unique(r, 3, |r| pattern(r, &catalogue));
            rows.push(Row::Role(Role { permissions, ..shipped.clone() }));
        }
    }
    for role in unique(r, 4, id) {
        let scope = pick(r, &[Scope::Organization, Scope::Account, Scope::Object]);
        let object = r.choice(&objects).filter(|_| scope == Scope::Object).cloned();
        rows.push(Row::Role(Role {
            id: role.clone(),
            name: text(r),
            description: text(r),
            kind: RoleKind::Custom,
            scope,
            object,
            permissions: unique(r, 4, |r| pattern(r, &catalogue)),
            auto_share: some(r, &Relation::ALL[..4]),
        }));
        roles.push(role);
    }

    let mut groups: Vec<(Id, GroupKind)> = unique(r, 5, id)
        .into_iter()
        .map(|id| (id, if r.bool() { GroupKind::Manual } else { GroupKind::Dynamic(unique(r, 3, domain)) }))
        .collect();
    let manual: Vec<Id> =
        groups.iter().filter(|(_, kind)| *kind == GroupKind::Manual).map(|(id, _)| id.clone()).collect();
    groups.extend(r.bool().then(|| (Id::parse("all-users").unwrap(), GroupKind::System)));
    for (group, kind) in &groups {
        let named = *kind != GroupKind::System;
        rows.push(Row::Group(Group {
            id: group.clone(),
            name: if named { text(r) } else { String::new() },
            kind: kind.clone(),
            photo_uri: if named { text(r) } else { String::new() },
            visibility: Visibility {
                mentionable: r.bool(),
                watchable: r.bool(),
                assignable: r.bool(),
                approver: r.bool(),
                data_access: r.bool(),
            },
            groups: some(r, &manual),
        }));
    }
    let group_ids: Vec<Id> = groups.iter().map(|(id, _)| id.clone()).collect();

    for user in &users {
        rows.push(Row::User(User {
            id: user.clone(),
            email: email(r),
            first_name: text(r),
            last_name: text(r),
            kind: pick(r, &[UserKind::Internal, UserKind::External]),
            account: pick(r, &accounts),
            manager: r.bool().then(|| pick(r, &users)),
            status: pick(r, &[Status::Invited, Status::Active, Status::Limited, Status::Inactive]),
            status_before: pick(r, &[None, Some(Status::Active), Some(Status::Limited)]),
            pending_groups: some(r, &group_ids),
            attributes: attributes(r, &user_attributes),
            groups: some(r, &manual),
            sign_ons: Vec::new(),
        }));
    }
    for service in &services {
        rows.push(Row::Service(ServiceAccount {
            id: service.clone(),
            account: pick(r, &accounts),
            status: pick(r, &[Status::Active, Status::Inactive]),
            attributes: attributes(r, &user_attributes),
            groups: some(r, &manual),
        }));
    }

    let user_ids = users.clone();
    let mut members: Vec<Member> = users.into_iter().map(Member::User).collect();
    members.extend(services.into_iter().map(Member::Service));
    members.extend(group_ids.into_iter().map(Member::Group));
    members.push(Member::Group(Id::parse("external-users").unwrap()));
    let mut targets = vec![Target::Organization];
    targets.extend(accounts.into_iter().map(Target::Account));
    targets.extend(objects.iter().cloned().map(Target::Object));
    targets.extend(objects.iter().map(|object| Target::Record(object.clone(), opaque(r))));
    let periods: Vec<Period> = (0..3).map(|_| period(r)).chain([Period::default()]).collect();
    let mut edges: BTreeMap<Key, Row> = BTreeMap::new();
    for _ in 0..r.usize(0..12) {
        let (member, target) = (pick(r, &members), pick(r, &targets));
        let period = pick(r, &periods);
        let row = match r.choice(&roles) {
            Some(role) if r.bool() => {
                Row::Assignment(Assignment { role: role.clone(), member, target, period, by_hand: r.bool() })
            }
            _ => Row::Grant(Grant { permission: pattern(r, &catalogue), member, target, period }),
        };
        edges.insert(row.key(), row);
    }
    for _ in 0..r.usize(0..6) {
        let Some(object) = r.choice(&objects).cloned() else { break };
        let (relation, member) = (pick(r, &Relation::ALL), pick(r, &members));
        let row = Row::Related(Related { relation, member, object, record: opaque(r) });
        edges.insert(row.key(), row);
    }
    rows.extend(edges.into_values());
    let listed = some(r, &objects);
    rows.extend(listed.into_iter().map(|element| Row::SafelistElement(SafelistElement { element })));
    for policy in unique(r, 4, id) {
        let Some(object) = r.choice(&objects).cloned() else { break };
        rows.push(Row::Policy(Policy {
            id: policy,
            object,
            effect: pick(r, &[Effect::Allow, Effect::Restrict]),
            members: some(r, &members),
            condition: r.bool().then(|| text(r)),
        }));
    }
    let mut emergencies: BTreeMap<Key, Row> = BTreeMap::new();
    for _ in 0..r.usize(0..4) {
        let (Some(role), target) = (r.choice(&roles).cloned(), pick(r, &targets)) else { break };
        let (users, max_duration_ms) = (some(r, &user_ids), r.i64(1..100_000_000));
        let row = Row::Emergency(EmergencyRule { role, target, users, max_duration_ms });
        emergencies.insert(row.key(), row);
    }
    rows.extend(emergencies.into_values());
    for separation in unique(r, 3, id) {
        let (max, enforcement) = (r.u32(..9), pick(r, &[Enforcement::Prevent, Enforcement::Deny]));
        rows.push(Row::Separation(Separation { id: separation, roles: some(r, &roles), max, enforcement }));
    }
    rows.sort_by_cached_key(Row::key);
    rows
}

#[test]
fn what_is_written_reads_back_whatever_it_is() {
    let acme = Id::parse("yes").unwrap();
    for seed in 0..3000 {
        let mut r = Rng::with_seed(seed);
        let rows = organization(&mut r);
        let text = write(&acme, &rows);
        let file = parse(&text).unwrap_or_else(|e| panic!("seed {seed}\n{e}\n{text}"));
        assert_eq!(file.organization, acme);
        for (read, written) in file.rows.iter().zip(&rows) {
            assert_eq!(read, written, "seed {seed}\n{text}");
        }
        assert_eq!(file.rows.len(), rows.len(), "seed {seed}\n{text}");
        let mut shuffled = rows.clone();
        r.shuffle(&mut shuffled);
        assert_eq!(write(&acme, &shuffled), text, "the order of the rows does not matter");
        assert!(
            text.chars().all(|c| c == '\n' || !c.is_control()) && !text.contains(['\u{2028}', '\u{2029}', '\u{feff}']),
            "seed {seed}: an unsafe character is written as it is"
        );
    }
}

#[test]
fn other_yaml_readers_agree_on_every_text() {
    for hostile in HOSTILE {
        let written = crate::cli::file::scalar::text_text(hostile);
        let file = format!("a: {written}\nb: [{written}]\nc: {{{}: 1}}\n", crate::cli::file::scalar::text_text("k"));
        let read: serde_json::Value = serde_saphyr::from_str(&file).unwrap_or_else(|e| panic!("{written}: {e}"));
        assert_eq!(read["a"], **hostile, "{written}");
        assert_eq!(read["b"][0], **hostile, "{written}");
    }
}

/// Not asserted: a matter of the machine. `cargo test --release --lib file -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn how_long_a_large_file_takes() {
    for users in [10_000, 1_000_000] {
        let mut text = String::from(
            "organization: a\nemail_domains: [{domain: acme.com, audience: internal}]\ngroups:\n  - id: g\n    kind: manual\n    members:\n",
        );
        for n in 0..users {
            text.push_str(&format!("      - \"user:u{n}\"\n"));
        }
        text.push_str("users:\n");
        for n in 0..users {
            text.push_str(&format!("  - {{id: u{n}, email: u{n}@acme.com, first_name: Ana, last_name: \"Li: {n}\", manager: u{}, attributes: {{team: risk, n: {n}}}}}\n", n / 2));
        }
        let start = std::time::Instant::now();
        let file = parse(&text).unwrap_or_else(|e| panic!("{e}"));
        let read = start.elapsed();
        let start = std::time::Instant::now();
        let out = write(&file.organization, &file.rows);
        eprintln!(
            "{users} users, {} bytes: read {read:?}, write {:?} ({} bytes)",
            text.len(),
            start.elapsed(),
            out.len()
        );
    }
}
