//! `Explain`: a decision and its proof (rule 4.11), as messages and in words.

use crate::core::decision::Question;
use crate::core::explain::smallest::{Suggestion, smallest};
use crate::core::explain::{self, Explanation, Miss, Path, PolicySaid, Said, Source};
use crate::core::id::Pattern;
use crate::core::model::{Effect, Member, Millis};
use crate::core::table::Table;
use crate::engine::ReadError;

use super::super::convert::relation::to_related;
use super::super::convert::{emergency, role};
use super::super::fields::Fields;
use super::super::proto::access_path::Source as Held;
use super::super::proto::{
    AccessPath, AutoShare, ExplainRequest, ExplainResponse, NearMiss, PolicyEffect, PolicyOutcome, PolicyResult,
};
use super::super::report::revision_of;
use super::super::status::Failure;
use super::question::{self, Asked};
use super::{outcome, suggestion, words};

/// Paths of each kind, unless the caller says how many.
const PATHS: usize = 10;
/// And at most.
const MAX_PATHS: usize = 100;

/// The question in a request, and how many paths it wants.
pub fn asked<'a>(fields: &mut Fields, message: &'a ExplainRequest) -> (Asked<'a>, usize) {
    let ExplainRequest { organization: _, principal, permission, resource, context, min_revision: _, max_paths } =
        message;
    let max_paths = match usize::try_from(*max_paths) {
        Ok(0) => PATHS,
        Ok(n) if n <= MAX_PATHS => n,
        _ => {
            fields.refuse("max_paths", format_args!("must be from 0 to {MAX_PATHS}"));
            PATHS
        }
    };
    (Asked::new(fields, principal, permission, resource.as_ref(), context.as_ref()), max_paths)
}

/// The answer to a request that [`asked`] found sound.
///
/// # Errors
/// As those of `Authorize`.
#[allow(clippy::result_large_err, reason = "an error is made once for a call that fails")]
pub fn answer(table: &Table, message: &ExplainRequest, now: Millis) -> Result<ExplainResponse, Failure> {
    let (asked, max_paths) = asked(&mut Fields::default(), message);
    let explained = explain::explain(table, &asked.question, now, max_paths);
    let explained = explained.map_err(|problems| question::failure(ReadError::Problems(problems), &asked.question))?;
    let smallest = smallest(table, &asked.question, now);
    Ok(ExplainResponse { revision: Some(revision_of(table)), ..explanation(&explained, &smallest, &asked.question) })
}

/// An explanation and what would allow as a message, without the revision that it is based on.
#[must_use]
pub fn explanation(of: &Explanation, smallest: &[Suggestion], question: &Question<'_>) -> ExplainResponse {
    let Explanation {
        closed: _,
        reason,
        principal: _,
        permission: _,
        asked,
        level: _,
        paths,
        shown_by,
        approver_by,
        policies,
        misses,
        separated,
        truncated,
    } = of;
    let decided = outcome(*reason);
    let reply = ExplainResponse {
        decision: decided.decision,
        reason: decided.reason,
        revision: None,
        staleness: None,
        summary: String::new(),
        rule: reason.rule().to_owned(),
        effective_permission: asked.to_string(),
        paths: paths.iter().map(to_path).collect(),
        paths_truncated: *truncated,
        policies: policies.iter().map(to_policy).collect(),
        near_misses: misses.iter().map(to_miss).collect(),
        broken_constraints: separated.iter().map(|(constraint, _)| constraint.to_string()).collect(),
        shown_by: shown_by.iter().map(to_path).collect(),
        approver_by: approver_by.iter().map(to_path).collect(),
        smallest_changes: smallest.iter().map(suggestion::to_change).collect(),
    };
    ExplainResponse { summary: words::summary(of, question, &reply), ..reply }
}

/// A path as a message.
pub fn to_path(path: &Path) -> AccessPath {
    let Path { members, source, pattern } = path;
    let source = match source {
        Source::Assignment(assignment) => Held::Assignment(role::to_assignment(assignment)),
        Source::ByRule(a) => Held::ByRule(role::to_by_rule(&a.role, &a.member, &a.target)),
        Source::Grant(grant) => Held::Grant(role::to_grant(grant)),
        Source::AutoShare { role, relation } => {
            Held::AutoShare(AutoShare { role: role.to_string(), relation: Some(to_related(relation)) })
        }
        Source::Activation(activation) => Held::EmergencyActivation(emergency::to_activation(activation)),
        Source::Relation(relation) => Held::Relation(to_related(relation)),
        Source::Policy(id) => Held::Policy(id.to_string()),
    };
    AccessPath {
        members: to_members(members),
        source: Some(source),
        pattern: pattern.as_ref().map(Pattern::to_string).unwrap_or_default(),
    }
}

fn to_members(members: &[Member]) -> Vec<String> {
    members.iter().map(Member::to_string).collect()
}

fn to_policy(said: &PolicySaid) -> PolicyOutcome {
    let PolicySaid { policy, effect, members, said, detail } = said;
    let effect = match effect {
        Effect::Allow => PolicyEffect::Allow,
        Effect::Restrict => PolicyEffect::Restrict,
    };
    let result = match said {
        Said::Matched => PolicyResult::Matched,
        Said::NotMatched => PolicyResult::NotMatched,
        Said::Error => PolicyResult::Error,
        Said::Suspended => PolicyResult::Suspended,
    };
    PolicyOutcome {
        policy: policy.to_string(),
        effect: effect.into(),
        members: to_members(members),
        result: result.into(),
        detail: detail.clone(),
    }
}

fn to_miss(miss: &Miss) -> NearMiss {
    let Miss { path, lacks } = miss;
    NearMiss { path: Some(to_path(path)), lacks: lacks.clone() }
}
