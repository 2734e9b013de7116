//! What a write came to, in the words of the API.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::change::{Effect, etag};
use crate::core::domains::Followers;
use crate::core::id::{Id, OpaqueId};
use crate::core::model::{InvitePolicy, Key, Member, Row, Target, UserKind};
use crate::core::table::Table;
use crate::engine::{self, Outcome};

use super::proto;

/// The most changes that a reply lists.
const MAX_CHANGES: usize = 1_000;
/// The most groups that the effect of an e-mail domain lists.
const MAX_GROUPS: usize = 1_000;
/// And policies.
const MAX_POLICIES: usize = 1_000;
/// And users.
const MAX_USERS: usize = 1_000;

/// What the API calls the kind of entity that a key identifies: the field of `Row`.
pub fn entity(key: &Key) -> &'static str {
    match key {
        Key::Settings => "organization",
        Key::Account(_) => "account",
        Key::Permission(_) => "permission",
        Key::Object(_) => "object",
        Key::Role(_) => "role",
        Key::Group(_) => "group",
        Key::User(_) => "user",
        Key::Service(_) => "service_account",
        Key::Assignment(..) => "assignment",
        Key::Grant(..) => "grant",
        Key::Related(..) => "relation",
        Key::Policy(_) => "policy",
        Key::SafelistElement(_) => "safelist_element",
        Key::Credential(_) => "credential",
        Key::Separation(_) => "separation_constraint",
        Key::Emergency(..) => "emergency_rule",
        Key::Activation(_) => "emergency_activation",
    }
}

/// The id of an entity, as people know it; the organization's is its own.
pub fn id(organization: &Id, key: &Key) -> String {
    match key {
        Key::Settings => organization.to_string(),
        Key::Account(id)
        | Key::Object(id)
        | Key::Role(id)
        | Key::Group(id)
        | Key::Policy(id)
        | Key::SafelistElement(id)
        | Key::Credential(id)
        | Key::Separation(id)
        | Key::Activation(id) => id.to_string(),
        Key::Emergency(role, target) => format!("`{role}` at {target}"),
        Key::Permission(name) => name.to_string(),
        Key::User(id) | Key::Service(id) => id.to_string(),
        Key::Assignment(role, member, target) => format!("`{role}` to `{member}` at {target}"),
        Key::Grant(pattern, member, target) => format!("`{pattern}` to `{member}` at {target}"),
        Key::Related(relation, member, object, record) => {
            format!("`{relation}` of `{member}` to record `{record}` of object `{object}`")
        }
    }
}

/// How many of `sorted` come before memberships in the order of the fields of `Row`.
pub fn before_memberships<T>(sorted: &[T], key: impl Fn(&T) -> &Key) -> usize {
    sorted.partition_point(|item| {
        !matches!(
            key(item),
            Key::Policy(_)
                | Key::Related(..)
                | Key::SafelistElement(_)
                | Key::Credential(_)
                | Key::Separation(_)
                | Key::Emergency(..)
                | Key::Activation(_)
        )
    })
}

/// A revision of the engine.
pub fn revision(revision: &engine::Revision) -> proto::Revision {
    proto::Revision { history: revision.history.to_string(), number: revision.number }
}

/// The revision of a version.
pub fn revision_of(table: &Table) -> proto::Revision {
    proto::Revision { history: table.history().to_string(), number: table.revision() }
}

/// How many rows a write creates, changes and deletes, memberships counted as rows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// New ones.
    pub created: u64,
    /// Different ones.
    pub updated: u64,
    /// Gone ones.
    pub deleted: u64,
}

/// Reads an [`Outcome`].
#[derive(Clone, Copy)]
pub struct Report<'a>(pub &'a Outcome);

