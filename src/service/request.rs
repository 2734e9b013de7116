//! What requests have in common: who calls, which organization, how often, from which revision on.

use std::sync::Arc;

use prost::Message;
use sha2::{Digest, Sha256};
use tonic::Request;

use crate::core::id::Id;
use crate::engine::activity::{Origin, named};
use crate::engine::{AtLeast, Call, Create};

use super::Caller;
use super::access::{Authority, Touched};
use super::fields::Fields;
use super::proto::*;
use super::refusal::Refusal;

/// The longest request id, in bytes.
const MAX_REQUEST_ID_BYTES: usize = 128;
/// The longest etag, in bytes.
const MAX_ETAG_BYTES: usize = 64;

/// A request that changes an organization.
pub trait WriteRequest: Message + Default {
    /// The gRPC method.
    const METHOD: &'static str;
    /// Where the organization's id stands.
    const ORGANIZATION: &'static str = "organization";
    /// The organization's id.
    fn organization(&self) -> &str;
    /// Takes the request id out, so that the rest can be digested.
    fn take_request_id(&mut self) -> String;
    /// Whether it is a dry run.
    fn validate_only(&self) -> bool;
    /// Where its permission is asked.
    fn touched(&self) -> Touched;
}

/// A request that reads an organization.
pub trait ReadRequest: Message + Default {
    /// The gRPC method.
    const METHOD: &'static str;
    /// The organization's id.
    fn organization(&self) -> &str;
    /// Takes the least revision out.
    fn take_min_revision(&mut self) -> Option<Revision>;
    /// Where its permission is asked.
    fn touched(&self) -> Touched;
}

/// A request for one page of a list.
pub trait ListRequest: Message + Default {
    /// Takes size and token out; what remains tells one list from another.
    fn take_page(&mut self) -> (i32, String);
}

/// What a read needs besides its own fields.
#[derive(Debug)]
pub struct Read {
    /// The organization, as it was sent: it is looked up, not parsed.
    pub organization: String,
    /// The least revision.
    pub min_revision: Option<Revision>,
    /// How long the caller waits for it.
    pub wait: std::time::Duration,
    /// What the caller may read.
    pub authority: Authority,
    /// Who reads, for the activity log.
    pub origin: Origin,
}

/// What a write needs besides its own fields.
#[derive(Debug)]
pub struct Writing {
    /// For the engine.
    pub call: Call,
    /// What the caller may change.
    pub authority: Arc<Authority>,
}

impl Read {
    /// The least revision as the engine wants it.
    pub fn at_least(&self) -> Option<AtLeast<'_>> {
        self.min_revision.as_ref().map(at_least)
    }
}

/// A revision as the least that is accepted.
pub fn at_least(revision: &Revision) -> AtLeast<'_> {
    let Revision { history, number } = revision;
    AtLeast { history, number: *number }
}

/// Who calls.
pub fn caller<M>(request: &Request<M>) -> Result<&Caller, Refusal> {
    request.extensions().get().ok_or(Refusal::NoCaller)
}

/// Takes a write apart: its call, and what `convert` makes of its own fields.
pub fn writing<M: WriteRequest, T>(
    request: Request<M>,
    convert: impl FnOnce(&mut Fields, M) -> Option<T>,
) -> Result<(Writing, T), Refusal> {
    let (caller, message) = entered(request)?;
    let authority = Authority::new(&caller, message.organization(), M::METHOD, &|| message.touched())?;
    let mut message = message;
    let mut fields = Fields::default();
    let request_id = message.take_request_id();
    let body = Sha256::digest(message.encode_to_vec()).into();
    let organization = fields.parse::<Id>(M::ORGANIZATION, message.organization());
    check_request_id(&mut fields, &request_id);
    let validate_only = message.validate_only();
    let converted = convert(&mut fields, message);
    let (organization, converted) = fields.finish(organization.zip(converted))?;
    let create = Create::Never;
    let (caller, on_behalf_of, peer) = names(caller);
    let method = M::METHOD;
    let call = Call { organization, caller, on_behalf_of, peer, method, request_id, body, validate_only, create };
    Ok((Writing { call, authority: Arc::new(authority) }, converted))
}

