//! `doorward bench`: the built program against a server that it serves itself, and against one of the test's own
//! that answers as the test likes. Nothing here asserts that something was quick.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doorward::cli::bench::wire::framed;
use doorward::service::proto as pb;
use http::{HeaderMap, HeaderValue, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::cli::{Files, Serving, doorward};

/// Of each five questions one is allowed, three are denied and one has no decision.
const QUESTIONS: &str = r"
organization: acme
cases:
  - authorize: {principal: 'user:ana', permission: records.read, object: app}
    expect: allow
  - authorize: {principal: 'user:ana', permission: records.edit, object: app}
    expect: deny
  - filter: {principal: 'user:ana', object: app, records: []}
    expect_visible: []
  - authorize: {principal: 'user:ana', permission: records.read, object: app, record: {id: r-2, attributes: {region: us}}}
    expect: deny
  - authorize: {principal: 'user:ext', permission: records.read, object: app}
    expect: deny
  - authorize: {principal: 'user:ana', permission: records.raed, object: app}
    expect: error
";

/// Runs `bench` of these questions, without warming up: exit status, what it found, what it complained of.
fn bench(files: &Files, address: &str, more: &[&str]) -> (i32, Value, String) {
    bench_after("0", files, address, more)
}

fn bench_after(warm_up: &str, files: &Files, address: &str, more: &[&str]) -> (i32, Value, String) {
    let args = ["bench", "--server", address, "--warm-up", warm_up, "--json", "questions.yaml"];
    let (status, out, error) = files.run(&[&args, more].concat());
    (status, serde_json::from_str(&out).unwrap_or(Value::Null), error)
}

fn served() -> (Files, Serving, String) {
    let files = Files::new();
    files.write("questions.yaml", QUESTIONS);
    let (serving, address) = Serving::start(&files);
    let (status, _, error) = files.run(&["apply", "--server", &address, "acme.yaml"]);
    assert_eq!(status, 0, "{error}");
    (files, serving, address)
}

fn denied(each: u64) -> Value {
    json!({"NO_PERMISSION": each, "NOT_VISIBLE": each, "REAUTHENTICATION_REQUIRED": each})
}

#[test]
fn a_closed_loop_counts_the_answers_that_the_questions_have() {
    let (files, _serving, address) = served();
    let (status, found, error) = bench(&files, &address, &["--pick", "in-turn", "--calls", "50"]);
    assert_eq!((status, error.as_str()), (0, ""));
    let counted = ["calls", "decisions", "allow", "deny", "errors", "sent", "never_sent", "broken"];
    let expected = [json!(50), json!(40), json!(10), denied(10), json!({"INVALID_ARGUMENT": 10}), json!(50)];
    assert_eq!(counted.map(|name| found[name].clone())[..6], expected, "{found}");
    assert_eq!((&found["never_sent"], &found["broken"]), (&Value::Null, &Value::Null));
    let with =
        [("method", json!("Authorize")), ("questions", json!(5)), ("connections", json!(4)), ("in_flight", json!(64))];
    with.into_iter().for_each(|(name, value)| assert_eq!(found[name], value, "{name}"));
    let latency = |name: &str| found["latency_us"][name].as_f64().unwrap();
    let ascending = ["p50", "p90", "p99", "p99_9", "max"].map(latency);
    assert!(ascending[0] > 0.0 && ascending.is_sorted(), "{found}");

    // The same calls, whoever sends them; as many questions as there are, by any draw.
    for pick in ["uniform", "zipf"] {
        let args = ["--pick", pick, "--calls", "200", "--seed", "7"];
        let one = bench(&files, &address, &[&args[..], &["--connections", "1", "--in-flight", "1"]].concat()).1;
        let many = ["--connections", "3", "--in-flight", "10", "--threads", "2"];
        let many = bench(&files, &address, &[&args[..], &many].concat()).1;
        for name in ["calls", "allow", "deny", "errors"] {
            assert_eq!(one[name], many[name], "{pick}: {name}");
        }
        let sum = |counts: &Value| counts.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();
        assert_eq!(one["allow"].as_u64().unwrap() + sum(&one["deny"]) + sum(&one["errors"]), 200, "{one}");
    }

    // By time, after warming up.
    let args = ["bench", "--server", &address, "--warm-up", "100ms", "--duration", "300ms", "questions.yaml"];
    let (status, out, error) = files.run(&args);
    assert_eq!((status, error.as_str()), (0, ""));
    let lines: Vec<&str> = out.lines().collect();
    assert!(
        lines[1].starts_with(&format!("{address}: Authorize, 5 questions of questions.yaml about `acme`")),
        "{out}"
    );
    assert!(lines[2].starts_with("closed loop; connections: 4, in flight: 64 in all, threads: 1; 0.10 s of"), "{out}");
    for name in
        ["calls", "decisions", "latency    p50 ", "allow", "deny       NO_PERMISSION ", "error      INVALID_ARGUMENT "]
    {
        assert!(lines.iter().any(|line| line.starts_with(name)), "{name}: {out}");
    }
}

#[test]
fn a_batch_asks_as_many_questions_as_it_is_told() {
    let (files, _serving, address) = served();
    let batch = ["--method", "batch", "--batch", "7", "--pick", "in-turn", "--calls", "10"];
    let (status, found, error) = bench(&files, &address, &batch);
    assert_eq!((status, error.as_str()), (0, ""));
    assert_eq!((&found["calls"], &found["batch"], &found["decisions"]), (&json!(10), &json!(7), &json!(56)));
    assert_eq!((&found["allow"], &found["deny"]), (&json!(14), &denied(14)));
    assert_eq!(found["errors"], json!({"INVALID_ARGUMENT": 14}));
}

#[test]
fn questions_come_one_a_line_too_and_over_a_unix_socket() {
    let files = Files::new();
    files.write("asked.jsonl", "{\"principal\": \"ana\", \"permission\": \"records.read\", \"object\": \"app\"}\n");
    let (_serving, address) = Serving::with(&files, &["--memory", "--insecure-dev", "--unix", "socket"]);
    assert_eq!(files.run(&["apply", "--server", &address, "acme.yaml"]).0, 0);
    let ask = |server: &str, more: &[&str]| {
        let args = ["bench", "--server", server, "--warm-up", "0", "--calls", "30", "--json", "asked.jsonl"];
        files.run(&[&args, more].concat())
    };
    let socket = format!("unix://{}", files.path("socket").display());
    for server in [socket, format!("http://{address}")] {
        let (status, out, error) = ask(&server, &["--organization", "acme"]);
        assert_eq!((status, error.as_str()), (0, ""), "{server}");
        let found: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&found["allow"], &found["calls"]), (&json!(30), &json!(30)), "{server}");
    }
    let (status, _, error) = ask(&address, &[]);
    assert!(status == 2 && error.contains("`--organization`"), "{error}");
}

