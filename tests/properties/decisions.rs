//! Decisions held against the oracle over random organizations (STYLE 10).
//!
//! Every organization is built three ways: in one change, row by row, and by making another
//! organization equal to it. The decisions must be the oracle's each time, so flattening a part
//! must give what flattening the whole gives, and deleting must leave nothing behind.

use std::collections::{BTreeMap, BTreeSet};

use doorward::core::change::{Change, apply};
use doorward::core::decision::{Reason, Walk, decide};
use doorward::core::emergency::used;
use doorward::core::filter::{self, Filtered, Records, Wrong};
use doorward::core::id::OpaqueId;
use doorward::core::model::{Key, Row, Write};
use doorward::core::table::Table;
use fastrand::Rng;
use serde_json::Value as Json;

use crate::ask::{Sent, activated, question, record, sent};
use crate::by_column::Sheet;
use crate::generate::{self, CHANGES, EDITS};
use crate::oracle::{Answer, Closed, Oracle, Question, catalogue};
use crate::support::{applied, blank, filter, over, parsed, rows, table};

/// Organizations and questions each; more with `DOORWARD_PROPERTY_ORGANIZATIONS`, as `.ci/run` has it.
pub fn organizations() -> u64 {
    std::env::var("DOORWARD_PROPERTY_ORGANIZATIONS").map_or(150, |n| n.parse().unwrap())
}
const QUESTIONS: usize = 60;
/// Changes of an organization, one after the other; of how many principals, places and permissions is asked after each, and
/// how many of the answers that are others than before are held against the oracle.
const CHANGES_EACH: u64 = 12;
const PRINCIPALS: usize = 6;
const PLACES: usize = 4;
const NAMES: usize = 24;
const MOVED: usize = 6;

/// The library's answer, in the oracle's words.
fn answer(table: &Table, q: &Question) -> Answer {
    match decide(table, &question(q, &sent(q)), q.now_ms) {
        Err(problems) => {
            assert!(!problems.is_empty(), "an error names what is wrong: {q:?}");
            Answer::Error
        }
        Ok(Reason::Allowed) => Answer::Allow,
        Ok(reason) => Answer::Deny(reason.name()),
    }
}

/// Row by row, each row a revision of its own.
fn row_by_row(file: &Json) -> Table {
    let rows = rows(file);
    let (first, rest): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|r| matches!(r.key(), Key::Settings | Key::Account(_) | Key::Group(_) | Key::Permission(_)));
    let first = Change::Replace { rows: first, deactivate_missing: false };
    let mut table = applied(&blank(2), vec![first]).under(over(file, 1).as_ref());
    // Managers may come after those they manage; elements may be private to users.
    let (users, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|r| matches!(r.key(), Key::User(_)));
    table = applied(&table, users.into_iter().map(Change::Create).collect());
    for row in others {
        let create = match row.key() {
            // The row of a shipped role is a change of it.
            Key::Role(id) => table.role_row(&id).is_none(),
            _ => true,
        };
        let change = if create { Change::Create(row) } else { Change::Update { row, etag: None } };
        table = applied(&table, vec![change]);
    }
    table
}

/// The organization with its users in statuses from which they can become what they are in `rows`
/// (rule 2.2).
fn with_possible_statuses(table: &Table, rows: &[Row]) -> Table {
    use doorward::core::model::Status::{Active, Inactive, Invited, Limited};
    let wanted = |id: &OpaqueId| {
        rows.iter().find_map(|row| match row {
            Row::User(user) if user.id == *id => Some((user.status, user.status_before)),
            _ => None,
        })
    };
    let aligned = table.rows().map(|row| match row {
        Row::User(mut user) => {
            if let Some((status, before)) = wanted(&user.id) {
                let possible = match (user.status, status) {
                    (Invited | Limited, Active) | (Active, Limited) | (Invited | Active | Limited, Inactive) => true,
                    (Inactive, Active | Limited) => user.status_before == Some(status),
                    (from, to) => from == to,
                };
                if !possible {
                    (user.status, user.status_before) = (status, before);
                }
            }
            if user.status != Invited {
                user.pending_groups.clear();
            }
            Row::User(user)
        }
        row => row,
    });
    Table::load(table.id().clone(), "h".into(), 3, 1, aligned.collect()).unwrap()
}

