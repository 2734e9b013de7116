//! `doorward apply` and `doorward export`: organizations between files and a running server.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::core::id::Id;
use crate::core::model::Row;
use crate::service::proto::apply_organization_request::Part;
use crate::service::proto::organization_service_client::OrganizationServiceClient;
use crate::service::proto::{
    ApplyEnd, ApplyHeader, ApplyOrganizationRequest, ApplyOrganizationResponse, ChangeKind, ExportOrganizationRequest,
    RowBatch,
};
use crate::service::{messages, rows};

use super::file::OrganizationFile;
use super::remote::{ServerArgs, refused};
use super::{CliError, Content, content, file, printed, supers};

/// Rows in one message: with ids and names of usual length well under the server's limit.
const ROWS_PER_MESSAGE: usize = 500;
/// The largest reply that `export` takes, in bytes.
const MAX_REPLY_BYTES: usize = 64 << 20;

/// The arguments of `doorward apply`.
#[allow(clippy::struct_excessive_bools, reason = "independent switches of the command line")]
#[derive(Debug, clap::Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Only say what would change.
    #[arg(long)]
    dry_run: bool,
    /// With `--dry-run`: also say who would gain and lose what.
    #[arg(long, requires = "dry_run")]
    access_diff: bool,
    /// Users and service accounts that the file does not name become inactive, instead of being an
    /// error: nobody is ever removed.
    #[arg(long)]
    deactivate_missing: bool,
    /// Do not create the organization if the server has none of that name.
    #[arg(long)]
    must_exist: bool,
    /// The file of an organization, or of a super-organization.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// The arguments of `doorward export`.
#[derive(Debug, clap::Args)]
pub struct ExportArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Where to write; standard output if not given.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Export a super-organization.
    #[arg(long = "super")]
    over: bool,
    /// Its id.
    organization: crate::core::id::Id,
}

/// How a file is applied.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// Only say what would change.
    pub dry_run: bool,
    /// See [`ApplyArgs`].
    pub deactivate_missing: bool,
    /// See [`ApplyArgs`].
    pub must_exist: bool,
}

/// Applies a file to a server, and returns the server's reply.
///
/// # Errors
/// The server cannot be reached, or refuses.
pub async fn send(
    server: &ServerArgs,
    file: &OrganizationFile,
    how: How,
) -> Result<ApplyOrganizationResponse, CliError> {
    let rows: Vec<_> = file.rows.iter().flat_map(|row| messages(&file.organization, row)).collect();
    let mut client = OrganizationServiceClient::new(server.connect().await?);
    let header = ApplyHeader {
        organization: file.organization.to_string(),
        create_if_missing: !how.must_exist,
        deactivate_missing_users: how.deactivate_missing,
        expected_revision: None,
        request_id: String::new(),
        validate_only: how.dry_run,
    };
    let row_count = rows.len() as u64;
    let bar = progress(row_count);
    let sent = bar.clone();
    let batches: Vec<_> = rows.chunks(ROWS_PER_MESSAGE).map(<[_]>::to_vec).collect();
    let batches = batches.into_iter().map(move |rows| {
        sent.inc(rows.len() as u64);
        Part::Rows(RowBatch { rows })
    });
    let parts = std::iter::once(Part::Header(header)).chain(batches).chain([Part::End(ApplyEnd { row_count })]);
    let requests = parts.map(|part| ApplyOrganizationRequest { part: Some(part) });
    let reply = client.apply_organization(tokio_stream::iter(requests)).await;
    bar.finish_and_clear();
    Ok(reply.map_err(|status| refused(&status))?.into_inner())
}

/// Applies a file, and says what changed.
pub async fn apply(args: ApplyArgs) -> Result<bool, CliError> {
    let how = How { dry_run: args.dry_run, deactivate_missing: args.deactivate_missing, must_exist: args.must_exist };
    let file = match content(&args.file)? {
        Content::Organization(read) => read.0,
        Content::Super(file) => return supers::apply(&args.server, &file, how).await,
    };
    let reply = send(&args.server, &file, how).await?;
    if args.access_diff {
        let stored = exported(&args.server, &file.organization).await?;
        super::review::difference(&file, stored.unwrap_or_default(), args.deactivate_missing)?;
    }
    let shown = reply.changes.len() as u64;
    for change in &reply.changes {
        let sign = match change.kind() {
            ChangeKind::Create => '+',
            ChangeKind::Update => '~',
            ChangeKind::Delete => '-',
            ChangeKind::Unspecified => ' ',
        };
        say!("{sign} {} {}", change.entity, change.id);
    }
    let all = reply.created + reply.updated + reply.deleted;
    if all > shown {
        say!("… and {} more", all - shown);
    }
    let revision = reply.revision.map_or(0, |r| r.number);
    let (organization, dry) = (&file.organization, if args.dry_run { " (dry run: nothing was changed)" } else { "" });
    if reply.unchanged {
        say!("{organization}: unchanged at revision {revision}");
    } else {
        say!(
            "{organization}: {} created, {} updated, {} deleted; revision {revision}{dry}",
            reply.created,
            reply.updated,
            reply.deleted
        );
    }
    Ok(true)
}

/// Shown on a terminal only.
fn progress(rows: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(rows), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Exports an organization.
pub async fn export(args: ExportArgs) -> Result<bool, CliError> {
    if args.over {
        let text = supers::export(&args.server, &args.organization).await?;
        return written(args.output, &text);
    }
    let rows = exported(&args.server, &args.organization).await?;
    let missing = || CliError::Refused(format!("the server has no organization `{}`", args.organization));
    let text = file::write(&args.organization, &rows.ok_or_else(missing)?);
    written(args.output, &text)
}

fn written(output: Option<PathBuf>, text: &str) -> Result<bool, CliError> {
    match output {
        None => printed(format_args!("{text}")),
        Some(path) => std::fs::write(&path, text).map_err(|source| CliError::Io { path, source })?,
    }
    Ok(true)
}

/// The rows of an organization; none if the server has no such organization.
async fn exported(server: &ServerArgs, organization: &Id) -> Result<Option<Vec<Row>>, CliError> {
    let connection = server.connect().await?;
    let mut client = OrganizationServiceClient::new(connection).max_decoding_message_size(MAX_REPLY_BYTES);
    let request = ExportOrganizationRequest { organization: organization.to_string(), min_revision: None };
    let mut replies = match client.export_organization(request).await {
        Ok(replies) => replies.into_inner(),
        Err(status) if status.code() == tonic::Code::NotFound => return Ok(None),
        Err(status) => return Err(refused(&status)),
    };
    let mut sent = Vec::new();
    while let Some(reply) = replies.message().await.map_err(|status| refused(&status))? {
        sent.extend(reply.rows);
    }
    let senseless =
        |status| CliError::Refused(format!("the server sent what makes no organization: {}", refused(&status)));
    rows(organization, sent).map(Some).map_err(senseless)
}
