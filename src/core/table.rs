//! One version of an organization, immutable: what a decision walks and what an administrator
//! reads. State and table are this one structure; two versions share all that did not change.
//!
//! Everything that is named gets a small *number* when it is loaded; numbers are never stored and
//! never used again. What a decision needs is laid out by number:
//!
//! ```text
//! permission name ─► PermissionRef (number, level, marks)
//! principal id ────► Principal (status, kind, …) + its direct groups + what it holds directly
//! target ──────────► Holdings: permission ─► class ─► Holders (groups closed over nesting)
//! ```
//!
//! At one target, permissions that are contained in the same of the roles held there form a
//! *class* and share one set of holders; which permission belongs to which class depends on the
//! roles alone ([`Shape`]), so ten thousand objects with the same three roles share one shape.
//! The alternative that lost: merged permission sets per user (1.75 GB at a million users, and a
//! popular role copies every page when it changes).

use std::sync::Arc;

use imbl::{OrdMap, OrdSet, Vector};

use super::condition::Typed;
use super::decision::split_principal;
use super::edge::{AT_ORGANIZATION, TargetNo, at_account};
use super::holdings::{Holders, Holdings, Shape};
use super::id::Pattern;
use super::id::{Id, PermissionName};
use super::lists::SuperOrganization;
use super::model::{
    Account, Activation, Credential, EmergencyRule, Group, GroupKind, Level, Millis, Object, Permission, Policy,
    Relation, Role, Separation, Settings, Status, Target, UserKind,
};
use super::packed::Form;
use super::pages::{Fixed, Pages, Sought, u32_at};
use super::principal::{Groups, Principal, PrincipalFound};
use super::set::Set;

/// The numbers of the system groups (rule 2.6), the same in every organization.
pub const ALL_USERS: u32 = 0;
/// Active users of kind `internal`.
pub const INTERNAL_USERS: u32 = 1;
/// Active users of kind `external`.
pub const EXTERNAL_USERS: u32 = 2;
/// The ids of the system groups, by number.
pub const SYSTEM_GROUPS: [&str; 3] = ["all-users", "internal-users", "external-users"];

/// An organization at one revision.
#[derive(Clone)]
pub struct Table {
    pub(super) id: Id,
    pub(super) history: Arc<str>,
    pub(super) revision: u64,
    pub(super) settings: Option<Arc<Settings>>,
    /// Names and aliases.
    pub(super) permissions: Pages<PermissionRef>,
    pub(super) permission_slots: Vector<Option<Arc<PermissionSlot>>>,
    pub(super) accounts: Pages<u32>,
    pub(super) account_slots: Vector<Option<Arc<AccountSlot>>>,
    pub(super) objects: Pages<u32>,
    pub(super) object_slots: Vector<Option<Arc<ObjectSlot>>>,
    pub(super) groups: Pages<u32>,
    pub(super) group_slots: Vector<Option<Arc<GroupSlot>>>,
    pub(super) roles: Pages<u32>,
    /// Patterns given directly.
    pub(super) patterns: Pages<u32>,
    pub(super) bundles: Vector<Option<Arc<Bundle>>>,
    /// By permission: the bundles that contain it. Made anew when one of those changes.
    pub(super) givers: Arc<[Set]>,
    pub(super) domains: Pages<u32>,
    pub(super) domain_slots: Vector<Arc<DomainSlot>>,
    /// Whether any domain leads to a dynamic group: if not, none need be looked for.
    pub(super) has_dynamic: bool,
    pub(super) users: Pages<Principal>,
    pub(super) services: Pages<Principal>,
    pub(super) principals: u32,
    /// Folded addresses; the near bytes are the user's id.
    pub(super) emails: Pages<()>,
    /// Identities bound to users; the near bytes are the user's id.
    pub(super) sign_ons: Pages<()>,
    pub(super) holdings: Arc<Holdings>,
    /// The holders of what nobody holds.
    pub(super) nobody: Arc<Holders>,
    pub(super) shapes: OrdMap<Box<[u32]>, Arc<Shape>>,
    pub(super) by_rule: Option<ByRuleRoles>,
    pub(super) default_account: u32,
    /// By policy id: the number of its object.
    pub(super) policies: Pages<u32>,
    /// By the names in them: the numbers of the forms of attributes.
    pub(super) forms: OrdMap<Form, u32>,
    pub(super) form_slots: Vector<Form>,
    /// The number of the permission to invite (rule 4.9).
    pub(super) inviting: Option<u32>,
    /// Rule 7.3: the constraints, by id.
    pub(super) separations: OrdMap<Id, Arc<SeparationSlot>>,
    /// Those that deny: none in most organizations, which then pay for nothing.
    pub(super) denying: Option<Arc<Denying>>,
    /// Rule 7.4: by role and target.
    pub(super) emergencies: OrdMap<(Id, Target), Arc<EmergencyRule>>,
    /// By id.
    pub(super) activations: OrdMap<Id, Arc<Activation>>,
    /// When the last of them that gives anything is over.
    pub(super) activations_end: i64,
    /// By a role's number: the bundle of its activations.
    pub(super) activated: OrdMap<u32, u32>,
    /// By id.
    pub(super) credentials: OrdMap<Box<str>, Arc<Credential>>,
    /// By service account: the ids of its credentials, oldest first.
    pub(super) credentials_of: OrdMap<Box<str>, Arc<[Id]>>,
    /// Empty: the lists of the organization close nothing (rule 4.4).
    pub(super) safelist: OrdSet<Id>,
    /// The super-organization whose denylist [`ObjectSlot::open`] takes account of.
    pub(super) over: Option<Arc<SuperOrganization>>,
}

