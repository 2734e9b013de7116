//! Field masks: which fields of an entity an update changes.

use prost_types::FieldMask;

use crate::core::table::Table;

use super::fields::Fields;

type Edit<R> = Box<dyn FnOnce(&mut R, &Table) + Send>;

/// The changes that an update makes to a row.
pub struct Patch<R> {
    edits: Vec<Edit<R>>,
}

impl<R> Patch<R> {
    /// Makes the changes.
    pub fn apply(self, row: &mut R, table: &Table) {
        for edit in self.edits {
            edit(row, table);
        }
    }
}

enum Mask {
    /// No mask: the fields that are not empty.
    Present,
    /// `*`
    All,
    /// Those named.
    Paths(Vec<String>),
}

/// Reads the fields of an entity as far as the mask names them.
pub struct Masked<R> {
    mask: Mask,
    known: Vec<&'static str>,
    edits: Vec<Edit<R>>,
    sound: bool,
}

impl<R: 'static> Masked<R> {
    /// Begins with the request's mask.
    pub fn new(mask: Option<FieldMask>) -> Self {
        let mask = match mask {
            Some(FieldMask { paths }) if paths.iter().any(|p| p == "*") => Mask::All,
            Some(FieldMask { paths }) if !paths.is_empty() => Mask::Paths(paths),
            _ => Mask::Present,
        };
        Self { mask, known: Vec::new(), edits: Vec::new(), sound: true }
    }

    /// A field that can be changed. `present` says whether it is not empty.
    pub fn set<T: Send + 'static>(
        &mut self,
        path: &'static str,
        present: bool,
        value: impl FnOnce() -> Option<T>,
        put: impl FnOnce(&mut R, T, &Table) + Send + 'static,
    ) {
        self.known.push(path);
        let wanted = match &self.mask {
            Mask::Present => present,
            Mask::All => true,
            Mask::Paths(paths) => paths.iter().any(|p| p == path || is_parent(p, path)),
        };
        if wanted {
            self.put(value(), put);
        }
    }

    /// A field that is fixed at creation: the mask cannot name it, and a value given without one is
    /// put into the row, so that the core refuses it unless it is the stored one.
    pub fn fixed<T: Send + 'static>(
        &mut self,
        present: bool,
        value: impl FnOnce() -> Option<T>,
        put: impl FnOnce(&mut R, T, &Table) + Send + 'static,
    ) {
        if present && !matches!(self.mask, Mask::Paths(_)) {
            self.put(value(), put);
        }
    }

    fn put<T: Send + 'static>(&mut self, value: Option<T>, put: impl FnOnce(&mut R, T, &Table) + Send + 'static) {
        match value {
            Some(value) => self.edits.push(Box::new(move |row, table| put(row, value, table))),
            None => self.sound = false,
        }
    }

    /// The patch, once every field that can be changed was told.
    pub fn finish(self, fields: &mut Fields) -> Option<Patch<R>> {
        let Self { mask, known, edits, mut sound } = self;
        if let Mask::Paths(paths) = &mask {
            for path in paths {
                if !known.iter().any(|k| k == path || is_parent(path, k)) {
                    fields.refuse("update_mask", format_args!("`{path}` cannot be changed"));
                    sound = false;
                }
            }
        }
        sound.then_some(Patch { edits })
    }
}

fn is_parent(parent: &str, path: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.starts_with('.'))
}
