//! `StreamFilterRecords`: `FilterRecords` chunk by chunk, at one version and one instant.
//!
//! A task of its own reads the stream, filters a chunk as `FilterRecords` filters its records, and hands
//! over the reply. One reply waits for the client at a time, and while another waits for its place no
//! chunk is read: HTTP/2 then stops whoever sends. So a stream holds two chunks at most, however long
//! it is, and its version, until it ends, is cancelled, or stands still for [`IDLE`].
//!
//! How it ends is told apart from the replies: whoever does not take those holds up neither the task nor
//! its place among the streams, and a task that fails does not look like one that came to its end.
//!
//! The task gives way to others after each chunk, and a large one is filtered beside the runtime:
//! decisions on the same thread wait for a small chunk at most.
//!
//! Ids are held against each other within a chunk only: what is remembered must not grow with the stream.
//!
//! The question is begun, and conditions are folded, for each chunk again. What could be kept borrows the
//! version and the query that lie beside it, and folding a condition costs about what it costs to ask a few
//! records: of a chunk worth sending, nobody would notice.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio_stream::{Stream, StreamExt};
use tonic::codegen::BoxStream;
use tonic::{Code, Status};

use crate::core::model::Millis;
use crate::core::table::Table;
use crate::engine::AtLeast;
use crate::snapshot::Published;

use super::super::Caller;
use super::super::fields::Fields;
use super::super::proto::*;
use super::super::refusal::Refusal;
use super::super::request::at_least;
use super::{Decisions, filter, floor};

/// Streams of records that go on at a time.
pub const MAX_STREAMS: usize = 256;
/// How long a stream may bring nothing, or take nothing. It keeps a version from being freed.
pub const IDLE: Duration = Duration::from_mins(1);
/// Replies that wait for the client.
const AHEAD: usize = 1;

type Message = Result<StreamFilterRecordsRequest, Status>;
type Sender = mpsc::Sender<StreamFilterRecordsResponse>;

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
    /// A call of its own, without its records: each chunk's are put in. A query may be large, and is
    /// not copied for each.
    request: FilterRecordsRequest,
    table: Arc<Table>,
    published: Arc<Published>,
    now: Millis,
}

/// What the client takes: the replies, and then how the stream ended.
struct Replies {
    replies: mpsc::Receiver<StreamFilterRecordsResponse>,
    /// None once it was told.
    end: Option<oneshot::Receiver<Result<(), Status>>>,
}

impl Stream for Replies {
    type Item = Result<StreamFilterRecordsResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(reply) = ready!(self.replies.poll_recv(context)) {
            return Poll::Ready(Some(Ok(reply)));
        }
        let Some(end) = &mut self.end else { return Poll::Ready(None) };
        let ended = ready!(Pin::new(end).poll(context));
        self.end = None;
        // INVARIANT 4: a task that told nothing failed, and what it did not filter is not to be taken for denied.
        let ended = ended.unwrap_or_else(|_| Err(Refusal::Internal("the stream was cut short").into()));
        Poll::Ready(ended.err().map(Err))
    }
}

impl Filtering {
    /// The replies to what comes.
    pub fn start(
        self,
        incoming: impl Stream<Item = Message> + Unpin + Send + 'static,
    ) -> BoxStream<StreamFilterRecordsResponse> {
        let (sender, replies) = mpsc::channel(AHEAD);
        let (told, end) = oneshot::channel();
        tokio::spawn(async move {
            let ended = self.run(incoming, &sender).await;
            // Its place is free before anybody hears of the end.
            drop(self);
            // Whoever went away does not hear of it.
            let _ = told.send(ended);
        });
        Box::pin(Replies { replies, end: Some(end) })
    }

