//! `FilterRecords`: which of these records, as rows or by column.

use crate::core::columns::{Columns, RowOf, record_of};
use crate::core::decision::{Problem, Question, Reason, Resource};
use crate::core::filter::{Filtered, Wrong, filter, filter_columns};
use crate::core::model::Millis;
use crate::core::table::Table;
use crate::engine::Engine;
use crate::snapshot::Marks;

use super::super::convert::columns as convert;
use super::super::fields::Fields;
use super::super::proto::column::Values;
use super::super::proto::{Column, FilterRecordsRequest, FilterRecordsResponse, Record, RecordColumns, StringColumn};
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
/// The same of records by column, each entry of a column counted.
const FEW_ENTRIES: usize = 16 * FEW_RECORDS;

/// The records of a call, where they lie in it.
enum Sent<'a> {
    Rows(&'a [Record]),
    Columns(Columns<'a>),
}

impl<'a> Sent<'a> {
    /// What is wrong with them, whatever the organization, is noted.
    fn new(fields: &mut Fields, records: &'a [Record], columns: Option<&'a RecordColumns>) -> Self {
        let Some(columns) = columns else {
            fields.at_most("records", records.len(), MAX_RECORDS);
            // INVARIANT 8: of too many, which are refused, no more is looked at than is allowed.
            let records = records.get(..MAX_RECORDS).unwrap_or(records);
            for (position, record) in records.iter().enumerate() {
                if !question::is_sound_record(record) {
                    fields.within("records", |f| f.item(position, |f| question::refuse_record(f, record)));
                }
            }
            return Self::Rows(records);
        };
        if !records.is_empty() {
            fields.refuse("columns", "are sent beside `records`: either, not both");
        }
        let read = fields.within("columns", |f| convert::columns(f, columns, MAX_RECORDS));
        read.map_or(Self::Rows(&[]), Self::Columns)
    }

    fn filter(&self, table: &Table, question: &Question<'_>, now: Millis) -> Result<Filtered, Vec<Wrong>> {
        match self {
            Self::Rows(rows) => filter(table, question, rows.iter().map(question::record), now),
            Self::Columns(columns) => filter_columns(table, question, columns, now),
        }
    }

    fn id(&self, at: u32) -> Option<&'a str> {
        match self {
            Self::Rows(rows) => rows.get(at as usize).map(|record| record.id.as_str()),
            Self::Columns(columns) => columns.ids.get(at as usize),
        }
    }

    /// The resource that the record at a place is.
    fn with<T>(&self, at: u32, of: &Resource<'_>, ask: impl FnOnce(Resource<'_>) -> T) -> Option<T> {
        let at = at as usize;
        match self {
            Self::Rows(rows) => Some(ask(Resource { record: Some(question::record(rows.get(at)?)), ..*of })),
            Self::Columns(columns) => {
                let row = RowOf::new(columns, at);
                Some(ask(Resource { record: Some(record_of(columns, at, &row)), ..*of }))
            }
        }
    }
}

/// The records of a request and its question, with what is wrong with them whatever the organization.
fn asked(message: &FilterRecordsRequest) -> (Fields, Sent<'_>, Question<'_>) {
    let mut fields = Fields::default();
    let sent = Sent::new(&mut fields, &message.records, message.columns.as_ref());
    let FilterRecordsRequest { principal, permission, account, object, context, .. } = message;
    let context = context.as_ref().map(|c| question::context(&mut fields, c)).unwrap_or_default();
    let resource = Resource { account, object, record: None };
    (fields, sent, Question { principal, permission, resource, context })
}

