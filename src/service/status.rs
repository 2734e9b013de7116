//! The one place where an error becomes a status.
//!
//! Every status carries an `ErrorInfo` with a stable reason; beside it `BadRequest` with all fields that
//! are wrong, `PreconditionFailure` where the state refuses, `ResourceInfo` where something is missing,
//! `RetryInfo` where waiting helps. What an error was caused by is logged, not shown to the client.

#![allow(clippy::needless_pass_by_value, reason = "texts are made where they are passed")]

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::core::Violation;
use crate::core::change::ChangeError;
use crate::core::decision::{Problem, ProblemKind, Reason};
use crate::core::id::Id;
use crate::core::model::Key;
use crate::core::plan::PlanError;
use crate::engine::{ReadError, WriteError};
use crate::store::StoreError;

use super::proto::ItemError;
use super::refusal::{FieldViolation, Refusal};
use super::report::entity;

/// The domain of every reason.
pub const DOMAIN: &str = "doorward.dev";
/// How long to wait before a retry that may help.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An error on its way to the client: as a status, or as the error of one item of a batch.
#[derive(Debug)]
pub struct Failure {
    code: Code,
    reason: &'static str,
    message: String,
    fields: Vec<FieldViolation>,
    state: Vec<(&'static str, String, String)>,
    resource: Option<(&'static str, String)>,
    retry: bool,
}

impl Failure {
    fn new(code: Code, reason: &'static str, message: impl ToString) -> Self {
        let message = message.to_string();
        let (fields, state) = (Vec::new(), Vec::new());
        Self { code, reason, message, fields, state, resource: None, retry: code == Code::Unavailable }
    }

    /// Its stable name.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    fn fields(reason: &'static str, fields: Vec<FieldViolation>) -> Self {
        let message = match fields.as_slice() {
            [] => "the request is malformed".to_owned(),
            [only] => sentence(only),
            [first, rest @ ..] => format!("{} (and {} more)", sentence(first), rest.len()),
        };
        Self { fields, ..Self::new(Code::InvalidArgument, reason, message) }
    }

    fn field(reason: &'static str, field: &str, description: impl ToString) -> Self {
        Self::fields(reason, vec![FieldViolation { field: field.to_owned(), description: description.to_string() }])
    }

    fn state(reason: &'static str, subject: String, message: impl ToString) -> Self {
        let message = message.to_string();
        let state = vec![(reason, subject, message.clone())];
        Self { state, ..Self::new(Code::FailedPrecondition, reason, message) }
    }

    fn retry(self) -> Self {
        Self { retry: true, ..self }
    }

    fn about(self, kind: &'static str, name: impl ToString) -> Self {
        Self { resource: Some((kind, name.to_string())), ..self }
    }

    fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "a call failed inside");
        Self::new(Code::Internal, "INTERNAL", "the server failed; its log says why")
    }
}

fn sentence(violation: &FieldViolation) -> String {
    if violation.field.is_empty() {
        return violation.description.clone();
    }
    format!("`{}`: {}", violation.field, violation.description)
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let Failure { code, reason, message, fields, state, resource, retry } = failure;
        let mut details = ErrorDetails::new();
        details.set_error_info(reason, DOMAIN, HashMap::new());
        for FieldViolation { field, description } in fields {
            details.add_bad_request_violation(field, description);
        }
        for (kind, subject, description) in state {
            details.add_precondition_failure_violation(kind, subject, description);
        }
        if let Some((kind, name)) = resource {
            details.set_resource_info(kind, name, "", "");
        }
        if retry {
            details.set_retry_info(Some(RETRY_AFTER));
        }
        Self::with_error_details(code, message, details)
    }
}

