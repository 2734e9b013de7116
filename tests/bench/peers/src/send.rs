//! Bare clients that send prepared bytes, HTTP/2 for gRPC and HTTP/1.1 for JSON, so that what is
//! weighed is the server.

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The whole of a request.
pub fn post(address: &str, path: &str, body: &Value) -> Bytes {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Bytes::from(head + &body)
}

/// What every call of a method begins with.
pub fn head(address: &str, path: &str, authorization: Option<&str>) -> http::Request<()> {
    let mut head = http::Request::post(format!("http://{address}{path}"))
        .version(http::Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if let Some(value) = authorization {
        head = head.header("authorization", value);
    }
    head.body(()).unwrap()
}

async fn socket(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap_or_else(|e| panic!("{address}: {e}"));
    stream.set_nodelay(true).unwrap();
    stream
}

/// An HTTP/2 connection, driven by a task of its own.
pub async fn connect(address: &str) -> SendRequest<Bytes> {
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1 << 20).initial_connection_window_size(8 << 20);
    let (sender, connection) = builder.handshake(socket(address).await).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// One caller's way to the server.
pub enum Line {
    Grpc(SendRequest<Bytes>, http::Request<()>),
    Http(TcpStream, BytesMut),
}

impl Line {
    pub async fn http(address: &str) -> Self {
        Self::Http(socket(address).await, BytesMut::with_capacity(1 << 16))
    }

    /// Sends the calls together and reads the replies to their ends; an error is what the server
    /// said instead.
    pub async fn ask(&mut self, calls: &[Bytes]) -> Result<Vec<Bytes>, String> {
        let mut replies = Vec::with_capacity(calls.len());
        match self {
            Self::Grpc(sender, head) => {
                let mut sent = Vec::with_capacity(calls.len());
                for call in calls {
                    let mut sender = sender.clone().ready().await.map_err(|e| e.to_string())?;
                    let (reply, mut body) = sender.send_request(head.clone(), false).map_err(|e| e.to_string())?;
                    body.send_data(call.clone(), true).map_err(|e| e.to_string())?;
                    sent.push(reply);
                }
                for reply in sent {
                    replies.push(read(reply).await?);
                }
            }
            Self::Http(stream, buffer) => {
                for call in calls {
                    stream.write_all(call).await.map_err(|e| e.to_string())?;
                    replies.push(reply(stream, buffer).await?);
                }
            }
        }
        Ok(replies)
    }
}

async fn read(reply: h2::client::ResponseFuture) -> Result<Bytes, String> {
    let reply = reply.await.map_err(|e| e.to_string())?;
    let first = reply.headers().clone();
    let mut body = reply.into_body();
    let mut answer = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|e| e.to_string())?;
        answer.extend_from_slice(&data);
        body.flow_control().release_capacity(data.len()).map_err(|e| e.to_string())?;
    }
    let last = body.trailers().await.map_err(|e| e.to_string())?.unwrap_or(first);
    match last.get("grpc-status") {
        Some(status) if status == "0" && answer.len() >= 5 => Ok(answer.freeze()),
        _ => Err(format!("{last:?}")),
    }
}

/// Reads one reply, its length given or in chunks.
async fn reply(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<Bytes, String> {
    let end = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at;
        }
        more(stream, buffer).await?;
    };
    let head = buffer.split_to(end + 4);
    let head = std::str::from_utf8(&head).map_err(|e| e.to_string())?.to_ascii_lowercase();
    let length =
        head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
    let body = if let Some(length) = length {
        while buffer.len() < length {
            more(stream, buffer).await?;
        }
        buffer.split_to(length).freeze()
    } else {
        chunks(stream, buffer).await?
    };
    match head.split(' ').nth(1) {
        Some("200" | "201" | "204") => Ok(body),
        _ => Err(format!("{head}{}", String::from_utf8_lossy(&body))),
    }
}

async fn chunks(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    loop {
        let end = loop {
            if let Some(at) = find(buffer, b"\r\n") {
                break at;
            }
            more(stream, buffer).await?;
        };
        let line = buffer.split_to(end + 2);
        let size = std::str::from_utf8(&line[..end]).map_err(|e| e.to_string())?;
        let size = usize::from_str_radix(size, 16).map_err(|e| e.to_string())?;
        while buffer.len() < size + 2 {
            more(stream, buffer).await?;
        }
        body.extend_from_slice(&buffer.split_to(size));
        let _end_of_line = buffer.split_to(2);
        if size == 0 {
            return Ok(body.freeze());
        }
    }
}

async fn more(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<(), String> {
    match stream.read_buf(buffer).await {
        Ok(0) => Err("the server hung up".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|w| w == what)
}
