//! Which calls were allowed by an emergency activation alone (rule 7.4), for the activity log.
//!
//! What was asked is asked again, at the same places, of the version and at the time that the call was
//! admitted at: an activation is told if, at one of the places, nothing that is held otherwise would have done. So it is if
//! a change hands out (rule 3.7) what is held by an activation alone, or need not hold it by being trusted so.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::core::change::Effect;
use crate::core::decision::{Question, Reason};
use crate::core::emergency;
use crate::core::handing::{Counting, activation_of, lacks};
use crate::core::id::Id;
use crate::core::model::{Key, Millis};
use crate::core::table::Table;
use crate::engine::Outcome;

use super::super::emergency::CONFIGURE;
use super::table::PROVISION;
use super::{Asked, Authority, Needs, Place};

impl Authority {
    /// The activation by which alone a read was allowed; `accounts` are those that it is of, if it is not of
    /// all that was asked for.
    pub fn read_alone_by(&self, table: &Table, now: Millis, accounts: Option<&BTreeSet<Id>>) -> Option<Id> {
        let Needs::Any(permissions) = self.needs else { return None };
        let places = accounts.map_or_else(|| self.places(table), |of| of.iter().map(Place::account).collect());
        let email = self.touched.invitee();
        places
            .into_iter()
            .find_map(|place| self.alone(table, now, &Asked { permissions, place, email: email.to_owned() }))
    }

    /// The activation by which alone a change was allowed: to be asked for, or what it changes.
    pub(super) fn changed_alone_by(&self, outcome: &Outcome, now: Millis) -> Option<Id> {
        let (table, email) = (&*outcome.before, self.touched.invitee());
        let entered = match self.needs {
            Needs::Any(permissions) => Some(permissions),
            Needs::Differences => Some(super::APPLYING),
            Needs::Operator | Needs::Member => None,
        };
        let entered = entered.into_iter().flat_map(|permissions| {
            let places = self.places(table).into_iter();
            places.map(move |place| Asked { permissions, place, email: email.to_owned() })
        });
        entered
            .chain(self.asks(outcome))
            .chain(self.asked_to_end(outcome))
            .find_map(|asked| self.alone(table, now, &asked))
            .or_else(|| self.handed_out_by(outcome, now))
    }

    /// The activation without which the change would hand out more than the caller holds.
    fn handed_out_by(&self, outcome: &Outcome, now: Millis) -> Option<Id> {
        let (before, after) = (&*outcome.before, &*outcome.after);
        let subject = self.subject.as_ref().filter(|_| before.has_activations(now))?;
        let trusted_by = if self.provisions(subject, before, now) {
            let (permissions, place) = (&[PROVISION][..], Place::default());
            self.alone(before, now, &Asked { permissions, place, email: String::new() })
        } else {
            None
        };
        let judged = match trusted_by {
            Some(_) => Cow::Borrowed(outcome.effects.as_slice()),
            None => self.judged(subject, before, &outcome.effects, now),
        };
        let held = lacks(before, after, &judged, &subject.principal, Counting::Lasting, now)?;
        let gives = activation_of(before, &subject.principal, &held, now).map(|activation| activation.id.clone());
        gives.or(trusted_by)
    }

    /// What it takes to end an activation of somebody else: what the call asks of everybody is to be a member.
    fn asked_to_end(&self, outcome: &Outcome) -> Option<Asked> {
        let others = |(key, effect): &(Key, Effect)| match key {
            Key::Activation(id) if *effect == Effect::Updated => {
                outcome.before.activation(id).is_some_and(|activation| !self.is_user(&activation.user))
            }
            _ => false,
        };
        let asked = self.needs == Needs::Member && outcome.effects.iter().any(others);
        asked.then(|| Asked { permissions: &[CONFIGURE], place: Place::default(), email: String::new() })
    }

    fn alone(&self, table: &Table, now: Millis, asked: &Asked) -> Option<Id> {
        let subject = self.subject.as_ref()?;
        let mut found = None;
        for permission in asked.permissions {
            let (answer, resource) = subject.answer(table, now, permission, &asked.place, &asked.email);
            if answer != Ok(Reason::Allowed) {
                continue;
            }
            let (principal, context) = (subject.principal.as_str(), subject.context(&asked.email));
            // Without one it is held, too: nothing hangs on any.
            let used = emergency::used(table, &Question { principal, permission, resource, context }, now)?;
            found = found.or_else(|| Some(used.id.clone()));
        }
        found
    }
}
