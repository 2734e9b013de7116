//! Rule 6.3: how errors combine.

use super::{answer, compile, outcome, world};
use crate::core::condition::{Outcome, explain};
use crate::core::model::Value;

/// True, false and error, each in several shapes.
const LEAVES: [(Option<bool>, &[&str]); 3] = [
    (Some(true), &["true", "record.t", "record.level == 3", "has(record.region)", "'red' in record.tags"]),
    (Some(false), &["false", "record.f", "record.amount < 1", "has(record.e)", "has(record.n)"]),
    (
        None,
        &[
            "record.e",
            "record.n",
            "record.e == true",
            "1 / 0 == 1",
            "context.attributes.ip == 1",
            "'a' in context.attributes.none",
        ],
    ),
];

/// Conjunction as CEL has it, with `None` for an error: written as the table it is.
fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn or(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    and(a.map(|a| !a), b.map(|b| !b)).map(|c| !c)
}

fn value(text: &str) -> Option<bool> {
    match outcome(&compile(text), &world()) {
        Outcome::True => Some(true),
        Outcome::False => Some(false),
        Outcome::Error(_) => None,
    }
}

#[test]
fn m6_3_and_or_not_combine_errors_as_cel_does() {
    let leaves = || LEAVES.into_iter().flat_map(|(value, texts)| texts.iter().map(move |text| (value, *text)));
    for (a, left) in leaves() {
        assert_eq!(value(left), a, "{left}");
        assert_eq!(value(&format!("!({left})")), a.map(|a| !a), "!{left}");
        for (b, right) in leaves() {
            for (sign, expected) in [("&&", and(a, b)), ("||", or(a, b))] {
                let text = format!("({left}) {sign} ({right})");
                assert_eq!(value(&text), expected, "{text}");
                let negated = format!("!({text})");
                assert_eq!(value(&negated), expected.map(|c| !c), "{negated}");
            }
        }
    }
}

#[test]
fn m6_3_chains_and_quantifiers_combine_errors_like_pairs() {
    let random = &mut fastrand::Rng::with_seed(3);
    for _ in 0..2_000 {
        // 1, 0 and -1 stand for true, false and an error.
        let elements: Vec<i64> = (0..random.usize(0..5)).map(|_| random.i64(-1..=1)).collect();
        let (mut every, mut some, mut leaves) = (Some(true), Some(false), Vec::new());
        for element in &elements {
            let (value, texts) = LEAVES[usize::try_from(1 - element).unwrap()];
            (every, some) = (and(every, value), or(some, value));
            leaves.push(*random.choice(texts.iter()).unwrap());
        }
        // True for 1, false for 0, a division by zero for -1.
        let asked = "1 / (x + 1) == 0 || x == 1";
        assert_eq!(value(&format!("{elements:?}.exists(x, {asked})")), some, "{elements:?}");
        assert_eq!(value(&format!("{elements:?}.all(x, {asked})")), every, "{elements:?}");
        if !leaves.is_empty() {
            assert_eq!(value(&leaves.join(" && ")), every, "{leaves:?}");
            assert_eq!(value(&leaves.join(" || ")), some, "{leaves:?}");
        }
    }
}

#[test]
fn m6_3_an_error_never_allows_and_always_restricts() {
    let outcome = outcome(&compile("record.e"), &world());
    assert!(!outcome.allows() && outcome.restricts());
}

#[test]
fn m6_3_what_reads_a_null_or_missing_attribute_is_an_error_that_names_it() {
    for (text, expected) in [
        ("record.e", "`record.e` is missing"),
        ("record.n", "`record.n` is null"),
        ("true && !record.n", "`record.n` is null"),
        ("record.e == record.n", "`record.e` is missing"),
        ("user.manager == record.owner", "`user.manager` is missing"),
        ("record.owner in user.all_reports || record.account == 'main'", "true"),
        ("record.account in user.all_reports", "`record.account` is missing"),
        ("context.attributes.nil == 1", "`context.attributes.nil` is null"),
        ("record.region in context.attributes.none", "`context.attributes.none` is missing"),
        ("record.days.exists(d, d < now)", "`record.days` is missing"),
        ("size(record.days) == 0", "`record.days` is missing"),
        ("context.attributes.mixed.exists(m, m == 1)", "true"),
        ("context.attributes.mixed.all(m, m == 1)", "`m == 1` is of a type that does not fit here"),
        ("context.attributes.mixed.exists(m, m == true)", "`m == true` is of a type that does not fit here"),
    ] {
        assert_eq!(answer(text, &world()), expected, "{text}");
    }
}

