//! Credentials of service accounts, over the wire: rule 2.5.

use doorward::clock::{Clock, SystemClock};
use doorward::service::proto as pb;
use doorward::service::proto::credential_service_client::CredentialServiceClient;
use doorward::service::proto::decision_service_client::DecisionServiceClient;
use tonic::Code;

use crate::callers::{World, credential_of};
use crate::wire::{Wire, reason};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m2_5_credentials_are_made_rotated_and_revoked_one_by_one() {
    let world = World::new().await;
    let mut client = CredentialServiceClient::new(world.wire.clone());
    world.service("acme", "ci").await;
    let request = pb::CreateCredentialRequest { request_id: "one".into(), ..credential_of("acme", "ci") };
    let made = world.credential(request.clone()).await;
    let replayed = world.credential(request).await;
    assert!(made.secret.starts_with("dw_") && made.secret.len() == 46);
    assert_eq!((replayed.secret.as_str(), &replayed.credential), ("", &made.credential), "never shown twice");
    let dry = pb::CreateCredentialRequest { validate_only: true, ..credential_of("acme", "ci") };
    assert_eq!(world.credential(dry).await.secret, "");
    let second = world.credential(credential_of("acme", "ci")).await;

    let asks = async |secret: &str| {
        let mut decisions = DecisionServiceClient::new(world.server.with(Some(secret)).await);
        let request = pb::AuthorizeRequest {
            organization: "acme".into(),
            principal: "service:ci".into(),
            permission: "tasks.read".into(),
            ..Default::default()
        };
        decisions.authorize(request).await.map(drop).map_err(|status| (status.code(), reason(&status)))
    };
    assert_eq!((asks(&made.secret).await, asks(&second.secret).await), (Ok(()), Ok(())));

    // Rotated with grace: both are valid; the old one may not be rotated again.
    let old = made.credential.clone().unwrap();
    let grace = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let rotate = |id: &str, grace| pb::RotateCredentialRequest {
        organization: "acme".into(),
        credential: id.into(),
        grace,
        ..Default::default()
    };
    let rotated = client.rotate_credential(rotate(&old.id, grace)).await.unwrap().into_inner();
    let (new, previous) = (rotated.credential.unwrap(), rotated.previous.unwrap());
    assert_eq!(previous.rotated_to, new.id);
    assert!(previous.expires_at.is_some() && previous.revoked_at.is_none() && previous.last_used_at.is_some());
    assert_eq!((asks(&made.secret).await, asks(&rotated.secret).await), (Ok(()), Ok(())));
    let again = client.rotate_credential(rotate(&old.id, None)).await.unwrap_err();
    assert_eq!((again.code(), reason(&again).as_str()), (Code::FailedPrecondition, "CREDENTIAL_ROTATED"));

    // Without: the old one ends at once.
    let last = client.rotate_credential(rotate(&new.id, None)).await.unwrap().into_inner();
    assert_eq!(asks(&rotated.secret).await, Err((Code::Unauthenticated, "CREDENTIAL_REVOKED".into())));
    assert_eq!(asks(&last.secret).await, Ok(()));

    // Revoked: at once, and the others stay.
    let revoke = pb::RevokeCredentialRequest {
        organization: "acme".into(),
        credential: second.credential.unwrap().id,
        ..Default::default()
    };
    let revoked = client.revoke_credential(revoke.clone()).await.unwrap().into_inner();
    assert_eq!(asks(&second.secret).await, Err((Code::Unauthenticated, "CREDENTIAL_REVOKED".into())));
    assert_eq!(asks(&last.secret).await, Ok(()));
    let twice = client.revoke_credential(revoke).await.unwrap().into_inner();
    assert_eq!((twice.revision, twice.credential), (revoked.revision, revoked.credential), "left as it is");
    let ended = client.rotate_credential(rotate(&revoked_id(&client).await, None)).await.unwrap_err();
    assert_eq!(reason(&ended), "CREDENTIAL_ENDED");

    // Expired: to the millisecond, with no write happening.
    let expires_at = Some(doorward::service::to_timestamp(SystemClock.now() + 400));
    let short = world.credential(pb::CreateCredentialRequest { expires_at, ..credential_of("acme", "ci") }).await;
    assert_eq!(asks(&short.secret).await, Ok(()));
    tokio::time::sleep(std::time::Duration::from_millis(450)).await;
    assert_eq!(asks(&short.secret).await, Err((Code::Unauthenticated, "CREDENTIAL_EXPIRED".into())));
    let past = pb::CreateCredentialRequest {
        expires_at: Some(doorward::service::to_timestamp(1_000)),
        ..credential_of("acme", "ci")
    };
    let past = client.create_credential(past).await.unwrap_err();
    assert_eq!((past.code(), crate::wire::fields(&past)), (Code::InvalidArgument, vec!["expires_at".to_owned()]));

    let list = |valid_only| pb::ListCredentialsRequest {
        organization: "acme".into(),
        service_account: "ci".into(),
        valid_only,
        ..Default::default()
    };
    let valid = client.list_credentials(list(true)).await.unwrap().into_inner().credentials;
    assert_eq!(valid.iter().map(|c| &c.id).collect::<Vec<_>>(), [&old.id, &last.credential.unwrap().id]);
    assert_eq!(client.list_credentials(list(false)).await.unwrap().into_inner().credentials.len(), 5);
    world.server.stop().await;
}

/// A revoked credential that nothing replaced.
async fn revoked_id(client: &CredentialServiceClient<Wire>) -> String {
    let request = pb::ListCredentialsRequest { organization: "acme".into(), ..Default::default() };
    let all = client.clone().list_credentials(request).await.unwrap().into_inner().credentials;
    all.into_iter().find(|c| c.revoked_at.is_some() && c.rotated_to.is_empty()).unwrap().id
}
