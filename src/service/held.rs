//! What lists of assignments and grants ask for, and what is in them.

use std::sync::Arc;

use crate::core::id::Id;
use crate::core::model::{Assignment, Member, Millis, Period, Row, Target};
use crate::core::table::Table;

use super::convert::{place, role as convert};
use super::fields::Fields;
use super::proto;
use super::refusal::Refusal;

/// What a list of assignments or grants asks for.
pub struct Held {
    member: Option<Member>,
    target: Option<Target>,
    in_effect_only: bool,
}

impl Held {
    /// Takes it out of a request.
    pub fn new(f: &mut Fields, member: &str, target: Option<proto::Target>, in_effect_only: bool) -> Option<Self> {
        let member = f.parse_optional("member", member);
        let target = match target {
            None => Some(None),
            target => place::target(f, target).map(Some),
        };
        Some(Self { member: member?, target: target?, in_effect_only })
    }

    /// Whether what is held so is asked for.
    pub fn admits(&self, member: &Member, target: &Target, period: Period, now: Millis) -> bool {
        self.member.as_ref().is_none_or(|m| m == member)
            && self.target.as_ref().is_none_or(|t| t == target)
            && (period.includes(now) || !self.in_effect_only)
    }

    /// The role that the user asked about has by rule, if that is asked for; it has no period.
    pub fn by_rule(&self, table: &Table, role: Option<&Id>) -> Option<Given> {
        let Some(member @ Member::User(user)) = &self.member else { return None };
        let (given, target) = table.role_by_rule(user)?;
        let asked = role.is_none_or(|role| given == *role) && self.target.as_ref().is_none_or(|t| target == *t);
        asked.then(|| Given::ByRule(given, member.clone(), target))
    }
}

/// A role that a list of assignments has.
pub enum Given {
    /// By an assignment.
    Assigned(Assignment),
    /// To a user, where (rule 3.6).
    ByRule(Id, Member, Target),
}

impl Given {
    /// In the order of lists, different for each.
    pub fn name(&self) -> String {
        match self {
            Self::Assigned(a) => format!("{}\0{}\0{}", a.role, a.member, a.target),
            Self::ByRule(role, member, target) => format!("{role}\0{member}\0{target}\0by rule"),
        }
    }

    /// As a message.
    pub fn message(&self) -> proto::Assignment {
        match self {
            Self::Assigned(assignment) => convert::to_assignment(assignment),
            Self::ByRule(role, member, target) => convert::to_by_rule(role, member, target),
        }
    }
}

/// The assignments and grants that `pick` takes. Looks at all of them, so it runs beside the runtime.
pub async fn edges<T: Send + 'static>(
    table: &Arc<Table>,
    pick: impl Fn(Row) -> Option<T> + Send + 'static,
) -> Result<Vec<T>, Refusal> {
    let table = Arc::clone(table);
    let picked = tokio::task::spawn_blocking(move || table.edge_rows().filter_map(pick).collect()).await;
    picked.map_err(|_| Refusal::Internal("listing what is held failed"))
}
