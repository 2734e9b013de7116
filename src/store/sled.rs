//! The store on disk: sled 0.34.7, with what it takes to trust it. No other file names the library.
//!
//! What was read in its source or measured, and what is done about it:
//!
//! * `flush` waits until all reserved log bytes are written to the file `db` and calls
//!   `sync_file_range`, which flushes neither the disk's cache nor the file's size. An `fdatasync`
//!   through a second descriptor of the same file covers it, since `db` is the only file written
//!   while the database is open: snapshots are written (and fsynced) at open only, and blobs are
//!   kept from existing, see below. After open the directory is synced, so that the rename of a
//!   snapshot cannot come undone after the segments it speaks of were reused.
//! * A page item beyond a quarter of a segment goes into a file under `blobs/` that is never
//!   fsynced. Items are not values but whole *pages* when sled consolidates or splits one: up to
//!   about 20 entries of a leaf, 257 keys of an index. With sled's own segments of 512 KiB, seven
//!   values of 20 KiB in one leaf would be enough. Hence segments of 2 MiB, parts of 16 KiB and keys
//!   of at most 1 KiB: no page reaches 512 KiB. A test looks into `blobs/`.
//! * Only the background flusher rewrites what is left of mostly dead segments. It excludes batches
//!   by sled's own lock, and it is not the concurrent `flush_async` that deadlocks; so it stays on,
//!   although it gained little: 82 MiB with it and 90 without after 768,000 updates of 10,000 rows.
//!   Its fsync is not ours: the kernel reports a write error once to each descriptor.
//! * sled counts pages in its cache as they are on disk, and keeps an entry for every page beside:
//!   after 768,000 small commits 104 MiB were resident with a cache of 16 MiB, 33 with one of 4, at
//!   the same speed; 28 after a reopen. So the cache is small: the published tables are the cache.
//! * A fsync error, a full disk or a panic leaves sled in a state nobody knows: after the first
//!   failed write this store takes no other, and below a watermark of free bytes it takes none.
//! * A drop of the database may be outlived by sled's threads, which hold the lock on `db` for a
//!   moment: a reopen in the same process waits for them.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::disk::{self, FreeSpace};
use super::journal::{self, MAX_BATCH_OPS, Ops, Tree, TreeVisitor};
use super::keys::{self, ScopeKeys};
use super::parts::Joiner;
use super::{ArchiveVisitor, Commit, LogVisitor, PolicyStore, RowVisitor, StoreError, check};

/// The version of keys and values; see `keys` and `parts`.
const FORMAT: u32 = 1;
const SEGMENT_BYTES: usize = 2 << 20;
/// What sled itself may need to open: a snapshot, and the rest of a segment.
const OPEN_NEEDS_BYTES: u64 = 16 << 20;
/// How often the background flusher looks for dead segments.
const CLEAN_EVERY_MS: u64 = 500;
/// A commit is written up to three times (redo, delta, rows), and pages are rewritten.
const DISK_BYTES_PER_BYTE: u64 = 4;
const REOPEN_TRIES: u32 = 100;
const REOPEN_PAUSE: Duration = Duration::from_millis(20);

/// How to open a [`SledStore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Below so many free bytes on the disk no write is taken; 256 MiB by default.
    pub watermark_bytes: u64,
    /// What sled may keep of its pages, in bytes as on disk; 4 MiB by default. Resident memory is
    /// five times that and more.
    pub cache_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { watermark_bytes: 256 << 20, cache_bytes: 4 << 20 }
    }
}

/// A store in a directory of its own.
pub struct SledStore {
    // Dropped in this order: the lock goes last.
    disk: SledTree,
    heads: Mutex<BTreeMap<String, u64>>,
    watermark_bytes: u64,
    failed: AtomicBool,
    _lock: File,
}

struct SledTree {
    db: ::sled::Db,
    /// A second descriptor of sled's file, to fdatasync.
    file: File,
    free: FreeSpace,
    #[cfg(test)]
    crash_after: super::sled_tests::CrashAfter,
}

