//! From a principal up through its groups: which there are, how near, and by which ways.
//!
//! Groups nest in a graph without circles, in which the ways may be exponentially many. They are
//! made one at a time, shortest first: a way is begun at its far end and led back towards the
//! principal, and since the distance of every group is known, no step is taken that leads nowhere.
//! Each way costs at most its length.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use crate::core::table::Table;

/// The groups that a principal is in by any path.
pub(in crate::core) struct Above {
    places: HashMap<u32, Place>,
}

#[derive(Default)]
struct Place {
    /// How many groups the shortest way has, this one included.
    distance: usize,
    /// Whether the principal is a direct member.
    direct: bool,
    /// The groups among these that are direct members, nearest first.
    from: Vec<u32>,
}

/// A way from the principal, without it, to whoever holds something.
pub(in crate::core) struct Way {
    /// Which of the ends that were asked for.
    pub(in crate::core) end: usize,
    /// Groups, nearest first; empty where the principal itself is the end.
    pub(in crate::core) groups: Vec<u32>,
}

/// A way that is known from a group to its end.
struct Tail {
    group: u32,
    next: Option<usize>,
    length: usize,
    end: usize,
}

/// The tail to lead on, by which of its choices: the principal if it is a direct member, then
/// [`Place::from`].
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Open {
    /// The length of the whole way.
    total: Reverse<usize>,
    /// Of ways that will be as long, the one that is nearly done: it costs nothing to keep many.
    length: usize,
    /// Then in the order in which the ends were given.
    end: Reverse<usize>,
    choice: Reverse<usize>,
    /// None: the end is the principal.
    tail: Option<usize>,
}

impl Above {
    /// The closure over nesting of these direct groups (rule 2.7).
    pub(in crate::core) fn of(table: &Table, direct: impl Iterator<Item = u32>) -> Self {
        let mut places: HashMap<u32, Place> = HashMap::new();
        let mut open = VecDeque::new();
        for group in direct {
            let place = places.entry(group).or_default();
            if !place.direct {
                (place.direct, place.distance) = (true, 1);
                open.push_back(group);
            }
        }
        while let Some(group) = open.pop_front() {
            let distance = places.get(&group).map_or(0, |p| p.distance);
            let Some(slot) = table.group_slot(group) else { continue };
            for parent in &slot.parents {
                let place = places.entry(*parent).or_default();
                place.from.push(group);
                if place.distance == 0 {
                    place.distance = distance + 1;
                    open.push_back(*parent);
                }
            }
        }
        // Nearest first needs no sorting: groups were visited in that order.
        Self { places }
    }

    /// How many groups the shortest way to a group has.
    pub(in crate::core) fn distance(&self, group: u32) -> usize {
        self.places.get(&group).map_or(usize::MAX, |place| place.distance)
    }

    /// Whether the principal is in that group.
    pub(in crate::core) fn contains(&self, group: u32) -> bool {
        self.places.contains_key(&group)
    }

    /// The groups, nearest first.
    pub(in crate::core) fn groups(&self) -> Vec<u32> {
        let mut groups: Vec<(usize, u32)> = self.places.iter().map(|(g, p)| (p.distance, *g)).collect();
        groups.sort_unstable();
        groups.into_iter().map(|(_, g)| g).collect()
    }

    /// The shortest way to a group.
    pub(in crate::core) fn shortest(&self, group: u32) -> Option<Vec<u32>> {
        self.ways(&[Some(group)], 1).0.pop().map(|way| way.groups)
    }

    /// Up to `limit` ways to these ends, shortest first, and whether there are more. An end is a
    /// group, or the principal itself (none).
    pub(in crate::core) fn ways(&self, ends: &[Option<u32>], limit: usize) -> (Vec<Way>, bool) {
        let mut tails: Vec<Tail> = Vec::new();
        let mut open: BinaryHeap<Open> = BinaryHeap::new();
        for (end, group) in ends.iter().enumerate() {
            match group {
                None => {
                    let (total, choice) = (Reverse(0), Reverse(0));
                    open.push(Open { total, length: 0, end: Reverse(end), choice, tail: None });
                }
                Some(group) => self.begin(Tail { group: *group, next: None, length: 1, end }, &mut tails, &mut open),
            }
        }
        let mut ways = Vec::new();
        while let Some(Open { end, choice, tail, .. }) = open.pop() {
            if ways.len() == limit {
                return (ways, true);
            }
            let Some((at, tail)) = tail.and_then(|at| Some((at, tails.get(at)?))) else {
                ways.push(Way { end: end.0, groups: Vec::new() });
                continue;
            };
            let Some(place) = self.places.get(&tail.group) else { continue };
            let (length, end) = (tail.length, tail.end);
            let is_whole = place.direct && choice.0 == 0;
            let before = place.from.get(choice.0 - usize::from(place.direct && choice.0 > 0)).copied();
            if is_whole {
                ways.push(Way { end, groups: spelled(&tails, at) });
            }
            self.offer(&tails, at, choice.0 + 1, &mut open);
            if let (false, Some(group)) = (is_whole, before) {
                self.begin(Tail { group, next: Some(at), length: length + 1, end }, &mut tails, &mut open);
            }
        }
        (ways, false)
    }

