//! What SQLite says in its own way.
//!
//! It compares an `INTEGER` with a `REAL` exactly, makes a `REAL` of a sum that is beyond 64 bits, NULL of a
//! division by zero, and infinities of what is beyond a double. It never dissolves a subquery that selects from nothing.

use crate::core::condition::{Constant, MAX_JOINED_BYTES, Type};
use crate::core::model::Value;

use super::super::PlanError;
use super::super::tree::Operator;
use super::{Bound, Many, Single, Speech, checked, pair, quoted};

pub struct Sqlite;

impl Speech for Sqlite {
    fn bind(&self, constant: &Constant, bound: &mut Bound) -> Single {
        bound.push(value(constant));
        Single { text: format!("?{}", bound.len()), ty: constant.ty(), made: false }
    }

    /// As JSON, but for doubles: what SQLite reads of one in JSON may be its neighbour.
    fn bind_all(&self, constants: &[Constant], of: Type, bound: &mut Bound) -> Result<Many, PlanError> {
        let text = if of == Type::Double {
            let rows: Vec<String> = constants.iter().map(|one| format!("({})", self.bind(one, bound).text)).collect();
            format!("(SELECT column1 AS value FROM (VALUES {}))", rows.join(", "))
        } else {
            bound.push(Value::String(json(constants)));
            format!("json_each(?{})", bound.len())
        };
        Ok(Many { text, of, count: Some(constants.len()) })
    }

    fn name(&self, name: &str) -> Result<String, PlanError> {
        Ok(quoted(name))
    }

    fn list(&self, column: &str) -> String {
        format!(
            "(CASE WHEN NOT EXISTS (SELECT 1 FROM json_each({column}) AS n WHERE n.type = 'null') THEN {column} END)"
        )
    }

    fn fence(&self) -> &'static str {
        ""
    }

    /// By bytes, whatever the column's collation.
    fn compared(&self, sign: &str, left: &Single, right: &Single) -> String {
        let collation = if left.ty == Type::String { " COLLATE BINARY" } else { "" };
        format!("({}{collation} {sign} {})", left.text, right.text)
    }

    fn among(&self, element: &Single, list: &Many) -> String {
        let collation = if element.ty == Type::String { " COLLATE BINARY" } else { "" };
        match list.count {
            Some(_) => format!("({}{collation} IN (SELECT value FROM {}))", element.text, list.text),
            // `NULL IN ()` is false.
            None => {
                let found = format!("p.a{collation} IN (SELECT value FROM json_each(p.b))");
                let body = format!("CASE WHEN p.a IS NOT NULL AND p.b IS NOT NULL THEN {found} END");
                pair(self, &element.text, &list.text, &body)
            }
        }
    }

    fn tested(&self, operator: Operator, whole: &str, part: &str) -> String {
        match operator {
            Operator::StartsWith => pair(self, whole, part, "substr(p.a, 1, length(p.b)) COLLATE BINARY = p.b"),
            Operator::EndsWith => {
                pair(self, whole, part, "substr(p.a, length(p.a) - length(p.b) + 1) COLLATE BINARY = p.b")
            }
            _ => format!("(instr({whole}, {part}) > 0)"),
        }
    }

    fn length(&self, text: &str) -> String {
        format!("length({text})")
    }

    fn count(&self, list: &Many) -> String {
        format!("json_array_length({})", list.text)
    }

    fn arithmetic(&self, operator: Operator, left: &Single, right: &Single, ty: Type) -> String {
        let sign = match operator {
            Operator::Sub => "-",
            Operator::Mult => "*",
            Operator::Div => "/",
            Operator::Mod => "%",
            _ => "+",
        };
        if ty == Type::Double {
            // Of infinities the difference is NULL.
            return checked(self, &format!("({} {sign} {})", self.double(left), self.double(right)), "t.v - t.v = 0");
        }
        if operator == Operator::Mod {
            // SQLite has 0 for it, and the evaluation no value.
            let body = format!("CASE WHEN NOT (p.a = {LEAST} AND p.b = -1) THEN p.a % p.b END");
            return pair(self, &left.text, &right.text, &body);
        }
        checked(self, &format!("({} {sign} {})", left.text, right.text), "typeof(t.v) = 'integer'")
    }

    fn joined(&self, left: &str, right: &str) -> String {
        let bytes = |side: &str| format!("length(CAST({side} AS BLOB))");
        let fits = format!("{} + {} <= {MAX_JOINED_BYTES}", bytes("p.a"), bytes("p.b"));
        pair(self, left, right, &format!("CASE WHEN {fits} THEN p.a || p.b END"))
    }

    fn elements(&self, list: &Many, name: &str) -> String {
        match list.count {
            Some(_) => format!("{} AS {name}", list.text),
            None => format!("json_each({}) AS {name}", list.text),
        }
    }

    /// JSON may have a double as `2`.
    fn element(&self, name: &str, of: Type) -> String {
        if of == Type::Double { format!("CAST({name}.value AS REAL)") } else { format!("{name}.value") }
    }
}

impl Sqlite {
    /// A number as a double, if it is one exactly (rule 6.3).
    fn double(&self, number: &Single) -> String {
        if number.ty == Type::Double {
            return number.text.clone();
        }
        let exact = checked(self, &number.text, "t.v BETWEEN -9007199254740992 AND 9007199254740992");
        format!("CAST({exact} AS REAL)")
    }
}

/// -2^63, which as a literal would be a `REAL`.
const LEAST: &str = "(-9223372036854775807 - 1)";

fn value(constant: &Constant) -> Value {
    match constant.value() {
        Value::Timestamp(ms) => Value::Int(ms),
        value => value,
    }
}

fn json(constants: &[Constant]) -> String {
    let one = |constant: &Constant| match value(constant) {
        Value::Bool(truth) => serde_json::Value::from(truth),
        Value::Int(number) => serde_json::Value::from(number),
        Value::String(text) => serde_json::Value::from(text),
        _ => serde_json::Value::Null,
    };
    constants.iter().map(one).collect::<serde_json::Value>().to_string()
}
