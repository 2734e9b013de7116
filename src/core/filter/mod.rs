//! Rule 6.5: which of these records, in the order given.
//!
//! Rows are put into columns, as far as the policies read them, and both go one way ([`many`]): what
//! does not depend on the record is settled once, the rest asked of all records together, by the parts
//! of the walk that a single decision takes (INVARIANT 3).

mod many;

use std::collections::{BTreeMap, HashSet};

use foldhash::fast::RandomState;

use super::columns::{Bits, Columns, columns_of, record_of};
use super::decision::{Problem, ProblemKind, Problems, Question, Reason, Record, Resource, Walk, unknown_permission};
use super::limits::MAX_VIOLATIONS;
use super::model::Millis;
use super::table::{PermissionRef, Table};

use many::Many;

/// Records that are asked about together.
#[derive(Debug, Clone, Copy)]
pub enum Records<'r> {
    /// As rows, each id once.
    Rows(&'r [Record<'r>]),
    /// By column. An id may be given twice: positions tell them apart.
    Columns(&'r Columns<'r>),
}

/// What passed, for one permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filtered {
    /// The records that pass.
    pub passed: Bits,
    /// Where rules 4.1 to 4.4 refuse every record: why. Otherwise `Allowed`, even if none passed.
    pub reason: Reason,
    /// The numbers of the permissions that were allowed: the one asked, and what was held for it (4.6, 4.9).
    pub allowed: Vec<u32>,
}

impl Filtered {
    /// The positions, from 0, of the records that pass, ascending.
    pub fn positions(&self) -> impl Iterator<Item = u32> + '_ {
        self.passed.places().filter_map(|at| u32::try_from(at).ok())
    }
}

/// What is wrong with a question about many records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// The question itself.
    Question(Problems),
    /// The permission at that position.
    Permission(usize, ProblemKind),
    /// The record at that position.
    Record(usize, Problems),
}

/// For each of these permissions, in their order, the records for which [`super::decision::decide`]
/// would allow it; for an empty one, those that the principal can see. The question's own permission
/// and record are ignored.
///
/// # Errors
/// Rule 4.1, for the question, every permission and every record: nothing is filtered then. Of rows, so
/// is an id that is given twice. Of very many records that are wrong, the first ones.
pub fn filter(
    table: &Table,
    question: &Question<'_>,
    permissions: &[&str],
    records: Records<'_>,
    now: Millis,
) -> Result<Vec<Filtered>, Vec<Wrong>> {
    let question = &Question { resource: Resource { record: None, ..question.resource }, ..*question };
    let known: Option<Vec<_>> = permissions.iter().map(|name| asked(table, name).ok()).collect();
    let (walk, asked) = match (begin(table, question, now), known) {
        (Ok(walk), Some(known)) => (walk, known),
        (walk, _) => return Err(wrong_question(table, walk.err(), permissions)),
    };
    let many = Many { walk: &walk, asked: &asked };
    match records {
        Records::Rows(rows) => {
            let once = rows.iter().map(|row| row.id).collect::<HashSet<_, RandomState>>().len() == rows.len();
            let columns = columns_of(rows, &BTreeMap::new());
            let passed = if once { many.pass(&columns, Some(rows)) } else { None };
            passed.ok_or_else(|| wrong_rows(&walk, rows))
        }
        Records::Columns(columns) => many.pass(columns, None).ok_or_else(|| {
            let row = |at| Some((at, walk.record(record_of(columns, at, &())).err()?));
            let all = (0..columns.len()).filter_map(row).take(MAX_VIOLATIONS);
            all.map(|(at, problems)| Wrong::Record(at, problems)).collect()
        }),
    }
}

/// Everything that is wrong with the question, and with the permissions.
#[cold]
fn wrong_question(table: &Table, question: Option<Problems>, permissions: &[&str]) -> Vec<Wrong> {
    let wrong = |(at, name): (usize, &&str)| Some(Wrong::Permission(at, asked(table, name).err()?));
    let permissions = permissions.iter().enumerate().filter_map(wrong);
    question.map(Wrong::Question).into_iter().chain(permissions).collect()
}

/// Everything that is wrong with the rows.
#[cold]
fn wrong_rows(walk: &Walk<'_>, rows: &[Record<'_>]) -> Vec<Wrong> {
    let mut ids = HashSet::new();
    let problems = rows.iter().enumerate().filter_map(|(at, row)| {
        let once = ids.insert(row.id);
        let problems = walk.record(*row).err().or_else(|| if once { None } else { Some(twice(row.id)) })?;
        Some(Wrong::Record(at, problems))
    });
    problems.take(MAX_VIOLATIONS).collect()
}

/// What is asked of every record, but for the permission: the walk without one. Of the question, which
/// has no record, an object is required.
pub(super) fn begin<'a>(table: &'a Table, question: &'a Question<'a>, now: Millis) -> Result<Walk<'a>, Problems> {
    let walk = Walk::begin(table, question, now)?;
    if question.resource.object.is_empty() {
        return Err(vec![Problem { field: "resource.object", kind: ProblemKind::RecordWithoutObject }]);
    }
    Ok(walk)
}

/// The permission of that name; none for an empty one.
pub(super) fn asked(table: &Table, permission: &str) -> Result<Option<PermissionRef>, ProblemKind> {
    match permission {
        "" => Ok(None),
        name => table.permission(name).map(Some).ok_or_else(|| unknown_permission(name)),
    }
}

/// Rule 4.7; without a permission, visibility is all that is asked.
pub(super) fn asks_sight(asked: Option<PermissionRef>) -> bool {
    asked.is_none_or(|permission| permission.requires_visibility)
}

fn twice(id: &str) -> Problems {
    vec![Problem { field: "resource.record.id", kind: ProblemKind::RecordTwice(id.to_owned()) }]
}
