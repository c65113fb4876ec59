//! The API under load: creates, reads, a long list; and the server's memory and processor time with it. Upstream's apiserver on etcd is
//! put under the same load in the same run.

use std::{path::Path, time::Duration};

use acceptance::Cluster;
use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use tokio::runtime::Handle;

use crate::{
    Figure,
    load::{self, Rate, Target, Until},
    processes,
    upstream::Upstream,
};

/// How long reads are sent.
const LASTING: Duration = Duration::from_secs(5);
/// How many ConfigMaps are created, then listed.
const LISTED: u64 = 24_900;

/// What one server does under the load.
struct Measured {
    creates: Rate,
    create_cpu_us: f64,
    reads: Rate,
    read_cpu_us: f64,
    list: Duration,
    list_bytes: usize,
    memory_kb: u64,
}

/// Coracle, and upstream when it is at hand.
pub fn measure(upstream: Option<&Path>) -> anyhow::Result<Vec<Figure>> {
    let cluster = Cluster::up(1)?;
    let ours = (|| {
        let status = cluster.coracle_json(["status", "--output", "json"])?;
        let processes = status["processes"].as_array().context("the status names no processes")?;
        let server = processes.iter().find(|process| process["name"] == "server").and_then(|process| process["pid"].as_i64());
        let pid = i32::try_from(server.context("the server does not run")?)?;
        Handle::current().block_on(load_on(&cluster.kubeconfig(), &[pid]))
    })();
    cluster.down()?;
    let ours = ours?;
    let theirs = match upstream {
        Some(folder) => {
            let peer = Upstream::start(folder)?;
            Some(Handle::current().block_on(load_on(peer.kubeconfig(), &peer.pids()))?)
        }
        None => None,
    };
    Ok(figures(&ours, theirs.as_ref()))
}

fn figures(ours: &Measured, theirs: Option<&Measured>) -> Vec<Figure> {
    let row = |what: &str, bar, value: fn(&Measured) -> f64, show: fn(f64) -> String, more_is_better: bool| {
        let mut figure = Figure::new(what, show(value(ours)), bar);
        if let Some(theirs) = theirs {
            figure.upstream = show(value(theirs));
            let ratio = if more_is_better { value(ours) / value(theirs) } else { value(theirs) / value(ours) };
            figure.ratio = format!("{ratio:.1} ×");
        }
        figure
    };
    let micros = |value: f64| format!("{value:.0} µs");
    let rate = |value: f64| format!("{value:.0} /s");
    vec![
        row("ConfigMap creates of 1 KiB, durable, 64 HTTPS connections", "≥ 8 ×", |m| m.creates.per_second, rate, true),
        row("CPU of the server a create", "", |m| m.create_cpu_us, micros, false),
        row("GETs of one", "≥ 8 ×", |m| m.reads.per_second, rate, true),
        row("CPU of the server a GET", "", |m| m.read_cpu_us, micros, false),
        row("list of 24,900 of them", "≥ 8 ×", |m| m.list.as_secs_f64() * 1e3, |v| format!("{v:.0} ms"), false),
        row("bytes of that list", "", |m| m.list_bytes as f64, |v| format!("{:.1} MB", v / 1e6), false),
        row("server memory (PSS) then", "≤ 100 MB", |m| m.memory_kb as f64 / 1024.0, |v| format!("{v:.0} MB"), false),
    ]
}

fn body(number: u64) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"load-{number}"}},"data":{{"value":"{}"}}}}"#,
        "x".repeat(1024)
    )
}

fn create(number: u64) -> Request<Full<Bytes>> {
    request(Method::POST, "/api/v1/namespaces/default/configmaps", body(number))
}

fn read(_: u64) -> Request<Full<Bytes>> {
    request(Method::GET, "/api/v1/namespaces/default/configmaps/load-0", String::new())
}

fn request(method: Method, path: &str, body: String) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap_or_default();
    request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    request
}

async fn load_on(kubeconfig: &Path, pids: &[i32]) -> anyhow::Result<Measured> {
    let target = Target::of(kubeconfig).await?;
    let cpu = || pids.iter().map(|pid| processes::cpu_ms(*pid)).sum::<anyhow::Result<u64>>();
    let each = |before: u64, after: u64, rate: Rate| (after - before) as f64 * 1e3 / rate.count as f64;
    let before = cpu()?;
    let creates = load::run(&target, Until::Count(LISTED), create).await?;
    let create_cpu_us = each(before, cpu()?, creates);
    let before = cpu()?;
    let reads = load::run(&target, Until::Passed(LASTING), read).await?;
    let read_cpu_us = each(before, cpu()?, reads);
    let path = "/api/v1/namespaces/default/configmaps";
    let mut best = Duration::MAX;
    let mut list_bytes = 0;
    for _ in 0..5 {
        let (took, bytes) = load::once(&target, request(Method::GET, path, String::new())).await?;
        best = best.min(took);
        list_bytes = bytes;
    }
    let memory_kb = pids.iter().map(|pid| processes::pss_kb(*pid)).sum::<anyhow::Result<u64>>()?;
    Ok(Measured { creates, create_cpu_us, reads, read_cpu_us, list: best, list_bytes, memory_kb })
}
