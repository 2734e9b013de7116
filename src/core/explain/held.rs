//! What the principal holds that contains a permission, by itself or through its groups, and what
//! each of these lacks to give it here.

use crate::core::decision::FoundRecord;
use crate::core::edge::{
    AT_ORGANIZATION, AT_RECORDS, Edge, GROUP_MEMBER, TargetNo, Unpacked, at_account, at_object, edges, of_relation,
    relation_of, unpack,
};
use crate::core::id::{Coverage, OpaqueId, Pattern};
use crate::core::model::{Assignment, Grant, Level, Member, Period, Related, Relation, Target};
use crate::core::table::{self, Table};

use super::{MAX_LOOKED_AT, MAX_RECORDS, Proof, Source};

/// What rule 4.5 asks for: a permission, and the level from which it takes effect.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub(super) permission: u32,
    pub(super) level: Level,
}

/// Something held.
pub(super) struct Held {
    /// The group that holds it; none if the principal does.
    pub(super) group: Option<u32>,
    /// What is held; of an auto-share, the role.
    pub(super) bundle: u32,
    /// The relation by which it is.
    pub(super) relation: Option<Relation>,
    /// Whether rule 3.6 gives it.
    pub(super) by_rule: bool,
    pub(super) place: Place,
    pub(super) edge: Edge,
    pub(super) pattern: Option<Pattern>,
    /// Nothing, if it gives the permission here and now.
    pub(super) lacks: Vec<Lack>,
}

/// Where something is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    At(TargetNo),
    /// A record of the question's object.
    Record(OpaqueId),
}

/// What something held lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// It is over.
    Expired(i64),
    /// It has not begun.
    NotYet(i64),
    /// It is at another account, object or record.
    Elsewhere,
    /// Rule 3.1: the permission does not take effect from there.
    Narrow,
    /// Rule 2.9: the group's flag is off.
    Unusable(Relation),
    /// Rule 4.5: a separation constraint voids it here; which of those that deny.
    Void(u32),
}

/// What was found, and whether all was looked at.
pub(super) struct Found {
    pub(super) held: Vec<Held>,
    pub(super) all: bool,
}

impl Proof<'_, '_> {
    /// Everything that the principal holds and that contains the permission: at the question's
    /// targets, or `everywhere`.
    pub(super) fn held(&self, asked: Asked, everywhere: bool) -> Found {
        let mut held = Vec::new();
        self.held_by_itself(asked, everywhere, &mut held);
        let all = self.held_by_groups(asked, everywhere, &mut held);
        held.extend(self.held_by_rule(asked, everywhere));
        if let Some(record) = &self.walk.record {
            self.held_at(record.record.id, record.edges, asked, &mut held);
        }
        let looked = !everywhere || self.held_at_other_records(asked, &mut held);
        Found { held, all: all && looked }
    }

    /// What is held at the record and shows it (rule 6.4).
    pub(super) fn held_showing(&self, record: &FoundRecord<'_>) -> Vec<Held> {
        let shows = |bundle: u32| {
            let bundle = self.walk.table.bundle(bundle).filter(|b| b.shows)?;
            let slot = |n| self.walk.table.permission_slot(n);
            let marked = |n: &u32| slot(*n).is_some_and(|s| s.row.requires_visibility && s.row.level == Level::Object);
            bundle.set.iter().find(marked)
        };
        let mut held = Vec::new();
        self.held_at_with(record.record.id, record.edges, Level::Object, shows, &mut held);
        held
    }

    /// The principal's relations `approver` to the record, through whichever group.
    pub(super) fn held_approving(&self, record: &FoundRecord<'_>) -> Vec<Held> {
        let of_record = edges(record.edges).filter(|e| e.bundle == of_relation(Relation::Approver));
        let mine = of_record.filter_map(|edge| {
            let group = self.holder(edge.at)?;
            let mut lacks = self.out_of_time(&edge);
            lacks.extend(self.unusable(group, Relation::Approver));
            let place = Place::Record(OpaqueId::parse(record.record.id).ok()?);
            let (bundle, relation) = (edge.bundle, Some(Relation::Approver));
            Some(Held { group, bundle, relation, by_rule: false, place, edge, pattern: None, lacks })
        });
        mine.collect()
    }

    fn held_by_itself(&self, asked: Asked, everywhere: bool, held: &mut Vec<Held>) {
        for edge in edges(Table::edges_of(&self.found)) {
            if everywhere || self.is_here(edge.at) {
                held.extend(self.at_target(None, edge.at, edge, asked));
            }
        }
    }

