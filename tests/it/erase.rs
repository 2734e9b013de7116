//! Rule 7.5: a person is erased from the activity log by its RPC, and the chain still verifies; what entries hold of
//! credentials, and of addresses that were sent for ids.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use doorward::engine::activity::MAX_ERASED;
use doorward::service::proto as pb;
use doorward::service::proto::activity_service_client::ActivityServiceClient;
use doorward::service::proto::activity_service_server::ActivityService;
use doorward::service::proto::credential_service_server::CredentialService;
use doorward::service::proto::role_service_server::RoleService;
use doorward::service::proto::user_service_client::UserServiceClient;
use doorward::service::proto::user_service_server::UserService;
use doorward::store::{Commit, MemoryStore, RowWrite};
use prost::Message;
use tonic::Code;

use crate::activity::*;
use crate::callers;
use crate::cli::doorward;
use crate::wire::{Running, Wire, fields, reason};

pub fn erasing(user: &str) -> pb::ErasePersonalDataRequest {
    pb::ErasePersonalDataRequest { organization: "acme".into(), user: user.into(), ..Default::default() }
}

pub async fn erase(world: &World, request: pb::ErasePersonalDataRequest) -> pb::ErasePersonalDataResponse {
    ok(world.admin.erase_personal_data(by(&operator(), request)).await)
}

fn client(wire: &Wire) -> ActivityServiceClient<Wire> {
    ActivityServiceClient::new(wire.clone())
}

/// All entries, in order.
async fn log(wire: &Wire) -> Vec<pb::ActivityEntry> {
    let request = pb::ListActivityRequest { organization: "acme".into(), page_size: 1_000, ..Default::default() };
    let page = client(wire).list_activity(request).await.unwrap().into_inner();
    assert_eq!(page.next_page_token, "");
    page.entries.into_iter().rev().collect()
}

async fn verified(wire: &Wire, after: u64, hash: &[u8]) -> pb::VerifyActivityResponse {
    let request = pb::VerifyActivityRequest {
        organization: "acme".into(),
        after_sequence: after,
        expected_hash: hash.to_vec(),
        ..Default::default()
    };
    let verified = client(wire).verify_activity(request).await.unwrap().into_inner();
    assert!(verified.intact, "{}", verified.problem);
    verified
}

/// In how many entries one of these texts is, wherever.
fn with(entries: &[pb::ActivityEntry], texts: &[&str]) -> usize {
    let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let bytes = entries.iter().map(Message::encode_to_vec);
    bytes.filter(|bytes| texts.iter().any(|text| has(bytes, text))).count()
}