/// What a permission's name or alias leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PermissionRef {
    /// Its number.
    pub number: u32,
    /// The level from which it takes effect.
    pub level: Level,
    /// Rule 4.7.
    pub requires_visibility: bool,
    /// Rule 4.7.
    pub requires_approver: bool,
    /// Rule 4.6: the number of the permission asked instead.
    pub when_not_owner: Option<u32>,
}

impl Fixed for PermissionRef {
    const BYTES: usize = 11;

    fn write(self, out: &mut Vec<u8>) {
        let Self { number, level, requires_visibility, requires_approver, when_not_owner } = self;
        number.write(out);
        when_not_owner.unwrap_or(u32::MAX).write(out);
        out.extend([level as u8, u8::from(requires_visibility), u8::from(requires_approver)]);
    }

    #[inline]
    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.first_chunk()?;
        let number = u32_at(bytes, 0);
        let when_not_owner = Some(u32_at(bytes, 4)).filter(|twin| *twin != u32::MAX);
        let [.., level, requires_visibility, requires_approver] = *bytes;
        let level = match level {
            l if l == Level::Object as u8 => Level::Object,
            l if l == Level::Account as u8 => Level::Account,
            _ => Level::Organization,
        };
        let (requires_visibility, requires_approver) = (requires_visibility != 0, requires_approver != 0);
        Some(Self { number, level, requires_visibility, requires_approver, when_not_owner })
    }
}

/// A permission of the catalogue.
#[derive(Debug, PartialEq)]
pub struct PermissionSlot {
    /// As in the file.
    pub row: Permission,
    /// Whether it ships with the preset.
    pub built_in: bool,
}

/// An account and what is held at it.
#[derive(Clone)]
pub struct AccountSlot {
    /// As in the file.
    pub row: Account,
    pub(super) holdings: Arc<Holdings>,
}

/// An object and what is held at it and its records.
#[derive(Clone)]
pub struct ObjectSlot {
    /// As in the file.
    pub row: Object,
    /// Rule 4.4: put together of the object's row and of both lists.
    pub(super) open: Open,
    pub(super) holdings: Arc<Holdings>,
    /// By record id: near are [`Edge`]s by member number, far the same members' ids in CBOR.
    pub(super) records: Pages<()>,
    /// Sorted by id.
    pub(super) policies: Arc<[Arc<PolicySlot>]>,
    pub(super) shares: Arc<Shares>,
}

/// A data-access policy (rule 6.1) and whom it concerns.
#[derive(Clone)]
pub struct PolicySlot {
    /// As in the file.
    pub row: Policy,
    /// The groups among its members.
    pub(super) groups: Box<[u32]>,
    /// The users among its members.
    pub(super) principals: Set,
    /// The groups that count (rule 2.9), closed over nesting.
    pub(super) concerns: Set,
    /// Its condition; none means every record.
    pub(super) condition: Option<Arc<Typed>>,
}

