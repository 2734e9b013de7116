//! Rule 6.5: which of these records, in the order given.
//!
//! Rows are put into columns, as far as the policies read them, and both go one way ([`many`]): what
//! does not depend on the record is settled once, the rest asked of all records together, by the parts
//! of the walk that a single decision takes (INVARIANT 3).

mod many;

use std::collections::{BTreeMap, HashSet};

use foldhash::fast::RandomState;

use super::columns::{Columns, columns_of, record_of};
use super::decision::{Problem, ProblemKind, Problems, Question, Reason, Record, Resource, Walk};
use super::limits::MAX_VIOLATIONS;
use super::model::Millis;
use super::table::{PermissionRef, Table};

use many::Many;

/// What passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filtered {
    /// The positions, from 0, of the records that pass, ascending.
    pub positions: Vec<u32>,
    /// Where rules 4.1 to 4.4 refuse every record: why. Otherwise `Allowed`, even if none passed.
    pub reason: Reason,
    /// The numbers of the permissions that were allowed: the one asked, and what was held for it (4.6, 4.9).
    pub allowed: Vec<u32>,
}

/// What is wrong with a question about many records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// The question itself.
    Question(Problems),
    /// The record at that position.
    Record(usize, Problems),
}

/// The records for which [`super::decision::decide`] would allow; without a permission (an empty
/// one), those that the principal can see. The question's own record is ignored.
///
/// # Errors
/// Rule 4.1, for the question and for every record: nothing is filtered then. So is an id that is
/// given twice. Of very many records that are wrong, the first ones.
pub fn filter<'a>(
    table: &Table,
    question: &Question<'_>,
    records: impl IntoIterator<Item = Record<'a>>,
    now: Millis,
) -> Result<Filtered, Vec<Wrong>> {
    let question = &Question { resource: Resource { record: None, ..question.resource }, ..*question };
    let (walk, asked) = begin(table, question, now).map_err(|problems| vec![Wrong::Question(problems)])?;
    let rows: Vec<Record<'_>> = records.into_iter().collect();
    let once = rows.iter().map(|row| row.id).collect::<HashSet<_, RandomState>>().len() == rows.len();
    let columns = columns_of(&rows, &BTreeMap::new());
    let passed = if once { Many { walk: &walk, asked }.pass(&columns, Some(&rows)) } else { None };
    passed.ok_or_else(|| wrong(&walk, &rows))
}

/// As [`filter`], of records by column. Ids may be given twice: positions tell them apart.
///
/// # Errors
/// As [`filter`].
pub fn filter_columns(
    table: &Table,
    question: &Question<'_>,
    columns: &Columns<'_>,
    now: Millis,
) -> Result<Filtered, Vec<Wrong>> {
    let question = &Question { resource: Resource { record: None, ..question.resource }, ..*question };
    let (walk, asked) = begin(table, question, now).map_err(|problems| vec![Wrong::Question(problems)])?;
    Many { walk: &walk, asked }.pass(columns, None).ok_or_else(|| {
        let row = |at| Some((at, walk.record(record_of(columns, at, &())).err()?));
        let all = (0..columns.len()).filter_map(row).take(MAX_VIOLATIONS);
        all.map(|(at, problems)| Wrong::Record(at, problems)).collect()
    })
}

/// Everything that is wrong with the rows.
#[cold]
fn wrong(walk: &Walk<'_>, rows: &[Record<'_>]) -> Vec<Wrong> {
    let mut ids = HashSet::new();
    let problems = rows.iter().enumerate().filter_map(|(at, row)| {
        let once = ids.insert(row.id);
        let problems = walk.record(*row).err().or_else(|| if once { None } else { Some(twice(row.id)) })?;
        Some(Wrong::Record(at, problems))
    });
    problems.take(MAX_VIOLATIONS).collect()
}

/// What is asked of every record: the walk without one, and the permission if there is one. Of the
/// question, which has no record, an object is required.
pub(super) fn begin<'a>(
    table: &'a Table,
    question: &'a Question<'a>,
    now: Millis,
) -> Result<(Walk<'a>, Option<PermissionRef>), Problems> {
    let asked = if question.permission.is_empty() { None } else { Some(table.permission(question.permission)) };
    let walk = match (asked, Walk::begin(table, question, now)) {
        (None | Some(Some(_)), Ok(walk)) => walk,
        (None, Err(problems)) => return Err(problems),
        // Says what is wrong with the permission, too.
        (Some(_), _) => return Err(super::decision::decide(table, question, now).err().unwrap_or_default()),
    };
    if question.resource.object.is_empty() {
        return Err(vec![Problem { field: "resource.object", kind: ProblemKind::RecordWithoutObject }]);
    }
    Ok((walk, asked.flatten()))
}

/// Rule 4.7; without a permission, visibility is all that is asked.
pub(super) fn asks_sight(asked: Option<PermissionRef>) -> bool {
    asked.is_none_or(|permission| permission.requires_visibility)
}

fn twice(id: &str) -> Problems {
    vec![Problem { field: "resource.record.id", kind: ProblemKind::RecordTwice(id.to_owned()) }]
}
