//! How a condition came out: what every part that was evaluated was seen to be.
//!
//! Written by the evaluation itself while it walks, so that an explanation cannot tell another story
//! than the decision. Parts that were not evaluated, because the matter was settled before, have no
//! step: in `record.open || record.due < now` of an open record, the second part was not asked.
//!
//! Bounded: [`MAX_TRACE`] steps, and of long texts and lists the beginning.

use std::fmt;

use super::MAX_TRACE;
use super::eval::{Cause, Evaluated, Outcome, Val, Watch, watched};
use super::facts::{Fact, Facts, List};
use super::literal::{duration_text, timestamp_text};
use super::tree::{Span, Typed};

const SHOWN_BYTES: usize = 256;
const SHOWN_ELEMENTS: usize = 16;

/// How a condition came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// As [`super::evaluate`] has it.
    pub outcome: Outcome,
    /// Every part that was evaluated, inner parts before what they stand in, the whole last. What
    /// `exists` and `all` ask appears once for each element, after the element's own step.
    pub steps: Vec<Step>,
    /// Whether there were more than [`MAX_TRACE`], which were left out.
    pub cut: bool,
}

/// A part of a condition, evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The part: [`Typed::excerpt`] has its text.
    pub span: Span,
    /// What it was seen to be, or why it is nothing, for which [`Typed::describe`] has words.
    pub seen: Result<Seen, Cause>,
}

/// A value, as far as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// Null or missing: only in lists.
    Nothing,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// A text; of a long one the beginning and `…`.
    String(String),
    /// An instant, in milliseconds since 1970.
    Timestamp(i64),
    /// A difference of instants, in milliseconds.
    Duration(i64),
    /// The first elements, and how many there are.
    List(Vec<Seen>, usize),
}

/// Answers a condition and says how.
pub fn explain<F: Facts + ?Sized>(condition: &Typed, facts: &F) -> Trace {
    let (outcome, Recorder { steps, cut }) = watched(condition, facts, Recorder::default());
    Trace { outcome, steps, cut }
}

#[derive(Default)]
struct Recorder {
    steps: Vec<Step>,
    cut: bool,
}

impl Recorder {
    fn record(&mut self, span: Span, seen: impl FnOnce() -> Result<Seen, Cause>) {
        if self.steps.len() < MAX_TRACE {
            self.steps.push(Step { span, seen: seen() });
        } else {
            self.cut = true;
        }
    }
}

impl Watch for Recorder {
    fn truth(&mut self, span: Span, truth: Evaluated<bool>) {
        self.record(span, || truth.map(Seen::Bool));
    }

    fn value(&mut self, span: Span, value: Result<&Val<'_>, Cause>) {
        self.record(span, || {
            Ok(match value? {
                Val::Bool(value) => Seen::Bool(*value),
                Val::Int(value) => Seen::Int(*value),
                Val::Double(value) => Seen::Double(*value),
                Val::Text(text) => Seen::text(text),
                Val::Timestamp(ms) => Seen::Timestamp(*ms),
                Val::Duration(ms) => Seen::Duration(*ms),
            })
        });
    }

    fn list(&mut self, span: Span, list: List<'_>) {
        self.record(span, || Ok(Seen::list(list)));
    }
}

impl Seen {
    fn text(text: &str) -> Self {
        let shown = text.get(..text.floor_char_boundary(SHOWN_BYTES)).unwrap_or("");
        Self::String(if shown.len() < text.len() { format!("{shown}…") } else { text.to_owned() })
    }

    fn list(list: List<'_>) -> Self {
        let element = |fact| match fact {
            Fact::Missing | Fact::Null => Self::Nothing,
            Fact::Bool(value) => Self::Bool(value),
            Fact::Int(value) => Self::Int(value),
            Fact::Double(value) => Self::Double(value),
            Fact::Str(text) => Self::text(text),
            Fact::Timestamp(ms) => Self::Timestamp(ms),
            Fact::Duration(ms) => Self::Duration(ms),
            // A list within a list is of no type that a condition can read.
            Fact::List(list) => Self::List(Vec::new(), list.count()),
        };
        Self::List(list.iter().take(SHOWN_ELEMENTS).map(element).collect(), list.count())
    }
}

/// As one would write it in a condition.
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Double(value) => value.fmt(f),
            Self::String(text) => write!(f, "\"{text}\""),
            Self::Timestamp(ms) => f.write_str(&timestamp_text(*ms)),
            Self::Duration(ms) => f.write_str(&duration_text(*ms)),
            Self::List(shown, count) => {
                let mut elements: Vec<String> = shown.iter().map(Self::to_string).collect();
                if *count > shown.len() {
                    elements.push(format!("… {count} in all"));
                }
                write!(f, "[{}]", elements.join(", "))
            }
        }
    }
}