/// The roles that a relation to a record of an object gives there (rule 5.2), by [`Relation`].
pub(super) type Shares = [Box<[u32]>; Relation::ALL.len()];

/// Who can come near an object at all (rule 4.4), by number where it can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Open {
    All,
    /// Private to an account.
    Account(u32),
    /// Private to a user.
    User(Box<str>),
    /// On the denylist, or not on a safelist that lists others.
    Nobody,
}

/// A group and its place in the nesting.
#[derive(Clone)]
pub struct GroupSlot {
    /// As in the file, but `groups` stays empty: see `parents`.
    pub row: Group,
    pub(super) parents: Vec<u32>,
    pub(super) children: Vec<u32>,
    /// At how many roles and grants of each target it is the member; [`AT_RECORDS`] stands for
    /// all records together.
    pub(super) held: OrdMap<TargetNo, u32>,
    /// Itself and every group nested in it: kept for groups that hold something.
    pub(super) below: Option<Arc<Set>>,
}

impl GroupSlot {
    /// A group of which nothing is known but its id and kind.
    pub(super) fn plain(id: Id, kind: GroupKind) -> Self {
        let (name, photo_uri, groups, visibility) = Default::default();
        Self {
            row: Group { id, name, kind, photo_uri, visibility, groups },
            parents: Vec::new(),
            children: Vec::new(),
            held: OrdMap::new(),
            below: None,
        }
    }
}

/// A separation constraint (rule 7.3) and its roles by number.
#[derive(Clone)]
pub struct SeparationSlot {
    /// As in the file.
    pub row: Separation,
    /// The bundles of each of its roles.
    pub(super) roles: Box<[Bundles]>,
}

/// The bundles that stand for one role.
pub(super) type Bundles = Box<[u32]>;

/// The separation constraints that deny (rule 4.5).
#[derive(Default)]
pub(super) struct Denying {
    pub(super) constraints: Box<[Arc<SeparationSlot>]>,
    /// The bundles of all their roles.
    pub(super) bundles: Set,
    /// The permissions that any of those contains.
    pub(super) permissions: Set,
}

/// What is held as one: a role's permissions, or a pattern given directly.
#[derive(Clone)]
pub struct Bundle {
    /// Where it comes from.
    pub source: Source,
    pub(super) set: Set,
    /// Contains an object-level permission that requires visibility (rule 6.4).
    pub(super) shows: bool,
    /// At how many groups of each target it is held (records aside).
    pub(super) held: OrdMap<TargetNo, u32>,
}

/// Where a [`Bundle`] comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// A role; `changed` says whether it has a row of its own (custom, or a system role whose
    /// permissions were changed).
    Role {
        /// As in the file.
        row: Role,
        /// Whether it has a row.
        changed: bool,
    },
    /// A pattern given directly.
    Grant(Pattern),
    /// The role of that number, activated in an emergency (rule 7.4).
    Activation(u32),
}

/// What an e-mail domain means here.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DomainSlot {
    /// The kind it makes, if it is one of the organization's domains.
    pub(super) own: Option<UserKind>,
    /// The dynamic groups that name it: empty unless it is one of the organization's (rule 2.6).
    pub(super) groups: Vec<u32>,
    /// The dynamic groups that name it, whosever it is: for `restrict` policies (rule 2.9).
    pub(super) named: Vec<u32>,
}

/// The roles given by rule (3.6), by number.
#[derive(Debug, Clone, Copy)]
pub(super) struct ByRuleRoles {
    pub(super) default_account: u32,
    pub(super) other_account: u32,
}

