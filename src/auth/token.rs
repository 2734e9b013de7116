//! Token files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::core::id::Id;
use crate::engine::{Malformed, Token};

/// A token file is a token and perhaps a line's end.
const MAX_FILE_BYTES: u64 = 1024;

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
