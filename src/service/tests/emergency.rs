//! Emergency access (rule 7.4).

use prost_types::{Duration, FieldMask};

use super::*;
use crate::service::OnBehalfOf;

const HOUR: Option<Duration> = Some(Duration { seconds: 3_600, nanos: 0 });

pub(super) fn rule(users: &[&str]) -> EmergencyRule {
    let users = users.iter().map(ToString::to_string).collect();
    EmergencyRule { role: "fixer".into(), users, max_duration: HOUR, ..EmergencyRule::default() }
}

pub(super) fn create(rule: EmergencyRule) -> CreateEmergencyRuleRequest {
    CreateEmergencyRuleRequest { organization: "acme".into(), emergency_rule: Some(rule), ..Default::default() }
}

fn update(rule: EmergencyRule, paths: &[&str]) -> UpdateEmergencyRuleRequest {
    let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
    let update_mask = (!paths.is_empty()).then_some(FieldMask { paths });
    let emergency_rule = Some(rule);
    UpdateEmergencyRuleRequest { organization: "acme".into(), emergency_rule, update_mask, ..Default::default() }
}

pub(super) fn activate() -> ActivateEmergencyAccessRequest {
    ActivateEmergencyAccessRequest {
        organization: "acme".into(),
        role: "fixer".into(),
        justification: "it burns".into(),
        ..Default::default()
    }
}

fn end(activation: &str) -> EndEmergencyAccessRequest {
    EndEmergencyAccessRequest { organization: "acme".into(), activation: activation.into(), ..Default::default() }
}

fn list() -> ListEmergencyActivationsRequest {
    ListEmergencyActivationsRequest { organization: "acme".into(), ..Default::default() }
}

/// By a user, through whom an operator calls.
pub(super) fn as_user<M>(user: &str, message: M) -> Request<M> {
    let on_behalf_of = Some(Box::new(OnBehalfOf { user: format!("user:{user}"), authenticated_at: None }));
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller { on_behalf_of, ..Caller::operator("tests".into()) });
    request
}

/// With users ana and bo, and the role `fixer`, which gives `tasks.read`.
pub(super) async fn world() -> World {
    let world = World::acme().await;
    for user in ["ana", "bo", "cy"] {
        world.user(user).await;
    }
    for id in ["fixer", "payer"] {
        let role = Role {
            id: id.into(),
            scope: RoleScope::Organization.into(),
            permissions: vec!["tasks.read".into()],
            ..Role::default()
        };
        let request = CreateRoleRequest { organization: "acme".into(), role: Some(role), ..Default::default() };
        ok(world.admin.create_role(by(request)).await);
    }
    world
}

async fn reads(world: &World, user: &str) -> Reason {
    let request = AuthorizeRequest {
        organization: "acme".into(),
        principal: format!("user:{user}"),
        permission: "tasks.read".into(),
        ..Default::default()
    };
    ok(world.decisions.authorize(by(request)).await).reason()
}

#[tokio::test]
async fn a_rule_is_created_read_changed_and_deleted() {
    let world = world().await;
    let created = ok(world.admin.create_emergency_rule(by(create(rule(&["bo", "ana"])))).await).emergency_rule.unwrap();
    assert_eq!((created.users.join(" "), created.max_duration), ("ana bo".into(), HOUR));
    let twice = world.admin.create_emergency_rule(by(create(rule(&["cy"])))).await;
    assert_eq!(refused(twice), (Code::AlreadyExists, "ALREADY_EXISTS".into()));
    let get = GetEmergencyRuleRequest { organization: "acme".into(), role: "fixer".into(), ..Default::default() };
    assert_eq!(ok(world.admin.get_emergency_rule(by(get.clone())).await).emergency_rule.unwrap(), created);
    let all = ListEmergencyRulesRequest { organization: "acme".into(), ..Default::default() };
    assert_eq!(ok(world.admin.list_emergency_rules(by(all.clone())).await).emergency_rules, [created.clone()]);
    let of = async |user: &str| {
        let request = ListEmergencyRulesRequest { user: user.into(), ..all.clone() };
        ok(world.admin.list_emergency_rules(by(request)).await).emergency_rules.len()
    };
    assert_eq!((of("ana").await, of("cy").await), (1, 0));
    let stale = UpdateEmergencyRuleRequest { etag: "x".into(), ..update(rule(&["ana"]), &[]) };
    assert_eq!(refused(world.admin.update_emergency_rule(by(stale)).await), (Code::Aborted, "ETAG_MISMATCH".into()));
    let shorter = EmergencyRule { max_duration: Some(Duration { seconds: 60, nanos: 0 }), ..rule(&["cy"]) };
    let changed = UpdateEmergencyRuleRequest { etag: created.etag, ..update(shorter, &["max_duration"]) };
    let changed = ok(world.admin.update_emergency_rule(by(changed)).await).emergency_rule.unwrap();
    assert_eq!((changed.users.join(" "), changed.max_duration.unwrap().seconds), ("ana bo".into(), 60));
    assert_eq!(fields(world.admin.update_emergency_rule(by(update(rule(&["ana"]), &["role"]))).await), ["update_mask"]);
    let nobody = world.admin.update_emergency_rule(by(update(rule(&[]), &["users"]))).await;
    assert_eq!(fields(nobody), ["emergency_rule.users"]);
    let delete = DeleteEmergencyRuleRequest { organization: "acme".into(), role: "fixer".into(), ..Default::default() };
    assert_eq!(ok(world.admin.delete_emergency_rule(by(delete.clone())).await).activations_ended, 0);
    assert_eq!(refused(world.admin.delete_emergency_rule(by(delete)).await), (Code::NotFound, "NOT_FOUND".into()));
    assert_eq!(refused(world.admin.get_emergency_rule(by(get)).await), (Code::NotFound, "NOT_FOUND".into()));
}

