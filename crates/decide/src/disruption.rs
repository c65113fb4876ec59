//! How many pods of a PodDisruptionBudget may be taken away right now. Never takes one away.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        core::v1::Pod,
        policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus},
    },
    apimachinery::pkg::{
        apis::meta::v1::{Condition, Time},
        util::intstr::IntOrString,
    },
};

use crate::{
    pod_facts::{is_ending, is_ready},
    rollout::resolve,
    selection,
};

/// How long an eviction that was granted counts before the pod must be seen to go.
const GRANTED: SignedDuration = SignedDuration::from_secs(120);
const ALLOWED: &str = "DisruptionAllowed";

/// What is to be reported.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The status, if it is another one.
    pub status: Option<PodDisruptionBudgetStatus>,
    /// Pods whose eviction was granted and that did not go.
    pub not_deleted: Vec<Arc<Pod>>,
    /// When to look again although nothing happened.
    pub look_again: Option<Timestamp>,
}

/// Whether a budget is about a pod.
pub fn covers(budget: &PodDisruptionBudget, pod: &Pod) -> bool {
    let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| selection::matches(selector, pod.metadata.labels.as_ref()))
}

/// Whether the wanted number comes from the pods' owners, rather than from the pods that there are.
pub fn counts_owners(budget: &PodDisruptionBudget) -> bool {
    let Some(spec) = &budget.spec else { return false };
    spec.max_unavailable.is_some() || matches!(spec.min_available, Some(IntOrString::String(_)))
}

/// The status of a budget with these pods, whose owners together want `wanted`.
pub fn plan(budget: &PodDisruptionBudget, pods: &[Arc<Pod>], wanted: i32, now: Timestamp) -> Plan {
    let spec = budget.spec.clone().unwrap_or_default();
    let there = i32::try_from(pods.len()).unwrap_or(i32::MAX);
    let (expected, desired) = match (&spec.max_unavailable, &spec.min_available) {
        (Some(most), _) => (wanted, (wanted - resolve(Some(most), "", wanted, true)).max(0)),
        (None, Some(share @ IntOrString::String(_))) => (wanted, resolve(Some(share), "", wanted, true)),
        (None, Some(IntOrString::Int(least))) => (there, *least),
        (None, None) => (there, 0),
    };
    let mut plan = Plan::default();
    let disrupted = disrupted(budget, pods, now, &mut plan);
    let healthy = pods.iter().filter(|pod| !is_ending(pod) && is_ready(pod) && !disrupted.contains_key(name(pod)));
    let healthy = i32::try_from(healthy.count()).unwrap_or(i32::MAX);
    let allowed = if expected <= 0 { 0 } else { (healthy - desired).max(0) };
    let status = PodDisruptionBudgetStatus {
        current_healthy: Some(healthy),
        desired_healthy: Some(desired),
        expected_pods: Some(expected),
        disruptions_allowed: Some(allowed),
        disrupted_pods: Some(disrupted).filter(|pods| !pods.is_empty()),
        observed_generation: budget.metadata.generation,
        conditions: Some(conditions(budget, allowed > 0, now)),
    };
    plan.status = (Some(&status) != budget.status.as_ref()).then_some(status);
    plan
}

/// The status when the owners of the pods cannot be counted: nothing may go.
pub fn failed(budget: &PodDisruptionBudget, message: String, now: Timestamp) -> Option<PodDisruptionBudgetStatus> {
    let mut status = budget.status.clone().unwrap_or_default();
    status.disruptions_allowed = Some(0);
    status.observed_generation = budget.metadata.generation;
    status.conditions = Some(with(budget, "False", "SyncFailed", message, now));
    (Some(&status) != budget.status.as_ref()).then_some(status)
}