impl SledStore {
    /// Opens the store in the directory `path`, creates it if it is not there, and heals what a
    /// crash left.
    ///
    /// # Errors
    /// `Locked`, `DiskLow` (less than 16 MiB: the watermark does not keep a store from opening),
    /// `Format`, `Io`, `Sync`, `Database` and `Damaged`.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, StoreError> {
        let path = path.as_ref();
        Self::open_with(path, FreeSpace::of(path), options)
    }

    /// As [`SledStore::open`], with whoever knows how much of the disk is free.
    fn open_with(path: &Path, free: FreeSpace, options: Options) -> Result<Self, StoreError> {
        disk::create_dir(path)?;
        let lock = disk::lock(path)?;
        free.at_least(OPEN_NEEDS_BYTES)?;
        disk::remove_unfinished_snapshots(path)?;
        let db = open_database(path, options.cache_bytes)?;
        let file = disk::open(&path.join("db"))?;
        for name in ["conf", "db", "blobs", ""] {
            disk::sync(&path.join(name))?;
        }
        let disk = SledTree {
            db,
            file,
            free,
            #[cfg(test)]
            crash_after: super::sled_tests::CrashAfter::default(),
        };
        disk.check_format()?;
        let heads = Mutex::new(journal::heal(&disk)?);
        let (watermark_bytes, failed) = (options.watermark_bytes, AtomicBool::new(false));
        Ok(Self { disk, heads, watermark_bytes, failed, _lock: lock })
    }

    fn heads(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn head(&self, scope: &str) -> u64 {
        self.heads().get(scope).copied().unwrap_or(0)
    }
}

fn open_database(path: &Path, cache_bytes: u64) -> Result<::sled::Db, StoreError> {
    let config = ::sled::Config::new()
        .path(PathBuf::from(path))
        .cache_capacity(cache_bytes)
        .mode(::sled::Mode::LowSpace)
        .use_compression(false)
        .flush_every_ms(Some(CLEAN_EVERY_MS))
        .segment_size(SEGMENT_BYTES);
    let mut tries = 0;
    loop {
        match config.open() {
            // The store's lock is ours, so only threads of a store just dropped hold sled's.
            Err(::sled::Error::Io(error))
                if tries < REOPEN_TRIES && error.to_string().contains("could not acquire lock") =>
            {
                tries += 1;
                std::thread::sleep(REOPEN_PAUSE);
            }
            opened => return opened.map_err(failed),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: ::sled::Error) -> StoreError {
    StoreError::Database(error.to_string())
}

impl SledTree {
    fn check_format(&self) -> Result<(), StoreError> {
        let found = match self.get(keys::FORMAT)? {
            Some(bytes) => <[u8; 4]>::try_from(bytes.as_slice()).map_or(0, u32::from_be_bytes),
            None if self.db.is_empty() => {
                let format = FORMAT.to_be_bytes().to_vec();
                self.apply(Ops::from([(keys::FORMAT.to_vec(), Some(format))]))?;
                self.sync()?;
                FORMAT
            }
            None => 0,
        };
        if found != FORMAT {
            return Err(StoreError::Format { found, supported: FORMAT });
        }
        Ok(())
    }
}

impl Tree for SledTree {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.db.get(key).map_err(failed)?.map(|value| value.to_vec()))
    }

    fn scan(&self, from: &[u8], visit: &mut TreeVisitor<'_>) -> Result<(), StoreError> {
        for entry in self.db.range(from..) {
            let (key, value) = entry.map_err(failed)?;
            if !visit(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    fn apply(&self, ops: Ops) -> Result<(), StoreError> {
        debug_assert!(ops.len() <= MAX_BATCH_OPS, "a batch of {} operations", ops.len());
        #[cfg(test)]
        self.crash_after.step().map_err(|died| StoreError::Database(died.to_string()))?;
        // Others fill disks too: a write that was admitted stops before sled meets a full one.
        self.free.at_least(OPEN_NEEDS_BYTES)?;
        let mut batch = ::sled::Batch::default();
        for (key, value) in ops {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.db.apply_batch(batch).map_err(failed)
    }

    // INVARIANT 1: what is acknowledged survives the loss of power; only this makes it so.
    fn sync(&self) -> Result<(), StoreError> {
        #[cfg(test)]
        self.crash_after.step().map_err(StoreError::Sync)?;
        self.db.flush().map_err(failed)?;
        self.file.sync_data().map_err(StoreError::Sync)
    }
}

impl PolicyStore for SledStore {
    fn scopes(&self) -> Result<Vec<(String, u64)>, StoreError> {
        Ok(self.heads().iter().map(|(scope, &head)| (scope.clone(), head)).collect())
    }

    fn load(&self, scope: &str, visit: &mut RowVisitor<'_>) -> Result<u64, StoreError> {
        let head = self.head(scope);
        let rows = ScopeKeys::of(scope)?.rows();
        let (mut joiner, mut row_key) = (Joiner::default(), Vec::new());
        self.disk.scan(&rows, &mut |key, stored| {
            let Some(rest) = key.strip_prefix(rows.as_slice()) else {
                return Ok(false);
            };
            let Some((id, part)) = keys::id_and_part(rest) else {
                return Err(BAD_KEY);
            };
            if let Some(value) = joiner.push(id, part, stored)? {
                keys::unescape(id, &mut row_key).ok_or(BAD_KEY)?;
                visit(&row_key, value)?;
            }
            Ok(true)
        })?;
        joiner.finish()?;
        Ok(head)
    }

    fn log(&self, scope: &str, from_revision: u64, visit: &mut LogVisitor<'_>) -> Result<(), StoreError> {
        // A delta beyond the head belongs to a commit that may never be.
        let head = self.head(scope);
        let scope = ScopeKeys::of(scope)?;
        let logs = scope.logs();
        let (mut joiner, mut expected) = (Joiner::default(), from_revision.max(1));
        if expected > head {
            return Ok(());
        }
        self.disk.scan(&scope.log(expected), &mut |key, stored| {
            let Some(rest) = key.strip_prefix(logs.as_slice()) else {
                return Ok(false);
            };
            let Some((id, part)) = keys::id_and_part(rest) else {
                return Err(BAD_KEY);
            };
            let revision = keys::revision_of(id).ok_or(BAD_KEY)?;
            if revision != expected {
                return Err(StoreError::Damaged("a log with a gap"));
            }
            let Some(delta) = joiner.push(id, part, stored)? else {
                return Ok(true);
            };
            expected += 1;
            Ok(visit(revision, delta)? && revision < head)
        })
    }

    fn archive(&self, scope: &str, keys: Range<&[u8]>, visit: &mut ArchiveVisitor<'_>) -> Result<(), StoreError> {
        let scope = ScopeKeys::of(scope)?;
        let (prefix, end) = (scope.archive(), scope.archived(keys.end));
        let (mut joiner, mut row_key, mut goes_on) = (Joiner::default(), Vec::new(), true);
        self.disk.scan(&scope.archived(keys.start), &mut |key, stored| {
            let Some(rest) = key.strip_prefix(prefix.as_slice()).filter(|_| key < end.as_slice()) else {
                return Ok(false);
            };
            let Some((id, part)) = keys::id_and_part(rest) else {
                return Err(BAD_KEY);
            };
            if let Some(value) = joiner.push(id, part, stored)? {
                keys::unescape(id, &mut row_key).ok_or(BAD_KEY)?;
                goes_on = visit(&row_key, value)?;
            }
            Ok(goes_on)
        })?;
        joiner.finish()
    }

    fn room_for(&self, bytes: u64) -> Result<(), StoreError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(StoreError::Stopped);
        }
        let room = bytes.saturating_mul(DISK_BYTES_PER_BYTE);
        self.disk.free.at_least(self.watermark_bytes.saturating_add(room))
    }

    fn write(&self, commits: &[Commit]) -> Result<(), StoreError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(StoreError::Stopped);
        }
        let heads = check(commits, |scope| self.head(scope))?;
        let unfinished = FailUnlessFinished(&self.failed);
        journal::write(&self.disk, commits)?;
        unfinished.finish();
        let mut known = self.heads();
        for (scope, head) in heads {
            match known.get_mut(scope) {
                Some(known) => *known = head,
                None => drop(known.insert(scope.to_owned(), head)),
            }
        }
        Ok(())
    }
}

