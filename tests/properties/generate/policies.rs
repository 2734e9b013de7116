//! The rest of an organization: declared fields and attributes, relations, auto-share and data-access policies.

use std::collections::BTreeMap;

use super::conditions::{KINDS, Kind, Readable, USER_ATTRIBUTES, condition, value};
use super::oracle::conditions::{Attribute, Condition};
use super::*;

const FIELDS: [&str; 9] = ["region", "amount", "tags", "due", "open", "level", "Region", "codes", "stage_2"];
const POLICIES: [&str; 9] = ["own-team", "own", "hide", "hide.2", "risk", "main", "a/b", "P", "p"];
const SHARING_ROLES: [&str; 4] = ["sharing", "sharing.2", "follower", "Follower"];
const RELATIONS: [&str; 5] = ["watcher", "assignee", "mentioned", "shared", "approver"];

/// A file, and as trees the conditions that it has as text, by object and policy.
pub struct World {
    pub file: Value,
    pub conditions: BTreeMap<(String, String), Condition>,
    /// 7.4: what users activated, in the words of an assignment; no file says it.
    pub activations: Vec<Value>,
}

/// A valid organization, with everything that says which records are visible.
pub fn world(rng: &mut Rng) -> World {
    let size = rng.choice([1, 3, 3, 6, 6, 10, 10, 10, 10, 10, 10, 10, 10, 10]).unwrap();
    let mut file = sized(rng, size);
    fields(rng, &mut file);
    attributes(rng, &mut file);
    flags(rng, &mut file);
    more_people(rng, &mut file);
    auto_share(rng, &mut file);
    relations(rng, &mut file);
    let conditions = data_access(rng, &mut file);
    broad_grants(rng, &mut file);
    let activations = activations(rng, &file);
    World { file, conditions, activations }
}

/// At most one of a role, user and target; mostly running now.
fn activations(rng: &mut Rng, file: &Value) -> Vec<Value> {
    let roles = roles_and_scopes(file);
    let mut seen = BTreeSet::new();
    let mut rows = Vec::new();
    for at in 0..rng.usize(..6) {
        let (Some(user), Some((role, scope, tied_to))) = (rng.choice(ids(file, "users")), rng.choice(&roles)) else {
            break;
        };
        let Some(target) = target_of_scope(rng, file, scope, tied_to.as_deref()) else { continue };
        if role == "org-admin" || !seen.insert(format!("{user:?} {role:?} {}", Value::Object(target.clone()))) {
            continue;
        }
        let near = |rng: &mut Rng, around: i64| around + rng.choice([-1, 0, 1]).unwrap();
        let starts = if rng.u8(..4) == 0 { near(rng, NOW_MS) } else { NOW_MS - 3_600_000 };
        let expires = if rng.u8(..4) == 0 { near(rng, NOW_MS).max(starts + 1) } else { NOW_MS + 3_600_000 };
        let mut row = json!({
            "id": format!("activation-{at}"), "role": role, "user": user, "rehearsal": rng.u8(..8) == 0,
            "starts_at_ms": starts, "expires_at_ms": expires,
        });
        if rng.u8(..5) == 0 {
            row["ended_at_ms"] = json!(near(rng, NOW_MS).max(starts));
        }
        row.as_object_mut().unwrap().extend(target);
        rows.push(row);
    }
    rows
}

/// The file with every flag of every group on: what an organization may have been before some were cleared.
pub fn all_flags_on(file: &Value) -> Value {
    let mut file = file.clone();
    let mut groups = list(&file, "groups").to_vec();
    let unwritten = SYSTEM_GROUPS.iter().filter(|id| groups.iter().all(|group| group["id"] != **id));
    let unwritten: Vec<Value> = unwritten.map(|id| json!({"id": id, "kind": "system"})).collect();
    groups.extend(unwritten);
    for group in &mut groups {
        group["visibility"] = json!(VISIBILITY);
    }
    file["groups"] = groups.into();
    file
}

fn rows<'f>(file: &'f mut Value, key: &str) -> impl Iterator<Item = &'f mut Value> {
    file.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten()
}

