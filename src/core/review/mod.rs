//! Who holds what: reports over all principals of one version, for people who review access.
//!
//! ```text
//! Review      a version, with what each group holds and who holds something at which record
//! Holder      a principal with all that it holds, by itself or through its groups
//! access      what each principal may do where, and by which paths
//! roles       who holds a role; which roles nobody holds, which permissions nothing gives
//! unused      the same, and what was not allowed for a time
//! difference  what one version gives and another does not
//! standing    what a decision makes of it: constraints that void it, lists that close the element
//! ```
//!
//! A [`Review`] is made once and costs as much as there is held by groups and at records; then each
//! principal costs what it holds. So a report of a million principals is made one after the other, and
//! never whole.
//!
//! What is said here is what rules 4.4 and 4.5 are about: who holds something, and whether that stands. Which
//! records a data-access policy shows, rule 4.6, and that administrators may invite (4.9), are asked of a decision.

pub mod access;
pub mod difference;
pub mod roles;
mod standing;
pub mod unused;

use std::collections::HashMap;

use super::edge::{
    AT_ORGANIZATION, Edge, GROUP_MEMBER, TargetNo, Unpacked, at_account, at_object, edges, relation_of, unpack,
};
use super::explain::ways::Above;
use super::explain::{Path, Source};
use super::id::{Id, OpaqueId, Pattern};
use super::model::{Assignment, Grant, Level, Member, Millis, Period, Related, Relation, Status, Target};
use super::pages::Pages;
use super::principal::{Principal, PrincipalFound};
use super::table::{self, Table};

/// Paths that a report lists of one entry.
pub const MAX_PATHS: usize = 10;

/// What is held in one version, laid out by who holds it.
pub struct Review<'a> {
    table: &'a Table,
    when: When,
    /// At the organization, accounts and objects.
    by_group: HashMap<u32, Vec<Edge>>,
    /// At records: sorted by the member's number.
    at_records: Vec<AtRecord<'a>>,
}

/// Which periods count (rule 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Those in effect at this instant.
    At(Millis),
    /// Those that are not over at this instant.
    From(Millis),
}

struct AtRecord<'a> {
    object: u32,
    record: &'a str,
    edge: Edge,
}

/// Something held.
#[derive(Clone, Copy)]
struct Held<'a> {
    /// The group that holds it; none if the principal does.
    group: Option<u32>,
    /// What is held; of an auto-share, the role.
    bundle: u32,
    place: Place<'a>,
    edge: Edge,
    /// The relation by which it is held.
    relation: Option<Relation>,
    /// Whether rule 3.6 gives it.
    by_rule: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place<'a> {
    At(TargetNo),
    Record(u32, &'a str),
}

impl Place<'_> {
    fn level(self) -> Level {
        match self {
            Place::Record(..) => Level::Object,
            Place::At(target) => match unpack(target) {
                Unpacked::Organization => Level::Organization,
                Unpacked::Account(_) => Level::Account,
                Unpacked::Object(_) | Unpacked::Records => Level::Object,
            },
        }
    }
}

/// A principal, and all that it holds.
struct Holder<'r, 'a> {
    review: &'r Review<'a>,
    member: Member,
    above: Above,
    held: Vec<Held<'a>>,
}

impl When {
    fn counts(self, edge: &Edge) -> bool {
        match self {
            Self::At(now) => edge.in_effect(now),
            Self::From(now) => now < edge.until,
        }
    }
}

impl<'a> Review<'a> {
    /// What is held in `table`.
    #[must_use]
    pub fn of(table: &'a Table, when: When) -> Self {
        let mut by_group: HashMap<u32, Vec<Edge>> = HashMap::new();
        let accounts =
            (0u32..).zip(&table.account_slots).filter_map(|(n, s)| Some((at_account(n), &s.as_ref()?.holdings)));
        let objects =
            (0u32..).zip(&table.object_slots).filter_map(|(n, s)| Some((at_object(n), &s.as_ref()?.holdings)));
        for (at, holdings) in std::iter::once((AT_ORGANIZATION, &table.holdings)).chain(accounts).chain(objects) {
            for edge in holdings.edges.iter().filter(|e| when.counts(e)) {
                by_group.entry(edge.at).or_default().push(Edge { at, ..*edge });
            }
        }
        let objects = (0u32..).zip(&table.object_slots).filter_map(|(n, slot)| Some((n, slot.as_ref()?)));
        let records = objects.flat_map(|(object, slot)| slot.records.iter().map(move |found| (object, found)));
        let mut at_records: Vec<AtRecord<'a>> = Vec::new();
        for (object, found) in records {
            let counted = edges(found.near).filter(|e| when.counts(e));
            at_records.extend(counted.map(|edge| AtRecord { object, record: found.id, edge }));
        }
        at_records.sort_by_key(|held| (held.edge.at, held.object));
        Self { table, when, by_group, at_records }
    }

