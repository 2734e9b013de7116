//! Element lists (rules 4.4 and 7.2): the safelist of an organization, the denylist of its
//! super-organization, and to whom both leave an element open.
//!
//! A decision asks none of these lists. Whom an object is open to ([`Open`]) stands in its slot, where
//! a private element's owner stands anyway, and is put together again where a list changes: a decision
//! is meant to cost the same with lists and without.
//!
//! A [`SuperOrganization`] is a value with a history of its own, apart from its organizations'. Each of
//! their tables takes account of one revision of it, whole (INVARIANT 5): [`Table::under`] makes the
//! table that takes account of another. The alternative that lost was to write a denylist into every
//! organization's rows: a change of it would make a hundred commits of ten thousand entries each, and
//! two truths.

use std::sync::Arc;

use imbl::OrdSet;
use imbl::ordset::DiffItem;

use super::decision::{Problems, Question, Reason, Resource, Walk, decide};
use super::draft::Draft;
use super::fault::{Fault, Violation};
use super::id::Id;
use super::limits;
use super::model::{Key, Millis, Object, ObjectKind, PrivateTo, SafelistElement};
use super::principal::PrincipalFound;
use super::table::{Open, Table};

/// A super-organization at one revision (rule 1.1). Immutable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuperOrganization {
    /// Its id.
    pub id: Id,
    /// Tells it from another one under the same id.
    pub history: Arc<str>,
    /// How many changes made it, those of its predecessors under the same id included.
    pub revision: u64,
    /// For people; may be empty.
    pub display_name: String,
    /// The elements that nobody in its organizations sees. Ids, whether or not an organization has
    /// such an element (yet).
    pub denylist: OrdSet<Id>,
}

impl SuperOrganization {
    /// What is wrong with it in itself.
    ///
    /// # Errors
    /// A limit that is exceeded, or a name that is none.
    pub fn check(&self) -> Result<(), Fault> {
        let limit = |what, limit| Err(Fault::TooMany { what, limit });
        if self.display_name.len() > limits::MAX_NAME_BYTES {
            return limit("bytes", limits::MAX_NAME_BYTES);
        }
        if self.display_name.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return Err(Fault::Misplaced("text contains a control character"));
        }
        if self.denylist.len() > limits::MAX_LISTED {
            return limit("elements on one list", limits::MAX_LISTED);
        }
        Ok(())
    }

    /// The first element that is both on the denylist and on a safelist (rule 7.2), seen from the
    /// shorter list.
    fn shares_with<'a>(&'a self, safelist: &'a OrdSet<Id>) -> Option<&'a Id> {
        let (short, long) =
            if self.denylist.len() < safelist.len() { (&self.denylist, safelist) } else { (safelist, &self.denylist) };
        short.iter().find(|id| long.contains(*id))
    }

    /// Rule 7.2, for who writes a safelist.
    ///
    /// # Errors
    /// An element is denied.
    pub fn admits(&self, safelist: &OrdSet<Id>) -> Result<(), Box<Violation>> {
        let Some(element) = self.shares_with(safelist) else { return Ok(()) };
        let list = format!("denylist of super-organization `{}`", self.id);
        let fault = Fault::Listed { element: element.to_string(), list };
        Err(Box::new(Violation { key: Key::SafelistElement(element.clone()), field: "", fault }))
    }

    /// Rule 7.2, for who writes the denylist.
    ///
    /// # Errors
    /// An element is on the safelist of `organization`.
    pub fn spares(&self, organization: &str, safelist: &OrdSet<Id>) -> Result<(), Fault> {
        let Some(element) = self.shares_with(safelist) else { return Ok(()) };
        let list = format!("safelist of organization `{organization}`");
        Err(Fault::Listed { element: element.to_string(), list })
    }
}

impl Open {
    /// Whether it is open to a principal.
    #[inline]
    pub(super) fn to(&self, found: &PrincipalFound<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Account(account) => found.value.account == *account,
            Self::User(id) => found.value.kind.is_some() && found.id == &**id,
            Self::Nobody => false,
        }
    }
}

impl Table {
    /// The safelist. Empty: it closes nothing.
    #[must_use]
    pub fn safelist(&self) -> &OrdSet<Id> {
        &self.safelist
    }

    /// The id of the super-organization that it belongs to.
    #[must_use]
    pub fn super_organization(&self) -> Option<&Id> {
        self.settings.as_ref()?.super_organization.as_ref()
    }

    /// The super-organization of which this version takes account.
    #[must_use]
    pub fn over(&self) -> Option<&Arc<SuperOrganization>> {
        self.over.as_ref()
    }

    /// Whether the lists let an element be seen at all, whether or not there is such an element here.
    #[must_use]
    pub fn lists_admit(&self, element: &Id) -> bool {
        let denied = self.over.as_ref().is_some_and(|over| over.denylist.contains(element));
        !denied && (self.safelist.is_empty() || self.safelist.contains(element))
    }

    /// Rule 4.4, of the object's own row and both lists.
    fn opens(&self, row: &Object) -> Open {
        if row.kind == ObjectKind::Element && !self.lists_admit(&row.id) {
            return Open::Nobody;
        }
        self.open_by_owner(row)
    }

    /// The same, whatever the lists say.
    pub(super) fn open_by_owner(&self, row: &Object) -> Open {
        match &row.private_to {
            None => Open::All,
            Some(PrivateTo::User(id)) => Open::User(id.as_str().into()),
            // INVARIANT 4: an account that is not there opens nothing.
            Some(PrivateTo::Account(id)) => {
                self.accounts.find(id.as_str()).map_or(Open::Nobody, |f| Open::Account(f.value))
            }
        }
    }

