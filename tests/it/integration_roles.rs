//! The roles of the integration platform, as its operators ask for them: what a user has, by rule too.

use doorward::service::proto as pb;
use doorward::service::proto::decision_service_client::DecisionServiceClient;
use doorward::service::proto::organization_service_client::OrganizationServiceClient;
use doorward::service::proto::role_service_client::RoleServiceClient;
use doorward::service::proto::user_service_client::UserServiceClient;
use tonic::Code;

use crate::integration::{Platform, assign, at, edit_role, moved, outcome};
use crate::wire::{Running, Wire, fields, token};

type Roles = RoleServiceClient<Wire>;

fn of(member: &str) -> pb::ListAssignmentsRequest {
    pb::ListAssignmentsRequest { organization: "acme".into(), member: member.into(), ..Default::default() }
}

/// A line an assignment: role, account, how it came about.
async fn list(roles: &mut Roles, asked: pb::ListAssignmentsRequest) -> Vec<String> {
    let all = roles.list_assignments(asked).await.unwrap().into_inner().assignments;
    let line = |a: pb::Assignment| {
        assert_eq!(a.by_rule, a.etag.is_empty(), "an etag is of a row");
        assert!(!a.by_rule || (a.period.is_none() && !a.by_hand), "{a:?}");
        let account = a.target.map_or_else(String::new, |target| format!(" at {}", target.account));
        let how = match (a.by_rule, a.by_hand) {
            (true, _) => " by rule",
            (false, true) => " by hand",
            (false, false) => "",
        };
        format!("{}{account}{how}", a.role)
    };
    all.into_iter().map(line).collect()
}

