//! What is asked: read and encoded once, before the clock runs, and drawn while it does.

use std::path::Path;

use prost::Message;
use prost::bytes::Bytes;

use crate::core::id::Id;
use crate::service::proto::{AuthorizeRequest, BatchAuthorizeRequest};

use super::super::file::{CaseFile, Question};
use super::super::judge::{authorizing, no_clock, resource};
use super::super::{CliError, read};
use super::wire::{framed, headed};

/// How questions are drawn of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Pick {
    /// Each as often as any other.
    Uniform,
    /// The first one twice as often as the second and thrice as often as the third (Zipf's law, exponent 1).
    Zipf,
    /// One after the other, from the first again after the last.
    InTurn,
}

/// Which question is asked under which number. It depends on nothing else, so that a run of as many calls with the
/// same seed asks the same, however many connections there are.
#[derive(Debug)]
struct Draw {
    pick: Pick,
    seed: u64,
    count: u64,
    /// For Zipf's law: the sum of the weights up to each question.
    cumulative: Vec<f64>,
}

/// The questions of a file, encoded.
#[derive(Debug)]
pub struct Questions {
    /// The organization that they are about.
    pub organization: Id,
    draw: Draw,
    /// Whole messages with their heads; in a batch, its items.
    encoded: Vec<Bytes>,
    /// Of a batch: what is said for all of it, and how many it asks.
    batch: Option<(Bytes, u64)>,
}

impl Questions {
    /// Reads a file: questions, one a line, if its name ends in `.jsonl`, else decision tests, of which those of
    /// `authorize` are asked. With `batch`, so many a call.
    ///
    /// # Errors
    /// The file is wrong, has no question or says of no organization, and none is given.
    pub fn read(
        path: &Path,
        organization: Option<Id>,
        (pick, seed): (Pick, u64),
        batch: Option<u32>,
    ) -> Result<Self, CliError> {
        let (name, text) = (path.display().to_string(), read(path)?);
        let (organization, questions) = if path.extension().is_some_and(|ending| ending == "jsonl") {
            let organization = organization.ok_or_else(|| {
                let missing = "questions one a line name no organization: give it with `--organization`";
                CliError::Usage(format!("{name}: {missing}"))
            })?;
            (organization, Question::lines(&text, &name)?)
        } else {
            let file = CaseFile::parse(&text, &name)?;
            if file.now.is_some() {
                return Err(no_clock());
            }
            let questions = file.cases.into_iter().map(|case| case.question).collect();
            (organization.unwrap_or(file.organization), questions)
        };
        // A batch names its organization once.
        let named = if batch.is_some() { "" } else { organization.as_str() };
        let requests: Vec<_> = questions.iter().filter_map(|question| request(named, question)).collect();
        if requests.is_empty() {
            return Err(CliError::Usage(format!("{name}: there is no question of `authorize` in it")));
        }
        let draw = Draw::new(pick, seed, requests.len());
        // A message's encoding may be in parts, so an item's is that of a batch with this one.
        let item =
            |request| BatchAuthorizeRequest { items: vec![request], ..Default::default() }.encode_to_vec().into();
        let (encoded, batch) = match batch {
            None => (requests.iter().map(framed).collect(), None),
            Some(size) => {
                let all = BatchAuthorizeRequest { organization: organization.to_string(), ..Default::default() };
                (requests.into_iter().map(item).collect(), Some((all.encode_to_vec().into(), u64::from(size))))
            }
        };
        Ok(Self { organization, draw, encoded, batch })
    }

    /// How many there are to draw from.
    pub fn count(&self) -> usize {
        self.encoded.len()
    }

    /// How many a call asks, if calls are batches.
    pub fn batch(&self) -> Option<u64> {
        self.batch.as_ref().map(|(_, size)| *size)
    }

