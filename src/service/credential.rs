//! `CredentialService`: the service accounts. Not done yet: their credentials.

use tonic::{Request, Response};

use crate::core::change::Change;
use crate::core::id::{Id, OpaqueId};
use crate::core::model::{Key, Row, ServiceAccount, Status};
use crate::core::table::Table;

use super::admin::{Admin, Planned, Reply, found, update};
use super::convert::principal::{self as convert, Defaults, status};
use super::paging::Page;
use super::proto::credential_service_server::CredentialService;
use super::proto::*;
use super::refusal::Refusal;
use super::report::revision_of;
use super::request::{etag, reading, writing};

#[tonic::async_trait]
impl CredentialService for Admin {
    async fn create_service_account(
        &self,
        request: Request<CreateServiceAccountRequest>,
    ) -> Reply<CreateServiceAccountResponse> {
        let (call, service) = writing(request, |f, m| {
            let CreateServiceAccountRequest { organization: _, service_account, request_id: _, validate_only: _ } = m;
            f.message("service_account", service_account, convert::service)
        })?;
        let id = service.id().clone();
        let plan = move |table: &Table| {
            let service = service.create(&Defaults::of(table));
            let service = service.ok_or(Refusal::Internal("the organization has no default account"))?;
            Ok(vec![Change::Create(Row::Service(service))])
        };
        self.write(call, plan, move |o| CreateServiceAccountResponse {
            service_account: convert::find_service(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn get_service_account(
        &self,
        request: Request<GetServiceAccountRequest>,
    ) -> Reply<GetServiceAccountResponse> {
        let (read, id) = reading(request, |f, m| {
            let GetServiceAccountRequest { organization: _, service_account, min_revision: _ } = m;
            f.parse::<OpaqueId>("service_account", &service_account)
        })?;
        let table = self.table(&read).await?;
        let service_account = Some(found(convert::find_service(&table, &id), || Key::Service(id))?);
        Ok(Response::new(GetServiceAccountResponse { service_account, revision: Some(revision_of(&table)) }))
    }

    async fn list_service_accounts(
        &self,
        request: Request<ListServiceAccountsRequest>,
    ) -> Reply<ListServiceAccountsResponse> {
        let (read, (page, (account, status))) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListServiceAccounts", &mut m);
            let ListServiceAccountsRequest {
                organization: _,
                account,
                status,
                min_revision: _,
                page_size: _,
                page_token: _,
            } = m;
            let account = f.parse_optional::<Id>("account", &account);
            page.zip(account.zip(self::status(f, "status", status)))
        })?;
        let table = self.table(&read).await?;
        let position = page.position(&table)?;
        let listed = table.list_services(position.as_ref(), page.size, |found| {
            status.is_none_or(|status| found.value.status() == status)
                && account.as_ref().is_none_or(|account| table.account_of(found) == Some(account))
        });
        let next_page_token = page.after(&table, listed.next.as_ref());
        let service_accounts = listed.items.into_iter().map(convert::to_service).collect();
        let revision = Some(revision_of(&table));
        Ok(Response::new(ListServiceAccountsResponse { service_accounts, revision, next_page_token }))
    }

    async fn update_service_account(
        &self,
        request: Request<UpdateServiceAccountRequest>,
    ) -> Reply<UpdateServiceAccountResponse> {
        let (call, ((id, patch), etag)) = writing(request, |f, m| {
            let UpdateServiceAccountRequest {
                organization: _,
                service_account,
                update_mask,
                etag,
                request_id: _,
                validate_only: _,
            } = m;
            let patch = convert::service_patch(f, service_account, update_mask);
            patch.zip(self::etag(f, etag))
        })?;
        let key = id.clone();
        let plan = move |table: &Table| {
            let current = current(table, &key);
            update(table, Key::Service(key), current, patch, Row::Service, etag)
        };
        self.write(call, plan, move |o| UpdateServiceAccountResponse {
            service_account: convert::find_service(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn deactivate_service_account(
        &self,
        request: Request<DeactivateServiceAccountRequest>,
    ) -> Reply<DeactivateServiceAccountResponse> {
        let (call, (id, etag)) = writing(request, |f, m| {
            let DeactivateServiceAccountRequest {
                organization: _,
                service_account,
                etag,
                request_id: _,
                validate_only: _,
            } = m;
            f.parse::<OpaqueId>("service_account", &service_account).zip(self::etag(f, etag))
        })?;
        let key = id.clone();
        let plan = move |table: &Table| moved(table, key, etag, Status::Inactive);
        self.write(call, plan, move |o| DeactivateServiceAccountResponse {
            service_account: convert::find_service(o.after(), &id),
            revision: o.revision(),
        })
        .await
    }

    async fn activate_service_account(
        &self,
        request: Request<ActivateServiceAccountRequest>,
    ) -> Reply<ActivateServiceAccountResponse> {
        let (call, (id, etag)) = writing(request, |f, m| {
            let ActivateServiceAccountRequest {
                organization: _,
                service_account,
                etag,
                request_id: _,
                validate_only: _,
            } = m;
            f.parse::<OpaqueId>("service_account", &service_account).zip(self::etag(f, etag))
        })?;
        let key = id.clone();
        let plan = move |table: &Table| moved(table, key, etag, Status::Active);
        self.write(call, plan, move |o| ActivateServiceAccountResponse {
            service_account: convert::find_service(o.after(), &id),
            revision: o.revision(),
        })
        .await
    }
}

fn current(table: &Table, id: &OpaqueId) -> Option<ServiceAccount> {
    table.service(&table.find_service(id)?)
}

/// A service account is active or inactive; one that is so already is left as it is.
fn moved(table: &Table, id: OpaqueId, etag: Option<String>, status: Status) -> Planned {
    let service = found(current(table, &id), || Key::Service(id))?;
    Ok(vec![Change::Update { row: Row::Service(ServiceAccount { status, ..service }), etag }])
}
