//! Doorward, a policy decision point. `src/ARCHITECTURE.md` says where things live.
//!
//! Rooms, each importing only those below it:
//! `cli → server → service → engine → snapshot → store → core`.

#![cfg_attr(
    test,
    allow(
        clippy::pedantic,
        clippy::type_complexity,
        clippy::cloned_ref_to_slice_refs,
        reason = "tests are read for what they say"
    )
)]

pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
pub mod engine;
pub mod server;
pub mod service;
pub mod snapshot;
pub mod store;
pub mod telemetry;
