//! Adding and removing one e-mail domain (rule 2.6).

use crate::core::change::Change;
use crate::core::id::Domain;
use crate::core::model::{EmailDomain, Key, Row, Settings};
use crate::core::table::Table;

use super::super::admin::{Planned, found};
use super::super::refusal::Refusal;
use super::settings;

/// The organization with one more domain. One that it has with the same audience is left as it is.
pub fn add(table: &Table, domain: EmailDomain, etag: Option<String>) -> Planned {
    change(table, etag, |settings| {
        match settings.email_domains.iter().find(|d| d.domain == domain.domain) {
            Some(there) if *there == domain => {}
            Some(_) => return Err(Refusal::EmailDomain { domain: domain.domain.to_string(), there: true }),
            None => settings.email_domains.push(domain),
        }
        Ok(())
    })
}

/// The organization without a domain.
pub fn remove(table: &Table, domain: &Domain, etag: Option<String>) -> Planned {
    change(table, etag, |settings| {
        let before = settings.email_domains.len();
        settings.email_domains.retain(|d| d.domain != *domain);
        if settings.email_domains.len() == before {
            return Err(Refusal::EmailDomain { domain: domain.to_string(), there: false });
        }
        Ok(())
    })
}

fn change(table: &Table, etag: Option<String>, edit: impl FnOnce(&mut Settings) -> Result<(), Refusal>) -> Planned {
    let mut settings = found(settings(table), || Key::Settings)?;
    edit(&mut settings)?;
    Ok(vec![Change::Update { row: Row::Settings(settings), etag }])
}
