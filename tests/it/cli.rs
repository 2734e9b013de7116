//! `check`, `filter`, `plan`, `explain` and `test` as a person runs them: the built program, offline and
//! against a server that it serves itself.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub const ORGANIZATION: &str = r"
organization: acme
email_domains: [{domain: acme.com, audience: internal}]
accounts: [{id: main, default: true}]
permissions:
  - {name: records.read, requires_visibility: true}
  - {name: records.edit}
objects: [{id: app, kind: app, fields: {region: string, amount: double}}]
users:
  - {id: ana, email: ana@acme.com, attributes: {region: eu}}
  - {id: bo, email: bo@acme.com}
  - {id: ext, email: ext@partner.io, kind: external}
settings: {external_reauthentication: {max_age: 1h}}
groups: [{id: risk, kind: manual, members: ['user:ana'], visibility: [data_access]}]
roles: [{id: reader, scope: object, permissions: [records.read]}]
assignments:
  - {role: reader, member: 'group:risk', object: app}
  - {role: reader, member: 'user:bo', object: app, expires_at: 2026-01-01T00:00:00Z}
  - {role: reader, member: 'user:ext', object: app}
data_access:
  - {id: own-region, object: app, effect: allow, members: ['group:risk'], condition: record.region == user.attributes.region}
";
const RECORDS: &str = r"
- {id: r-1, attributes: {region: eu}}
- {id: r-2, attributes: {region: us}}
- {id: r-3}
";

/// Files in a directory of their own, in which the program is run.
pub struct Files(tempfile::TempDir);

