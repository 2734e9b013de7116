//! Steps by which a record would come to be seen (rule 6.4), or approved by the principal (rule 4.7).

use crate::core::edge::{GROUP_MEMBER, of_relation, relation_of};
use crate::core::explain::Proof;
use crate::core::explain::held::{Held, Lack};
use crate::core::model::{Effect, GroupKind, Level, Member, Related, Relation, Row, Target};
use crate::core::table::PolicySlot;

use super::{Candidate, EDGE, OTHERS, Step};

/// The relations that show a record where a role is shared, or where a condition asks for them.
const SHOWING: [Relation; 4] = [Relation::Watcher, Relation::Assignee, Relation::Mentioned, Relation::Shared];

impl Proof<'_, '_> {
    /// Rule 6.4.
    pub(super) fn sights(&self) -> Vec<Candidate> {
        let Some(record) = &self.walk.record else { return Vec::new() };
        let held = self.held_showing(record);
        let mut all = self.nearly(&held);
        if held.iter().any(|held| matches!(held.lacks.as_slice(), [Lack::Void(_)])) {
            all.extend(self.renounced(&held));
        }
        let policies = self.walk.object.map_or(&[][..], |(_, object)| &object.policies);
        let allow = policies.iter().filter(|p| p.row.effect == Effect::Allow);
        for policy in allow.filter(|p| !self.walk.table.concerns(p, &self.found) && self.matches(p, record)) {
            all.extend(self.policy(policy));
        }
        // What shares a role that shows, or what a condition asks for: trying says which.
        let relations = SHOWING.iter().filter_map(|relation| self.relation(*relation));
        all.extend(relations.filter_map(|row| self.give(row, [EDGE, 0, 2, 0, 0])));
        let here: Vec<_> = self.record().and_then(|place| self.target(&place)).into_iter().collect();
        all.extend(self.roles(|bundle| bundle.shows, &here));
        all.extend(self.showing_groups());
        // The permission asked for shows the record, unless it is of a wider level.
        let marked = self.walk.table.catalogue().map(|(number, slot)| (number, &slot.row));
        let marked = marked.filter(|(_, row)| row.requires_visibility && row.level == Level::Object);
        let marked = marked.min_by_key(|(number, _)| *number != self.permission.number);
        let grant = marked.zip(here.into_iter().next());
        all.extend(grant.and_then(|((_, row), target)| self.grant(row.name.as_str(), target)));
        all
    }

    /// How to become one of whom a policy is about.
    fn policy(&self, policy: &PolicySlot) -> Vec<Candidate> {
        let mut all = Vec::new();
        let id = &policy.row.id;
        for group in &policy.groups {
            let Some(slot) = self.walk.table.group_slot(*group) else { continue };
            if self.above.contains(*group) {
                let (group, flag) = (slot.row.id.clone(), "data_access");
                all.push(Candidate { weight: [OTHERS, 0, 0, 0, 0], step: Step::Flag { group, flag } });
            } else if slot.row.visibility.data_access {
                let weight = [EDGE, 0, 0, 0, self.places(*group)];
                all.extend(self.join_group(*group, weight, format!("policy `{id}` shows this record to")));
            }
        }
        if let Some(member @ Member::User(_)) = self.principal() {
            let step = Step::Name { policy: id.clone(), member };
            all.push(Candidate { weight: [EDGE, 0, 1, 0, 0], step });
        }
        all
    }

    /// Groups to join to which something shows the record.
    fn showing_groups(&self) -> Vec<Candidate> {
        let mut all = Vec::new();
        for (edge, _) in self.others_at_record().into_iter().filter(|(e, _)| e.at & GROUP_MEMBER != 0) {
            let (group, relation) = (edge.at & !GROUP_MEMBER, relation_of(edge.bundle));
            let suspended = relation.is_some_and(|r| self.unusable(Some(group), r).is_some());
            if suspended || !edge.in_effect(self.walk.now) {
                continue;
            }
            for bundle in self.given_by(edge.bundle) {
                let shows = self.walk.table.bundle(bundle).is_some_and(|b| b.shows);
                let Some(place) = self.record().filter(|_| shows) else { continue };
                let (lacks, pattern) = (Vec::new(), None);
                let held = Held { group: Some(group), bundle, relation, by_rule: false, place, edge, pattern, lacks };
                all.extend(self.join(&held));
            }
        }
        all
    }

    /// Rule 4.7.
    pub(super) fn approvals(&self) -> Vec<Candidate> {
        let Some(record) = &self.walk.record else { return Vec::new() };
        let mut all = self.nearly(&self.held_approving(record));
        let approving =
            self.others_at_record().into_iter().filter(|(e, _)| e.bundle == of_relation(Relation::Approver));
        for (edge, _) in approving.filter(|(e, _)| e.at & GROUP_MEMBER != 0) {
            let group = edge.at & !GROUP_MEMBER;
            if self.unusable(Some(group), Relation::Approver).is_none() {
                let weight = [EDGE, 0, 0, 0, self.places(group)];
                all.extend(self.join_group(group, weight, "approves this record".to_owned()));
            }
        }
        if let Some(row) = self.relation(Relation::Approver) {
            all.extend(self.give(row, [EDGE, 0, 1, 0, 0]));
        } else {
            all.extend(self.approving_groups());
        }
        all
    }

    /// For a service account, which can have no relation: groups that it is in, or could be in.
    fn approving_groups(&self) -> Vec<Candidate> {
        let table = self.walk.table;
        let Some(Target::Record(object, record)) = self.record().and_then(|place| self.target(&place)) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (number, slot) in (0u32..).zip(&table.group_slots).filter_map(|(n, s)| Some((n, s.as_ref()?))) {
            let (id, usable) = (slot.row.id.clone(), slot.row.visibility.approver);
            let mine = self.above.contains(number);
            if mine && usable {
                let (member, relation) = (Member::Group(id), Relation::Approver);
                let related = Related { relation, member, object: object.clone(), record: record.clone() };
                all.extend(self.give(Row::Related(related), [OTHERS, 0, 0, 0, self.places(number)]));
            } else if mine {
                let step = Step::Flag { group: id, flag: "approver" };
                all.push(Candidate { weight: [OTHERS, 1, 0, 0, self.places(number)], step });
            } else if slot.row.kind == GroupKind::Manual {
                let weight = [OTHERS, 2, 0, 0, self.places(number)];
                all.extend(self.join_group(number, weight, "could approve this record".to_owned()));
            }
        }
        all
    }
}
