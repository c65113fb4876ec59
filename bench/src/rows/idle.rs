//! A cluster that does nothing: its memory, its processor time, its writes.

use std::{path::Path, time::Duration};

use acceptance::{BUSYBOX, Cluster};
use anyhow::Context as _;

use crate::{Figure, processes, rows::pass};

/// How long it is watched.
const LASTING: Duration = Duration::from_secs(60);

/// One node, idle; then with two further ones; then two pods, for a supervising process.
pub fn measure(_: Option<&Path>) -> anyhow::Result<Vec<Figure>> {
    let cluster = Cluster::up(1)?;
    let measured = measure_on(&cluster);
    cluster.down()?;
    measured
}

fn measure_on(cluster: &Cluster) -> anyhow::Result<Vec<Figure>> {
    pass(Duration::from_secs(10));
    let watched = pids(cluster)?;
    let sum = |of: fn(i32) -> anyhow::Result<u64>| watched.iter().map(|pid| of(*pid)).sum::<anyhow::Result<u64>>();
    let (cpu, written) = (sum(processes::cpu_ms)?, sum(processes::written_bytes)?);
    pass(LASTING);
    let (cpu, written) = (sum(processes::cpu_ms)? - cpu, sum(processes::written_bytes)? - written);
    let first = sum(processes::pss_kb)?;
    let further = further_kb(cluster, first)?;
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    let percent = cpu as f64 / LASTING.as_millis() as f64 * 100.0;
    let supervisor = supervisor_kb(cluster)?;
    Ok(vec![
        Figure::new("memory idle (PSS of every process), server + one node", mb(first), "≤ 40 MB"),
        Figure::new("memory idle, each further node", mb(further), "≤ 12 MB"),
        Figure::new("a supervising process beside another, private memory", format!("{supervisor} kB"), "≤ 200 kB"),
        Figure::new("CPU idle over 60 s, server + one node", format!("{percent:.2} % of a core"), "≤ 0.3 %"),
        Figure::new("bytes written idle over 60 s", written.to_string(), "none"),
    ])
}

/// What all processes take more with two further nodes, for each of them: shares of the program's own pages shift between processes, so that
/// only the sum of all says what one costs.
fn further_kb(cluster: &Cluster, first: u64) -> anyhow::Result<u64> {
    const FURTHER: u64 = 2;
    cluster.coracle(["up", "--nodes", "3"])?.ok()?;
    pass(Duration::from_secs(20));
    let all = pids(cluster)?.into_iter().map(processes::pss_kb).sum::<anyhow::Result<u64>>()?;
    Ok(all.saturating_sub(first) / FURTHER)
}

fn mb(kb: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let value = kb as f64 / 1024.0;
    format!("{value:.1} MB")
}

/// Every process of the cluster but those of pods.
fn pids(cluster: &Cluster) -> anyhow::Result<Vec<i32>> {
    let status = cluster.coracle_json(["status", "--output", "json"])?;
    let processes = status["processes"].as_array().context("the status names no processes")?;
    let pids = processes.iter().filter_map(|process| process["pid"].as_i64());
    Ok(pids.filter_map(|pid| i32::try_from(pid).ok()).collect())
}

/// One of two: what both have of the program is no one's own.
fn supervisor_kb(cluster: &Cluster) -> anyhow::Result<u64> {
    let namespace = cluster.namespace()?;
    for pod in ["p", "q"] {
        cluster.kubectl(&format!("run {pod} -n {namespace} --image={BUSYBOX} --restart=Never -- sleep 600"))?;
        cluster.kubectl(&format!("wait pod/{pod} -n {namespace} --for=condition=Ready --timeout=30s"))?;
    }
    let uid = cluster.get(&format!("pod p -n {namespace}"))?["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let pids: Vec<i32> =
        processes::with("pod-supervisor").into_iter().filter(|pid| processes::with(&uid).contains(pid)).collect();
    processes::private_kb(*pids.first().context("the pod has no supervising process")?)
}
