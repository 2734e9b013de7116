//! The long sections: users, service accounts, groups, assignments and grants, one entry at a time.

use std::collections::BTreeMap;

use crate::core::id::{Email, Id, OpaqueId};
use crate::core::model::{
    Assignment, Grant, Group, GroupKind, Key, Member, Period, Row, ServiceAccount, Status, Target, User, UserKind,
    Value, Visibility,
};

use super::error::{Path, Problems, quoted};
use super::fields::{Fields, sorted};
use super::head::{AUDIENCES, parse_domain};
use super::organization::{Reader, SYSTEM_GROUPS, Section};
use super::scalar;
use super::yaml::Node;

pub(super) const STATUSES: [(&str, Status); 4] = [
    ("invited", Status::Invited),
    ("active", Status::Active),
    ("limited", Status::Limited),
    ("inactive", Status::Inactive),
];
const STATUSES_BEFORE: [(&str, Status); 2] = [("active", Status::Active), ("limited", Status::Limited)];
const SERVICE_STATUSES: [(&str, Status); 2] = [("active", Status::Active), ("inactive", Status::Inactive)];

#[derive(Clone, Copy)]
enum Kind {
    Manual,
    Dynamic,
    System,
}

const GROUP_KINDS: [(&str, Kind); 3] = [("manual", Kind::Manual), ("dynamic", Kind::Dynamic), ("system", Kind::System)];

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Flag {
    Mentionable,
    Watchable,
    Assignable,
    Approver,
    DataAccess,
}

pub(super) const FLAGS: [(&str, Flag); 5] = [
    ("mentionable", Flag::Mentionable),
    ("watchable", Flag::Watchable),
    ("assignable", Flag::Assignable),
    ("approver", Flag::Approver),
    ("data_access", Flag::DataAccess),
];

impl Reader {
    pub(super) fn user(&mut self, mut fields: Fields<'_, '_>, item: usize) {
        let path = fields.path;
        let account = self.account(&mut fields);
        let out = &mut self.out;
        let id = fields.required("id", out, OpaqueId::parse);
        let email = fields.required("email", out, Email::parse);
        let first_name = fields.string("first_name", out);
        let last_name = fields.string("last_name", out);
        let kind = fields.choice("kind", out, &AUDIENCES);
        let manager = fields.parsed("manager", out, OpaqueId::parse);
        let status = fields.choice("status", out, &STATUSES).unwrap_or(Status::Active);
        let status_before = fields.choice("status_before", out, &STATUSES_BEFORE);
        let pending_groups = fields.parsed_list("pending_groups", out, Id::parse);
        let attributes = fields.take("attributes").map(|node| {
            let declared = |name: &str| self.declared.get(name);
            attributes(node, path.key("attributes"), out, declared)
        });
        fields.close(out);
        if let Some((manager, at)) = &manager {
            self.refer(Key::User(manager.clone()), *at, path.key("manager"));
        }
        let listed = path.key("pending_groups");
        for (group, at, index) in &pending_groups {
            self.refer(Key::Group(group.clone()), *at, listed.index(*index));
        }
        let Some((id, at)) = id else { return };
        if !self.declare(Key::User(id.clone()), at, (Section::Users, item), path.key("id")) {
            return;
        }
        let (Some((email, _)), Some(account)) = (email, account) else { return };
        let kind = kind.unwrap_or_else(|| {
            let internal = parse_domain(&email.domain()).is_ok_and(|d| self.internal.contains(&d));
            if internal { UserKind::Internal } else { UserKind::External }
        });
        self.keep(Row::User(User {
            id,
            email,
            first_name,
            last_name,
            kind,
            account,
            manager: manager.map(|(id, _)| id),
            status,
            status_before,
            pending_groups: sorted(pending_groups),
            attributes: attributes.unwrap_or_default(),
            groups: Vec::new(),
            sign_ons: Vec::new(),
        }));
    }

