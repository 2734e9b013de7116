//! Who breaks a constraint, and by which paths.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::core::decision::split_principal;
use crate::core::edge::{
    AT_ORGANIZATION, Edge, GROUP_MEMBER, TargetNo, Unpacked, at_account, at_object, edges, relation_of, unpack,
};
use crate::core::explain::ways::Above;
use crate::core::explain::{Path, Source};
use crate::core::id::{Id, OpaqueId};
use crate::core::model::{Assignment, Enforcement, Member, Millis, Period, Related, Relation, Role, Scope, Target};
use crate::core::principal::PrincipalFound;
use crate::core::table::{self, SeparationSlot, Table};

/// A constraint that a principal breaks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Broken {
    /// The constraint's id.
    pub constraint: Id,
    /// Who breaks it.
    pub principal: Member,
}

/// By which paths.
#[derive(Debug, Clone, PartialEq)]
pub struct Breach {
    /// What is broken, and by whom.
    pub broken: Broken,
    /// The shortest path to each of the roles that are held together.
    pub paths: Vec<Path>,
    /// How many of them may be.
    pub max: u32,
    /// Whether the constraint denies.
    pub denies: bool,
}

impl Table {
    /// Who breaks each constraint, or one, now or at some time to come: one entry for a constraint and
    /// principal. Passes over all principals.
    #[must_use]
    pub fn broken_separations(&self, constraint: Option<&Id>, now: Millis) -> Vec<Broken> {
        let slots: Vec<_> = self.separations.values().filter(|s| constraint.is_none_or(|id| s.row.id == *id)).collect();
        let none = Fresh::default();
        let roles = Roles::of(self, &slots, &Records::All, &none);
        let mut broken = Vec::new();
        for (principal, found) in self.principals() {
            let held = roles.held_by(&found, Paths::All, &[]);
            let breaks = |slot: &&Arc<SeparationSlot>| together(&held, slot, now, false).is_some();
            let constraints = slots.iter().copied().filter(breaks).map(|slot| slot.row.id.clone());
            broken.extend(constraints.map(|constraint| Broken { constraint, principal: principal.clone() }));
        }
        broken
    }

    /// How a principal breaks constraints, if it still does.
    #[must_use]
    pub fn breaches(&self, broken: &[Broken], now: Millis) -> Vec<Breach> {
        let named: BTreeSet<&Id> = broken.iter().map(|b| &b.constraint).collect();
        let slots: Vec<_> = self.separations.values().filter(|s| named.contains(&s.row.id)).collect();
        let none = Fresh::default();
        let roles = Roles::of(self, &slots, &Records::All, &none);
        let breach = |broken: &Broken| {
            let found = self.find_member(&broken.principal)?;
            let slot = self.separations.get(&broken.constraint)?;
            roles.breach(broken, &found, &[], slot, &roles.held_by(&found, Paths::All, &[]), now, false)
        };
        broken.iter().filter_map(breach).collect()
    }

    /// The shortest path to each role of a constraint that a principal holds at these targets now.
    pub(in crate::core) fn roles_here(
        &self,
        slot: &Arc<SeparationSlot>,
        principal: &str,
        (targets, record): (&[TargetNo], Option<(u32, &str)>),
        now: Millis,
    ) -> Vec<Path> {
        let (service, id) = split_principal(principal);
        let pages = if service { &self.services } else { &self.users };
        let (Some(found), Ok(id)) = (pages.find(id), OpaqueId::parse(id)) else { return Vec::new() };
        let principal = if service { Member::Service(id) } else { Member::User(id) };
        let records = record.map_or(Records::None, |(object, id)| Records::One(object, id));
        let none = Fresh::default();
        let roles = Roles::of(self, &[slot], &records, &none);
        let held = roles.held_by(&found, Paths::All, &[]);
        let here = |h: &&Holding| {
            let place = match &h.place {
                Place::At(target) => targets.contains(target),
                Place::Record(..) => true,
            };
            place && h.edge.in_effect(now)
        };
        roles.paths(&principal, &found, &[], held.iter().filter(here).collect())
    }

    /// Every user and service account.
    pub(super) fn principals(&self) -> impl Iterator<Item = (Member, PrincipalFound<'_>)> {
        let users = self.users.iter().filter_map(|f| Some((Member::User(OpaqueId::parse(f.id).ok()?), f)));
        users.chain(self.services.iter().filter_map(|f| Some((Member::Service(OpaqueId::parse(f.id).ok()?), f))))
    }

    pub(super) fn find_member<'a>(&'a self, member: &'a Member) -> Option<PrincipalFound<'a>> {
        match member {
            Member::User(id) => self.find_user(id),
            Member::Service(id) => self.find_service(id),
            Member::Group(_) => None,
        }
    }
}

