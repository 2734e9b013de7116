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

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::id::{Domain, Email, Id, OpaqueId, Pattern, PermissionName};

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

/// A user's status (rule 2.2). Service accounts are only ever `Active` or `Inactive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Status {
    /// Registration is open.
    #[n(0)]
    Invited,
    /// May act.
    #[n(1)]
    Active,
    /// May act through the e-mail channel only.
    #[n(2)]
    Limited,
    /// May not act.
    #[n(3)]
    Inactive,
}

impl Status {
    /// Its name in files and in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Active => "active",
            Self::Limited => "limited",
            Self::Inactive => "inactive",
        }
    }
}

/// Whether a user belongs to the organization or comes from outside (rule 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum UserKind {
    /// Of the organization.
    #[n(0)]
    Internal,
    /// From outside.
    #[n(1)]
    External,
}

/// The level from which a permission takes effect (rule 3.1), ordered from narrow to wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Level {
    /// From object or record targets upward: the default.
    #[n(0)]
    Object,
    /// From account targets upward.
    #[n(1)]
    Account,
    /// From the organization only.
    #[n(2)]
    Organization,
}

/// The shipped catalogue and roles that an organization starts with (rules 3.5, 3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Preset {
    /// Only what admin calls check.
    #[n(0)]
    None,
    /// The workspace product.
    #[n(1)]
    Workspace,
    /// The integration product.
    #[n(2)]
    Integration,
}

/// One of the organization's e-mail domains and whom it makes its users (rule 2.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct EmailDomain {
    /// The domain, in lower case.
    #[n(0)]
    pub domain: Domain,
    /// The kind of user that an address in this domain makes.
    #[n(1)]
    pub audience: UserKind,
}

/// Who may invite whom (rule 7.1).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum InvitePolicy {
    /// Holders of `organization.admin` only.
    #[n(0)]
    AdminsOnly,
    /// Any address.
    #[n(1)]
    AnyDomain,
    /// Addresses in these domains, while they are the organization's.
    #[n(2)]
    AllowedDomains(#[n(0)] Vec<Domain>),
}

/// The organization itself.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Settings {
    /// For people.
    #[n(0)]
    pub display_name: String,
    /// The super-organization it belongs to (rule 1.1).
    #[n(1)]
    pub super_organization: Option<Id>,
    /// What it started with. Fixed at creation.
    #[n(2)]
    pub preset: Preset,
    /// Its e-mail domains, sorted, each once.
    #[n(3)]
    pub email_domains: Vec<EmailDomain>,
    /// Who may invite.
    #[n(4)]
    pub invite_policy: InvitePolicy,
    /// Whether a verified sign-on of an unknown user of one of its domains creates the user (2.4).
    #[n(5)]
    pub auto_create_unknown_users: bool,
    /// How old, in milliseconds, an external user's authentication may be (rule 4.3).
    #[n(6)]
    pub external_reauthentication_ms: Option<Millis>,
    /// Declared user attributes: name to type (FILES.md `user_attributes`).
    #[n(7)]
    pub user_attributes: BTreeMap<String, FieldType>,
}

/// A part of an organization to which users and records belong (rule 1.2).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Account {
    /// Its id.
    #[n(0)]
    pub id: Id,
    /// Whether it is the default account: exactly one is.
    #[n(1)]
    pub default: bool,
    /// For people; may be empty.
    #[n(2)]
    pub display_name: String,
}

/// One of the organization's own permissions (rule 3.1).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Permission {
    /// Two or more dot-separated segments.
    #[n(0)]
    pub name: PermissionName,
    /// Other names, accepted wherever a permission is named. Sorted.
    #[n(1)]
    pub aliases: Vec<PermissionName>,
    /// The level from which it takes effect.
    #[n(2)]
    pub level: Level,
    /// On a record: the record must be visible too (rule 4.7).
    #[n(3)]
    pub requires_visibility: bool,
    /// On a record: the principal must be an approver of it (rule 4.7).
    #[n(4)]
    pub requires_approver: bool,
    /// The permission asked instead on a record that the principal does not own (rule 4.6).
    #[n(5)]
    pub when_not_owner: Option<PermissionName>,
}

