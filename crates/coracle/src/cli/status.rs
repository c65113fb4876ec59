//! `coracle status`: what runs here, at a glance.

use anyhow::Context as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, ResourceExt as _, api::ListParams};
use serde::Serialize;

use crate::{
    cluster::{self, Target},
    local::Local,
    output::{Form, table},
};

/// Which cluster, and how to print.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    form: Form,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    server: String,
    kubernetes: String,
    nodes: Vec<NodeStatus>,
    processes: Vec<Process>,
}

/// A process of this machine's cluster.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    name: String,
    pid: Option<i32>,
    restarts: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeStatus {
    name: String,
    state: &'static str,
    address: String,
    pods: usize,
    pods_ready: usize,
}

/// Prints the state of the cluster.
///
/// # Errors
/// When it does not answer.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let status = cluster::block_on(async {
        let path = arguments.target.kubeconfig()?;
        let client = cluster::client(&path).await?;
        let (server, _) = super::token::server_and_hash(&path)?;
        let processes = if arguments.target.kubeconfig.is_some() { Vec::new() } else { processes(&arguments.target).await };
        observe(client, server, processes).await
    })?;
    arguments.form.print(&status, |status| {
        let rows: Vec<Vec<String>> = status
            .nodes
            .iter()
            .map(|node| {
                let pods = format!("{}/{}", node.pods_ready, node.pods);
                vec![node.name.clone(), node.state.to_owned(), node.address.clone(), pods]
            })
            .collect();
        let heading = format!("Kubernetes API {} at {}\n\n", status.kubernetes, status.server);
        let nodes = heading + &table(&["NODE", "STATUS", "ADDRESS", "PODS READY"], &rows);
        let row = |process: &Process| {
            let pid = process.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
            vec![process.name.clone(), pid, process.restarts.to_string()]
        };
        let processes: Vec<Vec<String>> = status.processes.iter().map(row).collect();
        if processes.is_empty() { nodes } else { nodes + "\n" + &table(&["PROCESS", "PID", "RESTARTS"], &processes) }
    });
    Ok(())
}

/// What the keeper of this machine keeps, itself included.
async fn processes(target: &Target) -> Vec<Process> {
    let Ok(local) = Local::existing(&target.data_dir) else { return Vec::new() };
    let Some(keeper) = local.keeper().await else { return Vec::new() };
    let own = tokio::net::UnixStream::connect(local.dir.keeper_socket()).await.ok();
    let pid = own.and_then(|stream| stream.peer_cred().ok()).and_then(|peer| peer.pid());
    let kept = keeper.list().await.unwrap_or_default();
    let kept = kept.into_iter().map(|kept| Process { name: kept.name, pid: kept.pid, restarts: kept.restarts });
    std::iter::once(Process { name: "keeper".to_owned(), pid, restarts: 0 }).chain(kept).collect()
}

async fn observe(client: kube::Client, server: String, processes: Vec<Process>) -> anyhow::Result<Status> {
    let version = client.apiserver_version().await.context("the cluster does not answer: run `coracle up`")?;
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await.context("cannot list the nodes")?;
    let pods = Api::<Pod>::all(client).list(&ListParams::default()).await.context("cannot list the pods")?;
    let nodes = nodes.iter().map(|node| node_status(node, &pods.items)).collect();
    Ok(Status { server, kubernetes: version.git_version, nodes, processes })
}

fn node_status(node: &Node, pods: &[Pod]) -> NodeStatus {
    let status = node.status.as_ref();
    let addresses = status.and_then(|status| status.addresses.as_ref()).into_iter().flatten();
    let address = addresses.into_iter().find(|address| address.type_ == "InternalIP").map(|address| address.address.clone());
    let mine: Vec<&Pod> = pods
        .iter()
        .filter(|pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(&node.name_any()))
        .collect();
    let pods_ready =
        mine.iter().filter(|pod| condition(pod.status.as_ref().and_then(|s| s.conditions.as_deref()), "Ready")).count();
    let state = if node_ready(node) { "Ready" } else { "NotReady" };
    NodeStatus { name: node.name_any(), state, address: address.unwrap_or_default(), pods: mine.len(), pods_ready }
}

/// Whether a node says that it is ready.
pub fn node_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn condition(conditions: Option<&[k8s_openapi::api::core::v1::PodCondition]>, kind: &str) -> bool {
    conditions.unwrap_or_default().iter().any(|condition| condition.type_ == kind && condition.status == "True")
}
