//! Super-organizations (rule 1.1).

use tonic::{Request, Response};

use crate::core::lists::SuperOrganization;
use crate::engine::{Create, SuperContent, SuperOutcome};

use super::super::admin::{Admin, Reply};
use super::super::convert::element_list as convert;
use super::super::fields::Fields;
use super::super::paging::Page;
use super::super::proto::*;
use super::super::refusal::Refusal;
use super::super::request::{caller, etag};
use super::super::supers::{content, denylists, revision};

impl Admin {
    pub(super) async fn create_super(
        &self,
        request: Request<CreateSuperOrganizationRequest>,
    ) -> Reply<CreateSuperOrganizationResponse> {
        let (call, new) = self
            .writing_super(request, Create::Always, |f, m| {
                let CreateSuperOrganizationRequest { super_organization, request_id: _, validate_only: _ } = m;
                f.message("super_organization", super_organization, |_, m| Some(convert::super_organization(m)))
            })
            .await?;
        self.write_super(
            call,
            |_| Ok(Some(new)),
            |o| CreateSuperOrganizationResponse { super_organization: after(o), revision: revision(o) },
        )
        .await
    }

    pub(super) async fn get_super(
        &self,
        request: Request<GetSuperOrganizationRequest>,
    ) -> Reply<GetSuperOrganizationResponse> {
        let (over, revision) = self.read_super(request, |m| m.min_revision).await?;
        let super_organization = Some(convert::to_super_organization(&over));
        Ok(Response::new(GetSuperOrganizationResponse { super_organization, revision }))
    }

    pub(super) async fn list_supers(
        &self,
        request: Request<ListSuperOrganizationsRequest>,
    ) -> Reply<ListSuperOrganizationsResponse> {
        self.operators_only(caller(&request)?, "doorward.v1.OrganizationService/ListSuperOrganizations").await?;
        let mut message = request.into_inner();
        let mut fields = Fields::default();
        let page = Page::take(&mut fields, "ListSuperOrganizations", &mut message);
        let ListSuperOrganizationsRequest { page_size: _, page_token: _ } = message;
        let page = fields.finish(page)?;
        let all = self.engine.super_organizations();
        // Each has a history of its own, so no single one can tell the tokens of the list apart.
        let (some, next_page_token) = page.of_sorted("super-organizations", all, |over| over.id.to_string())?;
        let super_organizations = some.iter().map(|over| convert::to_super_organization(over)).collect();
        Ok(Response::new(ListSuperOrganizationsResponse { super_organizations, next_page_token }))
    }

    pub(super) async fn update_super(
        &self,
        request: Request<UpdateSuperOrganizationRequest>,
    ) -> Reply<UpdateSuperOrganizationResponse> {
        let (call, (name, etag)) = self
            .writing_super(request, Create::Never, |f, m| {
                let UpdateSuperOrganizationRequest {
                    super_organization,
                    update_mask,
                    etag,
                    request_id: _,
                    validate_only: _,
                } = m;
                let name = convert::super_organization_patch(f, super_organization, update_mask);
                name.zip(self::etag(f, etag))
            })
            .await?;
        let plan = move |over: Option<&SuperOrganization>| {
            let over = unchanged(over, etag.as_ref())?;
            let content = content(over);
            Ok(Some(SuperContent { display_name: name.unwrap_or(content.display_name), ..content }))
        };
        self.write_super(call, plan, |o| UpdateSuperOrganizationResponse {
            super_organization: after(o),
            revision: revision(o),
        })
        .await
    }

    pub(super) async fn delete_super(
        &self,
        request: Request<DeleteSuperOrganizationRequest>,
    ) -> Reply<DeleteSuperOrganizationResponse> {
        let (call, etag) = self
            .writing_super(request, Create::Never, |f, m| {
                let DeleteSuperOrganizationRequest { super_organization: _, etag, request_id: _, validate_only: _ } = m;
                self::etag(f, etag)
            })
            .await?;
        let plan = move |over: Option<&SuperOrganization>| unchanged(over, etag.as_ref()).map(|_| None);
        self.write_super(call, plan, |o| DeleteSuperOrganizationResponse {
            revision: revision(o),
            denylist_entries: denylists(o).0.len() as u64,
        })
        .await
    }
}

fn after(outcome: &SuperOutcome) -> Option<crate::service::proto::SuperOrganization> {
    outcome.after.as_ref().map(|over| convert::to_super_organization(over))
}

fn unchanged<'a>(
    over: Option<&'a SuperOrganization>,
    wanted: Option<&String>,
) -> Result<&'a SuperOrganization, Refusal> {
    let over = over.ok_or(Refusal::Internal("a write of no super-organization"))?;
    match wanted {
        Some(wanted) if *wanted != convert::super_etag(over) => Err(Refusal::ListChanged("super-organization")),
        _ => Ok(over),
    }
}