/// What an object is (rule 1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum ObjectKind {
    /// An application.
    #[n(0)]
    App,
    /// A connector or a part of one.
    #[n(1)]
    Element,
    /// A task.
    #[n(2)]
    Task,
    /// A workflow.
    #[n(3)]
    Workflow,
}

/// The declared type of a record field or a user attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum FieldType {
    /// Text.
    #[n(0)]
    String,
    /// A 64-bit integer.
    #[n(1)]
    Int,
    /// A 64-bit float.
    #[n(2)]
    Double,
    /// True or false.
    #[n(3)]
    Bool,
    /// An instant.
    #[n(4)]
    Timestamp,
    /// A list of a scalar type.
    #[n(5)]
    List(#[n(0)] Box<FieldType>),
}

/// To whom an element is private (rule 1.3).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum PrivateTo {
    /// To the principals of one account.
    #[n(0)]
    Account(#[n(0)] Id),
    /// To one user.
    #[n(1)]
    User(#[n(0)] OpaqueId),
}

/// An app, element, task or workflow (rule 1.3).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Object {
    /// Its id.
    #[n(0)]
    pub id: Id,
    /// What it is.
    #[n(1)]
    pub kind: ObjectKind,
    /// For people; may be empty.
    #[n(2)]
    pub display_name: String,
    /// Declared record fields: name to type.
    #[n(3)]
    pub fields: BTreeMap<String, FieldType>,
    /// For an element: to whom it is private.
    #[n(4)]
    pub private_to: Option<PrivateTo>,
}

/// An attribute's value.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Value {
    /// Known to be nothing.
    #[n(0)]
    Null,
    /// True or false.
    #[n(1)]
    Bool(#[n(0)] bool),
    /// A whole number.
    #[n(2)]
    Int(#[n(0)] i64),
    /// A finite number.
    #[n(3)]
    Double(#[n(0)] f64),
    /// Text.
    #[n(4)]
    String(#[n(0)] String),
    /// An instant.
    #[n(5)]
    Timestamp(#[n(0)] Millis),
    /// A list of scalars.
    #[n(6)]
    List(#[n(0)] Vec<Value>),
}

/// A person (rule 2.1).
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct User {
    /// Its id.
    #[n(0)]
    pub id: OpaqueId,
    /// Unique in the organization, compared case-insensitively.
    #[n(1)]
    pub email: Email,
    /// For people; may be empty.
    #[n(2)]
    pub first_name: String,
    /// For people; may be empty.
    #[n(3)]
    pub last_name: String,
    /// Of the organization, or from outside.
    #[n(4)]
    pub kind: UserKind,
    /// The account it belongs to.
    #[n(5)]
    pub account: Id,
    /// A user id.
    #[n(6)]
    pub manager: Option<OpaqueId>,
    /// The current status.
    #[n(7)]
    pub status: Status,
    /// What `activate` restores: `Active` or `Limited`, for an inactive user only.
    #[n(8)]
    pub status_before: Option<Status>,
    /// The groups it was invited through, for an invited user only (rule 2.3). Sorted, each once.
    #[n(9)]
    pub pending_groups: Vec<Id>,
    /// Typed attributes.
    #[n(10)]
    pub attributes: BTreeMap<String, Value>,
    /// The manual groups it is a direct member of. Sorted, each once.
    #[n(11)]
    pub groups: Vec<Id>,
    /// The identities bound to it, of which files do not speak. Sorted, each once.
    #[n(12)]
    #[cbor(default)]
    pub sign_ons: Vec<SignOn>,
}

/// An identity that a login service verified (rule 2.4); it is bound to one user at most.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct SignOn {
    /// Who vouches for it.
    #[n(0)]
    pub issuer: String,
    /// The issuer's name for the user.
    #[n(1)]
    pub subject: String,
}

impl std::fmt::Display for SignOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.subject, self.issuer)
    }
}

/// An identity for programs (rule 2.5).
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct ServiceAccount {
    /// Its id, in a name space of its own.
    #[n(0)]
    pub id: OpaqueId,
    /// The account it belongs to.
    #[n(1)]
    pub account: Id,
    /// `Active` or `Inactive`.
    #[n(2)]
    pub status: Status,
    /// Typed attributes.
    #[n(3)]
    pub attributes: BTreeMap<String, Value>,
    /// The manual groups it is a direct member of. Sorted, each once.
    #[n(4)]
    pub groups: Vec<Id>,
}

/// What makes somebody a member of a group (rule 2.6).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum GroupKind {
    /// Members are added and removed.
    #[n(0)]
    Manual,
    /// Every active user in one of these e-mail domains, while the organization has the domain.
    /// Sorted, each once; others than the organization's are inert.
    #[n(1)]
    Dynamic(#[n(0)] Vec<Domain>),
    /// Kept by the system; which one, its id says.
    #[n(2)]
    System,
}

/// What a group may be used for (rule 2.9). All off until set.
#[allow(clippy::struct_excessive_bools, reason = "five independent marks, as the file has them")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Visibility {
    /// As the member of a `mentioned` relation.
    #[n(0)]
    pub mentionable: bool,
    /// As the member of a `watcher` relation.
    #[n(1)]
    pub watchable: bool,
    /// As the member of an `assignee` relation.
    #[n(2)]
    pub assignable: bool,
    /// As the member of an `approver` relation.
    #[n(3)]
    pub approver: bool,
    /// In an `allow` data-access policy.
    #[n(4)]
    pub data_access: bool,
}

