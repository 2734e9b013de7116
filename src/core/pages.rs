//! The one structure that state and table share between versions: a persistent map from a text id
//! to a small row.
//!
//! ```text
//! Pages ── Branch ── Branch ── Page { starts, slots: [hash, ends, value]…, near: "id tail id tail …", far }
//!            16        16             ≤ 320 rows, sorted by hash
//! ```
//!
//! Ids are hashed with a seed of the organization's own; four bits of the hash choose a branch's
//! child until a page is reached, and those after them say at which row to begin (*starts*: as many
//! as there are rows, so that one or two rows are looked at). A page is four flat allocations: the
//! starts, the fixed parts, the bytes that a decision reads (id and *near* tail side by side) and
//! the bytes that it does not (*far* tail). A lookup therefore reads about three lines of a page at
//! any size, and a write copies one page and the branches above it; versions share all the rest. The
//! number of pages written is counted ([`Pages::pages_written`]), so that a test can hold the cost of
//! a write down.
//!
//! The alternative that lost: a general persistent map with owned keys and values. Each entry costs
//! allocations of its own, copying a node touches every entry's reference count, and a lookup chases
//! four pointers (391 ns instead of 80 to 100 at a million users, FINDINGS.md).
//!
//! The order of iteration is that of the hashes: stable for the life of the organization, without
//! meaning to people.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

/// Rows a page may hold before it is split. At a million users a third-level page holds 244 ± 16.
const PAGE_ROWS: usize = 320;
const FAN: usize = 16;
/// After sixteen levels of four bits the hash is used up; such a page just grows.
const MAX_DEPTH: u32 = 16;

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

#[derive(Clone)]
struct Page<V> {
    /// By [`bucket`]: the first slot that is not before it.
    starts: Arc<[u16]>,
    slots: Arc<[Slot<V>]>,
    near: Arc<[u8]>,
    far: Arc<[u8]>,
}

#[derive(Clone, Copy)]
struct Slot<V> {
    hash: u64,
    /// Where this row's bytes end; they begin where the previous row's end.
    near_end: u32,
    far_end: u32,
    id_len: u32,
    value: V,
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
    /// The bytes that decisions do not read.
    pub far: &'a [u8],
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

impl<V: Copy> Page<V> {
    fn empty() -> Self {
        Self { starts: Arc::default(), slots: Arc::default(), near: Arc::default(), far: Arc::default() }
    }

