//! Organizations, accounts, objects and permissions.

use prost_types::FieldMask;

use crate::core::change::{etag, etag_of_organization};
use crate::core::id::{Domain, Id, PermissionName};
use crate::core::model::{
    Account, EmailDomain, InvitePolicy, Key, Level, Object, ObjectKind, Permission, Preset, PrivateTo, Row, Settings,
    UserKind,
};
use crate::core::table::{PermissionSlot, Table};

use super::super::fields::Fields;
use super::super::mask::{Masked, Patch};
use super::super::proto;
use super::value::{field_type, to_field_type};

const MAX_DOMAINS: usize = 1_000;

/// An organization, whole; its id is the caller's to check.
pub fn settings(f: &mut Fields, message: proto::Organization) -> Option<Settings> {
    let proto::Organization {
        id: _,
        display_name,
        super_organization,
        preset,
        email_domains,
        settings,
        user_attributes,
        etag: _,
    } = message;
    let super_organization = f.parse_optional("super_organization", &super_organization);
    let preset = self::preset(f, preset);
    let email_domains = self::email_domains(f, email_domains);
    let rules = rules(f, settings.unwrap_or_default());
    let user_attributes = f.map("user_attributes", user_attributes, field_type);
    let rules = rules?;
    Some(Settings {
        display_name,
        super_organization: super_organization?,
        preset: preset?,
        email_domains: email_domains?,
        invite_policy: rules.invite_policy,
        auto_create_unknown_users: rules.auto_create_unknown_users,
        external_reauthentication_ms: rules.external_reauthentication_ms,
        user_attributes: user_attributes?,
    })
}

struct Rules {
    invite_policy: InvitePolicy,
    auto_create_unknown_users: bool,
    external_reauthentication_ms: Option<i64>,
}

fn rules(f: &mut Fields, message: proto::OrganizationSettings) -> Option<Rules> {
    let proto::OrganizationSettings { invite_policy, auto_create_unknown_users, external_reauthentication } = message;
    f.within("settings", |f| {
        let invite_policy = self::invite_policy(f, invite_policy);
        let external_reauthentication_ms = max_age(f, external_reauthentication);
        Some(Rules {
            invite_policy: invite_policy?,
            auto_create_unknown_users,
            external_reauthentication_ms: external_reauthentication_ms?,
        })
    })
}

fn preset(f: &mut Fields, preset: i32) -> Option<Preset> {
    Some(match f.choice("preset", preset)? {
        None | Some(proto::Preset::Unspecified | proto::Preset::None) => Preset::None,
        Some(proto::Preset::Workspace) => Preset::Workspace,
        Some(proto::Preset::Integration) => Preset::Integration,
    })
}

/// The kind of a user; none if it is not given.
pub fn user_kind(f: &mut Fields, name: &str, kind: i32) -> Option<Option<UserKind>> {
    Some(match f.choice(name, kind)? {
        None | Some(proto::UserKind::Unspecified) => None,
        Some(proto::UserKind::Internal) => Some(UserKind::Internal),
        Some(proto::UserKind::External) => Some(UserKind::External),
    })
}

/// The kind of a user as a message.
pub fn to_user_kind(kind: UserKind) -> i32 {
    match kind {
        UserKind::Internal => proto::UserKind::Internal,
        UserKind::External => proto::UserKind::External,
    }
    .into()
}

/// A domain, in lower case whatever was sent.
pub fn domain(f: &mut Fields, name: &str, text: &str) -> Option<Domain> {
    f.parse(name, &text.to_lowercase())
}

/// One e-mail domain.
pub fn email_domain(f: &mut Fields, message: proto::EmailDomain) -> Option<EmailDomain> {
    let proto::EmailDomain { domain, audience } = message;
    let domain = self::domain(f, "domain", &domain);
    let audience = user_kind(f, "audience", audience)?;
    if audience.is_none() {
        f.refuse("audience", "is required");
    }
    Some(EmailDomain { domain: domain?, audience: audience? })
}

fn email_domains(f: &mut Fields, messages: Vec<proto::EmailDomain>) -> Option<Vec<EmailDomain>> {
    f.at_most("email_domains", messages.len(), MAX_DOMAINS);
    f.list("email_domains", messages, email_domain)
}

fn invite_policy(f: &mut Fields, policy: Option<proto::InvitePolicy>) -> Option<InvitePolicy> {
    use proto::InvitePolicyMode as Mode;
    let proto::InvitePolicy { mode, domains } = policy.unwrap_or_default();
    f.within("invite_policy", |f| {
        let mode = f.choice("mode", mode)?;
        f.at_most("domains", domains.len(), MAX_DOMAINS);
        if mode == Some(Mode::AllowedDomains) {
            return f.list("domains", domains, |f, d| domain(f, "", &d)).map(InvitePolicy::AllowedDomains);
        }
        if !domains.is_empty() {
            f.refuse("domains", "must be empty in this mode");
        }
        Some(if mode == Some(Mode::AnyDomain) { InvitePolicy::AnyDomain } else { InvitePolicy::AdminsOnly })
    })
}

