//! Reports on access held against decisions, over random organizations: who is said to hold something
//! may do it, and who may do it is said to hold it.

use std::collections::BTreeSet;

use doorward::core::change::{Change, apply};
use doorward::core::decision::{Context, EMAIL_CHANNEL, Question, Reason, Resource, decide};
use doorward::core::id::Id;
use doorward::core::model::Target;
use doorward::core::review::access::{Access, Asked};
use doorward::core::review::difference::Compared;
use doorward::core::review::{Review, When};
use doorward::core::table::Table;
use fastrand::Rng;
use serde_json::json;

use crate::generate;
use crate::support::{rows, table};

const ORGANIZATIONS: u64 = 40;
/// Later than every period of the generator begins.
const NOW: i64 = 4_000_000_000_000;

/// In circumstances in which nobody's status or sign-on stands in the way.
fn may(table: &Table, principal: &str, permission: &str, resource: Resource<'_>) -> Reason {
    let context = Context { channel: EMAIL_CHANNEL, authenticated_at: Some(NOW), ..Context::default() };
    decide(table, &Question { principal, permission, resource, context }, NOW).unwrap()
}

/// What rule 4.5 says of holding; a constraint may void what is held all the same.
fn is_held(reason: Reason) -> bool {
    matches!(reason, Reason::Allowed | Reason::SeparationOfDuties)
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
    let (mut held, mut lacked) = (0, 0);
    for seed in 0..ORGANIZATIONS {
        let mut rng = Rng::with_seed(seed ^ 0x5EED);
        let file = generate::organization(&mut rng);
        let table = table(&file);
        let review = Review::of(&table, When::At(NOW));
        let names: Vec<String> = table.catalogue().map(|(_, slot)| slot.row.name.to_string()).collect();
        for (target, account, object) in places(&file) {
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
                    let decided = may(&table, &who, name, resource);
                    if decided == Reason::ElementNotListed {
                        continue;
                    }
                    let entries = access.of(service, id);
                    let here = entries.iter().filter(|e| e.target == Target::Organization || e.target == target);
                    let here: Vec<_> = here.collect();
                    let what = format!("seed {seed}: {who}, {name} at {target}: {decided:?}\n{entries:?}");
                    assert_eq!(is_held(decided), !here.is_empty(), "{what}");
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
                    assert!(is_held(may(with, &who, name, resource)), "{what}");
                    // What is not there at all allows nothing.
                    let there = without.permission(name).is_some()
                        && (object.is_empty() || without.object_row(&object.parse::<Id>().unwrap()).is_some())
                        && (account.is_empty()
                            || places(if difference.gained { &old } else { &file }).iter().any(|p| p.1 == account));
                    assert!(!there || !is_held(may(without, &who, name, resource)), "{what}");
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
                    if was == Reason::ElementNotListed || is == Reason::ElementNotListed {
                        continue;
                    }
                    let changed = is_held(was) != is_held(is);
                    let listed = said.iter().any(|d| {
                        d.gained == is_held(is)
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
