//! How long a decision takes in this process: from borrowed texts to a reason, all rules on.
//!
//! Population: the organization `customer` of the real access data (or one generated with its
//! numbers of users, permissions and roles; the first line says which), with re-authentication set,
//! so that no rule is passed over for want of a setting. Mix: half of the questions are allowed and
//! half denied, the denied ones for a permission that exists and the user lacks: the longest walk.
//! Users are drawn by Zipf's law (exponent 1) or uniformly, over shuffled ids. A million questions
//! are made beforehand and asked once each, in blocks of 32 between two readings of the clock, their
//! texts borrowed before the first of the two: p50 and p99 are of blocks, divided by 32.
//!
//! `cargo bench --bench decide` · `-- --large` adds a million users in ten groups each, with four to six attributes and
//! a manager, and decisions that read these.
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench may fail loudly"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use doorward::cli::file::{Known as Shipped, OrganizationFile};
use doorward::clock::{Clock, SystemClock};
use doorward::core::change::{Change, apply};
use doorward::core::decision::{Context, Question, Reason, Record, Resource, decide};
use doorward::core::id::Id;
use doorward::core::model::{
    Assignment, Group, GroupKind, Level, Member, Period, Permission, Role, RoleKind, Row, Scope, Status, Target, User,
    UserKind, Value,
};
use doorward::core::table::Table;
use doorward::engine::{Call, Create, Engine};
use doorward::store::MemoryStore;
use fastrand::Rng;

#[path = "../real/matrix.rs"]
mod matrix;
mod measure;

use matrix::{Known, OBJECT};
use measure::{Spread, resident_mb};

const QUESTIONS: usize = 1_000_000;
const BLOCK: usize = 32;
const CHURN_PER_SECOND: u32 = 1_000;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let large = std::env::args().any(|a| a == "--large");
    println!(
        "cores: {} (shared with whatever else runs), resident at the start {} MB",
        measure::cores(),
        resident_mb()
    );
    let known = matrix::data().map_or_else(
        |missing| {
            println!("population: generated, for {} is not there", missing.display());
            matrix::generated()
        },
        |data| matrix::matrix(&data, "customer"),
    );
    println!(
        "population: `{}`, {} users × {} permissions; {}",
        known.id,
        known.on_object.len(),
        known.permissions.len(),
        known.paths
    );
    let rows = OrganizationFile::parse(&known.file.to_string(), "bench.json", Shipped::of).map(|f| f.rows);
    let rows = rows.unwrap_or_else(|errors| panic!("{errors}"));
    let population = Population {
        id: known.id.clone(),
        users: known.on_object.keys().cloned().collect(),
        holds: Box::new(sets(&known)),
        permissions: known.permissions,
    };
    measure_all(&population, rows);
    if large {
        large_one();
    }
}

fn sets(known: &Known) -> impl Fn(usize, usize) -> bool + use<> {
    let index = |name: &String| known.permissions.binary_search(name).unwrap();
    let held: Vec<Vec<usize>> = known.on_object.values().map(|set| set.iter().map(index).collect()).collect();
    move |user, permission| held[user].contains(&permission)
}

/// Whom and what the questions are about.
struct Population {
    id: String,
    users: Vec<String>,
    permissions: Vec<String>,
    /// Whether a user holds a permission, both by index.
    holds: Box<dyn Fn(usize, usize) -> bool>,
}

fn measure_all(population: &Population, rows: Vec<Row>) {
    let engine = engine(&population.id, rows);
    println!(
        "memory: {} MB resident with the organization published and stored in memory, the bench's own data included",
        resident_mb()
    );
    let table = engine.block_on(engine.engine.table(&population.id, None, Duration::ZERO)).unwrap();
    for (draw, zipf) in [("Zipf 1.0", true), ("uniform", false)] {
        for record in [false, true] {
            let questions = Questions::draw(population, zipf, record);
            let what = if record { "account, object and record" } else { "object" };
            let mix = format!("{draw}, {what}");
            let now = SystemClock.now();
            questions.run(&format!("decide            {mix}"), |q| decide(&table, q, now).unwrap());
            questions.run(&format!("engine.authorize  {mix}"), |q| engine.ask(&population.id, q));
        }
    }
    drop(table);
    churn(population, &engine);
}

