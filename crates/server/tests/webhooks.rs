//! Admission webhooks over real TLS on loopback: asked, believed, and survived when they are away.

mod fixture;

use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fixture::Cluster;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

type Answer = fn(&Value) -> Value;

/// A webhook on a free port. Returns its `clientConfig`.
async fn webhook(answer: Answer) -> Value {
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let bundle = STANDARD.encode(key.cert.pem());
    let private = rustls_pki_types::PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], private)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let service = service_fn(move |request: Request<Incoming>| async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let review: Value = serde_json::from_slice(&body).unwrap();
                let mut response = answer(&review["request"]);
                response["uid"] = review["request"]["uid"].clone();
                let whole = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response});
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(whole.to_string()))))
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    json!({"url": format!("https://localhost:{port}/hook"), "caBundle": bundle})
}

fn configuration(kind: &str, client: &Value, failure: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "test"},
        "webhooks": [{
            "name": "hook.example.com", "clientConfig": client, "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "failurePolicy": failure, "timeoutSeconds": 2,
            "rules": [{"operations": ["CREATE", "DELETE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
        }],
    })
}

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn a_mutating_webhook_changes_what_is_written() {
    let cluster = Cluster::start().await;
    let client = webhook(|_| {
        let patch = json!([{"op": "add", "path": "/data", "value": {"by": "webhook"}}]).to_string();
        json!({"allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(patch), "warnings": ["changed"]})
    })
    .await;
    let all = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    let (code, made) = cluster.json("POST", all, &configuration("MutatingWebhookConfiguration", &client, "Fail")).await;
    assert_eq!(code, 201, "{made}");
    assert_eq!(made["webhooks"][0]["matchPolicy"], "Equivalent");
    let (code, created) = cluster.json("POST", CONFIG_MAPS, &json!({"metadata": {"name": "a"}})).await;
    assert_eq!((code, &created["data"]), (201, &json!({"by": "webhook"})), "{created}");
}

#[tokio::test]
async fn a_validating_webhook_refuses_in_its_own_words() {
    let cluster = Cluster::start().await;
    let client = webhook(|request| {
        let named = request["operation"] == "DELETE" && request["oldObject"]["metadata"]["name"] == "kept";
        let refused = named || request["object"]["data"]["x"] == "bad";
        json!({"allowed": !refused, "status": {"message": "not this one", "code": 403, "reason": "Forbidden"}})
    })
    .await;
    let all = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    cluster.json("POST", all, &configuration("ValidatingWebhookConfiguration", &client, "Fail")).await;
    let (code, status) = cluster.json("POST", CONFIG_MAPS, &json!({"metadata": {"name": "a"}, "data": {"x": "bad"}})).await;
    assert_eq!(code, 403);
    assert_eq!(status["message"], "admission webhook \"hook.example.com\" denied the request: not this one");
    let (code, _) = cluster.json("POST", CONFIG_MAPS, &json!({"metadata": {"name": "kept"}})).await;
    assert_eq!(code, 201);
    assert_eq!(cluster.json("DELETE", &format!("{CONFIG_MAPS}/kept"), &Value::Null).await.0, 403);
}

#[tokio::test]
async fn a_webhook_that_is_away_stops_the_write_only_if_it_must_be_asked() {
    let cluster = Cluster::start().await;
    let client = json!({"url": "https://localhost:1/hook"});
    let all = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    cluster.json("POST", all, &configuration("ValidatingWebhookConfiguration", &client, "Fail")).await;
    let (code, status) = cluster.json("POST", CONFIG_MAPS, &json!({"metadata": {"name": "a"}})).await;
    assert_eq!(code, 500);
    let text = status["message"].as_str().unwrap();
    assert!(
        text.starts_with("Internal error occurred: failed calling webhook \"hook.example.com\": failed to call webhook:"),
        "{text}"
    );
    let patch = br#"[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]"#.to_vec();
    cluster.call("PATCH", &format!("{all}/test"), "application/json-patch+json", patch).await;
    assert_eq!(cluster.json("POST", CONFIG_MAPS, &json!({"metadata": {"name": "a"}})).await.0, 201);
}

#[tokio::test]
async fn a_policy_denies_what_its_expressions_do_not_allow() {
    let cluster = Cluster::start().await;
    let group = "/apis/admissionregistration.k8s.io/v1";
    let policy = json!({"metadata": {"name": "small"}, "spec": {
        "matchConstraints": {"resourceRules": [
            {"operations": ["CREATE", "UPDATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]},
        "matchConditions": [{"name": "not-free", "expression": "object.metadata.name != 'free'"}],
        "variables": [{"name": "size", "expression": "has(object.data) ? size(object.data) : 0"}],
        "validations": [{"expression": "variables.size <= 1", "messageExpression": "'too many: ' + string(variables.size)"}],
    }});
    let (code, made) = cluster.json("POST", &format!("{group}/validatingadmissionpolicies"), &policy).await;
    assert_eq!(code, 201, "{made}");
    let (code, _) =
        cluster.json("POST", CONFIG_MAPS, &json!({"metadata": {"name": "unbound"}, "data": {"a": "", "b": ""}})).await;
    assert_eq!(code, 201);
    let binding = json!({"metadata": {"name": "all"}, "spec": {"policyName": "small", "validationActions": ["Deny"]}});
    cluster.json("POST", &format!("{group}/validatingadmissionpolicybindings"), &binding).await;
    let (code, status) = cluster.json("POST", CONFIG_MAPS, &json!({"metadata": {"name": "a"}, "data": {"a": "", "b": ""}})).await;
    assert_eq!((code, &status["reason"]), (422, &json!("Invalid")), "{status}");
    assert_eq!(
        status["message"],
        "configmaps \"a\" is forbidden: ValidatingAdmissionPolicy 'small' with binding 'all' denied request: too many: 2"
    );
    for (name, data) in [("b", json!({"a": ""})), ("free", json!({"a": "", "b": ""}))] {
        let (code, status) = cluster.json("POST", CONFIG_MAPS, &json!({"metadata": {"name": name}, "data": data})).await;
        assert_eq!(code, 201, "{status}");
    }
}
