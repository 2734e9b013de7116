//! One suite for every backend. A backend is a way to open it, again after it was dropped if it
//! keeps what it was given.

use super::*;

/// Opens a backend.
pub(super) trait Backend {
    /// The store, as it is left by whoever had it open before.
    fn open(&self) -> Box<dyn PolicyStore>;
    /// Whether a dropped store opens again with what it had.
    fn keeps(&self) -> bool;
}

pub(super) fn row(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> RowWrite {
    RowWrite { key: key.into(), value: Some(value.into()) }
}

pub(super) fn gone(key: impl Into<Vec<u8>>) -> RowWrite {
    RowWrite { key: key.into(), value: None }
}

pub(super) fn commit(scope: &str, revision: u64, rows: Vec<RowWrite>) -> Commit {
    let log = Some(format!("{scope}@{revision}").into_bytes());
    Commit { scope: scope.to_owned(), revision, log, rows, archive: Vec::new() }
}

pub(super) fn rows_of(store: &dyn PolicyStore, scope: &str) -> (u64, Vec<(Vec<u8>, Vec<u8>)>) {
    let mut rows = Vec::new();
    let head = store
        .load(scope, &mut |key, value| {
            rows.push((key.to_vec(), value.to_vec()));
            Ok(())
        })
        .unwrap();
    (head, rows)
}

pub(super) fn log_of(store: &dyn PolicyStore, scope: &str, from: u64) -> Vec<(u64, Vec<u8>)> {
    let mut log = Vec::new();
    store
        .log(scope, from, &mut |revision, delta| {
            log.push((revision, delta.to_vec()));
            Ok(true)
        })
        .unwrap();
    log
}

/// Bytes that differ from part to part and from value to value.
pub(super) fn filler(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from((n / 251 + n * 7 + seed) % 256).unwrap()).collect()
}

/// What is asked after the writes is asked again of a store that was opened anew.
pub(super) fn now_and_reopened(backend: &dyn Backend, store: Box<dyn PolicyStore>, ask: &dyn Fn(&dyn PolicyStore)) {
    ask(&*store);
    drop(store);
    if backend.keeps() {
        ask(&*backend.open());
    }
}

pub(super) fn an_empty_store_has_nothing(backend: &dyn Backend) {
    now_and_reopened(backend, backend.open(), &|store| {
        assert_eq!(store.scopes().unwrap(), []);
        assert_eq!(rows_of(store, "o"), (0, vec![]));
        assert_eq!(log_of(store, "o", 0), []);
        store.writable().unwrap();
        store.write(&[]).unwrap();
    });
}

pub(super) fn commits_are_seen_in_rows_and_log(backend: &dyn Backend) {
    let store = backend.open();
    store.write(&[commit("o", 1, vec![row("b", "1"), row("a", "2"), row("c", "")])]).unwrap();
    store.write(&[commit("o", 2, vec![row("b", "3"), gone("a"), gone("never")])]).unwrap();
    store.write(&[commit("o", 3, vec![])]).unwrap();
    store.write(&[commit("", 1, vec![row("t", "s"), gone("t"), row("u", "1"), row("u", "2")])]).unwrap();
    now_and_reopened(backend, store, &|store| {
        let heads = [(String::new(), 1), ("o".to_owned(), 3)];
        assert_eq!(store.scopes().unwrap(), heads);
        let rows = vec![(b"b".to_vec(), b"3".to_vec()), (b"c".to_vec(), vec![])];
        assert_eq!(rows_of(store, "o"), (3, rows));
        assert_eq!(rows_of(store, ""), (1, vec![(b"u".to_vec(), b"2".to_vec())]));
        let log: Vec<_> = (1..=3).map(|n| (n, format!("o@{n}").into_bytes())).collect();
        assert_eq!(log_of(store, "o", 0), log);
    });
}

pub(super) fn a_wrong_revision_is_refused_and_nothing_written(backend: &dyn Backend) {
    let store = backend.open();
    store.write(&[commit("o", 1, vec![row("a", "1")])]).unwrap();
    for (wrong, head) in [
        (vec![commit("o", 1, vec![])], 1),
        (vec![commit("o", 3, vec![])], 1),
        (vec![commit("o", 0, vec![])], 1),
        (vec![commit("p", 2, vec![])], 0),
        (vec![commit("o", 2, vec![row("a", "2")]), commit("o", 2, vec![])], 2),
        (vec![commit("p", 1, vec![]), commit("o", u64::MAX, vec![])], 1),
    ] {
        let found = wrong.last().unwrap().revision;
        match store.write(&wrong).unwrap_err() {
            StoreError::Revision { head: h, found: f, .. } => assert_eq!((h, f), (head, found)),
            other => panic!("{other}"),
        }
    }
    store.write(&[commit("o", 2, vec![])]).unwrap();
    now_and_reopened(backend, store, &|store| {
        assert_eq!(rows_of(store, "o"), (2, vec![(b"a".to_vec(), b"1".to_vec())]));
        assert_eq!(store.scopes().unwrap(), [("o".to_owned(), 2)]);
    });
}

