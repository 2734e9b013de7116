//! Users and service accounts.

use std::collections::BTreeMap;

use prost_types::FieldMask;

use crate::core::change::etag;
use crate::core::domains::implied_kind;
use crate::core::id::{Email, Id, OpaqueId};
use crate::core::model::{DEFAULT_ACCOUNT, EmailDomain, Row, ServiceAccount, SignOn, Status, User, UserKind, Value};
use crate::core::table::Table;

use super::super::fields::Fields;
use super::super::mask::{Masked, Patch};
use super::super::proto;
use super::organization::{to_user_kind, user_kind};
use super::value::{to_value, value};

/// What stands in for what a principal's message leaves open.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The default account.
    pub account: Option<Id>,
    /// The organization's e-mail domains.
    pub email_domains: Vec<EmailDomain>,
}

impl Defaults {
    /// Those of a version.
    pub fn of(table: &Table) -> Self {
        Self {
            account: table.default_account().cloned(),
            email_domains: table.settings().map(|s| s.email_domains.clone()).unwrap_or_default(),
        }
    }

    /// Rule 2.1: internal if the address is in an internal domain of the organization.
    pub fn kind(&self, email: &Email) -> UserKind {
        implied_kind(&self.email_domains, email)
    }

    fn account(&self, given: Option<Id>) -> Option<Id> {
        given.or_else(|| self.account.clone()).or_else(|| Id::parse(DEFAULT_ACCOUNT).ok())
    }
}

/// The status of a principal; none if it is not given.
pub fn status(f: &mut Fields, name: &str, status: i32) -> Option<Option<Status>> {
    Some(match f.choice(name, status)? {
        None | Some(proto::PrincipalStatus::Unspecified) => None,
        Some(proto::PrincipalStatus::Invited) => Some(Status::Invited),
        Some(proto::PrincipalStatus::Active) => Some(Status::Active),
        Some(proto::PrincipalStatus::Limited) => Some(Status::Limited),
        Some(proto::PrincipalStatus::Inactive) => Some(Status::Inactive),
    })
}

fn to_status(status: Status) -> i32 {
    match status {
        Status::Invited => proto::PrincipalStatus::Invited,
        Status::Active => proto::PrincipalStatus::Active,
        Status::Limited => proto::PrincipalStatus::Limited,
        Status::Inactive => proto::PrincipalStatus::Inactive,
    }
    .into()
}

/// Attributes of a principal.
pub fn attributes(f: &mut Fields, attributes: BTreeMap<String, proto::Value>) -> Option<BTreeMap<String, Value>> {
    f.map("attributes", attributes, value)
}

/// A user, with what its message leaves open.
#[derive(Debug)]
pub struct UserDraft {
    id: OpaqueId,
    email: Email,
    first_name: String,
    last_name: String,
    kind: Option<UserKind>,
    account: Option<Id>,
    manager: Option<OpaqueId>,
    status: Option<Status>,
    status_before: Option<Status>,
    pending_groups: Vec<Id>,
    attributes: BTreeMap<String, Value>,
}

impl UserDraft {
    /// Its id.
    pub fn id(&self) -> &OpaqueId {
        &self.id
    }

    /// A user as a file has it: not given, the status is active.
    pub fn resolve(self, defaults: &Defaults, groups: Vec<Id>) -> Option<User> {
        let kind = self.kind.unwrap_or_else(|| defaults.kind(&self.email));
        Some(User {
            kind,
            account: defaults.account(self.account)?,
            id: self.id,
            email: self.email,
            first_name: self.first_name,
            last_name: self.last_name,
            manager: self.manager,
            status: self.status.unwrap_or(Status::Active),
            status_before: self.status_before,
            pending_groups: self.pending_groups,
            attributes: self.attributes,
            groups,
            sign_ons: Vec::new(),
        })
    }

    /// A user as a call creates it: status and memberships are not the caller's to say.
    pub fn create(self, defaults: &Defaults, status: Status, pending_groups: Vec<Id>) -> Option<User> {
        let draft = Self { status: Some(status), status_before: None, pending_groups, ..self };
        draft.resolve(defaults, Vec::new())
    }
}

