//! What a Job does next: which pods it makes, counts and ends, and when it is over. Each pod is counted exactly once: its uid goes into
//! the status first, then its finalizer goes, then the uid turns into a number. Never makes or deletes a pod.

pub mod attempt;
mod ending;
pub mod indexes;
mod pods;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::pod_facts::{is_active, is_ending, is_finished, is_ready, phase};
use attempt::Verdict;
use indexes::Indexes;

/// What is remembered between two looks at a Job; losing it only shortens a pause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    failures: i32,
    last_failure: Option<Timestamp>,
}

/// A pod that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewPod {
    /// Its completion index.
    pub index: Option<i32>,
    /// With a limit for each index: how many attempts failed before, those that count and those that do not.
    pub failures: Option<(i32, i32)>,
}

/// Something to tell people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whether it is a warning.
    pub warning: bool,
    /// The reason, as one word.
    pub reason: &'static str,
    /// The message.
    pub message: String,
}

/// What is to be done: pods first, then the status, then finalizers.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Pods that go and do not count; their finalizer goes first.
    pub discard: Vec<Arc<Pod>>,
    /// Pods that go because the Job is over.
    pub stop: Vec<Arc<Pod>>,
    /// Pods to be made.
    pub create: Vec<NewPod>,
    /// The status, if all of the above goes well.
    pub status: JobStatus,
    /// Pods that are counted once the status is written, and need their finalizer no more.
    pub release: Vec<Arc<Pod>>,
    /// When to look again, though nothing happened.
    pub again: Option<Timestamp>,
    /// What to tell.
    pub told: Vec<Told>,
    /// What to remember once the status is written.
    pub memory: Memory,
}

/// Whether a Job is over.
#[must_use]
pub fn is_over(job: &Job) -> bool {
    ending::has(job, "Complete") || ending::has(job, "Failed")
}

/// When a Job was over.
#[must_use]
pub fn over_since(job: &Job) -> Option<Timestamp> {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut over = conditions.filter(|one| matches!(one.type_.as_str(), "Complete" | "Failed") && one.status == "True");
    over.find_map(|one| one.last_transition_time.as_ref()).map(|time| time.0)
}

/// All that one look at a Job is about.
struct Look<'a> {
    job: &'a Job,
    spec: &'a JobSpec,
    pods: &'a [Arc<Pod>],
    active: Vec<Arc<Pod>>,
    terminating: i32,
    now: Timestamp,
    indexed: bool,
    completions: i32,
    succeeded: i32,
    failed: i32,
    succeeded_indexes: Indexes,
    failed_indexes: Option<Indexes>,
    memory: Memory,
}

/// Decides about one Job that is not over, from all of its pods.
#[must_use]
pub fn plan(job: &Job, pods: &[Arc<Pod>], memory: Memory, now: Timestamp) -> Plan {
    let Some(spec) = &job.spec else { return Plan::default() };
    let mut status = job.status.clone().unwrap_or_default();
    let look = Look::new(job, spec, pods, memory, now);
    if status.start_time.is_none() && spec.suspend != Some(true) {
        status.start_time = Some(Time(now));
    }
    let mut plan = Plan { status, memory: look.memory, ..Plan::default() };
    let end = ending::find(&look, plan.status.start_time.as_ref().map(|time| time.0), &mut plan.again);
    let end = match end {
        Some(end) => {
            plan.stop.clone_from(&look.active);
            Some(end)
        }
        None => {
            if !is_job_ending(job) {
                pods::plan(&look, &mut plan);
            }
            let done = look.is_complete() && look.active.len() == plan.discard.len() && plan.create.is_empty();
            if !done && !is_job_ending(job) {
                suspension(&look, &mut plan);
            }
            done.then(ending::completed)
        }
    };
    count(&look, &mut plan, end.as_ref());
    ending::enact(&look, &mut plan, end);
    plan
}

fn is_job_ending(job: &Job) -> bool {
    job.metadata.deletion_timestamp.is_some()
}

