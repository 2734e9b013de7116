//! The next version of an organization, being made: rows are put and deleted one by one, then
//! [`Draft::finish`] checks what spans rows, flattens what was touched and yields the next
//! [`Table`] with the writes that lead to it.
//!
//! Loading a store, applying a file, an admin call and a replay of the log are all this. What
//! cannot be flattened is never stored: a reference is resolved to a number when its row is put.
//! Changes to principals, records and holdings are gathered here and written page by page at the
//! end (`settle`), so that a hundred thousand rows cost each page once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::edge::{Edge, TargetNo, edges};
use super::fault::{Fault, Violation};
use super::id::{Coverage, Email, Id, OpaqueId, Pattern};
use super::limits;
use super::model::{Key, Member, Millis, Period, Relation, Row, Settings, SignOn, Target, Write};
use super::pages::{Edit, EditRow, Fixed, Pages};
use super::principal::Principal;
use super::set::Set;
use super::table::{Bundle, GroupSlot, Source, Table};

/// A version being made from another.
pub struct Draft {
    pub(super) next: Table,
    /// By (is service, id).
    pub(super) principals: HashMap<(bool, Box<str>), PrincipalDraft>,
    /// By object number and record id.
    pub(super) records: HashMap<(u32, Box<str>), Vec<HeldBy>>,
    /// By target, then bundle and group.
    pub(super) holdings: HashMap<TargetNo, BTreeMap<(u32, u32), Edge>>,
    pub(super) dirty: Dirty,
    pub(super) touched: BTreeSet<Key>,
    pub(super) violations: Vec<Violation>,
    /// By user: the folded address it had before this version, and the one it is to have.
    pub(super) emails: HashMap<OpaqueId, (Option<String>, String)>,
    /// By user: the identities that were bound to it before this version, and those that are to be.
    pub(super) sign_ons: BTreeMap<OpaqueId, (Vec<SignOn>, Vec<SignOn>)>,
    /// The organization had no settings before: whatever it is to have is put for the first time.
    pub(super) founding: bool,
    /// When it is made, for what ends by it.
    pub(super) now: Millis,
}

/// Something held at a record, and by whom.
pub(super) type HeldBy = (Edge, Member);

/// What must be flattened again.
#[allow(clippy::struct_excessive_bools, reason = "independent marks, each of a part of the table")]
#[derive(Default)]
pub(super) struct Dirty {
    pub(super) catalogue: bool,
    pub(super) domains: bool,
    pub(super) accounts: bool,
    pub(super) managers: Vec<OpaqueId>,
    /// Users put with another account than before.
    pub(super) moved: Vec<OpaqueId>,
    /// Elements private to a user, to be looked for once all users are put.
    pub(super) private: Vec<(Key, OpaqueId)>,
    /// Groups that were named but not put yet.
    pub(super) declared: BTreeSet<u32>,
    /// Members of such groups.
    pub(super) memberships: Vec<(Key, u32)>,
    /// Groups whose nesting changed.
    pub(super) nesting: BTreeSet<u32>,
    pub(super) bundles: BTreeSet<u32>,
    /// Where others hold something than before, or groups that are nested otherwise.
    pub(super) targets: BTreeSet<TargetNo>,
    /// Where something is held that consists of other permissions than before.
    pub(super) contents: BTreeSet<TargetNo>,
    /// Groups that came to hold their first thing.
    pub(super) holders: BTreeSet<u32>,
    /// Objects with policies whose members are to be flattened.
    pub(super) policies: BTreeSet<u32>,
    /// Objects whose policies' conditions are to be checked again.
    pub(super) conditions: BTreeSet<u32>,
    /// Objects whose relations' roles may be others.
    pub(super) shares: bool,
    /// Objects that may be open to others than before (rule 4.4).
    pub(super) opened: BTreeSet<u32>,
    /// The safelist came to list something, or nothing: every element is to be looked at.
    pub(super) safelist: bool,
    /// Constraints, or what stands for their roles.
    pub(super) separations: bool,
    /// Activations.
    pub(super) activations: bool,
    /// Relations that groups came to have.
    pub(super) related: Vec<(Key, Relation, u32)>,
}

