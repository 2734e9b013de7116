//! From rows to an organization file.
//!
//! The text is a function of the rows alone: everything is sorted by id, what is absent when read
//! is not written, and an entry is one line, so that two exports differ where the organizations do.
//! Only a group's members get a line each once there are several.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use crate::core::id::{Domain, Id, Pattern};
use crate::core::model::{
    Account, Assignment, DEFAULT_ACCOUNT, EmergencyRule, Enforcement, FieldType, Grant, Group, GroupKind, InvitePolicy,
    Level, Member, Object, Period, Permission, Policy, Preset, PrivateTo, Related, Role, RoleKind, Row, Separation,
    ServiceAccount, Settings, Status, Target, User, UserKind, Value, Visibility,
};

use super::duties::ENFORCEMENTS;
use super::flow::{Flow, flow_list, section};
use super::head::{AUDIENCES, LEVELS, OBJECT_KINDS, PRESETS, parse_domain};
use super::people::STATUSES;
use super::records::EFFECTS;
use super::roles::SCOPES;
use super::scalar::{duration_text, field_type_text, text_text, timestamp_text, value_text};

/// More members than these get a line each.
const MEMBERS_IN_LINE: usize = 4;

/// The organization file that reads back as `rows`, which must be those of a whole organization:
/// its settings, its accounts, and everything that its rows name. Managed roles have no row.
#[must_use]
pub fn write(organization: &Id, rows: &[Row]) -> String {
    Writer::of(rows).file(organization)
}

/// The rows by kind, each sorted, with what decides which keys can be left out.
#[derive(Default)]
struct Writer<'r> {
    settings: Option<&'r Settings>,
    accounts: Vec<&'r Account>,
    permissions: Vec<&'r Permission>,
    objects: Vec<&'r Object>,
    roles: Vec<&'r Role>,
    groups: Vec<&'r Group>,
    users: Vec<&'r User>,
    services: Vec<&'r ServiceAccount>,
    assignments: Vec<&'r Assignment>,
    grants: Vec<&'r Grant>,
    relations: Vec<&'r Related>,
    policies: Vec<&'r Policy>,
    safelist: Vec<&'r Id>,
    separations: Vec<&'r Separation>,
    emergencies: Vec<&'r EmergencyRule>,
    members: BTreeMap<&'r Id, Vec<String>>,
    internal: HashSet<&'r Domain>,
    home: Option<&'r Id>,
}

/// The word that a table of the reader has for a value.
fn word<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> &'static str {
    table.iter().find(|(_, known)| known == value).map_or("", |(word, _)| word)
}

impl<'r> Writer<'r> {
    fn of(rows: &'r [Row]) -> Self {
        let mut w = Self::default();
        for row in rows {
            match row {
                Row::Settings(settings) => w.settings = Some(settings),
                Row::Account(account) => w.accounts.push(account),
                Row::Permission(permission) => w.permissions.push(permission),
                Row::Object(object) => w.objects.push(object),
                Row::Role(role) => w.roles.push(role),
                Row::Group(group) => {
                    w.join(&group.groups, || Member::Group(group.id.clone()));
                    w.groups.push(group);
                }
                Row::User(user) => {
                    w.join(&user.groups, || Member::User(user.id.clone()));
                    w.users.push(user);
                }
                Row::Service(service) => {
                    w.join(&service.groups, || Member::Service(service.id.clone()));
                    w.services.push(service);
                }
                Row::Assignment(assignment) => w.assignments.push(assignment),
                Row::Grant(grant) => w.grants.push(grant),
                Row::Related(related) => w.relations.push(related),
                Row::Policy(policy) => w.policies.push(policy),
                Row::SafelistElement(entry) => w.safelist.push(&entry.element),
                Row::Separation(separation) => w.separations.push(separation),
                Row::Emergency(rule) => w.emergencies.push(rule),
                // Files do not speak of credentials, nor of activations.
                Row::Credential(_) | Row::Activation(_) => {}
            }
        }
        w.accounts.sort_by_key(|a| &a.id);
        w.permissions.sort_by_key(|p| &p.name);
        w.objects.sort_by_key(|o| &o.id);
        w.roles.sort_by_key(|r| &r.id);
        w.groups.sort_by_key(|g| &g.id);
        w.users.sort_by_key(|u| &u.id);
        w.services.sort_by_key(|s| &s.id);
        w.assignments.sort_by_key(|a| (&a.role, &a.member, &a.target));
        w.grants.sort_by_key(|g| (&g.member, &g.target, &g.period, &g.permission));
        w.relations.sort_by_key(|r| (&r.object, &r.record, r.relation, &r.member));
        w.policies.sort_by_key(|p| &p.id);
        w.safelist.sort();
        w.separations.sort_by_key(|s| &s.id);
        w.emergencies.sort_by_key(|e| (&e.role, &e.target));
        for members in w.members.values_mut() {
            members.sort_unstable();
        }
        w.home = w.accounts.iter().find(|a| a.default).map(|a| &a.id);
        let domains = w.settings.map(|s| s.email_domains.as_slice()).unwrap_or_default();
        let internal = domains.iter().filter(|d| d.audience == UserKind::Internal);
        w.internal = internal.map(|d| &d.domain).collect();
        w
    }

