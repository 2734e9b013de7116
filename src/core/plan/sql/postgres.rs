//! What PostgreSQL says in its own way.
//!
//! It raises an error, which ends the whole query, where a number is beyond its type or a divisor zero. So
//! ints and milliseconds are calculated as `numeric`, which is exact, and then held against 64 bits; and
//! doubles only after it is known, from the same operands times a power of two, that nothing will be raised.
//! `OFFSET 0` keeps it from evaluating ahead of that.

use crate::core::condition::{Constant, MAX_JOINED_BYTES, Type};
use crate::core::model::Value;

use super::super::PlanError;
use super::super::tree::Operator;
use super::{Bound, Many, Single, Speech, checked, pair, quoted};

/// Bytes of a name; of a longer one PostgreSQL leaves the end out.
const MAX_NAME_BYTES: usize = 63;
/// The years 1 to 9999, in milliseconds.
const INSTANTS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

pub struct PostgreSql;

impl Speech for PostgreSql {
    fn bind(&self, constant: &Constant, bound: &mut Bound) -> Single {
        let made = matches!(constant, Constant::Timestamp(ms) if !INSTANTS.contains(ms));
        let (value, ty) = match constant {
            Constant::Timestamp(ms) if made => (Value::Int(*ms), Type::Int),
            constant => (constant.value(), constant.ty()),
        };
        bound.push(value);
        Single { text: format!("${}::{}", bound.len(), name(ty)), ty: constant.ty(), made }
    }

    fn bind_all(&self, constants: &[Constant], of: Type, bound: &mut Bound) -> Result<Many, PlanError> {
        if constants.iter().any(|one| matches!(one, Constant::Timestamp(ms) if !INSTANTS.contains(ms))) {
            return Err(PlanError::Inexpressible("an instant outside the years 1 to 9999 in a list"));
        }
        bound.push(Value::List(constants.iter().map(Constant::value).collect()));
        Ok(Many { text: format!("${}::{}[]", bound.len(), name(of)), of, count: Some(constants.len()) })
    }

    fn name(&self, name: &str) -> Result<String, PlanError> {
        if name.len() > MAX_NAME_BYTES {
            return Err(PlanError::Inexpressible("a field whose name is longer than 63 bytes"));
        }
        Ok(quoted(name))
    }

    fn list(&self, column: &str) -> String {
        format!("(CASE WHEN array_position({column}, NULL) IS NULL THEN {column} END)")
    }

    fn fence(&self) -> &'static str {
        " OFFSET 0"
    }

    /// Texts in order are so by their bytes; whether they are the same any deterministic collation says, and
    /// an index of the column's own serves.
    fn compared(&self, sign: &str, left: &Single, right: &Single) -> String {
        match (left.ty, right.ty) {
            (Type::String, _) if !matches!(sign, "=" | "<>") => {
                format!("({} COLLATE \"C\" {sign} {})", left.text, right.text)
            }
            (Type::Timestamp, Type::Timestamp) if left.made != right.made => {
                format!("({} {sign} {})", exact(left), exact(right))
            }
            (Type::Int, Type::Double) => mixed(self, &left.text, &right.text, &format!("{sign} 0")),
            (Type::Double, Type::Int) => mixed(self, &right.text, &left.text, &format!("{} 0", turned(sign))),
            _ => format!("({} {sign} {})", left.text, right.text),
        }
    }

    fn among(&self, element: &Single, list: &Many) -> String {
        let plain = element.ty == list.of && !(element.made && element.ty == Type::Timestamp);
        if plain && list.count.is_some() {
            return format!("({} = ANY ({}))", element.text, list.text);
        }
        // `NULL = ANY ('{}')` is false.
        let found = if plain {
            "p.a = ANY (p.b)".to_owned()
        } else {
            let sought = Single { text: "p.a".to_owned(), ..element.clone() };
            let one = Single { text: "u.v".to_owned(), ty: list.of, made: false };
            format!("EXISTS (SELECT 1 FROM unnest(p.b) AS u(v) WHERE {})", self.compared("=", &sought, &one))
        };
        let body = format!("CASE WHEN p.a IS NOT NULL AND p.b IS NOT NULL THEN {found} END");
        pair(self, &element.text, &list.text, &body)
    }

    fn tested(&self, operator: Operator, whole: &str, part: &str) -> String {
        match operator {
            Operator::StartsWith => format!("starts_with({whole}, {part})"),
            Operator::EndsWith => pair(self, whole, part, "right(p.a, length(p.b)) = p.b"),
            _ => format!("(strpos({whole}, {part}) > 0)"),
        }
    }

    fn length(&self, text: &str) -> String {
        format!("length({text})::bigint")
    }

    fn count(&self, list: &Many) -> String {
        format!("cardinality({})::bigint", list.text)
    }

    fn arithmetic(&self, operator: Operator, left: &Single, right: &Single, ty: Type) -> String {
        if ty == Type::Double {
            return pair(self, &self.double(left), &self.double(right), doubles(operator));
        }
        let of = match operator {
            Operator::Sub => "p.a - p.b",
            Operator::Mult => "p.a * p.b",
            Operator::Div => "div(p.a, NULLIF(p.b, 0))",
            // One of them has no value, as the evaluation has it.
            Operator::Mod => {
                "CASE WHEN NOT (p.a = -9223372036854775808 AND p.b = -1) THEN mod(p.a, NULLIF(p.b, 0)) END"
            }
            _ => "p.a + p.b",
        };
        let value = pair(self, &exact(left), &exact(right), of);
        checked(self, &value, "t.v BETWEEN -9223372036854775808 AND 9223372036854775807")
    }

    fn joined(&self, left: &str, right: &str) -> String {
        let fits = format!("octet_length(p.a) + octet_length(p.b) <= {MAX_JOINED_BYTES}");
        pair(self, left, right, &format!("CASE WHEN {fits} THEN p.a || p.b END"))
    }

    fn elements(&self, list: &Many, name: &str) -> String {
        format!("unnest({}) AS {name}(v)", list.text)
    }

    fn element(&self, name: &str, _: Type) -> String {
        format!("{name}.v")
    }
}

