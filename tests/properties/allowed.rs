//! Who may do this here (`core::allowed`): the pages together are exactly those whom a decision allows,
//! and few are asked of whom no policy can be true.

use std::time::Instant;

use doorward::core::allowed::{Allowed, allowed_after};
use doorward::core::decision::{Question, Reason, Record, Resource, decide};
use doorward::core::review::principals;
use doorward::core::table::Table;
use fastrand::Rng;
use serde_json::json;

use crate::ask::{activated, question, sent};
use crate::decisions::organizations;
use crate::generate;
use crate::support::table;

const NOW: i64 = 4_000_000_000_000;

fn everyone(table: &Table) -> Vec<String> {
    let text = |(service, id)| format!("{}:{id}", if service { "service" } else { "user" });
    principals(table).into_iter().map(text).collect()
}

/// All pages, each of which must be in order; and how many were asked for them.
fn pages(table: &Table, question: &Question<'_>, size: usize, most: usize, now: i64) -> (Vec<String>, usize) {
    let (mut all, mut asked, mut after) = (Vec::new(), 0, None);
    loop {
        let page = allowed_after(table, question, after.as_deref(), size, most, now).unwrap();
        let Allowed { principals, last, incomplete, asked: here } = page;
        assert!(here <= most && principals.len() <= size, "{here} asked, {} found", principals.len());
        // A page is short for one of two reasons, and says which.
        assert_eq!(incomplete, last.is_some() && principals.len() < size);
        all.extend(principals);
        asked += here;
        assert!(after < last || last.is_none(), "{after:?} {last:?}: every page goes on");
        after = last;
        if after.is_none() {
            assert!(all.is_sorted(), "{all:?}");
            return (all, asked);
        }
    }
}

#[test]
fn the_pages_together_are_exactly_those_whom_a_decision_allows() {
    let (mut questions, mut found, mut asked, mut of) = (0, 0, 0, 0);
    for seed in 0..organizations() {
        let mut rng = Rng::with_seed(seed ^ 0xA110);
        let world = generate::world(&mut rng);
        let table = activated(&table(&world.file), &world);
        let everyone = everyone(&table);
        for _ in 0..20 {
            let q = generate::world_question(&mut rng, &world);
            let sent = sent(&q);
            let anybody = Question { principal: "user:somebody", ..question(&q, &sent) };
            let (size, most) = (rng.usize(1..6), if rng.bool() { 1_000 } else { rng.usize(1..5) });
            if decide(&table, &anybody, q.now_ms).is_err() {
                assert!(allowed_after(&table, &anybody, None, size, most, q.now_ms).is_err());
                continue;
            }
            let may =
                |principal: &str| decide(&table, &Question { principal, ..anybody }, q.now_ms) == Ok(Reason::Allowed);
            let expected: Vec<_> = everyone.iter().filter(|principal| may(principal)).cloned().collect();
            let (got, candidates) = pages(&table, &anybody, size, most, q.now_ms);
            assert_eq!(got, expected, "seed {seed}: {q:#?}\n{:#}\n{:#?}", world.file, world.activations);
            if most == 1_000 && size > got.len() {
                (asked, of) = (asked + candidates, of + everyone.len());
            }
            (questions, found) = (questions + 1, found + got.len());
        }
    }
    println!("{questions} questions, {found} allowed; on one page {asked} asked of {of}");
    assert!(found > questions / 2 && questions as u64 > organizations() * 5, "{found} allowed of {questions}");
    assert!(asked * 10 < of * 9, "{asked} of {of} were asked");
}

