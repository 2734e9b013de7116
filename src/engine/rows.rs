//! How an organization lies in the store: row keys and values.
//!
//! The first byte of a key is the kind, in the order in which kinds are loaded; what follows tells
//! rows of a kind apart. Values are CBOR with numbered fields (see `core::model`).

use minicbor::{Decode, Encode};

use crate::core::model::{Key, Millis, Row, Write};
use crate::store::{Commit, RowWrite, StoreError};

use super::Call;
use super::activity::Tip;

/// The organization's [`Birth`].
const BIRTH: u8 = 0;
/// Rows: this plus the place of their kind.
const ROWS: u8 = 1;
/// Request ids that were answered.
const REQUESTS: u8 = 200;
/// The end of the activity log.
const TIP: u8 = 201;
/// When permissions were last allowed.
const MARKS: u8 = 202;

/// What is fixed when an organization is created. It stays in the store when that is deleted, for what may
/// come after it under the same id.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Birth {
    /// Tells it from others under the same id.
    #[n(0)]
    pub history: String,
    /// Keys its hashes.
    #[n(1)]
    pub seed: u64,
    /// How many revisions of the scope come before its first: those of organizations of the same id that
    /// were deleted.
    #[n(2)]
    #[cbor(default)]
    pub base: u64,
    /// Whether the organization was deleted.
    #[n(3)]
    #[cbor(default)]
    pub ended: bool,
}

/// A write that was answered, so that a retry gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Answered {
    /// Caller, method and request id, hashed.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub id: Vec<u8>,
    /// The request's content, hashed.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub body: Vec<u8>,
    /// When.
    #[n(2)]
    pub at: Millis,
    /// The reply, encoded.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub reply: Vec<u8>,
    /// The revision of the scope that it made.
    #[n(4)]
    pub revision: u64,
}

/// A call's revision on its way to the store, with its delta for the log.
pub(super) fn commit_of(call: &Call, now: Millis, revision: u64, writes: Vec<Write>, rows: Vec<RowWrite>) -> Commit {
    let (caller, method, on_behalf_of) = (call.caller.clone(), call.method.to_owned(), call.on_behalf_of.clone());
    let log = Some(encode(&Logged { at: now, caller, method, writes, on_behalf_of }));
    Commit { scope: call.organization.to_string(), revision, log, rows, archive: Vec::new() }
}

/// One revision in the log: who, when, and what to put and delete to get from the one before to it. One that
/// deletes the settings is the last of its history: there is nothing any more.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Logged {
    /// When it was decided.
    #[n(0)]
    pub at: Millis,
    /// Who did it.
    #[n(1)]
    pub caller: String,
    /// By which call.
    #[n(2)]
    pub method: String,
    /// The delta.
    #[n(3)]
    pub writes: Vec<Write>,
    /// On whose behalf (rule 7.6).
    #[n(4)]
    pub on_behalf_of: Option<String>,
}

/// When the permissions of an organization were last allowed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct KeptMarks {
    /// Since when decisions are counted.
    #[n(0)]
    pub since: Millis,
    /// One a permission.
    #[n(1)]
    pub marks: Vec<KeptMark>,
}

/// When a permission was last allowed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct KeptMark {
    /// Its name.
    #[n(0)]
    pub name: String,
    /// Since when it is counted.
    #[n(1)]
    pub counted_since: Millis,
    /// To the hour; none: never.
    #[n(2)]
    pub at: Option<Millis>,
}

/// What a stored row is.
pub enum Stored {
    /// Fixed at creation.
    Birth(Birth),
    /// Content.
    Row(Row),
    /// A request answered.
    Answered(Answered),
    /// The end of the activity log.
    Tip(Tip),
    /// When permissions were last allowed.
    Marks(KeptMarks),
}

/// Encoding into memory has no way to fail; an empty value would be refused when read.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    minicbor::to_vec(value).unwrap_or_default()
}

