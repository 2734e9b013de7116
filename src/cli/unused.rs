//! `doorward review --unused`: roles and permissions that nothing gives, or that were not allowed for a time.

use std::io::Write;

use prost_types::Timestamp;
use serde_json::json;

use crate::core::condition::timestamp_text;
use crate::service::proto::activity_service_client::ActivityServiceClient;
use crate::service::proto::{ListUnusedPermissionsRequest, ListUnusedRolesRequest};

use super::CliError;
use super::file::parse_duration;
use super::remote::{ServerArgs, refused};
use super::review::{Format, cell, named, printed, to_millis};

const PAGE: i32 = 1_000;

/// Prints them, roles first, page by page.
pub(super) async fn print(
    server: &ServerArgs,
    organization: Option<String>,
    unused_for: Option<&str>,
    format: Format,
) -> Result<bool, CliError> {
    let organization = named(organization)?;
    let wrong = |problem| CliError::Usage(format!("`--unused-for` {problem}"));
    let unused_for = unused_for.map(|span| parse_duration(span).map_err(wrong)).transpose()?;
    let unused_for = unused_for.map(|ms| prost_types::Duration {
        seconds: ms / 1_000,
        nanos: i32::try_from(ms % 1_000).unwrap_or(0) * 1_000_000,
    });
    let mut client = ActivityServiceClient::new(server.connect().await?);
    let mut out = std::io::stdout().lock();
    if format == Format::Csv {
        printed(&mut out, "kind,name,holders,last_used_at")?;
    }
    let mut page_token = String::new();
    loop {
        let request = ListUnusedRolesRequest {
            organization: organization.clone(),
            unused_for,
            min_revision: None,
            page_size: PAGE,
            page_token,
        };
        let page = client.list_unused_roles(request).await.map_err(|status| refused(&status))?.into_inner();
        for role in page.roles {
            line(&mut out, format, "role", &role.role, role.holders, role.last_used_at.as_ref())?;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    loop {
        let request = ListUnusedPermissionsRequest {
            organization: organization.clone(),
            unused_for,
            min_revision: None,
            page_size: PAGE,
            page_token,
        };
        let page = client.list_unused_permissions(request).await.map_err(|status| refused(&status))?.into_inner();
        for permission in page.permissions {
            let (name, last) = (permission.permission, permission.last_used_at);
            line(&mut out, format, "permission", &name, permission.holders, last.as_ref())?;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(true);
        }
    }
}

fn line(
    out: &mut impl Write,
    format: Format,
    kind: &str,
    name: &str,
    holders: u64,
    last: Option<&Timestamp>,
) -> Result<(), CliError> {
    let last = last.map(|at| timestamp_text(to_millis(at)));
    let line = match format {
        Format::Json => json!({"kind": kind, "name": name, "holders": holders, "last_used_at": last}).to_string(),
        Format::Csv => format!("{kind},{},{holders},{}", cell(name), last.unwrap_or_default()),
    };
    printed(out, &line)
}
