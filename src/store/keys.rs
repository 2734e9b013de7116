//! How scopes, revisions and row keys become keys of one ordered tree.
//!
//! ```text
//! [length of scope: u8][scope][H]                                   head
//! [length of scope: u8][scope][L][revision: u64 BE][part: u16 BE]   delta
//! [length of scope: u8][scope][R][row key, escaped][part: u16 BE]   row
//! [length of scope: u8][scope][X][part: u32 BE]                     redo of a large commit
//! [length of scope: u8][scope][A][row key, escaped][part: u16 BE]   archived row
//! ff "format"                                                       the version of all this
//! ```
//!
//! The length in front makes scopes free of prefixes of one another, whatever bytes they hold; it
//! is at most 129, so nothing collides with the `ff` of the format. A row key is escaped such that
//! the byte order of keys is kept and none is a prefix of another: `00` becomes `00 ff`, and `00 00`
//! ends it. (The usual alternative, a length in front, would sort short keys before long ones.)

use super::{MAX_SCOPE_BYTES, StoreError, limit};

/// The key of the format version.
pub(super) const FORMAT: &[u8] = b"\xffformat";

const ARCHIVE: u8 = b'A';
const HEAD: u8 = b'H';
const LOG: u8 = b'L';
const ROW: u8 = b'R';
const REDO: u8 = b'X';
/// Sorts after every kind.
const AFTER_KINDS: u8 = 0xff;

/// Makes the keys of one scope.
pub(super) struct ScopeKeys {
    prefix: Vec<u8>,
}

impl ScopeKeys {
    pub(super) fn of(scope: &str) -> Result<Self, StoreError> {
        limit("scope", scope.len(), MAX_SCOPE_BYTES)?;
        // INVARIANT: at most 129, by the line above.
        let length = u8::try_from(scope.len()).unwrap_or(u8::MAX);
        let mut prefix = Vec::with_capacity(scope.len() + 1);
        prefix.push(length);
        prefix.extend_from_slice(scope.as_bytes());
        Ok(Self { prefix })
    }

    fn kind(&self, kind: u8, room: usize) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.prefix.len() + 1 + room);
        key.extend_from_slice(&self.prefix);
        key.push(kind);
        key
    }

    pub(super) fn head(&self) -> Vec<u8> {
        self.kind(HEAD, 0)
    }

    /// The prefix of all deltas; after it stand the id (the revision) and the part.
    pub(super) fn logs(&self) -> Vec<u8> {
        self.kind(LOG, 0)
    }

    /// The delta of a revision, without the part.
    pub(super) fn log(&self, revision: u64) -> Vec<u8> {
        let mut key = self.kind(LOG, 10);
        key.extend_from_slice(&revision.to_be_bytes());
        key
    }

    /// The prefix of all rows; after it stand the id (the escaped key) and the part.
    pub(super) fn rows(&self) -> Vec<u8> {
        self.kind(ROW, 0)
    }

    /// A row, without the part.
    pub(super) fn row(&self, key: &[u8]) -> Vec<u8> {
        self.escaped(ROW, key)
    }

    /// The prefix of all archived rows; after it stand the id (the escaped key) and the part.
    pub(super) fn archive(&self) -> Vec<u8> {
        self.kind(ARCHIVE, 0)
    }

    /// An archived row, without the part.
    pub(super) fn archived(&self, key: &[u8]) -> Vec<u8> {
        self.escaped(ARCHIVE, key)
    }

    fn escaped(&self, kind: u8, key: &[u8]) -> Vec<u8> {
        let mut out = self.kind(kind, key.len() + 8);
        for &byte in key {
            out.push(byte);
            if byte == 0 {
                out.push(0xff);
            }
        }
        out.extend_from_slice(&[0, 0]);
        out
    }

    /// The prefix of all redo parts.
    pub(super) fn redos(&self) -> Vec<u8> {
        self.kind(REDO, 0)
    }

    pub(super) fn redo(&self, part: u32) -> Vec<u8> {
        let mut key = self.kind(REDO, 4);
        key.extend_from_slice(&part.to_be_bytes());
        key
    }

    /// A key that sorts after all of this scope and before any of the next.
    pub(super) fn end(&self) -> Vec<u8> {
        self.kind(AFTER_KINDS, 0)
    }
}

/// Adds a part number to a row's or delta's key.
pub(super) fn with_part(base: &[u8], part: u16) -> Vec<u8> {
    let mut key = Vec::with_capacity(base.len() + 2);
    key.extend_from_slice(base);
    key.extend_from_slice(&part.to_be_bytes());
    key
}

/// The scope of any key but the format's.
pub(super) fn scope_of(key: &[u8]) -> Option<&str> {
    let (&length, rest) = key.split_first()?;
    let length = usize::from(length);
    if length > MAX_SCOPE_BYTES {
        return None;
    }
    std::str::from_utf8(rest.get(..length)?).ok()
}

/// What stands behind [`ScopeKeys::logs`] or [`ScopeKeys::rows`]: the id and the part.
pub(super) fn id_and_part(rest: &[u8]) -> Option<(&[u8], u16)> {
    let (id, part) = rest.split_last_chunk::<2>()?;
    Some((id, u16::from_be_bytes(*part)))
}

/// The revision of a delta's id.
pub(super) fn revision_of(id: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(id.try_into().ok()?))
}

/// Undoes the escape of a row's id, into a buffer that is reused.
pub(super) fn unescape(id: &[u8], into: &mut Vec<u8>) -> Option<()> {
    into.clear();
    let mut rest = id;
    loop {
        match rest {
            [0, 0] => return Some(()),
            [0, 0xff, tail @ ..] => {
                into.push(0);
                rest = tail;
            }
            [0, ..] | [] => return None,
            [byte, tail @ ..] => {
                into.push(*byte);
                rest = tail;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_keys_keep_their_order_and_come_back() {
        let mut keys: Vec<Vec<u8>> = vec![vec![]];
        for length in 1..=3 {
            for n in 0..4_usize.pow(length) {
                let digit = |at: u32| [0_u8, 1, 0xfe, 0xff][n / 4_usize.pow(at) % 4];
                keys.push((0..length).map(digit).collect());
            }
        }
        keys.sort();
        let scope = ScopeKeys::of("o").unwrap();
        let stored: Vec<Vec<u8>> = keys.iter().map(|key| with_part(&scope.row(key), 7)).collect();
        assert!(stored.is_sorted());
        let mut back = Vec::new();
        for (key, stored) in keys.iter().zip(&stored) {
            let rest = stored.strip_prefix(scope.rows().as_slice()).unwrap();
            let (id, part) = id_and_part(rest).unwrap();
            unescape(id, &mut back).unwrap();
            assert_eq!((&back, part), (key, 7));
        }
    }

    #[test]
    fn no_key_of_a_scope_lies_within_another_scope() {
        let names = ["", "a", "aH", "a\0", "a\u{1}", "\u{1}a", "aRb"];
        for name in names {
            let own = ScopeKeys::of(name).unwrap();
            let all = [own.head(), own.log(u64::MAX), own.row(b"\xff\xff"), own.archived(b"\xff"), own.redo(u32::MAX)];
            for key in &all {
                assert_eq!(scope_of(key), Some(name));
                assert!(*key < own.end());
                for other in names.into_iter().filter(|other| *other != name) {
                    let other = ScopeKeys::of(other).unwrap();
                    assert!(!key.starts_with(&other.prefix));
                }
            }
        }
        assert_eq!(scope_of(FORMAT), None);
    }
}
