//! What large organizations must bear: on a store on disk, in a release build.
//!
//! What comes out wrong fails; times, which a busy machine may not keep, are printed with `met` or `NOT MET`
//! (`cargo test --release --test large -- --nocapture`).
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench may fail loudly"
)]

mod denylist;
mod domain;
#[path = "../it/support.rs"]
#[allow(dead_code, reason = "shared with the integration tests")]
mod support;

use std::path::Path;
use std::sync::Arc;

use doorward::clock::SystemClock;
use doorward::engine::Engine;
use doorward::store::{Options, SledStore};

fn engine(data: &Path) -> Arc<Engine> {
    let store = Arc::new(SledStore::open(data, Options::default()).unwrap());
    Arc::new(Engine::open(store, Arc::new(SystemClock), |error| panic!("{error}")).unwrap())
}

/// Prints whether a time that was wanted was kept: a busy machine may not keep it, and a test must not fail by that.
fn met(what: &str, kept: bool) {
    let word = match (cfg!(debug_assertions), kept) {
        (true, _) => "not judged, without optimization",
        (false, true) => "met",
        (false, false) => "NOT MET",
    };
    println!("{what}: {word}");
}
