//! Conditions as trees: the generator makes them, an organization file has them as text, the oracle asks them.
//!
//! A tree says itself in CEL with `to_string` and evaluates itself with `holds`, by 6.3: a missing value is an error, and
//! so is a comparison of values of different kinds; `&&` and `||` overlook an error where the other side decides.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

/// A value of an attribute, as it is sent with a question, stored with a user, or written in a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    String(String),
    Timestamp(i64), // milliseconds since the epoch
    List(Vec<Attribute>),
}

/// What a condition may read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Path {
    Record(String),
    User(String),
    UserAttribute(String),
    Channel,
    ContextAttribute(String),
}

/// Everything that is there to be read; null is not there.
pub struct Facts {
    pub values: BTreeMap<Path, Attribute>,
    pub now_ms: i64,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    Always(bool),
    Is(Term),
    Compare(Term, Comparison, Term),
    In(Term, Term),
    Has(Path),
    Text(Term, TextTest, Term),
    /// `list.exists(x, …)`
    Exists(Term, Box<Condition>),
    /// `list.all(x, …)`
    All(Term, Box<Condition>),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    /// Round brackets that nothing needs.
    Brackets(Box<Condition>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    Literal(Attribute),
    Read(Path),
    /// The variable of the nearest `exists` or `all`.
    Item,
    Size(Path),
    /// `now`, and so many milliseconds.
    Now(i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

// ---- evaluation ---------------------------------------------------------------------------------------------------

impl Condition {
    /// 6.3: true, false, or `None` for an error.
    pub fn holds(&self, facts: &Facts) -> Option<bool> {
        self.evaluate(facts, None)
    }

    fn evaluate(&self, facts: &Facts, item: Option<&Attribute>) -> Option<bool> {
        match self {
            Condition::Always(answer) => Some(*answer),
            Condition::Is(term) => match term.value(facts, item)? {
                Attribute::Bool(answer) => Some(answer),
                _ => None,
            },
            Condition::Compare(left, comparison, right) => {
                compare(&left.value(facts, item)?, *comparison, &right.value(facts, item)?)
            }
            Condition::In(needle, hay) => {
                let (needle, hay) = (needle.value(facts, item)?, hay.value(facts, item)?);
                any(list(hay)?.iter().map(|one| compare(&needle, Comparison::Equal, one)))
            }
            Condition::Has(path) => Some(facts.values.contains_key(path)),
            Condition::Text(text, test, part) => match (text.value(facts, item)?, part.value(facts, item)?) {
                (Attribute::String(text), Attribute::String(part)) => Some(match test {
                    TextTest::StartsWith => text.starts_with(&part),
                    TextTest::EndsWith => text.ends_with(&part),
                    TextTest::Contains => text.contains(&part),
                }),
                _ => None,
            },
            Condition::Exists(of, predicate) => {
                any(list(of.value(facts, item)?)?.iter().map(|one| predicate.evaluate(facts, Some(one))))
            }
            Condition::All(of, predicate) => {
                all(list(of.value(facts, item)?)?.iter().map(|one| predicate.evaluate(facts, Some(one))))
            }
            Condition::Not(condition) => condition.evaluate(facts, item).map(|answer| !answer),
            Condition::And(left, right) => all([left.evaluate(facts, item), right.evaluate(facts, item)]),
            Condition::Or(left, right) => any([left.evaluate(facts, item), right.evaluate(facts, item)]),
            Condition::Brackets(condition) => condition.evaluate(facts, item),
        }
    }
}

/// True if one is; else an error if one is.
fn any(of: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    let of: Vec<Option<bool>> = of.into_iter().collect();
    if of.contains(&Some(true)) {
        return Some(true);
    }
    if of.contains(&None) { None } else { Some(false) }
}

/// False if one is; else an error if one is.
fn all(of: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
    any(of.into_iter().map(|one| one.map(|one| !one))).map(|one_is_false| !one_is_false)
}

fn list(value: Attribute) -> Option<Vec<Attribute>> {
    match value {
        Attribute::List(items) => Some(items),
        _ => None,
    }
}

/// Whole and other numbers compare as numbers, strings by their code points; false and true have no order.
fn compare(left: &Attribute, comparison: Comparison, right: &Attribute) -> Option<bool> {
    use Attribute::{Bool, Double, Int, String, Timestamp};
    let order = match (left, right) {
        (Bool(left), Bool(right)) if matches!(comparison, Comparison::Equal | Comparison::NotEqual) => left.cmp(right),
        (Int(left), Int(right)) => left.cmp(right),
        (Double(left), Double(right)) => left.partial_cmp(right)?,
        (Int(left), Double(right)) => (*left as f64).partial_cmp(right)?,
        (Double(left), Int(right)) => left.partial_cmp(&(*right as f64))?,
        (String(left), String(right)) => left.cmp(right),
        (Timestamp(left), Timestamp(right)) => left.cmp(right),
        _ => return None,
    };
    Some(match comparison {
        Comparison::Equal => order == Ordering::Equal,
        Comparison::NotEqual => order != Ordering::Equal,
        Comparison::Less => order == Ordering::Less,
        Comparison::LessOrEqual => order != Ordering::Greater,
        Comparison::Greater => order == Ordering::Greater,
        Comparison::GreaterOrEqual => order != Ordering::Less,
    })
}

impl Term {
    fn value(&self, facts: &Facts, item: Option<&Attribute>) -> Option<Attribute> {
        match self {
            Term::Literal(value) => Some(value.clone()),
            Term::Read(path) => facts.values.get(path).cloned(),
            Term::Item => item.cloned(),
            Term::Size(path) => list(facts.values.get(path)?.clone()).map(|items| Attribute::Int(items.len() as i64)),
            Term::Now(later_ms) => Some(Attribute::Timestamp(facts.now_ms + later_ms)),
        }
    }
}

// ---- as text ------------------------------------------------------------------------------------------------------

impl fmt::Display for Condition {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Condition::Always(answer) => write!(out, "{answer}"),
            Condition::Is(term) => write!(out, "{term}"),
            Condition::Compare(left, comparison, right) => write!(out, "{left} {comparison} {right}"),
            Condition::In(needle, hay) => write!(out, "{needle} in {hay}"),
            Condition::Has(path) => write!(out, "has({path})"),
            Condition::Text(text, test, part) => write!(out, "{text}.{test}({part})"),
            Condition::Exists(of, predicate) => write!(out, "{of}.exists(x, {predicate})"),
            Condition::All(of, predicate) => write!(out, "{of}.all(x, {predicate})"),
            Condition::Not(condition) => write!(out, "!{}", Bound(condition, 4)),
            Condition::And(left, right) => write!(out, "{} && {}", Bound(left, 2), Bound(right, 3)),
            Condition::Or(left, right) => write!(out, "{} || {}", Bound(left, 1), Bound(right, 2)),
            Condition::Brackets(condition) => write!(out, "({condition})"),
        }
    }
}

/// A condition where something binds with this strength: in brackets if it would fall apart.
struct Bound<'c>(&'c Condition, u8);

