//! How long an evaluation takes. Run with `--release -- --ignored --nocapture`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use crate::core::condition::{Fact, Facts, List, RecordPart, Reports, Schema, Typed, UserPart, check, evaluate};
use crate::core::model::{FieldType, Millis, Value};

/// A record as it comes from a request: typed columns, by slot.
struct Row<'a>(Vec<Fact<'a>>);

impl Facts for Row<'_> {
    fn field(&self, slot: u16, _: &str) -> Fact<'_> {
        self.0.get(usize::from(slot)).copied().unwrap_or(Fact::Missing)
    }
    fn record(&self, _: RecordPart) -> Fact<'_> {
        Fact::Missing
    }
    fn user(&self, _: UserPart) -> Fact<'_> {
        Fact::Str("ana")
    }
    fn user_attribute(&self, _: &str) -> Fact<'_> {
        Fact::Missing
    }
    fn channel(&self) -> Fact<'_> {
        Fact::Missing
    }
    fn context_attribute(&self, _: &str) -> Fact<'_> {
        Fact::Missing
    }
    fn in_groups(&self, _: &str) -> bool {
        false
    }
    fn groups(&self) -> List<'_> {
        List::Texts(&[])
    }
    fn in_reports(&self, _: &str, _: Reports) -> bool {
        false
    }
    fn now(&self) -> Millis {
        1_000_000
    }
}

/// What costs nearly the limit, and what exceeds the assumptions by far.
fn report_the_longest(schema: &Schema<'_>) {
    for (text, count) in [
        ("record.tags.all(t, t in record.tags)", 1_000),
        ("record.tags.all(t, t in record.tags)", 100_000),
        ("record.tags.all(t, t != 'x' && t != 'y' && size(t) > 0)", 1_000),
        ("record.tags.all(t, t != 'x' && t != 'y' && size(t) > 0)", 100_000),
        ("record.tags.all(t, t + record.region + t != 'x')", 100_000),
    ] {
        let tags: Vec<_> = (0..count).map(|i| Value::String(format!("tag-{i:06}"))).collect();
        let list = Fact::List(List::Values(&tags));
        let row = Row(vec![Fact::Missing, Fact::Missing, Fact::Str("region"), Fact::Missing, list]);
        let condition = check(text, schema).unwrap();
        let started = Instant::now();
        let outcome = evaluate(&condition, &row);
        println!("{count} elements: {:?} {} {:?}", started.elapsed(), outcome.allows(), text);
    }
}

#[test]
#[ignore = "a measurement, not a test"]
#[expect(clippy::cast_precision_loss, reason = "nobody measures for a hundred days")]
fn five_conditions_that_do_not_fold() {
    let fields: BTreeMap<String, FieldType> = [
        ("amount", FieldType::Double),
        ("due", FieldType::Timestamp),
        ("region", FieldType::String),
        ("state", FieldType::String),
        ("tags", FieldType::List(Box::new(FieldType::String))),
    ]
    .map(|(name, ty)| (name.to_owned(), ty))
    .into();
    let schema = Schema { fields: &fields, user_attributes: &BTreeMap::new() };
    let conditions = [
        "record.region == 'region-7'",
        "record.amount >= 10.0 && record.amount < 900.0",
        "record.due > now",
        "'tag-3' in record.tags",
        "!(record.state == 'confidential')",
    ]
    .map(|text| check(text, &schema).unwrap());
    let mut random = fastrand::Rng::with_seed(5);
    let regions: Vec<_> = (0..16).map(|i| format!("region-{i}")).collect();
    let tags: Vec<_> = (0..16).map(|i| format!("tag-{i}")).collect();
    let tag_lists: Vec<Vec<&str>> =
        (0..64).map(|_| (0..5).map(|_| random.choice(tags.iter()).unwrap().as_str()).collect()).collect();
    let rows: Vec<_> = (0..4_096)
        .map(|_| {
            let facts = [
                Fact::Double(random.f64() * 1_000.0),
                Fact::Timestamp(random.i64(0..2_000_000)),
                Fact::Str(random.choice(regions.iter()).unwrap()),
                Fact::Str(if random.bool() { "open" } else { "confidential" }),
                Fact::List(List::Texts(random.choice(tag_lists.iter()).unwrap())),
            ];
            // A tenth of the attributes is null.
            Row(facts.into_iter().map(|fact| if random.u8(0..10) == 0 { Fact::Null } else { fact }).collect())
        })
        .collect();
    let ask = |condition, row| u32::from(evaluate(black_box(condition), black_box(row)).allows());
    let mut rounds: Vec<f64> = Vec::new();
    let mut each = [0.0; 5];
    let mut allowed = 0;
    for _ in 0..200 {
        let started = Instant::now();
        for row in &rows {
            for condition in &conditions {
                allowed += ask(condition, row);
            }
        }
        rounds.push(started.elapsed().as_nanos() as f64 / rows.len() as f64);
    }
    for (condition, nanos) in conditions.iter().zip(&mut each) {
        let started = Instant::now();
        for row in rows.iter().cycle().take(50 * rows.len()) {
            allowed += ask(condition, row);
        }
        *nanos = started.elapsed().as_nanos() as f64 / (50 * rows.len()) as f64;
    }
    rounds.sort_by(f64::total_cmp);
    println!(
        "five conditions: median {:.1} ns, best {:.1} ns; each {each:.1?} ns; {allowed} allowed",
        rounds[100], rounds[0]
    );
    let started = Instant::now();
    let texts = conditions.each_ref().map(Typed::text);
    for _ in 0..2_000 {
        for text in texts {
            black_box(check(black_box(text), &schema).is_ok());
        }
    }
    println!("checking one: {:.2} µs", started.elapsed().as_micros() as f64 / 10_000.0);
    report_the_longest(&schema);
}
