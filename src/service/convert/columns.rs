//! Records by column, read where they lie.

use crate::core::columns::{Bits, Column, Columns, Texts, Values};
use crate::core::limits::MAX_FIELD_NAME_BYTES;
use crate::core::model::Millis;

use super::super::fields::Fields;
use super::super::proto::{self, column};
use super::value::{MAX_LIST, MAX_STRING_BYTES};

/// Attributes of one call.
const MAX_COLUMNS: usize = 256;
/// The years 1 to 9999, as of every instant that is sent.
const INSTANTS: std::ops::RangeInclusive<Millis> = -62_135_596_800_000..=253_402_300_799_999;

/// The records of a message, unless something is wrong with them.
#[must_use]
pub fn sound_columns(message: &proto::RecordColumns) -> Option<Columns<'_>> {
    let mut fields = Fields::default();
    columns(&mut fields, message, usize::MAX).filter(|_| fields.is_empty())
}

/// The records of a message; what is wrong with them is noted, and then there are none.
pub fn columns<'a>(f: &mut Fields, message: &'a proto::RecordColumns, limit: usize) -> Option<Columns<'a>> {
    let proto::RecordColumns { ids, owners, accounts, attributes } = message;
    let Some(ids) = ids else {
        f.refuse("ids", "is required");
        return None;
    };
    let ids = f.within("ids", |f| texts(f, ids))?;
    let count = ids.len();
    // INVARIANT 8: of too many, which are refused, nothing more is looked at.
    if count > limit {
        f.at_most("ids", count, limit);
        return None;
    }
    let mut part = |name: &'static str, column: Option<&'a proto::StringColumn>| {
        let Some(column) = column else { return Some(None) };
        let read = f.within(name, |f| texts(f, column))?;
        as_many(f, name, read.len(), count).map(|()| Some(read))
    };
    let owners = part("owners", owners.as_ref());
    let accounts = part("accounts", accounts.as_ref());
    f.at_most("attributes", attributes.len(), MAX_COLUMNS);
    let read = attributes.iter().take(MAX_COLUMNS).enumerate();
    let read = f.within("attributes", |f| {
        let read = read.map(|(at, column)| f.item(at, |f| attribute(f, column, count)));
        read.collect::<Vec<_>>()
    });
    let mut attributes: Vec<Column<'a>> = read.into_iter().collect::<Option<_>>()?;
    attributes.sort_by(|a, b| a.name.cmp(b.name));
    for two in attributes.windows(2) {
        if let [a, b] = two
            && a.name == b.name
        {
            f.refuse("attributes", format_args!("has `{}` twice", a.name));
        }
    }
    Some(Columns { ids, owners: owners?, accounts: accounts?, attributes })
}

fn texts<'a>(f: &mut Fields, column: &'a proto::StringColumn) -> Option<Texts<'a>> {
    let proto::StringColumn { text, lengths, indexes } = column;
    let indexes = (!indexes.is_empty()).then_some(indexes.as_slice());
    Texts::new(text, lengths, indexes).map_err(|error| f.refuse("", error)).ok()
}

fn as_many(f: &mut Fields, name: &str, found: usize, wanted: usize) -> Option<()> {
    if found != wanted {
        f.refuse(name, format_args!("has {found} entries, not {wanted}"));
    }
    (found == wanted).then_some(())
}

fn attribute<'a>(f: &mut Fields, column: &'a proto::Column, count: usize) -> Option<Column<'a>> {
    let proto::Column { name, missing, list_lengths, values } = column;
    if name.is_empty() || name.len() > MAX_FIELD_NAME_BYTES {
        f.refuse("name", format_args!("must be 1 to {MAX_FIELD_NAME_BYTES} bytes"));
    }
    if missing.len() > count.div_ceil(8) {
        f.refuse("missing", format_args!("has more bits than there are records, {count}"));
    }
    let lists = if list_lengths.is_empty() { None } else { Some(ends(f, list_lengths, count)?) };
    let Some(values) = values else {
        f.refuse("values", "is required");
        return None;
    };
    let values = f.within("values", |f| self::values(f, values))?;
    let wanted = lists.as_ref().map_or(count, |ends| ends.last().map_or(0, |end| *end as usize));
    as_many(f, "values", values.len(), wanted)?;
    Some(Column { name, present: Bits::but(count, missing), odd: None, lists, values })
}

/// Where lists of these lengths end.
fn ends(f: &mut Fields, lengths: &[u32], count: usize) -> Option<Vec<u32>> {
    as_many(f, "list_lengths", lengths.len(), count)?;
    let longest = lengths.iter().max().map_or(0, |longest| *longest as usize);
    f.at_most("list_lengths", longest, MAX_LIST);
    let mut end = 0u32;
    let ends: Option<Vec<u32>> = lengths
        .iter()
        .map(|length| {
            end = end.checked_add(*length)?;
            Some(end)
        })
        .collect();
    if ends.is_none() {
        f.refuse("list_lengths", "are too many elements");
    }
    ends
}

fn values<'a>(f: &mut Fields, values: &'a column::Values) -> Option<Values<'a>> {
    Some(match values {
        column::Values::Bools(proto::BoolColumn { values }) => Values::Bools(values.into()),
        column::Values::Ints(proto::IntColumn { values }) => Values::Ints(values.into()),
        column::Values::Doubles(proto::DoubleColumn { values }) => {
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                f.refuse("doubles.values", format_args!("entry {at} is not finite"));
            }
            Values::Doubles(values.into())
        }
        column::Values::Strings(strings) => {
            let texts = f.within("strings", |f| texts(f, strings))?;
            if texts.texts().any(|text| text.len() > MAX_STRING_BYTES) {
                f.refuse("strings", format_args!("has a text of more than {MAX_STRING_BYTES} bytes"));
            }
            Values::Texts(texts)
        }
        column::Values::Timestamps(proto::TimestampColumn { unix_millis }) => {
            if let Some(at) = unix_millis.iter().position(|instant| !INSTANTS.contains(instant)) {
                f.refuse("timestamps.unix_millis", format_args!("entry {at} is not within the years 1 to 9999"));
            }
            Values::Timestamps(unix_millis.into())
        }
    })
}
