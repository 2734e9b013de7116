//! PlanRecords.

use super::*;

async fn world() -> World {
    let world = World::acme().await;
    world.user("ana").await;
    world.object("vendor-risk").await;
    let target = Target { object: "vendor-risk".into(), record: "r-1".into(), ..Target::default() };
    world.assign("content-viewer", "user:ana", Some(target)).await;
    world
}

fn request(permission: &str) -> PlanRecordsRequest {
    PlanRecordsRequest {
        organization: "acme".into(),
        principal: "user:ana".into(),
        permission: permission.into(),
        object: "vendor-risk".into(),
        ..PlanRecordsRequest::default()
    }
}

fn value(kind: value::Kind) -> PlanOperand {
    PlanOperand { operand: Some(plan_operand::Operand::Value(Value { kind: Some(kind) })) }
}

#[tokio::test]
async fn a_plan_is_named_and_shaped_as_those_of_cerbos() {
    let world = world().await;
    let plan = |request| world.decisions.plan_records(by(request));
    let reply = ok(plan(request("records.read")).await);
    assert_eq!((reply.kind(), reply.reason(), reply.complete), (PlanKind::Conditional, Reason::Allowed, true));
    assert_eq!(reply.granted_record_ids, ["r-1"]);
    assert_eq!((reply.valid_until, reply.revision.unwrap().number), (None, world.revision().await));
    let id = PlanOperand { operand: Some(plan_operand::Operand::Variable("request.resource.id".into())) };
    let text = Value { kind: Some(value::Kind::StringValue("r-1".into())) };
    let ids = value(value::Kind::ListValue(ValueList { values: vec![text] }));
    // It is held there, and by that it is visible.
    let condition = PlanExpression { operator: "in".into(), operands: vec![id, ids] };
    let condition = PlanOperand { operand: Some(plan_operand::Operand::Expression(condition)) };
    assert_eq!(reply.condition, Some(condition));
    // Nobody, and nothing to see.
    let nobody = ok(plan(PlanRecordsRequest { principal: "nobody".into(), ..request("records.read") }).await);
    assert_eq!((nobody.kind(), nobody.reason(), nobody.condition), (PlanKind::Never, Reason::PrincipalUnknown, None));
    let other = ok(plan(PlanRecordsRequest { principal: "bob".into(), ..request("") }).await);
    assert_eq!(other.kind(), PlanKind::Never);
}

#[tokio::test]
async fn what_the_caller_cannot_run_is_named() {
    let world = world().await;
    let plan = |operators: &[&str]| {
        let operators = operators.iter().map(|o| (*o).to_owned()).collect();
        world.decisions.plan_records(by(PlanRecordsRequest { operators, ..request("records.read") }))
    };
    ok(plan(&["and", "in"]).await);
    ok(plan(&[]).await);
    let lacking = plan(&["and", "or", "eq"]).await;
    assert!(lacking.as_ref().is_err_and(|status| status.message().contains("`in`")), "{lacking:?}");
    assert_eq!(refused(lacking), (Code::FailedPrecondition, "OPERATOR_NOT_SUPPORTED".to_owned()));
}

#[tokio::test]
async fn what_is_wrong_with_the_question_is_told_as_elsewhere() {
    let world = world().await;
    let plan = |request| world.decisions.plan_records(by(request));
    let is = |code, reason: &str| (code, reason.to_owned());
    assert_eq!(refused(plan(request("no.such")).await), is(Code::InvalidArgument, "UNKNOWN_PERMISSION"));
    let without = PlanRecordsRequest { object: String::new(), ..request("records.read") };
    assert_eq!(fields(plan(without).await), ["object"]);
    let unknown = PlanRecordsRequest { object: "nope".into(), ..request("") };
    assert_eq!(refused(plan(unknown).await), is(Code::NotFound, "UNKNOWN_OBJECT"));
    let unknown = PlanRecordsRequest { organization: "nope".into(), ..request("") };
    assert_eq!(refused(plan(unknown).await), is(Code::NotFound, "UNKNOWN_ORGANIZATION"));
    let many = PlanRecordsRequest { operators: vec!["eq".into(); 101], ..request("") };
    assert_eq!(fields(plan(many).await), ["operators"]);
}

#[tokio::test]
async fn a_database_has_the_filter_as_sql_on_request() {
    let world = world().await;
    let plan = |dialect: SqlDialect| {
        let sql_dialect = dialect.into();
        world.decisions.plan_records(by(PlanRecordsRequest { sql_dialect, ..request("records.read") }))
    };
    assert_eq!(ok(plan(SqlDialect::Unspecified).await).sql, None);
    let text = |text: &str| Value { kind: Some(value::Kind::StringValue(text.into())) };
    let list = Value { kind: Some(value::Kind::ListValue(ValueList { values: vec![text("r-1")] })) };
    let postgres = ok(plan(SqlDialect::Postgresql).await).sql.unwrap();
    assert_eq!((postgres.text.as_str(), postgres.parameters), (r#"(record."id" = ANY ($1::text[]))"#, vec![list]));
    let sqlite = ok(plan(SqlDialect::Sqlite).await).sql.unwrap();
    assert_eq!(sqlite.parameters, [text(r#"["r-1"]"#)]);
    // Whatever its kind.
    let request = PlanRecordsRequest { sql_dialect: 2, principal: "nobody".into(), ..request("records.read") };
    let nobody = ok(world.decisions.plan_records(by(request)).await);
    assert_eq!(nobody.sql.map(|sql| sql.text), Some("FALSE".to_owned()));
    let unknown = PlanRecordsRequest { sql_dialect: 7, ..self::request("records.read") };
    let unknown = world.decisions.plan_records(by(unknown)).await;
    assert!(unknown.as_ref().is_err_and(|status| status.code() == tonic::Code::InvalidArgument), "{unknown:?}");
}
