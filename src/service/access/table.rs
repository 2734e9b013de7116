//! Which permission each RPC asks for (rule 7.6; presets.yaml `admin_rpcs`): one line an RPC.
//!
//! Reads ask for the `.read` of their family. Where a family has none, whoever may change a thing may
//! read it.

use crate::core::presets::ORGANIZATION_ADMIN;

/// What an RPC asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// A platform operator, in its own name.
    Operator,
    /// Anyone of the organization, active (rules 4.2 and 4.3): the decisions, about one's own
    /// organization and nothing else.
    Member,
    /// One of these permissions, at every place that is touched.
    Any(&'static [&'static str]),
    /// For each difference, what it would ask as a call of its own.
    Differences,
}

use Needs::{Any, Differences, Member, Operator};

/// Whoever holds it is trusted with provisioning (rule 3.7), at the organization.
pub const PROVISION: &str = "users.provision";

const ACCESS_REVIEW: Needs = Any(&["access.review"]);
const ACTIVITY_READ: Needs = Any(&["activity.read"]);
const CREDENTIALS: Needs = Any(&["credentials.manage"]);
const DATA_ACCESS_MANAGE: Needs = Any(&["data_access.manage"]);
const DATA_ACCESS_READ: Needs = Any(&["data_access.read"]);
const ELEMENT_LISTS: Needs = Any(&["element_lists.manage"]);
const EMERGENCY: Needs = Any(&["emergency.configure"]);
// It takes evidence out of the log, of all accounts.
const ERASE: Needs = Any(&[ORGANIZATION_ADMIN]);
const GROUPS_MANAGE: Needs = Any(&["groups.manage"]);
const GROUPS_PROVISION: Needs = Any(&["groups.manage", PROVISION]);
const GROUPS_MEMBERS: Needs = Any(&["groups.manage_members", PROVISION]);
const GROUPS_READ: Needs = Any(&["groups.read", PROVISION]);
const ORGANIZATION_READ: Needs = Any(&["organization.read"]);
const ORGANIZATION_UPDATE: Needs = Any(&["organization.update"]);
const ACCOUNTS_MANAGE: Needs = Any(&["accounts.manage"]);
const ACCOUNTS_READ: Needs = Any(&["organization.read", "accounts.manage"]);
const OBJECTS_MANAGE: Needs = Any(&["objects.manage"]);
const OBJECTS_CONFIGURE: Needs = Any(&["objects.configure"]);
const OBJECTS_READ: Needs = Any(&["organization.read", "objects.manage", "objects.configure"]);
const PERMISSIONS_MANAGE: Needs = Any(&["permissions.manage"]);
const PERMISSIONS_READ: Needs = Any(&["organization.read", "permissions.manage"]);
const RELATIONS: Needs = Any(&["relations.report"]);
const ROLES_ASSIGN: Needs = Any(&["roles.assign"]);
const ROLES_CONFIGURE: Needs = Any(&["roles.configure"]);
const ROLES_READ: Needs = Any(&["roles.read"]);
const SEPARATION: Needs = Any(&["separation_of_duties.manage"]);
const SERVICE_ACCOUNTS: Needs = Any(&["service_accounts.manage"]);
const USERS_INVITE: Needs = Any(&["organization_users.create"]);
const USERS_STATUS: Needs = Any(&["users.set_status"]);
const USERS_SIGN_ON: Needs = Any(&[PROVISION]);
// A provisioning bridge uses the same methods (rule 2.4).
const USERS_CREATE: Needs = Any(&["organization_users.create", PROVISION]);
const USERS_READ: Needs = Any(&["users.read", PROVISION]);
const USERS_REMOVE: Needs = Any(&["users.set_status", PROVISION]);
const USERS_UPDATE: Needs = Any(&["users.update", PROVISION]);

