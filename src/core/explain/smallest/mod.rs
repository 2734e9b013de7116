//! The smallest changes that would allow what is denied (rule 4.11).
//!
//! ```text
//! step     one change, such as "add `user:ana` to group `risk`": what it does, what it is called
//! gains    steps by which the permission would come to be held
//! sights   steps by which the record would come to be seen, or approved
//! removals steps that take out of the way what stands against it: statuses, lists, constraints, policies
//! ```
//!
//! **Found by trying.** The reason of a deny says which steps may help; each is applied to the version, as an
//! admin call would be, and the question is asked again. What then allows is right because it was seen to allow
//! (INVARIANT 3: the one walk decides); what only leads on to a later rule is the start of a way of several steps, of
//! which none can be left out. An example: of a user who is deactivated and has no role there, "activate
//! `user:ana`" and "add `user:ana` to group `risk`, which holds role `reviewer` at object `vendor-risk`".
//!
//! **Smallest** are the fewest steps; of as many, first what adds nothing (a longer period, a membership or role
//! given up), then what gives a principal the least (the fewest permissions in the role; through a group that holds
//! it rather than by itself), then direct grants, then what changes others' access too; then in the order of
//! their texts.
//!
//! Bounded: a few of the best steps of each kind are tried, at most [`MAX_STEPS`] one after the other, and
//! [`MAX_TRIED`] changes in all. So there may be
//! a way where none is told, but none is told that is none. Whether a caller may make the change (rule 3.7), and
//! what else it gives, is not looked at.
//!
//! The alternative that lost: to derive the changes from what a path lacks. It would be a second set of rules, that
//! had to agree with the first.

mod gains;
mod removals;
mod sights;
mod step;

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::core::change::Change;
use crate::core::decision::{Context, Question, Reason, Walk, decide};
use crate::core::id::Id;
use crate::core::model::Millis;
use crate::core::table::Table;

use super::{Proof, find};

pub use step::Step;

/// How many suggestions are made.
pub const MAX_SUGGESTIONS: usize = 3;
/// How many steps one may take.
pub const MAX_STEPS: usize = 8;
/// How many of the steps of a kind are tried.
const TRIED: usize = 8;
/// How many ways are led on after each step.
const LED_ON: usize = 6;
/// How many changes are tried for one question in all, whatever becomes of them; then what was found is told.
const MAX_TRIED: usize = 400;
/// How many near misses and paths are looked at for one.
const LOOKED_AT: usize = 100;

/// Steps after which a question would be allowed: all of them, in this order.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// What is to be done; none can be left out.
    pub steps: Vec<Step>,
    /// The same as changes of the organization.
    pub changes: Vec<Change>,
    /// And of its super-organization: elements that leave the denylist.
    pub undeny: Vec<Id>,
    /// Whether the question has to say that the user authenticated now.
    pub authenticate: bool,
}

/// A step that may help.
struct Candidate {
    weight: Weight,
    step: Step,
}

/// What is smaller comes first: what is added at all, permissions in it, how directly, how widely, what else
/// comes with it.
type Weight = [usize; 5];

/// Nothing is added.
const NOTHING: usize = 0;
/// A role, a membership, a relation is.
const EDGE: usize = 1;
/// A permission is given directly.
const DIRECT: usize = 2;
/// Others' access changes too.
const OTHERS: usize = 3;

/// Up to [`MAX_SUGGESTIONS`] smallest changes after which the question would be allowed at `now`, smallest
/// first. None for what is allowed, or no question.
#[must_use]
pub fn smallest(table: &Table, question: &Question<'_>, now: Millis) -> Vec<Suggestion> {
    let search = Search { table, question, now, left: Cell::new(MAX_TRIED) };
    let mut seen = BTreeSet::new();
    let mut open = match search.ask(table, &[]) {
        Some(reason) if reason != Reason::Allowed => vec![State { table: table.clone(), reason, ways: Vec::new() }],
        _ => Vec::new(),
    };
    for _ in 0..MAX_STEPS {
        let (found, led_on) = search.lead_on(&open, &mut seen);
        if !found.is_empty() || search.left.get() == 0 {
            return found;
        }
        open = led_on;
    }
    Vec::new()
}

struct Search<'s, 'q> {
    table: &'s Table,
    question: &'s Question<'q>,
    now: Millis,
    /// Changes that may be tried yet.
    left: Cell<usize>,
}

/// After some steps.
struct State {
    table: Table,
    reason: Reason,
    ways: Vec<(Weight, Step)>,
}

impl Search<'_, '_> {
    /// What each state leads to by one step more: the suggestions, or else the states from which to go on.
    fn lead_on(&self, open: &[State], seen: &mut BTreeSet<Vec<String>>) -> (Vec<Suggestion>, Vec<State>) {
        let steps = open.iter().flat_map(|state| {
            let next = self.candidates(state).into_iter();
            next.map(move |c| (state, [state.ways.clone(), vec![(c.weight, c.step)]].concat()))
        });
        let mut tried: Vec<(&State, Vec<(Weight, Step)>)> = steps.collect();
        tried.sort_by_cached_key(|(_, ways)| cost(ways));
        let (mut found, mut next) = (Vec::new(), Vec::new());
        let mut told = BTreeSet::new();
        for (state, ways) in tried {
            let steps: Vec<Step> = ways.iter().map(|(_, step)| step.clone()).collect();
            if !seen.insert(texts(&steps)) {
                continue;
            }
            if !self.may_try() {
                break;
            }
            let Some(table) = steps.last().and_then(|step| step.after(&state.table, self.now)) else { continue };
            match self.ask(&table, &steps) {
                Some(Reason::Allowed) => {
                    let whole = self.without_idle_steps(steps);
                    found.extend(whole.filter(|whole| told.insert(texts(&whole.steps))));
                }
                Some(reason) => next.push(State { table, reason, ways }),
                None => {}
            }
            if found.len() == MAX_SUGGESTIONS {
                break;
            }
        }
        found.sort_by_key(|suggestion: &Suggestion| suggestion.steps.len());
        // The furthest along the rules first; those that came no further still may.
        next.sort_by_key(|state: &State| Reverse((state.reason.rule(), state.reason)));
        next.truncate(LED_ON);
        (found, next)
    }

