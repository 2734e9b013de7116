//! What hangs on the organization's e-mail domains (rules 2.1 and 2.6).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::draft::Draft;
use super::id::{Email, Id, OpaqueId};
use super::model::{Effect, EmailDomain, Row, Settings, UserKind};
use super::principal::PrincipalFound;
use super::table::Table;

/// Rule 2.1: the kind that an address makes, where none is given.
#[must_use]
pub fn implied_kind(domains: &[EmailDomain], email: &Email) -> UserKind {
    kind_in(domains, &email.domain())
}

fn kind_in(domains: &[EmailDomain], domain: &str) -> UserKind {
    let own = domains.iter().find(|d| d.domain.as_str() == domain);
    own.map_or(UserKind::External, |d| d.audience)
}

impl Draft {
    /// Rule 2.1: users whose kind is the one that their domain made are of the kind that it makes now. Passes over
    /// all users if a domain makes another.
    pub(super) fn follow_domains(&mut self, before: &Table, new: &Settings) {
        let Some(old) = before.settings() else { return };
        let domains = old.email_domains.iter().chain(&new.email_domains).map(|d| d.domain.as_str());
        let moved = domains.filter_map(|domain| {
            let (was, is) = (kind_in(&old.email_domains, domain), kind_in(&new.email_domains, domain));
            (was != is).then_some((before.domains.find(domain)?.value, (was, is)))
        });
        let moved: HashMap<u32, (UserKind, UserKind)> = moved.collect();
        if moved.is_empty() {
            return;
        }
        for found in before.users.iter() {
            if let Some((was, is)) = moved.get(&found.value.domain)
                && found.value.kind == Some(*was)
                && let Some(user) = before.user(&found)
            {
                self.put(Row::User(super::model::User { kind: *is, ..user }));
            }
        }
    }
}

/// What a change of domains does to those who have an address in one of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Followers {
    /// By group: how many are in it who were not, and were who are not, nested groups included.
    pub groups: BTreeMap<Id, (u64, u64)>,
    /// Those who join or leave a group, or are of another kind; in no order that means anything.
    pub users: Vec<OpaqueId>,
}

impl Followers {
    /// Of those with an address in `domain` in `of`, which is one of both.
    #[must_use]
    pub fn between(before: &Table, after: &Table, of: &Table, domain: &str) -> Self {
        let mut users = Vec::new();
        // By number, which stays the same from one version to the next.
        let mut counts: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        let Some(number) = of.domains.find(domain).map(|f| f.value) else { return Self::default() };
        let (mut had, mut has) = (Around::of(before), Around::of(after));
        for id in of.users.iter().filter(|f| f.value.domain == number).map(|f| f.id) {
            let (was, is) = (before.users.find(id), after.users.find(id));
            let moved = was.zip(is).is_some_and(|(was, is)| was.value.kind != is.value.kind);
            let (was, is) = (had.groups(was.as_ref()), has.groups(is.as_ref()));
            is.difference(was).for_each(|group| counts.entry(*group).or_default().0 += 1);
            was.difference(is).for_each(|group| counts.entry(*group).or_default().1 += 1);
            if moved || was != is {
                users.extend(OpaqueId::parse(id));
            }
        }
        let named = |(group, counts)| {
            let slot = after.group_slot(group).or_else(|| before.group_slot(group))?;
            Some((slot.row.id.clone(), counts))
        };
        Self { groups: counts.into_iter().filter_map(named).collect(), users }
    }
}

/// The groups around principals: most are directly in the same as many others.
struct Around<'t> {
    table: &'t Table,
    known: HashMap<Vec<u32>, BTreeSet<u32>>,
    none: BTreeSet<u32>,
}

impl<'t> Around<'t> {
    fn of(table: &'t Table) -> Self {
        Self { table, known: HashMap::new(), none: BTreeSet::new() }
    }

    fn groups(&mut self, found: Option<&PrincipalFound<'_>>) -> &BTreeSet<u32> {
        let Some(found) = found else { return &self.none };
        let direct: Vec<u32> = self.table.groups_of(found).iter().collect();
        let table = self.table;
        self.known.entry(direct).or_insert_with_key(|direct| table.around(direct.iter().copied()))
    }
}

impl Table {
    /// The groups that have a member, nested groups included: one pass over all principals.
    #[must_use]
    pub fn groups_with_members(&self) -> BTreeSet<Id> {
        let mut direct: BTreeSet<u32> = BTreeSet::new();
        for found in self.users.iter().chain(self.services.iter()) {
            direct.extend(self.groups_of(&found).iter());
        }
        let groups = self.around(direct).into_iter();
        groups.filter_map(|group| Some(self.group_slot(group)?.row.id.clone())).collect()
    }

    /// The `allow` policies by which members of one of these groups see records, by id.
    #[must_use]
    pub fn policies_showing_to(&self, groups: &[Id]) -> Vec<Id> {
        let numbers: Vec<u32> = groups.iter().filter_map(|g| Some(self.groups.find(g.as_str())?.value)).collect();
        let about = self.policies().filter(|policy| policy.row.effect == Effect::Allow);
        let about = about.filter(|policy| numbers.iter().any(|g| policy.concerns.contains(*g)));
        let mut ids: Vec<Id> = about.map(|policy| policy.row.id.clone()).collect();
        ids.sort();
        ids
    }
}
