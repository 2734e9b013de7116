//! Rule 6.5: which of these records, in the order given. The walk of a single decision, asked of
//! each record in turn (INVARIANT 3).

use std::collections::HashSet;

use super::decision::{Problem, ProblemKind, Problems, Question, Reason, Record, Walk};
use super::limits::MAX_VIOLATIONS;
use super::model::Millis;
use super::table::Table;

/// What passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filtered {
    /// The positions, from 0, of the records that pass, ascending.
    pub positions: Vec<u32>,
    /// Where rules 4.1 to 4.4 refuse every record: why. Otherwise `Allowed`, even if none passed.
    pub reason: Reason,
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
    table: &'a Table,
    question: &Question<'a>,
    records: impl IntoIterator<Item = Record<'a>>,
    now: Millis,
) -> Result<Filtered, Vec<Wrong>> {
    let mut question = *question;
    question.resource.record = None;
    let asked = if question.permission.is_empty() { None } else { Some(table.permission(question.permission)) };
    let walk = match (asked, Walk::begin(table, &question, now)) {
        (None | Some(Some(_)), Ok(walk)) => walk,
        (None, Err(problems)) => return Err(vec![Wrong::Question(problems)]),
        // Says what is wrong with the permission, too.
        (Some(_), _) => {
            let problems = super::decision::decide(table, &question, now).err().unwrap_or_default();
            return Err(vec![Wrong::Question(problems)]);
        }
    };
    if question.resource.object.is_empty() {
        let problem = Problem { field: "resource.object", kind: ProblemKind::RecordWithoutObject };
        return Err(vec![Wrong::Question(vec![problem])]);
    }
    let (mut positions, mut wrong) = (Vec::new(), Vec::new());
    let mut ids = HashSet::new();
    for (position, record) in records.into_iter().enumerate() {
        let once = ids.insert(record.id);
        let found = walk.record(record).and_then(|found| if once { Ok(found) } else { Err(twice(record.id)) });
        let reason = match (found, asked.flatten()) {
            (Ok(found), Some(permission)) => walk.ask_of(permission, Some(&found)),
            (Ok(found), None) => walk.sees(&found),
            (Err(problems), _) => {
                wrong.push(Wrong::Record(position, problems));
                if wrong.len() == MAX_VIOLATIONS {
                    break;
                }
                continue;
            }
        };
        if let (Reason::Allowed, Ok(position)) = (reason, u32::try_from(position)) {
            positions.push(position);
        }
    }
    if wrong.is_empty() {
        Ok(Filtered { positions, reason: walk.refused().unwrap_or(Reason::Allowed) })
    } else {
        Err(wrong)
    }
}

fn twice(id: &str) -> Problems {
    vec![Problem { field: "resource.record.id", kind: ProblemKind::RecordTwice(id.to_owned()) }]
}
