//! Authorize, BatchAuthorize and ListPermissions.

use prost_types::Timestamp;

use super::*;

async fn reviewed() -> World {
    let world = World::acme().await;
    world.user("ana").await;
    world.user("bo").await;
    world.group("risk").await;
    world.object("vendor-risk").await;
    world.add("risk", &["user:ana"]).await;
    world.assign("content-viewer", "group:risk", object_target("vendor-risk")).await;
    world
}

fn question(principal: &str, permission: &str) -> AuthorizeRequest {
    AuthorizeRequest {
        organization: "acme".into(),
        principal: principal.into(),
        permission: permission.into(),
        resource: Some(Resource { object: "vendor-risk".into(), ..Resource::default() }),
        ..AuthorizeRequest::default()
    }
}

#[tokio::test]
async fn a_member_of_the_group_that_holds_the_role_may_and_others_may_not() {
    let world = reviewed().await;
    let allowed = ok(world.decisions.authorize(by(question("user:ana", "records.read"))).await);
    assert_eq!((allowed.decision(), allowed.reason()), (Decision::Allow, Reason::Allowed));
    assert_eq!(allowed.revision.unwrap().number, world.revision().await);
    let denied = ok(world.decisions.authorize(by(question("bo", "records.read"))).await);
    assert_eq!((denied.decision(), denied.reason()), (Decision::Deny, Reason::NoPermission));
    let unknown = ok(world.decisions.authorize(by(question("nobody", "records.read"))).await);
    assert_eq!(unknown.reason(), Reason::PrincipalUnknown);
}

#[tokio::test]
async fn what_is_unknown_or_malformed_is_an_error_and_never_a_deny() {
    let world = reviewed().await;
    let ask = |change: fn(&mut AuthorizeRequest)| {
        let mut request = question("user:ana", "records.read");
        change(&mut request);
        world.decisions.authorize(by(request))
    };
    let is = |code, reason: &str| (code, reason.to_owned());
    assert_eq!(
        refused(ask(|q| q.permission = "no.such".into()).await),
        is(Code::InvalidArgument, "UNKNOWN_PERMISSION")
    );
    assert_eq!(refused(ask(|q| q.organization = "nope".into()).await), is(Code::NotFound, "UNKNOWN_ORGANIZATION"));
    let object = |q: &mut AuthorizeRequest| q.resource.as_mut().unwrap().object = "nope".into();
    assert_eq!(refused(ask(object).await), is(Code::NotFound, "UNKNOWN_OBJECT"));
    let account = |q: &mut AuthorizeRequest| q.resource.as_mut().unwrap().account = "nope".into();
    assert_eq!(refused(ask(account).await), is(Code::NotFound, "UNKNOWN_ACCOUNT"));
    assert_eq!(fields(ask(|q| q.organization = String::new()).await), ["organization"]);
    // Malformed wins, and everything is told at once, whether or not the organization is known.
    let worse = |q: &mut AuthorizeRequest| {
        q.principal = String::new();
        q.permission = "a b".into();
        q.context = Some(Context { authenticated_at: Some(Timestamp { seconds: 0, nanos: -1 }), ..Context::default() });
        q.resource.as_mut().unwrap().record = Some(Record::default());
    };
    assert_eq!(refused(ask(worse).await), is(Code::InvalidArgument, "INVALID_REQUEST"));
    let expected = ["context.authenticated_at", "principal", "permission", "resource.record.id"];
    assert_eq!(fields(ask(worse).await), expected);
    let mut request = question("", "a b");
    request.organization = "nope".into();
    assert_eq!(fields(world.decisions.authorize(by(request)).await), ["principal", "permission"]);
}

