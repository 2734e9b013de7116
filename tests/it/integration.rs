//! The integration platform: four people of two accounts, told as its operators would tell it.

use doorward::core::change::{Change, apply};
use doorward::core::decision::{Question, Reason, Record, Resource, decide};
use doorward::core::explain::explain;
use doorward::core::table::Table;
use doorward::service::proto as pb;
use doorward::service::proto::credential_service_client::CredentialServiceClient;
use doorward::service::proto::data_access_service_client::DataAccessServiceClient;
use doorward::service::proto::decision_service_client::DecisionServiceClient;
use doorward::service::proto::element_list_service_client::ElementListServiceClient;
use doorward::service::proto::organization_service_client::OrganizationServiceClient;
use doorward::service::proto::role_service_client::RoleServiceClient;
use doorward::service::proto::user_service_client::UserServiceClient;
use serde_json::{Value, json};
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::support::{filter, rows, table};
use crate::wire::{Running, Wire, fields, reason, token, user};

const NOW: i64 = 1_795_348_800_000;

/// Accounts `main` and `emea`; Pia is a power user, Ada administers `emea`, Ina builds integrations there,
/// `api` is a program, Olga administers the organization.
pub fn platform(roles: Value) -> Value {
    let mut all = vec![
        json!({"id": "power", "scope": "account",
               "permissions": ["elements.*", "element_instances.view_account", "element_instances.use_account"]}),
        json!({"id": "specialist", "scope": "account",
               "permissions": ["elements.*", "formula_templates.*", "element_instances.view_account",
                               "element_instances.use_account", "element_instances.edit_account"]}),
    ];
    all.extend(roles.as_array().unwrap().iter().cloned());
    json!({
        "organization": "acme",
        "preset": "integration",
        "settings": {"invite_policy": {"mode": "any_domain"}},
        "accounts": [{"id": "main", "default": true}, {"id": "emea"}],
        "objects": [{"id": "salesforce", "kind": "element"}, {"id": "sap", "kind": "element"},
                    {"id": "own-crm", "kind": "element", "private_to": "account:emea"}],
        "users": [
            {"id": "olga", "email": "olga@acme.com"},
            {"id": "pia", "email": "pia@acme.com"},
            {"id": "lou", "email": "lou@acme.com"},
            {"id": "ada", "email": "ada@acme.com", "account": "emea"},
            {"id": "ina", "email": "ina@acme.com", "account": "emea"},
            {"id": "kim", "email": "kim@acme.com", "account": "emea"},
        ],
        "service_accounts": [{"id": "api", "account": "emea"}],
        "roles": all,
        "assignments": [
            {"role": "org-admin", "member": "user:olga"},
            {"role": "power", "member": "user:pia", "account": "main"},
            {"role": "admin", "member": "user:ada", "account": "emea"},
            {"role": "specialist", "member": "user:ina", "account": "emea"},
            {"role": "default-user", "member": "service:api", "account": "emea", "by_hand": true},
        ],
    })
}

/// What somebody may do with instances of Salesforce: its own, others' of its account, those of another account.
/// A letter for each of view, use, edit, delete.
fn instances(table: &Table, who: &str) -> [String; 3] {
    let (home, away) = if ["pia", "olga"].contains(&who) { ("main", "emea") } else { ("emea", "main") };
    let neighbour = if home == "main" { "lou" } else { "kim" };
    let stranger = if home == "main" { "kim" } else { "lou" };
    let record = |id, owner, account| Record { id, owner, account, ..Record::default() };
    let records = [record("own", who, home), record("same", neighbour, home), record("other", stranger, away)];
    let mut may = [String::new(), String::new(), String::new()];
    for verb in ["view", "use", "edit", "delete"] {
        let permission = format!("element_instances.{verb}");
        let resource = Resource { object: "salesforce", ..Resource::default() };
        let question = Question { principal: who, permission: &permission, resource, ..Question::default() };
        // A mixed list at once says the same as each by itself, and so does the explanation.
        let passed = filter(table, &question, records.iter().copied(), NOW).unwrap().positions;
        for (at, record) in (0u32..).zip(records) {
            let resource = Resource { record: Some(record), ..resource };
            let one = Question { resource, ..question };
            let decided = decide(table, &one, NOW).unwrap();
            assert_eq!(decided == Reason::Allowed, passed.contains(&at), "{who}, {permission}, {}", record.id);
            let explained = explain(table, &one, NOW, 5).unwrap();
            assert_eq!(explained.reason, decided, "{who}, {permission}, {}", record.id);
            let twin = if at == 0 { permission.clone() } else { format!("{permission}_account") };
            assert_eq!(explained.asked.as_str(), twin, "rule 4.6");
            let letter = verb.chars().next().unwrap().to_ascii_uppercase();
            may[at as usize].push(if decided == Reason::Allowed { letter } else { '-' });
        }
    }
    may
}

