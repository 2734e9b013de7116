//! What is not part of a machine with Rust: said to be missing, or run as a process.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value as Json;

/// Says that a part is left out, past what the test harness captures; with `DOORWARD_REQUIRE_ALL=1` it fails.
pub fn skipped<T>(part: &str, why: &str) -> Option<T> {
    let required = std::env::var("DOORWARD_REQUIRE_ALL").is_ok_and(|all| all == "1");
    assert!(!required, "{part} is required: {why}");
    drop(writeln!(std::io::stderr(), "SKIPPED: {part}: {why}"));
    None
}

/// A process that answers each line of JSON with one.
pub struct Script {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Script {
    /// That said `ready`; otherwise what it said instead.
    pub fn start(command: &mut Command) -> Result<Self, String> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|error| error.to_string())?;
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut script = Self { child, input, output };
        match script.line().as_str() {
            Some("ready") => Ok(script),
            said => Err(said.unwrap_or("it ended").to_owned()),
        }
    }

    pub fn ask(&mut self, request: &Json) -> Json {
        writeln!(self.input.as_mut().unwrap(), "{request}").unwrap();
        let answer = self.line();
        assert!(!answer.is_null() && answer["failed"].is_null(), "{answer}\n{request:#}");
        answer
    }

    /// Null where there is none.
    fn line(&mut self) -> Json {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or(Json::Null)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.input.take()); // at the end of its input it ends
        drop(self.child.wait());
    }
}
