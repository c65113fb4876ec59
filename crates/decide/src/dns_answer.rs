//! What the names of a cluster mean, after the Kubernetes specification of DNS-based service discovery, version 1.1: services and endpoint
//! slices in, answers out. Persistent: a copy of the zone costs nothing, so that readers keep one while the next is made. Never knows the
//! wire format, nor what names outside of the cluster mean.

mod observe;
mod record;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use imbl::{OrdMap, OrdSet};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::network_rules::{Name, Protocol, service_of};
use observe::{Address, EndpointNames, Listing, ServiceNames};
pub use record::{Answer, Data, Kind, Record};

/// How long an answer may be kept, in seconds; as CoreDNS has it.
pub const TTL_SECONDS: u32 = 5;
/// The version of the specification, as `dns-version` tells it.
const VERSION: &str = "1.1.0";
/// Shared out among the answers to a question for a service's location.
const WEIGHT: u16 = 100;

/// What the zone has to know of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneFacts {
    /// Its domain in lower case, without a dot at its end.
    pub domain: String,
    /// The address of the DNS service itself.
    pub address: Ipv4Addr,
    /// The networks of pods and services: nobody else can say whose an address of theirs is.
    pub networks: Vec<IpNet>,
}

/// All names of a cluster at one moment.
#[derive(Debug, Clone)]
pub struct Zone {
    facts: Arc<ZoneFacts>,
    services: OrdMap<Name, Arc<ServiceNames>>,
    /// Service, then slice.
    slices: OrdMap<(Name, String), Arc<Vec<EndpointNames>>>,
    slice_owners: OrdMap<Name, Name>,
    /// Address and name.
    reverse: OrdSet<(IpAddr, String)>,
}

impl Zone {
    /// A zone without services.
    #[must_use]
    pub fn new(facts: ZoneFacts) -> Self {
        Self {
            facts: Arc::new(facts),
            services: OrdMap::new(),
            slices: OrdMap::new(),
            slice_owners: OrdMap::new(),
            reverse: OrdSet::new(),
        }
    }

    /// A service is new or changed.
    pub fn set_service(&mut self, service: &Service) {
        let name = Name::of(&service.metadata);
        let names = ServiceNames::of(service);
        if self.services.get(&name).is_none_or(|present| **present != names) {
            self.change(&name.clone(), |zone| drop(zone.services.insert(name, Arc::new(names))));
        }
    }

    /// A service is gone.
    pub fn remove_service(&mut self, name: &Name) {
        self.change(name, |zone| drop(zone.services.remove(name)));
    }

    /// An endpoint slice is new or changed.
    pub fn set_slice(&mut self, slice: &EndpointSlice) {
        let name = Name::of(&slice.metadata);
        let owner = service_of(slice);
        if self.slice_owners.get(&name) != owner.as_ref() {
            self.remove_slice(&name);
        }
        let Some(owner) = owner else { return };
        let endpoints = EndpointNames::of_slice(slice);
        let key = (owner.clone(), name.name.clone());
        if self.slices.get(&key).is_none_or(|present| **present != endpoints) {
            self.change(&owner.clone(), |zone| {
                zone.slices.insert(key, Arc::new(endpoints));
                zone.slice_owners.insert(name, owner);
            });
        }
    }

    /// An endpoint slice is gone.
    pub fn remove_slice(&mut self, name: &Name) {
        if let Some(owner) = self.slice_owners.get(name).cloned() {
            self.change(&owner.clone(), |zone| {
                zone.slice_owners.remove(name);
                zone.slices.remove(&(owner, name.name.clone()));
            });
        }
    }

    /// Changes what belongs to one service, and the reverse names with it.
    fn change(&mut self, service: &Name, change: impl FnOnce(&mut Self)) {
        for entry in self.reverse_names(service) {
            self.reverse.remove(&entry);
        }
        change(self);
        for entry in self.reverse_names(service) {
            self.reverse.insert(entry);
        }
    }

    fn reverse_names(&self, name: &Name) -> Vec<(IpAddr, String)> {
        match self.services.get(name).map(|service| &service.listing) {
            Some(Listing::Addresses(addresses)) => addresses.iter().map(|address| (*address, self.service_name(name))).collect(),
            Some(Listing::Endpoints) => {
                let endpoints = self.endpoints(name).map(|endpoint| (endpoint.address, self.endpoint_name(name, endpoint)));
                endpoints.collect()
            }
            _ => Vec::new(),
        }
    }

