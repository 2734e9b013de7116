//! Whether every entry is there and unaltered: the chain of hashes, computed again.
//!
//! What it cannot see: a log whose entries, hashes and tip were all computed anew by whoever can write the
//! store. Keep a hash elsewhere and compare (`VerifyActivity`'s `expected_hash`).

use crate::core::activity::{self, Hash};
use crate::store::{PolicyStore, StoreError};

use super::read::{beside, seals};
use super::{Entry, Shelf, Tip, chain, parts};
use crate::engine::rows;

/// Entries that one step reads.
const STEP: u64 = 1_000;

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The place of the entry.
    pub sequence: u64,
    /// What is wrong, for people.
    pub problem: String,
}

/// Goes through a log step by step.
#[derive(Debug, Clone)]
pub struct Verifier {
    scope: String,
    shelf: Shelf,
    tip: Tip,
    next: u64,
    /// The hash of the entry before `next`; none if that was not looked at.
    previous: Option<Hash>,
    expected: Option<Hash>,
    /// Entries that were found to be right.
    pub verified: u64,
    /// The first thing that is wrong; nothing is looked at after it.
    pub broken: Option<Broken>,
}

impl Verifier {
    /// Begins after the entry `after`, which had the hash `expected` when it was last seen, if that is known.
    #[must_use]
    pub fn new(scope: &str, shelf: Shelf, tip: Tip, after: u64, expected: Option<Hash>) -> Self {
        let (scope, next) = (scope.to_owned(), after);
        let mut verifier = Self { scope, shelf, tip, next, previous: None, expected, verified: 0, broken: None };
        if after == 0 {
            verifier.next = 1;
            verifier.previous = Some(Hash::default());
            if expected.is_some_and(|hash| hash != Hash::default()) {
                verifier.broken(1, "nothing comes before the first entry, so there is no such hash".to_owned());
            }
        } else if after > tip.sequence {
            let problem = format!("the log ends with entry {}, and entry {after} was seen before", tip.sequence);
            verifier.broken(tip.sequence + 1, problem);
        }
        verifier
    }

    /// The log of an organization in a store that nobody else uses; of one that was deleted the log that
    /// ended with it.
    ///
    /// # Errors
    /// The store's.
    pub fn of_store(store: &dyn PolicyStore, scope: &str) -> Result<Self, StoreError> {
        let (mut tip, mut base) = (Tip::default(), 0);
        store.load(scope, &mut |key, value| {
            if let Some(found) = rows::tip(key, value)? {
                tip = found;
            }
            if let Some(birth) = rows::birth(key, value)? {
                base = birth.base;
            }
            Ok(())
        })?;
        Ok(Self::new(scope, Shelf::of(base), tip, 0, None))
    }

    /// The end of the log that is verified.
    #[must_use]
    pub fn tip(&self) -> Tip {
        self.tip
    }

    fn broken(&mut self, sequence: u64, problem: String) {
        self.broken = Some(Broken { sequence, problem });
    }

    /// Looks at some more entries; whether there is more to do. Blocks.
    ///
    /// # Errors
    /// The store's.
    pub fn step(&mut self, store: &dyn PolicyStore) -> Result<bool, StoreError> {
        if self.broken.is_some() || self.next > self.tip.sequence {
            return Ok(false);
        }
        let last = self.tip.sequence.min(self.next.saturating_add(STEP - 1));
        let shelf = self.shelf;
        let (from, to) = (shelf.entry(self.next), shelf.entry(last.saturating_add(1)));
        let scope = self.scope.clone();
        let mut sealed = Vec::new();
        store.archive(&scope, &from..&to, &mut |key, value| {
            match self.entry(key, value) {
                Ok(entry) => {
                    sealed.extend(seals(&entry.changes).map(|(user, seal)| (entry.sequence, user.clone(), *seal)));
                }
                Err(broken) => self.broken = Some(broken),
            }
            Ok(self.broken.is_none())
        })?;
        if self.broken.is_none() && self.next <= last {
            self.broken(self.next, format!("entry {} is missing", self.next));
        }
        // After the walk: a visitor must not call the store.
        for (sequence, user, seal) in sealed {
            let altered = match beside(store, &scope, shelf, &user, sequence, seal.number)? {
                None => false,
                Some(value) => activity::open(&seal, &value).is_err(),
            };
            if altered && self.broken.as_ref().is_none_or(|broken| sequence < broken.sequence) {
                self.verified = self.verified.min(sequence.saturating_sub(1));
                self.broken(sequence, format!("what is personal beside entry {sequence} was altered"));
            }
        }
        if self.broken.is_none() && self.next > self.tip.sequence && self.previous != Some(self.tip.hash) {
            let last = self.tip.sequence;
            self.broken(last, format!("entry {last} is not the one that was written last"));
        }
        Ok(self.broken.is_none() && self.next <= self.tip.sequence)
    }

    /// The next entry, if it is right.
    fn entry(&mut self, key: &[u8], value: &[u8]) -> Result<Entry, Broken> {
        let wanted = self.next;
        let wrong = |sequence: u64, problem: String| Err(Broken { sequence, problem });
        if self.shelf.sequence_of(key) != Some(wanted) {
            return wrong(wanted, format!("entry {wanted} is missing"));
        }
        let altered = || wrong(wanted, format!("entry {wanted} was altered"));
        let Some((previous, hash, body)) = parts(value) else { return altered() };
        let Ok(entry) = minicbor::decode::<Entry>(body) else { return altered() };
        if chain(previous, body) != *hash || entry.sequence != wanted {
            return altered();
        }
        if self.previous.is_some_and(|before| before != *previous) {
            if wanted == 1 {
                return altered();
            }
            // It is right in itself, and speaks of another one before.
            let before = wanted - 1;
            return wrong(before, format!("entry {before} is not the one that entry {wanted} follows"));
        }
        if self.expected.take().is_some_and(|expected| expected != *hash) {
            return wrong(wanted, format!("entry {wanted} is not the one that was seen before"));
        }
        self.previous = Some(*hash);
        self.next += 1;
        self.verified += 1;
        Ok(entry)
    }
}
