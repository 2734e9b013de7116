//! Rules 2.1 and 2.6: a user's kind follows the address and the organization's domains, by call as by file; what
//! a change of a domain says beforehand.

use doorward::service::proto as pb;
use doorward::service::proto::data_access_service_client::DataAccessServiceClient;
use doorward::service::proto::group_service_client::GroupServiceClient;
use doorward::service::proto::organization_service_client::OrganizationServiceClient;
use doorward::service::proto::user_service_client::UserServiceClient;

use crate::callers::World;
use crate::people::{acme, revision};
use crate::wire::{create_user, user};

use pb::UserKind::{External, Internal};

async fn kind(world: &World, id: &str) -> pb::UserKind {
    let request = pb::GetUserRequest { organization: acme(), user: id.into(), ..Default::default() };
    UserServiceClient::new(world.wire.clone()).get_user(request).await.unwrap().into_inner().user.unwrap().kind()
}

async fn update(world: &World, id: &str, email: &str, kind: Option<pb::UserKind>) {
    let kind = kind.map_or(0, Into::into);
    let user = Some(pb::User { id: id.into(), email: email.into(), kind, ..Default::default() });
    let request = pb::UpdateUserRequest { organization: acme(), user, ..Default::default() };
    UserServiceClient::new(world.wire.clone()).update_user(request).await.unwrap();
}

fn adding(domain: &str, audience: pb::UserKind) -> pb::AddEmailDomainRequest {
    let email_domain = Some(pb::EmailDomain { domain: domain.into(), audience: audience.into() });
    pb::AddEmailDomainRequest { organization: acme(), email_domain, ..Default::default() }
}

fn removing(domain: &str) -> pb::RemoveEmailDomainRequest {
    pb::RemoveEmailDomainRequest { organization: acme(), domain: domain.into(), ..Default::default() }
}

