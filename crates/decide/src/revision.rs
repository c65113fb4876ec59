//! ControllerRevisions: what a DaemonSet and a StatefulSet keep of the templates that they had, by which `kubectl rollout undo` goes back.

use std::sync::Arc;

use k8s_openapi::{
    api::{apps::v1::ControllerRevision, core::v1::PodTemplateSpec},
    apimachinery::pkg::{
        apis::meta::v1::{ObjectMeta, OwnerReference},
        runtime::RawExtension,
    },
};
use serde_json::json;

use crate::rollout::same_template;

/// The label of a pod that says which revision it is of.
pub const REVISION_LABEL: &str = "controller-revision-hash";
/// How many revisions without pods are kept where the set does not say (`revisionHistoryLimit`).
const HISTORY: i32 = 10;

/// Whose revision is made.
pub(crate) struct Owner<'o> {
    pub(crate) kind: &'static str,
    pub(crate) meta: &'o ObjectMeta,
    pub(crate) template: &'o PodTemplateSpec,
}

impl Owner<'_> {
    /// The revision of this number. Its data are a patch whose keys are sorted, as those of every controller are: clients compare the bytes
    /// with their own encoding of the template.
    pub(crate) fn revision(&self, hash_label: &str, hash: &str, number: i64) -> ControllerRevision {
        let mut template = json!(self.template);
        template["$patch"] = json!("replace");
        template.sort_all_objects();
        let name = self.meta.name.clone().unwrap_or_default();
        let mut labels = self.template.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default();
        labels.insert(hash_label.to_owned(), hash.to_owned());
        let owner = OwnerReference {
            api_version: "apps/v1".to_owned(),
            kind: self.kind.to_owned(),
            name: name.clone(),
            uid: self.meta.uid.clone().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        };
        ControllerRevision {
            metadata: ObjectMeta {
                name: Some(format!("{name}-{hash}")),
                namespace: self.meta.namespace.clone(),
                labels: Some(labels),
                annotations: self.meta.annotations.clone(),
                owner_references: Some(vec![owner]),
                ..ObjectMeta::default()
            },
            data: RawExtension(json!({ "spec": { "template": template } })),
            revision: Some(number),
        }
    }
}

/// The template that a revision keeps.
pub(crate) fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    serde_json::from_value(revision.data.0.get("spec")?.get("template")?.clone()).ok()
}

/// The latest revision of this template, and the highest number of all.
pub(crate) fn latest<'r>(
    own: &'r [Arc<ControllerRevision>],
    template: &PodTemplateSpec,
) -> (Option<&'r Arc<ControllerRevision>>, i64) {
    let same = |one: &&Arc<ControllerRevision>| template_of(one).is_some_and(|kept| same_template(&kept, template));
    let last = own.iter().filter_map(|revision| revision.revision).max().unwrap_or(0);
    (own.iter().filter(same).max_by_key(|revision| revision.revision), last)
}

/// The found revision with the number after `last`, if it is not the last one already.
pub(crate) fn renumbered(found: &ControllerRevision, last: i64) -> Option<ControllerRevision> {
    (found.revision != Some(last)).then(|| ControllerRevision { revision: Some(last + 1), ..found.clone() })
}

/// The oldest revisions beyond the limit, of those that no pod is of.
pub(crate) fn surplus(
    own: &[Arc<ControllerRevision>],
    limit: Option<i32>,
    is_live: impl Fn(&ControllerRevision) -> bool,
) -> Vec<Arc<ControllerRevision>> {
    let mut history: Vec<_> = own.iter().filter(|revision| !is_live(revision)).cloned().collect();
    history.sort_by_key(|revision| revision.revision);
    let limit = usize::try_from(limit.unwrap_or(HISTORY)).unwrap_or_default();
    let excess = history.len().saturating_sub(limit);
    history.truncate(excess);
    history
}
