//! `OrganizationService`.

mod apply;
mod domains;
mod export;
mod supers;

pub use apply::rows;

use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use crate::core::change::{Change, check_etag};
use crate::core::id::{Id, PermissionName};
use crate::core::model::{Account, DEFAULT_ACCOUNT, Key, Row, Settings};
use crate::core::table::Table;
use crate::engine::Create;

use super::admin::{Admin, Planned, Reply, delete, found, update};
use super::convert::organization as convert;
use super::fields::Fields;
use super::paging::Page;
use super::proto::organization_service_server::OrganizationService;
use super::proto::*;
use super::refusal::Refusal;
use super::report::{revision, revision_of};
use super::request::{caller, etag, reading, writing};

#[tonic::async_trait]
impl OrganizationService for Admin {
    async fn create_organization(
        &self,
        request: Request<CreateOrganizationRequest>,
    ) -> Reply<CreateOrganizationResponse> {
        let (mut call, settings) = writing(request, |f, m| {
            let CreateOrganizationRequest { organization, request_id: _, validate_only: _ } = m;
            f.message("organization", organization, convert::settings)
        })?;
        call.call.create = Create::Always;
        let plan = move |_: &Table| founded(settings);
        self.write(call, plan, |o| CreateOrganizationResponse {
            organization: convert::find(o.after()),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn get_organization(&self, request: Request<GetOrganizationRequest>) -> Reply<GetOrganizationResponse> {
        let (read, ()) = reading(request, |_, m| {
            let GetOrganizationRequest { organization: _, min_revision: _ } = m;
            Some(())
        })?;
        let table = self.table(&read).await?;
        let organization = convert::find(&table);
        Ok(Response::new(GetOrganizationResponse { organization, revision: Some(revision_of(&table)) }))
    }

    async fn list_organizations(&self, request: Request<ListOrganizationsRequest>) -> Reply<ListOrganizationsResponse> {
        self.operators_only(caller(&request)?, "doorward.v1.OrganizationService/ListOrganizations").await?;
        let mut message = request.into_inner();
        let mut fields = Fields::default();
        let page = Page::take(&mut fields, "ListOrganizations", &mut message);
        let ListOrganizationsRequest { super_organization, page_size: _, page_token: _ } = message;
        let partner = fields.parse_optional::<Id>("super_organization", &super_organization);
        let (page, partner) = fields.finish(page.zip(partner))?;
        let ids = match &partner {
            None => self.engine.organizations(),
            Some(partner) => self.organizations_of(partner),
        };
        // The list is of all organizations, so no single history can tell its tokens apart.
        let (ids, next_page_token) = page.of_sorted("organizations", ids, String::clone)?;
        let organization = |id: &String| self.engine.with_table(id, None, convert::find).ok().flatten();
        let organizations = ids.iter().filter_map(organization).collect();
        Ok(Response::new(ListOrganizationsResponse { organizations, next_page_token }))
    }

    async fn update_organization(
        &self,
        request: Request<UpdateOrganizationRequest>,
    ) -> Reply<UpdateOrganizationResponse> {
        let (call, (patch, etag)) = writing(request, |f, m| {
            let UpdateOrganizationRequest { organization, update_mask, etag, request_id: _, validate_only: _ } = m;
            let patch = convert::settings_patch(f, organization, update_mask);
            patch.zip(self::etag(f, etag))
        })?;
        let plan = move |table: &Table| update(table, Key::Settings, settings(table), patch, Row::Settings, etag);
        self.write(call, plan, |o| UpdateOrganizationResponse {
            organization: convert::find(o.after()),
            revision: o.revision(),
            changes: o.changes(),
            email_domain_effects: o.email_domain_effects(),
        })
        .await
    }

    async fn delete_organization(
        &self,
        request: Request<DeleteOrganizationRequest>,
    ) -> Reply<DeleteOrganizationResponse> {
        let (call, etag) = writing(request, |f, m| {
            let DeleteOrganizationRequest { organization: _, etag, request_id: _, validate_only: _ } = m;
            self::etag(f, etag)
        })?;
        let check = move |table: &Table| check_etag(table, &Key::Settings, etag.as_deref()).map_err(Refusal::Change);
        self.end(call, check, |ended| DeleteOrganizationResponse {
            revision: Some(revision(&ended.revision)),
            rows_removed: ended.rows,
        })
        .await
    }

    async fn add_email_domain(&self, request: Request<AddEmailDomainRequest>) -> Reply<AddEmailDomainResponse> {
        let (call, (domain, etag)) = writing(request, |f, m| {
            let AddEmailDomainRequest { organization: _, email_domain, etag, request_id: _, validate_only: _ } = m;
            let domain = f.message("email_domain", email_domain, convert::email_domain);
            domain.zip(self::etag(f, etag))
        })?;
        let plan = move |table: &Table| domains::add(table, domain, etag);
        self.write(call, plan, |o| AddEmailDomainResponse {
            organization: convert::find(o.after()),
            revision: o.revision(),
            effect: o.email_domain_effects().into_iter().next(),
        })
        .await
    }

    async fn remove_email_domain(
        &self,
        request: Request<RemoveEmailDomainRequest>,
    ) -> Reply<RemoveEmailDomainResponse> {
        let (call, (domain, etag)) = writing(request, |f, m| {
            let RemoveEmailDomainRequest { organization: _, domain, etag, request_id: _, validate_only: _ } = m;
            let domain = convert::domain(f, "domain", &domain);
            domain.zip(self::etag(f, etag))
        })?;
        let plan = move |table: &Table| domains::remove(table, &domain, etag);
        self.write(call, plan, |o| RemoveEmailDomainResponse {
            organization: convert::find(o.after()),
            revision: o.revision(),
            effect: o.email_domain_effects().into_iter().next(),
        })
        .await
    }

    async fn create_account(&self, request: Request<CreateAccountRequest>) -> Reply<CreateAccountResponse> {
        let (call, account) = writing(request, |f, m| {
            let CreateAccountRequest { organization: _, account, request_id: _, validate_only: _ } = m;
            f.message("account", account, convert::account)
        })?;
        let id = account.id.clone();
        let plan = move |table: &Table| {
            let mut changes = default_moved(table, &account);
            changes.push(Change::Create(Row::Account(account)));
            Ok(changes)
        };
        self.write(call, plan, move |o| CreateAccountResponse {
            account: convert::find_account(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn get_account(&self, request: Request<GetAccountRequest>) -> Reply<GetAccountResponse> {
        let (read, id) = reading(request, |f, m| {
            let GetAccountRequest { organization: _, account, min_revision: _ } = m;
            f.parse::<Id>("account", &account)
        })?;
        let table = self.table(&read).await?;
        let account = found(convert::find_account(&table, &id), || Key::Account(id))?;
        Ok(Response::new(GetAccountResponse { account: Some(account), revision: Some(revision_of(&table)) }))
    }

    async fn list_accounts(&self, request: Request<ListAccountsRequest>) -> Reply<ListAccountsResponse> {
        let (read, page) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListAccounts", &mut m);
            let ListAccountsRequest { organization: _, min_revision: _, page_size: _, page_token: _ } = m;
            page
        })?;
        let table = self.table(&read).await?;
        let all = table.list_accounts(None, usize::MAX).items;
        let (page, next_page_token) = page.of_sorted(table.history(), all, |a| a.id.to_string())?;
        let accounts = page.iter().map(convert::to_account).collect();
        Ok(Response::new(ListAccountsResponse { accounts, revision: Some(revision_of(&table)), next_page_token }))
    }

    async fn update_account(&self, request: Request<UpdateAccountRequest>) -> Reply<UpdateAccountResponse> {
        let (call, ((id, patch), etag)) = writing(request, |f, m| {
            let UpdateAccountRequest { organization: _, account, update_mask, etag, request_id: _, validate_only: _ } =
                m;
            let patch = convert::account_patch(f, account, update_mask);
            patch.zip(self::etag(f, etag))
        })?;
        let key = id.clone();
        let plan = move |table: &Table| {
            let mut account = found(account(table, &key), || Key::Account(key))?;
            patch.apply(&mut account, table);
            let mut changes = default_moved(table, &account);
            changes.push(Change::Update { row: Row::Account(account), etag });
            Ok(changes)
        };
        self.write(call, plan, move |o| UpdateAccountResponse {
            account: convert::find_account(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn delete_account(&self, request: Request<DeleteAccountRequest>) -> Reply<DeleteAccountResponse> {
        let (call, (id, etag)) = writing(request, |f, m| {
            let DeleteAccountRequest { organization: _, account, etag, request_id: _, validate_only: _ } = m;
            let id = f.parse::<Id>("account", &account);
            id.zip(self::etag(f, etag))
        })?;
        let key = Key::Account(id);
        let deleted = key.clone();
        let plan = move |_: &Table| delete(key, etag);
        self.write(call, plan, move |o| DeleteAccountResponse {
            revision: o.revision(),
            removed: Some(o.removed(&deleted)),
        })
        .await
    }

    async fn create_object(&self, request: Request<CreateObjectRequest>) -> Reply<CreateObjectResponse> {
        let (call, object) = writing(request, |f, m| {
            let CreateObjectRequest { organization: _, object, request_id: _, validate_only: _ } = m;
            f.message("object", object, convert::object)
        })?;
        let id = object.id.clone();
        let plan = move |_: &Table| Ok(vec![Change::Create(Row::Object(object))]);
        self.write(call, plan, move |o| CreateObjectResponse {
            object: convert::find_object(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn get_object(&self, request: Request<GetObjectRequest>) -> Reply<GetObjectResponse> {
        let (read, id) = reading(request, |f, m| {
            let GetObjectRequest { organization: _, object, min_revision: _ } = m;
            f.parse::<Id>("object", &object)
        })?;
        let table = self.table(&read).await?;
        let object = found(convert::find_object(&table, &id), || Key::Object(id))?;
        Ok(Response::new(GetObjectResponse { object: Some(object), revision: Some(revision_of(&table)) }))
    }

    async fn list_objects(&self, request: Request<ListObjectsRequest>) -> Reply<ListObjectsResponse> {
        let (read, (page, kind)) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListObjects", &mut m);
            let ListObjectsRequest { organization: _, kind, min_revision: _, page_size: _, page_token: _ } = m;
            page.zip(convert::object_kind(f, kind))
        })?;
        let table = self.table(&read).await?;
        let mut all = table.list_objects(None, usize::MAX).items;
        all.retain(|o| kind.is_none_or(|kind| o.kind == kind));
        let (page, next_page_token) = page.of_sorted(table.history(), all, |o| o.id.to_string())?;
        let objects = page.iter().map(convert::to_object).collect();
        Ok(Response::new(ListObjectsResponse { objects, revision: Some(revision_of(&table)), next_page_token }))
    }

    async fn update_object(&self, request: Request<UpdateObjectRequest>) -> Reply<UpdateObjectResponse> {
        let (call, ((id, patch), etag)) = writing(request, |f, m| {
            let UpdateObjectRequest { organization: _, object, update_mask, etag, request_id: _, validate_only: _ } = m;
            let patch = convert::object_patch(f, object, update_mask);
            patch.zip(self::etag(f, etag))
        })?;
        let key = id.clone();
        let plan = move |table: &Table| {
            let current = table.object_row(&key).cloned();
            update(table, Key::Object(key), current, patch, Row::Object, etag)
        };
        self.write(call, plan, move |o| UpdateObjectResponse {
            object: convert::find_object(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn delete_object(&self, request: Request<DeleteObjectRequest>) -> Reply<DeleteObjectResponse> {
        let (call, (id, etag)) = writing(request, |f, m| {
            let DeleteObjectRequest { organization: _, object, etag, request_id: _, validate_only: _ } = m;
            let id = f.parse::<Id>("object", &object);
            id.zip(self::etag(f, etag))
        })?;
        let key = Key::Object(id);
        let deleted = key.clone();
        let plan = move |_: &Table| delete(key, etag);
        self.write(call, plan, move |o| DeleteObjectResponse {
            revision: o.revision(),
            removed: Some(o.removed(&deleted)),
        })
        .await
    }

    async fn create_permission(&self, request: Request<CreatePermissionRequest>) -> Reply<CreatePermissionResponse> {
        let (call, permission) = writing(request, |f, m| {
            let CreatePermissionRequest { organization: _, permission, request_id: _, validate_only: _ } = m;
            f.message("permission", permission, convert::permission)
        })?;
        let name = permission.name.clone();
        let plan = move |_: &Table| Ok(vec![Change::Create(Row::Permission(permission))]);
        self.write(call, plan, move |o| CreatePermissionResponse {
            permission: convert::find_permission(o.after(), name.as_str()),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn get_permission(&self, request: Request<GetPermissionRequest>) -> Reply<GetPermissionResponse> {
        let (read, name) = reading(request, |f, m| {
            let GetPermissionRequest { organization: _, permission, min_revision: _ } = m;
            f.parse::<PermissionName>("permission", &permission)
        })?;
        let table = self.table(&read).await?;
        let permission = found(convert::find_permission(&table, name.as_str()), || Key::Permission(name))?;
        Ok(Response::new(GetPermissionResponse { permission: Some(permission), revision: Some(revision_of(&table)) }))
    }

    async fn list_catalog_permissions(
        &self,
        request: Request<ListCatalogPermissionsRequest>,
    ) -> Reply<ListCatalogPermissionsResponse> {
        let (read, (page, own_only)) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListCatalogPermissions", &mut m);
            let ListCatalogPermissionsRequest {
                organization: _,
                own_only,
                min_revision: _,
                page_size: _,
                page_token: _,
            } = m;
            page.zip(Some(own_only))
        })?;
        let table = self.table(&read).await?;
        let all = table.catalogue().map(|(_, slot)| slot).filter(|slot| !(own_only && slot.built_in)).collect();
        let (page, next_page_token) = page.of_sorted(table.history(), all, |p| p.row.name.to_string())?;
        let permissions = page.into_iter().map(convert::to_catalogued).collect();
        let revision = Some(revision_of(&table));
        Ok(Response::new(ListCatalogPermissionsResponse { permissions, revision, next_page_token }))
    }

    async fn update_permission(&self, request: Request<UpdatePermissionRequest>) -> Reply<UpdatePermissionResponse> {
        let (call, ((name, patch), etag)) = writing(request, |f, m| {
            let UpdatePermissionRequest {
                organization: _,
                permission,
                update_mask,
                etag,
                request_id: _,
                validate_only: _,
            } = m;
            let patch = convert::permission_patch(f, permission, update_mask);
            patch.zip(self::etag(f, etag))
        })?;
        let key = name.clone();
        let plan = move |table: &Table| {
            // A built-in one is found too, so that the core says why it cannot change.
            let slot = table.permission(key.as_str()).and_then(|p| table.permission_slot(p.number));
            let current = slot.map(|s| s.row.clone()).filter(|row| row.name == key);
            update(table, Key::Permission(key), current, patch, Row::Permission, etag)
        };
        self.write(call, plan, move |o| UpdatePermissionResponse {
            permission: convert::find_permission(o.after(), name.as_str()),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn delete_permission(&self, request: Request<DeletePermissionRequest>) -> Reply<DeletePermissionResponse> {
        let (call, (name, etag)) = writing(request, |f, m| {
            let DeletePermissionRequest { organization: _, permission, etag, request_id: _, validate_only: _ } = m;
            let name = f.parse::<PermissionName>("permission", &permission);
            name.zip(self::etag(f, etag))
        })?;
        let key = Key::Permission(name.clone());
        let deleted = key.clone();
        let plan = move |table: &Table| {
            // An alias is not the name of anything that could be deleted.
            found(table.canonical(name.as_str()).filter(|n| **n == name), || key.clone())?;
            delete(key, etag)
        };
        self.write(call, plan, move |o| DeletePermissionResponse {
            revision: o.revision(),
            removed: Some(o.removed(&deleted)),
        })
        .await
    }

    async fn create_super_organization(
        &self,
        request: Request<CreateSuperOrganizationRequest>,
    ) -> Reply<CreateSuperOrganizationResponse> {
        self.create_super(request).await
    }

    async fn get_super_organization(
        &self,
        request: Request<GetSuperOrganizationRequest>,
    ) -> Reply<GetSuperOrganizationResponse> {
        self.get_super(request).await
    }

    async fn list_super_organizations(
        &self,
        request: Request<ListSuperOrganizationsRequest>,
    ) -> Reply<ListSuperOrganizationsResponse> {
        self.list_supers(request).await
    }

    async fn update_super_organization(
        &self,
        request: Request<UpdateSuperOrganizationRequest>,
    ) -> Reply<UpdateSuperOrganizationResponse> {
        self.update_super(request).await
    }

    async fn delete_super_organization(
        &self,
        request: Request<DeleteSuperOrganizationRequest>,
    ) -> Reply<DeleteSuperOrganizationResponse> {
        self.delete_super(request).await
    }

    async fn apply_organization(
        &self,
        request: Request<Streaming<ApplyOrganizationRequest>>,
    ) -> Reply<ApplyOrganizationResponse> {
        let caller = caller(&request)?.clone();
        self.apply(caller, request.into_inner()).await
    }

    async fn export_organization(
        &self,
        request: Request<ExportOrganizationRequest>,
    ) -> Result<Response<BoxStream<ExportOrganizationResponse>>, Status> {
        let (read, ()) = reading(request, |_, m| {
            let ExportOrganizationRequest { organization: _, min_revision: _ } = m;
            Some(())
        })?;
        let table = self.table(&read).await?;
        Ok(Response::new(export::stream(table)))
    }
}

impl Admin {
    fn organizations_of(&self, partner: &Id) -> Vec<String> {
        let belongs = |table: &Table| table.settings().is_some_and(|s| s.super_organization.as_ref() == Some(partner));
        let mut ids = self.engine.organizations();
        ids.retain(|id| self.engine.with_table(id, None, belongs).unwrap_or(false));
        ids
    }
}

/// A new organization: its settings and its default account.
fn founded(settings: Settings) -> Planned {
    let main = main_account().ok_or(Refusal::Internal("the default account's id is no id"))?;
    Ok(vec![Change::Create(Row::Settings(settings)), Change::Create(Row::Account(main))])
}

/// The account that an organization has from the start.
fn main_account() -> Option<Account> {
    Some(Account { id: Id::parse(DEFAULT_ACCOUNT).ok()?, default: true, display_name: String::new() })
}

fn settings(table: &Table) -> Option<Settings> {
    table.settings().map(|s| Settings::clone(s))
}

fn account(table: &Table, id: &Id) -> Option<Account> {
    match table.row(&Key::Account(id.clone()))? {
        Row::Account(account) => Some(account),
        _ => None,
    }
}

/// Making an account the default one takes the mark from the account that has it.
fn default_moved(table: &Table, account: &Account) -> Vec<Change> {
    let old = table.default_account().filter(|old| account.default && **old != account.id);
    let old = old.and_then(|id| self::account(table, id));
    old.map(|old| Change::Update { row: Row::Account(Account { default: false, ..old }), etag: None })
        .into_iter()
        .collect()
}
