//! Records as a database keeps them: one typed column a field, what does not fit being null.

use doorward::core::condition::{Shape, Type};
use doorward::core::model::Value;
use doorward::core::plan::Field;
use serde_json::{Value as Json, json};

use crate::oracle::RecordQ;
use crate::plan_run::{Cell, read, row};

/// A table, and what is in it.
pub struct Stored {
    pub columns: Vec<Field>,
    pub rows: Vec<Vec<Cell>>,
}

const TEXTS: [&str; 3] = ["id", "owner", "account"];
const LISTS: [&str; 4] = ["watchers", "assignees", "mentioned", "shared_with"];

impl Stored {
    /// The records of an object of a file, as `core::plan` says that a caller keeps them.
    pub fn of(file: &Json, object: &str, records: &[RecordQ]) -> Self {
        let objects = file["objects"].as_array().unwrap();
        let object = objects.iter().find(|row| row["id"] == object).unwrap();
        let declared = object["fields"].as_object().into_iter().flatten();
        let field = |name: &str, shape| Field { name: name.into(), shape };
        let columns: Vec<Field> = TEXTS
            .map(|name| field(name, Shape::One(Type::String)))
            .into_iter()
            .chain(LISTS.map(|name| field(name, Shape::Many(Type::String))))
            .chain(declared.map(|(name, kind)| field(name, shape(kind.as_str().unwrap()))))
            .collect();
        let cells = |record: &RecordQ| {
            let row = row(record);
            columns.iter().map(|column| read(column, &row)).collect()
        };
        let rows = records.iter().map(cells).collect();
        Self { columns, rows }
    }

    /// Whether two columns differ by case alone: SQLite has no such tables.
    pub fn has_twins(&self) -> bool {
        let mut names: Vec<String> = self.columns.iter().map(|column| column.name.to_ascii_lowercase()).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    }
}

fn shape(kind: &str) -> Shape {
    let single = |kind: &str| match kind {
        "string" => Type::String,
        "int" => Type::Int,
        "double" => Type::Double,
        "bool" => Type::Bool,
        "timestamp" => Type::Timestamp,
        _ => panic!("no type: {kind}"),
    };
    match kind.strip_prefix("list<").and_then(|kind| kind.strip_suffix('>')) {
        Some(element) => Shape::Many(single(element)),
        None => Shape::One(single(kind)),
    }
}

/// A name as SQL has it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A parameter of a query.
pub fn cell(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::Bool(value) => Cell::Bool(*value),
        Value::Int(value) => Cell::Int(*value),
        Value::Double(value) => Cell::Double(*value),
        Value::String(text) => Cell::Text(text.clone()),
        Value::Timestamp(ms) => Cell::Time(*ms),
        Value::List(values) => Cell::List(values.iter().map(cell).collect()),
    }
}

/// Instants as milliseconds.
pub fn to_json(cell: &Cell) -> Json {
    match cell {
        Cell::Null => Json::Null,
        Cell::Bool(value) => json!(value),
        Cell::Int(value) | Cell::Time(value) | Cell::Duration(value) => json!(value),
        Cell::Double(value) => json!(value),
        Cell::Text(text) => json!(text),
        Cell::List(cells) => cells.iter().map(to_json).collect(),
    }
}
