//! Reports on access held against decisions, over random organizations: who is said to hold something
//! may do it, and who may do it is said to hold it.

use std::collections::BTreeSet;

use doorward::core::change::{Change, apply};
use doorward::core::decision::{Context, EMAIL_CHANNEL, Question, Reason, Resource, decide};
use doorward::core::id::Id;
use doorward::core::model::{Activation, Row, Target};
use doorward::core::review::access::{Access, Asked};
use doorward::core::review::difference::Compared;
use doorward::core::review::{Review, When};
use doorward::core::table::Table;
use fastrand::Rng;
use serde_json::json;

use crate::ask::activated;
use crate::generate;
use crate::support::{rows, table};

const ORGANIZATIONS: u64 = 40;
/// Later than every period of the generator begins.
const NOW: i64 = 4_000_000_000_000;

/// In circumstances in which nobody's status or sign-on stands in the way.
fn may(table: &Table, principal: &str, permission: &str, resource: Resource<'_>) -> Reason {
    may_at(table, principal, permission, resource, NOW)
}

fn may_at(table: &Table, principal: &str, permission: &str, resource: Resource<'_>, now: i64) -> Reason {
    let context = Context { channel: EMAIL_CHANNEL, authenticated_at: Some(now), ..Context::default() };
    decide(table, &Question { principal, permission, resource, context }, now).unwrap()
}

fn text((service, id): (bool, &str)) -> String {
    format!("{}:{id}", if service { "service" } else { "user" })
}

