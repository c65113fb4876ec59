//! Connecting to pods, services and nodes: finds who answers, passes the request on, and hands the answer back as it comes.

mod links;

use std::sync::Arc;

use api::document::Value;
use api::identity::Identity;
use api::status::Status;
use bytes::Bytes;
use futures::StreamExt as _;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, UPGRADE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

use crate::admission::{Operation, Review};
use crate::authz::{Attributes, ResourceTarget, Target};
use crate::body::{Body, pieces, whole};
use crate::node_proxy::{ConnectTarget, Location, RequestBody, locate, refusal};
use crate::path::ResourcePath;
use crate::state::State;
use links::Through;

/// Longest refusal of a node that is read into a `Status`, in bytes.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Longest page whose links are led through a proxy, in bytes.
const PAGE_BYTES_MAX: usize = 32 << 20;

/// Any request body on its way to a node.
pub(crate) fn request_body<B>(body: B) -> RequestBody
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    body.map_err(Into::into).boxed_unsync()
}

/// Passes one request through. The caller has authorised it for its method's verb.
pub(crate) async fn connect(
    state: &Arc<State>,
    identity: &Identity,
    target: &ConnectTarget<'_>,
    parts: Parts,
    body: RequestBody,
) -> Result<Response<Body>, Status> {
    authorize_upgrade(state, identity, target, &parts)?;
    if target.subresource == "proxy"
        && target.path.is_empty()
        && matches!(parts.method, Method::GET | Method::HEAD)
        && !parts.headers.contains_key(UPGRADE)
    {
        return redirect(&parts);
    }
    let Some(location) = locate(target, &**state)? else {
        return Ok(Response::new(whole(Bytes::new())));
    };
    // The node streams a log over a WebSocket itself.
    let upgrades = parts.headers.get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    if target.subresource == "log" && !upgrades {
        log(state, target, parts, &location).await
    } else {
        pass(state, target, parts, body, &location).await
    }
}

/// A WebSocket is opened by GET, but what it does is what POST does: the right to `create` counts for both.
fn authorize_upgrade(state: &Arc<State>, identity: &Identity, target: &ConnectTarget<'_>, parts: &Parts) -> Result<(), Status> {
    let streams = matches!(target.subresource, "exec" | "attach" | "portforward");
    if !streams || parts.method != Method::GET {
        return Ok(());
    }
    let resource = ResourceTarget {
        version: "v1",
        resource: target.resource,
        subresource: target.subresource,
        namespace: target.namespace,
        name: target.name,
        ..ResourceTarget::default()
    };
    let attributes = Attributes { identity, verb: "create", target: Target::Resource(resource) };
    let decision = crate::authz::authorize(&attributes, state);
    if decision.allowed() { Ok(()) } else { Err(crate::authz::forbidden(&attributes, &decision)) }
}

/// Relative links of what is behind the proxy work only below a slash.
fn redirect(parts: &Parts) -> Result<Response<Body>, Status> {
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let to = HeaderValue::from_str(&format!("{}/{query}", parts.uri.path()));
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(LOCATION, to.map_err(Status::internal)?);
    Ok(response)
}

async fn log(
    state: &Arc<State>,
    target: &ConnectTarget<'_>,
    mut parts: Parts,
    location: &Location,
) -> Result<Response<Body>, Status> {
    parts.headers.remove(UPGRADE);
    parts.headers.remove(http::header::ACCEPT_ENCODING);
    let nothing = request_body(http_body_util::Empty::<Bytes>::new());
    let response = state.security.nodes.forward(parts, nothing, location).await?;
    let code = response.status();
    if !(200..=206).contains(&code.as_u16()) {
        let read = Limited::new(response.into_body(), REFUSAL_BYTES_MAX).collect().await;
        let bytes = read.map(|collected| collected.to_bytes()).unwrap_or_default();
        return Err(refusal(code, String::from_utf8_lossy(&bytes).trim_end(), target.name));
    }
    let mut response = response.map(streamed);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

async fn pass(
    state: &Arc<State>,
    target: &ConnectTarget<'_>,
    mut parts: Parts,
    body: RequestBody,
    location: &Location,
) -> Result<Response<Body>, Status> {
    let upgrades = parts.headers.contains_key(UPGRADE);
    let through = (target.subresource == "proxy" && !upgrades).then(|| through(target, &parts, location));
    if through.is_some() {
        // Links are looked for in pages as they are.
        parts.headers.remove(ACCEPT_ENCODING);
    }
    let response = state.security.nodes.forward(parts, body, location).await?;
    let mut response = match through {
        Some(through) => led_through(response, &through).await?,
        None => response.map(streamed),
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        // They concern the connection to the node alone.
        for name in ["connection", "keep-alive", "transfer-encoding", "proxy-connection"] {
            response.headers_mut().remove(name);
        }
    }
    Ok(response)
}

fn through(target: &ConnectTarget<'_>, parts: &Parts, location: &Location) -> Through {
    let path = parts.uri.path();
    let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    Through {
        prefix: path.strip_suffix(target.path).unwrap_or(path).to_owned(),
        behind: location.backend.address(),
        asked: host.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str)).unwrap_or_default().to_owned(),
    }
}

