//! How a Deployment moves its pods from one template to the next: which ReplicaSets it makes, scales and forgets, and what it reports.
//!
//! A plan is one round: whoever carries it out looks again afterwards. It never removes more pods than `maxUnavailable` lets go, never makes
//! more than `maxSurge` allows, and follows upstream's controller to the letter, since people and programs read its conditions and events.

mod annotations;
mod bounds;
mod replica_sets;
mod scale;
mod status;

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{Deployment, DeploymentStatus, ReplicaSet},
    core::v1::Pod,
};

pub use annotations::{DESIRED_REPLICAS, MAX_REPLICAS, REVISION, REVISION_HISTORY};
pub use bounds::{Bounds, resolve};
pub use replica_sets::{hash_of, same_template};

use replica_sets::Sets;

/// The conditions of a Deployment.
pub mod reason {
    /// Progress is watched for, and a ReplicaSet of this template was there already.
    pub const FOUND: &str = "FoundNewReplicaSet";
    /// The ReplicaSet of this template was made.
    pub const CREATED: &str = "NewReplicaSetCreated";
    /// It could not be made.
    pub const CREATE_FAILED: &str = "ReplicaSetCreateError";
    /// Pods come up or go.
    pub const UPDATED: &str = "ReplicaSetUpdated";
    /// All pods are of this template, and available.
    pub const AVAILABLE: &str = "NewReplicaSetAvailable";
    /// Nothing moved for too long.
    pub const TIMED_OUT: &str = "ProgressDeadlineExceeded";
    /// It was paused.
    pub const PAUSED: &str = "DeploymentPaused";
    /// It goes on.
    pub const RESUMED: &str = "DeploymentResumed";
    /// Enough pods are available.
    pub const ENOUGH: &str = "MinimumReplicasAvailable";
    /// Not enough are.
    pub const TOO_FEW: &str = "MinimumReplicasUnavailable";
}

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make a ReplicaSet.
    Create(Box<ReplicaSet>),
    /// Put a ReplicaSet in the place of the one of that name; if it changes in size, from what.
    Replace(Box<ReplicaSet>, Option<i32>),
    /// Remove one that is no longer remembered.
    Delete(Arc<ReplicaSet>),
}

/// What is to be done in this round.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The writes, in order.
    pub steps: Vec<Step>,
    /// The revision that the Deployment is to carry, if it carries another one.
    pub revision: Option<String>,
    /// The status, if it is another one. It tells of the round before this one's writes.
    pub status: Option<DeploymentStatus>,
    /// When to look again although nothing happened.
    pub look_again: Option<Timestamp>,
}

/// What is known.
pub struct Observed<'o> {
    /// The Deployment.
    pub deployment: &'o Deployment,
    /// Its own ReplicaSets.
    pub sets: &'o [Arc<ReplicaSet>],
    /// Their pods, by the uid of their ReplicaSet. Needed for `Recreate` alone.
    pub pods: &'o BTreeMap<String, Vec<Arc<Pod>>>,
    /// The time.
    pub now: Timestamp,
}

/// The next round of a Deployment.
pub fn plan(observed: &Observed<'_>) -> Plan {
    let deployment = observed.deployment;
    let mut sets = Sets::new(deployment, observed.sets);
    let mut plan = Plan::default();
    if deployment.metadata.deletion_timestamp.is_some() {
        status::report(observed, &sets, None, &mut plan);
        return plan;
    }
    let before = status::pause_or_resume(deployment, observed.now);
    let status = before.as_ref();
    if deployment.spec.paused == Some(true) || is_scaled(deployment, observed.sets) {
        sets.sync_revision(deployment, false, &mut plan);
        scale::spread(deployment, &mut sets, &mut plan);
        if deployment.spec.paused == Some(true) {
            clean_up(deployment, &sets, &mut plan);
        }
        status::report(observed, &sets, status, &mut plan);
        return plan;
    }
    if strategy(deployment) == "Recreate" {
        recreate(observed, &mut sets, &mut plan)
    } else {
        roll(deployment, &mut sets, &mut plan)
    }
    if status::is_complete(deployment, &status::count(deployment, &sets)) {
        clean_up(deployment, &sets, &mut plan);
    }
    status::progress(observed, &sets, status, &mut plan);
    plan
}

/// One round of `RollingUpdate`: up with the new, else down with the old.
fn roll(deployment: &Deployment, sets: &mut Sets, plan: &mut Plan) {
    sets.sync_revision(deployment, true, plan);
    if !scale::new_up(deployment, sets, plan) {
        scale::old_down(deployment, sets, plan);
    }
}

/// One round of `Recreate`: everything old ends before anything new begins.
fn recreate(observed: &Observed<'_>, sets: &mut Sets, plan: &mut Plan) {
    sets.sync_revision(observed.deployment, false, plan);
    if scale::old_to_nothing(observed.deployment, sets, plan) || old_pods_run(observed, sets) {
        return;
    }
    sets.sync_revision(observed.deployment, true, plan);
    scale::new_up(observed.deployment, sets, plan);
}

fn old_pods_run(observed: &Observed<'_>, sets: &Sets) -> bool {
    let new = sets.new_uid();
    sets.old().any(|set| set.status.as_ref().is_some_and(|status| status.replicas > 0))
        || observed
            .pods
            .iter()
            .filter(|(uid, _)| Some(uid.as_str()) != new)
            .any(|(_, pods)| pods.iter().any(|pod| !crate::pod_facts::is_finished(pod)))
}

/// Whether the wanted number changed since the ReplicaSets were last told of it.
fn is_scaled(deployment: &Deployment, sets: &[Arc<ReplicaSet>]) -> bool {
    let wanted = bounds::replicas(deployment);
    let active = sets.iter().filter(|set| set.spec.replicas.unwrap_or(1) > 0);
    active.filter_map(|set| annotations::number(set, DESIRED_REPLICAS)).any(|desired| desired != wanted)
}

/// Removes the oldest ReplicaSets without pods beyond the limit of the history.
fn clean_up(deployment: &Deployment, sets: &Sets, plan: &mut Plan) {
    let Some(limit) = deployment.spec.revision_history_limit else { return };
    let mut old: Vec<_> = sets.old_observed().filter(|set| set.metadata.deletion_timestamp.is_none()).cloned().collect();
    let excess = old.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    old.sort_by_key(|set| (annotations::revision(set), set.metadata.creation_timestamp.as_ref().map(|time| time.0)));
    let idle = |set: &Arc<ReplicaSet>| {
        let status = set.status.as_ref();
        set.spec.replicas == Some(0)
            && status.is_none_or(|status| status.replicas == 0)
            && set.metadata.generation <= status.and_then(|status| status.observed_generation)
    };
    plan.steps.extend(old.into_iter().take(excess).filter(idle).map(Step::Delete));
}

fn strategy(deployment: &Deployment) -> &str {
    deployment.spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()).unwrap_or("RollingUpdate")
}

/// The condition for a new ReplicaSet that cannot be made.
pub fn create_failed(deployment: &Deployment, set: &str, message: &str, now: Timestamp) -> (String, DeploymentStatus) {
    let text = format!("Failed to create new replica set \"{set}\": {message}");
    let mut status = deployment.status.clone().unwrap_or_default();
    status::set(&mut status, status::condition("Progressing", "False", reason::CREATE_FAILED, text.clone(), now));
    (text, status)
}

#[cfg(test)]
mod tests;
