//! `CredentialService`. What becomes of tokens is in `tokens`.

use std::sync::Arc;

use tonic::{Request, Response};

use crate::core::change::Change;
use crate::core::id::{Id, OpaqueId};
use crate::core::model::{Credential, Key, Row, ServiceAccount, Status as PrincipalStatus};
use crate::core::table::Table;
use crate::engine::Token;

use super::admin::{Admin, Planned, Reply, found, update};
use super::convert::credential;
use super::convert::principal::{self as convert, Defaults, status};
use super::paging::Page;
use super::proto::credential_service_server::CredentialService;
use super::proto::*;
use super::refusal::Refusal;
use super::report::{Report, revision_of};
use super::request::{etag, reading, writing};
use super::tokens;

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
        let plan = move |table: &Table| moved(table, key, etag, PrincipalStatus::Inactive);
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
        let plan = move |table: &Table| moved(table, key, etag, PrincipalStatus::Active);
        self.write(call, plan, move |o| ActivateServiceAccountResponse {
            service_account: convert::find_service(o.after(), &id),
            revision: o.revision(),
        })
        .await
    }

    async fn create_credential(&self, request: Request<CreateCredentialRequest>) -> Reply<CreateCredentialResponse> {
        let (call, asked) = writing(request, tokens::New::of)?;
        let token = Token::random(&**self.engine.clock()).map_err(Refusal::from)?;
        let made = asked.made(&**self.engine.clock(), &token)?;
        let (id, shown, engine) = (made.id.clone(), !call.call.validate_only, Arc::clone(&self.engine));
        let plan = move |table: &Table| tokens::created(table, made);
        let report = move |o: Report<'_>| CreateCredentialResponse {
            credential: credential::find(o.after(), &id, &engine),
            secret: String::new(),
            revision: o.revision(),
        };
        let (mut reply, replayed) = self.written(call, plan, report).await?;
        if shown && !replayed {
            token.text().clone_into(&mut reply.secret);
        }
        Ok(Response::new(reply))
    }

    async fn get_credential(&self, request: Request<GetCredentialRequest>) -> Reply<GetCredentialResponse> {
        let (read, id) = reading(request, |f, m| {
            let GetCredentialRequest { organization: _, credential, min_revision: _ } = m;
            f.parse::<Id>("credential", &credential)
        })?;
        let table = self.table(&read).await?;
        let credential = found(credential::find(&table, &id, &self.engine), || Key::Credential(id))?;
        Ok(Response::new(GetCredentialResponse { credential: Some(credential), revision: Some(revision_of(&table)) }))
    }

    async fn list_credentials(&self, request: Request<ListCredentialsRequest>) -> Reply<ListCredentialsResponse> {
        let (read, (page, (service, valid_only))) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListCredentials", &mut m);
            let ListCredentialsRequest {
                organization: _,
                service_account,
                valid_only,
                min_revision: _,
                page_size: _,
                page_token: _,
            } = m;
            let service = f.parse_optional::<OpaqueId>("service_account", &service_account);
            page.zip(service.zip(Some(valid_only)))
        })?;
        let table = self.table(&read).await?;
        if let Some(id) = &service {
            found(table.find_service(id), || Key::Service(id.clone()))?;
        }
        let now = self.engine.now();
        let all = table.credentials(service.as_ref().map(OpaqueId::as_str));
        let all: Vec<_> = all.filter(|c| !valid_only || c.is_valid(now)).collect();
        // By service account, oldest first; the sign of an instant before 1970 does not matter here.
        let name = |c: &&Arc<Credential>| format!("{}\0{:020}\0{}", c.service, c.created_at, c.id);
        let (page, next_page_token) = page.of_sorted(table.history(), all, name)?;
        let credentials = page.into_iter().map(|c| credential::to_credential(c, &self.engine)).collect();
        Ok(Response::new(ListCredentialsResponse { credentials, revision: Some(revision_of(&table)), next_page_token }))
    }

    async fn rotate_credential(&self, request: Request<RotateCredentialRequest>) -> Reply<RotateCredentialResponse> {
        let (call, rotation) = writing(request, tokens::Rotation::of)?;
        let token = Token::random(&**self.engine.clock()).map_err(Refusal::from)?;
        let new = rotation.named(&**self.engine.clock(), &token)?;
        let (old, id) = (new.credential.clone(), new.id.clone());
        let (shown, engine) = (!call.call.validate_only, Arc::clone(&self.engine));
        let plan = move |table: &Table| tokens::rotated(table, new);
        let report = move |o: Report<'_>| RotateCredentialResponse {
            credential: credential::find(o.after(), &id, &engine),
            secret: String::new(),
            previous: credential::find(o.after(), &old, &engine),
            revision: o.revision(),
        };
        let (mut reply, replayed) = self.written(call, plan, report).await?;
        if shown && !replayed {
            token.text().clone_into(&mut reply.secret);
        }
        Ok(Response::new(reply))
    }

    async fn revoke_credential(&self, request: Request<RevokeCredentialRequest>) -> Reply<RevokeCredentialResponse> {
        let (call, (id, etag)) = writing(request, |f, m| {
            let RevokeCredentialRequest { organization: _, credential, etag, request_id: _, validate_only: _ } = m;
            f.parse::<Id>("credential", &credential).zip(self::etag(f, etag))
        })?;
        let (key, now, engine) = (id.clone(), self.engine.now(), Arc::clone(&self.engine));
        let plan = move |table: &Table| tokens::revoked(table, key, etag, now);
        self.write(call, plan, move |o| RevokeCredentialResponse {
            credential: credential::find(o.after(), &id, &engine),
            revision: o.revision(),
        })
        .await
    }
}

fn current(table: &Table, id: &OpaqueId) -> Option<ServiceAccount> {
    table.service(&table.find_service(id)?)
}

/// A service account is active or inactive; one that is so already is left as it is.
fn moved(table: &Table, id: OpaqueId, etag: Option<String>, status: PrincipalStatus) -> Planned {
    let service = found(current(table, &id), || Key::Service(id))?;
    Ok(vec![Change::Update { row: Row::Service(ServiceAccount { status, ..service }), etag }])
}
