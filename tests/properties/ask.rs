//! The oracle's worlds and questions, as the library takes them.

use std::collections::BTreeMap;

use doorward::core::change::Change;
use doorward::core::decision::{self, Context, Record, Resource};
use doorward::core::model::{Activation, Row, Target, Value};
use doorward::core::table::Table;
use serde_json::Value as Json;

use crate::generate::World;
use crate::oracle::conditions::Attribute;
use crate::oracle::{Question, RecordQ};
use crate::support::applied;

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
