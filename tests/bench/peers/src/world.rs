//! The world that everybody is asked about, and the questions with their answers: both from a seed,
//! so that every program here has the same. Nothing here decides by anybody's code.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

/// Objects at which roles are held.
pub const OBJECTS: usize = 20;
/// Permissions that there are.
pub const PERMISSIONS: usize = 200;
/// Permissions in a role.
pub const IN_ROLE: usize = 10;
/// Groups that a user is in, directly.
pub const OF_USER: usize = 3;
/// Regions of users and records.
pub const REGIONS: usize = 8;
/// Below this amount, everybody with the permission sees a record; from it on, those of its region.
pub const OPEN_BELOW: f64 = 2_500.0;
/// A tree of groups: one above, three in it, and two in each of these. Users are in any of them.
const TREE: usize = 10;

/// How large a world is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub users: usize,
    pub groups: usize,
    pub roles: usize,
}

impl Size {
    /// What is asked in this process.
    pub const INSIDE: Self = Self { users: 1_000, groups: 100, roles: 50 };
    /// What servers are asked.
    pub const SERVED: Self = Self { users: 10_000, groups: 1_000, roles: 100 };
}

#[derive(Debug)]
pub struct User {
    pub id: String,
    pub region: String,
    /// The groups it is in, directly.
    pub groups: Vec<usize>,
}

#[derive(Debug)]
pub struct Group {
    pub id: String,
    /// The group that it is a member of.
    pub parent: Option<usize>,
}

#[derive(Debug)]
pub struct Role {
    pub id: String,
    pub permissions: BTreeSet<usize>,
}

/// A group holds a role at an object.
#[derive(Debug)]
pub struct Assignment {
    pub group: usize,
    pub role: usize,
    pub object: usize,
}

#[derive(Debug)]
pub struct World {
    pub users: Vec<User>,
    pub groups: Vec<Group>,
    pub roles: Vec<Role>,
    pub assignments: Vec<Assignment>,
    pub objects: Vec<String>,
    /// As Doorward names them: `data.p7`.
    pub permissions: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub id: String,
    pub region: String,
    pub amount: f64,
}

/// Who, what, where; and what is right.
#[derive(Debug, Clone)]
pub struct Question {
    pub user: usize,
    pub permission: usize,
    pub object: usize,
    /// None where the object is asked about; one for a condition, more to be filtered.
    pub records: Vec<Record>,
    /// One answer for each record; one where there is none.
    pub expected: Vec<bool>,
}

/// Which question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// May she do this at the object?
    Plain,
    /// The same about a record, which must be visible too.
    Condition,
    /// Which of 1,000 records.
    Filter,
}

impl Kind {
    pub fn parse(name: &str) -> Self {
        match name {
            "plain" => Self::Plain,
            "condition" => Self::Condition,
            "filter" => Self::Filter,
            _ => panic!("no question `{name}`: plain, condition, filter"),
        }
    }
}

impl World {
    pub fn new(size: Size) -> Self {
        let mut rng = Rng::with_seed(7);
        let shuffled = |count: usize, rng: &mut Rng| {
            let mut numbers: Vec<usize> = (0..count).collect();
            rng.shuffle(&mut numbers);
            numbers
        };
        let groups: Vec<Group> = shuffled(size.groups, &mut rng)
            .into_iter()
            .enumerate()
            .map(|(n, id)| {
                let top = n / TREE * TREE;
                let parent = match n % TREE {
                    0 => None,
                    1..=3 => Some(top),
                    leaf => Some(top + 1 + (leaf - 4) / 2),
                };
                Group { id: format!("g{id}"), parent }
            })
            .collect();
        let roles: Vec<Role> = (0..size.roles)
            .map(|n| {
                // Every permission is in some role: there are peers that know no other.
                let mut permissions: BTreeSet<usize> = (n..PERMISSIONS).step_by(size.roles).collect();
                while permissions.len() < IN_ROLE {
                    permissions.insert(rng.usize(..PERMISSIONS));
                }
                Role { id: format!("r{n}"), permissions }
            })
            .collect();
        // Nobody below the second level holds anything: who is there has it through a group in a group.
        let assignments: Vec<Assignment> = (0..size.groups)
            .flat_map(|group| std::iter::repeat_n(group, [2, 1, 1, 1].get(group % TREE).copied().unwrap_or(0)))
            .map(|group| Assignment { group, role: rng.usize(..size.roles), object: rng.usize(..OBJECTS) })
            .collect();
        let users = shuffled(size.users, &mut rng)
            .into_iter()
            .map(|id| {
                let mut groups = BTreeSet::new();
                while groups.len() < OF_USER {
                    groups.insert(rng.usize(..size.groups));
                }
                User { id: format!("u{id}"), region: region(&mut rng), groups: groups.into_iter().collect() }
            })
            .collect();
        let objects = (0..OBJECTS).map(|n| format!("o{n}")).collect();
        let permissions = (0..PERMISSIONS).map(|n| format!("data.p{n}")).collect();
        Self { users, groups, roles, assignments, objects, permissions }
    }

