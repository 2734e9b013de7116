//! Policies and relations as a client sees them: the real server, on sled, over TCP.

use doorward::cli::file::{Known, OrganizationFile, write};
use doorward::service::proto as pb;
use doorward::service::proto::apply_organization_request::Part;
use doorward::service::proto::data_access_service_client::DataAccessServiceClient;
use doorward::service::proto::group_service_client::GroupServiceClient;
use doorward::service::proto::organization_service_client::OrganizationServiceClient;
use doorward::service::proto::relation_service_client::RelationServiceClient;
use doorward::service::{messages, rows};
use pb::{PolicyEffect, Relation, RelationEvent};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::wire::{Running, Wire, fields, reason, token};

/// `risk` may watch and see data, `staff` may do nothing.
const ACME: &str = "organization: acme
preset: workspace
email_domains: [{domain: acme.com, audience: internal}]
objects:
  - {id: app, kind: app, fields: {region: string, due: timestamp}}
users:
  - {id: ana, email: ana@acme.com}
  - {id: 'auth0|bo', email: bo@acme.com}
groups:
  - {id: risk, kind: manual, members: ['user:ana'], visibility: [watchable, data_access]}
  - {id: staff, kind: manual}
roles:
  - {id: reader, scope: object, object: app, permissions: [records.read], auto_share: [watcher, shared]}
assignments:
  - {role: reader, member: 'user:ana', object: app, record: r-1}
grants:
  - {permissions: [records.read, tasks.read], member: 'user:auth0|bo', object: app, record: r-1}
relations:
  - {relation: watcher, member: 'group:risk', object: app, record: r-1}
  - {relation: shared, member: 'user:auth0|bo', object: app, record: 'urn:r:1 \\ \"ü\"'}
data_access:
  - {id: due, object: app, effect: restrict, members: ['user:ana'], condition: \"record.due < now &&\\n  record.region == 'eu'\"}
  - {id: own, object: app, effect: allow, members: ['group:risk', 'group:staff']}
";

pub async fn apply(wire: &Wire, text: &str) -> Result<pb::ApplyOrganizationResponse, Status> {
    let file = OrganizationFile::parse(text, "acme.yaml", Known::of).unwrap_or_else(|e| panic!("{e}"));
    let rows: Vec<pb::Row> = file.rows.iter().flat_map(|row| messages(&file.organization, row)).collect();
    let header = pb::ApplyHeader { organization: "acme".into(), create_if_missing: true, ..pb::ApplyHeader::default() };
    let end = Part::End(pb::ApplyEnd { row_count: rows.len() as u64 });
    let parts = [Part::Header(header), Part::Rows(pb::RowBatch { rows }), end];
    let requests = parts.map(|part| pb::ApplyOrganizationRequest { part: Some(part) });
    let reply = OrganizationServiceClient::new(wire.clone()).apply_organization(tokio_stream::iter(requests)).await?;
    Ok(reply.into_inner())
}

async fn export(wire: &Wire) -> String {
    let request = pb::ExportOrganizationRequest { organization: "acme".into(), min_revision: None };
    let mut stream =
        OrganizationServiceClient::new(wire.clone()).export_organization(request).await.unwrap().into_inner();
    let mut sent = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        sent.extend(message.rows);
    }
    let acme = "acme".parse().unwrap();
    write(&acme, &rows(&acme, sent).unwrap())
}

fn report(relation: Relation, member: &str, record: &str, event: RelationEvent) -> pb::RelationReport {
    let (relation, member, object, record) = (relation.into(), member.into(), "app".into(), record.into());
    let relation = Some(pb::RecordRelation { relation, member, object, record });
    pb::RelationReport { relation, event: event.into() }
}

async fn tell(wire: &Wire, report: pb::RelationReport) -> Result<pb::ReportRelationResponse, Status> {
    let request = pb::ReportRelationRequest { organization: "acme".into(), report: Some(report), ..Default::default() };
    Ok(RelationServiceClient::new(wire.clone()).report_relation(request).await?.into_inner())
}

