//! Which records a principal can see: rules 5 and 6 of ACCESS-MODEL.md, the second half of the walk.
//!
//! What conditions ask is answered from the table and the request where it lies ([`Facts`]). What costs
//! an allocation, the principal's groups, its attributes, a record's relations, is made known once a
//! walk or once a record, and only if a condition asks.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;

use minicbor::Decoder;

use super::condition::{Fact, Facts, List, Outcome, RecordPart, Reports, Typed, UserPart, evaluate};
use super::decision::{FoundRecord, Walk, owner_id};
use super::edge::{Edge, GROUP_MEMBER, edges, edges_at, relation_of};
use super::id::Id;
use super::model::{Effect, Member, Millis, Relation, UserKind};
use super::packed::{Far, Unpacked};
use super::principal::PrincipalFound;
use super::table::{PolicySlot, Table};

/// What rule 6.4 says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    Visible,
    Hidden,
    /// Only a `restrict` policy hides it.
    Restricted,
}

/// What was found out of the principal.
#[derive(Default)]
pub(super) struct Known<'a> {
    /// The policies of the object that are about it: those that allow, those that restrict.
    policies: OnceCell<[Vec<&'a Arc<PolicySlot>>; 2]>,
    /// The ids of its groups by any path, sorted.
    groups: OnceCell<Vec<&'a str>>,
    row: OnceCell<Option<KnownRow<'a>>>,
    /// See [`Walk::broken`].
    pub(super) broken: OnceCell<Box<[u32]>>,
}

struct KnownRow<'a> {
    email: Option<&'a str>,
    manager: Option<&'a str>,
    attributes: Unpacked<'a>,
}

impl<'a> Walk<'a> {
    /// Rule 6.4.
    pub(super) fn sight(&self, found: &PrincipalFound<'a>, record: &FoundRecord<'_>) -> Sight {
        *record.sight.get_or_init(|| self.look(found, record))
    }

    fn look(&self, found: &PrincipalFound<'a>, record: &FoundRecord<'_>) -> Sight {
        let given = self.shown(found, record);
        if self.object.is_none_or(|(_, object)| object.policies.is_empty()) {
            return if given { Sight::Visible } else { Sight::Hidden };
        }
        let [allow, restrict] = self.policies(found);
        if !given && allow.is_empty() {
            return Sight::Hidden;
        }
        let facts = RecordFacts::new(self, *found, record);
        if !given && !allow.iter().any(|p| holds(p, &facts).allows()) {
            return Sight::Hidden;
        }
        // INVARIANT 4: a condition that ends in an error restricts (6.3).
        if restrict.iter().any(|p| holds(p, &facts).restricts()) { Sight::Restricted } else { Sight::Visible }
    }

    /// Rule 6.4: whether anything that is held at the very record shows it.
    pub(super) fn shown(&self, found: &PrincipalFound<'a>, record: &FoundRecord<'_>) -> bool {
        self.given_at(found, record, |bundle| {
            let shows = self.table.bundle(bundle).is_some_and(|b| b.shows);
            shows && !(self.table.denying.is_some() && self.is_void(found, Some(record), bundle))
        })
    }

    /// Whether anything of what is held at a record is in effect for the principal, whatever it is.
    pub(super) fn concerned_at(&self, found: &PrincipalFound<'a>, held: &[u8]) -> bool {
        self.with_edge_at(found, held, |_| true)
    }

