//! Immutable sets of small numbers: permissions in a role, groups that hold one. Clones share.
//!
//! Dense sets are bits. Sparse ones are numbers behind a *sieve*: bits again, of each number's place in a
//! mixture, so many that of the numbers that are not in the set few come through. Most questions are about such, and
//! of both kinds are answered by one load from a few cache lines. (In an organization of a million users, the
//! bits of its 50,000 groups were 6 KB for each permission, and a decision read ten or twenty of their lines.) What
//! comes through is looked for among the numbers as they were mixed, in their order: spread evenly, so that one
//! begins where it must nearly be. The choice is made once, at construction, from the set itself: bits as long as they take
//! less memory, or at most two cache lines.

use std::sync::Arc;

/// A set of `u32`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Set {
    /// Bit `n % 64` of word `n / 64`; no words, if nothing is in it.
    Bits(Arc<[u64]>),
    /// Many numbers with much between them.
    Sparse {
        /// Of the numbers' places: as many words as some power of two.
        sieve: Arc<[u64]>,
        /// The numbers [`mixed`], ascending, each once.
        numbers: Arc<[u32]>,
    },
}

/// Of bits, two cache lines.
const FEW_WORDS: usize = 16;
/// Bits of a sieve for each number, at least: of the others, one in so many comes through, or less.
const SIEVE_BITS: usize = 16;
/// By 2^32, the golden ratio: what it is multiplied with is spread evenly.
const MIXTURE: u32 = 0x9e37_79b9;
/// What undoes it.
const UNMIXED: u32 = 0x144c_bc89;
const _: () = assert!(MIXTURE.wrapping_mul(UNMIXED) == 1);
/// So far from where it must nearly be, a number is looked for first.
const NEAR: usize = 32;

impl Default for Set {
    fn default() -> Self {
        Self::Bits(Arc::default())
    }
}

impl FromIterator<u32> for Set {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        let mut sorted: Vec<u32> = numbers.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        let words = sorted.last().map_or(0, |max| *max as usize / 64 + 1);
        let sieve = (sorted.len() * SIEVE_BITS / 64 + 2).next_power_of_two();
        if words <= FEW_WORDS || words <= sieve + sorted.len() / 2 {
            return Self::Bits(bits(words, sorted.into_iter()));
        }
        let mut numbers: Vec<u32> = sorted.into_iter().map(mixed).collect();
        numbers.sort_unstable();
        let sieve = bits(sieve, numbers.iter().map(|n| place(*n, sieve)));
        Self::Sparse { sieve, numbers: numbers.into() }
    }
}

fn bits(words: usize, numbers: impl Iterator<Item = u32>) -> Arc<[u64]> {
    let mut bits = vec![0; words];
    for n in numbers {
        if let Some(word) = bits.get_mut(n as usize / 64) {
            *word |= 1 << (n % 64);
        }
    }
    bits.into()
}

/// Each number to another one.
#[inline]
fn mixed(n: u32) -> u32 {
    n.wrapping_mul(MIXTURE)
}

/// Where the bit of a number that is mixed lies in so many words: by its upper bits.
#[inline]
fn place(mixed: u32, words: usize) -> u32 {
    mixed >> (26 - words.trailing_zeros())
}

/// Whether a bit is there, and set; without a branch.
#[inline]
fn has_bit(words: &[u64], n: u32) -> bool {
    words.get(n as usize / 64).unwrap_or(&0) >> (n % 64) & 1 == 1
}

/// Whether a number that is mixed is among the others, which ascend, and mostly evenly.
#[inline]
fn has_number(numbers: &[u32], n: u32) -> bool {
    let guess = ((u64::from(n) * numbers.len() as u64) >> 32) as usize;
    let near = numbers.get(guess.saturating_sub(NEAR)..numbers.len().min(guess + NEAR)).unwrap_or(numbers);
    let is_near = near.first() <= Some(&n) && Some(&n) <= near.last();
    if is_near { near } else { numbers }.binary_search(&n).is_ok()
}