    /// Whether all was looked at.
    fn held_by_groups(&self, asked: Asked, everywhere: bool, held: &mut Vec<Held>) -> bool {
        let mut looked_at = 0;
        for group in self.above.groups() {
            let Some(slot) = self.walk.table.group_slot(group) else { continue };
            let here = self.targets().into_iter().filter(|t| slot.held.contains_key(t));
            here.for_each(|target| self.held_by_group_at(group, target, asked, held));
            if !everywhere {
                continue;
            }
            for target in slot.held.keys().filter(|t| **t != AT_RECORDS && !self.is_here(**t)) {
                looked_at += 1;
                if looked_at > MAX_LOOKED_AT {
                    return false;
                }
                self.held_by_group_at(group, *target, asked, held);
            }
        }
        true
    }

    /// The bundles of a class are those that contain its permissions: nothing else is looked at.
    fn held_by_group_at(&self, group: u32, target: TargetNo, asked: Asked, held: &mut Vec<Held>) {
        let Some(holdings) = self.walk.table.holdings_at(target) else { return };
        for bundle in holdings.shape.bundles_with(asked.permission) {
            if let Ok(at) = holdings.edges.binary_search_by_key(&(*bundle, group), |e| (e.bundle, e.at))
                && let Some(edge) = holdings.edges.get(at)
            {
                held.extend(self.at_target(Some(group), target, *edge, asked));
            }
        }
    }

    pub(super) fn at_target(&self, group: Option<u32>, target: TargetNo, edge: Edge, asked: Asked) -> Option<Held> {
        let pattern = self.covering(edge.bundle, asked.permission)?;
        let mut lacks = self.out_of_time(&edge);
        if !self.is_here(target) {
            lacks.push(Lack::Elsewhere);
        }
        if level_of(target) < asked.level {
            lacks.push(Lack::Narrow);
        }
        lacks.extend(self.void(edge.bundle));
        let (bundle, place) = (edge.bundle, Place::At(target));
        Some(Held { group, bundle, relation: None, by_rule: false, place, edge, pattern: Some(pattern), lacks })
    }

    /// Rule 3.6.
    fn held_by_rule(&self, asked: Asked, everywhere: bool) -> Option<Held> {
        let (bundle, target) = self.walk.table.by_rule(&self.found)?;
        let edge = Edge::new(target, bundle, Period::default());
        let held = self.at_target(None, target, edge, asked).filter(|_| everywhere || self.is_here(target))?;
        Some(Held { by_rule: true, ..held })
    }

    /// What is held at a record by the principal and its groups.
    fn held_at(&self, id: &str, bytes: &[u8], asked: Asked, held: &mut Vec<Held>) {
        let contains = |bundle: u32| {
            let bundle = self.walk.table.bundle(bundle)?;
            bundle.set.contains(asked.permission).then_some(asked.permission)
        };
        self.held_at_with(id, bytes, asked.level, contains, held);
    }

    /// The same for what contains a permission that `wanted` finds in it.
    fn held_at_with(
        &self,
        id: &str,
        bytes: &[u8],
        level: Level,
        wanted: impl Fn(u32) -> Option<u32>,
        held: &mut Vec<Held>,
    ) {
        let Ok(id) = OpaqueId::parse(id) else { return };
        let here = self.walk.record.as_ref().is_some_and(|r| r.record.id == id.as_str());
        for edge in edges(bytes) {
            let Some(group) = self.holder(edge.at) else { continue };
            let relation = relation_of(edge.bundle);
            for bundle in self.given_by(edge.bundle) {
                let Some(permission) = wanted(bundle) else { continue };
                let mut lacks = self.out_of_time(&edge);
                lacks.extend((!here).then_some(Lack::Elsewhere));
                lacks.extend((level > Level::Object).then_some(Lack::Narrow));
                lacks.extend(relation.and_then(|r| self.unusable(group, r)));
                lacks.extend(self.void(bundle));
                let pattern = self.covering(bundle, permission);
                let place = Place::Record(id.clone());
                held.push(Held { group, bundle, relation, by_rule: false, place, edge, pattern, lacks });
            }
        }
    }

    /// Looks at some of the object's other records; whether these were all.
    fn held_at_other_records(&self, asked: Asked, held: &mut Vec<Held>) -> bool {
        let Some((_, object)) = self.walk.object else { return true };
        let here = self.walk.record.as_ref().map_or("", |r| r.record.id);
        for found in object.records.iter().filter(|f| f.id != here).take(MAX_RECORDS) {
            self.held_at(found.id, found.near, asked, held);
        }
        object.records.len() <= MAX_RECORDS
    }

    /// The bundles that an edge at a record gives: its own, or the roles that its relation shares.
    pub(super) fn given_by(&self, bundle: u32) -> Vec<u32> {
        let Some(relation) = relation_of(bundle) else { return vec![bundle] };
        let shares = self.walk.object.and_then(|(_, slot)| slot.shares.get(relation as usize));
        shares.map_or_else(Vec::new, |bundles| bundles.to_vec())
    }

