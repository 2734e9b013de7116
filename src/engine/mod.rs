//! Orchestration, nothing else: start-up, reading the published version, and the way of a write.
//!
//! **A write.** The organization's writer (a mutex around its *tentative head*) plans the change
//! against the head, resolves it (`core::change`), hands the delta to the committer and moves the
//! head on, without waiting for the disk; the next write builds on it at once. When the committer
//! has the delta on disk it publishes and acknowledges. Whatever was derived from the tentative
//! head, a refusal or a dry run included, is told to the caller only once that head is durable.
//!
//! **A decision.** One published version, no lock, no await (an unreached least revision aside).

pub mod activity;
mod answers;
mod credentials;
mod end;
mod head;
mod marks;
mod rows;
mod supers;
mod token;
mod tokens;
mod uses;
mod write;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;
use crate::core::decision::{self, Problems, Question, Reason, Walk};
use crate::core::id::Id;
use crate::core::model::{Millis, Row};
use crate::core::table::Table;
use crate::snapshot::{self, Marks, Published, Snapshots};
use crate::store::{Committer, CommitterOptions, PolicyStore, StoreError};

pub use credentials::{Bearer, Shut};
pub use end::Ended;
pub use marks::KEEP_EVERY;
pub use rows::{Birth, Logged};
pub use supers::{SuperContent, SuperOutcome};
pub use token::{Malformed, Token};
pub use tokens::{TokenHash, TokenRow};
pub use uses::Use;
pub use write::{Call, Create, Guard, Outcome, Work, WriteError, Written};

use activity::{Tip, Trail};
use head::{Head, Scope};
use rows::KeptMarks;

/// How long a read waits for a revision that this instance has not reached, at most.
pub const MAX_REVISION_WAIT: Duration = Duration::from_secs(5);

/// Everything that decides, reads and writes.
pub struct Engine {
    store: Arc<dyn PolicyStore>,
    clock: Arc<dyn Clock>,
    snapshots: Arc<Snapshots>,
    committer: Committer<Durable>,
    /// Every organization that is, was or may be about to be.
    scopes: DashMap<Box<str>, Arc<Scope>>,
    super_heads: supers::Heads,
    supers: Arc<supers::Published>,
    tokens: tokens::Tokens,
    credentials: Arc<credentials::Credentials>,
    /// The activity logs of the organizations that are published.
    trails: Arc<Trails>,
    /// Whether streams without an end are to end.
    draining: watch::Sender<bool>,
    told: uses::Told,
}

type Trails = DashMap<Box<str>, Arc<Trail>>;

/// What the committer hands back once it is on disk.
struct Durable {
    /// None for what makes no version of an organization. One without a revision is the end of it.
    table: Option<Arc<Table>>,
    /// Tokens that it brings or ends.
    credentials: Vec<credentials::Entry>,
    /// How far the activity log is with it.
    logged: Option<(Arc<Trail>, Tip)>,
    /// A super-organization that it changes.
    over: Option<supers::State>,
    /// How far an organization's scope is with it.
    reached: Option<(Arc<Scope>, u64)>,
    done: oneshot::Sender<()>,
}

impl Durable {
    /// Of which nothing is seen.
    fn new(done: oneshot::Sender<()>) -> Self {
        Self { table: None, credentials: Vec::new(), logged: None, over: None, reached: None, done }
    }
}

/// A revision of an organization (API.md).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The history it belongs to.
    pub history: Arc<str>,
    /// Its number in that history.
    pub number: u64,
}

/// The least revision that a caller accepts (rule 4.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtLeast<'a> {
    /// The history that the caller knows; empty for any.
    pub history: &'a str,
    /// The least number.
    pub number: u64,
}

/// Why nothing could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Rule 4.1.
    #[error("unknown organization `{0}`")]
    UnknownOrganization(String),
    /// As rule 4.1, for super-organizations.
    #[error("unknown super-organization `{0}`")]
    UnknownSuperOrganization(String),
    /// The least revision belongs to another history: the organization was restored or recreated.
    #[error("the least revision belongs to another history of this organization")]
    OtherHistory,
    /// Rule 4.10.
    #[error("revision {wanted} is not reached yet, this instance is at {reached}")]
    NotReached {
        /// What was asked for.
        wanted: u64,
        /// What there is.
        reached: u64,
    },
    /// Rule 4.1: all that is wrong with the question.
    #[error("the request is malformed")]
    Problems(Problems),
}

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store failed.
    #[error("could not read the store")]
    Store(#[from] StoreError),
    /// Stored rows that do not make an organization.
    #[error("organization `{organization}` cannot be loaded: {problem}")]
    Damaged {
        /// Which.
        organization: String,
        /// The first thing that is wrong.
        problem: String,
    },
}