/// Who calls, on whose behalf and from where, for the log.
pub fn names(caller: Caller) -> (String, Option<String>, String) {
    let Caller { name, bearer: _, on_behalf_of, peer } = caller;
    (name, on_behalf_of.map(|user| user.user), peer.to_string())
}

fn entered<M>(request: Request<M>) -> Result<(Caller, M), Refusal> {
    let (_, mut extensions, message) = request.into_parts();
    Ok((extensions.remove().ok_or(Refusal::NoCaller)?, message))
}

/// Bounds a request id.
pub fn check_request_id(fields: &mut Fields, request_id: &str) {
    if request_id.len() > MAX_REQUEST_ID_BYTES {
        fields.refuse("request_id", format_args!("is longer than {MAX_REQUEST_ID_BYTES} bytes"));
    }
}

/// The etag to compare with, if one is given.
pub fn etag(fields: &mut Fields, etag: String) -> Option<Option<String>> {
    if etag.len() > MAX_ETAG_BYTES {
        fields.refuse("etag", format_args!("is longer than {MAX_ETAG_BYTES} bytes"));
        return None;
    }
    Some((!etag.is_empty()).then_some(etag))
}

/// Takes a read apart: what it reads from, and what `convert` makes of its own fields.
pub fn reading<M: ReadRequest, T>(
    request: Request<M>,
    convert: impl FnOnce(&mut Fields, M) -> Option<T>,
) -> Result<(Read, T), Refusal> {
    let wait = super::decision::patience(request.metadata());
    let (caller, mut message) = entered(request)?;
    let authority = Authority::new(&caller, message.organization(), M::METHOD, &|| message.touched())?;
    let mut fields = Fields::default();
    let organization = message.organization().to_owned();
    fields.parse::<Id>("organization", &organization);
    let min_revision = message.take_min_revision();
    let converted = convert(&mut fields, message);
    let (caller, on_behalf_of, peer) = names(caller);
    let caller = named(&caller);
    let origin = Origin { caller, on_behalf_of, peer, method: M::METHOD.to_owned(), request_id: String::new() };
    Ok((Read { organization, min_revision, wait, authority, origin }, fields.finish(converted)?))
}

macro_rules! writes {
    ($($service:literal: $($message:ident $method:literal $(at $touched:expr)?,)*;)*) => { $($(
        impl WriteRequest for $message {
            const METHOD: &'static str = concat!("doorward.v1.", $service, "/", $method);
            fn organization(&self) -> &str { &self.organization }
            fn take_request_id(&mut self) -> String { std::mem::take(&mut self.request_id) }
            fn validate_only(&self) -> bool { self.validate_only }
            fn touched(&self) -> Touched {
                let at: &[fn(&Self) -> Touched] = &[$($touched)?];
                at.first().map_or(Touched::Organization, |at| at(self))
            }
        }
    )*)* };
}

macro_rules! reads {
    ($($service:literal: $($message:ident $method:literal $(at $touched:expr)?,)*;)*) => { $($(
        impl ReadRequest for $message {
            const METHOD: &'static str = concat!("doorward.v1.", $service, "/", $method);
            fn organization(&self) -> &str { &self.organization }
            fn take_min_revision(&mut self) -> Option<Revision> { self.min_revision.take() }
            fn touched(&self) -> Touched {
                let at: &[fn(&Self) -> Touched] = &[$($touched)?];
                at.first().map_or(Touched::Organization, |at| at(self))
            }
        }
    )*)* };
}

macro_rules! lists {
    ($($message:ident)*) => { $(
        impl ListRequest for $message {
            fn take_page(&mut self) -> (i32, String) {
                (std::mem::take(&mut self.page_size), std::mem::take(&mut self.page_token))
            }
        }
    )* };
}

