//! Records by column: how many records are sent at once, and what a filter reads of them.
//!
//! ```text
//! Columns { ids, owners, accounts: Texts,  attributes: [Column { name, missing, lists, values }] }
//!                                 |                                                 |
//!                        one text, ends, indexes                       numbers packed, texts as Texts
//! ```
//!
//! Everything is borrowed from the request but the places where texts and lists end; of rows, what a
//! filter reads is [gathered](columns_of) into the same. A text that
//! repeats is sent once and named by number ([`Texts`]); a test of it is then made once, too.
//! [`answers`] makes a condition's answers for all records, 64 a word; [`RowOf`] is one record
//! of them for whatever has no short way.

mod answers;
mod bits;
mod gather;
mod row;
mod texts;

pub use answers::{Answers, Beyond, answers};
pub use bits::Bits;
pub use gather::columns_of;
pub use row::{RowOf, record_of};
pub use texts::{Texts, TextsError};

use std::borrow::Cow;

use super::condition::Type;

/// Records: entry i of every column belongs to record i.
#[derive(Debug)]
pub struct Columns<'a> {
    /// The ids.
    pub ids: Texts<'a>,
    /// The owners, empty where there is none; absent if no record has one.
    pub owners: Option<Texts<'a>>,
    /// The accounts, empty where none is given; absent if none gives one.
    pub accounts: Option<Texts<'a>>,
    /// The attributes, by name, each once.
    pub attributes: Vec<Column<'a>>,
}

/// One attribute of all records.
#[derive(Debug)]
pub struct Column<'a> {
    /// Its name.
    pub name: &'a str,
    /// The records that have a value.
    pub present: Bits,
    /// Of rows, those whose value is none because it is not as declared (rule 6.3), if there are such: of a relation
    /// list that is an error, where none at all is an empty list. By column, whoever reads it sees the type.
    pub odd: Option<Bits>,
    /// Where it is a list: where the elements of each record end, the values being the elements of
    /// all records in order.
    pub lists: Option<Vec<u32>>,
    /// One for each record, or for each element.
    pub values: Values<'a>,
}

/// Values of one type. What stands where a record has none means nothing.
#[derive(Debug)]
pub enum Values<'a> {
    /// Truth values.
    Bools(Cow<'a, [bool]>),
    /// Whole numbers.
    Ints(Cow<'a, [i64]>),
    /// Finite numbers.
    Doubles(Cow<'a, [f64]>),
    /// Texts.
    Texts(Texts<'a>),
    /// Instants, milliseconds since 1970.
    Timestamps(Cow<'a, [i64]>),
}

impl Values<'_> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bools(values) => values.len(),
            Self::Ints(values) | Self::Timestamps(values) => values.len(),
            Self::Doubles(values) => values.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What they are.
    #[must_use]
    pub fn ty(&self) -> Type {
        match self {
            Self::Bools(_) => Type::Bool,
            Self::Ints(_) => Type::Int,
            Self::Doubles(_) => Type::Double,
            Self::Texts(_) => Type::String,
            Self::Timestamps(_) => Type::Timestamp,
        }
    }
}

impl<'a> Columns<'a> {
    /// How many records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The attribute of that name.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Column<'a>> {
        let at = self.attributes.binary_search_by(|column| column.name.cmp(name)).ok()?;
        self.attributes.get(at)
    }
}
