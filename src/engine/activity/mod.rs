//! The activity log of an organization (rule 7.5): entries in one order, chained by hashes.
//!
//! An entry is an archived row of the organization's scope, written in the commit of the change that it
//! tells of: whoever hears that a change was made finds its entry. What is refused or only recorded is a
//! commit of its own, without a revision. Beside the deltas (`rows::Logged`), which are for machines to
//! replay, entries are for people: bounded, with the rows before.
//!
//! ```text
//! state    [201]                                       tip: sequence and hash of the last entry
//! archive  [0][sequence: u64 BE]                       previous hash, hash, the entry in CBOR
//! archive  [1][user id][0][sequence][number: u16 BE]   salt and person: what a seal in the entry stands for
//! archive  [2][base: u64 BE] before either of both     of an organization created again under its id
//! ```
//!
//! The log is one history's. When that ends, its last entry says so and nothing is appended any more; what
//! is created again under the id begins a chain of its own, on a [`Shelf`] of its own, so that neither is
//! read, overwritten or verified as a part of the other. Whoever asks says for which history.
//!
//! `hash = SHA-256(previous hash, the entry in CBOR)`; the first follows zeros. The tip is in memory with the
//! organization's writer, so a write reads nothing of the log. What is personal of users is not in the chain
//! but sealed (`core::activity`): rows of the archive that can be found by user and erased.
//!
//! The order is that of a lock around the tip, which is held for the length of an append and no plan: a
//! refusal does not wait for a large change. Readers see what is durable ([`Trail::durable`]).
//!
//! Not done, on purpose: no index of entries. Filters read entries, a bounded number a call.

mod erase;
mod flood;
mod read;
mod shelf;
mod verify;

use std::sync::{Arc, Mutex};

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use tokio::sync::{oneshot, watch};

use crate::core::activity::{Beside, Changed, Deed, Hash};
use crate::core::id::Id;
use crate::core::model::{Key, Millis};
use crate::core::table::Table;
use crate::store::{Commit, RowWrite, StoreError};

use super::rows::encode;
use super::{Call, Durable, Engine, lock, rows};

pub use erase::{Erasure, MAX_ERASED};
pub use flood::{MAX_REFUSALS, REFUSAL_WINDOW};
pub use read::{Asked, Direction, Found, MAX_SCANNED, Page};
pub use verify::{Broken, Verifier};

use flood::Floods;
use shelf::Shelf;

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Ending {
    /// It changed the organization.
    #[n(1)]
    Applied,
    /// It was not to be.
    #[n(2)]
    Refused,
    /// There was nothing to change.
    #[n(3)]
    Recorded,
}

/// Where a call comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Origin {
    /// `service:ID`, or `platform:` and the name of an operator.
    #[n(0)]
    pub caller: String,
    /// On whose behalf (rule 7.6): `user:ID`.
    #[n(1)]
    pub on_behalf_of: Option<String>,
    /// The network address; empty where there is none.
    #[n(2)]
    pub peer: String,
    /// The gRPC method.
    #[n(3)]
    pub method: String,
    /// May be empty.
    #[n(4)]
    pub request_id: String,
}

/// One entry, as it is stored.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Entry {
    /// Its place: counts up by one, from 1.
    #[n(0)]
    pub sequence: u64,
    /// When it was decided.
    #[n(1)]
    pub at: Millis,
    /// Who, from where, by which call.
    #[n(2)]
    pub origin: Origin,
    /// What became of it.
    #[n(3)]
    pub ending: Ending,
    /// Why it was refused; else empty.
    #[n(4)]
    pub reason: String,
    /// For people.
    #[n(5)]
    pub summary: String,
    /// The account that it is about; none for the organization as a whole.
    #[n(6)]
    pub account: Option<Id>,
    /// The revision that it made.
    #[n(7)]
    pub revision: Option<u64>,
    /// The first of the changes.
    #[n(8)]
    pub changes: Vec<Changed>,
    /// How many there were.
    #[n(9)]
    pub change_count: u64,
    /// The emergency activation (rule 7.4) that allowed it, or that it is about.
    #[n(10)]
    pub emergency_activation: Option<String>,
    /// Bytes that lay beside it when it was written.
    #[n(11)]
    pub beside_bytes: u64,
}

