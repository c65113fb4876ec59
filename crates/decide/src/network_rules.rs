//! Which packets a node sends where: services, endpoint slices and host ports in, the entries of one flat rule set out, and the differences
//! from one moment to the next. Owns the meaning of every traffic policy. Never knows how the kernel is told, nor in which order news came.
//!
//! The rule set is two tables of frontends (address, protocol, port → what becomes of it), one of backends (frontend, number → pod), and
//! two small sets. A service costs some entries, never a chain.

mod check;
mod observe;
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::{Deserialize, Serialize};

pub use check::check;
pub use observe::Name;
use observe::{ServiceFacts, SliceFacts};
pub(crate) use observe::{protocol, service_of};

/// What the rules have to know of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its name, by which an endpoint is known to be local.
    pub name: String,
    /// Its address, the source of what is masqueraded toward its pods.
    pub address: Ipv4Addr,
    /// The addresses of its own pods.
    pub pod_cidr: Ipv4Net,
    /// The addresses of all pods; who sends from elsewhere is an outsider.
    pub cluster_cidr: Ipv4Net,
    /// The addresses of services; what is sent there and is no service's is refused.
    pub service_cidr: Ipv4Net,
    /// The network that nodes of one machine share, if this is one of them: nobody beyond the machine knows a way back there.
    pub local_network: Option<Ipv4Net>,
    /// The service address that the node itself answers (DNS), hence never translated.
    pub own_service: Ipv4Addr,
}

/// A transport protocol, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    Tcp = 6,
    /// UDP.
    Udp = 17,
    /// SCTP.
    Sctp = 132,
}

/// Where clients send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frontend {
    /// The address; none stands for every address of the node (node ports, host ports).
    pub address: Option<Ipv4Addr>,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

/// Where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend {
    /// The address of a pod, as a rule.
    pub address: Ipv4Addr,
    /// Its port.
    pub port: u16,
}

/// Which clients a frontend's entry is for. Outsiders look into their own table first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whom {
    /// Anyone.
    Everyone,
    /// Those who are neither pods nor the node itself.
    Outsiders,
}

/// Which of a frontend's lists of backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Those of all nodes.
    Cluster,
    /// Those of this node.
    Local,
}

/// Whose source address is replaced by the node's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Masquerade {
    /// Nobody's.
    Never,
    /// Everybody's.
    Always,
    /// That of clients which are not pods.
    Outsiders,
    /// That of clients on 127.0.0.0/8, whose answers would never find back.
    Loopback,
}

/// How connections are spread over a list of backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spread {
    /// How many backends the list has; at least one.
    pub count: u16,
    /// Which list.
    pub scope: Scope,
    /// Whose source is replaced.
    pub masquerade: Masquerade,
    /// For how many seconds after its last connection a client stays with its backend.
    pub affinity_seconds: Option<u32>,
}

/// What becomes of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It goes to one of the backends.
    Spread(Spread),
    /// It is refused at once: nobody serves it.
    Reject,
    /// It is dropped: others serve it, but not by way of this node.
    Drop,
}

/// What names an entry of the rule set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// What becomes of a frontend's connections.
    Frontend(Whom, Frontend),
    /// A numbered backend.
    Backend(Frontend, Scope, u16),
    /// That this backend may keep a client that it had before.
    Member(Frontend, Backend),
    /// That the pod may come to talk to itself by way of a service, and needs another source address then.
    Hairpin(Ipv4Addr),
    /// That the frontend is for clients of some networks alone.
    Restricted(Frontend),
    /// That it is for clients of this one.
    Allowed(Frontend, Ipv4Net),
}

/// What an entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// For a frontend.
    Verdict(Verdict),
    /// For a numbered backend.
    Backend(Backend),
    /// For a mere member of a set.
    Present,
}

/// UDP has no end of a connection: what the kernel still translates as before has to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stale {
    /// Where the client sent to.
    pub frontend: Frontend,
    /// Where it went; none for what was not translated at all, since there was no backend yet.
    pub backend: Option<Backend>,
}

/// The differences since they were last taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Entries that are new or say something else now. An entry that changed stands in `unset` too, with its former value.
    pub set: BTreeMap<Key, Value>,
    /// Entries that are gone, with what they said.
    pub unset: BTreeMap<Key, Value>,
    /// Translations to be forgotten once the rules stand.
    pub stale: BTreeSet<Stale>,
}

