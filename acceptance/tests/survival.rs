//! Each process of a cluster killed alone, with `kill -9`, while pods run: no container restarts, no line of a log is lost, and an exit
//! code from the time between is reported.

use std::{fs, process::ExitCode, time::Duration};

use acceptance::{BUSYBOX, Case, Cluster, within};
use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};

fn main() -> ExitCode {
    acceptance::run(2, 1, CASES)
}

const CASES: &[Case] = &[
    ("killing the server disturbs no pod", |cluster| survives(cluster, |_| process(cluster, "server"))),
    ("killing the agent of the first node disturbs no pod", |cluster| survives(cluster, |_| process(cluster, "node-1"))),
    ("killing the agent of a further node disturbs no pod", |cluster| survives(cluster, |_| process(cluster, "node-2"))),
    ("killing the supervising processes of pods disturbs no pod", |cluster| survives(cluster, supervisors)),
    ("killing agent and supervising processes one after the other disturbs no pod", |cluster| {
        survives(cluster, |uids| {
            let agents = [process(cluster, "node-1")?, process(cluster, "node-2")?].concat();
            for pid in &agents {
                kill(*pid)?;
            }
            within(Duration::from_secs(20), || {
                for name in ["node-1", "node-2"] {
                    let fresh = process(cluster, name)?;
                    ensure!(!agents.contains(&fresh[0]), "{name} is not back yet");
                }
                Ok(())
            })?;
            supervisors(uids)
        })
    }),
];

/// The process that the keeper runs under this name.
fn process(cluster: &Cluster, name: &str) -> anyhow::Result<Vec<i32>> {
    let status = cluster.coracle_json(["status", "--output", "json"])?;
    let processes = status["processes"].as_array().context("the status names no processes")?;
    let found = processes.iter().find(|process| process["name"] == name);
    let pid = found.and_then(|process| process["pid"].as_i64()).with_context(|| format!("{name} does not run"))?;
    Ok(vec![i32::try_from(pid)?])
}

/// The supervising processes of these pods, by their command lines.
fn supervisors(uids: &[String]) -> anyhow::Result<Vec<i32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let line = String::from_utf8_lossy(&fs::read(entry.path().join("cmdline")).unwrap_or_default()).into_owned();
        let mut words = line.split('\0').skip(1);
        if words.next() == Some("pod-supervisor") && uids.iter().any(|uid| line.contains(uid.as_str())) {
            pids.push(pid);
        }
    }
    ensure!(pids.len() == uids.len(), "{} pods have {} supervising processes", uids.len(), pids.len());
    Ok(pids)
}

fn kill(pid: i32) -> anyhow::Result<()> {
    kill_process(Pid::from_raw(pid).context("no process id")?, Signal::KILL).context("cannot kill")
}

/// Runs a counting pod and a pod that ends by itself on each node, kills what `victims` names, and looks at what became of them.
fn survives(cluster: &Cluster, victims: impl Fn(&[String]) -> anyhow::Result<Vec<i32>>) -> anyhow::Result<()> {
    let namespace = cluster.namespace()?;
    for node in ["node-1", "node-2"] {
        cluster.apply(
            &namespace,
            &pod(&format!("counts-{node}"), node, "i=0; while true; do i=$((i+1)); echo $i; sleep 0.02; done"),
        )?;
        cluster.apply(&namespace, &pod(&format!("ends-{node}"), node, "sleep 8; echo last words; exit 42"))?;
    }
    cluster.kubectl(&format!("wait -n {namespace} pod --all --for=condition=Ready --timeout=30s"))?;
    let before = cluster.get(&format!("pods -n {namespace}"))?;
    let pods = before["items"].as_array().context("no pods")?;
    let uids: Vec<String> = pods.iter().filter_map(|pod| pod["metadata"]["uid"].as_str().map(str::to_owned)).collect();
    for pid in victims(&uids)? {
        kill(pid)?;
    }
    for node in ["node-1", "node-2"] {
        within(Duration::from_secs(40), || {
            let pod = cluster.get(&format!("pod ends-{node} -n {namespace}"))?;
            let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
            ensure!(ended["exitCode"] == 42 && ended["reason"] == "Error", "ends-{node}: {}", pod["status"]);
            Ok(())
        })?;
        let words = within(Duration::from_secs(20), || cluster.kubectl(&format!("logs ends-{node} -n {namespace}")))?;
        ensure!(words == "last words\n", "{words:?}");
        counts_on(cluster, &namespace, node, pods)?;
    }
    cluster.kubectl(&format!("delete namespace {namespace} --timeout=60s"))?;
    Ok(())
}

/// The counting pod runs as it did, and every number stands in its log.
fn counts_on(cluster: &Cluster, namespace: &str, node: &str, before: &[serde_json::Value]) -> anyhow::Result<()> {
    let name = format!("counts-{node}");
    let now = cluster.get(&format!("pod {name} -n {namespace}"))?;
    let then = before.iter().find(|pod| pod["metadata"]["name"] == name.as_str()).context("the pod was there")?;
    let container = |pod: &serde_json::Value| pod["status"]["containerStatuses"][0].clone();
    ensure!(container(&now)["restartCount"] == 0, "{}", container(&now));
    ensure!(container(&now)["containerID"] == container(then)["containerID"], "another container");
    let mut seen = None;
    within(Duration::from_secs(30), || {
        let log = cluster.kubectl(&format!("logs {name} -n {namespace}"))?;
        let numbers: Vec<usize> = log.lines().map(str::parse).collect::<Result<_, _>>()?;
        let wrong = numbers.iter().enumerate().find(|(index, number)| **number != index + 1);
        ensure!(wrong.is_none(), "line and number differ: {wrong:?}");
        let earlier = seen.replace(numbers.len());
        ensure!(earlier.is_some_and(|earlier| numbers.len() > earlier), "{} lines, and no more yet", numbers.len());
        Ok(())
    })
}

fn pod(name: &str, node: &str, script: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  restartPolicy: Never\n  terminationGracePeriodSeconds: 0\n  nodeName: {node}\n  containers:\n  - name: main\n    image: {BUSYBOX}\n    command: [sh, -c, '{script}']\n"
    )
}
