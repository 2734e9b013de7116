//! A plan in the envelope of Cerbos' `PlanResources`: only what things are called differs, the tree is as it was.

use doorward::core::condition::timestamp_text;
use doorward::service::proto::plan_operand::Operand;
use doorward::service::proto::value::Kind;
use doorward::service::proto::{PlanExpression, PlanKind, PlanOperand, PlanRecordsResponse, Value};
use serde_json::{Value as Json, json};

/// The reply as JSON.
pub fn reply(planned: &PlanRecordsResponse) -> Json {
    let kind = match planned.kind() {
        PlanKind::Always => "KIND_ALWAYS_ALLOWED",
        PlanKind::Never => "KIND_ALWAYS_DENIED",
        PlanKind::Conditional => "KIND_CONDITIONAL",
        PlanKind::Unspecified => panic!("a plan is of no kind"),
    };
    let mut filter = json!({"kind": kind});
    if let Some(condition) = &planned.condition {
        filter["condition"] = operand(condition);
    }
    json!({"requestId": "", "action": "read", "resourceKind": "record", "policyVersion": "default", "filter": filter})
}

fn operand(sent: &PlanOperand) -> Json {
    match sent.operand.as_ref().unwrap() {
        Operand::Value(value) => json!({"value": self::value(value)}),
        Operand::Variable(name) => json!({"variable": name}),
        Operand::Expression(PlanExpression { operator, operands }) => {
            let operands: Vec<Json> = operands.iter().map(operand).collect();
            json!({"expression": {"operator": operator, "operands": operands}})
        }
    }
}

/// As JSON has it: an instant as RFC 3339.
fn value(sent: &Value) -> Json {
    match sent.kind.as_ref().unwrap() {
        Kind::NullValue(_) => Json::Null,
        Kind::BoolValue(value) => json!(value),
        Kind::IntValue(value) => json!(value),
        Kind::DoubleValue(value) => json!(value),
        Kind::StringValue(text) => json!(text),
        Kind::TimestampValue(at) => json!(timestamp_text(at.seconds * 1_000 + i64::from(at.nanos) / 1_000_000)),
        Kind::ListValue(list) => list.values.iter().map(value).collect(),
    }
}

/// Where `cerbos-sqlalchemy` 0.4.0 is known to pass other records than the plan says.
pub fn sqlalchemy_differs(condition: &PlanOperand) -> Option<&'static str> {
    any(condition, &is_in_nothing).then_some("`in` of nothing")
}

/// Where `@cerbos/orm-prisma` 2.0.1, or the client below it, is known to.
pub fn prisma_differs(condition: &PlanOperand) -> Option<&'static str> {
    if any(condition, &is_in_nothing) {
        return Some("`in` of nothing");
    }
    if any(condition, &is_turned) {
        return Some("the value comes first");
    }
    if any(condition, &has_long_double) {
        return Some("a double of more than 15 digits");
    }
    if any(condition, &has_long_int) {
        return Some("an int beyond 2^53");
    }
    any(condition, &has_wildcard).then_some("a text test of a wildcard")
}

/// Whether somewhere in the tree such an expression stands.
fn any(operand: &PlanOperand, of: &impl Fn(&PlanExpression) -> bool) -> bool {
    let Some(Operand::Expression(expression)) = &operand.operand else { return false };
    of(expression) || expression.operands.iter().any(|operand| any(operand, of))
}

/// `in` of a list with nothing in it: it is false for a null in both adapters (`_in` of query.py; Prisma's
/// `in: []`), so that its opposite is true. A plan has no value there, and passes no such record.
fn is_in_nothing(expression: &PlanExpression) -> bool {
    let empty = |operand: &PlanOperand| match constant(operand) {
        Some(Kind::ListValue(list)) => list.values.is_empty(),
        _ => false,
    };
    expression.operator == "in" && expression.operands.iter().any(empty)
}

/// `1 < field`: orm-prisma takes it for `field < 1`, and `'a'.contains(field)` for `field.contains('a')`
/// (`operands.find` in its index.js).
fn is_turned(expression: &PlanExpression) -> bool {
    let directed = ["lt", "le", "gt", "ge", "contains", "startsWith", "endsWith"];
    directed.contains(&&*expression.operator) && constant(&expression.operands[0]).is_some()
}

/// Prisma does not escape `%`, `_` and `\` in the patterns that it makes.
fn has_wildcard(expression: &PlanExpression) -> bool {
    let wild = |operand: &PlanOperand| match constant(operand) {
        Some(Kind::StringValue(text)) => text.contains(['%', '_', '\\']),
        _ => false,
    };
    ["contains", "startsWith", "endsWith"].contains(&&*expression.operator) && expression.operands.iter().any(wild)
}

/// Prisma's client takes 2.0000000000000004 for 2 on its way to the database.
fn has_long_double(expression: &PlanExpression) -> bool {
    has_value(
        expression,
        &|kind| matches!(kind, Kind::DoubleValue(value) if format!("{value:.14e}").parse() != Ok(*value)),
    )
}

/// JavaScript's numbers are doubles: a reply in JSON with 2^53 + 1 is read there as 2^53.
fn has_long_int(expression: &PlanExpression) -> bool {
    has_value(expression, &|kind| matches!(kind, Kind::IntValue(value) if value.unsigned_abs() > 1 << 53))
}

/// Whether an operand is such a value, or a list with one.
fn has_value(expression: &PlanExpression, such: &impl Fn(&Kind) -> bool) -> bool {
    fn has(kind: Option<&Kind>, such: &impl Fn(&Kind) -> bool) -> bool {
        match kind {
            Some(Kind::ListValue(list)) => list.values.iter().any(|value| has(value.kind.as_ref(), such)),
            Some(kind) => such(kind),
            None => false,
        }
    }
    expression.operands.iter().any(|operand| has(constant(operand), such))
}

fn constant(operand: &PlanOperand) -> Option<&Kind> {
    match &operand.operand {
        Some(Operand::Value(value)) => value.kind.as_ref(),
        _ => None,
    }
}
