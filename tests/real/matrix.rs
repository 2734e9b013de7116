//! Real access matrices and cloud roles, read from the data directory and made into organizations.
//!
//! A matrix says which user has which permission, and comes with roles whose product it is. The
//! organization gives those roles to those users in ways that differ from role to role (by the
//! role's index, see [`Way`] and [`Scope`]), so that every path of rule 4.5 carries real data; the
//! expected sets are the matrix's own lines and owe nothing to how the roles were given.
//!
//! Nothing here decides anything, and none of the data is in the repository.

#![allow(dead_code, reason = "the benches use a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use fastrand::Rng;
use flate2::read::GzDecoder;
use serde_json::{Value, json};

/// The published matrices, smallest first.
pub const MATRICES: [&str; 5] = ["hc", "domino", "apj", "fire1", "customer"];
/// The object at which object-scoped roles are held.
pub const OBJECT: &str = "system";
/// The organization made of the cloud roles.
pub const CLOUD: &str = "gcp";
/// Users sampled to hold cloud roles.
pub const CLOUD_USERS: usize = 200;

/// Where the data is: `DOORWARD_REAL_DATA`, or `../shared/data` beside the package; an error if it is
/// not there. (`DOORWARD_DATA` is `serve --data`: the same name would have servers write here.)
pub fn data() -> Result<PathBuf, PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let path = std::env::var_os("DOORWARD_REAL_DATA").map_or_else(default, PathBuf::from);
    if path.join("rbac").is_dir() { Ok(path) } else { Err(path) }
}

/// Permissions by user id: all that the user has, and nothing else.
pub type Expected = BTreeMap<String, BTreeSet<String>>;

/// An organization whose decisions are known.
pub struct Known {
    /// Its id.
    pub id: String,
    /// The organization file.
    pub file: Value,
    /// Every permission it declares.
    pub permissions: Vec<String>,
    /// What each user may do on [`OBJECT`].
    pub on_object: Expected,
    /// What each user may do where no object is named: what object-scoped roles give is missing.
    pub on_organization: Expected,
    /// How the roles are given, for people.
    pub paths: String,
}

/// How a role's users come to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// One assignment a user.
    Direct,
    /// One group holds it.
    Group,
    /// The topmost of groups nested this deep holds it.
    Nested(usize),
}

/// Where a role is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Organization,
    /// Object-scoped, usable on any object.
    Object,
    /// Object-scoped, tied to [`OBJECT`].
    Tied,
}

struct Role {
    id: String,
    permissions: Vec<String>,
    users: Vec<String>,
}

/// Reads `rbac/NAME.jsonl.gz`.
pub fn matrix(data: &Path, name: &str) -> Known {
    let file = std::fs::File::open(data.join("rbac").join(format!("{name}.jsonl.gz"))).unwrap();
    let mut roles = Vec::new();
    let mut expected = Expected::new();
    for line in BufReader::new(GzDecoder::new(file)).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let permissions = |key: &str| texts(&line[key]).map(|p| format!("data.{p}"));
        if let Some(id) = line["role"].as_str() {
            let users = texts(&line["users"]).map(str::to_owned).collect();
            roles.push(Role { id: id.to_owned(), permissions: permissions("permissions").collect(), users });
        } else {
            let user = line["user"].as_str().unwrap().to_owned();
            assert!(expected.insert(user, permissions("expected").collect()).is_none(), "a user twice in {name}");
        }
    }
    let mut all: BTreeSet<&String> = expected.values().flatten().collect();
    all.extend(roles.iter().flat_map(|r| &r.permissions));
    let permissions: Vec<String> = all.into_iter().cloned().collect();
    let given = Given::new(&roles, |index, _| (way_of(index), scope_of(index)));
    // What the decomposition leaves at the organization; that it gives the matrix on the object is
    // for the server to show.
    let on_organization = given.gained(&roles, expected.keys(), |scope| scope == Scope::Organization);
    assert!(given.gained(&roles, expected.keys(), |_| true) == expected, "the roles of {name} do not give its matrix");
    let file = given.file(name, &permissions, expected.keys());
    Known { id: name.to_owned(), file, permissions, on_object: expected, on_organization, paths: given.paths() }
}

