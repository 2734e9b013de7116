//! Rule 2.6: dynamic and system groups follow what calls change, within the same revision; and groups as
//! they are read: their members as a stream, their picture.

use doorward::core::decision::{Question, Reason, decide};
use doorward::service::proto as pb;
use doorward::service::proto::group_service_server::GroupService;
use doorward::service::proto::organization_service_server::OrganizationService;
use doorward::service::proto::user_service_server::UserService;
use serde_json::{Value, json};
use tokio_stream::StreamExt;

use crate::activity::founded;
use crate::activity::{NOW, World, by, ok, operator, why};

const GROUPS: [&str; 5] = ["all-users", "internal-users", "external-users", "staff", "partners"];
/// What each of these groups holds.
const HOLDS: [&str; 5] = ["apps.read", "agents.read", "tasks.read", "analytics.read", "automations.read"];

fn acme() -> Value {
    let grant =
        |(group, permission): (&str, &str)| json!({"permissions": [permission], "member": format!("group:{group}")});
    json!({
        "organization": "acme",
        "preset": "workspace",
        "email_domains": [
            {"domain": "acme.com", "audience": "internal"},
            {"domain": "partner.io", "audience": "external"},
        ],
        "objects": [{"id": "app", "kind": "app"}],
        "users": [
            {"id": "ana", "email": "ana@acme.com"},
            {"id": "lee", "email": "lee@late.org"},
            {"id": "liz", "email": "liz@late.org"},
            {"id": "lim", "email": "lim@late.org", "status": "limited"},
        ],
        "groups": [
            {"id": "staff", "kind": "dynamic", "domains": ["acme.com"]},
            {"id": "partners", "kind": "dynamic", "domains": ["partner.io"]},
            {"id": "late", "kind": "dynamic", "domains": ["late.org", "acme.com"], "visibility": ["data_access"]},
        ],
        "grants": GROUPS.into_iter().zip(HOLDS).map(grant).collect::<Vec<_>>(),
        "data_access": [
            {"id": "shows", "object": "app", "effect": "allow", "members": ["group:late"]},
            {"id": "hides", "object": "app", "effect": "restrict", "members": ["group:late"], "condition": "false"},
        ],
        "settings": {"invite_policy": {"mode": "allowed_domains", "domains": ["late.org"]}},
    })
}

/// Of `GROUPS`, those that a user is in at one revision, by the list and by decisions alike.
async fn groups(world: &World, id: &str, at: &pb::Revision) -> Vec<&'static str> {
    let request = pb::ListUserGroupsRequest {
        organization: "acme".into(),
        user: id.into(),
        transitive: true,
        ..Default::default()
    };
    let listed = ok(world.admin.list_user_groups(by(&operator(), request)).await);
    assert_eq!(listed.revision.as_ref(), Some(at));
    let of = |group: &&str| listed.groups.iter().any(|g| g.group == *group);
    let listed: Vec<&str> = GROUPS.into_iter().filter(of).collect();
    let members = async |group: &str| {
        let request = pb::ListMembersRequest { organization: "acme".into(), group: group.into(), ..Default::default() };
        let reply = ok(world.admin.list_members(by(&operator(), request)).await);
        reply.members.iter().any(|m| m.member == format!("user:{id}"))
    };
    for group in GROUPS {
        assert_eq!(members(group).await, listed.contains(&group), "{id} in {group}");
    }
    let decided = world.engine.with_table("acme", None, |table| {
        assert_eq!(table.revision(), at.number);
        let may = |permission| decide(table, &Question { principal: id, permission, ..Question::default() }, NOW);
        GROUPS
            .into_iter()
            .zip(HOLDS)
            .filter(|(_, held)| may(held) == Ok(Reason::Allowed))
            .map(|(group, _)| group)
            .collect::<Vec<_>>()
    });
    assert_eq!(decided.unwrap(), listed, "{id}");
    listed
}

