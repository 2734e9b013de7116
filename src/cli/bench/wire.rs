//! A bare HTTP/2 client that sends prepared bytes, so that what is weighed is the server: a client library's
//! encoding and its layers have no part in it. It speaks as much of gRPC as a call with one message and one
//! reply needs.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;

use h2::RecvStream;
use h2::client::{self, SendRequest};
use http::{HeaderValue, Request, Response, Version};
use prost::Message;
use prost::bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tonic::{Code, Status};

/// What gRPC puts before a message: whether it is compressed, and its length.
const HEAD_BYTES: usize = 5;
/// What a server may send ahead on a call, and on a connection: windows that replies do not fill, as clients have them.
const CALL_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 5 << 20;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A host and its port.
    Tcp(String),
    /// A unix socket.
    Unix(PathBuf),
}

/// Why a call has no reply.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// The server says why. The connection is as good as before.
    #[error("{0}")]
    Refused(Box<Status>),
    /// The connection is no more.
    #[error("{0}")]
    Lost(h2::Error),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody is there.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Who is there does not speak HTTP/2.
    #[error("{0}")]
    Http(#[from] h2::Error),
}

impl Address {
    /// Of what is given with `--server`: `127.0.0.1:7420`, with `http://` or without, or `unix:///run/doorward.sock`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(path) = text.strip_prefix("unix://") {
            return Ok(Self::Unix(path.into()));
        }
        let host = text.strip_prefix("http://").unwrap_or(text);
        let host = host.strip_suffix('/').unwrap_or(host);
        if host.contains("://") {
            Err("there is no TLS yet: only `http://` and `unix://`")
        } else {
            Ok(Self::Tcp(host.to_owned()))
        }
    }

    fn authority(&self) -> &str {
        match self {
            Self::Tcp(host) => host,
            Self::Unix(_) => "localhost",
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host) => f.write_str(host),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// A message as it goes over the wire, with the head that gRPC gives it.
#[must_use]
pub fn framed(message: &impl Message) -> Bytes {
    let encoded = message.encode_to_vec();
    headed(&[&encoded])
}

/// The same of a message that is encoded in parts.
#[must_use]
pub fn headed(parts: &[&[u8]]) -> Bytes {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = BytesMut::with_capacity(HEAD_BYTES + length);
    bytes.put_u8(0);
    // A message of 4 GiB is refused by whoever gets it, whatever its head says.
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    parts.iter().for_each(|part| bytes.put_slice(part));
    bytes.freeze()
}

/// What every call of a method of the decision service begins with.
///
/// # Errors
/// The address cannot stand in a request.
pub fn head(address: &Address, method: &str, authorization: Option<&HeaderValue>) -> Result<Request<()>, http::Error> {
    let uri = format!("http://{}/doorward.v1.DecisionService/{method}", address.authority());
    let mut head = Request::post(uri)
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    if let Some(authorization) = authorization {
        head.headers_mut().insert("authorization", authorization.clone());
    }
    Ok(head)
}

/// A connection, driven by a task of its own. What ends it comes to every call on it.
///
/// # Errors
/// Nobody answers there.
pub async fn connect(address: &Address) -> Result<SendRequest<Bytes>, ConnectError> {
    let stream: Pin<Box<dyn Stream>> = match address {
        Address::Tcp(host) => {
            let stream = TcpStream::connect(host).await?;
            stream.set_nodelay(true)?;
            Box::pin(stream)
        }
        Address::Unix(path) => Box::pin(UnixStream::connect(path).await?),
    };
    let mut builder = client::Builder::new();
    builder.initial_window_size(CALL_WINDOW).initial_connection_window_size(CONNECTION_WINDOW).enable_push(false);
    let (sender, connection) = builder.handshake(stream).await?;
    tokio::spawn(connection);
    Ok(sender)
}

trait Stream: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Stream for S {}

/// Sends one call and reads its reply: the message, without its head.
///
/// # Errors
/// See [`Unanswered`].
pub async fn ask(sender: &SendRequest<Bytes>, head: &Request<()>, message: Bytes) -> Result<Bytes, Unanswered> {
    let mut sender = sender.clone().ready().await.map_err(unanswered)?;
    let (reply, mut body) = sender.send_request(head.clone(), false).map_err(unanswered)?;
    body.send_data(message, true).map_err(unanswered)?;
    read(reply.await.map_err(unanswered)?).await
}

async fn read(reply: Response<RecvStream>) -> Result<Bytes, Unanswered> {
    let (parts, mut body) = reply.into_parts();
    // Of a call without a message there are no trailers.
    if let Some(status) = Status::from_header_map(&parts.headers) {
        return Err(refused(status));
    }
    if parts.status != http::StatusCode::OK {
        return Err(refused(Status::unknown(format!("what answers speaks no gRPC: HTTP status {}", parts.status))));
    }
    let mut pieces = Vec::with_capacity(1);
    while let Some(data) = body.data().await {
        let data = data.map_err(unanswered)?;
        body.flow_control().release_capacity(data.len()).map_err(unanswered)?;
        pieces.push(data);
    }
    let mut message = match pieces.as_slice() {
        [whole] => whole.clone(),
        pieces => pieces.concat().into(),
    };
    let trailers = body.trailers().await.map_err(unanswered)?.unwrap_or_default();
    if trailers.get(Status::GRPC_STATUS).is_none_or(|status| status != "0") {
        let missing = || Status::unknown("the reply has no status");
        return Err(refused(Status::from_header_map(&trailers).unwrap_or_else(missing)));
    }
    let malformed = || refused(Status::internal("the reply is no message"));
    let compressed = message.try_get_u8().map_err(|_| malformed())?;
    let length = message.try_get_u32().map_err(|_| malformed())?;
    if compressed != 0 || u32::try_from(message.len()) != Ok(length) {
        return Err(malformed());
    }
    Ok(message)
}

fn refused(status: Status) -> Unanswered {
    let status = if status.code() == Code::Ok { Status::unknown("the reply has no message") } else { status };
    Unanswered::Refused(Box::new(status))
}

/// A call that was reset is refused; whatever else goes wrong ends the connection.
fn unanswered(error: h2::Error) -> Unanswered {
    if error.is_reset() {
        return refused(Status::from_error(Box::new(error)));
    }
    Unanswered::Lost(error)
}
