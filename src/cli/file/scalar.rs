//! Single values: how they are spelled, and what the spelling means.
//!
//! Plain scalars follow YAML 1.2's core schema. Text that could be taken for something else, there
//! or by the older parsers that operators' tools use (`yes`, `2026-01-01`), is written in quotes.

use std::fmt::Write as _;

use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use crate::core::model::{FieldType, Millis, Value};

use super::error::quoted;
use super::yaml::{Node, Scalar, ScalarKind, What};

/// What a plain scalar means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Plain {
    Null,
    Bool(bool),
    Int(i64),
    /// A whole number of more than 64 bits.
    HugeInt,
    Double(f64),
    /// An infinity, or no number.
    NotFinite,
    Text,
}

/// The core schema's meaning of a plain scalar.
pub(super) fn resolve(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" => return Plain::Bool(true),
        "false" | "False" | "FALSE" => return Plain::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Plain::NotFinite,
        _ => {}
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        return Plain::NotFinite;
    }
    let int = |r: Result<i64, _>| r.map_or(Plain::HugeInt, Plain::Int);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return int(text.parse());
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(body) = text.strip_prefix(prefix)
            && !body.is_empty()
            && body.chars().all(|c| c.is_digit(radix))
        {
            return int(i64::from_str_radix(body, radix));
        }
    }
    if is_float(digits) {
        return match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Plain::Double(number),
            _ => Plain::NotFinite,
        };
    }
    Plain::Text
}

/// `(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let exponent_ok = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['+', '-']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    exponent_ok && !(whole.is_empty() && fraction.is_empty()) && digits(whole) && digits(fraction)
}

/// RFC 3339 with `T` and `Z` or an offset, to the millisecond.
pub(super) fn parse_timestamp(text: &str) -> Result<Millis, &'static str> {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    const WRONG: &str = "is no timestamp such as `2026-01-31T12:00:00Z`";
    let matches = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(b, s)| match s {
                b'd' => b.is_ascii_digit(),
                _ => b == s,
            })
    };
    let (head, rest) = text.as_bytes().split_at_checked(SHAPE.len()).ok_or(WRONG)?;
    let fraction = rest.strip_prefix(b".").map(|r| r.iter().take_while(|b| b.is_ascii_digit()).count());
    let zone = match fraction {
        Some(0) => return Err(WRONG),
        Some(digits) => rest.get(digits + 1..).unwrap_or_default(),
        None => rest,
    };
    let zone_ok = zone == b"Z" || matches(zone, b"+dd:dd") || matches(zone, b"-dd:dd");
    // A leap second would be moved by the parser; the sixtieth second is refused instead.
    if !matches(head, SHAPE) || !zone_ok || head.ends_with(b"60") {
        return Err(WRONG);
    }
    let digits = fraction.unwrap_or(0);
    let finer = rest.get(4..=digits).unwrap_or_default();
    if finer.iter().any(|b| *b != b'0') {
        return Err("is finer than a millisecond");
    }
    let instant: Timestamp = text.parse().map_err(|_| WRONG)?;
    Ok(instant.as_millisecond())
}

/// The text that [`parse_timestamp`] reads. An instant outside the years 0 to 9999 has none; its
/// number is written, which the reader refuses rather than mistakes.
pub(super) fn timestamp_text(ms: Millis) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(instant) => instant.to_string(),
        Err(_) => ms.to_string(),
    }
}

/// `12h`, `30m`, `7d`, `1h 30m`: longer than nothing, in whole milliseconds. A day is 24 hours.
pub(in crate::cli) fn parse_duration(text: &str) -> Result<Millis, &'static str> {
    const WRONG: &str = "is no duration such as `12h`, `30m` or `7d`";
    let span: Span = text.parse().map_err(|_| WRONG)?;
    let duration: SignedDuration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| WRONG)?;
    if duration <= SignedDuration::ZERO {
        return Err("must be longer than nothing");
    }
    if duration.subsec_nanos() % 1_000_000 != 0 {
        return Err("is finer than a millisecond");
    }
    Millis::try_from(duration.as_millis()).map_err(|_| WRONG)
}

