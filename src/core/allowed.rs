//! Who may do this here: everyone for whom a decision would allow, a page at a time.
//!
//! A page is found in two steps. One pass over all principals leaves out who cannot be allowed, by
//! what needs no condition:
//!
//! ```text
//! rules 4.2 to 4.4      may act here at all
//! rule 4.5              holds the permission, or the one asked instead (4.6, 4.9)
//! rule 6.4              an allow policy of the object is about it, or it holds something at the record
//! rule 4.7              is an approver of the record
//! ```
//!
//! Each of them as the permission asks for it. Who is left, a *candidate*, is decided, one after the
//! other in the order of their texts: the answer is always [`decide`]'s (INVARIANT 3). So where a
//! policy shows a record to a group of ten, ten are asked, whatever else the organization has.
//!
//! The alternative that lost: an index from groups to their members, which would save the pass; every
//! membership written would pay for it.

use std::collections::HashSet;

use super::decision::{FoundRecord, Problems, Question, Reason, Walk, admit, decide, split_principal};
use super::edge::{Edge, GROUP_MEMBER, edges, relation_of};
use super::model::{Effect, Level, Millis, Relation};
use super::presets::ORGANIZATION_ADMIN;
use super::principal::PrincipalFound;
use super::table::Table;

/// A page of those who are allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// `service:ID`, then `user:ID`, in the order of their texts.
    pub principals: Vec<String>,
    /// After whom the next page begins; none: this is the last.
    pub last: Option<String>,
    /// Whether it ends because enough were asked, not because it is full or the last.
    pub incomplete: bool,
    /// How many were asked.
    pub asked: usize,
}

/// Those for whom [`decide`] allows the question, whose own principal is ignored: the first `size`
/// after a text, as far as they are among the first `most` candidates. One pass over all principals,
/// whatever the page.
///
/// # Errors
/// Rule 4.1: what is wrong with the question is wrong whoever asks.
pub fn allowed_after<'a>(
    table: &'a Table,
    question: &Question<'a>,
    after: Option<&str>,
    size: usize,
    most: usize,
    now: Millis,
) -> Result<Allowed, Problems> {
    decide(table, question, now)?;
    let (candidates, more) = candidates_after(table, question, after, most, now)?;
    let count = candidates.len();
    let (mut principals, mut last, mut asked) = (Vec::new(), None, 0);
    for (nth, (service, id)) in candidates.into_iter().enumerate() {
        let principal = format!("{}:{id}", if service { "service" } else { "user" });
        let allowed = decide(table, &Question { principal: &principal, ..*question }, now) == Ok(Reason::Allowed);
        asked += 1;
        if allowed && principals.len() == size {
            // There is one more, so there is a page more.
            return Ok(Allowed { principals, last, incomplete: false, asked });
        }
        if allowed {
            principals.push(principal.clone());
        }
        last = (more || nth + 1 < count).then_some(principal);
    }
    let incomplete = more && principals.len() < size;
    Ok(Allowed { principals, last, incomplete, asked })
}

/// Whether it is a service account, and its id, of each; and whether there are more.
type Candidates<'a> = (Vec<(bool, &'a str)>, bool);

/// The first candidates after a text, in the order of their texts, and whether there are more.
fn candidates_after<'a>(
    table: &'a Table,
    question: &Question<'a>,
    after: Option<&str>,
    most: usize,
    now: Millis,
) -> Result<Candidates<'a>, Problems> {
    let mut anybody = *question;
    // Rule 1.4: the record's account is the resource's.
    if let Some(record) = anybody.resource.record.filter(|record| !record.account.is_empty()) {
        anybody.resource.account = record.account;
    }
    let walk = Walk::begin(table, &anybody, now)?;
    let Some(needs) = Needs::of(&walk) else { return Ok((Vec::new(), false)) };
    let after = after.map(split_principal);
    let later = |service: bool, id: &str| after.is_none_or(|(s, i)| (!service, id) > (!s, i));
    let of = |service: bool| {
        let pages = if service { &table.services } else { &table.users };
        pages.iter().filter(move |found| later(service, found.id)).map(move |found| (service, found))
    };
    let candidates = of(true).chain(of(false)).filter(|(_, found)| needs.may_be_met_by(&walk, found));
    let mut all: Vec<(bool, &str)> = candidates.map(|(service, found)| (service, found.id)).collect();
    let place = |(service, id): &(bool, &'a str)| (!*service, *id);
    let more = all.len() > most;
    if more {
        all.select_nth_unstable_by_key(most, place);
        all.truncate(most);
    }
    all.sort_unstable_by_key(place);
    Ok((all, more))
}

