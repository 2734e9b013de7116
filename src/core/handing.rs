//! Rule 3.7: nobody hands out what they lack.
//!
//! Judged by what the change's new edges reach: each gives what stands at its end to whoever stands at
//! its beginning, now or later, and the caller must hold that itself, there, for that whole time. Who
//! is at the beginning is not looked at: an edge from an empty group is judged like any other.
//!
//! ```text
//! assignment, grant            its permissions, at its target, in its period
//! a role's new permissions     those, wherever the role is held or shared
//! membership, nesting          what the group, and every group around it, holds
//! a group's or the             what the dynamic groups of a new domain hold
//!   organization's domains
//! a new or moved user          what it is given by rule (3.6); so does a new default account
//! a relation                   what it shares at the record (rule 5.2)
//! a mark or level loosened     the permission, at the organization
//! a rule of emergency access   its role's permissions, at its target, always: activating hands out nothing more
//! e-mail, sign-on, credentials all that the principal holds or may activate
//! ```
//!
//! A wildcard needs a wildcard that covers it. The alternative that lost: to compare what everyone may
//! do before and after, which costs as much as the organization is large.
//!
//! Not judged: relations that come back with a group's flag (rule 2.9), which were judged when they came.

use std::collections::BTreeSet;

use super::change::Effect;
use super::decision::split_principal;
use super::edge::{AT_RECORDS, Edge, GROUP_MEMBER, edges, relation_of};
use super::id::{Coverage, Id, Pattern};
use super::model::{
    EmergencyRule, Group, GroupKind, Key, Level, Member, Millis, Period, Permission, Related, Row, Status, Target, User,
};
use super::principal::PrincipalFound;
use super::table::{ByRuleRoles, Table};

/// What somebody holds, or would come to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What.
    pub pattern: Pattern,
    /// Where.
    pub target: Target,
    /// When.
    pub period: Period,
}

/// The first thing that a change would give to somebody and that `principal` lacks.
#[must_use]
pub fn lacks(before: &Table, after: &Table, effects: &[(Key, Effect)], principal: &str, now: Millis) -> Option<Held> {
    let (service, id) = split_principal(principal);
    let pages = if service { &before.services } else { &before.users };
    let caller = pages.find(id).map(|found| Holder::of(before, &found));
    for (key, effect) in effects {
        // What goes gives nobody anything, but the row of a shipped role, without which the role is as shipped,
        // and a role assigned by hand, without which another is given by rule.
        if *effect == Effect::Deleted && !matches!(key, Key::Role(_) | Key::Assignment(..)) {
            continue;
        }
        for gain in gains(before, after, key) {
            if !caller.as_ref().is_some_and(|caller| caller.covers(before, after, &gain, now)) {
                return Some(gain);
            }
        }
    }
    None
}

/// A principal and what it holds at the organization, accounts and objects.
struct Holder {
    number: u32,
    groups: BTreeSet<u32>,
    held: Vec<Held>,
}

impl Holder {
    fn of(table: &Table, found: &PrincipalFound<'_>) -> Self {
        let groups = closed(table, table.groups_of(found).iter());
        let mut held = Vec::new();
        table.by_groups(&groups, false, &mut held);
        table.by_principal(found, &mut held);
        Self { number: found.value.number, groups, held }
    }

    fn covers(&self, before: &Table, after: &Table, gain: &Held, now: Millis) -> bool {
        if !takes_effect(after, gain) {
            return true;
        }
        let mut at_record = Vec::new();
        if let Target::Record(object, record) = &gain.target {
            let number = before.objects.find(object.as_str()).map(|f| f.value);
            for (edge, _) in number.map(|n| before.record_edges(n, record.as_str())).unwrap_or_default() {
                let group = edge.at & GROUP_MEMBER != 0 && self.groups.contains(&(edge.at & !GROUP_MEMBER));
                if group || edge.at == self.number {
                    before.contents(&edge, &gain.target, &mut at_record);
                }
            }
        }
        let held = self.held.iter().chain(&at_record);
        let periods = held
            .filter(|held| includes(&held.target, &gain.target) && stands_for(after, &held.pattern, &gain.pattern))
            .map(|held| held.period);
        whole(periods.collect(), gain.period, now)
    }
}

/// Whether `period`, as far as it is not over, is covered without a gap.
fn whole(mut periods: Vec<Period>, period: Period, now: Millis) -> bool {
    let from = |p: &Period| p.starts_at.unwrap_or(Millis::MIN);
    let until = |p: &Period| p.expires_at.unwrap_or(Millis::MAX);
    periods.sort_by_key(from);
    let mut covered = from(&period).max(now);
    for held in &periods {
        if covered >= until(&period) {
            return true;
        }
        if from(held) <= covered {
            covered = covered.max(until(held));
        }
    }
    covered >= until(&period)
}

