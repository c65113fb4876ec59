//! Every kind × the verbs that it has, through the service itself.

mod fixture;

use std::sync::Arc;

use api::kind::Kind;
use fixture::Cluster;
use serde_json::{Value, json};

/// Where a kind's collection is, in the namespace `default` if it has one.
fn collection(kind: &Kind) -> String {
    let version = &kind.versions[0].name;
    let root = if kind.group.is_empty() { format!("/api/{version}") } else { format!("/apis/{}/{version}", kind.group) };
    let scope = if kind.is_namespaced() { "/namespaces/default" } else { "" };
    format!("{root}{scope}/{}", kind.plural)
}

/// Kinds that this loop cannot carry: definitions are not served yet, requests need a real one (see `secured.rs`), and the server itself
/// writes the status of quotas meanwhile.
const ELSEWHERE: &[&str] = &["CustomResourceDefinition", "CertificateSigningRequest", "ResourceQuota"];

/// The least that a kind's rules ask for, beside its metadata.
fn specimen(kind: &Kind) -> Value {
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let once = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}});
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"});
    let mut object = match &*kind.kind {
        "Pod" => json!({"spec": template["spec"]}),
        "Deployment" | "ReplicaSet" | "DaemonSet" => {
            json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}})
        }
        "StatefulSet" => json!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "serviceName": "s", "template": template}}),
        "ReplicationController" => json!({"spec": {"template": template}}),
        "Job" => json!({"spec": {"template": once}}),
        "CronJob" => json!({"spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": once}}}}),
        "Service" => json!({"spec": {"ports": [{"port": 80}]}}),
        "RoleBinding" | "ClusterRoleBinding" => json!({"roleRef": role}),
        "PersistentVolume" => {
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}}})
        }
        "PersistentVolumeClaim" => {
            json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}})
        }
        "StorageClass" => json!({"provisioner": "p"}),
        "RuntimeClass" => json!({"handler": "h"}),
        "EndpointSlice" => json!({"addressType": "IPv4", "endpoints": []}),
        "Ingress" => json!({"spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}}),
        "HorizontalPodAutoscaler" => json!({"spec": {"maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "d"}}}),
        "ValidatingAdmissionPolicy" => {
            json!({"spec": {"matchConstraints": {}, "validations": [{"expression": "true"}]}})
        }
        "MutatingAdmissionPolicy" => json!({"spec": {"matchConstraints": {}}}),
        "ValidatingAdmissionPolicyBinding" => json!({"spec": {"policyName": "p", "validationActions": ["Deny"]}}),
        "MutatingAdmissionPolicyBinding" => json!({"spec": {"policyName": "p"}}),
        "APIService" => json!({"spec": {"group": "g.example", "version": "v1", "groupPriorityMinimum": 1, "versionPriority": 1}}),
        "Event" if !kind.group.is_empty() => json!({
            "eventTime": "2026-01-01T00:00:00.000000Z", "type": "Normal", "reason": "R", "action": "A",
            "reportingController": "c.example/x", "reportingInstance": "i", "regarding": {"namespace": "default"},
        }),
        "DeviceTaintRule" => json!({"spec": {"taint": {"key": "k.example/a", "effect": "NoSchedule"}}}),
        "ClusterTrustBundle" => {
            let mut params = rcgen::CertificateParams::new(["ca".to_owned()]).unwrap();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            json!({"spec": {"trustBundle": params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()}})
        }
        "PodCertificateRequest" => {
            let stub = rcgen::CertificateParams::default().serialize_request(&rcgen::KeyPair::generate().unwrap()).unwrap();
            let stub = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, stub.der());
            json!({"spec": {
                "signerName": "a.example/b", "stubPKCS10Request": stub, "podName": "p", "podUID": "1", "nodeName": "n", "nodeUID": "2",
                "serviceAccountName": "default", "serviceAccountUID": "3",
            }})
        }
        "Event" => json!({"involvedObject": {"namespace": "default"}}),
        _ => json!({}),
    };
    object["metadata"] = json!({"name": name(kind)});
    object
}

fn name(kind: &Kind) -> &'static str {
    match &*kind.kind {
        "APIService" => "v1.g.example",
        "IPAddress" => "10.43.7.7",
        _ => "specimen",
    }
}

#[tokio::test]
async fn every_stored_kind_is_created_read_listed_patched_replaced_and_deleted() {
    let cluster = Cluster::start().await;
    let account = json!({"metadata": {"name": "default"}});
    cluster.json("POST", "/api/v1/namespaces/default/serviceaccounts", &account).await;
    let kinds: Vec<Arc<Kind>> =
        cluster.server.state().kinds().iter().filter(|kind| kind.stored && kind.has_verb("create")).cloned().collect();
    assert!(kinds.len() > 40, "only {} kinds", kinds.len());
    for kind in kinds.iter().filter(|kind| !ELSEWHERE.contains(&&*kind.kind)) {
        let (all, one) = (collection(kind), format!("{}/{}", collection(kind), name(kind)));
        let (code, created) = cluster.json("POST", &all, &specimen(kind)).await;
        assert_eq!(code, 201, "create {all}: {created}");
        assert_eq!(created["kind"], *kind.kind);
        assert!(created["metadata"]["uid"].is_string() && created["metadata"]["resourceVersion"].is_string(), "{created}");
        let (code, again) = cluster.json("POST", &all, &specimen(kind)).await;
        assert_eq!((code, &again["reason"]), (409, &json!("AlreadyExists")), "create {all} twice");
        let (code, read) = cluster.json("GET", &one, &Value::Null).await;
        assert_eq!((code, &read), (200, &created), "get {one}");
        let (code, list) = cluster.json("GET", &all, &Value::Null).await;
        assert_eq!((code, &list["kind"]), (200, &json!(kind.list_kind)), "list {all}");
        assert!(list["items"].as_array().unwrap().contains(&created), "list {all}");
        let patch = br#"{"metadata":{"labels":{"x":"y"}}}"#.to_vec();
        let (code, patched) = cluster.call("PATCH", &one, "application/merge-patch+json", patch).await;
        assert_eq!((code, &patched["metadata"]["labels"]["x"]), (200, &json!("y")), "patch {one}: {patched}");
        let (code, stale) = cluster.json("PUT", &one, &created).await;
        assert_eq!((code, &stale["reason"]), (409, &json!("Conflict")), "a stale put of {one}");
        let (code, put) = cluster.json("PUT", &one, &patched).await;
        assert_eq!(
            (code, &put["metadata"]["resourceVersion"]),
            (200, &patched["metadata"]["resourceVersion"]),
            "put {one} unchanged"
        );
        let (code, gone) = cluster.json("DELETE", &one, &Value::Null).await;
        assert_eq!(code, 200, "delete {one}: {gone}");
        let (code, _) = cluster.json("GET", &one, &Value::Null).await;
        let waits = matches!(&*kind.kind, "Namespace" | "PersistentVolume" | "PersistentVolumeClaim" | "Job");
        assert_eq!(code, if waits { 200 } else { 404 }, "get {one} after its deletion");
    }
}

#[tokio::test]
async fn bad_input_gets_a_clear_answer_and_changes_nothing() {
    let cluster = Cluster::start().await;
    let all = "/api/v1/namespaces/default/configmaps";
    let deep = format!(
        "{{\"metadata\":{{\"name\":\"a\"}},\"data\":{}{}}}",
        "{\"a\":".repeat(10_000),
        "1".to_owned() + &"}".repeat(10_000)
    );
    let large = json!({"metadata": {"name": "a"}, "data": {"a": "x".repeat(4 << 20)}}).to_string();
    for (body, code, reason) in [
        ("{".to_owned(), 400, "BadRequest"),
        ("[]".to_owned(), 400, "BadRequest"),
        (deep, 400, "BadRequest"),
        (large, 413, "RequestEntityTooLarge"),
        (json!({"metadata": {"name": "Upper"}}).to_string(), 422, "Invalid"),
        (json!({"metadata": {}}).to_string(), 422, "Invalid"),
        (json!({"kind": "Pod", "metadata": {"name": "a"}}).to_string(), 400, "BadRequest"),
    ] {
        let (found, status) = cluster.call("POST", all, "application/json", body.into_bytes()).await;
        assert_eq!((found, &status["reason"]), (code, &json!(reason)), "{status}");
    }
    let unknown = json!({"metadata": {"name": "a"}, "dato": {}});
    let (code, status) = cluster.json("POST", &format!("{all}?fieldValidation=Strict"), &unknown).await;
    assert_eq!(code, 400, "{status}");
    assert!(status["message"].as_str().unwrap().contains("unknown field \"dato\""), "{status}");
    let (_, list) = cluster.json("GET", all, &Value::Null).await;
    assert_eq!(list["items"], json!([]));
}

#[tokio::test]
async fn a_list_in_pages_is_the_list_at_one_revision() {
    let cluster = Cluster::start().await;
    let all = "/api/v1/namespaces/default/configmaps";
    for i in 0..5 {
        cluster.json("POST", all, &json!({"metadata": {"name": format!("c{i}")}})).await;
    }
    let (_, first) = cluster.json("GET", &format!("{all}?limit=2"), &Value::Null).await;
    assert_eq!(first["metadata"]["remainingItemCount"], 3);
    cluster.json("DELETE", &format!("{all}/c4"), &Value::Null).await;
    let mut names: Vec<Value> = first["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].clone()).collect();
    let mut next = first["metadata"]["continue"].as_str().map(str::to_owned);
    while let Some(token) = next {
        let (code, page) = cluster.json("GET", &format!("{all}?limit=2&continue={token}"), &Value::Null).await;
        assert_eq!((code, &page["metadata"]["resourceVersion"]), (200, &first["metadata"]["resourceVersion"]));
        names.extend(page["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].clone()));
        next = page["metadata"]["continue"].as_str().map(str::to_owned);
    }
    assert_eq!(names, ["c0", "c1", "c2", "c3", "c4"]);
}