    pub(super) fn service_account(&mut self, mut fields: Fields<'_, '_>, item: usize) {
        let path = fields.path;
        let account = self.account(&mut fields);
        let out = &mut self.out;
        let id = fields.required("id", out, OpaqueId::parse);
        let status = fields.choice("status", out, &SERVICE_STATUSES).unwrap_or(Status::Active);
        let attributes = fields
            .take("attributes")
            .map(|node| attributes(node, path.key("attributes"), out, |name| self.declared.get(name)))
            .unwrap_or_default();
        fields.close(out);
        let Some((id, at)) = id else { return };
        let here = (Section::ServiceAccounts, item);
        if self.declare(Key::Service(id.clone()), at, here, path.key("id"))
            && let Some(account) = account
        {
            let groups = Vec::new();
            self.keep(Row::Service(ServiceAccount { id, account, status, attributes, groups }));
        }
    }

    /// The `account` of a user or service account.
    fn account(&mut self, fields: &mut Fields<'_, '_>) -> Option<Id> {
        if !fields.has("account") {
            return self.home();
        }
        let (account, at) = fields.parsed("account", &mut self.out, Id::parse)?;
        self.refer(Key::Account(account.clone()), at, fields.path.key("account"));
        Some(account)
    }

    pub(super) fn group(&mut self, mut fields: Fields<'_, '_>, item: usize) {
        let path = fields.path;
        let out = &mut self.out;
        let id = fields.required("id", out, Id::parse);
        let kind = fields.required_choice("kind", out, &GROUP_KINDS);
        let visibility = visibility(&mut fields, out);
        let Some((id, at)) = id else { return };
        let system = matches!(kind, Some(Kind::System));
        if kind.is_some() && system != SYSTEM_GROUPS.contains(&id.as_str()) {
            let message = if system {
                format!(
                    "{} is no system group: they are `all-users`, `internal-users` and `external-users`",
                    quoted(id.as_str())
                )
            } else {
                format!("{} is the id of a system group", quoted(id.as_str()))
            };
            out.add(at, path.key("id"), message);
        }
        let here = (Section::Groups, item);
        if !self.declare(Key::Group(id.clone()), at, here, path.key("id")) {
            return;
        }
        let Some(kind) = kind else { return };
        if system {
            let name = String::new();
            let photo_uri = String::new();
            let (kind, groups) = (GroupKind::System, Vec::new());
            self.keep(Row::Group(Group { id, name, kind, photo_uri, visibility, groups }));
            for (key, at, _) in fields.rest() {
                let message = "only the visibility of a system group can be given";
                self.out.add(at, path.key(&key), message);
            }
            return;
        }
        let out = &mut self.out;
        let name = fields.string("name", out);
        let photo_uri = fields.string("photo_uri", out);
        let mut members = Vec::new();
        let kind = if matches!(kind, Kind::Dynamic) {
            refuse(&mut fields, "members", "a dynamic group has `domains` and no members", out);
            GroupKind::Dynamic(sorted(fields.parsed_list("domains", out, parse_domain)))
        } else {
            refuse(&mut fields, "domains", "a manual group has `members` and no domains", out);
            members = fields.parsed_list("members", out, str::parse::<Member>);
            GroupKind::Manual
        };
        fields.close(out);
        let groups = Vec::new();
        self.keep(Row::Group(Group { id: id.clone(), name, kind, photo_uri, visibility, groups }));
        let listed = path.key("members");
        for (member, at, index) in members {
            self.join(member_key(member), (&id, item), at, listed.index(index));
        }
    }

    pub(super) fn assignment(&mut self, mut fields: Fields<'_, '_>, item: usize) {
        let path = fields.path;
        let place = fields.at;
        let role = fields.required("role", &mut self.out, Id::parse);
        let member = self.member(&mut fields);
        let target = self.target(&mut fields);
        let period = period(&mut fields, &mut self.out);
        let by_hand = fields.flag("by_hand", &mut self.out);
        fields.close(&mut self.out);
        if let Some((role, at)) = &role {
            self.refer(Key::Role(role.clone()), *at, path.key("role"));
        }
        let (Some((role, _)), Some(member), Some(target)) = (role, member, target) else { return };
        let key = Key::Assignment(role.clone(), member.clone(), target.clone());
        if self.declare(key, place, (Section::Assignments, item), path) {
            self.keep(Row::Assignment(Assignment { role, member, target, period, by_hand }));
        }
    }