    /// Whether the member of an edge at a record is the principal (none) or which of its groups.
    #[allow(clippy::option_option, reason = "the outer one: whether it is; the inner as in `Held`")]
    pub(super) fn holder(&self, at: u32) -> Option<Option<u32>> {
        let group = at & !GROUP_MEMBER;
        match at & GROUP_MEMBER {
            0 => (at == self.found.value.number).then_some(None),
            _ => self.above.contains(group).then_some(Some(group)),
        }
    }

    fn out_of_time(&self, edge: &Edge) -> Vec<Lack> {
        let now = self.walk.now;
        if edge.in_effect(now) {
            return Vec::new();
        }
        vec![if edge.from > now { Lack::NotYet(edge.from) } else { Lack::Expired(edge.until) }]
    }

    fn void(&self, bundle: u32) -> Option<Lack> {
        let denying = self.walk.table.denying.as_ref()?;
        let mut voids = self.broken.iter().filter(|n| denying.constraint(**n).is_some_and(|c| c.names(bundle)));
        voids.next().map(|n| Lack::Void(*n))
    }

    pub(super) fn unusable(&self, group: Option<u32>, relation: Relation) -> Option<Lack> {
        let flags = self.walk.table.group_slot(group?)?.row.visibility;
        (!relation.usable(flags)).then_some(Lack::Unusable(relation))
    }

    /// The record of the question as a place.
    pub(super) fn record(&self) -> Option<Place> {
        Some(Place::Record(OpaqueId::parse(self.walk.record.as_ref()?.record.id).ok()?))
    }

    /// The account of the question: the record's, where there is a record (rule 1.4).
    pub(super) fn account(&self) -> Option<u32> {
        self.walk.record.as_ref().map_or(self.walk.account, |r| r.account)
    }

    /// The targets that the question is about, records aside.
    pub(super) fn targets(&self) -> Vec<TargetNo> {
        let account = self.account().map(at_account);
        let object = self.walk.object.map(|(number, _)| at_object(number));
        std::iter::once(AT_ORGANIZATION).chain(account).chain(object).collect()
    }

    pub(super) fn is_here(&self, target: TargetNo) -> bool {
        self.targets().contains(&target)
    }

    /// The entry of a role or grant that covers a permission: its name rather than `x.*` rather
    /// than `*`.
    pub(super) fn covering(&self, bundle: u32, permission: u32) -> Option<Pattern> {
        let table = self.walk.table;
        let bundle = table.bundle(bundle).filter(|b| b.set.contains(permission))?;
        let patterns = table.patterns(bundle);
        let name = table.permission_slot(permission)?.row.name.as_str();
        let closeness = |pattern: &&Pattern| match pattern.coverage() {
            Coverage::One(one) => (table.permission(one)?.number == permission).then_some(usize::MAX),
            Coverage::Prefix(prefix) => name.starts_with(prefix).then_some(prefix.len()),
            Coverage::All => Some(0),
        };
        let covering = patterns.iter().filter_map(|p| Some((closeness(&p)?, p)));
        covering.max_by_key(|(closeness, _)| *closeness).map(|(_, p)| p.clone())
    }

    /// The row of something held by `member`.
    pub(super) fn source(&self, held: &Held, member: Member) -> Option<Source> {
        let table = self.walk.table;
        let target = self.target(&held.place)?;
        if let Some(relation) = held.relation {
            let Target::Record(object, record) = target else { return None };
            let relation = Related { relation, member, object, record };
            return Some(match table.bundle(held.bundle).map(|b| &b.source) {
                Some(table::Source::Role { row, .. }) => Source::AutoShare { role: row.id.clone(), relation },
                _ => Source::Relation(relation),
            });
        }
        let period = held.edge.period();
        Some(match &table.bundle(held.bundle)?.source {
            table::Source::Role { row, .. } => {
                let (role, by_hand) = (row.id.clone(), row.is_system() && !held.by_rule);
                let assignment = Assignment { role, member, target, period, by_hand };
                if held.by_rule { Source::ByRule(assignment) } else { Source::Assignment(assignment) }
            }
            table::Source::Grant(pattern) => {
                Source::Grant(Grant { permission: pattern.clone(), member, target, period })
            }
            table::Source::Activation(_) => {
                let role = &table.role_of(table.bundle(held.bundle)?)?.id;
                let Member::User(user) = &member else { return None };
                Source::Activation(table.activated(user, role, &target)?.clone())
            }
        })
    }

    pub(super) fn target(&self, place: &Place) -> Option<Target> {
        match place {
            Place::At(target) => self.walk.table.target_of(*target),
            Place::Record(id) => Some(Target::Record(self.walk.object?.1.row.id.clone(), id.clone())),
        }
    }
}

/// The level that a target is at.
pub(super) fn level_of(target: TargetNo) -> Level {
    match unpack(target) {
        Unpacked::Organization => Level::Organization,
        Unpacked::Account(_) => Level::Account,
        Unpacked::Object(_) | Unpacked::Records => Level::Object,
    }
}