impl Table {
    /// An organization before its first row: nothing can be asked of it, and the first version must
    /// bring its settings. `history` tells it from others under the same id; `seed` keys its hashes
    /// and never changes in its life.
    #[must_use]
    pub fn blank(id: Id, history: Arc<str>, seed: u64) -> Self {
        let mut groups = Pages::new(seed);
        let mut group_slots = Vector::new();
        for (number, id) in (0u32..).zip(SYSTEM_GROUPS) {
            super::draft::put_number(&mut groups, id, number);
            let slot = Id::parse(id).ok().map(|id| Arc::new(GroupSlot::plain(id, GroupKind::System)));
            group_slots.push_back(slot);
        }
        Self {
            id,
            history,
            revision: 0,
            settings: None,
            permissions: Pages::new(seed),
            permission_slots: Vector::new(),
            accounts: Pages::new(seed),
            account_slots: Vector::new(),
            objects: Pages::new(seed),
            object_slots: Vector::new(),
            groups,
            group_slots,
            roles: Pages::new(seed),
            patterns: Pages::new(seed),
            bundles: Vector::new(),
            givers: Arc::default(),
            domains: Pages::new(seed),
            domain_slots: Vector::new(),
            has_dynamic: false,
            users: Pages::new(seed),
            services: Pages::new(seed),
            principals: 0,
            emails: Pages::new(seed),
            sign_ons: Pages::new(seed),
            holdings: Arc::default(),
            nobody: Arc::default(),
            shapes: OrdMap::new(),
            by_rule: None,
            default_account: 0,
            policies: Pages::new(seed),
            forms: OrdMap::new(),
            form_slots: Vector::new(),
            inviting: None,
            separations: OrdMap::new(),
            denying: None,
            emergencies: OrdMap::new(),
            activations: OrdMap::new(),
            activations_end: i64::MIN,
            activated: OrdMap::new(),
            credentials: OrdMap::new(),
            credentials_of: OrdMap::new(),
            safelist: OrdSet::new(),
            over: None,
        }
    }

    /// The version that `rows` make, at `revision`: what loading a store does.
    ///
    /// # Errors
    /// What is wrong with the rows: they were not written by [`crate::core::change::apply`].
    pub fn load(
        id: Id,
        history: Arc<str>,
        seed: u64,
        revision: u64,
        rows: Vec<super::model::Row>,
    ) -> Result<Self, Vec<super::Violation>> {
        // Whatever has an end was over, for all that is known, when the rows were written.
        let mut draft = super::Draft { now: Millis::MAX, ..super::Draft::new(&Self::blank(id, history, seed)) };
        draft.declare_groups(rows.iter());
        rows.into_iter().for_each(|row| draft.put(row));
        let mut table = draft.loaded()?;
        table.revision = revision;
        Ok(table)
    }

    /// The organization's id.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// What tells this organization from one restored or created again under the same id.
    #[must_use]
    pub fn history(&self) -> &Arc<str> {
        &self.history
    }

    /// How many changes made it.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// How many pages of user rows were written up to this version: what a write costs.
    #[must_use]
    pub fn pages_written(&self) -> u64 {
        self.users.pages_written() + self.services.pages_written()
    }

    /// Bytes in which its users lie: their rows, and what finds them by address.
    #[must_use]
    pub fn user_bytes(&self) -> usize {
        self.users.bytes() + self.emails.bytes()
    }

    /// How many users there are.
    #[must_use]
    pub fn user_count(&self) -> usize {
        self.users.len()
    }

