//! The keys of one mapping, taken one by one: what is left over is unknown.
//!
//! Every reader here answers "absent" for what is wrong as well, after noting the problem; callers
//! put a default there and go on, since the file is refused in the end.

use std::borrow::Cow;
use std::fmt::Display;

use super::error::{At, Path, Problems, quoted};
use super::scalar::{self, Plain};
use super::yaml::{Node, Scalar, ScalarKind, What};

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
        let found = node.describe();
        let What::Map(pairs) = node.what else {
            out.add(at, path, format!("expected a mapping, found {found}"));
            return None;
        };
        let mut entries: Vec<(Cow<'t, str>, At, Option<Node<'t>>)> = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let at = key.at;
            let key = match key.into_text() {
                Ok(key) => key,
                Err(message) => {
                    out.add(at, path, format!("a key: {message}"));
                    continue;
                }
            };
            // Mappings are short; those of attributes are bounded by what an operator writes.
            if entries.len() < 32 && entries.iter().any(|(known, _, _)| *known == key) {
                out.add(at, path.key(&key), "the key is given twice");
                continue;
            }
            entries.push((key, at, Some(value)));
        }
        if entries.len() >= 32 {
            drop_repeated(&mut entries, path, out);
        }
        Some(Self { at, path, entries })
    }

    /// The value of `name`, once.
    pub fn take(&mut self, name: &str) -> Option<Node<'t>> {
        self.entries.iter_mut().find(|(key, _, _)| key == name)?.2.take()
    }

    /// Whether `name` is given and was not taken.
    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _, node)| key == name && node.is_some())
    }

    /// Parses a value that was taken before.
    pub fn given<T, E: Display>(
        &self,
        node: Node<'t>,
        name: &str,
        out: &mut Problems,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        parsed(node, self.path.key(name), out, parse).map(|(value, _)| value)
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
        match self.take(name) {
            Some(node) => parsed(node, self.path.key(name), out, parse),
            None => {
                self.missing(name, out);
                None
            }
        }
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
    pub fn choice<T: Copy>(
        &mut self,
        name: &str,
        out: &mut Problems,
        table: &[(&str, T)],
    ) -> Option<T> {
        self.parsed(name, out, |text| choose(text, table)).map(|(value, _)| value)
    }

    pub fn required_choice<T: Copy>(
        &mut self,
        name: &str,
        out: &mut Problems,
        table: &[(&str, T)],
    ) -> Option<T> {
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
            let spelled = match &node.what {
                What::Scalar(scalar) => quoted(&scalar.text),
                _ => String::new(),
            };
            let Some((item, at)) = parsed(node, path.index(index), out, &parse) else { continue };
            if seen.insert(item.clone()) {
                items.push((item, at, index));
            } else {
                out.add(at, path.index(index), format!("{spelled} is given twice"));
            }
        }
        items
    }
}

/// The items of a list.
pub(super) fn list<'t>(node: Node<'t>, path: Path<'_>, out: &mut Problems) -> Vec<Node<'t>> {
    let found = node.describe();
    match node.what {
        What::List(items) => items,
        _ => {
            out.add(node.at, path, format!("expected a list, found {found}"));
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

fn choose<T: Copy>(text: &str, table: &[(&str, T)]) -> Result<T, String> {
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

/// Long mappings: by sorting, so that a hundred thousand keys stay cheap.
fn drop_repeated<'t>(
    entries: &mut Vec<(Cow<'t, str>, At, Option<Node<'t>>)>,
    path: Path<'_>,
    out: &mut Problems,
) {
    entries.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    entries.dedup_by(|later, first| {
        let same = later.0 == first.0;
        if same {
            out.add(later.1, path.key(&later.0), "the key is given twice");
        }
        same
    });
}
