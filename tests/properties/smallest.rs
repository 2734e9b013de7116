//! Rule 4.11: what is told would allow is tried, over random organizations.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward::core::change::{Change, apply_at};
use doorward::core::decision::{Context, Question, Reason, decide};
use doorward::core::explain::smallest::{MAX_STEPS, MAX_SUGGESTIONS, Step, Suggestion, smallest};
use doorward::core::lists::SuperOrganization;
use doorward::core::model::{GroupKind, Level, Permission};
use doorward::core::table::Table;
use fastrand::Rng;

use crate::ask::{activated, question, sent};
use crate::generate;
use crate::support::table;

const QUESTIONS: usize = 12;

fn worlds() -> u64 {
    std::env::var("DOORWARD_PROPERTY_ORGANIZATIONS").map_or(120, |n| n.parse().unwrap())
}

/// What a decision says once a suggestion, or some of its changes, were followed.
fn followed(
    table: &Table,
    asked: &Question<'_>,
    now: i64,
    of: &Suggestion,
    changes: Vec<Change>,
) -> Result<Reason, String> {
    let mut after = table.clone();
    if !of.undeny.is_empty() {
        let mut over = SuperOrganization::clone(table.over().unwrap());
        for element in &of.undeny {
            assert!(over.denylist.remove(element).is_some(), "{element} was not denied");
        }
        after = after.under(Some(&Arc::new(over)));
    }
    after = apply_at(&after, changes, now).map_err(|error| format!("{error:?}"))?.table;
    let authenticated_at = if of.authenticate { Some(now) } else { asked.context.authenticated_at };
    let asked = Question { context: Context { authenticated_at, ..asked.context }, ..*asked };
    Ok(decide(&after, &asked, now).unwrap())
}

fn kind(step: &Step) -> String {
    let text = format!("{step:?}");
    let cut = |c: char| !c.is_alphanumeric();
    let mut words = text.split(cut).filter(|w| !w.is_empty());
    let first = words.next().unwrap();
    match first {
        "Give" | "Take" | "Extend" => format!("{first} {}", words.find(|w| *w != "row").unwrap()),
        _ => first.to_owned(),
    }
}

/// Whether no change that is told of could help: of an unknown principal nothing is known, an invitation
/// that was revoked stays so (rule 2.2), where no permission shows a record, a policy would have to be
/// written, and without a group that it could join, no service account approves (rule 5.1).
fn is_hopeless(table: &Table, question: &Question<'_>, reason: Reason) -> bool {
    let principal = question.principal;
    let revoked = || {
        let id = principal.strip_prefix("user:").unwrap_or(principal).parse().unwrap();
        table.find_user(&id).and_then(|found| table.user(&found)).is_some_and(|user| user.status_before.is_none())
    };
    let shows = || table.catalogue().any(|(_, slot)| slot.row.requires_visibility && slot.row.level == Level::Object);
    let asked = |row: &Permission| {
        let name = question.permission;
        row.name.as_str() == name || row.aliases.iter().any(|alias| alias.as_str() == name)
    };
    let marked = |mark: fn(&Permission) -> bool| {
        question.resource.record.is_some() && table.catalogue().any(|(_, slot)| asked(&slot.row) && mark(&slot.row))
    };
    let manual = || table.list_groups(None, 1_000).items.iter().any(|group| group.kind == GroupKind::Manual);
    reason == Reason::PrincipalUnknown
        // Also of what is denied by an earlier rule: the record is asked about when that is out of the way.
        || marked(|row| row.requires_visibility) && !shows()
        || marked(|row| row.requires_approver) && principal.starts_with("service:") && !manual()
        || reason == Reason::PrincipalInactive && !principal.starts_with("service:") && revoked()
}

#[test]
fn m4_11_after_each_smallest_change_it_is_allowed() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut lengths: BTreeMap<(Reason, usize), usize> = BTreeMap::new();
    let mut without: BTreeMap<Reason, usize> = BTreeMap::new();
    let mut longest = std::time::Duration::ZERO;
    for seed in 0..worlds() {
        let mut rng = Rng::with_seed(seed ^ 0x5A11);
        let world = generate::world(&mut rng);
        let table = activated(&table(&world.file), &world);
        for _ in 0..QUESTIONS {
            let q = generate::world_question(&mut rng, &world);
            let sent = sent(&q);
            let asked = question(&q, &sent);
            let began = std::time::Instant::now();
            let told = smallest(&table, &asked, q.now_ms);
            longest = longest.max(began.elapsed());
            let context = || format!("seed {seed}: {q:#?}\n{told:#?}\n{:#}", world.file);
            let Ok(reason) = decide(&table, &asked, q.now_ms) else {
                assert!(told.is_empty(), "{}", context());
                continue;
            };
            assert!(told.len() <= MAX_SUGGESTIONS && (reason != Reason::Allowed || told.is_empty()), "{}", context());
            if reason != Reason::Allowed && told.is_empty() {
                assert!(is_hopeless(&table, &asked, reason), "{}", context());
                *without.entry(reason).or_default() += 1;
            }
            for (n, suggestion) in told.iter().enumerate() {
                assert!((1..=MAX_STEPS).contains(&suggestion.steps.len()), "{}", context());
                assert!(!told[..n].iter().any(|other| other.steps == suggestion.steps), "{}", context());
                let then = followed(&table, &asked, q.now_ms, suggestion, suggestion.changes.clone());
                assert_eq!(then, Ok(Reason::Allowed), "{suggestion:#?}; {}", context());
                // And nothing of it can be left out. Of changes of one row the last has them all.
                let written = |change: &Change| match change {
                    Change::Update { row, .. } => Some(row.key()),
                    Change::Delete { keys, .. } => keys.first().cloned(),
                    _ => None,
                };
                let again = |n: usize| {
                    let row = written(&suggestion.changes[n]);
                    row.is_some() && suggestion.changes[n + 1..].iter().any(|later| written(later) == row)
                };
                for left_out in (0..suggestion.changes.len()).filter(|n| !again(*n)) {
                    let mut fewer = suggestion.changes.clone();
                    fewer.remove(left_out);
                    let then = followed(&table, &asked, q.now_ms, suggestion, fewer);
                    assert_ne!(then, Ok(Reason::Allowed), "{left_out} of {suggestion:#?}; {}", context());
                }
                suggestion.steps.iter().for_each(|step| *kinds.entry(kind(step)).or_default() += 1);
                *lengths.entry((reason, suggestion.steps.len())).or_default() += 1;
            }
        }
    }
    println!("{kinds:#?}\n{lengths:#?}\nnothing told: {without:?}; the longest search took {longest:?}");
    assert!(kinds.len() > 14 && lengths.keys().any(|(_, steps)| *steps > 2), "{kinds:?} {lengths:?}");
}
