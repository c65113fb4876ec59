//! What pods and the node have used: the summary that autoscaling reads, and the same as metrics.

use std::fmt::Write as _;

use http::Response;
use jiff::Timestamp;
use runtime::cgroup::Usage;
use serde_json::{Value, json};

use super::{Body, Endpoint, json as body, text};
use crate::pod::Seen;
use crate::register::disk_bytes;

fn cpu(usage: &Usage) -> Value {
    json!({ "time": Timestamp::now().to_string(), "usageNanoCores": 0, "usageCoreNanoSeconds": usage.cpu_ns })
}

fn memory(usage: &Usage) -> Value {
    json!({
        "time": Timestamp::now().to_string(),
        "usageBytes": usage.memory_bytes, "workingSetBytes": usage.working_set_bytes, "rssBytes": usage.memory_bytes,
    })
}

/// The used amounts of each pod that runs.
async fn used(endpoint: &Endpoint) -> Vec<(Seen, runtime::pod::Stats)> {
    let mut all = Vec::new();
    for seen in endpoint.pods.all() {
        let Some(sandbox) = &seen.sandbox else { continue };
        if let Ok(stats) = sandbox.stats().await {
            all.push((seen, stats));
        }
    }
    all
}

/// The container that a run's id means.
fn name(id: &str) -> &str {
    id.rsplit_once('-').map_or(id, |(name, _)| name)
}

/// `/stats/summary`.
pub(super) async fn summary(endpoint: &Endpoint) -> Response<Body> {
    let now = Timestamp::now().to_string();
    let mut pods = Vec::new();
    let mut node = Usage::default();
    for (seen, stats) in used(endpoint).await {
        node.cpu_ns += stats.pod.cpu_ns;
        node.memory_bytes += stats.pod.memory_bytes;
        node.working_set_bytes += stats.pod.working_set_bytes;
        let meta = &seen.pod.metadata;
        let containers: Vec<Value> = stats
            .containers
            .iter()
            .map(|(id, usage)| {
                let written = stats.writable_bytes.get(id).copied().unwrap_or_default();
                json!({ "name": name(id), "startTime": now, "cpu": cpu(usage), "memory": memory(usage), "rootfs": { "time": now, "usedBytes": written } })
            })
            .collect();
        pods.push(json!({
            "podRef": { "name": meta.name, "namespace": meta.namespace, "uid": meta.uid },
            "startTime": seen.facts.started.map(|at| at.to_string()),
            "containers": containers, "cpu": cpu(&stats.pod), "memory": memory(&stats.pod),
        }));
    }
    let (all, free) = disk_bytes(&endpoint.site.folder);
    let disk = json!({ "time": now, "availableBytes": free, "capacityBytes": all, "usedBytes": all - free });
    body(&json!({
        "node": {
            "nodeName": endpoint.site.name.as_ref(), "startTime": now,
            "cpu": cpu(&node), "memory": memory(&node), "fs": disk, "runtime": { "imageFs": disk },
        },
        "pods": pods,
    }))
}

/// `/metrics/resource`.
pub(super) async fn metrics(endpoint: &Endpoint) -> Response<Body> {
    let mut lines = String::from(
        "# HELP container_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the container in core-seconds\n\
         # TYPE container_cpu_usage_seconds_total counter\n",
    );
    let all = used(endpoint).await;
    let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
    let text_of = |field: &Option<String>| field.clone().unwrap_or_default();
    let mut memory = String::from(
        "# HELP container_memory_working_set_bytes [STABLE] Current working set of the container in bytes\n\
         # TYPE container_memory_working_set_bytes gauge\n",
    );
    let (mut cpu_of_pods, mut memory_of_pods) = (String::new(), String::new());
    let mut node = Usage::default();
    for (seen, stats) in &all {
        let (pod, namespace) = (text_of(&seen.pod.metadata.name), text_of(&seen.pod.metadata.namespace));
        for (id, usage) in &stats.containers {
            let labels = format!("{{container=\"{}\",namespace=\"{namespace}\",pod=\"{pod}\"}}", name(id));
            let _ = writeln!(lines, "container_cpu_usage_seconds_total{labels} {}", seconds(usage.cpu_ns));
            let _ = writeln!(memory, "container_memory_working_set_bytes{labels} {}", usage.working_set_bytes);
        }
        let labels = format!("{{namespace=\"{namespace}\",pod=\"{pod}\"}}");
        let _ = writeln!(cpu_of_pods, "pod_cpu_usage_seconds_total{labels} {}", seconds(stats.pod.cpu_ns));
        let _ = writeln!(memory_of_pods, "pod_memory_working_set_bytes{labels} {}", stats.pod.working_set_bytes);
        node.cpu_ns += stats.pod.cpu_ns;
        node.working_set_bytes += stats.pod.working_set_bytes;
    }
    lines.push_str(&memory);
    let _ = write!(
        lines,
        "# HELP node_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the node in core-seconds\n\
         # TYPE node_cpu_usage_seconds_total counter\nnode_cpu_usage_seconds_total {}\n\
         # HELP node_memory_working_set_bytes [STABLE] Current working set of the node in bytes\n\
         # TYPE node_memory_working_set_bytes gauge\nnode_memory_working_set_bytes {}\n\
         # HELP pod_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the pod in core-seconds\n\
         # TYPE pod_cpu_usage_seconds_total counter\n{cpu_of_pods}\
         # HELP pod_memory_working_set_bytes [STABLE] Current working set of the pod in bytes\n\
         # TYPE pod_memory_working_set_bytes gauge\n{memory_of_pods}\
         # HELP resource_scrape_error [STABLE] 1 if there was an error while getting container metrics, 0 otherwise\n\
         # TYPE resource_scrape_error gauge\nresource_scrape_error 0\n",
        seconds(node.cpu_ns),
        node.working_set_bytes,
    );
    text(lines)
}
