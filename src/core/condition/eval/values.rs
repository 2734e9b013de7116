//! Single values: what a fact counts as, and what operators make of two.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::Failure;
use crate::core::condition::MAX_JOINED_BYTES;
use crate::core::condition::facts::{Fact, List};
use crate::core::condition::tree::{Constant, Operator, Type};
use crate::core::model::Value;

/// A value during an evaluation.
#[derive(Debug, Clone)]
pub(in crate::core::condition) enum Val<'a> {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Cow<'a, str>),
    Timestamp(i64),
    Duration(i64),
}

impl<'a> Val<'a> {
    pub(super) fn of(constant: &'a Constant) -> Self {
        match constant {
            Constant::Bool(value) => Self::Bool(*value),
            Constant::Int(value) => Self::Int(*value),
            Constant::Double(value) => Self::Double(*value),
            Constant::String(text) => Self::Text(Cow::Borrowed(text)),
            Constant::Timestamp(ms) => Self::Timestamp(*ms),
            Constant::Duration(ms) => Self::Duration(*ms),
        }
    }

    pub(super) fn into_constant(self) -> Constant {
        match self {
            Self::Bool(value) => Constant::Bool(value),
            Self::Int(value) => Constant::Int(value),
            Self::Double(value) => Constant::Double(value),
            Self::Text(text) => Constant::String(text.into()),
            Self::Timestamp(ms) => Constant::Timestamp(ms),
            Self::Duration(ms) => Constant::Duration(ms),
        }
    }
}

/// The greatest number up to which every int is a double.
const EXACT: u64 = 1 << 53;

/// The double that is exactly `number`, for numbers within ±2^53.
#[expect(clippy::cast_precision_loss, reason = "within 53 bits nothing is lost")]
pub(in crate::core) fn exact_double(number: i64) -> Option<f64> {
    (number.unsigned_abs() <= EXACT).then_some(number as f64)
}

