//! What an operator says to `serve`: flags, each with a `DOORWARD_` variable, parsed into a [`Config`]
//! that cannot contradict itself.
//!
//! `OTEL_*` variables are not here: `telemetry` reads them by their usual names.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

/// Where gRPC is served unless told otherwise: on loopback, since there is no TLS yet.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:7420";
/// Worker threads, at most.
pub const MAX_WORKERS: usize = 256;

/// The flags of `doorward serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The directory of the store; it is created if it is not there.
    #[arg(long, value_name = "DIR", env = "DOORWARD_DATA", required_unless_present = "memory")]
    pub data: Option<PathBuf>,

    /// Keep everything in memory: nothing survives a restart.
    #[arg(long, env = "DOORWARD_MEMORY", conflicts_with = "data")]
    pub memory: bool,

    /// An address and port to serve gRPC on, without TLS; port 0 takes a free one. May be repeated.
    #[arg(long, value_name = "ADDRESS", env = "DOORWARD_LISTEN", value_delimiter = ',', default_value = DEFAULT_LISTEN)]
    pub listen: Vec<SocketAddr>,

    /// A unix socket to serve gRPC on as well, for this user and group (mode 0660).
    #[arg(long, value_name = "PATH", env = "DOORWARD_UNIX")]
    pub unix: Option<PathBuf>,

    /// Ask for no credentials. Only on loopback addresses and the unix socket, and never in production.
    #[arg(long, env = "DOORWARD_INSECURE_DEV", conflicts_with_all = ["token_file", "admin_token_file"])]
    pub insecure_dev: bool,

    /// A file that holds a token which is accepted besides the stored ones, under the file's name
    /// without its extension. May be repeated.
    #[arg(long, value_name = "PATH", env = "DOORWARD_TOKEN_FILE", value_delimiter = ',')]
    pub token_file: Vec<PathBuf>,

    /// Where the first token is written when there is none yet; `admin.token` in the data directory by default.
    #[arg(long, value_name = "PATH", env = "DOORWARD_ADMIN_TOKEN_FILE")]
    pub admin_token_file: Option<PathBuf>,

    /// Write the addresses served to this file, one a line, once they accept connections.
    #[arg(long, value_name = "PATH", env = "DOORWARD_ADDRESS_FILE")]
    pub address_file: Option<PathBuf>,

    /// Below so many free bytes on the store's disk, writes are refused.
    #[arg(long, value_name = "BYTES", env = "DOORWARD_DISK_WATERMARK", default_value_t = 256 << 20)]
    pub disk_watermark: u64,

    /// Threads that serve connections; one a core by default.
    #[arg(long, value_name = "COUNT", env = "DOORWARD_WORKERS")]
    pub workers: Option<usize>,

    /// After a stop signal, go on serving for so long while health says `NOT_SERVING`, so that load
    /// balancers look elsewhere first.
    #[arg(long, value_name = "DURATION", env = "DOORWARD_DRAIN_DELAY", default_value = "0s", value_parser = duration)]
    pub drain_delay: Duration,

    /// Then wait for calls in flight for so long at most.
    #[arg(long, value_name = "DURATION", env = "DOORWARD_DRAIN_TIMEOUT", default_value = "20s", value_parser = duration)]
    pub drain_timeout: Duration,

    /// What is logged: a level, or directives such as `info,doorward::store=debug`.
    #[arg(long, value_name = "FILTER", env = "DOORWARD_LOG_LEVEL", default_value = "info")]
    pub log_level: String,

    /// How it is logged, to standard error.
    #[arg(long, value_name = "FORMAT", env = "DOORWARD_LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// How the server is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where what is decided to be true is kept.
    pub storage: Storage,
    /// Who may call.
    pub access: Access,
    /// TCP addresses; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// A unix socket.
    pub unix: Option<PathBuf>,
    /// Where the bound addresses are written.
    pub address_file: Option<PathBuf>,
    /// Threads that serve connections; none for one a core.
    pub workers: Option<usize>,
    /// How long to serve on as `NOT_SERVING`.
    pub drain_delay: Duration,
    /// How long to wait for calls in flight.
    pub drain_timeout: Duration,
}

/// Where what is decided to be true is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In memory, gone at the end.
    Memory,
    /// On disk.
    Sled {
        /// The data directory: `store` in it is the store's own.
        data: PathBuf,
        /// Below so many free bytes no write is taken.
        watermark_bytes: u64,
    },
}

/// Who may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Everyone who reaches the server; only on loopback.
    InsecureDev,
    /// Who presents a token: a stored one, or one from these files.
    Tokens {
        /// Tokens that the operator provides.
        files: Vec<PathBuf>,
        /// Where the first token goes when there is no other; None if there is no place for it.
        first: Option<PathBuf>,
    },
}

