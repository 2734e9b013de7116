//! What callers want changed, resolved against a version of the organization.
//!
//! A [`Change`] is an intention; [`apply`] turns a list of them into the next version, or says
//! everything that is wrong. Nothing here is partial: one change set makes one revision or none.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sha2::{Digest, Sha256};

use super::draft::{Draft, Finished};
use super::fault::{Fault, Violation};
use super::id::{Id, OpaqueId};
use super::model::{Key, Member, Millis, Row, Settings, Status, Write};
use super::separation;
use super::table::Table;

/// One intention.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A row that must not exist yet.
    Create(Row),
    /// A row that must exist, whole, in place of the one there is. With the organization's e-mail domains go the
    /// kinds of users that follow them (rule 2.1).
    Update {
        /// The new row.
        row: Row,
        /// The etag that the row must have, if the caller cares.
        etag: Option<String>,
    },
    /// Rows to delete, with what refers to them (rule 2.10).
    Delete {
        /// Which.
        keys: Vec<Key>,
        /// The etag that the row must have, if the caller cares; only with a single key.
        etag: Option<String>,
    },
    /// Members to add to a manual group; those in it already are no change.
    AddMembers {
        /// The group.
        group: Id,
        /// Whom.
        members: Vec<Member>,
    },
    /// Members to remove from a manual group; those not in it are no change.
    RemoveMembers {
        /// The group.
        group: Id,
        /// Whom.
        members: Vec<Member>,
    },
    /// Everything that is known of a record (rule 5.1).
    Forget {
        /// The object that it is of.
        object: Id,
        /// The record.
        record: OpaqueId,
    },
    /// The whole organization, as its file says, the kinds of all users included.
    Replace {
        /// All its rows.
        rows: Vec<Row>,
        /// Users and service accounts that the file does not name become inactive, instead of being
        /// an error.
        deactivate_missing: bool,
    },
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ChangeError {
    /// There is no such row.
    #[error("{} does not exist", .0.describe())]
    NotFound(Key),
    /// There is such a row already.
    #[error("{} exists already", .0.describe())]
    AlreadyExists(Key),
    /// The row is not the one that the caller read.
    #[error("{} was changed since it was read", .0.describe())]
    EtagMismatch(Key),
    /// Rule 3.7.
    #[error("nobody could administer the organization any more: the last holder of `organization.admin` stays")]
    LastAdministrator,
    /// Everything that is wrong with it.
    #[error("{} of what was asked for cannot be", .0.len())]
    Violations(Vec<Violation>),
}

/// What became of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// It is new.
    Created,
    /// It is different.
    Updated,
    /// It is gone.
    Deleted,
}

/// The next version, and how it differs.
pub struct Applied {
    /// The next version. With no effects it is the old one, revision included.
    pub table: Table,
    /// What to store; empty without effects.
    pub writes: Vec<Write>,
    /// What became of each row, by key.
    pub effects: Vec<(Key, Effect)>,
}

/// Applies `changes` in order, whatever the time: that is for [`apply_at`].
///
/// # Errors
/// The first missing, existing or changed row, or all violations.
pub fn apply(table: &Table, changes: Vec<Change>) -> Result<Applied, ChangeError> {
    applied(table, changes, Millis::MIN)
}

fn applied(table: &Table, changes: Vec<Change>, now: Millis) -> Result<Applied, ChangeError> {
    let mut draft = Draft { now, ..Draft::new(table) };
    for change in changes {
        match change {
            Change::Create(row) => {
                let key = row.key();
                if exists(table, &key) {
                    return Err(ChangeError::AlreadyExists(key));
                }
                draft.put(row);
            }
            Change::Update { row, etag } => {
                let key = row.key();
                check_etag(table, &key, etag.as_deref())?;
                let settings = if let Row::Settings(settings) = &row { Some(settings.clone()) } else { None };
                draft.put(row);
                if let Some(settings) = settings {
                    draft.follow_domains(table, &settings);
                }
            }
            Change::Delete { keys, etag } => {
                for key in &keys {
                    check_etag(table, key, etag.as_deref())?;
                }
                draft.delete(&keys);
            }
            Change::AddMembers { group, members } => member_change(&mut draft, &group, &members, true)?,
            Change::RemoveMembers { group, members } => member_change(&mut draft, &group, &members, false)?,
            Change::Forget { object, record } => draft.forget(&object, &record),
            Change::Replace { rows, deactivate_missing } => replace(table, &mut draft, rows, deactivate_missing),
        }
    }
    finish(table, draft)
}

