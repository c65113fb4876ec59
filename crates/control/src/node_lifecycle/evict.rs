//! Pods leave nodes with taints that they do not tolerate (any more), and are forgotten where no node can say that they ended.

use std::sync::Arc;
use std::time::Duration;

use client::events::Recorder;
use client::reconcile::Next;
use client::{Cache, Index, Key, Queue};
use decide::node_lifecycle::{is_out_of_service, leaves_at, readiness};
use decide::pod_facts::{is_ending, is_finished};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::by_node;
use crate::apply::{self, ApplyError};
use crate::wiring::{Wiring, Work};

/// How long a pod stays whose node is not known: the node may just be late.
const ORPHAN_GRACE: Duration = Duration::from_secs(40);

struct Evictor {
    client: kube::Client,
    nodes: Arc<Cache<Node>>,
    pods: Arc<Cache<Pod>>,
    events: Recorder,
}

impl Evictor {
    fn new(wiring: &Wiring, component: &str) -> Arc<Self> {
        Arc::new(Self {
            client: wiring.client.clone(),
            nodes: wiring.cache(),
            pods: wiring.pods(),
            events: wiring.recorder(component),
        })
    }
}

/// Taints that push pods away.
fn pushing(node: &Node) -> Vec<Taint> {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    taints.filter(|taint| taint.effect == "NoExecute").cloned().collect()
}

fn node_of(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

/// Sends pods away from tainted nodes.
pub(super) async fn run(wiring: Wiring) {
    let evictor = Evictor::new(&wiring, "taint-eviction-controller");
    let queue = Queue::new();
    let index = by_node(&evictor.pods);
    enqueue_pods_of(&evictor.nodes, &index, &queue, |old, new| old.map(pushing) != new.map(pushing));
    let (told, nodes) = (queue.clone(), Arc::clone(&evictor.nodes));
    evictor.pods.on_change(move |change| {
        let Some(pod) = &change.new else { return };
        let placed = change.old.as_ref().is_none_or(|old| node_of(old) != node_of(pod) || tolerations(old) != tolerations(pod));
        if placed && nodes.find("", node_of(pod)).is_some_and(|node| !pushing(&node).is_empty()) {
            told.add(change.key.clone());
        }
    });
    wiring.work(queue, 8, move |key| leave(Arc::clone(&evictor), key)).await;
}

fn tolerations(pod: &Pod) -> Option<&Vec<k8s_openapi::api::core::v1::Toleration>> {
    pod.spec.as_ref()?.tolerations.as_ref()
}

/// Adds the pods of a node when something about the node changed.
fn enqueue_pods_of(
    nodes: &Cache<Node>,
    index: &Index<Pod>,
    queue: &Queue<Key>,
    changed: impl Fn(Option<&Node>, Option<&Node>) -> bool + Send + 'static,
) {
    let (index, queue) = (index.clone(), queue.clone());
    nodes.on_change(move |change| {
        if changed(change.old.as_deref(), change.new.as_deref()) {
            for pod in index.get(change.key.name()) {
                queue.add(Key::of(&*pod));
            }
        }
    });
}

async fn leave(evictor: Arc<Evictor>, key: Key) -> Result<Next, ApplyError> {
    let Some(pod) = evictor.pods.get(&key).filter(|pod| !is_ending(pod) && !is_finished(pod)) else { return Ok(Next::OnChange) };
    let Some(node) = evictor.nodes.find("", node_of(&pod)) else { return Ok(Next::OnChange) };
    let now = Timestamp::now();
    let tolerations = tolerations(&pod).map(Vec::as_slice).unwrap_or_default();
    let Some(at) = leaves_at(&pushing(&node), tolerations, now) else { return Ok(Next::OnChange) };
    if at > now {
        return Ok(Next::After(decide::job::until(at, now)));
    }
    evictor.events.normal(&*pod, "TaintManagerEviction", format!("Marking for deletion Pod {key}"));
    mark(&evictor.client, &pod, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint", None).await?;
    delete(&evictor.client, &pod, DeleteParams::default()).await
}

/// Says in a pod's status why it goes.
async fn mark(client: &kube::Client, pod: &Pod, reason: &str, message: &str, phase: Option<&str>) -> Result<(), ApplyError> {
    let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::now());
    let condition =
        json!({"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message, "lastTransitionTime": now});
    let mut status = json!({"conditions": [condition]});
    if let Some(phase) = phase {
        status["phase"] = json!(phase);
    }
    let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": status});
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    match api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(patch)).await {
        Ok(_) => Ok(()),
        Err(error) if apply::is_not_found(&error) => Ok(()),
        Err(error) => Err(ApplyError::write("a pod's status")(error)),
    }
}

async fn delete(client: &kube::Client, pod: &Pod, params: DeleteParams) -> Result<Next, ApplyError> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let precondition = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
    match api.delete(&pod.name_any(), &params.preconditions(precondition)).await {
        Ok(_) => Ok(Next::OnChange),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Next::OnChange),
        Err(error) => Err(ApplyError::write("a pod")(error)),
    }
}

/// Forgets pods whose node is gone or off for good, and those that were to go before they had a node.
pub fn collect_pods(wiring: Wiring) -> Work {
    Box::pin(async move {
        let collector = Evictor::new(&wiring, "pod-garbage-collector");
        let queue = Queue::new();
        let index = by_node(&collector.pods);
        enqueue_pods_of(&collector.nodes, &index, &queue, |old, new| {
            let state = |node: &Node| (is_out_of_service(node), readiness(node) == "True");
            new.is_none() || old.is_some_and(|old| new.is_some_and(|new| state(old) != state(new)))
        });
        let (told, nodes) = (queue.clone(), Arc::clone(&collector.nodes));
        collector.pods.on_change(move |change| {
            let Some(pod) = &change.new else { return };
            if is_ending(pod) {
                told.add(change.key.clone());
            } else if change.old.is_none() && !node_of(pod).is_empty() && nodes.find("", node_of(pod)).is_none() {
                told.add_after(change.key.clone(), ORPHAN_GRACE);
            }
        });
        wiring.work(queue, 4, move |key| collect(Arc::clone(&collector), key)).await;
    })
}

async fn collect(collector: Arc<Evictor>, key: Key) -> Result<Next, ApplyError> {
    let Some(pod) = collector.pods.get(&key) else { return Ok(Next::OnChange) };
    let now = DeleteParams::default().grace_period(0);
    if node_of(&pod).is_empty() {
        return if is_ending(&pod) { delete(&collector.client, &pod, now).await } else { Ok(Next::OnChange) };
    }
    if let Some(node) = collector.nodes.find("", node_of(&pod)) {
        if is_ending(&pod) && is_out_of_service(&node) && readiness(&node) != "True" {
            fail(&collector, &pod, "PodGC: node has the out-of-service taint").await?;
            return delete(&collector.client, &pod, now).await;
        }
        return Ok(Next::OnChange);
    }
    // The cache may be older than the node.
    let nodes: Api<Node> = Api::all(collector.client.clone());
    if nodes.get_opt(node_of(&pod)).await.map_err(ApplyError::read("a node"))?.is_some() {
        return Ok(Next::OnChange);
    }
    fail(&collector, &pod, "PodGC: node no longer exists").await?;
    delete(&collector.client, &pod, now).await
}

/// A pod that nobody can say anything about any more has failed.
async fn fail(collector: &Evictor, pod: &Pod, message: &str) -> Result<(), ApplyError> {
    if is_finished(pod) {
        return Ok(());
    }
    mark(&collector.client, pod, "DeletionByPodGC", message, Some("Failed")).await
}
