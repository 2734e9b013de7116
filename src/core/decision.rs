//! The rules of ACCESS-MODEL.md section 4: one walk over a [`Table`], nothing else.
//!
//! [`Walk::begin`] settles what does not depend on the permission (where, who, rules 4.1 to 4.4);
//! [`Walk::ask`] answers for one permission (4.5 to 4.8). `Authorize` asks once, a list of
//! permissions asks for each: they cannot disagree.
//!
//! No allocation, lock or clock: `now` is an argument. Text that the caller sent is only validated
//! where it could not be found, because what is in the table is valid.
//!
//! Data-access policies and relations are not in the table yet: a record is visible only through
//! what is held at that very record (rule 6.4 with no policy), and nobody is an approver.

use super::id::{IdError, OpaqueId};
use super::model::{Millis, Status, UserKind};
use super::table::{
    AT_ORGANIZATION, Edge, GROUP_MEMBER, ObjectSlot, PermissionRef, PermissionSlot, PrincipalFound, Private, Table,
    at_account, at_object, edges, edges_at,
};

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
#[derive(Debug, Clone, Copy, Default)]
pub struct Record<'a> {
    /// Its id.
    pub id: &'a str,
    /// A user id, `user:ID` or `service:ID`; empty if nobody owns it.
    pub owner: &'a str,
    /// Its account, which is then the resource's account; empty if not given.
    pub account: &'a str,
}

/// The circumstances of a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// Only `email` has a meaning (rule 4.2).
    pub channel: &'a str,
    /// When the user last proved who it is (rule 4.3).
    pub authenticated_at: Option<Millis>,
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
    /// Rule 4.7.
    NotApprover,
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
            Self::NotApprover => "NOT_APPROVER",
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
}

/// All that is wrong with a question.
pub type Problems = Vec<Problem>;

/// The decision for one question at `now`, milliseconds since 1970.
///
/// # Errors
/// Rule 4.1: everything that is wrong with the question, not the first thing only.
#[inline]
pub fn decide(table: &Table, question: &Question<'_>, now: Millis) -> Result<Reason, Problems> {
    let (Some(walk), Some(permission)) = (Walk::new(table, question, now), table.permission(question.permission))
    else {
        return Err(problems(table, question, true));
    };
    Ok(walk.ask(permission))
}

/// A question whose permission is still open.
pub struct Walk<'a> {
    table: &'a Table,
    now: Millis,
    /// What rules 4.1 to 4.4 say, or the principal that passed them.
    principal: Result<PrincipalFound<'a>, Reason>,
    account: Option<u32>,
    object: Option<(u32, &'a ObjectSlot)>,
    record: Option<FoundRecord<'a>>,
}

#[derive(Clone, Copy)]
struct FoundRecord<'a> {
    owned: bool,
    /// What is held at it.
    edges: &'a [u8],
}

impl<'a> Walk<'a> {
    /// Settles all but the permission.
    ///
    /// # Errors
    /// Rule 4.1: everything that is wrong with the question but for its permission.
    pub fn begin(table: &'a Table, question: &Question<'a>, now: Millis) -> Result<Self, Problems> {
        Self::new(table, question, now).ok_or_else(|| problems(table, question, false))
    }

    #[inline]
    fn new(table: &'a Table, question: &Question<'a>, now: Millis) -> Option<Self> {
        // First, because it waits longest for memory: what follows is not yet known to need it.
        let (service, id) = split_principal(question.principal);
        let found = if service { table.services.find(id) } else { table.users.find(id) };
        let Resource { account, object, record } = question.resource;
        let mut account = match account {
            "" => None,
            id => Some(table.accounts.find(id)?.value),
        };
        let object = match object {
            "" => None,
            id => {
                let number = table.objects.find(id)?.value;
                Some((number, &**table.object_slot(number)?))
            }
        };
        if found.is_none() {
            OpaqueId::check(id).ok()?;
        }
        let record = match record {
            None => None,
            Some(record) => {
                let (_, slot) = object?;
                OpaqueId::check(record.id).ok()?;
                if !record.account.is_empty() {
                    account = Some(table.accounts.find(record.account)?.value);
                }
                let held = if slot.records.is_empty() { None } else { slot.records.find(record.id) };
                Some(FoundRecord { owned: owns(record.owner, service, id)?, edges: held.map_or(&[], |f| f.near) })
            }
        };
        let principal = found.ok_or(Reason::PrincipalUnknown);
        let mut walk = Self { table, now, principal, account, object, record };
        if let Ok(found) = walk.principal
            && let Err(reason) = walk.admit(&found, &question.context)
        {
            walk.principal = Err(reason);
        }
        Some(walk)
    }

    /// Rules 4.2 to 4.4.
    #[inline]
    fn admit(&self, found: &PrincipalFound<'_>, context: &Context<'_>) -> Result<(), Reason> {
        let principal = found.value;
        match principal.status {
            Status::Active => {}
            Status::Invited => return Err(Reason::PrincipalInvited),
            Status::Inactive => return Err(Reason::PrincipalInactive),
            Status::Limited if context.channel == EMAIL_CHANNEL => {}
            Status::Limited => return Err(Reason::PrincipalLimited),
        }
        let max_age = self.table.settings.as_ref().and_then(|s| s.external_reauthentication_ms);
        if let (Some(max_age), Some(UserKind::External)) = (max_age, principal.kind) {
            // 4.3: missing, in the future, or older than allowed.
            let age = context.authenticated_at.and_then(|at| self.now.checked_sub(at));
            if !age.is_some_and(|age| (0..=max_age).contains(&age)) {
                return Err(Reason::ReauthenticationRequired);
            }
        }
        let listed = match self.object.map(|(_, slot)| &slot.private) {
            None | Some(Private::No) => true,
            Some(Private::Account(account)) => principal.account == *account,
            Some(Private::User(id)) => principal.kind.is_some() && found.id == &**id,
        };
        if listed { Ok(()) } else { Err(Reason::ElementNotListed) }
    }

