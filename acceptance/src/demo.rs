//! The demo's manifests on a cluster of a test: images loaded, secrets made, everything applied and settled.

use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use serde_json::json;

use crate::{Cluster, Program, cluster::binary, within};

/// The namespace of the demo.
pub const NAMESPACE: &str = "sessions";
/// The account of the demo, and its password here.
pub const ACCOUNT: (&str, &str) = ("ada", "correct-horse-battery");
/// More accounts, with the same password, for load.
pub const LOAD: [&str; 20] = [
    "load-a", "load-b", "load-c", "load-d", "load-e", "load-f", "load-g", "load-h", "load-i", "load-j", "load-k", "load-l",
    "load-m", "load-n", "load-o", "load-p", "load-q", "load-r", "load-s", "load-t",
];
/// Where the session app is.
pub const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 30080);
/// The password of Redis in tests.
pub const REDIS_PASSWORD: &str = "of-a-test-alone";

/// How long the demo may take from its first manifest until all is as it should be.
const PATIENCE: Duration = Duration::from_secs(120);

/// Brings the demo up, unless it is up, with as many sign-ins a minute as anyone likes.
///
/// # Errors
/// When an image is missing, or it does not settle.
pub fn bring_up(cluster: &Cluster) -> anyhow::Result<()> {
    if cluster.kubectl_any(&format!("get deployment session -n {NAMESPACE}"))?.code == 0 {
        return settled(cluster, PATIENCE);
    }
    prepare(cluster)?;
    let session = binary()?.with_file_name("session");
    let account = Program::new(session).arguments(["hash-password", ACCOUNT.0]).input(ACCOUNT.1).run()?.ok()?;
    let hash = account.trim().strip_prefix(ACCOUNT.0).context("an account begins with its name")?;
    let accounts: Vec<String> = LOAD.iter().chain([&ACCOUNT.0]).map(|name| format!("{name}{hash}")).collect();
    let accounts = accounts.join("\n");
    secret(cluster, "accounts", "accounts", &accounts)?;
    apply_redis(cluster)?;
    let app = read("deploy/demo/session.yaml")?;
    let limit = "{name: SESSION_SIGN_INS_PER_MINUTE, value: \"60\"}";
    ensure!(app.contains(limit), "the limit of sign-ins stands elsewhere now");
    cluster.apply(NAMESPACE, &app.replace(limit, "{name: SESSION_SIGN_INS_PER_MINUTE, value: \"100000\"}"))?;
    settled(cluster, PATIENCE)?;
    within(PATIENCE, || {
        let app = cluster.get(&format!("deployment session -n {NAMESPACE}"))?;
        ensure!(app["status"]["readyReplicas"] == 3, "the app is not ready: {}", app["status"]);
        Ok(())
    })
}

/// Loads the images, and makes the namespace and the password that the Redis Cluster wants.
///
/// # Errors
/// When an image is missing, or the API refuses.
pub fn prepare(cluster: &Cluster) -> anyhow::Result<()> {
    for image in ["redis", "session"] {
        let archive = images().join(format!("{image}.tar"));
        ensure!(archive.exists(), "{} is missing: run images/build", archive.display());
        cluster.coracle(["image", "load", &archive.display().to_string()])?.ok()?;
    }
    cluster.apply("", &read("deploy/demo/namespace.yaml")?)?;
    secret(cluster, "sessions-password", "password", REDIS_PASSWORD)
}

/// Applies the Redis Cluster of the demo, and does not wait.
///
/// # Errors
/// When the API refuses.
pub fn apply_redis(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.apply(NAMESPACE, &read("deploy/demo/redis.yaml")?).map(drop)
}

fn secret(cluster: &Cluster, name: &str, key: &str, value: &str) -> anyhow::Result<()> {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: value}});
    cluster.apply(NAMESPACE, &secret.to_string()).map(drop)
}

/// Waits until the Redis Cluster is as it should be, and checks the table of the brief in the live `CLUSTER NODES`.
///
/// # Errors
/// When it is not in time.
pub fn settled(cluster: &Cluster, patience: Duration) -> anyhow::Result<()> {
    within(patience, || {
        let redis = cluster.get(&format!("redisclusters sessions -n {NAMESPACE}"))?;
        let status = &redis["status"];
        ensure!(status["phase"] == "Ready", "the Redis Cluster is not ready: {status:#}");
        Ok(())
    })?;
    within(Duration::from_secs(20), || right(cluster))
}

fn right(cluster: &Cluster) -> anyhow::Result<()> {
    let nodes = redis(cluster, "sessions-1-0", "cluster nodes")?;
    for (shard, master, replica) in [(1, "node-1", "node-2"), (2, "node-2", "node-3"), (3, "node-3", "node-1")] {
        for (index, node, port, role) in [(0, master, 7000, "master"), (1, replica, 7003, "slave")] {
            let name = format!(",sessions-{shard}-{index}.{node} ");
            let line = nodes.lines().find(|line| line.contains(&name)).with_context(|| format!("no {name}\n{nodes}"))?;
            ensure!(line.contains(&format!(":{port}@")) && line.contains(role) && line.contains("connected"), "{line}");
        }
    }
    ensure!(nodes.lines().count() == 6, "there are others\n{nodes}");
    Ok(())
}

/// Runs a Redis command in the pod of a member.
///
/// # Errors
/// When the pod does not answer.
pub fn redis(cluster: &Cluster, pod: &str, command: &str) -> anyhow::Result<String> {
    let script = format!("REDISCLI_AUTH={REDIS_PASSWORD} redis-cli -p \"$PORT\" {command}");
    cluster.kubectl_program(["exec", "-n", NAMESPACE, pod, "--", "sh", "-c", &script]).run()?.ok()
}

fn images() -> PathBuf {
    env::var_os("CORACLE_IMAGES").map_or_else(|| root().join("out/images"), PathBuf::from)
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {path}"))
}

/// The folder of the project.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