/// Reads the cloud's predefined roles. Seeded users hold one to six of them each; all are
/// organization-scoped. Every published name is a valid permission name as it is (checked), and
/// role ids are the published ones.
pub fn cloud(data: &Path) -> Known {
    let mut text = String::new();
    let file = std::fs::File::open(data.join("gcp-predefined-roles.json.gz")).unwrap();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let published: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
    let mut roles: Vec<Role> = published
        .iter()
        .map(|(id, role)| Role {
            id: id.clone(),
            permissions: texts(&role["permissions"]).map(str::to_owned).collect(),
            users: Vec::new(),
        })
        .collect();
    let permissions: BTreeSet<String> = roles.iter().flat_map(|r| r.permissions.iter().cloned()).collect();
    let permissions: Vec<String> = permissions.into_iter().collect();
    let valid = |name: &&String| doorward::core::id::PermissionName::parse_name(name).is_err();
    assert_eq!(permissions.iter().find(valid), None, "a published name is no permission name");

    let mut rng = Rng::with_seed(2_461);
    let users: Vec<String> = (1..=CLOUD_USERS).map(|n| format!("u{n}")).collect();
    for user in &users {
        let held: BTreeSet<usize> = (0..rng.usize(1..=6)).map(|_| rng.usize(..roles.len())).collect();
        held.into_iter().for_each(|role| roles[role].users.push(user.clone()));
    }
    // The largest role too, whatever the seed: it is all but the whole catalogue.
    let largest = roles.iter_mut().max_by_key(|r| r.permissions.len()).unwrap();
    if !largest.users.contains(&users[0]) {
        largest.users.push(users[0].clone());
    }
    let ways = [Way::Direct, Way::Group, Way::Nested(3)];
    let given = Given::new(&roles, |index, _| (ways[index % ways.len()], Scope::Organization));
    let expected = given.gained(&roles, users.iter(), |_| true);
    let file = given.file(CLOUD, &permissions, users.iter());
    let paths = given.paths();
    Known { id: CLOUD.to_owned(), file, permissions, on_object: expected.clone(), on_organization: expected, paths }
}

/// An organization of about the size of `customer`, for where the data is not.
pub fn generated() -> Known {
    let mut rng = Rng::with_seed(10_021);
    let mut permissions: Vec<String> = (1..=277).map(|n| format!("data.p{n}")).collect();
    permissions.sort();
    let users: Vec<String> = (1..=10_021).map(|n| format!("u{n}")).collect();
    let mut roles: Vec<Role> = (1..=297)
        .map(|n| {
            let held: BTreeSet<usize> = (0..rng.usize(1..=6)).map(|_| rng.usize(..permissions.len())).collect();
            let permissions = held.into_iter().map(|p| permissions[p].clone()).collect();
            Role { id: format!("r{n}"), permissions, users: Vec::new() }
        })
        .collect();
    for user in &users {
        let held: BTreeSet<usize> = (0..2).map(|_| (rng.f64().powi(3) * 297.0) as usize).collect();
        held.into_iter().for_each(|role| roles[role].users.push(user.clone()));
    }
    let given = Given::new(&roles, |index, _| (way_of(index), scope_of(index)));
    let on_object = given.gained(&roles, users.iter(), |_| true);
    let on_organization = given.gained(&roles, users.iter(), |scope| scope == Scope::Organization);
    let file = given.file("generated", &permissions, users.iter());
    Known { id: "generated".to_owned(), file, permissions, on_object, on_organization, paths: given.paths() }
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().unwrap())
}

fn way_of(index: usize) -> Way {
    match index % 3 {
        0 => Way::Direct,
        1 => Way::Group,
        _ => Way::Nested(2 + index / 3 % 3),
    }
}

/// Out of step with [`way_of`], so that each way meets each scope.
fn scope_of(index: usize) -> Scope {
    match index / 3 % 4 {
        0 | 2 => Scope::Organization,
        1 => Scope::Object,
        _ => Scope::Tied,
    }
}

/// Roles, and how they are given.
struct Given {
    scopes: Vec<Scope>,
    ways: Vec<Way>,
    roles: Vec<Value>,
    groups: Vec<Value>,
    assignments: Vec<Value>,
}

