//! Groups in groups.

use std::collections::BTreeSet;

use super::table::{GroupSlot, Table};

impl Table {
    /// These groups, and every group around them.
    pub(super) fn around(&self, groups: impl IntoIterator<Item = u32>) -> BTreeSet<u32> {
        self.reached(groups, |slot| &slot.parents)
    }

    /// These groups, and every group nested in them.
    pub(super) fn nested(&self, groups: impl IntoIterator<Item = u32>) -> BTreeSet<u32> {
        self.reached(groups, |slot| &slot.children)
    }

    fn reached(&self, groups: impl IntoIterator<Item = u32>, next: fn(&GroupSlot) -> &[u32]) -> BTreeSet<u32> {
        let mut all: BTreeSet<u32> = groups.into_iter().collect();
        let mut open: Vec<u32> = all.iter().copied().collect();
        while let Some(slot) = open.pop().and_then(|n| self.group_slot(n)) {
            open.extend(next(slot).iter().copied().filter(|group| all.insert(*group)));
        }
        all
    }
}
