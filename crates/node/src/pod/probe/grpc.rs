//! The health service of gRPC, asked over plain HTTP/2; its two messages are small enough to be written by hand.

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::api::core::v1::GRPCAction;
use tokio::net::TcpStream;

use super::tcp::dial_error;
use crate::pod::run::Target;

const SERVING: u64 = 1;

pub(super) async fn check(target: &Target, action: &GRPCAction) -> Result<(), String> {
    let (host, port) = (target.address.to_string(), u16::try_from(action.port).unwrap_or(0));
    let stream = TcpStream::connect((host.as_str(), port)).await;
    let stream = stream.map_err(|error| {
        let why = dial_error(&error);
        format!("error: health rpc failed: rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp {host}:{port}: {why}\"")
    })?;
    let failed = |error: hyper::Error| format!("error: health rpc failed: {error}");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(failed)?;
    let _connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::post(format!("http://{host}:{port}/grpc.health.v1.Health/Check"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .header(header::USER_AGENT, "kube-probe/1.37")
        .body(Full::new(question(action.service.as_deref().unwrap_or_default())))
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(failed)?;
    let of_headers = response.headers().get("grpc-status").cloned();
    let body = response.into_body().collect().await.map_err(failed)?;
    let status = body.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned().or(of_headers);
    let status = status.and_then(|status| status.to_str().ok()?.parse::<u32>().ok()).unwrap_or(0);
    if status == 12 {
        return Err("error: this server does not implement the grpc health protocol (grpc.health.v1.Health)".into());
    }
    if status != 0 {
        return Err(format!("error: health rpc failed: rpc error: code = {status}"));
    }
    match answer(&body.to_bytes()) {
        Some(SERVING) => Ok(()),
        Some(other) => Err(format!("service unhealthy (responded with \"{}\")", name(other))),
        None => Err("error: health rpc failed: the answer is malformed".into()),
    }
}

/// `HealthCheckRequest { service = 1 }` in the frame of gRPC.
fn question(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
    frame.extend(message);
    frame.into()
}

/// The status in `HealthCheckResponse { status = 1 }`; zero when it is left out.
fn answer(frame: &[u8]) -> Option<u64> {
    let message = frame.get(5..)?;
    match message {
        [] => Some(0),
        [0x08, status, ..] => Some(u64::from(*status)),
        _ => None,
    }
}

fn name(status: u64) -> &'static str {
    match status {
        0 => "UNKNOWN",
        1 => "SERVING",
        2 => "NOT_SERVING",
        _ => "SERVICE_UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_messages_are_as_the_protocol_has_them() {
        assert_eq!(question("").as_ref(), [0, 0, 0, 0, 0]);
        assert_eq!(question("ab").as_ref(), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(answer(&[0, 0, 0, 0, 2, 0x08, 1]), Some(SERVING));
        assert_eq!(answer(&[0, 0, 0, 0, 0]), Some(0));
        assert_eq!(answer(&[0]), None);
    }
}