impl<'a> Look<'a> {
    fn new(job: &'a Job, spec: &'a JobSpec, pods: &'a [Arc<Pod>], memory: Memory, now: Timestamp) -> Self {
        let status = job.status.clone().unwrap_or_default();
        let uncounted = status.uncounted_terminated_pods.clone().unwrap_or_default();
        let (known_good, known_bad) = (uncounted.succeeded.unwrap_or_default(), uncounted.failed.unwrap_or_default());
        let indexed = spec.completion_mode.as_deref() == Some("Indexed");
        let completions = spec.completions.unwrap_or(i32::MAX);
        let valid = |pod: &Pod| !indexed || attempt::index(pod, completions).is_some();
        let new = |pod: &&Arc<Pod>, known: &[String]| {
            attempt::is_tracked(pod) && valid(pod) && !known.iter().any(|uid| Some(uid) == pod.metadata.uid.as_ref())
        };
        let good: Vec<_> = pods.iter().filter(|pod| new(pod, &known_good) && phase(pod) == "Succeeded").collect();
        let bad: Vec<_> = pods.iter().filter(|pod| new(pod, &known_bad) && attempt::has_failed(pod, job)).collect();
        let counting = bad.iter().filter(|pod| attempt::judge(job, pod) != Verdict::Ignore).count();
        let number = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
        let mut look = Self {
            job,
            spec,
            pods,
            active: pods.iter().filter(|pod| is_active(pod)).cloned().collect(),
            terminating: number(pods.iter().filter(|pod| is_ending(pod) && !is_finished(pod)).count()),
            now,
            indexed,
            completions,
            succeeded: status.succeeded.unwrap_or_default() + number(good.len() + known_good.len()),
            failed: status.failed.unwrap_or_default() + number(counting + known_bad.len()),
            succeeded_indexes: Indexes::default(),
            failed_indexes: None,
            memory: memory.after(&good, &bad),
        };
        if indexed {
            look.find_indexes(&status);
        }
        look
    }

    fn find_indexes(&mut self, status: &JobStatus) {
        self.succeeded_indexes = Indexes::parse(status.completed_indexes.as_deref().unwrap_or_default(), self.completions);
        let good = self.pods.iter().filter(|pod| attempt::is_tracked(pod) && phase(pod) == "Succeeded");
        for index in good.filter_map(|pod| attempt::index(pod, self.completions)) {
            self.succeeded_indexes.add(index);
        }
        self.succeeded = self.succeeded_indexes.len();
        let Some(limit) = self.spec.backoff_limit_per_index else { return };
        let mut failed = Indexes::parse(status.failed_indexes.as_deref().unwrap_or_default(), self.completions);
        for pod in self.pods.iter().filter(|pod| attempt::is_tracked(pod) && attempt::has_failed(pod, self.job)) {
            let Some(index) = attempt::index(pod, self.completions) else { continue };
            let gone = match attempt::judge(self.job, pod) {
                Verdict::FailIndex => true,
                Verdict::Ignore => false,
                _ => attempt::failures_before(pod).0 >= limit,
            };
            if gone {
                failed.add(index);
            }
        }
        self.failed_indexes = Some(failed);
    }

    /// Failed pods that stay until their index is tried again, since they tell how often it failed.
    fn kept_for_index(&self) -> Vec<(i32, &Arc<Pod>)> {
        let Some(failed) = &self.failed_indexes else { return Vec::new() };
        let active: Indexes = self.active.iter().filter_map(|pod| attempt::index(pod, self.completions)).collect();
        let mut kept: Vec<(i32, &Arc<Pod>)> = Vec::new();
        for pod in self.pods.iter().filter(|pod| attempt::is_tracked(pod) && attempt::has_failed(pod, self.job)) {
            let Some(index) = attempt::index(pod, self.completions) else { continue };
            if self.succeeded_indexes.has(index) || failed.has(index) || active.has(index) {
                continue;
            }
            let rank = |pod: &Pod| (attempt::failures_before(pod).1, attempt::ended_at(pod));
            match kept.iter_mut().find(|(other, _)| *other == index) {
                Some((_, other)) if rank(other) <= rank(pod) => *other = pod,
                Some(_) => {}
                None => kept.push((index, pod)),
            }
        }
        kept
    }

    fn is_complete(&self) -> bool {
        match self.spec.completions {
            None => self.succeeded > 0 && self.active.is_empty(),
            Some(completions) => self.succeeded >= completions,
        }
    }
}

impl Memory {
    /// With what ended since.
    fn after(self, good: &[&Arc<Pod>], bad: &[&Arc<Pod>]) -> Self {
        let ends: Vec<Timestamp> = bad.iter().map(|pod| attempt::ended_at(pod)).collect();
        let Some(success) = good.iter().map(|pod| attempt::ended_at(pod)).max() else {
            let failures = self.failures.saturating_add(i32::try_from(ends.len()).unwrap_or(i32::MAX));
            return Self { failures, last_failure: ends.into_iter().max().or(self.last_failure) };
        };
        let later: Vec<Timestamp> = ends.into_iter().filter(|end| *end > success).collect();
        Self { failures: i32::try_from(later.len()).unwrap_or(i32::MAX), last_failure: later.into_iter().max() }
    }

    fn retry_at(self) -> Option<Timestamp> {
        self.last_failure.map(|last| attempt::retry_at(self.failures, last))
    }
}

