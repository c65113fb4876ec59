//! Images that this agent fetched and no pod of the machine uses go when the disk runs full; one that a person loaded is theirs to remove. Looked at when an image has come, since that is what fills it.
//! Local nodes share the images: the pods of the others are known by what they have on disk.

use std::collections::BTreeSet;

use crate::pod::Pods;
use crate::register::disk_bytes;
use crate::site::Site;

/// From this share of the disk in use on, images are collected.
const COLLECT_PERCENT: i64 = 85;
/// With less than this left, the node says that its disk is nearly full: enough for logs and writable layers to go on for a while,
/// and no share of the disk, which on a large one would turn pods away for nothing.
const FREE_BYTES_MIN: i64 = 1 << 30;

/// Collects if need be; returns whether the disk is still nearly full.
pub(crate) async fn make_room(site: &Site, pods: &Pods) -> bool {
    if used_percent(site) < COLLECT_PERCENT {
        return false;
    }
    // What was not fetched may not be had again.
    let fetched = site.pulls.fetched();
    let all = site.images.list().into_iter().map(|image| image.id);
    let mut in_use: BTreeSet<String> = all.filter(|id| !fetched.contains(id)).collect();
    let own = pods.all().into_iter().map(|seen| names(&seen.pod));
    let of_others =
        neighbours(site).iter().filter_map(|folder| crate::pod::on_disk(folder)).map(|pod| names(&pod)).collect::<Vec<_>>();
    for name in own.chain(of_others).flatten() {
        in_use.extend(site.images.find(&name).map(|image| image.id));
    }
    match site.images.collect(&in_use).await {
        Ok(collected) => tracing::info!(images = collected.images.len(), bytes = collected.bytes, "images are collected"),
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "images are not collected"),
    }
    disk_bytes(&site.folder).1 < FREE_BYTES_MIN
}

/// The folders of the pods of all nodes beside this one.
fn neighbours(site: &Site) -> Vec<std::path::PathBuf> {
    let entries = |path: &std::path::Path| {
        std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let nodes = site.folder.parent().map(entries).unwrap_or_default();
    nodes.iter().flat_map(|node| entries(&crate::site::pods_of(node))).collect()
}

fn used_percent(site: &Site) -> i64 {
    let (all, free) = disk_bytes(&site.folder);
    if all == 0 { 0 } else { (all - free) * 100 / all }
}

/// The images that a pod names.
fn names(pod: &k8s_openapi::api::core::v1::Pod) -> Vec<String> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let plain = spec.containers.iter().chain(spec.init_containers.iter().flatten()).filter_map(|c| c.image.clone());
    let ephemeral = spec.ephemeral_containers.iter().flatten().filter_map(|c| c.image.clone());
    let volumes = spec.volumes.iter().flatten().filter_map(|volume| volume.image.as_ref()?.reference.clone());
    plain.chain(ephemeral).chain(volumes).collect()
}
