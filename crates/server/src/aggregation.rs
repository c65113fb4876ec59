//! Aggregated APIs: groups that another server serves behind this one, as an `APIService` says. Requests are passed on with the user's
//! name; who may do what is still judged here first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::document::{Value, meta};
use api::identity::Identity;
use api::kind::Kind;
use api::status::Status;
use bytes::Bytes;
use futures::StreamExt as _;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::BodyExt as _;

use crate::State;
use crate::body::{Body, pieces};
use crate::outbound::{CallError, Target, tls};
use crate::security::Objects as _;

const GROUP: &str = "apiregistration.k8s.io";
const PLURAL: &str = "apiservices";
/// How long an extension may take to say what it serves.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long until an extension that was away is asked again.
const RETRY: Duration = Duration::from_secs(1);
/// How often, at most.
const RETRIES_MAX: usize = 600;

/// What extensions said that they serve: the `APIResourceList` of each group and version.
#[derive(Default)]
pub(crate) struct Served(Mutex<HashMap<(String, String), Value>>);

impl Served {
    fn put(&self, group: &str, version: &str, list: Option<Value>) {
        let mut served = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (group.to_owned(), version.to_owned());
        match list {
            Some(list) => drop(served.insert(key, list)),
            None => drop(served.remove(&key)),
        }
    }

    /// All of them: group, version, list.
    pub(crate) fn all(&self) -> Vec<(String, String, Value)> {
        let served = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> =
            served.iter().map(|((group, version), list)| (group.clone(), version.clone(), list.clone())).collect();
        all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        all
    }
}

/// The `APIService` of a path below `/apis`, if another server serves it.
pub(crate) fn find(state: &State, path: &str) -> Option<Value> {
    let mut parts = path.trim_start_matches('/').split('/');
    let (Some("apis"), Some(group), Some(version)) = (parts.next(), parts.next(), parts.next()) else { return None };
    let own = state.kinds().iter().any(|kind| kind.group == group && kind.version(version).is_some());
    if own || group.is_empty() {
        return None;
    }
    let service = state.object(GROUP, PLURAL, "", &format!("{version}.{group}"))?;
    is_remote(&service).then_some(service)
}

fn is_remote(service: &Value) -> bool {
    service.get(&["spec", "service"]).is_some_and(|service| !service.is_null())
}

fn target(state: &State, service: &Value, path: &str) -> Result<Target, CallError> {
    let text = |field: &str| service.str_at(&["spec", "service", field]).unwrap_or_default();
    let unverified = service.bool_at(&["spec", "insecureSkipTLSVerify"]) == Some(true);
    let tls = tls(state, service.str_at(&["spec", "caBundle"]), unverified, true)?;
    let port = service.i64_at(&["spec", "service", "port"]).unwrap_or(443);
    Target::of_service(state, (text("namespace"), text("name"), port), path, tls)
}

/// Passes a request on.
pub(crate) async fn serve<B>(
    state: &State,
    identity: &Identity,
    service: &Value,
    parts: Parts,
    body: B,
) -> Result<Response<Body>, Status>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let unavailable = |error: CallError| Status::service_unavailable(format!("error trying to reach service: {error}"));
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let target = target(state, service, &path).map_err(unavailable)?;
    let mut request = Request::new(body.map_err(Into::into).boxed_unsync());
    *request.method_mut() = parts.method;
    *request.uri_mut() = path.parse().map_err(Status::internal)?;
    *request.headers_mut() = parts.headers;
    introduce(&mut request, identity, &target)?;
    let response = target.send(request).await.map_err(unavailable)?;
    let (head, body) = response.into_parts();
    let frames = http_body_util::BodyStream::new(body);
    let body = pieces(frames.filter_map(|frame| async move { frame.ok().and_then(|frame| frame.into_data().ok()) }));
    let mut response = Response::from_parts(head, body);
    for name in ["connection", "keep-alive", "transfer-encoding"] {
        response.headers_mut().remove(name);
    }
    Ok(response)
}

/// Says who asks, instead of passing the asker's credentials on.
fn introduce<B>(request: &mut Request<B>, identity: &Identity, target: &Target) -> Result<(), Status> {
    let headers = request.headers_mut();
    let foreign: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            let name = name.as_str();
            name.starts_with("x-remote-") || name.starts_with("impersonate-") || matches!(name, "authorization" | "connection")
        })
        .cloned()
        .collect();
    for name in foreign {
        headers.remove(name);
    }
    let value = |text: &str| HeaderValue::from_str(text).map_err(Status::internal);
    headers.insert(http::header::HOST, value(target.host())?);
    headers.insert("x-remote-user", value(&identity.name)?);
    if !identity.uid.is_empty() {
        headers.insert("x-remote-uid", value(&identity.uid)?);
    }
    for group in &identity.groups {
        headers.append("x-remote-group", value(group)?);
    }
    for (name, values) in &identity.extra {
        let name = HeaderName::try_from(format!("x-remote-extra-{}", name.replace('/', "%2f"))).map_err(Status::internal)?;
        for text in values {
            headers.append(name.clone(), value(text)?);
        }
    }
    Ok(())
}

