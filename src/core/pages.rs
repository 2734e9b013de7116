//! The one structure that state and table share between versions: a persistent map from a text id
//! to a small row.
//!
//! ```text
//! Pages ── Branch ── Branch ── Page { starts, rows: "head value id near" …, far: "tail tail …" }
//!            16        16             ≤ 320 rows, sorted by hash
//! ```
//!
//! Ids are hashed with a seed of the organization's own; four bits of the hash choose a branch's
//! child until a page is reached, and those after them say at which byte to begin (*starts*: see
//! [`buckets`]). A page is three flat allocations: the
//! starts, the rows, each with all that a decision reads of it side by side (hash, fixed part, id,
//! *near* bytes), and the bytes that it does not read (*far*). A lookup therefore waits for two
//! lines of a page at any size, and a write copies one page and the branches above it; versions
//! share all the rest. The number of pages written is counted ([`Pages::pages_written`]), so that a
//! test can hold the cost of a write down.
//!
//! The alternative that lost: a general persistent map with owned keys and values. Each entry costs
//! allocations of its own, copying a node touches every entry's reference count, and a lookup chases
//! four pointers (391 ns instead of 80 to 100 at a million users, FINDINGS.md).
//!
//! The order of iteration is that of the hashes: stable for the life of the organization, without
//! meaning to people.

use std::hash::{BuildHasher, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use prefetch_index::prefetch_index;

/// Rows a page may hold before it is split. At a million users a third-level page holds 244 ± 16.
const PAGE_ROWS: usize = 320;
const FAN: usize = 16;
/// After fifteen levels of four bits the hash is nearly used up; such a page just grows.
const MAX_DEPTH: u32 = 15;
const LINE_BYTES: usize = 64;
/// Lines in which a row, and those of its bucket before it, mostly lie.
const LINES: usize = 6;
/// Below it, a map has so many pages that their starts would not stay in a cache: see [`buckets`].
const DEEP: u32 = 3;

/// A persistent map from id to a fixed value and two byte strings.
#[derive(Clone)]
pub struct Pages<V> {
    root: Node<V>,
    len: usize,
    seed: u64,
    written: u64,
}

#[derive(Clone)]
enum Node<V> {
    Branch(Arc<[Node<V>; FAN]>),
    Page(Page<V>),
}

struct Page<V> {
    /// By [`bucket`]: where in `rows` the first row begins that is not before it, in units of [`unit`].
    starts: Arc<[u16]>,
    rows: Arc<[u8]>,
    far: Arc<[u8]>,
    value: PhantomData<fn() -> V>,
}

impl<V> Clone for Page<V> {
    fn clone(&self) -> Self {
        let Self { starts, rows, far, value } = self;
        Self { starts: Arc::clone(starts), rows: Arc::clone(rows), far: Arc::clone(far), value: *value }
    }
}

/// The fixed part of a row.
pub trait Fixed: Copy {
    /// How many bytes it takes, whatever its value.
    const BYTES: usize;

    /// Appends those bytes.
    fn write(self, out: &mut Vec<u8>);

    /// What `write` wrote; `None` of other bytes.
    fn read(bytes: &[u8]) -> Option<Self>;
}

impl Fixed for () {
    const BYTES: usize = 0;

    fn write(self, _: &mut Vec<u8>) {}

    #[inline]
    fn read(_: &[u8]) -> Option<Self> {
        Some(())
    }
}

impl Fixed for u32 {
    const BYTES: usize = 4;

    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self::from_le_bytes(*bytes.first_chunk()?))
    }
}

/// The number at `at`, 0 past the end.
#[inline]
#[must_use]
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |n| u32::from_le_bytes(*n))
}

/// What a row begins with: its hash, then how long its id, the gap after the row and its near bytes are, then
/// where its far bytes begin and how many they are.
const HEAD_BYTES: usize = 24;

/// A row as it lies in its page.
#[derive(Clone, Copy)]
struct RowBytes<'a> {
    head: &'a [u8; HEAD_BYTES],
    /// The fixed part, the id, the near bytes, and all rows after it.
    rest: &'a [u8],
}