/// The places of a file, as targets and as resources.
fn places(file: &serde_json::Value) -> Vec<(Target, String, String)> {
    let ids = |what: &str| -> Vec<String> {
        let rows = file[what].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    let mut places = vec![(Target::Organization, String::new(), String::new())];
    places.extend(ids("accounts").into_iter().map(|id| (Target::Account(id.parse().unwrap()), id, String::new())));
    places.extend(ids("objects").into_iter().map(|id| (Target::Object(id.parse().unwrap()), String::new(), id)));
    places
}

#[test]
fn a_review_says_of_everybody_what_decisions_say() {
    let (mut held, mut lacked, mut void, mut closed, mut by_activation) = (0, 0, 0, 0, 0);
    for seed in 0..ORGANIZATIONS {
        let mut rng = Rng::with_seed(seed ^ 0x5EED);
        let world = generate::world(&mut rng);
        let file = &world.file;
        let table = activated(&table(file), &world);
        // At `NOW` activations are over: half of the time it is asked when one of them begins.
        let begun: Vec<i64> = world.activations.iter().filter_map(|a| a["starts_at_ms"].as_i64()).collect();
        let now = rng.choice(&begun).copied().filter(|_| seed % 2 == 0).unwrap_or(NOW);
        let review = Review::of(&table, When::At(now));
        let names: Vec<String> = table.catalogue().map(|(_, slot)| slot.row.name.to_string()).collect();
        for (target, account, object) in places(file) {
            for _ in 0..6 {
                let name = rng.choice(&names).unwrap();
                let permission = table.permission(name).unwrap();
                if table.is_inviting(permission) {
                    continue;
                }
                let asked = Asked { target: Some(target.clone()), permissions: vec![permission], inactive: false };
                let mut access = Access::new(&review, asked);
                for (service, id) in review.principals() {
                    let resource = Resource { account: &account, object: &object, record: None };
                    let who = text((service, id));
                    let decided = may_at(&table, &who, name, resource, now);
                    let entries = access.of(service, id);
                    let here = entries.iter().filter(|e| e.target == Target::Organization || e.target == target);
                    let here: Vec<_> = here.collect();
                    let what = format!("seed {seed}: {who}, {name} at {target}: {decided:?}\n{entries:?}");
                    // A principal that may not act is told of only if that is asked for.
                    assert_eq!(decided == Reason::Allowed, here.iter().any(|e| e.stands()), "{what}");
                    if decided == Reason::SeparationOfDuties {
                        assert!(here.iter().any(|e| !e.void_by.is_empty()), "{what}");
                        void += 1;
                    }
                    for entry in here.iter().filter(|e| e.closed_by.is_some()) {
                        assert!(decided == Reason::ElementNotListed && !entry.paths.is_empty(), "{what}");
                        closed += 1;
                    }
                    let until = here.iter().filter_map(|e| e.activated_until);
                    until.for_each(|until| {
                        assert!(now < until, "{what}");
                        by_activation += 1;
                    });
                    for entry in &entries {
                        assert!(!entry.paths.is_empty() && entry.permission == *name, "{what}");
                        assert!(entry.paths.iter().all(|path| path.pattern.is_some()), "{what}");
                        assert_eq!(entry.by_policies, permission.requires_visibility, "{what}");
                    }
                    if here.is_empty() { lacked += 1 } else { held += 1 }
                }
            }
        }
    }
    assert!(held > 1_000 && lacked > 1_000, "{held} held, {lacked} lacked");
    assert!(
        void > 10 && closed > 10 && by_activation > 0,
        "{void} void, {closed} closed, {by_activation} by activation"
    );
}

#[test]
fn who_holds_a_role_is_found_and_nobody_else() {
    let mut unused = 0;
    for seed in 0..ORGANIZATIONS {
        let mut rng = Rng::with_seed(seed ^ 0x0401);
        let table = table(&generate::organization(&mut rng));
        let review = Review::of(&table, When::At(NOW));
        let idle = review.unused_roles();
        for role in table.list_roles(None, usize::MAX).items {
            let found: BTreeSet<String> = review.role_holders(&role.id, None).into_iter().map(text).collect();
            let one_by_one = review.principals().into_iter();
            let one_by_one =
                one_by_one.filter(|(service, id)| review.role_holder(*service, id, &role.id, None).is_some());
            assert_eq!(found, one_by_one.map(text).collect(), "seed {seed}: {}", role.id);
            assert_eq!(found.is_empty(), idle.contains(&role.id), "seed {seed}: {}", role.id);
            unused += usize::from(found.is_empty());
        }
        // Whatever somebody may do is given by something.
        let idle = review.unused_permissions();
        let mut access = Access::new(&review, Asked { inactive: false, ..Asked::default() });
        let named: BTreeSet<String> =
            review.principals().into_iter().flat_map(|(s, id)| access.of(s, id)).map(|e| e.permission).collect();
        assert!(idle.iter().all(|name| !named.contains(name)), "seed {seed}");
    }
    assert!(unused > 10);
}

#[test]
fn a_difference_is_what_decisions_say_before_and_after() {
    let (mut gained, mut lost) = (0, 0);
    let mut previous: Option<(serde_json::Value, Table)> = None;
    for seed in 0..ORGANIZATIONS * 2 {
        let mut rng = Rng::with_seed(seed ^ 0xD1FF);
        let file = generate::organization(&mut rng);
        let here = table(&file);
        let Some((old, before)) = previous.replace((file.clone(), here)) else { continue };
        let after = &previous.as_ref().unwrap().1;
        let compared = Compared::new(&before, after, NOW);
        for (service, id) in compared.principals() {
            let who = text((service, id));
            let said = compared.of(service, id);
            for difference in &said {
                assert!(difference.permissions.is_sorted());
                let (account, object) = match &difference.target {
                    Target::Organization => ("", ""),
                    Target::Account(id) => (id.as_str(), ""),
                    Target::Object(id) => ("", id.as_str()),
                    Target::Record(..) => continue,
                };
                let resource = Resource { account, object, record: None };
                let (with, without) = if difference.gained { (after, &before) } else { (&before, after) };
                for name in &difference.permissions {
                    let inviting = |t: &Table| t.permission(name).is_some_and(|p| t.is_inviting(p));
                    if inviting(with) {
                        continue;
                    }
                    let what = format!("seed {seed}: {who}: {difference:?}");
                    assert_eq!(may(with, &who, name, resource), Reason::Allowed, "{what}");
                    // What is not there at all allows nothing.
                    let there = without.permission(name).is_some()
                        && (object.is_empty() || without.object_row(&object.parse::<Id>().unwrap()).is_some())
                        && (account.is_empty()
                            || places(if difference.gained { &old } else { &file }).iter().any(|p| p.1 == account));
                    assert!(!there || may(without, &who, name, resource) != Reason::Allowed, "{what}");
                    if difference.gained { gained += 1 } else { lost += 1 }
                }
            }
            // And nothing is missed.
            for (target, account, object) in places(&file) {
                if !places(&old).iter().any(|(t, ..)| *t == target) {
                    continue;
                }
                for (_, slot) in after.catalogue() {
                    let name = slot.row.name.as_str();
                    let Some(permission) = before.permission(name) else { continue };
                    if before.is_inviting(permission) {
                        continue;
                    }
                    let resource = Resource { account: &account, object: &object, record: None };
                    let (was, is) = (may(&before, &who, name, resource), may(after, &who, name, resource));
                    let allowed = is == Reason::Allowed;
                    let changed = (was == Reason::Allowed) != allowed;
                    let listed = said.iter().any(|d| {
                        d.gained == allowed
                            && (d.target == target || d.target == Target::Organization)
                            && d.permissions.iter().any(|p| p == name)
                    });
                    assert!(!changed || listed, "seed {seed}: {who} {name} at {target}: {was:?}, {is:?}, {said:?}");
                }
            }
        }
    }
    assert!(gained > 200 && lost > 200, "{gained} gained, {lost} lost");
}

#[test]
fn a_permission_that_moves_to_the_organization_is_no_loss() {
    let file = |target: &str| {
        let mut grant = json!({"permissions": ["data.read"], "member": "user:ana"});
        if !target.is_empty() {
            grant["object"] = target.into();
        }
        json!({
            "organization": "acme",
            "permissions": [{"name": "data.read"}, {"name": "data.write"}],
            "objects": [{"id": "app", "kind": "app"}],
            "users": [{"id": "ana", "email": "ana@acme.com"}],
            "grants": [grant],
        })
    };
    let (narrow, wide) = (table(&file("app")), table(&file("")));
    let of = |before: &Table, after: &Table| -> Vec<String> {
        let said = Compared::new(before, after, NOW).of(false, "ana");
        said.iter().map(|d| format!("{} {} {:?}", d.gained, d.target, d.permissions)).collect()
    };
    assert_eq!(of(&narrow, &wide), [r#"true the organization ["data.read"]"#]);
    assert_eq!(of(&wide, &narrow), [r#"false the organization ["data.read"]"#]);
    assert_eq!(of(&narrow, &narrow), [""; 0]);
    let rows =
        rows(&json!({"organization": "acme", "users": [{"id": "ana", "email": "ana@acme.com", "status": "inactive"}]}));
    let off = apply(&narrow, vec![Change::Replace { rows, deactivate_missing: false }]).unwrap().table;
    assert_eq!(of(&narrow, &off), [r#"false object `app` ["data.read"]"#], "whoever may not act can do nothing");
}

/// Ana pays everywhere and reviews at one app; an element is private to another account.
fn duties(enforce: &str) -> serde_json::Value {
    json!({
        "organization": "acme",
        "accounts": [{"id": "main", "default": true}, {"id": "emea"}],
        "permissions": [{"name": "data.pay"}, {"name": "data.review"}],
        "objects": [{"id": "app", "kind": "app"}, {"id": "crm", "kind": "element", "private_to": "account:emea"}],
        "users": [{"id": "ana", "email": "ana@acme.com"}],
        "roles": [
            {"id": "payer", "scope": "organization", "permissions": ["data.pay"]},
            {"id": "reviewer", "scope": "object", "permissions": ["data.review"]},
        ],
        "assignments": [
            {"role": "payer", "member": "user:ana"},
            {"role": "reviewer", "member": "user:ana", "object": "app"},
        ],
        "separation_of_duties": [{"id": "pay", "roles": ["payer", "reviewer"], "max": 1, "enforce": enforce}],
    })
}

/// What a review of a target says: permission, where it is held, and what stands against it.
fn said(table: &Table, target: Option<Target>, now: i64) -> Vec<String> {
    let review = Review::of(table, When::At(now));
    let mut access = Access::new(&review, Asked { target, ..Asked::default() });
    let entries = access.of(false, "ana").into_iter();
    let entry = |e: doorward::core::review::access::Entry| {
        let void: Vec<String> = e.void_by.iter().map(ToString::to_string).collect();
        assert_eq!(e.stands(), void.is_empty() && e.closed_by.is_none());
        format!("{} at {} {void:?} {:?} {:?}", e.permission, e.target, e.closed_by, e.activated_until)
    };
    entries.map(entry).collect()
}

#[test]
fn a_row_says_what_stands_against_it_where_it_is_asked() {
    let table = table(&duties("deny"));
    let object = |id: &str| Some(Target::Object(id.parse().unwrap()));
    // Where only one of the roles is held, it stands.
    let whole = ["data.pay at the organization [] None None", r#"data.review at object `app` ["pay"] None None"#];
    assert_eq!(said(&table, None, NOW), whole);
    let at_app =
        [r#"data.pay at the organization ["pay"] None None"#, r#"data.review at object `app` ["pay"] None None"#];
    assert_eq!(said(&table, object("app"), NOW), at_app);
    let closed = r#"data.pay at the organization [] Some("element `crm` is private to account `emea`") None"#;
    assert_eq!(said(&table, object("crm"), NOW), [closed]);
}

#[test]
fn a_row_says_until_when_it_is_held_by_activation() {
    let mut file = duties("prevent");
    for key in ["assignments", "separation_of_duties"] {
        file.as_object_mut().unwrap().remove(key);
    }
    let activation = Activation {
        id: "a-1".parse().unwrap(),
        role: "payer".parse().unwrap(),
        target: Target::Organization,
        user: "ana".parse().unwrap(),
        justification: "it burns".to_owned(),
        rehearsal: false,
        starts_at: NOW,
        expires_at: NOW + 1_000,
        ended_at: None,
    };
    let plain = table(&file);
    let table = apply(&plain, vec![Change::Create(Row::Activation(activation))]).unwrap().table;
    let until = format!("data.pay at the organization [] None Some({})", NOW + 1_000);
    assert_eq!(said(&table, None, NOW), [until]);
    assert_eq!(said(&table, None, NOW + 1_000), [""; 0]);
    // And whoever activated a role holds it.
    let (payer, review) = ("payer".parse().unwrap(), Review::of(&table, When::At(NOW)));
    assert_eq!(review.role_holders(&payer, None), [(false, "ana")]);
    assert!(!review.unused_roles().contains(&payer));
    assert!(Review::of(&plain, When::At(NOW)).unused_roles().contains(&payer));
}

#[test]
fn a_difference_knows_of_constraints_and_lists() {
    let of = |before: &Table, after: &Table| -> Vec<String> {
        let said = Compared::new(before, after, NOW).of(false, "ana");
        said.iter().map(|d| format!("{} {} {:?}", d.gained, d.target, d.permissions)).collect()
    };
    let mut without = duties("deny");
    without.as_object_mut().unwrap().remove("separation_of_duties");
    let (free, bound) = (table(&without), table(&duties("deny")));
    assert_eq!(of(&free, &bound), [r#"false object `app` ["data.pay", "data.review"]"#]);
    assert_eq!(of(&bound, &free), [r#"true object `app` ["data.pay", "data.review"]"#]);
    without["objects"][1].as_object_mut().unwrap().remove("private_to");
    assert_eq!(of(&free, &table(&without)), [r#"true object `crm` ["data.pay"]"#]);
}