/// A group (rules 2.6 to 2.9). A system group has a row only once its visibility was changed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Group {
    /// Its id.
    #[n(0)]
    pub id: Id,
    /// For people; may be empty.
    #[n(1)]
    pub name: String,
    /// Manual, dynamic or system.
    #[n(2)]
    pub kind: GroupKind,
    /// A picture of it; may be empty.
    #[n(3)]
    pub photo_uri: String,
    /// What it may be used for.
    #[n(4)]
    pub visibility: Visibility,
    /// The manual groups it is a direct member of. Sorted, each once.
    #[n(5)]
    pub groups: Vec<Id>,
}

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
    /// For a system role: assigned by a person, not by rule (rule 3.6).
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

/// An entry of the organization's safelist (rule 7.2).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SafelistElement {
    /// An element of the organization.
    #[n(0)]
    pub element: Id,
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

/// A token by which a service account authenticates (rule 2.5). Of the token itself only its hash
/// is kept. One that ended stays, so that it can be told when and by what.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Credential {
    /// Made by the server.
    #[n(0)]
    pub id: Id,
    /// Whose.
    #[n(1)]
    pub service: OpaqueId,
    /// For people; may be empty.
    #[n(2)]
    pub display_name: String,
    /// SHA-256 of the token.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub hash: [u8; 32],
    /// When it was made.
    #[n(4)]
    pub created_at: Millis,
    /// The first millisecond in which it is not valid any more.
    #[n(5)]
    pub expires_at: Option<Millis>,
    /// When it was revoked.
    #[n(6)]
    pub revoked_at: Option<Millis>,
    /// The credential that replaced it.
    #[n(7)]
    pub rotated_to: Option<Id>,
    /// Whether its bearer is trusted to act on behalf of users (rule 7.6).
    #[n(8)]
    pub acts_for_users: bool,
}

impl Credential {
    /// Whether it authenticates at `now`.
    #[inline]
    #[must_use]
    pub fn is_valid(&self, now: Millis) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
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
