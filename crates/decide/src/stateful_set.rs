//! How a StatefulSet keeps its pods, each with a name, a number and claims of its own: which to make, which to remove, in which order.
//!
//! With `OrderedReady` a plan makes one step and waits for the pod before it; with `Parallel` it makes all at once. Updates go from the highest
//! number down, never below the partition, and never with more pods missing than `maxUnavailable` allows.

mod pods;
mod revisions;

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetStatus},
    core::v1::{Pod, PodTemplateSpec},
};

use crate::{
    pod_facts::{available_at, is_available, is_ending, is_finished, is_ready, phase},
    rollout::resolve,
};
pub use pods::{claims, is_member, ordinal_of, owners_of_claim, pod, right_labels};
pub use revisions::{Revisions, revisions, surplus};

/// A template and the name of its revision.
#[derive(Debug, Clone)]
pub struct Revision {
    /// The name.
    pub name: String,
    /// The template.
    pub template: PodTemplateSpec,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make the pod of this number, and its claims first.
    Create(i32, Box<Pod>),
    /// Remove a pod.
    Delete(Arc<Pod>, Why),
    /// Give a pod the labels that it must have.
    Label(Arc<Pod>, BTreeMap<String, String>),
}

/// Why a pod is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It failed, and is made anew.
    Failed,
    /// It ended, and is made anew.
    Succeeded,
    /// There are to be fewer.
    Scaled,
    /// It is of an older revision.
    Outdated,
}

/// What is to be done in this round.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The steps; they do not wait for each other.
    pub steps: Vec<Step>,
    /// The status, if it is another one.
    pub status: Option<StatefulSetStatus>,
    /// When to look again although nothing happened.
    pub look_again: Option<Timestamp>,
}

/// What is known.
pub struct Observed<'o> {
    /// The set.
    pub set: &'o StatefulSet,
    /// The revision that pods are moved from.
    pub current: &'o Revision,
    /// The revision that pods are moved to.
    pub update: &'o Revision,
    /// Its own pods.
    pub pods: &'o [Arc<Pod>],
    /// The time.
    pub now: Timestamp,
}

struct Round<'o> {
    observed: &'o Observed<'o>,
    min_ready: i32,
    ordered: bool,
    plan: Plan,
}

/// The next round of a set.
pub fn plan(observed: &Observed<'_>) -> Plan {
    let spec = &observed.set.spec;
    let mut round = Round {
        observed,
        min_ready: spec.min_ready_seconds.unwrap_or(0),
        ordered: spec.pod_management_policy.as_deref() != Some("Parallel"),
        plan: Plan::default(),
    };
    if observed.set.metadata.deletion_timestamp.is_none() {
        round.go();
    }
    let status = round.status();
    round.plan.status = (Some(&status) != observed.set.status.as_ref()).then_some(status);
    round.plan
}

/// The first number of a set.
pub fn start(set: &StatefulSet) -> i32 {
    set.spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0)
}

/// The numbers that a set is to have.
pub fn wanted(set: &StatefulSet) -> std::ops::Range<i32> {
    let first = start(set);
    first..first + set.spec.replicas.unwrap_or(1)
}