#[test]
fn m4_6_instances_are_ones_own_the_accounts_or_the_organizations() {
    let before = table(&platform(json!([])));
    assert_eq!(instances(&before, "pia"), ["VUED", "VU--", "----"], "the power user of the default account");
    assert_eq!(instances(&before, "ada"), ["VUED", "VUED", "----"], "the account administrator");
    assert_eq!(instances(&before, "ina"), ["VUED", "VUE-", "----"], "the integration specialist");
    assert_eq!(instances(&before, "service:api"), ["VUED", "----", "----"], "the API user");
    assert_eq!(instances(&before, "olga"), ["VUED", "VUED", "VUED"], "only who holds it at the organization");

    // What the roles given by rule contain is the organization's to edit: users may see what is their
    // account's, and nobody deletes by rule any more.
    let edited = json!([
        {"id": "default-user", "permissions": ["elements.read", "element_instances.view", "element_instances.use",
            "element_instances.edit", "element_instances.view_account"]},
        {"id": "org", "permissions": ["elements.read", "element_instances.view"]},
    ]);
    let file = platform(edited);
    let replace = |file: &Value| vec![Change::Replace { rows: rows(file), deactivate_missing: false }];
    let after = apply(&before, replace(&file)).unwrap().table;
    assert_eq!(instances(&after, "pia"), ["V---", "VU--", "----"]);
    assert_eq!(instances(&after, "ada"), ["VUED", "VUED", "----"]);
    assert_eq!(instances(&after, "ina"), ["VUE-", "VUE-", "----"]);
    assert_eq!(instances(&after, "service:api"), ["VUE-", "V---", "----"]);
    let again = apply(&after, replace(&platform(json!([])))).unwrap().table;
    assert_eq!(instances(&again, "ina"), instances(&before, "ina"), "as shipped, once the file says nothing of them");
}

#[test]
fn m4_6_a_role_at_another_account_acts_there_as_it_says_and_stays_when_its_holder_moves() {
    // What somebody may do with an instance of that owner in that account: a letter for each verb.
    let may = |table: &Table, who: &str, owner: &str, account: &str| {
        let letter = |verb: &str| {
            let record = Record { id: "r", owner, account, ..Record::default() };
            let resource = Resource { object: "salesforce", record: Some(record), ..Resource::default() };
            let permission = format!("element_instances.{verb}");
            let question = Question { principal: who, permission: &permission, resource, ..Question::default() };
            let allowed = decide(table, &question, NOW).unwrap() == Reason::Allowed;
            if allowed { verb.chars().next().unwrap().to_ascii_uppercase() } else { '-' }
        };
        ["view", "use", "edit", "delete"].map(letter).iter().collect::<String>()
    };
    let mut file = platform(json!([]));
    let elsewhere = json!({"role": "specialist", "member": "user:lou", "account": "emea"});
    file["assignments"].as_array_mut().unwrap().push(elsewhere);
    let before = table(&file);
    let lou = |table: &Table| [("kim", "emea"), ("lou", "emea"), ("pia", "main")].map(|(o, a)| may(table, "lou", o, a));
    // The twin is held at the account of the record, whosever account that is; on what is theirs, `org` counts.
    assert_eq!(lou(&before), ["VUE-", "VUED", "----"]);
    // Rule 3.4: an assignment is the administrator's. It stays at its account when its holder moves out of it, or in.
    for (user, account) in [(2, "emea"), (4, "main")] {
        file["users"][user]["account"] = json!(account);
    }
    let changes = vec![Change::Replace { rows: rows(&file), deactivate_missing: false }];
    let after = apply(&before, changes).unwrap().table;
    assert_eq!(lou(&after), ["VUE-", "VUED", "----"], "Lou moved in");
    let ina = |table: &Table| [("kim", "emea"), ("ina", "main"), ("pia", "main")].map(|(o, a)| may(table, "ina", o, a));
    assert_eq!(ina(&before), ["VUE-", "----", "----"]);
    assert_eq!(ina(&after), ["VUE-", "VUED", "----"], "Ina moved out");
}

