//! Rule 3.7: the last holder of `organization.admin` at the organization cannot be removed.
//!
//! A holder is whoever could administer now: an active user or service account that holds the
//! permission at the organization, by itself, through a group or by rule, and from which no constraint takes it
//! (rule 4.5). Time may leave an organization without one; a change may not, whoever makes it. What is activated in an
//! emergency (rule 7.4) makes no holder: it ends by itself soon.
//!
//! The principals are passed over only where a change takes away something that led to the
//! permission: an edge, a status, a membership, what a role contains, a domain; and where constraints deny, also where
//! a change may lead somebody to one role too many.

use super::change::Effect;
use super::decision::{Context, Question, Reason, Walk};
use super::edge::{AT_ORGANIZATION, Edge, edges_at};
use super::model::{GroupKind, Key, Member, Millis, Status, Target};
use super::pages::Pages;
use super::presets::ORGANIZATION_ADMIN;
use super::principal::{Principal, PrincipalFound};
use super::table::Table;

/// Whether a change takes the permission from the last that hold it.
#[must_use]
pub fn last_goes(before: &Table, after: &Table, effects: &[(Key, Effect)], now: Millis) -> bool {
    let Some(admin) = before.permission(ORGANIZATION_ADMIN).map(|p| p.number) else { return false };
    let (was, is) = (Administered::of(before, admin, now), Administered::of(after, admin, now));
    effects.iter().any(|(key, effect)| was.may_lose(&is, key, *effect)) && !is.by_anyone() && was.by_anyone()
}

/// An organization as far as it is about one permission.
struct Administered<'a> {
    table: &'a Table,
    admin: u32,
    now: Millis,
}

impl<'a> Administered<'a> {
    fn of(table: &'a Table, admin: u32, now: Millis) -> Self {
        Self { table, admin, now }
    }

    /// Whether a row was on a way to the permission, and may be no longer.
    fn may_lose(&self, after: &Self, key: &Key, effect: Effect) -> bool {
        match key {
            Key::User(id) => {
                self.by_one_of(&self.table.users, id.as_str()) && !after.by_one_of(&after.table.users, id.as_str())
            }
            Key::Service(id) => {
                self.by_one_of(&self.table.services, id.as_str())
                    && !after.by_one_of(&after.table.services, id.as_str())
            }
            // A role assigned by hand takes the place of one given by rule (3.6).
            Key::Assignment(_, Member::User(_), _) if self.by_rule_bundles().is_some() => true,
            Key::Separation(_)
            | Key::Settings
            | Key::Account(_)
            | Key::Role(_)
            | Key::Group(_)
            | Key::Assignment(..)
                if after.table.denying.is_some() =>
            {
                true
            }
            _ if effect == Effect::Created => false,
            Key::Assignment(role, _, Target::Organization) => self.contains(self.table.roles.find(role.as_str())),
            Key::Grant(pattern, _, Target::Organization) => self.contains(self.table.patterns.find(pattern.as_str())),
            Key::Role(id) => self.contains(self.table.roles.find(id.as_str())),
            Key::Group(id) => self.table.groups.find(id.as_str()).is_some_and(|f| self.by_group(f.value)),
            Key::Settings => (0u32..).zip(&self.table.group_slots).any(|(number, slot)| {
                let dynamic = slot.as_ref().is_some_and(|s| matches!(s.row.kind, GroupKind::Dynamic(_)));
                dynamic && self.by_group(number)
            }),
            Key::Account(_) => self.by_rule_bundles().is_some(),
            _ => false,
        }
    }

    fn contains(&self, bundle: Option<super::pages::Found<'_, u32>>) -> bool {
        bundle.is_some_and(|f| self.in_bundle(f.value))
    }

    fn in_bundle(&self, bundle: u32) -> bool {
        self.table.givers.get(self.admin as usize).is_some_and(|givers| givers.contains(bundle))
    }

    /// The roles given by rule, if one of them contains the permission.
    fn by_rule_bundles(&self) -> Option<super::table::ByRuleRoles> {
        self.table.by_rule.filter(|rule| self.in_bundle(rule.default_account) || self.in_bundle(rule.other_account))
    }

    fn by_group(&self, group: u32) -> bool {
        self.table.holdings.held_by(self.admin, group, self.now)
    }

    fn by_one_of(&self, pages: &Pages<Principal>, id: &str) -> bool {
        pages.find(id).is_some_and(|found| self.by(&found))
    }

    /// Whether this principal is one of the holders.
    fn by(&self, found: &PrincipalFound<'_>) -> bool {
        let (table, principal) = (self.table, found.value);
        if principal.status != Status::Active {
            return false;
        }
        let by_rule = || {
            let given = table.by_rule(found);
            given.is_some_and(|(bundle, target)| target == AT_ORGANIZATION && self.in_bundle(bundle))
        };
        let lasts = |edge: &Edge| !table.is_activation(edge.bundle);
        let mut directly = edges_at(Table::edges_of(found), AT_ORGANIZATION).filter(lasts);
        let holds = table.holdings.holders(self.admin, &table.nobody).hold(table.groups_of(found), self.now)
            || directly.any(|edge| edge.in_effect(self.now) && self.in_bundle(edge.bundle))
            || by_rule();
        holds && (table.denying.is_none() || self.decided(found))
    }

    /// What a decision says, of what is held without an activation.
    fn decided(&self, found: &PrincipalFound<'_>) -> bool {
        let Some(permission) = self.table.permission(ORGANIZATION_ADMIN) else { return false };
        let kind = if found.value.kind.is_some() { "user" } else { "service" };
        let principal = format!("{kind}:{}", found.id);
        // Rule 4.3: it can prove who it is.
        let context = Context { authenticated_at: Some(self.now), ..Context::default() };
        let question = Question { principal: &principal, context, ..Question::default() };
        let near = self.table.lasting_near(found);
        let Ok(mut walk) = Walk::begin(self.table, &question, self.now) else { return false };
        walk.hold(&near, &[]);
        walk.ask(permission) == Reason::Allowed
    }

    fn by_anyone(&self) -> bool {
        let services = self.table.services.iter().any(|found| self.by(&found));
        services || self.table.users.iter().any(|found| self.by(&found))
    }
}