impl Set {
    /// Whether `n` is in the set.
    #[inline]
    #[must_use]
    pub fn contains(&self, n: u32) -> bool {
        match self {
            Self::Bits(words) => has_bit(words, n),
            Self::Sparse { sieve, numbers } => {
                has_bit(sieve, place(mixed(n), sieve.len())) && has_number(numbers, mixed(n))
            }
        }
    }

    /// Whether one of some numbers is in the set. All are looked for: where the first one is that is found, is
    /// what a processor cannot foresee.
    #[inline]
    #[must_use]
    pub fn meets<T: Copy>(&self, some: &[T], number: impl Fn(T) -> u32) -> bool {
        match self {
            Self::Bits(words) => some.iter().fold(false, |any, n| any | has_bit(words, number(*n))),
            Self::Sparse { sieve, numbers } => some
                .chunks(u64::BITS as usize)
                .fold(false, |any, some| any | through(sieve, some, &number).any(|n| has_number(numbers, mixed(n)))),
        }
    }

    /// Whether nothing is in the set.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Bits(words) if words.is_empty())
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let (words, mut sorted): (&[u64], Vec<u32>) = match self {
            Self::Bits(words) => (words, Vec::new()),
            Self::Sparse { numbers, .. } => (&[], numbers.iter().map(|n| n.wrapping_mul(UNMIXED)).collect()),
        };
        sorted.sort_unstable();
        let of_word = |(i, word): (u32, &u64)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros();
                rest &= rest.wrapping_sub(1);
                (bit < u64::BITS).then_some(i * 64 + bit)
            })
        };
        (0u32..).zip(words).flat_map(of_word).chain(sorted)
    }
}

/// Those of at most 64 numbers that come through a sieve. Which, is told by bits: a loop without a branch, and
/// mostly nothing after it.
#[inline]
fn through<T: Copy>(sieve: &[u64], some: &[T], number: impl Fn(T) -> u32) -> impl Iterator<Item = u32> {
    let mut bits = 0u64;
    for (at, n) in some.iter().enumerate() {
        bits |= u64::from(has_bit(sieve, place(mixed(number(*n)), sieve.len()))) << at;
    }
    std::iter::from_fn(move || {
        let at = bits.trailing_zeros() as usize;
        bits &= bits.wrapping_sub(1);
        some.get(at).map(|n| number(*n))
    })
}

#[cfg(test)]
mod tests {
    use super::{Set, UNMIXED, through};

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
                let some = [3_000_000, n, 4_000_000];
                assert_eq!(set.meets(&some, |n| n), numbers.contains(&n), "{n} in {numbers:?}");
            }
            assert_eq!(set.is_empty(), numbers.is_empty());
        }
    }

    #[test]
    fn little_comes_through_a_sieve_that_is_not_in_the_set() {
        let set: Set = (0..400).map(|n| n * 125).collect();
        let Set::Sparse { sieve, numbers } = &set else {
            panic!("the bits of 50,000 numbers take more than 400 numbers and their sieve")
        };
        let some: Vec<u32> = (0..50_000).collect();
        let passed = |some: &[u32]| through(sieve, some, |n| n).count();
        let wrong = some.chunks(64).map(passed).sum::<usize>() - numbers.len();
        assert!(wrong < 50_000 / 10, "{wrong} of 50,000");
    }

    #[test]
    fn numbers_that_are_not_spread_evenly_are_found() {
        // Neighbours once they are mixed.
        let crowd = (0..300u32).map(|n| (0x7000_0000 + n).wrapping_mul(UNMIXED));
        let numbers: Vec<u32> = crowd.chain((0..200).map(|n| n * 1_000)).collect();
        let set: Set = numbers.iter().copied().collect();
        assert!(matches!(set, Set::Sparse { .. }));
        assert!(numbers.iter().all(|n| set.contains(*n)) && set.meets(&numbers[..100], |n| n));
        let others = (0..500u32).map(|n| (0x7000_0000 - 1 - n).wrapping_mul(UNMIXED));
        assert!(others.clone().all(|n| set.contains(n) == numbers.contains(&n)));
        assert_eq!(set.iter().count(), 500);
    }
}
