use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixListener};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use tonic_types::StatusExt;

use super::*;
use crate::service::proto::decision_service_client::DecisionServiceClient;
use crate::service::proto::organization_service_client::OrganizationServiceClient;
use crate::service::proto::watch_service_client::WatchServiceClient;
use crate::service::proto::{AuthorizeRequest, GetOrganizationRequest, WatchRequest};

const DECISIONS: &str = "doorward.v1.DecisionService";

struct Running {
    bound: Bound,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<Result<(), ServeError>>,
}

impl Running {
    async fn channel(&self) -> Channel {
        let url = format!("http://{}", self.bound.tcp[0]);
        Channel::from_shared(url).unwrap().connect().await.unwrap()
    }

    fn begin_to_stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    async fn stop(mut self) {
        self.begin_to_stop();
        self.ended.await.unwrap().unwrap();
    }
}

fn dev() -> Config {
    Config {
        storage: Storage::Memory,
        access: Access::InsecureDev,
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        unix: None,
        address_file: None,
        workers: Some(2),
        drain_delay: Duration::ZERO,
        drain_timeout: Duration::from_secs(5),
    }
}

async fn start(config: Config) -> Result<Running, ServeError> {
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, bound) = oneshot::channel();
    let ended = tokio::spawn(run(config, Sampler::off(), |b| ready.send(b).unwrap(), async {
        let _ = stopped.await;
    }));
    match bound.await {
        Ok(bound) => Ok(Running { bound, stop: Some(stop), ended }),
        Err(_) => Err(ended.await.unwrap().unwrap_err()),
    }
}

async fn health(channel: Channel, service: &str) -> Result<i32, Code> {
    let request = HealthCheckRequest { service: service.to_owned() };
    let reply = HealthClient::new(channel).check(request).await;
    reply.map(|reply| reply.into_inner().status).map_err(|status| status.code())
}

async fn ask(channel: Channel, token: Option<&str>) -> Code {
    let mut request = Request::new(AuthorizeRequest::default());
    if let Some(token) = token {
        let value: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    DecisionServiceClient::new(channel).authorize(request).await.unwrap_err().code()
}

async fn services(channel: Channel) -> Vec<String> {
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let replies = ServerReflectionClient::new(channel).server_reflection_info(tokio_stream::once(request)).await;
    let reply = replies.unwrap().into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = reply.message_response else { panic!("{reply:?}") };
    list.service.into_iter().map(|service| service.name).collect()
}

#[tokio::test]
async fn strangers_hear_health_and_reflection_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("admin.token");
    let access = Access::Tokens { files: vec![], first: Some(first.clone()) };
    let server = start(Config { access, ..dev() }).await.unwrap();
    let channel = server.channel().await;

    for service in ["", DECISIONS, "doorward.v1.WatchService"] {
        assert_eq!(health(channel.clone(), service).await, Ok(ServingStatus::Serving as i32), "{service}");
    }
    assert_eq!(health(channel.clone(), "doorward.v1.Nothing").await, Err(Code::NotFound));
    let services = services(channel.clone()).await;
    for service in [DECISIONS, "grpc.health.v1.Health"] {
        assert!(services.iter().any(|s| s == service), "{services:?}");
    }

    assert_eq!(ask(channel.clone(), None).await, Code::Unauthenticated);
    let unknown = format!("dw_{}", "A".repeat(43));
    assert_eq!(ask(channel.clone(), Some(&unknown)).await, Code::Unauthenticated);
    let token = fs::read_to_string(&first).unwrap();
    assert_ne!(ask(channel.clone(), Some(token.trim_end())).await, Code::Unauthenticated);

    let mut admin = OrganizationServiceClient::new(channel);
    let refused = admin.get_organization(GetOrganizationRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    server.stop().await;
}

#[tokio::test]
async fn a_first_token_that_cannot_be_written_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let access = Access::Tokens { files: vec![], first: Some(folder.path().join("no/such/folder")) };
    let error = start(Config { access, ..dev() }).await.err().unwrap();
    assert!(matches!(error, ServeError::FirstToken(_)), "{error}");
}

#[tokio::test]
async fn the_first_token_is_made_once_and_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let first = data.join("admin.token");
    let storage = Storage::Sled { data, watermark_bytes: 0 };
    let config = Config { storage, access: Access::Tokens { files: vec![], first: Some(first.clone()) }, ..dev() };
    start(config.clone()).await.unwrap().stop().await;
    let token = fs::read_to_string(&first).unwrap();
    fs::remove_file(&first).unwrap();

    let server = start(config).await.unwrap();
    assert_ne!(ask(server.channel().await, Some(token.trim_end())).await, Code::Unauthenticated);
    server.stop().await;
    assert!(!first.exists(), "there was a token already");
}

#[tokio::test]
async fn without_credentials_only_loopback_is_served_whoever_asks() {
    let config = Config { listen: vec!["0.0.0.0:0".parse().unwrap()], ..dev() };
    assert!(matches!(start(config).await, Err(ServeError::Config(_))));
}