/// Looks after a write to an `APIService` whether its server answers.
pub(crate) fn noticed(state: &Arc<State>, kind: &Kind, name: &str) {
    if kind.group == GROUP && kind.plural == PLURAL {
        tokio::spawn(check(Arc::clone(state), name.to_owned()));
    }
}

/// Looks once more at all of them, after a start.
pub(crate) fn start(state: &Arc<State>) {
    for service in state.objects(GROUP, PLURAL, "").iter().filter(|service| is_remote(service)) {
        tokio::spawn(check(Arc::clone(state), meta::name(service).to_owned()));
    }
}

async fn check(state: Arc<State>, name: String) {
    let (version, group) = name.split_once('.').unwrap_or((&name, ""));
    for _ in 0..RETRIES_MAX {
        let service = state.object(GROUP, PLURAL, "", &name).filter(is_remote);
        let Some(service) = service else {
            state.served.put(group, version, None);
            return;
        };
        let asked = tokio::time::timeout(DISCOVERY_TIMEOUT, resources(&state, &service, group, version)).await;
        let result = asked.unwrap_or_else(|_| Err(CallError::timeout()));
        let available = result.is_ok();
        let (reason, message) = match &result {
            Ok(_) => ("Passed", "all checks passed".to_owned()),
            Err(error) => ("FailedDiscoveryCheck", format!("failing or missing response: {error}")),
        };
        state.served.put(group, version, result.ok());
        if !publish(&state, &service, available, reason, &message).await || available {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "no event says that a server behind a Service has begun to answer")]
        tokio::time::sleep(RETRY).await;
    }
}

async fn resources(state: &State, service: &Value, group: &str, version: &str) -> Result<Value, CallError> {
    let path = format!("/apis/{group}/{version}");
    let target = target(state, service, &path)?;
    let body = http_body_util::Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync();
    let mut request = Request::new(body);
    *request.uri_mut() = path.parse().map_err(CallError::new)?;
    let masters = Identity::new("system:aggregator", [api::identity::MASTERS, api::identity::AUTHENTICATED]);
    introduce(&mut request, &masters, &target).map_err(|status| CallError::new(status.message))?;
    request.headers_mut().insert(http::header::ACCEPT, HeaderValue::from_static("application/json"));
    let response = target.send(request).await?;
    if !response.status().is_success() {
        return Err(CallError::new(format!("bad status from {}: {}", target.url, response.status().as_u16())));
    }
    let bytes = response.into_body().collect().await.map_err(CallError::new)?.to_bytes();
    Value::parse_json(&bytes).map(|(list, _)| list).map_err(CallError::new)
}

/// Writes whether the server answers into the status. Whether the object is still the one that was looked at.
async fn publish(state: &State, service: &Value, available: bool, reason: &str, message: &str) -> bool {
    let status = if available { "True" } else { "False" };
    let old = service.array_at(&["status", "conditions"]);
    let same = old.iter().any(|condition| {
        condition.str_at(&["type"]) == Some("Available")
            && condition.str_at(&["status"]) == Some(status)
            && condition.str_at(&["reason"]) == Some(reason)
    });
    if same {
        return true;
    }
    let now = jiff::Timestamp::try_from(state.security.now()).map(meta::format_time).unwrap_or_default();
    let condition =
        api::value!({"type": "Available", "status": status, "lastTransitionTime": now, "reason": reason, "message": message});
    let mut new = service.clone();
    let mut conditions: Vec<Value> = old.iter().filter(|other| other.str_at(&["type"]) != Some("Available")).cloned().collect();
    conditions.push(condition);
    new.set_at(&["status", "conditions"], Value::Array(conditions));
    new.remove_at(&["metadata", "resourceVersion"]);
    let Ok(revision) = meta::resource_version(service).parse() else { return false };
    let change = store::Change {
        key: format!("/{GROUP}/{PLURAL}//{}", meta::name(service)).into(),
        expect: store::Expect::Revision(revision),
        op: store::Op::Put(Bytes::from(new.to_json())),
        durable: true,
    };
    // Another write came first: that one is looked at by a check of its own, but this one goes on until it sees the same.
    let _ = state.store.transact(vec![change]).await;
    true
}
