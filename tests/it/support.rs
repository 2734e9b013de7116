//! What several of the tests need: organizations from files, questions as the library takes them.

use doorward::cli::file::{Known, OrganizationFile};
use doorward::core::change::{Change, apply};
use doorward::core::decision::{self, Context, Reason, Record, Resource};
use doorward::core::model::Row;
use doorward::core::table::Table;
use serde_json::Value;

use crate::oracle::{Answer, Question};

/// The rows of an organization file.
pub fn rows(file: &Value) -> Vec<Row> {
    match OrganizationFile::parse(&file.to_string(), "generated.json", Known::of) {
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
pub fn table(file: &Value) -> Table {
    applied(&blank(1), vec![Change::Replace { rows: rows(file), deactivate_missing: false }])
}

/// The question as the library takes it.
pub fn question(q: &Question) -> decision::Question<'_> {
    let record = q.record.as_ref().map(|r| Record {
        id: &r.id,
        owner: r.owner.as_deref().unwrap_or(""),
        account: r.account.as_deref().unwrap_or(""),
    });
    decision::Question {
        principal: &q.principal,
        permission: &q.permission,
        resource: Resource {
            account: q.account.as_deref().unwrap_or(""),
            object: q.object.as_deref().unwrap_or(""),
            record,
        },
        context: Context { channel: q.channel.as_deref().unwrap_or(""), authenticated_at: q.authenticated_at_ms },
    }
}

/// The library's answer, in the oracle's words.
pub fn answer(table: &Table, q: &Question) -> Answer {
    match decision::decide(table, &question(q), q.now_ms) {
        Err(problems) => {
            assert!(!problems.is_empty(), "an error names what is wrong: {q:?}");
            Answer::Error
        }
        Ok(Reason::Allowed) => Answer::Allow,
        Ok(reason) => Answer::Deny(reason.name()),
    }
}
