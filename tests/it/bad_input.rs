//! What no client should send, over the wire: refused for a reason, and the organization is what it was.

use doorward::service::proto as pb;
use doorward::service::proto::organization_service_client::OrganizationServiceClient;
use doorward::service::proto::role_service_client::RoleServiceClient;
use doorward::service::proto::user_service_client::UserServiceClient;
use pb::apply_organization_request::Part;
use prost::Message;
use serde_json::json;
use tonic::{Code, Response, Status};

use crate::callers::{Who, call};
use crate::integration::{Platform, assign, at, moved, outcome, platform};
use crate::support::rows;
use crate::wire::{Running, Wire, fields, reason, token, user};

type Stands = (pb::GetOrganizationResponse, Vec<pb::Row>);

/// The revision, and everything that is exported.
async fn stands(wire: &Wire) -> Stands {
    let mut organizations = OrganizationServiceClient::new(wire.clone());
    let request = pb::GetOrganizationRequest { organization: "acme".into(), ..Default::default() };
    let organization = organizations.get_organization(request).await.unwrap().into_inner();
    let request = pb::ExportOrganizationRequest { organization: "acme".into(), ..Default::default() };
    let mut stream = organizations.export_organization(request).await.unwrap().into_inner();
    let mut exported = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        exported.extend(message.rows);
    }
    assert!(organization.revision.as_ref().is_some_and(|revision| revision.number > 0) && exported.len() > 10);
    (organization, exported)
}

/// What there is before the first call, and has to be there after each.
struct Unchanged<'w>(&'w Wire, Stands);

impl Unchanged<'_> {
    async fn after<T>(&self, what: &str, expected: &str, call: impl Future<Output = Result<Response<T>, Status>>) {
        assert_eq!(outcome(call.await), expected, "{what}");
        assert_eq!(stands(self.0).await, self.1, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m1_2_accounts_elements_and_the_last_administrator_stay_as_they_are_when_a_call_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let wire = server.with(Some(&token(dir.path()))).await;
    let world = Platform::new(&server, wire.clone()).await;
    let mut organizations = OrganizationServiceClient::new(wire.clone());
    let (mut users, mut roles) = (UserServiceClient::new(wire.clone()), RoleServiceClient::new(wire.clone()));
    let mut lists = world.lists();
    let acme = || "acme".to_owned();
    let unchanged = Unchanged(&wire, stands(&wire).await);

    // The default account is one, and stays.
    let account = |id: &str, default: bool| {
        let account = pb::Account { id: id.into(), default, ..Default::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["default".into()] });
        pb::UpdateAccountRequest {
            organization: "acme".into(),
            account: Some(account),
            update_mask,
            ..Default::default()
        }
    };
    unchanged.after("unmarking", "DEFAULT_ACCOUNTS", organizations.update_account(account("main", false))).await;
    unchanged.after("marking no account", "NOT_FOUND", organizations.update_account(account("west", true))).await;
    let second = pb::Account { id: "west".into(), default: true, ..Default::default() };
    let create = pb::CreateAccountRequest { organization: acme(), account: Some(second), ..Default::default() };
    unchanged.after("marking a new one, away from Olga", "MISPLACED", organizations.create_account(create)).await;
    let remove =
        |id: &str| pb::DeleteAccountRequest { organization: "acme".into(), account: id.into(), ..Default::default() };
    unchanged.after("the default one", "IN_USE", organizations.delete_account(remove("main"))).await;
    unchanged.after("one with users", "IN_USE", organizations.delete_account(remove("emea"))).await;
    unchanged.after("none", "NOT_FOUND", organizations.delete_account(remove("west"))).await;
    for default in [true, false] {
        let status = organizations.apply_organization(file(move |rows| mark(rows, default))).await.unwrap_err();
        assert!(format!("{status:?}").contains("there must be exactly one default account"), "{status:?}");
        assert_eq!(stands(&wire).await, unchanged.1);
    }
    unchanged
        .after(
            "the default one, gone",
            "IN_USE",
            organizations.apply_organization(file(|rows| {
                rows.retain(|row| !matches!(&row.kind, Some(pb::row::Kind::Account(account)) if account.id == "main"));
            })),
        )
        .await;

    // Elements, objects and accounts that there are not.
    let elements = || vec!["salesforce".to_owned(), "unheard-of".to_owned()];
    let listing = pb::UpdateSafelistRequest { organization: acme(), elements: elements(), ..Default::default() };
    unchanged.after("an unknown element", "UNKNOWN_REFERENCE", lists.update_safelist(world.by("olga", listing))).await;
    let adding = pb::AddSafelistElementsRequest { organization: acme(), elements: elements(), ..Default::default() };
    unchanged.after("one more", "UNKNOWN_REFERENCE", lists.add_safelist_elements(world.by("olga", adding))).await;
    let removing =
        pb::RemoveSafelistElementRequest { organization: acme(), element: "unheard-of".into(), ..Default::default() };
    unchanged
        .after("one that is not on it", "NOT_FOUND", lists.remove_safelist_element(world.by("olga", removing)))
        .await;
    let kind = pb::ObjectKind::Element.into();
    let private = pb::Object { id: "crm".into(), kind, private_to: "account:west".into(), ..Default::default() };
    let create = pb::CreateObjectRequest { organization: acme(), object: Some(private), ..Default::default() };
    unchanged.after("private to no account", "UNKNOWN_REFERENCE", organizations.create_object(create)).await;
    let gone = pb::DeleteObjectRequest { organization: acme(), object: "unheard-of".into(), ..Default::default() };
    unchanged.after("no object", "NOT_FOUND", organizations.delete_object(gone)).await;
    unchanged.after("to no account", "UNKNOWN_REFERENCE", users.update_user(moved("kim", "west"))).await;
    let zoe = Some(pb::User { account: "west".into(), ..user("zoe", "zoe@acme.com") });
    let zoe = pb::CreateUserRequest { organization: acme(), user: zoe, ..Default::default() };
    unchanged.after("of no account", "UNKNOWN_REFERENCE", users.create_user(zoe)).await;
    unchanged
        .after("at no account", "UNKNOWN_REFERENCE", roles.create_assignment(assign("admin", "user:kim", "west")))
        .await;

    // Olga alone administers the organization: she is not moved, nor is the account under her.
    unchanged.after("moving her", "MISPLACED", users.update_user(moved("olga", "emea"))).await;
    unchanged.after("moving the mark", "MISPLACED", organizations.update_account(account("emea", true))).await;
    let hers = pb::DeleteAssignmentRequest {
        organization: acme(),
        role: "org-admin".into(),
        member: "user:olga".into(),
        target: at(""),
        ..Default::default()
    };
    unchanged.after("her role", "LAST_ADMINISTRATOR", roles.delete_assignment(hers)).await;
    let off = pb::DeactivateUserRequest { organization: acme(), user: "olga".into(), ..Default::default() };
    unchanged.after("herself", "LAST_ADMINISTRATOR", users.deactivate_user(off)).await;
    server.stop().await;
}

