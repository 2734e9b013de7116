//! Explanations held against the decision, the rows and the oracle, over random organizations.

use std::collections::{BTreeMap, BTreeSet};

use doorward::core::decision::{Reason, decide};
use doorward::core::explain::{Explanation, Path, Said, Source, explain};
use doorward::core::id::Id;
use doorward::core::model::{Effect, Enforcement, Member, Row};
use doorward::core::table::Table;
use fastrand::Rng;

use crate::ask::{activated, question, sent};
use crate::generate;
use crate::oracle::{Oracle, PolicyOutcome};
use crate::support::{rows, table};

fn worlds() -> u64 {
    std::env::var("DOORWARD_PROPERTY_ORGANIZATIONS").map_or(200, |n| n.parse().unwrap())
}
const QUESTIONS: usize = 100;
const PATHS: usize = 20;

/// What the rows say, looked up the plain way.
struct Facts {
    /// (member, group): direct, dynamic and system memberships.
    memberships: BTreeSet<(Member, Member)>,
    rows: Vec<Row>,
}

impl Facts {
    fn of(table: &Table) -> Self {
        let mut rows: Vec<Row> = table.rows().collect();
        rows.extend(table.edge_rows());
        let groups = table.list_groups(None, 1_000).items;
        let memberships = groups.iter().flat_map(|group| {
            let members = table.members_of(&group.id).unwrap().collect::<Vec<_>>();
            members.into_iter().map(|member| (member, Member::Group(group.id.clone())))
        });
        Self { memberships: memberships.collect(), rows }
    }

    /// Whether the path is one: every step a direct membership, the last one holds the source.
    fn check(&self, path: &Path) -> Result<(), String> {
        for pair in path.members.windows(2) {
            if !self.memberships.contains(&(pair[0].clone(), pair[1].clone())) {
                return Err(format!("{} is no direct member of {}", pair[0], pair[1]));
            }
        }
        let last = path.members.last().ok_or("nobody")?;
        let held = match &path.source {
            Source::Assignment(row) => row.member == *last && self.has(&Row::Assignment(row.clone())),
            // No row says so.
            Source::ByRule(row) => {
                row.member == *last && path.members.len() == 1 && ["org", "default-user"].contains(&row.role.as_str())
            }
            Source::Grant(row) => row.member == *last && self.has(&Row::Grant(row.clone())),
            Source::Activation(row) => {
                Member::User(row.user.clone()) == *last
                    && path.members.len() == 1
                    && self.has(&Row::Activation(row.clone()))
            }
            Source::AutoShare { relation, .. } | Source::Relation(relation) => {
                relation.member == *last && self.has(&Row::Related(relation.clone()))
            }
            Source::Policy(_) => true,
        };
        if held { Ok(()) } else { Err(format!("{last} does not hold {:?}", path.source)) }
    }

    fn has(&self, row: &Row) -> bool {
        self.rows.contains(row)
    }
}

/// The role that a path leads to.
fn role(path: &Path) -> Option<&Id> {
    match &path.source {
        Source::Assignment(row) | Source::ByRule(row) => Some(&row.role),
        Source::AutoShare { role, .. } => Some(role),
        Source::Activation(row) => Some(&row.role),
        Source::Grant(_) | Source::Relation(_) | Source::Policy(_) => None,
    }
}

fn outcomes(explanation: &Explanation) -> Vec<PolicyOutcome> {
    let said = explanation.policies.iter().filter(|p| p.said != Said::Suspended);
    let outcome = |p: &doorward::core::explain::PolicySaid| PolicyOutcome {
        policy: p.policy.to_string(),
        restricts: p.effect == Effect::Restrict,
        holds: match p.said {
            Said::Matched => Some(true),
            Said::NotMatched => Some(false),
            Said::Error | Said::Suspended => None,
        },
    };
    said.map(outcome).collect()
}

