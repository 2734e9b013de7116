//! Doorward, a policy decision point.
pub mod cli;
pub mod core;
