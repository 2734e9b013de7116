//! `DecisionService`.
//!
//! `Authorize` borrows its question from the request; a version that is not there yet is the only
//! thing it waits for.

mod batch;
mod elements;
mod explain;
pub(super) mod filter;
mod plan;
mod principals;
pub(super) mod question;
mod stream;
mod suggestion;
mod words;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_stream::Stream;
use tonic::codegen::BoxStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use crate::core::decision::{Question, Reason as Decided, Walk, decide};
use crate::core::table::Table;
use crate::engine::{self, AtLeast, Bearer, Engine, ReadError};

use super::Caller;
use super::access::Authority;
use super::admin::Reply;
use super::fields::Fields;
use super::paging::Page;
use super::proto::decision_service_server::DecisionService;
use super::proto::*;
use super::refusal::Refusal;
use super::report::revision_of;
use super::request::{at_least, caller, reading};
use super::status::Failure;

pub use batch::MAX_ITEMS;
pub use explain::{explanation, to_path};
pub use filter::answer_offline as filtered;
pub use plan::answer as planned;
use question::{Asked, NO_PERMISSION};

#[cfg(test)]
pub(super) use stream::MAX_STREAMS;
pub use words::source;

/// How long a caller without a deadline waits for a least revision.
const PATIENCE: Duration = Duration::from_secs(1);

/// Serves `DecisionService`.
#[derive(Clone)]
pub struct Decisions {
    engine: Arc<Engine>,
    /// Streams of records that may begin.
    streams: Arc<Semaphore>,
}

impl Decisions {
    /// Decides by what `engine` keeps.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine, streams: Arc::new(Semaphore::new(stream::MAX_STREAMS)) }
    }
}

#[tonic::async_trait]
impl DecisionService for Decisions {
    async fn authorize(&self, request: Request<AuthorizeRequest>) -> Reply<AuthorizeResponse> {
        let (metadata, extensions, message) = request.into_parts();
        let caller: &Caller = extensions.get().ok_or(Refusal::NoCaller)?;
        self.enter(caller, &message.organization)?;
        let AuthorizeRequest { organization, principal, permission, resource, context, min_revision } = &message;
        let mut fields = Fields::default();
        let asked = Asked::new(&mut fields, principal, permission, resource.as_ref(), context.as_ref());
        let bearer = caller.bearer.as_deref();
        if !fields.is_empty() {
            return Err(self.malformed(fields, bearer, organization, &asked.question).into());
        }
        let min_revision = floor(bearer, min_revision.as_ref().map(at_least))?;
        let decide = || self.engine.authorize(organization, min_revision, &asked.question, answer);
        let mut decided = decide();
        if let (Err(ReadError::NotReached { .. }), Some(least)) = (&decided, min_revision) {
            self.engine.wait_for(organization, least, patience(&metadata)).await?;
            decided = decide();
        }
        match decided {
            Ok(answer) => Ok(Response::new(answer)),
            Err(error) => Err(question::failure(error, &asked.question).into()),
        }
    }

    async fn batch_authorize(&self, request: Request<BatchAuthorizeRequest>) -> Reply<BatchAuthorizeResponse> {
        let (metadata, mut extensions, message) = request.into_parts();
        let caller: Caller = extensions.remove().ok_or(Refusal::NoCaller)?;
        let mut fields = Fields::default();
        batch::check(&mut fields, &message);
        fields.finish(Some(()))?;
        let own = caller.bearer.as_deref();
        if let Some(own) = own {
            self.enter(&caller, own.organization.as_str())?;
        }
        Ok(Response::new(batch::decide(&self.engine, own, &message, patience(&metadata)).await))
    }

