//! The Endpoints object of a Service: the same truth in its older form, for clients that still read it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{HEADLESS, addresses, hostname, is_headless, ports_of, reference};
use crate::pod_facts::{is_ending, is_finished, is_ready};

/// Marks Endpoints that are derived from a selector.
pub const LEGACY_MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const CONTROLLER: &str = "endpoint-controller";
const LAST_CHANGE: &str = "endpoints.kubernetes.io/last-change-trigger-time";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// The most addresses of one object.
const ADDRESSES_MAX: usize = 1000;

type Ports = Vec<(String, i32, String, Option<String>)>;

/// The Endpoints that a Service is to have, or `None` if those that it has are right.
pub fn legacy(service: &Service, pods: &[impl AsRef<Pod>], existing: Option<&Endpoints>) -> Option<Endpoints> {
    let publish = service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true);
    let mut subsets: BTreeMap<Ports, (Vec<EndpointAddress>, Vec<EndpointAddress>)> = BTreeMap::new();
    let mut count = 0;
    for pod in pods.iter().map(AsRef::as_ref).filter(|pod| !is_finished(pod) && (publish || !is_ending(pod))) {
        let Some(ip) = addresses(pod).next() else { continue };
        count += 1;
        if count > ADDRESSES_MAX {
            continue;
        }
        let mut ports: Ports = ports_of(service, pod)
            .into_iter()
            .map(|port| {
                let (name, protocol) = (port.name.unwrap_or_default(), port.protocol.unwrap_or_default());
                (name, port.port.unwrap_or(0), protocol, port.app_protocol)
            })
            .collect();
        ports.sort();
        let no_ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref()).is_none_or(Vec::is_empty);
        if ports.is_empty() && !(is_headless(service) && no_ports) {
            continue;
        }
        let address = EndpointAddress {
            ip: ip.to_owned(),
            hostname: hostname(service, pod),
            node_name: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            target_ref: Some(reference(pod)),
        };
        let subset = subsets.entry(ports).or_default();
        if publish || is_ready(pod) { subset.0.push(address) } else { subset.1.push(address) }
    }
    let subsets: Vec<_> = subsets.into_iter().map(|(ports, (ready, unready))| subset(ports, ready, unready)).collect();
    let metadata = metadata(service, existing, count);
    let same = existing.is_some_and(|existing| {
        existing.subsets.as_deref().unwrap_or_default() == subsets
            && existing.metadata.labels == metadata.labels
            && existing.metadata.annotations == metadata.annotations
    });
    (!same).then(|| Endpoints { metadata, subsets: Some(subsets).filter(|subsets| !subsets.is_empty()) })
}

fn metadata(service: &Service, existing: Option<&Endpoints>, count: usize) -> ObjectMeta {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels.insert(LEGACY_MANAGED_BY.to_owned(), CONTROLLER.to_owned());
    let mut annotations = existing.and_then(|existing| existing.metadata.annotations.clone()).unwrap_or_default();
    annotations.remove(LAST_CHANGE);
    if count > ADDRESSES_MAX {
        annotations.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned());
    } else {
        annotations.remove(OVER_CAPACITY);
    }
    ObjectMeta {
        labels: Some(labels),
        annotations: Some(annotations).filter(|all| !all.is_empty()),
        ..existing.map(|existing| existing.metadata.clone()).unwrap_or_else(|| ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            ..ObjectMeta::default()
        })
    }
}

fn subset(ports: Ports, mut ready: Vec<EndpointAddress>, mut unready: Vec<EndpointAddress>) -> EndpointSubset {
    for addresses in [&mut ready, &mut unready] {
        addresses.sort_by(|a, b| a.ip.cmp(&b.ip));
    }
    let ports = ports.into_iter().map(|(name, port, protocol, app_protocol)| EndpointPort {
        name: Some(name).filter(|name| !name.is_empty()),
        port,
        protocol: Some(protocol),
        app_protocol,
    });
    EndpointSubset {
        addresses: Some(ready).filter(|all| !all.is_empty()),
        not_ready_addresses: Some(unready).filter(|all| !all.is_empty()),
        ports: Some(ports.collect::<Vec<_>>()).filter(|all| !all.is_empty()),
    }
}
