//! Whether a change would break a constraint: judged by what its new edges reach, not by comparing
//! everyone before and after. Principals are passed over only where groups are touched, and records
//! only if a role of a constraint may be held at one.

use std::collections::{BTreeMap, BTreeSet};

use super::breach::{Breach, Broken, Fresh, Paths, Records, Roles, place_of, together};
use crate::core::change::Effect;
use crate::core::edge::{AT_RECORDS, GROUP_MEMBER};
use crate::core::explain::{Path, Source};
use crate::core::fault::{Fault, Violation};
use crate::core::id::Id;
use crate::core::limits::MAX_VIOLATIONS;
use crate::core::model::{Enforcement, Key, Member, Millis, Relation, Row, Status, Target};
use crate::core::principal::PrincipalFound;
use crate::core::table::{SeparationSlot, Table};

use std::sync::Arc;

/// What a change would break, the first breaches of it.
#[must_use]
pub fn judge(before: &Table, after: &Table, effects: &[(Key, Effect)], now: Millis) -> Vec<Violation> {
    if after.separations.is_empty() {
        return Vec::new();
    }
    let founding = before.settings.is_none();
    let touched =
        |slot: &Arc<SeparationSlot>| effects.iter().any(|(key, _)| *key == Key::Separation(slot.row.id.clone()));
    let (changed, standing): (Vec<_>, Vec<_>) = after.separations.values().partition(|slot| touched(slot));
    let mut found = Vec::new();
    let prevents = |slot: &&&Arc<SeparationSlot>| slot.row.enforcement == Enforcement::Prevent;
    let changed: Vec<_> = changed.iter().filter(prevents).copied().collect();
    if !changed.is_empty() {
        whole(before, after, &changed, founding, now, &mut found);
    }
    if !founding && !standing.is_empty() {
        let edges = Edges::of(before, after, effects);
        edges.judge(after, &standing, now, &mut found);
    }
    found.iter().map(violation).collect()
}

/// Constraints that are new or different: nobody may break them who did not break them before.
fn whole(
    before: &Table,
    after: &Table,
    slots: &[&Arc<SeparationSlot>],
    founding: bool,
    now: Millis,
    to: &mut Vec<Breach>,
) {
    let (none, paths) = (Fresh::default(), if founding { Paths::Made } else { Paths::All });
    let roles = Roles::of(after, slots, &Records::All, &none);
    let prevented = |slot: &&Arc<SeparationSlot>| slot.row.enforcement == Enforcement::Prevent;
    let old: Vec<_> = slots.iter().filter_map(|slot| before.separations.get(&slot.row.id)).filter(prevented).collect();
    let were = Roles::of(before, &old, &Records::All, &none);
    for (principal, found) in after.principals() {
        let held = roles.held_by(&found, paths, &[]);
        for slot in slots {
            if to.len() >= MAX_VIOLATIONS || together(&held, slot, now, false).is_none() {
                continue;
            }
            let broke = old.iter().find(|o| o.row.id == slot.row.id).is_some_and(|old| {
                let was = before.find_member(&principal).map(|was| were.held_by(&was, Paths::All, &[]));
                was.is_some_and(|held| together(&held, old, now, false).is_some())
            });
            if !broke {
                let broken = Broken { constraint: slot.row.id.clone(), principal: principal.clone() };
                to.extend(roles.breach(&broken, &found, &[], slot, &held, now, false));
            }
        }
    }
}

/// The edges that a change makes.
#[derive(Default)]
struct Edges {
    fresh: Fresh,
    /// Users and service accounts, and the groups that they come to be in.
    joins: BTreeMap<Member, BTreeSet<u32>>,
    /// Groups, and those that they come to be nested in.
    nestings: BTreeMap<u32, BTreeSet<u32>>,
}

