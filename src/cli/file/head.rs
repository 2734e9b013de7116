//! The short sections but roles: settings, accounts, catalogue and objects.

use std::collections::BTreeMap;

use crate::core::id::{Domain, Id, OpaqueId, PermissionName};
use crate::core::model::{
    Account, DEFAULT_ACCOUNT, EmailDomain, FieldType, InvitePolicy, Key, Level, Object, ObjectKind, Permission, Preset,
    PrivateTo, Row, SafelistElement, Settings, UserKind,
};

use super::error::{At, Path, Problems, quoted};
use super::fields::{Fields, sorted};
use super::organization::{Known, Reader, Section};
use super::scalar;
use super::yaml::{Node, What};

pub(super) const AUDIENCES: [(&str, UserKind); 2] =
    [("internal", UserKind::Internal), ("external", UserKind::External)];
pub(super) const PRESETS: [(&str, Preset); 3] =
    [("workspace", Preset::Workspace), ("integration", Preset::Integration), ("none", Preset::None)];
pub(super) const LEVELS: [(&str, Level); 3] =
    [("organization", Level::Organization), ("account", Level::Account), ("object", Level::Object)];
pub(super) const OBJECT_KINDS: [(&str, ObjectKind); 4] = [
    ("app", ObjectKind::App),
    ("element", ObjectKind::Element),
    ("task", ObjectKind::Task),
    ("workflow", ObjectKind::Workflow),
];
const FIRST_OF_ALL: &str = "organization";
/// The sections that [`Reader::first`] reads.
pub(super) const FIRST: [&str; 9] = [
    FIRST_OF_ALL,
    "preset",
    "display_name",
    "super_organization",
    "email_domains",
    "user_attributes",
    "settings",
    "accounts",
    "permissions",
];
/// Sections whose content this version does not understand.
const UNSUPPORTED: [&str; 0] = [];

#[derive(Clone, Copy)]
enum Mode {
    AdminsOnly,
    AnyDomain,
    AllowedDomains,
}

impl Reader {
    /// What the long sections depend on. Answers the organization's id.
    pub(super) fn first(&mut self, head: &mut Fields<'_, '_>, known: &impl Fn(Preset) -> Known) -> Option<Id> {
        let organization = head.parsed(FIRST_OF_ALL, &mut self.out, Id::parse);
        let preset = head.choice("preset", &mut self.out, &PRESETS).unwrap_or(Preset::None);
        self.known = known(preset);
        self.catalogue = self.known.permissions.clone();
        let settings = self.settings(head, preset);
        self.declared = settings.user_attributes.clone();
        let internal = settings.email_domains.iter().filter(|d| d.audience == UserKind::Internal);
        self.internal = internal.map(|d| d.domain.clone()).collect();
        let at = organization.as_ref().map_or(head.at, |(_, at)| *at);
        self.declare(Key::Settings, at, (Section::Organization, 0), Path::ROOT);
        self.keep(Row::Settings(settings));
        self.accounts(head);
        self.permissions(head);
        organization.map(|(id, _)| id)
    }

    /// What is left over once everything else was read.
    pub(super) fn last(&mut self, mut head: Fields<'_, '_>) {
        if !head.knows(FIRST_OF_ALL) {
            head.missing(FIRST_OF_ALL, &mut self.out);
        }
        self.objects(&mut head);
        self.roles(&mut head);
        self.policies(&mut head);
        self.safelist(&mut head);
        self.separations(&mut head);
        self.emergencies(&mut head);
        for key in UNSUPPORTED {
            unsupported(&mut head, key, &mut self.out);
        }
        for section in Section::LONG {
            head.take(section.key());
        }
        head.close(&mut self.out);
        self.look_up();
    }

    fn settings(&mut self, head: &mut Fields<'_, '_>, preset: Preset) -> Settings {
        let out = &mut self.out;
        let display_name = head.string("display_name", out);
        let super_organization = head.parsed("super_organization", out, Id::parse).map(|(id, _)| id);
        let email_domains = email_domains(head, out);
        let user_attributes = head
            .take("user_attributes")
            .map(|node| field_types(node, head.path.key("user_attributes"), out))
            .unwrap_or_default();
        let mut settings = Settings {
            display_name,
            super_organization,
            preset,
            email_domains,
            invite_policy: InvitePolicy::AdminsOnly,
            auto_create_unknown_users: false,
            external_reauthentication_ms: None,
            user_attributes,
        };
        let Some(node) = head.take("settings") else { return settings };
        let path = head.path.key("settings");
        let Some(mut fields) = Fields::open(node, path, out) else { return settings };
        if let Some(node) = fields.take("invite_policy") {
            settings.invite_policy = invite_policy(node, path.key("invite_policy"), out);
        }
        settings.auto_create_unknown_users = fields.flag("auto_create_unknown_users", out);
        if let Some(node) = fields.take("external_reauthentication")
            && let Some(mut fields) = Fields::open(node, path.key("external_reauthentication"), out)
        {
            settings.external_reauthentication_ms =
                fields.required("max_age", out, scalar::parse_duration).map(|(ms, _)| ms);
            fields.close(out);
        }
        fields.close(out);
        settings
    }

