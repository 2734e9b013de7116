//! Which services there are: ours, health and reflection.

use std::sync::Arc;

use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_reflection::server::Builder;

use crate::engine::Engine;
use crate::service::proto;

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

/// Besides ours: google.rpc's details, without which clients cannot print our errors, and health.
fn reflection() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// The names under which health is reported.
fn names() -> Result<Vec<String>, ServeError> {
    let files = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET);
    let files = files.map_err(|error| ServeError::Descriptors(error.to_string()))?;
    let ours = files.file.iter().filter(|file| file.package() == PACKAGE);
    let names = ours.flat_map(|file| &file.service).map(|service| format!("{PACKAGE}.{}", service.name()));
    Ok(names.chain([String::new()]).collect())
}

/// Until the service room has its handlers: every method answers UNIMPLEMENTED.
struct Later;

macro_rules! later {
    ($($module:ident::$name:ident)*) => { $(
        impl proto::$module::$name for Later {}
    )* };
}

later! {
    decision_service_server::DecisionService
    organization_service_server::OrganizationService
}

pub(super) fn decisions(_: &Arc<Engine>) -> impl Decisions + use<> {
    proto::decision_service_server::DecisionServiceServer::new(Later).max_decoding_message_size(MAX_DECISION_BYTES)
}

fn admin(_: &Arc<Engine>) -> Routes {
    let organizations = proto::organization_service_server::OrganizationServiceServer::new(Later);
    Routes::new(organizations.max_decoding_message_size(MAX_ADMIN_BYTES))
}