impl<'a> Report<'a> {
    /// The version without the change.
    pub fn before(self) -> &'a Table {
        &self.0.before
    }

    /// The version with the change, that of a dry run included.
    pub fn after(self) -> &'a Table {
        &self.0.after
    }

    /// The revision to report.
    #[allow(clippy::unnecessary_wraps, reason = "messages are optional fields")]
    pub fn revision(self) -> Option<proto::Revision> {
        Some(revision(&self.0.revision))
    }

    /// The first changes, in the order of the fields of `Row`, then by id; then what users are given by
    /// rule no longer, and what instead (rule 3.6).
    pub fn changes(self) -> Vec<proto::Change> {
        let mut changes = self.changes_and_counts().0;
        let room = MAX_CHANGES.saturating_sub(changes.len());
        changes.extend(self.by_rule().take(room));
        changes
    }

    /// What the rule gives to the users that this is about, where that changes.
    fn by_rule(self) -> impl Iterator<Item = proto::Change> + use<'a> {
        let Outcome { before, after, effects, revision: _ } = self.0;
        let concerned = effects.iter().filter_map(|(key, _)| match key {
            Key::User(id) | Key::Assignment(_, Member::User(id), _) => Some(id),
            _ => None,
        });
        let users: BTreeSet<&OpaqueId> = concerned.collect();
        users.into_iter().flat_map(move |user| {
            let (old, new) = (before.role_by_rule(user), after.role_by_rule(user));
            let steps = [(Effect::Deleted, old.as_ref()), (Effect::Created, new.as_ref())];
            let steps = if old == new { Vec::new() } else { steps.to_vec() };
            let change = |(effect, given): (Effect, Option<&(Id, Target)>)| {
                let (role, target) = given?;
                let id = format!("`{role}` to `user:{user}` at {target}, by rule");
                let (kind, verb) = match effect {
                    Effect::Deleted => (proto::ChangeKind::Delete, "is given no longer"),
                    Effect::Created | Effect::Updated => (proto::ChangeKind::Create, "is given"),
                };
                let summary = format!("role `{role}` {verb} by rule to user `{user}` at {target}");
                Some(proto::Change { kind: kind.into(), entity: "assignment".to_owned(), id, summary })
            };
            steps.into_iter().filter_map(change).collect::<Vec<_>>()
        })
    }

    /// The first changes, and how many there are in all.
    pub fn changes_and_counts(self) -> (Vec<proto::Change>, Counts) {
        let Outcome { before, after, effects, revision: _ } = self.0;
        let mut sorted: Vec<_> = effects.iter().collect();
        sorted.sort();
        let mut listed = Listed::default();
        let mut memberships = Vec::new();
        let (first, last) = sorted.split_at(before_memberships(&sorted, |(key, _)| key));
        for (key, effect) in first {
            let (old, new) = (before.row(key), after.row(key));
            let same = matches!((&old, &new), (Some(old), Some(new)) if etag(old) == etag(new));
            let moves = Moves::between(old.as_ref(), new.as_ref());
            if !same {
                listed.add(*effect, entity(key), || id(after.id(), key), || key.describe());
            }
            if !moves.is_empty() {
                memberships.push((key, moves));
            }
        }
        for (key, moves) in memberships {
            let joined = moves.joined.iter().map(|g| (Effect::Created, g));
            for (effect, group) in joined.chain(moves.left.iter().map(|g| (Effect::Deleted, g))) {
                let id = || membership_id(key, group);
                listed.add(effect, "membership", id, || format!("membership of {} in group `{group}`", key.describe()));
            }
        }
        for (key, effect) in last {
            listed.add(*effect, entity(key), || id(after.id(), key), || key.describe());
        }
        (listed.changes, listed.counts)
    }

    /// What went with `deleted` because it referred to it (rule 2.10).
    pub fn removed(self, deleted: &Key) -> proto::Removed {
        let Outcome { before, after, effects, revision: _ } = self.0;
        let mut removed = proto::Removed::default();
        for (key, effect) in effects {
            let old = before.row(key);
            let new = after.row(key);
            removed.memberships += Moves::between(old.as_ref(), new.as_ref()).left.len() as u64;
            if let (Some(Row::User(old)), Some(Row::User(new))) = (&old, &new) {
                removed.memberships += old.pending_groups.len().saturating_sub(new.pending_groups.len()) as u64;
            }
            if let (Some(Row::Role(old)), Some(Row::Role(new))) = (&old, &new) {
                removed.role_permissions += old.permissions.len().saturating_sub(new.permissions.len()) as u64;
            }
            if let (Some(Row::Policy(old)), Some(Row::Policy(new))) = (&old, &new) {
                removed.policy_members += old.members.len().saturating_sub(new.members.len()) as u64;
            }
            if let Some(Row::Separation(old)) = &old {
                let left = if let Some(Row::Separation(new)) = &new { new.roles.as_slice() } else { &[] };
                let cut = old.roles.iter().filter(|role| !left.contains(role));
                removed.constraint_roles += cut.filter(|role| after.role_row(role).is_none()).count() as u64;
            }
            if *effect == Effect::Deleted && key != deleted {
                match key {
                    Key::Assignment(..) => removed.assignments += 1,
                    Key::Grant(..) => removed.grants += 1,
                    Key::Related(..) => removed.relations += 1,
                    Key::Policy(_) => removed.policies += 1,
                    Key::Role(_) => removed.roles += 1,
                    Key::SafelistElement(_) => removed.list_entries += 1,
                    Key::Emergency(..) => removed.emergency_rules += 1,
                    _ => {}
                }
            }
        }
        removed
    }

    /// How many activations end by it (rule 7.4).
    pub fn activations_ended(self) -> u64 {
        let Outcome { before, after, effects, revision: _ } = self.0;
        let ended = |key: &Key| match (before.row(key), after.row(key)) {
            (Some(Row::Activation(old)), Some(Row::Activation(new))) => {
                old.ended_at.is_none() && new.ended_at.is_some()
            }
            _ => false,
        };
        effects.iter().filter(|(key, _)| ended(key)).count() as u64
    }

    /// What the change of e-mail domains does, one for each domain added, removed or made another audience's
    /// (rule 2.6).
    pub fn email_domain_effects(self) -> Vec<proto::EmailDomainEffect> {
        let Outcome { before, after, effects, revision: _ } = self.0;
        if !effects.iter().any(|(key, _)| *key == Key::Settings) {
            return Vec::new();
        }
        let (old, new) = (domains(before), domains(after));
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let changed: Vec<&String> = names.into_iter().filter(|domain| old.get(*domain) != new.get(*domain)).collect();
        if changed.is_empty() {
            return Vec::new();
        }
        let peopled = after.groups_with_members();
        let effect = |domain: &String| {
            let (was, is) = (old.contains_key(domain), new.contains_key(domain));
            let moved = Followers::between(before, after, if is { after } else { before }, domain);
            let groups = |which: fn(&(u64, u64)) -> bool| -> Vec<Id> {
                moved.groups.iter().filter(|(_, counts)| which(counts)).map(|(id, _)| id.clone()).collect()
            };
            let mut policies = before.policies_showing_to(&groups(|(_, lost)| *lost > 0));
            policies.extend(after.policies_showing_to(&groups(|(gained, _)| *gained > 0)));
            policies.sort();
            policies.dedup();
            let (group_count, user_count) = (moved.groups.len() as u64, moved.users.len() as u64);
            let mut users: Vec<String> = moved.users.iter().map(ToString::to_string).collect();
            users.sort();
            users.truncate(MAX_USERS);
            let group = |(group, (gained, lost)): (Id, (u64, u64))| proto::GroupEffect {
                members_gained: gained,
                members_lost: lost,
                emptied: lost > 0 && !peopled.contains(&group),
                group: group.to_string(),
            };
            let mut groups: Vec<proto::GroupEffect> = moved.groups.into_iter().map(group).collect();
            groups.sort_by(|a, b| (b.members_lost, &a.group).cmp(&(a.members_lost, &b.group)));
            groups.truncate(MAX_GROUPS);
            proto::EmailDomainEffect {
                domain: domain.clone(),
                removed: !is,
                audience_changed: was && is,
                groups,
                in_invite_policy: [before, after].iter().any(|t| invites(t, domain)),
                group_count,
                policy_count: policies.len() as u64,
                policies: policies.iter().take(MAX_POLICIES).map(ToString::to_string).collect(),
                users,
                user_count,
            }
        };
        changed.into_iter().map(effect).collect()
    }
}