#[test]
fn m4_11_an_explanation_is_the_decision_and_its_proof() {
    let mut seen: BTreeMap<(Reason, bool), usize> = BTreeMap::new();
    let (mut suspended, mut misses, mut separated, mut activations) = (0, 0, 0, 0);
    for seed in 0..worlds() {
        let mut rng = Rng::with_seed(seed ^ 0x4B11);
        let world = generate::world(&mut rng);
        let oracle = Oracle::with_conditions(&world.file, &world.conditions).activated(&world.file, &world.activations);
        let without_flags = generate::all_flags_on(&world.file);
        let everyone =
            Oracle::with_conditions(&without_flags, &world.conditions).activated(&world.file, &world.activations);
        let table = activated(&table(&world.file), &world);
        let facts = Facts::of(&table);
        assert!(!rows(&world.file).is_empty());
        for _ in 0..QUESTIONS {
            let q = generate::world_question(&mut rng, &world);
            let sent = sent(&q);
            let asked = question(&q, &sent);
            let decided = decide(&table, &asked, q.now_ms);
            let explained = explain(&table, &asked, q.now_ms, PATHS);
            let context = || format!("seed {seed}: {q:#?}\n{explained:#?}\n{:#}", world.file);
            let (decided, e) = match (&decided, &explained) {
                (Err(decided), Err(explained)) => {
                    assert_eq!(decided, explained, "{}", context());
                    continue;
                }
                (Ok(decided), Ok(explained)) => (*decided, explained),
                _ => panic!("one is an error: {decided:?}; {}", context()),
            };
            assert_eq!(e.reason, decided, "{}", context());
            let passed = matches!(
                decided,
                Reason::Allowed | Reason::NotVisible | Reason::Restricted | Reason::NotApprover | Reason::InvitePolicy
            );
            assert_eq!(!e.paths.is_empty(), passed, "{}", context());
            assert!(e.paths.len() <= PATHS && e.misses.len() <= PATHS);
            assert!(e.paths.is_sorted_by_key(|p| p.members.len()), "{}", context());
            let principal = e.principal.clone().unwrap();
            for path in e.paths.iter().chain(&e.shown_by).chain(&e.approver_by) {
                assert_eq!(path.members[0], principal, "{}", context());
                facts.check(path).unwrap_or_else(|wrong| panic!("{wrong}; {}", context()));
            }
            activations += e.paths.iter().filter(|p| matches!(p.source, Source::Activation(_))).count();
            for (n, path) in e.paths.iter().enumerate() {
                assert!(!e.paths[..n].contains(path), "twice: {path:?}; {}", context());
                assert!(path.pattern.is_some(), "{}", context());
            }
            for miss in &e.misses {
                facts.check(&miss.path).unwrap_or_else(|wrong| panic!("{wrong}; {}", context()));
                assert!(!miss.lacks.is_empty() && !e.paths.contains(&miss.path), "{}", context());
            }
            let visibility = table.permission(&q.permission).is_some_and(|p| p.requires_visibility);
            if passed && visibility && q.record.is_some() {
                let mut expected = oracle.policies(&q);
                expected.sort_by(|a, b| a.policy.cmp(&b.policy));
                assert_eq!(outcomes(e), expected, "{}", context());
                // What is suspended is what the flags alone keep out.
                let known: BTreeSet<String> = expected.into_iter().map(|p| p.policy).collect();
                let all: BTreeSet<String> = everyone.policies(&q).into_iter().map(|p| p.policy).collect();
                let said = e.policies.iter().filter(|p| p.said == Said::Suspended);
                let said: BTreeSet<String> = said.map(|p| p.policy.to_string()).collect();
                assert_eq!(said, all.difference(&known).cloned().collect(), "{}", context());
                suspended += said.len();
                let shown = !e.shown_by.is_empty()
                    || e.policies.iter().any(|p| p.effect == Effect::Allow && p.said == Said::Matched);
                assert_eq!(shown, decided != Reason::NotVisible, "{}", context());
                let hidden = |said: Said| matches!(said, Said::Matched | Said::Error);
                let hides = e.policies.iter().any(|p| p.effect == Effect::Restrict && hidden(p.said));
                assert_eq!(shown && hides, decided == Reason::Restricted, "{}", context());
                for p in &e.policies {
                    assert!(p.members[0] == principal && !p.detail.is_empty(), "{}", context());
                }
            } else {
                assert!(e.policies.is_empty() && e.shown_by.is_empty(), "{}", context());
            }
            let approver = table.permission(&q.permission).is_some_and(|p| p.requires_approver);
            if passed && approver && q.record.is_some() && decided != Reason::NotVisible {
                let approves = matches!(decided, Reason::Allowed | Reason::Restricted);
                assert!(decided == Reason::Restricted || e.approver_by.is_empty() != approves, "{}", context());
            }
            let void = decided == Reason::SeparationOfDuties;
            assert!(!void || !e.separated.is_empty() && !e.misses.is_empty(), "{}", context());
            for (constraint, paths) in &e.separated {
                let row = table.separation_row(constraint).unwrap();
                assert!(row.enforcement == Enforcement::Deny && paths.len() > row.max as usize, "{}", context());
                let roles: BTreeSet<&Id> = paths.iter().map(|path| role(path).unwrap()).collect();
                assert_eq!(roles.len(), paths.len(), "{}", context());
                assert!(roles.iter().all(|role| row.roles.contains(role)), "{}", context());
                activations += paths.iter().filter(|p| matches!(p.source, Source::Activation(_))).count();
                for path in paths {
                    assert_eq!(path.members[0], principal, "{}", context());
                    facts.check(path).unwrap_or_else(|wrong| panic!("{wrong}; {}", context()));
                }
            }
            separated += e.separated.len();
            misses += usize::from(!e.misses.is_empty());
            *seen.entry((decided, !e.misses.is_empty())).or_default() += 1;
        }
    }
    println!("{seen:?}, {suspended} suspended policies, {misses} with near misses, {separated} constraints");
    println!("{activations} paths by activations");
    assert!(suspended > 0 && misses > 0 && separated > 0 && activations > 0);
    assert_eq!(seen.keys().map(|(reason, _)| reason).collect::<BTreeSet<_>>().len(), 13, "{seen:?}");
}