fn kind(key: &Key) -> u8 {
    ROWS + match key {
        Key::Settings => 0,
        Key::Account(_) => 1,
        Key::Permission(_) => 2,
        Key::Object(_) => 3,
        Key::Role(_) => 4,
        Key::Group(_) => 5,
        Key::User(_) => 6,
        Key::Service(_) => 7,
        Key::Assignment(..) => 8,
        Key::Grant(..) => 9,
        Key::Related(..) => 10,
        Key::Policy(_) => 11,
        Key::Credential(_) => 12,
        Key::Separation(_) => 14,
        Key::Emergency(..) => 15,
        Key::Activation(_) => 16,
        Key::SafelistElement(_) => 17,
    }
}

fn row_key(key: &Key) -> Vec<u8> {
    let mut bytes = vec![kind(key)];
    bytes.extend(encode(key));
    bytes
}

/// The store's row for a write of the delta.
pub fn of_write(write: &Write) -> RowWrite {
    match write {
        Write::Put(row) => RowWrite { key: row_key(&row.key()), value: Some(encode(row)) },
        Write::Delete(key) => RowWrite { key: row_key(key), value: None },
    }
}

/// The store's row for what is fixed at creation.
pub fn of_birth(birth: &Birth) -> RowWrite {
    RowWrite { key: vec![BIRTH], value: Some(encode(birth)) }
}

/// The write that ends what [`of_birth`] began.
pub fn no_birth() -> RowWrite {
    RowWrite { key: vec![BIRTH], value: None }
}

/// The store's row for an answered request.
pub fn of_answered(answered: &Answered) -> RowWrite {
    RowWrite { key: request_key(&answered.id), value: Some(encode(answered)) }
}

/// The write that forgets an answered request.
pub fn forget_answered(id: &[u8]) -> RowWrite {
    RowWrite { key: request_key(id), value: None }
}

fn request_key(id: &[u8]) -> Vec<u8> {
    let mut key = vec![REQUESTS];
    key.extend_from_slice(id);
    key
}

/// The store's row for the end of the activity log.
pub fn of_tip(tip: &Tip) -> RowWrite {
    RowWrite { key: vec![TIP], value: Some(encode(tip)) }
}

/// The store's row for when permissions were last allowed.
pub fn of_marks(marks: &KeptMarks) -> RowWrite {
    RowWrite { key: vec![MARKS], value: Some(encode(marks)) }
}

/// The write that forgets it.
pub fn no_marks() -> RowWrite {
    RowWrite { key: vec![MARKS], value: None }
}

/// The end of the activity log, if this is its row.
///
/// # Errors
/// `Unreadable` if no version of this program wrote it.
pub fn tip(key: &[u8], value: &[u8]) -> Result<Option<Tip>, StoreError> {
    if key != [TIP] {
        return Ok(None);
    }
    minicbor::decode(value).map(Some).map_err(|e| StoreError::Unreadable(e.to_string()))
}

/// What was fixed at creation, if this is its row.
///
/// # Errors
/// `Unreadable` if no version of this program wrote it.
pub fn birth(key: &[u8], value: &[u8]) -> Result<Option<Birth>, StoreError> {
    if key != [BIRTH] {
        return Ok(None);
    }
    minicbor::decode(value).map(Some).map_err(|e| StoreError::Unreadable(e.to_string()))
}

/// What a stored row is.
///
/// # Errors
/// `Unreadable` if no version of this program wrote it.
pub fn read(key: &[u8], value: &[u8]) -> Result<Stored, StoreError> {
    let unreadable = |e: minicbor::decode::Error| StoreError::Unreadable(e.to_string());
    match key.first() {
        Some(&BIRTH) => minicbor::decode(value).map(Stored::Birth).map_err(unreadable),
        Some(&REQUESTS) => minicbor::decode(value).map(Stored::Answered).map_err(unreadable),
        Some(&MARKS) => minicbor::decode(value).map(Stored::Marks).map_err(unreadable),
        Some(&TIP) => minicbor::decode(value).map(Stored::Tip).map_err(unreadable),
        Some(_) => minicbor::decode(value).map(Stored::Row).map_err(unreadable),
        None => Err(StoreError::Unreadable("a row without a key".to_owned())),
    }
}
