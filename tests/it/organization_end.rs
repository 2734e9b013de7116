//! The end of an organization: what is gone with it, and what is created again under its id.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use doorward::clock::SystemClock;
use doorward::core::decision::{Question, Reason};
use doorward::engine::activity::{Ending, MAX_REFUSALS, Note, Origin, Verifier};
use doorward::engine::{AtLeast, Bearer, Engine, ReadError, Shut};
use doorward::service::proto as pb;
use doorward::service::proto::activity_service_server::ActivityService;
use doorward::service::proto::credential_service_server::CredentialService;
use doorward::service::proto::decision_service_server::DecisionService;
use doorward::service::proto::element_list_service_server::ElementListService;
use doorward::service::proto::group_service_server::GroupService;
use doorward::service::proto::organization_service_server::OrganizationService;
use doorward::service::proto::role_service_server::RoleService;
use doorward::service::proto::user_service_server::UserService;
use doorward::service::{Admin, Caller, Decisions};
use doorward::store::{MemoryStore, Options, PolicyStore, SledStore};
use sha2::{Digest, Sha256};
use tokio_stream::StreamExt;

use crate::activity::{World, by, creating, granting, group, ok, operator, user, why};
use crate::engine::TestClock;
use crate::erase::{erase, erasing};
use crate::wire::reason;

/// Over the machine's own randomness: histories differ, also across restarts.
fn over(store: Arc<dyn PolicyStore>) -> World {
    let engine = Engine::open(Arc::clone(&store), Arc::new(SystemClock), |error| panic!("{error}"));
    let engine = Arc::new(engine.unwrap());
    World { admin: Admin::new(Arc::clone(&engine)), engine, clock: TestClock::at(0), store }
}

fn on_disk(path: &Path) -> World {
    over(Arc::new(SledStore::open(path, Options::default()).unwrap()))
}

fn deletion(request_id: &str) -> pb::DeleteOrganizationRequest {
    pb::DeleteOrganizationRequest { organization: "acme".into(), request_id: request_id.into(), ..Default::default() }
}

async fn delete(world: &World, request: pb::DeleteOrganizationRequest) -> pb::DeleteOrganizationResponse {
    ok(world.admin.delete_organization(by(&operator(), request)).await)
}

async fn found(world: &World) -> Result<pb::GetOrganizationResponse, String> {
    let request = pb::GetOrganizationRequest { organization: "acme".into(), ..Default::default() };
    let found = world.admin.get_organization(by(&operator(), request)).await;
    found.map(tonic::Response::into_inner).map_err(|status| reason(&status))
}

fn may(engine: &Engine, permission: &str) -> Result<Reason, ReadError> {
    let question = Question { principal: "user:ana", permission, ..Question::default() };
    engine.authorize("acme", None, &question, |decided, _| decided.reason)
}

fn unknown() -> ReadError {
    ReadError::UnknownOrganization("acme".into())
}

/// A service account that holds everything, and the hash of its token.
async fn robot(world: &World) -> [u8; 32] {
    let root = &operator();
    let service_account = Some(pb::ServiceAccount { id: "robot".into(), ..Default::default() });
    let request =
        pb::CreateServiceAccountRequest { organization: "acme".into(), service_account, ..Default::default() };
    ok(world.admin.create_service_account(by(root, request)).await);
    ok(world.admin.create_grants(by(root, granting("service:robot", &["*"], ""))).await);
    let request = pb::CreateCredentialRequest {
        organization: "acme".into(),
        service_account: "robot".into(),
        ..Default::default()
    };
    let made = ok(world.admin.create_credential(by(root, request)).await);
    Sha256::digest(made.secret.as_bytes()).into()
}

/// What the store has under the kinds of rows that stay: birth, request ids, the end of the log.
fn kept(store: &dyn PolicyStore) -> Vec<u8> {
    let mut kinds = Vec::new();
    store
        .load("acme", &mut |key, _| {
            kinds.push(key[0]);
            Ok(())
        })
        .unwrap();
    kinds
}

