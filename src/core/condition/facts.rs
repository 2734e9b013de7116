//! What an evaluation asks about the record, the principal and the request.
//!
//! A trait rather than a map, so that nothing is gathered that a condition does not read: reports are
//! walked, groups tested against the table, attributes borrowed from wherever they are. Nothing is
//! judged here either: whether a value is of its declared type is the evaluation's business (rule
//! 6.3), so that every caller judges alike.

use std::collections::BTreeMap;
use std::fmt;

use super::tree::{RecordPart, Reports, UserPart};
use crate::core::model::{Millis, Value};

/// What there is of an attribute.
#[derive(Debug, Clone, Copy)]
pub enum Fact<'a> {
    /// It was not given.
    Missing,
    /// It was given as null. To a condition the same as missing; an explanation tells them apart.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number. One that is not finite counts as missing.
    Double(f64),
    /// Text.
    Str(&'a str),
    /// An instant.
    Timestamp(Millis),
    /// A difference of instants. Only lists in a condition's text have such.
    Duration(Millis),
    /// Several values.
    List(List<'a>),
}

/// Several values.
#[derive(Clone, Copy)]
pub enum List<'a> {
    /// As they are stored.
    Values(&'a [Value]),
    /// Texts only: the cheapest to look through.
    Texts(&'a [&'a str]),
    /// As they were unpacked.
    Facts(&'a [Fact<'a>]),
    /// Anything else.
    Other(&'a dyn Elements),
}

/// A list that is made of something else than slices.
pub trait Elements {
    /// How many there are.
    fn count(&self) -> usize;
    /// The element at a place from 0; [`Fact::Missing`] beyond the last.
    fn at(&self, place: usize) -> Fact<'_>;
}

/// Everything that a condition may ask. Nothing of it may change during an evaluation.
pub trait Facts {
    /// `record.NAME`: a declared field, by its place among the declared fields in order of name.
    fn field(&self, slot: u16, name: &str) -> Fact<'_>;
    /// `record.id` and so on. The relation lists of rule 6.2 are lists, if empty ones, unless something else was sent.
    fn record(&self, part: RecordPart) -> Fact<'_>;
    /// `user.id` and so on.
    fn user(&self, part: UserPart) -> Fact<'_>;
    /// `user.attributes.NAME`.
    fn user_attribute(&self, name: &str) -> Fact<'_>;
    /// `context.channel`.
    fn channel(&self) -> Fact<'_>;
    /// `context.attributes.NAME`.
    fn context_attribute(&self, name: &str) -> Fact<'_>;
    /// Whether the principal is in that group, directly or through others.
    fn in_groups(&self, group: &str) -> bool;
    /// All groups the principal is in. Asked for by `exists`, `all` and `size` only.
    fn groups(&self) -> List<'_>;
    /// Whether that user reports to the principal.
    fn in_reports(&self, user: &str, reports: Reports) -> bool;
    /// The time of the request.
    fn now(&self) -> Millis;
}

/// Attributes that were sent with a request: of a record, or of the circumstances.
///
/// A trait rather than a map, so that they are read where they lie in the request.
pub trait Attributes: fmt::Debug + Sync {
    /// The attribute of that name, as it was sent.
    fn get(&self, name: &str) -> Fact<'_>;
}

/// None at all.
impl Attributes for () {
    fn get(&self, _: &str) -> Fact<'_> {
        Fact::Missing
    }
}

impl Attributes for BTreeMap<String, Value> {
    fn get(&self, name: &str) -> Fact<'_> {
        Self::get(self, name).map_or(Fact::Missing, Fact::from)
    }
}

impl<'a> From<&'a Value> for Fact<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Double(value) => Self::Double(*value),
            Value::String(text) => Self::Str(text),
            Value::Timestamp(ms) => Self::Timestamp(*ms),
            Value::List(values) => Self::List(List::Values(values)),
        }
    }
}

impl<'a> List<'a> {
    /// How many there are.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Values(values) => values.len(),
            Self::Texts(texts) => texts.len(),
            Self::Facts(facts) => facts.len(),
            Self::Other(elements) => elements.count(),
        }
    }

    /// The element at a place from 0; [`Fact::Missing`] beyond the last.
    #[must_use]
    pub fn at(self, place: usize) -> Fact<'a> {
        match self {
            Self::Values(values) => values.get(place).map_or(Fact::Missing, Fact::from),
            Self::Texts(texts) => texts.get(place).map_or(Fact::Missing, |text| Fact::Str(text)),
            Self::Facts(facts) => facts.get(place).copied().unwrap_or(Fact::Missing),
            Self::Other(elements) => elements.at(place),
        }
    }

    /// One after the other.
    pub fn iter(self) -> impl Iterator<Item = Fact<'a>> {
        (0..self.count()).map(move |place| self.at(place))
    }
}

impl fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Ids and the like.
impl<T: AsRef<str>> Elements for Vec<T> {
    fn count(&self) -> usize {
        self.len()
    }

    fn at(&self, place: usize) -> Fact<'_> {
        self.get(place).map_or(Fact::Missing, |text| Fact::Str(text.as_ref()))
    }
}
