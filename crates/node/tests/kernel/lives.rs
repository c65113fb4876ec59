//! Lives of pods: up, ready, crashing, done, gone; and the same with an agent that went away meanwhile.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, LogParams, Patch, PatchParams};
use libtest_mimic::Trial;
use serde_json::json;

use super::cluster::{Cluster, is_ready, phase, shell};
use super::trial;

pub fn tests() -> Vec<Trial> {
    vec![
        trial("a_pod_runs_is_told_about_and_goes_without_a_trace", runs),
        trial("a_container_that_crashes_comes_back_and_waits_longer", crashes),
        trial("init_containers_and_sidecars_run_in_order", in_order),
        trial("probes_decide_readiness_and_restarts", probes),
        trial("hooks_run_and_grace_is_kept", hooks),
        trial("what_cannot_run_says_why", refusals),
        trial("an_agent_that_comes_back_finds_its_pods_as_they_are", adopts),
        trial("a_machine_that_restarts_has_its_pods_back_as_the_api_remembers_them", recalls),
        trial("a_container_gets_other_bounds_as_its_policy_says", resizes),
        trial("many_pods_at_once", many),
    ]
}

async fn runs() {
    let cluster = Cluster::start().await;
    let begun = Instant::now();
    cluster.create("a", json!({ "containers": [shell("c", "echo hello; exec sleep 3600")] })).await;
    let pod = cluster.running("a").await;
    eprintln!("    running after {:?}", begun.elapsed());
    let status = pod.status.unwrap();
    assert_eq!(status.pod_ip.as_deref().map(|ip| ip.starts_with("10.42.0.")), Some(true));
    assert_eq!(status.host_ip.as_deref(), Some("10.44.0.1"));
    let container = &status.container_statuses.unwrap()[0];
    assert!(container.ready && container.started == Some(true) && container.restart_count == 0);
    assert!(container.container_id.as_deref().unwrap().starts_with("coracle://"));
    assert!(container.image_id.contains("sha256:"), "{}", container.image_id);
    assert_eq!(cluster.log_until("a", "hello").await, "hello\n");
    // What is told a second time is quick: the pod is there, as in a benchmark.
    for at in 0..5 {
        let name = format!("b{at}");
        let begun = Instant::now();
        cluster.create(&name, json!({ "containers": [shell("c", "exec sleep 3600")] })).await;
        cluster.running(&name).await;
        eprintln!("    running after {:?}", begun.elapsed());
    }
    for reason in ["Pulled", "Created", "Started"] {
        cluster.told("a", reason).await;
    }
    cluster.stop().await;
}

async fn crashes() {
    let cluster = Cluster::start().await;
    let container = json!({
        "name": "c", "image": "busybox:test", "command": ["sh", "-c", "echo last words > /dev/termination-log; exit 3"],
    });
    cluster.create("a", json!({ "containers": [container] })).await;
    let pod = cluster
        .until("a", |pod| {
            let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
            let waiting = statuses.and_then(|all| all.first()?.state.as_ref()?.waiting.as_ref()?.reason.clone());
            waiting.as_deref() == Some("CrashLoopBackOff")
        })
        .await;
    let status = &pod.status.unwrap().container_statuses.unwrap()[0];
    assert_eq!(status.restart_count, 1);
    let last = status.last_state.as_ref().unwrap().terminated.as_ref().unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref(), last.message.as_deref()), (3, Some("Error"), Some("last words\n")));
    cluster.create("done", json!({ "restartPolicy": "Never", "containers": [shell("c", "echo done")] })).await;
    cluster.until("done", |pod| phase(pod) == "Succeeded").await;
    assert_eq!(cluster.log("done", &LogParams::default()).await, "done\n");
    cluster.create("failed", json!({ "restartPolicy": "Never", "containers": [shell("c", "exit 1")] })).await;
    cluster.until("failed", |pod| phase(pod) == "Failed").await;
    cluster.stop().await;
}