/// What anyone needs who is to be allowed.
struct Needs {
    /// One of these permissions, by number, from the level of each.
    permissions: Vec<(u32, Level)>,
    /// Who is given one of them at the record itself.
    given: Members,
    /// Who may see the record, if that is asked.
    sees: Option<Members>,
    /// Who approves the record, if that is asked.
    approves: Option<Members>,
}

/// Users, service accounts and groups, by number.
#[derive(Default)]
struct Members {
    principals: HashSet<u32>,
    /// Closed over nesting.
    groups: HashSet<u32>,
}

impl Needs {
    /// None: there is no such permission.
    fn of(walk: &Walk<'_>) -> Option<Self> {
        let table = walk.table;
        let permission = table.permission(walk.question.permission)?;
        let mut permissions = vec![(permission.number, permission.level)];
        if let (Some(twin), Some(_)) = (permission.when_not_owner, &walk.record) {
            permissions.push((twin, table.permission_slot(twin)?.row.level));
        }
        if let (true, Some(admin)) = (table.is_inviting(permission), table.permission(ORGANIZATION_ADMIN)) {
            permissions.push((admin.number, admin.level));
        }
        let mut needs = Self { permissions, given: Members::default(), sees: None, approves: None };
        let Some(record) = &walk.record else { return Some(needs) };
        let of_records = |(number, level): &(u32, Level)| (*level == Level::Object).then_some(*number);
        let of_records: Vec<u32> = needs.permissions.iter().filter_map(of_records).collect();
        let gives = |bundle| of_records.iter().any(|number| walk.contains(bundle, *number));
        needs.given = Members::at(walk, record, |edge| walk.gives(edge, gives));
        if permission.requires_visibility {
            let shows = |bundle| table.bundle(bundle).is_some_and(|b| b.shows);
            let mut sees = Members::at(walk, record, |edge| walk.gives(edge, shows));
            let policies = walk.object.map_or(&[][..], |(_, object)| &object.policies);
            for policy in policies.iter().filter(|policy| policy.row.effect == Effect::Allow) {
                sees.principals.extend(policy.principals.iter());
                sees.groups.extend(policy.concerns.iter());
            }
            needs.sees = Some(sees);
        }
        if permission.requires_approver {
            let approves = |edge: Edge| relation_of(edge.bundle) == Some(Relation::Approver);
            needs.approves =
                Some(Members::at(walk, record, |edge| approves(edge) && walk.usable(edge, Relation::Approver)));
        }
        Some(needs)
    }

    /// Whether a principal may be allowed, as far as no condition is asked.
    fn may_be_met_by<'a>(&self, walk: &Walk<'a>, found: &PrincipalFound<'a>) -> bool {
        let (table, object) = (walk.table, walk.object.map(|(_, slot)| slot));
        let among = |members: &Option<Members>| members.as_ref().is_none_or(|members| members.have(table, found));
        among(&self.sees)
            && among(&self.approves)
            && admit(table, walk.question, walk.now, object, found).is_ok()
            && (self.permissions.iter().any(|(number, level)| walk.holds(found, None, *number, *level))
                || self.given.have(table, found))
    }
}

impl Members {
    /// The members of those edges at a record that are in effect and satisfy `test`.
    fn at(walk: &Walk<'_>, record: &FoundRecord<'_>, test: impl Fn(Edge) -> bool) -> Self {
        let mut members = Self::default();
        for edge in edges(record.edges).filter(|edge| edge.in_effect(walk.now) && test(*edge)) {
            if edge.at & GROUP_MEMBER == 0 {
                members.principals.insert(edge.at);
            } else {
                let below = walk.table.group_slot(edge.at & !GROUP_MEMBER).and_then(|group| group.below.as_ref());
                members.groups.extend(below.iter().flat_map(|below| below.iter()));
            }
        }
        members
    }

    fn have(&self, table: &Table, found: &PrincipalFound<'_>) -> bool {
        self.principals.contains(&found.value.number)
            || (!self.groups.is_empty() && table.groups_of(found).iter().any(|group| self.groups.contains(&group)))
    }
}
