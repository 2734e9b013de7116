//! The world as each peer reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::world::{OPEN_BELOW, World};

/// The organization that Doorward is asked about.
pub const ORGANIZATION: &str = "bench";

/// A permission as others can name it.
pub fn flat(permission: &str) -> String {
    permission.replace('.', "_")
}

/// By permission, the roles that contain it.
fn roles_of(world: &World) -> BTreeMap<usize, Vec<usize>> {
    let mut of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (n, role) in world.roles.iter().enumerate() {
        role.permissions.iter().for_each(|p| of.entry(*p).or_default().push(n));
    }
    of
}

/// Doorward's organization file.
pub fn doorward(world: &World) -> Value {
    let mut members: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for user in &world.users {
        user.groups.iter().for_each(|g| members.entry(*g).or_default().push(format!("user:{}", user.id)));
    }
    for group in &world.groups {
        group.parent.iter().for_each(|p| members.entry(*p).or_default().push(format!("group:{}", group.id)));
    }
    let mut groups: Vec<Value> = world
        .groups
        .iter()
        .enumerate()
        .map(|(n, g)| json!({"id": g.id, "name": g.id, "kind": "manual", "members": members.get(&n).cloned().unwrap_or_default()}))
        .collect();
    groups.push(json!({"id": "all-users", "kind": "system", "visibility": ["data_access"]}));
    let names =
        |permissions: &BTreeSet<usize>| permissions.iter().map(|p| world.permissions[*p].clone()).collect::<Vec<_>>();
    let given: BTreeSet<_> = world.assignments.iter().map(|a| (a.role, a.group, a.object)).collect();
    json!({
        "organization": ORGANIZATION,
        "preset": "none",
        "permissions": world.permissions.iter().map(|p| json!({"name": p, "requires_visibility": true})).collect::<Vec<_>>(),
        "objects": world.objects.iter()
            .map(|o| json!({"id": o, "kind": "app", "fields": {"region": "string", "amount": "double"}})).collect::<Vec<_>>(),
        "user_attributes": {"region": "string"},
        "users": world.users.iter().map(|u| json!({
            "id": u.id, "email": format!("{}@example.com", u.id), "kind": "internal", "attributes": {"region": u.region}
        })).collect::<Vec<_>>(),
        "groups": groups,
        "roles": world.roles.iter()
            .map(|r| json!({"id": r.id, "name": r.id, "scope": "object", "permissions": names(&r.permissions)})).collect::<Vec<_>>(),
        "assignments": given.iter().map(|(role, group, object)| json!({
            "role": world.roles[*role].id, "member": format!("group:{}", world.groups[*group].id), "object": world.objects[*object]
        })).collect::<Vec<_>>(),
        "data_access": world.objects.iter().map(|o| json!({
            "id": format!("see-{o}"), "object": o, "effect": "allow", "members": ["group:all-users"],
            "condition": format!("record.region == user.attributes.region || record.amount < {OPEN_BELOW:?}")
        })).collect::<Vec<_>>(),
    })
}

/// Cerbos' policies, by file name. `object` and `record` are for callers that send the roles that
/// the user holds at the object. `at_ID` and `at_ID_record`, two for each object, resolve them from
/// the groups that the caller sends: a rule for each role, whose condition lists the groups that hold
/// it there, nesting resolved when the policy is written.
pub fn cerbos(world: &World) -> Vec<(String, Value)> {
    let visible = format!("(R.attr.region == P.attr.region || R.attr.amount < {OPEN_BELOW:?})");
    let rule = |actions: Vec<String>, roles: Vec<&str>, conditions: &[String]| {
        let mut rule = json!({"actions": actions, "effect": "EFFECT_ALLOW", "roles": roles});
        if !conditions.is_empty() {
            rule["condition"] = json!({"match": {"expr": conditions.join(" && ")}});
        }
        rule
    };
    let policy = |kind: String, rules: Vec<Value>| {
        let policy = json!({"resource": kind, "version": "default", "rules": rules});
        (format!("{kind}.json"), json!({"apiVersion": "api.cerbos.dev/v1", "resourcePolicy": policy}))
    };
    let name = |p: &usize| flat(&world.permissions[*p]);
    let mut policies = Vec::new();
    for (kind, conditions) in [("object", &[][..]), ("record", std::slice::from_ref(&visible))] {
        let of = |(permission, roles): (&usize, &Vec<usize>)| {
            rule(vec![name(permission)], roles.iter().map(|r| world.roles[*r].id.as_str()).collect(), conditions)
        };
        policies.push(policy(kind.to_owned(), roles_of(world).iter().map(of).collect()));
    }
    for (n, object) in world.objects.iter().enumerate() {
        let mut holders: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
        for a in world.assignments.iter().filter(|a| a.object == n) {
            let below = world.below(a.group);
            holders.entry(a.role).or_default().extend(below.into_iter().map(|g| world.groups[g].id.as_str()));
        }
        for (kind, condition) in [(format!("at_{object}"), None), (format!("at_{object}_record"), Some(&visible))] {
            let of = |(role, groups): (&usize, &BTreeSet<&str>)| {
                let groups = serde_json::to_string(groups).unwrap();
                let mut conditions = vec![format!("hasIntersection(P.attr.groups, {groups})")];
                conditions.extend(condition.cloned());
                rule(world.roles[*role].permissions.iter().map(name).collect(), vec!["user"], &conditions)
            };
            policies.push(policy(kind, holders.iter().map(of).collect()));
        }
    }
    policies
}

