//! Properties of the core rooms, held against an oracle that shares no code with them, over random organizations.
//!
//! Nothing here needs a store or the wire, so that a change of `core` is soon judged (tests/mutations/run does
//! little else).
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench may fail loudly"
)]

mod allowed;
mod ask;
mod by_column;
mod decisions;
mod explain;
mod generate;
mod handing;
mod lists;
mod many_groups;
mod oracle;
mod plan_run;
mod plans;
mod review;
mod selftest;
mod smallest;
#[path = "../it/support.rs"]
#[allow(dead_code, reason = "shared with the integration tests")]
mod support;
mod together;
mod tried;
