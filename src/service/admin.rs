//! What the admin services share: one write, one read.

use std::sync::Arc;

use prost::Message;
use tonic::{Response, Status};

use crate::core::change::Change;
use crate::core::model::{Key, Row};
use crate::core::table::Table;
use crate::engine::{Engine, Outcome};

use super::mask::Patch;
use super::refusal::Refusal;
use super::report::Report;
use super::request::{Read, Writing};

/// The answer of a call.
pub type Reply<R> = Result<Response<R>, Status>;
/// What a plan comes to.
pub type Planned = Result<Vec<Change>, Refusal>;

/// Serves `OrganizationService`, `UserService`, `GroupService`, `RoleService`,
/// `DataAccessService`, `RelationService`, `CredentialService` and `ActivityService`.
#[derive(Clone)]
pub struct Admin {
    pub(super) engine: Arc<Engine>,
}

impl Admin {
    /// Serves what `engine` keeps.
    #[must_use]
    pub fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
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
        let Writing { call, authority } = writing;
        let reply = |outcome: &Outcome| reply(Report(outcome)).encode_to_vec();
        let written = self.engine.write_guarded(call, authority, plan, reply).await?;
        let reply = R::decode(written.reply.as_slice());
        let reply = reply.map_err(|_| Refusal::Internal("a stored reply cannot be decoded"))?;
        Ok((reply, written.replayed))
    }

    /// The version that a read asks for, if the caller may read of it.
    pub(super) async fn table(&self, read: &Read) -> Result<Arc<Table>, Status> {
        let table = self.engine.table(&read.organization, read.at_least(), read.wait).await?;
        read.authority.admit(&table, self.engine.now())?;
        Ok(table)
    }
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
