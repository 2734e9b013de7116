//! The rules of ACCESS-MODEL.md section 4: one walk over a [`Table`], nothing else.
//!
//! [`Walk::begin`] settles what does not depend on the permission (where, who, rules 4.1 to 4.4);
//! [`Walk::ask`] answers for one permission (4.5 to 4.8). `Authorize` asks once, a list of
//! permissions asks for each: they cannot disagree.
//!
//! No allocation, lock or clock: `now` is an argument. Text that the caller sent is only validated
//! where it could not be found, because what is in the table is valid.
//!
//! Which records are visible (rule 6.4) is in `core::visible`, part of the same walk.

use std::cell::OnceCell;
use std::fmt;

use super::edge::{AT_ORGANIZATION, Edge, NOWHERE, any_edge_at, at_account, at_object};
use super::id::OpaqueId;
use super::model::{InvitePolicy, Millis, Status, UserKind};
use super::presets::ORGANIZATION_ADMIN;
use super::principal::PrincipalFound;
pub use super::question::{Context, EMAIL_CHANNEL, Problem, ProblemKind, Problems, Question, Reason, Record, Resource};
use super::table::{ObjectSlot, PermissionRef, PermissionSlot, Table};
use super::visible::{Known, Sight};

/// The decision for one question at `now`, milliseconds since 1970.
///
/// # Errors
/// Rule 4.1: everything that is wrong with the question, not the first thing only.
#[inline]
pub fn decide(table: &Table, question: &Question<'_>, now: Millis) -> Result<Reason, Problems> {
    decide_and(table, question, now, |_| ())
}

/// As [`decide`]; if it allows, `allowed` hears the number of the permission that was asked, and if another one
/// was held for it (4.6, 4.9) then of that one.
///
/// # Errors
/// As [`decide`].
#[inline]
pub fn decide_and(
    table: &Table,
    question: &Question<'_>,
    now: Millis,
    mut allowed: impl FnMut(u32),
) -> Result<Reason, Problems> {
    // Asked where it was made: a walk is long, and to move it takes longer than to make it.
    if let Some(permission) = table.permission(question.permission)
        && let Some(walk) = &Walk::new(table, question, now)
    {
        let reason = walk.ask(permission);
        if reason == Reason::Allowed {
            allowed(permission.number);
            if let Some(other) = walk.held_instead(permission, walk.record.as_ref()) {
                allowed(other);
            }
        }
        return Ok(reason);
    }
    Err(problems(table, question, true))
}

/// A question whose permission, and perhaps record, is still open.
pub struct Walk<'a> {
    pub(super) table: &'a Table,
    pub(super) now: Millis,
    pub(super) question: &'a Question<'a>,
    /// Whether the principal's text names a service account.
    pub(super) service: bool,
    /// The principal's bare id.
    pub(super) id: &'a str,
    /// What rules 4.1 to 4.4 say, or the principal that passed them.
    principal: Result<PrincipalFound<'a>, Reason>,
    pub(super) account: Option<u32>,
    pub(super) object: Option<(u32, &'a ObjectSlot)>,
    pub(super) record: Option<FoundRecord<'a>>,
    /// What conditions made known of the principal. Apart, because most decisions ask for none.
    pub(super) known: OnceCell<Box<Known<'a>>>,
}

/// A record in its place.
pub struct FoundRecord<'a> {
    pub(super) record: Record<'a>,
    owned: bool,
    pub(super) account: Option<u32>,
    /// What is held at it, and the relations to it.
    pub(super) edges: &'a [u8],
    /// The members of those.
    pub(super) members: &'a [u8],
    pub(super) sight: OnceCell<Sight>,
    /// See [`Walk::broken`].
    pub(super) broken: OnceCell<Box<[u32]>>,
}

impl<'a> FoundRecord<'a> {
    /// Of an object, as the principal of this kind and id meets it.
    #[inline]
    fn new(
        table: &'a Table,
        account: Option<u32>,
        object: &'a ObjectSlot,
        (service, id): (bool, &str),
        record: &Record<'a>,
    ) -> Option<Self> {
        OpaqueId::check(record.id).ok()?;
        let account = match record.account {
            "" => account,
            id => Some(table.accounts.get(id)?),
        };
        let owned = owns(record.owner, service, id)?;
        let held = if object.records.is_empty() { None } else { object.records.find(record.id) };
        let (edges, members) = held.map_or((&[][..], &[][..]), |f| (f.near, f.far()));
        let (sight, broken) = Default::default();
        Some(Self { record: *record, owned, account, edges, members, sight, broken })
    }

