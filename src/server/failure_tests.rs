//! A process whose disk does not confirm a write ends, and has acknowledged nothing. The test starts itself as that
//! process.

use std::process::{Command, Stdio};

use super::*;

const DIRECTORY: &str = "DOORWARD_TEST_UNSYNCED_STORE";

/// The child. A test by itself only because that is how it is started.
#[tokio::test]
async fn child_whose_disk_confirms_nothing() {
    let Ok(directory) = std::env::var(DIRECTORY) else {
        return;
    };
    let _telemetry = Telemetry::start("info", crate::config::LogFormat::Json).unwrap();
    let store = SledStore::open(&directory, Options::default()).unwrap().never_synced();
    let engine = Engine::open(Arc::new(store), Arc::new(SystemClock), end_the_process).unwrap();
    eprintln!("opened");
    let answer = auth::first_token(&engine, &Path::new(&directory).join("token")).await;
    eprintln!("answered: {answer:?}");
}

#[test]
fn a_write_that_the_disk_does_not_confirm_ends_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "server::failure_tests::child_whose_disk_confirms_nothing"])
        .env(DIRECTORY, dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(70), "{said}");
    assert!(said.contains("opened"), "{said}");
    assert!(!said.contains("answered"), "nobody takes the end for an answer: {said}");
    let line = said.lines().find(|line| line.contains("a write failed")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("ERROR") && line.contains("could not sync"), "{line}");
    // What is true is seen by the next start: it opens, and takes writes.
    let store = SledStore::open(dir.path(), Options::default()).unwrap();
    store.writable().unwrap();
}
