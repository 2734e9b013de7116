//! The keys of the log's rows in the archive: see the module above for the picture.

use crate::core::id::OpaqueId;

/// The first byte of an entry's key.
const ENTRY: u8 = 0;
/// The first byte of the key of what lies beside an entry.
const BESIDE: u8 = 1;
/// The first byte of both, behind the first history of a scope.
const LATER: u8 = 2;

/// Where the log of one history lies in the archive of its scope: apart from those of all others under the
/// same id, because no two begin after the same revision of the scope (`rows::Birth::base`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shelf {
    pub(super) base: u64,
}

impl Shelf {
    /// Of the history that begins after so many revisions of the scope.
    pub(in crate::engine) fn of(base: u64) -> Self {
        Self { base }
    }

    fn key(self, kind: u8) -> Vec<u8> {
        let mut key = Vec::new();
        if self.base > 0 {
            key.push(LATER);
            key.extend_from_slice(&self.base.to_be_bytes());
        }
        key.push(kind);
        key
    }

    pub(super) fn entry(self, sequence: u64) -> Vec<u8> {
        let mut key = self.key(ENTRY);
        key.extend_from_slice(&sequence.to_be_bytes());
        key
    }

    pub(super) fn sequence_of(self, key: &[u8]) -> Option<u64> {
        let sequence = key.strip_prefix(self.key(ENTRY).as_slice())?;
        Some(u64::from_be_bytes(sequence.try_into().ok()?))
    }

    /// An id has no control characters, so the zero ends it.
    pub(super) fn of_user(self, user: &OpaqueId) -> Vec<u8> {
        let mut key = self.key(BESIDE);
        key.extend_from_slice(user.as_str().as_bytes());
        key.push(0);
        key
    }

    pub(super) fn beside(self, user: &OpaqueId, sequence: u64, number: u16) -> Vec<u8> {
        let mut key = self.of_user(user);
        key.extend_from_slice(&sequence.to_be_bytes());
        key.extend_from_slice(&number.to_be_bytes());
        key
    }
}

const _: () = assert!(ENTRY < BESIDE, "entries come first, so that their ranges end before what lies beside them");