fn max_age(f: &mut Fields, rule: Option<proto::ExternalReauthentication>) -> Option<Option<i64>> {
    let Some(proto::ExternalReauthentication { max_age }) = rule else { return Some(None) };
    f.within("external_reauthentication", |f| {
        let max_age = f.message("max_age", max_age, |f, span| f.exact_span("", span))?;
        Some(Some(max_age))
    })
}

/// An update of an organization.
pub fn settings_patch(
    f: &mut Fields,
    message: Option<proto::Organization>,
    mask: Option<FieldMask>,
) -> Option<Patch<Settings>> {
    let mut m = Masked::new(mask);
    f.message("organization", message, |f, message| {
        let proto::Organization {
            id: _,
            display_name,
            super_organization,
            preset,
            email_domains,
            settings,
            user_attributes,
            etag: _,
        } = message;
        m.set(
            "display_name",
            !display_name.is_empty(),
            || Some(display_name),
            |s: &mut Settings, v, _| s.display_name = v,
        );
        m.set(
            "super_organization",
            !super_organization.is_empty(),
            || f.parse_optional("super_organization", &super_organization),
            |s, v, _| s.super_organization = v,
        );
        m.fixed(preset != 0, || self::preset(f, preset), |s, v, _| s.preset = v);
        m.set(
            "email_domains",
            !email_domains.is_empty(),
            || self::email_domains(f, email_domains),
            |s, v, _| s.email_domains = v,
        );
        let present = settings.is_some();
        let proto::OrganizationSettings { invite_policy, auto_create_unknown_users, external_reauthentication } =
            settings.unwrap_or_default();
        m.set(
            "settings.invite_policy",
            present,
            || f.within("settings", |f| self::invite_policy(f, invite_policy)),
            |s, v, _| s.invite_policy = v,
        );
        m.set(
            "settings.auto_create_unknown_users",
            present,
            || Some(auto_create_unknown_users),
            |s, v, _| s.auto_create_unknown_users = v,
        );
        m.set(
            "settings.external_reauthentication",
            present,
            || f.within("settings", |f| max_age(f, external_reauthentication)),
            |s, v, _| s.external_reauthentication_ms = v,
        );
        m.set(
            "user_attributes",
            !user_attributes.is_empty(),
            || f.map("user_attributes", user_attributes, field_type),
            |s, v, _| s.user_attributes = v,
        );
        Some(())
    });
    m.finish(f)
}

/// An organization as a message, without its etag: that is of a history.
pub fn to_organization(id: &Id, settings: &Settings) -> proto::Organization {
    let Settings {
        display_name,
        super_organization,
        preset,
        email_domains,
        invite_policy,
        auto_create_unknown_users,
        external_reauthentication_ms,
        user_attributes,
    } = settings;
    let preset = match preset {
        Preset::None => proto::Preset::None,
        Preset::Workspace => proto::Preset::Workspace,
        Preset::Integration => proto::Preset::Integration,
    };
    let (mode, domains) = match invite_policy {
        InvitePolicy::AdminsOnly => (proto::InvitePolicyMode::AdminsOnly, Vec::new()),
        InvitePolicy::AnyDomain => (proto::InvitePolicyMode::AnyDomain, Vec::new()),
        InvitePolicy::AllowedDomains(domains) => {
            (proto::InvitePolicyMode::AllowedDomains, domains.iter().map(ToString::to_string).collect())
        }
    };
    let reauthentication = external_reauthentication_ms.map(|ms| {
        let nanos = i32::try_from(ms.rem_euclid(1_000)).unwrap_or(0) * 1_000_000;
        let max_age = prost_types::Duration { seconds: ms.div_euclid(1_000), nanos };
        proto::ExternalReauthentication { max_age: Some(max_age) }
    });
    proto::Organization {
        id: id.to_string(),
        display_name: display_name.clone(),
        super_organization: super_organization.as_ref().map(Id::to_string).unwrap_or_default(),
        preset: preset.into(),
        email_domains: email_domains
            .iter()
            .map(|d| proto::EmailDomain { domain: d.domain.to_string(), audience: to_user_kind(d.audience) })
            .collect(),
        settings: Some(proto::OrganizationSettings {
            invite_policy: Some(proto::InvitePolicy { mode: mode.into(), domains }),
            auto_create_unknown_users: *auto_create_unknown_users,
            external_reauthentication: reauthentication,
        }),
        user_attributes: user_attributes.iter().map(|(k, v)| (k.clone(), to_field_type(v))).collect(),
        etag: String::new(),
    }
}

