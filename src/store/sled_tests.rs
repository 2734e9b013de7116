//! What only the store on disk can get wrong: opening, crashes, a full disk, and sled's own traps.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::contract::{commit, filler, gone, log_of, row, rows_of};
use super::contract_archive::{ALL, archive_of};
use super::journal::{Ops, Tree};
use super::keys::ScopeKeys;
use super::*;

/// Lets a number of batches and syncs through and fails from then on: what is on disk is then what a process
/// that died between two of them leaves.
pub(super) struct CrashAfter(AtomicU64);

impl Default for CrashAfter {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl CrashAfter {
    pub(super) fn set(&self, steps: u64) {
        self.0.store(steps, Ordering::SeqCst);
    }

    pub(super) fn step(&self) -> io::Result<()> {
        let less = |left: u64| left.checked_sub(1);
        match self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::other("the process died")),
        }
    }
}

fn open(path: &Path) -> SledStore {
    SledStore::open(path, Options::default()).unwrap()
}

fn large(revision: u64) -> Commit {
    let seed = usize::try_from(revision).unwrap();
    let mut rows: Vec<RowWrite> = (0_u16..300)
        .filter(|n| u64::from(n % 7) != revision % 7)
        .map(|n| row(n.to_be_bytes(), filler(seed, if n % 50 == 0 { 40_000 / seed } else { 4000 })))
        .collect();
    rows.extend((0_u16..300).filter(|n| u64::from(n % 7) == revision % 7).map(|n| gone(n.to_be_bytes())));
    let archive = (0_u8..100).map(|n| row([n], filler(seed, if n % 30 == 0 { 40_000 / seed } else { 900 }))).collect();
    Commit { log: Some(filler(seed, 1_600_000)), archive, ..commit("o", revision, rows) }
}

#[test]
fn a_second_opening_is_refused_while_the_first_lasts() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    for _ in 0..2 {
        let second = SledStore::open(dir.path(), Options::default());
        assert!(matches!(second, Err(StoreError::Locked { .. })));
    }
    drop(first);
    open(dir.path());
}

#[test]
fn the_directory_is_created_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    open(&path);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn an_unfinished_snapshot_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).write(&[commit("o", 1, vec![row("a", "1")])]).unwrap();
    let left = dir.path().join("snap.FFFFFFFFFFFFFFFF.generating");
    std::fs::write(&left, b"torn").unwrap();
    assert_eq!(rows_of(&open(dir.path()), "o").1.len(), 1);
    assert!(!left.exists());
}

#[test]
fn another_format_is_refused() {
    for (bytes, number) in [(Some(vec![0, 0, 0, 2]), 2), (Some(b"?".to_vec()), 0), (None, 0)] {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        store.write(&[commit("o", 1, vec![])]).unwrap();
        store.tree().apply(Ops::from([(keys::FORMAT.to_vec(), bytes)])).unwrap();
        drop(store);
        match SledStore::open(dir.path(), Options::default()).err().unwrap() {
            StoreError::Format { found, supported: 1 } => assert_eq!(found, number),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn below_the_watermark_nothing_is_taken_and_reads_go_on() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).write(&[commit("o", 1, vec![row("a", "1")])]).unwrap();
    let options = Options { watermark_bytes: 1 << 60, ..Options::default() };
    let store = std::sync::Arc::new(SledStore::open(dir.path(), options).unwrap());
    assert!(matches!(store.writable(), Err(StoreError::DiskLow { needed, .. }) if needed == 1 << 60));
    assert_eq!(rows_of(&*store, "o").1.len(), 1);
    let committer = Committer::spawn(store, CommitterOptions::default(), |_| {}, |e| panic!("{e}")).unwrap();
    let refused = committer.submit(commit("o", 2, vec![]), ());
    assert!(matches!(refused, Err(StoreError::DiskLow { .. })));
    drop(committer);
    assert!(open(dir.path()).room_for(1 << 58).is_err());
}

#[test]
fn a_full_disk_is_not_opened_and_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let refused = SledStore::open_on_a_full_disk(dir.path()).err().unwrap();
    assert!(matches!(refused, StoreError::DiskLow { free: 0, needed } if needed == 16 << 20), "{refused}");
    assert!(!dir.path().join("db").exists(), "nothing was begun");
    let store = open(dir.path());
    store.write(&[commit("o", 1, vec![row("a", "1")])]).unwrap();
    let store = store.filled();
    assert!(matches!(store.write(&[commit("o", 2, vec![])]), Err(StoreError::DiskLow { free: 0, .. })));
    assert!(matches!(store.write(&[commit("o", 2, vec![])]), Err(StoreError::Stopped)));
    assert_eq!(rows_of(&store, "o").1.len(), 1, "reads go on");
}

