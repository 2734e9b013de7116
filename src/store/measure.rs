//! Measurements, run by hand: `cargo test --lib --release store::measure -- --ignored --nocapture`.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use super::contract::{commit, filler, row};
use super::*;

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn cache_options() -> Options {
    let mib = std::env::var("CACHE_MIB").map_or(4, |n| n.parse::<u64>().unwrap());
    Options { cache_bytes: mib << 20, ..Options::default() }
}

fn disk_mib(path: &Path) -> u64 {
    path.join("db").metadata().unwrap().len() >> 20
}

#[test]
#[ignore = "a measurement"]
fn transactions_a_second_by_waiters() {
    for waiters in [1_usize, 32, 256] {
        let dir = tempfile::tempdir_in(std::env::var("MEASURE_IN").unwrap_or_else(|_| "/tmp".into())).unwrap();
        let store: Arc<dyn PolicyStore> = Arc::new(SledStore::open(dir.path(), Options::default()).unwrap());
        let free = Arc::new((Mutex::new(waiters), Condvar::new()));
        let done = Arc::clone(&free);
        let on_durable = move |payloads: Vec<()>| {
            *done.0.lock().unwrap() += payloads.len();
            done.1.notify_one();
        };
        let committer = Committer::spawn(store, CommitterOptions::default(), on_durable, |e| panic!("{e}")).unwrap();
        let (begin, mut revision) = (Instant::now(), 0);
        while begin.elapsed().as_secs() < 5 {
            let mut waiting = free.0.lock().unwrap();
            while *waiting == 0 {
                waiting = free.1.wait(waiting).unwrap();
            }
            let take = std::mem::take(&mut *waiting);
            drop(waiting);
            for _ in 0..take {
                revision += 1;
                let key = (revision % 10_000_u64).to_be_bytes();
                committer.submit(commit("o", revision, vec![row(key, filler(0, 200))]), ()).unwrap();
            }
        }
        committer.stop();
        let seconds = begin.elapsed().as_secs_f64();
        println!(
            "{waiters} waiters: {:.0} commits/s, {} MiB on disk, {} MiB resident",
            revision as f64 / seconds,
            disk_mib(dir.path()),
            resident_mib()
        );
    }
}

/// Memory is that of the process: run one at a time, `ROWS=10000 CACHE_MIB=4`; with `IN=directory`
/// the second run only opens and loads.
#[test]
#[ignore = "a measurement"]
fn memory_and_time_of_a_large_commit() {
    let number = |name, or| std::env::var(name).map_or(or, |n: String| n.parse::<u64>().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let path = std::env::var("IN").map_or(temporary.path().to_path_buf(), Into::into);
    let (count, cache_bytes) = (number("ROWS", 10_000), number("CACHE_MIB", 4) << 20);
    let before = resident_mib();
    let begin = Instant::now();
    let store = SledStore::open(&path, Options { cache_bytes, ..Options::default() }).unwrap();
    println!("{before} MiB before, opened in {:?}, {} MiB", begin.elapsed(), resident_mib());
    if store.scopes().unwrap().is_empty() {
        let rows = (0..count).map(|n| row(n.to_be_bytes(), filler(0, 200))).collect();
        let all = commit("o", 1, rows);
        let (held, begin) = (resident_mib(), Instant::now());
        store.write(&[all]).unwrap();
        let (wrote, after, disk) = (begin.elapsed(), resident_mib(), disk_mib(&path));
        println!("{count} rows: {held} MiB with the commit, {after} after, {wrote:?}, {disk} MiB on disk");
    }
    for _ in 0..number("IDLE_SECONDS", 0) {
        std::thread::sleep(std::time::Duration::from_secs(1));
    }
    println!("{} MiB on disk", disk_mib(&path));
    let (begin, mut n) = (Instant::now(), 0);
    let count = &mut |_: &[u8], _: &[u8]| {
        n += 1;
        Ok(())
    };
    store.load("o", count).unwrap();
    println!("{n} rows loaded in {:?}, {} MiB resident", begin.elapsed(), resident_mib());
}

#[test]
#[ignore = "a measurement"]
fn disk_after_churn() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = std::env::var("IN").map_or(temporary.path().to_path_buf(), Into::into);
    let store = SledStore::open(&dir, cache_options()).unwrap();
    let mut revision = store.scopes().unwrap().first().map_or(0, |scope| scope.1);
    println!("opened at {revision}: {} MiB on disk, {} MiB resident", disk_mib(&dir), resident_mib());
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..std::env::var("ROUNDS").map_or(10, |n| n.parse().unwrap()) {
        let begin = Instant::now();
        for _ in 0..300 {
            let commits: Vec<_> = (0..32)
                .map(|_| {
                    revision += 1;
                    Commit {
                        log: Some(vec![1]),
                        ..commit("o", revision, vec![row(random.u64(0..10_000).to_be_bytes(), filler(0, 300))])
                    }
                })
                .collect();
            store.write(&commits).unwrap();
        }
        println!(
            "round {round}: {} MiB on disk, {} MiB resident, {:?}",
            disk_mib(&dir),
            resident_mib(),
            begin.elapsed()
        );
    }
}
