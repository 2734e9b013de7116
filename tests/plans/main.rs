//! Plans run by real databases and by adapters that are not ours, beside `FilterRecords` and, of a server,
//! `StreamFilterRecords` (rule 6.6).
//!
//! PostgreSQL is started on a temporary directory, SQLite is linked; Cerbos' adapters for `SQLAlchemy` and
//! Prisma run in a Python and a Node process of their own. What is not on the machine is said to be
//! `SKIPPED`, or is a failure with `DOORWARD_REQUIRE_ALL=1`. README says how to get it.
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench may fail loudly"
)]

#[path = "../properties/ask.rs"]
mod ask;
#[path = "../properties/by_column.rs"]
mod by_column;
#[path = "../properties/generate/mod.rs"]
mod generate;
#[path = "../properties/oracle/mod.rs"]
mod oracle;
#[path = "../properties/plan_run.rs"]
mod plan_run;
#[allow(dead_code, reason = "of what the integration tests need, few is needed here")]
#[path = "../it/support.rs"]
mod support;

mod agree;
mod backends;
mod by_hand;
mod cerbos;
mod edges;
mod outside;
mod postgresql;
mod sqlite;
mod stored;
mod streamed;
