//! Organizations of any number of users, alike in all but that: for each thousand 50 groups nested four deep, 5 roles
//! of 20 out of 1,000 permissions, 10 assignments to groups, half of them at the organization and half at one of 20
//! objects; each user in ten groups, with four to six attributes and a manager. One role is held by a group of every
//! tenth user. All from seeds.

use std::collections::BTreeMap;

use doorward::cli::file::{Known, OrganizationFile};
use doorward::core::id::Id;
use doorward::core::model::{
    Assignment, Group, GroupKind, Level, Member, Period, Permission, Role, RoleKind, Row, Scope, Status, Target, User,
    UserKind, Value,
};
use fastrand::Rng;
use serde_json::json;

use super::questions::Population;

const PERMISSIONS: usize = 1_000;
const IN_A_ROLE: usize = 20;
const OBJECTS: usize = 20;
pub const MEMBERSHIPS: usize = 10;
/// The object that is asked about.
pub const OBJECT: &str = "o0";
/// The group of every tenth user, and the role that it holds.
pub const CREW: &str = "crew";
const REGIONS: [&str; 8] = ["eu-west", "eu-north", "us-east", "us-west", "apac-1", "apac-2", "latam", "mea"];
/// What decisions that read attributes ask: a list, a number and an instant of the user, and the users above a
/// record's owner.
pub const CONDITION: &str = "record.region in user.attributes.regions && record.amount < user.attributes.limit \
    && user.attributes.since < now || record.owner in user.all_reports";

/// How many there are of what.
#[derive(Clone, Copy)]
pub struct Size {
    pub users: usize,
}

impl Size {
    pub fn groups(self) -> usize {
        self.users / 20
    }

    pub fn roles(self) -> usize {
        self.users / 200
    }

    /// The groups of a user, drawn from its number.
    fn groups_of(self, user: usize) -> [usize; MEMBERSHIPS] {
        let mut rng = Rng::with_seed(user as u64);
        std::array::from_fn(|_| rng.usize(..self.groups()))
    }

    /// The group that a group is in: of ten neighbours one above, four deep.
    fn above(self, group: usize) -> Option<usize> {
        let top = self.groups() / 1_000 + 1;
        (group >= top).then_some(group / 10)
    }

    /// The groups that hold each role, and where: at the organization, or at an object.
    fn holders(self, role: usize) -> [(usize, Option<usize>); 2] {
        let mut rng = Rng::with_seed(0x4015 ^ role as u64);
        let object = if role.is_multiple_of(2) { None } else { Some(rng.usize(..OBJECTS)) };
        [(rng.usize(..self.groups()), object), (rng.usize(..self.groups()), object)]
    }
}

fn in_role(role: usize) -> [usize; IN_A_ROLE] {
    let mut rng = Rng::with_seed(0x9E44 ^ role as u64);
    std::array::from_fn(|_| rng.usize(..PERMISSIONS))
}

fn id(text: impl Into<String>) -> Id {
    Id::parse(&text.into()).unwrap()
}

/// Whom and what to ask, and what is right.
pub fn population(size: Size) -> Population {
    // By group, what it gives at the object, what is above it included.
    let mut gives = vec![[0u64; PERMISSIONS.div_ceil(64)]; size.groups()];
    for role in 1..size.roles() {
        for (group, object) in size.holders(role) {
            if object.is_none_or(|object| object == 0) {
                in_role(role).into_iter().for_each(|p| gives[group][p / 64] |= 1 << (p % 64));
            }
        }
    }
    // Whatever is above has a lower number, and is whole already.
    for group in 0..size.groups() {
        if let Some(above) = size.above(group).filter(|above| *above != group) {
            let more = gives[above];
            gives[group].iter_mut().zip(more).for_each(|(a, b)| *a |= b);
        }
    }
    let crew = in_role(0);
    let holds = move |user: usize, p: usize| {
        user.is_multiple_of(10) && crew.contains(&p)
            || size.groups_of(user).into_iter().any(|g| gives[g][p / 64] >> (p % 64) & 1 == 1)
    };
    Population {
        id: "large".to_owned(),
        users: (0..size.users).map(|n| format!("u{n}")).collect(),
        permissions: (0..PERMISSIONS).map(|n| format!("data.p{n}")).collect(),
        object: OBJECT,
        holds: Box::new(holds),
    }
}

