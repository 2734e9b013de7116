//! The integration tests, one binary.
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench may fail loudly"
)]

mod activity;
mod activity_chain;
mod activity_reading;
mod arrows;
mod callers;
mod cli;
mod element_lists;
mod emergency;
mod engine;
mod explain;
mod explain_properties;
mod generate;
mod integration;
mod large;
mod model;
mod oracle;
mod oracle_selftest;
mod people;
mod plan_properties;
mod plan_run;
mod plans;
mod properties;
mod review;
mod separation;
mod setup_story;
mod stories;
mod support;
mod visibility;
mod wire;
mod wire_records;
