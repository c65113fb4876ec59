//! Custom kinds from their definition to their end, through the service itself.

#![recursion_limit = "256"]
mod fixture;

use fixture::Cluster;
use serde_json::{Value, json};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const BOATS: &str = "/apis/example.com/v1/namespaces/default/boats";

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "boats.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "boats", "kind": "Boat", "shortNames": ["bt"], "categories": ["all"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.crew", "statusReplicasPath": ".status.crew"}},
                "additionalPrinterColumns": [{"name": "Crew", "type": "integer", "jsonPath": ".spec.crew"}],
                "selectableFields": [{"jsonPath": ".spec.colour"}],
                "schema": {"openAPIV3Schema": {"type": "object", "required": ["spec"], "properties": {
                    "spec": {"type": "object", "required": ["colour"], "properties": {
                        "crew": {"type": "integer", "minimum": 0, "default": 1},
                        "colour": {"type": "string", "enum": ["red", "blue"]},
                        "port": {"x-kubernetes-int-or-string": true},
                        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                        "masts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                            "items": {"type": "object", "required": ["name"], "properties": {
                                "name": {"type": "string"}, "height": {"type": "integer"}}}},
                    }},
                    "status": {"type": "object", "properties": {"crew": {"type": "integer"}}},
                }}},
            }],
        },
    })
}

fn boat(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Boat", "metadata": {"name": name}, "spec": spec})
}

async fn with_boats() -> Cluster {
    let cluster = Cluster::start().await;
    let (code, created) = cluster.json("POST", DEFINITIONS, &definition()).await;
    assert_eq!(code, 201, "{created}");
    let conditions = created["status"]["conditions"].as_array().unwrap().clone();
    let words: Vec<_> = conditions.iter().map(|c| (c["type"].as_str().unwrap(), c["status"].as_str().unwrap())).collect();
    assert_eq!(words, [("NamesAccepted", "True"), ("Established", "True")]);
    assert_eq!(created["status"]["acceptedNames"]["listKind"], "BoatList");
    cluster
}

#[tokio::test]
async fn a_definition_is_served_at_once_with_defaults_and_without_unknown_fields() {
    let cluster = with_boats().await;
    let sent = boat("a", json!({"colour": "red", "wings": 2, "free": {"x": {"y": 1}}, "port": "http"}));
    let (code, created) = cluster.json("POST", BOATS, &sent).await;
    assert_eq!(code, 201, "{created}");
    assert_eq!(created["spec"], json!({"colour": "red", "free": {"x": {"y": 1}}, "port": "http", "crew": 1}));
    assert_eq!(created["metadata"]["generation"], 1);
    let (code, status) = cluster.json("POST", &format!("{BOATS}?fieldValidation=Strict"), &sent).await;
    assert_eq!(code, 400);
    assert!(status["message"].as_str().unwrap().contains("unknown field \"spec.wings\""), "{status}");
    let (_, found) = cluster.json("GET", "/apis/example.com/v1", &Value::Null).await;
    let names: Vec<_> = found["resources"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["boats", "boats/status", "boats/scale"]);
    let (_, list) = cluster.json("GET", &format!("{BOATS}?fieldSelector=spec.colour%3Dblue"), &Value::Null).await;
    assert_eq!(list["items"], json!([]));
    let (code, document) = cluster.json("GET", "/openapi/v3", &Value::Null).await;
    assert_eq!(code, 200);
    assert!(document["paths"]["apis/example.com/v1"].is_object(), "{document}");
}