#[test]
fn decisions_are_the_oracles_however_the_organization_came_about() {
    let mut seen: BTreeMap<Answer, usize> = BTreeMap::new();
    let mut total = 0;
    let mut closed: BTreeMap<Option<Closed>, usize> = BTreeMap::new();
    let mut private_and_listed = 0;
    let mut previous: BTreeMap<String, Table> = BTreeMap::new();
    for seed in 0..organizations() {
        let mut rng = Rng::with_seed(seed);
        let file = generate::organization(&mut rng);
        let oracle = Oracle::new(&file);
        let mut tables = vec![("in one change", table(&file)), ("row by row", row_by_row(&file))];
        let preset = file["preset"].as_str().unwrap_or("none").to_owned();
        if let Some(previous) = previous.get(&preset) {
            let previous = &with_possible_statuses(previous, &rows(&file));
            let change = Change::Replace { rows: rows(&file), deactivate_missing: true };
            let next = apply(previous, vec![change]);
            // Users of the other organization stay, inactive, and may stand in the way.
            if let Ok(next) = next {
                tables.push(("from another", next.table.under(over(&file, 2).as_ref())));
            }
        }
        for _ in 0..QUESTIONS {
            let q = generate::question(&mut rng, &file);
            let expected = oracle.authorize(&q);
            for (how, table) in &tables {
                let got = answer(table, &q);
                // Built from another organization, there are more users than the oracle knows.
                let unknown =
                    expected == Answer::Deny("PRINCIPAL_UNKNOWN") && got == Answer::Deny("PRINCIPAL_INACTIVE");
                let stays = *how == "from another" && unknown;
                assert!(got == expected || stays, "seed {seed}, {how}: {got:?}, not {expected:?}: {q:#?}\n{file:#}");
            }
            *seen.entry(expected).or_default() += 1;
            if expected == Answer::Deny("ELEMENT_NOT_LISTED") {
                *closed.entry(oracle.closed(&q)).or_default() += 1;
            } else if q.object.as_deref().is_some_and(|object| oracle.is_private_and_listed(object)) {
                private_and_listed += 1;
            }
            total += 1;
        }
        // What is exported applies to nothing changed, and replaying it gives the same rows.
        for (how, table) in &tables {
            let mut exported: Vec<_> = table.rows().collect();
            exported.sort_by_key(doorward::core::model::Row::key);
            let again = apply(table, vec![Change::Replace { rows: exported.clone(), deactivate_missing: false }]);
            assert!(again.unwrap().effects.is_empty(), "seed {seed}, {how}");
            let loaded = Table::load(table.id().clone(), "h".into(), 9, 1, exported.clone()).unwrap();
            let mut reloaded: Vec<_> = loaded.rows().collect();
            reloaded.sort_by_key(doorward::core::model::Row::key);
            assert_eq!(reloaded, exported, "seed {seed}, {how}");
        }
        previous.insert(preset, tables.swap_remove(0).1);
    }
    let share = |test: &dyn Fn(&Answer) -> bool| {
        seen.iter().filter(|(a, _)| test(a)).map(|(_, n)| n).sum::<usize>() as f64
            / f64::from(u32::try_from(total).unwrap())
    };
    println!("{total} questions: {seen:?}");
    assert!(share(&|a| *a == Answer::Allow) >= 0.25);
    assert!(share(&|a| matches!(a, Answer::Deny(_))) >= 0.25);
    for (reason, n) in &seen {
        assert!(*n * 100 >= total, "{reason:?} is rarer than 1%: {n} of {total}");
    }
    assert_eq!(seen.len(), 13, "every reason occurs: {seen:?}");
    println!("{closed:?}, {private_and_listed} private and listed");
    for by in [Closed::Denylist, Closed::Safelist, Closed::Private] {
        assert!(closed.get(&Some(by)).is_some_and(|n| *n * 500 >= total), "{by:?} is rare: {closed:?}");
    }
    assert!(private_and_listed * 500 >= total, "{private_and_listed}");
}

#[test]
fn the_list_of_permissions_is_what_each_decision_allows() {
    for seed in 0..organizations() / 5 {
        let mut rng = Rng::with_seed(seed ^ 0xA5A5);
        let file = generate::organization(&mut rng);
        let (oracle, table) = (Oracle::new(&file), table(&file));
        for _ in 0..8 {
            let q = generate::question(&mut rng, &file);
            let sent = sent(&q);
            let got = Walk::begin(&table, &question(&q, &sent), q.now_ms).ok().map(|walk| {
                let all = table.catalogue().filter_map(|(_, slot)| {
                    let p = table.permission(slot.row.name.as_str())?;
                    (walk.ask(p) == Reason::Allowed).then(|| slot.row.name.to_string())
                });
                all.collect::<BTreeSet<String>>()
            });
            assert_eq!(got, oracle.permissions(&q), "seed {seed}: {q:#?}\n{file:#}");
        }
    }
}

