//! A PostgreSQL of its own, on a temporary directory and without a port.
//!
//! Its texts are ordered as in English where a query says nothing else, unlike any policy.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use doorward::core::condition::{Shape, Type as Kind};
use doorward::core::plan::{Field, Sql};
use postgres::binary_copy::BinaryCopyInWriter;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, Config, NoTls};
use tempfile::TempDir;

use crate::outside::skipped;
use crate::plan_run::Cell;
use crate::stored::{Stored, cell, quoted};

pub const USER: &str = "doorward";
/// How long a start may take.
const START: Duration = Duration::from_secs(60);

/// A running server, and one connection. It stops when this goes, however the test ends.
pub struct Postgres {
    client: Option<Client>,
    server: Child,
    dir: TempDir,
}

impl Postgres {
    /// None where there is no PostgreSQL on the machine.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else { return skipped("PostgreSQL", "no initdb on this machine") };
        let dir = tempfile::tempdir().unwrap();
        let user = server_user();
        if let Some(user) = user {
            assert!(Command::new("chown").arg(user).arg(dir.path()).status().unwrap().success());
        }
        let data = dir.path().join("data");
        let made = as_user(user, &programs.join("initdb"))
            .args(["--no-sync", "--encoding=UTF8", "--auth=trust", "--locale=C.UTF-8", "--username", USER])
            .args(["--locale-provider=icu", "--icu-locale=en-US", "--pgdata"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut server = as_user(user, &programs.join("postgres"));
        server.arg("-D").arg(&data).arg("-k").arg(dir.path());
        for setting in ["listen_addresses=", "fsync=off", "synchronous_commit=off", "full_page_writes=off"] {
            server.args(["-c", setting]);
        }
        let server = server.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut started = Self { client: None, server, dir };
        started.client = Some(started.connected());
        Some(started)
    }

    fn connected(&mut self) -> Client {
        let began = Instant::now();
        loop {
            let error = match Config::new().host_path(self.dir.path()).user(USER).dbname("postgres").connect(NoTls) {
                Ok(client) => return client,
                Err(error) => error,
            };
            let log = || std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(self.server.try_wait().unwrap().is_none(), "PostgreSQL ended: {}", log());
            assert!(began.elapsed() < START, "PostgreSQL does not start: {error}: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where its socket is.
    pub fn socket(&self) -> &Path {
        self.dir.path()
    }

    pub fn client(&mut self) -> &mut Client {
        self.client.as_mut().unwrap()
    }

    /// These records, and no others.
    pub fn load(&mut self, stored: &Stored) {
        let columns = stored.columns.iter().map(|column| format!("{} {}", quoted(&column.name), name(column.shape)));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let create = format!("DROP TABLE IF EXISTS records; CREATE UNLOGGED TABLE records ({columns})");
        self.client().batch_execute(&create).unwrap();
        let fields: Vec<&Field> = stored.columns.iter().collect();
        self.copy("records", &fields, stored.rows.iter().map(|row| row.iter().collect()));
    }

    /// Puts rows in.
    pub fn copy<'r>(&mut self, table: &str, fields: &[&Field], rows: impl Iterator<Item = Vec<&'r Cell>>) {
        let types: Vec<Type> = fields.iter().map(|field| type_of(field.shape)).collect();
        let writer = self.client().copy_in(&format!("COPY {table} FROM STDIN BINARY")).unwrap();
        let mut writer = BinaryCopyInWriter::new(writer, &types);
        for row in rows {
            writer.write_raw(row.into_iter().map(|cell| Bound(cell.clone()))).unwrap();
        }
        writer.finish().unwrap();
    }

    /// The ids of the records that pass.
    pub fn passing(&mut self, sql: &Sql) -> Result<BTreeSet<String>, postgres::Error> {
        let Sql { text, parameters } = sql;
        let parameters: Vec<Bound> = parameters.iter().map(|value| Bound(cell(value))).collect();
        let parameters: Vec<&(dyn ToSql + Sync)> =
            parameters.iter().map(|bound| bound as &(dyn ToSql + Sync)).collect();
        let query = format!("SELECT record.\"id\" FROM records AS record WHERE {text}");
        let rows = self.client().query(&query, &parameters)?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.client.take());
        drop(Command::new("kill").args(["-INT", &self.server.id().to_string()]).status());
        drop(self.server.wait());
    }
}

/// Where initdb and postgres are.
fn programs() -> Option<PathBuf> {
    let named = Command::new("pg_config").arg("--bindir").output().ok();
    let named = named.and_then(|output| String::from_utf8(output.stdout).ok());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut places: Vec<PathBuf> = named.map(|dir| PathBuf::from(dir.trim())).into_iter().collect();
    places.extend(std::env::split_paths(&path));
    places.extend(debian.map(|version| version.path().join("bin")));
    places.into_iter().find(|dir| dir.join("initdb").exists() && dir.join("postgres").exists())
}

/// As whom it runs where we are root, as whom it refuses to.
fn server_user() -> Option<&'static str> {
    let id = Command::new("id").arg("-u").output().unwrap();
    let root = String::from_utf8_lossy(&id.stdout).trim() == "0";
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let own = if users.lines().any(|line| line.starts_with("postgres:")) { "postgres" } else { "nobody" };
    root.then_some(own)
}

/// A program that ends with us, even if we are killed.
fn as_user(user: Option<&str>, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "INT"]);
    if let Some(user) = user {
        command.args(["--reuid", user, "--clear-groups"]);
    }
    command.arg(program).current_dir("/");
    command
}

