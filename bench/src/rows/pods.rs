//! How fast pods run: one at a time, and a hundred of a Deployment.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use acceptance::{BUSYBOX, Cluster};
use anyhow::{Context as _, ensure};
use futures::TryStreamExt as _;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{DeleteParams, PostParams, WatchEvent, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::runtime::Handle;

use crate::{Figure, rows::median_ms};

/// How many pods are started one at a time.
const SINGLE: usize = 30;
/// How many pods a Deployment has.
const MANY: i32 = 100;

/// On one node.
pub fn measure(_: Option<&Path>) -> anyhow::Result<Vec<Figure>> {
    let cluster = Cluster::up(1)?;
    let measured = Handle::current().block_on(measure_on(&cluster));
    cluster.down()?;
    measured
}

async fn measure_on(cluster: &Cluster) -> anyhow::Result<Vec<Figure>> {
    let namespace = cluster.namespace()?;
    let config =
        Config::from_custom_kubeconfig(Kubeconfig::read_from(cluster.kubeconfig())?, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let mut times = Vec::new();
    for number in 0..SINGLE {
        times.push(one(&pods, number).await?);
    }
    let many = many(&Api::namespaced(client, &namespace)).await?;
    Ok(vec![
        Figure::new("pod create → Running, image present, one at a time, p50", format!("{:.1} ms", median_ms(times)), "≤ 15 ms"),
        Figure::new("Deployment 0 → 100 pods Ready, one node", format!("{:.2} s", many.as_secs_f64()), "≤ 1.2 s"),
    ])
}

async fn one(pods: &Api<Pod>, number: usize) -> anyhow::Result<Duration> {
    let name = format!("single-{number}");
    let pod: Pod = serde_json::from_value(serde_json::json!({
        "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": BUSYBOX, "command": ["sleep", "600"]}]},
    }))?;
    let watch = WatchParams::default().fields(&format!("metadata.name={name}"));
    let mut events = Box::pin(pods.watch(&watch, "0").await?);
    let begun = Instant::now();
    pods.create(&PostParams::default(), &pod).await?;
    let running = tokio::time::timeout(Duration::from_secs(30), async {
        while let Some(event) = events.try_next().await? {
            if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) = event
                && pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
            {
                return anyhow::Ok(true);
            }
        }
        Ok(false)
    });
    ensure!(running.await.context("the pod does not run")??, "the watch ended");
    let took = begun.elapsed();
    pods.delete(&name, &DeleteParams::default().grace_period(0)).await?;
    Ok(took)
}

async fn many(deployments: &Api<Deployment>) -> anyhow::Result<Duration> {
    let deployment: Deployment = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "many"},
        "spec": {
            "replicas": MANY,
            "selector": {"matchLabels": {"app": "many"}},
            "template": {
                "metadata": {"labels": {"app": "many"}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": BUSYBOX, "command": ["sleep", "600"]}]},
            },
        },
    }))?;
    let mut events = Box::pin(deployments.watch(&WatchParams::default(), "0").await?);
    let begun = Instant::now();
    deployments.create(&PostParams::default(), &deployment).await?;
    let ready = tokio::time::timeout(Duration::from_secs(60), async {
        while let Some(event) = events.try_next().await? {
            if let WatchEvent::Modified(deployment) = event
                && deployment.name_any() == "many"
                && deployment.status.as_ref().and_then(|status| status.ready_replicas) == Some(MANY)
            {
                return anyhow::Ok(true);
            }
        }
        Ok(false)
    });
    ensure!(ready.await.context("not all pods become ready")??, "the watch ended");
    let took = begun.elapsed();
    deployments.delete("many", &DeleteParams::foreground()).await?;
    Ok(took)
}
