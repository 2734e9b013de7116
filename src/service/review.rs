//! Reports on who can do what: `ListRoleHolders`, `ReviewAccess`, unused roles and permissions.
//!
//! They pass over all principals, so they are made beside the runtime. A review is made principal by
//! principal as the client takes it, from one version that is held until it ends; nothing of it is kept.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use crate::core::decision::{Problem, ProblemKind};
use crate::core::id::{Id, PermissionName};
use crate::core::model::{Key, Millis, PrincipalId, Target};
use crate::core::review::access::{Access, Asked, Entry};
use crate::core::review::unused::{Kind, LastAllowed, Unused};
use crate::core::review::{Review, When};
use crate::core::table::Table;
use crate::engine::ReadError;

use super::access::own_permissions;
use super::admin::{Admin, Reply, found};
use super::convert::place;
use super::convert::value::to_timestamp;
use super::decision::to_path;
use super::fields::Fields;
use super::paging::Page;
use super::proto::*;
use super::refusal::Refusal;
use super::report::revision_of;
use super::request::{Read, reading};

/// Permissions or principals that one review names.
const MAX_NAMED: usize = 1_000;
/// Entries in one message, but for those of one principal.
const BATCH: usize = 200;
/// Messages that wait for the client.
const AHEAD: usize = 4;

