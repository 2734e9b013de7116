//! `doorward check`, `plan` and `explain`: one question, asked of an organization file or of a
//! running server.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::core::condition::parse_timestamp;
use crate::core::model::Millis;
use crate::service::proto::{PlanRecordsRequest, SqlDialect};

use super::file::{Candidates, CaseContext, CaseRecord, Expected, Question};
use super::judge::{Given, Judge, sent};
use super::remote::ServerArgs;
use super::{CliError, cases, plan, tree};

/// Who answers.
#[derive(Debug, clap::Args)]
pub struct WhereArgs {
    /// An organization file to ask offline; and perhaps that of its super-organization.
    #[arg(long = "org", value_name = "FILE", conflicts_with_all = ["server", "organization"])]
    files: Vec<PathBuf>,
    /// The clock for the question, such as `2026-11-22T12:00:00Z`: offline only, the real one if absent.
    #[arg(long, value_name = "TIME", requires = "files", value_parser = time)]
    pub now: Option<Millis>,
    /// The organization to ask about on the server.
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Who asks, and in which circumstances.
#[derive(Debug, clap::Args)]
pub struct WhoArgs {
    /// `user:ID` or `service:ID`; a bare id is a user.
    #[arg(long, value_name = "PRINCIPAL")]
    pub principal: String,
    /// The account of the resource.
    #[arg(long, value_name = "ID")]
    pub account: Option<String>,
    /// The channel through which the principal acts, such as `email`.
    #[arg(long)]
    channel: Option<String>,
    /// When the principal last proved who it is, such as `2026-11-22T12:00:00Z`.
    #[arg(long, value_name = "TIME", value_parser = time)]
    authenticated_at: Option<Millis>,
}

/// The arguments of `doorward check` and `doorward explain`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    #[command(flatten)]
    at: WhereArgs,
    #[command(flatten)]
    who: WhoArgs,
    /// A permission's name or alias.
    #[arg(long, value_name = "NAME")]
    permission: String,
    /// The object of the resource.
    #[arg(long, value_name = "ID")]
    object: Option<String>,
    /// A record of the object.
    #[arg(long, value_name = "ID", requires = "object")]
    record: Option<String>,
    /// Who owns the record: a user's id or `service:ID`.
    #[arg(long, value_name = "ID", requires = "record")]
    owner: Option<String>,
    /// The account that the record belongs to.
    #[arg(long, value_name = "ID", requires = "record")]
    record_account: Option<String>,
    /// A file with the record, attributes included, as decision-test files have it (YAML or JSON).
    #[arg(long, value_name = "FILE", requires = "object", conflicts_with = "record")]
    record_file: Option<PathBuf>,
}

/// Who asks about the records of which object.
#[derive(Debug, clap::Args)]
pub struct SightArgs {
    #[command(flatten)]
    pub at: WhereArgs,
    #[command(flatten)]
    pub who: WhoArgs,
    /// The object that the records belong to.
    #[arg(long, value_name = "ID")]
    pub object: String,
}

/// The arguments of `doorward plan`.
#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    #[command(flatten)]
    sight: SightArgs,
    /// A permission's name or alias. Without one: what the principal can see.
    #[arg(long, value_name = "NAME")]
    permission: Option<String>,
    /// An operator that can be run, such as `eq`; repeatable. Without any: all can.
    #[arg(long = "operator", value_name = "NAME")]
    operators: Vec<String>,
    /// Print it for a database as well: the text of a condition, and what is bound to its parameters.
    #[arg(long, value_name = "DATABASE")]
    sql: Option<Database>,
}

/// A database that a filter can be written for.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Database {
    /// PostgreSQL from 14.
    Postgresql,
    /// SQLite from 3.38.
    Sqlite,
}

/// Whether it is allowed.
pub async fn check(args: CheckArgs) -> Result<bool, CliError> {
    let (mut judge, organization) = args.at.judge().await?;
    let given = judge.ask(&organization, args.at.now, &args.question()?).await?;
    if let Given::Error { code, message } = given {
        return Err(CliError::Refused(format!("{code}: {message}")));
    }
    say!("{}", cases::show(&given));
    Ok(given == Given::Allowed)
}

