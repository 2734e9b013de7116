//! Texts that nobody wrote: none makes trouble, and what is taken means the same when written again.

use fastrand::Rng;

use super::{World, declared, outcome, world};
use crate::core::condition::{Expr, Kind, Many, Schema, Span, Typed, check};
use crate::core::model::Value;

const WORDS: [&str; 64] = [
    "record",
    "user",
    "context",
    "now",
    "attributes",
    "region",
    "amount",
    "level",
    "open",
    "due",
    "tags",
    "ratios",
    "e",
    "n",
    "t",
    "groups",
    "all_reports",
    "manager",
    "channel",
    "id",
    "watchers",
    ".",
    ".",
    ".",
    "(",
    ")",
    "(",
    ")",
    "[",
    "]",
    ",",
    "&&",
    "||",
    "!",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "in",
    "+",
    "-",
    "*",
    "/",
    "%",
    "has(",
    "size(",
    ".exists(x,",
    ".all(y,",
    ".startsWith(",
    "x",
    "y",
    "1",
    "-2",
    "2.5",
    "'a'",
    "\"eu\"",
    "true",
    "false",
    "null",
    "duration('1h')",
    "timestamp('2026-01-01T00:00:00Z')",
    "\\",
];

const VALID: [&str; 12] = [
    "record.region == user.attributes.team && !(record.amount >= 10.5)",
    "record.due < now - duration('1h30m') || record.level in [1, 2, -3]",
    "record.tags.exists(x, x in user.groups || ['a', 'b'].all(y, x != y))",
    "has(record.e) && record.e || has(context.attributes['x-y']) && context.attributes['x-y'] > 0",
    "user.id in record.watchers || record.owner in user.all_reports && user.kind != 'external'",
    "(record.level + 2) * 3 - -(record.level) % 4 > 1 && record.amount / 2 * 1e3 < 7",
    "size(record.tags) > 1 && size(record.region) == 2 && 'grün'.startsWith('gr')",
    "!(!record.open) == (record.f || (record.t && record.e))",
    "record['x-y'].contains('\\n\\\"\\u0007ü') || context.channel == 'email'",
    "context.attributes.score * 2 <= record.level && context.attributes.mixed.all(x, x == 1)",
    "now - record.due > duration('-1.5s') && record.due + duration('1h') in [timestamp('2026-01-01T00:00:00.5Z')]",
    "record.ratios.exists(x, x * 2 == 1) && 5 in record.ratios && -5.0 in [1, 2.5]",
];

/// The tree without places.
fn shape(typed: &Typed) -> Expr {
    fn many(many: &mut Many) {
        many.span = Span::default();
    }
    fn strip(expr: &mut Expr) {
        expr.span = Span::default();
        match &mut expr.kind {
            Kind::Constant(_) | Kind::Now | Kind::Read(_) | Kind::Variable(_) | Kind::Has(_) => {}
            Kind::Not(inner) | Kind::Negate(inner) | Kind::Length(inner) => strip(inner),
            Kind::All(parts) | Kind::Any(parts) => parts.iter_mut().for_each(strip),
            Kind::Compare(_, sides) | Kind::Text(_, sides) => sides.iter_mut().for_each(strip),
            Kind::Arithmetic(first, rest) => {
                strip(first);
                for (_, operand) in rest {
                    strip(operand);
                }
            }
            Kind::In(element, list) => {
                strip(element);
                many(list);
            }
            Kind::Count(list) => many(list),
            Kind::Quantified(_, list, _, body) => {
                many(list);
                strip(body);
            }
        }
    }
    let mut root = typed.root().clone();
    strip(&mut root);
    root
}

fn random_value(random: &mut Rng, depth: usize) -> Value {
    match random.u8(0..if depth > 0 { 9 } else { 8 }) {
        0 => Value::Null,
        1 => Value::Bool(random.bool()),
        2 => Value::Int(random.i64(-3..4)),
        3 => Value::Int(random.i64(..)),
        4 => Value::Double(f64::from(random.i32(-6..7)) / 2.0),
        5 => Value::Double(f64::from_bits(random.u64(..))),
        6 => Value::String((*random.choice(["eu", "a", "", "risk", "grün"].iter()).unwrap()).to_owned()),
        7 => Value::Timestamp(if random.bool() { random.i64(..) } else { super::NOW + random.i64(-9..9) }),
        _ => Value::List((0..random.usize(0..4)).map(|_| random_value(random, depth - 1)).collect()),
    }
}

pub(super) fn random_world(random: &mut Rng) -> World {
    let mut world = world();
    for values in [&mut world.fields, &mut world.user, &mut world.context] {
        for value in values.values_mut() {
            if random.u8(0..3) == 0 {
                *value = random_value(random, 2);
            }
        }
    }
    world.owner = random.choice([None, Some("bo"), Some("cy")]).flatten();
    world
}

