//! EndpointSlices and Endpoints against the real server.

mod cluster;

use cluster::{Cluster, object};
use k8s_openapi::api::{
    core::v1::{Endpoints, Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{ResourceExt as _, api::DeleteParams};
use serde_json::json;

const CONTROLLERS: &[&str] = &["endpointslice-controller", "endpoint-controller", "endpointslicemirroring-controller"];

fn ready(slices: &[EndpointSlice]) -> Vec<bool> {
    let endpoints = slices.iter().flat_map(|slice| slice.endpoints.iter().flatten());
    endpoints.map(|endpoint| endpoint.conditions.as_ref().unwrap().ready == Some(true)).collect()
}

#[tokio::test]
async fn what_stands_behind_a_service_is_told_in_both_forms() {
    let cluster = Cluster::with(CONTROLLERS).await;
    let spec = json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "web"}]});
    cluster.create::<Service>("default", &object(json!({"metadata": {"name": "web"}, "spec": spec}))).await;
    let of_web = |slice: &EndpointSlice| slice.labels().get("kubernetes.io/service-name").is_some_and(|name| name == "web");
    let pick = |slices: &[EndpointSlice]| slices.iter().filter(|slice| of_web(slice)).cloned().collect::<Vec<_>>();
    cluster.until::<EndpointSlice>("default", |slices| pick(slices).len() == 1).await;
    let pod = cluster
        .create::<Pod>(
            "default",
            &object(json!({
                "metadata": {"name": "web", "labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "a", "ports": [{"name": "web", "containerPort": 8080}]}]},
            })),
        )
        .await;
    cluster.run_pod(&pod, false).await;
    cluster.until::<EndpointSlice>("default", |slices| ready(&pick(slices)) == [false]).await;
    cluster.run_pod(&pod, true).await;
    let slices = cluster.until::<EndpointSlice>("default", |slices| ready(&pick(slices)) == [true]).await;
    let slice = &pick(&slices)[0];
    assert_eq!((slice.address_type.as_str(), slice.ports.as_ref().unwrap()[0].port), ("IPv4", Some(8080)));
    assert!(slice.name_any().starts_with("web-"));
    let endpoints = cluster
        .until_one::<Endpoints>("default", "web", |e| e.subsets.iter().flatten().any(|subset| subset.addresses.is_some()))
        .await;
    assert_eq!(endpoints.subsets.unwrap()[0].addresses.as_ref().unwrap()[0].ip, "10.42.0.9");
    cluster.api::<Service>("default").delete("web", &DeleteParams::default()).await.unwrap();
    cluster.until::<Endpoints>("default", |all| all.iter().all(|endpoints| endpoints.name_any() != "web")).await;
}

#[tokio::test]
async fn endpoints_written_by_hand_are_mirrored_and_followed() {
    let cluster = Cluster::with(CONTROLLERS).await;
    let spec = json!({"ports": [{"port": 80}]});
    cluster.create::<Service>("default", &object(json!({"metadata": {"name": "outside"}, "spec": spec}))).await;
    let subsets = json!([{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 8080}]}]);
    cluster.create::<Endpoints>("default", &object(json!({"metadata": {"name": "outside"}, "subsets": subsets}))).await;
    let pick = |slices: &[EndpointSlice]| -> Vec<String> {
        let own =
            slices.iter().filter(|slice| slice.labels().get("kubernetes.io/service-name").is_some_and(|name| name == "outside"));
        own.flat_map(|slice| slice.endpoints.iter().flatten()).flat_map(|endpoint| endpoint.addresses.clone()).collect()
    };
    cluster.until::<EndpointSlice>("default", |slices| pick(slices) == ["192.0.2.1"]).await;
    let subsets = json!([{"addresses": [{"ip": "192.0.2.2"}], "ports": [{"port": 8080}]}]);
    cluster.patch::<Endpoints>("default", "outside", json!({"subsets": subsets})).await;
    cluster.until::<EndpointSlice>("default", |slices| pick(slices) == ["192.0.2.2"]).await;
    cluster.api::<Endpoints>("default").delete("outside", &DeleteParams::default()).await.unwrap();
    cluster.until::<EndpointSlice>("default", |slices| pick(slices).is_empty()).await;
}
