//! Steps by which a permission would come to be held (rules 4.5 and 4.9).

use crate::core::decision::Reason;
use crate::core::edge::relation_of;
use crate::core::explain::held::{Asked, Held, Lack, Place, level_of};
use crate::core::explain::misses::period_words;
use crate::core::explain::{Proof, Source};
use crate::core::id::{Id, Pattern};
use crate::core::model::{
    Assignment, Grant, GroupKind, InvitePolicy, Level, Member, Period, Related, Relation, Row, Scope, Target,
};
use crate::core::presets::ORGANIZATION_ADMIN;
use crate::core::table::{self, Bundle};

use super::{Candidate, DIRECT, EDGE, NOTHING, OTHERS, Step, Weight, step};

/// Roles that are looked at, those with the fewest permissions first.
const MAX_ROLES: usize = 20;
/// Roles whose permissions are counted for that, the oldest first.
const MAX_COUNTED: usize = 1_000;

impl Proof<'_, '_> {
    /// Rule 4.5.
    pub(super) fn gains(&self, reason: Reason) -> Vec<Candidate> {
        self.asked(reason).map_or_else(Vec::new, |asked| self.gains_of(asked))
    }

    /// Rule 4.9: another policy, or to administer.
    pub(super) fn invitations(&self) -> Vec<Candidate> {
        let admit = |domain, more| Candidate { weight: [EDGE, 0, more, 0, 0], step: Step::Invite(domain) };
        let mut all = vec![admit(None, 1)];
        if let Some(settings) = self.walk.table.settings()
            && let InvitePolicy::AllowedDomains(_) = &settings.invite_policy
            && let Some((_, domain)) = self.walk.question.context.invitee_email.rsplit_once('@')
        {
            let own = settings.email_domains.iter().find(|d| d.domain.as_str().eq_ignore_ascii_case(domain));
            all.extend(own.map(|own| admit(Some(own.domain.clone()), 0)));
        }
        if let Some(admin) = self.walk.table.permission(ORGANIZATION_ADMIN) {
            all.extend(self.gains_of(Asked { permission: admin.number, level: admin.level }));
        }
        all
    }

    fn gains_of(&self, asked: Asked) -> Vec<Candidate> {
        let mut all = self.nearly(&self.held(asked, false).held);
        all.extend(self.joins(asked));
        let contains = |bundle: &Bundle| bundle.set.contains(asked.permission);
        all.extend(self.roles(contains, &self.targets_from(asked.level)));
        let name = self.walk.table.permission_slot(asked.permission).map(|slot| slot.row.name.as_str());
        let narrowest = self.targets_from(asked.level).into_iter().next();
        all.extend(name.zip(narrowest).and_then(|(name, target)| self.grant(name, target)));
        all
    }

    /// What is held here and out of time, or by a group that is not usable.
    pub(super) fn nearly(&self, held: &[Held]) -> Vec<Candidate> {
        let near = |held: &Held| {
            let [lack] = held.lacks.as_slice() else { return None };
            let member = match held.group {
                Some(group) => self.group(group)?,
                None => self.principal()?,
            };
            match lack {
                Lack::Expired(_) | Lack::NotYet(_) => {
                    let row = match self.source(held, member)? {
                        Source::Assignment(row) => Row::Assignment(row),
                        Source::Grant(row) => Row::Grant(row),
                        _ => return None,
                    };
                    let row = step::extended(row, self.walk.now)?;
                    let lacks = period_words(*lack)?;
                    let others = usize::from(held.group.is_some());
                    Some(Candidate { weight: [NOTHING, 0, others, 0, 0], step: Step::Extend { row, lacks } })
                }
                Lack::Unusable(relation) => {
                    let Member::Group(group) = member else { return None };
                    let flag = relation.flag()?;
                    Some(Candidate { weight: [OTHERS, 0, 0, 0, 0], step: Step::Flag { group, flag } })
                }
                Lack::Elsewhere | Lack::Narrow | Lack::Void(_) => None,
            }
        };
        held.iter().filter_map(near).collect()
    }

    /// Groups to join that hold it here.
    fn joins(&self, asked: Asked) -> Vec<Candidate> {
        let others = self.others(asked).into_iter();
        others.filter_map(|(held, _)| self.join(&held)).collect()
    }

    /// The group that holds something, to be joined.
    pub(super) fn join(&self, held: &Held) -> Option<Candidate> {
        let bundle = self.walk.table.bundle(held.bundle)?;
        let weight = [EDGE, size(bundle), 0, breadth(&self.target(&held.place)?), self.places(held.group?)];
        self.join_group(held.group?, weight, self.holding(held)?)
    }

