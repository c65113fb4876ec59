//! One GET as probes and hooks make it: a fresh connection, no certificate checked, redirects followed on the same host alone.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::HTTPGetAction;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::tcp::dial_error;
use super::{host, port};
use crate::pod::run::Target;
use crate::trust::trusting;

const REDIRECTS_MAX: usize = 10;
/// So much of a body is read; whether it comes whole matters to nobody.
const BODY_BYTES_MAX: usize = 10 << 10;

/// What was answered.
#[derive(Debug)]
pub(in crate::pod) struct Answer {
    pub(in crate::pod) code: u16,
    location: Option<String>,
}

/// Where a probe goes.
fn address(target: &Target, action: &HTTPGetAction) -> Result<Uri, String> {
    let scheme = action.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
    let host = host(target, action.host.as_ref());
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let path = action.path.as_deref().unwrap_or("/");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let text = format!("{scheme}://{host}:{}{slash}{path}", port(target, &action.port)?);
    text.parse().map_err(|_| format!("invalid address: {text}"))
}

/// What the event of a request says that was not answered in time.
pub(super) fn timed_out(target: &Target, action: Option<&HTTPGetAction>) -> String {
    let shown = action.and_then(|action| address(target, action).ok()).map(|uri| uri.to_string()).unwrap_or_default();
    format!("Get \"{shown}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
}

/// Asks, and follows redirects as long as they stay on the host; one that leads away is an answer.
pub(in crate::pod) async fn get(target: &Target, action: &HTTPGetAction) -> Result<Answer, String> {
    let first = address(target, action)?;
    let mut uri = first.clone();
    for _ in 0..REDIRECTS_MAX {
        let answer = ask(&uri, action).await.map_err(|why| format!("Get \"{uri}\": {why}"))?;
        let next = answer.location.as_deref().filter(|_| (300..400).contains(&answer.code)).and_then(|to| resolve(&uri, to));
        match next {
            Some(next) if next.host() == first.host() => uri = next,
            _ => return Ok(answer),
        }
    }
    Err(format!("Get \"{uri}\": stopped after 10 redirects"))
}

fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let uri: Uri = location.parse().ok()?;
    if uri.host().is_some() {
        return Some(uri);
    }
    let mut parts = base.clone().into_parts();
    let path = if location.starts_with('/') { location.to_owned() } else { format!("/{location}") };
    parts.path_and_query = path.parse().ok();
    Uri::from_parts(parts).ok()
}

async fn ask(uri: &Uri, action: &HTTPGetAction) -> Result<Answer, String> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = TcpStream::connect((host.as_str(), port)).await;
    let stream = stream.map_err(|error| format!("dial tcp {host}:{port}: {}", dial_error(&error)))?;
    if !secure {
        return exchange(stream, uri, action).await;
    }
    let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(Arc::clone(trusting()));
    exchange(connector.connect(name, stream).await.map_err(|error| error.to_string())?, uri, action).await
}

async fn exchange<S>(stream: S, uri: &Uri, action: &HTTPGetAction) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let said = |error: hyper::Error| if error.is_incomplete_message() { "EOF".to_owned() } else { error.to_string() };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
    // The connection ends with this request, and its task with it.
    let connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let response = sender.send_request(request(uri, action)?).await.map_err(said)?;
    let code = response.status().as_u16();
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let _ = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
    drop(connection);
    Ok(Answer { code, location })
}

fn request(uri: &Uri, action: &HTTPGetAction) -> Result<Request<Empty<Bytes>>, String> {
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut request = Request::builder().uri(path).body(Empty::new()).map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    for own in action.http_headers.iter().flatten() {
        let name = HeaderName::try_from(own.name.as_str()).map_err(|error| error.to_string())?;
        headers.append(name, HeaderValue::try_from(own.value.as_str()).map_err(|error| error.to_string())?);
    }
    let fixed = [(header::USER_AGENT, "kube-probe/1.37"), (header::ACCEPT, "*/*"), (header::CONNECTION, "close")];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Some(host) = uri.authority().and_then(|host| HeaderValue::try_from(host.as_str()).ok()) {
        headers.entry(header::HOST).or_insert(host);
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_resolved_against_where_it_came_from() {
        let base: Uri = "http://10.0.0.1:80/a".parse().unwrap();
        let of = |to: &str| resolve(&base, to).map(|uri| uri.to_string());
        assert_eq!(of("/healthz").as_deref(), Some("http://10.0.0.1:80/healthz"));
        assert_eq!(of("http://0.0.0.0/").as_deref(), Some("http://0.0.0.0/"));
    }
}
