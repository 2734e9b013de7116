//! The part of the contract that is about archived rows, and commits without a revision.

use super::contract::{Backend, commit, filler, gone, log_of, now_and_reopened, row, rows_of};
use super::*;

pub(super) fn archived(scope: &str, revision: u64, archive: Vec<RowWrite>) -> Commit {
    Commit { archive, ..commit(scope, revision, vec![]) }
}

/// One that makes no revision.
pub(super) fn beside(scope: &str, head: u64, archive: Vec<RowWrite>) -> Commit {
    Commit { log: None, ..archived(scope, head, archive) }
}

pub(super) fn archive_of(store: &dyn PolicyStore, scope: &str, keys: Range<&[u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let take = &mut |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        Ok(true)
    };
    store.archive(scope, keys, take).unwrap();
    rows
}

pub(super) const ALL: Range<&[u8]> = &[]..&[0xff; 32];

pub(super) fn archived_rows_are_apart_from_rows_and_log(backend: &dyn Backend) {
    let store = backend.open();
    let first =
        Commit { archive: vec![row("a", "archived"), row("b", "2")], ..commit("o", 1, vec![row("a", "state")]) };
    store.write(&[first, archived("oo", 1, vec![row("a", "other")])]).unwrap();
    store.write(&[archived("o", 2, vec![gone("b"), row("c", ""), gone("never")])]).unwrap();
    now_and_reopened(backend, store, &|store| {
        assert_eq!(rows_of(store, "o"), (2, vec![(b"a".to_vec(), b"state".to_vec())]));
        assert_eq!(log_of(store, "o", 0).len(), 2);
        let all = [(b"a".to_vec(), b"archived".to_vec()), (b"c".to_vec(), vec![])];
        assert_eq!(archive_of(store, "o", ALL), all);
        assert_eq!(archive_of(store, "oo", ALL), [(b"a".to_vec(), b"other".to_vec())]);
        assert_eq!(archive_of(store, "none", ALL), []);
    });
}

pub(super) fn a_commit_without_a_delta_makes_no_revision(backend: &dyn Backend) {
    let store = backend.open();
    for early in [beside("o", 0, vec![row("a", "1")]), beside("o", 1, vec![row("a", "1")])] {
        assert!(matches!(store.write(&[early]), Err(StoreError::Revision { head: 0, .. })), "a scope begins with one");
    }
    let with_row = Commit { rows: vec![row("r", "2")], ..beside("o", 1, vec![row("b", "2")]) };
    let both = [archived("o", 1, vec![row("a", "1")]), with_row, archived("o", 2, vec![row("c", "3")])];
    store.write(&both).unwrap();
    // More rows than one batch takes.
    store.write(&[beside("o", 2, (0..200).map(|n| row([b'd', n], [n])).collect())]).unwrap();
    for wrong in [1, 3] {
        let refused = store.write(&[beside("o", wrong, vec![row("x", "x")])]);
        assert!(matches!(refused, Err(StoreError::Revision { head: 2, found, .. }) if found == wrong));
    }
    now_and_reopened(backend, store, &|store| {
        assert_eq!(rows_of(store, "o"), (2, vec![(b"r".to_vec(), b"2".to_vec())]));
        assert_eq!(log_of(store, "o", 0).len(), 2);
        assert_eq!(archive_of(store, "o", ALL).len(), 203);
        assert_eq!(store.scopes().unwrap(), [("o".to_owned(), 2)]);
    });
}

pub(super) fn archives_are_read_by_range_and_stopped(backend: &dyn Backend) {
    let store = backend.open();
    let keys: Vec<Vec<u8>> = (0..300_u16).map(|n| n.to_be_bytes().to_vec()).collect();
    let value = |n: usize| filler(n, if n.is_multiple_of(40) { 50_000 } else { n });
    let rows: Vec<_> = keys.iter().enumerate().map(|(n, key)| row(key.clone(), value(n))).collect();
    for (revision, chunk) in (1..).zip(rows.chunks(20)) {
        store.write(&[archived("o", revision, chunk.to_vec())]).unwrap();
    }
    now_and_reopened(backend, store, &|store| {
        for (from, to) in [(0_u16, 300_u16), (0, 1), (1, 1), (7, 3), (39, 42), (255, 257), (280, 900), (300, 301)] {
            let found = archive_of(store, "o", &from.to_be_bytes()..&to.to_be_bytes());
            let wanted = usize::from(from)..usize::from(to.min(300));
            assert!(found.iter().map(|row| &row.0).eq(keys.get(wanted.clone()).unwrap_or_default()), "{from} to {to}");
            assert!(found.iter().zip(wanted).all(|(row, n)| row.1 == value(n)));
        }
        let mut seen = 0;
        let three = &mut |_: &[u8], _: &[u8]| {
            seen += 1;
            Ok(seen < 3)
        };
        store.archive("o", ALL, three).unwrap();
        assert_eq!(seen, 3);
        let failed = store.archive("o", ALL, &mut |_, _| Err(StoreError::Unreadable("x".into())));
        assert!(matches!(failed, Err(StoreError::Unreadable(_))));
    });
}

pub(super) fn archived_rows_have_the_limits_of_rows(backend: &dyn Backend) {
    let store = backend.open();
    let (key, value) = (vec![0xfe; MAX_KEY_BYTES], filler(1, MAX_VALUE_BYTES));
    for (what, key, value) in
        [("key", vec![0; MAX_KEY_BYTES + 1], vec![]), ("value", vec![0], vec![0; MAX_VALUE_BYTES + 1])]
    {
        let refused = store.write(&[archived("o", 1, vec![row(key, value)])]);
        assert!(matches!(refused, Err(StoreError::Limit { what: found, .. }) if found == what));
    }
    store.write(&[archived("o", 1, vec![row(key.clone(), value.clone()), row([0, 0], "x")])]).unwrap();
    store.write(&[beside("o", 1, vec![row(key.clone(), "small"), row([0], value.clone())])]).unwrap();
    now_and_reopened(backend, store, &|store| {
        let found = archive_of(store, "o", ALL);
        assert!(found == [(vec![0], value.clone()), (vec![0, 0], b"x".to_vec()), (key.clone(), b"small".to_vec())]);
    });
}
