//! The typed tree that a checked condition is.
//!
//! A recursive enum of ours, small, every node with the place it came from. Names were resolved:
//! a record field is a slot, a comprehension's variable its depth. Chains of `&&`, `||`, `+` and `*`
//! are one node however long they are, so that the depth of a tree is that of its parentheses.
//! A list is never a value of its own: it stands only where one is looked into ([`Many`]), and
//! reports only right of `in`, so that no list need ever be materialized.
//!
//! `record.region in ["eu", "us"]` is `In(Read(field 3), Many { Constants["eu", "us"] })`.
//!
//! The alternative that lost: an arena with indices. It saves allocations when a condition is
//! written, which happens once, and costs every later stage (folding, filters) its pattern matching.

mod words;

use crate::core::model::Value;

pub use words::{Comparison, Operator, Quantifier, RecordPart, Reports, Shape, TextTest, Type, UserPart};

/// A place in a condition's text, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    start: u16,
    end: u16,
}

impl Span {
    /// Positions beyond 65,535 are cut to it; a condition is never that long.
    pub(super) fn new(start: usize, end: usize) -> Self {
        let short = |n| u16::try_from(n).unwrap_or(u16::MAX);
        Self { start: short(start), end: short(end) }
    }

    /// From the beginning of this to the end of `other`.
    pub(super) fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end }
    }

    /// The first byte.
    #[must_use]
    pub fn start(self) -> usize {
        self.start.into()
    }

    /// The byte after the last.
    #[must_use]
    pub fn end(self) -> usize {
        self.end.into()
    }
}

/// A value that stands in the text.
#[derive(Debug, Clone, PartialEq)]
pub enum Constant {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A finite number.
    Double(f64),
    /// Text.
    String(Box<str>),
    /// `timestamp("…")`, in milliseconds since 1970.
    Timestamp(i64),
    /// `duration("…")`, in milliseconds.
    Duration(i64),
}

/// Where a value is read from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// `record.NAME`: a declared field, by its place among the object's declared fields in the
    /// order of their names. Who changes an object's fields checks its conditions again.
    Field(u16, Box<str>),
    /// `record.id` and so on.
    Record(RecordPart),
    /// `user.id` and so on.
    User(UserPart),
    /// `user.attributes.NAME`.
    UserAttribute(Box<str>),
    /// `context.channel`.
    Channel,
    /// `context.attributes.NAME`.
    ContextAttribute(Box<str>),
}

/// An attribute and what it was declared to hold. What was sent otherwise counts as missing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// Which.
    pub attribute: Attribute,
    /// What it holds.
    pub shape: Shape,
}

/// Something with elements.
#[derive(Debug, Clone, PartialEq)]
pub enum Collection {
    /// A list that is written out.
    Constants(Box<[Constant]>),
    /// A list attribute, or a dynamic one that must turn out to be a list.
    Read(Source),
    /// `user.groups`, nested ones included.
    Groups,
    /// Only right of `in`.
    Reports(Reports),
}

/// A collection in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Many {
    /// Where it stands.
    pub span: Span,
    /// The elements' type.
    pub element: Type,
    /// Which.
    pub collection: Collection,
}

/// The name of an element within an `exists` or `all`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Variable {
    /// How many other `exists` and `all` are around its own.
    pub depth: u8,
    /// The name.
    pub name: Box<str>,
}

/// A node: what it is, what it evaluates to, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What.
    pub kind: Kind,
    /// Its value's type.
    pub ty: Type,
    /// Its place in the text.
    pub span: Span,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A value that stands in the text.
    Constant(Constant),
    /// The time of the request.
    Now,
    /// A single attribute. Reading a null or missing one is an error.
    Read(Source),
    /// The element that an `exists` or `all` around asks about.
    Variable(Variable),
    /// `has(…)`: neither null nor missing.
    Has(Source),
    /// `!`
    Not(Box<Expr>),
    /// `-`
    Negate(Box<Expr>),
    /// `&&`
    All(Vec<Expr>),
    /// `||`
    Any(Vec<Expr>),
    /// `==` and so on.
    Compare(Comparison, Box<[Expr; 2]>),
    /// `a + b - c`, from the left; operators of one rank only.
    Arithmetic(Box<Expr>, Vec<(Operator, Expr)>),
    /// `in`
    In(Box<Expr>, Many),
    /// `startsWith` and so on: the text, and what is looked for.
    Text(TextTest, Box<[Expr; 2]>),
    /// `size` of a text, in characters.
    Length(Box<Expr>),
    /// `size` of a list; of a dynamic attribute also if it turns out to be a text.
    Count(Many),
    /// `exists` or `all`: of what, its variable, and the question.
    Quantified(Quantifier, Many, Variable, Box<Expr>),
}

