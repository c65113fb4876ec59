//! The agent of a node: its start, in the order that makes it quick, and its end, which leaves the pods as they are.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::client::Cache;
use ::client::cache::Options;
use ::client::events::Recorder;
use http::Uri;
use k8s_openapi::api::core::v1::{Node, Pod};
use runtime::image::{ImageError, ImageStore};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::image_gc;
use crate::network::{self, NetworkError, NetworkHandle, NetworkSettings};
use crate::pod::Pods;
use crate::register::{self, Authority, Joining, Machine, NodeKeeper, RegisterError, Report};
use crate::serve;
use crate::site::{EMPTY_DIRS, LAYERS, MEMORY, Objects, Site, pods_of};

/// How long workers have to leave their pods when the agent stops.
const LEAVE_MAX: Duration = Duration::from_secs(3);

/// What an agent has to know.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// The node's name.
    pub name: String,
    /// Where the API is, such as `https://10.44.0.1:6443`.
    pub server: String,
    /// Whom to trust; none when the node has joined before.
    pub authority: Option<Authority>,
    /// The token to join by; none when the node has joined before.
    pub token: Option<String>,
    /// The node's folder: keys, pods, logs, volumes.
    pub folder: PathBuf,
    /// The machine's image store.
    pub images: PathBuf,
    /// The address by which others reach this node.
    pub address: Ipv4Addr,
    /// The port of its endpoint.
    pub port: u16,
    /// The cgroup below which its pods stand.
    pub cgroup: String,
    /// Labels that its Node bears beside the usual ones.
    pub labels: BTreeMap<String, String>,
    /// What its network has to know; usual values follow from the others.
    pub network: NetworkSettings,
}

impl AgentSettings {
    /// The usual settings of a node.
    pub fn new(name: &str, server: &str, folder: impl Into<PathBuf>, images: impl Into<PathBuf>, address: Ipv4Addr) -> Self {
        let folder = folder.into();
        Self {
            name: name.into(),
            server: server.into(),
            authority: None,
            token: None,
            images: images.into(),
            address,
            port: 10_250,
            cgroup: format!("/coracle/{name}"),
            labels: BTreeMap::new(),
            network: NetworkSettings::new(name, address, folder.join(MEMORY)),
            folder,
        }
    }
}

