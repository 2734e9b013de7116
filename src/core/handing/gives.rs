//! What edges give, walked from where they begin.

use std::collections::BTreeSet;

use super::Held;
use crate::core::edge::{AT_RECORDS, Edge, GROUP_MEMBER, edges, relation_of};
use crate::core::id::{Coverage, OpaqueId, Pattern};
use crate::core::model::{EmergencyRule, Level, Member, Object, Period, Related, Row, Target};
use crate::core::principal::PrincipalFound;
use crate::core::table::{ObjectSlot, Table};

pub(super) fn add(to: &mut Vec<Held>, patterns: &[Pattern], target: &Target, period: Period) {
    let held = |pattern: &Pattern| Held { pattern: pattern.clone(), target: target.clone(), period, bundle: None };
    to.extend(patterns.iter().map(held));
}

impl Table {
    /// What an edge at a target gives.
    pub(super) fn contents(&self, edge: &Edge, target: &Target, to: &mut Vec<Held>) {
        let Some(bundle) = self.bundle(edge.bundle) else { return };
        let begin = to.len();
        add(to, self.patterns(bundle), target, edge.period());
        to.iter_mut().skip(begin).for_each(|held| held.bundle = Some(edge.bundle));
    }

    /// What these groups hold; with `records`, at records too, if they hold anything there.
    pub(super) fn by_groups(&self, groups: &BTreeSet<u32>, records: bool, to: &mut Vec<Held>) {
        let mut at_records = false;
        for number in groups {
            let Some(slot) = self.group_slot(*number) else { continue };
            for at in slot.held.keys() {
                if *at == AT_RECORDS {
                    at_records = true;
                    continue;
                }
                let (Some(holdings), Some(target)) = (self.holdings_at(*at), self.target_of(*at)) else { continue };
                holdings.edges.iter().filter(|e| e.at == *number).for_each(|e| self.contents(e, &target, to));
            }
        }
        if records && at_records {
            self.at_records(|at| at & GROUP_MEMBER != 0 && groups.contains(&(at & !GROUP_MEMBER)), to);
        }
    }

    /// What a principal holds directly, and by rule (3.6), records aside.
    pub(super) fn by_principal(&self, found: &PrincipalFound<'_>, to: &mut Vec<Held>) {
        for edge in edges(Self::edges_of(found)) {
            if let Some(target) = self.target_of(edge.at) {
                self.contents(&edge, &target, to);
            }
        }
        self.handed_by_rule(found, to);
    }

    /// What a relation gives at its record (rule 5.2).
    pub(super) fn shared_by(&self, related: &Related, to: &mut Vec<Held>) {
        let object = self.objects.find(related.object.as_str()).and_then(|f| self.object_slot(f.value));
        let shared = object.and_then(|slot| slot.shares.get(related.relation as usize));
        let target = Target::Record(related.object.clone(), related.record.clone());
        for bundle in shared.map_or(&[][..], |shared| shared) {
            self.contents(&Edge::new(0, *bundle, Period::default()), &target, to);
        }
    }

    /// What a user is given by rule (3.6).
    pub(super) fn handed_by_rule(&self, found: &PrincipalFound<'_>, to: &mut Vec<Held>) {
        if let Some((bundle, target)) = self.by_rule(found)
            && let Some(target) = self.target_of(target)
        {
            self.contents(&Edge::new(0, bundle, Period::default()), &target, to);
        }
    }