    fn join(&mut self, groups: &'r [Id], member: impl Fn() -> Member) {
        for group in groups {
            self.members.entry(group).or_default().push(member().to_string());
        }
    }

    fn file(&self, organization: &Id) -> String {
        let mut out = format!("organization: {}\n", text_text(organization.as_str()));
        if let Some(settings) = self.settings {
            write_settings(settings, &mut out);
        }
        let implied = matches!(self.accounts.as_slice(),
            [only] if only.default && only.display_name.is_empty() && only.id.as_str() == DEFAULT_ACCOUNT);
        if !implied {
            section(&mut out, "accounts", self.accounts.iter().map(|a| account(a)));
        }
        section(&mut out, "permissions", self.permissions.iter().map(|p| permission(p)));
        section(&mut out, "objects", self.objects.iter().map(|o| object(o)));
        section(&mut out, "users", self.users.iter().map(|u| self.user(u)));
        section(&mut out, "service_accounts", self.services.iter().map(|s| self.service(s)));
        section(&mut out, "groups", self.groups.iter().map(|g| self.group(g)));
        let roles = self.roles.iter().filter(|r| r.kind != RoleKind::Managed);
        section(&mut out, "roles", roles.map(|r| role(r)));
        section(&mut out, "assignments", self.assignments.iter().map(|a| assignment(a)));
        let same = |a: &&Grant, b: &&Grant| (&a.member, &a.target, a.period) == (&b.member, &b.target, b.period);
        section(&mut out, "grants", self.grants.chunk_by(same).filter_map(grant));
        section(&mut out, "relations", self.relations.iter().map(|r| relation(r)));
        section(&mut out, "data_access", self.policies.iter().map(|p| policy(p)));
        section(&mut out, "element_safelist", self.safelist.iter().map(|id| text_text(id.as_str())));
        section(&mut out, "separation_of_duties", self.separations.iter().map(|s| separation(s)));
        section(&mut out, "emergency", self.emergencies.iter().map(|e| emergency(e)));
        out
    }

    fn declared(&self, name: &str) -> Option<&FieldType> {
        self.settings?.user_attributes.get(name)
    }

    fn attributes(&self, attributes: &BTreeMap<String, Value>, flow: &mut Flow) {
        if attributes.is_empty() {
            return;
        }
        let mut inner = Flow::default();
        for (name, value) in attributes {
            inner.put(name, value_text(value, self.declared(name)));
        }
        flow.put("attributes", inner.end());
    }

    fn account_of(&self, account: &Id, flow: &mut Flow) {
        if self.home != Some(account) {
            flow.text("account", account);
        }
    }

    fn user(&self, user: &User) -> String {
        let mut flow = Flow::default();
        flow.text("id", &user.id);
        flow.text("email", &user.email);
        flow.text_unless_empty("first_name", &user.first_name);
        flow.text_unless_empty("last_name", &user.last_name);
        let internal = parse_domain(&user.email.domain()).is_ok_and(|d| self.internal.contains(&d));
        let implied = if internal { UserKind::Internal } else { UserKind::External };
        if user.kind != implied {
            flow.put("kind", word(&AUDIENCES, &user.kind));
        }
        self.account_of(&user.account, &mut flow);
        if let Some(manager) = &user.manager {
            flow.text("manager", manager);
        }
        if user.status != Status::Active {
            flow.put("status", word(&STATUSES, &user.status));
        }
        if let Some(before) = user.status_before {
            flow.put("status_before", word(&STATUSES, &before));
        }
        if !user.pending_groups.is_empty() {
            flow.list("pending_groups", &user.pending_groups);
        }
        self.attributes(&user.attributes, &mut flow);
        flow.end()
    }

