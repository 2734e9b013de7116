//! Reading the log, a bounded part at a time.
//!
//! All of this reads the store and blocks: call it beside the runtime.

use std::collections::{HashMap, VecDeque};

use tokio::sync::watch;

use crate::core::activity::{self, Changed, Hash, Kept, Person};
use crate::core::id::OpaqueId;
use crate::core::table::Table;
use crate::store::{PolicyStore, StoreError};

use super::{Entry, Shelf, Tip, Verifier, parts};
use crate::engine::Engine;

/// Entries that one call looks at, at most (and a few more, to the end of a chunk).
pub const MAX_SCANNED: u64 = 5_000;
/// Bytes of entries that one call looks at.
const MAX_SCANNED_BYTES: usize = 16 << 20;
/// Bytes of entries on a page; the first may have more.
const MAX_PAGE_BYTES: usize = 1 << 20;
/// Entries read from the store at a time.
const CHUNK: u64 = 256;

/// An entry that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The entry.
    pub entry: Entry,
    /// The hash of the one before.
    pub previous: Hash,
    /// Its own.
    pub hash: Hash,
    /// Who is sealed in it, by [`activity::Seal::number`]. Not those that were erased.
    pub persons: HashMap<u16, Person>,
}

/// In which order a page is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Latest first.
    Backward,
    /// In order.
    Forward,
}

/// A part of a log.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The place to begin at, inclusive.
    pub from: u64,
    /// In which order.
    pub direction: Direction,
    /// Entries, at most.
    pub size: usize,
}

/// Entries, and where to go on.
#[derive(Debug, Default)]
pub struct Page {
    /// Those that were asked for.
    pub entries: Vec<Found>,
    /// The next place to look at; none at the end of the log.
    pub next: Option<u64>,
    /// Forward: the place up to which was looked.
    pub through: u64,
}

impl Engine {
    /// Tells of the end of the log of a version's history, as far as it is on disk; none if that history
    /// is over.
    #[must_use]
    pub fn activity_end(&self, table: &Table) -> Option<watch::Receiver<Tip>> {
        Some(self.trail_of(table)?.durable.subscribe())
    }

    /// Verifies the log of a version's history after the entry `after`; none if that history is over.
    /// `expected` is as for [`Verifier::new`].
    #[must_use]
    pub fn verifier(&self, table: &Table, after: u64, expected: Option<Hash>) -> Option<Verifier> {
        let trail = self.trail_of(table)?;
        let tip = *trail.durable.borrow();
        Some(Verifier::new(table.id().as_str(), trail.shelf, tip, after, expected))
    }

    /// A page of the log of a version's history, of entries that `wanted` accepts. Entries that cannot be
    /// read are passed over: [`Verifier`] names them. None if that history is over.
    ///
    /// # Errors
    /// The store's.
    pub fn activity(
        &self,
        table: &Table,
        asked: Asked,
        wanted: &dyn Fn(&Entry) -> bool,
    ) -> Result<Option<Page>, StoreError> {
        let Some(trail) = self.trail_of(table) else { return Ok(None) };
        let end = trail.durable.borrow().sequence;
        let (store, scope, shelf) = (&*self.store, table.id().as_str(), trail.shelf);
        let mut reader = Reader { store, scope, shelf, wanted, looked: 0, bytes: 0 };
        let page = match asked.direction {
            Direction::Backward => reader.backward(asked.from.min(end), asked.size),
            Direction::Forward => reader.forward(asked.from.max(1), end, asked.size),
        };
        page.map(Some)
    }
}

struct Reader<'a> {
    store: &'a dyn PolicyStore,
    scope: &'a str,
    shelf: Shelf,
    wanted: &'a dyn Fn(&Entry) -> bool,
    looked: u64,
    bytes: usize,
}

/// Entries of a chunk, in order, with the bytes that each has.
type Chunk = VecDeque<(Found, usize)>;

