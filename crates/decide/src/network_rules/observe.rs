//! What the rules take from Service and EndpointSlice objects; everything else about them is forgotten here.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Backend, Protocol};

/// The label that ties a slice to its service.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
/// Someone else carries the traffic of a service that has this label.
const OTHER_PROXY_LABEL: &str = "service.kubernetes.io/service-proxy-name";
/// Kubernetes' default for `clientIP.timeoutSeconds`.
const AFFINITY_SECONDS: u32 = 10800;

/// A namespaced name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Name {
    /// The name of an object.
    #[must_use]
    pub fn of(metadata: &ObjectMeta) -> Self {
        Self::new(metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
    }

    /// A name from its two parts.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ServiceFacts {
    pub(super) cluster_addresses: Vec<Ipv4Addr>,
    pub(super) external_addresses: Vec<Ipv4Addr>,
    pub(super) balancer_addresses: Vec<Ipv4Addr>,
    /// Who may reach the service by a load balancer; none for everyone.
    pub(super) balancer_sources: Option<Vec<Ipv4Net>>,
    pub(super) ports: Vec<PortFacts>,
    pub(super) affinity_seconds: Option<u32>,
    pub(super) internal_local: bool,
    pub(super) external_local: bool,
    pub(super) health_check_port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PortFacts {
    pub(super) name: String,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    pub(super) node_port: Option<u16>,
}

impl ServiceFacts {
    pub(super) fn of(service: &Service) -> Self {
        let Some(spec) = &service.spec else { return Self::default() };
        let labels = service.metadata.labels.as_ref();
        if spec.type_.as_deref() == Some("ExternalName") || labels.is_some_and(|labels| labels.contains_key(OTHER_PROXY_LABEL)) {
            return Self::default();
        }
        let text =
            |values: &Option<Vec<String>>| values.iter().flatten().filter_map(|text| text.parse().ok()).collect::<Vec<_>>();
        let mut cluster_addresses = text(&spec.cluster_ips);
        cluster_addresses.extend(spec.cluster_ip.iter().filter_map(|text| text.parse::<Ipv4Addr>().ok()));
        let mut external_addresses = text(&spec.external_ips);
        let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten();
        // A balancer that is a proxy of its own wants its traffic, also from inside of the cluster.
        let ingress = ingress.filter(|ingress| ingress.ip_mode.as_deref() != Some("Proxy"));
        let mut balancer_addresses = ingress.filter_map(|ingress| ingress.ip.as_ref()?.parse::<Ipv4Addr>().ok()).collect();
        for addresses in [&mut cluster_addresses, &mut external_addresses, &mut balancer_addresses] {
            addresses.sort();
            addresses.dedup();
        }
        let local = |policy: &Option<String>| policy.as_deref() == Some("Local");
        let affinity = (spec.session_affinity.as_deref() == Some("ClientIP")).then(|| {
            let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
            config.and_then(|client| u32::try_from(client.timeout_seconds?).ok()).unwrap_or(AFFINITY_SECONDS)
        });
        Self {
            cluster_addresses,
            external_addresses,
            balancer_addresses,
            balancer_sources: spec.load_balancer_source_ranges.as_ref().filter(|ranges| !ranges.is_empty()).map(|ranges| {
                let networks: Vec<Ipv4Net> = ranges.iter().filter_map(|range| range.trim().parse().ok()).collect();
                // One network within another would be a contradiction to the kernel.
                Ipv4Net::aggregate(&networks)
            }),
            ports: spec.ports.iter().flatten().filter_map(PortFacts::of).collect(),
            affinity_seconds: affinity,
            internal_local: local(&spec.internal_traffic_policy),
            external_local: local(&spec.external_traffic_policy),
            health_check_port: spec.health_check_node_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0),
        }
    }
}

impl PortFacts {
    fn of(port: &k8s_openapi::api::core::v1::ServicePort) -> Option<Self> {
        Some(Self {
            name: port.name.clone().unwrap_or_default(),
            protocol: protocol(port.protocol.as_deref())?,
            port: u16::try_from(port.port).ok()?,
            node_port: port.node_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0),
        })
    }
}

/// Which endpoints may be used: ready ones, and if there are none, those that still serve while they end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fitness {
    Ready,
    Ending,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SliceFacts {
    pub(super) ports: Vec<(String, Protocol, u16)>,
    /// Address, whether it is on this node, and how fit it is.
    pub(super) endpoints: Vec<(Ipv4Addr, bool, Fitness)>,
}

impl SliceFacts {
    pub(super) fn of(slice: &EndpointSlice, node: &str) -> Self {
        if slice.address_type != "IPv4" {
            return Self { ports: Vec::new(), endpoints: Vec::new() };
        }
        let ports = slice.ports.iter().flatten().filter_map(|port| {
            let number = u16::try_from(port.port?).ok()?;
            Some((port.name.clone().unwrap_or_default(), protocol(port.protocol.as_deref())?, number))
        });
        let endpoints = slice.endpoints.iter().flatten().filter_map(|endpoint| {
            // All addresses of an endpoint are the same pod; kube-proxy too takes the first.
            let address = endpoint.addresses.first()?.parse().ok()?;
            Some((address, endpoint.node_name.as_deref() == Some(node), fitness(endpoint)?))
        });
        Self { ports: ports.collect(), endpoints: endpoints.collect() }
    }

    /// The endpoints of one port of the service.
    pub(super) fn backends(&self, port: &PortFacts) -> impl Iterator<Item = (Backend, bool, Fitness)> {
        let number = self.ports.iter().find(|(name, protocol, _)| *name == port.name && *protocol == port.protocol);
        number.into_iter().flat_map(|(_, _, number)| {
            self.endpoints
                .iter()
                .map(|(address, local, fitness)| (Backend { address: *address, port: *number }, *local, *fitness))
        })
    }
}

fn fitness(endpoint: &Endpoint) -> Option<Fitness> {
    let conditions = endpoint.conditions.as_ref();
    let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
    let serving = conditions.and_then(|conditions| conditions.serving).unwrap_or(ready);
    let terminating = conditions.and_then(|conditions| conditions.terminating).unwrap_or(false);
    match (ready, serving && terminating) {
        (true, _) => Some(Fitness::Ready),
        (false, true) => Some(Fitness::Ending),
        (false, false) => None,
    }
}

/// A protocol by its name in the API; the default is TCP.
pub(crate) fn protocol(name: Option<&str>) -> Option<Protocol> {
    match name.unwrap_or("TCP") {
        "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        "SCTP" => Some(Protocol::Sctp),
        _ => None,
    }
}

/// The service that a slice belongs to.
pub(crate) fn service_of(slice: &EndpointSlice) -> Option<Name> {
    let service = slice.metadata.labels.as_ref()?.get(SERVICE_NAME_LABEL).filter(|name| !name.is_empty())?;
    Some(Name::new(slice.metadata.namespace.as_deref().unwrap_or_default(), service))
}
