//! The whole way on real access data: `doorward apply` to a server on sled, and then every user's
//! every permission, allowed and denied, compared with the published matrix.
//!
//! Not part of `cargo test`; run with `cargo test --release --test real [-- --quick] [NAME …]`. Prints
//! a line a check and exits with status 1 if one failed. Without the data (`../shared/data`, or
//! `DOORWARD_REAL_DATA`) there is nothing to check: it says so and exits with 0. `--quick` leaves out the
//! idle minute before memory is read.
//!
//! Nothing is taken from the library but the generated client: what is under test runs as the built
//! binary, another process.
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench may fail loudly"
)]

mod matrix;
#[path = "../bench/measure.rs"]
mod measure;
mod server;
mod verify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use matrix::{Expected, Known, OBJECT};
use server::{Server, doorward};
use verify::{Place, Verifier};

/// What operators are promised for `customer`; printed beside what was measured, never asserted.
const WANTED_APPLY: Duration = Duration::from_secs(2);
const WANTED_RESIDENT_MB: i64 = 60;
const IDLE: Duration = Duration::from_secs(60);
/// Users asked about after the server was killed.
const SAMPLE: usize = 200;

fn main() -> ExitCode {
    let (flags, names): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|a| a.starts_with('-'));
    let data = match matrix::data() {
        Ok(data) => data,
        Err(missing) => {
            println!("skipped: {} is not there", missing.display());
            return ExitCode::SUCCESS;
        }
    };
    let _copy = server::copy_binary();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut report = Report { quick: flags.iter().any(|f| f == "--quick"), passed: 0, failed: 0 };
    for name in matrix::MATRICES.into_iter().chain([matrix::CLOUD]) {
        if !names.is_empty() && !names.iter().any(|n| n == name) {
            continue;
        }
        let known = if name == matrix::CLOUD { matrix::cloud(&data) } else { matrix::matrix(&data, name) };
        println!("{name}: {} users × {} permissions; {}", known.on_object.len(), known.permissions.len(), known.paths);
        let folder = tempfile::tempdir().unwrap();
        runtime.block_on(check(&known, folder.path(), &mut report));
    }
    println!("{} passed, {} failed", report.passed, report.failed);
    if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a check came to: what to print after its name.
type Checked = Result<String, String>;

struct Report {
    quick: bool,
    passed: usize,
    failed: usize,
}

impl Report {
    fn check(&mut self, name: &str, what: &str, checked: Checked) -> bool {
        let (word, text) = match &checked {
            Ok(text) => ("ok    ", text),
            Err(text) => ("FAILED", text),
        };
        println!("{word} {name}: {what}: {text}");
        *(if checked.is_ok() { &mut self.passed } else { &mut self.failed }) += 1;
        checked.is_ok()
    }
}

/// Every check on one organization.
async fn check(known: &Known, folder: &Path, report: &mut Report) {
    let name = known.id.as_str();
    let file = folder.join("organization.json");
    std::fs::write(&file, known.file.to_string()).unwrap();
    let (checked, cases) = offline(known, folder, &file);
    report.check(name, "offline, `test --org`", checked);
    if name == matrix::MATRICES[0] {
        report.check(name, "offline, a wrong case is told", spoiled(&cases, folder, &file));
    }

    let mut server = match Server::start(folder) {
        Ok(server) => server,
        Err(error) => {
            report.check(name, "serve", Err(error));
            return;
        }
    };
    if !report.check(name, "apply", timed_apply(known, &server, &file, report.quick).await) {
        return println!("{}", server.log());
    }
    let everyone: Vec<&String> = known.on_object.keys().collect();
    online(known, &server, &everyone, "over gRPC", report).await;
    if name == matrix::MATRICES[0] {
        report.check(name, "over gRPC, a wrong matrix is told", wrong(known, &server).await);
    }
    report.check(name, "export, then apply", round_trip(known, &server, folder));

    report.check(name, "stopped by SIGTERM", server.terminate().await);
    for (what, kill) in [("after a restart", false), ("after kill -9", true)] {
        if kill {
            server.kill();
        }
        let started = Instant::now();
        server = match Server::start(folder) {
            Ok(server) => server,
            Err(error) => {
                report.check(name, &format!("serve {what}"), Err(error));
                return;
            }
        };
        println!(
            "       {name}: serving {what} in {} ms, {} MB resident",
            started.elapsed().as_millis(),
            server.resident_mb()
        );
        let step = if kill { everyone.len().div_ceil(SAMPLE) } else { 1 };
        let users: Vec<&String> = everyone.iter().copied().step_by(step).collect();
        online(known, &server, &users, what, report).await;
    }
    server.kill();
}

async fn online(known: &Known, server: &Server, users: &[&String], when: &str, report: &mut Report) {
    let name = known.id.as_str();
    let verifier = match Verifier::connect(server, name, &known.permissions).await {
        Ok(verifier) => verifier,
        Err(error) => {
            report.check(name, when, Err(error));
            return;
        }
    };
    let mut places = vec![(Place::Object, &known.on_object)];
    if known.on_organization != known.on_object {
        places.push((Place::Organization, &known.on_organization));
    }
    for (place, expected) in places {
        let subset: Expected = users.iter().map(|u| ((*u).clone(), expected[*u].clone())).collect();
        let wherever = if place == Place::Object { format!("on `{OBJECT}`") } else { "on the organization".to_owned() };
        report.check(name, &format!("{when}, pair by pair {wherever}"), verifier.pairs(&subset, place).await);
        report.check(name, &format!("{when}, lists {wherever}"), verifier.lists(&subset, place).await);
    }
    println!("       {name}: {} MB resident {when}, right after the questions", server.resident_mb());
}

