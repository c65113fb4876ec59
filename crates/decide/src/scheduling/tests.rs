//! Tables of small clusters, and random ones for the checker.

mod affinity;
mod filters;
mod preemption;
mod queueing;
mod random;
mod spreading;
mod storage;

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Cluster, Decision, Node, Pod, Refusal, check, decide, labels};

/// A node with 4 cores, 8 GiB and room for ten pods, changed by `more`.
pub(super) fn node(name: &str, more: Value) -> Node {
    let mut object = json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"}},
    });
    merge(&mut object, more);
    Node::new(&serde_json::from_value(object).unwrap())
}

/// A pod of the namespace `default` with that name and uid, changed by `more`.
pub(super) fn pod(name: &str, more: Value) -> Arc<Pod> {
    let mut object = json!({
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"containers": [{"name": "c", "image": "i"}], "schedulerName": "default-scheduler"},
    });
    merge(&mut object, more);
    Arc::new(Pod::new(&serde_json::from_value(object).unwrap()))
}

/// The same on a node.
pub(super) fn placed(name: &str, on: &str, more: Value) -> Arc<Pod> {
    let mut object = json!({"spec": {"nodeName": on}});
    merge(&mut object, more);
    pod(name, object)
}

/// A pod's spec that asks for so many cores.
pub(super) fn cores(amount: &str) -> Value {
    json!({"spec": {"containers": [{"name": "c", "image": "i", "resources": {"requests": {"cpu": amount}}}]}})
}

pub(super) fn merge(target: &mut Value, more: Value) {
    match (target, more) {
        (Value::Object(target), Value::Object(more)) => {
            for (key, value) in more {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, more) => *target = more,
    }
}

pub(super) fn cluster(nodes: impl IntoIterator<Item = Node>) -> Cluster {
    let mut cluster = Cluster::default();
    cluster.put_namespace("default", labels::Labels::new());
    for node in nodes {
        cluster.put_node(node);
    }
    cluster
}

fn decided(cluster: &Cluster, pod: &Pod) -> Decision {
    let decision = decide(cluster, pod, 7);
    check(cluster, pod, &decision).unwrap();
    decision
}

/// The node that the pod gets.
#[track_caller]
pub(super) fn place(cluster: &Cluster, pod: &Pod) -> String {
    match decided(cluster, pod) {
        Decision::Place(placement) => placement.node,
        Decision::Refuse(refusal) => panic!("{}", refusal.message),
    }
}

/// Why the pod gets none.
#[track_caller]
pub(super) fn refusal(cluster: &Cluster, pod: &Pod) -> Refusal {
    match decided(cluster, pod) {
        Decision::Place(placement) => panic!("placed on {}", placement.node),
        Decision::Refuse(refusal) => refusal,
    }
}

/// The first sentence of why.
#[track_caller]
pub(super) fn why(cluster: &Cluster, pod: &Pod) -> String {
    let message = refusal(cluster, pod).message;
    message.split(" preemption:").next().unwrap_or_default().to_owned()
}
