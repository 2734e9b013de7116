//! The row of a user or service account, as a decision reads it. Its fixed part is a [`Principal`]; its
//! near bytes are the numbers of its direct groups, then its edges. See `core::table`.

use super::model::{Status, UserKind};
use super::pages::{Fixed, Found, u32_at};
use super::set::Set;

/// The fixed part of a user's or service account's row. Its near bytes are the numbers of its
/// direct groups, then its [`Edge`]s by target; its far bytes the stored row without groups, its
/// attributes packed (`core::packed`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Principal {
    pub(super) number: u32,
    pub(super) account: u32,
    pub(super) domain: u32,
    pub(super) groups: u32,
    pub(super) status: Status,
    /// None for a service account.
    pub(super) kind: Option<UserKind>,
    /// One of the roles given by rule was assigned by hand, at the organization or at the principal's own account:
    /// the rule steps back (3.6).
    pub(super) by_hand: bool,
}

impl Fixed for Principal {
    const BYTES: usize = 19;

    fn write(self, out: &mut Vec<u8>) {
        let Self { number, account, domain, groups, status, kind, by_hand } = self;
        [number, account, domain, groups].into_iter().for_each(|n| n.write(out));
        out.extend([status as u8, kind.map_or(u8::MAX, |kind| kind as u8), u8::from(by_hand)]);
    }

    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.first_chunk()?;
        let [number, account, domain, groups] = [0, 4, 8, 12].map(|at| u32_at(bytes, at));
        let [.., status, kind, by_hand] = *bytes;
        let status = match status {
            s if s == Status::Active as u8 => Status::Active,
            s if s == Status::Invited as u8 => Status::Invited,
            s if s == Status::Limited as u8 => Status::Limited,
            _ => Status::Inactive,
        };
        let kind = match kind {
            k if k == UserKind::Internal as u8 => Some(UserKind::Internal),
            k if k == UserKind::External as u8 => Some(UserKind::External),
            _ => None,
        };
        Some(Self { number, account, domain, groups, status, kind, by_hand: by_hand != 0 })
    }
}

/// A principal found: its fixed part and its bytes.
pub type PrincipalFound<'a> = Found<'a, Principal>;

/// See [`super::table::Table::groups_of`].
#[derive(Clone, Copy)]
pub(super) struct Groups<'a> {
    pub(super) direct: &'a [[u8; 4]],
    pub(super) system: &'static [u32],
    pub(super) dynamic: &'a [u32],
}

impl<'a> Groups<'a> {
    pub(super) fn iter(self) -> impl Iterator<Item = u32> + 'a {
        let direct = self.direct.iter().map(|n| u32::from_le_bytes(*n));
        direct.chain(self.system.iter().copied()).chain(self.dynamic.iter().copied())
    }

    /// Whether `test` holds for one of them. All are tested: where the first one is that passes
    /// is what a processor cannot foresee. (Three loops: a chain asks at each step where it is.)
    #[inline]
    pub(super) fn any(self, test: impl Fn(u32) -> bool) -> bool {
        let mut any = false;
        for n in self.direct {
            any |= test(u32::from_le_bytes(*n));
        }
        for n in self.system {
            any |= test(*n);
        }
        for n in self.dynamic {
            any |= test(*n);
        }
        any
    }

    /// Whether one of them is in one of `sets`.
    #[inline]
    pub(super) fn meet(self, sets: [&Set; 3]) -> bool {
        // Mostly some are nobody's: at the object, or at an account that is not asked about.
        let mut any = false;
        for set in sets {
            if !set.is_empty() {
                any |= self.meet_one(set);
            }
        }
        any
    }

    /// Whether one of them is in a set.
    #[inline]
    pub(super) fn meet_one(self, set: &Set) -> bool {
        set.meets(self.direct, u32::from_le_bytes) | set.meets(self.system, |n| n) | set.meets(self.dynamic, |n| n)
    }
}
