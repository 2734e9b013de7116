//! What a run found, for people and for scripts, with all that it was found with.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use tonic::Code;

use crate::service::proto::Reason;

use super::super::remote::code_name;
use super::BenchArgs;
use super::load::{Outcome, Plan};

/// The parts of all calls of which the latency is told, and their names.
const QUANTILES: [(f64, &str); 4] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9")];

/// A run and what came of it.
pub struct Report<'r> {
    args: &'r BenchArgs,
    plan: &'r Plan,
    outcome: &'r Outcome,
    cores: usize,
    /// Questions that were denied or have no decision, by name.
    denied: Vec<(String, u64)>,
    errors: Vec<(String, u64)>,
}

impl<'r> Report<'r> {
    /// Of a run that has ended.
    pub fn new(args: &'r BenchArgs, plan: &'r Plan, outcome: &'r Outcome) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let denied = outcome.tally.denied.iter().map(|(reason, count)| (reason_name(*reason), *count)).collect();
        let errors = &outcome.tally.errors;
        let errors = errors.iter().map(|(code, count)| (code_name(Code::from_i32(*code)), *count)).collect();
        Self { args, plan, outcome, cores, denied, errors }
    }

    /// Calls of an open loop that were due and not sent.
    fn unsent(&self) -> Option<u64> {
        self.plan.due().map(|due| due.saturating_sub(self.outcome.tally.sent))
    }

    fn a_second(&self, count: u64) -> f64 {
        double(count) / self.outcome.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// For people: some lines.
    pub fn text(&self) -> String {
        let Self { args, plan, outcome, cores, denied, errors } = self;
        let tally = &outcome.tally;
        let mut text = format!("doorward {}, {cores} cores on this machine", env!("CARGO_PKG_VERSION"));
        if cfg!(debug_assertions) {
            text += ", built without optimization: these figures say little";
        }
        let asked = plan.questions.batch().map_or("Authorize".to_owned(), |size| format!("BatchAuthorize of {size}"));
        let (count, organization, seed) = (plan.questions.count(), &plan.questions.organization, args.seed);
        let (file, address, drawn) = (args.questions.display(), &plan.address, args.drawn());
        let _ = writeln!(
            text,
            "\n{address}: {asked}, {count} questions of {file} about `{organization}`, {drawn} (seed {seed})"
        );
        let kind = args.rate.map_or("closed loop".to_owned(), |rate| format!("open loop, {rate} calls due a second"));
        let (connections, in_flight, threads) = (args.connections, args.in_flight, args.threads);
        let until = args.calls.map_or(seconds(args.duration), |calls| format!("{calls} calls"));
        let warm_up = seconds(args.warm_up);
        let _ = writeln!(
            text,
            "{kind}; connections: {connections}, in flight: {in_flight} in all, threads: {threads}; {warm_up} of warming up, then {until}\n"
        );
        let mut line = |name: &str, said: String| {
            let _ = writeln!(text, "{name:<10} {said}");
        };
        let took = seconds(outcome.took);
        line("calls", format!("{} in {took}, {:.0} a second", tally.calls, self.a_second(tally.calls)));
        let decisions = tally.decisions();
        line("decisions", format!("{decisions}, {:.0} a second", self.a_second(decisions)));
        let latencies: Vec<String> =
            self.latencies().into_iter().map(|(name, us)| format!("{name} {:.3}", us / 1e3)).collect();
        line("latency", format!("{} ms", latencies.join(", ")));
        let questions = decisions + errors.iter().map(|(_, count)| count).sum::<u64>();
        let share = |count| format!("{count} ({:.1}%)", 100.0 * double(count) / double(questions.max(1)));
        line("allow", share(tally.allowed));
        denied.iter().for_each(|(reason, count)| line("deny", format!("{reason} {}", share(*count))));
        errors.iter().for_each(|(code, count)| line("error", format!("{code} {}", share(*count))));
        if let Some(unsent) = self.unsent() {
            line("timetable", self.kept(unsent));
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// Whether calls went out when they were due.
    fn kept(&self, unsent: u64) -> String {
        let tally = &self.outcome.tally;
        let due = tally.sent + unsent;
        if tally.late == 0 && unsent == 0 {
            return format!("kept: all of {due} calls were sent within 1 ms of when they were due");
        }
        let latest = tally.latest.as_secs_f64() * 1e3;
        let mut said = format!(
            "fell behind: of {due} calls {} were sent more than 1 ms late ({latest:.1} ms at most)",
            tally.late
        );
        if unsent > 0 {
            let _ = write!(said, ", {unsent} never: in no latency above");
        }
        said + ". Either the server does not answer so many, or more `--in-flight` or `--threads` are needed"
    }

    /// In microseconds.
    fn latencies(&self) -> Vec<(&'static str, f64)> {
        let latencies = &self.outcome.tally.latencies;
        let us = |nanos| double(nanos) / 1e3;
        let mut all: Vec<_> =
            QUANTILES.map(|(part, name)| (name, us(latencies.value_at_quantile(part)))).into_iter().collect();
        all.push(("max", us(latencies.max())));
        all
    }

    /// For scripts: an object.
    pub fn json(&self) -> Value {
        let Self { args, plan, outcome, cores, denied, errors } = self;
        let tally = &outcome.tally;
        let object = |counts: &[(String, u64)]| -> Value { counts.iter().cloned().collect() };
        let latencies: serde_json::Map<_, _> =
            self.latencies().into_iter().map(|(name, us)| (name.replace('.', "_"), json!(us))).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "optimized": !cfg!(debug_assertions),
            "cores": cores,
            "server": plan.address.to_string(),
            "method": if plan.questions.batch().is_some() { "BatchAuthorize" } else { "Authorize" },
            "batch": plan.questions.batch(),
            "organization": plan.questions.organization.as_str(),
            "questions": plan.questions.count(),
            "pick": args.drawn(),
            "seed": args.seed,
            "connections": args.connections,
            "in_flight": args.in_flight,
            "threads": args.threads,
            "rate": args.rate,
            "warm_up_s": args.warm_up.as_secs_f64(),
            "took_s": outcome.took.as_secs_f64(),
            "calls": tally.calls,
            "calls_per_second": self.a_second(tally.calls),
            "decisions": tally.decisions(),
            "decisions_per_second": self.a_second(tally.decisions()),
            "latency_us": latencies,
            "allow": tally.allowed,
            "deny": object(denied),
            "errors": object(errors),
            "sent": tally.sent,
            "sent_late": self.unsent().map(|_| tally.late),
            "latest_us": self.unsent().map(|_| tally.latest.as_secs_f64() * 1e6),
            "never_sent": self.unsent(),
            "broken": outcome.broken,
        })
    }
}

fn reason_name(reason: Reason) -> String {
    let name = reason.as_str_name();
    name.strip_prefix("REASON_").unwrap_or(name).to_owned()
}

fn seconds(span: Duration) -> String {
    format!("{:.2} s", span.as_secs_f64())
}

#[allow(clippy::cast_precision_loss, reason = "a figure of three digits is printed of it")]
fn double(count: u64) -> f64 {
    count as f64
}
