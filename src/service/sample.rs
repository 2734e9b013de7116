//! `TestCondition`: a condition tried against sample records.

use crate::core::condition::{MAX_COST, Mistake, Outcome, Step, Trace, Typed};
use crate::core::decision::{Question, Resource};
use crate::core::id::Id;
use crate::core::limits::MAX_SAMPLES;
use crate::core::model::Millis;
use crate::core::sample::{Tried, try_condition};
use crate::core::table::Table;

use super::decision::filter::refused;
use super::decision::question;
use super::fields::Fields;
use super::proto::*;
use super::report::revision_of;
use super::status::Failure;

/// Bytes that are shown of a part's text or value.
const SHOWN_BYTES: usize = 200;

/// Notes what is wrong with a request, whatever the organization.
pub fn asked(fields: &mut Fields, message: &TestConditionRequest) {
    let TestConditionRequest {
        organization: _,
        object,
        condition,
        principal: _,
        records,
        context,
        now,
        min_revision: _,
    } = message;
    fields.parse::<Id>("object", object);
    if condition.is_empty() {
        fields.refuse("condition", "is required");
    }
    fields.at_most("records", records.len(), MAX_SAMPLES);
    for (position, record) in records.iter().enumerate().take(MAX_SAMPLES) {
        if !question::is_sound_record(record) {
            fields.within("records", |f| f.item(position, |f| question::refuse_record(f, record)));
        }
    }
    if let Some(context) = context {
        question::context(fields, context);
    }
    now.and_then(|now| fields.instant("now", now));
}

/// The answer to a request that [`asked`] found sound.
///
/// # Errors
/// What is unknown, and all that is wrong with the records.
#[allow(clippy::result_large_err, reason = "an error is made once for a call that fails")]
pub fn answer(table: &Table, message: &TestConditionRequest, clock: Millis) -> Result<TestConditionResponse, Failure> {
    let sound = &mut Fields::default();
    let context = message.context.as_ref().map(|context| question::context(sound, context)).unwrap_or_default();
    let now = message.now.and_then(|now| sound.instant("now", now)).unwrap_or(clock);
    let resource = Resource { object: &message.object, ..Resource::default() };
    let question = Question { principal: &message.principal, resource, context, ..Question::default() };
    let records = message.records.iter().map(question::record);
    let tried = try_condition(table, &question, &message.condition, records, now);
    let tried = tried.map_err(|wrong| refused(Fields::default(), "records", wrong))?;
    let reply = TestConditionResponse {
        cost_limit: MAX_COST,
        revision: Some(revision_of(table)),
        ..TestConditionResponse::default()
    };
    Ok(match tried {
        Tried::Refused(mistakes) => {
            TestConditionResponse { issues: mistakes.into_iter().map(to_issue).collect(), ..reply }
        }
        Tried::Sound { condition, traces } => {
            let outcomes =
                message.records.iter().zip(&traces).map(|(record, trace)| outcome(&condition, record, trace));
            TestConditionResponse { outcomes: outcomes.collect(), cost: condition.cost(), ..reply }
        }
    })
}

fn to_issue(mistake: Mistake) -> ConditionIssue {
    let Mistake { offset: _, length: _, line, column, message } = mistake;
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    ConditionIssue { line: number(line), column: number(column), message }
}

fn outcome(condition: &Typed, record: &Record, trace: &Trace) -> ConditionOutcome {
    let Trace { outcome, steps, cut } = trace;
    let (result, error) = match outcome {
        Outcome::True => (ConditionResult::True, String::new()),
        Outcome::False => (ConditionResult::False, String::new()),
        Outcome::Error(cause) => {
            let part = shortened(condition.excerpt(cause.span));
            (ConditionResult::Error, format!("`{part}` {}", cause.failure))
        }
    };
    ConditionOutcome {
        record: record.id.clone(),
        result: result.into(),
        error,
        steps: steps.iter().map(|step| to_step(condition, step)).collect(),
        steps_truncated: *cut,
    }
}

fn to_step(condition: &Typed, step: &Step) -> ConditionStep {
    let Step { span, seen } = step;
    let (value, error) = match seen {
        Ok(seen) => (shortened(&seen.to_string()), String::new()),
        Err(cause) => {
            let part = shortened(condition.excerpt(cause.span));
            (String::new(), format!("`{part}` {}", cause.failure))
        }
    };
    ConditionStep { expression: shortened(condition.excerpt(*span)), value, error }
}

fn shortened(text: &str) -> String {
    let short = text.get(..text.floor_char_boundary(SHOWN_BYTES)).unwrap_or("");
    if short.len() < text.len() { format!("{short}…") } else { text.to_owned() }
}