#[test]
fn m3_6_bad_files_are_refused_and_nothing_changes() {
    let before = table(&platform(json!([])));
    let refused = |edit: &dyn Fn(&mut Value)| {
        let mut file = platform(json!([]));
        edit(&mut file);
        let rows = match crate::support::parsed(&file) {
            Ok(file) => file.rows,
            Err(errors) => return errors.to_string(),
        };
        match apply(&before, vec![Change::Replace { rows, deactivate_missing: false }]) {
            Err(doorward::core::change::ChangeError::Violations(v)) => v[0].fault.reason().to_owned(),
            other => panic!("{:?}", other.map(|applied| applied.effects)),
        }
    };
    let second = |file: &mut Value| file["accounts"][1]["default"] = true.into();
    assert!(refused(&second).contains("default"), "{}", refused(&second));
    let gone = |file: &mut Value| drop(file["accounts"].as_array_mut().unwrap().remove(0));
    assert!(refused(&gone).contains("default"), "{}", refused(&gone));
    assert_eq!(refused(&|file| file["users"][0]["account"] = "emea".into()), "MISPLACED", "the last administrator");
    assert!(refused(&|file| file["element_safelist"] = json!(["nothing"])).contains("unknown object `nothing`"));
    let to_group = |file: &mut Value| {
        file["groups"] = json!([{"id": "g", "kind": "manual"}]);
        file["assignments"][0]["member"] = "group:g".into();
    };
    assert_eq!(refused(&to_group), "MISPLACED");
    assert_eq!(refused(&|file| file["assignments"][0]["member"] = "service:api".into()), "MISPLACED");
}

/// A backend that is trusted to act for users, and the operator.
pub struct Platform {
    pub channel: Channel,
    pub operator: Wire,
    backend: String,
}

pub fn outcome<T>(result: Result<Response<T>, Status>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(status) => reason(&status),
    }
}

pub const NO: &str = "PERMISSION_DENIED";

impl Platform {
    pub async fn new(server: &Running, operator: Wire) -> Self {
        let messages = rows(&platform(json!([]))).into_iter();
        let organization = "acme".parse().unwrap();
        let rows: Vec<pb::Row> = messages.flat_map(|row| doorward::service::messages(&organization, &row)).collect();
        use pb::apply_organization_request::Part;
        let header = pb::ApplyHeader { organization: "acme".into(), create_if_missing: true, ..Default::default() };
        let end = pb::ApplyEnd { row_count: rows.len() as u64 };
        let parts = [Part::Header(header), Part::Rows(pb::RowBatch { rows }), Part::End(end)];
        let parts = parts.map(|part| pb::ApplyOrganizationRequest { part: Some(part) });
        let mut organizations = OrganizationServiceClient::new(operator.clone());
        organizations.apply_organization(tokio_stream::iter(parts)).await.unwrap();
        let mut credentials = CredentialServiceClient::new(operator.clone());
        let service_account = Some(pb::ServiceAccount { id: "portal".into(), ..Default::default() });
        let request =
            pb::CreateServiceAccountRequest { organization: "acme".into(), service_account, ..Default::default() };
        credentials.create_service_account(request).await.unwrap();
        let request = pb::CreateCredentialRequest {
            organization: "acme".into(),
            service_account: "portal".into(),
            acts_for_users: true,
            ..Default::default()
        };
        let backend = credentials.create_credential(request).await.unwrap().into_inner().secret;
        Self { channel: server.channel().await, operator, backend }
    }

    pub fn by<M>(&self, who: &str, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.backend).parse().unwrap());
        request.metadata_mut().insert("x-doorward-on-behalf-of", format!("user:{who}").parse().unwrap());
        request
    }

    pub fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel.clone())
    }

    pub fn roles(&self) -> RoleServiceClient<Channel> {
        RoleServiceClient::new(self.channel.clone())
    }

    pub fn lists(&self) -> ElementListServiceClient<Channel> {
        ElementListServiceClient::new(self.channel.clone())
    }
}

pub fn renamed(id: &str) -> pb::UpdateUserRequest {
    let user = Some(pb::User { id: id.into(), first_name: "New".into(), ..Default::default() });
    pb::UpdateUserRequest { organization: "acme".into(), user, ..Default::default() }
}

pub fn moved(id: &str, account: &str) -> pb::UpdateUserRequest {
    let user = Some(pb::User { id: id.into(), account: account.into(), ..Default::default() });
    let update_mask = Some(prost_types::FieldMask { paths: vec!["account".into()] });
    pb::UpdateUserRequest { organization: "acme".into(), user, update_mask, ..Default::default() }
}

