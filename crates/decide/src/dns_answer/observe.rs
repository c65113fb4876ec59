//! What the names take from Service and EndpointSlice objects; everything else about them is forgotten here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::{Data, Kind};
use crate::network_rules::{Protocol, protocol};

/// What a service's own name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listing {
    /// Its addresses.
    Addresses(Vec<IpAddr>),
    /// Those of its endpoints: it is headless.
    Endpoints,
    /// Another name.
    Alias(String),
    /// Nothing yet.
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) name: String,
    pub(super) protocol: Protocol,
    pub(super) number: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceNames {
    pub(super) listing: Listing,
    pub(super) ports: Vec<Port>,
}

impl ServiceNames {
    pub(super) fn of(service: &Service) -> Self {
        let Some(spec) = &service.spec else { return Self { listing: Listing::Nothing, ports: Vec::new() } };
        let ports = spec.ports.iter().flatten().filter_map(|port| {
            Some(Port {
                name: port.name.clone().unwrap_or_default(),
                protocol: protocol(port.protocol.as_deref())?,
                number: u16::try_from(port.port).ok()?,
            })
        });
        Self { listing: listing(spec), ports: ports.collect() }
    }
}

fn listing(spec: &k8s_openapi::api::core::v1::ServiceSpec) -> Listing {
    if spec.type_.as_deref() == Some("ExternalName") {
        let target = spec.external_name.as_deref().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        return if target.is_empty() { Listing::Nothing } else { Listing::Alias(target) };
    }
    if spec.cluster_ip.as_deref() == Some("None") {
        return Listing::Endpoints;
    }
    let texts = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
    let mut addresses: Vec<IpAddr> = texts.filter_map(|text| text.parse().ok()).collect();
    addresses.sort();
    addresses.dedup();
    if addresses.is_empty() { Listing::Nothing } else { Listing::Addresses(addresses) }
}

/// An endpoint that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EndpointNames {
    /// The pod's own, if it has one under this service; else its address with dashes.
    pub(super) hostname: String,
    pub(super) address: IpAddr,
    pub(super) ports: Vec<Port>,
}

impl EndpointNames {
    pub(super) fn of_slice(slice: &EndpointSlice) -> Vec<Self> {
        let ports = slice.ports.iter().flatten().filter_map(|port| {
            let number = u16::try_from(port.port?).ok()?;
            Some(Port { name: port.name.clone().unwrap_or_default(), protocol: protocol(port.protocol.as_deref())?, number })
        });
        let ports: Vec<_> = ports.collect();
        let ready = slice.endpoints.iter().flatten().filter(|endpoint| {
            let conditions = endpoint.conditions.as_ref();
            conditions.and_then(|conditions| conditions.ready).unwrap_or(true)
        });
        let named = ready.flat_map(|endpoint| {
            let addresses = endpoint.addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok());
            addresses.map(|address| {
                let hostname = endpoint.hostname.as_ref().filter(|name| !name.is_empty()).map(|name| name.to_ascii_lowercase());
                let hostname = hostname.unwrap_or_else(|| address.to_string().replace(['.', ':'], "-"));
                Self { hostname, address, ports: ports.clone() }
            })
        });
        named.collect()
    }
}

/// An address by family, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Address {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Address {
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6(address),
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::V4(_) => Kind::A,
            Self::V6(_) => Kind::Aaaa,
        }
    }

    pub(super) fn data(self) -> Data {
        match self {
            Self::V4(address) => Data::A(address),
            Self::V6(address) => Data::Aaaa(address),
        }
    }
}