#[tokio::test]
async fn m2_6_a_users_groups_follow_its_address_status_and_kind_in_the_same_revision() {
    let world = founded(&acme()).await;
    let root = &operator();
    let mut at = ok(world
        .admin
        .get_organization(by(root, pb::GetOrganizationRequest { organization: "acme".into(), min_revision: None }))
        .await)
    .revision
    .unwrap();
    let (internal, external) = (["all-users", "internal-users", "staff"], ["all-users", "external-users", "staff"]);
    assert_eq!(groups(&world, "ana", &at).await, internal);
    let with = |change: fn(&mut pb::User)| {
        let mut user = pb::User { id: "ana".into(), ..Default::default() };
        change(&mut user);
        pb::UpdateUserRequest { organization: "acme".into(), user: Some(user), ..Default::default() }
    };
    let user = || (String::from("acme"), String::from("ana"));
    for step in 0..9 {
        macro_rules! moved {
            ($rpc:ident $message:ident) => {{
                let (organization, user) = user();
                let request = pb::$message { organization, user, ..Default::default() };
                ok(world.admin.$rpc(by(root, request)).await).revision
            }};
        }
        let update = async |change| ok(world.admin.update_user(by(root, with(change))).await).revision;
        let (what, made, expected): (_, _, &[&str]) = match step {
            // With the address goes the kind that was not given (rule 2.1).
            0 => (
                "address",
                update(|u| u.email = "ana@partner.io".into()).await,
                &["all-users", "external-users", "partners"],
            ),
            1 => (
                "kind",
                update(|u| u.set_kind(pb::UserKind::Internal)).await,
                &["all-users", "internal-users", "partners"],
            ),
            2 => ("limited", moved!(downgrade_user DowngradeUserRequest), &[]),
            3 => ("active", moved!(upgrade_user UpgradeUserRequest), &["all-users", "internal-users", "partners"]),
            // And one that was given stays.
            4 => (
                "address of nobody's",
                update(|u| u.email = "ana@else.org".into()).await,
                &["all-users", "internal-users"],
            ),
            5 => ("inactive", moved!(deactivate_user DeactivateUserRequest), &[]),
            // Whoever is inactive moves all the same.
            6 => ("address while inactive", update(|u| u.email = "ANA@Acme.com".into()).await, &[]),
            7 => ("kind while inactive", update(|u| u.set_kind(pb::UserKind::External)).await, &[]),
            _ => ("active again", moved!(activate_user ActivateUserRequest), &external),
        };
        at.number += 1;
        assert_eq!(made.as_ref(), Some(&at), "{what}: one revision");
        // Who may not act is in no group that counts; decisions say so by its status.
        assert_eq!(groups(&world, "ana", &at).await, expected, "{what}");
    }
}

