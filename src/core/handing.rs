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
//! a mark or level loosened,    the permission, at the organization
//!   a name or alias that was
//!   another permission's
//! an element that is private   what reaches it, of those to whom it was closed
//!   no more, or to others
//! a rule of emergency access   its role's permissions, at its target, always: activating hands out nothing more
//! e-mail, sign-on, credentials all that the principal holds or may activate
//! ```
//!
//! A wildcard needs a wildcard that covers it. The alternative that lost: to compare what everyone may
//! do before and after, which costs as much as the organization is large.
//!
//! What a constraint that denies (rule 4.5) voids for the caller at the place and in the time that is judged, the
//! caller lacks.
//!
//! A user counts as active, whatever its status, since its moves are no edges; one that is invited comes to be in
//! system and dynamic groups by completing its registration, which is exempt.
//!
//! Not judged: relations that come back with a group's flag (rule 2.9), which were judged when they came.

mod gives;
mod holder;

use std::collections::BTreeSet;

use super::change::Effect;
use super::decision::split_principal;
use super::edge::Edge;
use super::id::{Id, Pattern};
use super::model::{Group, GroupKind, Key, Member, Millis, Period, Permission, Row, Status, Target, User};
use super::principal::PrincipalFound;
use super::table::{ByRuleRoles, Table};

use gives::add;
pub use holder::activation_of;
use holder::{Holder, stands_for};

/// What somebody holds, or would come to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What.
    pub pattern: Pattern,
    /// Where.
    pub target: Target,
    /// When.
    pub period: Period,
    /// The bundle that it comes with; none: no one in particular.
    bundle: Option<u32>,
}

/// What of all that a caller holds counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// Everything.
    All,
    /// What is not activated in an emergency (rule 7.4).
    Lasting,
}

/// The first thing that a change would give to somebody and that `principal` lacks.
#[must_use]
pub fn lacks(
    before: &Table,
    after: &Table,
    effects: &[(Key, Effect)],
    principal: &str,
    counting: Counting,
    now: Millis,
) -> Option<Held> {
    let (service, id) = split_principal(principal);
    let pages = if service { &before.services } else { &before.users };
    let caller = pages.find(id).map(|found| Holder::of(before, &found, counting));
    let lacking = |gains: Vec<Held>| {
        let covers = |gain: &Held| caller.as_ref().is_some_and(|caller| caller.covers(before, after, gain, now));
        gains.into_iter().find(|gain| !covers(gain))
    };
    // What comes with groups is asked once for all who join them.
    let mut joined = BTreeSet::new();
    for (key, effect) in effects {
        // What goes gives nobody anything, but the row of a shipped role, without which the role is as shipped,
        // and a role assigned by hand, without which another is given by rule.
        if *effect == Effect::Deleted && !matches!(key, Key::Role(_) | Key::Assignment(..)) {
            continue;
        }
        if let Some(gain) = lacking(gains(before, after, key, &mut joined)) {
            return Some(gain);
        }
    }
    let mut gains = Vec::new();
    after.by_groups(&joined, true, &mut gains);
    lacking(gains)
}