impl Changes {
    /// Nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.unset.is_empty() && self.stale.is_empty()
    }
}

/// A port of the node that belongs to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostPort {
    /// The one address of the node; none for all.
    pub host_address: Option<Ipv4Addr>,
    /// The protocol.
    pub protocol: Protocol,
    /// The port of the node.
    pub host_port: u16,
    /// The pod's port.
    pub pod_port: u16,
}

/// A port where load balancers ask whether a service has endpoints on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// The service.
    pub service: Name,
    /// How many of its endpoints are here.
    pub local_endpoints: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Service(Name),
    Pod(String),
}

/// The rules of a node and all that they follow from.
#[derive(Debug, Clone)]
pub struct Rules {
    node: NodeFacts,
    services: BTreeMap<Name, ServiceFacts>,
    slices: BTreeMap<Name, BTreeMap<String, SliceFacts>>,
    slice_owners: BTreeMap<Name, Name>,
    host_ports: BTreeMap<String, (Ipv4Addr, Vec<HostPort>)>,
    /// Every claim on an entry, by owner; the first owner's holds. Whoever comes after it takes over when it goes.
    claims: BTreeMap<Key, Vec<(Owner, Value)>>,
    held: BTreeMap<Owner, Vec<Key>>,
    /// What the kernel was last told of the entries touched since.
    told: BTreeMap<Key, Option<Value>>,
    dirty: BTreeSet<Owner>,
}

impl Rules {
    /// No service yet.
    #[must_use]
    pub fn new(node: NodeFacts) -> Self {
        Self {
            node,
            services: BTreeMap::new(),
            slices: BTreeMap::new(),
            slice_owners: BTreeMap::new(),
            host_ports: BTreeMap::new(),
            claims: BTreeMap::new(),
            held: BTreeMap::new(),
            told: BTreeMap::new(),
            dirty: BTreeSet::new(),
        }
    }

    /// What the rules know of the node.
    #[must_use]
    pub fn node(&self) -> &NodeFacts {
        &self.node
    }

    /// A service is new or changed.
    pub fn set_service(&mut self, service: &Service) {
        let name = Name::of(&service.metadata);
        let facts = ServiceFacts::of(service);
        if self.services.get(&name) != Some(&facts) {
            self.services.insert(name.clone(), facts);
            self.dirty.insert(Owner::Service(name));
        }
    }

    /// A service is gone.
    pub fn remove_service(&mut self, name: &Name) {
        if self.services.remove(name).is_some() {
            self.dirty.insert(Owner::Service(name.clone()));
        }
    }

    /// An endpoint slice is new or changed.
    pub fn set_slice(&mut self, slice: &EndpointSlice) {
        let name = Name::of(&slice.metadata);
        let owner = service_of(slice);
        if self.slice_owners.get(&name) != owner.as_ref() {
            self.remove_slice(&name);
        }
        let Some(owner) = owner else { return };
        let facts = SliceFacts::of(slice, &self.node.name);
        let slices = self.slices.entry(owner.clone()).or_default();
        if slices.get(&name.name) != Some(&facts) {
            slices.insert(name.name.clone(), facts);
            self.slice_owners.insert(name, owner.clone());
            self.dirty.insert(Owner::Service(owner));
        }
    }

    /// An endpoint slice is gone.
    pub fn remove_slice(&mut self, name: &Name) {
        let Some(owner) = self.slice_owners.remove(name) else { return };
        if let Some(slices) = self.slices.get_mut(&owner) {
            slices.remove(&name.name);
            if slices.is_empty() {
                self.slices.remove(&owner);
            }
        }
        self.dirty.insert(Owner::Service(owner));
    }

    /// A pod has these ports of the node; none when it goes.
    pub fn set_host_ports(&mut self, pod_uid: &str, address: Ipv4Addr, mut ports: Vec<HostPort>) {
        ports.sort();
        if ports.is_empty() {
            self.host_ports.remove(pod_uid);
        } else {
            self.host_ports.insert(pod_uid.to_owned(), (address, ports));
        }
        self.dirty.insert(Owner::Pod(pod_uid.to_owned()));
    }