pub(super) fn limits_are_errors_and_nothing_is_written(backend: &dyn Backend) {
    let store = backend.open();
    let longest = "s".repeat(MAX_SCOPE_BYTES);
    let too_long = [
        ("scope", commit(&"s".repeat(MAX_SCOPE_BYTES + 1), 1, vec![])),
        ("key", commit("o", 1, vec![row("a", "1"), gone(vec![0; MAX_KEY_BYTES + 1])])),
        ("value", commit("o", 1, vec![row("a", vec![0; MAX_VALUE_BYTES + 1])])),
    ];
    for (name, commit) in too_long {
        match store.write(&[commit]).unwrap_err() {
            StoreError::Limit { what, .. } => assert_eq!(what, name),
            other => panic!("{other}"),
        }
    }
    assert_eq!(store.scopes().unwrap(), []);
    let (key, value) = (vec![0; MAX_KEY_BYTES], filler(1, MAX_VALUE_BYTES));
    store.write(&[commit(&longest, 1, vec![row(key.clone(), value.clone())])]).unwrap();
    now_and_reopened(backend, store, &|store| {
        assert!(rows_of(store, &longest) == (1, vec![(key.clone(), value.clone())]));
    });
}

pub(super) fn logs_are_read_from_anywhere_and_stopped(backend: &dyn Backend) {
    let store = backend.open();
    let commits: Vec<_> = (1..=300).map(|n| commit("o", n, vec![])).collect();
    store.write(&commits).unwrap();
    store.write(&[commit("oo", 1, vec![])]).unwrap();
    now_and_reopened(backend, store, &|store| {
        for (from, count) in [(0, 300), (1, 300), (2, 299), (256, 45), (300, 1), (301, 0), (u64::MAX, 0)] {
            let log = log_of(store, "o", from);
            assert_eq!(log.len(), count);
            assert!(log.iter().map(|entry| entry.0).eq(from.max(1)..from.max(1).saturating_add(log.len() as u64)));
        }
        let mut seen = 0;
        let count = &mut |_: u64, _: &[u8]| {
            seen += 1;
            Ok(seen < 3)
        };
        store.log("o", 7, count).unwrap();
        assert_eq!(seen, 3);
        let failed = store.log("o", 7, &mut |_, _| Err(StoreError::Unreadable("x".into())));
        assert!(matches!(failed, Err(StoreError::Unreadable(_))));
        let failed = store.load("o", &mut |_, _| Err(StoreError::Unreadable("x".into())));
        assert!(matches!(failed, Ok(300)));
    });
}

pub(super) fn scopes_with_hostile_names_are_apart(backend: &dyn Backend) {
    let store = backend.open();
    let long = "\u{10ffff}".repeat(32);
    let names = ["", "a", "a\0", "a\u{1}", "aR", "ab", "\0", "\u{1}a", "\u{7f}", "\u{fffd}format", &long];
    for (n, name) in names.iter().enumerate() {
        let rows = vec![row(*name, [u8::try_from(n).unwrap()]), row("", "empty"), row("x", "x"), row([0xff; 9], "y")];
        store.write(&[commit(name, 1, rows), commit(name, 2, vec![gone("x")])]).unwrap();
    }
    now_and_reopened(backend, store, &|store| {
        let mut sorted: Vec<_> = names.iter().map(|name| ((*name).to_owned(), 2)).collect();
        sorted.sort();
        let mut heads = store.scopes().unwrap();
        heads.sort();
        assert_eq!(heads, sorted);
        for (n, name) in names.iter().enumerate() {
            let (head, rows) = rows_of(store, name);
            let own = rows.iter().find(|row| row.0 == name.as_bytes()).unwrap();
            assert_eq!((head, rows.len()), (2, if name.is_empty() { 2 } else { 3 }));
            assert!(name.is_empty() || own.1 == [u8::try_from(n).unwrap()]);
            assert_eq!(log_of(store, name, 2), [(2, format!("{name}@2").into_bytes())]);
        }
    });
}