/// All entries of all columns, and all texts.
fn entries(columns: &RecordColumns) -> usize {
    let RecordColumns { ids, owners, accounts, attributes } = columns;
    let texts = |column: &StringColumn| column.lengths.len() + column.indexes.len();
    let values = |column: &Column| match &column.values {
        None => 0,
        Some(Values::Bools(column)) => column.values.len(),
        Some(Values::Ints(column)) => column.values.len(),
        Some(Values::Doubles(column)) => column.values.len(),
        Some(Values::Strings(column)) => texts(column),
        Some(Values::Timestamps(column)) => column.unix_millis.len(),
    };
    let parts = [ids, owners, accounts].into_iter().flatten().map(texts).sum::<usize>();
    parts + attributes.iter().map(|column| column.list_lengths.len() + values(column)).sum::<usize>()
}

/// Whether they are filtered where they were read.
pub fn are_few(message: &FilterRecordsRequest) -> bool {
    message.records.len() <= FEW_RECORDS && message.columns.as_ref().is_none_or(|c| entries(c) <= FEW_ENTRIES)
}

/// The records that pass, at the published version. No lock, no await.
///
/// # Errors
/// As those of the question itself, every record that is wrong included.
#[allow(clippy::result_large_err, reason = "an error is made once for a call that fails")]
pub fn answer(engine: &Engine, message: &FilterRecordsRequest) -> Result<FilterRecordsResponse, Failure> {
    let now = engine.now();
    let least = message.min_revision.as_ref().map(at_least);
    let answer = |table: &Table, marks: &Marks| answer_at(engine, (table, marks), message, now);
    match engine.with_marks(&message.organization, least, answer) {
        Ok(answered) => answered,
        Err(error) => {
            let (fields, _, question) = asked(message);
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

/// The records that pass, at this version; what that allows is noted in its marks.
///
/// # Errors
/// As those of [`answer`].
#[allow(clippy::result_large_err, reason = "an error is made once for a call that fails")]
pub fn answer_at(
    engine: &Engine,
    (table, marks): (&Table, &Marks),
    message: &FilterRecordsRequest,
    now: Millis,
) -> Result<FilterRecordsResponse, Failure> {
    let (fields, sent, question) = asked(message);
    match sent.filter(table, &question, now) {
        Ok(filtered) if fields.is_empty() => {
            for permission in &filtered.allowed {
                marks.note(*permission, now);
            }
            note_use(engine, table, &sent, &question, &filtered, now);
            let ids = filtered.positions.iter().filter_map(|at| sent.id(*at)).map(str::to_owned);
            let record_ids = if message.positions_only { Vec::new() } else { ids.collect() };
            Ok(reply(table, filtered, record_ids))
        }
        Ok(_) => Err(fields.finish::<()>(None).err().map_or_else(nothing_wrong, Failure::from)),
        Err(wrong) => Err(refused(fields, if message.columns.is_some() { "columns" } else { "records" }, wrong)),
    }
}

/// Of all records that passed, one use (rule 7.4): the first one's.
fn note_use(
    engine: &Engine,
    table: &Table,
    sent: &Sent<'_>,
    question: &Question<'_>,
    filtered: &Filtered,
    now: Millis,
) {
    if !table.has_activations(now) {
        return;
    }
    for at in &filtered.positions {
        let noted = sent.with(*at, &question.resource, |resource| {
            engine.note_use(table, &Question { resource, ..*question }, now, Reason::Allowed)
        });
        if noted == Some(true) {
            return;
        }
    }
}

fn nothing_wrong() -> Failure {
    Refusal::Internal("a malformed question without a violation").into()
}

fn reply(
    table: &Table,
    Filtered { positions, reason, allowed: _ }: Filtered,
    record_ids: Vec<String>,
) -> FilterRecordsResponse {
    let (reason, revision) = (to_reason(reason).into(), Some(revision_of(table)));
    FilterRecordsResponse { positions, record_ids, reason, revision, staleness: None }
}

/// Everything that is wrong, where it stands in this request. If nothing but the question's own
/// object, account or permission is unknown, the error is the one of a single decision.
pub fn refused(mut fields: Fields, list: &'static str, wrong: Vec<Wrong>) -> Failure {
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
            Wrong::Record(position, problems) => fields.within(list, |f| {
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
