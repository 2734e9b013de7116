//! Reads an organization file for the oracle: keys get types, defaults are filled in. It believes the file. The denylist
//! of the super-organization stands in it too (`element_denylist`), as if the two were one file.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::conditions::{Attribute, Condition};
use super::presets::{built_in_permissions, level_named, preset_roles};
use super::{
    Group, Invites, Level, Members, Object, Oracle, Permission, Policy, Principal, Relation, Separation, Source,
    Target, flag_of, m2_9_usable,
};

impl Oracle {
    /// Reads an organization file, which must be valid and without conditions.
    pub fn new(file: &Value) -> Oracle {
        Oracle::with_conditions(file, &BTreeMap::new())
    }

    /// Reads an organization file, which must be valid; by object and policy, the conditions it has as text.
    pub fn with_conditions(file: &Value, conditions: &BTreeMap<(String, String), Condition>) -> Oracle {
        let catalogue = catalogue(file);
        let (accounts, default_account) = accounts(file);
        let groups = groups(file);
        let relations = relations(file);
        let mut sources = sources(file, &default_account);
        sources.extend(m5_2_auto_shared(file, &relations, &groups));
        Oracle {
            aliases: catalogue
                .iter()
                .flat_map(|permission| permission.aliases.iter().map(|alias| (alias.clone(), permission.name.clone())))
                .collect(),
            catalogue: catalogue.into_iter().map(|permission| (permission.name.clone(), permission)).collect(),
            objects: list(file, "objects")
                .iter()
                .map(|object| {
                    let (private_to, fields) = (maybe(object, "private_to"), types(object, "fields"));
                    (text(object, "id"), Object { element: object["kind"] == "element", private_to, fields })
                })
                .collect(),
            safelist: texts(file, "element_safelist").into_iter().collect(),
            denylist: texts(file, "element_denylist").into_iter().collect(),
            principals: principals(file, &default_account),
            groups,
            email_domains: list(file, "email_domains")
                .iter()
                .map(|entry| text(entry, "domain").to_lowercase())
                .collect(),
            max_age_ms: file["settings"]["external_reauthentication"]["max_age"].as_str().map(duration_ms),
            invites: match file["settings"]["invite_policy"]["mode"].as_str() {
                None | Some("admins_only") => Invites::Nobody,
                Some("any_domain") => Invites::Anybody,
                Some(_) => {
                    let domains = texts(&file["settings"]["invite_policy"], "domains");
                    Invites::In(domains.iter().map(|domain| domain.to_lowercase()).collect())
                }
            },
            sources,
            relations,
            separations: list(file, "separation_of_duties").iter().map(separation).collect(),
            policies: list(file, "data_access").iter().map(|row| policy(row, conditions)).collect(),
            user_attributes: types(file, "user_attributes"),
            accounts,
        }
    }
}

impl Oracle {
    /// 7.4: activations give their role where and while they last, rehearsals nothing. They are in no file.
    pub fn activated(mut self, file: &Value, activations: &[Value]) -> Oracle {
        let roles = role_permissions(file);
        for row in activations.iter().filter(|row| row["rehearsal"] != true) {
            let role = text(row, "role");
            let ends = [&row["expires_at_ms"], &row["ended_at_ms"]].into_iter().filter_map(Value::as_i64).min();
            self.sources.push(Source {
                member: format!("user:{}", text(row, "user")),
                patterns: roles[&role].clone(),
                role: Some(role),
                target: target(row),
                starts_at_ms: row["starts_at_ms"].as_i64(),
                expires_at_ms: ends,
            });
        }
        self
    }
}

/// 1.2: one account is the default one; a file without accounts has `main`.
fn accounts(file: &Value) -> (BTreeSet<String>, String) {
    let listed = list(file, "accounts");
    let default = listed
        .iter()
        .find(|account| account["default"] == true)
        .map_or("main".to_owned(), |account| text(account, "id"));
    (listed.iter().map(|account| text(account, "id")).chain([default.clone()]).collect(), default)
}

fn principals(file: &Value, default_account: &str) -> BTreeMap<String, Principal> {
    let internal_domains: BTreeSet<String> = list(file, "email_domains")
        .iter()
        .filter(|entry| entry["audience"] == "internal")
        .map(|entry| text(entry, "domain").to_lowercase())
        .collect();
    let account = |row: &Value| maybe(row, "account").unwrap_or(default_account.to_owned());
    let status = |row: &Value| maybe(row, "status").unwrap_or("active".to_owned());

    let declared = types(file, "user_attributes");

    let users = list(file, "users").iter().map(|user| {
        let email_domain = text(user, "email").split_once('@').expect("an e-mail has a domain").1.to_lowercase();
        // 2.1: unless given, the kind follows the domain.
        let external = maybe(user, "kind").map_or(!internal_domains.contains(&email_domain), |kind| kind == "external");
        let pending_groups = texts(user, "pending_groups").into_iter().collect();
        let principal = Principal {
            is_user: true,
            email: maybe(user, "email"),
            manager: maybe(user, "manager"),
            attributes: attributes(user, &declared),
            account: account(user),
            status: status(user),
            external,
            email_domain,
            pending_groups,
        };
        (format!("user:{}", text(user, "id")), principal)
    });
    let services = list(file, "service_accounts").iter().map(|service| {
        let (account, status) = (account(service), status(service));
        let principal = Principal {
            is_user: false,
            email: None,
            manager: None,
            attributes: attributes(service, &declared),
            account,
            status,
            external: false,
            email_domain: String::new(),
            pending_groups: BTreeSet::new(),
        };
        (format!("service:{}", text(service, "id")), principal)
    });
    users.chain(services).collect()
}

