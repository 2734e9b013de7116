//! What readers see of super-organizations.

use std::sync::Arc;

use dashmap::DashMap;
use tokio::sync::watch;

use crate::core::id::Id;
use crate::core::lists::SuperOrganization;
use crate::core::table::Table;

use super::under;

/// A revision of a super-organization's scope.
#[derive(Debug, Clone)]
pub struct State {
    /// Whose.
    pub id: Id,
    /// Its number.
    pub revision: u64,
    /// None: it was deleted.
    pub current: Option<Arc<SuperOrganization>>,
}

/// The durable versions, by id. Written by the one publisher only.
#[derive(Default)]
pub(in crate::engine) struct Published(DashMap<Box<str>, watch::Sender<State>>);

impl Published {
    pub(in crate::engine) fn publish(&self, state: State) {
        let id = state.id.as_str();
        if let Some(known) = self.0.get(id) {
            known.send_replace(state);
            return;
        }
        self.0.insert(id.into(), watch::channel(state.clone()).0);
    }

    pub(in crate::engine) fn find(&self, id: &str) -> Option<Arc<SuperOrganization>> {
        self.0.get(id)?.borrow().current.clone()
    }

    /// Tells of every published revision.
    pub(in crate::engine) fn follow(&self, id: &str) -> Option<watch::Receiver<State>> {
        self.0.get(id).map(|known| known.subscribe())
    }

    /// All that exist, by id.
    pub(in crate::engine) fn all(&self) -> Vec<Arc<SuperOrganization>> {
        let mut all: Vec<_> = self.0.iter().filter_map(|known| known.borrow().current.clone()).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// The version, taking account of its durable super-organization.
    pub(in crate::engine) fn dress(&self, table: Arc<Table>) -> Arc<Table> {
        let over = table.super_organization().and_then(|id| self.find(id.as_str()));
        under(table, over.as_ref())
    }
}