    fn endpoints(&self, service: &Name) -> impl Iterator<Item = &EndpointNames> {
        let first = (service.clone(), String::new());
        let slices = self.slices.range(first..).take_while(move |((owner, _), _)| owner == service);
        slices.flat_map(|(_, endpoints)| endpoints.iter())
    }

    fn service_name(&self, service: &Name) -> String {
        format!("{}.{}.svc.{}", service.name, service.namespace, self.facts.domain)
    }

    fn endpoint_name(&self, service: &Name, endpoint: &EndpointNames) -> String {
        format!("{}.{}", endpoint.hostname, self.service_name(service))
    }

    /// The record that goes with every refusal, and says how long it may be kept.
    #[must_use]
    pub fn start_of_authority(&self) -> Record {
        let domain = &self.facts.domain;
        let data = Data::Soa { primary: format!("ns.dns.{domain}"), mailbox: format!("hostmaster.{domain}"), serial: 1 };
        Record { name: domain.clone(), data }
    }

    /// What a name means. It comes in lower case and without a dot at its end. `turn` is any number: it says which of several addresses
    /// comes first.
    #[must_use]
    pub fn answer(&self, name: &str, kind: Kind, turn: usize) -> Answer {
        if let Some(address) = reversed(name) {
            return self.answer_reverse(name, address, kind);
        }
        let relative = match name.strip_suffix(self.facts.domain.as_str()) {
            Some("") => "",
            Some(relative) if relative.ends_with('.') => relative.trim_end_matches('.'),
            _ => return Answer::NotOurs,
        };
        let labels: Vec<&str> = relative.rsplit('.').collect();
        match labels[..] {
            [""] => self.answer_apex(name, kind),
            ["dns-version"] => found(name, kind, Kind::Txt, [Data::Text(VERSION.into())]),
            ["dns", "ns"] => found(name, kind, Kind::A, [Data::A(self.facts.address)]),
            ["dns" | "svc" | "pod"] | ["pod", _] => Answer::NoData,
            ["pod", _, address] => answer_pod(name, address, kind),
            ["svc", namespace] => {
                let mut after = self.services.range(Name::new(namespace, "")..);
                let known = after.next().is_some_and(|(name, _)| name.namespace == namespace);
                if known { Answer::NoData } else { Answer::NoName }
            }
            ["svc", namespace, service, ..] => {
                let service = Name::new(namespace, service);
                match self.services.get(&service) {
                    Some(names) => self.answer_service(name, &service, names, &labels[3..], kind, turn),
                    None => Answer::NoName,
                }
            }
            _ => Answer::NoName,
        }
    }

    fn answer_apex(&self, name: &str, kind: Kind) -> Answer {
        match kind {
            Kind::Soa => Answer::found(vec![self.start_of_authority()], Vec::new()),
            Kind::Ns => found(name, kind, Kind::Ns, [Data::Ns(format!("ns.dns.{}", self.facts.domain))]),
            _ => Answer::NoData,
        }
    }

    fn answer_reverse(&self, name: &str, address: IpAddr, kind: Kind) -> Answer {
        let names: Vec<_> = self.reverse.range((address, String::new())..).take_while(|(of, _)| *of == address).collect();
        match names[..] {
            [] if self.facts.networks.iter().any(|network| network.contains(&address)) => Answer::NoName,
            [] => Answer::NotOurs,
            _ => found(name, kind, Kind::Ptr, names.into_iter().map(|(_, target)| Data::Ptr(target.clone()))),
        }
    }

    fn answer_service(
        &self,
        name: &str,
        service: &Name,
        names: &ServiceNames,
        below: &[&str],
        kind: Kind,
        turn: usize,
    ) -> Answer {
        match (&names.listing, below) {
            (Listing::Alias(target), []) => Answer::Alias {
                record: Record { name: name.to_owned(), data: Data::Cname(target.clone()) },
                target: target.clone(),
            },
            (Listing::Alias(_), _) => Answer::NoName,
            (_, []) if kind == Kind::Srv => self.answer_location(name, service, names, |_, _| true),
            (Listing::Addresses(addresses), []) => found_addresses(name, kind, addresses.iter().copied(), turn),
            (Listing::Endpoints, []) => {
                found_addresses(name, kind, self.endpoints(service).map(|endpoint| endpoint.address), turn)
            }
            (_, [protocol]) if protocol.starts_with('_') => {
                if names.ports.iter().any(|port| is_protocol(port.protocol, protocol)) { Answer::NoData } else { Answer::NoName }
            }
            (_, [hostname]) => {
                let endpoints = self.endpoints(service).filter(|endpoint| endpoint.hostname == *hostname);
                found_addresses(name, kind, endpoints.map(|endpoint| endpoint.address), turn)
            }
            (_, [protocol, port]) => match port.strip_prefix('_') {
                Some(port) => {
                    let answer =
                        self.answer_location(name, service, names, |of, number| of == port && is_protocol(number, protocol));
                    if kind == Kind::Srv || answer == Answer::NoName { answer } else { Answer::NoData }
                }
                None => Answer::NoName,
            },
            _ => Answer::NoName,
        }
    }

