//! Deleting (rule 2.10): what refers to the deleted goes with it, in the same version.
//!
//! Edges are kept where decisions read them, by target and member, so the ones that refer to a
//! deleted role or account are found by one pass over all of them. Deleting is rare; an index that
//! every write would have to keep is not worth it.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::draft::{Draft, remove_id};
use super::edge::{at_object, of_relation};
use super::fault::Fault;
use super::id::Id;
use super::model::{Effect, Key, Member, PrivateTo, RoleKind, Row, Target};
use super::table::{PolicySlot, Source, Table};

impl Draft {
    /// Takes rows away, and what refers to them. Keys without a row are reported as violations.
    pub fn delete(&mut self, keys: &[Key]) {
        self.settle();
        let mut doomed: BTreeSet<Key> = BTreeSet::new();
        for key in keys {
            if self.deletable(key) {
                doomed.insert(key.clone());
            }
        }
        // A role tied to a deleted object goes with it.
        for (key, object) in self.next.tied_roles() {
            if doomed.contains(&Key::Object(object)) {
                doomed.insert(key);
            }
        }
        let unlisted = |key: &Key| match key {
            Key::Object(id) if self.next.safelist().contains(id) => Some(Key::SafelistElement(id.clone())),
            _ => None,
        };
        // Rule 7.2: only who asks for it empties the safelist.
        let asked = doomed.iter().filter(|k| matches!(k, Key::SafelistElement(_))).count();
        let entries: BTreeSet<Key> = doomed.iter().filter_map(unlisted).filter(|k| !doomed.contains(k)).collect();
        if !entries.is_empty() && asked + entries.len() == self.next.safelist().len() {
            for key in &entries {
                if let Key::SafelistElement(id) = key {
                    self.violation(Key::Object(id.clone()), "", Fault::LastListed);
                }
            }
            return;
        }
        doomed.extend(entries);
        for policy in self.next.policies() {
            if doomed.contains(&Key::Object(policy.row.object.clone())) {
                doomed.insert(Key::Policy(policy.row.id.clone()));
            }
        }
        let gone = |role: &Id, target: &Target| {
            let custom = || self.next.role_row(role).is_some_and(|r| r.kind == RoleKind::Custom);
            doomed.contains(&Key::Role(role.clone())) && custom()
                || match target {
                    Target::Organization => false,
                    Target::Account(id) => doomed.contains(&Key::Account(id.clone())),
                    Target::Object(id) | Target::Record(id, _) => doomed.contains(&Key::Object(id.clone())),
                }
        };
        let named = self.emergencies_at(gone);
        doomed.extend(named);
        let alone = |k: &Key| {
            matches!(
                k,
                Key::Assignment(..)
                    | Key::Grant(..)
                    | Key::Related(..)
                    | Key::Policy(_)
                    | Key::SafelistElement(_)
                    | Key::Credential(_)
                    | Key::Separation(_)
                    | Key::Emergency(..)
                    | Key::Activation(_)
            )
        };
        if !doomed.iter().all(alone) {
            let edges: Vec<Key> =
                self.next.edge_rows().map(|row| row.key()).filter(|k| refers(&doomed, &self.next, k)).collect();
            for edge in &edges {
                self.delete_edge(edge);
            }
            self.cut_members(&doomed);
            self.cut_permissions(&doomed);
            if self.check_references(&doomed) {
                return;
            }
            self.cut_policies(&doomed);
            self.cut_separations(&doomed);
        }
        // Policies before their objects.
        for key in doomed.iter().rev() {
            self.delete_one(key);
        }
        self.touched.extend(doomed);
    }

    /// Whether the row exists and is the organization's to delete.
    fn deletable(&mut self, key: &Key) -> bool {
        let Some(row) = self.next.row(key) else {
            let fault = match key {
                Key::Role(id) if self.next.roles.find(id.as_str()).is_some() => Fault::BuiltIn(format!("role `{id}`")),
                Key::Group(id) if self.next.groups.find(id.as_str()).is_some() => {
                    Fault::BuiltIn(format!("group `{id}`"))
                }
                Key::Permission(name) if self.next.permission(name.as_str()).is_some() => {
                    Fault::BuiltIn(format!("permission `{name}`"))
                }
                _ => Fault::Unknown { what: "row", id: key.describe() },
            };
            self.violation(key.clone(), "", fault);
            return false;
        };
        let fault = match row {
            Row::Settings(_) => Some(Fault::BuiltIn("the organization's settings".to_owned())),
            Row::User(_) => Some(Fault::NeverRemoved("users")),
            Row::Service(_) => Some(Fault::NeverRemoved("service accounts")),
            // The row of a system role or group is what differs from the preset: deleting resets it.
            Row::Role(role) if role.kind == RoleKind::Managed => Some(Fault::BuiltIn(format!("role `{}`", role.id))),
            _ => None,
        };
        match fault {
            None => true,
            Some(fault) => {
                self.violation(key.clone(), "", fault);
                false
            }
        }
    }

