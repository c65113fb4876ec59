//! Which pods stand behind a Service, on which ports, and how that is written into EndpointSlices with as few changes as possible.
//!
//! [`slices_of`] and [`mirrored`] say what is wanted, [`reconcile`] which slices to write; [`legacy`] is the older Endpoints object.

mod legacy;

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::{
    api::{
        core::v1::{Endpoints, ObjectReference, Pod, Service, ServicePort},
        discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
    },
    apimachinery::pkg::{
        apis::meta::v1::{ObjectMeta, OwnerReference},
        util::intstr::IntOrString,
    },
};

use crate::pod_facts::{is_ending, is_finished, is_ready};
pub use legacy::{LEGACY_MANAGED_BY, legacy};

/// Which Service a slice belongs to.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Who writes a slice.
pub const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// Marks the slices of Services without an address.
pub const HEADLESS: &str = "service.kubernetes.io/headless";
/// The most endpoints of one slice.
const ENDPOINTS_MAX: usize = 100;

/// The endpoints of one address type and one set of ports.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// `IPv4` or `IPv6`.
    pub address_type: String,
    /// The ports that all of them have.
    pub ports: Vec<EndpointPort>,
    /// The endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make a slice.
    Create(Box<EndpointSlice>),
    /// Put this one in the place of the one of its name.
    Replace(Box<EndpointSlice>),
    /// Remove the slice of this name.
    Delete(String),
}

/// How slices are to look beside their endpoints.
pub struct Frame {
    /// What the names of new slices begin with.
    pub name: String,
    /// Their namespace.
    pub namespace: String,
    /// Their labels.
    pub labels: BTreeMap<String, String>,
    /// Their annotations.
    pub annotations: BTreeMap<String, String>,
    /// Whose they are.
    pub owner: OwnerReference,
}

/// Whether a Service has no address of its own.
pub fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

/// The slices of a Service with a selector: what is behind it now. `zone` tells of a node's zone.
pub fn slices_of(service: &Service, pods: &[impl AsRef<Pod>], zone: impl Fn(&str) -> Option<String>) -> Vec<Wanted> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let families = spec.ip_families.clone().unwrap_or_else(|| vec!["IPv4".to_owned()]);
    let mut wanted: Vec<Wanted> = Vec::new();
    for family in &families {
        for pod in pods.iter().map(AsRef::as_ref).filter(|pod| !is_finished(pod)) {
            let Some(address) = addresses(pod).find(|address| is_of(address, family)) else { continue };
            let ports = ports_of(service, pod);
            let endpoint = endpoint(service, pod, address, &zone);
            match wanted.iter_mut().find(|wanted| wanted.address_type == *family && wanted.ports == ports) {
                Some(wanted) => wanted.endpoints.push(endpoint),
                None => wanted.push(Wanted { address_type: family.clone(), ports, endpoints: vec![endpoint] }),
            }
        }
        if !wanted.iter().any(|wanted| wanted.address_type == *family) {
            // A slice without endpoints tells those who watch that there are none, rather than that nobody looked yet.
            wanted.push(Wanted { address_type: family.clone(), ports: Vec::new(), endpoints: Vec::new() });
        }
    }
    wanted
}

/// The frame of a Service's slices.
pub fn frame_of(service: &Service, manager: &str) -> Frame {
    let meta = &service.metadata;
    let name = meta.name.clone().unwrap_or_default();
    let mut labels = meta.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels.insert(SERVICE_NAME.to_owned(), name.clone());
    labels.insert(MANAGED_BY.to_owned(), manager.to_owned());
    Frame {
        owner: owner("Service", meta),
        name,
        namespace: meta.namespace.clone().unwrap_or_default(),
        labels,
        annotations: BTreeMap::new(),
    }
}

/// The slices that say the same as Endpoints that somebody wrote by hand.
pub fn mirrored(endpoints: &Endpoints) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for subset in endpoints.subsets.iter().flatten() {
        let ports = subset.ports.iter().flatten().map(|port| EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(port.port),
            protocol: port.protocol.clone().or_else(|| Some("TCP".to_owned())),
            app_protocol: port.app_protocol.clone(),
        });
        let ports: Vec<_> = ports.collect();
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let unready = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
        for (address, ready) in ready.chain(unready) {
            let family = if address.ip.contains(':') { "IPv6" } else { "IPv4" };
            let endpoint = Endpoint {
                addresses: vec![address.ip.clone()],
                conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
                hostname: address.hostname.clone().filter(|hostname| !hostname.is_empty()),
                node_name: address.node_name.clone(),
                target_ref: address.target_ref.clone(),
                ..Endpoint::default()
            };
            match wanted.iter_mut().find(|wanted| wanted.address_type == family && wanted.ports == ports) {
                Some(wanted) => wanted.endpoints.push(endpoint),
                None => wanted.push(Wanted { address_type: family.to_owned(), ports: ports.clone(), endpoints: vec![endpoint] }),
            }
        }
    }
    wanted
}

