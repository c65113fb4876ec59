//! One pod against the nodes: `FILTERS` in order, the first that refuses a node gives the reason. What is the same for all nodes is
//! counted once, at the start.

use std::collections::HashSet;
use std::sync::Arc;

use super::cluster::{Cluster, claim_key};
use super::node::Node;
use super::pod::Pod;
use super::pod_affinity::Neighbours;
use super::reason::{Filter, Reason};
use super::spread::Domains;
use super::volumes::Needs;
use super::{taints, volumes};

/// A filter's question: why may the pod not have the node?
type Ask = fn(&Cycle<'_>, &Node) -> Vec<Reason>;

/// The filters in the order in which they are asked.
pub const FILTERS: &[(Filter, Ask)] = &[
    (Filter::NodeUnschedulable, unschedulable),
    (Filter::TaintToleration, tainted),
    (Filter::NodeAffinity, unselected),
    (Filter::NodePorts, ports),
    (Filter::NodeResourcesFit, resources),
    (Filter::VolumeRestrictions, exclusive_claims),
    (Filter::VolumeBinding, unbindable),
    (Filter::PodTopologySpread, uneven),
    (Filter::InterPodAffinity, neighbours),
];

/// What is asked about one pod.
#[derive(Clone)]
pub struct Cycle<'c> {
    /// All there is.
    pub cluster: &'c Cluster,
    /// The pod.
    pub pod: &'c Pod,
    /// What its claims need.
    pub needs: Needs<'c>,
    /// The only nodes in question, if the pod names them.
    pub names: Option<HashSet<&'c str>>,
    domains: Domains,
    neighbours: Neighbours,
    exclusive_users: i64,
}

impl<'c> Cycle<'c> {
    /// Counts what is the same for all nodes.
    ///
    /// # Errors
    /// When the pod cannot be placed anywhere whatever the nodes are like; the text says why.
    pub fn new(cluster: &'c Cluster, pod: &'c Pod) -> Result<Self, (Filter, String)> {
        let needs = Needs::new(cluster, pod).map_err(|why| (Filter::VolumeBinding, why))?;
        let exclusive = needs.exclusive().map(|key| cluster.claim_users(key) as i64).sum();
        Ok(Self {
            cluster,
            pod,
            needs,
            names: pod.node_affinity.names().map(|names| names.into_iter().collect()),
            domains: Domains::new(cluster, pod),
            neighbours: Neighbours::new(cluster, pod),
            exclusive_users: exclusive,
        })
    }

    /// Counts another pod on a node in (`by` is 1), or out (−1). The node itself is the caller's.
    pub fn adjust(&mut self, other: &Pod, node: &Node, by: i64) {
        self.domains.adjust(self.pod, other, node, by);
        self.neighbours.adjust(self.cluster, self.pod, other, node, by);
        let shared = other.claims.iter().filter(|claim| {
            let key = claim_key(other, &claim.name);
            self.needs.exclusive().any(|exclusive| *exclusive == key)
        });
        self.exclusive_users += by * shared.count() as i64;
    }

    /// Why the pod may not have the node; nothing when it may. Pods that wait for the node with no less priority count as if they were there.
    #[must_use]
    pub fn refusal(&self, node: &Node) -> Option<(Filter, Vec<Reason>)> {
        if self.names.as_ref().is_some_and(|names| !names.contains(&*node.name)) {
            return Some((Filter::NodeAffinity, vec![Reason::NotNamed]));
        }
        let mut expected = self
            .cluster
            .nominated()
            .filter(|other| *other.nominated == *node.name && other.priority >= self.pod.priority && other.uid != self.pod.uid);
        if let Some(first) = expected.next() {
            let mut with = node.clone();
            let mut cycle = self.clone();
            for other in std::iter::once(first).chain(expected) {
                cycle.adjust(other, &with, 1);
                with.add(Arc::clone(other));
            }
            if let Some(refusal) = cycle.filter(&with) {
                return Some(refusal);
            }
        }
        self.filter(node)
    }

    /// Why the pod may not have the node as it is.
    #[must_use]
    pub fn filter(&self, node: &Node) -> Option<(Filter, Vec<Reason>)> {
        FILTERS.iter().find_map(|(filter, ask)| {
            let reasons = ask(self, node);
            (!reasons.is_empty()).then_some((*filter, reasons))
        })
    }
}

fn when(refused: bool, reason: Reason) -> Vec<Reason> {
    if refused { vec![reason] } else { Vec::new() }
}

fn unschedulable(cycle: &Cycle<'_>, node: &Node) -> Vec<Reason> {
    let taint = || k8s_openapi::api::core::v1::Taint {
        key: "node.kubernetes.io/unschedulable".to_owned(),
        effect: "NoSchedule".to_owned(),
        ..Default::default()
    };
    when(node.unschedulable && !taints::tolerated(&cycle.pod.tolerations, &taint()), Reason::Unschedulable)
}

fn tainted(cycle: &Cycle<'_>, node: &Node) -> Vec<Reason> {
    when(taints::repel(&node.taints, &cycle.pod.tolerations), Reason::Taint)
}

fn unselected(cycle: &Cycle<'_>, node: &Node) -> Vec<Reason> {
    when(!cycle.pod.node_affinity.matches(&node.name, &node.labels), Reason::NodeAffinity)
}

fn ports(cycle: &Cycle<'_>, node: &Node) -> Vec<Reason> {
    when(node.port_conflict(cycle.pod), Reason::Ports)
}

fn resources(cycle: &Cycle<'_>, node: &Node) -> Vec<Reason> {
    let mut reasons = when(node.pods().len() as i64 + 1 > node.max_pods, Reason::TooManyPods);
    let lacking = node.allocatable.lacking(node.requested(), &cycle.pod.requests);
    reasons.extend(lacking.into_iter().map(|(resource, enough)| Reason::Insufficient(resource, enough)));
    reasons
}

fn exclusive_claims(cycle: &Cycle<'_>, _: &Node) -> Vec<Reason> {
    when(cycle.exclusive_users > 0, Reason::ReadWriteOncePod)
}

fn unbindable(cycle: &Cycle<'_>, node: &Node) -> Vec<Reason> {
    volumes::plan(cycle.cluster, &cycle.needs, node).err().unwrap_or_default()
}

fn uneven(cycle: &Cycle<'_>, node: &Node) -> Vec<Reason> {
    cycle.domains.check(cycle.pod, node).into_iter().collect()
}

fn neighbours(cycle: &Cycle<'_>, node: &Node) -> Vec<Reason> {
    cycle.neighbours.check(cycle.cluster, cycle.pod, node).into_iter().collect()
}
