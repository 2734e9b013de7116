//! Rule 6.6 by hand: conditions at which databases, drivers and collations are known to go ways of their own,
//! and the records that pass.

use doorward::core::decision::{Question, Reason, Record, Resource, decide};
use doorward::core::filter::{Records, filter};
use doorward::core::plan::{Filter, plan};
use doorward::core::table::Table;
use serde_json::{Value as Json, json};

use crate::ask::{Sent, record};
use crate::backends::{Databases, Ids};
use crate::oracle::RecordQ;
use crate::oracle::conditions::Attribute;
use crate::plan_run::{passes, row};
use crate::stored::Stored;
use crate::support::table;

const NOW: i64 = 1_795_348_800_000;
/// 9999-12-30T22:00:00Z, the last that a condition can name.
const LAST: i64 = 253_402_207_200_000;
const ODD: &str = "a\"b'c\\d; --é";

/// Each condition with the records that pass by a policy that allows; what it restricts follows (rule 6.3).
const CASES: &[(&str, &[&str])] = &[
    // An int beside a double is compared exactly: 2^53 + 1 is no double.
    ("record.int == 9007199254740993", &["beyond"]),
    ("record.int == user.attributes.double53", &[]),
    ("record.int > user.attributes.double53", &["beyond", "most"]),
    ("user.attributes.double53 <= record.int", &["beyond", "most"]),
    ("record.double == user.attributes.int53", &[]),
    ("record.double < user.attributes.int53", &["beyond", "exact", "least", "small", "zero"]),
    ("record.double < user.attributes.most", &["beyond", "exact", "least", "small", "zero"]),
    ("record.int > user.attributes.half", &["beyond", "exact", "most"]),
    ("record.int in [1, 9007199254740993]", &["beyond", "exact"]),
    ("record.int in record.ints", &["exact", "zero"]),
    ("record.double in record.doubles", &["exact", "zero"]),
    // Zero has one value.
    ("record.double == 0.0", &["zero"]),
    ("record.double == -0.0", &["zero"]),
    ("record.double < 0.0", &["least"]),
    // What overflows, or is divided by zero, is an error: neither true nor false.
    ("record.int + 1 > 0", &["beyond", "exact", "zero"]),
    ("record.int + 1 <= 0", &["least", "small"]),
    ("record.int - 2 < 0", &["exact", "small", "zero"]),
    ("record.int * 2 >= 0", &["beyond", "exact", "zero"]),
    ("-(record.int) > 0", &["small"]),
    ("record.int / -1 < 0", &["beyond", "exact", "most"]),
    ("record.int % -1 == 0", &["beyond", "exact", "most", "small", "zero"]),
    ("7 / record.int == 7", &["exact"]),
    ("7 % record.int >= 0", &["beyond", "exact", "least", "most", "small"]),
    ("-7 / 2 == -3 && record.int / 2 == -1", &["small"]),
    ("record.int % 2 == -1", &["small"]),
    ("record.double * 10.0 > 0.0", &["beyond", "exact", "small"]),
    ("record.double * 10.0 <= 0.0", &["zero"]),
    ("record.double + record.double == record.double * 2.0", &["beyond", "exact", "small", "zero"]),
    ("1.0 / record.double > 0.0", &["beyond", "exact", "most"]),
    ("record.double / 1e308 < 2.0", &["beyond", "exact", "least", "most", "small", "zero"]),
    ("record.double * 1e-200 * 1e-200 == 0.0", &["beyond", "exact", "small", "zero"]),
    ("record.int + user.attributes.half > 1.0", &["exact"]),
    // Texts are ordered by their bytes, and are what they are.
    ("record.text < 'a'", &["exact", "zero"]),
    ("record.text > 'a' && record.text < 'ä'", &["least", "small"]),
    ("record.text >= 'ä'", &["beyond", "most"]),
    ("record.text > '\u{ff5e}'", &["most"]),
    ("record.text == '\u{e9}'", &["beyond"]),
    ("record.text == 'e\u{301}'", &["small"]),
    ("size(record.text) == 1", &["beyond", "exact", "most"]),
    ("size(record.text) == 2", &["small"]),
    ("size(record.text) == 0", &["zero"]),
    ("record.text.startsWith('')", &["beyond", "exact", "least", "most", "small", "zero"]),
    ("record.text.endsWith('\u{301}')", &["small"]),
    ("record.text.contains('%')", &["least"]),
    ("record.text.contains('_')", &["least"]),
    ("record.text.contains('\\\\')", &["least"]),
    ("record.text.startsWith('ß%_\\\\\\'\"')", &["least"]),
    ("record.text.startsWith('z')", &[]),
    ("'Zebra'.startsWith(record.text)", &["exact", "zero"]),
    ("record.text.contains(record.text)", &["beyond", "exact", "least", "most", "small", "zero"]),
    ("record.text in ['Z', '\u{1f600}', '']", &["exact", "most", "zero"]),
    ("record.text + '!' == 'Z!'", &["exact"]),
    // Nothing is in an empty list, and a list with a null in it is none.
    ("1 in record.ints", &["exact"]),
    ("!(1 in record.ints)", &["least", "small", "zero"]),
    ("record.int in []", &[]),
    ("!(record.int in [])", &["beyond", "exact", "least", "most", "small", "zero"]),
    ("size(record.ints) == 0", &["small"]),
    ("has(record.ints)", &["exact", "least", "small", "zero"]),
    ("record.ints.exists(x, x > 0)", &["exact", "least"]),
    ("record.ints.all(x, x > 0)", &["least", "small"]),
    ("record.ints.all(x, 6 / x > 0)", &["small"]),
    ("record.ints.exists(x, 6 / x == 6)", &["exact"]),
    ("!record.ints.exists(x, 6 / x == 6)", &["least", "small"]),
    ("record.ints.exists(x, x + 1 < 0)", &[]),
    ("record.ints.exists(x, [1, 2].exists(y, x == y))", &["exact"]),
    ("record.ints.all(x, [1, 2].exists(y, x == y))", &["small"]),
    ("record.bools.exists(x, x)", &["exact"]),
    ("record.bools.all(x, x)", &["small"]),
    ("true in record.bools", &["exact"]),
    ("record.times.exists(x, x > timestamp('9999-12-30T21:59:59.999Z'))", &["exact"]),
    ("timestamp('1970-01-01T00:00:00Z') in record.times", &["zero"]),
    ("record.texts.all(x, x > 'Z')", &["exact", "small"]),
    ("'a' in record.texts", &["exact"]),
    ("['Z', 'a'].exists(x, x == record.text)", &["exact"]),
    // Instants, from the first to the last that there is.
    ("record.time == timestamp('0001-01-01T00:00:00Z')", &["least"]),
    ("record.time == timestamp('9999-12-30T22:00:00Z')", &["most"]),
    ("record.time < timestamp('2026-03-29T02:00:00.001+01:00')", &["exact", "least", "zero"]),
    ("record.time > now - duration('1ms')", &["most"]),
    ("record.time + duration('1h') > timestamp('2026-03-29T02:59:59.999+02:00')", &["exact", "most"]),
    ("record.time - timestamp('1970-01-01T00:00:00Z') < duration('0s')", &["least"]),
    // What is not there is neither true nor false, truth values among it.
    ("record.bool", &["exact"]),
    ("!record.bool", &["zero"]),
    ("record.bool == record.bool", &["exact", "zero"]),
    ("record.bool != false", &["exact"]),
    ("record.bool || record.int == 1", &["exact"]),
    ("!has(record.bool)", &["beyond", "least", "most", "nothing", "small"]),
    ("!(record.bool && record.int > 0)", &["least", "small", "zero"]),
    // Names of fields are any text.
    ("record.value == 'a' && record.key == 1 && record.type && record.order == 'x'", &["exact"]),
    ("record.select == 1 || record.record == 1", &["exact"]),
    ("record[\"a\\\"b'c\\\\d; --é\"] == '\\'; DROP TABLE records; --'", &["exact"]),
    ("record.key in record.rowid && record.json_each == 'a'", &["exact"]),
    ("record.rowid.exists(value, value == record.key)", &["exact"]),
    ("record.rowid.exists(key, key == record.key) && record.rowid.all(record1, record1 == 1)", &["exact"]),
];

