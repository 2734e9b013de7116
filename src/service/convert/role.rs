//! Roles, assignments and grants.

use prost_types::FieldMask;

use crate::core::change::etag;
use crate::core::id::{Id, Pattern};
use crate::core::model::{Assignment, Grant, Key, Member, Period, Relation, Role, RoleKind, Row, Scope, Target};
use crate::core::table::Table;

use super::super::fields::Fields;
use super::super::mask::{Masked, Patch};
use super::super::proto;
use super::place;
use super::relation::{required_relation, to_relation};

/// The most permissions that one grant message carries.
pub const MAX_GRANTS: usize = 1_000;

/// The kind of a role; none if it is not given.
pub fn role_kind(f: &mut Fields, kind: i32) -> Option<Option<RoleKind>> {
    Some(match f.choice("kind", kind)? {
        None | Some(proto::RoleKind::Unspecified) => None,
        Some(proto::RoleKind::Managed) => Some(RoleKind::Managed),
        Some(proto::RoleKind::System) => Some(RoleKind::System),
        Some(proto::RoleKind::Custom) => Some(RoleKind::Custom),
    })
}

/// The scope of a role; none if it is not given.
pub fn role_scope(f: &mut Fields, scope: i32) -> Option<Option<Scope>> {
    Some(match f.choice("scope", scope)? {
        None | Some(proto::RoleScope::Unspecified) => None,
        Some(proto::RoleScope::Organization) => Some(Scope::Organization),
        Some(proto::RoleScope::Account) => Some(Scope::Account),
        Some(proto::RoleScope::Object) => Some(Scope::Object),
    })
}

fn required_scope(f: &mut Fields, scope: i32) -> Option<Scope> {
    let scope = role_scope(f, scope)?;
    if scope.is_none() {
        f.refuse("scope", "is required");
    }
    scope
}

fn auto_share(f: &mut Fields, relations: &[i32]) -> Option<Vec<Relation>> {
    f.list("auto_share", relations, |f, relation| required_relation(f, "", *relation))
}

/// A role as a file has it: not given, the kind is custom.
pub fn role(f: &mut Fields, message: proto::Role) -> Option<Role> {
    let proto::Role { id, name, description, kind, scope, object, permissions, auto_share, etag: _ } = message;
    let (id, kind, scope) = (f.parse("id", &id), role_kind(f, kind), required_scope(f, scope));
    let (object, permissions) = (f.parse_optional("object", &object), f.parse_all("permissions", &permissions));
    let auto_share = self::auto_share(f, &auto_share);
    Some(Role {
        id: id?,
        name,
        description,
        kind: kind?.unwrap_or(RoleKind::Custom),
        scope: scope?,
        object: object?,
        permissions: permissions?,
        auto_share: auto_share?,
    })
}

/// An update of a role.
pub fn role_patch(f: &mut Fields, message: Option<proto::Role>, mask: Option<FieldMask>) -> Option<(Id, Patch<Role>)> {
    let mut m = Masked::new(mask);
    let id = f.message("role", message, |f, message| {
        let proto::Role { id, name, description, kind: _, scope, object, permissions, auto_share, etag: _ } = message;
        m.set("name", !name.is_empty(), || Some(name), |r: &mut Role, v, _| r.name = v);
        m.set("description", !description.is_empty(), || Some(description), |r, v, _| r.description = v);
        m.fixed(scope != 0, || required_scope(f, scope), |r, v, _| r.scope = v);
        m.fixed(!object.is_empty(), || f.parse_optional("object", &object), |r, v, _| r.object = v);
        let present = !permissions.is_empty();
        m.set("permissions", present, || f.parse_all("permissions", &permissions), |r, v, _| r.permissions = v);
        let present = !auto_share.is_empty();
        m.set("auto_share", present, || self::auto_share(f, &auto_share), |r, v, _| r.auto_share = v);
        f.parse("id", &id)
    });
    id.zip(m.finish(f))
}

/// A role as a message.
pub fn to_role(role: &Role) -> proto::Role {
    let etag = etag(&Row::Role(role.clone()));
    let Role { id, name, description, kind, scope, object, permissions, auto_share } = role;
    let kind = match kind {
        RoleKind::Managed => proto::RoleKind::Managed,
        RoleKind::System => proto::RoleKind::System,
        RoleKind::Custom => proto::RoleKind::Custom,
    };
    let scope = match scope {
        Scope::Organization => proto::RoleScope::Organization,
        Scope::Account => proto::RoleScope::Account,
        Scope::Object => proto::RoleScope::Object,
    };
    proto::Role {
        id: id.to_string(),
        name: name.clone(),
        description: description.clone(),
        kind: kind.into(),
        scope: scope.into(),
        object: object.as_ref().map(Id::to_string).unwrap_or_default(),
        permissions: permissions.iter().map(Pattern::to_string).collect(),
        auto_share: auto_share.iter().map(|r| to_relation(*r).into()).collect(),
        etag,
    }
}

/// The role of that id, shipped or own.
pub fn find_role(table: &Table, id: &Id) -> Option<proto::Role> {
    table.role_row(id).map(to_role)
}

