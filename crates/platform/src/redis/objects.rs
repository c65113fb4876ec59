//! The Kubernetes objects of a cluster, rendered from its specification. Never looks at what there is.
//!
//! Each member has a pod and a claim of its own, both named after its seat. The claim notes the node that it was made for; the pod is tied
//! to that node, and stays bound to it while the node is away: its disk is there, and nowhere else.

use decide::redis_slots::{BUS_OFFSET, MASTER_PORT, REPLICA_PORT, Seat};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::kinds::{GROUP, RedisCluster};
use crate::apply;

/// Label: the cluster that an object belongs to.
pub const CLUSTER: &str = "coracle.dev/redis-cluster";
/// Label: the shard of a member.
pub const SHARD: &str = "coracle.dev/redis-shard";
/// Label: the index of a member in its shard.
pub const INDEX: &str = "coracle.dev/redis-index";
/// Annotation of a claim: the node that it was made for.
pub const NODE: &str = "coracle.dev/node";

/// The user and group of the servers, as in the image.
const USER: u32 = 999;

const FILES: [(&str, &str); 4] = [
    ("redis.conf", include_str!("files/redis.conf")),
    ("start", include_str!("files/start")),
    ("ready", include_str!("files/ready")),
    ("stop", include_str!("files/stop")),
];

/// The seat that an object's labels name.
pub fn seat(object: &impl kube::Resource) -> Option<Seat> {
    let labels = object.meta().labels.as_ref()?;
    let number = |label: &str| labels.get(label)?.parse().ok();
    Some(Seat { shard: number(SHARD)?, index: number(INDEX)? })
}

/// The name of a member's claim.
pub fn claim_name(cluster: &str, seat: Seat) -> String {
    format!("data-{}", seat.name(cluster))
}

/// What a cluster has once, whatever its size.
pub fn shared(cluster: &RedisCluster) -> Vec<Value> {
    let name = cluster.name_any();
    let labels = json!({CLUSTER: name});
    let service = |name: String, mut spec: Value| {
        spec["selector"] = labels.clone();
        object(cluster, "v1", "Service", name, json!({"spec": spec}))
    };
    let bus = [MASTER_PORT + BUS_OFFSET, REPLICA_PORT + BUS_OFFSET].map(|port| json!({"port": port, "protocol": "TCP"}));
    let clients = [MASTER_PORT, REPLICA_PORT].map(|port| json!({"port": port, "protocol": "TCP"}));
    vec![
        object(cluster, "v1", "ConfigMap", format!("{name}-files"), json!({"data": files(cluster)})),
        service(format!("{name}-members"), json!({"clusterIP": "None", "publishNotReadyAddresses": true, "ports": [port()]})),
        service(name.clone(), json!({"ports": [port()]})),
        object(
            cluster,
            "policy/v1",
            "PodDisruptionBudget",
            name.clone(),
            json!({
                "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}},
            }),
        ),
        // Strangers never reach the bus: whoever speaks there is taken for a member.
        object(
            cluster,
            "networking.k8s.io/v1",
            "NetworkPolicy",
            name.clone(),
            json!({"spec": {
                "podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"],
                "ingress": [{"ports": clients}, {"ports": bus, "from": [{"podSelector": {"matchLabels": labels}}]}],
            }}),
        ),
    ]
}

fn port() -> Value {
    // By name: masters and replicas listen on different ports.
    json!({"name": "redis", "port": MASTER_PORT, "targetPort": "redis", "protocol": "TCP"})
}

fn files(cluster: &RedisCluster) -> Value {
    let mut files: serde_json::Map<String, Value> =
        FILES.iter().map(|(name, text)| ((*name).to_owned(), Value::from(*text))).collect();
    let timeout = format!("{}cluster-node-timeout {}\n", FILES[0].1, cluster.spec.node_timeout_millis);
    files.insert("redis.conf".to_owned(), timeout.into());
    Value::Object(files)
}

/// The claim of a member. It outlives its cluster, as those of a StatefulSet do.
pub fn claim(cluster: &RedisCluster, seat: Seat, node: &str) -> Value {
    let storage = &cluster.spec.storage;
    let mut claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": claim_name(&cluster.name_any(), seat), "namespace": cluster.namespace(),
            "labels": labels(cluster, seat), "annotations": {NODE: node},
        },
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage.size}}},
    });
    if let Some(class) = &storage.class_name {
        claim["spec"]["storageClassName"] = json!(class);
    }
    claim
}

