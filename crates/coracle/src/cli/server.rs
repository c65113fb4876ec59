//! `coracle server`: the API alone, in the foreground.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use server::{
    Server, Settings,
    listen::{Limits, Listener},
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Where to keep things and where to listen.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of keys and data; made when it is not there
    #[arg(long, env = "CORACLE_DATA_DIR", default_value = "/var/lib/coracle")]
    data_dir: PathBuf,
    /// The address of the API
    #[arg(long, default_value = "127.0.0.1:6443")]
    listen: SocketAddr,
    /// Write an administrator's kubeconfig to this file
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
}

/// Serves until the process is asked to stop.
///
/// # Errors
/// When the data cannot be opened, or the address cannot be listened on.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    tokio::runtime::Runtime::new().context("cannot start the runtime")?.block_on(serve(arguments))
}

async fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = &arguments.data_dir;
    let mut settings = Settings::new(folder);
    settings.pki.addresses.push(arguments.listen.ip());
    let server = Server::open(settings).await.with_context(|| format!("cannot open the data in {}", folder.display()))?;
    let socket = tokio::net::TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}: name a free address with --listen", arguments.listen))?;
    let address = socket.local_addr().context("cannot read the listener's own address")?;
    let pki = &server.state().security.pki;
    if let Some(path) = &arguments.kubeconfig {
        let kubeconfig = pki.admin_kubeconfig("coracle", &format!("https://{address}"))?;
        write_private(path, &kubeconfig).with_context(|| format!("cannot write {}", path.display()))?;
        info!(path = %path.display(), "wrote an administrator's kubeconfig");
    }
    let stop = CancellationToken::new();
    let listener = Listener::new(pki, Limits::default())?;
    let serving = tokio::spawn(listener.serve(socket, server.service(), stop.clone()));
    stop_signal().await?;
    info!("stopping: open requests are answered first");
    stop.cancel();
    serving.await.context("serving panicked")??;
    Ok(())
}

/// Writes a file that only its owner may read: it holds a key.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot hear signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot hear signals")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