    /// A manual group to be joined.
    pub(super) fn join_group(&self, group: u32, weight: Weight, because: String) -> Option<Candidate> {
        let row = &self.walk.table.group_slot(group)?.row;
        let member = self.principal()?;
        (row.kind == GroupKind::Manual)
            .then(|| Candidate { weight, step: Step::Join { member, group: row.id.clone(), because } })
    }

    /// At how many places a group holds something.
    pub(super) fn places(&self, group: u32) -> usize {
        self.walk.table.group_slot(group).map_or(0, |slot| slot.held.len())
    }

    /// Roles to be assigned at the first of these targets that they can be, or shared by a relation.
    pub(super) fn roles(&self, wanted: impl Fn(&Bundle) -> bool, targets: &[Target]) -> Vec<Candidate> {
        let table = self.walk.table;
        let roles = table.bundles.iter().filter_map(|bundle| match &bundle.as_ref()?.source {
            table::Source::Role { row, .. } => Some((bundle.as_ref()?, row)),
            table::Source::Grant(_) | table::Source::Activation(_) => None,
        });
        let here = |tied: &Id| self.walk.object.is_some_and(|(_, slot)| slot.row.id == *tied);
        let mut roles: Vec<_> = roles
            .filter(|(bundle, row)| wanted(bundle) && row.object.as_ref().is_none_or(here))
            .take(MAX_COUNTED)
            .map(|(bundle, row)| (size(bundle), row))
            .collect();
        roles.sort_by_key(|(size, row)| (*size, &row.id));
        let mut all = Vec::new();
        for (size, row) in roles.into_iter().take(MAX_ROLES) {
            for target in targets.iter().filter(|t| row.scope == scope(t)) {
                let (role, by_hand) = (row.id.clone(), row.is_system());
                let Some(member) = self.principal() else { continue };
                let weight = [EDGE, size, 1, breadth(target), 0];
                let period = Period::default();
                let row = Row::Assignment(Assignment { role, member, target: target.clone(), period, by_hand });
                all.extend(self.give(row, weight));
            }
            let shares = row.auto_share.iter().filter_map(|relation| self.relation(*relation));
            all.extend(shares.filter_map(|row| self.give(row, [EDGE, size, 2, 0, 0])));
        }
        all
    }

    /// A permission to be granted directly.
    pub(super) fn grant(&self, name: &str, target: Target) -> Option<Candidate> {
        let (permission, member) = (Pattern::parse(name).ok()?, self.principal()?);
        let weight = [DIRECT, 1, 0, breadth(&target), 0];
        self.give(Row::Grant(Grant { permission, member, target, period: Period::default() }), weight)
    }

    /// A row to be put, if there is none of its key.
    pub(super) fn give(&self, row: Row, weight: Weight) -> Option<Candidate> {
        self.walk.table.row(&row.key()).is_none().then_some(Candidate { weight, step: Step::Give(row) })
    }

    /// The user's relation to the record. Service accounts can have none.
    pub(super) fn relation(&self, relation: Relation) -> Option<Row> {
        let member = self.principal().filter(|m| matches!(m, Member::User(_)))?;
        let Some(Target::Record(object, record)) = self.record().and_then(|place| self.target(&place)) else {
            return None;
        };
        Some(Row::Related(Related { relation, member, object, record }))
    }

    /// The targets of the question from which a permission of that level takes effect, narrowest first.
    fn targets_from(&self, level: Level) -> Vec<Target> {
        let record = self.record().filter(|_| level == Level::Object);
        let targets = self.targets().into_iter().rev().filter(|t| level_of(*t) >= level).map(Place::At);
        record.into_iter().chain(targets).filter_map(|place| self.target(&place)).collect()
    }

    /// What a holder holds, such as "holds role `reviewer` at object `vendor-risk`".
    pub(super) fn holding(&self, held: &Held) -> Option<String> {
        let table = self.walk.table;
        let target = self.target(&held.place)?;
        Some(match &table.bundle(held.bundle)?.source {
            table::Source::Role { row, .. } => match relation_of(held.edge.bundle) {
                Some(relation) => format!("has role `{}` as {relation} of {target}", row.id),
                None => format!("holds role `{}` at {target}", row.id),
            },
            table::Source::Grant(pattern) => format!("holds a grant of `{pattern}` at {target}"),
            table::Source::Activation(_) => return None,
        })
    }
}

fn size(bundle: &Bundle) -> usize {
    bundle.set.iter().count()
}

/// How much lies at a target.
fn breadth(target: &Target) -> usize {
    match target {
        Target::Record(..) => 0,
        Target::Object(_) => 1,
        Target::Account(_) => 2,
        Target::Organization => 3,
    }
}

fn scope(target: &Target) -> Scope {
    match target {
        Target::Organization => Scope::Organization,
        Target::Account(_) => Scope::Account,
        Target::Object(_) | Target::Record(..) => Scope::Object,
    }
}