/// Checks a text; what is taken is written again, read again, and answered in several worlds.
fn tried(text: &str, schema: &Schema<'_>, random: &mut Rng) -> bool {
    let typed = match check(text, schema) {
        Ok(typed) => typed,
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            for mistake in mistakes {
                assert!(
                    mistake.offset + mistake.length <= text.len() && text.is_char_boundary(mistake.offset),
                    "{text:?}"
                );
                assert!(!mistake.message.is_empty());
            }
            return false;
        }
    };
    let written = typed.to_string();
    let again = check(&written, schema).unwrap_or_else(|m| panic!("{text:?} as {written:?}: {m:?}"));
    assert_eq!(shape(&typed), shape(&again), "{text:?} as {written:?}");
    assert_eq!(again.to_string(), written);
    for _ in 0..3 {
        let world = random_world(random);
        let (first, second) = (outcome(&typed, &world), outcome(&again, &world));
        assert_eq!(
            (first.allows(), first.restricts()),
            (second.allows(), second.restricts()),
            "{text:?} as {written:?}"
        );
    }
    true
}

#[test]
fn no_text_makes_trouble() {
    let (fields, user_attributes) = declared();
    let schema = Schema { fields: &fields, user_attributes: &user_attributes };
    let random = &mut Rng::with_seed(11);
    for text in VALID {
        assert!(tried(text, &schema, random), "{text}");
    }
    let mut taken = 0;
    for _ in 0..30_000 {
        let soup: Vec<_> = (0..random.usize(1..30)).map(|_| *random.choice(WORDS.iter()).unwrap()).collect();
        taken += usize::from(tried(&soup.join(if random.bool() { " " } else { "" }), &schema, random));
        let mut mutated: Vec<char> = random.choice(VALID.iter()).unwrap().chars().collect();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..mutated.len());
            match random.u8(0..4) {
                0 => drop(mutated.remove(at)),
                1 => mutated[at] = random.char(' '..='~'),
                2 => mutated.insert(at, random.char(..)),
                _ => {
                    let word = random.choice(WORDS.iter()).unwrap();
                    mutated.splice(at..at, word.chars());
                }
            }
        }
        taken += usize::from(tried(&mutated.into_iter().collect::<String>(), &schema, random));
    }
    assert!(taken > 1_000, "{taken} were taken: too few to mean anything");
}

/// A calculation to a depth.
fn number(random: &mut Rng, depth: usize) -> String {
    if depth == 0 {
        return (*random.choice(["record.level", "1", "-2", "0", "size(record.tags)"].iter()).unwrap()).to_owned();
    }
    let (a, b) = (number(random, depth - 1), number(random, depth - 1));
    match random.u8(0..7) {
        0 => format!("-({a})"),
        sign => format!("({a}) {} {b}", ["+", "-", "*", "/", "%", "+"][usize::from(sign) - 1]),
    }
}

/// A well-typed condition to a depth.
pub(super) fn sentence(random: &mut Rng, depth: usize) -> String {
    let leaf = |random: &mut Rng| {
        let leaves = [
            "record.open",
            "record.e",
            "record.region == 'eu'",
            "record.level < 3",
            "has(record.n)",
            "true",
            "'a' in record.tags",
            "record.due < now",
            "user.id in record.watchers",
            "record.owner in user.all_reports",
            "record.amount in [1, 2.5]",
            "context.attributes.score == 3",
            "record.tags.all(x, x.endsWith('d'))",
            "size(record.region) == 2",
            "context.attributes.flag",
        ];
        (*random.choice(leaves.iter()).unwrap()).to_owned()
    };
    if depth == 0 {
        return leaf(random);
    }
    let part = |random: &mut Rng| sentence(random, depth - 1);
    match random.u8(0..7) {
        0 => format!("!({})", part(random)),
        1 => format!("{} && ({}) && {}", part(random), part(random), part(random)),
        2 => format!("({}) || {}", part(random), part(random)),
        3 => format!("({}) == ({})", part(random), part(random)),
        4 => format!("{} {} {}", number(random, depth), ["<", "==", ">="][random.usize(0..3)], number(random, depth)),
        5 => format!("record.tags.exists(t, t == 'red' && ({}))", leaf(random)),
        _ => leaf(random),
    }
}

#[test]
fn what_is_written_again_is_the_same_tree() {
    let (fields, user_attributes) = declared();
    let schema = Schema { fields: &fields, user_attributes: &user_attributes };
    let random = &mut Rng::with_seed(12);
    let taken = (0..3_000).filter(|i| {
        let text = sentence(random, i % 4);
        tried(&text, &schema, random)
    });
    assert!(taken.count() > 2_500);
}
