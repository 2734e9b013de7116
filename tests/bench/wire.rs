//! `Authorize` over gRPC against a handler that does nothing, in the same server.
//!
//! Two servers run in this process, assembled by the same code: same accept loop, worker, door,
//! token check, codec and messages. One decides; the other answers a prepared reply, of the same
//! size, to whatever it is asked. Each has one worker thread. The client is a bare HTTP/2 client on
//! a thread of its own that sends prepared bytes: 4 connections with 16 requests in flight each,
//! over loopback. Short rounds come in pairs (A, B, then B, A, …), so that what else the machine does
//! meets both; what is asked for is the median of the pairs' ratios.
//!
//! In the same rounds, the handler that does nothing is asked behind tonic's own server on one thread. Then Doorward with a
//! worker a core beside the same on tokio's default runtime, and last calls of `BatchAuthorize` with 10,000 checks
//! each, of which none is asked twice before all were asked; these are not begun before every answer was right.
//!
//! Client and server share the machine's cores, and no thread is pinned to one: a rate is then as much the client's as
//! the server's, which draws the ratio of rates towards 1. So the time that the worker thread was on a
//! core is printed too, for each request: of that the client has no part.
//!
//! Population: `customer` of the real access data, or a generated organization of its size; users
//! uniform, half of the questions denied. `cargo bench --bench wire`
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench may fail loudly"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use doorward::cli::bench::wire::{Address, ask, connect, framed, head};
use doorward::cli::file::{Known as Shipped, OrganizationFile};
use doorward::clock::SystemClock;
use doorward::config::{Access, Config, Storage};
use doorward::core::change::Change;
use doorward::engine::Engine;
use doorward::server::{Bound, Decisions, MAX_DECISION_BYTES, serve_with};
use doorward::service;
use doorward::service::proto::batch_authorize_result::Outcome;
use doorward::service::proto::decision_service_server::{DecisionService, DecisionServiceServer};
use doorward::service::proto::{
    AuthorizeRequest, AuthorizeResponse, BatchAuthorizeRequest, BatchAuthorizeResponse, Decision, Reason, Resource,
    Revision,
};
use doorward::store::MemoryStore;
use doorward::telemetry::Sampler;
use fastrand::Rng;
use h2::client::SendRequest;
use prost::Message;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

#[path = "../real/matrix.rs"]
mod matrix;
mod measure;
mod running;
mod stock;

use matrix::{Known, OBJECT};
use measure::Spread;
use running::write;

const CONNECTIONS: usize = 4;
const IN_FLIGHT: usize = 16;
const PAIRS: usize = 25;
/// Rounds of what has no part of its own in 25.
const FEW: usize = 5;
/// Checks in a call of `BatchAuthorize`, calls that differ, and how many are in flight.
const BATCH: usize = 10_000;
const BATCHES: usize = 20;
const BATCHES_IN_FLIGHT: usize = 2;
const ROUND: Duration = Duration::from_secs(1);
const WARM_UP: Duration = Duration::from_secs(1);
const QUESTIONS: usize = 100_000;
const WANTED: f64 = 0.93;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Answers the same to everyone.
#[derive(Clone)]
struct Nothing(AuthorizeResponse);

#[tonic::async_trait]
impl DecisionService for Nothing {
    async fn authorize(
        &self,
        _: tonic::Request<AuthorizeRequest>,
    ) -> Result<tonic::Response<AuthorizeResponse>, tonic::Status> {
        Ok(tonic::Response::new(self.0.clone()))
    }
}