pub(super) fn push(file: &mut Value, key: &str, row: Value) {
    match file.get_mut(key).and_then(Value::as_array_mut) {
        Some(rows) => rows.push(row),
        None => file[key] = json!([row]),
    }
}

fn fields(rng: &mut Rng, file: &mut Value) {
    for object in rows(file, "objects") {
        let fields: Map<String, Value> = many(rng, &FIELDS, 7)
            .into_iter()
            .map(|name| (name.to_owned(), json!(rng.choice(KINDS).unwrap().name())))
            .collect();
        if !fields.is_empty() && rng.u8(..10) > 0 {
            object["fields"] = fields.into();
        }
    }
}

/// Some are declared; what a user has is mostly of the type declared, or usual.
fn attributes(rng: &mut Rng, file: &mut Value) {
    let declared: Map<String, Value> = some(rng, &USER_ATTRIBUTES, 5)
        .into_iter()
        .map(|(name, kind)| {
            let kind = if rng.bool() { kind } else { rng.choice(KINDS).unwrap() };
            (name.to_owned(), json!(kind.name()))
        })
        .collect();
    for key in ["users", "service_accounts"] {
        for row in rows(file, key) {
            let mut of_one = Map::new();
            for (name, usual) in USER_ATTRIBUTES {
                let declared = declared.get(name).map(|kind| Kind::named(kind.as_str().unwrap()));
                let kind = declared.unwrap_or(usual);
                let value = match rng.u8(..20) {
                    0 => Value::Null,
                    1 => json!(7),
                    2 => json!(true),
                    3..6 => continue,
                    _ if kind == Kind::Timestamp && declared.is_none() => continue,
                    6..8 if kind == Kind::Double => json!(rng.i64(0..3)),
                    _ => {
                        let value = value(rng, kind);
                        in_file(rng, value)
                    }
                };
                of_one.insert(name.to_owned(), value);
            }
            if !of_one.is_empty() && rng.u8(..10) > 0 {
                row["attributes"] = of_one.into();
            }
        }
    }
    if !declared.is_empty() || rng.bool() {
        file["user_attributes"] = declared.into();
    }
}

fn in_file(rng: &mut Rng, value: Attribute) -> Value {
    match value {
        Attribute::Null => Value::Null,
        Attribute::Bool(flag) => json!(flag),
        Attribute::Int(number) => json!(number),
        Attribute::Double(number) => json!(number),
        Attribute::String(text) => json!(text),
        Attribute::Timestamp(ms) => json!(written(rng, ms)),
        Attribute::List(items) => items.into_iter().map(|item| in_file(rng, item)).collect(),
    }
}

/// More groups are usable than in a plain file, the system's among them.
fn flags(rng: &mut Rng, file: &mut Value) {
    for id in SYSTEM_GROUPS {
        if rng.bool() && list(file, "groups").iter().all(|group| group["id"] != id) {
            push(file, "groups", json!({"id": id, "kind": "system"}));
        }
    }
    for group in rows(file, "groups") {
        let often = |flag: &str| if flag == "data_access" { 8 } else { 6 };
        let on: Vec<&str> = VISIBILITY.into_iter().filter(|flag| rng.u8(..10) < often(flag)).collect();
        if !on.is_empty() || rng.bool() {
            group["visibility"] = json!(on);
        }
    }
}

/// Service accounts in groups, and managers of managers: policies are about both.
fn more_people(rng: &mut Rng, file: &mut Value) {
    let (services, users) = (ids(file, "service_accounts"), ids(file, "users"));
    for group in rows(file, "groups") {
        let Some(members) = group.get_mut("members").and_then(Value::as_array_mut) else { continue };
        if let Some(service) = rng.choice(&services).map(|id| json!(format!("service:{id}")))
            && !members.contains(&service)
            && rng.bool()
        {
            members.push(service);
        }
    }
    for (at, user) in rows(file, "users").enumerate().skip(1) {
        if rng.u8(..10) < 6 {
            user["manager"] = json!(users[rng.usize(at.saturating_sub(3)..at)]); // an earlier one, so that no cycle arises
        }
    }
}

