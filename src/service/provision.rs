//! `ProvisionUser`: a sign-on that a login service verified, and whose it is (rule 2.4).
//!
//! ```text
//! the identity is bound                     its user; an open registration is completed
//! a user has the address, and is inactive   that user, as it is
//! a user has the address                    the identity is bound to it, an open registration completed
//! nobody has either                         a new active user, if the organization creates unknown ones
//!                                           and the domain is one of its own
//! ```
//!
//! An address may be given to another person, an identity not: who comes with another identity of an
//! issuer that knows the user already is refused.

use std::collections::BTreeMap;

use crate::clock::{Clock, hex};
use crate::core::change::Change;
use crate::core::id::{Email, OpaqueId};
use crate::core::model::{Row, SignOn, Status, User, Value};
use crate::core::table::Table;

use super::admin::Planned;
use super::convert::principal::{self as convert, Defaults};
use super::fields::Fields;
use super::proto::{ProvisionUserRequest, ProvisionUserResponse};
use super::refusal::Refusal;
use super::report::Report;
use super::user::{Move, step};

/// What the login service says.
#[derive(Debug, Clone)]
pub struct Verified {
    sign_on: SignOn,
    email: Email,
    first_name: String,
    last_name: String,
    attributes: BTreeMap<String, Value>,
}

/// What a request says, and the id that it names for a new user.
pub fn verified(f: &mut Fields, message: ProvisionUserRequest) -> Option<(Verified, Option<OpaqueId>)> {
    let ProvisionUserRequest {
        organization: _,
        sign_on,
        email,
        first_name,
        last_name,
        user,
        attributes,
        request_id: _,
        validate_only: _,
    } = message;
    let sign_on = f.message("sign_on", sign_on, convert::sign_on);
    let (email, named) = (f.parse("email", &email), f.parse_optional("user", &user));
    let attributes = convert::attributes(f, attributes);
    let verified = Verified { sign_on: sign_on?, email: email?, first_name, last_name, attributes: attributes? };
    Some((verified, named?))
}

/// An id that no user has.
pub fn fresh_id(clock: &dyn Clock) -> Result<OpaqueId, Refusal> {
    let id = format!("u-{}", hex(&clock.random()?));
    OpaqueId::parse(&id).map_err(|_| Refusal::Internal("a new id is no id"))
}

impl Verified {
    /// What is to change: nothing, if the user is known and registered.
    pub fn plan(self, table: &Table, id: OpaqueId) -> Planned {
        let Some(mut user) = self.find(table) else { return self.create(table, id) };
        let before = user.clone();
        if user.status != Status::Inactive && !user.sign_ons.contains(&self.sign_on) {
            if user.sign_ons.iter().any(|bound| bound.issuer == self.sign_on.issuer) {
                return Err(Refusal::OtherSignOn { user: user.id.to_string(), issuer: self.sign_on.issuer });
            }
            user.sign_ons.push(self.sign_on);
            user.sign_ons.sort();
        }
        if user.status == Status::Invited {
            user = step(user, Move::CompleteRegistration)?;
        }
        let changed = (user != before).then_some(Change::Update { row: Row::User(user), etag: None });
        Ok(changed.into_iter().collect())
    }

    /// Whose it is: the identity decides before the address.
    fn find(&self, table: &Table) -> Option<User> {
        let by_email = || OpaqueId::parse(table.user_by_email(&self.email.folded())?).ok();
        let id = table.user_by_sign_on(&self.sign_on).or_else(by_email)?;
        table.user(&table.find_user(&id)?)
    }

    fn create(self, table: &Table, id: OpaqueId) -> Planned {
        let domain = self.email.domain();
        let creates = table.settings().is_some_and(|settings| {
            let mut own = settings.email_domains.iter();
            settings.auto_create_unknown_users && own.any(|d| d.domain.as_str() == domain)
        });
        if !creates {
            return Err(Refusal::NotCreated(self.email.to_string()));
        }
        let defaults = Defaults::of(table);
        let account = defaults.account.clone().ok_or(Refusal::Internal("the organization has no default account"))?;
        let user = User {
            id,
            kind: defaults.kind(&self.email),
            email: self.email,
            first_name: self.first_name,
            last_name: self.last_name,
            account,
            manager: None,
            status: Status::Active,
            status_before: None,
            pending_groups: Vec::new(),
            attributes: self.attributes,
            groups: Vec::new(),
            sign_ons: vec![self.sign_on],
        };
        Ok(vec![Change::Create(Row::User(user))])
    }

    /// Whose it is now, and how that came.
    pub fn reply(&self, o: Report<'_>) -> ProvisionUserResponse {
        let user = self.find(o.after());
        let before = user.as_ref().and_then(|user| o.before().user(&o.before().find_user(&user.id)?));
        let was = before.map(|user| user.status);
        let active = user.as_ref().is_some_and(|user| user.status == Status::Active);
        ProvisionUserResponse {
            created: user.is_some() && was.is_none(),
            registered: active && was == Some(Status::Invited),
            user: user.map(convert::to_user),
            revision: o.revision(),
        }
    }
}
