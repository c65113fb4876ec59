use super::*;
use crate::schema;

const DEPLOYMENT: &str = "io.k8s.api.apps.v1.Deployment";

fn manager(name: &str) -> Manager<'_> {
    Manager { name, api_version: "apps/v1", subresource: None, now: Timestamp::UNIX_EPOCH }
}

fn applied(live: Option<&Value>, configuration: &Value, name: &str, force: bool) -> Result<Value, Status> {
    apply(live, configuration, schema::named(DEPLOYMENT).unwrap(), manager(name), force, &[&["status"]])
}

fn configuration(replicas: Option<i64>, labels: &[&str], containers: &[(&str, &str)]) -> Value {
    let mut object = crate::value!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "uid": "u"}});
    object.remove_at(&["metadata", "uid"]);
    if let Some(replicas) = replicas {
        object.set_at(&["spec", "replicas"], replicas);
    }
    for label in labels {
        object.set_at(&["metadata", "labels", label], "x");
    }
    let containers: Vec<Value> = containers.iter().map(|(name, image)| crate::value!({"name": name, "image": image})).collect();
    if !containers.is_empty() {
        object.set_at(&["spec", "template", "spec", "containers"], Value::Array(containers));
    }
    object
}

fn fields(object: &Value, manager: &str) -> String {
    let entries = object.array_at(&["metadata", "managedFields"]);
    let entry = entries.iter().find(|entry| entry.str_at(&["manager"]) == Some(manager));
    entry.map(|entry| entry.field("fieldsV1").unwrap().to_string()).unwrap_or_default()
}

#[test]
fn what_is_applied_is_owned_field_by_field_and_item_by_item() {
    let object = applied(None, &configuration(Some(2), &["a"], &[("c", "i")]), "one", false).unwrap();
    assert_eq!(
        fields(&object, "one"),
        r#"{"f:metadata":{"f:labels":{"f:a":{}}},"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{}}}}}}}"#
    );
}

#[test]
fn what_is_no_longer_applied_goes_unless_another_owns_it() {
    let first = applied(None, &configuration(Some(2), &["a", "b"], &[("c", "i"), ("d", "i")]), "one", false).unwrap();
    let second = applied(Some(&first), &configuration(None, &["b"], &[]), "two", false).unwrap();
    let third = applied(Some(&second), &configuration(None, &[], &[("d", "j")]), "one", false).unwrap();
    assert_eq!(third.get(&["metadata", "labels"]), Some(&crate::value!({"b": "x"})));
    assert_eq!(third.get(&["spec", "replicas"]), None);
    assert_eq!(third.get(&["spec", "template", "spec", "containers"]), Some(&crate::value!([{"name": "d", "image": "j"}])));
}

#[test]
fn a_field_of_another_is_a_conflict_unless_forced() {
    let first = applied(None, &configuration(Some(2), &[], &[("c", "i")]), "one", false).unwrap();
    let refused = applied(Some(&first), &configuration(Some(3), &[], &[]), "two", false).unwrap_err();
    assert_eq!(refused.code, 409);
    assert_eq!(refused.message, "Apply failed with 1 conflict: conflict with \"one\": .spec.replicas");
    let refused = applied(Some(&first), &configuration(Some(3), &[], &[("c", "k")]), "two", false).unwrap_err();
    assert_eq!(
        refused.message,
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .spec.replicas\n- .spec.template.spec.containers[name=\"c\"].image"
    );
    let forced = applied(Some(&first), &configuration(Some(3), &[], &[]), "two", true).unwrap();
    assert_eq!(forced.i64_at(&["spec", "replicas"]), Some(3));
    assert!(!fields(&forced, "one").contains("replicas") && fields(&forced, "two").contains("replicas"));
    let shared = applied(Some(&first), &configuration(Some(2), &[], &[]), "two", false).unwrap();
    assert!(fields(&shared, "one").contains("replicas") && fields(&shared, "two").contains("replicas"));
}

#[test]
fn an_update_owns_what_it_changed_and_a_conflict_names_its_version() {
    let facts = schema::named(DEPLOYMENT).unwrap();
    let mut object = configuration(Some(2), &["a"], &[("c", "i")]);
    record_update(None, &mut object, facts, manager("curl"), &[&["status"]]);
    assert_eq!(
        fields(&object, "curl"),
        r#"{"f:metadata":{"f:labels":{".":{},"f:a":{}}},"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:image":{},"f:name":{}}}}}}}"#
    );
    let refused = applied(Some(&object), &configuration(Some(5), &[], &[]), "one", false).unwrap_err();
    assert_eq!(refused.message, "Apply failed with 1 conflict: conflict with \"curl\" using apps/v1: .spec.replicas");
    let mut changed = object.clone();
    changed.set_at(&["spec", "replicas"], 7_i64);
    record_update(Some(&object), &mut changed, facts, manager("other"), &[&["status"]]);
    assert!(!fields(&changed, "curl").contains("replicas"));
    assert_eq!(fields(&changed, "other"), r#"{"f:spec":{"f:replicas":{}}}"#);
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let wanted = configuration(Some(2), &["a"], &[("c", "i"), ("d", "j")]);
    let first = applied(None, &wanted, "one", false).unwrap();
    assert_eq!(applied(Some(&first), &wanted, "one", false).unwrap(), first);
}
