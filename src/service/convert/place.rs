//! Where and when something has effect.

use crate::core::model::{Period, Target};

use super::super::fields::Fields;
use super::super::proto;
use super::value::to_timestamp;

/// A target; absent stands for the organization.
pub fn target(f: &mut Fields, target: Option<proto::Target>) -> Option<Target> {
    let proto::Target { account, object, record } = target.unwrap_or_default();
    f.within("target", |f| {
        if !account.is_empty() && (!object.is_empty() || !record.is_empty()) {
            f.refuse("account", "excludes `object` and `record`");
            return None;
        }
        if object.is_empty() && !record.is_empty() {
            f.refuse("object", "is required where `record` is given");
            return None;
        }
        let account = f.parse_optional("account", &account);
        let object = f.parse_optional("object", &object);
        let record = f.parse_optional("record", &record);
        Some(match (account?, object?, record?) {
            (Some(account), _, _) => Target::Account(account),
            (None, Some(object), Some(record)) => Target::Record(object, record),
            (None, Some(object), None) => Target::Object(object),
            (None, None, _) => Target::Organization,
        })
    })
}

/// A target as a message; the organization is absent.
pub fn to_target(target: &Target) -> Option<proto::Target> {
    let (account, object, record) = match target {
        Target::Organization => return None,
        Target::Account(account) => (account.to_string(), String::new(), String::new()),
        Target::Object(object) => (String::new(), object.to_string(), String::new()),
        Target::Record(object, record) => (String::new(), object.to_string(), record.to_string()),
    };
    Some(proto::Target { account, object, record })
}

/// A period; absent stands for always.
pub fn period(f: &mut Fields, period: Option<proto::Period>) -> Option<Period> {
    let proto::Period { starts_at, expires_at } = period.unwrap_or_default();
    f.within("period", |f| {
        let mut bound = |name, time: Option<_>| match time {
            None => Some(None),
            Some(time) => f.exact_instant(name, time).map(Some),
        };
        let (starts_at, expires_at) = (bound("starts_at", starts_at), bound("expires_at", expires_at));
        Some(Period { starts_at: starts_at?, expires_at: expires_at? })
    })
}

/// A period as a message; always is absent.
pub fn to_period(period: Period) -> Option<proto::Period> {
    let Period { starts_at, expires_at } = period;
    if starts_at.is_none() && expires_at.is_none() {
        return None;
    }
    Some(proto::Period { starts_at: starts_at.map(to_timestamp), expires_at: expires_at.map(to_timestamp) })
}
