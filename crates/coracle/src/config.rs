//! The settings of the program that are not flags: addresses and names on which its parts meet.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The name of the context, cluster and user in kubeconfigs.
pub const CONTEXT: &str = "coracle";

/// The port of the API.
pub const API_PORT: u16 = 6443;

/// Where programs on this machine reach the API.
pub const LOOPBACK_API: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), API_PORT);

/// The network that the local nodes share: the first node has `.1` of it, which is also where the API is reached from pods.
pub const NODE_NETWORK: Ipv4Addr = Ipv4Addr::new(10, 44, 0, 0);

/// The most local nodes on one machine; the last part of their address is their number.
pub const NODES_MAX: u16 = 200;

/// The address of the cluster's DNS.
pub const DNS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 43, 0, 10)), 53);

/// The address of a local node.
pub fn node_address(number: u16) -> Ipv4Addr {
    let [a, b, _, _] = NODE_NETWORK.octets();
    let [c, d] = number.to_be_bytes();
    Ipv4Addr::new(a, b, c, d)
}

/// The name of a local node.
pub fn node_name(number: u16) -> String {
    format!("node-{number}")
}

/// The network namespace of a local node: the host's own for the first one.
pub fn node_namespace(number: u16) -> Option<String> {
    (number > 1).then(|| format!("coracle-{}", node_name(number)))
}

/// The cgroup below which everything of a process that the keeper runs stands.
pub fn cgroup(process: &str) -> String {
    let root = std::env::var("CORACLE_CGROUP").unwrap_or_else(|_| "/coracle".into());
    format!("{root}/{process}")
}
