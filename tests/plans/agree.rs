//! Rule 6.6 as a property: over random policies, principals and records, whatever runs a plan passes exactly
//! the records that `FilterRecords` and `Authorize` do.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward::core::decision::{Question as Asked, Reason, decide};
use doorward::core::filter::{Records, filter};
use doorward::core::plan::{Filter, Plan, PlanError, plan};
use doorward::core::table::Table;
use doorward::service::{planned, proto as pb, to_timestamp, to_value};
use fastrand::Rng;

use crate::ask::{Sent, activated, question, record, sent};
use crate::backends::{Databases, Ids, Prisma, SqlAlchemy};
use crate::by_column::Sheet;
use crate::cerbos;
use crate::edges::{sharpen_record, sharpen_world};
use crate::generate::{self, World};
use crate::oracle::{self, FilterQuestion, Oracle, Question, RecordQ};
use crate::plan_run::{kept, passes, row};
use crate::stored::Stored;
use crate::streamed::{Chunk, Streamed};
use crate::support::table;

/// (policy, record) pairs to look at; more with `DOORWARD_PLANNED_PAIRS`, as `.ci/run` has it.
fn goal() -> usize {
    std::env::var("DOORWARD_PLANNED_PAIRS").map_or(4_000, |pairs| pairs.parse().unwrap())
}

/// Records of an object.
const RECORDS: usize = 60;
/// Questions about an object.
const QUESTIONS: usize = 8;

