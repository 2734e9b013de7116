//! What is folded means the same, and asks about the record only.

use fastrand::Rng;

use super::random::{random_world, sentence};
use super::{World, compile, declared, texts, world};
use crate::core::condition::eval::{truth_of, value_of};
use crate::core::condition::{
    Attribute, Collection, Expr, Kind, Lists, Many, Outcome, Reports, Schema, Source, asks_record, check, evaluate,
    evaluate_tree, fold, is_settled,
};
use crate::core::model::Value;

fn reports(reports: Reports) -> Option<Vec<Box<str>>> {
    // As `World::in_reports` has it.
    Some(if reports == Reports::Direct { vec!["bo".into()] } else { vec!["bo".into(), "cy".into()] })
}

fn none(_: Reports) -> Option<Vec<Box<str>>> {
    None
}

/// True, false, or neither.
fn truth(outcome: Outcome) -> Option<bool> {
    match outcome {
        Outcome::True => Some(true),
        Outcome::False => Some(false),
        Outcome::Error(_) => None,
    }
}

/// Whether everything in a folded tree is a constant, asks about the record, or is an error by itself: in
/// what is asked to be a bool, also what is none.
fn is_folded(expr: &Expr, (asked, depth): (Position, u8), world: &World, lists: Lists<'_>) -> bool {
    let of_record = |source: &Source| matches!(source.attribute, Attribute::Field(..) | Attribute::Record(_));
    let many = |many: &Many| match &many.collection {
        Collection::Constants(_) => true,
        Collection::Read(source) => of_record(source),
        Collection::Reports(_) | Collection::Groups => matches!(lists, Lists::Keep),
    };
    let test = |expr: &Expr| is_folded(expr, (Position::Test, depth), world, lists);
    let value = |expr: &Expr| is_folded(expr, (Position::Value, depth), world, lists);
    if matches!(expr.kind, Kind::Constant(_)) {
        return true;
    }
    if is_settled(expr, depth) {
        return match asked {
            Position::Test => truth_of(expr, world).is_err(),
            Position::Value => value_of(expr, world).is_err(),
        };
    }
    match &expr.kind {
        Kind::Constant(_) | Kind::Variable(_) => true,
        Kind::Now => false,
        Kind::Read(source) | Kind::Has(source) => of_record(source),
        Kind::Not(of) => test(of),
        Kind::Negate(of) | Kind::Length(of) => value(of),
        Kind::All(parts) | Kind::Any(parts) => parts.iter().all(test),
        Kind::Compare(_, sides) | Kind::Text(_, sides) => sides.iter().all(value),
        Kind::Arithmetic(first, rest) => value(first) && rest.iter().all(|(_, operand)| value(operand)),
        Kind::In(element, list) => value(element) && many(list),
        Kind::Count(list) => many(list),
        Kind::Quantified(_, list, variable, body) => {
            many(list) && is_folded(body, (Position::Test, variable.depth + 1), world, lists)
        }
    }
}

#[derive(Clone, Copy)]
enum Position {
    Test,
    Value,
}

/// Folds for the principal of one world and asks about the records of others.
fn means_the_same(text: &str, random: &mut Rng) -> [usize; 3] {
    let (fields, user_attributes) = declared();
    let schema = Schema { fields: &fields, user_attributes: &user_attributes };
    let Ok(condition) = check(text, &schema) else { return [0; 3] };
    let mut came = [0; 3];
    for lists in [Lists::Keep, Lists::Spell(&reports), Lists::Spell(&none)] {
        let principal = random_world(random);
        let folded = fold(&condition, &principal, lists);
        let kept = if let Lists::Spell(list) = lists
            && list(Reports::All).is_some()
        {
            lists
        } else {
            Lists::Keep
        };
        assert!(is_folded(&folded, (Position::Test, 0), &principal, kept), "{text}: {folded:?}");
        for _ in 0..4 {
            let record = random_world(random);
            let world = World {
                fields: record.fields,
                owner: record.owner,
                watchers: (0..random.usize(0..3)).map(|_| random.choice(["ana", "bo"]).unwrap().to_owned()).collect(),
                user: principal.user.clone(),
                context: principal.context.clone(),
                now: principal.now,
            };
            let expected = truth(evaluate(&condition, &world));
            assert_eq!(truth(evaluate_tree(&folded, &world)), expected, "{text}: {folded:?} {:?}", world.fields);
            came[expected.map_or(2, usize::from)] += 1;
        }
    }
    came
}

