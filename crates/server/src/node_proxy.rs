//! The server's way to nodes and pods: dials the node's endpoint over TLS as `kube-apiserver-kubelet-client`, or a pod's or service's
//! address, sends one request and, when the other end switches protocols, passes bytes both ways until either ends. Knows HTTP
//! and upgrades, never what flows inside (WebSocket and SPDY alike).

mod location;

pub use location::{Backend, ConnectTarget, Location, locate};

use api::status::{Reason, Status};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A request body on its way to a node.
pub type RequestBody = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// How long a node may take to answer a connection.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Dials nodes and pods.
pub struct NodeClient {
    /// Towards nodes: our certificate, and theirs verified.
    node_tls: TlsConnector,
    /// Towards pods and services asked for over `https:`; as upstream, their certificates are nobody's business here.
    pod_tls: TlsConnector,
}

impl NodeClient {
    /// With the certificate of [`crate::pki::Pki::node_client_config`].
    pub fn new(node: Arc<ClientConfig>) -> Self {
        let provider = node.crypto_provider().clone();
        let verifier = Arc::new(Unverified { provider: provider.clone() });
        // The default versions exist in every provider that this program is built with.
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let pod = match builder {
            Ok(builder) => {
                let config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
                Arc::new(config)
            }
            Err(_) => node.clone(),
        };
        Self { node_tls: TlsConnector::from(node), pod_tls: TlsConnector::from(pod) }
    }

    /// Settings that verify nobody.
    pub(crate) fn unverified(&self) -> Arc<ClientConfig> {
        Arc::clone(self.pod_tls.config())
    }

    /// Sends a request to where it belongs; an answer that switches protocols is connected through to the asker.
    pub async fn forward(&self, mut parts: Parts, body: RequestBody, location: &Location) -> Result<Response<Incoming>, Status> {
        let asker = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
        let request = outgoing(parts, body, location)?;
        let address = location.backend.address();
        let dial = tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect(address.clone()));
        let stream = match dial.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unreachable_backend(&format!("dial tcp {address}: {error}"))),
            Err(_) => return Err(unreachable_backend(&format!("dial tcp {address}: i/o timeout"))),
        };
        let _ = stream.set_nodelay(true);
        let (connector, name) = match &location.backend {
            Backend::Node { name, .. } => (Some(&self.node_tls), name.clone()),
            Backend::Address { tls: true, host, .. } => (Some(&self.pod_tls), host.clone()),
            Backend::Address { .. } => (None, String::new()),
        };
        let Some(connector) = connector else { return exchange(stream, request, asker).await };
        let name = ServerName::try_from(name).map_err(|_| unreachable_backend("the node's name is no DNS name"))?;
        let handshake = tokio::time::timeout(DIAL_TIMEOUT, connector.connect(name, stream));
        match handshake.await {
            Ok(Ok(stream)) => exchange(stream, request, asker).await,
            Ok(Err(error)) => Err(unreachable_backend(&format!("tls: {error}"))),
            Err(_) => Err(unreachable_backend("tls: handshake timeout")),
        }
    }
}

fn unreachable_backend(why: &str) -> Status {
    Status::internal(format!("error dialing backend: {why}"))
}

/// The request as the other end gets it: our credentials instead of the asker's, its own host.
fn outgoing(parts: Parts, body: RequestBody, location: &Location) -> Result<Request<RequestBody>, Status> {
    let mut request = Request::new(body);
    *request.method_mut() = parts.method;
    let target = location.path_and_query.parse();
    *request.uri_mut() = target.map_err(|_| Status::bad_request("the path cannot be passed on"))?;
    *request.headers_mut() = parts.headers;
    let headers = request.headers_mut();
    strip(headers);
    let host = HeaderValue::from_str(&location.backend.address());
    headers.insert(HOST, host.map_err(|_| Status::bad_request("the host cannot be passed on"))?);
    Ok(request)
}

/// Takes away what is not for the other end: credentials, and what concerns one connection alone unless it switches protocols.
fn strip(headers: &mut HeaderMap) {
    headers.remove(AUTHORIZATION);
    let imitating: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with("impersonate-")).cloned().collect();
    for name in imitating {
        headers.remove(name);
    }
    let protocols: Vec<String> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(|p| p.trim().to_owned())
        .filter(|p| !p.is_empty() && !p.starts_with("base64url.bearer.authorization.k8s.io."))
        .collect();
    if let Ok(value) = HeaderValue::from_str(&protocols.join(", "))
        && !protocols.is_empty()
    {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, value);
    }
    if !headers.contains_key(UPGRADE) {
        headers.remove(CONNECTION);
    }
    for name in ["keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"] {
        headers.remove(name);
    }
}

async fn exchange<T>(
    stream: T,
    request: Request<RequestBody>,
    asker: Option<hyper::upgrade::OnUpgrade>,
) -> Result<Response<Incoming>, Status>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let failed = |error: hyper::Error| unreachable_backend(&error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to a node or pod ended");
        }
    });
    let mut response = sender.send_request(request).await.map_err(failed)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let other = hyper::upgrade::on(&mut response);
        match asker {
            Some(asker) => drop(tokio::spawn(join(asker, other))),
            None => return Err(Status::bad_request("upgrade required to be possible on this connection")),
        }
    }
    Ok(response)
}

/// Passes bytes both ways until both ends are done.
async fn join(asker: hyper::upgrade::OnUpgrade, other: hyper::upgrade::OnUpgrade) {
    match tokio::try_join!(asker, other) {
        Ok((asker, other)) => {
            let (mut asker, mut other) = (TokioIo::new(asker), TokioIo::new(other));
            if let Err(error) = tokio::io::copy_bidirectional(&mut asker, &mut other).await {
                tracing::debug!(%error, "an upgraded connection ended");
            }
        }
        Err(error) => tracing::debug!(%error, "a connection could not be upgraded"),
    }
}

/// Turns a node's plain-text refusal into the `Status` that clients read, as upstream does for logs.
pub fn refusal(code: StatusCode, body: &str, name: &str) -> Status {
    match code {
        StatusCode::BAD_REQUEST => Status::bad_request(body),
        StatusCode::INTERNAL_SERVER_ERROR => Status::internal(body),
        StatusCode::NOT_FOUND => {
            let message = format!("the server could not find the requested resource ( pods {name})");
            Status::about(Reason::NotFound, "", "pods", name, message)
        }
        other => {
            let mut status = Status::new(Reason::InternalError, body);
            status.code = other.as_u16();
            status
        }
    }
}

#[derive(Debug)]
struct Unverified {
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