impl Admin {
    /// `ListRoleHolders`.
    pub(super) async fn role_holders(
        &self,
        request: Request<ListRoleHoldersRequest>,
    ) -> Reply<ListRoleHoldersResponse> {
        let (read, (page, (role, target))) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListRoleHolders", &mut m);
            let ListRoleHoldersRequest { organization: _, role, target, min_revision: _, page_size: _, page_token: _ } =
                m;
            let target = self::target(f, target);
            page.zip(f.parse::<Id>("role", &role).zip(target))
        })?;
        let table = self.table(&read).await?;
        let now = self.engine.now();
        beside(move || {
            found(table.role_row(&role), || Key::Role(role.clone()))?;
            exists(&table, target.as_ref())?;
            let review = Review::of(&table, When::At(now));
            let all = review.role_holders(&role, target.as_ref());
            let (listed, next_page_token) = page.of_sorted(table.history(), all, |(service, id)| text(*service, id))?;
            let holder = |(service, id)| review.role_holder(service, id, &role, target.as_ref());
            let holders = listed.into_iter().filter_map(holder).map(|holder| RoleHolder {
                principal: holder.principal.to_string(),
                paths: holder.paths.iter().map(to_path).collect(),
                paths_truncated: holder.truncated,
            });
            let (holders, revision) = (holders.collect(), Some(revision_of(&table)));
            Ok(Response::new(ListRoleHoldersResponse { holders, revision, next_page_token }))
        })
        .await
    }

    /// `ReviewAccess`.
    pub(super) async fn access(
        &self,
        request: Request<ReviewAccessRequest>,
    ) -> Result<Response<BoxStream<ReviewAccessResponse>>, Status> {
        let (read, wanted) = reading(request, Wanted::new)?;
        let table = self.table(&read).await?;
        let now = self.engine.now();
        let asked = wanted.asked(&table)?;
        let (sender, receiver) = mpsc::channel(AHEAD);
        let report = Report { table, now, sender };
        tokio::task::spawn_blocking(move || report.send(asked, &wanted.principals));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    /// `ListUnusedRoles`.
    pub(super) async fn unused_roles(
        &self,
        request: Request<ListUnusedRolesRequest>,
    ) -> Reply<ListUnusedRolesResponse> {
        let (read, (page, span)) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListUnusedRoles", &mut m);
            let ListUnusedRolesRequest { organization: _, unused_for, min_revision: _, page_size: _, page_token: _ } =
                m;
            page.zip(span(f, unused_for))
        })?;
        self.unused(&read, page, Kind::Roles, span, |found| {
            let role = |(unused, holders): (Unused, u64)| UnusedRole {
                role: unused.name,
                holders,
                last_used_at: unused.last_allowed_at.map(to_timestamp),
            };
            let Found { listed, observed_since, revision, next_page_token } = found;
            let (roles, observed_since) = (listed.into_iter().map(role).collect(), Some(to_timestamp(observed_since)));
            ListUnusedRolesResponse { roles, observed_since, revision: Some(revision), next_page_token }
        })
        .await
    }

    /// `ListUnusedPermissions`.
    pub(super) async fn unused_permissions(
        &self,
        request: Request<ListUnusedPermissionsRequest>,
    ) -> Reply<ListUnusedPermissionsResponse> {
        let (read, (page, span)) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListUnusedPermissions", &mut m);
            let ListUnusedPermissionsRequest {
                organization: _,
                unused_for,
                min_revision: _,
                page_size: _,
                page_token: _,
            } = m;
            page.zip(span(f, unused_for))
        })?;
        self.unused(&read, page, Kind::Permissions, span, |found| {
            let permission = |(unused, holders): (Unused, u64)| UnusedPermission {
                permission: unused.name,
                holders,
                last_used_at: unused.last_allowed_at.map(to_timestamp),
            };
            let Found { listed, observed_since, revision, next_page_token } = found;
            let permissions = listed.into_iter().map(permission).collect();
            let observed_since = Some(to_timestamp(observed_since));
            ListUnusedPermissionsResponse { permissions, observed_since, revision: Some(revision), next_page_token }
        })
        .await
    }

    /// A page of what is given to nobody, or was not used for a time.
    async fn unused<R: Send + 'static>(
        &self,
        read: &Read,
        page: Page,
        kind: Kind,
        unused_for: Option<Millis>,
        reply: impl FnOnce(Found) -> R + Send + 'static,
    ) -> Reply<R> {
        let table = self.table(read).await?;
        let now = self.engine.now();
        let gone = || ReadError::UnknownOrganization(table.id().to_string());
        let published = self.engine.published_as(&table).ok_or_else(gone)?;
        beside(move || {
            let marks = published.marks();
            let observed_since = marks.since();
            let from = unused_for.map(|span| now.saturating_sub(span));
            if from.is_some_and(|from| observed_since > from) {
                return Err(Refusal::NotObserved(observed_since));
            }
            let unobserved: HashSet<u32> = own_permissions()
                .filter_map(|name| table.permission(name))
                .map(|permission| permission.number)
                .collect();
            let last = |number| match marks.get(number) {
                last if unobserved.contains(&number) => LastAllowed { counted_since: Millis::MAX, ..last },
                last => last,
            };
            let review = Review::of(&table, When::At(now));
            let all = review.unused(kind, &last, from);
            let (listed, next_page_token) = page.of_sorted(table.history(), all, |unused| unused.name.clone())?;
            // Without a span, nobody holds any of them.
            let counts = match from {
                None => vec![0; listed.len()],
                Some(_) => review.holder_counts(kind, &listed),
            };
            let listed = listed.into_iter().zip(counts).collect();
            let revision = revision_of(&table);
            Ok(Response::new(reply(Found { listed, observed_since, revision, next_page_token })))
        })
        .await
    }
}

/// What a page of unused things says.
struct Found {
    /// With how many hold it.
    listed: Vec<(Unused, u64)>,
    observed_since: Millis,
    revision: Revision,
    next_page_token: String,
}

/// A span of time that may be absent, and then is none.
fn span(f: &mut Fields, span: Option<prost_types::Duration>) -> Option<Option<Millis>> {
    match span {
        None => Some(None),
        Some(span) => f.exact_span("unused_for", span).map(Some),
    }
}

/// What looks at every principal.
async fn beside<T: Send + 'static>(report: impl FnOnce() -> Result<Response<T>, Refusal> + Send + 'static) -> Reply<T> {
    let made = tokio::task::spawn_blocking(report).await;
    Ok(made.map_err(|_| Refusal::Internal("a report was cut short"))??)
}

/// A target that may be absent, and then is none.
fn target(f: &mut Fields, target: Option<super::proto::Target>) -> Option<Option<Target>> {
    match target {
        None => Some(None),
        target => place::target(f, target).map(Some),
    }
}

