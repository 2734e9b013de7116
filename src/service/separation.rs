//! The part of `RoleService` that is about separation of duties (rule 7.3).

use tonic::{Request, Response};

use crate::core::change::Change;
use crate::core::id::Id;
use crate::core::model::{Key, Row};
use crate::core::separation::Broken;
use crate::core::table::Table;

use super::admin::{Admin, Reply, delete, found, update};
use super::convert::separation as convert;
use super::paging::Page;
use super::proto::*;
use super::refusal::Refusal;
use super::report::revision_of;
use super::request::{etag, reading, writing};

impl Admin {
    /// `CreateSeparationConstraint`.
    pub(super) async fn create_separation(
        &self,
        request: Request<CreateSeparationConstraintRequest>,
    ) -> Reply<CreateSeparationConstraintResponse> {
        let (call, constraint) = writing(request, |f, m| {
            let CreateSeparationConstraintRequest {
                organization: _,
                separation_constraint,
                request_id: _,
                validate_only: _,
            } = m;
            f.message("separation_constraint", separation_constraint, convert::constraint)
        })?;
        let id = constraint.id.clone();
        let plan = move |_: &Table| Ok(vec![Change::Create(Row::Separation(constraint))]);
        self.write(call, plan, move |o| CreateSeparationConstraintResponse {
            separation_constraint: convert::find_constraint(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    /// `GetSeparationConstraint`.
    pub(super) async fn find_separation(
        &self,
        request: Request<GetSeparationConstraintRequest>,
    ) -> Reply<GetSeparationConstraintResponse> {
        let (read, id) = reading(request, |f, m| {
            let GetSeparationConstraintRequest { organization: _, separation_constraint, min_revision: _ } = m;
            f.parse::<Id>("separation_constraint", &separation_constraint)
        })?;
        let table = self.table(&read).await?;
        let constraint = found(convert::find_constraint(&table, &id), || Key::Separation(id))?;
        let revision = Some(revision_of(&table));
        Ok(Response::new(GetSeparationConstraintResponse { separation_constraint: Some(constraint), revision }))
    }

    /// `ListSeparationConstraints`.
    pub(super) async fn list_separations(
        &self,
        request: Request<ListSeparationConstraintsRequest>,
    ) -> Reply<ListSeparationConstraintsResponse> {
        let (read, page) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListSeparationConstraints", &mut m);
            let ListSeparationConstraintsRequest { organization: _, min_revision: _, page_size: _, page_token: _ } = m;
            page
        })?;
        let table = self.table(&read).await?;
        let all = table.separations().collect();
        let (page, next_page_token) = page.of_sorted(table.history(), all, |s| s.id.to_string())?;
        let separation_constraints = page.into_iter().map(convert::to_constraint).collect();
        let revision = Some(revision_of(&table));
        Ok(Response::new(ListSeparationConstraintsResponse { separation_constraints, revision, next_page_token }))
    }

    /// `UpdateSeparationConstraint`.
    pub(super) async fn update_separation(
        &self,
        request: Request<UpdateSeparationConstraintRequest>,
    ) -> Reply<UpdateSeparationConstraintResponse> {
        let (call, ((id, patch), etag)) = writing(request, |f, m| {
            let UpdateSeparationConstraintRequest {
                organization: _,
                separation_constraint,
                update_mask,
                etag,
                request_id: _,
                validate_only: _,
            } = m;
            let patch = convert::constraint_patch(f, separation_constraint, update_mask);
            patch.zip(self::etag(f, etag))
        })?;
        let key = id.clone();
        let plan = move |table: &Table| {
            let current = table.separation_row(&key).cloned();
            update(table, Key::Separation(key), current, patch, Row::Separation, etag)
        };
        self.write(call, plan, move |o| UpdateSeparationConstraintResponse {
            separation_constraint: convert::find_constraint(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    /// `DeleteSeparationConstraint`.
    pub(super) async fn delete_separation(
        &self,
        request: Request<DeleteSeparationConstraintRequest>,
    ) -> Reply<DeleteSeparationConstraintResponse> {
        let (call, (id, etag)) = writing(request, |f, m| {
            let DeleteSeparationConstraintRequest {
                organization: _,
                separation_constraint,
                etag,
                request_id: _,
                validate_only: _,
            } = m;
            let id = f.parse::<Id>("separation_constraint", &separation_constraint);
            id.zip(self::etag(f, etag))
        })?;
        let key = Key::Separation(id);
        let deleted = key.clone();
        let plan = move |_: &Table| delete(key, etag);
        self.write(call, plan, move |o| DeleteSeparationConstraintResponse {
            revision: o.revision(),
            removed: Some(o.removed(&deleted)),
        })
        .await
    }

    /// `ListSeparationViolations`. Passes over all principals, so it runs beside the runtime.
    pub(super) async fn list_violations(
        &self,
        request: Request<ListSeparationViolationsRequest>,
    ) -> Reply<ListSeparationViolationsResponse> {
        let (read, (page, constraint)) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListSeparationViolations", &mut m);
            let ListSeparationViolationsRequest {
                organization: _,
                separation_constraint,
                min_revision: _,
                page_size: _,
                page_token: _,
            } = m;
            page.zip(f.parse_optional::<Id>("separation_constraint", &separation_constraint))
        })?;
        let table = self.table(&read).await?;
        if let Some(id) = &constraint {
            found(table.separation_row(id), || Key::Separation(id.clone()))?;
        }
        let now = self.engine.now();
        let work = move || {
            let all = table.broken_separations(constraint.as_ref(), now);
            let name = |broken: &Broken| format!("{}\0{}", broken.constraint, broken.principal);
            let (page, next_page_token) = page.of_sorted(table.history(), all, name)?;
            let violations = table.breaches(&page, now).iter().map(convert::to_violation).collect();
            let revision = Some(revision_of(&table));
            Ok::<_, Refusal>(ListSeparationViolationsResponse { violations, revision, next_page_token })
        };
        let listed = tokio::task::spawn_blocking(work).await;
        Ok(Response::new(listed.map_err(|_| Refusal::Internal("looking for violations failed"))??))
    }
}
