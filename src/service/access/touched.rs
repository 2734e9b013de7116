//! Where a call has its effect: the places at which its permission is asked.

use crate::core::decision::{Record, Resource};
use crate::core::id::{Id, OpaqueId};
use crate::core::model::{Key, Member, Role, Row, Scope, Target};
use crate::core::table::Table;

use super::super::proto;

/// What a request names, as it came: it is looked up, not parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// The organization, or nothing in particular.
    Organization,
    /// An account; the organization if none is named.
    Account(String),
    /// A new principal of an account, of the default one if none is named.
    Newcomer {
        /// The account.
        account: String,
        /// The address of a user.
        email: String,
    },
    /// A user.
    User(String),
    /// A service account; the organization if none is named.
    Service(String),
    /// A service account's credential.
    Credential(String),
    /// An object; the organization if none is named.
    Object(String),
    /// Objects.
    Objects(Vec<String>),
    /// A role.
    Role(String),
    /// Roles.
    Roles(Vec<String>),
    /// A new role: tied to this object, if any.
    NewRole(String),
    /// A policy.
    Policy(String),
    /// Where something is held.
    Target(Option<proto::Target>),
}

/// A place, in the words of a question. Empty texts stand for absent ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The account.
    pub account: String,
    /// The object.
    pub object: String,
    /// The record.
    pub record: String,
}

impl Place {
    /// An account.
    pub fn account(id: impl ToString) -> Self {
        Self { account: id.to_string(), ..Self::default() }
    }

    fn object(id: impl ToString) -> Self {
        Self { object: id.to_string(), ..Self::default() }
    }

    /// As a question has it.
    pub fn resource(&self) -> Resource<'_> {
        let record = (!self.record.is_empty()).then(|| Record { id: &self.record, ..Record::default() });
        Resource { account: &self.account, object: &self.object, record }
    }

    fn of_target(target: &Target) -> Self {
        match target {
            Target::Organization => Self::default(),
            Target::Account(id) => Self::account(id),
            Target::Object(id) => Self::object(id),
            Target::Record(object, record) => Self { record: record.to_string(), ..Self::object(object) },
        }
    }

    fn of_role(role: &Role) -> Self {
        match (role.scope, &role.object) {
            (Scope::Object, Some(object)) => Self::object(object),
            _ => Self::default(),
        }
    }

    fn of_member(table: &Table, member: &Member) -> Option<Self> {
        let found = match member {
            Member::User(id) => table.find_user(id),
            Member::Service(id) => table.find_service(id),
            Member::Group(_) => return Some(Self::default()),
        };
        Some(Self::account(table.account_of(&found?)?))
    }

    /// Where a row of `table` has its effect; none if there is no such row.
    pub fn of_row(table: &Table, key: &Key) -> Option<Self> {
        let row = table.row(key)?;
        Some(match &row {
            Row::Settings(_)
            | Row::Account(_)
            | Row::Permission(_)
            | Row::Group(_)
            | Row::SafelistElement(_)
            | Row::Separation(_) => Self::default(),
            Row::Emergency(rule) => Self::of_target(&rule.target),
            Row::Activation(activation) => Self::of_target(&activation.target),
            Row::Object(object) => Self::object(&object.id),
            Row::Role(role) => Self::of_role(role),
            Row::User(user) => Self::account(&user.account),
            Row::Service(service) => Self::account(&service.account),
            Row::Assignment(assignment) => Self::of_target(&assignment.target),
            Row::Grant(grant) => Self::of_target(&grant.target),
            Row::Related(related) => Self::object(&related.object),
            Row::Policy(policy) => Self::object(&policy.object),
            Row::Credential(credential) => Self::of_member(table, &Member::Service(credential.service.clone()))?,
        })
    }
}

fn role(table: &Table, role: &str) -> Option<Place> {
    Id::parse(role).ok().and_then(|role| table.role_row(&role).map(Place::of_role))
}

impl Touched {
    /// The places. What does not exist is looked for at the organization: only who is at home there
    /// hears that it does not.
    pub fn places(&self, table: &Table) -> Vec<Place> {
        let id = |text: &str| Id::parse(text).ok();
        let member = |member: fn(OpaqueId) -> Member, text: &str| {
            OpaqueId::parse(text).ok().and_then(|id| Place::of_member(table, &member(id)))
        };
        let place = match self {
            Self::Organization => None,
            Self::Newcomer { account, email: _ } if account.is_empty() => table.default_account().map(Place::account),
            Self::Account(account) | Self::Newcomer { account, email: _ } => Some(Place::account(account)),
            Self::User(user) => member(Member::User, user),
            Self::Service(service) => member(Member::Service, service),
            Self::Credential(credential) => {
                id(credential).and_then(|credential| Place::of_row(table, &Key::Credential(credential)))
            }
            Self::Object(object) | Self::NewRole(object) => Some(Place::object(object)),
            Self::Objects(objects) => return objects.iter().map(Place::object).collect(),
            Self::Role(role) => self::role(table, role),
            Self::Roles(roles) => {
                return roles.iter().map(|role| self::role(table, role).unwrap_or_default()).collect();
            }
            Self::Policy(policy) => id(policy).and_then(|policy| Place::of_row(table, &Key::Policy(policy))),
            Self::Target(target) => target.as_ref().map(|target| {
                let proto::Target { account, object, record } = target.clone();
                Place { account, object, record }
            }),
        };
        vec![place.unwrap_or_default()]
    }

    /// Who is to be invited.
    pub fn invitee(&self) -> &str {
        match self {
            Self::Newcomer { account: _, email } => email,
            _ => "",
        }
    }
}
