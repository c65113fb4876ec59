//! Deployments against the real server, with a played node.

mod cluster;

use cluster::{Cluster, workload};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Pod,
};
use kube::ResourceExt as _;
use serde_json::json;

const CONTROLLERS: &[&str] = &["deployment-controller", "replicaset-controller"];

fn reason(deployment: &Deployment, kind: &str) -> String {
    let conditions = deployment.status.as_ref().and_then(|status| status.conditions.as_ref());
    let condition = conditions.into_iter().flatten().find(|condition| condition.type_.as_deref() == Some(kind));
    condition.and_then(|condition| condition.reason.clone()).unwrap_or_default()
}

fn is_rolled_out(deployment: &Deployment) -> bool {
    reason(deployment, "Progressing") == "NewReplicaSetAvailable"
        && deployment.status.as_ref().and_then(|status| status.observed_generation) == deployment.metadata.generation
        && deployment.status.as_ref().and_then(|status| status.available_replicas) == deployment.spec.replicas
        && deployment.status.as_ref().and_then(|status| status.updated_replicas) == deployment.spec.replicas
        && deployment.status.as_ref().and_then(|status| status.replicas) == deployment.spec.replicas
}

#[tokio::test]
async fn a_deployment_rolls_out_rolls_on_and_scales() {
    let cluster = Cluster::with(CONTROLLERS).await;
    let node = cluster.play_node("default");
    let strategy = json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}}});
    cluster.create::<Deployment>("default", &workload("web", 3, strategy)).await;
    let deployment = cluster.until_one("default", "web", is_rolled_out).await;
    assert_eq!(deployment.annotations()["deployment.kubernetes.io/revision"], "1");
    assert_eq!(reason(&deployment, "Available"), "MinimumReplicasAvailable");
    let sets = cluster.until::<ReplicaSet>("default", |sets| sets.len() == 1).await;
    let first = sets[0].name_any();
    assert_eq!(cluster.events("default", "ScalingReplicaSet", 1).await, [format!("Scaled up replica set {first} from 0 to 3")]);
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}});
    cluster.patch::<Deployment>("default", "web", image).await;
    let deployment = cluster.until_one("default", "web", is_rolled_out).await;
    assert_eq!(deployment.annotations()["deployment.kubernetes.io/revision"], "2");
    let gone = |sets: &[ReplicaSet]| sets.len() == 2 && sets.iter().any(|set| set.spec.replicas == Some(0));
    let sets = cluster.until::<ReplicaSet>("default", gone).await;
    assert!(sets.iter().any(|set| set.name_any() == first && set.spec.replicas == Some(0)));
    cluster.patch::<Deployment>("default", "web", json!({"spec": {"replicas": 5}})).await;
    cluster.until_one("default", "web", is_rolled_out).await;
    cluster.until::<Pod>("default", |pods| pods.len() == 5).await;
    node.abort();
}

#[tokio::test]
async fn recreate_never_runs_two_templates_at_once() {
    let cluster = Cluster::with(CONTROLLERS).await;
    let node = cluster.play_node("default");
    cluster.create::<Deployment>("default", &workload("web", 2, json!({"strategy": {"type": "Recreate"}}))).await;
    cluster.until_one("default", "web", is_rolled_out).await;
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}});
    cluster.patch::<Deployment>("default", "web", image).await;
    cluster.until_one("default", "web", is_rolled_out).await;
    let pods = cluster.until::<Pod>("default", |pods| pods.len() == 2).await;
    assert!(pods.iter().all(|pod| pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some("app:2")));
    node.abort();
}

#[tokio::test]
async fn a_deployment_that_cannot_progress_says_so() {
    let cluster = Cluster::with(CONTROLLERS).await;
    cluster.create::<Deployment>("default", &workload("web", 1, json!({"progressDeadlineSeconds": 1}))).await;
    cluster.until_one::<Deployment>("default", "web", |d| reason(d, "Progressing") == "ProgressDeadlineExceeded").await;
}

#[tokio::test]
async fn a_replica_set_of_the_same_selector_is_adopted() {
    let cluster = Cluster::with(CONTROLLERS).await;
    let node = cluster.play_node("default");
    let mut set: ReplicaSet = workload("web", 2, json!({}));
    set.metadata.labels = Some([("app".to_owned(), "web".to_owned())].into());
    cluster.create("default", &set).await;
    cluster.create::<Deployment>("default", &workload("web", 2, json!({}))).await;
    cluster.until_one("default", "web", is_rolled_out).await;
    let sets = cluster.until::<ReplicaSet>("default", |sets| sets.iter().all(|set| set.owner_references().len() == 1)).await;
    assert_eq!(sets.len(), 1);
    node.abort();
}
