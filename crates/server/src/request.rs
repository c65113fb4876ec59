//! The life of a request: one list of steps, in order. Whoever adds a check adds it here, once, for every kind and verb.

use std::{sync::Arc, time::Instant};

use api::{
    document::Value,
    identity::Identity,
    kind::{Kind, Version},
    status::Status,
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use jiff::Timestamp;

use crate::{
    State, aggregation, authn,
    authz::{self, Attributes, ResourceTarget, Target},
    body::{self, Body},
    discovery,
    metrics::Labels,
    path::{self, Query, ResourcePath},
    render::{self, Form},
    rotation, subresource, verb,
};

/// A request about a resource, after its first steps.
pub struct Call {
    /// What the server knows.
    pub state: Arc<State>,
    /// Who asks.
    pub identity: Identity,
    /// What is to be done, in the words of authorization.
    pub verb: &'static str,
    /// What it is about.
    pub path: ResourcePath,
    /// The kind of that.
    pub kind: Arc<Kind>,
    /// The place of the request's version among the kind's.
    version: usize,
    /// The parameters.
    pub query: Query,
    /// The head of the request.
    pub parts: Parts,
    /// The form of the answer.
    pub form: Form,
    /// The time of the request.
    pub now: Timestamp,
}

impl Call {
    /// The version that the request speaks.
    pub fn version(&self) -> &Version {
        &self.kind.versions[self.version]
    }

    /// The `apiVersion` of objects in that version.
    pub fn api_version(&self) -> String {
        api::document::meta::join_api_version(&self.kind.group, &self.version().name)
    }

    /// The subresource; `None` for the object itself.
    pub fn subresource(&self) -> Option<&str> {
        Some(self.path.subresource.as_str()).filter(|name| !name.is_empty())
    }

    /// The namespace of objects: empty for kinds at cluster scope, also for Namespaces themselves.
    pub fn namespace(&self) -> &str {
        if self.kind.is_namespaced() { &self.path.namespace } else { "" }
    }

    /// The `404` of the named object.
    pub fn not_found(&self) -> Status {
        Status::not_found(&self.kind.group, &self.kind.plural, &self.path.name)
    }
}

/// Answers a request.
pub async fn serve<B>(state: Arc<State>, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let (parts, body) = request.into_parts();
    let begun = Instant::now();
    let path = path::resource(parts.uri.path()).filter(|path| !path.resource.is_empty());
    let query = Query::parse(parts.uri.query());
    let verb = verb_of(&parts.method, path.as_ref(), &query);
    let writes = !matches!(verb, "get" | "list" | "watch");
    let _running = state.security.metrics.begin(writes);
    let labels = labels(verb, path.as_ref());
    let result = steps(&state, parts, body, path, query, verb).await;
    let response = result.unwrap_or_else(|status| refuse(&status));
    let long = verb == "watch" || matches!(&*labels.subresource, "log" | "exec" | "attach" | "portforward" | "proxy");
    state.security.metrics.finished(&labels, response.status().as_u16(), (!long).then(|| begun.elapsed()));
    response
}

/// The steps: who asks; what it is about; may they; then what the verb means.
async fn steps<B>(
    state: &Arc<State>,
    parts: Parts,
    body: B,
    path: Option<ResourcePath>,
    query: Query,
    verb: &'static str,
) -> Result<Response<Body>, Status>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let identity = authn::authenticate(&parts, state)?;
    allow(state, &identity, verb, &parts, path.as_ref(), &query)?;
    if let Some(service) = aggregation::find(state, parts.uri.path()) {
        return aggregation::serve(state, &identity, &service, parts, body).await;
    }
    if rotation::is_asked(&parts) {
        return rotation::serve(state, &parts, &query).await;
    }
    let Some(path) = path else { return discovery::serve(state, &parts, &query) };
    let kinds = state.kinds();
    let found = kinds.by_resource(&path.group, &path.version, &path.resource);
    let Some((kind, version)) = found else { return Err(Status::no_such_resource()) };
    let version = kind.versions.iter().position(|candidate| candidate.name == version.name).unwrap_or(0);
    let form = Form::negotiate(&parts.headers)?;
    let selector = query.get("fieldSelector").unwrap_or_default();
    let kind = authz::node::seen_by(&identity, verb, kind, &path.name, selector);
    let call = Call { state: Arc::clone(state), identity, verb, path, kind, version, query, parts, form, now: Timestamp::now() };
    check_exists(&call)?;
    if verb::connect::connects(&call.path.group, &call.path.resource, &call.path.subresource) {
        return verb::connect::serve(state, &call.identity, &call.path, call.parts, body).await;
    }
    if let Some(action) = subresource::action(&call) {
        return action(call, body::read(body).await?).await;
    }
    let mut response = dispatch(&call, body).await?;
    if let Some(text) = &call.version().deprecated {
        render::warn(response.headers_mut(), text);
    }
    Ok(response)
}

