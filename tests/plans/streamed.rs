//! `StreamFilterRecords` of a real server over TCP. It serves the very version that is asked in process, at the
//! question's own time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use doorward::clock::{Clock, ClockError};
use doorward::config::{Access, Config, Storage};
use doorward::core::model::Millis;
use doorward::core::table::Table;
use doorward::engine::Engine;
use doorward::server::{Bound, serve_with};
use doorward::service::proto::decision_service_client::DecisionServiceClient;
use doorward::service::proto::decision_service_server::DecisionServiceServer;
use doorward::service::{Decisions, proto as pb};
use doorward::store::MemoryStore;
use doorward::telemetry::Sampler;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tonic::transport::Channel;

/// The time of the question at hand.
#[derive(Default)]
struct Now(AtomicI64);

impl Clock for Now {
    fn now(&self) -> Millis {
        self.0.load(Ordering::SeqCst)
    }

    fn random(&self) -> Result<[u8; 16], ClockError> {
        Ok([7; 16])
    }
}

/// A server that runs until this is dropped.
pub struct Streamed {
    engine: Arc<Engine>,
    now: Arc<Now>,
    client: DecisionServiceClient<Channel>,
    stop: Option<oneshot::Sender<()>>,
    runtime: Runtime,
}

impl Streamed {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let now = Arc::<Now>::default();
        let clock: Arc<dyn Clock> = Arc::clone(&now) as _;
        let engine = Engine::open(Arc::new(MemoryStore::new()), clock, |error| panic!("{error}")).unwrap();
        let engine = Arc::new(engine);
        let config = Config {
            storage: Storage::Memory,
            access: Access::InsecureDev,
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            unix: None,
            address_file: None,
            workers: Some(1),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(2),
        };
        let (ready, bound) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = Arc::clone(&engine);
        runtime.spawn(async move {
            let decisions = DecisionServiceServer::new(Decisions::new(Arc::clone(&serving)));
            let ready = |bound: Bound| ready.send(bound.tcp[0]).unwrap();
            serve_with(&config, &serving, decisions, Sampler::off(), ready, async { drop(stopped.await) })
                .await
                .unwrap();
        });
        let client = runtime.block_on(async {
            let address = bound.await.unwrap();
            Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
        });
        Self { engine, now, client: DecisionServiceClient::new(client), stop: Some(stop), runtime }
    }

    /// From now on this is what it serves.
    pub fn publish(&self, table: &Arc<Table>) {
        assert!(table.revision() > 0);
        self.engine.snapshots().publish([Arc::clone(table)], 0);
        self.engine.snapshots().sweep();
    }

    /// The positions that pass of each chunk.
    pub fn ask(&mut self, now: Millis, query: pb::FilterQuery, chunks: Vec<Chunk>) -> Vec<Vec<u32>> {
        self.now.0.store(now, Ordering::SeqCst);
        let count = chunks.len();
        let mut messages: Vec<_> = chunks.into_iter().map(Chunk::message).collect();
        messages[0].query = Some(query);
        let replies = self.runtime.block_on(async {
            let mut replies = self.client.stream_filter_records(tokio_stream::iter(messages)).await?.into_inner();
            let mut all = Vec::new();
            while let Some(reply) = replies.message().await? {
                assert_eq!(reply.chunk, all.len() as u64);
                all.push(reply.positions);
            }
            Ok::<_, tonic::Status>(all)
        });
        let replies = replies.unwrap_or_else(|status| panic!("{status:?}"));
        assert_eq!(replies.len(), count);
        replies
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

/// Records that are sent together.
pub enum Chunk {
    Rows(Vec<pb::Record>),
    Columns(Box<pb::RecordColumns>),
}

impl Chunk {
    fn message(self) -> pb::StreamFilterRecordsRequest {
        let (records, columns) = match self {
            Self::Rows(records) => (records, None),
            Self::Columns(columns) => (Vec::new(), Some(*columns)),
        };
        pb::StreamFilterRecordsRequest { query: None, records, columns }
    }
}
