//! FilterRecords.

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
