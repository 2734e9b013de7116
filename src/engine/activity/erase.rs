//! Erasing a person from the log of an organization (rule 7.5).
//!
//! What is personal of users lies beside the entries, by user, and in them are seals only. So an erasure deletes
//! rows of the archive and alters no entry: the chain is what it was. It is a write like others (who may, request
//! ids, on disk when it is answered) that makes no revision, and an entry that names the user's id, nothing else.
//!
//! It does not touch the user's row, nor the log of changes, which has the rows of past revisions.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::core::id::{Id, OpaqueId};
use crate::core::model::{Key, Row};
use crate::store::{Commit, RowWrite, StoreError};

use super::{Ending, Entry, Note, Origin, Trail};
use crate::engine::answers::request_id;
use crate::engine::head::Head;
use crate::engine::rows::{self, Answered};
use crate::engine::write::Step;
use crate::engine::{Call, Durable, Engine, Guard, Outcome, Revision, Work, WriteError, lock};

/// Entries that one call erases from, at most.
pub const MAX_ERASED: u64 = 100_000;

/// What an erasure came to, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Entries that something is erased from.
    pub erased: u64,
    /// Entries that still have something of the person.
    pub left: u64,
    /// Whether the organization has the user: its row is not erased.
    pub user_exists: bool,
    /// The revision that there is.
    pub revision: Revision,
}

/// What lies beside entries of one person.
#[derive(Default)]
struct Sealed {
    keys: Vec<Vec<u8>>,
    erased: u64,
    left: u64,
}

impl<E: Send + 'static> Work<E> {
    /// Erases what is personal of a user from the activity log of the call's organization, if `guard` admits the
    /// caller, and logs that. Where there is nothing of the user, nothing is written.
    pub fn erase(
        guard: impl Guard<E>,
        user: OpaqueId,
        reply: impl FnOnce(&Erasure) -> Vec<u8> + Send + 'static,
    ) -> Self {
        Self::new(move |engine, call, _, head, _| engine.erase_locked(call, head, &guard, &user, reply))
    }
}

impl Engine {
    fn erase_locked<E>(
        &self,
        call: &Call,
        head: &mut Head,
        guard: &impl Guard<E>,
        user: &OpaqueId,
        reply: impl FnOnce(&Erasure) -> Vec<u8>,
    ) -> Result<Step, WriteError<E>> {
        let now = self.clock.now();
        let id = request_id(call);
        let table = Arc::clone(&head.table);
        if !head.exists() {
            return Err(WriteError::UnknownOrganization(call.organization.to_string()));
        }
        guard.admit(&table, now).map_err(WriteError::Plan)?;
        if let Some(step) = head.answered(call, id.as_ref(), false, now)? {
            return Ok(step);
        }
        let Sealed { keys, erased, left } = self.sealed(&head.trail, user)?;
        let account = match table.row(&Key::User(user.clone())) {
            Some(Row::User(user)) => Some(user.account),
            _ => None,
        };
        let revision = Revision { history: Arc::clone(table.history()), number: table.revision() };
        let user_exists = account.is_some();
        let reply = reply(&Erasure { erased, left, user_exists, revision: revision.clone() });
        if call.validate_only || erased == 0 {
            return Ok(Step::Unchanged { reply, replayed: false });
        }
        let gone = self.room(head, id.is_some(), now)?;
        let outcome = Outcome { before: Arc::clone(&table), after: table, revision, effects: Vec::new() };
        let activation = if outcome.before.has_activations(now) { guard.activation(&outcome, now) } else { None };
        let entry = Entry::of_note(told(call, user, erased, account, activation), now);
        let (body, revision) = (call.body.to_vec(), head.revision());
        let answered = id.map(|id| Answered { id, body, at: now, reply: reply.clone(), revision });
        let mut stored: Vec<RowWrite> = gone.iter().map(|id| rows::forget_answered(id)).collect();
        stored.extend(answered.iter().map(rows::of_answered));
        let archive = keys.into_iter().map(|key| RowWrite { key, value: None }).collect();
        let commit = Commit { scope: call.organization.to_string(), revision, log: None, rows: stored, archive };
        let (done, durable) = oneshot::channel();
        head.trail.append(commit, entry, Vec::new(), |commit, tip| {
            let logged = Some((Arc::clone(&head.trail), tip));
            self.committer.submit(commit, Durable { logged, ..Durable::new(done) })
        })?;
        if let Some(answered) = answered {
            head.answers.remember(answered);
        }
        Ok(Step::Submitted(reply, durable))
    }

    /// Under the organization's writer: nothing comes to lie beside an entry meanwhile.
    fn sealed(&self, trail: &Trail, user: &OpaqueId) -> Result<Sealed, StoreError> {
        trail.settled()?;
        let (from, mut to) = (trail.shelf.of_user(user), trail.shelf.of_user(user));
        to.pop();
        to.push(1);
        let mut sealed = Sealed::default();
        let mut last: Vec<u8> = Vec::new();
        self.store.archive(trail.organization.as_str(), &from..&to, &mut |key, _| {
            // A key ends with the entry's sequence and the seal's number.
            let entry = key.split_last_chunk::<2>().map_or(key, |(entry, _)| entry);
            let another = last != entry;
            if another {
                last = entry.to_vec();
            }
            if sealed.left > 0 || (another && sealed.erased == MAX_ERASED) {
                sealed.left += u64::from(another);
            } else {
                sealed.erased += u64::from(another);
                sealed.keys.push(key.to_vec());
            }
            Ok(true)
        })?;
        Ok(sealed)
    }
}

impl Trail {
    /// Waits until all that was appended is on disk. For a thread that may block.
    fn settled(&self) -> Result<(), StoreError> {
        let submitted = lock(&self.end).tip.sequence;
        let mut durable = self.durable.subscribe();
        let reached = Handle::current().block_on(durable.wait_for(|tip| tip.sequence >= submitted));
        reached.map(drop).map_err(|_| StoreError::Stopped)
    }
}

/// That it was done. Readers of the account that the user is of see it, too.
fn told(call: &Call, user: &OpaqueId, erased: u64, account: Option<Id>, activation: Option<Id>) -> Note {
    let entries = if erased == 1 { "entry" } else { "entries" };
    Note {
        origin: Origin::from(call),
        ending: Ending::Recorded,
        reason: String::new(),
        summary: format!("erase what is personal of user `{user}` from {erased} {entries}"),
        account,
        emergency_activation: activation.map(|id| id.to_string()),
    }
}