/// A principal's row being made.
pub(super) struct PrincipalDraft {
    pub(super) value: Principal,
    pub(super) groups: Vec<u32>,
    pub(super) edges: Vec<Edge>,
    /// None keeps what is stored.
    pub(super) far: Option<Vec<u8>>,
}

/// What a [`Draft`] came to.
pub struct Finished {
    /// The next version; its revision is one more than that of the version it came from.
    pub table: Table,
    /// What to store: the delta.
    pub writes: Vec<Write>,
}

pub(super) type Checked<T> = Result<T, Fault>;

impl Draft {
    /// Begins the version after `table`.
    #[must_use]
    pub fn new(table: &Table) -> Self {
        Self {
            next: table.clone(),
            principals: HashMap::new(),
            records: HashMap::new(),
            holdings: HashMap::new(),
            dirty: Dirty::default(),
            touched: BTreeSet::new(),
            violations: Vec::new(),
            emails: HashMap::new(),
            sign_ons: BTreeMap::new(),
            founding: table.settings.is_none(),
            now: Millis::MIN,
        }
    }

    /// Notes something wrong. Past the limit the change is refused anyway, so the rest is dropped.
    pub fn violation(&mut self, key: Key, field: &'static str, fault: Fault) {
        if self.violations.len() < limits::MAX_VIOLATIONS {
            self.violations.push(Violation { key, field, fault });
        }
    }