// In these the organization's id stands inside the organization.
macro_rules! organization_writes {
    ($($message:ident $method:literal)*) => { $(
        impl WriteRequest for $message {
            const METHOD: &'static str = concat!("doorward.v1.OrganizationService/", $method);
            const ORGANIZATION: &'static str = "organization.id";
            fn organization(&self) -> &str { self.organization.as_ref().map_or("", |o| &o.id) }
            fn take_request_id(&mut self) -> String { std::mem::take(&mut self.request_id) }
            fn validate_only(&self) -> bool { self.validate_only }
            fn touched(&self) -> Touched { Touched::Organization }
        }
    )* };
}

organization_writes! {
    CreateOrganizationRequest "CreateOrganization"
    UpdateOrganizationRequest "UpdateOrganization"
}

writes! {
    "ActivityService":
        ErasePersonalDataRequest "ErasePersonalData",;
    "OrganizationService":
        DeleteOrganizationRequest "DeleteOrganization",
        AddEmailDomainRequest "AddEmailDomain",
        RemoveEmailDomainRequest "RemoveEmailDomain",
        CreateAccountRequest "CreateAccount",
        UpdateAccountRequest "UpdateAccount",
        DeleteAccountRequest "DeleteAccount",
        CreateObjectRequest "CreateObject",
        UpdateObjectRequest "UpdateObject" at |m| Touched::Object(of(m.object.as_ref(), |o| &o.id)),
        DeleteObjectRequest "DeleteObject",
        CreatePermissionRequest "CreatePermission",
        UpdatePermissionRequest "UpdatePermission",
        DeletePermissionRequest "DeletePermission",;
    "UserService":
        CreateUserRequest "CreateUser" at |m| newcomer(m.user.as_ref()),
        UpdateUserRequest "UpdateUser" at |m| Touched::User(of(m.user.as_ref(), |u| &u.id)),
        InviteUserRequest "InviteUser" at |m| newcomer(m.user.as_ref()),
        CompleteRegistrationRequest "CompleteRegistration" at |m| Touched::User(m.user.clone()),
        ProvisionUserRequest "ProvisionUser",
        RevokeInvitationRequest "RevokeInvitation" at |m| Touched::User(m.user.clone()),
        DowngradeUserRequest "DowngradeUser" at |m| Touched::User(m.user.clone()),
        UpgradeUserRequest "UpgradeUser" at |m| Touched::User(m.user.clone()),
        DeactivateUserRequest "DeactivateUser" at |m| Touched::User(m.user.clone()),
        ActivateUserRequest "ActivateUser" at |m| Touched::User(m.user.clone()),;
    "GroupService":
        CreateGroupRequest "CreateGroup",
        UpdateGroupRequest "UpdateGroup",
        DeleteGroupRequest "DeleteGroup",
        AddMembersRequest "AddMembers",
        RemoveMembersRequest "RemoveMembers",
        ReplaceMembersRequest "ReplaceMembers",;
    "RoleService":
        CreateRoleRequest "CreateRole" at |m| Touched::NewRole(of(m.role.as_ref(), |r| &r.object)),
        UpdateRoleRequest "UpdateRole" at |m| Touched::Role(of(m.role.as_ref(), |r| &r.id)),
        DeleteRoleRequest "DeleteRole" at |m| Touched::Role(m.role.clone()),
        CreateAssignmentRequest "CreateAssignment" at |m| target(m.assignment.as_ref().and_then(|a| a.target.as_ref())),
        UpdateAssignmentRequest "UpdateAssignment" at |m| target(m.assignment.as_ref().and_then(|a| a.target.as_ref())),
        DeleteAssignmentRequest "DeleteAssignment" at |m| target(m.target.as_ref()),
        CreateGrantsRequest "CreateGrants" at |m| target(m.grant.as_ref().and_then(|g| g.target.as_ref())),
        UpdateGrantsRequest "UpdateGrants" at |m| target(m.grant.as_ref().and_then(|g| g.target.as_ref())),
        DeleteGrantsRequest "DeleteGrants" at |m| target(m.target.as_ref()),
        CreateSeparationConstraintRequest "CreateSeparationConstraint",
        UpdateSeparationConstraintRequest "UpdateSeparationConstraint",
        DeleteSeparationConstraintRequest "DeleteSeparationConstraint",
        CreateEmergencyRuleRequest "CreateEmergencyRule",
        UpdateEmergencyRuleRequest "UpdateEmergencyRule",
        DeleteEmergencyRuleRequest "DeleteEmergencyRule",
        ActivateEmergencyAccessRequest "ActivateEmergencyAccess",
        EndEmergencyAccessRequest "EndEmergencyAccess",;
    "DataAccessService":
        CreatePolicyRequest "CreatePolicy" at |m| Touched::Object(of(m.policy.as_ref(), |p| &p.object)),
        UpdatePolicyRequest "UpdatePolicy" at |m| Touched::Policy(of(m.policy.as_ref(), |p| &p.id)),
        DeletePolicyRequest "DeletePolicy" at |m| Touched::Policy(m.policy.clone()),;
    "RelationService":
        ReportRelationRequest "ReportRelation" at |m| Touched::Object(reported(m.report.as_ref())),
        BatchReportRelationsRequest "BatchReportRelations"
            at |m| Touched::Objects(m.reports.iter().map(|r| reported(Some(r))).collect()),
        ForgetRecordRequest "ForgetRecord" at |m| Touched::Object(m.object.clone()),;
    "ElementListService":
        UpdateSafelistRequest "UpdateSafelist",
        AddSafelistElementsRequest "AddSafelistElements",
        RemoveSafelistElementRequest "RemoveSafelistElement",
        ClearSafelistRequest "ClearSafelist",;
    "CredentialService":
        CreateServiceAccountRequest "CreateServiceAccount"
            at |m| Touched::Newcomer { account: of(m.service_account.as_ref(), |s| &s.account), email: String::new() },
        UpdateServiceAccountRequest "UpdateServiceAccount"
            at |m| Touched::Service(of(m.service_account.as_ref(), |s| &s.id)),
        DeactivateServiceAccountRequest "DeactivateServiceAccount" at |m| Touched::Service(m.service_account.clone()),
        ActivateServiceAccountRequest "ActivateServiceAccount" at |m| Touched::Service(m.service_account.clone()),
        CreateCredentialRequest "CreateCredential" at |m| Touched::Service(m.service_account.clone()),
        RotateCredentialRequest "RotateCredential" at |m| Touched::Credential(m.credential.clone()),
        RevokeCredentialRequest "RevokeCredential" at |m| Touched::Credential(m.credential.clone()),;
}