fn organization(condition: &str, restrict: bool) -> Table {
    let policy = |id: &str, effect: &str, condition: &str| json!({"id": id, "object": "app", "effect": effect, "members": ["group:risk"], "condition": condition});
    let policies = if restrict {
        vec![policy("a", "allow", "true"), policy("r", "restrict", condition)]
    } else {
        vec![policy("a", "allow", condition)]
    };
    let mut file = file();
    file["data_access"] = policies.into();
    table(&file)
}

fn file() -> Json {
    json!({
        "organization": "acme",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}],
        "permissions": [{"name": "records.see", "requires_visibility": true}],
        "objects": [{"id": "app", "kind": "app", "fields": {
            "int": "int", "double": "double", "text": "string", "time": "timestamp", "bool": "bool",
            "ints": "list<int>", "doubles": "list<double>", "texts": "list<string>", "bools": "list<bool>",
            "times": "list<timestamp>", "value": "string", "key": "int", "type": "bool", "order": "string",
            "select": "int", "record": "int", "rowid": "list<int>", "json_each": "string", ODD: "string",
        }}],
        "users": [{"id": "ana", "email": "ana@acme.com", "attributes": {
            "double53": 9_007_199_254_740_992.0, "int53": 9_007_199_254_740_993_i64, "most": i64::MAX, "half": 0.5,
        }}],
        "groups": [{"id": "risk", "kind": "manual", "members": ["user:ana"], "visibility": ["data_access"]}],
        "grants": [{"permissions": ["records.see"], "member": "group:risk"}],
    })
}

