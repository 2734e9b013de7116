//! What an organization is made of besides people and what they may do.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::{Millis, UserKind};
use crate::core::id::{Domain, Id, OpaqueId, PermissionName};

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

/// An entry of the organization's safelist (rule 7.2).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SafelistElement {
    /// An element of the organization.
    #[n(0)]
    pub element: Id,
}
