//! `doorward test`: asks the cases of decision-test files, offline or of a running server, and
//! prints those that came out differently.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use crate::clock::{Clock, SystemClock};
use crate::core::decision::{self, Context, Reason, Record, Resource, Walk};
use crate::core::model::Millis;
use crate::core::table::Table;
use crate::engine::ReadError;
use crate::service::proto;
use crate::service::proto::decision_service_client::DecisionServiceClient;
use crate::service::{to_timestamp, to_value};

use super::file::{Case, CaseContext, CaseFile, CaseRecord, Expected, Question};
use super::remote::{Connection, ServerArgs, code_name};
use super::{CliError, organization, read};

/// The arguments of `doorward test`.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// An organization file to ask offline; may be given several times.
    #[arg(long = "org", value_name = "FILE", conflicts_with = "server")]
    organizations: Vec<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
    /// The decision-test files.
    #[arg(required = true, value_name = "CASES")]
    cases: Vec<PathBuf>,
}

/// What came of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    Allowed,
    Denied(String),
    Error { code: String, message: String },
    Permissions(BTreeSet<String>),
}

/// Who answers.
pub enum Judge {
    Offline(HashMap<String, Table>),
    Server(Box<DecisionServiceClient<Connection>>),
}

/// Whether every case came out as expected.
pub async fn test(args: TestArgs) -> Result<bool, CliError> {
    let mut judge = if args.server.server.is_some() {
        Judge::Server(Box::new(DecisionServiceClient::new(args.server.connect().await?)))
    } else {
        let mut tables = HashMap::new();
        for path in &args.organizations {
            let (file, table) = organization(path)?;
            if tables.insert(file.organization.to_string(), table).is_some() {
                return Err(CliError::Usage(format!("organization `{}` is given twice", file.organization)));
            }
        }
        if tables.is_empty() {
            return Err(CliError::Usage("give organizations with `--org`, or a server with `--server`".to_owned()));
        }
        Judge::Offline(tables)
    };
    let (mut passed, mut differ) = (0, 0);
    for path in &args.cases {
        let name = path.display().to_string();
        let file = CaseFile::parse(&read(path)?, &name)?;
        for case in &file.cases {
            let given = judge.ask(&name, &file, case).await?;
            match difference(case, &given) {
                None => passed += 1,
                Some(difference) => {
                    differ += 1;
                    println!("{name}:{}: {}\n{difference}", case.place.line, case.name);
                }
            }
        }
    }
    println!("{passed} passed, {differ} failed");
    Ok(differ == 0)
}

/// How a case came out differently, if it did.
pub fn difference(case: &Case, given: &Given) -> Option<String> {
    match (&case.question, given) {
        (Question::Authorize { expect, reason, .. }, given) => {
            let (answer, because, message) = match given {
                Given::Allowed => (Expected::Allow, "ALLOWED", ""),
                Given::Denied(reason) => (Expected::Deny, reason.as_str(), ""),
                Given::Error { code, message } => (Expected::Error, code.as_str(), message.as_str()),
                Given::Permissions(_) => return Some("  a list instead of a decision".to_owned()),
            };
            let as_expected = answer == *expect && reason.as_ref().is_none_or(|r| r == because);
            let wanted = reason.as_ref().map_or_else(String::new, |r| format!(" ({r})"));
            let told = if message.is_empty() { String::new() } else { format!(": {message}") };
            (!as_expected)
                .then(|| format!("  expected {}{wanted}, got {} ({because}){told}", word(*expect), word(answer)))
        }
        (Question::Permissions { expect, .. }, Given::Permissions(given)) => {
            let expect: BTreeSet<String> = expect.iter().cloned().collect();
            let list = |items: Vec<&String>| items.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let missing = list(expect.difference(given).collect());
            let more = list(given.difference(&expect).collect());
            let mut lines = Vec::new();
            if !missing.is_empty() {
                lines.push(format!("  expected but not given: {missing}"));
            }
            if !more.is_empty() {
                lines.push(format!("  given but not expected: {more}"));
            }
            (!lines.is_empty()).then(|| lines.join("\n"))
        }
        (Question::Permissions { .. } | Question::Filter { .. }, Given::Error { code, message }) => {
            Some(format!("  expected a list, got an error ({code}): {message}"))
        }
        _ => Some("  an answer of another kind than was asked for".to_owned()),
    }
}