#[tokio::test]
async fn m2_6_a_domain_to_be_added_says_beforehand_what_it_brings() {
    let world = founded(&acme()).await;
    let add = |domain: &str, validate_only| pb::AddEmailDomainRequest {
        organization: "acme".into(),
        email_domain: Some(pb::EmailDomain { domain: domain.into(), audience: pb::UserKind::External.into() }),
        validate_only,
        ..Default::default()
    };
    let late = async || {
        let request =
            pb::ListMembersRequest { organization: "acme".into(), group: "late".into(), ..Default::default() };
        let reply = ok(world.admin.list_members(by(&operator(), request)).await);
        (reply.members.into_iter().map(|m| m.member).collect::<Vec<_>>(), reply.revision.unwrap().number)
    };
    let (before, revision) = late().await;
    assert_eq!(before, ["user:ana"]);
    let said = ok(world.admin.add_email_domain(by(&operator(), add("Late.org", true))).await);
    assert_eq!(late().await, (before, revision), "a dry run changes nothing");
    assert_eq!(said.revision.as_ref().unwrap().number, revision);
    let effect = said.effect.unwrap();
    assert_eq!(
        effect,
        pb::EmailDomainEffect {
            domain: "late.org".into(),
            removed: false,
            audience_changed: false,
            groups: vec![pb::GroupEffect { group: "late".into(), members_gained: 2, members_lost: 0, emptied: false }],
            in_invite_policy: true,
            group_count: 1,
            policies: vec!["shows".into()],
            policy_count: 1,
            users: vec!["lee".into(), "liz".into()],
            user_count: 2,
        }
    );
    let done = ok(world.admin.add_email_domain(by(&operator(), add("late.org", false))).await);
    assert_eq!((done.effect, done.revision.unwrap().number), (Some(effect), revision + 1), "as was said beforehand");
    assert_eq!(late().await, (vec!["user:ana".into(), "user:lee".into(), "user:liz".into()], revision + 1));
    // One that nothing hangs on.
    let idle = ok(world.admin.add_email_domain(by(&operator(), add("idle.org", true))).await).effect.unwrap();
    assert_eq!(idle, pb::EmailDomainEffect { domain: "idle.org".into(), ..Default::default() });
}

/// A group `team` of 2,100 users, one of them invited, a service account and a group of two.
fn team() -> Value {
    let users = (0..2_100).map(|n| json!({"id": format!("u{n:04}"), "email": format!("u{n}@acme.com")}));
    let others = [
        json!({"id": "inner", "email": "i@acme.com"}),
        json!({"id": "both", "email": "b@acme.com"}),
        json!({"id": "later", "email": "l@acme.com", "status": "invited", "pending_groups": ["team"]}),
    ];
    let members: Vec<String> = (0..2_100).map(|n| format!("user:u{n:04}")).collect();
    let members = [members, vec!["user:both".into(), "service:bot".into(), "group:nested".into()]].concat();
    json!({
        "organization": "acme",
        "preset": "workspace",
        "users": users.chain(others).collect::<Vec<_>>(),
        "service_accounts": [{"id": "bot"}],
        "groups": [
            {"id": "team", "kind": "manual", "members": members},
            {"id": "nested", "kind": "manual", "members": ["user:inner", "user:both"]},
            {"id": "empty", "kind": "manual"},
        ],
    })
}

fn export(group: &str, transitive: bool) -> pb::ExportMembersRequest {
    pb::ExportMembersRequest { organization: "acme".into(), group: group.into(), transitive, min_revision: None }
}