const MORE: [&str; 26] = [
    "record.region in user.groups || record.region in user.attributes.regions",
    "record.region in context.attributes.mixed",
    "record.region in context.attributes.nil || record.open",
    "record.level in context.attributes.mixed || record.e",
    "user.groups.exists(g, g == record.region)",
    "['eu', 'red'].all(r, record.tags.exists(t, t == r))",
    "context.attributes.mixed.exists(x, x == record.region)",
    "context.attributes.mixed.all(x, x == record.level || record.open)",
    "context.attributes.mixed.exists(x, x)",
    "context.attributes.mixed.exists(x, (x && record.open) == true)",
    "context.attributes.mixed.exists(x, x in user.groups && record.open)",
    "[1, 2].exists(x, record.tags.exists(t, size(t) == x || t in user.groups))",
    "(record.region + context.attributes.ip) in user.groups",
    "(record.region + context.attributes.nil) in user.groups || record.open",
    "1 + 2 + record.level - context.attributes.score > user.attributes.badge",
    "now - duration('1h') < record.due && record.due < now",
    "record.owner in user.all_reports || record.owner in user.direct_reports",
    "user.manager == record.owner || record.open",
    "user.manager == record.owner && record.open",
    "!(user.manager == 'x' && record.f) && !(context.attributes.flag || record.e)",
    "record.tags.exists(t, t in user.groups || t == user.attributes.team)",
    "record.tags.all(t, user.manager == t)",
    "record.amount > user.attributes.limit && size(user.groups) == 2 && size(record.tags) > context.attributes.score",
    "user.groups.all(g, ['a', 'b'].exists(x, x + g == record.region)) || record.level % context.attributes.score == 0",
    "record.amount in context.attributes.mixed || -(context.attributes.ratio) < record.amount",
    "(user.attributes.badge == 7 && record.open) == (context.attributes.flag || record.f)",
];

#[test]
fn a_folded_tree_means_what_the_condition_does_and_asks_about_the_record_only() {
    let random = &mut Rng::with_seed(21);
    let mut came = [0; 3];
    let mut count = |more: [usize; 3]| came.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    for text in MORE {
        compile(text);
        for _ in 0..60 {
            count(means_the_same(text, random));
        }
    }
    for i in 0..4_000 {
        let text = sentence(random, i % 4);
        let text = match i % 3 {
            0 => text,
            1 => format!("({text}) && ({})", random.choice(MORE).unwrap()),
            _ => format!("!({text}) || ({})", random.choice(MORE).unwrap()),
        };
        count(means_the_same(&text, random));
    }
    assert!(came.iter().all(|times| *times > 5_000), "{came:?}");
}

fn folded(text: &str, world: &World) -> Expr {
    fold(&compile(text), world, Lists::Keep)
}

#[test]
fn what_is_known_is_a_constant_and_what_decides_stands_alone() {
    let world = world();
    for (text, expected) in [
        ("user.kind == 'internal' || record.e", true),
        ("user.kind == 'external' && record.e", false),
        ("user.kind == 'external' && record.e || 1 < 2", true),
        ("!(record.e && false)", true),
        ("(record.e || true) == (user.id == 'ana')", true),
        ("user.groups.exists(g, g == 'staff') || record.open", true),
    ] {
        let tree = folded(text, &world);
        assert!(
            matches!(&tree.kind, Kind::Constant(c) if *c == crate::core::condition::Constant::Bool(expected)),
            "{text}"
        );
    }
}

#[test]
fn an_error_that_is_known_takes_the_place_of_what_needs_it() {
    let world = world();
    for text in [
        "record.region == user.manager",
        "record.level + context.attributes.nil > 2",
        "record.region in context.attributes.nil",
    ] {
        let tree = folded(text, &world);
        assert!(!asks_record(&tree), "{text}: {tree:?}");
        assert!(matches!(evaluate_tree(&tree, &world), Outcome::Error(_)), "{text}");
    }
}

#[test]
fn a_long_list_is_not_spelled_out() {
    let mut world = world();
    let many: Vec<String> = (0..super::super::MAX_UNROLLED).map(|i| format!("r{i}")).collect();
    world.user.insert("regions".to_owned(), texts(&many.iter().map(String::as_str).collect::<Vec<_>>()));
    let tree = folded("user.attributes.regions.exists(r, r == record.region)", &world);
    assert!(matches!(&tree.kind, Kind::Quantified(_, many, ..) if matches!(many.collection, Collection::Constants(_))));
    world.fields.insert("region".to_owned(), Value::String("r77".to_owned()));
    assert_eq!(evaluate_tree(&tree, &world), Outcome::True);
}
