//! What constraints that deny take from a principal, anywhere at a target and at any time of a period: what it does
//! not hold there for that whole time (rule 3.7).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::breach::{Fresh, Holding, Paths, Place, Records, Roles, place_of, together};
use crate::core::edge::{Unpacked, unpack};
use crate::core::model::{Millis, Period, Target};
use crate::core::principal::PrincipalFound;
use crate::core::table::{SeparationSlot, Table};

/// A principal's roles of constraints that deny.
pub(in crate::core) struct Voided<'t> {
    table: &'t Table,
    constraints: &'t [Arc<SeparationSlot>],
    held: Vec<Holding>,
}

impl<'t> Voided<'t> {
    /// None if nothing denies. Without `activated`, as if nothing were activated in an emergency.
    pub(in crate::core) fn of(table: &'t Table, found: &PrincipalFound<'_>, activated: bool) -> Option<Self> {
        let constraints = &*table.denying.as_ref()?.constraints;
        let none = Fresh::default();
        let mut held = Roles::of(table, constraints, &Records::All, &none).held_by(found, Paths::All, &[]);
        held.retain(|h| activated || !table.is_activation(h.bundle));
        Some(Self { table, constraints, held })
    }

    /// The bundles that give nothing somewhere at a target, at some time of a period from `now` on.
    pub(in crate::core) fn at(&self, target: &Target, period: Period, now: Millis) -> BTreeSet<u32> {
        let (from, until) = (period.starts().max(now), period.ends());
        let place = place_of(self.table, target);
        let meets = |h: &&Holding| {
            h.edge.from < until && h.edge.until > from && place.as_ref().is_some_and(|place| overlap(place, &h.place))
        };
        let here: Vec<Holding> = self.held.iter().filter(meets).cloned().collect();
        let broken = self.constraints.iter().filter(|slot| together(&here, slot, from, false).is_some());
        broken.flat_map(|slot| slot.roles.iter().flat_map(|bundles| bundles.iter().copied())).collect()
    }
}

/// Whether one question can be about both places.
fn overlap(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Record(..), Place::Record(..)) => one == other,
        (Place::Record(of, _), Place::At(at)) | (Place::At(at), Place::Record(of, _)) => match unpack(*at) {
            Unpacked::Organization | Unpacked::Account(_) => true,
            Unpacked::Object(object) => object == *of,
            Unpacked::Records => false,
        },
        (Place::At(one), Place::At(other)) => match (unpack(*one), unpack(*other)) {
            (Unpacked::Account(one), Unpacked::Account(other)) | (Unpacked::Object(one), Unpacked::Object(other)) => {
                one == other
            }
            _ => true,
        },
    }
}
