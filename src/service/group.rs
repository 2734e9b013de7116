//! `GroupService`.

use std::sync::Arc;

use tokio_stream::StreamExt;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status};

use crate::core::change::Change;
use crate::core::id::Id;
use crate::core::model::{Key, Member, Row, Status as PrincipalStatus, User};
use crate::core::table::Table;

use super::admin::{Admin, Reply, delete, found, update};
use super::convert::group as convert;
use super::fields::Fields;
use super::paging::Page;
use super::proto::group_service_server::GroupService;
use super::proto::*;
use super::refusal::Refusal;
use super::report::{Report, groups, revision_of};
use super::request::{etag, reading, writing};

/// Members that one call adds, removes or sets.
const MAX_MEMBERS: usize = 10_000;
/// Members in one message of an export.
const BATCH: usize = 1_000;

#[tonic::async_trait]
impl GroupService for Admin {
    async fn create_group(&self, request: Request<CreateGroupRequest>) -> Reply<CreateGroupResponse> {
        let (call, group) = writing(request, |f, m| {
            let CreateGroupRequest { organization: _, group, request_id: _, validate_only: _ } = m;
            f.message("group", group, convert::group)
        })?;
        let id = group.id.clone();
        let plan = move |_: &Table| Ok(vec![Change::Create(Row::Group(group))]);
        self.write(call, plan, move |o| CreateGroupResponse {
            group: convert::find_group(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn get_group(&self, request: Request<GetGroupRequest>) -> Reply<GetGroupResponse> {
        let (read, id) = reading(request, |f, m| {
            let GetGroupRequest { organization: _, group, min_revision: _ } = m;
            f.parse::<Id>("group", &group)
        })?;
        let table = self.table(&read).await?;
        let group = found(convert::find_group(&table, &id), || Key::Group(id))?;
        Ok(Response::new(GetGroupResponse { group: Some(group), revision: Some(revision_of(&table)) }))
    }

    async fn list_groups(&self, request: Request<ListGroupsRequest>) -> Reply<ListGroupsResponse> {
        let (read, (page, kind)) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListGroups", &mut m);
            let ListGroupsRequest { organization: _, kind, min_revision: _, page_size: _, page_token: _ } = m;
            page.zip(convert::group_kind(f, kind))
        })?;
        let table = self.table(&read).await?;
        let mut all = table.list_groups(None, usize::MAX).items;
        all.retain(|g| kind.is_none_or(|kind| convert::to_group_kind(&g.kind) == kind));
        let (page, next_page_token) = page.of_sorted(table.history(), all, |g| g.id.to_string())?;
        let groups = page.into_iter().map(convert::to_group).collect();
        Ok(Response::new(ListGroupsResponse { groups, revision: Some(revision_of(&table)), next_page_token }))
    }

    async fn update_group(&self, request: Request<UpdateGroupRequest>) -> Reply<UpdateGroupResponse> {
        let (call, ((id, patch), etag)) = writing(request, |f, m| {
            let UpdateGroupRequest { organization: _, group, update_mask, etag, request_id: _, validate_only: _ } = m;
            let patch = convert::group_patch(f, group, update_mask);
            patch.zip(self::etag(f, etag))
        })?;
        let key = id.clone();
        let plan = move |table: &Table| {
            let current = table.group_row(&key);
            update(table, Key::Group(key), current, patch, Row::Group, etag)
        };
        self.write(call, plan, move |o| UpdateGroupResponse {
            group: convert::find_group(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn delete_group(&self, request: Request<DeleteGroupRequest>) -> Reply<DeleteGroupResponse> {
        let (call, (id, etag)) = writing(request, |f, m| {
            let DeleteGroupRequest { organization: _, group, etag, request_id: _, validate_only: _ } = m;
            let id = f.parse::<Id>("group", &group);
            id.zip(self::etag(f, etag))
        })?;
        let key = Key::Group(id);
        let deleted = key.clone();
        let plan = move |table: &Table| {
            manual_or_dynamic(table, &key)?;
            delete(key, etag)
        };
        self.write(call, plan, move |o| DeleteGroupResponse {
            revision: o.revision(),
            removed: Some(o.removed(&deleted)),
        })
        .await
    }

    async fn add_members(&self, request: Request<AddMembersRequest>) -> Reply<AddMembersResponse> {
        let (call, (group, members)) = writing(request, |f, m| {
            let AddMembersRequest { organization: _, group, members, request_id: _, validate_only: _ } = m;
            let group = f.parse::<Id>("group", &group);
            group.zip(self::members(f, &members, 1))
        })?;
        let id = group.clone();
        let plan = move |table: &Table| Ok(added(table, &id, members));
        self.write(call, plan, move |o| AddMembersResponse { revision: o.revision(), added: moved(o, &group).0 }).await
    }

    async fn remove_members(&self, request: Request<RemoveMembersRequest>) -> Reply<RemoveMembersResponse> {
        let (call, (group, members)) = writing(request, |f, m| {
            let RemoveMembersRequest { organization: _, group, members, request_id: _, validate_only: _ } = m;
            let group = f.parse::<Id>("group", &group);
            group.zip(self::members(f, &members, 1))
        })?;
        let id = group.clone();
        let plan = move |table: &Table| Ok(removed(table, &id, &members));
        self.write(call, plan, move |o| RemoveMembersResponse { revision: o.revision(), removed: moved(o, &group).1 })
            .await
    }

    async fn replace_members(&self, request: Request<ReplaceMembersRequest>) -> Reply<ReplaceMembersResponse> {
        let (call, (group, members)) = writing(request, |f, m| {
            let ReplaceMembersRequest { organization: _, group, members, request_id: _, validate_only: _ } = m;
            let group = f.parse::<Id>("group", &group);
            group.zip(self::members(f, &members, 0))
        })?;
        let id = group.clone();
        let plan = move |table: &Table| {
            let mut gone = direct(table, &id)?;
            gone.retain(|(member, _)| !members.contains(member));
            let gone: Vec<Member> = gone.into_iter().map(|(member, _)| member).collect();
            let mut changes = removed(table, &id, &gone);
            changes.extend(added(table, &id, members));
            Ok(changes)
        };
        self.write(call, plan, move |o| {
            let (added, removed) = moved(o, &group);
            ReplaceMembersResponse { revision: o.revision(), added, removed }
        })
        .await
    }

    async fn list_members(&self, request: Request<ListMembersRequest>) -> Reply<ListMembersResponse> {
        let (read, (page, (group, transitive))) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListMembers", &mut m);
            let ListMembersRequest { organization: _, group, transitive, min_revision: _, page_size: _, page_token: _ } =
                m;
            page.zip(f.parse::<Id>("group", &group).zip(Some(transitive)))
        })?;
        let table = self.table(&read).await?;
        let all = listed(&table, group, transitive).await?;
        let (members, next_page_token) = page.of_sorted(table.history(), all, |m| m.member.clone())?;
        Ok(Response::new(ListMembersResponse { members, revision: Some(revision_of(&table)), next_page_token }))
    }

    async fn export_members(
        &self,
        request: Request<ExportMembersRequest>,
    ) -> Result<Response<BoxStream<ExportMembersResponse>>, Status> {
        let (read, (group, transitive)) = reading(request, |f, m| {
            let ExportMembersRequest { organization: _, group, transitive, min_revision: _ } = m;
            f.parse::<Id>("group", &group).zip(Some(transitive))
        })?;
        let table = self.table(&read).await?;
        let mut all = listed(&table, group, transitive).await?;
        all.sort_by(|a, b| a.member.cmp(&b.member));
        let revision = Some(revision_of(&table));
        let mut rest = all.into_iter();
        let batches = std::iter::from_fn(move || {
            let members: Vec<GroupMember> = rest.by_ref().take(BATCH).collect();
            (!members.is_empty()).then_some(members)
        });
        let messages = batches.map(move |members| Ok(ExportMembersResponse { members, revision: revision.clone() }));
        Ok(Response::new(Box::pin(tokio_stream::iter(messages).fuse())))
    }
}

fn members(f: &mut Fields, members: &[String], least: usize) -> Option<Vec<Member>> {
    f.at_most("members", members.len(), MAX_MEMBERS);
    if members.len() < least {
        f.refuse("members", "is required");
    }
    let mut members: Vec<Member> = f.parse_all("members", members)?;
    members.sort();
    members.dedup();
    Some(members)
}

/// Rule 2.8: deleting the row of a system group would silently reset its visibility.
fn manual_or_dynamic(table: &Table, key: &Key) -> Result<(), Refusal> {
    let Key::Group(id) = key else { return Ok(()) };
    let group = found(table.group_row(id), || key.clone())?;
    if group.kind == crate::core::model::GroupKind::System {
        return Err(Refusal::BuiltIn(key.clone()));
    }
    Ok(())
}

/// An invited user's membership is pending (rule 2.3); it stands in the user's row.
fn invited(table: &Table, member: &Member) -> Option<User> {
    let Member::User(id) = member else { return None };
    let found = table.find_user(id).filter(|f| f.value.status() == PrincipalStatus::Invited)?;
    table.user(&found)
}

fn added(table: &Table, group: &Id, members: Vec<Member>) -> Vec<Change> {
    let (mut now, mut changes) = (Vec::new(), Vec::new());
    for member in members {
        match invited(table, &member) {
            Some(mut user) if !user.pending_groups.contains(group) => {
                user.pending_groups.push(group.clone());
                changes.push(Change::Update { row: Row::User(user), etag: None });
            }
            Some(_) => {}
            None => now.push(member),
        }
    }
    // Also without members: it is what finds out whether the group is there and manual.
    changes.insert(0, Change::AddMembers { group: group.clone(), members: now });
    changes
}

fn removed(table: &Table, group: &Id, members: &[Member]) -> Vec<Change> {
    let pending = members.iter().filter_map(|m| invited(table, m)).filter(|u| u.pending_groups.contains(group));
    let mut changes: Vec<Change> = pending
        .map(|mut user| {
            user.pending_groups.retain(|g| g != group);
            user.groups.retain(|g| g != group);
            Change::Update { row: Row::User(user), etag: None }
        })
        .collect();
    changes.insert(0, Change::RemoveMembers { group: group.clone(), members: members.to_vec() });
    changes
}

/// How many a write made members of a group, pending ones included, and how many it unmade.
fn moved(report: Report<'_>, group: &Id) -> (u64, u64) {
    let member = |row: Option<Row>| {
        row.is_some_and(|row| {
            let pending = matches!(&row, Row::User(user) if user.pending_groups.contains(group));
            pending || groups(&row).contains(group)
        })
    };
    let outcome = report.0;
    outcome.effects.iter().fold((0, 0), |(added, removed), (key, _)| {
        match (member(outcome.before.row(key)), member(outcome.after.row(key))) {
            (false, true) => (added + 1, removed),
            (true, false) => (added, removed + 1),
            _ => (added, removed),
        }
    })
}

/// The direct members of a group, and whether the membership is pending.
fn direct(table: &Table, group: &Id) -> Result<Vec<(Member, bool)>, Refusal> {
    let members = found(table.members_of(group), || Key::Group(group.clone()))?;
    let invited = |found: &crate::core::principal::PrincipalFound<'_>| found.value.status() == PrincipalStatus::Invited;
    let pending = table.list_users(None, usize::MAX, invited).items.into_iter();
    let pending = pending.filter(|u| u.pending_groups.contains(group) && !u.groups.contains(group));
    Ok(members.map(|m| (m, false)).chain(pending.map(|u| (Member::User(u.id), true))).collect())
}

/// The members of a group, in no order. Looks at every principal, so it runs beside the runtime.
async fn listed(table: &Arc<Table>, group: Id, transitive: bool) -> Result<Vec<GroupMember>, Refusal> {
    let table = Arc::clone(table);
    let list = move || {
        if transitive {
            let below = found(table.members_below(&group), || Key::Group(group.clone()))?;
            let member = |(m, direct): (Member, bool)| GroupMember { member: m.to_string(), direct, pending: false };
            return Ok(below.map(member).collect());
        }
        let direct = direct(&table, &group)?.into_iter();
        Ok(direct.map(|(m, pending)| GroupMember { member: m.to_string(), direct: true, pending }).collect())
    };
    let listed = tokio::task::spawn_blocking(list).await;
    listed.map_err(|_| Refusal::Internal("listing members failed"))?
}
