//! README's first command, and the sample that it shows: what a newcomer runs first works.

use std::process::Stdio;

use crate::cli::{Files, Serving, doorward};

const ORGANIZATION: &str = include_str!("../../deploy/sample/acme.yaml");
const CASES: &str = include_str!("../../deploy/sample/decisions.yaml");

fn names() -> Vec<&'static str> {
    let names: Vec<&str> = CASES.lines().filter_map(|line| line.strip_prefix("  - name: ")).collect();
    assert!(names.len() > 20, "{names:?}");
    names
}

#[test]
fn the_demonstration_shows_every_case_of_the_sample_and_leaves_nothing() {
    let readme = include_str!("../../README.md");
    assert!(readme.contains("\ncargo run --release -- demo "), "this is README's first command");
    let scratch = tempfile::tempdir().unwrap();
    let output =
        doorward(scratch.path()).arg("demo").env("TMPDIR", scratch.path()).stdin(Stdio::null()).output().unwrap();
    let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), error.as_str()), (Some(0), ""), "{out}");
    assert!(out.starts_with("applied deploy/sample/acme.yaml over gRPC: "), "{out}");
    let lines: Vec<&str> = out.lines().collect();
    for name in names() {
        let at = lines.iter().position(|line| *line == name).unwrap_or_else(|| panic!("{name}: {out}"));
        assert!(lines[at + 1].starts_with("    ") && lines[at + 2].starts_with("    → "), "{out}");
    }
    let answers = |answer: &str| lines.iter().filter(|line| line.starts_with(&format!("    → {answer}"))).count();
    assert!(answers("allow") >= 7 && answers("deny (") >= 10 && answers("error (") == 1, "{out}");
    assert!(!out.contains("expected"), "{out}");
    assert_eq!(scratch.path().read_dir().unwrap().count(), 0, "its store is gone");
}

#[test]
fn the_sample_cases_pass_offline_and_of_a_server_and_a_spoiled_one_is_named() {
    let files = Files::new();
    files.write("acme.yaml", ORGANIZATION);
    files.write("decisions.yaml", CASES);
    let (_serving, address) = Serving::start(&files);
    assert_eq!(files.run(&["apply", "--server", &address, "acme.yaml"]).0, 0);
    let count = names().len();
    // A case of each kind: what it says, what it is made to say, what is said of it.
    let spoiled = [
        (
            "object: vendor-risk}\n    expect: allow\n",
            "object: vendor-risk}\n    expect: deny\n",
            "decisions.yaml:4: Ana, of the group risk, reads tasks in the app that the group reviews\n  \
             expected deny, got allow (ALLOWED)\n",
        ),
        (
            "reason: NO_PERMISSION\n",
            "reason: NOT_VISIBLE\n",
            ": the reviewers' role says nothing of deleting tasks\n  \
             expected deny (NOT_VISIBLE), got deny (NO_PERMISSION)\n",
        ),
        (
            "records.read, tasks.read]\n",
            "records.update, tasks.read]\n",
            ": all that Ana may do in the app\n  expected but not given: records.update\n  \
             given but not expected: records.read\n",
        ),
        (
            "expect_visible: [v-1]",
            "expect_visible: [v-1, v-2]",
            ": of these records Ana sees her region's, but no large ones\n  expected but not given: v-2\n",
        ),
    ];
    for at in [["--org", "acme.yaml"], ["--server", &address]] {
        let test = |cases: &str| files.run(&[&["test"], &at[..], &[cases]].concat());
        assert_eq!(test("decisions.yaml"), (0, format!("{count} passed, 0 failed\n"), String::new()), "{at:?}");
        for (right, wrong, said) in spoiled {
            assert!(CASES.contains(right), "{right}");
            files.write("spoiled.yaml", &CASES.replacen(right, wrong, 1));
            let (status, out, error) = test("spoiled.yaml");
            assert_eq!((status, error.as_str()), (1, ""), "{at:?}: {out}");
            assert!(out.contains(&said.replace("decisions.yaml", "spoiled.yaml")), "{at:?}: {out}");
            assert!(out.starts_with("spoiled.yaml:"), "{at:?}: {out}");
            assert_eq!(out.matches("spoiled.yaml:").count(), 1, "{out}");
            assert!(out.ends_with(&format!("{} passed, 1 failed\n", count - 1)), "{at:?}: {out}");
        }
    }
}
