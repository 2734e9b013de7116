//! Uses of emergency access (rule 7.4): every allow that came by an activation alone.
//!
//! **A seam.** All that allows comes by here once an organization has an activation: `Authorize`, the items of
//! `BatchAuthorize`, and of `FilterRecords` the first record that passed by it. A use is told to the server's log,
//! and is for the activity log to keep (its entry's `emergency_activation`). Of admin calls it is
//! `service::access::Authority::activation` that says by which activation they were allowed.

use crate::core::decision::{Question, Reason};
use crate::core::emergency;
use crate::core::id::Id;
use crate::core::model::Millis;
use crate::core::table::Table;

use super::Engine;

/// One use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Of which activation.
    pub activation: Id,
    /// Who asked, as the question says it.
    pub principal: String,
    /// For what.
    pub permission: String,
    /// When.
    pub at: Millis,
}

/// The use that an allowed question makes of an activation, if it makes any.
#[inline]
#[must_use]
pub fn of(table: &Table, question: &Question<'_>, now: Millis, reason: Reason) -> Option<Use> {
    if reason != Reason::Allowed || !table.has_activations() {
        return None;
    }
    let activation = emergency::used(table, question, now)?.id.clone();
    let (principal, permission) = (question.principal.to_owned(), question.permission.to_owned());
    Some(Use { activation, principal, permission, at: now })
}

impl Engine {
    /// Takes note of a use, and says whether there was one. No lock, no await: it is on the way of a decision.
    #[inline]
    pub fn note_use(&self, table: &Table, question: &Question<'_>, now: Millis, reason: Reason) -> bool {
        let made = of(table, question, now, reason);
        if let Some(made) = &made {
            let organization = table.id();
            tracing::warn!(%organization, activation = %made.activation, principal = made.principal, permission = made.permission,
                "emergency access was used");
        }
        made.is_some()
    }
}
