//! What decisions allowed, kept over restarts (`snapshot::Marks`).
//!
//! A row beside the organization's content, in no revision, log or export. It is written now and then with
//! all that there is, by a commit without a delta, and in the commit of a change to the catalogue: what
//! is created under the name of a permission that was deleted must not inherit, whenever the process ends.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::core::model::{Key, Millis, Row, Write};
use crate::core::review::unused::LastAllowed;
use crate::core::table::Table;
use crate::snapshot::{Marks, Published, Snapshots};
use crate::store::{Commit, RowWrite, StoreError};

use super::rows::{self, KeptMark, KeptMarks};
use super::{Durable, Engine, lock};

/// How often marks are to be kept: of a process that ends without a word, what it allowed since is lost.
pub const KEEP_EVERY: Duration = Duration::from_mins(5);
/// Organizations whose marks wait for the disk at a time.
const AT_A_TIME: usize = 256;
/// How often is looked whether they are on disk.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// What there is, by name.
fn kept(marks: &Marks, table: &Table) -> KeptMarks {
    let mark = |(number, slot): (u32, &crate::core::table::PermissionSlot)| {
        let LastAllowed { counted_since, at } = marks.get(number);
        KeptMark { name: slot.row.name.to_string(), counted_since, at }
    };
    KeptMarks { since: marks.since(), marks: table.catalogue().map(mark).collect() }
}

/// Takes over what was kept for an organization that is published.
pub(super) fn restore(snapshots: &Snapshots, table: &Table, kept: Option<KeptMarks>) {
    let (Some(published), Some(KeptMarks { since, marks })) = (snapshots.find(table.id().as_str()), kept) else {
        return;
    };
    let known = marks.into_iter().filter_map(|KeptMark { name, counted_since, at }| {
        let number = table.permission(&name)?.number;
        let is_named = table.permission_slot(number)?.row.name.as_str() == name;
        is_named.then_some((number, LastAllowed { counted_since, at }))
    });
    published.marks().restore(since, known);
}

impl Engine {
    /// Where decisions at a version are noted, unless its history ended.
    #[must_use]
    pub fn published_as(&self, table: &Table) -> Option<Arc<Published>> {
        let published = self.snapshots.find(table.id().as_str())?;
        let same = published.table().history() == table.history();
        same.then_some(published)
    }

    /// The row for the marks that a change to the catalogue leaves.
    pub(super) fn marks_with(&self, after: &Table, writes: &[Write], now: Millis) -> Option<RowWrite> {
        let concerns =
            |write: &Write| matches!(write, Write::Put(Row::Permission(_)) | Write::Delete(Key::Permission(_)));
        let published = writes.iter().any(concerns).then(|| self.published_as(after))??;
        published.marks().know(after.permission_numbers(), now);
        Some(rows::of_marks(&kept(published.marks(), after)))
    }

    /// Keeps what decisions allowed since this was last called, and returns for how many organizations there was
    /// something to keep. Blocks until it is on disk; what cannot be written now is kept the next time.
    pub fn keep_marks(&self) -> usize {
        let (mut count, mut waiting) = (0, Vec::new());
        for id in self.snapshots.ids() {
            match self.submit_marks(&id) {
                Ok(None) => continue,
                Ok(Some(durable)) => waiting.push(durable),
                Err(error) => {
                    tracing::warn!(organization = id, %error, "what decisions allowed is not kept");
                    continue;
                }
            }
            count += 1;
            if waiting.len() >= AT_A_TIME {
                waiting.drain(..).for_each(wait);
            }
        }
        waiting.into_iter().for_each(wait);
        count
    }

    fn submit_marks(&self, organization: &str) -> Result<Option<oneshot::Receiver<()>>, StoreError> {
        if !self.snapshots.with(organization, |published| published.marks().is_changed()).unwrap_or(false) {
            return Ok(None);
        }
        let Some(scope) = self.scopes.get(organization).map(|scope| Arc::clone(&scope)) else { return Ok(None) };
        // In the order of changes to the catalogue, each of which writes the same row.
        let head = lock(&scope.head);
        let Some(published) = self.published_as(&head.table).filter(|_| head.exists()) else { return Ok(None) };
        self.store.writable()?;
        let marks = published.marks();
        marks.know(head.table.permission_numbers(), self.clock.now());
        marks.set_changed(false);
        let commit = Commit {
            scope: organization.to_owned(),
            revision: head.revision(),
            log: None,
            rows: vec![rows::of_marks(&kept(marks, &head.table))],
            archive: Vec::new(),
        };
        let (done, durable) = oneshot::channel();
        let submitted = self.committer.submit(commit, Durable::new(done));
        if submitted.is_err() {
            marks.set_changed(true);
        }
        submitted.map(|()| Some(durable))
    }
}

/// Until it is on disk, or never will be.
fn wait(mut durable: oneshot::Receiver<()>) {
    while let Err(oneshot::error::TryRecvError::Empty) = durable.try_recv() {
        thread::sleep(LOOK_EVERY);
    }
}