/// What a fact counts as where a single value of a type is declared (rule 6.3).
#[inline]
pub(super) fn scalar(fact: Fact<'_>, declared: Type) -> Result<Val<'_>, Failure> {
    Ok(match (fact, declared) {
        (Fact::Str(text), Type::String | Type::Dynamic) => Val::Text(Cow::Borrowed(text)),
        (Fact::Missing, _) => return Err(Failure::Missing),
        (Fact::Null, _) => return Err(Failure::Null),
        (Fact::Bool(value), Type::Bool | Type::Dynamic) => Val::Bool(value),
        (Fact::Int(value), Type::Int | Type::Dynamic) => Val::Int(value),
        (Fact::Int(value), Type::Double) => Val::Double(exact_double(value).ok_or(Failure::NotAsDeclared)?),
        (Fact::Double(value), Type::Double | Type::Dynamic) if value.is_finite() => Val::Double(value),
        (Fact::Timestamp(ms), Type::Timestamp | Type::Dynamic) => Val::Timestamp(ms),
        (Fact::Duration(ms), Type::Duration | Type::Dynamic) => Val::Duration(ms),
        (Fact::List(_), Type::Dynamic) => return Err(Failure::Mismatch),
        _ => return Err(Failure::NotAsDeclared),
    })
}

/// A fact as the single value that it is declared to be; `None` if it counts as missing or as an error.
#[must_use]
pub fn as_declared(fact: Fact<'_>, declared: Type) -> Option<Fact<'_>> {
    match (scalar(fact, declared).ok()?, fact) {
        (Val::Double(value), _) => Some(Fact::Double(value)),
        _ => Some(fact),
    }
}

/// Whether there is anything at all, list or single.
pub(super) fn present(fact: Fact<'_>) -> bool {
    matches!(fact, Fact::List(_)) || scalar(fact, Type::Dynamic).is_ok()
}

/// Whether every element is as declared. Of undeclared lists each is judged when it is read.
pub(super) fn conforming(list: List<'_>, element: Type) -> bool {
    match (list, element) {
        (List::Texts(_), Type::String) | (_, Type::Dynamic) => true,
        (List::Values(values), Type::String) => values.iter().all(|value| matches!(value, Value::String(_))),
        _ => list.iter().all(|fact| scalar(fact, element).is_ok()),
    }
}

/// Whether a list of texts has that one.
pub(super) fn has_text(list: List<'_>, text: &str) -> bool {
    match list {
        List::Texts(texts) => texts.contains(&text),
        List::Values(values) => values.iter().any(|value| matches!(value, Value::String(other) if other == text)),
        List::Facts(_) | List::Other(_) => list.iter().any(|fact| matches!(fact, Fact::Str(other) if other == text)),
    }
}

/// Whether two values are the same; of different types, an error.
pub(super) fn equal(left: &Val<'_>, right: &Val<'_>) -> Result<bool, Failure> {
    match (left, right) {
        (Val::Text(left), Val::Text(right)) => Ok(left == right),
        (Val::Bool(left), Val::Bool(right)) => Ok(left == right),
        _ => order(left, right).map(Ordering::is_eq),
    }
}

/// Which of two values is first. Bools have no order.
#[inline]
pub(super) fn order(left: &Val<'_>, right: &Val<'_>) -> Result<Ordering, Failure> {
    match (left, right) {
        (Val::Text(left), Val::Text(right)) => Ok(left.as_bytes().cmp(right.as_bytes())),
        (Val::Int(left), Val::Int(right))
        | (Val::Timestamp(left), Val::Timestamp(right))
        | (Val::Duration(left), Val::Duration(right)) => Ok(left.cmp(right)),
        (Val::Double(left), Val::Double(right)) => left.partial_cmp(right).ok_or(Failure::Mismatch),
        (Val::Int(left), Val::Double(right)) => Ok(int_and_double(*left, *right)),
        (Val::Double(left), Val::Int(right)) => Ok(int_and_double(*right, *left).reverse()),
        _ => Err(Failure::Mismatch),
    }
}

/// Exactly: not by way of the nearest double.
#[expect(clippy::cast_possible_truncation, reason = "the double is whole and within 64 bits")]
fn int_and_double(int: i64, double: f64) -> Ordering {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if double >= BEYOND {
        return Ordering::Less;
    }
    if double < -BEYOND {
        return Ordering::Greater;
    }
    let whole = double.trunc();
    let fraction = double - whole;
    int.cmp(&(whole as i64)).then_with(|| 0.0_f64.partial_cmp(&fraction).unwrap_or(Ordering::Equal))
}

/// The size of a text: its Unicode code points.
pub(super) fn length(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

pub(super) fn negative(value: &Val<'_>) -> Result<Val<'static>, Failure> {
    match value {
        Val::Int(number) => number.checked_neg().map(Val::Int).ok_or(Failure::OutOfRange),
        Val::Double(number) => Ok(Val::Double(-number)),
        _ => Err(Failure::Mismatch),
    }
}

/// `left operator right`. An int beside a double, which only undeclared attributes bring about, becomes
/// one if it can be one exactly.
pub(super) fn arithmetic<'a>(operator: Operator, left: Val<'a>, right: Val<'a>) -> Result<Val<'a>, Failure> {
    use Operator::{Add, Subtract};
    let in_range = |number: Option<i64>| number.ok_or(Failure::OutOfRange);
    let sum = |left: i64, right: i64| match operator {
        Subtract => in_range(left.checked_sub(right)),
        _ => in_range(left.checked_add(right)),
    };
    let exact = |number: i64| exact_double(number).ok_or(Failure::OutOfRange);
    match (operator, left, right) {
        (_, Val::Int(left), Val::Int(right)) => ints(operator, left, right).map(Val::Int),
        (_, Val::Double(left), Val::Double(right)) => doubles(operator, left, right),
        (_, Val::Int(left), Val::Double(right)) => doubles(operator, exact(left)?, right),
        (_, Val::Double(left), Val::Int(right)) => doubles(operator, left, exact(right)?),
        (Add, Val::Text(left), Val::Text(right)) => {
            if left.len() + right.len() > MAX_JOINED_BYTES {
                return Err(Failure::OutOfRange);
            }
            Ok(Val::Text(left + right))
        }
        (Add | Subtract, Val::Timestamp(left), Val::Duration(right))
        | (Add, Val::Duration(left), Val::Timestamp(right)) => sum(left, right).map(Val::Timestamp),
        (Subtract, Val::Timestamp(left), Val::Timestamp(right))
        | (Add | Subtract, Val::Duration(left), Val::Duration(right)) => sum(left, right).map(Val::Duration),
        _ => Err(Failure::Mismatch),
    }
}

/// As CEL has it: division toward zero, a remainder of the dividend's sign, no wrapping.
fn ints(operator: Operator, left: i64, right: i64) -> Result<i64, Failure> {
    let result = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide | Operator::Remainder if right == 0 => return Err(Failure::DivisionByZero),
        Operator::Divide => left.checked_div(right),
        Operator::Remainder => left.checked_rem(right),
    };
    result.ok_or(Failure::OutOfRange)
}

/// No infinity and no NaN comes of it: neither has an order that administrators would expect.
fn doubles(operator: Operator, left: f64, right: f64) -> Result<Val<'static>, Failure> {
    let result = match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide if right == 0.0 => return Err(Failure::DivisionByZero),
        Operator::Divide => left / right,
        Operator::Remainder => return Err(Failure::Mismatch),
    };
    if result.is_finite() { Ok(Val::Double(result)) } else { Err(Failure::OutOfRange) }
}