/// SpiceDB's bootstrap file: roles are relations of an object, held by the members of groups.
pub fn spicedb(world: &World) -> String {
    let mut schema = String::from(
        "definition user {}\ndefinition group {\n  relation member: user | group#member\n}\n\
         caveat visible(region string, user_region string, amount double) {\n",
    );
    writeln!(schema, "  region == user_region || amount < {OPEN_BELOW:?}\n}}").unwrap();
    schema.push_str("definition object {\n  relation viewer: user:* with visible\n");
    for role in &world.roles {
        writeln!(schema, "  relation role_{}: group#member", role.id).unwrap();
    }
    for (permission, roles) in roles_of(world) {
        let union: Vec<String> = roles.iter().map(|r| format!("role_{}", world.roles[*r].id)).collect();
        let name = flat(&world.permissions[permission]);
        writeln!(schema, "  permission {name} = {}", union.join(" + ")).unwrap();
        writeln!(schema, "  permission see_{name} = {name} & viewer").unwrap();
    }
    schema.push_str("}\n");
    let mut file = String::from("schema: |-\n");
    schema.lines().for_each(|line| writeln!(file, "  {line}").unwrap());
    file.push_str("relationships: |-\n");
    for (resource, relation, subject, caveated) in relationships(world) {
        let subject = if caveated { format!("{subject}[visible]") } else { subject };
        writeln!(file, "  {resource}#{relation}@{subject}").unwrap();
    }
    file
}

/// Object, relation, subject, and whether the condition is on it.
fn relationships(world: &World) -> BTreeSet<(String, String, String, bool)> {
    let mut all = BTreeSet::new();
    for user in &world.users {
        for group in &user.groups {
            all.insert((
                format!("group:{}", world.groups[*group].id),
                "member".to_owned(),
                format!("user:{}", user.id),
                false,
            ));
        }
    }
    let set = |group: usize| format!("group:{}#member", world.groups[group].id);
    for (n, group) in world.groups.iter().enumerate() {
        if let Some(parent) = group.parent {
            all.insert((format!("group:{}", world.groups[parent].id), "member".to_owned(), set(n), false));
        }
    }
    for a in &world.assignments {
        let relation = format!("role_{}", world.roles[a.role].id);
        all.insert((format!("object:{}", world.objects[a.object]), relation, set(a.group), false));
    }
    for object in &world.objects {
        all.insert((format!("object:{object}"), "viewer".to_owned(), "user:*".to_owned(), true));
    }
    all
}

