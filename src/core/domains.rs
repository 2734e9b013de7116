//! What hangs on the organization's e-mail domains (rule 2.6), for those who change them.

use std::collections::BTreeMap;

use super::id::{Domain, Id};
use super::model::{Effect, GroupKind, Status};
use super::principal::PrincipalFound;
use super::table::Table;

impl Table {
    /// How many active users have an address in each domain.
    #[must_use]
    pub fn active_users_by_domain(&self) -> BTreeMap<String, u64> {
        let mut counts: BTreeMap<u32, u64> = BTreeMap::new();
        for found in self.users.iter().filter(active) {
            *counts.entry(found.value.domain).or_default() += 1;
        }
        let counted = self.domains.iter().filter_map(|f| Some((f.id.to_owned(), *counts.get(&f.value)?)));
        counted.collect()
    }

    /// The ids of the active users with an address in a domain, in no order that means anything.
    pub fn active_users_in<'a>(&'a self, domain: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let number = self.domains.find(domain).map(|f| f.value);
        self.users.iter().filter(move |f| active(f) && Some(f.value.domain) == number).map(|f| f.id)
    }

    /// The dynamic groups that name a domain, whosever it is, by id.
    #[must_use]
    pub fn dynamic_groups_over(&self, domain: &str) -> Vec<Id> {
        let named = |domains: &[Domain]| domains.iter().any(|d| d.as_str() == domain);
        let rows = self.group_slots.iter().flatten().map(|slot| &slot.row);
        let over = rows.filter(|row| matches!(&row.kind, GroupKind::Dynamic(domains) if named(domains)));
        let mut ids: Vec<Id> = over.map(|row| row.id.clone()).collect();
        ids.sort();
        ids
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

fn active(found: &PrincipalFound<'_>) -> bool {
    found.value.status == Status::Active
}
