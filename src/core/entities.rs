//! How each kind of row becomes part of a [`Draft`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::draft::{Draft, fresh, put_number, remove_id, twice};
use super::fault::Fault;
use super::id::{Id, OpaqueId};
use super::limits;
use super::model::{
    Account, Credential, FieldType, Group, GroupKind, InvitePolicy, Key, Member, Object, ObjectKind, Permission,
    PrivateTo, Role, RoleKind, Scope, ServiceAccount, Settings, Status, User, Value,
};
use super::packed;
use super::pages::{Edit, EditRow, Pages};
use super::presets::INVITING;
use super::principal::Principal;
use super::table::{
    AccountSlot, ByRuleRoles, DomainSlot, GroupSlot, ObjectSlot, Open, PermissionRef, PermissionSlot, SYSTEM_GROUPS,
    Source,
};

impl Draft {
    pub(super) fn put_settings(&mut self, key: &Key, row: Settings) {
        let old = self.settings().cloned();
        match old {
            None => self.found(&row),
            Some(old) if old.preset != row.preset => {
                self.violation(key.clone(), "preset", Fault::Immutable("the preset"));
            }
            Some(_) => {}
        }
        let domains: Vec<_> = row.email_domains.iter().map(|d| &d.domain).collect();
        self.list(key, "email_domains", &domains, limits::MAX_DOMAINS, "e-mail domains");
        if let InvitePolicy::AllowedDomains(domains) = &row.invite_policy {
            self.list(key, "invite_policy", domains, limits::MAX_DOMAINS, "domains");
        }
        self.text(key, "display_name", &row.display_name, limits::MAX_NAME_BYTES);
        self.fields(key, "user_attributes", &row.user_attributes);
        if self.settings().is_some_and(|old| old.user_attributes != row.user_attributes) {
            self.dirty.conditions.extend(0..u32::try_from(self.next.object_slots.len()).unwrap_or(u32::MAX));
        }
        self.dirty.domains = true;
        self.next.settings = Some(Arc::new(row));
    }

    /// What an organization has from the start: its preset's catalogue and roles.
    fn found(&mut self, row: &Settings) {
        self.dirty.catalogue = true;
        for built_in in row.preset.catalogue() {
            if let Ok(row) = built_in.row() {
                self.add_permission(&Key::Permission(row.name.clone()), row, true);
            }
        }
        self.next.inviting = self.next.permission(INVITING).map(|p| p.number);
        for role in row.preset.roles() {
            if let Ok(row) = role.row() {
                let id = row.id.clone();
                if let Ok(number) = self.add_bundle(Source::Role { row, changed: false }) {
                    put_number(&mut self.next.roles, id.as_str(), number);
                }
            }
        }
        self.next.by_rule = row.preset.by_rule().and_then(|rule| {
            let role = |id| Some(self.next.roles.find(id)?.value);
            Some(ByRuleRoles { default_account: role(rule.default_account)?, other_account: role(rule.other_account)? })
        });
    }

    pub(super) fn put_account(&mut self, key: &Key, row: Account) {
        self.text(key, "display_name", &row.display_name, limits::MAX_NAME_BYTES);
        self.dirty.accounts = true;
        let number = match self.account(&row.id) {
            Ok(number) => number,
            Err(_) => {
                let Some(number) = self.note(key, "", fresh(self.next.account_slots.len())) else { return };
                put_number(&mut self.next.accounts, row.id.as_str(), number);
                self.next.account_slots.push_back(None);
                number
            }
        };
        if row.default {
            self.next.default_account = number;
        }
        let holdings = self.next.account_slot(number).map_or_else(Arc::default, |s| Arc::clone(&s.holdings));
        self.next.account_slots.set(number as usize, Some(Arc::new(AccountSlot { row, holdings })));
    }