impl Files {
    pub fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write("acme.yaml", ORGANIZATION);
        files.write("records.yaml", RECORDS);
        files.write("record.json", r#"{"id": "r-2", "attributes": {"region": "us"}}"#);
        files
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        std::fs::File::create(self.path(name)).unwrap().write_all(text.as_bytes()).unwrap();
        self.path(name).display().to_string()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the program in this directory: its exit status and what it printed.
    pub fn run(&self, args: &[&str]) -> (i32, String, String) {
        let output = doorward(self.0.path()).args(args).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

pub fn doorward(at: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    command.current_dir(at).env_remove("DOORWARD_SERVER").env_remove("DOORWARD_CLIENT_TOKEN_FILE");
    command
}

/// A server that ends with the test.
pub struct Serving(Child);

impl Serving {
    pub fn start(files: &Files) -> (Self, String) {
        Self::with(files, &["--memory", "--insecure-dev"])
    }

    /// The same, served otherwise.
    pub fn with(files: &Files, how: &[&str]) -> (Self, String) {
        let address = files.path("address");
        let args = ["serve", "--listen", "127.0.0.1:0", "--address-file"];
        let child = doorward(files.0.path()).args(args).arg(&address).args(how).stderr(Stdio::null()).spawn().unwrap();
        let serving = Self(child);
        for _ in 0..300 {
            if let Ok(text) = std::fs::read_to_string(&address)
                && let Some(line) = text.lines().next()
            {
                return (serving, line.to_owned());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the server did not start");
    }
}

impl Serving {
    /// Of its process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The same questions offline and of a server.
pub fn at_both(files: &Files, ask: impl Fn(&dyn Fn(&[&str]) -> (i32, String, String))) {
    let with = |at: &[&str], args: &[&str]| {
        let (command, rest) = args.split_first().unwrap();
        files.run(&[&[*command], at, rest].concat())
    };
    ask(&|args| with(&["--org", "acme.yaml"], args));
    let (_serving, address) = Serving::start(files);
    let (status, _, error) = files.run(&["apply", "--server", &address, "acme.yaml"]);
    assert_eq!(status, 0, "{error}");
    ask(&|args| with(&["--server", &address, "--organization", "acme"], args));
}

#[test]
fn check_says_allow_or_deny_and_so_does_its_exit_status() {
    let files = Files::new();
    at_both(&files, |run| {
        let base = ["check", "--principal", "user:ana", "--object", "app", "--permission"];
        let ask = |more: &[&str]| {
            let (status, out, error) = run(&[&base, more].concat());
            (status, out.trim().to_owned(), error)
        };
        assert_eq!(ask(&["records.read"]), (0, "allow".to_owned(), String::new()));
        assert_eq!(ask(&["records.edit"]), (1, "deny (NO_PERMISSION)".to_owned(), String::new()));
        let hidden = ["records.read", "--record-file", "record.json"];
        assert_eq!(ask(&hidden), (1, "deny (NOT_VISIBLE)".to_owned(), String::new()));
        let (status, out, error) = ask(&["records.raed"]);
        assert_eq!((status, out.as_str()), (2, ""));
        assert!(error.contains("INVALID_ARGUMENT") && error.contains("records.raed"), "{error}");
        assert_eq!(ask(&["records.read", "--record-file", "records.yaml"]).0, 2, "one record is wanted");
    });
}

#[test]
fn filter_prints_the_ids_that_pass_one_a_line() {
    let files = Files::new();
    at_both(&files, |run| {
        let ask = |principal: &str, more: &[&str]| {
            let args = ["filter", "--principal", principal, "--object", "app", "--records", "records.yaml"];
            run(&[&args, more].concat())
        };
        assert_eq!(ask("ana", &[]), (0, "r-1\n".to_owned(), String::new()));
        assert_eq!(ask("ana", &["--permission", "records.read"]).1, "r-1\n");
        assert_eq!(ask("ana", &["--permission", "records.edit"]), (0, String::new(), String::new()));
        assert_eq!(ask("ana", &["--account", "nowhere"]).0, 2);
        files.write("records.yaml", "[{id: r-1}, {id: r-1}]");
        assert_eq!(ask("ana", &[]).0, 2, "a record is given twice");
        files.write("records.yaml", "[{id: r-1, colour: red}]");
        let (status, _, error) = ask("ana", &[]);
        assert_eq!(status, 2);
        assert!(error.contains("records.yaml:1:") && error.contains("unknown key"), "{error}");
        files.write("records.yaml", RECORDS);
    });
}

#[test]
fn plan_prints_the_filter_for_a_database() {
    let files = Files::new();
    at_both(&files, |run| {
        let ask = |principal: &str, more: &[&str]| {
            run(&[&["plan", "--principal", principal, "--object", "app"], more].concat())
        };
        let seen = "conditional\neq(record.region, \"eu\")\n".to_owned();
        assert_eq!(ask("ana", &[]), (0, seen.clone(), String::new()));
        assert_eq!(ask("ana", &["--permission", "records.read", "--operator", "eq"]).1, seen);
        assert_eq!(ask("ana", &["--permission", "records.edit"]).1, "never (NO_PERMISSION)\n");
        let (status, out, error) = ask("ana", &["--operator", "in"]);
        assert_eq!((status, out.as_str()), (2, ""));
        assert!(error.contains("`eq`"), "{error}");
        assert_eq!(ask("ana", &["--account", "nowhere"]).0, 2);
    });
}

const EXPLAINED: &str = "\
deny (NOT_VISIBLE, rule 4.7)
`user:ana` may not do `records.read` on record `r-2` of object `app`: no data-access policy shows it this record. \
`records.read` comes from role `reader` at object `app`, through `group:risk`.

what gives `records.read`:
  └─ user:ana
     └─ group:risk
        └─ role `reader` at object `app` → `records.read`

data-access policies:
  └─ `own-region` (allow, for user:ana in group:risk) does not show the record
     └─ `record.region == user.attributes.region` is false: `record.region` is \"us\", `user.attributes.region` is \"eu\"

To allow:
  ├─ assign role `reader` to `user:ana` at record `r-2` of object `app`
  └─ grant `records.read` to `user:ana` at record `r-2` of object `app`
";

#[test]
fn explain_prints_what_led_to_a_decision_as_a_tree() {
    let files = Files::new();
    at_both(&files, |run| {
        let base = ["explain", "--permission", "records.read", "--object", "app"];
        let ask = |more: &[&str]| run(&[&base, more].concat());
        let (status, out, error) = ask(&["--principal", "ana", "--record-file", "record.json"]);
        assert_eq!((status, out.as_str(), error.as_str()), (0, EXPLAINED, ""));
        let (_, out, _) = ask(&["--principal", "user:bo"]);
        assert!(out.contains("✗ expired at 2026-01-01T00:00:00Z"), "{out}");
        assert!(out.contains("✗ the principal is not a member of group `risk`"), "{out}");
        let (_, to_allow) = out.split_once("\n\nTo allow:\n").unwrap();
        assert!(to_allow.contains("add `user:bo` to group `risk`, which holds role"), "{out}");
        let (status, _, error) = ask(&["--principal", "user:bo", "--account", "nowhere"]);
        assert_eq!(status, 2);
        assert!(error.contains("NOT_FOUND"), "{error}");
    });
}

#[test]
fn the_clock_and_the_last_sign_on_can_be_given() {
    let files = Files::new();
    let ask = |more: &[&str]| {
        let base = ["check", "--org", "acme.yaml", "--object", "app", "--permission", "records.read"];
        files.run(&[&base, more].concat()).1
    };
    assert_eq!(ask(&["--principal", "bo", "--now", "2025-12-31T00:00:00Z"]), "allow\n");
    assert_eq!(ask(&["--principal", "bo", "--now", "2026-01-01T00:00:00Z"]), "deny (NO_PERMISSION)\n");
    let ext = ["--principal", "ext", "--now", "2025-12-31T12:00:00Z"];
    assert_eq!(ask(&ext), "deny (REAUTHENTICATION_REQUIRED)\n");
    assert_eq!(ask(&[&ext[..], &["--authenticated-at", "2025-12-31T11:30:00Z"]].concat()), "allow\n");
    let (status, _, error) = files.run(&["check", "--org", "acme.yaml", "--now", "today"]);
    assert!(status == 2 && error.contains("is no timestamp"), "{error}");
}

const CASES: &str = r"
organization: acme
cases:
  - name: ana sees her region
    filter: {principal: 'user:ana', object: app, records: [{id: r-1, attributes: {region: eu}}, {id: r-2}]}
    expect_visible: [r-1]
  - name: wrong on purpose
    filter: {principal: 'user:ana', permission: records.read, object: app, records: [{id: r-1, attributes: {region: us}}]}
    expect_visible: [r-1]
";

#[test]
fn filter_cases_are_asked_and_one_that_differs_is_explained() {
    let files = Files::new();
    files.write("cases.yaml", CASES);
    let check = |args: &[&str]| {
        let (status, out, error) = files.run(args);
        assert_eq!(status, 1, "{error}");
        assert!(out.contains("cases.yaml:7: wrong on purpose\n  expected but not given: r-1\n"), "{out}");
        assert!(out.contains("\n  deny (NOT_VISIBLE, rule 4.7)\n"), "{out}");
        assert!(out.contains("`record.region` is \"us\""), "{out}");
        assert!(out.ends_with("1 passed, 1 failed\n"), "{out}");
    };
    check(&["test", "--org", "acme.yaml", "cases.yaml"]);
    let (_serving, address) = Serving::start(&files);
    assert_eq!(files.run(&["apply", "--server", &address, "acme.yaml"]).0, 0);
    check(&["test", "--server", &address, "cases.yaml"]);
}

#[test]
fn activity_lists_what_was_done_and_verifies_that_nothing_is_missing() {
    let files = Files::new();
    let (_serving, address) = Serving::start(&files);
    let at = ["--server", &address];
    assert_eq!(files.run(&[&["apply"][..], &at, &["acme.yaml"]].concat()).0, 0);
    files.write("acme.yaml", &ORGANIZATION.replace("'user:ana']", "'user:ana', 'user:bo']"));
    assert_eq!(files.run(&[&["apply"][..], &at, &["acme.yaml"]].concat()).0, 0);
    let (status, out, error) = files.run(&[&["activity", "list"][..], &at, &["acme"]].concat());
    assert_eq!((status, error.as_str()), (0, ""));
    let lines: Vec<&str> = out.lines().collect();
    let [second, first] = lines.as_slice() else { panic!("{out}") };
    assert!(first.starts_with("1 ") && first.ends_with("create the organization and 14 more"), "{first}");
    assert!(second.contains(" applied platform:dev 127.0.0.1:"), "{second}");
    assert!(second.ends_with(" OrganizationService/ApplyOrganization add user `bo` to group `risk`"), "{second}");
    let membership = [&["activity", "list"][..], &at, &["--entity", "membership", "--limit", "1", "acme"]].concat();
    assert_eq!(files.run(&membership).1.lines().count(), 1);
    let refused = [&["activity", "list"][..], &at, &["--outcome", "refused", "acme"]].concat();
    assert_eq!(files.run(&refused), (0, String::new(), String::new()));
    let (status, out, _) = files.run(&[&["activity", "verify"][..], &at, &["acme"]].concat());
    assert!(status == 0 && out.starts_with("acme: 2 entries, intact; the last hash is "), "{out}");
    assert_eq!(files.run(&[&["activity", "verify"][..], &at, &["nowhere"]].concat()).0, 2);
    assert_eq!(files.run(&["activity", "verify", "--data", "nowhere", "acme"]).0, 2);

    let erase = |more: &[&str]| files.run(&[&["activity", "erase"][..], &at, more].concat());
    let (status, out, error) = erase(&["--dry-run", "acme", "ana"]);
    assert_eq!((status, error.as_str()), (0, ""));
    let row = "acme: the row of user `ana` is there, and is not erased\n";
    assert_eq!(out, format!("acme: personal data of user `ana` would be erased from 1 entry\n{row}"));
    assert_eq!(erase(&["acme", "ana"]).1, format!("acme: personal data of user `ana` were erased from 1 entry\n{row}"));
    let nobody = "acme: personal data of user `zoe` were erased from 0 entries\nacme: there is no user `zoe`\n";
    assert_eq!(erase(&["acme", "zoe"]), (0, nobody.to_owned(), String::new()));
    assert_eq!(erase(&["nowhere", "ana"]).0, 2);
    let (status, out, _) = files.run(&[&["activity", "verify"][..], &at, &["acme"]].concat());
    assert!(status == 0 && out.starts_with("acme: 3 entries, intact; the last hash is "), "{out}");
}

#[test]
fn activity_verifies_a_data_directory_offline_and_names_the_first_bad_entry() {
    use doorward::clock::SystemClock;
    use doorward::core::change::Change;
    use doorward::engine::Engine;
    use doorward::store::{Commit, Options, PolicyStore, RowWrite, SledStore};
    let files = Files::new();
    let store = files.path("data").join("store");
    std::fs::create_dir(files.path("data")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    {
        let opened = std::sync::Arc::new(SledStore::open(&store, Options::default()).unwrap());
        let engine = Engine::open(opened, std::sync::Arc::new(SystemClock), |error| panic!("{error}")).unwrap();
        let engine = std::sync::Arc::new(engine);
        let known = doorward::cli::file::Known::of;
        let file = doorward::cli::file::OrganizationFile::parse(ORGANIZATION, "acme.yaml", known).unwrap();
        let call = crate::support::call("acme");
        let replace = Change::Replace { rows: file.rows, deactivate_missing: false };
        let changes = [vec![replace]].into_iter().chain(["ana", "bo", "ext"].map(|user| {
            let members = vec![format!("user:{user}").parse().unwrap()];
            vec![
                Change::RemoveMembers { group: "risk".parse().unwrap(), members: members.clone() },
                Change::AddMembers { group: "risk".parse().unwrap(), members },
            ]
        }));
        for changes in changes {
            let plan = move |_: &_| Ok::<_, ()>(changes);
            runtime.block_on(engine.write(call.clone(), plan, |_| Vec::new())).unwrap();
        }
        engine.stop();
    }
    drop(runtime);
    let verify = || files.run(&["activity", "verify", "--data", "data", "acme"]);
    let (status, out, error) = verify();
    assert!(status == 0 && out.starts_with("acme: 3 entries, intact"), "{out}{error}");
    assert_eq!(files.run(&["activity", "verify", "--data", "data", "other"]).0, 2);
    {
        let opened = SledStore::open(&store, Options::default()).unwrap();
        let archive = vec![RowWrite { key: [&[0][..], &2_u64.to_be_bytes()].concat(), value: None }];
        let (scope, rows) = ("acme".to_owned(), Vec::new());
        opened.write(&[Commit { scope, revision: 3, log: None, rows, archive }]).unwrap();
    }
    let (status, out, _) = verify();
    assert_eq!((status, out.as_str()), (1, "acme: broken at entry 2: entry 2 is missing\n"));
}

#[test]
fn a_super_organizations_file_denies_its_elements_offline_and_on_a_server() {
    let files = Files::new();
    let acme = |safelist: &str| {
        let text = format!(
            "organization: acme\npreset: integration\nsuper_organization: globex\n\
             objects: [{{id: sap, kind: element}}, {{id: jira, kind: element}}]\n\
             users: [{{id: ana, email: a@x.io}}]\nelement_safelist: {safelist}\n"
        );
        files.write("elements.yaml", &text);
    };
    let globex = |denylist: &str| {
        let text = format!("super_organization: globex\ndisplay_name: Globex\nelement_denylist: {denylist}\n");
        files.write("globex.yaml", &text);
    };
    acme("[]");
    globex("[sap, unheard-of]");
    let ask = |from: &[&str], element: &str| {
        let question = ["check", "--principal", "ana", "--permission", "elements.read"];
        files.run(&[&question[..], &["--object", element], from].concat())
    };
    let alone = ["--org", "elements.yaml"];
    let both = ["--org", "elements.yaml", "--org", "globex.yaml"];
    assert_eq!((ask(&alone, "sap").0, ask(&both, "sap").0, ask(&both, "jira").0), (0, 1, 0));
    assert!(ask(&both, "sap").1.contains("ELEMENT_NOT_LISTED"));
    acme("[sap]");
    let (status, _, error) = ask(&both, "jira");
    assert_eq!(status, 2, "{error}");
    assert!(error.contains("element `sap` is on the denylist of super-organization `globex`"), "{error}");

    let (_server, address) = Serving::start(&files);
    let server = ["--server", &address, "--organization", "acme"];
    let run = |args: &[&str]| files.run(&[args, &server[..2]].concat());
    acme("[]");
    let (status, _, error) = run(&["apply", "elements.yaml"]);
    assert_eq!(status, 2, "{error}");
    assert!(error.contains("unknown super-organization `globex`"), "{error}");
    assert_eq!(run(&["apply", "--dry-run", "globex.yaml"]).0, 0);
    assert_eq!(
        run(&["apply", "globex.yaml"]),
        (0, "+ denylist_element sap\n+ denylist_element unheard-of\nglobex: revision 2\n".into(), String::new())
    );
    assert_eq!(run(&["apply", "elements.yaml"]).0, 0);
    assert_eq!((ask(&server, "sap").0, ask(&server, "jira").0), (1, 0));
    let exported = run(&["export", "--super", "globex"]).1;
    files.write("again.yaml", &exported);
    assert_eq!(run(&["apply", "again.yaml"]).1, "globex: revision 2\n");
    globex("[]");
    assert_eq!(
        run(&["apply", "globex.yaml"]).1,
        "- denylist_element sap\n- denylist_element unheard-of\nglobex: revision 3\n"
    );
    acme("[jira]");
    assert_eq!(run(&["apply", "elements.yaml"]).0, 0);
    assert_eq!((ask(&server, "sap").0, ask(&server, "jira").0), (1, 0));
    let exported = run(&["export", "acme"]).1;
    assert!(exported.contains("element_safelist:\n  - jira\n"), "{exported}");
    files.write("elements.yaml", &exported);
    assert!(run(&["apply", "elements.yaml"]).1.contains("unchanged"), "{exported}");
}

#[test]
fn review_prints_who_can_do_what_as_csv_and_json() {
    let files = Files::new();
    at_both(&files, |run| {
        let (status, out, error) = run(&["review", "--object", "app", "--permission", "records.read"]);
        assert_eq!(status, 0, "{error}");
        let expected = [
            "principal,permission,account,object,record,policies_decide,state,paths",
            "user:ana,records.read,,app,,yes,held,user:ana in group:risk: role `reader` at object `app`",
            "user:ext,records.read,,app,,yes,held,user:ext: role `reader` at object `app`",
        ];
        assert_eq!(out.lines().collect::<Vec<_>>(), expected, "what is over is not reported");
        let (status, out, error) = run(&["review", "--principal", "ana", "--format", "json"]);
        assert_eq!(status, 0, "{error}");
        let [line] = *out.lines().collect::<Vec<_>>() else { panic!("{out}") };
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((entry["permission"].as_str(), entry["object"].as_str()), (Some("records.read"), Some("app")));
        let (status, _, error) = run(&["review", "--permission", "no.such"]);
        assert!(status == 2 && error.contains("no.such"), "{error}");
    });
}

#[test]
fn review_prints_what_is_unused_as_csv_and_json() {
    let files = Files::new();
    let (_serving, address) = Serving::start(&files);
    let server = ["--server", &address];
    let run = |args: &[&str]| files.run(&[args, &server].concat());
    let more = ORGANIZATION
        .replace("[{id: reader,", "[{id: idle, scope: object, permissions: [records.edit]}, {id: reader,")
        .replace("  - {name: records.edit}", "  - {name: records.edit}\n  - {name: records.read_all}");
    files.write("more.yaml", &more);
    let (status, _, error) = run(&["apply", "more.yaml"]);
    assert_eq!(status, 0, "{error}");
    let unused = ["review", "--unused", "--organization", "acme"];
    let (status, out, error) = run(&unused);
    assert_eq!(status, 0, "{error}");
    let own: Vec<&str> =
        out.lines().filter(|line| !line.starts_with("permission,") || line.contains("records.")).collect();
    let expected = [
        "kind,name,holders,last_used_at",
        "role,idle,0,",
        "permission,records.edit,0,",
        "permission,records.read_all,0,",
    ];
    assert_eq!(own, expected);
    let (status, out, error) = run(&[&unused[..], &["--format", "json"]].concat());
    assert_eq!(status, 0, "{error}");
    let first: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    let idle = serde_json::json!({"kind": "role", "name": "idle", "holders": 0, "last_used_at": null});
    assert_eq!(first, idle);

    // What is held and was not allowed for a time is unused, once it was observed for so long.
    std::thread::sleep(Duration::from_millis(20));
    let (status, out, error) = run(&[&unused[..], &["--unused-for", "10ms"]].concat());
    assert_eq!(status, 0, "{error}");
    assert!(out.contains("role,reader,2,\n") && out.contains("permission,records.read,2,\n"), "{out}");
    let asked =
        ["check", "--organization", "acme", "--principal", "ana", "--permission", "records.edit", "--object", "app"];
    assert_eq!(run(&asked).0, 1);
    let (status, _, error) = run(&[&unused[..], &["--unused-for", "90d"]].concat());
    assert!(status == 2 && error.contains("is counted since"), "{error}");
    for (wrong, said) in [
        (&["review", "--unused", "--organization", "acme", "--unused-for", "soon"][..], "duration"),
        (&["review", "--unused"], "--organization"),
        (&["review", "--unused-for", "1d", "--organization", "acme"], "--unused"),
        (&["review", "--unused", "--object", "app", "--organization", "acme"], "--object"),
    ] {
        let (status, _, error) = run(wrong);
        assert!(status == 2 && error.contains(said), "{wrong:?}: {error}");
    }
    let (status, _, error) = files.run(&["review", "--unused", "--org", "acme.yaml"]);
    assert!(status == 2 && error.contains("--org"), "{error}");
}

#[test]
fn apply_says_who_would_gain_and_lose_what() {
    let files = Files::new();
    let (_serving, address) = Serving::start(&files);
    let dry = ["apply", "--server", &address, "--dry-run", "--access-diff"];
    let (status, out, error) = files.run(&[&dry[..], &["acme.yaml"]].concat());
    assert_eq!(status, 0, "{error}");
    assert!(out.contains("+ user:ana at object `app`: records.read\n"), "there is none yet: {out}");
    let (status, _, error) = files.run(&["apply", "--server", &address, "acme.yaml"]);
    assert_eq!(status, 0, "{error}");
    let other = ORGANIZATION
        .replace("{role: reader, member: 'user:ext', object: app}", "{role: reader, member: 'user:bo', object: app}")
        .replace("  - {role: reader, member: 'user:bo', object: app, expires_at: 2026-01-01T00:00:00Z}\n", "");
    files.write("other.yaml", &other);
    let (status, out, error) = files.run(&[&dry[..], &["other.yaml"]].concat());
    assert_eq!(status, 0, "{error}");
    let said: Vec<&str> = out.lines().take(4).collect();
    let expected = [
        "what people can do, now or later:",
        "+ user:bo at object `app`: records.read",
        "- user:ext at object `app`: records.read",
        "2 gain or lose something",
    ];
    assert_eq!(said, expected);
    let (status, _, error) = files.run(&["apply", "--server", &address, "--access-diff", "other.yaml"]);
    assert!(status == 2 && error.contains("--dry-run"), "{error}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let schema = ["schema", "organization"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_doorward"))
        .args(schema)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8(ended.stderr).unwrap()), (Some(0), String::new()));
}
