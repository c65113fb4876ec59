//! What is a pod's own in a StatefulSet: its number, its name, its labels and its claims.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, Volume},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};

use super::{Revision, wanted};
use crate::revision::REVISION_LABEL;

const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

fn name(set: &StatefulSet) -> &str {
    set.metadata.name.as_deref().unwrap_or_default()
}

/// The number of a pod; none when its name is not one of the set.
pub fn ordinal_of(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    let digits = pod.metadata.name.as_deref()?.strip_prefix(name(set))?.strip_prefix('-')?;
    let plain = digits == "0" || !digits.starts_with(['0', '+', '-']);
    digits.parse().ok().filter(|_| plain)
}

/// Whether a pod's name is one of the set.
pub fn is_member(set: &StatefulSet, pod: &Pod) -> bool {
    ordinal_of(set, pod).is_some()
}

/// The pod of a number.
pub fn pod(set: &StatefulSet, revision: &Revision, number: i32) -> Pod {
    let template = revision.template.metadata.clone().unwrap_or_default();
    let pod_name = format!("{}-{number}", name(set));
    let mut labels = template.labels.unwrap_or_default();
    labels.extend(identity(&pod_name, number));
    labels.insert(REVISION_LABEL.to_owned(), revision.name.clone());
    let mut spec = revision.template.spec.clone().unwrap_or_default();
    spec.hostname = Some(pod_name.clone());
    spec.subdomain = set.spec.service_name.clone().filter(|service| !service.is_empty());
    let claims = claims(set, number);
    let names: Vec<_> =
        set.spec.volume_claim_templates.iter().flatten().filter_map(|claim| claim.metadata.name.clone()).collect();
    let mut volumes = spec.volumes.take().unwrap_or_default();
    volumes.retain(|volume| !names.contains(&volume.name));
    volumes.extend(names.into_iter().zip(&claims).map(|(name, claim)| Volume {
        name,
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim.metadata.name.clone().unwrap_or_default(),
            read_only: None,
        }),
        ..Volume::default()
    }));
    spec.volumes = Some(volumes).filter(|volumes| !volumes.is_empty());
    Pod {
        metadata: ObjectMeta {
            name: Some(pod_name),
            namespace: set.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: template.annotations,
            finalizers: template.finalizers,
            owner_references: Some(vec![owner(set, true)]),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

fn owner(set: &StatefulSet, controls: bool) -> OwnerReference {
    OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "StatefulSet".to_owned(),
        name: name(set).to_owned(),
        uid: set.metadata.uid.clone().unwrap_or_default(),
        controller: controls.then_some(true),
        block_owner_deletion: controls.then_some(true),
    }
}

fn identity(pod: &str, number: i32) -> [(String, String); 2] {
    [(NAME_LABEL.to_owned(), pod.to_owned()), (INDEX_LABEL.to_owned(), number.to_string())]
}

/// The labels that a pod lacks, as one that was adopted may.
pub fn right_labels(set: &StatefulSet, pod: &Pod) -> Option<BTreeMap<String, String>> {
    let number = ordinal_of(set, pod)?;
    let wanted = identity(pod.metadata.name.as_deref()?, number);
    let has =
        |(label, value): &(String, String)| pod.metadata.labels.as_ref().and_then(|labels| labels.get(label)) == Some(value);
    (!wanted.iter().all(has)).then(|| wanted.into())
}

/// The claims of a number.
pub fn claims(set: &StatefulSet, number: i32) -> Vec<PersistentVolumeClaim> {
    let templates = set.spec.volume_claim_templates.iter().flatten();
    let claim = templates.map(|template| {
        let mut labels = template.metadata.labels.clone().unwrap_or_default();
        labels.extend(set.spec.selector.match_labels.clone().unwrap_or_default());
        let template_name = template.metadata.name.as_deref().unwrap_or_default();
        PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some(format!("{template_name}-{}-{number}", name(set))),
                namespace: set.metadata.namespace.clone(),
                labels: Some(labels).filter(|labels| !labels.is_empty()),
                annotations: template.metadata.annotations.clone(),
                owner_references: owners(set, number, None).filter(|owners| !owners.is_empty()),
                ..ObjectMeta::default()
            },
            spec: template.spec.clone(),
            status: None,
        }
    });
    claim.collect()
}

/// The owners that a claim of a number is to have, others left as they are; none when it has them.
pub fn owners_of_claim(
    set: &StatefulSet,
    number: i32,
    pod: Option<&Pod>,
    claim: &PersistentVolumeClaim,
) -> Option<Vec<OwnerReference>> {
    let wanted = owners(set, number, pod)?;
    let own = |owner: &OwnerReference| {
        owner.kind == "StatefulSet" && Some(&owner.uid) == set.metadata.uid.as_ref()
            || owner.kind == "Pod" && owner.name == format!("{}-{number}", name(set))
    };
    let has = claim.metadata.owner_references.as_deref().unwrap_or_default();
    let mut all: Vec<_> = has.iter().filter(|owner| !own(owner)).cloned().collect();
    all.extend(wanted);
    let uids =
        |owners: &[OwnerReference]| owners.iter().map(|owner| owner.uid.clone()).collect::<std::collections::BTreeSet<_>>();
    (uids(&all) != uids(has)).then_some(all)
}

/// Our own references on a claim: to the set while it may take the claim with it, to the pod once it is scaled away and may. `None` when that cannot be
/// told, since the pod is needed and not known.
fn owners(set: &StatefulSet, number: i32, pod: Option<&Pod>) -> Option<Vec<OwnerReference>> {
    let policy = set.spec.persistent_volume_claim_retention_policy.as_ref();
    let deletes = |policy: Option<&str>| policy == Some("Delete");
    let when_scaled = deletes(policy.and_then(|policy| policy.when_scaled.as_deref()));
    let when_deleted = deletes(policy.and_then(|policy| policy.when_deleted.as_deref()));
    let scaled_away = !wanted(set).contains(&number);
    if when_scaled && scaled_away {
        let pod = pod?;
        return Some(vec![OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: pod.metadata.name.clone()?,
            uid: pod.metadata.uid.clone()?,
            controller: None,
            block_owner_deletion: None,
        }]);
    }
    Some(if when_deleted { vec![owner(set, false)] } else { Vec::new() })
}
