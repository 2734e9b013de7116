//! Separation of duties (rule 7.3).

use prost_types::FieldMask;

use super::*;

fn constraint(enforcement: SeparationEnforcement) -> SeparationConstraint {
    let roles = vec!["payer".to_owned(), "signer".to_owned()];
    SeparationConstraint { id: "pay".into(), roles, max: 1, enforcement: enforcement.into(), ..Default::default() }
}

fn create(constraint: SeparationConstraint) -> CreateSeparationConstraintRequest {
    let separation_constraint = Some(constraint);
    CreateSeparationConstraintRequest { organization: "acme".into(), separation_constraint, ..Default::default() }
}

fn update(constraint: SeparationConstraint, paths: &[&str]) -> UpdateSeparationConstraintRequest {
    let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
    UpdateSeparationConstraintRequest {
        organization: "acme".into(),
        separation_constraint: Some(constraint),
        update_mask: (!paths.is_empty()).then_some(FieldMask { paths }),
        ..Default::default()
    }
}

fn get() -> GetSeparationConstraintRequest {
    GetSeparationConstraintRequest {
        organization: "acme".into(),
        separation_constraint: "pay".into(),
        min_revision: None,
    }
}

fn violations() -> ListSeparationViolationsRequest {
    ListSeparationViolationsRequest { organization: "acme".into(), ..Default::default() }
}

/// With roles `payer`, which gives `tasks.read`, and `signer`.
async fn world() -> World {
    let world = World::acme().await;
    world.user("ana").await;
    world.group("risk").await;
    for (id, permission) in [("payer", "tasks.read"), ("signer", "tasks.create"), ("other", "tasks.create")] {
        let role = Role {
            id: id.into(),
            scope: RoleScope::Organization.into(),
            permissions: vec![permission.into()],
            ..Role::default()
        };
        let request = CreateRoleRequest { organization: "acme".into(), role: Some(role), ..Default::default() };
        ok(world.admin.create_role(by(request)).await);
    }
    world
}

fn assigning(role: &str, member: &str) -> CreateAssignmentRequest {
    let assignment = Assignment { role: role.into(), member: member.into(), ..Assignment::default() };
    CreateAssignmentRequest { organization: "acme".into(), assignment: Some(assignment), ..Default::default() }
}

