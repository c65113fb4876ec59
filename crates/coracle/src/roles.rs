//! What a process of Coracle can be: the server with its controllers, or a node. Wiring alone; starting takes each part apart, so that
//! one that is forgotten is an unused variable.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use server::{
    Server, Settings,
    listen::{Limits, Listener},
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{config, kubeconfig::write_private, notify};

/// Has the allocator give freed memory back by a thread of its own, and code that only starting needed leave memory. For processes that last and start no copies of themselves: a supervisor's
/// children would wait for that thread for ever.
fn give_memory_back() {
    if let Err(error) = tikv_jemalloc_ctl::background_thread::write(true) {
        tracing::debug!(%error, "freed memory goes back with the next allocations");
    }
    tokio::spawn(runtime::footprint::shrink_after_start());
}

/// The API, and the controllers that speak to it in process.
pub struct ServerRole {
    /// The folder of keys and data.
    pub data_dir: PathBuf,
    /// The addresses of the API.
    pub listen: Vec<SocketAddr>,
    /// Where an administrator's kubeconfig goes.
    pub kubeconfig: Option<PathBuf>,
    /// Whether controllers and scheduler run too.
    pub controllers: bool,
    /// How long a node may be silent, in seconds.
    pub node_grace_seconds: u32,
}

impl ServerRole {
    /// Serves until the process is asked to stop.
    ///
    /// # Errors
    /// When the data cannot be opened, or an address cannot be listened on.
    pub async fn serve(self) -> anyhow::Result<()> {
        give_memory_back();
        let folder = &self.data_dir;
        let mut settings = Settings::new(folder);
        settings.pki.addresses.extend(self.listen.iter().map(SocketAddr::ip).filter(|address| !address.is_unspecified()));
        settings.advertised = self.listen.last().copied().into_iter().collect();
        // Pods reach the API where others do; loopback is each pod's own.
        settings.advertised = self.listen.last().filter(|address| !address.ip().is_loopback()).copied().into_iter().collect();
        let server = Server::open(settings).await.with_context(|| format!("cannot open the data in {}", folder.display()))?;
        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        for address in &self.listen {
            let socket = bind(*address).await?;
            let listener = Listener::new(&server.state().security.pki, Limits::default())?;
            serving.spawn(listener.serve(socket, server.service(), stop.clone()));
        }
        self.write_kubeconfig(&server)?;
        let running = self.controllers.then(|| Running::start(&server, Duration::from_secs(self.node_grace_seconds.into())));
        notify::ready("server");
        stop_signal().await?;
        info!("stopping: open requests are answered first");
        if let Some(Running { controllers, platform }) = running {
            drop((platform, controllers));
        }
        stop.cancel();
        while let Some(ended) = serving.join_next().await {
            ended.context("serving panicked")??;
        }
        Ok(())
    }

    fn write_kubeconfig(&self, server: &Server) -> anyhow::Result<()> {
        let Some(path) = &self.kubeconfig else { return Ok(()) };
        // Programs on this machine use the first address; a wildcard is no address to call.
        let mut address = self.listen.first().copied().unwrap_or(config::LOOPBACK_API);
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::from([127, 0, 0, 1]));
        }
        let pki = &server.state().security.pki;
        if still_good(path, pki.ca_pem(), address) {
            return Ok(());
        }
        let text = pki.admin_kubeconfig(config::CONTEXT, &format!("https://{address}"))?;
        write_private(path, &text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// What runs beside the API in the server's process, each a client of this very server under its own name. They end when they are dropped.
struct Running {
    controllers: control::Handle,
    platform: platform::part::Handle,
}

impl Running {
    fn start(server: &Server, node_grace: Duration) -> Self {
        let service = server.service();
        let client_as = |identity| client::transport::in_process(service.clone(), identity);
        let root_ca_pem = server.state().security.pki.ca_pem().to_owned();
        let settings = control::Settings { root_ca_pem, node_grace: Some(node_grace) };
        Self {
            controllers: control::start(|name| client_as(control::identity(name)), settings),
            platform: platform::start(|name| client_as(platform::identity(name))),
        }
    }
}

/// Whether an earlier kubeconfig is for this authority and address: its certificate lives for a year, and making one takes time.
fn still_good(path: &Path, ca_pem: &str, address: SocketAddr) -> bool {
    let Ok(text) = std::fs::read_to_string(path) else { return false };
    let fresh = std::fs::metadata(path)
        .and_then(|file| file.modified())
        .is_ok_and(|written| written.elapsed().is_ok_and(|age| age < server::pki::ADMIN_LIFETIME / 2));
    let ca = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, ca_pem);
    fresh && text.contains(&ca) && text.contains(&format!("https://{address}"))
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}: name a free address with --listen"))
}

/// Waits until this process is asked to stop.
///
/// # Errors
/// When signals cannot be heard.
pub async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot hear signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot hear signals")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// A node: its agent, which runs what is bound to it.
pub struct NodeRole {
    /// What the agent has to know.
    pub settings: node::AgentSettings,
    /// The file of the token by which it joins, removed once it has.
    pub token_file: Option<PathBuf>,
    /// The keeper's socket, where one runs.
    pub keeper: Option<PathBuf>,
}

impl NodeRole {
    /// Runs until the process is asked to stop; the pods go on.
    ///
    /// # Errors
    /// When the node cannot join, or the machine lacks something.
    pub async fn serve(self) -> anyhow::Result<()> {
        give_memory_back();
        let name = self.settings.name.clone();
        if let Some(path) = &self.keeper {
            match runtime::keeper::Client::connect(path).await {
                Ok(keeper) => runtime::keeper::ask_for_orphans(keeper),
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "exit codes of orphans may be lost"),
            }
        }
        let agent = node::Agent::start(self.settings).await.with_context(|| format!("the node {name} cannot start"))?;
        if let Some(path) = &self.token_file {
            // Already gone when the node joined before.
            let _ = std::fs::remove_file(path);
        }
        let asked_to_stop = stop_signal();
        tokio::pin!(asked_to_stop);
        tokio::select! {
            () = agent.ready() => {
                notify::ready(&name);
                asked_to_stop.await?;
            }
            asked = &mut asked_to_stop => asked?,
        }
        info!("stopping: pods go on");
        agent.stop().await;
        Ok(())
    }
}
