//! `doorward filter` of several permissions, and of more records than go into a message: the built program,
//! offline and against a server that it serves itself.

use std::cell::RefCell;
use std::fmt::Write as _;

use crate::cli::{Files, ORGANIZATION, at_both};

/// Ana reads what is of her region, and `r-2`, which she also edits.
fn files() -> Files {
    let files = Files::new();
    let grant = "grants: [{permissions: [records.edit, records.read], member: 'user:ana', object: app, record: r-2}]\n";
    files.write("acme.yaml", &format!("{ORGANIZATION}{grant}"));
    files
}

const ASKED: [&str; 7] = ["filter", "--principal", "ana", "--object", "app", "--records", "records.yaml"];
const BOTH: [&str; 4] = ["--permission", "records.edit", "--permission", "records.read"];

#[test]
fn filter_prints_for_each_record_which_of_several_permissions_hold() {
    let files = files();
    at_both(&files, |run| {
        let ask = |more: &[&str]| run(&[&ASKED, more].concat());
        let expected = "r-1\trecords.read\nr-2\trecords.edit,records.read\nr-3\t\n";
        assert_eq!(ask(&BOTH), (0, expected.to_owned(), String::new()));
        // One, or none, as before.
        assert_eq!(ask(&BOTH[..2]), (0, "r-2\n".to_owned(), String::new()));
        assert_eq!(ask(&[]).1, "r-1\nr-2\n");
        files.write("empty.yaml", "[]");
        let ask = |more: &[&str]| run(&[&ASKED[..6], &["empty.yaml"], more].concat());
        assert_eq!(ask(&BOTH), (0, String::new(), String::new()));
        for (wrong, said) in [
            (["--permission", "records.edit", "--permission", "records.edit"], "permissions[1]: is given twice"),
            (["--permission", "records.edit", "--permission", "records.raed"], "records.raed"),
            (["--permission", "records.edit", "--permission", ""], "a value is required"),
        ] {
            let (status, out, error) = ask(&wrong);
            assert_eq!((status, out.as_str()), (2, ""), "{wrong:?}");
            assert!(error.contains(said), "{wrong:?}: {error}");
        }
    });
}

/// So many that they go into three messages and a bit; what is at some places instead.
fn many(instead: &[(usize, &str)]) -> String {
    let mut text = String::from("[");
    for at in 0..3_010 {
        let region = if at % 3 == 0 { "eu" } else { "us" };
        let usual = format!(r#"{{"id": "r-{at}", "attributes": {{"region": "{region}", "amount": 0.5}}}}"#);
        let record = instead.iter().find(|(place, _)| *place == at).map_or(usual.as_str(), |(_, record)| record);
        write!(text, "{}{record}", if at == 0 { "" } else { ", " }).unwrap();
    }
    text + "]"
}

/// What is at which places instead, the exit status, how many lines are printed, and what is said of it.
type Case<'c> = (&'c [(usize, &'c str)], i32, usize, &'c str);

#[test]
fn filter_answers_a_file_of_any_length_chunk_by_chunk_alike_offline_and_of_a_server() {
    let files = files();
    // What is wrong behind the first chunk is told behind the answers before it: an account that is not there,
    // an id that its chunk has twice, what is no record.
    let nowhere = [(1_500, r#"{"id": "r-1500", "account": "nowhere"}"#)];
    let twice = [(2_999, r#"{"id": "r-2000"}"#)];
    let odd = [(2_500, r#"{"id": "r-2500", "colour": "red"}"#)];
    let cases: [Case<'_>; 5] = [
        (&[], 0, 3_010, ""),
        (&nowhere, 2, 1_000, "records[500].account"),
        (&twice, 2, 2_000, "records[999].id"),
        (&odd, 2, 2_000, "[2500].colour: unknown key"),
        // Of two chunks, an id is not noticed twice.
        (&[(1_000, r#"{"id": "r-999"}"#)], 0, 3_010, ""),
    ];
    let answers = RefCell::new(Vec::new());
    at_both(&files, |run| {
        for (instead, status, answered, said) in cases {
            files.write("records.yaml", &many(instead));
            let answer = run(&[&ASKED[..], &BOTH].concat());
            assert_eq!((answer.0, answer.1.lines().count()), (status, answered), "{}", answer.2);
            assert!(answer.2.contains(said) && answer.2.is_empty() == said.is_empty(), "{said}: {}", answer.2);
            answers.borrow_mut().push(answer);
        }
    });
    let answers = answers.into_inner();
    let (offline, server) = answers.split_at(cases.len());
    assert!(offline == server);
    for (at, line) in offline[0].1.lines().enumerate() {
        let held = if at == 2 { "records.edit,records.read" } else { ["records.read", ""][usize::from(at % 3 > 0)] };
        assert_eq!(line, format!("r-{at}\t{held}"));
    }
    // One permission: the ids that pass, of all chunks.
    files.write("records.yaml", &many(&[]));
    let (status, out, error) = files.run(&[&ASKED[..], &BOTH[2..], &["--org", "acme.yaml"]].concat());
    assert_eq!((status, error.as_str()), (0, ""));
    assert_eq!(out.lines().count(), 1_004 + 1);
    assert!(out.starts_with("r-0\nr-2\nr-3\nr-6\n") && out.ends_with("r-3006\nr-3009\n"), "{out}");
}
