//! A pod's link, and the node's routes: a veth pair a pod, routed and not bridged, so that every packet of a pod passes the node's rules
//! (a bridge would carry the answer of a neighbour past the translation that the question went through). Addresses are /32, neighbours are
//! permanent: no broadcast, nothing to learn. Never chooses an address, and never waits: a pod's link goes away with its namespace.

pub(crate) mod route;
pub(crate) mod sysctl;

use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use ipnet::Ipv4Net;

use crate::namespace::{Namespace, NamespaceError};
use crate::netlink::message::{ACK, Batch, CREATE, DUMP, EXCLUSIVE, attribute, number};
use crate::netlink::{Family, NetlinkError, Socket};
use route::{NewAddress, NewNeighbour, NewRoute};

pub(crate) const NEW_LINK: u16 = 16;
pub(crate) const DELETE_LINK: u16 = 17;
pub(crate) const GET_LINK: u16 = 18;

pub(crate) const LINK_ADDRESS: u16 = 1;
pub(crate) const LINK_NAME: u16 = 3;
pub(crate) const LINK_MTU: u16 = 4;
pub(crate) const LINK_MASTER: u16 = 10;
pub(crate) const LINK_INFO: u16 = 18;
const LINK_AF_SPEC: u16 = 26;
pub(crate) const LINK_NETNS_FD: u16 = 28;
pub(crate) const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_PEER: u16 = 1;
const INET6_GENERATE: u16 = 8;
const GENERATE_NONE: u8 = 1;
pub(crate) const UP: u32 = 1;

/// Every link of a pod starts so; the rules know them by it.
pub const POD_LINK_PREFIX: &str = "cpod";
/// The name of the link inside of the pod.
pub const POD_INTERFACE: &str = "eth0";
/// The node's end of every pod's link; locally administered, the same for all, since each link has two ends and no more.
const NODE_MAC: [u8; 6] = [0x0a, 0x58, 0, 0, 0, 1];

/// Why the links or routes could not be set.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The kernel was asked in vain.
    #[error("cannot set up {what}")]
    Ask {
        /// What was to be set up.
        what: String,
        /// Why.
        #[source]
        source: NetlinkError,
    },
    /// The pod's namespace could not be entered.
    #[error("cannot go into the network namespace of the pod")]
    EnterNamespace(#[source] NamespaceError),
    /// No link of this network namespace has the node's address.
    #[error("no interface has the node's address {0}")]
    FindNodeLink(Ipv4Addr),
    /// A kernel setting could not be written.
    #[error("cannot write {value} to {path}")]
    WriteSetting {
        /// The file below `/proc/sys`.
        path: String,
        /// What was to be written.
        value: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What the links of a node have to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkSettings {
    /// The node's own address, the source of what it sends to pods.
    pub node_address: Ipv4Addr,
    /// The pod CIDR of the node.
    pub pod_cidr: Ipv4Net,
    /// The CIDR of services; packets of the node itself need a route there before they can be translated.
    pub service_cidr: Ipv4Net,
    /// The largest packet on the links; that of the node's own link, as a rule.
    pub mtu: u32,
}

impl LinkSettings {
    /// What pods take for their router: the first address of the pod CIDR. No interface has it; it names a permanent neighbour.
    #[must_use]
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.pod_cidr.network()) + 1)
    }
}

/// A pod's link that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodLink {
    /// The pod's address.
    pub address: Ipv4Addr,
    /// The name of the node's end.
    pub node_link: String,
}

/// The links and routes of a node, in the network namespace in which this was opened.
#[derive(Debug)]
pub struct NodeLinks {
    settings: LinkSettings,
    socket: Mutex<Socket>,
    ipv6: bool,
}

impl NodeLinks {
    /// Readies the network namespace of the calling thread to carry pods: forwarding, translation to and from loopback, the route to services.
    ///
    /// # Errors
    /// When the kernel refuses, or no link has the node's address.
    pub fn open(settings: LinkSettings) -> Result<Self, LinkError> {
        let mut socket = Socket::open(Family::Route).map_err(ask("a socket"))?;
        sysctl::prepare_node()?;
        let node_link = route::link_with_address(&mut socket, settings.node_address)
            .map_err(ask("the addresses"))?
            .ok_or(LinkError::FindNodeLink(settings.node_address))?;
        let mut batch = Batch::new();
        NewRoute::on_link(settings.service_cidr, node_link).from(settings.node_address).write(&mut batch);
        set_up(&mut batch, 1);
        socket.execute(batch, &[]).map_err(ask("the route to services"))?;
        Ok(Self { settings, socket: Mutex::new(socket), ipv6: std::path::Path::new("/proc/sys/net/ipv6").exists() })
    }

    /// What it was opened with.
    #[must_use]
    pub fn settings(&self) -> &LinkSettings {
        &self.settings
    }

