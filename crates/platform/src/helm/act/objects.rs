//! The objects of a release: read from its manifest, marked as its own, brought in and taken away. It keeps no records.

use std::collections::BTreeSet;

use chart::release::{self, Release};
use serde_json::{Value as Json, json};

use super::super::HelmError;
use super::super::cluster::{Cluster, ClusterError, text};
use super::{Applied, Taken, Uninstall};

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

/// What tells objects apart: group, kind, namespace and name.
pub(super) type Key = (String, String, String, String);

pub(super) fn key(cluster: &Cluster, object: &Json) -> Key {
    let group = text(object, "/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
    (
        group.to_owned(),
        text(object, "/kind").to_owned(),
        cluster.namespace_of(object).to_owned(),
        text(object, "/metadata/name").to_owned(),
    )
}

pub(super) fn marked(manifest: &str, name: &str, namespace: &str) -> Result<Vec<Json>, HelmError> {
    let mut objects = objects(manifest)?;
    objects.iter_mut().for_each(|object| mark(object, name, namespace));
    Ok(objects)
}

/// Looks which of some objects are there, and refuses those that are not the release's, unless `owner` is nobody.
pub(super) async fn look(
    cluster: &Cluster,
    wanted: &[Json],
    owner: Option<&str>,
    doing: &'static str,
) -> Result<BTreeSet<Key>, HelmError> {
    let mut there = BTreeSet::new();
    for object in wanted {
        let Some(found) = cluster.find(object).await? else { continue };
        if let Some(Err(why)) = owner.map(|name| ownership(&found, name, &cluster.namespace)) {
            let (kind, at) = (text(object, "/kind"), text(object, "/metadata/name"));
            let namespace = text(&found, "/metadata/namespace");
            let object = format!("{kind} {at:?} in namespace {namespace:?}");
            return Err(HelmError::Adopt { doing, object, why });
        }
        there.insert(key(cluster, object));
    }
    Ok(there)
}

/// An object as errors name it: its place and its kind.
fn named(cluster: &Cluster, object: &Json) -> String {
    let (group, version) = text(object, "/apiVersion").rsplit_once('/').unwrap_or(("", text(object, "/apiVersion")));
    let (namespace, name) = (cluster.namespace_of(object), text(object, "/metadata/name"));
    format!("{namespace}/{name} {group}/{version}, Kind={}", text(object, "/kind"))
}

/// One set of objects takes the place of another.
pub(super) struct Change<'c> {
    /// What was applied last.
    pub(super) old: &'c [Json],
    /// What others, which came to no end, may have left.
    pub(super) left: &'c [Json],
    /// What is to be there.
    pub(super) new: &'c [Json],
    /// Which of the new ones that are not among the old are there.
    pub(super) found: BTreeSet<Key>,
    /// By the server, not merged here.
    pub(super) server_side: bool,
    /// What was merged here before is applied from now on.
    pub(super) adopt: bool,
}