#[test]
fn an_open_loop_sends_what_is_due() {
    let (files, _serving, address) = served();
    let (status, found, error) = bench(&files, &address, &["--rate", "500", "--calls", "100", "--threads", "3"]);
    assert_eq!((status, error.as_str()), (0, ""));
    assert_eq!((&found["calls"], &found["rate"], &found["never_sent"]), (&json!(100), &json!(500), &json!(0)));
    // On a machine with too much to do some may not be sent, and then it says so.
    let (status, found, error) = bench(&files, &address, &["--rate", "300", "--duration", "500ms"]);
    assert_eq!((status, error.as_str()), (0, ""));
    let [sent, never_sent, calls] = ["sent", "never_sent", "calls"].map(|name| found[name].as_u64().unwrap());
    assert!(sent > 0 && sent + never_sent == 150 && calls == sent, "{found}");
}

#[test]
fn what_cannot_be_asked_is_said_before_anything_is() {
    let (files, _serving, address) = served();
    let refused = |more: &[&str], said: &str| {
        let (status, out, error) = files.run(&[&["bench", "--server", &address], more].concat());
        assert_eq!((status, out.as_str()), (2, ""), "{more:?}");
        assert!(error.contains(said), "{more:?}: {error}");
    };
    let asked = "questions.yaml";
    for count in ["--rate", "--connections", "--in-flight", "--threads", "--calls", "--batch"] {
        refused(&[count, "0", asked], "0 is not in 1..");
    }
    refused(&["--duration", "0s", asked], "in no time nothing is asked");
    refused(&["--duration", "soon", asked], "`soon` is no duration");
    refused(&["--duration", "1s", "--calls", "1", asked], "cannot be used with");
    refused(&["--batch", "10", asked], "`--batch` is for `--method batch`");
    refused(&["--threads", "5", asked], "5 threads want as many connections, not 4");
    refused(&["--in-flight", "3", asked], "4 connections want as many calls in flight, not 3");
    refused(&["--connections", "1", "--in-flight", "1025", asked], "1024 calls at a time on a connection");
    refused(&["nowhere.yaml"], "nowhere.yaml: No such file");
    files.write("empty.yaml", "organization: acme\ncases: []\n");
    refused(&["empty.yaml"], "empty.yaml: there is no question");
    refused(&["--organization", "globe", asked], "NOT_FOUND: unknown organization `globe`");
    refused(&["--organization", "globe", "--method", "batch", asked], "NOT_FOUND: unknown organization `globe`");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (status, _, error) = files.run(&["bench", "--server", &closed.to_string(), asked]);
    assert!(status == 2 && error.contains(&format!("cannot reach `{closed}`: Connection refused")), "{error}");
    let (status, _, error) = files.run(&["bench", "--server", "https://localhost:1", asked]);
    assert!(status == 2 && error.contains("there is no TLS"), "{error}");
    let (status, _, error) = files.run(&["bench", asked]);
    assert!(status == 2 && error.contains("`--server`"), "{error}");
}

