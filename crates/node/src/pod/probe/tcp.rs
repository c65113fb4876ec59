//! Whether a port takes connections.

use k8s_openapi::api::core::v1::TCPSocketAction;
use tokio::net::TcpStream;

use super::{host, port};
use crate::pod::run::Target;

pub(super) async fn connect(target: &Target, action: &TCPSocketAction) -> Result<(), String> {
    let (host, port) = (host(target, action.host.as_ref()), port(target, &action.port)?);
    match TcpStream::connect((host.as_str(), port)).await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("dial tcp {host}:{port}: {}", dial_error(&error))),
    }
}

/// A failed connection in Go's words.
pub(super) fn dial_error(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connect: connection refused".into(),
        std::io::ErrorKind::HostUnreachable => "connect: no route to host".into(),
        _ => format!("connect: {error}"),
    }
}