#[test]
fn a_large_commit_is_whole_or_absent_wherever_it_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let sure = |store: &SledStore, head: u64, expected: &MemoryStore| {
        let (found, rows) = rows_of(store, "o");
        assert_eq!(found, head);
        assert!(rows == rows_of(expected, "o").1);
        assert!(archive_of(store, "o", ALL) == archive_of(expected, "o", ALL));
        assert_eq!(log_of(store, "o", 0).len() as u64, head);
        let keys = ScopeKeys::of("o").unwrap();
        let count = |prefix: &[u8], from: &[u8]| {
            let mut count = 0;
            let scan = &mut |key: &[u8], _: &[u8]| {
                count += usize::from(key.starts_with(prefix));
                Ok(key.starts_with(prefix))
            };
            store.tree().scan(from, scan).unwrap();
            count
        };
        assert_eq!(count(&keys.redos(), &keys.redos()), 0, "redo parts are left");
        assert_eq!(count(&keys.logs(), &keys.log(head + 1)), 0, "a delta beyond the head is left");
    };
    let state = |through: u64| {
        let memory = MemoryStore::new();
        memory.write(&(1..=through).map(large).collect::<Vec<_>>()).unwrap();
        memory
    };
    let store = open(dir.path());
    store.write(&[large(1)]).unwrap();
    drop(store);
    let copy = tempfile::tempdir().unwrap();
    let (mut absent, mut entire) = (0, 0);
    let mut unsynced = 0;
    for steps in 0.. {
        let path = copy.path().join(steps.to_string());
        copy_dir(dir.path(), &path);
        let store = open(&path);
        store.crash_after(steps);
        let written = store.write(&[large(2)]);
        if let Err(error) = &written {
            // Whether a batch or a sync failed, nobody knows what is on disk.
            unsynced += u32::from(matches!(error, StoreError::Sync(_)));
            assert!(matches!(store.writable(), Err(StoreError::Stopped)));
            assert!(matches!(store.write(&[large(2)]), Err(StoreError::Stopped)));
        }
        drop(store);
        let store = open(&path);
        let head = store.scopes().unwrap()[0].1;
        sure(&store, head, &state(head));
        if head == 1 {
            absent += 1
        } else {
            entire += 1
        }
        store.write(&[large(head + 1)]).unwrap();
        sure(&store, head + 1, &state(head + 1));
        drop(store);
        if written.is_ok() {
            break;
        }
    }
    assert!(absent > 4 && entire > 7, "cut {absent} times before and {entire} after the commit point");
    assert!(unsynced >= 3, "cut at {unsynced} syncs: before the head, after it, at the end");
}

#[test]
fn healing_may_be_cut_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.write(&[large(1)]).unwrap();
    // Far enough to be past the commit point, and not at the end.
    store.crash_after(8);
    store.write(&[large(2)]).unwrap_err();
    store.crash_after(2);
    journal::heal(store.tree()).unwrap_err();
    drop(store);
    let store = open(dir.path());
    let memory = MemoryStore::new();
    memory.write(&[large(1), large(2)]).unwrap();
    assert!(rows_of(&store, "o") == rows_of(&memory, "o"));
}

#[test]
fn what_a_write_returned_of_is_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let copies = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for revision in 1..=5 {
        store.write(&[commit("o", revision, vec![row("a", revision.to_string())])]).unwrap();
        // At once: a flusher of sled's own follows later.
        let copy = copies.path().join(revision.to_string());
        copy_dir(dir.path(), &copy);
        assert_eq!(rows_of(&open(&copy), "o"), (revision, vec![(b"a".to_vec(), revision.to_string().into_bytes())]));
    }
}

#[test]
fn a_write_that_the_disk_does_not_confirm_fails_and_is_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.write(&[commit("o", 1, vec![row("a", "1")])]).unwrap();
    let store = store.never_synced();
    assert!(matches!(store.write(&[commit("o", 2, vec![row("a", "2")])]), Err(StoreError::Sync(_))));
    assert!(matches!(store.write(&[commit("o", 2, vec![])]), Err(StoreError::Stopped)));
    assert!(matches!(store.writable(), Err(StoreError::Stopped)));
    assert_eq!(store.scopes().unwrap(), [("o".to_owned(), 1)], "what was not confirmed is not told");
}

#[test]
fn no_page_goes_into_a_file_that_is_never_synced() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = dir.path().join("blobs");
    let store = open(dir.path());
    let key = |n: usize, length: usize| {
        let mut key = filler(n, length);
        key[length - 2..].copy_from_slice(&u16::try_from(n).unwrap().to_be_bytes());
        key[0] = u8::try_from(n % 256).unwrap();
        key
    };
    for revision in 1..=4 {
        let rows = (0..600).map(|n| row(key(n, MAX_KEY_BYTES), filler(n, 60_000))).collect();
        store.write(&[Commit { log: Some(filler(3, 3 << 20)), ..commit("o", revision, rows) }]).unwrap();
        assert_eq!(blobs.read_dir().unwrap().count(), 0);
    }
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