#[tokio::test]
async fn m7_4_a_named_user_activates_the_role_for_itself_and_ends_it() {
    let world = world().await;
    ok(world.admin.create_emergency_rule(by(create(rule(&["ana"])))).await);
    assert_eq!(reads(&world, "ana").await, Reason::NoPermission);
    let dry = ActivateEmergencyAccessRequest { validate_only: true, ..activate() };
    assert!(ok(world.admin.activate_emergency_access(as_user("ana", dry)).await).activation.is_some());
    assert_eq!(reads(&world, "ana").await, Reason::NoPermission);

    let once = ActivateEmergencyAccessRequest { request_id: "r".into(), ..activate() };
    let activation = ok(world.admin.activate_emergency_access(as_user("ana", once.clone())).await).activation.unwrap();
    let again = ok(world.admin.activate_emergency_access(as_user("ana", once)).await).activation.unwrap();
    assert_eq!(activation, again);
    assert_eq!(
        (activation.user.as_str(), activation.justification.as_str(), activation.rehearsal),
        ("ana", "it burns", false)
    );
    let seconds = activation.expires_at.unwrap().seconds - activation.starts_at.unwrap().seconds;
    assert_eq!((seconds, activation.ended_at), (3_600, None));
    assert_eq!((reads(&world, "ana").await, reads(&world, "bo").await), (Reason::Allowed, Reason::NoPermission));
    let twice = world.admin.activate_emergency_access(as_user("ana", activate())).await;
    assert_eq!(refused(twice), (Code::FailedPrecondition, "ALREADY_ACTIVE".into()));

    // Nobody else's to end, but for who configures it.
    let other = world.admin.end_emergency_access(as_user("bo", end(&activation.id))).await;
    assert_eq!(refused(other), (Code::PermissionDenied, "PERMISSION_DENIED".into()));
    let unknown = world.admin.end_emergency_access(as_user("bo", end("nothing"))).await;
    assert_eq!(refused(unknown), (Code::PermissionDenied, "PERMISSION_DENIED".into()), "it tells nothing");
    assert_eq!(
        refused(world.admin.end_emergency_access(by(end("nothing"))).await),
        (Code::NotFound, "NOT_FOUND".into())
    );
    let ended = ok(world.admin.end_emergency_access(as_user("ana", end(&activation.id))).await).activation.unwrap();
    assert!(ended.ended_at.is_some());
    assert_eq!(reads(&world, "ana").await, Reason::NoPermission);
    let before = world.revision().await;
    ok(world.admin.end_emergency_access(by(end(&activation.id))).await);
    assert_eq!(world.revision().await, before, "what is over is left as it is");

    // The log tells of the activation, its use and its end, marked; of further uses within a minute once.
    let marked = ActivityFilter { emergency_only: true, ..Default::default() };
    let list = ListActivityRequest { organization: "acme".into(), filter: Some(marked), ..Default::default() };
    let entries = ok(world.admin.list_activity(by(list)).await).entries;
    assert!(entries.iter().all(|entry| entry.emergency_activation == activation.id), "{entries:#?}");
    let told = |entry: &ActivityEntry| {
        let method = entry.method.rsplit('/').next().unwrap_or_default().to_owned();
        (method, entry.outcome(), entry.caller.clone())
    };
    let told: Vec<_> = entries.iter().rev().map(told).collect();
    let of =
        |place: usize| told.get(place).map(|(method, outcome, caller)| (method.as_str(), *outcome, caller.as_str()));
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(of(0).map(|t| (t.0, t.1)), Some(("ActivateEmergencyAccess", ActivityOutcome::Applied)));
    assert_eq!(of(1), Some(("doorward.v1.DecisionService", ActivityOutcome::Recorded, "user:ana")));
    assert_eq!(of(2).map(|t| (t.0, t.1)), Some(("EndEmergencyAccess", ActivityOutcome::Applied)));
}