    async fn filter_records(&self, request: Request<FilterRecordsRequest>) -> Reply<FilterRecordsResponse> {
        let (metadata, extensions, mut message) = request.into_parts();
        let caller: &Caller = extensions.get().ok_or(Refusal::NoCaller)?;
        self.enter(caller, &message.organization)?;
        if let Some(least) = message.min_revision.as_ref().map(at_least) {
            self.engine.wait_for(&message.organization, least, patience(&metadata)).await?;
        }
        let least = floor(caller.bearer.as_deref(), message.min_revision.as_ref().map(at_least))?;
        message.min_revision =
            least.map(|AtLeast { history, number }| Revision { history: history.to_owned(), number });
        let engine = Arc::clone(&self.engine);
        let few = filter::are_few(&message);
        let work = move || filter::answer(&engine, &message).map_err(Status::from);
        let answered = if few { Ok(work()) } else { tokio::task::spawn_blocking(work).await };
        let answered = answered.map_err(|_| Refusal::Internal("filtering was cut short"))?;
        Ok(Response::new(answered?))
    }

    async fn stream_filter_records(
        &self,
        request: Request<Streaming<StreamFilterRecordsRequest>>,
    ) -> Reply<BoxStream<StreamFilterRecordsResponse>> {
        let (metadata, mut extensions, incoming) = request.into_parts();
        let caller: Caller = extensions.remove().ok_or(Refusal::NoCaller)?;
        Ok(Response::new(self.filter_stream(caller, patience(&metadata), stream::IDLE, incoming)?))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Reply<ExplainResponse> {
        let (metadata, extensions, message) = request.into_parts();
        let caller: &Caller = extensions.get().ok_or(Refusal::NoCaller)?;
        self.enter(caller, &message.organization)?;
        let bearer = caller.bearer.as_deref();
        let mut fields = Fields::default();
        let (Asked { question, .. }, _) = explain::asked(&mut fields, &message);
        if !fields.is_empty() {
            return Err(self.malformed(fields, bearer, &message.organization, &question).into());
        }
        let least = floor(bearer, message.min_revision.as_ref().map(at_least))?;
        let table = self.engine.table(&message.organization, least, patience(&metadata)).await;
        let table = table.map_err(|error| question::failure(error, &question))?;
        let now = self.engine.now();
        // It looks at more than a decision does: those shall not wait for it.
        let work = move || explain::answer(&table, &message, now).map_err(Status::from);
        let answered = tokio::task::spawn_blocking(work).await;
        Ok(Response::new(answered.map_err(|_| Refusal::Internal("explaining was cut short"))??))
    }

    async fn list_elements(&self, request: Request<ListElementsRequest>) -> Reply<ListElementsResponse> {
        let (metadata, extensions, message) = request.into_parts();
        let caller: &Caller = extensions.get().ok_or(Refusal::NoCaller)?;
        self.enter(caller, &message.organization)?;
        let least = floor(caller.bearer.as_deref(), message.min_revision.as_ref().map(at_least))?;
        let table = self.engine.table(&message.organization, least, patience(&metadata)).await?;
        let now = self.engine.now();
        let work = move || elements::answer(&table, &message, now).map_err(Status::from);
        let answered = tokio::task::spawn_blocking(work).await;
        Ok(Response::new(answered.map_err(|_| Refusal::Internal("listing elements was cut short"))??))
    }

    async fn plan_records(&self, request: Request<PlanRecordsRequest>) -> Reply<PlanRecordsResponse> {
        let (metadata, extensions, message) = request.into_parts();
        let caller: &Caller = extensions.get().ok_or(Refusal::NoCaller)?;
        self.enter(caller, &message.organization)?;
        let least = floor(caller.bearer.as_deref(), message.min_revision.as_ref().map(at_least))?;
        let (table, published) = self.engine.pin(&message.organization, least, patience(&metadata)).await?;
        let now = self.engine.now();
        // It looks at every record at which anything is held.
        let work = move || {
            let answered = plan::answer(&table, &message, now).map_err(Status::from)?;
            plan::allowed(&table, &message, &answered).for_each(|permission| {
                published.marks().note(permission, now);
            });
            Ok::<_, Status>(answered)
        };
        let answered = tokio::task::spawn_blocking(work).await;
        Ok(Response::new(answered.map_err(|_| Refusal::Internal("planning was cut short"))??))
    }

    async fn list_permissions(&self, request: Request<ListPermissionsRequest>) -> Reply<ListPermissionsResponse> {
        let caller = caller(&request)?;
        self.enter(caller, &request.get_ref().organization)?;
        let bearer = caller.bearer.clone();
        let (read, (page, message)) =
            reading(request, |f, mut m| Page::take(f, "ListPermissions", &mut m).zip(Some(m)))?;
        let ListPermissionsRequest {
            organization,
            principal,
            resource,
            context,
            min_revision: _,
            page_size: _,
            page_token: _,
        } = &message;
        let mut fields = Fields::default();
        let asked = Asked::new(&mut fields, principal, NO_PERMISSION, resource.as_ref(), context.as_ref());
        if !fields.is_empty() {
            return Err(self.malformed(fields, bearer.as_deref(), organization, &asked.question).into());
        }
        if let Some(least) = read.at_least() {
            self.engine.wait_for(organization, least, read.wait).await?;
        }
        let least = floor(bearer.as_deref(), read.at_least())?;
        let listed = self.engine.walk(organization, least, &asked.question, |walk, table, now| {
            let listed = permissions(walk, table, &page)?;
            self.engine.note_list(table, &asked.question, now, &listed.permissions);
            Ok::<_, Refusal>(listed)
        });
        match listed {
            Ok(listed) => Ok(Response::new(listed?)),
            Err(error) => Err(question::failure(error, &asked.question).into()),
        }
    }

    async fn list_principals(&self, request: Request<ListPrincipalsRequest>) -> Reply<ListPrincipalsResponse> {
        let caller = caller(&request)?;
        self.enter(caller, &request.get_ref().organization)?;
        let bearer = caller.bearer.clone();
        let (read, (page, message)) =
            reading(request, |f, mut m| Page::take(f, "ListPrincipals", &mut m).zip(Some(m)))?;
        let mut fields = Fields::default();
        let Asked { question } = principals::asked(&mut fields, &message);
        if !fields.is_empty() {
            return Err(self.malformed(fields, bearer.as_deref(), &message.organization, &question).into());
        }
        let least = floor(bearer.as_deref(), read.at_least())?;
        let table = self.engine.table(&read.organization, least, read.wait).await;
        let table = table.map_err(|error| question::failure(error, &question))?;
        let now = self.engine.now();
        // It decides for everybody: other decisions shall not wait for that.
        let work = move || principals::answer(&table, &message, &page, now).map_err(Status::from);
        let answered = tokio::task::spawn_blocking(work).await;
        Ok(Response::new(answered.map_err(|_| Refusal::Internal("a list was cut short"))??))
    }
}

impl Decisions {
    /// The replies to a stream of records, whose query comes with it.
    ///
    /// # Errors
    /// Too many streams go on.
    pub(super) fn filter_stream(
        &self,
        caller: Caller,
        patience: Duration,
        idle: Duration,
        incoming: impl Stream<Item = Result<StreamFilterRecordsRequest, Status>> + Unpin + Send + 'static,
    ) -> Result<BoxStream<StreamFilterRecordsResponse>, Refusal> {
        let permit = Arc::clone(&self.streams).try_acquire_owned();
        let permit = permit.map_err(|_| Refusal::TooManyStreams(stream::MAX_STREAMS))?;
        let filtering = stream::Filtering { decisions: self.clone(), caller, patience, idle, _permit: permit };
        Ok(filtering.start(incoming))
    }

