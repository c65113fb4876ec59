//! `coracle node`: the nodes of this machine, and what can happen to a machine: a power cut, a pulled cable, and its return.

use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, api::DeleteParams};
use serde::Serialize;

use crate::{
    cluster, config, data_dir,
    local::Local,
    output::{Form, Progress, table},
};

/// Nodes of this machine.
#[derive(clap::Args)]
pub struct Arguments {
    /// Where everything is kept
    #[arg(long, env = "CORACLE_DATA_DIR", default_value = data_dir::DEFAULT, global = true)]
    data_dir: PathBuf,
    #[command(flatten)]
    form: Form,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Show the nodes of this machine
    List,
    /// End every process of a node at once, as a power cut would
    Kill { name: String },
    /// Cut a node's link, as a pulled cable would
    Cut { name: String },
    /// Bring a node's link back
    Heal { name: String },
    /// Start a node that was killed, or add one
    Start { name: String },
    /// Take a node out of the cluster, with all that it keeps
    Remove { name: String },
}

/// Does what was asked.
///
/// # Errors
/// When there is no such node, or the cluster does not run.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    cluster::block_on(async {
        let mut local = Local::existing(&arguments.data_dir)?;
        match &arguments.verb {
            Verb::List => {}
            Verb::Kill { name } => kill(&mut local, name).await?,
            Verb::Cut { name } => local.network.cut(further(&local, name)?)?,
            Verb::Heal { name } => local.network.heal(further(&local, name)?)?,
            Verb::Start { name } => start(&mut local, name).await?,
            Verb::Remove { name } => remove(&mut local, name).await?,
        }
        let rows = list(&local).await?;
        arguments.form.print(&rows, |rows| {
            let cells = |row: &Row| {
                vec![
                    row.name.clone(),
                    row.process.to_owned(),
                    row.pid.map_or("-".into(), |pid| pid.to_string()),
                    row.address.clone(),
                ]
            };
            table(&["NODE", "PROCESS", "PID", "ADDRESS"], &rows.iter().map(cells).collect::<Vec<_>>())
        });
        Ok(())
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    name: String,
    process: &'static str,
    pid: Option<i32>,
    address: String,
}

async fn list(local: &Local) -> anyhow::Result<Vec<Row>> {
    let kept = match local.keeper().await {
        Some(keeper) => keeper.list().await.context("the keeper does not answer")?,
        None => Vec::new(),
    };
    let row = |number: &u16| {
        let name = local.machine.name(*number);
        let pid = kept.iter().find(|kept| kept.name == name).and_then(|kept| kept.pid);
        let address = local.machine.node_address(*number).to_string();
        Row { name, process: if pid.is_some() { "running" } else { "stopped" }, pid, address }
    };
    Ok(local.machine.nodes.iter().map(row).collect())
}

fn number(local: &Local, name: &str) -> anyhow::Result<u16> {
    let known = || local.machine.nodes.iter().map(|number| local.machine.name(*number)).collect::<Vec<_>>().join(", ");
    local.machine.number(name).with_context(|| format!("{name} is no node of this machine; it has {}", known()))
}

/// A node that has a link of its own.
fn further<'n>(local: &Local, name: &'n str) -> anyhow::Result<&'n str> {
    if number(local, name)? == 1 {
        bail!("{name} lives in the host's own network and has no link to cut: choose a further node");
    }
    Ok(name)
}

async fn kill(local: &mut Local, name: &str) -> anyhow::Result<()> {
    let number = number(local, name)?;
    local.running_keeper().await?.kill(name).await?;
    if !local.machine.stopped.contains(&number) {
        local.machine.stopped.push(number);
    }
    local.machine.save(&local.dir)
}

async fn start(local: &mut Local, name: &str) -> anyhow::Result<()> {
    local.running_keeper().await?;
    if local.machine.number(name).is_none() {
        let wanted = (1..=config::NODES_MAX).find(|number| config::node_name(*number) == name);
        let wanted = wanted.with_context(|| format!("{name} is no name of a local node: they are called node-1, node-2, …"))?;
        ensure!(local.machine.joined.is_none(), "this machine joined another cluster and carries one node");
        local.machine.nodes.push(wanted);
        local.machine.nodes.sort_unstable();
    }
    let number = number(local, name)?;
    local.machine.stopped.retain(|stopped| *stopped != number);
    local.machine.save(&local.dir)?;
    local.up(&Progress::start()).await?;
    Ok(())
}

async fn remove(local: &mut Local, name: &str) -> anyhow::Result<()> {
    let number = number(local, name)?;
    ensure!(
        number != 1 || local.machine.nodes.len() == 1,
        "{name} lives in the host's own network, which the others need: it goes with `coracle down`"
    );
    let keeper = local.running_keeper().await?;
    keeper.kill(name).await?;
    keeper.stop(name).await?;
    let client = cluster::client(&local.dir.admin_kubeconfig()).await?;
    match Api::<Node>::all(client).delete(name, &DeleteParams::default()).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(error).context("the cluster did not let the node go"),
    }
    crate::local::remove_node(local, name)?;
    local.machine.nodes.retain(|other| *other != number);
    local.machine.stopped.retain(|other| *other != number);
    local.machine.save(&local.dir)
}
