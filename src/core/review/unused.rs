//! Roles and permissions that are not used: given to nobody, or not allowed for a time.
//!
//! What is counted is when a permission was last allowed, to whomever and by whatever path: which role gave
//! a decision is not known. So what is said to be unused gave nothing; of what is not said to be, nothing is
//! known: of two roles that give the same, both are used as soon as one is.

use std::collections::{BTreeMap, HashMap};

use crate::core::model::{Level, Millis};
use crate::core::table::{Bundle, Source};

use super::Review;

/// How exactly it is known when a permission was last allowed.
pub const HOUR_MS: Millis = 60 * 60 * 1_000;

/// When a permission was last allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastAllowed {
    /// Since when that is counted.
    pub counted_since: Millis,
    /// The beginning of the hour; none: never since then.
    pub at: Option<Millis>,
}

impl LastAllowed {
    /// Whether it is known that it was not allowed from that instant on.
    #[must_use]
    pub fn is_before(self, from: Millis) -> bool {
        self.counted_since <= from && self.at.is_none_or(|at| at.saturating_add(HOUR_MS) <= from)
    }
}

/// What a report of unused things is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Roles.
    Roles,
    /// Permissions of the catalogue.
    Permissions,
}

/// A role or a permission that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unused {
    /// The role's id or the permission's name.
    pub name: String,
    /// When the permission, or one that the role gives, was last allowed.
    pub last_allowed_at: Option<Millis>,
    number: u32,
    level: Level,
}

impl Review<'_> {
    /// What is given to nobody; with `from`, also what is known not to have been used from then on: permissions
    /// that were not allowed, and roles that give no other. In no order.
    #[must_use]
    pub fn unused(&self, kind: Kind, last: &dyn Fn(u32) -> LastAllowed, from: Option<Millis>) -> Vec<Unused> {
        let used = self.used();
        let last: HashMap<u32, LastAllowed> = self.table.catalogue().map(|(n, _)| (n, last(n))).collect();
        let last_at = |number: u32| last.get(&number).and_then(|last| last.at);
        let is_idle = |number: u32| {
            let last = last.get(&number);
            from.zip(last).is_some_and(|(from, last)| last.is_before(from))
        };
        let role = |number: u32, bundle: &Bundle| {
            let Source::Role { row, .. } = &bundle.source else { return None };
            let gives = || self.table.catalogue().map(|(n, _)| n).filter(|n| bundle.set.contains(*n));
            let idle = from.is_some() && gives().all(is_idle);
            let unused = idle || !self.is_held(&used, number);
            let last_allowed_at = gives().filter_map(last_at).max();
            unused.then(|| Unused { name: row.id.to_string(), last_allowed_at, number, level: Level::Object })
        };
        match kind {
            Kind::Roles => {
                let bundles = (0u32..).zip(&self.table.bundles);
                bundles.filter_map(|(number, bundle)| role(number, bundle.as_ref()?)).collect()
            }
            Kind::Permissions => {
                let catalogue = self.table.catalogue().map(|(n, slot)| (n, slot.row.level, &slot.row.name));
                let unused = catalogue.filter(|(n, level, _)| is_idle(*n) || !self.is_given(&used, *n, *level));
                let unused = unused.map(|(number, level, name)| Unused {
                    name: name.to_string(),
                    last_allowed_at: last_at(number),
                    number,
                    level,
                });
                unused.collect()
            }
        }
    }

    /// How many principals hold each of these by any path: one pass over all of them.
    #[must_use]
    pub fn holder_counts(&self, kind: Kind, of: &[Unused]) -> Vec<u64> {
        // Most principals hold the same as many others do: each set of what is held is looked at once.
        let mut alike: HashMap<Vec<(u32, Level)>, u64> = HashMap::new();
        for service in [true, false] {
            for found in self.pages(service).iter() {
                let Some(holder) = self.holder(service, &found, false) else { continue };
                let mut widest: BTreeMap<u32, Level> = BTreeMap::new();
                for held in &holder.held {
                    let level = held.place.level();
                    let known = widest.entry(held.bundle).or_insert(level);
                    *known = (*known).max(level);
                }
                *alike.entry(widest.into_iter().collect()).or_default() += 1;
            }
        }
        let holds = |unused: &Unused, (bundle, at): &(u32, Level)| match kind {
            Kind::Roles => self.stands_for(*bundle, unused.number),
            Kind::Permissions => {
                let contains = |b: &std::sync::Arc<Bundle>| b.set.contains(unused.number);
                *at >= unused.level && self.table.bundle(*bundle).is_some_and(contains)
            }
        };
        let count = |unused: &Unused| {
            let holding = alike.iter().filter(|(held, _)| held.iter().any(|held| holds(unused, held)));
            holding.map(|(_, count)| count).sum()
        };
        of.iter().map(count).collect()
    }
}
