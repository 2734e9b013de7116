//! What calls about super-organizations share. Only platform operators make them (rules 7.2 and 7.6).

use std::sync::Arc;
use std::time::Duration;

use imbl::OrdSet;
use imbl::ordset::DiffItem;
use prost::Message;
use sha2::{Digest, Sha256};
use tonic::{Request, Response, Status};

use crate::core::id::Id;
use crate::core::lists::SuperOrganization;
use crate::engine::activity::{Origin, named};
use crate::engine::{Call, Create, SuperContent, SuperOutcome};

use super::Caller;
use super::admin::{Admin, Reply};
use super::fields::Fields;
use super::proto::{self, *};
use super::refusal::Refusal;
use super::report;
use super::request::{at_least, caller, check_request_id, names};
use super::status::Failure;

/// The most changes that a reply lists.
const MAX_CHANGES: usize = 1_000;

/// A request about a super-organization.
pub trait SuperRequest: Message + Default {
    /// The gRPC method.
    const METHOD: &'static str;
    /// Its id.
    fn id(&self) -> &str;
}

/// One that changes it.
pub trait SuperWrite: SuperRequest {
    /// Where the id stands.
    const ID: &'static str = "super_organization";
    /// Takes the request id out, so that the rest can be digested.
    fn take_request_id(&mut self) -> String;
    /// Whether it is a dry run.
    fn validate_only(&self) -> bool;
}

/// Takes a write apart, of a caller who may make it.
fn writing<M: SuperWrite, T>(
    request: Request<M>,
    create: Create,
    convert: impl FnOnce(&mut Fields, M) -> Option<T>,
) -> Result<(Call, T), Refusal> {
    let caller = caller(&request)?.clone();
    let mut message = request.into_inner();
    let mut fields = Fields::default();
    let request_id = message.take_request_id();
    let body = Sha256::digest(message.encode_to_vec()).into();
    let id = fields.parse::<Id>(M::ID, message.id());
    check_request_id(&mut fields, &request_id);
    let validate_only = message.validate_only();
    let converted = convert(&mut fields, message);
    let (organization, converted) = fields.finish(id.zip(converted))?;
    let (caller, on_behalf_of, peer) = names(caller);
    let method = M::METHOD;
    let call = Call { organization, caller, on_behalf_of, peer, method, request_id, body, validate_only, create };
    Ok((call, converted))
}

/// The content of what there is.
pub fn content(over: &SuperOrganization) -> SuperContent {
    SuperContent { display_name: over.display_name.clone(), denylist: over.denylist.clone() }
}

/// The revision to report.
#[allow(clippy::unnecessary_wraps, reason = "messages are optional fields")]
pub fn revision(outcome: &SuperOutcome) -> Option<Revision> {
    Some(report::revision(&outcome.revision))
}

/// The denylist before a write, and after it.
pub fn denylists(outcome: &SuperOutcome) -> (OrdSet<Id>, OrdSet<Id>) {
    let list =
        |state: &Option<Arc<SuperOrganization>>| state.as_ref().map(|over| over.denylist.clone()).unwrap_or_default();
    (list(&outcome.before), list(&outcome.after))
}

/// What a write changes of the denylist; the first of it.
pub fn changes(outcome: &SuperOutcome) -> Vec<proto::Change> {
    let (old, new) = denylists(outcome);
    let change = |item: DiffItem<'_, '_, Id>| {
        let (kind, id, verb) = match item {
            DiffItem::Add(id) => (ChangeKind::Create, id, "create"),
            DiffItem::Remove(id) => (ChangeKind::Delete, id, "delete"),
        };
        let (entity, summary) = ("denylist_element".to_owned(), format!("{verb} denylist entry `{id}`"));
        proto::Change { kind: kind.into(), entity, id: id.to_string(), summary }
    };
    old.diff(&new).take(MAX_CHANGES).map(change).collect()
}

impl Admin {
    /// Takes a write apart, if a platform operator makes it.
    pub(super) async fn writing_super<M: SuperWrite, T>(
        &self,
        request: Request<M>,
        create: Create,
        convert: impl FnOnce(&mut Fields, M) -> Option<T>,
    ) -> Result<(Call, T), Status> {
        self.operators_only(caller(&request)?, M::METHOD).await?;
        Ok(writing(request, create, convert)?)
    }

