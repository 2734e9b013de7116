//! What the calls about element lists (rule 7.2) come to.

use imbl::OrdSet;
use imbl::ordset::DiffItem;

use crate::core::change::Change;
use crate::core::id::Id;
use crate::core::lists::SuperOrganization;
use crate::core::model::{Key, Row, SafelistElement};
use crate::core::table::Table;
use crate::engine::SuperContent;

use super::super::admin::Planned;
use super::super::convert::element_list::etag;
use super::super::refusal::Refusal;
use super::super::supers::content;

fn unchanged(list: &OrdSet<Id>, name: &'static str, wanted: Option<&String>) -> Result<(), Refusal> {
    match wanted {
        Some(wanted) if *wanted != etag(list) => Err(Refusal::ListChanged(name)),
        _ => Ok(()),
    }
}

/// The safelist is to be `wanted`.
pub fn replace(table: &Table, wanted: &OrdSet<Id>, etag: Option<String>) -> Planned {
    unchanged(table.safelist(), "safelist", etag.as_ref())?;
    let (mut changes, mut gone) = (Vec::new(), Vec::new());
    for item in table.safelist().diff(wanted) {
        match item {
            DiffItem::Add(id) => changes.push(Change::Create(entry(id))),
            DiffItem::Remove(id) => gone.push(Key::SafelistElement(id.clone())),
        }
    }
    if !gone.is_empty() {
        changes.push(Change::Delete { keys: gone, etag: None });
    }
    Ok(changes)
}

/// One element goes; not the last, because without any all elements are open.
pub fn remove(table: &Table, element: Id, etag: Option<String>) -> Planned {
    let list = table.safelist();
    unchanged(list, "safelist", etag.as_ref())?;
    if !list.contains(&element) {
        return Err(Refusal::NotFound(Key::SafelistElement(element)));
    }
    if list.len() == 1 {
        return Err(Refusal::LastListed(element));
    }
    Ok(vec![Change::Delete { keys: vec![Key::SafelistElement(element)], etag: None }])
}

fn entry(element: &Id) -> Row {
    Row::SafelistElement(SafelistElement { element: element.clone() })
}

/// The denylist is to be what `edit` makes of it.
pub fn denylist(
    over: Option<&SuperOrganization>,
    etag: Option<String>,
    edit: impl FnOnce(OrdSet<Id>) -> Result<OrdSet<Id>, Refusal>,
) -> Result<Option<SuperContent>, Refusal> {
    let Some(over) = over else { return Err(Refusal::Internal("a denylist without a super-organization")) };
    unchanged(&over.denylist, "denylist", etag.as_ref())?;
    let denylist = edit(over.denylist.clone())?;
    Ok(Some(SuperContent { denylist, ..content(over) }))
}

/// A denylist without one element.
pub fn without(mut list: OrdSet<Id>, element: Id) -> Result<OrdSet<Id>, Refusal> {
    if list.remove(&element).is_some() { Ok(list) } else { Err(Refusal::NotDenied(element)) }
}
