//! Decision tests: questions, each with the answer that it must get.
//!
//! Ids stay plain text here. A case may well ask for what no id can be, and expect the error.

use std::collections::BTreeMap;

use crate::core::id::Id;
use crate::core::model::{Millis, Value};

use super::error::{At, Broken, FileErrors, Path, Place, Problems};
use super::fields::Fields;
use super::people::attributes;
use super::yaml::{Node, Source};

/// A decision-test file.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseFile {
    /// Whose decisions are tested.
    pub organization: Id,
    /// The clock for the cases; the real one if absent.
    pub now: Option<Millis>,
    /// In the file's order.
    pub cases: Vec<Case>,
}

/// A question and its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// For people; may be empty.
    pub name: String,
    /// Where the file gives it.
    pub place: Place,
    /// What is asked, and what must come out.
    pub question: Question,
}

/// What a case asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// May this principal do this here?
    Authorize {
        /// `user:ID` or `service:ID`.
        principal: String,
        /// A name or an alias.
        permission: String,
        /// The account of the resource.
        account: Option<String>,
        /// The object of the resource.
        object: Option<String>,
        /// The record of the resource.
        record: Option<CaseRecord>,
        /// What the caller tells about the request.
        context: CaseContext,
        /// The decision.
        expect: Expected,
        /// Its reason, or for an error the name of its status code.
        reason: Option<String>,
    },
    /// What may this principal do here?
    Permissions {
        /// `user:ID` or `service:ID`.
        principal: String,
        /// The account of the resource.
        account: Option<String>,
        /// The object of the resource.
        object: Option<String>,
        /// The record of the resource.
        record: Option<CaseRecord>,
        /// What the caller tells about the request.
        context: CaseContext,
        /// All of them, in the file's order.
        expect: Vec<String>,
    },
    /// Which of these records may this principal see, or do this with?
    Filter {
        /// `user:ID` or `service:ID`.
        principal: String,
        /// Absent: what the principal can see.
        permission: Option<String>,
        /// The account of the resource.
        account: Option<String>,
        /// Whose records they are.
        object: Option<String>,
        /// The candidates.
        records: Vec<CaseRecord>,
        /// What the caller tells about the request.
        context: CaseContext,
        /// The ids of those that remain, in the order of `records`.
        expect: Vec<String>,
    },
}

/// The decision that a case expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Yes.
    Allow,
    /// No.
    Deny,
    /// No decision: an error status.
    Error,
}

/// A record as its caller would send it.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseRecord {
    /// Its id; empty if absent, which the model refuses (rule 1.4).
    pub id: String,
    /// A user's id or `service:ID`.
    pub owner: Option<String>,
    /// The account it is in.
    pub account: Option<String>,
    /// As they are spelled: text stays text where the object declares a timestamp.
    pub attributes: BTreeMap<String, Value>,
}

/// What the caller tells about a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CaseContext {
    /// Such as `platform` or `email`.
    pub channel: Option<String>,
    /// When the principal last proved who it is.
    pub authenticated_at: Option<Millis>,
    /// Who is to be invited (rule 4.9).
    pub invitee_email: Option<String>,
    /// As they are spelled.
    pub attributes: BTreeMap<String, Value>,
}

const EXPECTED: [(&str, Expected); 3] =
    [("allow", Expected::Allow), ("deny", Expected::Deny), ("error", Expected::Error)];

/// Each kind of question with the key of its answer.
const QUESTIONS: [(&str, &str); 3] =
    [("authorize", "expect"), ("permissions", "expect_permissions"), ("filter", "expect_visible")];

impl Question {
    /// Reads a file that has one question a line: what a case has as `authorize`, in braces. It expects nothing.
    /// `file_name` is for messages.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    pub fn lines(text: &str, file_name: &str) -> Result<Vec<Self>, FileErrors> {
        let mut out = Problems::new(file_name);
        let mut questions = Vec::new();
        for (line, above) in text.lines().zip(0_u32..).filter(|(line, _)| !line.trim().is_empty()) {
            out.above = above;
            match tree(line) {
                Ok(node) => {
                    let fields = Fields::open(node, Path::ROOT, &mut out);
                    let answer = (Some(Expected::Allow), None);
                    questions.extend(fields.and_then(|asked| authorize(asked, answer, &mut out)));
                }
                Err(broken) => broken.report(&mut out),
            }
        }
        out.into_result(Some(questions))
    }
}

impl CaseFile {
    /// Reads `text`. `file_name` is for messages.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, FileErrors> {
        let mut out = Problems::new(file_name);
        let file = match tree(text) {
            Ok(root) => read(root, &mut out),
            Err(broken) => {
                broken.report(&mut out);
                None
            }
        };
        out.into_result(file)
    }
}

fn tree(text: &str) -> Result<Node<'_>, Broken> {
    let mut source = Source::open(text)?;
    let root = source.node()?;
    source.close()?;
    Ok(root)
}

fn read(root: Node<'_>, out: &mut Problems) -> Option<CaseFile> {
    let mut fields = Fields::open(root, Path::ROOT, out)?;
    let organization = fields.required("organization", out, Id::parse);
    let now = fields.timestamp("now", out);
    if !fields.has("cases") {
        fields.missing("cases", out);
    }
    let nodes = fields.list("cases", out);
    let path = fields.path.key("cases");
    let cases = nodes.into_iter().enumerate().filter_map(|(item, node)| case(node, path.index(item), out)).collect();
    fields.close(out);
    let (organization, _) = organization?;
    Some(CaseFile { organization, now, cases })
}

