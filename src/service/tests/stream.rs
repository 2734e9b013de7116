//! StreamFilterRecords, where the version that it holds can be seen.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::BoxStream;

use super::*;
use crate::service::decision::MAX_STREAMS;

type Sent = mpsc::Sender<Result<StreamFilterRecordsRequest, Status>>;

fn query() -> FilterQuery {
    let (organization, principal, object) = ("acme".into(), "user:ana".into(), "app".into());
    FilterQuery { organization, principal, object, permission: "records.read".into(), ..FilterQuery::default() }
}

fn begun() -> StreamFilterRecordsRequest {
    StreamFilterRecordsRequest { query: Some(query()), ..StreamFilterRecordsRequest::default() }
}

fn chunk(ids: std::ops::Range<usize>) -> StreamFilterRecordsRequest {
    let records = ids.map(|n| Record { id: format!("r-{n}"), ..Record::default() });
    StreamFilterRecordsRequest { records: records.collect(), ..StreamFilterRecordsRequest::default() }
}

fn open(world: &World) -> (Sent, BoxStream<StreamFilterRecordsResponse>) {
    open_for(world, Duration::from_mins(1))
}

fn open_for(world: &World, idle: Duration) -> (Sent, BoxStream<StreamFilterRecordsResponse>) {
    let (sender, receiver) = mpsc::channel(1);
    let caller = Caller::operator("tests".into());
    let replies = world.decisions.filter_stream(caller, Duration::from_secs(1), idle, ReceiverStream::new(receiver));
    (sender, replies.unwrap())
}

async fn next(replies: &mut BoxStream<StreamFilterRecordsResponse>) -> Option<StreamFilterRecordsResponse> {
    let next = tokio::time::timeout(Duration::from_secs(20), replies.next()).await;
    next.expect("an answer comes").transpose().unwrap_or_else(|status| panic!("{status:?}"))
}

async fn world() -> (World, Arc<Engine>) {
    let engine = Engine::open(Arc::new(MemoryStore::new()), Arc::new(SystemClock), |e| panic!("{e}"));
    let engine = Arc::new(engine.unwrap());
    let world = World { admin: Admin::new(Arc::clone(&engine)), decisions: Decisions::new(Arc::clone(&engine)) };
    world.found("acme").await;
    world.user("ana").await;
    world.object("app").await;
    let target = Target { object: "app".into(), record: "r-1".into(), ..Target::default() };
    world.assign("content-viewer", "user:ana", Some(target)).await;
    (world, engine)
}