/// Where a role is held.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Place {
    At(TargetNo),
    /// A record of the object of that number.
    Record(u32, Box<str>),
}

/// A role of a constraint, held.
#[derive(Debug, Clone)]
pub(super) struct Holding {
    /// The role's number: of whatever stands for it.
    pub(super) role: u32,
    pub(super) bundle: u32,
    pub(super) place: Place,
    pub(super) edge: Edge,
    /// The group that holds it; none: the principal does.
    pub(super) group: Option<u32>,
    relation: Option<Relation>,
    by_rule: bool,
    /// Whether the change that is judged makes it held.
    pub(super) fresh: bool,
}

/// Which records are looked at.
pub(super) enum Records<'r> {
    None,
    All,
    One(u32, &'r str),
}

/// Which paths count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Paths {
    All,
    /// Those that somebody made: no dynamic or system membership, role by rule or relation.
    Made,
}

/// What a change makes held.
#[derive(Default)]
pub(super) struct Fresh {
    /// Bundle, member (groups marked) and place.
    pub(super) assignments: BTreeSet<(u32, u32, Place)>,
    /// Roles that relations have come to share.
    pub(super) shared: BTreeSet<(u32, Relation)>,
}

/// Who holds the roles of constraints, but for what principals hold directly.
pub(super) struct Roles<'t> {
    table: &'t Table,
    fresh: &'t Fresh,
    /// By bundle: the role that it stands for.
    role_of: HashMap<u32, u32>,
    by_group: BTreeMap<u32, Vec<Holding>>,
    /// At records, by the number of the principal.
    at_records: HashMap<u32, Vec<Holding>>,
}

impl<'t> Roles<'t> {
    pub(super) fn of<S: AsRef<SeparationSlot>>(
        table: &'t Table,
        slots: &[S],
        records: &Records<'_>,
        fresh: &'t Fresh,
    ) -> Self {
        let bundles = slots.iter().flat_map(|slot| &slot.as_ref().roles);
        let role_of = bundles.flat_map(|bundles| bundles.iter().filter_map(|b| Some((*b, *bundles.first()?))));
        let mut roles =
            Self { table, fresh, role_of: role_of.collect(), by_group: BTreeMap::new(), at_records: HashMap::new() };
        roles.find_groups();
        match records {
            Records::None => {}
            Records::All => roles.find_records(),
            Records::One(object, id) => {
                if let Some(found) = table.object_slot(*object).and_then(|slot| slot.records.find(id)) {
                    roles.find_record(*object, found.id, found.near);
                }
            }
        }
        roles
    }

    /// Whether any of these groups holds a role, records aside.
    pub(super) fn are_held_by(&self, groups: &BTreeSet<u32>) -> bool {
        groups.iter().any(|group| self.by_group.contains_key(group))
    }

    /// Whether a bundle stands for a role.
    pub(super) fn names(&self, bundle: u32) -> bool {
        self.role_of.contains_key(&bundle)
    }

    /// Whether a role may be held at records.
    pub(super) fn at_records(&self) -> bool {
        self.role_of.values().filter_map(|role| self.role(*role)).any(|row| row.scope == Scope::Object)
    }

    fn role(&self, number: u32) -> Option<&Role> {
        self.table.role_of(self.table.bundle(number)?)
    }

    fn find_groups(&mut self) {
        let table = self.table;
        for (bundle, role) in &self.role_of {
            let Some(held) = table.bundle(*bundle).map(|b| &b.held) else { continue };
            for target in held.keys() {
                let Some(holdings) = table.holdings_at(*target) else { continue };
                let start = holdings.edges.partition_point(|e| e.bundle < *bundle);
                let of_bundle = holdings.edges.get(start..).unwrap_or(&[]).iter().take_while(|e| e.bundle == *bundle);
                for edge in of_bundle {
                    let place = Place::At(*target);
                    let fresh = self.fresh.assignments.contains(&(*bundle, edge.at | GROUP_MEMBER, place.clone()));
                    let (bundle, group) = (*bundle, Some(edge.at));
                    let held = Holding {
                        role: *role,
                        bundle,
                        place,
                        edge: *edge,
                        group,
                        relation: None,
                        by_rule: false,
                        fresh,
                    };
                    self.by_group.entry(edge.at).or_default().push(held);
                }
            }
        }
    }

    fn find_records(&mut self) {
        if !self.at_records() {
            return;
        }
        for (object, slot) in (0u32..).zip(&self.table.object_slots) {
            let Some(slot) = slot else { continue };
            for found in slot.records.iter() {
                self.find_record(object, found.id, found.near);
            }
        }
    }

