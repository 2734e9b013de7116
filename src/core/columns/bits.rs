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
        let (whole, rest) = values.as_chunks::<WORD>();
        let word = |values: &[T; WORD]| {
            // Bytes first: no test waits for another, and the processor makes several at a time.
            let mut held = [0; WORD];
            held.iter_mut().zip(values).for_each(|(to, value)| *to = u8::from(test(value)));
            packed(&held)
        };
        let last = rest.iter().rev().fold(0, |word, value| word << 1 | u64::from(test(value)));
        let last = (!rest.is_empty()).then_some(last);
        Self(whole.iter().map(word).chain(last).collect())
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

/// A bit for each byte, which is 0 or 1. The product has the lowest bits of eight of them, each moved to its
/// place, in its highest byte.
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