    fn service(&self, service: &ServiceAccount) -> String {
        let mut flow = Flow::default();
        flow.text("id", &service.id);
        self.account_of(&service.account, &mut flow);
        if service.status != Status::Active {
            flow.put("status", word(&STATUSES, &service.status));
        }
        self.attributes(&service.attributes, &mut flow);
        flow.end()
    }

    fn group(&self, group: &Group) -> String {
        let mut keys: Vec<(&str, String)> = vec![("id", text_text(group.id.as_str()))];
        for (key, text) in [("name", &group.name), ("photo_uri", &group.photo_uri)] {
            if !text.is_empty() {
                keys.push((key, text_text(text)));
            }
        }
        match &group.kind {
            GroupKind::Manual => keys.push(("kind", "manual".to_owned())),
            GroupKind::Dynamic(domains) => {
                keys.push(("kind", "dynamic".to_owned()));
                keys.push(("domains", flow_list(domains)));
            }
            GroupKind::System => keys.push(("kind", "system".to_owned())),
        }
        let flags = flags(group.visibility);
        if !flags.is_empty() {
            keys.push(("visibility", flow_list(flags)));
        }
        let members = self.members.get(&group.id).map(Vec::as_slice).unwrap_or_default();
        if members.len() > MEMBERS_IN_LINE {
            let mut lines: Vec<_> = keys.iter().map(|(key, value)| format!("{key}: {value}")).collect();
            lines.push("members:".to_owned());
            lines.extend(members.iter().map(|member| format!("  - {}", text_text(member))));
            return lines.join("\n    ");
        }
        let mut flow = Flow::default();
        for (key, value) in keys {
            flow.put(key, value);
        }
        if !members.is_empty() {
            flow.list("members", members);
        }
        flow.end()
    }
}

fn write_settings(settings: &Settings, out: &mut String) {
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(out, "{key}: {value}");
    };
    if !settings.display_name.is_empty() {
        line("display_name", &text_text(&settings.display_name));
    }
    if let Some(id) = &settings.super_organization {
        line("super_organization", &text_text(id.as_str()));
    }
    if settings.preset != Preset::None {
        line("preset", word(&PRESETS, &settings.preset));
    }
    let domains = settings.email_domains.iter().map(|domain| {
        let mut flow = Flow::default();
        flow.text("domain", &domain.domain);
        flow.put("audience", word(&AUDIENCES, &domain.audience));
        flow.end()
    });
    section(out, "email_domains", domains);
    let mut lines = Vec::new();
    let mut policy = Flow::default();
    match &settings.invite_policy {
        InvitePolicy::AdminsOnly => {}
        InvitePolicy::AnyDomain => policy.put("mode", "any_domain"),
        InvitePolicy::AllowedDomains(domains) => {
            policy.put("mode", "allowed_domains");
            policy.list("domains", domains);
        }
    }
    if !policy.is_empty() {
        lines.push(format!("invite_policy: {}", policy.end()));
    }
    if settings.auto_create_unknown_users {
        lines.push("auto_create_unknown_users: true".to_owned());
    }
    if let Some(ms) = settings.external_reauthentication_ms {
        lines.push(format!("external_reauthentication: {{max_age: {}}}", duration_text(ms)));
    }
    if !lines.is_empty() {
        let _ = writeln!(out, "settings:\n  {}", lines.join("\n  "));
    }
    if !settings.user_attributes.is_empty() {
        let _ = writeln!(out, "user_attributes: {}", types(&settings.user_attributes));
    }
}

fn types(fields: &BTreeMap<String, FieldType>) -> String {
    let mut flow = Flow::default();
    for (name, field) in fields {
        flow.text(name, field_type_text(field));
    }
    flow.end()
}

fn account(account: &Account) -> String {
    let mut flow = Flow::default();
    flow.text("id", &account.id);
    flow.flag("default", account.default);
    flow.text_unless_empty("display_name", &account.display_name);
    flow.end()
}

fn permission(permission: &Permission) -> String {
    let mut flow = Flow::default();
    flow.text("name", &permission.name);
    if !permission.aliases.is_empty() {
        flow.list("aliases", &permission.aliases);
    }
    if permission.level != Level::Object {
        flow.put("level", word(&LEVELS, &permission.level));
    }
    flow.flag("requires_visibility", permission.requires_visibility);
    flow.flag("requires_approver", permission.requires_approver);
    if let Some(other) = &permission.when_not_owner {
        flow.text("when_not_owner", other);
    }
    flow.end()
}

