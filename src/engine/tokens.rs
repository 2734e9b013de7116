//! The server's own bearer tokens: their hashes, kept under the store's empty scope.

use std::collections::HashMap;
use std::sync::Mutex;

use arc_swap::ArcSwap;
use minicbor::{Decode, Encode};
use tokio::sync::oneshot;

use crate::core::model::Millis;
use crate::store::{Commit, PolicyStore, RowWrite, StoreError};

use super::rows::encode;
use super::{Durable, Engine, lock};

/// SHA-256 of a token. Tokens are random, so nothing slower is needed.
pub type TokenHash = [u8; 32];

/// A stored token.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct TokenRow {
    /// SHA-256 of the token.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub hash: TokenHash,
    /// Whom it stands for, for the log.
    #[n(1)]
    pub name: String,
    /// When it was made.
    #[n(2)]
    pub created_at: Millis,
}

#[derive(Default)]
pub(super) struct Loaded {
    head: u64,
    rows: Vec<TokenRow>,
}

pub(super) struct Tokens {
    head: Mutex<u64>,
    known: ArcSwap<HashMap<TokenHash, TokenRow>>,
}

pub(super) fn load(store: &dyn PolicyStore) -> Result<Loaded, StoreError> {
    let mut rows = Vec::new();
    let head = store.load("", &mut |_, value| {
        rows.push(minicbor::decode(value).map_err(|e| StoreError::Unreadable(e.to_string()))?);
        Ok(())
    })?;
    Ok(Loaded { head, rows })
}

impl Tokens {
    pub(super) fn new(Loaded { head, rows }: Loaded) -> Self {
        let known = rows.into_iter().map(|row| (row.hash, row)).collect();
        Self { head: Mutex::new(head), known: ArcSwap::from_pointee(known) }
    }
}

impl Engine {
    /// Whether any token is stored.
    #[must_use]
    pub fn has_tokens(&self) -> bool {
        !self.tokens.known.load().is_empty()
    }

    /// The name of the stored token with this hash. A lookup by hash tells an attacker nothing that
    /// timing could: the hash of a guess is not under his control.
    #[inline]
    pub fn with_token<T>(&self, hash: &TokenHash, read: impl FnOnce(&TokenRow) -> T) -> Option<T> {
        self.tokens.known.load().get(hash).map(read)
    }

    /// Stores a token's hash; it is accepted once this returns.
    ///
    /// # Errors
    /// The store takes no writes, or stopped.
    pub async fn add_token(&self, row: TokenRow) -> Result<(), StoreError> {
        let durable = {
            let mut head = lock(&self.tokens.head);
            self.store.writable()?;
            let write = RowWrite { key: row.hash.to_vec(), value: Some(encode(&row)) };
            let (scope, log, archive) = (String::new(), Some(Vec::new()), Vec::new());
            let commit = Commit { scope, revision: *head + 1, log, rows: vec![write], archive };
            let (done, durable) = oneshot::channel();
            self.committer.submit(commit, Durable::new(done))?;
            *head += 1;
            durable
        };
        durable.await.map_err(|_| StoreError::Stopped)?;
        self.tokens.known.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.insert(row.hash, row.clone());
            known
        });
        Ok(())
    }
}