#[tokio::test]
async fn a_deleted_organization_is_gone_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let root = &operator();
    let entries;
    {
        let world = on_disk(dir.path()).acme().await;
        ok(world.admin.create_grants(by(root, granting("user:ana", &["groups.read"], ""))).await);
        let token = robot(&world).await;
        let bearer = world.engine.bearer(&token).unwrap();
        let before = found(&world).await.unwrap();
        let last = before.revision.clone().unwrap();
        let stored = kept(&*world.store).len();

        let dry = delete(&world, pb::DeleteOrganizationRequest { validate_only: true, ..deletion("") }).await;
        assert_eq!((&dry.revision, dry.rows_removed), (&before.revision, stored as u64 - 2), "all but birth and tip");
        let stale = pb::DeleteOrganizationRequest { etag: "0000000000000000".into(), ..deletion("") };
        assert_eq!(why(world.admin.delete_organization(by(root, stale)).await), "ETAG_MISMATCH");
        let by_ana = world.admin.delete_organization(by(&user("ana"), deletion(""))).await;
        assert_eq!(why(by_ana), "PERMISSION_DENIED");
        assert_eq!((found(&world).await, may(&world.engine, "groups.read")), (Ok(before.clone()), Ok(Reason::Allowed)));

        // Whoever waits for more of it, or follows its log, is told.
        let waiting = {
            let engine = Arc::clone(&world.engine);
            let later = last.number + 1_000;
            tokio::spawn(async move {
                let later = AtLeast { history: "", number: later };
                engine.wait_for("acme", later, Duration::from_secs(5)).await
            })
        };
        let follow = pb::StreamActivityRequest { organization: "acme".into(), follow: true, ..Default::default() };
        let mut followed = ok(world.admin.stream_activity(by(root, follow)).await);
        entries = followed.next().await.unwrap().unwrap().through_sequence + 1;
        let entered = world.engine.with_table("acme", None, |table| table.history().to_string()).unwrap();
        tokio::task::yield_now().await;

        let request = pb::DeleteOrganizationRequest { etag: before.organization.unwrap().etag, ..deletion("d-1") };
        let gone = delete(&world, request.clone()).await;
        assert_eq!(gone.revision.clone().unwrap(), pb::Revision { history: entered, number: last.number + 1 });
        assert_eq!(gone.rows_removed, dry.rows_removed);
        assert_eq!(may(&world.engine, "groups.read"), Err(unknown()));
        assert_eq!(waiting.await.unwrap(), Err(unknown()));
        let (mut told, mut ended) = (Vec::new(), None);
        while let Some(message) = followed.next().await {
            match message {
                Ok(message) => told.extend(message.entries),
                Err(status) => ended = Some(reason(&status)),
            }
        }
        assert_eq!(ended.unwrap(), "UNKNOWN_ORGANIZATION");
        assert!(told.iter().all(|entry| entry.summary == "delete organization `acme`"), "{told:?}");

        assert_eq!(found(&world).await, Err("UNKNOWN_ORGANIZATION".into()));
        assert_eq!(world.engine.bearer(&token), Err(Shut::Unknown));
        assert_eq!(world.engine.still_in(&bearer), Err(Shut::Unknown));
        assert_eq!(why(world.admin.create_group(by(root, group("g"))).await), "UNKNOWN_ORGANIZATION");
        let activity = pb::ListActivityRequest { organization: "acme".into(), ..Default::default() };
        assert_eq!(why(world.admin.list_activity(by(root, activity)).await), "UNKNOWN_ORGANIZATION");
        let list = pb::ListOrganizationsRequest::default();
        assert_eq!(ok(world.admin.list_organizations(by(root, list)).await).organizations, []);
        // A retry gets the first reply; another deletion finds nothing.
        assert_eq!(delete(&world, request).await, gone);
        assert_eq!(why(world.admin.delete_organization(by(root, deletion("d-2"))).await), "UNKNOWN_ORGANIZATION");
        assert_eq!(kept(&*world.store), [0, 200, 201], "nothing of its content is left in the state");
        world.engine.stop();
    }
    {
        let world = on_disk(dir.path());
        assert_eq!(
            (found(&world).await, may(&world.engine, "x.y")),
            (Err("UNKNOWN_ORGANIZATION".into()), Err(unknown()))
        );
        assert!(world.engine.organizations().is_empty());
        assert_eq!(why(world.admin.delete_organization(by(root, deletion("d-3"))).await), "UNKNOWN_ORGANIZATION");
        world.engine.stop();
    }
    // Its log ends with who deleted it, and is whole.
    let store = SledStore::open(dir.path(), Options::default()).unwrap();
    let mut verifier = Verifier::of_store(&store, "acme").unwrap();
    while verifier.step(&store).unwrap() {}
    assert_eq!((verifier.broken.as_ref(), verifier.tip().sequence), (None, verifier.verified));
    assert_eq!(verifier.verified, entries);
}

