//! Rows of an applied or exported organization.

use crate::core::id::Id;
use crate::core::model::{
    Account, Assignment, EmergencyRule, Grant, Group, Member, Object, Permission, Policy, Related, Role, Row,
    Separation, Settings, User,
};

use super::super::fields::Fields;
use super::super::proto::{self, row::Kind};
use super::principal::{ServiceDraft, UserDraft, service, to_service, to_user, user};
use super::{data_access, emergency, group, organization, relation, role, separation};

/// A row as it came, before what it leaves open is known.
#[derive(Debug)]
pub enum Staged {
    /// The organization.
    Settings(Id, Settings),
    /// An account.
    Account(Account),
    /// A permission.
    Permission(Permission),
    /// An object.
    Object(Object),
    /// A role.
    Role(Role),
    /// A group.
    Group(Group),
    /// A user.
    User(UserDraft),
    /// A service account.
    Service(ServiceDraft),
    /// An assignment.
    Assignment(Assignment),
    /// Grants that came in one message.
    Grants(Vec<Grant>),
    /// A membership.
    Membership(Id, Member),
    /// A data-access policy.
    Policy(Policy),
    /// A relation to a record.
    Related(Related),
    /// An entry of the safelist.
    SafelistElement(Id),
    /// A separation constraint.
    Separation(Separation),
    /// A rule of emergency access.
    Emergency(EmergencyRule),
}

/// One row.
pub fn row(f: &mut Fields, message: proto::Row) -> Option<Staged> {
    let proto::Row { kind } = message;
    match kind {
        None => {
            f.refuse("", "has no kind of entity");
            None
        }
        Some(Kind::Organization(m)) => f.within("organization", |f| {
            let id = f.parse("id", &m.id);
            let settings = organization::settings(f, m);
            Some(Staged::Settings(id?, settings?))
        }),
        Some(Kind::Account(m)) => f.within("account", |f| organization::account(f, m)).map(Staged::Account),
        Some(Kind::Permission(m)) => f.within("permission", |f| organization::permission(f, m)).map(Staged::Permission),
        Some(Kind::Object(m)) => f.within("object", |f| organization::object(f, m)).map(Staged::Object),
        Some(Kind::Role(m)) => f.within("role", |f| role::role(f, m)).map(Staged::Role),
        Some(Kind::Group(m)) => f.within("group", |f| group::group(f, m)).map(Staged::Group),
        Some(Kind::User(m)) => f.within("user", |f| user(f, m)).map(Staged::User),
        Some(Kind::ServiceAccount(m)) => f.within("service_account", |f| service(f, m)).map(Staged::Service),
        Some(Kind::Assignment(m)) => f.within("assignment", |f| role::assignment(f, m)).map(Staged::Assignment),
        Some(Kind::Grant(m)) => f.within("grant", |f| role::grants(f, m)).map(Staged::Grants),
        Some(Kind::Membership(m)) => f.within("membership", |f| membership(f, &m)),
        Some(Kind::Policy(m)) => f.within("policy", |f| data_access::policy(f, m)).map(Staged::Policy),
        Some(Kind::Relation(m)) => f.within("relation", |f| relation::related(f, m)).map(Staged::Related),
        Some(Kind::SafelistElement(m)) => f.within("safelist_element", |f| {
            let proto::SafelistElement { element } = m;
            f.parse("element", &element).map(Staged::SafelistElement)
        }),
        Some(Kind::SeparationConstraint(m)) => {
            f.within("separation_constraint", |f| separation::constraint(f, m)).map(Staged::Separation)
        }
        Some(Kind::EmergencyRule(m)) => f.within("emergency_rule", |f| emergency::rule(f, m)).map(Staged::Emergency),
        Some(Kind::EmergencyActivation(_)) => {
            f.refuse("emergency_activation", "is watched only, never applied");
            None
        }
        Some(Kind::Credential(_)) => {
            f.refuse("credential", "is in the activity log only, never applied");
            None
        }
    }
}

fn membership(f: &mut Fields, message: &proto::Membership) -> Option<Staged> {
    let proto::Membership { group, member } = message;
    let (group, member) = (f.parse("group", group), f.parse("member", member));
    Some(Staged::Membership(group?, member?))
}

/// A row as a message. Credentials have none: they are neither exported nor watched.
pub fn to_row(organization: &Id, row: Row) -> Option<proto::Row> {
    let kind = match row {
        Row::Settings(settings) => Kind::Organization(organization::to_organization(organization, &settings)),
        Row::Account(account) => Kind::Account(organization::to_account(&account)),
        Row::Permission(permission) => Kind::Permission(organization::to_permission(&permission, false)),
        Row::Object(object) => Kind::Object(organization::to_object(&object)),
        Row::Role(role) => Kind::Role(role::to_role(&role)),
        Row::Group(group) => Kind::Group(group::to_group(group)),
        // The identities bound to it do not leave either.
        Row::User(user) => Kind::User(to_user(User { sign_ons: Vec::new(), ..user })),
        Row::Service(service) => Kind::ServiceAccount(to_service(service)),
        Row::Assignment(assignment) => Kind::Assignment(role::to_assignment(&assignment)),
        Row::Grant(grant) => Kind::Grant(role::to_grant(&grant)),
        Row::Related(related) => Kind::Relation(relation::to_related(&related)),
        Row::Policy(policy) => Kind::Policy(data_access::to_policy(&policy)),
        Row::SafelistElement(entry) => {
            Kind::SafelistElement(proto::SafelistElement { element: entry.element.to_string() })
        }
        Row::Separation(row) => Kind::SeparationConstraint(separation::to_constraint(&row)),
        Row::Emergency(rule) => Kind::EmergencyRule(emergency::to_rule(&rule)),
        Row::Activation(activation) => Kind::EmergencyActivation(emergency::to_activation(&activation)),
        Row::Credential(_) => return None,
    };
    Some(proto::Row { kind: Some(kind) })
}

/// A membership as a message.
pub fn to_membership(group: &Id, member: &Member) -> proto::Row {
    let membership = proto::Membership { group: group.to_string(), member: member.to_string() };
    proto::Row { kind: Some(Kind::Membership(membership)) }
}

/// A row and the memberships that stand in it, as messages.
#[must_use]
pub fn messages(organization: &Id, row: &Row) -> Vec<proto::Row> {
    let (member, groups) = match row {
        Row::Group(group) => (Member::Group(group.id.clone()), group.groups.as_slice()),
        Row::User(user) => (Member::User(user.id.clone()), user.groups.as_slice()),
        Row::Service(service) => (Member::Service(service.id.clone()), service.groups.as_slice()),
        _ => return to_row(organization, row.clone()).into_iter().collect(),
    };
    let memberships = groups.iter().map(|group| to_membership(group, &member));
    to_row(organization, row.clone()).into_iter().chain(memberships).collect()
}
