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

/// An admission webhook on a free port. Returns its `clientConfig`.
async fn webhook(answer: Answer) -> Value {
    serve(move |review| {
        let mut response = answer(&review["request"]);
        response["uid"] = review["request"]["uid"].clone();
        json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "response": response})
    })
    .await
}

/// A server of reviews on a free port.
async fn serve(answer: impl Fn(&Value) -> Value + Send + Sync + Copy + 'static) -> Value {
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
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(answer(&review).to_string()))))
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

#[tokio::test]
async fn a_policy_changes_what_is_written_and_its_expressions_must_compile() {
    let cluster = Cluster::start().await;
    let group = "/apis/admissionregistration.k8s.io/v1";
    let policy = |name: &str, mutations: Value| {
        json!({"metadata": {"name": name}, "spec": {
            "reinvocationPolicy": "IfNeeded", "mutations": mutations,
            "matchConstraints": {"resourceRules": [
                {"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}]},
        }})
    };
    let by = |expression: &str| json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}});
    let patch =
        r#"[JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("a/b"), value: string(object.spec.replicas)}]"#;
    let all = format!("{group}/mutatingadmissionpolicies");
    let mutations = json!([
        by("Object{spec: Object.spec{replicas: 7}, metadata: Object.metadata{labels: {'x': 'y'}}}"),
        {"patchType": "JSONPatch", "jsonPatch": {"expression": patch}},
    ]);
    let (code, made) = cluster.json("POST", &all, &policy("first", mutations)).await;
    assert_eq!(code, 201, "{made}");
    let (code, status) = cluster.json("POST", &all, &policy("broken", json!([by("... [] bad")]))).await;
    assert_eq!(code, 422, "{status}");
    assert!(status["message"].as_str().unwrap().contains("compilation failed"), "{status}");
    let mut hook = configuration("ValidatingWebhookConfiguration", &json!({"url": "https://localhost:1/"}), "Ignore");
    hook["webhooks"][0]["matchConditions"] = json!([{"name": "a", "expression": "... [] bad expression"}]);
    let (code, status) = cluster.json("POST", &format!("{group}/validatingwebhookconfigurations"), &hook).await;
    assert_eq!(code, 422, "{status}");
    assert!(status["message"].as_str().unwrap().contains("compilation failed"), "{status}");
    let binding = json!({"metadata": {"name": "all"}, "spec": {"policyName": "first"}});
    cluster.json("POST", &format!("{group}/mutatingadmissionpolicybindings"), &binding).await;
    let deployment = json!({"metadata": {"name": "d"}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    }});
    let (code, made) = cluster.json("POST", "/apis/apps/v1/namespaces/default/deployments", &deployment).await;
    assert_eq!((code, &made["spec"]["replicas"]), (201, &json!(7)), "{made}");
    assert_eq!(made["metadata"]["labels"], json!({"x": "y", "a/b": "7"}));
}

/// `v1` keeps `hostPort`; `v2` has `host` and `port`.
fn convert(review: &Value) -> Value {
    let wanted = review["request"]["desiredAPIVersion"].as_str().unwrap();
    let convert = |object: &Value| {
        let mut object = object.clone();
        let map = object.as_object_mut().unwrap();
        if wanted.ends_with("v2") {
            let whole = map.remove("hostPort").unwrap_or_default();
            let (host, port) = whole.as_str().unwrap_or(":").split_once(':').unwrap();
            map.insert("host".into(), host.into());
            map.insert("port".into(), port.into());
        } else {
            let text = |map: &serde_json::Map<String, Value>, field: &str| map[field].as_str().unwrap_or_default().to_owned();
            let whole = format!("{}:{}", text(map, "host"), text(map, "port"));
            map.retain(|name, _| name != "host" && name != "port");
            map.insert("hostPort".into(), whole.into());
        }
        map.insert("apiVersion".into(), wanted.into());
        object
    };
    let objects: Vec<Value> = review["request"]["objects"].as_array().unwrap().iter().map(convert).collect();
    json!({"kind": "ConversionReview", "apiVersion": review["apiVersion"], "response": {
        "uid": review["request"]["uid"], "result": {"status": "Success"}, "convertedObjects": objects,
    }})
}

#[tokio::test]
async fn custom_objects_are_converted_selected_and_watched_in_the_version_of_the_request() {
    let cluster = Cluster::start().await;
    let client = serve(convert).await;
    let text = json!({"type": "string"});
    let version = |name: &str, storage: bool, fields: &[&str]| {
        let properties: serde_json::Map<String, Value> = fields.iter().map(|field| ((*field).to_owned(), text.clone())).collect();
        let selectable: Vec<Value> = fields.iter().map(|field| json!({"jsonPath": format!(".{field}")})).collect();
        json!({"name": name, "served": true, "storage": storage, "selectableFields": selectable,
            "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}}})
    };
    let definition = json!({"metadata": {"name": "ports.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "ports", "kind": "Port", "singular": "port"},
        "versions": [version("v1", true, &["hostPort"]), version("v2", false, &["host", "port"])],
        "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": client}},
    }});
    let (code, made) = cluster.json("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition).await;
    assert_eq!(code, 201, "{made}");
    let (v1, v2) = ("/apis/example.com/v1/namespaces/default/ports", "/apis/example.com/v2/namespaces/default/ports");
    for (name, host, port) in [("a", "h1", "80"), ("b", "h1", "8080"), ("c", "h2", "80")] {
        let (code, made) = cluster.json("POST", v2, &json!({"metadata": {"name": name}, "host": host, "port": port})).await;
        assert_eq!((code, &made["host"]), (201, &json!(host)), "{made}");
    }
    let names = async |path: String| -> Vec<String> {
        let (code, list) = cluster.json("GET", &path, &Value::Null).await;
        assert_eq!(code, 200, "{list}");
        list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(format!("{v2}?fieldSelector=host%3Dh1")).await, ["a", "b"]);
    assert_eq!(names(format!("{v2}?fieldSelector=host%3Dh1,port%3D80")).await, ["a"]);
    assert_eq!(names(format!("{v1}?fieldSelector=hostPort%3Dh2:80")).await, ["c"]);
    let (_, one) = cluster.json("GET", &format!("{v1}/a"), &Value::Null).await;
    assert_eq!((&one["hostPort"], &one["apiVersion"]), (&json!("h1:80"), &json!("example.com/v1")));
    let mut moved = cluster.json("GET", &format!("{v2}/b"), &Value::Null).await.1;
    let from = moved["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    moved["host"] = json!("h2");
    cluster.json("PUT", &format!("{v2}/b"), &moved).await;
    cluster.json("DELETE", &format!("{v2}?fieldSelector=host%3Dh1"), &Value::Null).await;
    assert_eq!(names(v2.to_owned()).await, ["b", "c"]);
    let path = format!("{v2}?watch=true&fieldSelector=host%3Dh1&resourceVersion={from}&timeoutSeconds=1");
    let events = cluster.lines(&path).await;
    let seen: Vec<String> =
        events.iter().map(|event| format!("{} {}", event["type"], event["object"]["metadata"]["name"])).collect();
    assert_eq!(seen, ["\"DELETED\" \"b\"", "\"DELETED\" \"a\""], "{events:?}");
    assert_eq!(events[0]["object"]["host"], "h1");
}
