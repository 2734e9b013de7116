//! Values in parts, and the redo log's encoding of row writes. Bytes in, bytes out.
//!
//! A value is kept in parts of at most [`PART_BYTES`]; the first begins with the number of parts
//! (u16 BE), so that a reader knows when it has all and a writer which parts an overwritten value
//! leaves behind.

use super::{RowWrite, StoreError, keys};

/// The most payload bytes in one part. sled writes whole leaves of up to about 20 entries, and a
/// leaf beyond a quarter of a segment (2 MiB, see [`super::sled`]) goes into a file that sled never
/// fsyncs: 20 × (16 KiB + a key) stays below it.
pub(super) const PART_BYTES: usize = 16 << 10;

/// How many parts a value of `length` bytes has; an empty value has one.
pub(super) fn count(length: usize) -> u16 {
    // INVARIANT: the limits on values and deltas keep this below 2^15 parts.
    u16::try_from(length.div_ceil(PART_BYTES).max(1)).unwrap_or(u16::MAX)
}

/// The stored bytes of a value's part; parts from [`count`] on are empty and not stored.
pub(super) fn part(value: &[u8], number: u16) -> Vec<u8> {
    let begin = usize::from(number) * PART_BYTES;
    let end = value.len().min(begin + PART_BYTES);
    let body = value.get(begin..end).unwrap_or_default();
    if number > 0 {
        return body.to_vec();
    }
    let mut stored = Vec::with_capacity(body.len() + 2);
    stored.extend_from_slice(&count(value.len()).to_be_bytes());
    stored.extend_from_slice(body);
    stored
}

/// The number of parts, from a value's first part.
pub(super) fn stored_count(first: &[u8]) -> Option<(u16, &[u8])> {
    let (count, body) = first.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*count), body))
}

/// Puts the parts that a scan meets, in order, together again.
#[derive(Default)]
pub(super) struct Joiner {
    id: Vec<u8>,
    next: u16,
    count: u16,
    bytes: Vec<u8>,
}

impl Joiner {
    /// Takes one stored part; returns the whole value with its last part. Values of a single part
    /// are not copied.
    pub(super) fn push<'a>(
        &'a mut self,
        id: &[u8],
        part: u16,
        stored: &'a [u8],
    ) -> Result<Option<&'a [u8]>, StoreError> {
        if part == 0 {
            self.finish()?;
            let Some((count, body)) = stored_count(stored) else {
                return Err(StoreError::Damaged("a value without the number of its parts"));
            };
            if count == 1 {
                return Ok(Some(body));
            }
            self.id.clear();
            self.id.extend_from_slice(id);
            self.bytes.clear();
            self.bytes.extend_from_slice(body);
            (self.next, self.count) = (1, count);
            return Ok(None);
        }
        if part != self.next || self.next >= self.count || id != self.id {
            return Err(StoreError::Damaged("a part that belongs to no value"));
        }
        self.bytes.extend_from_slice(stored);
        self.next += 1;
        Ok((self.next == self.count).then_some(self.bytes.as_slice()))
    }

    /// At the end of a scan: no value may lack its last parts.
    pub(super) fn finish(&self) -> Result<(), StoreError> {
        if self.next < self.count {
            return Err(StoreError::Damaged("a value without its last parts"));
        }
        Ok(())
    }
}

/// What happens to the stored parts of a row when its value changes, in an order that may be cut
/// anywhere and done again: the first part, which tells how many there are, changes last.
pub(super) fn row_steps(
    base: &[u8],
    old_count: u16,
    value: Option<&[u8]>,
    step: &mut dyn FnMut(Vec<u8>, Option<Vec<u8>>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let new_count = value.map_or(0, |value| count(value.len()));
    for stale in new_count.max(1)..old_count {
        step(keys::with_part(base, stale), None)?;
    }
    match value {
        Some(value) => {
            for number in (0..new_count).rev() {
                step(keys::with_part(base, number), Some(part(value, number)))?;
            }
        }
        None if old_count > 0 => step(keys::with_part(base, 0), None)?,
        None => {}
    }
    Ok(())
}

/// Where a row belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shelf {
    /// Among those that are loaded.
    State,
    /// Among those that are not.
    Archive,
}

impl Shelf {
    /// What its writes begin with in a redo log: deleted, set.
    fn tags(self) -> (u8, u8) {
        match self {
            Self::State => (0, 1),
            Self::Archive => (2, 3),
        }
    }
}