/// A decision and the revision it was made at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// Why; only `Allowed` allows.
    pub reason: Reason,
    /// The revision's number.
    pub revision: u64,
}

impl Engine {
    /// Loads everything from `store` and starts the committer. `on_fatal` is called once, from
    /// another thread, when a write failed: what is on disk is then unknown, and the process must
    /// end.
    ///
    /// # Errors
    /// The store cannot be read, or what it holds is no organization.
    pub fn open(
        store: Arc<dyn PolicyStore>,
        clock: Arc<dyn Clock>,
        on_fatal: impl FnOnce(StoreError) + Send + 'static,
    ) -> Result<Self, OpenError> {
        let snapshots = Arc::new(Snapshots::default());
        let organizations = DashMap::new();
        let trails = Arc::new(Trails::new());
        let credentials = Arc::new(credentials::Credentials::default());
        let mut tokens = tokens::Loaded::default();
        let (super_heads, supers) = (supers::Heads::default(), Arc::new(supers::Published::default()));
        let scopes = store.scopes()?;
        // Before their organizations, which take account of them.
        for (scope, _) in scopes.iter().filter(|(scope, _)| supers::is_scope(scope)) {
            let (id, head, state) = supers::load(&*store, scope)?;
            super_heads.insert(&id, head);
            supers.publish(state);
        }
        for (scope, _) in scopes.into_iter().filter(|(scope, _)| !supers::is_scope(scope)) {
            if scope.is_empty() {
                tokens = tokens::load(&*store)?;
                continue;
            }
            let (mut head, kept) = load(&*store, &scope)?;
            if head.exists() {
                let table = super_heads.join(Arc::clone(&head.table), head.revision());
                head = head.under(table);
                credentials.apply(credentials::all(&head.table));
                trails.insert(scope.as_str().into(), Arc::clone(&head.trail));
                snapshots.publish([Arc::clone(&head.table)], clock.now());
                marks::restore(&snapshots, &head.table, kept);
            }
            organizations.insert(scope.into(), Arc::new(Scope::new(head)));
        }
        snapshots.sweep();
        let (publisher, over) = (Arc::clone(&snapshots), Arc::clone(&supers));
        let (index, logs) = (Arc::clone(&credentials), Arc::clone(&trails));
        let time = Arc::clone(&clock);
        let on_durable = move |batch: Vec<Durable>| publish(&publisher, &index, &logs, &over, batch, time.now());
        let committer = Committer::spawn(Arc::clone(&store), CommitterOptions::default(), on_durable, on_fatal)?;
        let (draining, _) = watch::channel(false);
        let tokens = tokens::Tokens::new(tokens);
        Ok(Self {
            store,
            clock,
            snapshots,
            committer,
            scopes: organizations,
            super_heads,
            supers,
            tokens,
            credentials,
            trails,
            draining,
            told: uses::Told::default(),
        })
    }

    /// The clock that decisions use.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// The clock itself.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The ids of all organizations, sorted.
    #[must_use]
    pub fn organizations(&self) -> Vec<String> {
        self.snapshots.ids()
    }

    /// The published versions, for what counts them.
    #[must_use]
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// The organization at `at_least` or later, for work that is no decision. Waits for the
    /// revision until `wait` has passed.
    ///
    /// # Errors
    /// The organization is unknown, its history another, or the revision not reached in time.
    pub async fn table(
        &self,
        organization: &str,
        at_least: Option<AtLeast<'_>>,
        wait: Duration,
    ) -> Result<Arc<Table>, ReadError> {
        Ok(self.pin(organization, at_least, wait).await?.0)
    }

    /// The same with where its decisions are noted, for many decisions at one version.
    ///
    /// # Errors
    /// As [`Engine::table`].
    pub async fn pin(
        &self,
        organization: &str,
        at_least: Option<AtLeast<'_>>,
        wait: Duration,
    ) -> Result<(Arc<Table>, Arc<Published>), ReadError> {
        let published = self.published(organization)?;
        if let Some(at_least) = at_least {
            self.reach(&published, at_least, wait).await?;
        }
        Ok((published.table_full(), published))
    }

    fn published(&self, organization: &str) -> Result<Arc<Published>, ReadError> {
        let unknown = || ReadError::UnknownOrganization(organization.to_owned());
        self.snapshots.find(organization).ok_or_else(unknown)
    }

    /// Waits until the organization has reached a revision.
    ///
    /// # Errors
    /// As [`Engine::table`].
    pub async fn wait_for(&self, organization: &str, at_least: AtLeast<'_>, wait: Duration) -> Result<(), ReadError> {
        let published = self.published(organization)?;
        self.reach(&published, at_least, wait).await
    }

