//! The revisions of a StatefulSet: from which one its pods are moved to which, and which are forgotten.

use std::{collections::HashSet, sync::Arc};

use k8s_openapi::api::{
    apps::v1::{ControllerRevision, StatefulSet},
    core::v1::Pod,
};

use super::Revision;
use crate::{
    revision::{self, Owner, REVISION_LABEL, template_of},
    rollout::hash_of,
};

const HASH_LABEL: &str = "controller.kubernetes.io/hash";

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
    let template = &set.spec.template;
    let (found, last) = revision::latest(own, template);
    let create = found.is_none().then(|| {
        let collisions = set.status.as_ref().and_then(|status| status.collision_count).filter(|count| *count > 0);
        let owner = Owner { kind: "StatefulSet", meta: &set.metadata, template };
        Box::new(owner.revision(HASH_LABEL, &hash_of(template, collisions), last + 1))
    });
    let renumber = found.and_then(|found| revision::renumbered(found, last)).map(Box::new);
    let latest = create.as_deref().or(found.map(|found| &**found));
    let name = latest.and_then(|latest| latest.metadata.name.clone()).unwrap_or_default();
    let update = Revision { name, template: template.clone() };
    let noted = set.status.as_ref().and_then(|status| status.current_revision.as_deref());
    let found = own.iter().find(|revision| revision.metadata.name.as_deref() == noted && noted.is_some());
    let current = found.and_then(|found| Some(Revision { name: found.metadata.name.clone()?, template: template_of(found)? }));
    Revisions { current: current.unwrap_or_else(|| update.clone()), update, create, renumber }
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
    let is_live = |revision: &ControllerRevision| live.contains(revision.metadata.name.as_deref().unwrap_or_default());
    revision::surplus(own, set.spec.revision_history_limit, is_live)
}
