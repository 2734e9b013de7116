//! What operators make of values.

use super::{answer, compile, texts, world};
use crate::core::condition::eval::steps_taken;
use crate::core::condition::{Outcome, evaluate};
use crate::core::model::Value;

fn all_hold(conditions: &[&str]) {
    for text in conditions {
        assert_eq!(answer(text, &world()), "true", "{text}");
    }
}

#[test]
fn comparisons_are_of_values_of_one_type() {
    all_hold(&[
        "record.region == 'eu'",
        "record.region != \"EU\"",
        "record.region < 'f' && record.region >= 'eu' && record.region <= 'eu' && record.region > 'EU'",
        "'é' > 'z'",
        "record.amount > 10 && record.amount < 10.75 && record.amount >= 1.05e1",
        "record.level == 3 && record.level <= 3 && record.level != -3",
        "record.open && record.open == true && record.open != false",
        "record.due < now && now > timestamp('2026-01-31T12:00:00Z')",
        "now - record.due == duration('1ms') && now - duration('1h') < record.due",
        "duration('90m') == duration('1h30m') && duration('-1h') < duration('0s')",
        "timestamp('2026-01-01T01:00:00+01:00') == timestamp('2026-01-01T00:00:00Z')",
        "-9223372036854775808 < -9223372036854775807 && 0xff == 255",
    ]);
}

#[test]
fn lists_are_looked_into() {
    all_hold(&[
        "'red' in record.tags && !('Red' in record.tags)",
        "record.region in ['eu', 'us'] && !(record.region in [])",
        "2 in record.ratios && 0.5 in record.ratios && !(3 in record.ratios)",
        "record.level in [1, 2, 3] && record.amount in [1, 10.5]",
        "record.tags.exists(t, t.startsWith('b')) && record.tags.all(t, size(t) > 2)",
        "[].all(x, x == 1) && !([].exists(x, x == 1))",
        "record.tags.size() == 3 && size(record.tags) == 3 && size(['a']) == 1",
        "user.id in record.watchers && 'cy' in record.assignees && size(record.mentioned) == 0",
        "'risk' in user.groups && !('other' in user.groups) && user.groups.exists(g, g == 'staff') && size(user.groups) == 2",
        "record.owner in user.direct_reports && 'cy' in user.all_reports && !('cy' in user.direct_reports)",
        "record.region in user.attributes.regions",
        "['e', 'x'].exists(p, ['u', 'y'].exists(q, record.region == p + q))",
        "timestamp('2026-01-01T00:00:00Z') in [timestamp('2026-01-01T00:00:00Z')]",
        "[duration('1h'), duration('2h')].exists(d, now - record.due < d)",
    ]);
}

#[test]
fn texts_are_searched_by_code_points_and_case() {
    all_hold(&[
        "record.region.startsWith('e') && record.region.endsWith('u') && record.region.contains('')",
        "!record.region.startsWith('E')",
        "size('grün') == 4 && 'grün'.size() == 4",
        "'\\u00fc' == 'ü' && '\\x41\\101\\U00000041' == 'AAA' && \"\\a\\b\\f\\n\\r\\t\\v\\\\\\?\\\"\\'\\`\" != ''",
        "record['x-y'] == 'dash' && record[\"region\"] == 'eu'",
        "'a' + record.region + 'b' == 'aeub'",
        "user.email.endsWith('@acme.com') && user.kind == 'internal' && context.channel == 'platform'",
    ]);
}

#[test]
fn numbers_are_calculated_without_wrapping() {
    all_hold(&[
        "1 + 2 * 3 - 4 / 2 == 5 && 7 % 3 == 1 && -7 / 2 == -3 && -7 % 3 == -1",
        "(1 + 2) * 3 == 9 && -(record.level) == -3 && --3 == 3 && 1 - -1 == 2",
        "record.amount * 2 == 21 && record.amount / 2 > 5 && 1 + record.amount == 11.5",
        "duration('1h') + duration('30m') == duration('90m')",
    ]);
    for (text, expected) in [
        ("9223372036854775807 + record.level > 0", "`9223372036854775807 + record.level` is out of range"),
        ("-(-9223372036854775808) > 0", "`-(-9223372036854775808)` is out of range"),
        ("-9223372036854775808 / -1 > 0", "`-9223372036854775808 / -1` is out of range"),
        ("-9223372036854775808 % -1 == 0", "`-9223372036854775808 % -1` is out of range"),
        ("record.level / 0 == 1", "`record.level / 0` divides by zero"),
        ("record.level % 0 == 1", "`record.level % 0` divides by zero"),
        ("record.amount / 0 == 1.0", "`record.amount / 0` divides by zero"),
        ("1e308 * record.amount > 1.0", "`1e308 * record.amount` is out of range"),
        ("now + duration('2562047788015h') > now", "`now + duration('2562047788015h')` is out of range"),
    ] {
        assert_eq!(answer(text, &world()), expected, "{text}");
    }
}