    async fn reach(&self, published: &Published, at_least: AtLeast<'_>, wait: Duration) -> Result<(), ReadError> {
        check_history(&published.table(), at_least)?;
        let wanted = at_least.number;
        let mut revisions = published.revisions();
        let reached = tokio::time::timeout(wait.min(MAX_REVISION_WAIT), revisions.wait_for(|r| *r >= wanted)).await;
        match reached {
            Ok(Ok(revision)) if *revision == snapshot::ENDED => {
                Err(ReadError::UnknownOrganization(published.table().id().to_string()))
            }
            Ok(Ok(_)) => Ok(()),
            _ => Err(ReadError::NotReached { wanted, reached: published.table().revision() }),
        }
    }

    /// Decides, at the published version. No lock, no await; but an allow by an emergency activation alone
    /// (rule 7.4) is handed to the activity log, once a minute, and what is allowed is marked, once an hour.
    ///
    /// # Errors
    /// Rule 4.1's errors; `NotReached` if the version is older than `at_least`: wait with
    /// [`Engine::wait_for`] and ask again.
    #[inline]
    pub fn authorize<T>(
        &self,
        organization: &str,
        at_least: Option<AtLeast<'_>>,
        question: &Question<'_>,
        answer: impl FnOnce(Decided, &Table) -> T,
    ) -> Result<T, ReadError> {
        let now = self.clock.now();
        self.with_marks(organization, at_least, |table, marks| {
            let reason = decision::decide_and(table, question, now, |permission| {
                marks.note(permission, now);
            })
            .map_err(ReadError::Problems)?;
            self.note_use(table, question, now, reason);
            Ok(answer(Decided { reason, revision: table.revision() }, table))
        })?
    }

    /// Begins a question that is asked for many permissions, at one version and one time.
    ///
    /// # Errors
    /// As [`Engine::authorize`].
    pub fn walk<T>(
        &self,
        organization: &str,
        at_least: Option<AtLeast<'_>>,
        question: &Question<'_>,
        answer: impl FnOnce(&Walk<'_>, &Table, Millis) -> T,
    ) -> Result<T, ReadError> {
        let now = self.clock.now();
        self.with_table(organization, at_least, |table| {
            let walk = Walk::begin(table, question, now).map_err(ReadError::Problems)?;
            Ok(answer(&walk, table, now))
        })?
    }

    /// Reads the published version in place: keep `read` short, it holds the version.
    ///
    /// # Errors
    /// The organization is unknown, its history another, or the version older than `at_least`.
    #[inline]
    pub fn with_table<T>(
        &self,
        organization: &str,
        at_least: Option<AtLeast<'_>>,
        read: impl FnOnce(&Table) -> T,
    ) -> Result<T, ReadError> {
        self.with_marks(organization, at_least, |table, _| read(table))
    }

    /// The same with where its decisions are noted.
    ///
    /// # Errors
    /// As [`Engine::with_table`].
    #[inline]
    pub fn with_marks<T>(
        &self,
        organization: &str,
        at_least: Option<AtLeast<'_>>,
        read: impl FnOnce(&Table, &Marks) -> T,
    ) -> Result<T, ReadError> {
        // INVARIANT 5: one version for the whole of `read`.
        let found = self.snapshots.with(organization, |published| {
            let table = published.table();
            if let Some(at_least) = at_least {
                check_history(&table, at_least)?;
                if table.revision() < at_least.number {
                    return Err(ReadError::NotReached { wanted: at_least.number, reached: table.revision() });
                }
            }
            Ok(read(&table, published.marks()))
        });
        found.unwrap_or_else(|| Err(ReadError::UnknownOrganization(organization.to_owned())))
    }

    /// The log of changes of an organization, from a revision on; `visit` returns whether to go on. Nothing of
    /// what was before it under the same id.
    ///
    /// # Errors
    /// The store's, or an entry that no version of this program wrote.
    pub fn log(
        &self,
        organization: &Id,
        from_revision: u64,
        visit: &mut dyn FnMut(u64, Logged) -> bool,
    ) -> Result<(), StoreError> {
        let Some(base) = self.trail(organization.as_str()).map(|trail| trail.base()) else { return Ok(()) };
        self.store.log(organization.as_str(), base.saturating_add(from_revision.max(1)), &mut |revision, bytes| {
            let logged = minicbor::decode(bytes).map_err(|e| StoreError::Unreadable(e.to_string()))?;
            Ok(visit(revision.saturating_sub(base), logged))
        })
    }

    /// Whether writes are taken now.
    ///
    /// # Errors
    /// Why not.
    pub fn writable(&self) -> Result<(), StoreError> {
        self.store.writable()
    }

    /// What is kept, for work that reads it beside the runtime.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn PolicyStore> {
        &self.store
    }

    /// Ends streams that have no end of their own, so that the server can.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Tells when streams that have no end of their own are to end.
    #[must_use]
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Writes what waits and ends the committer. Later writes are refused.
    pub fn stop(&self) {
        self.drain();
        self.settle_refusals();
        self.keep_marks();
        self.committer.stop();
    }
}