impl Round<'_> {
    fn go(&mut self) {
        let set = self.observed.set;
        let numbered: BTreeMap<i32, Arc<Pod>> =
            self.observed.pods.iter().filter_map(|pod| Some((ordinal_of(set, pod)?, Arc::clone(pod)))).collect();
        let wanted = wanted(set);
        let condemned: Vec<_> =
            numbered.iter().rev().filter(|(number, _)| !wanted.contains(number)).map(|(_, pod)| pod).collect();
        let members = wanted.clone().filter_map(|number| numbered.get(&number));
        let first_unhealthy = members.chain(condemned.iter().rev().copied()).find(|pod| !is_healthy(pod)).cloned();
        for number in wanted.clone() {
            if self.keep(number, numbered.get(&number)) {
                return;
            }
        }
        for pod in condemned {
            if self.condemn(pod, first_unhealthy.as_ref()) {
                return;
            }
        }
        if self.plan.steps.is_empty() {
            self.update(wanted.rev().map(|number| (number, numbered.get(&number))).collect());
        }
    }

    /// Sees to a pod that there is to be. Whether everything after it must wait.
    fn keep(&mut self, number: i32, pod: Option<&Arc<Pod>>) -> bool {
        let Some(pod) = pod else {
            let revision = self.revision_of(number);
            let pod = pods::pod(self.observed.set, revision, number);
            self.plan.steps.push(Step::Create(number, Box::new(pod)));
            return self.ordered;
        };
        if is_finished(pod) {
            if !is_ending(pod) {
                let why = if phase(pod) == "Failed" { Why::Failed } else { Why::Succeeded };
                self.plan.steps.push(Step::Delete(Arc::clone(pod), why));
            }
            return self.ordered;
        }
        if self.ordered && (is_ending(pod) || !self.is_up(pod)) {
            return true;
        }
        if let Some(labels) = right_labels(self.observed.set, pod) {
            self.plan.steps.push(Step::Label(Arc::clone(pod), labels));
        }
        false
    }

    /// Removes a pod that is one too many. Whether everything after it must wait.
    fn condemn(&mut self, pod: &Arc<Pod>, first_unhealthy: Option<&Arc<Pod>>) -> bool {
        if is_ending(pod) {
            return self.ordered;
        }
        let is_first = first_unhealthy.is_some_and(|first| first.metadata.uid == pod.metadata.uid);
        if self.ordered && !is_first && !self.is_up(pod) {
            return true;
        }
        self.plan.steps.push(Step::Delete(Arc::clone(pod), Why::Scaled));
        self.ordered
    }

    /// Removes pods of an older revision, from the highest number down.
    fn update(&mut self, members: Vec<(i32, Option<&Arc<Pod>>)>) {
        let strategy = self.observed.set.spec.update_strategy.as_ref();
        if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete") {
            return;
        }
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let total = i32::try_from(members.len()).unwrap_or(i32::MAX);
        let allowed = resolve(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), "0%", total, false).max(1);
        let outdated = |pod: &Pod| revisions::label_of(pod) != Some(&self.observed.update.name);
        // An outdated pod that is down anyway costs nothing more when it is replaced.
        let missing = |pod: &Option<&Arc<Pod>>| pod.is_none_or(|pod| is_ending(pod) || !outdated(pod) && !self.is_up(pod));
        let down = members.iter().filter(|(_, pod)| missing(pod)).count();
        let mut budget = allowed - i32::try_from(down).unwrap_or(i32::MAX);
        let first = start(self.observed.set) + rolling.and_then(|rolling| rolling.partition).unwrap_or(0);
        let mut steps = Vec::new();
        for (_, pod) in members.into_iter().filter(|(number, _)| *number >= first) {
            let Some(pod) = pod.filter(|pod| outdated(pod) && !is_ending(pod)) else { continue };
            if budget <= 0 {
                break;
            }
            budget -= 1;
            steps.push(Step::Delete(Arc::clone(pod), Why::Outdated));
        }
        self.plan.steps.extend(steps);
    }

    /// The revision of which a missing pod is to be.
    fn revision_of(&self, number: i32) -> &Revision {
        let set = self.observed.set;
        let strategy = set.spec.update_strategy.as_ref();
        let rolls = strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete");
        let partition = strategy.and_then(|strategy| strategy.rolling_update.as_ref()?.partition).unwrap_or(0);
        if rolls && number < start(set) + partition { self.observed.current } else { self.observed.update }
    }

    /// Whether a pod is ready, and has been for long enough. Notes when it will have been.
    fn is_up(&self, pod: &Pod) -> bool {
        is_healthy(pod) && is_available(pod, self.min_ready, self.observed.now)
    }

    fn status(&mut self) -> StatefulSetStatus {
        let Observed { set, current, update, pods, now } = self.observed;
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let count = |test: &dyn Fn(&Pod) -> bool| number(pods.iter().filter(|pod| test(pod)).count());
        let of = |pod: &Pod, revision: &Revision| !is_ending(pod) && revisions::label_of(pod) == Some(&revision.name);
        let up = |pod: &Pod| phase(pod) == "Running" && is_ready(pod);
        let later = pods.iter().filter_map(|pod| available_at(pod, self.min_ready)).filter(|at| at > now);
        self.plan.look_again = later.min();
        let mut status = StatefulSetStatus {
            observed_generation: set.metadata.generation,
            replicas: number(pods.len()),
            ready_replicas: Some(count(&up)),
            available_replicas: Some(count(&|pod| up(pod) && is_available(pod, self.min_ready, *now))),
            current_replicas: Some(count(&|pod| of(pod, current))),
            updated_replicas: Some(count(&|pod| of(pod, update))),
            current_revision: Some(current.name.clone()),
            update_revision: Some(update.name.clone()),
            collision_count: set.status.as_ref().and_then(|status| status.collision_count).or(Some(0)),
            conditions: set.status.as_ref().and_then(|status| status.conditions.clone()),
        };
        let rolls = set.spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete");
        let all = Some(status.replicas);
        if rolls && status.updated_replicas == all && status.ready_replicas == all && all == set.spec.replicas.or(Some(1)) {
            status.current_revision.clone_from(&status.update_revision);
            status.current_replicas = status.updated_replicas;
        }
        let zero = |count: &mut Option<i32>| *count = count.filter(|count| *count != 0);
        [&mut status.ready_replicas, &mut status.current_replicas, &mut status.updated_replicas].into_iter().for_each(zero);
        status
    }
}

fn is_healthy(pod: &Pod) -> bool {
    phase(pod) == "Running" && is_ready(pod) && !is_ending(pod)
}

#[cfg(test)]
mod tests;