/// What the verb means.
async fn dispatch<B>(call: &Call, body: B) -> Result<Response<Body>, Status>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    match call.verb {
        "get" if call.kind.conversion.is_some() => verb::get::serve_converted(call).await,
        "list" if call.kind.conversion.is_some() => verb::list::serve_converted(call).await,
        "get" => verb::get::serve(call),
        "list" => verb::list::serve(call),
        "watch" => verb::watch::serve(call),
        "create" => verb::create::serve(call, body::read(body).await?).await,
        "update" => verb::update::serve(call, body::read(body).await?).await,
        "patch" => verb::patch::serve(call, body::read(body).await?).await,
        "delete" => verb::delete::serve(call, body::read(body).await?).await,
        "deletecollection" => verb::delete::serve_collection(call, body::read(body).await?).await,
        verb => Err(Status::method_not_allowed(&call.kind.group, &call.kind.plural, verb)),
    }
}

/// Whether the resource has such a subresource and verb at all.
fn check_exists(call: &Call) -> Result<(), Status> {
    match call.subresource() {
        Some(name) => {
            let found = call.version().subresource(name).ok_or_else(Status::no_such_resource)?;
            let connects = matches!(name, "proxy" | "exec" | "attach" | "portforward");
            if !connects && !found.verbs.contains(&call.verb) {
                return Err(Status::method_not_allowed(&call.kind.group, &call.kind.plural, call.verb));
            }
        }
        None if !call.kind.has_verb(call.verb) => {
            return Err(Status::method_not_allowed(&call.kind.group, &call.kind.plural, call.verb));
        }
        None => {}
    }
    let collection_only = matches!(call.verb, "create" | "list" | "deletecollection") && call.subresource().is_none();
    if collection_only && !call.path.name.is_empty() {
        return Err(Status::method_not_allowed(&call.kind.group, &call.kind.plural, call.verb));
    }
    let named = matches!(call.verb, "update" | "patch" | "delete");
    if named && call.path.name.is_empty() {
        return Err(Status::method_not_allowed(&call.kind.group, &call.kind.plural, call.verb));
    }
    if call.verb == "create" && call.kind.is_namespaced() && call.path.namespace.is_empty() && call.subresource().is_none() {
        return Err(Status::bad_request("an empty namespace may not be set during creation"));
    }
    Ok(())
}

/// The word of authorization for a method.
fn verb_of(method: &Method, path: Option<&ResourcePath>, query: &Query) -> &'static str {
    let named = path.is_some_and(|path| !path.name.is_empty());
    match method.as_str() {
        "GET" | "HEAD" if path.is_none() => "get",
        "GET" | "HEAD" if path.is_some_and(|path| path.watch) || (!named && query.flag("watch")) => "watch",
        "GET" | "HEAD" if named => "get",
        "GET" | "HEAD" => "list",
        "POST" if path.is_none() => "post",
        "POST" => "create",
        "PUT" if path.is_none() => "put",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" if named || path.is_none() => "delete",
        "DELETE" => "deletecollection",
        "OPTIONS" => "options",
        _ => "unknown",
    }
}

fn allow(
    state: &State,
    identity: &Identity,
    verb: &'static str,
    parts: &Parts,
    path: Option<&ResourcePath>,
    query: &Query,
) -> Result<(), Status> {
    let selector = query.get("fieldSelector").unwrap_or_default();
    // As upstream: a list or watch of one name is a question about that object.
    let pinned = selector.split(',').find_map(|part| part.strip_prefix("metadata.name="));
    let pinned = pinned.filter(|_| matches!(verb, "list" | "watch")).map(|name| name.trim_start_matches('='));
    let target = match path {
        None => Target::Path(parts.uri.path()),
        Some(path) => Target::Resource(ResourceTarget {
            group: &path.group,
            version: &path.version,
            resource: &path.resource,
            subresource: &path.subresource,
            namespace: &path.namespace,
            name: if path.name.is_empty() { pinned.unwrap_or_default() } else { &path.name },
            field_selector: selector,
            label_selector: query.get("labelSelector").unwrap_or_default(),
        }),
    };
    let attributes = Attributes { identity, verb, target };
    let decision = authz::authorize(&attributes, state);
    if decision.allowed() {
        return Ok(());
    }
    Err(authz::forbidden(&attributes, &decision))
}

fn labels(verb: &'static str, path: Option<&ResourcePath>) -> Labels {
    let Some(path) = path else { return Labels { verb: verb.to_uppercase(), ..Labels::default() } };
    let scope = match (path.name.is_empty(), path.namespace.is_empty()) {
        (false, _) => "resource",
        (true, false) => "namespace",
        (true, true) => "cluster",
    };
    Labels {
        verb: verb.to_uppercase(),
        group: path.group.clone(),
        version: path.version.clone(),
        resource: path.resource.clone(),
        subresource: path.subresource.clone(),
        scope,
    }
}

/// The answer of a refusal.
pub fn refuse(status: &Status) -> Response<Body> {
    let mut response =
        render::json(StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), status.to_json());
    if let Some(seconds) = status.retry_after_seconds() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// An answer that is a document.
pub fn answer(code: StatusCode, document: &Value) -> Response<Body> {
    render::json(code, document.to_json())
}
