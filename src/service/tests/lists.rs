//! Pages and their tokens.

use std::collections::BTreeSet;

use super::*;

fn list(organization: &str, token: &str) -> ListUsersRequest {
    let (organization, page_token) = (organization.to_owned(), token.to_owned());
    ListUsersRequest { organization, page_size: 10, page_token, ..Default::default() }
}

async fn crowd() -> World {
    let world = World::acme().await;
    for n in 0..25 {
        world.user(&format!("u{n}")).await;
    }
    world
}

#[tokio::test]
async fn pages_give_each_user_once() {
    let world = crowd().await;
    let (mut seen, mut token, mut pages) = (BTreeSet::new(), String::new(), Vec::new());
    loop {
        let page = ok(world.admin.list_users(by(list("acme", &token))).await);
        pages.push(page.users.len());
        for user in page.users {
            assert!(seen.insert(user.id));
        }
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((seen.len(), pages), (25, vec![10, 10, 5]));
}

#[tokio::test]
async fn lists_that_fit_in_memory_are_sorted_by_id() {
    let world = World::acme().await;
    for n in (0..25).rev() {
        world.group(&format!("g{n:02}")).await;
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let request = ListGroupsRequest {
            organization: "acme".into(),
            kind: GroupKind::Manual.into(),
            page_size: 10,
            page_token: token,
            ..Default::default()
        };
        let page = ok(world.admin.list_groups(by(request)).await);
        seen.extend(page.groups.into_iter().map(|g| g.id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert!(seen.is_sorted() && seen.len() == 25);
}

#[tokio::test]
async fn a_token_opens_only_the_list_that_gave_it_out() {
    let world = crowd().await;
    world.found("globex").await;
    let token = ok(world.admin.list_users(by(list("acme", ""))).await).next_page_token;
    let bad = (Code::InvalidArgument, "INVALID_PAGE_TOKEN".to_owned());
    assert_eq!(refused(world.admin.list_users(by(list("globex", &token))).await), bad);
    let filtered = ListUsersRequest { kind: UserKind::Internal.into(), ..list("acme", &token) };
    assert_eq!(refused(world.admin.list_users(by(filtered)).await), bad);
    for at in 0..token.len() {
        let mut tampered = token.clone().into_bytes();
        tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(tampered).unwrap();
        assert_eq!(refused(world.admin.list_users(by(list("acme", &tampered))).await), bad, "at {at}");
    }
    for garbage in ["x", "äöü", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(refused(world.admin.list_users(by(list("acme", garbage))).await), bad);
    }
    let members = ListGroupsRequest { organization: "acme".into(), page_token: token.clone(), ..Default::default() };
    assert_eq!(refused(world.admin.list_groups(by(members)).await), bad);
    // The page size may change from page to page.
    let larger = ListUsersRequest { page_size: 1_001, ..list("acme", &token) };
    assert_eq!(ok(world.admin.list_users(by(larger)).await).users.len(), 15);
    let negative = ListUsersRequest { page_size: -1, ..list("acme", "") };
    assert_eq!(fields(world.admin.list_users(by(negative)).await), ["page_size"]);
}

#[tokio::test]
async fn filters_hold() {
    let world = crowd().await;
    let by_email = ListUsersRequest { email: "U7@ACME.com".into(), ..list("acme", "") };
    let [user] = ok(world.admin.list_users(by(by_email)).await).users.try_into().unwrap();
    assert_eq!(user.id, "u7");
    let external = ListUsersRequest { kind: UserKind::External.into(), ..list("acme", "") };
    assert!(ok(world.admin.list_users(by(external)).await).users.is_empty());
    let unknown = ListUsersRequest { account: "nope".into(), ..list("acme", "") };
    assert!(ok(world.admin.list_users(by(unknown)).await).users.is_empty());
}

#[tokio::test]
async fn members_are_listed_through_nesting() {
    let world = World::acme().await;
    for id in ["ana", "bo"] {
        world.user(id).await;
    }
    world.group("inner").await;
    world.group("outer").await;
    world.add("inner", &["user:ana"]).await;
    world.add("outer", &["group:inner", "user:bo"]).await;
    let request = |transitive| ListMembersRequest {
        organization: "acme".into(),
        group: "outer".into(),
        transitive,
        ..Default::default()
    };
    let named = |reply: ListMembersResponse| -> Vec<(String, bool)> {
        reply.members.into_iter().map(|m| (m.member, m.direct)).collect()
    };
    let direct = named(ok(world.admin.list_members(by(request(false))).await));
    assert_eq!(direct, [("group:inner".to_owned(), true), ("user:bo".to_owned(), true)]);
    let all = named(ok(world.admin.list_members(by(request(true))).await));
    assert_eq!(all, [("user:ana".to_owned(), false), ("user:bo".to_owned(), true)]);
    let groups = ListUserGroupsRequest {
        organization: "acme".into(),
        user: "ana".into(),
        transitive: true,
        ..Default::default()
    };
    let groups = ok(world.admin.list_user_groups(by(groups)).await).groups;
    let groups: Vec<(&str, bool)> = groups.iter().map(|g| (g.group.as_str(), g.direct)).collect();
    assert_eq!(groups, [("all-users", true), ("inner", true), ("internal-users", true), ("outer", false)]);
    let replace = ReplaceMembersRequest {
        organization: "acme".into(),
        group: "outer".into(),
        members: vec!["user:ana".into(), "user:bo".into()],
        ..Default::default()
    };
    let replaced = ok(world.admin.replace_members(by(replace)).await);
    assert_eq!((replaced.added, replaced.removed), (1, 1));
}

#[tokio::test]
async fn organizations_and_assignments_are_listed() {
    let world = World::acme().await;
    world.found("globex").await;
    world.user("ana").await;
    for n in 0..12 {
        world.object(&format!("o{n:02}")).await;
        world.assign("content-viewer", "user:ana", object_target(&format!("o{n:02}"))).await;
    }
    let organizations = ok(world.admin.list_organizations(by(ListOrganizationsRequest::default())).await).organizations;
    assert_eq!(organizations.iter().map(|o| o.id.as_str()).collect::<Vec<_>>(), ["acme", "globex"]);
    let mut request = ListAssignmentsRequest { organization: "acme".into(), page_size: 10, ..Default::default() };
    let first = ok(world.admin.list_assignments(by(request.clone())).await);
    request.page_token = first.next_page_token;
    let second = ok(world.admin.list_assignments(by(request)).await);
    assert_eq!((first.assignments.len(), second.assignments.len(), second.next_page_token.as_str()), (10, 2, ""));
    let at = ListAssignmentsRequest { organization: "acme".into(), target: object_target("o03"), ..Default::default() };
    assert_eq!(ok(world.admin.list_assignments(by(at)).await).assignments.len(), 1);
}
