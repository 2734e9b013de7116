//! What callers report about records.

use super::*;

const RELATIONS: [Relation; 5] =
    [Relation::Watcher, Relation::Assignee, Relation::Mentioned, Relation::Shared, Relation::Approver];

fn batch(reports: &[(RecordRelation, RelationEvent)]) -> BatchReportRelationsRequest {
    let report = |(relation, event): &(RecordRelation, RelationEvent)| RelationReport {
        relation: Some(relation.clone()),
        event: (*event).into(),
    };
    let reports = reports.iter().map(report).collect();
    BatchReportRelationsRequest { organization: "acme".into(), reports, ..Default::default() }
}

fn list() -> ListRelationsRequest {
    ListRelationsRequest { organization: "acme".into(), object: "app".into(), ..Default::default() }
}

async fn listed(world: &World, request: ListRelationsRequest) -> Vec<String> {
    let relations = ok(world.admin.list_relations(by(request)).await).relations;
    relations.iter().map(|r| format!("{} {} {}", r.record, r.relation().as_str_name(), r.member)).collect()
}

async fn world() -> World {
    let world = World::acme().await;
    world.app().await;
    world.user("ana").await;
    world.user("bo").await;
    world.group("risk").await;
    world
}

#[tokio::test]
async fn m5_1_repeating_a_report_changes_nothing() {
    let world = world().await;
    let watches = || related(Relation::Watcher, "user:ana", "r-1");
    let first = world.report(watches(), RelationEvent::Added).await;
    assert!(first.changed);
    let again = world.report(watches(), RelationEvent::Added).await;
    assert_eq!(again, ReportRelationResponse { changed: false, ..first.clone() });
    let other = world.report(related(Relation::Assignee, "user:ana", "r-1"), RelationEvent::Removed).await;
    assert!(!other.changed);
    let dry = ReportRelationRequest { validate_only: true, ..reporting(watches(), RelationEvent::Removed) };
    let dry = ok(world.admin.report_relation(by(dry)).await);
    assert_eq!(dry, ReportRelationResponse { changed: true, ..first });
    assert_eq!(listed(&world, list()).await, ["r-1 RELATION_WATCHER user:ana"]);
    assert!(world.report(watches(), RelationEvent::Removed).await.changed);
    assert!(!world.report(watches(), RelationEvent::Removed).await.changed);
    assert!(listed(&world, list()).await.is_empty());
}

#[tokio::test]
async fn a_batch_is_one_revision_and_its_last_word_counts() {
    use RelationEvent::{Added, Removed};
    let world = world().await;
    world.report(related(Relation::Watcher, "user:bo", "r-1"), Added).await;
    let before = world.revision().await;
    let reports = [
        (related(Relation::Watcher, "user:ana", "r-1"), Added),
        (related(Relation::Watcher, "user:ana", "r-1"), Removed),
        (related(Relation::Watcher, "user:ana", "r-1"), Added),
        (related(Relation::Shared, "user:ana", "r-2"), Added),
        (related(Relation::Shared, "user:ana", "r-2"), Removed),
        (related(Relation::Watcher, "user:bo", "r-1"), Removed),
        (related(Relation::Approver, "user:bo", "r-3"), Removed),
    ];
    let reply = ok(world.admin.batch_report_relations(by(batch(&reports))).await);
    assert_eq!((reply.added, reply.removed, reply.revision.unwrap().number), (1, 1, before + 1));
    let again = ok(world.admin.batch_report_relations(by(batch(&reports))).await);
    assert_eq!((again.added, again.removed, again.revision.unwrap().number), (0, 0, before + 1));
    assert_eq!(listed(&world, list()).await, ["r-1 RELATION_WATCHER user:ana"]);

    let wrong = [reports[0].clone(), (related(Relation::Unspecified, "ana", ""), RelationEvent::Unspecified)];
    let reply = world.admin.batch_report_relations(by(batch(&wrong))).await;
    let at = ["relation.relation", "relation.member", "relation.record", "event"];
    assert_eq!(fields(reply), at.map(|field| format!("reports[1].{field}")));
    assert_eq!(fields(world.admin.batch_report_relations(by(batch(&[]))).await), ["reports"]);
    let many = vec![reports[0].clone(); 10_001];
    assert_eq!(fields(world.admin.batch_report_relations(by(batch(&many))).await), ["reports"]);
    // All or none.
    let unknown =
        [(related(Relation::Watcher, "user:bo", "r-9"), Added), (related(Relation::Watcher, "user:x", "r-9"), Added)];
    assert_eq!(fields(world.admin.batch_report_relations(by(batch(&unknown))).await), ["relation.member"]);
    assert_eq!(world.revision().await, before + 1);
}

