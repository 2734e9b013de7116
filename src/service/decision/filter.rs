//! `FilterRecords`: which of these records, as rows.

use crate::core::decision::{Problem, Question, Reason, Resource};
use crate::core::filter::{Filtered, Wrong, filter};
use crate::core::model::Millis;
use crate::core::table::Table;
use crate::engine::Engine;

use super::super::fields::Fields;
use super::super::proto::{FilterRecordsRequest, FilterRecordsResponse};
use super::super::refusal::Refusal;
use super::super::report::revision_of;
use super::super::request::at_least;
use super::super::status::Failure;
use super::question::{self, NO_PERMISSION};
use super::to_reason;

/// Records in one call.
const MAX_RECORDS: usize = 100_000;
/// Records that are filtered on the thread that read them. More hold it for too long: other
/// decisions wait.
const FEW_RECORDS: usize = 256;

/// What is wrong with the call, whatever the organization.
fn check(fields: &mut Fields, message: &FilterRecordsRequest) {
    if message.columns.is_some() {
        fields.unsupported("columns", "records as columns are");
    }
    fields.at_most("records", message.records.len(), MAX_RECORDS);
    for (position, record) in message.records.iter().enumerate().take(MAX_RECORDS) {
        if !question::is_sound_record(record) {
            fields.within("records", |f| f.item(position, |f| question::refuse_record(f, record)));
        }
    }
}

/// The question of a request, with what is wrong with it whatever the organization.
fn asked(message: &FilterRecordsRequest) -> (Fields, Question<'_>) {
    let mut fields = Fields::default();
    check(&mut fields, message);
    let FilterRecordsRequest { principal, permission, account, object, context, .. } = message;
    let context = context.as_ref().map(|c| question::context(&mut fields, c)).unwrap_or_default();
    let resource = Resource { account, object, record: None };
    (fields, Question { principal, permission, resource, context })
}

/// Whether they are filtered where they were read.
pub fn are_few(message: &FilterRecordsRequest) -> bool {
    message.records.len() <= FEW_RECORDS
}

/// The records that pass, at the published version. No lock, no await.
///
/// # Errors
/// As those of the question itself, every record that is wrong included.
#[allow(clippy::result_large_err, reason = "an error is made once for a call that fails")]
pub fn answer(engine: &Engine, message: &FilterRecordsRequest) -> Result<FilterRecordsResponse, Failure> {
    let now = engine.now();
    let least = message.min_revision.as_ref().map(at_least);
    match engine.with_table(&message.organization, least, |table| answer_at(engine, table, message, now)) {
        Ok(answered) => answered,
        Err(error) => {
            let (fields, question) = asked(message);
            // Without a permission, none is missing.
            let permission = if question.permission.is_empty() { NO_PERMISSION } else { question.permission };
            let named = Question { permission, ..question };
            Err(if fields.is_empty() {
                question::failure(error, &named)
            } else {
                question::malformed(fields, Some(error), &named)
            })
        }
    }
}

/// The records that pass, at this version.
///
/// # Errors
/// As those of [`answer`].
#[allow(clippy::result_large_err, reason = "an error is made once for a call that fails")]
pub fn answer_at(
    engine: &Engine,
    table: &Table,
    message: &FilterRecordsRequest,
    now: Millis,
) -> Result<FilterRecordsResponse, Failure> {
    let (fields, question) = asked(message);
    // INVARIANT 8: of too many, which are refused, no more is looked at than is allowed.
    let records = message.records.get(..MAX_RECORDS).unwrap_or(&message.records);
    match filter(table, &question, records.iter().map(question::record), now) {
        Ok(filtered) if fields.is_empty() => {
            note_use(engine, table, message, &question, &filtered, now);
            Ok(reply(table, message, filtered))
        }
        Ok(_) => Err(fields.finish::<()>(None).err().map_or_else(nothing_wrong, Failure::from)),
        Err(wrong) => Err(refused(fields, wrong)),
    }
}

/// Of all records that passed, one use (rule 7.4): the first one's.
fn note_use(
    engine: &Engine,
    table: &Table,
    message: &FilterRecordsRequest,
    question: &Question<'_>,
    filtered: &Filtered,
    now: Millis,
) {
    if !table.has_activations(now) {
        return;
    }
    let passed = filtered.positions.iter().filter_map(|at| message.records.get(*at as usize));
    for record in passed {
        let resource = Resource { record: Some(question::record(record)), ..question.resource };
        if engine.note_use(table, &Question { resource, ..*question }, now, Reason::Allowed) {
            return;
        }
    }
}

fn nothing_wrong() -> Failure {
    Refusal::Internal("a malformed question without a violation").into()
}

fn reply(table: &Table, message: &FilterRecordsRequest, filtered: Filtered) -> FilterRecordsResponse {
    let Filtered { positions, reason } = filtered;
    let ids = positions.iter().filter_map(|at| Some(message.records.get(*at as usize)?.id.clone()));
    let record_ids = if message.positions_only { Vec::new() } else { ids.collect() };
    let (reason, revision) = (to_reason(reason).into(), Some(revision_of(table)));
    FilterRecordsResponse { positions, record_ids, reason, revision, staleness: None }
}

/// Everything that is wrong, where it stands in this request. If nothing but the question's own
/// object, account or permission is unknown, the error is the one of a single decision.
pub fn refused(mut fields: Fields, wrong: Vec<Wrong>) -> Failure {
    if let (true, [Wrong::Question(problems)]) = (fields.is_empty(), wrong.as_slice()) {
        return problems.iter().map(moved).collect::<Vec<_>>().into();
    }
    for wrong in wrong {
        match wrong {
            Wrong::Question(problems) => {
                for problem in problems.iter().map(moved) {
                    fields.refuse(problem.field, problem.kind);
                }
            }
            Wrong::Record(position, problems) => fields.within("records", |f| {
                f.item(position, |f| {
                    for Problem { field, kind } in problems {
                        f.refuse(field.strip_prefix("resource.record.").unwrap_or(field), kind);
                    }
                });
            }),
        }
    }
    fields.finish::<()>(None).err().map_or_else(nothing_wrong, Failure::from)
}

/// A problem of a question where this request has its place.
pub(super) fn moved(problem: &Problem) -> Problem {
    let field = problem.field.strip_prefix("resource.").unwrap_or(problem.field);
    Problem { field, kind: problem.kind.clone() }
}
