//! The network listener: TLS, HTTP/2 and HTTP/1.1 with upgrades, its limits, and an orderly end. Hands every request to the service with
//! who is at the other end beside it; never authenticates, and never lets an identity in from outside.
//!
//! A connection is verified once, at its handshake; a request then costs two inserts into its extensions. An idle connection has one timer.

mod limits;
mod peer;

pub use limits::Limits;
pub use peer::{Peer, PeerAddress, PeerCertificate};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service, ServiceExt};

/// What the listener needs beside a socket and a service.
#[derive(Clone)]
pub struct Listener {
    tls: Arc<rustls::ServerConfig>,
    trust: Arc<peer::Trust>,
    limits: Limits,
}

/// The listener cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The keys cannot be turned into TLS settings.
    #[error("cannot prepare TLS for the listener")]
    PrepareTls(#[source] crate::pki::PkiError),
    /// Client certificates cannot be verified.
    #[error("cannot prepare the verification of client certificates: {reason}")]
    PrepareTrust {
        /// What the library said.
        reason: String,
    },
    /// The socket has no address.
    #[error("cannot read the listener's own address")]
    ReadAddress(#[source] std::io::Error),
}

impl Listener {
    /// A listener with the cluster's certificates.
    pub fn new(pki: &crate::pki::Pki, limits: Limits) -> Result<Self, ListenError> {
        let tls = pki.server_config().map_err(ListenError::PrepareTls)?;
        let trust = peer::Trust::new(pki.authority())?;
        Ok(Self { tls, trust: Arc::new(trust), limits })
    }

    /// Serves until `shutdown` is cancelled, then lets running requests end within the grace of the limits.
    pub async fn serve<S, B>(self, socket: TcpListener, service: S, shutdown: CancellationToken) -> Result<(), ListenError>
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let address = socket.local_addr().map_err(ListenError::ReadAddress)?;
        tracing::info!(%address, "listening");
        let slots = Arc::new(Semaphore::new(self.limits.connections_max));
        let connections = TaskTracker::new();
        let abort = CancellationToken::new();
        loop {
            // The slot comes first: beyond the limit, connections wait in the kernel's queue instead of in our memory.
            let next = async {
                let slot = slots.clone().acquire_owned().await;
                (slot, socket.accept().await)
            };
            let (slot, accepted) = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                next = next => next,
            };
            match accepted {
                Ok((stream, from)) => {
                    let connection = Connection { listener: self.clone(), from, shutdown: shutdown.clone() };
                    let serving = connection.run(stream, service.clone());
                    let abort = abort.clone();
                    connections.spawn(async move {
                        let _slot = slot;
                        abort.run_until_cancelled(serving).await;
                    });
                }
                Err(error) => pause_after(&error, &shutdown).await,
            }
        }
        drop(socket);
        connections.close();
        if tokio::time::timeout(self.limits.shutdown_grace, connections.wait()).await.is_err() {
            abort.cancel();
            connections.wait().await;
        }
        Ok(())
    }
}

/// Answers a request, and logs it when someone listens to the log: the path without its query, no header, no body, so that no
/// token and no Secret ever stands there.
async fn logged<S, B>(service: S, request: Request<Incoming>) -> Result<Response<B>, Infallible>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
{
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return service.oneshot(request).await;
    }
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begun = std::time::Instant::now();
    let answered = service.oneshot(request).await;
    if let Ok(response) = &answered {
        let (code, micros) = (response.status().as_u16(), begun.elapsed().as_micros());
        tracing::debug!(%method, path, code, micros, "request");
    }
    answered
}

/// Out of descriptors, or a connection that ended before it was taken: the first needs a breath, the second nothing.
async fn pause_after(error: &std::io::Error, shutdown: &CancellationToken) {
    use std::io::ErrorKind;
    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) {
        return;
    }
    tracing::warn!(%error, "cannot accept a connection");
    let _ = tokio::time::timeout(Duration::from_millis(100), shutdown.cancelled()).await;
}

struct Connection {
    listener: Listener,
    from: SocketAddr,
    shutdown: CancellationToken,
}

impl Connection {
    async fn run<S, B>(self, stream: TcpStream, service: S)
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        limits::prepare(&stream);
        let handshake = TlsAcceptor::from(self.listener.tls.clone()).accept(stream);
        let stream = match tokio::time::timeout(self.listener.limits.handshake_timeout, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(from = %self.from, %error, "TLS handshake failed"),
            Err(_) => return tracing::debug!(from = %self.from, "TLS handshake took too long"),
        };
        let (_, session) = stream.get_ref();
        let h2 = session.alpn_protocol() == Some(b"h2");
        let peer = session.peer_certificates().map(|chain| PeerCertificate(Arc::new(self.listener.trust.judge(chain))));
        let from = PeerAddress(self.from);
        let handler = service_fn(move |mut request: Request<Incoming>| {
            let extensions = request.extensions_mut();
            extensions.remove::<api::identity::Identity>();
            extensions.remove::<Arc<api::identity::Identity>>();
            extensions.insert(from);
            if let Some(peer) = &peer {
                extensions.insert(peer.clone());
            }
            logged(service.clone(), request)
        });
        let ended = if h2 { self.serve_h2(stream, handler).await } else { self.serve_h1(stream, handler).await };
        if let Err(error) = ended {
            tracing::debug!(from = %self.from, %error, "connection ended");
        }
    }

    async fn serve_h2<H, B, F>(&self, stream: TlsStream<TcpStream>, handler: H) -> Result<(), hyper::Error>
    where
        H: hyper::service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future = F>,
        F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let limits = &self.listener.limits;
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_max)
            .max_header_list_size(limits.header_bytes_max)
            .max_frame_size(limits::FRAME_BYTES)
            .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
            .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), handler));
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = self.shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }

    async fn serve_h1<H, B, F>(&self, stream: TlsStream<TcpStream>, handler: H) -> Result<(), hyper::Error>
    where
        H: hyper::service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future = F>,
        F: Future<Output = Result<Response<B>, Infallible>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let limits = &self.listener.limits;
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_headers(limits.headers_max)
            .max_buf_size(limits.buffer_bytes_max);
        let connection = builder.serve_connection(TokioIo::new(stream), handler).with_upgrades();
        let mut connection = pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = self.shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }
}

#[cfg(test)]
mod tests;
