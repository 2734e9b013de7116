//! Data-access policies.

use prost_types::FieldMask;

use super::*;

fn create(policy: DataAccessPolicy) -> CreatePolicyRequest {
    CreatePolicyRequest { organization: "acme".into(), policy: Some(policy), ..Default::default() }
}

fn update(policy: DataAccessPolicy, paths: &[&str]) -> UpdatePolicyRequest {
    let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
    let update_mask = (!paths.is_empty()).then_some(FieldMask { paths });
    UpdatePolicyRequest { organization: "acme".into(), policy: Some(policy), update_mask, ..Default::default() }
}

async fn world() -> World {
    let world = World::acme().await;
    world.app().await;
    world.user("ana").await;
    world.group("risk").await;
    world
}

#[tokio::test]
async fn a_policy_is_created_read_changed_and_deleted() {
    let world = world().await;
    let own = DataAccessPolicy {
        condition: "record.region == 'eu'".into(),
        ..policy("own", PolicyEffect::Allow, &["user:ana", "group:risk"])
    };
    let dry = CreatePolicyRequest { validate_only: true, ..create(own.clone()) };
    let [change] = ok(world.admin.create_policy(by(dry)).await).changes.try_into().unwrap();
    assert_eq!((change.entity.as_str(), change.id.as_str()), ("policy", "own"));
    let created = world.policy(own.clone()).await;
    assert_eq!(created.members, ["user:ana", "group:risk"]);
    assert_eq!(
        refused(world.admin.create_policy(by(create(own))).await),
        (Code::AlreadyExists, "ALREADY_EXISTS".into())
    );
    let get = GetPolicyRequest { organization: "acme".into(), policy: "own".into(), min_revision: None };
    assert_eq!(ok(world.admin.get_policy(by(get.clone())).await).policy.unwrap(), created);

    let id = || DataAccessPolicy { id: "own".into(), ..Default::default() };
    let restrict = DataAccessPolicy { effect: PolicyEffect::Restrict.into(), ..id() };
    let stale = UpdatePolicyRequest { etag: "x".into(), ..update(restrict.clone(), &[]) };
    assert_eq!(refused(world.admin.update_policy(by(stale)).await), (Code::Aborted, "ETAG_MISMATCH".into()));
    let changed = UpdatePolicyRequest { etag: created.etag.clone(), ..update(restrict, &["effect", "condition"]) };
    let changed = ok(world.admin.update_policy(by(changed)).await).policy.unwrap();
    assert_eq!((changed.effect(), changed.condition.as_str()), (PolicyEffect::Restrict, ""));
    assert_eq!(changed.members, created.members);
    assert_ne!(changed.etag, created.etag);
    for path in ["id", "object", "nonsense"] {
        assert_eq!(fields(world.admin.update_policy(by(update(id(), &[path]))).await), ["update_mask"], "{path}");
    }
    assert_eq!(fields(world.admin.update_policy(by(update(id(), &["members"]))).await), ["policy.members"]);
    assert_eq!(fields(world.admin.update_policy(by(update(id(), &["effect"]))).await), ["policy.effect"]);
    world.object("other").await;
    let moved = DataAccessPolicy { object: "other".into(), ..id() };
    let refusal = refused(world.admin.update_policy(by(update(moved, &[]))).await);
    assert_eq!(refusal, (Code::FailedPrecondition, "IMMUTABLE".into()));

    let delete = DeletePolicyRequest { organization: "acme".into(), policy: "own".into(), ..Default::default() };
    ok(world.admin.delete_policy(by(delete.clone())).await);
    assert_eq!(refused(world.admin.delete_policy(by(delete)).await), (Code::NotFound, "NOT_FOUND".into()));
    assert_eq!(refused(world.admin.get_policy(by(get)).await), (Code::NotFound, "NOT_FOUND".into()));
}

#[tokio::test]
async fn m6_2_every_mistake_of_a_condition_is_told_with_its_place() {
    let world = world().await;
    let before = world.revision().await;
    let wrong = DataAccessPolicy {
        condition: "record.regoin == 'eu' &&\n  record.region > 5".into(),
        ..policy("own", PolicyEffect::Allow, &["user:ana"])
    };
    let status = world.admin.create_policy(by(create(wrong.clone()))).await.unwrap_err();
    let told = status.get_details_bad_request().unwrap().field_violations;
    let told: Vec<(&str, &str)> = told.iter().map(|v| (v.field.as_str(), v.description.as_str())).collect();
    let name = "data-access policy `own`";
    assert_eq!(
        told,
        [
            ("policy.condition", &*format!("{name}: line 1, column 8: unknown field `regoin`, did you mean `region`?")),
            ("policy.condition", &*format!("{name}: line 2, column 17: `>` cannot compare a string with an int")),
        ]
    );
    let reply = world.admin.create_policy(by(create(wrong))).await;
    assert_eq!(refused(reply), (Code::InvalidArgument, "CONDITION".into()));
    assert_eq!(world.revision().await, before);
}

