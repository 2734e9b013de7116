//! Refusals in the log, and what a flood of them costs.
//!
//! Of each caller [`MAX_REFUSALS`] refusals are logged one by one in [`REFUSAL_WINDOW`]; further ones are
//! counted, and when the window ends one entry says how many. So a caller that is refused a million times
//! a minute costs 31 entries. What cannot be logged (the disk is low, too much waits) is counted too. The
//! reply of a refused call waits for its entry, but not for long, and is a refusal whatever becomes of it
//! (INVARIANT 4). A count that no entry tells of yet is lost with the process, but not by its orderly end,
//! nor by the organization's.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{Ending, Note, Origin, Trail};
use crate::engine::{Engine, lock};

/// Refusals of one caller that are logged one by one in a window.
pub const MAX_REFUSALS: u32 = 30;
/// How long they are counted together.
pub const REFUSAL_WINDOW: Duration = Duration::from_mins(1);
/// The reason of the entry that counts refusals.
pub const COUNTED: &str = "REFUSALS_COUNTED";
/// How long the reply of a refused call waits for its entry.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// Callers that are told apart; the others share a count.
const MAX_CALLERS: usize = 1_000;

pub(super) type Floods = HashMap<String, Flood>;

/// The refusals of a caller in the window.
#[derive(Default)]
pub(super) struct Flood {
    logged: u32,
    counted: u64,
}

impl Engine {
    /// Logs what an organization of this history refused, in bounds; nothing if that history is over. Returns
    /// when it is on disk, or when there is no point in waiting.
    pub async fn refused(self: &Arc<Self>, organization: &str, history: &str, note: Note) {
        let Some(trail) = self.trail(organization).filter(|trail| *trail.history == *history) else { return };
        let caller = note.origin.caller.clone();
        let (caller, one_by_one) = self.count(&trail, caller);
        if !one_by_one {
            return;
        }
        match self.append(&trail, note, Vec::new()) {
            Ok(durable) => {
                // Whatever comes of it, the call is refused.
                let _ = tokio::time::timeout(MAX_WAIT, durable).await;
            }
            Err(error) => {
                tracing::warn!(organization, %error, "a refusal could not be logged");
                lock(&trail.floods).entry(caller).or_default().counted += 1;
            }
        }
    }

    /// Whether a refusal is logged by itself, and under which name it is counted.
    fn count(self: &Arc<Self>, trail: &Arc<Trail>, caller: String) -> (String, bool) {
        let mut floods = lock(&trail.floods);
        let known = floods.contains_key(&caller);
        let caller = if known || floods.len() < MAX_CALLERS { caller } else { String::new() };
        let flood = floods.entry(caller.clone()).or_insert_with(|| {
            settle_later(Arc::downgrade(self), Arc::downgrade(trail), caller.clone());
            Flood::default()
        });
        let one_by_one = flood.logged < MAX_REFUSALS;
        if one_by_one {
            flood.logged += 1;
        } else {
            flood.counted += 1;
        }
        (caller, one_by_one)
    }

    /// Logs what was only counted, as the end of a window does.
    pub fn settle_refusals(&self) {
        let trails: Vec<Arc<Trail>> = self.trails.iter().map(|trail| Arc::clone(&trail)).collect();
        for trail in trails {
            self.settle_all(&trail);
        }
    }

    /// The same, for one log.
    pub(in crate::engine) fn settle_all(&self, trail: &Arc<Trail>) {
        let mut callers: Vec<String> = lock(&trail.floods).keys().cloned().collect();
        callers.sort();
        for caller in callers {
            self.settle(trail, caller);
        }
    }

    /// Ends a caller's window; whether what it counted is told.
    fn settle(&self, trail: &Arc<Trail>, caller: String) -> bool {
        let Some(flood) = lock(&trail.floods).remove(&caller).filter(|flood| flood.counted > 0) else { return true };
        let whose = if caller.is_empty() { "other callers" } else { &caller };
        let (count, plural) = (flood.counted, if flood.counted == 1 { "call" } else { "calls" });
        let note = Note {
            origin: Origin { caller: caller.clone(), ..Origin::default() },
            ending: Ending::Refused,
            reason: COUNTED.to_owned(),
            summary: format!("{count} more {plural} of {whose} refused, and not logged one by one"),
            account: None,
            emergency_activation: None,
        };
        let told = self.append(trail, note, Vec::new()).is_ok();
        if !told {
            lock(&trail.floods).entry(caller).or_default().counted += count;
        }
        told
    }
}

/// Neither the engine nor the log is kept for it.
fn settle_later(engine: Weak<Engine>, trail: Weak<Trail>, caller: String) {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(REFUSAL_WINDOW).await;
            match (engine.upgrade(), trail.upgrade()) {
                (Some(engine), Some(trail)) if !engine.settle(&trail, caller.clone()) => {}
                _ => return,
            }
        }
    });
}