pub fn at(account: &str) -> Option<pb::Target> {
    (!account.is_empty()).then(|| pb::Target { account: account.into(), ..Default::default() })
}

pub fn assign(role: &str, member: &str, account: &str) -> pb::CreateAssignmentRequest {
    let assignment =
        Some(pb::Assignment { role: role.into(), member: member.into(), target: at(account), ..Default::default() });
    pb::CreateAssignmentRequest { organization: "acme".into(), assignment, ..Default::default() }
}

pub fn edit_role(id: &str, permissions: &[&str]) -> pb::UpdateRoleRequest {
    let permissions = permissions.iter().map(ToString::to_string).collect();
    let role = Some(pb::Role { id: id.into(), permissions, ..Default::default() });
    pb::UpdateRoleRequest { organization: "acme".into(), role, ..Default::default() }
}

fn safelist(elements: &[&str]) -> pb::UpdateSafelistRequest {
    let elements = elements.iter().map(ToString::to_string).collect();
    pb::UpdateSafelistRequest { organization: "acme".into(), elements, ..Default::default() }
}

pub fn summaries(changes: &[pb::Change]) -> Vec<&str> {
    changes.iter().map(|change| change.summary.as_str()).collect()
}

#[tokio::test]
async fn m3_6_an_account_administrator_acts_in_that_account_and_sets_no_rules() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let platform = Platform::new(&server, server.with(Some(&token(dir.path()))).await).await;
    let (mut users, mut roles, mut lists) = (platform.users(), platform.roles(), platform.lists());
    let mut organizations = OrganizationServiceClient::new(platform.channel.clone());

    assert_eq!(outcome(users.update_user(platform.by("ada", renamed("ina"))).await), "ok");
    assert_eq!(outcome(users.update_user(platform.by("ada", renamed("pia"))).await), NO);
    assert_eq!(outcome(users.update_user(platform.by("ada", moved("ina", "main"))).await), NO);
    let invite = |id: &str, account: &str| pb::InviteUserRequest {
        organization: "acme".into(),
        user: Some(pb::User { account: account.into(), ..user(id, &format!("{id}@acme.com")) }),
        ..Default::default()
    };
    assert_eq!(outcome(users.invite_user(platform.by("ada", invite("new", "emea"))).await), "ok");
    assert_eq!(outcome(users.invite_user(platform.by("ada", invite("else", "main"))).await), NO);
    assert_eq!(outcome(roles.create_assignment(platform.by("ada", assign("admin", "user:kim", "emea"))).await), "ok");
    assert_eq!(outcome(roles.create_assignment(platform.by("ada", assign("admin", "user:kim", "main"))).await), NO);
    assert_eq!(outcome(roles.create_assignment(platform.by("ada", assign("org", "user:kim", ""))).await), NO);
    // What she assigns in her account to a user of another leaves that one what the rule gives there.
    let assigned = roles.create_assignment(platform.by("ada", assign("default-user", "user:lou", "emea"))).await;
    assert_eq!(
        summaries(&assigned.unwrap().into_inner().changes),
        ["create assignment of role `default-user` to `user:lou` at account `emea`"]
    );
    let of_lou =
        pb::ListAssignmentsRequest { organization: "acme".into(), member: "user:lou".into(), ..Default::default() };
    let held = RoleServiceClient::new(platform.operator.clone())
        .list_assignments(of_lou)
        .await
        .unwrap()
        .into_inner()
        .assignments;
    let held: Vec<(&str, bool)> = held.iter().map(|a| (a.role.as_str(), a.by_rule)).collect();
    assert_eq!(held, [("default-user", false), ("org", true)]);
    let mut decisions = DecisionServiceClient::new(platform.operator.clone());
    let question = pb::AuthorizeRequest {
        organization: "acme".into(),
        principal: "user:lou".into(),
        permission: "formula_templates.read".into(),
        ..Default::default()
    };
    let decided = decisions.authorize(question).await.unwrap().into_inner();
    assert_eq!(decided.decision(), pb::Decision::Allow, "by `org`, at the organization");
    let account = Some(pb::Account { id: "apac".into(), ..Default::default() });
    let create = pb::CreateAccountRequest { organization: "acme".into(), account, ..Default::default() };
    assert_eq!(outcome(organizations.create_account(platform.by("ada", create.clone())).await), NO);
    let account = Some(pb::Account { id: "emea".into(), default: true, ..Default::default() });
    let update_mask = Some(prost_types::FieldMask { paths: vec!["default".into()] });
    let default = pb::UpdateAccountRequest { organization: "acme".into(), account, update_mask, ..Default::default() };
    assert_eq!(outcome(organizations.update_account(platform.by("ada", default)).await), NO);
    let delete = pb::DeleteAccountRequest { organization: "acme".into(), account: "emea".into(), ..Default::default() };
    assert_eq!(outcome(organizations.delete_account(platform.by("ada", delete)).await), NO);
    let acme = || pb::Organization { id: "acme".into(), ..Default::default() };
    let open = pb::InvitePolicy { mode: pb::InvitePolicyMode::AnyDomain.into(), ..Default::default() };
    let settings = pb::OrganizationSettings { invite_policy: Some(open), ..Default::default() };
    let domain = pb::EmailDomain { domain: "hers.io".into(), audience: pb::UserKind::Internal.into() };
    let level = pb::FieldType { scalar: pb::ScalarType::Int.into(), list: false };
    for (organization, path) in [
        (pb::Organization { display_name: "Hers".into(), ..acme() }, "display_name"),
        (pb::Organization { settings: Some(settings), ..acme() }, "settings.invite_policy"),
        (pb::Organization { email_domains: vec![domain], ..acme() }, "email_domains"),
        (pb::Organization { user_attributes: [("level".into(), level)].into(), ..acme() }, "user_attributes"),
        (pb::Organization { super_organization: "hers".into(), ..acme() }, "super_organization"),
    ] {
        let update_mask = Some(prost_types::FieldMask { paths: vec![path.into()] });
        let organization = Some(organization);
        let update = pb::UpdateOrganizationRequest { organization, update_mask, ..Default::default() };
        assert_eq!(outcome(organizations.update_organization(platform.by("ada", update)).await), NO, "{path}");
    }
    let everyone = pb::DataAccessPolicy {
        id: "everyone".into(),
        object: "sap".into(),
        effect: pb::PolicyEffect::Allow.into(),
        members: vec!["user:ada".into()],
        ..Default::default()
    };
    let create_policy =
        pb::CreatePolicyRequest { organization: "acme".into(), policy: Some(everyone), ..Default::default() };
    let mut policies = DataAccessServiceClient::new(platform.channel.clone());
    assert_eq!(outcome(policies.create_policy(platform.by("ada", create_policy.clone())).await), NO);
    let reads = ["elements.read"];
    assert_eq!(outcome(roles.update_role(platform.by("ada", edit_role("default-user", &reads))).await), NO);
    assert_eq!(outcome(lists.update_safelist(platform.by("ada", safelist(&["sap"]))).await), NO);
    for plain in ["ina", "pia"] {
        assert_eq!(outcome(users.update_user(platform.by(plain, renamed("kim"))).await), NO, "{plain}");
    }

    assert_eq!(outcome(policies.create_policy(platform.by("olga", create_policy)).await), "ok");
    assert_eq!(outcome(organizations.create_account(platform.by("olga", create)).await), "ok");
    assert_eq!(outcome(roles.update_role(platform.by("olga", edit_role("default-user", &reads))).await), "ok");
    assert_eq!(outcome(users.update_user(platform.by("olga", renamed("pia"))).await), "ok");
    server.stop().await;
}

