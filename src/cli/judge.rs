//! Who answers questions: organization files, offline, or a running server.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::{Clock, SystemClock};
use crate::core::Violation;
use crate::core::decision::{self, Context, Reason, Record, Resource, Walk};
use crate::core::explain::explain;
use crate::core::explain::smallest::smallest;
use crate::core::id::Id;
use crate::core::lists::SuperOrganization;
use crate::core::model::Millis;
use crate::core::table::Table;
use crate::engine::ReadError;
use crate::service::proto;
use crate::service::proto::decision_service_client::DecisionServiceClient;
use crate::service::{explanation, filtered, planned, to_timestamp, to_value};

use super::file::{CaseContext, CaseRecord, Question, SuperOrganizationFile};
use super::remote::{Connection, ServerArgs, code_name};
use super::{CliError, Content, content};

/// Paths of each kind in an explanation.
pub const PATHS: u8 = 20;

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    Allowed,
    Denied(String),
    Error {
        code: String,
        message: String,
    },
    Permissions(BTreeSet<String>),
    /// The ids of the records that passed, in the order given.
    Records(Vec<String>),
}

/// Who answers.
pub enum Judge {
    Offline(HashMap<String, Table>),
    Server(Box<DecisionServiceClient<Connection>>),
}

impl Judge {
    /// The server, if one is named, otherwise these organizations.
    ///
    /// # Errors
    /// The server cannot be reached, or something is wrong with a file.
    pub async fn new(organizations: &[PathBuf], server: &ServerArgs) -> Result<Self, CliError> {
        if server.server.is_some() {
            return Ok(Self::Server(Box::new(DecisionServiceClient::new(server.connect().await?))));
        }
        let tables = tables(organizations)?;
        if tables.is_empty() {
            return Err(CliError::Usage("give organizations with `--org`, or a server with `--server`".to_owned()));
        }
        Ok(Self::Offline(tables))
    }

    /// What comes of a question.
    ///
    /// # Errors
    /// It cannot be asked here, or the server is in trouble.
    pub async fn ask(
        &mut self,
        organization: &str,
        now: Option<Millis>,
        question: &Question,
    ) -> Result<Given, CliError> {
        match self {
            Self::Offline(tables) => {
                let Some(table) = tables.get(organization) else {
                    return Ok(error(ReadError::UnknownOrganization(organization.to_owned())));
                };
                offline(table, question, now.unwrap_or_else(|| SystemClock.now()))
            }
            Self::Server(_) if now.is_some() => Err(no_clock()),
            Self::Server(client) => remote(client, organization, question).await,
        }
    }

    /// The explanation of a decision; or the error that it ends in.
    ///
    /// # Errors
    /// As [`Judge::ask`].
    pub async fn explain(
        &mut self,
        organization: &str,
        now: Option<Millis>,
        question: &Question,
    ) -> Result<Result<proto::ExplainResponse, Given>, CliError> {
        let Question::Authorize { principal, permission, account, object, record, context, .. } = question else {
            return Err(CliError::Usage("only a decision can be explained".to_owned()));
        };
        match self {
            Self::Offline(tables) => {
                let Some(table) = tables.get(organization) else {
                    return Ok(Err(error(ReadError::UnknownOrganization(organization.to_owned()))));
                };
                let place = borrowed(principal, account.as_ref(), object.as_ref(), record.as_ref(), context);
                let question = decision::Question { permission, ..place };
                let now = now.unwrap_or_else(|| SystemClock.now());
                let explained = explain(table, &question, now, PATHS.into());
                let explained =
                    explained.map(|explained| explanation(&explained, &smallest(table, &question, now), &question));
                Ok(explained.map_err(|problems| error(ReadError::Problems(problems))))
            }
            Self::Server(_) if now.is_some() => Err(no_clock()),
            Self::Server(client) => {
                let request = proto::ExplainRequest {
                    organization: organization.to_owned(),
                    principal: principal.clone(),
                    permission: permission.clone(),
                    resource: Some(resource(account.as_ref(), object.as_ref(), record.as_ref())),
                    context: Some(sent(context)),
                    min_revision: None,
                    max_paths: PATHS.into(),
                };
                match client.explain(request).await {
                    Ok(reply) => Ok(Ok(reply.into_inner())),
                    Err(status) => caused(&status).map(Err),
                }
            }
        }
    }

