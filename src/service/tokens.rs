//! What becomes of credentials (rule 2.5): made, rotated, revoked.
//!
//! One that ended stays listed until its service account has as many as it may have; then the oldest
//! that ended makes room for a new one.

use prost_types::Timestamp;

use crate::clock::{Clock, hex};
use crate::core::change::{self, Change};
use crate::core::id::{Id, OpaqueId};
use crate::core::limits::MAX_CREDENTIALS;
use crate::core::model::{Credential, Key, Millis, Row};
use crate::core::table::Table;
use crate::engine::{Token, TokenHash};

use super::admin::{Planned, found};
use super::fields::Fields;
use super::proto::{CreateCredentialRequest, RotateCredentialRequest};
use super::refusal::Refusal;
use super::request::etag;

/// For how long a rotated credential may stay valid.
const MAX_GRACE_MS: Millis = 30 * 24 * 60 * 60 * 1_000;

/// What `CreateCredential` asks for.
#[derive(Debug)]
pub struct New {
    service: OpaqueId,
    display_name: String,
    expires_at: Option<Millis>,
    acts_for_users: bool,
}

impl New {
    /// From its message.
    pub fn of(f: &mut Fields, message: CreateCredentialRequest) -> Option<Self> {
        let CreateCredentialRequest {
            organization: _,
            service_account,
            display_name,
            expires_at,
            request_id: _,
            validate_only: _,
            acts_for_users,
        } = message;
        let service = f.parse::<OpaqueId>("service_account", &service_account);
        let expires_at = end(f, expires_at);
        Some(Self { service: service?, display_name, expires_at: expires_at?, acts_for_users })
    }

    /// The credential for a token, made now.
    pub fn made(self, clock: &dyn Clock, token: &Token) -> Result<Credential, Refusal> {
        let Self { service, display_name, expires_at, acts_for_users } = self;
        let (id, created_at, hash) = (new_id("cred", clock)?, clock.now(), token.hash());
        let (revoked_at, rotated_to) = (None, None);
        Ok(Credential {
            id,
            service,
            display_name,
            hash,
            created_at,
            expires_at,
            revoked_at,
            rotated_to,
            acts_for_users,
        })
    }
}

/// An id that the server makes.
pub fn new_id(kind: &str, clock: &dyn Clock) -> Result<Id, Refusal> {
    let text = format!("{kind}-{}", hex(&clock.random()?));
    Id::parse(&text).map_err(|_| Refusal::Internal("what was made up is no id"))
}

fn end(f: &mut Fields, expires_at: Option<Timestamp>) -> Option<Option<Millis>> {
    match expires_at {
        None => Some(None),
        Some(at) => f.exact_instant("expires_at", at).map(Some),
    }
}

/// What `RotateCredential` asks for.
#[derive(Debug)]
pub struct Rotation {
    credential: Id,
    grace: Option<Millis>,
    expires_at: Option<Millis>,
    etag: Option<String>,
}

/// A rotation, and what the new credential is.
#[derive(Debug)]
pub struct Rotated {
    /// The one to replace.
    pub credential: Id,
    /// The new one.
    pub id: Id,
    hash: TokenHash,
    now: Millis,
    grace: Option<Millis>,
    expires_at: Option<Millis>,
    etag: Option<String>,
}

impl Rotation {
    /// From its message.
    pub fn of(f: &mut Fields, message: RotateCredentialRequest) -> Option<Self> {
        let RotateCredentialRequest {
            organization: _,
            credential,
            grace,
            expires_at,
            etag,
            request_id: _,
            validate_only: _,
        } = message;
        let credential = f.parse::<Id>("credential", &credential);
        let grace = match grace {
            None => Some(None),
            Some(span) => f.exact_span("grace", span).map(Some),
        };
        if grace.flatten().is_some_and(|grace| grace > MAX_GRACE_MS) {
            f.refuse("grace", "is longer than 30 days");
        }
        let (expires_at, etag) = (end(f, expires_at), self::etag(f, etag));
        Some(Self { credential: credential?, grace: grace?, expires_at: expires_at?, etag: etag? })
    }

