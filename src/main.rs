//! The `doorward` binary.

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use doorward::{config, server};

/// A fifth more calls a second than with the system's allocator: every call allocates a few small
/// messages on one thread and frees them there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A policy decision point: may this principal do this here, and which of these records may she see?
#[derive(Parser)]
#[command(version)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer over gRPC.
    Serve(Box<config::ServeArgs>),
}

fn main() -> ExitCode {
    let done = match Line::parse().command {
        Command::Serve(args) => server::serve(*args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("doorward: {}", with_causes(&error));
            ExitCode::FAILURE
        }
    }
}

fn with_causes(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
