//! Rule 6.6: a plan, run over records by what it says alone, passes exactly the records that a filter and the
//! oracle do.

use std::collections::BTreeMap;

use doorward::core::plan::{Filter, PlanError, plan};
use fastrand::Rng;

use crate::ask::{Sent, activated, question, record, sent};
use crate::generate;
use crate::oracle::Oracle;
use crate::plan_run::{kept, passes, row};
use crate::support::{filter, table};

/// Organizations and questions each; more with `DOORWARD_PROPERTY_ORGANIZATIONS`, as `.ci/run` has it.
fn worlds() -> u64 {
    std::env::var("DOORWARD_PROPERTY_ORGANIZATIONS").map_or(150, |n| n.parse().unwrap())
}

#[test]
fn m6_6_a_plan_passes_exactly_the_records_that_a_filter_does() {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut passed, mut asked) = (0, 0);
    for seed in 0..worlds() {
        let mut rng = Rng::with_seed(seed ^ 0x6666_6565);
        let world = generate::world(&mut rng);
        let oracle = Oracle::with_conditions(&world.file, &world.conditions).activated(&world.file, &world.activations);
        let table = activated(&table(&world.file), &world);
        for _ in 0..20 {
            let mut q = generate::filter_question(&mut rng, &world);
            q.records = q.records.into_iter().map(kept).collect();
            let mut one = q.on(&q.records[0]);
            one.record = None;
            let sent = sent(&one);
            let question = question(&one, &sent);
            let planned = plan(&table, &question, q.now_ms);
            // Each record by itself: one that names an unknown account is an error of a filter's.
            let passing: Vec<Option<bool>> = q
                .records
                .iter()
                .map(|r| {
                    let attributes = Sent::of(&r.attributes);
                    let filtered = filter(&table, &question, [record(r, &attributes)], q.now_ms).ok();
                    filtered.map(|filtered| !filtered.positions.is_empty())
                })
                .collect();
            let wrong = |what: &str| format!("seed {seed}: {what}: {planned:#?}\n{q:#?}\n{:#}", world.file);
            let planned = match &planned {
                Ok(planned) => planned,
                Err(PlanError::Question(_)) => {
                    assert!(passing.iter().all(Option::is_none), "{}", wrong("no plan"));
                    *kinds.entry("wrong").or_default() += 1;
                    continue;
                }
                Err(PlanError::Inexpressible(_)) => {
                    *kinds.entry("inexpressible").or_default() += 1;
                    continue;
                }
                Err(PlanError::TooLarge(_)) => panic!("{}", wrong("too large")),
            };
            let kind = match &planned.filter {
                Filter::Always => "always",
                Filter::Never(_) => "never",
                Filter::Conditional(_) => "conditional",
            };
            *kinds.entry(kind).or_default() += 1;
            assert!(planned.complete, "{}", wrong("incomplete"));
            for (r, expected) in q.records.iter().zip(passing) {
                let Some(expected) = expected else { continue };
                let got = match &planned.filter {
                    Filter::Always => true,
                    Filter::Never(_) => false,
                    Filter::Conditional(condition) => passes(condition, &row(r)),
                };
                assert_eq!(got, expected, "{}", wrong(&r.id));
                passed += usize::from(got);
                asked += 1;
            }
            // The oracle knows nothing of either.
            if let Some(expected) = oracle.filter(&q) {
                let positions = q.records.iter().enumerate().filter(|(_, r)| match &planned.filter {
                    Filter::Always => true,
                    Filter::Never(_) => false,
                    Filter::Conditional(condition) => passes(condition, &row(r)),
                });
                assert_eq!(positions.map(|(at, _)| at).collect::<Vec<_>>(), expected, "{}", wrong("the oracle"));
            }
            // Nothing happens before it may.
            if let Some(until) = planned.valid_until {
                assert!(until > q.now_ms, "{}", wrong("over"));
                if until - 1 > q.now_ms {
                    let later = plan(&table, &question, until - 1).unwrap();
                    assert_eq!(later.filter, planned.filter, "{}", wrong("otherwise before its time"));
                }
            }
        }
    }
    println!("{passed} of {asked} records pass: {kinds:?}");
    assert!(passed * 20 > asked, "{passed} of {asked} records pass");
    let of = |kind: &str| kinds.get(kind).copied().unwrap_or(0);
    let all: usize = kinds.values().sum();
    assert!(of("conditional") * 10 > all && of("always") * 100 > all, "{kinds:?}");
    assert!(of("inexpressible") * 10 < all, "{kinds:?}");
}
