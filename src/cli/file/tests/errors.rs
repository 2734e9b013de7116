use super::*;

/// Below a line `organization: a`, so that the texts begin in line 2.
const CASES: &[(&str, &str)] = &[
    // Syntax.
    ("users: [", "2:8: unclosed bracket '['"),
    ("users: &x []", "2:11: anchors and aliases (`&x`, `*x`) are not allowed"),
    ("display_name: !secret x", "2:23: the tag `!secret` is not allowed"),
    ("---\norganization: b", "2:1: only one document is allowed"),
    // Keys.
    ("user: []", "2:1: user: unknown key"),
    ("preset: none\npreset: none", "3:1: preset: the key is given twice"),
    ("users: []\nusers: []", "3:1: users: the key is given twice"),
    ("users: [{id: x, email: x@y.z, e: 1}]", "2:31: users[0].e: unknown key"),
    ("users: [{id: x, email: x@y.z, id: y}]", "2:31: users[0].id: the key is given twice"),
    ("users: [{email: x@y.z}]", "2:9: users[0]: `id` is missing"),
    (
        "users: [{id: x, email: x@y.z, attributes: {1: 2}}]",
        "2:44: users[0].attributes: a key: `1` is no text unless it is put in quotes",
    ),
    ("accounts: [{id: main, default: true, <<: {}}]", "2:38: accounts[0].<<: unknown key"),
    // Types.
    ("users: {a: b}", "2:8: users: expected a list, found a mapping"),
    ("users:", "2:6: users: expected a list, found nothing"),
    ("accounts: 5", "2:11: accounts: expected a list, found a number"),
    ("users: [x]", "2:9: users[0]: expected a mapping, found text"),
    ("display_name: [x]", "2:15: display_name: expected text, found a list"),
    ("display_name: null", "2:15: display_name: expected text, found nothing"),
    ("display_name: 0x1", "2:15: display_name: `0x1` is no text unless it is put in quotes"),
    ("users: [{id: 1e3, email: x@y.z}]", "2:14: users[0].id: `1e3` is no text unless it is put in quotes"),
    (
        "accounts: [{id: main, default: yes}]",
        "2:32: accounts[0].default: expected `true` or `false`, found text\n2:12: accounts: one account must be given as `default: true`",
    ),
    // Words and ids.
    ("preset: worksapce", "2:9: preset: `worksapce` is none of `workspace`, `integration`, `none`"),
    (
        "super_organization: ünï",
        "2:21: super_organization: `ünï` must begin with a letter or digit and contain only letters, digits, `.`, `_`, `/` and `-`",
    ),
    ("users: [{id: \"a\\u0007\", email: x@y.z}]", "2:14: users[0].id: `a\\u{7}` contains a control character"),
    (
        "users: [{id: x, email: nowhere}]",
        "2:24: users[0].email: `nowhere` is no e-mail address: exactly one `@`, text on both sides, no spaces",
    ),
    (
        "users: [{id: x, email: x@y.z, status: gone}]",
        "2:39: users[0].status: `gone` is none of `invited`, `active`, `limited`, `inactive`",
    ),
    (
        "users: [{id: x, email: x@y.z, status_before: invited}]",
        "2:46: users[0].status_before: `invited` is none of `active`, `limited`",
    ),
    (
        "service_accounts: [{id: x, status: limited}]",
        "2:36: service_accounts[0].status: `limited` is none of `active`, `inactive`",
    ),
    ("email_domains: [{domain: a b, audience: internal}]", "2:26: email_domains[0].domain: `a b` is no domain name"),
    (
        "email_domains: [{domain: A.b, audience: internal}, {domain: a.b, audience: external}]",
        "2:61: email_domains[1].domain: `a.b` is given twice",
    ),
    ("settings: {invite_policy: {mode: allowed_domains}}", "2:27: settings.invite_policy: `domains` is missing"),
    (
        "settings: {invite_policy: {mode: any_domain, domains: []}}",
        "2:27: settings.invite_policy.domains: only mode `allowed_domains` has domains",
    ),
    (
        "settings: {external_reauthentication: {max_age: 12}}",
        "2:49: settings.external_reauthentication.max_age: `12` is no text unless it is put in quotes",
    ),
    (
        "settings: {external_reauthentication: {max_age: 1 month}}",
        "2:49: settings.external_reauthentication.max_age: `1 month` is no duration such as `12h`, `30m` or `7d`",
    ),
    (
        "settings: {external_reauthentication: {max_age: 0s}}",
        "2:49: settings.external_reauthentication.max_age: `0s` must be longer than nothing",
    ),
    (
        "user_attributes: {a: date}",
        "2:22: user_attributes.a: `date` is no type: expected `string`, `int`, `double`, `bool`, `timestamp`, or `list<…>` of one of these",
    ),
    (
        "user_attributes: {a: list<list<int>>}",
        "2:22: user_attributes.a: `list<list<int>>` is no type: expected `string`, `int`, `double`, `bool`, `timestamp`, or `list<…>` of one of these",
    ),
    (
        "objects: [{id: o, kind: thing}]",
        "2:25: objects[0].kind: `thing` is none of `app`, `element`, `task`, `workflow`",
    ),
    (
        "objects: [{id: o, kind: element, private_to: group:x}]",
        "2:46: objects[0].private_to: `group:x` must be `account:ID` or `user:ID`",
    ),
    (
        "permissions: [{name: invoices}]",
        "2:22: permissions[0].name: `invoices` must be two or more dot-separated segments of letters, digits, `_`, `/` and `-`",
    ),
    (
        "roles: [{id: r, scope: object, permissions: ['a.*b']}]",
        "2:46: roles[0].permissions[0]: `a.*b` must be a permission name, `*`, or a prefix such as `records.*`",
    ),
    ("roles: [{id: r}]", "2:9: roles[0]: `scope` is missing"),
    (
        "groups: [{id: g, kind: manual, visibility: [shown]}]",
        "2:45: groups[0].visibility[0]: `shown` is none of `mentionable`, `watchable`, `assignable`, `approver`, `data_access`",
    ),
    (
        "groups: [{id: g, kind: manual, members: [ana]}]",
        "2:42: groups[0].members[0]: `ana` must be `user:ID`, `service:ID` or `group:ID`",
    ),
    // Attributes.
    (
        "users: [{id: x, email: x@y.z, attributes: {a: {b: c}}}]",
        "2:47: users[0].attributes.a: expected a single value or a list, found a mapping",
    ),
    (
        "users: [{id: x, email: x@y.z, attributes: {a: [[]]}}]",
        "2:47: users[0].attributes.a: expected a list of single values, found a list",
    ),
    ("users: [{id: x, email: x@y.z, attributes: {a: .inf}}]", "2:47: users[0].attributes.a: `.inf` is not finite"),
    ("users: [{id: x, email: x@y.z, attributes: {a: 1e999}}]", "2:47: users[0].attributes.a: `1e999` is not finite"),
    (
        "users: [{id: x, email: x@y.z, attributes: {a: 9223372036854775808}}]",
        "2:47: users[0].attributes.a: `9223372036854775808` needs more than 64 bits",
    ),
    (
        "user_attributes: {a: timestamp}\nusers: [{id: x, email: x@y.z, attributes: {a: soon}}]",
        "3:47: users[0].attributes.a: `soon` is no timestamp such as `2026-01-31T12:00:00Z`",
    ),
    (
        "user_attributes: {a: timestamp}\nusers: [{id: x, email: x@y.z, attributes: {a: 2026-01-01T00:00:00.0001Z}}]",
        "3:47: users[0].attributes.a: `2026-01-01T00:00:00.0001Z` is finer than a millisecond",
    ),
    // Given twice.
    (
        "users:\n- {id: x, email: x@y.z}\n- {id: x, email: y@y.z}",
        "4:8: users[1].id: user `x` is already given in line 3",
    ),
    (
        "accounts: [{id: main, default: true}, {id: main}]",
        "2:44: accounts[1].id: account `main` is already given in line 2",
    ),
    (
        "accounts: [{id: a, default: true}, {id: b, default: true}]",
        "2:36: accounts[1].default: the default account is already given in line 2",
    ),
    ("accounts: [{id: a}]", "2:12: accounts: one account must be given as `default: true`"),
    (
        "permissions: [{name: a.b}, {name: c.d, aliases: [a.b]}]",
        "2:50: permissions[1].aliases[0]: `a.b` already names a permission",
    ),
    ("permissions: [{name: users.read}]", "2:22: permissions[0].name: `users.read` is a built-in permission"),
    (
        "users: [{id: x, email: x@y.z}]\ngroups: [{id: g, kind: manual, members: ['user:x', 'user:x']}]",
        "3:52: groups[0].members[1]: `user:x` is given twice",
    ),
    ("roles: [{id: r, scope: object, permissions: ['*', '*']}]", "2:51: roles[0].permissions[1]: `*` is given twice"),
    (
        "users: [{id: x, email: x@y.z}]\ngrants: [{permissions: ['*'], member: 'user:x'}, {permissions: ['*'], member: 'user:x'}]",
        "3:50: grants[1]: grant of `*` to `user:x` at the organization is already given in line 3",
    ),
    // Leading nowhere.
    ("users: [{id: x, email: x@y.z, account: emea}]", "2:40: users[0].account: unknown account `emea`"),
    ("users: [{id: x, email: x@y.z, manager: bo}]", "2:40: users[0].manager: unknown user `bo`"),
    ("users: [{id: x, email: x@y.z, pending_groups: [g]}]", "2:48: users[0].pending_groups[0]: unknown group `g`"),
    ("service_accounts: [{id: x, account: emea}]", "2:37: service_accounts[0].account: unknown account `emea`"),
    (
        "groups: [{id: g, kind: manual, members: ['service:x']}]",
        "2:42: groups[0].members[0]: unknown service account `x`",
    ),
    ("objects: [{id: o, kind: element, private_to: user:x}]", "2:46: objects[0].private_to: unknown user `x`"),
    (
        "permissions: [{name: a.b, when_not_owner: a.c}]",
        "2:43: permissions[0].when_not_owner: unknown permission `a.c`",
    ),
    (
        "roles: [{id: r, scope: object, object: o, permissions: [records.read]}]",
        "2:40: roles[0].object: unknown object `o`\n2:57: roles[0].permissions[0]: unknown permission `records.read`",
    ),
    (
        "users: [{id: x, email: x@y.z}]\nassignments: [{role: r, member: 'user:x', object: o}]",
        "3:22: assignments[0].role: unknown role `r`\n3:51: assignments[0].object: unknown object `o`",
    ),
    ("grants: [{permissions: ['a.*'], member: 'group:g'}]", "2:41: grants[0].member: unknown group `g`"),
    // Targets, groups and roles.
    (
        "users: [{id: x, email: x@y.z}]\ngrants: [{permissions: ['*'], member: 'user:x', record: r}]",
        "3:10: grants[0]: a target is nothing (the organization), `account`, `object`, or `object` and `record`",
    ),
    (
        "users: [{id: x, email: x@y.z}]\nobjects: [{id: o, kind: app}]\ngrants: [{permissions: ['*'], member: 'user:x', account: main, object: o}]",
        "4:10: grants[0]: a target is nothing (the organization), `account`, `object`, or `object` and `record`",
    ),
    ("grants: [{member: 'group:all-users'}]", "2:10: grants[0]: `permissions` is missing"),
    (
        "grants: [{permissions: ['*'], member: 'group:all-users', starts_at: 2026-01-01}]",
        "2:69: grants[0].starts_at: `2026-01-01` is no timestamp such as `2026-01-31T12:00:00Z`",
    ),
    (
        "groups: [{id: g, kind: system}]",
        "2:15: groups[0].id: `g` is no system group: they are `all-users`, `internal-users` and `external-users`",
    ),
    ("groups: [{id: all-users, kind: manual}]", "2:15: groups[0].id: `all-users` is the id of a system group"),
    (
        "groups: [{id: all-users, kind: system, name: All}]",
        "2:40: groups[0].name: only the visibility of a system group can be given",
    ),
    (
        "groups: [{id: g, kind: dynamic, members: []}]",
        "2:42: groups[0].members: a dynamic group has `domains` and no members",
    ),
    (
        "groups: [{id: g, kind: manual, domains: []}]",
        "2:41: groups[0].domains: a manual group has `members` and no domains",
    ),
    (
        "preset: workspace\nroles: [{id: app-admin, scope: object}]",
        "3:14: roles[0].id: `app-admin` is a managed role and cannot be given",
    ),
    (
        "preset: integration\nroles: [{id: org, name: X, permissions: []}]",
        "3:19: roles[0].name: only the permissions of a system role can be given",
    ),
    ("preset: integration\nroles: [{id: org}]", "3:9: roles[0]: `permissions` is missing"),
    (
        "roles: [{id: r, scope: account, object: o}]",
        "2:41: roles[0].object: only a role of scope `object` may be tied to one",
    ),
    // Policies, relations and what relations share.
    (
        "data_access: [{id: a b}]",
        "2:15: data_access[0]: `object` is missing\n2:15: data_access[0]: `effect` is missing\n2:15: data_access[0]: `members` is missing\n2:20: data_access[0].id: `a b` must begin with a letter or digit and contain only letters, digits, `.`, `_`, `/` and `-`",
    ),
    (
        "data_access: [{id: a, object: o, effect: deny, members: ['user:x', ana], condition: true}]",
        "2:31: data_access[0].object: unknown object `o`\n2:42: data_access[0].effect: `deny` is none of `allow`, `restrict`\n2:58: data_access[0].members[0]: unknown user `x`\n2:68: data_access[0].members[1]: `ana` must be `user:ID`, `service:ID` or `group:ID`\n2:85: data_access[0].condition: `true` is no text unless it is put in quotes",
    ),
    (
        "objects: [{id: o, kind: app}]\ndata_access:\n- {id: a, object: o, effect: allow, members: []}\n- {id: a, object: o, effect: allow, members: [], when: x}",
        "5:8: data_access[1].id: data-access policy `a` is already given in line 4\n5:50: data_access[1].when: unknown key",
    ),
    ("data_access: {}", "2:14: data_access: expected a list, found a mapping"),
    (
        "relations: [x, {relation: owner, member: 'group:g', object: o, record: \"\"}]",
        "2:13: relations[0]: expected a mapping, found text\n2:27: relations[1].relation: `owner` is none of `watcher`, `assignee`, `mentioned`, `shared`, `approver`\n2:42: relations[1].member: unknown group `g`\n2:61: relations[1].object: unknown object `o`\n2:72: relations[1].record: `` is empty",
    ),
    (
        "objects: [{id: o, kind: app}]\nrelations:\n- {relation: shared, member: 'group:all-users', object: o, record: r}\n- {object: o, record: r, member: 'group:all-users', relation: shared}",
        "5:3: relations[1]: relation `shared` of `group:all-users` to record `r` of object `o` is already given in line 4",
    ),
    (
        "relations: [{relation: shared, member: 'group:all-users', object: o, starts_at: x}]",
        "2:13: relations[0]: `record` is missing\n2:67: relations[0].object: unknown object `o`\n2:70: relations[0].starts_at: unknown key",
    ),
    (
        "roles: [{id: r, scope: object, auto_share: [approver, shared, shared]}]",
        "2:45: roles[0].auto_share[0]: `approver` is none of `watcher`, `assignee`, `mentioned`, `shared`\n2:63: roles[0].auto_share[2]: `shared` is given twice",
    ),
    (
        "preset: integration\nroles: [{id: org, permissions: [], auto_share: []}]",
        "3:36: roles[0].auto_share: only the permissions of a system role can be given",
    ),
    (
        "element_safelist: [x, x, 'ü']",
        "2:20: element_safelist[0]: unknown object `x`\n2:23: element_safelist[1]: `x` is given twice\n2:26: element_safelist[2]: `ü` must begin with a letter or digit and contain only letters, digits, `.`, `_`, `/` and `-`",
    ),
    ("separation_of_duties: {}", "2:23: separation_of_duties: expected a list, found a mapping"),
    (
        "separation_of_duties: [{}, {id: a, roles: [x, x], max: '1', enforce: no, n: 1}, {id: a, roles: [], max: 1}]",
        "2:24: separation_of_duties[0]: `id` is missing\n2:24: separation_of_duties[0]: `roles` is missing\n2:24: separation_of_duties[0]: `max` is missing\n2:44: separation_of_duties[1].roles[0]: unknown role `x`\n2:47: separation_of_duties[1].roles[1]: `x` is given twice\n2:56: separation_of_duties[1].max: expected a whole number that is not negative\n2:70: separation_of_duties[1].enforce: `no` is none of `prevent`, `deny`\n2:74: separation_of_duties[1].n: unknown key\n2:86: separation_of_duties[2].id: separation constraint `a` is already given in line 2",
    ),
    ("emergency: [x]", "2:13: emergency[0]: expected a mapping, found text"),
];