    pub(super) fn put_permission(&mut self, key: &Key, row: Permission) {
        self.list(key, "aliases", &row.aliases, limits::MAX_ALIASES, "aliases");
        if row.when_not_owner.as_ref() == Some(&row.name) {
            self.violation(key.clone(), "when_not_owner", Fault::Misplaced("a permission cannot stand in for itself"));
        }
        self.dirty.catalogue = true;
        self.add_permission(key, row, false);
    }

    fn add_permission(&mut self, key: &Key, row: Permission, built_in: bool) {
        let mine = self.next.permission(row.name.as_str()).map(|p| p.number);
        let old = mine.and_then(|n| self.next.permission_slots.get(n as usize).cloned().flatten());
        let number = match (mine, old) {
            (None, _) | (Some(_), None) => {
                let number = self.next.permission_slots.len();
                if number >= limits::MAX_PERMISSIONS {
                    let fault = Fault::TooMany { what: "permissions", limit: limits::MAX_PERMISSIONS };
                    return self.violation(key.clone(), "", fault);
                }
                let Some(number) = self.note(key, "", fresh(number)) else { return };
                self.next.permission_slots.push_back(None);
                number
            }
            (Some(_), Some(old)) if old.built_in => {
                return self.violation(key.clone(), "", Fault::BuiltIn(format!("permission `{}`", old.row.name)));
            }
            (Some(_), Some(old)) if old.row.name != row.name => {
                let (name, by) = (row.name.to_string(), old.row.name.to_string());
                return self.violation(key.clone(), "name", Fault::NameTaken { name, by });
            }
            (Some(number), Some(old)) => {
                old.row.aliases.iter().for_each(|a| remove_id(&mut self.next.permissions, a.as_str()));
                number
            }
        };
        for name in std::iter::once(&row.name).chain(&row.aliases) {
            if let Some(taken) = self.next.permission(name.as_str()).filter(|p| p.number != number) {
                let by = self.next.permission_slot(taken.number).map_or_else(String::new, |s| s.row.name.to_string());
                self.violation(key.clone(), "aliases", Fault::NameTaken { name: name.to_string(), by });
                continue;
            }
            // The marks that depend on other permissions are filled in by `flatten`.
            let value = PermissionRef {
                number,
                level: row.level,
                requires_visibility: row.requires_visibility,
                requires_approver: row.requires_approver,
                when_not_owner: None,
            };
            let edit = EditRow { value, near: Vec::new(), far: None };
            self.next.permissions.edit(vec![Edit { id: name.as_str().into(), row: Some(edit) }]);
        }
        self.next.permission_slots.set(number as usize, Some(Arc::new(PermissionSlot { row, built_in })));
    }

    pub(super) fn put_object(&mut self, key: &Key, row: Object) {
        self.text(key, "display_name", &row.display_name, limits::MAX_NAME_BYTES);
        self.fields(key, "fields", &row.fields);
        self.check_fields(key, &row);
        if row.private_to.is_some() && row.kind != ObjectKind::Element {
            self.violation(key.clone(), "private_to", Fault::Misplaced("only an element can be private"));
        }
        match &row.private_to {
            None => {}
            Some(PrivateTo::Account(id)) => {
                let account = self.account(id);
                if self.note(key, "private_to", account).is_none() {
                    return;
                }
            }
            // Users are loaded after objects, so this one is looked for when all are there.
            Some(PrivateTo::User(id)) => self.dirty.private.push((key.clone(), id.clone())),
        }
        let number = match self.object(&row.id) {
            Ok(number) => number,
            Err(_) => {
                let Some(number) = self.note(key, "", fresh(self.next.object_slots.len())) else { return };
                put_number(&mut self.next.objects, row.id.as_str(), number);
                self.next.object_slots.push_back(None);
                number
            }
        };
        let slot = match self.next.object_slot(number) {
            Some(old) if old.row.kind != row.kind => {
                return self.violation(key.clone(), "kind", Fault::Immutable("the kind of an object"));
            }
            Some(old) => {
                if old.row.fields != row.fields {
                    self.dirty.conditions.insert(number);
                }
                ObjectSlot { row, ..ObjectSlot::clone(old) }
            }
            None => {
                let records = Pages::new(u64::from(number) ^ self.next.users.seed());
                let (holdings, policies, shares) = Default::default();
                // INVARIANT 4: closed until `flatten` says to whom it is open.
                ObjectSlot { row, open: Open::Nobody, holdings, records, policies, shares }
            }
        };
        self.dirty.opened.insert(number);
        self.next.object_slots.set(number as usize, Some(Arc::new(slot)));
    }

