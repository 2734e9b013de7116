//! Attributes of a million principals: names once, values packed.
//!
//! Principals with the same attribute names share one *form*, numbered by the table; what is kept for
//! each is the form's number and its values in CBOR, in the order of the names:
//!
//! ```text
//! far bytes of a principal:  form: u32 LE | length of the values: u32 LE | values | stored row without attributes
//! ```
//!
//! A decision unpacks them once, borrowing texts, and only if a condition asks ([`Unpacked`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

use super::condition::{Fact, List};
use super::model::Value;

/// The names of a principal's attributes, ascending.
pub(super) type Form = Arc<[Box<str>]>;

/// CBOR's tag for an instant.
const INSTANT: u64 = 1;
const HEAD_BYTES: usize = 8;

/// A principal's far bytes, apart.
pub(super) struct Far<'a> {
    /// The number of the form.
    pub(super) form: u32,
    values: &'a [u8],
    /// The stored row, without attributes.
    pub(super) row: &'a [u8],
}

impl<'a> Far<'a> {
    /// Takes the bytes apart; of none, nothing comes.
    pub(super) fn of(bytes: &'a [u8]) -> Option<Self> {
        let (form, rest) = bytes.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let (values, row) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        Some(Self { form: u32::from_le_bytes(*form), values, row })
    }

    /// The attributes as they were put.
    pub(super) fn attributes(&self, form: &Form) -> BTreeMap<String, Value> {
        let mut decoder = Decoder::new(self.values);
        form.iter().map_while(|name| Some((name.to_string(), value(&mut decoder)?))).collect()
    }

    /// The attributes for conditions.
    pub(super) fn unpacked(&self, form: &Form) -> Unpacked<'a> {
        let mut decoder = Decoder::new(self.values);
        let values = (0..form.len()).map_while(|_| Slot::read(&mut decoder)).collect();
        Unpacked { form: Arc::clone(form), values }
    }
}

/// The far bytes of a principal: its attributes' values in the order of their names, and its row.
pub(super) fn far(form: u32, attributes: &BTreeMap<String, Value>, row: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEAD_BYTES];
    let mut encoder = Encoder::new(&mut bytes);
    for value in attributes.values() {
        // Encoding into memory has no way to fail.
        let _ = put(&mut encoder, value);
    }
    let length = u32::try_from(bytes.len() - HEAD_BYTES).unwrap_or(u32::MAX);
    let head = form.to_le_bytes().into_iter().chain(length.to_le_bytes());
    bytes.iter_mut().zip(head).for_each(|(byte, new)| *byte = new);
    bytes.extend_from_slice(row);
    bytes
}

type Encoded<'b> = Result<(), minicbor::encode::Error<<&'b mut Vec<u8> as minicbor::encode::Write>::Error>>;

fn put<'b>(encoder: &mut Encoder<&'b mut Vec<u8>>, value: &Value) -> Encoded<'b> {
    match value {
        Value::Null => encoder.null()?,
        Value::Bool(value) => encoder.bool(*value)?,
        Value::Int(value) => encoder.i64(*value)?,
        Value::Double(value) => encoder.f64(*value)?,
        Value::String(text) => encoder.str(text)?,
        Value::Timestamp(ms) => encoder.tag(minicbor::data::Tag::new(INSTANT))?.i64(*ms)?,
        Value::List(values) => {
            encoder.array(values.len() as u64)?;
            return values.iter().try_for_each(|value| put(encoder, value));
        }
    };
    Ok(())
}

/// A single value, borrowed; none if it is a list.
fn fact<'a>(decoder: &mut Decoder<'a>) -> Option<Fact<'a>> {
    Some(match decoder.datatype().ok()? {
        Type::Null => {
            decoder.null().ok()?;
            Fact::Null
        }
        Type::Bool => Fact::Bool(decoder.bool().ok()?),
        Type::F64 => Fact::Double(decoder.f64().ok()?),
        Type::String => Fact::Str(decoder.str().ok()?),
        Type::Tag => {
            decoder.tag().ok()?;
            Fact::Timestamp(decoder.i64().ok()?)
        }
        Type::Array => return None,
        _ => Fact::Int(decoder.i64().ok()?),
    })
}

fn value(decoder: &mut Decoder<'_>) -> Option<Value> {
    Some(match fact(decoder) {
        Some(Fact::Bool(value)) => Value::Bool(value),
        Some(Fact::Int(value)) => Value::Int(value),
        Some(Fact::Double(value)) => Value::Double(value),
        Some(Fact::Str(text)) => Value::String(text.to_owned()),
        Some(Fact::Timestamp(ms)) => Value::Timestamp(ms),
        Some(_) => Value::Null,
        None => {
            let length = decoder.array().ok()??;
            Value::List((0..length).map_while(|_| value(decoder)).collect())
        }
    })
}

/// A principal's attributes, ready to be read.
pub(super) struct Unpacked<'a> {
    form: Form,
    values: Vec<Slot<'a>>,
}

enum Slot<'a> {
    One(Fact<'a>),
    Many(Vec<Fact<'a>>),
}

impl<'a> Slot<'a> {
    fn read(decoder: &mut Decoder<'a>) -> Option<Self> {
        if let Some(one) = fact(decoder) {
            return Some(Self::One(one));
        }
        let length = decoder.array().ok()??;
        Some(Self::Many((0..length).map_while(|_| fact(decoder)).collect()))
    }
}

impl Unpacked<'_> {
    /// The attribute of that name.
    pub(super) fn get(&self, name: &str) -> Fact<'_> {
        let place = self.form.binary_search_by(|n| (**n).cmp(name)).ok();
        match place.and_then(|place| self.values.get(place)) {
            None => Fact::Missing,
            Some(Slot::One(fact)) => *fact,
            Some(Slot::Many(facts)) => Fact::List(List::Facts(facts)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_what_is_unpacked() {
        let list = Value::List(vec![Value::String("a".into()), Value::Null, Value::Int(-3)]);
        let values = [
            ("b", Value::Bool(true)),
            ("d", Value::Double(-0.0)),
            ("i", Value::Int(i64::MIN)),
            ("l", list),
            ("n", Value::Null),
            ("s", Value::String("\u{1F511}".into())),
            ("t", Value::Timestamp(-1)),
            ("u", Value::List(vec![])),
        ];
        let attributes: BTreeMap<String, Value> = values.into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
        let form: Form = attributes.keys().map(|n| n.as_str().into()).collect();
        let bytes = far(7, &attributes, b"row");
        let read = Far::of(&bytes).unwrap();
        assert_eq!((read.form, read.row), (7, &b"row"[..]));
        assert_eq!(read.attributes(&form), attributes);
        let unpacked = read.unpacked(&form);
        for (name, value) in &attributes {
            assert_eq!(format!("{:?}", unpacked.get(name)), format!("{:?}", Fact::from(value)), "{name}");
        }
        assert!(matches!(unpacked.get("absent"), Fact::Missing));
        assert!(Far::of(b"").is_none());
    }
}
