//! What a Deployment reports: numbers, and the conditions `Available`, `Progressing` and `ReplicaFailure` with upstream's reasons and messages.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet},
    apimachinery::pkg::apis::meta::v1::Time,
};

use super::{
    Observed, Plan, Step,
    bounds::{Bounds, replicas},
    reason,
    replica_sets::{Sets, size},
};

/// A deadline that is none.
const NO_DEADLINE: i32 = i32::MAX;

fn deadline(deployment: &Deployment) -> Option<i32> {
    deployment.spec.progress_deadline_seconds.filter(|seconds| *seconds != NO_DEADLINE)
}

/// A condition of this moment.
pub fn condition(kind: &str, status: &str, reason: &str, message: String, now: Timestamp) -> DeploymentCondition {
    DeploymentCondition {
        type_: Some(kind.to_owned()),
        status: Some(status.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

/// The condition of that kind.
pub fn get<'s>(status: &'s DeploymentStatus, kind: &str) -> Option<&'s DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_.as_deref() == Some(kind))
}

/// Puts a condition, unless status and reason are the same already. The time of transition is that of the last other status.
pub fn set(status: &mut DeploymentStatus, condition: DeploymentCondition) {
    let kind = condition.type_.clone().unwrap_or_default();
    if let Some(current) = get(status, &kind)
        && current.status == condition.status
        && current.reason == condition.reason
    {
        return;
    }
    replace(status, condition);
}

fn replace(status: &mut DeploymentStatus, mut condition: DeploymentCondition) {
    let kind = condition.type_.clone().unwrap_or_default();
    if let Some(current) = get(status, &kind).filter(|current| current.status == condition.status) {
        condition.last_transition_time.clone_from(&current.last_transition_time);
    }
    remove(status, &kind);
    status.conditions.get_or_insert_default().push(condition);
}

fn remove(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_.as_deref() != Some(kind));
    }
}

/// The status with a note that the Deployment was paused or goes on, so that its deadline does not run meanwhile; `None` when there is nothing to note.
pub fn pause_or_resume(deployment: &Deployment, now: Timestamp) -> Option<DeploymentStatus> {
    deadline(deployment)?;
    let mut status = deployment.status.clone().unwrap_or_default();
    let current = get(&status, "Progressing").and_then(|condition| condition.reason.as_deref());
    if current == Some(reason::TIMED_OUT) {
        return None;
    }
    let paused = deployment.spec.paused == Some(true);
    let (reason, message) = match (paused, current == Some(reason::PAUSED)) {
        (true, false) => (reason::PAUSED, "Deployment is paused"),
        (false, true) => (reason::RESUMED, "Deployment is resumed"),
        (true, true) | (false, false) => return None,
    };
    set(&mut status, condition("Progressing", "Unknown", reason, message.to_owned(), now));
    Some(status)
}

/// The numbers, as the ReplicaSets report them.
pub fn count(deployment: &Deployment, sets: &Sets) -> DeploymentStatus {
    let sum = |of: fn(&ReplicaSet) -> i32| sets.all().map(of).sum::<i32>();
    let actual = |set: &ReplicaSet| set.status.as_ref().map_or(0, |status| status.replicas);
    let available = sum(super::scale::available);
    let wanted: i32 = sets.all().map(size).sum();
    let some = |number: i32| Some(number).filter(|number| *number != 0);
    DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(sum(actual)),
        updated_replicas: some(sets.new_set().map_or(0, actual)),
        ready_replicas: some(sum(|set| set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0))),
        available_replicas: some(available),
        unavailable_replicas: some((wanted - available).max(0)),
        terminating_replicas: Some(sum(|set| set.status.as_ref().and_then(|status| status.terminating_replicas).unwrap_or(0))),
        collision_count: deployment.status.as_ref().and_then(|status| status.collision_count),
        conditions: deployment.status.as_ref().and_then(|status| status.conditions.clone()),
    }
}

/// Whether all pods are of the present template, and available.
pub fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = replicas(deployment);
    let all = [status.updated_replicas, status.replicas, status.available_replicas];
    all.iter().all(|number| number.unwrap_or(0) == wanted) && status.observed_generation >= deployment.metadata.generation
}

/// Puts the numbers and whether enough pods are available into the plan, on top of `before`, the status with what was noted so far.
pub fn report(observed: &Observed<'_>, sets: &Sets, before: Option<&DeploymentStatus>, plan: &mut Plan) {
    let status = base(observed, sets, before);
    put(observed.deployment, status, plan);
}

fn base(observed: &Observed<'_>, sets: &Sets, before: Option<&DeploymentStatus>) -> DeploymentStatus {
    let deployment = observed.deployment;
    let mut status = count(deployment, sets);
    if let Some(before) = before {
        status.conditions.clone_from(&before.conditions);
    }
    let needed = replicas(deployment) - Bounds::of(deployment).unavailable;
    let enough = status.available_replicas.unwrap_or(0) >= needed;
    let (word, why, message) = if enough {
        ("True", reason::ENOUGH, "Deployment has minimum availability.")
    } else {
        ("False", reason::TOO_FEW, "Deployment does not have minimum availability.")
    };
    set(&mut status, condition("Available", word, why, message.to_owned(), observed.now));
    status
}