/// Versions that wait for a reader, once nobody but a reader keeps any.
async fn kept(engine: &Engine, wanted: usize) -> usize {
    for _ in 0..200 {
        engine.snapshots().sweep();
        if engine.snapshots().retired() == wanted {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    engine.snapshots().retired()
}

#[tokio::test]
async fn a_stream_keeps_its_version_until_it_ends_or_is_cancelled() {
    let (world, engine) = world().await;
    for cancelled in [true, false] {
        let (sender, mut replies) = open(&world);
        sender.send(Ok(begun())).await.unwrap();
        sender.send(Ok(chunk(0..3))).await.unwrap();
        let first = next(&mut replies).await.unwrap();
        assert_eq!((first.positions, first.chunk), (vec![1], 0));
        world.user(if cancelled { "bo" } else { "cy" }).await;
        assert_eq!(kept(&engine, 1).await, 1, "the version is read still");
        sender.send(Ok(chunk(0..3))).await.unwrap();
        assert_eq!(next(&mut replies).await.unwrap().revision, first.revision);
        if cancelled {
            // The request goes on; whoever asked does not listen any more.
            drop(replies);
            assert_eq!(kept(&engine, 0).await, 0);
            sender.closed().await;
        } else {
            drop(sender);
            assert_eq!(next(&mut replies).await, None);
            assert_eq!(kept(&engine, 0).await, 0);
        }
    }
}

#[tokio::test]
async fn while_replies_are_not_taken_two_chunks_are_read_and_no_more() {
    let (world, _) = world().await;
    let (sender, mut replies) = open(&world);
    sender.send(Ok(begun())).await.unwrap();
    let mut sent = 0;
    // One reply waits, one waits for its place; the channel has room for one chunk.
    while let Ok(done) = tokio::time::timeout(Duration::from_millis(300), sender.send(Ok(chunk(0..3)))).await {
        done.unwrap();
        sent += 1;
        assert!(sent < 10, "it reads on and on");
    }
    assert_eq!(sent, 3);
    for at in 0..sent {
        assert_eq!(next(&mut replies).await.unwrap().chunk, at);
    }
    sender.send(Ok(chunk(0..600))).await.unwrap();
    drop(sender);
    // A large one, filtered elsewhere.
    let last = next(&mut replies).await.unwrap();
    assert_eq!((last.chunk, last.positions), (sent, vec![1]));
    assert_eq!(next(&mut replies).await, None);
}

#[tokio::test]
async fn no_more_streams_begin_than_may_and_one_that_ends_makes_room() {
    let (world, _) = world().await;
    let mut open: Vec<_> = (0..MAX_STREAMS).map(|_| self::open(&world)).collect();
    let caller = || Caller::operator("tests".into());
    let begin = || {
        world.decisions.filter_stream(
            caller(),
            Duration::ZERO,
            Duration::from_mins(1),
            tokio_stream::iter([Ok(begun())]),
        )
    };
    let status = Status::from(begin().err().unwrap());
    let reason = status.get_details_error_info().unwrap().reason;
    assert_eq!((status.code(), reason.as_str()), (Code::ResourceExhausted, "TOO_MANY_STREAMS"));
    let (sender, mut replies) = open.pop().unwrap();
    sender.send(Ok(begun())).await.unwrap();
    drop(sender);
    assert_eq!(next(&mut replies).await, None);
    assert!(begin().is_ok());
}

/// What a stream ends with, behind its replies.
async fn ended(mut replies: BoxStream<StreamFilterRecordsResponse>) -> (Code, String) {
    let mut last = None;
    while let Some(reply) = replies.next().await {
        last = Some(reply);
    }
    let status = last.unwrap().unwrap_err();
    (status.code(), status.get_details_error_info().unwrap().reason)
}

#[tokio::test]
async fn m1_1_a_stream_does_not_go_on_over_another_organization_of_the_same_id() {
    let (world, _) = world().await;
    let (sender, mut replies) = open(&world);
    sender.send(Ok(begun())).await.unwrap();
    sender.send(Ok(chunk(0..3))).await.unwrap();
    assert_eq!(next(&mut replies).await.unwrap().positions, [1]);
    let deletion = DeleteOrganizationRequest { organization: "acme".into(), ..Default::default() };
    ok(world.admin.delete_organization(by(deletion)).await);
    world.found("acme").await;
    sender.send(Ok(chunk(0..3))).await.unwrap();
    assert_eq!(ended(replies).await, (Code::FailedPrecondition, "REVISION_OF_OTHER_HISTORY".to_owned()));
}

#[tokio::test]
async fn a_stream_that_stands_still_is_ended() {
    let (world, engine) = world().await;
    // It brings nothing.
    let (sender, replies) = open_for(&world, Duration::from_millis(200));
    sender.send(Ok(begun())).await.unwrap();
    assert_eq!(ended(replies).await, (Code::DeadlineExceeded, "STREAM_IDLE".to_owned()));
    // It takes nothing: what waited arrives, and then why it is not more.
    let (sender, replies) = open_for(&world, Duration::from_millis(200));
    sender.send(Ok(begun())).await.unwrap();
    for _ in 0..3 {
        sender.send(Ok(chunk(0..3))).await.unwrap();
    }
    world.user("bo").await;
    sender.closed().await;
    assert_eq!(kept(&engine, 0).await, 0, "what it read is freed, though the client has yet to hear of it");
    assert_eq!(ended(replies).await, (Code::DeadlineExceeded, "STREAM_IDLE".to_owned()));
}

#[tokio::test]
async fn a_stream_whose_replies_are_not_taken_gives_up_its_place() {
    let (world, _) = world().await;
    let _open: Vec<_> = (1..MAX_STREAMS).map(|_| self::open(&world)).collect();
    let (sender, replies) = open_for(&world, Duration::from_millis(200));
    sender.send(Ok(begun())).await.unwrap();
    for _ in 0..3 {
        sender.send(Ok(chunk(0..3))).await.unwrap();
    }
    sender.closed().await;
    let begin = |idle| {
        let caller = Caller::operator("tests".into());
        world.decisions.filter_stream(caller, Duration::ZERO, idle, tokio_stream::iter([Ok(begun())]))
    };
    let mut room = begin(Duration::from_mins(1));
    for _ in 0..200 {
        if room.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        room = begin(Duration::from_mins(1));
    }
    assert!(room.is_ok(), "the other ones wait, this one ended");
    assert_eq!(ended(replies).await, (Code::DeadlineExceeded, "STREAM_IDLE".to_owned()));
}

#[tokio::test]
async fn a_stream_that_fails_does_not_look_like_one_that_came_to_its_end() {
    let (world, _) = world().await;
    let mut sent = vec![Ok(begun()), Ok(chunk(0..3))].into_iter();
    let failing = std::iter::from_fn(move || Some(sent.next().expect("a panic of the task")));
    let caller = Caller::operator("tests".into());
    let minute = Duration::from_mins(1);
    let mut replies = world.decisions.filter_stream(caller, minute, minute, tokio_stream::iter(failing)).unwrap();
    assert_eq!(next(&mut replies).await.unwrap().positions, [1]);
    assert_eq!(ended(replies).await.0, Code::Internal);
}

#[tokio::test]
async fn a_stream_ends_when_the_server_is_about_to_stop() {
    let (world, engine) = world().await;
    let (sender, mut replies) = open(&world);
    sender.send(Ok(begun())).await.unwrap();
    sender.send(Ok(chunk(0..3))).await.unwrap();
    assert_eq!(next(&mut replies).await.unwrap().chunk, 0);
    engine.drain();
    assert_eq!(ended(replies).await, (Code::Unavailable, "STOPPING".to_owned()));
    sender.closed().await;
}

#[tokio::test]
async fn a_stream_marks_what_it_asks_for_once_something_passes() {
    let (world, engine) = world().await;
    let marked = || {
        let published = engine.snapshots().find("acme").unwrap();
        let number = published.table().permission("records.read").unwrap().number;
        published.marks().get(number).at.is_some()
    };
    let (sender, mut replies) = open(&world);
    sender.send(Ok(begun())).await.unwrap();
    sender.send(Ok(chunk(2..5))).await.unwrap();
    assert_eq!(next(&mut replies).await.unwrap().positions, [0_u32; 0]);
    assert!(!marked());
    sender.send(Ok(chunk(0..3))).await.unwrap();
    assert_eq!(next(&mut replies).await.unwrap().positions, [1]);
    assert!(marked());
}