fn main() {
    let known = matrix::data().map_or_else(|_| matrix::generated(), |data| matrix::matrix(&data, "customer"));
    println!(
        "cores: {}, shared by client, servers and whatever else runs; {CONNECTIONS} connections × {IN_FLIGHT} in flight; population `{}`: {} users × {} permissions",
        measure::cores(),
        known.id,
        known.on_object.len(),
        known.permissions.len()
    );
    let folder = tempfile::tempdir().unwrap();
    let control = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (engine, reply) = control.block_on(engine(&known));
    let limits = |server: DecisionServiceServer<_>| server.max_decoding_message_size(MAX_DECISION_BYTES);
    let deciding = limits(DecisionServiceServer::new(service::Decisions::new(Arc::clone(&engine))));
    let nothing = DecisionServiceServer::new(Nothing(reply.clone())).max_decoding_message_size(MAX_DECISION_BYTES);
    let mut sides = vec![
        Side::start("Authorize", Some(1), &control, &engine, deciding.clone(), folder.path()),
        Side::start("nothing", Some(1), &control, &engine, nothing, folder.path()),
    ];
    let token = std::fs::read_to_string(folder.path().join("token")).unwrap();
    let authorization = format!("Bearer {}", token.trim());
    let stock = |threads| stock::start(Nothing(reply.clone()), &authorization, threads);
    sides.push(Side::at("nothing, tonic's server on one thread", stock(stock::Threads::One)));
    let asked = Asked { method: "Authorize", in_flight: CONNECTIONS * IN_FLIGHT, messages: questions(&known).into() };
    let ratios = compare(&mut sides, &authorization, &asked, PAIRS);
    report("the handler that does nothing", &ratios[1].0, WANTED);
    println!("    and {:.1} % by worker time", 100.0 * ratios[1].1.at(0.5));
    report("the same behind tonic's server on one thread", &ratios[2].0, 1.1);

    let mut sides = vec![
        Side::start("Authorize, a worker a core", None, &control, &engine, deciding, folder.path()),
        Side::at("nothing, tonic's server on the default runtime", stock(stock::Threads::Default)),
    ];
    let ratios = compare(&mut sides, &authorization, &asked, FEW);
    report("a handler that does nothing behind tonic's server on the default runtime", &ratios[1].0, 1.7);
    batches(&sides[0], &authorization, &known);
}

/// What a client sends over and over.
#[derive(Clone)]
struct Asked {
    method: &'static str,
    in_flight: usize,
    messages: Arc<[Bytes]>,
}

/// Loads each side in turn; by side, what the first one's rate is to its, and what its worker's time a request is to the
/// first one's.
fn compare(sides: &mut [Side], authorization: &str, asked: &Asked, rounds: usize) -> Vec<(Spread, Spread)> {
    for side in &*sides {
        side.load(authorization, asked, WARM_UP);
    }
    let mut ratios: Vec<(Spread, Spread)> = sides.iter().map(|_| Default::default()).collect();
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..sides.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        let mut ran: Vec<Ran> = sides.iter().map(|_| Ran::default()).collect();
        for n in order {
            ran[n] = sides[n].load(authorization, asked, ROUND);
        }
        for (n, (by_rate, by_worker)) in ratios.iter_mut().enumerate() {
            by_rate.add(ran[0].rate / ran[n].rate);
            by_worker.add(ran[n].worker_us / ran[0].worker_us);
        }
        for (side, ran) in sides.iter_mut().zip(ran) {
            side.rates.add(ran.rate);
            side.worker_us.add(ran.worker_us);
            side.latencies.extend(ran.latencies_us);
        }
    }
    for side in &*sides {
        println!(
            "{:<48} median {:.0} requests/s (spread {:.0} to {:.0}), latency in µs: {}, worker time {:.2} µs a request",
            side.name,
            side.rates.at(0.5),
            side.rates.at(0.0),
            side.rates.at(1.0),
            side.latencies.line(),
            side.worker_us.at(0.5)
        );
    }
    ratios
}

fn report(what: &str, by_rate: &Spread, wanted: f64) {
    let share = by_rate.at(0.5);
    println!(
        "Authorize has {:.1} % of the rate of {what}, the median of the rounds (quartiles {:.1} to {:.1}; wanted ≥ {:.0} %: {})",
        100.0 * share,
        100.0 * by_rate.at(0.25),
        100.0 * by_rate.at(0.75),
        100.0 * wanted,
        if share >= wanted { "met" } else { "NOT MET" }
    );
}