/// Whether what is held at `held` is held at `target`.
fn includes(held: &Target, target: &Target) -> bool {
    match (held, target) {
        (Target::Organization, _) => true,
        (Target::Object(held), Target::Record(object, _)) => held == object,
        _ => held == target,
    }
}

/// Whether whoever holds `held` holds `pattern`.
fn stands_for(table: &Table, held: &Pattern, pattern: &Pattern) -> bool {
    let name = |name: &str| table.canonical(name).map_or_else(|| name.to_owned(), ToString::to_string);
    match (held.coverage(), pattern.coverage()) {
        (Coverage::All, _) => true,
        (Coverage::Prefix(held), Coverage::Prefix(pattern)) => pattern.starts_with(held),
        (Coverage::Prefix(held), Coverage::One(one)) => name(one).starts_with(held),
        (Coverage::One(held), Coverage::One(one)) => name(held) == name(one),
        (Coverage::Prefix(_) | Coverage::One(_), _) => false,
    }
}

/// Whether one permission has an effect at a target (rule 3.1).
fn takes_effect(table: &Table, gain: &Held) -> bool {
    let Coverage::One(name) = gain.pattern.coverage() else { return true };
    let level = table.permission(name).map_or(Level::Object, |p| p.level);
    match gain.target {
        Target::Organization => true,
        Target::Account(_) => level <= Level::Account,
        Target::Object(_) | Target::Record(..) => level == Level::Object,
    }
}

/// What the new edges of a changed row reach.
fn gains(before: &Table, after: &Table, key: &Key) -> Vec<Held> {
    let mut gains = Vec::new();
    if let Key::Role(id) = key {
        of_role(before, after, id, &mut gains);
        return gains;
    }
    if let Key::Assignment(_, Member::User(id), _) = key
        && let (Some(was), Some(is)) = (before.find_user(id), after.find_user(id))
        && was.value.by_hand
        && !is.value.by_hand
    {
        after.handed_by_rule(&is, &mut gains);
    }
    match (before.row(key), after.row(key)) {
        (old, Some(Row::Assignment(new))) => {
            let longer = !matches!(&old, Some(Row::Assignment(old)) if within(new.period, old.period));
            if let (true, Some(role)) = (longer, after.role_row(&new.role)) {
                add(&mut gains, &role.permissions, &new.target, new.period);
            }
        }
        (Some(Row::Grant(old)), Some(Row::Grant(new))) if within(new.period, old.period) => {}
        (_, Some(Row::Grant(new))) => {
            add(&mut gains, std::slice::from_ref(&new.permission), &new.target, new.period);
        }
        (Some(Row::User(old)), Some(Row::User(new))) => of_user(before, after, &old, &new, &mut gains),
        (None, Some(Row::User(new))) => {
            let Some(found) = after.find_user(&new.id) else { return gains };
            let pending = numbers(after, &new.pending_groups);
            let groups = closed(after, after.groups_of(&found).iter().chain(pending));
            after.by_groups(&groups, true, &mut gains);
            after.handed_by_rule(&found, &mut gains);
        }
        (None, Some(Row::Related(new))) => after.shared_by(&new, &mut gains),
        (Some(Row::Account(old)), Some(Row::Account(new))) if old.default != new.default => {
            let given = |rule: ByRuleRoles| if new.default { rule.default_account } else { rule.other_account };
            let target = if new.default { Target::Organization } else { Target::Account(new.id) };
            if let Some(bundle) = after.by_rule.map(given) {
                after.contents(&Edge::new(0, bundle, Period::default(), false), &target, &mut gains);
            }
        }
        (old, Some(Row::Service(new))) => {
            let old = if let Some(Row::Service(old)) = old { old.groups } else { Vec::new() };
            of_groups(after, &old, &new.groups, &mut gains);
        }
        (old, Some(Row::Group(new))) => {
            let old = if let Some(Row::Group(old)) = old { Some(old) } else { None };
            of_group(after, old.as_ref(), &new, &mut gains);
        }
        (Some(Row::Settings(old)), Some(Row::Settings(new))) => {
            let fresh = new.email_domains.iter().map(|d| &d.domain);
            let fresh: Vec<_> = fresh.filter(|d| old.email_domains.iter().all(|o| o.domain != **d)).collect();
            let named = |slot: &Group| match &slot.kind {
                GroupKind::Dynamic(domains) => domains.iter().any(|d| fresh.contains(&d)),
                GroupKind::Manual | GroupKind::System => false,
            };
            let groups = (0u32..).zip(&after.group_slots);
            let groups = groups.filter_map(|(n, slot)| named(&slot.as_ref()?.row).then_some(n));
            after.by_groups(&closed(after, groups), true, &mut gains);
        }
        (Some(Row::Permission(old)), Some(Row::Permission(new))) if loosened(&old, &new) => {
            add(&mut gains, &[Pattern::of(&new.name)], &Target::Organization, Period::default());
        }
        (old, Some(Row::Emergency(new))) => {
            let wider = !matches!(&old, Some(Row::Emergency(old))
                if new.max_duration_ms <= old.max_duration_ms && new.users.iter().all(|user| old.users.contains(user)));
            if let (true, Some(role)) = (wider, after.role_row(&new.role)) {
                add(&mut gains, &role.permissions, &new.target, Period::default());
            }
        }
        (_, Some(Row::Credential(new))) => {
            if let Some(found) = after.find_service(&new.service) {
                after.all_of(&found, &mut gains);
            }
        }
        _ => {}
    }
    gains
}

