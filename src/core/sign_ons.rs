//! The identities that login services verified, on their way into a version (rule 2.4): each is bound
//! to one user at most.

use std::collections::BTreeMap;

use super::draft::{Draft, twice};
use super::fault::Fault;
use super::id::OpaqueId;
use super::limits::{MAX_ISSUER_BYTES, MAX_SIGN_ONS, MAX_SUBJECT_BYTES};
use super::model::{Key, SignOn};
use super::pages::{Edit, EditRow};

/// What an identity is known by: neither part has a control character.
pub(super) fn name(sign_on: &SignOn) -> String {
    format!("{}\0{}", sign_on.issuer, sign_on.subject)
}

impl SignOn {
    /// Whether it may be stored: both parts are there, within bounds and without control characters.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let sound = |text: &str, limit| (1..=limit).contains(&text.len()) && !text.chars().any(char::is_control);
        sound(&self.issuer, MAX_ISSUER_BYTES) && sound(&self.subject, MAX_SUBJECT_BYTES)
    }
}

impl Draft {
    /// Notes which identities a user that is put has and is to have.
    pub(super) fn claim_sign_ons(&mut self, key: &Key, id: &OpaqueId, old: Vec<SignOn>, new: &[SignOn]) {
        if old == new {
            return;
        }
        self.bound(key, new.len() > MAX_SIGN_ONS, "identities of one user", MAX_SIGN_ONS);
        self.note(key, "sign_ons", twice(new));
        if !new.iter().all(SignOn::is_sound) {
            let fault = Fault::Misplaced("an identity has an issuer and a subject without control characters");
            self.violation(key.clone(), "sign_ons", fault);
        }
        let claim = self.sign_ons.entry(id.clone()).or_insert_with(|| (old, Vec::new()));
        claim.1 = new.to_vec();
    }

    /// Those given up in this version are free for others in it.
    pub(super) fn check_sign_ons(&mut self) {
        let claims = std::mem::take(&mut self.sign_ons);
        let mut edits: BTreeMap<String, Option<OpaqueId>> = BTreeMap::new();
        for sign_on in claims.values().flat_map(|(old, _)| old) {
            edits.insert(name(sign_on), None);
        }
        for (user, sign_on) in claims.iter().flat_map(|(user, (_, new))| new.iter().map(move |s| (user, s))) {
            let by = match edits.get(&name(sign_on)) {
                Some(by) => by.clone(),
                None => self.next.user_by_sign_on(sign_on),
            };
            if let Some(by) = by.filter(|by| by != user) {
                let SignOn { issuer, subject } = sign_on.clone();
                let fault = Fault::SignOnTaken { issuer, subject, user: by.to_string() };
                self.violation(Key::User(user.clone()), "sign_ons", fault);
            }
            edits.insert(name(sign_on), Some(user.clone()));
        }
        let row = |user: OpaqueId| EditRow { value: (), near: user.as_str().into(), far: None };
        let edits = edits.into_iter().map(|(id, user)| Edit { id: id.into(), row: user.map(row) });
        self.next.sign_ons.edit(edits.collect());
    }
}
