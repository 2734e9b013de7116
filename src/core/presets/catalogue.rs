//! The catalogues and roles themselves: one line a permission.

use super::{BuiltIn, ShippedRole};
use crate::core::model::{Level, RoleKind, Scope};

const PLAIN: BuiltIn = BuiltIn {
    name: "",
    aliases: &[],
    level: Level::Object,
    requires_visibility: false,
    requires_approver: false,
    when_not_owner: None,
};

/// What admin calls check: in every organization, whatever the preset (rule 7.6).
pub const ADMINISTRATION: &[BuiltIn] = &[
    BuiltIn { name: "organization.admin", aliases: &["ADMIN"], level: Level::Organization, ..PLAIN },
    BuiltIn { name: "organization.read", level: Level::Organization, ..PLAIN },
    BuiltIn { name: "organization.update", level: Level::Organization, ..PLAIN },
    BuiltIn { name: "permissions.manage", level: Level::Organization, ..PLAIN },
    BuiltIn { name: "accounts.manage", level: Level::Organization, ..PLAIN },
    BuiltIn { name: "objects.manage", level: Level::Organization, ..PLAIN },
    BuiltIn { name: "objects.configure", ..PLAIN },
    BuiltIn {
        name: "organization_users.create",
        aliases: &["CREATE_ORGANIZATION_USERS"],
        level: Level::Account,
        ..PLAIN
    },
    BuiltIn { name: "users.read", level: Level::Account, ..PLAIN },
    BuiltIn { name: "users.update", level: Level::Account, ..PLAIN },
    BuiltIn { name: "users.set_status", level: Level::Account, ..PLAIN },
    BuiltIn { name: "users.provision", level: Level::Organization, ..PLAIN },
    BuiltIn { name: "service_accounts.manage", level: Level::Account, ..PLAIN },
    BuiltIn { name: "credentials.manage", level: Level::Account, ..PLAIN },
    BuiltIn { name: "groups.read", level: Level::Organization, ..PLAIN },
    BuiltIn { name: "groups.manage", level: Level::Organization, ..PLAIN },
    BuiltIn { name: "groups.manage_members", level: Level::Organization, ..PLAIN },
    BuiltIn { name: "roles.read", ..PLAIN },
    BuiltIn { name: "roles.configure", aliases: &["configure_roles"], ..PLAIN },
    BuiltIn { name: "roles.assign", ..PLAIN },
    BuiltIn { name: "data_access.read", ..PLAIN },
    BuiltIn { name: "data_access.manage", ..PLAIN },
    BuiltIn { name: "relations.report", ..PLAIN },
    BuiltIn { name: "element_lists.manage", aliases: &["manageElementOrgLists"], level: Level::Organization, ..PLAIN },
    BuiltIn { name: "separation_of_duties.manage", level: Level::Organization, ..PLAIN },
    BuiltIn { name: "emergency.configure", level: Level::Organization, ..PLAIN },
    BuiltIn { name: "activity.read", level: Level::Account, ..PLAIN },
    BuiltIn { name: "access.review", ..PLAIN },
    BuiltIn { name: "changes.watch", level: Level::Organization, ..PLAIN },
];

/// The workspace product's permissions (rule 3.5).
pub const WORKSPACE: &[BuiltIn] = &[
    BuiltIn { name: "records.create", ..PLAIN },
    BuiltIn { name: "records.read", requires_visibility: true, ..PLAIN },
    BuiltIn { name: "records.update", requires_visibility: true, ..PLAIN },
    BuiltIn { name: "records.delete", requires_visibility: true, ..PLAIN },
    BuiltIn { name: "records.comment", requires_visibility: true, ..PLAIN },
    BuiltIn { name: "records.approve", requires_visibility: true, requires_approver: true, ..PLAIN },
    BuiltIn { name: "automations.create", ..PLAIN },
    BuiltIn { name: "automations.read", ..PLAIN },
    BuiltIn { name: "automations.update", ..PLAIN },
    BuiltIn { name: "automations.delete", ..PLAIN },
    BuiltIn { name: "automations.run", ..PLAIN },
    BuiltIn { name: "agents.create", ..PLAIN },
    BuiltIn { name: "agents.read", ..PLAIN },
    BuiltIn { name: "agents.update", ..PLAIN },
    BuiltIn { name: "agents.delete", ..PLAIN },
    BuiltIn { name: "agents.run", ..PLAIN },
    BuiltIn { name: "ai_providers.create", ..PLAIN },
    BuiltIn { name: "ai_providers.read", ..PLAIN },
    BuiltIn { name: "ai_providers.update", ..PLAIN },
    BuiltIn { name: "ai_providers.delete", ..PLAIN },
    BuiltIn { name: "ai_providers.use", ..PLAIN },
    BuiltIn { name: "analytics.create", ..PLAIN },
    BuiltIn { name: "analytics.read", ..PLAIN },
    BuiltIn { name: "analytics.update", ..PLAIN },
    BuiltIn { name: "analytics.delete", ..PLAIN },
    BuiltIn { name: "apps.read", ..PLAIN },
    BuiltIn { name: "apps.configure", ..PLAIN },
    BuiltIn { name: "tasks.create", ..PLAIN },
    BuiltIn { name: "tasks.read", ..PLAIN },
    BuiltIn { name: "tasks.update", ..PLAIN },
    BuiltIn { name: "tasks.delete", ..PLAIN },
];

