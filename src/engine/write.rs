//! The way of a write, for one organization at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use crate::clock::{ClockError, hex};
use crate::core::administrators;
use crate::core::change::{self, Applied, Change, ChangeError, Effect};
use crate::core::id::Id;
use crate::core::model::{Key, Millis};
use crate::core::table::Table;
use crate::store::{Commit, StoreError};

use super::rows::{self, Answered, Birth, Logged};
use super::{Durable, Engine, News, Revision, lock};

/// How long an answered request id is remembered (API.md).
pub const REQUEST_ID_KEPT_MS: Millis = 24 * 60 * 60 * 1_000;
/// How many are remembered in one organization; more within a day are refused.
pub const MAX_REQUEST_IDS: usize = 200_000;

/// Who calls, and how the write is to be carried out.
#[derive(Debug, Clone)]
pub struct Call {
    /// The organization.
    pub organization: Id,
    /// Who calls, for the log and for request ids.
    pub caller: String,
    /// On whose behalf (rule 7.6), for both too.
    pub on_behalf_of: Option<String>,
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

/// The writer's side of an organization.
pub(super) struct Head {
    /// The newest version, perhaps not durable yet.
    table: Arc<Table>,
    /// What a first revision is to store; none once it is stored.
    birth: Option<Birth>,
    /// How many revisions of the scope came before the first of this history: those of organizations of
    /// the same id that were deleted.
    base: u64,
    /// The history that ended last, where there is no organization now.
    ended: Option<Arc<str>>,
    answered: HashMap<Vec<u8>, Answered>,
    /// Answered requests by age.
    order: VecDeque<(Millis, Vec<u8>)>,
}

impl Head {
    pub(super) fn new(table: Arc<Table>, mut answered: Vec<Answered>) -> Self {
        answered.sort_by_key(|a| a.at);
        let order = answered.iter().map(|a| (a.at, a.id.clone())).collect();
        let answered = answered.into_iter().map(|a| (a.id.clone(), a)).collect();
        Self { table, birth: None, base: 0, ended: None, answered, order }
    }

    /// After so many revisions of the scope that belong to other histories.
    pub(super) fn after(self, base: u64) -> Self {
        Self { base, ..self }
    }

    /// See [`Head::base`].
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Whether there is an organization.
    pub(super) fn exists(&self) -> bool {
        self.table.revision() > 0
    }

    /// What must be on disk before anything is told that was derived from this.
    fn tentative(&self) -> Tentative {
        let ended = || self.ended.clone().map(|history| Revision { history, number: u64::MAX });
        let now = || Revision { history: Arc::clone(self.table.history()), number: self.table.revision() };
        if self.exists() { Some(now()) } else { ended() }
    }

    /// There is no organization any more.
    pub(super) fn end(&mut self, blank: Table) {
        self.base += self.table.revision() + 1;
        self.ended = Some(Arc::clone(self.table.history()));
        self.table = Arc::new(blank);
        self.birth = None;
    }

    /// Remembers a reply.
    pub(super) fn answer(&mut self, now: Millis, answered: Option<Answered>) {
        if let Some(answered) = answered {
            self.order.push_back((now, answered.id.clone()));
            self.answered.insert(answered.id.clone(), answered);
        }
    }

    pub(super) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// Request ids that are old enough to be forgotten.
    pub(super) fn forget(&mut self, now: Millis) -> Vec<Vec<u8>> {
        let mut gone = Vec::new();
        while let Some((at, id)) = self.order.front() {
            if *at > now - REQUEST_ID_KEPT_MS {
                break;
            }
            self.answered.remove(id);
            gone.push(id.clone());
            self.order.pop_front();
        }
        gone
    }
}

/// What the blocking part of a write came to.
pub(super) enum Step {
    /// Submitted; the reply may go out when the committer says so.
    Submitted(Vec<u8>, oneshot::Receiver<()>),
    /// Nothing to write; the reply stands once what it was derived from is durable.
    Unchanged { reply: Vec<u8>, replayed: bool },
}

/// The revision that something was derived from; none if there was no organization.
type Tentative = Option<Revision>;
/// What a write came to, and what it was derived from.
pub(super) type Stepped<E> = (Result<Step, WriteError<E>>, Tentative);

impl Engine {
    /// Plans a change against the newest version, stores it and publishes it. `plan` sees the
    /// version that the change will apply to, under the organization's writer; `reply` makes the
    /// reply from what came of it, to be remembered with the request id in the same commit.
    ///
    /// # Errors
    /// See [`WriteError`]. An error leaves nothing changed, `Stopping` aside.
    pub async fn write<E, P, R>(self: &Arc<Self>, call: Call, plan: P, reply: R) -> Result<Written, WriteError<E>>
    where
        E: Send + 'static,
        P: FnOnce(&Table) -> Result<Vec<Change>, E> + Send + 'static,
        R: FnOnce(&Outcome) -> Vec<u8> + Send + 'static,
    {
        self.write_guarded(call, (), plan, reply).await
    }

