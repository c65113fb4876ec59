//! Who has to go, so that a pod of higher priority finds a place. Owns the choice alone; victims are deleted by whoever carries it out.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::cluster::Cluster;
use super::cycle::Cycle;
use super::labels;
use super::node::Node;
use super::pod::{Pod, Uid};
use super::reason::{Reason, summary};

/// A node, and who leaves it.
#[derive(Clone, Debug)]
pub struct Preemption {
    /// The node that the pod is to get.
    pub node: String,
    /// The pods that leave it, the most important first.
    pub victims: Vec<Arc<Pod>>,
    /// How many of them a budget would have protected.
    pub violations: usize,
}

/// Finds the node whose victims hurt least.
///
/// # Errors
/// With the sentence that is added to the reasons why the pod was refused.
pub fn preempt(cycle: &Cycle<'_>, refusals: &BTreeMap<Arc<str>, Vec<Reason>>) -> Result<Preemption, String> {
    let pod = cycle.pod;
    if pod.never_preempts {
        return Err("preemption: not eligible due to preemptionPolicy=Never.".to_owned());
    }
    if waits_for_victims(cycle.cluster, pod, refusals) {
        return Err("preemption: not eligible due to a terminating pod on the nominated node.".to_owned());
    }
    let mut candidates = Vec::new();
    let mut reasons: Vec<Reason> = Vec::new();
    for node in cycle.cluster.nodes() {
        let refused = refusals.get(&node.name).map(Vec::as_slice).unwrap_or_default();
        if refused.is_empty() || !refused.iter().all(Reason::is_resolvable) {
            reasons.push(Reason::NotHelpful);
            continue;
        }
        match victims(cycle, node) {
            Ok(candidate) => candidates.push(candidate),
            Err(why) => reasons.extend(why),
        }
    }
    let best = candidates.into_iter().min_by_key(cost);
    best.ok_or_else(|| no_victims(cycle.cluster.node_count(), &reasons))
}

/// The sentence when no node would do.
#[must_use]
pub fn no_victims(nodes: usize, reasons: &[Reason]) -> String {
    format!("preemption: {}", summary(nodes, reasons.iter()))
}

/// Whether a node was chosen for the pod before, and those who were told to go are still going.
fn waits_for_victims(cluster: &Cluster, pod: &Pod, refusals: &BTreeMap<Arc<str>, Vec<Reason>>) -> bool {
    let Some(node) = cluster.node(&pod.nominated) else { return false };
    let hopeless = refusals.get(&node.name).is_some_and(|reasons| !reasons.iter().all(Reason::is_resolvable));
    !hopeless && node.pods().iter().any(|other| other.terminating && other.priority < pod.priority)
}

/// The fewest and least important pods without which the node fits.
fn victims(cycle: &Cycle<'_>, node: &Node) -> Result<Preemption, Vec<Reason>> {
    let mut weaker: Vec<Arc<Pod>> = node.pods().iter().filter(|other| other.priority < cycle.pod.priority).cloned().collect();
    if weaker.is_empty() {
        return Err(vec![Reason::NoVictims]);
    }
    let mut node = node.clone();
    let mut cycle = cycle.clone();
    for other in &weaker {
        node.remove(&other.uid);
        cycle.adjust(other, &node, -1);
    }
    if let Some((_, reasons)) = cycle.filter(&node) {
        return Err(reasons);
    }
    weaker.sort_by_key(|other| (Reverse(other.priority), other.started, other.uid.clone()));
    let (protected, free) = split_by_budget(cycle.cluster, weaker);
    let mut victims = Vec::new();
    let mut violations = 0;
    for (other, is_protected) in protected.into_iter().map(|one| (one, true)).chain(free.into_iter().map(|one| (one, false))) {
        node.add(Arc::clone(&other));
        cycle.adjust(&other, &node, 1);
        if cycle.filter(&node).is_some() {
            node.remove(&other.uid);
            cycle.adjust(&other, &node, -1);
            violations += usize::from(is_protected);
            victims.push(other);
        }
    }
    victims.sort_by_key(|other| (Reverse(other.priority), other.started, other.uid.clone()));
    if victims.is_empty() {
        return Err(vec![Reason::NoVictims]);
    }
    Ok(Preemption { node: node.name.to_string(), victims, violations })
}

/// Those whose going would break a budget, and the others; both keep their order.
fn split_by_budget(cluster: &Cluster, pods: Vec<Arc<Pod>>) -> (Vec<Arc<Pod>>, Vec<Arc<Pod>>) {
    let budgets: Vec<_> = cluster.budgets().collect();
    let mut left: Vec<i64> = budgets.iter().map(|budget| budget.allowed).collect();
    pods.into_iter().partition(|pod| {
        let mut broken = false;
        for (budget, left) in budgets.iter().zip(&mut left) {
            let covers = budget.namespace == pod.namespace
                && !budget.selector.is_everything()
                && labels::matches(&budget.selector, &pod.labels)
                && !budget.disrupted.contains(&pod.name);
            if covers {
                *left -= 1;
                broken |= *left < 0;
            }
        }
        broken
    })
}

/// What decides between nodes, in this order: broken budgets, the highest priority lost, the sum of priorities, the number of pods; then
/// those whose most important victim started last.
fn cost(candidate: &Preemption) -> (usize, i32, i64, usize, Reverse<Timestamp>) {
    let highest = candidate.victims.iter().map(|pod| pod.priority).max().unwrap_or(i32::MIN);
    // Shifted so that many pods of negative priority do not look better than few.
    let sum = candidate.victims.iter().map(|pod| i64::from(pod.priority) + i64::from(i32::MAX) + 1).sum();
    let important = candidate.victims.iter().filter(|pod| pod.priority == highest);
    let earliest = important.map(|pod| pod.started).min().unwrap_or(Timestamp::MAX);
    (candidate.violations, highest, sum, candidate.victims.len(), Reverse(earliest))
}

/// Pods of lower priority that were promised a node which another one takes now: they lose the promise.
#[must_use]
pub fn losers(cluster: &Cluster, pod: &Pod, node: &str) -> Vec<Uid> {
    let promised = cluster.nominated().filter(|other| other.nominated == node && other.priority < pod.priority);
    promised.map(|other| other.uid.clone()).collect()
}