/// Every RPC, those included that this version does not do.
pub const RPCS: &[(&str, &[(&str, Needs)])] = &[
    (
        "ActivityService",
        &[
            ("ErasePersonalData", ERASE),
            ("ListActivity", ACTIVITY_READ),
            ("ListUnusedPermissions", ACCESS_REVIEW),
            ("ListUnusedRoles", ACCESS_REVIEW),
            ("ReviewAccess", ACCESS_REVIEW),
            ("StreamActivity", ACTIVITY_READ),
            ("VerifyActivity", ACTIVITY_READ),
        ],
    ),
    (
        "CredentialService",
        &[
            ("ActivateServiceAccount", SERVICE_ACCOUNTS),
            ("CreateCredential", CREDENTIALS),
            ("CreateServiceAccount", SERVICE_ACCOUNTS),
            ("DeactivateServiceAccount", SERVICE_ACCOUNTS),
            ("GetCredential", CREDENTIALS),
            ("GetServiceAccount", SERVICE_ACCOUNTS),
            ("ListCredentials", CREDENTIALS),
            ("ListServiceAccounts", SERVICE_ACCOUNTS),
            ("RevokeCredential", CREDENTIALS),
            ("RotateCredential", CREDENTIALS),
            ("UpdateServiceAccount", SERVICE_ACCOUNTS),
        ],
    ),
    (
        "DataAccessService",
        &[
            ("CreatePolicy", DATA_ACCESS_MANAGE),
            ("DeletePolicy", DATA_ACCESS_MANAGE),
            ("GetPolicy", DATA_ACCESS_READ),
            ("ListPolicies", DATA_ACCESS_READ),
            ("TestCondition", DATA_ACCESS_MANAGE),
            ("UpdatePolicy", DATA_ACCESS_MANAGE),
        ],
    ),
    (
        "DecisionService",
        &[
            ("Authorize", Member),
            ("BatchAuthorize", Member),
            ("Explain", Member),
            ("FilterRecords", Member),
            ("ListElements", Member),
            ("ListPermissions", Member),
            ("ListPrincipals", Member),
            ("PlanRecords", Member),
            ("StreamFilterRecords", Member),
        ],
    ),
    (
        "ElementListService",
        &[
            ("AddDenylistElements", Operator),
            ("AddSafelistElements", ELEMENT_LISTS),
            ("ClearDenylist", Operator),
            ("ClearSafelist", ELEMENT_LISTS),
            ("GetDenylist", Operator),
            ("GetSafelist", ELEMENT_LISTS),
            ("RemoveDenylistElement", Operator),
            ("RemoveSafelistElement", ELEMENT_LISTS),
            ("UpdateDenylist", Operator),
            ("UpdateSafelist", ELEMENT_LISTS),
        ],
    ),
    (
        "GroupService",
        &[
            ("AddMembers", GROUPS_MEMBERS),
            ("CreateGroup", GROUPS_PROVISION),
            ("DeleteGroup", GROUPS_MANAGE),
            ("ExportMembers", GROUPS_READ),
            ("GetGroup", GROUPS_READ),
            ("ListGroups", GROUPS_READ),
            ("ListMembers", GROUPS_READ),
            ("RemoveMembers", GROUPS_MEMBERS),
            ("ReplaceMembers", GROUPS_MEMBERS),
            ("UpdateGroup", GROUPS_PROVISION),
        ],
    ),
    (
        "OrganizationService",
        &[
            ("AddEmailDomain", ORGANIZATION_UPDATE),
            ("ApplyOrganization", Differences),
            ("CreateAccount", ACCOUNTS_MANAGE),
            ("CreateObject", OBJECTS_MANAGE),
            ("CreateOrganization", Operator),
            ("CreatePermission", PERMISSIONS_MANAGE),
            ("CreateSuperOrganization", Operator),
            ("DeleteAccount", ACCOUNTS_MANAGE),
            ("DeleteObject", OBJECTS_MANAGE),
            ("DeleteOrganization", Operator),
            ("DeletePermission", PERMISSIONS_MANAGE),
            ("DeleteSuperOrganization", Operator),
            ("ExportOrganization", ORGANIZATION_READ),
            ("GetAccount", ACCOUNTS_READ),
            ("GetObject", OBJECTS_READ),
            ("GetOrganization", ORGANIZATION_READ),
            ("GetPermission", PERMISSIONS_READ),
            ("GetSuperOrganization", Operator),
            ("ListAccounts", ACCOUNTS_READ),
            ("ListCatalogPermissions", PERMISSIONS_READ),
            ("ListObjects", OBJECTS_READ),
            ("ListOrganizations", Operator),
            ("ListSuperOrganizations", Operator),
            ("RemoveEmailDomain", ORGANIZATION_UPDATE),
            ("UpdateAccount", ACCOUNTS_MANAGE),
            ("UpdateObject", OBJECTS_CONFIGURE),
            ("UpdateOrganization", ORGANIZATION_UPDATE),
            ("UpdatePermission", PERMISSIONS_MANAGE),
            ("UpdateSuperOrganization", Operator),
        ],
    ),
    (
        "RelationService",
        &[
            ("BatchReportRelations", RELATIONS),
            ("ForgetRecord", RELATIONS),
            ("ListRelations", RELATIONS),
            ("ReportRelation", RELATIONS),
        ],
    ),
    (
        "RoleService",
        &[
            // Activating asks only to be named (rule 7.4).
            ("ActivateEmergencyAccess", Member),
            ("CompareRoles", ROLES_READ),
            ("CreateAssignment", ROLES_ASSIGN),
            ("CreateEmergencyRule", EMERGENCY),
            ("CreateGrants", ROLES_ASSIGN),
            ("CreateRole", ROLES_CONFIGURE),
            ("CreateSeparationConstraint", SEPARATION),
            ("DeleteAssignment", ROLES_ASSIGN),
            ("DeleteEmergencyRule", EMERGENCY),
            ("DeleteGrants", ROLES_ASSIGN),
            ("DeleteRole", ROLES_CONFIGURE),
            ("DeleteSeparationConstraint", SEPARATION),
            ("EndEmergencyAccess", Member),
            ("GetAssignment", ROLES_READ),
            ("GetEmergencyRule", EMERGENCY),
            ("GetRole", ROLES_READ),
            ("GetSeparationConstraint", SEPARATION),
            ("ListAssignments", ROLES_READ),
            ("ListEmergencyActivations", EMERGENCY),
            ("ListEmergencyRules", EMERGENCY),
            ("ListGrants", ROLES_READ),
            ("ListRoleHolders", ROLES_READ),
            ("ListRoles", ROLES_READ),
            ("ListSeparationConstraints", SEPARATION),
            ("ListSeparationViolations", SEPARATION),
            ("UpdateAssignment", ROLES_ASSIGN),
            ("UpdateEmergencyRule", EMERGENCY),
            ("UpdateGrants", ROLES_ASSIGN),
            ("UpdateRole", ROLES_CONFIGURE),
            ("UpdateSeparationConstraint", SEPARATION),
        ],
    ),
    (
        "UserService",
        &[
            ("ActivateUser", USERS_REMOVE),
            ("CompleteRegistration", USERS_STATUS),
            ("CreateUser", USERS_CREATE),
            ("DeactivateUser", USERS_REMOVE),
            ("DowngradeUser", USERS_STATUS),
            ("GetUser", USERS_READ),
            ("InviteUser", USERS_INVITE),
            ("ListUserGroups", USERS_READ),
            ("ListUsers", USERS_READ),
            ("ProvisionUser", USERS_SIGN_ON),
            ("RevokeInvitation", USERS_STATUS),
            ("UpdateUser", USERS_UPDATE),
            ("UpgradeUser", USERS_STATUS),
        ],
    ),
    ("WatchService", &[("Watch", Any(&["changes.watch"]))]),
];

/// Every permission that calls are admitted by, and what stands for it (rule 4.9).
pub fn own_permissions() -> impl Iterator<Item = &'static str> {
    let asked = RPCS.iter().flat_map(|(_, rpcs)| rpcs.iter()).filter_map(|(_, needs)| match needs {
        Any(permissions) => Some(*permissions),
        Differences | Member | Operator => None,
    });
    asked.flatten().copied().chain([ORGANIZATION_ADMIN])
}

/// What a method (`doorward.v1.Service/Method`) asks; one without a line asks for an operator.
#[must_use]
pub fn needs(method: &str) -> Needs {
    let found = method.strip_prefix("doorward.v1.").and_then(|path| path.split_once('/')).and_then(|(service, rpc)| {
        let (_, rpcs) = RPCS.iter().find(|(name, _)| *name == service)?;
        Some(rpcs.iter().find(|(name, _)| *name == rpc)?.1)
    });
    // INVARIANT 4: what nobody thought of is not allowed.
    found.unwrap_or(Operator)
}
