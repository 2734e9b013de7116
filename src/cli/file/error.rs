//! Where something stands in a file, and what is wrong there.
//!
//! A file is read to its end whatever is wrong with it, so that an operator sees every problem at
//! once; only what the YAML scanner itself refuses ends the reading, since nothing behind it has a
//! meaning. What was written is repeated in messages, and it may come from anybody: [`quoted`] makes
//! it one short line without control characters.

use std::fmt;

/// How many problems are kept; the rest is counted.
pub const MAX_ERRORS: usize = 100;
/// How much of a wrong text is repeated, in characters.
const MAX_QUOTED: usize = 80;

/// A place in a file, as an operator reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub line: u32,
    /// In characters, counted from 1.
    pub column: u32,
    /// Such as `users[3].account`; empty for the file as a whole.
    pub path: String,
}

/// One problem of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{}:{}: {}{}{message}", place.line, place.column, place.path, if place.path.is_empty() { "" } else { ": " })]
pub struct FileError {
    /// The file, as the operator named it.
    pub file: String,
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub message: String,
}

/// Everything that is wrong with a file, in the order of the lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct FileErrors {
    /// The first [`MAX_ERRORS`].
    pub errors: Vec<FileError>,
    /// How many more there are.
    pub more: usize,
}

impl FileErrors {
    fn sorted(mut errors: Vec<FileError>, more: usize) -> Self {
        errors.sort_by_key(|e| (e.place.line, e.place.column));
        Self { errors, more }
    }
}

impl fmt::Display for FileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        match self.more {
            0 => Ok(()),
            1 => f.write_str("\nand 1 more problem"),
            more => write!(f, "\nand {more} more problems"),
        }
    }
}

/// A position, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub line: u32,
    pub column: u32,
}

impl At {
    /// The beginning of the file.
    pub const START: Self = Self { line: 1, column: 1 };

    pub fn place(self, path: String) -> Place {
        Place { line: self.line, column: self.column, path }
    }
}

/// The way from the root to a node. It lives on the stack, and becomes text only for a problem:
/// a million good users cost no path.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    parent: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy)]
enum Step<'p> {
    Root,
    Key(&'p str),
    Index(usize),
}

impl<'p> Path<'p> {
    pub const ROOT: Path<'static> = Path { parent: None, step: Step::Root };

    pub fn key(&'p self, key: &'p str) -> Self {
        Self { parent: Some(self), step: Step::Key(key) }
    }

    pub fn index(&'p self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}")?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Key(key) => {
                let at_root = self.parent.is_none_or(|p| matches!(p.step, Step::Root));
                let dot = if at_root { "" } else { "." };
                write!(f, "{dot}{}", shortened(key))
            }
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// The problems found so far in one file.
pub(super) struct Problems {
    file: String,
    errors: Vec<FileError>,
    more: usize,
    /// Lines of the file above the text that is read.
    pub above: u32,
}

impl Problems {
    pub fn new(file: &str) -> Self {
        Self { file: file.to_owned(), errors: Vec::new(), more: 0, above: 0 }
    }

    pub fn add(&mut self, at: At, path: impl fmt::Display, message: impl fmt::Display) {
        if self.errors.len() >= MAX_ERRORS {
            self.more += 1;
            return;
        }
        let at = At { line: at.line.saturating_add(self.above), ..at };
        self.errors.push(FileError {
            file: self.file.clone(),
            place: at.place(path.to_string()),
            message: message.to_string(),
        });
    }

    /// Forgets what was found: one answer says it all.
    pub fn clear(&mut self) {
        self.errors.clear();
        self.more = 0;
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// What was found, if anything; it is forgotten.
    pub fn take(&mut self) -> Option<FileErrors> {
        let (errors, more) = (std::mem::take(&mut self.errors), std::mem::take(&mut self.more));
        (!errors.is_empty()).then(|| FileErrors::sorted(errors, more))
    }

    /// `value`, if nothing is wrong.
    pub fn into_result<T>(self, value: Option<T>) -> Result<T, FileErrors> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(FileErrors::sorted(self.errors, self.more)),
        }
    }
}

/// What the scanner refused: the reading ends here.
#[derive(Debug)]
pub(super) struct Broken {
    pub at: At,
    pub message: String,
}

impl Broken {
    pub fn report(self, problems: &mut Problems) {
        problems.add(self.at, Path::ROOT, self.message);
    }
}

/// The user's text in backticks.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", shortened(text))
}

fn shortened(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_QUOTED));
    for (count, c) in text.chars().enumerate() {
        if count == MAX_QUOTED {
            out.push('…');
            break;
        }
        if super::scalar::is_unsafe(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}
