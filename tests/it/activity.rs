//! Rule 7.5: the activity log. The services over real engines, and what becomes of a log in the store.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use doorward::clock::Clock;
use doorward::core::change::Change;
use doorward::engine::Engine;
use doorward::engine::activity::MAX_REFUSALS;
use doorward::service::proto as pb;
use doorward::service::proto::activity_service_server::ActivityService;
use doorward::service::proto::credential_service_server::CredentialService;
use doorward::service::proto::element_list_service_server::ElementListService;
use doorward::service::proto::group_service_server::GroupService;
use doorward::service::proto::organization_service_server::OrganizationService;
use doorward::service::proto::role_service_server::RoleService;
use doorward::service::proto::user_service_server::UserService;
use doorward::service::{Admin, Caller, OnBehalfOf, Peer};
use doorward::store::{
    ArchiveVisitor, Commit, LogVisitor, MemoryStore, Options, PolicyStore, RowVisitor, RowWrite, SledStore, StoreError,
};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use tonic::{Code, Request, Response, Status};

use crate::engine::TestClock;
use crate::support::{call, rows};
use crate::wire::reason;

pub const NOW: i64 = 1_700_000_000_000;

pub struct World {
    pub engine: Arc<Engine>,
    pub admin: Admin,
    pub clock: Arc<TestClock>,
    pub store: Arc<dyn PolicyStore>,
}

/// The services over an engine in memory, with the organization `acme` that a file describes.
pub async fn founded(file: &Json) -> World {
    let world = World::over(Arc::new(doorward::store::MemoryStore::new()));
    let changes = vec![Change::Replace { rows: rows(file), deactivate_missing: false }];
    world.engine.write::<(), _, _>(call("acme"), move |_| Ok(changes), |_| Vec::new()).await.unwrap();
    world
}

pub fn operator() -> Caller {
    Caller { peer: Peer::Tcp("192.0.2.7:4242".parse().unwrap()), ..Caller::operator("root".into()) }
}

/// On behalf of a user, whose permissions decide.
pub fn user(id: &str) -> Caller {
    let behalf = OnBehalfOf { user: format!("user:{id}"), authenticated_at: None };
    Caller { on_behalf_of: Some(Box::new(behalf)), ..operator() }
}

pub fn by<M>(caller: &Caller, message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(caller.clone());
    request
}

pub fn ok<R>(reply: Result<Response<R>, Status>) -> R {
    reply.unwrap_or_else(|status| panic!("{status:?}")).into_inner()
}

pub fn why<R>(reply: Result<Response<R>, Status>) -> String {
    reason(&reply.err().expect("is refused"))
}

pub fn group(id: &str) -> pb::CreateGroupRequest {
    let group = pb::Group { id: id.into(), kind: pb::GroupKind::Manual.into(), ..Default::default() };
    pb::CreateGroupRequest { organization: "acme".into(), group: Some(group), ..Default::default() }
}

pub fn adding(members: &[&str]) -> pb::AddMembersRequest {
    let members = members.iter().map(ToString::to_string).collect();
    pb::AddMembersRequest { organization: "acme".into(), group: "risk".into(), members, ..Default::default() }
}

pub fn granting(member: &str, permissions: &[&str], account: &str) -> pb::CreateGrantsRequest {
    let target = Some(pb::Target { account: account.into(), ..Default::default() });
    let permissions = permissions.iter().map(ToString::to_string).collect();
    let grant = Some(pb::Grant { permissions, member: member.into(), target, ..Default::default() });
    pb::CreateGrantsRequest { organization: "acme".into(), grant, ..Default::default() }
}

pub fn creating(id: &str, account: &str) -> pb::CreateUserRequest {
    let user = pb::User {
        id: id.into(),
        email: format!("{id}@acme.com"),
        first_name: format!("First {id}"),
        account: account.into(),
        ..Default::default()
    };
    pb::CreateUserRequest { organization: "acme".into(), user: Some(user), ..Default::default() }
}