/// As [`apply`], at a time: refuses what would break a separation constraint, now or later (rule 7.3).
///
/// # Errors
/// As [`apply`]; every breach is a violation.
pub fn apply_at(table: &Table, changes: Vec<Change>, now: Millis) -> Result<Applied, ChangeError> {
    let applied = applied(table, changes, now)?;
    let breaches = separation::judge(table, &applied.table, &applied.effects, now);
    if breaches.is_empty() { Ok(applied) } else { Err(ChangeError::Violations(breaches)) }
}

fn finish(table: &Table, draft: Draft) -> Result<Applied, ChangeError> {
    let Finished { table: next, writes } = draft.finish().map_err(ChangeError::Violations)?;
    let mut effects = Vec::with_capacity(writes.len());
    let mut changed = Vec::with_capacity(writes.len());
    for write in writes {
        let (key, new) = match &write {
            Write::Put(row) => (row.key(), Some(row)),
            Write::Delete(key) => (key.clone(), None),
        };
        let effect = match (table.row(&key), new) {
            (None, None) => continue,
            (Some(old), Some(new)) if old == *new => continue,
            (None, Some(_)) => Effect::Created,
            (Some(_), Some(_)) => Effect::Updated,
            (Some(_), None) => Effect::Deleted,
        };
        effects.push((key, effect));
        changed.push(write);
    }
    if effects.is_empty() {
        return Ok(Applied { table: table.clone(), writes: Vec::new(), effects });
    }
    Ok(Applied { table: next, writes: changed, effects })
}

/// Whether the key is taken, by a row or by something that ships with the preset.
fn exists(table: &Table, key: &Key) -> bool {
    table.row(key).is_some()
        || match key {
            Key::Role(id) => table.role_row(id).is_some(),
            Key::Group(id) => table.group_row(id).is_some(),
            Key::Permission(name) => table.permission(name.as_str()).is_some(),
            _ => false,
        }
}

/// Whether the row of `key` is as the caller last saw it; nothing, where it does not say.
///
/// # Errors
/// `EtagMismatch`.
pub fn check_etag(table: &Table, key: &Key, etag: Option<&str>) -> Result<(), ChangeError> {
    if !exists(table, key) {
        return Err(ChangeError::NotFound(key.clone()));
    }
    let changed = |wanted| match key {
        Key::Settings => etag_of_organization(table).is_some_and(|etag| etag != wanted),
        _ => table.row(key).is_some_and(|row| self::etag(&row) != wanted),
    };
    match etag {
        Some(wanted) if changed(wanted) => Err(ChangeError::EtagMismatch(key.clone())),
        _ => Ok(()),
    }
}

/// A short digest of a row's own fields; memberships are not among them, because adding somebody to
/// a group is no change of the member.
#[must_use]
pub fn etag(row: &Row) -> String {
    let mut row = row.clone();
    match &mut row {
        Row::User(user) => user.groups.clear(),
        Row::Service(service) => service.groups.clear(),
        Row::Group(group) => group.groups.clear(),
        _ => {}
    }
    short(&Sha256::digest(minicbor::to_vec(&row).unwrap_or_default()))
}

fn short(digest: &[u8]) -> String {
    format!("{:016x}", digest.iter().take(8).fold(0u64, |n, byte| n << 8 | u64::from(*byte)))
}

/// The same for the organization itself. It is of this history only: whoever deletes what they saw does not
/// delete what was created after it with the same settings.
#[must_use]
pub fn etag_of_organization(table: &Table) -> Option<String> {
    let settings = Row::Settings(Settings::clone(table.settings()?));
    let digest = Sha256::new().chain_update(table.history().as_bytes()).chain_update(etag(&settings)).finalize();
    Some(short(&digest))
}