#[tokio::test]
async fn a_taken_address_is_an_error() {
    let server = start(dev()).await.unwrap();
    let error = start(Config { listen: server.bound.tcp.clone(), ..dev() }).await.err().unwrap();
    assert!(matches!(error, ServeError::Bind { .. }), "{error}");
    server.stop().await;
}

#[tokio::test]
async fn the_unix_socket_replaces_a_stale_one_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("doorward.sock");
    drop(UnixListener::bind(&path).unwrap());
    let address_file = folder.path().join("address");
    let config = Config { unix: Some(path.clone()), address_file: Some(address_file.clone()), ..dev() };

    let server = start(config.clone()).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let addresses = fs::read_to_string(&address_file).unwrap();
    assert_eq!(addresses, format!("{}\nunix:{}\n", server.bound.tcp[0], path.display()));
    let channel = Endpoint::new(format!("unix://{}", path.display())).unwrap().connect().await.unwrap();
    assert_eq!(health(channel, "").await, Ok(ServingStatus::Serving as i32));

    assert!(matches!(start(config.clone()).await, Err(ServeError::UnixInUse { .. })));
    server.stop().await;
    assert!(!path.exists(), "it is removed at the end");

    fs::write(&path, "precious").unwrap();
    assert!(matches!(start(config).await, Err(ServeError::Unix { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_stopping_server_says_so_before_it_goes() {
    let mut server = start(Config { drain_delay: Duration::from_millis(500), ..dev() }).await.unwrap();
    let channel = server.channel().await;
    let mut watching =
        HealthClient::new(channel.clone()).watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watching.message().await.unwrap().unwrap().status, ServingStatus::Serving as i32);
    server.begin_to_stop();
    assert_eq!(watching.message().await.unwrap().unwrap().status, ServingStatus::NotServing as i32);
    assert_eq!(health(channel.clone(), DECISIONS).await, Ok(ServingStatus::NotServing as i32));
    assert_ne!(ask(channel, None).await, Code::Unavailable, "it still answers");
    drop(watching);
    server.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn neither_an_open_stream_nor_a_silent_peer_outlasts_the_drain() {
    let mut server = start(Config { drain_timeout: Duration::from_millis(300), ..dev() }).await.unwrap();
    let channel = server.channel().await;
    let mut watching = HealthClient::new(channel).watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let mut silent = TcpStream::connect(server.bound.tcp[0]).await.unwrap();
    server.begin_to_stop();
    tokio::time::timeout(Duration::from_secs(5), &mut server.ended).await.unwrap().unwrap().unwrap();
    while let Ok(Some(_)) = watching.message().await {}
    let mut said = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(5), silent.read_to_end(&mut said)).await;
    assert!(closed.is_ok(), "it is still open");
}

#[tokio::test]
async fn a_call_with_too_many_headers_is_refused_and_the_connection_lives() {
    let server = start(dev()).await.unwrap();
    let channel = server.channel().await;
    let mut request = Request::new(HealthCheckRequest::default());
    request.metadata_mut().insert("padding", "x".repeat(32 << 10).parse().unwrap());
    assert!(HealthClient::new(channel.clone()).check(request).await.is_err());
    assert_eq!(health(channel, "").await, Ok(ServingStatus::Serving as i32));
    server.stop().await;
}

#[tokio::test]
async fn a_message_past_the_limit_is_refused() {
    let server = start(dev()).await.unwrap();
    let request = AuthorizeRequest { permission: "p".repeat(MAX_DECISION_BYTES + 1), ..Default::default() };
    let refused = DecisionServiceClient::new(server.channel().await).authorize(request).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::OutOfRange, "MESSAGE_TOO_LARGE".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn errors_that_no_handler_made_have_a_reason_too() {
    let server = start(dev()).await.unwrap();
    let channel = server.channel().await;
    let mut watch = WatchServiceClient::new(channel.clone());
    let refused = watch.watch(WatchRequest::default()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused)), (Code::Unimplemented, "NOT_SUPPORTED".to_owned()), "{refused}");
    // Field 1 of health's request is a text; here it ends too early.
    let malformed = HealthCheckRequest { service: "x".to_owned() };
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/doorward.v1.DecisionService/Authorize");
    let codec = tonic_prost::ProstCodec::<Truncated, HealthCheckRequest>::default();
    let refused = grpc.unary(Request::new(Truncated(malformed)), path, codec).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::InvalidArgument, "MALFORMED_MESSAGE".to_owned()),
        "{refused}"
    );
    server.stop().await;
}

fn reason(status: &tonic::Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// A message whose text says that it goes on, and does not.
#[derive(Debug, Default)]
struct Truncated(HealthCheckRequest);

impl prost::Message for Truncated {
    fn encode_raw(&self, buf: &mut impl prost::bytes::BufMut) {
        buf.put_slice(&[0x0a, 0x7f]);
        buf.put_slice(self.0.service.as_bytes());
    }

    fn merge_field(
        &mut self,
        _: u32,
        _: prost::encoding::WireType,
        _: &mut impl prost::bytes::Buf,
        _: prost::encoding::DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        2 + self.0.service.len()
    }

    fn clear(&mut self) {}
}
