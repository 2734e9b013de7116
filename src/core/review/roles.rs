//! Who holds a role, which roles nobody holds, and which permissions nothing gives.
//!
//! Holding is not acting: a user who is invited, limited or inactive holds what it was given.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::edge::{GROUP_MEMBER, edges};
use crate::core::explain::Path;
use crate::core::id::Id;
use crate::core::model::{Level, Member, Target};
use crate::core::principal::PrincipalFound;
use crate::core::table::{Source, Table};

use super::{Held, Place, Review, principals, role_number};

/// A principal that holds a role.
#[derive(Debug, Clone, PartialEq)]
pub struct RoleHolder {
    /// Who.
    pub principal: Member,
    /// How it comes to hold it.
    pub paths: Vec<Path>,
    /// Whether there are more paths.
    pub truncated: bool,
}

/// What somebody holds.
pub struct Used {
    /// Bundles by the widest level at which somebody holds them.
    bundles: BTreeMap<u32, Level>,
}

impl<'a> Review<'a> {
    /// The principals that hold a role, by any path, in the order of their texts: all for which
    /// [`Review::role_holder`] says how.
    #[must_use]
    pub fn role_holders(&self, role: &Id, target: Option<&Target>) -> Vec<(bool, &'a str)> {
        let Some(bundle) = role_number(self.table, role) else { return Vec::new() };
        // Whoever is in one of these groups may hold it; to be sure, it is asked what it holds.
        let groups = self.groups_with(bundle);
        let in_group = |found: &PrincipalFound<'_>| self.table.groups_of(found).any(|g| groups.contains(&g));
        let mut all = principals(self.table);
        all.retain(|(service, id)| {
            self.find(*service, id).is_some_and(|found| {
                let directly = edges(Table::edges_of(&found)).any(|e| self.stands_for(e.bundle, bundle));
                let by_rule = self.by_rule(&found).is_some_and(|held| held.bundle == bundle);
                let may = directly || by_rule || in_group(&found) || !self.at_records(found.value.number).is_empty();
                may && self
                    .holder(*service, &found, false)
                    .is_some_and(|holder| holder.held.iter().any(|held| self.is_role_at(held, bundle, target)))
            })
        });
        all
    }

    /// How a principal holds a role; none if it does not.
    #[must_use]
    pub fn role_holder(&self, service: bool, id: &'a str, role: &Id, target: Option<&Target>) -> Option<RoleHolder> {
        let bundle = role_number(self.table, role)?;
        let holder = self.holder(service, &self.find(service, id)?, false)?;
        let held = holder.held.iter().filter(|held| self.is_role_at(held, bundle, target));
        let held: Vec<_> = held.map(|held| (held, None)).collect();
        let (paths, truncated) = holder.paths(&held);
        (!paths.is_empty()).then(|| RoleHolder { principal: holder.member.clone(), paths, truncated })
    }

    fn is_role_at(&self, held: &Held<'_>, bundle: u32, target: Option<&Target>) -> bool {
        let here = || target.is_none_or(|target| self.target(held.place).as_ref() == Some(target));
        self.stands_for(held.bundle, bundle) && here()
    }

    /// Whether a bundle is a role, or its activations (rule 7.4).
    pub(super) fn stands_for(&self, bundle: u32, role: u32) -> bool {
        bundle == role || self.table.activated.get(&role) == Some(&bundle)
    }

    /// The groups that hold a bundle, at records too, with all that are nested in them.
    fn groups_with(&self, bundle: u32) -> BTreeSet<u32> {
        let direct = self.by_group.iter().filter(|(_, edges)| edges.iter().any(|e| e.bundle == bundle));
        // What is held at records is few, so that whatever it is counts.
        let at_records = self.at_records.iter().map(|held| held.edge.at).filter(|at| at & GROUP_MEMBER != 0);
        let mut groups: BTreeSet<u32> =
            direct.map(|(g, _)| *g).chain(at_records.map(|at| at & !GROUP_MEMBER)).collect();
        let mut open: Vec<u32> = groups.iter().copied().collect();
        while let Some(slot) = open.pop().and_then(|g| self.table.group_slot(g)) {
            open.extend(slot.children.iter().copied().filter(|child| groups.insert(*child)));
        }
        groups
    }

    /// What somebody holds: one pass over the principals.
    #[must_use]
    pub fn used(&self) -> Used {
        let mut used = Used { bundles: BTreeMap::new() };
        let mut groups: BTreeSet<u32> = BTreeSet::new();
        for service in [true, false] {
            for found in self.pages(service).iter() {
                groups.extend(self.table.groups_of(&found).iter());
                for edge in edges(Table::edges_of(&found)).filter(|e| self.when.counts(e)) {
                    used.add(edge.bundle, Place::At(edge.at).level());
                }
                if let Some(held) = self.by_rule(&found) {
                    used.add(held.bundle, held.place.level());
                }
                self.add_at_records(None, found.value.number, &mut used);
            }
        }
        let mut open: Vec<u32> = groups.iter().copied().collect();
        while let Some(slot) = open.pop().and_then(|g| self.table.group_slot(g)) {
            open.extend(slot.parents.iter().copied().filter(|parent| groups.insert(*parent)));
        }
        for group in groups {
            for edge in self.by_group.get(&group).into_iter().flatten() {
                used.add(edge.bundle, Place::At(edge.at).level());
            }
            self.add_at_records(Some(group), group | GROUP_MEMBER, &mut used);
        }
        used
    }

    fn add_at_records(&self, group: Option<u32>, member: u32, used: &mut Used) {
        let mut held = Vec::new();
        self.held_at_records(group, member, &mut held);
        held.iter().for_each(|held| used.add(held.bundle, Level::Object));
    }

    /// Whether somebody holds a role.
    pub(super) fn is_held(&self, used: &Used, role: u32) -> bool {
        let holds = |bundle: &u32| used.bundles.contains_key(bundle);
        holds(&role) || self.table.activated.get(&role).is_some_and(holds)
    }

    /// Whether somebody is given a permission where it takes effect (rule 3.1).
    pub(super) fn is_given(&self, used: &Used, permission: u32, level: Level) -> bool {
        let mut bundles = used.bundles.iter().filter(|(_, at)| **at >= level);
        bundles.any(|(bundle, _)| self.table.bundle(*bundle).is_some_and(|b| b.set.contains(permission)))
    }

    /// The roles that nobody holds, by id.
    #[must_use]
    pub fn unused_roles(&self) -> Vec<Id> {
        let used = self.used();
        let roles = (0u32..).zip(&self.table.bundles).filter(|(number, _)| !self.is_held(&used, *number));
        let mut unused: Vec<Id> = roles
            .filter_map(|(_, bundle)| match &bundle.as_ref()?.source {
                Source::Role { row, .. } => Some(row.id.clone()),
                Source::Grant(_) | Source::Activation(_) => None,
            })
            .collect();
        unused.sort();
        unused
    }

    /// The permissions of the catalogue that nobody is given where they take effect (rule 3.1), by name.
    #[must_use]
    pub fn unused_permissions(&self) -> Vec<String> {
        let used = self.used();
        let given = |number: u32, level: Level| self.is_given(&used, number, level);
        let unused = self.table.catalogue().filter(|(number, slot)| !given(*number, slot.row.level));
        let mut unused: Vec<String> = unused.map(|(_, slot)| slot.row.name.to_string()).collect();
        unused.sort();
        unused
    }
}

impl Used {
    fn add(&mut self, bundle: u32, level: Level) {
        let widest = self.bundles.entry(bundle).or_insert(level);
        *widest = (*widest).max(level);
    }
}