impl fmt::Display for Bound<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let strength = match self.0 {
            Condition::Or(..) => 1,
            Condition::And(..) => 2,
            Condition::Compare(..) | Condition::In(..) => 3,
            _ => 4,
        };
        if strength < self.1 { write!(out, "({})", self.0) } else { write!(out, "{}", self.0) }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Term::Literal(value) => write!(out, "{value}"),
            Term::Read(path) => write!(out, "{path}"),
            Term::Item => write!(out, "x"),
            Term::Size(path) => write!(out, "size({path})"),
            Term::Now(0) => write!(out, "now"),
            Term::Now(later_ms) if *later_ms < 0 => write!(out, "now - duration(\"{}\")", duration(-later_ms)),
            Term::Now(later_ms) => write!(out, "now + duration(\"{}\")", duration(*later_ms)),
        }
    }
}

/// In the largest unit that fits: `2h`, `90m`, `1s`, `1ms`.
fn duration(ms: i64) -> String {
    let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let (unit_ms, unit) = units.into_iter().find(|(unit_ms, _)| ms % unit_ms == 0).expect("a millisecond fits");
    format!("{}{unit}", ms / unit_ms)
}

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Path::Record(name) => write!(out, "record.{name}"),
            Path::User(name) => write!(out, "user.{name}"),
            Path::UserAttribute(name) => write!(out, "user.attributes.{name}"),
            Path::Channel => write!(out, "context.channel"),
            Path::ContextAttribute(name) => write!(out, "context.attributes.{name}"),
        }
    }
}

/// As a literal.
impl fmt::Display for Attribute {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Attribute::Null => write!(out, "null"),
            Attribute::Bool(value) => write!(out, "{value}"),
            Attribute::Int(value) => write!(out, "{value}"),
            Attribute::Double(value) => write!(out, "{value:?}"),
            Attribute::String(value) => write!(out, "{}", quoted(value)),
            Attribute::Timestamp(ms) => {
                write!(out, "timestamp(\"{}\")", jiff::Timestamp::from_millisecond(*ms).expect("an instant"))
            }
            Attribute::List(items) => {
                let items: Vec<String> = items.iter().map(Attribute::to_string).collect();
                write!(out, "[{}]", items.join(", "))
            }
        }
    }
}

/// In single quotes, unless the text has some.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for character in text.chars() {
        if character == '\\' || character == quote {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push(quote);
    quoted
}

impl fmt::Display for Comparison {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Comparison::Equal => "==",
            Comparison::NotEqual => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        })
    }
}

impl fmt::Display for TextTest {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            TextTest::StartsWith => "startsWith",
            TextTest::EndsWith => "endsWith",
            TextTest::Contains => "contains",
        })
    }
}
