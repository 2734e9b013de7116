//! The generated messages, clients and servers of `doorward.v1`.

#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated from proto/")]

tonic::include_proto!("doorward.v1");

pub use super::record::Record;

/// The descriptors of `doorward.v1` and what it imports, encoded.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("doorward");