fn member_change(draft: &mut Draft, group: &Id, members: &[Member], add: bool) -> Result<(), ChangeError> {
    let Ok(number) = draft.group(group) else {
        return Err(ChangeError::NotFound(Key::Group(group.clone())));
    };
    let key = Key::Group(group.clone());
    let manual = draft.manual(number);
    draft.note(&key, "members", manual);
    let edit = |groups: &mut Vec<Id>| {
        groups.retain(|g| g != group);
        if add {
            groups.push(group.clone());
            groups.sort();
        }
    };
    for member in members {
        match member {
            Member::User(id) => {
                if let Some(known) = known(draft, &key, "user", id.as_str(), false) {
                    change_groups(known, number, add);
                    draft.touched.insert(Key::User(id.clone()));
                }
            }
            Member::Service(id) => {
                if let Some(known) = known(draft, &key, "service account", id.as_str(), true) {
                    change_groups(known, number, add);
                    draft.touched.insert(Key::Service(id.clone()));
                }
            }
            Member::Group(id) => match draft.next.group_row(id) {
                Some(mut row) => {
                    edit(&mut row.groups);
                    draft.put(Row::Group(row));
                }
                None => draft.violation(key.clone(), "members", Fault::Unknown { what: "group", id: id.to_string() }),
            },
        }
    }
    draft.bound_groups(&key);
    Ok(())
}

fn known<'a>(
    draft: &'a mut Draft,
    key: &Key,
    what: &'static str,
    id: &str,
    service: bool,
) -> Option<&'a mut super::draft::PrincipalDraft> {
    if draft.principal(service, id).is_none() {
        draft.violation(key.clone(), "members", Fault::Unknown { what, id: id.to_owned() });
    }
    draft.principal(service, id)
}

fn change_groups(draft: &mut super::draft::PrincipalDraft, group: u32, add: bool) {
    draft.groups.retain(|g| *g != group);
    if add {
        draft.groups.push(group);
    }
}

/// Makes the organization equal to `rows`: what is not among them is deleted first, then what is
/// new or different is put, in the order of the kinds.
fn replace(table: &Table, draft: &mut Draft, rows: Vec<Row>, deactivate_missing: bool) {
    // Files do not speak of credentials, nor of activations.
    let covered = table.rows().filter(|row| !matches!(row, Row::Credential(_) | Row::Activation(_)));
    let mut old: HashMap<Key, Row> = covered.map(|row| (row.key(), row)).collect();
    let mut new: BTreeMap<Key, Row> = BTreeMap::new();
    for row in rows {
        let key = row.key();
        if new.insert(key.clone(), row.normalized()).is_some() {
            draft.violation(key.clone(), "", Fault::Duplicate(key.describe()));
        }
    }
    // Nor do they of the identities bound to users.
    for (key, row) in &mut new {
        match (row, old.get(key)) {
            (Row::User(new), Some(Row::User(old))) => new.sign_ons.clone_from(&old.sign_ons),
            // What the role is decides (3.6), not what the file says.
            (Row::Assignment(new), Some(Row::Assignment(old))) => new.by_hand = old.by_hand,
            _ => {}
        }
    }
    new.retain(|key, row| old.remove(key).as_ref() != Some(row));
    // What is left of the old is in `old` (different or missing) or equal and untouched.
    let mut missing: BTreeSet<Key> = BTreeSet::new();
    let mut deactivated: Vec<Row> = Vec::new();
    for (key, row) in old {
        if new.contains_key(&key) {
            continue;
        }
        match row {
            Row::User(mut user) if deactivate_missing => {
                if user.status != Status::Inactive {
                    user.status_before = matches!(user.status, Status::Active | Status::Limited).then_some(user.status);
                    user.status = Status::Inactive;
                    user.pending_groups.clear();
                    deactivated.push(Row::User(user));
                }
            }
            Row::Service(mut service) if deactivate_missing => {
                service.status = Status::Inactive;
                deactivated.push(Row::Service(service));
            }
            _ => {
                missing.insert(key);
            }
        }
    }
    // A group may go together with what a policy says of it.
    let policies = new.keys().filter(|k| matches!(k, Key::Policy(_)) && table.row(k).is_some());
    missing.extend(policies.cloned());
    // Accounts may be named by the users that are moved out of them below, so they go last.
    let (accounts, others): (Vec<Key>, Vec<Key>) = missing.into_iter().partition(|k| matches!(k, Key::Account(_)));
    if !others.is_empty() {
        draft.delete(&others);
    }
    draft.declare_groups(new.values());
    for row in new.into_values().chain(deactivated) {
        draft.put(row);
    }
    if !accounts.is_empty() {
        draft.delete(&accounts);
    }
}
