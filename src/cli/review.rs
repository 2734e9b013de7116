//! `doorward review`, and what `doorward apply --access-diff` says: who can do what, and what a file would
//! change of it.

use std::io::Write;
use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::json;

use crate::clock::{Clock, SystemClock};
use crate::core::change::{Change, apply};
use crate::core::condition::timestamp_text;
use crate::core::id::PermissionName;
use crate::core::model::{Millis, PrincipalId, Row, Target};
use crate::core::review::access::{Access, Asked};
use crate::core::review::difference::Compared;
use crate::core::review::{Review, When};
use crate::core::table::Table;
use crate::service::proto::activity_service_client::ActivityServiceClient;
use crate::service::proto::{self, AccessPath, AccessReviewEntry, ReviewAccessRequest};
use crate::service::{review_entry, source};

use super::file::OrganizationFile;
use super::remote::{ServerArgs, refused};
use super::{CliError, Content, content, unused};

/// Lines of a comparison that are printed.
const MAX_LINES: usize = 10_000;

/// The arguments of `doorward review`.
#[derive(Debug, clap::Args)]
pub struct ReviewArgs {
    /// An organization file to review offline.
    #[arg(long = "org", value_name = "FILE", conflicts_with_all = ["server", "organization"])]
    file: Option<PathBuf>,
    /// The organization to review on the server.
    #[arg(long, value_name = "ID")]
    organization: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
    /// Only what has effect in this account.
    #[arg(long, value_name = "ID", conflicts_with = "object")]
    account: Option<String>,
    /// Only what has effect on this object.
    #[arg(long, value_name = "ID")]
    object: Option<String>,
    /// Only what has effect on this record of the object.
    #[arg(long, value_name = "ID", requires = "object")]
    record: Option<String>,
    /// Only this permission, by name or alias, wildcards resolved; may be given several times.
    #[arg(long = "permission", value_name = "NAME")]
    permissions: Vec<String>,
    /// Only this principal: `user:ID` or `service:ID`; may be given several times.
    #[arg(long = "principal", value_name = "PRINCIPAL")]
    principals: Vec<String>,
    /// Principals that may not act now too, as if they could.
    #[arg(long)]
    include_inactive: bool,
    /// Instead the roles and permissions that nothing gives; of a server only.
    #[arg(long, conflicts_with_all = ["file", "account", "object", "permissions", "principals", "include_inactive"])]
    unused: bool,
    /// Also those that were not allowed for so long, such as `90d`.
    #[arg(long, value_name = "DURATION", requires = "unused")]
    unused_for: Option<String>,
    /// How to print it: CSV with a head line, or one JSON object a line.
    #[arg(long, value_enum, default_value = "csv")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Csv,
    Json,
}

/// Prints who can do what.
pub async fn review(args: ReviewArgs) -> Result<bool, CliError> {
    if args.unused {
        let (organization, unused_for) = (args.organization, args.unused_for.as_deref());
        return unused::print(&args.server, organization, unused_for, args.format).await;
    }
    let mut out = Printed { out: std::io::stdout().lock(), format: args.format };
    out.head()?;
    match &args.file {
        Some(path) => match content(path)? {
            Content::Organization(read) => offline(&args, &read.1, &mut out)?,
            Content::Super(_) => return Err(CliError::Usage("a review is of an organization's file".to_owned())),
        },
        None => online(&args, &mut out).await?,
    }
    Ok(true)
}

fn offline(args: &ReviewArgs, table: &Table, out: &mut Printed<impl Write>) -> Result<(), CliError> {
    let usage = |error: &dyn std::fmt::Display| CliError::Usage(error.to_string());
    let parsed = |text: &String| text.parse().map_err(|e: crate::core::id::IdError| usage(&e));
    let target = match (&args.account, &args.object, &args.record) {
        (Some(account), _, _) => Some(Target::Account(parsed(account)?)),
        (None, Some(object), None) => Some(Target::Object(parsed(object)?)),
        (None, Some(object), Some(record)) => {
            Some(Target::Record(parsed(object)?, record.parse().map_err(|e: crate::core::id::IdError| usage(&e))?))
        }
        (None, None, _) => None,
    };
    let permission = |text: &String| {
        let name: PermissionName = text.parse().map_err(|e: crate::core::id::IdError| usage(&e))?;
        table.permission(name.as_str()).ok_or_else(|| CliError::Usage(format!("unknown permission `{name}`")))
    };
    let permissions: Result<Vec<_>, CliError> = args.permissions.iter().map(permission).collect();
    let named: Result<Vec<PrincipalId>, _> = args.principals.iter().map(|p| p.parse()).collect();
    let named: Vec<String> = named.map_err(|e| usage(&e))?.iter().map(ToString::to_string).collect();
    let review = Review::of(table, When::At(SystemClock.now()));
    let asked = Asked { target, permissions: permissions?, inactive: args.include_inactive };
    let mut access = Access::new(&review, asked);
    for (service, id) in review.principals() {
        for entry in access.of(service, id) {
            if named.is_empty() || named.contains(&entry.principal.to_string()) {
                out.entry(&review_entry(entry))?;
            }
        }
    }
    Ok(())
}