fn effect_on(group: &str, gained: u64, lost: u64, emptied: bool) -> pb::GroupEffect {
    pb::GroupEffect { group: group.into(), members_gained: gained, members_lost: lost, emptied }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m2_1_a_kind_that_is_not_given_follows_the_address() {
    let world = World::new().await;
    world.furnish().await;
    assert_eq!(kind(&world, "ana").await, Internal);
    update(&world, "ana", "ana@else.org", None).await;
    assert_eq!(kind(&world, "ana").await, External);
    update(&world, "ana", "ana@acme.com", None).await;
    assert_eq!(kind(&world, "ana").await, Internal);
    // One that is given stays, with the address and after it.
    update(&world, "ana", "ana@else.org", Some(Internal)).await;
    assert_eq!(kind(&world, "ana").await, Internal);
    update(&world, "ana", "ana@third.org", None).await;
    assert_eq!(kind(&world, "ana").await, Internal);
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m2_6_a_kind_that_is_not_given_follows_the_domains_in_the_same_revision() {
    let world = World::new().await;
    world.furnish().await;
    for (id, kind) in [("eve", None), ("fay", Some(Internal)), ("gil", None)] {
        let kind = kind.map_or(0, Into::into);
        create_user(&world.wire, "acme", pb::User { kind, ..user(id, &format!("{id}@kin.org")) }).await.unwrap();
    }
    let mut organizations = OrganizationServiceClient::new(world.wire.clone());
    let mut users = UserServiceClient::new(world.wire.clone());
    let request = pb::DeactivateUserRequest { organization: acme(), user: "gil".into(), ..Default::default() };
    users.deactivate_user(request).await.unwrap();
    let before = revision(&world).await;
    let dry = pb::AddEmailDomainRequest { validate_only: true, ..adding("kin.org", Internal) };
    let said = organizations.add_email_domain(dry).await.unwrap().into_inner();
    assert_eq!((revision(&world).await, kind(&world, "eve").await), (before, External));
    let effect = said.effect.unwrap();
    // Fay was given hers; Gil is in no group while inactive, but is of another kind.
    assert_eq!((effect.users.clone(), effect.user_count), (vec!["eve".to_owned(), "gil".to_owned()], 2));
    assert_eq!(effect.groups, [effect_on("external-users", 0, 1, true), effect_on("internal-users", 1, 0, false)]);
    let done = organizations.add_email_domain(adding("kin.org", Internal)).await.unwrap().into_inner();
    assert_eq!(done.effect.unwrap(), effect, "as was said beforehand");
    assert_eq!(revision(&world).await, before + 1);
    for id in ["eve", "fay", "gil"] {
        assert_eq!(kind(&world, id).await, Internal, "{id}");
    }
    // Another audience, by the settings; and away.
    let email_domains = vec![
        pb::EmailDomain { domain: "acme.com".into(), audience: Internal.into() },
        pb::EmailDomain { domain: "kin.org".into(), audience: External.into() },
    ];
    let organization = Some(pb::Organization { id: acme(), email_domains, ..Default::default() });
    let request = pb::UpdateOrganizationRequest { organization, ..Default::default() };
    let reply = organizations.update_organization(request).await.unwrap().into_inner();
    let [effect] = reply.email_domain_effects.as_slice() else { panic!("{reply:?}") };
    assert!(effect.audience_changed && !effect.removed && effect.user_count == 3, "{effect:?}");
    assert_eq!(kind(&world, "eve").await, External);
    update(&world, "fay", "fay@acme.com", Some(External)).await;
    let reply = organizations.remove_email_domain(removing("acme.com")).await.unwrap().into_inner();
    assert_eq!(kind(&world, "ana").await, External);
    assert!(!reply.effect.unwrap().users.contains(&"fay".to_owned()), "hers was given");
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m2_6_a_domain_says_what_it_does_to_the_groups_around() {
    let world = World::new().await;
    world.furnish().await;
    create_user(&world.wire, "acme", user("bo", "bo@acme.com")).await.unwrap();
    let mut groups = GroupServiceClient::new(world.wire.clone());
    for (id, kind, domains) in [
        ("staff", pb::GroupKind::Dynamic, vec!["acme.com".to_owned()]),
        ("around", pb::GroupKind::Manual, vec![]),
        ("outer", pb::GroupKind::Manual, vec![]),
        ("only", pb::GroupKind::Manual, vec![]),
    ] {
        let visibility = Some(pb::Visibility { data_access: true, ..Default::default() });
        let group = Some(pb::Group { id: id.into(), kind: kind.into(), domains, visibility, ..Default::default() });
        let request = pb::CreateGroupRequest { organization: acme(), group, ..Default::default() };
        groups.create_group(request).await.unwrap();
    }
    for (group, members) in
        [("around", vec!["group:staff", "user:ana"]), ("outer", vec!["group:around"]), ("only", vec!["group:staff"])]
    {
        let members = members.into_iter().map(str::to_owned).collect();
        let request =
            pb::AddMembersRequest { organization: acme(), group: group.into(), members, ..Default::default() };
        groups.add_members(request).await.unwrap();
    }
    let policy = pb::DataAccessPolicy {
        id: "shows".into(),
        object: "app".into(),
        effect: pb::PolicyEffect::Allow.into(),
        members: vec!["group:outer".into()],
        ..Default::default()
    };
    let request = pb::CreatePolicyRequest { organization: acme(), policy: Some(policy), ..Default::default() };
    DataAccessServiceClient::new(world.wire.clone()).create_policy(request).await.unwrap();
    let mut organizations = OrganizationServiceClient::new(world.wire.clone());
    let dry = pb::RemoveEmailDomainRequest { validate_only: true, ..removing("acme.com") };
    let said = organizations.remove_email_domain(dry).await.unwrap().into_inner().effect.unwrap();
    // Ana is in the groups around by herself, too.
    let expected = [
        effect_on("internal-users", 0, 2, true),
        effect_on("only", 0, 2, true),
        effect_on("staff", 0, 2, true),
        effect_on("around", 0, 1, false),
        effect_on("outer", 0, 1, false),
        effect_on("external-users", 2, 0, false),
    ];
    assert_eq!((said.groups.clone(), said.group_count), (expected.to_vec(), 6));
    assert_eq!(said.policies, ["shows"]);
    let done = organizations.remove_email_domain(removing("acme.com")).await.unwrap().into_inner();
    assert_eq!(done.effect.unwrap(), said, "as was said beforehand");
    world.server.stop().await;
}
