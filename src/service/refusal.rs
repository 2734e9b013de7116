//! Why a request is not carried out, before a status is chosen for it.

use crate::core::id::Id;
use crate::core::model::{Key, Status};
use crate::engine::ReadError;

/// One field of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// Its path in the request's message.
    pub field: String,
    /// What is wrong with it.
    pub description: String,
}

/// Why a request is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Fields that are wrong in themselves, all of them.
    #[error("the request is malformed")]
    Fields {
        /// Which.
        violations: Vec<FieldViolation>,
        /// Whether any is wrong, rather than only not supported.
        malformed: bool,
    },
    /// Nobody says who calls.
    #[error("the call is not authenticated")]
    NoCaller,
    /// What was asked for is not done by this version.
    #[error("{0} not supported by this version")]
    NotSupported(&'static str),
    /// What could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There is no such row.
    #[error("{} does not exist", .0.describe())]
    NotFound(Key),
    /// There is another such row.
    #[error("{} exists already with another period", .0.describe())]
    OtherPeriod(Key),
    /// The row is not the one that the caller read.
    #[error("{} was changed since it was read", .0.describe())]
    EtagMismatch(Key),
    /// Shipped with the preset, or kept by the system.
    #[error("{} belongs to the system and cannot be changed or deleted", .0.describe())]
    BuiltIn(Key),
    /// The page token was not given out for this list.
    #[error("the page token does not belong to this list")]
    PageToken,
    /// Rule 2.2.
    #[error("user `{user}` is {}, from where it cannot become {}; possible: {}", name(*from), name(*to), names(possible))]
    StatusMove {
        /// Whose.
        user: String,
        /// The current status.
        from: Status,
        /// The status asked for.
        to: Status,
        /// The statuses that it could become.
        possible: &'static [Status],
    },
    /// The e-mail domain is there already, or not there.
    #[error("the organization {} the e-mail domain `{domain}`", if *.there { "has" } else { "does not have" })]
    EmailDomain {
        /// Which.
        domain: String,
        /// Whether it is there.
        there: bool,
    },
    /// The organization moved on since the dry run.
    #[error("organization `{organization}` is at revision {found}, not {expected}")]
    RevisionMoved {
        /// Which.
        organization: Id,
        /// What the caller expects.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// A stream of rows that is not header, rows, end.
    #[error("{0}")]
    Stream(&'static str),
    /// More than one call may bring.
    #[error("more than {limit} {what} in one call")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Should not be.
    #[error("{0}")]
    Internal(&'static str),
}

/// A status as the API names it.
pub fn name(status: Status) -> &'static str {
    match status {
        Status::Invited => "invited",
        Status::Active => "active",
        Status::Limited => "limited",
        Status::Inactive => "inactive",
    }
}

fn names(statuses: &[Status]) -> String {
    let names: Vec<&str> = statuses.iter().copied().map(name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
