//! What an organization consists of: a set of *rows*.
//!
//! One representation serves everything that handles content: the organization file is read into
//! rows, `ApplyOrganization` streams rows, the store keeps rows, the log of changes holds the rows
//! that a change wrote, and [`crate::core::table::Table`] is what a set of rows looks like to a
//! decision. A row names others by id, so it can be read without anything else; memberships stand
//! in the *member's* row (`groups`), so that adding one member rewrites one row however large the
//! group is. A row is identified by its [`Key`].
//!
//! Rows are encoded in CBOR with numbered fields: a number is never used again for something else,
//! and a field added later is an `Option` or has a default, so that older stores and logs stay
//! readable.

mod access;
mod organization;
mod people;

use minicbor::{Decode, Encode};

use super::id::{Id, OpaqueId, Pattern, PermissionName};

pub use access::{
    Activation, Assignment, Effect, EmergencyRule, Enforcement, Grant, Policy, Related, Relation, Role, RoleKind,
    Scope, Separation,
};
pub use organization::{
    Account, EmailDomain, FieldType, InvitePolicy, Level, Object, ObjectKind, Permission, Preset, PrivateTo,
    SafelistElement, Settings, Value,
};
pub use people::{Credential, Group, GroupKind, ServiceAccount, SignOn, Status, User, UserKind, Visibility};

/// Milliseconds since 1970-01-01T00:00:00Z.
pub type Millis = i64;

/// The account that every organization has from the start, and which is its default one (rule 1.2)
/// until a file says otherwise.
pub const DEFAULT_ACCOUNT: &str = "main";

/// When something has effect: `starts_at <= now < expires_at` (rule 3.4). Absent bounds are open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Period {
    /// The first millisecond of effect.
    #[n(0)]
    pub starts_at: Option<Millis>,
    /// The first millisecond without effect.
    #[n(1)]
    pub expires_at: Option<Millis>,
}

impl Period {
    /// The first millisecond of effect; of an open beginning the first there is.
    #[must_use]
    pub fn starts(&self) -> Millis {
        self.starts_at.unwrap_or(Millis::MIN)
    }

    /// The first millisecond without effect; of an open end the last there is.
    #[must_use]
    pub fn ends(&self) -> Millis {
        self.expires_at.unwrap_or(Millis::MAX)
    }

    /// Whether it has effect at a time.
    #[must_use]
    pub fn includes(&self, now: Millis) -> bool {
        self.starts() <= now && self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether it has no effect any more, at a time and after.
    #[must_use]
    pub fn is_over(&self, now: Millis) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether the other has effect whenever this one has.
    #[must_use]
    pub fn is_within(&self, outer: &Self) -> bool {
        outer.starts() <= self.starts() && self.ends() <= outer.ends()
    }
}

/// Who asks: a user or a service account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrincipalId {
    /// `user:ID`, or a bare id.
    User(OpaqueId),
    /// `service:ID`.
    Service(OpaqueId),
}