#[tokio::test]
async fn a_call_without_a_caller_is_refused() {
    let world = reviewed().await;
    let asked = world.decisions.authorize(Request::new(question("user:ana", "records.read"))).await;
    assert_eq!(refused(asked).0, Code::Unauthenticated);
    let read = world.admin.get_organization(Request::new(GetOrganizationRequest::default())).await;
    assert_eq!(refused(read).0, Code::Unauthenticated);
    let written = world.admin.create_user(Request::new(CreateUserRequest::default())).await;
    assert_eq!(refused(written).0, Code::Unauthenticated);
}

#[tokio::test]
async fn m4_8_an_allow_comes_with_its_reason_and_the_revision_just_written() {
    let world = reviewed().await;
    let ask = async |principal: &str| {
        let answer = ok(world.decisions.authorize(by(question(principal, "records.read"))).await);
        (answer.decision(), answer.reason(), answer.revision)
    };
    for step in 0..6 {
        let written = if step % 2 == 0 {
            world.add("risk", &["user:bo"]).await.revision
        } else {
            let request = RemoveMembersRequest {
                organization: "acme".into(),
                group: "risk".into(),
                members: vec!["user:bo".into()],
                ..Default::default()
            };
            ok(world.admin.remove_members(by(request)).await).revision
        };
        assert!(written.is_some());
        assert_eq!(ask("user:ana").await, (Decision::Allow, Reason::Allowed, written.clone()));
        // A deny says so too, and so does one of somebody unknown.
        let (decision, reason) =
            if step % 2 == 0 { (Decision::Allow, Reason::Allowed) } else { (Decision::Deny, Reason::NoPermission) };
        assert_eq!(ask("user:bo").await, (decision, reason, written.clone()));
        assert_eq!(ask("user:nobody").await, (Decision::Deny, Reason::PrincipalUnknown, written));
    }
}

#[tokio::test]
async fn m4_9_the_invite_policy_is_part_of_the_decision() {
    let world = reviewed().await;
    world.assign("organization-admin", "user:bo", None).await;
    let invite = |who: &str| {
        let mut request = question(who, "CREATE_ORGANIZATION_USERS");
        request.context = Some(Context { invitee_email: "x@acme.com".into(), ..Context::default() });
        world.decisions.authorize(by(request))
    };
    assert_eq!(ok(invite("user:ana").await).reason(), Reason::NoPermission);
    let grant = CreateGrantsRequest {
        organization: "acme".into(),
        grant: Some(Grant {
            permissions: vec!["organization_users.create".into()],
            member: "user:ana".into(),
            ..Grant::default()
        }),
        ..Default::default()
    };
    ok(world.admin.create_grants(by(grant)).await);
    // The organization's policy is what it was founded with: administrators only.
    assert_eq!(ok(invite("user:ana").await).reason(), Reason::InvitePolicy);
    assert_eq!(ok(invite("user:bo").await).reason(), Reason::Allowed);
    assert_eq!(ok(invite("user:bo").await).decision(), Decision::Allow);
}

#[tokio::test]
async fn a_least_revision_is_reached_or_the_answer_is_unavailable() {
    let world = reviewed().await;
    let now = ok(world.decisions.authorize(by(question("user:ana", "records.read"))).await).revision.unwrap();
    let mut request = question("user:ana", "records.read");
    request.min_revision = Some(now.clone());
    ok(world.decisions.authorize(by(request.clone())).await);
    request.min_revision = Some(Revision { number: now.number + 1, ..now.clone() });
    let mut timed = by(request.clone());
    timed.metadata_mut().insert("grpc-timeout", "30m".parse().unwrap());
    assert_eq!(refused(world.decisions.authorize(timed).await).0, Code::Unavailable);
    // What comes in time is waited for.
    let (asked, _) = tokio::join!(world.decisions.authorize(by(request.clone())), world.user("cy"));
    assert_eq!(ok(asked).revision.unwrap().number, now.number + 1);
    request.min_revision = Some(Revision { history: "another".into(), number: 1 });
    assert_eq!(refused(world.decisions.authorize(by(request)).await).0, Code::FailedPrecondition);
}