    /// The filter that a principal has for the records of an object; or the error that it ends in.
    ///
    /// # Errors
    /// As [`Judge::ask`].
    pub async fn plan(
        &mut self,
        now: Option<Millis>,
        request: proto::PlanRecordsRequest,
    ) -> Result<Result<proto::PlanRecordsResponse, Given>, CliError> {
        let told = |status: tonic::Status| caused(&status).map(Err);
        match self {
            Self::Offline(tables) => {
                let Some(table) = tables.get(&request.organization) else {
                    return Ok(Err(error(ReadError::UnknownOrganization(request.organization))));
                };
                let now = now.unwrap_or_else(|| SystemClock.now());
                planned(table, &request, now).map_or_else(|failure| told(failure.into()), |reply| Ok(Ok(reply)))
            }
            Self::Server(_) if now.is_some() => Err(no_clock()),
            Self::Server(client) => match client.plan_records(request).await {
                Ok(reply) => Ok(Ok(reply.into_inner())),
                Err(status) => told(status),
            },
        }
    }
}

/// The organizations of these files, each taking account of its super-organization if the file of that is
/// among them.
fn tables(paths: &[PathBuf]) -> Result<HashMap<String, Table>, CliError> {
    let (mut tables, mut supers) = (HashMap::new(), HashMap::new());
    let twice = |what: &str, id: &Id| CliError::Usage(format!("{what} `{id}` is given twice"));
    for path in paths {
        match content(path)? {
            Content::Organization(read) => {
                let (file, table) = *read;
                if tables.insert(file.organization.to_string(), table).is_some() {
                    return Err(twice("organization", &file.organization));
                }
            }
            Content::Super(file) => {
                let SuperOrganizationFile { super_organization: id, display_name, element_denylist } = file;
                let denylist = element_denylist.into_iter().collect();
                let over = SuperOrganization {
                    id: id.clone(),
                    history: "offline".into(),
                    revision: 1,
                    display_name,
                    denylist,
                };
                over.check().map_err(|fault| CliError::Usage(format!("super-organization `{id}`: {fault}")))?;
                if supers.insert(id.clone(), Arc::new(over)).is_some() {
                    return Err(twice("super-organization", &id));
                }
            }
        }
    }
    for (id, table) in &mut tables {
        if let Some(over) = table.super_organization().and_then(|id| supers.get(id)) {
            let conflict = |v: Box<Violation>| CliError::Usage(format!("organization `{id}`: {}", v.fault));
            over.admits(table.safelist()).map_err(conflict)?;
            *table = table.under(Some(over));
        }
    }
    Ok(tables)
}

pub fn no_clock() -> CliError {
    CliError::Usage("`now` cannot be set for a running server".to_owned())
}

fn error(problem: ReadError) -> Given {
    let status = tonic::Status::from(problem);
    Given::Error { code: code_name(status.code()), message: status.message().to_owned() }
}

fn offline(table: &Table, question: &Question, now: Millis) -> Result<Given, CliError> {
    Ok(match question {
        Question::Authorize { principal, permission, account, object, record, context, .. } => {
            let question = decision::Question {
                permission,
                ..borrowed(principal, account.as_ref(), object.as_ref(), record.as_ref(), context)
            };
            match decision::decide(table, &question, now) {
                Err(problems) => error(ReadError::Problems(problems)),
                Ok(Reason::Allowed) => Given::Allowed,
                Ok(reason) => Given::Denied(reason.name().to_owned()),
            }
        }
        Question::Permissions { principal, account, object, record, context, .. } => {
            let question = borrowed(principal, account.as_ref(), object.as_ref(), record.as_ref(), context);
            match Walk::begin(table, &question, now) {
                Err(problems) => error(ReadError::Problems(problems)),
                Ok(walk) => {
                    let allowed = walk.permissions().map(|slot| slot.row.name.to_string());
                    Given::Permissions(allowed.collect())
                }
            }
        }
        Question::Filter { principal, permission, account, object, records, context, .. } => {
            let (who, place) = ((principal.as_str(), permission.as_ref()), (account.as_ref(), object.as_ref()));
            match filtered(table, &filtering(table.id().as_str(), who, place, records, context), now) {
                Ok(reply) => Given::Records(reply.record_ids),
                Err(failure) => return caused(&failure.into()),
            }
        }
    })
}

/// Who asks for which permission, and where.
fn filtering(
    organization: &str,
    (principal, permission): (&str, Option<&String>),
    (account, object): (Option<&String>, Option<&String>),
    records: &[CaseRecord],
    context: &CaseContext,
) -> proto::FilterRecordsRequest {
    proto::FilterRecordsRequest {
        organization: organization.to_owned(),
        principal: principal.to_owned(),
        permission: permission.cloned().unwrap_or_default(),
        account: account.cloned().unwrap_or_default(),
        object: object.cloned().unwrap_or_default(),
        context: Some(sent(context)),
        min_revision: None,
        positions_only: false,
        records: records.iter().map(message).collect(),
        columns: None,
        permissions: Vec::new(),
        bitmap: false,
    }
}

impl CaseRecord {
    fn borrowed(&self) -> Record<'_> {
        let Self { id, owner, account, attributes } = self;
        let (owner, account) = (owner.as_deref().unwrap_or(""), account.as_deref().unwrap_or(""));
        Record { id, owner, account, attributes }
    }
}

