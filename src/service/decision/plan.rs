//! `PlanRecords`: a filter for the caller's database (rule 6.6).

use std::collections::BTreeSet;

use crate::core::condition::{Constant, duration_text};
use crate::core::decision::Reason;
use crate::core::model::{Millis, Value};
use crate::core::plan::{DURATION, Dialect, Field, Filter, Operand, Plan, PlanError, Sql, plan, sql};
use crate::core::table::Table;
use crate::engine::ReadError;

use super::super::convert::value::{to_timestamp, to_value};
use super::super::fields::Fields;
use super::super::proto::plan_operand::Operand as Sent;
use super::super::proto::{
    PlanExpression, PlanKind, PlanOperand, PlanRecordsRequest, PlanRecordsResponse, Resource, SqlDialect, SqlFilter,
};
use super::super::refusal::Refusal;
use super::super::report::revision_of;
use super::super::status::Failure;
use super::filter::moved;
use super::question::{self, Asked};
use super::to_reason;

/// Operators that a caller may name.
const MAX_OPERATORS: usize = 100;
const NULL: Value = Value::Null;

/// The answer, at one version.
///
/// # Errors
/// As those of `Authorize`; a condition that no filter, or not the database's, says; an operator that the
/// caller cannot run.
#[allow(clippy::result_large_err, reason = "an error is made once for a call that fails")]
pub fn answer(table: &Table, message: &PlanRecordsRequest, now: Millis) -> Result<PlanRecordsResponse, Failure> {
    let PlanRecordsRequest {
        organization: _,
        principal,
        permission,
        account,
        object,
        context,
        min_revision: _,
        operators,
        sql_dialect,
    } = message;
    let mut fields = Fields::default();
    fields.at_most("operators", operators.len(), MAX_OPERATORS);
    let dialect = fields.choice::<SqlDialect>("sql_dialect", *sql_dialect).flatten();
    let resource = Resource { account: account.clone(), object: object.clone(), record: None };
    let asked = Asked::new(&mut fields, principal, permission, Some(&resource), context.as_ref());
    let planned = match plan(table, &asked.question, now) {
        Err(PlanError::Question(problems)) => Err(ReadError::Problems(problems.iter().map(moved).collect())),
        planned => Ok(planned),
    };
    if !fields.is_empty() {
        return Err(question::malformed(fields, planned.err(), &asked.question));
    }
    let planned = planned.map_err(|error| question::failure(error, &asked.question))?;
    let planned = planned.map_err(Refusal::NoPlan)?;
    if let Some(operator) = lacking(&planned, operators) {
        return Err(Refusal::PlanOperator(operator).into());
    }
    let sql = dialect.and_then(to_dialect).map(|dialect| sql(&planned.filter, dialect)).transpose();
    let sql = sql
        .map_err(Refusal::NoPlan)?
        .map(|Sql { text, parameters }| SqlFilter { text, parameters: parameters.into_iter().map(to_value).collect() });
    Ok(PlanRecordsResponse { revision: Some(revision_of(table)), sql, ..reply(&planned, now) })
}

/// The numbers of the permissions that a plan may come to allow. Which records the caller's database finds
/// is not known, so that one with a twin counts together with it (rule 4.6).
pub fn allowed(
    table: &Table,
    message: &PlanRecordsRequest,
    answered: &PlanRecordsResponse,
) -> impl Iterator<Item = u32> + use<> {
    let nothing = answered.kind() == PlanKind::Never && answered.granted_record_ids.is_empty();
    let asked = table.permission(&message.permission).filter(|_| !nothing);
    asked.into_iter().flat_map(|permission| [Some(permission.number), permission.when_not_owner]).flatten()
}

fn to_dialect(dialect: SqlDialect) -> Option<Dialect> {
    match dialect {
        SqlDialect::Unspecified => None,
        SqlDialect::Postgresql => Some(Dialect::PostgreSql),
        SqlDialect::Sqlite => Some(Dialect::Sqlite),
    }
}

/// Without the revision that it is based on, and as a tree only.
fn reply(planned: &Plan, now: Millis) -> PlanRecordsResponse {
    let Plan { filter, granted, valid_until, complete } = planned;
    let (kind, condition, reason) = match filter {
        Filter::Always => (PlanKind::Always, None, Reason::Allowed),
        Filter::Never(reason) => (PlanKind::Never, None, *reason),
        Filter::Conditional(condition) => (PlanKind::Conditional, Some(to_operand(condition)), Reason::Allowed),
    };
    PlanRecordsResponse {
        kind: kind.into(),
        condition,
        granted_record_ids: granted.clone(),
        reason: to_reason(reason).into(),
        evaluated_at: Some(to_timestamp(now)),
        revision: None,
        staleness: None,
        valid_until: valid_until.map(to_timestamp),
        complete: *complete,
        sql: None,
    }
}

/// An operator of the plan that is not among those named; of none named, none.
fn lacking(planned: &Plan, operators: &[String]) -> Option<&'static str> {
    let Filter::Conditional(condition) = &planned.filter else { return None };
    let mut needed = BTreeSet::new();
    condition.each_operator(&mut |operator| {
        needed.insert(operator);
    });
    needed.into_iter().find(|needed| !operators.is_empty() && operators.iter().all(|operator| operator != needed))
}

fn to_operand(operand: &Operand) -> PlanOperand {
    let of = |operand| PlanOperand { operand: Some(operand) };
    let expression =
        |operator: &str, operands| of(Sent::Expression(PlanExpression { operator: operator.to_owned(), operands }));
    let value = |value| of(Sent::Value(to_value(value)));
    match operand {
        Operand::Null => value(NULL),
        Operand::Value(Constant::Duration(ms)) => expression(DURATION, vec![value(Value::String(duration_text(*ms)))]),
        Operand::Value(constant) => value(constant.value()),
        Operand::List(constants) => value(Value::List(constants.iter().map(Constant::value).collect())),
        Operand::Field(field) => of(Sent::Variable(variable(field))),
        Operand::Has(field) => expression("ne", vec![of(Sent::Variable(variable(field))), value(NULL)]),
        Operand::Variable(name, _) => of(Sent::Variable(name.to_string())),
        Operand::Expression(operator, operands) => {
            expression(operator.name(), operands.iter().map(to_operand).collect())
        }
    }
}

fn variable(field: &Field) -> String {
    if &*field.name == "id" {
        "request.resource.id".to_owned()
    } else {
        format!("request.resource.attr.{}", field.name)
    }
}
