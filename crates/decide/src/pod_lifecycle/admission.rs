//! Whether a node takes a pod in that was bound to it: the scheduler may have known less, or someone bound the pod by hand.

use k8s_openapi::api::core::v1::{Node, Pod};

use super::{Ended, spec};
use crate::scheduling::node_affinity::NodeAffinity;
use crate::scheduling::pod::host_ports;
use crate::scheduling::resources::{Resources, requests};

/// Why the pod is rejected; none when it is taken in. `others` are the pods that the node already runs.
pub fn admit(pod: &Pod, node: &Node, others: &[&Pod]) -> Option<Ended> {
    let name = node.metadata.name.as_deref().unwrap_or_default();
    let labels = node.metadata.labels.clone().unwrap_or_default();
    if !NodeAffinity::new(spec(pod)).matches(name, &labels) {
        let message = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
        return Some(rejected("NodeAffinity", message.into()));
    }
    let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
    let pods = allocatable.and_then(|all| all.get("pods")).map_or(i64::MAX, crate::scheduling::resources::whole);
    let count = i64::try_from(others.len()).unwrap_or(i64::MAX);
    if count >= pods {
        return Some(lacks("pods", 1, count, pods));
    }
    let all = Resources::from_quantities(allocatable);
    let asked = requests(pod);
    let mut used = Resources::default();
    others.iter().for_each(|other| used.add(&requests(other)));
    // Devices that the node does not know of are the business of whoever hands them out.
    let Some(lacking) = all.lacking(&used, &asked).into_iter().map(|(resource, _)| resource).next() else {
        return ports_taken(pod, others);
    };
    let of = |resources: &Resources| match lacking.as_str() {
        "cpu" => resources.milli_cpu,
        "memory" => resources.memory,
        "ephemeral-storage" => resources.ephemeral_storage,
        other => resources.extended.get(other).copied().unwrap_or_default(),
    };
    Some(lacks(&lacking, of(&asked), of(&used), of(&all)))
}

/// A port of the node can be one pod's alone.
fn ports_taken(pod: &Pod, others: &[&Pod]) -> Option<Ended> {
    let wanted = host_ports(spec(pod));
    let taken = others.iter().flat_map(|other| host_ports(spec(other)));
    let conflict = !wanted.is_empty() && taken.into_iter().any(|port| wanted.iter().any(|wanted| wanted.conflicts(&port)));
    let message = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
    conflict.then(|| rejected("NodePorts", message.into()))
}

fn lacks(resource: &str, asked: i64, used: i64, capacity: i64) -> Ended {
    let message = format!("Node didn't have enough resource: {resource}, requested: {asked}, used: {used}, capacity: {capacity}");
    rejected(&format!("OutOf{resource}"), message)
}

fn rejected(reason: &str, message: String) -> Ended {
    Ended { reason: reason.into(), message: format!("Pod was rejected: {message}"), rejected: true, grace_seconds: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(spec: serde_json::Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "p" }, "spec": spec })).unwrap()
    }

    fn asking(cpu: &str) -> Pod {
        pod(json!({ "containers": [{ "name": "a", "resources": { "requests": { "cpu": cpu } } }] }))
    }

    #[test]
    fn a_pod_that_does_not_fit_is_rejected_with_the_reason() {
        let node: Node = serde_json::from_value(json!({
            "metadata": { "name": "n", "labels": { "disk": "ssd" } },
            "status": { "allocatable": { "cpu": "2", "memory": "1Gi", "pods": "2" } },
        }))
        .unwrap();
        let small = asking("500m");
        let told = |pod: &Pod, others: &[&Pod]| admit(pod, &node, others).map(|ended| (ended.reason, ended.message));
        assert_eq!(told(&small, &[&small]), None);
        let message = "Pod was rejected: Node didn't have enough resource: cpu, requested: 1800, used: 500, capacity: 2000";
        assert_eq!(told(&asking("1800m"), &[&small]), Some(("OutOfcpu".into(), message.into())));
        assert_eq!(told(&small, &[&small, &small]).map(|(reason, _)| reason).as_deref(), Some("OutOfpods"));
        let picky = |value: &str| pod(json!({ "nodeSelector": { "disk": value }, "containers": [] }));
        assert_eq!(told(&picky("ssd"), &[]), None);
        let bound =
            |port: i32| pod(json!({ "containers": [{ "name": "a", "ports": [{ "containerPort": 80, "hostPort": port }] }] }));
        assert_eq!(told(&bound(80), &[&bound(81)]), None);
        assert_eq!(told(&bound(80), &[&bound(80)]).map(|(reason, _)| reason).as_deref(), Some("NodePorts"));
        assert_eq!(told(&picky("tape"), &[]).map(|(reason, _)| reason).as_deref(), Some("NodeAffinity"));
    }
}
