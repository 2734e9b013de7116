//! Doorward, a policy decision point. `src/ARCHITECTURE.md` says where things live.
//!
//! Rooms, each importing only those below it:
//! `cli → server → service → engine → snapshot → store → core`.

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
