//! Data-access policies, relations and auto-share on their way into a version (rules 5 and 6.1, 6.2):
//! how their rows become part of a [`Draft`], and what is made of them for decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::condition::{self, Mistake, Schema, Typed};
use super::draft::{Draft, put_number, remove_id};
use super::edge::{GROUP_MEMBER, Unpacked, at_object, of_relation, unpack};
use super::fault::Fault;
use super::id::{Id, OpaqueId};
use super::limits;
use super::model::{Effect, Key, Member, Object, Period, Policy, Related, Relation, Role, RoleKind, Scope, Target};
use super::set::Set;
use super::table::{GroupSlot, PolicySlot, Shares, Source};

impl Draft {
    pub(super) fn put_policy(&mut self, key: &Key, row: Policy) {
        self.list(key, "members", &row.members, limits::MAX_POLICY_MEMBERS, "members of one policy");
        let object = self.object(&row.object);
        let object = self.note(key, "object", object);
        let (mut groups, mut principals) = (Vec::new(), Vec::new());
        for member in &row.members {
            if let Member::Service(_) = member {
                let fault = Fault::Misplaced("a policy is about groups and users; a service account may be in a group");
                self.violation(key.clone(), "members", fault);
            }
            let number = self.member(member);
            match self.note(key, "members", number) {
                Some(number) if number & GROUP_MEMBER != 0 => groups.push(number & !GROUP_MEMBER),
                Some(number) => principals.push(number),
                None => {}
            }
        }
        let Some(object) = object else { return };
        if self.next.policies.find(row.id.as_str()).is_some_and(|f| f.value != object) {
            let fault = Fault::Immutable("the object of a policy");
            self.violation(key.clone(), "object", fault);
        }
        let condition = row.condition.as_ref().and_then(|text| self.compile(key, object, text, Fault::Condition));
        self.take_policy(&row.id);
        for group in &groups {
            self.count_held(*group, None, at_object(object));
        }
        put_number(&mut self.next.policies, row.id.as_str(), object);
        let slot = PolicySlot {
            row,
            groups: groups.into(),
            principals: principals.into_iter().collect(),
            concerns: Set::default(),
            condition: condition.map(Arc::new),
        };
        self.edit_policies(object, |policies| {
            let at = policies.partition_point(|p| p.row.id < slot.row.id);
            policies.insert(at, Arc::new(slot));
        });
        self.dirty.policies.insert(object);
        let full = self.next.object_slot(object).is_some_and(|s| s.policies.len() > limits::MAX_POLICIES);
        self.bound(key, full, "policies of one object", limits::MAX_POLICIES);
    }

    /// Takes a policy out of its object, if there is such a policy.
    pub(super) fn take_policy(&mut self, id: &Id) {
        let Some(object) = self.next.policies.find(id.as_str()).map(|f| f.value) else { return };
        let slot = self.next.policy_slot(id).cloned();
        for group in slot.iter().flat_map(|s| &s.groups) {
            self.uncount_held(*group, None, at_object(object));
        }
        self.edit_policies(object, |policies| policies.retain(|p| p.row.id != *id));
        remove_id(&mut self.next.policies, id.as_str());
    }

    /// Notes that a group's flag has changed: the policies that name it are about others now.
    pub(super) fn policies_of(&mut self, group: &GroupSlot) {
        let objects =
            group.held.keys().filter_map(|t| if let Unpacked::Object(n) = unpack(*t) { Some(n) } else { None });
        self.dirty.policies.extend(objects);
    }

    /// The policies of an object, if it has any.
    fn policies_at(&self, object: u32) -> Option<Arc<[Arc<PolicySlot>]>> {
        let policies = &self.next.object_slot(object)?.policies;
        (!policies.is_empty()).then(|| Arc::clone(policies))
    }

    fn edit_policies(&mut self, object: u32, edit: impl FnOnce(&mut Vec<Arc<PolicySlot>>)) {
        if let Some(Some(slot)) = self.next.object_slots.get_mut(object as usize) {
            let slot = Arc::make_mut(slot);
            let mut policies = slot.policies.to_vec();
            edit(&mut policies);
            slot.policies = policies.into();
        }
    }

    /// Rule 6.2. What is wrong is said of the policy.
    fn compile(&mut self, key: &Key, object: u32, text: &str, fault: fn(Mistake) -> Fault) -> Option<Typed> {
        let none = BTreeMap::new();
        let fields = self.next.object_slot(object).map_or(&none, |slot| &slot.row.fields);
        let user_attributes = self.settings().map_or(&none, |settings| &settings.user_attributes);
        match condition::check(text, &Schema { fields, user_attributes }) {
            Ok(typed) => Some(typed),
            Err(mistakes) => {
                for mistake in mistakes {
                    self.violation(key.clone(), "condition", fault(mistake));
                }
                None
            }
        }
    }

    /// Rule 6.2: conditions hold against what is declared now, not when they were written.
    pub(super) fn check_conditions(&mut self) {
        for object in std::mem::take(&mut self.dirty.conditions) {
            let Some(policies) = self.policies_at(object) else { continue };
            let checked = policies.iter().map(|slot| {
                let text = slot.row.condition.as_ref()?;
                let key = Key::Policy(slot.row.id.clone());
                let fault = if self.touched.contains(&key) { Fault::Condition } else { Fault::ConditionBroken };
                self.compile(&key, object, text, fault).map(Arc::new)
            });
            let checked: Vec<_> = checked.collect();
            self.edit_policies(object, |policies| {
                for (slot, condition) in policies.iter_mut().zip(checked) {
                    Arc::make_mut(slot).condition = condition;
                }
            });
        }
    }

