//! The first token: made when the server would otherwise have nobody to let in.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::clock::ClockError;
use crate::engine::{Engine, TokenRow};
use crate::store::StoreError;

use super::{ADMIN, Token};

/// Why there is no first token. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum FirstTokenError {
    /// A file is there already: it may be the only copy of something.
    #[error(
        "no token is stored, and the first one cannot be written to `{}`: the file exists; \
         remove it, or accept the token in it with --token-file",
        path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("could not write the first token to `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No randomness.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The hash cannot be stored.
    #[error("could not store the first token")]
    Store(#[from] StoreError),
}

/// Makes a token, writes it to a new file at `path` that only this user can read, and then stores
/// its hash. In this order: a stored token whose text nobody has would lock everyone out.
///
/// # Errors
/// See [`FirstTokenError`]; the file is removed again if the hash cannot be stored.
pub async fn first_token(engine: &Engine, path: &Path) -> Result<(), FirstTokenError> {
    let token = Token::random(&**engine.clock())?;
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => FirstTokenError::Exists { path: path.to_owned() },
        _ => FirstTokenError::Write { path: path.to_owned(), source },
    };
    // O_EXCL follows no link and takes over no file; 0600 holds from the first moment on.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    if let Err(error) = write_down(&mut file, path, &token) {
        discard(path);
        return Err(failed(error));
    }
    let row = TokenRow { hash: token.hash(), name: ADMIN.to_owned(), created_at: engine.now() };
    engine.add_token(row).await.inspect_err(|_| discard(path))?;
    Ok(())
}

/// On disk, name and all, before the hash is: see [`first_token`].
fn write_down(file: &mut File, path: &Path, token: &Token) -> io::Result<()> {
    writeln!(file, "{}", token.text())?;
    file.sync_all()?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

fn discard(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "an unused token file stays behind");
    }
}