    /// As [`Engine::write`], if `guard` allows it.
    ///
    /// # Errors
    /// As [`Engine::write`]; what the guard says is [`WriteError::Plan`].
    pub async fn write_guarded<E, G, P, R>(
        self: &Arc<Self>,
        call: Call,
        guard: G,
        plan: P,
        reply: R,
    ) -> Result<Written, WriteError<E>>
    where
        E: Send + 'static,
        G: Guard<E>,
        P: FnOnce(&Table) -> Result<Vec<Change>, E> + Send + 'static,
        R: FnOnce(&Outcome) -> Vec<u8> + Send + 'static,
    {
        let engine = Arc::clone(self);
        let organization = call.organization.clone();
        let step = move || {
            let write = |head: &mut Head| engine.write_locked(&call, head, &guard, plan, reply);
            engine.with_head(&call, write)
        };
        self.carried_out(&organization, step).await
    }

    /// Runs the blocking part of a write, and waits for the disk.
    pub(super) async fn carried_out<E: Send + 'static>(
        &self,
        organization: &Id,
        step: impl FnOnce() -> Stepped<E> + Send + 'static,
    ) -> Result<Written, WriteError<E>> {
        // Applying a large file takes long; it must not sit on a runtime's thread.
        let step = tokio::task::spawn_blocking(step).await;
        let (step, tentative) = step.map_err(|_| WriteError::Stopping)?;
        match step {
            Ok(Step::Submitted(reply, durable)) => {
                durable.await.map_err(|_| WriteError::Stopping)?;
                Ok(Written { reply, replayed: false })
            }
            Ok(Step::Unchanged { reply, replayed }) => {
                self.durable(organization, tentative).await;
                Ok(Written { reply, replayed })
            }
            Err(error) => {
                self.durable(organization, tentative).await;
                Err(error)
            }
        }
    }

    /// Waits until what a refusal was derived from is on disk.
    async fn durable(&self, organization: &Id, tentative: Tentative) {
        let Some(Revision { history, number }) = tentative else { return };
        loop {
            if self.snapshots.has_ended(&history) {
                return;
            }
            match self.snapshots.find(organization.as_str()) {
                Some(published) if *published.table().history() == history => {
                    // It ends with this history at the latest.
                    let _ = published.revisions().wait_for(|r| *r >= number).await;
                    return;
                }
                // The organization's very first revision is on its way to the disk.
                _ => tokio::time::sleep(std::time::Duration::from_millis(1)).await,
            }
        }
    }

    /// Calls `write` with the head that a call is about, locked.
    pub(super) fn with_head<E>(
        &self,
        call: &Call,
        write: impl FnOnce(&mut Head) -> Result<Step, WriteError<E>>,
    ) -> Stepped<E> {
        let id = call.organization.as_str();
        loop {
            let found = match self.head(call) {
                Ok(found) => found,
                Err(error) => return (Err(error), None),
            };
            let mut head = lock(&found);
            // While this call waited for the lock, a creation that failed may have taken the head
            // away: what is not in the map any more must not be built on.
            if !self.heads.get(id).is_some_and(|current| Arc::ptr_eq(&current, &found)) {
                continue;
            }
            if !head.exists() && head.birth.is_none() && call.create != Create::Never {
                match self.born(&call.organization) {
                    Ok((table, birth)) => {
                        (head.table, head.birth) = (Arc::new(table), Some(Birth { base: head.base, ..birth }));
                    }
                    Err(error) => return (Err(error.into()), head.tentative()),
                }
            }
            let step = write(&mut head);
            let tentative = head.tentative();
            if !head.exists() && head.base == 0 {
                // It was not created after all.
                self.heads.remove_if(id, |_, current| Arc::ptr_eq(current, &found));
            }
            return (step, tentative);
        }
    }

