//! `coracle join`: this machine becomes a node of another machine's cluster.

use std::{
    net::{IpAddr, Ipv4Addr, UdpSocket},
    path::PathBuf,
};

use anyhow::{Context as _, bail, ensure};
use server::pki::BootstrapToken;

use crate::{
    cluster, data_dir,
    kubeconfig::write_private,
    local::Local,
    machine::Joined,
    output::{self, Progress},
    preflight,
};

/// Which cluster, and as what.
#[derive(clap::Args)]
pub struct Arguments {
    /// The address of the cluster's API, such as https://10.0.0.1:6443
    server: String,
    /// A token of `coracle token create`
    #[arg(long, env = "CORACLE_TOKEN", hide_env_values = true)]
    token: BootstrapToken,
    /// The hash of the cluster's authority, printed beside the token: without it, whoever answers would be trusted
    #[arg(long)]
    ca_hash: String,
    /// The name of the node; the host's name, unless given
    #[arg(long)]
    name: Option<String>,
    /// The address at which the others reach this machine; the one that leads to the server, unless given
    #[arg(long)]
    address: Option<Ipv4Addr>,
    /// Where everything is kept
    #[arg(long, env = "CORACLE_DATA_DIR", default_value = data_dir::DEFAULT)]
    data_dir: PathBuf,
}

/// Joins, and returns when the node is ready.
///
/// # Errors
/// When the machine lacks something, or the cluster does not take it.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    cluster::block_on(async {
        let progress = Progress::start();
        let mut local = Local::open(&arguments.data_dir)?;
        ensure!(
            local.machine.nodes.is_empty() || local.machine.joined.is_some(),
            "{} holds a cluster of its own: name another --data-dir",
            local.dir.path().display()
        );
        preflight::check_node()?;
        let name = match &arguments.name {
            Some(name) => name.clone(),
            None => rustix::system::uname().nodename().to_string_lossy().to_lowercase(),
        };
        let (own_address, server_address) = way_to(&arguments.server)?;
        let address = arguments.address.unwrap_or(own_address);
        let (server, ca_hash) = (arguments.server.clone(), arguments.ca_hash.clone());
        let joined = Joined { server, ca_hash, name: name.clone(), address, server_address };
        local.machine.nodes = vec![1];
        local.machine.joined = Some(joined);
        local.machine.save(&local.dir)?;
        let folder = local.dir.node(&name);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        write_private(&folder.join("token"), &arguments.token.to_string()).context("cannot keep the token")?;
        local.up(&progress).await?;
        output::line(&format!("{name} ({address}) is a node of {}", arguments.server));
        Ok(())
    })
}

/// Our own address on the way to the server, and the server's: the kernel knows them without a packet being sent.
fn way_to(server: &str) -> anyhow::Result<(Ipv4Addr, Ipv4Addr)> {
    let uri: http::Uri = server.parse().with_context(|| format!("{server:?} is no address such as https://10.0.0.1:6443"))?;
    let host = uri.host().with_context(|| format!("{server:?} names no host"))?;
    let socket = UdpSocket::bind("0.0.0.0:0").context("cannot open a socket")?;
    socket.connect((host, uri.port_u16().unwrap_or(443))).with_context(|| format!("there is no way to {host}"))?;
    let own = socket.local_addr().context("the socket has no address")?.ip();
    let theirs = socket.peer_addr().context("the socket has no peer")?.ip();
    match (own, theirs) {
        (IpAddr::V4(own), IpAddr::V4(theirs)) => Ok((own, theirs)),
        _ => bail!("{host} has an IPv6 address: name the server by an IPv4 one"),
    }
}