#[tokio::test]
async fn ten_thousand_reports_fit_in_one_call() {
    let world = world().await;
    let report = |n: usize| (related(RELATIONS[n % 5], "user:ana", &format!("r-{}", n / 5)), RelationEvent::Added);
    let reports: Vec<_> = (0..10_000).map(report).collect();
    let reply = ok(world.admin.batch_report_relations(by(batch(&reports))).await);
    assert_eq!((reply.added, reply.removed), (10_000, 0));
}

#[tokio::test]
async fn m2_9_a_group_without_the_flag_gets_no_new_relation_and_keeps_those_it_has() {
    let world = world().await;
    let watch = |record| reporting(related(Relation::Watcher, "group:risk", record), RelationEvent::Added);
    let refusal = refused(world.admin.report_relation(by(watch("r-1"))).await);
    assert_eq!(refusal, (Code::FailedPrecondition, "GROUP_NOT_USABLE".into()));
    ok(world
        .admin
        .report_relation(by(reporting(related(Relation::Shared, "group:risk", "r-1"), RelationEvent::Added)))
        .await);
    let flag = |watchable| UpdateGroupRequest {
        organization: "acme".into(),
        group: Some(Group {
            id: "risk".into(),
            visibility: Some(Visibility { watchable, ..Visibility::default() }),
            ..Group::default()
        }),
        ..Default::default()
    };
    ok(world.admin.update_group(by(flag(true))).await);
    ok(world.admin.report_relation(by(watch("r-1"))).await);
    ok(world.admin.update_group(by(flag(false))).await);
    let kept = ["r-1 RELATION_WATCHER group:risk", "r-1 RELATION_SHARED group:risk"];
    assert_eq!(listed(&world, list()).await, kept);
    // It is there already, so reporting it again is nothing new.
    assert!(!ok(world.admin.report_relation(by(watch("r-1"))).await).changed);
    let refusal = refused(world.admin.report_relation(by(watch("r-2"))).await);
    assert_eq!(refusal, (Code::FailedPrecondition, "GROUP_NOT_USABLE".into()));
}

#[tokio::test]
async fn relations_are_listed_by_object_record_member_and_relation() {
    let world = world().await;
    world.object("app2").await;
    for n in 0..12 {
        world.report(related(Relation::Watcher, "user:ana", &format!("r-{n:02}")), RelationEvent::Added).await;
    }
    world.report(related(Relation::Shared, "user:bo", "r-03"), RelationEvent::Added).await;
    world.report(related(Relation::Assignee, "user:ana", "r-03"), RelationEvent::Added).await;
    let elsewhere = RecordRelation { object: "app2".into(), ..related(Relation::Shared, "user:bo", "r-03") };
    world.report(elsewhere, RelationEvent::Added).await;
    world
        .assign("content-viewer", "user:ana", Some(Target { record: "r-03".into(), ..object_target("app").unwrap() }))
        .await;

    let at_record = ListRelationsRequest { record: "r-03".into(), ..list() };
    let expected =
        ["r-03 RELATION_WATCHER user:ana", "r-03 RELATION_ASSIGNEE user:ana", "r-03 RELATION_SHARED user:bo"];
    assert_eq!(listed(&world, at_record.clone()).await, expected);
    let one = ListRelationsRequest { member: "user:ana".into(), relation: Relation::Assignee.into(), ..at_record };
    assert_eq!(listed(&world, one).await, [expected[1]]);
    let of_bo = ListRelationsRequest { object: String::new(), member: "user:bo".into(), ..list() };
    let objects: Vec<String> =
        ok(world.admin.list_relations(by(of_bo)).await).relations.into_iter().map(|r| r.object).collect();
    assert_eq!(objects, ["app", "app2"]);
    assert!(listed(&world, ListRelationsRequest { object: "nope".into(), ..list() }).await.is_empty());

    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = ListRelationsRequest { page_size: 5, page_token, ..list() };
        let page = ok(world.admin.list_relations(by(page)).await);
        seen.extend(page.relations);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        // What comes in between neither repeats nor drops anything else.
        let late = related(Relation::Shared, "user:ana", &format!("q-{}", seen.len()));
        world.report(late, RelationEvent::Added).await;
    }
    assert_eq!(seen.len(), 14);
    assert!(seen.is_sorted_by_key(|r| (r.record.clone(), r.relation, r.member.clone())));

    for (object, record) in [("", "r-03"), ("", "")] {
        let (object, record) = (object.to_owned(), record.to_owned());
        let reply = world.admin.list_relations(by(ListRelationsRequest { object, record, ..list() })).await;
        assert_eq!(fields(reply), ["object"]);
    }
}

