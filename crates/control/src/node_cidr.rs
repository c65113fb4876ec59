//! Every node gets its pods' addresses: `spec.podCIDR` and `spec.podCIDRs`. Which, `decide::node_cidr` says. One worker, so that no two nodes
//! are given the same.

use std::sync::{Arc, Mutex, PoisonError};

use client::events::Recorder;
use client::reconcile::Next;
use client::{Cache, Key, Queue};
use decide::node_cidr::{Allocation, CLUSTER_CIDR, NODE_MASK};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::apply::{self, ApplyError};
use crate::wiring::{Wiring, Work};

struct Controller {
    client: kube::Client,
    nodes: Arc<Cache<Node>>,
    events: Recorder,
    allocation: Mutex<Allocation>,
}

/// The controller of nodes' pod addresses.
pub fn run(wiring: Wiring) -> Work {
    Box::pin(async move {
        let nodes = wiring.cache::<Node>();
        let queue = Queue::new();
        wiring.enqueue_changes(&nodes, &queue);
        let Ok(cluster) = CLUSTER_CIDR.parse() else { return };
        let controller = Arc::new(Controller {
            client: wiring.client.clone(),
            events: wiring.recorder("cidrAllocator"),
            nodes: Arc::clone(&nodes),
            allocation: Mutex::new(Allocation::new(cluster, NODE_MASK)),
        });
        wiring.synced().await;
        // What nodes have already is known before the first is given anything.
        for node in nodes.list() {
            controller.occupy(&node);
        }
        wiring.work(queue, 1, move |key| reconcile(Arc::clone(&controller), key)).await;
    })
}

fn cidr(node: &Node) -> Option<&str> {
    node.spec.as_ref()?.pod_cidr.as_deref().filter(|cidr| !cidr.is_empty())
}

impl Controller {
    fn occupy(&self, node: &Node) -> bool {
        let Some(cidr) = cidr(node) else { return false };
        if let Ok(cidr) = cidr.parse() {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            self.allocation.lock().unwrap_or_else(PoisonError::into_inner).occupy(name, cidr);
        }
        true
    }
}

async fn reconcile(controller: Arc<Controller>, key: Key) -> Result<Next, ApplyError> {
    let Some(node) = controller.nodes.get(&key) else {
        controller.allocation.lock().unwrap_or_else(PoisonError::into_inner).release(key.name());
        return Ok(Next::OnChange);
    };
    if controller.occupy(&node) || node.metadata.deletion_timestamp.is_some() {
        return Ok(Next::OnChange);
    }
    let given = controller.allocation.lock().unwrap_or_else(PoisonError::into_inner).allocate(key.name());
    let given = match given {
        Ok(given) => given.to_string(),
        Err(_) => {
            let message = format!("Node {} status is now: CIDRNotAvailable", key.name());
            controller.events.normal(&*node, "CIDRNotAvailable", message);
            return Ok(Next::After(std::time::Duration::from_secs(60)));
        }
    };
    let api: Api<Node> = Api::all(controller.client.clone());
    let patch = json!({"metadata": {"uid": node.metadata.uid}, "spec": {"podCIDR": given, "podCIDRs": [given]}});
    match api.patch(key.name(), &PatchParams::default(), &Patch::Merge(patch)).await {
        Ok(written) => controller.nodes.caught_up(&written).await?,
        Err(error) if apply::is_not_found(&error) => {}
        Err(error) => return Err(ApplyError::write("a node's pod addresses")(error)),
    }
    Ok(Next::OnChange)
}