fn object(object: &Object) -> String {
    let mut flow = Flow::default();
    flow.text("id", &object.id);
    flow.put("kind", word(&OBJECT_KINDS, &object.kind));
    flow.text_unless_empty("display_name", &object.display_name);
    if !object.fields.is_empty() {
        flow.put("fields", types(&object.fields));
    }
    match &object.private_to {
        None => {}
        Some(PrivateTo::Account(id)) => flow.text("private_to", format!("account:{id}")),
        Some(PrivateTo::User(id)) => flow.text("private_to", format!("user:{id}")),
    }
    flow.end()
}

fn role(role: &Role) -> String {
    let mut flow = Flow::default();
    flow.text("id", &role.id);
    if role.kind == RoleKind::Custom {
        flow.text_unless_empty("name", &role.name);
        flow.text_unless_empty("description", &role.description);
        flow.put("scope", word(&SCOPES, &role.scope));
        if let Some(object) = &role.object {
            flow.text("object", object);
        }
    }
    // A system role's entry exists for its permissions, even if they are none.
    if role.kind == RoleKind::System || !role.permissions.is_empty() {
        flow.list("permissions", &role.permissions);
    }
    if !role.auto_share.is_empty() {
        flow.list("auto_share", role.auto_share.iter().map(|relation| relation.name()));
    }
    flow.end()
}

fn relation(related: &Related) -> String {
    let Related { relation, member, object, record } = related;
    let mut flow = Flow::default();
    flow.put("relation", relation.name());
    flow.text("member", member.to_string());
    flow.text("object", object);
    flow.text("record", record);
    flow.end()
}

fn policy(policy: &Policy) -> String {
    let Policy { id, object, effect, members, condition } = policy;
    let mut flow = Flow::default();
    flow.text("id", id);
    flow.text("object", object);
    flow.put("effect", word(&EFFECTS, effect));
    flow.list("members", members.iter().map(Member::to_string));
    if let Some(condition) = condition {
        flow.text("condition", condition);
    }
    flow.end()
}

fn separation(separation: &Separation) -> String {
    let Separation { id, roles, max, enforcement } = separation;
    let mut flow = Flow::default();
    flow.text("id", id);
    flow.list("roles", roles);
    flow.put("max", max.to_string());
    if *enforcement != Enforcement::default() {
        flow.put("enforce", word(&ENFORCEMENTS, enforcement));
    }
    flow.end()
}

fn emergency(rule: &EmergencyRule) -> String {
    let EmergencyRule { role, target, users, max_duration_ms } = rule;
    let mut flow = Flow::default();
    flow.text("role", role);
    place(target, &mut flow);
    flow.list("users", users);
    flow.put("max_duration", duration_text(*max_duration_ms));
    flow.end()
}

fn assignment(assignment: &Assignment) -> String {
    let mut flow = Flow::default();
    flow.text("role", &assignment.role);
    edge(&assignment.member, &assignment.target, assignment.period, &mut flow);
    flow.flag("by_hand", assignment.by_hand);
    flow.end()
}

fn grant(grants: &[&Grant]) -> Option<String> {
    let first = grants.first()?;
    let mut flow = Flow::default();
    flow.list("permissions", grants.iter().map(|grant| -> &Pattern { &grant.permission }));
    edge(&first.member, &first.target, first.period, &mut flow);
    Some(flow.end())
}

fn edge(member: &Member, target: &Target, period: Period, flow: &mut Flow) {
    flow.text("member", member.to_string());
    place(target, flow);
    for (key, bound) in [("starts_at", period.starts_at), ("expires_at", period.expires_at)] {
        if let Some(ms) = bound {
            flow.put(key, timestamp_text(ms));
        }
    }
}

fn place(target: &Target, flow: &mut Flow) {
    match target {
        Target::Organization => {}
        Target::Account(id) => flow.text("account", id),
        Target::Object(id) => flow.text("object", id),
        Target::Record(object, record) => {
            flow.text("object", object);
            flow.text("record", record);
        }
    }
}

fn flags(visibility: Visibility) -> Vec<&'static str> {
    let Visibility { mentionable, watchable, assignable, approver, data_access } = visibility;
    [
        (mentionable, "mentionable"),
        (watchable, "watchable"),
        (assignable, "assignable"),
        (approver, "approver"),
        (data_access, "data_access"),
    ]
    .into_iter()
    .filter_map(|(on, flag)| on.then_some(flag))
    .collect()
}
