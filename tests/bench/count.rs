//! Asks so many questions and does nothing else, for `tests/bench/instructions`, which counts what that executes.
//!
//! Population: 1,000 users (`peopled.rs`); 2,000 questions, half of them denied, each checked once before it is asked over
//! and over. Hashes and time are fixed, so that each run executes the same.
//! `count decision N` asks `core::decision::decide`, `count call N` the handler of `Authorize`, by messages that are decoded.
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test or a bench may fail loudly"
)]

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use doorward::clock::{Clock, ClockError};
use doorward::core::change::{Change, apply};
use doorward::core::decision::{Question, Reason, Resource, decide};
use doorward::core::table::Table;
use doorward::engine::Engine;
use doorward::service::proto::decision_service_server::DecisionService;
use doorward::service::proto::{AuthorizeRequest, Decision, Resource as Place};
use doorward::service::{Caller, Decisions, Peer};
use doorward::store::MemoryStore;
use fastrand::Rng;

mod measure;
#[allow(dead_code, reason = "the other benches use the rest of it")]
mod peopled;
#[allow(dead_code, reason = "the other benches use the rest of it")]
mod questions;
mod running;

use peopled::{OBJECT, Size};

const SIZE: Size = Size { users: 1_000 };
const QUESTIONS: usize = 2_000;
/// November 2023.
const NOW: i64 = 1_700_000_000_000;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> i64 {
        NOW
    }

    fn random(&self) -> Result<[u8; 16], ClockError> {
        Ok([7; 16])
    }
}

/// A user, a permission, and whether that is allowed.
type Asked = (String, String, bool);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    // Called as one bench of all, there is nothing to count.
    let [what, count] = args.as_slice() else { return };
    let (asked, count) = (asked(), count.parse().unwrap());
    match what.as_str() {
        "decision" => decisions(&asked, count),
        "call" => calls(&asked, count),
        other => panic!("`{other}` is neither `decision` nor `call`"),
    }
}

fn asked() -> Vec<Asked> {
    let (population, mut rng, mut asked) = (peopled::population(SIZE), Rng::with_seed(9), Vec::new());
    while asked.len() < QUESTIONS {
        let (user, permission) = (rng.usize(..SIZE.users), rng.usize(..population.permissions.len()));
        let allowed = (population.holds)(user, permission);
        if allowed == (asked.len() % 2 == 0) {
            asked.push((
                format!("user:{}", population.users[user]),
                population.permissions[permission].clone(),
                allowed,
            ));
        }
    }
    asked
}

fn decisions(asked: &[Asked], count: usize) {
    let blank = Table::blank("large".parse().unwrap(), "bench".into(), 1);
    let rows = peopled::rows(SIZE);
    let made = apply(&blank, vec![Change::Replace { rows, deactivate_missing: false }]);
    let table = made.map(|a| a.table).unwrap_or_else(|e| panic!("{e:?}"));
    let ask = |(principal, permission, allowed): &Asked| {
        let resource = Resource { object: OBJECT, ..Resource::default() };
        let question = Question { principal, permission, resource, ..Question::default() };
        let reason = decide(&table, black_box(&question), NOW).unwrap();
        assert_eq!(reason == Reason::Allowed, *allowed, "{principal}: {permission}");
    };
    asked.iter().for_each(ask);
    asked.iter().cycle().take(count).for_each(ask);
}

fn calls(asked: &[Asked], count: usize) {
    let fatal = |error| panic!("{error}");
    let engine = Arc::new(Engine::open(Arc::new(MemoryStore::new()), Arc::new(Fixed), fatal).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let change = Change::Replace { rows: peopled::rows(SIZE), deactivate_missing: false };
    runtime.block_on(running::write(&engine, "large", change));
    let decisions = Decisions::new(engine);
    let ask = |(principal, permission, allowed): &Asked| {
        let message = AuthorizeRequest {
            organization: "large".to_owned(),
            principal: principal.clone(),
            permission: permission.clone(),
            resource: Some(Place { object: OBJECT.to_owned(), ..Place::default() }),
            ..AuthorizeRequest::default()
        };
        let mut request = tonic::Request::new(message);
        let caller = Caller { name: "bench".to_owned(), bearer: None, on_behalf_of: None, peer: Peer::default() };
        request.extensions_mut().insert(caller);
        let reply = pin!(decisions.authorize(request)).poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(reply) = reply else { panic!("a decision waits for nothing") };
        let decision = reply.unwrap().into_inner().decision();
        assert_eq!(decision == Decision::Allow, *allowed, "{principal}: {permission}");
    };
    asked.iter().for_each(ask);
    asked.iter().cycle().take(count).for_each(ask);
}