/// A matrix with one pair turned round: the comparison itself must tell.
async fn wrong(known: &Known, server: &Server) -> Checked {
    let verifier = Verifier::connect(server, &known.id, &known.permissions).await?;
    let (user, held) = known.on_object.iter().next().unwrap();
    let gone = held.iter().next().unwrap();
    let mut less: Expected = BTreeMap::from([(user.clone(), held.clone())]);
    less.get_mut(user).unwrap().remove(gone);
    match (verifier.pairs(&less, Place::Object).await, verifier.lists(&less, Place::Object).await) {
        (Err(pairs), Err(lists)) if pairs.contains(gone.as_str()) && lists.contains(gone.as_str()) => Ok(pairs),
        other => Err(format!("`{gone}` of `{user}` was not missed: {other:?}")),
    }
}

async fn timed_apply(known: &Known, server: &Server, file: &Path, quick: bool) -> Checked {
    let before = server.resident_mb();
    let started = Instant::now();
    let said = server.doorward("apply", &[file.to_str().unwrap()])?;
    let took = started.elapsed();
    if said.contains("unchanged") {
        return Err(said);
    }
    let mut text = format!("{:.2} s for the whole command, on disk", took.as_secs_f64());
    if known.id == "customer" {
        let met = if took <= WANTED_APPLY { "met" } else { "NOT MET" };
        text = format!("{text} (wanted ≤ {} s: {met})", WANTED_APPLY.as_secs());
        let resident = if quick {
            format!("{} MB resident at once; --quick: the idle minute is left out", server.resident_mb())
        } else {
            let at_once = server.resident_mb();
            tokio::time::sleep(IDLE).await;
            let idle = server.resident_mb();
            let met = if idle <= WANTED_RESIDENT_MB { "met" } else { "NOT MET" };
            format!(
                "{at_once} MB resident at once, {idle} MB after {} s idle (wanted ≤ {WANTED_RESIDENT_MB} MB: {met})",
                IDLE.as_secs()
            )
        };
        text = format!("{text}; {before} MB before, {resident}");
    }
    Ok(format!("{text}; {}", said.lines().last().unwrap_or_default()))
}

/// Exports, applies what was exported, and applies the file once more: nothing changes.
fn round_trip(known: &Known, server: &Server, folder: &Path) -> Checked {
    let exported = folder.join("exported.yaml");
    server.doorward("export", &["--output", exported.to_str().unwrap(), &known.id])?;
    for file in [exported, folder.join("organization.json")] {
        let said = server.doorward("apply", &[file.to_str().unwrap()])?;
        if !said.contains("unchanged") {
            return Err(format!("{}: {said}", file.display()));
        }
    }
    let size = std::fs::metadata(folder.join("exported.yaml")).map_or(0, |m| m.len());
    Ok(format!("unchanged ({size} bytes)"))
}

/// A `permissions` case a user, and where it differs another at the organization.
fn offline(known: &Known, folder: &Path, file: &Path) -> (Checked, Value) {
    let case = |(user, held): (&String, &std::collections::BTreeSet<String>), object: Option<&str>| {
        let principal = format!("user:{user}");
        let asked =
            object.map_or_else(|| json!({"principal": principal}), |o| json!({"principal": principal, "object": o}));
        json!({"name": principal, "permissions": asked, "expect_permissions": held})
    };
    let mut cases: Vec<Value> = known.on_object.iter().map(|u| case(u, Some(OBJECT))).collect();
    cases.extend(known.on_organization.iter().map(|u| case(u, None)));
    let asked = cases.len();
    let cases = json!({"organization": known.id, "cases": cases});
    let checked = run_cases(&cases, folder, file).and_then(|said| {
        let total = format!("{asked} passed, 0 failed");
        if said.lines().last() == Some(&total) { Ok(total) } else { Err(tail(&said)) }
    });
    (checked, cases)
}

fn spoiled(cases: &Value, folder: &Path, file: &Path) -> Checked {
    let mut cases = cases.clone();
    let gone = cases["cases"][0]["expect_permissions"].as_array_mut().and_then(Vec::pop).unwrap();
    match run_cases(&cases, folder, file) {
        Err(said) if said.contains("exit status: 1") && said.contains(gone.as_str().unwrap()) => {
            Ok(format!("{gone} too many"))
        }
        other => Err(format!("{gone} was not missed: {other:?}")),
    }
}

fn run_cases(cases: &Value, folder: &Path, file: &Path) -> Checked {
    let path: PathBuf = folder.join("cases.json");
    std::fs::write(&path, cases.to_string()).unwrap();
    doorward(&["test", "--org", file.to_str().unwrap(), path.to_str().unwrap()])
}

/// The end of what a program said.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