impl Edges {
    fn of(before: &Table, after: &Table, effects: &[(Key, Effect)]) -> Self {
        let mut edges = Self::default();
        for (key, _) in effects {
            let (old, new) = (before.row(key), after.row(key));
            match (old, new) {
                (old, Some(Row::Assignment(new))) => {
                    let longer = !matches!(&old, Some(Row::Assignment(old)) if new.period.is_within(&old.period));
                    let role = after.roles.find(new.role.as_str()).map(|f| f.value);
                    if let (true, Some(role)) = (longer, role) {
                        edges.assign(after, role, &new.member, &new.target);
                    }
                }
                (old, Some(Row::User(new))) => {
                    let old = if let Some(Row::User(old)) = old {
                        [old.groups, old.pending_groups].concat()
                    } else {
                        Vec::new()
                    };
                    let groups = [new.groups, new.pending_groups].concat();
                    edges.join(after, Member::User(new.id), &old, &groups);
                }
                (old, Some(Row::Service(new))) => {
                    let old = if let Some(Row::Service(old)) = old { old.groups } else { Vec::new() };
                    edges.join(after, Member::Service(new.id), &old, &new.groups);
                }
                (old, Some(Row::Group(new))) => {
                    let old = if let Some(Row::Group(old)) = old { old.groups } else { Vec::new() };
                    let parents = joined(after, &old, &new.groups);
                    if let (false, Some(child)) = (parents.is_empty(), after.groups.find(new.id.as_str())) {
                        edges.nestings.insert(child.value, parents);
                    }
                }
                (old, Some(Row::Role(new))) => {
                    let old: Vec<Relation> = if let Some(Row::Role(old)) = old { old.auto_share } else { Vec::new() };
                    let fresh = new.auto_share.iter().filter(|relation| !old.contains(relation));
                    if let Some(role) = after.roles.find(new.id.as_str()) {
                        edges.fresh.shared.extend(fresh.map(|relation| (role.value, *relation)));
                    }
                }
                (None, Some(Row::Activation(new))) if !new.rehearsal => {
                    let role = after.roles.find(new.role.as_str()).map(|f| f.value);
                    if let Some(bundle) = role.and_then(|role| after.activated.get(&role)) {
                        edges.assign(after, *bundle, &Member::User(new.user), &new.target);
                    }
                }
                _ => {}
            }
        }
        edges
    }

    fn assign(&mut self, after: &Table, bundle: u32, member: &Member, target: &Target) {
        let number = match member {
            Member::Group(id) => after.groups.find(id.as_str()).map(|f| f.value | GROUP_MEMBER),
            member => after.find_member(member).map(|f| f.value.number),
        };
        if let (Some(number), Some(place)) = (number, place_of(after, target)) {
            self.fresh.assignments.insert((bundle, number, place));
            if !matches!(member, Member::Group(_)) {
                self.joins.entry(member.clone()).or_default();
            }
        }
    }

    fn join(&mut self, after: &Table, member: Member, old: &[Id], new: &[Id]) {
        let groups = joined(after, old, new);
        if !groups.is_empty() {
            self.joins.insert(member, groups);
        }
    }