    /// Notes an error of a check, and yields what passed.
    pub(super) fn note<T>(&mut self, key: &Key, field: &'static str, checked: Checked<T>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(fault) => {
                self.violation(key.clone(), field, fault);
                None
            }
        }
    }

    /// Makes `row` part of the version, in place of the row of the same key. What is wrong with it
    /// is reported by [`Draft::finish`]; what it names must have been put before, managers aside.
    pub fn put(&mut self, row: Row) {
        let key = row.key();
        match row.normalized() {
            Row::Settings(row) => self.put_settings(&key, row),
            Row::Account(row) => self.put_account(&key, row),
            Row::Permission(row) => self.put_permission(&key, row),
            Row::Object(row) => self.put_object(&key, row),
            Row::Role(row) => self.put_role(&key, row),
            Row::Group(row) => {
                self.declare_group(&row.id);
                self.put_group(&key, row);
            }
            Row::User(row) => self.put_user(&key, row),
            Row::Service(row) => self.put_service(&key, row),
            Row::Assignment(row) => {
                let role = self.role_at(&row.role, &row.target);
                if let Some(bundle) = self.note(&key, "role", role) {
                    if row.role.as_str() == super::presets::ORG_ADMIN {
                        let fits = self.fits_org_admin(bundle, &row.member, row.period);
                        self.note(&key, "member", fits);
                    }
                    self.put_edge(&key, bundle, &row.member, &row.target, row.period);
                }
            }
            Row::Grant(row) => {
                let bundle = self.pattern(&row.permission);
                if let Some(bundle) = self.note(&key, "permission", bundle) {
                    self.put_edge(&key, bundle, &row.member, &row.target, row.period);
                }
            }
            Row::Related(row) => self.put_related(&key, row),
            Row::Policy(row) => self.put_policy(&key, row),
            Row::SafelistElement(row) => self.put_safelist_element(&key, &row),
            Row::Credential(row) => self.put_credential(&key, row),
            Row::Separation(row) => self.put_separation(&key, row),
            Row::Emergency(row) => self.put_emergency(&key, row),
            Row::Activation(row) => self.put_activation(&key, row),
        }
        self.touched.insert(key);
    }

    /// Gives every group of a set its number before the first is put, so that they may name each
    /// other in any order.
    pub fn declare_groups<'a>(&mut self, rows: impl Iterator<Item = &'a Row>) {
        for row in rows {
            if let Row::Group(group) = row {
                self.declare_group(&group.id);
            }
        }
    }

    // What rows name.

    pub(super) fn account(&self, id: &Id) -> Checked<u32> {
        number(&self.next.accounts, "account", id.as_str())
    }

    pub(super) fn object(&self, id: &Id) -> Checked<u32> {
        number(&self.next.objects, "object", id.as_str())
    }

    pub(super) fn group(&self, id: &Id) -> Checked<u32> {
        number(&self.next.groups, "group", id.as_str())
    }

    pub(super) fn role(&self, id: &Id) -> Checked<u32> {
        number(&self.next.roles, "role", id.as_str())
    }

    /// The bundle of `role`, if its scope (and the object it is tied to) allow `target`: rule 3.3.
    pub(super) fn role_at(&self, role: &Id, target: &Target) -> Checked<u32> {
        use super::model::Scope;
        let bundle = self.role(role)?;
        let Some(Source::Role { row, .. }) = self.next.bundle(bundle).map(|b| &b.source) else {
            return Err(Fault::Unknown { what: "role", id: role.to_string() });
        };
        let fits = match (row.scope, target) {
            (Scope::Organization, Target::Organization) | (Scope::Account, Target::Account(_)) => true,
            (Scope::Object, Target::Object(object) | Target::Record(object, _)) => {
                row.object.as_ref().is_none_or(|tied| tied == object)
            }
            _ => false,
        };
        if fits {
            return Ok(bundle);
        }
        let scope = match row.scope {
            Scope::Organization => "`organization`",
            Scope::Account => "`account`",
            Scope::Object => "`object`",
        };
        Err(Fault::WrongScope { role: role.to_string(), scope, target: target.to_string() })
    }

    fn is_system(&self, bundle: u32) -> bool {
        let source = self.next.bundle(bundle).map(|b| &b.source);
        matches!(source, Some(Source::Role { row, .. }) if row.is_system())
    }

    /// Rule 3.6: users of the default account only, no groups. What is over holds nobody there.
    pub(super) fn fits_org_admin(&mut self, bundle: u32, member: &Member, period: Period) -> Checked<()> {
        if !self.is_system(bundle) {
            return Ok(());
        }
        let default = self.next.default_account;
        match member {
            Member::User(_) if period.is_over(self.now) => Ok(()),
            Member::User(id) if self.principal(false, id.as_str()).is_none_or(|p| p.value.account == default) => Ok(()),
            _ => Err(Fault::Misplaced("role `org-admin` goes only to users of the default account")),
        }
    }

    /// The bundle of a pattern given directly.
    fn pattern(&mut self, pattern: &Pattern) -> Checked<u32> {
        if let Some(found) = self.next.patterns.find(pattern.as_str()) {
            return Ok(found.value);
        }
        self.known(pattern)?;
        let source = Source::Grant(pattern.clone());
        let number = self.add_bundle(source)?;
        put_number(&mut self.next.patterns, pattern.as_str(), number);
        Ok(number)
    }

    /// Rule 3.1: a pattern that names one permission must name a known one.
    pub(super) fn known(&self, pattern: &Pattern) -> Checked<()> {
        match pattern.coverage() {
            Coverage::One(name) if self.next.permission(name).is_none() => {
                Err(Fault::Unknown { what: "permission", id: name.to_owned() })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn add_bundle(&mut self, source: Source) -> Checked<u32> {
        let number = fresh(self.next.bundles.len())?;
        let bundle = Bundle { source, set: Set::default(), shows: false, held: imbl::OrdMap::new() };
        self.next.bundles.push_back(Some(Arc::new(bundle)));
        self.dirty.bundles.insert(number);
        Ok(number)
    }

    pub(super) fn edit_group(&mut self, number: u32, edit: impl FnOnce(&mut GroupSlot)) {
        if let Some(Some(slot)) = self.next.group_slots.get_mut(number as usize) {
            edit(Arc::make_mut(slot));
        }
    }

    pub(super) fn edit_bundle(&mut self, number: u32, edit: impl FnOnce(&mut Bundle)) {
        if let Some(Some(slot)) = self.next.bundles.get_mut(number as usize) {
            edit(Arc::make_mut(slot));
        }
    }

    // Principals.

    /// The draft of a stored or drafted principal.
    pub(super) fn principal(&mut self, service: bool, id: &str) -> Option<&mut PrincipalDraft> {
        use std::collections::hash_map::Entry;
        match self.principals.entry((service, id.into())) {
            Entry::Occupied(drafted) => Some(drafted.into_mut()),
            Entry::Vacant(free) => {
                let pages = if service { &self.next.services } else { &self.next.users };
                let found = pages.find(id)?;
                Some(free.insert(PrincipalDraft {
                    value: found.value,
                    groups: Table::direct_groups_of(&found).collect(),
                    edges: edges(Table::edges_of(&found)).collect(),
                    far: None,
                }))
            }
        }
    }

    /// Makes `id` drafted with these values, keeping its number and what it holds.
    pub(super) fn upsert_principal(
        &mut self,
        service: bool,
        id: &OpaqueId,
        value: Principal,
        groups: Vec<u32>,
        far: Vec<u8>,
    ) {
        if let Some(draft) = self.principal(service, id.as_str()) {
            draft.value = Principal { number: draft.value.number, by_hand: draft.value.by_hand, ..value };
            draft.groups = groups;
            draft.far = Some(far);
            return;
        }
        let number = self.next.principals;
        self.next.principals += 1;
        let value = Principal { number, ..value };
        let draft = PrincipalDraft { value, groups, edges: Vec::new(), far: Some(far) };
        self.principals.insert((service, id.as_str().into()), draft);
    }

    pub(super) fn claim_email(&mut self, id: &OpaqueId, old: Option<&Email>, new: &Email) {
        let new = new.folded();
        self.emails
            .entry(id.clone())
            .and_modify(|(_, claimed)| claimed.clone_from(&new))
            .or_insert_with(|| (old.map(Email::folded), new));
    }

    pub(super) fn bound(&mut self, key: &Key, exceeded: bool, what: &'static str, limit: usize) {
        if exceeded {
            self.violation(key.clone(), "", Fault::TooMany { what, limit });
        }
    }

    /// Notes principals that are in too many groups, on behalf of the row that added them.
    pub(super) fn bound_groups(&mut self, key: &Key) {
        let full = self.principals.values().any(|p| p.groups.len() > limits::MAX_GROUPS_OF_MEMBER);
        self.bound(key, full, "groups of one member", limits::MAX_GROUPS_OF_MEMBER);
    }

    /// The version and what to store of it, if nothing is wrong with it.
    ///
    /// # Errors
    /// Everything that is wrong with what was put and deleted.
    pub fn finish(self) -> Result<Finished, Vec<Violation>> {
        let (table, touched) = self.checked()?;
        let writes =
            touched.into_iter().map(|key| table.row(&key).map_or_else(|| Write::Delete(key), Write::Put)).collect();
        Ok(Finished { table, writes })
    }

    /// The version alone: when its rows were just read from a store, to make each of them again would cost as much as
    /// they take.
    ///
    /// # Errors
    /// As [`Draft::finish`].
    pub(super) fn loaded(self) -> Result<Table, Vec<Violation>> {
        self.checked().map(|(table, _)| table)
    }

    /// The version, and the keys of what changed in it.
    fn checked(mut self) -> Result<(Table, BTreeSet<Key>), Vec<Violation>> {
        self.settle();
        self.check_whole();
        if !self.violations.is_empty() {
            return Err(self.violations);
        }
        self.flatten();
        self.next.revision += 1;
        Ok((self.next, self.touched))
    }

    pub(super) fn settings(&self) -> Option<&Arc<Settings>> {
        self.next.settings.as_ref()
    }
}

pub(super) fn number(pages: &Pages<u32>, what: &'static str, id: &str) -> Checked<u32> {
    pages.find(id).map(|f| f.value).ok_or_else(|| Fault::Unknown { what, id: id.to_owned() })
}

pub(super) fn put_number(pages: &mut Pages<u32>, id: &str, number: u32) {
    pages.edit(vec![Edit { id: id.into(), row: Some(EditRow { value: number, near: Vec::new(), far: None }) }]);
}

pub(super) fn remove_id<V: Fixed>(pages: &mut Pages<V>, id: &str) {
    pages.edit(vec![Edit { id: id.into(), row: None }]);
}

pub(super) fn fresh(len: usize) -> Checked<u32> {
    match u32::try_from(len) {
        Ok(n) if len < limits::MAX_NUMBERS => Ok(n),
        _ => Err(Fault::TooMany { what: "entities", limit: limits::MAX_NUMBERS }),
    }
}

/// Ids that occur twice in a list.
pub(super) fn twice<T: std::hash::Hash + Eq + std::fmt::Display>(items: &[T]) -> Checked<()> {
    let mut seen = HashSet::new();
    match items.iter().find(|i| !seen.insert(*i)) {
        Some(item) => Err(Fault::Duplicate(item.to_string())),
        None => Ok(()),
    }
}
