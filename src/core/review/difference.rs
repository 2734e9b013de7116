//! What one version gives and another does not: who gains and loses what.
//!
//! Compared is what principals that may act can do now or later, permission by permission, wildcards
//! resolved by each version's catalogue. What is held at the organization is held everywhere, so that a
//! permission which moves from an object to the organization is no loss; but what a separation constraint voids
//! now counts for nothing there (rule 4.5), nor does anything at an element that is closed to the principal
//! (rule 4.4). Not compared: which records data-access policies show, when a period ends, and what a
//! constraint voids only of records that are in an account.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::core::id::OpaqueId;
use crate::core::model::{Level, Member, Millis, Target};
use crate::core::principal::PrincipalFound;
use crate::core::table::{ObjectSlot, Table};

use super::super::set::Set;
use super::standing::Spot;
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
        let (before, after) = (self.before.person(service, id), self.after.person(service, id));
        let Ok(bare) = OpaqueId::parse(id) else { return Vec::new() };
        let principal = if service { Member::Service(bare) } else { Member::User(bare) };
        let mut targets: BTreeSet<Target> = BTreeSet::new();
        for person in [&before, &after].into_iter().flatten() {
            targets.extend(person.held.keys().cloned());
        }
        targets.extend(Self::opened(before.as_ref(), after.as_ref()));
        let mut effective: BTreeMap<&Target, [BTreeSet<u32>; 2]> = BTreeMap::new();
        for target in &targets {
            let at = |person: &Option<Person<'a, '_>>| person.as_ref().map(|p| p.at(target)).unwrap_or_default();
            effective.insert(target, [at(&before), at(&after)]);
        }
        let mut differences = Vec::new();
        for (gained, side) in [(true, &self.after), (false, &self.before)] {
            let differ = |target: &Target| -> BTreeSet<u32> {
                let Some([before, after]) = effective.get(target) else { return BTreeSet::new() };
                if gained { after - before } else { before - after }
            };
            for target in targets.iter().filter(|target| side.review.has(target)) {
                let mut here = differ(target);
                // It is told where it is widest.
                for wider in wider(target) {
                    here = &here - &differ(&wider);
                }
                let names = here.iter().filter_map(|p| self.names.get(*p as usize).map(ToString::to_string));
                let permissions: Vec<String> = names.collect();
                if !permissions.is_empty() {
                    let (principal, target) = (principal.clone(), target.clone());
                    differences.push(Difference { principal, gained, target, permissions });
                }
            }
        }
        differences
    }

    /// The objects of both versions of which only one is open to the principal.
    fn opened(before: Option<&Person<'a, '_>>, after: Option<&Person<'a, '_>>) -> Vec<Target> {
        let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
        let (was, is) = (before.side.review.table, after.side.review.table);
        let differs = |slot: &&Arc<ObjectSlot>| {
            let then = was.objects.find(slot.row.id.as_str()).and_then(|f| was.object_slot(f.value));
            then.is_some_and(|then| then.open != slot.open && then.open.to(&before.found) != slot.open.to(&after.found))
        };
        let objects = is.object_slots.iter().flatten().filter(differs);
        objects.map(|slot| Target::Object(slot.row.id.clone())).collect()
    }
}

/// The targets that include this one.
fn wider(target: &Target) -> Vec<Target> {
    match target {
        Target::Organization => Vec::new(),
        Target::Account(_) | Target::Object(_) => vec![Target::Organization],
        Target::Record(object, _) => vec![Target::Organization, Target::Object(object.clone())],
    }
}

/// What a principal holds in one version.
struct Person<'a, 's> {
    side: &'s Side<'a>,
    service: bool,
    found: PrincipalFound<'a>,
    /// Bundles, by where they are held.
    held: BTreeMap<Target, BTreeSet<u32>>,
}

impl<'a> Side<'a> {
    fn person(&self, service: bool, id: &'a str) -> Option<Person<'a, '_>> {
        // The id may be the other version's; it lives as long.
        let found = self.review.find(service, id).filter(|found| may_act(found.value.status))?;
        let holder = self.review.holder(service, &found, false)?;
        let mut held: BTreeMap<Target, BTreeSet<u32>> = BTreeMap::new();
        for one in &holder.held {
            if let Some(target) = self.review.target(one.place) {
                held.entry(target).or_default().insert(one.bundle);
            }
        }
        Some(Person { side: self, service, found, held })
    }
}

impl Person<'_, '_> {
    /// What it can do at a target, by what it holds there or wider: places in the names of both versions.
    fn at(&self, target: &Target) -> BTreeSet<u32> {
        let review = &self.side.review;
        let spot = Spot::of([Some(target), None]);
        if !review.has(target) {
            // What is held wider does not come or go with it.
            return wider(target).last().map_or_else(BTreeSet::new, |wider| self.at(wider));
        }
        let mut effective = BTreeSet::new();
        if review.closed_by(&self.found, &spot).is_some() {
            return effective;
        }
        for from in wider(target).iter().chain([target]) {
            let Some(bundles) = self.held.get(from) else { continue };
            let voids = review.void_by(self.service, &self.found, &spot, bundles.iter().copied());
            for (bundle, _) in bundles.iter().zip(voids).filter(|(_, void)| void.is_empty()) {
                let (table, level) = (review.table, level(from));
                let reaches = |n: &u32| table.permission_slot(*n).is_some_and(|s| s.row.level <= level);
                let set = table.bundle(*bundle).map(|b| &b.set);
                let given = set.into_iter().flat_map(Set::iter).filter(reaches);
                effective.extend(given.filter_map(|n| self.side.shared.get(&n)));
            }
        }
        effective
    }
}

impl Review<'_> {
    /// Whether there is such a target; of records nothing is known but what is held there.
    fn has(&self, target: &Target) -> bool {
        match target {
            Target::Organization => true,
            Target::Account(id) => self.table.accounts.find(id.as_str()).is_some(),
            Target::Object(id) | Target::Record(id, _) => self.table.objects.find(id.as_str()).is_some(),
        }
    }
}

fn level(target: &Target) -> Level {
    match target {
        Target::Organization => Level::Organization,
        Target::Account(_) => Level::Account,
        Target::Object(_) | Target::Record(..) => Level::Object,
    }
}