impl<'a> RowBytes<'a> {
    #[inline]
    fn first(rows: &'a [u8]) -> Option<Self> {
        let (head, rest) = rows.split_first_chunk()?;
        Some(Self { head, rest })
    }

    #[inline]
    fn hash(self) -> u64 {
        self.head.first_chunk().map_or(0, |hash| u64::from_le_bytes(*hash))
    }

    /// Its id and its near bytes, and the rows after it.
    #[inline]
    fn split<V: Fixed>(self) -> Option<(&'a [u8], &'a [u8], &'a [u8])> {
        let lengths = u32_at(self.head, 8);
        let (id, rest) = self.rest.get(V::BYTES..)?.split_at_checked(lengths as usize & 0xffff)?;
        let (near, rest) = rest.split_at_checked(u32_at(self.head, 12) as usize)?;
        Some((id, near, rest.get(lengths as usize >> 16..).unwrap_or(&[])))
    }
}

/// A row found.
#[derive(Clone, Copy)]
pub struct Found<'a, V> {
    /// The id it was found by.
    pub id: &'a str,
    /// The fixed part.
    pub value: V,
    /// The bytes beside the id.
    pub near: &'a [u8],
    page: &'a Page<V>,
    head: &'a [u8; HEAD_BYTES],
}

impl<'a, V> Found<'a, V> {
    /// The bytes that few decisions read.
    #[must_use]
    pub fn far(&self) -> &'a [u8] {
        let rest = self.page.far.get(u32_at(self.head, 16) as usize..);
        rest.and_then(|far| far.get(..u32_at(self.head, 20) as usize)).unwrap_or(&[])
    }
}

/// Where a row must be. The memory was asked for what says where it begins; whoever looks for many goes on with
/// others meanwhile, then asks for each row, and then finds them without waiting.
pub struct Sought<'a, V> {
    page: &'a Page<V>,
    hash: u64,
    depth: u32,
}

impl<V: Fixed> Sought<'_, V> {
    /// Asks the memory for the row.
    #[inline]
    pub fn prefetch(&self) {
        self.page.start(self.hash, self.depth);
    }
}

/// What becomes of one id.
pub struct Edit<V> {
    /// The id.
    pub id: Box<str>,
    /// The new row, or nothing to remove it.
    pub row: Option<EditRow<V>>,
}

/// A new row.
pub struct EditRow<V> {
    /// The fixed part.
    pub value: V,
    /// The bytes beside the id.
    pub near: Vec<u8>,
    /// The far bytes; `None` keeps what is there.
    pub far: Option<Vec<u8>>,
}

/// A position in the order of iteration, for paging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The hash of the last id seen.
    pub hash: u64,
    /// The last id seen.
    pub id: String,
}

struct Hashed<V> {
    hash: u64,
    edit: Edit<V>,
}

/// A row on its way into a page.
struct Draft<'a, V> {
    hash: u64,
    id: &'a str,
    value: V,
    near: &'a [u8],
    far: &'a [u8],
}

impl<V: Fixed> Draft<'_, V> {
    /// How many bytes its row takes in the page, without a gap.
    fn bytes(&self) -> usize {
        HEAD_BYTES + V::BYTES + self.id.len() + self.near.len()
    }
}

impl<V: Fixed> Page<V> {
    fn empty() -> Self {
        Self { starts: Arc::default(), rows: Arc::default(), far: Arc::default(), value: PhantomData }
    }

