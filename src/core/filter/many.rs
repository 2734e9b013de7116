//! One question about many records: what rule 6.4 asks of all of them at once, and of the few at which
//! something is held, one by one.
//!
//! Of a record at which the principal holds nothing, only its owner, its account and what conditions read
//! matter. Whether the permission is held is therefore asked once for each account and for "own" and "not
//! own" ([`Walk::ask_of`], of a record that shows itself), the policies of all of them together
//! ([`answers`]). A record at which the principal holds something is asked whole, like a single decision,
//! and so is one to which others have relations, where conditions read these. Several permissions share
//! all of that but what is held.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::super::columns::{Answers, Beyond, Bits, Columns, RowOf, answers, columns_of, record_of};
use super::super::condition::{
    Constant, Expr, Facts, Lists, Outcome, RecordPart, Shape, evaluate, evaluate_tree, fold, is_heavy, reads,
};
use super::super::decision::{FoundRecord, Reason, Record, Walk};
use super::super::edge::has_relation;
use super::super::id::{MAX_ID_BYTES, OpaqueId, has_control};
use super::super::principal::PrincipalFound;
use super::super::sketch::Sketch;
use super::super::table::{PermissionRef, PolicySlot};
use super::super::visible::RecordFacts;
use super::{Filtered, asks_sight};

/// A question about many records.
pub(super) struct Many<'w, 'a> {
    pub(super) walk: &'w Walk<'a>,
    /// The permissions that are asked of each, one after the other; without one, visibility.
    pub(super) asked: &'w [Option<PermissionRef>],
}

/// What a policy says of a record.
enum Rule<'a> {
    /// What is left of its condition once the principal is known.
    Folded(Expr),
    /// One whose evaluation may end for want of steps, which folding would save: evaluated whole, for
    /// every record.
    Heavy(&'a Arc<PolicySlot>),
}

