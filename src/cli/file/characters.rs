//! The characters of a file, read as they are asked for.

use std::io::{self, BufReader, Bytes, Read};

use serde_saphyr::granit_parser::{ErrorKind, InputIoError};

/// Characters of UTF-8. What is not, and what cannot be read, is an error.
pub(super) struct Characters<R>(Bytes<BufReader<R>>);

impl<R: Read> Characters<R> {
    pub fn of(file: R) -> Self {
        Self(BufReader::new(file).bytes())
    }

    /// The rest of the character that begins with this byte.
    fn rest(&mut self, first: u8) -> io::Result<char> {
        let width = match first {
            0..=0x7f => return Ok(char::from(first)),
            0x80..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
        };
        let mut bytes = vec![first];
        for byte in self.0.by_ref().take(width - 1) {
            bytes.push(byte?);
        }
        let read = str::from_utf8(&bytes).ok().and_then(|text| text.chars().next());
        read.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "this is not UTF-8"))
    }
}

impl<R: Read> Iterator for Characters<R> {
    type Item = Result<char, ErrorKind>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.0.next()?.and_then(|first| self.rest(first));
        Some(read.map_err(|error| ErrorKind::InputIo { error: InputIoError::from_message(error.to_string()) }))
    }
}
