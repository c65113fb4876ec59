//! The revisions of a DaemonSet: what must be written so that its template is kept, and which are forgotten.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::Pod;

use crate::revision::{self, Owner, REVISION_LABEL};
use crate::rollout::hash_of;

/// What the revisions of a set come to.
#[derive(Debug)]
pub struct Revisions {
    /// The hash of the template, which new pods carry.
    pub hash: String,
    /// A revision to be made.
    pub create: Option<ControllerRevision>,
    /// One that came back and counts as the latest again.
    pub renumber: Option<ControllerRevision>,
}

/// The revisions of a set among those that it owns.
#[must_use]
pub fn revisions(set: &DaemonSet, own: &[Arc<ControllerRevision>]) -> Revisions {
    let (found, last) = revision::latest(own, &set.spec.template);
    if let Some(found) = found {
        let hash = label(found.metadata.labels.as_ref()).unwrap_or_default();
        return Revisions { hash, create: None, renumber: revision::renumbered(found, last) };
    }
    let collisions = set.status.as_ref().and_then(|status| status.collision_count).filter(|count| *count > 0);
    let hash = hash_of(&set.spec.template, collisions);
    let owner = Owner { kind: "DaemonSet", meta: &set.metadata, template: &set.spec.template };
    Revisions { create: Some(owner.revision(REVISION_LABEL, &hash, last + 1)), hash, renumber: None }
}

fn label(labels: Option<&BTreeMap<String, String>>) -> Option<String> {
    labels?.get(REVISION_LABEL).cloned()
}

/// The oldest revisions beyond the limit that no pod is of.
#[must_use]
pub fn surplus(set: &DaemonSet, own: &[Arc<ControllerRevision>], hash: &str, pods: &[Arc<Pod>]) -> Vec<Arc<ControllerRevision>> {
    let mut live: HashSet<String> = pods.iter().filter_map(|pod| label(pod.metadata.labels.as_ref())).collect();
    live.insert(hash.to_owned());
    let is_live =
        |revision: &ControllerRevision| label(revision.metadata.labels.as_ref()).is_some_and(|hash| live.contains(&hash));
    revision::surplus(own, set.spec.revision_history_limit, is_live)
}
