//! An explanation in sentences, for an administrator.

use crate::core::condition::timestamp_text;
use crate::core::decision::{Question, Reason, Resource};
use crate::core::explain::{Explanation, Said};
use crate::core::model::{Effect, Member};

use super::super::proto::access_path::Source;
use super::super::proto::{AccessPath, ExplainResponse, Period, RecordRelation, Target};
use super::explain::to_path;

/// The explanation in a few sentences. `reply` is the same explanation as a message.
pub fn summary(of: &Explanation, question: &Question<'_>, reply: &ExplainResponse) -> String {
    let who = of.principal.as_ref().map_or_else(|| question.principal.to_owned(), Member::to_string);
    let place = resource(&question.resource);
    let may = if of.reason == Reason::Allowed { "may" } else { "may not" };
    let mut sentences = vec![format!("`{who}` {may} do `{}` {place}: {}.", of.permission, because(of))];
    if of.asked != of.permission {
        let own = "The record is not its own";
        sentences.push(format!("{own}, so `{}` is asked in place of `{}` (rule 4.6).", of.asked, of.permission));
    }
    if let Some(first) = reply.paths.first() {
        sentences.push(format!("`{}` comes from {}.", of.asked, given(first)));
        let more = reply.paths.len() - 1;
        if more > 0 {
            let at_least = if reply.paths_truncated { "at least " } else { "" };
            let paths = if more == 1 { "path" } else { "paths" };
            sentences.push(format!("There {} {at_least}{more} other {paths}.", if more == 1 { "is" } else { "are" }));
        }
    }
    for (constraint, paths) in &of.separated {
        let paths: Vec<String> = paths.iter().map(|path| given(&to_path(path))).collect();
        let text = format!("it holds {}", paths.join("; and "));
        sentences.push(format!("The separation constraint `{constraint}` voids these of its roles there: {text}."));
    }
    sentences.extend(shown(of, reply));
    if let Some(miss) = reply.near_misses.first()
        && let Some(path) = &miss.path
    {
        sentences.push(match of.reason {
            Reason::NoPermission
            | Reason::SeparationOfDuties
            | Reason::NotVisible
            | Reason::Restricted
            | Reason::NotApprover => {
                format!("Nearest to it: {}, but {}.", given(path), miss.lacks)
            }
            // Of rules 4.2 to 4.4 it was said already what stands against it.
            _ => format!("Otherwise `{}` would come from {}.", of.asked, given(path)),
        });
    }
    sentences.join(" ")
}

fn because(of: &Explanation) -> String {
    let hiding = || {
        let hides = |said| matches!(said, Said::Matched | Said::Error);
        of.policies.iter().find(|p| p.effect == Effect::Restrict && hides(p.said))
    };
    match of.reason {
        Reason::Allowed => "nothing stands against it".to_owned(),
        Reason::PrincipalUnknown => "the organization has no such principal".to_owned(),
        Reason::PrincipalInvited => "its registration is not completed".to_owned(),
        Reason::PrincipalInactive => "it is deactivated".to_owned(),
        Reason::PrincipalLimited => "it is limited to the channel `email`".to_owned(),
        Reason::ReauthenticationRequired => "it is external and has to authenticate again".to_owned(),
        Reason::ElementNotListed => of.closed.clone().unwrap_or_else(|| "the element is not listed".to_owned()),
        Reason::NoPermission => format!("nothing that it holds gives `{}` there", of.asked),
        Reason::SeparationOfDuties => {
            format!("what would give `{}` there is void by separation of duties", of.asked)
        }
        Reason::NotVisible => "no data-access policy shows it this record".to_owned(),
        Reason::Restricted => match hiding() {
            Some(policy) => format!("the policy `{}` hides this record from it", policy.policy),
            None => "a policy hides this record from it".to_owned(),
        },
        Reason::NotApprover => "it is no approver of this record".to_owned(),
        Reason::InvitePolicy => "the organization's invite policy does not allow it".to_owned(),
    }
}

/// Why the record is visible, if that was asked and it is.
fn shown(of: &Explanation, reply: &ExplainResponse) -> Option<String> {
    if let Reason::NotVisible | Reason::Restricted = of.reason {
        return None;
    }
    let matched = of.policies.iter().find(|p| p.effect == Effect::Allow && p.said == Said::Matched);
    match (matched, reply.shown_by.first()) {
        (Some(policy), _) => Some(format!("The policy `{}` shows it the record.", policy.policy)),
        (None, Some(path)) => Some(format!("It sees the record because of {}.", given(path))),
        (None, None) => None,
    }
}

fn resource(of: &Resource<'_>) -> String {
    let Resource { account, object, record } = of;
    let account = record.map(|r| r.account).filter(|a| !a.is_empty()).unwrap_or(account);
    let within = if account.is_empty() { String::new() } else { format!(" in account `{account}`") };
    match record {
        Some(record) => format!("on record `{}` of object `{object}`{within}", record.id),
        None if !object.is_empty() => format!("on object `{object}`{within}"),
        None if !account.is_empty() => within.trim_start().to_owned(),
        None => "in the organization".to_owned(),
    }
}

/// What gives something, and through whom.
fn given(path: &AccessPath) -> String {
    match path.members.as_slice() {
        [] | [_] => source(path),
        [_, groups @ ..] => {
            let through: Vec<String> = groups.iter().map(|g| format!("`{g}`")).collect();
            format!("{}, through {}", source(path), through.join(" in "))
        }
    }
}

/// What gives something, in words.
#[must_use]
pub fn source(path: &AccessPath) -> String {
    let related = |relation: &RecordRelation| {
        let name = relation.relation().as_str_name().trim_start_matches("RELATION_").to_lowercase();
        format!("the relation `{name}` to record `{}` of object `{}`", relation.record, relation.object)
    };
    match &path.source {
        None => String::new(),
        Some(Source::Assignment(a)) => {
            format!("role `{}` at {}{}", a.role, target(a.target.as_ref()), period(a.period.as_ref()))
        }
        Some(Source::ByRule(a)) => format!("role `{}` at {}, by rule", a.role, target(a.target.as_ref())),
        Some(Source::Grant(g)) => {
            format!("a grant of `{}` at {}{}", path.pattern, target(g.target.as_ref()), period(g.period.as_ref()))
        }
        Some(Source::AutoShare(share)) => {
            let by = share.relation.as_ref().map(related).unwrap_or_default();
            format!("role `{}`, shared by {by}", share.role)
        }
        Some(Source::Relation(relation)) => related(relation),
        Some(Source::Policy(id)) => format!("policy `{id}`"),
        Some(Source::EmergencyActivation(a)) => {
            format!("role `{}` at {}, activated in an emergency", a.role, target(a.target.as_ref()))
        }
    }
}

fn target(target: Option<&Target>) -> String {
    match target {
        Some(Target { account, .. }) if !account.is_empty() => format!("account `{account}`"),
        Some(Target { object, record, .. }) if !record.is_empty() => format!("record `{record}` of object `{object}`"),
        Some(Target { object, .. }) if !object.is_empty() => format!("object `{object}`"),
        _ => "the organization".to_owned(),
    }
}

fn period(period: Option<&Period>) -> String {
    let text = |time: prost_types::Timestamp| {
        timestamp_text(time.seconds.saturating_mul(1_000).saturating_add(i64::from(time.nanos) / 1_000_000))
    };
    let Some(Period { starts_at, expires_at }) = period else { return String::new() };
    let from = starts_at.map(|at| format!(" from {}", text(at))).unwrap_or_default();
    let until = expires_at.map(|at| format!(" until {}", text(at))).unwrap_or_default();
    format!("{from}{until}")
}
