//! `StreamFilterRecords` as a client sees it: the real server, over TCP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use doorward::service::proto as pb;
use doorward::service::proto::credential_service_client::CredentialServiceClient;
use doorward::service::proto::data_access_service_client::DataAccessServiceClient;
use doorward::service::proto::decision_service_client::DecisionServiceClient;
use fastrand::Rng;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::wire::{Running, Wire, create_user, fields, reason, token, user};
use crate::wire_records::apply;

const ACME: &str = "organization: acme
preset: workspace
email_domains: [{domain: acme.com, audience: internal}]
objects:
  - {id: app, kind: app, fields: {region: string, amount: int}}
users:
  - {id: ana, email: ana@acme.com}
groups:
  - {id: risk, kind: manual, members: ['user:ana'], visibility: [data_access]}
grants:
  - {permissions: [records.read], member: 'user:ana'}
data_access:
  - {id: some, object: app, effect: allow, members: ['group:risk'], condition: \"record.region == 'eu' || record.amount > 5\"}
";

type Message = pb::StreamFilterRecordsRequest;
type Replies = Streaming<pb::StreamFilterRecordsResponse>;

struct Acme {
    server: Running,
    wire: Wire,
    dir: tempfile::TempDir,
}

impl Acme {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Running::start(dir.path()).await;
        let wire = server.with(Some(&token(dir.path()))).await;
        apply(&wire, ACME).await.unwrap();
        Self { server, wire, dir }
    }

    fn decisions(&self) -> DecisionServiceClient<Wire> {
        DecisionServiceClient::new(self.wire.clone())
    }

    /// A stream that is fed by hand.
    async fn open(&self, first: Message) -> (mpsc::Sender<Message>, Replies) {
        let (sender, receiver) = mpsc::channel(1);
        sender.send(first).await.unwrap();
        let replies = self.decisions().stream_filter_records(ReceiverStream::new(receiver)).await.unwrap();
        (sender, replies.into_inner())
    }

    /// All that a stream of these answers, and why it ended if not well.
    async fn all(&self, messages: Vec<Message>) -> (Vec<pb::StreamFilterRecordsResponse>, Option<Status>) {
        let mut replies = match self.decisions().stream_filter_records(tokio_stream::iter(messages)).await {
            Ok(replies) => replies.into_inner(),
            Err(status) => return (Vec::new(), Some(status)),
        };
        let mut all = Vec::new();
        loop {
            match replies.message().await {
                Ok(Some(reply)) => all.push(reply),
                Ok(None) => return (all, None),
                Err(status) => return (all, Some(status)),
            }
        }
    }

    async fn filter(&self, records: Vec<pb::Record>) -> pb::FilterRecordsResponse {
        let pb::FilterQuery { organization, principal, permission, object, .. } = query();
        let request =
            pb::FilterRecordsRequest { organization, principal, permission, object, records, ..Default::default() };
        self.decisions().filter_records(request).await.unwrap().into_inner()
    }
}

fn query() -> pb::FilterQuery {
    pb::FilterQuery {
        organization: "acme".into(),
        principal: "user:ana".into(),
        permission: "records.read".into(),
        object: "app".into(),
        ..Default::default()
    }
}

fn begun() -> Message {
    Message { query: Some(query()), ..Default::default() }
}

fn chunk(records: Vec<pb::Record>) -> Message {
    Message { records, ..Default::default() }
}

fn record(id: String, region: &str, amount: i64) -> pb::Record {
    use pb::value::Kind::{IntValue, StringValue};
    let value = |kind| pb::Value { kind: Some(kind) };
    let attributes =
        [("region".to_owned(), value(StringValue(region.to_owned()))), ("amount".to_owned(), value(IntValue(amount)))];
    pb::Record { id, attributes: attributes.into(), ..Default::default() }
}

fn records(rng: &mut Rng, count: usize) -> Vec<pb::Record> {
    let one = |n| record(format!("r-{n}"), rng.choice(["eu", "us", ""]).unwrap(), rng.i64(0..10));
    (0..count).map(one).collect()
}

