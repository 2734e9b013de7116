//! `StreamFilterRecords`: `FilterRecords` chunk by chunk, at one version and one instant.
//!
//! A task of its own reads the stream, filters a chunk as `FilterRecords` filters its records, and hands
//! over the reply. One reply waits for the client at a time, and while another waits for its place no
//! chunk is read: HTTP/2 then stops whoever sends. So a stream holds two chunks at most, however long
//! it is, and its version, until it ends, is cancelled, or stands still for [`IDLE`].
//!
//! The task gives way to others after each chunk, and a large one is filtered beside the runtime:
//! decisions on the same thread wait for a small chunk at most.
//!
//! Ids are held against each other within a chunk only: what is remembered must not grow with the stream.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::codegen::BoxStream;
use tonic::{Code, Status};

use crate::core::model::Millis;
use crate::core::table::Table;
use crate::snapshot::Published;

use super::super::Caller;
use super::super::fields::Fields;
use super::super::proto::*;
use super::super::refusal::Refusal;
use super::super::request::at_least;
use super::{Decisions, filter};

/// Streams of records that go on at a time.
pub const MAX_STREAMS: usize = 256;
/// How long a stream may bring nothing, or take nothing. It keeps a version from being freed.
pub const IDLE: Duration = Duration::from_mins(1);
/// Replies that wait for the client.
const AHEAD: usize = 1;

type Message = Result<StreamFilterRecordsRequest, Status>;
type Sender = mpsc::Sender<Result<StreamFilterRecordsResponse, Status>>;

/// A stream that goes on.
pub struct Filtering {
    pub decisions: Decisions,
    pub caller: Caller,
    /// How long to wait for the least revision.
    pub patience: Duration,
    /// How long it may stand still.
    pub idle: Duration,
    pub _permit: OwnedSemaphorePermit,
}

/// What a stream is filtered by, and at.
struct Pinned {
    query: FilterQuery,
    table: Arc<Table>,
    published: Arc<Published>,
    now: Millis,
}

impl Filtering {
    /// The replies to what comes.
    pub fn start(
        self,
        incoming: impl Stream<Item = Message> + Unpin + Send + 'static,
    ) -> BoxStream<StreamFilterRecordsResponse> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        tokio::spawn(async move {
            if let Err(status) = self.run(incoming, &sender).await {
                // Whoever went away does not hear of it.
                let _ = sender.send(Err(status)).await;
            }
        });
        Box::pin(ReceiverStream::new(receiver))
    }

    async fn run(
        self,
        mut incoming: impl Stream<Item = Message> + Unpin + Send + 'static,
        sender: &Sender,
    ) -> Result<(), Status> {
        let StreamFilterRecordsRequest { query, mut records, mut columns } =
            self.next(&mut incoming, sender).await?.unwrap_or_default();
        let query = self.begin(query.ok_or_else(|| wrong("is required in the first message"))?).await?;
        let mut chunk = 0;
        loop {
            if !records.is_empty() || columns.is_some() {
                self.may_go_on(&query)?;
                let reply = self.filtered(&query, records, columns, chunk).await?;
                let sent = tokio::time::timeout(self.idle, sender.send(Ok(reply))).await;
                if sent.map_err(|_| Refusal::Idle(self.idle))?.is_err() {
                    return Ok(());
                }
                chunk += 1;
            }
            tokio::task::yield_now().await;
            let Some(message) = self.next(&mut incoming, sender).await? else { return Ok(()) };
            let again;
            StreamFilterRecordsRequest { query: again, records, columns } = message;
            if again.is_some() {
                return Err(wrong("is only for the first message").into());
            }
        }
    }

    /// Pins the version, and finds what is wrong with the query before the first chunk comes.
    async fn begin(&self, query: FilterQuery) -> Result<Pinned, Status> {
        let engine = &self.decisions.engine;
        self.decisions.enter(&self.caller, &query.organization)?;
        let least = query.min_revision.as_ref().map(at_least);
        let nothing = request(&query, Vec::new(), None);
        let (table, published) = match engine.pin(&query.organization, least, self.patience).await {
            Ok(pinned) => pinned,
            // Malformed wins.
            Err(error) => {
                return Err(filter::answer(engine, &nothing).err().map_or_else(|| error.into(), Status::from));
            }
        };
        let now = engine.now();
        filter::answer_at(engine, (&table, published.marks()), &nothing, now)?;
        Ok(Pinned { query, table, published, now })
    }

    /// What a caller loses ends the stream with the next chunk, and so does the organization's end.
    fn may_go_on(&self, query: &Pinned) -> Result<(), Status> {
        let (engine, organization) = (&self.decisions.engine, &query.query.organization);
        if let Some(bearer) = &self.caller.bearer {
            engine.still_in(bearer).map_err(|_| Refusal::NoCaller)?;
        }
        self.decisions.enter(&self.caller, organization)?;
        Ok(engine.with_table(organization, None, |_| ())?)
    }

    async fn filtered(
        &self,
        query: &Pinned,
        records: Vec<Record>,
        columns: Option<RecordColumns>,
        chunk: u64,
    ) -> Result<StreamFilterRecordsResponse, Status> {
        let Pinned { query, table, published, now } = query;
        let chunk_of = request(query, records, columns);
        let (engine, table, now) = (Arc::clone(&self.decisions.engine), Arc::clone(table), *now);
        let published = Arc::clone(published);
        let few = filter::are_few(&chunk_of);
        let work =
            move || filter::answer_at(&engine, (&table, published.marks()), &chunk_of, now).map_err(Status::from);
        let answered = if few { Ok(work()) } else { tokio::task::spawn_blocking(work).await };
        let answered = answered.map_err(|_| Refusal::Internal("filtering was cut short"))?;
        let FilterRecordsResponse { positions, record_ids, reason, revision, staleness } = answered?;
        Ok(StreamFilterRecordsResponse { chunk, positions, record_ids, reason, revision, staleness })
    }

    /// The next message, unless the stream ends, none comes in time, or whoever asks is gone.
    async fn next(
        &self,
        incoming: &mut (impl Stream<Item = Message> + Unpin),
        sender: &Sender,
    ) -> Result<Option<StreamFilterRecordsRequest>, Status> {
        let message = tokio::select! {
            () = sender.closed() => return Ok(None),
            message = tokio::time::timeout(self.idle, incoming.next()) => message.map_err(|_| Refusal::Idle(self.idle))?,
        };
        message.transpose().map_err(|status| match status.code() {
            // tonic's words: of a later message nobody else explains them.
            Code::OutOfRange => Refusal::MessageTooLarge(status.message().to_owned()).into(),
            Code::Internal => Refusal::MalformedMessage(status.message().to_owned()).into(),
            _ => status,
        })
    }
}

/// One chunk, as a call of its own.
fn request(query: &FilterQuery, records: Vec<Record>, columns: Option<RecordColumns>) -> FilterRecordsRequest {
    let FilterQuery { organization, principal, permission, account, object, context, min_revision: _, positions_only } =
        query.clone();
    FilterRecordsRequest {
        organization,
        principal,
        permission,
        account,
        object,
        context,
        min_revision: None,
        positions_only,
        records,
        columns,
    }
}

fn wrong(what: &str) -> Refusal {
    let mut fields = Fields::default();
    fields.refuse("query", what);
    fields.finish::<()>(None).err().unwrap_or(Refusal::Internal("a malformed stream without a violation"))
}
