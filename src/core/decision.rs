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

use super::condition::Attributes;
use super::id::{IdError, OpaqueId};
use super::model::{InvitePolicy, Millis, Status, UserKind};
use super::presets::ORGANIZATION_ADMIN;
use super::table::{
    AT_ORGANIZATION, Edge, NOWHERE, ObjectSlot, PermissionRef, PermissionSlot, PrincipalFound, Table, any_edge_at,
    at_account, at_object,
};
use super::visible::{Known, Sight};

/// What is asked. Texts are borrowed from the request as they came.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question<'a> {
    /// `user:ID`, `service:ID`, or a bare user id.
    pub principal: &'a str,
    /// A permission's name or alias. Ignored by [`Walk::begin`].
    pub permission: &'a str,
    /// Where.
    pub resource: Resource<'a>,
    /// The circumstances.
    pub context: Context<'a>,
}

/// Where something is to be done (rule 1.4). Empty texts stand for absent ones.
#[derive(Debug, Clone, Copy, Default)]
pub struct Resource<'a> {
    /// An account.
    pub account: &'a str,
    /// An object.
    pub object: &'a str,
    /// A record of that object.
    pub record: Option<Record<'a>>,
}

/// A record as the caller describes it.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its id.
    pub id: &'a str,
    /// A user id, `user:ID` or `service:ID`; empty if nobody owns it.
    pub owner: &'a str,
    /// Its account, which is then the resource's account; empty if not given.
    pub account: &'a str,
    /// Everything else that the caller says of it. What a condition reads of other types than
    /// declared counts as missing (rule 6.3).
    pub attributes: &'a dyn Attributes,
}

impl Default for Record<'_> {
    fn default() -> Self {
        Self { id: "", owner: "", account: "", attributes: &() }
    }
}

/// The circumstances of a request.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Only `email` has a meaning of its own (rule 4.2).
    pub channel: &'a str,
    /// When the user last proved who it is (rule 4.3).
    pub authenticated_at: Option<Millis>,
    /// Who is to be invited (rule 4.9); empty if nobody in particular.
    pub invitee_email: &'a str,
    /// What the caller sent for conditions to read.
    pub attributes: &'a dyn Attributes,
}

impl Default for Context<'_> {
    fn default() -> Self {
        Self { channel: "", authenticated_at: None, invitee_email: "", attributes: &() }
    }
}

/// The channel on which a limited user may act (rule 4.2).
pub const EMAIL_CHANNEL: &str = "email";

/// Why a decision came out as it did. Only `Allowed` allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Rule 4.8.
    Allowed,
    /// Rule 4.1.
    PrincipalUnknown,
    /// Rule 4.2.
    PrincipalInvited,
    /// Rule 4.2.
    PrincipalInactive,
    /// Rule 4.2.
    PrincipalLimited,
    /// Rule 4.3.
    ReauthenticationRequired,
    /// Rule 4.4.
    ElementNotListed,
    /// Rule 4.5.
    NoPermission,
    /// Rule 4.7.
    NotVisible,
    /// Rule 4.7: it would be visible but for a `restrict` policy.
    Restricted,
    /// Rule 4.7.
    NotApprover,
    /// Rule 4.9.
    InvitePolicy,
    /// Rule 4.5: what is held is void here by a separation constraint (rule 7.3).
    SeparationOfDuties,
}

impl Reason {
    /// The reason's name in the API and in decision-test files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "ALLOWED",
            Self::PrincipalUnknown => "PRINCIPAL_UNKNOWN",
            Self::PrincipalInvited => "PRINCIPAL_INVITED",
            Self::PrincipalInactive => "PRINCIPAL_INACTIVE",
            Self::PrincipalLimited => "PRINCIPAL_LIMITED",
            Self::ReauthenticationRequired => "REAUTHENTICATION_REQUIRED",
            Self::ElementNotListed => "ELEMENT_NOT_LISTED",
            Self::NoPermission => "NO_PERMISSION",
            Self::NotVisible => "NOT_VISIBLE",
            Self::Restricted => "RESTRICTED",
            Self::NotApprover => "NOT_APPROVER",
            Self::InvitePolicy => "INVITE_POLICY",
            Self::SeparationOfDuties => "SEPARATION_OF_DUTIES",
        }
    }

    /// The number of the rule that decided.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::PrincipalUnknown => "4.1",
            Self::PrincipalInvited | Self::PrincipalInactive | Self::PrincipalLimited => "4.2",
            Self::ReauthenticationRequired => "4.3",
            Self::ElementNotListed => "4.4",
            Self::NoPermission | Self::SeparationOfDuties => "4.5",
            Self::NotVisible | Self::Restricted | Self::NotApprover => "4.7",
            Self::Allowed => "4.8",
            Self::InvitePolicy => "4.9",
        }
    }
}