#[test]
fn m4_4_the_elements_listed_are_those_that_the_oracle_sees() {
    let (mut listed, mut asked, mut with_permission) = (0, 0, 0);
    for seed in 0..organizations() {
        let mut rng = Rng::with_seed(seed ^ 0x4444);
        let file = generate::organization(&mut rng);
        let (oracle, table) = (Oracle::new(&file), table(&file));
        let objects = file["objects"].as_array().into_iter().flatten().map(|o| o["id"].as_str().unwrap().to_owned());
        let ids: Vec<String> = objects.chain(["gone", "vendor.x", "nowhere"].map(str::to_owned)).collect();
        let elements: Vec<_> = ids.iter().map(|id| id.parse().unwrap()).collect();
        for _ in 0..8 {
            let mut q = generate::question(&mut rng, &file);
            if rng.bool() {
                q.permission = String::new();
            }
            let sent = sent(&q);
            let got = doorward::core::lists::elements(&table, &question(&q, &sent), &elements, q.now_ms);
            let got = got.ok().map(|seen| seen.positions);
            assert_eq!(got, oracle.elements(&q, &ids), "seed {seed}: {q:#?}\n{file:#}");
            listed += got.as_ref().map_or(0, Vec::len);
            with_permission += usize::from(!q.permission.is_empty() && got.is_some_and(|got| !got.is_empty()));
            asked += ids.len();
        }
    }
    assert!(listed * 4 > asked && listed * 4 < asked * 3, "{listed} of {asked}");
    assert!(with_permission as u64 > organizations() / 4, "{with_permission}");
}

#[test]
fn replaying_the_deltas_gives_the_same_rows() {
    for seed in 0..organizations() / 20 {
        let mut rng = Rng::with_seed(seed ^ 0x5A5A);
        let mut stored: BTreeMap<Key, doorward::core::model::Row> = BTreeMap::new();
        let mut table = blank(3);
        let preset = generate::organization(&mut rng)["preset"].clone();
        for _ in 0..5 {
            let mut file = generate::organization(&mut rng);
            file["preset"] = preset.clone();
            let Ok(parsed) = parsed(&file) else { continue };
            let change = Change::Replace { rows: parsed.rows, deactivate_missing: true };
            let Ok(next) = apply(&table, vec![change]) else { continue };
            for write in next.writes {
                match write {
                    Write::Put(row) => drop(stored.insert(row.key(), row)),
                    Write::Delete(key) => drop(stored.remove(&key)),
                }
            }
            table = next.table;
            let rows: BTreeMap<Key, _> = table.rows().map(|r| (r.key(), r)).collect();
            assert_eq!(rows, stored, "seed {seed}");
        }
    }
}

/// What has gone from one file to the next, as the rows that a call would delete.
fn gone(file: &Json, next: &Json) -> Vec<Key> {
    let ids = |file: &Json, key: &str, name: &str| {
        let rows = file[key].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| row[name].as_str().unwrap().to_owned()).collect::<BTreeSet<String>>()
    };
    let missing = |key: &str, name: &str| &ids(file, key, name) - &ids(next, key, name);
    let objects = missing("objects", "id").into_iter().map(|id| Key::Object(id.parse().unwrap()));
    let groups = missing("groups", "id").into_iter().map(|id| Key::Group(id.parse().unwrap()));
    let roles = missing("roles", "id").into_iter().map(|id| Key::Role(id.parse().unwrap()));
    let accounts = missing("accounts", "id").into_iter().map(|id| Key::Account(id.parse().unwrap()));
    let names = missing("permissions", "name").into_iter().map(|name| Key::Permission(name.parse().unwrap()));
    objects.chain(groups).chain(roles).chain(accounts).chain(names).collect()
}

/// What some principals are told of every permission at a few places, oldest first.
fn told(table: &Table, names: &[String], questions: &[Question]) -> Vec<Option<Reason>> {
    let mut told = Vec::new();
    for q in questions {
        let sent = sent(q);
        let q = (question(q, &sent), q.now_ms);
        let walk = Walk::begin(table, &q.0, q.1).ok();
        let ask = |name: &String| Some(walk.as_ref()?.ask(table.permission(name)?));
        told.extend(names.iter().map(ask));
    }
    told
}

