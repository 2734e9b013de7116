//! Roles, and the patterns that roles and grants consist of.

use crate::core::id::{Coverage, Id, Pattern};
use crate::core::model::{Key, Role, RoleKind, Row, Scope};

use super::error::{Path, quoted};
use super::fields::{Fields, sorted};
use super::organization::{Reader, Section};

pub(super) const SCOPES: [(&str, Scope); 3] =
    [("organization", Scope::Organization), ("account", Scope::Account), ("object", Scope::Object)];

impl Reader {
    pub(super) fn roles(&mut self, head: &mut Fields<'_, '_>) {
        let key = Path::ROOT.key("roles");
        for (item, node) in head.list("roles", &mut self.out).into_iter().enumerate() {
            let path = key.index(item);
            let Some(mut fields) = Fields::open(node, path, &mut self.out) else { continue };
            let id = fields.required("id", &mut self.out, Id::parse);
            let shipped = id.as_ref().and_then(|(id, _)| self.known.roles.get(id.as_str())).cloned();
            let row = match (&id, shipped) {
                (Some((id, at)), Some(role)) if role.kind == RoleKind::Managed => {
                    let message = format!("{} is a managed role and cannot be given", quoted(id.as_str()));
                    self.out.add(*at, path.key("id"), message);
                    continue;
                }
                (Some((id, _)), Some(role)) => Some(self.system_role(id, role, fields)),
                (id, None) => self.custom_role(id.as_ref().map(|(id, _)| id), fields),
                (None, Some(_)) => None,
            };
            let Some((id, at)) = id else { continue };
            if self.declare(Key::Role(id), at, (Section::Roles, item), path.key("id"))
                && let Some(row) = row
            {
                self.keep(Row::Role(row));
            }
        }
    }

    fn system_role(&mut self, id: &Id, shipped: Role, mut fields: Fields<'_, '_>) -> Role {
        if !fields.has("permissions") {
            fields.missing("permissions", &mut self.out);
        }
        let permissions = self.patterns(&mut fields);
        let path = fields.path;
        for (key, at, _) in fields.rest() {
            self.out.add(at, path.key(&key), "only the permissions of a system role can be given");
        }
        Role { id: id.clone(), kind: RoleKind::System, permissions, ..shipped }
    }

    fn custom_role(&mut self, id: Option<&Id>, mut fields: Fields<'_, '_>) -> Option<Role> {
        let name = fields.string("name", &mut self.out);
        let description = fields.string("description", &mut self.out);
        let scope = fields.required_choice("scope", &mut self.out, &SCOPES);
        let object = fields.parsed("object", &mut self.out, Id::parse);
        let permissions = self.patterns(&mut fields);
        let auto_share = self.auto_share(&mut fields);
        if let Some((object, at)) = &object {
            let path = fields.path.key("object");
            match scope {
                Some(Scope::Organization | Scope::Account) => {
                    self.out.add(*at, path, "only a role of scope `object` may be tied to one");
                }
                _ => self.refer(Key::Object(object.clone()), *at, path),
            }
        }
        fields.close(&mut self.out);
        Some(Role {
            id: id?.clone(),
            name,
            description,
            kind: RoleKind::Custom,
            scope: scope?,
            object: object.map(|(object, _)| object),
            permissions,
            auto_share,
        })
    }

    /// A list of patterns; sorted, each of them known.
    pub(super) fn patterns(&mut self, fields: &mut Fields<'_, '_>) -> Vec<Pattern> {
        let patterns = fields.parsed_list("permissions", &mut self.out, Pattern::parse);
        let path = fields.path.key("permissions");
        for (pattern, at, index) in &patterns {
            if let Coverage::One(name) = pattern.coverage()
                && !self.catalogue.contains(name)
            {
                self.out.add(*at, path.index(*index), format!("unknown permission {}", quoted(name)));
            }
        }
        sorted(patterns)
    }
}
