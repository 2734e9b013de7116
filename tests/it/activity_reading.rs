//! Rule 7.5: who reads the activity log, which part of it, and how far at a time.

use std::sync::atomic::Ordering;

use doorward::engine::activity::{Ending, MAX_SCANNED, Note, Origin};
use doorward::service::proto as pb;
use doorward::service::proto::activity_service_server::ActivityService;
use doorward::service::proto::group_service_server::GroupService;
use doorward::service::proto::role_service_server::RoleService;
use doorward::service::proto::user_service_server::UserService;
use tokio_stream::StreamExt;
use tonic::Code;

use crate::activity::*;
use crate::wire::reason;

#[tokio::test]
async fn m7_5_readers_at_account_level_see_their_accounts_entries() {
    let world = World::memory().await;
    let root = &operator();
    ok(world.admin.create_grants(by(root, granting("user:eve", &["activity.read"], "emea"))).await);
    ok(world.admin.update_user(by(root, renaming("ana", "Anna"))).await);
    let eve = &user("eve");
    let mine = world.pages(eve, pb::ActivityFilter::default(), 1).await;
    let summaries: Vec<&str> = mine.iter().map(|entry| entry.summary.as_str()).collect();
    assert_eq!(summaries, ["create user `eve`", "create grant of `activity.read` to `user:eve` at account `emea`"]);
    let narrowed = |account: &str| pb::ActivityFilter { account: account.into(), ..Default::default() };
    assert_eq!(world.pages(eve, narrowed("emea"), 100).await, mine);
    let request =
        pb::ListActivityRequest { organization: "acme".into(), filter: Some(narrowed("main")), ..Default::default() };
    assert_eq!(why(world.admin.list_activity(by(eve, request)).await), "PERMISSION_DENIED");
    let stream = pb::StreamActivityRequest { organization: "acme".into(), ..Default::default() };
    let mut stream = ok(world.admin.stream_activity(by(eve, stream)).await);
    let streamed = stream.next().await.unwrap().unwrap();
    assert_eq!(streamed.entries, mine);
    assert_eq!(streamed.through_sequence, world.all().await.last().unwrap().sequence);
    let verify = pb::VerifyActivityRequest { organization: "acme".into(), ..Default::default() };
    assert_eq!(why(world.admin.verify_activity(by(eve, verify)).await), "PERMISSION_DENIED", "the chain is of all");
    // What is about two accounts is of the organization.
    let remove = pb::RemoveMembersRequest {
        organization: "acme".into(),
        group: "risk".into(),
        members: vec!["user:ana".into()],
        ..Default::default()
    };
    ok(world.admin.remove_members(by(root, remove)).await);
    ok(world.admin.add_members(by(root, adding(&["user:eve", "user:ana"]))).await);
    assert_eq!((world.last().await.account.as_str(), world.last().await.change_count), ("", 2));
    assert_eq!(world.pages(eve, pb::ActivityFilter::default(), 100).await, mine);
}

