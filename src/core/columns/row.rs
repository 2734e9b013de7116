//! One record of many columns, as rows have it.

use super::super::condition::{Attributes, Elements, Fact, List};
use super::super::decision::Record;
use super::{Columns, Texts, Values};

/// The attributes of one record.
#[derive(Debug)]
pub struct RowOf<'a> {
    columns: &'a Columns<'a>,
    at: usize,
    /// By column.
    lists: Vec<Part<'a>>,
}

/// The record at a place, with these attributes.
pub fn record_of<'c>(columns: &'c Columns<'_>, at: usize, attributes: &'c dyn Attributes) -> Record<'c> {
    let part = |texts: Option<&Texts<'c>>| texts.and_then(|texts| texts.get(at)).unwrap_or("");
    Record {
        id: columns.ids.get(at).unwrap_or(""),
        owner: part(columns.owners.as_ref()),
        account: part(columns.accounts.as_ref()),
        attributes,
    }
}

/// The elements of one record's list.
#[derive(Debug)]
struct Part<'a> {
    values: &'a Values<'a>,
    start: usize,
    end: usize,
}

impl<'a> RowOf<'a> {
    /// The record at a place.
    #[must_use]
    pub fn new(columns: &'a Columns<'a>, at: usize) -> Self {
        let part = |column: &'a super::Column<'a>| {
            let end = |at: usize| column.lists.as_ref().and_then(|ends| ends.get(at)).map_or(0, |end| *end as usize);
            Part { values: &column.values, start: at.checked_sub(1).map_or(0, end), end: end(at) }
        };
        Self { columns, at, lists: columns.attributes.iter().map(part).collect() }
    }
}

impl Attributes for RowOf<'_> {
    fn get(&self, name: &str) -> Fact<'_> {
        let Ok(place) = self.columns.attributes.binary_search_by(|column| column.name.cmp(name)) else {
            return Fact::Missing;
        };
        match (self.columns.attributes.get(place), self.lists.get(place)) {
            (Some(column), _) if !column.present.has(self.at) => Fact::Missing,
            (Some(column), Some(part)) if column.lists.is_some() => Fact::List(List::Other(part)),
            (Some(column), _) => value(&column.values, self.at),
            (None, _) => Fact::Missing,
        }
    }
}

impl Elements for Part<'_> {
    fn count(&self) -> usize {
        self.end - self.start
    }

    fn at(&self, place: usize) -> Fact<'_> {
        if place < self.count() { value(self.values, self.start + place) } else { Fact::Missing }
    }
}

fn value<'v>(values: &'v Values<'_>, at: usize) -> Fact<'v> {
    fn some<'a, T: Copy>(values: &[T], at: usize, fact: impl Fn(T) -> Fact<'a>) -> Fact<'a> {
        values.get(at).map_or(Fact::Missing, |value| fact(*value))
    }
    match values {
        Values::Bools(values) => some(values, at, Fact::Bool),
        Values::Ints(values) => some(values, at, Fact::Int),
        Values::Doubles(values) => some(values, at, Fact::Double),
        Values::Timestamps(values) => some(values, at, Fact::Timestamp),
        Values::Texts(texts) => Texts::get(texts, at).map_or(Fact::Missing, Fact::Str),
    }
}