#[tokio::test]
async fn m3_6_the_rule_follows_the_account_and_steps_back_and_the_reply_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let platform = Platform::new(&server, server.with(Some(&token(dir.path()))).await).await;
    let mut users = UserServiceClient::new(platform.operator.clone());
    let mut roles = RoleServiceClient::new(platform.operator.clone());

    // Moved to another account: another role by rule, there.
    let reply = users.update_user(moved("lou", "emea")).await.unwrap().into_inner();
    assert_eq!(
        summaries(&reply.changes),
        [
            "update user `lou`",
            "role `org` is given no longer by rule to user `lou` at the organization",
            "role `default-user` is given by rule to user `lou` at account `emea`",
        ]
    );
    // One of the two by hand: the rule steps back; taken away again, it is back.
    let reply = roles.create_assignment(assign("org", "user:lou", "")).await.unwrap().into_inner();
    assert!(reply.assignment.unwrap().by_hand);
    assert_eq!(
        summaries(&reply.changes),
        [
            "create assignment of role `org` to `user:lou` at the organization",
            "role `default-user` is given no longer by rule to user `lou` at account `emea`",
        ]
    );
    // It is remembered through another move: nothing is given by rule.
    let reply = users.update_user(moved("lou", "main")).await.unwrap().into_inner();
    assert_eq!(summaries(&reply.changes), ["update user `lou`"]);
    let list = |member: &str| pb::ListAssignmentsRequest {
        organization: "acme".into(),
        member: member.into(),
        ..Default::default()
    };
    let held = roles.list_assignments(list("user:lou")).await.unwrap().into_inner().assignments;
    assert_eq!(held.iter().map(|a| (a.role.as_str(), a.by_hand)).collect::<Vec<_>>(), [("org", true)]);
    let delete = pb::DeleteAssignmentRequest {
        organization: "acme".into(),
        role: "org".into(),
        member: "user:lou".into(),
        ..Default::default()
    };
    let dry = pb::DeleteAssignmentRequest { validate_only: true, ..delete.clone() };
    let expected = [
        "delete assignment of role `org` to `user:lou` at the organization",
        "role `org` is given by rule to user `lou` at the organization",
    ];
    assert_eq!(summaries(&roles.delete_assignment(dry).await.unwrap().into_inner().changes), expected);
    assert_eq!(summaries(&roles.delete_assignment(delete).await.unwrap().into_inner().changes), expected);
    let created = pb::CreateUserRequest {
        organization: "acme".into(),
        user: Some(pb::User { account: "emea".into(), ..user("zoe", "zoe@acme.com") }),
        ..Default::default()
    };
    let reply = users.create_user(created).await.unwrap().into_inner();
    assert_eq!(
        reply.changes.last().unwrap().summary,
        "role `default-user` is given by rule to user `zoe` at account `emea`"
    );

    // `org-admin` stays in the default account, and the default account is one.
    let moving = users.update_user(moved("olga", "emea")).await.unwrap_err();
    assert_eq!((moving.code(), reason(&moving).as_str()), (Code::InvalidArgument, "MISPLACED"));
    assert_eq!(outcome(roles.create_assignment(assign("org-admin", "user:kim", "")).await), "MISPLACED");
    let mut organizations = OrganizationServiceClient::new(platform.operator.clone());
    let remove = pb::DeleteAccountRequest { organization: "acme".into(), account: "main".into(), ..Default::default() };
    assert_eq!(outcome(organizations.delete_account(remove).await), "IN_USE");
    let account = Some(pb::Account { id: "emea".into(), default: true, ..Default::default() });
    let update = pb::UpdateAccountRequest { organization: "acme".into(), account, ..Default::default() };
    assert_eq!(outcome(organizations.update_account(update).await), "MISPLACED", "nor is it taken from under Olga");
    server.stop().await;
}

