//! The garbage collector and the end of namespaces against the real server, custom kinds among them.

mod cluster;

use cluster::{Cluster, object, workload};
use k8s_openapi::{
    api::{
        apps::v1::{Deployment, ReplicaSet},
        core::v1::{ConfigMap, Namespace, Pod},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, PostParams},
    core::GroupVersionKind,
};
use serde_json::json;

const CONTROLLERS: &[&str] =
    &["deployment-controller", "replicaset-controller", "generic-garbage-collector", "namespace-controller"];

async fn with_pods(cluster: &Cluster) {
    cluster.create::<Deployment>("default", &workload("web", 2, json!({}))).await;
    cluster.until::<Pod>("default", |pods| pods.len() == 2).await;
}

#[tokio::test]
async fn a_deployment_takes_its_replica_sets_and_pods_with_it() {
    let cluster = Cluster::with(CONTROLLERS).await;
    with_pods(&cluster).await;
    cluster.api::<Deployment>("default").delete("web", &DeleteParams::background()).await.unwrap();
    cluster.until::<ReplicaSet>("default", |sets| sets.is_empty()).await;
    cluster.until::<Pod>("default", |pods| pods.is_empty()).await;
}

#[tokio::test]
async fn in_the_foreground_an_owner_goes_last() {
    let cluster = Cluster::with(CONTROLLERS).await;
    with_pods(&cluster).await;
    let pods = cluster.until::<Pod>("default", |pods| pods.len() == 2).await;
    let held = json!({"metadata": {"finalizers": ["example.com/hold"]}});
    cluster.patch::<Pod>("default", &pods[0].name_any(), held).await;
    cluster.api::<Deployment>("default").delete("web", &DeleteParams::foreground()).await.unwrap();
    cluster.until::<Pod>("default", |pods| pods.len() == 1 && pods[0].metadata.deletion_timestamp.is_some()).await;
    let deployment = cluster.api::<Deployment>("default").get("web").await.unwrap();
    assert!(deployment.metadata.deletion_timestamp.is_some());
    cluster.patch::<Pod>("default", &pods[0].name_any(), json!({"metadata": {"finalizers": null}})).await;
    cluster.until::<Deployment>("default", |deployments| deployments.is_empty()).await;
    assert!(cluster.api::<ReplicaSet>("default").list(&Default::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn orphans_stay_without_an_owner() {
    let cluster = Cluster::with(CONTROLLERS).await;
    with_pods(&cluster).await;
    cluster.api::<Deployment>("default").delete("web", &DeleteParams::orphan()).await.unwrap();
    cluster.until::<Deployment>("default", |deployments| deployments.is_empty()).await;
    let sets = cluster.until::<ReplicaSet>("default", |sets| sets[0].owner_references().is_empty()).await;
    assert_eq!(sets.len(), 1);
    assert_eq!(cluster.api::<Pod>("default").list(&Default::default()).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn custom_objects_own_and_are_owned() {
    let cluster = Cluster::with(CONTROLLERS).await;
    let definition: CustomResourceDefinition = object(json!({
        "metadata": {"name": "boats.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "boats", "singular": "boat", "kind": "Boat"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    }));
    cluster.all::<CustomResourceDefinition>().create(&PostParams::default(), &definition).await.unwrap();
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Boat"));
    let boats: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), "default", &kind);
    let boat = boats.create(&PostParams::default(), &DynamicObject::new("coracle", &kind)).await.unwrap();
    let owner = json!([{"apiVersion": "example.com/v1", "kind": "Boat", "name": "coracle", "uid": boat.uid()}]);
    let map = json!({"metadata": {"name": "paddle", "ownerReferences": owner}});
    cluster.create::<ConfigMap>("default", &object(map)).await;
    boats.delete("coracle", &DeleteParams::default()).await.unwrap();
    cluster.until::<ConfigMap>("default", |maps| maps.iter().all(|map| map.name_any() != "paddle")).await;
}

#[tokio::test]
async fn what_names_an_owner_that_never_was_goes() {
    let cluster = Cluster::with(CONTROLLERS).await;
    let owner = json!([{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "6e9d2a4e-0000-4000-8000-000000000000"}]);
    cluster.create::<ConfigMap>("default", &object(json!({"metadata": {"name": "lost", "ownerReferences": owner}}))).await;
    cluster.until::<ConfigMap>("default", |maps| maps.iter().all(|map| map.name_any() != "lost")).await;
}

#[tokio::test]
async fn a_namespace_goes_when_it_is_empty_and_says_what_it_waits_for() {
    let cluster = Cluster::with(CONTROLLERS).await;
    let namespaces = cluster.all::<Namespace>();
    namespaces.create(&PostParams::default(), &object(json!({"metadata": {"name": "team"}}))).await.unwrap();
    let map = json!({"metadata": {"name": "held", "finalizers": ["example.com/hold"]}});
    cluster.create::<ConfigMap>("team", &object(map)).await;
    cluster.create::<ConfigMap>("team", &object(json!({"metadata": {"name": "free"}}))).await;
    namespaces.delete("team", &DeleteParams::default()).await.unwrap();
    cluster.until::<ConfigMap>("team", |maps| maps.len() == 1).await;
    let cache = client::Cache::<Namespace>::start(cluster.client.clone(), client::Options::default());
    let mut changes = cache.changes();
    let told = loop {
        let change = futures::StreamExt::next(&mut changes).await.unwrap();
        let conditions = change.new.and_then(|namespace| namespace.status.clone()).and_then(|status| status.conditions);
        let found = conditions.into_iter().flatten().find(|condition| condition.type_ == "NamespaceFinalizersRemaining");
        if let Some(condition) = found {
            break condition;
        }
    };
    assert_eq!((told.status.as_str(), told.reason.as_deref()), ("True", Some("SomeFinalizersRemain")));
    assert_eq!(
        told.message.as_deref(),
        Some("Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances")
    );
    cluster.patch::<ConfigMap>("team", "held", json!({"metadata": {"finalizers": null}})).await;
    loop {
        let change = futures::StreamExt::next(&mut changes).await.unwrap();
        if change.key.name() == "team" && change.new.is_none() {
            break;
        }
    }
}