#[tokio::test]
async fn m7_5_pages_and_filters_lose_and_repeat_nothing() {
    let world = World::memory().await;
    let root = &operator();
    for n in 0..30 {
        ok(world.admin.create_group(by(root, group(&format!("g{n}")))).await);
        why(world.admin.create_group(by(&user("eve"), group("g"))).await);
        world.clock.0.fetch_add(1_000, Ordering::Relaxed);
    }
    let all = world.all().await;
    assert_eq!(all.len(), 66);
    for size in [1, 7, 66, 0] {
        assert_eq!(world.pages(root, pb::ActivityFilter::default(), size).await, all, "by {size}");
    }
    let at = |ms: i64| Some(doorward::service::to_timestamp(ms));
    let none = pb::ActivityFilter::default;
    let filters: [(pb::ActivityFilter, Admits<'_>, usize); 9] = [
        (pb::ActivityFilter { caller: "platform:root".into(), ..none() }, &|_| true, 66),
        (pb::ActivityFilter { caller: "user:eve".into(), ..none() }, &|e| e.on_behalf_of == "user:eve", 30),
        (
            pb::ActivityFilter { method: "doorward.v1.UserService/CreateUser".into(), ..none() },
            &|e| e.summary.starts_with("create user"),
            2,
        ),
        (
            pb::ActivityFilter { outcome: pb::ActivityOutcome::Refused.into(), ..none() },
            &|e| e.reason == "PERMISSION_DENIED",
            30,
        ),
        (pb::ActivityFilter { entity: "group".into(), ..none() }, &|e| e.summary.starts_with("create group"), 31),
        (
            pb::ActivityFilter { entity: "group".into(), entity_id: "g4".into(), ..none() },
            &|e| e.summary == "create group `g4`",
            1,
        ),
        (
            pb::ActivityFilter { entity: "membership".into(), entity_id: "`user:ana` in `risk`".into(), ..none() },
            &|e| e.summary == "add user `ana` to group `risk`",
            1,
        ),
        (pb::ActivityFilter { account: "emea".into(), ..none() }, &|e| e.account == "emea", 1),
        (
            pb::ActivityFilter {
                outcome: pb::ActivityOutcome::Applied.into(),
                not_before: at(NOW + 3_000),
                before: at(NOW + 6_000),
                ..none()
            },
            &|e| ["create group `g3`", "create group `g4`", "create group `g5`"].contains(&e.summary.as_str()),
            3,
        ),
    ];
    for (filter, matches, count) in filters {
        for size in [1, 4, 1_000] {
            let found = world.pages(root, filter.clone(), size).await;
            assert_eq!(found.len(), count, "{filter:?}");
            let wanted: Vec<_> = all.iter().filter(|entry| found.contains(entry)).collect();
            assert!(found.iter().eq(wanted), "in order, each once");
            assert!(found.iter().all(matches), "{filter:?}");
        }
    }
    // A token is of its list, and of nothing else.
    let first = world.page(root, pb::ListActivityRequest { page_size: 3, ..Default::default() }).await;
    let filter = Some(pb::ActivityFilter { caller: "x".into(), ..none() });
    let other = pb::ListActivityRequest {
        organization: "acme".into(),
        page_token: first.next_page_token,
        filter,
        ..Default::default()
    };
    assert_eq!(why(world.admin.list_activity(by(root, other)).await), "INVALID_PAGE_TOKEN");
    let unnamed = pb::ListActivityRequest {
        organization: "acme".into(),
        filter: Some(pb::ActivityFilter { entity_id: "x".into(), ..none() }),
        ..Default::default()
    };
    assert_eq!(why(world.admin.list_activity(by(root, unnamed)).await), "INVALID_REQUEST");
}

/// Whether an entry is one of those that a filter is to find.
type Admits<'a> = &'a dyn Fn(&pb::ActivityEntry) -> bool;

fn noted(summary: &str) -> Note {
    Note {
        origin: Origin { caller: "platform:test".into(), ..Origin::default() },
        ending: Ending::Recorded,
        reason: String::new(),
        summary: summary.to_owned(),
        account: None,
        emergency_activation: Some("e-1".into()),
    }
}

#[tokio::test]
async fn m7_5_a_page_looks_at_a_bounded_number_of_entries_and_says_that_there_are_more() {
    let world = World::memory().await;
    let table = world.engine.table("acme", None, std::time::Duration::ZERO).await.unwrap();
    let notes = MAX_SCANNED + 1_000;
    for n in 0..notes {
        let waiting = world.engine.record(&table, noted(&format!("n{n}")));
        waiting.await.unwrap();
    }
    let filter = pb::ActivityFilter { entity: "user".into(), ..Default::default() };
    let request = pb::ListActivityRequest { filter: Some(filter.clone()), ..Default::default() };
    let page = world.page(&operator(), request.clone()).await;
    assert!(page.entries.is_empty() && !page.next_page_token.is_empty(), "nothing yet, and more to look at");
    let page = world.page(&operator(), pb::ListActivityRequest { page_token: page.next_page_token, ..request }).await;
    assert_eq!((page.entries.len(), page.next_page_token.as_str()), (2, ""));
    let marked = pb::ActivityFilter { emergency_only: true, ..Default::default() };
    assert_eq!(world.pages(&operator(), marked, 1_000).await.len() as u64, notes);
    assert!(world.verify(0, &[]).await.intact);
}

#[tokio::test]
async fn m7_5_an_entry_tells_a_thousand_changes_and_counts_all() {
    let world = World::memory().await;
    let members: Vec<String> = (0..1_500).map(|n| format!("user:u{n}")).collect();
    let mut rows: Vec<pb::Row> = Vec::new();
    let settings = pb::Organization {
        id: "big".into(),
        preset: pb::Preset::None.into(),
        email_domains: vec![pb::EmailDomain { domain: "acme.com".into(), audience: pb::UserKind::Internal.into() }],
        ..Default::default()
    };
    rows.push(pb::Row { kind: Some(pb::row::Kind::Organization(settings)) });
    let group = pb::Group { id: "g".into(), kind: pb::GroupKind::Manual.into(), ..Default::default() };
    rows.push(pb::Row { kind: Some(pb::row::Kind::Group(group)) });
    for n in 0..1_500 {
        let user = pb::User { id: format!("u{n}"), email: format!("u{n}@acme.com"), ..Default::default() };
        rows.push(pb::Row { kind: Some(pb::row::Kind::User(user)) });
    }
    let organization = "big".parse().unwrap();
    let rows = doorward::service::rows(&organization, rows).unwrap();
    let call = crate::support::call("big");
    let plan = |_: &_| Ok::<_, ()>(vec![doorward::core::change::Change::Replace { rows, deactivate_missing: false }]);
    world.engine.write(call, plan, |_| Vec::new()).await.unwrap();
    let add = pb::AddMembersRequest { organization: "big".into(), group: "g".into(), members, ..Default::default() };
    ok(world.admin.add_members(by(&operator(), add)).await);
    let list = pb::ListActivityRequest { organization: "big".into(), ..Default::default() };
    let page = ok(world.admin.list_activity(by(&operator(), list)).await);
    let [added, applied] = page.entries.as_slice() else { panic!("{}", page.entries.len()) };
    assert_eq!((applied.change_count, applied.changes.len()), (1_503, 1_000));
    assert_eq!((added.change_count, added.changes.len()), (1_500, 1_000));
    assert_eq!(applied.summary, "create the organization and 1502 more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m7_5_a_stream_goes_on_with_what_comes_until_its_reader_may_not() {
    let world = World::memory().await;
    let root = &operator();
    ok(world.admin.create_grants(by(root, granting("user:ana", &["activity.read"], ""))).await);
    let stream = |after_sequence, follow| pb::StreamActivityRequest {
        organization: "acme".into(),
        after_sequence,
        follow,
        filter: Some(pb::ActivityFilter { entity: "group".into(), ..Default::default() }),
        ..Default::default()
    };
    let mut whole = ok(world.admin.stream_activity(by(root, stream(0, false))).await);
    let first = whole.next().await.unwrap().unwrap();
    assert_eq!((first.entries.len(), first.through_sequence), (1, 7));
    assert!(whole.next().await.is_none());

    let mut following = ok(world.admin.stream_activity(by(&user("ana"), stream(5, true))).await);
    let first = following.next().await.unwrap().unwrap();
    assert_eq!((first.entries.len(), first.through_sequence), (0, 7));
    ok(world.admin.create_group(by(root, group("one"))).await);
    let mut seen = Vec::new();
    while seen.is_empty() {
        let next = following.next().await.unwrap().unwrap();
        seen.extend(next.entries.into_iter().map(|entry| (entry.summary, next.through_sequence)));
    }
    assert_eq!(seen, [("create group `one`".to_owned(), 8)]);
    // What is taken from the reader ends the stream.
    let grant = pb::DeleteGrantsRequest {
        organization: "acme".into(),
        permissions: vec!["activity.read".into()],
        member: "user:ana".into(),
        ..Default::default()
    };
    ok(world.admin.delete_grants(by(root, grant)).await);
    let ended = loop {
        match following.next().await.unwrap() {
            Ok(more) => assert!(more.entries.is_empty()),
            Err(status) => break status,
        }
    };
    assert_eq!(reason(&ended), "PERMISSION_DENIED");
    assert!(following.next().await.is_none());

    let mut last = ok(world.admin.stream_activity(by(root, stream(0, true))).await);
    last.next().await.unwrap().unwrap();
    world.engine.drain();
    let ended = loop {
        if let Err(status) = last.next().await.unwrap() {
            break status;
        }
    };
    assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Unavailable, "STOPPING"));
}