    pub(super) fn grant(&mut self, mut fields: Fields<'_, '_>, item: usize) {
        let path = fields.path;
        let place = fields.at;
        let given = fields.has("permissions");
        let permissions = self.patterns(&mut fields);
        if !given {
            fields.missing("permissions", &mut self.out);
        }
        let member = self.member(&mut fields);
        let target = self.target(&mut fields);
        let period = period(&mut fields, &mut self.out);
        fields.close(&mut self.out);
        let (Some(member), Some(target)) = (member, target) else { return };
        for permission in permissions {
            let key = Key::Grant(permission.clone(), member.clone(), target.clone());
            if self.declare(key, place, (Section::Grants, item), path) {
                let (member, target) = (member.clone(), target.clone());
                self.keep(Row::Grant(Grant { permission, member, target, period }));
            }
        }
    }

    pub(super) fn member(&mut self, fields: &mut Fields<'_, '_>) -> Option<Member> {
        let (member, at) = fields.required("member", &mut self.out, str::parse::<Member>)?;
        self.refer(member_key(member.clone()), at, fields.path.key("member"));
        Some(member)
    }

    /// No key is the organization.
    pub(super) fn target(&mut self, fields: &mut Fields<'_, '_>) -> Option<Target> {
        let path = fields.path;
        let given = ["account", "object", "record"].map(|key| fields.has(key));
        let out = &mut self.out;
        let account = fields.parsed("account", out, Id::parse);
        let object = fields.parsed("object", out, Id::parse);
        let record = fields.parsed("record", out, OpaqueId::parse);
        if matches!(given, [true, true, _] | [_, false, true]) {
            let message = "a target is nothing (the organization), `account`, `object`, or `object` and `record`";
            out.add(fields.at, path, message);
            return None;
        }
        let [has_account, has_object, has_record] = given;
        if let Some((id, at)) = &account {
            self.refer(Key::Account(id.clone()), *at, path.key("account"));
        }
        if let Some((id, at)) = &object {
            self.refer(Key::Object(id.clone()), *at, path.key("object"));
        }
        if has_account {
            return account.map(|(id, _)| Target::Account(id));
        }
        match (has_object, has_record) {
            (true, true) => Some(Target::Record(object?.0, record?.0)),
            (true, false) => object.map(|(id, _)| Target::Object(id)),
            _ => Some(Target::Organization),
        }
    }
}

pub(super) fn member_key(member: Member) -> Key {
    match member {
        Member::User(id) => Key::User(id),
        Member::Service(id) => Key::Service(id),
        Member::Group(id) => Key::Group(id),
    }
}

fn period(fields: &mut Fields<'_, '_>, out: &mut Problems) -> Period {
    Period { starts_at: fields.timestamp("starts_at", out), expires_at: fields.timestamp("expires_at", out) }
}

fn refuse(fields: &mut Fields<'_, '_>, key: &str, message: &str, out: &mut Problems) {
    if let Some(node) = fields.take(key) {
        out.add(node.at, fields.path.key(key), message);
    }
}

fn visibility(fields: &mut Fields<'_, '_>, out: &mut Problems) -> Visibility {
    let flags = fields.parsed_list("visibility", out, |text| {
        FLAGS
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, flag)| *flag)
            .ok_or("is none of `mentionable`, `watchable`, `assignable`, `approver`, `data_access`")
    });
    let on = |wanted: Flag| flags.iter().any(|(flag, _, _)| *flag == wanted);
    Visibility {
        mentionable: on(Flag::Mentionable),
        watchable: on(Flag::Watchable),
        assignable: on(Flag::Assignable),
        approver: on(Flag::Approver),
        data_access: on(Flag::DataAccess),
    }
}

/// A map of attributes, each of its declared type where one is declared.
pub(super) fn attributes<'d>(
    node: Node<'_>,
    path: Path<'_>,
    out: &mut Problems,
    declared: impl Fn(&str) -> Option<&'d crate::core::model::FieldType>,
) -> BTreeMap<String, Value> {
    let Some(fields) = Fields::open(node, path, out) else { return BTreeMap::new() };
    let mut attributes = BTreeMap::new();
    for (name, at, node) in fields.rest() {
        match (OpaqueId::parse(&name), scalar::value(&node, declared(&name))) {
            (Err(error), _) => out.add(at, path.key(&name), format!("the name {error}")),
            (Ok(_), Err(message)) => out.add(node.at, path.key(&name), message),
            (Ok(_), Ok(value)) => {
                attributes.insert(name.into_owned(), value);
            }
        }
    }
    attributes
}
