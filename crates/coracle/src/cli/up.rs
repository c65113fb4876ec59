//! `coracle up`: a cluster on this machine, fresh or resumed.

use std::{
    net::{Ipv4Addr, UdpSocket},
    path::PathBuf,
};

use anyhow::{Context as _, ensure};
use serde::Serialize;

use crate::{
    cluster, config, data_dir, kubeconfig,
    local::{Local, take_down},
    output::{Form, Progress},
    roles,
};

/// How large, and where.
#[derive(clap::Args)]
pub struct Arguments {
    /// How many nodes; a cluster that has more keeps them. A fresh one has one, a resumed one what it had
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(config::NODES_MAX)))]
    nodes: Option<u16>,
    /// The address at which other machines reach this one, so that they can join; remembered, and none unless given
    #[arg(long)]
    address: Option<Ipv4Addr>,
    /// Where everything is kept
    #[arg(long, env = "CORACLE_DATA_DIR", default_value = data_dir::DEFAULT)]
    data_dir: PathBuf,
    /// The kubeconfig into which a context named `coracle` is merged; the one that kubectl uses, unless named
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Stay until interrupted, then stop everything
    #[arg(long)]
    foreground: bool,
    #[command(flatten)]
    form: Form,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Up {
    data_dir: PathBuf,
    kubeconfig: PathBuf,
    server: String,
    nodes: Vec<String>,
    started: bool,
}

/// Brings the cluster up, and returns when it is ready.
///
/// # Errors
/// When the machine lacks something, or the cluster does not become ready.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    cluster::block_on(async {
        let progress = Progress::start();
        let mut local = Local::open(&arguments.data_dir)?;
        ensure!(local.machine.joined.is_none(), "this machine joined another cluster: `coracle down --purge` ends that first");
        local.machine.grow_to(arguments.nodes.unwrap_or(1));
        if let Some(address) = arguments.address.filter(|address| local.machine.address != Some(*address)) {
            ensure!(
                local.keeper().await.is_none(),
                "the cluster runs without this address: `coracle down`, then `up --address {address}`"
            );
            UdpSocket::bind((address, 0)).with_context(|| format!("--address {address} is on no link of this machine"))?;
            local.machine.address = Some(address);
        }
        let path = std::path::absolute(arguments.kubeconfig.clone().unwrap_or_else(kubeconfig::default_path))?;
        if !local.machine.kubeconfigs.contains(&path) {
            local.machine.kubeconfigs.push(path.clone());
        }
        local.machine.save(&local.dir)?;
        let started = local.up(&progress).await?;
        let text = std::fs::read_to_string(local.dir.admin_kubeconfig()).context("the server wrote no kubeconfig")?;
        kubeconfig::merge_into(&path, &text)?;
        let nodes = local.machine.nodes.iter().map(|number| local.machine.name(*number)).collect();
        let up = Up {
            data_dir: local.dir.path().to_owned(),
            kubeconfig: path,
            server: format!("https://{}", config::LOOPBACK_API),
            nodes,
            started,
        };
        arguments.form.print(&up, |up| {
            let what = if up.started { "ready" } else { "already running" };
            format!(
                "{} {what}: {} at {}\nkubectl --context {} get nodes",
                up.nodes.join(", "),
                "Kubernetes API",
                up.server,
                config::CONTEXT
            )
        });
        if arguments.foreground {
            roles::stop_signal().await?;
            take_down(&local, false, super::down::GRACE, &progress).await?;
        }
        Ok(())
    })
}
