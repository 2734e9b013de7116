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

/// Whether somewhere in the tree such an expression stands.
pub fn any(operand: &PlanOperand, of: &impl Fn(&PlanExpression) -> bool) -> bool {
    let Some(Operand::Expression(expression)) = &operand.operand else { return false };
    of(expression) || expression.operands.iter().any(|operand| any(operand, of))
}

/// `in` of a list with nothing in it.
pub fn is_in_nothing(expression: &PlanExpression) -> bool {
    let empty = |operand: &PlanOperand| match &operand.operand {
        Some(Operand::Value(Value { kind: Some(Kind::ListValue(list)) })) => list.values.is_empty(),
        _ => false,
    };
    expression.operator == "in" && expression.operands.iter().any(empty)
}