    async fn run(
        &self,
        mut incoming: impl Stream<Item = Message> + Unpin + Send + 'static,
        sender: &Sender,
    ) -> Result<(), Status> {
        let StreamFilterRecordsRequest { query, mut records, mut columns } =
            self.next(&mut incoming, sender).await?.unwrap_or_default();
        let mut query = self.begin(query.ok_or_else(|| wrong("is required in the first message"))?).await?;
        let mut chunk = 0;
        loop {
            if !records.is_empty() || columns.is_some() {
                self.may_go_on(&query)?;
                let reply;
                (query, reply) = self.filtered(query, records, columns, chunk).await?;
                let sent = tokio::select! {
                    sent = tokio::time::timeout(self.idle, sender.send(reply)) => sent.map_err(|_| Refusal::Idle(self.idle))?,
                    () = self.drained() => return Err(Refusal::Stopping.into()),
                };
                if sent.is_err() {
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
        let least = floor(self.caller.bearer.as_deref(), query.min_revision.as_ref().map(at_least))?;
        let pinned = engine.pin(&query.organization, least, self.patience).await;
        let request = FilterRecordsRequest::from(query);
        let (table, published) = match pinned {
            Ok(pinned) => pinned,
            // Malformed wins.
            Err(error) => {
                return Err(filter::answer(engine, &request).err().map_or_else(|| error.into(), Status::from));
            }
        };
        let now = engine.now();
        filter::answer_at(engine, (&table, published.marks()), &request, now)?;
        Ok(Pinned { request, table, published, now })
    }

    /// What a caller loses ends the stream with the next chunk, and so does the organization's end. An
    /// operator loses nothing: tokens of operators are not revoked while a server runs.
    fn may_go_on(&self, query: &Pinned) -> Result<(), Status> {
        let (engine, organization) = (&self.decisions.engine, &query.request.organization);
        if *engine.draining().borrow() {
            return Err(Refusal::Stopping.into());
        }
        if let Some(bearer) = &self.caller.bearer {
            engine.still_in(bearer).map_err(|_| Refusal::NoCaller)?;
        }
        self.decisions.enter(&self.caller, organization)?;
        // What came after it under the same id is another one.
        let same = AtLeast { history: query.table.history(), number: 0 };
        Ok(engine.with_table(organization, Some(same), |_| ())?)
    }

    /// The reply to one chunk, and the query back.
    async fn filtered(
        &self,
        mut query: Pinned,
        records: Vec<Record>,
        columns: Option<RecordColumns>,
        chunk: u64,
    ) -> Result<(Pinned, StreamFilterRecordsResponse), Status> {
        (query.request.records, query.request.columns) = (records, columns);
        let engine = Arc::clone(&self.decisions.engine);
        let few = filter::are_few(&query.request);
        let work = move || {
            let answered =
                filter::answer_at(&engine, (&query.table, query.published.marks()), &query.request, query.now);
            let answered = answered.map_err(Status::from);
            (query.request.records, query.request.columns) = (Vec::new(), None);
            (query, answered)
        };
        let answered = if few { Ok(work()) } else { tokio::task::spawn_blocking(work).await };
        let (query, answered) = answered.map_err(|_| Refusal::Internal("filtering was cut short"))?;
        let FilterRecordsResponse { positions, record_ids, reason, revision, staleness, bitmap, by_permission } =
            answered?;
        let reply = StreamFilterRecordsResponse {
            chunk,
            positions,
            record_ids,
            reason,
            revision,
            staleness,
            bitmap,
            by_permission,
        };
        Ok((query, reply))
    }

    /// Ready when the server is about to stop.
    async fn drained(&self) {
        // The engine, which tells it, is held here.
        let _ = self.decisions.engine.draining().wait_for(|draining| *draining).await;
    }

    /// The next message, unless the stream ends, none comes in time, or whoever asks is gone.
    async fn next(
        &self,
        incoming: &mut (impl Stream<Item = Message> + Unpin),
        sender: &Sender,
    ) -> Result<Option<StreamFilterRecordsRequest>, Status> {
        let message = tokio::select! {
            () = sender.closed() => return Ok(None),
            () = self.drained() => return Err(Refusal::Stopping.into()),
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

/// A query as a call of its own, without records. Its least revision was waited for.
impl From<FilterQuery> for FilterRecordsRequest {
    fn from(query: FilterQuery) -> Self {
        let FilterQuery {
            organization,
            principal,
            permission,
            account,
            object,
            context,
            min_revision: _,
            positions_only,
            permissions,
            bitmap,
        } = query;
        Self {
            organization,
            principal,
            permission,
            account,
            object,
            context,
            min_revision: None,
            positions_only,
            records: Vec::new(),
            columns: None,
            permissions,
            bitmap,
        }
    }
}

fn wrong(what: &str) -> Refusal {
    let mut fields = Fields::default();
    fields.refuse("query", what);
    fields.finish::<()>(None).err().unwrap_or(Refusal::Internal("a malformed stream without a violation"))
}