/// The frame of mirrored slices.
pub fn mirror_frame(endpoints: &Endpoints, manager: &str) -> Frame {
    let meta = &endpoints.metadata;
    let name = meta.name.clone().unwrap_or_default();
    let mut labels = meta.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), name.clone());
    labels.insert(MANAGED_BY.to_owned(), manager.to_owned());
    let mut annotations = meta.annotations.clone().unwrap_or_default();
    annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    annotations.remove("endpoints.kubernetes.io/last-change-trigger-time");
    Frame { owner: owner("Endpoints", meta), name, namespace: meta.namespace.clone().unwrap_or_default(), labels, annotations }
}

/// Whether Endpoints written by hand are to be mirrored.
pub fn is_mirrored(endpoints: &Endpoints) -> bool {
    let meta = &endpoints.metadata;
    let has = |map: &Option<BTreeMap<String, String>>, name: &str| map.as_ref().and_then(|map| map.get(name)).cloned();
    meta.deletion_timestamp.is_none()
        && has(&meta.labels, "endpointslice.kubernetes.io/skip-mirror").as_deref() != Some("true")
        && has(&meta.labels, LEGACY_MANAGED_BY).is_none()
        && has(&meta.annotations, "control-plane.alpha.kubernetes.io/leader").is_none()
}

/// The writes that bring the existing slices to what is wanted. Endpoints stay where they are.
pub fn reconcile(frame: &Frame, wanted: Vec<Wanted>, existing: &[impl AsRef<EndpointSlice>]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut used = vec![false; existing.len()];
    for wanted in wanted {
        let mut left: HashMap<_, _> = wanted.endpoints.iter().map(|endpoint| (identity(endpoint), endpoint)).collect();
        let mut slices = Vec::new();
        for (place, slice) in existing.iter().map(AsRef::as_ref).enumerate() {
            let same = slice.address_type == wanted.address_type && slice.ports.as_deref().unwrap_or_default() == wanted.ports;
            if same && !used[place] && slice.metadata.deletion_timestamp.is_none() {
                used[place] = true;
                let kept = slice.endpoints.iter().flatten().filter_map(|endpoint| left.remove(&identity(endpoint))).cloned();
                slices.push((Some(slice), kept.collect::<Vec<_>>()));
            }
        }
        let mut new = wanted.endpoints.iter().filter(|endpoint| left.contains_key(&identity(endpoint))).cloned().peekable();
        for (_, endpoints) in &mut slices {
            while endpoints.len() < ENDPOINTS_MAX
                && let Some(endpoint) = new.next()
            {
                endpoints.push(endpoint);
            }
        }
        while new.peek().is_some() {
            slices.push((None, new.by_ref().take(ENDPOINTS_MAX).collect()));
        }
        if slices.is_empty() {
            slices.push((None, Vec::new()));
        }
        steps.extend(write(frame, &wanted, slices));
    }
    let unused = existing.iter().map(AsRef::as_ref).zip(used).filter(|(_, used)| !used).map(|(slice, _)| slice);
    for slice in unused {
        // One that is not needed as it is becomes one that is, so that readers never see a moment without either.
        let same = |step: &&mut Step| matches!(step, Step::Create(new) if new.address_type == slice.address_type);
        match steps.iter_mut().find(same) {
            Some(step) if slice.metadata.deletion_timestamp.is_none() => {
                if let Step::Create(new) = std::mem::replace(step, Step::Delete(String::new())) {
                    let labels = new.metadata.labels.clone();
                    let metadata = ObjectMeta { labels, annotations: annotations(frame, slice), ..slice.metadata.clone() };
                    *step = Step::Replace(Box::new(EndpointSlice { metadata, ..*new }));
                }
            }
            _ => steps.extend(slice.metadata.name.clone().map(Step::Delete)),
        }
    }
    steps
}

