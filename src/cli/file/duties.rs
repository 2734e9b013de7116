//! The sections that bound what roles may come to: separation of duties.

use crate::core::id::Id;
use crate::core::model::{Enforcement, Key, Row, Separation};

use super::error::Path;
use super::fields::{Fields, sorted};
use super::organization::{Reader, Section};

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
}
