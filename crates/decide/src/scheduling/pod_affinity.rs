//! Which pods a pod must be near to or far from, in both directions: what the new pod wants of those that run, and what they want of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use api::selector::{LabelSelector, Operator};
use k8s_openapi::api::core::v1::{PodAffinityTerm, PodSpec};

use super::cluster::Cluster;
use super::labels::{self, Labels};
use super::node::Node;
use super::pod::Pod;
use super::reason::Reason;

/// What a required affinity of a running pod counts for, when the new pod fits it.
const HARD_WEIGHT: i64 = 1;

/// Labels of namespaces by name.
pub type Namespaces = BTreeMap<Arc<str>, Labels>;

/// Pods, and the topology in which they count.
#[derive(Clone, Debug)]
pub struct Term {
    namespaces: Vec<String>,
    namespace_selector: Option<LabelSelector>,
    selector: LabelSelector,
    topology_key: String,
}

impl Term {
    fn new(typed: &PodAffinityTerm, namespace: &str, own: &Labels) -> Self {
        let mut namespaces = typed.namespaces.clone().unwrap_or_default();
        if namespaces.is_empty() && typed.namespace_selector.is_none() {
            namespaces.push(namespace.to_owned());
        }
        let selector = labels::selector(typed.label_selector.as_ref());
        let selector = labels::with_keys(&selector, typed.match_label_keys.as_deref().unwrap_or_default(), Operator::In, own);
        let without = typed.mismatch_label_keys.as_deref().unwrap_or_default();
        Self {
            namespaces,
            namespace_selector: typed.namespace_selector.as_ref().map(|typed| labels::selector(Some(typed))),
            selector: labels::with_keys(&selector, without, Operator::NotIn, own),
            topology_key: typed.topology_key.clone(),
        }
    }

    fn matches(&self, pod: &Pod, namespaces: &Namespaces) -> bool {
        let by_labels = || {
            let Some(selector) = &self.namespace_selector else { return false };
            namespaces.get(&pod.namespace).is_some_and(|labels| labels::matches(selector, labels))
        };
        (self.namespaces.iter().any(|name| **name == *pod.namespace) || by_labels())
            && labels::matches(&self.selector, &pod.labels)
    }
}

/// All that a pod says about other pods.
#[derive(Clone, Debug, Default)]
pub struct PodAffinity {
    required: Vec<Term>,
    forbidden: Vec<Term>,
    /// With negative weights for what it wants to be far from.
    preferred: Vec<(i64, Term)>,
}

impl PodAffinity {
    /// What a pod of that namespace and those labels says.
    #[must_use]
    pub fn new(spec: &PodSpec, namespace: &str, own: &Labels) -> Self {
        let Some(affinity) = &spec.affinity else { return Self::default() };
        let term = |typed: &PodAffinityTerm| Term::new(typed, namespace, own);
        let mut all = Self::default();
        if let Some(near) = &affinity.pod_affinity {
            let required = near.required_during_scheduling_ignored_during_execution.iter().flatten();
            all.required = required.map(term).collect();
            let preferred = near.preferred_during_scheduling_ignored_during_execution.iter().flatten();
            all.preferred.extend(preferred.map(|one| (i64::from(one.weight), term(&one.pod_affinity_term))));
        }
        if let Some(far) = &affinity.pod_anti_affinity {
            let required = far.required_during_scheduling_ignored_during_execution.iter().flatten();
            all.forbidden = required.map(term).collect();
            let preferred = far.preferred_during_scheduling_ignored_during_execution.iter().flatten();
            all.preferred.extend(preferred.map(|one| (-i64::from(one.weight), term(&one.pod_affinity_term))));
        }
        all
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.required.is_empty() && self.forbidden.is_empty() && self.preferred.is_empty()
    }
}

/// Numbers by value, by label of a topology.
pub type Counts = HashMap<String, HashMap<String, i64>>;

fn count(counts: &mut Counts, term: &Term, node: &Node, by: i64) {
    if let Some(value) = node.labels.get(&term.topology_key) {
        *counts.entry(term.topology_key.clone()).or_default().entry(value.clone()).or_default() += by;
    }
}

/// The node's own number for each topology that was counted.
fn here<'c>(counts: &'c Counts, node: &'c Node) -> impl Iterator<Item = i64> + 'c {
    counts.iter().filter_map(|(key, values)| values.get(node.labels.get(key)?).copied())
}

