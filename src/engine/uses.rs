//! Uses of emergency access (rule 7.4): every allow that came by an activation alone.
//!
//! All that allows comes by here while an organization has an activation that runs: `Authorize`, the items of
//! `BatchAuthorize`, of `FilterRecords` for each permission the first record that passed by it, of `ListPermissions`
//! a page, and admin reads. A use is told in the activity log; the same principal's further uses of the same
//! activation for the same permission, or by the same method, only a minute later again, because a client may ask
//! thousands of times a second. Of admin calls that change something the entry of the change itself says by which
//! activation it was allowed.

use dashmap::DashMap;

use crate::core::decision::{Question, Reason};
use crate::core::emergency;
use crate::core::id::Id;
use crate::core::model::Millis;
use crate::core::table::Table;

use super::Engine;
use super::activity::{Ending, Note, Origin};

/// What questions come by.
const DECISIONS: &str = "doorward.v1.DecisionService";
/// How long one entry tells of further uses, too.
const TOLD_MS: Millis = 60_000;
/// Uses that are remembered as told; more are forgotten, and told again.
const MAX_TOLD: usize = 10_000;

/// When which use was told last: history and activation, principal, what for.
#[derive(Debug, Default)]
pub(super) struct Told(DashMap<(String, String, String), Millis>);

impl Told {
    /// Whether it is time to tell of it (again).
    fn is_due(&self, used: &Use, history: &str) -> bool {
        let scope = format!("{history} {}", used.activation);
        let key = (scope, used.principal.clone(), used.what.clone());
        if self.0.get(&key).is_some_and(|at| (*at..*at + TOLD_MS).contains(&used.at)) {
            return false;
        }
        if self.0.len() >= MAX_TOLD {
            self.0.clear();
        }
        self.0.insert(key, used.at);
        true
    }
}

/// One use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Of which activation.
    pub activation: Id,
    /// Who asked, as the question says it.
    pub principal: String,
    /// For what: a permission, empty where a record was only seen, or the method of a list or an admin read.
    pub what: String,
    /// When.
    pub at: Millis,
}

/// The use that an allowed question makes of an activation, if it makes any.
#[inline]
#[must_use]
pub fn of(table: &Table, question: &Question<'_>, now: Millis, reason: Reason) -> Option<Use> {
    if reason != Reason::Allowed || !table.has_activations(now) {
        return None;
    }
    let activation = emergency::used(table, question, now)?.id.clone();
    let (principal, what) = (question.principal.to_owned(), question.permission.to_owned());
    Some(Use { activation, principal, what, at: now })
}

impl Engine {
    /// Takes note of a use, and says whether there was one. It is on the way of a decision, which waits for
    /// no disk: the entry follows. Where it cannot be written, the server's log has it.
    #[inline]
    pub fn note_use(&self, table: &Table, question: &Question<'_>, now: Millis, reason: Reason) -> bool {
        let made = of(table, question, now, reason);
        if let Some(used) = &made {
            let origin = Origin { caller: used.principal.clone(), method: DECISIONS.to_owned(), ..Origin::default() };
            self.tell(table, used, origin, None, || match used.what.as_str() {
                "" => "emergency access showed a record".to_owned(),
                what => format!("emergency access gave `{what}`"),
            });
        }
        made.is_some()
    }

    /// Takes note of a list of permissions that `question`, whatever permission it names, is allowed: one use,
    /// of those that come by an activation alone. Costs nothing while no activation runs.
    pub fn note_list(&self, table: &Table, question: &Question<'_>, now: Millis, permissions: &[String]) {
        if !table.has_activations(now) {
            return;
        }
        let given = |permission: &&String| of(table, &Question { permission, ..*question }, now, Reason::Allowed);
        let mut given = permissions.iter().filter_map(|permission| given(&permission));
        let Some(first) = given.next() else { return };
        let method = format!("{DECISIONS}/ListPermissions");
        let used = Use { what: method.clone(), ..first.clone() };
        let origin = Origin { caller: used.principal.clone(), method, ..Origin::default() };
        self.tell(table, &used, origin, None, || match given.count() {
            0 => format!("emergency access gave `{}`, in a list", first.what),
            more => format!("emergency access gave `{}` and {more} more, in a list", first.what),
        });
    }

    /// Takes note of an admin read that an activation alone allowed.
    pub fn note_read(&self, table: &Table, activation: Id, origin: Origin, account: Option<Id>, now: Millis) {
        let principal = origin.on_behalf_of.as_ref().unwrap_or(&origin.caller).clone();
        let used = Use { activation, principal, what: origin.method.clone(), at: now };
        self.tell(table, &used, origin, account, || "emergency access allowed a read".to_owned());
    }

    #[cold]
    fn tell(&self, table: &Table, used: &Use, origin: Origin, account: Option<Id>, summary: impl FnOnce() -> String) {
        if !self.told.is_due(used, table.history()) {
            return;
        }
        let Use { activation, principal, what, at: _ } = used;
        let note = Note {
            origin,
            ending: Ending::Recorded,
            reason: String::new(),
            summary: summary(),
            account,
            emergency_activation: Some(activation.to_string()),
        };
        if let Err(error) = self.record_soon(table, note) {
            let organization = table.id();
            tracing::error!(%organization, %activation, principal, what, %error, "emergency access was used, and the activity log does not say so");
        }
    }
}
