//! Thin gRPC: convert, one call, convert, return.
//!
//! ```text
//! Request<Message> ── request::{reading, writing} ──> typed values, or every violation at once
//!                  ── Engine ─────────────────────> a version, a decision, an outcome
//!                  ── convert, report ────────────> Response<Message>
//!                  ── status ─────────────────────> Status, for whatever went wrong
//! ```
//!
//! Messages are taken apart field by field (`let M { a, b } = message`), so that a new field breaks
//! the build until someone thinks of it. What a request asks for and this version does not do is an
//! error, never dropped. The layer in front puts a [`Caller`] into the request's extensions, and a
//! request without one is refused; what a caller may do is for `access` to say, from within
//! `request::{reading, writing}` and the one way of a read and a write in `admin`.
//!
//! The alternative that lost: a generic handler for every create, get, list, update and delete. The
//! five differ in small ways for each entity, and traits for those hid more than they saved.

#![allow(clippy::wildcard_imports, reason = "a service names nearly every message of its own file")]
#![allow(clippy::option_option, reason = "the outer one: whether it is sound; the inner: whether it is given")]
#![allow(clippy::missing_errors_doc, reason = "what cannot be is a `Refusal`, and it says why")]

mod access;
mod activity;
pub mod admin;
mod convert;
mod credential;
mod data_access;
mod decision;
mod element_list;
mod emergency;
mod fields;
mod group;
mod held;
mod logged;
mod mask;
mod organization;
mod paging;
pub mod proto;
mod provision;
pub mod record;
mod refusal;
mod relation;
mod report;
mod request;
mod review;
mod role;
mod sample;
mod separation;
mod status;
mod supers;
#[cfg(test)]
mod tests;
mod tokens;
mod user;

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::core::model::Millis;
use crate::engine::Bearer;

pub use access::{Needs, RPCS, needs};
pub use admin::Admin;
pub use convert::columns::sound_columns as columns;
pub use convert::row::messages;
pub use convert::value::{to_timestamp, to_value};
pub use decision::{Decisions, MAX_ITEMS, explanation, filtered, planned, source, to_path};
pub use organization::rows;
pub use review::to_entry as review_entry;
pub use status::DOMAIN;

/// Who calls, as the layer that authenticates found out. It inserts this into the extensions of
/// every request that it lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// For the log, and to tell the request ids of callers apart. A service account is `service:ID`,
    /// which no platform operator's name can be.
    pub name: String,
    /// The service account that calls; none for a platform operator.
    pub bearer: Option<Arc<Bearer>>,
    /// On whose behalf.
    pub on_behalf_of: Option<Box<OnBehalfOf>>,
    /// From where, for the activity log.
    pub peer: Peer,
}

/// From where a call comes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Peer {
    /// From within the process.
    #[default]
    Here,
    /// Over the unix socket.
    Unix,
    /// Over the network.
    Tcp(SocketAddr),
}

impl Display for Peer {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here => Ok(()),
            Self::Unix => f.write_str("unix"),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// The user on whose behalf a call is made (rule 7.6), as the caller says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnBehalfOf {
    /// `user:ID`.
    pub user: String,
    /// When the user last proved who it is (rule 4.3).
    pub authenticated_at: Option<Millis>,
}

impl Caller {
    /// A platform operator in its own name.
    #[must_use]
    pub fn operator(name: String) -> Self {
        Self { name, bearer: None, on_behalf_of: None, peer: Peer::Here }
    }

    /// A service account in its own name.
    #[must_use]
    pub fn bearer(bearer: Arc<Bearer>) -> Self {
        Self { name: bearer.principal.clone(), bearer: Some(bearer), on_behalf_of: None, peer: Peer::Here }
    }
}

/// The descriptor sets that reflection serves: ours, and the details that errors carry, without
/// which clients cannot print them.
#[must_use]
pub fn descriptor_sets() -> [&'static [u8]; 2] {
    [proto::FILE_DESCRIPTOR_SET, tonic_types::pb::FILE_DESCRIPTOR_SET]
}
