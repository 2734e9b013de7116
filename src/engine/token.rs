//! The text of a token, and its hash.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::clock::{Clock, ClockError};

use super::TokenHash;

const PREFIX: &[u8] = b"dw_";
/// `dw_` and 32 bytes in base64.
const LENGTH: usize = 46;

/// A bearer token. Its text goes to whoever is to have it and nowhere else: it has no `Display`, and
/// its `Debug` shows nothing.
pub struct Token(String);

/// This is no token of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is `dw_` and 43 characters of URL-safe base64")]
pub struct Malformed;

impl Token {
    /// A new one that nobody can guess.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn random(clock: &dyn Clock) -> Result<Self, ClockError> {
        let (first, second) = (clock.random()?, clock.random()?);
        let mut text = String::with_capacity(LENGTH);
        text.push_str("dw_");
        URL_SAFE_NO_PAD.encode_string([first, second].concat(), &mut text);
        Ok(Self(text))
    }

    /// # Errors
    /// This is no token of ours.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        Self::hash_of(text.as_bytes())?;
        Ok(Self(text.to_owned()))
    }

    /// What the store keeps of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        Sha256::digest(&self.0).into()
    }

    /// The hash of a token's text, without keeping it. Length and prefix are looked at first, so
    /// that a long header costs nothing.
    ///
    /// # Errors
    /// This is no token of ours.
    #[inline]
    pub fn hash_of(text: &[u8]) -> Result<TokenHash, Malformed> {
        let ours = text.len() == LENGTH && text.starts_with(PREFIX);
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if ours && text.iter().all(plain) { Ok(Sha256::digest(text).into()) } else { Err(Malformed) }
    }

    /// The text, for handing it over once.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
