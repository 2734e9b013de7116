//! Who holds what at one target, records aside: permissions in classes, each with one set of holders.
//! See `core::table`.

use std::sync::Arc;

use super::edge::Edge;
use super::principal::Groups;
use super::set::Set;

/// What groups hold at one target (records aside).
#[derive(Default)]
pub struct Holdings {
    /// Sorted by bundle and group; `at` is the group.
    pub(super) edges: Vec<Edge>,
    pub(super) shape: Arc<Shape>,
    /// By class, of which 0 is nobody's.
    pub(super) holders: Box<[Holders]>,
    /// The same told apart by role, where a role is held here that a constraint denies (rule 7.3).
    pub(super) apart: Option<Box<Apart>>,
}

/// Who holds what at a target, by roles of constraints that deny and by all else.
pub(super) struct Apart {
    /// By bundle, ascending: who holds such a role.
    pub(super) roles: Box<[(u32, Holders)]>,
    /// By class, less one: who holds its permissions by anything else.
    pub(super) others: Box<[Holders]>,
}

/// Which permissions the roles held at a target put together: a function of the roles alone.
#[derive(Default, Debug)]
pub struct Shape {
    /// By permission number: 0 for none, else the class plus one.
    pub(super) class_of: Box<[u16]>,
    /// The bundles that contain the class's permissions.
    pub(super) classes: Vec<Box<[u32]>>,
}

/// Who holds the permissions of a class at a target.
#[derive(Default, Clone)]
pub(super) struct Holders {
    /// Groups, closed over nesting, that hold without bounds of time.
    pub(super) always: Set,
    /// Groups, closed over nesting, that hold for a time; sorted by group (`at`).
    pub(super) timed: Box<[Edge]>,
}

impl Shape {
    /// The bundles that contain a permission.
    pub(super) fn bundles_with(&self, permission: u32) -> &[u32] {
        let class = self.class_of.get(permission as usize).and_then(|c| usize::from(*c).checked_sub(1));
        class.and_then(|c| self.classes.get(c)).map_or(&[], |bundles| bundles)
    }
}

impl Holdings {
    /// The bundles that each class consists of, and who holds its permissions.
    pub(super) fn by_class(&self) -> impl Iterator<Item = (&[u32], &Holders)> {
        self.shape.classes.iter().map(|class| &**class).zip(self.holders.iter().skip(1))
    }

    /// Who holds `permission` here.
    #[inline]
    pub(super) fn holders<'a>(&'a self, permission: u32, nobody: &'a Holders) -> &'a Holders {
        self.of_class(permission).unwrap_or(nobody)
    }

    #[inline]
    fn of_class(&self, permission: u32) -> Option<&Holders> {
        let class = self.shape.class_of.get(permission as usize).copied().unwrap_or(0);
        self.holders.get(usize::from(class))
    }

    /// The same, of bundles that are not among the `void` ones.
    pub(super) fn hold_apart(&self, permission: u32, groups: Groups<'_>, now: i64, void: impl Fn(u32) -> bool) -> bool {
        let Some(apart) = &self.apart else {
            return self.of_class(permission).is_some_and(|holders| holders.hold(groups, now));
        };
        let class = self.shape.class_of.get(permission as usize);
        let Some(class) = class.and_then(|class| usize::from(*class).checked_sub(1)) else { return false };
        apart.others.get(class).is_some_and(|holders| holders.hold(groups, now))
            || self.shape.bundles_with(permission).iter().any(|b| !void(*b) && self.hold_role(*b, groups, now))
    }

    /// Whether one of `groups` holds a role here now that a constraint denies.
    pub(super) fn hold_role(&self, role: u32, groups: Groups<'_>, now: i64) -> bool {
        let Some(apart) = &self.apart else { return false };
        let found = apart.roles.binary_search_by_key(&role, |(bundle, _)| *bundle);
        found.ok().and_then(|at| apart.roles.get(at)).is_some_and(|(_, holders)| holders.hold(groups, now))
    }
}

impl Holders {
    /// Whether one of `groups` holds now.
    pub(super) fn hold(&self, groups: Groups<'_>, now: i64) -> bool {
        groups.meet_one(&self.always) || !self.timed.is_empty() && self.hold_for_a_time(groups, now)
    }

    /// Whether one of `groups` holds for a time that `now` is in (rule 3.4).
    #[cold]
    pub(super) fn hold_for_a_time(&self, groups: Groups<'_>, now: i64) -> bool {
        groups.any(|g| {
            let start = self.timed.partition_point(|e| e.at < g);
            let mine = self.timed.get(start..).unwrap_or(&[]);
            mine.iter().take_while(|e| e.at == g).any(|e| e.in_effect(now))
        })
    }
}

impl Holdings {
    /// Whether a group holds `permission` here now, by itself or through a group around it.
    pub(super) fn held_by(&self, permission: u32, group: u32, now: i64) -> bool {
        let group = group.to_le_bytes();
        let direct = std::slice::from_ref(&group);
        let groups = Groups { direct, system: &[], dynamic: &[] };
        self.of_class(permission).is_some_and(|holders| holders.hold(groups, now))
    }
}