fn records() -> Vec<RecordQ> {
    use Attribute::{Bool, Double, Int, List, Null, String, Timestamp};
    let text = |text: &str| String(text.to_owned());
    let of = |id: &str, attributes: Vec<(&str, Attribute)>| RecordQ {
        id: id.to_owned(),
        attributes: attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..RecordQ::default()
    };
    vec![
        of(
            "exact",
            vec![
                ("int", Int(1)),
                ("double", Int(1)),
                ("text", text("Z")),
                ("time", Timestamp(1_774_746_000_000)),
                ("bool", Bool(true)),
                ("ints", List(vec![Int(1), Int(0), Int(-1)])),
                ("doubles", List(vec![Double(1.5), Double(1.0)])),
                ("texts", List(vec![text("a"), text("b")])),
                ("bools", List(vec![Bool(false), Bool(true)])),
                ("times", List(vec![Timestamp(LAST), Timestamp(-62_135_596_800_000)])),
                ("value", text("a")),
                ("key", Int(1)),
                ("type", Bool(true)),
                ("order", text("x")),
                ("select", Int(1)),
                ("record", Int(2)),
                ("rowid", List(vec![Int(1)])),
                ("json_each", text("a")),
                (ODD, text("'; DROP TABLE records; --")),
            ],
        ),
        of(
            "zero",
            vec![
                ("int", Int(0)),
                ("double", Double(-0.0)),
                ("text", text("")),
                ("time", Timestamp(0)),
                ("bool", Bool(false)),
                ("ints", List(vec![Int(0)])),
                ("doubles", List(vec![Double(0.0)])),
                ("texts", List(vec![text("Z"), text("a'b")])),
                ("bools", List(vec![Bool(false)])),
                ("times", List(vec![Timestamp(0)])),
            ],
        ),
        of(
            "small",
            vec![
                ("int", Int(-3)),
                ("double", Double(5e-324)),
                ("text", text("e\u{301}")),
                ("ints", List(vec![])),
                ("doubles", List(vec![])),
                ("texts", List(vec![])),
                ("bools", List(vec![])),
                ("times", List(vec![])),
            ],
        ),
        of(
            "beyond",
            vec![
                ("int", Int((1 << 53) + 1)),
                ("double", Double(9_007_199_254_740_992.0)),
                ("text", text("\u{e9}")),
                ("ints", List(vec![Int(1), Null])),
            ],
        ),
        of(
            "most",
            vec![
                ("int", Int(i64::MAX)),
                ("double", Double(1e308)),
                ("text", text("\u{1f600}")),
                ("time", Timestamp(LAST)),
                ("bool", Null),
                ("ints", Int(1)),
            ],
        ),
        of(
            "least",
            vec![
                ("int", Int(i64::MIN)),
                ("double", Double(-1e308)),
                ("text", text("\u{df}%_\\'\"$1?1")),
                ("time", Timestamp(-62_135_596_800_000)),
                ("bool", text("true")),
                ("ints", List(vec![Int(i64::MAX)])),
            ],
        ),
        of("nothing", vec![]),
    ]
}

