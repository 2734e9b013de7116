use super::*;
use crate::core::model::Value;

const EXAMPLE: &str = "organization: acme
now: 2026-11-22T12:00:00Z          # the clock for these cases; the real one if absent
cases:
  - name: a reviewer reads a record of her region
    authorize:
      {principal: 'user:ana', permission: records.read, account: main, object: vendor-risk,
       record: {id: r-1, owner: bo, account: main, attributes: {region: eu, amount: 10.5}},
       context: {channel: platform, authenticated_at: 2026-11-22T11:00:00Z, invitee_email: x@acme.com}}
    expect: allow                  # allow | deny | error
    reason: ALLOWED                # optional
  - name: what the partner sees
    filter: {principal: 'user:ext', permission: records.read, object: vendor-risk, records: [{id: r-17}, {id: r-18, attributes: {region: us}}]}
    expect_visible: [r-17]
  - name: all that ana may do in the app
    permissions: {principal: 'user:ana', object: vendor-risk}
    expect_permissions: [automations.run, records.read]
";

#[test]
fn the_documented_example_reads() {
    let file = CaseFile::parse(EXAMPLE, "cases.yaml").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(file.now, Some(1_795_348_800_000));
    assert_eq!(file.cases.len(), 3);
    let first = &file.cases[0];
    assert_eq!((first.place.line, first.place.column, first.place.path.as_str()), (4, 5, "cases[0]"));
    let Question::Authorize { record: Some(record), context, expect, reason, .. } = &first.question else {
        panic!("{first:?}")
    };
    assert_eq!(record.attributes["amount"], Value::Double(10.5));
    assert_eq!(context.authenticated_at, Some(1_795_345_200_000));
    assert_eq!((*expect, reason.as_deref()), (Expected::Allow, Some("ALLOWED")));
    let Question::Filter { records, expect, .. } = &file.cases[1].question else { panic!() };
    assert_eq!((records.len(), expect.as_slice()), (2, ["r-17".to_owned()].as_slice()));
    let Question::Permissions { expect, .. } = &file.cases[2].question else { panic!() };
    assert_eq!(expect, &["automations.run", "records.read"]);
}

#[test]
fn malformed_ids_are_questions_too() {
    let text =
        "organization: a\ncases:\n- authorize: {principal: \"\\0\", permission: '', object: ' '}\n  expect: error\n";
    let file = CaseFile::parse(text, "cases.yaml").unwrap_or_else(|e| panic!("{e}"));
    assert!(matches!(&file.cases[0].question, Question::Authorize { principal, .. } if principal == "\0"));
}

#[test]
fn every_problem_is_named_with_its_place() {
    for (text, expected) in [
        ("- {name: x}", "3:3: cases[0]: a case has one of `authorize`, `permissions` and `filter`; this one has none"),
        (
            "- {permissions: {principal: p}, filter: {principal: p, records: []}, expect_permissions: []}",
            "3:3: cases[0]: a case has one of `authorize`, `permissions` and `filter`; this one has more",
        ),
        ("- {authorize: {principal: p, permission: a.b}}", "3:3: cases[0]: `expect` is missing"),
        (
            "- {authorize: {principal: p, permission: a.b}, expect_visible: []}",
            "3:3: cases[0]: `expect` is missing\n3:48: cases[0].expect_visible: unknown key",
        ),
        (
            "- {authorize: {principal: p, permission: a.b}, expect: maybe}",
            "3:56: cases[0].expect: `maybe` is none of `allow`, `deny`, `error`",
        ),
        ("- {authorize: {principal: p}, expect: allow}", "3:15: cases[0].authorize: `permission` is missing"),
        (
            "- {authorize: {principal: p, permission: a.b, x: y}, expect: allow}",
            "3:47: cases[0].authorize.x: unknown key",
        ),
        (
            "- {authorize: {principal: p, permission: a.b, context: {authenticated_at: now}}, expect: allow}",
            "3:75: cases[0].authorize.context.authenticated_at: `now` is no timestamp such as `2026-01-31T12:00:00Z`",
        ),
        ("- {filter: {principal: p}, expect_visible: []}", "3:12: cases[0].filter: `records` is missing"),
        (
            "- {filter: {principal: p, records: [{id: r, ids: s}]}, expect_visible: []}",
            "3:45: cases[0].filter.records[0].ids: unknown key",
        ),
        (
            "- {permissions: {principal: p}, expect_permissions: [a.b, a.b]}",
            "3:59: cases[0].expect_permissions[1]: `a.b` is given twice",
        ),
    ] {
        let text = format!("organization: a\ncases:\n{text}\n");
        let found = CaseFile::parse(&text, "c.yaml").unwrap_err().to_string();
        let expected: Vec<_> = expected.lines().map(|line| format!("c.yaml:{line}")).collect();
        assert_eq!(found, expected.join("\n"), "{text}");
    }
}
