//! From text to nodes that know where they stand.
//!
//! This drives the event parser under `serde-saphyr` itself instead of deserializing through serde.
//! A serde visitor stops at the first type error, cannot name the path of what it refuses, and
//! hands over `0x1` or `1e3` as a number where an id was meant; with events every problem is
//! found, each with its place, and a scalar keeps its spelling. Sections of a million entries are
//! read one entry at a time.
//!
//! A file is a list of facts, so the constructs that make one text mean another are refused, each
//! with its place: anchors and aliases (and with them every alias bomb), merge keys, directives,
//! several documents. Tags are refused but for the four that say the type of an attribute where
//! its spelling does not (`!!timestamp`, `!!str`, `!!int`, `!!float`). Nesting is bounded before
//! anything recurses.

use std::borrow::Cow;
use std::io::Read;

use serde_saphyr::granit_parser::{
    self, BorrowedInput, Event, FallibleBufferedInput, Marker, Options, Parser, ScalarStyle, StrInput, Tag,
};

use super::characters::Characters;
use super::error::{At, Broken, quoted};
use super::scalar::{self, Plain};

/// Deeper than anything that the formats have a key for.
const MAX_DEPTH: usize = 32;
/// An attribute's name may be 128 bytes that are all escaped; YAML's own limit is 1024.
const MAX_KEY_CHARS: usize = 4096;

/// A scalar as it was written.
#[derive(Debug, Clone)]
pub(super) struct Scalar<'t> {
    pub text: Cow<'t, str>,
    pub kind: ScalarKind,
}

/// What decides the type of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScalarKind {
    /// Its spelling.
    Plain,
    /// Its quotes: it is text.
    Quoted,
    /// `!!str`: it is text, whatever is declared.
    Str,
    /// `!!int`
    Int,
    /// `!!float`
    Float,
    /// `!!timestamp`
    Timestamp,
}

/// A piece of the file.
#[derive(Debug, Clone)]
pub(super) struct Node<'t> {
    pub at: At,
    pub what: What<'t>,
}

/// What a [`Node`] is.
#[derive(Debug, Clone)]
pub(super) enum What<'t> {
    Scalar(Scalar<'t>),
    List(Vec<Node<'t>>),
    Map(Vec<(Node<'t>, Node<'t>)>),
}

impl<'t> Node<'t> {
    /// The text, if that is what the node is; else what it is instead.
    pub fn into_text(self) -> Result<Cow<'t, str>, String> {
        match self.what {
            What::Scalar(Scalar { text, kind: ScalarKind::Quoted | ScalarKind::Str }) => Ok(text),
            What::Scalar(Scalar { text, kind: ScalarKind::Plain }) => match scalar::resolve(&text) {
                Plain::Text => Ok(text),
                Plain::Null => Err("expected text, found nothing".to_owned()),
                _ => Err(format!("{} is no text unless it is put in quotes", quoted(&text))),
            },
            _ => Err(format!("expected text, found {}", self.describe())),
        }
    }

    /// What the node is, for a message.
    pub fn describe(&self) -> &'static str {
        match &self.what {
            What::List(_) => "a list",
            What::Map(_) => "a mapping",
            What::Scalar(s) if s.kind == ScalarKind::Plain => match scalar::resolve(&s.text) {
                Plain::Null => "nothing",
                Plain::Bool(_) => "`true` or `false`",
                Plain::Int(_) | Plain::HugeInt | Plain::Double(_) | Plain::NotFinite => "a number",
                Plain::Text => "text",
            },
            What::Scalar(s) => match s.kind {
                ScalarKind::Int | ScalarKind::Float => "a number",
                ScalarKind::Timestamp => "a timestamp",
                _ => "text",
            },
        }
    }
}

/// The events of a file, one document.
pub(super) struct Source<'t, I: BorrowedInput<'t> = StrInput<'t>> {
    parser: Parser<'t, I>,
    last: At,
}

/// The events of a file that is read as they are asked for.
pub(super) type Stream<R> = Source<'static, FallibleBufferedInput<Characters<R>>>;

/// What comes next.
pub(super) enum Next<'t> {
    Scalar(Scalar<'t>),
    ListStart,
    ListEnd,
    MapStart,
    MapEnd,
    DocumentStart,
    DocumentEnd,
    End,
}

impl<'t> Source<'t> {
    /// Ready to read the root node.
    pub fn open(text: &'t str) -> Result<Self, Broken> {
        let mut source = Self { parser: Parser::new_from_str_with_options(text, options()), last: At::START };
        source.begin().map(|()| source)
    }
}

impl<R: Read> Stream<R> {
    /// Nothing is read yet: it is to [`begin`](Self::begin).
    pub fn of(file: R) -> Self {
        let parser = Parser::new_from_fallible_iter_with_options(Characters::of(file), options());
        Self { parser, last: At::START }
    }
}

