//! Rule 7.5: what becomes of a log in the store. It is chained, and erasing a person does not break it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use doorward::engine::activity::Verifier;
use doorward::service::proto as pb;
use doorward::service::proto::group_service_server::GroupService;
use doorward::service::proto::role_service_server::RoleService;
use doorward::service::proto::user_service_server::UserService;
use doorward::store::{MemoryStore, Options, SledStore};
use sha2::{Digest, Sha256};

use crate::activity::*;
use crate::erase::{erase, erasing};

async fn flipped(world: &World) {
    let all = world.all().await;
    let (count, stored) = (all.len() as u64, world.archived(&[0]..&[1]));
    assert!(world.verify(0, &[]).await.intact);
    let expect = async |sequence: u64, what: &str| {
        let verified = world.verify(0, &[]).await;
        assert_eq!((verified.intact, verified.first_broken_sequence), (false, sequence), "{}", verified.problem);
        assert!(verified.problem.contains(what), "{}", verified.problem);
    };
    for sequence in [1, 3, count] {
        let (key, value) = &stored[usize::try_from(sequence).unwrap() - 1];
        for at in [0, 40, value.len() - 1] {
            let mut altered = value.clone();
            altered[at] ^= 1;
            world.tamper(key, Some(altered));
            expect(sequence, "was altered").await;
        }
        // Altered with its hash made new: the next one, or the end, gives it away.
        let mut forged = value.clone();
        *forged.last_mut().unwrap() ^= 1;
        let hash = Sha256::new().chain_update(&forged[..32]).chain_update(&forged[64..]).finalize();
        forged[32..64].copy_from_slice(&hash);
        world.tamper(key, Some(forged));
        expect(sequence, "entry").await;
        world.tamper(key, None);
        expect(sequence, "is missing").await;
        world.tamper(key, Some(value.clone()));
        assert!(world.verify(0, &[]).await.intact);
    }
    // Two that changed places.
    world.tamper(&stored[2].0, Some(stored[3].1.clone()));
    world.tamper(&stored[3].0, Some(stored[2].1.clone()));
    expect(3, "was altered").await;
    // A log that is damaged is listed for the rest of it.
    world.tamper(&stored[2].0, None);
    world.tamper(&stored[3].0, Some(vec![1, 2, 3]));
    let left = world.all().await;
    assert_eq!(left.len() as u64, count - 2);
    expect(3, "is missing").await;
    world.tamper(&stored[2].0, Some(stored[2].1.clone()));
    world.tamper(&stored[3].0, Some(stored[3].1.clone()));
    // What is personal, too.
    let (key, value) = world.beside().swap_remove(1);
    let mut altered = value.clone();
    *altered.last_mut().unwrap() ^= 1;
    world.tamper(&key, Some(altered));
    expect(4, "what is personal").await;
    world.tamper(&key, Some(value));
    // From a place on, with what is known of it.
    let third = &all[2];
    let verified = world.verify(third.sequence, &third.hash).await;
    assert_eq!((verified.intact, verified.entries_verified), (true, count - 2));
    let wrong = world.verify(third.sequence, &[7; 32]).await;
    assert_eq!((wrong.intact, wrong.first_broken_sequence), (false, 3));
    let shorter = world.verify(count + 5, &[7; 32]).await;
    assert_eq!((shorter.intact, shorter.first_broken_sequence), (false, count + 1), "{}", shorter.problem);
    assert!(!world.verify(0, &[7; 32]).await.intact);
}

#[tokio::test]
async fn m7_5_a_removed_or_altered_entry_is_named_in_memory() {
    flipped(&World::memory().await).await;
}

#[tokio::test]
async fn m7_5_a_removed_or_altered_entry_is_named_on_disk_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    {
        let world = World::on_disk(dir.path()).acme().await;
        flipped(&world).await;
        let last = world.last().await.sequence;
        world.tamper(&entry_key(last), None);
        world.engine.stop();
    }
    {
        let world = World::on_disk(dir.path());
        let verified = world.verify(0, &[]).await;
        assert_eq!((verified.intact, verified.first_broken_sequence), (false, 6), "the last one is missed too");
        world.engine.stop();
    }
    let store = SledStore::open(dir.path(), Options::default()).unwrap();
    let mut verifier = Verifier::of_store(&store, "acme").unwrap();
    while verifier.step(&store).unwrap() {}
    assert_eq!((verifier.broken.unwrap().sequence, verifier.verified), (6, 5));
}