#[tokio::test]
async fn m2_7_members_are_exported_whole_in_order_and_at_one_revision() {
    let world = founded(&team()).await;
    let root = &operator();
    for (transitive, expected) in [(false, 2_100 + 4), (true, 2_100 + 3)] {
        let mut stream = ok(world.admin.export_members(by(root, export("team", transitive))).await);
        let first = stream.next().await.unwrap().unwrap();
        assert_eq!(first.members.len(), 1_000);
        // What is written meanwhile is not in it.
        let remove = |group: &str, member: &str| pb::RemoveMembersRequest {
            organization: "acme".into(),
            group: group.into(),
            members: vec![member.into()],
            ..Default::default()
        };
        ok(world.admin.remove_members(by(root, remove("team", "user:u2099"))).await);
        let mut members = first.members;
        let mut sizes = vec![members.len()];
        while let Some(message) = stream.next().await {
            let message = message.unwrap();
            assert_eq!(message.revision, first.revision);
            sizes.push(message.members.len());
            members.extend(message.members);
        }
        assert_eq!(sizes, [1_000, 1_000, expected - 2_000]);
        assert!(members.is_sorted_by(|a, b| a.member < b.member));
        let flags = |member: &str| members.iter().find(|m| m.member == member).map(|m| (m.direct, m.pending));
        assert_eq!(flags("user:u2099"), Some((true, false)));
        assert_eq!(flags("user:both"), Some((true, false)), "directly, too");
        assert_eq!(flags("service:bot"), Some((true, false)));
        assert_eq!(flags("group:nested"), (!transitive).then_some((true, false)));
        assert_eq!(flags("user:later"), (!transitive).then_some((true, true)), "invited, so no member yet");
        assert_eq!(flags("user:inner"), transitive.then_some((false, false)));

        // The same as page by page, once it is as it was.
        let add = pb::AddMembersRequest {
            organization: "acme".into(),
            group: "team".into(),
            members: vec!["user:u2099".into()],
            ..Default::default()
        };
        ok(world.admin.add_members(by(root, add)).await);
        let mut paged = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListMembersRequest {
                organization: "acme".into(),
                group: "team".into(),
                transitive,
                page_size: 700,
                page_token,
                ..Default::default()
            };
            let page = ok(world.admin.list_members(by(root, request)).await);
            paged.extend(page.members);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(paged, members);
    }
    let mut system = ok(world.admin.export_members(by(root, export("all-users", true))).await);
    let mut count = 0;
    while let Some(message) = system.next().await {
        let members = message.unwrap().members;
        assert!(members.iter().all(|m| m.direct && !m.pending));
        count += members.len();
    }
    assert_eq!(count, 2_102, "every active user, and nobody else");
    assert!(ok(world.admin.export_members(by(root, export("empty", false))).await).next().await.is_none());
    assert_eq!(why(world.admin.export_members(by(root, export("nothing", false))).await), "NOT_FOUND");
}

#[tokio::test]
async fn a_groups_picture_is_kept_changed_and_emptied() {
    let world = founded(&team()).await;
    let root = &operator();
    let group = |photo_uri: &str| pb::Group {
        id: "g".into(),
        kind: pb::GroupKind::Manual.into(),
        photo_uri: photo_uri.into(),
        ..Default::default()
    };
    let create = |photo_uri: &str| pb::CreateGroupRequest {
        organization: "acme".into(),
        group: Some(group(photo_uri)),
        ..Default::default()
    };
    let get = async || {
        let request = pb::GetGroupRequest { organization: "acme".into(), group: "g".into(), min_revision: None };
        ok(world.admin.get_group(by(root, request)).await).group.unwrap().photo_uri
    };
    let longest = format!("https://pictures.example/{}", "x".repeat(2_048 - 25));
    assert_eq!(why(world.admin.create_group(by(root, create(&format!("{longest}x")))).await), "TOO_MANY");
    let made = ok(world.admin.create_group(by(root, create(&longest))).await).group.unwrap();
    assert_eq!((made.photo_uri, get().await), (longest.clone(), longest.clone()));
    let update = |photo_uri: &str, name: &str, mask: &[&str]| {
        let paths: Vec<String> = mask.iter().map(ToString::to_string).collect();
        pb::UpdateGroupRequest {
            organization: "acme".into(),
            group: Some(pb::Group { kind: 0, name: name.into(), ..group(photo_uri) }),
            update_mask: (!paths.is_empty()).then_some(prost_types::FieldMask { paths }),
            ..Default::default()
        }
    };
    ok(world.admin.update_group(by(root, update("", "Group", &[]))).await);
    assert_eq!(get().await, longest, "what is not named stays");
    let changed = ok(world.admin.update_group(by(root, update("https://pictures.example/2", "", &[]))).await);
    assert_eq!(changed.group.unwrap().photo_uri, "https://pictures.example/2");
    assert_eq!(get().await, "https://pictures.example/2");
    ok(world.admin.update_group(by(root, update("", "", &["photo_uri"]))).await);
    assert_eq!(get().await, "");
    // Of a system group only the visibility changes.
    let mut system = update("https://pictures.example/3", "", &[]);
    system.group.as_mut().unwrap().id = "all-users".into();
    assert_eq!(why(world.admin.update_group(by(root, system)).await), "BUILT_IN");
}
