//! Calls to servers that extend this one: admission and conversion webhooks, and aggregated API servers. Verified by the bundle that their
//! configuration brings; never with anybody's credentials but our own certificate.

use std::sync::Arc;
use std::time::Duration;

use api::document::Value;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::State;
use crate::node_proxy::{Backend, ConnectTarget, RequestBody, locate};

/// Where a call goes, and who must answer there.
pub(crate) struct Target {
    /// As texts about failures show it.
    pub(crate) url: String,
    /// Host and port that are dialled.
    address: String,
    /// The name that the certificate must bear.
    name: String,
    /// Path and query.
    path: String,
    tls: Arc<ClientConfig>,
}

/// Why nobody answered, in the words of Go's client.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct CallError(String);

impl CallError {
    pub(crate) fn new(text: impl std::fmt::Display) -> Self {
        Self(text.to_string())
    }

    /// Nobody answered in time.
    pub(crate) fn timeout() -> Self {
        Self("context deadline exceeded".to_owned())
    }
}

impl Target {
    /// The target of a `clientConfig`: a URL, or a service and its port and path.
    pub(crate) fn of_client(state: &State, client: &Value) -> Result<Self, CallError> {
        let bundle = client.str_at(&["caBundle"]);
        if let Some(url) = client.str_at(&["url"]) {
            let uri: http::Uri = url.parse().map_err(|_| CallError::new(format!("parse {url:?}: invalid URL")))?;
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let port = uri.port_u16().unwrap_or(443);
            let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
            let tls = tls(state, bundle, false, false)?;
            return Ok(Self { url: url.to_owned(), address: format!("{host}:{port}"), name: host, path, tls });
        }
        let text = |field: &str| client.str_at(&["service", field]).unwrap_or_default();
        let port = client.i64_at(&["service", "port"]).unwrap_or(443);
        let path = format!("/{}", text("path").trim_start_matches('/'));
        Self::of_service(state, (text("namespace"), text("name"), port), &path, tls(state, bundle, false, false)?)
    }

    /// The target of a service.
    pub(crate) fn of_service(
        state: &State,
        (namespace, name, port): (&str, &str, i64),
        path: &str,
        tls: Arc<ClientConfig>,
    ) -> Result<Self, CallError> {
        let host = format!("{name}.{namespace}.svc");
        let asked = format!("https:{name}:{port}");
        let connect = ConnectTarget { resource: "services", subresource: "proxy", namespace, name: &asked, path, query: "" };
        let location = locate(&connect, state).map_err(|status| CallError::new(status.message))?;
        let location = location.ok_or_else(|| CallError::new(format!("no endpoints available for service {name:?}")))?;
        let Backend::Address { .. } = location.backend else { return Err(CallError::new("a service leads to no node")) };
        let url = format!("https://{host}:{port}{path}");
        Ok(Self { url, address: location.backend.address(), name: host, path: path.to_owned(), tls })
    }

    /// The name of who is called.
    pub(crate) fn host(&self) -> &str {
        &self.name
    }

    /// Sends a document and reads the one that is answered.
    pub(crate) async fn post(&self, document: &Value, timeout: Duration) -> Result<Value, CallError> {
        let seconds = timeout.as_secs().max(1);
        let shown = format!("Post \"{}?timeout={seconds}s\"", self.url);
        let path = format!("{}{}timeout={seconds}s", self.path, if self.path.contains('?') { '&' } else { '?' });
        let request = Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(http::header::ACCEPT, "application/json, */*")
            .header(http::header::HOST, &self.name)
            .header(http::header::USER_AGENT, "kube-apiserver-admission");
        let body = Full::new(Bytes::from(document.to_json())).map_err(|never| match never {}).boxed_unsync();
        let request = request.body(body).map_err(CallError::new)?;
        let exchange = async {
            let response = self.send(request).await?;
            let code = response.status();
            let bytes = response.into_body().collect().await.map_err(CallError::new)?.to_bytes();
            if !code.is_success() {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                return Err(CallError::new(format!(
                    "the server responded with the status code {} but did not return more information: {text}",
                    code.as_u16()
                )));
            }
            Ok(bytes)
        };
        let bytes = match tokio::time::timeout(timeout, exchange).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => return Err(CallError(format!("{shown}: {error}"))),
            Err(_) => return Err(CallError(format!("{shown}: context deadline exceeded"))),
        };
        Value::parse_json(&bytes).map(|(value, _)| value).map_err(|error| CallError(format!("{shown}: {error}")))
    }

    /// Sends a request as it is, and hands the answer back as it comes.
    pub(crate) async fn send(&self, request: Request<RequestBody>) -> Result<Response<Incoming>, CallError> {
        let stream = TcpStream::connect(&self.address).await;
        let stream = stream.map_err(|error| CallError(format!("dial tcp {}: {error}", self.address)))?;
        let _ = stream.set_nodelay(true);
        let name = ServerName::try_from(self.name.clone()).map_err(CallError::new)?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream).await;
        let stream = stream.map_err(|error| CallError(format!("tls: {error}")))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(CallError::new)?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to an extension ended");
            }
        });
        sender.send_request(request).await.map_err(CallError::new)
    }
}

/// Settings that trust the bundle (base64 of PEM, as configurations hold it) and show our certificate.
pub(crate) fn tls(
    state: &State,
    bundle: Option<&str>,
    unverified: bool,
    identified: bool,
) -> Result<Arc<ClientConfig>, CallError> {
    use base64::Engine as _;
    if unverified {
        return Ok(state.security.nodes.unverified());
    }
    let mut roots = RootCertStore::empty();
    match bundle.filter(|bundle| !bundle.is_empty()) {
        Some(bundle) => {
            let pem = base64::engine::general_purpose::STANDARD.decode(bundle).map_err(CallError::new)?;
            for certificate in CertificateDer::pem_slice_iter(&pem).flatten() {
                roots.add(certificate).map_err(|error| CallError(format!("tls: {error}")))?;
            }
        }
        None => roots.add(state.security.pki.authority().der().clone()).map_err(|error| CallError(format!("tls: {error}")))?,
    }
    state.security.pki.extension_client_config(roots, identified).map(Arc::new).map_err(CallError::new)
}
