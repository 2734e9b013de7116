//! What a decision makes of something held: a separation constraint may void it (rule 4.5), a list or its
//! owner close the element (rule 4.4).

use std::collections::BTreeSet;

use crate::core::decision::{Question, Record, Resource, Walk};
use crate::core::id::Id;
use crate::core::model::{Millis, Target};
use crate::core::principal::PrincipalFound;

use super::{Review, When};

/// Where a question would be asked.
#[derive(Debug, Clone, Default)]
pub(super) struct Spot<'t> {
    account: &'t str,
    object: &'t str,
    record: Option<&'t str>,
}

impl<'t> Spot<'t> {
    /// Where both targets are: a record of an object may be in any account.
    pub(super) fn of(targets: [Option<&'t Target>; 2]) -> Self {
        let mut spot = Self::default();
        for target in targets.into_iter().flatten() {
            match target {
                Target::Organization => {}
                Target::Account(id) => spot.account = id.as_str(),
                Target::Object(id) => spot.object = id.as_str(),
                Target::Record(object, id) => (spot.object, spot.record) = (object.as_str(), Some(id.as_str())),
            }
        }
        spot
    }
}

impl Review<'_> {
    /// For each of these bundles: the constraints that void it there for a principal, which is none where
    /// none denies.
    pub(super) fn void_by(
        &self,
        service: bool,
        found: &PrincipalFound<'_>,
        spot: &Spot<'_>,
        bundles: impl Iterator<Item = u32>,
    ) -> Vec<BTreeSet<Id>> {
        let Some(denying) = &self.table.denying else { return bundles.map(|_| BTreeSet::new()).collect() };
        // INVARIANT 3: the walk of a decision says what is void.
        let principal = format!("{}:{}", if service { "service" } else { "user" }, found.id);
        let record = spot.record.map(|id| Record { id, ..Record::default() });
        let resource = Resource { account: spot.account, object: spot.object, record };
        let question = Question { principal: &principal, resource, ..Question::default() };
        let walk = Walk::begin(self.table, &question, self.when.now());
        let voids = |bundle: u32| {
            let Ok(walk) = &walk else { return BTreeSet::new() };
            let broken = walk.broken(found, walk.record.as_ref()).iter().filter_map(|n| denying.constraint(*n));
            broken.filter(|constraint| constraint.names(bundle)).map(|c| c.row.id.clone()).collect()
        };
        bundles.map(voids).collect()
    }

    /// What closes the element there to a principal, for people.
    pub(super) fn closed_by(&self, found: &PrincipalFound<'_>, spot: &Spot<'_>) -> Option<String> {
        let number = self.table.objects.find(spot.object)?.value;
        let slot = self.table.object_slot(number).filter(|slot| !slot.open.to(found))?;
        self.table.closed_by(&slot.row)
    }
}

impl When {
    pub(super) fn now(self) -> Millis {
        match self {
            Self::At(now) | Self::From(now) => now,
        }
    }
}