/// Says in the conditions whether the Job is suspended; one that goes on begins its time anew.
fn suspension(look: &Look<'_>, plan: &mut Plan) {
    let (suspended, event) = if look.spec.suspend == Some(true) { (true, "Suspended") } else { (false, "Resumed") };
    let message = if suspended { "Job suspended" } else { "Job resumed" };
    if ending::has(look.job, "Suspended") == suspended {
        return;
    }
    let conditions = plan.status.conditions.get_or_insert_default();
    let old = conditions.iter().position(|one| one.type_ == "Suspended");
    let new = condition("Suspended", suspended, if suspended { "JobSuspended" } else { "JobResumed" }, message, look.now);
    match old {
        Some(position) => conditions[position] = new,
        None => conditions.push(new),
    }
    plan.status.start_time = (!suspended).then_some(Time(look.now));
    plan.told.push(Told { warning: false, reason: event, message: message.to_owned() });
}

fn condition(kind: &str, status: bool, reason: &str, message: &str, now: Timestamp) -> JobCondition {
    JobCondition {
        type_: kind.to_owned(),
        status: if status { "True" } else { "False" }.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

/// Turns uids whose pods are released into numbers, and puts pods that ended in their place.
fn count(look: &Look<'_>, plan: &mut Plan, end: Option<&ending::End>) {
    let tracked = look.pods.iter().filter(|pod| attempt::is_tracked(pod));
    let tracked_uids: HashSet<&String> = tracked.clone().filter_map(|pod| pod.metadata.uid.as_ref()).collect();
    let status = &mut plan.status;
    let mut uncounted = status.uncounted_terminated_pods.take().unwrap_or_default();
    let (mut good, mut bad) = (uncounted.succeeded.take().unwrap_or_default(), uncounted.failed.take().unwrap_or_default());
    let settle = |uids: &mut Vec<String>| {
        let before = uids.len();
        uids.retain(|uid| tracked_uids.contains(uid));
        i32::try_from(before - uids.len()).unwrap_or(i32::MAX)
    };
    let (settled_good, settled_bad) = (settle(&mut good), settle(&mut bad));
    status.failed = Some(status.failed.unwrap_or_default() + settled_bad);
    if !look.indexed {
        status.succeeded = Some(status.succeeded.unwrap_or_default() + settled_good);
    }
    let kept: HashSet<_> = look.kept_for_index().into_iter().map(|(_, pod)| pod.metadata.uid.clone()).collect();
    let failed_end = end.is_some_and(|end| !end.is_success);
    let discarded = |pod: &Arc<Pod>| plan.discard.iter().any(|other| other.metadata.uid == pod.metadata.uid);
    for pod in tracked.filter(|pod| !discarded(pod)) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let (won, lost) = (phase(pod) == "Succeeded", attempt::has_failed(pod, look.job));
        let free = is_job_ending(look.job) || end.is_some() || won;
        if !free && (!lost || kept.contains(&pod.metadata.uid)) {
            continue;
        }
        plan.release.push(Arc::clone(pod));
        if won && !bad.contains(&uid) {
            if !look.indexed && !good.contains(&uid) {
                good.push(uid);
            }
        } else if lost || failed_end {
            let valid = !look.indexed || attempt::index(pod, look.completions).is_some();
            if valid && !bad.contains(&uid) && attempt::judge(look.job, pod) != Verdict::Ignore {
                bad.push(uid);
            }
        }
    }
    if look.indexed {
        status.succeeded = Some(look.succeeded_indexes.len());
        status.completed_indexes = Some(look.succeeded_indexes.to_string()).filter(|text| !text.is_empty());
        status.failed_indexes = look.failed_indexes.as_ref().map(ToString::to_string);
    }
    uncounted.succeeded = Some(good).filter(|uids| !uids.is_empty());
    uncounted.failed = Some(bad).filter(|uids| !uids.is_empty());
    status.uncounted_terminated_pods = Some(uncounted);
    let gone = i32::try_from(plan.stop.len() + plan.discard.len()).unwrap_or(i32::MAX);
    let made = i32::try_from(plan.create.len()).unwrap_or(i32::MAX);
    let going: HashSet<_> = plan.stop.iter().chain(&plan.discard).map(|pod| pod.metadata.uid.clone()).collect();
    let ready = look.active.iter().filter(|pod| is_ready(pod) && !going.contains(&pod.metadata.uid)).count();
    status.active = Some(i32::try_from(look.active.len()).unwrap_or(i32::MAX) - gone + made).filter(|active| *active != 0);
    status.ready = Some(i32::try_from(ready).unwrap_or(i32::MAX));
    status.terminating = Some(look.terminating + gone);
}

/// How long until a time.
#[must_use]
pub fn until(time: Timestamp, now: Timestamp) -> std::time::Duration {
    time.duration_since(now).max(SignedDuration::ZERO).try_into().unwrap_or_default()
}
