//! Conditions: the language in which a data-access policy says which records it means (rule 6.1).
//!
//! A subset of CEL, so that what administrators know from elsewhere holds here, with three stages:
//!
//! ```text
//! text --parse (lex, ast)--> syntax --check (names)--> Typed --eval--> Outcome
//!                                                        |-----------> Trace (explain: the same walk)
//!                                                        '-fold------> Expr, of the record alone
//! ```
//!
//! [`check`] refuses a text or makes a [`Typed`] of it: parsed within [bounds](self#constants) that
//! are applied before anything recursive runs, type-checked against what is declared, and of a known
//! worst cost. [`evaluate`] answers it for one record, and [`explain`] also says how.
//!
//! What it does not do, on purpose: no regular expressions, maps, conversions or functions of
//! callers (none can be bounded or turned into a filter of somebody's database), no `null` (a null
//! attribute counts as missing: ask `has`), no `?:` (under CEL's rules for errors it equals no
//! combination of `&&` and `||`, so that no filter could say it), no comparison of whole lists.
//!
//! An example: with `region: string` and `due: timestamp` declared,
//! `record.region == user.attributes.region && !(record.due < now)` becomes `All[Compare(Equal, field
//! 1, attribute region), Not(Compare(Less, field 0, now))]`. A record without `due` makes the second
//! part an error, and the whole an error (or false, where the regions differ): the policy does not
//! allow it, and one that restricts would restrict it (rule 6.3).
//!
//! The alternative that lost: the `cel` crate. It overflows the stack on long sums, has no type
//! check and no limit of cost, and takes microseconds where a decision has one (FINDINGS.md).

mod ast;
mod check;
mod display;
mod eval;
mod explain;
mod facts;
mod fold;
mod lex;
mod literal;
mod near;
mod parse;
mod reads;
#[cfg(test)]
mod tests;
mod tree;

pub use check::{Schema, check, is_built_in};
pub(in crate::core) use eval::exact_double;
pub use eval::{Cause, Failure, Outcome, as_declared, evaluate, evaluate_tree};
pub use explain::{Seen, Step, Trace, explain};
pub use facts::{Attributes, Elements, Fact, Facts, List};
pub use fold::{Lists, MAX_UNROLLED, asks_record, fold, is_settled};
pub use literal::{duration_text, parse_duration, parse_timestamp, timestamp_text};
pub use reads::{is_heavy, reads};
pub use tree::{
    Attribute, Collection, Comparison, Constant, Expr, Kind, Many, Operator, Quantifier, RecordPart, Reports, Shape,
    Source, Span, TextTest, Type, Typed, UserPart, Variable,
};

/// Bytes of a condition's text. Spans are 16-bit numbers.
pub const MAX_TEXT_BYTES: usize = 8_192;
/// Words, literals and signs of a condition.
pub const MAX_TOKENS: usize = 2_000;
/// How deep parentheses, brackets, calls, `!` and `-` may nest, all together.
pub const MAX_DEPTH: usize = 32;
/// Selections and calls in a row, as in `user.attributes.team.size()`.
pub const MAX_LINKS: usize = 8;
/// Nodes of a condition's syntax tree.
pub const MAX_NODES: usize = 1_000;
/// Elements of a list that is written out.
pub const MAX_ELEMENTS: usize = 256;
/// How deep `exists` and `all` may nest.
pub const MAX_QUANTIFIERS: usize = 2;
/// The elements that a list of unknown length is taken to have where cost is estimated.
pub const ASSUMED_ELEMENTS: u64 = 1_000;
/// Steps that a condition may take at worst, estimated when it is written.
pub const MAX_COST: u64 = 100_000;
/// Steps after which an evaluation ends in an error, whatever was estimated.
pub const MAX_STEPS: u32 = 200_000;
/// Bytes of a text that `+` may make.
pub const MAX_JOINED_BYTES: usize = 65_536;
/// Mistakes that are gathered before the rest is not looked for.
pub const MAX_MISTAKES: usize = 20;
/// Steps that a trace holds.
pub const MAX_TRACE: usize = 1_000;

/// Why a text is no condition, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct Mistake {
    /// The first byte of the place.
    pub offset: usize,
    /// The bytes of the place; 0 at the end of the text.
    pub length: usize,
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// A [`Mistake`] before its line is counted.
#[derive(Debug)]
struct Refusal {
    span: Span,
    message: String,
}

impl Refusal {
    fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into() }
    }

    fn in_text(self, text: &str) -> Mistake {
        let (offset, length) = (self.span.start(), self.span.end() - self.span.start());
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Mistake {
            offset,
            length,
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
            message: self.message,
        }
    }
}
