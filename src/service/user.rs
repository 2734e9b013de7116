//! `UserService`.

use tonic::{Request, Response};

use crate::core::change::Change;
use crate::core::id::{Email, Id, OpaqueId};
use crate::core::model::{Key, Row, SignOn, Status, User};
use crate::core::principal::PrincipalFound;
use crate::core::review::ways_to_groups;
use crate::core::table::Table;

use super::admin::{Admin, Planned, Reply, found, update};
use super::convert::group::to_group_kind;
use super::convert::organization::user_kind;
use super::convert::principal::{self as convert, Defaults, status};
use super::fields::Fields;
use super::paging::Page;
use super::proto::user_service_server::UserService;
use super::proto::*;
use super::provision;
use super::refusal::Refusal;
use super::report::revision_of;
use super::request::{etag, reading, writing};

/// Groups through which one user is invited.
const MAX_INVITING_GROUPS: usize = 100;

#[tonic::async_trait]
impl UserService for Admin {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Reply<CreateUserResponse> {
        let (call, user) = writing(request, |f, m| {
            let CreateUserRequest { organization: _, user, request_id: _, validate_only: _ } = m;
            f.message("user", user, convert::user)
        })?;
        let id = user.id().clone();
        let plan = move |table: &Table| created(user.create(&Defaults::of(table), Status::Active, Vec::new()));
        self.write(call, plan, move |o| CreateUserResponse {
            user: convert::find_user(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Reply<GetUserResponse> {
        let (read, id) = reading(request, |f, m| {
            let GetUserRequest { organization: _, user, min_revision: _ } = m;
            f.parse::<OpaqueId>("user", &user)
        })?;
        let table = self.table(&read).await?;
        let user = found(convert::find_user(&table, &id), || Key::User(id))?;
        Ok(Response::new(GetUserResponse { user: Some(user), revision: Some(revision_of(&table)) }))
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Reply<ListUsersResponse> {
        let (read, (page, filter)) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListUsers", &mut m);
            page.zip(Filter::new(f, m))
        })?;
        let table = self.table(&read).await?;
        let position = page.position(&table)?;
        let listed = match (&filter.email, &filter.sign_on) {
            (Some(email), _) => {
                let id = table.user_by_email(&email.folded()).and_then(|id| OpaqueId::parse(id).ok());
                filter.only(&table, id)
            }
            (None, Some(sign_on)) => filter.only(&table, table.user_by_sign_on(sign_on)),
            (None, None) => table.list_users(position.as_ref(), page.size, |found| filter.admits(&table, found)),
        };
        let next_page_token = page.after(&table, listed.next.as_ref());
        let users = listed.items.into_iter().map(convert::to_user).collect();
        Ok(Response::new(ListUsersResponse { users, revision: Some(revision_of(&table)), next_page_token }))
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Reply<UpdateUserResponse> {
        let (call, ((id, patch), etag)) = writing(request, |f, m| {
            let UpdateUserRequest { organization: _, user, update_mask, etag, request_id: _, validate_only: _ } = m;
            let patch = convert::user_patch(f, user, update_mask);
            patch.zip(self::etag(f, etag))
        })?;
        let key = id.clone();
        let plan = move |table: &Table| {
            let current = current(table, &key);
            update(table, Key::User(key), current, patch, Row::User, etag)
        };
        self.write(call, plan, move |o| UpdateUserResponse {
            user: convert::find_user(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn invite_user(&self, request: Request<InviteUserRequest>) -> Reply<InviteUserResponse> {
        let (call, (user, groups)) = writing(request, |f, m| {
            let InviteUserRequest { organization: _, user, groups, request_id: _, validate_only: _ } = m;
            f.at_most("groups", groups.len(), MAX_INVITING_GROUPS);
            let user = f.message("user", user, convert::user);
            user.zip(f.parse_all::<Id>("groups", &groups))
        })?;
        let id = user.id().clone();
        let plan = move |table: &Table| created(user.create(&Defaults::of(table), Status::Invited, groups));
        self.write(call, plan, move |o| InviteUserResponse {
            user: convert::find_user(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn complete_registration(
        &self,
        request: Request<CompleteRegistrationRequest>,
    ) -> Reply<CompleteRegistrationResponse> {
        let (call, (id, etag)) = writing(request, |f, m| {
            let CompleteRegistrationRequest { organization: _, user, etag, request_id: _, validate_only: _ } = m;
            named(f, &user, etag)
        })?;
        let plan = moved(id.clone(), etag, Move::CompleteRegistration);
        self.write(call, plan, move |o| CompleteRegistrationResponse {
            user: convert::find_user(o.after(), &id),
            revision: o.revision(),
        })
        .await
    }

    async fn revoke_invitation(&self, request: Request<RevokeInvitationRequest>) -> Reply<RevokeInvitationResponse> {
        let (call, (id, etag)) = writing(request, |f, m| {
            let RevokeInvitationRequest { organization: _, user, etag, request_id: _, validate_only: _ } = m;
            named(f, &user, etag)
        })?;
        let plan = moved(id.clone(), etag, Move::RevokeInvitation);
        self.write(call, plan, move |o| RevokeInvitationResponse {
            user: convert::find_user(o.after(), &id),
            revision: o.revision(),
        })
        .await
    }

    async fn provision_user(&self, request: Request<ProvisionUserRequest>) -> Reply<ProvisionUserResponse> {
        let (call, (verified, named)) = writing(request, provision::verified)?;
        // Made before it is known whether one is needed: a plan has no randomness.
        let fresh = provision::fresh_id(&**self.engine.clock())?;
        let planned = verified.clone();
        let plan = move |table: &Table| planned.plan(table, named.unwrap_or(fresh));
        self.write(call, plan, move |o| verified.reply(o)).await
    }

    async fn downgrade_user(&self, request: Request<DowngradeUserRequest>) -> Reply<DowngradeUserResponse> {
        let (call, (id, etag)) = writing(request, |f, m| {
            let DowngradeUserRequest { organization: _, user, etag, request_id: _, validate_only: _ } = m;
            named(f, &user, etag)
        })?;
        let plan = moved(id.clone(), etag, Move::Downgrade);
        self.write(call, plan, move |o| DowngradeUserResponse {
            user: convert::find_user(o.after(), &id),
            revision: o.revision(),
        })
        .await
    }

    async fn upgrade_user(&self, request: Request<UpgradeUserRequest>) -> Reply<UpgradeUserResponse> {
        let (call, (id, etag)) = writing(request, |f, m| {
            let UpgradeUserRequest { organization: _, user, etag, request_id: _, validate_only: _ } = m;
            named(f, &user, etag)
        })?;
        let plan = moved(id.clone(), etag, Move::Upgrade);
        self.write(call, plan, move |o| UpgradeUserResponse {
            user: convert::find_user(o.after(), &id),
            revision: o.revision(),
        })
        .await
    }

    async fn deactivate_user(&self, request: Request<DeactivateUserRequest>) -> Reply<DeactivateUserResponse> {
        let (call, (id, etag)) = writing(request, |f, m| {
            let DeactivateUserRequest { organization: _, user, etag, request_id: _, validate_only: _ } = m;
            named(f, &user, etag)
        })?;
        let plan = moved(id.clone(), etag, Move::Deactivate);
        self.write(call, plan, move |o| DeactivateUserResponse {
            user: convert::find_user(o.after(), &id),
            revision: o.revision(),
        })
        .await
    }

    async fn activate_user(&self, request: Request<ActivateUserRequest>) -> Reply<ActivateUserResponse> {
        let (call, (id, etag)) = writing(request, |f, m| {
            let ActivateUserRequest { organization: _, user, etag, request_id: _, validate_only: _ } = m;
            named(f, &user, etag)
        })?;
        let plan = moved(id.clone(), etag, Move::Activate);
        self.write(call, plan, move |o| ActivateUserResponse {
            user: convert::find_user(o.after(), &id),
            revision: o.revision(),
        })
        .await
    }

    async fn list_user_groups(&self, request: Request<ListUserGroupsRequest>) -> Reply<ListUserGroupsResponse> {
        let (read, (page, (id, transitive))) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListUserGroups", &mut m);
            let ListUserGroupsRequest {
                organization: _,
                user,
                transitive,
                min_revision: _,
                page_size: _,
                page_token: _,
            } = m;
            page.zip(f.parse::<OpaqueId>("user", &user).zip(Some(transitive)))
        })?;
        let table = self.table(&read).await?;
        let all = groups_of(&table, id, transitive)?;
        let (groups, next_page_token) = page.of_sorted(table.history(), all, |g| g.group.clone())?;
        Ok(Response::new(ListUserGroupsResponse { groups, revision: Some(revision_of(&table)), next_page_token }))
    }
}

fn named(f: &mut Fields, user: &str, etag: String) -> Option<(OpaqueId, Option<String>)> {
    let id = f.parse("user", user);
    id.zip(self::etag(f, etag))
}

fn created(user: Option<User>) -> Planned {
    let user = user.ok_or(Refusal::Internal("the organization has no default account"))?;
    Ok(vec![Change::Create(Row::User(user))])
}

fn current(table: &Table, id: &OpaqueId) -> Option<User> {
    table.user(&table.find_user(id)?)
}

/// A way from one status to another (rule 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    CompleteRegistration,
    RevokeInvitation,
    Downgrade,
    Upgrade,
    Deactivate,
    Activate,
}

impl Move {
    const ALL: [Self; 6] = [
        Self::CompleteRegistration,
        Self::RevokeInvitation,
        Self::Downgrade,
        Self::Upgrade,
        Self::Deactivate,
        Self::Activate,
    ];

    /// The RPC that makes it.
    fn rpc(self) -> &'static str {
        match self {
            Self::CompleteRegistration => "CompleteRegistration",
            Self::RevokeInvitation => "RevokeInvitation",
            Self::Downgrade => "DowngradeUser",
            Self::Upgrade => "UpgradeUser",
            Self::Deactivate => "DeactivateUser",
            Self::Activate => "ActivateUser",
        }
    }

    /// What it makes of a user; none where it is not possible.
    fn leads(self, user: &User) -> Option<Status> {
        match (self, user.status) {
            (Self::CompleteRegistration, Status::Invited) | (Self::Upgrade, Status::Limited) => Some(Status::Active),
            (Self::Downgrade, Status::Active) => Some(Status::Limited),
            (Self::RevokeInvitation, Status::Invited) | (Self::Deactivate, Status::Active | Status::Limited) => {
                Some(Status::Inactive)
            }
            (Self::Activate, Status::Inactive) => user.status_before,
            _ => None,
        }
    }
}

/// The user after a move, memberships that were pending included (rule 2.3).
pub(super) fn step(user: User, step: Move) -> Result<User, Refusal> {
    let from = user.status;
    let Some(to) = step.leads(&user) else {
        let possible = Move::ALL.into_iter().filter(|other| other.leads(&user).is_some()).map(Move::rpc).collect();
        let user = user.id.to_string();
        return Err(Refusal::StatusMove { user, status: from, asked: step.rpc(), possible });
    };
    let mut user = User { status: to, status_before: None, ..user };
    if step == Move::Deactivate {
        user.status_before = Some(from);
    }
    let pending = std::mem::take(&mut user.pending_groups);
    if step == Move::CompleteRegistration {
        user.groups.extend(pending);
        user.groups.sort();
        user.groups.dedup();
    }
    Ok(user)
}

fn moved(id: OpaqueId, etag: Option<String>, step: Move) -> impl FnOnce(&Table) -> Planned + Send + 'static {
    move |table| {
        let user = found(current(table, &id), || Key::User(id))?;
        // Whoever saw another version hears of that first, not of the status it has now.
        let row = Row::User(user);
        if etag.as_ref().is_some_and(|etag| *etag != crate::core::change::etag(&row)) {
            return Err(Refusal::EtagMismatch(row.key()));
        }
        let Row::User(user) = row else { return Ok(Vec::new()) };
        Ok(vec![Change::Update { row: Row::User(self::step(user, step)?), etag: None }])
    }
}

/// What `ListUsers` asks for.
struct Filter {
    email: Option<Email>,
    account: Option<Id>,
    status: Option<Status>,
    kind: Option<crate::core::model::UserKind>,
    manager: Option<OpaqueId>,
    sign_on: Option<SignOn>,
}

impl Filter {
    fn new(f: &mut Fields, message: ListUsersRequest) -> Option<Self> {
        let ListUsersRequest {
            organization: _,
            email,
            account,
            status,
            kind,
            manager,
            sign_on,
            min_revision: _,
            page_size: _,
            page_token: _,
        } = message;
        let sign_on = match sign_on {
            None => Some(None),
            Some(sign_on) => f.within("sign_on", |f| convert::sign_on(f, sign_on)).map(Some),
        };
        let (email, account) = (f.parse_optional("email", &email), f.parse_optional("account", &account));
        let (status, kind) = (self::status(f, "status", status), user_kind(f, "kind", kind));
        let manager = f.parse_optional("manager", &manager);
        Some(Self {
            email: email?,
            account: account?,
            status: status?,
            kind: kind?,
            manager: manager?,
            sign_on: sign_on?,
        })
    }

    fn admits(&self, table: &Table, found: &PrincipalFound<'_>) -> bool {
        self.status.is_none_or(|status| found.value.status() == status)
            && self.kind.is_none_or(|kind| found.value.user_kind() == Some(kind))
            && self.account.as_ref().is_none_or(|account| table.account_of(found) == Some(account))
            && (self.manager.is_none() || table.user(found).is_some_and(|u| u.manager == self.manager))
            && self.sign_on.as_ref().is_none_or(|s| table.user(found).is_some_and(|u| u.sign_ons.contains(s)))
    }

    /// The one user that it can be.
    fn only(&self, table: &Table, id: Option<OpaqueId>) -> crate::core::Listed<User> {
        let found = id.as_ref().and_then(|id| table.find_user(id)).filter(|found| self.admits(table, found));
        let items = found.and_then(|found| table.user(&found)).into_iter().collect();
        crate::core::Listed { items, next: None }
    }
}

fn groups_of(table: &Table, id: OpaqueId, transitive: bool) -> Result<Vec<UserGroup>, Refusal> {
    let Some(user) = table.find_user(&id) else { return Err(Refusal::NotFound(Key::User(id))) };
    let row = found(table.user(&user), || Key::User(id.clone()))?;
    let group = |path: &[Id], pending: bool| {
        let id = path.last().map(ToString::to_string).unwrap_or_default();
        let kind = path.last().and_then(|g| table.group_row(g)).map(|g| to_group_kind(&g.kind)).unwrap_or_default();
        let path: Vec<String> = path.iter().map(ToString::to_string).collect();
        UserGroup { group: id, kind: kind.into(), direct: path.len() == 1, pending, path }
    };
    let mut groups: Vec<UserGroup> = if transitive {
        ways_to_groups(table, &user).iter().map(|path| group(path, false)).collect()
    } else {
        row.groups.iter().map(|g| group(std::slice::from_ref(g), false)).collect()
    };
    let listed: std::collections::BTreeSet<String> = groups.iter().map(|g| g.group.clone()).collect();
    let pending = row.pending_groups.iter().filter(|g| !listed.contains(g.as_str()));
    groups.extend(pending.map(|g| group(std::slice::from_ref(g), true)));
    Ok(groups)
}
