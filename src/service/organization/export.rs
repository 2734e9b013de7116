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
use super::super::report::{before_memberships, groups, revision_of};

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
    let (first, last) = keys.split_at(before_memberships(&keys, |key| key));
    let mut out = Out { sender, revision: revision_of(&table), total_rows, batch: Vec::with_capacity(BATCH) };
    let parts = first.chunks(BATCH).map(|keys| (keys, true));
    let parts = parts.chain(first.chunks(BATCH).map(|keys| (keys, false)));
    for (keys, whole) in parts.chain(last.chunks(BATCH).map(|keys| (keys, true))) {
        let rows = if whole { rows(&table, keys) } else { memberships(&table, keys) };
        if !out.put(rows).await {
            return Ok(());
        }
    }
    out.end().await;
    Ok(())
}

/// Cuts rows into messages.
struct Out<'a> {
    sender: &'a Sender,
    revision: proto::Revision,
    total_rows: u64,
    batch: Vec<proto::Row>,
}

impl Out<'_> {
    /// Whether the client is still there.
    async fn put(&mut self, rows: Vec<proto::Row>) -> bool {
        self.batch.extend(rows);
        while self.batch.len() >= BATCH {
            let rest = self.batch.split_off(BATCH);
            let full = std::mem::replace(&mut self.batch, rest);
            if !self.send(full).await {
                return false;
            }
        }
        true
    }

    async fn end(mut self) {
        let rest = std::mem::take(&mut self.batch);
        if !rest.is_empty() {
            self.send(rest).await;
        }
    }

    async fn send(&self, rows: Vec<proto::Row>) -> bool {
        let (revision, total_rows) = (Some(self.revision.clone()), self.total_rows);
        self.sender.send(Ok(ExportOrganizationResponse { rows, revision, total_rows })).await.is_ok()
    }
}

/// The keys in order, and how many rows they make with the memberships.
fn sort(table: &Table) -> (Vec<Key>, u64) {
    let mut total = 0;
    let mut keys: Vec<Key> = table
        .rows()
        .filter(|row| !matches!(row, Row::Credential(_) | Row::Activation(_)))
        .map(|row| {
            total += 1 + groups(&row).len() as u64;
            row.key()
        })
        .collect();
    keys.sort_unstable();
    (keys, total)
}

fn rows(table: &Table, keys: &[Key]) -> Vec<proto::Row> {
    keys.iter().filter_map(|key| to_row(table.id(), table.row(key)?)).collect()
}

fn memberships(table: &Table, keys: &[Key]) -> Vec<proto::Row> {
    let mut rows = Vec::new();
    for key in keys {
        let member = match key {
            Key::User(id) => Member::User(id.clone()),
            Key::Service(id) => Member::Service(id.clone()),
            Key::Group(id) => Member::Group(id.clone()),
            _ => continue,
        };
        let row: Option<Row> = table.row(key);
        rows.extend(row.iter().flat_map(groups).map(|group| to_membership(group, &member)));
    }
    rows
}
