//! Commits of any size, whole or not at all, on a tree whose batches are atomic up to 64 operations.
//!
//! A *small* commit (head, delta and rows, archived ones too, within 64 operations) is part of one batch; several may
//! share it. A *large* one is a redo log:
//!
//! 1. its row writes, encoded, as redo parts, and its delta, in as many batches as it takes; sync;
//! 2. one batch: head = revision, with the number of redo parts pending. This is the commit point;
//! 3. sync; the rows, in as many batches as it takes;
//! 4. head = revision with nothing pending, then the redo parts go.
//!
//! A crash before 2 leaves redo parts and a delta beyond the head: [`heal`] removes them. A crash
//! after 2 leaves `pending`: `heal` does 3 and 4 again, from the redo parts; doing them twice or
//! from the middle comes to the same. A crash within the removals of 4 leaves redo parts that
//! nothing points at; removed as well.
//!
//! Why the order of batches can be relied on: the tree on disk is an append-only log that recovery
//! reads up to its first torn message, so of the batches that were applied a prefix survives the
//! death of the process. For the loss of power that holds up to what the disk reorders since the
//! last sync; therefore 1 is synced before 2 begins and 2 before 3 does, which costs two fdatasyncs
//! a large commit and no argument.
//!
//! Memory: the commit itself, and at most one batch (64 parts of 16 KiB) beside it.

use std::collections::BTreeMap;

use super::keys::{self, ScopeKeys};
use super::parts::{self, RedoReader, RedoWriter, Shelf};
use super::{Commit, RowWrite, StoreError};

/// The most operations in one atomic batch: sled is out of memory with batches of thousands.
pub(super) const MAX_BATCH_OPS: usize = 64;
/// A sync at least after so many bytes, so that neither sled's buffers nor what a loss of power
/// could reorder grow with a commit.
const SYNC_EVERY_BYTES: usize = 4 << 20;

/// Writes by key; `None` deletes.
pub(super) type Ops = BTreeMap<Vec<u8>, Option<Vec<u8>>>;
/// Called with a key and its stored bytes; `false` ends the scan.
pub(super) type TreeVisitor<'v> = dyn FnMut(&[u8], &[u8]) -> Result<bool, StoreError> + 'v;

/// An ordered tree with small atomic batches.
pub(super) trait Tree {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// Visits all keys from `from` on, in byte order.
    fn scan(&self, from: &[u8], visit: &mut TreeVisitor<'_>) -> Result<(), StoreError>;
    /// At most [`MAX_BATCH_OPS`], all or none. Later batches never survive without earlier ones.
    fn apply(&self, ops: Ops) -> Result<(), StoreError>;
    /// Everything applied is on disk on return.
    fn sync(&self) -> Result<(), StoreError>;
}

#[derive(Debug, Clone, Copy)]
struct Head {
    revision: u64,
    /// Redo parts that may not be applied yet; 0 is nothing pending.
    pending: u32,
}

impl Head {
    fn encode(self) -> Vec<u8> {
        let mut bytes = self.revision.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.pending.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (revision, rest) = bytes.split_first_chunk::<8>()?;
        Some(Self { revision: u64::from_be_bytes(*revision), pending: u32::from_be_bytes(rest.try_into().ok()?) })
    }
}

/// The batch that is being filled.
struct Batch<'t, T: Tree> {
    tree: &'t T,
    ops: Ops,
    unsynced: usize,
}

impl<'t, T: Tree> Batch<'t, T> {
    fn new(tree: &'t T) -> Self {
        Self { tree, ops: Ops::new(), unsynced: 0 }
    }