    /// With an id for the new credential, whose token this is.
    pub fn named(self, clock: &dyn Clock, token: &Token) -> Result<Rotated, Refusal> {
        let Self { credential, grace, expires_at, etag } = self;
        let (id, hash, now) = (new_id("cred", clock)?, token.hash(), clock.now());
        Ok(Rotated { credential, id, hash, now, grace, expires_at, etag })
    }
}

/// A new credential.
pub fn created(table: &Table, credential: Credential) -> Planned {
    found(table.find_service(&credential.service), || Key::Service(credential.service.clone()))?;
    in_the_future(credential.expires_at, credential.created_at)?;
    let mut changes = room(table, &credential.service, credential.created_at);
    changes.push(Change::Create(Row::Credential(credential)));
    Ok(changes)
}

/// A new credential in place of another.
pub fn rotated(table: &Table, rotated: Rotated) -> Planned {
    let Rotated { credential, id, hash, now, grace, expires_at, etag } = rotated;
    let old = current(table, &credential, etag)?;
    if let Some(successor) = old.rotated_to {
        return Err(Refusal::CredentialRotated(old.id, successor));
    }
    if !old.is_valid(now) {
        return Err(Refusal::CredentialEnded(old.id));
    }
    in_the_future(expires_at, now)?;
    let new = Credential {
        id: id.clone(),
        hash,
        created_at: now,
        expires_at,
        revoked_at: None,
        rotated_to: None,
        ..old.clone()
    };
    let mut old = Credential { rotated_to: Some(id), ..old };
    match grace {
        None => old.revoked_at = Some(now),
        Some(grace) => {
            let end = now.saturating_add(grace);
            old.expires_at = Some(old.expires_at.map_or(end, |before| before.min(end)));
        }
    }
    let mut changes = room(table, &new.service, now);
    changes.push(Change::Update { row: Row::Credential(old), etag: None });
    changes.push(Change::Create(Row::Credential(new)));
    Ok(changes)
}

/// A credential that ends now. One that was revoked before is left as it is.
pub fn revoked(table: &Table, id: Id, etag: Option<String>, now: Millis) -> Planned {
    let old = current(table, &id, etag)?;
    if old.revoked_at.is_some() {
        return Ok(Vec::new());
    }
    Ok(vec![Change::Update { row: Row::Credential(Credential { revoked_at: Some(now), ..old }), etag: None }])
}

fn current(table: &Table, id: &Id, etag: Option<String>) -> Result<Credential, Refusal> {
    let row = found(table.row(&Key::Credential(id.clone())), || Key::Credential(id.clone()))?;
    if etag.is_some_and(|etag| etag != change::etag(&row)) {
        return Err(Refusal::EtagMismatch(row.key()));
    }
    match row {
        Row::Credential(credential) => Ok(credential),
        _ => Err(Refusal::Internal("a credential's key leads to another row")),
    }
}

fn in_the_future(expires_at: Option<Millis>, now: Millis) -> Result<(), Refusal> {
    if expires_at.is_none_or(|end| now < end) {
        return Ok(());
    }
    let mut fields = Fields::default();
    fields.refuse("expires_at", "is not in the future");
    fields.finish(None)
}

/// The deletion of the oldest credential that ended, where there are as many as there may be.
fn room(table: &Table, service: &OpaqueId, now: Millis) -> Vec<Change> {
    let of: Vec<_> = table.credentials(Some(service.as_str())).collect();
    if of.len() < MAX_CREDENTIALS {
        return Vec::new();
    }
    let ended = of.iter().find(|c| !c.is_valid(now)).map(|c| Key::Credential(c.id.clone()));
    ended.map(|key| Change::Delete { keys: vec![key], etag: None }).into_iter().collect()
}
