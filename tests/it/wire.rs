//! What a client sees: the real server, on sled, over TCP.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use doorward::clock::{Clock, SystemClock};
use doorward::config::{Access, Config, Storage};
use doorward::service::proto as pb;
use doorward::service::proto::decision_service_client::DecisionServiceClient;
use doorward::service::proto::group_service_client::GroupServiceClient;
use doorward::service::proto::organization_service_client::OrganizationServiceClient;
use doorward::service::proto::role_service_client::RoleServiceClient;
use doorward::service::proto::user_service_client::UserServiceClient;
use doorward::telemetry::Sampler;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

/// A server that runs until this is stopped.
pub struct Running {
    address: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), doorward::server::ServeError>>,
}

#[derive(Clone)]
pub struct Token(Option<MetadataValue<Ascii>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

pub type Wire = InterceptedService<Channel, Token>;

impl Running {
    pub async fn start(data: &Path) -> Self {
        Self::start_with(data, 1 << 20).await
    }

    /// With so many bytes to be left free on its disk.
    pub async fn start_with(data: &Path, watermark_bytes: u64) -> Self {
        let config = Config {
            storage: Storage::Sled { data: data.to_owned(), watermark_bytes },
            access: Access::Tokens { files: vec![], first: Some(data.join("admin.token")) },
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            unix: None,
            address_file: None,
            workers: Some(1),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(2),
        };
        let (ready, bound) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let ready = move |b: doorward::server::Bound| drop(ready.send(b.tcp[0].to_string()));
        let task = tokio::spawn(doorward::server::run(config, Sampler::off(), ready, async { drop(stopped.await) }));
        let address = bound.await.expect("the server starts");
        Self { address, stop, task }
    }

    pub async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub async fn with(&self, token: Option<&str>) -> Wire {
        let token = token.map(|t| format!("Bearer {t}").parse().unwrap());
        InterceptedService::new(self.channel().await, Token(token))
    }

    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

pub fn token(data: &Path) -> String {
    std::fs::read_to_string(data.join("admin.token")).unwrap().trim().to_owned()
}

pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map_or_else(|| panic!("no ErrorInfo: {status:?}"), |i| i.reason)
}

pub fn fields(status: &Status) -> Vec<String> {
    let bad = status.get_details_bad_request().map_or_else(Vec::new, |b| b.field_violations);
    bad.into_iter().map(|v| v.field).collect()
}

pub async fn organization(wire: &Wire, id: &str) {
    let organization =
        pb::Organization { id: id.to_owned(), preset: pb::Preset::Workspace.into(), ..pb::Organization::default() };
    let request = pb::CreateOrganizationRequest { organization: Some(organization), ..Default::default() };
    OrganizationServiceClient::new(wire.clone()).create_organization(request).await.unwrap();
}

pub fn user(id: &str, email: &str) -> pb::User {
    pb::User { id: id.into(), email: email.into(), ..pb::User::default() }
}

pub async fn create_user(wire: &Wire, organization: &str, user: pb::User) -> Result<u64, Status> {
    let request = pb::CreateUserRequest { organization: organization.into(), user: Some(user), ..Default::default() };
    let reply = UserServiceClient::new(wire.clone()).create_user(request).await?.into_inner();
    Ok(reply.revision.unwrap().number)
}

fn question(organization: &str, principal: &str, permission: &str) -> pb::AuthorizeRequest {
    pb::AuthorizeRequest {
        organization: organization.into(),
        principal: principal.into(),
        permission: permission.into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_need_the_token_that_the_first_start_made_and_health_needs_none() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let token_of_start = token(dir.path());
    let mode = std::fs::metadata(dir.path().join("admin.token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let ask = question("acme", "user:ana", "records.read");
    for wrong in [None, Some("dw_wrong"), Some("")] {
        let mut client = DecisionServiceClient::new(server.with(wrong).await);
        let status = client.authorize(ask.clone()).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "UNAUTHENTICATED"));
    }
    let mut client = DecisionServiceClient::new(server.with(Some(&token_of_start)).await);
    let status = client.authorize(ask.clone()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "UNKNOWN_ORGANIZATION"));
    let mut health = tonic_health::pb::health_client::HealthClient::new(server.channel().await);
    let services = ["DecisionService", "UserService", "DataAccessService", "RelationService"];
    for service in services.map(|s| format!("doorward.v1.{s}")).into_iter().chain([String::new()]) {
        let request = tonic_health::pb::HealthCheckRequest { service: service.clone() };
        let reply = health.check(request).await.unwrap().into_inner();
        assert_eq!(reply.status(), tonic_health::pb::health_check_response::ServingStatus::Serving, "{service}");
    }
    server.stop().await;
    // The token outlives a restart, and no second one is made.
    let server = Running::start(dir.path()).await;
    assert_eq!(token(dir.path()), token_of_start);
    let mut client = DecisionServiceClient::new(server.with(Some(&token_of_start)).await);
    assert_eq!(client.authorize(ask).await.unwrap_err().code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_lists_every_service_in_both_versions_and_knows_the_error_details() {
    use tokio_stream::StreamExt;
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    macro_rules! ask {
        ($v:ident, $message:ident, $value:expr) => {{
            use tonic_reflection::pb::$v::{ServerReflectionRequest, server_reflection_request::MessageRequest};
            let mut client =
                tonic_reflection::pb::$v::server_reflection_client::ServerReflectionClient::new(server.channel().await);
            let request = ServerReflectionRequest {
                host: String::new(),
                message_request: Some(MessageRequest::$message($value.to_owned())),
            };
            let stream = client.server_reflection_info(tokio_stream::iter([request])).await.unwrap();
            format!("{:?}", stream.into_inner().next().await.unwrap().unwrap().message_response)
        }};
    }
    for listed in [ask!(v1, ListServices, ""), ask!(v1alpha, ListServices, "")] {
        for service in [
            "DecisionService",
            "OrganizationService",
            "UserService",
            "GroupService",
            "RoleService",
            "DataAccessService",
            "RelationService",
            "ElementListService",
            "CredentialService",
            "ActivityService",
            "WatchService",
        ] {
            assert!(listed.contains(&format!("doorward.v1.{service}")), "{service}: {listed}");
        }
    }
    let known = ask!(v1, FileContainingSymbol, "google.rpc.BadRequest");
    assert!(known.contains("FileDescriptorResponse"), "{known}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_input_is_refused_with_every_field_named_and_nothing_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let wire = server.with(Some(&token(dir.path()))).await;
    organization(&wire, "acme").await;
    let first = create_user(&wire, "acme", user("ana", "ana@acme.com")).await.unwrap();
    let long = "x".repeat(65_536);
    for hostile in ["", "a\0b", "a\nb", "\u{7f}", "\u{85}", &long, &"x".repeat(129)] {
        let status = create_user(&wire, "acme", user(hostile, "no e-mail")).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{hostile:.9?}");
        assert_eq!(fields(&status), ["user.id", "user.email"], "{hostile:.9?}");
        reason(&status);
        let mut decisions = DecisionServiceClient::new(wire.clone());
        let status = decisions.authorize(question("acme", hostile, "records.read")).await.unwrap_err();
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["principal".to_owned()]));
        let status = decisions.authorize(question(hostile, "user:ana", "records.read")).await.unwrap_err();
        assert!(matches!(status.code(), Code::InvalidArgument | Code::NotFound), "{status:?}");
        reason(&status);
    }
    // Odd but opaque: fine as ids, and each only itself.
    let odd = ["a|b", "a:b", "..", "user:ana", "../../etc/passwd", "ünï 😀", "*", "' OR 1=1 --"];
    for (n, id) in odd.iter().enumerate() {
        create_user(&wire, "acme", user(id, &format!("odd{n}@acme.com"))).await.unwrap();
    }
    for operator_id in ["..", "a|b", "a:b", "/x", "-x", "ü", ""] {
        let group = pb::Group { id: operator_id.into(), kind: pb::GroupKind::Manual.into(), ..pb::Group::default() };
        let request = pb::CreateGroupRequest { organization: "acme".into(), group: Some(group), ..Default::default() };
        let status = GroupServiceClient::new(wire.clone()).create_group(request).await.unwrap_err();
        assert_eq!(
            (status.code(), fields(&status)),
            (Code::InvalidArgument, vec!["group.id".to_owned()]),
            "{operator_id}"
        );
    }
    let last = create_user(&wire, "acme", user("bo", "bo@acme.com")).await.unwrap();
    assert_eq!(last, first + odd.len() as u64 + 1, "what was refused made no revision");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_crosses_from_one_organization_to_another() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let wire = server.with(Some(&token(dir.path()))).await;
    for id in ["acme", "globex"] {
        organization(&wire, id).await;
        for n in 0..5 {
            create_user(&wire, id, user(&format!("u{n}"), &format!("u{n}@acme.com"))).await.unwrap();
        }
    }
    let grant = pb::CreateGrantsRequest {
        organization: "acme".into(),
        grant: Some(pb::Grant {
            permissions: vec!["tasks.read".into()],
            member: "user:u0".into(),
            target: Some(pb::Target::default()),
            ..pb::Grant::default()
        }),
        ..Default::default()
    };
    RoleServiceClient::new(wire.clone()).create_grants(grant).await.unwrap();
    let mut decisions = DecisionServiceClient::new(wire.clone());
    for (organization, expected) in [("acme", pb::Decision::Allow), ("globex", pb::Decision::Deny)] {
        let reply = decisions.authorize(question(organization, "user:u0", "tasks.read")).await.unwrap().into_inner();
        assert_eq!(reply.decision(), expected);
    }
    // A page token of one is nothing in the other.
    let mut users = UserServiceClient::new(wire.clone());
    let list = |organization: &str, page_token: &str| pb::ListUsersRequest {
        organization: organization.into(),
        page_size: 2,
        page_token: page_token.into(),
        ..Default::default()
    };
    let page = users.list_users(list("acme", "")).await.unwrap().into_inner();
    let status = users.list_users(list("globex", &page.next_page_token)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_PAGE_TOKEN"));
    // Nor is a revision.
    let revision = decisions.authorize(question("acme", "u0", "tasks.read")).await.unwrap().into_inner().revision;
    let other = pb::AuthorizeRequest { min_revision: revision, ..question("globex", "u0", "tasks.read") };
    assert_eq!(decisions.authorize(other).await.unwrap_err().code(), Code::FailedPrecondition);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m4_10_a_revision_that_is_not_reached_in_time_is_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let wire = server.with(Some(&token(dir.path()))).await;
    organization(&wire, "acme").await;
    let mut decisions = DecisionServiceClient::new(wire.clone());
    let later = pb::Revision { history: String::new(), number: 2 };
    let ask = pb::AuthorizeRequest { min_revision: Some(later), ..question("acme", "user:ana", "tasks.read") };
    let mut request = Request::new(ask.clone());
    request.set_timeout(Duration::from_millis(300));
    let began = Instant::now();
    let status = decisions.authorize(request).await.unwrap_err();
    assert!(matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    assert!(began.elapsed() < Duration::from_secs(3));
    let waiting = tokio::spawn({
        let mut decisions = decisions.clone();
        async move { decisions.authorize(ask).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    create_user(&wire, "acme", user("ana", "ana@acme.com")).await.unwrap();
    let reply = waiting.await.unwrap().unwrap().into_inner();
    assert_eq!(reply.revision.unwrap().number, 2);
    server.stop().await;
}

/// Both clocks are this machine's: what is asked wholly before, within or after the time must come out so,
/// to the millisecond, however slow the machine is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m3_4_a_grant_begins_and_ends_on_a_running_server_without_any_write() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let wire = server.with(Some(&token(dir.path()))).await;
    organization(&wire, "acme").await;
    create_user(&wire, "acme", user("ana", "ana@acme.com")).await.unwrap();
    let starts = SystemClock.now() + 1_000;
    let expires = starts + 1_000;
    let time = |at| Some(doorward::service::to_timestamp(at));
    let grant = pb::CreateGrantsRequest {
        organization: "acme".into(),
        grant: Some(pb::Grant {
            permissions: vec!["tasks.read".into()],
            member: "user:ana".into(),
            period: Some(pb::Period { starts_at: time(starts), expires_at: time(expires) }),
            ..pb::Grant::default()
        }),
        ..Default::default()
    };
    let revision = RoleServiceClient::new(wire.clone()).create_grants(grant).await.unwrap().into_inner().revision;
    let mut decisions = DecisionServiceClient::new(wire);
    let (mut before, mut within, mut after) = (0, 0, 0);
    while after < 20 {
        let began = SystemClock.now();
        let reply = decisions.authorize(question("acme", "user:ana", "tasks.read")).await.unwrap().into_inner();
        let ended = SystemClock.now();
        assert_eq!(reply.revision, revision, "nothing was written");
        let (count, expected) = match (began, ended) {
            (_, ended) if ended < starts => (&mut before, pb::Reason::NoPermission),
            (began, _) if began >= expires => (&mut after, pb::Reason::NoPermission),
            (began, ended) if began >= starts && ended < expires => (&mut within, pb::Reason::Allowed),
            // It began or ended while it was asked.
            _ => continue,
        };
        assert_eq!(reply.reason(), expected, "asked {} ms after its start", began - starts);
        *count += 1;
    }
    assert!(before > 0 && within > 0, "{before} before it, {within} within");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_answers_each_item_for_itself_and_too_many_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let wire = server.with(Some(&token(dir.path()))).await;
    organization(&wire, "acme").await;
    create_user(&wire, "acme", user("ana", "ana@acme.com")).await.unwrap();
    let item = |principal: &str, permission: &str| question("", principal, permission);
    let mut decisions = DecisionServiceClient::new(wire.clone());
    let batch = |items| pb::BatchAuthorizeRequest { organization: "acme".into(), items, ..Default::default() };
    let items = vec![item("user:ana", "tasks.read"), item("user:ana", "tasks.raed"), item("nobody", "tasks.read")];
    let reply = decisions.batch_authorize(batch(items)).await.unwrap().into_inner();
    let outcomes: Vec<String> = reply
        .results
        .into_iter()
        .map(|r| match r.outcome.unwrap() {
            pb::batch_authorize_result::Outcome::Decision(d) => d.reason().as_str_name().to_owned(),
            pb::batch_authorize_result::Outcome::Error(e) => e.reason,
        })
        .collect();
    assert_eq!(outcomes[0], "REASON_NO_PERMISSION");
    assert!(!outcomes[1].starts_with("REASON_"), "{outcomes:?}");
    assert_eq!(outcomes[2], "REASON_PRINCIPAL_UNKNOWN");
    let many = vec![item("user:ana", "tasks.read"); 10_001];
    let status = decisions.batch_authorize(batch(many)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    reason(&status);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_built_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::start(dir.path()).await;
    let wire = server.with(Some(&token(dir.path()))).await;
    let mut watch = pb::watch_service_client::WatchServiceClient::new(wire);
    let status = watch.watch(pb::WatchRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    server.stop().await;
}
