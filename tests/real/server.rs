//! The built binary, as a server and as a command.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::measure::resident_mb_of;
use crate::tail;

const BINARY: &str = env!("CARGO_BIN_EXE_doorward");
const START: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(30);

/// Runs the binary to its end; what it said, or what went wrong.
pub fn doorward(args: &[&str]) -> Result<String, String> {
    let output = Command::new(BINARY).args(args).stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    if output.status.success() { Ok(out) } else { Err(format!("{}\n{}{}", output.status, tail(&out), tail(&err))) }
}

/// A running server on `FOLDER/data`. Killed when dropped.
pub struct Server {
    child: Child,
    pub address: String,
    folder: PathBuf,
}

impl Server {
    /// Starts one and waits until it has said where it listens.
    pub fn start(folder: &Path) -> Result<Self, String> {
        let at = folder.join("address");
        let _ = std::fs::remove_file(&at);
        let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let child = Command::new(BINARY)
            // The clients of this process do not answer while it waits for the server to stop.
            .args(["serve", "--listen", "127.0.0.1:0", "--drain-timeout", "1s", "--data"])
            .arg(folder.join("data"))
            .arg("--address-file")
            .arg(&at)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .map_err(|e| e.to_string())?;
        let mut server = Self { child, address: String::new(), folder: folder.to_owned() };
        let started = Instant::now();
        while started.elapsed() < START {
            if let Ok(Some(status)) = server.child.try_wait() {
                return Err(format!("it ended: {status}\n{}", server.log()));
            }
            match std::fs::read_to_string(&at) {
                Ok(text) if !text.trim().is_empty() => {
                    server.address = text.trim().to_owned();
                    return Ok(server);
                }
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Err(format!("it did not say where it listens within {} s\n{}", START.as_secs(), server.log()))
    }

    fn token_file(&self) -> PathBuf {
        self.folder.join("data/admin.token")
    }

    /// The token that it made for its administrator.
    pub fn token(&self) -> Result<String, String> {
        let path = self.token_file();
        std::fs::read_to_string(&path).map(|t| t.trim().to_owned()).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Runs a command that talks to it.
    pub fn doorward(&self, command: &str, args: &[&str]) -> Result<String, String> {
        let token = self.token_file();
        let mut all = vec![command, "--server", &self.address, "--token-file", token.to_str().unwrap()];
        all.extend(args);
        doorward(&all)
    }

    pub fn resident_mb(&self) -> i64 {
        resident_mb_of(&self.child.id().to_string())
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        tail(&std::fs::read_to_string(self.folder.join("log")).unwrap_or_default())
    }

    /// Asks it to stop, and waits until it has.
    pub fn terminate(&mut self) -> Result<String, String> {
        let started = Instant::now();
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        sent.map_err(|e| e.to_string())?;
        while started.elapsed() < STOP {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(format!("in {} ms", started.elapsed().as_millis())),
                Ok(Some(status)) => return Err(format!("{status}\n{}", self.log())),
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Err(format!("it still runs after {} s\n{}", STOP.as_secs(), self.log()))
    }

    /// SIGKILL: no farewell, no flush.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
