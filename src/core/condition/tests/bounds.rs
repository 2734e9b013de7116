//! Every bound: what exceeds it is refused at once, on a small stack.

use std::time::{Duration, Instant};

use super::{compile, declared, mistakes, world};
use crate::core::condition::near::tests::ROWS;
use crate::core::condition::{MAX_MISTAKES, MAX_TEXT_BYTES, Schema, check, evaluate, explain};
use crate::core::limits::MAX_FIELD_NAME_BYTES;
use crate::core::model::FieldType;

/// Much less than any thread of the server has.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    // Unoptimised frames are several times as large; threads here have 2 MiB.
    let stack_kib = if cfg!(debug_assertions) { 1_024 } else { 256 };
    std::thread::Builder::new().stack_size(stack_kib * 1_024).spawn(work).unwrap().join().unwrap();
}

/// Milliseconds when measured, a hundred for a machine that does something else: the fastest of five, the first of
/// which warms up. What else is done lengthens; it would have to meet all of them.
fn at_once(what: &str, mut work: impl FnMut()) {
    let mut taken = || {
        let started = Instant::now();
        work();
        started.elapsed()
    };
    let fastest = (0..5).map(|_| taken()).min().unwrap();
    assert!(fastest < Duration::from_millis(100), "{fastest:?} for `{what}…`");
}

fn refused_at_once(text: &str, expected: &str) {
    let what = &text[..text.len().min(40)];
    at_once(what, || assert_eq!(mistakes(text), [expected], "{what}…"));
}

#[test]
fn what_is_too_long_deep_or_many_is_refused_at_once() {
    on_a_small_stack(|| {
        let repeated = |unit: &str, count: usize| unit.repeat(count);
        refused_at_once(&repeated("x", 64 * 1_024), "1:8193 longer than 8192 bytes");
        refused_at_once(&format!("1{} == 1", repeated("+1", 4_000)), "1:2001 more than 2000 words, literals and signs");
        refused_at_once(&format!("1{} == 1", repeated("+1", 5_000)), "1:8193 longer than 8192 bytes");
        refused_at_once(&format!("{}true{}", repeated("(", 200), repeated(")", 200)), "1:33 nested more than 32 deep");
        refused_at_once(&format!("{}1", repeated("[", 900)), "1:33 nested more than 32 deep");
        refused_at_once(&format!("{}true", repeated("!", 900)), "1:33 nested more than 32 deep");
        refused_at_once(&format!("{}x == 1", repeated("-", 900)), "1:33 nested more than 32 deep");
        refused_at_once(&format!("{}1", repeated("size(", 300)), "1:165 nested more than 32 deep");
        refused_at_once(&format!("record{}", repeated(".a", 900)), "1:23 more than 8 selections in a row");
        refused_at_once(&format!("'a'{} == 1", repeated(".size()", 300)), "1:60 more than 8 selections in a row");
        refused_at_once(&format!("{}true", repeated("!true||", 600)), "1:3502 more than 1000 parts");
        refused_at_once(&format!("'a' in [{}'a']", repeated("'a',", 300)), "1:1033 more than 256 elements");
    });
}

#[test]
fn long_chains_are_taken_whole() {
    on_a_small_stack(|| {
        for (part, sign) in [("true", " && "), ("record.open", " && "), ("record.f", " || ")] {
            let chain = compile(&vec![part; 400].join(sign));
            assert_eq!(evaluate(&chain, &world()).allows(), sign == " && ");
        }
        let sum = compile(&format!("{} == 400", vec!["1"; 400].join(" + ")));
        assert!(evaluate(&sum, &world()).allows());
        let deep = compile(&format!("{}record.t{}", "!(".repeat(15), ")".repeat(15)));
        assert!(!evaluate(&deep, &world()).allows());
    });
}

#[test]
fn the_deepest_that_is_allowed_fits_a_small_stack() {
    on_a_small_stack(|| {
        // Every level of precedence at every level of nesting.
        let mut text = "1 == 1".to_owned();
        for _ in 0..10 {
            text = format!("true && (!({text}) || false) == true");
        }
        let deep = compile(&text);
        let _ = (evaluate(&deep, &world()), explain(&deep, &world()), deep.to_string(), deep.clone());
        let sums = compile(&format!("1 + 2 * {}1{} > 0", "(1 - 1 * ".repeat(31), ")".repeat(31)));
        let _ = (evaluate(&sums, &world()), sums.to_string());
    });
}

#[test]
fn m6_2_what_is_too_costly_is_refused() {
    let all =
        |depth: usize| (0..depth).rev().fold("true".to_owned(), |inner, i| format!("record.tags.all(v{i}, {inner})"));
    refused_at_once(&all(4), "1:41 `exists` and `all` nest no more than 2 deep");
    refused_at_once(&all(3), "1:41 `exists` and `all` nest no more than 2 deep");
    let costly = "record.open && record.tags.exists(a, record.tags.exists(b, a == b))";
    refused_at_once(costly, "1:16 `exists` is too costly: 3064066 steps on lists of 1000 elements, more than 100000");
    // What people write.
    for text in [
        "record.tags.exists(t, t in user.attributes.regions)",
        "record.tags.exists(t, ['a', 'b', 'c'].exists(p, t.startsWith(p)))",
        "record.watchers.exists(w, w in user.all_reports)",
        "user.groups.exists(g, g in record.tags)",
    ] {
        let cost = compile(text).cost();
        assert!(cost < 100_000, "{text}: {cost}");
    }
}

#[test]
fn mistakes_among_many_long_names_are_found_at_once() {
    let name = |i: usize| format!("{}{i:03}", "n".repeat(125));
    let fields = (0..256).map(|i| (name(i), FieldType::String)).collect();
    let (_, user_attributes) = declared();
    let text = (0..55).map(|i| format!("record.{}{i:02}x == ''", "n".repeat(125))).collect::<Vec<_>>().join("||");
    assert!(text.len() <= MAX_TEXT_BYTES);
    ROWS.set(0);
    let wrong = check(&text, &Schema { fields: &fields, user_attributes: &user_attributes }).err().unwrap();
    assert!(wrong.len() >= MAX_MISTAKES);
    // Each mistake that is told is compared with every field once, a row of the band a byte; the others are not.
    let (rows, most) = (ROWS.get(), MAX_MISTAKES * (fields.len() + 8) * MAX_FIELD_NAME_BYTES);
    assert!(rows > MAX_MISTAKES && rows <= most, "{rows} rows, {most} at most");
}