/// Who is asked about after a change, and where; nothing but what is held shall stand in their way.
fn asked_after(rng: &mut Rng, files: [&Json; 2]) -> Vec<Question> {
    let mut people: Vec<String> = Vec::new();
    for (key, prefix) in [("users", "user"), ("service_accounts", "service")] {
        let rows = files[1][key].as_array().into_iter().flatten();
        people.extend(rows.map(|row| format!("{prefix}:{}", row["id"].as_str().unwrap())));
    }
    rng.shuffle(&mut people);
    let mut questions = Vec::new();
    for nth in 0..PLACES {
        let place = generate::place(rng, files[nth % 2]);
        questions.extend(people.iter().take(PRINCIPALS).map(|principal| Question {
            principal: principal.clone(),
            channel: Some("email".into()),
            authenticated_at_ms: Some(place.now_ms - 1),
            ..place.clone()
        }));
    }
    questions
}

/// What came of a kind of change: how often it was made, and how often what it moved was held against the oracle.
type Made = BTreeMap<&'static str, (usize, usize)>;

/// Each change is of the version before it. What is then said is what is said of the file anew, and where that is not what
/// was said before, it is the oracle's.
#[test]
fn small_changes_leave_decisions_the_oracles() {
    let kinds: Vec<&str> = CHANGES.into_iter().chain(EDITS).collect();
    let (mut made, mut deleted): (Made, usize) = Default::default();
    for seed in 0..organizations() / 5 {
        let mut rng = Rng::with_seed(seed ^ 0x3C3C);
        let generate::World { mut file, conditions, .. } = generate::world(&mut rng);
        let mut before = table(&file);
        let mut drawn = kinds.clone();
        rng.shuffle(&mut drawn);
        let mut revision = 1;
        for kind in drawn {
            if revision > CHANGES_EACH {
                break;
            }
            let mut next = file.clone();
            let changed = match CHANGES.contains(&kind) {
                true => generate::change(&mut rng, &mut next, kind),
                false => generate::edit(&mut rng, &mut next, kind),
            };
            let (Some(()), Ok(parsed)) = (changed, parsed(&next)) else { continue };
            let change = Change::Replace { rows: parsed.rows, deactivate_missing: false };
            let Ok(made_of_it) = apply(&before, vec![change.clone()]) else { continue };
            if made_of_it.effects.is_empty() && kind != "denylist" {
                continue;
            }
            revision += 1;
            let over = over(&next, revision);
            let mut tables = vec![("as the file says", made_of_it.table.under(over.as_ref()))];
            // A call that deletes takes with it what the file does no longer say (rule 2.10).
            let keys = gone(&file, &next);
            if !keys.is_empty()
                && let Ok(made_of_it) = apply(&before, vec![Change::Delete { keys, etag: None }])
            {
                deleted += 1;
                tables.push(("deleted", made_of_it.table.under(over.as_ref())));
            }

            // All of its own permissions, and some that ship.
            let mut names: Vec<String> = catalogue(&next).into_iter().map(|permission| permission.name).collect();
            rng.shuffle(&mut names);
            names.sort_by_key(|name| {
                !next["permissions"].as_array().into_iter().flatten().any(|own| own["name"] == **name)
            });
            names.truncate(NAMES);
            let questions = asked_after(&mut rng, [&file, &next]);
            let anew = applied(&blank(1).under(over.as_ref()), vec![change]);
            let (was, is) = (told(&before, &names, &questions), told(&anew, &names, &questions));
            let asked = |at: usize| Question {
                permission: names[at % names.len()].clone(),
                ..questions[at / names.len()].clone()
            };
            for (how, table) in &tables {
                for (at, (got, anew)) in told(table, &names, &questions).iter().zip(&is).enumerate() {
                    let wrong = || format!("{:#?}\n{file:#}\n{next:#}", asked(at));
                    assert_eq!(got, anew, "seed {seed}, {kind}, {how}, not as the file anew: {}", wrong());
                }
            }
            let oracle = Oracle::with_conditions(&next, &conditions);
            let mut moved: Vec<usize> = (0..is.len()).filter(|at| was[*at] != is[*at]).collect();
            rng.shuffle(&mut moved);
            moved.truncate(MOVED);
            let (times, held) = made.entry(kind).or_default();
            (*times, *held) = (*times + 1, *held + moved.len());
            let world = generate::World { file: next, conditions: BTreeMap::new(), activations: Vec::new() };
            let mut questions: Vec<Question> = moved.into_iter().map(asked).collect();
            questions.extend((0..2).map(|_| generate::world_question(&mut rng, &world)));
            for q in questions {
                let expected = oracle.authorize(&q);
                for (how, table) in &tables {
                    let got = answer(table, &q);
                    let wrong = || format!("{q:#?}\n{file:#}\n{:#}", world.file);
                    assert!(got == expected, "seed {seed}, {kind}, {how}: {got:?}, not {expected:?}: {}", wrong());
                }
            }
            (file, before) = (world.file, tables.swap_remove(tables.len() - 1).1);
        }
    }
    println!("{deleted} deletions; by kind, how often it was made and how many answers it moved: {made:?}");
    // Of few organizations, none may have what a kind of change needs.
    if organizations() >= 100 {
        let never: Vec<_> = kinds.iter().filter(|kind| !made.contains_key(*kind)).collect();
        assert!(never.is_empty() && deleted > 10, "never: {never:?}");
        let moved: usize = made.values().map(|(_, moved)| moved).sum();
        let moving = made.values().filter(|(_, moved)| *moved > 0).count();
        assert!(moved as u64 > organizations() && moving * 3 > kinds.len(), "changes change answers: {made:?}");
    }
}

