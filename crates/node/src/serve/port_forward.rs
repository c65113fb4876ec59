//! Ports of a pod, carried to the client: SPDY streams in pairs, over an upgraded connection or inside the messages of a WebSocket; or, as
//! client libraries do it, two channels a port of a plain WebSocket.

use std::collections::HashMap;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::session::{Piece, Wire};
use super::spdy::{self, Stream};
use super::{Body, Endpoint, Refusal, parameters, websocket};

/// SPDY inside the messages of a WebSocket, as kubectl does it.
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
/// Two channels a port: one for data, one for what goes wrong.
const CHANNELS: &str = "v4.channel.k8s.io";
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
        let ports = ports(request.uri().query().unwrap_or_default());
        let (response, protocol, upgrade) = websocket::agree(&mut request, &[TUNNEL, CHANNELS])?.split();
        tokio::spawn(async move {
            if protocol == CHANNELS {
                if let Some(wire) = websocket::channels(upgrade, protocol).await {
                    over_channels(wire, &ports, sandbox).await;
                }
            } else if let Some(stream) = websocket::open(upgrade).await {
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

/// The ports that a request names, several of them in one parameter or each in its own.
fn ports(query: &str) -> Vec<u16> {
    let all = parameters(query).into_iter().filter(|(key, _)| key == "port" || key == "ports");
    all.flat_map(|(_, value)| value.split(',').filter_map(|port| port.parse().ok()).collect::<Vec<_>>()).collect()
}

/// One connection a port, each on two channels that begin with the port's number.
async fn over_channels(wire: Wire, ports: &[u16], sandbox: runtime::pod::Pod) {
    let (mut inlet, outlet) = wire.split();
    let mut connections = tokio::task::JoinSet::new();
    let mut to_pods = HashMap::new();
    for (at, port) in ports.iter().enumerate() {
        let Ok(data) = u8::try_from(at * 2) else { return };
        for channel in [data, data + 1] {
            let number = Piece::Data(bytes::Bytes::copy_from_slice(&port.to_le_bytes()));
            if outlet.send((channel, number)).await.is_err() {
                return;
            }
        }
        match sandbox.dial(*port).await {
            Ok(stream) => {
                let (mut from_pod, to_pod) = stream.into_split();
                to_pods.insert(data, to_pod);
                let outlet = outlet.clone();
                connections.spawn(async move {
                    let mut buffer = vec![0; BUFFER];
                    while let Ok(count @ 1..) = from_pod.read(&mut buffer).await {
                        let piece = Piece::Data(bytes::Bytes::copy_from_slice(&buffer[..count]));
                        if outlet.send((data, piece)).await.is_err() {
                            return;
                        }
                    }
                });
            }
            Err(error) => {
                let why = format!("error forwarding port {port} to pod: {}", crate::pod::steps::chain(&error));
                let _ = outlet.send((data + 1, Piece::Data(why.into()))).await;
            }
        }
    }
    drop(outlet);
    loop {
        tokio::select! {
            piece = inlet.recv() => match piece {
                Some((channel, Piece::Data(bytes))) => {
                    if let Some(to_pod) = to_pods.get_mut(&channel)
                        && to_pod.write_all(&bytes).await.is_err()
                    {
                        to_pods.remove(&channel);
                    }
                }
                Some((channel, Piece::End)) => drop(to_pods.remove(&channel)),
                None => return,
            },
            ended = connections.join_next() => if ended.is_none() { return },
        }
    }
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
