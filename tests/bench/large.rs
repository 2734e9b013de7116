//! What does not grow with an organization, and what does: decisions at 1,000 to 1,000,000 users, bytes a user, the table work
//! of writes, a batch, and a store of a million users: its load, its memory, decisions beside fsynced writes.
//!
//! Populations: `peopled.rs`. Mix: half of the questions are allowed; users by Zipf's law (exponent 1) or uniformly, over
//! shuffled ids; a million questions made beforehand and asked once each (`questions.rs`). What is asked for is
//! printed beside what was measured. Processes of their own build and load the store, so that nothing else is in
//! their memory.
//!
//! `cargo bench --bench large` · `-- decisions` · `-- memory` · `-- writes` · `-- batch` · `-- store` · `--picture FILE` draws the decisions
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench may fail loudly"
)]

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use doorward::clock::{Clock, SystemClock};
use doorward::core::change::{Change, apply};
use doorward::core::decision::{Question, Reason, Record, Resource, decide};
use doorward::core::model::{Member, Row};
use doorward::core::table::Table;
use doorward::service::proto::decision_service_server::DecisionService;
use doorward::service::proto::{AuthorizeRequest, BatchAuthorizeRequest, Resource as Place};
use doorward::service::{Caller, Decisions, Peer};
use doorward::store::{MemoryStore, Options, SledStore};
use fastrand::Rng;

mod measure;
mod peopled;
mod picture;
mod questions;
mod running;

use measure::{Spread, high_water_mb, resident_kb, resident_mb};
use peopled::{CONDITION, CREW, MEMBERSHIPS, OBJECT, Size};
use questions::{QUESTIONS, Questions};
use running::{engine, write};

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const LARGEST: Size = Size { users: 1_000_000 };
const BLOCK: usize = 32;
/// In one call of `BatchAuthorize`.
const BATCH: usize = 10_000;
const WRITERS: u64 = 32;
const WRITES: u64 = 100_000;
const CHURN_PER_SECOND: u32 = 1_000;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let after = |name: &str| args.iter().position(|arg| arg == name).map(|at| Path::new(&args[at + 1]));
    match (after("--fill"), after("--load")) {
        (Some(folder), _) => return fill(folder),
        (_, Some(folder)) => return load(folder),
        _ => {}
    }
    let parts = ["decisions", "memory", "writes", "batch", "store"];
    let none = !parts.iter().any(|part| args.iter().any(|arg| arg == part));
    let wanted = |part: &str| none || args.iter().any(|arg| arg == part);
    println!("cores: {} (shared with whatever else runs)", measure::cores());
    if wanted("decisions") {
        let lines = SIZES.map(|users| decisions(Size { users }));
        let flat = lines[3].1 / lines[0].1;
        println!("Zipf: at 1,000,000 users {flat:.2} times the median at 1,000 (wanted ≤ 5: {})", met(flat, 5.0));
        if let Some(file) = after("--picture") {
            std::fs::write(file, picture::draw(&lines)).unwrap();
        }
    }
    if wanted("memory") {
        memory();
    }
    if wanted("writes") {
        writes(&table(LARGEST));
    }
    if wanted("batch") {
        batch();
    }
    if wanted("store") {
        let folder = tempfile::tempdir().unwrap();
        let this = std::env::current_exe().unwrap();
        for what in ["--fill", "--load"] {
            assert!(Command::new(&this).arg(what).arg(folder.path()).status().unwrap().success());
        }
    }
}

fn met(measured: f64, most: f64) -> &'static str {
    if measured <= most { "met" } else { "NOT MET" }
}

fn table(size: Size) -> Table {
    table_of(peopled::rows(size))
}

fn table_of(rows: Vec<Row>) -> Table {
    let blank = Table::blank("large".parse().unwrap(), "bench".into(), 1);
    apply(&blank, vec![Change::Replace { rows, deactivate_missing: false }])
        .map(|a| a.table)
        .unwrap_or_else(|e| panic!("{e:?}"))
}

