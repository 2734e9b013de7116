//! The table as rows: what an administrator reads, what is exported and what is stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::edge::{
    AT_ORGANIZATION, Edge, GROUP_MEMBER, TargetNo, Unpacked, at_account, at_object, edges, of_relation, relation_of,
    unpack,
};
use super::holdings::Holdings;
use super::id::{Id, OpaqueId};
use super::model::{
    Assignment, Credential, Grant, Group, Key, Member, Object, Related, Role, Row, SafelistElement, Separation,
    ServiceAccount, Settings, SignOn, Status, Target, User, UserKind, Visibility,
};
use super::packed::Far;
use super::pages::{Fixed, Pages, Position};
use super::principal::{Principal, PrincipalFound};
use super::table::{PolicySlot, SYSTEM_GROUPS, Source, Table};

/// One page of a list.
pub struct Listed<T> {
    /// What was asked for, in the order of iteration.
    pub items: Vec<T>,
    /// Where to go on, if there may be more.
    pub next: Option<Position>,
}

impl Table {
    /// The organization's settings. None only before it was founded.
    #[must_use]
    pub fn settings(&self) -> Option<&Arc<Settings>> {
        self.settings.as_ref()
    }

    /// The id of the default account.
    #[must_use]
    pub fn default_account(&self) -> Option<&Id> {
        Some(&self.account_slot(self.default_account)?.row.id)
    }

