//! What the admin services share: one write, one read.

use std::collections::BTreeSet;
use std::sync::Arc;

use prost::Message;
use tokio::sync::Semaphore;
use tonic::{Response, Status};

use crate::core::change::Change;
use crate::core::id::{Id, OpaqueId};
use crate::core::model::{Key, Millis, Row};
use crate::core::table::Table;
use crate::engine::activity::{Ending, Erasure, Note, Origin};
use crate::engine::{AtLeast, Ended, Engine, Outcome, Work, WriteError, Written};

use super::access::Authority;
use super::logged;
use super::mask::Patch;
use super::refusal::Refusal;
use super::report::Report;
use super::request::{Read, Writing};
use super::status::Failure;

/// Streams that go on with what comes, at a time.
pub const MAX_FOLLOWERS: usize = 1_000;

/// The answer of a call.
pub type Reply<R> = Result<Response<R>, Status>;
/// What a plan comes to.
pub type Planned = Result<Vec<Change>, Refusal>;

/// Serves `OrganizationService`, `UserService`, `GroupService`, `RoleService`,
/// `DataAccessService`, `RelationService`, `ElementListService`, `CredentialService` and
/// `ActivityService`.
#[derive(Clone)]
pub struct Admin {
    pub(super) engine: Arc<Engine>,
    /// Streams without an end of their own that may begin.
    pub(super) followers: Arc<Semaphore>,
}

