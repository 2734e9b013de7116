//! What is held, on its way into a [`Draft`]: edges put and taken, counted by group and bundle, and at the
//! end written page by page ([`Draft::settle`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::draft::{Checked, Draft};
use super::edge::{AT_ORGANIZATION, AT_RECORDS, Edge, GROUP_MEMBER, TargetNo, Unpacked, at_account, at_object, unpack};
use super::fault::Fault;
use super::holdings::Holdings;
use super::limits;
use super::model::{Key, Member, Period, Target};
use super::pages::{Edit, EditRow};
use super::principal::Principal;

impl Draft {
    pub(super) fn target(&self, target: &Target) -> Checked<TargetNo> {
        match target {
            Target::Organization => Ok(AT_ORGANIZATION),
            Target::Account(id) => self.account(id).map(at_account),
            Target::Object(id) | Target::Record(id, _) => self.object(id).map(at_object),
        }
    }

    /// The member's number; groups are marked.
    pub(super) fn member(&mut self, member: &Member) -> Checked<u32> {
        let (service, id) = match member {
            Member::Group(id) => return self.group(id).map(|n| n | GROUP_MEMBER),
            Member::User(id) => (false, id),
            Member::Service(id) => (true, id),
        };
        let what = if service { "service account" } else { "user" };
        let found = self.principal(service, id.as_str()).map(|p| p.value.number);
        found.ok_or_else(|| Fault::Unknown { what, id: id.to_string() })
    }

    pub(super) fn record(&mut self, object: u32, id: &str) -> &mut Vec<(Edge, Member)> {
        let next = &self.next;
        self.records.entry((object, id.into())).or_insert_with(|| next.record_edges(object, id))
    }

    pub(super) fn holdings(&mut self, target: TargetNo) -> &mut BTreeMap<(u32, u32), Edge> {
        let next = &self.next;
        self.holdings.entry(target).or_insert_with(|| {
            let held = next.holdings_at(target).into_iter().flat_map(|h| &h.edges);
            held.map(|e| ((e.bundle, e.at), *e)).collect()
        })
    }

    pub(super) fn put_edge(&mut self, key: &Key, bundle: u32, member: &Member, target: &Target, period: Period) {
        if let (Some(from), Some(until)) = (period.starts_at, period.expires_at)
            && until <= from
        {
            self.violation(key.clone(), "expires_at", Fault::EmptyPeriod);
        }
        let (at, number) = (self.target(target), self.member(member));
        let (at, number) = (self.note(key, "target", at), self.note(key, "member", number));
        let (Some(at), Some(number)) = (at, number) else { return };
        let group = number & !GROUP_MEMBER;
        if let Target::Record(_, record) = target {
            let Unpacked::Object(object) = unpack(at) else { return };
            let edges = self.record(object, record.as_str());
            let edge = Edge::new(number, bundle, period);
            let new = upsert(edges, (edge, member.clone()), |(e, _)| (e.at, e.bundle));
            let full = edges.len() > limits::MAX_HELD_AT_RECORD;
            if new && number & GROUP_MEMBER != 0 {
                self.count_held(group, None, AT_RECORDS);
            }
            self.bound(key, full, "roles and grants at one record", limits::MAX_HELD_AT_RECORD);
        } else if number & GROUP_MEMBER != 0 {
            let edge = Edge::new(group, bundle, period);
            if self.holdings(at).insert((bundle, group), edge).is_none() {
                self.count_held(group, Some(bundle), at);
            }
        } else {
            let (service, id) = match member {
                Member::User(id) => (false, id.as_str()),
                Member::Service(id) => (true, id.as_str()),
                Member::Group(_) => return,
            };
            let Some(draft) = self.principal(service, id) else { return };
            upsert(&mut draft.edges, Edge::new(at, bundle, period), |e| (e.at, e.bundle));
            let full = draft.edges.len() > limits::MAX_HELD_DIRECTLY;
            self.bound(key, full, "roles and grants held directly", limits::MAX_HELD_DIRECTLY);
        }
    }

    pub(super) fn count_held(&mut self, group: u32, bundle: Option<u32>, at: TargetNo) {
        let mut first = false;
        self.edit_group(group, |slot| {
            first = slot.held.is_empty();
            let count = slot.held.get(&at).copied().unwrap_or(0);
            slot.held.insert(at, count + 1);
        });
        if first {
            self.dirty.holders.insert(group);
        }
        if let Some(bundle) = bundle {
            self.edit_bundle(bundle, |b| {
                let count = b.held.get(&at).copied().unwrap_or(0);
                b.held.insert(at, count + 1);
            });
        }
    }

    pub(super) fn uncount_held(&mut self, group: u32, bundle: Option<u32>, at: TargetNo) {
        let less = |held: &mut imbl::OrdMap<TargetNo, u32>| match held.get(&at).copied() {
            Some(n) if n > 1 => {
                held.insert(at, n - 1);
            }
            _ => {
                held.remove(&at);
            }
        };
        self.edit_group(group, |slot| {
            less(&mut slot.held);
            if slot.held.is_empty() {
                slot.below = None;
            }
        });
        if let Some(bundle) = bundle {
            self.edit_bundle(bundle, |b| less(&mut b.held));
        }
    }