    fn build(rows: &[Draft<'_, V>], keep_far: Option<&Arc<[u8]>>, depth: u32) -> Self {
        let mut starts = Vec::with_capacity(rows.len());
        // A start that is too low costs time, never a row: so much for a page with too many.
        for (start, row) in rows.iter().enumerate().map(|(n, row)| (u16::try_from(n).unwrap_or(u16::MAX), row)) {
            starts.resize(starts.len().max(bucket(row.hash, depth, rows.len()) + 1), start);
        }
        starts.resize(rows.len(), u16::try_from(rows.len()).unwrap_or(u16::MAX));
        let mut near = Vec::with_capacity(rows.iter().map(|r| r.id.len() + r.near.len()).sum());
        let mut far_end = 0;
        let slots = rows
            .iter()
            .map(|r| {
                near.extend_from_slice(r.id.as_bytes());
                near.extend_from_slice(r.near);
                far_end += r.far.len();
                Slot {
                    hash: r.hash,
                    near_end: offset(near.len()),
                    far_end: offset(far_end),
                    id_len: offset(r.id.len()),
                    value: r.value,
                }
            })
            .collect();
        let far = match keep_far {
            Some(far) => Arc::clone(far),
            None => {
                let mut far = Vec::with_capacity(far_end);
                rows.iter().for_each(|r| far.extend_from_slice(r.far));
                far.into()
            }
        };
        Self { starts: starts.into(), slots, near: near.into(), far }
    }

    /// The row at `at`; a row with another id than `sought`, if there is one, is none.
    #[inline]
    fn row<'a>(&'a self, at: usize, sought: Option<&'a str>) -> Option<Found<'a, V>> {
        let slot = self.slots.get(at)?;
        let (near_start, far_start) = match at.checked_sub(1).and_then(|i| self.slots.get(i)) {
            Some(before) => (before.near_end as usize, before.far_end as usize),
            None => (0, 0),
        };
        let near = self.near.get(near_start..slot.near_end as usize)?;
        let (id, near) = near.split_at_checked(slot.id_len as usize)?;
        let id = match sought {
            // The stored bytes equal the caller's text, which then stands for them.
            Some(sought) => Some(sought).filter(|s| s.as_bytes() == id)?,
            None => std::str::from_utf8(id).ok()?,
        };
        let far = self.far.get(far_start..slot.far_end as usize).unwrap_or(&[]);
        Some(Found { id, value: slot.value, near, far })
    }

    #[inline]
    fn find<'a>(&'a self, hash: u64, id: &'a str, depth: u32) -> Option<Found<'a, V>> {
        let start = *self.starts.get(bucket(hash, depth, self.starts.len()))?;
        for (at, slot) in self.slots.iter().enumerate().skip(start.into()) {
            if slot.hash > hash {
                return None;
            }
            if slot.hash == hash
                && let Some(found) = self.row(at, Some(id))
            {
                return Some(found);
            }
        }
        None
    }
}

fn offset(n: usize) -> u32 {
    // A page holds at most a few hundred rows of bounded size: see the limits in `core::limits`.
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[allow(clippy::cast_possible_truncation, reason = "four bits are left")]
fn nibble(hash: u64, depth: u32) -> usize {
    (hash >> (60 - depth * 4)) as usize & (FAN - 1)
}

/// Which of a page's `count` buckets a hash belongs to: by the bits that the tree above has not
/// used. Ascends with the hash; hashes are uniform, so a bucket holds about one row.
#[allow(clippy::cast_possible_truncation, reason = "less than `count`")]
fn bucket(hash: u64, depth: u32, count: usize) -> usize {
    let rest = hash.checked_shl(depth * 4).unwrap_or(0);
    ((u128::from(rest) * count as u128) >> 64) as usize
}

impl<V: Copy> Pages<V> {
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
    fn hash(&self, id: &str) -> u64 {
        let mut hasher = foldhash::quality::FixedState::with_seed(self.seed).build_hasher();
        hasher.write(id.as_bytes());
        hasher.finish()
    }

    /// The row of `id`.
    #[inline]
    #[must_use]
    pub fn find<'a>(&'a self, id: &'a str) -> Option<Found<'a, V>> {
        let hash = self.hash(id);
        let (mut node, mut depth) = (&self.root, 0);
        loop {
            match node {
                Node::Branch(children) => {
                    node = children.get(nibble(hash, depth))?;
                    depth += 1;
                }
                Node::Page(page) => return page.find(hash, id, depth),
            }
        }
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
        let mut stack: Vec<&Node<V>> = vec![&self.root];
        let mut current: Option<(&Page<V>, usize)> = None;
        let rows = std::iter::from_fn(move || {
            loop {
                if let Some((page, at)) = &mut current {
                    if let (Some(slot), Some(found)) = (page.slots.get(*at), page.row(*at, None)) {
                        *at += 1;
                        return Some((slot.hash, found));
                    }
                    current = None;
                }
                match stack.pop()? {
                    Node::Page(page) => current = Some((page, page.slots.partition_point(|s| s.hash < from))),
                    Node::Branch(children) => stack.extend(children.iter().rev()),
                }
            }
        });
        rows.filter(move |(hash, found)| match &after {
            None => true,
            Some(p) => (*hash, found.id) > (p.hash, p.id.as_str()),
        })
        .map(|(hash, found)| (Position { hash, id: found.id.to_owned() }, found))
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = Found<'_, V>> {
        let mut stack: Vec<&Node<V>> = vec![&self.root];
        let mut current: Option<(&Page<V>, usize)> = None;
        std::iter::from_fn(move || {
            loop {
                if let Some((page, at)) = &mut current {
                    *at += 1;
                    if let Some(found) = page.row(*at - 1, None) {
                        return Some(found);
                    }
                    current = None;
                }
                match stack.pop()? {
                    Node::Page(page) => current = Some((page, 0)),
                    Node::Branch(children) => stack.extend(children.iter().rev()),
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
    fn node<V: Copy>(&mut self, node: &Node<V>, edits: &[Hashed<V>], depth: u32) -> Node<V> {
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

    fn page<V: Copy>(&mut self, page: &Page<V>, edits: &[Hashed<V>], depth: u32) -> Node<V> {
        let mut rows = Vec::with_capacity(page.slots.len() + edits.len());
        let mut far_kept = true;
        let mut edits = edits.iter().peekable();
        let mut old =
            (0..page.slots.len()).filter_map(|at| Some((page.slots.get(at)?.hash, page.row(at, None)?))).peekable();
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
                    rows.push(Draft { hash, id: f.id, value: f.value, near: f.near, far: f.far });
                }
                (before, Some(Hashed { hash, edit: Edit { id, row: Some(row) } })) => {
                    let old_far = before.as_ref().map_or(&[][..], |(_, f)| f.far);
                    let far = row.far.as_deref().unwrap_or(old_far);
                    far_kept &= before.is_some() && far == old_far || before.is_none() && far.is_empty();
                    self.len += usize::from(before.is_none());
                    rows.push(Draft { hash: *hash, id, value: row.value, near: &row.near, far });
                }
                (Some((_, f)), Some(_)) => {
                    self.len -= 1;
                    far_kept &= f.far.is_empty();
                }
                (None, _) => {}
            }
        }
        self.built(&rows, far_kept.then_some(&page.far), depth)
    }

    fn built<V: Copy>(&mut self, rows: &[Draft<'_, V>], far: Option<&Arc<[u8]>>, depth: u32) -> Node<V> {
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
                assert_eq!((found.id, found.value, found.near, found.far), (&**id, *value, &**near, &**far));
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
    fn a_write_rewrites_one_page_at_any_size() {
        for size in [10, 10_000, 200_000] {
            let mut pages = Pages::new(1);
            pages.edit((0..size).map(|n| put(&format!("u{n}"), n, b"", Some(b"cold"))).collect());
            let before = pages.pages_written();
            pages.edit(vec![put("u7", 7, b"more", None)]);
            assert_eq!(pages.pages_written() - before, 1);
            assert_eq!(pages.find("u7").unwrap().far, b"cold");
        }
    }
}