#[test]
fn m6_3_has_asks_without_error_and_is_false_for_null() {
    for (text, expected) in [
        ("has(record.region)", "true"),
        ("has(record.e)", "false"),
        ("has(record.n)", "false"),
        ("!has(record.n)", "true"),
        ("has(record.tags)", "true"),
        ("has(record.days)", "false"),
        ("has(record.account)", "false"),
        ("has(record.watchers)", "true"),
        ("has(user.manager)", "false"),
        ("has(user.email)", "true"),
        ("has(user.attributes.team)", "true"),
        ("has(user.attributes.nothing)", "false"),
        ("has(context.attributes.nil)", "false"),
        ("has(context.attributes.mixed)", "true"),
        ("has(context.attributes['x-y'])", "true"),
        ("has(context.channel)", "true"),
    ] {
        assert_eq!(answer(text, &world()), expected, "{text}");
    }
}

#[test]
fn m6_3_a_value_that_is_not_of_the_declared_type_counts_as_missing() {
    const EXACT: i64 = 1 << 53;
    let not = |text: &str| format!("`{text}` was not sent as what it is declared to be");
    let string = || Value::String("3".to_owned());
    for (field, value, text, expected) in [
        ("level", string(), "record.level == 3", not("record.level")),
        ("level", string(), "has(record.level)", "false".to_owned()),
        ("level", Value::Double(3.0), "record.level == 3", not("record.level")),
        ("amount", Value::Int(3), "record.amount == 3", "true".to_owned()),
        ("amount", Value::Int(EXACT), "record.amount > 0", "true".to_owned()),
        ("amount", Value::Int(-EXACT), "has(record.amount)", "true".to_owned()),
        ("amount", Value::Int(EXACT + 1), "record.amount > 0", not("record.amount")),
        ("amount", Value::Int(i64::MIN), "has(record.amount)", "false".to_owned()),
        ("amount", Value::Double(f64::NAN), "record.amount > 0", not("record.amount")),
        ("amount", Value::Double(f64::INFINITY), "has(record.amount)", "false".to_owned()),
        ("due", Value::Int(5), "record.due < now", not("record.due")),
        ("region", Value::Bool(true), "record.region == 'eu'", not("record.region")),
        ("region", Value::List(vec![]), "record.region == 'eu'", not("record.region")),
        ("tags", string(), "'3' in record.tags", not("record.tags")),
        ("tags", Value::List(vec![string(), Value::Int(1)]), "'3' in record.tags", not("record.tags")),
        ("tags", Value::List(vec![string(), Value::Null]), "record.tags.exists(t, t == '3')", not("record.tags")),
        ("tags", Value::List(vec![string(), Value::Int(1)]), "has(record.tags)", "false".to_owned()),
        ("tags", Value::List(vec![string(), Value::Int(1)]), "record.tags.size() == 2", not("record.tags")),
        ("ratios", Value::List(vec![Value::Int(EXACT + 1)]), "0.5 in record.ratios", not("record.ratios")),
        ("ratios", Value::List(vec![Value::Int(4)]), "4 in record.ratios", "true".to_owned()),
    ] {
        let mut world = world();
        world.fields.insert(field.to_owned(), value);
        assert_eq!(answer(text, &world), expected, "{text}");
    }
    let mut world = world();
    world.user.insert("limit".to_owned(), string());
    assert_eq!(answer("record.amount < user.attributes.limit", &world), not("user.attributes.limit"));
}

#[test]
fn an_explanation_shows_what_was_asked_and_no_more() {
    let condition = compile("record.f && record.t || record.tags.exists(t, t == 'blue') || record.e");
    let trace = explain(&condition, &world());
    let shown: Vec<_> = trace
        .steps
        .iter()
        .map(|step| match &step.seen {
            Ok(seen) => format!("{} = {seen:?}", condition.excerpt(step.span)),
            Err(cause) => condition.describe(*cause),
        })
        .collect();
    assert_eq!(
        shown,
        [
            "record.f = Bool(false)",
            "record.f && record.t = Bool(false)",
            "record.tags = List([String(\"red\"), String(\"blue\"), String(\"grün\")], 3)",
            "t = String(\"red\")",
            "'blue' = String(\"blue\")",
            "t == 'blue' = Bool(false)",
            "t = String(\"blue\")",
            "'blue' = String(\"blue\")",
            "t == 'blue' = Bool(true)",
            "record.tags.exists(t, t == 'blue') = Bool(true)",
            "record.f && record.t || record.tags.exists(t, t == 'blue') || record.e = Bool(true)",
        ]
    );
    assert!(!trace.cut);
}

#[test]
fn a_trace_is_bounded_and_its_outcome_is_not() {
    let mut world = world();
    world.fields.insert("tags".to_owned(), texts_of(1_000));
    let condition = compile("record.tags.exists(t, t == '999')");
    let trace = explain(&condition, &world);
    assert_eq!((trace.outcome, trace.cut, trace.steps.len()), (Outcome::True, true, crate::core::condition::MAX_TRACE));
}

fn texts_of(count: usize) -> Value {
    Value::List((0..count).map(|i| Value::String(i.to_string())).collect())
}