/// What `cerbos-sqlalchemy` 0.4 runs. Left out: `exists`, `all` and `lambda`, which it does not know without
/// more overrides; `duration`; and arithmetic, which it makes as doubles, where a plan's is of 64 bits.
const SQLALCHEMY: [&str; 14] =
    ["and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "in", "contains", "startsWith", "endsWith", "size"];
/// What `@cerbos/orm-prisma` 2.0 runs.
const PRISMA: [&str; 13] =
    ["and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge", "in", "contains", "startsWith", "endsWith"];

#[derive(Default)]
struct Tally {
    pairs: usize,
    records: usize,
    passed: usize,
    counts: BTreeMap<String, usize>,
}

impl Tally {
    fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    fn of(&self, what: &str) -> usize {
        self.counts.get(what).copied().unwrap_or(0)
    }
}

struct Run {
    databases: Databases,
    streamed: Streamed,
    sqlalchemy: Option<SqlAlchemy>,
    prisma: Option<Prisma>,
    tally: Tally,
}

#[test]
fn m6_6_whatever_runs_a_plan_passes_the_records_that_a_filter_does() {
    let mut databases = Databases::start();
    let prisma = Prisma::start(databases.postgres.as_mut());
    let (streamed, sqlalchemy) = (Streamed::start(), SqlAlchemy::start());
    let mut run = Run { databases, streamed, sqlalchemy, prisma, tally: Tally::default() };
    let goal = goal();
    for seed in 0.. {
        run.world(seed);
        if run.tally.pairs >= goal {
            break;
        }
        assert!((seed as usize) < goal, "{} pairs only", run.tally.pairs);
    }
    let Run { databases, streamed: _, sqlalchemy, prisma, tally } = run;
    println!("{} (policy, record) pairs; {} of {} records pass", tally.pairs, tally.passed, tally.records);
    tally.counts.iter().for_each(|(what, count)| println!("{count:>8}  {what}"));
    assert!(tally.passed * 10 > tally.records);
    for sent in ["rows", "columns"] {
        assert!(tally.of(&format!("streamed: chunks of {sent}")) * 3 > tally.records / RECORDS, "{sent}");
    }
    let conditional = tally.of("plan: conditional");
    assert!(conditional * 3 > tally.of("plan: always") + tally.of("plan: never"));
    for (runs, name, share) in [
        (true, "SQLite", 40),
        (databases.postgres.is_some(), "PostgreSQL", 90),
        (sqlalchemy.is_some(), "cerbos-sqlalchemy", 30),
        (prisma.is_some(), "@cerbos/orm-prisma", 5),
    ] {
        let ran = tally.of(&format!("{name}: conditional plans run"));
        assert!(!runs || ran * 100 >= conditional * share, "{name} ran {ran} of {conditional}");
    }
}

impl Run {
    fn world(&mut self, seed: u64) {
        let mut rng = Rng::with_seed(seed ^ 0x706c_616e);
        let mut world = generate::world(&mut rng);
        sharpen_world(&mut rng, &mut world);
        let oracle = Oracle::with_conditions(&world.file, &world.conditions).activated(&world.file, &world.activations);
        let table = Arc::new(activated(&table(&world.file), &world));
        self.streamed.publish(&table);
        let mut asked: BTreeMap<String, Vec<FilterQuestion>> = BTreeMap::new();
        for _ in 0..40 {
            let q = generate::filter_question(&mut rng, &world);
            let conditional = match planned_for(&table, &q) {
                Ok(Plan { filter: Filter::Conditional(_), .. }) => true,
                Ok(_) => false,
                Err(PlanError::Question(_)) => continue,
                Err(error) => {
                    self.tally.count(format!("no plan: {error}"));
                    continue;
                }
            };
            let questions = asked.entry(q.object.clone()).or_default();
            if questions.len() < QUESTIONS && (conditional || rng.u8(..6) == 0) {
                questions.push(q);
            }
        }
        for (object, questions) in asked.into_iter().filter(|(_, questions)| !questions.is_empty()) {
            let records = records(&mut rng, &world, &table, &object, &questions);
            let stored = Stored::of(&world.file, &object, &records);
            // Names that differ by case alone are many in these worlds, and are no table of SQLite's.
            if stored.has_twins() && rng.u8(..5) > 0 {
                continue;
            }
            self.databases.load(&stored);
            let in_sqlite = self.sqlalchemy.as_mut().is_some_and(|sqlalchemy| sqlalchemy.load(&stored));
            if let (Some(prisma), Some(postgres)) = (&mut self.prisma, &mut self.databases.postgres) {
                prisma.load(postgres, &stored);
            }
            for q in questions {
                let q = FilterQuestion { records: records.clone(), ..q };
                let context = || format!("seed {seed}: {q:#?}\n{:#}", world.file);
                self.question(&mut rng, &world, &oracle, &table, &q, in_sqlite, &context);
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn question(
        &mut self,
        rng: &mut Rng,
        world: &World,
        oracle: &Oracle,
        table: &Table,
        q: &FilterQuestion,
        in_sqlite: bool,
        context: &dyn Fn() -> String,
    ) {
        let plan = planned_for(table, q).unwrap();
        let expected = filtered(table, q, &q.records);
        let same = |who: &str, got: &Ids| {
            assert_eq!(*got, expected, "{who}: {:#?}\n{}", plan.filter, context());
        };
        // Authorize, the oracle, columns, and the evaluator of the tests.
        if q.permission.is_some() {
            same("Authorize", &ids(q.records.iter().filter(|record| authorized(table, &q.on(record)))));
        }
        same("the oracle", &ids(oracle.filter(q).unwrap().into_iter().map(|at| &q.records[at])));
        by_column(rng, table, q, context);
        same("the evaluator", &ids(q.records.iter().filter(|record| admits(&plan.filter, record))));
        self.streamed(rng, table, q, &expected, context);
        // The databases.
        let kind = match &plan.filter {
            Filter::Always => "always",
            Filter::Never(_) => "never",
            Filter::Conditional(_) => "conditional",
        };
        self.tally.count(format!("plan: {kind}"));
        for (name, answer) in self.databases.ask(&plan.filter) {
            match answer {
                Ok(got) => {
                    same(name, &got);
                    self.tally.count(format!("{name}: {kind} plans run"));
                }
                Err(error) => self.tally.count(format!("{name}: {error}")),
            }
        }
        // The adapters.
        if let Some(sqlalchemy) = self.sqlalchemy.as_mut().filter(|_| in_sqlite) {
            let asked = |reply: &_| sqlalchemy.ask(reply);
            let reply = sent_to(table, q, &SQLALCHEMY);
            adapted(&mut self.tally, "cerbos-sqlalchemy", kind, reply, cerbos::sqlalchemy_differs, asked, &same);
        }
        if let Some(prisma) = &mut self.prisma {
            let asked = |reply: &_| prisma.ask(reply);
            let reply = sent_to(table, q, &PRISMA);
            adapted(&mut self.tally, "@cerbos/orm-prisma", kind, reply, cerbos::prisma_differs, asked, &same);
        }
        let refused = matches!(plan.filter, Filter::Never(reason) if reason != Reason::Allowed);
        if asks_policies(&world.file, q) && !refused {
            self.tally.pairs += oracle.policies(&q.on(&q.records[0])).len() * q.records.len();
        }
        self.tally.records += q.records.len();
        self.tally.passed += expected.len();
    }

    /// The records in chunks of all sizes, as rows and by column, over the wire. Columns lose what they cannot
    /// hold, so each chunk is compared for itself.
    fn streamed(
        &mut self,
        rng: &mut Rng,
        table: &Table,
        q: &FilterQuestion,
        expected: &Ids,
        context: &dyn Fn() -> String,
    ) {
        let mut rest = q.records.clone();
        let (mut chunks, mut told) = (Vec::new(), Vec::new());
        while !rest.is_empty() {
            let after = rest.split_off(rng.usize(1..=rest.len()));
            let (chunk, passing) = if rng.bool() {
                self.tally.count("streamed: chunks of rows");
                let passing = ids(rest.iter().filter(|record| expected.contains(&record.id)));
                (Chunk::Rows(rest.iter().map(message).collect()), passing)
            } else {
                self.tally.count("streamed: chunks of columns");
                let sheet = Sheet::of(&mut rest, rng);
                (Chunk::Columns(Box::new(sheet.message())), filtered(table, q, &rest))
            };
            chunks.push(chunk);
            told.push((std::mem::replace(&mut rest, after), passing));
        }
        let pb::PlanRecordsRequest { organization, principal, permission, account, object, context: sent, .. } =
            request(q, &[]);
        let query = pb::FilterQuery {
            organization,
            principal,
            permission,
            account,
            object,
            context: sent,
            ..Default::default()
        };
        for (positions, (records, passing)) in self.streamed.ask(q.now_ms, query, chunks).into_iter().zip(told) {
            let passed = ids(positions.into_iter().map(|at| &records[at as usize]));
            assert_eq!(passed, passing, "a stream: {records:#?}\n{}", context());
        }
    }
}

/// A record on the wire.
fn message(record: &RecordQ) -> pb::Record {
    let value = |value| to_value(crate::ask::to_value(value));
    pb::Record {
        id: record.id.clone(),
        owner: record.owner.clone().unwrap_or_default(),
        account: record.account.clone().unwrap_or_default(),
        attributes: record.attributes.iter().map(|(name, sent)| (name.clone(), value(sent))).collect(),
    }
}

/// What an adapter does with the plan, unless it is known not to do right.
fn adapted(
    tally: &mut Tally,
    name: &str,
    kind: &str,
    reply: Option<pb::PlanRecordsResponse>,
    left_out: impl Fn(&pb::PlanOperand) -> Option<&'static str>,
    mut ask: impl FnMut(&serde_json::Value) -> Result<Ids, String>,
    same: &dyn Fn(&str, &Ids),
) {
    let Some(reply) = reply else {
        return tally.count(format!("{name}: left out: needs another operator"));
    };
    if let Some(why) = reply.condition.as_ref().and_then(left_out) {
        return tally.count(format!("{name}: left out: {why}"));
    }
    match ask(&cerbos::reply(&reply)) {
        Ok(got) => {
            same(name, &got);
            tally.count(format!("{name}: {kind} plans run"));
        }
        Err(why) => tally.count(format!("{name}: refused: {}", why.chars().take(60).collect::<String>())),
    }
}

/// Those of the questions, and more.
fn records(rng: &mut Rng, world: &World, table: &Table, object: &str, questions: &[FilterQuestion]) -> Vec<RecordQ> {
    let mut records: Vec<RecordQ> = Vec::new();
    let is_sound = |q: &FilterQuestion, one: &RecordQ| {
        let attributes = Sent::of(&one.attributes);
        let alone = [record(one, &attributes)];
        passing(table, q, Records::Rows(&alone), std::slice::from_ref(one)).is_some()
    };
    for q in questions {
        for one in &q.records {
            if is_sound(q, one) && records.len() < RECORDS / 2 && records.iter().all(|other| other.id != one.id) {
                records.push(one.clone());
            }
        }
    }
    while records.len() < RECORDS {
        let principal = &rng.choice(questions).unwrap().principal.clone();
        let few = rng.usize(1..=RECORDS - records.len());
        let more = generate::records(rng, world, object, principal, few, &records);
        records.extend(more);
    }
    records.iter_mut().for_each(|record| sharpen_record(rng, &world.file, object, record));
    let mut records: Vec<RecordQ> = records.into_iter().map(kept).collect();
    // One that names an account that is not there is an error, not an answer.
    records.retain(|one| questions.iter().all(|q| is_sound(q, one)));
    records
}

fn without_record(q: &FilterQuestion) -> Question {
    Question { record: None, ..q.on(&q.records[0]) }
}

fn planned_for(table: &Table, q: &FilterQuestion) -> Result<Plan, PlanError> {
    let asked = without_record(q);
    plan(table, &question(&asked, &sent(&asked)), q.now_ms)
}

fn ids<'r>(records: impl IntoIterator<Item = &'r RecordQ>) -> Ids {
    records.into_iter().map(|record| record.id.clone()).collect()
}

fn filtered(table: &Table, q: &FilterQuestion, records: &[RecordQ]) -> Ids {
    let attributes: Vec<Sent> = records.iter().map(|r| Sent::of(&r.attributes)).collect();
    let rows: Vec<_> = records.iter().zip(&attributes).map(|(r, attributes)| record(r, attributes)).collect();
    passing(table, q, Records::Rows(&rows), records).unwrap()
}

/// None where something is wrong with a record.
fn passing(table: &Table, q: &FilterQuestion, sent_as: Records<'_>, records: &[RecordQ]) -> Option<Ids> {
    let asked = without_record(q);
    let sent = sent(&asked);
    let filtered = filter(table, &question(&asked, &sent), &[&asked.permission], sent_as, q.now_ms).ok()?;
    Some(ids(filtered[0].positions().map(|at| &records[at as usize])))
}

fn authorized(table: &Table, q: &Question) -> bool {
    let sent = sent(q);
    let asked: Asked<'_> = question(q, &sent);
    decide(table, &asked, q.now_ms) == Ok(Reason::Allowed)
}

fn admits(filter: &Filter, record: &RecordQ) -> bool {
    match filter {
        Filter::Always => true,
        Filter::Never(_) => false,
        Filter::Conditional(condition) => passes(condition, &row(record)),
    }
}

/// Of what columns can hold.
fn by_column(rng: &mut Rng, table: &Table, q: &FilterQuestion, context: &dyn Fn() -> String) {
    let mut records = q.records.clone();
    let sheet = Sheet::of(&mut records, rng);
    let got = passing(table, q, Records::Columns(&sheet.columns()), &records).unwrap();
    assert_eq!(got, filtered(table, q, &records), "columns: {records:#?}\n{}", context());
}

/// Whether policies are asked at all (rule 4.7).
fn asks_policies(file: &serde_json::Value, q: &FilterQuestion) -> bool {
    let Some(asked) = &q.permission else { return true };
    let catalogue = oracle::catalogue(file);
    let named = catalogue.iter().find(|one| one.name == *asked || one.aliases.contains(asked));
    named.is_some_and(|permission| permission.requires_visibility)
}

/// The reply on the wire; none where it would need another operator.
fn sent_to(table: &Table, q: &FilterQuestion, operators: &[&str]) -> Option<pb::PlanRecordsResponse> {
    planned(table, &request(q, operators), q.now_ms).ok()
}

/// The question on the wire.
fn request(q: &FilterQuestion, operators: &[&str]) -> pb::PlanRecordsRequest {
    let attributes = q.context_attributes.iter();
    let context = pb::Context {
        channel: q.channel.clone().unwrap_or_default(),
        authenticated_at: q.authenticated_at_ms.map(to_timestamp),
        invitee_email: q.invitee_email.clone().unwrap_or_default(),
        attributes: attributes.map(|(name, value)| (name.clone(), to_value(crate::ask::to_value(value)))).collect(),
    };
    pb::PlanRecordsRequest {
        organization: "acme".into(),
        principal: q.principal.clone(),
        permission: q.permission.clone().unwrap_or_default(),
        account: q.account.clone().unwrap_or_default(),
        object: q.object.clone(),
        context: Some(context),
        operators: operators.iter().map(|&operator| operator.to_owned()).collect(),
        ..Default::default()
    }
}
