//! The way of a write of a super-organization, and reading one.

use std::sync::Arc;
use std::time::Duration;

use imbl::OrdSet;
use imbl::ordset::DiffItem;
use tokio::sync::oneshot;

use crate::clock::hex;
use crate::core::id::Id;
use crate::core::lists::SuperOrganization;
use crate::engine::answers::request_id;
use crate::engine::rows::{self, Answered, encode};
use crate::engine::write::Step;
use crate::engine::{
    AtLeast, Call, Create, Durable, Engine, MAX_REVISION_WAIT, ReadError, Revision, WriteError, Written, lock,
};
use crate::store::Commit;

use super::stored::{self, Logged};
use super::{Head, State};

/// What a write makes of a super-organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuperContent {
    /// For people.
    pub display_name: String,
    /// The elements that nobody in its organizations sees.
    pub denylist: OrdSet<Id>,
}

/// What a write of a super-organization came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuperOutcome {
    /// What there was.
    pub before: Option<Arc<SuperOrganization>>,
    /// What there is; what would be, for a dry run.
    pub after: Option<Arc<SuperOrganization>>,
    /// The revision made; the one there was for a dry run, or if nothing changes.
    pub revision: Revision,
}

/// Revisions that a refusal was derived from, of organizations' scopes.
type Seen = Vec<(Id, u64)>;

impl Engine {
    /// Plans a change of the super-organization `call.organization`, stores it and publishes it to all of
    /// its organizations. `plan` sees the newest version and says what is to be: nothing, to delete it.
    ///
    /// # Errors
    /// See [`WriteError`]. An error leaves nothing changed, `Stopping` aside.
    pub async fn write_super<E, P, R>(self: &Arc<Self>, call: Call, plan: P, reply: R) -> Result<Written, WriteError<E>>
    where
        E: Send + 'static,
        P: FnOnce(Option<&SuperOrganization>) -> Result<Option<SuperContent>, E> + Send + 'static,
        R: FnOnce(&SuperOutcome) -> Vec<u8> + Send + 'static,
    {
        let engine = Arc::clone(self);
        let id = call.organization.clone();
        let step = tokio::task::spawn_blocking(move || engine.write_super_blocking(&call, plan, reply)).await;
        let (step, tentative, seen) = step.map_err(|_| WriteError::Stopping)?;
        if let Ok(Step::Submitted(reply, durable)) = step {
            durable.await.map_err(|_| WriteError::Stopping)?;
            return Ok(Written { reply, replayed: false });
        }
        // What was derived from what is on its way to the disk is told only once it is there.
        self.super_durable(&id, tentative).await?;
        for (organization, revision) in seen {
            self.durable(&organization, revision).await?;
        }
        match step? {
            Step::Unchanged { reply, replayed } => Ok(Written { reply, replayed }),
            Step::Submitted(..) => Err(WriteError::Stopping),
        }
    }

