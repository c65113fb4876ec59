//! The node's network: watches services, endpoint slices and nodes, and keeps rules, routes and names in step with them; gives pods their
//! addresses and links. The choices are made in `decide`, the kernel is told by `net`. Never touches a pod's processes.
//!
//! What pods hold is kept in a file, so that an agent that starts again finds them as they are. Until the API was
//! heard in full, the rules that the kernel has stay in force: an agent that starts while the server is away cuts nobody off.

mod addresses;
mod health_check;
mod remembered;
mod sources;
mod worker;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use client::Cache;
use decide::network_rules::HostPort;
use decide::pod_ip::PodIpError;
use ipnet::Ipv4Net;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Service;
use net::dns::DnsError;
use net::link::{LinkError, NodeLinks};
use net::namespace::{Namespace, NamespaceError};
use net::network_rules::NetworkRulesError;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use addresses::Addresses;
use sources::{News, Sources};
use worker::Worker;

/// What the network has to know of the node and of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSettings {
    /// The name of the Node object, from which the pod CIDR comes.
    pub node_name: String,
    /// The address by which other nodes reach this one; a link of the node's network namespace must have it.
    pub node_address: Ipv4Addr,
    /// Where addresses are kept: in memory as a rule, since no pod outlives the machine's power.
    pub folder: PathBuf,
    /// Addresses of all pods.
    pub cluster_cidr: Ipv4Net,
    /// Addresses of services.
    pub service_cidr: Ipv4Net,
    /// The service address at which this node answers names.
    pub dns_address: Ipv4Addr,
    /// The domain of the cluster.
    pub cluster_domain: String,
    /// Where servers for all other names are listed, in the form of `resolv.conf`.
    pub resolv_conf: PathBuf,
    /// The largest packet on pods' links.
    pub mtu: u32,
    /// The network that the nodes of the server's machine share.
    pub local_network: Ipv4Net,
    /// That machine's address, behind which the network lies, where this node is on another machine.
    pub local_network_router: Option<Ipv4Addr>,
}

/// Where systemd's resolver lists the servers that it asks itself; `/etc/resolv.conf` names but the resolver then, on a loopback address that
/// other network namespaces do not reach.
const SYSTEMD_RESOLV_CONF: &str = "/run/systemd/resolve/resolv.conf";

impl NetworkSettings {
    /// Coracle's own values for everything but the node itself.
    #[must_use]
    pub fn new(node_name: &str, node_address: Ipv4Addr, folder: PathBuf) -> Self {
        let systemd = PathBuf::from(SYSTEMD_RESOLV_CONF);
        Self {
            node_name: node_name.to_owned(),
            node_address,
            folder,
            cluster_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 42, 0, 0), 16),
            service_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 43, 0, 0), 16),
            dns_address: Ipv4Addr::new(10, 43, 0, 10),
            cluster_domain: "cluster.local".into(),
            resolv_conf: if systemd.exists() { systemd } else { "/etc/resolv.conf".into() },
            mtu: 1500,
            local_network: Ipv4Net::new_assert(Ipv4Addr::new(10, 44, 0, 0), 16),
            local_network_router: None,
        }
    }
}

