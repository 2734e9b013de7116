//! The end of an organization: one commit takes all its rows, and its history ends with it.
//!
//! The scope stays in the store, with its log of changes and its activity log, whose last entry says who ended
//! it. What is created again under the id is the next part of the same scope, and inherits nothing:
//!
//! ```text
//! revision of the scope    1 … 7      8        9 … 12     13       14 …
//! organization             1 … 7      end      1 … 4      end      1 …
//! history                  a          a        b          b        c
//! base (rows::Birth)       0                   8                   13
//! ```
//!
//! Its rows of the activity log lie apart by `base`, its log of changes begins after it, and a request id of
//! before is answered again only where the request was to create or delete: a retry of the deletion must not
//! delete what came after. Tokens let nobody in from the moment that this is acknowledged.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::core::activity::Deed;
use crate::core::change::Effect;
use crate::core::model::{Key, Write};
use crate::core::table::Table;
use crate::store::RowWrite;

use super::activity::Entry;
use super::answers::request_id;
use super::head::{Head, Scope};
use super::rows::{self, Answered, Birth};
use super::write::Step;
use super::{Call, Durable, Engine, Guard, Revision, Work, WriteError, credentials, supers};

/// An organization that ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its last revision: the end itself, or the current one for a dry run.
    pub revision: Revision,
    /// How many rows it had.
    pub rows: u64,
}

impl<E: Send + 'static> Work<E> {
    /// Deletes the organization of the call with everything in it, if `guard` admits the caller and `check` lets
    /// the newest version go.
    pub fn end(
        guard: impl Guard<E>,
        check: impl FnOnce(&Table) -> Result<(), E> + Send + 'static,
        reply: impl FnOnce(&Ended) -> Vec<u8> + Send + 'static,
    ) -> Self {
        Self::new(move |engine, call, scope, head, _| engine.end_locked(call, scope, head, &guard, check, reply))
    }
}

impl Engine {
    fn end_locked<E>(
        &self,
        call: &Call,
        scope: &Arc<Scope>,
        head: &mut Head,
        guard: &impl Guard<E>,
        check: impl FnOnce(&Table) -> Result<(), E>,
        reply: impl FnOnce(&Ended) -> Vec<u8>,
    ) -> Result<Step, WriteError<E>> {
        let now = self.clock.now();
        let id = request_id(call);
        let table = Arc::clone(&head.table);
        guard.admit(&table, now).map_err(WriteError::Plan)?;
        if let Some(step) = head.answered(call, id.as_ref(), true, now)? {
            return Ok(step);
        }
        if !head.exists() {
            return Err(WriteError::UnknownOrganization(call.organization.to_string()));
        }
        check(&table).map_err(WriteError::Plan)?;
        let mut stored: Vec<RowWrite> = table.rows().map(|row| rows::of_write(&Write::Delete(row.key()))).collect();
        let count = stored.len() as u64;
        let number = table.revision() + u64::from(!call.validate_only);
        let reply = reply(&Ended { revision: Revision { history: Arc::clone(table.history()), number }, rows: count });
        if call.validate_only {
            return Ok(Step::Unchanged { reply, replayed: false });
        }
        let gone = self.room(head, id.is_some(), now)?;
        let reached = head.revision() + 1;
        stored.push(rows::of_birth(&Birth {
            history: table.history().to_string(),
            seed: 0,
            base: head.trail.base(),
            ended: true,
        }));
        stored.push(rows::no_marks());
        stored.extend(gone.iter().map(|id| rows::forget_answered(id)));
        let body = call.body.to_vec();
        let answered = id.map(|id| Answered { id, body, at: now, reply: reply.clone(), revision: reached });
        stored.extend(answered.iter().map(rows::of_answered));
        let writes = vec![Write::Delete(Key::Settings)];
        let blank = Table::blank(call.organization.clone(), "".into(), 0);
        let deed = Deed::of(&table, &blank, &writes, &self.clock.random()?);
        let deed = Deed { count, summary: format!("delete organization `{}`", call.organization), ..deed };
        let (entry, beside) = Entry::of_change(call, now, number, deed, None);
        let commit = rows::commit_of(call, now, reached, writes, stored);
        // Its super-organization's writer may take what its safelist stood in the way of, after this.
        let left = self.super_heads.concerned(&table, &blank, &[(Key::Settings, Effect::Deleted)]);
        let left = left.unwrap_or_default();
        let mut locked = supers::lock_all(&left);
        let tokens = credentials::all(&table).into_iter().map(|(hash, _)| (hash, None)).collect();
        // After the last entry of all nothing tells of them.
        self.settle_all(&head.trail);
        let (done, durable) = oneshot::channel();
        let nothing = Some(Arc::new(blank.clone()));
        head.trail.append_last(commit, entry, beside, |commit, tip| {
            let logged = Some((Arc::clone(&head.trail), tip));
            let reached = Some((Arc::clone(scope), reached));
            let durable = Durable { table: nothing, credentials: tokens, logged, reached, ..Durable::new(done) };
            self.committer.submit(commit, durable)
        })?;
        supers::tell(&mut locked, &blank, reached);
        head.end(reached);
        if let Some(answered) = answered {
            head.answers.remember(answered);
        }
        Ok(Step::Submitted(reply, durable))
    }
}
