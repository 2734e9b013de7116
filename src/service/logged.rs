//! Which refusals the activity log tells of (rule 7.5), and in which words.
//!
//! What the caller may not do and what the state of the organization forbids is logged. What is wrong with a
//! request in itself is not, nor what failed: those say nothing of the organization. The words name ids and
//! nothing that was sent besides, for they cannot be erased; and where an address was sent for an id, not that.

use crate::core::change::ChangeError;
use crate::core::id::OpaqueId;
use crate::core::table::Table;
use crate::engine::WriteError;

use super::refusal::Refusal;

/// Violations that a summary names.
const NAMED: usize = 3;

/// What to say of an error in the log; none if it is not logged.
pub fn summary(error: &WriteError<Refusal>) -> Option<String> {
    match error {
        WriteError::Plan(refusal) => of_refusal(refusal),
        WriteError::Change(ChangeError::Violations(violations)) => {
            let name = |v: &crate::core::Violation| format!("{}: {}", v.key.describe(), v.fault.reason());
            let named: Vec<String> = violations.iter().take(NAMED).map(name).collect();
            let more = violations.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            Some(format!("{}{more}", named.join(", ")))
        }
        WriteError::Change(error) => Some(error.to_string()),
        WriteError::OrganizationExists(_) => Some(error.to_string()),
        WriteError::UnknownOrganization(_)
        | WriteError::RequestIdReused
        | WriteError::TooManyRequestIds
        | WriteError::Store(_)
        | WriteError::Clock(_)
        | WriteError::Stopping
        // Another scope's, which has no log of its own.
        | WriteError::UnknownSuperOrganization(_)
        | WriteError::SuperOrganizationExists(_)
        | WriteError::SuperOrganization(_) => None,
    }
}

/// Stands where an address was.
const ADDRESS: &str = "(an address)";

/// Words for the log without what may be somebody's address: between backticks, or by itself, what has an `@`
/// and is no user's id.
pub fn unaddressed(words: &str, table: &Table) -> String {
    let known = |id: &str| id.parse::<OpaqueId>().is_ok_and(|id| table.find_user(&id).is_some());
    let plain = |part: &str| {
        let (of, id) = part.strip_prefix("user:").map_or(("", part), |id| ("user:", id));
        if !id.contains('@') || known(id) { part.to_owned() } else { format!("{of}{ADDRESS}") }
    };
    words.split('`').map(plain).collect::<Vec<_>>().join("`")
}

fn of_refusal(refusal: &Refusal) -> Option<String> {
    match refusal {
        Refusal::NotTrusted
        | Refusal::OperatorOnly
        | Refusal::NotAllowed { .. }
        | Refusal::HandsOut { .. }
        | Refusal::InvitePolicy
        | Refusal::NotFound(_)
        | Refusal::NotNamed
        | Refusal::OtherSignOn { .. }
        | Refusal::Activated(_)
        | Refusal::Change(_)
        | Refusal::OtherPeriod(_)
        | Refusal::EtagMismatch(_)
        | Refusal::BuiltIn(_)
        | Refusal::StatusMove { .. }
        | Refusal::EmailDomain { .. }
        | Refusal::CredentialEnded(_)
        | Refusal::ListChanged(_)
        | Refusal::LastListed(_)
        | Refusal::CredentialRotated(..)
        | Refusal::RevisionMoved { .. } => Some(refusal.to_string()),
        // The address would be personal.
        Refusal::NotCreated(_) => Some("nobody has the address, and no user is created for it".to_owned()),
        // A plan that looked at the state.
        Refusal::Fields { violations } => {
            let fields: Vec<&str> = violations.iter().take(NAMED).map(|v| v.field.as_str()).collect();
            Some(format!("{}: {}", refusal, fields.join(", ")))
        }
        Refusal::NoCaller
        | Refusal::OtherOrganization
        | Refusal::NotDenied(_)
        | Refusal::NotSupported(_)
        | Refusal::NotObserved(_)
        | Refusal::NoPlan(_)
        | Refusal::PlanOperator(_)
        | Refusal::Read(_)
        | Refusal::PageToken
        | Refusal::Stream(_)
        | Refusal::TooMuch { .. }
        | Refusal::TooManyFollowers
        | Refusal::TooManyStreams(_)
        | Refusal::Idle(_)
        | Refusal::MessageTooLarge(_)
        | Refusal::MalformedMessage(_)
        | Refusal::Stopping
        | Refusal::Store(_)
        | Refusal::Clock(_)
        | Refusal::Internal(_) => None,
    }
}