    pub(super) fn delete_edge(&mut self, key: &Key) -> bool {
        self.touched.insert(key.clone());
        if let Key::Related(relation, member, object, record) = key {
            let target = Target::Record(object.clone(), record.clone());
            return self.remove_edge(of_relation(*relation), member, &target);
        }
        let (bundle, member, target) = match key {
            Key::Assignment(role, member, target) => (self.next.roles.find(role.as_str()), member, target),
            Key::Grant(pattern, member, target) => (self.next.patterns.find(pattern.as_str()), member, target),
            _ => return false,
        };
        bundle.map(|f| f.value).is_some_and(|bundle| self.remove_edge(bundle, member, target))
    }

    /// Takes deleted groups out of the policies that name them.
    fn cut_policies(&mut self, doomed: &BTreeSet<Key>) {
        let gone = |m: &Member| matches!(m, Member::Group(id) if deleted(doomed, id));
        let named =
            |p: &&Arc<PolicySlot>| !doomed.contains(&Key::Policy(p.row.id.clone())) && p.row.members.iter().any(gone);
        let rows: Vec<_> = self.next.policies().filter(named).map(|p| p.row.clone()).collect();
        for mut row in rows {
            row.members.retain(|m| !gone(m));
            self.put(Row::Policy(row));
        }
    }

    /// Takes deleted groups out of their members' rows.
    fn cut_members(&mut self, doomed: &BTreeSet<Key>) {
        let gone: BTreeSet<u32> = doomed
            .iter()
            .filter_map(|k| if let Key::Group(id) = k { self.group(id).ok() } else { None })
            .filter(|n| self.manual(*n).is_ok())
            .collect();
        if gone.is_empty() {
            return;
        }
        for service in [false, true] {
            let pages = if service { &self.next.services } else { &self.next.users };
            let members: Vec<Box<str>> = pages
                .iter()
                .filter(|f| Table::direct_groups_of(f).any(|g| gone.contains(&g)))
                .map(|f| f.id.into())
                .collect();
            for id in members {
                if let Some(draft) = self.principal(service, &id) {
                    draft.groups.retain(|g| !gone.contains(g));
                }
                if let Ok(id) = super::id::OpaqueId::parse(&id) {
                    self.touched.insert(if service { Key::Service(id) } else { Key::User(id) });
                }
            }
        }
        // A pending membership in a deleted group is dropped too.
        let pending: Vec<_> = self
            .next
            .users
            .iter()
            .filter_map(|f| self.next.user(&f))
            .filter(|u| u.pending_groups.iter().any(|g| doomed.contains(&Key::Group(g.clone()))))
            .collect();
        for mut user in pending {
            user.pending_groups.retain(|g| !doomed.contains(&Key::Group(g.clone())));
            user.groups.retain(|g| !doomed.contains(&Key::Group(g.clone())));
            self.put(Row::User(user));
        }
        for number in &gone {
            let Some(slot) = self.next.group_slot(*number).cloned() else { continue };
            for child in &slot.children {
                self.edit_group(*child, |c| c.parents.retain(|p| p != number));
                if let Some(child) = self.next.group_slot(*child) {
                    self.touched.insert(Key::Group(child.row.id.clone()));
                }
            }
            for parent in &slot.parents {
                self.edit_group(*parent, |p| p.children.retain(|c| c != number));
            }
            self.dirty.nesting.extend(slot.parents.iter().chain(&slot.children));
        }
    }

