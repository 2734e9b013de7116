//! One change that may be part of a smallest one: what it does to a version, and what it is called.

use std::fmt;
use std::sync::Arc;

use crate::core::administrators;
use crate::core::change::{Applied, Change, apply_at};
use crate::core::id::{Domain, Id, OpaqueId};
use crate::core::lists::SuperOrganization;
use crate::core::model::{
    Assignment, Grant, InvitePolicy, Key, Member, Millis, Period, Policy, Related, Row, SafelistElement, Status,
    Visibility,
};
use crate::core::table::Table;

/// One change, told so that it can be made.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A user or service account comes to another status (rule 2.2).
    Status {
        /// Whose.
        member: Member,
        /// From which.
        from: Status,
        /// To which.
        to: Status,
    },
    /// The user authenticates again, and the question is asked with when (rule 4.3).
    Authenticate(Member),
    /// An element leaves the denylist of the super-organization (rule 7.2).
    Undeny {
        /// Of which.
        super_organization: Id,
        /// Which element.
        element: Id,
    },
    /// An element joins the safelist (rule 7.2).
    Safelist(Id),
    /// An element is private no longer (rule 1.3).
    Unprivate(Id),
    /// A user moves to another account.
    Move {
        /// Who.
        user: OpaqueId,
        /// Where to.
        account: Id,
    },
    /// A principal joins a manual group.
    Join {
        /// Who.
        member: Member,
        /// Which group.
        group: Id,
        /// What comes with the group, for people.
        because: String,
    },
    /// A principal leaves a manual group.
    Leave {
        /// Who.
        member: Member,
        /// Which group.
        group: Id,
        /// What goes with the group, for people.
        because: String,
    },
    /// An assignment, a grant or a relation is made.
    Give(Row),
    /// An assignment or a grant has effect from now on, without end.
    Extend {
        /// As it is to be.
        row: Row,
        /// What it lacks, for people.
        lacks: String,
    },
    /// An assignment or a relation is taken away, an activation ended.
    Take(Row),
    /// A group becomes usable for a purpose (rule 2.9).
    Flag {
        /// Which group.
        group: Id,
        /// Its flag, as files name it.
        flag: &'static str,
    },
    /// A user is named by a data-access policy.
    Name {
        /// Which policy.
        policy: Id,
        /// Who.
        member: Member,
    },
    /// Members are no longer named by a data-access policy, which ends with its last one.
    Unname {
        /// Which policy.
        policy: Id,
        /// Who.
        members: Vec<Member>,
    },
    /// The invite policy (rule 7.1) admits this domain too; every domain, if none is named.
    Invite(Option<Domain>),
}

impl Step {
    /// The version after it. None: it is refused, or changes nothing.
    pub(super) fn after(&self, table: &Table, now: Millis) -> Option<Table> {
        match self {
            Self::Authenticate(_) => Some(table.clone()),
            Self::Undeny { element, .. } => Some(table.under(Some(&without(table.over()?, element)))),
            _ => applied(table, self.changes(table, now)?, now),
        }
    }

    /// The changes of a version's rows that it consists of. None: what it is about is not there.
    pub(super) fn changes(&self, table: &Table, now: Millis) -> Option<Vec<Change>> {
        let update = |row| Some(vec![Change::Update { row, etag: None }]);
        match self {
            Self::Authenticate(_) | Self::Undeny { .. } => Some(Vec::new()),
            Self::Status { member, to, .. } => update(with_status(table, member, *to)?),
            Self::Safelist(element) => {
                let element = element.clone();
                Some(vec![Change::Create(Row::SafelistElement(SafelistElement { element }))])
            }
            Self::Unprivate(element) => {
                let mut row = table.object_row(element)?.clone();
                row.private_to = None;
                update(Row::Object(row))
            }
            Self::Move { user, account } => match table.row(&Key::User(user.clone()))? {
                Row::User(mut row) => {
                    row.account = account.clone();
                    update(Row::User(row))
                }
                _ => None,
            },
            Self::Join { member, group, .. } => {
                Some(vec![Change::AddMembers { group: group.clone(), members: vec![member.clone()] }])
            }
            Self::Leave { member, group, .. } => {
                Some(vec![Change::RemoveMembers { group: group.clone(), members: vec![member.clone()] }])
            }
            Self::Give(row) => Some(vec![Change::Create(row.clone())]),
            Self::Extend { row, .. } => update(row.clone()),
            Self::Take(Row::Activation(activation)) => update(Row::Activation(activation.clone().ended(now))),
            Self::Take(row) => Some(vec![Change::Delete { keys: vec![row.key()], etag: None }]),
            Self::Flag { group, flag } => {
                let mut row = table.group_row(group)?;
                *flag_of(&mut row.visibility, flag)? = true;
                update(Row::Group(row))
            }
            Self::Name { policy, member } => {
                let mut row = table.policy_slot(policy)?.row.clone();
                row.members.push(member.clone());
                update(Row::Policy(row))
            }
            Self::Unname { policy, members } => Some(vec![unnamed(&table.policy_slot(policy)?.row, members)]),
            Self::Invite(domain) => {
                let mut row = (**table.settings()?).clone();
                match (&mut row.invite_policy, domain) {
                    (InvitePolicy::AllowedDomains(domains), Some(domain)) => domains.push(domain.clone()),
                    (policy, _) => *policy = InvitePolicy::AnyDomain,
                }
                update(Row::Settings(row))
            }
        }
    }
}

/// The version after these changes, unless they are refused: by the model, by a separation constraint
/// (rule 7.3), or because nobody could administer then (rule 3.7).
pub(super) fn applied(table: &Table, changes: Vec<Change>, now: Millis) -> Option<Table> {
    let Applied { table: after, effects, .. } = apply_at(table, changes, now).ok()?;
    let refused = effects.is_empty() || administrators::last_goes(table, &after, &effects, now);
    (!refused).then_some(after)
}