    /// Refuses whoever is no platform operator what is no organization's. Such a call is logged (rule 7.5) where its
    /// caller is at home: what it was about has no log.
    pub(super) async fn operators_only(&self, caller: &Caller, method: &'static str) -> Result<(), Status> {
        let Err(refusal) = caller.operator_only() else { return Ok(()) };
        let summary = refusal.to_string();
        let failure = Failure::from(refusal);
        if let Some(bearer) = caller.bearer.clone() {
            let (name, on_behalf_of, peer) = names(caller.clone());
            let origin =
                Origin { caller: named(&name), on_behalf_of, peer, method: method.to_owned(), ..Origin::default() };
            let said = (failure.reason(), summary.as_str());
            self.log_refused(bearer.organization.as_str(), &bearer.history, origin, said, |_| None).await;
        }
        Err(failure.into())
    }

    /// Carries out a write and returns its reply, or the one that the same request had before.
    pub(super) async fn write_super<R: Message + Default>(
        &self,
        call: Call,
        plan: impl FnOnce(Option<&SuperOrganization>) -> Result<Option<SuperContent>, Refusal> + Send + 'static,
        reply: impl FnOnce(&SuperOutcome) -> R + Send + 'static,
    ) -> Reply<R> {
        let written = self.engine.write_super(call, plan, |o| reply(o).encode_to_vec()).await?;
        let reply = R::decode(written.reply.as_slice());
        Ok(Response::new(reply.map_err(|_| Refusal::Internal("a stored reply cannot be decoded"))?))
    }

    /// The super-organization that a read asks for, and its revision.
    pub(super) async fn read_super<M: SuperRequest>(
        &self,
        request: Request<M>,
        take_min_revision: impl FnOnce(M) -> Option<Revision>,
    ) -> Result<(Arc<SuperOrganization>, Option<Revision>), Status> {
        self.operators_only(caller(&request)?, M::METHOD).await?;
        let wait: Duration = super::decision::patience(request.metadata());
        let message = request.into_inner();
        let mut fields = Fields::default();
        let id = fields.parse::<Id>("super_organization", message.id());
        let id = fields.finish(id)?;
        let min_revision = take_min_revision(message);
        let over = self.engine.super_organization(id.as_str(), min_revision.as_ref().map(at_least), wait).await?;
        let revision = Revision { history: over.history.to_string(), number: over.revision };
        Ok((over, Some(revision)))
    }
}

macro_rules! about {
    ($($service:literal: $($message:ident $method:literal)*;)*) => { $($(
        impl SuperRequest for $message {
            const METHOD: &'static str = concat!("doorward.v1.", $service, "/", $method);
            fn id(&self) -> &str { &self.super_organization }
        }
    )*)* };
}

// In these the id stands inside the super-organization.
macro_rules! about_itself {
    ($($message:ident $method:literal)*) => { $(
        impl SuperRequest for $message {
            const METHOD: &'static str = concat!("doorward.v1.OrganizationService/", $method);
            fn id(&self) -> &str { self.super_organization.as_ref().map_or("", |s| &s.id) }
        }
    )* };
}

macro_rules! super_writes {
    ($($message:ident $(($id:literal))?)*) => { $(
        impl SuperWrite for $message {
            $(const ID: &'static str = $id;)?
            fn take_request_id(&mut self) -> String { std::mem::take(&mut self.request_id) }
            fn validate_only(&self) -> bool { self.validate_only }
        }
    )* };
}

about! {
    "OrganizationService":
        GetSuperOrganizationRequest "GetSuperOrganization"
        DeleteSuperOrganizationRequest "DeleteSuperOrganization";
    "ElementListService":
        GetDenylistRequest "GetDenylist"
        UpdateDenylistRequest "UpdateDenylist"
        AddDenylistElementsRequest "AddDenylistElements"
        RemoveDenylistElementRequest "RemoveDenylistElement"
        ClearDenylistRequest "ClearDenylist";
}

about_itself! {
    CreateSuperOrganizationRequest "CreateSuperOrganization"
    UpdateSuperOrganizationRequest "UpdateSuperOrganization"
}

super_writes! {
    CreateSuperOrganizationRequest ("super_organization.id")
    UpdateSuperOrganizationRequest ("super_organization.id")
    DeleteSuperOrganizationRequest
    UpdateDenylistRequest
    AddDenylistElementsRequest
    RemoveDenylistElementRequest
    ClearDenylistRequest
}
