//! The Redis Cluster: from applying it to all slots served, and from a power cut of a master's node to writes again.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use acceptance::{Cluster, demo, within};
use anyhow::{Context as _, ensure};
use redis::{Client, Commands as _, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, RedisConnectionInfo};

use crate::Figure;

/// How long anything here may take before the row has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// A key in the second shard (slot 7365), whose master is on node 2, away from the API.
const KEY: &str = "c";
/// The member that takes the second shard over, and its port.
const SUCCESSOR: (&str, u16) = ("sessions-2-1", 7003);

/// Three nodes, three shards with a replica each: the demo's.
pub fn measure(_: Option<&Path>) -> anyhow::Result<Vec<Figure>> {
    let cluster = Cluster::up(3)?;
    let measured = measure_on(&cluster);
    cluster.down()?;
    measured
}

fn measure_on(cluster: &Cluster) -> anyhow::Result<Vec<Figure>> {
    demo::prepare(cluster)?;
    let begun = Instant::now();
    demo::apply_redis(cluster)?;
    within(PATIENCE, || {
        let status = cluster.get("redisclusters sessions -n sessions")?["status"].clone();
        ensure!(status["phase"] == "Ready", "{status}");
        Ok(())
    })?;
    let created = begun.elapsed();
    demo::settled(cluster, PATIENCE)?;
    let (timeout, gap) = fail_over(cluster)?;
    Ok(vec![
        Figure::new(
            "Redis Cluster from apply to 16,384 slots ok, images present",
            format!("{:.1} s", created.as_secs_f64()),
            "≤ 10 s",
        ),
        Figure::new(
            format!("node with a Redis master killed → its slots take writes again, node-timeout {:.1} s", timeout.as_secs_f64()),
            format!("{:.1} s", gap.as_secs_f64()),
            "≤ node-timeout + 2 s",
        ),
    ])
}

/// Cuts the power of the node of a master; gives the cluster's node-timeout, and the time until its successor took a write.
fn fail_over(cluster: &Cluster) -> anyhow::Result<(Duration, Duration)> {
    let mut successor = connect(cluster)?;
    let (_, timeout): (String, u64) = redis::cmd("CONFIG")
        .arg("GET")
        .arg("cluster-node-timeout")
        .query(&mut successor)
        .context("cannot ask the node-timeout")?;
    ensure!(successor.set::<_, _, ()>(KEY, 0).is_err(), "the replica takes writes while its master lives");
    let begun = Instant::now();
    cluster.coracle(["node", "kill", "node-2"])?.ok()?;
    within(PATIENCE, || successor.set::<_, _, ()>(KEY, 1).context("no write yet"))?;
    Ok((Duration::from_millis(timeout), begun.elapsed()))
}

fn connect(cluster: &Cluster) -> anyhow::Result<redis::Connection> {
    let (pod, port) = SUCCESSOR;
    let address = cluster.get(&format!("pod {pod} -n {}", demo::NAMESPACE))?["status"]["podIP"].clone();
    let address = address.as_str().context("the pod has no address")?;
    let information: ConnectionInfo = ConnectionAddr::Tcp(address.to_owned(), port).into_connection_info()?;
    let information = information.set_redis_settings(RedisConnectionInfo::default().set_password(demo::REDIS_PASSWORD));
    Ok(Client::open(information)?.get_connection_with_timeout(Duration::from_secs(5))?)
}