    /// Gives a pod its link: `eth0` with the address, the way out, and loopback. `holder` names the pod for good; a half-made link of
    /// the same holder is replaced.
    ///
    /// # Errors
    /// When the kernel refuses; then nothing is left.
    pub fn attach(&self, holder: &str, namespace: &Namespace, address: Ipv4Addr) -> Result<PodLink, LinkError> {
        let node_link = short_name(POD_LINK_PREFIX, holder);
        let made = match self.make_pair(&node_link, namespace, address) {
            Err(LinkError::Ask { source, .. }) if source.errno() == Some(libc::EEXIST) => {
                self.detach(holder)?;
                self.make_pair(&node_link, namespace, address)
            }
            made => made,
        };
        made.and_then(|()| self.set_up_inside(namespace, address))
            .and_then(|()| self.point_at(&node_link, address))
            .inspect_err(|_| drop(self.detach(holder)))?;
        Ok(PodLink { address, node_link })
    }

    /// Takes a pod's link away at once. Slow (the kernel waits for every processor): closing the pod's namespace does the same for free.
    ///
    /// # Errors
    /// When the link is there and stays.
    pub fn detach(&self, holder: &str) -> Result<(), LinkError> {
        let mut batch = Batch::new();
        let name = short_name(POD_LINK_PREFIX, holder);
        batch.message("remove the pod's link", DELETE_LINK, ACK, &link_header(0, 0, 0), |link| link.put_text(LINK_NAME, &name));
        self.lock().execute(batch, &[libc::ENODEV]).map_err(ask("the pod's link"))
    }