impl Admin {
    /// Serves what `engine` keeps.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine, followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)) }
    }

    /// Carries out a write and returns its reply, or the one that the same request had before.
    pub(super) async fn write<R: Message + Default>(
        &self,
        writing: Writing,
        plan: impl FnOnce(&Table) -> Planned + Send + 'static,
        reply: impl FnOnce(Report<'_>) -> R + Send + 'static,
    ) -> Reply<R> {
        Ok(Response::new(self.written(writing, plan, reply).await?.0))
    }

    /// As [`Admin::write`]; also whether the reply is one that the same request had before.
    pub(super) async fn written<R: Message + Default>(
        &self,
        writing: Writing,
        plan: impl FnOnce(&Table) -> Planned + Send + 'static,
        reply: impl FnOnce(Report<'_>) -> R + Send + 'static,
    ) -> Result<(R, bool), Status> {
        let reply = |outcome: &Outcome| reply(Report(outcome)).encode_to_vec();
        let work = Work::change(Arc::clone(&writing.authority), plan, reply);
        let written = self.carried(writing, work).await?;
        Ok((decoded(&written)?, written.replayed))
    }

    /// Ends an organization and returns the reply, or the one that the same request had before.
    pub(super) async fn end<R: Message + Default>(
        &self,
        writing: Writing,
        check: impl FnOnce(&Table) -> Result<(), Refusal> + Send + 'static,
        reply: impl FnOnce(&Ended) -> R + Send + 'static,
    ) -> Reply<R> {
        let work = Work::end(Arc::clone(&writing.authority), check, |ended| reply(ended).encode_to_vec());
        Ok(Response::new(decoded(&self.carried(writing, work).await?)?))
    }

    /// Erases a person from the activity log and returns the reply, or the one that the same request had before.
    pub(super) async fn erase<R: Message + Default>(
        &self,
        writing: Writing,
        user: OpaqueId,
        reply: impl FnOnce(&Erasure) -> R + Send + 'static,
    ) -> Reply<R> {
        let work = Work::erase(Arc::clone(&writing.authority), user, |erasure| reply(erasure).encode_to_vec());
        Ok(Response::new(decoded(&self.carried(writing, work).await?)?))
    }

    /// What the engine carries out; a refusal is logged.
    async fn carried(&self, writing: Writing, work: Work<Refusal>) -> Result<Written, Status> {
        let Writing { call, authority } = writing;
        let (organization, origin) = (call.organization.clone(), Origin::from(&call));
        let history = self.history(organization.as_str());
        match self.engine.carry_out(call, work).await {
            Ok(written) => Ok(written),
            Err(error) => Err(self.refused(organization.as_str(), history, &authority, origin, error).await),
        }
    }

    /// The version that a read asks for, if the caller may read of it.
    pub(super) async fn table(&self, read: &Read) -> Result<Arc<Table>, Status> {
        let table = self.engine.table(&read.organization, read.at_least(), read.wait).await?;
        let now = self.engine.now();
        if let Err(refusal) = read.authority.admit(&table, now) {
            return Err(self.unread(read, &table, refusal).await);
        }
        self.note_use(read, &table, now, None);
        Ok(table)
    }

    /// Has it logged if a read, of these accounts only if they are named, was allowed by an emergency
    /// activation alone (rule 7.4).
    pub(super) fn note_use(&self, read: &Read, table: &Table, now: Millis, accounts: Option<&BTreeSet<Id>>) {
        if !table.has_activations(now) {
            return;
        }
        let Some(activation) = read.authority.read_alone_by(table, now, accounts) else { return };
        let account = read.authority.account(table);
        self.engine.note_read(table, activation, read.origin.clone(), account, now);
    }

    /// Has it logged that a read was refused, and says so.
    pub(super) async fn unread(&self, read: &Read, table: &Table, refusal: Refusal) -> Status {
        let error = WriteError::Plan(refusal);
        let history = Some(Arc::clone(table.history()));
        self.refused(&read.organization, history, &read.authority, read.origin.clone(), error).await
    }

    /// The history of an organization as a call finds it: in its log is told what becomes of the call, and not
    /// in that of another one that is created under its id meanwhile.
    fn history(&self, organization: &str) -> Option<Arc<str>> {
        self.engine.with_table(organization, None, |table| Arc::clone(table.history())).ok()
    }

    /// Has a refusal logged (rule 7.5), and says it. Where there was no organization before the call, it is one
    /// that came with it or meanwhile.
    async fn refused(
        &self,
        organization: &str,
        history: Option<Arc<str>>,
        authority: &Authority,
        origin: Origin,
        error: WriteError<Refusal>,
    ) -> Status {
        let Some(summary) = logged::summary(&error) else { return error.into() };
        let failure = Failure::from(error);
        let Some(history) = history.or_else(|| self.history(organization)) else { return failure.into() };
        let account = |table: &Table| authority.account(table);
        self.log_refused(organization, &history, origin, (failure.reason(), &summary), account).await;
        failure.into()
    }

    /// Logs a refusal in that history, without what may be somebody's address (`logged::unaddressed`). Where it is
    /// over, there is no log to tell of it.
    pub(super) async fn log_refused(
        &self,
        organization: &str,
        history: &str,
        origin: Origin,
        (reason, summary): (&str, &str),
        account: impl FnOnce(&Table) -> Option<Id>,
    ) {
        let same = Some(AtLeast { history, number: 0 });
        let found = self.engine.with_table(organization, same, |table| {
            let on_behalf_of = origin.on_behalf_of.as_deref().map(|user| logged::unaddressed(user, table));
            (account(table), logged::unaddressed(summary, table), on_behalf_of)
        });
        let Ok((account, summary, on_behalf_of)) = found else { return };
        let (origin, reason) = (Origin { on_behalf_of, ..origin }, reason.to_owned());
        let note = Note { origin, ending: Ending::Refused, reason, summary, account, emergency_activation: None };
        self.engine.refused(organization, history, note).await;
    }
}

fn decoded<R: Message + Default>(written: &Written) -> Result<R, Refusal> {
    R::decode(written.reply.as_slice()).map_err(|_| Refusal::Internal("a stored reply cannot be decoded"))
}

/// The change of a row that must be there.
pub fn update<R: 'static>(
    table: &Table,
    key: Key,
    current: Option<R>,
    patch: Patch<R>,
    row: fn(R) -> Row,
    etag: Option<String>,
) -> Planned {
    let mut current = current.ok_or(Refusal::NotFound(key))?;
    patch.apply(&mut current, table);
    Ok(vec![Change::Update { row: row(current), etag }])
}

/// The deletion of a row.
pub fn delete(key: Key, etag: Option<String>) -> Planned {
    Ok(vec![Change::Delete { keys: vec![key], etag }])
}

/// What a read found, or that it is not there.
pub fn found<T>(value: Option<T>, key: impl FnOnce() -> Key) -> Result<T, Refusal> {
    value.ok_or_else(|| Refusal::NotFound(key()))
}
