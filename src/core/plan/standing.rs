//! How the principal stands to records: what rule 4.5 gives it there, whether what it holds there shows them
//! (6.4), and whether it approves them (4.7).
//!
//! That depends on the record's account, on whose it is (4.6), and on what is held at the very record. Of the
//! accounts, those make a difference at which the principal or a group of its holds anything; all others are
//! alike, and like no account. Of the records, those at which anything concerns the principal.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{Operand, Operator, and, not, or, strict};
use super::{PlanError, Planning, ids, one_of, part};
use crate::core::condition::{Constant, RecordPart};
use crate::core::decision::{FoundRecord, Reason};
use crate::core::edge::{TargetNo, Unpacked, edges, unpack};
use crate::core::filter::asks_sight;
use crate::core::limits::{MAX_PLANNED_RECORDS, MAX_PLANNED_VISITS};
use crate::core::table::{PermissionRef, Table};

/// How the principal stands to records that are alike, for each account: the first stands for those that make
/// no difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    /// Of another's record, and of one's own.
    held: Vec<[bool; 2]>,
    shown: Vec<bool>,
    approves: bool,
}

/// How the principal stands to all records.
pub(super) struct Standings {
    /// Those that make a difference, after one that is none of them.
    accounts: Vec<Option<u32>>,
    /// To records at which nothing is held.
    usual: Standing,
    /// To the others that differ by it.
    others: BTreeMap<Standing, Vec<String>>,
    /// Why the usual one, of a record that nobody owns in the account of the request, does not hold.
    pub(super) reason: Reason,
    /// Whether all others are there.
    pub(super) complete: bool,
}

impl Standings {
    pub(super) fn of(planning: &Planning<'_, '_>) -> Result<Self, PlanError> {
        let walk = planning.walk;
        let accounts: Vec<Option<u32>> = [None].into_iter().chain(planning.accounts().into_iter().map(Some)).collect();
        let nothing = FoundRecord::stand_in("", walk.account, false, (&[], &[]));
        let reason = planning.bare().map_or(Reason::Allowed, |p| walk.ask_of(p, Some(&nothing)));
        let usual = planning.standing(&accounts, "", (&[], &[]));
        let mut others: BTreeMap<Standing, Vec<String>> = BTreeMap::new();
        let (mut count, mut complete) = (0, true);
        for row in planning.object.records.iter() {
            let at = (row.near, row.far());
            if !walk.concerned_at(&planning.found, row.near) {
                continue;
            }
            count += 1;
            if count * accounts.len() > MAX_PLANNED_VISITS {
                return Err(PlanError::TooLarge("what is held at records"));
            }
            let standing = planning.standing(&accounts, row.id, at);
            if standing != usual {
                others.entry(standing).or_default().push(row.id.to_owned());
            }
        }
        let mut kept = 0;
        for records in others.values_mut() {
            records.sort_unstable();
            let room = MAX_PLANNED_RECORDS.saturating_sub(kept);
            if records.len() > room {
                // INVARIANT 4: without constraints that deny, what is held at a record adds only. With them,
                // what is left out could open something.
                if walk.table.denying.is_some() {
                    return Err(PlanError::TooLarge("what is held at records"));
                }
                records.truncate(room);
                complete = false;
            }
            kept += records.len();
        }
        others.retain(|_, records| !records.is_empty());
        Ok(Self { accounts, usual, others, reason, complete })
    }

    /// Rule 4.5, in the account of the record and by whose it is.
    pub(super) fn held(&self, planning: &Planning<'_, '_>) -> Result<Operand, PlanError> {
        let by_owner = [&self.usual].into_iter().chain(self.others.keys());
        let by_owner = by_owner.flat_map(|standing| &standing.held).any(|[others, own]| others != own);
        if by_owner && is_ambiguous(planning) {
            return Err(PlanError::Inexpressible("whose a record is, where a user has the id of a service account,"));
        }
        let owned = owner_is(planning);
        Ok(self.switch(|standing| {
            let of = |own: bool| {
                let held = standing.held.iter().map(|[others, owners]| if own { *owners } else { *others });
                self.by_account(planning, &held.collect::<Vec<_>>())
            };
            let (others, own) = (of(false), of(true));
            if others == own { own } else { or([and([owned.clone(), own]), and([not(owned.clone()), others])]) }
        }))
    }

    /// Rule 6.4: whether what is held at the very record shows it.
    pub(super) fn shown(&self, planning: &Planning<'_, '_>) -> Operand {
        self.switch(|standing| self.by_account(planning, &standing.shown))
    }

    /// Rule 4.7.
    pub(super) fn approved(&self) -> Operand {
        self.switch(|standing| Operand::truth(standing.approves))
    }

    /// The records that pass because of what is held there, if anything else lets them.
    pub(super) fn granted(&self) -> Vec<String> {
        let more = |standing: &Standing| {
            let held = standing.held.iter().zip(&self.usual.held);
            let held = held.flat_map(|(here, usual)| here.iter().zip(usual)).any(|(here, usual)| here > usual);
            let shown = standing.shown.iter().zip(&self.usual.shown).any(|(here, usual)| here > usual);
            (held || shown) && standing.approves && standing.held.iter().flatten().any(|held| *held)
        };
        let mut ids: Vec<String> = self
            .others
            .iter()
            .filter(|(standing, _)| more(standing))
            .flat_map(|(_, ids)| ids.iter().cloned())
            .collect();
        ids.sort_unstable();
        ids
    }

