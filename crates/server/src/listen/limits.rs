//! The listener's bounds, each with its unit and reason.

use std::time::Duration;
use tokio::net::TcpStream;

/// HTTP/2 frames: large enough that lists do not drown in frame headers.
pub(super) const FRAME_BYTES: u32 = 64 * 1024;
/// HTTP/2 window of one stream: a request body up to this size needs no round trip.
pub(super) const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// HTTP/2 window of a connection.
pub(super) const CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// A peer that vanished without a word is found by the kernel after this idle time.
const KEEP_ALIVE_SECONDS: u32 = 120;

/// What a client may use up.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time; more wait in the kernel's queue. Below the usual descriptor limit.
    pub connections_max: usize,
    /// HTTP/2 streams a connection, as upstream.
    pub streams_max: u32,
    /// HTTP/2 headers of one request, in bytes, as upstream's 1 MiB.
    pub header_bytes_max: u32,
    /// HTTP/1.1 header lines of one request.
    pub headers_max: usize,
    /// HTTP/1.1 request line and headers, in bytes.
    pub buffer_bytes_max: usize,
    /// From a connection's last answer to the end of the next request's headers: idle connections end here, and slow senders.
    pub header_timeout: Duration,
    /// From accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From shutdown to the end of the last connection; watches are cut then.
    pub shutdown_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 8192,
            streams_max: 250,
            header_bytes_max: 1024 * 1024,
            headers_max: 128,
            buffer_bytes_max: 512 * 1024,
            header_timeout: Duration::from_secs(90),
            handshake_timeout: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(2),
        }
    }
}

/// Small answers leave at once, and dead peers are noticed. Failure costs speed alone.
pub(super) fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let _ = rustix::net::sockopt::set_socket_keepalive(stream, true);
    let idle = Duration::from_secs(KEEP_ALIVE_SECONDS.into());
    let _ = rustix::net::sockopt::set_tcp_keepidle(stream, idle);
}
