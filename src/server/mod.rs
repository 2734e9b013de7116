//! Assembles the server, runs it and ends it.
//!
//! **Start.** Store, engine, sockets, credentials, workers, then SERVING: whoever can connect is
//! answered. **Stop.** `NOT_SERVING`, a delay in which load balancers look elsewhere, no new
//! connections, calls in flight until a hard deadline, then the committer, so that nothing that was
//! acknowledged or taken is lost.
//!
//! One runtime (the caller's) accepts connections and serves nothing; see `worker` for why.

mod door;
mod listen;
mod services;
mod worker;

use std::fs::{self, DirBuilder};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::auth::{self, FirstTokenError, Gate, ProvidedError};
use crate::clock::{Clock, SystemClock};
use crate::config::{Access, Config, ConfigError, ServeArgs, Storage, is_loopback};
use crate::engine::{Engine, KEEP_EVERY, OpenError};
use crate::service::Peer;
use crate::store::{MemoryStore, Options, PolicyStore, SledStore, StoreError};
use crate::telemetry::{Sampler, Telemetry, TelemetryError};

use door::Door;
use listen::Listener;
use worker::Workers;

pub use door::{ANSWER_DEADLINE, Decisions};
pub use services::{MAX_ADMIN_BYTES, MAX_DECISION_BYTES};
pub use worker::{MAX_HEADER_BYTES, MAX_STREAMS};

/// Connections at a time; more wait to be accepted.
pub const MAX_CONNECTIONS: usize = 16_384;
/// How a process ends whose store failed (`EX_SOFTWARE`): what is on disk is unknown until it is opened again.
pub const EXIT_STORE_FAILED: i32 = 70;
/// How a process ends that was told to stop a second time.
const EXIT_IMPATIENT: i32 = 130;

