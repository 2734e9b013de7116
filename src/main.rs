//! Parse, call `cli`, exit code.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// A fifth more calls a second than with the system's allocator: every call allocates a few small
/// messages on one thread and frees them there (FINDINGS).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// After how many milliseconds the allocator gives freed memory back, at its next chance. Its own
/// default, a second, is longer than applying an organization takes, and an idle server then gives
/// it no chance: it would keep what the apply freed.
const PURGE_DELAY: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "10");

fn main() -> ExitCode {
    begin_again();
    doorward::cli::main()
}

/// The allocator reads its options before `main` does: so they are set and the program begins again,
/// in the same process, unless they are set already. Where that fails the default will do.
fn begin_again() {
    let (name, value) = PURGE_DELAY;
    if std::env::var_os(name).is_some() {
        return;
    }
    let mut args = std::env::args_os();
    if let (Ok(program), Some(called)) = (std::env::current_exe(), args.next()) {
        let _ = Command::new(program).arg0(called).args(args).env(name, value).exec();
    }
}
