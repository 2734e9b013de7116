//! Where what was decided to be true is kept: opaque rows, a log of changes, and one order of writes.
//!
//! A *scope* is an organization, a super-organization, or `""` for what belongs to the server
//! (tokens). Each scope has a head revision, a set of rows (the state at the head), a log (one delta
//! for each revision) and an archive: rows that start-up does not read (the activity log). A
//! [`Commit`] moves one scope from revision `n` to `n + 1`, or leaves it at `n` where it has no
//! delta: it is either wholly there after a crash or not at all, whatever its size. The store knows
//! nothing of what rows mean.
//!
//! ```text
//! engine ── submit ──> Committer (one thread) ── write(&[Commit]) ──> SledStore | MemoryStore
//!    ^                      │  one flush and one fdatasync for all that wait
//!    └──── on_durable ──────┘
//! ```
//!
//! * [`committer`] owns the order: it batches what waits, and is the only caller of `write`.
//! * `journal` turns commits into atomic batches of at most 64 operations over any ordered tree,
//!   with a redo log for commits that do not fit in one, and heals what a crash left.
//! * [`sled`] is the tree on disk, and the only file that names the library; [`memory`] is the
//!   obviously right one that it is compared with. `contract` is the one suite that both run.
//!
//! Not done here, on purpose: no cache of rows (the published table is the cache), no readers'
//! snapshots (`load` is for start-up), no compaction of the log, no retry of a failed write: after
//! one the state on disk is unknown, so the process ends and the next start heals.
//!
//! The alternative that lost: one tree an organization. sled's batches are atomic within one tree
//! only, and thousands of trees cost an open each.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

pub mod committer;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod contract_archive;
#[cfg(test)]
mod contract_sizes;
mod disk;
mod journal;
mod keys;
#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod measure;
pub mod memory;
mod parts;
pub mod sled;
#[cfg(test)]
mod sled_tests;

pub use committer::{Committer, CommitterOptions};
pub use memory::MemoryStore;
pub use sled::{Options, SledStore};

/// The longest scope, in bytes: an id, and a mark in front of it.
pub const MAX_SCOPE_BYTES: usize = 129;
/// The longest row key, in bytes. Not more, because an index page of sled holds up to 257 keys and
/// must stay below the size at which sled moves a page into a file it never fsyncs (see [`sled`]).
pub const MAX_KEY_BYTES: usize = 1024;
/// The largest row value, in bytes.
pub const MAX_VALUE_BYTES: usize = 16 << 20;
/// The largest delta of one revision, in bytes.
pub const MAX_LOG_BYTES: usize = 512 << 20;

/// One row to write: `None` deletes, and deleting what is not there is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowWrite {
    /// Any bytes, at most [`MAX_KEY_BYTES`]. Rows are loaded in the byte order of their keys.
    pub key: Vec<u8>,
    /// The whole value, at most [`MAX_VALUE_BYTES`]; the store splits it as it needs.
    pub value: Option<Vec<u8>>,
}

/// One step of one scope. If a key occurs twice in `rows`, the later one holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The organization, or `""` for the server's own rows; at most [`MAX_SCOPE_BYTES`].
    pub scope: String,
    /// The scope's new head: exactly its head plus one; without a delta its head, which must not be
    /// 0. A scope begins at 0, so its first is 1.
    pub revision: u64,
    /// The delta, replayable, kept under this revision; at most [`MAX_LOG_BYTES`]. None: no revision
    /// is made, only rows are written.
    pub log: Option<Vec<u8>>,
    /// The state rows that change. Hundreds of thousands are fine.
    pub rows: Vec<RowWrite>,
    /// The archived rows that change; their keys are apart from those of `rows`.
    pub archive: Vec<RowWrite>,
}

impl Commit {
    /// The bytes of payload that this commit carries (keys, values and delta).
    #[must_use]
    pub fn bytes(&self) -> usize {
        let rows = self.rows.iter().chain(&self.archive);
        let log = self.log.as_ref().map_or(0, Vec::len);
        rows.fold(log, |sum, row| sum + row.key.len() + row.value.as_ref().map_or(0, Vec::len))
    }
}