/// The answer of what is behind a proxy, with its links led through the proxy.
async fn led_through(mut response: Response<Incoming>, through: &Through) -> Result<Response<Body>, Status> {
    let text = |name: http::HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(to) = text(LOCATION) {
        if let Some(to) = through.link(to).and_then(|to| HeaderValue::from_str(&to).ok()) {
            response.headers_mut().insert(LOCATION, to);
        }
        return Ok(response.map(streamed));
    }
    let media = text(CONTENT_TYPE).and_then(|media| media.split(';').next()).map(str::trim);
    if media != Some("text/html") || text(CONTENT_ENCODING).is_some() {
        return Ok(response.map(streamed));
    }
    let (mut parts, body) = response.into_parts();
    let read = Limited::new(body, PAGE_BYTES_MAX).collect().await;
    let page = read.map_err(|error| Status::service_unavailable(format!("error trying to read a page: {error}")))?.to_bytes();
    parts.headers.remove(CONTENT_LENGTH);
    Ok(Response::from_parts(parts, whole(through.page(&page))))
}

/// The node's bytes as they come; they end where the node's connection ends.
fn streamed(body: Incoming) -> Body {
    let frames = http_body_util::BodyStream::new(body);
    pieces(frames.filter_map(|frame| async move {
        match frame {
            Ok(frame) => frame.into_data().ok(),
            Err(error) => {
                tracing::debug!(%error, "an answer of a node or pod broke off");
                None
            }
        }
    }))
}

/// Whether a subresource connects instead of reading or writing an object.
pub(crate) fn connects(group: &str, resource: &str, subresource: &str) -> bool {
    group.is_empty()
        && matches!(
            (resource, subresource),
            ("pods", "log" | "exec" | "attach" | "portforward" | "proxy") | ("services" | "nodes", "proxy")
        )
}

/// Answers a request for a subresource that connects.
pub(crate) async fn serve<B>(
    state: &Arc<State>,
    identity: &Identity,
    path: &ResourcePath,
    parts: Parts,
    body: B,
) -> Result<Response<Body>, Status>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let uri = parts.uri.clone();
    if path.subresource != "log" {
        review(state, identity, path, uri.query()).await?;
    }
    let target = ConnectTarget {
        resource: &path.resource,
        subresource: &path.subresource,
        namespace: &path.namespace,
        name: &path.name,
        path: behind_proxy(uri.path(), !path.namespace.is_empty()),
        query: uri.query().unwrap_or_default(),
    };
    connect(state, identity, &target, parts, request_body(body)).await
}

/// Lets webhooks have their say about a connection, whose object is its options.
async fn review(state: &Arc<State>, identity: &Identity, path: &ResourcePath, query: Option<&str>) -> Result<(), Status> {
    let kind = match (&*path.resource, &*path.subresource) {
        ("pods", "exec") => "PodExecOptions",
        ("pods", "attach") => "PodAttachOptions",
        ("pods", "portforward") => "PodPortForwardOptions",
        ("services", _) => "ServiceProxyOptions",
        ("nodes", _) => "NodeProxyOptions",
        _ => "PodProxyOptions",
    };
    let query = crate::path::Query::parse(query);
    let mut options = api::value!({"kind": kind, "apiVersion": "v1"});
    for field in ["stdin", "stdout", "stderr", "tty"] {
        if query.flag(field) {
            options.set_at(&[field], true);
        }
    }
    if let Some(container) = query.get("container") {
        options.set_at(&["container"], container);
    }
    let command: Vec<&str> = query.all("command").collect();
    if !command.is_empty() {
        options.set_at(&["command"], command);
    }
    let mut review = Review {
        identity,
        operation: Operation::Connect,
        group: &path.group,
        version: &path.version,
        kind,
        resource: &path.resource,
        subresource: &path.subresource,
        namespace: if path.resource == "nodes" { "" } else { &path.namespace },
        name: &path.name,
        object: &mut options,
        old: None,
        options: &Value::Null,
        dry_run: false,
        warnings: Vec::new(),
    };
    crate::webhook::mutate(&mut review, state).await?;
    crate::webhook::validate(&mut review, state).await
}

/// What stands behind `proxy` in a path, as it was sent: `/api/v1/nodes/n/proxy/<here>`.
fn behind_proxy(path: &str, namespaced: bool) -> &str {
    let slashes = if namespaced { 7 } else { 5 };
    path.match_indices('/').nth(slashes).map_or("", |(at, _)| &path[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_behind_a_proxy_is_passed_on_as_it_was_sent() {
        let table = [
            ("/api/v1/nodes/n/proxy", false, ""),
            ("/api/v1/nodes/n/proxy/", false, "/"),
            ("/api/v1/nodes/n/proxy/a%2Fb/", false, "/a%2Fb/"),
            ("/api/v1/namespaces/ns/pods/p/proxy/x", true, "/x"),
            ("/api/v1/namespaces/ns/services/https:s:1/proxy", true, ""),
        ];
        for (path, namespaced, expected) in table {
            assert_eq!(behind_proxy(path, namespaced), expected, "{path}");
        }
    }

    #[test]
    fn what_connects_is_known_by_its_subresource() {
        assert!(connects("", "pods", "exec"));
        assert!(connects("", "nodes", "proxy"));
        assert!(!connects("", "pods", "status"));
        assert!(!connects("apps", "pods", "log"));
    }
}