pub fn renaming(id: &str, first_name: &str) -> pb::UpdateUserRequest {
    let user = pb::User { id: id.into(), first_name: first_name.into(), ..Default::default() };
    pb::UpdateUserRequest { organization: "acme".into(), user: Some(user), ..Default::default() }
}

impl World {
    pub fn over(store: Arc<dyn PolicyStore>) -> Self {
        let clock = TestClock::at(NOW);
        let engine = Engine::open(Arc::clone(&store), Arc::clone(&clock) as Arc<dyn Clock>, |error| panic!("{error}"));
        let engine = Arc::new(engine.unwrap());
        Self { admin: Admin::new(Arc::clone(&engine)), engine, clock, store }
    }

    pub fn on_disk(path: &Path) -> Self {
        Self::over(Arc::new(SledStore::open(path, Options::default()).unwrap()))
    }

    /// Organization `acme` with accounts `main` and `emea`, users `ana` (main) and `eve` (emea), and the
    /// empty group `risk`. Makes six entries.
    pub async fn acme(self) -> Self {
        let root = &operator();
        let email_domains =
            vec![pb::EmailDomain { domain: "acme.com".into(), audience: pb::UserKind::Internal.into() }];
        let organization = pb::Organization {
            id: "acme".into(),
            preset: pb::Preset::Workspace.into(),
            email_domains,
            ..Default::default()
        };
        let request = pb::CreateOrganizationRequest { organization: Some(organization), ..Default::default() };
        ok(self.admin.create_organization(by(root, request)).await);
        let account = Some(pb::Account { id: "emea".into(), ..Default::default() });
        let request = pb::CreateAccountRequest { organization: "acme".into(), account, ..Default::default() };
        ok(self.admin.create_account(by(root, request)).await);
        ok(self.admin.create_user(by(root, creating("ana", "main"))).await);
        ok(self.admin.create_user(by(root, creating("eve", "emea"))).await);
        ok(self.admin.create_group(by(root, group("risk"))).await);
        ok(self.admin.add_members(by(root, adding(&["user:ana"]))).await);
        self
    }

    pub async fn memory() -> Self {
        Self::over(Arc::new(MemoryStore::new())).acme().await
    }

    pub async fn page(&self, caller: &Caller, request: pb::ListActivityRequest) -> pb::ListActivityResponse {
        let request = pb::ListActivityRequest { organization: "acme".into(), ..request };
        ok(self.admin.list_activity(by(caller, request)).await)
    }

