//! The end of an organization: all its rows go in one commit, and its history with them.
//!
//! The scope stays in the store, with its log and the request ids that were answered: an organization
//! that is created again under the same id is the next part of the same scope, with a history and a
//! count of revisions of its own (see [`super::rows::Birth`]).

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::core::model::{Key, Write};
use crate::core::table::Table;
use crate::store::Commit;

use super::rows::{self, Answered, Logged};
use super::write::{Head, Step, request_id};
use super::{Call, Durable, Engine, Guard, News, Revision, WriteError, Written, credentials};

/// An organization that ends.
pub struct Ended {
    /// Its last revision.
    pub revision: Revision,
    /// How many rows it had.
    pub rows: u64,
}

impl Engine {
    /// Deletes an organization, if `guard` and `check` allow it.
    ///
    /// # Errors
    /// As [`Engine::write_guarded`].
    pub async fn end<E, G, C, R>(
        self: &Arc<Self>,
        call: Call,
        guard: G,
        check: C,
        reply: R,
    ) -> Result<Written, WriteError<E>>
    where
        E: Send + 'static,
        G: Guard<E>,
        C: FnOnce(&Table) -> Result<(), E> + Send + 'static,
        R: FnOnce(&Ended) -> Vec<u8> + Send + 'static,
    {
        let engine = Arc::clone(self);
        let organization = call.organization.clone();
        let step = move || {
            let end = |head: &mut Head| engine.end_locked(&call, head, &guard, check, reply);
            engine.with_head(&call, end)
        };
        self.carried_out(&organization, step).await
    }

    fn end_locked<E>(
        &self,
        call: &Call,
        head: &mut Head,
        guard: &impl Guard<E>,
        check: impl FnOnce(&Table) -> Result<(), E>,
        reply: impl FnOnce(&Ended) -> Vec<u8>,
    ) -> Result<Step, WriteError<E>> {
        let now = self.clock.now();
        let id = request_id(call);
        let table = Arc::clone(head.table());
        guard.admit(&table, now).map_err(WriteError::Plan)?;
        if let Some(step) = Self::repeated(call, head, id.as_ref(), now)? {
            return Ok(step);
        }
        if !head.exists() {
            return Err(WriteError::UnknownOrganization(call.organization.to_string()));
        }
        check(&table).map_err(WriteError::Plan)?;
        let keys: Vec<Write> = table.rows().map(|row| Write::Delete(row.key())).collect();
        let revision = Revision { history: Arc::clone(table.history()), number: table.revision() };
        let reply = reply(&Ended { revision, rows: keys.len() as u64 });
        if call.validate_only {
            return Ok(Step::Unchanged { reply, replayed: false });
        }
        let gone = self.room(head, id.is_some(), now)?;
        let revision = table.revision() + 1;
        let mut stored: Vec<_> = keys.iter().map(rows::of_write).collect();
        stored.push(rows::forget_birth());
        stored.extend(gone.iter().map(|id| rows::forget_answered(id)));
        let answered = id.map(|id| Answered { id, body: call.body.to_vec(), at: now, reply: reply.clone(), revision });
        stored.extend(answered.iter().map(rows::of_answered));
        let logged = Logged {
            at: now,
            caller: call.caller.clone(),
            method: call.method.to_owned(),
            writes: vec![Write::Delete(Key::Settings)],
            on_behalf_of: call.on_behalf_of.clone(),
        };
        let (scope, revision) = (call.organization.to_string(), head.base() + revision);
        let commit = Commit { scope, revision, log: rows::encode(&logged), rows: stored };
        let tokens = credentials::all(&table).into_iter().map(|(hash, _)| (hash, None)).collect();
        let (done, durable) = oneshot::channel();
        let news = News::End(call.organization.clone(), Arc::clone(table.history()));
        self.committer.submit(commit, Durable { news, credentials: tokens, done })?;
        head.end(Table::blank(call.organization.clone(), "".into(), 0));
        head.answer(now, answered);
        Ok(Step::Submitted(reply, durable))
    }
}
