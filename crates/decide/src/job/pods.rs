//! How many pods a Job wants, and which of those that run are too many.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use super::attempt;
use super::indexes::Indexes;
use super::{Look, NewPod, Plan};
use crate::pod_facts::{is_ready, phase, ready_since, restarts};

/// The most pods that are made or deleted at one look.
const STEP_MAX: usize = 500;

/// Adds the pods to be made, or those that do not count any more.
pub(super) fn plan(look: &Look<'_>, plan: &mut Plan) {
    if look.spec.suspend == Some(true) {
        plan.discard.clone_from(&look.active);
        return;
    }
    let active = count(look.active.len());
    let wanted = wanted(look, active);
    let surplus = surplus(look, usize::try_from(active - wanted).unwrap_or_default());
    if !surplus.is_empty() {
        plan.discard = surplus;
        plan.discard.truncate(STEP_MAX);
        return;
    }
    let waiting = if attempt::waits_for_end(look.job) { look.terminating } else { 0 };
    let missing = usize::try_from(wanted - waiting - active).unwrap_or_default().min(STEP_MAX);
    if missing == 0 {
        return;
    }
    if look.failed_indexes.is_none()
        && let Some(at) = look.memory.retry_at().filter(|at| *at > look.now)
    {
        wake(plan, at);
    } else if look.indexed {
        create_indexed(look, plan, missing);
    } else {
        plan.create = vec![NewPod { index: None, failures: None }; missing];
    }
}

fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

fn wanted(look: &Look<'_>, active: i32) -> i32 {
    let parallelism = look.spec.parallelism.unwrap_or(1);
    match look.spec.completions {
        None if look.succeeded > 0 => active,
        None => parallelism,
        Some(completions) => (completions - look.succeeded).clamp(0, parallelism),
    }
}

fn wake(plan: &mut Plan, at: jiff::Timestamp) {
    plan.again = Some(plan.again.map_or(at, |earlier| earlier.min(at)));
}

/// Pods of the same or an unknown index, then those that matter least, until enough go.
fn surplus(look: &Look<'_>, at_least: usize) -> Vec<Arc<Pod>> {
    let mut left = look.active.clone();
    left.sort_by_key(|pod| worth(pod));
    let mut surplus = Vec::new();
    if look.indexed {
        let mut seen = Indexes::default();
        // The most valuable pod of an index stays.
        left.reverse();
        left.retain(|pod| {
            let stays = attempt::index(pod, look.completions).is_some_and(|index| seen.add(index));
            if !stays {
                surplus.push(Arc::clone(pod));
            }
            stays
        });
        left.reverse();
    }
    let more = at_least.saturating_sub(surplus.len());
    surplus.extend(left.into_iter().take(more));
    surplus
}

/// What makes a pod worth keeping, the least first.
fn worth(pod: &Pod) -> impl Ord + use<> {
    let placed = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).is_some_and(|node| !node.is_empty());
    let running = match phase(pod) {
        "Pending" => 0,
        "Running" => 2,
        _ => 1,
    };
    let since = ready_since(pod).map_or(i64::MIN, |since| -since.as_second());
    let made = pod.metadata.creation_timestamp.as_ref().map_or(i64::MIN, |time| -time.0.as_second());
    (placed, running, is_ready(pod), since, -restarts(pod), made, pod.metadata.name.clone())
}

/// The first indexes that nobody works on; those that failed lately have to wait.
fn create_indexed(look: &Look<'_>, plan: &mut Plan, missing: usize) {
    let waiting = attempt::waits_for_end(look.job);
    let busy = look.pods.iter().filter(|pod| {
        let ending = pod.metadata.deletion_timestamp.is_some() && !crate::pod_facts::is_finished(pod);
        crate::pod_facts::is_active(pod) || (waiting && ending)
    });
    let busy: Indexes = busy.filter_map(|pod| attempt::index(pod, look.completions)).collect();
    let failed = look.failed_indexes.clone().unwrap_or_default();
    let kept = look.kept_for_index();
    let free =
        (0..look.completions).filter(|index| !busy.has(*index) && !look.succeeded_indexes.has(*index) && !failed.has(*index));
    let mut next = None;
    for index in free.take(missing) {
        let before = kept.iter().find(|(other, _)| *other == index).map(|(_, pod)| *pod);
        let at = before.map(|pod| attempt::retry_at(attempt::failures_before(pod).1 + 1, attempt::ended_at(pod)));
        if let Some(at) = at.filter(|at| *at > look.now) {
            next = Some(next.map_or(at, |earlier: jiff::Timestamp| earlier.min(at)));
            continue;
        }
        let failures = look.failed_indexes.as_ref().map(|_| before.map_or((0, 0), |pod| failures_with(look, pod)));
        plan.create.push(NewPod { index: Some(index), failures });
    }
    if let Some(at) = next.filter(|_| plan.create.is_empty()) {
        wake(plan, at);
    }
}

/// Counted and ignored failures of an index, this pod's included.
fn failures_with(look: &Look<'_>, pod: &Pod) -> (i32, i32) {
    let (counted, all) = attempt::failures_before(pod);
    let ignored = all - counted;
    match attempt::judge(look.job, pod) {
        attempt::Verdict::Ignore => (counted, ignored + 1),
        _ => (counted + 1, ignored),
    }
}