    fn judge(&self, after: &Table, slots: &[&Arc<SeparationSlot>], now: Millis, to: &mut Vec<Breach>) {
        let roles = Roles::of(after, slots, &Records::None, &self.fresh);
        if !self.may_reach(after, &roles) {
            return;
        }
        let roles = if roles.at_records() { Roles::of(after, slots, &Records::All, &self.fresh) } else { roles };
        let below: BTreeMap<u32, BTreeSet<u32>> = self.nestings.keys().map(|g| (*g, after.nested([*g]))).collect();
        let touched: BTreeSet<u32> = self.touched_groups();
        let reached = after.nested(touched);
        let mut judge_one = |principal: &Member, found: &PrincipalFound<'_>| {
            let pending = pending(after, found);
            let none = BTreeSet::new();
            let joins = self.joins.get(principal).unwrap_or(&none);
            let mut held = roles.held_by(found, Paths::All, &pending);
            for h in held.iter_mut().filter(|h| !h.fresh) {
                let inside = h.group.and_then(|g| after.group_slot(g)?.below.clone());
                h.fresh = inside.is_some_and(|inside| {
                    joins.iter().any(|g| inside.contains(*g))
                        || self.nestings.iter().any(|(child, parents)| {
                            let mine = |g: &u32| below.get(child).is_some_and(|below| below.contains(g));
                            parents.iter().any(|p| inside.contains(*p))
                                && after.groups_of(found).iter().chain(pending.iter().copied()).any(|g| mine(&g))
                        })
                });
            }
            if !held.iter().any(|h| h.fresh) {
                return;
            }
            for slot in slots {
                if to.len() < MAX_VIOLATIONS {
                    let broken = Broken { constraint: slot.row.id.clone(), principal: principal.clone() };
                    to.extend(roles.breach(&broken, found, &pending, slot, &held, now, true));
                }
            }
        };
        if reached.is_empty() && self.fresh.shared.is_empty() {
            for member in self.joins.keys() {
                if let Some(found) = after.find_member(member) {
                    judge_one(member, &found);
                }
            }
            return;
        }
        for (member, found) in after.principals() {
            let in_reach = |found| {
                let mut groups = after.groups_of(found).iter().chain(pending(after, found));
                groups.any(|g| reached.contains(&g))
            };
            if self.joins.contains_key(&member) || !self.fresh.shared.is_empty() || in_reach(&found) {
                judge_one(&member, &found);
            }
        }
    }

    /// The groups whose members may hold more: those that were assigned or nested.
    fn touched_groups(&self) -> BTreeSet<u32> {
        let assigned = self.fresh.assignments.iter().filter(|(_, member, _)| member & GROUP_MEMBER != 0);
        assigned.map(|(_, member, _)| member & !GROUP_MEMBER).chain(self.nestings.keys().copied()).collect()
    }

    /// Whether any edge may lead to a role of a constraint.
    fn may_reach(&self, after: &Table, roles: &Roles<'_>) -> bool {
        let assigned = self.fresh.assignments.iter().map(|(bundle, ..)| bundle);
        if assigned.chain(self.fresh.shared.iter().map(|(role, _)| role)).any(|bundle| roles.names(*bundle)) {
            return true;
        }
        let joined = self.joins.values().chain(self.nestings.values()).flatten().copied();
        let above = after.around(joined);
        let records = |group: &u32| after.group_slot(*group).is_some_and(|slot| slot.held.contains_key(&AT_RECORDS));
        roles.are_held_by(&above) || roles.at_records() && above.iter().any(records)
    }
}

/// The groups that are in `new` and were not in `old`.
fn joined(after: &Table, old: &[Id], new: &[Id]) -> BTreeSet<u32> {
    let fresh = new.iter().filter(|group| !old.contains(group));
    fresh.filter_map(|id| after.groups.find(id.as_str()).map(|f| f.value)).collect()
}

/// Rule 2.3: what an invited user waits for is judged as if it were there.
fn pending(table: &Table, found: &PrincipalFound<'_>) -> Vec<u32> {
    if found.value.status != Status::Invited {
        return Vec::new();
    }
    let groups = table.user(found).map(|user| user.pending_groups).unwrap_or_default();
    groups.iter().filter_map(|id| table.groups.find(id.as_str()).map(|f| f.value)).collect()
}

fn violation(breach: &Breach) -> Violation {
    let Broken { constraint, principal } = &breach.broken;
    let paths: Vec<String> = breach.paths.iter().map(told).collect();
    let text = format!(
        "`{principal}` would hold more than {} of the roles of `{constraint}`: {}",
        breach.max,
        paths.join(", and ")
    );
    Violation { key: Key::Separation(constraint.clone()), field: "", fault: Fault::Separation(text) }
}

/// A path to a role, in words.
fn told(path: &Path) -> String {
    let (role, how) = match &path.source {
        Source::Assignment(a) => (&a.role, format!("at {}", a.target)),
        Source::ByRule(a) => (&a.role, format!("at {}, by rule", a.target)),
        Source::AutoShare { role, relation } => (
            role,
            format!("on record `{}` of object `{}`, as its {}", relation.record, relation.object, relation.relation),
        ),
        Source::Activation(a) => (&a.role, format!("at {}, activated in an emergency", a.target)),
        Source::Grant(_) | Source::Relation(_) | Source::Policy(_) => return String::new(),
    };
    let members: Vec<String> = path.members.iter().map(|m| format!("`{m}`")).collect();
    format!("role `{role}` {how} ({})", members.join(" → "))
}