/// Marks the store as failed when a write ends early, be it by an error or by a panic within sled.
struct FailUnlessFinished<'f>(&'f AtomicBool);

impl FailUnlessFinished<'_> {
    fn finish(self) {
        std::mem::forget(self);
    }
}

impl Drop for FailUnlessFinished<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

const BAD_KEY: StoreError = StoreError::Damaged("a key that this program does not write");

#[cfg(test)]
impl SledStore {
    /// The next `steps` batches and syncs are done, the one after fails as if the process had died.
    pub(super) fn crash_after(&self, steps: u64) {
        self.disk.crash_after.set(steps);
    }

    /// Opens it as if its disk were full: `/proc` never has a free byte.
    pub(super) fn open_on_a_full_disk(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, FreeSpace::of(Path::new("/proc")), Options::default())
    }

    /// Its disk is full from now on, as if others had filled it after a write was admitted.
    pub(super) fn filled(mut self) -> Self {
        self.disk.free = FreeSpace::of(Path::new("/proc"));
        self
    }

    /// Nothing is confirmed from now on: the kernel refuses to sync what `/dev/null` took.
    pub(crate) fn never_synced(mut self) -> Self {
        self.disk.file = File::open("/dev/null").unwrap();
        self
    }

    pub(super) fn tree(&self) -> &impl Tree {
        &self.disk
    }
}