#[tokio::test]
async fn what_no_policy_can_be_is_refused_with_every_field() {
    let world = world().await;
    let wrong = DataAccessPolicy { id: "no id".into(), effect: 77, ..DataAccessPolicy::default() };
    let reply = world.admin.create_policy(by(create(wrong))).await;
    assert_eq!(fields(reply), ["policy.members", "policy.id", "policy.object", "policy.effect"]);
    let unspecified = policy("own", PolicyEffect::Unspecified, &["ana"]);
    let reply = world.admin.create_policy(by(create(unspecified))).await;
    assert_eq!(fields(reply), ["policy.effect", "policy.members[0]"]);
    let nowhere = DataAccessPolicy { object: "nope".into(), ..policy("own", PolicyEffect::Allow, &["group:nope"]) };
    let reply = world.admin.create_policy(by(create(nowhere))).await;
    assert_eq!(fields(reply), ["policy.object", "policy.members"]);
    for members in [vec!["service:ci"], vec!["user:ana", "user:ana"], vec!["user:ana"; 1_001]] {
        let reply = world.admin.create_policy(by(create(policy("own", PolicyEffect::Allow, &members)))).await;
        assert!(fields(reply).iter().all(|f| f == "policy.members"));
    }
}

#[tokio::test]
async fn policies_are_listed_by_object_effect_and_member() {
    let world = world().await;
    world.object("other").await;
    for n in (0..12).rev() {
        let effect = if n % 2 == 0 { PolicyEffect::Allow } else { PolicyEffect::Restrict };
        let object = if n < 3 { "other" } else { "app" };
        let member = if n == 5 { "group:risk" } else { "user:ana" };
        world
            .policy(DataAccessPolicy { object: object.into(), ..policy(&format!("p{n:02}"), effect, &[member]) })
            .await;
    }
    let list = ListPoliciesRequest { organization: "acme".into(), page_size: 5, ..Default::default() };
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = ok(world.admin.list_policies(by(ListPoliciesRequest { page_token, ..list.clone() })).await);
        seen.extend(page.policies.into_iter().map(|p| p.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, (0..12).map(|n| format!("p{n:02}")).collect::<Vec<_>>());
    let mut found = Vec::new();
    for asked in [
        ListPoliciesRequest { object: "other".into(), ..list.clone() },
        ListPoliciesRequest { member: "group:risk".into(), ..list.clone() },
        ListPoliciesRequest { object: "other".into(), effect: PolicyEffect::Restrict.into(), ..list.clone() },
        ListPoliciesRequest { object: "nope".into(), ..list.clone() },
    ] {
        let page = ok(world.admin.list_policies(by(asked)).await);
        found.push(page.policies.into_iter().map(|p| p.id).collect::<Vec<_>>().join(" "));
    }
    assert_eq!(found, ["p00 p01 p02", "p05", "p01", ""]);
}

#[tokio::test]
async fn m2_10_a_deleted_group_leaves_allow_policies_and_stays_in_restrict_policies() {
    let world = world().await;
    world.policy(policy("show", PolicyEffect::Allow, &["group:risk", "user:ana"])).await;
    world.policy(policy("alone", PolicyEffect::Allow, &["group:risk"])).await;
    world.policy(policy("hide", PolicyEffect::Restrict, &["group:risk"])).await;
    world.report(related(Relation::Shared, "group:risk", "r-1"), RelationEvent::Added).await;
    let delete = DeleteGroupRequest { organization: "acme".into(), group: "risk".into(), ..Default::default() };
    let refusal = refused(world.admin.delete_group(by(delete.clone())).await);
    assert_eq!(refusal, (Code::FailedPrecondition, "IN_USE".into()));
    let hide = DataAccessPolicy { members: vec!["user:ana".into()], ..policy("hide", PolicyEffect::Restrict, &[]) };
    ok(world.admin.update_policy(by(update(hide, &["members"]))).await);
    let removed = ok(world.admin.delete_group(by(delete)).await).removed.unwrap();
    assert_eq!(removed, Removed { relations: 1, policy_members: 2, ..Removed::default() });
    let list = ListPoliciesRequest { organization: "acme".into(), ..Default::default() };
    let left = ok(world.admin.list_policies(by(list)).await).policies;
    let left: Vec<(&str, String)> = left.iter().map(|p| (p.id.as_str(), p.members.join(" "))).collect();
    assert_eq!(left, [("alone", String::new()), ("hide", "user:ana".into()), ("show", "user:ana".into())]);
    world.report(related(Relation::Watcher, "user:ana", "r-1"), RelationEvent::Added).await;
    let delete = DeleteObjectRequest { organization: "acme".into(), object: "app".into(), ..Default::default() };
    let removed = ok(world.admin.delete_object(by(delete)).await).removed.unwrap();
    assert_eq!(removed, Removed { relations: 1, policies: 3, ..Removed::default() });
}

#[tokio::test]
async fn m6_2_a_condition_holds_against_what_is_declared_now() {
    let world = world().await;
    let europe = DataAccessPolicy {
        condition: "record.region == 'eu'".into(),
        ..policy("europe", PolicyEffect::Restrict, &["user:ana"])
    };
    world.policy(europe).await;
    let fields_of = |scalar: ScalarType| {
        let region = FieldType { scalar: scalar.into(), list: false };
        let object = Object { id: "app".into(), fields: [("region".to_owned(), region)].into(), ..Object::default() };
        UpdateObjectRequest { organization: "acme".into(), object: Some(object), ..Default::default() }
    };
    let status = world.admin.update_object(by(fields_of(ScalarType::Int))).await.unwrap_err();
    let message = "data-access policy `europe`: its condition would be wrong: line 1, column 15: ";
    assert!(status.message().starts_with(message), "{status:?}");
    assert_eq!(refused(Err::<Response<()>, _>(status)), (Code::FailedPrecondition, "CONDITION_BROKEN".into()));
    let delete = DeletePolicyRequest { organization: "acme".into(), policy: "europe".into(), ..Default::default() };
    ok(world.admin.delete_policy(by(delete)).await);
    ok(world.admin.update_object(by(fields_of(ScalarType::Int))).await);
}
