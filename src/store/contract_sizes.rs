//! The part of the contract that is about size: values in parts, rows by the thousand.

use super::contract::{Backend, commit, filler, gone, log_of, now_and_reopened, row, rows_of};
use super::*;

pub(super) fn values_of_all_sizes_come_back(backend: &dyn Backend) {
    let kib = 1024;
    let part = parts::PART_BYTES;
    let sizes = [0, 1, part - 1, part, part + 1, 60 * kib - 1, 60 * kib, 60 * kib + 1, 64 * kib, 2 * part, kib * kib];
    let rows: Vec<RowWrite> =
        sizes.iter().enumerate().map(|(n, &size)| row([u8::try_from(n).unwrap()], filler(n, size))).collect();
    let store = backend.open();
    let all = Commit { log: Some(filler(99, 3 << 20)), ..commit("o", 1, rows.clone()) };
    store.write(&[all.clone()]).unwrap();
    // The same again, each in a commit of its own: the small way where the first went the large one.
    for (revision, row) in (1..).zip(&rows) {
        let delta = row.value.clone().unwrap();
        store.write(&[Commit { log: Some(delta), ..commit("p", revision, vec![row.clone()]) }]).unwrap();
    }
    now_and_reopened(backend, store, &|store| {
        let expected: Vec<_> = rows.iter().map(|r| (r.key.clone(), r.value.clone().unwrap())).collect();
        assert!(rows_of(store, "o").1 == expected);
        assert!(rows_of(store, "p").1 == expected);
        assert!(log_of(store, "o", 1) == [(1, all.log.clone().unwrap())]);
        assert!(log_of(store, "p", 0).into_iter().map(|(_, delta)| delta).eq(expected.iter().map(|r| r.1.clone())));
    });
}

pub(super) fn an_overwritten_large_value_leaves_no_part(backend: &dyn Backend) {
    let store = backend.open();
    let large = |n| row("k", filler(n, 200 << 10));
    let mut expected = Vec::new();
    for (n, rows) in [
        vec![large(1), row("l", "x")],
        vec![row("k", "small")],
        vec![large(2)],
        vec![gone("k")],
        vec![large(3), row("k", "s"), large(4), row("k", "t")],
        (0..500).map(|_| large(5)).take(5).chain([row("k", "u")]).chain((0..100).map(|n| row([n], "v"))).collect(),
    ]
    .into_iter()
    .enumerate()
    {
        for scope in ["o", "p"] {
            // In `o` a write each; `p` gets them all at once, below.
            let made = commit(scope, u64::try_from(n + 1).unwrap(), rows.clone());
            if scope == "o" { store.write(&[made]).unwrap() } else { expected.push(made) }
        }
    }
    store.write(&expected).unwrap();
    now_and_reopened(backend, store, &|store| {
        for scope in ["o", "p"] {
            let (head, rows) = rows_of(store, scope);
            assert_eq!((head, rows.len()), (6, 102));
            assert!(rows.contains(&(b"k".to_vec(), b"u".to_vec())));
        }
    });
}

pub(super) fn a_commit_may_have_thousands_of_rows(backend: &dyn Backend) {
    let store = backend.open();
    let key = |n: u32| n.to_be_bytes().to_vec();
    let rows = (0..5000).rev().map(|n| row(key(n), filler(1, usize::try_from(n % 300).unwrap()))).collect();
    let deletes = (0..5000).step_by(2).map(|n| gone(key(n))).chain([row(key(1), "new")]).collect();
    store.write(&[commit("n", 1, vec![row("a", "1")]), commit("o", 1, rows), commit("n", 2, vec![])]).unwrap();
    assert_eq!(rows_of(&*store, "o").1.len(), 5000);
    store.write(&[commit("o", 2, deletes)]).unwrap();
    now_and_reopened(backend, store, &|store| {
        let (head, rows) = rows_of(store, "o");
        assert_eq!((head, rows.len()), (2, 2500));
        assert!(rows.iter().map(|row| &row.0).is_sorted());
        assert_eq!(rows.first(), Some(&(key(1), b"new".to_vec())));
        assert_eq!(rows_of(store, "n"), (2, vec![(b"a".to_vec(), b"1".to_vec())]));
    });
}
