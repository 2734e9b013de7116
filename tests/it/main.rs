//! The integration tests, one binary.

mod arrows;
mod engine;
mod generate;
mod model;
mod oracle;
mod oracle_selftest;
mod properties;
mod support;
mod wire;