    /// Begins to look for a principal, about whom and many others it is decided soon.
    #[inline]
    #[must_use]
    pub fn seek(&self, principal: &str) -> Option<Sought<'_, Principal>> {
        let (service, id) = split_principal(principal);
        if service { &self.services } else { &self.users }.seek(id)
    }

    /// The permission of that name or alias.
    #[inline]
    #[must_use]
    pub fn permission(&self, name: &str) -> Option<PermissionRef> {
        self.permissions.get(name)
    }

    /// Whether it is the permission to which the invite policy belongs (rule 4.9).
    #[inline]
    #[must_use]
    pub fn is_inviting(&self, permission: PermissionRef) -> bool {
        self.inviting == Some(permission.number)
    }

    /// The permission of that number.
    #[must_use]
    pub fn permission_slot(&self, number: u32) -> Option<&PermissionSlot> {
        self.permission_slots.get(number as usize)?.as_deref()
    }

    /// Every permission of the catalogue with its number.
    pub fn catalogue(&self) -> impl Iterator<Item = (u32, &PermissionSlot)> {
        (0u32..).zip(&self.permission_slots).filter_map(|(n, slot)| Some((n, slot.as_deref()?)))
    }

    /// Above the numbers of all permissions that there are and were.
    #[must_use]
    pub fn permission_numbers(&self) -> usize {
        self.permission_slots.len()
    }

    /// The name that the preset or the organization gave to a name or alias.
    #[must_use]
    pub fn canonical(&self, name: &str) -> Option<&PermissionName> {
        Some(&self.permission_slot(self.permission(name)?.number)?.row.name)
    }

    #[inline]
    pub(super) fn account_slot(&self, number: u32) -> Option<&Arc<AccountSlot>> {
        self.account_slots.get(number as usize)?.as_ref()
    }

    #[inline]
    pub(super) fn object_slot(&self, number: u32) -> Option<&Arc<ObjectSlot>> {
        self.object_slots.get(number as usize)?.as_ref()
    }

    pub(super) fn group_slot(&self, number: u32) -> Option<&Arc<GroupSlot>> {
        self.group_slots.get(number as usize)?.as_ref()
    }

    /// What a bundle consists of.
    pub(super) fn patterns<'a>(&'a self, bundle: &'a Bundle) -> &'a [Pattern] {
        match &bundle.source {
            Source::Grant(pattern) => std::slice::from_ref(pattern),
            Source::Role { row, .. } => &row.permissions,
            Source::Activation(_) => self.role_of(bundle).map_or(&[], |role| &role.permissions),
        }
    }

    /// The role that a bundle is or stands for.
    pub(super) fn role_of<'a>(&'a self, bundle: &'a Bundle) -> Option<&'a Role> {
        match &bundle.source {
            Source::Role { row, .. } => Some(row),
            Source::Activation(role) => match &self.bundle(*role)?.source {
                Source::Role { row, .. } => Some(row),
                Source::Grant(_) | Source::Activation(_) => None,
            },
            Source::Grant(_) => None,
        }
    }

    pub(super) fn bundle(&self, number: u32) -> Option<&Arc<Bundle>> {
        self.bundles.get(number as usize)?.as_ref()
    }

    /// The groups that make a principal what it is at a decision: its direct ones, and for an
    /// active user the system groups and the dynamic groups of its domain (rule 2.6).
    #[inline]
    pub(super) fn groups_of<'a>(&'a self, found: &PrincipalFound<'a>) -> Groups<'a> {
        let of_domain = |slot: &'a DomainSlot| &*slot.groups;
        match found.value.status {
            Status::Active => self.groups_with(found, of_domain),
            _ => Groups { direct: Self::direct_of(found), system: &[], dynamic: &[] },
        }
    }

    /// The groups that count where a principal is restricted: dynamic and system ones whatever its
    /// status, and whether or not the organization still has its domain (rule 2.9).
    pub(super) fn strict_groups_of<'a>(&'a self, found: &PrincipalFound<'a>) -> Groups<'a> {
        self.groups_with(found, |slot| &slot.named)
    }

    #[inline]
    fn groups_with<'a>(
        &'a self,
        found: &PrincipalFound<'a>,
        of_domain: impl Fn(&'a DomainSlot) -> &'a [u32],
    ) -> Groups<'a> {
        let system: &[u32] = match found.value.kind {
            Some(UserKind::Internal) => &[ALL_USERS, INTERNAL_USERS],
            Some(UserKind::External) => &[ALL_USERS, EXTERNAL_USERS],
            // 2.5: in no system or dynamic group.
            None => return Groups { direct: Self::direct_of(found), system: &[], dynamic: &[] },
        };
        let domain = if self.has_dynamic { self.domain_slots.get(found.value.domain as usize) } else { None };
        Groups { direct: Self::direct_of(found), system, dynamic: domain.map_or(&[], |slot| of_domain(slot)) }
    }

    /// Rule 3.6: the role that a user has by rule, and where.
    #[inline]
    pub(super) fn by_rule(&self, found: &PrincipalFound<'_>) -> Option<(u32, TargetNo)> {
        let (rule, principal) = (self.by_rule.as_ref()?, &found.value);
        if principal.kind.is_none() || principal.by_hand {
            return None;
        }
        let home = principal.account == self.default_account;
        Some(if home {
            (rule.default_account, AT_ORGANIZATION)
        } else {
            (rule.other_account, at_account(principal.account))
        })
    }

    #[inline]
    fn direct_of<'a>(found: &PrincipalFound<'a>) -> &'a [[u8; 4]] {
        found.near.get(..found.value.groups as usize * 4).unwrap_or(&[]).as_chunks().0
    }

    /// What a principal holds directly, records aside.
    #[inline]
    pub(super) fn edges_of<'a>(found: &PrincipalFound<'a>) -> &'a [u8] {
        found.near.get(found.value.groups as usize * 4..).unwrap_or(&[])
    }
}
