//! The few shapes of YAML that are written: a section of entries, an entry in one line.

use std::fmt::Write as _;

use super::scalar::text_text;

/// One entry in flow style.
#[derive(Default)]
pub(super) struct Flow(String);

impl Flow {
    pub fn put(&mut self, key: &str, value: impl AsRef<str>) {
        let comma = if self.0.is_empty() { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{comma}{}: {}", text_text(key), value.as_ref());
    }

    pub fn text(&mut self, key: &str, value: impl AsRef<str>) {
        self.put(key, text_text(value.as_ref()));
    }

    pub fn text_unless_empty(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.text(key, value);
        }
    }

    pub fn list<T: AsRef<str>>(&mut self, key: &str, items: impl IntoIterator<Item = T>) {
        self.put(key, flow_list(items));
    }

    pub fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.put(key, "true");
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn end(self) -> String {
        format!("{{{}}}", self.0)
    }
}

/// A list in flow style.
pub(super) fn flow_list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| text_text(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// A list of entries under a key; nothing if there are none.
pub(super) fn section(out: &mut String, key: &str, entries: impl Iterator<Item = String>) {
    for (number, entry) in entries.enumerate() {
        if number == 0 {
            let _ = writeln!(out, "{key}:");
        }
        let _ = writeln!(out, "  - {entry}");
    }
}
