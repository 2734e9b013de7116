//! What each principal may do where, and by which paths.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::core::edge::{AT_ORGANIZATION, Unpacked, at_account, at_object, unpack};
use crate::core::explain::Path;
use crate::core::id::{Coverage, Id, Pattern};
use crate::core::model::{Level, Member, Millis, Target};
use crate::core::principal::PrincipalFound;
use crate::core::table::{PermissionRef, Table};

use super::standing::Spot;
use super::{Held, Holder, Place, Review, as_if, may_act};

/// Which access is asked for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// What has effect at this target or below; everywhere, if none.
    pub target: Option<Target>,
    /// These permissions; if none are named, all, as they were given.
    pub permissions: Vec<PermissionRef>,
    /// Principals that may not act too, as if they could.
    pub inactive: bool,
}

/// One permission that a principal has at one target.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Who.
    pub principal: Member,
    /// What: a permission's name, or a wildcard as it was given where no permissions were asked for.
    pub permission: String,
    /// Where it is held.
    pub target: Target,
    /// How it comes to be held: the paths that no constraint voids, if any.
    pub paths: Vec<Path>,
    /// Whether there are more paths.
    pub truncated: bool,
    /// Whether data-access policies decide of which records (rule 4.7).
    pub by_policies: bool,
    /// The separation constraints that void it there (rule 4.5). None, if it stands.
    pub void_by: BTreeSet<Id>,
    /// What closes the element there to the principal (rule 4.4), for people.
    pub closed_by: Option<String>,
    /// When it ends, if it is held by emergency activations alone (rule 7.4).
    pub activated_until: Option<Millis>,
}

impl Entry {
    /// Whether a decision finds it held there: nothing voids it or closes the element.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.void_by.is_empty() && self.closed_by.is_none()
    }
}

/// Something held, and the pattern by which it gives a permission.
type Given<'h> = (&'h Held<'h>, Option<Pattern>);

/// Makes the entries, principal by principal.
pub struct Access<'r, 'a> {
    review: &'r Review<'a>,
    asked: Asked,
    /// Whether a pattern covers a permission that requires visibility.
    shown: HashMap<Pattern, bool>,
}

impl<'r, 'a> Access<'r, 'a> {
    /// What is asked of a version.
    #[must_use]
    pub fn new(review: &'r Review<'a>, asked: Asked) -> Self {
        Self { review, asked, shown: HashMap::new() }
    }

    /// What a principal has, by permission and target.
    pub fn of(&mut self, service: bool, id: &'a str) -> Vec<Entry> {
        let Some(found) = self.review.find(service, id) else { return Vec::new() };
        if !self.asked.inactive && !may_act(found.value.status) {
            return Vec::new();
        }
        let active = self.asked.inactive && !may_act(found.value.status);
        let Some(holder) = self.review.holder(service, &found, active) else { return Vec::new() };
        let mut entries: BTreeMap<(String, Target), Vec<Given<'_>>> = BTreeMap::new();
        for held in holder.held.iter().filter(|held| self.admits(held.place)) {
            let Some(target) = self.review.target(held.place) else { continue };
            for (permission, pattern) in self.given(held) {
                entries.entry((permission, target.clone())).or_default().push((held, Some(pattern)));
            }
        }
        let found = as_if(&found, active);
        let entries = entries.into_iter();
        entries.map(|(key, held)| self.entry(&holder, (service, &found), key, held)).collect()
    }