    /// An organization before its first row, of a history of its own.
    fn born(&self, id: &Id) -> Result<(Table, Birth), ClockError> {
        let (history, seed) = (self.clock.random()?, self.clock.random()?);
        let seed = seed.iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b));
        let birth = Birth { history: hex(&history), seed, base: 0 };
        Ok((Table::blank(id.clone(), birth.history.as_str().into(), seed), birth))
    }

    fn head<E>(&self, call: &Call) -> Result<Arc<Mutex<Head>>, WriteError<E>> {
        let id = call.organization.as_str();
        if let Some(head) = self.heads.get(id) {
            return Ok(Arc::clone(&head));
        }
        if call.create == Create::Never {
            return Err(WriteError::UnknownOrganization(id.to_owned()));
        }
        let (blank, birth) = self.born(&call.organization)?;
        let head = Head { birth: Some(birth), ..Head::new(Arc::new(blank), Vec::new()) };
        Ok(Arc::clone(&self.heads.entry(id.into()).or_insert_with(|| Arc::new(Mutex::new(head)))))
    }

    /// The reply that the same request had before.
    pub(super) fn repeated<E>(
        call: &Call,
        head: &Head,
        id: Option<&Vec<u8>>,
        now: Millis,
    ) -> Result<Option<Step>, WriteError<E>> {
        let answered = id.and_then(|id| head.answered.get(id)).filter(|a| a.at > now - REQUEST_ID_KEPT_MS);
        match answered {
            Some(answered) if answered.body != call.body => Err(WriteError::RequestIdReused),
            Some(answered) => Ok(Some(Step::Unchanged { reply: answered.reply.clone(), replayed: true })),
            None => Ok(None),
        }
    }

    fn write_locked<E>(
        &self,
        call: &Call,
        head: &mut Head,
        guard: &impl Guard<E>,
        plan: impl FnOnce(&Table) -> Result<Vec<Change>, E>,
        reply: impl FnOnce(&Outcome) -> Vec<u8>,
    ) -> Result<Step, WriteError<E>> {
        let now = self.clock.now();
        let id = request_id(call);
        let before = Arc::clone(&head.table);
        guard.admit(&before, now).map_err(WriteError::Plan)?;
        if let Some(step) = Self::repeated(call, head, id.as_ref(), now)? {
            return Ok(step);
        }
        let name = || call.organization.to_string();
        match (call.create, before.revision()) {
            (Create::Never, 0) => return Err(WriteError::UnknownOrganization(name())),
            (Create::Always, 1..) => return Err(WriteError::OrganizationExists(name())),
            _ => {}
        }
        let changes = plan(&before).map_err(WriteError::Plan)?;
        let Applied { table, writes, effects } = change::apply(&before, changes)?;
        if administrators::last_goes(&before, &table, &effects, now) {
            return Err(ChangeError::LastAdministrator.into());
        }
        let after = Arc::new(table);
        let seen = if call.validate_only { &before } else { &after };
        let revision = Revision { history: Arc::clone(seen.history()), number: seen.revision() };
        let outcome = Outcome { before: Arc::clone(&before), after: Arc::clone(&after), revision, effects };
        guard.review(&outcome, now).map_err(WriteError::Plan)?;
        let reply = reply(&outcome);
        if call.validate_only || outcome.effects.is_empty() {
            return Ok(Step::Unchanged { reply, replayed: false });
        }
        self.submit(call, head, now, after, writes, id, reply)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one commit, put together once")]
    fn submit<E>(
        &self,
        call: &Call,
        head: &mut Head,
        now: Millis,
        after: Arc<Table>,
        writes: Vec<crate::core::model::Write>,
        id: Option<Vec<u8>>,
        reply: Vec<u8>,
    ) -> Result<Step, WriteError<E>> {
        let gone = self.room(head, id.is_some(), now)?;
        let revision = after.revision();
        let credentials = super::credentials::entries(&head.table, &writes);
        let mut stored: Vec<_> = writes.iter().map(rows::of_write).collect();
        stored.extend(gone.iter().map(|id| rows::forget_answered(id)));
        stored.extend(head.birth.iter().map(rows::of_birth));
        let answered = id.map(|id| Answered { id, body: call.body.to_vec(), at: now, reply: reply.clone(), revision });
        stored.extend(answered.iter().map(rows::of_answered));
        let logged = Logged {
            at: now,
            caller: call.caller.clone(),
            method: call.method.to_owned(),
            writes,
            on_behalf_of: call.on_behalf_of.clone(),
        };
        let scope = call.organization.to_string();
        let commit = Commit { scope, revision: head.base + revision, log: rows::encode(&logged), rows: stored };
        let (done, durable) = oneshot::channel();
        let news = News::Version(Arc::clone(&after));
        self.committer.submit(commit, Durable { news, credentials, done })?;
        // INVARIANT 2: the next write builds on this one, under the same lock and in the committer's order.
        head.table = after;
        head.birth = None;
        head.answer(now, answered);
        Ok(Step::Submitted(reply, durable))
    }

    /// Whether a write is taken now; request ids that it forgets.
    pub(super) fn room<E>(&self, head: &mut Head, named: bool, now: Millis) -> Result<Vec<Vec<u8>>, WriteError<E>> {
        self.store.writable()?;
        let gone = head.forget(now);
        if named && head.answered.len() >= MAX_REQUEST_IDS {
            return Err(WriteError::TooManyRequestIds);
        }
        Ok(gone)
    }
}

/// Request ids are keyed by caller and method too (the organization has its own map).
pub(super) fn request_id(call: &Call) -> Option<Vec<u8>> {
    if call.request_id.is_empty() || call.validate_only {
        return None;
    }
    let mut hash = Sha256::new();
    let parts = [call.caller.as_str(), call.method, &call.request_id];
    for part in parts.into_iter().chain(call.on_behalf_of.as_deref()) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Some(hash.finalize().to_vec())
}
