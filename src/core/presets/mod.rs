//! The shipped catalogues and roles, as data (rules 3.1, 3.5, 3.6). Nothing here is stored: an
//! organization keeps the name of its preset and what it changed.

mod catalogue;

use super::id::{Id, IdError, Pattern, PermissionName};
use super::model::{Level, Permission, Preset, Role, RoleKind, Scope};

pub use catalogue::{ADMINISTRATION, INTEGRATION, WORKSPACE};

/// A permission of a shipped catalogue.
pub struct BuiltIn {
    /// Its name.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// The level from which it takes effect.
    pub level: Level,
    /// Rule 4.7.
    pub requires_visibility: bool,
    /// Rule 4.7.
    pub requires_approver: bool,
    /// Rule 4.6.
    pub when_not_owner: Option<&'static str>,
}

/// A role that ships with a preset.
pub struct ShippedRole {
    /// Its id.
    pub id: &'static str,
    /// For people.
    pub name: &'static str,
    /// Where it may be assigned.
    pub scope: Scope,
    /// Managed or system.
    pub kind: RoleKind,
    /// What it contains, until a system role's permissions are changed.
    pub permissions: &'static [&'static str],
}

impl BuiltIn {
    /// The permission as a row.
    ///
    /// # Errors
    /// None for what ships: a test holds that.
    pub fn row(&self) -> Result<Permission, IdError> {
        Ok(Permission {
            name: PermissionName::parse_name(self.name)?,
            aliases: self.aliases.iter().map(|a| PermissionName::parse(a)).collect::<Result<_, _>>()?,
            level: self.level,
            requires_visibility: self.requires_visibility,
            requires_approver: self.requires_approver,
            when_not_owner: self.when_not_owner.map(PermissionName::parse_name).transpose()?,
        })
    }
}

impl ShippedRole {
    /// The role as a row, as it ships.
    ///
    /// # Errors
    /// None for what ships: a test holds that.
    pub fn row(&self) -> Result<Role, IdError> {
        let mut permissions = self.permissions.iter().map(|p| Pattern::parse(p)).collect::<Result<Vec<_>, _>>()?;
        permissions.sort();
        Ok(Role {
            id: Id::parse(self.id)?,
            name: self.name.to_owned(),
            description: String::new(),
            kind: self.kind,
            scope: self.scope,
            object: None,
            permissions,
            auto_share: Vec::new(),
        })
    }
}

/// The roles that the system gives by rule (rule 3.6): to users of the default account, and to
/// users of any other.
pub struct ByRule {
    /// Held at the organization by users of the default account.
    pub default_account: &'static str,
    /// Held at their account by users of any other.
    pub other_account: &'static str,
}

/// The permission whose holder at the organization administers it.
pub const ORGANIZATION_ADMIN: &str = "organization.admin";
/// The permission to which the invite policy belongs (rule 4.9).
pub const INVITING: &str = "organization_users.create";

/// The role that only users of the default account may hold, and no group (rule 3.6).
pub const ORG_ADMIN: &str = "org-admin";

impl Preset {
    /// The permissions that every organization with this preset has.
    pub fn catalogue(self) -> impl Iterator<Item = &'static BuiltIn> {
        let own: &[BuiltIn] = match self {
            Self::None => &[],
            Self::Workspace => WORKSPACE,
            Self::Integration => INTEGRATION,
        };
        ADMINISTRATION.iter().chain(own)
    }

    /// The roles that ship with this preset.
    #[must_use]
    pub fn roles(self) -> &'static [ShippedRole] {
        match self {
            Self::None => &[],
            Self::Workspace => catalogue::WORKSPACE_ROLES,
            Self::Integration => catalogue::INTEGRATION_ROLES,
        }
    }

    /// The roles given by rule, if the preset has such.
    #[must_use]
    pub fn by_rule(self) -> Option<ByRule> {
        match self {
            Self::Integration => Some(ByRule { default_account: "org", other_account: "default-user" }),
            Self::None | Self::Workspace => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::id::Coverage;
    use std::collections::HashSet;

    #[test]
    fn every_shipped_name_is_valid_and_every_reference_resolves() {
        for preset in [Preset::None, Preset::Workspace, Preset::Integration] {
            let mut names = HashSet::new();
            for p in preset.catalogue() {
                PermissionName::parse_name(p.name).unwrap();
                assert!(names.insert(p.name), "{} twice", p.name);
                for alias in p.aliases {
                    PermissionName::parse(alias).unwrap();
                    assert!(names.insert(alias), "{alias} twice");
                }
            }
            for p in preset.catalogue() {
                assert!(p.when_not_owner.is_none_or(|q| names.contains(q)), "{}", p.name);
            }
            for role in preset.roles() {
                Id::parse(role.id).unwrap();
                for text in role.permissions {
                    match Pattern::parse(text).unwrap().coverage() {
                        Coverage::All => {}
                        Coverage::Prefix(x) => assert!(names.iter().any(|n| n.starts_with(x)), "{text}"),
                        Coverage::One(name) => assert!(names.contains(name), "{text} in {}", role.id),
                    }
                }
            }
        }
    }
}