fn case(node: Node<'_>, path: Path<'_>, out: &mut Problems) -> Option<Case> {
    let at = node.at;
    let mut fields = Fields::open(node, path, out)?;
    let name = fields.string("name", out);
    let given: Vec<_> = QUESTIONS.iter().filter(|(key, _)| fields.has(key)).collect();
    let [(key, answer)] = given.as_slice() else {
        let found = if given.is_empty() { "none" } else { "more" };
        let message = format!("a case has one of `authorize`, `permissions` and `filter`; this one has {found}");
        out.add(at, path, message);
        return None;
    };
    if !fields.has(answer) {
        fields.missing(answer, out);
    }
    let question = Fields::open(fields.take(key)?, path.key(key), out);
    let question = question.and_then(|asked| match *key {
        "authorize" => {
            let answer = (fields.choice("expect", out, &EXPECTED), optional(&mut fields, "reason", out));
            authorize(asked, answer, out)
        }
        "permissions" => permissions(asked, &mut fields, out),
        _ => filter(asked, &mut fields, out),
    });
    fields.close(out);
    Some(Case { name, place: place(at, path), question: question? })
}

fn place(at: At, path: Path<'_>) -> Place {
    at.place(path.to_string())
}

fn authorize(
    mut asked: Fields<'_, '_>,
    (expect, reason): (Option<Expected>, Option<String>),
    out: &mut Problems,
) -> Option<Question> {
    let principal = plain(&mut asked, "principal", out);
    let permission = plain(&mut asked, "permission", out);
    let account = optional(&mut asked, "account", out);
    let object = optional(&mut asked, "object", out);
    let record = one_record(&mut asked, out);
    let context = context(&mut asked, out);
    asked.close(out);
    Some(Question::Authorize {
        principal: principal?,
        permission: permission?,
        account,
        object,
        record,
        context,
        expect: expect?,
        reason,
    })
}

fn permissions(mut asked: Fields<'_, '_>, case: &mut Fields<'_, '_>, out: &mut Problems) -> Option<Question> {
    let principal = plain(&mut asked, "principal", out);
    let account = optional(&mut asked, "account", out);
    let object = optional(&mut asked, "object", out);
    let record = one_record(&mut asked, out);
    let context = context(&mut asked, out);
    asked.close(out);
    let expect = texts(case, "expect_permissions", out);
    Some(Question::Permissions { principal: principal?, account, object, record, context, expect })
}

fn filter(mut asked: Fields<'_, '_>, case: &mut Fields<'_, '_>, out: &mut Problems) -> Option<Question> {
    let principal = plain(&mut asked, "principal", out);
    let permission = optional(&mut asked, "permission", out);
    let account = optional(&mut asked, "account", out);
    let object = optional(&mut asked, "object", out);
    if !asked.has("records") {
        asked.missing("records", out);
    }
    let nodes = asked.list("records", out);
    let path = asked.path.key("records");
    let records =
        nodes.into_iter().enumerate().filter_map(|(item, node)| record(node, path.index(item), out)).collect();
    let context = context(&mut asked, out);
    asked.close(out);
    let expect = texts(case, "expect_visible", out);
    Some(Question::Filter { principal: principal?, permission, account, object, records, context, expect })
}

fn one_record(asked: &mut Fields<'_, '_>, out: &mut Problems) -> Option<CaseRecord> {
    let node = asked.take("record")?;
    record(node, asked.path.key("record"), out)
}

/// A record.
pub(super) fn record(node: Node<'_>, path: Path<'_>, out: &mut Problems) -> Option<CaseRecord> {
    let mut fields = Fields::open(node, path, out)?;
    let id = fields.string("id", out);
    let owner = optional(&mut fields, "owner", out);
    let account = optional(&mut fields, "account", out);
    let attributes = values(&mut fields, out);
    fields.close(out);
    Some(CaseRecord { id, owner, account, attributes })
}

fn context(asked: &mut Fields<'_, '_>, out: &mut Problems) -> CaseContext {
    let Some(node) = asked.take("context") else { return CaseContext::default() };
    let Some(mut fields) = Fields::open(node, asked.path.key("context"), out) else {
        return CaseContext::default();
    };
    let context = CaseContext {
        channel: optional(&mut fields, "channel", out),
        authenticated_at: fields.timestamp("authenticated_at", out),
        invitee_email: optional(&mut fields, "invitee_email", out),
        attributes: values(&mut fields, out),
    };
    fields.close(out);
    context
}

fn values(fields: &mut Fields<'_, '_>, out: &mut Problems) -> BTreeMap<String, Value> {
    let here = fields.path;
    let path = here.key("attributes");
    fields.take("attributes").map(|node| attributes(node, path, out, |_| None)).unwrap_or_default()
}

fn plain(fields: &mut Fields<'_, '_>, key: &str, out: &mut Problems) -> Option<String> {
    fields.required(key, out, |text| Ok::<_, String>(text.to_owned())).map(|(text, _)| text)
}

fn optional(fields: &mut Fields<'_, '_>, key: &str, out: &mut Problems) -> Option<String> {
    fields.text(key, out).map(|(text, _)| text.into_owned())
}

fn texts(fields: &mut Fields<'_, '_>, key: &str, out: &mut Problems) -> Vec<String> {
    let items = fields.parsed_list(key, out, |text| Ok::<_, String>(text.to_owned()));
    items.into_iter().map(|(text, _, _)| text).collect()
}
