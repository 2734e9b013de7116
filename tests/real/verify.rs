//! Asks a server for every pair and every list, and compares.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use doorward::service::proto::batch_authorize_result::Outcome;
use doorward::service::proto::decision_service_client::DecisionServiceClient;
use doorward::service::proto::{
    AuthorizeRequest, BatchAuthorizeRequest, Decision, ListPermissionsRequest, Reason, Resource,
};
use tokio::task::JoinSet;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

use crate::matrix::{Expected, OBJECT};
use crate::server::Server;

/// The most items that a batch may have.
const ITEMS: usize = 10_000;
const IN_FLIGHT: usize = 4;
const PAGE: i32 = 1_000;
/// Differences that are shown.
const SHOWN: usize = 5;

/// What is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Object,
    Organization,
}

impl Place {
    fn resource(self) -> Option<Resource> {
        let object = Resource { object: OBJECT.to_owned(), ..Resource::default() };
        (self == Self::Object).then_some(object)
    }
}

#[derive(Default)]
struct Counts {
    allowed: usize,
    denied: usize,
    different: usize,
    shown: Vec<String>,
}

impl Counts {
    fn differs(&mut self, text: String) {
        self.different += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(text);
        }
    }

    fn add(&mut self, other: Self) {
        self.allowed += other.allowed;
        self.denied += other.denied;
        self.different += other.different;
        self.shown.extend(other.shown);
    }

    fn result(self, text: String) -> Result<String, String> {
        if self.different == 0 {
            Ok(text)
        } else {
            Err(format!("{} differ:\n  {}", self.different, self.shown.join("\n  ")))
        }
    }
}

/// A connection to one organization on a server.
#[derive(Clone)]
pub struct Verifier {
    client: DecisionServiceClient<Channel>,
    token: MetadataValue<Ascii>,
    organization: Arc<str>,
    permissions: Arc<[String]>,
}

