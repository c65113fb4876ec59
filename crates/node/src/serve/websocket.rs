//! The WebSocket side of sessions: the handshake, and channels numbered by the first byte of each message.

use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::session::{ERROR, Piece, Wire, WireEnd, wire};
use super::{Body, Refusal};

/// How a session that is over is closed (RFC 6455, 7.4.1).
const NORMAL_END: CloseFrame = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static("") };
/// How long a client may take to answer the close.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// With this channel a client closes another one (v5).
const CLOSE: u8 = 255;

/// The first protocol: how the program ended is plain text, and nothing when it ended well.
pub(super) const PLAIN: &str = "channel.k8s.io";

/// The protocols of what only flows to the client: bytes as they are, or as text in base64.
pub(super) const STREAMS: &[&str] = &["binary.k8s.io", TEXT];
const TEXT: &str = "base64.binary.k8s.io";

/// Whether a request wants a WebSocket.
pub(super) fn is_asked(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE).and_then(|value| value.to_str().ok());
    upgrade.is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
}

/// A handshake that is agreed on: what to answer, and what comes after.
pub(super) struct Agreed {
    pub(super) response: Response<Body>,
    pub(super) protocol: &'static str,
    upgrade: OnUpgrade,
}

/// Agrees on the first of the protocols that the client names and we know.
pub(super) fn agree(request: &mut Request<Incoming>, known: &[&'static str]) -> Result<Agreed, Refusal> {
    let headers = request.headers();
    let asked: Vec<&str> = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let protocol = asked.iter().find_map(|asked| known.iter().find(|known| *known == asked));
    let protocol =
        *protocol.ok_or_else(|| Refusal::bad(format!("unable to upgrade: none of {asked:?} is supported: {known:?}")))?;
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or_else(|| Refusal::bad("unable to upgrade: no key"))?;
    let accept = HeaderValue::try_from(derive_accept_key(key.as_bytes())).map_err(|_| Refusal::bad("unable to upgrade"))?;
    let mut response = Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answers = response.headers_mut();
    answers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    answers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    Ok(Agreed { response, protocol, upgrade: hyper::upgrade::on(request) })
}

/// The stream after a handshake; none when the client left.
pub(super) async fn open(upgrade: OnUpgrade) -> Option<WebSocketStream<TokioIo<Upgraded>>> {
    let upgraded = upgrade.await.ok()?;
    Some(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await)
}

impl Agreed {
    /// Splits off what comes after the answer.
    pub(super) fn split(self) -> (Response<Body>, &'static str, OnUpgrade) {
        (self.response, self.protocol, self.upgrade)
    }
}

/// The channels of a session over a WebSocket.
pub(super) async fn channels(upgrade: OnUpgrade, protocol: &'static str) -> Option<Wire> {
    let stream = open(upgrade).await?;
    let (ours, theirs) = wire();
    tokio::spawn(carry(stream, theirs, protocol));
    Some(ours)
}

/// Sends pieces to the client until they end or it leaves.
pub(super) async fn stream(upgrade: OnUpgrade, protocol: &'static str, mut pieces: mpsc::Receiver<Bytes>) {
    use base64::Engine as _;
    let Some(stream) = open(upgrade).await else { return };
    let (mut sink, mut stream) = stream.split();
    let mut reading = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
        while let Some(Ok(message)) = stream.next().await {
            if matches!(message, Message::Close(_)) {
                return;
            }
        }
    }));
    loop {
        let piece = tokio::select! {
            piece = pieces.recv() => piece,
            _ = &mut reading => return,
        };
        let Some(piece) = piece else { break };
        let message = match protocol {
            TEXT => Message::Text(base64::engine::general_purpose::STANDARD.encode(piece).into()),
            _ => Message::Binary(piece),
        };
        if sink.send(message).await.is_err() {
            return;
        }
    }
    let _ = sink.send(Message::Close(Some(NORMAL_END))).await;
    let _ = tokio::time::timeout(CLOSE_MAX, &mut reading).await;
}

/// The text of a status that is no success.
fn plain(status: &[u8]) -> Option<Bytes> {
    let status: serde_json::Value = serde_json::from_slice(status).ok()?;
    let failed = status["status"] != "Success";
    failed.then(|| status["message"].as_str().unwrap_or_default().to_owned().into())
}

async fn carry(stream: WebSocketStream<TokioIo<Upgraded>>, end: WireEnd, protocol: &'static str) {
    let closes = protocol.starts_with("v5");
    let WireEnd { to_session, mut from_session } = end;
    let (mut sink, mut stream) = stream.split();
    let reading = async move {
        while let Some(Ok(message)) = stream.next().await {
            let bytes: Bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => text.into(),
                Message::Close(_) => return,
                _ => continue,
            };
            let Some(channel) = bytes.first().copied() else { continue };
            let piece = match (channel, bytes.get(1)) {
                (CLOSE, Some(closed)) if closes => (*closed, Piece::End),
                _ => (channel, Piece::Data(bytes.slice(1..))),
            };
            if to_session.send(piece).await.is_err() {
                // The session is over; what the client still says is of no use, but its close is awaited.
                continue;
            }
        }
    };
    let writing = async move {
        while let Some((channel, piece)) = from_session.recv().await {
            let Piece::Data(bytes) = piece else { continue };
            let Some(bytes) = (if channel == ERROR && protocol == PLAIN { plain(&bytes) } else { Some(bytes) }) else { continue };
            let mut message = Vec::with_capacity(bytes.len() + 1);
            message.push(channel);
            message.extend_from_slice(&bytes);
            if sink.send(Message::Binary(message.into())).await.is_err() {
                return;
            }
        }
        // Clients take an end without this code for a failure.
        let _ = sink.send(Message::Close(Some(NORMAL_END))).await;
    };
    // Reading ends with the client; writing with the session. A client that left ends the session by its closed inlet.
    let mut reading = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(reading));
    writing.await;
    // What the client still sends is read until it closes too: an unread rest would reset the connection, and with it what it has not read.
    let _ = tokio::time::timeout(CLOSE_MAX, &mut reading).await;
}

#[cfg(test)]
mod tests {
    use super::super::session::outcome;
    use super::*;

    #[test]
    fn the_first_protocol_tells_failures_alone_and_as_text() {
        assert_eq!(plain(outcome(0).to_string().as_bytes()), None);
        let told = plain(outcome(3).to_string().as_bytes()).expect("a failure");
        assert_eq!(told, "command terminated with non-zero exit code: exit status 3");
    }
}