    /// Why an object may be closed to somebody (rule 4.4), for people; none if it is open to all.
    #[must_use]
    pub fn closed_by(&self, row: &Object) -> Option<String> {
        let id = &row.id;
        if row.kind == ObjectKind::Element {
            if let Some(over) = self.over.as_ref().filter(|over| over.denylist.contains(id)) {
                return Some(format!("element `{id}` is on the denylist of super-organization `{}`", over.id));
            }
            if !self.lists_admit(id) {
                return Some(format!("element `{id}` is not on the safelist of the organization"));
            }
        }
        match row.private_to.as_ref()? {
            PrivateTo::Account(account) => Some(format!("element `{id}` is private to account `{account}`")),
            PrivateTo::User(user) => Some(format!("element `{id}` is private to user `{user}`")),
        }
    }

    /// The same version, taking account of `over`. Costs what differs between the denylists.
    #[must_use]
    pub fn under(&self, over: Option<&Arc<SuperOrganization>>) -> Self {
        let mut next = self.clone();
        next.over = over.cloned();
        let none = OrdSet::new();
        let list = |over: Option<&Arc<SuperOrganization>>| over.map_or(&none, |over| &over.denylist).clone();
        let (old, new) = (list(self.over.as_ref()), list(over));
        for item in old.diff(&new) {
            let element = match item {
                DiffItem::Add(id) | DiffItem::Remove(id) => id,
            };
            if let Some(found) = self.objects.find(element.as_str()) {
                next.open_again(found.value);
            }
        }
        next
    }

    /// Puts together anew to whom an object is open.
    pub(super) fn open_again(&mut self, number: u32) {
        let Some(slot) = self.object_slot(number) else { return };
        let open = self.opens(&slot.row);
        if slot.open != open
            && let Some(Some(slot)) = self.object_slots.get_mut(number as usize)
        {
            Arc::make_mut(slot).open = open;
        }
    }
}

impl Walk<'_> {
    /// What closes the object to somebody, for people.
    pub(super) fn closed(&self) -> Option<String> {
        self.object.and_then(|(_, slot)| self.table.closed_by(&slot.row))
    }
}

impl Draft {
    pub(super) fn put_safelist_element(&mut self, key: &Key, row: &SafelistElement) {
        let number = self.object(&row.element);
        let Some(number) = self.note(key, "element", number) else { return };
        if self.next.object_slot(number).is_none_or(|slot| slot.row.kind != ObjectKind::Element) {
            return self.violation(key.clone(), "element", Fault::Misplaced("only elements can be on a safelist"));
        }
        self.dirty.safelist |= self.next.safelist.is_empty();
        self.dirty.opened.insert(number);
        self.next.safelist.insert(row.element.clone());
        self.bound(key, self.next.safelist.len() > limits::MAX_LISTED, "elements on one list", limits::MAX_LISTED);
    }

    pub(super) fn take_safelist_element(&mut self, element: &Id) {
        self.next.safelist.remove(element);
        self.dirty.safelist |= self.next.safelist.is_empty();
        if let Ok(number) = self.object(element) {
            self.dirty.opened.insert(number);
        }
    }

    pub(super) fn flatten_lists(&mut self) {
        let mut opened = std::mem::take(&mut self.dirty.opened);
        if self.dirty.safelist {
            opened.extend(0..u32::try_from(self.next.object_slots.len()).unwrap_or(u32::MAX));
        }
        for number in opened {
            self.next.open_again(number);
        }
    }
}

/// Which of some elements a principal can see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Their positions in what was asked, ascending.
    pub positions: Vec<usize>,
    /// Why none can be seen, whichever it is; otherwise `Allowed`.
    pub reason: Reason,
}

/// Which of `elements` the principal of a question can see (rules 4.1 to 4.4), and with a permission may do
/// that with; the question's object is not looked at. An element that the organization does not have is
/// judged by the lists alone.
///
/// # Errors
/// Rule 4.1: everything that is wrong with the question.
pub fn elements(table: &Table, question: &Question<'_>, elements: &[Id], now: Millis) -> Result<Seen, Problems> {
    let resource = Resource { object: "", record: None, ..question.resource };
    let question = Question { resource, ..*question };
    let permission = match question.permission {
        "" => None,
        name => {
            decide(table, &question, now)?;
            table.permission(name)
        }
    };
    let nowhere = Walk::begin(table, &question, now)?;
    if let Some(reason) = nowhere.refused() {
        return Ok(Seen { positions: Vec::new(), reason });
    }
    let admits = |walk: &Walk<'_>| match (walk.refused(), permission) {
        (Some(_), _) => false,
        (None, None) => true,
        (None, Some(permission)) => walk.ask(permission) == Reason::Allowed,
    };
    let sees = |id: &Id| {
        if table.object_row(id).is_none_or(|row| row.kind != ObjectKind::Element) {
            return table.lists_admit(id) && admits(&nowhere);
        }
        let there = Question { resource: Resource { object: id.as_str(), ..resource }, ..question };
        // INVARIANT 3: it is the walk of a decision on that element.
        Walk::begin(table, &there, now).is_ok_and(|walk| admits(&walk))
    };
    let positions = elements.iter().enumerate().filter_map(|(at, id)| sees(id).then_some(at)).collect();
    Ok(Seen { positions, reason: Reason::Allowed })
}