async fn in_order() {
    let cluster = Cluster::start().await;
    let mut sidecar = shell("side", "touch /shared/side; exec sleep 3600");
    sidecar["restartPolicy"] = "Always".into();
    let mut all = [
        shell("first", "touch /shared/first"),
        sidecar,
        shell("second", "ls /shared/first /shared/side > /shared/second; test -f /shared/side || exit 1"),
        shell("main", "cat /shared/second; exec sleep 3600"),
    ];
    for container in &mut all {
        container["volumeMounts"] = json!([{ "name": "shared", "mountPath": "/shared" }]);
    }
    let [first, side, second, main] = all;
    let spec = json!({
        "volumes": [{ "name": "shared", "emptyDir": {} }],
        "initContainers": [first, side, second], "containers": [main],
    });
    cluster.create("a", spec).await;
    cluster.running("a").await;
    let params = LogParams { container: Some("main".into()), ..LogParams::default() };
    let begun = Instant::now();
    while !cluster.log("a", &params).await.contains("/shared/side") {
        assert!(begun.elapsed() < Duration::from_secs(5));
        client::queue::pause(Duration::from_millis(10)).await;
    }
    cluster.stop().await;
}

async fn probes() {
    let cluster = Cluster::start().await;
    let mut ready = shell("c", "mkdir -p /tmp/www; echo ok > /tmp/www/ok; sleep 1; exec busybox httpd -f -p 8080 -h /tmp/www");
    ready["readinessProbe"] = json!({ "httpGet": { "path": "/ok", "port": 8080 }, "periodSeconds": 1 });
    ready["startupProbe"] = json!({ "tcpSocket": { "port": 8080 }, "periodSeconds": 1, "failureThreshold": 10 });
    cluster.create("ready", json!({ "containers": [ready] })).await;
    let mut live = shell("c", "touch /tmp/live; sleep 2; rm /tmp/live 2>/dev/null || busybox rm /tmp/live; exec sleep 3600");
    live["livenessProbe"] = json!({ "exec": { "command": ["cat", "/tmp/live"] }, "periodSeconds": 1, "failureThreshold": 1 });
    cluster.create("live", json!({ "containers": [live] })).await;
    let pod = cluster.until("ready", |pod| phase(pod) == "Running").await;
    assert!(!is_ready(&pod), "not before its probe says so");
    cluster.running("ready").await;
    let restarted = cluster
        .until("live", |pod| {
            let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
            statuses.is_some_and(|all| all[0].restart_count >= 1)
        })
        .await;
    drop(restarted);
    cluster.told("live", "Unhealthy: Liveness probe failed: cat:").await;
    cluster.told("live", "Killing: Container c failed liveness probe, will be restarted").await;
    cluster.stop().await;
}

