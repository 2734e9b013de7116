//! What a file says, what is wrong with it, and that nothing gets lost on the way back.

mod candidates;
mod cases;
mod errors;
mod example;
mod round_trip;
mod schema;
mod super_organization;

use std::collections::{HashMap, HashSet};

use super::*;
use crate::core::id::Id;
use crate::core::model::{Preset, Role, RoleKind, Scope};

/// Something like the shipped presets.
fn known(preset: Preset) -> Known {
    let role = |id: &str, kind, scope| {
        let role = Role {
            id: Id::parse(id).unwrap(),
            name: id.to_uppercase(),
            description: String::new(),
            kind,
            scope,
            object: None,
            permissions: vec![],
            auto_share: vec![],
        };
        (id.to_owned(), role)
    };
    let roles = match preset {
        Preset::None => HashMap::new(),
        Preset::Workspace => HashMap::from([
            role("app-admin", RoleKind::Managed, Scope::Object),
            role("organization-admin", RoleKind::Managed, Scope::Organization),
        ]),
        Preset::Integration => HashMap::from([
            role("org", RoleKind::System, Scope::Organization),
            role("default-user", RoleKind::System, Scope::Account),
        ]),
    };
    let mut permissions: HashSet<String> = ["organization.admin", "ADMIN", "users.read"].map(str::to_owned).into();
    if preset == Preset::Workspace {
        permissions.insert("records.read".to_owned());
    }
    Known { permissions, roles }
}

fn parse(text: &str) -> Result<OrganizationFile, FileErrors> {
    OrganizationFile::parse(text, "acme.yaml", known)
}
