//! Writes that were answered, so that a retry gets the first answer.

use std::collections::{HashMap, VecDeque};

use sha2::{Digest, Sha256};

use crate::core::model::Millis;

use super::rows::Answered;
use super::write::Call;

/// How long an answered request id is remembered (API.md).
pub const REQUEST_ID_KEPT_MS: Millis = 24 * 60 * 60 * 1_000;
/// How many are remembered in one organization; more within a day are refused.
pub const MAX_REQUEST_IDS: usize = 200_000;

/// Those of one organization, or of one super-organization.
#[derive(Default)]
pub(super) struct Answers {
    known: HashMap<Vec<u8>, Answered>,
    /// By age.
    order: VecDeque<(Millis, Vec<u8>)>,
}

impl Answers {
    pub(super) fn new(mut answered: Vec<Answered>) -> Self {
        answered.sort_by_key(|a| a.at);
        let order = answered.iter().map(|a| (a.at, a.id.clone())).collect();
        let known = answered.into_iter().map(|a| (a.id.clone(), a)).collect();
        Self { known, order }
    }

    /// What a request was answered, if it is not too long ago.
    pub(super) fn find(&self, id: Option<&Vec<u8>>, now: Millis) -> Option<&Answered> {
        self.known.get(id?).filter(|answered| answered.at > now - REQUEST_ID_KEPT_MS)
    }

    /// Drops request ids that are old enough to be forgotten, and returns them.
    pub(super) fn forget(&mut self, now: Millis) -> Vec<Vec<u8>> {
        let mut gone = Vec::new();
        while let Some((at, id)) = self.order.front() {
            if *at > now - REQUEST_ID_KEPT_MS {
                break;
            }
            self.known.remove(id);
            gone.push(id.clone());
            self.order.pop_front();
        }
        gone
    }

    pub(super) fn is_full(&self) -> bool {
        self.known.len() >= MAX_REQUEST_IDS
    }

    pub(super) fn remember(&mut self, answered: Answered) {
        self.order.push_back((answered.at, answered.id.clone()));
        self.known.insert(answered.id.clone(), answered);
    }
}

/// Request ids are keyed by caller and method too (each organization has its own map).
pub(super) fn request_id(call: &Call) -> Option<Vec<u8>> {
    if call.request_id.is_empty() || call.validate_only {
        return None;
    }
    let mut hash = Sha256::new();
    let parts = [call.caller.as_str(), call.method, &call.request_id];
    for part in parts.into_iter().chain(call.on_behalf_of.as_deref()) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Some(hash.finalize().to_vec())
}