/// Where the server can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// TCP addresses, with the ports they got.
    pub tcp: Vec<SocketAddr>,
    /// The unix socket.
    pub unix: Option<PathBuf>,
}

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Contradicting flags.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Logs or traces.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The data directory.
    #[error("could not create the data directory `{}`", path.display())]
    Data {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store.
    #[error("could not open the store")]
    Store(#[from] StoreError),
    /// What is in it.
    #[error("could not load the organizations")]
    Open(#[from] OpenError),
    /// A TCP address.
    #[error("could not listen on `{address}`")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The unix socket.
    #[error("could not listen on the unix socket `{}`", path.display())]
    Unix {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process answers there.
    #[error("another process listens on the unix socket `{}`", path.display())]
    UnixInUse {
        /// Which.
        path: PathBuf,
    },
    /// The first token.
    #[error(transparent)]
    FirstToken(#[from] FirstTokenError),
    /// `--token-file`.
    #[error(transparent)]
    TokenFiles(#[from] ProvidedError),
    /// `--address-file`.
    #[error("could not write the address file `{}`", path.display())]
    AddressFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The generated descriptors.
    #[error("the service descriptors cannot be read: {0}")]
    Descriptors(String),
    /// Threads or signals.
    #[error("could not start the server's threads")]
    Threads(#[source] io::Error),
}

/// `doorward serve`: runs until SIGTERM or SIGINT. A second signal ends the process at once.
///
/// # Errors
/// The server could not be started; nothing serves any more.
pub fn serve(args: ServeArgs) -> Result<(), ServeError> {
    let (filter, format) = (args.log_level.clone(), args.log_format);
    let config = args.config()?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).thread_name("control").enable_all().build().map_err(ServeError::Threads)?;
    runtime.block_on(async {
        let telemetry = Telemetry::start(&filter, format)?;
        let stop = signals().map_err(ServeError::Threads)?;
        let ran = run(config, telemetry.sampler().clone(), drop, stop).await;
        // Beside the runtime, which the exporter needs to send the last of it.
        let _ = tokio::task::spawn_blocking(|| telemetry.flush()).await;
        ran
    })
}

/// Serves until `stop` is ready, then drains and ends. `ready` hears where the server can be
/// reached, once it can be.
///
/// # Errors
/// It could not be started.
pub async fn run(
    config: Config,
    sampler: Sampler,
    ready: impl FnOnce(Bound) + Send,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    config.check()?;
    warn_of(&config);
    let began = SystemClock.now();
    let storage = config.storage.clone();
    let engine = blocking(move || open(&storage)).await?;
    let organizations = engine.organizations().len();
    tracing::info!(organizations, load_ms = engine.now() - began, "the store is loaded");
    let keeping = Arc::clone(&engine);
    let keeper = tokio::spawn(async move {
        loop {
            tokio::time::sleep(KEEP_EVERY).await;
            let engine = Arc::clone(&keeping);
            blocking(move || engine.keep_marks()).await;
        }
    });
    let served = serve_with(&config, &engine, services::decisions(&engine), sampler, ready, stop).await;
    keeper.abort();
    let stopping = Arc::clone(&engine);
    blocking(move || stopping.stop()).await;
    tracing::info!("stopped");
    served
}

/// As [`run`], on an engine that is open (`config.storage` is not looked at, and the engine not
/// stopped) and with the service that decides given: what a bench needs to weigh one handler
/// against another in the same server.
///
/// # Errors
/// It could not be started.
pub async fn serve_with(
    config: &Config,
    engine: &Arc<Engine>,
    decisions: impl Decisions,
    sampler: Sampler,
    ready: impl FnOnce(Bound) + Send,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    config.check()?;
    let (listeners, bound) = bind(config)?;
    let services = services::assemble(engine)?;
    let gate = gate(&config.access, engine).await?;
    let door = Door { gate, sampler, decisions, rest: services.rest, peer: Peer::Here };
    let count = config.workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let workers = Arc::new(Workers::start(count, &door).map_err(ServeError::Threads)?);
    drop(door);
    services.health.set(true).await;
    let mut accepting = accept(listeners, &workers);
    let reported = config.address_file.as_deref().map_or(Ok(()), |path| write_addresses(path, &bound));
    if reported.is_ok() {
        tracing::info!(tcp = ?bound.tcp, unix = ?bound.unix, workers = count, "serving");
        ready(bound.clone());
        stop.await;
        tracing::info!(delay_ms = config.drain_delay.as_millis(), "not serving any more: draining");
        services.health.set(false).await;
        tokio::time::sleep(config.drain_delay).await;
    }
    accepting.shutdown().await;
    engine.drain();
    if let Some(path) = &bound.unix {
        let _ = fs::remove_file(path);
    }
    if let Some(workers) = Arc::into_inner(workers)
        && !workers.stop(config.drain_timeout).await
    {
        tracing::warn!("calls were still in flight at the drain timeout, and were cut");
    }
    reported
}

fn warn_of(config: &Config) {
    if config.access == Access::InsecureDev {
        tracing::warn!("INSECURE: --insecure-dev asks for no credentials; whoever is on this machine can do anything");
    }
    if config.storage == Storage::Memory {
        tracing::warn!("NOT DURABLE: --memory keeps everything in memory; nothing survives the end of this process");
    }
    for address in config.listen.iter().filter(|address| !is_loopback(address.ip())) {
        tracing::warn!(%address, "there is no TLS: tokens cross the network to this address in clear text");
    }
}

fn open(storage: &Storage) -> Result<Arc<Engine>, ServeError> {
    let store: Arc<dyn PolicyStore> = match storage {
        Storage::Memory => Arc::new(MemoryStore::new()),
        Storage::Sled { data, watermark_bytes } => {
            let failed = |source| ServeError::Data { path: data.clone(), source };
            DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(failed)?;
            let options = Options { watermark_bytes: *watermark_bytes, ..Options::default() };
            Arc::new(SledStore::open(data.join("store"), options)?)
        }
    };
    Ok(Arc::new(Engine::open(store, Arc::new(SystemClock), end_the_process)?))
}

/// What becomes of a process whose store failed. Whoever waits for a write hears nothing.
fn end_the_process(error: StoreError) {
    let error: &dyn std::error::Error = &error;
    tracing::error!(error, "a write failed: what is on disk is unknown, so this process ends");
    std::process::exit(EXIT_STORE_FAILED)
}

fn bind(config: &Config) -> Result<(Vec<Listener>, Bound), ServeError> {
    let mut listeners = Vec::with_capacity(config.listen.len() + 1);
    let mut bound = Bound { tcp: Vec::with_capacity(config.listen.len()), unix: config.unix.clone() };
    for address in &config.listen {
        let (listener, address) = Listener::tcp(*address)?;
        listeners.push(listener);
        bound.tcp.push(address);
    }
    if let Some(path) = &config.unix {
        listeners.push(Listener::unix(path)?);
    }
    Ok((listeners, bound))
}

async fn gate(access: &Access, engine: &Arc<Engine>) -> Result<Gate, ServeError> {
    let Access::Tokens { files, first } = access else { return Ok(Gate::open_to_all(Arc::clone(engine))) };
    let gate = Gate::for_tokens(Arc::clone(engine), files)?;
    if files.is_empty() && !engine.has_tokens() {
        let path = first.as_deref().ok_or(ConfigError::NoPlaceForToken)?;
        auth::first_token(engine, path).await?;
        tracing::warn!(path = %path.display(), "there was no token: one was made, and is in this file");
    }
    Ok(gate)
}

/// Accepts on every socket until the set is shut down.
fn accept(listeners: Vec<Listener>, workers: &Arc<Workers>) -> JoinSet<()> {
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut accepting = JoinSet::new();
    for listener in listeners {
        let (workers, free) = (Arc::clone(workers), Arc::clone(&free));
        accepting.spawn(async move {
            while let Ok(permit) = Arc::clone(&free).acquire_owned().await {
                workers.give((listener.accept().await, permit));
            }
        });
    }
    accepting
}

/// In one step: whoever waits for the file never reads half of it.
fn write_addresses(path: &Path, bound: &Bound) -> Result<(), ServeError> {
    let mut lines: Vec<String> = bound.tcp.iter().map(ToString::to_string).collect();
    lines.extend(bound.unix.iter().map(|path| format!("unix:{}", path.display())));
    lines.push(String::new());
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let written = fs::write(&beside, lines.join("\n")).and_then(|()| fs::rename(&beside, path));
    written.map_err(|source| ServeError::AddressFile { path: path.to_owned(), source })
}

/// Ready at the first SIGTERM or SIGINT; at the second the process ends.
fn signals() -> io::Result<impl Future<Output = ()> + Send> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        let mut next = async move || {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        };
        next().await;
        tokio::spawn(async move {
            next().await;
            tracing::warn!("told to stop a second time: calls in flight are cut");
            std::process::exit(EXIT_IMPATIENT);
        });
    })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

#[cfg(test)]
mod failure_tests;
#[cfg(test)]
mod tests;
