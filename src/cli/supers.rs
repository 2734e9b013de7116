//! `doorward apply` and `doorward export` of super-organizations.

use tonic::Code;

use crate::core::id::Id;
use crate::service::proto::element_list_service_client::ElementListServiceClient;
use crate::service::proto::organization_service_client::OrganizationServiceClient;
use crate::service::proto::{
    ChangeKind, CreateSuperOrganizationRequest, GetDenylistRequest, GetSuperOrganizationRequest, SuperOrganization,
    UpdateDenylistRequest, UpdateSuperOrganizationRequest,
};

use super::CliError;
use super::file::SuperOrganizationFile;
use super::remote::{Connection, ServerArgs, refused};
use super::transfer::How;

/// Makes a super-organization equal to its file: what it is called first, then its denylist. Each is a
/// revision of its own.
pub async fn apply(server: &ServerArgs, file: &SuperOrganizationFile, how: How) -> Result<bool, CliError> {
    let connection = server.connect().await?;
    let id = file.super_organization.to_string();
    let dry = if how.dry_run { " (dry run: nothing was changed)" } else { "" };
    let there = named(connection.clone(), file, how).await?;
    if !there && how.dry_run {
        file.element_denylist.iter().for_each(|element| say!("+ denylist_element {element}"));
        say!("{id}: would be created{dry}");
        return Ok(true);
    }
    let request = UpdateDenylistRequest {
        super_organization: id.clone(),
        elements: file.element_denylist.iter().map(Id::to_string).collect(),
        validate_only: how.dry_run,
        ..UpdateDenylistRequest::default()
    };
    let reply = ElementListServiceClient::new(connection).update_denylist(request).await;
    let reply = reply.map_err(|status| refused(&status))?.into_inner();
    for change in &reply.changes {
        let sign = if change.kind() == ChangeKind::Create { '+' } else { '-' };
        say!("{sign} {} {}", change.entity, change.id);
    }
    say!("{id}: revision {}{dry}", reply.revision.map_or(0, |r| r.number));
    Ok(true)
}

/// Makes it exist and be called what its file says; whether it was there.
async fn named(connection: Connection, file: &SuperOrganizationFile, how: How) -> Result<bool, CliError> {
    let mut client = OrganizationServiceClient::new(connection);
    let id = file.super_organization.to_string();
    let get = GetSuperOrganizationRequest { super_organization: id.clone(), min_revision: None };
    let wanted = SuperOrganization { id, display_name: file.display_name.clone(), etag: String::new() };
    match client.get_super_organization(get).await {
        Err(status) if status.code() == Code::NotFound && !how.must_exist => {
            let (super_organization, validate_only) = (Some(wanted), how.dry_run);
            let request =
                CreateSuperOrganizationRequest { super_organization, request_id: String::new(), validate_only };
            client.create_super_organization(request).await.map_err(|status| refused(&status))?;
            Ok(false)
        }
        Err(status) => Err(refused(&status)),
        Ok(reply)
            if reply.get_ref().super_organization.as_ref().is_some_and(|s| s.display_name == wanted.display_name) =>
        {
            Ok(true)
        }
        Ok(_) => {
            say!("~ super_organization {}", wanted.id);
            let request = UpdateSuperOrganizationRequest {
                super_organization: Some(wanted),
                update_mask: Some(prost_types::FieldMask { paths: vec!["display_name".to_owned()] }),
                validate_only: how.dry_run,
                ..UpdateSuperOrganizationRequest::default()
            };
            client.update_super_organization(request).await.map_err(|status| refused(&status))?;
            Ok(true)
        }
    }
}

/// The file of a super-organization.
pub async fn export(server: &ServerArgs, id: &Id) -> Result<String, CliError> {
    let connection = server.connect().await?;
    let get = GetSuperOrganizationRequest { super_organization: id.to_string(), min_revision: None };
    let found = OrganizationServiceClient::new(connection.clone()).get_super_organization(get).await;
    let found = found.map_err(|status| refused(&status))?.into_inner();
    let get = GetDenylistRequest { super_organization: id.to_string(), min_revision: None };
    let list = ElementListServiceClient::new(connection).get_denylist(get).await;
    let elements = list.map_err(|status| refused(&status))?.into_inner().denylist.unwrap_or_default().elements;
    let parsed: Result<Vec<Id>, _> = elements.iter().map(|element| Id::parse(element)).collect();
    let element_denylist =
        parsed.map_err(|error| CliError::Refused(format!("the server sent an element that is none: {error}")))?;
    let display_name = found.super_organization.unwrap_or_default().display_name;
    let super_organization = id.clone();
    Ok(SuperOrganizationFile { super_organization, display_name, element_denylist }.write())
}
