//! What a filter asks of many records at once, of every kind of record that there is for a condition: it is what a
//! decision asks of each. The random organizations have such conditions too, but rarely where they make a difference.

use std::collections::BTreeMap;

use doorward::core::decision::{Question, Reason, Record, Resource, decide};
use doorward::core::model::Value;
use serde_json::json;

use crate::support::{filter, table};

const OBJECT: &str = "app";

fn question(record: Option<Record<'_>>) -> Question<'_> {
    Question {
        principal: "ana",
        permission: "records.read",
        resource: Resource { object: OBJECT, record, ..Resource::default() },
        ..Question::default()
    }
}

/// Filters by one allow policy with that condition, for a user who has no relation to any record.
fn agree(condition: &str, records: &[Record<'_>]) {
    let table = table(&json!({
        "organization": "acme",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}],
        "permissions": [{"name": "records.read", "requires_visibility": true}],
        "objects": [{"id": OBJECT, "kind": "app", "fields": {"tags": "list<string>", "more": "list<string>", "open": "bool"}}],
        "users": [{"id": "ana", "email": "ana@acme.com"}, {"id": "bo", "email": "bo@acme.com"}],
        "grants": [{"permissions": ["records.read"], "member": "group:all-users"}],
        "relations": [
            {"relation": "watcher", "member": "user:bo", "object": OBJECT, "record": "r-1"},
            {"relation": "assignee", "member": "user:bo", "object": OBJECT, "record": "r-2"},
        ],
        "data_access": [{"id": "p", "object": OBJECT, "effect": "allow", "members": ["user:ana"], "condition": condition}],
    }));
    let allowed = |record: &Record<'_>| decide(&table, &question(Some(*record)), 0) == Ok(Reason::Allowed);
    let one_by_one: Vec<u32> = (0..).zip(records).filter(|(_, record)| allowed(record)).map(|(at, _)| at).collect();
    assert!(!one_by_one.is_empty() && one_by_one.len() < records.len(), "{condition} tells nothing apart");
    let together = filter(&table, &question(None), records.iter().copied(), 0).unwrap();
    assert_eq!(together.positions, one_by_one, "{condition}");
}

#[test]
fn texts_that_are_sought_in_one_list() {
    let text = |text: &str| Value::String(text.to_owned());
    let list = |bits: usize| {
        Value::List(
            ["a", "b", "c"].iter().enumerate().filter(|(n, _)| bits >> n & 1 == 1).map(|(_, t)| text(t)).collect(),
        )
    };
    let lists: Vec<Value> =
        (0..8).map(list).chain([Value::Null, text("a"), Value::List(vec![text("a"), Value::Int(1)])]).collect();
    let rows: Vec<(String, BTreeMap<String, Value>)> = lists
        .iter()
        .enumerate()
        .flat_map(|(n, tags)| lists.iter().enumerate().map(move |(m, more)| (n, m, tags, more)))
        .map(|(n, m, tags, more)| {
            let attributes = [("tags", tags), ("more", more), ("watchers", tags), ("open", &Value::Bool(n % 2 == 0))];
            let attributes = attributes.map(|(name, value)| (name.to_owned(), value.clone()));
            (format!("{n}-{m}"), attributes.into())
        })
        .collect();
    let records: Vec<Record<'_>> =
        rows.iter().map(|(id, attributes)| Record { id, attributes, ..Record::default() }).collect();
    for condition in [
        "'a' in record.tags || 'b' in record.tags",
        "'b' in record.tags || record.open || 'a' in record.tags",
        "'a' in record.tags || 'b' in record.more || 'c' in record.tags",
        "'a' in record.tags && 'b' in record.tags",
        "!('a' in record.tags || 'c' in record.tags)",
        "!('a' in record.tags) || !('b' in record.tags)",
        "'a' in record.watchers || 'b' in record.watchers || 'c' in record.more",
        "!('a' in record.watchers || 'b' in record.watchers)",
    ] {
        agree(condition, &records);
    }
}

#[test]
fn relations_of_others_are_read_where_nothing_is_held() {
    let ids = ["r-0", "r-1", "r-2", "r-3"];
    let records: Vec<Record<'_>> = ids.iter().map(|id| Record { id, ..Record::default() }).collect();
    for condition in [
        "'bo' in record.watchers",
        "!('bo' in record.watchers)",
        "record.watchers.size() == 0",
        "'bo' in record.watchers || 'bo' in record.assignees",
        "record.assignees.exists(who, who == 'bo')",
    ] {
        agree(condition, &records);
    }
}