/// What the rules read of a record's attributes, and what is declared of it.
fn read<'r>(rules: &'r [Vec<Rule<'_>>; 2]) -> BTreeMap<&'r str, Shape> {
    let mut read = BTreeMap::new();
    for rule in rules.iter().flatten() {
        match rule {
            Rule::Folded(condition) => reads(condition, &mut read),
            Rule::Heavy(policy) => policy.condition.iter().for_each(|c| reads(c.root(), &mut read)),
        }
    }
    read
}

impl<'a> Many<'_, 'a> {
    /// Those that pass, for each permission; `None` if something is wrong with one. Where the columns were
    /// made of rows, these have the attributes.
    pub(super) fn pass(&self, columns: &Columns<'_>, rows: Option<&[Record<'_>]>) -> Option<Vec<Filtered>> {
        let places = self.places(columns)?;
        let Some(found) = self.walk.found() else {
            let reason = self.walk.refused().unwrap_or(Reason::PrincipalUnknown);
            let none = || Filtered { passed: Bits::all(columns.len(), false), reason, allowed: Vec::new() };
            return Some(self.asked.iter().map(|_| none()).collect());
        };
        let mut all: Vec<Bits> = self.asked.iter().map(|asked| self.allowed(*asked, &places, columns.len())).collect();
        let sent = &Sent { columns, rows };
        let told = self.leave_seen(found, sent, &mut all);
        self.ask_where_held(found, told, sent, &mut all);
        let filtered = |(passed, asked): (Bits, &Option<PermissionRef>)| {
            let allowed = asked.map(|permission| self.allowed_numbers(permission, &places, &passed));
            Filtered { passed, reason: Reason::Allowed, allowed: allowed.unwrap_or_default() }
        };
        Some(all.into_iter().zip(self.asked).map(filtered).collect())
    }

    /// What the policies that are about the principal say: those that allow, those that restrict.
    fn rules(&self, found: PrincipalFound<'a>) -> [Vec<Rule<'a>>; 2] {
        let nowhere = FoundRecord::shown(None, false);
        let facts = RecordFacts::new(self.walk, found, &nowhere);
        let rule = |policy: &&'a Arc<PolicySlot>| match &policy.condition {
            None => Rule::Folded(Expr::constant(Constant::Bool(true))),
            Some(condition) if is_heavy(condition) => Rule::Heavy(policy),
            Some(condition) => Rule::Folded(fold(condition, &facts, Lists::Keep)),
        };
        self.walk.policies(&found).each_ref().map(|policies| policies.iter().map(rule).collect())
    }

    /// What was allowed where these passed.
    fn allowed_numbers(&self, permission: PermissionRef, places: &Places, pass: &Bits) -> Vec<u32> {
        if pass.none() {
            return Vec::new();
        }
        let mut numbers = vec![permission.number];
        let mut others = pass.clone();
        others.without(&places.owned);
        let mut own = pass.clone();
        own.and(&places.owned);
        for (some, owned) in [(others, false), (own, true)] {
            let shown = FoundRecord::shown(self.walk.account, owned);
            numbers.extend(self.walk.held_instead(permission, Some(&shown)).filter(|_| !some.none()));
        }
        numbers
    }

    /// `None` if something is wrong with a record.
    fn places(&self, columns: &Columns<'_>) -> Option<Places> {
        let walk = self.walk;
        let ids = &columns.ids;
        let sound = !ids.have(has_control) && ids.are_long(&(1..=MAX_ID_BYTES));
        // Of texts that repeat, one may be wrong that no record names.
        if !sound && !(0..ids.len()).all(|at| ids.get(at).is_some_and(|id| OpaqueId::check(id).is_ok())) {
            return None;
        }
        let owned = match &columns.owners {
            None => Bits::all(columns.len(), false),
            Some(owners) => {
                let owned = owners.numbered(|owner| walk.owns(owner));
                if owned.contains(&None) {
                    return None;
                }
                Bits::of(&owned, |owned| *owned == Some(true))
            }
        };
        let accounts = match &columns.accounts {
            None => None,
            Some(accounts) => {
                let mut last = ("", Some(walk.account));
                let numbers = accounts.numbered(|account| {
                    if last.0 != account {
                        let found = || walk.table.accounts.get(account).map(Some);
                        last = (account, if account.is_empty() { Some(walk.account) } else { found() });
                    }
                    last.1
                });
                Some(numbers.into_iter().collect::<Option<Vec<_>>>()?)
            }
        };
        Some(Places { owned, accounts })
    }

    /// Everything but visibility, as if nothing was held at any of the records.
    fn allowed(&self, asked: Option<PermissionRef>, places: &Places, count: usize) -> Bits {
        let mut allowed = HashMap::new();
        let mut at = |account| -> [bool; 2] {
            let ask = || [false, true].map(|owned| self.allowed_at(asked, account, owned));
            *allowed.entry(account).or_insert_with(ask)
        };
        match &places.accounts {
            None => {
                let [other, own] = at(self.walk.account);
                let mut bits = if own { places.owned.clone() } else { Bits::all(count, false) };
                if other {
                    let mut others = Bits::all(count, true);
                    others.without(&places.owned);
                    bits.or(&others);
                }
                bits
            }
            Some(accounts) => {
                let mut last = (self.walk.account, at(self.walk.account));
                let passing = accounts.iter().enumerate().map(|(n, account)| {
                    if last.0 != *account {
                        last = (*account, at(*account));
                    }
                    let [other, own] = last.1;
                    if places.owned.has(n) { own } else { other }
                });
                passing.collect()
            }
        }
    }

    fn allowed_at(&self, asked: Option<PermissionRef>, account: Option<u32>, owned: bool) -> bool {
        let shown = FoundRecord::shown(account, owned);
        asked.is_none_or(|permission| self.walk.ask_of(permission, Some(&shown)) == Reason::Allowed)
    }

    /// Leaves those that the principal sees, where a permission asks for that. What it sees does not depend
    /// on the permission: policies are asked once, of the records that pass for any. Whether they read
    /// relations, of which the table may know more than was sent.
    fn leave_seen(&self, found: PrincipalFound<'a>, sent: &Sent<'_>, all: &mut [Bits]) -> bool {
        let mut seen = Bits::all(sent.columns.len(), false);
        for (pass, _) in all.iter().zip(self.asked).filter(|(_, asked)| asks_sight(**asked)) {
            seen.or(pass);
        }
        if seen.none() {
            return false;
        }
        let rules = self.rules(found);
        let read = read(&rules);
        match sent.rows {
            None => self.see(found, &rules, sent, &mut seen),
            Some(rows) => {
                let columns = &columns_of(rows, &read);
                self.see(found, &rules, &Sent { columns, rows: sent.rows }, &mut seen);
            }
        }
        for (pass, _) in all.iter_mut().zip(self.asked).filter(|(_, asked)| asks_sight(**asked)) {
            pass.and(&seen);
        }
        RecordPart::ALL.iter().any(|part| read.contains_key(part.name()))
    }

    /// Rule 6.4, where nothing is held at the record itself.
    fn see(&self, found: PrincipalFound<'a>, rules: &[Vec<Rule<'a>>; 2], sent: &Sent<'_>, pass: &mut Bits) {
        let [allow, restrict] = rules;
        pass.and(&self.any_of(found, allow, sent, pass).yes);
        if !restrict.is_empty() && !pass.none() {
            // INVARIANT 4: a condition that ends in an error restricts (6.3).
            pass.and(&self.any_of(found, restrict, sent, pass).no);
        }
    }

    /// Whether one of the rules holds, of those that are wanted.
    fn any_of(&self, found: PrincipalFound<'a>, rules: &[Rule<'a>], sent: &Sent<'_>, wanted: &Bits) -> Answers {
        let nowhere = FoundRecord::shown(None, false);
        let facts = RecordFacts::new(self.walk, found, &nowhere);
        let mut whole = Whole { walk: self.walk, found, sent, facts };
        let mut any = Answers::all(sent.columns.len(), false);
        for rule in rules {
            let mut wanted = wanted.clone();
            wanted.without(&any.yes);
            any.or(&match rule {
                Rule::Folded(condition) => answers(condition, sent.columns, &wanted, &mut whole),
                Rule::Heavy(policy) => Answers::one_by_one(sent.columns.len(), &wanted, |at| {
                    let condition = policy.condition.as_ref()?;
                    whole.ask(at, |facts| evaluate(condition, facts))
                }),
            });
        }
        any
    }

    /// The records at which the principal holds something, and with `told` those to which anybody has a relation, each
    /// as a decision asks it.
    fn ask_where_held(&self, found: PrincipalFound<'a>, told: bool, sent: &Sent<'_>, all: &mut [Bits]) {
        let Some((_, object)) = self.walk.object else { return };
        if object.records.is_empty() {
            return;
        }
        let ids = &sent.columns.ids;
        // Of many records, most are told apart from those of the table by a bit.
        let sketch = (ids.len() > object.records.len() / 4).then(|| Sketch::of(&object.records));
        let held = ids.that(|id| {
            let row = match &sketch {
                Some(sketch) => sketch.find(id),
                None => object.records.find(id),
            };
            row.is_some_and(|row| self.walk.concerned_at(&found, row.near) || told && has_relation(row.near))
        });
        // INVARIANT 4: one that is not asked below does not pass.
        all.iter_mut().for_each(|pass| pass.without(&held));
        for at in held.places() {
            sent.with(at, |record| {
                let record = self.walk.record(record).ok()?;
                for (pass, asked) in all.iter_mut().zip(self.asked) {
                    let reason = asked.map_or_else(|| self.walk.sees(&record), |p| self.walk.ask_of(p, Some(&record)));
                    pass.put(at, reason == Reason::Allowed);
                }
                Some(())
            });
        }
    }
}

