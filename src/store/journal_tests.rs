//! The order of batches and syncs, on a tree that writes down what it is told. That the tree on disk does what it is
//! told is asked in `sled_tests`.

use std::cell::RefCell;

use super::super::contract::{commit, filler, gone, row};
use super::*;

#[derive(Debug, Clone)]
enum Step {
    Apply(Ops),
    Sync,
}

/// A tree in memory.
#[derive(Default)]
struct Recorder {
    entries: RefCell<BTreeMap<Vec<u8>, Vec<u8>>>,
    steps: RefCell<Vec<Step>>,
}

impl Tree for Recorder {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.entries.borrow().get(key).cloned())
    }

    fn scan(&self, from: &[u8], visit: &mut TreeVisitor<'_>) -> Result<(), StoreError> {
        for (key, value) in self.entries.borrow().range(from.to_vec()..) {
            if !visit(key, value)? {
                break;
            }
        }
        Ok(())
    }

    fn apply(&self, ops: Ops) -> Result<(), StoreError> {
        assert!((1..=64).contains(&ops.len()), "a batch of {}", ops.len());
        for (key, value) in ops.clone() {
            match value {
                Some(value) => drop(self.entries.borrow_mut().insert(key, value)),
                None => drop(self.entries.borrow_mut().remove(&key)),
            }
        }
        self.steps.borrow_mut().push(Step::Apply(ops));
        Ok(())
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.steps.borrow_mut().push(Step::Sync);
        Ok(())
    }
}

impl Recorder {
    /// What a write does, from its first step to its last.
    fn write(&self, commits: &[Commit]) -> Vec<Step> {
        self.steps.take();
        write(self, commits).unwrap();
        self.steps.take()
    }
}

fn rows(count: u16, length: usize) -> Vec<RowWrite> {
    (0..count).map(|n| row(n.to_be_bytes(), filler(usize::from(n), length))).collect()
}

fn large(revision: u64) -> Commit {
    let archive = (0_u8..90).map(|n| row([n], filler(3, 700))).collect();
    Commit { log: Some(filler(1, 400_000)), archive, ..commit("o", revision, rows(300, 4_000)) }
}

#[test]
fn every_write_ends_with_a_sync_and_no_batch_has_more_than_64_operations() {
    let tree = Recorder::default();
    let beside = Commit { log: None, archive: rows(2, 10), ..commit("o", 1, vec![]) };
    let many = (2..400).map(|n| commit("o", n, vec![row("k", "v"), gone("other")])).collect();
    for commits in [
        vec![commit("o", 1, vec![])],
        vec![beside],
        many,
        vec![commit("p", 1, rows(62, 5)), commit("p", 2, rows(63, 5)), commit("p", 3, rows(64, 5))],
        vec![large(400)],
        vec![large(401), commit("o", 402, rows(1, 1))],
        vec![commit("o", 403, rows(1, 1)), Commit { log: None, ..large(403) }],
    ] {
        let steps = tree.write(&commits);
        assert!(matches!(steps.first(), Some(Step::Apply(_))), "{commits:?}");
        assert!(matches!(steps.last(), Some(Step::Sync)), "of {} steps", steps.len());
    }
    // Many small commits share one sync, or a flush would serve one writer only.
    let commits: Vec<Commit> = (1..200).map(|n| commit("q", n, rows(1, 9))).collect();
    assert_eq!(tree.write(&commits).iter().filter(|step| matches!(step, Step::Sync)).count(), 1);
}

/// The head of `o` that a step writes.
fn head(step: &Step) -> Option<Head> {
    let Step::Apply(ops) = step else { return None };
    let head = ops.get(&ScopeKeys::of("o").unwrap().head())?;
    Head::decode(head.as_ref().unwrap())
}

#[test]
fn a_large_commit_is_redone_from_what_was_synced_before_its_head_and_its_head_before_its_rows() {
    let tree = Recorder::default();
    tree.write(&[commit("o", 1, rows(300, 10))]);
    let steps = tree.write(&[large(2)]);
    let keys = ScopeKeys::of("o").unwrap();
    let is_row = |key: &[u8]| key.starts_with(&keys.rows()) || key.starts_with(&keys.archive());
    let is_redo = |key: &[u8]| key.starts_with(&keys.redos());

    let heads: Vec<usize> = (0..steps.len()).filter(|at| head(&steps[*at]).is_some()).collect();
    let [point, settled] = *heads else { panic!("{heads:?}: the head is written twice") };
    let (pending, after) = (head(&steps[point]).unwrap(), head(&steps[settled]).unwrap());
    assert_eq!((pending.revision, after.revision, after.pending), (2, 2, 0));

    // Before the commit point: the redo log and the delta, and nothing that shows.
    let (before, rest) = steps.split_at(point);
    let mut redo = 0;
    for step in before {
        let Step::Apply(ops) = step else { continue };
        assert!(ops.iter().all(|(key, value)| value.is_some() && (is_redo(key) || key.starts_with(&keys.log(2)))));
        redo += ops.keys().filter(|key| is_redo(key)).count();
    }
    assert!(redo > 64 && redo == pending.pending as usize, "{redo} redo parts, {pending:?} pending");
    // It is a batch of its own between two syncs.
    assert!(matches!(before.last(), Some(Step::Sync)));
    assert!(matches!(&rest[0], Step::Apply(ops) if ops.len() == 1));
    assert!(matches!(rest[1], Step::Sync));
    // Then the rows; the redo log goes once nothing says that it is pending.
    let mut written = 0;
    for (at, step) in steps.iter().enumerate().skip(point + 2) {
        let Step::Apply(ops) = step else { continue };
        written += ops.keys().filter(|key| is_row(key)).count();
        assert!(at >= settled || !ops.keys().any(|key| is_redo(key)), "a redo part goes before the head is settled");
        assert!(at <= settled || !ops.keys().any(|key| is_row(key)), "a row comes after the head is settled");
    }
    assert_eq!(written, 390);
    assert!(!tree.entries.borrow().keys().any(|key| is_redo(key)));
}

#[test]
fn little_waits_for_a_sync_however_large_a_commit_is() {
    let tree = Recorder::default();
    let steps = tree.write(&[Commit { log: Some(filler(1, 20 << 20)), ..commit("o", 1, rows(900, 40_000)) }]);
    let mut unsynced = 0;
    for step in steps {
        match step {
            Step::Apply(ops) => unsynced += ops.values().flatten().map(Vec::len).sum::<usize>(),
            Step::Sync => unsynced = 0,
        }
        assert!(unsynced <= SYNC_EVERY_BYTES + MAX_BATCH_OPS * (parts::PART_BYTES + 2), "{unsynced} bytes");
    }
    assert_eq!(unsynced, 0);
}

#[test]
fn healing_ends_with_a_sync_too() {
    let cut = Recorder::default();
    cut.write(&[commit("o", 1, rows(300, 10))]);
    // As if the process had died right after the commit point of the second.
    let steps = cut.write(&[large(2)]);
    let point = steps.iter().position(|step| head(step).is_some_and(|head| head.pending > 0)).unwrap();
    let tree = Recorder::default();
    tree.write(&[commit("o", 1, rows(300, 10))]);
    for step in steps.into_iter().take(point + 1) {
        if let Step::Apply(ops) = step {
            tree.apply(ops).unwrap();
        }
    }
    tree.steps.take();
    assert_eq!(heal(&tree).unwrap(), BTreeMap::from([("o".to_owned(), 2)]));
    assert!(matches!(tree.steps.take().last(), Some(Step::Sync)));
    assert_eq!(*tree.entries.borrow(), *cut.entries.borrow());
}
