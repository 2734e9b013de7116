//! `FilterRecords`: which of these records, as rows or by column.

use std::fmt::Display;

use crate::core::columns::{Columns, RowOf, record_of};
use crate::core::decision::{Problem, ProblemKind, Question, Reason, Resource};
use crate::core::filter::{Filtered, Records, Wrong, filter};
use crate::core::id::PermissionName;
use crate::core::model::Millis;
use crate::core::table::Table;
use crate::engine::{Engine, ReadError};
use crate::snapshot::Marks;

use super::super::convert::columns as convert;
use super::super::fields::Fields;
use super::super::proto::column::Values;
use super::super::proto::{
    Column, FilterRecordsRequest, FilterRecordsResponse, PermissionRecords, Record, RecordColumns, StringColumn,
};
use super::super::refusal::Refusal;
use super::super::report::revision_of;
use super::super::request::at_least;
use super::super::status::Failure;
use super::question::{self, NO_PERMISSION};
use super::to_reason;

/// Records in one call.
const MAX_RECORDS: usize = 100_000;
/// Permissions in one call.
const MAX_PERMISSIONS: usize = 16;
/// Records that are filtered on the thread that read them. More hold it for too long: other
/// decisions wait.
const FEW_RECORDS: usize = 256;
/// The same of records by column, each entry of a column counted.
const FEW_ENTRIES: usize = 16 * FEW_RECORDS;
/// So many permissions may be asked of that many; of more permissions, accordingly fewer.
const FEW_PERMISSIONS: usize = 4;

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

    fn filter(
        &self,
        table: &Table,
        question: &Question<'_>,
        permissions: &[&str],
        now: Millis,
    ) -> Result<Vec<Filtered>, Vec<Wrong>> {
        match self {
            Self::Rows(rows) => {
                let rows: Vec<_> = rows.iter().map(question::record).collect();
                filter(table, question, permissions, Records::Rows(&rows), now)
            }
            Self::Columns(columns) => filter(table, question, permissions, Records::Columns(columns), now),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Rows(rows) => rows.len(),
            Self::Columns(columns) => columns.len(),
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

/// A request, where it lies.
struct Asked<'a> {
    sent: Sent<'a>,
    /// Whatever the permission.
    question: Question<'a>,
    permissions: Vec<&'a str>,
}

impl<'a> Asked<'a> {
    /// What is wrong with it, whatever the organization, is noted.
    fn new(fields: &mut Fields, message: &'a FilterRecordsRequest) -> Self {
        let permissions = permissions(fields, message);
        let sent = Sent::new(fields, &message.records, message.columns.as_ref());
        let FilterRecordsRequest { principal, account, object, context, .. } = message;
        let context = context.as_ref().map(|c| question::context(fields, c)).unwrap_or_default();
        let resource = Resource { account, object, record: None };
        Self { sent, question: Question { principal, permission: NO_PERMISSION, resource, context }, permissions }
    }
}

/// The permissions that are asked: one, or several.
fn permissions<'a>(fields: &mut Fields, message: &'a FilterRecordsRequest) -> Vec<&'a str> {
    let FilterRecordsRequest { permission, permissions, .. } = message;
    if permissions.is_empty() {
        return vec![permission];
    }
    if !permission.is_empty() {
        fields.refuse("permissions", "are sent beside `permission`: either, not both");
    }
    fields.at_most("permissions", permissions.len(), MAX_PERMISSIONS);
    let mut asked: Vec<&str> = Vec::with_capacity(MAX_PERMISSIONS);
    // INVARIANT 8: of too many, no more is looked at than is allowed.
    for (at, permission) in permissions.iter().take(MAX_PERMISSIONS).enumerate() {
        if asked.contains(&permission.as_str()) {
            refuse_permission(fields, message, at, "is given twice");
        }
        asked.push(permission);
    }
    asked
}

