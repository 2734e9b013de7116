//! The keys of one mapping, taken one by one: what is left over is unknown.
//!
//! Every reader here answers "absent" for what is wrong as well, after noting the problem; callers
//! put a default there and go on, since the file is refused in the end.

use std::borrow::Cow;
use std::fmt::Display;

use super::error::{At, Path, Problems, quoted};
use super::scalar::{self, Plain};
use super::yaml::{Node, Scalar, ScalarKind, What};

/// Up to so many keys, a repeated one is noticed at once.
const FEW: usize = 32;

/// No mapping that is read as it comes has that many keys.
const MANY: usize = 1000;

/// A mapping being read.
pub(super) struct Fields<'t, 'p> {
    pub at: At,
    pub path: Path<'p>,
    entries: Vec<(Cow<'t, str>, At, Option<Node<'t>>)>,
}

impl<'t, 'p> Fields<'t, 'p> {
    /// Notes what is no mapping, what is no key, and keys given twice.
    pub fn open(node: Node<'t>, path: Path<'p>, out: &mut Problems) -> Option<Self> {
        let at = node.at;
        let pairs = match node.what {
            What::Map(pairs) => pairs,
            what => {
                let found = Node { at, what }.describe();
                out.add(at, path, format!("expected a mapping, found {found}"));
                return None;
            }
        };
        let mut fields = Self { at, path, entries: Vec::with_capacity(pairs.len()) };
        for (key, value) in pairs {
            fields.push(key, value, out);
        }
        if fields.entries.len() > FEW {
            fields.drop_repeated(out);
        }
        Some(fields)
    }

    /// To be filled by [`Fields::add`].
    pub fn empty(at: At, path: Path<'p>) -> Self {
        Self { at, path, entries: Vec::new() }
    }

    /// Adds a key to a mapping that is read as it comes. `false` if it is none, or was there.
    pub fn add(&mut self, key: Node<'t>, value: Node<'t>, out: &mut Problems) -> bool {
        let before = self.entries.len();
        if before >= MANY {
            out.add(key.at, self.path, "too many keys");
            return false;
        }
        if let What::Scalar(scalar) = &key.what
            && before >= FEW
            && self.knows(&scalar.text)
        {
            out.add(key.at, self.path.key(&scalar.text), "the key is given twice");
            return false;
        }
        self.push(key, value, out);
        self.entries.len() > before
    }

    fn push(&mut self, key: Node<'t>, value: Node<'t>, out: &mut Problems) {
        let at = key.at;
        match key.into_text() {
            Err(message) => out.add(at, self.path, format!("a key: {message}")),
            // Looking through them all is quickest while they are few.
            Ok(key) if self.entries.len() < FEW && self.knows(&key) => {
                out.add(at, self.path.key(&key), "the key is given twice");
            }
            Ok(key) => self.entries.push((key, at, Some(value))),
        }
    }