fn at(counts: &Counts, term: &Term, node: &Node) -> i64 {
    let number = || counts.get(&term.topology_key)?.get(node.labels.get(&term.topology_key)?).copied();
    number().unwrap_or_default()
}

/// Where pods stand that count for one pod's placement.
#[derive(Clone, Debug, Default)]
pub struct Neighbours {
    /// Pods that fit all that the new pod must be near to.
    wanted: Counts,
    /// Pods that fit something that the new pod must be far from.
    shunned: Counts,
    /// Places that running pods keep the new pod away from.
    guarded: Counts,
}

impl Neighbours {
    /// Counts the pods of a cluster.
    #[must_use]
    pub fn new(cluster: &Cluster, pod: &Pod) -> Self {
        let mut neighbours = Self::default();
        let own = &pod.pod_affinity;
        let asks = !own.required.is_empty() || !own.forbidden.is_empty();
        for node in cluster.nodes() {
            if asks {
                for other in node.pods() {
                    neighbours.adjust(cluster, pod, other, node, 1);
                }
            } else {
                for other in node.affine_pods() {
                    neighbours.adjust(cluster, pod, other, node, 1);
                }
            }
        }
        neighbours
    }

    /// Counts another pod on a node in, or out.
    pub fn adjust(&mut self, cluster: &Cluster, pod: &Pod, other: &Pod, node: &Node, by: i64) {
        let namespaces = cluster.namespaces();
        for term in other.pod_affinity.forbidden.iter().filter(|term| term.matches(pod, namespaces)) {
            count(&mut self.guarded, term, node, by);
        }
        let own = &pod.pod_affinity;
        if !own.required.is_empty() && own.required.iter().all(|term| term.matches(other, namespaces)) {
            for term in &own.required {
                count(&mut self.wanted, term, node, by);
            }
        }
        for term in own.forbidden.iter().filter(|term| term.matches(other, namespaces)) {
            count(&mut self.shunned, term, node, by);
        }
    }

    /// Why the pod may not stand on the node.
    #[must_use]
    pub fn check(&self, cluster: &Cluster, pod: &Pod, node: &Node) -> Option<Reason> {
        let own = &pod.pod_affinity;
        if !own.required.is_empty() && !self.near(cluster, pod, node) {
            return Some(Reason::PodAffinity);
        }
        if own.forbidden.iter().any(|term| at(&self.shunned, term, node) > 0) {
            return Some(Reason::PodAntiAffinity);
        }
        here(&self.guarded, node).any(|count| count > 0).then_some(Reason::ExistingAntiAffinity)
    }

    fn near(&self, cluster: &Cluster, pod: &Pod, node: &Node) -> bool {
        let terms = &pod.pod_affinity.required;
        if terms.iter().any(|term| !node.labels.contains_key(&term.topology_key)) {
            return false;
        }
        if terms.iter().all(|term| at(&self.wanted, term, node) > 0) {
            return true;
        }
        // The first of a group that wants to be together may stand anywhere.
        self.wanted.values().flat_map(HashMap::values).all(|count| *count <= 0)
            && terms.iter().all(|term| term.matches(pod, cluster.namespaces()))
    }
}

/// How much each place is liked, by the pod and by those that run there.
#[must_use]
pub fn attraction(cluster: &Cluster, pod: &Pod) -> Counts {
    let namespaces = cluster.namespaces();
    let mut counts = Counts::new();
    let asks = !pod.pod_affinity.preferred.is_empty();
    for node in cluster.nodes() {
        let others: &mut dyn Iterator<Item = &Arc<Pod>> = if asks { &mut node.pods().iter() } else { &mut node.affine_pods() };
        for other in others {
            for (weight, term) in pod.pod_affinity.preferred.iter().filter(|(_, term)| term.matches(other, namespaces)) {
                count(&mut counts, term, node, *weight);
            }
            for term in other.pod_affinity.required.iter().filter(|term| term.matches(pod, namespaces)) {
                count(&mut counts, term, node, HARD_WEIGHT);
            }
            for (weight, term) in other.pod_affinity.preferred.iter().filter(|(_, term)| term.matches(pod, namespaces)) {
                count(&mut counts, term, node, *weight);
            }
        }
    }
    counts
}

/// What a node's places add up to.
#[must_use]
pub fn attraction_of(counts: &Counts, node: &Node) -> i64 {
    here(counts, node).sum()
}