/// A condition that passed [`super::check`].
#[derive(Debug, Clone, PartialEq)]
pub struct Typed {
    root: Expr,
    cost: u64,
    text: Box<str>,
}

impl Typed {
    pub(super) fn new(root: Expr, cost: u64, text: &str) -> Self {
        Self { root, cost, text: text.into() }
    }

    /// The tree.
    #[must_use]
    pub fn root(&self) -> &Expr {
        &self.root
    }

    /// The steps that it takes at worst on lists of [`super::ASSUMED_ELEMENTS`] elements.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// The text as it was written. [`fmt::Display`] writes a canonical one.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The part of the text that a node came from.
    #[must_use]
    pub fn excerpt(&self, span: Span) -> &str {
        self.text.get(span.start()..span.end()).unwrap_or("")
    }
}

impl Expr {
    /// A value that stands nowhere in a text.
    #[must_use]
    pub fn constant(value: Constant) -> Self {
        Self { ty: value.ty(), kind: Kind::Constant(value), span: Span::default() }
    }

    /// Hands over it and every part of it, each before its own parts.
    pub fn each<'e>(&'e self, see: &mut impl FnMut(&'e Self)) {
        see(self);
        match &self.kind {
            Kind::Constant(_) | Kind::Now | Kind::Read(_) | Kind::Variable(_) | Kind::Has(_) | Kind::Count(_) => {}
            Kind::Not(of) | Kind::Negate(of) | Kind::Length(of) | Kind::In(of, _) => of.each(see),
            Kind::Quantified(_, _, _, body) => body.each(see),
            Kind::All(parts) | Kind::Any(parts) => parts.iter().for_each(|part| part.each(see)),
            Kind::Compare(_, sides) | Kind::Text(_, sides) => sides.iter().for_each(|side| side.each(see)),
            Kind::Arithmetic(first, rest) => {
                first.each(see);
                rest.iter().for_each(|(_, operand)| operand.each(see));
            }
        }
    }

    /// The list that it looks into itself.
    #[must_use]
    pub fn many(&self) -> Option<&Many> {
        match &self.kind {
            Kind::In(_, many) | Kind::Count(many) | Kind::Quantified(_, many, ..) => Some(many),
            _ => None,
        }
    }

    /// What it reads itself.
    #[must_use]
    pub fn source(&self) -> Option<&Source> {
        match (&self.kind, self.many().map(|many| &many.collection)) {
            (Kind::Read(source) | Kind::Has(source), _) | (_, Some(Collection::Read(source))) => Some(source),
            _ => None,
        }
    }
}

impl Kind {
    /// Whether it is a bool by itself, whatever it asks about.
    #[must_use]
    pub fn is_test(&self) -> bool {
        match self {
            Self::Not(_)
            | Self::All(_)
            | Self::Any(_)
            | Self::Has(_)
            | Self::Compare(..)
            | Self::In(..)
            | Self::Text(..)
            | Self::Quantified(..) => true,
            Self::Constant(_)
            | Self::Now
            | Self::Read(_)
            | Self::Variable(_)
            | Self::Negate(_)
            | Self::Arithmetic(..)
            | Self::Length(_)
            | Self::Count(_) => false,
        }
    }
}

impl Constant {
    /// The same as the value of an attribute; a duration, which no attribute is, as its milliseconds.
    #[must_use]
    pub fn value(&self) -> Value {
        match self {
            Self::Bool(truth) => Value::Bool(*truth),
            Self::Int(number) | Self::Duration(number) => Value::Int(*number),
            Self::Double(number) => Value::Double(*number),
            Self::String(text) => Value::String(text.to_string()),
            Self::Timestamp(ms) => Value::Timestamp(*ms),
        }
    }

    /// Its type.
    #[must_use]
    pub fn ty(&self) -> Type {
        match self {
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Double(_) => Type::Double,
            Self::String(_) => Type::String,
            Self::Timestamp(_) => Type::Timestamp,
            Self::Duration(_) => Type::Duration,
        }
    }
}
