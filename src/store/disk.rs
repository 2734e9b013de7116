//! The store's directory: who owns it, how full its disk is, what a crash left in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use super::StoreError;

const LOCK_FILE: &str = "doorward.lock";
const ASK_EVERY: Duration = Duration::from_millis(100);

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::Io { action, path, source }
}

/// Creates the directory (mode 0700, parents too) if it is not there, durably.
pub(super) fn create_dir(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path).map_err(failed("create", path))?;
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync)
}

/// Syncs a file or directory by its path.
pub(super) fn sync(path: &Path) -> Result<(), StoreError> {
    let file = File::open(path).map_err(failed("open", path))?;
    file.sync_all().map_err(failed("sync", path))
}

/// Opens an existing file for a second descriptor.
pub(super) fn open(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new().read(true).write(true).open(path).map_err(failed("open", path))
}

/// Tries again for half a second: between its fork and its exec, a child of whoever held the lock has it too.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Takes the store's lock; it is held as long as the file is open, and by no dead process.
pub(super) fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK_FILE);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed("open", &path))?;
    let mut tries = 0;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if tries < LOCK_TRIES => {
                tries += 1;
                thread::sleep(LOCK_PAUSE);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(StoreError::Locked { path }),
            Err(error) => return Err(failed("lock", &path)(error.into())),
        }
    }
}

/// Removes `snap.*.generating`: a kill or a full disk while sled opened leaves it, and with it sled
/// opens never again.
pub(super) fn remove_unfinished_snapshots(dir: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(dir).map_err(failed("read", dir))? {
        let path = entry.map_err(failed("read", dir))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if name.is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating")) {
            tracing::warn!(path = %path.display(), "removing an unfinished snapshot");
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

/// How much of the disk is free, asked at most every 100 ms.
pub(super) struct FreeSpace {
    dir: PathBuf,
    last: Mutex<Option<(Instant, u64)>>,
}

impl FreeSpace {
    pub(super) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf(), last: Mutex::new(None) }
    }

    /// Refuses when fewer than `needed` bytes are free.
    pub(super) fn at_least(&self, needed: u64) -> Result<(), StoreError> {
        let free = self.bytes()?;
        if free < needed {
            return Err(StoreError::DiskLow { free, needed });
        }
        Ok(())
    }

    fn bytes(&self) -> Result<u64, StoreError> {
        // A clock beside the `Clock` seam: it paces a system call and decides nothing.
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, free)) = *last
            && now.duration_since(asked) < ASK_EVERY
        {
            return Ok(free);
        }
        let stat =
            rustix::fs::statvfs(&self.dir).map_err(|error| failed("ask for free space at", &self.dir)(error.into()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        *last = Some((now, free));
        Ok(free)
    }
}