async fn hooks() {
    let cluster = Cluster::start().await;
    let folder = cluster.node_folder().join("volumes/hooks");
    std::fs::create_dir_all(&folder).unwrap();
    let mut container = shell("c", "trap 'echo asked >> /out/log; exit 0' TERM; while true; do sleep 0.05; done");
    container["volumeMounts"] = json!([{ "name": "out", "mountPath": "/out" }]);
    container["lifecycle"] = json!({
        "postStart": { "exec": { "command": ["sh", "-c", "echo up >> /out/log"] } },
        "preStop": { "exec": { "command": ["sh", "-c", "echo stopping >> /out/log"] } },
    });
    let spec = json!({
        "terminationGracePeriodSeconds": 10,
        "volumes": [{ "name": "out", "hostPath": { "path": folder } }], "containers": [container],
    });
    cluster.create("a", spec).await;
    cluster.running("a").await;
    let begun = Instant::now();
    cluster.remove("a").await;
    assert!(begun.elapsed() < Duration::from_secs(5), "it ended when it was asked");
    assert_eq!(std::fs::read_to_string(folder.join("log")).unwrap(), "up\nstopping\nasked\n");
    let stubborn = json!({ "terminationGracePeriodSeconds": 1, "containers": [shell("c", "trap '' TERM; while true; do sleep 0.05; done")] });
    cluster.create("b", stubborn).await;
    cluster.running("b").await;
    let begun = Instant::now();
    cluster.remove("b").await;
    assert!((900..4000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    cluster.stop().await;
}

async fn refusals() {
    let cluster = Cluster::start().await;
    let reason = |pod: &k8s_openapi::api::core::v1::Pod| {
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.clone());
        let waiting = statuses.and_then(|all| all.first()?.state.clone()?.waiting);
        waiting.map(|waiting| (waiting.reason.unwrap_or_default(), waiting.message.unwrap_or_default()))
    };
    let mut missing = shell("c", "true");
    missing["image"] = "127.0.0.1:1/nothing:1".into();
    missing["imagePullPolicy"] = "Never".into();
    cluster.create("image", json!({ "containers": [missing] })).await;
    let pod = cluster.until("image", |pod| reason(pod).is_some_and(|(reason, _)| reason == "ErrImageNeverPull")).await;
    let message = "Container image \"127.0.0.1:1/nothing:1\" is not present with pull policy of Never";
    assert_eq!(reason(&pod).unwrap().1, message);
    let mut variable = shell("c", "true");
    variable["env"] = json!([{ "name": "A", "valueFrom": { "configMapKeyRef": { "name": "none", "key": "k" } } }]);
    cluster.create("variable", json!({ "containers": [variable] })).await;
    let pod =
        cluster.until("variable", |pod| reason(pod).is_some_and(|(reason, _)| reason == "CreateContainerConfigError")).await;
    assert_eq!(reason(&pod).unwrap().1, "configmap \"none\" not found");
    let mut root = shell("c", "true");
    root["securityContext"] = json!({ "runAsNonRoot": true });
    cluster.create("root", json!({ "containers": [root] })).await;
    let pod = cluster.until("root", |pod| reason(pod).is_some_and(|(reason, _)| reason == "CreateContainerConfigError")).await;
    assert!(reason(&pod).unwrap().1.starts_with("container has runAsNonRoot and image will run as root (pod: \"root_default("));
    let program = json!({ "name": "c", "image": "busybox:test", "command": ["/no/such/program"] });
    cluster.create("program", json!({ "restartPolicy": "Never", "containers": [program] })).await;
    let pod = cluster.until("program", |pod| phase(pod) == "Failed").await;
    let ended = pod.status.unwrap().container_statuses.unwrap()[0].state.clone().unwrap().terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (128, Some("StartError")));
    cluster.stop().await;
}

async fn adopts() {
    let mut cluster = Cluster::start().await;
    let script = "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.05; done";
    cluster.create("a", json!({ "containers": [shell("c", script)] })).await;
    cluster.create("ends", json!({ "restartPolicy": "Never", "containers": [shell("c", "sleep 2; exit 7")] })).await;
    cluster.create("goes", json!({ "containers": [shell("c", "exec sleep 3600")] })).await;
    for name in ["a", "ends", "goes"] {
        cluster.running(name).await;
    }
    let before = cluster.pods().get("a").await.unwrap().status.unwrap();
    cluster.agent.take().unwrap().stop().await;
    cluster.pods().delete("goes", &DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() }).await.unwrap();
    client::queue::pause(Duration::from_millis(2500)).await;
    cluster.start_agent().await;
    let ended = cluster.until("ends", |pod| phase(pod) == "Failed").await;
    let state = ended.status.unwrap().container_statuses.unwrap()[0].state.clone().unwrap().terminated.unwrap();
    assert_eq!(state.exit_code, 7, "an exit code of the time between is known");
    let after = cluster.running("a").await.status.unwrap();
    let id = |status: &k8s_openapi::api::core::v1::PodStatus| {
        let own = &status.container_statuses.as_ref().unwrap()[0];
        (own.container_id.clone(), own.restart_count, own.state.clone())
    };
    assert_eq!(id(&before), id(&after), "the container is the same");
    let log = cluster.log("a", &LogParams::default()).await;
    let numbers: Vec<u32> = log.lines().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect();
    assert!(numbers.len() > 40, "{} lines", numbers.len());
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "no line is missing: {numbers:?}");
    cluster.stop().await;
}

