//! Immutable sets of small numbers: permissions in a role, groups that hold one. Clones share.
//!
//! Dense sets are bits. Sparse ones are sorted numbers behind a *sieve*: bits again, of each number's place in a
//! mixture, so many that of the numbers that are not in the set few come through. Most questions are about such, and
//! of both kinds are answered by one load from a few cache lines. (In an organization of a million users, the
//! bits of its 50,000 groups were 6 KB for each permission, and a decision read ten or twenty of their lines.) The
//! choice is made once, at construction, from the set itself: bits as long as they take less memory, or at most two
//! cache lines.

use std::sync::Arc;

/// A set of `u32`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Bit `n % 64` of word `n / 64`, of numbers or of their places; as many words as some power of two.
    words: Arc<[u64]>,
    /// If the words are a sieve: the numbers, ascending, each once.
    sparse: Option<Arc<[u32]>>,
    place: Place,
}

/// Where a number's bit is: at itself, or somewhere in a mixture. One way for both, without a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    times: u32,
    shift: u32,
}

/// Of bits, two cache lines.
const FEW_WORDS: usize = 16;
/// Bits of a sieve for each number, at least: of the others, one in so many comes through, or less.
const SIEVE_BITS: usize = 16;
/// By 2^32, the golden ratio: what it is multiplied with is spread evenly.
const MIXTURE: u32 = 0x9e37_79b9;

impl Place {
    const ITSELF: Self = Self { times: 1, shift: 0 };

    /// In so many words, more than one: some power of two.
    fn mixed(words: usize) -> Self {
        Self { times: MIXTURE, shift: 26 - words.trailing_zeros() }
    }

    #[inline]
    fn of(self, n: u32) -> u32 {
        n.wrapping_mul(self.times) >> self.shift
    }
}

impl Default for Set {
    fn default() -> Self {
        Self { words: [0].into(), sparse: None, place: Place::ITSELF }
    }
}

impl FromIterator<u32> for Set {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut sorted: Vec<u32> = numbers.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let words = sorted.last().map_or(0, |max| *max as usize / 64 + 1).next_power_of_two();
        let sieve = (sorted.len() * SIEVE_BITS / 64 + 2).next_power_of_two();
        let is_sparse = words > FEW_WORDS && words * 8 > sieve * 8 + sorted.len() * 4;
        let (place, words) = if is_sparse { (Place::mixed(sieve), sieve) } else { (Place::ITSELF, words) };
        let mut bits = vec![0u64; words];
        for n in &sorted {
            let at = place.of(*n);
            if let Some(word) = bits.get_mut(at as usize / 64) {
                *word |= 1 << (at % 64);
            }
        }
        Self { words: bits.into(), sparse: is_sparse.then(|| sorted.into()), place }
    }
}

impl Set {
    /// Whether `n` is in the set.
    #[inline]
    #[must_use]
    pub fn contains(&self, n: u32) -> bool {
        self.may_contain(n) && self.sparse.as_ref().is_none_or(|sorted| sorted.binary_search(&n).is_ok())
    }

    /// Whether `n` is in the set, or comes through its sieve; without a branch.
    #[allow(clippy::needless_bitwise_bool, reason = "without a branch")]
    #[inline]
    #[must_use]
    pub fn may_contain(&self, n: u32) -> bool {
        let words = &*self.words;
        let at = self.place.of(n);
        // A word is read in any case: sets of different length take the same way.
        let word = at as usize / 64;
        let read = words.get(word & words.len().wrapping_sub(1)).copied().unwrap_or(0);
        (word < words.len()) & (read >> (at % 64) & 1 == 1)
    }

    /// Whether whatever it [may contain](Self::may_contain) is in it.
    #[inline]
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.sparse.is_none()
    }

    /// Whether it is the empty one that sets are by default, or as good as that: known at a glance.
    #[inline]
    #[must_use]
    pub fn is_blank(&self) -> bool {
        *self.words == [0]
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let (sorted, bits): (&[u32], &[u64]) = match &self.sparse {
            Some(sorted) => (sorted, &[]),
            None => (&[], &self.words),
        };
        let dense = (0u32..)
            .zip(bits)
            .flat_map(|(i, word)| (0..64).filter(move |b| word >> b & 1 == 1).map(move |b| i * 64 + b));
        sorted.iter().copied().chain(dense)
    }

    /// Whether nothing is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::Set;

    #[test]
    fn sparse_and_dense_sets_answer_alike() {
        let spread = (0..400).map(|n| n * 977);
        for numbers in
            [vec![], vec![7], vec![0, 63, 64, 65, 700], (0..500).collect(), vec![1, 90_000], spread.collect()]
        {
            let set: Set = numbers.iter().rev().copied().collect();
            assert_eq!(set.iter().collect::<Vec<_>>(), numbers);
            for n in (0..2_000).chain([89_999, 90_000, 977 * 399, u32::MAX]) {
                assert_eq!(set.contains(n), numbers.contains(&n), "{n} in {numbers:?}");
                assert!(set.may_contain(n) || !set.contains(n), "{n} in {numbers:?}");
            }
            assert_eq!(set.is_empty(), numbers.is_empty());
        }
    }

    #[test]
    fn little_comes_through_a_sieve_that_is_not_in_the_set() {
        let set: Set = (0..400).map(|n| n * 125).collect();
        assert!(!set.is_exact(), "the bits of 50,000 numbers take more than 400 numbers and their sieve");
        let wrong = (0..50_000).filter(|n| set.may_contain(*n) && !set.contains(*n)).count();
        assert!(wrong < 50_000 / 10, "{wrong} of 50,000");
    }
}
