//! What an operator could send, for each RPC that is done.

use std::collections::BTreeMap;

use doorward::service::proto as pb;
use prost::Message;

use crate::wire::user;

#[allow(clippy::needless_update, reason = "one macro for messages of any number of fields")]
/// A call that an operator could make: what it sends, for each RPC that is done.
pub fn samples(organization: &str) -> BTreeMap<&'static str, Vec<Vec<u8>>> {
    let o = organization.to_owned();
    let mut samples = BTreeMap::new();
    macro_rules! sample {
        ($rpc:literal $message:ident { $($field:ident: $value:expr),* $(,)? }) => {
            let message = pb::$message { $($field: $value.into(),)* ..Default::default() };
            samples.insert($rpc, vec![message.encode_to_vec()]);
        };
    }
    macro_rules! dry {
        ($rpc:literal $message:ident { $($field:ident: $value:expr),* $(,)? }) => {
            sample!($rpc $message { validate_only: true, organization: o.clone(), $($field: $value),* });
        };
    }
    macro_rules! read {
        ($rpc:literal $message:ident { $($field:ident: $value:expr),* $(,)? }) => {
            sample!($rpc $message { organization: o.clone(), $($field: $value),* });
        };
    }
    let named = pb::Organization { id: o.clone(), display_name: "new".into(), ..Default::default() };
    let fresh = pb::Organization { id: "fresh".into(), preset: pb::Preset::None.into(), ..Default::default() };
    let main = pb::Account { id: "main".into(), display_name: "new".into(), ..Default::default() };
    let account = pb::Account { id: "west".into(), ..Default::default() };
    let app = pb::Object { id: "app".into(), display_name: "new".into(), ..Default::default() };
    let object = pb::Object { id: "task".into(), kind: pb::ObjectKind::Task.into(), ..Default::default() };
    let own = pb::Permission { name: "own.thing".into(), ..Default::default() };
    let other = pb::Permission { name: "own.other".into(), ..Default::default() };
    let ana = pb::User { id: "ana".into(), first_name: "Ana".into(), ..Default::default() };
    let group = pb::Group { id: "g".into(), name: "new".into(), ..Default::default() };
    let second = pb::Group { id: "h".into(), kind: pb::GroupKind::Manual.into(), ..Default::default() };
    let helper = pb::Role { id: "helper".into(), name: "new".into(), ..Default::default() };
    let role = pb::Role {
        id: "third".into(),
        scope: pb::RoleScope::Organization.into(),
        permissions: vec!["tasks.read".into()],
        ..Default::default()
    };
    let held = pb::Assignment { role: "helper".into(), member: "user:ana".into(), ..Default::default() };
    let assignment = pb::Assignment { role: "helper".into(), member: "user:lim".into(), ..Default::default() };
    let granted = pb::Grant { permissions: vec!["tasks.read".into()], member: "user:ana".into(), ..Default::default() };
    let grant = pb::Grant { permissions: vec!["tasks.read".into()], member: "user:lim".into(), ..Default::default() };
    let policy = pb::DataAccessPolicy {
        id: "all".into(),
        object: "app".into(),
        effect: pb::PolicyEffect::Allow.into(),
        members: vec!["group:g".into()],
        ..Default::default()
    };
    let second_policy = pb::DataAccessPolicy { id: "more".into(), ..policy.clone() };
    let relation = pb::RecordRelation {
        relation: pb::Relation::Watcher.into(),
        member: "user:ana".into(),
        object: "app".into(),
        record: "r-1".into(),
    };
    let report = pb::RelationReport { relation: Some(relation), event: pb::RelationEvent::Added.into() };
    let robot = pb::ServiceAccount { id: "robot".into(), account: "main".into(), ..Default::default() };
    let fresh_robot = pb::ServiceAccount { id: "r2".into(), ..Default::default() };
    let domain = pb::EmailDomain { domain: "acme.org".into(), audience: pb::UserKind::Internal.into() };

    sample!("OrganizationService/CreateOrganization" CreateOrganizationRequest { validate_only: true, organization: Some(fresh) });
    sample!("OrganizationService/UpdateOrganization" UpdateOrganizationRequest { validate_only: true, organization: Some(named) });
    sample!("OrganizationService/ListOrganizations" ListOrganizationsRequest {});
    read!("OrganizationService/GetOrganization" GetOrganizationRequest {});
    read!("OrganizationService/ExportOrganization" ExportOrganizationRequest {});
    dry!("OrganizationService/DeleteOrganization" DeleteOrganizationRequest {});
    dry!("OrganizationService/AddEmailDomain" AddEmailDomainRequest { email_domain: Some(domain) });
    dry!("OrganizationService/RemoveEmailDomain" RemoveEmailDomainRequest { domain: "acme.com" });
    dry!("OrganizationService/CreateAccount" CreateAccountRequest { account: Some(account) });
    read!("OrganizationService/GetAccount" GetAccountRequest { account: "main" });
    read!("OrganizationService/ListAccounts" ListAccountsRequest {});
    dry!("OrganizationService/UpdateAccount" UpdateAccountRequest { account: Some(main) });
    dry!("OrganizationService/DeleteAccount" DeleteAccountRequest { account: "spare" });
    dry!("OrganizationService/CreateObject" CreateObjectRequest { object: Some(object) });
    read!("OrganizationService/GetObject" GetObjectRequest { object: "app" });
    read!("OrganizationService/ListObjects" ListObjectsRequest {});
    dry!("OrganizationService/UpdateObject" UpdateObjectRequest { object: Some(app) });
    dry!("OrganizationService/DeleteObject" DeleteObjectRequest { object: "app" });
    dry!("OrganizationService/CreatePermission" CreatePermissionRequest { permission: Some(other) });
    read!("OrganizationService/GetPermission" GetPermissionRequest { permission: "own.thing" });
    read!("OrganizationService/ListCatalogPermissions" ListCatalogPermissionsRequest {});
    dry!("OrganizationService/UpdatePermission" UpdatePermissionRequest { permission: Some(own) });
    dry!("OrganizationService/DeletePermission" DeletePermissionRequest { permission: "own.thing" });
    dry!("UserService/CreateUser" CreateUserRequest { user: Some(user("new", "new@acme.com")) });
    dry!("UserService/InviteUser" InviteUserRequest { user: Some(user("new", "new@acme.com")) });
    read!("UserService/GetUser" GetUserRequest { user: "ana" });
    read!("UserService/ListUsers" ListUsersRequest {});
    read!("UserService/ListUserGroups" ListUserGroupsRequest { user: "ana" });
    dry!("UserService/UpdateUser" UpdateUserRequest { user: Some(ana) });
    let sign_on = pb::SignOn { issuer: "https://login.acme.com".into(), subject: "ana".into() };
    dry!("UserService/ProvisionUser" ProvisionUserRequest { sign_on: Some(sign_on), email: "ana@acme.com" });
    dry!("UserService/CompleteRegistration" CompleteRegistrationRequest { user: "inv" });
    dry!("UserService/RevokeInvitation" RevokeInvitationRequest { user: "inv" });
    dry!("UserService/DowngradeUser" DowngradeUserRequest { user: "ana" });
    dry!("UserService/UpgradeUser" UpgradeUserRequest { user: "lim" });
    dry!("UserService/DeactivateUser" DeactivateUserRequest { user: "ana" });
    dry!("UserService/ActivateUser" ActivateUserRequest { user: "gone" });
    dry!("GroupService/CreateGroup" CreateGroupRequest { group: Some(second) });
    read!("GroupService/GetGroup" GetGroupRequest { group: "g" });
    read!("GroupService/ListGroups" ListGroupsRequest {});
    dry!("GroupService/UpdateGroup" UpdateGroupRequest { group: Some(group) });
    dry!("GroupService/DeleteGroup" DeleteGroupRequest { group: "g" });
    let members = vec!["user:ana".to_owned()];
    dry!("GroupService/AddMembers" AddMembersRequest { group: "g", members: members.clone() });
    dry!("GroupService/RemoveMembers" RemoveMembersRequest { group: "g", members: members.clone() });
    dry!("GroupService/ReplaceMembers" ReplaceMembersRequest { group: "g", members: members });
    read!("GroupService/ListMembers" ListMembersRequest { group: "g" });
    read!("GroupService/ExportMembers" ExportMembersRequest { group: "g" });
    dry!("RoleService/CreateRole" CreateRoleRequest { role: Some(role) });
    read!("RoleService/GetRole" GetRoleRequest { role: "helper" });
    read!("RoleService/ListRoles" ListRolesRequest {});
    dry!("RoleService/UpdateRole" UpdateRoleRequest { role: Some(helper) });
    dry!("RoleService/DeleteRole" DeleteRoleRequest { role: "helper" });
    read!("RoleService/CompareRoles" CompareRolesRequest { first_role: "helper", second_role: "organization-admin" });
    read!("RoleService/ListRoleHolders" ListRoleHoldersRequest { role: "helper" });
    dry!("RoleService/CreateAssignment" CreateAssignmentRequest { assignment: Some(assignment) });
    read!("RoleService/GetAssignment" GetAssignmentRequest { role: "helper", member: "user:ana" });
    read!("RoleService/ListAssignments" ListAssignmentsRequest {});
    dry!("RoleService/UpdateAssignment" UpdateAssignmentRequest { assignment: Some(held) });
    dry!("RoleService/DeleteAssignment" DeleteAssignmentRequest { role: "helper", member: "user:ana" });
    dry!("RoleService/CreateGrants" CreateGrantsRequest { grant: Some(grant) });
    read!("RoleService/ListGrants" ListGrantsRequest {});
    dry!("RoleService/UpdateGrants" UpdateGrantsRequest { grant: Some(granted) });
    let permissions = vec!["tasks.read".to_owned()];
    dry!("RoleService/DeleteGrants" DeleteGrantsRequest { permissions: permissions, member: "user:ana" });
    let pay = pb::SeparationConstraint {
        id: "pay".into(),
        roles: vec!["helper".into(), "organization-admin".into()],
        max: 1,
        ..Default::default()
    };
    let denying = pb::SeparationConstraint { enforcement: pb::SeparationEnforcement::Deny.into(), ..pay.clone() };
    let other_pay = pb::SeparationConstraint { id: "other".into(), ..denying.clone() };
    dry!("RoleService/CreateSeparationConstraint" CreateSeparationConstraintRequest { separation_constraint: Some(other_pay) });
    read!("RoleService/GetSeparationConstraint" GetSeparationConstraintRequest { separation_constraint: "pay" });
    read!("RoleService/ListSeparationConstraints" ListSeparationConstraintsRequest {});
    dry!("RoleService/UpdateSeparationConstraint" UpdateSeparationConstraintRequest { separation_constraint: Some(denying) });
    dry!("RoleService/DeleteSeparationConstraint" DeleteSeparationConstraintRequest { separation_constraint: "pay" });
    read!("RoleService/ListSeparationViolations" ListSeparationViolationsRequest {});
    let hour = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    let fire = pb::EmergencyRule {
        role: "helper".into(),
        users: vec!["ana".into()],
        max_duration: hour,
        ..Default::default()
    };
    let other_fire = pb::EmergencyRule { role: "organization-admin".into(), ..fire.clone() };
    dry!("RoleService/CreateEmergencyRule" CreateEmergencyRuleRequest { emergency_rule: Some(other_fire) });
    read!("RoleService/GetEmergencyRule" GetEmergencyRuleRequest { role: "helper" });
    read!("RoleService/ListEmergencyRules" ListEmergencyRulesRequest {});
    dry!("RoleService/UpdateEmergencyRule" UpdateEmergencyRuleRequest { emergency_rule: Some(fire) });
    dry!("RoleService/DeleteEmergencyRule" DeleteEmergencyRuleRequest { role: "helper" });
    dry!("RoleService/ActivateEmergencyAccess" ActivateEmergencyAccessRequest { role: "helper", justification: "fire" });
    dry!("RoleService/EndEmergencyAccess" EndEmergencyAccessRequest { activation: "none" });
    read!("RoleService/ListEmergencyActivations" ListEmergencyActivationsRequest {});
    dry!("DataAccessService/CreatePolicy" CreatePolicyRequest { policy: Some(second_policy) });
    read!("DataAccessService/GetPolicy" GetPolicyRequest { policy: "all" });
    read!("DataAccessService/ListPolicies" ListPoliciesRequest {});
    dry!("DataAccessService/UpdatePolicy" UpdatePolicyRequest { policy: Some(policy) });
    dry!("DataAccessService/DeletePolicy" DeletePolicyRequest { policy: "all" });
    let condition = "record.id == 'r-1'";
    read!("DataAccessService/TestCondition" TestConditionRequest { object: "app", condition: condition, principal: "user:ana" });
    dry!("RelationService/ReportRelation" ReportRelationRequest { report: Some(report.clone()) });
    dry!("RelationService/BatchReportRelations" BatchReportRelationsRequest { reports: vec![report] });
    read!("RelationService/ListRelations" ListRelationsRequest { object: "app" });
    dry!("RelationService/ForgetRecord" ForgetRecordRequest { object: "app", record: "r-1" });
    dry!("CredentialService/CreateServiceAccount" CreateServiceAccountRequest { service_account: Some(fresh_robot) });
    read!("CredentialService/GetServiceAccount" GetServiceAccountRequest { service_account: "robot" });
    read!("CredentialService/ListServiceAccounts" ListServiceAccountsRequest {});
    dry!("CredentialService/UpdateServiceAccount" UpdateServiceAccountRequest { service_account: Some(robot) });
    dry!("CredentialService/DeactivateServiceAccount" DeactivateServiceAccountRequest { service_account: "robot" });
    dry!("CredentialService/ActivateServiceAccount" ActivateServiceAccountRequest { service_account: "robot" });
    dry!("CredentialService/CreateCredential" CreateCredentialRequest { service_account: "robot" });
    read!("CredentialService/ListCredentials" ListCredentialsRequest { service_account: "robot" });
    dry!("ActivityService/ErasePersonalData" ErasePersonalDataRequest { user: "ana" });
    read!("ActivityService/ListActivity" ListActivityRequest {});
    read!("ActivityService/StreamActivity" StreamActivityRequest {});
    read!("ActivityService/VerifyActivity" VerifyActivityRequest {});
    read!("ElementListService/GetSafelist" GetSafelistRequest {});
    dry!("ElementListService/UpdateSafelist" UpdateSafelistRequest { elements: elements_of(1) });
    dry!("ElementListService/AddSafelistElements" AddSafelistElementsRequest { elements: elements_of(1) });
    dry!("ElementListService/RemoveSafelistElement" RemoveSafelistElementRequest { element: "el-1" });
    dry!("ElementListService/ClearSafelist" ClearSafelistRequest {});
    macro_rules! globex {
        ($rpc:literal $message:ident { $($field:ident: $value:expr),* $(,)? }) => {
            sample!($rpc $message { super_organization: "globex", $($field: $value),* });
        };
    }
    globex!("ElementListService/GetDenylist" GetDenylistRequest {});
    globex!("ElementListService/UpdateDenylist" UpdateDenylistRequest { validate_only: true, elements: elements_of(3) });
    globex!("ElementListService/AddDenylistElements" AddDenylistElementsRequest { validate_only: true, elements: elements_of(3) });
    globex!("ElementListService/RemoveDenylistElement" RemoveDenylistElementRequest { validate_only: true, element: "gone" });
    globex!("ElementListService/ClearDenylist" ClearDenylistRequest { validate_only: true });
    globex!("OrganizationService/GetSuperOrganization" GetSuperOrganizationRequest {});
    globex!("OrganizationService/DeleteSuperOrganization" DeleteSuperOrganizationRequest { validate_only: true });
    let over = |id: &str| pb::SuperOrganization { id: id.into(), display_name: "new".into(), ..Default::default() };
    sample!("OrganizationService/CreateSuperOrganization" CreateSuperOrganizationRequest { validate_only: true, super_organization: Some(over("initech")) });
    sample!("OrganizationService/UpdateSuperOrganization" UpdateSuperOrganizationRequest { validate_only: true, super_organization: Some(over("globex")) });
    sample!("OrganizationService/ListSuperOrganizations" ListSuperOrganizationsRequest {});
    let may = |m: pb::AuthorizeRequest| pb::AuthorizeRequest {
        principal: "user:ana".into(),
        permission: "tasks.read".into(),
        ..m
    };
    samples.insert(
        "DecisionService/Authorize",
        vec![may(pb::AuthorizeRequest { organization: o.clone(), ..Default::default() }).encode_to_vec()],
    );
    read!("DecisionService/BatchAuthorize" BatchAuthorizeRequest { items: vec![may(Default::default())] });
    read!("DecisionService/FilterRecords" FilterRecordsRequest { principal: "user:ana", object: "app" });
    let query = pb::FilterQuery {
        organization: o.clone(),
        principal: "user:ana".into(),
        object: "app".into(),
        ..Default::default()
    };
    sample!("DecisionService/StreamFilterRecords" StreamFilterRecordsRequest { query: Some(query) });
    read!("DecisionService/Explain" ExplainRequest { principal: "user:ana", permission: "tasks.read" });
    read!("DecisionService/PlanRecords" PlanRecordsRequest { principal: "user:ana", object: "app" });
    read!("DecisionService/ListElements" ListElementsRequest { principal: "user:ana", elements: elements_of(1) });
    read!("DecisionService/ListPermissions" ListPermissionsRequest { principal: "user:ana" });
    read!("DecisionService/ListPrincipals" ListPrincipalsRequest { permission: "tasks.read" });
    read!("ActivityService/ReviewAccess" ReviewAccessRequest {});
    read!("ActivityService/ListUnusedRoles" ListUnusedRolesRequest {});
    read!("ActivityService/ListUnusedPermissions" ListUnusedPermissionsRequest {});
    use pb::apply_organization_request::Part;
    let header = pb::ApplyHeader {
        organization: o.clone(),
        deactivate_missing_users: true,
        validate_only: true,
        ..Default::default()
    };
    let kept = pb::Organization { id: o.clone(), preset: pb::Preset::Workspace.into(), ..Default::default() };
    // Somebody has to be left who administers (rule 3.7).
    let permissions = vec!["organization.admin".to_owned()];
    let chief = pb::Grant { permissions, member: "user:chief".into(), ..Default::default() };
    let rows = [
        pb::row::Kind::Organization(kept),
        pb::row::Kind::User(user("chief", "chief@acme.com")),
        pb::row::Kind::Grant(chief),
    ];
    let rows = rows.map(|kind| pb::Row { kind: Some(kind) }).to_vec();
    let parts = [Part::Header(header), Part::Rows(pb::RowBatch { rows }), Part::End(pb::ApplyEnd { row_count: 3 })];
    let parts = parts.map(|part| pb::ApplyOrganizationRequest { part: Some(part) }.encode_to_vec());
    samples.insert("OrganizationService/ApplyOrganization", parts.to_vec());
    samples
}

fn elements_of(n: u8) -> Vec<String> {
    vec![format!("el-{n}")]
}
