//! Rule 7.4: emergency access. A rule names users who may activate a role at a target for themselves.
//!
//! An activation is a row with a beginning and an end, and an edge like any other: the role, held by the
//! user at the target in that period. The walk does not know of it. To tell it from an assignment of the
//! same role it has a bundle of its own, with the role's permissions, of which only [`used`] makes
//! something: it asks the same question of the same principal without such edges.
//!
//! ```text
//! rule ──names──> users            activation ──edge──> role at target, from starts_at until its end
//!   taken away, or a user              ended: the same row with `ended_at`, the same edge, shorter
//!   taken out of it: their             rehearsal: a row and no edge
//!   activations end
//! ```
//!
//! A rule with another `max_duration` leaves what runs as it began. A deleted role, object or account
//! takes rules and activations with it, and so does forgetting a record (rules 2.10, 5.1). An activation is
//! somebody's change: one that would break a separation constraint is refused (rule 7.3), and as a role
//! it counts there like an assigned one. Who may activate is who the rule names; whoever makes the rule hands
//! out what is in the role (rule 3.7).
//!
//! Files do not speak of activations: they say what may be, not what happened.

use std::sync::Arc;

use super::decision::{Question, Reason, Walk};
use super::draft::{Checked, Draft};
use super::edge::{Edge, edges};
use super::fault::Fault;
use super::id::{Id, OpaqueId};
use super::limits;
use super::model::{Activation, EmergencyRule, Key, Member, Millis, Period, Row, Target};
use super::presets::ORG_ADMIN;
use super::principal::PrincipalFound;
use super::table::{Bundle, Source, Table};

impl Activation {
    /// When it ends or ended.
    #[must_use]
    pub fn end(&self) -> Millis {
        self.ended_at.map_or(self.expires_at, |ended| ended.min(self.expires_at))
    }

    /// Whether it, or its rehearsal, is neither over nor ended at `now`.
    #[must_use]
    pub fn is_open(&self, now: Millis) -> bool {
        now < self.end()
    }

    /// The same, ended.
    #[must_use]
    pub fn ended(self, now: Millis) -> Self {
        let now = now.max(self.starts_at);
        Self { ended_at: Some(now), ..self }
    }
}

impl Draft {
    pub(super) fn put_emergency(&mut self, key: &Key, row: EmergencyRule) {
        self.list(key, "users", &row.users, limits::MAX_EMERGENCY_USERS, "users of one rule of emergency access");
        if row.users.is_empty() {
            self.violation(key.clone(), "users", Fault::Misplaced("a rule of emergency access names a user or more"));
        }
        if !(1..=limits::MAX_EMERGENCY_MS).contains(&row.max_duration_ms) {
            let fault = Fault::Misplaced("an activation lasts for more than nothing and at most for 7 days");
            self.violation(key.clone(), "max_duration", fault);
        }
        let role = self.role_at(&row.role, &row.target);
        let role = self.note(key, "role", role);
        let at = self.target(&row.target);
        self.note(key, "target", at);
        for user in &row.users {
            let member = Member::User(user.clone());
            let known = self.member(&member);
            if let (Some(_), Some(role), ORG_ADMIN) = (self.note(key, "users", known), role, row.role.as_str()) {
                let fits = self.fits_org_admin(role, &member, Period::default());
                self.note(key, "users", fits);
            }
        }
        let id = (row.role.clone(), row.target.clone());
        self.end_activations(&id, |user| !row.users.contains(user));
        self.next.emergencies.insert(id, Arc::new(row));
        let full = self.next.emergencies.len() > limits::MAX_EMERGENCY_RULES;
        self.bound(key, full, "rules of emergency access", limits::MAX_EMERGENCY_RULES);
    }

    pub(super) fn take_emergency(&mut self, role: &Id, target: &Target) {
        let id = (role.clone(), target.clone());
        self.next.emergencies.remove(&id);
        self.end_activations(&id, |_| true);
    }

    /// Ends what runs by a rule, for these users.
    fn end_activations(&mut self, rule: &(Id, Target), whose: impl Fn(&OpaqueId) -> bool) {
        let now = self.now;
        let of_rule = |a: &&Arc<Activation>| (&a.role, &a.target) == (&rule.0, &rule.1) && whose(&a.user);
        let open = self.next.activations.values().filter(of_rule).filter(|a| a.ended_at.is_none() && a.is_open(now));
        for activation in open.map(|a| Activation::clone(a)).collect::<Vec<_>>() {
            self.put(Row::Activation(activation.ended(now)));
        }
    }