reads! {
    "DecisionService":
        ListPermissionsRequest "ListPermissions",
        ListPrincipalsRequest "ListPrincipals",;
    "ActivityService":
        ReviewAccessRequest "ReviewAccess" at |m| target(m.target.as_ref()),
        ListUnusedRolesRequest "ListUnusedRoles",
        ListUnusedPermissionsRequest "ListUnusedPermissions",;
    "OrganizationService":
        GetOrganizationRequest "GetOrganization",
        ExportOrganizationRequest "ExportOrganization",
        GetAccountRequest "GetAccount",
        ListAccountsRequest "ListAccounts",
        GetObjectRequest "GetObject" at |m| Touched::Object(m.object.clone()),
        ListObjectsRequest "ListObjects",
        GetPermissionRequest "GetPermission",
        ListCatalogPermissionsRequest "ListCatalogPermissions",;
    "UserService":
        GetUserRequest "GetUser" at |m| Touched::User(m.user.clone()),
        ListUsersRequest "ListUsers" at |m| Touched::Account(m.account.clone()),
        ListUserGroupsRequest "ListUserGroups" at |m| Touched::User(m.user.clone()),;
    "GroupService":
        GetGroupRequest "GetGroup",
        ListGroupsRequest "ListGroups",
        ListMembersRequest "ListMembers",
        ExportMembersRequest "ExportMembers",;
    "RoleService":
        GetRoleRequest "GetRole" at |m| Touched::Role(m.role.clone()),
        ListRolesRequest "ListRoles" at |m| Touched::Object(m.object.clone()),
        CompareRolesRequest "CompareRoles" at |m| Touched::Roles(vec![m.first_role.clone(), m.second_role.clone()]),
        ListRoleHoldersRequest "ListRoleHolders" at |m| target(m.target.as_ref()),
        GetAssignmentRequest "GetAssignment" at |m| target(m.target.as_ref()),
        ListAssignmentsRequest "ListAssignments" at |m| target(m.target.as_ref()),
        ListGrantsRequest "ListGrants" at |m| target(m.target.as_ref()),
        GetSeparationConstraintRequest "GetSeparationConstraint",
        ListSeparationConstraintsRequest "ListSeparationConstraints",
        ListSeparationViolationsRequest "ListSeparationViolations",
        GetEmergencyRuleRequest "GetEmergencyRule",
        ListEmergencyRulesRequest "ListEmergencyRules",
        ListEmergencyActivationsRequest "ListEmergencyActivations",;
    "DataAccessService":
        GetPolicyRequest "GetPolicy" at |m| Touched::Policy(m.policy.clone()),
        ListPoliciesRequest "ListPolicies" at |m| Touched::Object(m.object.clone()),
        TestConditionRequest "TestCondition" at |m| Touched::Object(m.object.clone()),;
    "RelationService":
        ListRelationsRequest "ListRelations" at |m| Touched::Object(m.object.clone()),;
    "ActivityService":
        ListActivityRequest "ListActivity" at |m| narrowed(m.filter.as_ref()),
        StreamActivityRequest "StreamActivity" at |m| narrowed(m.filter.as_ref()),
        VerifyActivityRequest "VerifyActivity",;
    "ElementListService":
        GetSafelistRequest "GetSafelist",;
    "CredentialService":
        GetServiceAccountRequest "GetServiceAccount" at |m| Touched::Service(m.service_account.clone()),
        ListServiceAccountsRequest "ListServiceAccounts" at |m| Touched::Account(m.account.clone()),
        GetCredentialRequest "GetCredential" at |m| Touched::Credential(m.credential.clone()),
        ListCredentialsRequest "ListCredentials" at |m| Touched::Service(m.service_account.clone()),;
}