/// What is to be told that is no change.
#[derive(Debug, Clone)]
pub struct Note {
    /// Who, from where, by which call.
    pub origin: Origin,
    /// `Refused` or `Recorded`.
    pub ending: Ending,
    /// As the reply carries it.
    pub reason: String,
    /// For people. Nothing personal: it cannot be erased.
    pub summary: String,
    /// The account that it is about.
    pub account: Option<Id>,
    /// See [`Entry::emergency_activation`].
    pub emergency_activation: Option<String>,
}

/// The last entry of a log; zeros for an empty one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Tip {
    /// Its place.
    #[n(0)]
    pub sequence: u64,
    /// Its hash.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub hash: Hash,
}

/// Callers' names as entries have them: an operator's has no colon.
#[must_use]
pub fn named(caller: &str) -> String {
    if caller.contains(':') { caller.to_owned() } else { format!("platform:{caller}") }
}

impl From<&Call> for Origin {
    fn from(call: &Call) -> Self {
        Self {
            caller: named(&call.caller),
            on_behalf_of: call.on_behalf_of.clone(),
            peer: call.peer.clone(),
            method: call.method.to_owned(),
            request_id: call.request_id.clone(),
        }
    }
}

impl Entry {
    /// Of a change that made `revision`; also what lies beside it.
    /// `activation` is the one that allowed the call; else the entry names one that it is about.
    pub(super) fn of_change(
        call: &Call,
        at: Millis,
        revision: u64,
        deed: Deed,
        activation: Option<Id>,
    ) -> (Self, Vec<Beside>) {
        let Deed { changes, count, beside, account, summary } = deed;
        let about = || {
            changes.iter().find_map(|changed| match &changed.key {
                Key::Activation(id) => Some(id.clone()),
                _ => None,
            })
        };
        let emergency_activation = activation.or_else(about).map(|id| id.to_string());
        let beside_bytes = beside.iter().map(|beside| beside.value.len() as u64).sum();
        let entry = Self {
            sequence: 0,
            at,
            origin: Origin::from(call),
            ending: Ending::Applied,
            reason: String::new(),
            summary,
            account,
            revision: Some(revision),
            changes,
            change_count: count,
            emergency_activation,
            beside_bytes,
        };
        (entry, beside)
    }

    fn of_note(note: Note, at: Millis) -> Self {
        let Note { origin, ending, reason, summary, account, emergency_activation } = note;
        let (revision, changes, change_count) = (None, Vec::new(), 0);
        let sequence = 0;
        Self {
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
            beside_bytes: 0,
        }
    }
}

/// The log of one organization, as its writers and readers share it.
pub(super) struct Trail {
    organization: Id,
    history: Arc<str>,
    shelf: Shelf,
    /// What was submitted last.
    end: Mutex<End>,
    /// What is on disk.
    durable: watch::Sender<Tip>,
    floods: Mutex<Floods>,
}

#[derive(Clone, Copy)]
struct End {
    tip: Tip,
    /// The scope's revision.
    revision: u64,
    /// Whether the history ended, and the log with it.
    closed: bool,
}

impl Trail {
    /// Of a history that begins after `base` revisions of its scope, which is at `revision`.
    pub(super) fn new(organization: Id, history: Arc<str>, base: u64, revision: u64, tip: Tip) -> Self {
        let (durable, _) = watch::channel(tip);
        let end = Mutex::new(End { tip, revision, closed: false });
        Self { organization, history, shelf: Shelf::of(base), end, durable, floods: Mutex::default() }
    }

    pub(super) fn base(&self) -> u64 {
        self.shelf.base
    }

    pub(super) fn organization(&self) -> &Id {
        &self.organization
    }

    /// Called by the one publisher, in order. Who follows hears of it by [`Trail::tell`] only.
    pub(super) fn reached(&self, tip: Tip) {
        self.durable.send_if_modified(|known| {
            *known = tip;
            false
        });
    }

    /// Lets those who follow look again: at entries, and with the version that came with them.
    pub(super) fn tell(&self) {
        self.durable.send_modify(|_| ());
    }

    /// Puts an entry into `commit` and hands that to `submit`; the log moves on if it is taken. A commit
    /// without a delta gets the revision that there is.
    ///
    /// # Errors
    /// That of `submit`; `Stopped` after the last entry of all.
    pub(super) fn append(
        &self,
        commit: Commit,
        entry: Entry,
        beside: Vec<Beside>,
        submit: impl FnOnce(Commit, Tip) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.append_to(&mut lock(&self.end), commit, entry, beside, submit)
    }

