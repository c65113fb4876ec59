//! The node's own endpoint, as a kubelet's: logs, sessions, figures. Whoever asks is authenticated and authorised before anything else.

mod allow;
mod attach;
mod exec;
mod log;
mod port_forward;
mod session;
mod spdy;
mod stats;
mod websocket;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::pod::Pods;
use crate::register::Certificate;
use crate::site::Site;
use allow::Gate;

/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A request cannot be answered; as plain text, which the server turns into a `Status`.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: StatusCode,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(code: StatusCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    fn response(self) -> Response<Body> {
        let mut response = text(self.message);
        *response.status_mut() = self.code;
        response
    }
}

/// A body of text.
pub(crate) fn text(text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// A body of JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> Response<Body> {
    let mut response = Response::new(Full::new(serde_json::to_vec(value).unwrap_or_default().into()).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The endpoint.
pub(crate) struct Endpoint {
    pub(crate) site: Arc<Site>,
    pub(crate) pods: Arc<Pods>,
    gate: Gate,
}

/// Serves for as long as it is polled; from the moment when there is a certificate to serve with.
pub(crate) async fn serve(
    site: Arc<Site>,
    pods: Arc<Pods>,
    socket: TcpListener,
    mut certificate: watch::Receiver<Option<Certificate>>,
    authority_pem: Vec<u8>,
) {
    let gate = Gate::new(site.client.clone(), Arc::clone(&site.name));
    let endpoint = Arc::new(Endpoint { site, pods, gate });
    if certificate.wait_for(Option::is_some).await.is_err() {
        return;
    }
    let mut acceptor = None;
    let mut connections = tokio::task::JoinSet::new();
    loop {
        if acceptor.is_none() || certificate.has_changed().unwrap_or(false) {
            let current = certificate.borrow_and_update().clone();
            acceptor = current.and_then(|current| tls(&current, &authority_pem)).or(acceptor);
        }
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match (accepted, &acceptor) {
            (Ok((stream, _)), Some(acceptor)) => {
                connections.spawn(connection(Arc::clone(&endpoint), acceptor.clone(), stream));
            }
            (Ok(_), None) => {}
            (Err(error), _) => {
                tracing::warn!(%error, "cannot accept a connection");
                ::client::queue::pause(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Asks for a client certificate of the cluster's authority, and does with none.
fn tls(certificate: &Certificate, authority_pem: &[u8]) -> Option<TlsAcceptor> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for der in CertificateDer::pem_slice_iter(authority_pem).flatten() {
        roots.add(der).ok()?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier = verifier.allow_unauthenticated().build().ok()?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate.chain.as_bytes()).flatten().collect();
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).ok()?;
    let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let mut config = builder.with_client_cert_verifier(verifier).with_single_cert(chain, key).ok()?;
    // Sessions upgrade, which HTTP/2 does not do.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(TlsAcceptor::from(Arc::new(config)))
}

async fn connection(endpoint: Arc<Endpoint>, acceptor: TlsAcceptor, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => return tracing::debug!("a TLS handshake took too long"),
    };
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(|chain| chain.first()).map(|der| der.clone().into_owned());
    let handler = service_fn(move |request: Request<Incoming>| {
        let (endpoint, certificate) = (Arc::clone(&endpoint), certificate.clone());
        async move { Ok::<_, Infallible>(endpoint.answer(request, certificate).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new());
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), handler).with_upgrades().await {
        tracing::debug!(%error, "a connection ended");
    }
}

impl Endpoint {
    async fn answer(&self, request: Request<Incoming>, certificate: Option<CertificateDer<'static>>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let allowed = self.gate.check(request.method(), &path, request.headers(), certificate.as_ref()).await;
        match allowed {
            Ok(()) => self.route(request, &path).await.unwrap_or_else(Refusal::response),
            Err(refusal) => refusal.response(),
        }
    }

    async fn route(&self, request: Request<Incoming>, path: &str) -> Result<Response<Body>, Refusal> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let reads = request.method() == Method::GET;
        match parts.as_slice() {
            ["healthz"] => Ok(text("ok")),
            ["pods"] if reads => Ok(self.list()),
            ["containerLogs", namespace, pod, container] if reads => {
                let (namespace, pod, container) = (namespace.to_string(), pod.to_string(), container.to_string());
                log::serve(self, &namespace, &pod, &container, request).await
            }
            ["exec", namespace, pod, container] | ["exec", namespace, pod, _, container] => {
                let (namespace, pod, container) = (namespace.to_string(), pod.to_string(), container.to_string());
                exec::serve(self, &namespace, &pod, &container, request).await
            }
            ["attach", namespace, pod, container] | ["attach", namespace, pod, _, container] => {
                let (namespace, pod, container) = (namespace.to_string(), pod.to_string(), container.to_string());
                attach::serve(self, &namespace, &pod, &container, request).await
            }
            ["portForward", namespace, pod] | ["portForward", namespace, pod, _] => {
                let (namespace, pod) = (namespace.to_string(), pod.to_string());
                port_forward::serve(self, &namespace, &pod, request)
            }
            ["stats", "summary"] if reads => Ok(stats::summary(self).await),
            ["metrics", "resource"] if reads => Ok(stats::metrics(self).await),
            _ => Err(Refusal::missing("404 page not found\n")),
        }
    }

    fn list(&self) -> Response<Body> {
        let items: Vec<_> = self.pods.all().into_iter().map(|seen| seen.pod).collect();
        let items: Vec<_> = items.iter().map(std::convert::AsRef::as_ref).collect();
        json(&serde_json::json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items }))
    }
}

/// Query parameters, decoded, in order.
pub(crate) fn parameters(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decoded(k), decoded(v))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let pair = behind.get(..2).and_then(|pair| std::str::from_utf8(pair).ok()).and_then(|p| u8::from_str_radix(p, 16).ok());
        match (first, pair) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = behind;
            }
            (other, _) => {
                bytes.push(*other);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The first value of a parameter.
pub(crate) fn parameter<'a>(all: &'a [(String, String)], name: &str) -> Option<&'a str> {
    all.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}

/// Whether a parameter says yes.
pub(crate) fn flag(all: &[(String, String)], name: &str) -> bool {
    parameter(all, name).is_some_and(|value| matches!(value, "1" | "true" | "True" | "TRUE" | "t" | "T"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_in_order() {
        let all = parameters("command=sh&command=-c&command=echo%20a%2Bb+c&tty=1&empty=");
        let commands: Vec<&str> = all.iter().filter(|(key, _)| key == "command").map(|(_, value)| value.as_str()).collect();
        assert_eq!(commands, ["sh", "-c", "echo a+b c"]);
        assert!(flag(&all, "tty") && !flag(&all, "stdin"));
        assert_eq!(parameter(&all, "empty"), None);
    }
}