    /// What a decision makes of something held at a target: at that asked for, if it is narrower.
    fn entry(
        &mut self,
        holder: &Holder<'_, 'a>,
        (service, found): (bool, &PrincipalFound<'a>),
        (permission, target): (String, Target),
        mut held: Vec<Given<'_>>,
    ) -> Entry {
        let by_policies = held.iter().any(|(_, pattern)| self.is_shown(&permission, pattern.as_ref()));
        let spot = Spot::of([self.asked.target.as_ref(), Some(&target)]);
        let bundles = held.iter().map(|(held, _)| held.bundle);
        let mut voids = self.review.void_by(service, found, &spot, bundles).into_iter();
        let mut void_by = BTreeSet::new();
        let mut standing = held.clone();
        standing.retain(|_| {
            let void = voids.next().unwrap_or_default();
            let stands = void.is_empty();
            void_by.extend(void);
            stands
        });
        if !standing.is_empty() {
            held = standing;
            void_by.clear();
        }
        let activation = held.iter().all(|(held, _)| self.review.table.is_activation(held.bundle));
        let activated_until = held.iter().map(|(held, _)| held.edge.until).max().filter(|_| activation);
        let closed_by = self.review.closed_by(found, &spot);
        let (paths, truncated) = holder.paths(&held);
        let principal = holder.member.clone();
        Entry { principal, permission, target, paths, truncated, by_policies, void_by, closed_by, activated_until }
    }

    /// Whether what is held there has effect at the target asked for, or below it.
    fn admits(&self, place: Place<'_>) -> bool {
        let table = self.review.table;
        let object = |id: &str| table.objects.find(id).map(|f| f.value);
        let account = |place| matches!(place, Place::At(t) if matches!(unpack(t), Unpacked::Account(_)));
        let wider = place == Place::At(AT_ORGANIZATION);
        match &self.asked.target {
            None | Some(Target::Organization) => true,
            Some(Target::Account(id)) => {
                wider || table.accounts.find(id.as_str()).is_some_and(|f| place == Place::At(at_account(f.value)))
            }
            Some(Target::Object(id)) => {
                let here = |n| place == Place::At(at_object(n)) || matches!(place, Place::Record(of, _) if of == n);
                wider || account(place) || object(id.as_str()).is_some_and(here)
            }
            Some(Target::Record(id, record)) => {
                let here = |n| place == Place::At(at_object(n)) || place == Place::Record(n, record.as_str());
                wider || account(place) || object(id.as_str()).is_some_and(here)
            }
        }
    }

    /// What something held gives where it is held (rule 3.1), and by which pattern.
    fn given(&self, held: &Held<'_>) -> Vec<(String, Pattern)> {
        let (table, level) = (self.review.table, held.place.level());
        let patterns = self.review.patterns(held.bundle);
        if self.asked.permissions.is_empty() {
            let given = patterns.iter().filter_map(|pattern| match pattern.coverage() {
                Coverage::One(name) => {
                    let permission = table.permission(name).filter(|p| p.level <= level)?;
                    Some((table.permission_slot(permission.number)?.row.name.to_string(), pattern.clone()))
                }
                Coverage::All | Coverage::Prefix(_) => Some((pattern.to_string(), pattern.clone())),
            });
            return given.collect();
        }
        let Some(set) = table.bundle(held.bundle).map(|b| &b.set) else { return Vec::new() };
        let asked = self.asked.permissions.iter().filter(|p| p.level <= level && set.contains(p.number));
        let named = asked.filter_map(|p| {
            let name = table.permission_slot(p.number)?.row.name.as_str();
            let pattern = patterns.iter().find(|pattern| covers(table, pattern, p.number, name))?;
            Some((name.to_owned(), pattern.clone()))
        });
        named.collect()
    }

    /// Whether data-access policies have a say in it.
    fn is_shown(&mut self, permission: &str, pattern: Option<&Pattern>) -> bool {
        let table = self.review.table;
        if let Some(permission) = table.permission(permission) {
            return permission.requires_visibility;
        }
        let Some(pattern) = pattern else { return false };
        if let Some(known) = self.shown.get(pattern) {
            return *known;
        }
        let marked =
            |slot: &crate::core::table::PermissionSlot| slot.row.requires_visibility && slot.row.level == Level::Object;
        let shown =
            table.catalogue().any(|(n, slot)| marked(slot) && covers(table, pattern, n, slot.row.name.as_str()));
        self.shown.insert(pattern.clone(), shown);
        shown
    }
}

/// Whether a pattern covers the permission of this number and name.
fn covers(table: &Table, pattern: &Pattern, number: u32, name: &str) -> bool {
    match pattern.coverage() {
        Coverage::All => true,
        Coverage::Prefix(prefix) => name.starts_with(prefix),
        Coverage::One(one) => table.permission(one).is_some_and(|p| p.number == number),
    }
}
