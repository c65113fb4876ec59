//! The Redis Cluster: from applying it to all slots served, and from a power cut of a master's node to writes again.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use acceptance::{Cluster, within};
use anyhow::{Context as _, ensure};

use crate::Figure;

/// Where `make images` puts the archive.
const IMAGES: &str = "out/images";

/// Three nodes, three shards with a replica each.
pub fn measure(_: Option<&Path>) -> anyhow::Result<Vec<Figure>> {
    let cluster = Cluster::up(3)?;
    let measured = measure_on(&cluster);
    cluster.down()?;
    measured
}

fn measure_on(cluster: &Cluster) -> anyhow::Result<Vec<Figure>> {
    let archives = std::fs::read_dir(IMAGES).with_context(|| format!("{IMAGES} is not there: run `make images`"))?;
    for archive in archives.flatten().filter(|entry| entry.path().extension().is_some_and(|ending| ending == "tar")) {
        cluster.coracle(["image", "load", &archive.path().display().to_string()])?.ok()?;
    }
    let begun = Instant::now();
    cluster.coracle(["apply", "-f", "bench/redis.yaml"])?.ok()?;
    within(Duration::from_secs(120), || {
        let status = cluster.get("redisclusters.coracle.dev bench -n bench")?;
        ensure!(is_ready(&status), "{}", status["status"]);
        Ok(())
    })?;
    let created = begun.elapsed();
    Ok(vec![Figure::new(
        "Redis Cluster from apply to 16,384 slots ok, images present",
        format!("{:.1} s", created.as_secs_f64()),
        "≤ 10 s",
    )])
}

fn is_ready(object: &serde_json::Value) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}
