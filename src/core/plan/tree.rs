//! The tree that a plan is: operators on a record's fields and constants, named and shaped as in the
//! query plans of Cerbos, so that what runs those can run these.
//!
//! In three values, as rule 6.3 and SQL have them: what reads a field that is null has no value, and
//! neither has what needs it; only `and` and `exists`' kin settle without. A record passes for which the
//! whole is true. [`Operand::Null`] is what has no value for any record.

use crate::core::condition::{Constant, Shape, Type};

/// A part of a plan.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// No value.
    Null,
    /// A constant.
    Value(Constant),
    /// A list of constants of one type.
    List(Vec<Constant>),
    /// A field of the record. One that is null, is missing, or is not of the declared type, has no value.
    Field(Field),
    /// Whether a field has a value: `ne(field, null)`.
    Has(Field),
    /// The element that `exists` or `all` around asks about, and its type.
    Variable(Box<str>, Type),
    /// An operator and what it works on, in the order of the source.
    Expression(Operator, Vec<Operand>),
}

/// A field of a record as the caller keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// `id`, `owner`, `account`, a relation list or a declared field.
    pub name: Box<str>,
    /// What it holds.
    pub shape: Shape,
}

/// What a plan's expressions do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operator {
    /// True if all are, false if one is not.
    And,
    /// False if none is, true if one is.
    Or,
    /// The opposite.
    Not,
    /// The same. An int beside a double is compared exactly, here and below.
    Eq,
    /// Not the same.
    Ne,
    /// Before; texts by their bytes, here and below.
    Lt,
    /// Before or the same.
    Le,
    /// After.
    Gt,
    /// After or the same.
    Ge,
    /// Whether a list has a value. Without value if that, or the list, has none; false of an empty list.
    In,
    /// The sum of numbers, of texts, or of an instant and a duration. Beyond 64 bits, or as a text beyond
    /// [`MAX_JOINED_BYTES`](crate::core::condition::MAX_JOINED_BYTES), without value; so it is below.
    Add,
    /// The difference.
    Sub,
    /// The product.
    Mult,
    /// The quotient, of ints toward zero. By zero: without value.
    Div,
    /// The remainder of ints, of the dividend's sign. By zero: without value.
    Mod,
    /// Whether a text contains another.
    Contains,
    /// Whether a text begins with another.
    StartsWith,
    /// Whether a text ends with another.
    EndsWith,
    /// The number of a text's code points, or of a list's elements.
    Size,
    /// As `or` over what the lambda says of each element of a list.
    Exists,
    /// As `and`.
    All,
    /// What is asked of an element, and its variable.
    Lambda,
}

impl Operator {
    /// All of them.
    pub const ALL: [Self; 22] = [
        Self::And,
        Self::Or,
        Self::Not,
        Self::Eq,
        Self::Ne,
        Self::Lt,
        Self::Le,
        Self::Gt,
        Self::Ge,
        Self::In,
        Self::Add,
        Self::Sub,
        Self::Mult,
        Self::Div,
        Self::Mod,
        Self::Contains,
        Self::StartsWith,
        Self::EndsWith,
        Self::Size,
        Self::Exists,
        Self::All,
        Self::Lambda,
    ];

    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::And => "and",
            Self::Or => "or",
            Self::Not => "not",
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Lt => "lt",
            Self::Le => "le",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::In => "in",
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mult => "mult",
            Self::Div => "div",
            Self::Mod => "mod",
            Self::Contains => "contains",
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Size => "size",
            Self::Exists => "exists",
            Self::All => "all",
            Self::Lambda => "lambda",
        }
    }
}

impl Operand {
    /// A truth.
    #[must_use]
    pub const fn truth(truth: bool) -> Self {
        Self::Value(Constant::Bool(truth))
    }

    /// Whether it is that truth for every record.
    #[must_use]
    pub fn is(&self, truth: bool) -> bool {
        *self == Self::truth(truth)
    }

    /// Its operands; none of what is no expression.
    #[must_use]
    pub fn operands(&self) -> &[Self] {
        if let Self::Expression(_, operands) = self { operands } else { &[] }
    }

