//! The memory of a stream of records does not depend on its length: of a real process of the server, as the
//! system counts it.
#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use doorward::service::proto as pb;
use doorward::service::proto::decision_service_client::DecisionServiceClient;
use pb::column::Values;
use tokio_stream::Stream;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::cli::{Files, Serving};

type Message = pb::StreamFilterRecordsRequest;

/// Records of a chunk: so many that they are filtered beside the thread that read them.
const RECORDS: usize = 1_500;
/// Bytes of an id. A chunk is about 190 KB, and its reply too.
const ID_BYTES: usize = 120;
/// Chunks of a short stream, and of one that is twenty times as long: 38 MB each way.
const FEW: usize = 10;
const MANY: usize = 20 * FEW;
/// How much more memory the process may have had. A stream has two chunks and two replies at most, each as bytes
/// and as a message, and HTTP/2 keeps 1 MB of what comes and 400 KB of what goes: 3 MB in all, which a short one
/// needs as well. The rest is for the allocator, which keeps what was freed in pages of its threads. All
/// chunks, or all replies, are several times that.
const BOUND_KB: usize = 8 * 1_024;

fn columns(chunk: usize) -> pb::RecordColumns {
    // Each id once in the stream: what is remembered of ids would grow with it.
    let text: String = (0..RECORDS).map(|n| format!("{:0>ID_BYTES$}", chunk * RECORDS + n)).collect();
    let ids = pb::StringColumn { text, lengths: vec![ID_BYTES as u32; RECORDS], indexes: vec![] };
    let regions = pb::StringColumn { text: "eu".into(), lengths: vec![2], indexes: vec![0; RECORDS] };
    let column = |name: &str, values| pb::Column { name: name.into(), values: Some(values), ..Default::default() };
    let amounts = pb::DoubleColumn { values: vec![0.5; RECORDS] };
    let attributes = vec![column("region", Values::Strings(regions)), column("amount", Values::Doubles(amounts))];
    pb::RecordColumns { ids: Some(ids), attributes, ..Default::default() }
}

/// The query, and so many chunks; they are counted when they are asked for.
fn messages(chunks: usize, asked_for: &Arc<AtomicUsize>) -> impl Stream<Item = Message> + Send + use<> {
    let query = pb::FilterQuery {
        organization: "acme".into(),
        principal: "ana".into(),
        permission: "records.read".into(),
        object: "app".into(),
        ..Default::default()
    };
    let counted = Arc::clone(asked_for);
    let chunk = move |number| {
        counted.fetch_add(1, Ordering::SeqCst);
        Message { columns: Some(columns(number)), ..Default::default() }
    };
    let begun = Message { query: Some(query), ..Default::default() };
    tokio_stream::iter(std::iter::once(begun).chain((0..chunks).map(chunk)))
}

async fn all(mut replies: Streaming<pb::StreamFilterRecordsResponse>, chunks: usize) {
    for chunk in 0..chunks {
        let reply = replies.message().await.unwrap().unwrap();
        assert_eq!((reply.chunk, reply.positions.len(), reply.record_ids.len()), (chunk as u64, RECORDS, RECORDS));
    }
    assert_eq!(replies.message().await.unwrap(), None);
}

/// The most memory that a process ever had.
fn peak_kb(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().strip_suffix(" kB").unwrap().trim().parse().unwrap()
}

#[test]
fn the_memory_of_a_stream_does_not_depend_on_its_length_nor_on_who_does_not_read() {
    let files = Files::new();
    let (server, address) = Serving::start(&files);
    let (status, _, error) = files.run(&["apply", "--server", &address, "acme.yaml"]);
    assert_eq!(status, 0, "{error}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let mut decisions = DecisionServiceClient::new(channel);
        let count = Arc::<AtomicUsize>::default();
        let mut filtered =
            async |chunks| decisions.stream_filter_records(messages(chunks, &count)).await.unwrap().into_inner();

        all(filtered(FEW).await, FEW).await;
        let short = peak_kb(server.id());
        all(filtered(MANY).await, MANY).await;
        let long = peak_kb(server.id());
        println!("{FEW} chunks: {short} kB; {MANY} chunks: {long} kB");
        assert!(long <= short + BOUND_KB, "{MANY} chunks took {} kB more than {FEW}", long - short);

        // Whoever does not read is not read, once the windows both ways are full.
        count.store(0, Ordering::SeqCst);
        let unread = filtered(MANY).await;
        let mut before = usize::MAX;
        while count.load(Ordering::SeqCst) != before {
            before = count.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        let standing = peak_kb(server.id());
        println!("unread: {before} chunks were taken, {standing} kB");
        assert!(before < MANY / 2, "{before} chunks were taken from a client that does not read");
        assert!(standing <= short + BOUND_KB, "unread replies took {} kB more", standing - short);
        all(unread, MANY).await;
        let ended = peak_kb(server.id());
        assert!(ended <= short + BOUND_KB, "{} kB more", ended - short);
    });
}