/// What came of a case, for people.
pub fn show(given: &Given) -> String {
    match given {
        Given::Allowed => "allow".to_owned(),
        Given::Denied(reason) => format!("deny ({reason})"),
        Given::Error { code, message } => format!("error ({code}): {message}"),
        Given::Permissions(all) => all.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
    }
}

/// What a case asks, for people.
pub fn describe(case: &Case) -> String {
    let place = |object: &Option<String>, record: &Option<CaseRecord>| {
        let record = record.as_ref().map(|r| format!(", record {}", r.id)).unwrap_or_default();
        object.as_ref().map_or_else(String::new, |o| format!(" on {o}{record}"))
    };
    match &case.question {
        Question::Authorize { principal, permission, object, record, .. } => {
            format!("may {principal} do {permission}{}?", place(object, record))
        }
        Question::Permissions { principal, object, record, .. } => {
            format!("what may {principal} do{}?", place(object, record))
        }
        Question::Filter { principal, object, .. } => {
            format!("which records may {principal} see{}?", place(object, &None))
        }
    }
}

fn word(expected: Expected) -> &'static str {
    match expected {
        Expected::Allow => "allow",
        Expected::Deny => "deny",
        Expected::Error => "error",
    }
}

impl Judge {
    /// What comes of a case of `file`, which is called `name`.
    ///
    /// # Errors
    /// The case cannot be asked here, or the server is in trouble.
    pub async fn ask(&mut self, name: &str, file: &CaseFile, case: &Case) -> Result<Given, CliError> {
        if let Question::Filter { .. } = case.question {
            let line = case.place.line;
            return Err(CliError::Usage(format!("{name}:{line}: `filter` cases are not supported by this version")));
        }
        let organization = file.organization.as_str();
        match self {
            Self::Offline(tables) => {
                let Some(table) = tables.get(organization) else {
                    return Ok(error(ReadError::UnknownOrganization(organization.to_owned())));
                };
                Ok(offline(table, &case.question, file.now.unwrap_or_else(|| SystemClock.now())))
            }
            Self::Server(_) if file.now.is_some() => {
                Err(CliError::Usage(format!("{name}: `now` cannot be set for a running server")))
            }
            Self::Server(client) => remote(client, organization, &case.question).await,
        }
    }
}

fn error(problem: ReadError) -> Given {
    let status = tonic::Status::from(problem);
    Given::Error { code: code_name(status.code()), message: status.message().to_owned() }
}

fn offline(table: &Table, question: &Question, now: Millis) -> Given {
    match question {
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
        Question::Filter { .. } => Given::Permissions(BTreeSet::new()),
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
    let record = record.map(|r| Record {
        id: &r.id,
        owner: text(r.owner.as_ref()),
        account: text(r.account.as_ref()),
        attributes: &r.attributes,
    });
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
            let request = proto::AuthorizeRequest {
                organization: organization.to_owned(),
                principal: principal.clone(),
                permission: permission.clone(),
                resource: Some(resource(account.as_ref(), object.as_ref(), record.as_ref())),
                context: Some(sent(context)),
                min_revision: None,
            };
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
        Question::Filter { .. } => Ok(Given::Permissions(BTreeSet::new())),
    };
    match answer {
        Ok(given) => Ok(given),
        // What a question can cause is an outcome; anything else is the server's trouble.
        Err(status) => match status.code() {
            tonic::Code::InvalidArgument | tonic::Code::NotFound | tonic::Code::Unimplemented => {
                Ok(Given::Error { code: code_name(status.code()), message: status.message().to_owned() })
            }
            _ => Err(super::remote::refused(&status)),
        },
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

fn resource(account: Option<&String>, object: Option<&String>, record: Option<&CaseRecord>) -> proto::Resource {
    proto::Resource {
        account: account.cloned().unwrap_or_default(),
        object: object.cloned().unwrap_or_default(),
        record: record.map(|r| proto::Record {
            id: r.id.clone(),
            owner: r.owner.clone().unwrap_or_default(),
            account: r.account.clone().unwrap_or_default(),
            attributes: r.attributes.iter().map(|(n, v)| (n.clone(), to_value(v.clone()))).collect(),
        }),
    }
}

fn sent(context: &CaseContext) -> proto::Context {
    proto::Context {
        channel: context.channel.clone().unwrap_or_default(),
        authenticated_at: context.authenticated_at.map(to_timestamp),
        invitee_email: context.invitee_email.clone().unwrap_or_default(),
        attributes: context.attributes.iter().map(|(n, v)| (n.clone(), to_value(v.clone()))).collect(),
    }
}