fn name(shape: Shape) -> &'static str {
    match shape {
        Shape::One(Kind::Bool) => "boolean",
        Shape::One(Kind::Int) => "bigint",
        Shape::One(Kind::Double) => "double precision",
        Shape::One(Kind::Timestamp) => "timestamptz",
        Shape::One(_) => "text",
        Shape::Many(Kind::Bool) => "boolean[]",
        Shape::Many(Kind::Int) => "bigint[]",
        Shape::Many(Kind::Double) => "double precision[]",
        Shape::Many(Kind::Timestamp) => "timestamptz[]",
        Shape::Many(_) => "text[]",
    }
}

fn type_of(shape: Shape) -> Type {
    match shape {
        Shape::One(Kind::Bool) => Type::BOOL,
        Shape::One(Kind::Int) => Type::INT8,
        Shape::One(Kind::Double) => Type::FLOAT8,
        Shape::One(Kind::Timestamp) => Type::TIMESTAMPTZ,
        Shape::One(_) => Type::TEXT,
        Shape::Many(Kind::Bool) => Type::BOOL_ARRAY,
        Shape::Many(Kind::Int) => Type::INT8_ARRAY,
        Shape::Many(Kind::Double) => Type::FLOAT8_ARRAY,
        Shape::Many(Kind::Timestamp) => Type::TIMESTAMPTZ_ARRAY,
        Shape::Many(_) => Type::TEXT_ARRAY,
    }
}

/// A value as the wire of PostgreSQL has it; one of another type than is asked for is an error.
#[derive(Debug)]
struct Bound(Cell);

impl ToSql for Bound {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match &self.0 {
            Cell::Null => Ok(IsNull::Yes),
            Cell::Bool(value) => value.to_sql_checked(ty, out),
            Cell::Int(value) | Cell::Duration(value) => value.to_sql_checked(ty, out),
            Cell::Double(value) => value.to_sql_checked(ty, out),
            Cell::Text(text) => text.to_sql_checked(ty, out),
            Cell::Time(ms) => instant(*ms).to_sql_checked(ty, out),
            Cell::List(cells) => {
                let bound: Vec<Bound> = cells.iter().map(|cell| Bound(cell.clone())).collect();
                bound.to_sql(ty, out)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn instant(ms: i64) -> SystemTime {
    let apart = Duration::from_millis(ms.unsigned_abs());
    if ms < 0 { UNIX_EPOCH - apart } else { UNIX_EPOCH + apart }
}
