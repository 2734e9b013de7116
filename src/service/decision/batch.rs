//! `BatchAuthorize`: each item has a decision or an error of its own.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::core::decision;
use crate::core::pages::Sought;
use crate::core::table::Table;
use crate::engine::{AtLeast, Bearer, Engine, ReadError};
use crate::snapshot::Published;

use super::super::fields::Fields;
use super::super::proto::batch_authorize_result::Outcome;
use super::super::proto::*;
use super::super::refusal::Refusal;
use super::super::report::revision_of;
use super::super::request::at_least;
use super::super::status::Failure;
use super::question::{self, Asked};
use super::{floor, outcome};

/// Questions in one batch.
pub const MAX_ITEMS: usize = 10_000;

/// Items whose principals are looked for together.
const AT_ONCE: usize = 16;

/// What is wrong with the batch as such.
pub fn check(fields: &mut Fields, batch: &BatchAuthorizeRequest) {
    fields.at_most("items", batch.items.len(), MAX_ITEMS);
    if batch.items.is_empty() {
        fields.refuse("items", "is required");
    }
}

/// An item with what the batch says for all.
struct Item<'a> {
    organization: &'a str,
    principal: &'a str,
    permission: &'a str,
    resource: Option<&'a Resource>,
    context: Option<&'a Context>,
    least: Option<AtLeast<'a>>,
}

impl<'a> Item<'a> {
    fn new(batch: &'a BatchAuthorizeRequest, item: &'a AuthorizeRequest) -> Self {
        let BatchAuthorizeRequest {
            organization: all,
            principal: everyone,
            context: shared,
            min_revision: floor,
            items: _,
        } = batch;
        let AuthorizeRequest { organization, principal, permission, resource, context, min_revision } = item;
        let organization = if organization.is_empty() { all } else { organization };
        let floor = floor.as_ref().filter(|_| organization == all);
        Self {
            organization,
            principal: if principal.is_empty() { everyone } else { principal },
            permission,
            resource: resource.as_ref(),
            context: context.as_ref().or(shared.as_ref()),
            least: min_revision.as_ref().or(floor).map(at_least),
        }
    }
}

/// Decides every item; those of one organization at one version.
/// With `own`, nothing of other organizations is looked up (rule 1.1), nor of what came after its own under
/// the same id.
pub async fn decide(
    engine: &Engine,
    own: Option<&Bearer>,
    batch: &BatchAuthorizeRequest,
    patience: Duration,
) -> BatchAuthorizeResponse {
    let items: Vec<Item<'_>> = batch.items.iter().map(|item| Item::new(batch, item)).collect();
    let open = |item: &Item<'_>| own.is_none_or(|own| own.organization.as_str() == item.organization);
    let tables = versions(engine, own, items.iter().filter(|item| open(item)), patience).await;
    let now = engine.now();
    let mut results = Vec::with_capacity(items.len());
    // Mostly that of the item before.
    let mut last = ("", None);
    let mut pinned = |item: &Item<'_>| -> Option<&Pinned> {
        if last.0 != item.organization {
            let found = tables.get_key_value(item.organization);
            last = found.map_or(("", None), |(id, table)| (*id, table.as_ref()));
        }
        last.1
    };
    for some in items.chunks(AT_ONCE) {
        // The memory looks for what all of them will read before the first of them waits for it.
        let mut sought = [const { None }; AT_ONCE];
        for (sought, item) in sought.iter_mut().zip(some) {
            *sought = pinned(item).and_then(|(table, _)| table.seek(item.principal));
        }
        sought.iter().flatten().for_each(Sought::prefetch);
        for item in some {
            let decided =
                if open(item) { one(engine, pinned(item), item, now) } else { Err(Refusal::OtherOrganization.into()) };
            let outcome = match decided {
                Ok(answer) => Outcome::Decision(answer),
                Err(failure) => Outcome::Error(failure.into()),
            };
            results.push(BatchAuthorizeResult { outcome: Some(outcome) });
        }
    }
    let based = |(table, _): &Pinned| DecidedAt { revision: Some(revision_of(table)), staleness: None };
    let found = tables.iter().filter_map(|(id, table)| Some(((*id).to_owned(), based(table.as_ref()?))));
    let decided_at: BTreeMap<String, DecidedAt> = found.collect();
    BatchAuthorizeResponse { results, decided_at }
}

/// A version, and where what it allows is noted.
type Pinned = (Arc<Table>, Arc<Published>);
type Versions<'a> = HashMap<&'a str, Option<Pinned>>;

/// The version of each organization that is asked about: one that reaches what its items want, if
/// that comes in time.
async fn versions<'a, 'i>(
    engine: &Engine,
    own: Option<&Bearer>,
    items: impl Iterator<Item = &'i Item<'a>>,
    patience: Duration,
) -> Versions<'a>
where
    'a: 'i,
{
    let deadline = Instant::now() + patience;
    let mut wanted: HashMap<&str, Option<AtLeast<'_>>> = HashMap::new();
    let mut last = None;
    for item in items {
        if item.least.is_none() && last == Some(item.organization) {
            continue;
        }
        last = Some(item.organization);
        let most = wanted.entry(item.organization).or_default();
        if let Some(least) = item.least
            && most.is_none_or(|most| most.number < least.number)
        {
            *most = Some(least);
        }
    }
    let same = floor(own, None).ok().flatten();
    let mut tables = HashMap::with_capacity(wanted.len());
    for (organization, least) in wanted {
        if let Some(least) = least {
            // Not reached: the items that want it say so themselves.
            let _ = engine.wait_for(organization, least, deadline.saturating_duration_since(Instant::now())).await;
        }
        tables.insert(organization, engine.pin(organization, same, Duration::ZERO).await.ok());
    }
    tables
}

#[allow(clippy::result_large_err, reason = "an error is made once for an item that fails")]
/// One item, with the error that the same question by itself would have.
fn one(engine: &Engine, table: Option<&Pinned>, item: &Item<'_>, now: i64) -> Result<AuthorizeResponse, Failure> {
    let mut fields = Fields::default();
    let asked = Asked::new(&mut fields, item.principal, item.permission, item.resource, item.context);
    let decided = match table {
        None => Err(ReadError::UnknownOrganization(item.organization.to_owned())),
        Some((table, published)) => reached(table, item.least).and_then(|()| {
            let allowed = |permission| {
                if fields.is_empty() {
                    published.marks().note(permission, now);
                }
            };
            decision::decide_and(table, &asked.question, now, allowed).map_err(ReadError::Problems)
        }),
    };
    if !fields.is_empty() {
        return Err(question::malformed(fields, decided.err(), &asked.question));
    }
    let reason = decided.map_err(|error| question::failure(error, &asked.question))?;
    if let Some((table, _)) = table {
        engine.note_use(table, &asked.question, now, reason);
    }
    Ok(outcome(reason))
}

fn reached(table: &Table, least: Option<AtLeast<'_>>) -> Result<(), ReadError> {
    let Some(AtLeast { history, number }) = least else { return Ok(()) };
    if !history.is_empty() && *history != **table.history() {
        return Err(ReadError::OtherHistory);
    }
    let reached = table.revision();
    if reached < number { Err(ReadError::NotReached { wanted: number, reached }) } else { Ok(()) }
}
