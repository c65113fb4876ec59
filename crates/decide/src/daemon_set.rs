//! One pod of a DaemonSet on every node that it is for, and how a new template gets there: a few nodes at a time. Never asks whether there
//! is room on a node: the pod names its node, and the scheduler sees to the rest.

mod pods;
mod revisions;
#[cfg(test)]
mod tests;
mod update;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod, Toleration};

use crate::pod_facts::{available_at, is_available, is_ending, is_ready, phase};
use crate::revision::REVISION_LABEL;
use crate::scheduling::node_affinity::NodeAffinity;
use crate::scheduling::taints;
pub use pods::{node_of, pod};
pub use revisions::{Revisions, revisions, surplus};

const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(15);

/// How often pods failed on each node, and when one was replaced last.
pub type Failures = BTreeMap<String, (u32, Timestamp)>;

/// What a decision is about.
pub struct Observed<'o> {
    /// The set.
    pub set: &'o DaemonSet,
    /// The hash of its template, which its newest pods carry.
    pub hash: &'o str,
    /// All nodes.
    pub nodes: &'o [Arc<Node>],
    /// The set's own pods.
    pub pods: &'o [Arc<Pod>],
    /// The time.
    pub now: Timestamp,
}

/// What is to be done.
#[derive(Debug, Default)]
pub struct Plan {
    /// Nodes that get a pod.
    pub create: Vec<String>,
    /// Pods that go.
    pub delete: Vec<Arc<Pod>>,
    /// The status as it is now.
    pub status: DaemonSetStatus,
    /// When to look again, though nothing happened.
    pub again: Option<Timestamp>,
    /// What to tell: whether it is a warning, the reason, the message.
    pub told: Vec<(bool, &'static str, String)>,
}

/// Whether a node is to have a pod, and whether one that is there may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fit {
    runs: bool,
    stays: bool,
}

/// What a set says about its nodes, once for all of them.
struct Place {
    affinity: NodeAffinity,
    tolerations: Vec<Toleration>,
    name: String,
}

impl Place {
    fn new(set: &DaemonSet) -> Self {
        let template = set.spec.template.spec.clone().unwrap_or_default();
        Self {
            affinity: NodeAffinity::new(&template),
            tolerations: pods::tolerations(&template),
            name: template.node_name.unwrap_or_default(),
        }
    }

    fn fit(&self, node: &Node) -> Fit {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let labels = node.metadata.labels.clone().unwrap_or_default();
        if (!self.name.is_empty() && self.name != name) || !self.affinity.matches(name, &labels) {
            return Fit { runs: false, stays: false };
        }
        let all = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
        if !taints::repel(&all, &self.tolerations) {
            return Fit { runs: true, stays: true };
        }
        let pushed =
            all.iter().filter(|taint| taint.effect == "NoExecute").any(|taint| !taints::tolerated(&self.tolerations, taint));
        Fit { runs: false, stays: !pushed }
    }
}

/// The pods of each node; nodes that have none are not among them.
type ByNode = BTreeMap<String, Vec<Arc<Pod>>>;

/// Decides about a set. `failures` is what is remembered between two decisions; losing it only shortens a pause.
#[must_use]
pub fn plan(observed: &Observed<'_>, failures: &mut Failures) -> Plan {
    let place = Place::new(observed.set);
    let mut by_node = ByNode::new();
    for pod in observed.pods {
        by_node.entry(node_of(pod).to_owned()).or_default().push(Arc::clone(pod));
    }
    for pods in by_node.values_mut() {
        pods.sort_by_key(|pod| age(pod));
    }
    let mut plan = Plan { status: status(observed, &place, &by_node), ..Plan::default() };
    if observed.set.metadata.deletion_timestamp.is_some() {
        return plan;
    }
    keep_one_a_node(observed, &place, &by_node, failures, &mut plan);
    if plan.create.is_empty() && plan.delete.is_empty() {
        update::plan(observed, &place, &by_node, &mut plan);
    }
    let patience = observed.set.spec.min_ready_seconds.unwrap_or_default();
    let due = observed.pods.iter().filter_map(|pod| available_at(pod, patience)).filter(|at| *at > observed.now).min();
    plan.again = [plan.again, due].into_iter().flatten().min();
    plan
}

/// The oldest first.
fn age(pod: &Pod) -> (Timestamp, Option<String>) {
    (pod.metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0), pod.metadata.name.clone())
}

fn is_new(pod: &Pod, hash: &str) -> bool {
    pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION_LABEL)).is_some_and(|label| label == hash)
}

