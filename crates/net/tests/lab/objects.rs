//! Services and endpoint slices in few words.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

/// A service in the namespace `default`; `spec` is merged into one with that address and a port 80 that goes to 8080.
pub fn service(name: &str, cluster_ip: &str, protocol: &str, spec: Value) -> Service {
    let mut whole = json!({
        "clusterIP": cluster_ip, "clusterIPs": [cluster_ip],
        "ports": [{"port": 80, "targetPort": 8080, "protocol": protocol}],
    });
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    serde_json::from_value(json!({"metadata": {"namespace": "default", "name": name}, "spec": whole})).unwrap()
}

/// Its one slice: ready endpoints on a node each, all on port 8080.
pub fn slice(service: &str, protocol: &str, endpoints: &[(Ipv4Addr, &str)]) -> EndpointSlice {
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|(address, node)| json!({"addresses": [address], "nodeName": node, "conditions": {"ready": true, "serving": true}}))
        .collect();
    serde_json::from_value(json!({
        "metadata": {"namespace": "default", "name": format!("{service}-1"), "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 8080, "protocol": protocol}],
        "endpoints": endpoints,
    }))
    .unwrap()
}