    /// The message of call `n`, counted from 0.
    pub fn call(&self, n: u64) -> Bytes {
        let drawn = |number| self.encoded.get(self.draw.at(number)).cloned().unwrap_or_default();
        let Some((all, size)) = &self.batch else { return drawn(n) };
        let items: Vec<Bytes> = (0..*size).map(|item| drawn(n.wrapping_mul(*size).wrapping_add(item))).collect();
        let parts: Vec<&[u8]> = std::iter::once(all).chain(&items).map(AsRef::as_ref).collect();
        headed(&parts)
    }
}

fn request(organization: &str, question: &Question) -> Option<AuthorizeRequest> {
    let Question::Authorize { principal, permission, account, object, record, context, .. } = question else {
        return None;
    };
    let resource = resource(account.as_ref(), object.as_ref(), record.as_ref());
    Some(authorizing(organization, (principal, permission), resource, context))
}

impl Draw {
    fn new(pick: Pick, seed: u64, count: usize) -> Self {
        let weights = (1..=count).scan(0.0, |sum, rank| {
            *sum += 1.0 / double(rank as u64);
            Some(*sum)
        });
        let cumulative = if pick == Pick::Zipf { weights.collect() } else { Vec::new() };
        Self { pick, seed, count: count as u64, cumulative }
    }

    /// The question of that number.
    #[allow(clippy::cast_possible_truncation, reason = "it is less than the count, which was a usize")]
    fn at(&self, number: u64) -> usize {
        match self.pick {
            Pick::InTurn => (number % self.count) as usize,
            Pick::Uniform => ((u128::from(self.random(number)) * u128::from(self.count)) >> 64) as usize,
            Pick::Zipf => {
                // 53 bits are what a double holds.
                let share = double(self.random(number) >> 11) / double(1 << 53);
                let below = share * self.cumulative.last().copied().unwrap_or_default();
                let rank = self.cumulative.partition_point(|sum| *sum <= below);
                rank.min(self.cumulative.len().saturating_sub(1))
            }
        }
    }

