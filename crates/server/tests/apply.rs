//! Server-side apply and the record of owned fields, through the service itself.

mod fixture;

use fixture::Cluster;
use serde_json::{Value, json};

const ALL: &str = "/api/v1/namespaces/default/configmaps";

async fn apply(cluster: &Cluster, query: &str, data: Value) -> (u16, Value) {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}).to_string();
    cluster.call("PATCH", &format!("{ALL}/a?{query}"), "application/apply-patch+yaml", body.into_bytes()).await
}

#[tokio::test]
async fn appliers_share_an_object_field_by_field() {
    let cluster = Cluster::start().await;
    let (code, created) = apply(&cluster, "fieldManager=one", json!({"x": "1", "y": "1"})).await;
    assert_eq!(code, 201, "{created}");
    let entry = &created["metadata"]["managedFields"][0];
    assert_eq!((&entry["manager"], &entry["operation"]), (&json!("one"), &json!("Apply")));
    assert_eq!(entry["fieldsV1"], json!({"f:data": {"f:x": {}, "f:y": {}}}));
    let (code, again) = apply(&cluster, "fieldManager=one", json!({"x": "1", "y": "1"})).await;
    assert_eq!((code, &again["metadata"]["resourceVersion"]), (200, &created["metadata"]["resourceVersion"]));
    let (code, status) = apply(&cluster, "fieldManager=two", json!({"x": "2"})).await;
    assert_eq!((code, &status["reason"]), (409, &json!("Conflict")), "{status}");
    assert_eq!(status["message"], "Apply failed with 1 conflict: conflict with \"one\": .data.x");
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldManagerConflict");
    let (code, forced) = apply(&cluster, "fieldManager=two&force=true", json!({"x": "2"})).await;
    assert_eq!((code, &forced["data"]), (200, &json!({"x": "2", "y": "1"})));
    let (_, left) = apply(&cluster, "fieldManager=one", json!({})).await;
    assert_eq!(left["data"], json!({"x": "2"}));
    let (code, status) = apply(&cluster, "", json!({"x": "2"})).await;
    assert_eq!(code, 422, "{status}");
}

#[tokio::test]
async fn creates_updates_and_patches_are_recorded_and_a_record_can_be_wiped() {
    let cluster = Cluster::start().await;
    let (_, mut object) = cluster.json("POST", ALL, &json!({"metadata": {"name": "a"}, "data": {"x": "1"}})).await;
    let entry = &object["metadata"]["managedFields"][0];
    assert_eq!(
        (&entry["manager"], &entry["operation"], &entry["apiVersion"]),
        (&json!("battery"), &json!("Update"), &json!("v1"))
    );
    assert_eq!(entry["fieldsV1"], json!({"f:data": {".": {}, "f:x": {}}}));
    object["data"]["x"] = json!("2");
    let (_, changed) = cluster.json("PUT", &format!("{ALL}/a?fieldManager=other"), &object).await;
    let fields: Vec<_> =
        changed["metadata"]["managedFields"].as_array().unwrap().iter().map(|e| (&e["manager"], &e["fieldsV1"])).collect();
    assert_eq!(fields, [(&json!("battery"), &json!({"f:data": {}})), (&json!("other"), &json!({"f:data": {"f:x": {}}}))]);
    object = changed;
    object["metadata"]["managedFields"] = json!([{}]);
    let (_, wiped) = cluster.json("PUT", &format!("{ALL}/a"), &object).await;
    assert_eq!(wiped["metadata"].get("managedFields"), None, "{wiped}");
    let (code, applied) = apply(&cluster, "fieldManager=one", json!({"x": "2"})).await;
    assert_eq!((code, applied["metadata"]["managedFields"].as_array().unwrap().len()), (200, 2), "{applied}");
}