#[tokio::test]
async fn m7_5_entries_survive_a_restart_and_the_chain_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let before = {
        let world = World::on_disk(dir.path()).acme().await;
        why(world.admin.create_group(by(&user("ana"), group("g"))).await);
        let all = world.all().await;
        world.engine.stop();
        all
    };
    let world = World::on_disk(dir.path());
    assert_eq!(world.all().await, before);
    ok(world.admin.create_group(by(&operator(), group("g"))).await);
    let all = world.all().await;
    let [.., refused, created] = all.as_slice() else { panic!() };
    assert_eq!((created.sequence, &created.previous_hash), (8, &refused.hash));
    assert_eq!(created.revision.as_ref().unwrap().number, 7);
    assert!(world.verify(0, &[]).await.intact);
}

#[tokio::test]
async fn m7_5_a_person_is_erased_and_the_chain_still_verifies() {
    for on_disk in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let world = if on_disk { World::on_disk(dir.path()).acme().await } else { World::memory().await };
        let ana = |first_name: &str| renaming("ana", first_name);
        ok(world.admin.update_user(by(&operator(), ana("Anna"))).await);
        let personal = |bytes: &[u8]| {
            [&b"ana@acme.com"[..], b"First ana", b"Anna"].iter().any(|t| bytes.windows(t.len()).any(|w| w == *t))
        };
        let entries = world.archived(&[0]..&[1]);
        assert!(!entries.iter().any(|(_, value)| personal(value)), "what is personal is not in the chain");
        assert_eq!(world.beside().iter().filter(|(_, value)| personal(value)).count(), 3);
        let before = world.verify(0, &[]).await;
        assert_eq!(erase(&world, erasing("ana")).await.entries_erased, 2);
        assert!(!world.beside().iter().any(|(_, value)| personal(value)));
        assert_eq!(world.beside().len(), 1, "eve is still there");
        let after = world.verify(before.last_sequence, &before.last_hash).await;
        assert!(after.intact && world.verify(0, &[]).await.intact);
        let all = world.all().await;
        let (created, renamed, told) = (&all[2].changes[0], &all[6].changes[0], &all[7]);
        for row in [&created.after, &renamed.before, &renamed.after] {
            let user = row_user(row);
            assert_eq!(
                (user.id.as_str(), user.account.as_str(), user.status()),
                ("ana", "main", pb::PrincipalStatus::Active)
            );
            assert_eq!((user.email.as_str(), user.first_name.as_str(), user.etag.as_str()), ("", "", ""));
        }
        assert_eq!(row_user(&all[3].changes[0].after).email, "eve@acme.com");
        assert_eq!((told.outcome(), told.revision.as_ref()), (pb::ActivityOutcome::Recorded, None));
        assert_eq!(told.summary, "erase what is personal of user `ana` from 2 entries");
        // Whose id begins the same is somebody else.
        assert_eq!((erase(&world, erasing("ev")).await.entries_erased, world.beside().len()), (0, 1));
        world.engine.stop();
    }
}

#[tokio::test]
async fn m7_5_the_same_calls_at_the_same_time_come_to_the_same_log() {
    let run = async |world: World| {
        let world = world.acme().await;
        ok(world.admin.create_grants(by(&operator(), granting("user:ana", &["groups.*", "users.read"], ""))).await);
        why(world.admin.create_user(by(&user("ana"), creating("bo", "main"))).await);
        world.clock.0.fetch_add(77, Ordering::Relaxed);
        ok(world.admin.create_group(by(&user("ana"), group("mine"))).await);
        ok(world.admin.update_user(by(&operator(), renaming("eve", "Evelyn"))).await);
        let verified = world.verify(0, &[]).await;
        assert!(verified.intact);
        let table = world.engine.table("acme", None, Duration::ZERO).await.unwrap();
        let mut rows: Vec<_> = table.rows().collect();
        rows.sort_by_key(doorward::core::model::Row::key);
        (rows, verified.last_sequence, verified.last_hash, world.archived(&[0]..&[2]))
    };
    let dir = tempfile::tempdir().unwrap();
    let first = run(World::over(Arc::new(MemoryStore::new()))).await;
    let second = run(World::over(Arc::new(MemoryStore::new()))).await;
    let third = run(World::on_disk(dir.path())).await;
    assert_eq!(first.1, 10);
    assert!(first == second && first == third);
}