    pub(super) fn put_role(&mut self, key: &Key, row: Role) {
        self.text(key, "name", &row.name, limits::MAX_NAME_BYTES);
        self.text(key, "description", &row.description, limits::MAX_DESCRIPTION_BYTES);
        self.list(key, "permissions", &row.permissions, limits::MAX_PATTERNS, "permissions in one role");
        for pattern in &row.permissions {
            let known = self.known(pattern);
            self.note(key, "permissions", known);
        }
        if let Some(object) = &row.object {
            let known = self.object(object);
            self.note(key, "object", known);
            if row.scope != Scope::Object {
                let fault = Fault::Misplaced("only a role of scope `object` can be tied to an object");
                self.violation(key.clone(), "object", fault);
            }
        }
        self.check_auto_share(key, &row);
        match self.role(&row.id) {
            Ok(number) => self.change_role(key, number, row),
            Err(_) if row.kind != RoleKind::Custom => {
                self.violation(key.clone(), "kind", Fault::Misplaced("only roles of kind `custom` can be created"));
            }
            Err(_) => {
                let id = row.id.clone();
                self.dirty.shares |= !row.auto_share.is_empty();
                let added = self.add_bundle(Source::Role { row, changed: true });
                if let Some(number) = self.note(key, "", added) {
                    put_number(&mut self.next.roles, id.as_str(), number);
                }
            }
        }
    }

    fn change_role(&mut self, key: &Key, number: u32, row: Role) {
        let Some(Source::Role { row: old, .. }) = self.next.bundle(number).map(|b| b.source.clone()) else { return };
        if old.kind == RoleKind::Managed {
            return self.violation(key.clone(), "", Fault::BuiltIn(format!("role `{}`", row.id)));
        }
        let mut fixed = |same: bool, field, what| {
            if !same {
                self.violation(key.clone(), field, Fault::Immutable(what));
            }
        };
        fixed(old.kind == row.kind, "kind", "the kind of a role");
        fixed(old.scope == row.scope, "scope", "the scope of a role");
        fixed(old.object == row.object, "object", "the object that a role is tied to");
        if old.kind == RoleKind::System {
            fixed(old.name == row.name, "name", "the name of a system role");
            fixed(old.description == row.description, "description", "the description of a system role");
        }
        if old.permissions != row.permissions {
            self.dirty.bundles.insert(number);
        }
        self.dirty.shares |= old.auto_share != row.auto_share;
        self.edit_bundle(number, |b| b.source = Source::Role { row, changed: true });
    }

    pub(super) fn declare_group(&mut self, id: &Id) {
        if self.group(id).is_ok() {
            return;
        }
        let key = Key::Group(id.clone());
        let Some(number) = self.note(&key, "", fresh(self.next.group_slots.len())) else { return };
        put_number(&mut self.next.groups, id.as_str(), number);
        let slot = GroupSlot::plain(id.clone(), GroupKind::Manual);
        self.next.group_slots.push_back(Some(Arc::new(slot)));
        self.dirty.declared.insert(number);
    }

