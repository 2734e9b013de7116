//! Who calls: a bearer token becomes a [`Caller`](crate::service::Caller), or the call is refused before a message is read.
//!
//! A token is `dw_` and 43 characters of URL-safe base64 over 32 random bytes. The store keeps its
//! SHA-256 only: tokens are random, so nothing slower is needed, and whoever reads the disk learns
//! none. A lookup by hash needs no constant-time comparison: the hash of a guess is not under an
//! attacker's control. Tokens are never logged, nor are the headers that carry them.
//!
//! On the way of a decision this costs one header lookup, one SHA-256 and one map lookup.
//!
//! Two services answer without credentials: `grpc.health.v1.Health`, because a kubelet has none, and
//! server reflection, which tells no more than the published API. Everything else is refused
//! (INVARIANT 4: no setting that is absent leaves a door open).

mod first;
mod token;

use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::engine::{Engine, TokenHash};
use crate::service::{Caller, DOMAIN};

pub use first::{FirstTokenError, first_token};
pub use token::{Malformed, Token, TokenFileError};

/// The name of every caller of a server that asks for no credentials.
pub const DEV: &str = "dev";
/// The name that the first token stands for.
pub const ADMIN: &str = "admin";
const REASON: &str = "UNAUTHENTICATED";

/// Paths that need no credentials.
const OPEN: [&str; 3] =
    ["/grpc.health.v1.Health/", "/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/"];

/// Decides whether a call comes in, and as whom.
#[derive(Clone)]
pub struct Gate {
    engine: Arc<Engine>,
    /// Tokens from files. A handful, so a list.
    provided: Arc<[(TokenHash, Caller)]>,
    /// Everyone, where no credentials are asked for.
    everyone: Option<Caller>,
}

/// Why a call does not come in. Nothing here says whether a token almost fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No `authorization`.
    #[error("no credentials: send the metadata `authorization: Bearer TOKEN`")]
    Missing,
    /// It is no bearer token of ours, or there are two of them.
    #[error("malformed credentials: send the metadata `authorization: Bearer TOKEN` once")]
    Malformed,
    /// Nobody has this token.
    #[error("unknown token")]
    Unknown,
}

/// Why the tokens that the operator provides cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProvidedError {
    /// One file.
    #[error(transparent)]
    File(#[from] TokenFileError),
    /// Names tell callers apart in the log and in retries.
    #[error("two token files give the name `{0}`")]
    SameName(String),
}

impl Gate {
    /// A gate that asks for no credentials. The server holds it to loopback.
    #[must_use]
    pub fn open_to_all(engine: Arc<Engine>) -> Self {
        let everyone = Some(Caller { name: DEV.into() });
        Self { engine, provided: Arc::new([]), everyone }
    }

    /// A gate for those with a stored token, or one of these files'.
    ///
    /// # Errors
    /// A file cannot be read or holds no token, or two have the same name.
    pub fn for_tokens(engine: Arc<Engine>, files: &[PathBuf]) -> Result<Self, ProvidedError> {
        let mut provided: Vec<(TokenHash, Caller)> = Vec::with_capacity(files.len());
        for file in files {
            let (token, name) = token::read_file(file)?;
            if provided.iter().any(|(_, caller)| caller.name == name) {
                return Err(ProvidedError::SameName(name));
            }
            provided.push((token.hash(), Caller { name }));
        }
        Ok(Self { engine, provided: provided.into(), everyone: None })
    }

    /// Whether this path answers without credentials.
    #[must_use]
    pub fn is_open(path: &str) -> bool {
        OPEN.iter().any(|open| path.starts_with(open))
    }

    /// The caller that these headers speak for.
    ///
    /// # Errors
    /// They speak for nobody.
    #[inline]
    pub fn admit(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        if let Some(everyone) = &self.everyone {
            return Ok(everyone.clone());
        }
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().ok_or(Refusal::Missing)?;
        if values.next().is_some() {
            // Whoever reads another of two values than we do would know another caller.
            return Err(Refusal::Malformed);
        }
        let text = bearer(value.as_bytes()).ok_or(Refusal::Malformed)?;
        let hash = Token::hash_of(text).map_err(|Malformed| Refusal::Malformed)?;
        self.known(&hash).ok_or(Refusal::Unknown)
    }

    fn known(&self, hash: &TokenHash) -> Option<Caller> {
        let stored = self.engine.with_token(hash, |row| Caller { name: row.name.as_str().into() });
        stored.or_else(|| self.provided.iter().find(|(known, _)| known == hash).map(|(_, caller)| caller.clone()))
    }
}

/// What follows the scheme, whose case does not matter (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let details = ErrorDetails::with_error_info(REASON, DOMAIN, []);
        Self::with_error_details(Code::Unauthenticated, refusal.to_string(), details)
    }
}

#[cfg(test)]
mod tests;