async fn online(args: &ReviewArgs, out: &mut Printed<impl Write>) -> Result<(), CliError> {
    let given = |text: &Option<String>| text.clone().unwrap_or_default();
    let target =
        proto::Target { account: given(&args.account), object: given(&args.object), record: given(&args.record) };
    let request = ReviewAccessRequest {
        organization: named(args.organization.clone())?,
        target: (target != proto::Target::default()).then_some(target),
        permissions: args.permissions.clone(),
        principals: args.principals.clone(),
        include_inactive: args.include_inactive,
        min_revision: None,
    };
    let mut client = ActivityServiceClient::new(args.server.connect().await?);
    let mut replies = client.review_access(request).await.map_err(|s| refused(&s))?.into_inner();
    while let Some(reply) = replies.message().await.map_err(|status| refused(&status))? {
        reply.entries.iter().try_for_each(|entry| out.entry(entry))?;
    }
    Ok(())
}

/// Which organization of the server.
pub(super) fn named(organization: Option<String>) -> Result<String, CliError> {
    let missing = || CliError::Usage("say which organization of the server with `--organization`".to_owned());
    organization.ok_or_else(missing)
}

/// Prints entries as they come.
struct Printed<W> {
    out: W,
    format: Format,
}

impl<W: Write> Printed<W> {
    fn head(&mut self) -> Result<(), CliError> {
        match self.format {
            Format::Csv => self.line("principal,permission,account,object,record,policies_decide,state,paths"),
            Format::Json => Ok(()),
        }
    }

    fn entry(&mut self, entry: &AccessReviewEntry) -> Result<(), CliError> {
        let AccessReviewEntry { principal, permission, target, paths, paths_truncated, subject_to_policies, .. } =
            entry;
        let state = state(entry);
        let proto::Target { account, object, record } = target.clone().unwrap_or_default();
        let mut paths: Vec<String> = paths.iter().map(path).collect();
        if *paths_truncated {
            paths.push("…".to_owned());
        }
        let line = match self.format {
            Format::Json => json!({
                "principal": principal,
                "permission": permission,
                "account": account,
                "object": object,
                "record": record,
                "policies_decide": subject_to_policies,
                "state": state,
                "paths": paths,
            })
            .to_string(),
            Format::Csv => {
                let policies = if *subject_to_policies { "yes" } else { "no" };
                let paths = paths.join("; ");
                let cells = [principal.as_str(), permission, &account, &object, &record, policies, &state, &paths];
                cells.map(cell).join(",")
            }
        };
        self.line(&line)
    }

    fn line(&mut self, line: &str) -> Result<(), CliError> {
        printed(&mut self.out, line)
    }
}

pub(super) fn printed(out: &mut impl Write, line: &str) -> Result<(), CliError> {
    let written = writeln!(out, "{line}");
    written.map_err(|source| CliError::Io { path: "standard output".into(), source })
}

/// What a decision makes of an entry: `held`, if nothing stands against it.
fn state(entry: &AccessReviewEntry) -> String {
    let mut said = Vec::new();
    if let Some(until) = &entry.activated_until {
        said.push(format!("held by activation until {}", timestamp_text(to_millis(until))));
    }
    if !entry.void_by.is_empty() {
        said.push(format!("held but void by constraint {}", entry.void_by.join(", ")));
    }
    if !entry.closed_by.is_empty() {
        said.push(format!("held but closed: {}", entry.closed_by));
    }
    if said.is_empty() { "held".to_owned() } else { said.join("; ") }
}

pub(super) fn to_millis(time: &prost_types::Timestamp) -> Millis {
    time.seconds.saturating_mul(1_000).saturating_add(Millis::from(time.nanos) / 1_000_000)
}

/// A path for people: from whom through which groups, then what gives it.
fn path(path: &AccessPath) -> String {
    format!("{}: {}", path.members.join(" in "), source(path))
}

/// A cell of CSV (RFC 4180); a sheet shall not take it for a formula.
pub(super) fn cell(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// Prints what a file would change in what people can do, compared with the rows that there are.
///
/// # Errors
/// The rows make no organization, or the file cannot be applied to it.
pub fn difference(file: &OrganizationFile, stored: Vec<Row>, deactivate_missing: bool) -> Result<(), CliError> {
    let blank = Table::blank(file.organization.clone(), "offline".into(), 0);
    let made = |table: &Table, rows: Vec<Row>, deactivate_missing| {
        let made = apply(table, vec![Change::Replace { rows, deactivate_missing }]);
        made.map(|made| made.table).map_err(|error| CliError::Usage(format!("{}: {error}", file.organization)))
    };
    // An organization that there is not yet has no rows.
    let before = if stored.is_empty() { blank } else { made(&blank, stored, false)? };
    let after = made(&before, file.rows.clone(), deactivate_missing)?;
    let compared = Compared::new(&before, &after, SystemClock.now());
    let (mut people, mut lines) = (0_usize, 0_usize);
    say!("what people can do, now or later:");
    for (service, id) in compared.principals() {
        let differences = compared.of(service, id);
        people += usize::from(!differences.is_empty());
        for difference in differences {
            lines += 1;
            if lines <= MAX_LINES {
                let sign = if difference.gained { '+' } else { '-' };
                let permissions = difference.permissions.join(", ");
                say!("{sign} {} at {}: {permissions}", difference.principal, difference.target);
            }
        }
    }
    if lines > MAX_LINES {
        say!("… and {} more lines", lines - MAX_LINES);
    }
    say!("{people} gain or lose something");
    Ok(())
}
