//! How many pods a ReplicaSet or ReplicationController makes or removes, which ones it removes, and what it reports.

use std::{cmp::Ordering, collections::HashMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::{
    pod_facts::{is_available, is_ready, phase, ready_since, restarts},
    selection::{Labels, contains},
};

/// The pods that one plan makes or removes at most.
const BURST: usize = 500;
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// There are as many as there should be.
    Keep,
    /// Make so many.
    Create(usize),
    /// Remove these.
    Delete(Vec<Arc<Pod>>),
}

/// From `active`, the pods that count, to `replicas` of them. `related` are the active pods of the same workload, whose spread over nodes counts when some
/// must go.
pub fn plan(replicas: i32, active: &[Arc<Pod>], related: &[Arc<Pod>]) -> Plan {
    let wanted = usize::try_from(replicas).unwrap_or(0);
    match active.len().cmp(&wanted) {
        Ordering::Equal => Plan::Keep,
        Ordering::Less => Plan::Create((wanted - active.len()).min(BURST)),
        Ordering::Greater => {
            let count = (active.len() - wanted).min(BURST);
            Plan::Delete(least_missed(active, related).into_iter().take(count).collect())
        }
    }
}

/// The pods in the order in which they are missed least.
fn least_missed(active: &[Arc<Pod>], related: &[Arc<Pod>]) -> Vec<Arc<Pod>> {
    let mut on_node: HashMap<&str, usize> = HashMap::new();
    for pod in related {
        if let Some(node) = node(pod) {
            *on_node.entry(node).or_default() += 1;
        }
    }
    let crowd = |pod: &Pod| node(pod).and_then(|node| on_node.get(node)).copied().unwrap_or(0);
    let mut pods = active.to_vec();
    pods.sort_by(|a, b| {
        let assigned = node(a).is_some().cmp(&node(b).is_some());
        let phases = phase_rank(a).cmp(&phase_rank(b));
        let readiness = is_ready(a).cmp(&is_ready(b));
        let costs = cost(a).cmp(&cost(b));
        let crowds = crowd(b).cmp(&crowd(a));
        // Whoever is ready or there for longer is missed more; an unknown time counts as the longest.
        let ready = if is_ready(a) && is_ready(b) { newer_first(ready_since(a), ready_since(b)) } else { Ordering::Equal };
        let restarted = restarts(b).cmp(&restarts(a));
        let created = newer_first(created(a), created(b));
        let order = assigned.then(phases).then(readiness).then(costs).then(crowds).then(ready).then(restarted).then(created);
        order.then_with(|| a.metadata.uid.cmp(&b.metadata.uid))
    });
    pods
}

fn node(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
}

fn phase_rank(pod: &Pod) -> u8 {
    match phase(pod) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    }
}

fn cost(pod: &Pod) -> i32 {
    pod.metadata.annotations.as_ref().and_then(|all| all.get(DELETION_COST)).and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

fn created(pod: &Pod) -> Option<Timestamp> {
    pod.metadata.creation_timestamp.as_ref().map(|time| time.0)
}

fn newer_first(a: Option<Timestamp>, b: Option<Timestamp>) -> Ordering {
    b.cmp(&a)
}

/// What is counted of the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Pods that count.
    pub replicas: i32,
    /// Of these, with all labels of the template.
    pub fully_labeled: i32,
    /// Of these, ready.
    pub ready: i32,
    /// Of these, ready for long enough.
    pub available: i32,
    /// Pods that are being deleted, and did not end yet.
    pub terminating: i32,
    /// When the next pod becomes available, if nothing changes.
    pub next_available: Option<Timestamp>,
}

/// Counts the pods.
pub fn count(
    active: &[Arc<Pod>],
    terminating: usize,
    template: Option<&Labels>,
    min_ready_seconds: i32,
    now: Timestamp,
) -> Counts {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let count = |test: &dyn Fn(&Pod) -> bool| number(active.iter().filter(|pod| test(pod)).count());
    let later = active.iter().filter_map(|pod| crate::pod_facts::available_at(pod, min_ready_seconds)).filter(|at| *at > now);
    Counts {
        replicas: number(active.len()),
        fully_labeled: count(&|pod| template.is_none_or(|wanted| contains(pod.metadata.labels.as_ref(), wanted))),
        ready: count(&is_ready),
        available: count(&|pod| is_available(pod, min_ready_seconds, now)),
        terminating: number(terminating),
        next_available: later.min(),
    }
}

#[cfg(test)]
mod tests;
