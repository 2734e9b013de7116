//! Emergency access: rules and activations.

use prost_types::{Duration, FieldMask};

use crate::core::change::etag;
use crate::core::id::{Id, OpaqueId};
use crate::core::model::{Activation, EmergencyRule, Millis, Row, Target};
use crate::core::table::Table;

use super::super::fields::Fields;
use super::super::mask::{Masked, Patch};
use super::super::proto;
use super::place;
use super::value::to_timestamp;

/// A span of time that must be there.
fn required_span(f: &mut Fields, name: &str, span: Option<Duration>) -> Option<Millis> {
    let Some(span) = span else {
        f.refuse(name, "is required");
        return None;
    };
    f.exact_span(name, span)
}

/// What identifies a rule.
pub fn rule_key(f: &mut Fields, role: &str, target: Option<proto::Target>) -> Option<(Id, Target)> {
    let (role, target) = (f.parse("role", role), place::target(f, target));
    role.zip(target)
}

/// A rule.
pub fn rule(f: &mut Fields, message: proto::EmergencyRule) -> Option<EmergencyRule> {
    let proto::EmergencyRule { role, target, users, max_duration, etag: _ } = message;
    let (key, users) = (rule_key(f, &role, target), f.parse_all("users", &users));
    let max_duration = required_span(f, "max_duration", max_duration);
    let (role, target) = key?;
    Some(EmergencyRule { role, target, users: users?, max_duration_ms: max_duration? })
}

/// An update of a rule.
pub fn rule_patch(
    f: &mut Fields,
    message: Option<proto::EmergencyRule>,
    mask: Option<FieldMask>,
) -> Option<((Id, Target), Patch<EmergencyRule>)> {
    let mut m = Masked::new(mask);
    let key = f.message("emergency_rule", message, |f, message| {
        let proto::EmergencyRule { role, target, users, max_duration, etag: _ } = message;
        let present = !users.is_empty();
        m.set("users", present, || f.parse_all("users", &users), |r: &mut EmergencyRule, v, _| r.users = v);
        let present = max_duration.is_some();
        let span = || required_span(f, "max_duration", max_duration);
        m.set("max_duration", present, span, |r, v, _| r.max_duration_ms = v);
        rule_key(f, &role, target)
    });
    key.zip(m.finish(f))
}

/// A rule as a message.
pub fn to_rule(rule: &EmergencyRule) -> proto::EmergencyRule {
    let etag = etag(&Row::Emergency(rule.clone()));
    let EmergencyRule { role, target, users, max_duration_ms } = rule;
    let nanos = i32::try_from(max_duration_ms % 1_000 * 1_000_000).unwrap_or_default();
    proto::EmergencyRule {
        role: role.to_string(),
        target: place::to_target(target),
        users: users.iter().map(OpaqueId::to_string).collect(),
        max_duration: Some(Duration { seconds: max_duration_ms / 1_000, nanos }),
        etag,
    }
}

/// The rule of that key.
pub fn find_rule(table: &Table, (role, target): &(Id, Target)) -> Option<proto::EmergencyRule> {
    table.emergency(role, target).map(to_rule)
}

/// An activation as a message.
pub fn to_activation(activation: &Activation) -> proto::EmergencyActivation {
    let Activation { id, role, target, user, justification, rehearsal, starts_at, expires_at, ended_at } = activation;
    proto::EmergencyActivation {
        id: id.to_string(),
        role: role.to_string(),
        target: place::to_target(target),
        user: user.to_string(),
        justification: justification.clone(),
        rehearsal: *rehearsal,
        starts_at: Some(to_timestamp(*starts_at)),
        expires_at: Some(to_timestamp(*expires_at)),
        ended_at: ended_at.map(to_timestamp),
    }
}

/// The activation of that id.
pub fn find_activation(table: &Table, id: &Id) -> Option<proto::EmergencyActivation> {
    table.activation(id).map(to_activation)
}
