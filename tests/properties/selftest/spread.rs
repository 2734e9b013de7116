//! The generator keeps its promises: files are valid, and answers are spread as the property tests need them.

use super::*;
use crate::generate::{self, World};
use crate::oracle::conditions::Condition;
use crate::oracle::{Oracle, PolicyOutcome};

/// What the generator promises of a file that no type promises.
fn check_valid(file: &Value) {
    let list = |key: &str| file[key].as_array().cloned().unwrap_or_default();
    let unique = |name: &str, of: Vec<String>| {
        assert_eq!(of.iter().collect::<BTreeSet<_>>().len(), of.len(), "{name} twice: {file}");
    };
    for key in ["accounts", "objects", "users", "service_accounts", "groups", "roles"] {
        unique(key, list(key).iter().map(|row| row["id"].to_string()).collect());
    }
    unique("e-mail", list("users").iter().map(|user| user["email"].as_str().unwrap().to_lowercase()).collect());
    unique(
        "name",
        oracle::catalogue(file).into_iter().flat_map(|one| [one.aliases, vec![one.name]].concat()).collect(),
    );
    let place = |row: &Value| {
        format!("{} {} {} {} {}", row["role"], row["member"], row["account"], row["object"], row["record"])
    };
    unique("assignment", list("assignments").iter().map(place).collect());
    for row in list("separation_of_duties") {
        let roles = row["roles"].as_array().unwrap().len() as u64;
        assert!((1..roles).contains(&row["max"].as_u64().unwrap()), "{file}");
    }
    assert!(
        list("accounts").is_empty()
            || list("accounts").iter().filter(|account| account["default"] == true).count() == 1
    );
    let mut members: BTreeSet<String> =
        ["all-users", "internal-users", "external-users"].map(|id| format!("group:{id}")).into();
    for (key, kind) in [("users", "user"), ("service_accounts", "service"), ("groups", "group")] {
        members.extend(list(key).iter().map(|row| format!("{kind}:{}", row["id"].as_str().unwrap())));
    }
    let roles = oracle::role_permissions(file);
    for row in list("assignments").iter().chain(&list("grants")) {
        assert!(
            members.contains(row["member"].as_str().unwrap())
                && row["role"].as_str().is_none_or(|role| roles.contains_key(role))
        );
        if let (Some(starts_at), Some(expires_at)) = (row["starts_at"].as_str(), row["expires_at"].as_str()) {
            assert!(starts_at.parse::<jiff::Timestamp>().unwrap() < expires_at.parse().unwrap());
        }
    }
}

/// What the generator promises of a world besides.
fn check_world(world: &World) {
    let file = &world.file;
    let list = |key: &str| file[key].as_array().cloned().unwrap_or_default();
    let unique = |name: &str, of: Vec<String>| {
        assert_eq!(of.iter().collect::<BTreeSet<_>>().len(), of.len(), "{name} twice: {file}");
    };
    unique("policy", list("data_access").iter().map(|row| row["id"].to_string()).collect());
    unique("relation", list("relations").iter().map(Value::to_string).collect());
    let members = list("data_access").into_iter().flat_map(|row| row["members"].as_array().unwrap().clone());
    let members = members.chain(list("relations").into_iter().map(|row| row["member"].clone()));
    assert!(members.into_iter().all(|member| !member.as_str().unwrap().starts_with("service:")), "{file}");
    for row in list("data_access") {
        assert!(!row["members"].as_array().unwrap().is_empty());
        unique("member", row["members"].as_array().unwrap().iter().map(Value::to_string).collect());
    }
    for role in list("roles").iter().filter(|role| role["auto_share"].is_array()) {
        assert!(role["scope"] == "object" && role["object"].is_string());
    }
    let before = generate::all_flags_on(file);
    assert!(
        before["groups"].as_array().unwrap().iter().all(|group| group["visibility"].as_array().unwrap().len() == 5)
    );
    check_valid(&before);
    assert_eq!(world.conditions.len(), list("data_access").iter().filter(|row| row["condition"].is_string()).count());
    for condition in world.conditions.values() {
        assert!(condition.to_string().len() < 6_000 && depth(condition) <= 4);
    }
}