    /// Takes deleted permissions out of the roles that name them.
    fn cut_permissions(&mut self, doomed: &BTreeSet<Key>) {
        let gone: BTreeSet<u32> = doomed
            .iter()
            .filter_map(
                |k| if let Key::Permission(n) = k { Some(self.next.permission(n.as_str())?.number) } else { None },
            )
            .collect();
        if gone.is_empty() {
            return;
        }
        for number in 0..self.next.bundles.len() {
            let Some(bundle) = self.next.bundles.get(number).cloned().flatten() else { continue };
            let Source::Role { mut row, changed } = bundle.source.clone() else { continue };
            let before = row.permissions.len();
            row.permissions.retain(|p| match p.coverage() {
                super::id::Coverage::One(name) => self.next.permission(name).is_none_or(|p| !gone.contains(&p.number)),
                _ => true,
            });
            if row.permissions.len() < before {
                let key = Key::Role(row.id.clone());
                self.touched.insert(key);
                if let Ok(number) = u32::try_from(number) {
                    self.dirty.bundles.insert(number);
                    self.edit_bundle(number, |b| b.source = Source::Role { row, changed });
                }
            }
        }
    }

    /// References that must not be cut silently, because cutting them would open something.
    /// Whether there are such.
    fn check_references(&mut self, doomed: &BTreeSet<Key>) -> bool {
        let mut found = Vec::new();
        for (_, slot) in self.next.catalogue() {
            let uses = slot.row.when_not_owner.as_ref().is_some_and(|q| {
                self.next.canonical(q.as_str()).is_some_and(|q| doomed.contains(&Key::Permission(q.clone())))
            });
            if uses
                && !doomed.contains(&Key::Permission(slot.row.name.clone()))
                && let Some(q) = slot.row.when_not_owner.as_ref().and_then(|q| self.next.canonical(q.as_str()))
            {
                found.push((Key::Permission(q.clone()), format!("permission `{}`", slot.row.name)));
            }
        }
        for slot in self.next.object_slots.iter().flatten() {
            if let Some(PrivateTo::Account(id)) = &slot.row.private_to {
                let key = Key::Account(id.clone());
                if doomed.contains(&key) && !doomed.contains(&Key::Object(slot.row.id.clone())) {
                    found.push((key, format!("object `{}`, which is private to it", slot.row.id)));
                }
            }
        }
        // Rule 2.10: without the group, more would be visible.
        for policy in self.next.policies().filter(|p| p.row.effect == Effect::Restrict) {
            let groups =
                policy.row.members.iter().filter_map(|m| if let Member::Group(id) = m { Some(id) } else { None });
            for id in groups.filter(|id| deleted(doomed, id)) {
                if !doomed.contains(&Key::Policy(policy.row.id.clone())) {
                    let by = format!("data-access policy `{}`, which restricts it", policy.row.id);
                    found.push((Key::Group(id.clone()), by));
                }
            }
        }
        for key in doomed {
            let Key::Account(id) = key else { continue };
            let Ok(number) = self.account(id) else { continue };
            if self.next.account_slot(number).is_some_and(|s| s.row.default) {
                found.push((key.clone(), "the organization as its default account".to_owned()));
            }
            for (pages, what) in [(&self.next.users, "users"), (&self.next.services, "service accounts")] {
                let count = pages.iter().filter(|f| f.value.account == number).count();
                if count > 0 {
                    found.push((key.clone(), format!("{count} {what}")));
                }
            }
        }
        let any = !found.is_empty();
        for (key, by) in found {
            self.violation(key, "", Fault::InUse(by));
        }
        any
    }