/// Records whole, for what has no short way.
struct Whole<'w, 's, 'a> {
    walk: &'w Walk<'a>,
    found: PrincipalFound<'a>,
    sent: &'w Sent<'s>,
    /// Of no record.
    facts: RecordFacts<'w, 'a>,
}

impl Whole<'_, '_, '_> {
    fn ask(&self, at: usize, ask: impl FnOnce(&RecordFacts<'_, '_>) -> Outcome) -> Option<bool> {
        let outcome = self.sent.with(at, |record| {
            let record = self.walk.record(record).ok()?;
            Some(ask(&RecordFacts::new(self.walk, self.found, &record)))
        });
        match outcome? {
            Outcome::True => Some(true),
            Outcome::False => Some(false),
            Outcome::Error(_) => None,
        }
    }
}

impl Beyond for Whole<'_, '_, '_> {
    fn answer(&mut self, part: &Expr, at: usize) -> Option<bool> {
        self.ask(at, |facts| evaluate_tree(part, facts))
    }

    fn in_groups(&self, group: &str) -> bool {
        self.facts.in_groups(group)
    }
}

/// The records, as they were sent.
struct Sent<'s> {
    columns: &'s Columns<'s>,
    rows: Option<&'s [Record<'s>]>,
}

impl Sent<'_> {
    /// Asks about the record at a place, whole.
    fn with<T>(&self, at: usize, ask: impl FnOnce(Record<'_>) -> Option<T>) -> Option<T> {
        match self.rows {
            Some(rows) => ask(*rows.get(at)?),
            None => ask(record_of(self.columns, at, &RowOf::new(self.columns, at))),
        }
    }
}

/// Where the records are, and whose.
struct Places {
    /// Those that the principal owns.
    owned: Bits,
    /// Their accounts, if they are not all the question's.
    accounts: Option<Vec<Option<u32>>>,
}