#[tokio::test]
async fn m3_6_the_list_of_a_users_roles_has_the_one_given_by_rule() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let platform = Platform::new(&server, server.with(Some(&token(dir.path()))).await).await;
    let mut users = UserServiceClient::new(platform.operator.clone());
    let roles = &mut RoleServiceClient::new(platform.operator.clone());

    // Before, while and after one is given by hand.
    assert_eq!(list(roles, of("user:lou")).await, ["org by rule"]);
    assert_eq!(list(roles, of("user:kim")).await, ["default-user at emea by rule"]);
    assert_eq!(list(roles, of("user:ada")).await, ["admin at emea by hand", "default-user at emea by rule"]);
    roles.create_assignment(assign("org", "user:lou", "")).await.unwrap();
    assert_eq!(list(roles, of("user:lou")).await, ["org by hand"]);
    users.update_user(moved("lou", "emea")).await.unwrap();
    assert_eq!(list(roles, of("user:lou")).await, ["org by hand"], "remembered");
    let delete = |role: &str, member: &str, account: &str| pb::DeleteAssignmentRequest {
        organization: "acme".into(),
        role: role.into(),
        member: member.into(),
        target: at(account),
        ..Default::default()
    };
    roles.delete_assignment(delete("org", "user:lou", "")).await.unwrap();
    assert_eq!(list(roles, of("user:lou")).await, ["default-user at emea by rule"]);
    // After a move.
    users.update_user(moved("lou", "main")).await.unwrap();
    assert_eq!(list(roles, of("user:lou")).await, ["org by rule"]);

    // A role that was edited is given like one that was not, and gives what it says now.
    let question = pb::AuthorizeRequest {
        organization: "acme".into(),
        principal: "user:kim".into(),
        permission: "elements.read".into(),
        resource: Some(pb::Resource { account: "emea".into(), object: "sap".into(), ..Default::default() }),
        ..Default::default()
    };
    let mut decisions = DecisionServiceClient::new(platform.operator.clone());
    let mut reads = async || decisions.authorize(question.clone()).await.unwrap().into_inner().decision();
    assert_eq!(reads().await, pb::Decision::Allow);
    roles.update_role(edit_role("default-user", &["formula_templates.read"])).await.unwrap();
    assert_eq!(list(roles, of("user:kim")).await, ["default-user at emea by rule"]);
    assert_eq!(reads().await, pb::Decision::Deny);

    // The filters hold for it, too.
    let narrowed = |role: &str, target: Option<pb::Target>| pb::ListAssignmentsRequest {
        role: role.into(),
        target,
        in_effect_only: true,
        ..of("user:ada")
    };
    assert_eq!(list(roles, narrowed("", None)).await.len(), 2, "always in effect");
    assert_eq!(list(roles, narrowed("default-user", None)).await, ["default-user at emea by rule"]);
    assert_eq!(list(roles, narrowed("org", None)).await, [""; 0]);
    assert_eq!(list(roles, narrowed("default-user", at("emea"))).await, ["default-user at emea by rule"]);
    assert_eq!(list(roles, narrowed("", at("main"))).await, [""; 0]);
    assert_eq!(list(roles, narrowed("", Some(pb::Target::default()))).await, [""; 0], "the organization itself");
    assert_eq!(list(roles, of("service:api")).await, ["default-user at emea by hand"]);
    assert_eq!(list(roles, of("user:nobody")).await, [""; 0]);
    assert!(list(roles, of("")).await.iter().all(|line| !line.ends_with("by rule")), "of one user only");
    let first = pb::ListAssignmentsRequest { page_size: 1, ..of("user:ada") };
    let page = roles.list_assignments(first.clone()).await.unwrap().into_inner();
    assert_eq!(page.assignments[0].role, "admin");
    let second = pb::ListAssignmentsRequest { page_token: page.next_page_token, ..first };
    assert_eq!(list(roles, second).await, ["default-user at emea by rule"]);

    // It is nobody's to write, and no row.
    let mut given = assign("default-user", "user:kim", "emea").assignment.unwrap();
    given.by_rule = true;
    let create = pb::CreateAssignmentRequest {
        organization: "acme".into(),
        assignment: Some(given.clone()),
        ..Default::default()
    };
    let status = roles.create_assignment(create).await.unwrap_err();
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["assignment.by_rule".to_owned()]));
    let period = Some(pb::Period {
        expires_at: Some(prost_types::Timestamp { seconds: 1 << 33, nanos: 0 }),
        ..Default::default()
    });
    let mut update = pb::UpdateAssignmentRequest {
        organization: "acme".into(),
        assignment: Some(pb::Assignment { period, ..given.clone() }),
        ..Default::default()
    };
    assert_eq!(fields(&roles.update_assignment(update.clone()).await.unwrap_err()), ["assignment.by_rule"]);
    update.assignment.as_mut().unwrap().by_rule = false;
    assert_eq!(outcome(roles.update_assignment(update).await), "NOT_FOUND");
    assert_eq!(outcome(roles.delete_assignment(delete("default-user", "user:kim", "emea")).await), "NOT_FOUND");
    let get = pb::GetAssignmentRequest {
        organization: "acme".into(),
        role: given.role.clone(),
        member: given.member.clone(),
        target: given.target.clone(),
        ..Default::default()
    };
    assert_eq!(outcome(roles.get_assignment(get).await), "NOT_FOUND");

    // An export has none; a file with one is refused whole.
    let mut organizations = OrganizationServiceClient::new(platform.operator.clone());
    let request = pb::ExportOrganizationRequest { organization: "acme".into(), min_revision: None };
    let mut stream = organizations.export_organization(request).await.unwrap().into_inner();
    let mut rows = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        rows.extend(message.rows);
    }
    use pb::row::Kind;
    let held = |row: &pb::Row| if let Some(Kind::Assignment(a)) = &row.kind { Some(a.by_rule) } else { None };
    assert_eq!(rows.iter().filter_map(held).collect::<Vec<_>>(), [false; 5]);
    let before = list(roles, of("")).await;
    let at_fault = rows.len();
    rows.push(pb::Row { kind: Some(Kind::Assignment(given)) });
    use pb::apply_organization_request::Part;
    let header = pb::ApplyHeader { organization: "acme".into(), ..Default::default() };
    let end = pb::ApplyEnd { row_count: rows.len() as u64 };
    let parts = [Part::Header(header), Part::Rows(pb::RowBatch { rows }), Part::End(end)];
    let parts = parts.map(|part| pb::ApplyOrganizationRequest { part: Some(part) });
    let status = organizations.apply_organization(tokio_stream::iter(parts)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(fields(&status), [format!("rows[{at_fault}].assignment.by_rule")]);
    assert_eq!(list(roles, of("")).await, before);
    server.stop().await;
}
