//! SPDY/3.1 as clients of logs and ports speak it: streams within one connection, no flow control, headers compressed with the protocol's
//! own dictionary. The server's side alone.

mod frame;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::session::{ERROR, Piece, RESIZE, STDERR, STDIN, STDOUT, Wanted, Wire, WireEnd, wire};
use super::{Body, Refusal};
use frame::{Frame, Reader, Writer};

const PROTOCOL: &str = "SPDY/3.1";
const VERSION_HEADER: &str = "x-stream-protocol-version";
const PIECES_MAX: usize = 16;
const BUFFER: usize = 64 << 10;
/// The longest piece of data in one frame.
const DATA_MAX: usize = 32 << 10;

/// Whether a request wants SPDY.
pub(super) fn is_asked(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case(PROTOCOL))
}

/// Agrees on the first of the protocols that the client names and we know.
pub(super) fn agree(request: &mut Request<Incoming>, known: &[&'static str]) -> Result<(Response<Body>, OnUpgrade), Refusal> {
    let asked: Vec<&str> = request
        .headers()
        .get_all(VERSION_HEADER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let chosen = known.iter().find(|known| asked.contains(known));
    let chosen = *chosen.ok_or_else(|| {
        Refusal::new(
            StatusCode::FORBIDDEN,
            format!("unable to upgrade: unable to negotiate protocol: client supports {asked:?}, server accepts {known:?}"),
        )
    })?;
    let mut response = Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(VERSION_HEADER, HeaderValue::from_static(chosen));
    Ok((response, hyper::upgrade::on(request)))
}

/// One stream, opened by the client.
pub(super) struct Stream {
    id: u32,
    headers: Vec<(String, String)>,
    inlet: mpsc::Receiver<Piece>,
    writer: mpsc::Sender<Frame>,
}

/// Sends on one stream.
#[derive(Clone)]
pub(super) struct Sender {
    id: u32,
    writer: mpsc::Sender<Frame>,
}

/// The connection is gone.
#[derive(Debug)]
pub(super) struct Gone;

impl Sender {
    pub(super) async fn send(&self, piece: Piece) -> Result<(), Gone> {
        match piece {
            Piece::Data(mut bytes) => {
                while !bytes.is_empty() {
                    let part = bytes.split_to(bytes.len().min(DATA_MAX));
                    self.frame(Frame::Data { stream: self.id, bytes: part, last: false }).await?;
                }
                Ok(())
            }
            Piece::End => self.frame(Frame::Data { stream: self.id, bytes: Bytes::new(), last: true }).await,
        }
    }

    async fn frame(&self, frame: Frame) -> Result<(), Gone> {
        self.writer.send(frame).await.map_err(|_| Gone)
    }
}

impl Stream {
    /// A header that it was opened with; names are in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The next piece; none when the connection is gone.
    pub(super) async fn recv(&mut self) -> Option<Piece> {
        self.inlet.recv().await
    }

    pub(super) fn sender(&self) -> Sender {
        Sender { id: self.id, writer: self.writer.clone() }
    }

    pub(super) async fn send(&self, piece: Piece) -> Result<(), Gone> {
        self.sender().send(piece).await
    }
}

/// Takes the streams that a client opens.
pub(super) fn accept<T>(io: T) -> mpsc::Receiver<Stream>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (reader, mut sink) = tokio::io::split(io);
    let (streams, accepted) = mpsc::channel(PIECES_MAX);
    let (frames, mut written) = mpsc::channel::<Frame>(PIECES_MAX);
    tokio::spawn(async move {
        let mut writer = Writer::new();
        while let Some(frame) = written.recv().await {
            if sink.write_all(&writer.bytes(&frame)).await.is_err() || sink.flush().await.is_err() {
                return;
            }
        }
        let _ = sink.shutdown().await;
    });
    tokio::spawn(read(reader, streams, frames));
    accepted
}

async fn read<T: AsyncRead + Unpin>(mut io: T, streams: mpsc::Sender<Stream>, writer: mpsc::Sender<Frame>) {
    let mut reader = Reader::new();
    let mut inlets: HashMap<u32, mpsc::Sender<Piece>> = HashMap::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let frame = loop {
            match reader.next() {
                Ok(Some(frame)) => break frame,
                Ok(None) => {}
                Err(error) => return tracing::debug!(%error, "a client does not speak SPDY"),
            }
            let count = tokio::select! {
                read = io.read(&mut buffer) => read,
                () = streams.closed(), if inlets.is_empty() => return,
            };
            match count {
                Ok(count @ 1..) => reader.feed(&buffer[..count]),
                _ => return,
            }
        };
        match frame {
            Frame::Open { stream: id, headers, last } => {
                let (sender, inlet) = mpsc::channel(PIECES_MAX);
                if last {
                    let _ = sender.send(Piece::End).await;
                } else {
                    inlets.insert(id, sender);
                }
                let stream = Stream { id, headers, inlet, writer: writer.clone() };
                if writer.send(Frame::Reply { stream: id }).await.is_err() || streams.send(stream).await.is_err() {
                    return;
                }
            }
            Frame::Data { stream, bytes, last } => {
                let Some(inlet) = inlets.get(&stream) else { continue };
                if !bytes.is_empty() {
                    let _ = inlet.send(Piece::Data(bytes)).await;
                }
                if last {
                    let _ = inlet.send(Piece::End).await;
                    inlets.remove(&stream);
                }
            }
            Frame::Reset { stream } => drop(inlets.remove(&stream)),
            Frame::Ping { id } => {
                let _ = writer.send(Frame::Ping { id }).await;
            }
            Frame::GoAway => return,
            Frame::Reply { .. } | Frame::Ignored => {}
        }
    }
}

