//! Orchestration, nothing else: start-up, reading the published version, and the way of a write.
//!
//! **A write.** The organization's writer (a mutex around its *tentative head*) plans the change
//! against the head, resolves it (`core::change`), hands the delta to the committer and moves the
//! head on, without waiting for the disk; the next write builds on it at once. When the committer
//! has the delta on disk it publishes and acknowledges. Whatever was derived from the tentative
//! head, a refusal or a dry run included, is told to the caller only once that head is durable.
//!
//! **A decision.** One published version, no lock, no await (an unreached least revision aside).

mod credentials;
mod end;
mod rows;
mod token;
mod tokens;
mod write;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::core::decision::{self, Problems, Question, Reason, Walk};
use crate::core::id::Id;
use crate::core::model::{Millis, Row};
use crate::core::table::Table;
use crate::snapshot::{Published, Snapshots};
use crate::store::{Committer, CommitterOptions, PolicyStore, StoreError};

pub use credentials::{Bearer, Shut};
pub use end::Ended;
pub use rows::{Birth, Logged};
pub use token::{Malformed, Token};
pub use tokens::{TokenHash, TokenRow};
pub use write::{Call, Create, Guard, Outcome, WriteError, Written};

use write::Head;

/// How long a read waits for a revision that this instance has not reached, at most.
pub const MAX_REVISION_WAIT: Duration = Duration::from_secs(5);

/// Everything that decides, reads and writes.
pub struct Engine {
    store: Arc<dyn PolicyStore>,
    clock: Arc<dyn Clock>,
    snapshots: Arc<Snapshots>,
    committer: Committer<Durable>,
    /// Every organization that is or may be about to be.
    heads: DashMap<Box<str>, Arc<Mutex<Head>>>,
    tokens: tokens::Tokens,
    credentials: Arc<credentials::Credentials>,
}

/// What the committer hands back once it is on disk.
struct Durable {
    news: News,
    /// Tokens that it brings or ends.
    credentials: Vec<credentials::Entry>,
    done: oneshot::Sender<()>,
}

