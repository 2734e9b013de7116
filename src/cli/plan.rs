//! A plan as text, for a person: what kind it is, its condition in one line, and until when it holds.
//!
//! ```text
//! conditional
//! and(eq(record.region, "eu"), not(in(record.id, ["r-1", "r-2"])))
//! granted r-1, r-2
//! valid until 2026-11-22T12:00:00Z
//! ```
//!
//! With a filter for a database, the text of that and a line for each parameter come after these.

use prost_types::Timestamp;

use crate::core::condition::timestamp_text;
use crate::core::model::Millis;
use crate::service::proto::plan_operand::Operand;
use crate::service::proto::value::Kind;
use crate::service::proto::{PlanExpression, PlanKind, PlanOperand, PlanRecordsResponse, SqlFilter, Value};

/// The plan, without a newline at its end.
pub fn written(plan: &PlanRecordsResponse) -> String {
    let mut lines = match plan.kind() {
        PlanKind::Always => vec!["always".to_owned()],
        PlanKind::Never => {
            let reason = plan.reason().as_str_name().trim_start_matches("REASON_");
            vec![if reason == "ALLOWED" { "never".to_owned() } else { format!("never ({reason})") }]
        }
        PlanKind::Conditional | PlanKind::Unspecified => vec!["conditional".to_owned()],
    };
    lines.extend(plan.condition.as_ref().map(operand));
    if !plan.granted_record_ids.is_empty() {
        lines.push(format!("granted {}", plan.granted_record_ids.join(", ")));
    }
    lines.extend(plan.valid_until.as_ref().map(|at| format!("valid until {}", instant(at))));
    if !plan.complete {
        lines.push("incomplete: something is held at more records than are named".to_owned());
    }
    if let Some(SqlFilter { text, parameters }) = &plan.sql {
        lines.push(text.clone());
        lines.extend(parameters.iter().enumerate().map(|(at, bound)| format!("{} {}", at + 1, value(bound))));
    }
    lines.join("\n")
}

fn operand(of: &PlanOperand) -> String {
    match &of.operand {
        None => String::new(),
        Some(Operand::Value(of)) => value(of),
        Some(Operand::Variable(name)) => match name.strip_prefix("request.resource.") {
            Some(field) => format!("record.{}", field.strip_prefix("attr.").unwrap_or(field)),
            // An element in a `lambda`.
            None => name.clone(),
        },
        Some(Operand::Expression(PlanExpression { operator, operands })) => {
            let operands: Vec<String> = operands.iter().map(operand).collect();
            format!("{operator}({})", operands.join(", "))
        }
    }
}

fn instant(at: &Timestamp) -> String {
    timestamp_text(at.seconds * 1_000 + Millis::from(at.nanos / 1_000_000))
}

fn value(of: &Value) -> String {
    match &of.kind {
        None | Some(Kind::NullValue(_)) => "null".to_owned(),
        Some(Kind::BoolValue(value)) => value.to_string(),
        Some(Kind::IntValue(value)) => value.to_string(),
        Some(Kind::DoubleValue(value)) => format!("{value:?}"),
        Some(Kind::StringValue(text)) => format!("{text:?}"),
        Some(Kind::TimestampValue(at)) => format!("timestamp({:?})", instant(at)),
        Some(Kind::ListValue(list)) => {
            let values: Vec<String> = list.values.iter().map(value).collect();
            format!("[{}]", values.join(", "))
        }
    }
}