fn depth(condition: &Condition) -> usize {
    match condition {
        Condition::Not(one) => 1 + depth(one),
        Condition::And(left, right) | Condition::Or(left, right) => 1 + depth(left).max(depth(right)),
        Condition::Brackets(one) => depth(one),
        _ => 0,
    }
}

const REASONS: [&str; 9] = [
    "PRINCIPAL_UNKNOWN",
    "PRINCIPAL_INVITED",
    "PRINCIPAL_INACTIVE",
    "PRINCIPAL_LIMITED",
    "REAUTHENTICATION_REQUIRED",
    "ELEMENT_NOT_LISTED",
    "NO_PERMISSION",
    "NOT_VISIBLE",
    "NOT_APPROVER",
];

fn check_spread(counts: &BTreeMap<Answer, u32>, reasons: &[&'static str]) {
    let total: u32 = counts.values().sum();
    let percent = |answer| 100.0 * f64::from(counts.get(&answer).copied().unwrap_or(0)) / f64::from(total);
    for answer in counts.keys() {
        println!("{:5.1} %  {answer:?}", percent(*answer));
    }
    let denies = 100.0 - percent(Allow) - percent(Error);
    assert!(percent(Allow) >= 30.0 && denies >= 30.0 && (0.5..5.0).contains(&percent(Error)));
    for reason in reasons {
        assert!(percent(Deny(reason)) >= 1.5, "{reason}");
    }
    assert!(percent(Deny("SEPARATION_OF_DUTIES")) >= 1.0);
}

#[test]
fn answers_are_spread_as_the_property_needs_them() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut counts: BTreeMap<Answer, u32> = BTreeMap::new();
    for _ in 0..1000 {
        let file = generate::organization(&mut rng);
        check_valid(&file);
        let oracle = Oracle::new(&file);
        for at in 0..100 {
            let question = generate::question(&mut rng, &file);
            let answer = oracle.authorize(&question);
            *counts.entry(answer).or_default() += 1;
            if at == 0
                && let Some(allowed) = oracle.permissions(&question)
                && oracle::catalogue(&file).iter().any(|permission| permission.name == question.permission)
            {
                assert_eq!(allowed.contains(&question.permission), answer == Allow);
            }
        }
    }
    check_spread(&counts, &REASONS);
}

#[test]
#[ignore = "a minute, and about the generator alone: run it when the generator changes"]
fn answers_about_records_are_spread_as_the_property_needs_them() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut counts: BTreeMap<Answer, u32> = BTreeMap::new();
    let mut outcomes: BTreeMap<(bool, Option<bool>), u32> = BTreeMap::new();
    let (mut visible, mut hidden, mut wrong) = (0, 0, 0);
    for _ in 0..1000 {
        let world = generate::world(&mut rng);
        check_valid(&world.file);
        check_world(&world);
        let oracle = Oracle::with_conditions(&world.file, &world.conditions);
        for at in 0..100 {
            let question = generate::world_question(&mut rng, &world);
            let answer = oracle.authorize(&question);
            *counts.entry(answer).or_default() += 1;
            for PolicyOutcome { restricts, holds, .. } in oracle.policies(&question) {
                *outcomes.entry((restricts, holds)).or_default() += 1;
            }
            if at % 10 == 0 {
                let question = generate::filter_question(&mut rng, &world);
                match oracle.filter(&question) {
                    None => wrong += 1,
                    Some(passed) => {
                        visible += passed.len();
                        hidden += question.records.len() - passed.len();
                    }
                }
            }
        }
    }
    let all: u32 = outcomes.values().sum();
    println!("{all} conditions");
    for holds in [Some(true), Some(false), None] {
        let of = |restricts| f64::from(outcomes.get(&(restricts, holds)).copied().unwrap_or(0));
        let share = 100.0 * (of(false) + of(true)) / f64::from(all);
        println!("{share:5.1} %  {holds:?} (allow {}, restrict {})", of(false), of(true));
        assert!(share >= 10.0);
    }
    println!("{visible} records visible, {hidden} hidden, {wrong} errors");
    check_spread(&counts, &[&REASONS[..], &["RESTRICTED"]].concat());
    assert!(visible * 4 >= visible + hidden && hidden * 4 >= visible + hidden && wrong > 0 && wrong < 1000);
}