pub(super) fn rows_are_loaded_in_the_order_of_their_keys(backend: &dyn Backend) {
    let store = backend.open();
    let mut keys: Vec<Vec<u8>> = vec![vec![], vec![0], vec![0, 0], vec![0, 0, 0], vec![0, 0xff], vec![0, 1]];
    keys.extend([b"a".to_vec(), b"a\0".to_vec(), b"a\0b".to_vec(), b"a\x01".to_vec(), b"ab".to_vec()]);
    keys.extend([vec![0xff], vec![0xff, 0], vec![0xff, 0xff], vec![1]]);
    let rows = keys.iter().rev().map(|key| row(key.clone(), filler(key.len(), 40_000))).collect();
    store.write(&[commit("o", 1, rows)]).unwrap();
    keys.sort();
    now_and_reopened(backend, store, &|store| {
        assert!(rows_of(store, "o").1.into_iter().map(|row| row.0).eq(keys.iter().cloned()));
    });
}

/// Random commits against what they should come to.
pub(super) fn any_commits_come_to_what_they_say(backend: &dyn Backend) {
    let mut random = fastrand::Rng::with_seed(11);
    let mut store = backend.open();
    let mut expected: BTreeMap<String, (u64, BTreeMap<Vec<u8>, Vec<u8>>)> = BTreeMap::new();
    for round in 0..60 {
        let mut commits = Vec::new();
        for _ in 0..random.usize(0..6) {
            let name = ["", "o", "o\0"][random.usize(0..3)].to_owned();
            let scope = expected.entry(name.clone()).or_default();
            scope.0 += 1;
            let count = if random.u8(0..5) == 0 { random.usize(50..200) } else { random.usize(0..5) };
            let mut rows = Vec::new();
            for _ in 0..count {
                let key = vec![random.u8(0..3); random.usize(0..12)];
                let size = if random.u8(0..8) == 0 { random.usize(0..120_000) } else { random.usize(0..40) };
                let value = (random.u8(0..4) > 0).then(|| filler(round, size));
                match &value {
                    Some(value) => drop(scope.1.insert(key.clone(), value.clone())),
                    None => drop(scope.1.remove(&key)),
                }
                rows.push(RowWrite { key, value });
            }
            commits.push(commit(&name, scope.0, rows));
        }
        store.write(&commits).unwrap();
        if round % 10 == 9 && backend.keeps() {
            drop(store);
            store = backend.open();
        }
        for (name, (head, rows)) in &expected {
            let (found_head, found) = rows_of(&*store, name);
            assert_eq!(found_head, *head);
            assert!(found.iter().map(|row| (&row.0, &row.1)).eq(rows), "round {round}");
            assert_eq!(log_of(&*store, name, 0).len() as u64, *head);
        }
    }
}

/// Runs the suite as one test a function.
macro_rules! contract {
    ($backend:expr; $($module:ident::$name:ident)*) => {
        $(#[test] fn $name() { crate::store::$module::$name(&$backend); })*
    };
    ($backend:expr) => {
        contract! { $backend;
            contract::an_empty_store_has_nothing
            contract::commits_are_seen_in_rows_and_log
            contract::a_wrong_revision_is_refused_and_nothing_written
            contract::limits_are_errors_and_nothing_is_written
            contract::logs_are_read_from_anywhere_and_stopped
            contract::scopes_with_hostile_names_are_apart
            contract::rows_are_loaded_in_the_order_of_their_keys
            contract::any_commits_come_to_what_they_say
            contract_sizes::values_of_all_sizes_come_back
            contract_sizes::an_overwritten_large_value_leaves_no_part
            contract_sizes::a_commit_may_have_thousands_of_rows
            contract_archive::archived_rows_are_apart_from_rows_and_log
            contract_archive::a_commit_without_a_delta_makes_no_revision
            contract_archive::archives_are_read_by_range_and_stopped
            contract_archive::archived_rows_have_the_limits_of_rows
        }
    };
}

mod memory {
    use super::super::{MemoryStore, PolicyStore, contract};

    struct Memory;

    impl contract::Backend for Memory {
        fn open(&self) -> Box<dyn PolicyStore> {
            Box::new(MemoryStore::new())
        }
        fn keeps(&self) -> bool {
            false
        }
    }

    contract!(Memory);
}

mod sled {
    use super::super::{Options, PolicyStore, SledStore, contract};

    struct Directory(tempfile::TempDir);

    impl contract::Backend for Directory {
        fn open(&self) -> Box<dyn PolicyStore> {
            Box::new(SledStore::open(self.0.path(), Options::default()).unwrap())
        }
        fn keeps(&self) -> bool {
            true
        }
    }

    contract!(Directory(tempfile::tempdir().unwrap()));
}