/// A super-organization with one element less on its denylist.
pub(super) fn without(over: &Arc<SuperOrganization>, element: &Id) -> Arc<SuperOrganization> {
    let mut over = SuperOrganization::clone(over);
    over.denylist.remove(element);
    Arc::new(over)
}

/// The row of a principal of another status, with what was pending if its registration is completed (2.3).
fn with_status(table: &Table, member: &Member, to: Status) -> Option<Row> {
    let row = match member {
        Member::User(id) => table.row(&Key::User(id.clone()))?,
        Member::Service(id) => table.row(&Key::Service(id.clone()))?,
        Member::Group(_) => return None,
    };
    Some(match row {
        Row::User(mut user) => {
            let pending = std::mem::take(&mut user.pending_groups);
            if user.status == Status::Invited {
                user.groups.extend(pending);
            }
            (user.status, user.status_before) = (to, None);
            Row::User(user)
        }
        Row::Service(mut service) => {
            service.status = to;
            Row::Service(service)
        }
        row => row,
    })
}

fn unnamed(policy: &Policy, members: &[Member]) -> Change {
    let mut row = policy.clone();
    row.members.retain(|m| !members.contains(m));
    if row.members.is_empty() {
        return Change::Delete { keys: vec![Key::Policy(row.id)], etag: None };
    }
    Change::Update { row: Row::Policy(row), etag: None }
}

fn flag_of<'v>(flags: &'v mut Visibility, name: &str) -> Option<&'v mut bool> {
    match name {
        "mentionable" => Some(&mut flags.mentionable),
        "watchable" => Some(&mut flags.watchable),
        "assignable" => Some(&mut flags.assignable),
        "approver" => Some(&mut flags.approver),
        "data_access" => Some(&mut flags.data_access),
        _ => None,
    }
}

/// What is to be done, such as "add `user:ana` to group `risk`, which holds role `reviewer` at object
/// `vendor-risk`".
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { member, from: Status::Invited, .. } => write!(f, "complete the registration of `{member}`"),
            Self::Status { member, from: Status::Limited, .. } => write!(f, "lift the limit of `{member}` to e-mail"),
            Self::Status { member, to: Status::Limited, .. } => {
                write!(f, "activate `{member}`, which makes it limited again")
            }
            Self::Status { member, .. } => write!(f, "activate `{member}`"),
            Self::Authenticate(member) => write!(f, "let `{member}` authenticate again, and say when it did"),
            Self::Undeny { super_organization, element } => {
                write!(f, "take element `{element}` off the denylist of super-organization `{super_organization}`")
            }
            Self::Safelist(element) => write!(f, "put element `{element}` on the safelist"),
            Self::Unprivate(element) => write!(f, "make element `{element}` private to nobody"),
            Self::Move { user, account } => write!(f, "move `user:{user}` to account `{account}`"),
            Self::Join { member, group, because } => write!(f, "add `{member}` to group `{group}`, which {because}"),
            Self::Leave { member, group, because } => write!(f, "take `{member}` out of group `{group}`, {because}"),
            Self::Give(Row::Assignment(Assignment { role, member, target, .. })) => {
                write!(f, "assign role `{role}` to `{member}` at {target}")
            }
            Self::Give(Row::Grant(Grant { permission, member, target, .. })) => {
                write!(f, "grant `{permission}` to `{member}` at {target}")
            }
            Self::Give(Row::Related(Related { relation, member, object, record })) => {
                write!(f, "relate `{member}` as {relation} to record `{record}` of object `{object}`")
            }
            Self::Extend { row, lacks } => write!(f, "extend {}, which {lacks}", named(row)),
            Self::Take(row @ Row::Activation(_)) => write!(f, "end {}", named(row)),
            Self::Take(row) => write!(f, "take away {}", named(row)),
            Self::Give(row) => write!(f, "create {}", named(row)),
            Self::Flag { group, flag } => write!(f, "set the flag `{flag}` of group `{group}`"),
            Self::Name { policy, member } => write!(f, "name `{member}` in policy `{policy}`"),
            Self::Unname { policy, members } => {
                let members: Vec<String> = members.iter().map(|m| format!("`{m}`")).collect();
                write!(f, "take {} out of policy `{policy}`", members.join(" and "))
            }
            Self::Invite(Some(domain)) => write!(f, "let the invite policy admit domain `{domain}`"),
            Self::Invite(None) => f.write_str("let the invite policy admit every domain"),
        }
    }
}

fn named(row: &Row) -> String {
    match row {
        Row::Assignment(a) => format!("role `{}` of `{}` at {}", a.role, a.member, a.target),
        Row::Grant(g) => format!("the grant of `{}` to `{}` at {}", g.permission, g.member, g.target),
        Row::Related(r) => {
            format!("the relation {} of `{}` to record `{}` of object `{}`", r.relation, r.member, r.record, r.object)
        }
        Row::Activation(a) => format!("activation `{}` of role `{}` at {}", a.id, a.role, a.target),
        row => row.key().describe(),
    }
}

/// The row with effect from now on: what is over has no end, what has not begun no beginning.
pub(super) fn extended(row: Row, now: Millis) -> Option<Row> {
    let open = |period: Period| Period {
        starts_at: period.starts_at.filter(|at| *at <= now),
        expires_at: period.expires_at.filter(|at| now < *at),
    };
    match row {
        Row::Assignment(a) => Some(Row::Assignment(Assignment { period: open(a.period), ..a })),
        Row::Grant(g) => Some(Row::Grant(Grant { period: open(g.period), ..g })),
        _ => None,
    }
}
