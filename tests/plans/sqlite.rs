//! SQLite, in memory.

use std::collections::BTreeSet;

use doorward::core::condition::{Shape, Type};
use doorward::core::plan::Sql;
use rusqlite::types::{ToSql, ToSqlOutput, Value as Native};
use rusqlite::{Connection, params_from_iter};

use crate::plan_run::Cell;
use crate::stored::{Stored, cell, quoted, to_json};

pub struct Sqlite(Connection);

impl Sqlite {
    pub fn new() -> Self {
        Self(Connection::open_in_memory().unwrap())
    }

    /// These records, and no others.
    pub fn load(&mut self, stored: &Stored) {
        let columns =
            stored.columns.iter().map(|column| format!("{} {}", quoted(&column.name), column_type(column.shape)));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let create = format!("DROP TABLE IF EXISTS records; CREATE TABLE records ({columns})");
        self.0.execute_batch(&create).unwrap();
        let places = vec!["?"; stored.columns.len()].join(", ");
        let transaction = self.0.transaction().unwrap();
        let mut insert = transaction.prepare(&format!("INSERT INTO records VALUES ({places})")).unwrap();
        for row in &stored.rows {
            insert.execute(params_from_iter(row)).unwrap();
        }
        drop(insert);
        transaction.commit().unwrap();
    }

    /// The ids of the records that pass.
    pub fn passing(&self, sql: &Sql) -> Result<BTreeSet<String>, rusqlite::Error> {
        let Sql { text, parameters } = sql;
        let mut query = self.0.prepare(&format!("SELECT record.\"id\" FROM records AS record WHERE {text}"))?;
        let parameters = parameters.iter().map(cell).collect::<Vec<_>>();
        query.query_map(params_from_iter(&parameters), |row| row.get(0))?.collect()
    }
}

fn column_type(shape: Shape) -> &'static str {
    match shape {
        Shape::One(Type::Int | Type::Bool | Type::Timestamp) => "INTEGER",
        Shape::One(Type::Double) => "REAL",
        Shape::One(_) | Shape::Many(_) => "TEXT",
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(match self {
            Self::Null => Native::Null,
            Self::Bool(value) => Native::Integer(i64::from(*value)),
            Self::Int(value) | Self::Time(value) | Self::Duration(value) => Native::Integer(*value),
            Self::Double(value) => Native::Real(*value),
            Self::Text(text) => Native::Text(text.clone()),
            Self::List(_) => Native::Text(to_json(self).to_string()),
        }))
    }
}
