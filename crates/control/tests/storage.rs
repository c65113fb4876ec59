//! Claims and volumes against the real server, with the scheduler. No node runs: the test takes the finalizer of a folder away itself.

mod cluster;

use cluster::{Cluster, object};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

const CONTROLLERS: &[&str] =
    &["kube-scheduler", "node-controller", "persistent-volume-binder", "pv-protection-controller", "pvc-protection-controller"];

async fn node(cluster: &Cluster, name: &str) {
    let nodes: Api<Node> = cluster.all();
    let labels = json!({"kubernetes.io/hostname": name});
    let annotations = json!({"coracle.dev/folder": format!("/data/{name}")});
    let node: Node = object(json!({"metadata": {"name": name, "labels": labels, "annotations": annotations}}));
    nodes.create(&PostParams::default(), &node).await.unwrap();
    let resources = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
    let status =
        json!({"status": {"capacity": resources, "allocatable": resources, "conditions": [{"type": "Ready", "status": "True"}]}});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    nodes.patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": {"taints": null}}))).await.unwrap();
}

fn claim(name: &str, more: Value) -> PersistentVolumeClaim {
    let mut all = json!({
        "metadata": {"name": name},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    for (field, value) in more.as_object().unwrap() {
        all["spec"][field] = value.clone();
    }
    object(all)
}

fn user(name: &str, claim: &str) -> Pod {
    object(json!({"metadata": {"name": name}, "spec": {
        "containers": [{"name": "main", "image": "app:1"}],
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
    }}))
}

fn phase(claim: &PersistentVolumeClaim) -> &str {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

#[tokio::test]
async fn a_claim_of_the_default_class_gets_a_folder_where_its_pod_goes() {
    let cluster = Cluster::with(CONTROLLERS).await;
    node(&cluster, "a").await;
    cluster.create("default", &claim("c", json!({}))).await;
    cluster.create("default", &user("p", "c")).await;
    cluster.until_one::<Pod>("default", "p", |pod| node_of(pod) == Some("a")).await;
    let bound = cluster.until_one::<PersistentVolumeClaim>("default", "c", |claim| phase(claim) == "Bound").await;
    let name = bound.spec.unwrap().volume_name.unwrap();
    assert_eq!(name, format!("pvc-{}", bound.metadata.uid.unwrap()));
    let volumes: Api<PersistentVolume> = cluster.all();
    let volume = volumes.get(&name).await.unwrap();
    assert_eq!(volume.status.as_ref().unwrap().phase.as_deref(), Some("Bound"));
    assert_eq!(volume.spec.as_ref().unwrap().local.as_ref().unwrap().path, format!("/data/a/volumes/{name}"));
    assert_eq!(volume.annotations()["coracle.dev/node"], "a");

    // While the pod has a node, the claim stays; then it goes, and the volume with it once its folder is gone.
    cluster.api::<PersistentVolumeClaim>("default").delete("c", &DeleteParams::default()).await.unwrap();
    let going =
        cluster.until_one::<PersistentVolumeClaim>("default", "c", |claim| claim.metadata.deletion_timestamp.is_some()).await;
    assert!(going.finalizers().contains(&"kubernetes.io/pvc-protection".to_owned()));
    cluster.api::<Pod>("default").delete("p", &DeleteParams::default().grace_period(0)).await.unwrap();
    cluster.until::<PersistentVolumeClaim>("default", |claims| claims.is_empty()).await;
    let finalizers = loop {
        let volume = volumes.get(&name).await.unwrap();
        if volume.metadata.deletion_timestamp.is_some() && volume.finalizers().len() == 1 {
            break volume.finalizers().to_vec();
        }
    };
    assert_eq!(finalizers, ["coracle.dev/local-path"]);
    volumes.patch(&name, &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}}))).await.unwrap();
    assert!(volumes.get_opt(&name).await.unwrap().is_none());
}

#[tokio::test]
async fn a_volume_made_by_hand_is_bound_kept_and_released() {
    let cluster = Cluster::with(CONTROLLERS).await;
    let volume = json!({"metadata": {"name": "v"}, "spec": {
        "storageClassName": "", "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/tmp/v"},
    }});
    let volumes: Api<PersistentVolume> = cluster.all();
    volumes.create(&PostParams::default(), &object(volume)).await.unwrap();
    cluster.create("default", &claim("c", json!({"storageClassName": ""}))).await;
    let bound = cluster.until_one::<PersistentVolumeClaim>("default", "c", |claim| phase(claim) == "Bound").await;
    assert_eq!(bound.status.unwrap().capacity.unwrap()["storage"].0, "2Gi");
    cluster.api::<PersistentVolumeClaim>("default").delete("c", &DeleteParams::default()).await.unwrap();
    while volumes.get("v").await.unwrap().status.unwrap().phase.as_deref() != Some("Released") {}
}

#[tokio::test]
async fn a_claim_without_a_user_waits_and_one_of_no_class_says_so() {
    let cluster = Cluster::with(CONTROLLERS).await;
    cluster.create("default", &claim("waits", json!({}))).await;
    cluster.create("default", &claim("lost", json!({"storageClassName": "none"}))).await;
    assert_eq!(
        cluster.events("default", "WaitForFirstConsumer", 1).await,
        ["waiting for first consumer to be created before binding"]
    );
    assert_eq!(cluster.events("default", "ProvisioningFailed", 1).await, ["storageclass.storage.k8s.io \"none\" not found"]);
}

#[tokio::test]
async fn every_node_gets_addresses_of_its_own() {
    let cluster = Cluster::with(CONTROLLERS).await;
    for name in ["a", "b", "c"] {
        node(&cluster, name).await;
    }
    let nodes: Api<Node> = cluster.all();
    let mut given = std::collections::BTreeSet::new();
    for name in ["a", "b", "c"] {
        let cidr = loop {
            let spec = nodes.get(name).await.unwrap().spec.unwrap_or_default();
            if let Some(cidr) = spec.pod_cidr {
                assert_eq!(spec.pod_cidrs, Some(vec![cidr.clone()]));
                break cidr;
            }
        };
        assert!(cidr.starts_with("10.42.") && cidr.ends_with(".0/24") && given.insert(cidr));
    }
}