#[tokio::test]
async fn m7_2_the_lists_over_the_wire() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let platform = Platform::new(&server, server.with(Some(&token(dir.path()))).await).await;
    let mut lists = platform.lists();
    let mut operator = ElementListServiceClient::new(platform.operator.clone());
    let mut organizations = OrganizationServiceClient::new(platform.operator.clone());
    let sees = |who: &str| {
        let request = pb::ListElementsRequest {
            organization: "acme".into(),
            principal: who.into(),
            elements: ["salesforce", "sap", "own-crm", "unheard-of"].map(str::to_owned).into(),
            ..Default::default()
        };
        let mut decisions = DecisionServiceClient::new(platform.operator.clone());
        async move { decisions.list_elements(request).await.unwrap().into_inner().elements }
    };
    assert_eq!(sees("ina").await, ["salesforce", "sap", "own-crm", "unheard-of"], "no list closes anything");
    assert_eq!(sees("pia").await, ["salesforce", "sap", "unheard-of"], "private to another account");

    // Olga lists what her organization may see, for every account at once, private ones too.
    let get = || pb::GetSafelistRequest { organization: "acme".into(), ..Default::default() };
    let empty = lists.get_safelist(platform.by("olga", get())).await.unwrap().into_inner().safelist.unwrap();
    assert!(empty.elements.is_empty() && !empty.etag.is_empty());
    let reply =
        lists.update_safelist(platform.by("olga", safelist(&["sap", "salesforce"]))).await.unwrap().into_inner();
    assert_eq!(reply.safelist.as_ref().unwrap().elements, ["salesforce", "sap"]);
    assert_eq!(summaries(&reply.changes), ["create safelist entry `salesforce`", "create safelist entry `sap`"]);
    assert_eq!(
        (sees("ina").await, sees("olga").await),
        (vec!["salesforce".to_owned(), "sap".into()], vec!["salesforce".to_owned(), "sap".into()])
    );
    let stale = pb::UpdateSafelistRequest { etag: empty.etag.clone(), ..safelist(&["sap"]) };
    assert_eq!(outcome(lists.update_safelist(platform.by("olga", stale)).await), "ETAG_MISMATCH");
    let add = |element: &str| pb::AddSafelistElementsRequest {
        organization: "acme".into(),
        elements: vec![element.into(), "sap".into()],
        ..Default::default()
    };
    let added = lists.add_safelist_elements(platform.by("olga", add("own-crm"))).await.unwrap().into_inner();
    assert!(!added.was_empty && added.safelist.unwrap().elements.len() == 3);
    assert_eq!(sees("ina").await.len(), 3, "listed, and still hers alone");
    assert_eq!(sees("pia").await.len(), 2);
    let unknown = lists.add_safelist_elements(platform.by("olga", add("nothing"))).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::InvalidArgument, "UNKNOWN_REFERENCE"));
    let twice = lists.update_safelist(platform.by("olga", safelist(&["sap", "sap"]))).await.unwrap_err();
    assert_eq!(fields(&twice), ["elements[1]"]);
    assert_eq!(fields(&lists.update_safelist(platform.by("olga", safelist(&[]))).await.unwrap_err()), ["elements"]);

    // One by one, but not the last.
    let remove = |element: &str| pb::RemoveSafelistElementRequest {
        organization: "acme".into(),
        element: element.into(),
        ..Default::default()
    };
    for element in ["own-crm", "salesforce"] {
        lists.remove_safelist_element(platform.by("olga", remove(element))).await.unwrap();
    }
    assert_eq!(outcome(lists.remove_safelist_element(platform.by("olga", remove("salesforce"))).await), "NOT_FOUND");
    let last = lists.remove_safelist_element(platform.by("olga", remove("sap"))).await.unwrap_err();
    assert_eq!((last.code(), reason(&last).as_str()), (Code::FailedPrecondition, "LAST_LISTED"));
    // Nor by deleting the element itself: that would open all others.
    let delete =
        |id: &str| pb::DeleteObjectRequest { organization: "acme".into(), object: id.into(), ..Default::default() };
    assert_eq!(outcome(organizations.delete_object(delete("sap")).await), "LAST_LISTED");
    assert_eq!(sees("ina").await, ["sap"]);

    // A super-organization, for which only platform operators speak.
    let create = pb::CreateSuperOrganizationRequest {
        super_organization: Some(pb::SuperOrganization { id: "globex".into(), ..Default::default() }),
        ..Default::default()
    };
    let mut as_olga = OrganizationServiceClient::new(platform.channel.clone());
    assert_eq!(outcome(as_olga.create_super_organization(platform.by("olga", create.clone())).await), NO);
    let joining = |over: &str| pb::UpdateOrganizationRequest {
        organization: Some(pb::Organization {
            id: "acme".into(),
            super_organization: over.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert_eq!(outcome(organizations.update_organization(joining("globex")).await), "UNKNOWN_REFERENCE");
    organizations.create_super_organization(create).await.unwrap();
    assert_eq!(outcome(as_olga.update_organization(platform.by("olga", joining("globex"))).await), NO);
    organizations.update_organization(joining("globex")).await.unwrap();
    let denying = |elements: &[&str]| pb::AddDenylistElementsRequest {
        super_organization: "globex".into(),
        elements: elements.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    assert_eq!(outcome(lists.add_denylist_elements(platform.by("olga", denying(&["salesforce"]))).await), NO);
    let conflict = operator.add_denylist_elements(denying(&["salesforce", "sap"])).await.unwrap_err();
    assert_eq!((conflict.code(), reason(&conflict).as_str()), (Code::FailedPrecondition, "ELEMENT_LISTED"));
    assert_eq!(conflict.message(), "element `sap` is on the safelist of organization `acme`");
    let denied = operator.add_denylist_elements(denying(&["salesforce", "anything"])).await.unwrap().into_inner();
    assert_eq!(denied.denylist.unwrap().elements, ["anything", "salesforce"]);
    let conflict = lists.add_safelist_elements(platform.by("olga", add("salesforce"))).await.unwrap_err();
    assert!(conflict.message().contains("element `salesforce` is on the denylist of super-organization `globex`"));

    // Clearing is the explicit act, and says what it does.
    let clear = pb::ClearSafelistRequest { organization: "acme".into(), ..Default::default() };
    let cleared = lists.clear_safelist(platform.by("olga", clear)).await.unwrap().into_inner();
    assert_eq!((cleared.removed, cleared.all_elements_open), (1, true));
    assert_eq!(sees("ina").await, ["sap", "own-crm", "unheard-of"], "the denylist holds without a safelist");
    let question = |element: &str| pb::AuthorizeRequest {
        organization: "acme".into(),
        principal: "olga".into(),
        permission: "elements.read".into(),
        resource: Some(pb::Resource { object: element.into(), ..Default::default() }),
        ..Default::default()
    };
    let mut decisions = DecisionServiceClient::new(platform.operator.clone());
    let reply = decisions.authorize(question("salesforce")).await.unwrap().into_inner();
    assert_eq!(reply.reason(), pb::Reason::ElementNotListed);
    let explained = pb::ExplainRequest {
        organization: "acme".into(),
        principal: "olga".into(),
        permission: "elements.read".into(),
        resource: question("salesforce").resource,
        ..Default::default()
    };
    let explained = decisions.explain(explained).await.unwrap().into_inner();
    assert_eq!((explained.rule.as_str(), explained.reason()), ("4.4", pb::Reason::ElementNotListed));
    assert!(explained.summary.contains("is on the denylist of super-organization `globex`"), "{}", explained.summary);
    let remove = pb::RemoveDenylistElementRequest {
        super_organization: "globex".into(),
        element: "salesforce".into(),
        ..Default::default()
    };
    operator.remove_denylist_element(remove.clone()).await.unwrap();
    assert_eq!(outcome(operator.remove_denylist_element(remove).await), "NOT_FOUND");
    let clear = pb::ClearDenylistRequest { super_organization: "globex".into(), ..Default::default() };
    assert_eq!(operator.clear_denylist(clear).await.unwrap().into_inner().removed, 1);
    assert_eq!(sees("olga").await, ["salesforce", "sap", "unheard-of"]);

    // The right to manage lists is one of its own: granted, and taken from `org-admin`, which changes no list.
    lists.update_safelist(platform.by("olga", safelist(&["sap"]))).await.unwrap();
    let grant = Some(pb::Grant {
        permissions: vec!["manageElementOrgLists".into()],
        member: "user:pia".into(),
        ..Default::default()
    });
    assert_eq!(outcome(lists.get_safelist(platform.by("pia", get())).await), NO);
    let request = pb::CreateGrantsRequest { organization: "acme".into(), grant, ..Default::default() };
    platform.roles().create_grants(platform.by("olga", request)).await.unwrap();
    assert_eq!(outcome(lists.get_safelist(platform.by("pia", get())).await), "ok");
    let fewer = edit_role("org-admin", &["organization.*", "roles.*", "users.*", "elements.*"]);
    RoleServiceClient::new(platform.operator.clone()).update_role(fewer).await.unwrap();
    assert_eq!(outcome(lists.get_safelist(platform.by("olga", get())).await), NO);
    assert_eq!(sees("ina").await, ["sap"], "the list stays as it is");

    // Its own life: renamed, listed, not deleted while an organization belongs to it.
    let named = pb::UpdateSuperOrganizationRequest {
        super_organization: Some(pb::SuperOrganization {
            id: "globex".into(),
            display_name: "Globex".into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let named = organizations.update_super_organization(named).await.unwrap().into_inner().super_organization.unwrap();
    let get = pb::GetSuperOrganizationRequest { super_organization: "globex".into(), ..Default::default() };
    let got = organizations.get_super_organization(get).await.unwrap().into_inner().super_organization.unwrap();
    assert_eq!((&got, got.display_name.as_str()), (&named, "Globex"));
    let all = organizations.list_super_organizations(pb::ListSuperOrganizationsRequest::default()).await.unwrap();
    assert_eq!(all.into_inner().super_organizations, [named]);
    let delete = || pb::DeleteSuperOrganizationRequest { super_organization: "globex".into(), ..Default::default() };
    assert_eq!(outcome(organizations.delete_super_organization(delete()).await), "IN_USE");
    let leave = pb::UpdateOrganizationRequest {
        update_mask: Some(prost_types::FieldMask { paths: vec!["super_organization".into()] }),
        ..joining("")
    };
    organizations.update_organization(leave).await.unwrap();
    organizations.delete_super_organization(delete()).await.unwrap();
    assert_eq!(outcome(organizations.delete_super_organization(delete()).await), "UNKNOWN_SUPER_ORGANIZATION");
    server.stop().await;
}