    fn at_records(&self, member: u32) -> &[AtRecord<'a>] {
        let from = self.at_records.partition_point(|held| held.edge.at < member);
        let until = self.at_records.partition_point(|held| held.edge.at <= member);
        self.at_records.get(from..until).unwrap_or(&[])
    }

    /// The ids of all principals in the order of their texts: `service:ID`, then `user:ID`.
    #[must_use]
    pub fn principals(&self) -> Vec<(bool, &'a str)> {
        principals(self.table)
    }

    fn find(&self, service: bool, id: &'a str) -> Option<PrincipalFound<'a>> {
        self.pages(service).find(id)
    }

    fn pages(&self, service: bool) -> &'a Pages<Principal> {
        if service { &self.table.services } else { &self.table.users }
    }

    /// All that a principal holds. `active`: as if it were.
    fn holder(&self, service: bool, found: &PrincipalFound<'a>, active: bool) -> Option<Holder<'_, 'a>> {
        let id = OpaqueId::parse(found.id).ok()?;
        let member = if service { Member::Service(id) } else { Member::User(id) };
        let found = as_if(found, active);
        let found = &found;
        let above = Above::of(self.table, self.table.groups_of(found).iter());
        let mut held = Vec::new();
        let plain =
            |group, place, edge: Edge| Held { group, bundle: edge.bundle, place, edge, relation: None, by_rule: false };
        let own = edges(Table::edges_of(found)).filter(|e| self.when.counts(e));
        held.extend(own.map(|edge| plain(None, Place::At(edge.at), edge)));
        held.extend(self.by_rule(found));
        self.held_at_records(None, found.value.number, &mut held);
        for group in above.groups() {
            let by_group = self.by_group.get(&group).into_iter().flatten();
            held.extend(by_group.map(|edge| plain(Some(group), Place::At(edge.at), *edge)));
            self.held_at_records(Some(group), group | GROUP_MEMBER, &mut held);
        }
        Some(Holder { review: self, member, above, held })
    }

    /// Rule 3.6.
    fn by_rule(&self, found: &PrincipalFound<'_>) -> Option<Held<'a>> {
        let (bundle, target) = self.table.by_rule(found)?;
        let edge = Edge::new(target, bundle, Period::default());
        Some(Held { group: None, bundle, place: Place::At(target), edge, relation: None, by_rule: true })
    }

    fn held_at_records(&self, group: Option<u32>, member: u32, to: &mut Vec<Held<'a>>) {
        for at in self.at_records(member) {
            let (place, edge) = (Place::Record(at.object, at.record), at.edge);
            let held = |bundle, relation| Held { group, bundle, place, edge, relation, by_rule: false };
            match relation_of(edge.bundle) {
                None => to.push(held(edge.bundle, None)),
                Some(relation) => {
                    let flags = group.and_then(|g| self.table.group_slot(g)).map(|slot| slot.row.visibility);
                    if flags.is_none_or(|flags| relation.usable(flags)) {
                        to.extend(self.shared(at.object, relation).iter().map(|bundle| held(*bundle, Some(relation))));
                    }
                }
            }
        }
    }

    /// The roles that a relation gives at records of an object (rule 5.2).
    fn shared(&self, object: u32, relation: Relation) -> &'a [u32] {
        let shares = self.table.object_slot(object).and_then(|slot| slot.shares.get(relation as usize));
        shares.map_or(&[], |bundles| bundles)
    }

