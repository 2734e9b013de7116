//! The command line: what `doorward` does when a person runs it.
//!
//! Exit status: 0 when all is well, 1 when a test case differs, `check` is denied or a `bench` was broken off, 2 when
//! something is wrong with the command, a file or the server's answer.

/// Prints, and a line's end: see [`printed`].
macro_rules! say {
    ($($told:tt)*) => { $crate::cli::printed(format_args!("{}\n", format_args!($($told)*))) };
}

mod activity;
mod ask;
pub mod bench;
mod cases;
mod demo;
pub mod file;
mod filter;
mod judge;
mod plan;
mod remote;
mod review;
mod supers;
mod transfer;
mod tree;
mod unused;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::clock::{Clock, SystemClock};
use crate::config::ServeArgs;
use crate::core::change::{Change, ChangeError, apply_at};
use crate::core::table::Table;
use crate::server;

use file::{FileError, FileErrors, Known, OrganizationFile, SuperOrganizationFile};

/// A policy decision point: may this principal do this here, and which of these records may she see?
#[derive(Debug, Parser)]
#[command(name = "doorward", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve decisions and administration over gRPC.
    Serve(ServeArgs),
    /// Make a running server's organization equal to a file, in one revision.
    Apply(transfer::ApplyArgs),
    /// Write a running server's organization, or super-organization, as a file that applies to nothing
    /// changed.
    Export(transfer::ExportArgs),
    /// Ask the cases of decision-test files, offline or of a running server.
    Test(cases::TestArgs),
    /// Ask whether a principal may do something: exit status 0 if it may, 1 if not.
    Check(ask::CheckArgs),
    /// Print the ids of those records that a principal can see, or do something with; of several permissions,
    /// which of them it has for each record.
    Filter(filter::FilterArgs),
    /// Print the filter for a database that passes the records which `filter` would pass.
    Plan(ask::PlanArgs),
    /// Say why a principal may do something, or may not.
    Explain(ask::CheckArgs),
    /// Read the activity log of an organization, or verify that it is whole.
    Activity(activity::ActivityArgs),
    /// Print who can do what, and by which paths, of an organization file or of a running server.
    Review(review::ReviewArgs),
    /// Ask a running server as many questions as it answers, or so many a second, and print how long it took.
    Bench(bench::BenchArgs),
    /// Show the whole path on a sample organization: serve it, apply it, ask it.
    Demo(demo::DemoArgs),
    /// Print the JSON Schema of a file format.
    Schema {
        /// Which format.
        format: Format,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    /// The organization file.
    Organization,
    /// The decision-test file.
    DecisionTest,
}

/// Why a command did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// What is wrong with a file.
    #[error("{0}")]
    File(#[from] FileErrors),
    /// The server cannot be reached.
    #[error("cannot reach `{address}`: {problem}")]
    Unreachable {
        /// What was dialled.
        address: String,
        /// Why not.
        problem: String,
    },
    /// The server refused.
    #[error("{0}")]
    Refused(String),
    /// The command does not make sense.
    #[error("{0}")]
    Usage(String),
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Apply(args) => block_on(transfer::apply(args)),
        Command::Export(args) => block_on(transfer::export(args)),
        Command::Test(args) => block_on(cases::test(args)),
        Command::Check(args) => block_on(ask::check(args)),
        Command::Filter(args) => block_on(filter::filter(args)),
        Command::Plan(args) => block_on(ask::plan(args)),
        Command::Explain(args) => block_on(ask::explain(args)),
        Command::Activity(args) => block_on(activity::activity(args)),
        Command::Review(args) => block_on(review::review(args)),
        Command::Bench(args) => bench::bench(args),
        Command::Demo(args) => block_on(demo::demo(args)),
        Command::Serve(args) => server::serve(args).map(|()| true).map_err(|e| CliError::Usage(remote::chain(&e))),
        Command::Schema { format } => {
            let schema = match format {
                Format::Organization => file::schema_organization(),
                Format::DecisionTest => file::schema_cases(),
            };
            printed(format_args!("{schema}"));
            Ok(true)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Prints. Whoever read and went away, such as `head`, has what it wanted: the process ends well.
fn printed(text: std::fmt::Arguments<'_>) {
    use std::io::Write;
    match std::io::stdout().lock().write_fmt(text) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            eprintln!("cannot print: {error}");
            std::process::exit(2);
        }
    }
}

/// A client needs no more than one thread.
fn block_on(work: impl Future<Output = Result<bool, CliError>>) -> Result<bool, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| CliError::Usage(format!("cannot start: {e}")))?;
    runtime.block_on(work)
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|source| CliError::Io { path: path.to_owned(), source })
}

/// A file of content.
enum Content {
    /// An organization, and the table that it makes.
    Organization(Box<(OrganizationFile, Table)>),
    /// A super-organization.
    Super(SuperOrganizationFile),
}

/// Reads a file and makes sure that it makes an organization, if that is what it is of, so that every
/// error points into the file before a server hears of it.
fn content(path: &Path) -> Result<Content, CliError> {
    let (name, text) = (path.display().to_string(), read(path)?);
    if SuperOrganizationFile::is(&text) {
        return Ok(Content::Super(SuperOrganizationFile::parse(&text, &name)?));
    }
    Ok(Content::Organization(Box::new(organization(&text, name)?)))
}

fn organization(text: &str, name: String) -> Result<(OrganizationFile, Table), CliError> {
    let file = OrganizationFile::parse(text, &name, Known::of)?;
    let blank = Table::blank(file.organization.clone(), "offline".into(), 0);
    let rows = file.rows.clone();
    match apply_at(&blank, vec![Change::Replace { rows, deactivate_missing: false }], SystemClock.now()) {
        Ok(applied) => Ok((file, applied.table)),
        Err(ChangeError::Violations(violations)) => {
            let errors = violations.into_iter().map(|v| {
                let place = file.place_of(&v.key, v.field);
                let place = place.unwrap_or(file::Place { line: 1, column: 1, path: v.field.to_owned() });
                FileError { file: name.clone(), place, message: v.fault.to_string() }
            });
            let mut errors: Vec<FileError> = errors.collect();
            errors.sort_by_key(|e| (e.place.line, e.place.column));
            Err(FileErrors { errors, more: 0 }.into())
        }
        Err(error) => Err(CliError::Usage(format!("{name}: {error}"))),
    }
}
