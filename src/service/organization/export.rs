//! `ExportOrganization`: one version as rows, in the order of the fields of `Row`, then by id.
//!
//! Only the keys are held; rows are made from the version batch by batch, as the client takes them.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::codegen::BoxStream;

use crate::core::model::{Key, Member, Row};
use crate::core::table::Table;

use super::super::convert::row::{to_membership, to_row};
use super::super::proto::{self, ExportOrganizationResponse};
use super::super::refusal::Refusal;
use super::super::report::{groups, revision_of};

/// Rows in one message.
const BATCH: usize = 500;
/// Messages that wait for the client.
const AHEAD: usize = 4;

/// The whole organization.
pub fn stream(table: Arc<Table>) -> BoxStream<ExportOrganizationResponse> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        if let Err(refusal) = send(table, &sender).await {
            // Whoever went away does not hear of it.
            let _ = sender.send(Err(refusal.into())).await;
        }
    });
    Box::pin(ReceiverStream::new(receiver))
}

type Sender = mpsc::Sender<Result<ExportOrganizationResponse, Status>>;

async fn send(table: Arc<Table>, sender: &Sender) -> Result<(), Refusal> {
    let counted = Arc::clone(&table);
    let sorted = tokio::task::spawn_blocking(move || sort(&counted)).await;
    let (keys, total_rows) = sorted.map_err(|_| Refusal::Internal("sorting an export failed"))?;
    let revision = revision_of(&table);
    let rows = Rows { table: &table, keys: &keys };
    let mut batch = Vec::with_capacity(BATCH);
    let message = |rows| Ok(ExportOrganizationResponse { rows, revision: Some(revision.clone()), total_rows });
    for from in (0..keys.len()).step_by(BATCH) {
        batch.extend(rows.of(from));
        if sender.send(message(std::mem::take(&mut batch))).await.is_err() {
            return Ok(());
        }
    }
    for from in (0..keys.len()).step_by(BATCH) {
        batch.extend(rows.memberships(from));
        while batch.len() >= BATCH {
            let rest = batch.split_off(BATCH);
            if sender.send(message(std::mem::replace(&mut batch, rest))).await.is_err() {
                return Ok(());
            }
        }
    }
    if !batch.is_empty() {
        let _ = sender.send(message(batch)).await;
    }
    Ok(())
}

/// The keys in order, and how many rows they make with the memberships.
fn sort(table: &Table) -> (Vec<Key>, u64) {
    let mut total = 0;
    let mut keys: Vec<Key> = table
        .rows()
        .map(|row| {
            total += 1 + groups(&row).len() as u64;
            row.key()
        })
        .collect();
    keys.sort_unstable();
    (keys, total)
}

struct Rows<'a> {
    table: &'a Table,
    keys: &'a [Key],
}

impl<'a> Rows<'a> {
    fn batch(&self, from: usize) -> &'a [Key] {
        self.keys.get(from..self.keys.len().min(from + BATCH)).unwrap_or(&[])
    }

    fn of(&self, from: usize) -> impl Iterator<Item = proto::Row> + use<'a> {
        let table = self.table;
        self.batch(from).iter().filter_map(move |key| Some(to_row(table.id(), table.row(key)?)))
    }

    fn memberships(&self, from: usize) -> Vec<proto::Row> {
        let mut rows = Vec::new();
        for key in self.batch(from) {
            let member = match key {
                Key::User(id) => Member::User(id.clone()),
                Key::Service(id) => Member::Service(id.clone()),
                Key::Group(id) => Member::Group(id.clone()),
                _ => continue,
            };
            let row: Option<Row> = self.table.row(key);
            rows.extend(row.iter().flat_map(groups).map(|group| to_membership(group, &member)));
        }
        rows
    }
}