    /// A record of which no more is known than its place, whose it is, and what is held at it and by whom: what
    /// [`FoundRecord::new`] makes of a record, with nothing sent along.
    pub(super) fn stand_in(
        id: &'a str,
        account: Option<u32>,
        owned: bool,
        (edges, members): (&'a [u8], &'a [u8]),
    ) -> Self {
        let (record, sight, broken) = (Record { id, ..Record::default() }, OnceCell::new(), OnceCell::new());
        Self { record, owned, account, edges, members, sight, broken }
    }

    /// One at which nothing is held, that the principal can see, whichever it is.
    pub(super) fn shown(account: Option<u32>, owned: bool) -> Self {
        let shown = Self::stand_in("", account, owned, (&[], &[]));
        Self { sight: OnceCell::from(Sight::Visible), ..shown }
    }
}

impl fmt::Debug for FoundRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.record.fmt(f)
    }
}

impl<'a> Walk<'a> {
    /// Settles all but the permission.
    ///
    /// # Errors
    /// Rule 4.1: everything that is wrong with the question but for its permission.
    pub fn begin(table: &'a Table, question: &'a Question<'a>, now: Millis) -> Result<Self, Problems> {
        Self::new(table, question, now).ok_or_else(|| problems(table, question, false))
    }

    #[allow(clippy::inline_always, reason = "makes it where the caller keeps it")]
    #[inline(always)]
    fn new(table: &'a Table, question: &'a Question<'a>, now: Millis) -> Option<Self> {
        // First, because it waits longest for memory: what follows is not yet known to need it.
        let (service, id) = split_principal(question.principal);
        let found = if service { &table.services } else { &table.users }.find(id);
        let account = match question.resource.account {
            "" => None,
            id => Some(table.accounts.get(id)?),
        };
        let object = match question.resource.object {
            "" => None,
            id => {
                let number = table.objects.get(id)?;
                Some((number, &**table.object_slot(number)?))
            }
        };
        let record = match &question.resource.record {
            None => None,
            Some(record) => Some(FoundRecord::new(table, account, object?.1, (service, id), record)?),
        };
        if found.is_none() {
            OpaqueId::check(id).ok()?;
        }
        let principal = match found {
            Some(found) => admit(table, question, now, object.map(|(_, slot)| slot), &found).map(|()| found),
            None => Err(Reason::PrincipalUnknown),
        };
        Some(Self { table, now, question, service, id, principal, account, object, record, known: OnceCell::new() })
    }

