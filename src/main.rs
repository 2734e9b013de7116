//! Parse, call `cli`, exit code.

use std::process::ExitCode;

/// Decisions allocate little and replies much alike; mimalloc serves a fifth more of them than the
/// system's allocator (FINDINGS).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    doorward::cli::main()
}