fn problems(text: &str) -> String {
    match parse(text) {
        Ok(_) => "no problem".to_owned(),
        Err(errors) => errors.to_string(),
    }
}

#[test]
fn every_problem_is_named_with_its_place() {
    let mut failures = vec![];
    for (text, expected) in CASES {
        let found = problems(&format!("organization: a\n{text}\n"));
        let mut expected: Vec<_> = expected.lines().map(|line| format!("acme.yaml:{line}")).collect();
        expected.sort();
        let mut lines: Vec<_> = found.lines().collect();
        lines.sort_unstable();
        if lines != expected {
            failures.push(format!("{text}\n  expected {}\n  found    {found}", expected.join("\n")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_file_needs_an_organization() {
    for (text, expected) in [
        ("", "acme.yaml:1:1: the file is empty"),
        ("# nothing\n", "acme.yaml:2:1: the file is empty"),
        ("[]", "acme.yaml:1:1: expected a mapping, found a list"),
        ("users: []", "acme.yaml:1:1: `organization` is missing"),
        (
            "organization: a b",
            "acme.yaml:1:15: organization: `a b` must begin with a letter or digit and contain only letters, digits, `.`, `_`, `/` and `-`",
        ),
        (
            "super_organization: globex\nelement_denylist: [x]",
            "acme.yaml:1:1: `organization` is missing\nacme.yaml:2:1: element_denylist: unknown key",
        ),
    ] {
        assert_eq!(problems(text), expected, "{text}");
    }
}

#[test]
fn all_problems_are_found_in_the_order_of_the_lines() {
    let text = "organization: a
users:
  - {id: x, email: x@y.z, manager: nobody}
  - {id: x, email: y}
accounts:
  - {id: '?'}
";
    let found = problems(text);
    let lines: Vec<_> = found.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(
        lines,
        ["acme.yaml:3:36", "acme.yaml:4:10", "acme.yaml:4:20", "acme.yaml:6:5", "acme.yaml:6:10"],
        "{found}"
    );
}

#[test]
fn problems_beyond_a_hundred_are_counted() {
    let users: String = (0..250).map(|n| format!("  - {{id: u{n}}}\n")).collect();
    let errors = parse(&format!("organization: a\nusers:\n{users}")).unwrap_err();
    assert_eq!((errors.errors.len(), errors.more), (MAX_ERRORS, 150));
    assert!(errors.to_string().ends_with("\nand 150 more problems"));
}

#[test]
fn what_is_wrong_is_repeated_in_short_and_without_control_characters() {
    let long = "x".repeat(10_000);
    let found = problems(&format!("organization: a\npreset: \"\\e[31m\\u202e{long}\"\n"));
    assert!(found.len() < 300 && found.contains("`\\u{1b}[31m\\u{202e}xxx"), "{found}");
    let found = problems(&format!("organization: a\n\"{long}\": 1\n"));
    assert!(found.len() < 300, "{found}");
}

#[test]
fn bombs_are_errors() {
    let deep = 10_000;
    for text in [
        format!("organization: a\nusers: {}", "[".repeat(deep)),
        format!("organization: a\nusers: {}{}", "[".repeat(deep), "]".repeat(deep)),
        format!("organization: a\ndisplay_name: {}1{}", "{a: ".repeat(deep), "}".repeat(deep)),
        format!("organization: a\nusers:\n{}", (1..deep).map(|n| format!("{}a:\n", " ".repeat(n))).collect::<String>()),
        format!("organization: a\nusers:\n  {}", "- ".repeat(deep)),
        format!("organization: a\nusers: [{{id: x, attributes: {}1{}}}]", "[".repeat(200), "]".repeat(200)),
        "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\norganization: a\n".to_owned(),
    ] {
        let errors = parse(&text).unwrap_err();
        assert_eq!(errors.errors.len(), 1);
        assert!(CaseFile::parse(&text, "x").is_err());
    }
}

#[test]
fn no_text_makes_the_reader_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    let example = super::example::EXAMPLE;
    let pieces = [
        "[", "]", "{", "}", ":", ",", "\"", "'", "\n", "- ", "? ", "|", ">", "&a", "*a", "!!str", "\u{0}", "\t", "#",
        "%", "…",
    ];
    for _ in 0..2000 {
        let mut text: Vec<char> = example.chars().collect();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..text.len());
            let piece = random.choice(pieces).unwrap();
            let end = (at + random.usize(..4)).min(text.len());
            text.splice(at..end, piece.chars());
        }
        let text: String = text.into_iter().collect();
        // Whatever still reads also writes.
        if let Ok(file) = parse(&text) {
            let again = write(&file.organization, &file.rows);
            assert_eq!(parse(&again).unwrap_or_else(|e| panic!("{e}\n{again}")).rows, file.rows);
        }
        let _ = CaseFile::parse(&text, "x");
    }
}