/// One thing wrong with a question: rule 4.1, an error and no decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The request's field, such as `resource.record.id`.
    pub field: &'static str,
    /// What is wrong with it.
    pub kind: ProblemKind,
}

/// What is wrong with a field of a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// Not an id at all.
    #[error("{0}")]
    Malformed(#[from] IdError),
    /// In no catalogue (rule 3.1: never a silent deny).
    #[error("unknown permission `{0}`")]
    UnknownPermission(String),
    /// No such object.
    #[error("unknown object `{0}`")]
    UnknownObject(String),
    /// No such account.
    #[error("unknown account `{0}`")]
    UnknownAccount(String),
    /// Rule 1.4.
    #[error("a record needs the object it belongs to")]
    RecordWithoutObject,
    /// Of many records: an id that another one before it has.
    #[error("`{0}` is given twice")]
    RecordTwice(String),
}

/// All that is wrong with a question.
pub type Problems = Vec<Problem>;

/// The decision for one question at `now`, milliseconds since 1970.
///
/// # Errors
/// Rule 4.1: everything that is wrong with the question, not the first thing only.
#[inline]
pub fn decide(table: &Table, question: &Question<'_>, now: Millis) -> Result<Reason, Problems> {
    if let Some(permission) = table.permission(question.permission)
        && let Some(walk) = Walk::new(table, question, now)
    {
        return Ok(walk.ask(permission));
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

    #[inline]
    fn new(table: &'a Table, question: &'a Question<'a>, now: Millis) -> Option<Self> {
        // First, because it waits longest for memory: what follows is not yet known to need it.
        let (service, id) = split_principal(question.principal);
        let found = if service { &table.services } else { &table.users }.find(id);
        let Resource { account, object, record } = question.resource;
        let account = match account {
            "" => None,
            id => Some(table.accounts.get(id)?),
        };
        let object = match object {
            "" => None,
            id => {
                let number = table.objects.get(id)?;
                Some((number, &**table.object_slot(number)?))
            }
        };
        if found.is_none() {
            OpaqueId::check(id).ok()?;
        }
        let principal = match found {
            Some(found) => admit(table, question, now, object.map(|(_, slot)| slot), &found).map(|()| found),
            None => Err(Reason::PrincipalUnknown),
        };
        let mut walk = Self {
            table,
            now,
            question,
            service,
            id,
            principal,
            account,
            object,
            record: None,
            known: OnceCell::new(),
        };
        if let Some(record) = record {
            walk.record = Some(walk.find(record)?);
        }
        Some(walk)
    }

    /// Another record of the same object.
    ///
    /// # Errors
    /// Rule 4.1: everything that is wrong with the record.
    pub fn record(&self, record: Record<'a>) -> Result<FoundRecord<'a>, Problems> {
        self.find(record).ok_or_else(|| {
            let mut problems = Vec::new();
            record_problems(self.table, self.object.is_none(), &record, |field, kind| {
                problems.push(Problem { field, kind });
            });
            problems
        })
    }

    #[inline]
    fn find(&self, record: Record<'a>) -> Option<FoundRecord<'a>> {
        let (_, slot) = self.object?;
        OpaqueId::check(record.id).ok()?;
        let account = match record.account {
            "" => self.account,
            id => Some(self.table.accounts.get(id)?),
        };
        let owned = owns(record.owner, self.service, self.id)?;
        let held = if slot.records.is_empty() { None } else { slot.records.find(record.id) };
        let (edges, members) = held.map_or((&[][..], &[][..]), |f| (f.near, f.far()));
        let (sight, broken) = Default::default();
        Some(FoundRecord { record, owned, account, edges, members, sight, broken })
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
    pub fn ask_of(&self, permission: PermissionRef, record: Option<&FoundRecord<'a>>) -> Reason {
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
    pub fn sees(&self, record: &FoundRecord<'a>) -> Reason {
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
        record: Option<&FoundRecord<'a>>,
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
        record: Option<&FoundRecord<'a>>,
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
    fn holds(
        &self,
        found: &PrincipalFound<'a>,
        record: Option<&FoundRecord<'a>>,
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
        let Some((bundle, at)) = self.table.by_rule(found) else { return false };
        (at.is_none() || at == account) && self.contains(bundle, permission)
    }
}

/// Rules 4.2 to 4.4.
#[inline]
fn admit(
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

/// Rule 1.4: whether `owner` names the principal; `None` if it names nobody that could exist.
fn owns(owner: &str, service: bool, id: &str) -> Option<bool> {
    if owner.is_empty() {
        return Some(false);
    }
    let (owner_is_service, owner) = split_principal(owner);
    OpaqueId::check(owner).ok()?;
    Some(owner_is_service == service && owner == id)
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
        add(
            "permission",
            match super::id::PermissionName::parse(question.permission) {
                Err(error) => error.into(),
                Ok(name) => ProblemKind::UnknownPermission(name.to_string()),
            },
        );
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
