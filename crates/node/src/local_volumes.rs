//! The folders of local persistent volumes: when a volume of this node is deleted, its folder goes and then the finalizer that waited for it.

use std::path::{Component, Path};
use std::sync::Arc;

use ::client::Cache;
use ::client::cache::Options;
use api::identity::{VOLUME_NODE_LABEL, node_label};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::{Api, Patch, PatchParams};

use crate::site::Site;

/// Says which node has the folder.
const NODE: &str = "coracle.dev/node";
/// Waits until the folder is gone.
const FINALIZER: &str = "coracle.dev/local-path";

/// Follows the volumes for as long as it is polled.
pub(crate) async fn follow(site: Arc<Site>) {
    // A node may see no others.
    let labels = format!("{VOLUME_NODE_LABEL}={}", node_label(&site.name));
    let cache: Arc<Cache<PersistentVolume>> = Cache::start(site.client.clone(), Options { labels, ..Options::default() });
    let mut changes = cache.changes();
    while let Some(change) = changes.next().await {
        let Some(volume) = change.new.filter(|volume| is_ours_to_end(volume, &site.name)) else { continue };
        if let Err(why) = end(&site, &volume).await {
            tracing::warn!(volume = volume.metadata.name, why, "the folder of a volume is not gone yet");
        }
    }
}

fn is_ours_to_end(volume: &PersistentVolume, node: &str) -> bool {
    let meta = &volume.metadata;
    let on = meta.annotations.as_ref().and_then(|all| all.get(NODE)).map(String::as_str);
    let waits = meta.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER);
    meta.deletion_timestamp.is_some() && on == Some(node) && waits
}

async fn end(site: &Site, volume: &PersistentVolume) -> Result<(), String> {
    let local = volume.spec.as_ref().and_then(|spec| spec.local.as_ref());
    if let Some(path) = local.map(|local| Path::new(&local.path)) {
        if !is_inside(path, &site.folder.join("volumes")) {
            return Err(format!("{} is not a folder of this node's volumes", path.display()));
        }
        match tokio::fs::remove_dir_all(path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.to_string()),
            _ => {}
        }
    }
    let name = volume.metadata.name.as_deref().unwrap_or_default();
    let left: Vec<&String> = volume.metadata.finalizers.iter().flatten().filter(|one| *one != FINALIZER).collect();
    // The version guards the finalizers of others.
    let patch = serde_json::json!({
        "metadata": { "finalizers": left, "resourceVersion": volume.metadata.resource_version },
    });
    let api: Api<PersistentVolume> = Api::all(site.client.clone());
    match api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        Ok(_) => Ok(()),
        // Another change came between: its event brings us here again.
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a path lies strictly below a folder, as it is written and as it resolves.
fn is_inside(path: &Path, folder: &Path) -> bool {
    let plain = path.components().all(|part| !matches!(part, Component::ParentDir | Component::CurDir));
    if !plain || !path.starts_with(folder) || path == folder {
        return false;
    }
    let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
    match (parent, folder.canonicalize()) {
        (Some(parent), Ok(folder)) => parent.starts_with(folder),
        // Nothing is there any more.
        (None, _) => true,
        (_, Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_volumes_are_ever_removed() {
        let dir = tempfile::tempdir().unwrap();
        let volumes = dir.path().join("volumes");
        std::fs::create_dir_all(volumes.join("pvc-1")).unwrap();
        std::os::unix::fs::symlink("/etc", volumes.join("link")).unwrap();
        let table = [
            (volumes.join("pvc-1"), true),
            (volumes.join("gone"), true),
            (volumes.clone(), false),
            (volumes.join("../pods"), false),
            (dir.path().join("pods"), false),
            (volumes.join("link/passwd"), false),
            (std::path::PathBuf::from("/etc"), false),
        ];
        for (path, inside) in table {
            assert_eq!(is_inside(&path, &volumes), inside, "{}", path.display());
        }
    }
}
