//! `doorward serve` as operators run it: a process of its own, what it says on standard error, and the traces that
//! it sends.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use doorward::service::proto as pb;
use doorward::service::proto::decision_service_client::DecisionServiceClient;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};

/// A server that is killed if the test ends before it was stopped.
struct Process(Child);

impl Process {
    /// Starts it with what the data directory is and these flags besides, and waits until it serves.
    fn start(dir: &Path, flags: &[&str], environment: &[(&str, &str)]) -> (Self, String) {
        let address = dir.join("address");
        let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OTEL_") || name.starts_with("DOORWARD_"))
        {
            command.env_remove(name);
        }
        let child = command
            .current_dir(dir)
            .args(["serve", "--listen", "127.0.0.1:0", "--address-file"])
            .arg(&address)
            .args(flags)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut process = Self(child);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(60) {
            if let Some(line) = std::fs::read_to_string(&address).ok().and_then(|t| t.lines().next().map(str::to_owned))
            {
                return (process, line);
            }
            if process.0.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = process.0.kill();
        panic!("it does not serve: {}", process.end());
    }

    /// Everything that it said, once it has ended.
    fn end(&mut self) -> String {
        let mut said = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }

    /// Asks it to stop, as an orchestrator does, and returns its log, line by line.
    fn stop(mut self) -> (Option<i32>, Vec<Value>) {
        let asked = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.0.id())]).status().unwrap();
        assert!(asked.success());
        let said = self.end();
        let read = |line: &str| match serde_json::from_str(line) {
            Ok(Value::Object(line)) => Value::Object(line),
            other => panic!("`{line}` is no JSON object: {other:?}"),
        };
        (self.0.wait().unwrap().code(), said.lines().map(read).collect())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The one line of the log whose message begins so.
fn line<'l>(log: &'l [Value], begins: &str) -> &'l Value {
    let found: Vec<&Value> = log.iter().filter(|l| l["message"].as_str().unwrap_or("").starts_with(begins)).collect();
    let [line] = *found else { panic!("`{begins}`: {} lines of {log:#?}", found.len()) };
    line
}

#[test]
fn the_log_is_json_and_says_where_the_first_token_is_and_not_what() {
    let dir = tempfile::tempdir().unwrap();
    let (process, address) = Process::start(dir.path(), &["--data", "data"], &[]);
    let token = std::fs::read_to_string(dir.path().join("data/admin.token")).unwrap();
    let (status, log) = process.stop();
    assert_eq!(status, Some(0));
    for line in &log {
        assert!(line["timestamp"].is_string() && line["level"].is_string() && line["message"].is_string(), "{line}");
        assert!(!line.to_string().contains(token.trim()), "{line}");
    }
    let told = line(&log, "there was no token: one was made, and is in this file");
    assert_eq!((told["level"].as_str(), told["path"].as_str()), (Some("WARN"), Some("data/admin.token")));
    assert!(line(&log, "serving")["tcp"].to_string().contains(&address));
    assert!(!log.iter().any(|line| line.to_string().contains("INSECURE")));
    assert_eq!(log.last().unwrap()["message"], "stopped");
    // The next start finds it, and says nothing of tokens.
    let (process, _) = Process::start(dir.path(), &["--data", "data"], &[]);
    let (_, log) = process.stop();
    assert!(!log.iter().any(|line| line["message"].as_str().unwrap().contains("token")), "{log:#?}");
}

#[test]
fn insecure_dev_is_loud_and_stays_at_home() {
    let dir = tempfile::tempdir().unwrap();
    let (process, _) = Process::start(dir.path(), &["--memory", "--insecure-dev"], &[]);
    let (status, log) = process.stop();
    assert_eq!(status, Some(0));
    let loud = line(&log, "INSECURE: --insecure-dev asks for no credentials");
    assert_eq!(loud["level"], "WARN");
    assert_eq!(line(&log, "NOT DURABLE: --memory")["level"], "WARN");
    let before = |begins: &str| log.iter().position(|l| l["message"].as_str().unwrap().starts_with(begins)).unwrap();
    assert!(before("INSECURE") < before("serving"), "before anybody can call");
    let refused = Command::new(env!("CARGO_BIN_EXE_doorward"))
        .args(["serve", "--memory", "--insecure-dev", "--listen", "0.0.0.0:0"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && error.contains("loopback"), "{error}");
}

/// What `TraceService/Export` is asked; of spans only the bytes are looked at.
#[derive(Clone, PartialEq, prost::Message)]
struct Export {
    #[prost(bytes = "vec", repeated, tag = "1")]
    resource_spans: Vec<Vec<u8>>,
}

/// Takes traces as a collector does.
#[derive(Clone)]
struct Collector(UnboundedSender<(String, Export)>);

struct Take(UnboundedSender<(String, Export)>, String);

impl UnaryService<Export> for Take {
    type Response = ();
    type Future = Ready<Result<Response<()>, Status>>;

    fn call(&mut self, request: Request<Export>) -> Self::Future {
        self.0.send((self.1.clone(), request.into_inner())).unwrap();
        ready(Ok(Response::new(())))
    }
}

impl NamedService for Collector {
    const NAME: &'static str = "opentelemetry.proto.collector.trace.v1.TraceService";
}

impl Service<http::Request<Body>> for Collector {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let take = Take(self.0.clone(), request.uri().path().to_owned());
        Box::pin(async move {
            let mut grpc = Grpc::new(tonic_prost::ProstCodec::<(), Export>::default());
            Ok(grpc.unary(take, request).await)
        })
    }
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sampled_call_is_exported_and_an_unsampled_one_is_not() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let (sender, mut received) = unbounded_channel();
    let collector = Server::builder()
        .add_service(Collector(sender))
        .serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener));
    let collecting = tokio::spawn(collector);

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let start = move || {
        Process::start(&path, &["--memory", "--insecure-dev"], &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())])
    };
    let (process, address) = tokio::task::spawn_blocking(start).await.unwrap();
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut decisions = DecisionServiceClient::new(channel);
    let mut ask = async |trace: u8, sampled: bool| {
        let mut request = Request::new(pb::AuthorizeRequest { organization: "acme".into(), ..Default::default() });
        let trace = format!("{trace:02x}").repeat(16);
        let parent = format!("00-{trace}-1122334455667788-{:02x}", u8::from(sampled));
        request.metadata_mut().insert("traceparent", parent.parse().unwrap());
        decisions.authorize(request).await.unwrap_err()
    };
    ask(0x4b, true).await;
    ask(0x7d, false).await;
    // What waits is sent at the latest when the process is asked to stop.
    let (status, log) = tokio::task::spawn_blocking(move || process.stop()).await.unwrap();
    assert_eq!(status, Some(0), "{log:#?}");
    let mut spans = Vec::new();
    while let Ok((path, export)) = received.try_recv() {
        assert_eq!(path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
        spans.extend(export.resource_spans);
    }
    let spans = spans.concat();
    assert!(has(&spans, &[0x4b; 16]), "the caller's trace goes on: {log:#?}");
    assert!(has(&spans, b"doorward.v1.DecisionService/Authorize") && has(&spans, b"service.name"));
    assert!(!has(&spans, &[0x7d; 16]), "nobody asked for this one");
    collecting.abort();
}