    pub(super) fn put_activation(&mut self, key: &Key, row: Activation) {
        self.text(key, "justification", &row.justification, limits::MAX_DESCRIPTION_BYTES);
        if row.justification.trim().is_empty() {
            self.violation(key.clone(), "justification", Fault::Misplaced("an activation is justified in writing"));
        }
        let lasts = row.expires_at.checked_sub(row.starts_at);
        if !lasts.is_some_and(|lasts| (1..=limits::MAX_EMERGENCY_MS).contains(&lasts)) {
            let fault = Fault::Misplaced("an activation lasts for more than nothing and at most for 7 days");
            self.violation(key.clone(), "expires_at", fault);
        }
        let member = Member::User(row.user.clone());
        let known = self.member(&member);
        let role = self.role_at(&row.role, &row.target);
        let (known, role) = (self.note(key, "user", known), self.note(key, "role", role));
        // Whom a rule for `org-admin` names is of the default account (3.6); what is over does not hold anybody there.
        let (Some(_), Some(role)) = (known, role) else { return };
        let bundle = self.activation_bundle(role);
        let Some(bundle) = self.note(key, "role", bundle) else { return };
        // Rows of a store come by id: of several one after the other, the last one's edge stays.
        let newest = self.held_from(bundle, &member, &row.target).is_none_or(|from| from <= row.starts_at);
        if newest && !row.rehearsal {
            if row.end() > row.starts_at {
                let period = Period { starts_at: Some(row.starts_at), expires_at: Some(row.end()) };
                self.put_edge(key, bundle, &member, &row.target, period);
            } else {
                self.remove_edge(bundle, &member, &row.target);
            }
        }
        self.dirty.activations = true;
        self.next.activations.insert(row.id.clone(), Arc::new(row));
        let full = self.next.activations.len() > limits::MAX_ACTIVATIONS;
        self.bound(key, full, "activations", limits::MAX_ACTIVATIONS);
    }

    pub(super) fn take_activation(&mut self, id: &Id) {
        let Some(row) = self.next.activations.remove(id) else { return };
        self.dirty.activations = true;
        let role = self.next.roles.find(row.role.as_str()).map(|f| f.value);
        let Some(bundle) = role.and_then(|role| self.next.activated.get(&role).copied()) else { return };
        let member = Member::User(row.user.clone());
        if self.held_from(bundle, &member, &row.target) == Some(row.starts_at) {
            self.remove_edge(bundle, &member, &row.target);
        }
    }

    pub(super) fn flatten_activations(&mut self) {
        if self.dirty.activations {
            let real = self.next.activations.values().filter(|a| !a.rehearsal);
            self.next.activations_end = real.map(|a| a.end()).max().unwrap_or(Millis::MIN);
        }
    }

    /// The rules and activations that name one of the doomed, or a record.
    pub(super) fn emergencies_at(&self, gone: impl Fn(&Id, &Target) -> bool) -> Vec<Key> {
        let rules = self.next.emergencies.keys().filter(|(role, target)| gone(role, target));
        let rules = rules.map(|(role, target)| Key::Emergency(role.clone(), target.clone()));
        let activations = self.next.activations.values().filter(|a| gone(&a.role, &a.target));
        rules.chain(activations.map(|a| Key::Activation(a.id.clone()))).collect()
    }

    /// The bundle of a role's activations.
    fn activation_bundle(&mut self, role: u32) -> Checked<u32> {
        if let Some(bundle) = self.next.activated.get(&role) {
            return Ok(*bundle);
        }
        let bundle = self.add_bundle(Source::Activation(role))?;
        self.next.activated.insert(role, bundle);
        // It stands for the role in constraints, too.
        self.dirty.separations |= !self.next.separations.is_empty();
        Ok(bundle)
    }

    /// When what a member holds begins, if it holds it.
    fn held_from(&mut self, bundle: u32, member: &Member, target: &Target) -> Option<Millis> {
        let (at, number) = (self.target(target).ok()?, self.member(member).ok()?);
        let edge = match (target, member) {
            (Target::Record(object, record), _) => {
                let object = self.object(object).ok()?;
                let held = self.record(object, record.as_str());
                held.iter().map(|(e, _)| *e).find(|e| (e.at, e.bundle) == (number, bundle))
            }
            (_, Member::User(id)) => {
                self.principal(false, id.as_str())?.edges.iter().find(|e| (e.at, e.bundle) == (at, bundle)).copied()
            }
            _ => None,
        };
        edge.map(|e| e.from)
    }
}

impl Table {
    /// The rule for a role at a target.
    #[must_use]
    pub fn emergency(&self, role: &Id, target: &Target) -> Option<&EmergencyRule> {
        self.emergencies.get(&(role.clone(), target.clone())).map(Arc::as_ref)
    }