    fn accounts(&mut self, head: &mut Fields<'_, '_>) {
        let key = Path::ROOT.key("accounts");
        let mut defaults: Option<At> = None;
        let mut any: Option<At> = None;
        for (item, node) in head.list("accounts", &mut self.out).into_iter().enumerate() {
            let at = node.at;
            any = any.or(Some(at));
            let path = key.index(item);
            let Some(mut fields) = Fields::open(node, path, &mut self.out) else { continue };
            let id = fields.required("id", &mut self.out, Id::parse);
            let default = fields.flag("default", &mut self.out);
            let display_name = fields.string("display_name", &mut self.out);
            fields.close(&mut self.out);
            let Some((id, at_id)) = id else { continue };
            if default {
                match defaults {
                    None => self.default_account = Some(id.clone()),
                    Some(first) => self.out.add(
                        at,
                        path.key("default"),
                        format!("the default account is already given in line {}", first.line),
                    ),
                }
                defaults = defaults.or(Some(at));
            }
            if self.declare(Key::Account(id.clone()), at_id, (Section::Accounts, item), path.key("id")) {
                self.keep(Row::Account(Account { id, default, display_name }));
            }
        }
        match (any, defaults) {
            (Some(at), None) => {
                self.out.add(at, key, "one account must be given as `default: true`");
            }
            (None, _) => {
                if let Ok(id) = Id::parse(DEFAULT_ACCOUNT) {
                    self.default_account = Some(id.clone());
                    let display_name = String::new();
                    self.imply(Row::Account(Account { id, default: true, display_name }));
                }
            }
            _ => {}
        }
    }

    fn permissions(&mut self, head: &mut Fields<'_, '_>) {
        let key = Path::ROOT.key("permissions");
        // Another permission may be named before it is given.
        let mut named = Vec::new();
        for (item, node) in head.list("permissions", &mut self.out).into_iter().enumerate() {
            let path = key.index(item);
            let out = &mut self.out;
            let Some(mut fields) = Fields::open(node, path, out) else { continue };
            let name = fields.required("name", out, PermissionName::parse_name);
            let aliases = fields.parsed_list("aliases", out, PermissionName::parse);
            let level = fields.choice("level", out, &LEVELS).unwrap_or(Level::Object);
            let requires_visibility = fields.flag("requires_visibility", out);
            let requires_approver = fields.flag("requires_approver", out);
            let when_not_owner = fields.parsed("when_not_owner", out, PermissionName::parse);
            fields.close(out);
            let Some((name, at)) = name else { continue };
            let at_key = (Section::Permissions, item);
            if !self.declare(Key::Permission(name.clone()), at, at_key, path.key("name")) {
                continue;
            }
            self.catalogued(&name, at, path.key("name"));
            let listed = path.key("aliases");
            for (alias, at, index) in &aliases {
                self.catalogued(alias, *at, listed.index(*index));
            }
            if let Some((other, at)) = &when_not_owner {
                named.push((other.clone(), *at, item));
            }
            self.keep(Row::Permission(Permission {
                name,
                aliases: sorted(aliases),
                level,
                requires_visibility,
                requires_approver,
                when_not_owner: when_not_owner.map(|(other, _)| other),
            }));
        }
        for (other, at, item) in named {
            if !self.catalogue.contains(other.as_str()) {
                let path = key.index(item);
                let message = format!("unknown permission {}", quoted(other.as_str()));
                self.out.add(at, path.key("when_not_owner"), message);
            }
        }
    }

    /// Names and aliases share one name space, built-in ones included (rule 3.1).
    fn catalogued(&mut self, name: &PermissionName, at: At, path: Path<'_>) {
        if self.known.permissions.contains(name.as_str()) {
            self.out.add(at, path, format!("{} is a built-in permission", quoted(name.as_str())));
        } else if !self.catalogue.insert(name.as_str().to_owned()) {
            let message = format!("{} already names a permission", quoted(name.as_str()));
            self.out.add(at, path, message);
        }
    }

    fn objects(&mut self, head: &mut Fields<'_, '_>) {
        let key = Path::ROOT.key("objects");
        for (item, node) in head.list("objects", &mut self.out).into_iter().enumerate() {
            let path = key.index(item);
            let out = &mut self.out;
            let Some(mut object) = Fields::open(node, path, out) else { continue };
            let id = object.required("id", out, Id::parse);
            let kind = object.required_choice("kind", out, &OBJECT_KINDS);
            let display_name = object.string("display_name", out);
            let fields =
                object.take("fields").map(|node| field_types(node, path.key("fields"), out)).unwrap_or_default();
            let private_to = object.parsed("private_to", out, parse_private_to);
            object.close(out);
            match &private_to {
                Some((PrivateTo::Account(id), at)) => {
                    self.refer(Key::Account(id.clone()), *at, path.key("private_to"));
                }
                Some((PrivateTo::User(id), at)) => {
                    self.refer(Key::User(id.clone()), *at, path.key("private_to"));
                }
                None => {}
            }
            let Some((id, at)) = id else { continue };
            if self.declare(Key::Object(id.clone()), at, (Section::Objects, item), path.key("id"))
                && let Some(kind) = kind
            {
                let private_to = private_to.map(|(to, _)| to);
                self.keep(Row::Object(Object { id, kind, display_name, fields, private_to }));
            }
        }
    }
}

