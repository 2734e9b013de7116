//! `doorward activity`: the log of who did what, of a running server; whether it is whole, offline too; and
//! erasing a person from it.

use std::path::PathBuf;

use crate::core::condition::{parse_timestamp, timestamp_text};
use crate::core::id::{Id, OpaqueId};
use crate::core::model::Millis;
use crate::engine::activity::Verifier;
use crate::service::proto::activity_service_client::ActivityServiceClient;
use crate::service::proto::{
    ActivityEntry, ActivityFilter, ActivityOutcome, ErasePersonalDataRequest, ListActivityRequest,
    StreamActivityRequest, VerifyActivityRequest,
};
use crate::service::to_timestamp;
use crate::store::{Options, SledStore, StoreError};

use super::CliError;
use super::remote::{Connection, ServerArgs, chain, refused};

/// The largest message that is taken, in bytes.
const MAX_REPLY_BYTES: usize = 64 << 20;

/// The arguments of `doorward activity`.
#[derive(Debug, clap::Args)]
pub struct ActivityArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print entries, latest first, a line each.
    List(ListArgs),
    /// Recompute the chain of hashes, and name the first entry that is missing or altered: exit status 1 then.
    Verify(VerifyArgs),
    /// Erase the personal data of a user from all entries; the chain of hashes stays whole.
    ///
    /// The user's row, if there is one, is not touched, and its next change is logged with what it had:
    /// change the row first.
    Erase(EraseArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The organization's id.
    organization: Id,
    /// Entries to print at most.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print in order, then new entries as they come, until interrupted.
    #[arg(long, conflicts_with = "limit")]
    follow: bool,
    /// Only calls made by this caller, or on its behalf.
    #[arg(long, value_name = "CALLER", default_value = "", hide_default_value = true)]
    caller: String,
    /// Only this RPC, such as `doorward.v1.GroupService/AddMembers`.
    #[arg(long, value_name = "RPC", default_value = "", hide_default_value = true)]
    method: String,
    /// Only this outcome.
    #[arg(long)]
    outcome: Option<Outcome>,
    /// Only what changed entities of this kind, such as `user` or `membership`.
    #[arg(long, value_name = "KIND", default_value = "", hide_default_value = true)]
    entity: String,
    /// Only what changed the entity with this id.
    #[arg(long, value_name = "ID", requires = "entity", default_value = "", hide_default_value = true)]
    entity_id: String,
    /// Only entries of this account.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    account: String,
    /// Only entries of this time and later, such as `2026-11-22T12:00:00Z`.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Millis>,
    /// Only entries before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Millis>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Outcome {
    Applied,
    Refused,
    Recorded,
}

#[derive(Debug, clap::Args)]
struct VerifyArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The data directory of a server that does not run.
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    data: Option<PathBuf>,
    /// The organization's id.
    organization: Id,
}

#[derive(Debug, clap::Args)]
struct EraseArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// The organization's id.
    organization: Id,
    /// The user's id.
    user: OpaqueId,
    /// Only say from how many entries something would be erased.
    #[arg(long)]
    dry_run: bool,
}

/// What a log came to.
struct Verdict {
    broken: Option<(u64, String)>,
    verified: u64,
    hash: Vec<u8>,
}

/// Does what the arguments say.
pub async fn activity(args: ActivityArgs) -> Result<bool, CliError> {
    match args.command {
        Command::List(args) if args.follow => follow(args).await,
        Command::List(args) => list(args).await,
        Command::Verify(args) => {
            let verdict = match &args.data {
                Some(data) => offline(data.clone(), &args.organization)?,
                None => online(&args).await?,
            };
            let Verdict { broken, verified, hash } = verdict;
            match &broken {
                None => say!("{}: {verified} entries, intact; the last hash is {}", args.organization, hex(&hash)),
                Some((sequence, problem)) => say!("{}: broken at entry {sequence}: {problem}", args.organization),
            }
            Ok(broken.is_none())
        }
        Command::Erase(args) => erase(args).await,
    }
}

async fn client(server: &ServerArgs) -> Result<ActivityServiceClient<Connection>, CliError> {
    Ok(ActivityServiceClient::new(server.connect().await?).max_decoding_message_size(MAX_REPLY_BYTES))
}

impl ListArgs {
    fn filter(&self) -> ActivityFilter {
        let outcome = match self.outcome {
            None => ActivityOutcome::Unspecified,
            Some(Outcome::Applied) => ActivityOutcome::Applied,
            Some(Outcome::Refused) => ActivityOutcome::Refused,
            Some(Outcome::Recorded) => ActivityOutcome::Recorded,
        };
        ActivityFilter {
            caller: self.caller.clone(),
            method: self.method.clone(),
            outcome: outcome.into(),
            entity: self.entity.clone(),
            entity_id: self.entity_id.clone(),
            account: self.account.clone(),
            not_before: self.since.map(to_timestamp),
            before: self.until.map(to_timestamp),
            emergency_only: false,
        }
    }
}