    /// Where the ports of a service are: itself, or each of its endpoints if it has no address.
    fn answer_location(
        &self,
        name: &str,
        service: &Name,
        names: &ServiceNames,
        wanted: impl Fn(&str, Protocol) -> bool,
    ) -> Answer {
        let mut places: Vec<(u16, String, IpAddr)> = Vec::new();
        match &names.listing {
            Listing::Addresses(addresses) => {
                for port in names.ports.iter().filter(|port| wanted(&port.name, port.protocol)) {
                    places.extend(addresses.iter().map(|address| (port.number, self.service_name(service), *address)));
                }
            }
            _ => {
                for endpoint in self.endpoints(service) {
                    let ports = endpoint.ports.iter().filter(|port| wanted(&port.name, port.protocol));
                    places.extend(ports.map(|port| (port.number, self.endpoint_name(service, endpoint), endpoint.address)));
                }
            }
        }
        if places.is_empty() {
            return Answer::NoName;
        }
        let mut targets: Vec<_> = places.iter().map(|(port, target, _)| (*port, target.clone())).collect();
        targets.sort();
        targets.dedup();
        let weight = (WEIGHT / u16::try_from(targets.len()).unwrap_or(WEIGHT)).max(1);
        let answers =
            targets.into_iter().map(|(port, target)| Record { name: name.to_owned(), data: Data::Srv { weight, port, target } });
        let mut additional: Vec<_> =
            places.into_iter().map(|(_, name, address)| Record { name, data: Data::address(address) }).collect();
        additional.sort();
        additional.dedup();
        Answer::found(answers.collect(), additional)
    }
}

fn is_protocol(protocol: Protocol, label: &str) -> bool {
    match protocol {
        Protocol::Tcp => label == "_tcp",
        Protocol::Udp => label == "_udp",
        Protocol::Sctp => label == "_sctp",
    }
}

/// A name that has data of one kind alone.
fn found(name: &str, asked: Kind, has: Kind, data: impl IntoIterator<Item = Data>) -> Answer {
    if asked != has {
        return Answer::NoData;
    }
    Answer::found(data.into_iter().map(|data| Record { name: name.to_owned(), data }).collect(), Vec::new())
}

/// A name that has addresses; without any it is none, as CoreDNS has it.
fn found_addresses(name: &str, kind: Kind, addresses: impl Iterator<Item = IpAddr>, turn: usize) -> Answer {
    let mut addresses: Vec<Address> = addresses.map(Address::of).collect();
    if addresses.is_empty() {
        return Answer::NoName;
    }
    addresses.sort();
    addresses.dedup();
    addresses.retain(|address| address.kind() == kind);
    if addresses.is_empty() {
        return Answer::NoData;
    }
    let first = turn % addresses.len();
    addresses.rotate_left(first);
    Answer::found(
        addresses.into_iter().map(|address| Record { name: name.to_owned(), data: address.data() }).collect(),
        Vec::new(),
    )
}

/// `10-42-0-5` is 10.42.0.5, whether or not a pod has it.
fn answer_pod(name: &str, label: &str, kind: Kind) -> Answer {
    let address = label.replace('-', ".").parse::<Ipv4Addr>().map(IpAddr::V4);
    match address.or_else(|_| label.replace('-', ":").parse::<Ipv6Addr>().map(IpAddr::V6)) {
        Ok(address) => found_addresses(name, kind, std::iter::once(address), 0),
        Err(_) => Answer::NoName,
    }
}

/// The address that a name below `in-addr.arpa` or `ip6.arpa` stands for.
fn reversed(name: &str) -> Option<IpAddr> {
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let text = labels.rsplit('.').collect::<Vec<_>>().join(".");
        return text.parse().ok().map(IpAddr::V4);
    }
    let labels: Vec<_> = name.strip_suffix(".ip6.arpa")?.rsplit('.').collect();
    if labels.len() != 32 || labels.iter().any(|label| label.len() != 1) {
        return None;
    }
    u128::from_str_radix(&labels.concat(), 16).ok().map(|number| IpAddr::V6(Ipv6Addr::from(number)))
}

#[cfg(test)]
mod tests;