/// Who was let in by the organization before it ended is answered nothing of the next one of its id.
async fn refused_by_decisions(world: &World, bearer: &Arc<Bearer>) {
    let decisions = Decisions::new(Arc::clone(&world.engine));
    let old = &Caller::bearer(Arc::clone(bearer));
    let (organization, principal, permission) =
        ("acme".to_owned(), "service:robot".to_owned(), "groups.read".to_owned());
    let question = |organization: &str| pb::AuthorizeRequest {
        organization: organization.into(),
        principal: principal.clone(),
        permission: permission.clone(),
        ..Default::default()
    };
    assert_eq!(ok(decisions.authorize(by(&operator(), question("acme"))).await).decision(), pb::Decision::Allow);
    let other = "REVISION_OF_OTHER_HISTORY";
    assert_eq!(why(decisions.authorize(by(old, question("acme"))).await), other);
    let new = found(world).await.unwrap().revision;
    let knowing = pb::AuthorizeRequest { min_revision: new, ..question("acme") };
    assert_eq!(why(decisions.authorize(by(old, knowing)).await), other, "nor if it knows of that one");
    let malformed = pb::AuthorizeRequest { principal: String::new(), ..question("acme") };
    assert_eq!(why(decisions.authorize(by(old, malformed)).await), other);
    let batch = pb::BatchAuthorizeRequest { items: vec![question("acme")], ..Default::default() };
    let results = ok(decisions.batch_authorize(by(old, batch)).await).results;
    assert!(matches!(results[0].outcome, Some(pb::batch_authorize_result::Outcome::Error(_))), "{results:?}");
    let filter = pb::FilterRecordsRequest {
        organization: organization.clone(),
        principal: principal.clone(),
        ..Default::default()
    };
    assert_eq!(why(decisions.filter_records(by(old, filter)).await), other);
    let plan = pb::PlanRecordsRequest {
        organization: organization.clone(),
        principal: principal.clone(),
        object: "app".to_owned(),
        ..Default::default()
    };
    assert_eq!(why(decisions.plan_records(by(old, plan)).await), other);
    let explain = pb::ExplainRequest {
        organization: organization.clone(),
        principal: principal.clone(),
        permission: permission.clone(),
        ..Default::default()
    };
    assert_eq!(why(decisions.explain(by(old, explain)).await), other);
    let elements = pb::ListElementsRequest {
        organization: organization.clone(),
        principal: principal.clone(),
        ..Default::default()
    };
    assert_eq!(why(decisions.list_elements(by(old, elements)).await), other);
    let permissions =
        pb::ListPermissionsRequest { organization: organization.clone(), principal, ..Default::default() };
    assert_eq!(why(decisions.list_permissions(by(old, permissions)).await), other);
    let principals = pb::ListPrincipalsRequest { organization, permission, ..Default::default() };
    assert_eq!(why(decisions.list_principals(by(old, principals)).await), other);
}