    fn build(drafts: &[Draft<'_, V>], keep_far: Option<&Arc<[u8]>>, depth: u32) -> Self {
        // Gaps make rows longer, and longer rows may want a larger unit: once at most, with a few hundred rows.
        let length = |unit: u32| drafts.iter().map(|draft| draft.bytes().next_multiple_of(1 << unit)).sum();
        let mut unit = unit(length(0));
        if self::unit(length(unit)) > unit {
            unit += 1;
        }
        let buckets = buckets(drafts.len(), depth);
        let mut starts = Vec::with_capacity(buckets);
        let mut rows = Vec::with_capacity(length(unit));
        let mut far_start = 0;
        for draft in drafts {
            starts.resize(starts.len().max(bucket(draft.hash, depth, buckets) + 1), small(rows.len() >> unit));
            let (id, near, far_len) = (draft.id.as_bytes(), draft.near, offset(draft.far.len()));
            let end = rows.len() + draft.bytes().next_multiple_of(1 << unit);
            let gap = end - rows.len() - draft.bytes();
            rows.extend_from_slice(&draft.hash.to_le_bytes());
            [small(id.len()), small(gap)].into_iter().for_each(|n| rows.extend_from_slice(&n.to_le_bytes()));
            [offset(near.len()), far_start, far_len].into_iter().for_each(|n| n.write(&mut rows));
            draft.value.write(&mut rows);
            rows.extend_from_slice(id);
            rows.extend_from_slice(near);
            rows.resize(end, 0);
            far_start += far_len;
        }
        starts.resize(buckets, small(rows.len() >> unit));
        let far = match keep_far {
            Some(far) => Arc::clone(far),
            None => drafts.iter().flat_map(|draft| draft.far).copied().collect(),
        };
        Self { starts: starts.into(), rows: rows.into(), far, value: PhantomData }
    }

    /// Where in `rows` to begin. Of a deep map, the memory is asked for the lines of a row at once: each waits for the
    /// one before it otherwise, which says how long the row is.
    #[inline]
    fn start(&self, hash: u64, depth: u32) -> Option<usize> {
        let start = *self.starts.get(bucket(hash, depth, self.starts.len()))?;
        let start = usize::from(start) << unit(self.rows.len());
        if depth >= DEEP {
            (0..LINES).for_each(|line| prefetch_index(&*self.rows, start + line * LINE_BYTES));
        }
        Some(start)
    }

    /// The row of `id`.
    #[allow(clippy::inline_always, reason = "what a caller does not read of it, is not made")]
    #[inline(always)]
    fn find<'a>(&'a self, hash: u64, id: &'a str, depth: u32) -> Option<Found<'a, V>> {
        let mut rows = self.rows.get(self.start(hash, depth)?..)?;
        loop {
            let row = RowBytes::first(rows)?;
            if row.hash() > hash {
                return None;
            }
            let (bytes, near, after) = row.split::<V>()?;
            if row.hash() == hash && same(bytes, id.as_bytes()) {
                // The stored bytes equal the caller's text, which then stands for them.
                return Some(Found { id, value: V::read(row.rest)?, near, page: self, head: row.head });
            }
            rows = after;
        }
    }

    /// All rows with their hashes, from the first whose hash is not before `from`.
    fn rows(&self, from: u64) -> impl Iterator<Item = (u64, Found<'_, V>)> {
        let mut rows = &*self.rows;
        let all = std::iter::from_fn(move || {
            let row = RowBytes::first(rows)?;
            let (id, near, after) = row.split::<V>()?;
            rows = after;
            let (id, value) = (std::str::from_utf8(id).ok()?, V::read(row.rest)?);
            Some((row.hash(), Found { id, value, near, page: self, head: row.head }))
        });
        all.skip_while(move |(hash, _)| *hash < from)
    }
}

/// Whether two ids are equal: mostly short, so compared here, a word at a time.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (Some(last_a), Some(last_b)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) else {
        let ends = |id: &[u8]| Some((*id.first_chunk::<4>()?, *id.last_chunk::<4>()?));
        return ends(a) == ends(b) && (a.len() >= 4 || a.iter().zip(b).all(|(a, b)| a == b));
    };
    let (words_a, words_b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    last_a == last_b && words_a.iter().zip(words_b).all(|(a, b)| a == b)
}