/// The questions' texts, end to end in the order in which they are asked, as a request's text lies
/// in the buffer that was just read.
struct Questions {
    text: String,
    /// Where the principal, the permission and the record of each end.
    ends: Vec<[u32; 3]>,
    record: bool,
}

impl Questions {
    fn draw(population: &Population, zipf: bool, record: bool) -> Self {
        let mut rng = Rng::with_seed(32);
        let users = population.users.len();
        let mut shuffled: Vec<usize> = (0..users).collect();
        rng.shuffle(&mut shuffled);
        let mut total = 0.0;
        let cumulative: Vec<f64> = (1..=users)
            .map(|rank| {
                total += if zipf { 1.0 / rank as f64 } else { 1.0 };
                total
            })
            .collect();
        let mut questions = Self { text: String::new(), ends: Vec::new(), record };
        while questions.ends.len() < QUESTIONS {
            let at = rng.f64() * total;
            let user = shuffled[cumulative.partition_point(|c| *c < at).min(users - 1)];
            let allow = questions.ends.len() * 2 < QUESTIONS;
            // A user who holds hardly anything, or hardly not, is tried often enough.
            let mut tries = (0..2_000).map(|_| rng.usize(..population.permissions.len()));
            let Some(permission) = tries.find(|p| (population.holds)(user, *p) == allow) else { continue };
            let text = &mut questions.text;
            let mut end = |part: std::fmt::Arguments<'_>| {
                text.write_fmt(part).unwrap();
                u32::try_from(text.len()).unwrap()
            };
            let user = &population.users[user];
            let permission = &population.permissions[permission];
            let ends = [
                end(format_args!("user:{user}")),
                end(format_args!("{permission}")),
                end(format_args!("r-{}", questions.ends.len() % 100_000)),
            ];
            questions.ends.push(ends);
        }
        questions.shuffle(&mut rng);
        questions
    }

    /// Mixes allows and denies, the texts staying in the order of asking.
    fn shuffle(&mut self, rng: &mut Rng) {
        let mut order: Vec<usize> = (0..self.ends.len()).collect();
        rng.shuffle(&mut order);
        let mut text = String::with_capacity(self.text.len());
        let mut ends = Vec::with_capacity(self.ends.len());
        for n in order {
            let mut start = n.checked_sub(1).map_or(0, |before| self.ends[before][2]) as usize;
            ends.push(self.ends[n].map(|end| {
                text.push_str(&self.text[start..end as usize]);
                start = end as usize;
                u32::try_from(text.len()).unwrap()
            }));
        }
        (self.text, self.ends) = (text, ends);
    }

    #[inline]
    fn question(&self, n: usize) -> Question<'_> {
        let start = n.checked_sub(1).map_or(0, |before| self.ends[before][2]) as usize;
        let [principal, permission, record] = self.ends[n].map(|end| end as usize);
        let id = &self.text[permission..record];
        let owner = &self.text[start..principal];
        let record = Record { id, owner, ..Record::default() };
        Question {
            principal: &self.text[start..principal],
            permission: &self.text[principal..permission],
            resource: Resource {
                account: if self.record { "main" } else { "" },
                object: OBJECT,
                record: self.record.then_some(record),
            },
            context: Context::default(),
        }
    }

    /// Asks all of them once, and prints.
    fn run(&self, name: &str, ask: impl Fn(&Question<'_>) -> Reason) {
        let mut spread = Spread::default();
        let mut allowed = 0;
        for block in 0..self.ends.len() / BLOCK {
            // A caller has them before it asks: to cut the texts apart is no part of a decision.
            let questions: [Question<'_>; BLOCK] = std::array::from_fn(|n| self.question(block * BLOCK + n));
            let questions = black_box(&questions);
            let start = Instant::now();
            for question in questions {
                allowed += usize::from(black_box(ask(question)) == Reason::Allowed);
            }
            spread.add(start.elapsed().as_nanos() as f64 / BLOCK as f64);
        }
        let asked = self.ends.len() / BLOCK * BLOCK;
        let denied = 100.0 * (asked - allowed) as f64 / asked as f64;
        println!("{name}: {} ns a decision, {asked} asked, {denied:.1}% denied", spread.line());
    }
}

struct Running {
    engine: Arc<Engine>,
    runtime: tokio::runtime::Runtime,
}

impl Running {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    #[inline]
    fn ask(&self, organization: &str, question: &Question<'_>) -> Reason {
        self.engine.authorize(organization, None, question, |decided, _| decided.reason).unwrap()
    }
}

/// An engine on a memory store with this organization, as a server has it.
fn engine(id: &str, rows: Vec<Row>) -> Running {
    let fatal = |error| panic!("{error}");
    let engine = Engine::open(Arc::new(MemoryStore::new()), Arc::new(SystemClock), fatal).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let running = Running { engine: Arc::new(engine), runtime };
    running.block_on(write(&running.engine, id, Change::Replace { rows, deactivate_missing: false }));
    running
}

async fn write(engine: &Arc<Engine>, id: &str, change: Change) {
    let call = Call {
        organization: Id::parse(id).unwrap(),
        caller: "bench".to_owned(),
        on_behalf_of: None,
        peer: String::new(),
        method: "bench",
        request_id: String::new(),
        body: [0; 32],
        validate_only: false,
        create: Create::IfMissing,
    };
    let plan = |_: &Table| Ok::<_, std::convert::Infallible>(vec![change]);
    engine.write(call, plan, |_| Vec::new()).await.unwrap();
}

/// Decisions while another thread changes a thousand memberships a second.
fn churn(population: &Population, engine: &Running) {
    let group = {
        let table = engine.block_on(engine.engine.table(&population.id, None, Duration::ZERO)).unwrap();
        table.list_groups(None, 100).items.into_iter().find(|g| g.kind == GroupKind::Manual).unwrap().id
    };
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writer = std::thread::spawn({
        let (engine, stop, written) = (Arc::clone(&engine.engine), Arc::clone(&stop), Arc::clone(&written));
        let (id, group, users) = (population.id.clone(), group.clone(), population.users.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        move || {
            let mut rng = Rng::with_seed(1_000);
            let start = Instant::now();
            for tick in 0u32.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(
                    (start + Duration::from_secs(1) / CHURN_PER_SECOND * tick)
                        .saturating_duration_since(Instant::now()),
                );
                let members = vec![Member::User(rng.choice(&users).unwrap().parse().unwrap())];
                let group = group.clone();
                let change = if rng.bool() {
                    Change::AddMembers { group, members }
                } else {
                    Change::RemoveMembers { group, members }
                };
                runtime.block_on(write(&engine, &id, change));
                written.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    for (draw, zipf) in [("Zipf 1.0", true), ("uniform", false)] {
        let questions = Questions::draw(population, zipf, false);
        // Long enough that the writer's rate means something.
        let (start, before) = (Instant::now(), written.load(Ordering::Relaxed));
        while start.elapsed() < Duration::from_secs(2) {
            questions.run(&format!("engine.authorize  {draw}, object, under churn"), |q| engine.ask(&population.id, q));
        }
        let writes = (written.load(Ordering::Relaxed) - before) as f64 / start.elapsed().as_secs_f64();
        println!(
            "    beside {writes:.0} calls a second that change members of `{group}` ({CHURN_PER_SECOND} wanted; half change nothing)"
        );
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
}

const LARGE_USERS: usize = 1_000_000;
const LARGE_GROUPS: usize = 10_000;
const LARGE_ROLES: usize = 200;
const LARGE_PERMISSIONS: usize = 1_000;

/// The groups of a user, drawn from its number.
fn groups_of(user: usize) -> [usize; 10] {
    let mut rng = Rng::with_seed(user as u64);
    std::array::from_fn(|_| rng.usize(..LARGE_GROUPS))
}

const LARGE_REGIONS: [&str; 8] = ["eu-west", "eu-north", "us-east", "us-west", "apac-1", "apac-2", "latam", "mea"];
/// What decisions that read attributes ask: a list, a number and an instant of the user, and the users above a record's owner.
const LARGE_CONDITION: &str = "record.region in user.attributes.regions && record.amount < user.attributes.limit \
    && user.attributes.since < now || record.owner in user.all_reports";

/// Four to six, drawn from the user's number.
fn attributes_of(user: usize) -> BTreeMap<String, Value> {
    let text = |text: &str| Value::String(text.to_owned());
    let region = |n: usize| text(LARGE_REGIONS[n % LARGE_REGIONS.len()]);
    let all = [
        ("regions", Value::List(vec![region(user), region(user / 8)])),
        ("limit", Value::Double((user % 1_000) as f64)),
        ("since", Value::Timestamp(1_500_000_000_000 + user as i64 * 250_000)),
        ("title", text(["Analyst", "Engineer", "Manager", "Director"][user / 3 % 4])),
        ("level", Value::Int((user % 12) as i64)),
        ("remote", Value::Bool(user.is_multiple_of(3))),
    ];
    all.into_iter().take(4 + user % 3).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A million users in ten of ten thousand groups each, with attributes and a manager; a fiftieth of the groups hold a
/// role, at the organization or the object.
fn large_one() {
    let id = |text: String| Id::parse(&text).unwrap();
    let permissions: Vec<String> = (0..LARGE_PERMISSIONS).map(|n| format!("data.p{n}")).collect();
    let in_role = |role: usize, permission: usize| (permission * 7 + role * 13) % 100 < 10;
    let roles_of = |group: usize| (group.is_multiple_of(50)).then_some(group / 50 % LARGE_ROLES);
    let file = serde_json::json!({
        "organization": "large",
        "permissions": [{"name": "records.see", "requires_visibility": true}],
        "objects": [{"id": OBJECT, "kind": "app", "fields": {"region": "string", "amount": "double"}}],
        "user_attributes": {"regions": "list<string>", "limit": "double", "since": "timestamp", "title": "string", "level": "int",
            "remote": "bool"},
        "settings": {"external_reauthentication": {"max_age": "12h"}},
        "groups": [{"id": "all-users", "kind": "system", "visibility": ["data_access"]}],
        "grants": [{"permissions": ["records.see"], "member": "group:all-users"}],
        "data_access": [{"id": "own", "object": OBJECT, "effect": "allow", "members": ["group:all-users"],
            "condition": LARGE_CONDITION}],
    });
    let mut rows =
        OrganizationFile::parse(&file.to_string(), "large.json", Shipped::of).unwrap_or_else(|e| panic!("{e}")).rows;
    rows.extend(permissions.iter().map(|name| {
        let (aliases, requires_visibility, requires_approver, when_not_owner) = Default::default();
        let (name, level) = (name.parse().unwrap(), Level::Object);
        Row::Permission(Permission { name, aliases, level, requires_visibility, requires_approver, when_not_owner })
    }));
    for role in 0..LARGE_ROLES {
        let chosen = permissions.iter().enumerate().filter(|(p, _)| in_role(role, *p));
        rows.push(Row::Role(Role {
            id: id(format!("r{role}")),
            name: format!("Role {role}"),
            description: String::new(),
            kind: RoleKind::Custom,
            scope: if role % 2 == 0 { Scope::Organization } else { Scope::Object },
            object: None,
            permissions: chosen.map(|(_, name)| name.parse().unwrap()).collect(),
            auto_share: Vec::new(),
        }));
    }
    for group in 0..LARGE_GROUPS {
        let (name, photo_uri, visibility, groups) = Default::default();
        rows.push(Row::Group(Group {
            id: id(format!("g{group}")),
            name,
            kind: GroupKind::Manual,
            photo_uri,
            visibility,
            groups,
        }));
        let Some(role) = roles_of(group) else { continue };
        rows.push(Row::Assignment(Assignment {
            role: id(format!("r{role}")),
            member: Member::Group(id(format!("g{group}"))),
            target: if role % 2 == 0 { Target::Organization } else { Target::Object(id(OBJECT.to_owned())) },
            period: Period::default(),
            by_hand: false,
        }));
    }
    rows.extend((0..LARGE_USERS).map(|user| {
        let (first_name, last_name, status_before, pending_groups) = Default::default();
        // A tree of eight levels: everyone but the first has up to eight reports.
        let manager = user.checked_sub(1).map(|before| format!("u{}", before / 8).parse().unwrap());
        let mut groups: Vec<Id> = groups_of(user).into_iter().map(|g| id(format!("g{g}"))).collect();
        groups.sort();
        groups.dedup();
        Row::User(User {
            id: format!("u{user}").parse().unwrap(),
            email: format!("u{user}@large.example").parse().unwrap(),
            first_name,
            last_name,
            kind: UserKind::Internal,
            account: id("main".to_owned()),
            manager,
            status: Status::Active,
            status_before,
            pending_groups,
            attributes: attributes_of(user),
            groups,
            sign_ons: Vec::new(),
        })
    }));
    println!(
        "population: `large`, {LARGE_USERS} users × 10 of {LARGE_GROUPS} groups, four to six attributes and a manager each, {LARGE_ROLES} roles over {LARGE_PERMISSIONS} permissions"
    );
    let population = Population {
        id: "large".to_owned(),
        users: (0..LARGE_USERS).map(|n| format!("u{n}")).collect(),
        permissions,
        holds: Box::new(move |user, p| groups_of(user).into_iter().filter_map(roles_of).any(|role| in_role(role, p))),
    };
    // Without an engine: its memory store would double what is measured.
    let before = resident_mb();
    let start = Instant::now();
    let blank = Table::blank(id("large".to_owned()), "bench".into(), 1);
    let table = apply(&blank, vec![Change::Replace { rows, deactivate_missing: false }]).map(|a| a.table);
    let table = table.unwrap_or_else(|error| panic!("{error:?}"));
    println!(
        "memory: {} MB more resident with its table, built in {:.1} s",
        resident_mb() - before,
        start.elapsed().as_secs_f64()
    );
    let now = SystemClock.now();
    for (draw, zipf) in [("Zipf 1.0", true), ("uniform", false)] {
        let questions = Questions::draw(&population, zipf, false);
        questions.run(&format!("decide            {draw}, object"), |q| decide(&table, q, now).unwrap());
    }
    reading_attributes(&table, now);
}

/// Decisions about records that read the asking user's attributes and reports.
fn reading_attributes(table: &Table, now: i64) {
    let mut rng = Rng::with_seed(33);
    let text = |n: usize| Value::String(LARGE_REGIONS[n].to_owned());
    let record = |rng: &mut Rng| {
        let attributes =
            [("region", text(rng.usize(..LARGE_REGIONS.len()))), ("amount", Value::Double(rng.f64() * 1_000.0))];
        attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>()
    };
    let asked: Vec<_> = (0..QUESTIONS / 5)
        .map(|_| (format!("u{}", rng.usize(..LARGE_USERS)), format!("u{}", rng.usize(..LARGE_USERS)), record(&mut rng)))
        .collect();
    let (mut spread, mut allowed) = (Spread::default(), 0);
    for block in asked.chunks_exact(BLOCK) {
        let start = Instant::now();
        for (principal, owner, attributes) in block {
            let record = Some(Record { id: "r", owner, attributes, ..Record::default() });
            let resource = Resource { object: OBJECT, record, ..Resource::default() };
            let question = Question { principal, permission: "records.see", resource, ..Question::default() };
            allowed += usize::from(black_box(decide(table, &question, now).unwrap()) == Reason::Allowed);
        }
        spread.add(start.elapsed().as_nanos() as f64 / BLOCK as f64);
    }
    println!(
        "decide            uniform, a record, `{LARGE_CONDITION}`: {} ns a decision, {} asked, {:.1}% allowed",
        spread.line(),
        asked.len(),
        100.0 * allowed as f64 / asked.len() as f64
    );
}
