//! Immutable sets of small numbers: permissions in a role, groups that hold one. Clones share.
//!
//! Sparse sets are sorted numbers, dense ones bits. The choice is made once, at construction, from
//! the set itself: bits as soon as they cost at most sixteen times the memory of the sorted form
//! (a bit test is one load where a search is several), or at most two cache lines. So a set never
//! grows past 64 bytes an element, or 128 in all.

use std::sync::Arc;

/// A set of `u32`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Set {
    /// Ascending, each once.
    Sorted(Arc<[u32]>),
    /// Bit `n % 64` of word `n / 64`; as many words as some power of two.
    Bits(Arc<[u64]>),
}

/// Of bits, two cache lines.
const FEW_WORDS: usize = 16;

impl Default for Set {
    fn default() -> Self {
        Self::Bits([0].into())
    }
}

impl FromIterator<u32> for Set {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut sorted: Vec<u32> = numbers.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let words = sorted.last().map_or(0, |max| *max as usize / 64 + 1);
        if words > FEW_WORDS && words * 8 > sorted.len() * 64 {
            return Self::Sorted(sorted.into());
        }
        let mut bits = vec![0u64; words.next_power_of_two()];
        for n in sorted {
            if let Some(word) = bits.get_mut(n as usize / 64) {
                *word |= 1 << (n % 64);
            }
        }
        Self::Bits(bits.into())
    }
}

impl Set {
    /// Whether `n` is in the set.
    #[inline]
    #[must_use]
    pub fn contains(&self, n: u32) -> bool {
        match self {
            Self::Sorted(sorted) if sorted.len() <= 8 => sorted.contains(&n),
            Self::Sorted(sorted) => sorted.binary_search(&n).is_ok(),
            Self::Bits(words) => bit(words, n),
        }
    }

    /// For [`bit`], if it is made of bits.
    #[inline]
    #[must_use]
    pub fn words(&self) -> Option<&[u64]> {
        match self {
            Self::Sorted(_) => None,
            Self::Bits(words) => Some(words),
        }
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let (sorted, bits): (&[u32], &[u64]) = match self {
            Self::Sorted(sorted) => (sorted, &[]),
            Self::Bits(bits) => (&[], bits),
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

/// Whether `n` is in the set of these [`Set::words`].
#[allow(clippy::needless_bitwise_bool, reason = "without a branch")]
#[inline]
#[must_use]
pub fn bit(words: &[u64], n: u32) -> bool {
    // A word is read in any case: sets of different length take the same way.
    let word = n as usize / 64;
    let read = words.get(word & words.len().wrapping_sub(1)).copied().unwrap_or(0);
    (word < words.len()) & (read >> (n % 64) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::Set;

    #[test]
    fn sparse_and_dense_sets_answer_alike() {
        for numbers in [vec![], vec![7], vec![0, 63, 64, 65, 700], (0..500).collect(), vec![1, 90_000]] {
            let set: Set = numbers.iter().rev().copied().collect();
            assert_eq!(set.iter().collect::<Vec<_>>(), numbers);
            for n in [0, 1, 7, 63, 64, 65, 66, 499, 500, 90_000, u32::MAX] {
                assert_eq!(set.contains(n), numbers.contains(&n), "{n} in {numbers:?}");
            }
            assert_eq!(set.is_empty(), numbers.is_empty());
        }
    }
}