/// The organization of a version.
pub fn find(table: &Table) -> Option<proto::Organization> {
    let etag = etag_of_organization(table)?;
    table.settings().map(|s| proto::Organization { etag, ..to_organization(table.id(), s) })
}

/// An account.
pub fn account(f: &mut Fields, message: proto::Account) -> Option<Account> {
    let proto::Account { id, default, display_name, etag: _ } = message;
    Some(Account { id: f.parse("id", &id)?, default, display_name })
}

/// An update of an account.
pub fn account_patch(
    f: &mut Fields,
    message: Option<proto::Account>,
    mask: Option<FieldMask>,
) -> Option<(Id, Patch<Account>)> {
    let mut m = Masked::new(mask);
    let id = f.message("account", message, |f, message| {
        let proto::Account { id, default, display_name, etag: _ } = message;
        m.set("default", default, || Some(default), |a: &mut Account, v, _| a.default = v);
        m.set("display_name", !display_name.is_empty(), || Some(display_name), |a, v, _| a.display_name = v);
        f.parse("id", &id)
    });
    id.zip(m.finish(f))
}

/// An account as a message.
pub fn to_account(account: &Account) -> proto::Account {
    let etag = etag(&Row::Account(account.clone()));
    let Account { id, default, display_name } = account;
    proto::Account { id: id.to_string(), default: *default, display_name: display_name.clone(), etag }
}

/// The account of that id.
pub fn find_account(table: &Table, id: &Id) -> Option<proto::Account> {
    match table.row(&Key::Account(id.clone()))? {
        Row::Account(account) => Some(to_account(&account)),
        _ => None,
    }
}

/// The kind of an object; none if it is not given.
pub fn object_kind(f: &mut Fields, kind: i32) -> Option<Option<ObjectKind>> {
    Some(match f.choice("kind", kind)? {
        None | Some(proto::ObjectKind::Unspecified) => None,
        Some(proto::ObjectKind::App) => Some(ObjectKind::App),
        Some(proto::ObjectKind::Element) => Some(ObjectKind::Element),
        Some(proto::ObjectKind::Task) => Some(ObjectKind::Task),
        Some(proto::ObjectKind::Workflow) => Some(ObjectKind::Workflow),
    })
}

fn required_object_kind(f: &mut Fields, kind: i32) -> Option<ObjectKind> {
    let kind = object_kind(f, kind)?;
    if kind.is_none() {
        f.refuse("kind", "is required");
    }
    kind
}

fn private_to(f: &mut Fields, text: &str) -> Option<Option<PrivateTo>> {
    match text.split_once(':') {
        None if text.is_empty() => Some(None),
        Some(("account", id)) => f.parse("private_to", id).map(|id| Some(PrivateTo::Account(id))),
        Some(("user", id)) => f.parse("private_to", id).map(|id| Some(PrivateTo::User(id))),
        _ => {
            f.refuse("private_to", "must be `account:ID` or `user:ID`");
            None
        }
    }
}

/// An object.
pub fn object(f: &mut Fields, message: proto::Object) -> Option<Object> {
    let proto::Object { id, kind, display_name, fields, private_to, etag: _ } = message;
    let (id, kind) = (f.parse("id", &id), required_object_kind(f, kind));
    let (fields, private_to) = (f.map("fields", fields, field_type), self::private_to(f, &private_to));
    Some(Object { id: id?, kind: kind?, display_name, fields: fields?, private_to: private_to? })
}

/// An update of an object.
pub fn object_patch(
    f: &mut Fields,
    message: Option<proto::Object>,
    mask: Option<FieldMask>,
) -> Option<(Id, Patch<Object>)> {
    let mut m = Masked::new(mask);
    let id = f.message("object", message, |f, message| {
        let proto::Object { id, kind, display_name, fields, private_to, etag: _ } = message;
        m.fixed(kind != 0, || required_object_kind(f, kind), |o: &mut Object, v, _| o.kind = v);
        m.set("display_name", !display_name.is_empty(), || Some(display_name), |o, v, _| o.display_name = v);
        m.set("fields", !fields.is_empty(), || f.map("fields", fields, field_type), |o, v, _| o.fields = v);
        m.set("private_to", !private_to.is_empty(), || self::private_to(f, &private_to), |o, v, _| o.private_to = v);
        f.parse("id", &id)
    });
    id.zip(m.finish(f))
}