/// The id of the membership of what `key` identifies.
pub fn membership_id(key: &Key, group: &Id) -> String {
    format!("{} in `{group}`", member(key))
}

fn member(key: &Key) -> String {
    match key {
        Key::User(id) => format!("`user:{id}`"),
        Key::Service(id) => format!("`service:{id}`"),
        Key::Group(id) => format!("`group:{id}`"),
        _ => key.describe(),
    }
}

#[derive(Default)]
struct Listed {
    changes: Vec<proto::Change>,
    counts: Counts,
}

impl Listed {
    fn add(&mut self, effect: Effect, entity: &str, id: impl Fn() -> String, what: impl Fn() -> String) {
        let (count, kind, verb) = match effect {
            Effect::Created => (&mut self.counts.created, proto::ChangeKind::Create, "create"),
            Effect::Updated => (&mut self.counts.updated, proto::ChangeKind::Update, "update"),
            Effect::Deleted => (&mut self.counts.deleted, proto::ChangeKind::Delete, "delete"),
        };
        *count += 1;
        if self.changes.len() < MAX_CHANGES {
            let summary = format!("{verb} {}", what());
            self.changes.push(proto::Change { kind: kind.into(), entity: entity.to_owned(), id: id(), summary });
        }
    }
}

/// The groups that a member joins and leaves.
#[derive(Default)]
struct Moves {
    joined: Vec<Id>,
    left: Vec<Id>,
}

impl Moves {
    fn between(old: Option<&Row>, new: Option<&Row>) -> Self {
        let (old, new) = (old.map_or(&[][..], groups), new.map_or(&[][..], groups));
        let missing =
            |from: &[Id], other: &[Id]| from.iter().filter(|g| other.binary_search(g).is_err()).cloned().collect();
        if old == new { Self::default() } else { Self { joined: missing(new, old), left: missing(old, new) } }
    }

    fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.left.is_empty()
    }
}

/// The groups that a row makes its member a direct member of.
pub fn groups(row: &Row) -> &[Id] {
    match row {
        Row::User(user) => &user.groups,
        Row::Service(service) => &service.groups,
        Row::Group(group) => &group.groups,
        _ => &[],
    }
}

fn domains(table: &Table) -> BTreeMap<String, UserKind> {
    let domains = table.settings().into_iter().flat_map(|s| &s.email_domains);
    domains.map(|d| (d.domain.to_string(), d.audience)).collect()
}

fn invites(table: &Table, domain: &str) -> bool {
    table.settings().is_some_and(|s| match &s.invite_policy {
        InvitePolicy::AllowedDomains(domains) => domains.iter().any(|d| d.as_str() == domain),
        InvitePolicy::AdminsOnly | InvitePolicy::AnyDomain => false,
    })
}
