//! Random sequences of admin calls, made again: the same calls at the same times, with the same randomness, into
//! a fresh store come to the same replies, organization, decisions and logs, byte for byte; so does opening
//! the store again, and so does the log of changes alone.
//!
//! Whatever is refused or only tried changes nothing, and is refused for a reason that clients know.
//!
//! What is called is drawn from a seed and from what replies named (credentials, activations). About a third
//! is refused. `DOORWARD_REPLAY_SEED=n` plays one sequence.

mod calls;
mod player;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use doorward::clock::{Clock, ClockError};
use doorward::core::decision::{Question, Reason, Resource, decide};
use doorward::core::lists::SuperOrganization;
use doorward::core::model::{Key, Millis, Row, Write};
use doorward::core::table::Table;
use doorward::engine::Engine;
use doorward::engine::activity::{Asked, Direction, Found};
use doorward::service::Admin;
use doorward::service::proto as pb;
use doorward::service::proto::activity_service_server::ActivityService;
use doorward::service::proto::organization_service_server::OrganizationService;
use doorward::store::{MemoryStore, PolicyStore};
use prost::Message;
use prost_types::DescriptorProto;
use sha2::{Digest, Sha256};
use tokio_stream::StreamExt;

use crate::activity::{by, ok, operator};

use player::Player;

const NOW: Millis = 1_700_000_000_000;
const CALLS: usize = 450;
/// Calls until some organizations end, and are created again.
const END: usize = 40;
/// Calls until another operator makes them, and until refusals are counted anew: of each caller some only are logged
/// one by one. What is only counted is logged a minute later by the machine's clock, which is no part of a sequence.
const CALLS_OF_ONE: usize = 15;

const USERS: [&str; 8] = ["u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7"];
const DOMAINS: [&str; 3] = ["acme.com", "partner.io", "else.org"];
const GROUPS: [&str; 5] = ["g0", "g1", "g2", "g3", "all-users"];
const OBJECTS: [&str; 4] = ["o0", "o1", "e0", "e1"];
const ACCOUNTS: [&str; 3] = ["main", "a0", "a1"];
const SERVICES: [&str; 3] = ["s0", "s1", "s2"];
const RECORDS: [&str; 3] = ["k0", "k1", "k2"];
const PERMISSIONS: [&str; 9] = [
    "tasks.read",
    "records.read",
    "records.*",
    "own.p0",
    "own.p1",
    "groups.manage",
    "groups.read",
    "organization.admin",
    "no.such",
];

/// Stands still until it is told; its randomness is drawn from a seed.
struct SeededClock {
    now: AtomicI64,
    seed: u64,
    drawn: AtomicU64,
}

impl Clock for SeededClock {
    fn now(&self) -> Millis {
        self.now.load(Ordering::Relaxed)
    }

    fn random(&self) -> Result<[u8; 16], ClockError> {
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed);
        let digest = Sha256::digest([self.seed.to_be_bytes(), drawn.to_be_bytes()].concat());
        Ok(std::array::from_fn(|n| digest[n]))
    }
}

/// Everything that is compared.
#[derive(PartialEq)]
struct Outcome {
    rows: Vec<Row>,
    exported: Vec<String>,
    decisions: Vec<Result<Reason, ()>>,
    entries: Vec<Found>,
    last: (u64, Vec<u8>),
    log: Vec<doorward::engine::Logged>,
    /// The super-organizations, and of which of them decisions take account.
    above: Vec<Arc<SuperOrganization>>,
    over: Option<Arc<SuperOrganization>>,
}

/// RPCs that change something and are not played, and why.
const NOT_PLAYED: [(&str, &str); 1] = [(
    "apply_organization",
    "its messages come by a stream, which only a server can be sent; what it does, `Change::Replace`, is replayed in properties.rs",
)];

