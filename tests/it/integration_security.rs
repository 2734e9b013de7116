//! Who sees the security pages and the activity log of the integration platform: permissions like others, that each
//! organization gives as it likes.

use doorward::service::proto as pb;
use doorward::service::proto::activity_service_client::ActivityServiceClient;
use doorward::service::proto::credential_service_client::CredentialServiceClient;
use doorward::service::proto::decision_service_client::DecisionServiceClient;
use doorward::service::proto::organization_service_client::OrganizationServiceClient;
use doorward::service::proto::role_service_client::RoleServiceClient;
use doorward::service::proto::user_service_client::UserServiceClient;
use tonic::Request;

use crate::integration::{Platform, at, edit_role, outcome};
use crate::wire::{Running, Wire, create_user, token, user};

/// What of the pages and the log somebody sees: `Roles`, `Assignments` of all and of an account, settings of the
/// `Organization`, and the activity `Log`; and how many entries of it.
async fn sees(platform: &Platform, who: &str, secret: &str) -> (String, usize) {
    fn by<M>(platform: &Platform, who: &str, secret: &str, message: M) -> Request<M> {
        if !secret.is_empty() {
            let mut request = Request::new(message);
            request.metadata_mut().insert("authorization", format!("Bearer {secret}").parse().unwrap());
            return request;
        }
        platform.by(who, message)
    }
    let acme = || "acme".to_owned();
    let mut roles = platform.roles();
    let request = pb::ListRolesRequest { organization: acme(), ..Default::default() };
    let mut all = vec![("roles", outcome(roles.list_roles(by(platform, who, secret, request)).await))];
    for (page, target) in [("assignments", None), ("assignments of emea", at("emea"))] {
        let request = pb::ListAssignmentsRequest { organization: acme(), target, ..Default::default() };
        all.push((page, outcome(roles.list_assignments(by(platform, who, secret, request)).await)));
    }
    let mut organizations = OrganizationServiceClient::new(platform.channel.clone());
    let request = pb::GetOrganizationRequest { organization: acme(), ..Default::default() };
    all.push(("settings", outcome(organizations.get_organization(by(platform, who, secret, request)).await)));
    let mut activity = ActivityServiceClient::new(platform.channel.clone());
    let request = pb::ListActivityRequest { organization: acme(), page_size: 1_000, ..Default::default() };
    let log = activity.list_activity(by(platform, who, secret, request)).await;
    let entries = log.as_ref().map_or(0, |log| log.get_ref().entries.len());
    all.push(("log", outcome(log)));
    let ok = |(page, said): (&'static str, String)| {
        assert!(said == "ok" || said == "PERMISSION_DENIED", "{who}, {page}: {said}");
        (said == "ok").then_some(page)
    };
    (all.into_iter().filter_map(ok).collect::<Vec<_>>().join(", "), entries)
}

async fn shipped(wire: &Wire, organization: &str) -> Vec<pb::Role> {
    let request = pb::ListRolesRequest { organization: organization.into(), ..Default::default() };
    RoleServiceClient::new(wire.clone()).list_roles(request).await.unwrap().into_inner().roles
}

