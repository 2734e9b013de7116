//! Entries of the activity log, and which of them are asked for.

use std::collections::{BTreeSet, HashMap};

use crate::core::activity::{Changed, Kept, Person};
use crate::core::id::{Email, Id};
use crate::core::model::{Key, Member, Millis, Row};
use crate::engine::activity::{Ending, Entry, Found};

use super::super::fields::Fields;
use super::super::proto::{self, row::Kind};
use super::super::report::{entity, id, membership_id};
use super::credential::to_tokenless;
use super::principal::to_user;
use super::row::{to_membership, to_row};
use super::value::to_timestamp;

/// What a membership is called among entities.
const MEMBERSHIP: &str = "membership";
/// Stands where an address was erased; it is not shown.
const NO_ADDRESS: &str = "erased@erased.invalid";

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    caller: String,
    method: String,
    ending: Option<Ending>,
    entity: String,
    entity_id: String,
    account: Option<Id>,
    not_before: Option<Millis>,
    before: Option<Millis>,
    emergency_only: bool,
}

/// A filter; all entries if there is none.
pub fn filter(f: &mut Fields, message: Option<proto::ActivityFilter>) -> Option<Filter> {
    let Some(message) = message else { return Some(Filter::default()) };
    f.within("filter", |f| {
        let proto::ActivityFilter {
            caller,
            method,
            outcome,
            entity,
            entity_id,
            account,
            not_before,
            before,
            emergency_only,
        } = message;
        if entity.is_empty() && !entity_id.is_empty() {
            f.refuse("entity", "is required where `entity_id` is given");
        }
        let ending = f.choice("outcome", outcome).map(|outcome| {
            outcome.and_then(|outcome| match outcome {
                proto::ActivityOutcome::Unspecified => None,
                proto::ActivityOutcome::Applied => Some(Ending::Applied),
                proto::ActivityOutcome::Refused => Some(Ending::Refused),
                proto::ActivityOutcome::Recorded => Some(Ending::Recorded),
            })
        });
        let account = f.parse_optional::<Id>("account", &account);
        let mut instant = |name, time: Option<_>| match time {
            None => Some(None),
            Some(time) => f.instant(name, time).map(Some),
        };
        let (not_before, before) = (instant("not_before", not_before), instant("before", before));
        Some(Filter {
            caller,
            method,
            ending: ending?,
            entity,
            entity_id,
            account: account?,
            not_before: not_before?,
            before: before?,
            emergency_only,
        })
    })
}

impl Filter {
    /// Whether an entry is asked for, by a reader who may read of these accounts, or of all.
    pub fn admits(&self, organization: &Id, readable: Option<&BTreeSet<Id>>, entry: &Entry) -> bool {
        let Self { caller, method, ending, entity, entity_id, account, not_before, before, emergency_only } = self;
        readable.is_none_or(|accounts| entry.account.as_ref().is_some_and(|account| accounts.contains(account)))
            && (caller.is_empty()
                || *caller == entry.origin.caller
                || entry.origin.on_behalf_of.as_ref() == Some(caller))
            && (method.is_empty() || *method == entry.origin.method)
            && ending.is_none_or(|ending| ending == entry.ending)
            && account.as_ref().is_none_or(|account| entry.account.as_ref() == Some(account))
            && not_before.is_none_or(|time| time <= entry.at)
            && before.is_none_or(|time| entry.at < time)
            && (!emergency_only || entry.emergency_activation.is_some())
            && (entity.is_empty() || entry.changes.iter().any(|c| concerns(organization, c, entity, entity_id)))
    }
}

fn concerns(organization: &Id, changed: &Changed, kind: &str, wanted: &str) -> bool {
    let Changed { key, own, before: _, after: _, joined, left } = changed;
    let asked = |id: &dyn Fn() -> String| wanted.is_empty() || id() == wanted;
    if kind == MEMBERSHIP {
        return joined.iter().chain(left).any(|group| asked(&|| membership_id(key, group)));
    }
    *own && entity(key) == kind && asked(&|| id(organization, key))
}

/// An entry as a message.
pub fn to_entry(organization: &Id, history: &str, found: Found) -> proto::ActivityEntry {
    let Found { entry, previous, hash, persons } = found;
    let Entry {
        sequence,
        at,
        origin,
        ending,
        reason,
        summary,
        account,
        revision,
        changes,
        change_count,
        emergency_activation,
        beside_bytes: _,
    } = entry;
    let changes = changes.into_iter().flat_map(|changed| to_changes(organization, changed, &persons)).collect();
    proto::ActivityEntry {
        sequence,
        time: Some(to_timestamp(at)),
        caller: origin.caller,
        on_behalf_of: origin.on_behalf_of.unwrap_or_default(),
        peer: origin.peer,
        method: origin.method,
        outcome: match ending {
            Ending::Applied => proto::ActivityOutcome::Applied,
            Ending::Refused => proto::ActivityOutcome::Refused,
            Ending::Recorded => proto::ActivityOutcome::Recorded,
        }
        .into(),
        reason,
        summary,
        account: account.map(|account| account.to_string()).unwrap_or_default(),
        request_id: origin.request_id,
        revision: revision.map(|number| proto::Revision { history: history.to_owned(), number }),
        changes,
        change_count,
        emergency_activation: emergency_activation.unwrap_or_default(),
        previous_hash: previous.to_vec(),
        hash: hash.to_vec(),
    }
}

fn to_changes(organization: &Id, changed: Changed, persons: &HashMap<u16, Person>) -> Vec<proto::RowChange> {
    let Changed { key, own: _, before, after, joined, left } = changed;
    let row = |kept: Option<Kept>| kept.and_then(|kept| to_kept(organization, kept, persons));
    let (before, after) = (row(before), row(after));
    let mut changes = Vec::new();
    if before.is_some() || after.is_some() {
        changes.push(proto::RowChange { before, after });
    }
    let member = match key {
        Key::User(id) => Member::User(id),
        Key::Service(id) => Member::Service(id),
        Key::Group(id) => Member::Group(id),
        _ => return changes,
    };
    let membership = |group: &Id| Some(to_membership(group, &member));
    changes.extend(joined.iter().map(|group| proto::RowChange { before: None, after: membership(group) }));
    changes.extend(left.iter().map(|group| proto::RowChange { before: membership(group), after: None }));
    changes
}

fn to_kept(organization: &Id, kept: Kept, persons: &HashMap<u16, Person>) -> Option<proto::Row> {
    let (shell, seal) = match kept {
        Kept::Row(row) => return to_row(organization, row),
        Kept::Credential(credential) => {
            return Some(proto::Row { kind: Some(Kind::Credential(to_tokenless(credential))) });
        }
        Kept::User(shell, seal) => (shell, seal),
    };
    if let Some(person) = persons.get(&seal.number) {
        return to_row(organization, Row::User(shell.with(person.clone())));
    }
    let (first_name, last_name, attributes) = Default::default();
    let erased =
        Person { email: NO_ADDRESS.parse::<Email>().ok()?, first_name, last_name, attributes, sign_ons: Vec::new() };
    let user = to_user(shell.with(erased));
    Some(proto::Row { kind: Some(Kind::User(proto::User { email: String::new(), etag: String::new(), ..user })) })
}
