//! What readers see: the published table of each organization; swapped, never locked.
//!
//! A reader takes the map and a table by `load`, which costs no reference count and waits for
//! nobody. A version that was replaced is kept by the publisher until no reader has it any more and
//! freed there ([`Snapshots::sweep`]): a deciding thread never pays for the free.

mod marks;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use crate::core::model::Millis;
use crate::core::table::Table;

pub use marks::Marks;

/// What whoever waits for a revision is told when the organization ends.
pub const ENDED: u64 = u64::MAX;

type Map = HashMap<Box<str>, Arc<Published>, foldhash::fast::RandomState>;

/// The published organizations.
pub struct Snapshots {
    organizations: ArcSwap<Map>,
    retired: Mutex<Retired>,
}

#[derive(Default)]
struct Retired {
    tables: Vec<Arc<Table>>,
    maps: Vec<Arc<Map>>,
}

/// One organization as readers see it.
pub struct Published {
    table: ArcSwap<Table>,
    marks: Marks,
    revision: watch::Sender<u64>,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self { organizations: ArcSwap::from_pointee(Map::default()), retired: Mutex::default() }
    }
}

impl Published {
    /// The current version. Hold it for the length of a decision only.
    #[inline]
    #[must_use]
    pub fn table(&self) -> Guard<Arc<Table>> {
        self.table.load()
    }

    /// The current version, for work that takes long or awaits.
    #[must_use]
    pub fn table_full(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// When its permissions were last allowed.
    #[inline]
    #[must_use]
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Tells of every published revision, and [`ENDED`] when there are no more.
    #[must_use]
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }
}

impl Snapshots {
    /// Calls `read` with the organization, if it is published.
    #[inline]
    pub fn with<T>(&self, organization: &str, read: impl FnOnce(&Arc<Published>) -> T) -> Option<T> {
        self.organizations.load().get(organization).map(read)
    }

    /// The organization, for work that takes long or awaits.
    #[must_use]
    pub fn find(&self, organization: &str) -> Option<Arc<Published>> {
        self.with(organization, Arc::clone)
    }

    /// The ids of all organizations, sorted.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.organizations.load().keys().map(ToString::to_string).collect();
        ids.sort();
        ids
    }

    /// The current versions of all organizations, in no order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Table>> {
        self.organizations.load().values().map(|published| published.table_full()).collect()
    }

    /// Makes these the current versions, of different organizations; one without a revision says that there
    /// is no such organization any more. What is new in them is counted from `now` on. Called by the one
    /// publisher only.
    pub fn publish(&self, tables: impl IntoIterator<Item = Arc<Table>>, now: Millis) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut others, mut ended) = (Vec::new(), Vec::new());
        for table in tables {
            let revision = table.revision();
            match self.find(table.id().as_str()) {
                Some(published) if revision > 0 && published.table().history() == table.history() => {
                    published.marks.know(table.permission_numbers(), now);
                    retired.tables.push(published.table.swap(table));
                    published.revision.send_replace(revision);
                }
                known => {
                    ended.extend(known);
                    others.push(table);
                }
            }
        }
        if others.is_empty() {
            return;
        }
        let mut map = Map::clone(&self.organizations.load());
        for table in others {
            if table.revision() == 0 {
                map.remove(table.id().as_str());
                continue;
            }
            let (revision, _) = watch::channel(table.revision());
            let id = table.id().as_str().into();
            let marks = Marks::new(now);
            marks.know(table.permission_numbers(), now);
            map.insert(id, Arc::new(Published { table: ArcSwap::new(table), marks, revision }));
        }
        retired.maps.push(self.organizations.swap(Arc::new(map)));
        for published in ended {
            retired.tables.push(published.table_full());
            published.revision.send_replace(ENDED);
        }
    }

    /// Frees what was replaced and is read by nobody any more.
    pub fn sweep(&self) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.tables.retain(|table| Arc::strong_count(table) > 1);
        retired.maps.retain(|map| Arc::strong_count(map) > 1);
    }

    /// How many replaced versions wait for their last reader.
    #[must_use]
    pub fn retired(&self) -> usize {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).tables.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Weak;

    use super::*;
    use crate::core::model::{Account, InvitePolicy, Preset, Row, Settings};

    fn version(id: &str, revision: u64) -> Arc<Table> {
        let settings = Settings {
            display_name: String::new(),
            super_organization: None,
            preset: Preset::None,
            email_domains: Vec::new(),
            invite_policy: InvitePolicy::AnyDomain,
            auto_create_unknown_users: false,
            external_reauthentication_ms: None,
            user_attributes: BTreeMap::new(),
        };
        let main = Account { id: "main".parse().unwrap(), default: true, display_name: String::new() };
        let rows = vec![Row::Settings(settings), Row::Account(main)];
        Arc::new(Table::load(id.parse().unwrap(), "h".into(), 1, revision, rows).unwrap())
    }

    fn published(id: &str) -> (Snapshots, Weak<Table>) {
        let (snapshots, table) = (Snapshots::default(), version(id, 1));
        let weak = Arc::downgrade(&table);
        snapshots.publish([table], 0);
        (snapshots, weak)
    }

    #[test]
    fn a_replaced_version_is_freed_by_a_sweep_and_not_by_its_last_reader() {
        let (snapshots, first) = published("acme");
        // A decision is going on, and work that takes longer, while the next version is published.
        let published = snapshots.find("acme").unwrap();
        let (deciding, long) = (published.table(), published.table_full());
        snapshots.publish([version("acme", 2)], 0);
        assert_eq!(published.table().revision(), 2);
        snapshots.sweep();
        assert_eq!((deciding.revision(), long.revision(), snapshots.retired()), (1, 1, 1));
        drop(long);
        snapshots.sweep();
        assert_eq!((deciding.revision(), snapshots.retired()), (1, 1), "one reader is left");
        std::thread::scope(|scope| scope.spawn(move || drop(deciding)).join().unwrap());
        assert!(first.upgrade().is_some(), "whoever decided did not pay for the free");
        snapshots.sweep();
        assert!(first.upgrade().is_none() && snapshots.retired() == 0);
    }

    #[test]
    fn what_nobody_reads_is_gone_with_the_next_sweep() {
        let (snapshots, first) = published("acme");
        snapshots.publish([version("acme", 2)], 0);
        assert!(first.upgrade().is_some(), "a publication frees nothing: it is not over for whoever waits");
        snapshots.sweep();
        assert!(first.upgrade().is_none());
    }

    #[test]
    fn the_end_of_an_organization_frees_nothing_under_its_readers() {
        let (snapshots, table) = published("acme");
        let gone = snapshots.with("acme", |published| {
            let gone = Arc::downgrade(published);
            snapshots.publish([version("acme", 0)], 0);
            snapshots.sweep();
            assert_eq!(published.table().revision(), 1);
            gone
        });
        let gone = gone.unwrap();
        assert!(snapshots.find("acme").is_none() && gone.upgrade().is_some() && table.upgrade().is_some());
        // The map goes with the first sweep, what was in it with that or the next.
        snapshots.sweep();
        snapshots.sweep();
        assert!(gone.upgrade().is_none() && table.upgrade().is_none());
    }
}