fn labels(cluster: &RedisCluster, seat: Seat) -> Value {
    json!({
        "app.kubernetes.io/name": "redis", "app.kubernetes.io/instance": cluster.name_any(),
        CLUSTER: cluster.name_any(), SHARD: seat.shard.to_string(), INDEX: seat.index.to_string(),
    })
}

/// The pod of a member.
pub fn pod(cluster: &RedisCluster, seat: Seat, node: &str) -> Value {
    let name = cluster.name_any();
    let stays = |state: &str| json!({"key": format!("node.kubernetes.io/{state}"), "operator": "Exists", "effect": "NoExecute"});
    let tolerations = ["not-ready", "unreachable"].map(stays);
    let mut pod = object(
        cluster,
        "v1",
        "Pod",
        seat.name(&name),
        json!({"spec": {
            "hostname": seat.name(&name),
            "subdomain": format!("{name}-members"),
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]},
            ]}}},
            "tolerations": tolerations,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": 20,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER, "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container(cluster, seat)],
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": claim_name(&name, seat)}},
                {"name": "files", "configMap": {"name": format!("{name}-files")}},
                {"name": "password", "secret": {
                    "secretName": cluster.spec.password_secret.name,
                    "items": [{"key": cluster.spec.password_secret.key, "path": "password"}],
                }},
            ],
        }}),
    );
    pod["metadata"]["labels"] = labels(cluster, seat);
    pod["metadata"]["annotations"] = json!({"coracle.dev/files": apply::hash(&files(cluster))});
    let hash = apply::hash(&pod);
    pod["metadata"]["annotations"][apply::HASH] = json!(hash);
    pod
}

fn container(cluster: &RedisCluster, seat: Seat) -> Value {
    let script = |name: &str| json!({"exec": {"command": ["/bin/sh", format!("/etc/redis/{name}")]}});
    let from = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    let mut ready = script("ready");
    (ready["periodSeconds"], ready["timeoutSeconds"], ready["failureThreshold"]) = (json!(5), json!(3), json!(2));
    // Soon ready, but for one that reads a large disk.
    let mut started = script("ready");
    (started["periodSeconds"], started["timeoutSeconds"], started["failureThreshold"]) = (json!(1), json!(3), json!(3600));
    json!({
        "name": "redis",
        "image": cluster.spec.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "/etc/redis/start"],
        "env": [
            from("POD_IP", "status.podIP"), from("POD_NAME", "metadata.name"), from("NODE_NAME", "spec.nodeName"),
            {"name": "PORT", "value": seat.port().to_string()},
        ],
        "ports": [
            {"name": "redis", "containerPort": seat.port(), "protocol": "TCP"},
            {"name": "bus", "containerPort": seat.port() + BUS_OFFSET, "protocol": "TCP"},
        ],
        "resources": cluster.spec.resources.clone().unwrap_or_else(|| json!({"requests": {"cpu": "10m", "memory": "32Mi"}})),
        "startupProbe": started,
        "readinessProbe": ready,
        "lifecycle": {"preStop": script("stop")},
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "data", "mountPath": "/data"},
            {"name": "files", "mountPath": "/etc/redis", "readOnly": true},
            {"name": "password", "mountPath": "/etc/redis-password", "readOnly": true},
        ],
    })
}

/// An object that the cluster owns: it goes when the cluster goes.
fn object(cluster: &RedisCluster, version: &str, kind: &str, name: String, mut rest: Value) -> Value {
    let mut object = json!({
        "apiVersion": version, "kind": kind,
        "metadata": {
            "name": name, "namespace": cluster.namespace(), "labels": {CLUSTER: cluster.name_any()},
            "ownerReferences": [{
                "apiVersion": format!("{GROUP}/v1"), "kind": "RedisCluster", "name": cluster.name_any(), "uid": cluster.uid(),
                "controller": true, "blockOwnerDeletion": true,
            }],
        },
    });
    if let (Some(object), Some(rest)) = (object.as_object_mut(), rest.as_object_mut()) {
        object.append(rest);
    }
    object
}
