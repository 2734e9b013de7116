//! Data-access policies.

use prost_types::FieldMask;

use crate::core::change::etag;
use crate::core::id::Id;
use crate::core::model::{Effect, Member, Policy, Row};
use crate::core::table::Table;

use super::super::fields::Fields;
use super::super::mask::{Masked, Patch};
use super::super::proto;

/// What a policy does; none if it is not given.
pub fn effect(f: &mut Fields, effect: i32) -> Option<Option<Effect>> {
    Some(match f.choice("effect", effect)? {
        None | Some(proto::PolicyEffect::Unspecified) => None,
        Some(proto::PolicyEffect::Allow) => Some(Effect::Allow),
        Some(proto::PolicyEffect::Restrict) => Some(Effect::Restrict),
    })
}

fn required_effect(f: &mut Fields, effect: i32) -> Option<Effect> {
    let effect = self::effect(f, effect)?;
    if effect.is_none() {
        f.refuse("effect", "is required");
    }
    effect
}

/// A policy about nobody is what a deleted group may leave; nobody writes one.
fn required_members(f: &mut Fields, members: &[String]) {
    if members.is_empty() {
        f.refuse("members", "is required");
    }
}

fn condition(condition: String) -> Option<String> {
    (!condition.is_empty()).then_some(condition)
}

/// A policy as a file has it.
pub fn policy(f: &mut Fields, message: proto::DataAccessPolicy) -> Option<Policy> {
    let proto::DataAccessPolicy { id, object, effect, members, condition, etag: _ } = message;
    let (id, object, effect) = (f.parse("id", &id), f.parse("object", &object), required_effect(f, effect));
    let members = f.parse_all("members", &members);
    let condition = self::condition(condition);
    Some(Policy { id: id?, object: object?, effect: effect?, members: members?, condition })
}

/// A policy to be created.
pub fn new_policy(f: &mut Fields, message: proto::DataAccessPolicy) -> Option<Policy> {
    required_members(f, &message.members);
    policy(f, message)
}

/// An update of a policy.
pub fn policy_patch(
    f: &mut Fields,
    message: Option<proto::DataAccessPolicy>,
    mask: Option<FieldMask>,
) -> Option<(Id, Patch<Policy>)> {
    let mut m = Masked::new(mask);
    let id = f.message("policy", message, |f, message| {
        let proto::DataAccessPolicy { id, object, effect, members, condition, etag: _ } = message;
        m.fixed(!object.is_empty(), || f.parse("object", &object), |p: &mut Policy, v, _| p.object = v);
        m.set("effect", effect != 0, || required_effect(f, effect), |p, v, _| p.effect = v);
        let parse = || {
            required_members(f, &members);
            f.parse_all("members", &members)
        };
        m.set("members", !members.is_empty(), parse, |p, v, _| p.members = v);
        let given = self::condition(condition);
        m.set("condition", given.is_some(), || Some(given), |p, v, _| p.condition = v);
        f.parse("id", &id)
    });
    id.zip(m.finish(f))
}

/// A policy as a message.
pub fn to_policy(policy: &Policy) -> proto::DataAccessPolicy {
    let etag = etag(&Row::Policy(policy.clone()));
    let Policy { id, object, effect, members, condition } = policy;
    let effect = match effect {
        Effect::Allow => proto::PolicyEffect::Allow,
        Effect::Restrict => proto::PolicyEffect::Restrict,
    };
    proto::DataAccessPolicy {
        id: id.to_string(),
        object: object.to_string(),
        effect: effect.into(),
        members: members.iter().map(Member::to_string).collect(),
        condition: condition.clone().unwrap_or_default(),
        etag,
    }
}

/// The policy of that id.
pub fn find_policy(table: &Table, id: &Id) -> Option<proto::DataAccessPolicy> {
    table.policy_slot(id).map(|slot| to_policy(&slot.row))
}