    /// Rule 7.6: whoever is of the organization may ask about it. An operator costs one comparison,
    /// a service account a few. That it is still the same organization is for [`floor`] to say, of the
    /// version that is read.
    #[inline]
    fn enter(&self, caller: &Caller, organization: &str) -> Result<(), Refusal> {
        caller.enter(organization)?;
        match caller.asking() {
            None => Ok(()),
            Some(user) => self.acts(&user, organization),
        }
    }

    #[cold]
    fn acts(&self, user: &Authority, organization: &str) -> Result<(), Refusal> {
        let now = self.engine.now();
        self.engine.with_table(organization, None, |table| user.admit(table, now))?
    }

    /// All that is wrong with a question of which something is wrong already.
    fn malformed(
        &self,
        fields: Fields,
        bearer: Option<&Bearer>,
        organization: &str,
        question: &Question<'_>,
    ) -> Failure {
        let decided = floor(bearer, None).and_then(|same| match question.permission {
            NO_PERMISSION => self.engine.walk(organization, same, question, |_, _, _| ()),
            // No decision comes of it, so that none is noted.
            _ => {
                let decide = |table: &Table| decide(table, question, self.engine.now()).map_err(ReadError::Problems);
                self.engine.with_table(organization, same, decide).flatten().map(drop)
            }
        });
        question::malformed(fields, decided.err(), question)
    }
}

/// The least revision that is asked for, in the history that let the caller in: what came after its
/// organization under the same id is another one (rule 1.1).
#[inline]
fn floor<'a>(bearer: Option<&'a Bearer>, least: Option<AtLeast<'a>>) -> Result<Option<AtLeast<'a>>, ReadError> {
    let Some(bearer) = bearer else { return Ok(least) };
    let history = &*bearer.history;
    match least {
        None => Ok(Some(AtLeast { history, number: 0 })),
        Some(AtLeast { history: known, .. }) if !known.is_empty() && known != history => Err(ReadError::OtherHistory),
        Some(AtLeast { number, .. }) => Ok(Some(AtLeast { history, number })),
    }
}

fn answer(decided: engine::Decided, table: &Table) -> AuthorizeResponse {
    AuthorizeResponse { revision: Some(revision_of(table)), ..outcome(decided.reason) }
}

/// A decision without what it is based on.
fn outcome(reason: Decided) -> AuthorizeResponse {
    let decision = if reason == Decided::Allowed { Decision::Allow } else { Decision::Deny };
    let (decision, reason) = (decision.into(), to_reason(reason).into());
    AuthorizeResponse { decision, reason, revision: None, staleness: None }
}

fn to_reason(reason: Decided) -> Reason {
    match reason {
        Decided::Allowed => Reason::Allowed,
        Decided::PrincipalUnknown => Reason::PrincipalUnknown,
        Decided::PrincipalInvited => Reason::PrincipalInvited,
        Decided::PrincipalInactive => Reason::PrincipalInactive,
        Decided::PrincipalLimited => Reason::PrincipalLimited,
        Decided::ReauthenticationRequired => Reason::ReauthenticationRequired,
        Decided::ElementNotListed => Reason::ElementNotListed,
        Decided::NoPermission => Reason::NoPermission,
        Decided::NotVisible => Reason::NotVisible,
        Decided::Restricted => Reason::Restricted,
        Decided::NotApprover => Reason::NotApprover,
        Decided::InvitePolicy => Reason::InvitePolicy,
        Decided::SeparationOfDuties => Reason::SeparationOfDuties,
    }
}

/// Every permission of the catalogue that is allowed, by name.
fn permissions(walk: &Walk<'_>, table: &Table, page: &Page) -> Result<ListPermissionsResponse, Refusal> {
    let ask = |name: &str| table.permission(name).map(|p| walk.ask(p));
    let mut refused = None;
    let mut allowed = Vec::new();
    for (_, slot) in table.catalogue() {
        match ask(slot.row.name.as_str()) {
            Some(Decided::Allowed) => allowed.push(slot.row.name.to_string()),
            // These say something of the permission; all others of the question.
            Some(
                Decided::NoPermission
                | Decided::NotVisible
                | Decided::Restricted
                | Decided::NotApprover
                | Decided::InvitePolicy
                | Decided::SeparationOfDuties,
            )
            | None => {}
            Some(reason) => {
                refused = Some(reason);
                break;
            }
        }
    }
    let (permissions, next_page_token) = page.of_sorted(table.history(), allowed, String::clone)?;
    let reason = to_reason(refused.unwrap_or(Decided::Allowed)).into();
    let revision = Some(revision_of(table));
    Ok(ListPermissionsResponse { permissions, reason, revision, staleness: None, next_page_token })
}

/// How long to wait for a least revision: a tenth less than the caller waits, so that the answer
/// that says so arrives.
pub fn patience(metadata: &MetadataMap) -> Duration {
    let timeout = metadata.get("grpc-timeout").and_then(|t| timeout(t.to_str().ok()?));
    timeout.map_or(PATIENCE, |timeout| timeout.mul_f64(0.9))
}

/// `grpc-timeout`: at most eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}