/// Prints the decision and why it came out so.
pub async fn explain(args: CheckArgs) -> Result<bool, CliError> {
    let (mut judge, organization) = args.at.judge().await?;
    match judge.explain(&organization, args.at.now, &args.question()?).await? {
        Ok(explained) => {
            say!("{}", tree::explanation(&explained));
            Ok(true)
        }
        Err(Given::Error { code, message }) => Err(CliError::Refused(format!("{code}: {message}"))),
        Err(_) => Err(CliError::Usage("an answer of another kind than was asked for".to_owned())),
    }
}

/// Prints the filter for the caller's database.
pub async fn plan(args: PlanArgs) -> Result<bool, CliError> {
    let PlanArgs { sight: SightArgs { at, who, object }, permission, operators, sql } = args;
    let dialect = sql.map_or(SqlDialect::Unspecified, |database| match database {
        Database::Postgresql => SqlDialect::Postgresql,
        Database::Sqlite => SqlDialect::Sqlite,
    });
    let (mut judge, organization) = at.judge().await?;
    let request = PlanRecordsRequest {
        organization,
        principal: who.principal.clone(),
        permission: permission.unwrap_or_default(),
        account: who.account.clone().unwrap_or_default(),
        object,
        context: Some(sent(&who.context())),
        min_revision: None,
        operators,
        sql_dialect: dialect.into(),
    };
    match judge.plan(at.now, request).await? {
        Ok(planned) => {
            say!("{}", plan::written(&planned));
            Ok(true)
        }
        Err(Given::Error { code, message }) => Err(CliError::Refused(format!("{code}: {message}"))),
        Err(_) => Err(CliError::Usage("an answer of another kind than was asked for".to_owned())),
    }
}

impl WhereArgs {
    /// Who answers, and about which organization.
    pub async fn judge(&self) -> Result<(Judge, String), CliError> {
        let judge = Judge::new(&self.files, &self.server).await?;
        let organization = match (&judge, &self.organization) {
            (Judge::Offline(tables), _) if tables.len() > 1 => {
                return Err(CliError::Usage("give one organization with `--org`".to_owned()));
            }
            (Judge::Offline(tables), _) => tables.keys().next().cloned(),
            (Judge::Server(_), named) => named.clone(),
        };
        let missing = || CliError::Usage("say which organization of the server with `--organization`".to_owned());
        Ok((judge, organization.ok_or_else(missing)?))
    }
}

impl WhoArgs {
    /// What is told of the request.
    pub fn context(&self) -> CaseContext {
        let (channel, authenticated_at) = (self.channel.clone(), self.authenticated_at);
        CaseContext { channel, authenticated_at, ..CaseContext::default() }
    }
}

impl CheckArgs {
    fn question(&self) -> Result<Question, CliError> {
        let record = match (&self.record, &self.record_file) {
            (Some(id), _) => Some(CaseRecord {
                id: id.clone(),
                owner: self.owner.clone(),
                account: self.record_account.clone(),
                attributes: BTreeMap::default(),
            }),
            (None, Some(path)) => match *candidates(path)?.collect::<Result<Vec<_>, _>>()? {
                [ref record] => Some(record.clone()),
                _ => return Err(CliError::Usage(format!("{}: one record is wanted", path.display()))),
            },
            (None, None) => None,
        };
        Ok(Question::Authorize {
            principal: self.who.principal.clone(),
            permission: self.permission.clone(),
            account: self.who.account.clone(),
            object: self.object.clone(),
            record,
            context: self.who.context(),
            expect: Expected::Allow,
            reason: None,
        })
    }
}

/// The records of a file.
pub fn candidates(path: &Path) -> Result<Candidates<File>, CliError> {
    let file = File::open(path).map_err(|source| CliError::Io { path: path.to_owned(), source })?;
    Ok(Candidates::of(file, &path.display().to_string()))
}

fn time(text: &str) -> Result<Millis, String> {
    parse_timestamp(text).map_err(|wrong| format!("`{text}` {wrong}"))
}
