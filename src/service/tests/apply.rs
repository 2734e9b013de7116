//! Whole organizations in and out.

use apply_organization_request::Part;
use row::Kind;
use tokio_stream::StreamExt;

use super::*;

fn part(part: Part) -> Result<ApplyOrganizationRequest, Status> {
    Ok(ApplyOrganizationRequest { part: Some(part) })
}

fn header() -> ApplyHeader {
    ApplyHeader { organization: "acme".into(), create_if_missing: true, ..ApplyHeader::default() }
}

async fn apply(
    world: &World,
    header: ApplyHeader,
    rows: Vec<Row>,
) -> Result<Response<ApplyOrganizationResponse>, Status> {
    apply_cut(world, header, rows, 3).await
}

async fn apply_cut(
    world: &World,
    header: ApplyHeader,
    rows: Vec<Row>,
    cut: usize,
) -> Result<Response<ApplyOrganizationResponse>, Status> {
    let row_count = rows.len() as u64;
    let batches = rows.chunks(cut).map(|rows| part(Part::Rows(RowBatch { rows: rows.to_vec() })));
    let mut parts = vec![part(Part::Header(header))];
    parts.extend(batches);
    parts.push(part(Part::End(ApplyEnd { row_count })));
    world.admin.apply(Caller::operator("tests".into()), tokio_stream::iter(parts)).await
}

async fn export(world: &World) -> Vec<Row> {
    let request = ExportOrganizationRequest { organization: "acme".into(), min_revision: None };
    let mut stream = ok(world.admin.export_organization(by(request)).await);
    let (mut rows, mut total) = (Vec::new(), 0);
    while let Some(message) = stream.next().await {
        let message = message.unwrap();
        total = message.total_rows;
        rows.extend(message.rows);
    }
    assert_eq!(rows.len() as u64, total);
    rows
}

fn row(kind: Kind) -> Row {
    Row { kind: Some(kind) }
}

fn acme() -> Vec<Row> {
    let user = |id: &str| row(Kind::User(User { id: id.into(), email: format!("{id}@acme.com"), ..User::default() }));
    let membership =
        |group: &str, member: &str| row(Kind::Membership(Membership { group: group.into(), member: member.into() }));
    let group =
        |id: &str| row(Kind::Group(Group { id: id.into(), kind: GroupKind::Manual.into(), ..Group::default() }));
    let permissions = vec!["records.read".into(), "tasks.*".into()];
    vec![
        membership("risk", "user:ana"),
        membership("risk", "group:staff"),
        membership("staff", "service:ci"),
        membership("staff", "group:internal-users"),
        user("ana"),
        user("bo"),
        row(Kind::ServiceAccount(ServiceAccount { id: "ci".into(), ..ServiceAccount::default() })),
        group("risk"),
        group("staff"),
        row(Kind::Object(Object { id: "app".into(), kind: ObjectKind::App.into(), ..Object::default() })),
        row(Kind::Assignment(Assignment {
            role: "content-viewer".into(),
            member: "group:risk".into(),
            target: object_target("app"),
            ..Assignment::default()
        })),
        row(Kind::Grant(Grant { permissions, member: "user:bo".into(), ..Grant::default() })),
        row(Kind::Relation(related(Relation::Shared, "user:bo", "r-1"))),
        row(Kind::Policy(DataAccessPolicy {
            condition: "record.owner == user.id".into(),
            ..policy("own", PolicyEffect::Allow, &["group:risk"])
        })),
        row(Kind::Policy(policy("nobody", PolicyEffect::Restrict, &[]))),
        row(Kind::Permission(Permission { name: "invoices.approve".into(), ..Permission::default() })),
        row(Kind::Organization(Organization {
            id: "acme".into(),
            preset: Preset::Workspace.into(),
            email_domains: vec![EmailDomain { domain: "acme.com".into(), audience: UserKind::Internal.into() }],
            ..Organization::default()
        })),
    ]
}

#[tokio::test]
async fn an_export_applies_to_nothing_changed() {
    let world = World::new();
    let first = ok(apply(&world, header(), acme()).await);
    assert!(!first.unchanged);
    let rows = export(&world).await;
    // The default account was made, the grant message holds two grants.
    assert_eq!(rows.len(), acme().len() + 3, "{rows:#?}");
    assert_eq!(first.created, rows.len() as u64);
    let again = ok(apply(&world, header(), rows.clone()).await);
    assert!(again.unchanged, "{again:?}");
    assert_eq!(again.revision, first.revision);
    assert_eq!(export(&world).await, rows);
    // In the order of the fields of `Row`: what a row names comes before it.
    let order = |kind: &Kind| match kind {
        Kind::Grant(_) => 0,
        Kind::Membership(_) => 1,
        Kind::Policy(_) => 2,
        Kind::Relation(_) => 3,
        _ => -1,
    };
    assert!(rows.iter().filter_map(|r| r.kind.as_ref()).is_sorted_by_key(order));
    let entities: Vec<&str> = first.changes.iter().map(|c| c.entity.as_str()).collect();
    assert_eq!(entities[entities.len() - 4..], ["membership", "policy", "policy", "relation"]);
    let Some(Kind::User(ana)) = rows.iter().filter_map(|r| r.kind.clone()).find(|k| matches!(k, Kind::User(_))) else {
        panic!("no user")
    };
    assert_eq!((ana.kind(), ana.account.as_str(), ana.status()), (UserKind::Internal, "main", PrincipalStatus::Active));
}

