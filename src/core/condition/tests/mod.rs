//! One schema and one set of facts for all tests, and what they have in common.

mod bounds;
mod errors;
mod folding;
mod mistakes;
mod random;
mod timing;
mod values;

use std::collections::BTreeMap;

use super::{Fact, Facts, List, Outcome, RecordPart, Reports, Schema, Typed, UserPart, check, evaluate, explain};
use crate::core::model::{FieldType, Millis, Value};

type Declared = BTreeMap<String, FieldType>;

pub(super) fn declared() -> (Declared, Declared) {
    let list = |element| FieldType::List(Box::new(element));
    let fields = [
        ("region", FieldType::String),
        ("amount", FieldType::Double),
        ("level", FieldType::Int),
        ("open", FieldType::Bool),
        ("due", FieldType::Timestamp),
        ("tags", list(FieldType::String)),
        ("ratios", list(FieldType::Double)),
        ("days", list(FieldType::Timestamp)),
        ("x-y", FieldType::String),
        ("t", FieldType::Bool),
        ("f", FieldType::Bool),
        ("e", FieldType::Bool),
        ("n", FieldType::Bool),
    ];
    let attributes = [("team", FieldType::String), ("limit", FieldType::Double), ("regions", list(FieldType::String))];
    let owned = |pairs: &[(&str, FieldType)]| pairs.iter().map(|(n, t)| ((*n).to_owned(), t.clone())).collect();
    (owned(&fields), owned(&attributes))
}

pub(super) fn compile(text: &str) -> Typed {
    let (fields, user_attributes) = declared();
    check(text, &Schema { fields: &fields, user_attributes: &user_attributes })
        .unwrap_or_else(|m| panic!("{text}: {m:?}"))
}

/// `line:column message`, of each mistake.
pub(super) fn mistakes(text: &str) -> Vec<String> {
    let (fields, user_attributes) = declared();
    match check(text, &Schema { fields: &fields, user_attributes: &user_attributes }) {
        Ok(typed) => panic!("`{text}` was taken, as `{typed}`"),
        Err(mistakes) => mistakes.iter().map(|m| format!("{}:{} {}", m.line, m.column, m.message)).collect(),
    }
}

pub(super) struct World {
    pub fields: BTreeMap<String, Value>,
    pub user: BTreeMap<String, Value>,
    pub context: BTreeMap<String, Value>,
    pub watchers: Vec<String>,
    pub owner: Option<&'static str>,
    pub now: Millis,
}

pub(super) const NOW: Millis = 1_800_000_000_000;

pub(super) fn texts(texts: &[&str]) -> Value {
    Value::List(texts.iter().map(|text| Value::String((*text).to_owned())).collect())
}

/// A record and a principal of whom much is known; `e` and `manager` are missing, `n` is null.
pub(super) fn world() -> World {
    let owned = |pairs: &[(&str, Value)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
    World {
        fields: owned(&[
            ("region", Value::String("eu".to_owned())),
            ("amount", Value::Double(10.5)),
            ("level", Value::Int(3)),
            ("open", Value::Bool(true)),
            ("due", Value::Timestamp(NOW - 1)),
            ("tags", texts(&["red", "blue", "grün"])),
            ("ratios", Value::List(vec![Value::Double(0.5), Value::Int(2)])),
            ("x-y", Value::String("dash".to_owned())),
            ("t", Value::Bool(true)),
            ("f", Value::Bool(false)),
            ("n", Value::Null),
        ]),
        user: owned(&[
            ("team", Value::String("risk".to_owned())),
            ("limit", Value::Double(10.0)),
            ("regions", texts(&["eu", "us"])),
            ("badge", Value::Int(7)),
        ]),
        context: owned(&[
            ("ip", Value::String("10.0.0.1".to_owned())),
            ("score", Value::Int(3)),
            ("ratio", Value::Double(2.5)),
            ("flag", Value::Bool(true)),
            ("mixed", Value::List(vec![Value::Int(1), Value::String("a".to_owned()), Value::Null])),
            ("nil", Value::Null),
            ("x-y", Value::Int(1)),
        ]),
        watchers: vec!["ana".to_owned(), "bo".to_owned()],
        owner: Some("bo"),
        now: NOW,
    }
}

fn found<'a>(map: &'a BTreeMap<String, Value>, name: &str) -> Fact<'a> {
    map.get(name).map_or(Fact::Missing, Fact::from)
}

impl Facts for World {
    fn field(&self, slot: u16, name: &str) -> Fact<'_> {
        let (fields, _) = declared();
        assert_eq!(
            fields.keys().nth(slot.into()).map(String::as_str),
            Some(name),
            "a slot counts fields in order of name"
        );
        found(&self.fields, name)
    }
    fn record(&self, part: RecordPart) -> Fact<'_> {
        match part {
            RecordPart::Id => Fact::Str("r-1"),
            RecordPart::Owner => self.owner.map_or(Fact::Missing, Fact::Str),
            RecordPart::Account => Fact::Missing,
            RecordPart::Watchers => Fact::List(List::Other(&self.watchers)),
            RecordPart::Assignees => Fact::List(List::Texts(&["cy", "dee"])),
            RecordPart::Mentioned | RecordPart::SharedWith => Fact::List(List::Texts(&[])),
        }
    }
    fn user(&self, part: UserPart) -> Fact<'_> {
        match part {
            UserPart::Id => Fact::Str("ana"),
            UserPart::Email => Fact::Str("ana@acme.com"),
            UserPart::Kind => Fact::Str("internal"),
            UserPart::Account => Fact::Str("main"),
            UserPart::Manager => Fact::Missing,
        }
    }
    fn user_attribute(&self, name: &str) -> Fact<'_> {
        found(&self.user, name)
    }
    fn channel(&self) -> Fact<'_> {
        Fact::Str("platform")
    }
    fn context_attribute(&self, name: &str) -> Fact<'_> {
        found(&self.context, name)
    }
    fn in_groups(&self, group: &str) -> bool {
        matches!(group, "risk" | "staff")
    }
    fn groups(&self) -> List<'_> {
        List::Texts(&["risk", "staff"])
    }
    fn in_reports(&self, user: &str, reports: Reports) -> bool {
        user == "bo" || reports == Reports::All && user == "cy"
    }
    fn now(&self) -> Millis {
        self.now
    }
}

/// What a condition comes to, and that an explanation says the same.
pub(super) fn outcome(condition: &Typed, world: &World) -> Outcome {
    let outcome = evaluate(condition, world);
    let behind_a_pointer: &dyn Facts = world;
    assert_eq!(evaluate(condition, behind_a_pointer), outcome);
    let trace = explain(condition, world);
    assert_eq!(trace.outcome, outcome, "{condition}");
    if !trace.cut {
        let root = trace.steps.last().expect("the whole has a step");
        assert_eq!(root.span, condition.root().span, "{condition}");
    }
    outcome
}

/// `true`, `false` or the cause's sentence.
pub(super) fn answer(text: &str, world: &World) -> String {
    let condition = compile(text);
    match outcome(&condition, world) {
        Outcome::True => "true".to_owned(),
        Outcome::False => "false".to_owned(),
        Outcome::Error(cause) => condition.describe(cause),
    }
}