#[test]
fn who_is_not_known_to_the_server_is_told_so() {
    let files = Files::new();
    files.write("questions.yaml", QUESTIONS);
    let (_serving, address) = Serving::with(&files, &["--data", "data"]);
    let token = files.path("data").join("admin.token").display().to_string();
    let (status, _, error) = files.run(&["apply", "--server", &address, "--token-file", &token, "acme.yaml"]);
    assert_eq!(status, 0, "{error}");
    let (status, found, error) =
        bench(&files, &address, &["--token-file", &token, "--calls", "5", "--pick", "in-turn"]);
    assert_eq!((status, &found["allow"]), (0, &json!(1)), "{error}");
    for more in [&[][..], &["--token-file", "acme.yaml"], &["--method", "batch"]] {
        let (status, found, error) = bench(&files, &address, &[&["--calls", "5"], more].concat());
        assert_eq!((status, found), (2, Value::Null), "{more:?}");
        let said = if more.len() > 1 && more[0] == "--token-file" { "this is no token" } else { "UNAUTHENTICATED" };
        assert!(error.contains(said), "{more:?}: {error}");
    }
    let wrong = files.write("wrong.token", "dw_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    let (status, _, error) = bench(&files, &address, &["--token-file", &wrong, "--calls", "5"]);
    assert!(status == 2 && error.contains("the server answered UNAUTHENTICATED"), "{error}");
}

/// How a server of the test's own answers a call.
#[derive(Clone, Copy)]
enum Answer {
    Allow,
    /// Allows, after so long.
    Slowly(Duration),
    /// Resets the call.
    Reset,
    /// Is no gRPC.
    Gateway,
    /// Closes the connection.
    Close,
}

/// A server that answers each call by its number. The first one is that which `bench` sends before it begins. The
/// numbers of the calls are told as they come.
struct Odd {
    address: String,
    calls: mpsc::UnboundedReceiver<u64>,
    _runtime: tokio::runtime::Runtime,
}

impl Odd {
    fn serving(answer: fn(u64) -> Answer) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (told, calls) = mpsc::unbounded_channel();
        let number = Arc::new(AtomicU64::new(0));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (told, number) = (told.clone(), Arc::clone(&number));
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        let number = number.fetch_add(1, Ordering::Relaxed);
                        let _ = told.send(number);
                        match answer(number) {
                            Answer::Close => break,
                            answer => drop(tokio::spawn(reply(request.into_body(), respond, answer))),
                        }
                    }
                });
            }
        });
        Self { address, calls, _runtime: runtime }
    }

    /// One call at a time.
    fn bench(&self, warm_up: &str, more: &[&str]) -> (i32, Value, String) {
        let files = Files::new();
        files.write("questions.yaml", QUESTIONS);
        bench_after(warm_up, &files, &self.address, &[&["--connections", "1", "--in-flight", "1"], more].concat())
    }
}

