//! `coracle agent`: a node's process, as the keeper starts it. Joins by its token or its certificate, and runs what is bound to it.

use std::{fs, net::Ipv4Addr, path::PathBuf};

use anyhow::{Context as _, bail};

use crate::{output, roles::NodeRole};

/// Which node, and where its cluster is.
#[derive(clap::Args)]
pub struct Arguments {
    /// The node's name
    #[arg(long)]
    name: String,
    /// The node's folder
    #[arg(long)]
    node_dir: PathBuf,
    /// The folder of the machine's images
    #[arg(long)]
    images: PathBuf,
    /// The address of the API
    #[arg(long)]
    server: String,
    /// The address at which the node is reached
    #[arg(long)]
    address: Ipv4Addr,
    /// The address of the machine whose local nodes lie behind it, for a node on another machine
    #[arg(long)]
    local_network_router: Option<Ipv4Addr>,
    /// The cgroup below which its pods stand
    #[arg(long)]
    cgroup: String,
    /// The file of the token by which it joins; not needed once it has a certificate
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// The keeper's socket: it knows how containers ended that outlived both this process and their supervisor
    #[arg(long)]
    keeper: Option<PathBuf>,
    /// The certificate of the cluster's authority
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// The hash of the authority's key, where its certificate is not at hand
    #[arg(long, conflicts_with = "ca_file")]
    ca_hash: Option<String>,
}

/// Runs the node until the process is asked to stop; its pods go on.
///
/// # Errors
/// When it cannot join, or the machine lacks something.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    output::log_to_stderr();
    let authority = match (&arguments.ca_file, &arguments.ca_hash) {
        (Some(path), _) => node::Authority::Pem(fs::read(path).with_context(|| format!("cannot read {}", path.display()))?),
        (None, Some(hash)) => node::Authority::Hash(hash.clone()),
        (None, None) => bail!("name the cluster's authority with --ca-file or --ca-hash"),
    };
    // A token is used once: a node that has joined starts without its file.
    let token = arguments.token_file.as_ref().and_then(|path| fs::read_to_string(path).ok()).map(|text| text.trim().to_owned());
    let mut settings =
        node::AgentSettings::new(&arguments.name, &arguments.server, &arguments.node_dir, &arguments.images, arguments.address);
    settings.authority = Some(authority);
    settings.token = token;
    settings.network.local_network_router = arguments.local_network_router;
    settings.cgroup.clone_from(&arguments.cgroup);
    // Most of an agent's work is waiting: two threads serve a node, and cost little beside many nodes on one machine.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(NodeRole { settings, token_file: arguments.token_file.clone(), keeper: arguments.keeper.clone() }.serve())
}
