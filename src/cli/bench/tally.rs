//! What came of the calls of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use prost::Message;
use prost::bytes::Bytes;
use tonic::{Code, Status};

use crate::service::proto::batch_authorize_result::Outcome;
use crate::service::proto::{AuthorizeResponse, BatchAuthorizeResponse, Decision, Reason};

use super::super::CliError;

/// The longest latency that is told apart, in nanoseconds: an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;
/// A latency is known to one part in a thousand.
const DIGITS: u8 = 3;
/// From when on a call counts as sent late: far above what the alarm is late by.
const LATE: Duration = Duration::from_millis(1);

/// What is counted.
#[derive(Debug, Clone)]
pub struct Tally {
    /// Calls that were sent.
    pub sent: u64,
    /// Calls that were answered, if only by an error.
    pub calls: u64,
    /// Questions that were allowed.
    pub allowed: u64,
    /// Questions that were denied.
    pub denied: BTreeMap<Reason, u64>,
    /// Questions that have no decision, by the number of the status code: their own, or that of their call.
    pub errors: BTreeMap<i32, u64>,
    /// Of each call, in nanoseconds.
    pub latencies: Histogram<u64>,
    /// Calls that were sent later than was due.
    pub late: u64,
    /// By how much, at most.
    pub latest: Duration,
}

impl Tally {
    /// # Errors
    /// None; the bounds of the histogram are as it wants them.
    pub fn new() -> Result<Self, CliError> {
        let latencies = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS);
        Ok(Self {
            sent: 0,
            calls: 0,
            allowed: 0,
            denied: BTreeMap::new(),
            errors: BTreeMap::new(),
            latencies: latencies.map_err(|error| CliError::Usage(error.to_string()))?,
            late: 0,
            latest: Duration::ZERO,
        })
    }

    /// Questions that were decided.
    pub fn decisions(&self) -> u64 {
        self.allowed + self.denied.values().sum::<u64>()
    }

    /// A call was sent, so long after it was due.
    pub fn was_sent(&mut self, late: Duration) {
        self.sent += 1;
        self.late += u64::from(late > LATE);
        self.latest = self.latest.max(late);
    }

    /// A call was answered, after so long; it had so many questions, and is a batch or not.
    pub fn answered(&mut self, latency: Duration, reply: Result<Bytes, Status>, batch: Option<u64>) {
        self.calls += 1;
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.latencies.saturating_record(nanos);
        let questions = batch.unwrap_or(1);
        match (reply, batch) {
            (Err(status), _) => self.failed(status.code(), questions),
            (Ok(reply), None) => match AuthorizeResponse::decode(reply) {
                Ok(reply) => self.decided(&reply),
                Err(_) => self.failed(Code::Internal, questions),
            },
            (Ok(reply), Some(_)) => match BatchAuthorizeResponse::decode(reply) {
                Ok(reply) => reply.results.into_iter().for_each(|result| match result.outcome {
                    Some(Outcome::Decision(decision)) => self.decided(&decision),
                    Some(Outcome::Error(error)) => self.failed(Code::from_i32(error.code), 1),
                    None => self.failed(Code::Internal, 1),
                }),
                Err(_) => self.failed(Code::Internal, questions),
            },
        }
    }

    fn decided(&mut self, reply: &AuthorizeResponse) {
        match reply.decision() {
            Decision::Allow => self.allowed += 1,
            Decision::Deny => *self.denied.entry(reply.reason()).or_default() += 1,
            Decision::Unspecified => self.failed(Code::Internal, 1),
        }
    }

    fn failed(&mut self, code: Code, questions: u64) {
        *self.errors.entry(code.into()).or_default() += questions;
    }

    /// Takes in what another thread counted.
    ///
    /// # Errors
    /// None; their histograms have the same bounds.
    pub fn add(&mut self, other: &Self) -> Result<(), CliError> {
        let Self { sent, calls, allowed, denied, errors, latencies, late, latest } = other;
        self.sent += sent;
        self.calls += calls;
        self.allowed += allowed;
        denied.iter().for_each(|(reason, count)| *self.denied.entry(*reason).or_default() += count);
        errors.iter().for_each(|(code, count)| *self.errors.entry(*code).or_default() += count);
        self.late += late;
        self.latest = self.latest.max(*latest);
        self.latencies.add(latencies).map_err(|error| CliError::Usage(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::proto::{BatchAuthorizeResult, ItemError};

    fn decision(decision: Decision, reason: Reason) -> AuthorizeResponse {
        AuthorizeResponse { decision: decision.into(), reason: reason.into(), ..Default::default() }
    }

    #[test]
    fn each_answer_counts_once_whichever_thread_got_it() {
        let (mut tally, mut other) = (Tally::new().unwrap(), Tally::new().unwrap());
        let ms = Duration::from_millis;
        let allow = decision(Decision::Allow, Reason::Allowed);
        let deny = decision(Decision::Deny, Reason::NotVisible);
        tally.answered(ms(1), Ok(allow.encode_to_vec().into()), None);
        tally.answered(ms(2), Ok(deny.encode_to_vec().into()), None);
        tally.answered(ms(3), Err(Status::not_found("")), None);
        // A reply without a decision allows nothing.
        tally.answered(ms(4), Ok(Bytes::new()), None);
        let error = ItemError { code: Code::NotFound.into(), ..Default::default() };
        let outcomes = [Outcome::Decision(allow), Outcome::Decision(deny), Outcome::Error(error)];
        let results = outcomes.map(|outcome| BatchAuthorizeResult { outcome: Some(outcome) }).into();
        let batch = BatchAuthorizeResponse { results, ..Default::default() };
        other.answered(ms(5), Ok(batch.encode_to_vec().into()), Some(3));
        other.answered(ms(6), Err(Status::unavailable("")), Some(3));
        other.answered(ms(7), Ok(Bytes::from_static(&[0xff])), Some(3));
        tally.was_sent(Duration::ZERO);
        other.was_sent(ms(40));
        tally.add(&other).unwrap();
        assert_eq!((tally.calls, tally.allowed, tally.decisions()), (7, 2, 4));
        assert_eq!(tally.denied, BTreeMap::from([(Reason::NotVisible, 2)]));
        let codes = [(Code::NotFound, 2), (Code::Internal, 1 + 3), (Code::Unavailable, 3)];
        assert_eq!(tally.errors, codes.map(|(code, count)| (code.into(), count)).into());
        assert_eq!((tally.latencies.len(), tally.sent, tally.late, tally.latest), (7, 2, 1, ms(40)));
        assert!(tally.latencies.max().abs_diff(7_000_000) < 7_000_000 / 999);
    }
}