    /// Another record of the same object.
    ///
    /// # Errors
    /// Rule 4.1: everything that is wrong with the record.
    pub fn record<'r>(&self, record: Record<'r>) -> Result<FoundRecord<'r>, Problems>
    where
        'a: 'r,
    {
        let found = self.object.and_then(|(_, object)| {
            FoundRecord::new(self.table, self.account, object, (self.service, self.id), &record)
        });
        found.ok_or_else(|| {
            let mut problems = Vec::new();
            record_problems(self.table, self.object.is_none(), &record, |field, kind| {
                problems.push(Problem { field, kind });
            });
            problems
        })
    }

    /// Rule 1.4: whether an owner is the principal; `None` if it names nobody that could exist.
    pub(super) fn owns(&self, owner: &str) -> Option<bool> {
        owns(owner, self.service, self.id)
    }

    /// The principal, unless rules 4.1 to 4.4 refuse it.
    pub(super) fn found(&self) -> Option<PrincipalFound<'a>> {
        self.principal.ok()
    }

    /// Makes the question one about the same principal that holds this, and of which this is held at the
    /// record.
    pub(super) fn hold(&mut self, near: &'a [u8], at_record: &'a [u8]) {
        if let Ok(found) = &mut self.principal {
            found.near = near;
        }
        if let Some(record) = &mut self.record {
            record.edges = at_record;
        }
    }

    /// What rules 4.1 to 4.4 say, if they refuse: whatever is asked, it is denied.
    #[must_use]
    pub fn refused(&self) -> Option<Reason> {
        self.principal.err()
    }

    /// The answer for one permission.
    #[inline]
    #[must_use]
    pub fn ask(&self, permission: PermissionRef) -> Reason {
        self.ask_of(permission, self.record.as_ref())
    }

    /// The answer for one permission and one record.
    #[inline]
    #[must_use]
    pub fn ask_of(&self, permission: PermissionRef, record: Option<&FoundRecord<'_>>) -> Reason {
        // INVARIANT 4: whatever is not `Allowed` below is a deny; no branch falls through to an allow.
        let found = match &self.principal {
            Ok(found) => found,
            Err(reason) => return *reason,
        };
        let Some((number, level)) = self.asked_in_place(Some(found), permission, record) else {
            return Reason::NoPermission;
        };
        if !self.holds(found, record, number, level) {
            return self.lacking(found, record, permission);
        }
        if self.table.denying.is_some() && !self.stands(found, record, number, level) {
            return Reason::SeparationOfDuties;
        }
        if number == permission.number && self.table.is_inviting(permission) && !self.may_invite() {
            return Reason::InvitePolicy;
        }
        let Some(record) = record else { return Reason::Allowed };
        if permission.requires_visibility {
            match self.sight(found, record) {
                Sight::Visible => {}
                Sight::Hidden => return Reason::NotVisible,
                Sight::Restricted => return Reason::Restricted,
            }
        }
        if permission.requires_approver && !self.approves(found, record) {
            return Reason::NotApprover;
        }
        Reason::Allowed
    }

    /// Rule 6.5: whether the principal can see a record, whatever it may do with it.
    #[must_use]
    pub fn sees(&self, record: &FoundRecord<'_>) -> Reason {
        let found = match &self.principal {
            Ok(found) => found,
            Err(reason) => return *reason,
        };
        match self.sight(found, record) {
            Sight::Visible => Reason::Allowed,
            Sight::Hidden => Reason::NotVisible,
            Sight::Restricted => Reason::Restricted,
        }
    }

    /// Everything that the principal may do here: the permissions of the catalogue for which
    /// [`Walk::ask`] allows, in the order of their numbers.
    pub fn permissions(&self) -> impl Iterator<Item = &'a PermissionSlot> + '_ {
        let slots = self.table.catalogue().map(|(_, slot)| slot);
        slots.filter(|slot| {
            let permission = self.table.permission(slot.row.name.as_str());
            permission.is_some_and(|p| self.ask(p) == Reason::Allowed)
        })
    }

    /// What rule 4.5 asks for. On what somebody else owns that is the twin, with its level (4.6);
    /// whoever administers the organization needs no other permission to invite (4.9).
    #[inline]
    pub(super) fn asked_in_place(
        &self,
        found: Option<&PrincipalFound<'a>>,
        permission: PermissionRef,
        record: Option<&FoundRecord<'_>>,
    ) -> Option<(u32, super::model::Level)> {
        if let (Some(twin), Some(record)) = (permission.when_not_owner, record)
            && !record.owned
        {
            return Some((twin, self.table.permission_slot(twin)?.row.level));
        }
        if self.table.is_inviting(permission)
            && let Some(found) = found
            && let Some(admin) = self.table.permission(ORGANIZATION_ADMIN)
            && self.holds(found, record, admin.number, admin.level)
            && (self.table.denying.is_none() || self.stands(found, record, admin.number, admin.level))
        {
            return Some((admin.number, admin.level));
        }
        Some((permission.number, permission.level))
    }

    /// The permission that is held for another one where that one is allowed: its twin (4.6), or to
    /// administer the organization (4.9).
    #[inline]
    pub(super) fn held_instead(&self, permission: PermissionRef, record: Option<&FoundRecord<'_>>) -> Option<u32> {
        if permission.when_not_owner.is_none() && !self.table.is_inviting(permission) {
            return None;
        }
        let (number, _) = self.asked_in_place(self.found().as_ref(), permission, record)?;
        (number != permission.number).then_some(number)
    }

    /// Rules 4.9 and 7.1: whether the organization lets one invite who does not administer it.
    #[cold]
    fn may_invite(&self) -> bool {
        self.table.settings().is_some_and(|settings| match &settings.invite_policy {
            InvitePolicy::AdminsOnly => false,
            InvitePolicy::AnyDomain => true,
            InvitePolicy::AllowedDomains(_) if self.question.context.invitee_email.is_empty() => true,
            InvitePolicy::AllowedDomains(domains) => {
                let domain = self.question.context.invitee_email.rsplit_once('@').map(|(_, domain)| domain);
                domain.is_some_and(|domain| {
                    let own = settings.email_domains.iter().map(|d| &d.domain);
                    own.filter(|d| domains.contains(d)).any(|d| d.as_str().eq_ignore_ascii_case(domain))
                })
            }
        })
    }

    /// Why what is asked is not held. To invite, administering the organization would do (4.9), but
    /// for a constraint.
    #[inline]
    fn lacking(
        &self,
        found: &PrincipalFound<'a>,
        record: Option<&FoundRecord<'_>>,
        permission: PermissionRef,
    ) -> Reason {
        if self.table.denying.is_some()
            && self.table.is_inviting(permission)
            && let Some(admin) = self.table.permission(ORGANIZATION_ADMIN)
            && self.holds(found, record, admin.number, admin.level)
        {
            return Reason::SeparationOfDuties;
        }
        Reason::NoPermission
    }

    /// Rule 4.5: from some assignment or grant in effect now, held directly or through any group,
    /// at a target that the permission's level admits.
    #[inline]
    pub(super) fn holds(
        &self,
        found: &PrincipalFound<'a>,
        record: Option<&FoundRecord<'_>>,
        permission: u32,
        level: super::model::Level,
    ) -> bool {
        use super::model::Level;
        let table = self.table;
        let account = record.map_or(self.account, |r| r.account);
        let account = if level <= Level::Account { account } else { None };
        let object = if level == Level::Object { self.object } else { None };
        let record = if level == Level::Object { record } else { None };

        let groups = table.groups_of(found);
        let nobody = &*table.nobody;
        let holders = [
            table.holdings.holders(permission, nobody),
            object.map_or(nobody, |(_, slot)| slot.holdings.holders(permission, nobody)),
            account
                .and_then(|n| table.account_slot(n))
                .map_or(nobody, |slot| slot.holdings.holders(permission, nobody)),
        ];
        // All that could give it is looked at before the first branch that depends on it.
        let by_group = groups.meet(holders.map(|h| &h.always));
        let targets = [
            AT_ORGANIZATION,
            object.map_or(NOWHERE, |(number, _)| at_object(number)),
            account.map_or(NOWHERE, at_account),
        ];
        let gives = |e: &Edge| e.in_effect(self.now) & self.contains(e.bundle, permission);
        if by_group | any_edge_at(Table::edges_of(found), targets, gives) {
            return true;
        }
        holders.iter().any(|h| !h.timed.is_empty() && h.hold_for_a_time(groups, self.now))
            || self.holds_by_rule(found, account, permission)
            || record.is_some_and(|r| self.given_at(found, r, |bundle| self.contains(bundle, permission)))
    }

    #[inline]
    pub(super) fn contains(&self, bundle: u32, permission: u32) -> bool {
        self.table.givers.get(permission as usize).is_some_and(|givers| givers.contains(bundle))
    }

    /// Rule 3.6: users of the default account have one role at the organization, users of another
    /// one have the other there, unless one of the two was assigned by hand.
    fn holds_by_rule(&self, found: &PrincipalFound<'a>, account: Option<u32>, permission: u32) -> bool {
        let Some((bundle, target)) = self.table.by_rule(found) else { return false };
        let here = target == AT_ORGANIZATION || account.map(at_account) == Some(target);
        here && self.contains(bundle, permission)
    }
}