    /// A group and all that it is in.
    pub fn above(&self, group: usize) -> Vec<usize> {
        std::iter::successors(Some(group), |g| self.groups[*g].parent).collect()
    }

    /// A group and all that is in it.
    pub fn below(&self, group: usize) -> Vec<usize> {
        (0..self.groups.len()).filter(|g| self.above(*g).contains(&group)).collect()
    }

    /// The roles that a user holds, by object.
    pub fn held(&self, user: usize) -> BTreeMap<usize, BTreeSet<usize>> {
        let groups: BTreeSet<usize> = self.users[user].groups.iter().flat_map(|g| self.above(*g)).collect();
        let mut held: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for a in self.assignments.iter().filter(|a| groups.contains(&a.group)) {
            held.entry(a.object).or_default().insert(a.role);
        }
        held
    }

    /// What a user may do, by object.
    fn may(&self, user: usize) -> BTreeMap<usize, BTreeSet<usize>> {
        let permissions =
            |roles: BTreeSet<usize>| roles.iter().flat_map(|r| self.roles[*r].permissions.clone()).collect();
        self.held(user).into_iter().map(|(object, roles)| (object, permissions(roles))).collect()
    }

    /// Whether the condition lets the user see the record.
    pub fn visible(&self, user: usize, record: &Record) -> bool {
        record.region == self.users[user].region || record.amount < OPEN_BELOW
    }

    /// Different questions, half of which are to be denied: always at an object where the user holds
    /// something, so that nothing is settled early. With a condition, half of the denied hold the
    /// permission and may not see the record.
    pub fn questions(&self, kind: Kind, count: usize) -> Vec<Question> {
        let mut rng = Rng::with_seed(11);
        let may: Vec<_> = (0..self.users.len()).map(|user| self.may(user)).collect();
        let (mut questions, mut seen) = (Vec::with_capacity(count), BTreeSet::new());
        while questions.len() < count {
            let user = rng.usize(..self.users.len());
            let Some(object) = rng.choice(may[user].keys()).copied() else { continue };
            let held = &may[user][&object];
            let (allow, hidden) = (questions.len() % 2 == 0, questions.len() % 4 == 1);
            let holds = allow || (hidden && kind == Kind::Condition) || kind == Kind::Filter;
            let permission = if holds {
                rng.choice(held.iter()).copied()
            } else {
                Some(rng.usize(..PERMISSIONS)).filter(|p| !held.contains(p))
            };
            let Some(permission) = permission else { continue };
            // Different also to whom no record is sent.
            if kind != Kind::Filter && !seen.insert((user, object, permission)) {
                continue;
            }
            let records: Vec<Record> = match kind {
                Kind::Plain => Vec::new(),
                Kind::Filter => (0..1_000).map(|_| record(&mut rng)).collect(),
                Kind::Condition => loop {
                    let record = record(&mut rng);
                    if self.visible(user, &record) == allow {
                        break vec![record];
                    }
                },
            };
            let expected = match kind {
                Kind::Plain => vec![holds],
                _ => records.iter().map(|r| holds && self.visible(user, r)).collect(),
            };
            questions.push(Question { user, permission, object, records, expected });
        }
        rng.shuffle(&mut questions);
        questions
    }
}

fn region(rng: &mut Rng) -> String {
    format!("region-{}", rng.usize(..REGIONS))
}

fn record(rng: &mut Rng) -> Record {
    // Halves, so that it is the same number in every notation.
    Record { id: format!("rec-{}", rng.u32(..)), region: region(rng), amount: f64::from(rng.u32(..20_000)) / 2.0 }
}
