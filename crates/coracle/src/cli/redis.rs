//! `coracle redis status`: where the members of a Redis Cluster are, read from the live `CLUSTER NODES` of one of them.

mod placement;

use anyhow::{Context as _, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{AttachParams, ListParams},
};
use tokio::io::AsyncReadExt as _;

use crate::{
    cluster::{self, Target},
    output::Form,
};
use placement::Placement;

/// Asks a member; its password never leaves the pod.
const ASK: &str = "REDISCLI_AUTH=$(cat /etc/redis-password/password) redis-cli -p \"$PORT\" cluster nodes";

/// Redis Clusters.
#[derive(clap::Subcommand)]
pub enum Verb {
    /// Show where masters and replicas are
    Status(Status),
}

/// Which cluster.
#[derive(clap::Args)]
pub struct Status {
    /// The name of the RedisCluster
    name: String,
    /// Its namespace
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// Fail unless every slot is served, masters are spread evenly and no replica is beside its master
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    form: Form,
}

/// Does what was asked.
///
/// # Errors
/// When no member answers, or the check fails.
pub fn run(verb: &Verb) -> anyhow::Result<()> {
    let Verb::Status(arguments) = verb;
    let placement = cluster::block_on(async {
        let pods: Api<Pod> = Api::namespaced(arguments.target.client().await?, &arguments.namespace);
        observe(&pods, &arguments.name).await
    })?;
    arguments.form.print(&placement, Placement::tables);
    if arguments.check {
        let wrong = placement.wrong();
        ensure!(wrong.is_empty(), "the placement is not right:\n  {}", wrong.join("\n  "));
    }
    Ok(())
}

/// What the first member says that answers.
async fn observe(pods: &Api<Pod>, name: &str) -> anyhow::Result<Placement> {
    let members = pods.list(&ListParams::default().labels(&format!("coracle.dev/redis-cluster={name}"))).await;
    let members = members.context("cannot list the members")?;
    let mut last = None;
    for member in members {
        match ask(pods, &member.name_any()).await {
            Ok(text) => return Placement::parse(&text).with_context(|| format!("{} answered oddly", member.name_any())),
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error) => Err(error.context("no member answers")),
        None => bail!("the RedisCluster {name} has no members: is its name right, and its namespace?"),
    }
}

async fn ask(pods: &Api<Pod>, name: &str) -> anyhow::Result<String> {
    let mut process = pods.exec(name, ["sh", "-c", ASK], &AttachParams::default().stderr(false)).await?;
    let mut text = String::new();
    if let Some(mut stdout) = process.stdout() {
        stdout.read_to_string(&mut text).await?;
    }
    process.join().await?;
    ensure!(text.contains("myself"), "{name} said {text:?}");
    Ok(text)
}
