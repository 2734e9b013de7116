//! The committer over a store whose writes wait, fail and panic when told.

use std::ops::Range;
use std::sync::mpsc::channel;

use super::super::{ArchiveVisitor, LogVisitor, MemoryStore, RowVisitor};
use super::*;

fn commit(revision: u64) -> Commit {
    Commit { scope: "o".to_owned(), revision, log: Some(vec![1]), rows: Vec::new(), archive: Vec::new() }
}

/// A memory store whose writes wait for a permit each, and fail when told so.
struct Gated {
    inner: MemoryStore,
    permits: Mutex<Receiver<bool>>,
    sizes: Mutex<Vec<usize>>,
}

impl PolicyStore for Gated {
    fn scopes(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.inner.scopes()
    }
    fn load(&self, scope: &str, visit: &mut RowVisitor<'_>) -> Result<u64, StoreError> {
        self.inner.load(scope, visit)
    }
    fn log(&self, s: &str, from: u64, visit: &mut LogVisitor<'_>) -> Result<(), StoreError> {
        self.inner.log(s, from, visit)
    }
    fn archive(&self, s: &str, keys: Range<&[u8]>, visit: &mut ArchiveVisitor<'_>) -> Result<(), StoreError> {
        self.inner.archive(s, keys, visit)
    }
    fn room_for(&self, bytes: u64) -> Result<(), StoreError> {
        self.inner.room_for(bytes)
    }
    fn write(&self, commits: &[Commit]) -> Result<(), StoreError> {
        self.sizes.lock().unwrap().push(commits.len());
        match self.permits.lock().unwrap().recv() {
            Ok(true) => self.inner.write(commits),
            Ok(false) => panic!("the database panics"),
            Err(_) => Err(StoreError::Sync(std::io::Error::other("no disk"))),
        }
    }
}

fn gated() -> (std::sync::mpsc::Sender<bool>, Arc<Gated>) {
    let (permit, permits) = channel();
    let (permits, sizes) = (Mutex::new(permits), Mutex::default());
    (permit, Arc::new(Gated { inner: MemoryStore::new(), permits, sizes }))
}

fn wait_for(condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("waited in vain");
}

#[test]
fn what_waits_shares_a_write_and_comes_back_in_order() {
    let (permit, store) = gated();
    let (sender, receiver) = channel();
    let on_durable = move |payloads: Vec<u64>| payloads.into_iter().for_each(|p| sender.send(p).unwrap());
    let options = CommitterOptions { queue_commits: 100, ..CommitterOptions::default() };
    let dynamic: Arc<dyn PolicyStore> = store.clone();
    let committer = Committer::spawn(dynamic, options, on_durable, |e| panic!("{e}")).unwrap();
    committer.submit(commit(1), 1).unwrap();
    wait_for(|| store.sizes.lock().unwrap().len() == 1);
    for revision in 2..=101 {
        committer.submit(commit(revision), revision).unwrap();
    }
    assert!(matches!(committer.submit(commit(102), 102), Err(StoreError::Busy)));
    permit.send(true).unwrap();
    permit.send(true).unwrap();
    committer.stop();
    assert_eq!(receiver.iter().collect::<Vec<_>>(), (1..=101).collect::<Vec<_>>());
    assert_eq!(*store.sizes.lock().unwrap(), [1, 100]);
    assert!(matches!(committer.submit(commit(102), 102), Err(StoreError::Stopped)));
}

#[test]
fn too_many_bytes_are_busy_unless_nothing_else_waits() {
    let (permit, store) = gated();
    let options = CommitterOptions { queue_bytes: 10, ..CommitterOptions::default() };
    let committer = Committer::spawn(store.clone(), options, |_| {}, |e| panic!("{e}")).unwrap();
    let large = |revision| Commit { log: Some(vec![0; 20]), ..commit(revision) };
    committer.submit(large(1), ()).unwrap();
    assert!(matches!(committer.submit(large(2), ()), Err(StoreError::Busy)));
    permit.send(true).unwrap();
    permit.send(true).unwrap();
    wait_for(|| committer.submit(large(2), ()).is_ok());
    committer.stop();
    assert_eq!(store.scopes().unwrap(), [("o".to_owned(), 2)]);
}

#[test]
fn a_failed_write_and_a_panic_are_fatal_and_answer_nobody() {
    for panics in [false, true] {
        let (permit, store) = gated();
        let (sender, receiver) = channel();
        let (durable, fatal) = (sender.clone(), sender);
        let committer = Committer::spawn(
            store,
            CommitterOptions::default(),
            move |payloads: Vec<u64>| durable.send(format!("{payloads:?}")).unwrap(),
            move |error| fatal.send(error.to_string()).unwrap(),
        )
        .unwrap();
        committer.submit(commit(1), 1).unwrap();
        if panics {
            permit.send(false).unwrap();
        }
        drop(permit);
        let said: Vec<String> = receiver.iter().collect();
        let expected = match panics {
            true => "the database failed: a panic, see the log",
            false => "could not sync the store to disk",
        };
        assert_eq!(said, [expected]);
        wait_for(|| matches!(committer.submit(commit(2), 2), Err(StoreError::Stopped)));
    }
}

#[test]
fn an_idle_committer_ticks() {
    let (sender, receiver) = channel();
    let on_durable = move |payloads: Vec<()>| sender.send(payloads.len()).unwrap();
    let store = Arc::new(MemoryStore::new());
    let options = CommitterOptions::default();
    let _committer = Committer::spawn(store, options, on_durable, |e| panic!("{e}")).unwrap();
    assert_eq!(receiver.recv_timeout(Duration::from_secs(5)).unwrap(), 0);
}
