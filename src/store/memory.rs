//! The store that forgets: for tests, and so obviously right that the other is compared with it.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{ArchiveVisitor, Commit, LogVisitor, PolicyStore, RowVisitor, RowWrite, StoreError, check};

#[derive(Default)]
struct Scope {
    head: u64,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    log: BTreeMap<u64, Vec<u8>>,
    archive: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Keeps everything in memory and nothing longer than itself. Visitors run under its lock: they
/// must not call the store.
#[derive(Default)]
pub struct MemoryStore {
    scopes: Mutex<BTreeMap<String, Scope>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, Scope>> {
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PolicyStore for MemoryStore {
    fn scopes(&self) -> Result<Vec<(String, u64)>, StoreError> {
        Ok(self.locked().iter().map(|(name, scope)| (name.clone(), scope.head)).collect())
    }

    fn load(&self, scope: &str, visit: &mut RowVisitor<'_>) -> Result<u64, StoreError> {
        let scopes = self.locked();
        let Some(scope) = scopes.get(scope) else {
            return Ok(0);
        };
        for (key, value) in &scope.rows {
            visit(key, value)?;
        }
        Ok(scope.head)
    }

    fn log(&self, scope: &str, from_revision: u64, visit: &mut LogVisitor<'_>) -> Result<(), StoreError> {
        let scopes = self.locked();
        let Some(scope) = scopes.get(scope) else {
            return Ok(());
        };
        for (&revision, delta) in scope.log.range(from_revision..) {
            if !visit(revision, delta)? {
                break;
            }
        }
        Ok(())
    }

    fn archive(&self, scope: &str, keys: Range<&[u8]>, visit: &mut ArchiveVisitor<'_>) -> Result<(), StoreError> {
        let scopes = self.locked();
        let Some(scope) = scopes.get(scope) else {
            return Ok(());
        };
        let from = scope.archive.range::<[u8], _>((Bound::Included(keys.start), Bound::Unbounded));
        for (key, value) in from.take_while(|(key, _)| key.as_slice() < keys.end) {
            if !visit(key, value)? {
                break;
            }
        }
        Ok(())
    }

    fn room_for(&self, _bytes: u64) -> Result<(), StoreError> {
        Ok(())
    }

    fn write(&self, commits: &[Commit]) -> Result<(), StoreError> {
        let mut scopes = self.locked();
        check(commits, |name| scopes.get(name).map_or(0, |scope| scope.head))?;
        for commit in commits {
            let scope = scopes.entry(commit.scope.clone()).or_default();
            scope.head = commit.revision;
            if let Some(log) = &commit.log {
                scope.log.insert(commit.revision, log.clone());
            }
            put(&mut scope.rows, &commit.rows);
            put(&mut scope.archive, &commit.archive);
        }
        Ok(())
    }
}

fn put(into: &mut BTreeMap<Vec<u8>, Vec<u8>>, rows: &[RowWrite]) {
    for row in rows {
        match &row.value {
            Some(value) => into.insert(row.key.clone(), value.clone()),
            None => into.remove(&row.key),
        };
    }
}
