//! `TestCondition`: a policy's condition before it is stored. That it says of sample records what `FilterRecords`
//! says once a policy has it is a property (tests/properties/tried.rs).

use doorward::core::condition::MAX_COST;
use doorward::core::decision::{Question, Resource};
use doorward::core::sample::{Tried, try_condition};
use doorward::service::proto as pb;
use doorward::service::proto::data_access_service_client::DataAccessServiceClient;
use pb::ConditionResult::{Error, False, True};
use pb::value::Kind;
use serde_json::json;
use tonic::{Code, Status};

use crate::support::table;
use crate::wire::{Running, Wire, fields, reason, token};
use crate::wire_records::apply;

const ACME: &str = "organization: acme
preset: workspace
email_domains: [{domain: acme.com, audience: internal}]
user_attributes: {region: string}
objects:
  - {id: app, kind: app, fields: {region: string, due: timestamp, amount: double, tags: list<string>}}
users:
  - {id: ana, email: ana@acme.com, attributes: {region: eu}}
  - {id: gone, email: gone@acme.com, status: inactive, attributes: {region: us}}
service_accounts:
  - {id: ci}
groups:
  - {id: risk, kind: manual, members: ['user:ana']}
";
const NOON: i64 = 1_795_348_800;

struct Tester {
    server: Running,
    wire: Wire,
    _dir: tempfile::TempDir,
}

impl Tester {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Running::start(dir.path()).await;
        let wire = server.with(Some(&token(dir.path()))).await;
        apply(&wire, ACME).await.unwrap();
        Self { server, wire, _dir: dir }
    }

    async fn ask(&self, request: pb::TestConditionRequest) -> Result<pb::TestConditionResponse, Status> {
        Ok(DataAccessServiceClient::new(self.wire.clone()).test_condition(request).await?.into_inner())
    }
}

fn asked(condition: &str, records: Vec<pb::Record>) -> pb::TestConditionRequest {
    pb::TestConditionRequest {
        organization: "acme".into(),
        object: "app".into(),
        condition: condition.into(),
        principal: "user:ana".into(),
        records,
        now: Some(prost_types::Timestamp { seconds: NOON, nanos: 0 }),
        ..Default::default()
    }
}

fn sample(id: &str, attributes: &[(&str, Kind)]) -> pb::Record {
    let attributes = attributes.iter().map(|(name, kind)| {
        let kind = Some(kind.clone());
        ((*name).to_owned(), pb::Value { kind })
    });
    pb::Record { id: id.into(), attributes: attributes.collect(), ..Default::default() }
}

fn text(text: &str) -> Kind {
    Kind::StringValue(text.into())
}