#[tokio::test]
async fn each_item_of_a_batch_has_the_outcome_of_the_single_call() {
    let world = reviewed().await;
    let mut items = vec![
        question("user:ana", "records.read"),
        question("bo", "records.read"),
        question("ana", "no.such"),
        question("", "records.read"),
        question("ana", "records.read"),
        question("ana", "records.read"),
    ];
    items[4].organization = "nope".into();
    items[5].resource.as_mut().unwrap().record = Some(Record::default());
    let batch = BatchAuthorizeRequest { items: items.clone(), ..Default::default() };
    let batch = ok(world.decisions.batch_authorize(by(batch)).await);
    assert_eq!(batch.results.len(), items.len());
    assert_eq!(batch.decided_at.keys().collect::<Vec<_>>(), ["acme"]);
    for (item, result) in items.into_iter().zip(batch.results) {
        let single = world.decisions.authorize(by(item)).await;
        match result.outcome.unwrap() {
            batch_authorize_result::Outcome::Decision(answer) => {
                assert_eq!(AuthorizeResponse { revision: None, ..ok(single) }, answer);
            }
            batch_authorize_result::Outcome::Error(error) => {
                let message = single.as_ref().unwrap_err().message().to_owned();
                let (code, reason) = refused(single);
                assert_eq!(ItemError { code: code.into(), reason, message }, error);
            }
        }
    }
}

#[tokio::test]
async fn a_batch_shares_what_its_items_leave_open_and_is_bounded() {
    let world = reviewed().await;
    let item = AuthorizeRequest { permission: "records.read".into(), ..question("", "") };
    let shared = AuthorizeRequest { organization: String::new(), ..item };
    let mut batch = BatchAuthorizeRequest {
        organization: "acme".into(),
        principal: "user:ana".into(),
        items: vec![shared; 10_001],
        ..Default::default()
    };
    assert_eq!(fields(world.decisions.batch_authorize(by(batch.clone())).await), ["items"]);
    batch.items.truncate(10_000);
    let reply = ok(world.decisions.batch_authorize(by(batch)).await);
    let allowed = |r: &BatchAuthorizeResult| matches!(&r.outcome, Some(batch_authorize_result::Outcome::Decision(a)) if a.decision() == Decision::Allow);
    assert!(reply.results.len() == 10_000 && reply.results.iter().all(allowed));
    let empty = BatchAuthorizeRequest::default();
    assert_eq!(fields(world.decisions.batch_authorize(by(empty)).await), ["items"]);
}

#[tokio::test]
async fn the_listed_permissions_are_those_that_authorize_allows() {
    let world = reviewed().await;
    let resource = question("", "").resource;
    let request = ListPermissionsRequest {
        organization: "acme".into(),
        principal: "user:ana".into(),
        resource,
        page_size: 4,
        ..Default::default()
    };
    let mut listed = Vec::new();
    let mut token = String::new();
    loop {
        let request = ListPermissionsRequest { page_token: token, ..request.clone() };
        let page = ok(world.decisions.list_permissions(by(request)).await);
        assert_eq!(page.reason(), Reason::Allowed);
        listed.extend(page.permissions);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert!(listed.is_sorted() && listed.contains(&"records.read".to_owned()));
    let all = ListCatalogPermissionsRequest { organization: "acme".into(), page_size: 1_000, ..Default::default() };
    for permission in ok(world.admin.list_catalog_permissions(by(all)).await).permissions {
        let single = ok(world.decisions.authorize(by(question("user:ana", &permission.name))).await);
        let allowed = single.decision() == Decision::Allow;
        assert_eq!(listed.contains(&permission.name), allowed, "{}", permission.name);
    }
    let nobody = ListPermissionsRequest { principal: "nobody".into(), page_token: String::new(), ..request };
    let reply = ok(world.decisions.list_permissions(by(nobody)).await);
    assert!(reply.permissions.is_empty() && reply.reason() == Reason::PrincipalUnknown);
}
