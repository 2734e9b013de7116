//! The way of a write, for one organization at a time.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::clock::{ClockError, hex};
use crate::core::activity::Deed;
use crate::core::administrators;
use crate::core::change::{self, Applied, Change, ChangeError, Effect};
use crate::core::id::Id;
use crate::core::model::{Key, Millis};
use crate::core::table::Table;
use crate::core::{Fault, Violation};
use crate::store::StoreError;

use super::activity::Entry;
use super::answers::{MAX_REQUEST_IDS, request_id};
use super::head::{Head, Scope};
use super::rows::{self, Answered, Birth};
use super::{Durable, Engine, Revision, lock, supers};

/// Who calls, and how the write is to be carried out.
#[derive(Debug, Clone)]
pub struct Call {
    /// The organization; or the super-organization, for [`Engine::write_super`].
    pub organization: Id,
    /// Who calls, for the log and for request ids.
    pub caller: String,
    /// On whose behalf (rule 7.6), for both too.
    pub on_behalf_of: Option<String>,
    /// From which network address, for the activity log; empty where there is none.
    pub peer: String,
    /// The gRPC method, for the log and for request ids.
    pub method: &'static str,
    /// Makes a retry safe; empty for none.
    pub request_id: String,
    /// A digest of the request's content but for its id.
    pub body: [u8; 32],
    /// Only say what would change.
    pub validate_only: bool,
    /// Create the organization if there is none. Otherwise it must exist.
    pub create: Create,
}

/// What a write expects of the organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// It must exist.
    Never,
    /// It is created if it does not exist.
    IfMissing,
    /// It must not exist.
    Always,
}

/// What a write came to.
pub struct Outcome {
    /// The version that the change was applied to.
    pub before: Arc<Table>,
    /// The version with the change; the same without effects.
    pub after: Arc<Table>,
    /// The revision of `after`, or of `before` for a dry run.
    pub revision: Revision,
    /// What became of each row.
    pub effects: Vec<(Key, Effect)>,
}

/// Says whether a write may be made. Asked under the organization's writer, of the version that the
/// write plans against.
pub trait Guard<E>: Send + 'static {
    /// Before anything else, a replay included.
    ///
    /// # Errors
    /// It may not.
    fn admit(&self, table: &Table, now: Millis) -> Result<(), E>;

    /// Once it is known what would change, before it is stored.
    ///
    /// # Errors
    /// It may not.
    fn review(&self, outcome: &Outcome, now: Millis) -> Result<(), E>;

    /// The emergency activation by which alone it was admitted (rule 7.4), for the activity log.
    fn activation(&self, _: &Outcome, _: Millis) -> Option<Id> {
        None
    }
}

/// Everything may be done.
impl<E> Guard<E> for () {
    fn admit(&self, _: &Table, _: Millis) -> Result<(), E> {
        Ok(())
    }

    fn review(&self, _: &Outcome, _: Millis) -> Result<(), E> {
        Ok(())
    }
}

/// The encoded reply of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// As the reply function made it, now or when the same request was first answered.
    pub reply: Vec<u8>,
    /// Whether it is the repetition of an earlier reply.
    pub replayed: bool,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The plan refused.
    #[error("{0}")]
    Plan(E),
    /// There is no such organization.
    #[error("unknown organization `{0}`")]
    UnknownOrganization(String),
    /// There is one already.
    #[error("organization `{0}` exists already")]
    OrganizationExists(String),
    /// There is no such super-organization.
    #[error("unknown super-organization `{0}`")]
    UnknownSuperOrganization(String),
    /// There is one already.
    #[error("super-organization `{0}` exists already")]
    SuperOrganizationExists(String),
    /// The super-organization cannot be so.
    #[error("{0}")]
    SuperOrganization(Fault),
    /// The change cannot be.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The same request id was used for something else.
    #[error("the request id was used for another request")]
    RequestIdReused,
    /// Too many request ids within a day.
    #[error("more than {MAX_REQUEST_IDS} request ids within a day")]
    TooManyRequestIds,
    /// The store takes no writes now.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No randomness for a new organization.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The write may or may not be on disk: the process is ending.
    #[error("the server is stopping")]
    Stopping,
}

