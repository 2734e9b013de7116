//! What requests have in common: who calls, which organization, how often, from which revision on.

use prost::Message;
use sha2::{Digest, Sha256};
use tonic::Request;

use crate::core::id::Id;
use crate::engine::{AtLeast, Call, Create};

use super::Caller;
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
}

/// A request that reads an organization.
pub trait ReadRequest: Message + Default {
    /// The organization's id.
    fn organization(&self) -> &str;
    /// Takes the least revision out.
    fn take_min_revision(&mut self) -> Option<Revision>;
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
) -> Result<(Call, T), Refusal> {
    let caller = caller(&request)?.name.clone();
    let mut message = request.into_inner();
    let mut fields = Fields::default();
    let request_id = message.take_request_id();
    let body = Sha256::digest(message.encode_to_vec()).into();
    let organization = fields.parse::<Id>(M::ORGANIZATION, message.organization());
    check_request_id(&mut fields, &request_id);
    let validate_only = message.validate_only();
    let converted = convert(&mut fields, message);
    let (organization, converted) = fields.finish(organization.zip(converted))?;
    let create = Create::Never;
    let method = M::METHOD;
    Ok((Call { organization, caller, method, request_id, body, validate_only, create }, converted))
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
    caller(&request)?;
    let wait = super::decision::patience(request.metadata());
    let mut message = request.into_inner();
    let mut fields = Fields::default();
    let organization = message.organization().to_owned();
    fields.parse::<Id>("organization", &organization);
    let min_revision = message.take_min_revision();
    let converted = convert(&mut fields, message);
    Ok((Read { organization, min_revision, wait }, fields.finish(converted)?))
}

macro_rules! writes {
    ($($service:literal: $($message:ident $method:literal)*;)*) => { $($(
        impl WriteRequest for $message {
            const METHOD: &'static str = concat!("doorward.v1.", $service, "/", $method);
            fn organization(&self) -> &str { &self.organization }
            fn take_request_id(&mut self) -> String { std::mem::take(&mut self.request_id) }
            fn validate_only(&self) -> bool { self.validate_only }
        }
    )*)* };
}

macro_rules! reads {
    ($($message:ident)*) => { $(
        impl ReadRequest for $message {
            fn organization(&self) -> &str { &self.organization }
            fn take_min_revision(&mut self) -> Option<Revision> { self.min_revision.take() }
        }
    )* };
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
        }
    )* };
}

organization_writes! {
    CreateOrganizationRequest "CreateOrganization"
    UpdateOrganizationRequest "UpdateOrganization"
}

writes! {
    "OrganizationService":
        AddEmailDomainRequest "AddEmailDomain"
        RemoveEmailDomainRequest "RemoveEmailDomain"
        CreateAccountRequest "CreateAccount"
        UpdateAccountRequest "UpdateAccount"
        DeleteAccountRequest "DeleteAccount"
        CreateObjectRequest "CreateObject"
        UpdateObjectRequest "UpdateObject"
        DeleteObjectRequest "DeleteObject"
        CreatePermissionRequest "CreatePermission"
        UpdatePermissionRequest "UpdatePermission"
        DeletePermissionRequest "DeletePermission";
    "UserService":
        CreateUserRequest "CreateUser"
        UpdateUserRequest "UpdateUser"
        InviteUserRequest "InviteUser"
        CompleteRegistrationRequest "CompleteRegistration"
        RevokeInvitationRequest "RevokeInvitation"
        DowngradeUserRequest "DowngradeUser"
        UpgradeUserRequest "UpgradeUser"
        DeactivateUserRequest "DeactivateUser"
        ActivateUserRequest "ActivateUser";
    "GroupService":
        CreateGroupRequest "CreateGroup"
        UpdateGroupRequest "UpdateGroup"
        DeleteGroupRequest "DeleteGroup"
        AddMembersRequest "AddMembers"
        RemoveMembersRequest "RemoveMembers"
        ReplaceMembersRequest "ReplaceMembers";
    "RoleService":
        CreateRoleRequest "CreateRole"
        UpdateRoleRequest "UpdateRole"
        DeleteRoleRequest "DeleteRole"
        CreateAssignmentRequest "CreateAssignment"
        UpdateAssignmentRequest "UpdateAssignment"
        DeleteAssignmentRequest "DeleteAssignment"
        CreateGrantsRequest "CreateGrants"
        UpdateGrantsRequest "UpdateGrants"
        DeleteGrantsRequest "DeleteGrants";
    "DataAccessService":
        CreatePolicyRequest "CreatePolicy"
        UpdatePolicyRequest "UpdatePolicy"
        DeletePolicyRequest "DeletePolicy";
    "RelationService":
        ReportRelationRequest "ReportRelation"
        BatchReportRelationsRequest "BatchReportRelations"
        ForgetRecordRequest "ForgetRecord";
    "CredentialService":
        CreateServiceAccountRequest "CreateServiceAccount"
        UpdateServiceAccountRequest "UpdateServiceAccount"
        DeactivateServiceAccountRequest "DeactivateServiceAccount"
        ActivateServiceAccountRequest "ActivateServiceAccount";
}

reads! {
    ListPermissionsRequest
    GetOrganizationRequest ExportOrganizationRequest GetAccountRequest ListAccountsRequest
    GetObjectRequest ListObjectsRequest GetPermissionRequest ListCatalogPermissionsRequest
    GetUserRequest ListUsersRequest ListUserGroupsRequest
    GetGroupRequest ListGroupsRequest ListMembersRequest ExportMembersRequest
    GetRoleRequest ListRolesRequest CompareRolesRequest
    GetAssignmentRequest ListAssignmentsRequest ListGrantsRequest
    GetPolicyRequest ListPoliciesRequest ListRelationsRequest
    GetServiceAccountRequest ListServiceAccountsRequest
}

lists! {
    ListPermissionsRequest ListOrganizationsRequest ListAccountsRequest ListObjectsRequest
    ListCatalogPermissionsRequest ListUsersRequest ListUserGroupsRequest ListGroupsRequest
    ListMembersRequest ListRolesRequest ListAssignmentsRequest ListGrantsRequest
    ListPoliciesRequest ListRelationsRequest ListServiceAccountsRequest
}
