//! Which services there are: ours, health and reflection.

use std::sync::Arc;

use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_reflection::server::Builder;

use crate::engine::Engine;
use crate::service::proto::activity_service_server::ActivityServiceServer;
use crate::service::proto::credential_service_server::CredentialServiceServer;
use crate::service::proto::data_access_service_server::DataAccessServiceServer;
use crate::service::proto::decision_service_server::DecisionServiceServer;
use crate::service::proto::group_service_server::GroupServiceServer;
use crate::service::proto::organization_service_server::OrganizationServiceServer;
use crate::service::proto::relation_service_server::RelationServiceServer;
use crate::service::proto::role_service_server::RoleServiceServer;
use crate::service::proto::user_service_server::UserServiceServer;
use crate::service::{self, proto};

use super::ServeError;
use super::door::Decisions;

/// The largest message with a question, in bytes.
pub const MAX_DECISION_BYTES: usize = 4 << 20;
/// The largest message to another service, in bytes. (`ApplyOrganization` takes smaller ones.)
pub const MAX_ADMIN_BYTES: usize = 64 << 20;

/// Our package: what is in it has a health of its own.
const PACKAGE: &str = "doorward.v1";

/// All services but the one that decides, and their health.
pub(super) struct Services {
    pub rest: Routes,
    pub health: Health,
}

/// What health says of every service, by name, and of all (`""`).
pub(super) struct Health {
    reporter: HealthReporter,
    names: Vec<String>,
}

impl Health {
    pub(super) async fn set(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in &self.names {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

pub(super) fn assemble(engine: &Arc<Engine>) -> Result<Services, ServeError> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut rest = admin(engine).add_service(health);
    rest = rest.add_service(reflection().build_v1().map_err(reflecting)?);
    rest = rest.add_service(reflection().build_v1alpha().map_err(reflecting)?);
    let health = Health { reporter, names: names()? };
    Ok(Services { rest: rest.prepare(), health })
}

fn reflecting(error: tonic_reflection::server::Error) -> ServeError {
    ServeError::Descriptors(error.to_string())
}

/// What the service room has, and health.
fn reflection() -> Builder<'static> {
    let sets = service::descriptor_sets().into_iter().chain([tonic_health::pb::FILE_DESCRIPTOR_SET]);
    sets.fold(Builder::configure(), Builder::register_encoded_file_descriptor_set)
}

/// The names under which health is reported.
fn names() -> Result<Vec<String>, ServeError> {
    let files = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET);
    let files = files.map_err(|error| ServeError::Descriptors(error.to_string()))?;
    let ours = files.file.iter().filter(|file| file.package() == PACKAGE);
    let names = ours.flat_map(|file| &file.service).map(|service| format!("{PACKAGE}.{}", service.name()));
    Ok(names.chain([String::new()]).collect())
}

pub(super) fn decisions(engine: &Arc<Engine>) -> impl Decisions + use<> {
    let handlers = service::Decisions::new(Arc::clone(engine));
    DecisionServiceServer::new(handlers).max_decoding_message_size(MAX_DECISION_BYTES)
}

/// The services that are not here yet answer UNIMPLEMENTED, like unknown ones.
fn admin(engine: &Arc<Engine>) -> Routes {
    let handlers = Arc::new(service::Admin::new(Arc::clone(engine)));
    macro_rules! server {
        ($server:ident) => {
            $server::from_arc(Arc::clone(&handlers)).max_decoding_message_size(MAX_ADMIN_BYTES)
        };
    }
    Routes::new(server!(OrganizationServiceServer))
        .add_service(server!(UserServiceServer))
        .add_service(server!(GroupServiceServer))
        .add_service(server!(RoleServiceServer))
        .add_service(server!(DataAccessServiceServer))
        .add_service(server!(RelationServiceServer))
        .add_service(server!(CredentialServiceServer))
        .add_service(server!(ActivityServiceServer))
}
