//! Why a request is not carried out, before a status is chosen for it.

use std::time::Duration;

use crate::clock::ClockError;
use crate::core::change::ChangeError;
use crate::core::condition::timestamp_text;
use crate::core::decision::Reason;
use crate::core::handing::Held;
use crate::core::id::Id;
use crate::core::model::{Key, Millis, Status};
use crate::core::plan::PlanError;
use crate::engine::ReadError;
use crate::store::StoreError;

use super::admin::MAX_FOLLOWERS;

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
    },
    /// Nobody says who calls.
    #[error("the call is not authenticated")]
    NoCaller,
    /// Rule 7.4: there is no rule that names the one who calls.
    #[error("no rule of emergency access names the calling user for this role at this target")]
    NotNamed,
    /// Rule 7.4: it runs already.
    #[error("activation `{0}` of this role at this target is still running")]
    Activated(Id),
    /// What would be changed cannot be.
    #[error(transparent)]
    Change(ChangeError),
    /// Rule 1.1: the same whether or not there is such an organization.
    #[error("the caller belongs to another organization")]
    OtherOrganization,
    /// Rule 7.6.
    #[error("the caller is not trusted to act on behalf of users")]
    NotTrusted,
    /// Rule 7.6.
    #[error("only platform operators may do this")]
    OperatorOnly,
    /// Rule 7.6.
    #[error("{}", not_allowed(principal, *reason, permissions))]
    NotAllowed {
        /// Whose permissions decided.
        principal: String,
        /// What the decision was.
        reason: Reason,
        /// Of which one was needed; empty if none.
        permissions: &'static [&'static str],
    },
    /// Rule 3.7.
    #[error("`{principal}` would hand out `{}` at {}, and lacks it there for that time", held.pattern, held.target)]
    HandsOut {
        /// Who.
        principal: String,
        /// What.
        held: Box<Held>,
    },
    /// Rule 7.1.
    #[error("the invite policy does not allow this address")]
    InvitePolicy,
    /// What was asked for is not done by this version.
    #[error("{0} not supported by this version")]
    NotSupported(&'static str),
    /// Rule 6.6: there is no filter that says it.
    #[error(transparent)]
    NoPlan(PlanError),
    /// Rule 6.6: the caller cannot run it.
    #[error("the plan needs the operator `{0}`, which is not among those that the caller can run")]
    PlanOperator(&'static str),
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
    #[error("user `{user}` is {}: `{asked}` is not possible; possible: {}", status.name(), names(possible))]
    StatusMove {
        /// Whose.
        user: String,
        /// The current status.
        status: Status,
        /// The RPC.
        asked: &'static str,
        /// Those that would be possible.
        possible: Vec<&'static str>,
    },
    /// The list, or what it belongs to, is not what the caller read.
    #[error("the {0} was changed since it was read")]
    ListChanged(&'static str),
    /// Rule 7.2: without any entry all elements would be open.
    #[error("element `{0}` is the last on the safelist; clear the safelist to open all elements")]
    LastListed(Id),
    /// There is no such entry.
    #[error("element `{0}` is not on the denylist")]
    NotDenied(Id),
    /// Rule 2.4: an address may have gone to another person.
    #[error("user `{user}` is bound to another identity of `{issuer}`")]
    OtherSignOn {
        /// Who.
        user: String,
        /// Who vouches for both.
        issuer: String,
    },
    /// Rule 2.4.
    #[error("nobody has the address `{0}`, and the organization does not create a user for it")]
    NotCreated(String),
    /// The e-mail domain is there already, or not there.
    #[error("the organization {} the e-mail domain `{domain}`", if *.there { "has" } else { "does not have" })]
    EmailDomain {
        /// Which.
        domain: String,
        /// Whether it is there.
        there: bool,
    },
    /// What decisions allowed is counted since then only.
    #[error("what is used is counted since {} only", timestamp_text(*.0))]
    NotObserved(Millis),
    /// The credential is not valid any more.
    #[error("credential `{0}` is not valid any more")]
    CredentialEnded(Id),
    /// It has a successor already.
    #[error("credential `{0}` was rotated to `{1}` already")]
    CredentialRotated(Id, Id),
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
    /// More streams go on than may.
    #[error("{MAX_FOLLOWERS} streams follow already")]
    TooManyFollowers,
    /// More streams of records go on than may.
    #[error("{0} streams of records go on already")]
    TooManyStreams(usize),
    /// A stream of records stands still.
    #[error("the stream stood still for {} s", .0.as_secs())]
    Idle(Duration),
    /// A message of a stream that is larger than the server takes, in the words of who found it.
    #[error("{0}")]
    MessageTooLarge(String),
    /// A message of a stream that cannot be read, in the words of who found it.
    #[error("{0}")]
    MalformedMessage(String),
    /// The server is about to stop.
    #[error("the server is stopping")]
    Stopping,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No randomness for a token.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// Should not be.
    #[error("{0}")]
    Internal(&'static str),
}

/// It says nothing of the place: where something is may be none of the caller's business.
fn not_allowed(principal: &str, reason: Reason, permissions: &[&str]) -> String {
    match reason {
        Reason::NoPermission => format!("`{principal}` lacks `{}` for this", permissions.join("` or `")),
        Reason::PrincipalUnknown => format!("there is no `{principal}`"),
        Reason::PrincipalInvited => format!("the registration of `{principal}` is not completed"),
        Reason::PrincipalInactive => format!("`{principal}` is inactive"),
        Reason::PrincipalLimited => format!("`{principal}` is limited to the channel `email`"),
        Reason::ReauthenticationRequired => format!("`{principal}` has to authenticate again"),
        reason => format!("`{principal}` may not do this: {}", reason.name()),
    }
}

fn names(rpcs: &[&str]) -> String {
    let names: Vec<String> = rpcs.iter().map(|rpc| format!("`{rpc}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
