//! What security learns from the store: fills the indexes of authorization at start and keeps them up to date by its events, writes the
//! roles and namespaces that every cluster starts with, keeps aggregated roles together, keeps the count of quotas in their status, and
//! answers certificate requests. One task a row of [`FEEDS`]; each sleeps until something under its prefix changes.

mod first_objects;

use std::collections::BTreeSet;
use std::sync::Arc;

use api::document::Value;
use api::identity::{Identity, MASTERS};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use store::{CommitError, Entry, Event, Revision, Snapshot};
use tokio::task::AbortHandle;

use crate::authz::node::{Graph, Source};
use crate::authz::rbac::{Rbac, RbacKind, Rule};
use crate::signing::{self, Action};
use crate::state::{Fields, State, decode};

const RBAC: &str = "rbac.authorization.k8s.io";
const QUOTAS: &str = "/core/resourcequotas/";

/// What is learnt from the objects under one prefix.
struct Feed {
    prefix: &'static str,
    /// Takes everything in anew: at start, and when events were missed.
    load: fn(&State, &Snapshot<Fields>),
    /// Takes one event in.
    apply: fn(&State, &Event<Fields>),
    /// What must be done after a batch of events, if anything.
    after: Option<After>,
}

/// Work that follows from events and waits for the store.
#[derive(Clone, Copy)]
enum After {
    Aggregate,
    Sign,
    Count,
}

const FEEDS: &[Feed] = &[
    Feed { prefix: "/rbac.authorization.k8s.io/", load: load_rbac, apply: apply_rbac, after: Some(After::Aggregate) },
    Feed { prefix: "/core/pods/", load: load_graph, apply: |s, e| apply_graph(s, e, Source::Pod), after: None },
    Feed { prefix: "/core/persistentvolumes/", load: |_, _| (), apply: |s, e| apply_graph(s, e, Source::Volume), after: None },
    Feed {
        prefix: "/storage.k8s.io/volumeattachments/",
        load: |_, _| (),
        apply: |s, e| apply_graph(s, e, Source::Attachment),
        after: None,
    },
    Feed {
        prefix: "/certificates.k8s.io/podcertificaterequests/",
        load: |_, _| (),
        apply: |s, e| apply_graph(s, e, Source::PodCertificate),
        after: None,
    },
    Feed {
        prefix: "/certificates.k8s.io/certificatesigningrequests/",
        load: |_, _| (),
        apply: |_, _| (),
        after: Some(After::Sign),
    },
    Feed { prefix: "/", load: |_, _| (), apply: |_, _| (), after: Some(After::Count) },
];

/// The running tasks; they end with it.
pub(crate) struct Feeds(Vec<AbortHandle>);