fn of_role(before: &Table, after: &Table, id: &Id, gains: &mut Vec<Held>) {
    let Some(new) = after.role_row(id) else { return };
    let old = before.role_row(id);
    let had =
        |pattern: &&Pattern| old.is_some_and(|old| old.permissions.iter().any(|held| stands_for(after, held, pattern)));
    let added: Vec<Pattern> = new.permissions.iter().filter(|p| !had(p)).cloned().collect();
    let triggers = new.auto_share.iter().any(|r| old.is_none_or(|old| !old.auto_share.contains(r)));
    if let Some(object) = &new.object {
        let shared = if triggers { new.permissions.as_slice() } else { &added };
        if !new.auto_share.is_empty() {
            add(gains, shared, &Target::Object(object.clone()), Period::default());
        }
    }
    if added.is_empty() || old.is_none() {
        return;
    }
    for row in after.edge_rows() {
        if let Row::Assignment(held) = row
            && held.role == *id
        {
            add(gains, &added, &held.target, held.period);
        }
    }
    for rule in after.emergencies().filter(|rule| rule.role == *id) {
        add(gains, &added, &rule.target, Period::default());
    }
    let number = after.roles.find(id.as_str()).map(|f| f.value);
    if after.by_rule.is_some_and(|rule| [rule.default_account, rule.other_account].map(Some).contains(&number)) {
        add(gains, &added, &Target::Organization, Period::default());
    }
}

fn of_user(before: &Table, after: &Table, old: &User, new: &User, gains: &mut Vec<Held>) {
    let (Some(was), Some(is)) = (before.find_user(&old.id), after.find_user(&new.id)) else { return };
    if old.email.folded() != new.email.folded() || old.sign_ons != new.sign_ons {
        before.all_of(&was, gains);
    }
    if was.value.account != is.value.account {
        after.handed_by_rule(&is, gains);
    }
    let waiting = |group: &Id| old.groups.contains(group) || old.pending_groups.contains(group);
    let completed = (old.status, new.status) == (Status::Invited, Status::Active) && new.groups.iter().all(waiting);
    let same = old.groups == new.groups
        && old.pending_groups == new.pending_groups
        && old.kind == new.kind
        && old.email == new.email;
    // Completing a registration is exempt; the other moves of a status are no edge.
    if same || completed {
        return;
    }
    let around = |table: &Table, found: &PrincipalFound<'_>, pending: &[Id]| {
        closed(table, table.groups_of(found).iter().chain(numbers(table, pending)))
    };
    // Numbers of groups stay the same from one version to the next.
    let had = around(before, &was, &old.pending_groups);
    let has = around(after, &is, &new.pending_groups);
    after.by_groups(&has.difference(&had).copied().collect(), true, gains);
}

fn of_group(after: &Table, old: Option<&Group>, new: &Group, gains: &mut Vec<Held>) {
    of_groups(after, old.map_or(&[], |old| &old.groups), &new.groups, gains);
    let had = match old.map(|old| &old.kind) {
        Some(GroupKind::Dynamic(domains)) => domains.as_slice(),
        _ => &[],
    };
    if let GroupKind::Dynamic(domains) = &new.kind {
        let own = |domain| after.settings.as_ref().is_some_and(|s| s.email_domains.iter().any(|d| d.domain == domain));
        if domains.iter().any(|domain| !had.contains(domain) && own(domain.clone())) {
            let group = numbers(after, std::slice::from_ref(&new.id));
            after.by_groups(&closed(after, group), true, gains);
        }
    }
}

