//! Discovery of groups, versions and resources, group by group or all at once (KEP-3352).

use api::{
    document::{Map, Value, meta},
    kind::{Group, Kind, KindTable, Subresource, Version},
};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::{State, body::Body, render, request::answer};

/// The media type of the answer that holds everything.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Answers `/api`, `/apis` and what lies below down to a version; `None` for anything else.
pub fn serve(state: &State, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let kinds = state.kinds();
    let all = matches!(path, "/api" | "/apis") && asks_for_all(headers);
    let document = match path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        [root @ ("api" | "apis")] if all => aggregated(&kinds, *root == "api", &state.served.all()),
        ["api"] => versions(),
        ["apis"] => groups(&known(state, &kinds)),
        ["api", version] => resources(&kinds, "", version)?,
        ["apis", name] => group(known(state, &kinds).iter().find(|group| group.name == *name && !name.is_empty())?, true),
        ["apis", name, version] if !name.is_empty() => resources(&kinds, name, version)?,
        _ => return None,
    };
    let mut response = answer(StatusCode::OK, &document);
    if all {
        response = render::respond(StatusCode::OK, AGGREGATED, crate::body::whole(document.to_json()));
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    Some(response)
}

fn asks_for_all(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT);
    let first = lines.iter().filter_map(|value| value.to_str().ok()).flat_map(|line| line.split(',')).find(|part| {
        let part = part.replace(' ', "");
        !part.contains("as=") || (part.contains("as=APIGroupDiscoveryList") && part.contains("v=v2;") | part.ends_with("v=v2"))
    });
    first.is_some_and(|part| part.contains("APIGroupDiscoveryList"))
}

fn versions() -> Value {
    serde_json::json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1:6443"}],
    })
    .into()
}

/// The groups served here, and behind those the ones that extensions serve.
fn known(state: &State, kinds: &KindTable) -> Vec<Group> {
    let mut groups = kinds.groups();
    for (name, version, _) in state.served.all() {
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.versions.push(version),
            None => groups.push(Group { name, versions: vec![version] }),
        }
    }
    groups
}

fn groups(named: &[Group]) -> Value {
    let mut list = Value::object();
    list.set_at(&["kind"], "APIGroupList");
    list.set_at(&["apiVersion"], "v1");
    let groups = named.iter().filter(|group| !group.name.is_empty()).map(|found| group(found, false));
    list.set_at(&["groups"], Value::Array(groups.collect()));
    list
}

fn group(group: &Group, alone: bool) -> Value {
    let version = |name: &String| {
        let mut version = Map::new();
        version.insert("groupVersion", format!("{}/{name}", group.name));
        version.insert("version", name.as_str());
        Value::Object(version)
    };
    let mut document = Value::object();
    if alone {
        document.set_at(&["kind"], "APIGroup");
        document.set_at(&["apiVersion"], "v1");
    }
    document.set_at(&["name"], group.name.as_str());
    document.set_at(&["versions"], Value::Array(group.versions.iter().map(version).collect()));
    if let Some(preferred) = group.versions.first() {
        document.set_at(&["preferredVersion"], version(preferred));
    }
    document
}

fn resources(kinds: &KindTable, group: &str, version: &str) -> Option<Value> {
    let mut list = Vec::new();
    for (kind, version) in kinds.in_version(group, version) {
        list.push(resource(kind));
        list.extend(version.subresources.iter().map(|sub| subresource(kind, version, sub)));
    }
    if list.is_empty() {
        return None;
    }
    let mut document = Value::object();
    document.set_at(&["kind"], "APIResourceList");
    document.set_at(&["apiVersion"], "v1");
    document.set_at(&["groupVersion"], meta::join_api_version(group, version));
    document.set_at(&["resources"], Value::Array(list));
    Some(document)
}

fn strings<'t>(texts: impl IntoIterator<Item = &'t str>) -> Value {
    Value::Array(texts.into_iter().map(Into::into).collect())
}

fn resource(kind: &Kind) -> Value {
    let mut resource = Value::object();
    resource.set_at(&["name"], kind.plural.clone());
    resource.set_at(&["singularName"], kind.singular.clone());
    resource.set_at(&["namespaced"], kind.is_namespaced());
    resource.set_at(&["kind"], kind.kind.clone());
    resource.set_at(&["verbs"], strings(kind.verbs.iter().copied()));
    if !kind.short_names.is_empty() {
        resource.set_at(&["shortNames"], strings(kind.short_names.iter().map(AsRef::as_ref)));
    }
    if !kind.categories.is_empty() {
        resource.set_at(&["categories"], strings(kind.categories.iter().map(AsRef::as_ref)));
    }
    resource
}

fn subresource(kind: &Kind, version: &Version, sub: &Subresource) -> Value {
    let mut resource = Value::object();
    resource.set_at(&["name"], format!("{}/{}", kind.plural, sub.name));
    resource.set_at(&["singularName"], "");
    resource.set_at(&["namespaced"], kind.is_namespaced());
    let (group, name, body) = response_kind(kind, version, sub);
    if sub.body.is_some() {
        resource.set_at(&["group"], group);
        resource.set_at(&["version"], name);
    }
    resource.set_at(&["kind"], body);
    resource.set_at(&["verbs"], strings(sub.verbs.iter().copied()));
    resource
}

