//! The text of a token, and its hash.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::clock::{Clock, ClockError};
use crate::core::id::Id;
use crate::engine::TokenHash;

const PREFIX: &[u8] = b"dw_";
/// `dw_` and 32 bytes in base64.
const LENGTH: usize = 46;
/// A token file is a token and perhaps a line's end.
const MAX_FILE_BYTES: u64 = 1024;

/// A bearer token. Its text goes to a file and nowhere else: it has no `Display`, and its `Debug`
/// shows nothing.
pub struct Token(String);

/// This is no token of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is `dw_` and 43 characters of URL-safe base64")]
pub struct Malformed;

/// Why a token file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// It cannot be read.
    #[error("could not read the token file `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something else.
    #[error("the token file `{}` holds no token", path.display())]
    NoToken {
        /// The file.
        path: PathBuf,
        /// What a token looks like.
        source: Malformed,
    },
    /// Its name becomes the caller's, so it has to be one.
    #[error("the name of the token file `{}` is no name for a caller", path.display())]
    Name {
        /// The file.
        path: PathBuf,
    },
}

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

    /// The text, for the file that hands it over.
    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Reads a token file; the token's name is the file's, without its extension.
pub(super) fn read_file(path: &Path) -> Result<(Token, String), TokenFileError> {
    let read = |source| TokenFileError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = File::open(path).map_err(read)?;
    warn_if_others_can_read(path, &file);
    file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(read)?;
    let token =
        Token::parse(text.trim_end()).map_err(|source| TokenFileError::NoToken { path: path.to_owned(), source })?;
    let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| Id::parse(stem).ok());
    let name = stem.ok_or_else(|| TokenFileError::Name { path: path.to_owned() })?;
    Ok((token, name.to_string()))
}

/// Only a warning: how a secret is mounted is not always the operator's choice.
fn warn_if_others_can_read(path: &Path, file: &File) {
    let mode = file.metadata().map(|meta: fs::Metadata| meta.permissions().mode());
    if mode.is_ok_and(|mode| mode & 0o007 != 0) {
        tracing::warn!(path = %path.display(), "every user of this machine can open the token file");
    }
}
