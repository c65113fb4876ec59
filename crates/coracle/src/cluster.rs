//! Reaching a cluster from the command line: the one of a data directory, or any by its kubeconfig.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::data_dir::{self, DataDir};

/// Which cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct Target {
    /// The data directory of the local cluster
    #[arg(long, env = "CORACLE_DATA_DIR", default_value = data_dir::DEFAULT)]
    pub data_dir: PathBuf,
    /// The kubeconfig of any cluster, instead of the local one
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
}

impl Target {
    /// The kubeconfig that was named, or the administrator's of the local cluster.
    ///
    /// # Errors
    /// When there is none.
    pub fn kubeconfig(&self) -> anyhow::Result<PathBuf> {
        if let Some(path) = &self.kubeconfig {
            return Ok(path.clone());
        }
        let dir = DataDir::at(&self.data_dir);
        let path = dir.admin_kubeconfig();
        if !path.exists() {
            bail!("no cluster was started in {}: run `coracle up`, or name a cluster with --kubeconfig", dir.path().display());
        }
        Ok(path)
    }

    /// A client of that cluster.
    ///
    /// # Errors
    /// When its kubeconfig cannot be used.
    pub async fn client(&self) -> anyhow::Result<Client> {
        client(&self.kubeconfig()?).await
    }
}

/// A client by a kubeconfig.
///
/// # Errors
/// When the kubeconfig cannot be used.
pub async fn client(path: &Path) -> anyhow::Result<Client> {
    // A provider is chosen once a process; a second choice of the same is no harm.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(path).with_context(|| format!("cannot read the kubeconfig {}", path.display()))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("the kubeconfig {} cannot be used", path.display()))?;
    Client::try_from(config).context("cannot make a client")
}

/// Runs a command that talks to something: a small runtime on this thread.
///
/// # Errors
/// What the command says.
pub fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?.block_on(future)
}