/// The text that [`parse_duration`] reads, in the longest unit that is exact.
pub(super) fn duration_text(ms: Millis) -> String {
    const UNITS: [(Millis, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    match UNITS.iter().find(|(unit, _)| ms % unit == 0) {
        Some((unit, name)) => format!("{}{name}", ms / unit),
        None => format!("{ms}ms"),
    }
}

/// `string`, `int`, `double`, `bool`, `timestamp`, or `list<…>` of one of these.
pub(super) fn parse_field_type(text: &str) -> Result<FieldType, &'static str> {
    let scalar = |text: &str| match text {
        "string" => Some(FieldType::String),
        "int" => Some(FieldType::Int),
        "double" => Some(FieldType::Double),
        "bool" => Some(FieldType::Bool),
        "timestamp" => Some(FieldType::Timestamp),
        _ => None,
    };
    let list = || {
        let item = text.strip_prefix("list<")?.strip_suffix('>')?;
        Some(FieldType::List(Box::new(scalar(item)?)))
    };
    scalar(text)
        .or_else(list)
        .ok_or("is no type: expected `string`, `int`, `double`, `bool`, `timestamp`, or `list<…>` of one of these")
}

/// The text that [`parse_field_type`] reads.
pub(super) fn field_type_text(field: &FieldType) -> String {
    match field {
        FieldType::String => "string".to_owned(),
        FieldType::Int => "int".to_owned(),
        FieldType::Double => "double".to_owned(),
        FieldType::Bool => "bool".to_owned(),
        FieldType::Timestamp => "timestamp".to_owned(),
        FieldType::List(item) => format!("list<{}>", field_type_text(item)),
    }
}

/// An attribute's value. Where a type is declared, text is a timestamp and a whole number a
/// double; a tag says otherwise.
pub(super) fn value(node: &Node<'_>, declared: Option<&FieldType>) -> Result<Value, String> {
    match &node.what {
        What::Scalar(scalar) => scalar_value(scalar, declared),
        What::List(items) => {
            let item_type = match declared {
                Some(FieldType::List(item)) => Some(&**item),
                _ => None,
            };
            let item = |item: &Node<'_>| match &item.what {
                What::Scalar(scalar) => scalar_value(scalar, item_type),
                _ => Err(format!("expected a list of single values, found {}", item.describe())),
            };
            items.iter().map(item).collect::<Result<_, _>>().map(Value::List)
        }
        What::Map(_) => Err("expected a single value or a list, found a mapping".to_owned()),
    }
}

fn scalar_value(scalar: &Scalar<'_>, declared: Option<&FieldType>) -> Result<Value, String> {
    let text = &*scalar.text;
    let wrong = |message: &str| format!("{} {message}", quoted(text));
    let number = |found: Plain| match found {
        Plain::HugeInt => Err(wrong("needs more than 64 bits")),
        Plain::NotFinite => Err(wrong("is not finite")),
        Plain::Int(n) => Ok(Value::Int(n)),
        Plain::Double(n) => Ok(Value::Double(n)),
        Plain::Null | Plain::Bool(_) | Plain::Text => Err(wrong("is no number")),
    };
    let timestamp = || parse_timestamp(text).map(Value::Timestamp).map_err(wrong);
    let of_text = || match declared {
        Some(FieldType::Timestamp) => timestamp(),
        _ => Ok(Value::String(text.to_owned())),
    };
    match scalar.kind {
        ScalarKind::Str => Ok(Value::String(text.to_owned())),
        ScalarKind::Quoted => of_text(),
        ScalarKind::Timestamp => timestamp(),
        ScalarKind::Int => match number(resolve(text))? {
            Value::Double(_) => Err(wrong("is no whole number")),
            int => Ok(int),
        },
        ScalarKind::Float => number(resolve(text)).map(as_double),
        ScalarKind::Plain => match resolve(text) {
            Plain::Null => Ok(Value::Null),
            Plain::Bool(flag) => Ok(Value::Bool(flag)),
            Plain::Text => of_text(),
            found if declared == Some(&FieldType::Double) => number(found).map(as_double),
            found => number(found),
        },
    }
}

#[expect(clippy::cast_precision_loss, reason = "a whole number where a double is declared is rounded as a literal is")]
fn as_double(value: Value) -> Value {
    match value {
        Value::Int(n) => Value::Double(n as f64),
        other => other,
    }
}

/// The text that [`value`] reads as the same value, given the same declaration.
pub(super) fn value_text(value: &Value, declared: Option<&FieldType>) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(n) if declared == Some(&FieldType::Double) => format!("!!int {n}"),
        Value::Int(n) => n.to_string(),
        Value::Double(n) => format!("{n:?}"),
        Value::String(text) if declared == Some(&FieldType::Timestamp) => {
            format!("!!str {}", text_text(text))
        }
        Value::String(text) => text_text(text),
        Value::Timestamp(ms) if declared == Some(&FieldType::Timestamp) => timestamp_text(*ms),
        Value::Timestamp(ms) => format!("!!timestamp {}", timestamp_text(*ms)),
        Value::List(items) => {
            let item_type = match declared {
                Some(FieldType::List(item)) => Some(&**item),
                _ => None,
            };
            let items: Vec<_> = items.iter().map(|item| value_text(item, item_type)).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

/// Text, in double quotes unless every reader takes it for text without.
pub(super) fn text_text(text: &str) -> String {
    if is_plainly_text(text) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // All of these are in the basic plane: four digits do.
            c if is_unsafe(c) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What must not stand in a line that people read: control characters, line and paragraph
/// separators, the byte order mark, non-characters, and what reverses the direction of text.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn is_plainly_text(text: &str) -> bool {
    // YAML 1.1 takes these for booleans.
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let starts = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"_./@+- ".contains(&b);
    starts
        && text.bytes().all(inside)
        && !text.ends_with(' ')
        && !text.contains("  ")
        && !text.contains(" -")
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
        && resolve(text) == Plain::Text
}
