//! Groups.

use prost_types::FieldMask;

use crate::core::change::etag;
use crate::core::id::{Domain, Id};
use crate::core::model::{Group, GroupKind, Row, Visibility};
use crate::core::table::Table;

use super::super::fields::Fields;
use super::super::mask::{Masked, Patch};
use super::super::proto;
use super::organization::domain;

const MAX_DOMAINS: usize = 1_000;

/// The kind of a group; none if it is not given.
pub fn group_kind(f: &mut Fields, kind: i32) -> Option<Option<proto::GroupKind>> {
    f.choice("kind", kind)
}

fn kind(f: &mut Fields, kind: i32, domains: &[String]) -> Option<GroupKind> {
    let domains = self::domains(f, domains);
    let kind = match f.required_choice("kind", kind)? {
        proto::GroupKind::Manual => GroupKind::Manual,
        proto::GroupKind::Dynamic => return domains.map(GroupKind::Dynamic),
        proto::GroupKind::System => GroupKind::System,
        proto::GroupKind::Unspecified => return None,
    };
    if domains?.is_empty() {
        return Some(kind);
    }
    f.refuse("domains", "belong to a dynamic group only");
    None
}

fn domains(f: &mut Fields, domains: &[String]) -> Option<Vec<Domain>> {
    f.at_most("domains", domains.len(), MAX_DOMAINS);
    f.list("domains", domains, |f, d| domain(f, "", d))
}

fn visibility(visibility: Option<proto::Visibility>) -> Visibility {
    let proto::Visibility { mentionable, watchable, assignable, approver, data_access } =
        visibility.unwrap_or_default();
    Visibility { mentionable, watchable, assignable, approver, data_access }
}

/// A group, in no group itself.
pub fn group(f: &mut Fields, message: proto::Group) -> Option<Group> {
    let proto::Group { id, name, kind, domains, photo_uri, visibility, etag: _ } = message;
    let (id, kind) = (f.parse("id", &id), self::kind(f, kind, &domains));
    let visibility = self::visibility(visibility);
    Some(Group { id: id?, name, kind: kind?, photo_uri, visibility, groups: Vec::new() })
}

/// An update of a group.
pub fn group_patch(
    f: &mut Fields,
    message: Option<proto::Group>,
    mask: Option<FieldMask>,
) -> Option<(Id, Patch<Group>)> {
    let mut m = Masked::new(mask);
    let id = f.message("group", message, |f, message| {
        let proto::Group { id, name, kind, domains, photo_uri, visibility, etag: _ } = message;
        m.set("name", !name.is_empty(), || Some(name), |g: &mut Group, v, _| g.name = v);
        m.fixed(
            kind != 0,
            || fixed_kind(f, kind),
            |g, v, _| {
                if std::mem::discriminant(&g.kind) != std::mem::discriminant(&v) {
                    g.kind = v;
                }
            },
        );
        // Domains make a group that is not dynamic one of another kind, which the core refuses.
        m.set(
            "domains",
            !domains.is_empty(),
            || self::domains(f, &domains),
            |g, v, _| {
                if !v.is_empty() || matches!(g.kind, GroupKind::Dynamic(_)) {
                    g.kind = GroupKind::Dynamic(v);
                }
            },
        );
        m.set("photo_uri", !photo_uri.is_empty(), || Some(photo_uri), |g, v, _| g.photo_uri = v);
        let present = visibility.is_some();
        let Visibility { mentionable, watchable, assignable, approver, data_access } = self::visibility(visibility);
        m.set("visibility.mentionable", present, || Some(mentionable), |g, v, _| g.visibility.mentionable = v);
        m.set("visibility.watchable", present, || Some(watchable), |g, v, _| g.visibility.watchable = v);
        m.set("visibility.assignable", present, || Some(assignable), |g, v, _| g.visibility.assignable = v);
        m.set("visibility.approver", present, || Some(approver), |g, v, _| g.visibility.approver = v);
        m.set("visibility.data_access", present, || Some(data_access), |g, v, _| g.visibility.data_access = v);
        f.parse("id", &id)
    });
    id.zip(m.finish(f))
}

fn fixed_kind(f: &mut Fields, kind: i32) -> Option<GroupKind> {
    match f.required_choice("kind", kind)? {
        proto::GroupKind::Manual => Some(GroupKind::Manual),
        proto::GroupKind::Dynamic => Some(GroupKind::Dynamic(Vec::new())),
        proto::GroupKind::System => Some(GroupKind::System),
        proto::GroupKind::Unspecified => None,
    }
}

/// The kind of a group as a message.
pub fn to_group_kind(kind: &GroupKind) -> proto::GroupKind {
    match kind {
        GroupKind::Manual => proto::GroupKind::Manual,
        GroupKind::Dynamic(_) => proto::GroupKind::Dynamic,
        GroupKind::System => proto::GroupKind::System,
    }
}

/// A group as a message.
pub fn to_group(group: Group) -> proto::Group {
    let row = Row::Group(group);
    let etag = etag(&row);
    let Row::Group(group) = row else { return proto::Group::default() };
    let Group { id, name, kind, photo_uri, visibility, groups: _ } = group;
    let Visibility { mentionable, watchable, assignable, approver, data_access } = visibility;
    let domains = match &kind {
        GroupKind::Dynamic(domains) => domains.iter().map(Domain::to_string).collect(),
        GroupKind::Manual | GroupKind::System => Vec::new(),
    };
    proto::Group {
        id: id.to_string(),
        name,
        kind: to_group_kind(&kind).into(),
        domains,
        photo_uri,
        visibility: Some(proto::Visibility { mentionable, watchable, assignable, approver, data_access }),
        etag,
    }
}

/// The group of that id.
pub fn find_group(table: &Table, id: &Id) -> Option<proto::Group> {
    table.group_row(id).map(to_group)
}