    /// The answer for one permission.
    #[inline]
    #[must_use]
    pub fn ask(&self, permission: PermissionRef) -> Reason {
        // INVARIANT 4: whatever is not `Allowed` below is a deny; no branch falls through to an allow.
        let found = match &self.principal {
            Ok(found) => found,
            Err(reason) => return *reason,
        };
        // 4.6: on what somebody else owns, the twin is asked, with its level.
        let asked = match (permission.when_not_owner, self.record) {
            (Some(twin), Some(record)) if !record.owned => self.twin(twin),
            _ => Some((permission.number, permission.level)),
        };
        let Some((number, level)) = asked else { return Reason::NoPermission };
        if !self.holds(found, number, level) {
            return Reason::NoPermission;
        }
        let Some(record) = self.record else { return Reason::Allowed };
        if permission.requires_visibility && !self.visible(found, record) {
            return Reason::NotVisible;
        }
        if permission.requires_approver {
            return Reason::NotApprover;
        }
        Reason::Allowed
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

    fn twin(&self, number: u32) -> Option<(u32, super::model::Level)> {
        Some((number, self.table.permission_slot(number)?.row.level))
    }

    /// Rule 4.5: from some assignment or grant in effect now, held directly or through any group,
    /// at a target that the permission's level admits.
    #[inline]
    fn holds(&self, found: &PrincipalFound<'a>, permission: u32, level: super::model::Level) -> bool {
        use super::model::Level;
        let table = self.table;
        let groups = table.groups_of(found);
        let account = if level <= Level::Account { self.account } else { None };
        let object = if level == Level::Object { self.object } else { None };
        let record = if level == Level::Object { self.record } else { None };

        if let Some((number, slot)) = object
            && (slot.holdings.hold(permission, groups, self.now)
                || self.holds_directly(found, at_object(number), permission))
        {
            return true;
        }
        if table.holdings.hold(permission, groups, self.now) || self.holds_directly(found, AT_ORGANIZATION, permission)
        {
            return true;
        }
        if let Some(number) = account
            && (table.account_slot(number).is_some_and(|s| s.holdings.hold(permission, groups, self.now))
                || self.holds_directly(found, at_account(number), permission))
        {
            return true;
        }
        self.holds_by_rule(found, account, permission)
            || record.is_some_and(|r| self.at_record(found, r, |bundle| self.contains(bundle, permission)))
    }

    #[inline]
    fn holds_directly(&self, found: &PrincipalFound<'a>, target: u32, permission: u32) -> bool {
        edges_at(Table::edges_of(found), target).any(|e| e.in_effect(self.now) && self.contains(e.bundle, permission))
    }

    #[inline]
    fn contains(&self, bundle: u32, permission: u32) -> bool {
        self.table.sets.get(bundle as usize).is_some_and(|set| set.contains(permission))
    }

    /// Rule 3.6: users of the default account have one role at the organization, users of another
    /// one have the other there, unless one of the two was assigned by hand.
    fn holds_by_rule(&self, found: &PrincipalFound<'a>, account: Option<u32>, permission: u32) -> bool {
        let Some(rule) = &self.table.by_rule else { return false };
        let principal = found.value;
        if principal.kind.is_none() || principal.by_hand {
            return false;
        }
        if principal.account == self.table.default_account {
            self.contains(rule.default_account, permission)
        } else {
            account == Some(principal.account) && self.contains(rule.other_account, permission)
        }
    }

    /// Whether anything that satisfies `test` is held at the record itself.
    fn at_record(&self, found: &PrincipalFound<'a>, record: FoundRecord<'_>, test: impl Fn(u32) -> bool) -> bool {
        let counts = |e: Edge| e.in_effect(self.now) && test(e.bundle);
        edges_at(record.edges, found.value.number).any(counts)
            || edges(record.edges).filter(|e| e.at & GROUP_MEMBER != 0).any(|e| {
                let below = self.table.group_slot(e.at & !GROUP_MEMBER).and_then(|g| g.below.as_ref());
                counts(e) && below.is_some_and(|b| self.table.groups_of(found).any(|g| b.contains(g)))
            })
    }

    /// Rule 6.4 for an object without policies: what is held at that very record shows it.
    fn visible(&self, found: &PrincipalFound<'a>, record: FoundRecord<'_>) -> bool {
        self.at_record(found, record, |bundle| self.table.bundle(bundle).is_some_and(|b| b.shows))
    }
}

/// Whether the principal's text names a service account, and its bare id.
fn split_principal(text: &str) -> (bool, &str) {
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
    let unknown = |text: &str, kind: fn(String) -> ProblemKind| match super::id::Id::parse(text) {
        Err(error) => error.into(),
        Ok(id) => kind(id.to_string()),
    };
    let Resource { account, object, record } = question.resource;
    if !account.is_empty() && table.accounts.find(account).is_none() {
        add("resource.account", unknown(account, ProblemKind::UnknownAccount));
    }
    if !object.is_empty() && table.objects.find(object).is_none() {
        add("resource.object", unknown(object, ProblemKind::UnknownObject));
    }
    if let Some(record) = record {
        if object.is_empty() {
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
    found
}