/// Why an agent could not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The server's address.
    #[error("{0} is no address of a server")]
    ReadServer(String),
    /// The node's folder.
    #[error("cannot use the node's folder {path}")]
    PrepareFolder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The image store.
    #[error("cannot open the images")]
    OpenImages(#[source] ImageError),
    /// The node could not join, or its Node could not be written.
    #[error("cannot join the cluster")]
    Join(#[source] RegisterError),
    /// The network.
    #[error("cannot start the network")]
    StartNetwork(#[source] NetworkError),
    /// The endpoint.
    #[error("cannot serve on {address}")]
    Serve {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// An agent that runs. Dropping it ends it hard, with the pods left as they are; [`Agent::stop`] is gentler.
pub struct Agent {
    pods: Arc<Pods>,
    all_ended: mpsc::Receiver<()>,
    tasks: JoinSet<()>,
    ready: watch::Receiver<bool>,
    endpoint: std::net::SocketAddr,
}

impl Agent {
    /// Joins the cluster and begins to run its pods; returns when the Node is registered. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the node cannot join, or the machine refuses what a node needs.
    pub async fn start(settings: AgentSettings) -> Result<Self, AgentError> {
        // Containers of a supervisor that died are to fall to us.
        if let Err(error) = runtime::program::become_subreaper() {
            tracing::warn!(%error, "orphans of pods fall to someone else");
        }
        let server: Uri = settings.server.parse().map_err(|_| AgentError::ReadServer(settings.server.clone()))?;
        for folder in [MEMORY, "logs", "volumes", "pki", LAYERS, EMPTY_DIRS] {
            let path = settings.folder.join(folder);
            std::fs::create_dir_all(&path).map_err(|source| AgentError::PrepareFolder { path, source })?;
        }
        hold_in_memory(&settings.folder.join(MEMORY));
        let path = pods_of(&settings.folder);
        std::fs::create_dir_all(&path).map_err(|source| AgentError::PrepareFolder { path, source })?;
        let images = ImageStore::open(&settings.images).map_err(AgentError::OpenImages)?;
        let address = std::net::SocketAddr::new(settings.address.into(), settings.port);
        let socket = tokio::net::TcpListener::bind(address).await;
        let socket = socket.map_err(|source| AgentError::Serve { address, source })?;
        let endpoint = socket.local_addr().map_err(|source| AgentError::Serve { address, source })?;
        let joining = Joining {
            name: settings.name.clone(),
            server,
            authority: settings.authority.clone(),
            token: settings.token.clone(),
            folder: settings.folder.join("pki"),
        };
        let joined = Arc::new(register::join(&joining).await.map_err(AgentError::Join)?);
        let starting = Starting { settings, images, joined, endpoint };
        starting.run(socket).await
    }

    /// Waits until the node takes pods.
    pub async fn ready(&self) {
        let mut ready = self.ready.clone();
        let _ = ready.wait_for(|ready| *ready).await;
    }

    /// Where its endpoint listens.
    pub fn endpoint(&self) -> std::net::SocketAddr {
        self.endpoint
    }

    /// Stops, and leaves every pod as it is.
    pub async fn stop(mut self) {
        self.pods.leave();
        self.tasks.shutdown().await;
        drop(self.pods);
        let _ = tokio::time::timeout(LEAVE_MAX, self.all_ended.recv()).await;
    }
}

struct Starting {
    settings: AgentSettings,
    images: ImageStore,
    joined: Arc<register::Joined>,
    endpoint: std::net::SocketAddr,
}

impl Starting {
    async fn run(self, socket: tokio::net::TcpListener) -> Result<Agent, AgentError> {
        let settings = &self.settings;
        let client = self.joined.client.clone();
        let machine = Machine::read(&settings.folder);
        let keeper = NodeKeeper {
            client: client.clone(),
            name: settings.name.clone(),
            address: settings.address.into(),
            port: self.endpoint.port(),
            labels: settings.labels.clone(),
            folder: settings.folder.clone(),
            machine: machine.clone(),
        };
        let report = Report {
            images: image_report(&self.images),
            not_ready: Some("container runtime network not ready".into()),
            ..Report::default()
        };
        let node = keeper.register(&report).await.map_err(AgentError::Join)?;
        let uid = node.metadata.uid.clone().unwrap_or_default();
        let handle = network::start(client.clone(), settings.network.clone()).await.map_err(AgentError::StartNetwork)?;
        let only = Options { fields: format!("metadata.name={}", settings.name), ..Options::default() };
        let nodes: Arc<Cache<Node>> = Cache::start(client.clone(), only);
        let (seen, node_seen) = watch::channel(Arc::new(node.clone()));
        nodes.on_change(move |change| {
            if let Some(node) = &change.new {
                seen.send_replace(Arc::clone(node));
            }
        });
        let site = self.site(nodes, &machine, handle.clone(), node_seen);
        let (pods, all_ended) = Pods::new(Arc::clone(&site));
        let (reports, reported) = watch::channel(report);
        let (ready, is_ready) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let name: Arc<str> = settings.name.as_str().into();
        tasks.spawn(register::keep_lease(client.clone(), name, uid));
        tasks.spawn(async move { keeper.run(node, reported).await });
        tasks.spawn(keep_report(handle, Arc::clone(&site), Arc::clone(&pods), reports, ready));
        let pki = settings.folder.join("pki");
        tasks.spawn(register::renew_client(Arc::clone(&self.joined), settings.name.clone(), pki.clone()));
        let (certificate, certified) = watch::channel(None);
        let addresses = vec![settings.address.into(), Ipv4Addr::LOCALHOST.into()];
        tasks.spawn(register::keep_serving_certificate(client.clone(), settings.name.clone(), pki, addresses, certificate));
        let authority = self.joined.authority_pem.clone();
        tasks.spawn(serve::serve(Arc::clone(&site), Arc::clone(&pods), socket, certified, authority));
        tasks.spawn(crate::local_volumes::follow(Arc::clone(&site)));
        tasks.spawn(run_pods(client, Arc::clone(&pods), Arc::clone(&site), settings.name.clone()));
        Ok(Agent { pods, all_ended, tasks, ready: is_ready, endpoint: self.endpoint })
    }

    fn site(
        &self,
        nodes: Arc<Cache<Node>>,
        machine: &Machine,
        network: NetworkHandle,
        node: watch::Receiver<Arc<Node>>,
    ) -> Arc<Site> {
        let settings = &self.settings;
        let client = self.joined.client.clone();
        Arc::new(Site {
            name: settings.name.as_str().into(),
            folder: settings.folder.clone(),
            address: settings.address.into(),
            cgroup: settings.cgroup.clone(),
            dns: settings.network.dns_address.into(),
            domain: settings.network.cluster_domain.clone(),
            images: self.images.clone(),
            pulls: <_>::default(),
            recorder: Recorder::new(client.clone(), "kubelet", &settings.name),
            objects: Objects::new(client.clone()),
            services: Arc::clone(network.services()),
            _nodes: nodes,
            node,
            network: Arc::new(network),
            memory: machine.memory,
            client,
        })
    }
}

/// Puts a folder into memory, unless an agent before this one did. Where mounts may not be made it stays on disk, which is only slower.
fn hold_in_memory(folder: &std::path::Path) {
    use rustix::mount::{MountFlags, mount};
    /// `TMPFS_MAGIC`.
    const IN_MEMORY: i64 = 0x0102_1994;
    if rustix::fs::statfs(folder).is_ok_and(|found| found.f_type == IN_MEMORY) {
        return;
    }
    // Programs in config maps are executed, so that `noexec` is not for here.
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    if let Err(error) = mount("coracle", folder, "tmpfs", flags, c"mode=700") {
        tracing::warn!(folder = %folder.display(), %error, "the state of pods is kept on disk");
    }
}

/// Follows the pods that are bound to this node, once the services are known that their containers hear of.
async fn run_pods(client: kube::Client, pods: Arc<Pods>, site: Arc<Site>, name: String) {
    let options = Options { fields: format!("spec.nodeName={name}"), ..Options::default() };
    let cache: Arc<Cache<Pod>> = Cache::start(client, options);
    site.services.synced().await;
    pods.follow(&cache).await;
    // The cache is followed as long as it is held.
    std::future::pending::<()>().await;
}

/// Says that the node takes pods as soon as its network does, and from then on which images are here.
async fn keep_report(
    network: NetworkHandle,
    site: Arc<Site>,
    pods: Arc<Pods>,
    reports: watch::Sender<Report>,
    ready: watch::Sender<bool>,
) {
    if let Err(error) = network.ready().await {
        return tracing::error!(error = &error as &dyn std::error::Error, "the node's network ended");
    }
    loop {
        let disk_pressure = image_gc::make_room(&site, &pods).await;
        let report = Report { images: image_report(&site.images), disk_pressure, ..Report::default() };
        reports.send_if_modified(|known| std::mem::replace(known, report.clone()) != report);
        ready.send_replace(true);
        site.pulls.done.notified().await;
    }
}

/// The images that are here, the largest first, as statuses tell of them.
fn image_report(images: &ImageStore) -> Vec<(Vec<String>, i64)> {
    let mut all: Vec<_> = images
        .list()
        .into_iter()
        .map(|image| {
            let names = image.digests.iter().chain(&image.names).cloned().collect();
            (names, i64::try_from(image.bytes).unwrap_or(i64::MAX))
        })
        .collect();
    all.sort_by_key(|(_, bytes): &(Vec<String>, i64)| std::cmp::Reverse(*bytes));
    all
}
