//! A disk that fills, as clients see it: the real server, on sled, over TCP.

use doorward::service::proto as pb;
use doorward::service::proto::decision_service_client::DecisionServiceClient;
use doorward::service::proto::user_service_client::UserServiceClient;
use tonic::Code;

use crate::wire::{Running, create_user, organization, reason, token, user};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn below_the_watermark_writes_are_refused_and_decisions_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let wire = server.with(Some(&token(dir.path()))).await;
    organization(&wire, "acme").await;
    let founded = create_user(&wire, "acme", user("ana", "ana@acme.com")).await.unwrap();
    server.stop().await;

    // More than any disk has: the store opens, since what is there must be served.
    let server = Running::start_with(dir.path(), 1 << 60).await;
    let wire = server.with(Some(&token(dir.path()))).await;
    let question = pb::AuthorizeRequest {
        organization: "acme".into(),
        principal: "ana".into(),
        permission: "users.read".into(),
        ..Default::default()
    };
    let mut decisions = DecisionServiceClient::new(wire.clone());
    let decided = decisions.authorize(question.clone()).await.unwrap().into_inner();
    assert_eq!((decided.decision(), decided.revision.unwrap().number), (pb::Decision::Deny, founded));
    let refused = create_user(&wire, "acme", user("bo", "bo@acme.com")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "DISK_LOW"));
    // Nothing of it shows, neither to readers nor to decisions.
    let get = pb::GetUserRequest { organization: "acme".into(), user: "bo".into(), ..Default::default() };
    let mut users = UserServiceClient::new(wire.clone());
    assert_eq!(users.get_user(get.clone()).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(decisions.authorize(question).await.unwrap().into_inner().revision.unwrap().number, founded);
    server.stop().await;

    // Room again: the same write is taken, as the next revision.
    let server = Running::start(dir.path()).await;
    let wire = server.with(Some(&token(dir.path()))).await;
    assert_eq!(create_user(&wire, "acme", user("bo", "bo@acme.com")).await.unwrap(), founded + 1);
    assert!(UserServiceClient::new(wire).get_user(get).await.is_ok());
    server.stop().await;
}
