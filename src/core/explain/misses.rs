//! A deny's nearest misses: what would have allowed, but for one thing.

use crate::core::condition::timestamp_text;
use crate::core::decision::{FoundRecord, Reason};
use crate::core::edge::{Edge, GROUP_MEMBER, Unpacked, of_relation, relation_of, unpack};
use crate::core::id::Id;
use crate::core::model::{Effect, Level, Member, Related, Relation, Target};

use super::held::{Asked, Held, Lack, Place};
use super::{Miss, Path, Proof, Said, Source};

impl Proof<'_, '_> {
    /// At most [`Proof::max_paths`], nearest first.
    pub(super) fn misses(&self, reason: Reason, asked: Asked, truncated: &mut bool) -> Vec<Miss> {
        let mut misses = match (reason, &self.walk.record) {
            (Reason::Allowed | Reason::Restricted | Reason::InvitePolicy, _) => Vec::new(),
            (Reason::NoPermission | Reason::SeparationOfDuties, _) => self.without_permission(asked, truncated),
            (Reason::NotVisible, Some(record)) => self.unseen(record),
            (Reason::NotApprover, Some(record)) => self.approvers(record),
            _ => self.refused(reason, asked, truncated),
        };
        *truncated |= misses.len() > self.max_paths;
        misses.truncate(self.max_paths);
        misses
    }

    /// Rules 4.2 to 4.4: what the principal could do, were it not for its status or the object.
    fn refused(&self, reason: Reason, asked: Asked, truncated: &mut bool) -> Vec<Miss> {
        let paths = self.paths(&self.held(asked, false).held, truncated);
        let lacks = self.refusal(reason);
        paths.into_iter().map(|path| Miss { path, lacks: lacks.clone() }).collect()
    }

    fn refusal(&self, reason: Reason) -> String {
        match reason {
            Reason::PrincipalInvited => "the user has not completed the registration".to_owned(),
            Reason::PrincipalInactive => "the principal is deactivated".to_owned(),
            Reason::PrincipalLimited => "the user is limited to the channel `email`".to_owned(),
            Reason::ReauthenticationRequired => {
                "the user has to authenticate again: when it last did is too long ago, in the future or not given"
                    .to_owned()
            }
            _ => self.walk.closed().unwrap_or_else(|| "the element is not listed".to_owned()),
        }
    }

    fn without_permission(&self, asked: Asked, truncated: &mut bool) -> Vec<Miss> {
        let found = self.held(asked, true);
        *truncated |= !found.all;
        let mut misses = self.lacking_one(&found.held, asked);
        let twin = asked.permission != self.permission.number && !self.walk.table.is_inviting(self.permission);
        if twin {
            let own = Asked { permission: self.permission.number, level: self.permission.level };
            let lacks = self.not_the_owner(asked);
            let paths = self.paths(&self.held(own, false).held, truncated);
            misses.extend(paths.into_iter().map(|path| Miss { path, lacks: lacks.clone() }));
        }
        if misses.len() <= self.max_paths {
            misses.extend(self.given_to_others(asked));
        }
        misses
    }

    /// What the principal holds that lacks one thing only, by its shortest path.
    fn lacking_one(&self, held: &[Held], asked: Asked) -> Vec<Miss> {
        let mut near: Vec<(u8, &Held, Lack)> = held
            .iter()
            .filter_map(|held| match held.lacks.as_slice() {
                [lack] => Some((remoteness(*lack), held, *lack)),
                _ => None,
            })
            .collect();
        // Stable: the nearer groups came first.
        near.sort_by_key(|(remoteness, ..)| *remoteness);
        let miss = |(_, held, lack): (u8, &Held, Lack)| {
            let groups = held.group.map_or(Some(Vec::new()), |g| self.above.shortest(g))?;
            Some(Miss { path: self.path(held, &groups)?, lacks: self.words(held, lack, asked) })
        };
        near.into_iter().take(self.max_paths + 1).filter_map(miss).collect()
    }

    fn words(&self, held: &Held, lack: Lack, asked: Asked) -> String {
        match lack {
            Lack::Expired(_) | Lack::NotYet(_) => period_words(lack).unwrap_or_default(),
            Lack::Elsewhere => self.elsewhere(&held.place),
            Lack::Narrow => {
                let name = self.walk.table.permission_slot(asked.permission).map_or("", |s| s.row.name.as_str());
                let from = match asked.level {
                    Level::Organization => "at the organization",
                    Level::Account => "at an account or the organization",
                    Level::Object => "anywhere",
                };
                format!("`{name}` takes effect only where it is held {from}")
            }
            Lack::Void(constraint) => self.void_words(constraint),
            Lack::Unusable(relation) => {
                let group = held.group.and_then(|g| self.group(g)).map_or_else(String::new, |m| m.to_string());
                format!(
                    "`{group}` is not usable as {relation}: its flag `{}` is off",
                    relation.flag().unwrap_or_default()
                )
            }
        }
    }