/// `cargo test --test it -- --ignored --nocapture entry_of_a_large_apply`
#[test]
#[ignore = "a measurement"]
fn what_the_entry_of_a_large_apply_costs() {
    use doorward::core::activity::Deed;
    use doorward::core::change::{Change, apply};
    let users: Vec<_> = (0..100_000)
        .map(|n| {
            let groups = ["risk", "staff"].iter().take(n % 3).copied().collect::<Vec<_>>();
            (serde_json::json!({"id": format!("u{n}"), "email": format!("u{n}@acme.com")}), groups)
        })
        .collect();
    let members = |group: &str| -> Vec<String> {
        let of = users.iter().filter(|(_, groups)| groups.contains(&group));
        of.map(|(user, _)| format!("user:{}", user["id"].as_str().unwrap())).collect()
    };
    let file = |first_name: &str| {
        let users = users.iter().map(|(user, _)| {
            let mut user = user.clone();
            user["first_name"] = first_name.into();
            user
        });
        serde_json::json!({
            "organization": "acme",
            "users": users.collect::<Vec<_>>(),
            "groups": [
                {"id": "risk", "kind": "manual", "members": members("risk")},
                {"id": "staff", "kind": "manual", "members": members("staff")},
            ],
        })
    };
    let mut before = crate::support::blank(1);
    for (what, name) in [("new", "a"), ("all different", "b")] {
        let rows = crate::support::rows(&file(name));
        let began = std::time::Instant::now();
        let applied = apply(&before, vec![Change::Replace { rows, deactivate_missing: false }]).unwrap();
        let took = began.elapsed();
        let began = std::time::Instant::now();
        let deed = Deed::of(&before, &applied.table, &applied.writes, &[7; 16]);
        println!("{what}: applied in {took:?}, its entry of {} changes in {:?}", deed.count, began.elapsed());
        before = applied.table;
    }
}
