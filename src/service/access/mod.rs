//! What a caller may do (rule 7.6).
//!
//! ```text
//! operator                       everything
//! service account                what it holds in its organization, at what the call touches
//! either, on behalf of a user    what the user holds, and nothing else
//! ```
//!
//! The answer is always [`decide`]'s, on the version that is read or that a write plans against: before
//! the plan at what the request names, so that a refusal tells nothing of what is there, and after it
//! at everything that the change touches, where it was and where it is to be.
//!
//! Whose organization another one is is said before anything is looked up (rule 1.1).

mod alone;
mod table;
mod touched;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::core::change::Effect;
use crate::core::decision::{Context, Problems, Question, Reason, Resource, Walk, decide};
use crate::core::handing::{Counting, lacks};
use crate::core::id::{Id, OpaqueId};
use crate::core::model::{Key, Millis, PrincipalId, Row};
use crate::core::presets::INVITING;
use crate::core::table::Table;
use crate::engine::{Guard, Outcome};

use super::Caller;
use super::refusal::Refusal;

use table::PROVISION;
pub use table::{Needs, RPCS, needs, own_permissions};
pub use touched::{Place, Touched};

/// What decides one call.
#[derive(Debug, Clone)]
pub struct Authority {
    /// None: an operator in its own name.
    subject: Option<Subject>,
    needs: Needs,
    touched: Touched,
    /// Whether the caller is trusted to speak for whom it speaks.
    trusted: bool,
    /// The history of the organization that let the caller in; none for an operator.
    history: Option<Arc<str>>,
}

/// One of these permissions, at a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    permissions: &'static [&'static str],
    place: Place,
    /// Of whom to invite.
    email: String,
}

/// What applying a file asks for to begin with: what the differences are tells what is there.
const APPLYING: &[&str] = &["organization.read"];

/// Whose permissions decide.
#[derive(Debug, Clone)]
struct Subject {
    /// As questions name it.
    principal: String,
    authenticated_at: Option<Millis>,
}

impl Caller {
    /// Whether the caller may come near an organization at all (rule 1.1), trusted to speak for
    /// whom it speaks.
    #[inline]
    pub(super) fn enter(&self, organization: &str) -> Result<(), Refusal> {
        self.approach(organization)?;
        if self.is_trusted() { Ok(()) } else { Err(Refusal::NotTrusted) }
    }

    #[inline]
    fn approach(&self, organization: &str) -> Result<(), Refusal> {
        match &self.bearer {
            Some(bearer) if bearer.organization.as_str() != organization => Err(Refusal::OtherOrganization),
            _ => Ok(()),
        }
    }

    #[inline]
    fn is_trusted(&self) -> bool {
        self.on_behalf_of.is_none() || self.bearer.as_ref().is_none_or(|bearer| bearer.acts_for_users)
    }

    /// Whether this is a platform operator in its own name.
    pub(super) fn is_operator(&self) -> bool {
        self.bearer.is_none() && self.on_behalf_of.is_none()
    }

    /// For what only platform operators do.
    pub(super) fn operator_only(&self) -> Result<(), Refusal> {
        if self.is_operator() { Ok(()) } else { Err(Refusal::OperatorOnly) }
    }

    fn subject(&self) -> Option<Subject> {
        match (&self.on_behalf_of, &self.bearer) {
            (Some(user), _) => Some(Subject { principal: user.user.clone(), authenticated_at: user.authenticated_at }),
            (None, Some(bearer)) => Some(Subject { principal: bearer.principal.clone(), authenticated_at: None }),
            (None, None) => None,
        }
    }

    /// What besides [`Caller::enter`] decides whether a question may be asked: that a user on whose
    /// behalf it is asked may act (rules 4.2 and 4.3).
    pub(super) fn asking(&self) -> Option<Authority> {
        let on_behalf = self.bearer.is_some() && self.on_behalf_of.is_some();
        let touched = Touched::Organization;
        on_behalf.then(|| Authority {
            subject: self.subject(),
            needs: Needs::Member,
            touched,
            trusted: self.is_trusted(),
            history: self.history(),
        })
    }

    fn history(&self) -> Option<Arc<str>> {
        self.bearer.as_ref().map(|bearer| Arc::clone(&bearer.history))
    }
}

