//! Rows put into columns, as far as they are read.

use std::collections::BTreeMap;

use super::super::condition::{Fact, List, Shape, Type, as_declared};
use super::super::decision::Record;
use super::{Bits, Column, Columns, Texts, Values};

/// The rows as columns, of the attributes only those that are `read`. What a row has of another type
/// than declared it does not have (rule 6.3), and of lists it is [odd](Column::odd).
#[must_use]
pub fn columns_of<'a>(rows: &[Record<'a>], read: &BTreeMap<&'a str, Shape>) -> Columns<'a> {
    let given = |part: fn(&Record<'a>) -> &'a str| {
        rows.iter().any(|row| !part(row).is_empty()).then(|| rows.iter().map(part).collect::<Texts<'a>>())
    };
    Columns {
        ids: rows.iter().map(|row| row.id).collect(),
        owners: given(|row| row.owner),
        accounts: given(|row| row.account),
        attributes: read.iter().map(|(name, shape)| column(rows, name, *shape)).collect(),
    }
}

fn column<'a>(rows: &[Record<'a>], name: &'a str, shape: Shape) -> Column<'a> {
    let facts = rows.iter().map(|row| row.attributes.get(name));
    match shape {
        Shape::One(ty) => {
            let mut present = Vec::with_capacity(rows.len());
            let values = values(ty, facts, &mut present);
            Column { name, present: present.into_iter().collect(), odd: None, lists: None, values }
        }
        Shape::Many(ty) => {
            let mut odd = Vec::with_capacity(rows.len());
            // One with an element that is not as declared is no such list.
            let lists: Vec<Option<List<'a>>> = facts
                .map(|fact| {
                    let list = if let Fact::List(list) = fact { Some(list) } else { None };
                    let list = list.filter(|list| conforms(*list, ty));
                    odd.push(list.is_none() && !matches!(fact, Fact::Missing | Fact::Null));
                    list
                })
                .collect();
            let odd = odd.contains(&true).then(|| odd.into_iter().collect());
            let mut end = 0;
            let ends = lists.iter().map(|list| {
                end += list.map_or(0, |list| u32::try_from(list.count()).unwrap_or(u32::MAX));
                end
            });
            let ends = ends.collect();
            let elements = lists.iter().flatten().flat_map(|list| list.iter());
            let values = values(ty, elements, &mut Vec::new());
            let present: Bits = lists.iter().map(Option::is_some).collect();
            Column { name, present, odd, lists: Some(ends), values }
        }
    }
}

fn conforms(list: List<'_>, ty: Type) -> bool {
    list.iter().all(|fact| as_declared(fact, ty).is_some())
}

/// Values as declared, and whether each was sent so; where it was not, anything.
fn values<'a>(ty: Type, facts: impl Iterator<Item = Fact<'a>>, present: &mut Vec<bool>) -> Values<'a> {
    let declared = facts.map(|fact| {
        let declared = as_declared(fact, ty);
        present.push(declared.is_some());
        declared
    });
    match ty {
        Type::Bool => Values::Bools(declared.map(|fact| matches!(fact, Some(Fact::Bool(true)))).collect()),
        Type::Int => Values::Ints(declared.map(|fact| if let Some(Fact::Int(n)) = fact { n } else { 0 }).collect()),
        Type::Double => {
            Values::Doubles(declared.map(|fact| if let Some(Fact::Double(n)) = fact { n } else { 0.0 }).collect())
        }
        Type::Timestamp => {
            Values::Timestamps(declared.map(|fact| if let Some(Fact::Timestamp(n)) = fact { n } else { 0 }).collect())
        }
        // The others are no types of fields.
        Type::String | Type::Duration | Type::Dynamic => {
            Values::Texts(declared.map(|fact| if let Some(Fact::Str(text)) = fact { text } else { "" }).collect())
        }
    }
}