/// What the blocking part of a write came to, the newest revision of the organization's scope, and those of
/// its super-organizations that it saw.
type Attempt<E> = (Result<Step, WriteError<E>>, u64, Seen);

/// Revisions of super-organizations.
pub(super) type Seen = Vec<(Id, u64)>;

/// What the blocking part of a write came to.
pub(super) enum Step {
    /// Submitted; the reply may go out when the committer says so.
    Submitted(Vec<u8>, oneshot::Receiver<()>),
    /// Nothing to write; the reply stands once what it was derived from is durable.
    Unchanged { reply: Vec<u8>, replayed: bool },
}

/// What a write does under its organization's writer. Boxed: the way of a write is compiled once, not once for each
/// of the calls that take it.
pub struct Work<E>(Box<Locked<E>>);

type Locked<E> = dyn FnOnce(&Engine, &Call, &Arc<Scope>, &mut Head, &mut Seen) -> Result<Step, WriteError<E>> + Send;
type Plan<E> = Box<dyn FnOnce(&Table) -> Result<Vec<Change>, E> + Send>;
type Reply = Box<dyn FnOnce(&Outcome) -> Vec<u8> + Send>;

impl<E: Send + 'static> Work<E> {
    /// A change, if `guard` allows it. `plan` sees the version that the change will apply to; `reply` makes the
    /// reply from what came of it, to be remembered with the request id in the same commit.
    pub fn change(
        guard: impl Guard<E>,
        plan: impl FnOnce(&Table) -> Result<Vec<Change>, E> + Send + 'static,
        reply: impl FnOnce(&Outcome) -> Vec<u8> + Send + 'static,
    ) -> Self {
        Self::planned(Box::new(guard), Box::new(plan), Box::new(reply))
    }

    fn planned(guard: Box<dyn Guard<E>>, plan: Plan<E>, reply: Reply) -> Self {
        Self::new(move |engine, call, scope, head, seen| {
            engine.write_locked(call, scope, head, &*guard, plan, reply, seen)
        })
    }

    pub(super) fn new(
        work: impl FnOnce(&Engine, &Call, &Arc<Scope>, &mut Head, &mut Seen) -> Result<Step, WriteError<E>> + Send + 'static,
    ) -> Self {
        Self(Box::new(work))
    }
}

impl Engine {
    /// Plans a change against the newest version, stores it and publishes it: [`Work::change`] that everybody may
    /// make.
    ///
    /// # Errors
    /// See [`WriteError`]. An error leaves nothing changed, `Stopping` aside.
    pub async fn write<E, P, R>(self: &Arc<Self>, call: Call, plan: P, reply: R) -> Result<Written, WriteError<E>>
    where
        E: Send + 'static,
        P: FnOnce(&Table) -> Result<Vec<Change>, E> + Send + 'static,
        R: FnOnce(&Outcome) -> Vec<u8> + Send + 'static,
    {
        self.carry_out(call, Work::change((), plan, reply)).await
    }

    /// Has `work` done under the organization's writer, and waits for what it came to.
    ///
    /// # Errors
    /// See [`WriteError`]; what a guard says is [`WriteError::Plan`]. An error leaves nothing changed, `Stopping`
    /// aside.
    pub async fn carry_out<E>(self: &Arc<Self>, call: Call, work: Work<E>) -> Result<Written, WriteError<E>>
    where
        E: Send + 'static,
    {
        let engine = Arc::clone(self);
        let organization = call.organization.clone();
        // Applying a large file takes long; it must not sit on a runtime's thread.
        let step = tokio::task::spawn_blocking(move || engine.write_blocking(&call, work)).await;
        let (step, tentative, seen) = step.map_err(|_| WriteError::Stopping)?;
        if !matches!(step, Ok(Step::Submitted(..))) {
            for (id, revision) in seen {
                self.super_durable(&id, revision).await?;
            }
        }
        match step {
            Ok(Step::Submitted(reply, durable)) => {
                durable.await.map_err(|_| WriteError::Stopping)?;
                Ok(Written { reply, replayed: false })
            }
            Ok(Step::Unchanged { reply, replayed }) => {
                self.durable(&organization, tentative).await?;
                Ok(Written { reply, replayed })
            }
            Err(error) => {
                self.durable(&organization, tentative).await?;
                Err(error)
            }
        }
    }

