//! The scheduler against the real server. No node runs: a node is an object, and a pod that was bound has its node.

mod cluster;

use cluster::{Cluster, object};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

const CONTROLLERS: &[&str] = &["kube-scheduler"];

async fn node(cluster: &Cluster, name: &str, more: Value) {
    let nodes: Api<Node> = cluster.all();
    let labels = json!({"kubernetes.io/hostname": name});
    let node: Node = object(json!({"metadata": {"name": name, "labels": labels}, "spec": more}));
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let resources = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
    let status = json!({"status": {"capacity": resources, "allocatable": resources}});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    // What the server put there until the node says that it is ready.
    let taints = json!({"spec": {"taints": more["taints"]}});
    nodes.patch(name, &PatchParams::default(), &Patch::Merge(taints)).await.unwrap();
}

fn pod(name: &str, cpu: &str, more: Value) -> Pod {
    let mut all = json!({
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "app:1", "resources": {"requests": {"cpu": cpu}}}]},
    });
    for (field, value) in more.as_object().unwrap() {
        all["spec"][field] = value.clone();
    }
    object(all)
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// Status, reason and message of the condition `PodScheduled`.
fn scheduled(pod: &Pod) -> Option<(&str, &str, &str)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let one = conditions.iter().find(|one| one.type_ == "PodScheduled")?;
    Some((&one.status, one.reason.as_deref().unwrap_or_default(), one.message.as_deref().unwrap_or_default()))
}

#[tokio::test]
async fn pods_are_bound_and_told_so() {
    let cluster = Cluster::with(CONTROLLERS).await;
    node(&cluster, "a", json!({})).await;
    cluster.create("default", &pod("p", "1", json!({}))).await;
    let bound = cluster.until_one::<Pod>("default", "p", |pod| node_of(pod) == Some("a")).await;
    assert_eq!(scheduled(&bound).unwrap().0, "True");
    assert_eq!(cluster.events("default", "Scheduled", 1).await, ["Successfully assigned default/p to a"]);
}

#[tokio::test]
async fn a_pod_without_a_place_says_why_and_goes_once_there_is_one() {
    let cluster = Cluster::with(CONTROLLERS).await;
    node(&cluster, "a", json!({"taints": [{"key": "k", "effect": "NoSchedule"}]})).await;
    cluster.create("default", &pod("p", "1", json!({}))).await;
    let waiting = cluster.until_one::<Pod>("default", "p", |pod| scheduled(pod).is_some()).await;
    let message = "0/1 nodes are available: 1 node(s) had untolerated taint(s). \
                   preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    assert_eq!(scheduled(&waiting), Some(("False", "Unschedulable", message)));
    assert_eq!(cluster.events("default", "FailedScheduling", 1).await.first().map(String::as_str), Some(message));
    node(&cluster, "b", json!({})).await;
    cluster.until_one::<Pod>("default", "p", |pod| node_of(pod) == Some("b")).await;
}

#[tokio::test]
async fn gates_and_other_schedulers_are_left_alone() {
    let cluster = Cluster::with(CONTROLLERS).await;
    node(&cluster, "a", json!({})).await;
    cluster.create("default", &pod("gated", "1", json!({"schedulingGates": [{"name": "example.com/g"}]}))).await;
    cluster.create("default", &pod("foreign", "1", json!({"schedulerName": "mine"}))).await;
    cluster.create("default", &pod("ours", "1", json!({}))).await;
    cluster.until_one::<Pod>("default", "ours", |pod| node_of(pod).is_some()).await;
    let gated = cluster.until_one::<Pod>("default", "gated", |pod| scheduled(pod).is_some()).await;
    assert_eq!(scheduled(&gated), Some(("False", "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates")));
    cluster.until_one::<Pod>("default", "foreign", |pod| node_of(pod).is_none()).await;
    cluster.patch::<Pod>("default", "gated", json!({"spec": {"schedulingGates": []}})).await;
    cluster.until_one::<Pod>("default", "gated", |pod| node_of(pod) == Some("a")).await;
}

#[tokio::test]
async fn a_more_important_pod_takes_the_place_of_another() {
    let cluster = Cluster::with(CONTROLLERS).await;
    node(&cluster, "a", json!({})).await;
    let class = json!({"metadata": {"name": "high"}, "value": 1000});
    let classes: Api<k8s_openapi::api::scheduling::v1::PriorityClass> = cluster.all();
    classes.create(&PostParams::default(), &object(class)).await.unwrap();
    cluster.create("default", &pod("low", "3", json!({}))).await;
    cluster.until_one::<Pod>("default", "low", |pod| node_of(pod).is_some()).await;
    cluster.create("default", &pod("high", "3", json!({"priorityClassName": "high"}))).await;
    let target = |pod: &Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        pod.metadata.deletion_timestamp.is_some()
            && conditions
                .into_iter()
                .any(|one| one.type_ == "DisruptionTarget" && one.reason.as_deref() == Some("PreemptionByScheduler"))
    };
    cluster.until_one::<Pod>("default", "low", target).await;
    let high = cluster.until_one::<Pod>("default", "high", |pod| scheduled(pod).is_some()).await;
    assert_eq!(high.status.as_ref().and_then(|status| status.nominated_node_name.as_deref()), Some("a"));
    let gone = kube::api::DeleteParams::default().grace_period(0);
    cluster.api::<Pod>("default").delete("low", &gone).await.unwrap();
    cluster.until_one::<Pod>("default", "high", |pod| node_of(pod) == Some("a")).await;
}

#[tokio::test]
async fn a_hundred_pods_are_bound_together() {
    let cluster = Cluster::with(CONTROLLERS).await;
    node(&cluster, "a", json!({})).await;
    let begun = std::time::Instant::now();
    let creates = (0..100).map(|index| {
        let pods: Api<Pod> = cluster.api("default");
        async move { pods.create(&PostParams::default(), &pod(&format!("p{index}"), "10m", json!({}))).await.unwrap() }
    });
    futures::future::join_all(creates).await;
    let created = begun.elapsed();
    let pods = cluster.until::<Pod>("default", |pods| pods.iter().filter(|pod| node_of(pod).is_some()).count() == 100).await;
    assert_eq!(pods.iter().map(ResourceExt::name_any).collect::<std::collections::BTreeSet<_>>().len(), 100);
    tracing::info!(?created, bound = ?begun.elapsed(), "a hundred pods");
}
