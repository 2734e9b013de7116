//! The sections that bound what roles may come to: separation of duties, and emergency access.

use crate::core::id::{Id, OpaqueId};
use crate::core::model::{EmergencyRule, Enforcement, Key, Row, Separation};

use super::error::Path;
use super::fields::{Fields, sorted};
use super::organization::{Reader, Section};
use super::scalar;

pub(super) const ENFORCEMENTS: [(&str, Enforcement); 2] =
    [("prevent", Enforcement::Prevent), ("deny", Enforcement::Deny)];

impl Reader {
    pub(super) fn separations(&mut self, head: &mut Fields<'_, '_>) {
        let key = Path::ROOT.key(Section::Separation.key());
        for (item, node) in head.list(Section::Separation.key(), &mut self.out).into_iter().enumerate() {
            let path = key.index(item);
            let Some(mut fields) = Fields::open(node, path, &mut self.out) else { continue };
            let id = fields.required("id", &mut self.out, Id::parse);
            if !fields.has("roles") {
                fields.missing("roles", &mut self.out);
            }
            let roles = fields.parsed_list("roles", &mut self.out, Id::parse);
            let listed = path.key("roles");
            for (role, at, index) in &roles {
                self.refer(Key::Role(role.clone()), *at, listed.index(*index));
            }
            let max = fields.required_count("max", &mut self.out);
            let enforcement = fields.choice("enforce", &mut self.out, &ENFORCEMENTS).unwrap_or_default();
            fields.close(&mut self.out);
            let Some((id, at)) = id else { continue };
            if self.declare(Key::Separation(id.clone()), at, (Section::Separation, item), path.key("id"))
                && let Some(max) = max
            {
                self.keep(Row::Separation(Separation { id, roles: sorted(roles), max, enforcement }));
            }
        }
    }

    pub(super) fn emergencies(&mut self, head: &mut Fields<'_, '_>) {
        let key = Path::ROOT.key(Section::Emergency.key());
        for (item, node) in head.list(Section::Emergency.key(), &mut self.out).into_iter().enumerate() {
            let path = key.index(item);
            let Some(mut fields) = Fields::open(node, path, &mut self.out) else { continue };
            let role = fields.required("role", &mut self.out, Id::parse);
            if let Some((role, at)) = &role {
                self.refer(Key::Role(role.clone()), *at, path.key("role"));
            }
            let target = self.target(&mut fields);
            if !fields.has("users") {
                fields.missing("users", &mut self.out);
            }
            let users = fields.parsed_list("users", &mut self.out, OpaqueId::parse);
            let listed = path.key("users");
            for (user, at, index) in &users {
                self.refer(Key::User(user.clone()), *at, listed.index(*index));
            }
            let max = fields.required("max_duration", &mut self.out, scalar::parse_duration);
            let place = fields.at;
            fields.close(&mut self.out);
            let (Some((role, _)), Some(target), Some((max_duration_ms, _))) = (role, target, max) else { continue };
            let key = Key::Emergency(role.clone(), target.clone());
            if self.declare(key, place, (Section::Emergency, item), path) {
                self.keep(Row::Emergency(EmergencyRule { role, target, users: sorted(users), max_duration_ms }));
            }
        }
    }
}
