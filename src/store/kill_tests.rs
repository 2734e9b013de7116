//! A process is killed in the middle of its writes, again and again, and loses nothing that it said
//! was durable. The test starts itself as that process.
//!
//! The child writes small commits of scope `small` and, now and then, a large one of `large`, and
//! prints a line for each once it is durable. The parent kills it (SIGKILL) at some moment, opens
//! the store, and asks: is every commit there that was printed, is none there in part, and is no
//! revision missing? Then the next child goes on where that one died. It shows nothing about the
//! loss of power: the kernel keeps the page cache of a dead process.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::contract::{commit, log_of, row, rows_of};
use super::contract_archive::{ALL, archive_of};
use super::*;

const DIRECTORY: &str = "DOORWARD_TEST_KILLED_STORE";
const ROUNDS: u64 = 8;
const LARGE_ROWS: u32 = 700;

fn head_of(store: &dyn PolicyStore, scope: &str) -> u64 {
    store.scopes().unwrap().iter().find(|known| known.0 == scope).map_or(0, |known| known.1)
}

/// Row `n` holds the number of the last revision that wrote it; a small commit writes three rows, and
/// archives one of its own.
fn small(revision: u64) -> Commit {
    let value = revision.to_be_bytes();
    let archive = vec![row(value, value)];
    Commit { archive, ..commit("small", revision, (0..3).map(|n| row([n], value)).collect()) }
}

/// Makes no revision, and archives one row after that of its revision.
fn beside(revision: u64) -> Commit {
    let key = [&revision.to_be_bytes()[..], b"beside"].concat();
    Commit { log: None, archive: vec![row(key, "")], ..commit("small", revision, vec![]) }
}

/// Every row holds the revision: two revisions in one state mean a commit in part.
fn large(revision: u64) -> Commit {
    let value = revision.to_be_bytes().repeat(50);
    commit("large", revision, (0..LARGE_ROWS).map(|n| row(n.to_be_bytes(), value.clone())).collect())
}

/// The child: writes until it is killed. A test by itself only because that is how it is started.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let store: Arc<dyn PolicyStore> = Arc::new(SledStore::open(directory, Options::default()).unwrap());
    let (mut next_small, mut next_large) = (head_of(&*store, "small"), head_of(&*store, "large"));
    let say = |payloads: Vec<(&str, u64)>| {
        let mut out = std::io::stderr().lock();
        for (scope, revision) in payloads {
            writeln!(out, "durable {scope} {revision}").unwrap();
        }
    };
    let options = CommitterOptions { queue_commits: 64, ..CommitterOptions::default() };
    let committer = Committer::spawn(store, options, say, |error| panic!("{error}")).unwrap();
    let submit = |commit: Commit, scope: &'static str| {
        let revision = commit.revision;
        loop {
            match committer.submit(commit.clone(), (scope, revision)) {
                Ok(()) => return,
                Err(StoreError::Busy) => std::thread::sleep(Duration::from_micros(200)),
                Err(error) => panic!("{error}"),
            }
        }
    };
    for turn in 0_u64.. {
        next_small += 1;
        submit(small(next_small), "small");
        submit(beside(next_small), "small");
        if turn % 100 == 50 {
            next_large += 1;
            submit(large(next_large), "large");
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_it_called_durable_and_leaves_nothing_in_part() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..ROUNDS {
        let said = kill_a_child(dir.path(), Duration::from_millis(random.u64(60..350)));
        let store = SledStore::open(dir.path(), Options::default()).unwrap();
        for (scope, said) in [("small", said.0), ("large", said.1)] {
            let (head, rows) = rows_of(&store, scope);
            assert!(head >= said, "round {round}: {scope} {said} was durable, {head} is there");
            let whole = rows.iter().all(|row| row.1.starts_with(&head.to_be_bytes()));
            assert!(whole, "round {round}: {scope} {head} is there in part");
            let expected = if scope == "small" { 3 } else { LARGE_ROWS as usize };
            assert_eq!(rows.len(), if head == 0 { 0 } else { expected });
            let log = log_of(&store, scope, 0);
            assert!(log.iter().map(|entry| entry.0).eq(1..=head));
        }
        let archive = archive_of(&store, "small", ALL);
        let head = head_of(&store, "small");
        let keys: BTreeSet<&[u8]> = archive.iter().map(|row| row.0.as_slice()).collect();
        let without = (1..=head).filter(|revision| !keys.contains(&revision.to_be_bytes()[..])).count();
        assert_eq!(without, 0, "round {round}: every revision has archived its row");
        // The kill may part a revision from what follows it: at the end of each round, at most.
        let alone = usize::try_from(head).unwrap() * 2 - archive.len();
        assert!(alone <= usize::try_from(round).unwrap() + 1, "round {round}: {alone} rows beside are missing");
    }
    let store = SledStore::open(dir.path(), Options::default()).unwrap();
    assert!(head_of(&store, "small") > ROUNDS && head_of(&store, "large") > 0);
}

/// Returns the last revisions of both scopes that the child called durable.
fn kill_a_child(directory: &Path, after: Duration) -> (u64, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("store::kill_tests::child_that_writes_until_it_is_killed")
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        let (mut said, mut other) = ((0, 0), Vec::new());
        for line in lines.map(Result::unwrap) {
            let mut words = line.split(' ');
            match (words.next(), words.next(), words.next().and_then(|n| n.parse().ok())) {
                (Some("durable"), Some("small"), Some(n)) => said.0 = n,
                (Some("durable"), Some("large"), Some(n)) => said.1 = n,
                _ => other.push(line),
            }
        }
        (said, other)
    });
    std::thread::sleep(after);
    child.kill().unwrap();
    let status = child.wait().unwrap();
    let (said, other) = reader.join().unwrap();
    assert_eq!(status.code(), None, "the child ended by itself: {other:?}");
    said
}