async fn outcome(engine: &Arc<Engine>, now: Millis) -> Outcome {
    let admin = Admin::new(Arc::clone(engine));
    let table = engine.table("acme", None, Duration::ZERO).await.unwrap();
    let request = pb::ExportOrganizationRequest { organization: "acme".into(), ..Default::default() };
    let mut stream = ok(admin.export_organization(by(&operator(), request)).await);
    let mut exported = Vec::new();
    while let Some(message) = stream.next().await {
        exported.extend(message.unwrap().rows.iter().map(|row| format!("{row:?}")));
    }
    let request = pb::VerifyActivityRequest { organization: "acme".into(), ..Default::default() };
    let verified = ok(admin.verify_activity(by(&operator(), request)).await);
    assert!(verified.intact, "{verified:?}");
    let asked = Asked { from: 1, direction: Direction::Forward, size: usize::MAX };
    let page = engine.activity(&table, asked, &|_| true).unwrap().unwrap();
    assert_eq!(page.next, None);
    assert!(page.entries.iter().all(|found| found.entry.reason != "REFUSALS_COUNTED"), "too many of one caller");
    let mut log = Vec::new();
    engine
        .log(table.id(), 0, &mut |_, entry| {
            log.push(entry);
            true
        })
        .unwrap();
    assert_eq!(log.len() as u64, table.revision());
    Outcome {
        rows: sorted(&table),
        exported,
        decisions: decisions(&table, now),
        entries: page.entries,
        last: (verified.last_sequence, verified.last_hash),
        log,
        above: engine.super_organizations(),
        over: table.over().cloned(),
    }
}

fn sorted(table: &Table) -> Vec<Row> {
    let mut rows: Vec<Row> = table.rows().collect();
    rows.sort_by_key(Row::key);
    rows
}

/// Everybody, everything and everywhere, now and when what runs for an hour is over.
fn decisions(table: &Table, now: Millis) -> Vec<Result<Reason, ()>> {
    let principals = USERS.map(|id| format!("user:{id}")).into_iter().chain(SERVICES.map(|id| format!("service:{id}")));
    let nothing: BTreeMap<String, doorward::core::model::Value> = BTreeMap::new();
    let mut answers = Vec::new();
    for principal in principals {
        for permission in PERMISSIONS {
            for object in ["", "o0", "o1", "e0", "e1"] {
                for record in ["", "k0", "k1"] {
                    for now in [now, now + 3_600_000] {
                        let record = doorward::core::decision::Record {
                            id: record,
                            owner: "",
                            account: "",
                            attributes: &nothing,
                        };
                        let record = Some(record).filter(|record| !record.id.is_empty() && !object.is_empty());
                        let resource = Resource { object, record, ..Resource::default() };
                        let question = Question { principal: &principal, permission, resource, ..Question::default() };
                        answers.push(decide(table, &question, now).map_err(drop));
                    }
                }
            }
        }
    }
    answers
}

fn same(what: &str, seed: u64, first: &Outcome, second: &Outcome) {
    let Outcome { rows, exported, decisions, entries, last, log, above, over } = second;
    assert_eq!(&first.rows, rows, "seed {seed}: rows {what}");
    assert_eq!(&first.exported, exported, "seed {seed}: export {what}");
    assert!(first.decisions == *decisions, "seed {seed}: decisions {what}");
    for (first, second) in first.entries.iter().zip(entries) {
        assert_eq!(first, second, "seed {seed}: activity log {what}");
    }
    assert_eq!(&first.last, last, "seed {seed}: the hash of the activity log {what}");
    assert!(first.log == *log, "seed {seed}: log of changes {what}");
    assert_eq!((&first.above, &first.over), (above, over), "seed {seed}: super-organizations {what}");
}

/// The rows that the log of changes comes to.
fn replayed(log: &[doorward::engine::Logged]) -> BTreeMap<Key, Row> {
    let mut rows = BTreeMap::new();
    for write in log.iter().flat_map(|entry| &entry.writes) {
        match write {
            Write::Put(row) => drop(rows.insert(row.key(), row.clone())),
            Write::Delete(key) => drop(rows.remove(key)),
        }
    }
    rows
}

/// Every RPC of the API that changes something, as the method is called: it can be told to change nothing.
fn every_mutation() -> BTreeSet<&'static str> {
    let [ours, _] = doorward::service::descriptor_sets();
    let files = prost_types::FileDescriptorSet::decode(ours).unwrap().file;
    let messages: BTreeMap<String, &DescriptorProto> = files
        .iter()
        .flat_map(|file| file.message_type.iter().map(move |m| (format!(".{}.{}", file.package(), m.name()), m)))
        .collect();
    // A stream says it in the header that it begins with.
    let says = |message: &DescriptorProto| message.field.iter().any(|field| field.name() == "validate_only");
    let can = |input: &str| {
        let request = messages[input];
        let parts = request.field.iter().filter_map(|field| messages.get(field.type_name()));
        says(request) || parts.into_iter().any(|part| says(part))
    };
    let rpcs = files.iter().flat_map(|file| &file.service).flat_map(|service| &service.method);
    rpcs.filter(|rpc| messages.contains_key(rpc.input_type()) && can(rpc.input_type()))
        .map(|rpc| snake(rpc.name()))
        .collect()
}

