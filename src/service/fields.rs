//! Gathers everything that is wrong with a request, with the path of each field, before anything
//! is done with it.
//!
//! The path is kept as steps and becomes text only for a violation, so that converting a million
//! sound rows formats nothing.

use std::fmt::{Display, Write as _};
use std::str::FromStr;

use prost_types::{Duration, Timestamp};

use crate::core::id::IdError;
use crate::core::limits::MAX_VIOLATIONS;
use crate::core::model::Millis;

use super::refusal::{FieldViolation, Refusal};

const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;
const NANOS_PER_MILLI: i32 = 1_000_000;

/// The violations found so far, and where the conversion is.
#[derive(Debug, Default)]
pub struct Fields {
    path: Vec<Step>,
    violations: Vec<FieldViolation>,
}

#[derive(Debug)]
enum Step {
    Name(&'static str),
    Index(usize),
    Key(String),
}

impl Fields {
    /// Notes that a field is wrong; an empty name is the message itself.
    pub fn refuse(&mut self, name: &str, description: impl Display) {
        if self.violations.len() < MAX_VIOLATIONS {
            let (field, description) = (self.path_to(name), description.to_string());
            self.violations.push(FieldViolation { field, description });
        }
    }

    fn path_to(&self, name: &str) -> String {
        let mut path = String::new();
        for step in &self.path {
            let dot = if path.is_empty() { "" } else { "." };
            // Writing to a string does not fail.
            let _ = match step {
                Step::Name(name) => write!(path, "{dot}{name}"),
                Step::Index(index) => write!(path, "[{index}]"),
                Step::Key(key) => write!(path, "[{key:?}]"),
            };
        }
        if !path.is_empty() && !name.is_empty() {
            path.push('.');
        }
        path + name
    }

    /// Whether anything was noted.
    pub fn is_empty(&self) -> bool {
        self.violations.is_empty()
    }

    /// The value, if nothing was noted.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, Refusal> {
        match value {
            Some(value) if self.violations.is_empty() => Ok(value),
            _ => {
                if self.violations.is_empty() {
                    self.refuse("", "is malformed");
                }
                Err(Refusal::Fields { violations: self.violations })
            }
        }
    }

    /// Converts what is in the field `name`.
    pub fn within<T>(&mut self, name: &'static str, convert: impl FnOnce(&mut Self) -> T) -> T {
        self.step(Step::Name(name), convert)
    }

    fn step<T>(&mut self, step: Step, convert: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let value = convert(self);
        self.path.pop();
        value
    }

    /// Converts a message that must be there.
    pub fn message<M, T>(
        &mut self,
        name: &'static str,
        message: Option<M>,
        convert: impl FnOnce(&mut Self, M) -> Option<T>,
    ) -> Option<T> {
        let Some(message) = message else {
            self.refuse(name, "is required");
            return None;
        };
        self.within(name, |f| convert(f, message))
    }