#[tokio::test]
async fn what_the_schema_forbids_is_refused_in_the_words_of_upstream() {
    let cluster = with_boats().await;
    for (spec, expected) in [
        (
            json!({"colour": "red", "crew": "two"}),
            r#"spec.crew: Invalid value: "string": spec.crew in body must be of type integer: "string""#,
        ),
        (
            json!({"colour": "red", "crew": -1}),
            "spec.crew: Invalid value: -1: spec.crew in body should be greater than or equal to 0",
        ),
        (json!({"colour": "green"}), r#"spec.colour: Unsupported value: "green": supported values: "red", "blue""#),
        (json!({}), "spec.colour: Required value"),
        (json!({"colour": "red", "masts": [{"name": "a"}, {"name": "a"}]}), r#"spec.masts[1]: Duplicate value: {"name":"a"}"#),
    ] {
        let (code, status) = cluster.json("POST", BOATS, &boat("a", spec)).await;
        assert_eq!(code, 422, "{status}");
        assert_eq!(status["message"], format!("Boat.example.com \"a\" is invalid: {expected}"));
    }
}

#[tokio::test]
async fn status_and_scale_change_their_own_part_alone() {
    let cluster = with_boats().await;
    let mut sent = boat("a", json!({"colour": "red"}));
    sent["status"] = json!({"crew": 9});
    let (_, mut object) = cluster.json("POST", BOATS, &sent).await;
    assert_eq!(object.get("status"), None);
    object["status"] = json!({"crew": 3});
    object["spec"]["colour"] = json!("blue");
    let (code, changed) = cluster.json("PUT", &format!("{BOATS}/a/status"), &object).await;
    assert_eq!((code, &changed["status"]["crew"], &changed["spec"]["colour"]), (200, &json!(3), &json!("red")), "{changed}");
    assert_eq!(changed["metadata"]["generation"], 1);
    let patch = br#"{"spec":{"replicas":7}}"#.to_vec();
    let (code, scale) = cluster.call("PATCH", &format!("{BOATS}/a/scale"), "application/merge-patch+json", patch).await;
    assert_eq!((code, &scale["spec"]["replicas"], &scale["status"]["replicas"]), (200, &json!(7), &json!(3)), "{scale}");
    let (_, read) = cluster.json("GET", &format!("{BOATS}/a"), &Value::Null).await;
    assert_eq!((&read["spec"]["crew"], &read["metadata"]["generation"]), (&json!(7), &json!(2)));
}

#[tokio::test]
async fn a_definition_goes_after_its_last_instance() {
    let cluster = with_boats().await;
    cluster.json("POST", BOATS, &boat("free", json!({"colour": "red"}))).await;
    let mut held = boat("held", json!({"colour": "red"}));
    held["metadata"]["finalizers"] = json!(["example.com/rope"]);
    cluster.json("POST", BOATS, &held).await;
    let one = format!("{DEFINITIONS}/boats.example.com");
    let (code, marked) = cluster.json("DELETE", &one, &Value::Null).await;
    assert_eq!(code, 200, "{marked}");
    assert_eq!(marked["metadata"]["finalizers"], json!(["customresourcecleanup.apiextensions.k8s.io"]));
    let (code, _) = cluster.json("GET", &format!("{BOATS}/free"), &Value::Null).await;
    assert_eq!(code, 404);
    let (code, status) = cluster.json("POST", BOATS, &boat("late", json!({"colour": "red"}))).await;
    assert_eq!((code, &status["reason"]), (405, &json!("MethodNotAllowed")), "{status}");
    let patch = br#"{"metadata":{"finalizers":null}}"#.to_vec();
    let (code, gone) = cluster.call("PATCH", &format!("{BOATS}/held"), "application/merge-patch+json", patch).await;
    assert_eq!(code, 200, "{gone}");
    let (code, _) = cluster.json("GET", &one, &Value::Null).await;
    assert_eq!(code, 404);
    let (code, _) = cluster.json("GET", BOATS, &Value::Null).await;
    assert_eq!(code, 404);
}

#[tokio::test]
async fn a_bad_definition_is_refused() {
    let cluster = Cluster::start().await;
    let mut wrong = definition();
    wrong["metadata"]["name"] = json!("ships.example.com");
    wrong["spec"]["versions"][0]["storage"] = json!(false);
    wrong["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["type"] = json!("");
    let (code, status) = cluster.json("POST", DEFINITIONS, &wrong).await;
    assert_eq!(code, 422);
    let text = status["message"].as_str().unwrap();
    for part in [
        "must be spec.names.plural+\".\"+spec.group",
        "must have exactly one version marked as storage version",
        "spec.versions[0].schema.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object fields",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn rules_in_a_schema_are_checked_against_the_object_and_the_one_before() {
    let cluster = Cluster::start().await;
    let mut ruled = definition();
    let spec = &mut ruled["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    spec["x-kubernetes-validations"] = json!([
        {"rule": "self.crew != 13", "message": "thirteen is unlucky"},
        {"rule": "self.colour == oldSelf.colour", "message": "a boat keeps its colour"},
    ]);
    let (code, made) = cluster.json("POST", DEFINITIONS, &ruled).await;
    assert_eq!(code, 201, "{made}");
    let (code, status) = cluster.json("POST", BOATS, &boat("a", json!({"colour": "red", "crew": 13}))).await;
    assert_eq!(code, 422, "{status}");
    assert!(status["message"].as_str().unwrap().contains("thirteen is unlucky"), "{status}");
    let (code, mut object) = cluster.json("POST", BOATS, &boat("a", json!({"colour": "red"}))).await;
    assert_eq!(code, 201, "{object}");
    object["spec"]["colour"] = json!("blue");
    let (code, status) = cluster.json("PUT", &format!("{BOATS}/a"), &object).await;
    assert_eq!(code, 422, "{status}");
    assert!(status["message"].as_str().unwrap().contains("a boat keeps its colour"), "{status}");
}

#[tokio::test]
async fn custom_kinds_are_still_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start_in(folder.path()).await;
    cluster.json("POST", DEFINITIONS, &definition()).await;
    cluster.json("POST", BOATS, &boat("a", json!({"colour": "red"}))).await;
    drop(cluster);
    let cluster = Cluster::start_again_in(folder.path()).await;
    let (code, read) = cluster.json("GET", &format!("{BOATS}/a"), &Value::Null).await;
    assert_eq!((code, &read["spec"]["colour"]), (200, &json!("red")), "{read}");
}