/// Flags that contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Without credentials only this machine may call.
    #[error("--insecure-dev asks for no credentials, so it serves loopback addresses only: `{0}` is none")]
    InsecureBeyondLoopback(SocketAddr),
    /// A first token would be made, and there is no place for it.
    #[error(
        "with --memory, give --token-file, --admin-token-file or --insecure-dev: there is no data directory for the first token"
    )]
    NoPlaceForToken,
    /// Not so many threads.
    #[error("--workers must be between 1 and {MAX_WORKERS}, not `{0}`")]
    Workers(usize),
    /// Neither --data nor --memory.
    #[error("--data or --memory is needed")]
    NoStorage,
}

impl ServeArgs {
    /// Parses what the flags say together.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn config(self) -> Result<Config, ConfigError> {
        if let Some(count) = self.workers.filter(|count| !(1..=MAX_WORKERS).contains(count)) {
            return Err(ConfigError::Workers(count));
        }
        let storage = match (self.memory, self.data) {
            (true, _) => Storage::Memory,
            (false, Some(data)) => Storage::Sled { data, watermark_bytes: self.disk_watermark },
            (false, None) => return Err(ConfigError::NoStorage),
        };
        let access = if self.insecure_dev {
            Access::InsecureDev
        } else {
            let first = self.admin_token_file.or_else(|| storage.data().map(|data| data.join("admin.token")));
            Access::Tokens { files: self.token_file, first }
        };
        let config = Config {
            storage,
            access,
            listen: self.listen,
            unix: self.unix,
            address_file: self.address_file,
            workers: self.workers,
            drain_delay: self.drain_delay,
            drain_timeout: self.drain_timeout,
        };
        config.check()?;
        Ok(config)
    }
}

impl Config {
    /// Holds what must hold however a configuration came about: `serve` calls it again.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        match &self.access {
            Access::InsecureDev => match self.listen.iter().find(|address| !is_loopback(address.ip())) {
                Some(address) => Err(ConfigError::InsecureBeyondLoopback(*address)),
                None => Ok(()),
            },
            Access::Tokens { files, first: None } if files.is_empty() => Err(ConfigError::NoPlaceForToken),
            Access::Tokens { .. } => Ok(()),
        }
    }
}

impl Storage {
    /// The data directory, if there is one.
    #[must_use]
    pub fn data(&self) -> Option<&Path> {
        match self {
            Self::Memory => None,
            Self::Sled { data, .. } => Some(data),
        }
    }
}

/// Whether only this machine reaches an address. An IPv4 address may be written as an IPv6 one.
#[must_use]
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// A span of time on the command line: `20s`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration such as `20s` or `500ms`");
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(parsed).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn parse(line: &str) -> Result<Config, String> {
        let parsed = Line::try_parse_from(line.split(' ')).map_err(|e| e.to_string())?;
        parsed.serve.config().map_err(|e| e.to_string())
    }

    #[test]
    fn the_data_directory_is_all_that_must_be_said() {
        let config = parse("serve --data /d").unwrap();
        assert_eq!(config.storage, Storage::Sled { data: "/d".into(), watermark_bytes: 256 << 20 });
        assert_eq!(config.access, Access::Tokens { files: vec![], first: Some("/d/admin.token".into()) });
        assert_eq!(config.listen, [DEFAULT_LISTEN.parse().unwrap()]);
        assert_eq!(config.drain_timeout, Duration::from_secs(20));
        assert!(parse("serve").is_err(), "neither --data nor --memory");
    }

    #[test]
    fn without_credentials_only_loopback_is_served() {
        for line in [
            "serve --memory --insecure-dev",
            "serve --memory --insecure-dev --unix /s --listen [::1]:0",
            "serve --memory --insecure-dev --listen 127.0.0.2:1 --listen [::ffff:127.0.0.1]:0",
        ] {
            assert_eq!(parse(line).map(|c| c.access), Ok(Access::InsecureDev), "{line}");
        }
        for line in [
            "serve --memory --insecure-dev --listen 0.0.0.0:0",
            "serve --memory --insecure-dev --listen [::]:0",
            "serve --memory --insecure-dev --listen 127.0.0.1:0 --listen 192.168.0.1:1",
            "serve --memory --insecure-dev --listen 127.0.0.1:0,10.0.0.1:1",
        ] {
            assert!(parse(line).unwrap_err().contains("loopback"), "{line}");
        }
        assert!(parse("serve --memory --insecure-dev --token-file /t").is_err(), "credentials or none, not both");
    }

    #[test]
    fn in_memory_the_first_token_needs_a_place() {
        assert!(parse("serve --memory").unwrap_err().contains("--token-file"));
        assert!(parse("serve --memory --token-file /t").is_ok());
        assert!(parse("serve --memory --admin-token-file /t").is_ok());
    }

    #[test]
    fn durations_and_counts_are_checked() {
        let config = parse("serve --data /d --drain-timeout 500ms --drain-delay 2s").unwrap();
        assert_eq!((config.drain_timeout, config.drain_delay), (Duration::from_millis(500), Duration::from_secs(2)));
        for line in
            ["serve --data /d --drain-timeout -1s", "serve --data /d --drain-timeout 5", "serve --data /d --workers 0"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