    /// What changed since this was last called.
    #[must_use]
    pub fn take_changes(&mut self) -> Changes {
        for owner in std::mem::take(&mut self.dirty) {
            let entries = self.entries_of(&owner);
            self.replace(&owner, entries);
        }
        let mut changes = Changes::default();
        for (key, before) in std::mem::take(&mut self.told) {
            let now = self.claims.get(&key).and_then(|claims| claims.first()).map(|(_, value)| *value);
            if before == now {
                continue;
            }
            changes.unset.extend(before.map(|value| (key, value)));
            changes.set.extend(now.map(|value| (key, value)));
        }
        changes.stale = self.stale(&changes);
        changes
    }

    /// All entries as they are now. Call `take_changes` first, lest news be told twice.
    pub fn entries(&self) -> impl Iterator<Item = (Key, Value)> + '_ {
        self.claims.iter().filter_map(|(key, claims)| claims.first().map(|(_, value)| (*key, *value)))
    }

    /// Where load balancers may ask, and what they are to be told.
    #[must_use]
    pub fn health_checks(&self) -> BTreeMap<u16, HealthCheck> {
        let checks = self.services.iter().filter_map(|(name, facts)| {
            let port = facts.health_check_port?;
            let local_endpoints = service::local_endpoints(facts, self.slices.get(name));
            Some((port, HealthCheck { service: name.clone(), local_endpoints }))
        });
        checks.collect()
    }

    fn entries_of(&self, owner: &Owner) -> BTreeMap<Key, Value> {
        match owner {
            Owner::Service(name) => match self.services.get(name) {
                Some(facts) => service::entries(&self.node, facts, self.slices.get(name)),
                None => BTreeMap::new(),
            },
            Owner::Pod(uid) => match self.host_ports.get(uid) {
                Some((address, ports)) => service::host_port_entries(*address, ports),
                None => BTreeMap::new(),
            },
        }
    }

    fn replace(&mut self, owner: &Owner, entries: BTreeMap<Key, Value>) {
        for key in self.held.remove(owner).unwrap_or_default() {
            let Some(claims) = self.claims.get_mut(&key) else { continue };
            self.told.entry(key).or_insert_with(|| claims.first().map(|(_, value)| *value));
            claims.retain(|(claimant, _)| claimant != owner);
            if claims.is_empty() {
                self.claims.remove(&key);
            }
        }
        if entries.is_empty() {
            return;
        }
        for (key, value) in &entries {
            let claims = self.claims.entry(*key).or_default();
            self.told.entry(*key).or_insert_with(|| claims.first().map(|(_, value)| *value));
            let place = claims.partition_point(|(claimant, _)| claimant < owner);
            claims.insert(place, (owner.clone(), *value));
        }
        self.held.insert(owner.clone(), entries.into_keys().collect());
    }

    /// Backends that a UDP frontend lost, and UDP frontends that have backends only now.
    fn stale(&self, changes: &Changes) -> BTreeSet<Stale> {
        let mut stale = BTreeSet::new();
        for (key, value) in &changes.unset {
            if let (Key::Backend(frontend, _, _), Value::Backend(backend)) = (key, value)
                && frontend.protocol == Protocol::Udp
                && !self.serves(frontend, backend)
            {
                stale.insert(Stale { frontend: *frontend, backend: Some(*backend) });
            }
        }
        for (key, value) in &changes.set {
            let Key::Frontend(_, frontend) = key else { continue };
            let served = |value: Option<&Value>| matches!(value, Some(Value::Verdict(Verdict::Spread(_))));
            if frontend.protocol == Protocol::Udp && served(Some(value)) && !served(changes.unset.get(key)) {
                stale.insert(Stale { frontend: *frontend, backend: None });
            }
        }
        stale
    }

    fn serves(&self, frontend: &Frontend, backend: &Backend) -> bool {
        let first = Key::Backend(*frontend, Scope::Cluster, 0);
        let last = Key::Backend(*frontend, Scope::Local, u16::MAX);
        self.claims
            .range(first..=last)
            .any(|(_, claims)| claims.first().is_some_and(|(_, value)| *value == Value::Backend(*backend)))
    }
}

#[cfg(test)]
mod tests;
