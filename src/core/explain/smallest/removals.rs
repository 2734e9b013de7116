//! Steps that take out of the way what stands against it: a status, a list, a constraint, a policy.

use crate::core::decision::Reason;
use crate::core::explain::held::Held;
use crate::core::explain::ways::Above;
use crate::core::explain::{Path, Proof, Said, Source};
use crate::core::id::Id;
use crate::core::model::{Effect, GroupKind, Member, ObjectKind, PrivateTo, Row, Status};

use super::{Candidate, EDGE, NOTHING, OTHERS, Step};

impl Proof<'_, '_> {
    /// Rules 4.2 and 4.3.
    pub(super) fn admissions(&self, reason: Reason) -> Vec<Candidate> {
        let Some(member) = self.principal() else { return Vec::new() };
        let from = self.found.value.status;
        let to = match reason {
            // An invitation that was revoked is not accepted again (rule 2.2).
            Reason::PrincipalInactive if !self.walk.service => {
                self.walk.table.user(&self.found).and_then(|u| u.status_before)
            }
            _ => Some(Status::Active),
        };
        let step = match (reason, to) {
            (Reason::ReauthenticationRequired, _) => Step::Authenticate(member),
            (_, Some(to)) => Step::Status { member, from, to },
            (_, None) => return Vec::new(),
        };
        vec![Candidate { weight: [NOTHING, 0, 0, 0, 0], step }]
    }

    /// Rule 4.4.
    pub(super) fn openings(&self) -> Vec<Candidate> {
        let (table, Some((_, object))) = (self.walk.table, self.walk.object) else { return Vec::new() };
        let element = object.row.id.clone();
        let listed = object.row.kind != ObjectKind::Element || table.lists_admit(&element);
        let denied = table.over().filter(|over| over.denylist.contains(&element));
        let mut all = Vec::new();
        match denied {
            _ if listed => {}
            Some(over) => {
                let (super_organization, element) = (over.id.clone(), element.clone());
                let step = Step::Undeny { super_organization, element };
                all.push(Candidate { weight: [OTHERS, 0, 0, 0, 0], step });
            }
            None => all.push(Candidate { weight: [OTHERS, 0, 0, 0, 0], step: Step::Safelist(element.clone()) }),
        }
        if let Some(private) = object.row.private_to.as_ref().filter(|_| listed) {
            if let (PrivateTo::Account(account), Some(Member::User(user))) = (private, self.principal()) {
                let step = Step::Move { user, account: account.clone() };
                all.push(Candidate { weight: [EDGE, 0, 0, 0, 0], step });
            }
            all.push(Candidate { weight: [OTHERS, 0, 0, 0, 0], step: Step::Unprivate(element) });
        }
        all
    }

    /// Rule 4.5: a role of each broken constraint to give up.
    pub(super) fn renouncements(&self, reason: Reason) -> Vec<Candidate> {
        let asked = self.asked(reason);
        asked.map_or_else(Vec::new, |asked| self.renounced(&self.held(asked, false).held))
    }

    /// The same, of what voids any of this.
    pub(super) fn renounced(&self, held: &[Held]) -> Vec<Candidate> {
        let paths = self.separated(held).into_iter().flat_map(|(_, paths)| paths);
        paths.filter_map(|path| self.renounce(&path)).flatten().collect()
    }

    /// How to give up what a path leads to.
    fn renounce(&self, path: &Path) -> Option<Vec<Candidate>> {
        let (row, role) = match &path.source {
            Source::Assignment(row) => (Row::Assignment(row.clone()), &row.role),
            Source::AutoShare { role, relation } => (Row::Related(relation.clone()), role),
            Source::Activation(row) => (Row::Activation(row.clone()), &row.role),
            Source::ByRule(_) | Source::Grant(_) | Source::Relation(_) | Source::Policy(_) => return None,
        };
        let mut all = Vec::new();
        let others = path.members.len() > 1;
        if let Some(step) = self.leave(&path.members, format!("which leads to role `{role}`")) {
            all.push(Candidate { weight: [NOTHING, 0, 1, 0, 0], step });
        }
        let weight = if others { [OTHERS, 0, 0, 0, 0] } else { [NOTHING, 0, 0, 0, 0] };
        all.push(Candidate { weight, step: Step::Take(row) });
        Some(all)
    }

    /// To leave the first group of a path, if that can be left.
    fn leave(&self, members: &[Member], because: String) -> Option<Step> {
        let (Some(member), Some(Member::Group(group))) = (members.first(), members.get(1)) else { return None };
        let manual = self.walk.table.group_row(group)?.kind == GroupKind::Manual;
        manual.then(|| Step::Leave { member: member.clone(), group: group.clone(), because })
    }

    /// Rule 6.4: out of the policies that hide the record.
    pub(super) fn releases(&self) -> Vec<Candidate> {
        let Some(record) = &self.walk.record else { return Vec::new() };
        let hides = |said: Said| matches!(said, Said::Matched | Said::Error);
        let mut all = Vec::new();
        let said = self.policies(record).into_iter();
        for said in said.filter(|p| p.effect == Effect::Restrict && hides(p.said)) {
            let because = format!("to which policy `{}` applies", said.policy);
            let leave = self.leave(&said.members, because);
            all.extend(leave.map(|step| Candidate { weight: [NOTHING, 0, 0, 0, 0], step }));
            let members = self.named_by(&said.policy);
            let others = if members.iter().any(|m| matches!(m, Member::Group(_))) { OTHERS } else { NOTHING };
            let step = Step::Unname { policy: said.policy, members };
            all.push(Candidate { weight: [others, 0, 1, 0, 0], step });
        }
        all
    }
    /// The members of a restrict policy by which it is about the principal.
    fn named_by(&self, policy: &Id) -> Vec<Member> {
        let table = self.walk.table;
        let Some(row) = table.policy_slot(policy).map(|slot| &slot.row) else { return Vec::new() };
        let strict = Above::of(table, table.strict_groups_of(&self.found).iter());
        let is_in = |group: &Id| table.groups.find(group.as_str()).is_some_and(|f| strict.contains(f.value));
        let principal = self.principal();
        let about = |member: &&Member| match member {
            Member::Group(group) => is_in(group),
            member => principal.as_ref() == Some(*member),
        };
        row.members.iter().filter(about).cloned().collect()
    }
}
