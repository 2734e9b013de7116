//! Super-organizations (rules 1.1 and 7.2): scopes of their own in the store, published beside the
//! organizations' tables.
//!
//! **Two writers, two lists.** An element is on a denylist or on a safelist, never on both, whoever
//! writes at once. The head of a super-organization knows the safelists of its organizations, so that
//! whoever holds its lock sees both lists as they are about to be, and one of two writers sees the other's:
//!
//! ```text
//! safelist, or membership    organization's lock ─► its super-organization's lock: check, submit, tell it
//! denylist                                          the super-organization's lock: check, submit
//! ```
//!
//! The order of locks is: an organization, then super-organizations by id. Who holds a super-organization's
//! takes no other, so there is no circle, and an organization's other writes do not wait for any.
//!
//! **What readers see.** A commit is durable in the order of submission. The publisher makes the tables of all
//! organizations of a changed super-organization take account of it in one go, before the write is
//! acknowledged; their revisions stay what they were. A table that was planned under an older denylist is
//! put under the durable one before it is published.

mod published;
mod stored;
mod write;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use dashmap::DashMap;
use imbl::OrdSet;

use crate::core::change::Effect;
use crate::core::id::Id;
use crate::core::lists::SuperOrganization;
use crate::core::model::Key;
use crate::core::table::Table;
use crate::core::{Fault, Violation};

use super::answers::Answers;
use super::lock;

pub(super) use published::{Published, State};
pub(super) use stored::{is_scope, load};
pub use write::{SuperContent, SuperOutcome};

/// The writer's side of a super-organization.
#[derive(Default)]
pub(super) struct Head {
    /// The newest version, perhaps not durable yet. None: there is none.
    state: Option<Arc<SuperOrganization>>,
    /// The newest revision of its scope.
    revision: u64,
    answers: Answers,
    members: BTreeMap<Id, Member>,
}

/// What its head knows of one of its organizations.
struct Member {
    safelist: OrdSet<Id>,
    /// At which revision of its scope, perhaps not durable yet.
    revision: u64,
}

impl Head {
    fn tell(&mut self, table: &Table, revision: u64) {
        let member = Member { safelist: table.safelist().clone(), revision };
        self.members.insert(table.id().clone(), member);
    }
}

/// Every super-organization that is, was or is about to be; and those that organizations name.
#[derive(Default)]
pub(super) struct Heads(DashMap<Box<str>, Arc<Mutex<Head>>>);

/// The super-organizations that a write of an organization concerns, in the order of their ids.
pub(super) type Concerned = Vec<(Id, Arc<Mutex<Head>>)>;
/// The same, locked.
pub(super) type Locked<'a> = Vec<(&'a Id, MutexGuard<'a, Head>)>;

impl Heads {
    pub(super) fn insert(&self, id: &Id, head: Head) {
        self.0.insert(id.as_str().into(), Arc::new(Mutex::new(head)));
    }

    fn find(&self, id: &Id) -> Option<Arc<Mutex<Head>>> {
        self.0.get(id.as_str()).map(|head| Arc::clone(&head))
    }

    fn find_or_make(&self, id: &Id) -> Arc<Mutex<Head>> {
        Arc::clone(&self.0.entry(id.as_str().into()).or_default())
    }

    /// At start-up: makes an organization known, at a revision of its scope, and its table take account of its
    /// super-organization.
    pub(super) fn join(&self, table: Arc<Table>, revision: u64) -> Arc<Table> {
        let Some(id) = table.super_organization() else { return table };
        let head = self.find_or_make(id);
        let mut head = lock(&head);
        head.tell(&table, revision);
        under(table, head.state.as_ref())
    }

    /// The version, taking account of its super-organization as it is about to be; and that revision,
    /// for what is told of it.
    pub(super) fn newest(&self, table: &Arc<Table>, seen: &mut Vec<(Id, u64)>) -> Arc<Table> {
        let Some(id) = table.super_organization() else { return Arc::clone(table) };
        let Some(head) = self.find(id) else { return Arc::clone(table) };
        let head = lock(&head);
        seen.push((id.clone(), head.revision));
        under(Arc::clone(table), head.state.as_ref())
    }

    /// Whom a write concerns: nobody, unless it changes the safelist or where the organization belongs.
    ///
    /// # Errors
    /// It is to belong to what does not exist.
    pub(super) fn concerned(
        &self,
        before: &Table,
        after: &Table,
        effects: &[(Key, Effect)],
    ) -> Result<Concerned, Box<Violation>> {
        if !effects.iter().any(|(key, _)| matches!(key, Key::Settings | Key::SafelistElement(_))) {
            return Ok(Vec::new());
        }
        let (old, new) = (before.super_organization(), after.super_organization());
        let mut concerned = Vec::new();
        for id in old.into_iter().chain(new.filter(|id| old != Some(id))) {
            match self.find(id) {
                Some(head) => concerned.push((id.clone(), head)),
                None => missing(id, old == new)?,
            }
        }
        concerned.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(concerned)
    }
}

/// In the order of ids, which is that of `concerned`.
pub(super) fn lock_all(concerned: &Concerned) -> Locked<'_> {
    concerned.iter().map(|(id, head)| (id, lock(head))).collect()
}

/// The version that a write made, if its super-organization admits it (rule 7.2), taking account of that.
///
/// # Errors
/// It is to belong to what does not exist, or an element of its safelist is denied.
pub(super) fn admit(
    locked: &Locked<'_>,
    before: &Table,
    after: Table,
    seen: &mut Vec<(Id, u64)>,
) -> Result<Table, Box<Violation>> {
    seen.extend(locked.iter().map(|(id, head)| ((*id).clone(), head.revision)));
    let Some(id) = after.super_organization() else {
        return Ok(if after.over().is_some() { after.under(None) } else { after });
    };
    let Some((_, head)) = locked.iter().find(|(locked, _)| *locked == id) else { return Ok(after) };
    match &head.state {
        None => missing(id, before.super_organization() == Some(id))?,
        Some(state) => state.admits(after.safelist())?,
    }
    Ok(if same(after.over(), head.state.as_ref()) { after } else { after.under(head.state.as_ref()) })
}

/// Tells those concerned what is submitted, as which revision of the organization's scope.
pub(super) fn tell(locked: &mut Locked<'_>, after: &Table, revision: u64) {
    for (id, head) in locked {
        if after.super_organization() == Some(*id) {
            head.tell(after, revision);
        } else {
            head.members.remove(after.id());
        }
    }
}

/// An organization of an older store may name what does not exist, and keep its name.
fn missing(id: &Id, was_before: bool) -> Result<(), Box<Violation>> {
    if was_before {
        return Ok(());
    }
    let fault = Fault::Unknown { what: "super-organization", id: id.to_string() };
    Err(Box::new(Violation { key: Key::Settings, field: "super_organization", fault }))
}

fn same(a: Option<&Arc<SuperOrganization>>, b: Option<&Arc<SuperOrganization>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => a.revision == b.revision && a.history == b.history,
        _ => false,
    }
}

fn under(table: Arc<Table>, over: Option<&Arc<SuperOrganization>>) -> Arc<Table> {
    if same(table.over(), over) { table } else { Arc::new(table.under(over)) }
}
