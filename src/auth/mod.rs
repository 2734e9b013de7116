//! Who calls: a bearer token becomes a [`Caller`](crate::service::Caller), or the call is refused before a message is read.
//!
//! A token is `dw_` and 43 characters of URL-safe base64 over 32 random bytes. The store keeps its
//! SHA-256 only: tokens are random, so nothing slower is needed, and whoever reads the disk learns
//! none. A lookup by hash needs no constant-time comparison: the hash of a guess is not under an
//! attacker's control. Tokens are never logged, nor are the headers that carry them.
//!
//! On the way of a decision this costs one header lookup, one SHA-256 and one map lookup; for a service
//! account a second map lookup and a look at its credential in the published version.
//!
//! A caller may say on whose behalf it calls; whether it is trusted to is not for the gate to judge.
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

use crate::core::condition::parse_timestamp;
use crate::core::id::OpaqueId;
use crate::engine::{Engine, Shut, TokenHash};
use crate::service::{Caller, DOMAIN, OnBehalfOf};

pub use crate::engine::{Malformed, Token};
pub use first::{FirstTokenError, first_token};
pub use token::TokenFileError;

/// The name of every caller of a server that asks for no credentials.
pub const DEV: &str = "dev";
/// The name that the first token stands for.
pub const ADMIN: &str = "admin";
/// The metadata that name the user on whose behalf a call is made (rule 7.6): `user:ID`.
pub const ON_BEHALF_OF: &str = "x-doorward-on-behalf-of";
/// The metadata that say when that user last proved who it is (rule 4.3): RFC 3339.
pub const AUTHENTICATED_AT: &str = "x-doorward-authenticated-at";

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

/// Why a call does not come in. Nothing here says whether a token almost fits; only whoever has the whole
/// of one that ended hears of that.
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
    /// It was somebody's.
    #[error("the credential was revoked")]
    Revoked,
    /// It was somebody's.
    #[error("the credential has expired")]
    Expired,
    /// Rules 2.5 and 4.2.
    #[error("the service account is inactive")]
    Inactive,
    /// Not of the form.
    #[error(
        "malformed metadata: send `{ON_BEHALF_OF}: user:ID` once, and with it `{AUTHENTICATED_AT}: TIME` (RFC 3339) \
         at most once"
    )]
    OnBehalfOf,
}

impl Refusal {
    fn of(shut: Shut) -> Self {
        match shut {
            Shut::Unknown => Self::Unknown,
            Shut::Revoked => Self::Revoked,
            Shut::Expired => Self::Expired,
            Shut::Inactive => Self::Inactive,
        }
    }

    /// The stable reason in the API.
    fn reason(self) -> &'static str {
        match self {
            Self::Missing | Self::Malformed | Self::Unknown => "UNAUTHENTICATED",
            Self::Revoked => "CREDENTIAL_REVOKED",
            Self::Expired => "CREDENTIAL_EXPIRED",
            Self::Inactive => "PRINCIPAL_INACTIVE",
            Self::OnBehalfOf => "INVALID_REQUEST",
        }
    }
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
        let everyone = Some(Caller::operator(DEV.into()));
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
            provided.push((token.hash(), Caller::operator(name)));
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
        match self.operator(&hash) {
            Some(operator) => Ok(operator),
            None => self.engine.bearer(&hash).map(Caller::bearer).map_err(Refusal::of),
        }
    }

    /// On whose behalf the caller says that it calls (rule 7.6). Whether it is trusted to, and whether the
    /// user may act, is for the services to find out.
    ///
    /// # Errors
    /// The metadata say it twice, or not of a user.
    pub fn on_behalf_of(headers: &HeaderMap) -> Result<Option<OnBehalfOf>, Refusal> {
        let Some(user) = only(headers, ON_BEHALF_OF)? else {
            // One without the other is a mistake that would be somebody's power.
            return if headers.contains_key(AUTHENTICATED_AT) { Err(Refusal::OnBehalfOf) } else { Ok(None) };
        };
        let id = user.strip_prefix("user:").ok_or(Refusal::OnBehalfOf)?;
        OpaqueId::check(id).map_err(|_| Refusal::OnBehalfOf)?;
        let at = only(headers, AUTHENTICATED_AT)?;
        let at = at.map(|at| parse_timestamp(at).map_err(|_| Refusal::OnBehalfOf)).transpose()?;
        Ok(Some(OnBehalfOf { user: user.to_owned(), authenticated_at: at }))
    }

    fn operator(&self, hash: &TokenHash) -> Option<Caller> {
        let stored = self.engine.with_token(hash, |row| Caller::operator(row.name.as_str().into()));
        stored.or_else(|| self.provided.iter().find(|(known, _)| known == hash).map(|(_, caller)| caller.clone()))
    }
}

/// A text that may be sent once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => std::str::from_utf8(value.as_bytes()).map(Some).map_err(|_| Refusal::OnBehalfOf),
        (Some(_), Some(_)) => Err(Refusal::OnBehalfOf),
    }
}

/// What follows the scheme, whose case does not matter (RFC 9110, 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let details = ErrorDetails::with_error_info(refusal.reason(), DOMAIN, []);
        let code = match refusal {
            Refusal::OnBehalfOf => Code::InvalidArgument,
            _ => Code::Unauthenticated,
        };
        Self::with_error_details(code, refusal.to_string(), details)
    }
}

#[cfg(test)]
mod tests;