    /// Waits until a super-organization's revision is on disk and published.
    pub(in crate::engine) async fn super_durable<E>(&self, id: &Id, revision: u64) -> Result<(), WriteError<E>> {
        if revision == 0 {
            return Ok(());
        }
        loop {
            if let Some(mut states) = self.supers.follow(id.as_str()) {
                let reached = states.wait_for(|state| state.revision >= revision).await;
                return reached.map(drop).map_err(|_| WriteError::Stopping);
            }
            // Its very first revision is on its way to the disk.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn write_super_blocking<E>(
        &self,
        call: &Call,
        plan: impl FnOnce(Option<&SuperOrganization>) -> Result<Option<SuperContent>, E>,
        reply: impl FnOnce(&SuperOutcome) -> Vec<u8>,
    ) -> (Result<Step, WriteError<E>>, u64, Seen) {
        let id = &call.organization;
        let found = match call.create {
            Create::Never => self.super_heads.find(id),
            Create::IfMissing | Create::Always => Some(self.super_heads.find_or_make(id)),
        };
        let Some(found) = found else {
            return (Err(WriteError::UnknownSuperOrganization(id.to_string())), 0, Vec::new());
        };
        let mut head = lock(&found);
        let mut seen = Vec::new();
        let step = self.write_super_locked(call, &mut head, plan, reply, &mut seen);
        (step, head.revision, seen)
    }

    fn write_super_locked<E>(
        &self,
        call: &Call,
        head: &mut Head,
        plan: impl FnOnce(Option<&SuperOrganization>) -> Result<Option<SuperContent>, E>,
        reply: impl FnOnce(&SuperOutcome) -> Vec<u8>,
        seen: &mut Seen,
    ) -> Result<Step, WriteError<E>> {
        let now = self.clock.now();
        let request = request_id(call);
        if let Some(answered) = head.answers.find(request.as_ref(), now) {
            if answered.body != call.body {
                return Err(WriteError::RequestIdReused);
            }
            return Ok(Step::Unchanged { reply: answered.reply.clone(), replayed: true });
        }
        let before = head.state.clone();
        let name = || call.organization.to_string();
        match (call.create, &before) {
            (Create::Never, None) => return Err(WriteError::UnknownSuperOrganization(name())),
            (Create::Always, Some(_)) => return Err(WriteError::SuperOrganizationExists(name())),
            _ => {}
        }
        let content = plan(before.as_deref()).map_err(WriteError::Plan)?;
        let history = match &before {
            Some(before) => Arc::clone(&before.history),
            None => hex(&self.clock.random()?).into(),
        };
        let revision = head.revision + 1;
        let after = content.map(|SuperContent { display_name, denylist }| {
            let (id, history) = (call.organization.clone(), Arc::clone(&history));
            Arc::new(SuperOrganization { id, history, revision, display_name, denylist })
        });
        check(head, after.as_deref(), seen).map_err(WriteError::SuperOrganization)?;
        let content = |state: &Option<Arc<SuperOrganization>>| {
            state.as_ref().map(|state| (state.display_name.clone(), state.denylist.clone()))
        };
        let unchanged = content(&before) == content(&after);
        let number = if call.validate_only || unchanged { head.revision } else { revision };
        let after = if unchanged { before.clone() } else { after };
        let outcome = SuperOutcome { before, after, revision: Revision { history, number } };
        let reply = reply(&outcome);
        if call.validate_only || unchanged {
            return Ok(Step::Unchanged { reply, replayed: false });
        }
        self.submit_super(call, head, outcome, request, reply)
    }

    fn submit_super<E>(
        &self,
        call: &Call,
        head: &mut Head,
        outcome: SuperOutcome,
        request: Option<Vec<u8>>,
        reply: Vec<u8>,
    ) -> Result<Step, WriteError<E>> {
        self.store.writable()?;
        let now = self.clock.now();
        let SuperOutcome { before, after, revision: Revision { number: revision, .. } } = outcome;
        let gone = head.answers.forget(now);
        if request.is_some() && head.answers.is_full() {
            return Err(WriteError::TooManyRequestIds);
        }
        let none = OrdSet::new();
        let list = |state: &'_ Option<Arc<SuperOrganization>>| state.as_ref().map_or(&none, |s| &s.denylist).clone();
        let (old, new) = (list(&before), list(&after));
        let (mut denied, mut freed) = (Vec::new(), Vec::new());
        for item in old.diff(&new) {
            match item {
                DiffItem::Add(id) => denied.push(id.clone()),
                DiffItem::Remove(id) => freed.push(id.clone()),
            }
        }
        let mut stored = stored::rows(before.as_deref(), after.as_deref(), &denied, &freed);
        stored.extend(gone.iter().map(|id| rows::forget_answered(id)));
        let body = call.body.to_vec();
        let answered = request.map(|id| Answered { id, body, at: now, reply: reply.clone(), revision });
        stored.extend(answered.iter().map(rows::of_answered));
        let (caller, method) = (call.caller.clone(), call.method.to_owned());
        let display_name = after.as_ref().map(|after| after.display_name.clone());
        let logged = Logged { at: now, caller, method, display_name, denied, freed };
        let scope = stored::scope(&call.organization);
        let commit = Commit { scope, revision, log: Some(encode(&logged)), rows: stored, archive: Vec::new() };
        let state = State { id: call.organization.clone(), revision, current: after.clone() };
        let (done, durable) = oneshot::channel();
        let payload = Durable { over: Some(state), ..Durable::new(done) };
        self.committer.submit(commit, payload)?;
        // INVARIANT 2: as for an organization, under the lock and in the committer's order.
        head.state = after;
        head.revision = revision;
        if let Some(answered) = answered {
            head.answers.remember(answered);
        }
        Ok(Step::Submitted(reply, durable))
    }

    /// A super-organization at `at_least` or later. Waits for the revision until `wait` has passed.
    ///
    /// # Errors
    /// It is unknown, its history another, or the revision not reached in time.
    pub async fn super_organization(
        &self,
        id: &str,
        at_least: Option<AtLeast<'_>>,
        wait: Duration,
    ) -> Result<Arc<SuperOrganization>, ReadError> {
        let unknown = || ReadError::UnknownSuperOrganization(id.to_owned());
        let mut states = self.supers.follow(id).ok_or_else(unknown)?;
        let current = |state: &State| state.current.clone().ok_or_else(unknown);
        let Some(at_least) = at_least else { return current(&states.borrow()) };
        if !at_least.history.is_empty() && *current(&states.borrow())?.history != *at_least.history {
            return Err(ReadError::OtherHistory);
        }
        let wanted = at_least.number;
        let reached = tokio::time::timeout(wait.min(MAX_REVISION_WAIT), states.wait_for(|s| s.revision >= wanted));
        let reached = reached.await.ok().and_then(Result::ok).map(|state| current(&state));
        reached.unwrap_or_else(|| Err(ReadError::NotReached { wanted, reached: states.borrow().revision }))
    }

    /// All super-organizations, by id.
    #[must_use]
    pub fn super_organizations(&self) -> Vec<Arc<SuperOrganization>> {
        self.supers.all()
    }
}

/// Rule 7.2: whether the organizations leave room for what is to be.
fn check(head: &Head, after: Option<&SuperOrganization>, seen: &mut Seen) -> Result<(), crate::core::Fault> {
    let Some(after) = after else {
        let Some((organization, member)) = head.members.first_key_value() else { return Ok(()) };
        seen.push((organization.clone(), member.revision));
        return Err(crate::core::Fault::InUse(format!("organization `{organization}`, which belongs to it")));
    };
    after.check()?;
    for (organization, member) in &head.members {
        if let Err(fault) = after.spares(organization.as_str(), &member.safelist) {
            seen.push((organization.clone(), member.revision));
            return Err(fault);
        }
    }
    Ok(())
}
