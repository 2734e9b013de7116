//! Why a decision came out as it did (rule 4.11).
//!
//! The decision itself is [`Walk::ask`]'s (INVARIANT 3); what is made here is its proof, for people:
//!
//! ```text
//! ways    from the principal up through its groups, shortest first
//! held    what the principal holds that contains a permission, and what each of these lacks here
//! misses  a deny's nearest misses: what lacks one thing, and what others were given
//! said    what each data-access policy said of the record, and the values it saw (seen)
//! smallest  of a deny, the smallest changes after which it would be allowed
//! ```
//!
//! What lacks nothing gives the permission: then there is a path for each way to its holder. An
//! example: `user:ana` may read tasks because of the path `user:ana` → `group:risk` → role `reviewer`
//! at object `vendor-risk` → `tasks.read`.
//!
//! Bounded: as many paths, near misses and policies as are asked for or exist at one object, the
//! principal's own holdings and those of its groups ([`MAX_LOOKED_AT`] of those elsewhere); never the
//! users, and of an object's records [`MAX_RECORDS`].
//!
//! The alternative that lost: a walk that takes notes while it decides. It would have to go on after
//! the first thing that allows, and look where a decision has no reason to look.

mod held;
mod misses;
mod said;
mod seen;
pub mod smallest;
pub(super) mod ways;

use super::decision::{Problems, Question, Reason, Walk, decide};
use super::id::{Id, OpaqueId, Pattern, PermissionName};
use super::model::{Activation, Assignment, Effect, Grant, Level, Member, Millis, Related};
use super::presets::ORGANIZATION_ADMIN;
use super::principal::PrincipalFound;
use super::table::{PermissionRef, Table};

use held::{Asked, Held};
use ways::Above;

/// How many of the targets that groups hold something at are looked at for near misses.
pub const MAX_LOOKED_AT: usize = 100_000;
/// How many of an object's records are looked at for near misses.
pub const MAX_RECORDS: usize = 1_000;

/// A decision and its proof.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The decision: the same that [`decide`] gives.
    pub reason: Reason,
    /// The principal, as it is written in full. Of an unknown one too.
    pub principal: Option<Member>,
    /// The permission asked, an alias resolved.
    pub permission: PermissionName,
    /// The permission that rule 4.5 asked for: that, or the one that stands in for it (rule 4.6).
    pub asked: PermissionName,
    /// The level from which that one takes effect (rule 3.1).
    pub level: Level,
    /// The paths in effect that give it, shortest first: some, exactly if rule 4.5 passed.
    pub paths: Vec<Path>,
    /// What is held at the very record, which makes it visible (rule 6.4). Only where visibility was
    /// asked.
    pub shown_by: Vec<Path>,
    /// By which relations the principal is an approver of the record (rule 4.7). Only where that was
    /// asked.
    pub approver_by: Vec<Path>,
    /// What closes the element to the principal (rule 4.4), in words. Only where that decided.
    pub closed: Option<String>,
    /// The policies that concern the principal and what they say of the record, in the order of
    /// their ids. Only where visibility was asked.
    pub policies: Vec<PolicySaid>,
    /// For a deny: what would have allowed but for one thing, nearest first.
    pub misses: Vec<Miss>,
    /// The separation constraints that void a path (rule 4.5), each with the shortest path to every one
    /// of its roles that the principal holds there.
    pub separated: Vec<(Id, Vec<Path>)>,
    /// Whether there are more paths or near misses.
    pub truncated: bool,
}

/// How a principal comes to hold something.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// The principal, then groups, each of which is a direct member of the next; the last holds the
    /// source. What is not the principal's begins with whom it was given to.
    pub members: Vec<Member>,
    /// What gives the permission.
    pub source: Source,
    /// The entry of the role or grant that covers the permission.
    pub pattern: Option<Pattern>,
}

/// What gives something.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A role assigned.
    Assignment(Assignment),
    /// A role that rule 3.6 gives: there is no such row.
    ByRule(Assignment),
    /// A pattern given directly.
    Grant(Grant),
    /// A role shared by a relation (rule 5.2).
    AutoShare {
        /// Which role.
        role: Id,
        /// By which relation.
        relation: Related,
    },
    /// A role activated in an emergency (rule 7.4).
    Activation(Activation),
    /// A relation as such.
    Relation(Related),
    /// A data-access policy.
    Policy(Id),
}

/// A path that would have allowed, but for one thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Miss {
    /// The path.
    pub path: Path,
    /// What it lacks, in words.
    pub lacks: String,
}

/// What a data-access policy said of the record.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicySaid {
    /// Its id.
    pub policy: Id,
    /// What it does.
    pub effect: Effect,
    /// From the principal through groups to the member that it names.
    pub members: Vec<Member>,
    /// What it said.
    pub said: Said,
    /// Why, with the values seen, in words.
    pub detail: String,
}

/// What came of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Said {
    /// It is about this record.
    Matched,
    /// It is about others.
    NotMatched,
    /// It could not be answered: it does not allow, but restricts (rule 6.3).
    Error,
    /// It was not asked: the principal is a member only through groups that are not usable for it
    /// (rule 2.9).
    Suspended,
}

/// The decision for one question at `now`, with up to `max_paths` paths of each kind.
///
/// # Errors
/// Rule 4.1, as [`decide`].
pub fn explain(table: &Table, question: &Question<'_>, now: Millis, max_paths: usize) -> Result<Explanation, Problems> {
    let (Some(permission), Ok(walk)) = (table.permission(question.permission), Walk::begin(table, question, now))
    else {
        // Says all that is wrong.
        return Err(decide(table, question, now).err().unwrap_or_default());
    };
    let mut explanation = begin(&walk, permission).ok_or_else(Vec::new)?;
    if let Some(found) = find(&walk) {
        Proof::new(&walk, found, permission, max_paths).write(&mut explanation);
    }
    Ok(explanation)
}