/// The size and the medians of Zipf's law and of a uniform draw.
fn decisions(size: Size) -> picture::Line {
    let blank = Table::blank("large".parse().unwrap(), "bench".into(), 1);
    let rows = peopled::rows(size);
    let (before, start) = (resident_kb(), Instant::now());
    let made = apply(&blank, vec![Change::Replace { rows, deactivate_missing: false }]);
    // The rows are gone, and what was written of them.
    let table = made.map(|a| a.table).unwrap_or_else(|e| panic!("{e:?}"));
    let (took, more) = (start.elapsed(), resident_kb() - before);
    println!(
        "population: {} users × {MEMBERSHIPS} of {} groups, {} roles; built in {:.2} s; {more} kB more resident than with its rows",
        size.users,
        size.groups(),
        size.roles(),
        took.as_secs_f64()
    );
    let population = peopled::population(size);
    let now = SystemClock.now();
    let large = size.users == LARGEST.users;
    let [zipf, uniform] =
        [("Zipf 1.0", true, [150.0, 700.0]), ("uniform", false, [450.0, f64::INFINITY])].map(|(draw, zipf, wanted)| {
            let questions = Questions::draw(&population, zipf, false);
            let spread =
                questions.run(&format!("decide            {draw}, object"), |q| decide(&table, q, now).unwrap());
            for (share, most) in [0.5, 0.99].into_iter().zip(wanted).filter(|(_, most)| large && most.is_finite()) {
                println!("    {draw}, p{:.0}: wanted ≤ {most} ns: {}", share * 100.0, met(spread.at(share), most));
            }
            spread.at(0.5)
        });
    if large {
        reading_attributes(size, &table, now);
    }
    (size.users, zipf, uniform)
}

/// Decisions about records that read the asking user's attributes and reports.
fn reading_attributes(size: Size, table: &Table, now: i64) {
    let mut rng = Rng::with_seed(33);
    let user = |rng: &mut Rng| format!("u{}", rng.usize(..size.users));
    let asked: Vec<_> =
        (0..QUESTIONS / 5).map(|_| (user(&mut rng), user(&mut rng), peopled::record(&mut rng))).collect();
    let (mut spread, mut allowed) = (Spread::default(), 0);
    for block in asked.chunks_exact(BLOCK) {
        let start = Instant::now();
        for (principal, owner, attributes) in block {
            let record = Some(Record { id: "r", owner, attributes, ..Record::default() });
            let resource = Resource { object: OBJECT, record, ..Resource::default() };
            let question = Question { principal, permission: "records.see", resource, ..Question::default() };
            allowed += usize::from(black_box(decide(table, &question, now).unwrap()) == Reason::Allowed);
        }
        spread.add(start.elapsed().as_nanos() as f64 / BLOCK as f64);
    }
    let allowed = 100.0 * allowed as f64 / asked.len() as f64;
    println!(
        "decide            uniform, a record, `{CONDITION}`: {} ns a decision, {} asked, {allowed:.1}% allowed",
        spread.line(),
        asked.len()
    );
}

/// The bytes in which users lie, counted page by page: with their memberships and without, so that the difference is
/// what memberships take. Attributes, and the row as it was put, are a part of what a user takes.
fn memory() {
    let mut rows = peopled::rows(LARGEST);
    let with = table_of(rows.clone()).user_bytes();
    let (mut memberships, mut text) = (0, 0);
    for row in &mut rows {
        if let Row::User(user) = row {
            memberships += std::mem::take(&mut user.groups).len();
            text += user.id.as_str().len() + user.email.as_str().len();
        }
    }
    let without = table_of(rows).user_bytes();
    let a_membership = (with - without) as f64 / memberships as f64;
    let a_user = (without - text) as f64 / LARGEST.users as f64;
    println!(
        "memory: {a_user:.1} bytes a user beyond the id's and the address's text (wanted ≤ 128: {}), {a_membership:.1} a membership (wanted ≤ 9: {})",
        met(a_user, 128.0),
        met(a_membership, 9.0)
    );
}

