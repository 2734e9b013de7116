//! What can be wrong with content: every way in which a change is refused, each with a stable name.

use super::condition::Mistake;
use super::model::{Key, Status};

/// One thing wrong with one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The row.
    pub key: Key,
    /// Its field, such as `groups`; empty for the row itself.
    pub field: &'static str,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A reference leads nowhere.
    #[error("unknown {what} `{id}`")]
    Unknown {
        /// The kind of thing.
        what: &'static str,
        /// What was named.
        id: String,
    },
    /// Rule 2.1.
    #[error("the e-mail address `{email}` is that of user `{user}`")]
    EmailTaken {
        /// The address.
        email: String,
        /// Who has it.
        user: String,
    },
    /// Rule 2.4.
    #[error("the identity `{subject}` of `{issuer}` is bound to user `{user}`")]
    SignOnTaken {
        /// Who vouches for it.
        issuer: String,
        /// The issuer's name for the user.
        subject: String,
        /// To whom it is bound.
        user: String,
    },
    /// Rule 2.2.
    #[error("a user cannot become `{}` from `{}`; possible: {}", to.name(), from.name(), names(possible))]
    StatusMove {
        /// The status that it has.
        from: Status,
        /// The one that it was to have.
        to: Status,
        /// Those that it can become.
        possible: &'static [Status],
    },
    /// Names and aliases share one name space (rule 3.1).
    #[error("the name `{name}` is taken by permission `{by}`")]
    NameTaken {
        /// The name or alias.
        name: String,
        /// Whose it is.
        by: String,
    },
    /// Rules 2.1 and 2.7.
    #[error("this would close a circle: {0}")]
    Cycle(String),
    /// Something that cannot change.
    #[error("{0} cannot change")]
    Immutable(&'static str),
    /// Shipped with the preset, or kept by the system.
    #[error("{0} belongs to the system and cannot be changed or deleted")]
    BuiltIn(String),
    /// Rule 3.3: a role is assigned only where its scope allows.
    #[error("role `{role}` of scope {scope} cannot be assigned at {target}")]
    WrongScope {
        /// The role.
        role: String,
        /// Its scope.
        scope: &'static str,
        /// Where it was to be assigned.
        target: String,
    },
    /// Something that this row cannot have.
    #[error("{0}")]
    Misplaced(&'static str),
    /// Only manual groups have members that are added (rules 2.6, 2.8).
    #[error("group `{0}` is not manual: its members are kept by the system")]
    NotManual(String),
    /// Rule 1.2: exactly one account is the default one.
    #[error("there must be exactly one default account, and there would be {0}")]
    DefaultAccounts(usize),
    /// Rule 2.10, or a reference that must not be cut silently.
    #[error("it is still in use by {0}")]
    InUse(String),
    /// Rule 2.2: nobody is removed.
    #[error("{0} are never removed, only deactivated")]
    NeverRemoved(&'static str),
    /// A named limit.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A period that ends before it begins.
    #[error("the period ends before it begins")]
    EmptyPeriod,
    /// Given twice.
    #[error("`{0}` is given twice")]
    Duplicate(String),
    /// Rule 6.2: the first thing wrong with a condition, and where.
    #[error("{0}")]
    Condition(Mistake),
    /// Rule 6.2: a condition that is there already would be wrong by what is declared now.
    #[error("its condition would be wrong: {0}")]
    ConditionBroken(Mistake),
    /// Rule 7.2: what is on one list cannot be on the other.
    #[error("element `{element}` is on the {list}")]
    Listed {
        /// The element.
        element: String,
        /// The other list, and whose it is.
        list: String,
    },
    /// Rule 7.2: an empty safelist opens all elements.
    #[error("it is the last on the safelist; without it all elements would be open: clear the safelist to have that")]
    LastListed,
    /// Rule 7.3: who would hold too many roles of a constraint, and by which paths.
    #[error("{0}")]
    Separation(String),
    /// Rule 2.9: a group that is not to be used so.
    #[error("group `{group}` is not {flag}, so it cannot come to have the relation `{relation}`")]
    NotUsable {
        /// The group.
        group: String,
        /// The flag it lacks.
        flag: &'static str,
        /// The relation.
        relation: &'static str,
    },
}

impl Fault {
    /// The stable name of the fault in the API.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "UNKNOWN_REFERENCE",
            Self::EmailTaken { .. } => "EMAIL_TAKEN",
            Self::SignOnTaken { .. } => "SIGN_ON_TAKEN",
            Self::StatusMove { .. } => "ILLEGAL_STATUS_MOVE",
            Self::NameTaken { .. } => "NAME_TAKEN",
            Self::Cycle(_) => "CYCLE",
            Self::Immutable(_) => "IMMUTABLE",
            Self::BuiltIn(_) => "BUILT_IN",
            Self::WrongScope { .. } => "WRONG_SCOPE",
            Self::Misplaced(_) => "MISPLACED",
            Self::NotManual(_) => "NOT_MANUAL",
            Self::DefaultAccounts(_) => "DEFAULT_ACCOUNTS",
            Self::InUse(_) => "IN_USE",
            Self::NeverRemoved(_) => "NEVER_REMOVED",
            Self::TooMany { .. } => "TOO_MANY",
            Self::EmptyPeriod => "EMPTY_PERIOD",
            Self::Duplicate(_) => "DUPLICATE",
            Self::Condition(_) => "CONDITION",
            Self::ConditionBroken(_) => "CONDITION_BROKEN",
            Self::Listed { .. } => "ELEMENT_LISTED",
            Self::LastListed => "LAST_LISTED",
            Self::NotUsable { .. } => "GROUP_NOT_USABLE",
            Self::Separation(_) => "SEPARATION_OF_DUTIES",
        }
    }

    /// Whether the request is wrong in itself, whatever the organization's state.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        match self {
            Self::Unknown { .. }
            | Self::Cycle(_)
            | Self::WrongScope { .. }
            | Self::Misplaced(_)
            | Self::NotManual(_)
            | Self::TooMany { .. }
            | Self::EmptyPeriod
            | Self::Duplicate(_)
            | Self::Condition(_) => true,
            Self::EmailTaken { .. }
            | Self::SignOnTaken { .. }
            | Self::StatusMove { .. }
            | Self::NameTaken { .. }
            | Self::Immutable(_)
            | Self::BuiltIn(_)
            | Self::DefaultAccounts(_)
            | Self::InUse(_)
            | Self::Listed { .. }
            | Self::LastListed
            | Self::NotUsable { .. }
            | Self::Separation(_)
            | Self::ConditionBroken(_)
            | Self::NeverRemoved(_) => false,
        }
    }
}

fn names(statuses: &[Status]) -> String {
    let names: Vec<String> = statuses.iter().map(|status| format!("`{}`", status.name())).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