    /// Converts every item of a list.
    pub fn list<M, T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = M>,
        mut convert: impl FnMut(&mut Self, M) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.within(name, |f| {
            let converted = items.into_iter().enumerate();
            // Not a short-circuit: every item is to be looked at.
            let all: Vec<Option<T>> = converted.map(|(i, m)| f.step(Step::Index(i), |f| convert(f, m))).collect();
            all.into_iter().collect()
        })
    }

    /// Converts the message at `index` of a list that comes in parts.
    pub fn item<T>(&mut self, index: usize, convert: impl FnOnce(&mut Self) -> T) -> T {
        self.step(Step::Index(index), convert)
    }

    /// Converts every value of a map.
    pub fn map<M, T>(
        &mut self,
        name: &'static str,
        items: std::collections::BTreeMap<String, M>,
        mut convert: impl FnMut(&mut Self, M) -> Option<T>,
    ) -> Option<std::collections::BTreeMap<String, T>> {
        self.within(name, |f| {
            let all: Vec<Option<(String, T)>> = items
                .into_iter()
                .map(|(key, m)| {
                    let value = f.step(Step::Key(key.clone()), |f| convert(f, m))?;
                    Some((key, value))
                })
                .collect();
            all.into_iter().collect()
        })
    }

    /// Refuses more items than a request may carry.
    pub fn at_most(&mut self, name: &str, found: usize, limit: usize) {
        if found > limit {
            self.refuse(name, format_args!("has {found} entries, more than {limit}"));
        }
    }

    /// Parses a text that must be there.
    pub fn parse<T: FromStr<Err = IdError>>(&mut self, name: &str, text: &str) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(IdError::Empty) => {
                self.refuse(name, "is required");
                None
            }
            Err(error) => {
                self.refuse(name, format_args!("`{}` {error}", shortened(text)));
                None
            }
        }
    }

    /// Parses a text that may be empty.
    pub fn parse_optional<T: FromStr<Err = IdError>>(&mut self, name: &str, text: &str) -> Option<Option<T>> {
        if text.is_empty() { Some(None) } else { self.parse(name, text).map(Some) }
    }

    /// Parses every text of a list.
    pub fn parse_all<T: FromStr<Err = IdError>>(&mut self, name: &'static str, texts: &[String]) -> Option<Vec<T>> {
        self.list(name, texts, |f, text| f.parse("", text))
    }

    /// The enum value of a number; `None` stands for "unspecified" too.
    pub fn choice<E: TryFrom<i32> + Default + PartialEq>(&mut self, name: &str, number: i32) -> Option<Option<E>> {
        match E::try_from(number) {
            Ok(value) if value == E::default() => Some(None),
            Ok(value) => Some(Some(value)),
            Err(_) => {
                self.refuse(name, format_args!("has no value `{number}`"));
                None
            }
        }
    }

    /// The enum value of a number that must be given.
    pub fn required_choice<E: TryFrom<i32> + Default + PartialEq>(&mut self, name: &str, number: i32) -> Option<E> {
        let choice = self.choice(name, number)?;
        if choice.is_none() {
            self.refuse(name, "is required");
        }
        choice
    }

    /// An instant that is cut to milliseconds.
    pub fn instant(&mut self, name: &str, time: Timestamp) -> Option<Millis> {
        let Timestamp { seconds, nanos } = time;
        if !(FIRST_SECOND..=LAST_SECOND).contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
            self.refuse(name, "is no instant between the years 1 and 9999");
            return None;
        }
        Some(seconds * 1_000 + i64::from(nanos / NANOS_PER_MILLI))
    }

    /// An instant that is kept, and so must be exact to the millisecond.
    pub fn exact_instant(&mut self, name: &str, time: Timestamp) -> Option<Millis> {
        let exact = self.exact(name, time.nanos);
        let millis = self.instant(name, time);
        exact.then_some(millis).flatten()
    }

    /// A span of time that is more than zero, exact to the millisecond.
    pub fn exact_span(&mut self, name: &str, span: Duration) -> Option<Millis> {
        let Duration { seconds, nanos } = span;
        if !(0..=LAST_SECOND).contains(&seconds) || !(0..1_000_000_000).contains(&nanos) || (seconds, nanos) == (0, 0) {
            self.refuse(name, "must be more than zero and at most ten thousand years");
            return None;
        }
        self.exact(name, nanos).then(|| seconds * 1_000 + i64::from(nanos / NANOS_PER_MILLI))
    }

    fn exact(&mut self, name: &str, nanos: i32) -> bool {
        let exact = nanos % NANOS_PER_MILLI == 0;
        if !exact {
            self.refuse(name, "is finer than a millisecond");
        }
        exact
    }
}

/// What was sent may be megabytes; an error need not be.
fn shortened(text: &str) -> std::borrow::Cow<'_, str> {
    const SHOWN: usize = 64;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or("")).into(),
        None => text.into(),
    }
}