/// The pods whose eviction was granted and that are still to go.
fn disrupted(budget: &PodDisruptionBudget, pods: &[Arc<Pod>], now: Timestamp, plan: &mut Plan) -> BTreeMap<String, Time> {
    let granted = budget.status.as_ref().and_then(|status| status.disrupted_pods.clone()).unwrap_or_default();
    let mut left = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !is_ending(pod)) {
        let Some(at) = granted.get(name(pod)) else { continue };
        let end = at.0.checked_add(GRANTED).unwrap_or(Timestamp::MAX);
        if end < now {
            plan.not_deleted.push(Arc::clone(pod));
        } else {
            plan.look_again = Some(plan.look_again.map_or(end, |earlier| earlier.min(end)));
            left.insert(name(pod).to_owned(), at.clone());
        }
    }
    left
}

fn name(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

fn conditions(budget: &PodDisruptionBudget, allowed: bool, now: Timestamp) -> Vec<Condition> {
    let (word, reason) = if allowed { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    with(budget, word, reason, String::new(), now)
}

fn with(budget: &PodDisruptionBudget, word: &str, reason: &str, message: String, now: Timestamp) -> Vec<Condition> {
    let mut all = budget.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    let old = all.iter().position(|condition| condition.type_ == ALLOWED);
    let since = old.map(|place| &all[place]).filter(|old| old.status == word).map(|old| old.last_transition_time.clone());
    let condition = Condition {
        type_: ALLOWED.to_owned(),
        status: word.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: budget.metadata.generation,
        last_transition_time: since.unwrap_or(Time(now)),
    };
    match old {
        Some(place) => all[place] = condition,
        None => all.push(condition),
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn budget(spec: Value) -> PodDisruptionBudget {
        serde_json::from_value(json!({"metadata": {"name": "b"}, "spec": spec})).unwrap()
    }

    fn pods(ready: usize, unready: usize) -> Vec<Arc<Pod>> {
        let pod = |number: usize| {
            let status = if number < ready { "True" } else { "False" };
            let pod = json!({"metadata": {"name": number.to_string()}, "status": {"conditions": [{"type": "Ready", "status": status}]}});
            Arc::new(serde_json::from_value(pod).unwrap())
        };
        (0..ready + unready).map(pod).collect()
    }

    #[test]
    fn disruptions_are_allowed_as_far_as_the_budget_goes() {
        for (spec, ready, unready, wanted, expected) in [
            (json!({"minAvailable": 2}), 3, 0, 0, (3, 2, 1)),
            (json!({"minAvailable": 2}), 1, 2, 0, (3, 2, 0)),
            (json!({"minAvailable": "50%"}), 3, 0, 5, (5, 3, 0)),
            (json!({"maxUnavailable": 1}), 3, 0, 3, (3, 2, 1)),
            (json!({"maxUnavailable": "34%"}), 3, 0, 3, (3, 1, 2)),
            (json!({"maxUnavailable": 0}), 3, 0, 3, (3, 3, 0)),
            (json!({"maxUnavailable": 1}), 0, 0, 0, (0, 0, 0)),
            (json!({"minAvailable": 0}), 2, 0, 0, (2, 0, 2)),
        ] {
            let status = plan(&budget(spec.clone()), &pods(ready, unready), wanted, Timestamp::UNIX_EPOCH).status.unwrap();
            let told = (status.expected_pods.unwrap(), status.desired_healthy.unwrap(), status.disruptions_allowed.unwrap());
            assert_eq!(told, expected, "{spec}");
        }
    }

    #[test]
    fn a_granted_eviction_counts_until_its_time_is_over() {
        let mut budget = budget(json!({"minAvailable": 1}));
        budget.status = serde_json::from_value(json!({"disruptedPods": {"0": "1970-01-01T00:00:00Z"}})).unwrap();
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let early = plan(&budget, &pods(2, 0), 0, at(10));
        assert_eq!((early.status.unwrap().disruptions_allowed, early.look_again), (Some(0), Some(at(120))));
        let late = plan(&budget, &pods(2, 0), 0, at(130));
        assert_eq!((late.status.unwrap().disruptions_allowed, late.not_deleted.len()), (Some(1), 1));
    }
}