/// What a write does to the table, without the store.
fn writes(table: &Table) {
    let mut rng = Rng::with_seed(7);
    let mut spread = Spread::default();
    for _ in 0..2_000 {
        let group = format!("g{}", rng.usize(..LARGEST.groups())).parse().unwrap();
        let members = vec![Member::User(format!("u{}", rng.usize(..LARGEST.users)).parse().unwrap())];
        let start = Instant::now();
        let made = apply(table, vec![Change::AddMembers { group, members }]);
        spread.add(start.elapsed().as_nanos() as f64 / 1e3);
        drop(black_box(made.map(|a| a.table).unwrap_or_else(|e| panic!("{e:?}"))));
    }
    println!("table work: a user added to a group: {} µs (wanted ≤ 50: {})", spread.line(), met(spread.at(0.5), 50.0));
    let row = table.role_row(&CREW.parse().unwrap()).unwrap();
    let mut spread = Spread::default();
    for n in 0..100 {
        let mut row = row.clone();
        row.permissions[n % 20] = format!("data.p{n}").parse().unwrap();
        row.permissions.sort();
        row.permissions.dedup();
        let start = Instant::now();
        let made = apply(table, vec![Change::Update { row: Row::Role(row), etag: None }]);
        spread.add(start.elapsed().as_nanos() as f64 / 1e6);
        drop(black_box(made.map(|a| a.table).unwrap_or_else(|e| panic!("{e:?}"))));
    }
    println!(
        "table work: other permissions in a role of 100,000 users: p50 {:.2}, p99 {:.2} ms (wanted ≤ 5: {})",
        spread.at(0.5),
        spread.at(0.99),
        met(spread.at(0.5), 5.0)
    );
}

/// `BatchAuthorize` as its handler has it: decoded messages in, messages out.
fn batch() {
    let running = engine(Arc::new(MemoryStore::new()));
    let population = peopled::population(LARGEST);
    running.replace(&population.id, peopled::rows(LARGEST));
    let decisions = Decisions::new(Arc::clone(&running.engine));
    for (draw, zipf, wanted) in [("Zipf 1.0", true, 5.0), ("uniform", false, 3.0)] {
        let questions = Questions::draw(&population, zipf, false);
        let mut spread = Spread::default();
        for call in 0..QUESTIONS / BATCH {
            let item = |n: usize| {
                let question = questions.question(call * BATCH + n);
                let resource = Place { object: OBJECT.to_owned(), ..Place::default() };
                AuthorizeRequest {
                    principal: question.principal.to_owned(),
                    permission: question.permission.to_owned(),
                    resource: Some(resource),
                    ..AuthorizeRequest::default()
                }
            };
            let (organization, items) = (population.id.clone(), (0..BATCH).map(item).collect());
            let message = BatchAuthorizeRequest { organization, items, ..BatchAuthorizeRequest::default() };
            let mut request = tonic::Request::new(message);
            let caller = Caller { name: "bench".to_owned(), bearer: None, on_behalf_of: None, peer: Peer::default() };
            request.extensions_mut().insert(caller);
            let start = Instant::now();
            let reply = running.block_on(decisions.batch_authorize(request)).unwrap();
            spread.add(BATCH as f64 / start.elapsed().as_nanos() as f64 * 1e3);
            assert_eq!(reply.into_inner().results.len(), BATCH);
        }
        let rate = spread.at(0.5);
        println!(
            "BatchAuthorize of {BATCH}, {draw}, in process on one core: {rate:.2} million checks a second (wanted ≥ {wanted}: {})",
            if rate >= wanted { "met" } else { "NOT MET" }
        );
    }
}

