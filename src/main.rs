//! Parse, call `cli`, exit code.

use std::process::ExitCode;

/// A fifth more calls a second than with the system's allocator: every call allocates a few small
/// messages on one thread and frees them there (FINDINGS).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    doorward::cli::main()
}