    pub(super) fn delete_one(&mut self, key: &Key) {
        match key {
            Key::Settings | Key::User(_) | Key::Service(_) => {}
            Key::Account(id) => {
                if let Ok(n) = self.account(id) {
                    remove_id(&mut self.next.accounts, id.as_str());
                    self.next.account_slots.set(n as usize, None);
                    self.dirty.accounts = true;
                }
            }
            Key::Permission(name) => {
                if let Some(p) = self.next.permission(name.as_str())
                    && let Some(slot) = self.next.permission_slots.set(p.number as usize, None)
                {
                    remove_id(&mut self.next.permissions, name.as_str());
                    slot.row.aliases.iter().for_each(|a| remove_id(&mut self.next.permissions, a.as_str()));
                    self.dirty.catalogue = true;
                }
            }
            Key::Object(id) => {
                if let Ok(n) = self.object(id) {
                    remove_id(&mut self.next.objects, id.as_str());
                    self.next.object_slots.set(n as usize, None);
                    self.dirty.targets.remove(&at_object(n));
                    self.dirty.contents.remove(&at_object(n));
                }
            }
            Key::Role(id) => {
                let Ok(n) = self.role(id) else { return };
                let shipped = self.settings().and_then(|s| s.preset.roles().iter().find(|r| r.id == id.as_str()));
                if let Some(shipped) = shipped {
                    // A system role goes back to what its preset says.
                    if let Ok(row) = shipped.row() {
                        self.dirty.bundles.insert(n);
                        self.edit_bundle(n, |b| b.source = Source::Role { row, changed: false });
                    }
                } else {
                    self.dirty.shares = true;
                    remove_id(&mut self.next.roles, id.as_str());
                    for n in std::iter::once(n).chain(self.next.activated.remove(&n)) {
                        self.next.bundles.set(n as usize, None);
                        self.dirty.bundles.remove(&n);
                    }
                }
            }
            Key::Group(id) => {
                let Ok(n) = self.group(id) else { return };
                if super::table::SYSTEM_GROUPS.contains(&id.as_str()) {
                    let parents = self.next.group_slot(n).map(|s| s.parents.clone()).unwrap_or_default();
                    for parent in &parents {
                        self.edit_group(*parent, |p| p.children.retain(|c| *c != n));
                    }
                    self.dirty.nesting.extend(parents);
                    if let Some(slot) = self.next.group_slot(n).cloned() {
                        self.policies_of(&slot);
                    }
                    self.edit_group(n, |g| {
                        g.row.visibility = super::model::Visibility::default();
                        g.parents = Vec::new();
                    });
                    return;
                }
                remove_id(&mut self.next.groups, id.as_str());
                self.next.group_slots.set(n as usize, None);
                self.dirty.nesting.remove(&n);
                self.dirty.domains = true;
            }
            Key::Assignment(..) | Key::Grant(..) | Key::Related(..) => {
                self.delete_edge(key);
            }
            Key::Policy(id) => self.take_policy(id),
            Key::SafelistElement(id) => self.take_safelist_element(id),
            Key::Credential(id) => self.take_credential(id),
            Key::Separation(id) => self.take_separation(id),
            Key::Emergency(role, target) => self.take_emergency(role, target),
            Key::Activation(id) => self.take_activation(id),
        }
    }
}

/// Whether a group is deleted: the row of a system group is only reset.
fn deleted(doomed: &BTreeSet<Key>, group: &Id) -> bool {
    !super::table::SYSTEM_GROUPS.contains(&group.as_str()) && doomed.contains(&Key::Group(group.clone()))
}

/// Whether an assignment, grant or relation names one of the doomed.
fn refers(doomed: &BTreeSet<Key>, table: &Table, edge: &Key) -> bool {
    let (source, member, target) = match edge {
        // A system role is reset, not deleted: its assignments stay.
        Key::Assignment(role, member, target) => {
            let custom = table.role_row(role).is_some_and(|r| r.kind == RoleKind::Custom);
            (custom.then(|| Key::Role(role.clone())), member, target)
        }
        Key::Grant(pattern, member, target) => {
            (table.canonical(pattern.as_str()).map(|n| Key::Permission(n.clone())), member, target)
        }
        Key::Related(_, member, object, _) => {
            let group = matches!(member, Member::Group(id) if deleted(doomed, id));
            return group || doomed.contains(&Key::Object(object.clone()));
        }
        _ => return false,
    };
    let member = match member {
        Member::User(id) => Some(Key::User(id.clone())),
        Member::Service(id) => Some(Key::Service(id.clone())),
        // It is never deleted; what it holds goes with the role or the place all the same.
        Member::Group(id) if super::table::SYSTEM_GROUPS.contains(&id.as_str()) => None,
        Member::Group(id) => Some(Key::Group(id.clone())),
    };
    let target = match target {
        Target::Organization => None,
        Target::Account(id) => Some(Key::Account(id.clone())),
        Target::Object(id) | Target::Record(id, _) => Some(Key::Object(id.clone())),
    };
    [source, member, target].into_iter().flatten().any(|key| doomed.contains(&key))
}

impl Table {
    /// Roles tied to one object, with the object.
    fn tied_roles(&self) -> Vec<(Key, Id)> {
        let tied = self.bundles.iter().flatten().filter_map(|b: &Arc<_>| match &b.source {
            Source::Role { row, .. } => Some((Key::Role(row.id.clone()), row.object.clone()?)),
            Source::Grant(_) | Source::Activation(_) => None,
        });
        tied.collect()
    }
}