async fn reply(mut asked: h2::RecvStream, mut respond: h2::server::SendResponse<bytes::Bytes>, answer: Answer) {
    while let Some(Ok(_)) = asked.data().await {}
    let head = |status: u16| Response::builder().status(status).body(()).unwrap();
    match answer {
        Answer::Reset => return respond.send_reset(h2::Reason::ENHANCE_YOUR_CALM),
        Answer::Gateway => return drop(respond.send_response(head(502), true)),
        Answer::Slowly(time) => tokio::time::sleep(time).await,
        Answer::Allow | Answer::Close => {}
    }
    let mut body = respond.send_response(head(200), false).unwrap();
    let (decision, reason) = (pb::Decision::Allow.into(), pb::Reason::Allowed.into());
    body.send_data(framed(&pb::AuthorizeResponse { decision, reason, ..Default::default() }), false).unwrap();
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
    body.send_trailers(trailers).unwrap();
}

#[test]
fn a_server_that_goes_away_midway_ends_it_and_what_was_counted_is_told() {
    let odd = Odd::serving(|call| if call == 6 { Answer::Close } else { Answer::Allow });
    let (status, found, error) = odd.bench("0", &[]);
    assert_eq!(status, 1, "{error}");
    assert_eq!((&found["calls"], &found["allow"], &found["sent"]), (&json!(5), &json!(5), &json!(6)), "{found}");
    assert!(found["broken"].as_str().unwrap().starts_with("the server went away"), "{found}");
    assert!(
        error.starts_with("broken off after ") && error.contains("1 calls unanswered: the server went away"),
        "{error}"
    );
    // While warming up, and before anything.
    let odd = Odd::serving(|call| if call == 6 { Answer::Close } else { Answer::Allow });
    let (status, found, error) = odd.bench("100s", &[]);
    assert_eq!((status, &found["calls"]), (1, &json!(0)), "{error}");
    let odd = Odd::serving(|_| Answer::Close);
    let (status, found, error) = odd.bench("0", &[]);
    assert_eq!((status, found), (2, Value::Null), "{error}");
    assert!(error.contains("cannot reach"), "{error}");
}

#[test]
fn a_call_that_fails_is_counted_by_its_code_and_ends_nothing() {
    let odd = Odd::serving(|call| match call {
        3 => Answer::Reset,
        4 | 5 => Answer::Gateway,
        _ => Answer::Allow,
    });
    let (status, found, error) = odd.bench("0", &["--calls", "10"]);
    assert_eq!((status, error.as_str()), (0, ""));
    assert_eq!((&found["calls"], &found["allow"], &found["decisions"]), (&json!(10), &json!(7), &json!(7)));
    assert_eq!(found["errors"], json!({"RESOURCE_EXHAUSTED": 1, "UNKNOWN": 2}));
    let odd = Odd::serving(|_| Answer::Gateway);
    let (status, _, error) = odd.bench("0", &["--calls", "10"]);
    assert!(status == 2 && error.contains("HTTP status 502"), "{error}");
}

#[test]
fn in_an_open_loop_an_answer_that_is_late_makes_the_calls_behind_it_late() {
    // The first call that counts takes 300 ms; in the meantime 19 others are due, 10 ms apart.
    let slow = |call| if call == 1 { Answer::Slowly(Duration::from_millis(300)) } else { Answer::Allow };
    let odd = Odd::serving(slow);
    let (status, found, error) = odd.bench("0", &["--rate", "100", "--calls", "20"]);
    assert_eq!((status, &found["calls"]), (0, &json!(20)), "{error}");
    assert!(found["latency_us"]["p50"].as_f64().unwrap() >= 190_000.0, "{found}");
    assert!(found["sent_late"].as_u64().unwrap() >= 19 && found["latest_us"].as_f64().unwrap() >= 280_000.0, "{found}");
    assert_eq!(found["never_sent"], 0);
    // And what could not be sent in time is never sent.
    let odd = Odd::serving(slow);
    let (status, found, error) = odd.bench("0", &["--rate", "100", "--duration", "200ms"]);
    assert_eq!((status, &found["calls"], &found["never_sent"]), (0, &json!(1), &json!(19)), "{error}");
}

#[test]
fn interrupted_it_tells_what_was_counted() {
    let files = Files::new();
    files.write("questions.yaml", QUESTIONS);
    let mut odd = Odd::serving(|_| Answer::Allow);
    let args = ["bench", "--server", &odd.address, "--warm-up", "0", "--duration", "600s", "--json", "questions.yaml"];
    let mut command = doorward(&files.path(""));
    let child = command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while odd.calls.blocking_recv().unwrap() < 1_000 {}
    let kill = format!("kill -INT {}", child.id());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["broken"], "interrupted");
    assert!(found["calls"].as_u64().unwrap() > 0, "{found}");
}
