//! The objects of a release: read from its manifest, marked as its own, brought in and taken away. It keeps no records.

use chart::release::{self, Release};
use serde_json::{Value as Json, json};

use super::super::HelmError;
use super::super::cluster::{Cluster, text};
use super::{Applied, Uninstall};

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const RELEASE_NAME: &str = "meta.helm.sh/release-name";
const RELEASE_NAMESPACE: &str = "meta.helm.sh/release-namespace";

/// The objects of a manifest in the order in which they stand.
pub(super) fn objects(manifest: &str) -> Result<Vec<Json>, HelmError> {
    let mut objects = Vec::new();
    for document in release::documents(manifest) {
        let object = chart::yaml::read(document.as_bytes()).map_err(|error| HelmError::ReadManifest(error.to_string()))?;
        match object.get("items").and_then(Json::as_array).filter(|_| text(&object, "/kind").ends_with("List")) {
            Some(items) => objects.extend(items.iter().cloned()),
            None if object.is_object() => objects.push(object),
            None => {}
        }
    }
    Ok(objects)
}

fn mark(object: &mut Json, name: &str, namespace: &str) {
    object["metadata"]["labels"][MANAGED_BY] = json!("Helm");
    object["metadata"]["annotations"][RELEASE_NAME] = json!(name);
    object["metadata"]["annotations"][RELEASE_NAMESPACE] = json!(namespace);
}

/// What an object lacks of a release's marks.
fn ownership(object: &Json, name: &str, namespace: &str) -> Result<(), String> {
    let check = |place: &str, key: &str, wanted: &str| match object["metadata"][place].get(key).and_then(Json::as_str) {
        None => Some(format!("missing key {key:?}: must be set to {wanted:?}")),
        Some(found) if found != wanted => Some(format!("key {key:?} must equal {wanted:?}: current value is {found:?}")),
        Some(_) => None,
    };
    let label = check("labels", MANAGED_BY, "Helm").map(|why| format!("label validation error: {why}"));
    let annotations = [(RELEASE_NAME, name), (RELEASE_NAMESPACE, namespace)];
    let annotations = annotations
        .into_iter()
        .filter_map(|(key, wanted)| check("annotations", key, wanted))
        .map(|why| format!("annotation validation error: {why}"));
    let wrong: Vec<String> = label.into_iter().chain(annotations).collect();
    if wrong.is_empty() { Ok(()) } else { Err(format!("invalid ownership metadata; {}", wrong.join("; "))) }
}

pub(super) fn key(cluster: &Cluster, object: &Json) -> (String, String, String, String) {
    let group = text(object, "/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
    (
        group.to_owned(),
        text(object, "/kind").to_owned(),
        cluster.namespace_of(object).to_owned(),
        text(object, "/metadata/name").to_owned(),
    )
}

pub(super) async fn check_adoption(cluster: &Cluster, wanted: &[Json], name: &str, doing: &'static str) -> Result<(), HelmError> {
    for object in wanted {
        let Some(found) = cluster.find(object).await? else { continue };
        if let Err(why) = ownership(&found, name, &cluster.namespace) {
            let (kind, at) = (text(object, "/kind"), text(object, "/metadata/name"));
            let namespace = text(&found, "/metadata/namespace");
            let object = format!("{kind} {at:?} in namespace {namespace:?}");
            return Err(HelmError::Adopt { doing, object, why });
        }
    }
    Ok(())
}

pub(super) fn marked(manifest: &str, name: &str, namespace: &str) -> Result<Vec<Json>, HelmError> {
    let mut objects = objects(manifest)?;
    objects.iter_mut().for_each(|object| mark(object, name, namespace));
    Ok(objects)
}

pub(super) async fn apply_all(
    cluster: &Cluster,
    old: &[Json],
    new: &[Json],
    how: &Applied,
    server_side: bool,
) -> Result<(), HelmError> {
    for object in new {
        if server_side {
            cluster.apply(object, how.force_conflicts).await?;
        } else {
            let same = |it: &&Json| key(cluster, it) == key(cluster, object);
            cluster.merge(old.iter().find(same), object).await?;
        }
    }
    for gone in old.iter().filter(|it| !new.iter().any(|new| key(cluster, new) == key(cluster, it))) {
        if gone.pointer("/metadata/annotations/helm.sh~1resource-policy").is_some_and(|policy| policy == "keep") {
            continue;
        }
        cluster.delete(gone, "Background").await?;
    }
    Ok(())
}

pub(super) async fn take_away(cluster: &Cluster, release: &Release, wish: &Uninstall) -> Result<String, HelmError> {
    let mut all = objects(&release.manifest)?;
    let place = |object: &Json| {
        let kind = text(object, "/kind");
        release::UNINSTALL_ORDER.iter().position(|known| *known == kind).unwrap_or(usize::MAX)
    };
    all.sort_by_key(place);
    let policy = "/metadata/annotations/helm.sh~1resource-policy";
    let keeps = |object: &Json| text(object, policy).trim().eq_ignore_ascii_case("keep");
    let (kept, gone): (Vec<Json>, Vec<Json>) = all.into_iter().partition(|object| keeps(object));
    for object in &gone {
        let Some(found) = cluster.find(object).await? else { continue };
        if ownership(&found, &release.name, &cluster.namespace).is_ok() {
            cluster.delete(object, wish.propagation).await?;
        }
    }
    if kept.is_empty() {
        return Ok(String::new());
    }
    let lines = kept.iter().map(|it| format!("[{}] {}\n", text(it, "/kind"), text(it, "/metadata/name")));
    Ok(format!("These resources were kept due to the resource policy:\n{}", lines.collect::<String>()))
}