    /// Whether `name` is given, taken or not.
    pub fn knows(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _, _)| key == name)
    }

    /// The value of `name`, once.
    pub fn take(&mut self, name: &str) -> Option<Node<'t>> {
        self.entries.iter_mut().find(|(key, _, _)| key == name)?.2.take()
    }

    /// Whether `name` is given and was not taken.
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _, node)| key == name && node.is_some())
    }

    /// All that is left: the names are the operator's own.
    pub fn rest(self) -> impl Iterator<Item = (Cow<'t, str>, At, Node<'t>)> {
        self.entries.into_iter().filter_map(|(key, at, node)| Some((key, at, node?)))
    }

    /// Notes what was not asked for.
    pub fn close(self, out: &mut Problems) {
        for (key, at, node) in &self.entries {
            if node.is_some() {
                out.add(*at, self.path.key(key), "unknown key");
            }
        }
    }

    /// Notes that `name` is missing.
    pub fn missing(&self, name: &str, out: &mut Problems) {
        out.add(self.at, self.path, format!("`{name}` is missing"));
    }

    /// Of many keys: by sorting, so that a hundred thousand stay cheap.
    fn drop_repeated(&mut self, out: &mut Problems) {
        let path = self.path;
        self.entries.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        self.entries.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                out.add(later.1, path.key(&later.0), "the key is given twice");
            }
            same
        });
    }

    pub fn text(&mut self, name: &str, out: &mut Problems) -> Option<(Cow<'t, str>, At)> {
        let node = self.take(name)?;
        text(node, self.path.key(name), out)
    }

    pub fn string(&mut self, name: &str, out: &mut Problems) -> String {
        self.text(name, out).map(|(text, _)| text.into_owned()).unwrap_or_default()
    }

    pub fn parsed<T, E: Display>(
        &mut self,
        name: &str,
        out: &mut Problems,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<(T, At)> {
        let node = self.take(name)?;
        parsed(node, self.path.key(name), out, parse)
    }

    pub fn required<T, E: Display>(
        &mut self,
        name: &str,
        out: &mut Problems,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<(T, At)> {
        let Some(node) = self.take(name) else {
            self.missing(name, out);
            return None;
        };
        parsed(node, self.path.key(name), out, parse)
    }

    pub fn flag(&mut self, name: &str, out: &mut Problems) -> bool {
        let Some(node) = self.take(name) else { return false };
        if let What::Scalar(Scalar { text, kind: ScalarKind::Plain }) = &node.what
            && let Plain::Bool(flag) = scalar::resolve(text)
        {
            return flag;
        }
        let found = node.describe();
        out.add(node.at, self.path.key(name), format!("expected `true` or `false`, found {found}"));
        false
    }

    /// A whole number of something, which must be there.
    pub fn required_count(&mut self, name: &str, out: &mut Problems) -> Option<u32> {
        let Some(node) = self.take(name) else {
            self.missing(name, out);
            return None;
        };
        if let What::Scalar(Scalar { text, kind: ScalarKind::Plain }) = &node.what
            && let Plain::Int(count) = scalar::resolve(text)
            && let Ok(count) = u32::try_from(count)
        {
            return Some(count);
        }
        out.add(node.at, self.path.key(name), "expected a whole number that is not negative");
        None
    }

    /// A timestamp; it may be quoted or not.
    pub fn timestamp(&mut self, name: &str, out: &mut Problems) -> Option<i64> {
        let mut node = self.take(name)?;
        if let What::Scalar(scalar) = &mut node.what
            && scalar.kind == ScalarKind::Timestamp
        {
            scalar.kind = ScalarKind::Str;
        }
        parsed(node, self.path.key(name), out, scalar::parse_timestamp).map(|(ms, _)| ms)
    }

    /// One of the words of `table`.
    pub fn choice<T: Copy>(&mut self, name: &str, out: &mut Problems, table: &[(&str, T)]) -> Option<T> {
        self.parsed(name, out, |text| choose(text, table)).map(|(value, _)| value)
    }

    pub fn required_choice<T: Copy>(&mut self, name: &str, out: &mut Problems, table: &[(&str, T)]) -> Option<T> {
        self.required(name, out, |text| choose(text, table)).map(|(value, _)| value)
    }

    pub fn list(&mut self, name: &str, out: &mut Problems) -> Vec<Node<'t>> {
        let Some(node) = self.take(name) else { return Vec::new() };
        list(node, self.path.key(name), out)
    }

    /// A list of which each item parses and stands there once; in the file's order, with the place
    /// and the index of each.
    pub fn parsed_list<T: Ord + Clone, E: Display>(
        &mut self,
        name: &str,
        out: &mut Problems,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<(T, At, usize)> {
        let nodes = self.list(name, out);
        let path = self.path.key(name);
        let mut seen = std::collections::BTreeSet::new();
        let mut items = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.into_iter().enumerate() {
            let path = path.index(index);
            let Some((spelled, at)) = text(node, path, out) else { continue };
            match parse(&spelled) {
                Err(error) => out.add(at, path, format!("{} {error}", quoted(&spelled))),
                Ok(item) if seen.insert(item.clone()) => items.push((item, at, index)),
                Ok(_) => out.add(at, path, format!("{} is given twice", quoted(&spelled))),
            }
        }
        items
    }
}

/// The items of a list.
pub(super) fn list<'t>(node: Node<'t>, path: Path<'_>, out: &mut Problems) -> Vec<Node<'t>> {
    let at = node.at;
    match node.what {
        What::List(items) => items,
        what => {
            let found = Node { at, what }.describe();
            out.add(at, path, format!("expected a list, found {found}"));
            Vec::new()
        }
    }
}

/// The items of a [`Fields::parsed_list`] alone, sorted as rows have them.
pub(super) fn sorted<T: Ord>(items: Vec<(T, At, usize)>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().map(|(item, _, _)| item).collect();
    items.sort_unstable();
    items
}

/// The value of one of the words of `table`.
pub(super) fn choose<T: Copy>(text: &str, table: &[(&str, T)]) -> Result<T, String> {
    table.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = table.iter().map(|(word, _)| format!("`{word}`")).collect();
        format!("is none of {}", words.join(", "))
    })
}

fn text<'t>(node: Node<'t>, path: Path<'_>, out: &mut Problems) -> Option<(Cow<'t, str>, At)> {
    let at = node.at;
    match node.into_text() {
        Ok(text) => Some((text, at)),
        Err(message) => {
            out.add(at, path, message);
            None
        }
    }
}

fn parsed<T, E: Display>(
    node: Node<'_>,
    path: Path<'_>,
    out: &mut Problems,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<(T, At)> {
    let (text, at) = text(node, path, out)?;
    match parse(&text) {
        Ok(value) => Some((value, at)),
        Err(error) => {
            out.add(at, path, format!("{} {error}", quoted(&text)));
            None
        }
    }
}
