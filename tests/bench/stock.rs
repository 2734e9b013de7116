//! The generated service behind tonic's own server, as its documentation has it: what Doorward's server is held against.

use doorward::service::proto::decision_service_server::{DecisionService, DecisionServiceServer};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};

/// On what it runs.
pub enum Threads {
    /// A current-thread runtime.
    One,
    /// What `#[tokio::main]` makes.
    Default,
}

/// Serves for the rest of the process whoever sends that `authorization`, compared by an interceptor; returns the address and, if it is one thread,
/// the thread. Of Doorward's doors it has none but that: no token file, limits, sampling or spans.
pub fn start(service: impl DecisionService, authorization: &str, threads: Threads) -> (String, String) {
    let expected = authorization.to_owned();
    let check = move |request: Request<()>| match request.metadata().get("authorization") {
        Some(sent) if sent.as_bytes() == expected.as_bytes() => Ok(request),
        _ => Err(Status::unauthenticated("no token")),
    };
    let service = DecisionServiceServer::with_interceptor(service, check);
    let (tell, told) = std::sync::mpsc::channel();
    let is_one = matches!(threads, Threads::One);
    let serve = move || {
        let mut builder = match threads {
            Threads::One => tokio::runtime::Builder::new_current_thread(),
            Threads::Default => tokio::runtime::Builder::new_multi_thread(),
        };
        builder.enable_all().build().unwrap().block_on(async {
            let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap().with_nodelay(Some(true));
            let thread = std::fs::read_link("/proc/thread-self").unwrap();
            tell.send((incoming.local_addr().unwrap().to_string(), format!("/proc/{}", thread.display()))).unwrap();
            Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
        });
    };
    std::thread::spawn(serve);
    let (address, thread) = told.recv().unwrap();
    (address, if is_one { thread } else { String::new() })
}
