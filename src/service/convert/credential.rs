//! Credentials, without what they are credentials by.

use crate::core::activity::Tokenless;
use crate::core::change::etag;
use crate::core::id::Id;
use crate::core::model::{Credential, Row};
use crate::core::table::Table;
use crate::engine::Engine;

use super::super::proto;
use super::value::to_timestamp;

/// A credential as a message.
pub fn to_credential(credential: &Credential, engine: &Engine) -> proto::Credential {
    let etag = etag(&Row::Credential(credential.clone()));
    let last_used_at = engine.last_used(credential).map(to_timestamp);
    proto::Credential { etag, last_used_at, ..to_tokenless(credential.clone().into()) }
}

/// One as the activity log has it.
pub fn to_tokenless(credential: Tokenless) -> proto::Credential {
    let Tokenless { id, service, display_name, created_at, expires_at, revoked_at, rotated_to, acts_for_users } =
        credential;
    proto::Credential {
        id: id.to_string(),
        service_account: service.to_string(),
        display_name,
        created_at: Some(to_timestamp(created_at)),
        expires_at: expires_at.map(to_timestamp),
        revoked_at: revoked_at.map(to_timestamp),
        last_used_at: None,
        rotated_to: rotated_to.map(|id| id.to_string()).unwrap_or_default(),
        etag: String::new(),
        acts_for_users,
    }
}

/// The credential of that id.
pub fn find(table: &Table, id: &Id, engine: &Engine) -> Option<proto::Credential> {
    table.credential(id.as_str()).map(|credential| to_credential(credential, engine))
}