impl Authority {
    /// The authority of a call. What it touches is only asked for if it matters. All else that speaks
    /// against the call is said by [`Authority::admit`], where it can be logged.
    ///
    /// # Errors
    /// It is of another organization.
    pub fn new(
        caller: &Caller,
        organization: &str,
        method: &'static str,
        touched: &dyn Fn() -> Touched,
    ) -> Result<Self, Refusal> {
        caller.approach(organization)?;
        let (trusted, history) = (caller.is_trusted(), caller.history());
        let Some(subject) = caller.subject() else {
            let (needs, touched) = (Needs::Operator, Touched::Organization);
            return Ok(Self { subject: None, needs, touched, trusted, history });
        };
        Ok(Self { subject: Some(subject), needs: table::needs(method), touched: touched(), trusted, history })
    }

    /// Whether the call may be made, as far as its request says.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(&self, table: &Table, now: Millis) -> Result<(), Refusal> {
        let Some(subject) = &self.subject else { return Ok(()) };
        // What came after the caller's organization under the same id is another one.
        if self.history.as_ref().is_some_and(|history| history != table.history()) {
            return Err(Refusal::NoCaller);
        }
        if !self.trusted {
            return Err(Refusal::NotTrusted);
        }
        match self.needs {
            Needs::Operator => Err(Refusal::OperatorOnly),
            Needs::Member => subject.acts(table, now),
            Needs::Differences => subject.ask(table, now, APPLYING, &Place::default(), ""),
            Needs::Any(permissions) => {
                let places = self.places(table);
                places.iter().try_for_each(|place| subject.ask(table, now, permissions, place, self.touched.invitee()))
            }
        }
    }

    fn places(&self, table: &Table) -> Vec<Place> {
        let mut places = self.touched.places(table);
        if places.is_empty() {
            // INVARIANT 4: to touch nothing is no way in.
            places.push(Place::default());
        }
        places.sort();
        places.dedup();
        places
    }

    /// Of which accounts the caller may read what is kept by account (rule 7.5); none: of all, and of
    /// what is of the organization as a whole.
    ///
    /// # Errors
    /// Of none.
    pub fn accounts(&self, table: &Table, now: Millis) -> Result<Option<BTreeSet<Id>>, Refusal> {
        let refusal = match (self.admit(table, now), &self.touched) {
            (Ok(()), Touched::Account(account)) if self.subject.is_some() && !account.is_empty() => {
                return Ok(Some(Id::parse(account).into_iter().collect()));
            }
            (Ok(()), _) => return Ok(None),
            (Err(refusal), Touched::Account(account)) if account.is_empty() => refusal,
            (Err(refusal), _) => return Err(refusal),
        };
        let (Some(subject), Needs::Any(permissions)) = (&self.subject, self.needs) else { return Err(refusal) };
        if !matches!(refusal, Refusal::NotAllowed { reason: Reason::NoPermission, .. }) {
            return Err(refusal);
        }
        let mut accounts: BTreeSet<Id> =
            table.list_accounts(None, usize::MAX).items.into_iter().map(|account| account.id).collect();
        accounts.retain(|account| subject.ask(table, now, permissions, &Place::account(account), "").is_ok());
        if accounts.is_empty() { Err(refusal) } else { Ok(Some(accounts)) }
    }

    /// The account that a call is about, as far as its request says; none for the organization.
    pub fn account(&self, table: &Table) -> Option<Id> {
        let places = self.touched.places(table);
        let [place] = places.as_slice() else { return None };
        let account = Id::parse(&place.account).ok()?;
        table.row(&Key::Account(account.clone())).map(|_| account)
    }

    /// Whether it is that user who calls, or on whose behalf somebody calls.
    pub fn is_user(&self, user: &OpaqueId) -> bool {
        self.subject.as_ref().is_some_and(|subject| subject.principal.parse() == Ok(PrincipalId::User(user.clone())))
    }

    /// Whether one of these permissions is held at the organization, beyond what the call itself asks.
    ///
    /// # Errors
    /// Why not.
    pub fn ask(&self, table: &Table, now: Millis, permissions: &'static [&'static str]) -> Result<(), Refusal> {
        let Some(subject) = &self.subject else { return Ok(()) };
        subject.ask(table, now, permissions, &Place::default(), "")
    }

    /// Whether what the call changes may be changed.
    ///
    /// # Errors
    /// Why not.
    fn review(&self, outcome: &Outcome, now: Millis) -> Result<(), Refusal> {
        let Some(subject) = &self.subject else { return Ok(()) };
        let (before, after) = (&*outcome.before, &*outcome.after);
        for (key, _) in &outcome.effects {
            for_operators(before.row(key).as_ref(), after.row(key).as_ref())?;
        }
        for Asked { permissions, place, email } in self.asks(outcome) {
            subject.ask(before, now, permissions, &place, &email)?;
        }
        let judged = self.judged(subject, before, &outcome.effects, now);
        match lacks(before, after, &judged, &subject.principal, Counting::All, now) {
            None => Ok(()),
            Some(held) => Err(Refusal::HandsOut { principal: subject.principal.clone(), held: Box::new(held) }),
        }
    }

    /// What all that changes asks for, each once.
    fn asks(&self, outcome: &Outcome) -> Vec<Asked> {
        let (before, after) = (&*outcome.before, &*outcome.after);
        let (mut known, mut asks) = (BTreeSet::new(), Vec::new());
        for (key, effect) in &outcome.effects {
            let (old, new) = (before.row(key), after.row(key));
            let permissions = match self.needs {
                Needs::Any(permissions) => vec![permissions],
                Needs::Differences => differences(key, *effect, old.as_ref(), new.as_ref()),
                Needs::Operator | Needs::Member => Vec::new(),
            };
            let email = match (&new, effect) {
                (Some(Row::User(user)), Effect::Created) => user.email.as_str(),
                _ => "",
            };
            let places = [Place::of_row(before, key), Place::of_row(after, key)];
            for place in places.into_iter().flatten() {
                for permissions in &permissions {
                    let asked = Asked { permissions, place: place.clone(), email: email.to_owned() };
                    if known.insert(asked.clone()) {
                        asks.push(asked);
                    }
                }
            }
        }
        asks
    }
}

