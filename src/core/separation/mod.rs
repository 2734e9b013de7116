//! Rule 7.3: separation of duties. A constraint names roles of which nobody may hold more than a number
//! at overlapping scopes, by any path.
//!
//! ```text
//! here    how constraints become part of a version
//! walk    rule 4.5: where too many of its roles are held, a constraint that denies voids them all
//! breach  who breaks a constraint, and by which paths
//! judge   whether a change would break one
//! voided  what those that deny take from a caller, who cannot hand it out
//! ```
//!
//! **Overlapping.** Two targets overlap if one question can be about both:
//!
//! ```text
//!                organization  account a    object o        record r of o
//! organization   yes           yes          yes             yes
//! account b                    a = b        yes             yes
//! object p                                  o = p           o = p
//! record s of p                                             the same record
//! ```
//!
//! An account and an object do, since any record of the object may be in the account: only the caller
//! knows. What overlaps pair by pair overlaps in one point, and so do periods; too many roles are held
//! where, at one such point and at one time from now on, more than `max` of them are.
//!
//! **A path** is an assignment, direct or through groups of any kind, nested or not; a role given by rule
//! (3.6); a role shared by a relation (5.2), a group of which counts while it is usable for it.
//!
//! **What is refused** is what a person changes: an assignment (or a longer one), a membership (a pending
//! one too), a nesting, an auto-share trigger that leads anybody to a role of which they then hold too
//! many. What moves by itself is reported: dynamic and system membership, roles by rule, relations as
//! they are told, and every move of a status. A constraint that is new or changed is judged as a whole: if it
//! prevents, nobody may break it who did not before; if it denies, it takes effect instead.
//! An organization that is founded may bring what had moved by itself where it comes from.
//!
//! **Where it denies** depends on the question alone: the roles in effect now at its targets are counted,
//! whatever the level of the permission. So a role at the organization goes on to give what it gives
//! on other objects than the one where another role meets it.

mod breach;
mod judge;
mod voided;
mod walk;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::draft::Draft;
use super::fault::Fault;
use super::id::Id;
use super::limits;
use super::model::{Enforcement, Key, RoleKind, Row, Separation};
use super::set::Set;
use super::table::{Bundles, Denying, SeparationSlot};

pub use breach::{Breach, Broken};
pub use judge::judge;
pub(super) use voided::Voided;

impl SeparationSlot {
    /// How many of its roles one may hold.
    fn max(&self) -> usize {
        usize::try_from(self.row.max).unwrap_or(usize::MAX)
    }

    /// Whether a bundle stands for one of its roles.
    pub(super) fn names(&self, bundle: u32) -> bool {
        self.roles.iter().any(|bundles| bundles.contains(&bundle))
    }
}

impl Denying {
    pub(super) fn constraint(&self, number: u32) -> Option<&Arc<SeparationSlot>> {
        self.constraints.get(number as usize)
    }
}

impl Draft {
    pub(super) fn put_separation(&mut self, key: &Key, row: Separation) {
        self.list(key, "roles", &row.roles, limits::MAX_SEPARATED_ROLES, "roles of one separation constraint");
        if row.roles.len() < 2 {
            self.violation(key.clone(), "roles", Fault::Misplaced("a separation constraint names two roles or more"));
        }
        if row.max == 0 || usize::try_from(row.max).is_ok_and(|max| max >= row.roles.len()) {
            let fault = Fault::Misplaced("`max` is at least one and less than the number of roles");
            self.violation(key.clone(), "max", fault);
        }
        let mut roles: Vec<Bundles> = Vec::with_capacity(row.roles.len());
        for role in &row.roles {
            let number = self.role(role);
            roles.extend(self.note(key, "roles", number).map(|n| Bundles::from([n])));
        }
        self.dirty.separations = true;
        let id = row.id.clone();
        self.next.separations.insert(id, Arc::new(SeparationSlot { row, roles: roles.into() }));
        let full = self.next.separations.len() > limits::MAX_SEPARATIONS;
        self.bound(key, full, "separation constraints", limits::MAX_SEPARATIONS);
    }

    pub(super) fn take_separation(&mut self, id: &Id) {
        self.next.separations.remove(id);
        self.dirty.separations = true;
    }

    /// Takes deleted roles out of the constraints that name them; one that can no more be broken goes
    /// with them.
    pub(super) fn cut_separations(&mut self, doomed: &BTreeSet<Key>) {
        let custom = |role: &Id| self.next.role_row(role).is_some_and(|r| r.kind == RoleKind::Custom);
        let gone = |role: &Id| doomed.contains(&Key::Role(role.clone())) && custom(role);
        let named = |s: &&Separation| !doomed.contains(&Key::Separation(s.id.clone())) && s.roles.iter().any(gone);
        let mut cut: Vec<Separation> = self.next.separations().filter(named).cloned().collect();
        cut.iter_mut().for_each(|row| row.roles.retain(|role| !gone(role)));
        for row in cut {
            let key = Key::Separation(row.id.clone());
            if usize::try_from(row.max).is_ok_and(|max| max < row.roles.len()) {
                self.put(Row::Separation(row));
            } else {
                self.take_separation(&row.id);
                self.touched.insert(key);
            }
        }
    }

    /// What decisions read of the constraints that deny. Targets where their roles are held are
    /// flattened again.
    pub(super) fn flatten_separations(&mut self) {
        if !std::mem::take(&mut self.dirty.separations) {
            return;
        }
        let before = self.next.denying.take();
        let next = &self.next;
        let bundles_of =
            |role: u32| -> Bundles { std::iter::once(role).chain(next.activated.get(&role).copied()).collect() };
        let slots = next.separations.iter().map(|(id, slot)| {
            let roles = slot.roles.iter().filter_map(|bundles| Some(bundles_of(*bundles.first()?))).collect();
            (id.clone(), Arc::new(SeparationSlot { roles, row: slot.row.clone() }))
        });
        let slots = slots.collect();
        self.next.separations = slots;
        let denies = |slot: &&Arc<SeparationSlot>| slot.row.enforcement == Enforcement::Deny;
        let constraints: Box<[_]> = self.next.separations.values().filter(denies).cloned().collect();
        let bundles: BTreeSet<u32> =
            constraints.iter().flat_map(|c| &c.roles).flat_map(|bundles| bundles.iter().copied()).collect();
        let had: BTreeSet<u32> = before.iter().flat_map(|denying| denying.bundles.iter()).collect();
        for number in bundles.symmetric_difference(&had) {
            let held = self.next.bundle(*number).map(|bundle| bundle.held.keys().copied().collect::<Vec<_>>());
            self.dirty.targets.extend(held.into_iter().flatten());
        }
        if constraints.is_empty() {
            return;
        }
        let permissions: Set = bundles.iter().filter_map(|b| self.next.bundle(*b)).flat_map(|b| b.set.iter()).collect();
        let bundles = bundles.into_iter().collect();
        self.next.denying = Some(Arc::new(Denying { constraints, bundles, permissions }));
    }
}