impl<'t, I: BorrowedInput<'t>> Source<'t, I> {
    /// Comes to the root node, which is read next.
    pub fn begin(&mut self) -> Result<(), Broken> {
        match self.next()? {
            (Next::DocumentStart, _) => Ok(()),
            (_, at) => Err(Broken { at, message: "the file is empty".to_owned() }),
        }
    }

    /// Nothing may follow the root node.
    pub fn close(&mut self) -> Result<(), Broken> {
        self.next()?;
        match self.next()? {
            (Next::End, _) => Ok(()),
            (_, at) => Err(Broken { at, message: "only one document is allowed".to_owned() }),
        }
    }

    pub fn next(&mut self) -> Result<(Next<'t>, At), Broken> {
        loop {
            let Some(event) = self.parser.next_event() else {
                return Ok((Next::End, self.last));
            };
            let (event, span) = event.map_err(|e| Broken { at: at(*e.marker()), message: e.info() })?;
            let at = at(span.start);
            self.last = at;
            let next = match event {
                Event::StreamStart => continue,
                Event::StreamEnd => Next::End,
                Event::DocumentStart(..) => Next::DocumentStart,
                Event::DocumentEnd => Next::DocumentEnd,
                Event::Scalar(text, style, anchor, tag) => {
                    no_anchor(anchor, at)?;
                    let kind = kind(style, tag.as_deref(), at)?;
                    Next::Scalar(Scalar { text, kind })
                }
                Event::SequenceStart(_, anchor, tag) => {
                    no_anchor(anchor, at)?;
                    no_tag(tag.as_deref(), at)?;
                    Next::ListStart
                }
                Event::SequenceEnd => Next::ListEnd,
                Event::MappingStart(_, anchor, tag) => {
                    no_anchor(anchor, at)?;
                    no_tag(tag.as_deref(), at)?;
                    Next::MapStart
                }
                Event::MappingEnd => Next::MapEnd,
                // Aliases, and whatever a later parser may tell us besides.
                _ => return Err(no_alias(at)),
            };
            return Ok((next, at));
        }
    }

    /// The next node, whole.
    pub fn node(&mut self) -> Result<Node<'t>, Broken> {
        let (next, at) = self.next()?;
        self.rest(next, at, 0)
    }

    /// The node that begins with `next`.
    pub fn rest(&mut self, next: Next<'t>, at: At, depth: usize) -> Result<Node<'t>, Broken> {
        if depth > MAX_DEPTH {
            return Err(Broken { at, message: format!("nested deeper than {MAX_DEPTH} levels") });
        }
        let what = match next {
            Next::Scalar(scalar) => What::Scalar(scalar),
            Next::ListStart => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Next::ListEnd, _) => break What::List(items),
                        (next, at) => items.push(self.rest(next, at, depth + 1)?),
                    }
                }
            }
            Next::MapStart => {
                let mut entries = Vec::new();
                loop {
                    let key = match self.next()? {
                        (Next::MapEnd, _) => break What::Map(entries),
                        (next, at) => self.rest(next, at, depth + 1)?,
                    };
                    let (next, at) = self.next()?;
                    entries.push((key, self.rest(next, at, depth + 1)?));
                }
            }
            Next::ListEnd | Next::MapEnd | Next::DocumentStart | Next::DocumentEnd | Next::End => {
                return Err(Broken { at, message: "the file ends too early".to_owned() });
            }
        };
        Ok(Node { at, what })
    }

    /// Passes over the next node. Only what is well-formed gets here, so the nesting is counted
    /// and not followed.
    pub fn skip(&mut self) -> Result<(), Broken> {
        let mut depth = 0_usize;
        loop {
            match self.next()? {
                (Next::ListStart | Next::MapStart, at) => {
                    depth += 1;
                    if depth > MAX_DEPTH {
                        let message = format!("nested deeper than {MAX_DEPTH} levels");
                        return Err(Broken { at, message });
                    }
                }
                (Next::ListEnd | Next::MapEnd, _) => depth = depth.saturating_sub(1),
                (Next::Scalar(_), _) => {}
                (_, at) => {
                    return Err(Broken { at, message: "the file ends too early".to_owned() });
                }
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

fn options() -> Options {
    granit_parser::options! {
        emit_comments: false,
        disallow_directives: true,
        simple_key_max_lookahead: MAX_KEY_CHARS,
    }
}

fn at(mark: Marker) -> At {
    let short = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    At { line: short(mark.line()).max(1), column: short(mark.col()).saturating_add(1) }
}

fn no_alias(at: At) -> Broken {
    Broken { at, message: "anchors and aliases (`&x`, `*x`) are not allowed".to_owned() }
}

fn no_anchor(anchor: usize, at: At) -> Result<(), Broken> {
    if anchor == 0 { Ok(()) } else { Err(no_alias(at)) }
}

fn no_tag(tag: Option<&Tag>, at: At) -> Result<(), Broken> {
    match tag {
        None => Ok(()),
        Some(tag) => Err(Broken { at, message: format!("the tag {} is not allowed", quoted(&spelled(tag))) }),
    }
}

/// As it is usually written.
fn spelled(tag: &Tag) -> String {
    let full = tag.to_string();
    match full.strip_prefix("tag:yaml.org,2002:") {
        Some(name) => format!("!!{name}"),
        None => full,
    }
}

fn kind(style: ScalarStyle, tag: Option<&Tag>, at: At) -> Result<ScalarKind, Broken> {
    let Some(tag) = tag else {
        return Ok(match style {
            ScalarStyle::Plain => ScalarKind::Plain,
            _ => ScalarKind::Quoted,
        });
    };
    match spelled(tag).as_str() {
        "!!str" => Ok(ScalarKind::Str),
        "!!int" => Ok(ScalarKind::Int),
        "!!float" => Ok(ScalarKind::Float),
        "!!timestamp" => Ok(ScalarKind::Timestamp),
        _ => no_tag(Some(tag), at).map(|()| ScalarKind::Plain),
    }
}