/// The decision without its proof.
fn begin(walk: &Walk<'_>, permission: PermissionRef) -> Option<Explanation> {
    // INVARIANT 3: the one walk decides; nothing below changes what it said.
    let reason = walk.ask(permission);
    let name = |number| Some(walk.table.permission_slot(number)?.row.name.clone());
    let (asked, level) = walk.asked_in_place(find(walk).as_ref(), permission, walk.record.as_ref())?;
    let (service, id) = (walk.service, walk.id);
    let principal = OpaqueId::parse(id).ok().map(if service { Member::Service } else { Member::User });
    Some(Explanation {
        reason,
        principal,
        permission: name(permission.number)?,
        asked: name(asked)?,
        level,
        paths: Vec::new(),
        closed: if reason == Reason::ElementNotListed { walk.closed() } else { None },
        shown_by: Vec::new(),
        approver_by: Vec::new(),
        policies: Vec::new(),
        misses: Vec::new(),
        separated: Vec::new(),
        truncated: false,
    })
}

/// The principal, also one that rules 4.2 to 4.4 refuse.
fn find<'a>(walk: &Walk<'a>) -> Option<PrincipalFound<'a>> {
    let (service, id) = (walk.service, walk.id);
    if service { walk.table.services.find(id) } else { walk.table.users.find(id) }
}

/// What a proof is made from.
struct Proof<'w, 'a> {
    walk: &'w Walk<'a>,
    found: PrincipalFound<'a>,
    permission: PermissionRef,
    above: Above,
    /// The separation constraints that are broken here.
    broken: Vec<u32>,
    max_paths: usize,
}

impl<'w, 'a> Proof<'w, 'a> {
    fn new(walk: &'w Walk<'a>, found: PrincipalFound<'a>, permission: PermissionRef, max_paths: usize) -> Self {
        let above = Above::of(walk.table, walk.table.groups_of(&found).iter());
        let broken = walk.broken(&found, walk.record.as_ref()).to_vec();
        Self { walk, found, permission, above, broken, max_paths }
    }

    fn write(&self, to: &mut Explanation) {
        let reason = to.reason;
        let Some(asked) = self.asked(reason) else { return };
        if let Some(slot) = self.walk.table.permission_slot(asked.permission) {
            (to.asked, to.level) = (slot.row.name.clone(), asked.level);
        }
        let passed_4_5 = matches!(
            reason,
            Reason::Allowed | Reason::NotVisible | Reason::Restricted | Reason::NotApprover | Reason::InvitePolicy
        );
        if passed_4_5 {
            let held = self.held(asked, false).held;
            to.paths = self.paths(&held, &mut to.truncated);
            if let (Some(record), true) = (&self.walk.record, self.permission.requires_visibility) {
                to.policies = self.policies(record);
                to.shown_by = self.paths(&self.held_showing(record), &mut to.truncated);
            }
            if let (Some(record), true) = (&self.walk.record, self.permission.requires_approver) {
                to.approver_by = self.paths(&self.held_approving(record), &mut to.truncated);
            }
        }
        if !self.broken.is_empty() {
            to.separated = self.separated(&self.held(asked, false).held);
        }
        if reason != Reason::Allowed {
            to.misses = self.misses(reason, asked, &mut to.truncated);
        }
    }

    /// What rule 4.5 asks for.
    fn asked(&self, reason: Reason) -> Option<Asked> {
        let (permission, level) =
            self.walk.asked_in_place(Some(&self.found), self.permission, self.walk.record.as_ref())?;
        let asked = Asked { permission, level };
        // To invite, administering would do (4.9): it may be that which is void.
        if reason == Reason::SeparationOfDuties
            && self.walk.table.is_inviting(self.permission)
            && self.separated(&self.held(asked, false).held).is_empty()
        {
            let admin = self.walk.table.permission(ORGANIZATION_ADMIN)?;
            return Some(Asked { permission: admin.number, level: admin.level });
        }
        Some(asked)
    }

    /// A path for every way to what is held and lacks nothing.
    fn paths(&self, held: &[Held], truncated: &mut bool) -> Vec<Path> {
        let giving: Vec<&Held> = held.iter().filter(|h| h.lacks.is_empty()).collect();
        let ends: Vec<Option<u32>> = giving.iter().map(|h| h.group).collect();
        let (ways, more) = self.above.ways(&ends, self.max_paths);
        *truncated |= more;
        ways.into_iter().filter_map(|way| self.path(giving.get(way.end)?, &way.groups)).collect()
    }

    fn path(&self, held: &Held, groups: &[u32]) -> Option<Path> {
        let members = self.members(groups)?;
        let source = self.source(held, members.last()?.clone())?;
        Some(Path { members, source, pattern: held.pattern.clone() })
    }

    /// The principal, then these groups.
    fn members(&self, groups: &[u32]) -> Option<Vec<Member>> {
        let groups = groups.iter().filter_map(|g| self.group(*g));
        Some(std::iter::once(self.principal()?).chain(groups).collect())
    }

    fn principal(&self) -> Option<Member> {
        let id = OpaqueId::parse(self.walk.id).ok()?;
        Some(if self.walk.service { Member::Service(id) } else { Member::User(id) })
    }

    fn group(&self, number: u32) -> Option<Member> {
        Some(Member::Group(self.walk.table.group_slot(number)?.row.id.clone()))
    }
}
