//! What one version gives and another does not: who gains and loses what.
//!
//! Compared is what principals that may act hold now or later, permission by permission, wildcards
//! resolved by each version's catalogue. What is held at the organization is held everywhere, so that a
//! permission which moves from an object to the organization is no loss. Not compared: which records
//! data-access policies show, and when a period ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::core::model::{Member, Millis, Target};
use crate::core::table::Table;

use super::{Review, When, may_act, principals};

/// What a principal gains or loses at one target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Who.
    pub principal: Member,
    /// Whether it gains it.
    pub gained: bool,
    /// Where.
    pub target: Target,
    /// Permissions, by name.
    pub permissions: Vec<String>,
}

/// Two versions to compare.
pub struct Compared<'a> {
    before: Side<'a>,
    after: Side<'a>,
    names: Vec<&'a str>,
}

struct Side<'a> {
    review: Review<'a>,
    /// By a permission's number: its place in the names of both versions.
    shared: HashMap<u32, u32>,
}

/// Permissions by where they are held: places in the names of both versions.
type Given = BTreeMap<Target, BTreeSet<u32>>;

impl<'a> Compared<'a> {
    /// What differs from `before` to `after`, of what is not over at `now`.
    #[must_use]
    pub fn new(before: &'a Table, after: &'a Table, now: Millis) -> Self {
        let of = |table: &'a Table| table.catalogue().map(|(_, slot)| slot.row.name.as_str());
        let names: BTreeSet<&str> = of(before).chain(of(after)).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let side = |table: &'a Table| {
            let place = |name: &str| u32::try_from(names.binary_search(&name).ok()?).ok();
            let shared = table.catalogue().filter_map(|(n, slot)| Some((n, place(slot.row.name.as_str())?)));
            Side { review: Review::of(table, When::From(now)), shared: shared.collect() }
        };
        Self { before: side(before), after: side(after), names }
    }

    /// The ids of all principals of either version, services first.
    #[must_use]
    pub fn principals(&self) -> Vec<(bool, &'a str)> {
        let mut all = principals(self.before.review.table);
        all.extend(principals(self.after.review.table));
        all.sort_by_key(|(service, id)| (!service, *id));
        all.dedup();
        all
    }

    /// What a principal gains and loses, gains first.
    #[must_use]
    pub fn of(&self, service: bool, id: &'a str) -> Vec<Difference> {
        let (before, after) = (self.before.given(service, id), self.after.given(service, id));
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let Ok(bare) = crate::core::id::OpaqueId::parse(id) else { return Vec::new() };
        let principal = if service { Member::Service(bare) } else { Member::User(bare) };
        let mut differences = Vec::new();
        for (gained, more, less) in [(true, &after, &before), (false, &before, &after)] {
            for (target, permissions) in more {
                let differs = permissions.iter().filter(|p| !covered(less, target, **p) && !wider(more, target, **p));
                let names = differs.filter_map(|p| self.names.get(*p as usize).map(ToString::to_string));
                let permissions: Vec<String> = names.collect();
                if !permissions.is_empty() {
                    let (principal, target) = (principal.clone(), target.clone());
                    differences.push(Difference { principal, gained, target, permissions });
                }
            }
        }
        differences
    }
}

fn covered(given: &Given, target: &Target, permission: u32) -> bool {
    given.get(target).is_some_and(|held| held.contains(&permission)) || wider(given, target, permission)
}

/// Whether it is held at a target that includes this one.
fn wider(given: &Given, target: &Target, permission: u32) -> bool {
    let at = |target: &Target| given.get(target).is_some_and(|held| held.contains(&permission));
    match target {
        Target::Organization => false,
        Target::Account(_) | Target::Object(_) => at(&Target::Organization),
        Target::Record(object, _) => at(&Target::Organization) || at(&Target::Object(object.clone())),
    }
}

impl<'a> Side<'a> {
    fn given(&self, service: bool, id: &'a str) -> Option<Given> {
        // The id may be the other version's; it lives as long.
        let found = self.review.find(service, id).filter(|found| may_act(found.value.status))?;
        let holder = self.review.holder(service, &found, false)?;
        let table = self.review.table;
        let mut given = Given::new();
        for held in holder.held.iter().filter(|held| self.review.is_listed(held.place, &found)) {
            let (Some(target), Some(bundle)) = (self.review.target(held.place), table.bundle(held.bundle)) else {
                continue;
            };
            let level = held.place.level();
            let effective =
                bundle.set.iter().filter(|n| table.permission_slot(*n).is_some_and(|s| s.row.level <= level));
            given.entry(target).or_default().extend(effective.filter_map(|n| self.shared.get(&n)));
        }
        Some(given)
    }
}
