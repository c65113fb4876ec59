//! The entries that one service, or one pod with host ports, puts into the rule set.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::observe::{Fitness, PortFacts, ServiceFacts, SliceFacts};
use super::{Backend, Frontend, HostPort, Key, Masquerade, NodeFacts, Scope, Spread, Value, Verdict, Whom};

type Slices = BTreeMap<String, SliceFacts>;

/// The backends of one port: all of them, and those on this node.
struct Backends {
    cluster: Vec<Backend>,
    local: Vec<Backend>,
}

pub(super) fn entries(node: &NodeFacts, service: &ServiceFacts, slices: Option<&Slices>) -> BTreeMap<Key, Value> {
    let mut entries = BTreeMap::new();
    for port in &service.ports {
        let backends = backends(port, slices);
        for address in service.cluster_addresses.iter().filter(|address| **address != node.own_service) {
            let frontend = Frontend { address: Some(*address), protocol: port.protocol, port: port.port };
            let scope = if service.internal_local { Scope::Local } else { Scope::Cluster };
            put(&mut entries, Whom::Everyone, frontend, &backends, scope, Masquerade::Outsiders, service.affinity_seconds);
        }
        for address in &service.balancer_addresses {
            let frontend = Frontend { address: Some(*address), protocol: port.protocol, port: port.port };
            if let Some(sources) = &service.balancer_sources {
                entries.insert(Key::Restricted(frontend), Value::Present);
                entries.extend(sources.iter().map(|source| (Key::Allowed(frontend, *source), Value::Present)));
            }
        }
        let external = service.external_addresses.iter().chain(&service.balancer_addresses);
        let external = external.map(|address| (Some(*address), port.port));
        let node_port = port.node_port.map(|port| (None, port));
        for (address, number) in external.chain(node_port) {
            let frontend = Frontend { address, protocol: port.protocol, port: number };
            if service.external_local {
                put(
                    &mut entries,
                    Whom::Outsiders,
                    frontend,
                    &backends,
                    Scope::Local,
                    Masquerade::Never,
                    service.affinity_seconds,
                );
            }
            // Pods and the node itself reach a service from inside, whatever way they name it.
            let masquerade = if service.external_local { Masquerade::Outsiders } else { Masquerade::Always };
            put(&mut entries, Whom::Everyone, frontend, &backends, Scope::Cluster, masquerade, service.affinity_seconds);
        }
        // Host-network endpoints have the node's address and talk to themselves over loopback.
        for backend in backends.local.iter().filter(|backend| node.pod_cidr.contains(&backend.address)) {
            entries.insert(Key::Hairpin(backend.address), Value::Present);
        }
    }
    entries
}

pub(super) fn host_port_entries(pod: Ipv4Addr, ports: &[HostPort]) -> BTreeMap<Key, Value> {
    let mut entries = BTreeMap::new();
    for port in ports {
        let frontend = Frontend { address: port.host_address, protocol: port.protocol, port: port.host_port };
        let backends = Backends { cluster: vec![Backend { address: pod, port: port.pod_port }], local: Vec::new() };
        put(&mut entries, Whom::Everyone, frontend, &backends, Scope::Cluster, Masquerade::Loopback, None);
        entries.insert(Key::Hairpin(pod), Value::Present);
    }
    entries
}

pub(super) fn local_endpoints(service: &ServiceFacts, slices: Option<&Slices>) -> usize {
    let addresses = service.ports.iter().flat_map(|port| backends(port, slices).local).map(|backend| backend.address);
    addresses.collect::<std::collections::BTreeSet<_>>().len()
}

fn put(
    entries: &mut BTreeMap<Key, Value>,
    whom: Whom,
    frontend: Frontend,
    backends: &Backends,
    scope: Scope,
    masquerade: Masquerade,
    affinity_seconds: Option<u32>,
) {
    let list = match scope {
        Scope::Cluster => &backends.cluster,
        Scope::Local => &backends.local,
    };
    let verdict = match u16::try_from(list.len()).unwrap_or(u16::MAX) {
        0 if backends.cluster.is_empty() => Verdict::Reject,
        0 => Verdict::Drop,
        count => Verdict::Spread(Spread { count, scope, masquerade, affinity_seconds }),
    };
    entries.insert(Key::Frontend(whom, frontend), Value::Verdict(verdict));
    for (index, backend) in (0..u16::MAX).zip(list) {
        entries.insert(Key::Backend(frontend, scope, index), Value::Backend(*backend));
        if affinity_seconds.is_some() {
            entries.insert(Key::Member(frontend, *backend), Value::Present);
        }
    }
}

fn backends(port: &PortFacts, slices: Option<&Slices>) -> Backends {
    let mut all: Vec<_> = slices.into_iter().flat_map(BTreeMap::values).flat_map(|slice| slice.backends(port)).collect();
    // One address may stand in two slices for a moment; the fitter one counts.
    all.sort_by_key(|(backend, local, fitness)| (*backend, *fitness, !*local));
    all.dedup_by_key(|(backend, _, _)| *backend);
    Backends { cluster: fit(&all, false), local: fit(&all, true) }
}

/// The ready ones; if there are none, those that still serve while they end.
fn fit(all: &[(Backend, bool, Fitness)], local_only: bool) -> Vec<Backend> {
    let of = |wanted: Fitness| {
        let chosen = all.iter().filter(|(_, local, fitness)| *fitness == wanted && (*local || !local_only));
        chosen.map(|(backend, _, _)| *backend).collect::<Vec<_>>()
    };
    let ready = of(Fitness::Ready);
    if ready.is_empty() { of(Fitness::Ending) } else { ready }
}
