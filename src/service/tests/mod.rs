//! The services as their clients see them, over an engine in memory.

mod apply;
mod decisions;
mod emergency;
mod emergency_uses;
mod explain;
mod filter;
mod lists;
mod plan;
mod policies;
mod relations;
mod separation;
mod stream;
mod writes;

use std::sync::Arc;

use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

use crate::clock::SystemClock;
use crate::engine::Engine;
use crate::store::MemoryStore;

use super::proto::activity_service_server::ActivityService;
use super::proto::credential_service_server::CredentialService;
use super::proto::data_access_service_server::DataAccessService;
use super::proto::decision_service_server::DecisionService;
use super::proto::group_service_server::GroupService;
use super::proto::organization_service_server::OrganizationService;
use super::proto::relation_service_server::RelationService;
use super::proto::role_service_server::RoleService;
use super::proto::user_service_server::UserService;
use super::proto::*;
use super::{Admin, Caller, Decisions};

struct World {
    admin: Admin,
    decisions: Decisions,
}

impl World {
    fn new() -> Self {
        let engine = Engine::open(Arc::new(MemoryStore::new()), Arc::new(SystemClock), |e| panic!("{e}"));
        let engine = Arc::new(engine.unwrap());
        Self { admin: Admin::new(Arc::clone(&engine)), decisions: Decisions::new(engine) }
    }

    /// With organization `acme`, workspace preset, domain acme.com.
    async fn acme() -> Self {
        let world = Self::new();
        world.found("acme").await;
        world
    }

    async fn found(&self, id: &str) {
        let email_domains = vec![EmailDomain { domain: "ACME.com".into(), audience: UserKind::Internal.into() }];
        let organization =
            Organization { id: id.into(), preset: Preset::Workspace.into(), email_domains, ..Organization::default() };
        let request = CreateOrganizationRequest { organization: Some(organization), ..Default::default() };
        ok(self.admin.create_organization(by(request)).await);
    }

    async fn user(&self, id: &str) -> User {
        let user = User { id: id.into(), email: format!("{id}@acme.com"), ..User::default() };
        let request = CreateUserRequest { organization: "acme".into(), user: Some(user), ..Default::default() };
        ok(self.admin.create_user(by(request)).await).user.unwrap()
    }

    async fn group(&self, id: &str) -> Group {
        let group = Group { id: id.into(), kind: GroupKind::Manual.into(), ..Group::default() };
        let request = CreateGroupRequest { organization: "acme".into(), group: Some(group), ..Default::default() };
        ok(self.admin.create_group(by(request)).await).group.unwrap()
    }

    async fn add(&self, group: &str, members: &[&str]) -> AddMembersResponse {
        let members = members.iter().map(ToString::to_string).collect();
        let request =
            AddMembersRequest { organization: "acme".into(), group: group.into(), members, ..Default::default() };
        ok(self.admin.add_members(by(request)).await)
    }

    async fn object(&self, id: &str) {
        let object = Object { id: id.into(), kind: ObjectKind::App.into(), ..Object::default() };
        let request = CreateObjectRequest { organization: "acme".into(), object: Some(object), ..Default::default() };
        ok(self.admin.create_object(by(request)).await);
    }

    /// With a field `region`.
    async fn app(&self) {
        let region = FieldType { scalar: ScalarType::String.into(), list: false };
        let object = Object {
            id: "app".into(),
            kind: ObjectKind::App.into(),
            fields: [("region".to_owned(), region)].into(),
            ..Object::default()
        };
        let request = CreateObjectRequest { organization: "acme".into(), object: Some(object), ..Default::default() };
        ok(self.admin.create_object(by(request)).await);
    }

    async fn policy(&self, policy: DataAccessPolicy) -> DataAccessPolicy {
        let request = CreatePolicyRequest { organization: "acme".into(), policy: Some(policy), ..Default::default() };
        ok(self.admin.create_policy(by(request)).await).policy.unwrap()
    }

    async fn report(&self, relation: RecordRelation, event: RelationEvent) -> ReportRelationResponse {
        ok(self.admin.report_relation(by(reporting(relation, event))).await)
    }

    async fn assign(&self, role: &str, member: &str, target: Option<Target>) -> CreateAssignmentResponse {
        let assignment = Assignment { role: role.into(), member: member.into(), target, ..Assignment::default() };
        let request =
            CreateAssignmentRequest { organization: "acme".into(), assignment: Some(assignment), ..Default::default() };
        ok(self.admin.create_assignment(by(request)).await)
    }

    async fn revision(&self) -> u64 {
        let request = GetOrganizationRequest { organization: "acme".into(), min_revision: None };
        ok(self.admin.get_organization(by(request)).await).revision.unwrap().number
    }
}

#[test]
fn reflection_takes_our_descriptors_and_those_of_error_details() {
    let builder = || {
        let sets = super::descriptor_sets().into_iter();
        sets.fold(tonic_reflection::server::Builder::configure(), |b, set| b.register_encoded_file_descriptor_set(set))
    };
    assert!(builder().build_v1().is_ok());
    assert!(builder().build_v1alpha().is_ok());
}

fn object_target(id: &str) -> Option<Target> {
    Some(Target { object: id.into(), ..Target::default() })
}

/// A policy of `app`.
fn policy(id: &str, effect: PolicyEffect, members: &[&str]) -> DataAccessPolicy {
    DataAccessPolicy {
        id: id.into(),
        object: "app".into(),
        effect: effect.into(),
        members: members.iter().map(ToString::to_string).collect(),
        ..DataAccessPolicy::default()
    }
}

/// To a record of `app`.
fn related(relation: Relation, member: &str, record: &str) -> RecordRelation {
    RecordRelation { relation: relation.into(), member: member.into(), object: "app".into(), record: record.into() }
}

fn reporting(relation: RecordRelation, event: RelationEvent) -> ReportRelationRequest {
    let report = Some(RelationReport { relation: Some(relation), event: event.into() });
    ReportRelationRequest { organization: "acme".into(), report, ..Default::default() }
}

fn by<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller::operator("tests".into()));
    request
}

fn ok<R>(reply: Result<Response<R>, Status>) -> R {
    match reply {
        Ok(reply) => reply.into_inner(),
        Err(status) => panic!("{status:?}"),
    }
}

/// The code and reason of an error, each of which must carry an ErrorInfo of ours.
#[track_caller]
fn refused<R>(reply: Result<Response<R>, Status>) -> (Code, String) {
    let Err(status) = reply else { panic!("was not refused") };
    let info = status.get_details_error_info().expect("an ErrorInfo");
    assert_eq!(info.domain, super::DOMAIN);
    assert!(!info.reason.is_empty() && info.reason.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
    let message = status.message();
    assert!(!message.ends_with('.') && !message.starts_with(char::is_uppercase), "{message}");
    if status.code() == Code::Unavailable {
        assert!(status.get_details_retry_info().is_some());
    }
    (status.code(), info.reason)
}

/// The fields that an error complains of.
#[track_caller]
fn fields<R>(reply: Result<Response<R>, Status>) -> Vec<String> {
    let Err(status) = reply else { panic!("was not refused") };
    let bad = status.get_details_bad_request().expect("a BadRequest");
    bad.field_violations.into_iter().map(|v| v.field).collect()
}
