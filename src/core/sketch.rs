//! Which of very many ids may have a row in [`Pages`], most of which have none: a bit for each row.

use super::pages::{Fixed, Found, Pages};

/// Of the ids that have no row, one in so many is looked up all the same.
const BITS_A_ROW: usize = 32;

/// The ids of all rows, in a form that says quickly of most other ids that they have none.
pub(super) struct Sketch<'a, V> {
    pages: &'a Pages<V>,
    /// As many as some power of two.
    words: Vec<u64>,
}

impl<'a, V: Fixed> Sketch<'a, V> {
    pub(super) fn of(pages: &'a Pages<V>) -> Self {
        let mut words = vec![0; (pages.len() * BITS_A_ROW / 64 + 1).next_power_of_two()];
        for row in pages.iter() {
            let (word, bit) = place(row.id, words.len());
            if let Some(word) = words.get_mut(word) {
                *word |= bit;
            }
        }
        Self { pages, words }
    }

    /// The row of `id`.
    #[inline]
    pub(super) fn find(&self, id: &'a str) -> Option<Found<'a, V>> {
        let (word, bit) = place(id, self.words.len());
        if self.words.get(word)? & bit == 0 { None } else { self.pages.find(id) }
    }
}

/// Where an id is noted in so many words, and as which bit: by its first and last eight bytes and its length, not by a
/// hash of all of it. Ids that differ only in between are looked up more often than they need.
#[allow(clippy::cast_possible_truncation, reason = "as many bits as are needed are kept")]
#[inline]
fn place(id: &str, words: usize) -> (usize, u64) {
    let id = id.as_bytes();
    let (first, last) = match (id.first_chunk(), id.last_chunk()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => (id.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
    };
    // Odd numbers without a pattern.
    let mixed = (first ^ id.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32) ^ last;
    let mixed = mixed.wrapping_mul(0xd6e8_feb8_6659_fd93);
    ((mixed >> 38) as usize & (words - 1), 1 << (mixed >> 32 & 63))
}