/// Everybody may read, a policy shows eu's records to five of them, and one is shared.
fn crowd(users: usize) -> Table {
    let users: Vec<_> = (0..users)
        .map(
            |n| json!({"id": format!("u{n:06}"), "email": format!("u{n}@acme.com"), "attributes": {"odd": n % 2 == 1}}),
        )
        .collect();
    table(&json!({
        "organization": "acme",
        "preset": "workspace",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}],
        "user_attributes": {"odd": "bool"},
        "objects": [{"id": "app", "kind": "app", "fields": {"region": "string"}}],
        "users": users,
        "groups": [
            {"id": "inner", "kind": "manual", "members": ["user:u000007", "user:u000008"]},
            {"id": "risk", "kind": "manual", "members": ["group:inner", "user:u000100"], "visibility": ["data_access"]},
            {"id": "off", "kind": "manual", "members": ["user:u000050"]},
            {"id": "all-users", "kind": "system", "visibility": ["data_access"]},
        ],
        "grants": [
            {"permissions": ["records.read"], "member": "group:all-users"},
            {"permissions": ["records.read"], "member": "user:u000900", "object": "app", "record": "r-1"},
            {"permissions": ["records.read"], "member": "group:all-users", "object": "app", "record": "r-2"},
        ],
        "data_access": [
            {"id": "p", "object": "app", "effect": "allow", "members": ["group:risk", "group:off", "user:u000200", "user:u000201"],
             "condition": "record.region == 'eu' && user.attributes.odd"},
            {"id": "q", "object": "app", "effect": "restrict", "members": ["group:all-users"], "condition": "user.id == 'u000201'"},
        ],
    }))
}

fn of_record(id: &str) -> Question<'_> {
    let resource = Resource { object: "app", record: Some(Record { id, ..Record::default() }), ..Resource::default() };
    Question { principal: "user:somebody", permission: "records.read", resource, ..Question::default() }
}

fn who_sees(users: usize) {
    let table = crowd(users);
    let eu: std::collections::BTreeMap<_, _> =
        [("region".to_owned(), doorward::core::model::Value::String("eu".into()))].into();
    let mut question = of_record("r-1");
    question.resource.record.as_mut().unwrap().attributes = &eu;
    let began = Instant::now();
    let (seen, asked) = pages(&table, &question, 100, 20_000, NOW);
    println!("{asked} of {users} asked in {:?}", began.elapsed());
    // Of the group's three and the two named, the odd ones; not whom the restriction hides it from; and whoever it is shared with.
    assert_eq!(seen, ["user:u000007", "user:u000900"]);
    assert_eq!(asked, 6, "nobody else is asked");
    // Shared with all: all are asked, and all see it but one.
    let (seen, asked) = pages(&table, &of_record("r-2"), 1_000, 20_000, NOW);
    assert_eq!(seen.len(), users - 1);
    assert!(asked >= users && asked <= users + users / 1_000 + 1, "{asked}: on each page one more than it has");
    // Nothing is held at what is no record's.
    assert_eq!(pages(&table, &of_record("r-3"), 100, 20_000, NOW), (vec![], 5));
}

#[test]
fn who_can_see_a_record_is_answered_without_asking_everybody() {
    who_sees(1_500);
}

#[test]
#[ignore = "builds an organization of 100,000 users: run it with `--ignored`"]
fn who_can_see_a_record_among_a_hundred_thousand() {
    who_sees(100_000);
}

#[test]
fn a_page_that_stops_at_the_bound_says_so_and_the_next_goes_on() {
    let table = crowd(1_000);
    let first = allowed_after(&table, &of_record("r-2"), None, 100, 10, NOW).unwrap();
    assert_eq!((first.principals.len(), first.incomplete, first.asked), (10, true, 10));
    assert_eq!(first.last.as_deref(), Some("user:u000009"));
    // The restricted one is asked, and not in it.
    let next = allowed_after(&table, &of_record("r-2"), Some("user:u000199"), 100, 3, NOW).unwrap();
    assert_eq!(next.principals, ["user:u000200", "user:u000202"]);
    assert!(next.incomplete);
    let last = allowed_after(&table, &of_record("r-2"), Some("user:u000997"), 100, 10, NOW).unwrap();
    assert_eq!((last.principals.len(), last.last, last.incomplete), (2, None, false));
    let full = allowed_after(&table, &of_record("r-2"), None, 10, 10, NOW).unwrap();
    assert_eq!((full.principals.len(), full.incomplete, full.last.is_some()), (10, false, true));
}
