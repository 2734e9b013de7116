//! Until when a plan holds: the edges that the walk looks at, and others of the same groups and places. It may
//! say too early an instant, never too late a one.

use super::Planning;
use crate::core::decision::Walk;
use crate::core::edge::{AT_ORGANIZATION, Edge, GROUP_MEMBER, at_account, at_object, edges};
use crate::core::model::{Millis, UserKind};
use crate::core::table::Table;

/// When rule 4.3 says otherwise than it does now, of an external user.
pub(super) fn admitted(walk: &Walk<'_>) -> Option<Millis> {
    let (pages, id) = (if walk.service { &walk.table.services } else { &walk.table.users }, walk.id);
    let found = pages.find(id)?;
    let max_age = walk.table.settings()?.external_reauthentication_ms?;
    let at = walk.question.context.authenticated_at?;
    let over = at.saturating_add(max_age).saturating_add(1);
    (found.value.kind == Some(UserKind::External)).then_some([at, over].into_iter().find(|at| *at > walk.now))?
}

/// When anything may come to be otherwise.
pub(super) fn valid(planning: &Planning<'_, '_>) -> Option<Millis> {
    let Planning { walk, found, object, .. } = planning;
    let (table, groups) = (walk.table, planning.groups());
    let own = edges(Table::edges_of(found)).filter_map(|edge| turn(edge, walk.now));
    let accounts = planning.accounts().into_iter().map(at_account);
    let number = walk.object.map(|(number, _)| at_object(number));
    let places = [AT_ORGANIZATION].into_iter().chain(number).chain(accounts);
    let at_places = places.filter_map(|place| table.holdings_at(place)).flat_map(|holdings| &holdings.edges);
    let by_group = at_places.filter(|edge| groups.contains(&edge.at)).filter_map(|edge| turn(*edge, walk.now));
    let mine = |edge: &Edge| match edge.at & GROUP_MEMBER {
        0 => edge.at == found.value.number,
        _ => groups.contains(&(edge.at & !GROUP_MEMBER)),
    };
    let at_records = object.records.iter().flat_map(|row| edges(row.near));
    let at_records =
        at_records.filter(|edge| !edge.is_timeless() && mine(edge)).filter_map(|edge| turn(edge, walk.now));
    own.chain(by_group).chain(at_records).chain(admitted(walk)).min()
}

/// When an edge begins or ceases to be in effect.
fn turn(edge: Edge, now: Millis) -> Option<Millis> {
    [edge.from, edge.until].into_iter().filter(|at| *at > now && *at != Millis::MAX).min()
}