    fn find_record(&mut self, object: u32, id: &str, near: &[u8]) {
        let table = self.table;
        let Some(slot) = table.object_slot(object) else { return };
        for edge in edges(near) {
            let relation = relation_of(edge.bundle);
            let group = (edge.at & GROUP_MEMBER != 0).then_some(edge.at & !GROUP_MEMBER);
            let own = [edge.bundle];
            let bundles = match relation {
                None => &own[..],
                Some(relation) => slot.shares.get(relation as usize).map_or(&[][..], |shared| shared),
            };
            let flags = group.and_then(|group| table.group_slot(group)).map(|g| g.row.visibility);
            if relation.zip(flags).is_some_and(|(relation, flags)| !relation.usable(flags)) {
                continue;
            }
            for bundle in bundles {
                let Some(role) = self.role_of.get(bundle) else { continue };
                let place = Place::Record(object, id.into());
                let fresh = match relation {
                    None => self.fresh.assignments.contains(&(*bundle, edge.at, place.clone())),
                    Some(relation) => self.fresh.shared.contains(&(*bundle, relation)),
                };
                let (role, bundle) = (*role, *bundle);
                let held = Holding { role, bundle, place, edge, group, relation, by_rule: false, fresh };
                match group {
                    Some(group) => self.by_group.entry(group).or_default().push(held),
                    None => self.at_records.entry(edge.at).or_default().push(held),
                }
            }
        }
    }

    /// What a principal holds of the roles; `pending` are groups that it counts as in besides.
    pub(super) fn held_by(&self, found: &PrincipalFound<'_>, paths: Paths, pending: &[u32]) -> Vec<Holding> {
        let (table, number) = (self.table, found.value.number);
        let mut held = Vec::new();
        for edge in edges(Table::edges_of(found)) {
            let Some(role) = self.role_of.get(&edge.bundle) else { continue };
            let place = Place::At(edge.at);
            let fresh = self.fresh.assignments.contains(&(edge.bundle, number, place.clone()));
            let (role, bundle) = (*role, edge.bundle);
            held.push(Holding { role, bundle, place, edge, group: None, relation: None, by_rule: false, fresh });
        }
        let made = |h: &&Holding| paths == Paths::All || h.relation.is_none();
        held.extend(self.at_records.get(&number).into_iter().flatten().filter(made).cloned());
        if let (Paths::All, Some((bundle, target))) = (paths, table.by_rule(found))
            && let Some(role) = self.role_of.get(&bundle)
        {
            let edge = Edge::new(target, bundle, Period::default());
            let (place, role) = (Place::At(target), *role);
            held.push(Holding { role, bundle, place, edge, group: None, relation: None, by_rule: true, fresh: false });
        }
        for (group, of_group) in &self.by_group {
            let below = table.group_slot(*group).and_then(|slot| slot.below.as_ref());
            let inside = below.is_some_and(|below| {
                pending.iter().any(|g| below.contains(*g))
                    || match paths {
                        Paths::All => table.groups_of(found).any(|g| below.contains(g)),
                        Paths::Made => Table::direct_groups_of(found).any(|g| below.contains(g)),
                    }
            });
            if inside {
                held.extend(of_group.iter().filter(made).cloned());
            }
        }
        held
    }

    /// The breach of a constraint by what is held, if there is one; with `fresh` only one that a fresh
    /// holding is part of.
    #[allow(clippy::too_many_arguments, reason = "who holds what, and what is asked of it")]
    pub(super) fn breach(
        &self,
        broken: &Broken,
        found: &PrincipalFound<'_>,
        pending: &[u32],
        slot: &SeparationSlot,
        held: &[Holding],
        now: Millis,
        fresh: bool,
    ) -> Option<Breach> {
        let together = together(held, slot, now, fresh)?;
        let paths = self.paths(&broken.principal, found, pending, together);
        let denies = slot.row.enforcement == Enforcement::Deny;
        Some(Breach { broken: broken.clone(), paths, max: slot.row.max, denies })
    }

