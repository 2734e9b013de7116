//! The tokens of service accounts (rule 2.5): whose they are, and whether they let in now.
//!
//! What a credential is stands in its organization's version; this index only says where. So a
//! revocation is effective with the version that brings it, and an end in the millisecond it names.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;
use imbl::HashMap;

use crate::core::id::Id;
use crate::core::model::{Credential, Key, Millis, Row, Status, Write};
use crate::core::table::Table;

use super::{Engine, TokenHash};

/// How exactly the last use of a credential is remembered.
const USED_STEP_MS: Millis = 60 * 60 * 1_000;
const NEVER_USED: Millis = Millis::MIN;

/// Whom a credential's token stands for.
#[derive(Debug)]
pub struct Bearer {
    /// The organization.
    pub organization: Id,
    /// Its history: under the same id there may be another organization later.
    pub history: Arc<str>,
    /// The service account, as questions name it: `service:ID`.
    pub principal: String,
    /// The credential.
    pub credential: Id,
    /// Whether the bearer is trusted to act on behalf of users (rule 7.6).
    pub acts_for_users: bool,
    used: AtomicI64,
}

impl Bearer {
    fn new(table: &Table, credential: &Credential) -> Self {
        Self {
            organization: table.id().clone(),
            history: Arc::clone(table.history()),
            principal: format!("service:{}", credential.service),
            credential: credential.id.clone(),
            acts_for_users: credential.acts_for_users,
            used: AtomicI64::new(NEVER_USED),
        }
    }
}

impl PartialEq for Bearer {
    fn eq(&self, other: &Self) -> bool {
        (&self.history, &self.credential) == (&other.history, &other.credential)
    }
}

impl Eq for Bearer {}

/// Why a token lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shut {
    /// It is nobody's.
    Unknown,
    /// It was revoked.
    Revoked,
    /// It ended.
    Expired,
    /// Its service account is inactive (rule 4.2).
    Inactive,
}

type Known = HashMap<TokenHash, Arc<Bearer>>;

/// By hash: written by whoever publishes, read by every call.
#[derive(Default)]
pub(super) struct Credentials {
    known: ArcSwap<Known>,
}

/// What a version changes in the index.
pub(super) type Entry = (TokenHash, Option<Bearer>);

/// What these writes on top of `before` change.
pub(super) fn entries(before: &Table, writes: &[Write]) -> Vec<Entry> {
    let entry = |write: &Write| match write {
        Write::Put(Row::Credential(c)) => Some((c.hash, Some(Bearer::new(before, c)))),
        Write::Delete(Key::Credential(id)) => Some((before.credential(id.as_str())?.hash, None)),
        _ => None,
    };
    writes.iter().filter_map(entry).collect()
}

/// Those of a version.
pub(super) fn all(table: &Table) -> Vec<Entry> {
    table.credentials(None).map(|c| (c.hash, Some(Bearer::new(table, c)))).collect()
}

impl Credentials {
    /// Called by the one publisher only.
    pub(super) fn apply(&self, entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        let mut known = Known::clone(&self.known.load());
        for (hash, bearer) in entries {
            match bearer {
                None => {
                    known.remove(&hash);
                }
                // One that is known keeps when it was last used.
                Some(bearer) => {
                    known.entry(hash).or_insert_with(|| Arc::new(bearer));
                }
            }
        }
        self.known.store(Arc::new(known));
    }
}

impl Engine {
    /// Whom the token with this hash stands for now.
    ///
    /// # Errors
    /// It lets nobody in.
    pub fn bearer(&self, hash: &TokenHash) -> Result<Arc<Bearer>, Shut> {
        let bearer = self.credentials.known.load().get(hash).map(Arc::clone).ok_or(Shut::Unknown)?;
        let now = self.clock.now();
        self.in_at(&bearer, now)?;
        if bearer.used.load(Ordering::Relaxed) < now.saturating_sub(USED_STEP_MS) {
            bearer.used.store(now, Ordering::Relaxed);
        }
        Ok(bearer)
    }

    /// Whether whom a token let in would be let in again now.
    ///
    /// # Errors
    /// Why not.
    pub fn still_in(&self, bearer: &Bearer) -> Result<(), Shut> {
        self.in_at(bearer, self.clock.now())
    }

    #[inline]
    fn in_at(&self, bearer: &Bearer, now: Millis) -> Result<(), Shut> {
        let state = self.with_table(bearer.organization.as_str(), None, |table| {
            if *table.history() != bearer.history {
                return Err(Shut::Unknown);
            }
            let credential = table.credential(bearer.credential.as_str()).ok_or(Shut::Unknown)?;
            if credential.revoked_at.is_some() {
                return Err(Shut::Revoked);
            }
            if !credential.is_valid(now) {
                return Err(Shut::Expired);
            }
            match table.find_service(&credential.service).map(|found| found.value.status()) {
                Some(Status::Active) => Ok(()),
                _ => Err(Shut::Inactive),
            }
        });
        // INVARIANT 4: an organization that cannot be read lets nobody in.
        state.unwrap_or(Err(Shut::Unknown))
    }

    /// When a credential last let somebody in since this process began, to an hour.
    #[must_use]
    pub fn last_used(&self, credential: &Credential) -> Option<Millis> {
        let used = self.credentials.known.load().get(&credential.hash)?.used.load(Ordering::Relaxed);
        (used != NEVER_USED).then_some(used)
    }
}
