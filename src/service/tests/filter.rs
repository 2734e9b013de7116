//! FilterRecords.

use std::time::{Duration, Instant};

use super::*;

async fn shared() -> World {
    let world = World::acme().await;
    world.user("ana").await;
    world.object("vendor-risk").await;
    for id in ["r-1", "r-3"] {
        let target = Target { object: "vendor-risk".into(), record: id.into(), ..Target::default() };
        world.assign("content-viewer", "user:ana", Some(target)).await;
    }
    world
}

fn record(id: &str) -> Record {
    Record { id: id.into(), ..Record::default() }
}

fn request(permission: &str, ids: &[&str]) -> FilterRecordsRequest {
    FilterRecordsRequest {
        organization: "acme".into(),
        principal: "user:ana".into(),
        permission: permission.into(),
        object: "vendor-risk".into(),
        records: ids.iter().map(|id| record(id)).collect(),
        ..FilterRecordsRequest::default()
    }
}

fn value(kind: value::Kind) -> Value {
    Value { kind: Some(kind) }
}

#[tokio::test]
async fn the_records_that_pass_come_in_the_order_given_by_position_and_id() {
    let world = shared().await;
    let filter = |request| world.decisions.filter_records(by(request));
    let reply = ok(filter(request("records.read", &["r-3", "r-2", "r-1"])).await);
    assert_eq!((reply.positions, reply.record_ids), (vec![0, 2], vec!["r-3".to_owned(), "r-1".to_owned()]));
    assert_eq!((reply.reason, reply.revision.unwrap().number), (Reason::Allowed.into(), world.revision().await));
    // Without a permission: what can be seen. By position only, if so asked.
    let seen = FilterRecordsRequest { positions_only: true, ..request("", &["r-2", "r-1"]) };
    let reply = ok(filter(seen).await);
    assert_eq!((reply.positions, reply.record_ids), (vec![1], vec![]));
    // More than are answered at once.
    let many: Vec<String> = (0..1_000).map(|n| format!("r-{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(ok(filter(request("records.read", &many)).await).positions, [1, 3]);
    let nobody = FilterRecordsRequest { principal: "nobody".into(), ..request("records.read", &["r-1"]) };
    let reply = ok(filter(nobody).await);
    assert_eq!((reply.positions, reply.reason), (vec![], Reason::PrincipalUnknown.into()));
    assert_eq!(ok(filter(request("", &[])).await).reason(), Reason::Allowed);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_with_its_place_and_nothing_is_filtered() {
    let world = shared().await;
    let filter = |request| world.decisions.filter_records(by(request));
    let is = |code, reason: &str| (code, reason.to_owned());
    let unknown = FilterRecordsRequest { organization: "nope".into(), ..request("", &["r-1"]) };
    assert_eq!(refused(filter(unknown).await), is(Code::NotFound, "UNKNOWN_ORGANIZATION"));
    let unknown = FilterRecordsRequest { object: "nope".into(), ..request("", &["r-1"]) };
    assert_eq!(refused(filter(unknown).await), is(Code::NotFound, "UNKNOWN_OBJECT"));
    assert_eq!(refused(filter(request("no.such", &["r-1"])).await), is(Code::InvalidArgument, "UNKNOWN_PERMISSION"));
    let none = FilterRecordsRequest { object: String::new(), ..request("", &["r-1"]) };
    assert_eq!(fields(filter(none).await), ["object"]);
    let columns = FilterRecordsRequest { columns: Some(RecordColumns::default()), ..request("", &[]) };
    assert_eq!(fields(filter(columns).await), ["columns.ids"]);

    let mut wrong = request("records.read", &["r-1", "", "r-1", "r-4"]);
    wrong.records[1].account = "nowhere".into();
    wrong.records[3].attributes = [
        ("a".to_owned(), value(value::Kind::DoubleValue(f64::NAN))),
        ("b".to_owned(), Value { kind: None }),
        ("c".to_owned(), value(value::Kind::TimestampValue(prost_types::Timestamp { seconds: 0, nanos: 1 }))),
        ("x".repeat(129), value(value::Kind::BoolValue(true))),
    ]
    .into();
    let mut told = fields(filter(wrong).await);
    told.sort();
    let expected = [
        "records[1].account",
        "records[1].id",
        "records[2].id",
        "records[3].attributes",
        "records[3].attributes[\"a\"].double_value",
        "records[3].attributes[\"b\"]",
        "records[3].attributes[\"c\"].timestamp_value",
    ];
    assert_eq!(told, expected);

    let mut many = request("", &["r-1"]);
    many.records[0].attributes = (0..1_000_000).map(|n| (format!("a{n}"), value(value::Kind::IntValue(n)))).collect();
    assert_eq!(fields(filter(many).await), ["records[0].attributes"]);
}

#[tokio::test]
async fn too_many_attributes_are_refused_at_once_wherever_a_record_is_sent() {
    let world = shared().await;
    // The fastest of three, the first of which warms up: what else the machine does only lengthens.
    let mut fastest = [Duration::MAX; 3];
    for _ in 0..3 {
        let attributes = (0..100_000).map(|n| (format!("a{n}"), value(value::Kind::IntValue(n)))).collect();
        let many = Record { attributes, ..record("r-1") };
        let resource = Resource { object: "vendor-risk".into(), record: Some(many.clone()), ..Resource::default() };
        let authorize = AuthorizeRequest {
            organization: "acme".into(),
            principal: "ana".into(),
            permission: "records.read".into(),
            resource: Some(resource),
            ..Default::default()
        };
        let test = TestConditionRequest {
            organization: "acme".into(),
            object: "vendor-risk".into(),
            principal: "ana".into(),
            condition: "record.id == 'r-1'".into(),
            records: vec![record("r-0"), many.clone()],
            ..Default::default()
        };
        let filter = FilterRecordsRequest { records: vec![record("r-0"), many], ..request("", &[]) };
        let began = Instant::now();
        assert_eq!(fields(world.decisions.authorize(by(authorize)).await), ["resource.record.attributes"]);
        let authorized = Instant::now();
        assert_eq!(fields(world.admin.test_condition(by(test)).await), ["records[1].attributes"]);
        let tested = Instant::now();
        assert_eq!(fields(world.decisions.filter_records(by(filter)).await), ["records[1].attributes"]);
        for (fastest, taken) in fastest.iter_mut().zip([authorized - began, tested - authorized, tested.elapsed()]) {
            *fastest = taken.min(*fastest);
        }
    }
    assert!(fastest.iter().all(|taken| *taken < Duration::from_millis(100)), "{fastest:?}");
}