async fn show(wire: &Wire, group: &str, watchable: bool) {
    let visibility = Some(pb::Visibility { watchable, ..pb::Visibility::default() });
    let group = Some(pb::Group { id: group.into(), visibility, ..pb::Group::default() });
    let update_mask = Some(prost_types::FieldMask { paths: vec!["visibility.watchable".into()] });
    let request = pb::UpdateGroupRequest { organization: "acme".into(), group, update_mask, ..Default::default() };
    GroupServiceClient::new(wire.clone()).update_group(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_with_a_bad_condition_is_refused_at_every_place_and_nothing_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let wire = server.with(Some(&token(dir.path()))).await;
    let founded = apply(&wire, ACME).await.unwrap().revision;
    let mut policies = DataAccessServiceClient::new(wire.clone());
    let policy = |condition: &str| pb::CreatePolicyRequest {
        organization: "acme".into(),
        policy: Some(pb::DataAccessPolicy {
            id: "p".into(),
            object: "app".into(),
            effect: PolicyEffect::Allow.into(),
            members: vec!["group:risk".into()],
            condition: condition.into(),
            etag: String::new(),
        }),
        ..Default::default()
    };
    for (condition, places) in [
        ("record.regoin == 'eu' && record.due > 'x'", vec!["line 1, column 8: ", "line 1, column 37: "]),
        ("true &&\n  record.region", vec!["line 2, column 3: "]),
        ("record.region ==", vec!["line 1, column 17: "]),
        (&"(".repeat(200), vec!["line 1, column "]),
        (&"1+".repeat(5_000), vec!["line 1, column "]),
        (&"x".repeat(65_536), vec!["line 1, column "]),
    ] {
        let status = policies.create_policy(policy(condition)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "CONDITION"), "{condition:.40}");
        let told = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(told.len(), places.len(), "{told:?}");
        for (violation, place) in told.iter().zip(places) {
            assert_eq!(violation.field, "policy.condition");
            assert!(violation.description.contains(place), "{place}: {violation:?}");
            assert!(violation.description.len() < 300, "{violation:?}");
        }
    }
    let list = pb::ListPoliciesRequest { organization: "acme".into(), ..Default::default() };
    let listed = policies.list_policies(list).await.unwrap().into_inner();
    assert_eq!(listed.policies.iter().map(|p| p.id.as_str()).collect::<Vec<_>>(), ["due", "own"]);
    assert_eq!(listed.revision, founded);
    let stored = policies.create_policy(policy("record.region == 'eu'")).await.unwrap().into_inner();
    assert_eq!(stored.policy.unwrap().condition, "record.region == 'eu'");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relations_are_idempotent_and_forgotten_with_their_record() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let wire = server.with(Some(&token(dir.path()))).await;
    apply(&wire, ACME).await.unwrap();
    let mut relations = RelationServiceClient::new(wire.clone());
    let mentioned = |event| report(Relation::Mentioned, "user:ana", "r-1", event);
    let first = tell(&wire, mentioned(RelationEvent::Added)).await.unwrap();
    let again = tell(&wire, mentioned(RelationEvent::Added)).await.unwrap();
    assert_eq!((first.changed, again.changed, &again.revision), (true, false, &first.revision));
    let batch = pb::BatchReportRelationsRequest {
        organization: "acme".into(),
        reports: vec![
            mentioned(RelationEvent::Removed),
            report(Relation::Approver, "user:auth0|bo", "r-1", RelationEvent::Added),
            report(Relation::Approver, "user:auth0|bo", "r-2", RelationEvent::Added),
        ],
        request_id: "once".into(),
        validate_only: false,
    };
    let done = relations.batch_report_relations(batch.clone()).await.unwrap().into_inner();
    assert_eq!((done.added, done.removed), (2, 1));
    assert_eq!(relations.batch_report_relations(batch.clone()).await.unwrap().into_inner(), done);
    let unnamed = pb::BatchReportRelationsRequest { request_id: String::new(), ..batch };
    let repeated = relations.batch_report_relations(unnamed).await.unwrap().into_inner();
    assert_eq!((repeated.added, repeated.removed, &repeated.revision), (0, 0, &done.revision));
    let forget = |record: &str| pb::ForgetRecordRequest {
        organization: "acme".into(),
        object: "app".into(),
        record: record.into(),
        ..Default::default()
    };
    let forgotten = relations.forget_record(forget("r-1")).await.unwrap().into_inner();
    let expected = pb::Removed { relations: 2, assignments: 1, grants: 2, ..pb::Removed::default() };
    assert_eq!(forgotten.removed, Some(expected));
    let unknown = relations.forget_record(forget("r-404")).await.unwrap().into_inner();
    assert_eq!((unknown.removed, unknown.revision), (Some(pb::Removed::default()), forgotten.revision));
    let list = pb::ListRelationsRequest { organization: "acme".into(), object: "app".into(), ..Default::default() };
    let left = relations.list_relations(list).await.unwrap().into_inner().relations;
    let left: Vec<&str> = left.iter().map(|r| r.record.as_str()).collect();
    assert_eq!(left, ["r-2", "urn:r:1 \\ \"ü\""]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m2_9_what_a_cleared_flag_suspends_stays_stored_and_exported() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let wire = server.with(Some(&token(dir.path()))).await;
    apply(&wire, ACME).await.unwrap();
    let watch = |record: &str| report(Relation::Watcher, "group:risk", record, RelationEvent::Added);
    tell(&wire, watch("r-2")).await.unwrap();
    show(&wire, "risk", false).await;
    let status = tell(&wire, watch("r-3")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "GROUP_NOT_USABLE"));
    let exported = export(&wire).await;
    assert_eq!(exported.matches("relation: watcher").count(), 2, "{exported}");
    // Nothing new either: the file applies to the same organization, after a restart, and elsewhere.
    assert!(apply(&wire, &exported).await.unwrap().unchanged);
    server.stop().await;
    let server = Running::start(dir.path()).await;
    let wire = server.with(Some(&token(dir.path()))).await;
    assert_eq!(export(&wire).await, exported);
    // But a file brings no new ones into an organization that is there.
    let more = exported.replace(
        "relations:\n",
        "relations:\n  - {relation: watcher, member: 'group:staff', object: app, record: r-1}\n",
    );
    let status = apply(&wire, &more).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "GROUP_NOT_USABLE"));
    show(&wire, "risk", true).await;
    tell(&wire, watch("r-3")).await.unwrap();
    server.stop().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let server = Running::start(elsewhere.path()).await;
    let wire = server.with(Some(&token(elsewhere.path()))).await;
    apply(&wire, &exported).await.unwrap();
    assert_eq!(export(&wire).await, exported);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m2_10_deleting_a_group_cuts_allow_policies_and_stops_at_restrict_policies() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let wire = server.with(Some(&token(dir.path()))).await;
    apply(&wire, ACME).await.unwrap();
    let mut groups = GroupServiceClient::new(wire.clone());
    let mut policies = DataAccessServiceClient::new(wire.clone());
    let delete = |group: &str| pb::DeleteGroupRequest {
        organization: "acme".into(),
        group: group.into(),
        ..pb::DeleteGroupRequest::default()
    };
    let get =
        |policy: &str| pb::GetPolicyRequest { organization: "acme".into(), policy: policy.into(), min_revision: None };
    let removed = groups.delete_group(delete("risk")).await.unwrap().into_inner().removed.unwrap();
    assert_eq!(removed, pb::Removed { memberships: 1, relations: 1, policy_members: 1, ..pb::Removed::default() });
    let own = policies.get_policy(get("own")).await.unwrap().into_inner().policy.unwrap();
    assert_eq!(own.members, ["group:staff"]);
    let members = vec!["group:staff".into(), "user:ana".into()];
    let due = pb::DataAccessPolicy { id: "due".into(), members, ..pb::DataAccessPolicy::default() };
    let update = pb::UpdatePolicyRequest { organization: "acme".into(), policy: Some(due), ..Default::default() };
    let due = policies.update_policy(update).await.unwrap().into_inner().policy.unwrap();
    assert_eq!((due.effect(), due.members.len()), (PolicyEffect::Restrict, 2));
    let status = groups.delete_group(delete("staff")).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "IN_USE"));
    assert!(status.message().contains("`due`"), "{status:?}");
    let request = pb::DeletePolicyRequest { organization: "acme".into(), policy: "due".into(), ..Default::default() };
    policies.delete_policy(request).await.unwrap();
    groups.delete_group(delete("staff")).await.unwrap();
    // A policy about nobody is left, stored and exported.
    let exported = export(&wire).await;
    assert!(exported.contains("{id: own, object: app, effect: allow, members: []}"), "{exported}");
    assert!(apply(&wire, &exported).await.unwrap().unchanged);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_and_relations_go_in_and_out_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let wire = server.with(Some(&token(dir.path()))).await;
    let file = OrganizationFile::parse(ACME, "acme.yaml", Known::of).unwrap_or_else(|e| panic!("{e}"));
    let written = write(&file.organization, &file.rows);
    apply(&wire, ACME).await.unwrap();
    assert_eq!(export(&wire).await, written);
    assert!(apply(&wire, &written).await.unwrap().unchanged);
    // Another file replaces both, in one revision: a group goes together with the policy that names it.
    let less: String = ACME
        .lines()
        .filter(|l| !l.contains("relation: shared") && !l.contains("id: staff"))
        .map(|l| format!("{l}\n"))
        .collect();
    let less = less.replace(", 'group:staff'", "").replace("effect: restrict", "effect: allow");
    let reply = apply(&wire, &less).await.unwrap();
    assert_eq!((reply.created, reply.updated, reply.deleted), (0, 2, 2), "{reply:?}");
    let wrong = less.replace("record.due < now", "record.due < 'now'");
    let status = apply(&wire, &wrong).await.unwrap_err();
    assert_eq!((reason(&status).as_str(), fields(&status)), ("CONDITION", vec!["policy.condition".to_owned()]));
    server.stop().await;
}
