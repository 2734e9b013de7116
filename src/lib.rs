//! Doorward, a policy decision point.
pub mod core;
pub mod store;