impl Authority {
    /// Whether the call is one of provisioning, by a caller trusted with it.
    fn provisions(&self, subject: &Subject, before: &Table, now: Millis) -> bool {
        matches!(self.needs, Needs::Any(permissions) if permissions.contains(&PROVISION))
            && subject.ask(before, now, &[PROVISION], &Place::default(), "").is_ok()
    }

    /// What rule 3.7 is asked of: not of what a caller trusted with provisioning does to users other
    /// than itself.
    fn judged<'e>(
        &self,
        subject: &Subject,
        before: &Table,
        effects: &'e [(Key, Effect)],
        now: Millis,
    ) -> Cow<'e, [(Key, Effect)]> {
        if !self.provisions(subject, before, now) {
            return Cow::Borrowed(effects);
        }
        let exempt = |key: &Key| matches!(key, Key::User(id) if subject.principal != format!("user:{id}"));
        effects.iter().filter(|(key, _)| !exempt(key)).cloned().collect()
    }
}

impl Guard<Refusal> for Arc<Authority> {
    fn admit(&self, table: &Table, now: Millis) -> Result<(), Refusal> {
        Authority::admit(self, table, now)
    }

    fn activation(&self, outcome: &Outcome, now: Millis) -> Option<Id> {
        self.changed_alone_by(outcome, now)
    }

    fn review(&self, outcome: &Outcome, now: Millis) -> Result<(), Refusal> {
        Authority::review(self, outcome, now)
    }
}

impl Subject {
    fn context<'a>(&self, invitee_email: &'a str) -> Context<'a> {
        Context { authenticated_at: self.authenticated_at, invitee_email, ..Context::default() }
    }

    /// Rules 4.1 to 4.3.
    fn acts(&self, table: &Table, now: Millis) -> Result<(), Refusal> {
        let question = Question { principal: &self.principal, context: self.context(""), ..Question::default() };
        match Walk::begin(table, &question, now).map(|walk| walk.refused()) {
            Ok(None) => Ok(()),
            Ok(Some(reason)) => Err(self.refused(reason, &[])),
            Err(_) => Err(self.refused(Reason::PrincipalUnknown, &[])),
        }
    }

    /// Whether it holds one of these permissions at a place.
    fn ask(
        &self,
        table: &Table,
        now: Millis,
        permissions: &'static [&'static str],
        place: &Place,
        invitee_email: &str,
    ) -> Result<(), Refusal> {
        let mut reason = Reason::NoPermission;
        for permission in permissions {
            match self.answer(table, now, permission, place, invitee_email).0 {
                Ok(Reason::Allowed) => return Ok(()),
                Ok(Reason::NoPermission) | Err(_) => {}
                Ok(other) => reason = other,
            }
        }
        Err(self.refused(reason, permissions))
    }

    /// Whether it holds a permission at a place, and where that was looked for.
    fn answer<'p>(
        &self,
        table: &Table,
        now: Millis,
        permission: &str,
        place: &'p Place,
        invitee_email: &str,
    ) -> (Result<Reason, Problems>, Resource<'p>) {
        let decided = |resource| {
            let context = self.context(invitee_email);
            (decide(table, &Question { principal: &self.principal, permission, resource, context }, now), resource)
        };
        let found = decided(place.resource());
        // A place that is not there is asked for where everything is; and an element that is private
        // (rule 4.4) is administered by whoever administers all.
        match found.0 {
            Err(_) | Ok(Reason::ElementNotListed) => decided(Resource::default()),
            Ok(_) => found,
        }
    }

    fn refused(&self, reason: Reason, permissions: &'static [&'static str]) -> Refusal {
        if reason == Reason::InvitePolicy {
            return Refusal::InvitePolicy;
        }
        Refusal::NotAllowed { principal: self.principal.clone(), reason, permissions }
    }
}