fn response_kind<'k>(kind: &'k Kind, version: &'k Version, sub: &Subresource) -> (&'k str, &'k str, &'k str) {
    sub.body.unwrap_or((&kind.group, &version.name, &kind.kind))
}

/// Everything in one answer: `/api` holds the core group, `/apis` the others.
fn aggregated(kinds: &KindTable, core: bool, extensions: &[(String, String, Value)]) -> Value {
    let mut items = Vec::new();
    for group in kinds.groups().iter().filter(|group| group.name.is_empty() == core) {
        let versions = group.versions.iter().map(|version| {
            let mut item = Value::object();
            item.set_at(&["version"], version.as_str());
            let resources = kinds.in_version(&group.name, version).map(|(kind, version)| aggregated_resource(kind, version));
            item.set_at(&["resources"], Value::Array(resources.collect()));
            item.set_at(&["freshness"], "Current");
            item
        });
        let mut item = Value::object();
        item.set_at(&["metadata"], Value::object());
        if !core {
            item.set_at(&["metadata", "name"], group.name.as_str());
        }
        item.set_at(&["metadata", "creationTimestamp"], Value::Null);
        item.set_at(&["versions"], Value::Array(versions.collect()));
        items.push(item);
    }
    for (group, version, resources) in extensions.iter().filter(|_| !core) {
        let version = api::value!({
            "version": version, "freshness": "Current",
            "resources": serde_json::Value::from(&Value::Array(foreign_resources(group, version, resources))),
        });
        let mut item = api::value!({"metadata": {"name": group, "creationTimestamp": null}});
        item.set_at(&["versions"], Value::Array(vec![version]));
        items.push(item);
    }
    let mut list = Value::object();
    list.set_at(&["kind"], "APIGroupDiscoveryList");
    list.set_at(&["apiVersion"], "apidiscovery.k8s.io/v2");
    list.set_at(&["metadata"], Value::object());
    list.set_at(&["items"], Value::Array(items));
    list
}

/// The resources that an extension listed, in the form of the whole.
fn foreign_resources(group: &str, version: &str, list: &Value) -> Vec<Value> {
    let written = list.array_at(&["resources"]);
    let name = |resource: &Value| resource.str_at(&["name"]).unwrap_or_default().to_owned();
    let item = |resource: &Value, field: &str, name: &str| {
        let text = |field: &str, otherwise: &str| {
            resource.str_at(&[field]).filter(|text| !text.is_empty()).unwrap_or(otherwise).to_owned()
        };
        let mut item = Value::object();
        item.set_at(&[field], name);
        item.set_at(&["responseKind"], response(&text("group", group), &text("version", version), &text("kind", "")));
        item.set_at(&["verbs"], resource.field("verbs").cloned().unwrap_or_default());
        item
    };
    let whole = written.iter().filter(|resource| !name(resource).contains('/'));
    whole
        .map(|resource| {
            let own = name(resource);
            let mut found = item(resource, "resource", &own);
            found.set_at(&["scope"], if resource.bool_at(&["namespaced"]) == Some(true) { "Namespaced" } else { "Cluster" });
            found.set_at(&["singularResource"], resource.str_at(&["singularName"]).unwrap_or_default());
            for field in ["shortNames", "categories"] {
                if let Some(names) = resource.field(field) {
                    found.set_at(&[field], names.clone());
                }
            }
            let below: Vec<Value> = written
                .iter()
                .filter_map(|sub| Some(item(sub, "subresource", name(sub).strip_prefix(&format!("{own}/"))?)))
                .collect();
            if !below.is_empty() {
                found.set_at(&["subresources"], Value::Array(below));
            }
            found
        })
        .collect()
}

fn aggregated_resource(kind: &Kind, version: &Version) -> Value {
    let mut resource = Value::object();
    resource.set_at(&["resource"], kind.plural.clone());
    resource.set_at(&["responseKind"], response(&kind.group, &version.name, &kind.kind));
    resource.set_at(&["scope"], if kind.is_namespaced() { "Namespaced" } else { "Cluster" });
    resource.set_at(&["singularResource"], kind.singular.clone());
    resource.set_at(&["verbs"], strings(kind.verbs.iter().copied()));
    if !kind.short_names.is_empty() {
        resource.set_at(&["shortNames"], strings(kind.short_names.iter().map(AsRef::as_ref)));
    }
    if !kind.categories.is_empty() {
        resource.set_at(&["categories"], strings(kind.categories.iter().map(AsRef::as_ref)));
    }
    let subresources: Vec<Value> = version
        .subresources
        .iter()
        .map(|sub| {
            let (group, name, body) = response_kind(kind, version, sub);
            let mut item = Value::object();
            item.set_at(&["subresource"], sub.name.clone());
            item.set_at(&["responseKind"], response(group, name, body));
            item.set_at(&["verbs"], strings(sub.verbs.iter().copied()));
            item
        })
        .collect();
    if !subresources.is_empty() {
        resource.set_at(&["subresources"], Value::Array(subresources));
    }
    resource
}

fn response(group: &str, version: &str, kind: &str) -> Value {
    let mut response = Value::object();
    response.set_at(&["group"], group);
    response.set_at(&["version"], version);
    response.set_at(&["kind"], kind);
    response
}