    /// The steps that may help against what a state is denied for, the best of each kind.
    fn candidates(&self, state: &State) -> Vec<Candidate> {
        let question = self.question_after(state.ways.iter().map(|(_, step)| step));
        let Some(permission) = state.table.permission(question.permission) else { return Vec::new() };
        let Ok(walk) = Walk::begin(&state.table, &question, self.now) else { return Vec::new() };
        let Some(found) = find(&walk) else { return Vec::new() };
        let proof = Proof::new(&walk, found, permission, LOOKED_AT);
        let mut all = match state.reason {
            Reason::Allowed | Reason::PrincipalUnknown => Vec::new(),
            Reason::PrincipalInvited
            | Reason::PrincipalInactive
            | Reason::PrincipalLimited
            | Reason::ReauthenticationRequired => proof.admissions(state.reason),
            Reason::ElementNotListed => proof.openings(),
            Reason::NoPermission => proof.gains(state.reason),
            Reason::SeparationOfDuties => {
                let mut all = proof.gains(state.reason);
                all.extend(proof.renouncements(state.reason));
                all
            }
            Reason::InvitePolicy => proof.invitations(),
            Reason::NotVisible => proof.sights(),
            Reason::Restricted => proof.releases(),
            Reason::NotApprover => proof.approvals(),
        };
        all.sort_by_cached_key(|c| (c.weight, c.step.to_string()));
        let mut of_kind = [0; OTHERS + 1];
        all.retain(|c| {
            let [kind, ..] = c.weight;
            of_kind.get_mut(kind).is_some_and(|n| {
                *n += 1;
                *n <= TRIED
            })
        });
        all
    }

    /// The same steps less those that are not needed, if they allow when they are made together. Two may be
    /// needed only for each other: a group that was joined, and is left again.
    fn without_idle_steps(&self, mut steps: Vec<Step>) -> Option<Suggestion> {
        // Ended in the middle, it would leave what is not needed: it is paid for, not cut short.
        self.left.set(self.left.get().saturating_sub(steps.len()));
        let mut whole = self.together(&steps)?;
        while let Some(fewer) = pairs(steps.len()).find_map(|[a, b]| {
            let kept = steps.iter().enumerate().filter(|(n, _)| *n != a && *n != b);
            self.together(&kept.map(|(_, step)| step.clone()).collect::<Vec<_>>())
        }) {
            steps.clone_from(&fewer.steps);
            whole = fewer;
        }
        Some(whole)
    }

    /// All of these steps in one change, if the question is allowed after it.
    fn together(&self, steps: &[Step]) -> Option<Suggestion> {
        let (mut table, mut undeny, mut changes) = (self.table.clone(), Vec::new(), Vec::new());
        for step in steps {
            changes.extend(step.changes(&table, self.now)?);
            if let Step::Undeny { element, .. } = step {
                undeny.push(element.clone());
            }
            table = step.after(&table, self.now)?;
        }
        let authenticate = steps.iter().any(|step| matches!(step, Step::Authenticate(_)));
        let mut after = self.table.clone();
        for element in &undeny {
            after = after.under(Some(&step::without(after.over()?, element)));
        }
        if !changes.is_empty() {
            after = step::applied(&after, changes.clone(), self.now)?;
        }
        let allowed = self.ask(&after, steps) == Some(Reason::Allowed);
        allowed.then(|| Suggestion { steps: steps.to_vec(), changes, undeny, authenticate })
    }

    /// Whether one change more may be tried.
    fn may_try(&self) -> bool {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    fn ask(&self, table: &Table, steps: &[Step]) -> Option<Reason> {
        decide(table, &self.question_after(steps.iter()), self.now).ok()
    }

    fn question_after<'a>(&'a self, mut steps: impl Iterator<Item = &'a Step>) -> Question<'a> {
        let authenticated = steps.any(|step| matches!(step, Step::Authenticate(_)));
        let context = self.question.context;
        let authenticated_at = if authenticated { Some(self.now) } else { context.authenticated_at };
        Question { context: Context { authenticated_at, ..context }, ..*self.question }
    }
}

/// Each of so many alone, then any two of them.
fn pairs(count: usize) -> impl Iterator<Item = [usize; 2]> {
    let alone = (0..count).map(|n| [n, n]);
    alone.chain((0..count).flat_map(move |a| (a + 1..count).map(move |b| [a, b])))
}

fn cost(ways: &[(Weight, Step)]) -> Vec<(Weight, String)> {
    ways.iter().map(|(weight, step)| (*weight, step.to_string())).collect()
}

/// The steps whatever their order, and why a group matters.
fn texts(steps: &[Step]) -> Vec<String> {
    let text = |step: &Step| match step {
        Step::Join { member, group, because: _ } => format!("{member} joins {group}"),
        Step::Leave { member, group, because: _ } => format!("{member} leaves {group}"),
        step => step.to_string(),
    };
    let mut texts: Vec<String> = steps.iter().map(text).collect();
    texts.sort();
    texts
}
