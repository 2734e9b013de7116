//! A question, its answer, and what can be wrong with it.

use super::condition::Attributes;
use super::id::IdError;
use super::model::Millis;

/// What is asked. Texts are borrowed from the request as they came.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question<'a> {
    /// `user:ID`, `service:ID`, or a bare user id.
    pub principal: &'a str,
    /// A permission's name or alias. Ignored by [`Walk::begin`](super::decision::Walk::begin).
    pub permission: &'a str,
    /// Where.
    pub resource: Resource<'a>,
    /// The circumstances.
    pub context: Context<'a>,
}

/// Where something is to be done (rule 1.4). Empty texts stand for absent ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct Resource<'a> {
    /// An account.
    pub account: &'a str,
    /// An object.
    pub object: &'a str,
    /// A record of that object.
    pub record: Option<Record<'a>>,
}

/// A record as the caller describes it.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its id.
    pub id: &'a str,
    /// A user id, `user:ID` or `service:ID`; empty if nobody owns it.
    pub owner: &'a str,
    /// Its account, which is then the resource's account; empty if not given.
    pub account: &'a str,
    /// Everything else that the caller says of it. What a condition reads of other types than
    /// declared counts as missing (rule 6.3).
    pub attributes: &'a dyn Attributes,
}

impl Default for Record<'_> {
    fn default() -> Self {
        Self { id: "", owner: "", account: "", attributes: &() }
    }
}

/// The circumstances of a request.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Only `email` has a meaning of its own (rule 4.2).
    pub channel: &'a str,
    /// When the user last proved who it is (rule 4.3).
    pub authenticated_at: Option<Millis>,
    /// Who is to be invited (rule 4.9); empty if nobody in particular.
    pub invitee_email: &'a str,
    /// What the caller sent for conditions to read.
    pub attributes: &'a dyn Attributes,
}

impl Default for Context<'_> {
    fn default() -> Self {
        Self { channel: "", authenticated_at: None, invitee_email: "", attributes: &() }
    }
}

/// The channel on which a limited user may act (rule 4.2).
pub const EMAIL_CHANNEL: &str = "email";

/// Why a decision came out as it did. Only `Allowed` allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Rule 4.8.
    Allowed,
    /// Rule 4.1.
    PrincipalUnknown,
    /// Rule 4.2.
    PrincipalInvited,
    /// Rule 4.2.
    PrincipalInactive,
    /// Rule 4.2.
    PrincipalLimited,
    /// Rule 4.3.
    ReauthenticationRequired,
    /// Rule 4.4.
    ElementNotListed,
    /// Rule 4.5.
    NoPermission,
    /// Rule 4.7.
    NotVisible,
    /// Rule 4.7: it would be visible but for a `restrict` policy.
    Restricted,
    /// Rule 4.7.
    NotApprover,
    /// Rule 4.9.
    InvitePolicy,
    /// Rule 4.5: what is held is void here by a separation constraint (rule 7.3).
    SeparationOfDuties,
}

impl Reason {
    /// The reason's name in the API and in decision-test files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "ALLOWED",
            Self::PrincipalUnknown => "PRINCIPAL_UNKNOWN",
            Self::PrincipalInvited => "PRINCIPAL_INVITED",
            Self::PrincipalInactive => "PRINCIPAL_INACTIVE",
            Self::PrincipalLimited => "PRINCIPAL_LIMITED",
            Self::ReauthenticationRequired => "REAUTHENTICATION_REQUIRED",
            Self::ElementNotListed => "ELEMENT_NOT_LISTED",
            Self::NoPermission => "NO_PERMISSION",
            Self::NotVisible => "NOT_VISIBLE",
            Self::Restricted => "RESTRICTED",
            Self::NotApprover => "NOT_APPROVER",
            Self::InvitePolicy => "INVITE_POLICY",
            Self::SeparationOfDuties => "SEPARATION_OF_DUTIES",
        }
    }

    /// The number of the rule that decided.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::PrincipalUnknown => "4.1",
            Self::PrincipalInvited | Self::PrincipalInactive | Self::PrincipalLimited => "4.2",
            Self::ReauthenticationRequired => "4.3",
            Self::ElementNotListed => "4.4",
            Self::NoPermission | Self::SeparationOfDuties => "4.5",
            Self::NotVisible | Self::Restricted | Self::NotApprover => "4.7",
            Self::Allowed => "4.8",
            Self::InvitePolicy => "4.9",
        }
    }
}

/// One thing wrong with a question: rule 4.1, an error and no decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The request's field, such as `resource.record.id`.
    pub field: &'static str,
    /// What is wrong with it.
    pub kind: ProblemKind,
}

/// What is wrong with a field of a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// Not an id at all.
    #[error("{0}")]
    Malformed(#[from] IdError),
    /// In no catalogue (rule 3.1: never a silent deny).
    #[error("unknown permission `{0}`")]
    UnknownPermission(String),
    /// No such object.
    #[error("unknown object `{0}`")]
    UnknownObject(String),
    /// No such account.
    #[error("unknown account `{0}`")]
    UnknownAccount(String),
    /// No such principal. Only where that is no decision: to a decision it is a deny.
    #[error("unknown principal `{0}`")]
    UnknownPrincipal(String),
    /// Rule 1.4.
    #[error("a record needs the object it belongs to")]
    RecordWithoutObject,
    /// Of many records: an id that another one before it has.
    #[error("`{0}` is given twice")]
    RecordTwice(String),
}

/// All that is wrong with a question.
pub type Problems = Vec<Problem>;
