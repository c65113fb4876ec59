//! What a Deployment notes on its ReplicaSets: revisions, the wanted and the largest number, and its own annotations.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::bounds::{Bounds, replicas};

/// Which change of the template this is.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// Which ones it was before, when a template came back.
pub const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// The wanted number of pods of the whole Deployment.
pub const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// That number and the surge.
pub const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";

/// What is not copied from a Deployment to its ReplicaSets.
const OWN: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];
/// The longest history.
const HISTORY_BYTES_MAX: usize = 2000;

/// The number in an annotation.
pub fn number(set: &ReplicaSet, name: &str) -> Option<i32> {
    set.metadata.annotations.as_ref()?.get(name)?.parse().ok()
}

/// The revision of a ReplicaSet; zero when it has none.
pub fn revision(set: &ReplicaSet) -> i64 {
    set.metadata.annotations.as_ref().and_then(|all| all.get(REVISION)).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Notes that a ReplicaSet is of the Deployment's template as its `to`th revision.
pub fn note_revision(deployment: &Deployment, set: &mut ReplicaSet, to: i64) {
    let before = revision(set);
    let annotations = set.metadata.annotations.get_or_insert_default();
    for (name, value) in deployment.metadata.annotations.iter().flatten() {
        if !OWN.contains(&name.as_str()) {
            annotations.insert(name.clone(), value.clone());
        }
    }
    if before >= to {
        return;
    }
    if let Some(old) = annotations.insert(REVISION.to_owned(), to.to_string()) {
        let history = annotations.entry(REVISION_HISTORY.to_owned()).or_default();
        let mut all: Vec<&str> = history.split(',').filter(|part| !part.is_empty()).collect();
        all.push(&old);
        while all.len() > 1 && all.iter().map(|part| part.len() + 1).sum::<usize>() > HISTORY_BYTES_MAX {
            all.remove(0);
        }
        *history = all.join(",");
    }
}

/// Notes how many pods are wanted. Whether that was another number.
pub fn note_replicas(deployment: &Deployment, set: &mut ReplicaSet) -> bool {
    let wanted = replicas(deployment);
    let annotations = set.metadata.annotations.get_or_insert_default();
    let mut changed = false;
    for (name, value) in [(DESIRED_REPLICAS, wanted), (MAX_REPLICAS, wanted + Bounds::of(deployment).surge)] {
        let value = value.to_string();
        changed |= annotations.get(name) != Some(&value);
        annotations.insert(name.to_owned(), value);
    }
    changed
}