/// Calls of `BatchAuthorize`.
fn batches(side: &Side, authorization: &str, known: &Known) {
    let users: Vec<&String> = known.on_object.keys().collect();
    // Every user once with a permission, then every user with the next one.
    let check = |n: usize| (users[n % users.len()], &known.permissions[(n / users.len()) % known.permissions.len()]);
    assert!(BATCH * BATCHES <= users.len() * known.permissions.len(), "checks would be asked twice");
    let message = |call: usize| {
        let item = |n: usize| {
            let (user, permission) = check(call * BATCH + n);
            AuthorizeRequest {
                principal: format!("user:{user}"),
                permission: permission.clone(),
                resource: Some(Resource { object: OBJECT.to_owned(), ..Resource::default() }),
                ..AuthorizeRequest::default()
            }
        };
        let (organization, items) = (known.id.clone(), (0..BATCH).map(item).collect());
        framed(&BatchAuthorizeRequest { organization, items, ..BatchAuthorizeRequest::default() })
    };
    let asked = Asked {
        method: "BatchAuthorize",
        in_flight: BATCHES_IN_FLIGHT,
        messages: (0..BATCHES).map(message).collect::<Vec<_>>().into(),
    };
    let replies = side.replies(authorization, &asked);
    for (call, reply) in replies.into_iter().enumerate() {
        let results = BatchAuthorizeResponse::decode(reply).unwrap().results;
        assert_eq!(results.len(), BATCH);
        for (n, result) in results.into_iter().enumerate() {
            let (user, permission) = check(call * BATCH + n);
            let Some(Outcome::Decision(decision)) = result.outcome else { panic!("no decision about {user}") };
            let right = known.on_object[user].contains(permission);
            assert_eq!(decision.decision() == Decision::Allow, right, "{user}: {permission}");
        }
    }
    side.load(authorization, &asked, WARM_UP);
    let mut rates = Spread::default();
    for _ in 0..FEW {
        rates.add(side.load(authorization, &asked, ROUND).rate * BATCH as f64 / 1e6);
    }
    let rate = rates.at(0.5);
    println!(
        "BatchAuthorize of {BATCH} over gRPC, {BATCHES_IN_FLIGHT} in flight: {rate:.2} million checks a second (spread {:.2} to {:.2}; wanted ≥ 2: {})",
        rates.at(0.0),
        rates.at(1.0),
        if rate >= 2.0 { "met" } else { "NOT MET" }
    );
}

/// An engine on a memory store with the organization, and a reply such as it gives.
async fn engine(known: &Known) -> (Arc<Engine>, AuthorizeResponse) {
    let fatal = |error| panic!("{error}");
    let engine = Arc::new(Engine::open(Arc::new(MemoryStore::new()), Arc::new(SystemClock), fatal).unwrap());
    let rows = OrganizationFile::parse(&known.file.to_string(), "bench.json", Shipped::of).map(|f| f.rows);
    let rows = rows.unwrap_or_else(|errors| panic!("{errors}"));
    write(&engine, &known.id, Change::Replace { rows, deactivate_missing: false }).await;
    let table = engine.table(&known.id, None, Duration::ZERO).await.unwrap();
    let revision = Revision { history: table.history().to_string(), number: table.revision() };
    let reply = AuthorizeResponse {
        decision: Decision::Allow.into(),
        reason: Reason::Allowed.into(),
        revision: Some(revision),
        staleness: None,
    };
    (engine, reply)
}

/// Framed requests, half of them to be denied.
fn questions(known: &Known) -> Vec<Bytes> {
    let mut rng = Rng::with_seed(64);
    let users: Vec<&String> = known.on_object.keys().collect();
    let mut prepared = Vec::with_capacity(QUESTIONS);
    while prepared.len() < QUESTIONS {
        let user = *rng.choice(&users).unwrap();
        let permission = rng.choice(&known.permissions).unwrap();
        let held = &known.on_object[user];
        let permission = if prepared.len() % 2 == 0 {
            rng.choice(held.iter())
        } else {
            Some(permission).filter(|p| !held.contains(*p))
        };
        let Some(permission) = permission else { continue };
        let message = AuthorizeRequest {
            organization: known.id.clone(),
            principal: format!("user:{user}"),
            permission: permission.clone(),
            resource: Some(Resource { object: OBJECT.to_owned(), ..Resource::default() }),
            context: None,
            min_revision: None,
        };
        prepared.push(framed(&message));
    }
    prepared
}

/// One of the servers, and what was measured of it.
struct Side {
    name: &'static str,
    address: String,
    /// The worker thread; empty if there is not one alone, whose time is then not known.
    worker: String,
    /// Ends the server when dropped.
    _stop: Option<oneshot::Sender<()>>,
    rates: Spread,
    worker_us: Spread,
    latencies: Spread,
}

#[derive(Default)]
struct Ran {
    rate: f64,
    worker_us: f64,
    latencies_us: Vec<f64>,
}

impl Side {
    /// Served by something else.
    fn at(name: &'static str, (address, worker): (String, String)) -> Self {
        let (rates, worker_us, latencies) = Default::default();
        Self { name, address, worker, _stop: None, rates, worker_us, latencies }
    }

