//! Decisions held against the oracle over random organizations (STYLE 10).
//!
//! Every organization is built three ways: in one change, row by row, and by making another
//! organization equal to it. The decisions must be the oracle's each time, so flattening a part
//! must give what flattening the whole gives, and deleting must leave nothing behind.

use std::collections::{BTreeMap, BTreeSet};

use doorward::core::change::Change;
use doorward::core::decision::{Reason, Walk};
use doorward::core::emergency::used;
use doorward::core::filter::{self, Filtered, Records, Wrong};
use doorward::core::id::OpaqueId;
use doorward::core::model::{Key, Row, Write};
use doorward::core::table::Table;
use fastrand::Rng;

use crate::by_column::Sheet;
use crate::generate;
use crate::oracle::{Answer, Closed, Oracle, catalogue};
use crate::support::{
    Sent, activated, answer, applied, blank, filter, over, parsed, question, record, rows, sent, table,
};

/// Organizations and questions each; more with `DOORWARD_PROPERTY_ORGANIZATIONS`, as `.ci/run` has it.
pub fn organizations() -> u64 {
    std::env::var("DOORWARD_PROPERTY_ORGANIZATIONS").map_or(150, |n| n.parse().unwrap())
}
const QUESTIONS: usize = 60;

/// Row by row, each row a revision of its own.
fn row_by_row(file: &serde_json::Value) -> Table {
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
            let next = doorward::core::change::apply(previous, vec![change]);
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
            let again = doorward::core::change::apply(
                table,
                vec![Change::Replace { rows: exported.clone(), deactivate_missing: false }],
            );
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
            let Ok(next) = doorward::core::change::apply(&table, vec![change]) else { continue };
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

/// Puts an element onto a list, unless it is on the other one, or takes it off.
fn toggle(rng: &mut Rng, file: &mut serde_json::Value, list: &str, other: &str) {
    let objects = file["objects"].as_array().into_iter().flatten();
    let elements: Vec<_> = objects.filter(|object| object["kind"] == "element").map(|o| o["id"].clone()).collect();
    let Some(element) = rng.choice(elements) else { return };
    if file[other].as_array().is_some_and(|other| other.contains(&element)) {
        return;
    }
    let mut listed = file[list].as_array().cloned().unwrap_or_default();
    let before = listed.len();
    listed.retain(|listed| *listed != element);
    if listed.len() == before {
        listed.push(element);
    }
    file[list] = listed.into();
}

/// Changes one thing in the file, if it has such a thing; what comes out need not be valid.
fn edit(rng: &mut Rng, file: &mut serde_json::Value) {
    let removed = ["assignments", "grants", "email_domains", "separation_of_duties"];
    match rng.u8(..11) {
        8 => toggle(rng, file, "element_safelist", "element_denylist"),
        9 => {
            toggle(rng, file, "element_denylist", "element_safelist");
            file["super_organization"] = "globex".into();
        }
        10 => {
            let Some(object) = file["objects"].as_array_mut().and_then(|objects| rng.choice(objects)) else { return };
            if object["kind"] == "element" {
                object["private_to"] =
                    if object["private_to"].is_string() { serde_json::Value::Null } else { "account:main".into() };
                object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            }
        }
        // Two roles change what they contain: everything else that refers to them stays as it is.
        0..3 => {
            let Some(roles) = file["roles"].as_array_mut().filter(|roles| roles.len() > 1) else { return };
            let (one, other) = (rng.usize(..roles.len()), rng.usize(..roles.len()));
            let permissions = roles[one]["permissions"].take();
            let permissions = std::mem::replace(&mut roles[other]["permissions"], permissions);
            if one != other {
                roles[one]["permissions"] = permissions;
            }
        }
        n @ 3..7 => {
            let Some(rows) = file[removed[usize::from(n) - 3]].as_array_mut().filter(|rows| !rows.is_empty()) else {
                return;
            };
            rows.remove(rng.usize(..rows.len()));
        }
        7 => {
            let groups = file["groups"].as_array_mut().into_iter().flatten();
            let mut manual: Vec<_> =
                groups.filter_map(|group| group["members"].as_array_mut()).filter(|m| !m.is_empty()).collect();
            let Some(members) = rng.choice(&mut manual) else { return };
            members.remove(rng.usize(..members.len()));
        }
        _ => {
            let Some(permissions) = file["permissions"].as_array_mut().filter(|rows| !rows.is_empty()) else { return };
            let one = rng.usize(..permissions.len());
            permissions[one]["level"] = (*rng.choice(&["organization", "account", "object"]).unwrap()).into();
        }
    }
}

#[test]
fn small_changes_leave_decisions_the_oracles() {
    let mut changed = 0;
    for seed in 0..organizations() / 2 {
        let mut rng = Rng::with_seed(seed ^ 0x3C3C);
        let mut file = generate::organization(&mut rng);
        let mut table = table(&file);
        for revision in 2..9 {
            let mut next = file.clone();
            edit(&mut rng, &mut next);
            let Ok(parsed) = parsed(&next) else { continue };
            let change = Change::Replace { rows: parsed.rows, deactivate_missing: false };
            let Ok(applied) = doorward::core::change::apply(&table, vec![change]) else { continue };
            changed += usize::from(!applied.effects.is_empty());
            (file, table) = (next.clone(), applied.table.under(over(&next, revision).as_ref()));
            let oracle = Oracle::new(&file);
            for _ in 0..QUESTIONS / 3 {
                let q = generate::question(&mut rng, &file);
                let (got, expected) = (answer(&table, &q), oracle.authorize(&q));
                assert!(got == expected, "seed {seed}: {got:?}, not {expected:?}: {q:#?}\n{file:#}");
            }
        }
    }
    assert!(changed as u64 > organizations(), "most edits change something: {changed}");
}

/// Organizations with policies, relations and auto-share, and questions each.
fn worlds() -> u64 {
    organizations()
}
const WORLD_QUESTIONS: usize = 200;

/// An organization as it may have come about: what cleared flags suspend was there before.
fn grown(file: &serde_json::Value) -> Table {
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
            doorward::core::change::apply(table, vec![same]).unwrap().effects
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
            let (columns, message) = (sheet.columns(), sheet.message());
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