impl From<Failure> for ItemError {
    fn from(failure: Failure) -> Self {
        let Failure { code, reason, message, fields: _, state: _, resource: _, retry: _ } = failure;
        Self { code: code.into(), reason: reason.to_owned(), message }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        Failure::from(refusal).into()
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Fields { violations } => Self::fields("INVALID_REQUEST", violations),
            Refusal::NoCaller => Self::new(Code::Unauthenticated, "UNAUTHENTICATED", message),
            Refusal::OtherOrganization
            | Refusal::OperatorOnly
            | Refusal::NotTrusted
            | Refusal::NotAllowed { reason: Reason::NoPermission, .. } => {
                Self::new(Code::PermissionDenied, "PERMISSION_DENIED", message)
            }
            Refusal::NotAllowed { reason, .. } => Self::new(Code::PermissionDenied, reason.name(), message),
            Refusal::HandsOut { .. } => Self::new(Code::PermissionDenied, "HANDS_OUT_MORE", message),
            Refusal::NotNamed => Self::new(Code::PermissionDenied, "NOT_NAMED", message),
            Refusal::Activated(id) => Self::state("ALREADY_ACTIVE", format!("activation `{id}`"), message),
            Refusal::Change(error) => error.into(),
            Refusal::InvitePolicy => Self::field("INVITE_POLICY", "user.email", message),
            Refusal::NotSupported(_) => Self::new(Code::Unimplemented, "NOT_SUPPORTED", message),
            Refusal::NoPlan(PlanError::Question(problems)) => problems.into(),
            Refusal::NoPlan(PlanError::Inexpressible(_)) => Self::state("NOT_EXPRESSIBLE", "plan".to_owned(), message),
            Refusal::NoPlan(PlanError::TooLarge(_)) => Self::state("PLAN_TOO_LARGE", "plan".to_owned(), message),
            Refusal::PlanOperator(operator) => {
                Self::state("OPERATOR_NOT_SUPPORTED", format!("operator `{operator}`"), message)
            }
            Refusal::Read(error) => error.into(),
            Refusal::NotFound(key) => ChangeError::NotFound(key).into(),
            Refusal::EtagMismatch(key) => ChangeError::EtagMismatch(key).into(),
            Refusal::OtherPeriod(key) => {
                Self::new(Code::AlreadyExists, "ALREADY_EXISTS", message).about(entity(&key), key.describe())
            }
            Refusal::BuiltIn(key) => Self::state("BUILT_IN", key.describe(), message),
            Refusal::PageToken => Self::field("INVALID_PAGE_TOKEN", "page_token", message),
            Refusal::StatusMove { user, .. } => Self::state("ILLEGAL_STATUS_MOVE", format!("user `{user}`"), message),
            Refusal::ListChanged(_) => Self::new(Code::Aborted, "ETAG_MISMATCH", message),
            Refusal::LastListed(_) => Self::state("LAST_LISTED", "the safelist".to_owned(), message),
            Refusal::NotDenied(id) => Self::new(Code::NotFound, "NOT_FOUND", message).about("denylist_element", id),
            Refusal::OtherSignOn { user, .. } => Self::state("SIGN_ON_MISMATCH", format!("user `{user}`"), message),
            Refusal::NotCreated(email) => Self::state("AUTO_CREATION_REFUSED", email, message),
            Refusal::EmailDomain { domain, there: true } => {
                Self::new(Code::AlreadyExists, "ALREADY_EXISTS", message).about("email_domain", domain)
            }
            Refusal::EmailDomain { domain, there: false } => {
                Self::new(Code::NotFound, "NOT_FOUND", message).about("email_domain", domain)
            }
            Refusal::NotObserved(_) => Self::state("NOT_OBSERVED_LONG_ENOUGH", "the organization".to_owned(), message),
            Refusal::CredentialEnded(id) => Self::state("CREDENTIAL_ENDED", format!("credential `{id}`"), message),
            Refusal::CredentialRotated(id, _) => {
                Self::state("CREDENTIAL_ROTATED", format!("credential `{id}`"), message)
            }
            Refusal::RevisionMoved { organization, .. } => {
                Self::new(Code::Aborted, "REVISION_MISMATCH", message).about("organization", organization)
            }
            Refusal::Stream(_) => Self::field("INVALID_STREAM", "", message),
            Refusal::TooMuch { .. } => Self::new(Code::ResourceExhausted, "REQUEST_TOO_LARGE", message),
            Refusal::TooManyFollowers | Refusal::TooManyStreams(_) => {
                Self::new(Code::ResourceExhausted, "TOO_MANY_STREAMS", message).retry()
            }
            Refusal::Idle(_) => Self::new(Code::DeadlineExceeded, "STREAM_IDLE", message),
            Refusal::MessageTooLarge(_) => Self::new(Code::OutOfRange, "MESSAGE_TOO_LARGE", message),
            Refusal::MalformedMessage(_) => Self::new(Code::InvalidArgument, "MALFORMED_MESSAGE", message),
            Refusal::Stopping => Self::new(Code::Unavailable, "STOPPING", message),
            Refusal::Store(error) => error.into(),
            Refusal::Clock(error) => Self::internal(&error),
            Refusal::Internal(cause) => Self::internal(&cause),
        }
    }
}