/// A text of a message that may be missing.
fn of<M>(message: Option<&M>, text: fn(&M) -> &String) -> String {
    message.map(text).cloned().unwrap_or_default()
}

fn narrowed(filter: Option<&ActivityFilter>) -> Touched {
    Touched::Account(of(filter, |filter| &filter.account))
}

fn newcomer(user: Option<&User>) -> Touched {
    Touched::Newcomer { account: of(user, |u| &u.account), email: of(user, |u| &u.email) }
}

fn target(target: Option<&Target>) -> Touched {
    Touched::Target(target.cloned())
}

fn reported(report: Option<&RelationReport>) -> String {
    of(report.and_then(|r| r.relation.as_ref()), |r| &r.object)
}

lists! {
    ListPermissionsRequest ListPrincipalsRequest ListRoleHoldersRequest ListUnusedRolesRequest
    ListUnusedPermissionsRequest ListOrganizationsRequest ListAccountsRequest ListObjectsRequest
    ListCatalogPermissionsRequest ListUsersRequest ListUserGroupsRequest ListGroupsRequest
    ListMembersRequest ListRolesRequest ListAssignmentsRequest ListGrantsRequest
    ListPoliciesRequest ListRelationsRequest ListServiceAccountsRequest ListCredentialsRequest
    ListActivityRequest ListSuperOrganizationsRequest
    ListSeparationConstraintsRequest ListSeparationViolationsRequest ListEmergencyRulesRequest
    ListEmergencyActivationsRequest
}