/// Why the network did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// What pods hold could not be read or kept.
    #[error("cannot keep the pods' addresses in {path}")]
    KeepAddresses {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The node's links and routes.
    #[error("cannot ready the node's links")]
    ReadyLinks(#[source] LinkError),
    /// The rule set.
    #[error("cannot ready the node's rules")]
    ReadyRules(#[source] NetworkRulesError),
    /// The DNS server.
    #[error("cannot serve names")]
    ServeNames(#[source] DnsError),
    /// A port for load balancers to ask.
    #[error("cannot open a port for health checks")]
    OpenHealthCheck(#[source] io::Error),
    /// The node has no pod CIDR yet, or the API was not heard yet.
    #[error("the node's network is not ready")]
    NotReady,
    /// No address for the pod.
    #[error("cannot give the pod an address")]
    ChooseAddress(#[source] PodIpError),
    /// The pod's network namespace.
    #[error("cannot open the pod's network namespace")]
    OpenNamespace(#[source] NamespaceError),
    /// The pod's link.
    #[error("cannot attach the pod")]
    AttachPod(#[source] LinkError),
}

/// Where a pod is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodAddress {
    /// Its address.
    pub address: Ipv4Addr,
    /// What it sends to anyone else through.
    pub gateway: Ipv4Addr,
}

/// How far the network is.
#[derive(Debug, Clone, Default)]
struct State {
    /// There once the node has a pod CIDR.
    links: Option<Arc<NodeLinks>>,
    /// The kernel has rules: those of the API, or those of an agent before this one.
    in_force: bool,
}

/// The network of a node that runs. Clones are the same network; it ends with the last of them, and leaves rules and links as they are.
#[derive(Clone)]
pub struct NetworkHandle(Arc<Inner>);

struct Inner {
    addresses: Arc<Mutex<Addresses>>,
    state: watch::Receiver<State>,
    news: mpsc::UnboundedSender<News>,
    services: Arc<Cache<Service>>,
    task: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts the network of this node, in the network namespace of the process. Returns before the API was heard; see [`NetworkHandle::ready`].
///
/// # Errors
/// When the file of addresses is of no use, or the kernel refuses.
#[expect(clippy::unused_async, reason = "callers await the start of every part of a node alike")]
pub async fn start(client: kube::Client, settings: NetworkSettings) -> Result<NetworkHandle, NetworkError> {
    let addresses = Arc::new(Mutex::new(Addresses::open(&settings.folder)?));
    let (sender, state) = watch::channel(State::default());
    let (news, received) = mpsc::unbounded_channel();
    let worker = Worker::new(settings, Arc::clone(&addresses), sender)?;
    let sources = Sources::follow(client, &news);
    let services = Arc::clone(&sources.services);
    let task = tokio::spawn(worker.run(sources, received)).abort_handle();
    Ok(NetworkHandle(Arc::new(Inner { addresses, state, news, services, task })))
}

impl NetworkHandle {
    /// Waits until pods can be attached: the node has a pod CIDR, and rules are in force.
    ///
    /// # Errors
    /// When the network ended before.
    pub async fn ready(&self) -> Result<(), NetworkError> {
        self.links().await.map(|_| ())
    }

    /// Whether pods can be attached now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let state = self.0.state.borrow();
        state.in_force && state.links.is_some()
    }

    /// Gives a pod an address and its namespace a link. The pod keeps an address that it has; its link is made anew.
    ///
    /// # Errors
    /// When no address is free, the namespace is not there or the kernel refuses. An address that the pod did not have before is free again.
    pub async fn attach(&self, pod_uid: &str, namespace: &str) -> Result<PodAddress, NetworkError> {
        let links = self.links().await?;
        let held_before = self.address_of(pod_uid).is_some();
        let address = self.addresses(|addresses| addresses.allocate(pod_uid, Timestamp::now()))?;
        let gateway = links.settings().gateway();
        let (holder, name) = (pod_uid.to_owned(), namespace.to_owned());
        let made = tokio::task::spawn_blocking(move || {
            let namespace = Namespace::open(&name).map_err(NetworkError::OpenNamespace)?;
            links.attach(&holder, &namespace, address).map_err(NetworkError::AttachPod)
        });
        match made.await.unwrap_or(Err(NetworkError::NotReady)) {
            Ok(_) => Ok(PodAddress { address, gateway }),
            Err(failure) => {
                if !held_before {
                    self.addresses(|addresses| addresses.release(pod_uid, Timestamp::now()))?;
                }
                Err(failure)
            }
        }
    }

    /// Takes a pod's address and ports back. Its link ends with its network namespace, which is the caller's to remove.
    ///
    /// # Errors
    /// When the file of addresses cannot be written.
    pub async fn detach(&self, pod_uid: &str) -> Result<(), NetworkError> {
        self.set_host_ports(pod_uid, Vec::new()).await?;
        self.addresses(|addresses| addresses.release(pod_uid, Timestamp::now()))
    }

    /// The address that a pod has, also after the agent was started again.
    #[must_use]
    pub fn address_of(&self, pod_uid: &str) -> Option<Ipv4Addr> {
        self.lock().address_of(pod_uid)
    }

    /// The services of the cluster, without what the network has no use for (annotations). For whoever else on the node needs them.
    #[must_use]
    pub fn services(&self) -> &Arc<Cache<Service>> {
        &self.0.services
    }

    /// The pods that hold an address, with it. Whoever knows that one of them is gone detaches it.
    #[must_use]
    pub fn held(&self) -> Vec<(String, Ipv4Addr)> {
        self.lock().held()
    }

    /// Gives a pod that has an address these ports of the node, and waits until they lead there. None takes them back.
    ///
    /// # Errors
    /// When the file of addresses cannot be written.
    pub async fn set_host_ports(&self, pod_uid: &str, ports: Vec<HostPort>) -> Result<(), NetworkError> {
        let Some(address) = self.address_of(pod_uid) else { return Ok(()) };
        if !self.addresses(|addresses| addresses.set_host_ports(pod_uid, &ports))? {
            return Ok(());
        }
        let (done, wait) = tokio::sync::oneshot::channel();
        let _ = self.0.news.send(News::HostPorts { pod_uid: pod_uid.to_owned(), address, ports, done });
        // It ends unanswered if the network does.
        let _ = wait.await;
        Ok(())
    }

    async fn links(&self) -> Result<Arc<NodeLinks>, NetworkError> {
        let mut state = self.0.state.clone();
        let ready = state.wait_for(|state| state.in_force && state.links.is_some()).await.map_err(|_| NetworkError::NotReady)?;
        ready.links.clone().ok_or(NetworkError::NotReady)
    }

    fn addresses<T>(&self, work: impl FnOnce(&mut Addresses) -> Result<T, NetworkError>) -> Result<T, NetworkError> {
        work(&mut self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Addresses> {
        // Every change is written before it is told; a panic between leaves the file as it was.
        self.0.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}