fn check_history(table: &Table, at_least: AtLeast<'_>) -> Result<(), ReadError> {
    let known = at_least.history.is_empty() || **table.history() == *at_least.history;
    if known { Ok(()) } else { Err(ReadError::OtherHistory) }
}

/// Publishes the last version of each organization in the batch, and every organization of a
/// super-organization in it, then acknowledges everyone.
fn publish(
    snapshots: &Snapshots,
    index: &credentials::Credentials,
    trails: &Trails,
    supers: &supers::Published,
    batch: Vec<Durable>,
    now: Millis,
) {
    let mut last: Vec<Arc<Table>> = Vec::new();
    let mut waiting = Vec::with_capacity(batch.len());
    let mut entries = Vec::new();
    let mut changed: Vec<Id> = Vec::new();
    let (mut scopes, mut logs) = (Vec::new(), Vec::new());
    for Durable { table, credentials, logged, over, reached, done } in batch {
        entries.extend(credentials);
        scopes.extend(reached);
        // Before the version, so that whoever waits for a revision finds its entry.
        if let Some((trail, tip)) = logged {
            trail.reached(tip);
            let id = trail.organization().as_str();
            if !trails.get(id).is_some_and(|known| Arc::ptr_eq(&known, &trail)) {
                trails.insert(id.into(), Arc::clone(&trail));
            }
            logs.push(trail);
        }
        if let Some(state) = over {
            changed.push(state.id.clone());
            supers.publish(state);
        }
        if let Some(table) = table {
            last.retain(|t| t.id() != table.id());
            last.push(table);
        }
        waiting.push(done);
    }
    // INVARIANT 1: what comes out of the committer is on disk; only now may anyone see or hear of it.
    index.apply(entries);
    if !changed.is_empty() {
        let concerned = |table: &Arc<Table>| {
            let changed = table.super_organization().is_some_and(|id| changed.contains(id));
            changed && last.iter().all(|t| t.id() != table.id())
        };
        let others: Vec<Arc<Table>> = snapshots.all().into_iter().filter(concerned).collect();
        last.extend(others);
    }
    let ended: Vec<Id> = last.iter().filter(|table| table.revision() == 0).map(|table| table.id().clone()).collect();
    // INVARIANT 5: each takes account of one revision of its super-organization, and all of the same one
    // before anybody hears of it.
    snapshots.publish(last.into_iter().map(|table| supers.dress(table)), now);
    // After the version: whoever is woken by an entry, and may not read it any more, sees that.
    logs.iter().for_each(|trail| trail.tell());
    for id in ended {
        trails.remove(id.as_str());
    }
    for (scope, revision) in scopes {
        scope.reached(revision);
    }
    for done in waiting {
        // Whoever gave up waiting does not hear of it.
        let _ = done.send(());
    }
    snapshots.sweep();
}

fn load(store: &dyn PolicyStore, scope: &str) -> Result<(Head, Option<KeptMarks>), OpenError> {
    let damaged = |problem: String| OpenError::Damaged { organization: scope.to_owned(), problem };
    let mut birth: Option<Birth> = None;
    let mut contents: Vec<Row> = Vec::new();
    let (mut answered, mut tip, mut kept) = (Vec::new(), Tip::default(), None);
    let revision = store.load(scope, &mut |key, value| {
        match rows::read(key, value)? {
            rows::Stored::Birth(b) => birth = Some(b),
            rows::Stored::Row(row) => contents.push(row),
            rows::Stored::Answered(a) => answered.push(a),
            rows::Stored::Tip(t) => tip = t,
            rows::Stored::Marks(m) => kept = Some(m),
        }
        Ok(())
    })?;
    let id = Id::parse(scope).map_err(|e| damaged(e.to_string()))?;
    let Birth { history, seed, base, ended } = birth.ok_or_else(|| damaged("it has no birth record".to_owned()))?;
    if ended && contents.is_empty() {
        return Ok((Head::after(id, revision, answered), None));
    }
    let own = revision.checked_sub(base).filter(|own| *own > 0 && !ended);
    let own = own.ok_or_else(|| damaged("its rows are not those of its history".to_owned()))?;
    let history: Arc<str> = history.into();
    let trail = Arc::new(Trail::new(id.clone(), Arc::clone(&history), base, revision, tip));
    let table = Table::load(id, history, seed, own, contents).map_err(|violations| {
        let first = violations.first().map_or_else(String::new, |v| format!("{}: {}", v.key.describe(), v.fault));
        damaged(first)
    })?;
    Ok((Head::new(Arc::new(table), answered, trail), kept))
}

/// A lock that survives a panic elsewhere: what it guards is replaced whole, never left half done.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
