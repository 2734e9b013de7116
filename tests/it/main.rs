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
mod allowed;
mod arrows;
mod authority;
mod bad_input;
mod by_column;
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
mod explain_properties;
mod generate;
mod handing;
mod handing_properties;
mod integration;
mod integration_roles;
mod integration_security;
mod invitations;
mod kinds;
mod large;
mod managers;
mod membership;
mod model;
mod oracle;
mod oracle_selftest;
mod organization_end;
mod people;
mod plan_properties;
mod plan_run;
mod plans;
mod properties;
mod provisioning;
mod replay;
mod reports;
mod review;
mod rules;
mod separation;
mod serve;
mod setup_story;
mod smallest;
mod smallest_properties;
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
