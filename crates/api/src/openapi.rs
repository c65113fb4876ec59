//! OpenAPI documents derived from the kind table: v3 a group and version, and v2 of everything.
//!
//! Good for `kubectl explain`, client-side validation and completion. Never says more than the table and the schemas do.

mod definition;
mod paths;

use crate::kind::{Kind, KindTable, Version};
use definition::Dialect;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Definitions that every document with operations refers to.
const META: &[&str] = &[
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Patch",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
    "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent",
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta",
];

/// The OpenAPI v3 document of one group and version (`""`, `v1` for core); `None` if nothing is served there.
pub fn document(group: &str, version: &str, kinds: &KindTable) -> Option<Value> {
    let rows: Vec<_> = kinds.in_version(group, version).collect();
    if rows.is_empty() {
        return None;
    }
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    let mut open: Vec<String> = META.iter().map(|name| (*name).to_owned()).collect();
    for (kind, version) in rows {
        paths::add(&mut paths, kind, version, Dialect::V3);
        add_kind(&mut schemas, &mut open, kind, version, Dialect::V3);
    }
    close(&mut schemas, open, Dialect::V3);
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.37.2"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

/// The path below `/openapi/v3/` of a group and version: `api/v1`, `apis/apps/v1`.
pub fn path(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// The OpenAPI v2 document of everything.
pub fn swagger(kinds: &KindTable) -> Value {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    let mut open: Vec<String> = META.iter().map(|name| (*name).to_owned()).collect();
    for kind in kinds.iter() {
        for version in kind.versions.iter().filter(|version| version.served) {
            paths::add(&mut paths, kind, version, Dialect::V2);
            add_kind(&mut definitions, &mut open, kind, version, Dialect::V2);
        }
    }
    close(&mut definitions, open, Dialect::V2);
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.37.2"},
        "paths": paths,
        "definitions": definitions,
    })
}

/// The name of a kind's definition: a built-in one's own, or the group backwards with version and kind.
fn name(kind: &Kind, version: &Version) -> String {
    if !version.definition.is_empty() {
        return crate::schema::named(version.definition).and_then(|schema| schema.name.as_deref()).unwrap_or_default().to_owned();
    }
    let group: Vec<&str> = kind.group.split('.').rev().collect();
    format!("{}.{}.{}", group.join("."), version.name, kind.kind)
}

fn add_kind(schemas: &mut Map<String, Value>, open: &mut Vec<String>, kind: &Kind, version: &Version, dialect: Dialect) {
    let (own, list) = (name(kind, version), format!("{}List", name(kind, version)));
    let mark = |schema: &mut Value, named: &str| {
        schema["x-kubernetes-group-version-kind"] = json!([{"group": kind.group, "kind": named, "version": version.name}]);
    };
    let mut schema = match &version.custom_openapi {
        Some(written) => definition::custom(written, dialect),
        None => definition::built_in(&own, dialect),
    };
    mark(&mut schema, &kind.kind);
    references(&schema, open);
    schemas.insert(own.clone(), schema);
    if kind.has_verb("list") {
        let mut schema = definition::list(&own, &list, &kind.kind, version.custom_openapi.is_some(), dialect);
        mark(&mut schema, &kind.list_kind);
        references(&schema, open);
        schemas.insert(list, schema);
    }
}

/// Adds what is referred to, until nothing is missing.
fn close(schemas: &mut Map<String, Value>, mut open: Vec<String>, dialect: Dialect) {
    let mut seen = BTreeSet::new();
    while let Some(name) = open.pop() {
        if schemas.contains_key(&name) || !seen.insert(name.clone()) {
            continue;
        }
        let schema = definition::built_in(&name, dialect);
        references(&schema, &mut open);
        schemas.insert(name, schema);
    }
    schemas.sort_keys();
}

fn references(schema: &Value, open: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "$ref" => open.push(text.rsplit('/').next().unwrap_or(text).to_owned()),
                    other => references(other, open),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, open)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_of_every_document_leads_somewhere() {
        let kinds = KindTable::built_in();
        for group in kinds.groups() {
            for version in &group.versions {
                let document = document(&group.name, version, &kinds).unwrap();
                let mut open = Vec::new();
                references(&document, &mut open);
                for name in open {
                    assert!(document["components"]["schemas"][&name].is_object(), "{name} in {}/{version}", group.name);
                }
            }
        }
        let swagger = swagger(&kinds);
        let mut open = Vec::new();
        references(&swagger, &mut open);
        assert!(open.iter().all(|name| swagger["definitions"][name].is_object()));
    }

    #[test]
    fn a_pod_is_described_with_its_kind_fields_and_merge_keys() {
        let document = document("", "v1", &KindTable::built_in()).unwrap();
        let schemas = &document["components"]["schemas"];
        let pod = &schemas["io.k8s.api.core.v1.Pod"];
        assert_eq!(pod["x-kubernetes-group-version-kind"], json!([{"group": "", "kind": "Pod", "version": "v1"}]));
        assert!(pod["description"].as_str().unwrap().starts_with("Pod is a collection of containers"));
        let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
        assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
        assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
        let patch = &document["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
        assert_eq!(patch["x-kubernetes-group-version-kind"]["kind"], "Pod");
    }
}