    /// One operation that need not share a batch with any other.
    fn put(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<(), StoreError> {
        if self.ops.len() >= MAX_BATCH_OPS {
            self.apply()?;
        }
        self.ops.insert(key, value);
        Ok(())
    }

    /// Operations that must share a batch: at most [`MAX_BATCH_OPS`].
    fn put_together(&mut self, mut ops: Ops) -> Result<(), StoreError> {
        if self.ops.len() + ops.len() > MAX_BATCH_OPS {
            self.apply()?;
        }
        self.ops.append(&mut ops);
        Ok(())
    }

    fn apply(&mut self) -> Result<(), StoreError> {
        if self.ops.is_empty() {
            return Ok(());
        }
        let ops = std::mem::take(&mut self.ops);
        let size = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| key.len() + value.as_ref().map_or(0, Vec::len);
        self.unsynced += ops.iter().map(size).sum::<usize>();
        self.tree.apply(ops)?;
        if self.unsynced >= SYNC_EVERY_BYTES {
            self.tree.sync()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.apply()?;
        self.unsynced = 0;
        self.tree.sync()
    }

    /// In how many parts the row at `base` is stored, as this batch will leave it.
    fn stored_parts(&self, base: &[u8]) -> Result<u16, StoreError> {
        let first = keys::with_part(base, 0);
        match self.ops.get(&first) {
            Some(waiting) => parts_of(waiting.as_deref()),
            None => parts_of(self.tree.get(&first)?.as_deref()),
        }
    }

    /// Writes a row whose steps need not share a batch.
    fn row(&mut self, keys: &ScopeKeys, shelf: Shelf, row: &RowWrite) -> Result<(), StoreError> {
        let base = base_of(keys, shelf, &row.key);
        let old = self.stored_parts(&base)?;
        parts::row_steps(&base, old, row.value.as_deref(), &mut |key, value| self.put(key, value))
    }
}

fn parts_of(first: Option<&[u8]>) -> Result<u16, StoreError> {
    let Some(first) = first else { return Ok(0) };
    let Some((count, _)) = parts::stored_count(first) else {
        return Err(StoreError::Damaged("a value without the number of its parts"));
    };
    Ok(count)
}

/// The rows that a commit writes, in order.
fn rows_of(commit: &Commit) -> impl Iterator<Item = (Shelf, &RowWrite)> {
    let rows = commit.rows.iter().map(|row| (Shelf::State, row));
    rows.chain(commit.archive.iter().map(|row| (Shelf::Archive, row)))
}

/// Where a row lies, without the part.
fn base_of(keys: &ScopeKeys, shelf: Shelf, key: &[u8]) -> Vec<u8> {
    match shelf {
        Shelf::State => keys.row(key),
        Shelf::Archive => keys.archived(key),
    }
}

/// Writes commits that were checked, in order; all are on disk on return.
pub(super) fn write<T: Tree>(tree: &T, commits: &[Commit]) -> Result<(), StoreError> {
    let mut batch = Batch::new(tree);
    for commit in commits {
        let keys = ScopeKeys::of(&commit.scope)?;
        match small(&batch, &keys, commit)? {
            Some(ops) => batch.put_together(ops)?,
            None => large(&mut batch, &keys, commit)?,
        }
    }
    batch.sync()
}

/// The operations of a commit that fits in one batch.
fn small<T: Tree>(batch: &Batch<'_, T>, keys: &ScopeKeys, commit: &Commit) -> Result<Option<Ops>, StoreError> {
    let log_parts = commit.log.as_ref().map_or(0, |log| parts::count(log.len()));
    if usize::from(log_parts) + commit.rows.len() + commit.archive.len() >= MAX_BATCH_OPS {
        return Ok(None);
    }
    let mut ops = Ops::new();
    for (shelf, row) in rows_of(commit) {
        if row.value.as_ref().is_some_and(|value| value.len() > parts::PART_BYTES * MAX_BATCH_OPS) {
            return Ok(None);
        }
        let base = base_of(keys, shelf, &row.key);
        let old = match ops.get(&keys::with_part(&base, 0)) {
            Some(waiting) => parts_of(waiting.as_deref())?,
            None => batch.stored_parts(&base)?,
        };
        parts::row_steps(&base, old, row.value.as_deref(), &mut |key, value| {
            ops.insert(key, value);
            Ok(())
        })?;
    }
    if let Some(log) = &commit.log {
        let base = keys.log(commit.revision);
        for number in 0..log_parts {
            ops.insert(keys::with_part(&base, number), Some(parts::part(log, number)));
        }
        let head = Head { revision: commit.revision, pending: 0 };
        ops.insert(keys.head(), Some(head.encode()));
    }
    Ok((ops.len() <= MAX_BATCH_OPS).then_some(ops))
}

fn large<T: Tree>(batch: &mut Batch<'_, T>, keys: &ScopeKeys, commit: &Commit) -> Result<(), StoreError> {
    let mut pending = 0;
    let mut writer = RedoWriter::default();
    for (shelf, row) in rows_of(commit) {
        writer.row(shelf, row, &mut |part| {
            pending += 1;
            batch.put(keys.redo(pending - 1), Some(part))
        })?;
    }
    if let Some(part) = writer.last() {
        pending += 1;
        batch.put(keys.redo(pending - 1), Some(part))?;
    }
    if let Some(log) = &commit.log {
        let base = keys.log(commit.revision);
        for number in 0..parts::count(log.len()) {
            batch.put(keys::with_part(&base, number), Some(parts::part(log, number)))?;
        }
    }
    batch.sync()?;
    let head = Head { revision: commit.revision, pending };
    batch.put(keys.head(), Some(head.encode()))?;
    batch.sync()?;
    for (shelf, row) in rows_of(commit) {
        batch.row(keys, shelf, row)?;
    }
    settle(batch, keys, head)
}

/// The rows of a large commit are written: nothing is pending any more.
fn settle<T: Tree>(batch: &mut Batch<'_, T>, keys: &ScopeKeys, head: Head) -> Result<(), StoreError> {
    // In this order: a redo log may lack parts only when nothing says that it is pending.
    batch.put(keys.head(), Some(Head { pending: 0, ..head }.encode()))?;
    for number in 0..head.pending {
        batch.put(keys.redo(number), None)?;
    }
    batch.apply()
}

/// Makes every scope whole after a crash, and returns the heads. Only at open.
pub(super) fn heal<T: Tree>(tree: &T) -> Result<BTreeMap<String, u64>, StoreError> {
    let mut heads = BTreeMap::new();
    let mut batch = Batch::new(tree);
    let mut from = Vec::new();
    while let Some(scope) = next_scope(tree, &from)? {
        let keys = ScopeKeys::of(&scope)?;
        let head = heal_scope(&mut batch, &keys)?;
        if head > 0 {
            heads.insert(scope, head);
        }
        from = keys.end();
    }
    batch.sync()?;
    Ok(heads)
}

fn next_scope<T: Tree>(tree: &T, from: &[u8]) -> Result<Option<String>, StoreError> {
    let mut found = Ok(None);
    tree.scan(from, &mut |key, _| {
        if key != keys::FORMAT {
            found = match keys::scope_of(key) {
                Some(scope) => Ok(Some(scope.to_owned())),
                None => Err(StoreError::Damaged("a key of no scope")),
            };
        }
        Ok(false)
    })?;
    found
}

fn heal_scope<T: Tree>(batch: &mut Batch<'_, T>, keys: &ScopeKeys) -> Result<u64, StoreError> {
    let head = match batch.tree.get(&keys.head())? {
        Some(bytes) => Head::decode(&bytes).ok_or(StoreError::Damaged("a head that is no head"))?,
        None => Head { revision: 0, pending: 0 },
    };
    if head.pending > 0 {
        let mut reader = RedoReader::default();
        for number in 0..head.pending {
            let Some(part) = batch.tree.get(&keys.redo(number))? else {
                return Err(StoreError::Damaged("a redo log that lacks a part"));
            };
            reader.part(&part, &mut |shelf, row| batch.row(keys, shelf, &row))?;
        }
        reader.finish()?;
        settle(batch, keys, head)?;
    }
    if let Some(beyond) = head.revision.checked_add(1) {
        remove(batch, &keys.logs(), &keys.log(beyond))?;
    }
    remove(batch, &keys.redos(), &keys.redos())?;
    Ok(head.revision)
}

/// Removes all keys with `prefix` from `from` on.
fn remove<T: Tree>(batch: &mut Batch<'_, T>, prefix: &[u8], from: &[u8]) -> Result<(), StoreError> {
    let mut from = from.to_vec();
    loop {
        let mut stale = Vec::new();
        batch.tree.scan(&from, &mut |key, _| {
            let inside = key.starts_with(prefix) && stale.len() < MAX_BATCH_OPS;
            if inside {
                stale.push(key.to_vec());
            }
            Ok(inside)
        })?;
        let Some(last) = stale.last() else {
            return Ok(());
        };
        from.clone_from(last);
        for key in stale {
            batch.put(key, None)?;
        }
        batch.apply()?;
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
