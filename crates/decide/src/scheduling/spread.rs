//! How evenly pods are spread over zones, hosts and other topologies: what is demanded, what is wished for, and what every
//! pod of a Service or workload gets without asking.

use std::collections::{BTreeMap, HashSet};

use api::selector::{LabelSelector, Operator};
use k8s_openapi::api::core::v1::{PodSpec, TopologySpreadConstraint};

use super::cluster::Cluster;
use super::labels::{self, Labels};
use super::node::Node;
use super::pod::Pod;
use super::reason::Reason;
use super::taints;

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

/// One rule of a pod.
#[derive(Clone, Debug)]
pub struct Constraint {
    hard: bool,
    max_skew: i64,
    topology_key: String,
    selector: LabelSelector,
    min_domains: usize,
    honor_affinity: bool,
    honor_taints: bool,
}

impl Constraint {
    /// The rules of a pod with those labels.
    #[must_use]
    pub fn of(spec: &PodSpec, own: &Labels) -> Vec<Self> {
        spec.topology_spread_constraints.iter().flatten().map(|typed| Self::new(typed, own)).collect()
    }

    fn new(typed: &TopologySpreadConstraint, own: &Labels) -> Self {
        let selector = labels::selector(typed.label_selector.as_ref());
        let keys = typed.match_label_keys.as_deref().unwrap_or_default();
        Self {
            hard: typed.when_unsatisfiable == "DoNotSchedule",
            max_skew: i64::from(typed.max_skew),
            topology_key: typed.topology_key.clone(),
            selector: labels::with_keys(&selector, keys, Operator::In, own),
            min_domains: usize::try_from(typed.min_domains.unwrap_or(1)).unwrap_or(1),
            honor_affinity: typed.node_affinity_policy.as_deref() != Some("Ignore"),
            honor_taints: typed.node_taints_policy.as_deref() == Some("Honor"),
        }
    }

    fn default_for(topology_key: &str, max_skew: i64, selector: &LabelSelector) -> Self {
        Self {
            hard: false,
            max_skew,
            topology_key: topology_key.to_owned(),
            selector: selector.clone(),
            min_domains: 1,
            honor_affinity: true,
            honor_taints: false,
        }
    }

    fn counts_node(&self, pod: &Pod, node: &Node) -> bool {
        (!self.honor_affinity || pod.node_affinity.matches(&node.name, &node.labels))
            && (!self.honor_taints || !taints::repel(&node.taints, &pod.tolerations))
    }

    fn counts_pod(&self, pod: &Pod, other: &Pod) -> bool {
        !other.terminating && other.namespace == pod.namespace && labels::matches(&self.selector, &other.labels)
    }

    fn count(&self, pod: &Pod, node: &Node) -> i64 {
        if self.selector.is_everything() {
            return 0;
        }
        node.pods().iter().filter(|other| self.counts_pod(pod, other)).count() as i64
    }
}

fn has_all_keys(node: &Node, constraints: &[Constraint]) -> bool {
    constraints.iter().all(|one| node.labels.contains_key(&one.topology_key))
}

/// How many matching pods each domain has, for the demands of one pod.
#[derive(Clone, Debug, Default)]
pub struct Domains {
    constraints: Vec<Constraint>,
    counts: Vec<BTreeMap<String, i64>>,
    least: Vec<i64>,
}

impl Domains {
    /// Counts the pods of a cluster.
    #[must_use]
    pub fn new(cluster: &Cluster, pod: &Pod) -> Self {
        let constraints: Vec<_> = pod.spread.iter().filter(|one| one.hard).cloned().collect();
        if constraints.is_empty() {
            return Self::default();
        }
        let mut counts = vec![BTreeMap::new(); constraints.len()];
        for node in cluster.nodes().filter(|node| has_all_keys(node, &constraints)) {
            for (constraint, counts) in constraints.iter().zip(&mut counts) {
                if constraint.counts_node(pod, node) {
                    let value = node.labels[&constraint.topology_key].clone();
                    *counts.entry(value).or_default() += constraint.count(pod, node);
                }
            }
        }
        let mut domains = Self { least: vec![0; constraints.len()], constraints, counts };
        domains.find_least();
        domains
    }