/// What identifies an assignment.
pub fn assignment_key(f: &mut Fields, role: &str, member: &str, target: Option<proto::Target>) -> Option<Key> {
    let (role, member, target) = (f.parse("role", role), f.parse("member", member), place::target(f, target));
    Some(Key::Assignment(role?, member?, target?))
}

/// What the rule gives (rule 3.6) is nobody's to write: taken for an assignment it would stay when the rule steps back.
fn refuse_by_rule(f: &mut Fields, by_rule: bool) {
    if by_rule {
        f.refuse("by_rule", "is output only: what is given by rule is not written");
    }
}

/// An assignment.
pub fn assignment(f: &mut Fields, message: proto::Assignment) -> Option<Assignment> {
    let proto::Assignment { role, member, target, period, by_hand, etag: _, by_rule } = message;
    refuse_by_rule(f, by_rule);
    let (role, member) = (f.parse("role", &role), f.parse("member", &member));
    let (target, period) = (place::target(f, target), place::period(f, period));
    Some(Assignment { role: role?, member: member?, target: target?, period: period?, by_hand })
}

/// An update of an assignment.
pub fn assignment_patch(
    f: &mut Fields,
    message: Option<proto::Assignment>,
    mask: Option<FieldMask>,
) -> Option<(Key, Patch<Assignment>)> {
    let mut m = Masked::new(mask);
    let key = f.message("assignment", message, |f, message| {
        let proto::Assignment { role, member, target, period, by_hand: _, etag: _, by_rule } = message;
        refuse_by_rule(f, by_rule);
        let key = assignment_key(f, &role, &member, target);
        let present = period.is_some();
        let Period { starts_at, expires_at } = place::period(f, period)?;
        m.set("period.starts_at", present, || Some(starts_at), |a: &mut Assignment, v, _| a.period.starts_at = v);
        m.set("period.expires_at", present, || Some(expires_at), |a, v, _| a.period.expires_at = v);
        key
    });
    key.zip(m.finish(f))
}

/// An assignment as a message.
pub fn to_assignment(assignment: &Assignment) -> proto::Assignment {
    let etag = etag(&Row::Assignment(assignment.clone()));
    let Assignment { role, member, target, period, by_hand } = assignment;
    proto::Assignment {
        role: role.to_string(),
        member: member.to_string(),
        target: place::to_target(target),
        period: place::to_period(*period),
        by_hand: *by_hand,
        etag,
        by_rule: false,
    }
}

/// What is given by rule (rule 3.6) as a message. It is no row, so there is nothing of which an etag could tell a change.
pub fn to_by_rule(role: &Id, member: &Member, target: &Target) -> proto::Assignment {
    proto::Assignment {
        role: role.to_string(),
        member: member.to_string(),
        target: place::to_target(target),
        by_rule: true,
        ..proto::Assignment::default()
    }
}

/// The assignment of that key.
pub fn find_assignment(table: &Table, key: &Key) -> Option<proto::Assignment> {
    match table.row(key)? {
        Row::Assignment(assignment) => Some(to_assignment(&assignment)),
        _ => None,
    }
}

/// What identifies grants: one for each pattern.
pub fn grant_keys(
    f: &mut Fields,
    permissions: &[String],
    member: &str,
    target: Option<proto::Target>,
) -> Option<Vec<Key>> {
    let (patterns, member, target) = grant_parts(f, permissions, member, target)?;
    Some(patterns.into_iter().map(|p| Key::Grant(p, member.clone(), target.clone())).collect())
}

fn grant_parts(
    f: &mut Fields,
    permissions: &[String],
    member: &str,
    target: Option<proto::Target>,
) -> Option<(Vec<Pattern>, Member, Target)> {
    f.at_most("permissions", permissions.len(), MAX_GRANTS);
    if permissions.is_empty() {
        f.refuse("permissions", "is required");
    }
    let patterns: Option<Vec<Pattern>> = f.parse_all("permissions", permissions);
    let (member, target) = (f.parse("member", member), place::target(f, target));
    let patterns = patterns?;
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = patterns.iter().find(|p| !seen.insert(*p)) {
        f.refuse("permissions", format_args!("has `{twice}` twice"));
    }
    Some((patterns, member?, target?))
}

/// Grants: one for each permission.
pub fn grants(f: &mut Fields, message: proto::Grant) -> Option<Vec<Grant>> {
    let proto::Grant { permissions, member, target, period, etag: _ } = message;
    let parts = grant_parts(f, &permissions, &member, target);
    let period = place::period(f, period);
    let (patterns, member, target) = parts?;
    let period = period?;
    let grant = |permission| Grant { permission, member: member.clone(), target: target.clone(), period };
    Some(patterns.into_iter().map(grant).collect())
}

/// A grant as a message.
pub fn to_grant(grant: &Grant) -> proto::Grant {
    let etag = etag(&Row::Grant(grant.clone()));
    let Grant { permission, member, target, period } = grant;
    proto::Grant {
        permissions: vec![permission.to_string()],
        member: member.to_string(),
        target: place::to_target(target),
        period: place::to_period(*period),
        etag,
    }
}

/// The grant of that key.
pub fn find_grant(table: &Table, key: &Key) -> Option<proto::Grant> {
    match table.row(key)? {
        Row::Grant(grant) => Some(to_grant(&grant)),
        _ => None,
    }
}