    /// The node's ends of all pods' links that there are.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn pod_links(&self) -> Result<Vec<String>, LinkError> {
        let names = link_names(&mut self.lock()).map_err(ask("the list of links"))?;
        Ok(names.into_iter().map(|(_, name)| name).filter(|name| name.starts_with(POD_LINK_PREFIX)).collect())
    }

    /// The name that the node's end of a holder's link has.
    #[must_use]
    pub fn link_of(holder: &str) -> String {
        short_name(POD_LINK_PREFIX, holder)
    }

    /// Makes the routes to the pods of other nodes exactly these: pod CIDR and the node's address. A node that shares no link with this one is
    /// reached through the router of a peer that covers its address, or else through the router that the kernel already has for it; the
    /// router must pass packets to pods on.
    ///
    /// # Errors
    /// When the kernel refuses. The rest of the routes is set nevertheless.
    pub fn set_peer_routes(&self, peers: &[(Ipv4Net, Ipv4Addr)]) -> Result<(), LinkError> {
        let mut socket = self.lock();
        let mut direct = Vec::with_capacity(peers.len());
        for (cidr, node) in peers {
            let covering = peers.iter().find(|(network, router)| router != node && network.contains(node));
            let router = match covering {
                Some((_, router)) => Some(*router),
                None => route::router_towards(&mut socket, *node).map_err(ask("the way to another node"))?,
            };
            direct.push((*cidr, router.unwrap_or(*node)));
        }
        let peers = &direct;
        let present = route::peer_routes(&mut socket).map_err(ask("the list of routes"))?;
        let mut batch = Batch::new();
        for (cidr, via) in present.iter().filter(|route| !peers.contains(route)) {
            if !peers.iter().any(|(wanted, _)| wanted == cidr) {
                NewRoute::via(*cidr, *via).write_removal(&mut batch);
            }
        }
        for (cidr, via) in peers.iter().filter(|route| !present.contains(route)) {
            NewRoute::via(*cidr, *via).from(self.settings.node_address).write(&mut batch);
        }
        socket.execute(batch, &[libc::ESRCH]).map_err(ask("the routes to other nodes"))
    }

    /// Puts an address on loopback, so that a server of the node can answer there without a device of its own. Host scope: it is never
    /// taken for the source of anything else.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn add_loopback_address(&self, address: Ipv4Addr) -> Result<(), LinkError> {
        let mut batch = Batch::new();
        NewAddress { link: 1, address: Ipv4Net::from(address), host_scope: true }.write(&mut batch);
        self.lock().execute(batch, &[libc::EEXIST]).map_err(ask("an address on loopback"))
    }

    /// Takes that address and all routes away again; pods' links are left to their namespaces.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn close(&self, loopback: &[Ipv4Addr]) -> Result<(), LinkError> {
        self.set_peer_routes(&[])?;
        let mut socket = self.lock();
        let mut batch = Batch::new();
        for address in loopback {
            NewAddress { link: 1, address: Ipv4Net::from(*address), host_scope: true }.write_removal(&mut batch);
        }
        NewRoute::unreached(self.settings.service_cidr).write_removal(&mut batch);
        socket.execute(batch, &[libc::EADDRNOTAVAIL, libc::ESRCH]).map_err(ask("the removal of the node's routes"))
    }

    fn make_pair(&self, node_link: &str, namespace: &Namespace, address: Ipv4Addr) -> Result<(), LinkError> {
        use std::os::fd::{AsFd, AsRawFd};
        let target = namespace.as_fd().as_raw_fd();
        let mut batch = Batch::new();
        batch.message("make a pair of links", NEW_LINK, ACK | CREATE | EXCLUSIVE, &link_header(0, 0, 0), |link| {
            link.put_text(LINK_NAME, node_link);
            link.put_u32(LINK_MTU, self.settings.mtu);
            link.put(LINK_ADDRESS, &NODE_MAC);
            link.nest(LINK_INFO, |info| {
                info.put_text(INFO_KIND, "veth");
                info.nest(INFO_DATA, |data| {
                    data.nest_after(VETH_PEER, &link_header(0, 0, 0), |peer| {
                        peer.put_text(LINK_NAME, POD_INTERFACE);
                        peer.put_u32(LINK_MTU, self.settings.mtu);
                        peer.put(LINK_ADDRESS, &pod_mac(address));
                        peer.put(LINK_NETNS_FD, &target.to_ne_bytes());
                    });
                });
            });
        });
        self.silent_up(&mut batch, node_link);
        self.lock().execute(batch, &[]).map_err(ask("the pod's pair of links"))
    }

    /// Sets a link up without an IPv6 address of its own making: no router solicitations from every pod while it idles.
    fn silent_up(&self, batch: &mut Batch, name: &str) {
        batch.message("set a link up", NEW_LINK, ACK, &link_header(0, UP, UP), |link| {
            link.put_text(LINK_NAME, name);
            if self.ipv6 {
                link.nest(LINK_AF_SPEC, |families| {
                    families.nest(libc::AF_INET6 as u16, |inet6| inet6.put(INET6_GENERATE, &[GENERATE_NONE]));
                });
            }
        });
    }

    fn set_up_inside(&self, namespace: &Namespace, address: Ipv4Addr) -> Result<(), LinkError> {
        let mut socket =
            namespace.run(|| Socket::open(Family::Route)).map_err(LinkError::EnterNamespace)?.map_err(ask("a socket"))?;
        let link = link_index(&mut socket, POD_INTERFACE).map_err(ask("the pod's interface"))?;
        let gateway = self.settings.gateway();
        let mut batch = Batch::new();
        set_up(&mut batch, 1);
        self.silent_up(&mut batch, POD_INTERFACE);
        NewAddress { link, address: Ipv4Net::from(address), host_scope: false }.write(&mut batch);
        NewNeighbour { link, address: gateway, mac: NODE_MAC }.write(&mut batch);
        NewRoute::via(Ipv4Net::default(), gateway).through(link).from(address).write(&mut batch);
        socket.execute(batch, &[]).map_err(ask("the pod's interface"))
    }

    fn point_at(&self, node_link: &str, address: Ipv4Addr) -> Result<(), LinkError> {
        let mut socket = self.lock();
        let link = link_index(&mut socket, node_link).map_err(ask("the node's end of the link"))?;
        let mut batch = Batch::new();
        NewNeighbour { link, address, mac: pod_mac(address) }.write(&mut batch);
        NewRoute::on_link(Ipv4Net::from(address), link).from(self.settings.node_address).write(&mut batch);
        socket.execute(batch, &[]).map_err(ask("the route to the pod"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Socket> {
        // A batch that a panic cut short leaves nothing half-done in the socket: answers carry numbers.
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A name of at most 15 bytes for something with a longer one; the same each time, and as good as unique on a machine.
pub(crate) fn short_name(prefix: &str, long: &str) -> String {
    // FNV-1a: stable over releases, unlike the standard hasher, since links outlive the program.
    let hash = long.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mut name = format!("{prefix}{hash:016x}");
    name.truncate(15);
    name
}

pub(crate) fn ask(what: &str) -> impl FnOnce(NetlinkError) -> LinkError {
    let what = what.to_owned();
    move |source| LinkError::Ask { what, source }
}

fn pod_mac(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x0a, 0x58, a, b, c, d]
}

/// `ifinfomsg`.
pub(crate) fn link_header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}

pub(crate) fn set_up(batch: &mut Batch, link: u32) {
    batch.message("set a link up", NEW_LINK, ACK, &link_header(link, UP, UP), |_| ());
}

/// The number of the link with this name.
pub(crate) fn link_index(socket: &mut Socket, name: &str) -> Result<u32, NetlinkError> {
    let mut batch = Batch::new();
    batch.message("find a link", GET_LINK, ACK, &link_header(0, 0, 0), |link| link.put_text(LINK_NAME, name));
    let mut index = 0;
    socket.dump(batch, |_, payload| index = number(payload.get(4..8)).unwrap_or(0))?;
    Ok(index)
}

/// Number and name of every link.
pub(crate) fn link_names(socket: &mut Socket) -> Result<Vec<(u32, String)>, NetlinkError> {
    let mut batch = Batch::new();
    batch.message("list the links", GET_LINK, DUMP, &link_header(0, 0, 0), |_| ());
    let mut names = Vec::new();
    socket.dump(batch, |_, payload| {
        let name = attribute(payload.get(16..).unwrap_or_default(), LINK_NAME);
        if let (Some(index), Some(name)) = (number(payload.get(4..8)), name) {
            names.push((index, String::from_utf8_lossy(name).trim_end_matches('\0').to_owned()));
        }
    })?;
    Ok(names)
}