/// What comes with groups that somebody was not in before.
fn of_groups(after: &Table, old: &[Id], new: &[Id], gains: &mut Vec<Held>) {
    let fresh: Vec<Id> = new.iter().filter(|group| !old.contains(group)).cloned().collect();
    after.by_groups(&closed(after, numbers(after, &fresh)), true, gains);
}

/// Whether a permission comes to be given where it was not.
fn loosened(old: &Permission, new: &Permission) -> bool {
    new.level < old.level
        || (old.requires_visibility && !new.requires_visibility)
        || (old.requires_approver && !new.requires_approver)
        || old.when_not_owner != new.when_not_owner
}

fn within(inner: Period, outer: Period) -> bool {
    let from = |p: Period| p.starts_at.unwrap_or(Millis::MIN);
    let until = |p: Period| p.expires_at.unwrap_or(Millis::MAX);
    from(outer) <= from(inner) && until(inner) <= until(outer)
}

fn add(to: &mut Vec<Held>, patterns: &[Pattern], target: &Target, period: Period) {
    to.extend(patterns.iter().map(|pattern| Held { pattern: pattern.clone(), target: target.clone(), period }));
}

fn numbers(table: &Table, groups: &[Id]) -> impl Iterator<Item = u32> {
    groups.iter().filter_map(|id| table.groups.find(id.as_str()).map(|f| f.value))
}

/// Groups, and every group around them.
fn closed(table: &Table, groups: impl Iterator<Item = u32>) -> BTreeSet<u32> {
    let mut all: BTreeSet<u32> = groups.collect();
    let mut open: Vec<u32> = all.iter().copied().collect();
    while let Some(slot) = open.pop().and_then(|n| table.group_slot(n)) {
        open.extend(slot.parents.iter().copied().filter(|parent| all.insert(*parent)));
    }
    all
}

impl Table {
    /// What an edge at a target gives.
    fn contents(&self, edge: &Edge, target: &Target, to: &mut Vec<Held>) {
        let Some(bundle) = self.bundle(edge.bundle) else { return };
        add(to, self.patterns(bundle), target, edge.period());
    }

    /// What these groups hold; with `records`, at records too, if they hold anything there.
    fn by_groups(&self, groups: &BTreeSet<u32>, records: bool, to: &mut Vec<Held>) {
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
    fn by_principal(&self, found: &PrincipalFound<'_>, to: &mut Vec<Held>) {
        for edge in edges(Self::edges_of(found)) {
            if let Some(target) = self.target_of(edge.at) {
                self.contents(&edge, &target, to);
            }
        }
        self.handed_by_rule(found, to);
    }

    /// What a relation gives at its record (rule 5.2).
    fn shared_by(&self, related: &Related, to: &mut Vec<Held>) {
        let object = self.objects.find(related.object.as_str()).and_then(|f| self.object_slot(f.value));
        let shared = object.and_then(|slot| slot.shares.get(related.relation as usize));
        let target = Target::Record(related.object.clone(), related.record.clone());
        for bundle in shared.map_or(&[][..], |shared| shared) {
            self.contents(&Edge::new(0, *bundle, Period::default(), false), &target, to);
        }
    }

    /// What a user is given by rule (3.6).
    fn handed_by_rule(&self, found: &PrincipalFound<'_>, to: &mut Vec<Held>) {
        if let Some((bundle, target)) = self.by_rule(found)
            && let Some(target) = self.target_of(target)
        {
            self.contents(&Edge::new(0, bundle, Period::default(), false), &target, to);
        }
    }

    /// All that a principal holds, by every path.
    fn all_of(&self, found: &PrincipalFound<'_>, to: &mut Vec<Held>) {
        // Whoever becomes a user may activate what the user may.
        let named = |rule: &&EmergencyRule| rule.users.iter().any(|user| user.as_str() == found.id);
        for rule in self.emergencies().filter(|rule| found.value.kind.is_some() && named(rule)) {
            if let Some(role) = self.role_row(&rule.role) {
                add(to, &role.permissions, &rule.target, Period::default());
            }
        }
        self.by_groups(&closed(self, self.groups_of(found).iter()), true, to);
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
                    let Ok(record) = super::id::OpaqueId::parse(found.id) else { continue };
                    let target = Target::Record(slot.row.id.clone(), record);
                    match relation_of(edge.bundle) {
                        None => self.contents(&edge, &target, to),
                        Some(relation) => {
                            let shared = slot.shares.get(relation as usize).map_or(&[][..], |shared| shared);
                            for bundle in shared {
                                self.contents(&Edge { bundle: *bundle, ..edge }, &target, to);
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
