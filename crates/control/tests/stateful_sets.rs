//! StatefulSets against the real server, with a played node.

mod cluster;

use cluster::{Cluster, workload};
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, StatefulSet},
    core::v1::{PersistentVolumeClaim, Pod},
};
use kube::ResourceExt as _;
use serde_json::{Value, json};

const CONTROLLERS: &[&str] = &["statefulset-controller", "generic-garbage-collector", "pvc-protection-controller"];

fn set(replicas: i32, more: Value) -> StatefulSet {
    let mut fields = json!({
        "serviceName": "db",
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        }}],
    });
    for (field, value) in more.as_object().unwrap() {
        fields[field] = value.clone();
    }
    workload("db", replicas, fields)
}

fn names<K: kube::Resource>(objects: &[K]) -> Vec<String> {
    objects.iter().map(|object| object.meta().name.clone().unwrap()).collect()
}

#[tokio::test]
async fn pods_come_one_after_the_other_with_their_claims() {
    let cluster = Cluster::with(CONTROLLERS).await;
    cluster.create("default", &set(2, json!({}))).await;
    let pods = cluster.until::<Pod>("default", |pods| pods.len() == 1).await;
    assert_eq!(names(&pods), ["db-0"]);
    assert_eq!(names(&cluster.until::<PersistentVolumeClaim>("default", |claims| claims.len() == 1).await), ["data-db-0"]);
    cluster.run_pod(&pods[0], true).await;
    let pods = cluster.until::<Pod>("default", |pods| pods.len() == 2).await;
    assert_eq!(pods[1].spec.as_ref().unwrap().hostname.as_deref(), Some("db-1"));
    assert!(
        cluster
            .events("default", "SuccessfulCreate", 2)
            .await
            .contains(&"create Pod db-0 in StatefulSet db successful".to_owned())
    );
    cluster.run_pod(&pods[1], true).await;
    let ready = |set: &StatefulSet| set.status.as_ref().is_some_and(|status| status.ready_replicas == Some(2));
    let status = cluster.until_one("default", "db", ready).await.status.unwrap();
    assert_eq!((status.replicas, status.current_replicas, status.current_revision), (2, Some(2), status.update_revision));
}

#[tokio::test]
async fn a_new_template_reaches_every_pod_above_the_partition() {
    let cluster = Cluster::with(CONTROLLERS).await;
    let node = cluster.play_node("default");
    let partition = json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}});
    cluster.create("default", &set(3, partition)).await;
    let up = |count| move |set: &StatefulSet| set.status.as_ref().is_some_and(|status| status.ready_replicas == Some(count));
    cluster.until_one("default", "db", up(3)).await;
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}});
    cluster.patch::<StatefulSet>("default", "db", image).await;
    let images = |pods: &[Pod]| -> Vec<String> {
        pods.iter().map(|pod| pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap()).collect()
    };
    cluster.until::<Pod>("default", |pods| images(pods) == ["app:1", "app:2", "app:2"]).await;
    let done = |set: &StatefulSet| set.status.as_ref().is_some_and(|status| status.updated_replicas == Some(2));
    let status = cluster.until_one("default", "db", done).await.status.unwrap();
    assert_ne!(status.current_revision, status.update_revision);
    cluster.patch::<StatefulSet>("default", "db", json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}})).await;
    let done = |set: &StatefulSet| {
        set.status
            .as_ref()
            .is_some_and(|status| status.current_revision == status.update_revision && status.ready_replicas == Some(3))
    };
    cluster.until_one("default", "db", done).await;
    assert_eq!(cluster.until::<ControllerRevision>("default", |all| all.len() == 2).await.len(), 2);
    node.abort();
}

#[tokio::test]
async fn scaled_away_pods_take_their_claims_along_when_told_to() {
    let cluster = Cluster::with(CONTROLLERS).await;
    let node = cluster.play_node("default");
    let policy = json!({"podManagementPolicy": "Parallel", "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete", "whenDeleted": "Retain"}});
    cluster.create("default", &set(3, policy)).await;
    cluster
        .until_one("default", "db", |set: &StatefulSet| set.status.as_ref().is_some_and(|s| s.ready_replicas == Some(3)))
        .await;
    cluster.patch::<StatefulSet>("default", "db", json!({"spec": {"replicas": 1}})).await;
    let pods = cluster.until::<Pod>("default", |pods| pods.len() == 1).await;
    assert_eq!(pods[0].name_any(), "db-0");
    cluster.until::<PersistentVolumeClaim>("default", |claims| names(claims) == ["data-db-0"]).await;
    node.abort();
}