/// A user of which id and e-mail must be given.
pub fn user(f: &mut Fields, message: proto::User) -> Option<UserDraft> {
    let proto::User {
        id,
        email,
        first_name,
        last_name,
        kind,
        account,
        manager,
        status,
        status_before,
        pending_groups,
        attributes,
        sign_ons,
        etag: _,
    } = message;
    if !sign_ons.is_empty() {
        f.refuse("sign_ons", "are bound by `ProvisionUser`");
    }
    let (id, email) = (f.parse("id", &id), f.parse("email", &email));
    let (kind, account) = (user_kind(f, "kind", kind), f.parse_optional("account", &account));
    let manager = f.parse_optional("manager", &manager);
    let (status, status_before) = (self::status(f, "status", status), self::status(f, "status_before", status_before));
    let pending_groups = f.parse_all("pending_groups", &pending_groups);
    let attributes = self::attributes(f, attributes);
    Some(UserDraft {
        id: id?,
        email: email?,
        first_name,
        last_name,
        kind: kind?,
        account: account?,
        manager: manager?,
        status: status?,
        status_before: status_before?,
        pending_groups: pending_groups?,
        attributes: attributes?,
    })
}

/// An update of a user.
pub fn user_patch(
    f: &mut Fields,
    message: Option<proto::User>,
    mask: Option<FieldMask>,
) -> Option<(OpaqueId, Patch<User>)> {
    let names_sign_ons = mask.as_ref().is_some_and(|m| m.paths.iter().any(|p| p == "sign_ons"));
    let mut m = Masked::new(mask);
    let id = f.message("user", message, |f, message| {
        // Status and pending groups are read only here: what is sent is what was read.
        let proto::User {
            id,
            email,
            first_name,
            last_name,
            kind,
            account,
            manager,
            status: _,
            status_before: _,
            pending_groups: _,
            attributes,
            sign_ons,
            etag: _,
        } = message;
        // Only where they are named: whoever sends back what was read means to change something else.
        if names_sign_ons {
            m.set("sign_ons", true, || f.list("sign_ons", sign_ons, sign_on), |u: &mut User, v, _| u.sign_ons = v);
        }
        m.set("email", !email.is_empty(), || f.parse("email", &email), to_email);
        m.set("first_name", !first_name.is_empty(), || Some(first_name), |u, v, _| u.first_name = v);
        m.set("last_name", !last_name.is_empty(), || Some(last_name), |u, v, _| u.last_name = v);
        m.set(
            "kind",
            kind != 0,
            || user_kind(f, "kind", kind),
            |u, v, table| u.kind = v.unwrap_or_else(|| Defaults::of(table).kind(&u.email)),
        );
        m.set(
            "account",
            !account.is_empty(),
            || f.parse_optional("account", &account),
            |u, v, table| {
                if let Some(account) = Defaults::of(table).account(v) {
                    u.account = account;
                }
            },
        );
        m.set("manager", !manager.is_empty(), || f.parse_optional("manager", &manager), |u, v, _| u.manager = v);
        let present = !attributes.is_empty();
        m.set("attributes", present, || self::attributes(f, attributes), |u, v, _| u.attributes = v);
        f.parse("id", &id)
    });
    id.zip(m.finish(f))
}

/// Gives a user another address, and the kind that follows from it unless another was given (rule 2.1).
fn to_email(user: &mut User, email: Email, table: &Table) {
    let defaults = Defaults::of(table);
    if user.kind == defaults.kind(&user.email) {
        user.kind = defaults.kind(&email);
    }
    user.email = email;
}

/// A user as a message.
pub fn to_user(user: User) -> proto::User {
    let row = Row::User(user);
    let etag = etag(&row);
    let Row::User(user) = row else { return proto::User::default() };
    let User {
        id,
        email,
        first_name,
        last_name,
        kind,
        account,
        manager,
        status,
        status_before,
        pending_groups,
        attributes,
        groups: _,
        sign_ons,
    } = user;
    proto::User {
        id: id.to_string(),
        email: email.to_string(),
        first_name,
        last_name,
        kind: to_user_kind(kind),
        account: account.to_string(),
        manager: manager.map(|m| m.to_string()).unwrap_or_default(),
        status: to_status(status),
        status_before: status_before.map(to_status).unwrap_or_default(),
        pending_groups: pending_groups.iter().map(Id::to_string).collect(),
        attributes: attributes.into_iter().map(|(k, v)| (k, to_value(v))).collect(),
        sign_ons: sign_ons.into_iter().map(to_sign_on).collect(),
        etag,
    }
}