#[tokio::test]
async fn what_is_created_again_under_the_id_inherits_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let root = &operator();
    let (first, old_log, second);
    {
        let world = on_disk(dir.path()).acme().await;
        let token = robot(&world).await;
        let bearer = world.engine.bearer(&token).unwrap();
        let named = pb::CreateUserRequest { request_id: "u-1".into(), ..creating("kim", "main") };
        ok(world.admin.create_user(by(root, named.clone())).await);
        first = found(&world).await.unwrap();
        let page = pb::ListActivityRequest { organization: "acme".into(), page_size: 2, ..Default::default() };
        let page_token = ok(world.admin.list_activity(by(root, page.clone())).await).next_page_token;
        old_log = world.verify(0, &[]).await;
        let gone = delete(&world, deletion("d-1")).await;

        let world = world.acme().await;
        second = found(&world).await.unwrap();
        let (old, new) = (first.revision.clone().unwrap(), second.revision.clone().unwrap());
        assert!(old.history != new.history && new.number == 6, "a history of its own: {old:?}, {new:?}");
        // Of the old one nothing is there, and what was known of it is refused.
        assert_eq!(world.engine.bearer(&token), Err(Shut::Unknown));
        assert_eq!(world.engine.still_in(&bearer), Err(Shut::Unknown));
        let late = world.admin.create_group(by(&Caller::bearer(Arc::clone(&bearer)), group("late"))).await;
        assert_eq!(why(late), "UNAUTHENTICATED", "a call that was let in before the end");
        robot(&world).await;
        refused_by_decisions(&world, &bearer).await;
        let late = world.admin.create_group(by(&Caller::bearer(bearer), group("late"))).await;
        assert_eq!(why(late), "UNAUTHENTICATED", "nor is it the new service account of that name");
        let get = pb::GetUserRequest { organization: "acme".into(), user: "kim".into(), ..Default::default() };
        assert_eq!(why(world.admin.get_user(by(root, get.clone())).await), "NOT_FOUND");
        let stale = pb::GetUserRequest { user: "ana".into(), min_revision: Some(old.clone()), ..get };
        assert_eq!(why(world.admin.get_user(by(root, stale)).await), "REVISION_OF_OTHER_HISTORY");
        let stale = pb::ListActivityRequest { page_token, ..page };
        assert_eq!(why(world.admin.list_activity(by(root, stale)).await), "INVALID_PAGE_TOKEN");
        let settings = |found: &pb::GetOrganizationResponse| pb::Organization {
            etag: String::new(),
            ..found.organization.clone().unwrap()
        };
        assert_eq!(settings(&first), settings(&second));
        let etag = first.organization.as_ref().unwrap().etag.clone();
        let stale = pb::DeleteOrganizationRequest { etag: etag.clone(), ..deletion("") };
        assert_eq!(why(world.admin.delete_organization(by(root, stale)).await), "ETAG_MISMATCH");
        let stale = pb::UpdateOrganizationRequest {
            organization: Some(pb::Organization { id: "acme".into(), display_name: "x".into(), ..Default::default() }),
            etag,
            ..Default::default()
        };
        assert_eq!(why(world.admin.update_organization(by(root, stale)).await), "ETAG_MISMATCH");
        // A late retry of the deletion deletes nothing more; one of a change is told, not carried out.
        assert_eq!(delete(&world, deletion("d-1")).await, gone);
        assert_eq!(why(world.admin.create_user(by(root, named)).await), "REQUEST_ID_REUSED");
        assert!(found(&world).await.is_ok());

        // Its log is its own, from the first entry on.
        let all = world.all().await;
        assert_eq!((all[0].sequence, all[0].summary.as_str()), (1, "create the organization and 1 more"));
        assert!(all.iter().all(|entry| !entry.summary.contains("kim") || entry.reason == "REQUEST_ID_REUSED"));
        let verified = world.verify(0, &[]).await;
        assert_eq!((verified.intact, verified.entries_verified), (true, all.len() as u64));
        let continued = world.verify(old_log.last_sequence, &old_log.last_hash).await;
        assert!(!continued.intact, "it does not go on from the other one");
        let mut logged = Vec::new();
        let note = &mut |revision, entry: doorward::engine::Logged| {
            logged.push((revision, entry.method));
            true
        };
        world.engine.log(&"acme".parse().unwrap(), 0, note).unwrap();
        let number = found(&world).await.unwrap().revision.unwrap().number;
        assert_eq!(logged.iter().map(|(revision, _)| *revision).collect::<Vec<_>>(), (1..=number).collect::<Vec<_>>());
        assert_eq!(logged[0].1, "doorward.v1.OrganizationService/CreateOrganization");
        // And the other one's entries lie untouched beside it.
        let entry = |sequence: u64| [&[0][..], &sequence.to_be_bytes()].concat();
        assert_eq!(world.archived(&entry(1)..&entry(u64::MAX)).len() as u64, old_log.last_sequence + 1);
        world.tamper(&entry(3), Some(b"altered".to_vec()));
        assert!(world.verify(0, &[]).await.intact);
        world.engine.stop();
    }
    {
        let world = on_disk(dir.path());
        let again = found(&world).await.unwrap();
        let (now, then) = (again.revision.unwrap(), second.revision.unwrap());
        assert!(now.history == then.history && now.number > then.number);
        assert_eq!(may(&world.engine, "groups.read"), Ok(Reason::NoPermission));
        let before = world.verify(0, &[]).await;
        assert!(before.intact);
        // It goes on where it was, in both of its logs.
        assert_eq!(ok(world.admin.create_group(by(root, group("g"))).await).revision.unwrap().number, now.number + 1);
        let after = world.verify(before.last_sequence, &before.last_hash).await;
        assert_eq!((after.intact, after.last_sequence), (true, before.last_sequence + 1));
        // What is personal of the old one's users is found beside the new one's log by nobody.
        assert_eq!(erase(&world, erasing("kim")).await.entries_erased, 0);
        delete(&world, deletion("d-4")).await;
        world.engine.stop();
    }
    let store = SledStore::open(dir.path(), Options::default()).unwrap();
    let mut verifier = Verifier::of_store(&store, "acme").unwrap();
    while verifier.step(&store).unwrap() {}
    assert!(verifier.broken.is_none() && verifier.verified > 6, "the second log ended whole: {verifier:?}");
}