    /// The separation constraints that void something that is held, and by which paths they are broken.
    pub(super) fn separated(&self, held: &[Held]) -> Vec<(Id, Vec<Path>)> {
        let voids = |n: &u32| held.iter().any(|h| h.lacks == [Lack::Void(*n)]);
        let table = self.walk.table;
        let separated = self.broken.iter().filter(|n| voids(n)).filter_map(|n| {
            let slot = table.denying.as_ref()?.constraint(*n)?;
            let record = self.walk.record.as_ref().and_then(|r| Some((self.walk.object?.0, r.record.id)));
            let place = (self.targets(), record);
            let paths = table.roles_here(slot, self.walk.question.principal, (&place.0, place.1), self.walk.now);
            Some((slot.row.id.clone(), paths))
        });
        separated.collect()
    }

    fn void_words(&self, constraint: u32) -> String {
        let denying = self.walk.table.denying.as_ref();
        let Some(slot) = denying.and_then(|denying| denying.constraint(constraint)) else { return String::new() };
        format!(
            "void by the separation constraint `{}`: more than {} of its roles are held here",
            slot.row.id, slot.row.max
        )
    }

    fn elsewhere(&self, place: &Place) -> String {
        let target = self.target(place).map_or_else(String::new, |t| t.to_string());
        let asked = match place {
            Place::At(at) => match unpack(*at) {
                Unpacked::Account(_) => {
                    let account = self.account().and_then(|n| self.walk.table.account_slot(n));
                    account.map_or("no account".to_owned(), |s| Target::Account(s.row.id.clone()).to_string())
                }
                _ => {
                    let object = self.walk.object.map(|(_, s)| Target::Object(s.row.id.clone()).to_string());
                    object.unwrap_or_else(|| "no object".to_owned())
                }
            },
            Place::Record(_) => {
                self.walk.record.as_ref().map_or("no record".to_owned(), |r| format!("record `{}`", r.record.id))
            }
        };
        format!("held at {target}; the question is about {asked}")
    }

    /// Rule 4.6.
    fn not_the_owner(&self, asked: Asked) -> String {
        let name = |number| self.walk.table.permission_slot(number).map_or("", |s| s.row.name.as_str());
        let owner = self.walk.record.as_ref().map_or("", |r| r.record.owner);
        let owned = if owner.is_empty() { "has no owner".to_owned() } else { format!("belongs to `{owner}`") };
        format!(
            "gives `{}` on the principal's own records only; this one {owned}, so `{}` is asked",
            name(self.permission.number),
            name(asked.permission)
        )
    }

    /// What was given here to groups and users that the principal is not. What users hold directly
    /// is known for records only.
    fn given_to_others(&self, asked: Asked) -> Vec<Miss> {
        let path = |(held, member): (Held, Member)| {
            let source = self.source(&held, member.clone())?;
            Some(Miss { lacks: not(&member), path: Path { members: vec![member], source, pattern: held.pattern } })
        };
        self.others(asked).into_iter().filter_map(path).collect()
    }

    /// The same, and who holds it.
    pub(super) fn others(&self, asked: Asked) -> Vec<(Held, Member)> {
        let mut held = Vec::new();
        for target in self.targets() {
            let Some(holdings) = self.walk.table.holdings_at(target) else { continue };
            for bundle in holdings.shape.bundles_with(asked.permission) {
                let start = holdings.edges.partition_point(|e| e.bundle < *bundle);
                let of_bundle = holdings.edges.get(start..).unwrap_or(&[]).iter().take_while(|e| e.bundle == *bundle);
                let others = of_bundle.filter(|e| !self.above.contains(e.at));
                let others =
                    others.filter_map(|e| Some((self.at_target(Some(e.at), target, *e, asked)?, self.group(e.at)?)));
                held.extend(others.filter(|(held, _)| held.lacks.is_empty()).take(self.max_paths + 1));
            }
        }
        if asked.level == Level::Object {
            held.extend(self.given_to_others_at_record(asked));
        }
        held
    }