    /// What those come to have at an element to whom it was closed, being private to others (rule 4.4): at most all that
    /// reaches it. Users and service accounts are asked whether they are among them; in a group, anybody may be. What
    /// lists close besides is closed by others, who may open it again.
    pub(super) fn opened(&self, before: &Self, [old, new]: [&Object; 2], to: &mut Vec<Held>) {
        let (was, is) = (before.open_by_owner(old), self.open_by_owner(new));
        let opens = |member: &Member| match member {
            Member::Group(_) => true,
            Member::User(id) => {
                !before.find_user(id).is_some_and(|f| was.to(&f)) && self.find_user(id).is_some_and(|f| is.to(&f))
            }
            Member::Service(id) => {
                !before.find_service(id).is_some_and(|f| was.to(&f)) && self.find_service(id).is_some_and(|f| is.to(&f))
            }
        };
        let reaches = |target: &Target| match target {
            Target::Organization | Target::Account(_) => true,
            Target::Object(object) | Target::Record(object, _) => *object == new.id,
        };
        let mut gives = |patterns: &[Pattern], target: &Target, period| {
            for pattern in patterns {
                // Of the organization's, what is of objects is gained at this one.
                let here = *target == Target::Organization && self.is_of_objects(pattern);
                let target = if here { &Target::Object(new.id.clone()) } else { target };
                add(to, std::slice::from_ref(pattern), target, period);
            }
        };
        // Many hold the same.
        let mut given = BTreeSet::new();
        let mut related = Vec::new();
        for row in self.edge_rows() {
            match row {
                Row::Assignment(a) if reaches(&a.target) && opens(&a.member) => {
                    if let (Some(role), true) =
                        (self.role_row(&a.role), given.insert((a.role.clone(), a.target.clone(), a.period)))
                    {
                        gives(&role.permissions, &a.target, a.period);
                    }
                }
                Row::Grant(g) if reaches(&g.target) && opens(&g.member) => {
                    gives(std::slice::from_ref(&g.permission), &g.target, g.period);
                }
                Row::Related(row) if row.object == new.id && opens(&row.member) => related.push(row),
                _ => {}
            }
        }
        for rule in self.emergencies().filter(|rule| reaches(&rule.target)) {
            let role = self.role_row(&rule.role).filter(|_| rule.users.iter().any(|u| opens(&Member::User(u.clone()))));
            gives(role.map_or(&[], |role| &role.permissions), &rule.target, Period::default());
        }
        let by_rule = self.by_rule.iter().flat_map(|rule| [rule.default_account, rule.other_account]);
        for bundle in by_rule.filter_map(|bundle| self.bundle(bundle)) {
            gives(self.patterns(bundle), &Target::Organization, Period::default());
        }
        related.iter().for_each(|row| self.shared_by(row, to));
    }

    /// Whether a pattern names one permission, of level `object`.
    fn is_of_objects(&self, pattern: &Pattern) -> bool {
        let Coverage::One(name) = pattern.coverage() else { return false };
        self.permission(name).is_some_and(|permission| permission.level == Level::Object)
    }

    /// All that a principal holds, by every path.
    pub(super) fn all_of(&self, found: &PrincipalFound<'_>, to: &mut Vec<Held>) {
        // Whoever becomes a user may activate what the user may.
        let named = |rule: &&EmergencyRule| rule.users.iter().any(|user| user.as_str() == found.id);
        for rule in self.emergencies().filter(|rule| found.value.kind.is_some() && named(rule)) {
            if let Some(role) = self.role_row(&rule.role) {
                add(to, &role.permissions, &rule.target, Period::default());
            }
        }
        self.by_groups(&self.around(self.groups_of(found).iter()), true, to);
        self.by_principal(found, to);
        let number = found.value.number;
        self.at_records(|at| at == number, to);
    }

    /// What certain members hold at records, one pass over all of them; what relations share there is
    /// included.
    fn at_records(&self, member: impl Fn(u32) -> bool, to: &mut Vec<Held>) {
        for slot in self.object_slots.iter().flatten() {
            for found in slot.records.iter() {
                for edge in edges(found.near).filter(|e| member(e.at)) {
                    let Ok(record) = OpaqueId::parse(found.id) else { continue };
                    let target = Target::Record(slot.row.id.clone(), record);
                    self.contents_at(slot, &edge, &target, to);
                }
            }
        }
    }

    /// Whether a relation of a group counts (rule 2.9); what is no such relation does.
    pub(super) fn is_usable(&self, edge: &Edge) -> bool {
        let group = (edge.at & GROUP_MEMBER != 0).then_some(edge.at & !GROUP_MEMBER);
        let flags = group.and_then(|group| self.group_slot(group)).map(|slot| slot.row.visibility);
        relation_of(edge.bundle).zip(flags).is_none_or(|(relation, flags)| relation.usable(flags))
    }

    /// What an edge at a record of an object gives; a relation, what it shares (rule 5.2).
    pub(super) fn contents_at(&self, slot: &ObjectSlot, edge: &Edge, target: &Target, to: &mut Vec<Held>) {
        let Some(relation) = relation_of(edge.bundle) else { return self.contents(edge, target, to) };
        for bundle in slot.shares.get(relation as usize).map_or(&[][..], |shared| shared) {
            self.contents(&Edge { bundle: *bundle, ..*edge }, target, to);
        }
    }
}