/// The channels of a session over SPDY: waits for the streams that the session needs.
pub(super) async fn channels(upgrade: OnUpgrade, wanted: Wanted) -> Option<Wire> {
    let upgraded = upgrade.await.ok()?;
    let mut streams = accept(TokioIo::new(upgraded));
    let mut found: HashMap<u8, Stream> = HashMap::new();
    let all = [(STDIN, wanted.stdin), (STDOUT, wanted.stdout), (STDERR, wanted.stderr), (ERROR, true), (RESIZE, wanted.tty)];
    let needed = all.iter().filter(|(_, needed)| *needed).count();
    while found.len() < needed {
        let stream = streams.recv().await?;
        let channel = match stream.header("streamtype")? {
            "stdin" => STDIN,
            "stdout" => STDOUT,
            "stderr" => STDERR,
            "error" => ERROR,
            "resize" => RESIZE,
            _ => continue,
        };
        found.insert(channel, stream);
    }
    let (ours, theirs) = wire();
    tokio::spawn(carry(found, theirs, streams));
    Some(ours)
}

/// `held` keeps the connection open for as long as the session lasts.
async fn carry(found: HashMap<u8, Stream>, end: WireEnd, held: mpsc::Receiver<Stream>) {
    let WireEnd { to_session, mut from_session } = end;
    let senders: HashMap<u8, Sender> = found.iter().map(|(channel, stream)| (*channel, stream.sender())).collect();
    let mut reading = tokio::task::JoinSet::new();
    let gone = Arc::new(tokio::sync::Notify::new());
    for (channel, mut stream) in found {
        let (to_session, gone) = (to_session.clone(), Arc::clone(&gone));
        reading.spawn(async move {
            loop {
                match stream.recv().await {
                    Some(Piece::End) => {
                        let _ = to_session.send((channel, Piece::End)).await;
                        // A stream that was ended politely says nothing of the connection.
                        return std::future::pending().await;
                    }
                    Some(piece) => drop(to_session.send((channel, piece)).await),
                    None => return gone.notify_one(),
                }
            }
        });
    }
    drop(to_session);
    loop {
        let next = tokio::select! {
            next = from_session.recv() => next,
            () = gone.notified() => return,
        };
        let Some((channel, piece)) = next else { break };
        if let Some(sender) = senders.get(&channel)
            && sender.send(piece).await.is_err()
        {
            return;
        }
    }
    for sender in senders.values() {
        let _ = sender.send(Piece::End).await;
    }
    drop(held);
}

/// The bytes within the messages of a WebSocket.
pub(super) fn tunnel(stream: WebSocketStream<TokioIo<Upgraded>>) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    let (mut reader, mut writer) = tokio::io::split(theirs);
    let (mut sink, mut stream) = stream.split();
    tokio::spawn(async move {
        while let Some(Ok(message)) = stream.next().await {
            let bytes: Bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Close(_) => break,
                _ => continue,
            };
            if writer.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = writer.shutdown().await;
    });
    tokio::spawn(async move {
        let mut buffer = vec![0; BUFFER];
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            let message = Message::Binary(Bytes::copy_from_slice(&buffer[..count]));
            if sink.send(message).await.is_err() {
                return;
            }
        }
        let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        let _ = sink.send(Message::Close(Some(normal))).await;
    });
    ours
}