/// What the new edges of a changed row reach, but for the groups that somebody comes to be in.
fn gains(before: &Table, after: &Table, key: &Key, joined: &mut BTreeSet<u32>) -> Vec<Held> {
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
            let longer = !matches!(&old, Some(Row::Assignment(old)) if new.period.is_within(&old.period));
            if let (true, Some(role)) = (longer, after.role_row(&new.role)) {
                add(&mut gains, &role.permissions, &new.target, new.period);
            }
        }
        (Some(Row::Grant(old)), Some(Row::Grant(new))) if new.period.is_within(&old.period) => {}
        (_, Some(Row::Grant(new))) => {
            add(&mut gains, std::slice::from_ref(&new.permission), &new.target, new.period);
        }
        (Some(Row::User(old)), Some(Row::User(new))) => of_user(before, after, &old, &new, &mut gains, joined),
        (None, Some(Row::User(new))) => {
            let Some(found) = after.find_user(&new.id) else { return gains };
            let found = if new.status == Status::Invited { found } else { active(found) };
            let pending = numbers(after, &new.pending_groups);
            joined.extend(after.around(after.groups_of(&found).iter().chain(pending)));
            after.handed_by_rule(&found, &mut gains);
        }
        (None, Some(Row::Related(new))) => after.shared_by(&new, &mut gains),
        (Some(Row::Account(old)), Some(Row::Account(new))) if old.default != new.default => {
            let given = |rule: ByRuleRoles| if new.default { rule.default_account } else { rule.other_account };
            let target = if new.default { Target::Organization } else { Target::Account(new.id) };
            if let Some(bundle) = after.by_rule.map(given) {
                after.contents(&Edge::new(0, bundle, Period::default()), &target, &mut gains);
            }
        }
        (old, Some(Row::Service(new))) => {
            let old = if let Some(Row::Service(old)) = old { old.groups } else { Vec::new() };
            joined.extend(fresh_groups(after, &old, &new.groups));
        }
        (old, Some(Row::Group(new))) => {
            let old = if let Some(Row::Group(old)) = old { Some(old) } else { None };
            of_group(after, old.as_ref(), &new, joined);
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
            joined.extend(after.around(groups));
        }
        (old, Some(Row::Permission(new)))
            if matches!(&old, Some(Row::Permission(old)) if loosened(old, &new)) || renames(before, &new) =>
        {
            add(&mut gains, &[Pattern::of(&new.name)], &Target::Organization, Period::default());
        }
        (old, Some(Row::Emergency(new))) => {
            let wider = !matches!(&old, Some(Row::Emergency(old))
                if new.max_duration_ms <= old.max_duration_ms && new.users.iter().all(|user| old.users.contains(user)));
            if let (true, Some(role)) = (wider, after.role_row(&new.role)) {
                add(&mut gains, &role.permissions, &new.target, Period::default());
            }
        }
        (Some(Row::Object(old)), Some(Row::Object(new)))
            if old.private_to.is_some() && old.private_to != new.private_to =>
        {
            after.opened(before, [&old, &new], &mut gains);
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
    let had = |pattern: &&Pattern| {
        old.is_some_and(|old| old.permissions.iter().any(|held| stands_for((before, held), (after, pattern))))
    };
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

fn of_user(before: &Table, after: &Table, old: &User, new: &User, gains: &mut Vec<Held>, joined: &mut BTreeSet<u32>) {
    let (Some(was), Some(is)) = (before.find_user(&old.id), after.find_user(&new.id)) else { return };
    let (was, is) = (active(was), active(is));
    if old.email.folded() != new.email.folded() || old.sign_ons != new.sign_ons {
        before.all_of(&was, gains);
    }
    if was.value.account != is.value.account {
        after.handed_by_rule(&is, gains);
    }
    let same = old.groups == new.groups
        && old.pending_groups == new.pending_groups
        && old.kind == new.kind
        && old.email == new.email;
    if same {
        return;
    }
    let around = |table: &Table, found: &PrincipalFound<'_>, pending: &[Id]| {
        table.around(table.groups_of(found).iter().chain(numbers(table, pending)))
    };
    // Numbers of groups stay the same from one version to the next. What a user waited for it had, so that
    // completing a registration is no edge.
    let had = around(before, &was, &old.pending_groups);
    let has = around(after, &is, &new.pending_groups);
    joined.extend(has.difference(&had));
}

/// The same user, as if it were active.
fn active(mut user: PrincipalFound<'_>) -> PrincipalFound<'_> {
    user.value.status = Status::Active;
    user
}

fn of_group(after: &Table, old: Option<&Group>, new: &Group, joined: &mut BTreeSet<u32>) {
    joined.extend(fresh_groups(after, old.map_or(&[], |old| &old.groups), &new.groups));
    let had = match old.map(|old| &old.kind) {
        Some(GroupKind::Dynamic(domains)) => domains.as_slice(),
        _ => &[],
    };
    if let GroupKind::Dynamic(domains) = &new.kind {
        let own = |domain| after.settings.as_ref().is_some_and(|s| s.email_domains.iter().any(|d| d.domain == domain));
        if domains.iter().any(|domain| !had.contains(domain) && own(domain.clone())) {
            joined.extend(after.around(numbers(after, std::slice::from_ref(&new.id))));
        }
    }
}

/// The groups that somebody was not in before, and every group around them.
fn fresh_groups(after: &Table, old: &[Id], new: &[Id]) -> BTreeSet<u32> {
    let fresh: Vec<Id> = new.iter().filter(|group| !old.contains(group)).cloned().collect();
    after.around(numbers(after, &fresh))
}

/// Whether a permission comes to be given where it was not.
fn loosened(old: &Permission, new: &Permission) -> bool {
    new.level < old.level
        || (old.requires_visibility && !new.requires_visibility)
        || (old.requires_approver && !new.requires_approver)
        || old.when_not_owner != new.when_not_owner
}

/// Whether a name or alias of a permission was another's: what names it names this one now.
fn renames(before: &Table, new: &Permission) -> bool {
    let names = std::iter::once(new.name.as_str()).chain(new.aliases.iter().map(super::id::PermissionName::as_str));
    names.filter_map(|name| before.canonical(name)).any(|was| *was != new.name)
}

fn numbers(table: &Table, groups: &[Id]) -> impl Iterator<Item = u32> {
    groups.iter().filter_map(|id| table.groups.find(id.as_str()).map(|f| f.value))
}