    /// Takes an edge away; whether there was one.
    pub(super) fn remove_edge(&mut self, bundle: u32, member: &Member, target: &Target) -> bool {
        let (Ok(at), Ok(number)) = (self.target(target), self.member(member)) else { return false };
        let group = number & !GROUP_MEMBER;
        if let Target::Record(_, record) = target {
            let Unpacked::Object(object) = unpack(at) else { return false };
            let edges = self.record(object, record.as_str());
            let removed = take(edges, |(e, _)| (e.at, e.bundle) == (number, bundle));
            if removed && number & GROUP_MEMBER != 0 {
                self.uncount_held(group, None, AT_RECORDS);
            }
            return removed;
        }
        match member {
            Member::Group(_) => {
                let removed = self.holdings(at).remove(&(bundle, group)).is_some();
                if removed {
                    self.uncount_held(group, Some(bundle), at);
                }
                removed
            }
            Member::User(id) | Member::Service(id) => {
                let service = matches!(member, Member::Service(_));
                self.principal(service, id.as_str())
                    .is_some_and(|p| take(&mut p.edges, |e| (e.at, e.bundle) == (at, bundle)))
            }
        }
    }

    /// Writes what was gathered into the version, so that it can be read whole.
    pub(super) fn settle(&mut self) {
        let by_rule: Vec<u32> = self.next.by_rule.iter().flat_map(|r| [r.default_account, r.other_account]).collect();
        let (mut users, mut services) = (Vec::new(), Vec::new());
        for ((service, id), mut draft) in self.principals.drain() {
            draft.edges.sort_unstable();
            draft.groups.sort_unstable();
            let mut near = Vec::with_capacity(draft.groups.len() * 4 + draft.edges.len() * 24);
            draft.groups.iter().for_each(|g| near.extend_from_slice(&g.to_le_bytes()));
            draft.edges.iter().for_each(|e| e.write(&mut near));
            // Only where whoever assigns it administers the user: at another account it is one role more.
            let places = [AT_ORGANIZATION, at_account(draft.value.account)];
            let value = Principal {
                groups: u32::try_from(draft.groups.len()).unwrap_or(0),
                by_hand: draft.edges.iter().any(|e| places.contains(&e.at) && by_rule.contains(&e.bundle)),
                ..draft.value
            };
            let row = Some(EditRow { value, near, far: draft.far });
            if service { &mut services } else { &mut users }.push(Edit { id, row });
        }
        self.next.users.edit(users);
        self.next.services.edit(services);

        let mut by_object: HashMap<u32, Vec<Edit<()>>> = HashMap::new();
        for ((object, id), mut held) in self.records.drain() {
            held.sort_by_key(|(e, _)| *e);
            let mut near = Vec::with_capacity(held.len() * 24);
            held.iter().for_each(|(e, _)| e.write(&mut near));
            let members: Vec<&Member> = held.iter().map(|(_, m)| m).collect();
            // Encoding into memory has no way to fail.
            let far = minicbor::to_vec(members).ok();
            let row = (!held.is_empty()).then_some(EditRow { value: (), near, far });
            by_object.entry(object).or_default().push(Edit { id, row });
        }
        for (object, edits) in by_object {
            if let Some(Some(slot)) = self.next.object_slots.get_mut(object as usize) {
                Arc::make_mut(slot).records.edit(edits);
            }
        }

        for (target, edges) in std::mem::take(&mut self.holdings) {
            let edges = edges.into_values().collect();
            self.dirty.targets.insert(target);
            self.set_holdings(target, Holdings { edges, ..Holdings::default() });
        }
    }

    pub(super) fn set_holdings(&mut self, target: TargetNo, holdings: Holdings) {
        let holdings = Arc::new(holdings);
        match unpack(target) {
            Unpacked::Organization => self.next.holdings = holdings,
            Unpacked::Account(n) => {
                if let Some(Some(slot)) = self.next.account_slots.get_mut(n as usize) {
                    Arc::make_mut(slot).holdings = holdings;
                }
            }
            Unpacked::Object(n) => {
                if let Some(Some(slot)) = self.next.object_slots.get_mut(n as usize) {
                    Arc::make_mut(slot).holdings = holdings;
                }
            }
            Unpacked::Records => {}
        }
    }
}

/// Puts `item` in place of the one with the same key; whether there was none.
fn upsert<T, K: PartialEq>(items: &mut Vec<T>, item: T, key: impl Fn(&T) -> K) -> bool {
    let same = key(&item);
    match items.iter_mut().find(|i| key(i) == same) {
        Some(old) => {
            *old = item;
            false
        }
        None => {
            items.push(item);
            true
        }
    }
}

fn take<T>(items: &mut Vec<T>, mut which: impl FnMut(&T) -> bool) -> bool {
    let before = items.len();
    items.retain(|i| !which(i));
    items.len() < before
}