    /// What SplitMix64 says at that place of its sequence.
    fn random(&self, number: u64) -> u64 {
        let place = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // Seeds that are neighbours shall not draw the same one call apart.
        let mut z = self.seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(place);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[allow(clippy::cast_precision_loss, reason = "numbers below 2^53 are exact")]
fn double(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    const DRAWN: u64 = 100_000;

    /// How often each of `count` questions is drawn.
    fn drawn(pick: Pick, seed: u64, count: usize) -> Vec<u64> {
        let draw = Draw::new(pick, seed, count);
        let mut often = vec![0; count];
        (0..DRAWN).for_each(|number| often[draw.at(number)] += 1);
        often
    }

    /// Whether a count is what its share of all draws leads to expect: within six standard deviations.
    fn close(often: u64, share: f64) -> bool {
        let (expected, all) = (share * DRAWN as f64, DRAWN as f64);
        (often as f64 - expected).abs() <= 6.0 * (all * share * (1.0 - share)).sqrt()
    }

    #[test]
    fn by_zipf_a_question_is_drawn_as_often_as_one_over_its_place() {
        for (seed, count) in [(1, 1), (2, 2), (3, 10), (4, 1_000)] {
            let often = drawn(Pick::Zipf, seed, count);
            let total: f64 = (1..=count).map(|rank| 1.0 / rank as f64).sum();
            for (at, often) in often.into_iter().enumerate() {
                let share = 1.0 / (at + 1) as f64 / total;
                assert!(close(often, share), "seed {seed}, question {at} of {count}: {often} times, not {share}");
            }
        }
    }

    #[test]
    fn drawn_uniformly_each_is_as_likely_and_in_turn_each_is_as_often() {
        for (at, often) in drawn(Pick::Uniform, 1, 100).into_iter().enumerate() {
            assert!(close(often, 0.01), "question {at}: {often}");
        }
        assert_eq!(drawn(Pick::InTurn, 1, 100), [DRAWN / 100; 100]);
        assert_eq!(drawn(Pick::Uniform, 1, 1), [DRAWN]);
    }

    #[test]
    fn a_seed_says_what_is_drawn_and_another_one_something_else() {
        let sequence = |seed| (0..50).map(move |n| Draw::new(Pick::Uniform, seed, 1_000).at(n));
        assert!(sequence(1).eq(sequence(1)));
        let same = sequence(1).zip(sequence(2)).filter(|(one, other)| one == other).count();
        let shifted = sequence(1).skip(1).zip(sequence(2)).filter(|(one, other)| one == other).count();
        assert!(same < 5 && shifted < 5, "{same}, {shifted}");
    }

    const LINES: &str = r#"{"principal": "user:ana", "permission": "tasks.read", "object": "app"}

{"principal": "bo", "permission": "tasks.read", "record": {"id": "r-1", "owner": "ana", "attributes": {"amount": 2.5}}, "object": "app"}
"#;

    fn questions(name: &str, text: &str, batch: Option<u32>) -> Result<Questions, CliError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let organization = name.ends_with("jsonl").then(|| "acme".parse().unwrap());
        Questions::read(&path, organization, (Pick::InTurn, 1), batch)
    }

    #[test]
    fn lines_are_questions_and_go_over_the_wire_as_requests() {
        let questions = questions("asked.jsonl", LINES, None).unwrap();
        assert_eq!((questions.count(), questions.batch()), (2, None));
        let call = questions.call(1);
        assert_eq!(call[..5], [0, 0, 0, 0, u8::try_from(call.len() - 5).unwrap()]);
        let asked = AuthorizeRequest::decode(&call[5..]).unwrap();
        assert_eq!((asked.organization.as_str(), asked.principal.as_str()), ("acme", "bo"));
        let resource = asked.resource.unwrap();
        assert_eq!(resource.object, "app");
        assert_eq!(resource.record.unwrap().owner, "ana");
        assert_eq!(questions.call(3), call, "from the first again");
        assert_ne!(questions.call(2), call);
    }

    #[test]
    fn a_batch_has_as_many_questions_as_it_shall_and_names_the_organization_once() {
        let questions = questions("asked.jsonl", LINES, Some(3)).unwrap();
        let batch = |n| BatchAuthorizeRequest::decode(&questions.call(n)[5..]).unwrap();
        let asked = |n| batch(n).items.iter().map(|item| item.principal.clone()).collect::<Vec<_>>();
        assert_eq!(
            (asked(0), asked(1)),
            (
                vec!["user:ana".into(), "bo".into(), "user:ana".into()],
                vec!["bo".to_owned(), "user:ana".into(), "bo".into()]
            )
        );
        assert_eq!(batch(0).organization, "acme");
        assert!(batch(0).items.iter().all(|item| item.organization.is_empty()));
        assert_eq!(questions.batch(), Some(3));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_with_its_line() {
        let wrong = |name, text| questions(name, text, None).unwrap_err().to_string();
        let error = wrong(
            "asked.jsonl",
            "\n{\"principal\": \"ana\"}\n{\"principal\": \"ana\", \"permission\": \"x\", \"expect\": 1}\n[",
        );
        let lines: Vec<&str> = error.lines().map(|line| line.split_once("asked.jsonl:").unwrap().1).collect();
        assert_eq!(lines.len(), 3, "{error}");
        assert!(lines[0].starts_with("2:1: ") && lines[0].contains("permission"), "{error}");
        assert!(lines[1].starts_with("3:") && lines[1].contains("expect: unknown key"), "{error}");
        assert!(lines[2].starts_with("4:"), "{error}");
        assert!(wrong("asked.jsonl", "\n \n").ends_with("there is no question of `authorize` in it"));
        let only_lists = "organization: acme\ncases: [{permissions: {principal: ana}, expect_permissions: []}]";
        assert!(wrong("cases.yaml", only_lists).ends_with("there is no question of `authorize` in it"));
        let clock = "organization: acme\nnow: 2026-11-22T12:00:00Z\ncases: []";
        assert!(wrong("cases.yaml", clock).contains("`now` cannot be set"));
    }
}