impl Drop for Feeds {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// Writes what every cluster starts with, fills the indexes and begins to follow the store. When this returns, requests can be judged.
///
/// # Errors
/// When the first objects cannot be written.
pub(crate) async fn start(state: &Arc<State>) -> Result<Feeds, CommitError> {
    first_objects::write(state).await?;
    let snapshot = state.snapshot();
    for feed in FEEDS {
        (feed.load)(state, &snapshot);
    }
    let from = snapshot.revision();
    let tasks = FEEDS.iter().map(|feed| tokio::spawn(follow(Arc::clone(state), feed, from)).abort_handle());
    let forgetting = tokio::spawn(forget(Arc::clone(state), from)).abort_handle();
    Ok(Feeds(tasks.chain([forgetting]).collect()))
}

/// Forgets what was before some minutes ago, as etcd does; while nothing is written there is nothing to forget.
async fn forget(state: Arc<State>, mut from: Revision) {
    loop {
        let Ok(mut watch) = state.store.watch("/", from) else {
            from = state.snapshot().revision();
            continue;
        };
        if let Err(store::WatchError::Closed) = watch.next().await {
            return;
        }
        drop(watch);
        let mark = state.snapshot().revision();
        #[expect(clippy::disallowed_methods, reason = "how long the past is kept is a promise about time")]
        tokio::time::sleep(crate::limits::HISTORY_KEPT).await;
        state.store.compact(mark);
        from = mark;
    }
}

async fn follow(state: Arc<State>, feed: &'static Feed, mut from: Revision) {
    // What was left undone when the server went down is done first.
    let snapshot = state.snapshot();
    if must_finish(feed, &snapshot) {
        finish(&state, feed, snapshot.range(feed.prefix, None).map(|entry| entry.key.clone()).collect()).await;
    }
    drop(snapshot);
    loop {
        let Ok(mut watch) = state.store.watch(feed.prefix, from) else {
            from = reload(&state, feed);
            continue;
        };
        loop {
            match watch.next().await {
                Ok(batch) => {
                    batch.events.iter().for_each(|event| (feed.apply)(&state, event));
                    if must_finish(feed, &state.snapshot()) {
                        finish(&state, feed, batch.events.iter().map(|event| event.entry.key.clone()).collect()).await;
                    }
                }
                Err(store::WatchError::Closed) => return,
                Err(error) => {
                    tracing::warn!(prefix = feed.prefix, %error, "events were missed; reading everything anew");
                    from = reload(&state, feed);
                    break;
                }
            }
        }
    }
}

fn reload(state: &State, feed: &Feed) -> Revision {
    let snapshot = state.snapshot();
    // The graph is loaded whole, whichever of its kinds missed events.
    if feed.after.is_none() {
        load_graph(state, &snapshot)
    } else {
        (feed.load)(state, &snapshot)
    }
    snapshot.revision()
}

/// Kind, namespace and name of `/group/plural/namespace/name`.
fn parts(key: &str) -> Option<(&str, &str, &str)> {
    let mut parts = key.split('/').skip(2);
    Some((parts.next()?, parts.next()?, parts.next()?))
}

fn rbac_kind(plural: &str) -> Option<RbacKind> {
    RbacKind::ALL.iter().find(|(_, name)| *name == plural).map(|(kind, _)| *kind)
}

fn load_rbac(state: &State, snapshot: &Snapshot<Fields>) {
    let fresh = Rbac::default();
    for entry in snapshot.range("/rbac.authorization.k8s.io/", None) {
        put_rbac(&fresh, entry);
    }
    state.security.indexes.rbac.replace(fresh);
}

fn put_rbac(rbac: &Rbac, entry: &Entry<Fields>) {
    let kind = parts(&entry.key).and_then(|(plural, ..)| rbac_kind(plural));
    if let Some(kind) = kind
        && !rbac.put(kind, &entry.value)
    {
        tracing::error!(key = %entry.key, "a stored role or binding cannot be read; it grants nothing");
    }
}

fn apply_rbac(state: &State, event: &Event<Fields>) {
    let rbac = &state.security.indexes.rbac;
    if !event.deleted {
        return put_rbac(rbac, &event.entry);
    }
    if let Some((plural, namespace, name)) = parts(&event.entry.key)
        && let Some(kind) = rbac_kind(plural)
    {
        rbac.remove(kind, namespace, name);
    }
}

fn load_graph(state: &State, snapshot: &Snapshot<Fields>) {
    let fresh = Graph::default();
    for (source, group, plural) in Source::ALL {
        let group = if group.is_empty() { "core" } else { group };
        for entry in snapshot.range(&format!("/{group}/{plural}/"), None) {
            fresh.put(source, &decode(entry));
        }
    }
    state.security.indexes.nodes.replace(fresh);
}

fn apply_graph(state: &State, event: &Event<Fields>, source: Source) {
    let graph = &state.security.indexes.nodes;
    match parts(&event.entry.key) {
        Some((_, namespace, name)) if event.deleted => graph.remove(source, namespace, name),
        _ => graph.put(source, &decode(&event.entry)),
    }
}

/// Whether there can be work after a batch: most clusters have no quota, and then every change costs this look alone.
fn must_finish(feed: &Feed, snapshot: &Snapshot<Fields>) -> bool {
    match feed.after {
        None => false,
        Some(After::Aggregate | After::Sign) => true,
        Some(After::Count) => snapshot.range(QUOTAS, None).next().is_some(),
    }
}

async fn finish(state: &Arc<State>, feed: &Feed, changed: Vec<Arc<str>>) {
    match feed.after {
        None => {}
        Some(After::Aggregate) => {
            for (name, rules) in state.security.indexes.rbac.refresh_aggregations() {
                store_aggregated(state, &name, &rules).await;
            }
        }
        Some(After::Sign) => {
            for key in changed {
                let request = state.snapshot().get(&key).map(|entry| decode(entry));
                if let Some(request) = request {
                    answer_request(state, &request).await;
                }
            }
        }
        Some(After::Count) => {
            state.security.quota.seen(changed.iter().map(|key| &**key));
            let namespaces: BTreeSet<&str> = changed.iter().filter_map(|key| Some(parts(key)?.1)).collect();
            for namespace in namespaces.into_iter().filter(|namespace| !namespace.is_empty()) {
                count_quotas(state, namespace).await;
            }
        }
    }
}

/// Admission counts for itself; the status is what people and controllers read, and is right as soon as the events are through.
async fn count_quotas(state: &Arc<State>, namespace: &str) {
    use crate::security::Objects;
    for mut quota in state.objects("", "resourcequotas", namespace) {
        let status = crate::admission::resource_quota::status(&quota, &**state);
        if quota.get(&["status"]) == Some(&status) {
            continue;
        }
        quota.set_at(&["status"], status);
        quota.set_at(&["apiVersion"], "v1");
        quota.set_at(&["kind"], "ResourceQuota");
        let name = escaped(api::document::meta::name(&quota));
        let path = format!("/api/v1/namespaces/{namespace}/resourcequotas/{name}/status");
        ask(state, Method::PUT, &path, quota.to_json()).await;
    }
}

async fn store_aggregated(state: &Arc<State>, name: &str, rules: &[Rule]) {
    let path = format!("/apis/{RBAC}/v1/clusterroles/{}", escaped(name));
    let patch = serde_json::json!({ "rules": rules });
    ask(state, Method::PATCH, &path, patch.to_string().into_bytes()).await;
}

/// Approves or signs a request if that is to be done without a person. A conflict is no loss: the change that came between is
/// an event, too.
async fn answer_request(state: &Arc<State>, request: &Value) {
    use crate::security::Objects;
    let nodes = match request.str_at(&["spec", "signerName"]) {
        Some(signing::NODE_SERVING) => state.objects("", "nodes", ""),
        _ => Vec::new(),
    };
    let action = signing::decide(request, &state.security.indexes, &nodes);
    let (authority, now) = (state.security.pki.authority(), state.security.now());
    let Some(answered) = signing::answered(request, &action, authority, now) else { return };
    let subresource = if matches!(action, Action::Approve(_)) { "approval" } else { "status" };
    let name = escaped(api::document::meta::name(request));
    let path = format!("/apis/{}/v1/{}/{name}/{subresource}", signing::GROUP, signing::RESOURCE);
    let mut answered = answered;
    answered.set_at(&["apiVersion"], format!("{}/v1", signing::GROUP));
    answered.set_at(&["kind"], "CertificateSigningRequest");
    ask(state, Method::PUT, &path, answered.to_json()).await;
}

/// Names in RBAC hold colons and more; a path takes them escaped.
fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// One request to ourselves, by the way that every request takes.
async fn ask(state: &Arc<State>, method: Method, path: &str, body: Vec<u8>) {
    let content = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder().method(method).uri(path).header(http::header::CONTENT_TYPE, content);
    let Ok(mut request) = request.body(Full::new(Bytes::from(body))) else { return };
    request.extensions_mut().insert(Identity::new("system:apiserver", [MASTERS]));
    let response = crate::request::serve(Arc::clone(state), request).await;
    if !response.status().is_success() {
        tracing::debug!(path, status = %response.status(), "an own write was not taken");
    }
}

#[cfg(test)]
mod tests;