async fn reply(replies: &mut Replies) -> pb::StreamFilterRecordsResponse {
    let reply = tokio::time::timeout(Duration::from_secs(20), replies.message()).await;
    reply.expect("an answer comes").unwrap().expect("the stream goes on")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_answers_each_chunk_as_filter_records_would() {
    let acme = Acme::new().await;
    let mut rng = Rng::with_seed(7);
    let sizes = [1, 0, 3, 255, 256, 257, 0, 2_000, 1, 40];
    let chunks: Vec<Vec<pb::Record>> = sizes.iter().map(|size| records(&mut rng, *size)).collect();
    let answered: Vec<&Vec<pb::Record>> = chunks.iter().filter(|chunk| !chunk.is_empty()).collect();
    for with_query in [true, false] {
        let mut messages: Vec<Message> = chunks.iter().cloned().map(chunk).collect();
        if with_query {
            messages[0].query = Some(query());
        } else {
            messages.insert(0, begun());
        }
        let (replies, error) = acme.all(messages).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(replies.len(), answered.len());
        let mut passed = 0;
        for (at, (reply, records)) in replies.into_iter().zip(&answered).enumerate() {
            let one = acme.filter((*records).clone()).await;
            let expected = pb::StreamFilterRecordsResponse {
                chunk: at as u64,
                positions: one.positions,
                record_ids: one.record_ids,
                reason: one.reason,
                revision: one.revision,
                staleness: None,
                bitmap: vec![],
                by_permission: vec![],
            };
            assert_eq!(reply, expected, "chunk {at}");
            passed += reply.positions.len();
        }
        assert!(passed > 800 && passed < 2_500, "{passed}");
    }
    // By position only; without a permission; and where nothing can pass.
    let lone = chunk(vec![record("r".into(), "eu", 0)]);
    for (change, positions, reason) in [
        (pb::FilterQuery { positions_only: true, ..query() }, vec![0], pb::Reason::Allowed),
        (pb::FilterQuery { permission: String::new(), ..query() }, vec![0], pb::Reason::Allowed),
        (pb::FilterQuery { principal: "nobody".into(), ..query() }, vec![], pb::Reason::PrincipalUnknown),
    ] {
        let ids = positions.len() * usize::from(!change.positions_only);
        let begun = Message { query: Some(change), ..Default::default() };
        let (replies, error) = acme.all(vec![begun, lone.clone()]).await;
        assert!(error.is_none() && replies.len() == 1, "{error:?}");
        assert_eq!((&replies[0].positions, replies[0].reason()), (&positions, reason));
        assert_eq!(replies[0].record_ids.len(), ids);
    }
    acme.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_tells_of_several_permissions_as_filter_records_does_of_each() {
    let acme = Acme::new().await;
    let mut rng = Rng::with_seed(8);
    let chunks = [records(&mut rng, 13), records(&mut rng, 300)];
    let permissions = ["records.update", "records.read", ""].map(str::to_owned);
    for bitmap in [false, true] {
        let several =
            pb::FilterQuery { permission: String::new(), permissions: permissions.to_vec(), bitmap, ..query() };
        let mut messages: Vec<Message> = chunks.iter().cloned().map(chunk).collect();
        messages[0].query = Some(several);
        let (replies, error) = acme.all(messages).await;
        assert!(error.is_none() && replies.len() == 2, "{error:?}");
        for (at, (reply, records)) in (0..).zip(replies.into_iter().zip(&chunks)) {
            let one = acme.filter(records.clone()).await;
            assert!(!one.positions.is_empty() && one.positions.len() < records.len());
            let told = |permission: &str, positions: Vec<u32>, record_ids: Vec<String>| {
                let mut bits = vec![0; if bitmap { records.len().div_ceil(8) } else { 0 }];
                if bitmap {
                    positions.iter().for_each(|at| bits[*at as usize / 8] |= 1 << (at % 8));
                }
                let (permission, reason) = (permission.to_owned(), one.reason);
                let (positions, record_ids) = if bitmap { (vec![], vec![]) } else { (positions, record_ids) };
                pb::PermissionRecords { permission, positions, record_ids, bitmap: bits, reason }
            };
            let seen = |permission| told(permission, one.positions.clone(), one.record_ids.clone());
            let expected = pb::StreamFilterRecordsResponse {
                chunk: at,
                revision: one.revision.clone(),
                by_permission: vec![told("records.update", vec![], vec![]), seen("records.read"), seen("")],
                ..pb::StreamFilterRecordsResponse::default()
            };
            assert_eq!(reply, expected, "chunk {at}, bitmap {bitmap}");
        }
    }
    // What is wrong with the query is told before a chunk comes.
    let both = pb::FilterQuery { permissions: permissions.to_vec(), ..query() };
    let (replies, error) = acme.all(vec![Message { query: Some(both), ..Default::default() }]).await;
    assert!(replies.is_empty());
    assert_eq!(fields(&error.unwrap()), ["permissions"]);
    acme.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_stays_at_its_revision_and_a_new_one_sees_the_write() {
    let acme = Acme::new().await;
    let lone = || chunk(vec![record("r-1".into(), "eu", 0)]);
    let (sender, mut replies) = acme.open(begun()).await;
    sender.send(lone()).await.unwrap();
    let first = reply(&mut replies).await;
    assert_eq!(first.positions, [0]);
    let request = pb::DeletePolicyRequest { organization: "acme".into(), policy: "some".into(), ..Default::default() };
    let written = DataAccessServiceClient::new(acme.wire.clone()).delete_policy(request).await.unwrap().into_inner();
    assert_eq!(acme.filter(lone().records).await.positions, [0_u32; 0]);
    sender.send(lone()).await.unwrap();
    let second = reply(&mut replies).await;
    assert_eq!((&second.positions, &second.revision), (&first.positions, &first.revision));
    drop(sender);
    assert_eq!(replies.message().await.unwrap(), None);
    let at_least = |revision| pb::FilterQuery { min_revision: revision, ..query() };
    let (seen, error) = acme.all(vec![Message { query: Some(at_least(written.revision.clone())), ..lone() }]).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!((&seen[0].positions, &seen[0].revision), (&vec![], &written.revision));
    // A revision that is still to come, and is waited for; one that does not come.
    let soon = written.revision.clone().map(|r| pb::Revision { number: r.number + 1, ..r });
    let waiting = acme.all(vec![Message { query: Some(at_least(soon.clone())), ..lone() }]);
    let writing = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        create_user(&acme.wire, "acme", user("bo", "bo@acme.com")).await.unwrap()
    };
    let ((seen, error), made) = tokio::join!(waiting, writing);
    assert!(error.is_none(), "{error:?}");
    assert_eq!((seen[0].revision.as_ref().unwrap().number, soon.clone().unwrap().number), (made, made));
    let never = soon.map(|r| pb::Revision { number: r.number + 100, ..r });
    let (_, error) = acme.all(vec![Message { query: Some(at_least(never)), ..lone() }]).await;
    let error = error.unwrap();
    assert_eq!((error.code(), reason(&error).as_str()), (Code::Unavailable, "REVISION_NOT_REACHED"));
    acme.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_ends_the_stream_after_the_replies_before_it() {
    let acme = Acme::new().await;
    let sound = |id: &str| chunk(vec![record(id.into(), "eu", 0)]);
    let with = |query| Message { query: Some(query), ..Default::default() };
    let twice = chunk(vec![record("r-1".into(), "eu", 0), record("r-1".into(), "eu", 0)]);
    let long = chunk((0..100_001).map(|n| pb::Record { id: n.to_string(), ..Default::default() }).collect());
    let unknown = pb::FilterQuery { object: "nope".into(), ..query() };
    let malformed = pb::FilterQuery { organization: "nope".into(), principal: "user:".into(), ..query() };
    for (messages, answered, code, expected, paths) in [
        (vec![], 0, Code::InvalidArgument, "INVALID_REQUEST", vec!["query"]),
        (vec![sound("r-1")], 0, Code::InvalidArgument, "INVALID_REQUEST", vec!["query"]),
        (vec![begun(), sound("r-1"), begun()], 1, Code::InvalidArgument, "INVALID_REQUEST", vec!["query"]),
        (
            vec![begun(), sound("r-1"), sound("r-1"), twice],
            2,
            Code::InvalidArgument,
            "INVALID_REQUEST",
            vec!["records[1].id"],
        ),
        (vec![begun(), sound("r-1"), sound("")], 1, Code::InvalidArgument, "INVALID_REQUEST", vec!["records[0].id"]),
        (vec![begun(), long], 0, Code::InvalidArgument, "INVALID_REQUEST", vec!["records"]),
        // The query is looked at before there are records.
        (vec![with(unknown)], 0, Code::NotFound, "UNKNOWN_OBJECT", vec![]),
        (vec![with(malformed)], 0, Code::InvalidArgument, "INVALID_REQUEST", vec!["principal"]),
        (
            vec![with(pb::FilterQuery { organization: "nope".into(), ..query() })],
            0,
            Code::NotFound,
            "UNKNOWN_ORGANIZATION",
            vec![],
        ),
        (
            vec![with(pb::FilterQuery { permission: "no.such".into(), ..query() })],
            0,
            Code::InvalidArgument,
            "UNKNOWN_PERMISSION",
            vec!["permission"],
        ),
    ] {
        let sent = messages.len();
        let (replies, error) = acme.all(messages).await;
        let error = error.unwrap_or_else(|| panic!("{expected}"));
        let found = (replies.len(), error.code(), reason(&error), fields(&error));
        let paths: Vec<String> = paths.into_iter().map(str::to_owned).collect();
        assert_eq!(found, (answered, code, expected.to_owned(), paths), "of {sent} messages: {error:?}");
    }
    // Larger than the server takes, as first message and as a later one.
    let huge = || pb::Record { id: "x".repeat(5 << 20), ..Default::default() };
    for messages in
        [vec![Message { records: vec![huge()], ..begun() }], vec![begun(), sound("r-1"), chunk(vec![huge()])]]
    {
        let answered = messages.len() / 3;
        let (replies, error) = acme.all(messages).await;
        let error = error.unwrap();
        assert_eq!((error.code(), reason(&error).as_str()), (Code::OutOfRange, "MESSAGE_TOO_LARGE"), "{error:?}");
        assert_eq!(replies.len(), answered);
    }
    acme.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_not_read_and_nobody_else_waits() {
    const CHUNKS: usize = 200;
    let acme = Acme::new().await;
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    // Each chunk is about 300 KB, and each reply 250.
    let records: Vec<pb::Record> = (0..2_000).map(|n| record(format!("{n:0>120}"), "eu", 0)).collect();
    let chunks = (0..CHUNKS).map(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        chunk(records.clone())
    });
    let messages = tokio_stream::iter(std::iter::once(begun()).chain(chunks));
    let mut replies = acme.decisions().stream_filter_records(messages).await.unwrap().into_inner();
    // Until nothing moves any more.
    let mut before = usize::MAX;
    while taken.load(Ordering::SeqCst) != before {
        before = taken.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(1_500)).await;
    }
    // What the windows of HTTP/2 and buffers hold, both ways, is some 10 MB; the rest is not asked for.
    println!("{before} of {CHUNKS} chunks were taken");
    assert!(before < 60, "{before} chunks were taken from a client that does not read");
    let request = pb::AuthorizeRequest {
        organization: "acme".into(),
        principal: "user:ana".into(),
        permission: "records.read".into(),
        ..Default::default()
    };
    // On a connection of their own, served by the same thread: this one's window is full of what is not read.
    let other = acme.server.with(Some(&token(acme.dir.path()))).await;
    let mut other = DecisionServiceClient::new(other);
    let decided = tokio::time::timeout(Duration::from_secs(5), other.authorize(request)).await;
    assert_eq!(decided.expect("others are answered").unwrap().into_inner().decision(), pb::Decision::Allow);
    for at in 0..CHUNKS {
        let reply = reply(&mut replies).await;
        assert_eq!((reply.chunk, reply.positions.len()), (at as u64, 2_000));
    }
    assert_eq!(replies.message().await.unwrap(), None);
    acme.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_chunks_are_answered_in_order_while_they_are_sent() {
    let acme = Acme::new().await;
    let mut rng = Rng::with_seed(1_000);
    let chunks: Vec<Vec<pb::Record>> = (0..1_000).map(|_| records(&mut rng, 20)).collect();
    let wanted = |records: &[pb::Record]| -> Vec<u32> {
        let passes = |record: &pb::Record| {
            use pb::value::Kind::{IntValue, StringValue};
            let attributes = record.attributes.to_map();
            attributes["region"].kind == Some(StringValue("eu".into()))
                || matches!(attributes["amount"].kind, Some(IntValue(n)) if n > 5)
        };
        (0..).zip(records).filter(|(_, record)| passes(record)).map(|(at, _)| at).collect()
    };
    let expected: Vec<Vec<u32>> = chunks.iter().map(|records| wanted(records)).collect();
    let messages = std::iter::once(begun()).chain(chunks.into_iter().map(chunk));
    let mut replies = acme.decisions().stream_filter_records(tokio_stream::iter(messages)).await.unwrap().into_inner();
    let mut seen = 0;
    while let Some(reply) = replies.next().await {
        let reply = reply.unwrap();
        assert_eq!((reply.chunk, &reply.positions), (seen as u64, &expected[seen]));
        seen += 1;
    }
    assert_eq!(seen, 1_000);
    acme.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m7_6_who_loses_its_place_loses_its_stream() {
    let world = crate::callers::World::new().await;
    world.furnish().await;
    let who = world.caller("acme", "clerk", &[]).await;
    let mut decisions = DecisionServiceClient::new(world.server.channel().await);
    let (sender, receiver) = mpsc::channel(1);
    sender.send(begun()).await.unwrap();
    let stream = who.request(ReceiverStream::new(receiver));
    let mut replies = decisions.stream_filter_records(stream).await.unwrap().into_inner();
    let lone = || chunk(vec![pb::Record { id: "r-1".into(), ..Default::default() }]);
    sender.send(lone()).await.unwrap();
    assert_eq!(reply(&mut replies).await.chunk, 0);
    let request = pb::DeactivateServiceAccountRequest {
        organization: "acme".into(),
        service_account: "clerk".into(),
        ..Default::default()
    };
    CredentialServiceClient::new(world.wire.clone()).deactivate_service_account(request).await.unwrap();
    sender.send(lone()).await.unwrap();
    let status = replies.message().await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "UNAUTHENTICATED"));
    world.server.stop().await;
}
