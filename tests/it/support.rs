//! What several of the tests need: organizations from files, and what passes of records.

use doorward::cli::file::{FileErrors, Known, OrganizationFile};
use doorward::core::change::{Change, apply};
use doorward::core::decision::{Question, Reason, Record};
use doorward::core::filter::{self, Records, Wrong};
use doorward::core::lists::SuperOrganization;
use doorward::core::model::Row;
use doorward::core::table::Table;
use std::sync::Arc;

use serde_json::Value as Json;

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

/// What passes for one permission.
#[derive(Debug, PartialEq, Eq)]
pub struct Passed {
    pub positions: Vec<u32>,
    pub reason: Reason,
}

/// Filters rows by the question's own permission.
pub fn filter<'a>(
    table: &Table,
    question: &Question<'_>,
    records: impl IntoIterator<Item = Record<'a>>,
    now: i64,
) -> Result<Passed, Vec<Wrong>> {
    let rows: Vec<_> = records.into_iter().collect();
    let all = filter::filter(table, question, &[question.permission], Records::Rows(&rows), now)?;
    let [one] = all.as_slice() else { panic!("one permission is asked, {} are answered", all.len()) };
    Ok(Passed { positions: one.positions().collect(), reason: one.reason })
}

/// A call of a test: to be carried out, of an organization that is created where there is none.
#[cfg(not(core_alone))]
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