    pub(super) fn known(&self) -> &Known<'a> {
        self.known.get_or_init(Box::default)
    }

    /// Rules 6.1 and 2.9: the policies of the object that are about the principal.
    pub(super) fn policies(&self, found: &PrincipalFound<'a>) -> &[Vec<&'a Arc<PolicySlot>>; 2] {
        self.known().policies.get_or_init(|| {
            let mut about = [Vec::new(), Vec::new()];
            let Some((_, object)) = self.object else { return about };
            for policy in object.policies.iter().filter(|p| self.table.concerns(p, found)) {
                let [allow, restrict] = &mut about;
                match policy.row.effect {
                    Effect::Allow => allow.push(policy),
                    Effect::Restrict => restrict.push(policy),
                }
            }
            about
        })
    }

    /// Whether anything that satisfies `test` is given at the record itself: held there, or shared
    /// there through a relation (rule 5.2).
    pub(super) fn given_at(
        &self,
        found: &PrincipalFound<'a>,
        record: &FoundRecord<'_>,
        test: impl Fn(u32) -> bool,
    ) -> bool {
        self.with_edge_at(found, record.edges, |e| self.gives(e, &test))
    }

    /// Whether an edge at the record gives anything that satisfies `test`, by itself or by what is
    /// shared through its relation.
    #[inline]
    pub(super) fn gives(&self, edge: Edge, test: impl Fn(u32) -> bool) -> bool {
        match relation_of(edge.bundle) {
            None => test(edge.bundle),
            Some(relation) => {
                let shared = self.object.and_then(|(_, slot)| slot.shares.get(relation as usize));
                shared.is_some_and(|bundles| bundles.iter().any(|b| test(*b))) && self.usable(edge, relation)
            }
        }
    }

    /// A user's bare id, or `service:ID`.
    pub(super) fn own_id(&self) -> &'a str {
        if self.service { self.question.principal } else { self.id }
    }

    /// Rule 4.7.
    pub(super) fn approves(&self, found: &PrincipalFound<'a>, record: &FoundRecord<'_>) -> bool {
        self.related(found, record, Relation::Approver)
    }

    /// Whether the principal has a relation to the record, itself or through a usable group (2.9).
    fn related(&self, found: &PrincipalFound<'a>, record: &FoundRecord<'_>, relation: Relation) -> bool {
        self.with_edge_at(found, record.edges, |e| relation_of(e.bundle) == Some(relation) && self.usable(e, relation))
    }

    /// Whether the member of a relation counts: users always do.
    pub(super) fn usable(&self, edge: Edge, relation: Relation) -> bool {
        let group = || self.table.group_slot(edge.at & !GROUP_MEMBER);
        edge.at & GROUP_MEMBER == 0 || group().is_some_and(|g| relation.usable(g.row.visibility))
    }

    /// Whether some edge at a record that is in effect and whose member is the principal, or a
    /// group that it is in, satisfies `test`.
    #[inline]
    fn with_edge_at(&self, found: &PrincipalFound<'a>, held: &[u8], test: impl Fn(Edge) -> bool) -> bool {
        let counts = |e: &Edge| e.in_effect(self.now) && test(*e);
        edges_at(held, found.value.number).any(|e| counts(&e))
            || edges(held).filter(|e| e.at & GROUP_MEMBER != 0).any(|e| {
                let below = self.table.group_slot(e.at & !GROUP_MEMBER).and_then(|g| g.below.as_ref());
                counts(&e) && below.is_some_and(|b| self.table.groups_of(found).any(|g| b.contains(g)))
            })
    }
}

impl Table {
    /// Whether a policy is about a principal: by itself, or by a group that it is in. To restrict, a
    /// group counts whatever its flag, and dynamic and system ones whatever the principal's status
    /// and the organization's domains (rule 2.9).
    pub(super) fn concerns(&self, policy: &PolicySlot, found: &PrincipalFound<'_>) -> bool {
        policy.principals.contains(found.value.number)
            || match policy.row.effect {
                Effect::Allow => self.groups_of(found).any(|g| policy.concerns.contains(g)),
                Effect::Restrict => self.strict_groups_of(found).any(|g| policy.concerns.contains(g)),
            }
    }
}

/// What a policy says of a record.
fn holds(policy: &PolicySlot, facts: &RecordFacts<'_, '_>) -> Outcome {
    policy.condition.as_ref().map_or(Outcome::True, |condition: &Arc<Typed>| evaluate(condition, facts))
}

/// What a condition may ask about a record.
pub(super) struct RecordFacts<'w, 'a> {
    walk: &'w Walk<'a>,
    found: PrincipalFound<'a>,
    record: &'w FoundRecord<'w>,
    /// The relation lists of rule 6.2, by [`Relation`]; none: what was sent is no list of texts.
    lists: [OnceCell<Option<Vec<Cow<'w, str>>>>; 4],
}

impl<'w, 'a> RecordFacts<'w, 'a> {
    pub(super) fn new(walk: &'w Walk<'a>, found: PrincipalFound<'a>, record: &'w FoundRecord<'w>) -> Self {
        Self { walk, found, record, lists: Default::default() }
    }

    fn row(&self) -> Option<&KnownRow<'a>> {
        let known = self.walk.known().row.get_or_init(|| known_row(self.walk.table, &self.found));
        known.as_ref()
    }

    /// The ids of the principal's groups by any path, sorted.
    fn group_ids(&self) -> &[&'a str] {
        self.walk.known().groups.get_or_init(|| {
            let table = self.walk.table;
            let mut open: Vec<u32> = table.groups_of(&self.found).iter().collect();
            let mut seen: HashSet<u32> = open.iter().copied().collect();
            let mut ids = Vec::with_capacity(open.len());
            while let Some(slot) = open.pop().and_then(|n| table.group_slot(n)) {
                ids.push(slot.row.id.as_str());
                open.extend(slot.parents.iter().copied().filter(|p| seen.insert(*p)));
            }
            ids.sort_unstable();
            ids
        })
    }