impl From<ReadError> for Status {
    fn from(error: ReadError) -> Self {
        Failure::from(error).into()
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let message = error.to_string();
        match error {
            ReadError::UnknownOrganization(id) => Self::unknown_organization(&id),
            ReadError::UnknownSuperOrganization(id) => Self::unknown_super_organization(&id),
            ReadError::OtherHistory => Self::state("REVISION_OF_OTHER_HISTORY", "min_revision".to_owned(), message),
            ReadError::NotReached { .. } => Self::new(Code::Unavailable, "REVISION_NOT_REACHED", message),
            ReadError::Problems(problems) => problems.into(),
        }
    }
}

impl Failure {
    /// What cannot be an id is malformed, rather than not found.
    fn unknown_organization(id: &str) -> Self {
        match Id::check(id) {
            Ok(()) => Self::new(Code::NotFound, "UNKNOWN_ORGANIZATION", format_args!("unknown organization `{id}`"))
                .about("organization", id),
            Err(error) => Self::field("INVALID_REQUEST", "organization", error),
        }
    }
}

impl Failure {
    fn unknown_super_organization(id: &str) -> Self {
        let text = format_args!("unknown super-organization `{id}`");
        Self::new(Code::NotFound, "UNKNOWN_SUPER_ORGANIZATION", text).about("super_organization", id)
    }
}

impl From<Vec<Problem>> for Failure {
    fn from(problems: Vec<Problem>) -> Self {
        Self::problems(problems.into_iter().map(|Problem { field, kind }| (field.to_owned(), kind)).collect())
    }
}

impl Failure {
    /// Problems, each with the path of its field. Malformed wins over unknown; then all that is wrong is
    /// told at once.
    pub fn problems(problems: Vec<(String, ProblemKind)>) -> Self {
        let missing = |kind: &ProblemKind| match kind {
            ProblemKind::UnknownObject(id) => Some(("UNKNOWN_OBJECT", "object", id.clone())),
            ProblemKind::UnknownAccount(id) => Some(("UNKNOWN_ACCOUNT", "account", id.clone())),
            ProblemKind::UnknownPrincipal(id) => Some(("UNKNOWN_PRINCIPAL", "principal", id.clone())),
            ProblemKind::Malformed(_)
            | ProblemKind::UnknownPermission(_)
            | ProblemKind::RecordWithoutObject
            | ProblemKind::RecordTwice(_) => None,
        };
        if let Some((_, first)) = problems.first()
            && problems.iter().all(|(_, kind)| missing(kind).is_some())
            && let Some((reason, kind, id)) = missing(first)
        {
            return Self::new(Code::NotFound, reason, first).about(kind, id);
        }
        let unknown = |kind: &ProblemKind| matches!(kind, ProblemKind::UnknownPermission(_)) || missing(kind).is_some();
        let reason =
            if problems.iter().all(|(_, kind)| unknown(kind)) { "UNKNOWN_PERMISSION" } else { "INVALID_REQUEST" };
        let violation = |(field, kind): (String, ProblemKind)| FieldViolation { field, description: kind.to_string() };
        Self::fields(reason, problems.into_iter().map(violation).collect())
    }
}

impl From<WriteError<Refusal>> for Status {
    fn from(error: WriteError<Refusal>) -> Self {
        Failure::from(error).into()
    }
}