/// Refuses the permission at a place among those that are asked.
fn refuse_permission(fields: &mut Fields, message: &FilterRecordsRequest, at: usize, what: impl Display) {
    if message.permissions.is_empty() {
        fields.refuse("permission", what);
    } else {
        fields.within("permissions", |f| f.item(at, |f| f.refuse("", what)));
    }
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
    let permissions = message.permissions.len();
    let few = |count: usize, most| count <= most && count.saturating_mul(permissions) <= most * FEW_PERMISSIONS;
    few(message.records.len(), FEW_RECORDS) && message.columns.as_ref().is_none_or(|c| few(entries(c), FEW_ENTRIES))
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
            let mut fields = Fields::default();
            let Asked { sent: _, question, permissions } = Asked::new(&mut fields, message);
            if let ReadError::UnknownOrganization(_) = error {
                for (at, name) in permissions.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
                    if let Err(wrong) = PermissionName::check(name) {
                        refuse_permission(&mut fields, message, at, wrong);
                    }
                }
            }
            Err(if fields.is_empty() {
                question::failure(error, &question)
            } else {
                question::malformed(fields, Some(error), &question)
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
    answer_noting(table, message, now, |sent, question, filtered| {
        for number in &filtered.allowed {
            marks.note(*number, now);
        }
        note_use(engine, table, sent, question, filtered, now);
    })
}

/// As [`answer_at`], of a version that nobody serves: nothing is noted.
///
/// # Errors
/// As those of [`answer`].
#[allow(clippy::result_large_err, reason = "an error is made once for a call that fails")]
pub fn answer_offline(
    table: &Table,
    message: &FilterRecordsRequest,
    now: Millis,
) -> Result<FilterRecordsResponse, Failure> {
    answer_noting(table, message, now, |_, _, _| ())
}

/// What passed is told to `note`, permission by permission.
#[allow(clippy::result_large_err, reason = "an error is made once for a call that fails")]
fn answer_noting(
    table: &Table,
    message: &FilterRecordsRequest,
    now: Millis,
    note: impl Fn(&Sent<'_>, &Question<'_>, &Filtered),
) -> Result<FilterRecordsResponse, Failure> {
    let mut fields = Fields::default();
    let Asked { sent, question, permissions } = Asked::new(&mut fields, message);
    match sent.filter(table, &question, &permissions, now) {
        Ok(all) if fields.is_empty() => {
            for (filtered, permission) in all.iter().zip(permissions) {
                note(&sent, &Question { permission, ..question }, filtered);
            }
            Ok(reply(table, message, &sent, &all))
        }
        Ok(_) => Err(fields.finish::<()>(None).err().map_or_else(nothing_wrong, Failure::from)),
        Err(mut wrong) => {
            if message.permissions.is_empty() {
                wrong.iter_mut().for_each(as_one);
            }
            Err(refused(fields, if message.columns.is_some() { "columns" } else { "records" }, wrong))
        }
    }
}

/// What is wrong with the only permission is wrong with the question.
fn as_one(wrong: &mut Wrong) {
    if let Wrong::Permission(_, kind) = wrong {
        *wrong = Wrong::Question(vec![Problem { field: "permission", kind: kind.clone() }]);
    }
}

/// Of all records that passed for a permission, one use (rule 7.4): the first one's.
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
    for at in filtered.positions() {
        let noted = sent.with(at, &question.resource, |resource| {
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

/// One permission is told of by itself, of several each under its name.
fn reply(table: &Table, message: &FilterRecordsRequest, sent: &Sent<'_>, all: &[Filtered]) -> FilterRecordsResponse {
    let mut told = all.iter().map(|filtered| told(message, sent, filtered));
    let (one, by_permission) = if message.permissions.is_empty() {
        (told.next().unwrap_or_default(), Vec::new())
    } else {
        let named = |(permission, told): (&String, _)| PermissionRecords { permission: permission.clone(), ..told };
        (PermissionRecords::default(), message.permissions.iter().zip(told).map(named).collect())
    };
    let PermissionRecords { permission: _, positions, record_ids, bitmap, reason } = one;
    let revision = Some(revision_of(table));
    FilterRecordsResponse { positions, record_ids, reason, revision, staleness: None, bitmap, by_permission }
}

/// What passed, as it was asked for.
fn told(message: &FilterRecordsRequest, sent: &Sent<'_>, filtered: &Filtered) -> PermissionRecords {
    let reason = to_reason(filtered.reason).into();
    if message.bitmap {
        let bitmap = filtered.passed.bytes(sent.count());
        return PermissionRecords { reason, bitmap, ..PermissionRecords::default() };
    }
    let ids = filtered.positions().filter_map(|at| sent.id(at)).map(str::to_owned);
    let record_ids = if message.positions_only { Vec::new() } else { ids.collect() };
    PermissionRecords { reason, positions: filtered.positions().collect(), record_ids, ..PermissionRecords::default() }
}

/// Everything that is wrong, where it stands in this request. If nothing but the question's own
/// object, account or permissions are unknown, the error is the one of a single decision.
pub fn refused(mut fields: Fields, list: &'static str, wrong: Vec<Wrong>) -> Failure {
    let of_record = |wrong: &Wrong| matches!(wrong, Wrong::Record(..));
    if fields.is_empty() && !wrong.is_empty() && !wrong.iter().any(of_record) {
        return Failure::problems(wrong.into_iter().flat_map(placed).collect());
    }
    for wrong in wrong {
        match wrong {
            Wrong::Record(position, problems) => fields.within(list, |f| {
                f.item(position, |f| {
                    for Problem { field, kind } in problems {
                        f.refuse(field.strip_prefix("resource.record.").unwrap_or(field), kind);
                    }
                });
            }),
            other => placed(other).into_iter().for_each(|(field, kind)| fields.refuse(&field, kind)),
        }
    }
    fields.finish::<()>(None).err().map_or_else(nothing_wrong, Failure::from)
}

/// What is wrong with the question and its permissions, each problem with its place in this request.
fn placed(wrong: Wrong) -> Vec<(String, ProblemKind)> {
    match wrong {
        Wrong::Permission(at, kind) => vec![(format!("permissions[{at}]"), kind)],
        Wrong::Question(problems) | Wrong::Record(_, problems) => {
            let place = |problem| {
                let Problem { field, kind } = moved(problem);
                (field.to_owned(), kind)
            };
            problems.iter().map(place).collect()
        }
    }
}

/// A problem of a question where this request has its place.
pub(super) fn moved(problem: &Problem) -> Problem {
    let field = problem.field.strip_prefix("resource.").unwrap_or(problem.field);
    Problem { field, kind: problem.kind.clone() }
}