impl PostgreSql {
    /// A number as a double, if it is one exactly (rule 6.3).
    fn double(&self, number: &Single) -> String {
        if number.ty == Type::Double {
            return number.text.clone();
        }
        format!("{}::float8", checked(self, &number.text, "t.v BETWEEN -9007199254740992 AND 9007199254740992"))
    }
}

/// A number of ints, or of milliseconds, that arithmetic cannot overflow.
fn exact(number: &Single) -> String {
    if number.ty == Type::Timestamp && !number.made {
        return format!("(extract(epoch FROM {}) * 1000)", number.text);
    }
    format!("({})::numeric", number.text)
}

/// How an int and a double compare, exactly: less than, greater than or as much as 0.
fn mixed(speech: &dyn Speech, int: &str, double: &str, outcome: &str) -> String {
    let order = "CASE WHEN p.a IS NULL OR p.b IS NULL THEN NULL \
        WHEN p.b >= '9223372036854775808'::float8 THEN -1 WHEN p.b < '-9223372036854775808'::float8 THEN 1 \
        WHEN p.a < floor(p.b)::bigint THEN -1 WHEN p.a > floor(p.b)::bigint THEN 1 \
        WHEN p.b > floor(p.b) THEN -1 ELSE 0 END";
    format!("({} {outcome})", pair(speech, int, double, order))
}

fn turned(sign: &str) -> &str {
    match sign {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        same => same,
    }
}

/// What two doubles make, where nothing is raised: neither beyond 2^1024, nor, of a product or a quotient, so
/// small that it becomes zero, which is then said. Numbers times a power of two are rounded alike, so the trial tells
/// exactly; but for products within one part in 2^53 above 2^-1075, which become zero here and 2^-1074 elsewhere.
fn doubles(operator: Operator) -> &'static str {
    match operator {
        // Beside a number below 2^900 none becomes infinite.
        Operator::Add => {
            "CASE WHEN abs(p.a) < '8.452712498170644e+270'::float8 OR abs(p.b) < '8.452712498170644e+270'::float8 \
             THEN p.a + p.b \
             WHEN abs(p.a * 0.5 + p.b * 0.5) < '8.98846567431158e+307'::float8 THEN p.a + p.b END"
        }
        Operator::Sub => {
            "CASE WHEN abs(p.a) < '8.452712498170644e+270'::float8 OR abs(p.b) < '8.452712498170644e+270'::float8 \
             THEN p.a - p.b \
             WHEN abs(p.a * 0.5 - p.b * 0.5) < '8.98846567431158e+307'::float8 THEN p.a - p.b END"
        }
        Operator::Mult => MULT,
        _ => DIV,
    }
}

/// Of numbers from 1 the product may be infinite, of numbers below 1 it may become zero.
const MULT: &str = "CASE WHEN p.a IS NULL OR p.b IS NULL THEN NULL WHEN p.a = 0 OR p.b = 0 THEN 0 \
    WHEN least(abs(p.a), abs(p.b)) >= 1 THEN \
    CASE WHEN (abs(p.a) * '2.913414348125081e-157'::float8) * (abs(p.b) * '2.913414348125081e-157'::float8) < '1.52587890625e-05'::float8 \
    THEN p.a * p.b END \
    WHEN greatest(abs(p.a), abs(p.b)) >= 1 OR least(abs(p.a), abs(p.b)) >= '2.2227587494850775e-162'::float8 THEN p.a * p.b \
    WHEN least(abs(p.a), abs(p.b)) * '4.4989137945431964e+161'::float8 * '8.997827589086393e+161'::float8 \
    * greatest(abs(p.a), abs(p.b)) <= 1 THEN 0 ELSE p.a * p.b END";

/// By a number below 1 the quotient may be infinite, by others it may become zero.
const DIV: &str = "CASE WHEN p.a IS NULL OR p.b IS NULL OR p.b = 0 THEN NULL WHEN p.a = 0 THEN 0 \
    WHEN abs(p.b) < 1 THEN CASE WHEN abs(p.a) < '8.881784197001252e-16'::float8 THEN p.a / p.b WHEN abs(p.a) < 1 THEN \
    CASE WHEN (abs(p.a) * '2.220446049250313e-16'::float8) / abs(p.b) < '3.99168061906944e+292'::float8 THEN p.a / p.b END \
    WHEN (abs(p.a) * '2.2227587494850775e-162'::float8) / (abs(p.b) * '4.4989137945431964e+161'::float8) \
    < '8.881784197001252e-16'::float8 THEN p.a / p.b END \
    WHEN abs(p.a) >= '4.440892098500626e-16'::float8 THEN p.a / p.b \
    WHEN (abs(p.a) * '4.4989137945431964e+161'::float8) / (abs(p.b) * '1.1113793747425387e-162'::float8) <= 1 \
    THEN 0 ELSE p.a / p.b END";

/// How PostgreSQL calls a type.
fn name(ty: Type) -> &'static str {
    match ty {
        Type::Bool => "boolean",
        Type::Int | Type::Duration => "bigint",
        Type::Double => "float8",
        Type::Timestamp => "timestamptz",
        _ => "text",
    }
}