/// Who can be in a group, hold a role or a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Member {
    /// `user:ID`
    #[n(0)]
    User(#[n(0)] OpaqueId),
    /// `service:ID`
    #[n(1)]
    Service(#[n(0)] OpaqueId),
    /// `group:ID`
    #[n(2)]
    Group(#[n(0)] Id),
}

/// Where an assignment or a grant has effect (rule 3.4).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Target {
    /// Everything in the organization.
    #[n(0)]
    Organization,
    /// What is in that account.
    #[n(1)]
    Account(#[n(0)] Id),
    /// That object and its records.
    #[n(2)]
    Object(#[n(0)] Id),
    /// One record of an object.
    #[n(3)]
    Record(#[n(0)] Id, #[n(1)] OpaqueId),
}

/// One entity of an organization, whole.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Row {
    /// The organization itself: exactly one.
    #[n(0)]
    Settings(#[n(0)] Settings),
    /// An account.
    #[n(1)]
    Account(#[n(0)] Account),
    /// One of its own permissions.
    #[n(2)]
    Permission(#[n(0)] Permission),
    /// An object.
    #[n(3)]
    Object(#[n(0)] Object),
    /// A role.
    #[n(4)]
    Role(#[n(0)] Role),
    /// A group.
    #[n(5)]
    Group(#[n(0)] Group),
    /// A user.
    #[n(6)]
    User(#[n(0)] User),
    /// A service account.
    #[n(7)]
    Service(#[n(0)] ServiceAccount),
    /// An assignment.
    #[n(8)]
    Assignment(#[n(0)] Assignment),
    /// A grant.
    #[n(9)]
    Grant(#[n(0)] Grant),
    /// A relation to a record.
    #[n(10)]
    Related(#[n(0)] Related),
    /// A data-access policy.
    #[n(11)]
    Policy(#[n(0)] Policy),
    /// A service account's credential.
    #[n(12)]
    Credential(#[n(0)] Credential),
    /// A separation constraint.
    #[n(14)]
    Separation(#[n(0)] Separation),
    /// A rule of emergency access.
    #[n(15)]
    Emergency(#[n(0)] EmergencyRule),
    /// A use of one.
    #[n(16)]
    Activation(#[n(0)] Activation),
    /// An entry of the safelist.
    #[n(17)]
    SafelistElement(#[n(0)] SafelistElement),
}

/// Identifies a [`Row`]. The order of the variants is the order in which rows are loaded: what a
/// row names comes before it, groups and managers among their own kind aside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Key {
    /// The organization itself.
    #[n(0)]
    Settings,
    /// An account.
    #[n(1)]
    Account(#[n(0)] Id),
    /// One of its own permissions.
    #[n(2)]
    Permission(#[n(0)] PermissionName),
    /// An object.
    #[n(3)]
    Object(#[n(0)] Id),
    /// A role.
    #[n(4)]
    Role(#[n(0)] Id),
    /// A group.
    #[n(5)]
    Group(#[n(0)] Id),
    /// A user.
    #[n(6)]
    User(#[n(0)] OpaqueId),
    /// A service account.
    #[n(7)]
    Service(#[n(0)] OpaqueId),
    /// Role, member, target.
    #[n(8)]
    Assignment(#[n(0)] Id, #[n(1)] Member, #[n(2)] Target),
    /// Pattern, member, target.
    #[n(9)]
    Grant(#[n(0)] Pattern, #[n(1)] Member, #[n(2)] Target),
    /// A data-access policy.
    #[n(11)]
    Policy(#[n(0)] Id),
    /// Relation, member, object, record.
    #[n(10)]
    Related(#[n(0)] Relation, #[n(1)] Member, #[n(2)] Id, #[n(3)] OpaqueId),
    /// An entry of the safelist.
    #[n(17)]
    SafelistElement(#[n(0)] Id),
    /// A credential.
    #[n(12)]
    Credential(#[n(0)] Id),
    /// A separation constraint.
    #[n(14)]
    Separation(#[n(0)] Id),
    /// Of a rule of emergency access: role, target.
    #[n(15)]
    Emergency(#[n(0)] Id, #[n(1)] Target),
    /// An activation.
    #[n(16)]
    Activation(#[n(0)] Id),
}

impl Row {
    /// What identifies the row.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Settings(_) => Key::Settings,
            Self::Account(a) => Key::Account(a.id.clone()),
            Self::Permission(p) => Key::Permission(p.name.clone()),
            Self::Object(o) => Key::Object(o.id.clone()),
            Self::Role(r) => Key::Role(r.id.clone()),
            Self::Group(g) => Key::Group(g.id.clone()),
            Self::User(u) => Key::User(u.id.clone()),
            Self::Service(s) => Key::Service(s.id.clone()),
            Self::Assignment(a) => Key::Assignment(a.role.clone(), a.member.clone(), a.target.clone()),
            Self::Grant(g) => Key::Grant(g.permission.clone(), g.member.clone(), g.target.clone()),
            Self::Related(r) => Key::Related(r.relation, r.member.clone(), r.object.clone(), r.record.clone()),
            Self::Policy(p) => Key::Policy(p.id.clone()),
            Self::SafelistElement(s) => Key::SafelistElement(s.element.clone()),
            Self::Credential(c) => Key::Credential(c.id.clone()),
            Self::Separation(s) => Key::Separation(s.id.clone()),
            Self::Emergency(e) => Key::Emergency(e.role.clone(), e.target.clone()),
            Self::Activation(a) => Key::Activation(a.id.clone()),
        }
    }
}

impl Row {
    /// The row with its lists sorted and each item once, as all stored rows are.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        fn tidy<T: Ord>(items: &mut Vec<T>) {
            items.sort();
            items.dedup();
        }
        match &mut self {
            Self::Settings(s) => {
                s.email_domains.sort();
                if let InvitePolicy::AllowedDomains(domains) = &mut s.invite_policy {
                    domains.sort();
                }
            }
            Self::Permission(p) => p.aliases.sort(),
            Self::Role(r) => {
                r.permissions.sort();
                tidy(&mut r.auto_share);
            }
            Self::Group(g) => {
                tidy(&mut g.groups);
                if let GroupKind::Dynamic(domains) = &mut g.kind {
                    domains.sort();
                }
            }
            Self::User(u) => {
                tidy(&mut u.groups);
                tidy(&mut u.pending_groups);
                u.sign_ons.sort();
            }
            Self::Service(s) => tidy(&mut s.groups),
            Self::Policy(p) => p.members.sort(),
            Self::Separation(s) => s.roles.sort(),
            Self::Emergency(e) => e.users.sort(),
            Self::Account(_)
            | Self::Object(_)
            | Self::Assignment(_)
            | Self::Grant(_)
            | Self::Related(_)
            | Self::SafelistElement(_)
            | Self::Credential(_)
            | Self::Activation(_) => {}
        }
        self
    }
}

/// One write of the delta that a change resolves to: the log of changes holds these, and replaying
/// them from the beginning gives the state.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Write {
    /// The row is now this.
    #[n(0)]
    Put(#[n(0)] Row),
    /// There is no such row any more.
    #[n(1)]
    Delete(#[n(0)] Key),
}

impl std::str::FromStr for Member {
    type Err = super::id::IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("user", id)) => Ok(Self::User(OpaqueId::parse(id)?)),
            Some(("service", id)) => Ok(Self::Service(OpaqueId::parse(id)?)),
            Some(("group", id)) => Ok(Self::Group(Id::parse(id)?)),
            _ => Err(super::id::IdError::Member),
        }
    }
}

impl std::fmt::Display for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Service(id) => write!(f, "service:{id}"),
            Self::Group(id) => write!(f, "group:{id}"),
        }
    }
}

impl std::str::FromStr for PrincipalId {
    type Err = super::id::IdError;

    /// `user:ID`, `service:ID`, or a bare user id. A user id that itself begins with `user:` or
    /// `service:` can only be written with its prefix.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("user", id)) => Ok(Self::User(OpaqueId::parse(id)?)),
            Some(("service", id)) => Ok(Self::Service(OpaqueId::parse(id)?)),
            _ => Ok(Self::User(OpaqueId::parse(text)?)),
        }
    }
}

impl std::fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Service(id) => write!(f, "service:{id}"),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Organization => f.write_str("the organization"),
            Self::Account(id) => write!(f, "account `{id}`"),
            Self::Object(id) => write!(f, "object `{id}`"),
            Self::Record(object, id) => write!(f, "record `{id}` of object `{object}`"),
        }
    }
}

impl Key {
    /// The id by which people know the row, for error texts.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Settings => "the organization".to_owned(),
            Self::Account(id) => format!("account `{id}`"),
            Self::Permission(name) => format!("permission `{name}`"),
            Self::Object(id) => format!("object `{id}`"),
            Self::Role(id) => format!("role `{id}`"),
            Self::Group(id) => format!("group `{id}`"),
            Self::User(id) => format!("user `{id}`"),
            Self::Service(id) => format!("service account `{id}`"),
            Self::Assignment(role, member, target) => {
                format!("assignment of role `{role}` to `{member}` at {target}")
            }
            Self::Grant(pattern, member, target) => {
                format!("grant of `{pattern}` to `{member}` at {target}")
            }
            Self::Related(relation, member, object, record) => {
                format!("relation `{relation}` of `{member}` to record `{record}` of object `{object}`")
            }
            Self::Policy(id) => format!("data-access policy `{id}`"),
            Self::SafelistElement(id) => format!("safelist entry `{id}`"),
            Self::Credential(id) => format!("credential `{id}`"),
            Self::Separation(id) => format!("separation constraint `{id}`"),
            Self::Emergency(role, target) => format!("emergency access to role `{role}` at {target}"),
            Self::Activation(id) => format!("activation `{id}`"),
        }
    }
}
