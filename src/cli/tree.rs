//! An explanation as a tree, for a person: who, what, where, the answer, and what led to it.

use crate::service::proto::{
    AccessPath, ChangeStep, Decision, ExplainResponse, PolicyEffect, PolicyOutcome, PolicyResult,
};
use crate::service::source;

/// A line and what hangs on it.
#[derive(Default)]
struct Tree {
    label: String,
    below: Vec<Tree>,
}

impl Tree {
    /// Hangs a chain of lines below; what begins alike is one branch.
    fn hang(&mut self, mut chain: impl Iterator<Item = String>) {
        let Some(label) = chain.next() else { return };
        match self.below.iter_mut().find(|tree| tree.label == label) {
            Some(tree) => tree.hang(chain),
            None => {
                let mut tree = Self { label, below: Vec::new() };
                tree.hang(chain);
                self.below.push(tree);
            }
        }
    }

    fn write(&self, prefix: &str, lines: &mut Vec<String>) {
        for (n, tree) in self.below.iter().enumerate() {
            let last = n + 1 == self.below.len();
            let (branch, beside) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            lines.push(format!("{prefix}{branch}{}", tree.label));
            tree.write(&format!("{prefix}{beside}"), lines);
        }
    }
}

/// The explanation, without a newline at its end.
pub fn explanation(of: &ExplainResponse) -> String {
    let answer = if of.decision() == Decision::Allow { "allow" } else { "deny" };
    let reason = of.reason().as_str_name().trim_start_matches("REASON_");
    let mut lines = vec![format!("{answer} ({reason}, rule {})", of.rule), of.summary.clone()];
    let given = format!("what gives `{}`", of.effective_permission);
    section(&given, of.paths.iter().map(path), &mut lines);
    section("what shows the record", of.shown_by.iter().map(path), &mut lines);
    section("by what it approves the record", of.approver_by.iter().map(path), &mut lines);
    section("data-access policies", of.policies.iter().map(policy), &mut lines);
    let misses = of.near_misses.iter().map(|miss| {
        let mut chain = miss.path.as_ref().map(path).unwrap_or_default();
        chain.push(format!("✗ {}", miss.lacks));
        chain
    });
    section("what would have allowed it, but for one thing", misses, &mut lines);
    let changes = of.smallest_changes.iter().map(|change| {
        let step = |(n, step): (usize, &ChangeStep)| match n {
            0 => step.text.clone(),
            _ => format!("and {}", step.text),
        };
        change.steps.iter().enumerate().map(step).collect()
    });
    section("To allow", changes, &mut lines);
    if of.paths_truncated {
        lines.push("(there is more than is shown)".to_owned());
    }
    lines.join("\n")
}

/// Moves a text to the right.
pub fn indented(text: &str, by: usize) -> String {
    let space = " ".repeat(by);
    let line = |line: &str| if line.is_empty() { String::new() } else { format!("{space}{line}") };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn section(title: &str, chains: impl Iterator<Item = Vec<String>>, lines: &mut Vec<String>) {
    let mut tree = Tree::default();
    chains.for_each(|chain| tree.hang(chain.into_iter()));
    if !tree.below.is_empty() {
        lines.push(String::new());
        lines.push(format!("{title}:"));
        tree.write("  ", lines);
    }
}

fn path(of: &AccessPath) -> Vec<String> {
    let mut chain = of.members.clone();
    let covers = if of.pattern.is_empty() { String::new() } else { format!(" → `{}`", of.pattern) };
    chain.push(format!("{}{covers}", source(of)));
    chain
}

fn policy(of: &PolicyOutcome) -> Vec<String> {
    let said = match (of.effect(), of.result()) {
        (_, PolicyResult::Suspended) => "is suspended",
        (PolicyEffect::Allow, PolicyResult::Matched) => "shows the record",
        (PolicyEffect::Allow, PolicyResult::NotMatched) => "does not show the record",
        (PolicyEffect::Allow, PolicyResult::Error) => "could not be answered, so it does not show the record",
        (PolicyEffect::Restrict, PolicyResult::Matched) => "hides the record",
        (PolicyEffect::Restrict, PolicyResult::NotMatched) => "does not hide the record",
        (PolicyEffect::Restrict, PolicyResult::Error) => "could not be answered, so it hides the record",
        _ => "said nothing that this version knows",
    };
    let effect = match of.effect() {
        PolicyEffect::Allow => "allow",
        PolicyEffect::Restrict => "restrict",
        PolicyEffect::Unspecified => "of unknown effect",
    };
    vec![format!("`{}` ({effect}, for {}) {said}", of.policy, of.members.join(" in ")), of.detail.clone()]
}