    /// The same; nothing follows it.
    pub(super) fn append_last(
        &self,
        commit: Commit,
        entry: Entry,
        beside: Vec<Beside>,
        submit: impl FnOnce(Commit, Tip) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut end = lock(&self.end);
        self.append_to(&mut end, commit, entry, beside, submit)?;
        end.closed = true;
        Ok(())
    }

    fn append_to(
        &self,
        end: &mut End,
        mut commit: Commit,
        mut entry: Entry,
        beside: Vec<Beside>,
        submit: impl FnOnce(Commit, Tip) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        // The scope may be another history's already, and its tip that one's.
        if end.closed {
            return Err(StoreError::Stopped);
        }
        if commit.log.is_none() {
            commit.revision = end.revision;
        }
        entry.sequence = end.tip.sequence + 1;
        let (value, hash) = chained(&end.tip.hash, &entry);
        let tip = Tip { sequence: entry.sequence, hash };
        let sealed = beside.into_iter().map(|Beside { user, number, value }| RowWrite {
            key: self.shelf.beside(&user, tip.sequence, number),
            value: Some(value),
        });
        commit.archive.extend(sealed);
        commit.archive.push(RowWrite { key: self.shelf.entry(tip.sequence), value: Some(value) });
        commit.rows.push(rows::of_tip(&tip));
        let revision = commit.revision;
        submit(commit, tip)?;
        *end = End { tip, revision, closed: false };
        Ok(())
    }
}

/// An entry as it is stored, and its hash.
fn chained(previous: &Hash, entry: &Entry) -> (Vec<u8>, Hash) {
    let body = encode(entry);
    let hash = chain(previous, &body);
    ([&previous[..], &hash[..], &body].concat(), hash)
}

fn chain(previous: &Hash, body: &[u8]) -> Hash {
    Sha256::new().chain_update(previous).chain_update(body).finalize().into()
}

/// Takes a stored entry apart: the previous hash, its own, and itself in CBOR.
fn parts(value: &[u8]) -> Option<(&Hash, &Hash, &[u8])> {
    let (previous, rest) = value.split_first_chunk::<32>()?;
    let (hash, body) = rest.split_first_chunk::<32>()?;
    Some((previous, hash, body))
}

impl Engine {
    /// The log of an organization that is there.
    pub(super) fn trail(&self, organization: &str) -> Option<Arc<Trail>> {
        self.trails.get(organization).map(|trail| Arc::clone(&trail))
    }

    /// The log of the history that a version belongs to, unless that ended.
    fn trail_of(&self, table: &Table) -> Option<Arc<Trail>> {
        self.trail(table.id().as_str()).filter(|trail| trail.history == *table.history())
    }

    /// Appends what is no change; the receiver hears when it is on disk.
    fn append(
        &self,
        trail: &Arc<Trail>,
        note: Note,
        archive: Vec<RowWrite>,
    ) -> Result<oneshot::Receiver<()>, StoreError> {
        self.store.writable()?;
        let scope = trail.organization.to_string();
        let commit = Commit { scope, revision: 0, log: None, rows: Vec::new(), archive };
        let (done, durable) = oneshot::channel();
        trail.append(commit, Entry::of_note(note, self.now()), Vec::new(), |commit, tip| {
            let logged = Some((Arc::clone(trail), tip));
            self.committer.submit(commit, Durable { logged, ..Durable::new(done) })
        })?;
        Ok(durable)
    }

    /// Records what is neither a change nor a refusal, such as the end of an emergency activation
    /// (rule 7.4), in the log of a version's history. It is on disk when this returns.
    ///
    /// # Errors
    /// The store takes no writes, or the version's history is over (`Stopped`).
    pub async fn record(&self, table: &Table, note: Note) -> Result<(), StoreError> {
        let trail = self.trail_of(table).ok_or(StoreError::Stopped)?;
        let durable = self.append(&trail, note, Vec::new())?;
        durable.await.map_err(|_| StoreError::Stopped)
    }

    /// The same, on its way to the disk when this returns.
    ///
    /// # Errors
    /// As those of [`Engine::record`].
    pub(super) fn record_soon(&self, table: &Table, note: Note) -> Result<(), StoreError> {
        let trail = self.trail_of(table).ok_or(StoreError::Stopped)?;
        self.append(&trail, note, Vec::new()).map(drop)
    }
}
