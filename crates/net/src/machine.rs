//! The network of a machine that carries several nodes: a bridge in the host's network namespace, and for each further node a namespace
//! with a link to it. All of it can be listed and taken away by name alone, also after a crash. Never touches what it did not make.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd};

use ipnet::Ipv4Net;

use crate::link::route::{NewAddress, NewRoute, own_routes};
use crate::link::{
    DELETE_LINK, INFO_KIND, LINK_INFO, LINK_MASTER, LINK_NAME, LINK_NETNS_FD, LinkError, NEW_LINK, POD_LINK_PREFIX, UP, ask,
    link_header, link_index, link_names, set_up, short_name, sysctl,
};
use crate::namespace::{self, Namespace, NamespaceError};
use crate::netlink::message::{ACK, Batch, CREATE, EXCLUSIVE};
use crate::netlink::{Family, Socket};
use crate::network_rules::{self, NetworkRulesError};

/// The host's end of every node's link starts so.
const NODE_LINK_PREFIX: &str = "cnode";
/// A node's end of its link.
const NODE_INTERFACE: &str = "eth0";

/// Why the machine's network could not be made or taken away.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// A link or route.
    #[error("cannot arrange the links of the machine")]
    Link(#[from] LinkError),
    /// A namespace.
    #[error("cannot arrange the namespaces of the machine")]
    Namespace(#[from] NamespaceError),
    /// The rules.
    #[error("cannot take the rules away")]
    Rules(#[from] NetworkRulesError),
}

/// The network that local nodes share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Name of the bridge, at most 15 bytes; also what every namespace's name starts with, then a dash, unless `prefix` differs.
    pub bridge: String,
    /// What the names of the nodes' namespaces start with.
    pub prefix: String,
    /// The host's address on the bridge, with the length of the network.
    pub address: Ipv4Net,
}

impl Default for Machine {
    fn default() -> Self {
        let address = Ipv4Net::new_assert(Ipv4Addr::new(10, 44, 0, 1), 16);
        Self { bridge: "coracle0".into(), prefix: "coracle-".into(), address }
    }
}

impl Machine {
    /// Makes the bridge with the host's address, in the network namespace of the calling thread; does no harm if it is there.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_up(&self) -> Result<(), MachineError> {
        let mut socket = socket()?;
        let mut batch = Batch::new();
        batch.message("make the bridge", NEW_LINK, ACK | CREATE | EXCLUSIVE, &link_header(0, UP, UP), |link| {
            link.put_text(LINK_NAME, &self.bridge);
            link.nest(LINK_INFO, |info| info.put_text(INFO_KIND, "bridge"));
        });
        socket.execute(batch, &[libc::EEXIST]).map_err(ask("the bridge"))?;
        let bridge = link_index(&mut socket, &self.bridge).map_err(ask("the bridge"))?;
        let mut batch = Batch::new();
        set_up(&mut batch, bridge);
        NewAddress { link: bridge, address: self.address, host_scope: false }.write(&mut batch);
        socket.execute(batch, &[libc::EEXIST]).map_err(ask("the bridge's address"))?;
        sysctl::prepare_node()?;
        Ok(())
    }

    /// Makes a node's namespace with its link to the bridge, its address and its way out; takes what is there already.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn add_node(&self, node: &str, address: Ipv4Addr) -> Result<Namespace, MachineError> {
        let namespace = Namespace::open_or_create(&self.namespace_of(node))?;
        let mut socket = socket()?;
        let bridge = link_index(&mut socket, &self.bridge).map_err(ask("the bridge"))?;
        let mut inside = namespace.run(|| Socket::open(Family::Route))?.map_err(ask("a socket"))?;
        if link_index(&mut inside, NODE_INTERFACE).is_err() {
            self.make_pair(&mut socket, node, bridge, &namespace)?;
        }
        let link = link_index(&mut inside, NODE_INTERFACE).map_err(ask("the node's interface"))?;
        let mut batch = Batch::new();
        set_up(&mut batch, 1);
        set_up(&mut batch, link);
        let network = Ipv4Net::new(address, self.address.prefix_len()).unwrap_or_else(|_| Ipv4Net::from(address));
        NewAddress { link, address: network, host_scope: false }.write(&mut batch);
        NewRoute::via(Ipv4Net::default(), self.address.addr()).write(&mut batch);
        inside.execute(batch, &[libc::EEXIST]).map_err(ask("the node's interface"))?;
        Ok(namespace)
    }

    /// Takes a node's namespace away; it ends, with its links, once its last process is gone.
    ///
    /// # Errors
    /// When the name stays.
    pub fn remove_node(&self, node: &str) -> Result<(), MachineError> {
        self.delete_links(|name| name == node_link(node))?;
        Ok(namespace::remove(&self.namespace_of(node))?)
    }

    /// Pulls a node's cable.
    ///
    /// # Errors
    /// When there is no such node or the kernel refuses.
    pub fn cut(&self, node: &str) -> Result<(), MachineError> {
        self.switch(node, 0)
    }

    /// Puts it back.
    ///
    /// # Errors
    /// When there is no such node or the kernel refuses.
    pub fn heal(&self, node: &str) -> Result<(), MachineError> {
        self.switch(node, UP)
    }

    /// The name of a node's network namespace.
    #[must_use]
    pub fn namespace_of(&self, node: &str) -> String {
        format!("{}{node}", self.prefix)
    }

    /// Everything of it that is there: links and namespaces, as `link NAME` and `netns NAME`. Empty when all is gone.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn leftovers(&self) -> Result<Vec<String>, MachineError> {
        let links = link_names(&mut socket()?).map_err(ask("the list of links"))?;
        let links = links.into_iter().map(|(_, name)| name).filter(|name| self.is_ours(name)).map(|name| format!("link {name}"));
        let names =
            namespace::list()?.into_iter().filter(|name| name.starts_with(&self.prefix)).map(|name| format!("netns {name}"));
        Ok(links.chain(names).collect())
    }

    /// Takes everything away, also what the node in the host's own network namespace made there: links of pods, routes, rules, and
    /// `loopback`, the addresses that it answers on. Processes that still run in a node's namespace keep it alive without a name and without a link.
    ///
    /// # Errors
    /// The first thing that stayed; all others are tried.
    pub fn remove_all(&self, loopback: &[Ipv4Addr]) -> Result<(), MachineError> {
        let mut first = network_rules::remove_table().map_err(MachineError::from);
        first = first.and(remove_addresses(loopback).map_err(MachineError::from));
        first = first.and(remove_routes().map_err(MachineError::from));
        first = first.and(self.delete_links(|name| self.is_ours(name) || name.starts_with(POD_LINK_PREFIX)));
        for name in namespace::list()?.iter().filter(|name| name.starts_with(&self.prefix)) {
            let removed = namespace::remove(name).map_err(MachineError::from);
            first = first.and(removed);
        }
        first
    }

    fn is_ours(&self, link: &str) -> bool {
        link == self.bridge || (link.starts_with(NODE_LINK_PREFIX) && link.len() == 15)
    }

    fn make_pair(&self, socket: &mut Socket, node: &str, bridge: u32, namespace: &Namespace) -> Result<(), LinkError> {
        const INFO_DATA: u16 = 2;
        const VETH_PEER: u16 = 1;
        let target = namespace.as_fd().as_raw_fd();
        let mut batch = Batch::new();
        batch.message("make a pair of links", NEW_LINK, ACK | CREATE | EXCLUSIVE, &link_header(0, UP, UP), |link| {
            link.put_text(LINK_NAME, &node_link(node));
            link.put_u32(LINK_MASTER, bridge);
            link.nest(LINK_INFO, |info| {
                info.put_text(INFO_KIND, "veth");
                info.nest(INFO_DATA, |data| {
                    data.nest_after(VETH_PEER, &link_header(0, 0, 0), |peer| {
                        peer.put_text(LINK_NAME, NODE_INTERFACE);
                        peer.put(LINK_NETNS_FD, &target.to_ne_bytes());
                    });
                });
            });
        });
        socket.execute(batch, &[]).map_err(ask("the node's pair of links"))
    }

    fn switch(&self, node: &str, flags: u32) -> Result<(), MachineError> {
        let mut batch = Batch::new();
        batch.message("switch a node's link", NEW_LINK, ACK, &link_header(0, flags, UP), |link| {
            link.put_text(LINK_NAME, &node_link(node));
        });
        Ok(socket()?.execute(batch, &[]).map_err(ask("the node's link"))?)
    }

    fn delete_links(&self, chosen: impl Fn(&str) -> bool) -> Result<(), MachineError> {
        let mut socket = socket()?;
        let links = link_names(&mut socket).map_err(ask("the list of links"))?;
        let mut batch = Batch::new();
        for (index, _) in links.iter().filter(|(_, name)| chosen(name)) {
            batch.message("remove a link", DELETE_LINK, ACK, &link_header(*index, 0, 0), |_| ());
        }
        Ok(socket.execute(batch, &[libc::ENODEV]).map_err(ask("the removal of links"))?)
    }
}

/// The kernel settings, below `/proc/sys`, that [`Machine::set_up`] changes in the host's network namespace.
pub fn settings_changed() -> impl Iterator<Item = &'static str> {
    sysctl::names()
}

fn remove_addresses(loopback: &[Ipv4Addr]) -> Result<(), LinkError> {
    let mut batch = Batch::new();
    for address in loopback {
        NewAddress { link: 1, address: Ipv4Net::from(*address), host_scope: true }.write_removal(&mut batch);
    }
    socket()?.execute(batch, &[libc::EADDRNOTAVAIL]).map_err(ask("the removal of an address on loopback"))
}

fn remove_routes() -> Result<(), LinkError> {
    let mut socket = socket()?;
    let routes = own_routes(&mut socket).map_err(ask("the list of routes"))?;
    let mut batch = Batch::new();
    routes.iter().for_each(|(destination, _)| NewRoute::unreached(*destination).write_removal(&mut batch));
    socket.execute(batch, &[libc::ESRCH]).map_err(ask("the removal of routes"))
}

fn socket() -> Result<Socket, LinkError> {
    Socket::open(Family::Route).map_err(ask("a socket"))
}

fn node_link(node: &str) -> String {
    short_name(NODE_LINK_PREFIX, node)
}