fn borrowed<'a>(
    principal: &'a str,
    account: Option<&'a String>,
    object: Option<&'a String>,
    record: Option<&'a CaseRecord>,
    context: &'a CaseContext,
) -> decision::Question<'a> {
    let text = |text: Option<&'a String>| text.map_or("", String::as_str);
    let record = record.map(CaseRecord::borrowed);
    decision::Question {
        principal,
        permission: "",
        resource: Resource { account: text(account), object: text(object), record },
        context: Context {
            channel: text(context.channel.as_ref()),
            authenticated_at: context.authenticated_at,
            invitee_email: text(context.invitee_email.as_ref()),
            attributes: &context.attributes,
        },
    }
}

async fn remote(
    client: &mut DecisionServiceClient<Connection>,
    organization: &str,
    question: &Question,
) -> Result<Given, CliError> {
    let answer = match question {
        Question::Authorize { principal, permission, account, object, record, context, .. } => {
            let resource = resource(account.as_ref(), object.as_ref(), record.as_ref());
            let request = authorizing(organization, (principal, permission), resource, context);
            client.authorize(request).await.map(|reply| {
                let reply = reply.into_inner();
                let reason = reply.reason().as_str_name();
                match reply.decision() {
                    proto::Decision::Allow => Given::Allowed,
                    _ => Given::Denied(reason.strip_prefix("REASON_").unwrap_or(reason).to_owned()),
                }
            })
        }
        Question::Permissions { principal, account, object, record, context, .. } => {
            let request = proto::ListPermissionsRequest {
                organization: organization.to_owned(),
                principal: principal.clone(),
                resource: Some(resource(account.as_ref(), object.as_ref(), record.as_ref())),
                context: Some(sent(context)),
                min_revision: None,
                page_size: 1_000,
                page_token: String::new(),
            };
            permissions(client, request).await
        }
        Question::Filter { principal, permission, account, object, records, context, .. } => {
            let (who, place) = ((principal.as_str(), permission.as_ref()), (account.as_ref(), object.as_ref()));
            let request = filtering(organization, who, place, records, context);
            client.filter_records(request).await.map(|reply| Given::Records(reply.into_inner().record_ids))
        }
    };
    match answer {
        Ok(given) => Ok(given),
        Err(status) => caused(&status),
    }
}

/// What a question can cause is an outcome; anything else is the server's trouble.
fn caused(status: &tonic::Status) -> Result<Given, CliError> {
    match status.code() {
        tonic::Code::InvalidArgument | tonic::Code::NotFound | tonic::Code::Unimplemented => {
            Ok(Given::Error { code: code_name(status.code()), message: status.message().to_owned() })
        }
        _ => Err(super::remote::refused(status)),
    }
}

/// The whole list, page by page.
async fn permissions(
    client: &mut DecisionServiceClient<Connection>,
    mut request: proto::ListPermissionsRequest,
) -> Result<Given, tonic::Status> {
    let mut all = BTreeSet::new();
    loop {
        let reply = client.list_permissions(request.clone()).await?.into_inner();
        all.extend(reply.permissions);
        if reply.next_page_token.is_empty() {
            return Ok(Given::Permissions(all));
        }
        request.page_token = reply.next_page_token;
    }
}

/// Whether a principal may do something on a resource, as it is asked.
pub fn authorizing(
    organization: &str,
    (principal, permission): (&str, &str),
    resource: proto::Resource,
    context: &CaseContext,
) -> proto::AuthorizeRequest {
    proto::AuthorizeRequest {
        organization: organization.to_owned(),
        principal: principal.to_owned(),
        permission: permission.to_owned(),
        resource: Some(resource),
        context: Some(sent(context)),
        min_revision: None,
    }
}

pub fn resource(account: Option<&String>, object: Option<&String>, record: Option<&CaseRecord>) -> proto::Resource {
    proto::Resource {
        account: account.cloned().unwrap_or_default(),
        object: object.cloned().unwrap_or_default(),
        record: record.map(message),
    }
}

/// A record as it is sent.
pub fn message(record: &CaseRecord) -> proto::Record {
    let CaseRecord { id, owner, account, attributes } = record.clone();
    proto::Record {
        id,
        owner: owner.unwrap_or_default(),
        account: account.unwrap_or_default(),
        attributes: attributes.into_iter().map(|(n, v)| (n, to_value(v))).collect(),
    }
}

pub fn sent(context: &CaseContext) -> proto::Context {
    proto::Context {
        channel: context.channel.clone().unwrap_or_default(),
        authenticated_at: context.authenticated_at.map(to_timestamp),
        invitee_email: context.invitee_email.clone().unwrap_or_default(),
        attributes: context.attributes.iter().map(|(n, v)| (n.clone(), to_value(v.clone()))).collect(),
    }
}