/// An identity, both parts of which must be given.
pub fn sign_on(f: &mut Fields, message: proto::SignOn) -> Option<SignOn> {
    let proto::SignOn { issuer, subject } = message;
    let sign_on = SignOn { issuer, subject };
    if sign_on.is_sound() {
        return Some(sign_on);
    }
    f.refuse("", "needs an issuer of at most 2,048 bytes and a subject of at most 256, without control characters");
    None
}

fn to_sign_on(sign_on: SignOn) -> proto::SignOn {
    let SignOn { issuer, subject } = sign_on;
    proto::SignOn { issuer, subject }
}

/// The user of that id.
pub fn find_user(table: &Table, id: &OpaqueId) -> Option<proto::User> {
    table.user(&table.find_user(id)?).map(to_user)
}

/// A service account, with what its message leaves open.
#[derive(Debug)]
pub struct ServiceDraft {
    id: OpaqueId,
    account: Option<Id>,
    status: Option<Status>,
    attributes: BTreeMap<String, Value>,
}

impl ServiceDraft {
    /// Its id.
    pub fn id(&self) -> &OpaqueId {
        &self.id
    }

    /// A service account as a file has it: not given, the status is active.
    pub fn resolve(self, defaults: &Defaults, groups: Vec<Id>) -> Option<ServiceAccount> {
        let Self { id, account, status, attributes } = self;
        let account = defaults.account(account)?;
        Some(ServiceAccount { id, account, status: status.unwrap_or(Status::Active), attributes, groups })
    }

    /// A service account as a call creates it: active.
    pub fn create(self, defaults: &Defaults) -> Option<ServiceAccount> {
        Self { status: None, ..self }.resolve(defaults, Vec::new())
    }
}

/// A service account.
pub fn service(f: &mut Fields, message: proto::ServiceAccount) -> Option<ServiceDraft> {
    let proto::ServiceAccount { id, account, status, attributes, etag: _ } = message;
    let (id, account) = (f.parse("id", &id), f.parse_optional("account", &account));
    let (status, attributes) = (self::status(f, "status", status), self::attributes(f, attributes));
    Some(ServiceDraft { id: id?, account: account?, status: status?, attributes: attributes? })
}

/// An update of a service account.
pub fn service_patch(
    f: &mut Fields,
    message: Option<proto::ServiceAccount>,
    mask: Option<FieldMask>,
) -> Option<(OpaqueId, Patch<ServiceAccount>)> {
    let mut m = Masked::new(mask);
    let id = f.message("service_account", message, |f, message| {
        let proto::ServiceAccount { id, account, status: _, attributes, etag: _ } = message;
        let present = !account.is_empty();
        m.set(
            "account",
            present,
            || f.parse_optional("account", &account),
            |s: &mut ServiceAccount, v, table| {
                if let Some(account) = Defaults::of(table).account(v) {
                    s.account = account;
                }
            },
        );
        let present = !attributes.is_empty();
        m.set("attributes", present, || self::attributes(f, attributes), |s, v, _| s.attributes = v);
        f.parse("id", &id)
    });
    id.zip(m.finish(f))
}

/// A service account as a message.
pub fn to_service(service: ServiceAccount) -> proto::ServiceAccount {
    let row = Row::Service(service);
    let etag = etag(&row);
    let Row::Service(service) = row else { return proto::ServiceAccount::default() };
    let ServiceAccount { id, account, status, attributes, groups: _ } = service;
    proto::ServiceAccount {
        id: id.to_string(),
        account: account.to_string(),
        status: to_status(status),
        attributes: attributes.into_iter().map(|(k, v)| (k, to_value(v))).collect(),
        etag,
    }
}

/// The service account of that id.
pub fn find_service(table: &Table, id: &OpaqueId) -> Option<proto::ServiceAccount> {
    table.service(&table.find_service(id)?).map(to_service)
}