/// What readers come to see.
enum News {
    /// Nothing: the server's own rows.
    None,
    /// The next version.
    Version(Arc<Table>),
    /// The end of an organization, and of its history.
    End(Id, Arc<str>),
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
        let heads = DashMap::new();
        let credentials = Arc::new(credentials::Credentials::default());
        let mut tokens = tokens::Loaded::default();
        for (scope, _) in store.scopes()? {
            if scope.is_empty() {
                tokens = tokens::load(&*store)?;
                continue;
            }
            let head = load(&*store, &scope)?;
            if head.exists() {
                credentials.apply(credentials::all(head.table()));
                snapshots.publish([Arc::clone(head.table())]);
            }
            heads.insert(scope.into(), Arc::new(Mutex::new(head)));
        }
        snapshots.sweep();
        let publisher = Arc::clone(&snapshots);
        let index = Arc::clone(&credentials);
        let on_durable = move |batch: Vec<Durable>| publish(&publisher, &index, batch);
        let committer = Committer::spawn(Arc::clone(&store), CommitterOptions::default(), on_durable, on_fatal)?;
        Ok(Self { store, clock, snapshots, committer, heads, tokens: tokens::Tokens::new(tokens), credentials })
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
        let published = self.published(organization)?;
        if let Some(at_least) = at_least {
            self.reach(&published, at_least, wait).await?;
        }
        Ok(published.table_full())
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
            // An organization that ends wakes whoever waits for it.
            Ok(Ok(_)) if published.table().revision() >= wanted => Ok(()),
            _ => Err(ReadError::NotReached { wanted, reached: published.table().revision() }),
        }
    }

    /// Decides, at the published version. No lock, no await.
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
        self.with_table(organization, at_least, |table| {
            let reason = decision::decide(table, question, now).map_err(ReadError::Problems)?;
            Ok(answer(Decided { reason, revision: table.revision() }, table))
        })?
    }

    /// Begins a question that is asked for many permissions, at one version.
    ///
    /// # Errors
    /// As [`Engine::authorize`].
    pub fn walk<T>(
        &self,
        organization: &str,
        at_least: Option<AtLeast<'_>>,
        question: &Question<'_>,
        answer: impl FnOnce(&Walk<'_>, &Table) -> T,
    ) -> Result<T, ReadError> {
        let now = self.clock.now();
        self.with_table(organization, at_least, |table| {
            let walk = Walk::begin(table, question, now).map_err(ReadError::Problems)?;
            Ok(answer(&walk, table))
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
        // INVARIANT 5: one version for the whole of `read`.
        let found = self.snapshots.with(organization, |published| {
            let table = published.table();
            if let Some(at_least) = at_least {
                check_history(&table, at_least)?;
                if table.revision() < at_least.number {
                    return Err(ReadError::NotReached { wanted: at_least.number, reached: table.revision() });
                }
            }
            Ok(read(&table))
        });
        found.unwrap_or_else(|| Err(ReadError::UnknownOrganization(organization.to_owned())))
    }

    /// The log of changes of an organization, from a revision on; `visit` returns whether to go on.
    ///
    /// # Errors
    /// The store's, or an entry that no version of this program wrote.
    pub fn log(
        &self,
        organization: &Id,
        from_revision: u64,
        visit: &mut dyn FnMut(u64, Logged) -> bool,
    ) -> Result<(), StoreError> {
        // What was before it under the same id is none of its business.
        let base = self.heads.get(organization.as_str()).map_or(0, |head| lock(&head).base());
        self.store.log(organization.as_str(), base + from_revision.max(1), &mut |revision, bytes| {
            let logged = minicbor::decode(bytes).map_err(|e| StoreError::Unreadable(e.to_string()))?;
            Ok(visit(revision - base, logged))
        })
    }

    /// Whether writes are taken now.
    ///
    /// # Errors
    /// Why not.
    pub fn writable(&self) -> Result<(), StoreError> {
        self.store.writable()
    }

    /// Writes what waits and ends the committer. Later writes are refused.
    pub fn stop(&self) {
        self.committer.stop();
    }
}

fn check_history(table: &Table, at_least: AtLeast<'_>) -> Result<(), ReadError> {
    let known = at_least.history.is_empty() || **table.history() == *at_least.history;
    if known { Ok(()) } else { Err(ReadError::OtherHistory) }
}

/// Publishes the last version of each organization in the batch, then acknowledges everyone.
fn publish(snapshots: &Snapshots, index: &credentials::Credentials, batch: Vec<Durable>) {
    let mut last: Vec<Arc<Table>> = Vec::new();
    let mut waiting = Vec::with_capacity(batch.len());
    let mut entries = Vec::new();
    for Durable { news, credentials, done } in batch {
        entries.extend(credentials);
        match news {
            News::None => {}
            News::Version(table) => {
                last.retain(|t| t.id() != table.id());
                last.push(table);
            }
            News::End(id, history) => {
                // What may come after it under this id is another history.
                last.retain(|t| *t.id() != id);
                snapshots.end(id.as_str(), &history);
            }
        }
        waiting.push(done);
    }
    // INVARIANT 1: what comes out of the committer is on disk; only now may anyone see or hear of it.
    index.apply(entries);
    snapshots.publish(last);
    for done in waiting {
        // Whoever gave up waiting does not hear of it.
        let _ = done.send(());
    }
    snapshots.sweep();
}

fn load(store: &dyn PolicyStore, scope: &str) -> Result<Head, OpenError> {
    let damaged = |problem: String| OpenError::Damaged { organization: scope.to_owned(), problem };
    let mut birth: Option<Birth> = None;
    let mut contents: Vec<Row> = Vec::new();
    let mut answered = Vec::new();
    let revision = store.load(scope, &mut |key, value| {
        match rows::read(key, value)? {
            rows::Stored::Birth(b) => birth = Some(b),
            rows::Stored::Row(row) => contents.push(row),
            rows::Stored::Answered(a) => answered.push(a),
        }
        Ok(())
    })?;
    let id = Id::parse(scope).map_err(|e| damaged(e.to_string()))?;
    if birth.is_none() && contents.is_empty() {
        // It was deleted; what is left is the place where its history ended.
        return Ok(Head::new(Arc::new(Table::blank(id, "".into(), 0)), answered).after(revision));
    }
    let birth = birth.ok_or_else(|| damaged("it has no birth record".to_owned()))?;
    let table = Table::load(id, birth.history.as_str().into(), birth.seed, revision - birth.base, contents).map_err(
        |violations| {
            let first = violations.first().map_or_else(String::new, |v| format!("{}: {}", v.key.describe(), v.fault));
            damaged(first)
        },
    )?;
    Ok(Head::new(Arc::new(table), answered).after(birth.base))
}

/// A lock that survives a panic elsewhere: what it guards is replaced whole, never left half done.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
