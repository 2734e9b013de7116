//! What spans rows: checked once all are put, then flattened where it was touched.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::draft::{Draft, remove_id};
use super::edge::{AT_ORGANIZATION, AT_RECORDS, Edge, TargetNo, Unpacked, edges_at, unpack};
use super::fault::Fault;
use super::holdings::{Apart, Holders, Holdings, Shape};
use super::id::{Coverage, OpaqueId, Pattern};
use super::model::{GroupKind, Key, Level, User};
use super::pages::{Edit, EditRow};
use super::presets::ORG_ADMIN;
use super::principal::PrincipalFound;
use super::set::Set;
use super::table::{DomainSlot, PermissionRef, Source, Table};

impl Draft {
    /// What spans rows.
    pub(super) fn check_whole(&mut self) {
        if self.next.settings.is_none() {
            let fault = Fault::Unknown { what: "organization", id: self.next.id.to_string() };
            self.violation(Key::Settings, "", fault);
        }
        self.check_private();
        for (key, group) in std::mem::take(&mut self.dirty.memberships) {
            let manual = self.manual(group);
            self.note(&key, "groups", manual);
        }
        self.check_accounts();
        self.check_twins();
        self.check_patterns();
        self.check_org_admins();
        self.check_emails();
        self.check_sign_ons();
        self.check_managers();
        self.check_nesting();
        self.check_conditions();
        self.check_related();
    }

    /// Rule 1.2.
    fn check_accounts(&mut self) {
        if !self.dirty.accounts {
            return;
        }
        let defaults = |(n, slot): (u32, &Option<Arc<super::table::AccountSlot>>)| {
            slot.as_ref().filter(|s| s.row.default).map(|_| n)
        };
        let defaults: Vec<u32> = (0u32..).zip(&self.next.account_slots).filter_map(defaults).collect();
        match defaults.as_slice() {
            [one] => self.next.default_account = *one,
            _ => self.violation(Key::Settings, "accounts", Fault::DefaultAccounts(defaults.len())),
        }
    }

    /// Rule 4.6: what stands in for a permission must exist.
    fn check_twins(&mut self) {
        if !self.dirty.catalogue {
            return;
        }
        let missing: Vec<_> = self
            .next
            .catalogue()
            .filter_map(|(_, slot)| {
                let twin = slot.row.when_not_owner.as_ref()?;
                let missing = self.next.permission(twin.as_str()).is_none();
                missing.then(|| (Key::Permission(slot.row.name.clone()), twin.to_string()))
            })
            .collect();
        for (key, id) in missing {
            self.violation(key, "when_not_owner", Fault::Unknown { what: "permission", id });
        }
    }

    /// Rule 3.1: a name or alias that roles and grants still use cannot go.
    fn check_patterns(&mut self) {
        if !self.dirty.catalogue {
            return;
        }
        let mut unused: Vec<(u32, Pattern)> = Vec::new();
        let mut missing: Vec<(Key, Fault)> = Vec::new();
        for (number, bundle) in (0u32..).zip(&self.next.bundles) {
            match bundle.as_ref().map(|b| &b.source) {
                Some(Source::Role { row, .. }) => {
                    let faults = row.permissions.iter().filter_map(|p| self.known(p).err());
                    missing.extend(faults.map(|fault| (Key::Role(row.id.clone()), fault)));
                }
                Some(Source::Grant(pattern)) if self.known(pattern).is_err() => unused.push((number, pattern.clone())),
                Some(Source::Grant(_) | Source::Activation(_)) | None => {}
            }
        }
        if !unused.is_empty() {
            let gone = |p: &Pattern| unused.iter().any(|(_, u)| u == p);
            for row in self.next.edge_rows() {
                if let (Key::Grant(pattern, ..), key) = (row.key(), row.key())
                    && gone(&pattern)
                {
                    missing.push((key, Fault::Unknown { what: "permission", id: pattern.to_string() }));
                }
            }
        }
        for (number, pattern) in unused {
            remove_id(&mut self.next.patterns, pattern.as_str());
            self.next.bundles.set(number as usize, None);
        }
        for (key, fault) in missing {
            self.violation(key, "permissions", fault);
        }
    }

