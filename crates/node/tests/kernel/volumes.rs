//! Volumes and environment as containers see them, and their changes while they run.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, Patch, PatchParams, PostParams};
use libtest_mimic::Trial;
use serde_json::json;

use super::cluster::{Cluster, shell};
use super::trial;

pub fn tests() -> Vec<Trial> {
    vec![
        trial("volumes_of_objects_show_them_and_follow_their_changes", written),
        trial("a_pod_waits_for_what_its_volumes_need", waits),
        trial("the_environment_and_etc_are_as_asked", environment),
        trial("security_contexts_hold", security),
    ]
}

async fn written() {
    let cluster = Cluster::start().await;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), "default");
    let map = json!({ "metadata": { "name": "m" }, "data": { "a": "one", "b": "two" } });
    maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
    let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), "default");
    let secret = json!({ "metadata": { "name": "s" }, "stringData": { "key": "hidden" } });
    secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    let script = "cat /m/a; echo; cat /s/key; echo; cat /d/labels; echo; cat /sub; echo; stat -L -c %a /s/key; df -t tmpfs /mem | grep -c mem; \
                  test -s /var/run/secrets/kubernetes.io/serviceaccount/token && echo token; \
                  while true; do cat /m/a; echo; sleep 0.05; done";
    let mut container = shell("c", script);
    container["volumeMounts"] = json!([
        { "name": "m", "mountPath": "/m" }, { "name": "s", "mountPath": "/s" }, { "name": "d", "mountPath": "/d" },
        { "name": "m", "mountPath": "/sub", "subPath": "b" }, { "name": "mem", "mountPath": "/mem" },
    ]);
    let spec = json!({
        "volumes": [
            { "name": "m", "configMap": { "name": "m" } },
            { "name": "s", "secret": { "secretName": "s", "defaultMode": 256 } },
            { "name": "d", "downwardAPI": { "items": [{ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }] } },
            { "name": "mem", "emptyDir": { "medium": "Memory", "sizeLimit": "1Mi" } },
        ],
        "containers": [container],
    });
    cluster.create_with(json!({ "name": "a", "labels": { "app": "x" } }), spec).await;
    cluster.running("a").await;
    let log = cluster.log_until("a", "token\n").await;
    assert!(log.starts_with("one\nhidden\napp=\"x\"\ntwo\n400\n1\ntoken\n"), "{log}");
    let begun = Instant::now();
    maps.patch("m", &PatchParams::default(), &Patch::Merge(&json!({ "data": { "a": "changed" } }))).await.unwrap();
    cluster.log_until("a", "changed").await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    cluster.stop().await;
}

async fn waits() {
    let cluster = Cluster::start().await;
    let mut container = shell("c", "cat /m/a; echo; exec sleep 3600");
    container["volumeMounts"] = json!([{ "name": "m", "mountPath": "/m" }]);
    let volumes = json!([{ "name": "m", "configMap": { "name": "late" } }]);
    cluster.create("a", json!({ "volumes": volumes, "containers": [container] })).await;
    cluster.told("a", "FailedMount: MountVolume.SetUp failed for volume \"m\" : configmap \"late\" not found").await;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), "default");
    let map = json!({ "metadata": { "name": "late" }, "data": { "a": "there" } });
    maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
    cluster.running("a").await;
    cluster.log_until("a", "there").await;
    cluster.stop().await;
}

async fn environment() {
    let cluster = Cluster::start().await;
    let mut container = shell("c", "env; cat /etc/hosts /etc/resolv.conf; hostname; echo end");
    container["env"] = json!([
        { "name": "PLAIN", "value": "v" }, { "name": "FILLED", "value": "$(PLAIN)-$(NONE)" },
        { "name": "POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
        { "name": "CPU", "valueFrom": { "resourceFieldRef": { "resource": "limits.cpu", "divisor": "1m" } } },
    ]);
    container["resources"] = json!({ "limits": { "cpu": "250m", "memory": "64Mi" } });
    let spec = json!({
        "restartPolicy": "Never", "hostname": "host", "subdomain": "sub",
        "hostAliases": [{ "ip": "10.1.2.3", "hostnames": ["alias"] }],
        "containers": [container],
    });
    cluster.create("a", spec).await;
    let log = cluster.log_until("a", "end\n").await;
    for expected in [
        "PLAIN=v\n",
        "FILLED=v-$(NONE)\n",
        "POD_IP=10.42.0.",
        "CPU=250\n",
        "OF_IMAGE=yes\n",
        "HOSTNAME=host\n",
        "KUBERNETES_SERVICE_HOST=10.43.0.1\n",
        "\thost.sub.default.svc.cluster.local\thost\n",
        "10.1.2.3\talias\n",
        "search default.svc.cluster.local svc.cluster.local cluster.local",
        "nameserver 10.43.0.10\n",
        "options ndots:5\n",
    ] {
        assert!(log.contains(expected), "{expected} in {log}");
    }
    cluster.stop().await;
}

async fn security() {
    let cluster = Cluster::start().await;
    let script = "id -u; id -g; id -G; grep -E 'NoNewPrivs|Seccomp:|CapBnd' /proc/self/status; touch /x 2>&1; touch /out/y && stat -c '%u %g' /out/y; echo end";
    let mut container = shell("c", script);
    container["volumeMounts"] = json!([{ "name": "out", "mountPath": "/out" }]);
    container["securityContext"] = json!({
        "runAsUser": 1234, "runAsGroup": 2345, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" },
    });
    let spec = json!({
        "restartPolicy": "Never", "securityContext": { "fsGroup": 3456, "supplementalGroups": [4567] },
        "volumes": [{ "name": "out", "emptyDir": {} }], "containers": [container],
    });
    cluster.create("a", spec).await;
    let log = cluster.log_until("a", "end\n").await;
    for expected in [
        "1234\n2345\n",
        "3456",
        "4567",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "CapBnd:\t0000000000000000",
        "Read-only file system",
        "1234 3456\n",
    ] {
        assert!(log.contains(expected), "{expected} in {log}");
    }
    cluster.stop().await;
}
