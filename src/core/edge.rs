//! What somebody holds, as it lies in memory: an [`Edge`] from a member to a bundle at a target, or of a
//! record to a member. All by number; see `core::table`.

use super::limits;
use super::model::{Period, Relation};

/// A target by number, packed: the kind in the two highest bits.
pub(super) type TargetNo = u32;
/// The organization as a target.
pub(super) const AT_ORGANIZATION: TargetNo = 0;
/// Any record, in the counts of a group or bundle.
pub(super) const AT_RECORDS: TargetNo = u32::MAX;
/// No target that a principal holds anything at by itself.
pub(super) const NOWHERE: TargetNo = AT_RECORDS;
const KIND_BITS: u32 = 30;

/// The account numbered `n` as a target.
pub(super) fn at_account(n: u32) -> TargetNo {
    1 << KIND_BITS | n
}

/// The object numbered `n` as a target.
pub(super) fn at_object(n: u32) -> TargetNo {
    2 << KIND_BITS | n
}

/// What a packed target is.
pub(super) enum Unpacked {
    Organization,
    Account(u32),
    Object(u32),
    Records,
}

pub(super) fn unpack(target: TargetNo) -> Unpacked {
    let n = target & ((1 << KIND_BITS) - 1);
    match target >> KIND_BITS {
        0 => Unpacked::Organization,
        1 => Unpacked::Account(n),
        2 => Unpacked::Object(n),
        _ => Unpacked::Records,
    }
}

/// Something held: at a target (in a principal's row), or by a member (in a record's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    /// Target number, or member number with [`GROUP_MEMBER`].
    pub(super) at: u32,
    /// Bundle number.
    pub(super) bundle: u32,
    pub(super) from: i64,
    pub(super) until: i64,
}

/// Marks a member number as a group's.
pub(super) const GROUP_MEMBER: u32 = 1 << 31;
pub(super) const EDGE_BYTES: usize = 24;

impl Edge {
    pub(super) fn new(at: u32, bundle: u32, period: Period) -> Self {
        let from = period.starts_at.unwrap_or(i64::MIN);
        Self { at, bundle, from, until: period.expires_at.unwrap_or(i64::MAX) }
    }

    pub(super) fn period(&self) -> Period {
        Period {
            starts_at: (self.from != i64::MIN).then_some(self.from),
            expires_at: (self.until != i64::MAX).then_some(self.until),
        }
    }

    pub(super) fn is_timeless(&self) -> bool {
        self.from == i64::MIN && self.until == i64::MAX
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.at.to_le_bytes());
        out.extend_from_slice(&self.bundle.to_le_bytes());
        out.extend_from_slice(&self.from.to_le_bytes());
        out.extend_from_slice(&self.until.to_le_bytes());
    }

    #[inline]
    fn read(bytes: &[u8; EDGE_BYTES]) -> Self {
        let (at, rest) = bytes.split_at(4);
        let (bundle, rest) = rest.split_at(4);
        let (from, until) = rest.split_at(8);
        Self { at: le_u32(at), bundle: le_u32(bundle), from: le_i64(from), until: le_i64(until) }
    }

    /// Rule 3.4: in effect while `starts_at <= now < expires_at`.
    #[inline]
    pub(super) fn in_effect(&self, now: i64) -> bool {
        self.from <= now && now < self.until
    }
}

#[inline]
fn le_u32(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_le_bytes)
}

#[inline]
fn le_i64(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(0, i64::from_le_bytes)
}

/// The edges in `bytes`.
#[inline]
pub(super) fn edges(bytes: &[u8]) -> impl Iterator<Item = Edge> + '_ {
    bytes.as_chunks::<EDGE_BYTES>().0.iter().map(Edge::read)
}

/// As many edges are read through; of more, those sought are searched for.
const FEW_EDGES: usize = 8;

/// The edges whose `at` is `at`; `bytes` are sorted by it.
#[inline]
pub(super) fn edges_at(bytes: &[u8], at: u32) -> impl Iterator<Item = Edge> + '_ {
    let chunks = bytes.as_chunks::<EDGE_BYTES>().0;
    let key = |c: &[u8; EDGE_BYTES]| le_u32(c.get(..4).unwrap_or(&[]));
    let start = if chunks.len() <= FEW_EDGES { 0 } else { chunks.partition_point(|c| key(c) < at) };
    chunks
        .get(start..)
        .unwrap_or(&[])
        .iter()
        .skip_while(move |c| key(c) < at)
        .take_while(move |c| key(c) == at)
        .map(Edge::read)
}

/// Whether `test` holds for an edge at one of `targets`.
#[inline]
pub(super) fn any_edge_at(bytes: &[u8], targets: [TargetNo; 3], test: impl Fn(&Edge) -> bool) -> bool {
    if bytes.len() > FEW_EDGES * EDGE_BYTES {
        return targets.into_iter().any(|at| edges_at(bytes, at).any(|e| test(&e)));
    }
    // A loop, because a fold was a call for each.
    let mut any = false;
    for bytes in bytes.as_chunks().0 {
        let edge = Edge::read(bytes);
        any |= targets.contains(&edge.at) & test(&edge);
    }
    any
}

/// The first of the bundle numbers that stand for relations in the edges of a record: a relation is
/// an edge there like any other, and gives what [`Shares`](super::table::Shares) says.
/// No bundle has such a number.
const RELATIONS: u32 = 1 << 30;
const _: () = assert!(limits::MAX_NUMBERS <= RELATIONS as usize);

/// The bundle number that stands for a relation.
pub(super) fn of_relation(relation: Relation) -> u32 {
    RELATIONS + relation as u32
}

/// The relation that a bundle number stands for.
#[inline]
pub(super) fn relation_of(bundle: u32) -> Option<Relation> {
    Relation::ALL.get(bundle.checked_sub(RELATIONS)? as usize).copied()
}

/// Whether one of the edges of a record is a relation.
pub(super) fn has_relation(bytes: &[u8]) -> bool {
    edges(bytes).any(|e| relation_of(e.bundle).is_some())
}
