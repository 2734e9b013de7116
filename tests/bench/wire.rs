//! `Authorize` over gRPC against a handler that does nothing, in the same server.
//!
//! Two servers run in this process, assembled by the same code: same accept loop, worker, door,
//! token check, codec and messages. One decides; the other answers a prepared reply, of the same
//! size, to whatever it is asked. Each has one worker thread. The client is a bare HTTP/2 client on
//! a thread of its own that sends prepared bytes: 4 connections with 16 requests in flight each,
//! over loopback. Short rounds come in pairs (A, B, then B, A, …), so that what else the machine does
//! meets both; what is asked for is the median of the pairs' ratios.
//!
//! Client and server share the machine's cores: a rate is then as much the client's as the
//! server's, which draws the ratio of rates towards 1. So the time that the worker thread was on a
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
use doorward::service::proto::decision_service_server::{DecisionService, DecisionServiceServer};
use doorward::service::proto::{AuthorizeRequest, AuthorizeResponse, Decision, Reason, Resource, Revision};
use doorward::store::MemoryStore;
use doorward::telemetry::Sampler;
use fastrand::Rng;
use h2::client::SendRequest;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

#[path = "../real/matrix.rs"]
mod matrix;
mod measure;
mod running;

use matrix::{Known, OBJECT};
use measure::Spread;
use running::write;

const CONNECTIONS: usize = 4;
const IN_FLIGHT: usize = 16;
const PAIRS: usize = 25;
const ROUND: Duration = Duration::from_secs(1);
const WARM_UP: Duration = Duration::from_secs(1);
const QUESTIONS: usize = 100_000;
const WANTED: f64 = 0.85;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Answers the same to everyone.
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
    let nothing = DecisionServiceServer::new(Nothing(reply)).max_decoding_message_size(MAX_DECISION_BYTES);
    let mut sides = [
        Side::start("Authorize", &control, &engine, deciding, folder.path()),
        Side::start("nothing", &control, &engine, nothing, folder.path()),
    ];
    let token = std::fs::read_to_string(folder.path().join("token")).unwrap();
    let authorization = format!("Bearer {}", token.trim());
    let questions: Arc<[Bytes]> = questions(&known).into();
    for side in &sides {
        side.load(&authorization, &questions, WARM_UP);
    }
    let (mut by_rate, mut by_worker) = (Spread::default(), Spread::default());
    for pair in 0..PAIRS {
        let mut ran = [0, 0].map(|_| Ran::default());
        for n in [pair % 2, 1 - pair % 2] {
            ran[n] = sides[n].load(&authorization, &questions, ROUND);
        }
        let [deciding, nothing] = &ran;
        by_rate.add(deciding.rate / nothing.rate);
        by_worker.add(nothing.worker_us / deciding.worker_us);
        for (side, ran) in sides.iter_mut().zip(ran) {
            side.rates.add(ran.rate);
            side.worker_us.add(ran.worker_us);
            side.latencies.extend(ran.latencies_us);
        }
    }
    for side in &sides {
        let (low, high) = (side.rates.at(0.0), side.rates.at(1.0));
        println!(
            "{:<10} median {:.0} requests/s (spread {low:.0} to {high:.0}), latency in µs: {}, worker time {:.2} µs a request",
            side.name,
            side.rates.at(0.5),
            side.latencies.line(),
            side.worker_us.at(0.5)
        );
    }
    let share = by_rate.at(0.5);
    let met = if share >= WANTED { "met" } else { "NOT MET" };
    let percent = |share: f64| 100.0 * share;
    println!(
        "Authorize reaches {:.1}% of the rate of nothing, the median of {PAIRS} pairs (quartiles {:.1} to {:.1}; wanted ≥ {:.0}%: {met})",
        percent(share),
        percent(by_rate.at(0.25)),
        percent(by_rate.at(0.75)),
        percent(WANTED)
    );
    println!("and {:.1}% by worker time", percent(by_worker.at(0.5)));
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

/// One of the two servers, and what was measured of it.
struct Side {
    name: &'static str,
    address: String,
    /// The worker thread.
    worker: String,
    /// Ends the server when dropped.
    _stop: oneshot::Sender<()>,
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
    fn start(
        name: &'static str,
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
            workers: Some(1),
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
        let (rates, worker_us, latencies) = Default::default();
        Self { name, address, worker, _stop: stop, rates, worker_us, latencies }
    }

    /// Loads it for a while.
    fn load(&self, authorization: &str, questions: &Arc<[Bytes]>, time: Duration) -> Ran {
        let before = on_core(&self.worker);
        let (address, authorization, questions) =
            (self.address.clone(), authorization.to_owned(), Arc::clone(questions));
        let client = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(load(&address, &authorization, questions, time))
        });
        let (latencies_us, took) = client.join().unwrap();
        let count = latencies_us.len() as f64;
        let worker_us = (on_core(&self.worker) - before).as_secs_f64() * 1e6 / count;
        Ran { rate: count / took.as_secs_f64(), worker_us, latencies_us }
    }
}

/// The latency of each request in µs, and for how long they were sent.
async fn load(address: &str, authorization: &str, questions: Arc<[Bytes]>, time: Duration) -> (Vec<f64>, Duration) {
    let over = Arc::new(AtomicBool::new(false));
    let address = Address::Tcp(address.to_owned());
    let head = Arc::new(head(&address, "Authorize", Some(&authorization.parse().unwrap())).unwrap());
    let mut callers = JoinSet::new();
    let mut senders = Vec::new();
    for _ in 0..CONNECTIONS {
        senders.push(connect(&address).await.unwrap());
    }
    let started = Instant::now();
    for n in 0..CONNECTIONS * IN_FLIGHT {
        let from = n * questions.len() / (CONNECTIONS * IN_FLIGHT);
        let sender = senders[n % CONNECTIONS].clone();
        callers.spawn(call(sender, Arc::clone(&head), Arc::clone(&questions), from, Arc::clone(&over)));
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
    let text = std::fs::read_to_string(Path::new(task).join("schedstat")).unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}