/// An object as a message.
pub fn to_object(object: &Object) -> proto::Object {
    let etag = etag(&Row::Object(object.clone()));
    let Object { id, kind, display_name, fields, private_to } = object;
    let kind = match kind {
        ObjectKind::App => proto::ObjectKind::App,
        ObjectKind::Element => proto::ObjectKind::Element,
        ObjectKind::Task => proto::ObjectKind::Task,
        ObjectKind::Workflow => proto::ObjectKind::Workflow,
    };
    let private_to = match private_to {
        None => String::new(),
        Some(PrivateTo::Account(id)) => format!("account:{id}"),
        Some(PrivateTo::User(id)) => format!("user:{id}"),
    };
    proto::Object {
        id: id.to_string(),
        kind: kind.into(),
        display_name: display_name.clone(),
        fields: fields.iter().map(|(k, v)| (k.clone(), to_field_type(v))).collect(),
        private_to,
        etag,
    }
}

/// The object of that id.
pub fn find_object(table: &Table, id: &Id) -> Option<proto::Object> {
    table.object_row(id).map(to_object)
}

fn name(f: &mut Fields, text: &str) -> Option<PermissionName> {
    let name = f.parse("name", text);
    if name.is_some()
        && let Err(error) = PermissionName::parse_name(text)
    {
        f.refuse("name", error);
        return None;
    }
    name
}

fn level(f: &mut Fields, level: i32) -> Option<Level> {
    use proto::PermissionLevel as L;
    Some(match f.choice("level", level)? {
        None | Some(L::Unspecified | L::Object) => Level::Object,
        Some(L::Account) => Level::Account,
        Some(L::Organization) => Level::Organization,
    })
}

/// One of the organization's own permissions.
pub fn permission(f: &mut Fields, message: proto::Permission) -> Option<Permission> {
    let proto::Permission {
        name,
        aliases,
        level,
        requires_visibility,
        requires_approver,
        when_not_owner,
        built_in: _,
        etag: _,
    } = message;
    let (name, aliases) = (self::name(f, &name), f.parse_all("aliases", &aliases));
    let (level, when_not_owner) = (self::level(f, level), f.parse_optional("when_not_owner", &when_not_owner));
    Some(Permission {
        name: name?,
        aliases: aliases?,
        level: level?,
        requires_visibility,
        requires_approver,
        when_not_owner: when_not_owner?,
    })
}

/// An update of a permission.
pub fn permission_patch(
    f: &mut Fields,
    message: Option<proto::Permission>,
    mask: Option<FieldMask>,
) -> Option<(PermissionName, Patch<Permission>)> {
    let mut m = Masked::new(mask);
    let name = f.message("permission", message, |f, message| {
        let proto::Permission {
            name,
            aliases,
            level,
            requires_visibility,
            requires_approver,
            when_not_owner,
            built_in: _,
            etag: _,
        } = message;
        m.set(
            "aliases",
            !aliases.is_empty(),
            || f.parse_all("aliases", &aliases),
            |p: &mut Permission, v, _| p.aliases = v,
        );
        m.set("level", level != 0, || self::level(f, level), |p, v, _| p.level = v);
        m.set(
            "requires_visibility",
            requires_visibility,
            || Some(requires_visibility),
            |p, v, _| p.requires_visibility = v,
        );
        m.set("requires_approver", requires_approver, || Some(requires_approver), |p, v, _| p.requires_approver = v);
        m.set(
            "when_not_owner",
            !when_not_owner.is_empty(),
            || f.parse_optional("when_not_owner", &when_not_owner),
            |p, v, _| p.when_not_owner = v,
        );
        self::name(f, &name)
    });
    name.zip(m.finish(f))
}

/// A permission as a message.
pub fn to_permission(permission: &Permission, built_in: bool) -> proto::Permission {
    let etag = etag(&Row::Permission(permission.clone()));
    let Permission { name, aliases, level, requires_visibility, requires_approver, when_not_owner } = permission;
    let level = match level {
        Level::Object => proto::PermissionLevel::Object,
        Level::Account => proto::PermissionLevel::Account,
        Level::Organization => proto::PermissionLevel::Organization,
    };
    proto::Permission {
        name: name.to_string(),
        aliases: aliases.iter().map(ToString::to_string).collect(),
        level: level.into(),
        requires_visibility: *requires_visibility,
        requires_approver: *requires_approver,
        when_not_owner: when_not_owner.as_ref().map(ToString::to_string).unwrap_or_default(),
        built_in,
        etag,
    }
}

/// A permission of the catalogue as a message.
pub fn to_catalogued(slot: &PermissionSlot) -> proto::Permission {
    to_permission(&slot.row, slot.built_in)
}

/// The permission of that name or alias.
pub fn find_permission(table: &Table, name: &str) -> Option<proto::Permission> {
    table.permission_slot(table.permission(name)?.number).map(to_catalogued)
}
