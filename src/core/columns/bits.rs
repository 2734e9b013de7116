//! A bit for each of many records, 64 a word.

const WORD: usize = 64;

/// A bit for each record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits(Vec<u64>);

impl Bits {
    /// The same bit for so many.
    #[must_use]
    pub fn all(count: usize, set: bool) -> Self {
        let mut words = vec![if set { u64::MAX } else { 0 }; count.div_ceil(WORD)];
        if let (Some(last), true) = (words.last_mut(), !count.is_multiple_of(WORD)) {
            *last &= (1 << (count % WORD)) - 1;
        }
        Self(words)
    }

    /// A bit for each of `values`, set where `test` holds.
    pub fn of<T>(values: &[T], test: impl Fn(&T) -> bool) -> Self {
        // With as wide registers as the machine that it runs on has.
        pulp::Arch::new().dispatch(|| Self::of_each(values, test))
    }

    #[allow(clippy::inline_always, reason = "compiled for each kind of machine")]
    #[inline(always)]
    fn of_each<T>(values: &[T], test: impl Fn(&T) -> bool) -> Self {
        // Plain loops: what is not inlined here is compiled for the least of machines.
        let (whole, rest) = values.as_chunks::<WORD>();
        let mut words = Vec::with_capacity(whole.len() + 1);
        for values in whole {
            // Bytes first: no test waits for another, and the processor makes several at a time.
            let mut held = [0; WORD];
            for (to, value) in held.iter_mut().zip(values) {
                *to = u8::from(test(value));
            }
            words.push(packed(&held));
        }
        if !rest.is_empty() {
            words.push(rest.iter().rev().fold(0, |word, value| word << 1 | u64::from(test(value))));
        }
        Self(words)
    }

    /// A bit for each of the lists that end there, set where one is set for any of the list's elements.
    #[must_use]
    pub fn of_lists(ends: &[u32], elements: &Self) -> Self {
        // How many are set before each word: a list has one where more are set before its end than before its start.
        let mut before = 0;
        let counted = |word: &u64| {
            let counted = (before, *word);
            before += word.count_ones();
            counted
        };
        let mut words: Vec<(u32, u64)> = elements.0.iter().map(counted).collect();
        words.push((before, 0));
        pulp::Arch::new().dispatch(EachList { ends, words: &words })
    }

    /// Those of `count` records whose bit is not set in `missing`, least significant bit of the first
    /// byte first; what is beyond its end is not set.
    #[must_use]
    pub fn but(count: usize, missing: &[u8]) -> Self {
        let mut bits = Self::all(count, true);
        for (word, bytes) in bits.0.iter_mut().zip(missing.chunks(8)) {
            let mut eight = [0; 8];
            eight.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            *word &= !u64::from_le_bytes(eight);
        }
        bits
    }

    /// The first `count` of them, least significant bit of the first byte first: as [`Bits::but`] reads them.
    #[must_use]
    pub fn bytes(&self, count: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.resize(count.div_ceil(8), 0);
        bytes
    }

    /// Whether the bit at a place is set.
    #[must_use]
    pub fn has(&self, at: usize) -> bool {
        self.0.get(at / WORD).is_some_and(|word| word >> (at % WORD) & 1 == 1)
    }

    /// Sets the bit at a place within.
    pub fn put(&mut self, at: usize, set: bool) {
        if let Some(word) = self.0.get_mut(at / WORD) {
            *word = *word & !(1 << (at % WORD)) | u64::from(set) << (at % WORD);
        }
    }

    /// Whether none is set.
    #[must_use]
    pub fn none(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// The places of those that are set, ascending.
    pub fn places(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(at * WORD + bit)
            })
        })
    }

    /// Keeps those that are also in `other`.
    pub fn and(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= b);
    }

    /// Adds those of `other`.
    pub fn or(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    /// Keeps those that are not in `other`.
    pub fn without(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= !b);
    }
}

/// [`Bits::of_lists`]: where lists end, and words with how many bits are set before each. No closure, of which the compiler
/// may make a function of its own, for the least of machines, which count bits one by one.
struct EachList<'l> {
    ends: &'l [u32],
    words: &'l [(u32, u64)],
}

impl pulp::NullaryFnOnce for EachList<'_> {
    type Output = Bits;

    #[allow(clippy::inline_always, reason = "compiled for each kind of machine")]
    #[inline(always)]
    fn call(self) -> Bits {
        let mut before = 0;
        let mut bits = Vec::with_capacity(self.ends.len().div_ceil(WORD));
        for ends in self.ends.chunks(WORD) {
            let mut held = [0; WORD];
            for (held, end) in held.iter_mut().zip(ends) {
                let end = *end as usize;
                let (count, word) = self.words.get(end / WORD).copied().unwrap_or_default();
                let until = count + (word & ((1 << (end % WORD)) - 1)).count_ones();
                *held = u8::from(until != before);
                before = until;
            }
            bits.push(packed(&held));
        }
        Bits(bits)
    }
}

/// A bit for each byte, which is 0 or 1. The product has the lowest bits of eight of them, each moved to its
/// place, in its highest byte.
#[allow(clippy::inline_always, reason = "compiled for each kind of machine, as its caller")]
#[inline(always)]
fn packed(held: &[u8; WORD]) -> u64 {
    let eight = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    held.as_chunks().0.iter().rev().fold(0, |word, bytes| word << 8 | eight(bytes))
}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(values: I) -> Self {
        let values = values.into_iter();
        let mut words = Vec::with_capacity(values.size_hint().0.div_ceil(WORD));
        let (mut word, mut bit) = (0, 0);
        for value in values {
            word |= u64::from(value) << bit;
            bit += 1;
            if bit == WORD {
                words.push(word);
                (word, bit) = (0, 0);
            }
        }
        if bit > 0 {
            words.push(word);
        }
        Self(words)
    }
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn a_list_has_a_bit_if_one_of_its_elements_has_whatever_its_length_and_place() {
        let mut rng = fastrand::Rng::with_seed(7);
        for round in 0..400 {
            let longest = [1, 3, 70, 200][round % 4];
            let lengths: Vec<usize> = (0..rng.usize(0..200)).map(|_| rng.usize(0..longest)).collect();
            let count = lengths.iter().sum();
            let held: Vec<bool> = (0..count).map(|_| rng.usize(0..=round) == 0).collect();
            let mut end = 0;
            let ends: Vec<u32> = lengths
                .iter()
                .map(|n| {
                    end += n;
                    u32::try_from(end).unwrap()
                })
                .collect();
            let expected: Bits = ends
                .iter()
                .zip(&lengths)
                .map(|(end, n)| held[*end as usize - n..*end as usize].contains(&true))
                .collect();
            assert_eq!(Bits::of_lists(&ends, &Bits::of(&held, |held| *held)), expected, "{lengths:?}");
        }
    }
}