/// 2.6: the system groups are there whether the file speaks of them or not.
fn groups(file: &Value) -> BTreeMap<String, Group> {
    let folded = |domains: Vec<String>| domains.iter().map(|domain| domain.to_lowercase()).collect();
    let members = |group: &Value| match (text(group, "kind").as_str(), text(group, "id").as_str()) {
        ("manual", _) => Members::Manual(texts(group, "members").into_iter().collect()),
        ("dynamic", _) => Members::Dynamic(folded(texts(group, "domains"))),
        (_, "all-users") => Members::AllUsers,
        (_, "internal-users") => Members::InternalUsers,
        (_, "external-users") => Members::ExternalUsers,
        _ => panic!("no group: {group}"),
    };
    let system = [
        ("all-users", Members::AllUsers),
        ("internal-users", Members::InternalUsers),
        ("external-users", Members::ExternalUsers),
    ];
    let unwritten = system.map(|(id, members)| (id.to_owned(), Group { members, usable_for: BTreeSet::new() }));
    let written = list(file, "groups").iter().map(|group| {
        let usable_for = texts(group, "visibility").into_iter().collect();
        (text(group, "id"), Group { members: members(group), usable_for })
    });
    unwritten.into_iter().chain(written).collect()
}

fn relations(file: &Value) -> Vec<Relation> {
    let relation = |row: &Value| Relation {
        relation: text(row, "relation"),
        member: text(row, "member"),
        object: text(row, "object"),
        record: text(row, "record"),
    };
    list(file, "relations").iter().map(relation).collect()
}

fn separation(row: &Value) -> Separation {
    let max = usize::try_from(row["max"].as_u64().expect("a number")).unwrap();
    Separation { roles: texts(row, "roles").into_iter().collect(), max, denies: row["enforce"] == "deny" }
}

/// The text is not read, but it must be that of the tree.
fn policy(row: &Value, conditions: &BTreeMap<(String, String), Condition>) -> Policy {
    let (object, id) = (text(row, "object"), text(row, "id"));
    let condition = conditions.get(&(object.clone(), id.clone())).cloned();
    assert_eq!(maybe(row, "condition"), condition.as_ref().map(Condition::to_string), "{row}");
    Policy { id, object, restricts: text(row, "effect") == "restrict", members: texts(row, "members"), condition }
}

/// What the file says of a principal. Text is an instant where a timestamp is declared.
fn attributes(row: &Value, declared: &BTreeMap<String, String>) -> BTreeMap<String, Attribute> {
    let rows = row["attributes"].as_object().into_iter().flatten();
    let value = |name: &String, value: &Value| match value.as_str() {
        Some(text) if declared.get(name).is_some_and(|kind| kind == "timestamp") => {
            Attribute::Timestamp(instant_ms(text))
        }
        _ => attribute(value),
    };
    rows.map(|(name, json)| (name.clone(), value(name, json))).collect()
}

fn attribute(json: &Value) -> Attribute {
    match json {
        Value::Null => Attribute::Null,
        Value::Bool(flag) => Attribute::Bool(*flag),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| Attribute::Double(number.as_f64().expect("a number")), Attribute::Int)
        }
        Value::String(text) => Attribute::String(text.clone()),
        Value::Array(items) => Attribute::List(items.iter().map(attribute).collect()),
        Value::Object(_) => panic!("no attribute: {json}"),
    }
}

/// Names with their types.
fn types(row: &Value, key: &str) -> BTreeMap<String, String> {
    let rows = row[key].as_object().into_iter().flatten();
    rows.map(|(name, kind)| (name.clone(), kind.as_str().expect("a type").to_owned())).collect()
}

/// 3.1: the built-in permissions and the organization's own.
pub fn catalogue(file: &Value) -> Vec<Permission> {
    let own = list(file, "permissions").iter().map(|permission| Permission {
        name: text(permission, "name"),
        aliases: texts(permission, "aliases"),
        level: maybe(permission, "level").map_or(Level::Object, |level| level_named(&level)),
        requires_visibility: permission["requires_visibility"] == true,
        requires_approver: permission["requires_approver"] == true,
        when_not_owner: maybe(permission, "when_not_owner"),
    });
    built_in_permissions(preset(file)).into_iter().chain(own).collect()
}