fn attributes_of(user: usize) -> BTreeMap<String, Value> {
    let text = |text: &str| Value::String(text.to_owned());
    let region = |n: usize| text(REGIONS[n % REGIONS.len()]);
    let all = [
        ("regions", Value::List(vec![region(user), region(user / 8)])),
        ("limit", Value::Double((user % 1_000) as f64)),
        ("since", Value::Timestamp(1_500_000_000_000 + user as i64 * 250_000)),
        ("title", text(["Analyst", "Engineer", "Manager", "Director"][user / 3 % 4])),
        ("level", Value::Int((user % 12) as i64)),
        ("remote", Value::Bool(user.is_multiple_of(3))),
    ];
    all.into_iter().take(4 + user % 3).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A record that the condition reads.
pub fn record(rng: &mut Rng) -> BTreeMap<String, Value> {
    let region = Value::String(REGIONS[rng.usize(..REGIONS.len())].to_owned());
    let attributes = [("region", region), ("amount", Value::Double(rng.f64() * 1_000.0))];
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn role(n: usize) -> Row {
    let chosen: std::collections::BTreeSet<_> = in_role(n).into_iter().collect();
    Row::Role(Role {
        id: id(if n == 0 { CREW.to_owned() } else { format!("r{n}") }),
        name: format!("Role {n}"),
        description: String::new(),
        kind: RoleKind::Custom,
        scope: if n.is_multiple_of(2) { Scope::Organization } else { Scope::Object },
        object: None,
        permissions: chosen.into_iter().map(|p| format!("data.p{p}").parse().unwrap()).collect(),
        auto_share: Vec::new(),
    })
}

fn group(name: String, above: Vec<Id>) -> Row {
    let (id, kind) = (id(name), GroupKind::Manual);
    let (name, photo_uri, visibility) = Default::default();
    Row::Group(Group { id, name, kind, photo_uri, visibility, groups: above })
}

fn assignment(role: &str, group: &str, object: Option<usize>) -> Row {
    Row::Assignment(Assignment {
        role: id(role),
        member: Member::Group(id(group)),
        target: object.map_or(Target::Organization, |n| Target::Object(id(format!("o{n}")))),
        period: Period::default(),
        by_hand: false,
    })
}

fn user(size: Size, n: usize) -> Row {
    let (first_name, last_name, status_before, pending_groups) = Default::default();
    // A tree of eight below each: everyone but the first has up to eight reports.
    let manager = n.checked_sub(1).map(|before| format!("u{}", before / 8).parse().unwrap());
    let mut groups: Vec<Id> = size.groups_of(n).into_iter().map(|g| id(format!("g{g}"))).collect();
    if n.is_multiple_of(10) {
        groups.push(id(CREW));
    }
    groups.sort();
    groups.dedup();
    Row::User(User {
        id: format!("u{n}").parse().unwrap(),
        email: format!("u{n}@large.example").parse().unwrap(),
        first_name,
        last_name,
        kind: UserKind::Internal,
        account: id("main"),
        manager,
        status: Status::Active,
        status_before,
        pending_groups,
        attributes: attributes_of(n),
        groups,
        sign_ons: Vec::new(),
    })
}

/// The organization.
pub fn rows(size: Size) -> Vec<Row> {
    let file = json!({
        "organization": "large",
        "permissions": [{"name": "records.see", "requires_visibility": true}],
        "objects": (0..OBJECTS).map(|n| json!({"id": format!("o{n}"), "kind": "app",
            "fields": {"region": "string", "amount": "double"}})).collect::<Vec<_>>(),
        "user_attributes": {"regions": "list<string>", "limit": "double", "since": "timestamp", "title": "string", "level": "int",
            "remote": "bool"},
        "settings": {"external_reauthentication": {"max_age": "12h"}},
        "groups": [{"id": "all-users", "kind": "system", "visibility": ["data_access"]}],
        "grants": [{"permissions": ["records.see"], "member": "group:all-users"}],
        "data_access": [{"id": "own", "object": OBJECT, "effect": "allow", "members": ["group:all-users"],
            "condition": CONDITION}],
    });
    let file = OrganizationFile::parse(&file.to_string(), "large.json", Known::of);
    let mut rows = file.unwrap_or_else(|errors| panic!("{errors}")).rows;
    rows.extend((0..PERMISSIONS).map(|n| {
        let (aliases, requires_visibility, requires_approver, when_not_owner) = Default::default();
        let (name, level) = (format!("data.p{n}").parse().unwrap(), Level::Object);
        Row::Permission(Permission { name, aliases, level, requires_visibility, requires_approver, when_not_owner })
    }));
    rows.extend((0..size.roles()).map(role));
    rows.push(group(CREW.to_owned(), Vec::new()));
    rows.push(assignment(CREW, CREW, None));
    rows.extend((0..size.groups()).map(|n| {
        let above = size.above(n).filter(|above| *above != n);
        group(format!("g{n}"), above.into_iter().map(|n| id(format!("g{n}"))).collect())
    }));
    for n in 1..size.roles() {
        let mut holders = size.holders(n).to_vec();
        holders.dedup();
        let role = format!("r{n}");
        rows.extend(holders.into_iter().map(|(group, object)| assignment(&role, &format!("g{group}"), object)));
    }
    rows.extend((0..size.users).map(|n| user(size, n)));
    rows
}
