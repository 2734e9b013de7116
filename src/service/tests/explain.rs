//! Explain.

use super::access_path::Source;
use super::*;

fn request(principal: &str, permission: &str) -> ExplainRequest {
    let resource = Some(Resource { object: "vendor-risk".into(), ..Resource::default() });
    let (organization, principal, permission) = ("acme".into(), principal.into(), permission.into());
    ExplainRequest { organization, principal, permission, resource, ..ExplainRequest::default() }
}

async fn world() -> World {
    let world = World::acme().await;
    world.user("ana").await;
    world.group("risk").await;
    world.group("all").await;
    world.add("risk", &["user:ana"]).await;
    world.add("all", &["group:risk"]).await;
    world.object("vendor-risk").await;
    world.assign("content-viewer", "group:all", object_target("vendor-risk")).await;
    world
}

#[tokio::test]
async fn an_explanation_is_the_decision_with_its_paths_and_a_summary() {
    let world = world().await;
    let reply = ok(world.decisions.explain(by(request("ana", "records.read"))).await);
    assert_eq!((reply.decision(), reply.reason(), reply.rule.as_str()), (Decision::Allow, Reason::Allowed, "4.8"));
    assert_eq!(reply.effective_permission, "records.read");
    assert_eq!(reply.revision.unwrap().number, world.revision().await);
    let [path] = reply.paths.as_slice() else { panic!("{:?}", reply.paths) };
    assert_eq!(path.members, ["user:ana", "group:risk", "group:all"]);
    let Some(Source::Assignment(assignment)) = &path.source else { panic!("{path:?}") };
    assert_eq!((assignment.role.as_str(), assignment.member.as_str()), ("content-viewer", "group:all"));
    assert!(!assignment.etag.is_empty() && !path.pattern.is_empty());
    let through = "comes from role `content-viewer` at object `vendor-risk`, through `group:risk` in `group:all`.";
    assert!(reply.summary.contains(through), "{}", reply.summary);
    let reply = ok(world.decisions.explain(by(request("ana", "tasks.delete"))).await);
    assert_eq!((reply.decision(), reply.rule.as_str()), (Decision::Deny, "4.5"));
    assert!(reply.paths.is_empty());
}

#[tokio::test]
async fn m4_11_a_deny_comes_with_the_smallest_changes_that_would_allow() {
    let world = world().await;
    world.user("bo").await;
    let allowed = ok(world.decisions.explain(by(request("ana", "records.read"))).await);
    assert_eq!(allowed.smallest_changes, []);
    let denied = ok(world.decisions.explain(by(request("bo", "records.read"))).await);
    let first = denied.smallest_changes.first().unwrap();
    let text = "add `user:bo` to group `all`, which holds role `content-viewer` at object `vendor-risk`";
    let (kind, members) = (StepKind::JoinGroup.into(), vec!["user:bo".to_owned()]);
    let join = ChangeStep { kind, members, subject: "all".into(), target: None, text: text.into() };
    assert_eq!((first.steps.as_slice(), first.text.as_str()), ([join].as_slice(), text));
    let [step] = denied.smallest_changes[1].steps.as_slice() else { panic!("{denied:?}") };
    assert_eq!((step.kind(), step.subject.as_str()), (StepKind::AssignRole, "content-viewer"));
    assert_eq!(step.target, object_target("vendor-risk"));
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_as_authorize_tells_it() {
    let world = world().await;
    let explain = |request| world.decisions.explain(by(request));
    let is = |code, reason: &str| (code, reason.to_owned());
    let unknown = explain(request("ana", "records.raed")).await;
    assert_eq!(refused(unknown), is(Code::InvalidArgument, "UNKNOWN_PERMISSION"));
    let elsewhere = ExplainRequest { organization: "other".into(), ..request("ana", "records.read") };
    assert_eq!(refused(explain(elsewhere).await), is(Code::NotFound, "UNKNOWN_ORGANIZATION"));
    for max_paths in [-1, 101] {
        let many = ExplainRequest { max_paths, ..request("an\na", "records.read") };
        assert_eq!(fields(explain(many).await), ["max_paths", "principal"]);
    }
    let history = "h".to_owned();
    let min_revision = Some(Revision { history, number: 1 });
    let other = ExplainRequest { min_revision, ..request("ana", "records.read") };
    assert_eq!(refused(explain(other).await), is(Code::FailedPrecondition, "REVISION_OF_OTHER_HISTORY"));
    let unnamed = world.decisions.explain(Request::new(request("ana", "records.read"))).await;
    assert_eq!(unnamed.unwrap_err().code(), Code::Unauthenticated);
}
