//! A bare HTTP/2 client that sends prepared bytes, so that what is weighed is the server: a client
//! library's encoding and its layers have no part in it.

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use prost::Message;

/// A message as it goes over the wire, with the head that gRPC gives it.
pub fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len()).unwrap());
    message.encode(&mut bytes).unwrap();
    bytes.freeze()
}

/// What every call of a method of the decision service begins with.
pub fn head(address: &str, method: &str, authorization: &str) -> http::Request<()> {
    http::Request::post(format!("http://{address}/doorward.v1.DecisionService/{method}"))
        .version(http::Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", authorization)
        .body(())
        .unwrap()
}

/// A connection, driven by a task of its own.
pub async fn connect(address: &str) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Sends one call and reads its answer to the end: that too as it goes over the wire.
pub async fn ask(sender: &SendRequest<Bytes>, head: &http::Request<()>, message: Bytes) -> Bytes {
    let mut sender = sender.clone().ready().await.unwrap();
    let (reply, mut body) = sender.send_request(head.clone(), false).unwrap();
    body.send_data(message, true).unwrap();
    let mut reply = reply.await.unwrap().into_body();
    let mut answer = BytesMut::new();
    while let Some(data) = reply.data().await {
        let data = data.unwrap();
        answer.extend_from_slice(&data);
        reply.flow_control().release_capacity(data.len()).unwrap();
    }
    let trailers = reply.trailers().await.unwrap().unwrap_or_default();
    assert!(answer.len() > 5 && trailers.get("grpc-status").is_some_and(|s| s == "0"), "{answer:?}, {trailers:?}");
    answer.freeze()
}