fn keep_one_a_node(observed: &Observed<'_>, place: &Place, by_node: &ByNode, failures: &mut Failures, plan: &mut Plan) {
    let surges = update::bounds(observed.set, 1).surge > 0;
    for node in observed.nodes {
        let name = node.metadata.name.clone().unwrap_or_default();
        let fit = place.fit(node);
        let Some(pods) = by_node.get(&name) else {
            if fit.runs {
                plan.create.push(name);
            }
            continue;
        };
        let alive = pods.iter().filter(|pod| !is_ending(pod));
        if !fit.stays {
            plan.delete.extend(alive.cloned());
            continue;
        }
        let mut running = Vec::new();
        for pod in alive {
            match phase(pod) {
                "Failed" => replace_failed(observed, pod, &name, failures, plan),
                "Succeeded" => {
                    let full = full_name(pod);
                    let message = format!("Found succeeded daemon pod {full} on node {name}, will try to delete it");
                    plan.told.push((false, "SucceededDaemonPod", message));
                    plan.delete.push(Arc::clone(pod));
                }
                _ => running.push(Arc::clone(pod)),
            }
        }
        if surges {
            keep_old_until_new_is_ready(observed, fit, &name, &running, plan);
        } else {
            plan.delete.extend(running.into_iter().skip(1));
        }
    }
    let known = |name: &str| observed.nodes.iter().any(|node| node.metadata.name.as_deref() == Some(name));
    let lost = by_node.iter().filter(|(name, _)| !known(name)).flat_map(|(_, pods)| pods);
    let placed = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).is_some_and(|name| !name.is_empty());
    plan.delete.extend(lost.filter(|pod| !placed(pod) && !is_ending(pod)).cloned());
}

fn full_name(pod: &Pod) -> String {
    let meta = &pod.metadata;
    format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

fn replace_failed(observed: &Observed<'_>, pod: &Arc<Pod>, node: &str, failures: &mut Failures, plan: &mut Plan) {
    let pause = |count: u32| FIRST_PAUSE.saturating_mul(1 << count.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    let (count, last) = failures.get(node).copied().unwrap_or((0, Timestamp::MIN));
    let due = if count == 0 { Timestamp::MIN } else { last + pause(count) };
    if due > observed.now {
        plan.again = Some(plan.again.map_or(due, |earlier| earlier.min(due)));
        return;
    }
    let long_ago = count > 0 && last + LONGEST_PAUSE + LONGEST_PAUSE < observed.now;
    failures.insert(node.to_owned(), (if long_ago { 1 } else { count + 1 }, observed.now));
    let message = format!("Found failed daemon pod {} on node {node}, will try to kill it", full_name(pod));
    plan.told.push((true, "FailedDaemonPod", message));
    plan.delete.push(Arc::clone(pod));
}

/// With surge a node may have an old and a new pod, until the new one is available or the old one is not ready.
fn keep_old_until_new_is_ready(observed: &Observed<'_>, fit: Fit, node: &str, running: &[Arc<Pod>], plan: &mut Plan) {
    if running.is_empty() && fit.runs {
        plan.create.push(node.to_owned());
    }
    let (new, old): (Vec<_>, Vec<_>) = running.iter().partition(|pod| is_new(pod, observed.hash));
    plan.delete.extend(new.iter().skip(1).chain(old.iter().skip(1)).map(|pod| Arc::clone(pod)));
    if let (Some(new), Some(old)) = (new.first(), old.first()) {
        let patience = observed.set.spec.min_ready_seconds.unwrap_or_default();
        if !is_ready(old) || is_available(new, patience, observed.now) {
            plan.delete.push(Arc::clone(old));
        }
    }
}

fn status(observed: &Observed<'_>, place: &Place, by_node: &ByNode) -> DaemonSetStatus {
    let old = observed.set.status.clone().unwrap_or_default();
    let mut status = DaemonSetStatus {
        observed_generation: observed.set.metadata.generation,
        collision_count: old.collision_count,
        conditions: old.conditions,
        ..DaemonSetStatus::default()
    };
    let (mut updated, mut available) = (0, 0);
    let patience = observed.set.spec.min_ready_seconds.unwrap_or_default();
    for node in observed.nodes {
        let pods = by_node.get(node.metadata.name.as_deref().unwrap_or_default());
        if !place.fit(node).runs {
            status.number_misscheduled += i32::from(pods.is_some());
            continue;
        }
        status.desired_number_scheduled += 1;
        let Some(pod) = pods.and_then(|pods| pods.first()) else { continue };
        status.current_number_scheduled += 1;
        status.number_ready += i32::from(is_ready(pod));
        available += i32::from(is_available(pod, patience, observed.now));
        updated += i32::from(is_new(pod, observed.hash));
    }
    let some = |number: i32| Some(number).filter(|number| *number != 0);
    status.updated_number_scheduled = some(updated);
    status.number_available = some(available);
    status.number_unavailable = some(status.desired_number_scheduled - available);
    status
}