impl Change<'_> {
    /// Makes all of the new objects; those of one kind at once.
    pub(super) async fn make(&self, cluster: &Cluster) -> Result<(), HelmError> {
        for batch in self.new.chunk_by(|a, b| a["kind"] == b["kind"]) {
            let made = futures::future::join_all(batch.iter().map(|object| make(cluster, object, self.server_side, false))).await;
            let wrong: Vec<String> = made.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
            if !wrong.is_empty() {
                return Err(HelmError::Objects(wrong.join("\n")));
            }
        }
        Ok(())
    }

    /// Brings in the new objects and takes the old ones away that are not among them; says which were made.
    pub(super) async fn carry_out(&self, cluster: &Cluster, how: &Applied) -> Result<Vec<Json>, (Vec<Json>, HelmError)> {
        let refused = match (self.server_side, how.force_conflicts, how.force_replace) {
            (false, true, _) => "invalid client update option(s): forceConflicts enabled when serverSideApply disabled",
            (_, true, true) => "invalid operation: cannot use force conflicts and force replace together",
            (true, _, true) => "invalid operation: cannot use server-side apply and force replace together",
            _ => "",
        };
        if !refused.is_empty() {
            return Err((Vec::new(), HelmError::Objects(refused.to_owned())));
        }
        let (mut made, mut wrong) = (Vec::new(), Vec::new());
        for object in self.new {
            let same = |it: &&Json| key(cluster, it) == key(cluster, object);
            let before: Vec<&Json> = self.old.iter().find(same).into_iter().chain(self.left.iter().filter(same)).collect();
            if !before.is_empty() || self.found.contains(&key(cluster, object)) {
                if let Err(error) = self.update(cluster, &before, object, how).await {
                    wrong.push(error.to_string());
                }
                continue;
            }
            made.push(object.clone());
            if let Err(error) = make(cluster, object, self.server_side, how.force_conflicts).await {
                return Err((made, HelmError::Objects(format!("failed to create resource: {error}"))));
            }
        }
        if wrong.is_empty() {
            self.drop_old(cluster, &mut wrong).await;
        }
        if wrong.is_empty() { Ok(made) } else { Err((made, HelmError::Objects(wrong.join(" && ")))) }
    }

    async fn update(&self, cluster: &Cluster, before: &[&Json], new: &Json, how: &Applied) -> Result<(), HelmError> {
        if how.force_replace {
            let replaced = overwrite(cluster, new).await;
            return replaced.map_err(|error| HelmError::Objects(format!("failed to replace object: {error}")));
        }
        if self.server_side {
            if self.adopt {
                cluster.adopt_fields(new).await?;
            }
            return apply(cluster, new, how.force_conflicts).await;
        }
        let merged = cluster.merge(before, new).await;
        merged.map(drop).map_err(|error| {
            let (name, kind) = (text(new, "/metadata/name"), text(new, "/kind"));
            HelmError::Objects(format!("cannot patch {name:?} with kind {kind}: {error}"))
        })
    }

    async fn drop_old(&self, cluster: &Cluster, wrong: &mut Vec<String>) {
        let stays = |it: &&Json| self.new.iter().any(|new| key(cluster, new) == key(cluster, it));
        let owner = self.new.first().or(self.old.first()).map(|it| it["metadata"]["annotations"][RELEASE_NAME].clone());
        for (place, object) in self.old.iter().chain(self.left).enumerate().filter(|(_, it)| !stays(it)) {
            // What cannot be read is not taken away.
            let Ok(Some(live)) = cluster.find(object).await else { continue };
            let foreign = || owner.as_ref().is_none_or(|owner| live["metadata"]["annotations"][RELEASE_NAME] != *owner);
            if keeps(&live) || (place >= self.old.len() && foreign()) {
                continue;
            }
            if let Err(error) = cluster.delete(object, "Background").await {
                let (namespace, name) = (cluster.namespace_of(object), text(object, "/metadata/name"));
                let kind = text(object, "/kind");
                wrong.push(format!("failed to delete resource namespace={namespace}, name={name}, kind={kind}: {error}"));
            }
        }
    }
}

/// Makes an object.
pub(in crate::helm) async fn make(cluster: &Cluster, object: &Json, server_side: bool, force: bool) -> Result<(), HelmError> {
    if server_side {
        return apply(cluster, object, force).await;
    }
    match cluster.create(object).await? {
        Some(_) => Ok(()),
        None => {
            let resource = cluster.resource(object).await?;
            Err(HelmError::Objects(format!("{resource} {:?} already exists", text(object, "/metadata/name"))))
        }
    }
}

async fn apply(cluster: &Cluster, object: &Json, force: bool) -> Result<(), HelmError> {
    cluster.apply(object, force).await.map(drop).map_err(|error| {
        let what = match &error {
            ClusterError::FindKind { .. } => return error.into(),
            ClusterError::Refuse { code: 409, .. } => "conflict occurred while applying object",
            _ => "server-side apply failed for object",
        };
        HelmError::Objects(format!("{what} {}: {error}", named(cluster, object)))
    })
}

