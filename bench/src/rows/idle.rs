//! A cluster that does nothing: its memory, its processor time, its writes.

use std::{collections::BTreeMap, path::Path, time::Duration};

use acceptance::{BUSYBOX, Cluster};
use anyhow::Context as _;

use crate::{Figure, processes, rows::pass};

/// How long it is watched.
const LASTING: Duration = Duration::from_secs(60);

/// One node and a further one, idle; then one pod, for its supervising process.
pub fn measure(_: Option<&Path>) -> anyhow::Result<Vec<Figure>> {
    let cluster = Cluster::up(2)?;
    let measured = measure_on(&cluster);
    cluster.down()?;
    measured
}

fn measure_on(cluster: &Cluster) -> anyhow::Result<Vec<Figure>> {
    pass(Duration::from_secs(10));
    let pids = pids(cluster)?;
    let memory = |name: &str| pids.get(name).map_or(Ok(0), |pid| processes::pss_kb(*pid));
    let first = memory("server")? + memory("node-1")? + memory("keeper")?;
    let further = memory("node-2")?;
    let watched: Vec<i32> = ["server", "node-1", "keeper"].iter().filter_map(|name| pids.get(*name).copied()).collect();
    let sum = |of: fn(i32) -> anyhow::Result<u64>| watched.iter().map(|pid| of(*pid)).sum::<anyhow::Result<u64>>();
    let (cpu, written) = (sum(processes::cpu_ms)?, sum(processes::written_bytes)?);
    pass(LASTING);
    let (cpu, written) = (sum(processes::cpu_ms)? - cpu, sum(processes::written_bytes)? - written);
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    let percent = cpu as f64 / LASTING.as_millis() as f64 * 100.0;
    let supervisor = supervisor_kb(cluster)?;
    Ok(vec![
        Figure::new("memory idle (PSS), server + one node + keeper", mb(first), "≤ 40 MB"),
        Figure::new("memory idle (PSS), a further node", mb(further), "≤ 12 MB"),
        Figure::new("a supervising process, private memory", format!("{supervisor} kB"), "≤ 200 kB"),
        Figure::new("CPU idle over 60 s, server + one node", format!("{percent:.2} % of a core"), "≤ 0.3 %"),
        Figure::new("bytes written idle over 60 s", written.to_string(), "none"),
    ])
}

fn mb(kb: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let value = kb as f64 / 1024.0;
    format!("{value:.1} MB")
}

fn pids(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, i32>> {
    let status = cluster.coracle_json(["status", "--output", "json"])?;
    let processes = status["processes"].as_array().context("the status names no processes")?;
    let pid =
        |process: &serde_json::Value| Some((process["name"].as_str()?.to_owned(), i32::try_from(process["pid"].as_i64()?).ok()?));
    Ok(processes.iter().filter_map(pid).collect())
}

fn supervisor_kb(cluster: &Cluster) -> anyhow::Result<u64> {
    let namespace = cluster.namespace()?;
    cluster.kubectl(&format!("run p -n {namespace} --image={BUSYBOX} --restart=Never -- sleep 600"))?;
    cluster.kubectl(&format!("wait pod/p -n {namespace} --for=condition=Ready --timeout=30s"))?;
    let uid = cluster.get(&format!("pod p -n {namespace}"))?["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let pids: Vec<i32> =
        processes::with("pod-supervisor").into_iter().filter(|pid| processes::with(&uid).contains(pid)).collect();
    processes::private_kb(*pids.first().context("the pod has no supervising process")?)
}
