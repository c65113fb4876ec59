//! The templates that a DaemonSet had and has, kept as ControllerRevisions, by which `kubectl rollout undo` goes back.

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::json;

use super::pods::REVISION_LABEL;
use crate::rollout::{hash_of, same_template};

const HISTORY: i32 = 10;

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
    let last = own.iter().filter_map(|revision| revision.revision).max().unwrap_or(0);
    let mut sorted = own.to_vec();
    sorted.sort_by_key(|revision| revision.revision);
    let same = |one: &&Arc<ControllerRevision>| template_of(one).is_some_and(|kept| same_template(&kept, &set.spec.template));
    match sorted.iter().rev().find(same) {
        Some(found) => {
            let hash = found.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION_LABEL)).cloned().unwrap_or_default();
            let older = found.revision != Some(last);
            let renumber = older.then(|| ControllerRevision { revision: Some(last + 1), ..(**found).clone() });
            Revisions { hash, create: None, renumber }
        }
        None => {
            let collisions = set.status.as_ref().and_then(|status| status.collision_count).filter(|count| *count > 0);
            let hash = hash_of(&set.spec.template, collisions);
            Revisions { create: Some(make(set, &hash, last + 1)), hash, renumber: None }
        }
    }
}

fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    serde_json::from_value(revision.data.0.get("spec")?.get("template")?.clone()).ok()
}

fn make(set: &DaemonSet, hash: &str, number: i64) -> ControllerRevision {
    let mut template = json!(set.spec.template);
    template["$patch"] = json!("replace");
    let name = set.metadata.name.clone().unwrap_or_default();
    let mut labels = set.spec.template.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default();
    labels.insert(REVISION_LABEL.to_owned(), hash.to_owned());
    let owner = OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "DaemonSet".to_owned(),
        name: name.clone(),
        uid: set.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{name}-{hash}")),
            namespace: set.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: set.metadata.annotations.clone(),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        data: RawExtension(json!({ "spec": { "template": template } })),
        revision: Some(number),
    }
}

/// The oldest revisions beyond the limit that no pod is of.
#[must_use]
pub fn surplus(set: &DaemonSet, own: &[Arc<ControllerRevision>], hash: &str, pods: &[Arc<Pod>]) -> Vec<Arc<ControllerRevision>> {
    let label =
        |labels: Option<&std::collections::BTreeMap<String, String>>| labels.and_then(|all| all.get(REVISION_LABEL)).cloned();
    let mut live: HashSet<String> = pods.iter().filter_map(|pod| label(pod.metadata.labels.as_ref())).collect();
    live.insert(hash.to_owned());
    let is_live =
        |revision: &Arc<ControllerRevision>| label(revision.metadata.labels.as_ref()).is_some_and(|hash| live.contains(&hash));
    let mut history: Vec<_> = own.iter().filter(|revision| !is_live(revision)).cloned().collect();
    history.sort_by_key(|revision| revision.revision);
    let limit = usize::try_from(set.spec.revision_history_limit.unwrap_or(HISTORY)).unwrap_or_default();
    let excess = history.len().saturating_sub(limit);
    history.truncate(excess);
    history
}