/// Writes an object over the one that is there.
async fn overwrite(cluster: &Cluster, new: &Json) -> Result<(), ClusterError> {
    let mut new = new.clone();
    let Some(live) = cluster.find(&new).await? else { return cluster.create(&new).await.map(drop) };
    new["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
    cluster.replace(&new).await.map(drop)
}

/// The objects of a manifest as they are, by version and kind, with the pods that they select; as tables if so wished.
///
/// # Errors
/// When the manifest cannot be read, or the API does not answer.
pub async fn resources(cluster: &Cluster, manifest: &str, table: bool) -> Result<Vec<(String, Vec<Json>)>, HelmError> {
    let mut all: Vec<(String, Vec<Json>)> = Vec::new();
    let mut add = |kind: &str, object: Json| match all.iter_mut().find(|(known, _)| known == kind) {
        Some((_, objects)) => objects.push(object),
        None => all.push((kind.to_owned(), vec![object])),
    };
    let (mut selectors, mut pods) = (Vec::new(), Vec::new());
    for object in objects(manifest)? {
        // What is not there is not told of.
        let Some(found) = cluster.show(&object, table).await? else { continue };
        let version = text(&object, "/apiVersion").rsplit('/').next().unwrap_or_default();
        add(&format!("{version}/{}", text(&object, "/kind")), found);
        let selector = match text(&object, "/kind") {
            "ReplicaSet" | "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => object.pointer("/spec/selector/matchLabels"),
            "ReplicationController" => object.pointer("/spec/selector"),
            _ => None,
        };
        let Some(selector) = selector.and_then(Json::as_object) else { continue };
        let pairs: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or(""))).collect();
        let selector = (cluster.namespace_of(&object).to_owned(), pairs.join(","));
        if !selectors.contains(&selector) {
            pods.extend(cluster.pods(&selector.0, &selector.1, table).await?);
            selectors.push(selector);
        }
    }
    pods.into_iter().for_each(|pod| add("v1/Pod(related)", pod));
    Ok(all)
}

const POLICY: &str = "/metadata/annotations/helm.sh~1resource-policy";

fn keeps(object: &Json) -> bool {
    text(object, POLICY).trim().eq_ignore_ascii_case("keep")
}

/// Takes a release's objects away; says what was not, and which were.
pub(super) async fn take_away(
    cluster: &Cluster,
    release: &Release,
    mut all: Vec<Json>,
    wish: &Uninstall,
) -> Result<(Taken, Vec<Json>), HelmError> {
    let place = |object: &Json| {
        let kind = text(object, "/kind");
        release::UNINSTALL_ORDER.iter().position(|known| *known == kind).unwrap_or(usize::MAX)
    };
    all.sort_by_key(place);
    let (kept, all): (Vec<Json>, Vec<Json>) = all.into_iter().partition(keeps);
    let (mut owned, mut foreign) = (Vec::new(), Vec::new());
    for object in all {
        let Some(found) = cluster.find(&object).await? else { continue };
        let own = ownership(&found, &release.name, &cluster.namespace).is_ok();
        if own { owned.push(object) } else { foreign.push(object) }
    }
    if !wish.dry {
        for object in &owned {
            let deleted = cluster.delete(object, wish.propagation).await;
            deleted.map_err(|_| HelmError::Delete(release.name.clone()))?;
        }
    }
    let lines = |objects: &[Json]| -> String {
        objects.iter().map(|it| format!("[{}] {}\n", text(it, "/kind"), text(it, "/metadata/name"))).collect()
    };
    let mut told = String::new();
    if !kept.is_empty() {
        told = format!("These resources were kept due to the resource policy:\n{}", lines(&kept));
    }
    if !foreign.is_empty() && !wish.dry {
        let gap = if told.is_empty() { "" } else { "\n" };
        let count = foreign.len();
        let text = "resource(s) were not deleted because they are not owned by this release";
        told = format!("{told}{gap}{count} {text}:\n{}", lines(&foreign));
    }
    let place = |it: &Json| {
        let (kind, name) = (text(it, "/kind").to_owned(), text(it, "/metadata/name").to_owned());
        (kind, name, cluster.namespace_of(it).to_owned())
    };
    let foreign = if wish.dry { Vec::new() } else { foreign.iter().map(place).collect() };
    Ok((Taken { kept: told, foreign }, owned))
}