    fn target(&self, place: Place<'_>) -> Option<Target> {
        match place {
            Place::At(target) => self.table.target_of(target),
            Place::Record(object, id) => {
                Some(Target::Record(self.table.object_slot(object)?.row.id.clone(), OpaqueId::parse(id).ok()?))
            }
        }
    }

    fn patterns(&self, bundle: u32) -> &'a [Pattern] {
        self.table.bundle(bundle).map_or(&[], |bundle| self.table.patterns(bundle))
    }
}

impl Holder<'_, '_> {
    /// Up to [`MAX_PATHS`] paths to what is held, each with the pattern given, and whether there are more.
    fn paths(&self, held: &[(&Held<'_>, Option<Pattern>)]) -> (Vec<Path>, bool) {
        let ends: Vec<Option<u32>> = held.iter().map(|(held, _)| held.group).collect();
        let (ways, more) = self.above.ways(&ends, MAX_PATHS);
        let path = |end: usize, groups: &[u32]| {
            let (held, pattern) = held.get(end)?;
            let group = |n: &u32| Some(Member::Group(self.review.table.group_slot(*n)?.row.id.clone()));
            let members: Vec<Member> =
                std::iter::once(self.member.clone()).chain(groups.iter().filter_map(group)).collect();
            let source = self.source(held, members.last()?.clone())?;
            Some(Path { members, source, pattern: pattern.clone() })
        };
        (ways.iter().filter_map(|way| path(way.end, &way.groups)).collect(), more)
    }

    fn source(&self, held: &Held<'_>, member: Member) -> Option<Source> {
        let target = self.review.target(held.place)?;
        let table = self.review.table;
        let bundle = table.bundle(held.bundle)?;
        let role = || table.role_of(bundle).map(|role| role.id.clone());
        if let Some(relation) = held.relation {
            let Target::Record(object, record) = target else { return None };
            return Some(Source::AutoShare { role: role()?, relation: Related { relation, member, object, record } });
        }
        let period = held.edge.period();
        Some(match &bundle.source {
            table::Source::Activation(_) => {
                let Member::User(user) = &member else { return None };
                Source::Activation(table.activated(user, &role()?, &target)?.clone())
            }
            table::Source::Role { row, .. } => {
                let (role, by_hand) = (row.id.clone(), row.is_system() && !held.by_rule);
                let assignment = Assignment { role, member, target, period, by_hand };
                if held.by_rule { Source::ByRule(assignment) } else { Source::Assignment(assignment) }
            }
            table::Source::Grant(pattern) => {
                Source::Grant(Grant { permission: pattern.clone(), member, target, period })
            }
        })
    }
}

/// The ids of all principals of a version in the order of their texts, services first.
#[must_use]
pub fn principals(table: &Table) -> Vec<(bool, &str)> {
    let of = |service: bool, pages| -> Vec<(bool, &str)> {
        let pages: &Pages<Principal> = pages;
        let mut ids: Vec<_> = pages.iter().map(|f| (service, f.id)).collect();
        ids.sort_unstable();
        ids
    };
    let mut all = of(true, &table.services);
    all.extend(of(false, &table.users));
    all
}

/// The groups that a principal is in by any path (rule 2.7), dynamic and system ones included: a
/// shortest way to each, nearest group first.
#[must_use]
pub fn ways_to_groups(table: &Table, found: &PrincipalFound<'_>) -> Vec<Vec<Id>> {
    let above = Above::of(table, table.groups_of(found).iter());
    let ids = |way: Vec<u32>| way.into_iter().filter_map(|g| Some(table.group_slot(g)?.row.id.clone())).collect();
    above.groups().into_iter().filter_map(|g| above.shortest(g)).map(ids).collect()
}

/// The principal, as if it were active.
fn as_if<'a>(found: &PrincipalFound<'a>, active: bool) -> PrincipalFound<'a> {
    let mut found = *found;
    if active {
        found.value = Principal { status: Status::Active, ..found.value };
    }
    found
}

/// Whether a principal may act, be it by e-mail only (rule 4.2).
fn may_act(status: Status) -> bool {
    matches!(status, Status::Active | Status::Limited)
}

/// The role of that id, by number.
fn role_number(table: &Table, role: &Id) -> Option<u32> {
    Some(table.roles.find(role.as_str())?.value)
}
