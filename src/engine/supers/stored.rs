//! How a super-organization lies in the store.
//!
//! Its scope is its id behind a mark that no organization's id begins with. When it is deleted its rows
//! go and its scope stays, so that one created again goes on counting, with a history of its own.

use std::sync::Arc;

use imbl::OrdSet;
use minicbor::{Decode, Encode};

use crate::core::id::Id;
use crate::core::lists::SuperOrganization;
use crate::core::model::Millis;
use crate::engine::answers::Answers;
use crate::engine::rows::{self, Birth, Stored, encode};
use crate::store::{PolicyStore, RowWrite, StoreError};

use super::{Head, State};

const MARK: char = '~';
/// What it is called.
const NAMED: u8 = 1;
/// An element of the denylist.
const DENIED: u8 = 2;

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
struct Named {
    #[n(0)]
    display_name: String,
}

/// One revision in the log of a super-organization.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(super) struct Logged {
    /// When it was decided.
    #[n(0)]
    pub at: Millis,
    /// Who did it.
    #[n(1)]
    pub caller: String,
    /// By which call.
    #[n(2)]
    pub method: String,
    /// What it is called from then on; none if it was deleted.
    #[n(3)]
    pub display_name: Option<String>,
    /// What came onto the denylist.
    #[n(4)]
    pub denied: Vec<Id>,
    /// What went from it.
    #[n(5)]
    pub freed: Vec<Id>,
}

/// The scope of a super-organization.
pub(super) fn scope(id: &Id) -> String {
    format!("{MARK}{id}")
}

/// Whether it is a super-organization's.
pub(in crate::engine) fn is_scope(scope: &str) -> bool {
    scope.starts_with(MARK)
}

/// The rows that lead from one version to the next.
pub(super) fn rows(
    before: Option<&SuperOrganization>,
    after: Option<&SuperOrganization>,
    denied: &[Id],
    freed: &[Id],
) -> Vec<RowWrite> {
    let row = |kind: u8, id: &str, value| {
        let mut key = vec![kind];
        key.extend_from_slice(id.as_bytes());
        RowWrite { key, value }
    };
    let mut writes = Vec::with_capacity(denied.len() + freed.len() + 2);
    match after {
        Some(after) => {
            if before.is_none_or(|before| before.history != after.history) {
                writes.push(rows::of_birth(&Birth {
                    history: after.history.to_string(),
                    seed: 0,
                    base: 0,
                    ended: false,
                }));
            }
            writes.push(row(NAMED, "", Some(encode(&Named { display_name: after.display_name.clone() }))));
        }
        None => {
            writes.push(rows::no_birth());
            writes.push(row(NAMED, "", None));
        }
    }
    writes.extend(denied.iter().map(|id| row(DENIED, id.as_str(), Some(encode(id)))));
    writes.extend(freed.iter().map(|id| row(DENIED, id.as_str(), None)));
    writes
}

/// What the store has of a super-organization.
///
/// # Errors
/// The store's, or rows that no version of this program wrote.
pub(in crate::engine) fn load(store: &dyn PolicyStore, scope: &str) -> Result<(Id, Head, State), StoreError> {
    let unreadable = |e: &dyn std::fmt::Display| StoreError::Unreadable(e.to_string());
    let id = Id::parse(scope.trim_start_matches(MARK)).map_err(|e| unreadable(&e))?;
    let (mut history, mut display_name) = (None, String::new());
    let (mut denylist, mut answered) = (OrdSet::new(), Vec::new());
    let revision = store.load(scope, &mut |key, value| {
        match key.first() {
            Some(&NAMED) => display_name = minicbor::decode::<Named>(value).map_err(|e| unreadable(&e))?.display_name,
            Some(&DENIED) => drop(denylist.insert(minicbor::decode(value).map_err(|e| unreadable(&e))?)),
            _ => match rows::read(key, value)? {
                Stored::Birth(birth) => history = Some(birth.history),
                Stored::Answered(a) => answered.push(a),
                Stored::Row(_) | Stored::Tip(_) | Stored::Marks(_) => {
                    return Err(unreadable(&"an organization's row in a super-organization"));
                }
            },
        }
        Ok(())
    })?;
    let state = history.map(|history| {
        let (id, history) = (id.clone(), history.into());
        Arc::new(SuperOrganization { id, history, revision, display_name, denylist })
    });
    let head = Head { state: state.clone(), revision, answers: Answers::new(answered), ..Head::default() };
    let published = State { id: id.clone(), revision, current: state };
    Ok((id, head, published))
}