    /// Rule 3.6: holders of `org-admin`, and who may activate it, belong to the default account; they are not moved
    /// out of it, nor it from under them. What is over holds nobody there.
    fn check_org_admins(&mut self) {
        let moved = std::mem::take(&mut self.dirty.moved);
        let preset = self.settings().map(|s| s.preset);
        let shipped = preset.is_some_and(|p| p.roles().iter().any(|r| r.id == ORG_ADMIN));
        let (true, Some(role)) = (shipped, self.next.roles.find(ORG_ADMIN).map(|f| f.value)) else { return };
        let default = self.next.default_account;
        let rules = self.next.emergencies.values().filter(|rule| rule.role.as_str() == ORG_ADMIN);
        let activate: HashSet<&str> = rules.flat_map(|rule| rule.users.iter().map(OpaqueId::as_str)).collect();
        let now = self.now;
        let astray = |f: &PrincipalFound<'_>| {
            let mut held = edges_at(Table::edges_of(f), AT_ORGANIZATION);
            let mut holds = || held.any(|e| e.bundle == role && !e.period().is_over(now));
            f.value.account != default && (activate.contains(f.id) || holds())
        };
        let found: Vec<OpaqueId> = if self.dirty.accounts {
            self.next.users.iter().filter(astray).filter_map(|f| OpaqueId::parse(f.id).ok()).collect()
        } else {
            moved.into_iter().filter(|id| self.next.users.find(id.as_str()).is_some_and(|f| astray(&f))).collect()
        };
        for id in found {
            let fault = Fault::Misplaced("role `org-admin` goes only to users of the default account");
            self.violation(Key::User(id), "account", fault);
        }
    }

    /// Rule 2.1: an address is unique. Those given up in this version are free for others in it.
    fn check_emails(&mut self) {
        let changes = std::mem::take(&mut self.emails);
        let mut edits: HashMap<Box<str>, Option<EditRow<()>>> = HashMap::new();
        for (user, (old, _)) in &changes {
            if let Some(old) = old
                && self.next.user_by_email(old) == Some(user.as_str())
            {
                edits.insert(old.as_str().into(), None);
            }
        }
        let mut claims: Vec<(String, OpaqueId)> = changes.into_iter().map(|(user, (_, new))| (new, user)).collect();
        claims.sort();
        let mut last: Option<(String, OpaqueId)> = None;
        for (email, user) in claims {
            let freed = matches!(edits.get(email.as_str()), Some(None));
            let stored = if freed { None } else { self.next.user_by_email(&email) };
            let twin = last.as_ref().filter(|(e, _)| *e == email).map(|(_, u)| u.as_str());
            // Both: what is stored may be the claimant's own, put again, and still be claimed by another.
            let taken = [stored, twin].into_iter().flatten().find(|by| *by != user.as_str()).map(str::to_owned);
            if let Some(by) = taken {
                let fault = Fault::EmailTaken { email: email.clone(), user: by };
                self.violation(Key::User(user.clone()), "email", fault);
            } else {
                let row = EditRow { value: (), near: user.as_str().into(), far: None };
                edits.insert(email.as_str().into(), Some(row));
            }
            last = Some((email, user));
        }
        self.next.emails.edit(edits.into_iter().map(|(id, row)| Edit { id, row }).collect());
    }

    /// Rule 2.1: managers exist and form no circle.
    fn check_managers(&mut self) {
        let mut fine: HashSet<OpaqueId> = HashSet::new();
        for start in std::mem::take(&mut self.dirty.managers) {
            let mut path: Vec<OpaqueId> = Vec::new();
            let mut on_path: HashSet<OpaqueId> = HashSet::new();
            let mut current = start.clone();
            let fault = loop {
                if fine.contains(&current) {
                    break None;
                }
                if !on_path.insert(current.clone()) {
                    let text: Vec<&str> = path.iter().map(OpaqueId::as_str).take(8).collect();
                    break Some(Fault::Cycle(format!(
                        "`{current}` would be a manager of its own ({})",
                        text.join(" → ")
                    )));
                }
                path.push(current.clone());
                let Some(user) = self.stored::<User>(false, current.as_str()) else {
                    break Some(Fault::Unknown { what: "user", id: current.to_string() });
                };
                match user.manager {
                    Some(manager) => current = manager,
                    None => break None,
                }
            };
            match fault {
                None => fine.extend(path),
                Some(fault) => self.violation(Key::User(start), "manager", fault),
            }
        }
    }

    /// Rule 2.7: groups form no circle. Walks up from the groups whose nesting changed; what was
    /// once found to lead nowhere back is not walked again.
    fn check_nesting(&mut self) {
        let mut done: HashSet<u32> = HashSet::new();
        let mut circle = None;
        'starts: for start in &self.dirty.nesting {
            // (group, how many of its parents were walked)
            let mut path: Vec<(u32, usize)> = vec![(*start, 0)];
            let mut on_path: HashSet<u32> = HashSet::from([*start]);
            while let Some((group, walked)) = path.last_mut() {
                let parent = self.next.group_slot(*group).and_then(|s| s.parents.get(*walked).copied());
                *walked += 1;
                match parent {
                    Some(parent) if on_path.contains(&parent) => {
                        circle = Some((parent, path.iter().map(|(g, _)| *g).collect::<Vec<_>>()));
                        break 'starts;
                    }
                    Some(parent) if !done.contains(&parent) => {
                        on_path.insert(parent);
                        path.push((parent, 0));
                    }
                    Some(_) => {}
                    None => {
                        done.insert(*group);
                        on_path.remove(group);
                        path.pop();
                    }
                }
            }
        }
        let Some((group, path)) = circle else { return };
        let Some(slot) = self.next.group_slot(group) else { return };
        let key = Key::Group(slot.row.id.clone());
        let ids =
            path.iter().skip_while(|g| **g != group).filter_map(|g| Some(self.next.group_slot(*g)?.row.id.as_str()));
        let text = ids.take(8).collect::<Vec<_>>().join(" → ");
        self.violation(key, "groups", Fault::Cycle(format!("{text} → {}", slot.row.id)));
    }

    /// Makes what decisions read from what was put. Cannot fail: all was checked.
    pub(super) fn flatten(&mut self) {
        if self.dirty.catalogue {
            self.flatten_catalogue();
        }
        self.flatten_bundles();
        self.flatten_separations();
        self.flatten_activations();
        if self.dirty.domains {
            self.flatten_domains();
        }
        self.flatten_nesting();
        let held = std::mem::take(&mut self.dirty.targets);
        let contents = std::mem::take(&mut self.dirty.contents);
        for target in held.union(&contents).copied() {
            self.flatten_target(target, held.contains(&target));
            if let Unpacked::Object(object) = unpack(target) {
                self.dirty.policies.insert(object);
            }
        }
        self.flatten_policies();
        self.flatten_shares();
        self.flatten_lists();
        self.prune_shapes();
    }

    fn flatten_catalogue(&mut self) {
        let mut edits = Vec::new();
        for (number, slot) in self.next.catalogue() {
            let twin = slot.row.when_not_owner.as_ref();
            let value = PermissionRef {
                number,
                level: slot.row.level,
                requires_visibility: slot.row.requires_visibility,
                requires_approver: slot.row.requires_approver,
                when_not_owner: twin.and_then(|q| Some(self.next.permission(q.as_str())?.number)),
            };
            for name in std::iter::once(&slot.row.name).chain(&slot.row.aliases) {
                if self.next.permission(name.as_str()) != Some(value) {
                    let row = Some(EditRow { value, near: Vec::new(), far: None });
                    edits.push(Edit { id: name.as_str().into(), row });
                }
            }
        }
        self.next.permissions.edit(edits);
        let all = 0..u32::try_from(self.next.bundles.len()).unwrap_or(u32::MAX);
        self.dirty.bundles.extend(all);
    }

    /// Permissions in the order of their names: what a prefix covers is then a range.
    fn sorted_names(&self) -> Vec<(Box<str>, u32)> {
        let names = self.next.catalogue().map(|(n, slot)| (slot.row.name.as_str().into(), n));
        let mut names: Vec<(Box<str>, u32)> = names.collect();
        names.sort_unstable();
        names
    }

    fn flatten_bundles(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty.bundles);
        let activated = dirty.iter().filter_map(|role| self.next.activated.get(role).copied());
        dirty.extend(activated.collect::<Vec<_>>());
        if dirty.is_empty() {
            return;
        }
        let names = self.sorted_names();
        let mut changed: BTreeSet<u32> = BTreeSet::new();
        // Which permission came to be in which bundle, or is not any more.
        let mut moved: Vec<(u32, u32)> = Vec::new();
        for number in dirty {
            let Some(bundle) = self.next.bundle(number).cloned() else { continue };
            let mut numbers: Vec<u32> = Vec::new();
            for pattern in self.next.patterns(&bundle) {
                match pattern.coverage() {
                    Coverage::All => numbers.extend(names.iter().map(|(_, n)| *n)),
                    Coverage::Prefix(prefix) => {
                        let start = names.partition_point(|(name, _)| &**name < prefix);
                        let covered =
                            names.get(start..).unwrap_or(&[]).iter().take_while(|(name, _)| name.starts_with(prefix));
                        numbers.extend(covered.map(|(_, n)| *n));
                    }
                    Coverage::One(name) => numbers.extend(self.next.permission(name).map(|p| p.number)),
                }
            }
            let set: Set = numbers.into_iter().collect();
            let shows = set
                .iter()
                .filter_map(|n| self.next.permission_slot(n))
                .any(|slot| slot.row.requires_visibility && slot.row.level == Level::Object);
            if bundle.set != set || bundle.shows != shows {
                moved.extend(bundle.set.iter().filter(|p| !set.contains(*p)).map(|p| (p, number)));
                moved.extend(set.iter().filter(|p| !bundle.set.contains(*p)).map(|p| (p, number)));
                self.edit_bundle(number, |b| (b.set, b.shows) = (set, shows));
                self.dirty.contents.extend(bundle.held.keys());
                changed.insert(number);
            }
        }
        self.flatten_givers(moved);
        if !changed.is_empty() {
            self.dirty.separations |= !self.next.separations.is_empty();
            let stale = |bundles: &[u32]| bundles.iter().any(|b| changed.contains(b));
            let keys: Vec<Box<[u32]>> = self.next.shapes.keys().filter(|k| stale(k)).cloned().collect();
            for key in keys {
                self.next.shapes.remove(&key);
            }
        }
    }

    /// Given each permission and bundle of which one now contains the other and did not, or the
    /// other way round. (A deleted bundle stays where it was: nobody holds it.)
    fn flatten_givers(&mut self, mut moved: Vec<(u32, u32)>) {
        if moved.is_empty() {
            return;
        }
        moved.sort_unstable();
        let mut givers: Vec<Set> = self.next.givers.to_vec();
        givers.resize(self.next.permission_slots.len().max(givers.len()), Set::default());
        for moved in moved.chunk_by(|a, b| a.0 == b.0) {
            let Some(set) = moved.first().and_then(|(permission, _)| givers.get_mut(*permission as usize)) else {
                continue;
            };
            let bundles: Vec<u32> = moved.iter().map(|(_, bundle)| *bundle).collect();
            let stay = set.iter().filter(|b| bundles.binary_search(b).is_err());
            let come = bundles.iter().copied().filter(|b| !set.contains(*b));
            *set = stay.chain(come).collect();
        }
        self.next.givers = givers.into();
    }

    /// Rule 2.6: which dynamic groups a domain leads to, while it is the organization's.
    fn flatten_domains(&mut self) {
        let mut slots: BTreeMap<u32, DomainSlot> = BTreeMap::new();
        let domains = &self.next.domains;
        let number = |domain: &str| domains.find(domain).map(|f| f.value);
        let own = self.next.settings.iter().flat_map(|s| &s.email_domains);
        for domain in own {
            if let Some(n) = number(domain.domain.as_str()) {
                slots.insert(n, DomainSlot { own: Some(domain.audience), ..DomainSlot::default() });
            }
        }
        for (group, slot) in (0u32..).zip(&self.next.group_slots) {
            let Some(GroupKind::Dynamic(domains)) = slot.as_ref().map(|s| &s.row.kind) else { continue };
            for domain in domains {
                let Some(n) = number(domain.as_str()) else { continue };
                let slot = slots.entry(n).or_default();
                slot.named.push(group);
                if slot.own.is_some() {
                    slot.groups.push(group);
                }
            }
        }
        self.next.has_dynamic = slots.values().any(|slot| !slot.named.is_empty());
        for n in 0..self.next.domain_slots.len() {
            let new = u32::try_from(n).ok().and_then(|n| slots.remove(&n)).unwrap_or_default();
            if self.next.domain_slots.get(n).is_some_and(|old| **old != new) {
                self.next.domain_slots.set(n, Arc::new(new));
            }
        }
    }

    /// Closes groups over nesting: those that hold something and stand above a change.
    fn flatten_nesting(&mut self) {
        let mut open: Vec<u32> = self.dirty.nesting.iter().copied().collect();
        let mut above: BTreeSet<u32> = self.dirty.nesting.clone();
        while let Some(slot) = open.pop().and_then(|g| self.next.group_slot(g)) {
            open.extend(slot.parents.iter().copied().filter(|p| above.insert(*p)));
        }
        above.extend(std::mem::take(&mut self.dirty.holders));
        for group in above {
            let Some(slot) = self.next.group_slot(group) else { continue };
            if slot.held.is_empty() {
                continue;
            }
            self.dirty.targets.extend(slot.held.keys().filter(|t| **t != AT_RECORDS));
            let below: Set = self.below(group).into_iter().collect();
            self.edit_group(group, |g| g.below = Some(Arc::new(below)));
        }
    }

    /// A group and all nested in it (rule 2.7).
    fn below(&self, group: u32) -> BTreeSet<u32> {
        let mut below = BTreeSet::from([group]);
        let mut open = vec![group];
        while let Some(next) = open.pop() {
            if let Some(slot) = self.next.group_slot(next) {
                open.extend(slot.children.iter().copied().filter(|c| below.insert(*c)));
            }
        }
        below
    }

    /// Who holds what at a target. Unless others hold something there now, or groups are nested otherwise, whoever
    /// held all that a class consists of still does: of a role whose contents change, only the classes that it is in are new.
    fn flatten_target(&mut self, target: TargetNo, others_hold: bool) {
        let Some(old) = self.next.holdings_at(target).cloned() else { return };
        let edges = &old.edges;
        let mut bundles: Vec<u32> = edges.iter().map(|edge| edge.bundle).collect();
        bundles.dedup();
        let shape = self.shape(&bundles);
        // Closed over nesting.
        let holders_of = |bundles: &[u32], counts: &dyn Fn(u32) -> bool| {
            let (mut always, mut timed) = (Vec::new(), Vec::new());
            for bundle in bundles.iter().copied().filter(|b| counts(*b)) {
                let start = edges.partition_point(|edge| edge.bundle < bundle);
                for edge in edges.iter().skip(start).take_while(|edge| edge.bundle == bundle) {
                    let Some(below) = self.next.group_slot(edge.at).and_then(|g| g.below.as_ref()) else { continue };
                    if edge.is_timeless() {
                        always.extend(below.iter());
                    } else {
                        timed.extend(below.iter().map(|at| Edge { at, ..*edge }));
                    }
                }
            }
            timed.sort_unstable();
            Holders { always: always.into_iter().collect(), timed: timed.into() }
        };
        let known = if others_hold { HashMap::new() } else { old.by_class().collect::<HashMap<_, _>>() };
        let holders = shape.classes.iter().map(|class| match known.get(&**class) {
            Some(holders) => Holders::clone(holders),
            None => holders_of(class, &|_| true),
        });
        let holders = std::iter::once(Holders::default()).chain(holders).collect();
        let denying = self.next.denying.as_ref().map(|denying| &denying.bundles);
        let apart = denying.filter(|denying| bundles.iter().any(|b| denying.contains(*b))).map(|denying| {
            let roles = bundles.iter().filter(|b| denying.contains(**b));
            let roles = roles.map(|b| (*b, holders_of(&[*b], &|_| true))).collect();
            let others = shape.classes.iter().map(|class| holders_of(class, &|b| !denying.contains(b))).collect();
            Box::new(Apart { roles, others })
        });
        let holdings = Holdings { holders, edges: old.edges.clone(), shape, apart };
        self.set_holdings(target, holdings);
    }

    /// The shape of a target at which these bundles are held: found, or made.
    fn shape(&mut self, bundles: &[u32]) -> Arc<Shape> {
        if let Some(shape) = self.next.shapes.get(bundles) {
            return Arc::clone(shape);
        }
        // Refines one class of all permissions by each bundle in turn: those in it part from those
        // outside it. A class is known by the one it parted from and the bundle that parted it.
        let mut class_of: Vec<usize> = vec![0; self.next.permission_slots.len()];
        let mut parted: Vec<(usize, u32)> = vec![(0, 0)];
        // By class: which bundle, counted from 1, parted it last, and into what.
        let mut last: Vec<(usize, usize)> = vec![(0, 0)];
        for (turn, number) in (1..).zip(bundles) {
            let Some(bundle) = self.next.bundle(*number) else { continue };
            for permission in bundle.set.iter() {
                let Some(class) = class_of.get_mut(permission as usize) else { continue };
                let Some((when, into)) = last.get_mut(*class) else { continue };
                if *when != turn {
                    (*when, *into) = (turn, parted.len());
                    parted.push((*class, *number));
                }
                *class = *into;
                last.resize(parted.len(), (0, 0));
            }
        }
        // Only classes that ended up with a permission are kept: at most one a permission, and
        // MAX_PERMISSIONS fits 16 bits.
        let mut kept: HashMap<usize, u16> = HashMap::from([(0, 0)]);
        let mut classes: Vec<Box<[u32]>> = Vec::new();
        let class_of = class_of.into_iter().map(|class| {
            *kept.entry(class).or_insert_with(|| {
                let mut members = Vec::new();
                let mut at = class;
                while let Some((from, bundle)) = parted.get(at).filter(|_| at != 0) {
                    members.push(*bundle);
                    at = *from;
                }
                classes.push(members.into());
                u16::try_from(classes.len()).unwrap_or(0)
            })
        });
        let shape = Arc::new(Shape { class_of: class_of.collect(), classes });
        self.next.shapes.insert(bundles.into(), Arc::clone(&shape));
        shape
    }

    /// Forgets shapes that no target has any more, once there are many more shapes than targets.
    fn prune_shapes(&mut self) {
        let targets = 1 + self.next.account_slots.len() + self.next.object_slots.len();
        if self.next.shapes.len() <= 64 + 2 * targets {
            return;
        }
        let idle = |shape: &Arc<Shape>| Arc::strong_count(shape) == 1;
        let keys: Vec<Box<[u32]>> = self.next.shapes.iter().filter(|(_, s)| idle(s)).map(|(k, _)| k.clone()).collect();
        for key in keys {
            self.next.shapes.remove(&key);
        }
    }
}
