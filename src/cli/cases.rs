//! `doorward test`: asks the cases of decision-test files, offline or of a running server, and
//! prints those that came out differently.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::file::{Case, CaseFile, CaseRecord, Expected, Question};
use super::judge::{Given, Judge};
use super::remote::ServerArgs;
use super::{CliError, read, tree};

/// The arguments of `doorward test`.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// An organization file to ask offline; may be given several times.
    #[arg(long = "org", value_name = "FILE", conflicts_with = "server")]
    organizations: Vec<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
    /// The decision-test files.
    #[arg(required = true, value_name = "CASES")]
    cases: Vec<PathBuf>,
}

/// Whether every case came out as expected.
pub async fn test(args: TestArgs) -> Result<bool, CliError> {
    let mut judge = Judge::new(&args.organizations, &args.server).await?;
    let (mut passed, mut differ) = (0, 0);
    for path in &args.cases {
        let name = path.display().to_string();
        let file = CaseFile::parse(&read(path)?, &name)?;
        for case in &file.cases {
            let given = judge.ask(file.organization.as_str(), file.now, &case.question).await;
            let given = given.map_err(|error| in_file(&name, case, error))?;
            match difference(case, &given) {
                None => passed += 1,
                Some(difference) => {
                    differ += 1;
                    say!("{name}:{}: {}\n{difference}", case.place.line, case.name);
                    explain(&mut judge, &file, case, &given).await?;
                }
            }
        }
    }
    say!("{passed} passed, {differ} failed");
    Ok(differ == 0)
}

fn in_file(name: &str, case: &Case, error: CliError) -> CliError {
    match error {
        CliError::Usage(problem) => CliError::Usage(format!("{name}:{}: {problem}", case.place.line)),
        error => error,
    }
}

/// Why a case came out as it did: of lists, the first thing that is too much or missing.
async fn explain(judge: &mut Judge, file: &CaseFile, case: &Case, given: &Given) -> Result<(), CliError> {
    let Some(question) = in_question(&case.question, given) else { return Ok(()) };
    let explained = judge.explain(file.organization.as_str(), file.now, &question).await?;
    // An error has told what is wrong already.
    if let Ok(explained) = explained {
        say!("{}", tree::indented(&tree::explanation(&explained), 2));
    }
    Ok(())
}

/// The single decision that is to be explained.
fn in_question(question: &Question, given: &Given) -> Option<Question> {
    let (principal, account, object, context) = match question {
        Question::Authorize { .. } => return Some(question.clone()),
        Question::Permissions { principal, account, object, context, .. }
        | Question::Filter { principal, account, object, context, .. } => (principal, account, object, context),
    };
    let (permission, record) = match (question, given) {
        (Question::Permissions { record, expect, .. }, Given::Permissions(given)) => {
            let expect: BTreeSet<String> = expect.iter().cloned().collect();
            (expect.symmetric_difference(given).next()?.clone(), record.clone())
        }
        (Question::Filter { permission, records, expect, .. }, Given::Records(given)) => {
            let differs = |r: &&CaseRecord| expect.contains(&r.id) != given.contains(&r.id);
            (permission.clone()?, Some(records.iter().find(differs)?.clone()))
        }
        _ => return None,
    };
    let (principal, account, object) = (principal.clone(), account.clone(), object.clone());
    let (context, expect, reason) = (context.clone(), Expected::Allow, None);
    Some(Question::Authorize { principal, permission, account, object, record, context, expect, reason })
}

/// How a case came out differently, if it did.
pub fn difference(case: &Case, given: &Given) -> Option<String> {
    match (&case.question, given) {
        (Question::Authorize { expect, reason, .. }, given) => {
            let (answer, because, message) = match given {
                Given::Allowed => (Expected::Allow, "ALLOWED", ""),
                Given::Denied(reason) => (Expected::Deny, reason.as_str(), ""),
                Given::Error { code, message } => (Expected::Error, code.as_str(), message.as_str()),
                Given::Permissions(_) | Given::Records(_) => {
                    return Some("  a list instead of a decision".to_owned());
                }
            };
            let as_expected = answer == *expect && reason.as_ref().is_none_or(|r| r == because);
            let wanted = reason.as_ref().map_or_else(String::new, |r| format!(" ({r})"));
            let told = if message.is_empty() { String::new() } else { format!(": {message}") };
            (!as_expected)
                .then(|| format!("  expected {}{wanted}, got {} ({because}){told}", word(*expect), word(answer)))
        }
        (Question::Permissions { expect, .. }, Given::Permissions(given)) => {
            let expect: BTreeSet<String> = expect.iter().cloned().collect();
            let missing = expect.difference(given).map(String::as_str).collect();
            let more = given.difference(&expect).map(String::as_str).collect();
            lists_differ(missing, more)
        }
        (Question::Filter { expect, .. }, Given::Records(given)) => {
            let not_in = |others: &[String], all: &'_ [String]| {
                all.iter().filter(|id| !others.contains(id)).cloned().collect::<Vec<_>>()
            };
            let (missing, more) = (not_in(given, expect), not_in(expect, given));
            let texts = |all: &'_ [String]| all.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            lists_differ(missing.iter().map(String::as_str).collect(), more.iter().map(String::as_str).collect())
                .or_else(|| {
                    (expect != given).then(|| {
                        format!("  expected in the order {}, given in the order {}", texts(expect), texts(given))
                    })
                })
        }
        (Question::Permissions { .. } | Question::Filter { .. }, Given::Error { code, message }) => {
            Some(format!("  expected a list, got an error ({code}): {message}"))
        }
        _ => Some("  an answer of another kind than was asked for".to_owned()),
    }
}

fn lists_differ(missing: Vec<&str>, more: Vec<&str>) -> Option<String> {
    let mut lines = Vec::new();
    if !missing.is_empty() {
        lines.push(format!("  expected but not given: {}", missing.join(", ")));
    }
    if !more.is_empty() {
        lines.push(format!("  given but not expected: {}", more.join(", ")));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// What came of a case, for people.
pub fn show(given: &Given) -> String {
    match given {
        Given::Allowed => "allow".to_owned(),
        Given::Denied(reason) => format!("deny ({reason})"),
        Given::Error { code, message } => format!("error ({code}): {message}"),
        Given::Permissions(all) => all.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        Given::Records(ids) if ids.is_empty() => "no record".to_owned(),
        Given::Records(ids) => ids.join(", "),
    }
}

/// What a case asks, for people.
pub fn describe(case: &Case) -> String {
    let place = |object: &Option<String>, record: &Option<CaseRecord>| {
        let record = record.as_ref().map(|r| format!(", record {}", r.id)).unwrap_or_default();
        object.as_ref().map_or_else(String::new, |o| format!(" on {o}{record}"))
    };
    match &case.question {
        Question::Authorize { principal, permission, object, record, .. } => {
            format!("may {principal} do {permission}{}?", place(object, record))
        }
        Question::Permissions { principal, object, record, .. } => {
            format!("what may {principal} do{}?", place(object, record))
        }
        Question::Filter { principal, object, .. } => {
            format!("which records may {principal} see{}?", place(object, &None))
        }
    }
}

fn word(expected: Expected) -> &'static str {
    match expected {
        Expected::Allow => "allow",
        Expected::Deny => "deny",
        Expected::Error => "error",
    }
}