/// What each role gives: the preset's as shipped, then the file's, which may replace what a system role gives (3.2).
pub fn role_permissions(file: &Value) -> BTreeMap<String, Vec<String>> {
    let shipped = preset_roles(preset(file)).into_iter().map(|role| (role.id, role.permissions));
    shipped.chain(list(file, "roles").iter().map(|role| (text(role, "id"), texts(role, "permissions")))).collect()
}

fn sources(file: &Value, default_account: &str) -> Vec<Source> {
    let roles = role_permissions(file);
    let source = |row: &Value, patterns: Vec<String>| Source {
        member: text(row, "member"),
        role: maybe(row, "role"),
        patterns,
        target: target(row),
        starts_at_ms: maybe(row, "starts_at").map(|at| instant_ms(&at)),
        expires_at_ms: maybe(row, "expires_at").map(|at| instant_ms(&at)),
    };
    let assignments = list(file, "assignments").iter().map(|row| source(row, roles[&text(row, "role")].clone()));
    let grants = list(file, "grants").iter().map(|row| source(row, texts(row, "permissions")));
    assignments.chain(grants).chain(m3_6_by_rule(file, default_account, &roles)).collect()
}

/// 5.2: what a role with triggers gives at a record to whoever has such a relation to it; through a group only while the
/// group is usable for it (2.9).
fn m5_2_auto_shared(file: &Value, relations: &[Relation], groups: &BTreeMap<String, Group>) -> Vec<Source> {
    let roles = list(file, "roles");
    let shares = |role: &Value, relation: &Relation| {
        maybe(role, "object").as_ref() == Some(&relation.object)
            && texts(role, "auto_share").contains(&relation.relation)
            && m2_9_usable(groups, &relation.member, flag_of(&relation.relation))
    };
    let mut shared = Vec::new();
    for relation in relations {
        for role in roles.iter().filter(|role| shares(role, relation)) {
            shared.push(Source {
                member: relation.member.clone(),
                role: Some(text(role, "id")),
                patterns: texts(role, "permissions"),
                target: Target::Record(relation.object.clone(), relation.record.clone()),
                starts_at_ms: None,
                expires_at_ms: None,
            });
        }
    }
    shared
}

/// 3.6: `org` for a user of the default account, `default-user` for one of any other, at that account; neither for one
/// who has an assignment of one of the two at the organization or at that account, in effect now or not.
fn m3_6_by_rule(file: &Value, default_account: &str, roles: &BTreeMap<String, Vec<String>>) -> Vec<Source> {
    if preset(file) != "integration" {
        return Vec::new();
    }
    let by_hand = |member: &str, account: &str| {
        list(file, "assignments").iter().any(|row| {
            row["member"] == member
                && (row["role"] == "org" || row["role"] == "default-user")
                && (row["account"].is_null() || row["account"] == account)
        })
    };
    let by_rule = |user: &Value| {
        let member = format!("user:{}", text(user, "id"));
        let account = maybe(user, "account").unwrap_or(default_account.to_owned());
        if by_hand(&member, &account) {
            return None;
        }
        let (role, target) = if account == default_account {
            ("org", Target::Organization)
        } else {
            ("default-user", Target::Account(account))
        };
        let (patterns, role) = (roles[role].clone(), Some(role.to_owned()));
        Some(Source { patterns, role, target, starts_at_ms: None, expires_at_ms: None, member })
    };
    list(file, "users").iter().filter_map(by_rule).collect()
}

fn target(row: &Value) -> Target {
    match (maybe(row, "account"), maybe(row, "object"), maybe(row, "record")) {
        (None, None, None) => Target::Organization,
        (Some(account), None, None) => Target::Account(account),
        (None, Some(object), None) => Target::Object(object),
        (None, Some(object), Some(record)) => Target::Record(object, record),
        _ => panic!("no target: {row}"),
    }
}

fn preset(file: &Value) -> &str {
    file["preset"].as_str().unwrap_or("none")
}

fn instant_ms(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().expect("an instant as RFC 3339 writes it").as_millisecond()
}

/// `12h`, `30m`, `45s`.
fn duration_ms(text: &str) -> i64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let unit_ms = match unit {
        "h" => 3_600_000,
        "m" => 60_000,
        "s" => 1_000,
        _ => panic!("`{text}` is no duration"),
    };
    number.parse::<i64>().expect("a whole number") * unit_ms
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    list(value, key).iter().map(|item| item.as_str().expect("a list of strings").to_owned()).collect()
}

fn maybe(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().map(str::to_owned)
}

fn text(value: &Value, key: &str) -> String {
    maybe(value, key).unwrap_or_else(|| panic!("`{key}` is missing: {value}"))
}