/// Writes row writes as one stream of bytes, cut into parts: `[key length: u32][key][0]` deletes,
/// `[key length: u32][key][1][value length: u32][value]` sets, with 2 and 3 an archived row; numbers are
/// little-endian.
#[derive(Default)]
pub(super) struct RedoWriter {
    buffer: Vec<u8>,
}

impl RedoWriter {
    /// Adds one row; hands each part that is full to `out`.
    pub(super) fn row(
        &mut self,
        shelf: Shelf,
        row: &RowWrite,
        out: &mut dyn FnMut(Vec<u8>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (deleted, set) = shelf.tags();
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        self.put(&length(&row.key), out)?;
        self.put(&row.key, out)?;
        let Some(value) = &row.value else {
            return self.put(&[deleted], out);
        };
        self.put(&[set], out)?;
        self.put(&length(value), out)?;
        self.put(value, out)
    }

    fn put(
        &mut self,
        mut bytes: &[u8],
        out: &mut dyn FnMut(Vec<u8>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        while !bytes.is_empty() {
            let room = PART_BYTES - self.buffer.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == PART_BYTES {
                out(std::mem::replace(&mut self.buffer, Vec::with_capacity(PART_BYTES)))?;
            }
        }
        Ok(())
    }

    /// The last part, unless it is empty.
    pub(super) fn last(self) -> Option<Vec<u8>> {
        (!self.buffer.is_empty()).then_some(self.buffer)
    }
}

/// Reads what [`RedoWriter`] wrote, part by part.
#[derive(Default)]
pub(super) struct RedoReader {
    buffer: Vec<u8>,
}

impl RedoReader {
    /// Takes the next part; hands each row that is complete to `row`.
    pub(super) fn part(
        &mut self,
        part: &[u8],
        row: &mut dyn FnMut(Shelf, RowWrite) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.buffer.extend_from_slice(part);
        let mut rest = self.buffer.as_slice();
        while let Some((shelf, write, tail)) = decode(rest) {
            row(shelf, write)?;
            rest = tail;
        }
        let done = self.buffer.len() - rest.len();
        self.buffer.drain(..done);
        Ok(())
    }

    /// At the end nothing may be left over.
    pub(super) fn finish(self) -> Result<(), StoreError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        Err(StoreError::Damaged("a redo log that ends within a row"))
    }
}

fn decode(bytes: &[u8]) -> Option<(Shelf, RowWrite, &[u8])> {
    fn counted(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (body, rest) = rest.split_at_checked(length)?;
        Some((body.to_vec(), rest))
    }
    let (key, rest) = counted(bytes)?;
    let (&tag, rest) = rest.split_first()?;
    let shelf = if tag < 2 { Shelf::State } else { Shelf::Archive };
    if tag == shelf.tags().0 {
        return Some((shelf, RowWrite { key, value: None }, rest));
    }
    let (value, rest) = counted(rest)?;
    Some((shelf, RowWrite { key, value: Some(value) }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redo_log_gives_its_rows_back_however_they_fall_on_parts() {
        let lengths = [0, 1, 5, PART_BYTES - 14, PART_BYTES, 3 * PART_BYTES + 7, 2];
        let row = |(n, &length): (usize, &usize)| {
            let shelf = if n % 3 == 0 { Shelf::Archive } else { Shelf::State };
            let value = (n != 2 && n != 3).then(|| vec![u8::try_from(n).unwrap(); length]);
            (shelf, RowWrite { key: vec![b'k'; n], value })
        };
        let rows: Vec<(Shelf, RowWrite)> = lengths.iter().enumerate().map(row).collect();
        let (mut parts, mut writer) = (Vec::new(), RedoWriter::default());
        for (shelf, row) in &rows {
            let mut out = |part| {
                parts.push(part);
                Ok(())
            };
            writer.row(*shelf, row, &mut out).unwrap();
        }
        parts.extend(writer.last());
        let (mut back, mut reader) = (Vec::new(), RedoReader::default());
        for part in &parts {
            let mut take = |shelf, row| {
                back.push((shelf, row));
                Ok(())
            };
            reader.part(part, &mut take).unwrap();
        }
        reader.finish().unwrap();
        assert_eq!(back, rows);
    }
}
