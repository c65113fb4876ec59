//! The operations of a kind: what clients look up to learn which kind a path has and which parameters a write takes.

use super::definition::Dialect;
use crate::kind::{Kind, Version};
use serde_json::{Map, Value, json};

/// Adds the paths of a kind's version.
pub(super) fn add(paths: &mut Map<String, Value>, kind: &Kind, version: &Version, dialect: Dialect) {
    let root =
        if kind.group.is_empty() { format!("/api/{}", version.name) } else { format!("/apis/{}/{}", kind.group, version.name) };
    let collection = if kind.is_namespaced() {
        format!("{root}/namespaces/{{namespace}}/{}", kind.plural)
    } else {
        format!("{root}/{}", kind.plural)
    };
    let namespaced = kind.is_namespaced();
    let write = |verb: &str, action: &str| operation(kind, version, verb, action, dialect);
    let mut all = Map::new();
    for (verb, method, action) in
        [("list", "get", "list"), ("create", "post", "post"), ("deletecollection", "delete", "deletecollection")]
    {
        if kind.has_verb(verb) {
            all.insert(method.into(), write(verb, action));
        }
    }
    insert(paths, &collection, all, namespaced, false, dialect);
    let mut one = Map::new();
    for (verb, method, action) in
        [("get", "get", "get"), ("update", "put", "put"), ("patch", "patch", "patch"), ("delete", "delete", "delete")]
    {
        if kind.has_verb(verb) {
            one.insert(method.into(), write(verb, action));
        }
    }
    let named = format!("{collection}/{{name}}");
    insert(paths, &named, one, namespaced, true, dialect);
    if namespaced && kind.has_verb("list") {
        let everywhere: Map<String, Value> = [("get".to_owned(), write("list", "list"))].into_iter().collect();
        insert(paths, &format!("{root}/{}", kind.plural), everywhere, false, false, dialect);
    }
    for sub in version.subresources.iter() {
        let mut operations = Map::new();
        for (verb, method) in [("get", "get"), ("create", "post"), ("update", "put"), ("patch", "patch")] {
            if sub.verbs.contains(&verb) {
                operations.insert(method.into(), write(verb, method));
            }
        }
        insert(paths, &format!("{named}/{}", sub.name), operations, namespaced, true, dialect);
    }
}

fn insert(
    paths: &mut Map<String, Value>,
    path: &str,
    mut operations: Map<String, Value>,
    namespaced: bool,
    named: bool,
    dialect: Dialect,
) {
    if operations.is_empty() {
        return;
    }
    let mut parameters = Vec::new();
    for (is, name) in [(named, "name"), (namespaced, "namespace")] {
        if is {
            parameters.push(parameter(name, "path", true, dialect));
        }
    }
    operations.insert("parameters".into(), Value::Array(parameters));
    paths.insert(path.to_owned(), Value::Object(operations));
}

fn parameter(name: &str, place: &str, required: bool, dialect: Dialect) -> Value {
    let mut parameter = match dialect {
        Dialect::V2 => json!({"name": name, "in": place, "type": "string", "uniqueItems": true}),
        Dialect::V3 => json!({"name": name, "in": place, "schema": {"type": "string", "uniqueItems": true}}),
    };
    if required {
        parameter["required"] = json!(true);
    }
    parameter
}

fn operation(kind: &Kind, version: &Version, verb: &str, action: &str, dialect: Dialect) -> Value {
    let parameters: &[&str] = match verb {
        "create" | "update" => &["dryRun", "fieldManager", "fieldValidation"],
        "patch" => &["dryRun", "fieldManager", "fieldValidation", "force"],
        "delete" => &["dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy"],
        "list" => &[
            "allowWatchBookmarks",
            "continue",
            "fieldSelector",
            "labelSelector",
            "limit",
            "resourceVersion",
            "resourceVersionMatch",
            "sendInitialEvents",
            "timeoutSeconds",
            "watch",
        ],
        _ => &[],
    };
    let name = match verb {
        "list" => format!("{}List", super::name(kind, version)),
        _ => super::name(kind, version),
    };
    let schema = json!({"$ref": dialect.reference(&name)});
    let response = match dialect {
        Dialect::V2 => json!({"description": "OK", "schema": schema}),
        Dialect::V3 => json!({"description": "OK", "content": {"application/json": {"schema": schema}}}),
    };
    let mut operation = json!({
        "description": format!("{verb} {}", kind.kind),
        "operationId": format!("{verb}{}{}{}", kind.group.replace(['.', '-'], ""), version.name, kind.kind),
        "responses": {"200": response},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {"group": kind.group, "kind": kind.kind, "version": version.name},
    });
    if !parameters.is_empty() {
        operation["parameters"] = parameters.iter().map(|name| parameter(name, "query", false, dialect)).collect();
    }
    operation
}
