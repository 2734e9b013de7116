//! The file of a super-organization: what it is called, and its denylist.

use std::fmt::Write as _;

use crate::core::id::Id;

use super::error::{At, Broken, FileErrors, Path, Problems};
use super::fields::{Fields, sorted};
use super::flow::section;
use super::scalar::text_text;
use super::yaml::{Next, Source, What};

const KEY: &str = "super_organization";

/// A super-organization file that was read without a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuperOrganizationFile {
    /// Whose file it is.
    pub super_organization: Id,
    /// For people.
    pub display_name: String,
    /// The elements that nobody in its organizations sees. Sorted, each once.
    pub element_denylist: Vec<Id>,
}

impl SuperOrganizationFile {
    /// Whether `text` is such a file, rather than that of an organization. Looks no further than it
    /// must: an organization file mostly begins with its organization.
    #[must_use]
    pub fn is(text: &str) -> bool {
        keys(text).unwrap_or(false)
    }

    /// Reads `text`. `file_name` is for messages.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, FileErrors> {
        let mut out = Problems::new(file_name);
        let file = read(text, &mut out).unwrap_or_else(|broken| {
            out.clear();
            broken.report(&mut out);
            None
        });
        out.into_result(file)
    }

    /// The text that reads back as this.
    #[must_use]
    pub fn write(&self) -> String {
        let mut out = format!("{KEY}: {}\n", text_text(self.super_organization.as_str()));
        if !self.display_name.is_empty() {
            // Writing to a string does not fail.
            let _ = writeln!(out, "display_name: {}", text_text(&self.display_name));
        }
        section(&mut out, "element_denylist", self.element_denylist.iter().map(|id| text_text(id.as_str())));
        out
    }
}

fn keys(text: &str) -> Result<bool, Broken> {
    let mut source = Source::open(text)?;
    let mut found = false;
    if !matches!(source.next()?, (Next::MapStart, _)) {
        return Ok(false);
    }
    loop {
        let key = match source.next()? {
            (Next::MapEnd, _) => return Ok(found),
            (next, at) => source.rest(next, at, 1)?,
        };
        if let What::Scalar(scalar) = &key.what {
            if scalar.text == "organization" {
                return Ok(false);
            }
            found |= scalar.text == KEY;
        }
        source.skip()?;
    }
}

fn read(text: &str, out: &mut Problems) -> Result<Option<SuperOrganizationFile>, Broken> {
    let mut source = Source::open(text)?;
    let (next, at) = source.next()?;
    let root = source.rest(next, at, 0)?;
    source.close()?;
    let Some(mut fields) = Fields::open(root, Path::ROOT, out) else { return Ok(None) };
    let id: Option<(Id, At)> = fields.required(KEY, out, Id::parse);
    let display_name = fields.string("display_name", out);
    let element_denylist = sorted(fields.parsed_list("element_denylist", out, Id::parse));
    fields.close(out);
    Ok(id.map(|(super_organization, _)| SuperOrganizationFile { super_organization, display_name, element_denylist }))
}