#[tokio::test]
async fn m5_1_a_forgotten_record_leaves_nothing_behind() {
    let world = world().await;
    let at = |record: &str| Some(Target { record: record.into(), ..object_target("app").unwrap() });
    for record in ["r-1", "r-2"] {
        world.report(related(Relation::Watcher, "user:ana", record), RelationEvent::Added).await;
        world.report(related(Relation::Shared, "group:risk", record), RelationEvent::Added).await;
        world.assign("content-viewer", "user:bo", at(record)).await;
    }
    let permissions = vec!["records.read".to_owned(), "records.update".to_owned()];
    let grant = Grant { permissions, member: "user:ana".into(), target: at("r-1"), ..Grant::default() };
    let create = CreateGrantsRequest { organization: "acme".into(), grant: Some(grant), ..Default::default() };
    ok(world.admin.create_grants(by(create)).await);
    let forget = |object: &str, record: &str| ForgetRecordRequest {
        organization: "acme".into(),
        object: object.into(),
        record: record.into(),
        ..Default::default()
    };
    let dry = ForgetRecordRequest { validate_only: true, ..forget("app", "r-1") };
    let dry = ok(world.admin.forget_record(by(dry)).await);
    let done = ok(world.admin.forget_record(by(forget("app", "r-1"))).await);
    assert_eq!(done.removed, Some(Removed { relations: 2, assignments: 1, grants: 2, ..Removed::default() }));
    assert_eq!(dry.removed, done.removed);
    let again = ok(world.admin.forget_record(by(forget("app", "r-1"))).await);
    assert_eq!(again, ForgetRecordResponse { removed: Some(Removed::default()), ..done });
    assert_eq!(listed(&world, list()).await, ["r-2 RELATION_WATCHER user:ana", "r-2 RELATION_SHARED group:risk"]);
    let unknown = refused(world.admin.forget_record(by(forget("nope", "r-1"))).await);
    assert_eq!(unknown, (Code::NotFound, "NOT_FOUND".into()));
    assert_eq!(fields(world.admin.forget_record(by(forget("", ""))).await), ["object", "record"]);
    // Nor is the group held back by what was forgotten.
    ok(world.admin.forget_record(by(forget("app", "r-2"))).await);
    let delete = DeleteGroupRequest { organization: "acme".into(), group: "risk".into(), ..Default::default() };
    assert_eq!(ok(world.admin.delete_group(by(delete)).await).removed.unwrap(), Removed::default());
}

#[tokio::test]
async fn m5_2_a_role_lists_the_relations_that_share_it() {
    let world = world().await;
    let role = |object: &str, auto_share: &[Relation]| Role {
        id: "reviewer".into(),
        scope: RoleScope::Object.into(),
        object: object.into(),
        permissions: vec!["records.read".into()],
        auto_share: auto_share.iter().map(|r| (*r).into()).collect(),
        ..Role::default()
    };
    let create = |role| CreateRoleRequest { organization: "acme".into(), role: Some(role), ..Default::default() };
    let triggers = [Relation::Shared, Relation::Watcher];
    let untied = create(role("", &triggers));
    assert_eq!(fields(world.admin.create_role(by(untied)).await), ["role.auto_share"]);
    let approver = create(role("app", &[Relation::Approver]));
    assert_eq!(fields(world.admin.create_role(by(approver)).await), ["role.auto_share"]);
    let unspecified = create(role("app", &[Relation::Shared, Relation::Unspecified]));
    assert_eq!(fields(world.admin.create_role(by(unspecified)).await), ["role.auto_share[1]"]);
    let made = ok(world.admin.create_role(by(create(role("app", &triggers)))).await).role.unwrap();
    assert_eq!(made.auto_share, [Relation::Watcher, Relation::Shared].map(i32::from));
    let update = UpdateRoleRequest {
        organization: "acme".into(),
        role: Some(role("", &[])),
        update_mask: Some(prost_types::FieldMask { paths: vec!["auto_share".into()] }),
        ..Default::default()
    };
    assert!(ok(world.admin.update_role(by(update)).await).role.unwrap().auto_share.is_empty());
}
