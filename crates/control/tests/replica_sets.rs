//! ReplicaSets and ReplicationControllers against the real server.

mod cluster;

use cluster::{Cluster, object, workload};
use k8s_openapi::api::{
    apps::v1::ReplicaSet,
    core::v1::{Pod, ReplicationController, ResourceQuota},
};
use kube::{ResourceExt as _, api::DeleteParams};
use serde_json::json;

const CONTROLLERS: &[&str] = &["replicaset-controller", "replication-controller"];

fn is_active(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
}

#[tokio::test]
async fn a_replica_set_makes_its_pods_says_so_and_scales() {
    let cluster = Cluster::with(CONTROLLERS).await;
    cluster.create::<ReplicaSet>("default", &workload("web", 3, json!({}))).await;
    let pods = cluster.until::<Pod>("default", |pods| pods.len() == 3).await;
    let owner = &pods[0].owner_references()[0];
    assert_eq!((owner.kind.as_str(), owner.name.as_str(), owner.block_owner_deletion), ("ReplicaSet", "web", Some(true)));
    assert!(pods[0].name_any().starts_with("web-"));
    for pod in &pods[..2] {
        cluster.run_pod(pod, true).await;
    }
    let set = cluster
        .until_one::<ReplicaSet>("default", "web", |set| set.status.as_ref().is_some_and(|s| s.ready_replicas == Some(2)))
        .await;
    let status = set.status.unwrap();
    assert_eq!((status.replicas, status.fully_labeled_replicas, status.available_replicas), (3, Some(3), Some(2)));
    assert_eq!(status.observed_generation, set.metadata.generation);
    let messages = cluster.events("default", "SuccessfulCreate", 3).await;
    assert_eq!(messages.len(), 3);
    assert!(messages.contains(&format!("Created pod: {}", pods[0].name_any())));
    cluster.patch::<ReplicaSet>("default", "web", json!({"spec": {"replicas": 1}})).await;
    let left = cluster.until::<Pod>("default", |pods| pods.iter().filter(|pod| is_active(pod)).count() == 1).await;
    assert_ne!(left[0].name_any(), pods[2].name_any(), "the one that is not ready goes first");
}

#[tokio::test]
async fn a_deleted_pod_is_replaced_and_a_matching_orphan_is_adopted() {
    let cluster = Cluster::with(CONTROLLERS).await;
    let orphan =
        json!({"metadata": {"name": "orphan", "labels": {"app": "web"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}});
    cluster.create::<Pod>("default", &object(orphan)).await;
    cluster.create::<ReplicaSet>("default", &workload("web", 2, json!({}))).await;
    let pods =
        cluster.until::<Pod>("default", |pods| pods.len() == 2 && pods.iter().all(|pod| pod.owner_references().len() == 1)).await;
    assert!(pods.iter().any(|pod| pod.name_any() == "orphan"));
    cluster.api::<Pod>("default").delete("orphan", &DeleteParams::default()).await.unwrap();
    cluster.until::<Pod>("default", |pods| pods.len() == 2 && pods.iter().all(|pod| pod.name_any() != "orphan")).await;
}

#[tokio::test]
async fn a_pod_that_is_relabelled_is_released_and_replaced() {
    let cluster = Cluster::with(CONTROLLERS).await;
    cluster
        .create::<ReplicationController>(
            "default",
            &object(json!({
                "metadata": {"name": "old"},
                "spec": {"replicas": 1, "selector": {"app": "old"}, "template": {
                    "metadata": {"labels": {"app": "old"}}, "spec": {"containers": [{"name": "a", "image": "a"}]},
                }},
            })),
        )
        .await;
    let pods = cluster.until::<Pod>("default", |pods| pods.len() == 1).await;
    cluster.patch::<Pod>("default", &pods[0].name_any(), json!({"metadata": {"labels": {"app": "other"}}})).await;
    let pods =
        cluster.until::<Pod>("default", |pods| pods.len() == 2 && pods.iter().any(|pod| pod.owner_references().is_empty())).await;
    let released = pods.iter().find(|pod| pod.owner_references().is_empty()).unwrap();
    assert_eq!(released.labels()["app"], "other");
}

#[tokio::test]
async fn a_quota_that_is_met_is_told_in_a_condition_and_lifted_later() {
    let cluster = Cluster::with(CONTROLLERS).await;
    let quota = json!({"metadata": {"name": "few"}, "spec": {"hard": {"pods": "2"}}});
    cluster.create::<ResourceQuota>("default", &object(quota)).await;
    cluster.create::<ReplicaSet>("default", &workload("web", 3, json!({}))).await;
    let failed = |set: &ReplicaSet| {
        set.status.as_ref().is_some_and(|status| {
            status
                .conditions
                .iter()
                .flatten()
                .any(|c| c.type_.as_deref() == Some("ReplicaFailure") && c.reason.as_deref() == Some("FailedCreate"))
        })
    };
    cluster.until_one::<ReplicaSet>("default", "web", failed).await;
    cluster.patch::<ResourceQuota>("default", "few", json!({"spec": {"hard": {"pods": "5"}}})).await;
    cluster
        .until_one::<ReplicaSet>("default", "web", |set| !failed(set) && set.status.as_ref().is_some_and(|s| s.replicas == 3))
        .await;
}

#[tokio::test]
async fn a_hundred_pods_are_made_and_counted() {
    let cluster = Cluster::with(CONTROLLERS).await;
    cluster.create::<ReplicaSet>("default", &workload("web", 100, json!({}))).await;
    cluster.until::<Pod>("default", |pods| pods.len() == 100).await;
    cluster.until_one::<ReplicaSet>("default", "web", |set| set.status.as_ref().is_some_and(|s| s.replicas == 100)).await;
    assert!(cluster.handle.counts().all(|(_, _, _, panics)| panics == 0));
}
