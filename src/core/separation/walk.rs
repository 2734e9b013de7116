//! Rule 4.5, second sentence: roles of a constraint that denies give nothing where too many of them are
//! held. Part of the walk; asked only once something was found to be held, and only in organizations
//! that have such a constraint.

use crate::core::decision::{FoundRecord, Walk};
use crate::core::edge::{AT_ORGANIZATION, TargetNo, Unpacked, at_account, at_object, edges_at, unpack};
use crate::core::model::{Level, Target};
use crate::core::principal::PrincipalFound;
use crate::core::table::{Bundles, SeparationSlot, Table};

impl<'a> Walk<'a> {
    /// Whether a permission that is held is held by anything that no constraint voids.
    #[cold]
    pub(in crate::core) fn stands(
        &self,
        found: &PrincipalFound<'a>,
        record: Option<&FoundRecord<'_>>,
        permission: u32,
        level: Level,
    ) -> bool {
        let concerned = self.table.denying.as_ref().is_some_and(|denying| denying.permissions.contains(permission));
        if !concerned || self.broken(found, record).is_empty() {
            return true;
        }
        let counts = |bundle| !self.is_void(found, record, bundle) && self.contains(bundle, permission);
        let groups = self.table.groups_of(found);
        let at_target = |target: TargetNo| {
            let direct = edges_at(Table::edges_of(found), target).any(|e| e.in_effect(self.now) && counts(e.bundle));
            let void = |bundle| self.is_void(found, record, bundle);
            direct || self.table.holdings_at(target).is_some_and(|h| h.hold_apart(permission, groups, self.now, void))
        };
        let reaches = |target: &TargetNo| match unpack(*target) {
            Unpacked::Organization => true,
            Unpacked::Account(_) => level <= Level::Account,
            Unpacked::Object(_) | Unpacked::Records => level == Level::Object,
        };
        let targets = self.targets_of(record);
        targets.iter().flatten().filter(|t| reaches(t)).any(|t| at_target(*t))
            || self.has_by_rule(found, record, |bundle, target| reaches(&target) && counts(bundle))
            || level == Level::Object && record.is_some_and(|r| self.given_at(found, r, counts))
    }

    /// Whether a bundle is a role that gives nothing here.
    pub(in crate::core) fn is_void(
        &self,
        found: &PrincipalFound<'a>,
        record: Option<&FoundRecord<'_>>,
        bundle: u32,
    ) -> bool {
        let Some(denying) = &self.table.denying else { return false };
        denying.bundles.contains(bundle) && {
            let broken = self.broken(found, record).iter().filter_map(|n| denying.constraint(*n));
            broken.into_iter().any(|constraint| constraint.names(bundle))
        }
    }

    /// Which of the constraints that deny are broken here and now, by their place among them.
    pub(in crate::core) fn broken<'s>(
        &'s self,
        found: &PrincipalFound<'a>,
        record: Option<&'s FoundRecord<'s>>,
    ) -> &'s [u32] {
        let Some(denying) = &self.table.denying else { return &[] };
        let find = || {
            let breaks = |constraint: &SeparationSlot| {
                let has = |bundles: &&Bundles| bundles.iter().any(|b| self.has_role(found, record, *b));
                constraint.roles.iter().filter(has).take(constraint.max() + 1).count() > constraint.max()
            };
            (0u32..).zip(&denying.constraints).filter(|(_, c)| breaks(c)).map(|(n, _)| n).collect()
        };
        match record {
            Some(record) => record.broken.get_or_init(find),
            None => self.known().broken.get_or_init(find),
        }
    }

    /// Whether the principal has a role here now, by any path, whatever is in it.
    fn has_role(&self, found: &PrincipalFound<'a>, record: Option<&FoundRecord<'_>>, role: u32) -> bool {
        let groups = self.table.groups_of(found);
        let at_target = |target: TargetNo| {
            edges_at(Table::edges_of(found), target).any(|e| e.bundle == role && e.in_effect(self.now))
                || self.table.holdings_at(target).is_some_and(|h| h.hold_role(role, groups, self.now))
        };
        self.targets_of(record).iter().flatten().any(|t| at_target(*t))
            || self.has_by_rule(found, record, |bundle, _| bundle == role)
            || record.is_some_and(|r| self.given_at(found, r, |bundle| bundle == role))
    }

    fn has_by_rule(
        &self,
        found: &PrincipalFound<'a>,
        record: Option<&FoundRecord<'_>>,
        test: impl Fn(u32, TargetNo) -> bool,
    ) -> bool {
        let by_rule = self.table.by_rule(found);
        by_rule.is_some_and(|(bundle, target)| self.targets_of(record).contains(&Some(target)) && test(bundle, target))
    }

    /// Whether a target is one that the question is about.
    pub(in crate::core) fn reaches(&self, target: &Target) -> bool {
        let record = self.record.as_ref();
        if let Target::Record(object, id) = target {
            let asked = self.object.zip(record).map(|((_, slot), record)| (&slot.row.id, record.record.id));
            return asked == Some((object, id.as_str()));
        }
        self.targets_of(record).iter().flatten().any(|t| self.table.target_of(*t).as_ref() == Some(target))
    }

    /// The targets that a question is about, the record itself aside.
    fn targets_of(&self, record: Option<&FoundRecord<'_>>) -> [Option<TargetNo>; 3] {
        let account = record.map_or(self.account, |r| r.account);
        [Some(AT_ORGANIZATION), account.map(at_account), self.object.map(|(number, _)| at_object(number))]
    }
}
