//! Records by column as a client sends them: the real server, on sled, over TCP.

use doorward::service::proto as pb;
use doorward::service::proto::decision_service_client::DecisionServiceClient;
use pb::column::Values;
use pb::{Column, FilterRecordsRequest, RecordColumns, StringColumn};
use tonic::Code;

use crate::wire::{Running, Wire, fields, token};
use crate::wire_records::apply;

const ACME: &str = "organization: acme
preset: workspace
email_domains: [{domain: acme.com, audience: internal}]
accounts: [{id: main, default: true}, {id: emea}]
objects:
  - {id: app, kind: app, fields: {region: string, amount: double, tags: list<string>}}
users: [{id: ana, email: ana@acme.com}]
grants:
  - {permissions: [records.read], member: 'user:ana', object: app}
  - {permissions: [records.read], member: 'user:ana', object: app, record: held}
data_access:
  - {id: eu, object: app, effect: allow, members: ['user:ana'], condition: \"record.region == 'eu' || record.owner == user.id\"}
  - {id: secret, object: app, effect: restrict, members: ['user:ana'], condition: \"'secret' in record.tags || record.amount > 10.0\"}
";

fn texts(texts: &[&str]) -> StringColumn {
    let lengths = texts.iter().map(|text| u32::try_from(text.len()).unwrap()).collect();
    StringColumn { text: texts.concat(), lengths, indexes: vec![] }
}

fn strings(name: &str, column: StringColumn) -> Column {
    Column { name: name.into(), values: Some(Values::Strings(column)), ..Column::default() }
}

/// Seven records: in the region, elsewhere, one's own, one held at, secret, one without tags, dear.
fn seven() -> RecordColumns {
    let region = StringColumn { indexes: vec![0, 1, 1, 1, 0, 0, 0], ..texts(&["eu", "us"]) };
    let tags = Column {
        missing: vec![0b10_0000],
        list_lengths: vec![1, 0, 2, 0, 2, 0, 0],
        ..strings("tags", texts(&["a", "b", "c", "secret", "a"]))
    };
    let values = vec![1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 10.5];
    let amount = Column {
        name: "amount".into(),
        values: Some(Values::Doubles(pb::DoubleColumn { values })),
        ..Column::default()
    };
    RecordColumns {
        ids: Some(texts(&["r-1", "r-2", "größe", "held", "r-5", "r-6", "r-7"])),
        owners: Some(texts(&["", "bo", "user:ana", "", "", "", ""])),
        accounts: None,
        attributes: vec![tags, strings("region", region), amount],
    }
}

fn asked(columns: RecordColumns) -> FilterRecordsRequest {
    FilterRecordsRequest {
        organization: "acme".into(),
        principal: "ana".into(),
        permission: "records.read".into(),
        object: "app".into(),
        columns: Some(columns),
        ..FilterRecordsRequest::default()
    }
}

async fn acme(data: &std::path::Path) -> (Running, Wire) {
    let server = Running::start(data).await;
    let wire = server.with(Some(&token(data))).await;
    apply(&wire, ACME).await.unwrap();
    (server, wire)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m6_5_records_by_column_are_judged_as_rows_are() {
    let dir = tempfile::tempdir().unwrap();
    let (server, wire) = acme(dir.path()).await;
    let mut decisions = DecisionServiceClient::new(wire);
    let reply = decisions.filter_records(asked(seven())).await.unwrap().into_inner();
    // Without tags nobody can say that it is not secret (6.3).
    assert_eq!(reply.positions, [0, 2, 3]);
    assert_eq!(reply.record_ids, ["r-1", "größe", "held"]);
    // Many more than are judged where they were read.
    let count = 50_000;
    let ids: Vec<String> = (0..count).map(|n| format!("r-{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let region = StringColumn { indexes: (0..count).map(|n| n % 2).collect(), ..texts(&["eu", "us"]) };
    let none = |name: &str| {
        let values = Values::Strings(StringColumn { indexes: vec![0; count as usize], ..texts(&[""]) });
        Column { name: name.into(), values: Some(values), ..Column::default() }
    };
    let tags = Column { list_lengths: vec![0; count as usize], ..strings("tags", texts(&[])) };
    let values = vec![0.5; count as usize];
    let amount = Column {
        name: "amount".into(),
        values: Some(Values::Doubles(pb::DoubleColumn { values })),
        ..Column::default()
    };
    let columns = RecordColumns {
        ids: Some(texts(&ids)),
        attributes: vec![none("other"), strings("region", region), tags, amount],
        ..RecordColumns::default()
    };
    let request = FilterRecordsRequest { positions_only: true, ..asked(columns) };
    let reply = decisions.filter_records(request).await.unwrap().into_inner();
    assert_eq!(reply.positions, (0..count).step_by(2).collect::<Vec<_>>());
    assert!(reply.record_ids.is_empty());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_that_do_not_fit_are_refused_at_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let (server, wire) = acme(dir.path()).await;
    let mut decisions = DecisionServiceClient::new(wire);
    let with = |change: fn(&mut RecordColumns)| {
        let mut columns = seven();
        change(&mut columns);
        asked(columns)
    };
    let rows = vec![pb::Record { id: "r-1".into(), ..pb::Record::default() }];
    let both = FilterRecordsRequest { records: rows, ..asked(seven()) };
    let ids = |columns: &mut RecordColumns, with: fn(&mut StringColumn)| with(columns.ids.as_mut().unwrap());
    for (request, places) in [
        (both, vec!["columns"]),
        (with(|c| c.ids = None), vec!["columns.ids"]),
        (with(|c| c.ids.as_mut().unwrap().lengths[0] = 9), vec!["columns.ids"]),
        (with(|c| c.ids.as_mut().unwrap().lengths[0] = u32::MAX), vec!["columns.ids"]),
        // Within the `ö`.
        (with(|c| c.ids.as_mut().unwrap().lengths[1..4].copy_from_slice(&[6, 4, 4])), vec!["columns.ids"]),
        (with(|c| c.ids.as_mut().unwrap().indexes = vec![0, 1, 2, 3, 4, 5, 7]), vec!["columns.ids"]),
        (
            with(|c| c.ids = Some(texts(&["r-1", "", "a\nb", "held", "r-5", "r-6", "r-7"]))),
            vec!["columns[1].id", "columns[2].id"],
        ),
        (with(|c| c.owners = Some(texts(&["ana"]))), vec!["columns.owners"]),
        (with(|c| c.owners = Some(texts(&["", "", "user:", "", "", "", ""]))), vec!["columns[2].owner"]),
        (
            with(|c| c.accounts = Some(texts(&["", "emea", "apac", "main", "", "", "B A D"]))),
            vec!["columns[2].account", "columns[6].account"],
        ),
        (with(|c| c.attributes[0].list_lengths[0] = 2), vec!["columns.attributes[0].values"]),
        (with(|c| c.attributes[0].list_lengths.truncate(6)), vec!["columns.attributes[0].list_lengths"]),
        (
            with(|c| c.attributes[0].list_lengths[0] = 1_001),
            vec!["columns.attributes[0].list_lengths", "columns.attributes[0].values"],
        ),
        (with(|c| c.attributes[0].missing = vec![0, 0]), vec!["columns.attributes[0].missing"]),
        (with(|c| c.attributes[1].name.clear()), vec!["columns.attributes[1].name"]),
        (with(|c| c.attributes[1].name = "tags".into()), vec!["columns.attributes"]),
        (with(|c| c.attributes[1].values = None), vec!["columns.attributes[1].values"]),
        (
            with(|c| c.attributes[2].values = Some(Values::Ints(pb::IntColumn { values: vec![1] }))),
            vec!["columns.attributes[2].values"],
        ),
        (
            with(|c| c.attributes[2].values = Some(Values::Doubles(pb::DoubleColumn { values: vec![f64::NAN; 7] }))),
            vec!["columns.attributes[2].values.doubles.values"],
        ),
        (
            with(|c| {
                c.attributes[2].values =
                    Some(Values::Timestamps(pb::TimestampColumn { unix_millis: vec![i64::MAX; 7] }))
            }),
            vec!["columns.attributes[2].values.timestamps.unix_millis"],
        ),
        (
            with(|c| {
                c.attributes[1].values = Some(Values::Strings(texts(&["", "", "", "", "", "", &"x".repeat(8_193)])))
            }),
            vec!["columns.attributes[1].values.strings"],
        ),
        (
            with(|c| {
                c.attributes = (0..257).map(|n| Column { name: format!("c{n}"), ..c.attributes[2].clone() }).collect()
            }),
            vec!["columns.attributes"],
        ),
    ] {
        let status = decisions.filter_records(request).await.unwrap_err();
        assert_eq!(
            (status.code(), fields(&status)),
            (Code::InvalidArgument, places.iter().map(|p| (*p).to_owned()).collect()),
            "{status:?}"
        );
    }
    // What is of another type than declared is missing, and not an error of the call.
    let regions = with(|c| c.attributes[1].values = Some(Values::Bools(pb::BoolColumn { values: vec![true; 7] })));
    assert_eq!(decisions.filter_records(regions).await.unwrap().into_inner().positions, [2, 3]);
    // Of texts that repeat, one that no record names is nobody's.
    let spare = |texts: StringColumn| StringColumn { indexes: vec![0, 0, 0, 0, 0, 0, 0], ..texts };
    let mut more = seven();
    more.accounts = Some(spare(texts(&["emea", "gone", "B A D"])));
    more.owners = Some(spare(texts(&["", "user:"])));
    ids(&mut more, |ids| {
        ids.text.push('\n');
        ids.lengths.extend([1, 0]);
        ids.indexes = (0..7).collect();
    });
    assert_eq!(decisions.filter_records(asked(more)).await.unwrap().into_inner().positions, [0, 3]);
    let mut twice = seven();
    ids(&mut twice, |ids| *ids = texts(&["r", "r", "r", "r", "r", "r", "r"]));
    assert_eq!(decisions.filter_records(asked(twice)).await.unwrap().into_inner().positions, [0, 2]);
    server.stop().await;
}
