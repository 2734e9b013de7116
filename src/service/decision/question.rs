//! A question, borrowed from the request that brought it.

use std::collections::BTreeMap;

use crate::core::decision::{self, Context, Problem, ProblemKind, Question, Record, Resource, Walk};
use crate::core::id::{Email, Id};
use crate::core::limits::MAX_FIELD_NAME_BYTES;
use crate::core::table::Table;
use crate::engine::ReadError;

use super::super::convert::value::{is_sound, value};
use super::super::fields::Fields;
use super::super::proto;
use super::super::refusal::Refusal;
use super::super::status::Failure;

/// In place of the permission of a question that is about none, or about all. No permission has
/// such a name.
pub const NO_PERMISSION: &str = "*";
const MAX_CHANNEL_BYTES: usize = 64;
const MAX_ATTRIBUTES: usize = 256;

type Attributes = BTreeMap<String, proto::Value>;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// For the core.
    pub question: Question<'a>,
}

impl<'a> Asked<'a> {
    /// The question in a request; what is wrong with it beyond what the core finds goes to `fields`.
    pub fn new(
        fields: &mut Fields,
        principal: &'a str,
        permission: &'a str,
        resource: Option<&'a proto::Resource>,
        context: Option<&'a proto::Context>,
    ) -> Self {
        let resource = resource.map(|r| self::resource(fields, r)).unwrap_or_default();
        let context = context.map(|c| self::context(fields, c)).unwrap_or_default();
        Self { question: Question { principal, permission, resource, context } }
    }
}

fn resource<'a>(fields: &mut Fields, resource: &'a proto::Resource) -> Resource<'a> {
    let proto::Resource { account, object, record } = resource;
    let record = record.as_ref().map(|record| {
        if !is_sound_record(record) {
            fields.within("resource", |f| f.within("record", |f| refuse_record(f, record)));
        }
        self::record(record)
    });
    Resource { account, object, record }
}

/// A record whose attributes are sound.
pub fn record(record: &proto::Record) -> Record<'_> {
    let proto::Record { id, owner, account, attributes } = record;
    Record { id, owner, account, attributes }
}

/// Whether the attributes of a record can be read where they lie.
pub fn is_sound_record(record: &proto::Record) -> bool {
    let attributes = &record.attributes;
    attributes.len() <= MAX_ATTRIBUTES && attributes.longest_name() <= MAX_FIELD_NAME_BYTES && attributes.are_sound()
}

/// Notes what is wrong with a record that is not sound.
pub fn refuse_record(fields: &mut Fields, record: &proto::Record) {
    if record.attributes.len() > MAX_ATTRIBUTES {
        return fields.at_most("attributes", record.attributes.len(), MAX_ATTRIBUTES);
    }
    refuse(fields, &record.attributes.to_map());
}

/// Whether attributes can be read where they lie.
fn are_sound(attributes: &Attributes) -> bool {
    let sound = |(name, value): (&String, &proto::Value)| name.len() <= MAX_FIELD_NAME_BYTES && is_sound(value);
    attributes.len() <= MAX_ATTRIBUTES && attributes.iter().all(sound)
}

/// Notes what is wrong with attributes that are not sound.
fn refuse(fields: &mut Fields, attributes: &Attributes) {
    if attributes.len() > MAX_ATTRIBUTES {
        return fields.at_most("attributes", attributes.len(), MAX_ATTRIBUTES);
    }
    for (name, value) in attributes {
        if name.len() > MAX_FIELD_NAME_BYTES {
            let name: String = name.chars().take(32).collect();
            fields.refuse("attributes", format_args!("the name `{name}…` is longer than {MAX_FIELD_NAME_BYTES} bytes"));
        } else if !is_sound(value) {
            fields.map("attributes", [(name.clone(), value.clone())].into(), self::value);
        }
    }
}

/// The circumstances; what is wrong with them goes to `fields`.
pub fn context<'a>(fields: &mut Fields, context: &'a proto::Context) -> Context<'a> {
    let proto::Context { channel, authenticated_at, invitee_email, attributes } = context;
    if channel.len() > MAX_CHANNEL_BYTES {
        fields.refuse("context.channel", format_args!("is longer than {MAX_CHANNEL_BYTES} bytes"));
    }
    if !are_sound(attributes) {
        fields.within("context", |f| refuse(f, attributes));
    }
    if !invitee_email.is_empty()
        && let Err(error) = Email::check(invitee_email)
    {
        fields.refuse("context.invitee_email", error);
    }
    let authenticated_at = authenticated_at.and_then(|at| fields.instant("context.authenticated_at", at));
    Context { channel, authenticated_at, invitee_email, attributes }
}

/// What is wrong with a question whatever the organization: that of an organization that has
/// nothing, as far as it is not about what there is.
fn syntax(question: &Question<'_>) -> Vec<Problem> {
    let Ok(nowhere) = Id::parse("nowhere") else { return Vec::new() };
    let blank = Table::blank(nowhere, "".into(), 0);
    let wrong = match question.permission {
        NO_PERMISSION => Walk::begin(&blank, question, 0).err(),
        _ => decision::decide(&blank, question, 0).err(),
    };
    let mut problems = wrong.unwrap_or_default();
    problems.retain(|p| match p.kind {
        ProblemKind::Malformed(_) | ProblemKind::RecordWithoutObject | ProblemKind::RecordTwice(_) => true,
        ProblemKind::UnknownPermission(_)
        | ProblemKind::UnknownObject(_)
        | ProblemKind::UnknownAccount(_)
        | ProblemKind::UnknownPrincipal(_) => false,
    });
    problems
}

/// Malformed wins: a question to an unknown organization is looked at, too.
pub fn failure(error: ReadError, question: &Question<'_>) -> Failure {
    let ReadError::UnknownOrganization(id) = &error else { return error.into() };
    let mut problems = syntax(question);
    if let Err(wrong) = Id::check(id) {
        problems.insert(0, Problem { field: "organization", kind: wrong.into() });
    }
    if problems.is_empty() { error.into() } else { problems.into() }
}

/// All that is wrong with a question of which something is wrong already.
pub fn malformed(mut fields: Fields, error: Option<ReadError>, question: &Question<'_>) -> Failure {
    let problems = match error {
        Some(ReadError::Problems(problems)) => problems,
        Some(ReadError::UnknownOrganization(id)) => {
            if let Err(wrong) = Id::check(&id) {
                fields.refuse("organization", wrong);
            }
            syntax(question)
        }
        Some(ReadError::UnknownSuperOrganization(_) | ReadError::OtherHistory | ReadError::NotReached { .. })
        | None => Vec::new(),
    };
    for Problem { field, kind } in problems {
        fields.refuse(field, kind);
    }
    match fields.finish::<()>(None) {
        Err(refusal) => refusal.into(),
        Ok(()) => Refusal::Internal("a malformed question without a violation").into(),
    }
}
