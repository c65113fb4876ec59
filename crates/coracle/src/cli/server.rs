//! `coracle server`: the API and the controllers, in the foreground.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;

use crate::{data_dir, output, roles};

/// Where to keep things and where to listen.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of keys and data; made when it is not there
    #[arg(long, env = "CORACLE_DATA_DIR", default_value = data_dir::DEFAULT)]
    data_dir: PathBuf,
    /// The addresses of the API; the last one is what pods and nodes are told
    #[arg(long, default_value = "127.0.0.1:6443")]
    listen: Vec<SocketAddr>,
    /// Write an administrator's kubeconfig to this file
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Serve the API alone, without controllers and scheduler
    #[arg(long)]
    api_only: bool,
    /// How long a node may be silent before its pods are given up, in seconds
    #[arg(long, default_value_t = 40)]
    node_grace_seconds: u32,
}

/// Serves until the process is asked to stop.
///
/// # Errors
/// When the data cannot be opened, or an address cannot be listened on.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    output::log_to_stderr();
    let role = roles::ServerRole {
        data_dir: arguments.data_dir.clone(),
        listen: arguments.listen.clone(),
        kubeconfig: arguments.kubeconfig.clone(),
        controllers: !arguments.api_only,
        node_grace_seconds: arguments.node_grace_seconds,
    };
    tokio::runtime::Runtime::new().context("cannot start the runtime")?.block_on(role.serve())
}
