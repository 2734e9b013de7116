//! Texts, as they were sent.

use std::ops::RangeInclusive;

use super::Bits;

/// Texts, of which each entry names one, or is the one at its own place.
#[derive(Debug, Clone)]
pub struct Texts<'a> {
    lie: Lie<'a>,
    indexes: Option<&'a [u32]>,
}

/// How they lie.
#[derive(Debug, Clone)]
enum Lie<'a> {
    /// End to end, and where each ends.
    Joined(&'a str, Vec<u32>),
    /// Here and there.
    Apart(Vec<&'a str>),
}

impl<'a> FromIterator<&'a str> for Texts<'a> {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        Self { lie: Lie::Apart(texts.into_iter().collect()), indexes: None }
    }
}

/// Why texts cannot be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextsError {
    /// The lengths are not those of the text.
    #[error("the lengths together are not the length of the text")]
    Lengths,
    /// A text ends within a character.
    #[error("text {0} does not end between characters")]
    Boundary(usize),
    /// An entry names a text that is not there.
    #[error("entry {0} names a text that is not there")]
    Index(usize),
}

impl<'a> Texts<'a> {
    /// Of texts of these lengths in bytes, end to end in `text`; with `indexes`, entry i is the text
    /// numbered so, otherwise the i-th.
    ///
    /// # Errors
    /// See [`TextsError`].
    pub fn new(text: &'a str, lengths: &[u32], indexes: Option<&'a [u32]>) -> Result<Self, TextsError> {
        let mut end = 0u32;
        let mut ends = Vec::with_capacity(lengths.len());
        for length in lengths {
            end = end.checked_add(*length).ok_or(TextsError::Lengths)?;
            ends.push(end);
        }
        if end as usize != text.len() {
            return Err(TextsError::Lengths);
        }
        if !text.is_ascii()
            && let Some(at) = ends.iter().position(|end| !text.is_char_boundary(*end as usize))
        {
            return Err(TextsError::Boundary(at));
        }
        let count = ends.len();
        if let Some(at) = indexes.and_then(|all| all.iter().position(|index| *index as usize >= count)) {
            return Err(TextsError::Index(at));
        }
        Ok(Self { lie: Lie::Joined(text, ends), indexes })
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.indexes.map_or_else(
            || match &self.lie {
                Lie::Joined(_, ends) => ends.len(),
                Lie::Apart(texts) => texts.len(),
            },
            <[u32]>::len,
        )
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry at a place.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&'a str> {
        match self.indexes {
            None => self.text_at(at),
            Some(indexes) => self.text_at(*indexes.get(at)? as usize),
        }
    }

    fn text_at(&self, at: usize) -> Option<&'a str> {
        match &self.lie {
            Lie::Apart(texts) => texts.get(at).copied(),
            Lie::Joined(text, ends) => {
                let start = at.checked_sub(1).map_or(Some(0), |before| ends.get(before).copied())?;
                text.get(start as usize..*ends.get(at)? as usize)
            }
        }
    }

    /// Whether all texts are this long, in bytes.
    pub(in crate::core) fn are_long(&self, bytes: &RangeInclusive<usize>) -> bool {
        let is_long = |length: u32| bytes.contains(&(length as usize));
        match &self.lie {
            // All of them, without a branch for each.
            Lie::Joined(_, ends) => {
                let first = ends.first().is_none_or(|end| is_long(*end));
                let lengths =
                    ends.iter().zip(ends.get(1..).unwrap_or_default()).map(|(start, end)| end.wrapping_sub(*start));
                lengths.fold(first, |all, length| all & is_long(length))
            }
            Lie::Apart(texts) => texts.iter().all(|text| bytes.contains(&text.len())),
        }
    }

    /// The texts, each as often as it was sent, whichever entries name them.
    pub fn texts(&self) -> impl Iterator<Item = &'a str> {
        let (whole, ends, apart) = match &self.lie {
            Lie::Joined(text, ends) => (*text, ends.as_slice(), &[][..]),
            Lie::Apart(texts) => ("", &[][..], texts.as_slice()),
        };
        let mut start = 0;
        let joined = ends.iter().map(move |end| {
            let text = whole.get(start as usize..*end as usize).unwrap_or("");
            start = *end;
            text
        });
        joined.chain(apart.iter().copied())
    }

    /// Whether `test` holds for any stretch of text in them.
    pub(in crate::core) fn have(&self, test: impl Fn(&str) -> bool) -> bool {
        match &self.lie {
            Lie::Joined(text, _) => test(text),
            Lie::Apart(texts) => texts.iter().any(|text| test(text)),
        }
    }

    /// The entries of which `test` holds. Each text is tested once.
    pub(in crate::core) fn that(&self, test: impl FnMut(&'a str) -> bool) -> Bits {
        match self.indexes {
            None => self.texts().map(test).collect(),
            Some(indexes) => {
                let holds: Vec<bool> = self.texts().map(test).collect();
                Bits::of(indexes, |index| holds.get(*index as usize).is_some_and(|holds| *holds))
            }
        }
    }

    /// What `number` says of each entry. Each text is asked about once.
    pub(in crate::core) fn numbered<T: Copy + Default>(&self, number: impl FnMut(&'a str) -> T) -> Vec<T> {
        let numbers: Vec<T> = self.texts().map(number).collect();
        match self.indexes {
            None => numbers,
            Some(indexes) => indexes.iter().map(|i| numbers.get(*i as usize).copied().unwrap_or_default()).collect(),
        }
    }
}