/// 5.2: only on object-scoped roles of the organization's own that are tied to an object.
fn auto_share(rng: &mut Rng, file: &mut Value) {
    let objects = ids(file, "objects");
    for id in some(rng, &SHARING_ROLES, 4) {
        let Some(object) = rng.choice(&objects) else { break };
        let permissions = patterns(rng, file);
        let row = json!({"id": id, "name": id, "scope": "object", "object": object, "permissions": permissions});
        push(file, "roles", row);
    }
    for role in rows(file, "roles").filter(|role| role["object"].is_string()) {
        let triggers = some(rng, &RELATIONS[..4], 4);
        if !triggers.is_empty() || rng.u8(..4) == 0 {
            role["auto_share"] = json!(triggers);
        }
    }
}

/// Of users and groups, each told once; of groups too that are not usable for it at present.
fn relations(rng: &mut Rng, file: &mut Value) {
    let mut seen = BTreeSet::new();
    let mut relations = Vec::new();
    for object in ids(file, "objects") {
        for _ in 0..rng.usize(..18) {
            let Some(member) = user_or_group(rng, file) else { break };
            let relation = rng.choice(["watcher", "assignee", "mentioned", "shared", "approver", "approver"]).unwrap();
            let row = json!({"relation": relation, "member": member, "object": object, "record": record_id(rng)});
            if seen.insert(row.to_string()) {
                relations.push(row);
            }
        }
    }
    put(rng, file, "relations", relations);
}

fn user_or_group(rng: &mut Rng, file: &Value) -> Option<String> {
    member(rng, file).filter(|member| !member.starts_with("service:"))
}

/// The ids are unique in the organization.
fn data_access(rng: &mut Rng, file: &mut Value) -> BTreeMap<(String, String), Condition> {
    let mut conditions = BTreeMap::new();
    let mut policies = Vec::new();
    let mut names = POLICIES.map(str::to_owned).to_vec();
    names.extend((0..20).map(|at| format!("policy-{at}")));
    rng.shuffle(&mut names);
    for object in list(file, "objects") {
        let readable = Readable::of(file, object);
        let most = if rng.u8(..10) < 8 { 6 } else { 1 };
        for _ in 0..rng.usize(..most) {
            let restricts = rng.u8(..3) == 0; // of fewer people
            let members: BTreeSet<String> =
                (0..rng.usize(1..if restricts { 4 } else { 7 })).filter_map(|_| user_or_group(rng, file)).collect();
            let Some(id) = names.pop().filter(|_| !members.is_empty()) else { break };
            let mut row = json!({
                "id": id, "object": text(object, "id"), "effect": if restricts { "restrict" } else { "allow" },
                "members": members,
            });
            if rng.u8(..100) < 85 {
                let depth = rng.choice([0, 0, 1, 1, 2, 2, 3, 4]).unwrap();
                let condition = condition(rng, &readable, depth);
                row["condition"] = json!(condition.to_string());
                conditions.insert((text(object, "id").to_owned(), id), condition);
            }
            policies.push(row);
        }
    }
    rng.shuffle(&mut policies);
    put(rng, file, "data_access", policies);
    conditions
}

/// What a policy shows is worth asking about only to whom a permission is given: at its object, often to its members.
fn broad_grants(rng: &mut Rng, file: &mut Value) {
    let marked: Vec<String> = oracle::catalogue(file)
        .into_iter()
        .filter(|permission| permission.requires_visibility && permission.level == oracle::Level::Object)
        .map(|permission| permission.name)
        .collect();
    for policy in list(file, "data_access").to_vec() {
        let members = policy["members"].as_array().unwrap();
        let member = match rng.u8(..10) {
            0..7 => rng.choice(members).unwrap().clone(),
            7 => json!("group:all-users"),
            _ => continue,
        };
        let permissions = many(rng, &marked, 4);
        let object = policy["object"].clone();
        let there = |row: &Value| row["member"] == member && row["object"] == object && row["record"].is_null();
        if permissions.is_empty() || list(file, "grants").iter().any(there) {
            continue;
        }
        push(file, "grants", json!({"permissions": permissions, "member": member, "object": object}));
    }
}