    /// The rules of emergency access, by role and target.
    pub fn emergencies(&self) -> impl Iterator<Item = &EmergencyRule> + '_ {
        self.emergencies.values().map(Arc::as_ref)
    }

    /// The activation of that id.
    #[must_use]
    pub fn activation(&self, id: &Id) -> Option<&Activation> {
        self.activations.get(id).map(Arc::as_ref)
    }

    /// The activations, rehearsals included, in no order that means anything.
    pub fn activations(&self) -> impl Iterator<Item = &Activation> + '_ {
        self.activations.values().map(Arc::as_ref)
    }

    /// Whether anything may be active at `now`: if not, there is nothing to be used.
    #[inline]
    #[must_use]
    pub fn has_activations(&self, now: Millis) -> bool {
        now < self.activations_end
    }

    /// Whose edge it is: the activation of a role at a target by a user that began last.
    #[must_use]
    pub fn activated(&self, user: &OpaqueId, role: &Id, target: &Target) -> Option<&Activation> {
        let same = |a: &&Activation| !a.rehearsal && (&a.user, &a.role, &a.target) == (user, role, target);
        self.activations().filter(same).max_by_key(|a| a.starts_at)
    }

    /// Whether a bundle is that of a role that is activated.
    pub(super) fn is_activation(&self, bundle: u32) -> bool {
        matches!(self.bundle(bundle).map(|bundle| &bundle.source), Some(Source::Activation(_)))
    }

    /// What lies beside a principal, its activations over.
    pub(super) fn lasting_near(&self, found: &PrincipalFound<'_>) -> Vec<u8> {
        let held = Self::edges_of(found);
        let groups = found.near.get(..found.near.len() - held.len()).unwrap_or(&[]);
        [groups, &self.lasting(held)].concat()
    }

    /// Edges with activations over. They stay in their places, by which the members of a record's edges are told.
    fn lasting(&self, bytes: &[u8]) -> Vec<u8> {
        let mut kept = Vec::with_capacity(bytes.len());
        let over = |e: Edge| if self.is_activation(e.bundle) { Edge { until: Millis::MIN, ..e } } else { e };
        edges(bytes).map(over).for_each(|e| e.write(&mut kept));
        kept
    }
}

/// The activation without which a question would not be allowed; none if it is not allowed, or would be
/// all the same. What a record of uses asks. A question without a permission is whether the record can be seen.
#[must_use]
pub fn used<'t>(table: &'t Table, question: &Question<'_>, now: Millis) -> Option<&'t Activation> {
    if !table.has_activations(now) {
        return None;
    }
    let permission = match question.permission {
        "" => None,
        name => Some(table.permission(name)?),
    };
    let allows = |walk: &Walk<'_>| match (permission, &walk.record) {
        (Some(permission), _) => walk.ask(permission) == Reason::Allowed,
        (None, Some(record)) => walk.sees(record) == Reason::Allowed,
        (None, None) => false,
    };
    let walk = Walk::begin(table, question, now).ok()?;
    let found = walk.found()?;
    let held_there = walk.record.as_ref().map_or(&[][..], |record| record.edges);
    let active = |bytes: &[u8]| edges(bytes).any(|e| table.is_activation(e.bundle) && e.in_effect(now));
    // Of most principals there is nothing more to be asked.
    if !(active(Table::edges_of(&found)) || active(held_there)) || !allows(&walk) {
        return None;
    }
    let (near, at_record) = (table.lasting_near(&found), table.lasting(held_there));
    let mut again = Walk::begin(table, question, now).ok()?;
    again.hold(&near, &at_record);
    if allows(&again) {
        return None;
    }
    let running = table.activations().filter(|a| {
        !a.rehearsal
            && a.user.as_str() == found.id
            && found.value.kind.is_some()
            && a.starts_at <= now
            && a.is_open(now)
    });
    let here = running.filter(|a| walk.reaches(&a.target));
    let asked = match permission {
        Some(permission) => Some(walk.asked_in_place(Some(&found), permission, walk.record.as_ref())?.0),
        None => None,
    };
    // Of several one that gives the permission rather than one that shows the record.
    here.max_by_key(|a| {
        let role = table.roles.find(a.role.as_str()).and_then(|f| table.bundle(f.value));
        let shows = |role: &Bundle| role.shows && matches!(a.target, Target::Record(..));
        let gives = role.is_some_and(|role| asked.map_or(shows(role), |asked| role.set.contains(asked)));
        (gives, std::cmp::Reverse(a.starts_at))
    })
}