    /// Rule 6.2: the users that the caller sent, those that were told of, and the one who asks, if a
    /// group that is usable for it has the relation. What was sent otherwise than as a list of texts stays as it is,
    /// for the evaluation to judge (6.3), whatever was told.
    fn list(&self, part: RecordPart, relation: Relation) -> Fact<'_> {
        let Some(cell) = self.lists.get(relation as usize) else { return Fact::Missing };
        let list = cell.get_or_init(|| {
            let mut users: Vec<Cow<'w, str>> = match self.sent(part) {
                Fact::Missing | Fact::Null => Vec::new(),
                Fact::List(sent) => sent.iter().map(text).collect::<Option<_>>()?,
                _ => return None,
            };
            if !self.record.edges.is_empty() {
                users.extend(self.told(relation));
                if self.walk.related(&self.found, self.record, relation) {
                    users.push(Cow::Borrowed(self.walk.own_id()));
                }
            }
            users.sort_unstable();
            users.dedup();
            Some(users)
        });
        list.as_ref().map_or_else(|| self.sent(part), |list| Fact::List(List::Other(list)))
    }

    fn sent(&self, part: RecordPart) -> Fact<'w> {
        self.record.record.attributes.get(part.name())
    }

    fn told(&self, relation: Relation) -> Vec<Cow<'w, str>> {
        let members: Vec<Member> = minicbor::decode(self.record.members).unwrap_or_default();
        let edges = edges(self.record.edges).zip(members);
        let told = edges.filter(|(e, _)| relation_of(e.bundle) == Some(relation));
        told.filter_map(|(_, m)| if let Member::User(id) = m { Some(Cow::Owned(id.to_string())) } else { None })
            .collect()
    }
}

fn text(fact: Fact<'_>) -> Option<Cow<'_, str>> {
    if let Fact::Str(text) = fact { Some(Cow::Borrowed(text)) } else { None }
}

/// What the stored row says, read where it lies.
fn known_row<'a>(table: &'a Table, found: &PrincipalFound<'a>) -> Option<KnownRow<'a>> {
    let far = Far::of(found.far())?;
    let attributes = far.unpacked(table.form_slots.get(far.form as usize)?);
    let (email, manager) = contact(found).unwrap_or_default();
    Some(KnownRow { email, manager, attributes })
}

/// A user's e-mail address and manager. The places are those of `model::User`.
fn contact<'a>(found: &PrincipalFound<'a>) -> Option<(Option<&'a str>, Option<&'a str>)> {
    const EMAIL: u64 = 1;
    const MANAGER: u64 = 6;
    found.value.kind?;
    let mut decoder = Decoder::new(Far::of(found.far())?.row);
    let mut email = None;
    for place in 0..decoder.array().ok()?? {
        match place {
            EMAIL => email = decoder.str().ok(),
            MANAGER => return Some((email, decoder.str().ok())),
            _ => decoder.skip().ok()?,
        }
    }
    Some((email, None))
}

impl<'a> Facts for RecordFacts<'_, 'a> {
    fn field(&self, _: u16, name: &str) -> Fact<'_> {
        self.record.record.attributes.get(name)
    }

    fn record(&self, part: RecordPart) -> Fact<'_> {
        fn some(text: &str) -> Fact<'_> {
            if text.is_empty() { Fact::Missing } else { Fact::Str(text) }
        }
        let record = &self.record.record;
        match part {
            RecordPart::Id => Fact::Str(record.id),
            RecordPart::Owner => some(owner_id(record.owner)),
            RecordPart::Account => some(record.account),
            RecordPart::Watchers => self.list(part, Relation::Watcher),
            RecordPart::Assignees => self.list(part, Relation::Assignee),
            RecordPart::Mentioned => self.list(part, Relation::Mentioned),
            RecordPart::SharedWith => self.list(part, Relation::Shared),
        }
    }

    fn user(&self, part: UserPart) -> Fact<'_> {
        let some = |text: Option<&'a str>| text.map_or(Fact::Missing, Fact::Str);
        match part {
            UserPart::Id => Fact::Str(self.walk.own_id()),
            UserPart::Kind => Fact::Str(match self.found.value.kind {
                Some(UserKind::Internal) => "internal",
                Some(UserKind::External) => "external",
                None => "service",
            }),
            UserPart::Account => some(self.walk.table.account_of(&self.found).map(Id::as_str)),
            UserPart::Email => some(self.row().and_then(|r| r.email)),
            UserPart::Manager => some(self.row().and_then(|r| r.manager)),
        }
    }

    fn user_attribute(&self, name: &str) -> Fact<'_> {
        self.row().map_or(Fact::Missing, |r| r.attributes.get(name))
    }

    fn channel(&self) -> Fact<'_> {
        if self.walk.question.context.channel.is_empty() {
            Fact::Missing
        } else {
            Fact::Str(self.walk.question.context.channel)
        }
    }

    fn context_attribute(&self, name: &str) -> Fact<'_> {
        self.walk.question.context.attributes.get(name)
    }

    fn in_groups(&self, group: &str) -> bool {
        self.group_ids().binary_search(&group).is_ok()
    }

    fn groups(&self) -> List<'_> {
        List::Texts(self.group_ids())
    }

    /// Up the chain of managers from the user in question: nothing is listed, whatever the status.
    fn in_reports(&self, user: &str, reports: Reports) -> bool {
        if self.found.value.kind.is_none() {
            return false;
        }
        let table = self.walk.table;
        let mut below = user;
        // Managers form no circle (rule 2.1).
        while let Some(manager) = table.users.find(below).and_then(|f| contact(&f)?.1) {
            if manager == self.found.id {
                return true;
            }
            if reports == Reports::Direct {
                return false;
            }
            below = manager;
        }
        false
    }

    fn now(&self) -> Millis {
        self.walk.now
    }
}