#[tokio::test]
async fn m3_6_who_sees_the_security_pages_and_the_log_is_each_organizations_to_say() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let platform = Platform::new(&server, server.with(Some(&token(dir.path()))).await).await;
    let operator = &platform.operator;
    let request = pb::CreateCredentialRequest {
        organization: "acme".into(),
        service_account: "api".into(),
        ..Default::default()
    };
    let credential = CredentialServiceClient::new(operator.clone()).create_credential(request).await.unwrap();
    let api = credential.into_inner().secret;
    // Another organization of the same product, with somebody in a second account.
    let globe = pb::Organization { id: "globe".into(), preset: pb::Preset::Integration.into(), ..Default::default() };
    let request = pb::CreateOrganizationRequest { organization: Some(globe), ..Default::default() };
    let mut organizations = OrganizationServiceClient::new(operator.clone());
    organizations.create_organization(request).await.unwrap();
    let account = Some(pb::Account { id: "emea".into(), ..Default::default() });
    let request = pb::CreateAccountRequest { organization: "globe".into(), account, ..Default::default() };
    organizations.create_account(request).await.unwrap();
    create_user(operator, "globe", pb::User { account: "emea".into(), ..user("zoe", "zoe@globe.io") }).await.unwrap();
    // Something of each account for the log.
    let mut users = UserServiceClient::new(operator.clone());
    for id in ["lou", "kim"] {
        let user = Some(pb::User { id: id.into(), first_name: "New".into(), ..Default::default() });
        let request = pb::UpdateUserRequest { organization: "acme".into(), user, ..Default::default() };
        users.update_user(request).await.unwrap();
    }

    let everything = "roles, assignments, assignments of emea, settings, log";
    // What is refused is in the log, too, so that it grows from one to the next.
    let (olga, all) = sees(&platform, "olga", "").await;
    assert_eq!(olga, everything, "as shipped, the organization administrator");
    let (pia, entries) = sees(&platform, "pia", "").await;
    assert_eq!(pia, "log", "a user of the default account");
    assert!(entries >= all, "the whole log: {entries} of {all}");
    let (ada, entries) = sees(&platform, "ada", "").await;
    assert_eq!(ada, "assignments of emea, log", "the account administrator");
    assert!((1..all).contains(&entries), "of the account: {entries} of {all}");
    assert_eq!(sees(&platform, "ina", "").await, (String::new(), 0), "the specialist of another account");
    assert_eq!(sees(&platform, "", &api).await, (String::new(), 0), "the API user");

    // Their organization gives its users other pages, and all accounts' users the log.
    let before = shipped(operator, "globe").await;
    let mut roles = platform.roles();
    for (id, permissions) in [
        ("org", &["elements.read", "roles.read", "organization.read"][..]),
        ("default-user", &["elements.read", "activity.read"][..]),
    ] {
        assert_eq!(
            outcome(roles.update_role(platform.by("ada", edit_role(id, permissions))).await),
            "PERMISSION_DENIED"
        );
        assert_eq!(outcome(roles.update_role(platform.by("olga", edit_role(id, permissions))).await), "ok");
    }
    let (olga, all) = sees(&platform, "olga", "").await;
    assert_eq!(olga, everything);
    assert_eq!(sees(&platform, "pia", "").await.0, "roles, assignments, assignments of emea, settings");
    assert_eq!(sees(&platform, "ada", "").await.0, "assignments of emea, log");
    let (ina, entries) = sees(&platform, "ina", "").await;
    assert_eq!(ina, "log");
    assert!((1..all).contains(&entries), "of her account: {entries}");
    assert_eq!(sees(&platform, "", &api).await.0, "log");

    // The other organization stays as shipped, in what is listed and in what is decided.
    let after = shipped(operator, "globe").await;
    assert_eq!(after, before);
    let of = |roles: &[pb::Role], id: &str| roles.iter().find(|role| role.id == id).unwrap().permissions.clone();
    assert_ne!(of(&after, "default-user"), of(&shipped(operator, "acme").await, "default-user"));
    assert!(of(&after, "org").contains(&"activity.read".to_owned()));
    assert!(!of(&after, "default-user").contains(&"activity.read".to_owned()));
    let mut decisions = DecisionServiceClient::new(operator.clone());
    for (organization, who, permission, expected) in [
        ("globe", "user:zoe", "formula_templates.run", pb::Decision::Allow),
        ("globe", "user:zoe", "activity.read", pb::Decision::Deny),
        ("acme", "user:kim", "formula_templates.run", pb::Decision::Deny),
        ("acme", "user:kim", "activity.read", pb::Decision::Allow),
    ] {
        let request = pb::AuthorizeRequest {
            organization: organization.into(),
            principal: who.into(),
            permission: permission.into(),
            resource: Some(pb::Resource { account: "emea".into(), ..Default::default() }),
            ..Default::default()
        };
        let decided = decisions.authorize(request).await.unwrap().into_inner();
        assert_eq!(decided.decision(), expected, "{organization}, {who}, {permission}");
    }
    server.stop().await;
}