fn snake(name: &str) -> &'static str {
    let mut snake = String::new();
    for (at, c) in name.char_indices() {
        if at > 0 && c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake.leak()
}

#[tokio::test]
async fn the_same_calls_into_a_fresh_store_come_to_the_same_state_decisions_and_log_hash() {
    let one = std::env::var("DOORWARD_REPLAY_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let seeds: Vec<u64> = one.map_or_else(|| (1..=6).collect(), |seed| vec![seed]);
    let mut counts: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    let mut refusals: BTreeMap<String, u32> = BTreeMap::new();
    for &seed in &seeds {
        println!("seed {seed}");
        let store: Arc<dyn PolicyStore> = Arc::new(MemoryStore::new());
        let mut first = Player::over(Arc::clone(&store), seed, 1);
        first.play(CALLS).await;
        let now = first.clock.now();
        let result = outcome(&first.engine, now).await;

        let mut second = Player::over(Arc::new(MemoryStore::new()), seed, 1);
        second.play(CALLS).await;
        for (first, second) in first.told.iter().zip(&second.told) {
            assert_eq!(first, second, "seed {seed}: a reply");
        }
        assert_eq!(first.told.len(), second.told.len());
        same("of the same calls", seed, &result, &outcome(&second.engine, now).await);

        first.engine.stop();
        let again = Player::over(store, seed, 2);
        same("after a restart", seed, &result, &outcome(&again.engine, now).await);

        let rows: Vec<Row> = replayed(&result.log).into_values().collect();
        assert_eq!(rows, result.rows, "seed {seed}: the log of changes alone");
        let table = Table::load("acme".parse().unwrap(), "h".into(), 9, 1, rows).map_err(|wrong| format!("{wrong:?}"));
        let table = table.unwrap().under(result.over.as_ref());
        assert!(decisions(&table, now) == result.decisions, "seed {seed}: decisions of the log alone");

        for (rpc, (done, refused)) in first.counts {
            let count = counts.entry(rpc).or_default();
            *count = (count.0 + done, count.1 + refused);
        }
        for (reason, times) in first.reasons {
            *refusals.entry(reason).or_default() += times;
        }
        for answer in &result.decisions {
            *reasons.entry(answer.as_ref().map_or("error", |reason| reason.name())).or_default() += 1;
        }
    }
    println!("{counts:?}\n{reasons:?}\n{refusals:?}");
    let (done, refused) = counts.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let share = f64::from(refused) / f64::from(done + refused);
    assert!((0.2..0.7).contains(&share), "{share} of the calls were refused");
    if one.is_none() {
        assert_eq!(every_mutation(), counts.keys().copied().chain(NOT_PLAYED.map(|(rpc, _)| rpc)).collect());
        let never: Vec<_> = counts.iter().filter(|(_, (done, _))| *done == 0).collect();
        assert!(never.is_empty(), "never carried out: {never:?}");
        assert!(reasons["ALLOWED"] > 100 && reasons.len() >= 4, "{reasons:?}");
        assert!(refusals.len() >= 15, "{refusals:?}");
    }
}

/// The hash is of everything: of other randomness it is another one, and of one call more.
#[tokio::test]
async fn another_seed_of_randomness_gives_another_log_hash() {
    let mut hashes = Vec::new();
    for (randomness, calls) in [(1, 30), (1, 30), (2, 30), (1, 31)] {
        let mut player = Player::over(Arc::new(MemoryStore::new()), 5, randomness);
        player.play(calls).await;
        hashes.push(outcome(&player.engine, NOW).await.last.1);
    }
    assert_eq!(hashes[0], hashes[1]);
    assert!(hashes[0] != hashes[2] && hashes[0] != hashes[3]);
}
