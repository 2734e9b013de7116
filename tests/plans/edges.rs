//! Values at the edges of what a database, a driver or a collation may see otherwise: put into some of a
//! world's literals, and into some of what is sent of records.

use fastrand::Rng;
use serde_json::Value as Json;

use crate::generate::World;
use crate::oracle::RecordQ;
use crate::oracle::conditions::{Attribute, Condition, Term};

const STRINGS: [&str; 36] = [
    "'",
    "''",
    "\"",
    "\\",
    "\\'",
    "%",
    "_",
    "e%",
    "e_",
    "eu\\",
    "eu ",
    " eu",
    "EU",
    "Eu",
    "eU-West",
    "\u{e9}u",
    "e\u{301}u",
    "\u{df}",
    "ss",
    "SS",
    "\u{130}",
    "i\u{307}",
    "i",
    "I",
    "Z",
    "a",
    "\u{e4}",
    "\u{ff5e}",
    "\u{1f600}",
    "\u{1d518}",
    "\u{10ffff}",
    "$1",
    "?1",
    "--",
    "*",
    "[a]",
];
const INTS: [i64; 10] = [
    i64::MIN,
    i64::MIN + 1,
    i64::MAX - 1,
    i64::MAX,
    -(1 << 53) - 1,
    -(1 << 53),
    1 << 53,
    (1 << 53) + 1,
    -1,
    2_147_483_648,
];
const DOUBLES: [f64; 13] = [
    -0.0,
    1e308,
    -1e308,
    f64::MAX,
    f64::MIN_POSITIVE,
    5e-324,
    -5e-324,
    9_007_199_254_740_992.0,
    9_007_199_254_740_994.0,
    9_223_372_036_854_775_808.0,
    0.1,
    0.300_000_000_000_000_04,
    2.000_000_000_000_000_4,
];
/// The first and the last instant that there is, those around the epoch, and when clocks change in Europe and America.
const INSTANTS: [i64; 9] = [
    -62_135_596_800_000,
    253_402_207_200_000,
    -1,
    0,
    1,
    1_774_746_000_000,
    1_774_745_999_999,
    1_792_890_000_000,
    1_793_516_400_000,
];

/// The same, with some of the values at an edge.
fn sharper(rng: &mut Rng, value: &Attribute) -> Attribute {
    match value {
        Attribute::String(_) => Attribute::String(rng.choice(STRINGS).unwrap().to_owned()),
        Attribute::Int(_) => Attribute::Int(rng.choice(INTS).unwrap()),
        Attribute::Double(_) => Attribute::Double(rng.choice(DOUBLES).unwrap()),
        Attribute::Timestamp(_) => Attribute::Timestamp(rng.choice(INSTANTS).unwrap()),
        Attribute::List(items) => {
            let sharper = |item| if rng.bool() { self::sharper(rng, item) } else { item.clone() };
            Attribute::List(items.iter().map(sharper).collect())
        }
        Attribute::Null | Attribute::Bool(_) => value.clone(),
    }
}

/// Some of what is sent. An int may stand for a double (rule 6.3), and is left as it is.
pub fn sharpen_record(rng: &mut Rng, file: &Json, object: &str, record: &mut RecordQ) {
    let object = file["objects"].as_array().unwrap().iter().find(|row| row["id"] == object).unwrap();
    for (name, value) in &mut record.attributes {
        let double = object["fields"][name] == "double" && matches!(value, Attribute::Int(_));
        if rng.u8(..10) < 3 && !double {
            *value = sharper(rng, value);
        }
    }
}

/// Some of the literals of a world's conditions.
pub fn sharpen_world(rng: &mut Rng, world: &mut World) {
    for row in world.file.get_mut("data_access").and_then(Json::as_array_mut).into_iter().flatten() {
        let key = ["object", "id"].map(|key| row[key].as_str().unwrap().to_owned());
        if let Some(condition) = world.conditions.get_mut(&key.into()) {
            in_condition(rng, condition);
            row["condition"] = condition.to_string().into();
        }
    }
}

fn in_condition(rng: &mut Rng, condition: &mut Condition) {
    use Condition::{All, Always, And, Brackets, Compare, Exists, Has, In, Is, Not, Or, Text};
    match condition {
        Always(_) | Has(_) => {}
        Is(term) => in_term(rng, term),
        Compare(left, _, right) | In(left, right) | Text(left, _, right) => {
            in_term(rng, left);
            in_term(rng, right);
        }
        Exists(_, inner) | All(_, inner) | Not(inner) | Brackets(inner) => in_condition(rng, inner),
        And(left, right) | Or(left, right) => {
            in_condition(rng, left);
            in_condition(rng, right);
        }
    }
}

fn in_term(rng: &mut Rng, term: &mut Term) {
    if let Term::Literal(value) = term
        && rng.u8(..10) < 3
    {
        *value = sharper(rng, value);
    }
}