#[tokio::test]
async fn a_constraint_is_created_read_changed_and_deleted() {
    let world = world().await;
    let before = world.revision().await;
    let dry =
        CreateSeparationConstraintRequest { validate_only: true, ..create(constraint(SeparationEnforcement::Deny)) };
    let [change] = ok(world.admin.create_separation_constraint(by(dry)).await).changes.try_into().unwrap();
    assert_eq!((change.entity.as_str(), change.id.as_str()), ("separation_constraint", "pay"));
    assert_eq!(world.revision().await, before);
    let created = CreateSeparationConstraintRequest {
        request_id: "r".into(),
        ..create(constraint(SeparationEnforcement::Unspecified))
    };
    let first = ok(world.admin.create_separation_constraint(by(created.clone())).await);
    let again = ok(world.admin.create_separation_constraint(by(created)).await);
    assert_eq!(first, again);
    let created = first.separation_constraint.unwrap();
    assert_eq!(created.enforcement(), SeparationEnforcement::Prevent);
    let twice = world.admin.create_separation_constraint(by(create(constraint(SeparationEnforcement::Deny)))).await;
    assert_eq!(refused(twice), (Code::AlreadyExists, "ALREADY_EXISTS".into()));
    assert_eq!(ok(world.admin.get_separation_constraint(by(get())).await).separation_constraint.unwrap(), created);
    let list = ListSeparationConstraintsRequest { organization: "acme".into(), ..Default::default() };
    assert_eq!(ok(world.admin.list_separation_constraints(by(list)).await).separation_constraints, [created.clone()]);

    let stale =
        UpdateSeparationConstraintRequest { etag: "x".into(), ..update(constraint(SeparationEnforcement::Deny), &[]) };
    let stale = world.admin.update_separation_constraint(by(stale)).await;
    assert_eq!(refused(stale), (Code::Aborted, "ETAG_MISMATCH".into()));
    let wider = SeparationConstraint {
        roles: vec!["signer".into(), "other".into(), "payer".into()],
        max: 2,
        ..constraint(SeparationEnforcement::Deny)
    };
    let changed =
        UpdateSeparationConstraintRequest { etag: created.etag.clone(), ..update(wider, &["roles", "enforcement"]) };
    let changed = ok(world.admin.update_separation_constraint(by(changed)).await).separation_constraint.unwrap();
    assert_eq!((changed.roles.join(" "), changed.max), ("other payer signer".into(), 1));
    assert_eq!(changed.enforcement(), SeparationEnforcement::Deny);
    for (path, of) in [("id", "update_mask"), ("nonsense", "update_mask")] {
        let wrong = update(constraint(SeparationEnforcement::Deny), &[path]);
        assert_eq!(fields(world.admin.update_separation_constraint(by(wrong)).await), [of]);
    }
    let none = update(SeparationConstraint { max: 0, ..constraint(SeparationEnforcement::Deny) }, &["max"]);
    assert_eq!(fields(world.admin.update_separation_constraint(by(none)).await), ["separation_constraint.max"]);

    let role = DeleteRoleRequest { organization: "acme".into(), role: "other".into(), ..Default::default() };
    assert_eq!(ok(world.admin.delete_role(by(role)).await).removed.unwrap().constraint_roles, 1);
    let role = DeleteRoleRequest { organization: "acme".into(), role: "signer".into(), ..Default::default() };
    let dry = DeleteRoleRequest { validate_only: true, ..role };
    assert_eq!(ok(world.admin.delete_role(by(dry)).await).removed.unwrap().constraint_roles, 1);
    let delete = DeleteSeparationConstraintRequest {
        organization: "acme".into(),
        separation_constraint: "pay".into(),
        ..Default::default()
    };
    ok(world.admin.delete_separation_constraint(by(delete.clone())).await);
    let gone = world.admin.delete_separation_constraint(by(delete)).await;
    assert_eq!(refused(gone), (Code::NotFound, "NOT_FOUND".into()));
    assert_eq!(refused(world.admin.get_separation_constraint(by(get())).await), (Code::NotFound, "NOT_FOUND".into()));
}

#[tokio::test]
async fn what_is_wrong_with_a_constraint_is_told_by_field() {
    let world = world().await;
    let wrong = SeparationConstraint {
        id: "-".into(),
        roles: vec!["a b".into()],
        enforcement: 7,
        ..SeparationConstraint::default()
    };
    assert_eq!(
        fields(world.admin.create_separation_constraint(by(create(wrong))).await),
        ["separation_constraint.id", "separation_constraint.roles[0]", "separation_constraint.enforcement"]
    );
    let missing =
        CreateSeparationConstraintRequest { separation_constraint: None, ..create(SeparationConstraint::default()) };
    assert_eq!(fields(world.admin.create_separation_constraint(by(missing)).await), ["separation_constraint"]);
    let cases = [
        (vec!["payer", "payer"], 1, "separation_constraint.roles", "DUPLICATE"),
        (vec!["payer", "nobody"], 1, "separation_constraint.roles", "UNKNOWN_REFERENCE"),
        (vec!["payer", "signer"], 2, "separation_constraint.max", "MISPLACED"),
        (vec!["payer", "signer"], 0, "separation_constraint.max", "MISPLACED"),
    ];
    for (roles, max, field, reason) in cases {
        let roles = roles.into_iter().map(str::to_owned).collect();
        let wrong = create(SeparationConstraint { id: "x".into(), roles, max, ..SeparationConstraint::default() });
        assert_eq!(fields(world.admin.create_separation_constraint(by(wrong.clone())).await), [field]);
        let refusal = refused(world.admin.create_separation_constraint(by(wrong)).await);
        assert_eq!(refusal, (Code::InvalidArgument, reason.into()));
    }
}

