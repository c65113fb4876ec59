//! Everything that is no resource: which resources there are, versions, health, OpenAPI, metrics.

mod resources;

use api::{document::Value, openapi, status::Status};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};
use sha2::{Digest as _, Sha256};

use crate::{
    State, authn,
    body::{self, Body},
    path::Query,
    render,
    request::answer,
};

/// The version of Kubernetes whose API this is.
const MAJOR: &str = "1";
const MINOR: &str = "37";

/// Answers a request for a path that is no resource.
pub fn serve(state: &State, parts: &Parts, query: &Query) -> Result<Response<Body>, Status> {
    if !matches!(parts.method, http::Method::GET | http::Method::HEAD) {
        return Err(Status::no_such_resource());
    }
    let path = parts.uri.path().trim_end_matches('/');
    let json = |value: serde_json::Value| Ok(answer(StatusCode::OK, &value.into()));
    match path {
        "/version" => json(version()),
        "/healthz" | "/livez" | "/readyz" => Ok(healthy(path, query)),
        "/metrics" => Ok(render::respond(StatusCode::OK, crate::metrics::CONTENT_TYPE, body::whole(crate::metrics::page(state)))),
        "/openapi/v2" => swagger(state, &parts.headers),
        "/openapi/v3" => Ok(answer(StatusCode::OK, &documents(state))),
        authn::discovery::CONFIGURATION_PATH => json(authn::discovery::configuration("https://kubernetes.default.svc")),
        authn::discovery::KEYS_PATH => json(authn::discovery::keys(state.security.pki.service_account_keys())),
        "" => Ok(answer(StatusCode::OK, &root(state))),
        _ => named(state, path, &parts.headers),
    }
}

fn named(state: &State, path: &str, headers: &HeaderMap) -> Result<Response<Body>, Status> {
    if let Some(document) = path.strip_prefix("/openapi/v3/") {
        let (group, version) = match document.split('/').collect::<Vec<_>>().as_slice() {
            ["api", version] => ("", (*version).to_owned()),
            ["apis", group, version] => (*group, (*version).to_owned()),
            _ => return Err(Status::no_such_resource()),
        };
        let found = openapi::document(group, &version, &state.kinds()).ok_or_else(Status::no_such_resource)?;
        return Ok(answer(StatusCode::OK, &found.into()));
    }
    for health in ["/healthz/", "/livez/", "/readyz/"] {
        if path.strip_prefix(health).is_some_and(|check| CHECKS.contains(&check)) {
            return Ok(text("ok"));
        }
    }
    resources::serve(state, path, headers).ok_or_else(Status::no_such_resource)
}

fn version() -> serde_json::Value {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    serde_json::json!({
        "major": MAJOR,
        "minor": MINOR,
        "emulationMajor": MAJOR,
        "emulationMinor": MINOR,
        "minCompatibilityMajor": MAJOR,
        "minCompatibilityMinor": "36",
        "gitVersion": format!("v{MAJOR}.{MINOR}.2+coracle-{}", env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("linux/{arch}"),
    })
}

/// What health is made of: whoever is answered by a store that is open finds all of it well.
const CHECKS: &[&str] = &["ping", "log", "etcd", "poststarthook/rbac/bootstrap-roles", "informer-sync"];

fn healthy(path: &str, query: &Query) -> Response<Body> {
    if !query.all("verbose").any(|_| true) {
        return text("ok");
    }
    let lines: String = CHECKS.iter().map(|check| format!("[+]{check} ok\n")).collect();
    text(format!("{lines}{} check passed\n", path.trim_start_matches('/')))
}

fn text(text: impl Into<bytes::Bytes>) -> Response<Body> {
    render::respond(StatusCode::OK, "text/plain; charset=utf-8", body::whole(text))
}

fn root(state: &State) -> Value {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for group in state.kinds().groups().iter().filter(|group| !group.name.is_empty()) {
        paths.push(format!("/apis/{}", group.name));
        paths.extend(group.versions.iter().map(|version| format!("/apis/{}/{version}", group.name)));
    }
    paths.extend(["/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version"].map(str::to_owned));
    let mut root = Value::object();
    root.set_at(&["paths"], Value::Array(paths.into_iter().map(Into::into).collect()));
    root
}

/// The list of OpenAPI v3 documents; a hash in each address lets clients keep what has not changed (KEP-2896).
fn documents(state: &State) -> Value {
    let kinds = state.kinds();
    let mut list = Value::object();
    for group in kinds.groups() {
        for version in &group.versions {
            let path = if group.name.is_empty() { format!("api/{version}") } else { format!("apis/{}/{version}", group.name) };
            let mut digest = Sha256::new();
            for (kind, version) in kinds.in_version(&group.name, version) {
                digest.update(kind.plural.as_bytes());
                digest.update(version.custom_openapi.as_ref().map(|schema| schema.to_json()).unwrap_or_default());
            }
            let hash = hex::encode_upper(digest.finalize());
            list.set_at(&["paths", &path, "serverRelativeURL"], format!("/openapi/v3/{path}?hash={hash}"));
        }
    }
    list
}

/// OpenAPI v2 as JSON. Clients that ask for protobuf alone are told that there is none.
fn swagger(state: &State, headers: &HeaderMap) -> Result<Response<Body>, Status> {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    if !accepted.split(',').any(|part| part.contains("json") || part.contains("*/*")) {
        return Err(Status::not_acceptable(&["application/json"]));
    }
    let mut response = answer(StatusCode::OK, &openapi::swagger(&state.kinds()).into());
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}
