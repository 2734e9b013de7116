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

/// As [`request`], of several permissions.
fn several(permissions: &[&str], ids: &[&str]) -> FilterRecordsRequest {
    let permissions = permissions.iter().map(|name| (*name).to_owned()).collect();
    FilterRecordsRequest { permissions, ..request("", ids) }
}

/// The records by column.
fn by_column(request: FilterRecordsRequest) -> FilterRecordsRequest {
    let ids = request.records.iter().map(|record| record.id.as_str());
    let lengths = ids.clone().map(|id| u32::try_from(id.len()).unwrap()).collect();
    let ids = StringColumn { text: ids.collect(), lengths, indexes: vec![] };
    let columns = Some(RecordColumns { ids: Some(ids), ..RecordColumns::default() });
    FilterRecordsRequest { records: vec![], columns, ..request }
}

#[tokio::test]
async fn several_permissions_are_told_of_each_by_itself_in_the_order_asked() {
    let world = shared().await;
    let target = Target { object: "vendor-risk".into(), record: "r-3".into(), ..Target::default() };
    world.assign("content-editor", "user:ana", Some(target)).await;
    let filter = |request| world.decisions.filter_records(by(request));
    let asked = several(&["records.read", "records.update", "", "users.update"], &["r-3", "r-2", "r-1"]);
    let [read, edit] = [vec![0, 2], vec![0]];
    let ids = |positions: &[u32]| -> Vec<String> {
        positions.iter().map(|at| ["r-3", "r-2", "r-1"][*at as usize].to_owned()).collect()
    };
    for asked in [asked.clone(), by_column(asked.clone())] {
        let told = |name: &str, positions: &Vec<u32>| PermissionRecords {
            permission: name.into(),
            positions: positions.clone(),
            record_ids: ids(positions),
            bitmap: vec![],
            reason: Reason::Allowed.into(),
        };
        let none = vec![];
        let by_permission = ["records.read", "records.update", "", "users.update"].into_iter();
        let by_permission = by_permission.zip([&read, &edit, &read, &none]).map(|(name, at)| told(name, at)).collect();
        let reply = ok(filter(asked.clone()).await);
        let revision = reply.revision.clone();
        assert_eq!(reply, FilterRecordsResponse { by_permission, revision, ..FilterRecordsResponse::default() });
        // By position only; as bits.
        let reply = ok(filter(FilterRecordsRequest { positions_only: true, ..asked.clone() }).await);
        assert!(reply.by_permission.iter().all(|one| one.record_ids.is_empty() && one.bitmap.is_empty()));
        assert_eq!(reply.by_permission[0].positions, read);
        let reply = ok(filter(FilterRecordsRequest { bitmap: true, ..asked.clone() }).await);
        let bits: Vec<&[u8]> = reply.by_permission.iter().map(|one| one.bitmap.as_slice()).collect();
        assert_eq!(bits, [[0b101], [0b001], [0b101], [0b000]]);
        assert!(reply.by_permission.iter().all(|one| one.positions.is_empty() && one.record_ids.is_empty()));
        let nobody = FilterRecordsRequest { principal: "nobody".into(), ..asked };
        let reply = ok(filter(nobody).await);
        assert!(reply.by_permission.iter().all(|one| one.reason() == Reason::PrincipalUnknown));
        assert_eq!((reply.by_permission.len(), reply.reason()), (4, Reason::Unspecified));
    }
    // A list of one is a list; more than are answered at once.
    let one = ok(filter(several(&["records.update"], &["r-3"])).await);
    assert_eq!((one.positions, one.by_permission[0].positions.as_slice()), (vec![], &[0][..]));
    let many: Vec<String> = (0..70).map(|n| format!("r-{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let names: Vec<String> = (0..15).map(|n| format!("records.p{n}")).collect();
    for name in &names {
        let permission = Some(Permission { name: name.clone(), ..Permission::default() });
        let create = CreatePermissionRequest { organization: "acme".into(), permission, ..Default::default() };
        ok(world.admin.create_permission(by(create)).await);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).chain(["records.read"]).collect();
    let reply = ok(filter(several(&names, &many)).await);
    assert_eq!((reply.by_permission.len(), &reply.by_permission[15].positions), (16, &vec![1, 3]));
}

#[tokio::test]
async fn a_bitmap_has_a_bit_for_each_record_and_no_more() {
    let world = shared().await;
    let filter = |request| world.decisions.filter_records(by(request));
    for (count, expected) in [
        (0, vec![]),
        (1, vec![0]),
        (3, vec![0b010]),
        (8, vec![0b1010]),
        (9, vec![0b1010, 0]),
        (70, vec![0b1010, 0, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        let ids: Vec<String> = (0..count).map(|n| format!("r-{n}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let asked = FilterRecordsRequest { bitmap: true, ..request("records.read", &ids) };
        let mut ways = vec![asked.clone()];
        ways.extend((count > 0).then(|| by_column(asked)));
        for asked in ways {
            let reply = ok(filter(asked.clone()).await);
            assert_eq!(reply.bitmap, expected, "{count}");
            assert!(reply.positions.is_empty() && reply.record_ids.is_empty());
            assert_eq!((reply.reason(), reply.by_permission.len()), (Reason::Allowed, 0));
            let nobody = FilterRecordsRequest { principal: "nobody".into(), ..asked };
            assert_eq!(ok(filter(nobody).await).bitmap, vec![0; expected.len()], "{count}");
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_one_of_several_permissions_is_told_by_its_place() {
    let world = shared().await;
    let filter = |request| world.decisions.filter_records(by(request));
    let both = FilterRecordsRequest { permission: "records.read".into(), ..several(&["records.update"], &["r-1"]) };
    assert_eq!(fields(filter(both).await), ["permissions"]);
    let twice = several(&["records.read", "", "records.update", "", "records.read"], &["r-1"]);
    assert_eq!(fields(filter(twice).await), ["permissions[3]", "permissions[4]"]);
    let names: Vec<String> = (0..100_000).map(|n| format!("p.{n}")).collect();
    let many = FilterRecordsRequest { permissions: names[..17].to_vec(), ..request("", &["r-1"]) };
    let mut expected = vec!["permissions".to_owned()];
    expected.extend((0..16).map(|at| format!("permissions[{at}]")));
    assert_eq!(fields(filter(many.clone()).await), expected, "none is known, and 16 are looked at");
    assert_eq!(fields(filter(FilterRecordsRequest { permissions: names, ..many }).await), expected);

    let unknown = several(&["records.read", "no.such"], &["r-1"]);
    let is = |code, reason: &str| (code, reason.to_owned());
    assert_eq!(refused(filter(unknown.clone()).await), is(Code::InvalidArgument, "UNKNOWN_PERMISSION"));
    assert_eq!(fields(filter(unknown.clone()).await), ["permissions[1]"]);
    let object = FilterRecordsRequest { object: "nope".into(), ..unknown.clone() };
    assert_eq!(fields(filter(object.clone()).await), ["object", "permissions[1]"]);
    let known = FilterRecordsRequest { permissions: vec!["records.read".into()], ..object };
    assert_eq!(refused(filter(known).await), is(Code::NotFound, "UNKNOWN_OBJECT"));
    let mut record = unknown;
    record.records.push(record.records[0].clone());
    record.permissions.truncate(1);
    assert_eq!(fields(filter(record).await), ["records[1].id"]);
    // Malformed wins over an unknown organization.
    let nowhere =
        |permissions: &[&str]| FilterRecordsRequest { organization: "nope".into(), ..several(permissions, &["r-1"]) };
    assert_eq!(refused(filter(nowhere(&["no.such", ""])).await), is(Code::NotFound, "UNKNOWN_ORGANIZATION"));
    assert_eq!(fields(filter(nowhere(&["no.such", "no such", ""])).await), ["permissions[1]"]);
}