/// Puts the largest organization into a store.
fn fill(folder: &Path) {
    let running = engine(Arc::new(SledStore::open(folder, Options::default()).unwrap()));
    let start = Instant::now();
    running.replace("large", peopled::rows(LARGEST));
    println!(
        "store: {} users applied in {:.1} s, rows of this bench beside it; VmHWM {} MB",
        LARGEST.users,
        start.elapsed().as_secs_f64(),
        high_water_mb()
    );
    running.engine.stop();
}

/// Opens it again, and asks and changes.
fn load(folder: &Path) {
    let start = Instant::now();
    let store = SledStore::open(folder, Options::default()).unwrap();
    let opened = start.elapsed();
    let running = engine(Arc::new(store));
    let loaded = start.elapsed().as_secs_f64();
    println!(
        "store: loaded in {loaded:.2} s, of which {:.2} s to open sled (wanted ≤ 5: {}); {} MB resident, VmHWM {}",
        opened.as_secs_f64(),
        met(loaded, 5.0),
        resident_mb(),
        high_water_mb()
    );
    std::thread::sleep(Duration::from_secs(60));
    let idle = resident_mb();
    println!("store: {idle} MB resident after 60 s (wanted ≤ 700: {})", met(idle as f64, 700.0));
    let start = Instant::now();
    running.block_on(async {
        let share = |writer: u64| {
            let engine = Arc::clone(&running.engine);
            async move {
                let mut rng = Rng::with_seed(writer);
                for _ in 0..WRITES / WRITERS {
                    write(&engine, "large", change(&mut rng)).await;
                }
            }
        };
        let all: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(share(writer))).collect();
        for one in all {
            one.await.unwrap();
        }
    });
    let high = high_water_mb();
    println!(
        "store: {:.0} durable writes a second by {WRITERS} writers; {} MB resident; VmHWM {high} MB (wanted ≤ {:.0}: {})",
        WRITES as f64 / start.elapsed().as_secs_f64(),
        resident_mb(),
        700.0 * 1.5,
        met(high as f64, 700.0 * 1.5)
    );
    let population = peopled::population(LARGEST);
    let questions = Questions::draw(&population, true, false);
    let ask = |what: &str| questions.run(&format!("engine.authorize  Zipf 1.0, {what}"), |q| running.ask("large", q));
    ask("to warm");
    // In turn, so that what else the machine does meets both.
    let mut ratios = Spread::default();
    for _ in 0..5 {
        let alone = ask("alone").at(0.99);
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let churn = std::thread::spawn({
            let (engine, stop, written) = (Arc::clone(&running.engine), Arc::clone(&stop), Arc::clone(&written));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            move || {
                let mut rng = Rng::with_seed(1_000);
                let start = Instant::now();
                let tasks = tokio::task::LocalSet::new();
                tasks.block_on(&runtime, async {
                    for tick in 0u32.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let due = start + Duration::from_secs(1) / CHURN_PER_SECOND * tick;
                        tokio::time::sleep_until(due.into()).await;
                        let (engine, written, change) = (Arc::clone(&engine), Arc::clone(&written), change(&mut rng));
                        tokio::task::spawn_local(async move {
                            write(&engine, "large", change).await;
                            written.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        let start = Instant::now();
        let beside = ask("beside fsynced changes").at(0.99);
        let rate = written.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        churn.join().unwrap();
        ratios.add(beside / alone);
        println!("    beside {rate:.0} durable changes a second: p99 {:.2} times that without", beside / alone);
    }
    let ratio = ratios.at(0.5);
    println!(
        "store: p99 of decisions beside {CHURN_PER_SECOND} durable changes a second: {ratio:.2} times that without (wanted ≤ 1.2: {})",
        met(ratio, 1.2)
    );
}

/// One membership more, which is a revision more but for a hit in 100,000.
fn change(rng: &mut Rng) -> Change {
    let group = format!("g{}", rng.usize(..LARGEST.groups())).parse().unwrap();
    let members = vec![Member::User(format!("u{}", rng.usize(..LARGEST.users)).parse().unwrap())];
    Change::AddMembers { group, members }
}
