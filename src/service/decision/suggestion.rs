//! The smallest changes that would allow (rule 4.11), as messages.

use crate::core::explain::smallest::{Step, Suggestion};
use crate::core::model::{Member, Row, Target};

use super::super::convert::place::to_target;
use super::super::proto::{ChangeStep, SmallestChange, StepKind};

/// A suggestion as a message.
pub fn to_change(of: &Suggestion) -> SmallestChange {
    let Suggestion { steps, changes: _, undeny: _, authenticate: _ } = of;
    let texts: Vec<String> = steps.iter().map(Step::to_string).collect();
    SmallestChange { steps: steps.iter().map(to_step).collect(), text: texts.join("; and ") }
}

fn to_step(step: &Step) -> ChangeStep {
    let (kind, members, subject, target) = parts(step);
    ChangeStep {
        kind: kind.into(),
        members: members.iter().map(Member::to_string).collect(),
        subject,
        target: target.as_ref().and_then(to_target),
        text: step.to_string(),
    }
}

/// What is done, to whom, with what, and where.
fn parts(step: &Step) -> (StepKind, Vec<Member>, String, Option<Target>) {
    let plain = |kind, member: &Member, subject: &dyn std::fmt::Display| {
        (kind, vec![member.clone()], subject.to_string(), None)
    };
    let element = |kind, element: &crate::core::id::Id| (kind, Vec::new(), element.to_string(), None);
    match step {
        Step::Status { member, from: _, to } => plain(StepKind::SetStatus, member, &to.name()),
        Step::Authenticate(member) => plain(StepKind::Authenticate, member, &""),
        Step::Undeny { super_organization: _, element: id } => element(StepKind::RemoveFromDenylist, id),
        Step::Safelist(id) => element(StepKind::AddToSafelist, id),
        Step::Unprivate(id) => element(StepKind::UnprivateElement, id),
        Step::Move { user, account } => plain(StepKind::MoveToAccount, &Member::User(user.clone()), account),
        Step::Join { member, group, because: _ } => plain(StepKind::JoinGroup, member, group),
        Step::Leave { member, group, because: _ } => plain(StepKind::LeaveGroup, member, group),
        Step::Give(row) => of_row([StepKind::AssignRole, StepKind::GrantPermission, StepKind::AddRelation], row),
        Step::Extend { row, lacks: _ } => {
            of_row([StepKind::ExtendRole, StepKind::ExtendGrant, StepKind::Unspecified], row)
        }
        Step::Take(row) => of_row([StepKind::UnassignRole, StepKind::Unspecified, StepKind::RemoveRelation], row),
        Step::Flag { group, flag } => plain(StepKind::SetGroupFlag, &Member::Group(group.clone()), flag),
        Step::Name { policy, member } => plain(StepKind::NameInPolicy, member, policy),
        Step::Unname { policy, members } => (StepKind::RemoveFromPolicy, members.clone(), policy.to_string(), None),
        Step::Invite(domain) => {
            let domain = domain.as_ref().map(ToString::to_string);
            (StepKind::WidenInvitePolicy, Vec::new(), domain.unwrap_or_default(), None)
        }
    }
}

/// What is done to a row, if it is an assignment, a grant or a relation.
fn of_row([role, grant, relation]: [StepKind; 3], row: &Row) -> (StepKind, Vec<Member>, String, Option<Target>) {
    match row {
        Row::Assignment(a) => (role, vec![a.member.clone()], a.role.to_string(), Some(a.target.clone())),
        Row::Grant(g) => (grant, vec![g.member.clone()], g.permission.to_string(), Some(g.target.clone())),
        Row::Related(r) => {
            let target = Target::Record(r.object.clone(), r.record.clone());
            (relation, vec![r.member.clone()], r.relation.to_string(), Some(target))
        }
        Row::Activation(a) => {
            (StepKind::EndEmergencyAccess, vec![Member::User(a.user.clone())], a.id.to_string(), None)
        }
        _ => (StepKind::Unspecified, Vec::new(), row.key().describe(), None),
    }
}