#[tokio::test]
async fn what_breaks_off_changes_nothing() {
    let world = World::new();
    let stream = |parts: Vec<_>| world.admin.apply(Caller::operator("tests".into()), tokio_stream::iter(parts));
    let rows = || part(Part::Rows(RowBatch { rows: acme() }));
    let (head, count) = (|| part(Part::Header(header())), acme().len() as u64);
    let end = |row_count| part(Part::End(ApplyEnd { row_count }));
    let bad = (Code::InvalidArgument, "INVALID_STREAM".to_owned());
    assert_eq!(refused(stream(vec![head(), rows()]).await), bad);
    assert_eq!(refused(stream(vec![head(), rows(), end(count - 1)]).await), bad);
    assert_eq!(refused(stream(vec![rows(), end(count)]).await), bad);
    assert_eq!(refused(stream(vec![head(), head()]).await), bad);
    assert_eq!(refused(stream(vec![]).await), bad);
    assert_eq!(refused(stream(vec![head(), end(0), rows()]).await), bad);
    let get = GetOrganizationRequest { organization: "acme".into(), min_revision: None };
    assert_eq!(refused(world.admin.get_organization(by(get)).await).0, Code::NotFound);
}

#[tokio::test]
async fn rows_that_are_wrong_are_named() {
    let world = World::new();
    let mut rows = acme();
    rows.push(row(Kind::User(User { id: "x".into(), email: "x".into(), ..User::default() })));
    rows.push(row(Kind::Membership(Membership { group: "risk".into(), member: "user:nobody".into() })));
    assert_eq!(fields(apply(&world, header(), rows).await), ["rows[17].user.email", "rows"]);
    let mut rows = acme();
    rows.push(row(Kind::SeparationConstraint(SeparationConstraint::default())));
    assert_eq!(refused(apply(&world, header(), rows).await), (Code::InvalidArgument, "INVALID_REQUEST".into()));
    // What is watched or logged only.
    let mut rows = acme();
    rows.push(row(Kind::EmergencyActivation(EmergencyActivation::default())));
    rows.push(row(Kind::Credential(Credential::default())));
    let names = ["rows[17].emergency_activation", "rows[18].credential"];
    assert_eq!(fields(apply(&world, header(), rows).await), names);
    let mut rows = acme();
    rows.push(rows[0].clone());
    rows.push(rows[5].clone());
    assert_eq!(refused(apply(&world, header(), rows).await).0, Code::InvalidArgument);
    let missing = ApplyHeader { create_if_missing: false, ..header() };
    assert_eq!(refused(apply(&world, missing, acme()).await), (Code::NotFound, "UNKNOWN_ORGANIZATION".into()));
    let other = ApplyHeader { organization: "globex".into(), ..header() };
    assert_eq!(refused(apply(&world, other, acme()).await).0, Code::InvalidArgument);
}

#[tokio::test]
async fn users_without_a_row_are_an_error_or_deactivated() {
    let world = World::new();
    let dry = ok(apply(&world, ApplyHeader { validate_only: true, ..header() }, acme()).await);
    assert_eq!((dry.revision.unwrap().number, dry.created), (0, 20));
    let first = ok(apply(&world, header(), acme()).await);
    let mut rows = acme();
    rows.retain(|r| !matches!(&r.kind, Some(Kind::User(u)) if u.id == "bo"));
    rows.retain(|r| !matches!(&r.kind, Some(Kind::Grant(_) | Kind::Relation(_))));
    assert_eq!(
        refused(apply(&world, header(), rows.clone()).await),
        (Code::FailedPrecondition, "NEVER_REMOVED".into())
    );
    let deactivate = ApplyHeader { deactivate_missing_users: true, ..header() };
    let stale = Revision { number: 7, ..first.revision.clone().unwrap() };
    let moved = ApplyHeader { expected_revision: Some(stale), ..deactivate.clone() };
    assert_eq!(refused(apply(&world, moved, rows.clone()).await), (Code::Aborted, "REVISION_MISMATCH".into()));
    let expected = ApplyHeader { expected_revision: first.revision, request_id: "once".into(), ..deactivate };
    let done = ok(apply(&world, expected.clone(), rows.clone()).await);
    assert_eq!((done.users_deactivated, done.updated, done.deleted), (1, 1, 3));
    // A retry gets the first reply, however the rows are cut; with other rows it is refused.
    assert_eq!(ok(apply_cut(&world, expected.clone(), rows.clone(), 5).await), done);
    rows.pop();
    assert_eq!(refused(apply(&world, expected, rows).await).0, Code::InvalidArgument);
}
