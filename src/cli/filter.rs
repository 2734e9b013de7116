//! `doorward filter`: which records of a file pass, and of several permissions which of them, record by record.
//!
//! The file may be larger than memory: its records are read, asked about and printed chunk by chunk, the chunks
//! all at one revision and one instant (`StreamFilterRecords` of a server; offline, the same function on the
//! version that a file makes). So what is wrong behind the first chunk is told behind the answers before it.

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::clock::{Clock, SystemClock};
use crate::core::model::Millis;
use crate::core::table::Table;
use crate::engine::ReadError;
use crate::service::filtered;
use crate::service::proto::{
    FilterQuery, FilterRecordsRequest, PermissionRecords, Record, StreamFilterRecordsRequest,
    StreamFilterRecordsResponse,
};

use super::CliError;
use super::ask::{SightArgs, candidates};
use super::file::{CaseRecord, FileErrors};
use super::judge::{Judge, message, no_clock, sent};
use super::remote::{refused, told};

/// Records of a chunk.
const CHUNK_RECORDS: usize = 1_000;
/// Bytes of a chunk, as it is sent; the last record may go beyond.
const CHUNK_BYTES: usize = 1 << 20;

/// The arguments of `doorward filter`.
#[derive(Debug, clap::Args)]
pub struct FilterArgs {
    #[command(flatten)]
    sight: SightArgs,
    /// A permission's name or alias; repeatable: of several, a line for each record has its id, a tab, and those
    /// that hold, with commas. Without any: what the principal can see.
    #[arg(long = "permission", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    permissions: Vec<String>,
    /// A file with the list of records, as decision-test files have them (YAML or JSON), of any length.
    #[arg(long, value_name = "FILE")]
    records: PathBuf,
}

/// Prints the ids of the records that pass, one a line; of several permissions, every id with those that hold.
pub async fn filter(args: FilterArgs) -> Result<bool, CliError> {
    let FilterArgs { sight: SightArgs { at, who, object }, mut permissions, records } = args;
    let (mut judge, organization) = at.judge().await?;
    let mut records = candidates(&records)?;
    let mut next = chunk(&mut records)?;
    let several = permissions.len() > 1;
    if permissions.is_empty() {
        permissions.push(String::new());
    }
    let query = FilterQuery {
        organization,
        principal: who.principal.clone(),
        permission: String::new(),
        account: who.account.clone().unwrap_or_default(),
        object,
        context: Some(sent(&who.context())),
        min_revision: None,
        positions_only: true,
        permissions,
        bitmap: false,
    };
    let mut filtering = Filtering::begin(&mut judge, at.now, query).await?;
    while !next.is_empty() {
        let ids: Vec<String> = next.iter().map(|record| record.id.clone()).collect();
        let passed = filtering.ask(next).await?;
        if several {
            lines(&ids, &passed).iter().for_each(|line| say!("{line}"));
        } else {
            let passed = passed.iter().flat_map(|one| &one.positions);
            passed.filter_map(|at| ids.get(*at as usize)).for_each(|id| say!("{id}"));
        }
        next = chunk(&mut records)?;
    }
    filtering.end().await.map(|()| true)
}

/// For each record, its id and the permissions that hold. An id has no tab, a permission no comma.
fn lines(ids: &[String], passed: &[PermissionRecords]) -> Vec<String> {
    let mut holding: Vec<Vec<&str>> = vec![Vec::new(); ids.len()];
    for PermissionRecords { permission, positions, .. } in passed {
        for at in positions {
            if let Some(holding) = holding.get_mut(*at as usize) {
                holding.push(permission);
            }
        }
    }
    ids.iter().zip(holding).map(|(id, holding)| format!("{id}\t{}", holding.join(","))).collect()
}

/// The next records of a file, as many as are sent together; none at its end.
fn chunk(records: &mut impl Iterator<Item = Result<CaseRecord, FileErrors>>) -> Result<Vec<Record>, FileErrors> {
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    while chunk.len() < CHUNK_RECORDS && bytes < CHUNK_BYTES {
        let Some(record) = records.next().transpose()? else { break };
        let record = message(&record);
        bytes += record.encoded_len();
        chunk.push(record);
    }
    Ok(chunk)
}

/// A question about records that come chunk by chunk.
enum Filtering<'j> {
    Offline { table: &'j Table, now: Millis, request: Box<FilterRecordsRequest> },
    Server { chunks: mpsc::Sender<StreamFilterRecordsRequest>, replies: Box<Streaming<StreamFilterRecordsResponse>> },
}

impl<'j> Filtering<'j> {
    async fn begin(judge: &'j mut Judge, now: Option<Millis>, query: FilterQuery) -> Result<Self, CliError> {
        match judge {
            Judge::Offline(tables) => {
                let Some(table) = tables.get(&query.organization) else {
                    return Err(failed(&ReadError::UnknownOrganization(query.organization).into()));
                };
                let now = now.unwrap_or_else(|| SystemClock.now());
                let mut filtering = Self::Offline { table, now, request: Box::new(query.into()) };
                // What is wrong with the question is told of no records, too.
                filtering.ask(Vec::new()).await.map(|_| filtering)
            }
            Judge::Server(_) if now.is_some() => Err(no_clock()),
            Judge::Server(client) => {
                let (chunks, messages) = mpsc::channel(1);
                let first = StreamFilterRecordsRequest { query: Some(query), ..StreamFilterRecordsRequest::default() };
                // There is room for it.
                let _ = chunks.send(first).await;
                let replies = client.stream_filter_records(ReceiverStream::new(messages)).await;
                let replies = Box::new(replies.map_err(|status| failed(&status))?.into_inner());
                Ok(Self::Server { chunks, replies })
            }
        }
    }

    /// What passes of these, for each permission.
    async fn ask(&mut self, records: Vec<Record>) -> Result<Vec<PermissionRecords>, CliError> {
        match self {
            Self::Offline { table, now, request } => {
                request.records = records;
                let reply = filtered(table, request, *now).map_err(|failure| failed(&failure.into()))?;
                Ok(reply.by_permission)
            }
            Self::Server { chunks, replies } => {
                // If the stream has ended, its replies say why.
                let _ = chunks.send(StreamFilterRecordsRequest { records, ..Default::default() }).await;
                match replies.message().await {
                    Ok(Some(reply)) => Ok(reply.by_permission),
                    Ok(None) => Err(CliError::Usage("the server ended the stream before its last record".to_owned())),
                    Err(status) => Err(failed(&status)),
                }
            }
        }
    }

    /// Nothing more is asked: whether all was answered.
    async fn end(self) -> Result<(), CliError> {
        let Self::Server { chunks, mut replies } = self else { return Ok(()) };
        drop(chunks);
        match replies.message().await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(CliError::Usage("the server answered more than was asked".to_owned())),
            Err(status) => Err(failed(&status)),
        }
    }
}

/// What a question can cause is told alike offline and of a server; anything else is the server's trouble.
fn failed(status: &Status) -> CliError {
    match status.code() {
        Code::InvalidArgument | Code::NotFound | Code::Unimplemented => CliError::Refused(told(status)),
        _ => refused(status),
    }
}
