//! The records that `filter` asks about, read one at a time: their file may be larger than memory.

use std::io::Read;

use super::cases::{CaseRecord, record};
use super::error::{Broken, FileErrors, Path, Problems};
use super::yaml::{Next, Node, Stream};

/// A record, or the records of a list, as decision-test files have them.
///
/// What is wrong with a record is told once the rest was read for more that is wrong: no record comes
/// after the first that is.
pub struct Candidates<R: Read> {
    source: Stream<R>,
    place: Place,
    out: Problems,
}

/// What is read next.
#[derive(Clone, Copy)]
enum Place {
    /// A record, or the first of a list.
    Root,
    /// The record of that number in a list.
    Item(usize),
    /// Nothing more.
    End,
}

impl<R: Read> Candidates<R> {
    /// Of `file`, whose name is for messages.
    pub fn of(file: R, file_name: &str) -> Self {
        Self { source: Stream::of(file), place: Place::Root, out: Problems::new(file_name) }
    }

    fn node(&mut self) -> Result<Option<Node<'static>>, Broken> {
        let (next, at) = match self.place {
            Place::End => return Ok(None),
            Place::Root => {
                self.source.begin()?;
                match self.source.next()? {
                    (Next::ListStart, _) => {
                        self.place = Place::Item(0);
                        self.source.next()?
                    }
                    root => root,
                }
            }
            Place::Item(number) => {
                self.place = Place::Item(number + 1);
                self.source.next()?
            }
        };
        if let (Place::Item(_), Next::ListEnd) = (self.place, &next) {
            self.place = Place::End;
            return self.source.close().map(|()| None);
        }
        let node = self.source.rest(next, at, 1)?;
        if let Place::Root = self.place {
            self.source.close()?;
        }
        Ok(Some(node))
    }
}

impl<R: Read> Iterator for Candidates<R> {
    type Item = Result<CaseRecord, FileErrors>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let node = self.node().unwrap_or_else(|broken| {
                // What is behind it is not known: no other problem is certain.
                self.out.clear();
                broken.report(&mut self.out);
                None
            });
            let Some(node) = node else {
                self.place = Place::End;
                return self.out.take().map(Err);
            };
            let read = match self.place {
                Place::Item(number) => record(node, Path::ROOT.index(number), &mut self.out),
                _ => {
                    self.place = Place::End;
                    record(node, Path::ROOT, &mut self.out)
                }
            };
            if let (Some(read), true) = (read, self.out.is_empty()) {
                return Some(Ok(read));
            }
        }
    }
}
