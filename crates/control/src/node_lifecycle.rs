//! Nodes that fall silent are told to be unknown, tainted, and left by their pods. Owns who was heard when, by this process's own clock;
//! what follows from it `decide::node_lifecycle` says. Nothing polls: a node that is heard in time costs one timer for each period of grace.

mod evict;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use client::events::Recorder;
use client::reconcile::Next;
use client::{Cache, Index, Key, Queue};
use decide::node_lifecycle;
use decide::pod_facts::is_ready;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::apply::{self, ApplyError};
use crate::node_cidr;
use crate::wiring::{Wiring, Work};
pub use evict::collect_pods;

/// Where nodes renew their leases.
const LEASES: &str = "kube-node-lease";

struct Watcher {
    client: kube::Client,
    nodes: Arc<Cache<Node>>,
    pods_by_node: Index<Pod>,
    events: Recorder,
    grace: Duration,
    /// When each node was heard last.
    heard: Mutex<HashMap<String, Instant>>,
}

/// All that upstream's node controllers do here: addresses, silence, taints and eviction.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        futures::join!(node_cidr::run(wiring.clone()), watch(wiring.clone()), evict::run(wiring));
    })
}

/// Finds pods by their node.
fn by_node(pods: &Arc<Cache<Pod>>) -> Index<Pod> {
    pods.index("node", |pod| pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).into_iter().collect())
}

async fn watch(wiring: Wiring) {
    let nodes = wiring.cache::<Node>();
    let grace = wiring.settings.node_grace.unwrap_or_else(|| node_lifecycle::GRACE.try_into().unwrap_or_default());
    let watcher = Arc::new(Watcher {
        client: wiring.client.clone(),
        pods_by_node: by_node(&wiring.pods()),
        nodes: Arc::clone(&nodes),
        events: wiring.recorder("node-controller"),
        grace,
        heard: Mutex::default(),
    });
    let queue = Queue::new();
    let (told, seen) = (queue.clone(), Arc::downgrade(&watcher));
    nodes.on_change(move |change| {
        let Some(watcher) = seen.upgrade() else { return };
        match (&change.old, &change.new) {
            (old, Some(new)) => {
                if old.as_ref().is_none_or(|old| heartbeat(old) != heartbeat(new)) {
                    watcher.hear(change.key.name());
                }
                if old.is_none() {
                    let name = change.key.name();
                    let message = format!("Node {name} event: Registered Node {name} in Controller");
                    watcher.events.normal(&**new, "RegisteredNode", message);
                }
            }
            (Some(old), None) => {
                let name = change.key.name();
                watcher.heard.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
                watcher.events.normal(&**old, "RemovingNode", format!("Node {name} event: Removing Node {name} from Controller"));
            }
            (None, None) => {}
        }
        told.add(change.key.clone());
    });
    let seen = Arc::downgrade(&watcher);
    wiring.cache::<Lease>().on_change(move |change| {
        if let Some(watcher) = seen.upgrade().filter(|_| change.key.namespace() == LEASES && change.new.is_some()) {
            watcher.hear(change.key.name());
        }
    });
    wiring.work(queue, 4, move |key| reconcile(Arc::clone(&watcher), key)).await;
}

/// What of a node's status says that it is alive.
fn heartbeat(node: &Node) -> Option<(&str, Timestamp)> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().find(|one| one.type_ == "Ready")?;
    Some((ready.status.as_str(), ready.last_heartbeat_time.as_ref()?.0)).filter(|(status, _)| *status != "Unknown")
}

impl Watcher {
    fn hear(&self, node: &str) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(node.to_owned(), Instant::now());
    }

    /// How much of its time a node has left.
    fn left(&self, node: &str) -> Duration {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let last = heard.entry(node.to_owned()).or_insert_with(Instant::now);
        self.grace.saturating_sub(last.elapsed())
    }

    async fn patch_node(&self, node: &Node, status: bool, patch: serde_json::Value) -> Result<Option<Node>, ApplyError> {
        let api: Api<Node> = Api::all(self.client.clone());
        let (name, params, patch) = (node.name_any(), PatchParams::default(), Patch::Merge(patch));
        let written =
            if status { api.patch_status(&name, &params, &patch).await } else { api.patch(&name, &params, &patch).await };
        match written {
            Ok(written) => {
                self.nodes.caught_up(&written).await?;
                Ok(Some(written))
            }
            Err(error) if apply::is_not_found(&error) => Ok(None),
            Err(error) => Err(ApplyError::write("a node")(error)),
        }
    }

    /// The pods of a node that does not speak take no traffic.
    async fn take_traffic_from_pods(&self, node: &str) -> Result<(), ApplyError> {
        for pod in self.pods_by_node.get(node).iter().filter(|pod| is_ready(pod)) {
            let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::now());
            let condition = json!({"type": "Ready", "status": "False", "lastTransitionTime": now});
            let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}});
            let api: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
            match api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(patch)).await {
                Ok(_) => self.events.warning(&**pod, "NodeNotReady", "Node is not ready"),
                Err(error) if apply::is_not_found(&error) => {}
                Err(error) => return Err(ApplyError::write("a pod's status")(error)),
            }
        }
        Ok(())
    }
}

async fn reconcile(watcher: Arc<Watcher>, key: Key) -> Result<Next, ApplyError> {
    let Some(node) = watcher.nodes.get(&key) else { return Ok(Next::OnChange) };
    let now = Timestamp::now();
    let left = watcher.left(key.name());
    let mut node = (*node).clone();
    let was = node_lifecycle::readiness(&node).to_owned();
    if left.is_zero()
        && let Some(conditions) = node_lifecycle::silent(&node, now)
    {
        let patch =
            json!({"metadata": {"resourceVersion": node.metadata.resource_version}, "status": {"conditions": conditions}});
        let Some(written) = watcher.patch_node(&node, true, patch).await? else { return Ok(Next::OnChange) };
        node = written;
        if was == "True" {
            watcher.events.normal(&node, "NodeNotReady", format!("Node {} status is now: NodeNotReady", key.name()));
        }
    }
    if let Some(taints) = node_lifecycle::taints(&node, now) {
        let patch = json!({"metadata": {"resourceVersion": node.metadata.resource_version}, "spec": {"taints": taints}});
        watcher.patch_node(&node, false, patch).await?;
    }
    if node_lifecycle::readiness(&node) != "True" {
        watcher.take_traffic_from_pods(key.name()).await?;
    }
    // One that is silent is looked at when it speaks again.
    Ok(if left.is_zero() { Next::OnChange } else { Next::After(left) })
}
