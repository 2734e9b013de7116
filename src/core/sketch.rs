//! Which of very many ids may have a row in [`Pages`], most of which have none: a bit for each row's hash.

use super::pages::{Fixed, Found, Pages};

/// Of the ids that have no row, one in so many is looked up all the same.
const BITS_A_ROW: usize = 32;

/// The hashes of all rows, in a form that says quickly of most other ids that they have none.
pub(super) struct Sketch<'a, V> {
    pages: &'a Pages<V>,
    /// As many as some power of two.
    words: Vec<u64>,
}

impl<'a, V: Fixed> Sketch<'a, V> {
    pub(super) fn of(pages: &'a Pages<V>) -> Self {
        let mut words = vec![0; (pages.len() * BITS_A_ROW / 64 + 1).next_power_of_two()];
        for hash in pages.hashes() {
            let (word, bit) = place(hash, words.len());
            if let Some(word) = words.get_mut(word) {
                *word |= bit;
            }
        }
        Self { pages, words }
    }

    /// The row of `id`.
    #[inline]
    pub(super) fn find(&self, id: &'a str) -> Option<Found<'a, V>> {
        let (word, bit) = place(self.pages.hash(id), self.words.len());
        if self.words.get(word)? & bit == 0 { None } else { self.pages.find(id) }
    }
}

/// Where a hash is noted in so many words, and as which bit.
#[allow(clippy::cast_possible_truncation, reason = "as many bits as are needed are kept")]
#[inline]
fn place(hash: u64, words: usize) -> (usize, u64) {
    ((hash >> 6) as usize & (words - 1), 1 << (hash % 64))
}