/// Rules 4.2 to 4.4.
#[inline]
pub(super) fn admit(
    table: &Table,
    question: &Question<'_>,
    now: Millis,
    object: Option<&ObjectSlot>,
    found: &PrincipalFound<'_>,
) -> Result<(), Reason> {
    let (principal, context) = (found.value, &question.context);
    match principal.status {
        Status::Active => {}
        Status::Invited => return Err(Reason::PrincipalInvited),
        Status::Inactive => return Err(Reason::PrincipalInactive),
        Status::Limited if context.channel == EMAIL_CHANNEL => {}
        Status::Limited => return Err(Reason::PrincipalLimited),
    }
    let max_age = table.settings.as_ref().and_then(|s| s.external_reauthentication_ms);
    if let (Some(max_age), Some(UserKind::External)) = (max_age, principal.kind) {
        // 4.3: missing, in the future, or older than allowed.
        let age = context.authenticated_at.and_then(|at| now.checked_sub(at));
        if !age.is_some_and(|age| (0..=max_age).contains(&age)) {
            return Err(Reason::ReauthenticationRequired);
        }
    }
    let listed = object.is_none_or(|slot| slot.open.to(found));
    if listed { Ok(()) } else { Err(Reason::ElementNotListed) }
}

/// Whether the principal's text names a service account, and its bare id.
pub(super) fn split_principal(text: &str) -> (bool, &str) {
    if let Some(id) = text.strip_prefix("service:") {
        return (true, id);
    }
    (false, text.strip_prefix("user:").unwrap_or(text))
}

