//! `ListPrincipals`: who may do this here, or who can see this record. Whoever may be allowed is asked what
//! `Authorize` would be asked.

use crate::core::allowed::{Allowed, allowed_after};
use crate::core::model::Millis;
use crate::core::table::Table;
use crate::engine::ReadError;

use super::super::fields::Fields;
use super::super::paging::Page;
use super::super::proto::{ListPrincipalsRequest, ListPrincipalsResponse};
use super::super::report::revision_of;
use super::super::status::Failure;
use super::question::{self, Asked};

/// How many principals one page asks; then it is short, and says so.
const MAX_ASKED: usize = 20_000;
/// In place of a principal in what does not depend on one.
const SOMEBODY: &str = "user:somebody";

/// The question in a request, of nobody in particular.
pub fn asked<'a>(fields: &mut Fields, message: &'a ListPrincipalsRequest) -> Asked<'a> {
    let ListPrincipalsRequest {
        organization: _,
        permission,
        resource,
        context,
        min_revision: _,
        page_size: _,
        page_token: _,
    } = message;
    Asked::new(fields, SOMEBODY, permission, resource.as_ref(), context.as_ref())
}

/// The answer to a request that [`asked`] found sound.
///
/// # Errors
/// As those of `Authorize`, and a page token of another list.
#[allow(clippy::result_large_err, reason = "an error is made once for a call that fails")]
pub fn answer(
    table: &Table,
    message: &ListPrincipalsRequest,
    page: &Page,
    now: Millis,
) -> Result<ListPrincipalsResponse, Failure> {
    let Asked { question } = asked(&mut Fields::default(), message);
    let after = page.last(table.history())?;
    let allowed = allowed_after(table, &question, after.as_deref(), page.size, MAX_ASKED, now);
    let allowed = allowed.map_err(|wrong| question::failure(ReadError::Problems(wrong), &question))?;
    let Allowed { principals, last, incomplete, asked: _ } = allowed;
    let next_page_token = last.map_or_else(String::new, |last| page.token(table.history(), &last));
    let revision = Some(revision_of(table));
    Ok(ListPrincipalsResponse { principals, revision, staleness: None, next_page_token, incomplete })
}
