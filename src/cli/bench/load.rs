//! The load: connections and the calls in flight on them, each thread with its share, in a runtime of its own.
//!
//! As many callers as calls may be in flight take turns to ask. In a closed loop a turn is taken at once. In an
//! open loop whoever has the turn waits until the next call is due, and its latency counts from then: what a slow
//! answer makes wait is late, and is told to be, instead of never being asked (no coordinated omission).

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use h2::Reason;
use h2::client::SendRequest;
use http::Request;
use prost::bytes::Bytes;
use tokio::runtime::Builder;
use tokio::signal::ctrl_c;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::super::CliError;
use super::questions::Questions;
use super::tally::Tally;
use super::timetable::{Alarm, Timetable};
use super::wire::{self, Address, Unanswered};

/// How long nobody answers before that is an answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long calls may be in flight with none of them answered.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long calls in flight are waited for once nobody asks any more, because somebody could not go on.
const LAST: Duration = Duration::from_secs(1);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What a run does.
#[derive(Debug)]
pub struct Plan {
    /// The server.
    pub address: Address,
    /// With what every call begins.
    pub head: Request<()>,
    /// What is asked.
    pub questions: Questions,
    /// Threads, of which each has at least one connection.
    pub threads: usize,
    /// Connections, of which each has at least one call in flight.
    pub connections: usize,
    /// Calls in flight, on all connections together.
    pub in_flight: usize,
    /// When calls are due; if they are not, one follows the other.
    pub timetable: Option<Timetable>,
    /// How long is asked before anything counts.
    pub warm_up: Duration,
    /// When it ends.
    pub end: End,
}

/// When asking ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// After so many calls.
    Calls(u64),
    /// After so long.
    After(Duration),
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was counted.
    pub tally: Tally,
    /// From the first call to the last answer.
    pub took: Duration,
    /// Why it ended before its time.
    pub broken: Option<String>,
}

impl Plan {
    /// A connection.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn connect(&self) -> Result<SendRequest<Bytes>, CliError> {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, wire::connect(&self.address)).await;
        let connected = connected.map_err(|_| "nobody answers".to_owned()).and_then(|c| c.map_err(|e| e.to_string()));
        connected.map_err(|problem| self.unreachable(problem))
    }

    /// The server cannot be reached.
    pub fn unreachable(&self, problem: String) -> CliError {
        CliError::Unreachable { address: self.address.to_string(), problem }
    }

    /// How many calls are due until the end, of an open loop.
    pub fn due(&self) -> Option<u64> {
        self.timetable.map(|timetable| match self.end {
            End::Calls(count) => count,
            End::After(span) => timetable.before(span),
        })
    }
}

/// Runs it to its end, on threads of its own.
///
/// # Errors
/// A connection or a thread cannot be had. What happens once calls are made is in the [`Outcome`].
pub fn run(plan: &Arc<Plan>) -> Result<Outcome, CliError> {
    let cannot = |error: io::Error| CliError::Usage(format!("cannot start: {error}"));
    let all = Arc::new(All { together: Barrier::new(plan.threads), over: AtomicBool::new(false) });
    let mut threads = Vec::with_capacity(plan.threads);
    for number in 0..plan.threads {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(cannot)?;
        let share = share(Arc::clone(plan), Arc::clone(&all), number);
        let thread = thread::Builder::new().name(format!("bench-{number}"));
        threads.push(thread.spawn(move || runtime.block_on(share)).map_err(cannot)?);
    }
    let mut sum = Outcome { tally: Tally::new()?, took: Duration::ZERO, broken: None };
    for thread in threads {
        let outcome = thread.join().unwrap_or_else(|_| Err(CliError::Usage("a thread died".to_owned())));
        let Outcome { tally, took, broken } = outcome?;
        sum.tally.add(&tally)?;
        sum.took = sum.took.max(took);
        sum.broken = sum.broken.or(broken);
    }
    Ok(sum)
}

/// What all threads know.
struct All {
    /// Nobody goes on before all are there.
    together: Barrier,
    /// Somebody cannot go on, so nobody does.
    over: AtomicBool,
}

/// A thread's share of a run. What can fail has been done when the threads first come together: after that each
/// of them comes there again.
async fn share(plan: Arc<Plan>, all: Arc<All>, number: usize) -> Result<Outcome, CliError> {
    let ready = Ready::new(&plan, number).await;
    if ready.is_err() {
        all.over.store(true, Ordering::Relaxed);
    }
    all.together.wait().await;
    let Ready { senders, alarm, tallies: [warm, tally] } = ready?;
    let mut broken = None;
    if !all.is_over() && !plan.warm_up.is_zero() {
        let phase = Phase::new(&plan, &all, number, End::After(plan.warm_up), &alarm, warm);
        broken = phase.run(&senders).await.broken;
    }
    all.together.wait().await;
    if all.is_over() {
        return Ok(Outcome { tally, took: Duration::ZERO, broken });
    }
    Ok(Phase::new(&plan, &all, number, plan.end, &alarm, tally).run(&senders).await)
}

