//! `doorward bench`: a load for a running server, and what it makes of it.
//!
//! Questions are read from a file and encoded before the clock runs, the client is bare ([`wire`]), and no thread
//! shares anything with another while it asks: so that what is measured is the server as far as that goes. Where
//! client and server share a machine, they share its cores, and a figure is of both.

mod load;
mod questions;
mod report;
mod tally;
mod timetable;
pub mod wire;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::RangedU64ValueParser;
use http::HeaderValue;
use prost::Message;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::config::{MAX_WORKERS, duration};
use crate::core::id::Id;
use crate::server::{MAX_CONNECTIONS, MAX_STREAMS};
use crate::service::MAX_ITEMS;
use crate::service::proto::BatchAuthorizeResponse;
use crate::service::proto::batch_authorize_result::Outcome as Item;

use super::remote::{ServerArgs, refused};
use super::{CliError, block_on};

use load::{End, Plan};
use questions::{Pick, Questions};
use report::Report;
use timetable::Timetable;
use wire::{Address, Unanswered};

/// Calls a second that may be asked for: more than any server answers.
const MAX_RATE: i64 = 10_000_000;
/// Calls in flight that may be asked for: each has a task of its own.
const MAX_IN_FLIGHT: u64 = 1 << 16;
/// Questions in one batch, if nothing is said.
const BATCH: u32 = 100;

/// The arguments of `doorward bench`.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The organization to ask about, in place of the file's; needed with questions one a line.
    #[arg(long, value_name = "ID")]
    organization: Option<Id>,
    /// How questions are drawn from the file.
    #[arg(long, value_enum, default_value = "uniform")]
    pick: Pick,
    /// Another seed draws other questions; the same one the same.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Whether a call asks one question or many.
    #[arg(long, value_enum, default_value = "authorize")]
    method: Method,
    /// Questions a call, with `--method batch`; 100 by default.
    #[arg(long, value_name = "COUNT", value_parser = RangedU64ValueParser::<u32>::new().range(1..=MAX_ITEMS as u64))]
    batch: Option<u32>,
    /// Connections.
    #[arg(long, value_name = "COUNT", default_value = "4",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=MAX_CONNECTIONS as u64))]
    connections: usize,
    /// Calls in flight, on all connections together: so many callers wait for an answer each before they ask again. With
    /// `--rate`, at most so many.
    #[arg(long, value_name = "COUNT", default_value = "64",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=MAX_IN_FLIGHT))]
    in_flight: usize,
    /// Threads that share the connections.
    #[arg(long, value_name = "COUNT", default_value = "1",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=MAX_WORKERS as u64))]
    threads: usize,
    /// An open loop: so many calls are due a second, at equal distances, whether or not those before were answered; latency
    /// counts from when a call was due. Without it, a closed loop: a caller asks again when it was answered.
    #[arg(long, value_name = "CALLS", value_parser = clap::value_parser!(u32).range(1..=MAX_RATE))]
    rate: Option<u32>,
    /// How long to ask, such as `10` (seconds) or `500ms`.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = some_time)]
    duration: Duration,
    /// How long to ask before that, uncounted.
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = time)]
    warm_up: Duration,
    /// End after so many calls, however long they take.
    #[arg(long, value_name = "COUNT", conflicts_with = "duration",
        value_parser = clap::value_parser!(u64).range(1..))]
    calls: Option<u64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// A decision-test file, of which the cases of `authorize` are asked; or a file whose name ends in `.jsonl`, with what such
    /// a case has as `authorize` on each line.
    #[arg(value_name = "QUESTIONS")]
    questions: PathBuf,
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// `Authorize`: one.
    Authorize,
    /// `BatchAuthorize`: many.
    Batch,
}

/// Asks, and prints what came of it. Whether it came to its end.
///
/// # Errors
/// There is nothing to ask, or nobody who answers.
pub fn bench(args: BenchArgs) -> Result<bool, CliError> {
    let plan = Arc::new(args.plan()?);
    block_on(async { first(&plan).await.map(|()| true) })?;
    let outcome = load::run(&plan)?;
    let report = Report::new(&args, &plan, &outcome);
    if args.json {
        say!("{:#}", report.json());
    } else {
        say!("{}", report.text());
    }
    if let Some(broken) = &outcome.broken {
        let unanswered = outcome.tally.sent - outcome.tally.calls;
        eprintln!("broken off after {:.1} s, {unanswered} calls unanswered: {broken}", outcome.took.as_secs_f64());
    }
    Ok(outcome.broken.is_none())
}