#[test]
fn m6_6_where_databases_go_ways_of_their_own_they_pass_what_a_filter_does() {
    let records = records();
    let mut databases = Databases::start();
    databases.load(&Stored::of(&file(), "app", &records));
    let mut wrong = Vec::new();
    for (condition, expected) in CASES {
        let expected: Ids = expected.iter().map(|&id| id.to_owned()).collect();
        let answers = answers(&mut databases, &organization(condition, false), &records);
        wrong.extend(differing(condition, &expected, answers));
        // As a restriction: whoever is not kept out by it, an error included, is as if its opposite allowed.
        let [kept, opposite] = [(condition.to_string(), true), (format!("!({condition})"), false)]
            .map(|(condition, restrict)| answers_of(&mut databases, &condition, restrict, &records));
        let expected = opposite[0].1.clone();
        wrong.extend(differing(&format!("restrict {condition}"), &expected, kept));
        wrong.extend(differing(&format!("!({condition})"), &expected, opposite));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn answers_of(
    databases: &mut Databases,
    condition: &str,
    restrict: bool,
    records: &[RecordQ],
) -> Vec<(&'static str, Ids)> {
    answers(databases, &organization(condition, restrict), records)
}

fn differing(condition: &str, expected: &Ids, answers: Vec<(&'static str, Ids)>) -> Vec<String> {
    let wrong = answers.into_iter().filter(|(_, got)| got != expected);
    wrong.map(|(who, got)| format!("{condition}\n    {who}: {got:?}\n    not {expected:?}")).collect()
}

fn asked(record: Option<Record<'_>>) -> Question<'_> {
    let resource = Resource { object: "app", account: "", record };
    Question { principal: "ana", permission: "records.see", resource, ..Question::default() }
}

/// Which records pass, by everything that can say so; the filter first.
fn answers(databases: &mut Databases, table: &Table, records: &[RecordQ]) -> Vec<(&'static str, Ids)> {
    let ids = |records: Vec<&RecordQ>| records.into_iter().map(|record| record.id.clone()).collect::<Ids>();
    let attributes: Vec<Sent> = records.iter().map(|r| Sent::of(&r.attributes)).collect();
    let rows: Vec<Record> = records.iter().zip(&attributes).map(|(r, attributes)| record(r, attributes)).collect();
    let filtered = filter(table, &asked(None), &["records.see"], Records::Rows(&rows), NOW).unwrap();
    let allowed = |row: &Record| decide(table, &asked(Some(*row)), NOW) == Ok(Reason::Allowed);
    let mut answers = vec![
        ("FilterRecords", ids(filtered[0].positions().map(|at| &records[at as usize]).collect())),
        ("Authorize", rows.iter().filter(|row| allowed(row)).map(|row| row.id.to_owned()).collect()),
    ];
    let planned = plan(table, &asked(None), NOW).unwrap();
    let admitted = |record: &&RecordQ| match &planned.filter {
        Filter::Always => true,
        Filter::Never(_) => false,
        Filter::Conditional(condition) => passes(condition, &row(record)),
    };
    answers.push(("the evaluator", ids(records.iter().filter(admitted).collect())));
    for (name, got) in databases.ask(&planned.filter) {
        answers.push((name, got.unwrap_or_else(|error| panic!("{name}: {error}: {:#?}", planned.filter))));
    }
    answers
}