/// The id that conditions know an owner by: a user's bare id, `service:ID`, empty where there is none.
pub(super) fn owner_id(owner: &str) -> &str {
    match split_principal(owner) {
        (true, _) => owner,
        (false, id) => id,
    }
}

/// Rule 1.4: whether `owner` names the principal; `None` if it names nobody that could exist.
fn owns(owner: &str, service: bool, id: &str) -> Option<bool> {
    if owner.is_empty() {
        return Some(false);
    }
    let (owner_is_service, owner) = split_principal(owner);
    let owned = owner_is_service == service && owner == id;
    if !owned {
        OpaqueId::check(owner).ok()?;
    }
    Some(owned)
}

/// Everything that is wrong with a question: the slow way, once something is.
#[cold]
fn problems(table: &Table, question: &Question<'_>, permission: bool) -> Problems {
    let mut found = Vec::new();
    let mut add = |field, kind| found.push(Problem { field, kind });
    if let Err(error) = OpaqueId::check(split_principal(question.principal).1) {
        add("principal", error.into());
    }
    if permission && table.permission(question.permission).is_none() {
        add("permission", unknown_permission(question.permission));
    }
    let Resource { account, object, record } = question.resource;
    if !account.is_empty() && table.accounts.find(account).is_none() {
        add("resource.account", unknown(account, ProblemKind::UnknownAccount));
    }
    if !object.is_empty() && table.objects.find(object).is_none() {
        add("resource.object", unknown(object, ProblemKind::UnknownObject));
    }
    if let Some(record) = &record {
        record_problems(table, object.is_empty(), record, add);
    }
    found
}

/// What is wrong with a permission's name that no permission has.
#[cold]
pub(super) fn unknown_permission(name: &str) -> ProblemKind {
    match super::id::PermissionName::parse(name) {
        Err(error) => error.into(),
        Ok(name) => ProblemKind::UnknownPermission(name.to_string()),
    }
}

fn unknown(text: &str, kind: fn(String) -> ProblemKind) -> ProblemKind {
    match super::id::Id::parse(text) {
        Err(error) => error.into(),
        Ok(id) => kind(id.to_string()),
    }
}

#[cold]
fn record_problems(
    table: &Table,
    without_object: bool,
    record: &Record<'_>,
    mut add: impl FnMut(&'static str, ProblemKind),
) {
    if without_object {
        add("resource.object", ProblemKind::RecordWithoutObject);
    }
    if let Err(error) = OpaqueId::check(record.id) {
        add("resource.record.id", error.into());
    }
    if let (false, Err(error)) = (record.owner.is_empty(), OpaqueId::check(split_principal(record.owner).1)) {
        add("resource.record.owner", error.into());
    }
    if !record.account.is_empty() && table.accounts.find(record.account).is_none() {
        add("resource.record.account", unknown(record.account, ProblemKind::UnknownAccount));
    }
}