    fn find_least(&mut self) {
        for (index, constraint) in self.constraints.iter().enumerate() {
            let counts = &self.counts[index];
            let least = counts.values().min().copied().unwrap_or(i64::MAX);
            self.least[index] = if counts.len() < constraint.min_domains { 0 } else { least };
        }
    }

    /// Counts another pod on a node in, or out.
    pub fn adjust(&mut self, pod: &Pod, other: &Pod, node: &Node, by: i64) {
        if self.constraints.is_empty() || !has_all_keys(node, &self.constraints) {
            return;
        }
        for (constraint, counts) in self.constraints.iter().zip(&mut self.counts) {
            if constraint.counts_pod(pod, other) && constraint.counts_node(pod, node) {
                *counts.entry(node.labels[&constraint.topology_key].clone()).or_default() += by;
            }
        }
        self.find_least();
    }

    /// Why the pod may not stand on the node.
    #[must_use]
    pub fn check(&self, pod: &Pod, node: &Node) -> Option<Reason> {
        for (index, constraint) in self.constraints.iter().enumerate() {
            let Some(value) = node.labels.get(&constraint.topology_key) else { return Some(Reason::SpreadLabelMissing) };
            let own = i64::from(labels::matches(&constraint.selector, &pod.labels));
            let here = self.counts[index].get(value).copied().unwrap_or_default();
            if (here + own).saturating_sub(self.least[index]) > constraint.max_skew {
                return Some(Reason::Spread);
            }
        }
        None
    }
}

/// How crowded each node is by the pod's wishes, in the order of the nodes; `None` where the wishes do not apply.
#[must_use]
pub fn crowding(cluster: &Cluster, pod: &Pod, nodes: &[&Node]) -> Option<Vec<Option<i64>>> {
    let (constraints, strict) = wishes(cluster, pod)?;
    let ignored: HashSet<&str> =
        nodes.iter().filter(|node| strict && !has_all_keys(node, &constraints)).map(|node| &*node.name).collect();
    let mut counts: Vec<BTreeMap<&str, i64>> = vec![BTreeMap::new(); constraints.len()];
    for node in nodes.iter().filter(|node| !ignored.contains(&*node.name)) {
        for (constraint, counts) in constraints.iter().zip(&mut counts) {
            if constraint.topology_key != HOSTNAME {
                counts.insert(node.labels.get(&constraint.topology_key).map_or("", String::as_str), 0);
            }
        }
    }
    let size = |index: usize, one: &Constraint| {
        if one.topology_key == HOSTNAME { nodes.len() - ignored.len() } else { counts[index].len() }
    };
    let weights: Vec<f64> = constraints.iter().enumerate().map(|(index, one)| ((size(index, one) + 2) as f64).ln()).collect();
    for node in cluster.nodes().filter(|node| !strict || has_all_keys(node, &constraints)) {
        for (constraint, counts) in constraints.iter().zip(&mut counts) {
            let value = node.labels.get(&constraint.topology_key).map_or("", String::as_str);
            if let Some(count) = counts.get_mut(value).filter(|_| constraint.counts_node(pod, node)) {
                *count += constraint.count(pod, node);
            }
        }
    }
    let crowd = |node: &&Node| {
        let mut sum = 0.0;
        for (index, constraint) in constraints.iter().enumerate() {
            let Some(value) = node.labels.get(&constraint.topology_key) else { continue };
            let here = match counts[index].get(value.as_str()) {
                Some(count) if constraint.topology_key != HOSTNAME => *count,
                _ => constraint.count(pod, node),
            };
            sum += here as f64 * weights[index] + (constraint.max_skew - 1) as f64;
        }
        sum.round() as i64
    };
    Some(nodes.iter().map(|node| (!ignored.contains(&*node.name)).then(|| crowd(node))).collect())
}

/// The soft rules of a pod, and whether nodes must have all their labels: its own, or those that every pod of a Service or workload gets.
fn wishes(cluster: &Cluster, pod: &Pod) -> Option<(Vec<Constraint>, bool)> {
    let soft: Vec<_> = pod.spread.iter().filter(|one| !one.hard).cloned().collect();
    if !pod.spread.is_empty() {
        return (!soft.is_empty()).then_some((soft, true));
    }
    let selector = cluster.siblings(pod)?;
    let rules = vec![Constraint::default_for(HOSTNAME, 3, &selector), Constraint::default_for(ZONE, 5, &selector)];
    Some((rules, false))
}