impl Given {
    fn new(roles: &[Role], how: impl Fn(usize, &Role) -> (Way, Scope)) -> Self {
        let (scopes, ways, rows, groups, assignments) = Default::default();
        let mut given = Self { scopes, ways, roles: rows, groups, assignments };
        for (index, role) in roles.iter().enumerate() {
            let (way, scope) = how(index, role);
            given.scopes.push(scope);
            given.ways.push(way);
            let mut row = json!({"id": role.id, "name": role.id, "scope": "object", "permissions": role.permissions});
            match scope {
                Scope::Organization => row["scope"] = json!("organization"),
                Scope::Object => {}
                Scope::Tied => row["object"] = json!(OBJECT),
            }
            given.roles.push(row);
            let users: Vec<String> = role.users.iter().map(|u| format!("user:{u}")).collect();
            // A role that nobody was given is held by nobody, not by empty groups.
            let members = match way {
                _ if users.is_empty() => Vec::new(),
                Way::Direct => users,
                Way::Group => {
                    given.groups.push(json!({"id": role.id, "kind": "manual", "members": users}));
                    vec![format!("group:{}", role.id)]
                }
                Way::Nested(depth) => vec![given.nest(&role.id, depth, &users)],
            };
            for member in members {
                let mut row = json!({"role": role.id, "member": member});
                if scope != Scope::Organization {
                    row["object"] = json!(OBJECT);
                }
                given.assignments.push(row);
            }
        }
        given
    }

    /// A tree of groups, two in each but the lowest, `depth` levels of it; the first of the lowest is
    /// in every group of the level above. Most users are in the lowest, every fifth in the middle
    /// (at the top, where there is none).
    fn nest(&mut self, name: &str, depth: usize, users: &[String]) -> String {
        let id = |level: usize, n: usize| format!("{name}/{level}.{n}");
        let lowest = depth - 1;
        let mut members: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
        for level in 0..depth {
            for n in 0..1 << level {
                let mut below = Vec::new();
                if level < lowest {
                    below.extend([2 * n, 2 * n + 1].map(|n| format!("group:{}", id(level + 1, n))));
                    let shared = format!("group:{}", id(lowest, 0));
                    if level + 1 == lowest && n > 0 {
                        below.push(shared);
                    }
                }
                members.insert((level, n), below);
            }
        }
        for (n, user) in users.iter().enumerate() {
            let level = if n % 5 == 4 { lowest / 2 } else { lowest };
            members.get_mut(&(level, n % (1 << level))).unwrap().push(user.clone());
        }
        for ((level, n), members) in members {
            self.groups.push(json!({"id": id(level, n), "kind": "manual", "members": members}));
        }
        format!("group:{}", id(0, 0))
    }

    /// What the roles of these scopes give each user.
    fn gained<'a>(
        &self,
        roles: &[Role],
        users: impl Iterator<Item = &'a String>,
        scopes: impl Fn(Scope) -> bool,
    ) -> Expected {
        let mut gained: Expected = users.map(|user| (user.clone(), BTreeSet::new())).collect();
        for (role, _) in roles.iter().zip(&self.scopes).filter(|(_, scope)| scopes(**scope)) {
            for user in &role.users {
                gained.get_mut(user).unwrap().extend(role.permissions.iter().cloned());
            }
        }
        gained
    }

    fn file<'a>(&self, id: &str, permissions: &[String], users: impl Iterator<Item = &'a String>) -> Value {
        let users: Vec<Value> =
            users.map(|user| json!({"id": user, "email": format!("{user}@{id}.example")})).collect();
        json!({
            "organization": id,
            "preset": "none",
            "email_domains": [{"domain": format!("{id}.example"), "audience": "internal"}],
            "settings": {"external_reauthentication": {"max_age": "12h"}},
            "permissions": permissions.iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
            "objects": [{"id": OBJECT, "kind": "app"}],
            "users": users,
            "groups": self.groups,
            "roles": self.roles,
            "assignments": self.assignments,
        })
    }

    fn paths(&self) -> String {
        let count = |way: &dyn Fn(&Way) -> bool| self.ways.iter().filter(|w| way(w)).count();
        let mut seen: BTreeMap<(Way, Scope), usize> = BTreeMap::new();
        for pair in self.ways.iter().copied().zip(self.scopes.iter().copied()) {
            *seen.entry(pair).or_default() += 1;
        }
        format!(
            "{} roles: {} direct, {} by a group, {} by nested groups, {} of way and scope; {} groups, {} assignments",
            self.ways.len(),
            count(&|w| *w == Way::Direct),
            count(&|w| *w == Way::Group),
            count(&|w| matches!(w, Way::Nested(_))),
            seen.len(),
            self.groups.len(),
            self.assignments.len(),
        )
    }
}