async fn list(args: ListArgs) -> Result<bool, CliError> {
    let mut client = client(&args.server).await?;
    let (mut left, mut page_token) = (args.limit, String::new());
    while left > 0 {
        let request = ListActivityRequest {
            organization: args.organization.to_string(),
            filter: Some(args.filter()),
            min_revision: None,
            page_size: i32::try_from(left.min(1_000)).unwrap_or(1_000),
            page_token,
        };
        let reply = client.list_activity(request).await.map_err(|status| refused(&status))?.into_inner();
        reply.entries.iter().for_each(|entry| say!("{}", line(entry)));
        left = left.saturating_sub(reply.entries.len());
        page_token = reply.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(true)
}

async fn follow(args: ListArgs) -> Result<bool, CliError> {
    let request = StreamActivityRequest {
        organization: args.organization.to_string(),
        filter: Some(args.filter()),
        after_sequence: 0,
        follow: true,
        min_revision: None,
    };
    let stream = client(&args.server).await?.stream_activity(request).await;
    let mut stream = stream.map_err(|status| refused(&status))?.into_inner();
    while let Some(reply) = stream.message().await.map_err(|status| refused(&status))? {
        reply.entries.iter().for_each(|entry| say!("{}", line(entry)));
    }
    Ok(true)
}

/// One entry, for people: `12 2026-11-22T12:00:00Z applied platform:admin 127.0.0.1:4242 GroupService/AddMembers …`.
fn line(entry: &ActivityEntry) -> String {
    let millis = entry.time.map_or(0, |time| time.seconds * 1_000 + i64::from(time.nanos / 1_000_000));
    let outcome = match entry.outcome() {
        ActivityOutcome::Applied => "applied",
        ActivityOutcome::Refused => "refused",
        ActivityOutcome::Recorded => "recorded",
        ActivityOutcome::Unspecified => "?",
    };
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let behalf = if entry.on_behalf_of.is_empty() { String::new() } else { format!(" for {}", entry.on_behalf_of) };
    let method = entry.method.strip_prefix("doorward.v1.").unwrap_or(&entry.method);
    let reason = if entry.reason.is_empty() { String::new() } else { format!("{}: ", entry.reason) };
    format!(
        "{} {} {outcome} {}{behalf} {} {} {reason}{}",
        entry.sequence,
        timestamp_text(millis),
        or_dash(&entry.caller),
        or_dash(&entry.peer),
        or_dash(method),
        entry.summary
    )
}

async fn erase(args: EraseArgs) -> Result<bool, CliError> {
    let EraseArgs { server, organization, user, dry_run } = args;
    let mut client = client(&server).await?;
    let (mut erased, mut again) = (0, true);
    let mut exists = false;
    while again {
        let request = ErasePersonalDataRequest {
            organization: organization.to_string(),
            user: user.to_string(),
            request_id: String::new(),
            validate_only: dry_run,
        };
        let reply = client.erase_personal_data(request).await.map_err(|status| refused(&status))?.into_inner();
        erased += reply.entries_erased + if dry_run { reply.entries_left } else { 0 };
        (again, exists) = (!dry_run && reply.entries_left > 0, reply.user_exists);
    }
    let done = if dry_run { "would be erased" } else { "were erased" };
    say!("{organization}: personal data of user `{user}` {done} from {erased} {}", entries(erased));
    match (exists, erased) {
        (true, _) => say!("{organization}: the row of user `{user}` is there, and is not erased"),
        (false, 0) => say!("{organization}: there is no user `{user}`"),
        (false, _) => {}
    }
    Ok(true)
}

fn entries(count: u64) -> &'static str {
    if count == 1 { "entry" } else { "entries" }
}

async fn online(args: &VerifyArgs) -> Result<Verdict, CliError> {
    let request = VerifyActivityRequest { organization: args.organization.to_string(), ..Default::default() };
    let reply = client(&args.server).await?.verify_activity(request).await;
    let reply = reply.map_err(|status| refused(&status))?.into_inner();
    let broken = (!reply.intact).then_some((reply.first_broken_sequence, reply.problem));
    Ok(Verdict { broken, verified: reply.entries_verified, hash: reply.last_hash })
}

/// Of a data directory that no server uses.
fn offline(data: PathBuf, organization: &Id) -> Result<Verdict, CliError> {
    let path = data.join("store");
    let failed = |error: StoreError| CliError::Usage(format!("{}: {}", data.display(), chain(&error)));
    if !path.is_dir() {
        return Err(CliError::Usage(format!("{}: this is no data directory", data.display())));
    }
    let store = SledStore::open(&path, Options::default()).map_err(failed)?;
    let scopes = crate::store::PolicyStore::scopes(&store).map_err(failed)?;
    if !scopes.iter().any(|(scope, _)| scope == organization.as_str()) {
        return Err(CliError::Usage(format!("{}: unknown organization `{organization}`", data.display())));
    }
    let mut verifier = Verifier::of_store(&store, organization.as_str()).map_err(failed)?;
    while verifier.step(&store).map_err(failed)? {}
    let hash = verifier.tip().hash.to_vec();
    let broken = verifier.broken.map(|broken| (broken.sequence, broken.problem));
    Ok(Verdict { broken, verified: verifier.verified, hash })
}

fn hex(bytes: &[u8]) -> String {
    crate::clock::hex(bytes)
}

fn time(text: &str) -> Result<Millis, String> {
    parse_timestamp(text).map_err(|wrong| format!("`{text}` {wrong}"))
}