/// OpenFGA's model, of the same shape.
pub fn openfga_model(world: &World) -> Value {
    let members = json!([{"type": "group", "relation": "member"}]);
    let (mut relations, mut types) = (Map::new(), Map::new());
    relations.insert("viewer".to_owned(), json!({"this": {}}));
    types.insert(
        "viewer".to_owned(),
        json!({"directly_related_user_types": [{"type": "user", "wildcard": {}, "condition": "visible"}]}),
    );
    for role in &world.roles {
        relations.insert(format!("role_{}", role.id), json!({"this": {}}));
        types.insert(format!("role_{}", role.id), json!({"directly_related_user_types": members}));
    }
    for (permission, roles) in roles_of(world) {
        let name = flat(&world.permissions[permission]);
        let computed = |relation: &str| json!({"computedUserset": {"relation": relation}});
        let mut of: Vec<Value> = roles.iter().map(|r| computed(&format!("role_{}", world.roles[*r].id))).collect();
        let union = if of.len() == 1 { of.remove(0) } else { json!({"union": {"child": of}}) };
        relations.insert(name.clone(), union);
        relations
            .insert(format!("see_{name}"), json!({"intersection": {"child": [computed(&name), computed("viewer")]}}));
    }
    json!({
        "schema_version": "1.1",
        "type_definitions": [
            {"type": "user"},
            {"type": "group", "relations": {"member": {"this": {}}}, "metadata": {"relations": {"member":
                {"directly_related_user_types": [{"type": "user"}, {"type": "group", "relation": "member"}]}}}},
            {"type": "object", "relations": relations, "metadata": {"relations": types}},
        ],
        "conditions": {"visible": {
            "name": "visible",
            "expression": format!("region == user_region || amount < {OPEN_BELOW:?}"),
            "parameters": {"region": {"type_name": "TYPE_NAME_STRING"}, "user_region": {"type_name": "TYPE_NAME_STRING"},
                "amount": {"type_name": "TYPE_NAME_DOUBLE"}},
        }},
    })
}

/// OpenFGA's tuples.
pub fn openfga_tuples(world: &World) -> Vec<Value> {
    let tuple = |(object, relation, user, conditioned): (String, String, String, bool)| {
        let mut tuple = json!({"object": object, "relation": relation, "user": user});
        if conditioned {
            tuple["condition"] = json!({"name": "visible"});
        }
        tuple
    };
    relationships(world).into_iter().map(tuple).collect()
}

/// The policy for OPA and regorus: `authz` goes from the user's groups by those above them to roles
/// and permissions; `flat` looks up which groups have a permission at an object, all resolved when
/// the data is written.
pub fn rego() -> String {
    format!(
        "package authz

import rego.v1

default allow := false

allow if {{
	some group in data.world.users[input.user].groups
	some holder in data.world.above[group]
	some role in data.world.held[input.object][holder]
	data.world.roles[role][input.permission]
}}

default allow_record := false

allow_record if {{
	allow
	visible(input.record)
}}

visible(record) if record.region == data.world.users[input.user].region

visible(record) if record.amount < {OPEN_BELOW:?}

passing := [n |
	allow
	some n, record in input.records
	visible(record)
]
"
    )
}

/// See [`rego`].
pub fn rego_flat() -> String {
    rego().replace("package authz", "package flat").replace(
        "	some group in data.world.users[input.user].groups
	some holder in data.world.above[group]
	some role in data.world.held[input.object][holder]
	data.world.roles[role][input.permission]
",
        "	some group in data.world.users[input.user].groups
	data.world.holders[input.object][input.permission][group]
",
    )
}

/// What both policies read.
pub fn rego_data(world: &World) -> Value {
    let id = |group: usize| world.groups[group].id.clone();
    let mut held: BTreeMap<&str, BTreeMap<String, BTreeSet<&str>>> = BTreeMap::new();
    let mut holders: BTreeMap<&str, BTreeMap<&str, BTreeMap<String, bool>>> = BTreeMap::new();
    for a in &world.assignments {
        let (object, role) = (world.objects[a.object].as_str(), &world.roles[a.role]);
        held.entry(object).or_default().entry(id(a.group)).or_default().insert(&role.id);
        for permission in &role.permissions {
            let groups = holders.entry(object).or_default().entry(&world.permissions[*permission]).or_default();
            groups.extend(world.below(a.group).into_iter().map(|g| (id(g), true)));
        }
    }
    let mut users = Map::new();
    for user in &world.users {
        let groups: Vec<String> = user.groups.iter().map(|g| id(*g)).collect();
        users.insert(user.id.clone(), json!({"region": user.region, "groups": groups}));
    }
    let above: BTreeMap<String, Vec<String>> =
        (0..world.groups.len()).map(|g| (id(g), world.above(g).into_iter().map(id).collect())).collect();
    let roles: BTreeMap<&str, BTreeMap<&str, bool>> = world
        .roles
        .iter()
        .map(|r| (r.id.as_str(), r.permissions.iter().map(|p| (world.permissions[*p].as_str(), true)).collect()))
        .collect();
    json!({"world": {"users": users, "above": above, "held": held, "roles": roles, "holders": holders}})
}
