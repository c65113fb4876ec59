//! Logs that are followed, programs in containers, ports: through the server to the node's endpoint and back.

use std::time::Duration;

use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use kube::api::{AttachParams, LogParams};
use libtest_mimic::Trial;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::cluster::{Cluster, shell};
use super::trial;

pub fn tests() -> Vec<Trial> {
    vec![
        trial("a_log_is_followed_to_the_end_of_its_container", follows),
        trial("a_program_runs_in_a_container_with_its_streams", execs),
        trial("a_port_of_a_pod_is_reached", forwards),
    ]
}

async fn follows() {
    let cluster = Cluster::start().await;
    let script = "for i in $(seq 1 20); do echo line $i; sleep 0.05; done";
    cluster.create("a", json!({ "restartPolicy": "Never", "containers": [shell("c", script)] })).await;
    cluster.log_until("a", "line 1\n").await;
    let params = LogParams { follow: true, ..LogParams::default() };
    let lines = cluster.pods().log_stream("a", &params).await.unwrap().lines();
    let lines: Vec<String> = tokio::time::timeout(Duration::from_secs(20), lines.try_collect()).await.unwrap().unwrap();
    assert_eq!(lines.len(), 20, "{lines:?}");
    let tail = cluster.log("a", &LogParams { tail_lines: Some(2), ..LogParams::default() }).await;
    assert_eq!(tail, "line 19\nline 20\n");
    cluster.stop().await;
}

async fn execs() {
    let cluster = Cluster::start().await;
    cluster.create("a", json!({ "containers": [shell("c", "exec sleep 3600")] })).await;
    cluster.running("a").await;
    let pods = cluster.pods_by_network();
    let mut session =
        pods.exec("a", ["sh", "-c", "cat; echo err >&2; exit 3"], &AttachParams::default().stdin(true)).await.unwrap();
    let mut stdin = session.stdin().unwrap();
    stdin.write_all(b"to and fro\n").await.unwrap();
    stdin.shutdown().await.unwrap();
    drop(stdin);
    let (mut out, mut err) = (String::new(), String::new());
    let (mut stdout, mut stderr) = (session.stdout().unwrap(), session.stderr().unwrap());
    let reading = async { tokio::join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err)) };
    drop(tokio::time::timeout(Duration::from_secs(20), reading).await.expect("the streams end"));
    let status = session.take_status().unwrap().await.unwrap();
    assert_eq!((out.as_str(), err.as_str()), ("to and fro\n", "err\n"));
    assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"));
    cluster.stop().await;
}

async fn forwards() {
    let cluster = Cluster::start().await;
    let script = "mkdir -p /tmp/w; echo through > /tmp/w/x; exec busybox httpd -f -p 127.0.0.1:8080 -h /tmp/w";
    cluster.create("a", json!({ "containers": [shell("c", script)] })).await;
    cluster.running("a").await;
    client::queue::pause(Duration::from_millis(300)).await;
    let mut forwarder = cluster.pods_by_network().portforward("a", &[8080]).await.unwrap();
    let mut stream = forwarder.take_stream(8080).unwrap();
    stream.write_all(b"GET /x HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer));
    read.await.expect("the answer ends").unwrap();
    assert!(answer.contains("through"), "{answer}");
    cluster.stop().await;
}
