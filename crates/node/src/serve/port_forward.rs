//! Ports of a pod, carried to the client: SPDY streams in pairs, over an upgraded connection or inside the messages of a WebSocket.

use std::collections::HashMap;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::session::Piece;
use super::spdy::{self, Stream};
use super::{Body, Endpoint, Refusal, websocket};

/// SPDY inside the messages of a WebSocket, as kubectl does it.
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
/// The protocol of the streams.
const PROTOCOL: &str = "portforward.k8s.io";
const BUFFER: usize = 32 << 10;

/// Answers a request to forward ports.
pub(super) fn serve(
    endpoint: &Endpoint,
    namespace: &str,
    pod: &str,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let seen = endpoint.pods.find(namespace, pod);
    let seen = seen.ok_or_else(|| Refusal::missing(format!("pod \"{pod}\" not found")))?;
    let sandbox = seen.sandbox.ok_or_else(|| Refusal::failed("the pod does not run"))?;
    if websocket::is_asked(&request) {
        let (response, _, upgrade) = websocket::agree(&mut request, &[TUNNEL])?.split();
        tokio::spawn(async move {
            if let Some(stream) = websocket::open(upgrade).await {
                forward(spdy::tunnel(stream), sandbox).await;
            }
        });
        return Ok(response);
    }
    if spdy::is_asked(&request) {
        let (response, upgrade) = spdy::agree(&mut request, &[PROTOCOL])?;
        tokio::spawn(async move {
            if let Ok(upgraded) = upgrade.await {
                forward(TokioIo::new(upgraded), sandbox).await;
            }
        });
        return Ok(response);
    }
    Err(Refusal::bad("Upgrade request required"))
}

/// Pairs the streams of each connection by its number, and connects it.
async fn forward<T>(io: T, sandbox: runtime::pod::Pod)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut streams = spdy::accept(io);
    let mut waiting: HashMap<String, (Option<Stream>, Option<Stream>)> = HashMap::new();
    // The connections end with the client's.
    let mut connections = tokio::task::JoinSet::new();
    while let Some(stream) = streams.recv().await {
        let id = stream.header("requestid").unwrap_or_default().to_owned();
        let pair = waiting.entry(id.clone()).or_default();
        match stream.header("streamtype") {
            Some("error") => pair.0 = Some(stream),
            Some("data") => pair.1 = Some(stream),
            _ => continue,
        }
        if let (Some(_), Some(_)) = pair
            && let Some((Some(errors), Some(data))) = waiting.remove(&id)
        {
            connections.spawn(connect(sandbox.clone(), errors, data));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connect(sandbox: runtime::pod::Pod, errors: Stream, data: Stream) {
    let port = data.header("port").and_then(|port| port.parse::<u16>().ok()).unwrap_or(0);
    match sandbox.dial(port).await {
        Ok(stream) => carry(stream, data).await,
        Err(error) => {
            let why = crate::pod::steps::chain(&error);
            let text = format!("an error occurred forwarding {port} -> {port}: error forwarding port {port} to pod: {why}");
            let _ = errors.send(Piece::Data(text.into())).await;
            let _ = data.send(Piece::End).await;
        }
    }
    let _ = errors.send(Piece::End).await;
}

async fn carry(stream: tokio::net::TcpStream, mut data: Stream) {
    let (mut from_pod, mut to_pod) = stream.into_split();
    let sender = data.sender();
    let outward = async move {
        let mut buffer = vec![0; BUFFER];
        while let Ok(count @ 1..) = from_pod.read(&mut buffer).await {
            let piece = Piece::Data(bytes::Bytes::copy_from_slice(&buffer[..count]));
            if sender.send(piece).await.is_err() {
                return;
            }
        }
        let _ = sender.send(Piece::End).await;
    };
    let inward = async {
        while let Some(Piece::Data(bytes)) = data.recv().await {
            if to_pod.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = to_pod.shutdown().await;
    };
    tokio::join!(outward, inward);
}
