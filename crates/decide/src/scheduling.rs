//! Where a pod goes. `Cluster` is what is known, kept by events; `decide` filters the nodes, scores those that fit, and says why
//! when none does and who would have to give way. Never binds, deletes or waits: whoever asks carries it out.

pub mod cluster;
mod cycle;
pub mod labels;
pub mod node;
pub mod node_affinity;
pub mod pod;
mod pod_affinity;
mod preempt;
pub mod queue;
pub mod reason;
pub mod resources;
mod score;
pub mod spread;
pub mod taints;
#[cfg(test)]
mod tests;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use cluster::Cluster;
pub use node::Node;
pub use pod::Pod;
pub use preempt::{Preemption, losers};
pub use reason::{Filter, Reason};

use crate::volume_binding::ClaimKey;
use cycle::Cycle;

/// What is to be done about a claim before its pod may have its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimStep {
    /// The claim gets this volume.
    Bind(String),
    /// A volume is to be made for the node.
    Provision,
}

/// A claim, and what is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPlan {
    /// The claim.
    pub claim: ClaimKey,
    /// What is to be done.
    pub step: ClaimStep,
}

/// The node that a pod gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The node.
    pub node: String,
    /// What is to be done about claims first.
    pub claims: Vec<ClaimPlan>,
}

/// Why a pod gets no node now.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The sentence for events and conditions.
    pub message: String,
    /// Who refused nodes; only what changes their mind is worth another try.
    pub filters: BTreeSet<Filter>,
    /// Who would have to give way.
    pub preemption: Option<Preemption>,
}

/// What becomes of a pod.
#[derive(Clone, Debug)]
pub enum Decision {
    /// It gets a node.
    Place(Placement),
    /// It gets none now.
    Refuse(Refusal),
}

/// Decides about one pod. Among equally good nodes the seed chooses.
#[must_use]
pub fn decide(cluster: &Cluster, pod: &Pod, seed: u64) -> Decision {
    let total = cluster.node_count();
    if total == 0 {
        let message = "no nodes available to schedule pods".to_owned();
        return Decision::Refuse(Refusal { message, filters: BTreeSet::new(), preemption: None });
    }
    let cycle = match Cycle::new(cluster, pod) {
        Ok(cycle) => cycle,
        Err((filter, why)) => {
            let helpless = vec![Reason::NotHelpful; total];
            let more = preempt::no_victims(total, &helpless);
            let message = format!("0/{total} nodes are available: {why}. {more}");
            return Decision::Refuse(Refusal { message, filters: BTreeSet::from([filter]), preemption: None });
        }
    };
    // The node that others left for this pod is looked at alone first.
    if let Some(node) = cluster.node(&pod.nominated).filter(|node| cycle.refusal(node).is_none()) {
        return place(&cycle, node);
    }
    let mut fitting = Vec::new();
    let mut refusals: BTreeMap<Arc<str>, Vec<Reason>> = BTreeMap::new();
    let mut filters = BTreeSet::new();
    for node in cluster.nodes() {
        match cycle.refusal(node) {
            None => fitting.push(node),
            Some((filter, reasons)) => {
                filters.insert(filter);
                refusals.insert(node.name.clone(), reasons);
            }
        }
    }
    match best(cluster, pod, &fitting, seed) {
        Some(node) => place(&cycle, node),
        None => refuse(&cycle, &refusals, filters),
    }
}

fn place(cycle: &Cycle<'_>, node: &Node) -> Decision {
    let claims = volumes::plan(cycle.cluster, &cycle.needs, node).unwrap_or_default();
    Decision::Place(Placement { node: node.name.to_string(), claims })
}

fn refuse(cycle: &Cycle<'_>, refusals: &BTreeMap<Arc<str>, Vec<Reason>>, filters: BTreeSet<Filter>) -> Decision {
    let why = reason::summary(cycle.cluster.node_count(), refusals.values().flatten());
    let (preemption, message) = match preempt::preempt(cycle, refusals) {
        Ok(preemption) => {
            let (node, count) = (&preemption.node, preemption.victims.len());
            let found = format!("found a potential placement for pod on node {node}, preempting {count} victims");
            (Some(preemption), format!("{why} preemption: {found}"))
        }
        Err(more) => (None, format!("{why} {more}")),
    };
    Decision::Refuse(Refusal { message, filters, preemption })
}

fn best<'n>(cluster: &Cluster, pod: &Pod, fitting: &[&'n Node], seed: u64) -> Option<&'n Node> {
    if let [only] = fitting {
        return Some(only);
    }
    let totals = score::totals(cluster, pod, fitting);
    let highest = totals.iter().max()?;
    let equal: Vec<&&Node> = fitting.iter().zip(&totals).filter(|(_, total)| *total == highest).map(|(node, _)| node).collect();
    let index = usize::try_from(seed % equal.len() as u64).unwrap_or_default();
    equal.get(index).map(|node| **node)
}

/// What a decision breaks, as a sentence. A placement must pass every filter on its own, victims must matter less than the pod, and
/// each of them must be on the node. For tests and debug builds.
///
/// # Errors
/// With the rule that is broken.
pub fn check(cluster: &Cluster, pod: &Pod, decision: &Decision) -> Result<(), String> {
    match decision {
        Decision::Place(placement) => {
            let node = cluster.node(&placement.node).ok_or("the node does not exist")?;
            let cycle = Cycle::new(cluster, pod).map_err(|(_, why)| why)?;
            match cycle.filter(node) {
                None => Ok(()),
                Some((filter, reasons)) => Err(format!("{} is refused by {filter:?}: {reasons:?}", node.name)),
            }
        }
        Decision::Refuse(refusal) => {
            let Some(preemption) = &refusal.preemption else { return Ok(()) };
            let node = cluster.node(&preemption.node).ok_or("the node does not exist")?;
            if preemption.victims.is_empty() {
                return Err("nobody has to go, so the pod should have been placed".to_owned());
            }
            let there = |victim: &Arc<Pod>| node.pods().iter().any(|other| other.uid == victim.uid);
            match preemption.victims.iter().find(|victim| victim.priority >= pod.priority || !there(victim)) {
                Some(victim) => Err(format!("{} must not be a victim", victim.full_name())),
                None => Ok(()),
            }
        }
    }
}