    pub(super) fn put_group(&mut self, key: &Key, mut row: Group) {
        let Ok(number) = self.group(&row.id) else { return };
        let Some(old) = self.next.group_slot(number).cloned() else { return };
        self.text(key, "name", &row.name, limits::MAX_NAME_BYTES);
        self.text(key, "photo_uri", &row.photo_uri, limits::MAX_URI_BYTES);
        if let GroupKind::Dynamic(domains) = &row.kind {
            self.list(key, "domains", domains, limits::MAX_DOMAINS, "domains");
        }
        let declared = self.dirty.declared.remove(&number);
        let is_system = SYSTEM_GROUPS.contains(&row.id.as_str());
        if is_system && !(row.kind == GroupKind::System && row.name.is_empty() && row.photo_uri.is_empty()) {
            self.violation(key.clone(), "", Fault::BuiltIn(format!("group `{}`", row.id)));
        } else if !is_system && row.kind == GroupKind::System {
            self.violation(key.clone(), "kind", Fault::Misplaced("system groups are kept by the system, not created"));
        }
        let same_kind = std::mem::discriminant(&old.row.kind) == std::mem::discriminant(&row.kind);
        if !declared && !same_kind {
            self.violation(key.clone(), "kind", Fault::Immutable("the kind of a group"));
        }
        self.dirty.domains |= old.row.kind != row.kind;
        if old.row.visibility.data_access != row.visibility.data_access {
            self.policies_of(&old);
        }

        let parents = self.parents(key, &std::mem::take(&mut row.groups));
        let gone = old.parents.iter().filter(|p| !parents.contains(p));
        let new = parents.iter().filter(|p| !old.parents.contains(p));
        for parent in gone.chain(new).copied().collect::<Vec<_>>() {
            let add = parents.contains(&parent);
            self.edit_group(parent, |slot| match slot.children.binary_search(&number) {
                Ok(at) if !add => drop(slot.children.remove(at)),
                Err(at) if add => slot.children.insert(at, number),
                _ => {}
            });
            self.dirty.nesting.extend([parent, number]);
        }
        self.edit_group(number, |slot| {
            slot.row = row;
            slot.parents = parents;
        });
    }