fn offset(n: usize) -> u32 {
    // A page holds at most a few hundred rows of bounded size: see the limits in `core::limits`.
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn small(n: usize) -> u16 {
    // An id is bounded, and where rows begin and what lies between them is counted in units.
    u16::try_from(n).unwrap_or(u16::MAX)
}

/// In what the starts of a page with so many bytes of rows are counted: bytes doubled so often that the end of
/// the rows fits into a start. Where rows are so long that it is more than a byte, each begins at a multiple of it.
#[inline]
fn unit(length: usize) -> u32 {
    usize::BITS - (length >> u16::BITS).leading_zeros()
}

#[allow(clippy::cast_possible_truncation, reason = "four bits are left")]
fn nibble(hash: u64, depth: u32) -> usize {
    (hash >> (60 - depth * 4)) as usize & (FAN - 1)
}

/// How many buckets a page has: so many that a row is mostly the first of its bucket, which the processor then
/// foresees; but of hundreds of thousands of rows so few that the starts lie in a cache, where the rows do not.
fn buckets(rows: usize, depth: u32) -> usize {
    if depth < DEEP { rows * 4 } else { rows.div_ceil(4) }
}

/// Which of a page's `count` buckets a hash belongs to: by the bits that the tree above has not
/// used. Ascends with the hash; hashes are uniform, so few buckets hold more than one row.
#[allow(clippy::cast_possible_truncation, reason = "less than `count`")]
fn bucket(hash: u64, depth: u32, count: usize) -> usize {
    let rest = hash.wrapping_shl(depth * 4);
    ((u128::from(rest) * count as u128) >> 64) as usize
}

impl<V: Fixed> Pages<V> {
    /// Nothing, hashed with `seed` from now on.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { root: Node::Page(Page::empty()), len: 0, seed, written: 0 }
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that the pages take, without what the allocator adds and the branches above them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let of = |page: &Page<V>| page.starts.len() * size_of::<u16>() + page.rows.len() + page.far.len();
        self.pages(0).map(of).sum()
    }

    /// The seed given to [`Pages::new`].
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How many pages were written in the life of this map and those it came from.
    #[must_use]
    pub fn pages_written(&self) -> u64 {
        self.written
    }

    #[inline]
    pub(super) fn hash(&self, id: &str) -> u64 {
        let mut hasher = foldhash::quality::FixedState::with_seed(self.seed).build_hasher();
        hasher.write(id.as_bytes());
        hasher.finish()
    }

    /// The row of `id`.
    #[allow(clippy::inline_always, reason = "what a caller does not read of it, is not made")]
    #[inline(always)]
    #[must_use]
    pub fn find<'a>(&'a self, id: &'a str) -> Option<Found<'a, V>> {
        let hash = self.hash(id);
        let (page, depth) = self.page(hash)?;
        page.find(hash, id, depth)
    }

    /// Begins to look for a row, for one of many: see [`Sought`].
    #[inline]
    #[must_use]
    pub fn seek(&self, id: &str) -> Option<Sought<'_, V>> {
        let hash = self.hash(id);
        let (page, depth) = self.page(hash)?;
        prefetch_index(&*page.starts, bucket(hash, depth, page.starts.len()));
        Some(Sought { page, hash, depth })
    }

    /// The page of a hash, and how deep it lies.
    #[allow(clippy::inline_always, reason = "as `find`")]
    #[inline(always)]
    fn page(&self, hash: u64) -> Option<(&Page<V>, u32)> {
        let (mut node, mut depth) = (&self.root, 0);
        loop {
            match node {
                Node::Branch(children) => {
                    node = children.get(nibble(hash, depth))?;
                    depth += 1;
                }
                Node::Page(page) => return Some((page, depth)),
            }
        }
    }

    /// The fixed part of the row of `id`.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<V> {
        self.find(id).map(|found| found.value)
    }

    /// Carries out `edits`: each id at most once. A page touched by several is written once.
    pub fn edit(&mut self, edits: Vec<Edit<V>>) {
        let mut edits: Vec<Hashed<V>> =
            edits.into_iter().map(|edit| Hashed { hash: self.hash(&edit.id), edit }).collect();
        edits.sort_by(|a, b| (a.hash, &a.edit.id).cmp(&(b.hash, &b.edit.id)));
        if edits.is_empty() {
            return;
        }
        let mut change = Change { len: self.len, written: self.written };
        self.root = change.node(&self.root, &edits, 0);
        self.len = change.len;
        self.written = change.written;
    }

    /// The rows after `position` in the order of iteration.
    pub fn iter_after(&self, position: Option<&Position>) -> impl Iterator<Item = (Position, Found<'_, V>)> {
        let after = position.cloned();
        let from = after.as_ref().map_or(0, |p| p.hash);
        let rows = self.pages(from).flat_map(move |page| page.rows(from));
        rows.filter(move |(hash, found)| match &after {
            None => true,
            Some(p) => (*hash, found.id) > (p.hash, p.id.as_str()),
        })
        .map(|(hash, found)| (Position { hash, id: found.id.to_owned() }, found))
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = Found<'_, V>> {
        self.pages(0).flat_map(|page| page.rows(0).map(|(_, found)| found))
    }

    /// The pages in their order, without those that end before `from`.
    fn pages(&self, from: u64) -> impl Iterator<Item = &Page<V>> {
        let mut stack: Vec<(&Node<V>, u32, u64)> = vec![(&self.root, 0, 0)];
        std::iter::from_fn(move || {
            loop {
                let (node, depth, prefix) = stack.pop()?;
                match node {
                    Node::Page(page) => return Some(page),
                    Node::Branch(children) => {
                        let shift = 60 - depth * 4;
                        let with_hash = |(n, child)| (child, depth + 1, prefix | (n as u64) << shift);
                        let below = children.iter().enumerate().rev().map(with_hash);
                        stack.extend(below.filter(|(_, _, first)| first | ((1 << shift) - 1) >= from));
                    }
                }
            }
        })
    }

    /// Whether `position` was made by a map with this seed.
    #[must_use]
    pub fn owns(&self, position: &Position) -> bool {
        self.hash(&position.id) == position.hash
    }
}

