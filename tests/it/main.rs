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
mod administrators;
mod arrows;
mod authority;
mod bad_input;
mod callers;
mod cli;
mod cli_bench;
mod cli_filter;
mod cli_sample;
mod compare_roles;
mod credentials;
mod deletions;
mod element_lists;
mod emergency;
mod engine;
mod erase;
mod explain;
mod handing;
mod integration;
mod integration_roles;
mod integration_security;
mod invitations;
mod kinds;
mod managers;
mod membership;
mod model;
mod organization_end;
mod people;
mod plans;
mod provisioning;
mod replay;
mod reports;
mod rules;
mod separation;
mod serve;
mod setup_story;
mod smallest;
mod statuses;
mod stories;
mod stream;
mod stream_memory;
mod support;
mod test_condition;
mod usage;
mod visibility;
mod wire;
mod wire_columns;
mod wire_disk;
mod wire_records;
