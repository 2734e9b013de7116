//! Who may do what, and see what: roles and grants, policies and relations, constraints, emergency access.

use minicbor::{Decode, Encode};

use super::{Member, Millis, Period, Target, Visibility};
use crate::core::id::{Id, OpaqueId, Pattern};

/// Where a role may be assigned (rule 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Scope {
    /// At the organization.
    #[n(0)]
    Organization,
    /// At accounts.
    #[n(1)]
    Account,
    /// At objects and records.
    #[n(2)]
    Object,
}

/// Where a role comes from (rule 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum RoleKind {
    /// Ships with the preset and cannot change. Has no row.
    #[n(0)]
    Managed,
    /// Ships with the preset; has a row once its permissions were changed.
    #[n(1)]
    System,
    /// The organization's own.
    #[n(2)]
    Custom,
}

/// A relation between a record and a member (rule 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Relation {
    /// Follows the record.
    #[n(0)]
    Watcher,
    /// Works on it.
    #[n(1)]
    Assignee,
    /// Was named in it.
    #[n(2)]
    Mentioned,
    /// Had it shared with them.
    #[n(3)]
    Shared,
    /// Approves it.
    #[n(4)]
    Approver,
}

impl Relation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Watcher, Self::Assignee, Self::Mentioned, Self::Shared, Self::Approver];

    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Watcher => "watcher",
            Self::Assignee => "assignee",
            Self::Mentioned => "mentioned",
            Self::Shared => "shared",
            Self::Approver => "approver",
        }
    }

    /// The flag that a group needs to count as its member (rule 2.9).
    #[must_use]
    pub fn flag(self) -> Option<&'static str> {
        match self {
            Self::Watcher => Some("watchable"),
            Self::Assignee => Some("assignable"),
            Self::Mentioned => Some("mentionable"),
            Self::Shared => None,
            Self::Approver => Some("approver"),
        }
    }

    /// Whether a group with these flags counts as its member (rule 2.9).
    #[must_use]
    pub fn usable(self, flags: Visibility) -> bool {
        match self {
            Self::Watcher => flags.watchable,
            Self::Assignee => flags.assignable,
            Self::Mentioned => flags.mentionable,
            Self::Shared => true,
            Self::Approver => flags.approver,
        }
    }
}

impl std::fmt::Display for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A named set of permissions (rule 3.2).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Role {
    /// Its id.
    #[n(0)]
    pub id: Id,
    /// For people; may be empty.
    #[n(1)]
    pub name: String,
    /// For people; may be empty.
    #[n(2)]
    pub description: String,
    /// Managed, system or custom.
    #[n(3)]
    pub kind: RoleKind,
    /// Where it may be assigned. Fixed at creation.
    #[n(4)]
    pub scope: Scope,
    /// For an object-scoped role: the one object it may be assigned on; any, if none.
    #[n(5)]
    pub object: Option<Id>,
    /// What it contains. Sorted, each once.
    #[n(6)]
    pub permissions: Vec<Pattern>,
    /// The relations that give it on a record (rule 5.2). Sorted, each once.
    #[n(7)]
    pub auto_share: Vec<Relation>,
}

impl Role {
    /// Whether it is one that the system assigns by rule (3.6): every row that assigns it is by hand.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.kind == RoleKind::System
    }
}

/// A role held by a member at a target (rule 3.4). One exists for each role, member and target.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Assignment {
    /// The role.
    #[n(0)]
    pub role: Id,
    /// Who holds it.
    #[n(1)]
    pub member: Member,
    /// Where.
    #[n(2)]
    pub target: Target,
    /// When.
    #[n(3)]
    pub period: Period,
    /// As [`Role::is_system`] says, of what is read from a version; of what is put it counts for nothing.
    #[n(4)]
    pub by_hand: bool,
}

/// A permission held directly by a member at a target (rule 3.4). One exists for each pattern,
/// member and target.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Grant {
    /// What is given.
    #[n(0)]
    pub permission: Pattern,
    /// Who holds it.
    #[n(1)]
    pub member: Member,
    /// Where.
    #[n(2)]
    pub target: Target,
    /// When.
    #[n(3)]
    pub period: Period,
}

/// What a data-access policy does for its members (rule 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Effect {
    /// Shows the records for which the condition holds.
    #[n(0)]
    Allow,
    /// Hides the records for which the condition holds, or cannot be answered.
    #[n(1)]
    Restrict,
}

/// Which records of an object its members can see, or cannot (rule 6.1).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Policy {
    /// Its id, unique in the organization.
    #[n(0)]
    pub id: Id,
    /// The object of whose records it speaks.
    #[n(1)]
    pub object: Id,
    /// What it does.
    #[n(2)]
    pub effect: Effect,
    /// Whom it concerns: groups and users. Sorted, each once.
    #[n(3)]
    pub members: Vec<Member>,
    /// Of which records, in the language of [`crate::core::condition`]; of every record, if none.
    #[n(4)]
    pub condition: Option<String>,
}

/// A relation between a record and a user or group (rule 5.1).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Related {
    /// Which relation.
    #[n(0)]
    pub relation: Relation,
    /// Who has it.
    #[n(1)]
    pub member: Member,
    /// The object that the record is of.
    #[n(2)]
    pub object: Id,
    /// The record's id.
    #[n(3)]
    pub record: OpaqueId,
}

/// What becomes of a separation constraint that automatic membership breaks (rule 7.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Enforcement {
    /// It is reported.
    #[default]
    #[n(0)]
    Prevent,
    /// It is reported, and its roles give nothing where too many of them are held (rule 4.5).
    #[n(1)]
    Deny,
}

/// Roles of which nobody may hold more than a number at overlapping scopes (rule 7.3).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Separation {
    /// Its id.
    #[n(0)]
    pub id: Id,
    /// Which roles. Sorted, each once; more than `max`.
    #[n(1)]
    pub roles: Vec<Id>,
    /// How many of them one principal may hold: at least one.
    #[n(2)]
    pub max: u32,
    /// What becomes of it when broken.
    #[n(3)]
    pub enforcement: Enforcement,
}

/// Who may activate a role for themselves in an emergency (rule 7.4). One exists for each role and
/// target.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct EmergencyRule {
    /// The role.
    #[n(0)]
    pub role: Id,
    /// Where it is given.
    #[n(1)]
    pub target: Target,
    /// Who may. Sorted, each once.
    #[n(2)]
    pub users: Vec<OpaqueId>,
    /// For how long at most.
    #[n(3)]
    pub max_duration_ms: Millis,
}

/// One use of an emergency rule (rule 7.4). Its row stays once it is over.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Activation {
    /// Made by the server.
    #[n(0)]
    pub id: Id,
    /// Which role.
    #[n(1)]
    pub role: Id,
    /// Where.
    #[n(2)]
    pub target: Target,
    /// By whom, and for whom.
    #[n(3)]
    pub user: OpaqueId,
    /// Why, in the user's words.
    #[n(4)]
    pub justification: String,
    /// Whether it gives nothing.
    #[n(5)]
    pub rehearsal: bool,
    /// The first millisecond of effect.
    #[n(6)]
    pub starts_at: Millis,
    /// The first millisecond without effect, unless it was ended before.
    #[n(7)]
    pub expires_at: Millis,
    /// When it was ended before its time.
    #[n(8)]
    pub ended_at: Option<Millis>,
}
