//! Separation of duties: constraints, and who breaks them.

use prost_types::FieldMask;

use crate::core::change::etag;
use crate::core::id::Id;
use crate::core::model::{Enforcement, Row, Separation};
use crate::core::separation::{Breach, Broken};
use crate::core::table::Table;

use super::super::decision::to_path;
use super::super::fields::Fields;
use super::super::mask::{Masked, Patch};
use super::super::proto;

fn enforcement(f: &mut Fields, enforcement: i32) -> Option<Enforcement> {
    Some(match f.choice("enforcement", enforcement)? {
        None | Some(proto::SeparationEnforcement::Unspecified | proto::SeparationEnforcement::Prevent) => {
            Enforcement::Prevent
        }
        Some(proto::SeparationEnforcement::Deny) => Enforcement::Deny,
    })
}

/// A constraint.
pub fn constraint(f: &mut Fields, message: proto::SeparationConstraint) -> Option<Separation> {
    let proto::SeparationConstraint { id, roles, max, enforcement, etag: _ } = message;
    let (id, roles) = (f.parse("id", &id), f.parse_all("roles", &roles));
    let enforcement = self::enforcement(f, enforcement);
    Some(Separation { id: id?, roles: roles?, max, enforcement: enforcement? })
}

/// An update of a constraint.
pub fn constraint_patch(
    f: &mut Fields,
    message: Option<proto::SeparationConstraint>,
    mask: Option<FieldMask>,
) -> Option<(Id, Patch<Separation>)> {
    let mut m = Masked::new(mask);
    let id = f.message("separation_constraint", message, |f, message| {
        let proto::SeparationConstraint { id, roles, max, enforcement, etag: _ } = message;
        let present = !roles.is_empty();
        m.set("roles", present, || f.parse_all("roles", &roles), |s: &mut Separation, v, _| s.roles = v);
        m.set("max", max != 0, || Some(max), |s, v, _| s.max = v);
        let given = enforcement != 0;
        m.set("enforcement", given, || self::enforcement(f, enforcement), |s, v, _| s.enforcement = v);
        f.parse("id", &id)
    });
    id.zip(m.finish(f))
}

/// A constraint as a message.
pub fn to_constraint(separation: &Separation) -> proto::SeparationConstraint {
    let etag = etag(&Row::Separation(separation.clone()));
    let Separation { id, roles, max, enforcement } = separation;
    let enforcement = match enforcement {
        Enforcement::Prevent => proto::SeparationEnforcement::Prevent,
        Enforcement::Deny => proto::SeparationEnforcement::Deny,
    };
    proto::SeparationConstraint {
        id: id.to_string(),
        roles: roles.iter().map(Id::to_string).collect(),
        max: *max,
        enforcement: enforcement.into(),
        etag,
    }
}

/// The constraint of that id.
pub fn find_constraint(table: &Table, id: &Id) -> Option<proto::SeparationConstraint> {
    table.separation_row(id).map(to_constraint)
}

/// A breach as a message.
pub fn to_violation(breach: &Breach) -> proto::SeparationViolation {
    let Breach { broken: Broken { constraint, principal }, paths, max: _, denies } = breach;
    proto::SeparationViolation {
        separation_constraint: constraint.to_string(),
        principal: principal.to_string(),
        paths: paths.iter().map(to_path).collect(),
        denied: *denies,
    }
}
