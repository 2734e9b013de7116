//! `ElementListService`.

mod plans;

use imbl::OrdSet;
use tonic::{Request, Response};

use crate::core::id::Id;
use crate::core::lists::SuperOrganization;
use crate::core::table::Table;
use crate::engine::{Create, SuperOutcome};

use super::admin::{Admin, Reply};
use super::convert::element_list as convert;
use super::proto::element_list_service_server::ElementListService;
use super::proto::*;
use super::report::{Report, revision_of};
use super::request::{etag, reading, writing};
use super::supers;

#[tonic::async_trait]
impl ElementListService for Admin {
    async fn get_safelist(&self, request: Request<GetSafelistRequest>) -> Reply<GetSafelistResponse> {
        let (read, ()) = reading(request, |_, m| {
            let GetSafelistRequest { organization: _, min_revision: _ } = m;
            Some(())
        })?;
        let table = self.table(&read).await?;
        let safelist = Some(convert::to_list(table.safelist()));
        Ok(Response::new(GetSafelistResponse { safelist, revision: Some(revision_of(&table)) }))
    }

    async fn update_safelist(&self, request: Request<UpdateSafelistRequest>) -> Reply<UpdateSafelistResponse> {
        let (call, (wanted, etag)) = writing(request, |f, m| {
            let UpdateSafelistRequest { organization: _, elements, etag, request_id: _, validate_only: _ } = m;
            convert::elements(f, &elements, 1, true).zip(self::etag(f, etag))
        })?;
        let plan = move |table: &Table| plans::replace(table, &wanted, etag);
        self.write(call, plan, |o| UpdateSafelistResponse {
            safelist: safelist(o),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn add_safelist_elements(
        &self,
        request: Request<AddSafelistElementsRequest>,
    ) -> Reply<AddSafelistElementsResponse> {
        let (call, (more, etag)) = writing(request, |f, m| {
            let AddSafelistElementsRequest { organization: _, elements, etag, request_id: _, validate_only: _ } = m;
            convert::elements(f, &elements, 1, false).zip(self::etag(f, etag))
        })?;
        let plan = move |table: &Table| plans::replace(table, &table.safelist().clone().union(more), etag);
        self.write(call, plan, |o| AddSafelistElementsResponse {
            safelist: safelist(o),
            revision: o.revision(),
            was_empty: o.before().safelist().is_empty(),
        })
        .await
    }

    async fn remove_safelist_element(
        &self,
        request: Request<RemoveSafelistElementRequest>,
    ) -> Reply<RemoveSafelistElementResponse> {
        let (call, (element, etag)) = writing(request, |f, m| {
            let RemoveSafelistElementRequest { organization: _, element, etag, request_id: _, validate_only: _ } = m;
            f.parse::<Id>("element", &element).zip(self::etag(f, etag))
        })?;
        let plan = move |table: &Table| plans::remove(table, element, etag);
        self.write(call, plan, |o| RemoveSafelistElementResponse { safelist: safelist(o), revision: o.revision() })
            .await
    }

    async fn clear_safelist(&self, request: Request<ClearSafelistRequest>) -> Reply<ClearSafelistResponse> {
        let (call, etag) = writing(request, |f, m| {
            let ClearSafelistRequest { organization: _, etag, request_id: _, validate_only: _ } = m;
            self::etag(f, etag)
        })?;
        let plan = move |table: &Table| plans::replace(table, &OrdSet::new(), etag);
        self.write(call, plan, |o| ClearSafelistResponse {
            revision: o.revision(),
            removed: o.before().safelist().len() as u64,
            all_elements_open: true,
        })
        .await
    }

    async fn get_denylist(&self, request: Request<GetDenylistRequest>) -> Reply<GetDenylistResponse> {
        let (over, revision) = self.read_super(request, |m| m.min_revision).await?;
        Ok(Response::new(GetDenylistResponse { denylist: Some(convert::to_list(&over.denylist)), revision }))
    }

    async fn update_denylist(&self, request: Request<UpdateDenylistRequest>) -> Reply<UpdateDenylistResponse> {
        let (call, (wanted, etag)) = self
            .writing_super(request, Create::Never, |f, m| {
                let UpdateDenylistRequest { super_organization: _, elements, etag, request_id: _, validate_only: _ } =
                    m;
                convert::elements(f, &elements, 0, true).zip(self::etag(f, etag))
            })
            .await?;
        let plan = move |over: Option<&SuperOrganization>| plans::denylist(over, etag, |_| Ok(wanted));
        self.write_super(call, plan, |o| UpdateDenylistResponse {
            denylist: denylist(o),
            revision: supers::revision(o),
            changes: supers::changes(o),
        })
        .await
    }

    async fn add_denylist_elements(
        &self,
        request: Request<AddDenylistElementsRequest>,
    ) -> Reply<AddDenylistElementsResponse> {
        let (call, (more, etag)) = self
            .writing_super(request, Create::Never, |f, m| {
                let AddDenylistElementsRequest {
                    super_organization: _,
                    elements,
                    etag,
                    request_id: _,
                    validate_only: _,
                } = m;
                convert::elements(f, &elements, 1, false).zip(self::etag(f, etag))
            })
            .await?;
        let plan = move |over: Option<&SuperOrganization>| plans::denylist(over, etag, |list| Ok(list.union(more)));
        self.write_super(call, plan, |o| AddDenylistElementsResponse {
            denylist: denylist(o),
            revision: supers::revision(o),
        })
        .await
    }

    async fn remove_denylist_element(
        &self,
        request: Request<RemoveDenylistElementRequest>,
    ) -> Reply<RemoveDenylistElementResponse> {
        let (call, (element, etag)) = self
            .writing_super(request, Create::Never, |f, m| {
                let RemoveDenylistElementRequest {
                    super_organization: _,
                    element,
                    etag,
                    request_id: _,
                    validate_only: _,
                } = m;
                f.parse::<Id>("element", &element).zip(self::etag(f, etag))
            })
            .await?;
        let plan =
            move |over: Option<&SuperOrganization>| plans::denylist(over, etag, |list| plans::without(list, element));
        self.write_super(call, plan, |o| RemoveDenylistElementResponse {
            denylist: denylist(o),
            revision: supers::revision(o),
        })
        .await
    }

    async fn clear_denylist(&self, request: Request<ClearDenylistRequest>) -> Reply<ClearDenylistResponse> {
        let (call, etag) = self
            .writing_super(request, Create::Never, |f, m| {
                let ClearDenylistRequest { super_organization: _, etag, request_id: _, validate_only: _ } = m;
                self::etag(f, etag)
            })
            .await?;
        let plan = move |over: Option<&SuperOrganization>| plans::denylist(over, etag, |_| Ok(OrdSet::new()));
        self.write_super(call, plan, |o| ClearDenylistResponse {
            revision: supers::revision(o),
            removed: supers::denylists(o).0.len() as u64,
        })
        .await
    }
}

#[allow(clippy::unnecessary_wraps, reason = "messages are optional fields")]
fn safelist(report: Report<'_>) -> Option<ElementList> {
    Some(convert::to_list(report.after().safelist()))
}

#[allow(clippy::unnecessary_wraps, reason = "messages are optional fields")]
fn denylist(outcome: &SuperOutcome) -> Option<ElementList> {
    Some(convert::to_list(&supers::denylists(outcome).1))
}