impl Reader<'_> {
    fn tired(&self) -> bool {
        self.looked >= MAX_SCANNED || self.bytes >= MAX_SCANNED_BYTES
    }

    fn backward(&mut self, from: u64, size: usize) -> Result<Page, StoreError> {
        let (mut page, mut room, mut next) = (Page::default(), MAX_PAGE_BYTES, from);
        while next > 0 && page.entries.len() < size && !self.tired() {
            let first = next.saturating_sub(CHUNK - 1).max(1);
            let (mut kept, mut held, mut cut) = (Chunk::new(), 0, None);
            let most = size - page.entries.len();
            let alone = page.entries.is_empty();
            self.chunk(first, next, &mut |found, bytes| {
                held = bytes.saturating_add(held);
                kept.push_back((found, bytes));
                // The latest are wanted: the oldest make room.
                while kept.len() > most || (held > room && (kept.len() > 1 || !alone)) {
                    let Some((gone, bytes)) = kept.pop_front() else { break };
                    held -= bytes;
                    cut = Some(gone.entry.sequence);
                }
                true
            })?;
            room = room.saturating_sub(held);
            page.entries.extend(kept.into_iter().rev().map(|(found, _)| found));
            if let Some(cut) = cut {
                next = cut;
                break;
            }
            next = first - 1;
        }
        page.next = (next > 0).then_some(next);
        self.fill(page)
    }

    fn forward(&mut self, from: u64, end: u64, size: usize) -> Result<Page, StoreError> {
        let (mut page, mut held, mut next) = (Page::default(), 0, from);
        while next <= end && page.entries.len() < size && held < MAX_PAGE_BYTES && !self.tired() {
            let last = end.min(next.saturating_add(CHUNK - 1));
            let mut cut = None;
            self.chunk(next, last, &mut |found, bytes| {
                held = bytes.saturating_add(held);
                let sequence = found.entry.sequence;
                page.entries.push(found);
                let goes_on = page.entries.len() < size && held < MAX_PAGE_BYTES;
                cut = (!goes_on).then_some(sequence);
                goes_on
            })?;
            next = cut.unwrap_or(last) + 1;
        }
        page.next = (next <= end).then_some(next);
        page.through = next - 1;
        self.fill(page)
    }

    /// Hands over the wanted entries of a range, in order; `take` says whether to go on.
    fn chunk(&mut self, first: u64, last: u64, take: &mut dyn FnMut(Found, usize) -> bool) -> Result<(), StoreError> {
        let shelf = self.shelf;
        let (from, to) = (shelf.entry(first), shelf.entry(last.saturating_add(1)));
        self.store.archive(self.scope, &from..&to, &mut |key, value| {
            self.looked += 1;
            self.bytes += value.len();
            let Some((previous, hash, body)) = parts(value) else { return Ok(true) };
            let Ok(mut entry) = minicbor::decode::<Entry>(body) else { return Ok(true) };
            // Pages are cut by where entries lie, whatever they say of themselves.
            let Some(sequence) = shelf.sequence_of(key) else { return Ok(true) };
            entry.sequence = sequence;
            if !(self.wanted)(&entry) {
                return Ok(true);
            }
            let found = Found { entry, previous: *previous, hash: *hash, persons: HashMap::new() };
            let beside = usize::try_from(found.entry.beside_bytes).unwrap_or(usize::MAX);
            Ok(take(found, value.len().saturating_add(beside)))
        })
    }

    /// Adds the persons that lie beside the entries.
    fn fill(&self, mut page: Page) -> Result<Page, StoreError> {
        for found in &mut page.entries {
            for (user, seal) in seals(&found.entry.changes) {
                if found.persons.contains_key(&seal.number) {
                    continue;
                }
                let value = beside(self.store, self.scope, self.shelf, user, found.entry.sequence, seal.number)?;
                // One that was altered is not shown.
                if let Some(person) = value.and_then(|value| activity::open(seal, &value).ok()) {
                    found.persons.insert(seal.number, person);
                }
            }
        }
        Ok(page)
    }
}

/// Who is sealed in these.
pub(super) fn seals(changes: &[Changed]) -> impl Iterator<Item = (&OpaqueId, &activity::Seal)> {
    changes.iter().flat_map(|changed| changed.before.iter().chain(&changed.after)).filter_map(|kept| match kept {
        Kept::User(shell, seal) => Some((&shell.id, seal)),
        Kept::Row(_) | Kept::Credential(_) => None,
    })
}

/// What lies beside an entry, unless it was erased.
pub(super) fn beside(
    store: &dyn PolicyStore,
    scope: &str,
    shelf: Shelf,
    user: &OpaqueId,
    sequence: u64,
    number: u16,
) -> Result<Option<Vec<u8>>, StoreError> {
    let from = shelf.beside(user, sequence, number);
    let mut to = from.clone();
    to.push(0);
    let mut found = None;
    store.archive(scope, &from..&to, &mut |_, value| {
        found = Some(value.to_vec());
        Ok(false)
    })?;
    Ok(found)
}