#[tokio::test]
async fn what_the_old_organization_refused_is_not_told_by_the_new_one() {
    let world = over(Arc::new(MemoryStore::new())).acme().await;
    let note = |summary: &str| Note {
        origin: Origin { caller: "platform:root".into(), ..Origin::default() },
        ending: Ending::Refused,
        reason: "PERMISSION_DENIED".into(),
        summary: summary.into(),
        account: None,
        emergency_activation: None,
    };
    let old = world.engine.table("acme", None, Duration::ZERO).await.unwrap();
    delete(&world, deletion("")).await;
    let world = world.acme().await;
    let new = world.engine.table("acme", None, Duration::ZERO).await.unwrap();
    let before = world.all().await.len();
    world.engine.refused("acme", old.history(), note("by the old one")).await;
    assert!(world.engine.record(&old, note("of the old one")).await.is_err());
    assert_eq!(world.all().await.len(), before);
    world.engine.refused("acme", new.history(), note("by the new one")).await;
    assert_eq!(world.last().await.summary, "by the new one");
    assert_eq!(world.all().await.len(), before + 1);
}

#[tokio::test]
async fn m7_5_refusals_that_were_only_counted_are_told_before_the_log_ends() {
    let world = World::memory().await;
    for _ in 0..MAX_REFUSALS + 5 {
        assert_eq!(why(world.admin.create_group(by(&user("ana"), group("g"))).await), "PERMISSION_DENIED");
    }
    delete(&world, deletion("")).await;
    let entries = world.archived(&[0]..&[1]);
    let tells = |from_end: usize, text: &str| {
        let (_, value) = &entries[entries.len() - from_end];
        value.windows(text.len()).any(|window| window == text.as_bytes())
    };
    assert!(tells(1, "delete organization `acme`"));
    assert!(tells(2, "5 more calls of platform:root refused"));
}