impl All {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// What a thread has before it asks.
struct Ready {
    /// Its connections.
    senders: Vec<SendRequest<Bytes>>,
    alarm: Arc<Alarm>,
    /// Of warming up, and of what counts.
    tallies: [Tally; 2],
}

impl Ready {
    async fn new(plan: &Plan, number: usize) -> Result<Self, CliError> {
        let mut senders = Vec::new();
        for _ in (number..plan.connections).step_by(plan.threads) {
            senders.push(plan.connect().await?);
        }
        let alarm = Alarm::new().map_err(|error| CliError::Usage(format!("cannot start: {error}")))?;
        Ok(Self { senders, alarm: Arc::new(alarm), tallies: [Tally::new()?, Tally::new()?] })
    }
}

/// Warming up, or what counts, of one thread.
struct Phase {
    plan: Arc<Plan>,
    all: Arc<All>,
    /// Which of the threads it is.
    number: usize,
    end: End,
    started: Instant,
    alarm: Arc<Alarm>,
    /// The number of this thread's next call, for whoever has the turn.
    turn: tokio::sync::Mutex<u64>,
    tally: Mutex<Tally>,
}

impl Phase {
    fn new(plan: &Arc<Plan>, all: &Arc<All>, number: usize, end: End, alarm: &Arc<Alarm>, tally: Tally) -> Arc<Self> {
        let (plan, all, alarm) = (Arc::clone(plan), Arc::clone(all), Arc::clone(alarm));
        let (turn, tally) = (tokio::sync::Mutex::new(number as u64), Mutex::new(tally));
        Arc::new(Self { plan, all, number, end, started: Instant::now(), alarm, turn, tally })
    }

    /// Asks until the end, or until nobody can.
    async fn run(self: Arc<Self>, senders: &[SendRequest<Bytes>]) -> Outcome {
        let mut callers = JoinSet::new();
        // Connections are counted round the threads, and callers round the connections.
        let connections = (self.number..).step_by(self.plan.threads);
        for (connection, sender) in connections.zip(senders) {
            for _ in (connection..self.plan.in_flight).step_by(self.plan.connections) {
                callers.spawn(Arc::clone(&self).caller(sender.clone()));
            }
        }
        let (mut look, mut interrupted) = (interval(LOOK), pin!(ctrl_c()));
        let (mut answered, mut since, mut ending) = (0, Instant::now(), None);
        let mut broken: Option<String> = None;
        loop {
            tokio::select! {
                ended = callers.join_next() => match ended {
                    None => break,
                    Some(Ok(Ok(()))) => {}
                    Some(Ok(Err(lost))) => broken = broken.or_else(|| Some(gone(&lost))),
                    Some(Err(died)) => broken = broken.or_else(|| Some(died.to_string())),
                },
                _ = look.tick() => {
                    let (sent, calls) = { let tally = self.tally(); (tally.sent, tally.calls) };
                    if self.all.is_over() {
                        if ending.get_or_insert_with(Instant::now).elapsed() > LAST {
                            break;
                        }
                    } else if sent == calls || answered != calls {
                        (answered, since) = (calls, Instant::now());
                    } else if since.elapsed() > PATIENCE {
                        broken = Some(format!("the server answers none of {} calls", sent - calls));
                    }
                }
                _ = &mut interrupted, if broken.is_none() => broken = Some("interrupted".to_owned()),
            }
            if broken.is_some() {
                self.all.over.store(true, Ordering::Relaxed);
            }
        }
        let took = self.started.elapsed();
        callers.shutdown().await;
        Outcome { tally: self.tally().clone(), took, broken }
    }

    /// Asks whenever it has the turn, one call at a time.
    async fn caller(self: Arc<Self>, sender: SendRequest<Bytes>) -> Result<(), h2::Error> {
        while let Some((message, due)) = self.turn().await {
            let reply = match wire::ask(&sender, &self.plan.head, message).await {
                Ok(reply) => Ok(reply),
                Err(Unanswered::Refused(status)) => Err(*status),
                Err(Unanswered::Lost(error)) => return Err(error),
            };
            self.tally().answered(due.elapsed(), reply, self.plan.questions.batch());
        }
        Ok(())
    }

    /// The next call, and since when its latency counts; none if there is no more.
    async fn turn(&self) -> Option<(Bytes, Instant)> {
        let mut turn = self.turn.lock().await;
        let due = self.plan.timetable.map(|timetable| self.started + timetable.at(*turn));
        let over = match self.end {
            End::Calls(count) => *turn >= count,
            // What was not sent by then is not sent any more, whenever it was due.
            End::After(span) => due.unwrap_or(self.started).max(Instant::now()) >= self.started + span,
        };
        if over || self.all.is_over() {
            return None;
        }
        let message = self.plan.questions.call(*turn);
        *turn += self.plan.threads as u64;
        if let Some(due) = due {
            self.alarm.ring(due).await;
            if self.all.is_over() {
                return None;
            }
        }
        let now = Instant::now();
        let since = due.unwrap_or(now);
        self.tally().was_sent(now - since);
        Some((message, since))
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What it means that a connection is no more.
fn gone(lost: &h2::Error) -> String {
    match lost.reason() {
        Some(Reason::NO_ERROR) => "the server went away: it takes no more calls".to_owned(),
        _ => format!("the server went away: {lost}"),
    }
}
