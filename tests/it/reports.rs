//! Who holds a role and who may do what, as reports over the wire.

use doorward::service::proto as pb;
use doorward::service::proto::activity_service_client::ActivityServiceClient;
use doorward::service::proto::decision_service_client::DecisionServiceClient;
use doorward::service::proto::group_service_client::GroupServiceClient;
use doorward::service::proto::role_service_client::RoleServiceClient;
use tonic::Status;

use crate::callers::{World, outcome};
use crate::people::{acme, assignment};
use crate::wire::{create_user, reason, user};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_holds_a_role_and_who_may_do_what_by_which_path() {
    let world = World::new().await;
    world.furnish().await;
    create_user(&world.wire, "acme", user("bo", "bo@acme.com")).await.unwrap();
    let mut groups = GroupServiceClient::new(world.wire.clone());
    let inner = pb::Group { id: "inner".into(), kind: pb::GroupKind::Manual.into(), ..Default::default() };
    let request = pb::CreateGroupRequest { organization: acme(), group: Some(inner), ..Default::default() };
    groups.create_group(request).await.unwrap();
    for (group, member) in [("inner", "user:bo"), ("g", "group:inner"), ("g", "user:gone"), ("g", "service:robot")] {
        let members = vec![member.to_owned()];
        let request =
            pb::AddMembersRequest { organization: acme(), group: group.into(), members, ..Default::default() };
        groups.add_members(request).await.unwrap();
    }
    let mut roles = RoleServiceClient::new(world.wire.clone());
    let at_app = Some(pb::Target { object: "app".into(), ..Default::default() });
    for member in ["group:g", "user:bo"] {
        let mut request = assignment("content-editor", member);
        request.assignment.as_mut().unwrap().target = at_app.clone();
        roles.create_assignment(request).await.unwrap();
    }
    let holders = |target: Option<pb::Target>, page_token: &str| pb::ListRoleHoldersRequest {
        organization: acme(),
        role: "content-editor".into(),
        target,
        page_size: 2,
        page_token: page_token.into(),
        ..Default::default()
    };
    let first = roles.list_role_holders(holders(None, "")).await.unwrap().into_inner();
    let next = roles.list_role_holders(holders(None, &first.next_page_token)).await.unwrap().into_inner();
    let all: Vec<pb::RoleHolder> = first.holders.into_iter().chain(next.holders).collect();
    let ids: Vec<&str> = all.iter().map(|h| h.principal.as_str()).collect();
    // Holding is not acting: whoever is deactivated still holds it.
    assert_eq!((ids, next.next_page_token.as_str()), (vec!["service:robot", "user:bo", "user:gone"], ""));
    let ways: Vec<Vec<String>> = all[1].paths.iter().map(|p| p.members.clone()).collect();
    assert_eq!(ways, [vec!["user:bo".to_owned()], vec!["user:bo".into(), "group:inner".into(), "group:g".into()]]);
    let elsewhere =
        roles.list_role_holders(holders(Some(pb::Target { account: "main".into(), ..Default::default() }), "")).await;
    assert_eq!(elsewhere.unwrap().into_inner().holders, []);
    let nowhere = pb::Target { object: "no-such".into(), ..Default::default() };
    assert_eq!(outcome(roles.list_role_holders(holders(Some(nowhere), "")).await), "NOT_FOUND");
    let nothing = pb::ListRoleHoldersRequest { role: "no-such".into(), ..holders(None, "") };
    assert_eq!(outcome(roles.list_role_holders(nothing).await), "NOT_FOUND");

    // The review of one permission on one object.
    let mut activity = ActivityServiceClient::new(world.wire.clone());
    let review = pb::ReviewAccessRequest {
        organization: acme(),
        target: at_app.clone(),
        permissions: vec!["tasks.update".into()],
        ..Default::default()
    };
    let mut read = async |request: pb::ReviewAccessRequest| {
        let mut stream = activity.review_access(request).await?.into_inner();
        let mut entries = Vec::new();
        while let Some(message) = stream.message().await? {
            assert!(message.revision.is_some() && message.evaluated_at.is_some());
            entries.extend(message.entries);
        }
        Ok::<_, Status>(entries)
    };
    let entries = read(review.clone()).await.unwrap();
    let short = |entries: &[pb::AccessReviewEntry]| -> Vec<String> {
        entries.iter().map(|e| format!("{} {} {}", e.principal, e.permission, e.paths.len())).collect()
    };
    assert_eq!(short(&entries), ["service:robot tasks.update 1", "user:bo tasks.update 2"]);
    assert_eq!(entries[1].paths[0].pattern, "tasks.*");
    assert_eq!(entries[1].target, at_app);
    let inactive = pb::ReviewAccessRequest { include_inactive: true, ..review.clone() };
    assert_eq!(read(inactive).await.unwrap().len(), 3);
    let one =
        pb::ReviewAccessRequest { permissions: vec![], principals: vec!["bo".into()], target: None, ..review.clone() };
    let given = read(one).await.unwrap();
    assert!(given.iter().any(|e| e.permission == "records.*" && e.subject_to_policies), "as it was given: {given:?}");
    let unknown = pb::ReviewAccessRequest { permissions: vec!["no.such".into()], ..review };
    assert_eq!(reason(&read(unknown).await.unwrap_err()), "UNKNOWN_PERMISSION");

    // What nobody holds, and nothing gives.
    let request = pb::ListUnusedRolesRequest { organization: acme(), ..Default::default() };
    let unused = activity.list_unused_roles(request).await.unwrap().into_inner().roles;
    let unused: Vec<&str> = unused.iter().map(|r| r.role.as_str()).collect();
    assert_eq!(unused, ["app-admin", "content-viewer", "organization-admin"]);
    let request = pb::ListUnusedPermissionsRequest { organization: acme(), page_size: 1_000, ..Default::default() };
    let nothing = activity.list_unused_permissions(request).await.unwrap().into_inner().permissions;
    let nothing: Vec<&str> = nothing.iter().map(|p| p.permission.as_str()).collect();
    assert!(nothing.contains(&"own.thing") && nothing.contains(&"apps.configure"), "{nothing:?}");
    assert!(!nothing.contains(&"tasks.update") && !nothing.contains(&"records.approve"), "{nothing:?}");
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_do_this_here_is_whom_authorize_allows() {
    let world = World::new().await;
    world.furnish().await;
    for n in 0..7 {
        create_user(&world.wire, "acme", user(&format!("u{n}"), &format!("u{n}@acme.com"))).await.unwrap();
    }
    for member in ["user:u1", "user:u4", "user:gone", "service:robot", "user:lim", "user:inv"] {
        world.grant("acme", member, &["tasks.read", "records.read"], None).await;
    }
    let mut groups = GroupServiceClient::new(world.wire.clone());
    let members = vec!["user:u4".to_owned(), "service:robot".to_owned()];
    let request = pb::AddMembersRequest { organization: acme(), group: "g".into(), members, ..Default::default() };
    groups.add_members(request).await.unwrap();
    let mut decisions = DecisionServiceClient::new(world.wire.clone());
    let everyone: Vec<String> = ["service:robot", "user:ana", "user:gone", "user:inv", "user:lim"]
        .into_iter()
        .map(ToOwned::to_owned)
        .chain((0..7).map(|n| format!("user:u{n}")))
        .collect();
    let record = |owner: &str| pb::Record { id: "r-1".into(), owner: owner.into(), ..Default::default() };
    let resources = [
        None,
        Some(pb::Resource { object: "app".into(), ..Default::default() }),
        Some(pb::Resource { object: "app".into(), record: Some(record("")), ..Default::default() }),
    ];
    for permission in ["tasks.read", "READ_NOTHING", "records.read", "records.approve", "organization.admin"] {
        for resource in &resources {
            for channel in ["", "email"] {
                let context = Some(pb::Context { channel: channel.into(), ..Default::default() });
                let mut listed = Vec::new();
                let mut page_token = String::new();
                let mut failed = None;
                loop {
                    let request = pb::ListPrincipalsRequest {
                        organization: acme(),
                        permission: permission.into(),
                        resource: resource.clone(),
                        context: context.clone(),
                        page_size: 2,
                        page_token: page_token.clone(),
                        ..Default::default()
                    };
                    match decisions.list_principals(request).await {
                        Err(status) => break failed = Some(reason(&status)),
                        Ok(reply) => {
                            let reply = reply.into_inner();
                            assert!(reply.principals.len() <= 2);
                            listed.extend(reply.principals);
                            page_token = reply.next_page_token;
                            if page_token.is_empty() {
                                break;
                            }
                        }
                    }
                }
                let mut allowed = Vec::new();
                for principal in &everyone {
                    let request = pb::AuthorizeRequest {
                        organization: acme(),
                        principal: principal.clone(),
                        permission: permission.into(),
                        resource: resource.clone(),
                        context: context.clone(),
                        ..Default::default()
                    };
                    match decisions.authorize(request).await {
                        Ok(reply) if reply.get_ref().decision() == pb::Decision::Allow => {
                            allowed.push(principal.clone())
                        }
                        Ok(_) => {}
                        Err(status) => assert_eq!(failed, Some(reason(&status)), "{permission}"),
                    }
                }
                assert_eq!(listed, allowed, "{permission} {resource:?} {channel}");
            }
        }
    }
    world.server.stop().await;
}
