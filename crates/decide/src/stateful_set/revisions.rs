//! The templates that a StatefulSet had and has, kept as ControllerRevisions.

use std::{collections::HashSet, sync::Arc};

use k8s_openapi::{
    api::{
        apps::v1::{ControllerRevision, StatefulSet},
        core::v1::{Pod, PodTemplateSpec},
    },
    apimachinery::pkg::{
        apis::meta::v1::{ObjectMeta, OwnerReference},
        runtime::RawExtension,
    },
};
use serde_json::json;

use super::Revision;
use crate::rollout::{hash_of, same_template};

/// The revision that a pod is of.
pub const REVISION_LABEL: &str = "controller-revision-hash";
const HASH_LABEL: &str = "controller.kubernetes.io/hash";
const HISTORY: i32 = 10;

/// The revisions of a set, and what must be written so that they are there.
#[derive(Debug)]
pub struct Revisions {
    /// The one that pods are moved from.
    pub current: Revision,
    /// The one that pods are moved to.
    pub update: Revision,
    /// A revision to be made.
    pub create: Option<Box<ControllerRevision>>,
    /// One that came back and counts as the latest again.
    pub renumber: Option<Box<ControllerRevision>>,
}

/// The name of the revision that a pod is of.
pub fn label_of(pod: &Pod) -> Option<&String> {
    pod.metadata.labels.as_ref()?.get(REVISION_LABEL)
}

/// The revisions of a set among those that it owns.
pub fn revisions(set: &StatefulSet, own: &[Arc<ControllerRevision>]) -> Revisions {
    let mut sorted = own.to_vec();
    sorted.sort_by_key(|revision| revision.revision);
    let last = sorted.last().and_then(|revision| revision.revision).unwrap_or(0);
    let template = &set.spec.template;
    let same = |revision: &&Arc<ControllerRevision>| template_of(revision).is_some_and(|kept| same_template(&kept, template));
    let named = |name: &str| Revision { name: name.to_owned(), template: template.clone() };
    let (mut create, mut renumber) = (None, None);
    let update = match sorted.iter().rev().find(same) {
        Some(found) => {
            if found.revision != Some(last) {
                renumber = Some(Box::new(ControllerRevision { revision: Some(last + 1), ..(**found).clone() }));
            }
            named(found.metadata.name.as_deref().unwrap_or_default())
        }
        None => {
            let made = make(set, last + 1);
            let update = named(made.metadata.name.as_deref().unwrap_or_default());
            create = Some(Box::new(made));
            update
        }
    };
    let noted = set.status.as_ref().and_then(|status| status.current_revision.as_deref());
    let found = sorted.iter().find(|revision| revision.metadata.name.as_deref() == noted && noted.is_some());
    let current = found.and_then(|found| Some(Revision { name: found.metadata.name.clone()?, template: template_of(found)? }));
    Revisions { current: current.unwrap_or_else(|| update.clone()), update, create, renumber }
}

fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    serde_json::from_value(revision.data.0.get("spec")?.get("template")?.clone()).ok()
}

fn make(set: &StatefulSet, number: i64) -> ControllerRevision {
    let collisions = set.status.as_ref().and_then(|status| status.collision_count).filter(|count| *count > 0);
    let hash = hash_of(&set.spec.template, collisions);
    let mut template = json!(set.spec.template);
    template["$patch"] = json!("replace");
    let name = set.metadata.name.as_deref().unwrap_or_default();
    let mut labels = set.spec.template.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default();
    labels.insert(HASH_LABEL.to_owned(), hash.clone());
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{name}-{hash}")),
            namespace: set.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: set.metadata.annotations.clone(),
            owner_references: Some(vec![OwnerReference {
                api_version: "apps/v1".to_owned(),
                kind: "StatefulSet".to_owned(),
                name: name.to_owned(),
                uid: set.metadata.uid.clone().unwrap_or_default(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
        data: RawExtension(json!({ "spec": { "template": template } })),
        revision: Some(number),
    }
}

/// The oldest revisions beyond the limit that no pod is of.
pub fn surplus(
    set: &StatefulSet,
    own: &[Arc<ControllerRevision>],
    revisions: &Revisions,
    pods: &[Arc<Pod>],
) -> Vec<Arc<ControllerRevision>> {
    let mut live: HashSet<&str> = pods.iter().filter_map(|pod| label_of(pod)).map(String::as_str).collect();
    live.extend([revisions.current.name.as_str(), revisions.update.name.as_str()]);
    let mut history: Vec<_> =
        own.iter().filter(|revision| !live.contains(revision.metadata.name.as_deref().unwrap_or_default())).cloned().collect();
    history.sort_by_key(|revision| revision.revision);
    let limit = usize::try_from(set.spec.revision_history_limit.unwrap_or(HISTORY)).unwrap_or(0);
    let excess = history.len().saturating_sub(limit);
    history.truncate(excess);
    history
}
