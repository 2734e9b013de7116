//! The one thread that writes: it takes what waits, has it written with one flush, and says so.
//!
//! Writers do not wait for the disk: they `submit` and go on against their tentative head; whoever
//! wants the answer waits for the payload to come out of `on_durable`. The longer a flush takes, the
//! more commits the next one carries, so the disk's latency bounds the delay and not the rate.
//!
//! Order is the whole point: commits are written, and payloads handed back, in the order in which
//! they were submitted. A write that fails ends everything (`on_fatal`): what is on disk is unknown
//! then, later commits build on the one that failed, and only a new start can tell what is true.
//!
//! Not done here: no retry, no thread an organization (a flush serves all of them), no async: sled's
//! concurrent `flush_async` deadlocks, and its blocking calls do not belong on a runtime's threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Commit, PolicyStore, StoreError};

/// The most commits written with one flush.
const MAX_BATCH_COMMITS: usize = 1024;
/// The most bytes written with one flush, unless a single commit has more.
const MAX_BATCH_BYTES: usize = 8 << 20;
/// How often `on_durable` is called with nothing while nothing is to be written.
const IDLE_EVERY: Duration = Duration::from_secs(1);

/// How much may wait to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitterOptions {
    /// The most commits that wait; 4,096 by default.
    pub queue_commits: usize,
    /// The most bytes that wait; 64 MiB by default. A single commit with more is taken when
    /// nothing else waits.
    pub queue_bytes: usize,
}

impl Default for CommitterOptions {
    fn default() -> Self {
        Self { queue_commits: 4096, queue_bytes: 64 << 20 }
    }
}

struct Waiting<T> {
    commit: Commit,
    bytes: usize,
    payload: T,
}

/// Owns the thread `committer`. Dropping it writes what waits and joins the thread.
pub struct Committer<T> {
    store: Arc<dyn PolicyStore>,
    options: CommitterOptions,
    queue: Mutex<Option<SyncSender<Waiting<T>>>>,
    /// Bytes submitted and not yet written.
    bytes: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<T: Send + 'static> Committer<T> {
    /// Starts the thread. It calls `on_durable` with the payloads of commits that are on disk, in
    /// the order of their submission, and with an empty list about every second when nothing is to
    /// be written; `on_fatal` at most once, when a write failed or something panicked, after which
    /// it ends. The payloads that were not written are dropped after `on_fatal` returns (if that
    /// ends the process, no waiter takes their drop for an answer).
    ///
    /// # Errors
    /// `Io` if the system starts no thread.
    pub fn spawn(
        store: Arc<dyn PolicyStore>,
        options: CommitterOptions,
        on_durable: impl FnMut(Vec<T>) + Send + 'static,
        on_fatal: impl FnOnce(StoreError) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (queue, waiting) = sync_channel(options.queue_commits);
        let bytes = Arc::new(AtomicUsize::new(0));
        let stopped = Arc::new(AtomicBool::new(false));
        let mut worker = Worker {
            store: Arc::clone(&store),
            waiting,
            held: None,
            bytes: Arc::clone(&bytes),
            payloads: Vec::new(),
            on_durable,
        };
        let flag = Arc::clone(&stopped);
        let run = move || {
            let ended = catch_unwind(AssertUnwindSafe(|| worker.run()))
                .unwrap_or_else(|_| Err(StoreError::Database("a panic, see the log".to_owned())));
            flag.store(true, Ordering::Release);
            if let Err(error) = ended {
                on_fatal(error);
            }
            drop(worker);
        };
        let builder = std::thread::Builder::new().name("committer".to_owned());
        let thread = builder.spawn(run).map_err(|source| StoreError::Io {
            action: "start the thread",
            path: "committer".into(),
            source,
        })?;
        let (queue, thread) = (Mutex::new(Some(queue)), Mutex::new(Some(thread)));
        Ok(Self { store, options, queue, bytes, stopped, thread })
    }

    /// Takes a commit to be written after all that were submitted before. Does not wait. The order
    /// of calls is the order of writes: callers of one scope must not race.
    ///
    /// # Errors
    /// `DiskLow`: the disk has no room for it. `Busy`: too much waits already. `Stopped`: a write
    /// failed or [`Committer::stop`] was called. Nothing was taken in any of these cases.
    pub fn submit(&self, commit: Commit, payload: T) -> Result<(), StoreError> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(StoreError::Stopped);
        }
        let bytes = commit.bytes();
        let queue = locked(&self.queue);
        let Some(queue) = queue.as_ref() else {
            return Err(StoreError::Stopped);
        };
        let waiting = self.bytes.load(Ordering::Acquire);
        self.store.room_for(u64::try_from(waiting.saturating_add(bytes)).unwrap_or(u64::MAX))?;
        if waiting > 0 && waiting.saturating_add(bytes) > self.options.queue_bytes {
            return Err(StoreError::Busy);
        }
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
        queue.try_send(Waiting { commit, bytes, payload }).map_err(|error| {
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            match error {
                TrySendError::Full(_) => StoreError::Busy,
                TrySendError::Disconnected(_) => StoreError::Stopped,
            }
        })
    }

    /// Takes no more, writes what waits, and returns when the thread has ended. Again and again is
    /// fine; from within `on_durable` or `on_fatal` it does not wait.
    pub fn stop(&self) {
        drop(locked(&self.queue).take());
        let Some(thread) = locked(&self.thread).take() else {
            return;
        };
        if thread.thread().id() != std::thread::current().id() {
            // Its panics are caught and reported as fatal.
            let _ = thread.join();
        }
    }
}

impl<T> Drop for Committer<T> {
    fn drop(&mut self) {
        drop(locked(&self.queue).take());
        if let Some(thread) = locked(&self.thread).take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

fn locked<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Worker<T, D> {
    store: Arc<dyn PolicyStore>,
    waiting: Receiver<Waiting<T>>,
    /// Was taken from the queue and did not fit: the first of the next batch.
    held: Option<Waiting<T>>,
    bytes: Arc<AtomicUsize>,
    /// Of the batch that is being written; kept here so that a failure drops them last.
    payloads: Vec<T>,
    on_durable: D,
}

impl<T, D: FnMut(Vec<T>)> Worker<T, D> {
    fn run(&mut self) -> Result<(), StoreError> {
        loop {
            let first = match self.held.take() {
                Some(held) => held,
                None => match self.waiting.recv_timeout(IDLE_EVERY) {
                    Ok(first) => first,
                    Err(RecvTimeoutError::Timeout) => {
                        (self.on_durable)(Vec::new());
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                },
            };
            let (commits, bytes) = self.gather(first);
            self.store.write(&commits)?;
            drop(commits);
            self.bytes.fetch_sub(bytes, Ordering::AcqRel);
            (self.on_durable)(std::mem::take(&mut self.payloads));
        }
    }

    fn gather(&mut self, first: Waiting<T>) -> (Vec<Commit>, usize) {
        let mut bytes = first.bytes;
        let mut commits = vec![first.commit];
        self.payloads.push(first.payload);
        while commits.len() < MAX_BATCH_COMMITS && bytes < MAX_BATCH_BYTES {
            let Ok(next) = self.waiting.try_recv() else {
                break;
            };
            if bytes.saturating_add(next.bytes) > MAX_BATCH_BYTES {
                // The small ones are not to wait until the large one is written.
                self.held = Some(next);
                break;
            }
            bytes += next.bytes;
            commits.push(next.commit);
            self.payloads.push(next.payload);
        }
        (commits, bytes)
    }
}

#[cfg(test)]
#[path = "committer_tests.rs"]
mod tests;
