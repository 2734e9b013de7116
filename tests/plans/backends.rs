//! Whatever runs plans: each is given the records, then asked which of them pass.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use doorward::core::condition::{Shape, Type};
use doorward::core::plan::{Dialect, Field, Filter, PlanError, sql};
use serde_json::{Value as Json, json};

use crate::outside::{Script, skipped};
use crate::postgresql::{Postgres, USER};
use crate::sqlite::Sqlite;
use crate::stored::{Stored, to_json};

pub type Ids = BTreeSet<String>;

/// The folder with this file.
const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/plans");

/// The databases that run what we write as SQL.
pub struct Databases {
    pub postgres: Option<Postgres>,
    sqlite: Sqlite,
    /// Whether SQLite has the table, too.
    in_sqlite: bool,
}

impl Databases {
    pub fn start() -> Self {
        Self { postgres: Postgres::start(), sqlite: Sqlite::new(), in_sqlite: false }
    }

    pub fn load(&mut self, stored: &Stored) {
        if let Some(postgres) = &mut self.postgres {
            postgres.load(stored);
        }
        self.in_sqlite = !stored.has_twins();
        if self.in_sqlite {
            self.sqlite.load(stored);
        }
    }

    /// What each of them says, by its name; what cannot be said in its SQL is an error.
    pub fn ask(&mut self, filter: &Filter) -> Vec<(&'static str, Result<Ids, PlanError>)> {
        let mut answers = Vec::new();
        if let Some(postgres) = &mut self.postgres {
            let passing = sql(filter, Dialect::PostgreSql).map(|sql| {
                postgres.passing(&sql).unwrap_or_else(|error| panic!("{error:?}\n{}\n{:?}", sql.text, sql.parameters))
            });
            answers.push(("PostgreSQL", passing));
        }
        if self.in_sqlite {
            let passing = sql(filter, Dialect::Sqlite).map(|sql| {
                self.sqlite
                    .passing(&sql)
                    .unwrap_or_else(|error| panic!("{error:?}\n{}\n{:?}", sql.text, sql.parameters))
            });
            answers.push(("SQLite", passing));
        }
        answers
    }
}

/// Cerbos' adapter for `SQLAlchemy`, on an SQLite of its own.
pub struct SqlAlchemy(Script);

impl SqlAlchemy {
    pub fn start() -> Option<Self> {
        let python = std::env::var("DOORWARD_PLANS_PYTHON").unwrap_or("python3".to_owned());
        match Script::start(Command::new(python).arg(format!("{HERE}/run_sqlalchemy.py"))) {
            Ok(script) => Some(Self(script)),
            Err(why) => skipped("cerbos-sqlalchemy", &why),
        }
    }

    /// False where SQLite has no such table.
    pub fn load(&mut self, stored: &Stored) -> bool {
        if stored.has_twins() {
            return false;
        }
        let columns: Vec<Json> = stored
            .columns
            .iter()
            .map(|column| json!([column.name, type_name(column.shape).unwrap_or("list")]))
            .collect();
        let rows: Vec<Json> = stored.rows.iter().map(|row| row.iter().map(to_json).collect()).collect();
        let loaded = self.0.ask(&json!({"columns": columns, "rows": rows}));
        assert_eq!(loaded["loaded"], stored.rows.len());
        true
    }

    /// Which records pass, or why it does not say.
    pub fn ask(&mut self, plan: &Json) -> Result<Ids, String> {
        answered(self.0.ask(&json!({"plan": plan})))
    }
}

/// Cerbos' adapter for Prisma, on our PostgreSQL.
pub struct Prisma {
    script: Script,
    /// Its client's columns with their types in SQL.
    columns: BTreeMap<String, &'static str>,
    types: Json,
}

const TABLE: &str = "prisma_records";

impl Prisma {
    pub fn start(postgres: Option<&mut Postgres>) -> Option<Self> {
        let postgres = postgres?;
        let Ok(folder) = std::env::var("DOORWARD_PLANS_NODE") else {
            return skipped("@cerbos/orm-prisma", "DOORWARD_PLANS_NODE names no folder with a generated client");
        };
        let columns = columns();
        let declared = columns.iter().map(|(name, ty)| format!("\"{name}\" {ty}")).collect::<Vec<_>>().join(", ");
        postgres.client().batch_execute(&format!("CREATE UNLOGGED TABLE {TABLE} ({declared})")).unwrap();
        let script = format!("{HERE}/run_prisma.mjs");
        match Script::start(Command::new("node").arg(script).arg(folder).arg(postgres.socket()).arg(USER)) {
            Ok(script) => Some(Self { script, columns, types: Json::Null }),
            Err(why) => skipped("@cerbos/orm-prisma", &why),
        }
    }

    pub fn load(&mut self, postgres: &mut Postgres, stored: &Stored) {
        let named = |column: &Field| match type_name(column.shape) {
            Some("string") if matches!(&*column.name, "id" | "owner" | "account") => Some(column.name.to_string()),
            Some(ty) => Some(format!("{}_{ty}", column.name)),
            None => None,
        };
        let (mut at, mut fields, mut names) = (Vec::new(), Vec::new(), Vec::new());
        self.types = json!({"owner": null, "account": null});
        for (number, column) in stored.columns.iter().enumerate() {
            let Some(name) = named(column).filter(|name| self.columns.contains_key(name)) else { continue };
            if name != *column.name {
                self.types[&*column.name] = json!(type_name(column.shape));
            }
            at.push(number);
            fields.push(column);
            names.push(format!("\"{name}\""));
        }
        postgres.client().batch_execute(&format!("TRUNCATE {TABLE}")).unwrap();
        let rows = stored.rows.iter().map(|row| at.iter().map(|number| &row[*number]).collect());
        postgres.copy(&format!("{TABLE} ({})", names.join(", ")), &fields, rows);
    }

    pub fn ask(&mut self, plan: &Json) -> Result<Ids, String> {
        answered(self.script.ask(&json!({"plan": plan, "types": self.types})))
    }
}

/// As its schema has them.
fn columns() -> BTreeMap<String, &'static str> {
    let schema = include_str!("prisma/schema.prisma");
    let model = schema.split_once("model Record {").unwrap().1.split_once("@@").unwrap().0;
    let column = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, ty) = (words.next()?, words.next()?);
        let ty = match ty.trim_end_matches('?') {
            "String" => "text COLLATE \"C\"",
            "BigInt" => "bigint",
            "Float" => "double precision",
            "Boolean" => "boolean",
            "DateTime" => "timestamptz",
            _ => panic!("{line}"),
        };
        Some((name.to_owned(), ty))
    };
    model.lines().filter_map(column).collect()
}

/// None of a list.
fn type_name(shape: Shape) -> Option<&'static str> {
    Some(match shape {
        Shape::One(Type::Int) => "int",
        Shape::One(Type::Double) => "double",
        Shape::One(Type::Bool) => "bool",
        Shape::One(Type::Timestamp) => "timestamp",
        Shape::One(_) => "string",
        Shape::Many(_) => return None,
    })
}

fn answered(answer: Json) -> Result<Ids, String> {
    match answer["ids"].as_array() {
        Some(ids) => Ok(ids.iter().map(|id| id.as_str().unwrap().to_owned()).collect()),
        None => Err(answer["refused"].as_str().unwrap().to_owned()),
    }
}