impl From<WriteError<Refusal>> for Failure {
    fn from(error: WriteError<Refusal>) -> Self {
        let message = error.to_string();
        match error {
            WriteError::Plan(refusal) => refusal.into(),
            WriteError::UnknownOrganization(id) => Self::unknown_organization(&id),
            WriteError::OrganizationExists(id) => {
                Self::new(Code::AlreadyExists, "ALREADY_EXISTS", message).about("organization", id)
            }
            WriteError::UnknownSuperOrganization(id) => Self::unknown_super_organization(&id),
            WriteError::SuperOrganizationExists(id) => {
                Self::new(Code::AlreadyExists, "ALREADY_EXISTS", message).about("super_organization", id)
            }
            WriteError::SuperOrganization(fault) if fault.is_invalid() => {
                Self::field(fault.reason(), "super_organization", fault)
            }
            WriteError::SuperOrganization(fault) => {
                Self::state(fault.reason(), "the super-organization".to_owned(), fault)
            }
            WriteError::Change(error) => error.into(),
            WriteError::RequestIdReused => Self::field("REQUEST_ID_REUSED", "request_id", message),
            WriteError::TooManyRequestIds => Self::new(Code::ResourceExhausted, "TOO_MANY_REQUEST_IDS", message),
            WriteError::Store(error) => error.into(),
            WriteError::Clock(error) => Self::internal(&error),
            WriteError::Stopping => Self::new(Code::Unavailable, "STOPPING", message),
        }
    }
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        let message = error.to_string();
        let about = |failure: Self, key: &Key| failure.about(entity(key), key.describe());
        match error {
            ChangeError::NotFound(key) => about(Self::new(Code::NotFound, "NOT_FOUND", message), &key),
            ChangeError::AlreadyExists(key) => about(Self::new(Code::AlreadyExists, "ALREADY_EXISTS", message), &key),
            ChangeError::EtagMismatch(key) => about(Self::new(Code::Aborted, "ETAG_MISMATCH", message), &key),
            ChangeError::LastAdministrator => Self::state("LAST_ADMINISTRATOR", "the organization".to_owned(), message),
            ChangeError::Violations(violations) => violations.into(),
        }
    }
}

impl From<Vec<Violation>> for Failure {
    fn from(violations: Vec<Violation>) -> Self {
        let describe = |v: &Violation| format!("{}: {}", v.key.describe(), v.fault);
        let deciding = violations.iter().find(|v| v.fault.is_invalid()).or(violations.first());
        let Some(deciding) = deciding else { return Self::internal(&"a refusal without a violation") };
        let (reason, invalid) = (deciding.fault.reason(), deciding.fault.is_invalid());
        let message = match violations.len() {
            1 => describe(deciding),
            n => format!("{} (and {} more)", describe(deciding), n - 1),
        };
        if invalid {
            let field = |v: &Violation| {
                let dot = if v.field.is_empty() { "" } else { "." };
                FieldViolation { field: format!("{}{dot}{}", entity(&v.key), v.field), description: describe(v) }
            };
            let fields = violations.iter().map(field).collect();
            return Self { fields, ..Self::new(Code::InvalidArgument, reason, message) };
        }
        let state = violations.iter().map(|v| (v.fault.reason(), v.key.describe(), v.fault.to_string())).collect();
        Self { state, ..Self::new(Code::FailedPrecondition, reason, message) }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::DiskLow { .. } => {
                tracing::warn!(cause = %error, "a write was refused");
                Self::new(Code::ResourceExhausted, "DISK_LOW", "the server's disk is too full to write")
            }
            StoreError::Busy => Self::new(Code::ResourceExhausted, "BUSY", "too many writes are waiting").retry(),
            StoreError::Stopped => Self::new(Code::Unavailable, "STOPPING", "the server takes no writes any more"),
            StoreError::Limit { .. } => {
                Self::new(Code::ResourceExhausted, "REQUEST_TOO_LARGE", "one change is larger than can be stored")
            }
            StoreError::Revision { .. }
            | StoreError::Locked { .. }
            | StoreError::Format { .. }
            | StoreError::Io { .. }
            | StoreError::Sync(_)
            | StoreError::Database(_)
            | StoreError::Damaged(_)
            | StoreError::Unreadable(_) => Self::internal(&error),
        }
    }
}
