//! A typed tree as text: canonical, and read back by [`super::check`] as the same tree.

use std::fmt::{self, Display, Formatter, Write};

use super::lex::is_name;
use super::literal::{duration_text, timestamp_text};
use super::tree::{Attribute, Collection, Constant, Expr, Kind, Many, Operator, Source, Typed};

// How tightly a node's outermost operator binds: what binds no tighter than its surroundings needs
// parentheses.
const LOOSEST: u8 = 0;
const ANY: u8 = 1;
const ALL: u8 = 2;
const RELATION: u8 = 3;
const SUM: u8 = 4;
const PRODUCT: u8 = 5;
const UNARY: u8 = 6;
const ATOM: u8 = 7;

impl Display for Typed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self.root(), f)
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.write(f, LOOSEST)
    }
}

impl Expr {
    fn binding(&self) -> u8 {
        match &self.kind {
            Kind::Any(_) => ANY,
            Kind::All(_) => ALL,
            Kind::Compare(..) | Kind::In(..) => RELATION,
            Kind::Arithmetic(_, rest) => match rest.first() {
                Some((Operator::Add | Operator::Subtract, _)) => SUM,
                _ => PRODUCT,
            },
            Kind::Not(_) | Kind::Negate(_) => UNARY,
            _ => ATOM,
        }
    }

    /// Writes it, in parentheses unless it binds tighter than `around`.
    fn write(&self, f: &mut Formatter<'_>, around: u8) -> fmt::Result {
        if self.binding() > around {
            return self.write_bare(f);
        }
        f.write_char('(')?;
        self.write_bare(f)?;
        f.write_char(')')
    }

    fn write_bare(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Constant(constant) => write!(f, "{constant}"),
            Kind::Now => f.write_str("now"),
            Kind::Read(source) => write!(f, "{source}"),
            Kind::Variable(variable) => f.write_str(&variable.name),
            Kind::Has(source) => write!(f, "has({source})"),
            Kind::Not(inner) => {
                f.write_char('!')?;
                inner.write(f, UNARY - 1)
            }
            Kind::Negate(inner) => {
                f.write_char('-')?;
                // `-5` would be read as the number.
                let literal = matches!(&inner.kind, Kind::Constant(Constant::Int(_) | Constant::Double(_)));
                if literal { write!(f, "({inner})") } else { inner.write(f, UNARY - 1) }
            }
            Kind::All(parts) => junction(f, parts, " && ", ALL),
            Kind::Any(parts) => junction(f, parts, " || ", ANY),
            Kind::Compare(comparison, sides) => {
                let [left, right] = &**sides;
                left.write(f, RELATION)?;
                write!(f, " {} ", comparison.sign())?;
                right.write(f, RELATION)
            }
            Kind::Arithmetic(first, rest) => {
                let around = self.binding();
                first.write(f, around)?;
                for (operator, operand) in rest {
                    write!(f, " {} ", operator.sign())?;
                    operand.write(f, around)?;
                }
                Ok(())
            }
            Kind::In(element, many) => {
                element.write(f, RELATION)?;
                write!(f, " in {many}")
            }
            Kind::Text(test, sides) => {
                let [whole, part] = &**sides;
                whole.write(f, UNARY)?;
                write!(f, ".{}({part})", test.name())
            }
            Kind::Length(text) => write!(f, "size({text})"),
            Kind::Count(many) => write!(f, "size({many})"),
            Kind::Quantified(quantifier, many, variable, body) => {
                write!(f, "{many}.{}({}, {body})", quantifier.name(), variable.name)
            }
        }
    }
}

fn junction(f: &mut Formatter<'_>, parts: &[Expr], sign: &str, around: u8) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(sign)?;
        }
        part.write(f, around)?;
    }
    Ok(())
}

impl Display for Many {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.collection {
            Collection::Constants(constants) => {
                f.write_char('[')?;
                for (i, constant) in constants.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    write!(f, "{comma}{constant}")?;
                }
                f.write_char(']')
            }
            Collection::Read(source) => write!(f, "{source}"),
            Collection::Groups => f.write_str("user.groups"),
            Collection::Reports(reports) => write!(f, "user.{}", reports.name()),
        }
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (path, name) = match &self.attribute {
            Attribute::Field(_, name) => ("record", &**name),
            Attribute::Record(part) => ("record", part.name()),
            Attribute::User(part) => ("user", part.name()),
            Attribute::UserAttribute(name) => ("user.attributes", &**name),
            Attribute::Channel => ("context", "channel"),
            Attribute::ContextAttribute(name) => ("context.attributes", &**name),
        };
        f.write_str(path)?;
        if is_name(name) {
            return write!(f, ".{name}");
        }
        f.write_char('[')?;
        quoted(f, name)?;
        f.write_char(']')
    }
}

impl Display for Constant {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            // `{:?}` keeps the point or the exponent that makes it a double.
            Self::Double(value) => write!(f, "{value:?}"),
            Self::String(text) => quoted(f, text),
            Self::Timestamp(ms) => write!(f, "timestamp(\"{}\")", timestamp_text(*ms)),
            Self::Duration(ms) => write!(f, "duration(\"{}\")", duration_text(*ms)),
        }
    }
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            _ if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            _ => f.write_char(c)?,
        }
    }
    f.write_char('"')
}