#[test]
fn undeclared_attributes_are_judged_when_they_are_read() {
    all_hold(&[
        "context.attributes.score == 3 && context.attributes.score < 3.5 && context.attributes.score > 2.5",
        "context.attributes.score == 3.0 && context.attributes.ratio > 2 && context.attributes.ratio < record.amount",
        "context.attributes.score < record.amount && record.level == context.attributes.score",
        "context.attributes.flag && !(!context.attributes.flag)",
        "1 in context.attributes.mixed && 'a' in context.attributes.mixed && 1.0 in context.attributes.mixed",
        "size(context.attributes.mixed) == 3 && size(context.attributes.ip) == 8 && context.attributes.ip.startsWith('10.')",
        "context.attributes.ratio * 2 == 5.0 && context.attributes.score * 1.5 == 4.5 && context.attributes.score + 1 == 4",
        "user.attributes.badge == 7 && context.attributes['x-y'] == 1",
        "context.attributes.score in [1, 2, 3] && context.attributes.score in [2.5, 3]",
    ]);
    let fits = "is of a type that does not fit here";
    for text in [
        "context.attributes.ip == 3",
        "context.attributes.ip < record.amount",
        "context.attributes.flag < context.attributes.flag",
        "context.attributes.ip in [1, 2]",
        "2 in context.attributes.mixed",
        "context.attributes.ip",
        "context.attributes.mixed == 1",
        "context.attributes.score.startsWith('3')",
        "!context.attributes.score",
        "context.attributes.ip + 1 == 2",
        "size(context.attributes.score) == 1",
        "'a' in context.attributes.score",
        "context.attributes.score in user.groups",
        "context.attributes.score.exists(x, x == 1)",
        "-context.attributes.ip == 1",
        "context.attributes.score + 1",
    ] {
        let answer = answer(text, &world());
        assert!(answer.ends_with(fits), "{text}: {answer}");
    }
}

#[test]
fn ints_and_doubles_compare_exactly() {
    let mut world = world();
    for (int, double, expected) in [
        (i64::MAX, 9_223_372_036_854_775_807.0, "<"),
        (i64::MIN, -9_223_372_036_854_775_808.0, "=="),
        (9_007_199_254_740_993, 9_007_199_254_740_992.0, ">"),
        (-1, -1.5, ">"),
        (-2, -1.5, "<"),
        (0, -0.0, "=="),
        (0, 5e-324, "<"),
        (0, -5e-324, ">"),
        (5, f64::MAX, "<"),
        (5, f64::MIN, ">"),
    ] {
        world.context.insert("i".to_owned(), Value::Int(int));
        world.context.insert("d".to_owned(), Value::Double(double));
        for sign in ["<", "==", ">"] {
            let text = format!("context.attributes.i {sign} context.attributes.d");
            assert_eq!(answer(&text, &world), (sign == expected).to_string(), "{int} {sign} {double}");
            let mirrored = sign.replace('<', "?").replace('>', "<").replace('?', ">");
            let text = format!("context.attributes.d {mirrored} context.attributes.i");
            assert_eq!(answer(&text, &world), (sign == expected).to_string(), "{double} {mirrored} {int}");
        }
    }
}

#[test]
fn long_joined_texts_and_long_work_end_in_an_error() {
    let mut world = world();
    world.fields.insert("region".to_owned(), Value::String("x".repeat(40_000)));
    assert!(answer("record.region + record.region != ''", &world).ends_with("is out of range"));
    let names: Vec<_> = (0..20_000).map(|i| i.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    world.fields.insert("tags".to_owned(), texts(&names));
    let condition = compile("record.tags.exists(t, t in record.tags && false)");
    let started = std::time::Instant::now();
    assert!(!evaluate(&condition, &world).allows());
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
    assert!(answer("record.tags.exists(t, t in record.tags && false)", &world).ends_with("takes too many steps"));
}

#[test]
fn an_evaluation_that_ran_out_of_steps_answers_nothing_more() {
    let mut world = world();
    world.fields.insert("region".to_owned(), Value::String("x".repeat(26_000_000)));
    let costly = "record.region.contains('y')";
    for text in [costly, &format!("{costly} || record.open"), &format!("!({costly} && record.f)")] {
        assert!(answer(text, &world).ends_with("takes too many steps"), "{text}");
    }
    assert_eq!(answer(&format!("record.open || {costly}"), &world), "true");
}

#[test]
fn an_evaluation_takes_no_more_steps_than_were_estimated() {
    let mut world = world();
    let names: Vec<_> = (0..1_000).map(|i| i.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    world.fields.insert("tags".to_owned(), texts(&names));
    for text in [
        "record.tags.all(t, !(t in ['a', 'b']) && t + 'x' != '' && size(t) > 0)",
        "record.tags.exists(t, !(t in record.tags))",
        "record.tags.exists(t, t in user.all_reports)",
        "has(record.tags) && size(record.tags) == 1000 && !('x' in record.tags)",
        "record.tags.all(t, ['', 'y'].exists(p, t.startsWith(p)))",
    ] {
        let condition = compile(text);
        let taken = steps_taken(&condition, &world);
        assert!(taken <= condition.cost(), "{text}: {taken} > {}", condition.cost());
        assert!(matches!(evaluate(&condition, &world), Outcome::True | Outcome::False), "{text}");
    }
}
