//! What a caller holds, and whether it covers what a change would give.

use std::collections::BTreeSet;

use super::{Counting, Held};
use crate::core::decision::split_principal;
use crate::core::edge::GROUP_MEMBER;
use crate::core::id::{Coverage, Pattern};
use crate::core::model::{Activation, Level, Millis, Period, Target};
use crate::core::principal::PrincipalFound;
use crate::core::separation::Voided;
use crate::core::table::Table;

/// A principal and what it holds at the organization, accounts and objects.
pub(super) struct Holder<'t> {
    number: u32,
    groups: BTreeSet<u32>,
    held: Vec<Held>,
    voided: Option<Voided<'t>>,
    counting: Counting,
}

impl<'t> Holder<'t> {
    pub(super) fn of(table: &'t Table, found: &PrincipalFound<'_>, counting: Counting) -> Self {
        let groups = table.around(table.groups_of(found).iter());
        let mut held = Vec::new();
        table.by_groups(&groups, false, &mut held);
        table.by_principal(found, &mut held);
        let voided = Voided::of(table, found, counting == Counting::All);
        Self { number: found.value.number, groups, held, voided, counting }
    }

    pub(super) fn covers(&self, before: &Table, after: &Table, gain: &Held, now: Millis) -> bool {
        if !takes_effect(after, gain) {
            return true;
        }
        let mut at_record = Vec::new();
        if let Target::Record(object, record) = &gain.target {
            let number = before.objects.find(object.as_str()).map(|f| f.value);
            let slot = number.and_then(|number| before.object_slot(number));
            for (edge, _) in number.map(|n| before.record_edges(n, record.as_str())).unwrap_or_default() {
                let group = edge.at & GROUP_MEMBER != 0 && self.groups.contains(&(edge.at & !GROUP_MEMBER));
                let usable = before.is_usable(&edge);
                if let (true, Some(slot)) = (usable && (group || edge.at == self.number), slot) {
                    before.contents_at(slot, &edge, &gain.target, &mut at_record);
                }
            }
        }
        let voided = self.voided.as_ref().map(|voided| voided.at(&gain.target, gain.period, now)).unwrap_or_default();
        let counts = |held: &&Held| {
            let lasts = |bundle| !before.is_activation(bundle);
            held.bundle
                .is_none_or(|bundle| !voided.contains(&bundle) && (self.counting == Counting::All || lasts(bundle)))
        };
        let held = self.held.iter().chain(&at_record).filter(counts);
        let periods = held
            .filter(|held| {
                includes(&held.target, &gain.target) && stands_for((before, &held.pattern), (after, &gain.pattern))
            })
            .map(|held| held.period);
        whole(periods.collect(), gain.period, now)
    }
}

/// Whether `period`, as far as it is not over, is covered without a gap.
fn whole(mut periods: Vec<Period>, period: Period, now: Millis) -> bool {
    periods.sort_by_key(Period::starts);
    let mut covered = period.starts().max(now);
    for held in &periods {
        if covered >= period.ends() {
            return true;
        }
        if held.starts() <= covered {
            covered = covered.max(held.ends());
        }
    }
    covered >= period.ends()
}

/// Whether what is held at `held` is held at `target`.
fn includes(held: &Target, target: &Target) -> bool {
    match (held, target) {
        (Target::Organization, _) => true,
        (Target::Object(held), Target::Record(object, _)) => held == object,
        _ => held == target,
    }
}

/// Whether whoever holds the one holds the other, each as the version beside it reads it: aliases may move.
pub(super) fn stands_for((of_held, held): (&Table, &Pattern), (of_pattern, pattern): (&Table, &Pattern)) -> bool {
    let name = |table: &Table, name: &str| table.canonical(name).map_or_else(|| name.to_owned(), ToString::to_string);
    match (held.coverage(), pattern.coverage()) {
        (Coverage::All, _) => true,
        (Coverage::Prefix(held), Coverage::Prefix(pattern)) => pattern.starts_with(held),
        (Coverage::Prefix(held), Coverage::One(one)) => name(of_pattern, one).starts_with(held),
        (Coverage::One(held), Coverage::One(one)) => name(of_held, held) == name(of_pattern, one),
        (Coverage::Prefix(_) | Coverage::One(_), _) => false,
    }
}

/// Whether one permission has an effect at a target (rule 3.1).
fn takes_effect(table: &Table, gain: &Held) -> bool {
    let Coverage::One(name) = gain.pattern.coverage() else { return true };
    let level = table.permission(name).map_or(Level::Object, |p| p.level);
    match gain.target {
        Target::Organization => true,
        Target::Account(_) => level <= Level::Account,
        Target::Object(_) | Target::Record(..) => level == Level::Object,
    }
}

/// The running activation of a user (rule 7.4) that gives what is held.
#[must_use]
pub fn activation_of<'t>(table: &'t Table, principal: &str, held: &Held, now: Millis) -> Option<&'t Activation> {
    let (service, id) = split_principal(principal);
    let gives = |activation: &&Activation| {
        let role = table.role_row(&activation.role);
        let mut patterns = role.into_iter().flat_map(|role| &role.permissions);
        !activation.rehearsal
            && activation.user.as_str() == id
            && activation.is_open(now)
            && includes(&activation.target, &held.target)
            && patterns.any(|pattern| stands_for((table, pattern), (table, &held.pattern)))
    };
    table.activations().filter(gives).max_by_key(|activation| activation.starts_at).filter(|_| !service)
}

#[cfg(test)]
mod tests;
