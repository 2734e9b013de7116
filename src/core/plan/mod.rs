//! Rule 6.6: everything that [`filter`](super::filter::filter) would ask of a record, as one tree.
//!
//! [`plan`] looks at what the walk of a decision looks at (INVARIANT 3), and asks that walk itself: of a
//! record at which nothing is held, once for each account that makes a difference and for each of the two
//! answers to whose it is, and of each record at which something is held for the principal (`standing`).
//! Conditions are folded (`condition::fold`) and said as operands (`say`). In the end there is one
//! sentence:
//!
//! ```text
//! held here && (shown here || some allow policy) && !(some restrict policy) && approver here
//! ```
//!
//! A record passes for which it is true. Errors are SQL's NULL, which is rule 6.3: an allow policy that ends
//! in one does not allow, and `not(NULL)` is not true either, so that a restrict policy that ends in one
//! restricts.
//!
//! What a caller keeps is what a condition reads: `owner` is a user's bare id or `service:ID`, `owner` and
//! `account` are null where the record names none, a field that is not of its declared type is null, and so
//! is a list that has a null in it. The plan is of one instant: [`Plan::valid_until`] says how long it holds.
//!
//! The alternative that lost: to try the policies alone and leave permissions to a check of each record. Then
//! a page of a list would be of any size, and somebody would forget the check.

mod say;
mod sql;
mod standing;
mod tree;
mod until;

use std::cell::Cell;
use std::collections::BTreeSet;

use super::condition::{Constant, Fact, Facts, Kind, Lists, RecordPart, Reports, Shape, Type, Typed, fold};
use super::decision::{FoundRecord, Problem, Problems, Question, Reason, Resource, Walk};
use super::edge::{edges, relation_of};
use super::filter::{asked, asks_sight, begin};
use super::limits::{MAX_PLANNED_OPERANDS, MAX_PLANNED_RECORDS, MAX_PLANNED_REPORTS, MAX_PLANNED_VISITS};
use super::model::{Millis, Relation};
use super::principal::PrincipalFound;
use super::table::{ObjectSlot, PermissionRef, PolicySlot, Table};
use super::visible::RecordFacts;

use say::{Saying, Told};
use standing::Standings;
use tree::{and, decided, not, or, strict};

pub use sql::{Dialect, Sql, sql};
pub use tree::{DURATION, Field, Operand, Operator};

/// A filter for the caller's database.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Which records pass.
    pub filter: Filter,
    /// The ids of the records that the condition admits because of what is held at these very records,
    /// ascending. Part of the condition already.
    pub granted: Vec<String>,
    /// The first instant at which the plan may be another one with nothing changed: a start, an expiry, the
    /// end of an activation or of a sign-on's age, or the next millisecond where a condition asks for `now`.
    /// None: it holds as long as its revision.
    pub valid_until: Option<Millis>,
    /// Whether it admits all that it should. If not, more than [`MAX_PLANNED_RECORDS`] records are held at,
    /// and those left out do not pass by that.
    pub complete: bool,
}

