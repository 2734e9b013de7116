//! The oracle on separation of duties and emergency access; and that the generator makes cases of both.

use super::*;
use crate::generate;
use crate::oracle::Oracle;

const SEPARATION: Answer = Deny("SEPARATION_OF_DUTIES");

fn paying(enforce: &str) -> Value {
    acme(json!({
        "permissions": [{"name": "pay.out"}, {"name": "pay.sign"}],
        "roles": [
            {"id": "payer", "scope": "organization", "permissions": ["pay.out"]},
            {"id": "signer", "scope": "object", "permissions": ["pay.sign"]},
            {"id": "third", "scope": "organization", "permissions": ["pay.sign"]},
        ],
        "assignments": [{"role": "payer", "member": "group:all-users"}, {"role": "signer", "member": "user:ana", "object": "app"}],
        "separation_of_duties": [{"id": "pay", "roles": ["payer", "signer"], "max": 1, "enforce": enforce}],
    }))
}

#[test]
fn m4_5_roles_of_a_constraint_that_denies_are_void_where_too_many_are_held() {
    let file = paying("deny");
    let out = |principal: &str, object| authorize(&file, &at(ask(principal, "pay.out"), None, object));
    assert_eq!((out("user:ana", Some("app")), out("user:ana", None)), (SEPARATION, Allow));
    assert_eq!(out("user:ext", Some("app")), Allow);
    let sign = at(ask("user:ana", "pay.sign"), None, Some("app"));
    assert_eq!(authorize(&file, &sign), SEPARATION);
    assert_eq!(authorize(&paying("prevent"), &sign), Allow);
    // What another role or a grant gives is given.
    let mut third = file.clone();
    third["assignments"].as_array_mut().unwrap().push(json!({"role": "third", "member": "user:ana"}));
    assert_eq!(authorize(&third, &sign), Allow);
    // Only what is in effect counts, and more than `max`.
    let mut later = file.clone();
    later["assignments"][1]["starts_at"] = json!("2026-11-22T12:00:00.001Z");
    assert_eq!(authorize(&later, &at(ask("user:ana", "pay.out"), None, Some("app"))), Allow);
    let mut two = file;
    two["separation_of_duties"][0]["roles"] = json!(["payer", "signer", "third"]);
    two["separation_of_duties"][0]["max"] = json!(2);
    assert_eq!(authorize(&two, &sign), Allow);
}

#[test]
fn m7_4_an_activation_gives_its_role_while_it_lasts_and_a_rehearsal_nothing() {
    let file = acme(json!({
        "permissions": [{"name": "pay.out"}],
        "roles": [{"id": "payer", "scope": "organization", "permissions": ["pay.out"]}],
    }));
    let activation = |more: Value| {
        let mut row = json!({"role": "payer", "user": "ana", "starts_at_ms": NOW_MS, "expires_at_ms": NOW_MS + 10});
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Oracle::new(&file).activated(&file, &[row])
    };
    let answers = |oracle: &Oracle, now_ms: i64| oracle.authorize(&Question { now_ms, ..ask("user:ana", "pay.out") });
    let active = activation(json!({}));
    let times = [NOW_MS - 1, NOW_MS, NOW_MS + 9, NOW_MS + 10].map(|now_ms| answers(&active, now_ms));
    assert_eq!(times, [NO_PERMISSION, Allow, Allow, NO_PERMISSION]);
    let ended = activation(json!({"ended_at_ms": NOW_MS + 5}));
    assert_eq!([NOW_MS + 4, NOW_MS + 5].map(|now_ms| answers(&ended, now_ms)), [Allow, NO_PERMISSION]);
    assert_eq!(answers(&activation(json!({"rehearsal": true})), NOW_MS), NO_PERMISSION);
    assert_eq!(active.authorize(&ask("user:bo", "pay.out")), NO_PERMISSION);
}

#[test]
fn constraints_and_activations_occur() {
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut preventing, mut denying, mut running, mut rehearsed, mut ended) = (0, 0, 0, 0, 0);
    for _ in 0..200 {
        let world = generate::world(&mut rng);
        for row in world.file["separation_of_duties"].as_array().into_iter().flatten() {
            *if row["enforce"] == "deny" { &mut denying } else { &mut preventing } += 1;
        }
        for row in &world.activations {
            let at = |key: &str| row[key].as_i64().unwrap_or(i64::MAX);
            rehearsed += usize::from(row["rehearsal"] == true);
            ended += usize::from(row["ended_at_ms"].is_i64());
            let end = at("expires_at_ms").min(at("ended_at_ms"));
            running += usize::from(row["rehearsal"] == false && at("starts_at_ms") <= NOW_MS && NOW_MS < end);
        }
    }
    println!("{preventing} prevent, {denying} deny; {running} run, {rehearsed} are rehearsed, {ended} ended");
    assert!(preventing > 20 && denying > 60 && running > 60 && rehearsed > 10 && ended > 20);
}
