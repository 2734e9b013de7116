//! `ActivityService`: the activity log (rule 7.5); its reports on who can do what are in `review`.
//!
//! The log lies in the store, so all of it is read beside the runtime, a bounded part at a time. Who reads
//! is asked again before each part of a stream: what a reader loses ends the stream with the next entry.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use crate::core::activity::Hash;
use crate::core::id::{Id, OpaqueId};
use crate::core::table::Table;
use crate::engine::activity::{Asked, Direction, Erasure, Page as Part, Tip};
use crate::engine::{AtLeast, ReadError};

use super::admin::{Admin, Reply};
use super::convert::activity::{Filter, filter, to_entry};
use super::paging::Page;
use super::proto::activity_service_server::ActivityService;
use super::proto::*;
use super::refusal::Refusal;
use super::report::{self, revision_of};
use super::request::{Read, caller, reading, writing};

/// Messages that wait for the client.
const AHEAD: usize = 2;
/// Entries in one message of a stream.
const BATCH: usize = 100;

#[tonic::async_trait]
impl ActivityService for Admin {
    async fn list_activity(&self, request: Request<ListActivityRequest>) -> Reply<ListActivityResponse> {
        let (read, (page, filter)) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListActivity", &mut m);
            let ListActivityRequest { organization: _, filter, min_revision: _, page_size: _, page_token: _ } = m;
            page.zip(self::filter(f, filter))
        })?;
        let (table, readable) = self.readable(&read).await?;
        let from = page.number(table.history())?.unwrap_or(u64::MAX);
        let asked = Asked { from, direction: Direction::Backward, size: page.size };
        let part = self.part(&table, asked, filter, readable).await?;
        let next_page_token = page.at_number(table.history(), part.next);
        Ok(Response::new(ListActivityResponse {
            entries: messages(&table, part),
            revision: Some(revision_of(&table)),
            next_page_token,
        }))
    }

    async fn stream_activity(
        &self,
        request: Request<StreamActivityRequest>,
    ) -> Result<Response<BoxStream<StreamActivityResponse>>, Status> {
        let bearer = caller(&request)?.bearer.clone();
        let (read, (filter, after, follow)) = reading(request, |f, m| {
            let StreamActivityRequest { organization: _, filter, after_sequence, follow, min_revision: _ } = m;
            Some((self::filter(f, filter)?, after_sequence, follow))
        })?;
        let (table, _) = self.readable(&read).await?;
        let permit = Arc::clone(&self.followers).try_acquire_owned().map_err(|_| Refusal::TooManyFollowers)?;
        let (sender, receiver) = mpsc::channel(AHEAD);
        let end = self.engine.activity_end(&table).ok_or_else(|| over(&table))?;
        let history = Arc::clone(table.history());
        let stream = Stream { admin: self.clone(), read, history, end, filter, follow, bearer, _permit: permit };
        tokio::spawn(async move {
            if let Err(status) = stream.send(after, &sender).await {
                // Whoever went away does not hear of it.
                let _ = sender.send(Err(status)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn verify_activity(&self, request: Request<VerifyActivityRequest>) -> Reply<VerifyActivityResponse> {
        let (read, (after, expected)) = reading(request, |f, m| {
            let VerifyActivityRequest { organization: _, after_sequence, expected_hash, min_revision: _ } = m;
            let expected = match (expected_hash.is_empty(), Hash::try_from(expected_hash)) {
                (true, _) => None,
                (false, Ok(hash)) => Some(hash),
                (false, Err(_)) => {
                    f.refuse("expected_hash", "has not 32 bytes");
                    return None;
                }
            };
            Some((after_sequence, expected))
        })?;
        let table = self.table(&read).await?;
        let verifier = self.engine.verifier(&table, after, expected);
        let mut verifier = verifier.ok_or_else(|| over(&table))?;
        loop {
            let store = Arc::clone(self.engine.store());
            let step = move || verifier.step(&*store).map(|more| (verifier, more));
            let stepped = tokio::task::spawn_blocking(step).await.map_err(|_| Refusal::Internal("verifying failed"))?;
            let more;
            (verifier, more) = stepped.map_err(Refusal::from)?;
            if !more {
                break;
            }
        }
        let Tip { sequence, hash } = verifier.tip();
        let (first_broken_sequence, problem) =
            verifier.broken.map_or_else(Default::default, |broken| (broken.sequence, broken.problem));
        Ok(Response::new(VerifyActivityResponse {
            intact: first_broken_sequence == 0,
            first_broken_sequence,
            problem,
            entries_verified: verifier.verified,
            last_sequence: sequence,
            last_hash: hash.to_vec(),
            revision: Some(revision_of(&table)),
        }))
    }

    async fn erase_personal_data(
        &self,
        request: Request<ErasePersonalDataRequest>,
    ) -> Reply<ErasePersonalDataResponse> {
        let (call, user) = writing(request, |f, m| {
            let ErasePersonalDataRequest { organization: _, user, request_id: _, validate_only: _ } = m;
            f.parse::<OpaqueId>("user", &user)
        })?;
        self.erase(call, user, |erasure| {
            let Erasure { erased, left, user_exists, revision } = erasure;
            ErasePersonalDataResponse {
                entries_erased: *erased,
                entries_left: *left,
                user_exists: *user_exists,
                revision: Some(report::revision(revision)),
            }
        })
        .await
    }

    async fn review_access(
        &self,
        request: Request<ReviewAccessRequest>,
    ) -> Result<Response<BoxStream<ReviewAccessResponse>>, Status> {
        self.access(request).await
    }

    async fn list_unused_roles(&self, request: Request<ListUnusedRolesRequest>) -> Reply<ListUnusedRolesResponse> {
        self.unused_roles(request).await
    }

    async fn list_unused_permissions(
        &self,
        request: Request<ListUnusedPermissionsRequest>,
    ) -> Reply<ListUnusedPermissionsResponse> {
        self.unused_permissions(request).await
    }
}

fn messages(table: &Table, part: Part) -> Vec<ActivityEntry> {
    part.entries.into_iter().map(|found| to_entry(table.id(), table.history(), found)).collect()
}

impl Admin {
    /// The version that a read asks for, and of which accounts the caller may read; none for all.
    async fn readable(&self, read: &Read) -> Result<(Arc<Table>, Option<BTreeSet<Id>>), Status> {
        let table = self.engine.table(&read.organization, read.at_least(), read.wait).await?;
        let now = self.engine.now();
        match read.authority.accounts(&table, now) {
            Ok(accounts) => {
                self.note_use(read, &table, now, accounts.as_ref());
                Ok((table, accounts))
            }
            Err(refusal) => Err(self.unread(read, &table, refusal).await),
        }
    }

    async fn part(
        &self,
        table: &Arc<Table>,
        asked: Asked,
        filter: Filter,
        readable: Option<BTreeSet<Id>>,
    ) -> Result<Part, Refusal> {
        let (engine, version) = (Arc::clone(&self.engine), Arc::clone(table));
        let read = move || {
            let wanted = |entry: &_| filter.admits(version.id(), readable.as_ref(), entry);
            engine.activity(&version, asked, &wanted)
        };
        let part = tokio::task::spawn_blocking(read).await.map_err(|_| Refusal::Internal("reading the log failed"))?;
        part?.ok_or_else(|| over(table))
    }
}

/// The organization ended while it was read.
fn over(table: &Table) -> Refusal {
    Refusal::Read(ReadError::UnknownOrganization(table.id().to_string()))
}

/// A stream of entries, in order.
struct Stream {
    admin: Admin,
    read: Read,
    /// Whose log it is: what may come after it under the same id is none of its business.
    history: Arc<str>,
    end: watch::Receiver<Tip>,
    filter: Filter,
    follow: bool,
    bearer: Option<Arc<crate::engine::Bearer>>,
    _permit: OwnedSemaphorePermit,
}

type Sender = mpsc::Sender<Result<StreamActivityResponse, Status>>;

impl Stream {
    async fn send(self, after: u64, sender: &Sender) -> Result<(), Status> {
        let Self { admin, read, history, mut end, filter, follow, bearer, _permit } = self;
        let same = AtLeast { history: &history, number: 0 };
        let mut draining = admin.engine.draining();
        let mut next = after.saturating_add(1);
        loop {
            let (last, stops) = (end.borrow_and_update().sequence, *draining.borrow_and_update());
            if follow && stops {
                return Err(Refusal::Stopping.into());
            }
            let table = admin.engine.table(&read.organization, Some(same), Duration::ZERO).await?;
            if let Some(bearer) = &bearer {
                admin.engine.still_in(bearer).map_err(|_| Refusal::NoCaller)?;
            }
            let now = admin.engine.now();
            let readable = read.authority.accounts(&table, now)?;
            admin.note_use(&read, &table, now, readable.as_ref());
            let asked = Asked { from: next, direction: Direction::Forward, size: BATCH };
            let part = admin.part(&table, asked, filter.clone(), readable).await?;
            let (more, through_sequence) = (part.next.is_some(), part.through);
            next = through_sequence + 1;
            let entries = messages(&table, part);
            if sender.send(Ok(StreamActivityResponse { entries, through_sequence })).await.is_err() {
                return Ok(());
            }
            if more || next <= last {
                continue;
            }
            if !follow {
                return Ok(());
            }
            tokio::select! {
                () = sender.closed() => return Ok(()),
                changed = end.changed() => changed.map_err(|_| over(&table))?,
                changed = draining.changed() => changed.map_err(|_| Refusal::Stopping)?,
            }
        }
    }
}