async fn recalls() {
    let mut cluster = Cluster::start().await;
    let mut container = shell("c", "cat /data/x || echo fresh; echo kept > /data/x; touch /layer; exec sleep 3600");
    container["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    cluster.create("a", json!({ "volumes": [{ "name": "data", "emptyDir": {} }], "containers": [container] })).await;
    cluster.create("once", json!({ "restartPolicy": "Never", "containers": [shell("c", "exec sleep 3600")] })).await;
    cluster.running("a").await;
    cluster.running("once").await;
    assert!(cluster.log_until("a", "fresh").await.contains("fresh"));
    cluster.agent.take().unwrap().stop().await;
    cluster.lose_power();
    cluster.start_agent().await;
    let pod = cluster.until("a", |pod| restarts(pod) == 1 && is_ready(pod)).await;
    let last = pod.status.unwrap().container_statuses.unwrap()[0].last_state.clone().unwrap().terminated.unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref()), (255, Some("Unknown")));
    assert_eq!(cluster.log_until("a", "kept").await, "kept\n", "an empty directory outlives the machine's restart");
    let ended = cluster.until("once", |pod| phase(pod) == "Failed").await;
    assert_eq!(restarts(&ended), 0, "one that is never to run anew is not");
    cluster.stop().await;
}

fn restarts(pod: &Pod) -> i32 {
    let first = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref()?.first());
    first.map_or(0, |own| own.restart_count)
}

/// The limit of the first container as the status has it.
fn limit(pod: &Pod, name: &str) -> Option<String> {
    let own = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    own.resources.as_ref()?.limits.as_ref()?.get(name).map(|text| text.0.clone())
}

fn holds(pod: &Pod, condition: &str) -> bool {
    let all = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    all.into_iter().any(|one| one.type_ == condition && one.status == "True")
}

async fn resizes() {
    let cluster = Cluster::start().await;
    let mut container = shell("c", "exec sleep 3600");
    let resources = json!({ "requests": { "cpu": "100m", "memory": "32Mi" }, "limits": { "cpu": "200m", "memory": "64Mi" } });
    container["resources"] = resources;
    container["resizePolicy"] = json!([{ "resourceName": "memory", "restartPolicy": "RestartContainer" }]);
    cluster.create("a", json!({ "terminationGracePeriodSeconds": 0, "containers": [container] })).await;
    cluster.running("a").await;
    let resize = async |resources: serde_json::Value| {
        let patch = json!({ "spec": { "containers": [{ "name": "c", "resources": resources }] } });
        cluster.pods().patch_subresource("resize", "a", &PatchParams::default(), &Patch::Strategic(patch)).await.unwrap();
    };
    resize(json!({ "limits": { "cpu": "400m" } })).await;
    let pod = cluster.until("a", |pod| limit(pod, "cpu").as_deref() == Some("400m")).await;
    assert_eq!(restarts(&pod), 0);
    assert!(!holds(&pod, "PodResizeInProgress") && !holds(&pod, "PodResizePending"));
    resize(json!({ "limits": { "memory": "96Mi" } })).await;
    cluster.until("a", |pod| limit(pod, "memory").as_deref() == Some("96Mi") && restarts(pod) == 1 && is_ready(pod)).await;
    resize(json!({ "limits": { "cpu": "9000" }, "requests": { "cpu": "9000" } })).await;
    let pod = cluster.until("a", |pod| holds(pod, "PodResizePending")).await;
    assert_eq!(limit(&pod, "cpu").as_deref(), Some("400m"), "what cannot be had changes nothing");
    cluster.stop().await;
}

async fn many() {
    let cluster = Cluster::start().await;
    let begun = Instant::now();
    let names: Vec<String> = (0..30).map(|at| format!("p{at}")).collect();
    let made = names.iter().map(|name| cluster.create(name, json!({ "containers": [shell("c", "exec sleep 3600")] })));
    futures::future::join_all(made).await;
    futures::future::join_all(names.iter().map(|name| cluster.running(name))).await;
    eprintln!("    thirty pods are ready after {:?}", begun.elapsed());
    let begun = Instant::now();
    let api: Api<k8s_openapi::api::core::v1::Pod> = cluster.pods();
    futures::future::join_all(names.iter().map(|name| {
        let api = api.clone();
        async move { api.delete(name, &DeleteParams::default()).await.map(drop) }
    }))
    .await;
    cluster.stop().await;
    eprintln!("    and gone after {:?}", begun.elapsed());
}
