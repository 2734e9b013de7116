//! `ListElements`.

use crate::core::id::Id;
use crate::core::limits::MAX_LISTED;
use crate::core::lists::{Seen, elements};
use crate::core::model::Millis;
use crate::core::table::Table;
use crate::engine::ReadError;

use super::super::fields::Fields;
use super::super::proto::{ListElementsRequest, ListElementsResponse, Resource};
use super::super::report::revision_of;
use super::super::status::Failure;
use super::filter::moved;
use super::question::{self, Asked};
use super::to_reason;

/// The answer, at one version.
#[allow(clippy::result_large_err, reason = "an error is made once for a call that fails")]
pub fn answer(table: &Table, message: &ListElementsRequest, now: Millis) -> Result<ListElementsResponse, Failure> {
    let ListElementsRequest {
        organization: _,
        principal,
        elements: ids,
        permission,
        account,
        context,
        min_revision: _,
    } = message;
    let mut fields = Fields::default();
    if ids.is_empty() {
        fields.refuse("elements", "is required");
    }
    fields.at_most("elements", ids.len(), MAX_LISTED);
    let few = ids.get(..ids.len().min(MAX_LISTED)).unwrap_or(ids);
    let parsed = fields.parse_all::<Id>("elements", few);
    let resource = Resource { account: account.clone(), ..Resource::default() };
    let asked = Asked::new(&mut fields, principal, permission, Some(&resource), context.as_ref());
    let seen = elements(table, &asked.question, parsed.as_deref().unwrap_or(&[]), now);
    let seen = seen.map_err(|problems| ReadError::Problems(problems.iter().map(moved).collect()));
    if !fields.is_empty() {
        return Err(question::malformed(fields, seen.err(), &asked.question));
    }
    let Seen { positions, reason } = seen.map_err(|error| question::failure(error, &asked.question))?;
    let elements = positions.into_iter().filter_map(|at| ids.get(at).cloned()).collect();
    let (reason, revision) = (to_reason(reason).into(), Some(revision_of(table)));
    Ok(ListElementsResponse { elements, reason, revision, staleness: None })
}