    pub(super) fn direct_groups_of<'a>(found: &PrincipalFound<'a>) -> impl Iterator<Item = u32> + use<'a> {
        let direct = found.near.get(..found.value.groups as usize * 4).unwrap_or(&[]);
        direct.as_chunks::<4>().0.iter().map(|c| u32::from_le_bytes(*c))
    }

    fn group_ids(&self, numbers: impl Iterator<Item = u32>) -> Vec<Id> {
        let mut ids: Vec<Id> = numbers.filter_map(|n| Some(self.group_slot(n)?.row.id.clone())).collect();
        ids.sort();
        ids
    }

    /// The user of a found row.
    #[must_use]
    pub fn user(&self, found: &PrincipalFound<'_>) -> Option<User> {
        let far = Far::of(found.far())?;
        let mut user: User = minicbor::decode(far.row).ok()?;
        user.attributes = far.attributes(self.form_slots.get(far.form as usize)?);
        user.groups = self.group_ids(Self::direct_groups_of(found));
        Some(user)
    }

    /// The service account of a found row.
    #[must_use]
    pub fn service(&self, found: &PrincipalFound<'_>) -> Option<ServiceAccount> {
        let far = Far::of(found.far())?;
        let mut service: ServiceAccount = minicbor::decode(far.row).ok()?;
        service.attributes = far.attributes(self.form_slots.get(far.form as usize)?);
        service.groups = self.group_ids(Self::direct_groups_of(found));
        Some(service)
    }

    /// The role of that id, shipped or own.
    #[must_use]
    pub fn role_row(&self, id: &Id) -> Option<&Role> {
        match &self.bundle(self.roles.find(id.as_str())?.value)?.source {
            Source::Role { row, .. } => Some(row),
            Source::Grant(_) | Source::Activation(_) => None,
        }
    }

    /// The group of that id, whole.
    #[must_use]
    pub fn group_row(&self, id: &Id) -> Option<Group> {
        let slot = self.group_slot(self.groups.find(id.as_str())?.value)?;
        Some(Group { groups: self.group_ids(slot.parents.iter().copied()), ..slot.row.clone() })
    }

    /// The object of that id.
    #[must_use]
    pub fn object_row(&self, id: &Id) -> Option<&Object> {
        Some(&self.object_slot(self.objects.find(id.as_str())?.value)?.row)
    }

    /// The row of that key; what ships with the preset and was not changed has none.
    #[must_use]
    pub fn row(&self, key: &Key) -> Option<Row> {
        match key {
            Key::Settings => Some(Row::Settings(Settings::clone(self.settings.as_ref()?))),
            Key::Account(id) => {
                let slot = self.account_slot(self.accounts.find(id.as_str())?.value)?;
                Some(Row::Account(slot.row.clone()))
            }
            Key::Permission(name) => {
                let slot = self.permission_slot(self.permission(name.as_str())?.number)?;
                (!slot.built_in && slot.row.name == *name).then(|| Row::Permission(slot.row.clone()))
            }
            Key::Object(id) => Some(Row::Object(self.object_row(id)?.clone())),
            Key::Role(id) => match &self.bundle(self.roles.find(id.as_str())?.value)?.source {
                Source::Role { row, changed: true } => Some(Row::Role(row.clone())),
                _ => None,
            },
            Key::Group(id) => {
                let group = self.group_row(id)?;
                let shipped = SYSTEM_GROUPS.contains(&id.as_str());
                let plain = group.visibility == Visibility::default() && group.groups.is_empty();
                (!shipped || !plain).then_some(Row::Group(group))
            }
            Key::User(id) => Some(Row::User(self.user(&self.users.find(id.as_str())?)?)),
            Key::Service(id) => Some(Row::Service(self.service(&self.services.find(id.as_str())?)?)),
            Key::Assignment(role, member, target) => {
                let edge = self.edge(self.roles.find(role.as_str())?.value, member, target)?;
                Some(Row::Assignment(Assignment {
                    role: role.clone(),
                    member: member.clone(),
                    target: target.clone(),
                    period: edge.period(),
                    by_hand: self.role_row(role)?.is_system(),
                }))
            }
            Key::Grant(permission, member, target) => {
                let edge = self.edge(self.patterns.find(permission.as_str())?.value, member, target)?;
                Some(Row::Grant(Grant {
                    permission: permission.clone(),
                    member: member.clone(),
                    target: target.clone(),
                    period: edge.period(),
                }))
            }
            Key::Related(relation, member, object, record) => {
                let target = Target::Record(object.clone(), record.clone());
                self.edge(of_relation(*relation), member, &target)?;
                let (relation, member, object, record) = (*relation, member.clone(), object.clone(), record.clone());
                Some(Row::Related(Related { relation, member, object, record }))
            }
            Key::Policy(id) => Some(Row::Policy(self.policy_slot(id)?.row.clone())),
            Key::SafelistElement(id) => {
                self.safelist.contains(id).then(|| Row::SafelistElement(SafelistElement { element: id.clone() }))
            }
            Key::Credential(id) => Some(Row::Credential(Credential::clone(self.credential(id.as_str())?))),
            Key::Separation(id) => Some(Row::Separation(self.separation_row(id)?.clone())),
            Key::Emergency(role, target) => Some(Row::Emergency(self.emergency(role, target)?.clone())),
            Key::Activation(id) => Some(Row::Activation(self.activation(id)?.clone())),
        }
    }

    /// The policy of that id.
    #[must_use]
    pub fn policy_slot(&self, id: &Id) -> Option<&Arc<PolicySlot>> {
        let policies = &self.object_slot(self.policies.find(id.as_str())?.value)?.policies;
        policies.get(policies.binary_search_by(|p| p.row.id.cmp(id)).ok()?)
    }

    /// The separation constraint of that id.
    #[must_use]
    pub fn separation_row(&self, id: &Id) -> Option<&Separation> {
        Some(&self.separations.get(id)?.row)
    }

    /// The separation constraints, by id.
    pub fn separations(&self) -> impl Iterator<Item = &Separation> + '_ {
        self.separations.values().map(|slot| &slot.row)
    }

    /// Every data-access policy, by object.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<PolicySlot>> + '_ {
        self.object_slots.iter().flatten().flat_map(|slot| slot.policies.iter())
    }

    /// What is known of one record: who has which relation to it, and who holds what there.
    #[must_use]
    pub fn record_rows(&self, object: &Id, record: &OpaqueId) -> Vec<Row> {
        let Some(number) = self.objects.find(object.as_str()).map(|f| f.value) else { return Vec::new() };
        let target = Target::Record(object.clone(), record.clone());
        let held = self.record_edges(number, record.as_str()).into_iter();
        held.filter_map(|(e, member)| self.edge_row(e.bundle, member, target.clone(), &e)).collect()
    }

    fn edge(&self, bundle: u32, member: &Member, target: &Target) -> Option<Edge> {
        let at = match target {
            Target::Organization => AT_ORGANIZATION,
            Target::Account(id) => at_account(self.accounts.find(id.as_str())?.value),
            Target::Object(id) | Target::Record(id, _) => at_object(self.objects.find(id.as_str())?.value),
        };
        let (pages, id) = match member {
            Member::User(id) => (&self.users, id),
            Member::Service(id) => (&self.services, id),
            Member::Group(id) => {
                let group = self.groups.find(id.as_str())?.value;
                return match target {
                    Target::Record(_, record) => self.record_edge(at, record, group | GROUP_MEMBER, bundle),
                    _ => {
                        let edges = &self.holdings_at(at)?.edges;
                        let place = edges.binary_search_by_key(&(bundle, group), |e| (e.bundle, e.at)).ok()?;
                        edges.get(place).copied()
                    }
                };
            }
        };
        let found = pages.find(id.as_str())?;
        match target {
            Target::Record(_, record) => self.record_edge(at, record, found.value.number, bundle),
            _ => edges(Self::edges_of(&found)).find(|e| (e.at, e.bundle) == (at, bundle)),
        }
    }

    fn record_edge(&self, at: TargetNo, record: &OpaqueId, member: u32, bundle: u32) -> Option<Edge> {
        let Unpacked::Object(object) = unpack(at) else { return None };
        let found = self.object_slot(object)?.records.find(record.as_str())?;
        edges(found.near).find(|e| (e.at, e.bundle) == (member, bundle))
    }

    /// What is held at a record, with its members.
    pub(super) fn record_edges(&self, object: u32, id: &str) -> Vec<(Edge, Member)> {
        let found = self.object_slot(object).and_then(|s| s.records.find(id));
        found.map_or_else(Vec::new, |f| with_members(f.near, f.far()))
    }

    pub(super) fn holdings_at(&self, target: TargetNo) -> Option<&Arc<Holdings>> {
        match unpack(target) {
            Unpacked::Organization => Some(&self.holdings),
            Unpacked::Account(n) => Some(&self.account_slot(n)?.holdings),
            Unpacked::Object(n) => Some(&self.object_slot(n)?.holdings),
            Unpacked::Records => None,
        }
    }

    fn edge_row(&self, bundle: u32, member: Member, target: Target, edge: &Edge) -> Option<Row> {
        if let Some(relation) = relation_of(bundle) {
            let Target::Record(object, record) = target else { return None };
            return Some(Row::Related(Related { relation, member, object, record }));
        }
        Some(match &self.bundle(bundle)?.source {
            Source::Role { row, .. } => Row::Assignment(Assignment {
                role: row.id.clone(),
                member,
                target,
                period: edge.period(),
                by_hand: row.is_system(),
            }),
            Source::Grant(permission) => {
                Row::Grant(Grant { permission: permission.clone(), member, target, period: edge.period() })
            }
            // Of these the activation is the row.
            Source::Activation(_) => return None,
        })
    }

    pub(super) fn target_of(&self, at: TargetNo) -> Option<Target> {
        Some(match unpack(at) {
            Unpacked::Organization => Target::Organization,
            Unpacked::Account(n) => Target::Account(self.account_slot(n)?.row.id.clone()),
            Unpacked::Object(n) => Target::Object(self.object_slot(n)?.row.id.clone()),
            Unpacked::Records => return None,
        })
    }

    /// Every assignment, grant and relation, in no order that means anything.
    pub fn edge_rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.group_edge_rows().chain(self.principal_edge_rows()).chain(self.record_edge_rows())
    }

    /// What groups hold at the organization, accounts and objects.
    pub fn group_edge_rows(&self) -> impl Iterator<Item = Row> + '_ {
        let accounts =
            (0u32..).zip(&self.account_slots).filter_map(|(n, s)| Some((at_account(n), &s.as_ref()?.holdings)));
        let objects = (0u32..).zip(&self.object_slots).filter_map(|(n, s)| Some((at_object(n), &s.as_ref()?.holdings)));
        std::iter::once((AT_ORGANIZATION, &self.holdings)).chain(accounts).chain(objects).flat_map(
            move |(at, holdings)| {
                holdings.edges.iter().filter_map(move |e| {
                    let group = Member::Group(self.group_slot(e.at)?.row.id.clone());
                    self.edge_row(e.bundle, group, self.target_of(at)?, e)
                })
            },
        )
    }

    /// What users and service accounts hold at the organization, accounts and objects.
    pub fn principal_edge_rows(&self) -> impl Iterator<Item = Row> + '_ {
        let of = |pages: &'_ Pages<Principal>, member: fn(OpaqueId) -> Member| {
            let found: Vec<Row> = pages
                .iter()
                .filter(|f| f.near.len() > f.value.groups as usize * 4)
                .flat_map(|f| edges(Self::edges_of(&f)).map(move |e| (f.id, e)))
                .filter_map(|(id, e)| {
                    self.edge_row(e.bundle, member(OpaqueId::parse(id).ok()?), self.target_of(e.at)?, &e)
                })
                .collect();
            found
        };
        of(&self.users, Member::User).into_iter().chain(of(&self.services, Member::Service))
    }

    /// What is held at records, and the relations to them.
    pub fn record_edge_rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.object_slots.iter().flatten().flat_map(move |slot| {
            slot.records.iter().flat_map(move |f| {
                let target = OpaqueId::parse(f.id).map(|id| Target::Record(slot.row.id.clone(), id));
                with_members(f.near, f.far())
                    .into_iter()
                    .filter_map(move |(e, member)| self.edge_row(e.bundle, member, target.clone().ok()?, &e))
            })
        })
    }

    /// Every relation to records of `object`, or of all objects, in no order that means anything.
    pub fn relations<'a>(&'a self, object: Option<&Id>) -> impl Iterator<Item = Related> + use<'a> {
        let one = object.map(|id| self.objects.find(id.as_str()).and_then(|f| self.object_slot(f.value)));
        let all = object.is_none().then(|| self.object_slots.iter().flatten());
        one.into_iter().flatten().chain(all.into_iter().flatten()).flat_map(|slot| {
            slot.records.iter().flat_map(|f| {
                let record = OpaqueId::parse(f.id).ok();
                let related = |(e, member): (Edge, Member)| {
                    let (relation, record) = (relation_of(e.bundle)?, record.clone()?);
                    Some(Related { relation, member, object: slot.row.id.clone(), record })
                };
                with_members(f.near, f.far()).into_iter().filter_map(related).collect::<Vec<_>>()
            })
        })
    }

    /// Every row, in the order in which a store keeps and loads the kinds.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        let settings = self.settings.iter().map(|s| Row::Settings(Settings::clone(s)));
        let accounts = self.account_slots.iter().flatten().map(|s| Row::Account(s.row.clone()));
        let permissions = self.permission_slots.iter().flatten();
        let permissions = permissions.filter(|s| !s.built_in).map(|s| Row::Permission(s.row.clone()));
        let objects = self.object_slots.iter().flatten().map(|s| Row::Object(s.row.clone()));
        let roles = self.bundles.iter().flatten().filter_map(|b| match &b.source {
            Source::Role { row, changed: true } => Some(Row::Role(row.clone())),
            _ => None,
        });
        let groups = self.group_slots.iter().flatten().filter_map(|s| self.row(&Key::Group(s.row.id.clone())));
        let users = self.users.iter().filter_map(|f| Some(Row::User(self.user(&f)?)));
        let services = self.services.iter().filter_map(|f| Some(Row::Service(self.service(&f)?)));
        settings
            .chain(accounts)
            .chain(permissions)
            .chain(objects)
            .chain(roles)
            .chain(groups)
            .chain(users)
            .chain(services)
            .chain(self.edge_rows())
            .chain(self.policies().map(|p| Row::Policy(p.row.clone())))
            .chain(self.safelist.iter().map(|id| Row::SafelistElement(SafelistElement { element: id.clone() })))
            .chain(self.credentials.values().map(|c| Row::Credential(Credential::clone(c))))
            .chain(self.separations().map(|s| Row::Separation(s.clone())))
            .chain(self.emergencies().map(|e| Row::Emergency(e.clone())))
            .chain(self.activations().map(|a| Row::Activation(a.clone())))
    }

    /// The credential of that id.
    #[inline]
    #[must_use]
    pub fn credential(&self, id: &str) -> Option<&Arc<Credential>> {
        self.credentials.get(id)
    }

    /// The credentials of every service account, or of one, by service account, oldest first.
    pub fn credentials<'a>(&'a self, service: Option<&'a str>) -> impl Iterator<Item = &'a Arc<Credential>> {
        let one = service.and_then(|id| self.credentials_of.get(id));
        let all = service.is_none().then(|| self.credentials_of.values());
        let ids = one.into_iter().chain(all.into_iter().flatten()).flat_map(|ids| ids.iter());
        ids.filter_map(|id| self.credential(id.as_str()))
    }

    /// The user with this e-mail address, compared case-insensitively (rule 2.1).
    #[must_use]
    pub fn user_by_email<'a>(&'a self, folded: &'a str) -> Option<&'a str> {
        std::str::from_utf8(self.emails.find(folded)?.near).ok()
    }

    /// The user to whom an identity is bound (rule 2.4).
    #[must_use]
    pub fn user_by_sign_on(&self, sign_on: &SignOn) -> Option<OpaqueId> {
        let found = self.sign_ons.find(&super::sign_ons::name(sign_on))?.near.to_vec();
        OpaqueId::parse(&String::from_utf8(found).ok()?).ok()
    }

    /// Up to `limit` users after `position` that satisfy `filter`.
    pub fn list_users(
        &self,
        position: Option<&Position>,
        limit: usize,
        filter: impl Fn(&PrincipalFound<'_>) -> bool,
    ) -> Listed<User> {
        page(&self.users, position, limit, |f| filter(f).then(|| self.user(f)).flatten())
    }

    /// Up to `limit` service accounts after `position` that satisfy `filter`.
    pub fn list_services(
        &self,
        position: Option<&Position>,
        limit: usize,
        filter: impl Fn(&PrincipalFound<'_>) -> bool,
    ) -> Listed<ServiceAccount> {
        page(&self.services, position, limit, |f| filter(f).then(|| self.service(f)).flatten())
    }

    /// Up to `limit` accounts after `position`.
    #[must_use]
    pub fn list_accounts(&self, position: Option<&Position>, limit: usize) -> Listed<super::model::Account> {
        page(&self.accounts, position, limit, |f| Some(self.account_slot(f.value)?.row.clone()))
    }

    /// Up to `limit` objects after `position`.
    #[must_use]
    pub fn list_objects(&self, position: Option<&Position>, limit: usize) -> Listed<Object> {
        page(&self.objects, position, limit, |f| Some(self.object_slot(f.value)?.row.clone()))
    }

    /// Up to `limit` groups after `position`.
    #[must_use]
    pub fn list_groups(&self, position: Option<&Position>, limit: usize) -> Listed<Group> {
        page(&self.groups, position, limit, |f| self.group_row(&Id::parse(f.id).ok()?))
    }

    /// Up to `limit` roles after `position`, shipped ones included.
    #[must_use]
    pub fn list_roles(&self, position: Option<&Position>, limit: usize) -> Listed<Role> {
        page(&self.roles, position, limit, |f| self.role_row(&Id::parse(f.id).ok()?).cloned())
    }

    /// Whether `position` is one that a list of this organization gave out.
    #[must_use]
    pub fn owns(&self, position: &Position) -> bool {
        self.users.owns(position)
    }

    /// The direct members of a group: users, service accounts and groups whose row names it, or for
    /// a dynamic or system group whoever it covers now.
    #[must_use]
    pub fn members_of<'a>(&'a self, group: &Id) -> Option<impl Iterator<Item = Member> + 'a> {
        let number = self.groups.find(group.as_str())?.value;
        let slot = self.group_slot(number)?;
        let groups = slot.children.iter().filter_map(|c| Some(Member::Group(self.group_slot(*c)?.row.id.clone())));
        let users = self.users.iter().filter(move |f| self.groups_of(f).any(|g| g == number));
        let users = users.filter_map(|f| Some(Member::User(OpaqueId::parse(f.id).ok()?)));
        let services = self.services.iter().filter(move |f| self.groups_of(f).any(|g| g == number));
        let services = services.filter_map(|f| Some(Member::Service(OpaqueId::parse(f.id).ok()?)));
        Some(groups.chain(users).chain(services))
    }

    /// The users and service accounts that are members of a group by any path (rule 2.7), and
    /// whether one of the paths is direct.
    pub fn members_below<'a>(&'a self, group: &Id) -> Option<impl Iterator<Item = (Member, bool)> + 'a> {
        let top = self.groups.find(group.as_str())?.value;
        let mut below: BTreeSet<u32> = BTreeSet::from([top]);
        let mut open = vec![top];
        while let Some(slot) = open.pop().and_then(|n| self.group_slot(n)) {
            open.extend(slot.children.iter().copied().filter(|c| below.insert(*c)));
        }
        let of = |pages: &'a Pages<Principal>, below: BTreeSet<u32>, member: fn(OpaqueId) -> Member| {
            pages.iter().filter_map(move |f| {
                let direct = self.groups_of(&f).any(|g| g == top);
                let inside = direct || self.groups_of(&f).any(|g| below.contains(&g));
                if inside { Some((member(OpaqueId::parse(f.id).ok()?), direct)) } else { None }
            })
        };
        Some(of(&self.users, below.clone(), Member::User).chain(of(&self.services, below, Member::Service)))
    }

    /// The role that rule 3.6 gives a user, and where; none if there is no such user or the rule steps back.
    #[must_use]
    pub fn role_by_rule(&self, user: &OpaqueId) -> Option<(Id, Target)> {
        let found = self.users.find(user.as_str())?;
        let (bundle, target) = self.by_rule(&found)?;
        Some((self.role_of(self.bundle(bundle)?)?.id.clone(), self.target_of(target)?))
    }

    /// The account that a principal belongs to.
    #[must_use]
    pub fn account_of(&self, found: &PrincipalFound<'_>) -> Option<&Id> {
        Some(&self.account_slot(found.value.account)?.row.id)
    }

    /// The row of a user.
    #[must_use]
    pub fn find_user<'a>(&'a self, id: &'a OpaqueId) -> Option<PrincipalFound<'a>> {
        self.users.find(id.as_str())
    }

    /// The row of a service account.
    #[must_use]
    pub fn find_service<'a>(&'a self, id: &'a OpaqueId) -> Option<PrincipalFound<'a>> {
        self.services.find(id.as_str())
    }
}

impl Principal {
    /// The current status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// What kind of user it is; none for a service account.
    #[must_use]
    pub fn user_kind(&self) -> Option<UserKind> {
        self.kind
    }
}

fn with_members(near: &[u8], far: &[u8]) -> Vec<(Edge, Member)> {
    let members: Vec<Member> = minicbor::decode(far).unwrap_or_default();
    edges(near).zip(members).collect()
}

fn page<V: Fixed, T>(
    pages: &Pages<V>,
    position: Option<&Position>,
    limit: usize,
    item: impl Fn(&super::pages::Found<'_, V>) -> Option<T>,
) -> Listed<T> {
    let mut listed = Listed { items: Vec::new(), next: None };
    let mut last = None;
    for (position, found) in pages.iter_after(position) {
        if let Some(item) = item(&found) {
            if listed.items.len() == limit {
                listed.next = last;
                return listed;
            }
            listed.items.push(item);
            last = Some(position);
        }
    }
    listed
}