    fn begin(&self, tail: Tail, tails: &mut Vec<Tail>, open: &mut BinaryHeap<Open>) {
        tails.push(tail);
        self.offer(tails, tails.len() - 1, 0, open);
    }

    /// Leads a tail on by one of its choices, if it has so many.
    fn offer(&self, tails: &[Tail], at: usize, choice: usize, open: &mut BinaryHeap<Open>) {
        let Some(tail) = tails.get(at) else { return };
        let Some(place) = self.places.get(&tail.group) else { return };
        let distance = match choice.checked_sub(usize::from(place.direct)) {
            None => Some(0),
            Some(n) => place.from.get(n).and_then(|g| Some(self.places.get(g)?.distance)),
        };
        let Some(distance) = distance else { return };
        open.push(Open {
            total: Reverse(tail.length + distance),
            length: tail.length,
            end: Reverse(tail.end),
            choice: Reverse(choice),
            tail: Some(at),
        });
    }
}

fn spelled(tails: &[Tail], from: usize) -> Vec<u32> {
    std::iter::successors(tails.get(from), |tail| tails.get(tail.next?)).map(|tail| tail.group).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Above, Place};

    /// `direct` members and who is a direct member of whom, with distances worked out the long way.
    fn above(direct: &[u32], nested: &[(u32, u32)]) -> Above {
        let mut places = std::collections::HashMap::<u32, Place>::new();
        for group in direct {
            *places.entry(*group).or_default() = Place { distance: 1, direct: true, from: vec![] };
        }
        for distance in 2..70 {
            for (below, above) in nested {
                if places.get(below).is_some_and(|p| p.distance == distance - 1) {
                    let place = places.entry(*above).or_default();
                    if place.distance == 0 {
                        place.distance = distance;
                    }
                }
            }
        }
        let mut nested = nested.to_vec();
        nested.sort_by_key(|(below, _)| places.get(below).map(|p| p.distance));
        for (below, above) in nested {
            if places.contains_key(&below) {
                places.get_mut(&above).unwrap().from.push(below);
            }
        }
        Above { places }
    }

    #[test]
    fn ways_come_shortest_first_each_once() {
        let above = above(&[1, 2], &[(1, 3), (2, 3), (1, 4), (4, 3), (3, 5)]);
        let (ways, more) = above.ways(&[Some(5), None, Some(1)], 10);
        let ways: Vec<_> = ways.into_iter().map(|w| (w.end, w.groups)).collect();
        let expected = [(1, vec![]), (2, vec![1]), (0, vec![1, 3, 5]), (0, vec![2, 3, 5]), (0, vec![1, 4, 3, 5])];
        assert_eq!(ways, expected);
        assert!(!more);
        assert_eq!(above.shortest(5), Some(vec![1, 3, 5]));
        assert_eq!(above.shortest(9), None);
    }

    #[test]
    fn of_very_many_ways_only_those_asked_for_are_made() {
        // Thirty diamonds on top of each other: 2^30 ways of the same length.
        let nested = (0..30).flat_map(|n| {
            let (low, left, right, high) = (3 * n, 3 * n + 1, 3 * n + 2, 3 * n + 3);
            [(low, left), (low, right), (left, high), (right, high)]
        });
        let above = above(&[0], &nested.collect::<Vec<_>>());
        let (ways, more) = above.ways(&[Some(90)], 100);
        assert!(more);
        assert!(ways.iter().all(|w| w.groups.len() == 61));
        assert_eq!(ways.iter().map(|w| w.groups.clone()).collect::<BTreeSet<_>>().len(), 100);
    }
}