/// The built program: its exit status, and what it printed.
fn run(at: &Path, args: &[&str]) -> (i32, String) {
    let output = doorward(at).args(args).stdin(Stdio::null()).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m7_5_a_person_is_erased_over_grpc_and_the_chain_still_verifies() {
    const PERSONAL: &[&str] = &["ana@acme.com", "Anastasia", "Quill"];
    let world = callers::World::new().await;
    world.furnish().await;
    let wire = &world.wire;
    let mut users = UserServiceClient::new(wire.clone());
    let mut rename = async |first_name: &str| {
        let user = pb::User {
            id: "ana".into(),
            first_name: first_name.into(),
            last_name: "Quill".into(),
            ..Default::default()
        };
        let request = pb::UpdateUserRequest { organization: "acme".into(), user: Some(user), ..Default::default() };
        users.update_user(request).await.unwrap();
    };
    rename("Anastasia").await;
    let before = log(wire).await;
    assert_eq!((with(&before, PERSONAL), with(&before, &["gone@acme.com"])), (2, 2));
    let seen = verified(wire, 0, &[]).await;

    // A dry run says it, and does nothing.
    let dry = pb::ErasePersonalDataRequest { validate_only: true, ..erasing("ana") };
    let said = client(wire).erase_personal_data(dry).await.unwrap().into_inner();
    assert_eq!((said.entries_erased, said.entries_left, said.user_exists), (2, 0, true));
    assert_eq!(log(wire).await, before);

    // Who may not is refused, and that is logged.
    let helper = world.caller("acme", "helper", &["users.*", "activity.read", "organization.update"]).await;
    let channel = world.server.channel().await;
    let refused =
        ActivityServiceClient::new(channel).erase_personal_data(helper.request(erasing("ana"))).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "PERMISSION_DENIED"));
    let last = log(wire).await.pop().unwrap();
    assert_eq!((last.outcome(), last.caller.as_str()), (pb::ActivityOutcome::Refused, "service:helper"));
    assert_eq!(last.method, "doorward.v1.ActivityService/ErasePersonalData");
    assert_eq!(last.summary, "`service:helper` lacks `organization.admin` for this");
    let count = log(wire).await.len();

    // Erased; a retry gets the first reply, and makes no entry.
    let request = pb::ErasePersonalDataRequest { request_id: "left-1".into(), ..erasing("ana") };
    let reply = client(wire).erase_personal_data(request.clone()).await.unwrap().into_inner();
    assert_eq!((reply.entries_erased, reply.user_exists), (2, true));
    assert_eq!(client(wire).erase_personal_data(request.clone()).await.unwrap().into_inner(), reply);
    let other = pb::ErasePersonalDataRequest { user: "gone".into(), ..request.clone() };
    assert_eq!(reason(&client(wire).erase_personal_data(other).await.unwrap_err()), "REQUEST_ID_REUSED");
    let after = log(wire).await;
    assert_eq!((with(&after, PERSONAL), with(&after, &["gone@acme.com"])), (0, 2));
    assert_eq!(after.len(), count + 1);
    let entry = after.last().unwrap();
    assert_eq!((entry.outcome(), entry.revision.as_ref()), (pb::ActivityOutcome::Recorded, None));
    assert_eq!(entry.summary, "erase what is personal of user `ana` from 2 entries");
    assert_eq!((entry.account.as_str(), entry.request_id.as_str()), ("main", "left-1"));
    assert_eq!((entry.changes.len(), entry.change_count, entry.reason.as_str()), (0, 0, ""));
    assert!(entry.caller.starts_with("platform:") && entry.method.ends_with("/ErasePersonalData"));
    // Nothing but what was erased is different, hashes included.
    for (old, new) in before.iter().zip(&after) {
        let same = (&old.summary, &old.hash, &old.previous_hash, old.change_count, old.changes.len());
        assert_eq!(same, (&new.summary, &new.hash, &new.previous_hash, new.change_count, new.changes.len()));
    }
    verified(wire, 0, &[]).await;
    verified(wire, seen.last_sequence, &seen.last_hash).await;

    // Once more: nothing, which is not logged; then what was added since, before and after.
    let again = client(wire).erase_personal_data(erasing("ana")).await.unwrap().into_inner();
    assert_eq!((again.entries_erased, again.user_exists), (0, true));
    assert_eq!(log(wire).await.len(), count + 1);
    rename("Annabel").await;
    assert_eq!(with(&log(wire).await, &["Anastasia", "Annabel"]), 1, "a row that is there has the data still");
    let again = client(wire).erase_personal_data(erasing("ana")).await.unwrap().into_inner();
    assert_eq!(again.entries_erased, 1);
    assert_eq!(log(wire).await.last().unwrap().summary, "erase what is personal of user `ana` from 1 entry");

    let wrong = client(wire).erase_personal_data(erasing("")).await.unwrap_err();
    assert_eq!((wrong.code(), fields(&wrong)), (Code::InvalidArgument, vec!["user".to_owned()]));
    let nowhere = pb::ErasePersonalDataRequest { organization: "nowhere".into(), ..erasing("ana") };
    assert_eq!(client(wire).erase_personal_data(nowhere).await.unwrap_err().code(), Code::NotFound);

    // All of that after a restart, too.
    let end = log(wire).await;
    let callers::World { server, wire: _, operator, dir } = world;
    server.stop().await;
    let data = dir.path().display().to_string();
    let (status, out) = run(dir.path(), &["activity", "verify", "--data", &data, "acme"]);
    assert!(status == 0 && out.contains(" entries, intact; "), "{out}");
    let server = Running::start(dir.path()).await;
    let wire = &server.with(Some(&operator)).await;
    assert_eq!(log(wire).await, end);
    verified(wire, seen.last_sequence, &seen.last_hash).await;
    assert_eq!(client(wire).erase_personal_data(request).await.unwrap().into_inner(), reply);
    assert_eq!(with(&log(wire).await, PERSONAL), 0);
    server.stop().await;
}

