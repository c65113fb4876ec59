//! The pod of a DaemonSet for one node: it names the node by affinity, and tolerates what befalls nodes.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::revision::REVISION_LABEL;

const GENERATION_LABEL: &str = "pod-template-generation";
const GENERATION: &str = "deprecated.daemonset.template.generation";
const NAME: &str = "metadata.name";

/// What every such pod tolerates, with the effect.
const TOLERATED: &[(&str, &str)] = &[
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];
/// What one on the host's network tolerates beside that.
const TOLERATED_ON_HOST: (&str, &str) = ("node.kubernetes.io/network-unavailable", "NoSchedule");

/// The tolerations of the pods of a template.
pub(super) fn tolerations(spec: &PodSpec) -> Vec<Toleration> {
    let on_host = spec.host_network == Some(true);
    let mut all = spec.tolerations.clone().unwrap_or_default();
    for (key, effect) in TOLERATED.iter().chain(on_host.then_some(&TOLERATED_ON_HOST)) {
        let ours = Toleration {
            key: Some((*key).to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some((*effect).to_owned()),
            ..Toleration::default()
        };
        let same = |one: &&mut Toleration| one.key == ours.key && one.effect == ours.effect && one.operator == ours.operator;
        match all.iter_mut().find(same) {
            Some(one) => *one = ours,
            None => all.push(ours),
        }
    }
    all
}

/// The pod for a node.
#[must_use]
pub fn pod(set: &DaemonSet, hash: &str, node: &str) -> Pod {
    let template = set.spec.template.clone();
    let mut pod = Pod { metadata: template.metadata.unwrap_or_default(), spec: template.spec, status: None };
    let name = set.metadata.name.clone().unwrap_or_default();
    pod.metadata.generate_name = Some(format!("{name}-"));
    pod.metadata.namespace.clone_from(&set.metadata.namespace);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(REVISION_LABEL.to_owned(), hash.to_owned());
    if let Some(generation) = set.metadata.annotations.as_ref().and_then(|all| all.get(GENERATION)) {
        labels.insert(GENERATION_LABEL.to_owned(), generation.clone());
    }
    pod.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "DaemonSet".to_owned(),
        name,
        uid: set.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }]);
    let spec = pod.spec.get_or_insert_default();
    spec.tolerations = Some(tolerations(spec));
    let only = NodeSelectorRequirement { key: NAME.to_owned(), operator: "In".to_owned(), values: Some(vec![node.to_owned()]) };
    let term = NodeSelectorTerm { match_expressions: None, match_fields: Some(vec![only]) };
    // Whether the node is one that the template selects was asked before.
    let affinity = spec.affinity.get_or_insert_default().node_affinity.get_or_insert_default();
    affinity.required_during_scheduling_ignored_during_execution = Some(NodeSelector { node_selector_terms: vec![term] });
    pod
}

/// The node that a pod is on or for.
#[must_use]
pub fn node_of(pod: &Pod) -> &str {
    let Some(spec) = &pod.spec else { return "" };
    if let Some(name) = spec.node_name.as_deref().filter(|name| !name.is_empty()) {
        return name;
    }
    let named = || {
        let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
        let terms = &affinity.required_during_scheduling_ignored_during_execution.as_ref()?.node_selector_terms;
        let fields = terms.iter().flat_map(|term| term.match_fields.iter().flatten());
        let mut named = fields.filter(|field| field.key == NAME && field.operator == "In");
        named.next()?.values.as_ref()?.first().map(String::as_str)
    };
    named().unwrap_or_default()
}
