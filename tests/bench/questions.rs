//! Questions drawn beforehand and asked once each: what `decide` and `large` share.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use doorward::core::decision::{Context, Question, Reason, Record, Resource};
use fastrand::Rng;

use super::measure::Spread;

/// How many are made and asked.
pub const QUESTIONS: usize = 1_000_000;
const BLOCK: usize = 32;

/// Whom and what the questions are about.
pub struct Population {
    pub id: String,
    pub users: Vec<String>,
    pub permissions: Vec<String>,
    /// The object that is asked about.
    pub object: &'static str,
    /// Whether a user holds a permission there, both by index.
    pub holds: Box<dyn Fn(usize, usize) -> bool>,
}

/// The questions' texts, end to end in the order in which they are asked, as a request's text lies
/// in the buffer that was just read.
pub struct Questions {
    text: String,
    /// Where the principal, the permission and the record of each end.
    ends: Vec<[u32; 3]>,
    object: &'static str,
    record: bool,
}

impl Questions {
    pub fn draw(population: &Population, zipf: bool, record: bool) -> Self {
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
        let (object, text, ends) = (population.object, String::new(), Vec::new());
        let mut questions = Self { text, ends, object, record };
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
    pub fn question(&self, n: usize) -> Question<'_> {
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
                object: self.object,
                record: self.record.then_some(record),
            },
            context: Context::default(),
        }
    }

    /// Asks all of them once, and prints.
    pub fn run(&self, name: &str, ask: impl Fn(&Question<'_>) -> Reason) -> Spread {
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
        spread
    }
}
