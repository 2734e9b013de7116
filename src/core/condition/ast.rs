//! What a text says, before any name or type is looked at: the parser's result, the checker's input.
//!
//! Separate from the typed tree because most of what can be written means nothing (`record + 1`):
//! here it can be represented, and so be refused with a reason; in [`super::tree`] it cannot.

use super::tree::{Comparison, Constant, Operator, Span};

/// A piece of syntax.
#[derive(Debug)]
pub(super) struct Ast {
    /// Its place, with the parentheses around it.
    pub span: Span,
    /// What it is.
    pub kind: AstKind,
}

#[derive(Debug)]
pub(super) enum AstKind {
    /// A literal. Timestamps and durations are calls here.
    Constant(Constant),
    Null,
    Name(String),
    /// `of.name` or `of["name"]`; the place is the name's.
    Select(Box<Ast>, String, Span),
    Call(Call),
    List(Vec<Ast>),
    Not(Box<Ast>),
    Negate(Box<Ast>),
    All(Vec<Ast>),
    Any(Vec<Ast>),
    /// The place is the operator's, here and below.
    Compare(Comparison, Span, Box<[Ast; 2]>),
    In(Span, Box<[Ast; 2]>),
    Arithmetic(Box<Ast>, Vec<(Operator, Span, Ast)>),
}

/// `name(arguments)` or `receiver.name(arguments)`.
#[derive(Debug)]
pub(super) struct Call {
    pub name: String,
    pub name_span: Span,
    pub receiver: Option<Box<Ast>>,
    pub arguments: Vec<Ast>,
}