    /// The numbers of the groups that a member's row names.
    fn parents(&mut self, key: &Key, ids: &[Id]) -> Vec<u32> {
        self.list(key, "groups", ids, limits::MAX_GROUPS_OF_MEMBER, "groups of one member");
        let mut numbers: Vec<u32> = Vec::with_capacity(ids.len());
        for id in ids {
            let number = self.group(id);
            let Some(number) = self.note(key, "groups", number) else { continue };
            numbers.push(number);
            // A group declared in this very change is checked once all are put.
            if self.dirty.declared.contains(&number) {
                self.dirty.memberships.push((key.clone(), number));
            } else {
                let manual = self.manual(number);
                self.note(key, "groups", manual);
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Rule 2.6: only manual groups have members that are added.
    pub(super) fn manual(&self, group: u32) -> Result<(), Fault> {
        match self.next.group_slot(group).map(|s| &s.row) {
            Some(row) if row.kind != GroupKind::Manual => Err(Fault::NotManual(row.id.to_string())),
            _ => Ok(()),
        }
    }

    pub(super) fn put_user(&mut self, key: &Key, mut row: User) {
        self.text(key, "first_name", &row.first_name, limits::MAX_NAME_BYTES);
        self.text(key, "last_name", &row.last_name, limits::MAX_NAME_BYTES);
        self.attributes(key, &row.attributes);
        match (row.status, row.status_before) {
            (Status::Inactive, Some(Status::Active | Status::Limited) | None) | (_, None) => {}
            _ => {
                let fault = Fault::Misplaced("`status_before` is `active` or `limited`, for an inactive user only");
                self.violation(key.clone(), "status_before", fault);
            }
        }
        if !row.pending_groups.is_empty() && row.status != Status::Invited {
            self.violation(key.clone(), "pending_groups", Fault::Misplaced("only an invited user has pending groups"));
        }
        self.parents(key, &row.pending_groups.clone());
        let groups = self.parents(key, &std::mem::take(&mut row.groups));
        let account = self.account(&row.account);
        let Some(account) = self.note(key, "account", account) else { return };
        let domain = self.domain(&row.email.domain());
        let Some(domain) = self.note(key, "email", domain) else { return };
        if row.manager.is_some() {
            self.dirty.managers.push(row.id.clone());
        }
        let old = self.stored::<User>(false, row.id.as_str());
        if let Some(old) =
            old.as_ref().filter(|old| old.status != row.status && !old.may_become().contains(&row.status))
        {
            let fault = Fault::StatusMove { from: old.status, to: row.status, possible: old.may_become() };
            self.violation(key.clone(), "status", fault);
        }
        if old.as_ref().is_some_and(|u| u.account != row.account) {
            self.dirty.moved.push(row.id.clone());
        }
        self.claim_email(&row.id, old.as_ref().map(|u| &u.email), &row.email);
        self.claim_sign_ons(key, &row.id, old.map(|u| u.sign_ons).unwrap_or_default(), &row.sign_ons);
        let value = Principal {
            number: 0,
            account,
            domain,
            groups: 0,
            status: row.status,
            kind: Some(row.kind),
            by_hand: false,
        };
        let Some(form) = self.form(key, &row.attributes) else { return };
        let attributes = std::mem::take(&mut row.attributes);
        let far = packed::far(form, &attributes, &minicbor::to_vec(&row).unwrap_or_default());
        self.upsert_principal(false, &row.id, value, groups, far);
    }

    pub(super) fn put_service(&mut self, key: &Key, mut row: ServiceAccount) {
        self.attributes(key, &row.attributes);
        if !matches!(row.status, Status::Active | Status::Inactive) {
            let fault = Fault::Misplaced("a service account is `active` or `inactive`");
            self.violation(key.clone(), "status", fault);
        }
        let groups = self.parents(key, &std::mem::take(&mut row.groups));
        let account = self.account(&row.account);
        let Some(account) = self.note(key, "account", account) else { return };
        let value = Principal {
            number: 0,
            account,
            domain: u32::MAX,
            groups: 0,
            status: row.status,
            kind: None,
            by_hand: false,
        };
        let Some(form) = self.form(key, &row.attributes) else { return };
        let attributes = std::mem::take(&mut row.attributes);
        let far = packed::far(form, &attributes, &minicbor::to_vec(&row).unwrap_or_default());
        self.upsert_principal(true, &row.id, value, groups, far);
    }

    pub(super) fn put_credential(&mut self, key: &Key, row: Credential) {
        self.text(key, "display_name", &row.display_name, limits::MAX_NAME_BYTES);
        let known = self.member(&Member::Service(row.service.clone()));
        if self.note(key, "service_account", known).is_none() {
            return;
        }
        let service = row.service.as_str();
        let of: &[Id] = self.next.credentials_of.get(service).map_or(&[], |ids| ids);
        let mut of: Vec<Id> = of.iter().filter(|id| **id != row.id).cloned().collect();
        self.bound(
            key,
            of.len() >= limits::MAX_CREDENTIALS,
            "credentials of one service account",
            limits::MAX_CREDENTIALS,
        );
        // Rows of a store come by id, not by age.
        let age = |id: &Id| self.next.credential(id.as_str()).map(|c| c.created_at);
        let at = of.partition_point(|id| (age(id), id) < (Some(row.created_at), &row.id));
        of.insert(at, row.id.clone());
        self.next.credentials_of.insert(service.into(), of.into());
        self.next.credentials.insert(row.id.as_str().into(), Arc::new(row));
    }

    pub(super) fn take_credential(&mut self, id: &Id) {
        let Some(row) = self.next.credentials.remove(id.as_str()) else { return };
        if let Some(of) = self.next.credentials_of.get_mut(row.service.as_str()) {
            *of = of.iter().filter(|other| *other != id).cloned().collect();
        }
    }

    /// The number of the form that these attributes have.
    fn form(&mut self, key: &Key, attributes: &BTreeMap<String, Value>) -> Option<u32> {
        let names: packed::Form = attributes.keys().map(|name| name.as_str().into()).collect();
        if let Some(number) = self.next.forms.get(&names) {
            return Some(*number);
        }
        let number = self.note(key, "attributes", fresh(self.next.form_slots.len()))?;
        self.next.form_slots.push_back(Arc::clone(&names));
        self.next.forms.insert(names, number);
        Some(number)
    }

    /// The stored part of a principal's row, attributes aside, as drafted or else as in the table.
    pub(super) fn stored<T: for<'b> minicbor::Decode<'b, ()>>(&self, service: bool, id: &str) -> Option<T> {
        let drafted = self.principals.get(&(service, id.into())).and_then(|d| d.far.as_deref());
        let pages = if service { &self.next.services } else { &self.next.users };
        let far = drafted.or_else(|| Some(pages.find(id)?.far()))?;
        minicbor::decode(packed::Far::of(far)?.row).ok()
    }

    fn domain(&mut self, domain: &str) -> Result<u32, Fault> {
        if let Some(found) = self.next.domains.find(domain) {
            return Ok(found.value);
        }
        let number = fresh(self.next.domain_slots.len())?;
        put_number(&mut self.next.domains, domain, number);
        self.next.domain_slots.push_back(Arc::new(DomainSlot::default()));
        self.dirty.domains = true;
        Ok(number)
    }

    // Bounds.

    pub(super) fn list<T: std::hash::Hash + Eq + std::fmt::Display>(
        &mut self,
        key: &Key,
        field: &'static str,
        items: &[T],
        limit: usize,
        what: &'static str,
    ) {
        self.note(key, field, twice(items));
        if items.len() > limit {
            self.violation(key.clone(), field, Fault::TooMany { what, limit });
        }
    }

    pub(super) fn text(&mut self, key: &Key, field: &'static str, text: &str, limit: usize) {
        if text.len() > limit {
            self.violation(key.clone(), field, Fault::TooMany { what: "bytes", limit });
        }
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            self.violation(key.clone(), field, Fault::Misplaced("text contains a control character"));
        }
    }

    fn fields(&mut self, key: &Key, field: &'static str, fields: &BTreeMap<String, FieldType>) {
        if fields.len() > limits::MAX_FIELDS {
            self.violation(key.clone(), field, Fault::TooMany { what: "fields", limit: limits::MAX_FIELDS });
        }
        for (name, kind) in fields {
            self.text(key, field, name, limits::MAX_FIELD_NAME_BYTES);
            if matches!(kind, FieldType::List(item) if matches!(**item, FieldType::List(_))) {
                self.violation(key.clone(), field, Fault::Misplaced("a list holds scalars"));
            }
        }
    }

    fn attributes(&mut self, key: &Key, attributes: &BTreeMap<String, Value>) {
        let (what, limit) = ("attributes", limits::MAX_FIELDS);
        if attributes.len() > limit {
            self.violation(key.clone(), "attributes", Fault::TooMany { what, limit });
        }
        if minicbor::to_vec(attributes).is_ok_and(|b| b.len() > limits::MAX_ATTRIBUTES_BYTES) {
            let (what, limit) = ("bytes of attributes", limits::MAX_ATTRIBUTES_BYTES);
            self.violation(key.clone(), "attributes", Fault::TooMany { what, limit });
        }
        for (name, value) in attributes {
            self.text(key, "attributes", name, limits::MAX_FIELD_NAME_BYTES);
            let items = if let Value::List(items) = value { items.as_slice() } else { std::slice::from_ref(value) };
            let odd = |v: &Value| matches!(v, Value::List(_)) || matches!(v, Value::Double(d) if !d.is_finite());
            if items.iter().any(odd) {
                let fault = Fault::Misplaced("an attribute is a scalar or a list of scalars; numbers are finite");
                self.violation(key.clone(), "attributes", fault);
            }
        }
    }
}

/// The user that an element is private to must exist.
impl Draft {
    pub(super) fn check_private(&mut self) {
        for (key, id) in std::mem::take(&mut self.dirty.private) {
            let user: &OpaqueId = &id;
            if self.next.users.find(user.as_str()).is_none() {
                self.violation(key, "private_to", Fault::Unknown { what: "user", id: user.to_string() });
            }
        }
    }
}
