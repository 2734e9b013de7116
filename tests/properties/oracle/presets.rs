//! What ships: presets.yaml, copied by hand.

use super::{Level, Permission, PresetRole};

const ADMINISTRATION: &str = "
    organization.admin level=organization alias=ADMIN
    organization.read level=organization
    organization.update level=organization
    permissions.manage level=organization
    accounts.manage level=organization
    objects.manage level=organization
    objects.configure
    organization_users.create level=account alias=CREATE_ORGANIZATION_USERS
    users.read level=account
    users.update level=account
    users.set_status level=account
    users.provision level=organization
    service_accounts.manage level=account
    credentials.manage level=account
    groups.read level=organization
    groups.manage level=organization
    groups.manage_members level=organization
    roles.read
    roles.configure alias=configure_roles
    roles.assign
    data_access.read
    data_access.manage
    relations.report
    element_lists.manage level=organization alias=manageElementOrgLists
    separation_of_duties.manage level=organization
    emergency.configure level=organization
    activity.read level=account
    access.review
    changes.watch level=organization";

const WORKSPACE: &str = "
    records.create
    records.read requires=visibility
    records.update requires=visibility
    records.delete requires=visibility
    records.comment requires=visibility
    records.approve requires=visibility requires=approver
    automations.create
    automations.read
    automations.update
    automations.delete
    automations.run
    agents.create
    agents.read
    agents.update
    agents.delete
    agents.run
    ai_providers.create
    ai_providers.read
    ai_providers.update
    ai_providers.delete
    ai_providers.use
    analytics.create
    analytics.read
    analytics.update
    analytics.delete
    apps.read
    apps.configure
    tasks.create
    tasks.read
    tasks.update
    tasks.delete";

const WORKSPACE_ROLES: &str = "
    organization-admin organization *
    app-admin object records.* automations.* agents.* ai_providers.* analytics.* apps.* tasks.* objects.configure roles.* data_access.* relations.report access.review
    content-editor object records.* tasks.* analytics.* automations.read automations.run agents.read agents.run ai_providers.use apps.read relations.report
    content-viewer object records.read tasks.read analytics.read automations.read agents.read apps.read";

const INTEGRATION: &str = "
    elements.create
    elements.read
    elements.update
    elements.delete
    element_instances.create
    element_instances.view when_not_owner=element_instances.view_account
    element_instances.use when_not_owner=element_instances.use_account
    element_instances.edit when_not_owner=element_instances.edit_account
    element_instances.delete when_not_owner=element_instances.delete_account
    element_instances.view_account level=account alias=viewAccountElementInstances
    element_instances.use_account level=account alias=useAccountElementInstances
    element_instances.edit_account level=account alias=editAccountElementInstances
    element_instances.delete_account level=account alias=deleteAccountElementInstances
    formula_templates.create
    formula_templates.read
    formula_templates.update
    formula_templates.delete
    formula_templates.run
    virtual_data_resources.create
    virtual_data_resources.read
    virtual_data_resources.update
    virtual_data_resources.delete";

const INTEGRATION_ROLES: &str = "
    org-admin organization *
    admin account elements.* element_instances.* formula_templates.* virtual_data_resources.* users.read organization_users.create users.update users.set_status service_accounts.manage credentials.manage roles.read roles.assign activity.read
    org organization elements.read element_instances.create element_instances.view element_instances.use element_instances.edit element_instances.delete formula_templates.read formula_templates.run virtual_data_resources.read activity.read
    default-user account elements.read element_instances.create element_instances.view element_instances.use element_instances.edit element_instances.delete formula_templates.run virtual_data_resources.read";

/// What is in the catalogue of every organization, and what the preset adds.
pub fn built_in_permissions(preset: &str) -> Vec<Permission> {
    let of_preset = match preset {
        "workspace" => WORKSPACE,
        "integration" => INTEGRATION,
        _ => "",
    };
    let rows = ADMINISTRATION.lines().chain(of_preset.lines()).filter(|line| !line.trim().is_empty());
    rows.map(|row| {
        let mut words = row.split_whitespace();
        let name = words.next().expect("a name").to_owned();
        let marks: Vec<(&str, &str)> = words.map(|word| word.split_once('=').expect("a mark")).collect();
        let all =
            |key: &str| marks.iter().filter(|mark| mark.0 == key).map(|mark| mark.1.to_owned()).collect::<Vec<_>>();
        Permission {
            name,
            aliases: all("alias"),
            level: all("level").first().map_or(Level::Object, |level| level_named(level)),
            requires_visibility: marks.contains(&("requires", "visibility")),
            requires_approver: marks.contains(&("requires", "approver")),
            when_not_owner: all("when_not_owner").pop(),
        }
    })
    .collect()
}

/// The managed and system roles of a preset.
pub fn preset_roles(preset: &str) -> Vec<PresetRole> {
    let rows = match preset {
        "workspace" => WORKSPACE_ROLES,
        "integration" => INTEGRATION_ROLES,
        _ => "",
    };
    let role = |row: &str| {
        let mut words = row.split_whitespace().map(str::to_owned);
        PresetRole {
            id: words.next().expect("an id"),
            scope: words.next().expect("a scope"),
            permissions: words.collect(),
        }
    };
    rows.lines().filter(|line| !line.trim().is_empty()).map(role).collect()
}

pub(super) fn level_named(level: &str) -> Level {
    match level {
        "organization" => Level::Organization,
        "account" => Level::Account,
        "object" => Level::Object,
        _ => panic!("`{level}` is no level"),
    }
}