/// The writes for the slices of one set of ports. Empty ones go, unless none would be left.
fn write(frame: &Frame, wanted: &Wanted, slices: Vec<(Option<&EndpointSlice>, Vec<Endpoint>)>) -> Vec<Step> {
    let mut steps = Vec::new();
    let full = slices.iter().filter(|(_, endpoints)| !endpoints.is_empty()).count();
    let mut may_be_empty = full == 0;
    for (slice, endpoints) in slices {
        if endpoints.is_empty() && !std::mem::take(&mut may_be_empty) {
            steps.extend(slice.and_then(|slice| slice.metadata.name.clone()).map(Step::Delete));
            continue;
        }
        let some = |list: &[EndpointPort]| Some(list.to_vec()).filter(|list| !list.is_empty());
        let new = EndpointSlice {
            metadata: match slice {
                Some(slice) => ObjectMeta {
                    labels: Some(frame.labels.clone()),
                    annotations: annotations(frame, slice),
                    ..slice.metadata.clone()
                },
                None => ObjectMeta {
                    generate_name: Some(format!("{}-", frame.name)),
                    namespace: Some(frame.namespace.clone()),
                    labels: Some(frame.labels.clone()),
                    annotations: Some(frame.annotations.clone()).filter(|all| !all.is_empty()),
                    owner_references: Some(vec![frame.owner.clone()]),
                    ..ObjectMeta::default()
                },
            },
            address_type: wanted.address_type.clone(),
            ports: some(&wanted.ports),
            endpoints: Some(endpoints),
        };
        match slice {
            None => steps.push(Step::Create(Box::new(new))),
            Some(slice) if differs(slice, &new) => steps.push(Step::Replace(Box::new(new))),
            Some(_) => {}
        }
    }
    steps
}

/// What others noted on a slice stays; what is mirrored is put over it.
fn annotations(frame: &Frame, slice: &EndpointSlice) -> Option<BTreeMap<String, String>> {
    let mut all = slice.metadata.annotations.clone().unwrap_or_default();
    all.extend(frame.annotations.clone());
    Some(all).filter(|all| !all.is_empty())
}

fn differs(old: &EndpointSlice, new: &EndpointSlice) -> bool {
    old.metadata.labels != new.metadata.labels
        || old.metadata.annotations != new.metadata.annotations
        || old.ports.as_deref().unwrap_or_default() != new.ports.as_deref().unwrap_or_default()
        || old.endpoints.as_deref().unwrap_or_default() != new.endpoints.as_deref().unwrap_or_default()
}

fn identity(endpoint: &Endpoint) -> (&[String], Option<&str>) {
    (&endpoint.addresses, endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref()))
}

fn owner(kind: &str, meta: &ObjectMeta) -> OwnerReference {
    OwnerReference {
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        name: meta.name.clone().unwrap_or_default(),
        uid: meta.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

fn endpoint(service: &Service, pod: &Pod, address: &str, zone: &impl Fn(&str) -> Option<String>) -> Endpoint {
    let publish = service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true);
    let (serving, terminating) = (is_ready(pod), is_ending(pod));
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    Endpoint {
        addresses: vec![address.to_owned()],
        conditions: Some(EndpointConditions {
            ready: Some(publish || serving && !terminating),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: hostname(service, pod),
        zone: node.as_deref().and_then(zone),
        node_name: node,
        target_ref: Some(reference(pod)),
        ..Endpoint::default()
    }
}

/// What an endpoint says of its pod.
fn reference(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".to_owned()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// The name that a pod has below a headless Service.
fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let hostname = spec.hostname.clone().filter(|hostname| !hostname.is_empty())?;
    let below = spec.subdomain == service.metadata.name && pod.metadata.namespace == service.metadata.namespace;
    below.then_some(hostname)
}

fn addresses(pod: &Pod) -> impl Iterator<Item = &str> {
    let status = pod.status.as_ref();
    let all = status.and_then(|status| status.pod_ips.as_deref()).unwrap_or_default().iter().map(|ip| ip.ip.as_str());
    let first = status.and_then(|status| status.pod_ip.as_deref());
    all.chain(first).filter(|address| !address.is_empty())
}

fn is_of(address: &str, family: &str) -> bool {
    address.contains(':') == (family == "IPv6")
}

fn ports_of(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let found = ports.iter().filter_map(|port| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(target(port, pod)?),
            protocol: Some(protocol(port).to_owned()),
            app_protocol: port.app_protocol.clone(),
        })
    });
    found.collect()
}

fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

/// The port of a pod that a Service's port leads to; none when the pod has no port of that name.
fn target(port: &ServicePort, pod: &Pod) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let spec = pod.spec.as_ref()?;
            let sidecars = spec.init_containers.iter().flatten().filter(|init| init.restart_policy.as_deref() == Some("Always"));
            let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
            let mut named = ports.filter(|found| found.name.as_ref() == Some(name));
            named.find(|found| found.protocol.as_deref().unwrap_or("TCP") == protocol(port)).map(|found| found.container_port)
        }
    }
}

#[cfg(test)]
mod tests;