    /// Waits until what a refusal was derived from is on disk: a revision of the organization's scope, which
    /// counts on when an organization ends.
    pub(super) async fn durable<E>(&self, organization: &Id, revision: u64) -> Result<(), WriteError<E>> {
        let scope = self.scopes.get(organization.as_str()).map(|scope| Arc::clone(&scope));
        let Some(scope) = scope.filter(|_| revision > 0) else { return Ok(()) };
        let mut durable = scope.durable.subscribe();
        durable.wait_for(|reached| *reached >= revision).await.map(drop).map_err(|_| WriteError::Stopping)
    }

    fn write_blocking<E>(&self, call: &Call, work: Work<E>) -> Attempt<E> {
        let id = call.organization.as_str();
        loop {
            let found = match self.scope(call) {
                Ok(found) => found,
                Err(error) => return (Err(error), 0, Vec::new()),
            };
            let mut head = lock(&found.head);
            // While this call waited for the lock, a creation that failed may have taken the scope
            // away: what is not in the map any more must not be built on.
            if !self.scopes.get(id).is_some_and(|current| Arc::ptr_eq(&current, &found)) {
                continue;
            }
            let mut seen = Vec::new();
            let step = (work.0)(self, call, &found, &mut head, &mut seen);
            let tentative = head.revision();
            if tentative == 0 {
                // It was not created after all.
                self.scopes.remove_if(id, |_, current| Arc::ptr_eq(current, &found));
            }
            return (step, tentative, seen);
        }
    }

    fn scope<E>(&self, call: &Call) -> Result<Arc<Scope>, WriteError<E>> {
        let id = call.organization.as_str();
        if let Some(scope) = self.scopes.get(id) {
            return Ok(Arc::clone(&scope));
        }
        if call.create == Create::Never {
            return Err(WriteError::UnknownOrganization(id.to_owned()));
        }
        let none = || Arc::new(Scope::new(Head::after(call.organization.clone(), 0, Vec::new())));
        Ok(Arc::clone(&self.scopes.entry(id.into()).or_insert_with(none)))
    }