    /// Rule 6.2.
    pub(super) fn check_fields(&mut self, key: &Key, row: &Object) {
        if row.fields.keys().any(|name| condition::is_built_in(name)) {
            let fault = Fault::Misplaced(
                "`id`, `owner`, `account`, `watchers`, `assignees`, `mentioned` and `shared_with` are built in and \
                 cannot be declared",
            );
            self.violation(key.clone(), "fields", fault);
        }
    }

    pub(super) fn put_related(&mut self, key: &Key, row: Related) {
        if let Member::Service(_) = row.member {
            let fault = Fault::Misplaced("a relation is a user's or a group's");
            self.violation(key.clone(), "member", fault);
        }
        let object = self.object(&row.object);
        let Some(object) = self.note(key, "object", object) else { return };
        if let (Member::Group(id), false) = (&row.member, self.founding)
            && let Ok(group) = self.group(id)
        {
            let (at, bundle) = (group | GROUP_MEMBER, of_relation(row.relation));
            let held = self.record(object, row.record.as_str());
            if !held.iter().any(|(e, _)| (e.at, e.bundle) == (at, bundle)) {
                self.dirty.related.push((key.clone(), row.relation, group));
            }
        }
        let target = Target::Record(row.object, row.record);
        self.put_edge(key, of_relation(row.relation), &row.member, &target, Period::default());
    }

    /// Rule 2.9: a group comes to have a relation only if it is usable for it. What an organization
    /// brings from elsewhere when it is founded is nothing new: it was suspended there already.
    pub(super) fn check_related(&mut self) {
        for (key, relation, group) in std::mem::take(&mut self.dirty.related) {
            let Some(slot) = self.next.group_slot(group) else { continue };
            if relation.usable(slot.row.visibility) {
                continue;
            }
            let flag = relation.flag().unwrap_or_default();
            let fault = Fault::NotUsable { group: slot.row.id.to_string(), flag, relation: relation.name() };
            self.violation(key, "member", fault);
        }
    }

    /// Rule 5.2.
    pub(super) fn check_auto_share(&mut self, key: &Key, row: &Role) {
        if row.auto_share.is_empty() {
            return;
        }
        if row.kind != RoleKind::Custom || row.scope != Scope::Object || row.object.is_none() {
            let fault = Fault::Misplaced("only a custom role that is tied to an object can be shared automatically");
            self.violation(key.clone(), "auto_share", fault);
        }
        if row.auto_share.contains(&Relation::Approver) {
            let fault = Fault::Misplaced("the relation `approver` shares nothing");
            self.violation(key.clone(), "auto_share", fault);
        }
    }

    /// Rule 5.1: a reused record id inherits nothing.
    pub(super) fn forget(&mut self, object: &Id, record: &OpaqueId) {
        self.settle();
        let keys = self.next.record_rows(object, record).into_iter().map(|row| row.key());
        for key in keys.collect::<Vec<_>>() {
            self.delete_edge(&key);
        }
        let at = Target::Record(object.clone(), record.clone());
        let emergencies = self.emergencies_at(|_, target| *target == at);
        // Activations before their rules, which would end them.
        for key in emergencies.iter().rev() {
            self.delete_one(key);
        }
        self.touched.extend(emergencies);
    }

    /// Rule 2.9: which groups a policy is about.
    pub(super) fn flatten_policies(&mut self) {
        for object in std::mem::take(&mut self.dirty.policies) {
            let Some(policies) = self.policies_at(object) else { continue };
            let concerns = policies.iter().map(|policy| -> Set {
                let groups = policy.groups.iter().filter_map(|g| self.next.group_slot(*g));
                let counted = groups.filter(|g| policy.row.effect == Effect::Restrict || g.row.visibility.data_access);
                counted.filter_map(|g| g.below.as_deref()).flat_map(Set::iter).collect()
            });
            let concerns: Vec<Set> = concerns.collect();
            if policies.iter().zip(&concerns).all(|(policy, concerns)| policy.concerns == *concerns) {
                continue;
            }
            self.edit_policies(object, |policies| {
                for (policy, concerns) in policies.iter_mut().zip(concerns) {
                    Arc::make_mut(policy).concerns = concerns;
                }
            });
        }
    }

    /// Rule 5.2: which roles each relation gives, on each object that has such roles.
    pub(super) fn flatten_shares(&mut self) {
        if !std::mem::take(&mut self.dirty.shares) {
            return;
        }
        let mut shared: BTreeMap<u32, [BTreeSet<u32>; Relation::ALL.len()]> = BTreeMap::new();
        for (number, bundle) in (0u32..).zip(&self.next.bundles) {
            let Some(Source::Role { row, .. }) = bundle.as_ref().map(|b| &b.source) else { continue };
            let Some(object) = row.object.as_ref().and_then(|id| self.object(id).ok()) else { continue };
            for relation in &row.auto_share {
                let relations = shared.entry(object).or_default();
                if let Some(bundles) = relations.get_mut(*relation as usize) {
                    bundles.insert(number);
                }
            }
        }
        for object in 0..self.next.object_slots.len() {
            let Some(Some(slot)) = self.next.object_slots.get(object) else { continue };
            let new = u32::try_from(object).ok().and_then(|n| shared.remove(&n)).unwrap_or_default();
            let new: Shares = new.map(|bundles| bundles.into_iter().collect());
            if *slot.shares != new {
                let slot = super::table::ObjectSlot { shares: Arc::new(new), ..(**slot).clone() };
                self.next.object_slots.set(object, Some(Arc::new(slot)));
            }
        }
    }
}