#[tokio::test]
async fn m1_1_a_deleted_organization_leaves_its_super_organization() {
    let dir = tempfile::tempdir().unwrap();
    let root = &operator();
    let world = on_disk(dir.path());
    let over = Some(pb::SuperOrganization { id: "globex".into(), ..Default::default() });
    let request = pb::CreateSuperOrganizationRequest { super_organization: over, ..Default::default() };
    ok(world.admin.create_super_organization(by(root, request)).await);
    let create = async |world: &World| {
        let organization = pb::Organization {
            id: "acme".into(),
            preset: pb::Preset::Integration.into(),
            super_organization: "globex".into(),
            ..Default::default()
        };
        let request = pb::CreateOrganizationRequest { organization: Some(organization), ..Default::default() };
        ok(world.admin.create_organization(by(root, request)).await);
        let object = pb::Object { id: "sap".into(), kind: pb::ObjectKind::Element.into(), ..Default::default() };
        let request =
            pb::CreateObjectRequest { organization: "acme".into(), object: Some(object), ..Default::default() };
        ok(world.admin.create_object(by(root, request)).await);
    };
    let deny = async |world: &World| {
        let request = pb::AddDenylistElementsRequest {
            super_organization: "globex".into(),
            elements: vec!["sap".into()],
            ..Default::default()
        };
        world.admin.add_denylist_elements(by(root, request)).await
    };
    let list = async |world: &World| {
        let request = pb::UpdateSafelistRequest {
            organization: "acme".into(),
            elements: vec!["sap".into()],
            ..Default::default()
        };
        world.admin.update_safelist(by(root, request)).await
    };
    let end_super = async |world: &World, validate_only: bool| {
        let request = pb::DeleteSuperOrganizationRequest {
            super_organization: "globex".into(),
            validate_only,
            ..Default::default()
        };
        world.admin.delete_super_organization(by(root, request)).await
    };
    create(&world).await;
    ok(list(&world).await);
    assert_eq!(why(deny(&world).await), "ELEMENT_LISTED");
    assert_eq!(why(end_super(&world, false).await), "IN_USE");
    delete(&world, deletion("")).await;
    ok(end_super(&world, true).await);
    ok(deny(&world).await);
    // Created again, it is under the list that there is now.
    create(&world).await;
    assert_eq!(why(list(&world).await), "ELEMENT_LISTED");
    assert_eq!(why(end_super(&world, false).await), "IN_USE");
    delete(&world, deletion("")).await;
    world.engine.stop();
    drop(world);
    let world = on_disk(dir.path());
    ok(end_super(&world, false).await);
}

/// Creates, writes, deletes, reads and refusals of one id at once: everything that is told is so, nobody hangs,
/// and what is left opens again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn organizations_come_and_go_under_one_id_while_others_write_and_ask() {
    let store: Arc<dyn PolicyStore> = Arc::new(MemoryStore::new());
    let world = Arc::new(over(Arc::clone(&store)));
    let stop = Arc::new(AtomicBool::new(false));
    let root = operator();
    let (written, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut tasks = Vec::new();
    for n in 0..4 {
        let (world, stop, root) = (Arc::clone(&world), Arc::clone(&stop), root.clone());
        let (written, refused) = (Arc::clone(&written), Arc::clone(&refused));
        tasks.push(tokio::spawn(async move {
            for turn in 0u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let created = world.admin.create_group(by(&root, group(&format!("g{n}-{turn}")))).await;
                match created {
                    Ok(reply) => {
                        written.fetch_add(1, Ordering::Relaxed);
                        let at_least = reply.into_inner().revision.unwrap();
                        let request = pb::GetOrganizationRequest {
                            organization: "acme".into(),
                            min_revision: Some(at_least.clone()),
                        };
                        match world.admin.get_organization(by(&root, request)).await {
                            Ok(found) => {
                                let found = found.into_inner().revision.unwrap();
                                assert!(found.history == at_least.history && found.number >= at_least.number);
                            }
                            Err(status) => assert!(
                                ["UNKNOWN_ORGANIZATION", "REVISION_OF_OTHER_HISTORY"].contains(&&*reason(&status))
                            ),
                        }
                    }
                    Err(status) => {
                        refused.fetch_add(1, Ordering::Relaxed);
                        assert_eq!(reason(&status), "UNKNOWN_ORGANIZATION");
                    }
                }
                let lacking = world.admin.create_group(by(&user("nobody"), group("never"))).await;
                assert!(["UNKNOWN_ORGANIZATION", "PRINCIPAL_UNKNOWN", "PERMISSION_DENIED"].contains(&&*why(lacking)));
                let _ = may(&world.engine, "groups.read");
                tokio::task::yield_now().await;
            }
        }));
    }
    let organization =
        pb::Organization { id: "acme".into(), preset: pb::Preset::Workspace.into(), ..Default::default() };
    let create = pb::CreateOrganizationRequest { organization: Some(organization), ..Default::default() };
    for _ in 0..200 {
        let created = ok(world.admin.create_organization(by(&root, create.clone())).await).revision.unwrap();
        assert_eq!(created.number, 1);
        assert_eq!(may(&world.engine, "groups.read"), Ok(Reason::PrincipalUnknown));
        tokio::task::yield_now().await;
        let gone = delete(&world, deletion("")).await.revision.unwrap();
        assert_eq!(gone.history, created.history);
        assert_eq!(may(&world.engine, "groups.read"), Err(unknown()));
    }
    ok(world.admin.create_organization(by(&root, create)).await);
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        tokio::time::timeout(Duration::from_secs(20), task).await.expect("nobody hangs").unwrap();
    }
    assert!(world.verify(0, &[]).await.intact);
    println!("{written:?} written, {refused:?} found nothing");
    assert!(written.load(Ordering::Relaxed) > 0);
    world.engine.stop();
    let again = over(store);
    assert_eq!(found(&again).await, found(&world).await);
    assert!(again.verify(0, &[]).await.intact);
}

