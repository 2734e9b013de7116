//! When each permission of an organization was last allowed, to the hour.
//!
//! Marks lie beside the published table and outlive its versions: they are by the permission's number, which
//! is never given again while the organization is loaded. A decision that allows reads one mark, and stores
//! only the first time in an hour, so that the lines stay shared between cores. Where they lie is made
//! ready when a version is published, so that a decision neither locks nor allocates.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::core::limits::MAX_PERMISSIONS;
use crate::core::model::Millis;
use crate::core::review::unused::{HOUR_MS, LastAllowed};

/// Marks in the first chunk; each further one has twice as many.
const FIRST: usize = 256;
const CHUNKS: usize = 8;

const _: () = assert!((FIRST << CHUNKS) - FIRST >= MAX_PERMISSIONS, "there is a mark for every number");

/// The marks of one history.
pub struct Marks {
    /// By number: hours since 1970, counted from 1; 0 is never. They are never moved.
    chunks: [OnceLock<Box<[AtomicU32]>>; CHUNKS],
    counted: Mutex<Counted>,
    /// Whether anything is not handed to the store yet.
    changed: AtomicBool,
}

/// Since when what is counted.
struct Counted {
    since: Millis,
    /// By number.
    known: Vec<Millis>,
}

impl Marks {
    /// Of what is counted from now on.
    #[must_use]
    pub fn new(now: Millis) -> Self {
        let counted = Mutex::new(Counted { since: now, known: Vec::new() });
        Self { chunks: Default::default(), counted, changed: AtomicBool::new(true) }
    }

    /// Notes that a permission is allowed, and says whether that was stored: the first time in an hour.
    #[inline]
    pub fn note(&self, permission: u32, now: Millis) -> bool {
        let hour = hour_of(now);
        self.at(permission).is_some_and(|mark| mark.load(Ordering::Relaxed) < hour && self.put(mark, hour))
    }

    #[cold]
    fn put(&self, mark: &AtomicU32, hour: u32) -> bool {
        // Of two that meet at the turn of the hour, the later one stays.
        let stored = mark.fetch_max(hour, Ordering::Relaxed) < hour;
        if stored {
            self.changed.store(true, Ordering::Release);
        }
        stored
    }

    #[inline]
    fn at(&self, permission: u32) -> Option<&AtomicU32> {
        let (chunk, place) = place_of(permission as usize);
        self.chunks.get(chunk)?.get()?.get(place)
    }

    /// Makes ready for the permissions of a version, whose numbers are below `count`: those that are new
    /// are counted from now on.
    pub fn know(&self, count: usize, now: Millis) {
        let mut counted = self.counted();
        let Some(last) = count.checked_sub(1).filter(|_| counted.known.len() < count) else { return };
        counted.known.resize(count, now);
        for (cell, size) in self.chunks.iter().take(place_of(last).0 + 1).zip((0..).map(|n| FIRST << n)) {
            cell.get_or_init(|| std::iter::repeat_with(AtomicU32::default).take(size).collect());
        }
    }

    /// Takes over what was counted before this process began, by number.
    pub fn restore(&self, since: Millis, marks: impl IntoIterator<Item = (u32, LastAllowed)>) {
        let mut counted = self.counted();
        counted.since = since;
        for (number, LastAllowed { counted_since, at }) in marks {
            if let Some(known) = counted.known.get_mut(number as usize) {
                *known = counted_since;
            }
            if let (Some(mark), Some(at)) = (self.at(number), at) {
                mark.fetch_max(hour_of(at), Ordering::Relaxed);
            }
        }
        self.changed.store(false, Ordering::Release);
    }

    /// Since when decisions of the organization are counted.
    #[must_use]
    pub fn since(&self) -> Millis {
        self.counted().since
    }

    /// What is known of a permission; of one that is not known, that it is not counted.
    #[must_use]
    pub fn get(&self, permission: u32) -> LastAllowed {
        let counted_since = self.counted().known.get(permission as usize).copied().unwrap_or(Millis::MAX);
        let hour = self.at(permission).map_or(0, |mark| mark.load(Ordering::Relaxed));
        LastAllowed { counted_since, at: hour.checked_sub(1).map(|hour| Millis::from(hour) * HOUR_MS) }
    }

    /// Whether there is anything that the store does not have.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        self.changed.load(Ordering::Acquire)
    }

    /// The store is about to get all that there is now, or did not get it after all.
    pub fn set_changed(&self, changed: bool) {
        self.changed.store(changed, Ordering::SeqCst);
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[inline]
fn hour_of(now: Millis) -> u32 {
    u32::try_from(now / HOUR_MS + 1).unwrap_or(0)
}

/// The chunk of a number, and the place in it.
#[inline]
fn place_of(number: usize) -> (usize, usize) {
    let from = number + FIRST;
    let chunk = (from.ilog2() - FIRST.ilog2()) as usize;
    (chunk, from - (FIRST << chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_stored_once_an_hour_and_never_goes_back() {
        let marks = Marks::new(5);
        assert!(!marks.note(0, 7), "nothing is known of it yet");
        marks.know(1_000, 6);
        assert_eq!(marks.get(0), LastAllowed { counted_since: 6, at: None });
        marks.set_changed(false);
        assert!(marks.note(0, 7) && marks.is_changed());
        marks.set_changed(false);
        assert!(!marks.note(0, 8) && !marks.note(0, HOUR_MS - 1) && !marks.is_changed());
        assert!(marks.note(0, HOUR_MS) && marks.is_changed());
        assert!(!marks.note(0, 9), "the clock was set back");
        assert_eq!(marks.get(0).at, Some(HOUR_MS));
        assert_eq!(marks.get(1).at, None);
        assert_eq!(marks.since(), 5);
    }

    #[test]
    fn every_number_has_a_place_of_its_own_that_stays() {
        let marks = Marks::new(0);
        marks.know(1, 0);
        assert!(marks.note(0, 3 * HOUR_MS));
        marks.know(MAX_PERMISSIONS, 9);
        for number in 1..u32::try_from(MAX_PERMISSIONS).unwrap() {
            assert!(marks.note(number, 1), "{number}");
        }
        assert_eq!((marks.get(0).at, marks.get(0).counted_since), (Some(3 * HOUR_MS), 0));
        assert_eq!(marks.get(1), LastAllowed { counted_since: 9, at: Some(0) });
        assert_eq!(marks.get(u32::MAX), LastAllowed { counted_since: Millis::MAX, at: None });
    }
}