impl BenchArgs {
    fn plan(&self) -> Result<Plan, CliError> {
        let Self { connections, in_flight, threads, .. } = *self;
        let wrong = |problem: String| Err(CliError::Usage(problem));
        let method = match (self.method, self.batch) {
            (Method::Authorize, Some(_)) => return wrong("`--batch` is for `--method batch`".to_owned()),
            (Method::Authorize, None) => "Authorize",
            (Method::Batch, _) => "BatchAuthorize",
        };
        if threads > connections {
            return wrong(format!("{threads} threads want as many connections, not {connections}"));
        }
        if in_flight < connections {
            return wrong(format!("{connections} connections want as many calls in flight, not {in_flight}"));
        }
        if in_flight > connections.saturating_mul(MAX_STREAMS as usize) {
            return wrong(format!(
                "a server takes {MAX_STREAMS} calls at a time on a connection: {in_flight} want more"
            ));
        }
        let unreachable = |problem: String| {
            let address = self.server.server.clone().unwrap_or_default();
            CliError::Unreachable { address, problem }
        };
        let address = Address::parse(self.server.address()?).map_err(|problem| unreachable(problem.to_owned()))?;
        let token = self.server.token()?.map(|token| HeaderValue::from_bytes(token.as_bytes())).transpose();
        let token = token.map_err(|error| CliError::Usage(error.to_string()))?;
        let head = wire::head(&address, method, token.as_ref()).map_err(|error| unreachable(error.to_string()))?;
        let batch = (self.method == Method::Batch).then(|| self.batch.unwrap_or(BATCH));
        let questions = Questions::read(&self.questions, self.organization.clone(), (self.pick, self.seed), batch)?;
        Ok(Plan {
            address,
            head,
            questions,
            threads,
            connections,
            in_flight,
            timetable: self.rate.and_then(NonZeroU32::new).map(|rate| Timetable { rate }),
            warm_up: self.warm_up,
            end: self.calls.map_or(End::After(self.duration), End::Calls),
        })
    }

    /// How questions are drawn, as it is told on the command line.
    fn drawn(&self) -> String {
        self.pick.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// Asks the first question alone: a server that would answer none is known by that.
async fn first(plan: &Plan) -> Result<(), CliError> {
    let sender = plan.connect().await?;
    let answer = wire::ask(&sender, &plan.head, plan.questions.call(0)).await;
    match answer {
        Err(Unanswered::Lost(error)) => Err(plan.unreachable(error.to_string())),
        Err(Unanswered::Refused(status)) => {
            let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
            if is_about_all(status.code(), &reason) { Err(refused(&status)) } else { Ok(()) }
        }
        Ok(reply) if plan.questions.batch().is_some() => {
            let reply = BatchAuthorizeResponse::decode(reply);
            let reply = reply.map_err(|error| plan.unreachable(error.to_string()))?;
            match reply.results.into_iter().next().and_then(|result| result.outcome) {
                Some(Item::Error(error)) if is_about_all(Code::from_i32(error.code), &error.reason) => {
                    Err(refused(&Status::new(Code::from_i32(error.code), error.message)))
                }
                _ => Ok(()),
            }
        }
        Ok(_) => Ok(()),
    }
}

/// Whether an error is more than one question's own.
fn is_about_all(code: Code, reason: &str) -> bool {
    !matches!(code, Code::InvalidArgument | Code::NotFound) || reason == "UNKNOWN_ORGANIZATION"
}

/// A span of time; a bare number is of seconds.
fn time(text: &str) -> Result<Duration, String> {
    text.parse().map(|seconds: u32| Duration::from_secs(seconds.into())).or_else(|_| duration(text))
}

fn some_time(text: &str) -> Result<Duration, String> {
    match time(text)? {
        Duration::ZERO => Err("in no time nothing is asked".to_owned()),
        some => Ok(some),
    }
}