    fn start(
        name: &'static str,
        count: Option<usize>,
        control: &tokio::runtime::Runtime,
        engine: &Arc<Engine>,
        decisions: impl Decisions,
        folder: &Path,
    ) -> Self {
        let config = Config {
            storage: Storage::Memory,
            access: Access::Tokens { files: Vec::new(), first: Some(folder.join("token")) },
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            unix: None,
            address_file: None,
            workers: count,
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(1),
        };
        let before = workers();
        let (ready, bound) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let engine = Arc::clone(engine);
        control.spawn(async move {
            let ready = move |bound: Bound| drop(ready.send(bound.tcp[0].to_string()));
            serve_with(&config, &engine, decisions, Sampler::off(), ready, async { drop(stopped.await) })
                .await
                .unwrap();
        });
        let address = control.block_on(bound).unwrap();
        // A thread takes its name when it first runs, which may be later.
        let worker = loop {
            if let Some(worker) = workers().into_iter().find(|w| !before.contains(w)) {
                break worker;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let worker = if count == Some(1) { worker } else { String::new() };
        Self { _stop: Some(stop), ..Self::at(name, (address, worker)) }
    }

    /// The reply to each message.
    fn replies(&self, authorization: &str, asked: &Asked) -> Vec<Bytes> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let address = Address::Tcp(self.address.clone());
            let head = head(&address, asked.method, Some(&authorization.parse().unwrap())).unwrap();
            let (sender, mut replies) = (connect(&address).await.unwrap(), Vec::new());
            for message in &*asked.messages {
                replies.push(ask(&sender, &head, message.clone()).await.unwrap());
            }
            replies
        })
    }

    /// Loads it for a while.
    fn load(&self, authorization: &str, asked: &Asked, time: Duration) -> Ran {
        let before = on_core(&self.worker);
        let (address, authorization, asked) = (self.address.clone(), authorization.to_owned(), asked.clone());
        let client = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(load(&address, &authorization, &asked, time))
        });
        let (latencies_us, took) = client.join().unwrap();
        let count = latencies_us.len() as f64;
        let worker_us = (on_core(&self.worker) - before).as_secs_f64() * 1e6 / count;
        Ran { rate: count / took.as_secs_f64(), worker_us, latencies_us }
    }
}

/// The latency of each request in µs, and for how long they were sent.
async fn load(address: &str, authorization: &str, asked: &Asked, time: Duration) -> (Vec<f64>, Duration) {
    let Asked { method, in_flight, messages: questions } = asked;
    let over = Arc::new(AtomicBool::new(false));
    let address = Address::Tcp(address.to_owned());
    let head = Arc::new(head(&address, method, Some(&authorization.parse().unwrap())).unwrap());
    let mut callers = JoinSet::new();
    let mut senders = Vec::new();
    for _ in 0..CONNECTIONS {
        senders.push(connect(&address).await.unwrap());
    }
    let started = Instant::now();
    for n in 0..*in_flight {
        let from = n * questions.len() / in_flight;
        let sender = senders[n % CONNECTIONS].clone();
        callers.spawn(call(sender, Arc::clone(&head), Arc::clone(questions), from, Arc::clone(&over)));
    }
    tokio::time::sleep(time).await;
    over.store(true, Ordering::Relaxed);
    let latencies = callers.join_all().await.into_iter().flatten().collect();
    (latencies, started.elapsed())
}

/// One caller: asks, waits for the answer, asks again.
async fn call(
    sender: SendRequest<Bytes>,
    head: Arc<http::Request<()>>,
    questions: Arc<[Bytes]>,
    from: usize,
    over: Arc<AtomicBool>,
) -> Vec<f64> {
    let mut latencies = Vec::with_capacity(1 << 16);
    for n in from.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let started = Instant::now();
        let reply = ask(&sender, &head, questions[n % questions.len()].clone()).await.unwrap();
        assert!(!reply.is_empty(), "there is no decision in it");
        latencies.push(started.elapsed().as_nanos() as f64 / 1e3);
    }
    latencies
}

/// The server threads of this process that serve connections.
fn workers() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let named = |path: &Path| std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("worker-"));
    tasks.map(|t| t.path()).filter(|path| named(path)).map(|path| path.display().to_string()).collect()
}

/// How long a thread has been on a core.
fn on_core(task: &str) -> Duration {
    // Of no thread, nothing is known.
    let text = std::fs::read_to_string(Path::new(task).join("schedstat")).unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}
