//! Who makes the calls of a replay, and what is asked of each of them: refused or only tried, it changes nothing.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use doorward::clock::Clock;
use doorward::core::table::Table;
use doorward::engine::Engine;
use doorward::service::proto as pb;
use doorward::service::{Admin, Caller};
use doorward::store::PolicyStore;
use fastrand::Rng;
use tonic::{Response, Status};

use super::{NOW, SeededClock};
use crate::activity::operator;
use crate::wire::reason;

/// Every reason for which a call of the player may be refused. They are part of the API: clients go by them.
const REASONS: [&str; 39] = [
    "ALREADY_ACTIVE",
    "ALREADY_EXISTS",
    "AUTO_CREATION_REFUSED",
    "BUILT_IN",
    "CONDITION",
    "CONDITION_BROKEN",
    "CREDENTIAL_ENDED",
    "CREDENTIAL_ROTATED",
    "CYCLE",
    "DEFAULT_ACCOUNTS",
    "DUPLICATE",
    "ELEMENT_LISTED",
    "EMAIL_TAKEN",
    "EMPTY_PERIOD",
    "GROUP_NOT_USABLE",
    "HANDS_OUT_MORE",
    "ILLEGAL_STATUS_MOVE",
    "IMMUTABLE",
    "INVALID_REQUEST",
    "INVITE_POLICY",
    "IN_USE",
    "LAST_ADMINISTRATOR",
    "LAST_LISTED",
    "MISPLACED",
    "NAME_TAKEN",
    "NOT_FOUND",
    "NOT_MANUAL",
    "NOT_NAMED",
    "PERMISSION_DENIED",
    "PRINCIPAL_INACTIVE",
    "PRINCIPAL_INVITED",
    "PRINCIPAL_LIMITED",
    "PRINCIPAL_UNKNOWN",
    "SEPARATION_OF_DUTIES",
    "SIGN_ON_MISMATCH",
    "SIGN_ON_TAKEN",
    "UNKNOWN_REFERENCE",
    "UNKNOWN_SUPER_ORGANIZATION",
    "WRONG_SCOPE",
];

/// Plays calls against an engine.
pub struct Player {
    pub(super) admin: Admin,
    pub(super) engine: Arc<Engine>,
    pub(super) clock: Arc<SeededClock>,
    pub(super) rng: Rng,
    pub(super) caller: Caller,
    /// Each call with what came of it.
    pub(super) told: Vec<String>,
    /// By RPC: how often it was carried out, and how often refused.
    pub(super) counts: BTreeMap<&'static str, (u32, u32)>,
    /// By reason: how often a call was refused for it.
    pub(super) reasons: BTreeMap<String, u32>,
    pub(super) credentials: Vec<String>,
    pub(super) activations: Vec<String>,
    pub(super) tokens: Vec<[u8; 32]>,
    pub(super) seed: u64,
    pub(super) preset: pb::Preset,
    pub(super) roles: [&'static str; 6],
}

macro_rules! play {
    ($p:expr, $rpc:ident $message:ident { $($field:ident: $value:expr),* $(,)? }) => {
        play!($p, $rpc pb::$message {
            organization: "acme".into(),
            $($field: $value.into(),)*
            ..Default::default()
        })
    };
    ($p:expr, $rpc:ident $request:expr) => {{
        let mut request = $request;
        request.validate_only = $p.rng.u8(0..25) == 0;
        let again = $p.rng.u8(0..12) == 0;
        if again {
            request.request_id = format!("request-{}", $p.told.len());
        }
        let before = $p.stands();
        let reply = $p.admin.$rpc(by(&$p.caller, request.clone())).await;
        $p.note(stringify!($rpc), &reply);
        if reply.is_err() || request.validate_only {
            assert_eq!($p.stands(), before, "{request:?} by {:?}: {reply:?}", $p.caller);
        }
        if again {
            // Whatever came of it, it comes of it once.
            let before = $p.stands();
            let reply = $p.admin.$rpc(by(&$p.caller, request)).await;
            $p.note(stringify!($rpc), &reply);
            assert_eq!($p.stands(), before, "made again: {reply:?}");
        }
        reply.ok().map(Response::into_inner)
    }};
}

pub(super) use play;

impl Player {
    pub(super) fn over(store: Arc<dyn PolicyStore>, seed: u64, randomness: u64) -> Self {
        let clock = Arc::new(SeededClock { now: AtomicI64::new(NOW), seed: randomness, drawn: AtomicU64::new(0) });
        let engine = Engine::open(store, Arc::clone(&clock) as Arc<dyn Clock>, |error| panic!("{error}"));
        let engine = Arc::new(engine.unwrap());
        let (preset, roles) = match seed % 2 {
            0 => (pb::Preset::Integration, ["r0", "r1", "r2", "r3", "default-user", "org-admin"]),
            _ => (pb::Preset::Workspace, ["r0", "r1", "r2", "r3", "organization-admin", "content-viewer"]),
        };
        Self {
            admin: Admin::new(Arc::clone(&engine)),
            engine,
            clock,
            rng: Rng::with_seed(seed),
            caller: operator(),
            told: Vec::new(),
            counts: BTreeMap::new(),
            reasons: BTreeMap::new(),
            credentials: Vec::new(),
            activations: Vec::new(),
            tokens: Vec::new(),
            seed,
            preset,
            roles,
        }
    }

    pub(super) fn note<R: Debug>(&mut self, rpc: &'static str, reply: &Result<Response<R>, Status>) {
        let (done, refused) = self.counts.entry(rpc).or_default();
        let told = match reply {
            Ok(reply) => {
                *done += 1;
                format!("{:?}", reply.get_ref())
            }
            Err(status) => {
                *refused += 1;
                let reason = reason(status);
                assert!(REASONS.contains(&reason.as_str()), "{rpc}: a new reason, {status:?}");
                let told = format!("{reason}: {}", status.message());
                *self.reasons.entry(reason).or_default() += 1;
                told
            }
        };
        self.told.push(format!("{rpc} by {}: {told}", self.caller.name));
    }

    /// Where all are, if there are any: the organization and those above it, each with its history and revision.
    pub(super) fn stands(&self) -> Vec<(String, u64)> {
        let stands = |table: &Table| (table.history().to_string(), table.revision());
        let above = self.engine.super_organizations();
        let above = above.iter().map(|one| (one.history.to_string(), one.revision));
        self.engine.with_table("acme", None, stands).into_iter().chain(above).collect()
    }
}
