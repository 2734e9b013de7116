//! Values and types of attributes.

use std::collections::BTreeMap;

use prost_types::Timestamp;

use crate::core::condition::{Attributes, Elements, Fact, List};
use crate::core::model::{FieldType, Millis, Value};

use super::super::fields::Fields;
use super::super::proto::{self, value::Kind};

/// Bytes of a text that was sent.
pub const MAX_STRING_BYTES: usize = 8_192;
/// Elements of a list that was sent.
pub const MAX_LIST: usize = 1_000;

/// Milliseconds as a message.
#[must_use]
pub fn to_timestamp(millis: Millis) -> Timestamp {
    let nanos = i32::try_from(millis.rem_euclid(1_000)).unwrap_or(0) * 1_000_000;
    Timestamp { seconds: millis.div_euclid(1_000), nanos }
}

/// The value of an attribute.
pub fn value(f: &mut Fields, value: proto::Value) -> Option<Value> {
    let proto::Value { kind } = value;
    match kind {
        None => {
            f.refuse("", "has no kind of value");
            None
        }
        Some(Kind::NullValue(proto::NullValue {})) => Some(Value::Null),
        Some(Kind::BoolValue(value)) => Some(Value::Bool(value)),
        Some(Kind::IntValue(value)) => Some(Value::Int(value)),
        Some(Kind::DoubleValue(value)) => {
            if !value.is_finite() {
                f.refuse("double_value", "is not finite");
            }
            Some(Value::Double(value))
        }
        Some(Kind::StringValue(text)) => {
            if text.len() > MAX_STRING_BYTES {
                f.refuse("string_value", format_args!("is longer than {MAX_STRING_BYTES} bytes"));
            }
            Some(Value::String(text))
        }
        Some(Kind::TimestampValue(time)) => f.exact_instant("timestamp_value", time).map(Value::Timestamp),
        Some(Kind::ListValue(proto::ValueList { values })) => {
            f.at_most("list_value.values", values.len(), MAX_LIST);
            let nested = |v: &proto::Value| matches!(v.kind, Some(Kind::ListValue(_)));
            if values.iter().any(nested) {
                f.refuse("list_value.values", "contains a list");
                return None;
            }
            f.within("list_value", |f| f.list("values", values, self::value)).map(Value::List)
        }
    }
}

/// Whether a value is one that [`value`] takes, found out without making it.
pub fn is_sound(value: &proto::Value) -> bool {
    match &value.kind {
        None => false,
        Some(Kind::NullValue(_) | Kind::BoolValue(_) | Kind::IntValue(_)) => true,
        Some(Kind::DoubleValue(value)) => value.is_finite(),
        Some(Kind::StringValue(text)) => text.len() <= MAX_STRING_BYTES,
        Some(Kind::TimestampValue(time)) => is_exact(*time),
        Some(Kind::ListValue(list)) => is_sound_list(list),
    }
}

/// As [`is_sound`], of a list.
#[must_use]
pub fn is_sound_list(list: &proto::ValueList) -> bool {
    let scalar = |value: &proto::Value| !matches!(value.kind, Some(Kind::ListValue(_))) && is_sound(value);
    list.values.len() <= MAX_LIST && list.values.iter().all(scalar)
}

/// Whether an instant is whole milliseconds within the years 1 to 9999.
#[must_use]
pub fn is_exact(time: Timestamp) -> bool {
    Fields::default().exact_instant("", time).is_some()
}

/// The milliseconds of an instant that [`is_exact`].
#[must_use]
pub fn instant(Timestamp { seconds, nanos }: Timestamp) -> Millis {
    seconds.saturating_mul(1_000).saturating_add(i64::from(nanos) / 1_000_000)
}

/// What was sent, where it lies.
impl Attributes for BTreeMap<String, proto::Value> {
    fn get(&self, name: &str) -> Fact<'_> {
        Self::get(self, name).map_or(Fact::Missing, Fact::from)
    }
}

impl Elements for proto::ValueList {
    fn count(&self) -> usize {
        self.values.len()
    }

    fn at(&self, place: usize) -> Fact<'_> {
        self.values.get(place).map_or(Fact::Missing, Fact::from)
    }
}

impl<'a> From<&'a proto::Value> for Fact<'a> {
    fn from(value: &'a proto::Value) -> Self {
        match &value.kind {
            None => Self::Missing,
            Some(Kind::NullValue(proto::NullValue {})) => Self::Null,
            Some(Kind::BoolValue(value)) => Self::Bool(*value),
            Some(Kind::IntValue(value)) => Self::Int(*value),
            Some(Kind::DoubleValue(value)) => Self::Double(*value),
            Some(Kind::StringValue(text)) => Self::Str(text),
            // It was found sound.
            Some(Kind::TimestampValue(time)) => Self::Timestamp(instant(*time)),
            Some(Kind::ListValue(list)) => Self::List(List::Other(list)),
        }
    }
}

/// A value as a message.
pub fn to_value(value: Value) -> proto::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(proto::NullValue {}),
        Value::Bool(value) => Kind::BoolValue(value),
        Value::Int(value) => Kind::IntValue(value),
        Value::Double(value) => Kind::DoubleValue(value),
        Value::String(text) => Kind::StringValue(text),
        Value::Timestamp(millis) => Kind::TimestampValue(to_timestamp(millis)),
        Value::List(values) => Kind::ListValue(proto::ValueList { values: values.into_iter().map(to_value).collect() }),
    };
    proto::Value { kind: Some(kind) }
}

/// A declared type.
pub fn field_type(f: &mut Fields, declared: proto::FieldType) -> Option<FieldType> {
    let proto::FieldType { scalar, list } = declared;
    let scalar = match f.required_choice("scalar", scalar)? {
        proto::ScalarType::String => FieldType::String,
        proto::ScalarType::Int => FieldType::Int,
        proto::ScalarType::Double => FieldType::Double,
        proto::ScalarType::Bool => FieldType::Bool,
        proto::ScalarType::Timestamp => FieldType::Timestamp,
        proto::ScalarType::Unspecified => return None,
    };
    Some(if list { FieldType::List(Box::new(scalar)) } else { scalar })
}

/// A declared type as a message.
pub fn to_field_type(declared: &FieldType) -> proto::FieldType {
    let scalar = match declared {
        FieldType::String => proto::ScalarType::String,
        FieldType::Int => proto::ScalarType::Int,
        FieldType::Double => proto::ScalarType::Double,
        FieldType::Bool => proto::ScalarType::Bool,
        FieldType::Timestamp => proto::ScalarType::Timestamp,
        FieldType::List(item) => return proto::FieldType { list: true, ..to_field_type(item) },
    };
    proto::FieldType { scalar: scalar.into(), list: false }
}
