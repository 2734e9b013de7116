//! A condition that is not stored, tried: what is wrong with it, or what it says of sample records,
//! and how.
//!
//! For whoever writes a policy. It is the check of a write and the evaluation of a decision, with the
//! same facts (INVARIANT 3), so that what is seen here is what the policy will say. Nothing else of a
//! decision is asked: not the principal's status, no element list, nothing held, no membership of a
//! policy. What the condition itself reads is as it is: the groups of an inactive user are those it
//! has while inactive (rule 2.6).

use std::collections::{BTreeMap, HashSet};

use super::condition::{Mistake, Schema, Trace, Typed, check, explain};
use super::decision::{Problem, ProblemKind, Question, Record, Walk};
use super::filter::Wrong;
use super::limits::{MAX_SAMPLE_STEPS, MAX_VIOLATIONS};
use super::model::Millis;
use super::table::Table;
use super::visible::RecordFacts;

/// In place of a principal where none is named.
const NOBODY: &str = "user:nobody";

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Tried {
    /// It could not be stored: the mistakes in the order of their places.
    Refused(Vec<Mistake>),
    /// It could.
    Sound {
        /// The condition.
        condition: Typed,
        /// What it says of each record, in the order given; of all traces together
        /// [`MAX_SAMPLE_STEPS`] steps. None without a principal.
        traces: Vec<Trace>,
    },
}

/// Tries `condition` as one of a policy of the question's object, for the question's principal and
/// each record. Without a principal (an empty one) it is only checked. The question's permission,
/// account and own record are ignored.
///
/// # Errors
/// Rule 4.1, for the question and every record, and a principal that is unknown; an id that is given
/// twice.
pub fn try_condition<'a>(
    table: &'a Table,
    question: &Question<'a>,
    condition: &str,
    records: impl IntoIterator<Item = Record<'a>>,
    now: Millis,
) -> Result<Tried, Vec<Wrong>> {
    let mut question = *question;
    (question.resource.account, question.resource.record) = ("", None);
    let only_checked = question.principal.is_empty();
    if only_checked {
        question.principal = NOBODY;
    }
    let walk = Walk::begin(table, &question, now).map_err(|problems| vec![Wrong::Question(problems)])?;
    let wrong = |field, kind| vec![Wrong::Question(vec![Problem { field, kind }])];
    let Some((_, object)) = walk.object else {
        return Err(wrong("resource.object", ProblemKind::RecordWithoutObject));
    };
    let found = if walk.service { &table.services } else { &table.users }.find(walk.id);
    if found.is_none() && !only_checked {
        return Err(wrong("principal", ProblemKind::UnknownPrincipal(question.principal.to_owned())));
    }
    let none = BTreeMap::new();
    let user_attributes = table.settings().map_or(&none, |settings| &settings.user_attributes);
    let condition = match check(condition, &Schema { fields: &object.row.fields, user_attributes }) {
        Ok(condition) => condition,
        Err(mistakes) => return Ok(Tried::Refused(mistakes)),
    };
    let Some(found) = found.filter(|_| !only_checked) else {
        return Ok(Tried::Sound { condition, traces: Vec::new() });
    };
    let (mut traces, mut wrong, mut ids, mut room) = (Vec::new(), Vec::new(), HashSet::new(), MAX_SAMPLE_STEPS);
    for (position, record) in records.into_iter().enumerate() {
        let twice = Problem { field: "resource.record.id", kind: ProblemKind::RecordTwice(record.id.to_owned()) };
        let place = if ids.insert(record.id) { walk.record(record) } else { Err(vec![twice]) };
        match place {
            Ok(place) => {
                let mut trace = explain(&condition, &RecordFacts::new(&walk, found, &place));
                trace.cut |= trace.steps.len() > room;
                trace.steps.truncate(room);
                room -= trace.steps.len();
                traces.push(trace);
            }
            Err(problems) => wrong.push(Wrong::Record(position, problems)),
        }
        if wrong.len() == MAX_VIOLATIONS {
            break;
        }
    }
    if wrong.is_empty() { Ok(Tried::Sound { condition, traces }) } else { Err(wrong) }
}