/// The bookkeeping of one [`Pages::edit`].
struct Change {
    len: usize,
    written: u64,
}

impl Change {
    fn node<V: Fixed>(&mut self, node: &Node<V>, edits: &[Hashed<V>], depth: u32) -> Node<V> {
        match node {
            Node::Page(page) => self.page(page, edits, depth),
            Node::Branch(children) => {
                let mut rest = edits;
                let children = std::array::from_fn(|child| {
                    let here = rest.iter().take_while(|e| nibble(e.hash, depth) == child).count();
                    let (mine, after) = rest.split_at(here);
                    rest = after;
                    match children.get(child) {
                        Some(node) if mine.is_empty() => node.clone(),
                        Some(node) => self.node(node, mine, depth + 1),
                        None => Node::Page(Page::empty()),
                    }
                });
                Node::Branch(Arc::new(children))
            }
        }
    }

    fn page<V: Fixed>(&mut self, page: &Page<V>, edits: &[Hashed<V>], depth: u32) -> Node<V> {
        let mut rows = Vec::with_capacity(PAGE_ROWS + edits.len());
        let mut far_kept = true;
        let mut edits = edits.iter().peekable();
        let mut old = page.rows(0).peekable();
        loop {
            let order = match (old.peek(), edits.peek()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((hash, found)), Some(e)) => (*hash, found.id).cmp(&(e.hash, &*e.edit.id)),
            };
            let before = if order.is_le() { old.next() } else { None };
            let edit = if order.is_ge() { edits.next() } else { None };
            match (before, edit) {
                (Some((hash, f)), None) => {
                    rows.push(Draft { hash, id: f.id, value: f.value, near: f.near, far: f.far() });
                }
                (before, Some(Hashed { hash, edit: Edit { id, row: Some(row) } })) => {
                    let old_far = before.as_ref().map_or(&[][..], |(_, f)| f.far());
                    let far = row.far.as_deref().unwrap_or(old_far);
                    far_kept &= before.is_some() && far == old_far || before.is_none() && far.is_empty();
                    self.len += usize::from(before.is_none());
                    rows.push(Draft { hash: *hash, id, value: row.value, near: &row.near, far });
                }
                (Some((_, f)), Some(_)) => {
                    self.len -= 1;
                    far_kept &= f.far().is_empty();
                }
                (None, _) => {}
            }
        }
        self.built(&rows, far_kept.then_some(&page.far), depth)
    }

    fn built<V: Fixed>(&mut self, rows: &[Draft<'_, V>], far: Option<&Arc<[u8]>>, depth: u32) -> Node<V> {
        if rows.len() <= PAGE_ROWS || depth == MAX_DEPTH {
            self.written += 1;
            return Node::Page(Page::build(rows, far, depth));
        }
        let mut rest = rows;
        let children = std::array::from_fn(|child| {
            let here = rest.iter().take_while(|r| nibble(r.hash, depth) == child).count();
            let (mine, after) = rest.split_at(here);
            rest = after;
            self.built(mine, None, depth + 1)
        });
        Node::Branch(Arc::new(children))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn put(id: &str, value: u32, near: &[u8], far: Option<&[u8]>) -> Edit<u32> {
        let row = EditRow { value, near: near.to_vec(), far: far.map(<[u8]>::to_vec) };
        Edit { id: id.into(), row: Some(row) }
    }

    #[test]
    fn it_behaves_like_a_map_through_random_edits_and_old_versions_stay() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut pages = Pages::new(42);
        let mut model: BTreeMap<String, (u32, Vec<u8>, Vec<u8>)> = BTreeMap::new();
        let mut versions = Vec::new();
        for round in 0..60 {
            let mut edits = BTreeMap::new();
            for _ in 0..rng.usize(1..200) {
                let id = format!("{}\u{1F511}{}", rng.u32(0..3000), "x".repeat(rng.usize(0..3)));
                if edits.contains_key(&id) {
                    continue;
                }
                if rng.u8(0..4) == 0 {
                    model.remove(&id);
                    edits.insert(id.clone(), Edit { id: id.into(), row: None });
                } else {
                    let near = vec![round; rng.usize(0..9)];
                    let far = if rng.bool() { Some(vec![round; rng.usize(0..5)]) } else { None };
                    let old = model.get(&id).map_or(Vec::new(), |o| o.2.clone());
                    model.insert(id.clone(), (u32::from(round), near.clone(), far.clone().unwrap_or(old)));
                    edits.insert(id.clone(), put(&id, u32::from(round), &near, far.as_deref()));
                }
            }
            pages.edit(edits.into_values().collect());
            versions.push((pages.clone(), model.clone()));
        }
        for (pages, model) in versions {
            assert_eq!(pages.len(), model.len());
            assert_eq!(pages.iter().count(), model.len());
            for (id, (value, near, far)) in &model {
                let found = pages.find(id).unwrap();
                assert_eq!((found.id, found.value, found.near, found.far()), (&**id, *value, &**near, &**far));
            }
            assert!(pages.find("absent").is_none());
            let all: Vec<Position> = pages.iter_after(None).map(|(p, _)| p).collect();
            assert_eq!(all.len(), model.len());
            let middle = all.len() / 2;
            let rest: Vec<Position> = pages.iter_after(all.get(middle)).map(|(p, _)| p).collect();
            assert_eq!(rest, all[middle + 1..]);
        }
    }

    #[test]
    fn rows_of_any_length_are_found_again() {
        let mut pages = Pages::new(3);
        // From pages of a few bytes to one whose rows take megabytes, and back.
        for round in [0usize, 100, 190, 210, 400, 6_000, 30_000, 100, 0] {
            let near = |n: u32| vec![n as u8; round + n as usize % 7];
            pages.edit((0..310).map(|n| put(&format!("u{n}"), n, &near(n), Some(&[n as u8]))).collect());
            assert_eq!(pages.iter().count(), 310);
            for n in 0..310 {
                let id = format!("u{n}");
                let found = pages.find(&id).unwrap();
                assert_eq!((found.value, found.near, found.far()), (n, &*near(n), &[n as u8][..]), "{n} of {round}");
            }
            assert!(pages.find("u310").is_none() && pages.find("").is_none());
        }
        for length in (0..300_000).chain([1 << 20, u32::MAX as usize - 1]) {
            assert!(length >> unit(length) <= usize::from(u16::MAX), "{length}");
        }
    }

    #[test]
    fn a_write_rewrites_one_page_at_any_size() {
        for size in [10, 10_000, 200_000] {
            let mut pages = Pages::new(1);
            pages.edit((0..size).map(|n| put(&format!("u{n}"), n, b"", Some(b"cold"))).collect());
            let before = pages.pages_written();
            pages.edit(vec![put("u7", 7, b"more", None)]);
            assert_eq!(pages.pages_written() - before, 1);
            assert_eq!(pages.find("u7").unwrap().far(), b"cold");
        }
    }
}
