//! What each data-access policy said of the record.

use crate::core::condition::{self, Outcome};
use crate::core::decision::FoundRecord;
use crate::core::model::{Effect, Member};
use crate::core::table::PolicySlot;
use crate::core::visible::RecordFacts;

use super::ways::Above;
use super::{PolicySaid, Proof, Said, seen};

impl<'a> Proof<'_, 'a> {
    /// The policies that concern the principal, suspended ones included (rule 2.9).
    pub(super) fn policies(&self, record: &FoundRecord<'_>) -> Vec<PolicySaid> {
        let Some((_, object)) = self.walk.object else { return Vec::new() };
        let facts = RecordFacts::new(self.walk, self.found, record);
        // To restrict, membership ignores status and the organization's domains.
        let strict = Above::of(self.walk.table, self.walk.table.strict_groups_of(&self.found).iter());
        object.policies.iter().filter_map(|policy| self.said(policy, &strict, &facts)).collect()
    }

    fn said(&self, policy: &PolicySlot, strict: &Above, facts: &RecordFacts<'_, 'a>) -> Option<PolicySaid> {
        let concerns = self.walk.table.concerns(policy, &self.found);
        let above = if policy.row.effect == Effect::Restrict { strict } else { &self.above };
        let groups = self.way_to(policy, above, concerns)?;
        let members = self.members(&groups)?;
        let (said, detail) = if concerns { answer(policy, facts) } else { (Said::Suspended, suspended(&members)) };
        Some(PolicySaid { policy: policy.row.id.clone(), effect: policy.row.effect, members, said, detail })
    }

    /// The shortest way to a member of the policy: to one that counts, if any does.
    fn way_to(&self, policy: &PolicySlot, above: &Above, concerns: bool) -> Option<Vec<u32>> {
        if policy.principals.contains(self.found.value.number) {
            return Some(Vec::new());
        }
        let counts = |group: u32| {
            let flag = self.walk.table.group_slot(group).is_some_and(|g| g.row.visibility.data_access);
            !concerns || flag || policy.row.effect == Effect::Restrict
        };
        let mine = policy.groups.iter().copied().filter(|g| above.contains(*g) && counts(*g));
        let ends: Vec<Option<u32>> = mine.map(Some).collect();
        above.ways(&ends, 1).0.pop().map(|way| way.groups)
    }

    /// Whether a policy's condition holds, whomever the policy concerns.
    pub(super) fn matches(&self, policy: &PolicySlot, record: &FoundRecord<'_>) -> bool {
        let facts = RecordFacts::new(self.walk, self.found, record);
        policy.condition.as_ref().is_none_or(|c| condition::evaluate(c, &facts).allows())
    }
}

fn answer(policy: &PolicySlot, facts: &RecordFacts<'_, '_>) -> (Said, String) {
    let Some(condition) = &policy.condition else {
        return (Said::Matched, "it has no condition: it is about every record".to_owned());
    };
    let trace = condition::explain(condition, facts);
    let said = match trace.outcome {
        Outcome::True => Said::Matched,
        Outcome::False => Said::NotMatched,
        Outcome::Error(_) => Said::Error,
    };
    (said, seen::detail(condition, &trace))
}

fn suspended(members: &[Member]) -> String {
    match members.last() {
        Some(Member::Group(id)) => format!("group `{id}` is not usable for data access: its flag `data_access` is off"),
        _ => String::new(),
    }
}
