//! A machine with nodes and pods in network namespaces of their own, away from the real one; gone when dropped, also after a failure.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};

use ipnet::Ipv4Net;
use net::link::{LinkSettings, NodeLinks};
use net::machine::Machine;
use net::namespace::{self, Namespace};

static NUMBER: AtomicU32 = AtomicU32::new(0);

pub struct Node {
    pub name: String,
    pub namespace: Namespace,
    pub address: Ipv4Addr,
    pub links: NodeLinks,
}

pub struct Lab {
    pub host: Namespace,
    pub machine: Machine,
    pub nodes: Vec<Node>,
    prefix: String,
}

impl Lab {
    /// A host whose bridge joins this many nodes, each with a route to the pods of the others.
    pub fn new(nodes: u8) -> Self {
        assert!(rustix::process::geteuid().is_root(), "needs root: it makes network namespaces");
        let prefix = format!("lab{}x{}-", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let host = Namespace::create(&format!("{prefix}host")).unwrap();
        let machine = Machine { prefix: prefix.clone(), ..Machine::default() };
        let mut lab = Self { host, machine, nodes: Vec::new(), prefix };
        lab.host.run(|| lab.machine.set_up()).unwrap().unwrap();
        for number in 1..=nodes {
            let name = format!("node-{number}");
            let address = Ipv4Addr::new(10, 44, 0, 10 + number);
            let namespace = lab.host.run(|| lab.machine.add_node(&name, address)).unwrap().unwrap();
            let settings = LinkSettings {
                node_address: address,
                pod_cidr: pod_cidr(number),
                service_cidr: Ipv4Net::new(Ipv4Addr::new(10, 43, 0, 0), 16).unwrap(),
                mtu: 1500,
            };
            let links = namespace.run(|| NodeLinks::open(settings)).unwrap().unwrap();
            lab.nodes.push(Node { name, namespace, address, links });
        }
        for (index, node) in lab.nodes.iter().enumerate() {
            let others = lab.nodes.iter().enumerate().filter(|(other, _)| *other != index);
            let peers: Vec<_> = others.map(|(_, other)| (other.links.settings().pod_cidr, other.address)).collect();
            node.links.set_peer_routes(&peers).unwrap();
        }
        lab
    }

    /// A pod on a node: a namespace with a link. The last number of its address is given.
    pub fn pod(&self, node: usize, last: u8) -> Pod {
        let node = &self.nodes[node];
        let name = format!("{}pod-{}-{last}", self.prefix, node.name);
        let namespace = Namespace::create(&name).unwrap();
        let mut octets = node.links.settings().pod_cidr.network().octets();
        octets[3] = last;
        let address = Ipv4Addr::from(octets);
        node.links.attach(&name, &namespace, address).unwrap();
        Pod { namespace, address }
    }
}

pub struct Pod {
    pub namespace: Namespace,
    pub address: Ipv4Addr,
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in namespace::list().unwrap_or_default().iter().filter(|name| name.starts_with(&self.prefix)) {
            drop(namespace::remove(name));
        }
    }
}

pub fn pod_cidr(node: u8) -> Ipv4Net {
    Ipv4Net::new(Ipv4Addr::new(10, 42, node, 0), 24).unwrap()
}
