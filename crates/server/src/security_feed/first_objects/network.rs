//! The two Services that every cluster has, the range that addresses come from, and how the first of them is reached.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use api::document::{Value, meta};
use bytes::Bytes;
use serde_json::json;
use store::{Change, Expect, Op};

use super::stored;
use crate::state::{Settings, State};

/// The places of the `kubernetes` Service and of the cluster's DNS in the range of Services.
const KUBERNETES: u32 = 1;
const DNS: u32 = 10;

/// What is missing, and the addresses of the API if they are other ones than at the last start.
pub(super) fn changes(state: &State, now: &str) -> Vec<Change> {
    let settings = &state.settings;
    let snapshot = state.snapshot();
    let mut changes = Vec::new();
    for (key, service) in services(settings) {
        if snapshot.get(&key).is_none() {
            let service = born(service, now);
            let key: Arc<str> = key.into();
            changes.extend(crate::allocate::changes(&key, None, Some(&service)));
            changes.push(put(key, Expect::Absent, &service));
        }
    }
    let trust = trust(state.security.pki.ca_pem());
    for (key, wanted) in reached(settings).into_iter().chain([range(settings, now), trust]) {
        match snapshot.get(&key) {
            None => changes.push(put(key.into(), Expect::Absent, &born(wanted, now))),
            Some(entry) => {
                let old = stored(entry);
                let mut new = old.clone();
                for (field, value) in wanted.as_object().into_iter().flat_map(api::document::Map::iter) {
                    if field != "metadata" {
                        new.set_at(&[field], value.clone());
                    }
                }
                let kept = key.starts_with("/networking.k8s.io/");
                if new != old && !kept {
                    changes.push(put(key.into(), Expect::Revision(entry.modified), &new));
                }
            }
        }
    }
    changes
}

fn put(key: Arc<str>, expect: Expect, object: &Value) -> Change {
    Change { key, expect, op: Op::Put(Bytes::from(object.to_json())), durable: true }
}

fn born(mut object: Value, now: &str) -> Value {
    meta::set(&mut object, "uid", uuid::Uuid::new_v4().to_string());
    meta::set(&mut object, "creationTimestamp", now);
    object
}

fn place(settings: &Settings, place: u32) -> String {
    Ipv4Addr::from(u32::from(settings.service_cidr.0) + place).to_string()
}

fn api_port(settings: &Settings) -> u16 {
    settings.advertised.first().map_or(6443, SocketAddr::port)
}

fn services(settings: &Settings) -> [(String, Value); 2] {
    let spec = |place: &str, ports: serde_json::Value| {
        json!({
            "clusterIP": place, "clusterIPs": [place], "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack", "ports": ports, "sessionAffinity": "None", "type": "ClusterIP",
        })
    };
    let api = json!([{"name": "https", "port": 443, "protocol": "TCP", "targetPort": api_port(settings)}]);
    let dns = json!([
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
    ]);
    let kubernetes = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": spec(&place(settings, KUBERNETES), api), "status": {"loadBalancer": {}},
    });
    let name = json!({
        "k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS",
    });
    let names = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": name},
        "spec": spec(&place(settings, DNS), dns), "status": {"loadBalancer": {}},
    });
    [
        ("/core/services/default/kubernetes".into(), kubernetes.into()),
        ("/core/services/kube-system/kube-dns".into(), names.into()),
    ]
}

/// Where the API is reached: the endpoints of its Service in both forms.
fn reached(settings: &Settings) -> Vec<(String, Value)> {
    if settings.advertised.is_empty() {
        return Vec::new();
    }
    let addresses: Vec<String> = settings.advertised.iter().map(|address| address.ip().to_string()).collect();
    let port = json!({"name": "https", "port": api_port(settings), "protocol": "TCP"});
    let endpoints: Vec<_> = addresses.iter().map(|ip| json!({"addresses": [ip], "conditions": {"ready": true}})).collect();
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes", "namespace": "default", "generation": 1, "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4", "endpoints": endpoints, "ports": [port],
    });
    let listed: Vec<_> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
    let whole = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": {
            "name": "kubernetes", "namespace": "default", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"},
        },
        "subsets": [{"addresses": listed, "ports": [port]}],
    });
    vec![
        ("/discovery.k8s.io/endpointslices/default/kubernetes".into(), slice.into()),
        ("/core/endpoints/default/kubernetes".into(), whole.into()),
    ]
}

/// The range that addresses of Services come from.
fn range(settings: &Settings, now: &str) -> (String, Value) {
    let (first, length) = settings.service_cidr;
    let ready = json!({
        "type": "Ready", "status": "True", "lastTransitionTime": now, "reason": "", "message": "Kubernetes Service CIDR is ready",
    });
    let object = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "kubernetes"},
        "spec": {"cidrs": [format!("{first}/{length}")]}, "status": {"conditions": [ready]},
    });
    ("/networking.k8s.io/servicecidrs//kubernetes".into(), object.into())
}

/// What extensions of the API must know to believe in the users that this server names.
fn trust(ca: &str) -> (String, Value) {
    let list = |names: &[&str]| serde_json::json!(names).to_string();
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
        "data": {
            "client-ca-file": ca,
            "requestheader-allowed-names": list(&[crate::pki::FRONT_PROXY_NAME]),
            "requestheader-client-ca-file": ca,
            "requestheader-extra-headers-prefix": list(&["X-Remote-Extra-"]),
            "requestheader-group-headers": list(&["X-Remote-Group"]),
            "requestheader-uid-headers": list(&["X-Remote-Uid"]),
            "requestheader-username-headers": list(&["X-Remote-User"]),
        },
    });
    ("/core/configmaps/kube-system/extension-apiserver-authentication".into(), object.into())
}
