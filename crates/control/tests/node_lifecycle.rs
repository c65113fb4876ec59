//! Silent nodes against the real server; the grace is two seconds here.

mod cluster;

use cluster::{Cluster, object};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{Node, Pod},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

const CONTROLLERS: &[&str] = &["node-controller", "pod-garbage-collector"];

async fn ready_node(cluster: &Cluster, name: &str) {
    let nodes: Api<Node> = cluster.all();
    nodes.create(&PostParams::default(), &object(json!({"metadata": {"name": name}}))).await.unwrap();
    report(cluster, name).await;
}

/// Plays the node: it is ready.
async fn report(cluster: &Cluster, name: &str) {
    let nodes: Api<Node> = cluster.all();
    let now = jiff::Timestamp::now().to_string();
    let ready =
        json!({"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now, "lastTransitionTime": now});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(json!({"status": {"conditions": [ready]}}))).await.unwrap();
}

fn pod(name: &str, node: &str, tolerations: Value) -> Pod {
    object(json!({"metadata": {"name": name}, "spec": {
        "nodeName": node, "containers": [{"name": "main", "image": "app:1"}], "tolerations": tolerations,
    }}))
}

/// Waits until a node is as told.
async fn until_node(cluster: &Cluster, name: &str, told: impl Fn(&Node) -> bool) -> Node {
    let nodes: Api<Node> = cluster.all();
    let patience = std::time::Instant::now();
    loop {
        let node = nodes.get(name).await.unwrap();
        if told(&node) {
            return node;
        }
        assert!(patience.elapsed().as_secs() < 20, "{node:#?}");
        tokio::task::yield_now().await;
    }
}

fn taints(node: &Node) -> Vec<String> {
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    taints.map(|taint| format!("{}:{}", taint.key.trim_start_matches("node.kubernetes.io/"), taint.effect)).collect()
}

#[tokio::test]
async fn a_node_that_falls_silent_is_tainted_and_left_and_returns() {
    let cluster = Cluster::with(CONTROLLERS).await;
    ready_node(&cluster, "n").await;
    until_node(&cluster, "n", |node| taints(node).is_empty()).await;
    let patient = json!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists"}]);
    let hasty = json!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 0}]);
    cluster.create("default", &pod("patient", "n", patient)).await;
    let hasty = cluster.create("default", &pod("hasty", "n", hasty)).await;
    cluster.run_pod(&hasty, true).await;
    let silent = until_node(&cluster, "n", |node| taints(node).len() == 2).await;
    assert_eq!(taints(&silent), ["unreachable:NoSchedule", "unreachable:NoExecute"]);
    let conditions = silent.status.unwrap().conditions.unwrap();
    let ready = conditions.iter().find(|one| one.type_ == "Ready").unwrap();
    assert_eq!((ready.status.as_str(), ready.message.as_deref()), ("Unknown", Some("Kubelet stopped posting node status.")));
    let marked = |pod: &Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        pod.metadata.deletion_timestamp.is_some()
            && conditions.into_iter().any(|one| one.reason.as_deref() == Some("DeletionByTaintManager"))
    };
    cluster.until_one::<Pod>("default", "hasty", marked).await;
    cluster.until_one::<Pod>("default", "patient", |pod| pod.metadata.deletion_timestamp.is_none()).await;
    report(&cluster, "n").await;
    until_node(&cluster, "n", |node| taints(node).is_empty()).await;
}

#[tokio::test]
async fn a_lease_keeps_a_node_alive() {
    let cluster = Cluster::with(CONTROLLERS).await;
    ready_node(&cluster, "n").await;
    let leases: Api<Lease> = cluster.api("kube-node-lease");
    let renewal = || json!({"metadata": {"name": "n"}, "spec": {"holderIdentity": "n", "renewTime": format!("{:.6}", jiff::Timestamp::now())}});
    leases.create(&PostParams::default(), &object(renewal())).await.unwrap();
    for _ in 0..4 {
        client::queue::pause(std::time::Duration::from_millis(1000)).await;
        leases.patch("n", &PatchParams::default(), &Patch::Merge(renewal())).await.unwrap();
        let node = until_node(&cluster, "n", |_| true).await;
        assert!(taints(&node).is_empty(), "{node:#?}");
    }
}

#[tokio::test]
async fn pods_of_a_node_that_is_gone_are_forgotten() {
    let cluster = Cluster::with(CONTROLLERS).await;
    ready_node(&cluster, "n").await;
    cluster.create("default", &pod("p", "n", json!([{"operator": "Exists"}]))).await;
    let nodes: Api<Node> = cluster.all();
    nodes.delete("n", &DeleteParams::default()).await.unwrap();
    cluster.until::<Pod>("default", |pods| pods.is_empty()).await;
}

#[tokio::test]
async fn an_ending_pod_of_a_node_that_is_out_of_service_is_forgotten() {
    let cluster = Cluster::with(CONTROLLERS).await;
    ready_node(&cluster, "n").await;
    cluster.create("default", &pod("p", "n", json!([{"operator": "Exists"}]))).await;
    cluster.api::<Pod>("default").delete("p", &DeleteParams::default()).await.unwrap();
    until_node(&cluster, "n", |node| taints(node).len() == 2).await;
    cluster.until_one::<Pod>("default", "p", |pod| pod.metadata.deletion_timestamp.is_some()).await;
    let nodes: Api<Node> = cluster.all();
    let mut all = serde_json::to_value(nodes.get("n").await.unwrap().spec.unwrap().taints).unwrap();
    all.as_array_mut().unwrap().push(json!({"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}));
    nodes.patch("n", &PatchParams::default(), &Patch::Merge(json!({"spec": {"taints": all}}))).await.unwrap();
    cluster.until::<Pod>("default", |pods| pods.is_empty()).await;
}