const DIRECTORY: &str = "DOORWARD_TEST_KILLED_ORGANIZATION";
/// Revisions of one life: the founding, three users, the end.
const LIFE: u64 = 5;

async fn live_a_step(world: &World, step: u64) {
    let root = &operator();
    match step % LIFE {
        0 => {
            let organization = pb::Organization { id: "acme".into(), ..Default::default() };
            let request = pb::CreateOrganizationRequest { organization: Some(organization), ..Default::default() };
            ok(world.admin.create_organization(by(root, request)).await);
        }
        4 => drop(delete(world, deletion(&format!("d-{step}"))).await),
        n => drop(ok(world.admin.create_user(by(root, creating(&format!("u{n}"), "main"))).await)),
    }
}

fn head(store: &dyn PolicyStore) -> u64 {
    store.scopes().unwrap().into_iter().find(|scope| scope.0 == "acme").map_or(0, |scope| scope.1)
}

/// The child: lives until it is killed. A test by itself only because that is how it is started.
#[tokio::test]
async fn child_that_lives_until_it_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let world = on_disk(Path::new(&directory));
    for step in head(&*world.store).. {
        live_a_step(&world, step).await;
        writeln!(std::io::stderr(), "durable {}", step + 1).unwrap();
    }
}

#[tokio::test]
async fn a_killed_process_comes_back_with_the_life_that_it_was_in() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut lives = 0;
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "organization_end::child_that_lives_until_it_is_killed"])
            .env(DIRECTORY, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = std::thread::spawn(move || {
            lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("durable ")?.parse().ok()).last()
        });
        std::thread::sleep(Duration::from_millis(random.u64(150..400)));
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().code(), None, "the child ended by itself");
        let said: u64 = said.join().unwrap().unwrap_or(0);

        let world = on_disk(dir.path());
        let head = head(&*world.store);
        assert!((said..=said + 1).contains(&head) || said == 0, "round {round}: {said} was durable, {head} is there");
        lives = head / LIFE;
        if head.is_multiple_of(LIFE) {
            assert_eq!(found(&world).await, Err("UNKNOWN_ORGANIZATION".into()), "round {round} at {head}");
        } else {
            let revision = found(&world).await.unwrap().revision.unwrap();
            assert_eq!(revision.number, head % LIFE, "round {round}");
            let users = world.engine.with_table("acme", None, doorward::core::table::Table::user_count).unwrap();
            assert_eq!(users as u64, revision.number - 1, "round {round}");
            let verified = world.verify(0, &[]).await;
            assert_eq!((verified.intact, verified.entries_verified), (true, revision.number), "round {round}");
        }
        world.engine.stop();
    }
    println!("{lives} lives");
    assert!(lives > 0, "it was never deleted");
}
