//! What becomes of a node that does not speak any more, and of its pods: conditions, taints, and when each pod has to leave.
//! Never asks for the time and never writes.

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, NodeCondition, Taint, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::scheduling::taints::tolerates;

/// How long a node may be silent.
pub const GRACE: SignedDuration = SignedDuration::from_secs(40);

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Set by people: the node is off for good, its pods may be forgotten.
pub const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
/// The conditions that a node reports about itself.
const REPORTED: &[&str] = &["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
/// Taints that follow from a condition being true.
const BY_CONDITION: &[(&str, &str)] = &[
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
];

fn condition<'n>(node: &'n Node, kind: &str) -> Option<&'n NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// Whether a node says that it is ready: `True`, `False` or `Unknown`, the last also when it never said anything.
#[must_use]
pub fn readiness(node: &Node) -> &str {
    condition(node, "Ready").map_or("Unknown", |ready| ready.status.as_str())
}

/// The conditions of a node that was silent for too long; nothing when they say so already.
#[must_use]
pub fn silent(node: &Node, now: Timestamp) -> Option<Vec<NodeCondition>> {
    let mut conditions = node.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let mut changed = false;
    for kind in REPORTED {
        let new = |reason: &str, message: &str, heard: Option<Time>| NodeCondition {
            type_: (*kind).to_owned(),
            status: "Unknown".to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_heartbeat_time: heard,
            last_transition_time: Some(Time(now)),
        };
        match conditions.iter_mut().find(|one| one.type_ == *kind) {
            Some(one) if one.status == "Unknown" => continue,
            Some(one) => *one = new("NodeStatusUnknown", "Kubelet stopped posting node status.", one.last_heartbeat_time.clone()),
            None => {
                let made = node.metadata.creation_timestamp.clone();
                conditions.push(new("NodeStatusNeverUpdated", "Kubelet never posted node status.", made));
            }
        }
        changed = true;
    }
    changed.then_some(conditions)
}

/// The taints of a node as they should be: those that follow from its conditions and its spec in place of older ones of that sort, all others
/// kept. Nothing when they are so already.
#[must_use]
pub fn taints(node: &Node, now: Timestamp) -> Option<Vec<Taint>> {
    let empty = Vec::new();
    let old = node.spec.as_ref().and_then(|spec| spec.taints.as_ref()).unwrap_or(&empty);
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    match readiness(node) {
        "True" => {}
        "False" => wanted.extend([(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")]),
        // A node that never spoke is new, and not lost.
        _ if condition(node, "Ready").is_none() => wanted.push((NOT_READY, "NoSchedule")),
        _ => wanted.extend([(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")]),
    }
    let is = |kind: &str| condition(node, kind).is_some_and(|one| one.status == "True");
    wanted.extend(BY_CONDITION.iter().filter(|(kind, _)| is(kind)).map(|(_, key)| (*key, "NoSchedule")));
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    let ours = |taint: &Taint| {
        [NOT_READY, UNREACHABLE, UNSCHEDULABLE].contains(&taint.key.as_str())
            || BY_CONDITION.iter().any(|(_, key)| *key == taint.key)
    };
    let is_wanted = |taint: &Taint| wanted.contains(&(taint.key.as_str(), taint.effect.as_str()));
    let mut new: Vec<Taint> = old.iter().filter(|taint| !ours(taint) || is_wanted(taint)).cloned().collect();
    for (key, effect) in wanted {
        if !new.iter().any(|taint| taint.key == key && taint.effect == effect) {
            let since = (effect == "NoExecute").then_some(Time(now));
            new.push(Taint { key: key.to_owned(), effect: effect.to_owned(), value: None, time_added: since });
        }
    }
    (new != *old).then_some(new)
}

/// When a pod has to leave a node with those taints: never, or at a time, which may have passed.
#[must_use]
pub fn leaves_at(taints: &[Taint], tolerations: &[Toleration], now: Timestamp) -> Option<Timestamp> {
    let pushing = taints.iter().filter(|taint| taint.effect == "NoExecute");
    let leaves = pushing.filter_map(|taint| {
        let covering: Vec<_> = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).collect();
        if covering.is_empty() {
            return Some(now);
        }
        let seconds = covering.iter().filter_map(|toleration| toleration.toleration_seconds).min()?;
        let since = taint.time_added.as_ref().map_or(now, |time| time.0);
        Some(since.checked_add(SignedDuration::from_secs(seconds.max(0))).unwrap_or(Timestamp::MAX))
    });
    leaves.min()
}

/// Whether people said that a node is off for good.
#[must_use]
pub fn is_out_of_service(node: &Node) -> bool {
    node.spec.iter().flat_map(|spec| spec.taints.iter().flatten()).any(|taint| taint.key == OUT_OF_SERVICE)
}
