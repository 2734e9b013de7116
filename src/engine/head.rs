//! The writer's side of an organization: the newest version, perhaps not durable yet, and what goes with it.
//!
//! A scope is for good, an organization in it is not: the head of a scope without an organization is a blank
//! version after all revisions that there were, and a history begins with a birth on top of it.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::core::id::Id;
use crate::core::model::Millis;
use crate::core::table::Table;

use super::activity::{Tip, Trail};
use super::answers::Answers;
use super::rows::{Answered, Birth};
use super::write::{Call, Step, WriteError};

/// An organization's place in the store: that of all that come after one another under its id.
pub(super) struct Scope {
    pub(super) head: Mutex<Head>,
    /// The revision of the scope that is on disk and seen by readers.
    pub(super) durable: watch::Sender<u64>,
}

impl Scope {
    pub(super) fn new(head: Head) -> Self {
        let (durable, _) = watch::channel(head.revision());
        Self { head: Mutex::new(head), durable }
    }

    /// Called by the one publisher, in order.
    pub(super) fn reached(&self, revision: u64) {
        self.durable.send_replace(revision);
    }
}

/// The writer's side of an organization.
pub(super) struct Head {
    /// The newest version, perhaps not durable yet; a blank one while there is no organization.
    pub(super) table: Arc<Table>,
    /// What a first revision is to store.
    pub(super) birth: Option<Birth>,
    pub(super) answers: Answers,
    /// How many revisions of the scope came before the first of this history: see [`Birth::base`].
    pub(super) base: u64,
    pub(super) trail: Arc<Trail>,
}

impl Head {
    pub(super) fn new(table: Arc<Table>, answered: Vec<Answered>, trail: Arc<Trail>) -> Self {
        Self { table, birth: None, answers: Answers::new(answered), base: trail.base(), trail }
    }

    /// Where there is no organization, after so many revisions of the scope.
    pub(super) fn after(id: Id, base: u64, answered: Vec<Answered>) -> Self {
        let history: Arc<str> = "".into();
        let trail = Arc::new(Trail::new(id.clone(), Arc::clone(&history), base, base, Tip::default()));
        Self::new(Arc::new(Table::blank(id, history, 0)), answered, trail)
    }

    /// What comes into being here is of a history of its own.
    pub(super) fn bear(&mut self, birth: Birth) {
        let (id, history): (Id, Arc<str>) = (self.table.id().clone(), birth.history.as_str().into());
        let trail = Trail::new(id.clone(), Arc::clone(&history), self.base, self.base, Tip::default());
        self.trail = Arc::new(trail);
        self.table = Arc::new(Table::blank(id, history, birth.seed));
        self.birth = Some(Birth { base: self.base, ..birth });
    }

    /// There is no organization any more: its end is the scope's revision `base`.
    pub(super) fn end(&mut self, base: u64) {
        let answers = std::mem::take(&mut self.answers);
        *self = Self { answers, ..Self::after(self.table.id().clone(), base, Vec::new()) };
    }

    pub(super) fn exists(&self) -> bool {
        self.table.revision() > 0
    }

    /// The revision of the scope.
    pub(super) fn revision(&self) -> u64 {
        self.base + self.table.revision()
    }

    /// What the same request was answered. What was asked of an earlier history is answered again only if it
    /// was about the coming and going of organizations: everything else went with it.
    pub(super) fn answered<E>(
        &self,
        call: &Call,
        id: Option<&Vec<u8>>,
        comes_or_goes: bool,
        now: Millis,
    ) -> Result<Option<Step>, WriteError<E>> {
        let Some(answered) = self.answers.find(id, now) else { return Ok(None) };
        if answered.body != call.body || (answered.revision <= self.base && !comes_or_goes) {
            return Err(WriteError::RequestIdReused);
        }
        Ok(Some(Step::Unchanged { reply: answered.reply.clone(), replayed: true }))
    }

    /// The same with the version that its super-organization makes of its own.
    pub(super) fn under(self, table: Arc<Table>) -> Self {
        Self { table, ..self }
    }
}