/// Organizations with policies, relations and auto-share, and questions each.
fn worlds() -> u64 {
    organizations()
}
const WORLD_QUESTIONS: usize = 200;

/// An organization as it may have come about: what cleared flags suspend was there before.
fn grown(file: &Json) -> Table {
    let before = table(&generate::all_flags_on(file));
    applied(&before, vec![Change::Replace { rows: rows(file), deactivate_missing: false }])
}

#[test]
fn m6_what_is_visible_is_what_the_oracle_sees() {
    let mut seen: BTreeMap<Answer, usize> = BTreeMap::new();
    let (mut total, mut uses) = (0, 0);
    for seed in 0..worlds() {
        let mut rng = Rng::with_seed(seed ^ 0x6666);
        let world = generate::world(&mut rng);
        let without = Oracle::with_conditions(&world.file, &world.conditions);
        let oracle = Oracle::with_conditions(&world.file, &world.conditions).activated(&world.file, &world.activations);
        let tables = [("at once", table(&world.file)), ("grown", grown(&world.file))];
        let tables = tables.map(|(how, table)| (how, activated(&table, &world)));
        for _ in 0..WORLD_QUESTIONS {
            let q = generate::world_question(&mut rng, &world);
            let expected = oracle.authorize(&q);
            for (how, table) in &tables {
                let got = answer(table, &q);
                let wrong = || format!("{q:#?}\n{:#}\n{:#?}", world.file, world.activations);
                assert!(got == expected, "seed {seed}, {how}: {got:?}, not {expected:?}: {}", wrong());
                // Rule 7.4: an allow by an activation alone is known as such.
                let sent = sent(&q);
                let use_of = used(table, &question(&q, &sent), q.now_ms);
                let alone = expected == Answer::Allow && without.authorize(&q) != Answer::Allow;
                assert_eq!(use_of.is_some(), alone, "seed {seed}, {how}: {}", wrong());
                let own =
                    use_of.is_none_or(|a| format!("user:{}", a.user) == q.principal || a.user.as_str() == q.principal);
                assert!(own, "seed {seed}, {how}: {}", wrong());
                uses += usize::from(alone);
            }
            *seen.entry(expected).or_default() += 1;
            total += 1;
        }
        let exported: Vec<_> = tables[0].1.rows().collect();
        let changes = |table: &Table| {
            let same = Change::Replace { rows: exported.clone(), deactivate_missing: false };
            apply(table, vec![same]).unwrap().effects
        };
        assert!(changes(&tables[0].1).is_empty() && changes(&tables[1].1).is_empty(), "seed {seed}");
        let loaded = Table::load(tables[0].1.id().clone(), "h".into(), 9, 1, exported.clone()).unwrap();
        assert!(changes(&loaded).is_empty(), "seed {seed}");
    }
    println!("{total} questions: {seen:?}, {uses} uses of activations");
    assert!(uses * 200 >= total, "uses are rarer than 0.5%: {uses} of {total}");
    for reason in ["NOT_VISIBLE", "RESTRICTED", "NOT_APPROVER", "SEPARATION_OF_DUTIES"] {
        let n = seen.get(&Answer::Deny(reason)).copied().unwrap_or(0);
        assert!(n * 100 >= total, "{reason} is rarer than 1%: {n} of {total}");
    }
}