/// The workspace product's roles (rule 3.5).
pub const WORKSPACE_ROLES: &[ShippedRole] = &[
    ShippedRole {
        id: "organization-admin",
        name: "Organization Admin",
        scope: Scope::Organization,
        kind: RoleKind::Managed,
        permissions: &["*"],
    },
    ShippedRole {
        id: "app-admin",
        name: "App Admin",
        scope: Scope::Object,
        kind: RoleKind::Managed,
        permissions: &[
            "records.*",
            "automations.*",
            "agents.*",
            "ai_providers.*",
            "analytics.*",
            "apps.*",
            "tasks.*",
            "objects.configure",
            "roles.*",
            "data_access.*",
            "relations.report",
            "access.review",
        ],
    },
    ShippedRole {
        id: "content-editor",
        name: "Content Editor",
        scope: Scope::Object,
        kind: RoleKind::Managed,
        permissions: &[
            "records.*",
            "tasks.*",
            "analytics.*",
            "automations.read",
            "automations.run",
            "agents.read",
            "agents.run",
            "ai_providers.use",
            "apps.read",
            "relations.report",
        ],
    },
    ShippedRole {
        id: "content-viewer",
        name: "Content Viewer",
        scope: Scope::Object,
        kind: RoleKind::Managed,
        permissions: &["records.read", "tasks.read", "analytics.read", "automations.read", "agents.read", "apps.read"],
    },
];

/// The integration product's permissions (rule 3.6).
pub const INTEGRATION: &[BuiltIn] = &[
    BuiltIn { name: "elements.create", ..PLAIN },
    BuiltIn { name: "elements.read", ..PLAIN },
    BuiltIn { name: "elements.update", ..PLAIN },
    BuiltIn { name: "elements.delete", ..PLAIN },
    BuiltIn { name: "element_instances.create", ..PLAIN },
    BuiltIn { name: "element_instances.view", when_not_owner: Some("element_instances.view_account"), ..PLAIN },
    BuiltIn { name: "element_instances.use", when_not_owner: Some("element_instances.use_account"), ..PLAIN },
    BuiltIn { name: "element_instances.edit", when_not_owner: Some("element_instances.edit_account"), ..PLAIN },
    BuiltIn { name: "element_instances.delete", when_not_owner: Some("element_instances.delete_account"), ..PLAIN },
    BuiltIn {
        name: "element_instances.view_account",
        aliases: &["viewAccountElementInstances"],
        level: Level::Account,
        ..PLAIN
    },
    BuiltIn {
        name: "element_instances.use_account",
        aliases: &["useAccountElementInstances"],
        level: Level::Account,
        ..PLAIN
    },
    BuiltIn {
        name: "element_instances.edit_account",
        aliases: &["editAccountElementInstances"],
        level: Level::Account,
        ..PLAIN
    },
    BuiltIn {
        name: "element_instances.delete_account",
        aliases: &["deleteAccountElementInstances"],
        level: Level::Account,
        ..PLAIN
    },
    BuiltIn { name: "formula_templates.create", ..PLAIN },
    BuiltIn { name: "formula_templates.read", ..PLAIN },
    BuiltIn { name: "formula_templates.update", ..PLAIN },
    BuiltIn { name: "formula_templates.delete", ..PLAIN },
    BuiltIn { name: "formula_templates.run", ..PLAIN },
    BuiltIn { name: "virtual_data_resources.create", ..PLAIN },
    BuiltIn { name: "virtual_data_resources.read", ..PLAIN },
    BuiltIn { name: "virtual_data_resources.update", ..PLAIN },
    BuiltIn { name: "virtual_data_resources.delete", ..PLAIN },
];

/// The integration product's roles (rule 3.6).
pub const INTEGRATION_ROLES: &[ShippedRole] = &[
    ShippedRole {
        id: "org-admin",
        name: "Organization Administrator",
        scope: Scope::Organization,
        kind: RoleKind::System,
        permissions: &["*"],
    },
    ShippedRole {
        id: "admin",
        name: "Account Administrator",
        scope: Scope::Account,
        kind: RoleKind::System,
        permissions: &[
            "elements.*",
            "element_instances.*",
            "formula_templates.*",
            "virtual_data_resources.*",
            "users.read",
            "organization_users.create",
            "users.update",
            "users.set_status",
            "service_accounts.manage",
            "credentials.manage",
            "roles.read",
            "roles.assign",
            "activity.read",
        ],
    },
    ShippedRole {
        id: "org",
        name: "Organization User",
        scope: Scope::Organization,
        kind: RoleKind::System,
        permissions: &[
            "elements.read",
            "element_instances.create",
            "element_instances.view",
            "element_instances.use",
            "element_instances.edit",
            "element_instances.delete",
            "formula_templates.read",
            "formula_templates.run",
            "virtual_data_resources.read",
            "activity.read",
        ],
    },
    ShippedRole {
        id: "default-user",
        name: "Default User",
        scope: Scope::Account,
        kind: RoleKind::System,
        permissions: &[
            "elements.read",
            "element_instances.create",
            "element_instances.view",
            "element_instances.use",
            "element_instances.edit",
            "element_instances.delete",
            "formula_templates.run",
            "virtual_data_resources.read",
        ],
    },
];
