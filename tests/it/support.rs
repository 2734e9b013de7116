//! What several of the tests need: organizations from files, questions as the library takes them.

use doorward::cli::file::{FileErrors, Known, OrganizationFile};
use doorward::core::change::{Change, apply};
use doorward::core::decision::{self, Context, Reason, Record, Resource};
use doorward::core::filter::{self, Records, Wrong};
use doorward::core::lists::SuperOrganization;
use doorward::core::model::{Activation, Row, Target, Value};
use doorward::core::table::Table;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::generate::World;
use crate::oracle::conditions::Attribute;
use crate::oracle::{Answer, Question, RecordQ};

/// The organization file in a generated one, which has its super-organization's denylist too.
pub fn parsed(file: &Json) -> Result<OrganizationFile, FileErrors> {
    let mut own = file.clone();
    own.as_object_mut().unwrap().remove("element_denylist");
    OrganizationFile::parse(&own.to_string(), "generated.json", Known::of)
}

/// The super-organization of a generated file, as the given revision of it.
pub fn over(file: &Json, revision: u64) -> Option<Arc<SuperOrganization>> {
    let id = file["super_organization"].as_str()?.parse().unwrap();
    let denied = file["element_denylist"].as_array().into_iter().flatten();
    let denylist = denied.map(|id| id.as_str().unwrap().parse().unwrap()).collect();
    let display_name = String::new();
    Some(Arc::new(SuperOrganization { id, history: "s".into(), revision, display_name, denylist }))
}

/// The rows of an organization file.
pub fn rows(file: &Json) -> Vec<Row> {
    match parsed(file) {
        Ok(file) => file.rows,
        Err(errors) => panic!("{errors}\n{file:#}"),
    }
}

/// An organization before its first row.
pub fn blank(seed: u64) -> Table {
    Table::blank("acme".parse().unwrap(), "h".into(), seed)
}

/// The version after `changes`, which must be possible.
pub fn applied(table: &Table, changes: Vec<Change>) -> Table {
    match apply(table, changes) {
        Ok(applied) => applied.table,
        Err(error) => panic!("{error:?}"),
    }
}

/// The organization that a file describes, in one change.
pub fn table(file: &Json) -> Table {
    applied(
        &blank(1).under(over(file, 1).as_ref()),
        vec![Change::Replace { rows: rows(file), deactivate_missing: false }],
    )
}

/// The activations of a world as rows (rule 7.4).
pub fn activations(world: &World) -> Vec<Row> {
    let text = |row: &Json, key: &str| row[key].as_str().map(str::to_owned);
    let row = |row: &Json| {
        let target = match (text(row, "account"), text(row, "object"), text(row, "record")) {
            (Some(account), ..) => Target::Account(account.parse().unwrap()),
            (None, Some(object), Some(record)) => Target::Record(object.parse().unwrap(), record.parse().unwrap()),
            (None, Some(object), None) => Target::Object(object.parse().unwrap()),
            (None, None, _) => Target::Organization,
        };
        Row::Activation(Activation {
            id: text(row, "id").unwrap().parse().unwrap(),
            role: text(row, "role").unwrap().parse().unwrap(),
            target,
            user: text(row, "user").unwrap().parse().unwrap(),
            justification: "it burns".to_owned(),
            rehearsal: row["rehearsal"] == true,
            starts_at: row["starts_at_ms"].as_i64().unwrap(),
            expires_at: row["expires_at_ms"].as_i64().unwrap(),
            ended_at: row["ended_at_ms"].as_i64(),
        })
    };
    world.activations.iter().map(row).collect()
}

/// A version, with the activations of a world.
pub fn activated(table: &Table, world: &World) -> Table {
    applied(table, activations(world).into_iter().map(Change::Create).collect())
}

/// What is sent with a question, as the library takes it.
#[derive(Debug)]
pub struct Sent(BTreeMap<String, Value>);

impl Sent {
    pub fn of(attributes: &BTreeMap<String, Attribute>) -> Self {
        Self(attributes.iter().map(|(name, value)| (name.clone(), to_value(value))).collect())
    }
}