#[tokio::test]
async fn m7_5_who_is_not_there_any_more_is_erased() {
    let world = World::memory().await;
    // As if the entry that created ana had told of somebody else, too.
    let left = [&[1][..], b"zoe\0", &3_u64.to_be_bytes(), &1_u16.to_be_bytes()].concat();
    world.tamper(&left, Some(b"salt and zoe".to_vec()));
    let count = world.all().await.len();
    let reply = erase(&world, erasing("zoe")).await;
    assert_eq!((reply.entries_erased, reply.entries_left, reply.user_exists), (1, 0, false));
    assert!(!world.beside().iter().any(|(key, _)| *key == left));
    let told = world.last().await;
    assert_eq!(told.summary, "erase what is personal of user `zoe` from 1 entry");
    assert_eq!((told.account.as_str(), world.all().await.len()), ("", count + 1));
    let again = erase(&world, erasing("zoe")).await;
    assert_eq!((again.entries_erased, again.user_exists, world.all().await.len()), (0, false, count + 1));
    assert!(world.verify(0, &[]).await.intact);
}

#[tokio::test]
async fn m7_5_one_call_erases_from_a_bounded_number_of_entries() {
    let world = World::memory().await;
    let key = |n: u64| [&[1][..], b"zoe\0", &(n / 2).to_be_bytes(), &((n % 2) as u16).to_be_bytes()].concat();
    // Two seals an entry.
    let archive = (0..2 * (MAX_ERASED + 3)).map(|n| RowWrite { key: key(n), value: Some(vec![7]) }).collect();
    let head = world.store.scopes().unwrap().into_iter().find(|scope| scope.0 == "acme").unwrap().1;
    let (scope, rows) = ("acme".to_owned(), Vec::new());
    world.store.write(&[Commit { scope, revision: head, log: None, rows, archive }]).unwrap();
    let dry = pb::ErasePersonalDataRequest { validate_only: true, ..erasing("zoe") };
    for request in [dry, erasing("zoe")] {
        let reply = erase(&world, request).await;
        assert_eq!((reply.entries_erased, reply.entries_left), (MAX_ERASED, 3));
    }
    let left = world.beside().iter().filter(|(key, _)| key.starts_with(b"\x01zoe\0")).count();
    assert_eq!(left, 6);
    let reply = erase(&world, erasing("zoe")).await;
    assert_eq!((reply.entries_erased, reply.entries_left), (3, 0));
    assert_eq!(world.beside().len(), 2, "those of ana and eve");
}

#[tokio::test]
async fn m7_5_what_is_changed_at_the_same_time_is_erased_or_comes_after() {
    let world = Arc::new(World::over(Arc::new(MemoryStore::new())).acme().await);
    let changes = {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            for n in 0..50 {
                ok(world.admin.update_user(by(&operator(), renaming("ana", &format!("Ana {n}")))).await);
            }
        })
    };
    let mut erased = 0;
    while !changes.is_finished() {
        erased += erase(&world, erasing("ana")).await.entries_erased;
        tokio::task::yield_now().await;
    }
    changes.await.unwrap();
    erased += erase(&world, erasing("ana")).await.entries_erased;
    assert_eq!(erased, 51, "her creation, and each change once");
    assert_eq!(world.beside().len(), 1);
    assert!(world.verify(0, &[]).await.intact);
}

