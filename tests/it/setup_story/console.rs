//! How the story is told: calls in a word, decisions in a word, and what the activity log says of each step.

use doorward::service::proto as pb;
use doorward::service::proto::activity_service_client::ActivityServiceClient;
use doorward::service::proto::decision_service_client::DecisionServiceClient;
use tonic::transport::Channel;

use crate::callers::Who;

pub fn acme() -> String {
    "acme".to_owned()
}

pub fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// The type of a text.
pub const TEXT: pb::FieldType = pb::FieldType { scalar: pb::ScalarType::String as i32, list: false };

/// The administrator's console: every call is made on somebody's behalf, whose permissions decide.
pub struct Console {
    pub who: Who,
    pub channel: Channel,
}

macro_rules! ask {
    ($console:expr, $client:ident . $rpc:ident ( $message:ident { $($field:ident: $value:expr),* $(,)? } )) => {{
        let request = pb::$message { organization: acme(), $($field: $value.into(),)* ..Default::default() };
        $client::new($console.channel.clone()).$rpc($console.who.request(request)).await
    }};
}

macro_rules! done {
    ($console:expr, $client:ident . $rpc:ident ( $message:ident { $($field:ident: $value:expr),* $(,)? } )) => {
        ask!($console, $client.$rpc($message { $($field: $value),* })).unwrap().into_inner()
    };
}

impl Console {
    /// The decision in a word: `ALLOWED`, or why not.
    pub async fn may(&self, principal: &str, permission: &str, record: Option<(&str, &str)>) -> String {
        let record = record.map(|(id, region)| pb::Record {
            id: id.into(),
            attributes: [("region".to_owned(), string(region))].into(),
            ..Default::default()
        });
        let resource = pb::Resource { object: "cases".into(), record, ..Default::default() };
        let answer = done!(
            self,
            DecisionServiceClient.authorize(AuthorizeRequest {
                principal: principal,
                permission: permission,
                resource: resource,
            })
        );
        answer.reason().as_str_name().trim_start_matches("REASON_").to_owned()
    }
}

pub fn string(text: &str) -> pb::Value {
    pb::Value { kind: Some(pb::value::Kind::StringValue(text.into())) }
}

pub(super) use {ask, done};

/// What the activity log got since somebody looked.
pub struct Log {
    reader: Who,
    channel: Channel,
    seen: u64,
}

impl Log {
    /// From now on, as somebody reads it who holds `activity.read`.
    pub async fn begin(reader: Who, channel: Channel) -> Self {
        let mut log = Self { reader, channel, seen: 0 };
        log.seen = log.verified().await.last_sequence;
        log
    }

    /// What came since the last look is exactly this, each of it by the portal on somebody's behalf, or in
    /// the name of `whose`, a service account.
    #[track_caller]
    pub fn says(&mut self, whose: &str, expected: &[&str]) -> impl Future<Output = ()> {
        let at = std::panic::Location::caller();
        async move {
            let calls = self.since().await;
            let whose = match whose.strip_prefix("user:") {
                Some(_) => ("service:portal", whose),
                None => (whose, ""),
            };
            let said: Vec<String> = calls
                .iter()
                .map(|call| {
                    assert_eq!((call.caller.as_str(), call.on_behalf_of.as_str()), whose, "{at}: {call:?}");
                    let rpc = call.method.trim_start_matches("doorward.v1.");
                    match call.outcome() {
                        pb::ActivityOutcome::Applied => {
                            assert!(call.revision.is_some() && call.change_count > 0, "{call:?}");
                            format!("{rpc}: {}", call.summary)
                        }
                        pb::ActivityOutcome::Refused => {
                            assert!(call.revision.is_none() && call.change_count == 0, "{call:?}");
                            format!("{rpc}: {}: {}", call.reason, call.summary)
                        }
                        other => panic!("{other:?}"),
                    }
                })
                .collect();
            // What only begins like this, ends with `…`.
            let like = |(said, expected): (&String, &&str)| match expected.strip_suffix('…') {
                Some(beginning) => said.starts_with(beginning),
                None => said == expected,
            };
            let alike = said.len() == expected.len() && said.iter().zip(expected).all(like);
            assert!(alike, "{at}: {said:#?}, expected {expected:#?}");
        }
    }

    /// The entries since the last look, of which none is missing.
    async fn since(&mut self) -> Vec<pb::ActivityEntry> {
        let request = pb::ListActivityRequest { organization: acme(), page_size: 1_000, ..Default::default() };
        let reply = ActivityServiceClient::new(self.channel.clone()).list_activity(self.reader.request(request)).await;
        let mut entries = reply.unwrap().into_inner().entries;
        entries.retain(|entry| entry.sequence > self.seen);
        entries.reverse();
        assert!(entries.iter().map(|entry| entry.sequence).eq((self.seen + 1..).take(entries.len())));
        self.seen += entries.len() as u64;
        entries
    }

    /// The whole chain, which must be intact.
    pub async fn verified(&self) -> pb::VerifyActivityResponse {
        let request = pb::VerifyActivityRequest { organization: acme(), ..Default::default() };
        let reply =
            ActivityServiceClient::new(self.channel.clone()).verify_activity(self.reader.request(request)).await;
        let verified = reply.unwrap().into_inner();
        assert!(verified.intact && verified.entries_verified == verified.last_sequence, "{verified:?}");
        verified
    }

    /// Up to where it was looked at.
    pub fn seen(&self) -> u64 {
        self.seen
    }
}