impl Reader {
    fn safelist(&mut self, head: &mut Fields<'_, '_>) {
        let key = Path::ROOT.key("element_safelist");
        for (element, at, item) in head.parsed_list("element_safelist", &mut self.out, Id::parse) {
            let path = key.index(item);
            self.refer(Key::Object(element.clone()), at, path);
            let key = Key::SafelistElement(element.clone());
            if self.declare(key, at, (Section::ElementSafelist, item), path) {
                self.keep(Row::SafelistElement(SafelistElement { element }));
            }
        }
    }
}

/// Content that this version would lose is refused.
fn unsupported(fields: &mut Fields<'_, '_>, key: &str, out: &mut Problems) {
    let Some(node) = fields.take(key) else { return };
    if !matches!(&node.what, What::List(items) if items.is_empty()) {
        out.add(node.at, fields.path.key(key), format!("`{key}` is not supported by this version"));
    }
}

fn email_domains(head: &mut Fields<'_, '_>, out: &mut Problems) -> Vec<EmailDomain> {
    let key = Path::ROOT.key("email_domains");
    let mut domains = BTreeMap::new();
    for (item, node) in head.list("email_domains", out).into_iter().enumerate() {
        let path = key.index(item);
        let Some(mut fields) = Fields::open(node, path, out) else { continue };
        let domain = fields.required("domain", out, parse_domain);
        let audience = fields.required_choice("audience", out, &AUDIENCES);
        fields.close(out);
        let (Some((domain, at)), Some(audience)) = (domain, audience) else { continue };
        let repeated = format!("{} is given twice", quoted(domain.as_str()));
        if domains.insert(domain, audience).is_some() {
            out.add(at, path.key("domain"), repeated);
        }
    }
    domains.into_iter().map(|(domain, audience)| EmailDomain { domain, audience }).collect()
}

fn invite_policy(node: Node<'_>, path: Path<'_>, out: &mut Problems) -> InvitePolicy {
    const MODES: [(&str, Mode); 3] =
        [("admins_only", Mode::AdminsOnly), ("any_domain", Mode::AnyDomain), ("allowed_domains", Mode::AllowedDomains)];
    let Some(mut fields) = Fields::open(node, path, out) else { return InvitePolicy::AdminsOnly };
    let policy = match fields.required_choice("mode", out, &MODES) {
        None | Some(Mode::AdminsOnly) => InvitePolicy::AdminsOnly,
        Some(Mode::AnyDomain) => InvitePolicy::AnyDomain,
        Some(Mode::AllowedDomains) => {
            if !fields.has("domains") {
                fields.missing("domains", out);
            }
            let domains = fields.parsed_list("domains", out, parse_domain);
            InvitePolicy::AllowedDomains(domains.into_iter().map(|(domain, _, _)| domain).collect())
        }
    };
    if fields.has("domains") {
        out.add(fields.at, path.key("domains"), "only mode `allowed_domains` has domains");
        fields.take("domains");
    }
    fields.close(out);
    policy
}

/// Names are free here: what a condition can name is checked where conditions are.
fn field_types(node: Node<'_>, path: Path<'_>, out: &mut Problems) -> BTreeMap<String, FieldType> {
    let Some(fields) = Fields::open(node, path, out) else { return BTreeMap::new() };
    let mut types = BTreeMap::new();
    for (name, at, node) in fields.rest() {
        let path = path.key(&name);
        let at_type = node.at;
        match node
            .into_text()
            .and_then(|text| scalar::parse_field_type(&text).map_err(|error| format!("{} {error}", quoted(&text))))
        {
            Err(message) => out.add(at_type, path, message),
            Ok(field) => match OpaqueId::parse(&name) {
                Err(error) => out.add(at, path, format!("the name {error}")),
                Ok(_) => {
                    types.insert(name.into_owned(), field);
                }
            },
        }
    }
    types
}

/// Domains are compared in lower case.
pub(super) fn parse_domain(text: &str) -> Result<Domain, crate::core::id::IdError> {
    Domain::parse(&text.to_lowercase())
}

fn parse_private_to(text: &str) -> Result<PrivateTo, String> {
    match text.split_once(':') {
        Some(("account", id)) => Id::parse(id).map(PrivateTo::Account).map_err(|e| e.to_string()),
        Some(("user", id)) => OpaqueId::parse(id).map(PrivateTo::User).map_err(|e| e.to_string()),
        _ => Err("must be `account:ID` or `user:ID`".to_owned()),
    }
}