/// As [`report`], and whether the rollout makes progress.
pub fn progress(observed: &Observed<'_>, sets: &Sets, before: Option<&DeploymentStatus>, plan: &mut Plan) {
    let deployment = observed.deployment;
    let mut status = base(observed, sets, before);
    note_new_set(observed, sets, plan, &mut status);
    let current = get(&status, "Progressing").cloned();
    let reason_now = current.as_ref().and_then(|condition| condition.reason.as_deref());
    let settled = status.replicas == status.updated_replicas && reason_now == Some(reason::AVAILABLE);
    match deadline(deployment) {
        None => remove(&mut status, "Progressing"),
        Some(_) if settled => {}
        Some(seconds) => {
            let now = observed.now;
            if is_complete(deployment, &status) {
                let message = told(deployment, sets, "has successfully progressed.");
                set(&mut status, condition("Progressing", "True", reason::AVAILABLE, message, now));
            } else if moved(deployment, &status) {
                let message = told(deployment, sets, "is progressing.");
                replace(&mut status, condition("Progressing", "True", reason::UPDATED, message, now));
            } else if timed_out(current.as_ref(), seconds, now) {
                let message = told(deployment, sets, "has timed out progressing.");
                set(&mut status, condition("Progressing", "False", reason::TIMED_OUT, message, now));
            }
            plan.look_again = due(&status, seconds).filter(|_| !is_complete(deployment, &status));
        }
    }
    match replica_failure(sets) {
        Some(failure) => set(&mut status, failure),
        None => remove(&mut status, "ReplicaFailure"),
    }
    put(deployment, status, plan);
}

/// Notes that the new set was made, or was there when the first progress was looked for.
fn note_new_set(observed: &Observed<'_>, sets: &Sets, plan: &Plan, status: &mut DeploymentStatus) {
    let (Some(_), Some(set_new)) = (deadline(observed.deployment), sets.new_set()) else { return };
    let name = set_new.metadata.name.as_deref().unwrap_or_default();
    let made = plan.steps.iter().any(|step| matches!(step, Step::Create(_)));
    if made {
        let message = format!("Created new replica set \"{name}\"");
        set(status, condition("Progressing", "True", reason::CREATED, message, observed.now));
    } else if get(status, "Progressing").is_none() {
        let message = format!("Found new replica set \"{name}\"");
        set(status, condition("Progressing", "True", reason::FOUND, message, observed.now));
    }
}

fn told(deployment: &Deployment, sets: &Sets, what: &str) -> String {
    let name = |name: &Option<String>| name.clone().unwrap_or_default();
    match sets.new_set() {
        Some(set) => format!("ReplicaSet \"{}\" {what}", name(&set.metadata.name)),
        None => format!("Deployment \"{}\" {what}", name(&deployment.metadata.name)),
    }
}

/// Whether more is new, less is old, or more is up than in the last report.
fn moved(deployment: &Deployment, new: &DeploymentStatus) -> bool {
    let old = deployment.status.clone().unwrap_or_default();
    let number = |value: Option<i32>| value.unwrap_or(0);
    let outdated = |status: &DeploymentStatus| number(status.replicas) - number(status.updated_replicas);
    number(new.updated_replicas) > number(old.updated_replicas)
        || outdated(new) < outdated(&old)
        || number(new.ready_replicas) > number(old.ready_replicas)
        || number(new.available_replicas) > number(old.available_replicas)
}

fn timed_out(current: Option<&DeploymentCondition>, seconds: i32, now: Timestamp) -> bool {
    let Some(current) = current else { return false };
    match current.reason.as_deref() {
        Some(reason::AVAILABLE) => false,
        Some(reason::TIMED_OUT) => true,
        _ => end(current, seconds).is_some_and(|end| end < now),
    }
}

fn end(condition: &DeploymentCondition, seconds: i32) -> Option<Timestamp> {
    condition.last_update_time.as_ref()?.0.checked_add(SignedDuration::from_secs(seconds.into())).ok()
}

/// When the deadline has passed for certain, unless it does not run.
fn due(status: &DeploymentStatus, seconds: i32) -> Option<Timestamp> {
    let current = get(status, "Progressing")?;
    let runs = !matches!(current.reason.as_deref(), Some(reason::AVAILABLE | reason::TIMED_OUT | reason::PAUSED));
    end(current, seconds).filter(|_| runs)?.checked_add(SignedDuration::from_secs(1)).ok()
}

fn replica_failure(sets: &Sets) -> Option<DeploymentCondition> {
    let of = |set: &ReplicaSet| {
        let conditions = set.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|condition| condition.type_.as_deref() == Some("ReplicaFailure")).cloned()
    };
    let failure = sets.new_set().and_then(of).or_else(|| sets.old().find_map(of))?;
    Some(DeploymentCondition {
        type_: failure.type_,
        status: failure.status,
        reason: failure.reason,
        message: failure.message,
        last_update_time: failure.last_transition_time.clone(),
        last_transition_time: failure.last_transition_time,
    })
}

fn put(deployment: &Deployment, status: DeploymentStatus, plan: &mut Plan) {
    plan.status = (Some(&status) != deployment.status.as_ref()).then_some(status);
}
