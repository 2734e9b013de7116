//! Users, service accounts, their credentials, and groups.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::{Millis, Value};
use crate::core::id::{Domain, Email, Id, OpaqueId};

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

impl User {
    /// The statuses that it can become (rule 2.2). An inactive one becomes what it was before.
    #[must_use]
    pub fn may_become(&self) -> &'static [Status] {
        match (self.status, self.status_before) {
            (Status::Invited | Status::Limited, _) => &[Status::Active, Status::Inactive],
            (Status::Active, _) => &[Status::Limited, Status::Inactive],
            (Status::Inactive, Some(Status::Active)) => &[Status::Active],
            (Status::Inactive, Some(Status::Limited)) => &[Status::Limited],
            (Status::Inactive, _) => &[],
        }
    }
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
