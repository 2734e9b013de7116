//! Asks a running server:
//!
//! - `drive verify PEER QUESTION ADDRESS [--token-file F | --key K] [--store S --model M]`: 200
//!   questions (20 of 1,000 records), and every answer is held against what is right.
//! - `drive load PEER QUESTION ADDRESS … --in-flight N --seconds S [--warm S]`: as many as it answers,
//!   and prints a line of JSON.
//! - `drive once PEER QUESTION ADDRESS … --in-flight N --seconds S`: every question once, so that what is kept of
//!   an answer is kept, or as many as can be asked in so many seconds; says how many.
//! - `drive fill-openfga ADDRESS FOLDER`: makes a store and a model there, writes the tuples, prints both ids.
//! - `drive table FILE`: the lines of JSON as tables, with ratios and what was wanted.
#![allow(clippy::unwrap_used, reason = "a bench may fail loudly")]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use peers::ask::{Peer, Place, Prepared, answers, prepare};
use peers::send::{Line, connect, head, post};
use peers::world::{Kind, Size, World};
use serde_json::{Value, json};
use tokio::task::LocalSet;

const CONNECTIONS: usize = 4;
const QUESTIONS: usize = 10_000;
const FILTERS: usize = 100;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let (mut words, mut options) = (Vec::new(), BTreeMap::new());
    let mut rest = given.into_iter();
    while let Some(word) = rest.next() {
        match word.strip_prefix("--") {
            Some(name) => drop(options.insert(name.to_owned(), rest.next().unwrap_or_default())),
            None => words.push(word),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = LocalSet::new();
    match words[..] {
        ["verify", peer, kind, address] => {
            let asking = Asking::new(peer, kind, address, &options, 20);
            local.block_on(&runtime, asking.verify())
        }
        ["load", peer, kind, address] => {
            let asking = Asking::new(peer, kind, address, &options, FILTERS);
            let number = |name: &str, default: f64| options.get(name).map_or(default, |text| text.parse().unwrap());
            let seconds = |name: &str| Duration::from_secs_f64(number(name, 1.0));
            let in_flight = number("in-flight", 16.0) as usize;
            let line = local.block_on(&runtime, asking.load(in_flight, seconds("warm"), seconds("seconds")));
            println!("{line}");
            ExitCode::SUCCESS
        }
        ["once", peer, kind, address] => {
            let asking = Asking::new(peer, kind, address, &options, FILTERS);
            let number = |name: &str| options[name].parse::<f64>().unwrap();
            let (callers, time) = (number("in-flight") as usize, Duration::from_secs_f64(number("seconds")));
            let asked = local.block_on(&runtime, asking.once(callers, time));
            println!("{peer} {kind}: {asked} of {} questions asked once", asking.questions.len());
            ExitCode::SUCCESS
        }
        ["fill-openfga", address, folder] => {
            local.block_on(&runtime, fill_openfga(address, folder));
            ExitCode::SUCCESS
        }
        ["table", file] => {
            table(&std::fs::read_to_string(file).unwrap());
            ExitCode::SUCCESS
        }
        _ => panic!("drive verify|load PEER QUESTION ADDRESS …, drive fill-openfga ADDRESS FOLDER, drive table FILE"),
    }
}

struct Asking {
    name: [String; 2],
    peer: Peer,
    kind: Kind,
    place: Place,
    questions: Rc<[Prepared]>,
}

impl Asking {
    fn new(peer: &str, kind: &str, address: &str, options: &BTreeMap<String, String>, filters: usize) -> Self {
        let name = [peer.to_owned(), kind.to_owned()];
        let (peer, kind) = (Peer::parse(peer), Kind::parse(kind));
        let option = |name: &str| options.get(name).cloned();
        let token = option("token-file").map(|file| std::fs::read_to_string(file).unwrap().trim().to_owned());
        let place = Place {
            address: address.to_owned(),
            authorization: option("key").or(token).map(|key| format!("Bearer {key}")),
            store: option("store").unwrap_or_default(),
            model: option("model").unwrap_or_default(),
        };
        let world = World::new(Size::SERVED);
        let count = if kind == Kind::Filter { filters } else { QUESTIONS };
        let questions = world.questions(kind, count);
        let questions = questions.iter().map(|q| prepare(&world, peer, kind, &place, q)).collect();
        Self { name, peer, kind, place, questions }
    }

    /// As many lines as callers, over few connections where a connection carries many calls.
    async fn lines(&self, callers: usize) -> Vec<Line> {
        let address = &self.place.address;
        let mut lines = Vec::new();
        if self.peer.is_http() {
            for _ in 0..callers {
                lines.push(Line::http(address).await);
            }
        } else {
            let mut senders = Vec::new();
            for _ in 0..CONNECTIONS.min(callers) {
                senders.push(connect(address).await);
            }
            let head = head(address, self.peer.path(self.kind), self.place.authorization.as_deref());
            lines.extend((0..callers).map(|n| Line::Grpc(senders[n % senders.len()].clone(), head.clone())));
        }
        lines
    }

    async fn verify(&self) -> ExitCode {
        let mut line = self.lines(1).await.remove(0);
        let (mut asked, mut wrong) = (0, 0);
        for question in self.questions.iter().take(200) {
            let replies = line.ask(&question.calls).await;
            let said = replies.and_then(|r| answers(self.peer, self.kind, &r, question.expected.len()));
            asked += question.expected.len();
            match said {
                Ok(said) if said == question.expected => {}
                Ok(said) => {
                    wrong += 1;
                    if wrong <= 3 {
                        let allowed = |answers: &[bool]| answers.iter().filter(|a| **a).count();
                        println!(
                            "    {} answers, {} allowed; right are {}",
                            said.len(),
                            allowed(&said),
                            allowed(&question.expected)
                        );
                    }
                }
                Err(error) => {
                    wrong += 1;
                    if wrong <= 3 {
                        println!("    {error}");
                    }
                }
            }
        }
        let questions = self.questions.len().min(200);
        let [peer, kind] = &self.name;
        println!("{peer} {kind}: {} of {questions} questions answered rightly ({asked} answers)", questions - wrong);
        if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    async fn once(&self, callers: usize, time: Duration) -> usize {
        let until = Instant::now() + time;
        let lines = self.lines(callers).await;
        let tasks: Vec<_> = lines
            .into_iter()
            .enumerate()
            .map(|(n, mut line)| {
                let questions = Rc::clone(&self.questions);
                tokio::task::spawn_local(async move {
                    let mut asked = 0;
                    for question in questions.iter().skip(n).step_by(callers).take_while(|_| Instant::now() < until) {
                        line.ask(&question.calls).await.unwrap_or_else(|error| panic!("{error}"));
                        asked += 1;
                    }
                    asked
                })
            })
            .collect();
        let mut asked = 0;
        for task in tasks {
            asked += task.await.unwrap();
        }
        asked
    }

    /// Each caller asks, waits for the answer, and asks again. All questions are asked in turn.
    async fn load(&self, callers: usize, warm: Duration, time: Duration) -> Value {
        let lines = self.lines(callers).await;
        let start = Instant::now();
        let (from, until) = (start + warm, start + warm + time);
        let count = self.questions.len();
        let tasks: Vec<_> = lines
            .into_iter()
            .enumerate()
            .map(|(n, mut line)| {
                let questions = Rc::clone(&self.questions);
                tokio::task::spawn_local(async move {
                    let mut microseconds = Vec::with_capacity(1 << 16);
                    for n in n * count / callers.. {
                        let asked = Instant::now();
                        if asked >= until {
                            break;
                        }
                        let replies = line.ask(&questions[n % count].calls).await;
                        replies.unwrap_or_else(|error| panic!("{error}"));
                        let answered = Instant::now();
                        if asked >= from {
                            microseconds.push((answered - asked).as_nanos() as f64 / 1e3);
                        }
                    }
                    (microseconds, Instant::now())
                })
            })
            .collect();
        // To the last answer: there are questions that take longer than a round.
        let (mut all, mut last) = (Vec::new(), until);
        for task in tasks {
            let (microseconds, ended) = task.await.unwrap();
            all.extend(microseconds);
            last = last.max(ended);
        }
        let time = last - from;
        json!({
            "peer": self.name[0], "question": self.name[1], "in_flight": callers, "asked": all.len(),
            "rate": all.len() as f64 / time.as_secs_f64(), "p50_us": peers::at(0.5, &all), "p99_us": peers::at(0.99, &all),
        })
    }
}

async fn fill_openfga(address: &str, folder: &str) {
    let mut line = Line::http(address).await;
    let mut send = async |path: String, body: Value| {
        let replies = line.ask(&[post(address, &path, &body)]).await.unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_slice::<Value>(&replies[0]).unwrap_or_default()
    };
    let made = send("/stores".to_owned(), json!({"name": "bench"})).await;
    let store = made["id"].as_str().unwrap().to_owned();
    let model = std::fs::read_to_string(format!("{folder}/model.json")).unwrap();
    let made = send(format!("/stores/{store}/authorization-models"), serde_json::from_str(&model).unwrap()).await;
    let model = made["authorization_model_id"].as_str().unwrap().to_owned();
    let tuples = std::fs::read_to_string(format!("{folder}/tuples.jsonl")).unwrap();
    let tuples: Vec<Value> = tuples.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Its own largest write.
    for some in tuples.chunks(100) {
        let body = json!({"authorization_model_id": model, "writes": {"tuple_keys": some}});
        send(format!("/stores/{store}/write"), body).await;
    }
    println!("{store} {model}");
}

/// The median of the rounds of each, and Doorward's beside it.
fn table(text: &str) {
    type Rounds = BTreeMap<String, Vec<[f64; 3]>>;
    let mut by: BTreeMap<(String, u64), Rounds> = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let key = (line["question"].as_str().unwrap().to_owned(), line["in_flight"].as_u64().unwrap());
        let figures = ["rate", "p50_us", "p99_us"].map(|name| line[name].as_f64().unwrap());
        by.entry(key).or_default().entry(line["peer"].as_str().unwrap().to_owned()).or_default().push(figures);
    }
    for ((question, in_flight), peers) in by {
        let wanted = if question == "filter" { 50.0 } else { 10.0 };
        println!("\n### {question}, {in_flight} in flight\n");
        println!(
            "| | rounds | a second (median) | lowest to highest | p50 µs | p99 µs | Doorward's rate is | wanted |"
        );
        println!("|---|---:|---:|---:|---:|---:|---:|---|");
        let of = |rounds: &[[f64; 3]], n: usize, share: f64| {
            peers::at(share, &rounds.iter().map(|r| r[n]).collect::<Vec<_>>())
        };
        let own = peers.get("doorward").map(|r| (of(r, 0, 0.5), of(r, 2, 0.5)));
        for (peer, rounds) in &peers {
            let (rate, p99) = (of(rounds, 0, 0.5), of(rounds, 2, 0.5));
            let (ratio, verdict) = match own {
                Some((own_rate, own_p99)) if peer != "doorward" => {
                    let ratio = own_rate / rate;
                    let mut verdict = format!("≥ {wanted:.0}: {}", if ratio >= wanted { "met" } else { "NOT MET" });
                    if question != "filter" {
                        verdict += if own_p99 < p99 { ", p99 lower" } else { ", p99 NOT LOWER" };
                    }
                    (format!("{ratio:.1} times"), verdict)
                }
                _ => Default::default(),
            };
            let (low, high) = (of(rounds, 0, 0.0), of(rounds, 0, 1.0));
            println!(
                "| {peer} | {} | {rate:.0} | {low:.0} to {high:.0} | {:.0} | {p99:.0} | {ratio} | {verdict} |",
                rounds.len(),
                of(rounds, 1, 0.5)
            );
        }
    }
}
