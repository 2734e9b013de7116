//! How long a decision takes in this process: from borrowed texts to a reason, all rules on.
//!
//! Population: the organization `customer` of the real access data (or one generated with its
//! numbers of users, permissions and roles; the first line says which), with re-authentication set,
//! so that no rule is passed over for want of a setting. Mix: half of the questions are allowed and
//! half denied, the denied ones for a permission that exists and the user lacks: the longest walk.
//! Users are drawn by Zipf's law (exponent 1) or uniformly, over shuffled ids. A million questions
//! are made beforehand and asked once each, in blocks of 32 between two readings of the clock, their
//! texts borrowed before the first of the two: p50 and p99 are of blocks, divided by 32.
//!
//! `cargo bench --bench decide`
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench may fail loudly"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use doorward::cli::file::{Known as Shipped, OrganizationFile};
use doorward::clock::{Clock, SystemClock};
use doorward::core::change::Change;
use doorward::core::decision::decide;
use doorward::core::model::{GroupKind, Member, Row};
use doorward::store::MemoryStore;
use fastrand::Rng;

#[path = "../real/matrix.rs"]
mod matrix;
mod measure;
mod questions;
mod running;

use matrix::{Known, OBJECT};
use measure::resident_mb;
use questions::{Population, Questions};
use running::{Running, engine, write};

const CHURN_PER_SECOND: u32 = 1_000;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    println!(
        "cores: {} (shared with whatever else runs), resident at the start {} MB",
        measure::cores(),
        resident_mb()
    );
    let known = matrix::data().map_or_else(
        |missing| {
            println!("population: generated, for {} is not there", missing.display());
            matrix::generated()
        },
        |data| matrix::matrix(&data, "customer"),
    );
    println!(
        "population: `{}`, {} users × {} permissions; {}",
        known.id,
        known.on_object.len(),
        known.permissions.len(),
        known.paths
    );
    let rows = OrganizationFile::parse(&known.file.to_string(), "bench.json", Shipped::of).map(|f| f.rows);
    let rows = rows.unwrap_or_else(|errors| panic!("{errors}"));
    let population = Population {
        id: known.id.clone(),
        users: known.on_object.keys().cloned().collect(),
        holds: Box::new(sets(&known)),
        permissions: known.permissions,
        object: OBJECT,
    };
    measure_all(&population, rows);
}

fn sets(known: &Known) -> impl Fn(usize, usize) -> bool + use<> {
    let index = |name: &String| known.permissions.binary_search(name).unwrap();
    let held: Vec<Vec<usize>> = known.on_object.values().map(|set| set.iter().map(index).collect()).collect();
    move |user, permission| held[user].contains(&permission)
}

fn measure_all(population: &Population, rows: Vec<Row>) {
    let engine = engine(Arc::new(MemoryStore::new()));
    engine.replace(&population.id, rows);
    println!(
        "memory: {} MB resident with the organization published and stored in memory, the bench's own data included",
        resident_mb()
    );
    let table = engine.block_on(engine.engine.table(&population.id, None, Duration::ZERO)).unwrap();
    for (draw, zipf) in [("Zipf 1.0", true), ("uniform", false)] {
        for record in [false, true] {
            let questions = Questions::draw(population, zipf, record);
            let what = if record { "account, object and record" } else { "object" };
            let mix = format!("{draw}, {what}");
            let now = SystemClock.now();
            questions.run(&format!("decide            {mix}"), |q| decide(&table, q, now).unwrap());
            questions.run(&format!("engine.authorize  {mix}"), |q| engine.ask(&population.id, q));
        }
    }
    drop(table);
    churn(population, &engine);
}

/// Decisions while another thread changes a thousand memberships a second.
fn churn(population: &Population, engine: &Running) {
    let group = {
        let table = engine.block_on(engine.engine.table(&population.id, None, Duration::ZERO)).unwrap();
        table.list_groups(None, 100).items.into_iter().find(|g| g.kind == GroupKind::Manual).unwrap().id
    };
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = std::thread::spawn({
        let (engine, stop, written) = (Arc::clone(&engine.engine), Arc::clone(&stop), Arc::clone(&written));
        let (id, group, users) = (population.id.clone(), group.clone(), population.users.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        move || {
            let mut rng = Rng::with_seed(1_000);
            let start = Instant::now();
            for tick in 0u32.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(
                    (start + Duration::from_secs(1) / CHURN_PER_SECOND * tick)
                        .saturating_duration_since(Instant::now()),
                );
                let members = vec![Member::User(rng.choice(&users).unwrap().parse().unwrap())];
                let group = group.clone();
                let change = if rng.bool() {
                    Change::AddMembers { group, members }
                } else {
                    Change::RemoveMembers { group, members }
                };
                runtime.block_on(write(&engine, &id, change));
                written.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    for (draw, zipf) in [("Zipf 1.0", true), ("uniform", false)] {
        let questions = Questions::draw(population, zipf, false);
        // Long enough that the writer's rate means something.
        let (start, before) = (Instant::now(), written.load(Ordering::Relaxed));
        while start.elapsed() < Duration::from_secs(2) {
            questions.run(&format!("engine.authorize  {draw}, object, under churn"), |q| engine.ask(&population.id, q));
        }
        let writes = (written.load(Ordering::Relaxed) - before) as f64 / start.elapsed().as_secs_f64();
        println!(
            "    beside {writes:.0} calls a second that change members of `{group}` ({CHURN_PER_SECOND} wanted; half change nothing)"
        );
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
}