#[tokio::test]
async fn m7_4_a_stream_of_records_is_told_of_as_a_use_once() {
    use tokio_stream::StreamExt;
    let world = world().await;
    world.object("app").await;
    ok(world.admin.create_emergency_rule(by(create(rule(&["ana"])))).await);
    ok(world.admin.activate_emergency_access(as_user("ana", activate())).await);
    let (organization, principal, object) = ("acme".into(), "user:ana".into(), "app".into());
    let query = FilterQuery { organization, principal, object, permission: "tasks.read".into(), ..Default::default() };
    let records = vec![Record { id: "r-1".into(), ..Record::default() }];
    let chunk = StreamFilterRecordsRequest { records, ..Default::default() };
    let messages = [StreamFilterRecordsRequest { query: Some(query), ..chunk.clone() }, chunk];
    let (caller, minute) = (Caller::operator("tests".into()), std::time::Duration::from_mins(1));
    let replies = world.decisions.filter_stream(caller, minute, minute, tokio_stream::iter(messages.map(Ok)));
    let replies: Vec<_> = replies.unwrap().map(|reply| reply.unwrap().positions).collect().await;
    assert_eq!(replies, [[0], [0]]);
    let marked = ActivityFilter { emergency_only: true, ..Default::default() };
    let list = ListActivityRequest { organization: "acme".into(), filter: Some(marked), ..Default::default() };
    let mut told = 0;
    for _ in 0..100 {
        let entries = ok(world.admin.list_activity(by(list.clone())).await).entries;
        told = entries.iter().filter(|entry| entry.outcome() == ActivityOutcome::Recorded).count();
        if told > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(told, 1);
}

#[tokio::test]
async fn m7_4_only_who_is_named_within_bounds_and_with_a_reason() {
    let world = world().await;
    ok(world.admin.create_emergency_rule(by(create(rule(&["ana", "cy"])))).await);
    let not_named = (Code::PermissionDenied, "NOT_NAMED".to_owned());
    for (user, request) in [
        ("bo", activate()),
        ("ana", ActivateEmergencyAccessRequest { role: "payer".into(), ..activate() }),
        ("ana", ActivateEmergencyAccessRequest { role: "nothing".into(), ..activate() }),
    ] {
        assert_eq!(refused(world.admin.activate_emergency_access(as_user(user, request)).await), not_named);
    }
    assert_eq!(refused(world.admin.activate_emergency_access(by(activate())).await), not_named, "for themselves");
    let field = async |request: ActivateEmergencyAccessRequest| {
        fields(world.admin.activate_emergency_access(as_user("ana", request)).await)
    };
    for text in ["", " \n\t", &"x".repeat(4_097)] {
        let request = ActivateEmergencyAccessRequest { justification: text.into(), ..activate() };
        assert_eq!(field(request).await, ["justification"]);
    }
    for (seconds, nanos) in [(3_600, 1_000_000), (0, 0), (-1, 0), (1, 1)] {
        let duration = Some(Duration { seconds, nanos });
        assert_eq!(field(ActivateEmergencyAccessRequest { duration, ..activate() }).await, ["duration"], "{seconds}");
    }
    assert_eq!(field(ActivateEmergencyAccessRequest { role: "a b".into(), ..activate() }).await, ["role"]);
    // Rule 4.2.
    let off = DeactivateUserRequest { organization: "acme".into(), user: "cy".into(), ..Default::default() };
    ok(world.admin.deactivate_user(by(off)).await);
    let inactive = world.admin.activate_emergency_access(as_user("cy", activate())).await;
    assert_eq!(refused(inactive), (Code::PermissionDenied, "PRINCIPAL_INACTIVE".into()));
    // Rule 7.3.
    world.assign("payer", "user:ana", None).await;
    let roles = vec!["fixer".to_owned(), "payer".to_owned()];
    let pay = SeparationConstraint { id: "pay".into(), roles, max: 1, ..SeparationConstraint::default() };
    let request = CreateSeparationConstraintRequest {
        organization: "acme".into(),
        separation_constraint: Some(pay),
        ..Default::default()
    };
    ok(world.admin.create_separation_constraint(by(request)).await);
    for rehearsal in [false, true] {
        let request = ActivateEmergencyAccessRequest { rehearsal, ..activate() };
        let refusal = refused(world.admin.activate_emergency_access(as_user("ana", request)).await);
        assert_eq!(refusal, (Code::FailedPrecondition, "SEPARATION_OF_DUTIES".into()), "{rehearsal}");
    }
    assert!(ok(world.admin.list_emergency_activations(by(list())).await).activations.is_empty());
}

#[tokio::test]
async fn m7_4_a_rehearsal_does_all_but_give_anything_and_a_rules_end_ends_what_runs() {
    let world = world().await;
    ok(world.admin.create_emergency_rule(by(create(rule(&["ana", "bo"])))).await);
    let rehearse = ActivateEmergencyAccessRequest { rehearsal: true, ..activate() };
    let rehearsal = ok(world.admin.activate_emergency_access(as_user("ana", rehearse)).await).activation.unwrap();
    assert!(rehearsal.rehearsal && rehearsal.ended_at.is_none());
    assert_eq!(reads(&world, "ana").await, Reason::NoPermission);
    let short = ActivateEmergencyAccessRequest { duration: Some(Duration { seconds: 60, nanos: 0 }), ..activate() };
    let real = ok(world.admin.activate_emergency_access(as_user("ana", short)).await).activation.unwrap();
    ok(world.admin.activate_emergency_access(as_user("bo", activate())).await);
    assert_eq!(reads(&world, "ana").await, Reason::Allowed);

    let listed = async |request: ListEmergencyActivationsRequest| {
        let reply = ok(world.admin.list_emergency_activations(by(request)).await);
        (reply.activations.into_iter().map(|a| (a.user, a.rehearsal)).collect::<Vec<_>>(), reply.next_page_token)
    };
    let first = ListEmergencyActivationsRequest { page_size: 2, ..list() };
    let (page, token) = listed(first.clone()).await;
    let (rest, last) = listed(ListEmergencyActivationsRequest { page_token: token, ..first }).await;
    assert_eq!((page.len(), rest.len(), last.as_str()), (2, 1, ""));
    assert_eq!(listed(ListEmergencyActivationsRequest { user: "bo".into(), ..list() }).await.0, [("bo".into(), false)]);
    ok(world.admin.end_emergency_access(by(end(&real.id))).await);
    let (open, _) = listed(ListEmergencyActivationsRequest { open_only: true, ..list() }).await;
    assert_eq!(open.len(), 2);
    let wrong = ListEmergencyActivationsRequest { user: "a\u{7}".into(), ..list() };
    assert_eq!(fields(world.admin.list_emergency_activations(by(wrong)).await), ["user"]);

    assert_eq!(reads(&world, "bo").await, Reason::Allowed);
    let delete = DeleteEmergencyRuleRequest { organization: "acme".into(), role: "fixer".into(), ..Default::default() };
    let dry = DeleteEmergencyRuleRequest { validate_only: true, ..delete.clone() };
    assert_eq!(ok(world.admin.delete_emergency_rule(by(dry)).await).activations_ended, 2);
    assert_eq!(ok(world.admin.delete_emergency_rule(by(delete)).await).activations_ended, 2);
    assert_eq!(reads(&world, "bo").await, Reason::NoPermission);
    assert!(listed(ListEmergencyActivationsRequest { open_only: true, ..list() }).await.0.is_empty());
    assert_eq!(listed(list()).await.0.len(), 3, "what was stays");
}

#[tokio::test]
async fn m7_4_explain_says_that_it_comes_by_an_activation() {
    let world = world().await;
    ok(world.admin.create_emergency_rule(by(create(rule(&["ana"])))).await);
    let activation = ok(world.admin.activate_emergency_access(as_user("ana", activate())).await).activation.unwrap();
    let request = ExplainRequest {
        organization: "acme".into(),
        principal: "user:ana".into(),
        permission: "tasks.read".into(),
        ..Default::default()
    };
    let e = ok(world.decisions.explain(by(request)).await);
    assert_eq!(e.paths.len(), 1);
    assert_eq!(e.paths[0].source, Some(access_path::Source::EmergencyActivation(activation)));
    assert!(e.summary.contains("activated in an emergency"), "{}", e.summary);
}