    /// All entries that a filter admits, in order, by pages of this size.
    pub async fn pages(&self, caller: &Caller, filter: pb::ActivityFilter, page_size: i32) -> Vec<pb::ActivityEntry> {
        let mut all = Vec::new();
        let mut request = pb::ListActivityRequest { filter: Some(filter), page_size, ..Default::default() };
        loop {
            let page = self.page(caller, request.clone()).await;
            all.extend(page.entries);
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        all.reverse();
        all
    }

    pub async fn all(&self) -> Vec<pb::ActivityEntry> {
        self.pages(&operator(), pb::ActivityFilter::default(), 1_000).await
    }

    pub async fn last(&self) -> pb::ActivityEntry {
        self.all().await.pop().unwrap()
    }

    pub async fn verify(&self, after: u64, expected: &[u8]) -> pb::VerifyActivityResponse {
        let request = pb::VerifyActivityRequest {
            organization: "acme".into(),
            after_sequence: after,
            expected_hash: expected.to_vec(),
            ..Default::default()
        };
        ok(self.admin.verify_activity(by(&operator(), request)).await)
    }

    /// Changes the archive behind everybody's back.
    pub fn tamper(&self, key: &[u8], value: Option<Vec<u8>>) {
        let head = self.store.scopes().unwrap().into_iter().find(|scope| scope.0 == "acme").unwrap().1;
        let archive = vec![RowWrite { key: key.to_vec(), value }];
        let (scope, rows) = ("acme".to_owned(), Vec::new());
        self.store.write(&[Commit { scope, revision: head, log: None, rows, archive }]).unwrap();
    }

    pub fn archived(&self, keys: Range<&[u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut rows = Vec::new();
        let take = &mut |key: &[u8], value: &[u8]| {
            rows.push((key.to_vec(), value.to_vec()));
            Ok(true)
        };
        self.store.archive("acme", keys, take).unwrap();
        rows
    }

    /// What lies beside entries.
    pub fn beside(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.archived(&[1]..&[2])
    }
}

pub fn entry_key(sequence: u64) -> Vec<u8> {
    [&[0][..], &sequence.to_be_bytes()].concat()
}

pub fn row_user(row: &Option<pb::Row>) -> &pb::User {
    match &row.as_ref().unwrap().kind {
        Some(pb::row::Kind::User(user)) => user,
        other => panic!("{other:?}"),
    }
}

pub fn membership(row: &Option<pb::Row>) -> (String, String) {
    match &row.as_ref().unwrap().kind {
        Some(pb::row::Kind::Membership(m)) => (m.member.clone(), m.group.clone()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn m7_5_a_change_says_who_made_it_when_from_where_and_what_was_before_and_after() {
    let world = World::memory().await;
    ok(world.admin.create_grants(by(&operator(), granting("user:ana", &["*"], ""))).await);
    world.clock.0.store(NOW + 5_250, Ordering::Relaxed);
    let request = pb::UpdateUserRequest { request_id: "r-1".into(), ..renaming("eve", "Evelyn") };
    let revision = ok(world.admin.update_user(by(&user("ana"), request)).await).revision;
    let entry = world.last().await;
    assert_eq!((entry.caller.as_str(), entry.on_behalf_of.as_str()), ("platform:root", "user:ana"));
    assert_eq!((entry.peer.as_str(), entry.request_id.as_str()), ("192.0.2.7:4242", "r-1"));
    assert_eq!(entry.method, "doorward.v1.UserService/UpdateUser");
    assert_eq!(entry.time, Some(prost_types::Timestamp { seconds: NOW / 1_000 + 5, nanos: 250_000_000 }));
    assert_eq!((entry.outcome(), entry.reason.as_str()), (pb::ActivityOutcome::Applied, ""));
    assert_eq!((entry.summary.as_str(), entry.account.as_str()), ("update user `eve`", "emea"));
    assert_eq!((entry.revision, entry.change_count), (revision, 1));
    let [change] = entry.changes.as_slice() else { panic!("{:?}", entry.changes) };
    assert_eq!(row_user(&change.before).first_name, "First eve");
    assert_eq!(row_user(&change.after).first_name, "Evelyn");
    assert_eq!(row_user(&change.after).email, "eve@acme.com");

    let all = world.all().await;
    let summaries: Vec<&str> = all.iter().take(6).map(|entry| entry.summary.as_str()).collect();
    assert_eq!(
        summaries,
        [
            "create the organization and 1 more",
            "create account `emea`",
            "create user `ana`",
            "create user `eve`",
            "create group `risk`",
            "add user `ana` to group `risk`",
        ]
    );
    // A membership is told as one, without a copy of its member.
    let added = &all[5];
    assert_eq!((added.changes.len(), added.change_count, added.account.as_str()), (1, 1, "main"));
    assert_eq!(added.changes[0].before, None);
    assert_eq!(membership(&added.changes[0].after), ("user:ana".into(), "risk".into()));
    let delete = pb::DeleteGroupRequest { organization: "acme".into(), group: "risk".into(), ..Default::default() };
    ok(world.admin.delete_group(by(&operator(), delete)).await);
    let deleted = world.last().await;
    assert_eq!((deleted.change_count, deleted.account.as_str()), (2, ""), "the group, and its member's membership");
    let group =
        deleted.changes.iter().find(|c| matches!(&c.before.as_ref().unwrap().kind, Some(pb::row::Kind::Group(_))));
    assert_eq!(group.unwrap().after, None);
    let left = deleted.changes.iter().find(|c| !std::ptr::eq(*c, group.unwrap())).unwrap();
    assert_eq!((membership(&left.before), &left.after), (("user:ana".into(), "risk".into()), &None));
}

#[tokio::test]
async fn m7_5_what_changes_nothing_is_no_entry() {
    let world = World::memory().await;
    let before = world.all().await;
    ok(world.admin.add_members(by(&operator(), adding(&["user:ana"]))).await);
    let dry = pb::CreateGroupRequest { validate_only: true, ..group("other") };
    ok(world.admin.create_group(by(&operator(), dry)).await);
    let retried = pb::CreateGroupRequest { request_id: "one".into(), ..group("third") };
    for _ in 0..3 {
        ok(world.admin.create_group(by(&operator(), retried.clone())).await);
    }
    assert_eq!(world.all().await.len(), before.len() + 1, "and a retry is no second one");
}

#[tokio::test]
async fn m7_5_entries_are_in_one_order_and_each_is_hashed_with_the_one_before() {
    let world = World::memory().await;
    let mut calls = Vec::new();
    for n in 0..20 {
        let admin = world.admin.clone();
        calls.push(tokio::spawn(async move {
            if n % 2 == 0 {
                ok(admin.create_group(by(&operator(), group(&format!("g{n}")))).await);
            } else {
                why(admin.create_group(by(&user("ana"), group(&format!("g{n}")))).await);
            }
        }));
    }
    for call in calls {
        call.await.unwrap();
    }
    let all = world.all().await;
    assert!(all.iter().map(|entry| entry.sequence).eq(1..=26));
    let revisions: Vec<u64> = all.iter().filter_map(|entry| Some(entry.revision.as_ref()?.number)).collect();
    assert!(revisions.iter().copied().eq(1..=16), "{revisions:?}");
    let mut previous = vec![0; 32];
    for (entry, (key, stored)) in all.iter().zip(world.archived(&[0]..&[1])) {
        assert_eq!(key, entry_key(entry.sequence));
        assert_eq!(entry.previous_hash, previous);
        let hash = Sha256::new().chain_update(&previous).chain_update(&stored[64..]).finalize();
        assert_eq!((entry.hash.as_slice(), &stored[32..64]), (hash.as_slice(), hash.as_slice()));
        previous = entry.hash.clone();
    }
    let verified = world.verify(0, &[]).await;
    assert!(verified.intact, "{}", verified.problem);
    assert_eq!((verified.entries_verified, verified.last_sequence, verified.last_hash), (26, 26, previous));
}

#[tokio::test]
async fn m7_5_refused_admin_calls_are_entries_without_a_revision() {
    let world = World::memory().await;
    let root = &operator();
    let revision = world.last().await.revision;
    ok(world.admin.create_grants(by(root, granting("user:ana", &["roles.assign"], ""))).await);
    let get = pb::GetGroupRequest { organization: "acme".into(), group: "risk".into(), min_revision: None };
    let organization = pb::Organization { id: "acme".into(), preset: pb::Preset::None.into(), ..Default::default() };
    let found = pb::CreateOrganizationRequest { organization: Some(organization), ..Default::default() };
    let activate = pb::ActivateUserRequest { organization: "acme".into(), user: "ana".into(), ..Default::default() };
    let dry = pb::CreateGroupRequest { validate_only: true, ..group("g") };
    let listing = pb::ListActivityRequest { organization: "acme".into(), ..Default::default() };
    let ana = &user("ana");
    let refused = [
        ("PERMISSION_DENIED", why(world.admin.create_group(by(ana, group("g"))).await)),
        ("PERMISSION_DENIED", why(world.admin.create_group(by(ana, dry)).await)),
        ("PERMISSION_DENIED", why(world.admin.get_group(by(ana, get)).await)),
        ("PERMISSION_DENIED", why(world.admin.list_activity(by(ana, listing)).await)),
        ("PERMISSION_DENIED", why(world.admin.create_organization(by(ana, found.clone())).await)),
        ("HANDS_OUT_MORE", why(world.admin.create_grants(by(ana, granting("user:eve", &["tasks.read"], ""))).await)),
        ("ALREADY_EXISTS", why(world.admin.create_organization(by(root, found)).await)),
        ("ALREADY_EXISTS", why(world.admin.create_group(by(root, group("risk"))).await)),
        ("ILLEGAL_STATUS_MOVE", why(world.admin.activate_user(by(root, activate)).await)),
        ("EMAIL_TAKEN", {
            let mut taken = creating("bo", "main");
            taken.user.as_mut().unwrap().email = "ana@acme.com".into();
            why(world.admin.create_user(by(root, taken)).await)
        }),
        ("NOT_FOUND", why(world.admin.update_user(by(root, renaming("nobody", "x"))).await)),
    ];
    let all = world.all().await;
    let logged = &all[7..];
    assert_eq!(logged.len(), refused.len(), "{logged:#?}");
    for (entry, (wanted, found)) in logged.iter().zip(&refused) {
        assert_eq!((*wanted, entry.reason.as_str()), (found.as_str(), found.as_str()));
        assert_eq!(entry.outcome(), pb::ActivityOutcome::Refused);
        assert_eq!((entry.revision.as_ref(), entry.changes.len(), entry.change_count), (None, 0, 0));
        assert!(!entry.summary.is_empty() && !entry.summary.contains('@'), "nothing personal: {}", entry.summary);
        assert_eq!(entry.peer, "192.0.2.7:4242");
    }
    assert_eq!(logged[0].summary, "`user:ana` lacks `groups.manage` or `users.provision` for this");
    assert_eq!(logged[9].summary, "user `bo`: EMAIL_TAKEN");
    assert_eq!(logged[10].method, "doorward.v1.UserService/UpdateUser");
    let after = ok(world.admin.create_group(by(root, group("next"))).await).revision.unwrap().number;
    assert_eq!(after, revision.unwrap().number + 2, "refusals make no revision");
    assert!(world.verify(0, &[]).await.intact);
}

#[tokio::test]
async fn m7_5_what_is_malformed_or_of_another_organization_writes_nothing() {
    let world = World::memory().await;
    let before = world.all().await.len();
    let created = pb::CreateServiceAccountRequest {
        organization: "acme".into(),
        service_account: Some(pb::ServiceAccount { id: "ci".into(), ..Default::default() }),
        ..Default::default()
    };
    ok(world.admin.create_service_account(by(&operator(), created)).await);
    let request =
        pb::CreateCredentialRequest { organization: "acme".into(), service_account: "ci".into(), ..Default::default() };
    let made = ok(world.admin.create_credential(by(&operator(), request)).await);
    let told = world.last().await;
    // Secrets are never in it, nor what is stored of them.
    assert_eq!((told.change_count, told.changes.len(), told.account.as_str()), (1, 1, "main"));
    assert_eq!(told.summary, format!("create credential `{}`", made.credential.unwrap().id));
    let hash = Sha256::digest(made.secret.as_bytes());
    for (_, stored) in world.archived(&[0]..&[2]) {
        assert!(!stored.windows(32).any(|w| w == hash.as_slice()));
    }
    let bearer = world.engine.bearer(&hash.into()).unwrap();
    let ci = Caller::bearer(bearer);
    let other = pb::Organization { id: "other".into(), ..Default::default() };
    let found = pb::CreateOrganizationRequest { organization: Some(other), ..Default::default() };
    ok(world.admin.create_organization(by(&operator(), found)).await);
    let end = |id: &str| {
        let end = world.engine.with_table(id, None, |table| world.engine.activity_end(table)).unwrap();
        end.unwrap().borrow().sequence
    };
    let (ours, theirs) = (end("acme"), end("other"));
    assert_eq!(ours, before as u64 + 2);

    let elsewhere = pb::CreateGroupRequest { organization: "other".into(), ..group("g") };
    assert_eq!(why(world.admin.create_group(by(&ci, elsewhere)).await), "PERMISSION_DENIED");
    let nobody = world.admin.create_group(Request::new(group("g"))).await;
    assert_eq!(nobody.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(why(world.admin.create_group(by(&operator(), group("not an id"))).await), "INVALID_REQUEST");
    let nowhere = pb::CreateGroupRequest { organization: "nowhere".into(), ..group("g") };
    assert_eq!(why(world.admin.create_group(by(&operator(), nowhere)).await), "UNKNOWN_ORGANIZATION");
    assert_eq!((end("acme"), end("other")), (ours, theirs));
    // At home it is logged, also where the caller is not trusted to speak for a user.
    assert_eq!(why(world.admin.create_group(by(&ci, group("g"))).await), "PERMISSION_DENIED");
    let distrusted = Caller { on_behalf_of: user("ana").on_behalf_of, ..ci };
    assert_eq!(why(world.admin.create_group(by(&distrusted, group("g"))).await), "PERMISSION_DENIED");
    let all = world.all().await;
    assert_eq!(all.len() as u64, ours + 2);
    assert_eq!(all.last().unwrap().caller, "service:ci");
    assert_eq!(all.last().unwrap().summary, "the caller is not trusted to act on behalf of users");
}

#[tokio::test]
async fn m7_5_refused_calls_of_platform_operators_are_logged_where_their_caller_is_at_home() {
    let world = World::memory().await;
    let over = || Some(pb::SuperOrganization { id: "globex".into(), ..Default::default() });
    let create = pb::CreateSuperOrganizationRequest { super_organization: over(), ..Default::default() };
    ok(world.admin.create_super_organization(by(&operator(), create.clone())).await);
    let service_account = Some(pb::ServiceAccount { id: "ci".into(), ..Default::default() });
    let request =
        pb::CreateServiceAccountRequest { organization: "acme".into(), service_account, ..Default::default() };
    ok(world.admin.create_service_account(by(&operator(), request)).await);
    let request = pb::CreateCredentialRequest {
        organization: "acme".into(),
        service_account: "ci".into(),
        acts_for_users: true,
        ..Default::default()
    };
    let made = ok(world.admin.create_credential(by(&operator(), request)).await);
    let bearer = world.engine.bearer(&Sha256::digest(made.secret.as_bytes()).into()).unwrap();
    let ci = &Caller { peer: operator().peer, ..Caller::bearer(bearer) };
    let for_ana = &Caller { on_behalf_of: user("ana").on_behalf_of, ..ci.clone() };
    // What cannot be erased is not logged: an address that is nobody's id.
    let for_address = &Caller { on_behalf_of: user("bo@acme.com").on_behalf_of, ..ci.clone() };

    let begin = world.all().await.len();
    let globex = || "globex".to_owned();
    let get = pb::GetSuperOrganizationRequest { super_organization: globex(), min_revision: None };
    let update = pb::UpdateSuperOrganizationRequest { super_organization: over(), ..Default::default() };
    let delete = pb::DeleteSuperOrganizationRequest { super_organization: globex(), ..Default::default() };
    let denied = pb::GetDenylistRequest { super_organization: globex(), min_revision: None };
    let elements = || vec!["sap".to_owned()];
    let set = pb::UpdateDenylistRequest { super_organization: globex(), elements: elements(), ..Default::default() };
    let add = pb::AddDenylistElementsRequest {
        super_organization: globex(),
        elements: elements(),
        request_id: "r-1".into(),
        ..Default::default()
    };
    let remove =
        pb::RemoveDenylistElementRequest { super_organization: globex(), element: "sap".into(), ..Default::default() };
    let clear = pb::ClearDenylistRequest { super_organization: globex(), ..Default::default() };
    let refused = [
        (
            "OrganizationService/CreateSuperOrganization",
            why(world.admin.create_super_organization(by(ci, create)).await),
        ),
        ("OrganizationService/GetSuperOrganization", why(world.admin.get_super_organization(by(ci, get)).await)),
        ("OrganizationService/ListSuperOrganizations", {
            why(world.admin.list_super_organizations(by(ci, pb::ListSuperOrganizationsRequest::default())).await)
        }),
        (
            "OrganizationService/UpdateSuperOrganization",
            why(world.admin.update_super_organization(by(ci, update)).await),
        ),
        (
            "OrganizationService/DeleteSuperOrganization",
            why(world.admin.delete_super_organization(by(ci, delete)).await),
        ),
        ("OrganizationService/ListOrganizations", {
            why(world.admin.list_organizations(by(ci, pb::ListOrganizationsRequest::default())).await)
        }),
        ("ElementListService/GetDenylist", why(world.admin.get_denylist(by(ci, denied)).await)),
        ("ElementListService/UpdateDenylist", why(world.admin.update_denylist(by(for_ana, set)).await)),
        ("ElementListService/AddDenylistElements", why(world.admin.add_denylist_elements(by(ci, add.clone())).await)),
        ("ElementListService/RemoveDenylistElement", why(world.admin.remove_denylist_element(by(ci, remove)).await)),
        ("ElementListService/ClearDenylist", why(world.admin.clear_denylist(by(for_address, clear)).await)),
    ];
    let all = world.all().await;
    let logged = &all[begin..];
    assert_eq!(logged.len(), refused.len(), "{logged:#?}");
    for (entry, (method, reason)) in logged.iter().zip(&refused) {
        assert_eq!((entry.method.as_str(), reason.as_str()), (&*format!("doorward.v1.{method}"), "PERMISSION_DENIED"));
        assert_eq!((entry.reason.as_str(), entry.outcome()), ("PERMISSION_DENIED", pb::ActivityOutcome::Refused));
        assert_eq!((entry.caller.as_str(), entry.peer.as_str()), ("service:ci", "192.0.2.7:4242"));
        let on_behalf_of = match *method {
            "ElementListService/UpdateDenylist" => "user:ana",
            "ElementListService/ClearDenylist" => "user:(an address)",
            _ => "",
        };
        assert_eq!(entry.on_behalf_of, on_behalf_of);
        assert!(entry.revision.is_none() && entry.account.is_empty());
        assert!(!entry.summary.is_empty() && !entry.summary.contains("globex"), "{}", entry.summary);
    }
    // In the bounds of all refusals, and not where no organization is the caller's.
    for _ in 0..2 * MAX_REFUSALS {
        why(world.admin.add_denylist_elements(by(ci, add.clone())).await);
    }
    assert_eq!(world.all().await.len(), begin + MAX_REFUSALS as usize);
    why(world.admin.add_denylist_elements(by(&user("ana"), add)).await);
    assert_eq!(world.all().await.len(), begin + MAX_REFUSALS as usize);
    assert!(world.verify(0, &[]).await.intact);
}

#[tokio::test]
async fn m7_5_a_flood_of_refused_calls_costs_a_bounded_number_of_entries() {
    let world = World::memory().await;
    let before = world.all().await.len();
    let flood = u64::from(MAX_REFUSALS) + 470;
    for _ in 0..flood {
        assert_eq!(why(world.admin.create_group(by(&user("ana"), group("g"))).await), "PERMISSION_DENIED");
    }
    let of_flood = |all: &[pb::ActivityEntry]| all.len() - before;
    assert_eq!(of_flood(&world.all().await), MAX_REFUSALS as usize);
    // Others are not silenced by it: who authenticated is counted for itself.
    let other = Caller { name: "other".into(), ..user("ana") };
    why(world.admin.create_group(by(&other, group("g"))).await);
    assert_eq!(of_flood(&world.all().await), MAX_REFUSALS as usize + 1);
    world.engine.settle_refusals();
    ok(world.admin.create_group(by(&operator(), group("after"))).await);
    let all = world.all().await;
    assert_eq!(of_flood(&all), MAX_REFUSALS as usize + 3);
    let counted = &all[all.len() - 2];
    assert_eq!((counted.reason.as_str(), counted.caller.as_str()), ("REFUSALS_COUNTED", "platform:root"));
    assert_eq!(counted.summary, "470 more calls of platform:root refused, and not logged one by one");
    assert!(world.verify(0, &[]).await.intact);
    // A new window.
    why(world.admin.create_group(by(&user("ana"), group("g"))).await);
    assert_eq!(world.last().await.reason, "PERMISSION_DENIED");
}

/// Takes no writes when told so.
struct Full(MemoryStore, AtomicBool);

impl PolicyStore for Full {
    fn scopes(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.0.scopes()
    }
    fn load(&self, scope: &str, visit: &mut RowVisitor<'_>) -> Result<u64, StoreError> {
        self.0.load(scope, visit)
    }
    fn log(&self, scope: &str, from: u64, visit: &mut LogVisitor<'_>) -> Result<(), StoreError> {
        self.0.log(scope, from, visit)
    }
    fn archive(&self, scope: &str, keys: Range<&[u8]>, visit: &mut ArchiveVisitor<'_>) -> Result<(), StoreError> {
        self.0.archive(scope, keys, visit)
    }
    fn room_for(&self, _: u64) -> Result<(), StoreError> {
        if self.1.load(Ordering::Relaxed) { Err(StoreError::DiskLow { free: 0, needed: 1 }) } else { Ok(()) }
    }
    fn write(&self, commits: &[Commit]) -> Result<(), StoreError> {
        self.0.write(commits)
    }
}

#[tokio::test]
async fn m7_5_a_refusal_that_cannot_be_logged_is_a_refusal_all_the_same() {
    let store = Arc::new(Full(MemoryStore::new(), AtomicBool::new(false)));
    let world = World::over(Arc::clone(&store) as Arc<dyn PolicyStore>).acme().await;
    store.1.store(true, Ordering::Relaxed);
    let began = Instant::now();
    assert_eq!(why(world.admin.create_group(by(&user("ana"), group("g"))).await), "PERMISSION_DENIED");
    let get = pb::GetGroupRequest { organization: "acme".into(), group: "risk".into(), min_revision: None };
    assert_eq!(why(world.admin.get_group(by(&user("ana"), get.clone())).await), "PERMISSION_DENIED");
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(why(world.admin.create_group(by(&operator(), group("g"))).await), "DISK_LOW");
    assert_eq!(world.all().await.len(), 6);
    store.1.store(false, Ordering::Relaxed);
    // It is told how many were missed.
    world.engine.settle_refusals();
    ok(world.admin.create_group(by(&operator(), group("g"))).await);
    let all = world.all().await;
    assert_eq!(all[6].summary, "2 more calls of platform:root refused, and not logged one by one");
    assert_eq!(all.len(), 8);
    // The engine stopped: nothing hangs, nothing opens.
    world.engine.stop();
    let began = Instant::now();
    assert_eq!(why(world.admin.get_group(by(&user("ana"), get)).await), "PERMISSION_DENIED");
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn m7_5_a_refusal_is_logged_while_a_large_change_is_planned() {
    let world = World::memory().await;
    let (planning, planned) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let call = doorward::engine::Call {
        caller: "root".into(),
        method: "Slow",
        create: doorward::engine::Create::Never,
        ..crate::support::call("acme")
    };
    let members = vec!["user:eve".parse().unwrap()];
    let plan = move |_: &_| {
        planning.send(()).unwrap();
        wait.recv().unwrap();
        Ok::<_, ()>(vec![doorward::core::change::Change::AddMembers { group: "risk".parse().unwrap(), members }])
    };
    let engine = Arc::clone(&world.engine);
    let slow = tokio::spawn(async move { engine.write(call, plan, |_| Vec::new()).await.map(drop) });
    tokio::task::spawn_blocking(move || planned.recv().unwrap()).await.unwrap();
    let get = pb::GetGroupRequest { organization: "acme".into(), group: "risk".into(), min_revision: None };
    assert_eq!(why(world.admin.get_group(by(&user("ana"), get)).await), "PERMISSION_DENIED");
    assert_eq!(world.last().await.method, "doorward.v1.GroupService/GetGroup", "it did not wait");
    go.send(()).unwrap();
    slow.await.unwrap().unwrap();
    let last = world.last().await;
    assert_eq!((last.sequence, last.revision.unwrap().number), (8, 7));
    assert!(world.verify(0, &[]).await.intact);
}