/// Which records pass.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of them.
    Always,
    /// None: why, where a rule before visibility decides, otherwise `Allowed`.
    Never(Reason),
    /// Those for which this is true.
    Conditional(Operand),
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Rule 4.1.
    #[error("the question is wrong")]
    Question(Problems),
    /// A condition asks what no filter can.
    #[error("{0} cannot be part of a plan")]
    Inexpressible(&'static str),
    /// The plan would be too large.
    #[error("{0} would make the plan too large")]
    TooLarge(&'static str),
}

/// The filter that a question's principal has for the records of its object; without a permission (an
/// empty one), for what it can see. The question's own record is ignored.
///
/// # Errors
/// As those of [`filter`](super::filter::filter) for the question; and [`PlanError`]'s others.
pub fn plan(table: &Table, question: &Question<'_>, now: Millis) -> Result<Plan, PlanError> {
    let question = &Question { resource: Resource { record: None, ..question.resource }, ..*question };
    let (walk, permission) = match (begin(table, question, now), asked(table, question.permission)) {
        (Ok(walk), Ok(permission)) => (walk, permission),
        (walk, permission) => {
            let permission = permission.err().map(|kind| Problem { field: "permission", kind });
            let problems = walk.err().into_iter().flatten().chain(permission);
            return Err(PlanError::Question(problems.collect()));
        }
    };
    // Required of the question.
    let Some((_, object)) = walk.object else { return Err(PlanError::Question(Vec::new())) };
    let Some(found) = walk.found() else {
        let reason = walk.refused().unwrap_or(Reason::PrincipalUnknown);
        let valid_until = until::admitted(&walk);
        return Ok(Plan { filter: Filter::Never(reason), granted: Vec::new(), valid_until, complete: true });
    };
    Planning { walk: &walk, found, object, permission, visits_left: Cell::new(MAX_PLANNED_VISITS) }.plan()
}

struct Planning<'p, 'a> {
    walk: &'p Walk<'a>,
    found: PrincipalFound<'a>,
    object: &'a ObjectSlot,
    permission: Option<PermissionRef>,
    /// Records that may be looked at yet.
    visits_left: Cell<usize>,
}

impl Planning<'_, '_> {
    fn plan(&self) -> Result<Plan, PlanError> {
        let standings = Standings::of(self)?;
        let (valid_until, complete) = (until::valid(self), standings.complete);
        let held = standings.held(self)?;
        if held.is(false) {
            let filter = Filter::Never(standings.reason);
            return Ok(Plan { filter, granted: Vec::new(), valid_until, complete });
        }
        let mut asks_now = false;
        let visible = if asks_sight(self.permission) {
            let [allow, restrict] = self.walk.policies(&self.found);
            let mut said = |policies: &[&std::sync::Arc<PolicySlot>]| -> Result<Operand, PlanError> {
                let conditions = policies.iter().map(|policy| policy.condition.as_deref());
                let conditions: Vec<_> = conditions.map(|condition| self.say(condition, &mut asks_now)).collect();
                Ok(or(conditions.into_iter().collect::<Result<Vec<_>, _>>()?))
            };
            let allowed = or([standings.shown(self), said(allow)?]);
            if allowed.is(false) { allowed } else { and([allowed, not(said(restrict)?)]) }
        } else {
            Operand::truth(true)
        };
        let whole = decided(and([held, visible, standings.approved()]), true);
        if whole.weight() > MAX_PLANNED_OPERANDS {
            return Err(PlanError::TooLarge("what the policies ask about"));
        }
        let filter = match whole {
            whole if whole.is(true) => Filter::Always,
            whole if whole.is(false) => Filter::Never(Reason::Allowed),
            whole => Filter::Conditional(whole),
        };
        let granted = if let Filter::Never(_) = filter { Vec::new() } else { standings.granted() };
        // Whatever is compared with the clock may come out otherwise at the next tick.
        let next = asks_now.then(|| self.walk.now.saturating_add(1));
        let valid_until = [valid_until, next].into_iter().flatten().min();
        Ok(Plan { filter, granted, valid_until, complete })
    }

    /// What a policy with that condition says of a record.
    fn say(&self, condition: Option<&Typed>, asks_now: &mut bool) -> Result<Operand, PlanError> {
        let Some(condition) = condition else { return Ok(Operand::truth(true)) };
        *asks_now |= condition.asks_now();
        let nothing = FoundRecord::stand_in("", None, false, (&[], &[]));
        let facts = RecordFacts::new(self.walk, self.found, &nothing);
        let list = |reports| self.reports(&facts, reports);
        let folded = fold(condition, &facts, Lists::Spell(&list));
        Saying::new(self).test(&folded)
    }

    /// Everybody who reports to the principal; none if that is too many.
    fn reports(&self, facts: &RecordFacts<'_, '_>, reports: Reports) -> Option<Vec<Box<str>>> {
        if self.found.value.kind.is_none() {
            return Some(Vec::new());
        }
        let users = self.walk.table.users.iter().map(|user| user.id);
        let ids: BTreeSet<Box<str>> =
            users.filter(|id| facts.in_reports(id, reports)).take(MAX_PLANNED_REPORTS + 1).map(Box::from).collect();
        (ids.len() <= MAX_PLANNED_REPORTS).then(|| ids.into_iter().collect())
    }

    /// Each record at which there is a relation of which a condition asks, and its list without what a
    /// caller sends.
    fn each_told(
        &self,
        part: RecordPart,
        mut see: impl FnMut(&str, Vec<&str>) -> Result<(), PlanError>,
    ) -> Result<(), PlanError> {
        let relation = match part {
            RecordPart::Watchers => Relation::Watcher,
            RecordPart::Assignees => Relation::Assignee,
            RecordPart::Mentioned => Relation::Mentioned,
            RecordPart::SharedWith => Relation::Shared,
            RecordPart::Id | RecordPart::Owner | RecordPart::Account => return Ok(()),
        };
        let visits = self.visits_left.get().checked_sub(self.object.records.len());
        self.visits_left.set(visits.ok_or(PlanError::TooLarge("what conditions ask about relations"))?);
        for row in self.object.records.iter() {
            if !edges(row.near).any(|edge| relation_of(edge.bundle) == Some(relation)) {
                continue;
            }
            let record = FoundRecord::stand_in(row.id, None, false, (row.near, row.far()));
            let facts = RecordFacts::new(self.walk, self.found, &record);
            if let Fact::List(list) = facts.record(part) {
                see(
                    row.id,
                    list.iter().filter_map(|fact| if let Fact::Str(user) = fact { Some(user) } else { None }).collect(),
                )?;
            }
        }
        Ok(())
    }
}

impl Told for Planning<'_, '_> {
    fn of_user(&self, part: RecordPart, user: &str) -> Result<Vec<String>, PlanError> {
        let mut records = Vec::new();
        self.each_told(part, |id, users| {
            if users.contains(&user) {
                records.push(id.to_owned());
            }
            if records.len() > MAX_PLANNED_RECORDS { Err(PlanError::TooLarge("a relation list")) } else { Ok(()) }
        })?;
        Ok(records)
    }

    fn all(&self, part: RecordPart) -> Result<Vec<(String, Vec<String>)>, PlanError> {
        let (mut records, mut count) = (Vec::new(), 0);
        self.each_told(part, |id, users| {
            count += users.len();
            records.push((id.to_owned(), users.into_iter().map(str::to_owned).collect()));
            if count > MAX_PLANNED_RECORDS { Err(PlanError::TooLarge("a relation list")) } else { Ok(()) }
        })?;
        records.sort_unstable();
        Ok(records)
    }
}

fn field(name: &str, shape: Shape) -> Field {
    Field { name: name.into(), shape }
}

/// One of the parts that are a text of their own.
fn part(part: RecordPart) -> Field {
    field(part.name(), Shape::One(Type::String))
}

/// Whether a record is one of these.
fn ids(mut ids: Vec<String>) -> Operand {
    if ids.is_empty() {
        return Operand::truth(false);
    }
    ids.sort_unstable();
    one_of(part(RecordPart::Id), ids.iter().map(String::as_str))
}

/// Whether a field is one of these texts, of which there are some.
fn one_of<'t>(field: Field, texts: impl IntoIterator<Item = &'t str>) -> Operand {
    let texts = texts.into_iter().map(|text| Constant::String(text.into())).collect();
    strict(Operator::In, vec![Operand::Field(field), Operand::List(texts)])
}

impl Typed {
    /// Whether it compares anything with the clock.
    fn asks_now(&self) -> bool {
        let mut asks = false;
        self.root().each(&mut |part| asks |= part.kind == Kind::Now);
        asks
    }
}