#[test]
fn m6_5_a_filter_gives_exactly_the_records_that_are_allowed() {
    let (mut passed, mut asked, mut lists, mut mixed) = (0, 0, 0, 0);
    for seed in 0..worlds() {
        let mut rng = Rng::with_seed(seed ^ 0x6565);
        let world = generate::world(&mut rng);
        let catalogue = catalogue(&world.file);
        let oracle = Oracle::with_conditions(&world.file, &world.conditions).activated(&world.file, &world.activations);
        let table = activated(&table(&world.file), &world);
        for _ in 0..WORLD_QUESTIONS / 20 {
            let q = generate::filter_question(&mut rng, &world);
            let attributes: Vec<Sent> = q.records.iter().map(|r| Sent::of(&r.attributes)).collect();
            let mut one = q.on(&q.records[0]);
            one.record = None;
            let sent = sent(&one);
            let records = q.records.iter().zip(&attributes).map(|(r, sent)| record(r, sent));
            let got = filter(&table, &question(&one, &sent), records, q.now_ms).ok();
            let got = got.map(|f| f.positions.into_iter().map(|n| n as usize).collect::<Vec<_>>());
            let expected = oracle.filter(&q);
            assert_eq!(got, expected, "seed {seed}: {q:#?}\n{:#}", world.file);
            // And each record by itself.
            if let (Some(positions), Some(_)) = (got, &q.permission) {
                for (at, one) in q.records.iter().enumerate() {
                    let allowed = answer(&table, &q.on(one)) == Answer::Allow;
                    assert_eq!(allowed, positions.contains(&at), "seed {seed}: {q:#?}");
                }
                passed += positions.len();
            }
            asked += q.records.len();
            // And by column, of what columns can hold. There, an id may be given twice.
            let mut records = q.records.clone();
            let mut ids = BTreeSet::new();
            records.retain(|record| ids.insert(record.id.clone()));
            let sheet = Sheet::of(&mut records, &mut rng);
            let attributes: Vec<Sent> = records.iter().map(|r| Sent::of(&r.attributes)).collect();
            let rows: Vec<_> = records.iter().zip(&attributes).map(|(r, sent)| record(r, sent)).collect();
            let columns = sheet.columns();
            #[cfg(not(core_alone))]
            let message = sheet.message();
            #[cfg(not(core_alone))]
            let of_message = doorward::service::columns(&message).unwrap();
            let ask = |permissions: &[&str], records| {
                filter::filter(&table, &question(&one, &sent), permissions, records, q.now_ms)
            };
            // Up to four permissions in one call, as each by itself.
            let permissions = generate::several(&mut rng, &catalogue, &one.permission);
            let by_row = ask(&permissions, Records::Rows(&rows));
            let by_column = ask(&permissions, Records::Columns(&columns));
            let wrong = || format!("seed {seed}: {permissions:?} {records:#?}\n{:#}", world.file);
            assert_eq!(by_column, by_row, "{}", wrong());
            #[cfg(not(core_alone))]
            assert_eq!(ask(&permissions, Records::Columns(&of_message)), by_row, "as a message: {}", wrong());
            let alone = permissions.iter().map(|permission| Ok(ask(&[permission], Records::Rows(&rows))?.remove(0)));
            let alone: Result<Vec<Filtered>, Vec<Wrong>> = alone.collect();
            assert_eq!(alone.as_ref().ok(), by_row.as_ref().ok(), "{}", wrong());
            for one in alone.iter().flatten() {
                let bytes = one.passed.bytes(rows.len());
                let is_set = |at: &u32| bytes[*at as usize / 8] >> (at % 8) & 1 == 1;
                let set: Vec<u32> = (0..).take(rows.len()).filter(is_set).collect();
                assert_eq!(set, one.positions().collect::<Vec<_>>(), "{}", wrong());
            }
            lists += 1;
            let differs = |all: Vec<Filtered>| all.iter().any(|one| one.passed != all[0].passed);
            mixed += usize::from(alone.is_ok_and(differs));
        }
    }
    println!("{passed} of {asked} records pass; {mixed} of {lists} lists of permissions differ among themselves");
    assert!(passed * 20 > asked, "{passed} of {asked} records pass");
    assert!(mixed * 10 > lists, "{mixed} of {lists} lists of permissions differ among themselves");
}