/// Rules 7.2 and 7.6: what no organization decides for itself.
fn for_operators(old: Option<&Row>, new: Option<&Row>) -> Result<(), Refusal> {
    let wrong = match (old, new) {
        (Some(Row::Settings(old)), Some(Row::Settings(new))) => old.super_organization != new.super_organization,
        (None, Some(Row::Settings(_))) => true,
        // So a trusted one is rotated by platform operators only.
        (None, Some(Row::Credential(new))) => new.acts_for_users,
        _ => false,
    };
    if wrong { Err(Refusal::OperatorOnly) } else { Ok(()) }
}

/// What a difference of an applied file asks, as a call of its own would.
fn differences(key: &Key, effect: Effect, old: Option<&Row>, new: Option<&Row>) -> Vec<&'static [&'static str]> {
    let mut asks: Vec<&'static [&'static str]> = Vec::new();
    let members = |old: &[_], new: &[_]| if old == new { None } else { Some(&["groups.manage_members"][..]) };
    match (key, old, new) {
        (Key::Settings, ..) => asks.push(&["organization.update"]),
        (Key::Account(_), ..) => asks.push(&["accounts.manage"]),
        (Key::Permission(_), ..) => asks.push(&["permissions.manage"]),
        (Key::Object(_), ..) if effect == Effect::Updated => asks.push(&["objects.configure"]),
        (Key::Object(_), ..) => asks.push(&["objects.manage"]),
        (Key::Role(_), ..) => asks.push(&["roles.configure"]),
        (Key::Group(_), Some(Row::Group(old)), Some(Row::Group(new))) => {
            asks.extend(members(&old.groups, &new.groups));
            let other = crate::core::model::Group { groups: new.groups.clone(), ..old.clone() };
            if other != *new {
                asks.push(&["groups.manage"]);
            }
        }
        (Key::Group(_), ..) => asks.push(&["groups.manage"]),
        (Key::User(_), Some(Row::User(old)), Some(Row::User(new))) => {
            asks.extend(members(&old.groups, &new.groups).or(members(&old.pending_groups, &new.pending_groups)));
            if (old.status, old.status_before) != (new.status, new.status_before) {
                asks.push(&["users.set_status"]);
            }
            let other = crate::core::model::User {
                groups: new.groups.clone(),
                pending_groups: new.pending_groups.clone(),
                status: new.status,
                status_before: new.status_before,
                ..old.clone()
            };
            if other != *new {
                asks.push(&["users.update"]);
            }
        }
        (Key::User(_), _, new) => {
            asks.push(&[INVITING]);
            if let Some(Row::User(user)) = new {
                asks.extend(members(&[], &user.groups));
            }
        }
        (Key::Service(_), old, new) => {
            asks.push(&["service_accounts.manage"]);
            let groups = |row: Option<&Row>| match row {
                Some(Row::Service(service)) => service.groups.clone(),
                _ => Vec::new(),
            };
            asks.extend(members(&groups(old), &groups(new)));
        }
        (Key::Assignment(..) | Key::Grant(..), ..) => asks.push(&["roles.assign"]),
        (Key::Related(..), ..) => asks.push(&["relations.report"]),
        (Key::Policy(_), ..) => asks.push(&["data_access.manage"]),
        (Key::SafelistElement(_), ..) => asks.push(&["element_lists.manage"]),
        (Key::Credential(_), ..) => asks.push(&["credentials.manage"]),
        (Key::Separation(_), ..) => asks.push(&["separation_of_duties.manage"]),
        (Key::Emergency(..), ..) => asks.push(&["emergency.configure"]),
        // They end with their rule.
        (Key::Activation(_), ..) => {}
    }
    asks
}