    /// Of each role the shortest path; to a fresh holding rather than to another.
    fn paths(
        &self,
        principal: &Member,
        found: &PrincipalFound<'_>,
        pending: &[u32],
        mut held: Vec<&Holding>,
    ) -> Vec<Path> {
        let direct = self.table.groups_of(found).iter().chain(pending.iter().copied());
        let above = Above::of(self.table, direct);
        held.sort_by_key(|h| (h.role, !h.fresh, h.group.map_or(0, |group| above.distance(group))));
        held.dedup_by_key(|h| h.role);
        // Numbers differ from one load to the next.
        held.sort_by_cached_key(|h| self.role(h.role).map(|row| row.id.clone()));
        let path = |h: &Holding| {
            let groups = h.group.map_or(Some(Vec::new()), |group| above.shortest(group))?;
            let groups = groups.iter().filter_map(|g| Some(Member::Group(self.table.group_slot(*g)?.row.id.clone())));
            let members: Vec<Member> = std::iter::once(principal.clone()).chain(groups).collect();
            let source = self.source(h, members.last()?.clone())?;
            Some(Path { members, source, pattern: None })
        };
        held.into_iter().filter_map(path).collect()
    }

    fn source(&self, held: &Holding, member: Member) -> Option<Source> {
        let table = self.table;
        let target = match &held.place {
            Place::At(target) => table.target_of(*target)?,
            Place::Record(object, id) => {
                Target::Record(table.object_slot(*object)?.row.id.clone(), OpaqueId::parse(id).ok()?)
            }
        };
        let row = self.role(held.role)?;
        let role = row.id.clone();
        if let (Some(relation), Target::Record(object, record)) = (held.relation, &target) {
            let (object, record) = (object.clone(), record.clone());
            return Some(Source::AutoShare { role, relation: Related { relation, member, object, record } });
        }
        if let (Some(table::Source::Activation(_)), Member::User(user)) =
            (table.bundle(held.bundle).map(|b| &b.source), &member)
        {
            return table.activated(user, &role, &target).cloned().map(Source::Activation);
        }
        let (period, by_hand) = (held.edge.period(), row.is_system() && !held.by_rule);
        let assignment = Assignment { role, member, target, period, by_hand };
        Some(if held.by_rule { Source::ByRule(assignment) } else { Source::Assignment(assignment) })
    }
}

/// A target as a place; none if there is no such thing.
pub(super) fn place_of(table: &Table, target: &Target) -> Option<Place> {
    let object = |id: &Id| table.objects.find(id.as_str()).map(|f| f.value);
    match target {
        Target::Organization => Some(Place::At(AT_ORGANIZATION)),
        Target::Account(id) => table.accounts.find(id.as_str()).map(|f| Place::At(at_account(f.value))),
        Target::Object(id) => object(id).map(|n| Place::At(at_object(n))),
        Target::Record(id, record) => object(id).map(|n| Place::Record(n, record.as_str().into())),
    }
}

/// What is held at one point and at one time from `now` on, if it is too much.
pub(super) fn together<'h>(
    held: &'h [Holding],
    slot: &SeparationSlot,
    now: Millis,
    fresh: bool,
) -> Option<Vec<&'h Holding>> {
    let too_many = |held: &[&Holding]| {
        let roles: BTreeSet<u32> = held.iter().map(|h| h.role).collect();
        roles.len() > slot.max() && (!fresh || held.iter().any(|h| h.fresh))
    };
    let held: Vec<&Holding> = held.iter().filter(|h| slot.names(h.bundle) && h.edge.until > now).collect();
    if !too_many(&held) {
        return None;
    }
    // Every point lies in an account or none, and at an object, a record or nowhere.
    let (mut accounts, mut objects) = (BTreeSet::from([None]), BTreeSet::from([None]));
    for place in held.iter().map(|h| &h.place) {
        match place {
            Place::At(target) => match unpack(*target) {
                Unpacked::Account(_) => drop(accounts.insert(Some(*target))),
                Unpacked::Object(_) => drop(objects.insert(Some(place))),
                Unpacked::Organization | Unpacked::Records => {}
            },
            Place::Record(..) => drop(objects.insert(Some(place))),
        }
    }
    for account in &accounts {
        for object in &objects {
            let here: Vec<&Holding> = held.iter().copied().filter(|h| reaches(&h.place, *account, *object)).collect();
            if !too_many(&here) {
                continue;
            }
            for begin in here.iter().map(|h| h.edge.from.max(now)) {
                let then: Vec<&Holding> = here.iter().copied().filter(|h| h.edge.in_effect(begin)).collect();
                if too_many(&then) {
                    return Some(then);
                }
            }
        }
    }
    None
}

/// Whether what is held at `place` is held at a point.
fn reaches(place: &Place, account: Option<TargetNo>, object: Option<&Place>) -> bool {
    match place {
        Place::Record(..) => object == Some(place),
        Place::At(target) => match unpack(*target) {
            Unpacked::Organization => true,
            Unpacked::Account(_) => account == Some(*target),
            Unpacked::Object(number) => match object {
                Some(Place::Record(of, _)) => *of == number,
                at => at == Some(place),
            },
            Unpacked::Records => false,
        },
    }
}
