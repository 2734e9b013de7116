//! Element lists and super-organizations.

use imbl::OrdSet;
use prost_types::FieldMask;
use sha2::{Digest, Sha256};

use crate::core::id::Id;
use crate::core::limits::MAX_LISTED;
use crate::core::lists::SuperOrganization;
use crate::engine::SuperContent;

use super::super::fields::Fields;
use super::super::proto;

/// A short digest of a list.
pub fn etag(list: &OrdSet<Id>) -> String {
    let mut hash = Sha256::new();
    for id in list {
        hash.update((id.as_str().len() as u64).to_be_bytes());
        hash.update(id.as_str());
    }
    short(hash)
}

fn short(hash: Sha256) -> String {
    hash.finalize().iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// A list as a message.
pub fn to_list(list: &OrdSet<Id>) -> proto::ElementList {
    proto::ElementList { elements: list.iter().map(Id::to_string).collect(), etag: etag(list) }
}

/// The ids of elements, at least `least` of them; `once` each, or as often as they like.
pub fn elements(f: &mut Fields, elements: &[String], least: usize, once: bool) -> Option<OrdSet<Id>> {
    if elements.len() < least {
        f.refuse("elements", "is required");
        return None;
    }
    f.at_most("elements", elements.len(), MAX_LISTED);
    if elements.len() > MAX_LISTED {
        return None;
    }
    let mut list = OrdSet::new();
    let parsed = f.list("elements", elements, |f, text| {
        let id: Id = f.parse("", text)?;
        if list.insert(id.clone()).is_some() && once {
            f.refuse("", format_args!("`{id}` is given twice"));
        }
        Some(())
    });
    parsed.map(|_| list)
}

/// A new super-organization; its id is the caller's to check.
pub fn super_organization(message: proto::SuperOrganization) -> SuperContent {
    let proto::SuperOrganization { id: _, display_name, etag: _ } = message;
    SuperContent { display_name, denylist: OrdSet::new() }
}

/// An update of a super-organization: its new name, if it is to have one. Its id is the caller's to check.
pub fn super_organization_patch(
    f: &mut Fields,
    message: Option<proto::SuperOrganization>,
    mask: Option<FieldMask>,
) -> Option<Option<String>> {
    let paths = mask.map(|mask| mask.paths).unwrap_or_default();
    let (known, others): (Vec<_>, Vec<_>) = paths.iter().partition(|p| matches!(p.as_str(), "*" | "display_name"));
    for path in others {
        f.refuse("update_mask", format_args!("`{path}` cannot be changed"));
    }
    f.message("super_organization", message, |_, message| {
        let proto::SuperOrganization { id: _, display_name, etag: _ } = message;
        let wanted = !known.is_empty() || (paths.is_empty() && !display_name.is_empty());
        Some(wanted.then_some(display_name))
    })
}

/// A short digest of a super-organization's own fields; its denylist has one of its own.
pub fn super_etag(over: &SuperOrganization) -> String {
    short(Sha256::new().chain_update(&*over.history).chain_update([0]).chain_update(&over.display_name))
}

/// A super-organization as a message.
pub fn to_super_organization(over: &SuperOrganization) -> proto::SuperOrganization {
    let (id, display_name) = (over.id.to_string(), over.display_name.clone());
    proto::SuperOrganization { id, display_name, etag: super_etag(over) }
}