/// The platform's file with one thing changed, as the messages of a call.
fn file(edit: impl Fn(&mut Vec<pb::Row>)) -> impl tokio_stream::Stream<Item = pb::ApplyOrganizationRequest> {
    let organization = "acme".parse().unwrap();
    let known = rows(&platform(json!([]))).into_iter();
    let mut rows: Vec<pb::Row> = known.flat_map(|row| doorward::service::messages(&organization, &row)).collect();
    edit(&mut rows);
    let header = pb::ApplyHeader { organization: "acme".into(), deactivate_missing_users: true, ..Default::default() };
    let end = pb::ApplyEnd { row_count: rows.len() as u64 };
    let parts = [Part::Header(header), Part::Rows(pb::RowBatch { rows }), Part::End(end)];
    tokio_stream::iter(parts.map(|part| pb::ApplyOrganizationRequest { part: Some(part) }))
}

fn mark(rows: &mut [pb::Row], default: bool) {
    for row in rows {
        if let Some(pb::row::Kind::Account(account)) = &mut row.kind {
            account.default = default;
        }
    }
}

/// A message with a million attributes as bytes, entries of a map in the field of this number; built otherwise, it would
/// take longer than all that is tested here.
fn a_million(into: impl Message, field: u8) -> Vec<u8> {
    let mut bytes = into.encode_to_vec();
    for n in 0..1_000_000u32 {
        let name = format!("a{n}");
        let length = u8::try_from(name.len()).unwrap();
        // The name is field 1, the value field 2: the integer 1, which is field 3 of it.
        bytes.extend([field << 3 | 2, length + 6, 1 << 3 | 2, length]);
        bytes.extend(name.as_bytes());
        bytes.extend([2 << 3 | 2, 2, 3 << 3, 1]);
    }
    bytes
}

/// The message with one more field, of this number.
fn with(message: impl Message, field: u8, value: &[u8]) -> Vec<Vec<u8>> {
    let mut bytes = message.encode_to_vec();
    bytes.push(field << 3 | 2);
    prost::encode_length_delimiter(value.len(), &mut bytes).unwrap();
    bytes.extend(value);
    vec![bytes]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_attributes_are_refused_wherever_they_are_sent() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let token = token(dir.path());
    let (wire, who, channel) = (server.with(Some(&token)).await, Who::of(&token), server.channel().await);
    Platform::new(&server, wire.clone()).await;
    let record = a_million(pb::Record { id: "r-1".into(), ..Default::default() }, 4);
    assert!(record.len() > 10 << 20, "{}", record.len());
    let before = stands(&wire).await;
    // Services that decide read no message of such a size.
    let filter = pb::FilterRecordsRequest {
        organization: "acme".into(),
        principal: "user:olga".into(),
        object: "sap".into(),
        ..Default::default()
    };
    let status = call(&channel, "DecisionService/FilterRecords", with(filter, 9, &record), &who).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::OutOfRange, "MESSAGE_TOO_LARGE"));
    // Services for administration do, and count.
    let test = pb::TestConditionRequest {
        organization: "acme".into(),
        object: "sap".into(),
        principal: "user:olga".into(),
        condition: "record.id == 'r-1'".into(),
        ..Default::default()
    };
    let status = call(&channel, "DataAccessService/TestCondition", with(test, 5, &record), &who).await.unwrap_err();
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["records[0].attributes".to_owned()]));
    assert_eq!(stands(&wire).await, before);
    server.stop().await;
}