/// Whether there is such a target; of records nothing is known but what is held there.
fn exists(table: &Table, target: Option<&Target>) -> Result<(), Refusal> {
    let key = match target {
        None | Some(Target::Organization) => return Ok(()),
        Some(Target::Account(id)) => Key::Account(id.clone()),
        Some(Target::Object(id) | Target::Record(id, _)) => Key::Object(id.clone()),
    };
    found(table.row(&key), || key).map(drop)
}

fn text(service: bool, id: &str) -> String {
    format!("{}:{id}", if service { "service" } else { "user" })
}

/// What a review asks for.
struct Wanted {
    target: Option<Target>,
    permissions: Vec<PermissionName>,
    principals: Vec<PrincipalId>,
    inactive: bool,
}

impl Wanted {
    fn new(f: &mut Fields, message: ReviewAccessRequest) -> Option<Self> {
        let ReviewAccessRequest { organization: _, target, permissions, principals, include_inactive, min_revision: _ } =
            message;
        f.at_most("permissions", permissions.len(), MAX_NAMED);
        f.at_most("principals", principals.len(), MAX_NAMED);
        let target = self::target(f, target);
        let permissions = f.parse_all("permissions", &permissions);
        let principals = f.parse_all("principals", &principals);
        let inactive = include_inactive;
        Some(Self { target: target?, permissions: permissions?, principals: principals?, inactive })
    }

    fn asked(&self, table: &Table) -> Result<Asked, Refusal> {
        exists(table, self.target.as_ref())?;
        let unknown = |name: &PermissionName| {
            let (field, kind) = ("permissions", ProblemKind::UnknownPermission(name.to_string()));
            Refusal::Read(ReadError::Problems(vec![Problem { field, kind }]))
        };
        let permission = |name: &PermissionName| table.permission(name.as_str()).ok_or_else(|| unknown(name));
        let permissions: Result<Vec<_>, _> = self.permissions.iter().map(permission).collect();
        let mut permissions = permissions?;
        permissions.sort_by_key(|p| p.number);
        permissions.dedup();
        Ok(Asked { target: self.target.clone(), permissions, inactive: self.inactive })
    }
}

/// A review on its way to the client.
struct Report {
    table: Arc<Table>,
    now: Millis,
    sender: mpsc::Sender<Result<ReviewAccessResponse, Status>>,
}

impl Report {
    fn send(&self, asked: Asked, named: &[PrincipalId]) {
        let review = Review::of(&self.table, When::At(self.now));
        let mut principals = review.principals();
        if !named.is_empty() {
            let named: std::collections::BTreeSet<String> = named.iter().map(PrincipalId::to_string).collect();
            principals.retain(|(service, id)| named.contains(&text(*service, id)));
        }
        let mut access = Access::new(&review, asked);
        let mut batch = Vec::new();
        for (service, id) in principals {
            batch.extend(access.of(service, id).into_iter().map(to_entry));
            while batch.len() >= BATCH {
                let rest = batch.split_off(BATCH);
                if !self.message(std::mem::replace(&mut batch, rest)) {
                    return;
                }
            }
        }
        // One at least: it says of which revision there is nothing to report.
        self.message(batch);
    }

    /// Whether the client is still there.
    fn message(&self, entries: Vec<AccessReviewEntry>) -> bool {
        let (revision, evaluated_at) = (Some(revision_of(&self.table)), Some(to_timestamp(self.now)));
        self.sender.blocking_send(Ok(ReviewAccessResponse { entries, revision, evaluated_at })).is_ok()
    }
}

/// An entry as a message.
#[must_use]
pub fn to_entry(entry: Entry) -> AccessReviewEntry {
    let Entry { principal, permission, target, paths, truncated, by_policies, void_by, closed_by, activated_until } =
        entry;
    AccessReviewEntry {
        principal: principal.to_string(),
        permission,
        target: place::to_target(&target),
        paths: paths.iter().map(to_path).collect(),
        paths_truncated: truncated,
        subject_to_policies: by_policies,
        void_by: void_by.iter().map(Id::to_string).collect(),
        closed_by: closed_by.unwrap_or_default(),
        activated_until: activated_until.map(to_timestamp),
    }
}