impl Verifier {
    pub async fn connect(server: &Server, organization: &str, permissions: &[String]) -> Result<Self, String> {
        let token = format!("Bearer {}", server.token()?).parse().map_err(|_| "the token is no header value")?;
        let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).map_err(|e| e.to_string())?;
        let channel = endpoint.connect().await.map_err(|e| e.to_string())?;
        let client = DecisionServiceClient::new(channel);
        Ok(Self { client, token, organization: organization.into(), permissions: permissions.into() })
    }

    fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert("authorization", self.token.clone());
        request
    }

    /// Every permission of every user: allowed if expected, and otherwise denied for lack of it.
    pub async fn pairs(&self, expected: &Expected, place: Place) -> Result<String, String> {
        let started = Instant::now();
        let mut counts = Counts::default();
        let mut running: JoinSet<Result<Counts, String>> = JoinSet::new();
        let mut batch: Vec<Pair> = Vec::with_capacity(ITEMS);
        for (user, held) in expected {
            for (number, permission) in self.permissions.iter().enumerate() {
                batch.push(Pair { user: user.clone(), permission: number, allowed: held.contains(permission) });
                if batch.len() == ITEMS {
                    if running.len() == IN_FLIGHT {
                        join(&mut running, &mut counts).await?;
                    }
                    running.spawn(self.clone().batch(std::mem::take(&mut batch), place));
                }
            }
        }
        if !batch.is_empty() {
            running.spawn(self.clone().batch(batch, place));
        }
        while !running.is_empty() {
            join(&mut running, &mut counts).await?;
        }
        let (allowed, denied) = (counts.allowed, counts.denied);
        let all = expected.len() * self.permissions.len();
        if counts.different == 0 && allowed + denied != all {
            return Err(format!("{} pairs were answered, not {all}", allowed + denied));
        }
        counts.result(format!(
            "{all} pairs, {allowed} allowed, {denied} denied, in {:.1} s",
            started.elapsed().as_secs_f64()
        ))
    }

    async fn batch(mut self, pairs: Vec<Pair>, place: Place) -> Result<Counts, String> {
        let items = pairs.iter().map(|pair| AuthorizeRequest {
            principal: format!("user:{}", pair.user),
            permission: self.permissions[pair.permission].clone(),
            resource: place.resource(),
            ..AuthorizeRequest::default()
        });
        let items = items.collect();
        let message =
            BatchAuthorizeRequest { organization: self.organization.to_string(), items, ..Default::default() };
        let request = self.request(message);
        let results = self.client.batch_authorize(request).await.map_err(|s| s.to_string())?.into_inner().results;
        if results.len() != pairs.len() {
            return Err(format!("{} results for {} items", results.len(), pairs.len()));
        }
        let mut counts = Counts::default();
        for (pair, result) in pairs.iter().zip(results) {
            let answer = match &result.outcome {
                Some(Outcome::Decision(d)) => (d.decision(), d.reason()),
                _ => (Decision::Unspecified, Reason::Unspecified),
            };
            match (answer, pair.allowed) {
                ((Decision::Allow, Reason::Allowed), true) => counts.allowed += 1,
                ((Decision::Deny, Reason::NoPermission), false) => counts.denied += 1,
                (_, allowed) => {
                    let (user, permission) = (&pair.user, &self.permissions[pair.permission]);
                    let wanted = if allowed { "allowed" } else { "denied" };
                    counts.differs(format!("`{user}` {permission} is to be {wanted}: {:?}", result.outcome));
                }
            }
        }
        Ok(counts)
    }

    /// Every user's list: exactly what is expected, in alphabetical order.
    pub async fn lists(&self, expected: &Expected, place: Place) -> Result<String, String> {
        let started = Instant::now();
        let mut counts = Counts::default();
        let mut running: JoinSet<Result<Counts, String>> = JoinSet::new();
        for (user, held) in expected {
            if running.len() == IN_FLIGHT * 4 {
                join(&mut running, &mut counts).await?;
            }
            running.spawn(self.clone().list(user.clone(), held.clone(), place));
        }
        while !running.is_empty() {
            join(&mut running, &mut counts).await?;
        }
        let listed = counts.allowed;
        counts.result(format!(
            "{} lists, {listed} permissions, in {:.1} s",
            expected.len(),
            started.elapsed().as_secs_f64()
        ))
    }

    async fn list(mut self, user: String, held: BTreeSet<String>, place: Place) -> Result<Counts, String> {
        let mut listed: Vec<String> = Vec::new();
        let mut page_token = String::new();
        loop {
            let message = ListPermissionsRequest {
                organization: self.organization.to_string(),
                principal: format!("user:{user}"),
                resource: place.resource(),
                page_size: PAGE,
                page_token,
                ..Default::default()
            };
            let request = self.request(message);
            let reply = self.client.list_permissions(request).await.map_err(|s| s.to_string())?.into_inner();
            listed.extend(reply.permissions);
            page_token = reply.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let mut counts = Counts { allowed: listed.len(), ..Counts::default() };
        if !listed.iter().eq(held.iter()) {
            let given: BTreeSet<String> = listed.iter().cloned().collect();
            let missing: Vec<&String> = held.difference(&given).take(3).collect();
            let more: Vec<&String> = given.difference(&held).take(3).collect();
            let order = if given.len() == listed.len() { "" } else { " (some twice)" };
            counts.differs(format!("`{user}`: {} listed{order}; missing {missing:?}, too many {more:?}", listed.len()));
        }
        Ok(counts)
    }
}

struct Pair {
    user: String,
    permission: usize,
    allowed: bool,
}

async fn join(running: &mut JoinSet<Result<Counts, String>>, counts: &mut Counts) -> Result<(), String> {
    if let Some(done) = running.join_next().await {
        counts.add(done.map_err(|e| e.to_string())??);
    }
    Ok(())
}