    /// One aspect of how the principal stands to a record. Each comes out true or false of every record.
    fn switch(&self, aspect: impl Fn(&Standing) -> Operand) -> Operand {
        let usual = aspect(&self.usual);
        let mut cases: Vec<(Operand, Vec<String>)> = Vec::new();
        for (standing, records) in &self.others {
            let case = aspect(standing);
            if case == usual {
                continue;
            }
            match cases.iter_mut().find(|(other, _)| *other == case) {
                Some((_, ids)) => ids.extend_from_slice(records),
                None => cases.push((case, records.clone())),
            }
        }
        // Where more is true, the usual may be asked, too.
        let excepted = cases.iter().filter(|(case, _)| !case.is(true)).flat_map(|(_, ids)| ids.iter().cloned());
        let usual = and([not(ids(excepted.collect())), usual]);
        let cases = cases.into_iter().map(|(case, records)| and([ids(records), case]));
        or([usual].into_iter().chain(cases.collect::<Vec<_>>()))
    }

    /// What differs by account alone. A record that names none is in that of the request.
    fn by_account(&self, planning: &Planning<'_, '_>, values: &[bool]) -> Operand {
        let cases: Vec<(Option<u32>, bool)> = self.accounts.iter().copied().zip(values.iter().copied()).collect();
        let usual = values.first().copied().unwrap_or(false);
        let of = |account: Option<u32>| cases.iter().find(|(of, _)| *of == account).map_or(usual, |(_, value)| *value);
        let unnamed = of(planning.walk.account);
        let account = |number: u32| planning.walk.table.account_slot(number).map(|slot| slot.row.id.as_str());
        let others: BTreeSet<&str> =
            cases.iter().filter(|(_, value)| *value != usual).filter_map(|(number, _)| account((*number)?)).collect();
        let named = part(RecordPart::Account);
        let listed =
            if others.is_empty() { Operand::truth(false) } else { one_of(named.clone(), others.iter().copied()) };
        let named_passes = if usual { not(listed) } else { listed };
        match (named_passes, unnamed) {
            (passes, unnamed) if passes.is(unnamed) => Operand::truth(unnamed),
            (passes, true) => or([not(Operand::Has(named)), passes]),
            (passes, false) => and([Operand::Has(named), passes]),
        }
    }
}

/// Whether the principal's id, as a record has it for its owner, may be somebody else's: a user's bare id can
/// look like a service account's.
fn is_ambiguous(planning: &Planning<'_, '_>) -> bool {
    let own = planning.walk.own_id();
    own.starts_with("service:") && (!planning.walk.service || planning.walk.table.users.find(own).is_some())
}

/// Whether a record is the principal's own.
fn owner_is(planning: &Planning<'_, '_>) -> Operand {
    let own = Operand::Value(Constant::String(planning.walk.own_id().into()));
    let owner = part(RecordPart::Owner);
    and([Operand::Has(owner.clone()), strict(Operator::Eq, vec![Operand::Field(owner), own])])
}

impl<'a> Planning<'_, 'a> {
    /// What is asked of rule 4.5 alone.
    fn bare(&self) -> Option<PermissionRef> {
        Some(PermissionRef { requires_visibility: false, requires_approver: false, ..self.permission? })
    }

    fn standing(&self, accounts: &[Option<u32>], id: &'a str, (near, members): (&'a [u8], &'a [u8])) -> Standing {
        let walk = self.walk;
        let record = |account: Option<u32>, owned: bool| FoundRecord::stand_in(id, account, owned, (near, members));
        let holds =
            |record: &FoundRecord<'a>| self.bare().is_none_or(|p| walk.ask_of(p, Some(record)) == Reason::Allowed);
        let mut standing = Standing { held: Vec::new(), shown: Vec::new(), approves: true };
        for account in accounts {
            let other = record(*account, false);
            let others = holds(&other);
            let twin = self.permission.is_some_and(|p| p.when_not_owner.is_some());
            let own = if twin { holds(&record(*account, true)) } else { others };
            standing.held.push([others, own]);
            standing.shown.push(asks_sight(self.permission) && walk.shown(&self.found, &other));
        }
        if self.permission.is_some_and(|p| p.requires_approver) {
            standing.approves = walk.approves(&self.found, &record(None, false));
        }
        standing
    }

    /// The groups of the principal by any path.
    pub(super) fn groups(&self) -> BTreeSet<u32> {
        let table = self.walk.table;
        let mut open: Vec<u32> = table.groups_of(&self.found).iter().collect();
        let mut all: BTreeSet<u32> = open.iter().copied().collect();
        while let Some(slot) = open.pop().and_then(|group| table.group_slot(group)) {
            open.extend(slot.parents.iter().copied().filter(|parent| all.insert(*parent)));
        }
        all
    }

    /// The accounts at which anything is held that may concern the principal, now or later.
    pub(super) fn accounts(&self) -> BTreeSet<u32> {
        let table = self.walk.table;
        let account =
            |target: TargetNo| if let Unpacked::Account(number) = unpack(target) { Some(number) } else { None };
        let own = edges(Table::edges_of(&self.found)).map(|edge| edge.at);
        let by_rule = table.by_rule(&self.found).map(|(_, target)| target);
        let slots = self.groups().into_iter().filter_map(|group| table.group_slot(group));
        let by_group = slots.flat_map(|slot| slot.held.keys().copied().collect::<Vec<_>>());
        own.chain(by_rule).chain(by_group).filter_map(account).collect()
    }
}
