//! Threads that serve connections, each with a runtime of its own.
//!
//! A connection stays on one thread: stealing calls between threads breaks up the batches in which
//! HTTP/2 writes, and halves the rate (113k calls a second against 184k and more on two cores). So a
//! handler must not keep its thread for long; what takes long goes to the blocking pool.
//!
//! The HTTP/2 connection is hyper's, without tonic's transport around it, which costs a fifth. What
//! that transport would do is done here or in `door`: keepalive, limits, graceful shutdown, and two
//! things it does not do: cut peers that connect and say nothing, and end at a hard deadline.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::JoinSet;

use super::door::{Decisions, Door};
use super::listen::{Accepted, Socket};

/// Calls in flight on one connection.
pub const MAX_STREAMS: u32 = 1024;
/// All headers of a call together, in bytes.
pub const MAX_HEADER_BYTES: u32 = 16 << 10;
/// A peer that is silent for so long is asked whether it is there.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How long it may take to say so.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a peer may take to begin to speak HTTP/2; keepalive begins only then.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// The preface, and the frame that has to follow it.
const HELLO_BYTES: usize = 24 + 9;
/// What a stopped worker's blocking calls may take before they are left behind.
const BLOCKING_TIMEOUT: Duration = Duration::from_secs(1);

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Serving,
    /// Connections finish the calls they have.
    Draining,
    /// Connections are cut.
    Stopped,
}

/// A connection and its place among those allowed.
type Arrival = (Accepted, OwnedSemaphorePermit);

pub(super) struct Workers {
    workers: Vec<Worker>,
    phase: watch::Sender<Phase>,
}

struct Worker {
    arrivals: mpsc::UnboundedSender<Arrival>,
    /// Connections given to it and not ended.
    load: Arc<AtomicUsize>,
    thread: thread::JoinHandle<()>,
}

impl Workers {
    pub(super) fn start<D: Decisions>(count: usize, door: &Door<D>) -> io::Result<Self> {
        let (phase, _) = watch::channel(Phase::Serving);
        let workers = (0..count).map(|number| Worker::start(number, door.clone(), phase.subscribe()));
        Ok(Self { workers: workers.collect::<io::Result<_>>()?, phase })
    }

    /// Gives a connection to the worker with the fewest.
    pub(super) fn give(&self, arrival: Arrival) {
        let Some(worker) = self.workers.iter().min_by_key(|w| w.load.load(Ordering::Relaxed)) else { return };
        worker.load.fetch_add(1, Ordering::Relaxed);
        // A worker is gone only while the server stops: then the connection is closed.
        let _ = worker.arrivals.send(arrival);
    }

    /// Lets calls in flight end, for `timeout` at most, and cuts what is left. Returns whether
    /// nothing was. A connection's own graceful end can hang on an open stream.
    pub(super) async fn stop(self, timeout: Duration) -> bool {
        let Self { workers, phase } = self;
        phase.send_replace(Phase::Draining);
        let threads: Vec<_> = workers.into_iter().map(|worker| worker.thread).collect();
        let mut ended = pin!(tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a worker panicked");
                }
            }
        }));
        if tokio::time::timeout(timeout, &mut ended).await.is_ok() {
            return true;
        }
        phase.send_replace(Phase::Stopped);
        let _ = ended.await;
        false
    }
}

impl Worker {
    fn start<D: Decisions>(number: usize, door: Door<D>, phase: watch::Receiver<Phase>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let load = Arc::<AtomicUsize>::default();
        let (arrivals, receiver) = mpsc::unbounded_channel();
        let counted = Arc::clone(&load);
        let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
            runtime.block_on(work(door, receiver, phase, counted));
            runtime.shutdown_timeout(BLOCKING_TIMEOUT);
        })?;
        Ok(Self { arrivals, load, thread })
    }
}

async fn work<D: Decisions>(
    door: Door<D>,
    mut arrivals: mpsc::UnboundedReceiver<Arrival>,
    phase: watch::Receiver<Phase>,
    load: Arc<AtomicUsize>,
) {
    let mut connections = JoinSet::new();
    let mut draining = pin!(reached(Phase::Draining, phase.clone()));
    let mut stopped = pin!(reached(Phase::Stopped, phase.clone()));
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => return,
            () = &mut draining => break,
            Some(ended) = connections.join_next() => note(ended),
            arrival = arrivals.recv() => {
                let Some((accepted, permit)) = arrival else { break };
                let (door, phase, load) = (door.clone(), phase.clone(), Leaving(Arc::clone(&load)));
                connections.spawn(async move {
                    connection(accepted, door, phase).await;
                    drop((permit, load));
                });
            }
        }
    }
    loop {
        tokio::select! {
            () = &mut stopped => return,
            ended = connections.join_next() => match ended {
                Some(ended) => note(ended),
                None => return,
            },
        }
    }
}

async fn reached(wanted: Phase, mut phase: watch::Receiver<Phase>) {
    // An error: whoever says when is gone, so it is over.
    let _ = phase.wait_for(|phase| *phase >= wanted).await;
}

fn note(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task failed");
    }
}

/// Counts a connection out, however it ends.
struct Leaving(Arc<AtomicUsize>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn connection<D: Decisions>(accepted: Accepted, door: Door<D>, phase: watch::Receiver<Phase>) {
    let door = Door { peer: accepted.peer(), ..door };
    let socket = match accepted.into_socket() {
        Ok(socket) => socket,
        Err(error) => return tracing::debug!(%error, "a connection could not be taken over"),
    };
    let heard = Arc::<AtomicUsize>::default();
    let greeted = || heard.load(Ordering::Relaxed) >= HELLO_BYTES;
    let io = TokioIo::new(Heard { socket, bytes: Arc::clone(&heard) });
    let mut served = pin!(http().serve_connection(io, door));
    let mut draining = pin!(reached(Phase::Draining, phase));
    let mut hello = pin!(tokio::time::sleep(HELLO_TIMEOUT));
    let (mut waits, mut drains) = (true, false);
    loop {
        tokio::select! {
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended badly");
                }
                return;
            }
            () = &mut hello, if waits => {
                if !greeted() {
                    return tracing::debug!("a silent connection was cut");
                }
                waits = false;
            }
            () = &mut draining, if !drains => {
                if !greeted() {
                    return;
                }
                served.as_mut().graceful_shutdown();
                drains = true;
            }
        }
    }
}

/// hyper's own limits hold besides: 20 pending resets, 1,024 local errors, 400 KiB to send a stream.
fn http() -> http2::Builder<TokioExecutor> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    http
}

/// A socket that counts what it was told.
struct Heard {
    socket: Socket,
    bytes: Arc<AtomicUsize>,
}

impl AsyncRead for Heard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.socket).poll_read(cx, buf);
        // One writer, this task: no read-modify-write is needed.
        let heard = self.bytes.load(Ordering::Relaxed).saturating_add(buf.filled().len() - before);
        self.bytes.store(heard, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