fn at(seconds: i64) -> Kind {
    Kind::TimestampValue(prost_types::Timestamp { seconds, nanos: 0 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_are_told_with_their_places_and_a_sound_condition_with_its_cost() {
    let tester = Tester::new().await;
    for (condition, places) in [
        ("record.regoin == 'eu' &&\n  record.due > 'x'", vec![(1, 8), (2, 14)]),
        ("record.region", vec![(1, 1)]),
        ("record.region ==", vec![(1, 17)]),
        ("user.attributes.region > 3", vec![(1, 24)]),
    ] {
        let reply = tester.ask(asked(condition, vec![sample("r-1", &[])])).await.unwrap();
        let found: Vec<_> = reply.issues.iter().map(|issue| (issue.line, issue.column)).collect();
        assert_eq!(found, places, "{condition}: {:?}", reply.issues);
        assert_eq!((reply.outcomes.len(), reply.cost, reply.cost_limit), (0, 0, MAX_COST));
    }
    let costly = "record.tags.exists(a, record.tags.exists(b, record.tags.exists(c, a == b && b == c)))";
    for condition in [&"x".repeat(65_536), costly, "record.tags.exists(a, record.tags.exists(b, a == b))"] {
        let reply = tester.ask(asked(condition, vec![])).await.unwrap();
        assert_eq!(reply.issues.len(), 1, "{condition:.60}: {:?}", reply.issues);
    }
    // Without a principal: only checked.
    let unnamed = pb::TestConditionRequest {
        principal: String::new(),
        ..asked("record.tags.exists(a, a == 'x')", vec![sample("r-1", &[])])
    };
    let reply = tester.ask(unnamed).await.unwrap();
    assert!(reply.issues.is_empty() && reply.outcomes.is_empty() && reply.revision.is_some());
    assert!(reply.cost > 1_000 && reply.cost < reply.cost_limit, "{}", reply.cost);
    tester.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_record_has_an_outcome_and_the_values_of_what_was_evaluated() {
    let tester = Tester::new().await;
    let condition = "record.region == user.attributes.region && record.due < now";
    let records = vec![
        sample("yes", &[("region", text("eu")), ("due", at(NOON - 1))]),
        sample("no", &[("region", text("us")), ("due", at(NOON - 1))]),
        sample("late", &[("region", text("eu")), ("due", at(NOON))]),
        sample("open", &[("region", text("eu"))]),
        sample("null", &[("region", Kind::NullValue(pb::NullValue {})), ("due", at(NOON - 1))]),
    ];
    let reply = tester.ask(asked(condition, records.clone())).await.unwrap();
    let told: Vec<_> = reply.outcomes.iter().map(|o| (o.record.as_str(), o.result(), o.error.as_str())).collect();
    let expected = [
        ("yes", True, ""),
        ("no", False, ""),
        ("late", False, ""),
        ("open", Error, "`record.due` is missing"),
        ("null", Error, "`record.region` is null"),
    ];
    assert_eq!(told, expected);
    let steps = |at: usize| -> Vec<(&str, &str, &str)> {
        let steps = reply.outcomes[at].steps.iter();
        steps.map(|s| (s.expression.as_str(), s.value.as_str(), s.error.as_str())).collect()
    };
    let same = "record.region == user.attributes.region";
    let yes = steps(0);
    for part in [
        ("record.region", "\"eu\"", ""),
        ("user.attributes.region", "\"eu\"", ""),
        (same, "true", ""),
        ("record.due < now", "true", ""),
    ] {
        assert!(yes.contains(&part), "{part:?}: {yes:?}");
    }
    assert_eq!(yes.last(), Some(&(condition, "true", "")));
    // What settles it ends it: the rest was not asked.
    assert!(steps(1).contains(&(same, "false", "")) && !steps(1).iter().any(|(part, ..)| *part == "record.due < now"));
    assert!(steps(3).contains(&("record.due", "", "`record.due` is missing")), "{:?}", steps(3));
    assert!(reply.outcomes.iter().all(|o| !o.steps_truncated));
    // The clock is the request's.
    let later = Some(prost_types::Timestamp { seconds: NOON + 1, nanos: 0 });
    let later = pb::TestConditionRequest { now: later, ..asked(condition, records.clone()) };
    assert_eq!(tester.ask(later).await.unwrap().outcomes[2].result(), True);
    // Whether the principal may act does not matter, and a service account is one too.
    for (principal, result) in [("gone", False), ("service:ci", Error), ("ana", True)] {
        let request = pb::TestConditionRequest { principal: principal.into(), ..asked(condition, records.clone()) };
        assert_eq!(tester.ask(request).await.unwrap().outcomes[0].result(), result, "{principal}");
    }
    // What was sent with the request, and whom the principal is with.
    let attributes = [("limit".to_owned(), pb::Value { kind: Some(Kind::IntValue(3)) })].into();
    let context = Some(pb::Context { channel: "email".into(), attributes, ..Default::default() });
    let of_context = "context.channel == 'email' && context.attributes.limit > 2 && 'risk' in user.groups";
    let request = pb::TestConditionRequest { context, ..asked(of_context, vec![sample("r-1", &[])]) };
    assert_eq!(tester.ask(request).await.unwrap().outcomes[0].result(), True);
    tester.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unknown_malformed_or_too_much_is_refused() {
    let tester = Tester::new().await;
    let one = || vec![sample("r-1", &[])];
    let refused = async |request| {
        let status = tester.ask(request).await.unwrap_err();
        (status.code(), reason(&status), fields(&status))
    };
    let with = |change: &dyn Fn(&mut pb::TestConditionRequest)| {
        let mut request = asked("record.region == 'eu'", one());
        change(&mut request);
        request
    };
    for (request, expected) in [
        (with(&|r| r.object = "nope".into()), "UNKNOWN_OBJECT"),
        (with(&|r| r.principal = "user:nobody".into()), "UNKNOWN_PRINCIPAL"),
        (with(&|r| r.principal = "service:ana".into()), "UNKNOWN_PRINCIPAL"),
        (with(&|r| r.organization = "nope".into()), "UNKNOWN_ORGANIZATION"),
        (with(&|r| r.records[0].account = "nope".into()), "INVALID_REQUEST"),
    ] {
        let (code, reason, _) = refused(request).await;
        let expected_code = if expected == "INVALID_REQUEST" { Code::InvalidArgument } else { Code::NotFound };
        assert_eq!((code, reason.as_str()), (expected_code, expected));
    }
    let nan = sample("r-1", &[("amount", Kind::DoubleValue(f64::NAN))]);
    for (request, expected) in [
        (with(&|r| r.object = String::new()), vec!["object"]),
        (with(&|r| r.condition = String::new()), vec!["condition"]),
        (with(&|r| r.principal = "user:".into()), vec!["principal"]),
        (with(&|r| r.records.push(sample("r-1", &[]))), vec!["records[1].id"]),
        (with(&|r| r.records[0] = nan.clone()), vec!["records[0].attributes[\"amount\"].double_value"]),
        (with(&|r| r.now = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 })), vec!["now"]),
        (with(&|r| r.records = vec![pb::Record::default(); 1_001]), vec!["records"]),
    ] {
        let (code, reason, found) = refused(request).await;
        assert_eq!((code, reason.as_str()), (Code::InvalidArgument, "INVALID_REQUEST"), "{expected:?}");
        assert_eq!(found, expected);
    }
    // As many as may be: every one has its outcome, the parts of the first ones are told.
    let many: Vec<_> = (0..1_000).map(|n| sample(&format!("r-{n}"), &[("region", text("eu"))])).collect();
    let wide: String = (0..10).map(|n| format!("record.region == 'eu{n}' || ")).collect();
    let reply = tester.ask(asked(&format!("{wide}record.region == 'eu'"), many)).await.unwrap();
    assert_eq!(reply.outcomes.len(), 1_000);
    assert!(reply.outcomes.iter().all(|o| o.result() == True));
    assert_eq!(reply.outcomes.iter().map(|o| o.steps.len()).sum::<usize>(), 5_000);
    assert!(!reply.outcomes[0].steps_truncated && reply.outcomes[999].steps_truncated);
    // Long texts are shortened.
    let long = sample("r-1", &[("region", text(&"ü".repeat(4_000)))]);
    let reply = tester.ask(asked("record.region == 'eu'", vec![long])).await.unwrap();
    let step = reply.outcomes[0].steps.iter().find(|s| s.expression == "record.region").unwrap();
    assert!(step.value.len() < 210 && step.value.ends_with('…'), "{}", step.value);
    tester.server.stop().await;
}

#[test]
fn a_condition_is_checked_against_what_is_declared_now() {
    let file = |declared: &str| json!({"organization": "acme", "objects": [{"id": "app", "kind": "app", "fields": {"region": declared}}]});
    let resource = Resource { object: "app", ..Resource::default() };
    let question = Question { resource, ..Question::default() };
    for (declared, sound) in [("string", true), ("int", false)] {
        let tried = try_condition(&table(&file(declared)), &question, "record.region == 'eu'", [], 0).unwrap();
        assert_eq!(matches!(tried, Tried::Sound { .. }), sound, "{declared}");
    }
}