    fn birth(&self) -> Result<Birth, ClockError> {
        let (history, seed) = (self.clock.random()?, self.clock.random()?);
        let seed = seed.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b));
        Ok(Birth { history: hex(&history), seed, base: 0, ended: false })
    }

    #[allow(clippy::too_many_arguments, reason = "what the caller brings, and what it is done under")]
    fn write_locked<E: 'static>(
        &self,
        call: &Call,
        scope: &Arc<Scope>,
        head: &mut Head,
        guard: &dyn Guard<E>,
        plan: Plan<E>,
        reply: Reply,
        seen: &mut Seen,
    ) -> Result<Step, WriteError<E>> {
        let now = self.clock.now();
        let id = request_id(call);
        let name = || call.organization.to_string();
        match (head.exists(), call.create) {
            (false, Create::Never) => return Err(WriteError::UnknownOrganization(name())),
            (false, _) if head.birth.is_none() => head.bear(self.birth()?),
            _ => {}
        }
        head.table = self.super_heads.newest(&head.table, seen);
        let before = Arc::clone(&head.table);
        guard.admit(&before, now).map_err(WriteError::Plan)?;
        if let Some(step) = head.answered(call, id.as_ref(), call.create == Create::Always, now)? {
            return Ok(step);
        }
        if head.exists() && call.create == Create::Always {
            return Err(WriteError::OrganizationExists(name()));
        }
        let changes = plan(&before).map_err(WriteError::Plan)?;
        let Applied { table, writes, effects } = change::apply_at(&before, changes, now)?;
        if administrators::last_goes(&before, &table, &effects, now) {
            return Err(ChangeError::LastAdministrator.into());
        }
        let refused = |violation: Box<Violation>| WriteError::Change(ChangeError::Violations(vec![*violation]));
        let concerned = self.super_heads.concerned(&before, &table, &effects).map_err(refused)?;
        // Until it is submitted, nobody else writes what it was checked against.
        let mut locked = supers::lock_all(&concerned);
        let after = Arc::new(supers::admit(&locked, &before, table, seen).map_err(refused)?);
        let seen = if call.validate_only { &before } else { &after };
        let revision = Revision { history: Arc::clone(seen.history()), number: seen.revision() };
        let outcome = Outcome { before: Arc::clone(&before), after: Arc::clone(&after), revision, effects };
        guard.review(&outcome, now).map_err(WriteError::Plan)?;
        let reply = reply(&outcome);
        if call.validate_only || outcome.effects.is_empty() {
            return Ok(Step::Unchanged { reply, replayed: false });
        }
        let activation = if before.has_activations(now) { guard.activation(&outcome, now) } else { None };
        let step = self.submit(call, scope, head, now, Arc::clone(&after), writes, id, reply, activation)?;
        supers::tell(&mut locked, &after, head.revision());
        Ok(step)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one commit, put together once")]
    fn submit<E>(
        &self,
        call: &Call,
        scope: &Arc<Scope>,
        head: &mut Head,
        now: Millis,
        after: Arc<Table>,
        writes: Vec<crate::core::model::Write>,
        id: Option<Vec<u8>>,
        reply: Vec<u8>,
        activation: Option<Id>,
    ) -> Result<Step, WriteError<E>> {
        let gone = self.room(head, id.is_some(), now)?;
        let revision = after.revision();
        // The randomness is forgotten: whoever knew it could try guesses at what was erased.
        let deed = Deed::of(&head.table, &after, &writes, &self.clock.random()?);
        let (entry, beside) = Entry::of_change(call, now, revision, deed, activation);
        let credentials = super::credentials::entries(&head.table, &writes);
        let mut stored: Vec<_> = writes.iter().map(rows::of_write).collect();
        stored.extend(self.marks_with(&after, &writes, now));
        stored.extend(gone.iter().map(|id| rows::forget_answered(id)));
        stored.extend(head.birth.iter().map(rows::of_birth));
        let reached = head.base + revision;
        let body = call.body.to_vec();
        let answered = id.map(|id| Answered { id, body, at: now, reply: reply.clone(), revision: reached });
        stored.extend(answered.iter().map(rows::of_answered));
        let commit = rows::commit_of(call, now, reached, writes, stored);
        let (done, durable) = oneshot::channel();
        head.trail.append(commit, entry, beside, |commit, tip| {
            let (table, logged) = (Some(Arc::clone(&after)), Some((Arc::clone(&head.trail), tip)));
            let reached = Some((Arc::clone(scope), reached));
            self.committer.submit(commit, Durable { table, credentials, logged, reached, ..Durable::new(done) })
        })?;
        // INVARIANT 2: the next write builds on this one, under the same lock and in the committer's order.
        head.table = after;
        head.birth = None;
        if let Some(answered) = answered {
            head.answers.remember(answered);
        }
        Ok(Step::Submitted(reply, durable))
    }

    /// Whether a write is taken now, `named` by a request id; the request ids that are forgotten with it.
    pub(super) fn room<E>(&self, head: &mut Head, named: bool, now: Millis) -> Result<Vec<Vec<u8>>, WriteError<E>> {
        self.store.writable()?;
        let gone = head.answers.forget(now);
        if named && head.answers.is_full() {
            return Err(WriteError::TooManyRequestIds);
        }
        Ok(gone)
    }
}