#[tokio::test]
async fn m7_3_a_breach_is_refused_with_a_stable_reason_and_both_paths() {
    let world = world().await;
    ok(world.admin.create_separation_constraint(by(create(constraint(SeparationEnforcement::Prevent)))).await);
    world.assign("payer", "group:risk", None).await;
    world.add("risk", &["user:ana"]).await;
    let before = world.revision().await;
    let dry = CreateAssignmentRequest { validate_only: true, ..assigning("signer", "user:ana") };
    for request in [dry, assigning("signer", "user:ana")] {
        let status = world.admin.create_assignment(by(request.clone())).await.unwrap_err();
        for part in ["`pay`", "role `payer`", "`group:risk`", "role `signer`", "`user:ana`"] {
            assert!(status.message().contains(part), "{}", status.message());
        }
        let [broken] = status.get_details_precondition_failure().unwrap().violations.try_into().unwrap();
        assert_eq!(
            (broken.r#type.as_str(), broken.subject.as_str()),
            ("SEPARATION_OF_DUTIES", "separation constraint `pay`")
        );
        let refusal = refused(world.admin.create_assignment(by(request)).await);
        assert_eq!(refusal, (Code::FailedPrecondition, "SEPARATION_OF_DUTIES".into()));
    }
    assert_eq!(world.revision().await, before);
    assert_eq!(ok(world.admin.list_separation_violations(by(violations())).await).violations, []);
}

#[tokio::test]
async fn m7_3_violations_are_listed_with_their_paths_page_by_page() {
    let world = world().await;
    for id in ["bo", "cy"] {
        world.user(id).await;
    }
    world.assign("payer", "group:internal-users", None).await;
    for user in ["user:ana", "user:bo", "user:cy"] {
        world.assign("signer", user, None).await;
    }
    let broken = world.admin.create_separation_constraint(by(create(constraint(SeparationEnforcement::Prevent)))).await;
    assert_eq!(refused(broken), (Code::FailedPrecondition, "SEPARATION_OF_DUTIES".into()));
    ok(world.admin.create_separation_constraint(by(create(constraint(SeparationEnforcement::Deny)))).await);

    let page = ListSeparationViolationsRequest { page_size: 2, ..violations() };
    let first = ok(world.admin.list_separation_violations(by(page.clone())).await);
    let rest = ListSeparationViolationsRequest { page_token: first.next_page_token.clone(), ..page.clone() };
    let rest = ok(world.admin.list_separation_violations(by(rest)).await);
    assert_eq!((first.violations.len(), rest.violations.len(), rest.next_page_token.as_str()), (2, 1, ""));
    let principals = first.violations.iter().chain(&rest.violations).map(|v| v.principal.as_str());
    assert_eq!(principals.collect::<Vec<_>>(), ["user:ana", "user:bo", "user:cy"]);
    let SeparationViolation { separation_constraint, principal: _, paths, denied } = &first.violations[0];
    assert_eq!((separation_constraint.as_str(), denied), ("pay", &true));
    let members: Vec<&[String]> = paths.iter().map(|p| p.members.as_slice()).collect();
    assert_eq!(members, [&["user:ana".to_owned(), "group:internal-users".to_owned()][..], &["user:ana".to_owned()]]);
    assert!(paths.iter().all(|p| matches!(p.source, Some(access_path::Source::Assignment(_)))));

    let other = ListSeparationViolationsRequest { separation_constraint: "none".into(), ..violations() };
    assert_eq!(refused(world.admin.list_separation_violations(by(other)).await), (Code::NotFound, "NOT_FOUND".into()));
    let stolen = ListSeparationViolationsRequest { page_token: first.next_page_token, ..violations() };
    let stolen = ListSeparationViolationsRequest { separation_constraint: "pay".into(), ..stolen };
    assert_eq!(fields(world.admin.list_separation_violations(by(stolen)).await), ["page_token"]);
    let negative = ListSeparationViolationsRequest { page_size: -1, ..violations() };
    assert_eq!(fields(world.admin.list_separation_violations(by(negative)).await), ["page_size"]);

    // The decision, and its proof.
    let explain = ExplainRequest {
        organization: "acme".into(),
        principal: "user:ana".into(),
        permission: "tasks.read".into(),
        ..Default::default()
    };
    let e = ok(world.decisions.explain(by(explain)).await);
    assert_eq!((e.decision(), e.reason(), e.rule.as_str()), (Decision::Deny, Reason::SeparationOfDuties, "4.5"));
    assert_eq!(e.broken_constraints, ["pay"]);
    for part in ["separation constraint `pay`", "`payer`", "`signer`", "`group:internal-users`"] {
        assert!(e.summary.contains(part), "{}", e.summary);
    }
    assert_eq!(e.near_misses.len(), 1);
}