    /// The operators in it, each as often as it occurs. `has` is `ne`, and a duration one of its own.
    pub fn each_operator(&self, see: &mut impl FnMut(&'static str)) {
        match self {
            Self::Expression(operator, _) => see(operator.name()),
            Self::Has(_) => see(Operator::Ne.name()),
            Self::Value(Constant::Duration(_)) => see(DURATION),
            _ => {}
        }
        self.operands().iter().for_each(|operand| operand.each_operator(see));
    }

    /// How many operands it is made of, each element of a list counted.
    #[must_use]
    pub fn weight(&self) -> usize {
        let own = if let Self::List(values) = self { values.len() } else { 0 };
        own + 1 + self.operands().iter().map(Self::weight).sum::<usize>()
    }

    fn has_null(&self) -> bool {
        *self == Self::Null || self.operands().iter().any(Self::has_null)
    }
}

/// The operator that makes a duration of a text such as `90s`: the wire has no durations of its own.
pub const DURATION: &str = "duration";

/// `and`.
pub(super) fn and(parts: impl IntoIterator<Item = Operand>) -> Operand {
    junction(Operator::And, false, parts)
}

/// `or`.
pub(super) fn or(parts: impl IntoIterator<Item = Operand>) -> Operand {
    junction(Operator::Or, true, parts)
}

/// Among so many parts, one that is there already is not repeated.
const FEW: usize = 16;

fn junction(operator: Operator, decisive: bool, parts: impl IntoIterator<Item = Operand>) -> Operand {
    let mut kept = Vec::new();
    for part in parts {
        match part {
            part if part.is(decisive) => return part,
            part if part.is(!decisive) => {}
            part if kept.len() < FEW && kept.contains(&part) => {}
            Operand::Expression(inner, operands) if inner == operator => kept.extend(operands),
            part => kept.push(part),
        }
    }
    match kept.pop() {
        None => Operand::truth(!decisive),
        Some(only) if kept.is_empty() => only,
        Some(last) => {
            kept.push(last);
            Operand::Expression(operator, kept)
        }
    }
}

/// `not`.
pub(super) fn not(operand: Operand) -> Operand {
    match operand {
        Operand::Null => Operand::Null,
        Operand::Value(Constant::Bool(truth)) => Operand::truth(!truth),
        Operand::Expression(Operator::Not, mut operands) if operands.len() == 1 => {
            operands.pop().unwrap_or(Operand::Null)
        }
        operand => Operand::Expression(Operator::Not, vec![operand]),
    }
}

/// What has no value where one of its operands has none.
pub(super) fn strict(operator: Operator, operands: Vec<Operand>) -> Operand {
    if operands.contains(&Operand::Null) { Operand::Null } else { Operand::Expression(operator, operands) }
}

/// The same for the question whether the whole is true, with no [`Operand::Null`] in it: what has no value
/// counts as false where truth is sought, and as true below a `not`.
pub(super) fn decided(operand: Operand, sought: bool) -> Operand {
    match operand {
        Operand::Null => Operand::truth(!sought),
        Operand::Expression(Operator::And, parts) => and(parts.into_iter().map(|part| decided(part, sought))),
        Operand::Expression(Operator::Or, parts) => or(parts.into_iter().map(|part| decided(part, sought))),
        Operand::Expression(Operator::Not, parts) => {
            parts.into_iter().next().map_or(Operand::Null, |part| not(decided(part, !sought)))
        }
        Operand::Expression(Operator::Lambda, mut parts) => {
            if let Some(body) = parts.first_mut() {
                *body = decided(std::mem::replace(body, Operand::Null), sought);
            }
            Operand::Expression(Operator::Lambda, parts)
        }
        Operand::Expression(operator @ (Operator::Exists | Operator::All), parts) => {
            Operand::Expression(operator, parts.into_iter().map(|part| decided_lambda(part, sought)).collect())
        }
        // Never true, and false where the field has a value. Said so: there are adapters that take it for
        // false of a null, too, and its opposite for true.
        Operand::Expression(Operator::In, sides) => match sides.as_slice() {
            [Operand::Field(field), Operand::List(none)] if none.is_empty() => {
                if sought {
                    Operand::truth(false)
                } else {
                    not(Operand::Has(field.clone()))
                }
            }
            // Of a list, no element is null.
            [Operand::Variable(..), Operand::List(none)] if none.is_empty() => Operand::truth(false),
            _ => Operand::Expression(Operator::In, sides),
        },
        // Truths that are compared: an `or` of both ways, of which each side has a sense again.
        Operand::Expression(operator @ (Operator::Eq | Operator::Ne), sides) if sides.iter().any(Operand::has_null) => {
            let [left, right] = match <[Operand; 2]>::try_from(sides) {
                Ok(sides) => sides,
                Err(sides) => return Operand::Expression(operator, sides),
            };
            let both =
                |right: Operand, other: Operand| or([and([left.clone(), right]), and([not(left.clone()), other])]);
            let same = match operator {
                Operator::Eq => both(right.clone(), not(right)),
                _ => both(not(right.clone()), right),
            };
            decided(same, sought)
        }
        operand => operand,
    }
}

fn decided_lambda(operand: Operand, sought: bool) -> Operand {
    match operand {
        lambda @ Operand::Expression(Operator::Lambda, _) => decided(lambda, sought),
        list => list,
    }
}