#[tokio::test]
async fn m7_5_an_address_that_was_sent_for_an_id_is_not_logged() {
    let world = World::memory().await;
    let root = &operator();
    let deactivate =
        |user: &str| pb::DeactivateUserRequest { organization: "acme".into(), user: user.into(), ..Default::default() };
    let count = world.all().await.len();
    why(world.admin.deactivate_user(by(root, deactivate("ana@acme.com"))).await);
    assert_eq!(world.last().await.summary, "user `(an address)` does not exist");
    why(world.admin.create_grants(by(root, granting("user:bo@acme.com", &["tasks.read"], ""))).await);
    let grant = "grant of `tasks.read` to `user:(an address)` at the organization: UNKNOWN_REFERENCE";
    assert_eq!(world.last().await.summary, grant);
    why(world.admin.deactivate_user(by(&user("ana@acme.com"), deactivate("eve"))).await);
    let last = world.last().await;
    assert_eq!(last.summary, "there is no `user:(an address)`");
    assert_eq!(last.on_behalf_of, "user:(an address)");
    assert_eq!(with(&world.all().await[count..], &["ana@", "bo@"]), 0);
    // One that is an id is told.
    let mut kim = creating("kim", "main");
    kim.user.as_mut().unwrap().id = "kim@acme.com".into();
    ok(world.admin.create_user(by(root, kim)).await);
    why(world.admin.deactivate_user(by(&user("kim@acme.com"), deactivate("eve"))).await);
    let last = world.last().await;
    assert_eq!(last.on_behalf_of, "user:kim@acme.com");
    assert!(last.summary.starts_with("`user:kim@acme.com` lacks "), "{}", last.summary);
}

fn shown(row: &Option<pb::Row>) -> Option<&pb::Credential> {
    match row.as_ref()?.kind.as_ref()? {
        pb::row::Kind::Credential(credential) => Some(credential),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn m7_5_a_credentials_change_is_told_before_and_after_without_its_secret() {
    let world = World::memory().await;
    let root = &operator();
    let service_account = Some(pb::ServiceAccount { id: "ci".into(), ..Default::default() });
    let request =
        pb::CreateServiceAccountRequest { organization: "acme".into(), service_account, ..Default::default() };
    ok(world.admin.create_service_account(by(root, request)).await);
    let request = pb::CreateCredentialRequest {
        organization: "acme".into(),
        service_account: "ci".into(),
        display_name: "nightly".into(),
        acts_for_users: true,
        ..Default::default()
    };
    // As the log has it.
    let told = |credential: Option<pb::Credential>| {
        credential.map(|c| pb::Credential { etag: String::new(), last_used_at: None, ..c })
    };
    let first = ok(world.admin.create_credential(by(root, request)).await).credential.unwrap();
    assert!(!first.etag.is_empty());
    let created = world.last().await;
    let [change] = created.changes.as_slice() else { panic!("{created:?}") };
    assert_eq!((shown(&change.before), shown(&change.after).cloned()), (None, told(Some(first.clone()))));
    assert!(shown(&change.after).unwrap().acts_for_users);

    let grace = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let request = pb::RotateCredentialRequest {
        organization: "acme".into(),
        credential: first.id.clone(),
        grace,
        ..Default::default()
    };
    let rotated = ok(world.admin.rotate_credential(by(root, request)).await);
    let entry = world.last().await;
    assert_eq!((entry.change_count, entry.account.as_str()), (2, "main"));
    let of = |id: &str| {
        let is = |row: &Option<pb::Row>| shown(row).is_some_and(|credential| credential.id == id);
        entry.changes.iter().find(|change| is(&change.after)).unwrap()
    };
    let (old, new) = (of(&first.id), of(&rotated.credential.as_ref().unwrap().id));
    assert_eq!((shown(&old.before).cloned(), shown(&old.after).cloned()), (told(Some(first)), told(rotated.previous)));
    assert!(shown(&old.after).unwrap().expires_at.is_some());
    assert_eq!((shown(&new.before), shown(&new.after).cloned()), (None, told(rotated.credential.clone())));

    let id = rotated.credential.clone().unwrap().id;
    let request =
        pb::RevokeCredentialRequest { organization: "acme".into(), credential: id.clone(), ..Default::default() };
    let revoked = ok(world.admin.revoke_credential(by(root, request)).await).credential;
    let entry = world.last().await;
    let [change] = entry.changes.as_slice() else { panic!("{entry:?}") };
    assert_eq!(shown(&change.before).cloned(), told(rotated.credential));
    assert_eq!(shown(&change.after).cloned(), told(revoked));
    assert!(shown(&change.after).unwrap().revoked_at.is_some());

    let filter = pb::ActivityFilter { entity: "credential".into(), entity_id: id, ..Default::default() };
    assert_eq!(world.pages(root, filter, 100).await.len(), 2, "made, and revoked");
    assert!(world.verify(0, &[]).await.intact);
}