/// What can go wrong between a change and its being on disk.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A commit that is not the next of its scope. Nothing was written.
    #[error("revision {found} of `{scope}` does not follow its head {head}")]
    Revision {
        /// The scope of the commit.
        scope: String,
        /// The scope's head, with the earlier commits of the same call counted.
        head: u64,
        /// The revision that the commit carried.
        found: u64,
    },
    /// Something is longer than the store takes. Nothing was written.
    #[error("the {what} has {found} bytes, more than {limit}")]
    Limit {
        /// What is too long: `scope`, `key`, `value` or `delta`.
        what: &'static str,
        /// The limit, in bytes.
        limit: usize,
        /// The length found, in bytes.
        found: usize,
    },
    /// The disk is too full to write safely; reads go on. Nothing was written, unless a write that
    /// had begun returned it (the committer then ends the process like for any failed write).
    #[error("{free} bytes are free on the store's disk, {needed} are needed to write")]
    DiskLow {
        /// Bytes free for unprivileged users.
        free: u64,
        /// Bytes that must be free: the watermark, and room for what is to be written.
        needed: u64,
    },
    /// Another process has the store open.
    #[error("the store at `{}` is in use by another process", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The store was written by another format of this program, or by something else (`found` 0).
    #[error("the store has format {found}, this program reads format {supported}")]
    Format {
        /// The version found.
        found: u32,
        /// The version this program reads and writes.
        supported: u32,
    },
    /// A file operation beside the database itself failed.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The disk did not confirm what was written: nothing after it may be acknowledged.
    #[error("could not sync the store to disk")]
    Sync(#[source] io::Error),
    /// The database failed; its own words.
    #[error("the database failed: {0}")]
    Database(String),
    /// What was read cannot have been written by this store.
    #[error("the store is damaged: {0}")]
    Damaged(&'static str),
    /// For visitors: a row or delta that was read means nothing to its reader.
    #[error("a stored row cannot be read: {0}")]
    Unreadable(String),
    /// Too much waits to be written already; try again later. Nothing was taken.
    #[error("too many writes are waiting")]
    Busy,
    /// An earlier write failed or the committer was stopped: no write is taken any more.
    #[error("the store takes no writes any more")]
    Stopped,
}

/// Called with each key and its whole value; an error ends the walk and is returned from it.
pub type RowVisitor<'v> = dyn FnMut(&[u8], &[u8]) -> Result<(), StoreError> + 'v;
/// Called with each revision and its delta; `false` ends the walk, an error too.
pub type LogVisitor<'v> = dyn FnMut(u64, &[u8]) -> Result<bool, StoreError> + 'v;
/// Called with each archived key and its whole value; `false` ends the walk, an error too.
pub type ArchiveVisitor<'v> = dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError> + 'v;

/// Keeps scopes, their rows and their logs. See the module for what is promised.
pub trait PolicyStore: Send + Sync + 'static {
    /// Every scope that has a commit, with its head revision, in byte order of the scopes.
    ///
    /// # Errors
    /// None in the backends of this crate; a remote one may fail.
    fn scopes(&self) -> Result<Vec<(String, u64)>, StoreError>;

    /// Visits the rows of a scope in the byte order of their keys; returns the scope's head (0 for
    /// a scope without commits). Meant for start-up: a `write` to the same scope during the walk
    /// may be seen in part.
    ///
    /// # Errors
    /// The visitor's own, `Database` or `Damaged`.
    fn load(&self, scope: &str, visit: &mut RowVisitor<'_>) -> Result<u64, StoreError>;

    /// Visits the deltas from `from_revision` (0 and 1 are the beginning) to the head at the time
    /// of the call, without a gap. May run beside `write`.
    ///
    /// # Errors
    /// The visitor's own, `Database` or `Damaged`.
    fn log(&self, scope: &str, from_revision: u64, visit: &mut LogVisitor<'_>) -> Result<(), StoreError>;

    /// Visits the archived rows whose keys are from `keys.start` to before `keys.end`, in byte order. May
    /// run beside `write`, of which it may see a part: a reader that cares ends before what it does not
    /// know to be durable.
    ///
    /// # Errors
    /// The visitor's own, `Database` or `Damaged`.
    fn archive(&self, scope: &str, keys: Range<&[u8]>, visit: &mut ArchiveVisitor<'_>) -> Result<(), StoreError>;

    /// Whether there is room for `bytes` of payload above the free-disk watermark. Cheap: the disk
    /// is asked at most every 100 ms.
    ///
    /// # Errors
    /// `DiskLow`; `Stopped` after a failed write; `Io` if the disk cannot be asked.
    fn room_for(&self, bytes: u64) -> Result<(), StoreError>;

    /// Whether writes are taken at all: `room_for(0)`.
    ///
    /// # Errors
    /// As [`PolicyStore::room_for`].
    fn writable(&self) -> Result<(), StoreError> {
        self.room_for(0)
    }

    /// Writes the commits in order; all of them are durable on return. Called from one thread only.
    ///
    /// # Errors
    /// `Revision` and `Limit` are found before anything is written. After any other error it is
    /// unknown which of the commits will be there at the next open (a prefix of them, each whole),
    /// and every later write returns `Stopped`.
    fn write(&self, commits: &[Commit]) -> Result<(), StoreError>;
}

fn limit(what: &'static str, found: usize, limit: usize) -> Result<(), StoreError> {
    if found > limit {
        return Err(StoreError::Limit { what, limit, found });
    }
    Ok(())
}

/// Refuses what must not reach any backend, and returns the heads after these commits.
// INVARIANT 2: revisions of a scope are gapless; this is where a gap is refused.
fn check(commits: &[Commit], head_of: impl Fn(&str) -> u64) -> Result<BTreeMap<&str, u64>, StoreError> {
    let mut heads = BTreeMap::new();
    for commit in commits {
        limit("scope", commit.scope.len(), MAX_SCOPE_BYTES)?;
        limit("delta", commit.log.as_ref().map_or(0, Vec::len), MAX_LOG_BYTES)?;
        for row in commit.rows.iter().chain(&commit.archive) {
            limit("key", row.key.len(), MAX_KEY_BYTES)?;
            limit("value", row.value.as_ref().map_or(0, Vec::len), MAX_VALUE_BYTES)?;
        }
        let head = heads.entry(commit.scope.as_str()).or_insert_with(|| head_of(&commit.scope));
        let next = match commit.log {
            Some(_) => head.checked_add(1),
            None => Some(*head).filter(|head| *head > 0),
        };
        if next != Some(commit.revision) {
            return Err(StoreError::Revision { scope: commit.scope.clone(), head: *head, found: commit.revision });
        }
        *head = commit.revision;
    }
    Ok(heads)
}