    fn given_to_others_at_record(&self, asked: Asked) -> Vec<(Held, Member)> {
        let mut others = Vec::new();
        for (edge, member) in self.others_at_record() {
            let relation = relation_of(edge.bundle);
            let group = (edge.at & GROUP_MEMBER != 0).then_some(edge.at & !GROUP_MEMBER);
            let flag_is_off = relation.is_some_and(|r| self.unusable(group, r).is_some());
            if flag_is_off || !edge.in_effect(self.walk.now) {
                continue;
            }
            for bundle in self.given_by(edge.bundle) {
                let (Some(pattern), Some(place)) = (self.covering(bundle, asked.permission), self.record()) else {
                    continue;
                };
                let lacks = Vec::new();
                let held = Held { group, bundle, relation, by_rule: false, place, edge, pattern: Some(pattern), lacks };
                others.push((held, member.clone()));
            }
        }
        others
    }

    /// Rule 6.4: what would show the record, but for one thing; nothing, if it would be hidden even so.
    fn unseen(&self, record: &FoundRecord<'_>) -> Vec<Miss> {
        let said = self.policies(record);
        let restricts = |said: Said| matches!(said, Said::Matched | Said::Error);
        if said.iter().any(|p| p.effect == Effect::Restrict && restricts(p.said)) {
            return Vec::new();
        }
        let asked = Asked { permission: self.permission.number, level: Level::Object };
        let mut misses = self.lacking_one(&self.held_showing(record), asked);
        let policies = self.walk.object.map_or(&[][..], |(_, object)| &object.policies);
        let allow = policies.iter().filter(|p| p.row.effect == Effect::Allow);
        for policy in allow.filter(|p| !self.walk.table.concerns(p, &self.found) && self.matches(p, record)) {
            let suspended = said.iter().find(|s| s.policy == policy.row.id);
            let Some(first) = policy.row.members.first() else { continue };
            let (members, lacks) = match suspended {
                Some(said) => (said.members.clone(), said.detail.clone()),
                None => {
                    (vec![first.clone()], format!("the policy would show the record: {}", not_any(&policy.row.members)))
                }
            };
            let path = Path { members, source: Source::Policy(policy.row.id.clone()), pattern: None };
            misses.push(Miss { path, lacks });
        }
        misses
    }

    /// Rule 4.7: who approves the record, of whom the principal is none.
    fn approvers(&self, record: &FoundRecord<'_>) -> Vec<Miss> {
        let asked = Asked { permission: self.permission.number, level: Level::Object };
        let mut misses = self.lacking_one(&self.held_approving(record), asked);
        let others = self.others_at_record();
        let approve = others.into_iter().filter(|(e, _)| e.bundle == of_relation(Relation::Approver));
        misses.extend(approve.filter_map(|(_, member)| {
            let Some(Target::Record(object, record)) = self.target(&self.record()?) else { return None };
            let relation = Related { relation: Relation::Approver, member: member.clone(), object, record };
            let path = Path { members: vec![member.clone()], source: Source::Relation(relation), pattern: None };
            Some(Miss { path, lacks: not(&member) })
        }));
        misses
    }

    /// What others than the principal and its groups have at the record.
    pub(super) fn others_at_record(&self) -> Vec<(Edge, Member)> {
        let (Some(record), Some((object, _))) = (&self.walk.record, self.walk.object) else { return Vec::new() };
        let edges = self.walk.table.record_edges(object, record.record.id);
        edges.into_iter().filter(|(e, _)| self.holder(e.at).is_none()).collect()
    }
}

/// What was nearly enough comes before what is somewhere else.
fn remoteness(lack: Lack) -> u8 {
    match lack {
        Lack::Expired(_) | Lack::NotYet(_) | Lack::Void(_) => 0,
        Lack::Unusable(_) => 1,
        Lack::Narrow => 2,
        Lack::Elsewhere => 3,
    }
}

/// What a period lacks; none of what lacks something else.
pub(super) fn period_words(lack: Lack) -> Option<String> {
    match lack {
        Lack::Expired(at) => Some(format!("expired at {}", timestamp_text(at))),
        Lack::NotYet(at) => Some(format!("starts at {} only", timestamp_text(at))),
        Lack::Elsewhere | Lack::Narrow | Lack::Unusable(_) | Lack::Void(_) => None,
    }
}

fn not(member: &Member) -> String {
    match member {
        Member::Group(id) => format!("the principal is not a member of group `{id}`"),
        member => format!("the principal is not `{member}`"),
    }
}

fn not_any(members: &[Member]) -> String {
    const SHOWN: usize = 5;
    let mut names: Vec<String> = members.iter().take(SHOWN).map(|m| format!("`{m}`")).collect();
    if members.len() > SHOWN {
        names.push(format!("{} others", members.len() - SHOWN));
    }
    format!("the principal is none of {}", names.join(", "))
}