pub fn to_value(attribute: &Attribute) -> Value {
    match attribute {
        Attribute::Null => Value::Null,
        Attribute::Bool(value) => Value::Bool(*value),
        Attribute::Int(value) => Value::Int(*value),
        Attribute::Double(value) => Value::Double(*value),
        Attribute::String(text) => Value::String(text.clone()),
        Attribute::Timestamp(ms) => Value::Timestamp(*ms),
        Attribute::List(values) => Value::List(values.iter().map(to_value).collect()),
    }
}

/// The record as the library takes it, with what is sent of it.
pub fn record<'a>(r: &'a RecordQ, sent: &'a Sent) -> Record<'a> {
    Record {
        id: &r.id,
        owner: r.owner.as_deref().unwrap_or(""),
        account: r.account.as_deref().unwrap_or(""),
        attributes: &sent.0,
    }
}

/// What is sent with a question: of the record, and of the circumstances.
pub fn sent(q: &Question) -> (Sent, Sent) {
    let of_record = q.record.as_ref().map_or_else(|| Sent(BTreeMap::new()), |r| Sent::of(&r.attributes));
    (of_record, Sent::of(&q.context_attributes))
}

/// The question as the library takes it.
pub fn question<'a>(q: &'a Question, (of_record, of_context): &'a (Sent, Sent)) -> decision::Question<'a> {
    let record = q.record.as_ref().map(|r| record(r, of_record));
    decision::Question {
        principal: &q.principal,
        permission: &q.permission,
        resource: Resource {
            account: q.account.as_deref().unwrap_or(""),
            object: q.object.as_deref().unwrap_or(""),
            record,
        },
        context: Context {
            channel: q.channel.as_deref().unwrap_or(""),
            authenticated_at: q.authenticated_at_ms,
            invitee_email: q.invitee_email.as_deref().unwrap_or(""),
            attributes: &of_context.0,
        },
    }
}

/// The library's answer, in the oracle's words.
pub fn answer(table: &Table, q: &Question) -> Answer {
    match decision::decide(table, &question(q, &sent(q)), q.now_ms) {
        Err(problems) => {
            assert!(!problems.is_empty(), "an error names what is wrong: {q:?}");
            Answer::Error
        }
        Ok(Reason::Allowed) => Answer::Allow,
        Ok(reason) => Answer::Deny(reason.name()),
    }
}

/// What passes for one permission.
#[derive(Debug, PartialEq, Eq)]
pub struct Passed {
    pub positions: Vec<u32>,
    pub reason: Reason,
}

/// Filters rows by the question's own permission.
pub fn filter<'a>(
    table: &Table,
    question: &decision::Question<'_>,
    records: impl IntoIterator<Item = Record<'a>>,
    now: i64,
) -> Result<Passed, Vec<Wrong>> {
    let rows: Vec<_> = records.into_iter().collect();
    let all = filter::filter(table, question, &[question.permission], Records::Rows(&rows), now)?;
    let [one] = all.as_slice() else { panic!("one permission is asked, {} are answered", all.len()) };
    Ok(Passed { positions: one.positions().collect(), reason: one.reason })
}

/// A call of a test: to be carried out, of an organization that is created where there is none.
pub fn call(organization: &str) -> doorward::engine::Call {
    doorward::engine::Call {
        organization: organization.parse().unwrap(),
        caller: "test".into(),
        on_behalf_of: None,
        peer: String::new(),
        method: "Test",
        request_id: String::new(),
        body: [7; 32],
        validate_only: false,
        create: doorward::engine::Create::IfMissing,
    }
}

/// Prints whether a time that was wanted was kept: a busy machine may not keep it, and a test must not fail by that.
pub fn met(what: &str, kept: bool) {
    let word = match (cfg!(debug_assertions), kept) {
        (true, _) => "not judged, without optimization",
        (false, true) => "met",
        (false, false) => "NOT MET",
    };
    println!("{what}: {word}");
}
