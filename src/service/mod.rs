//! Thin gRPC.
pub mod proto;
