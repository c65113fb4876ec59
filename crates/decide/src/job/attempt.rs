//! A pod as one attempt of a Job: its index, when and how it ended, and what the failure policy says about that.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, PodFailurePolicyOnExitCodesRequirement as OnExitCodes};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::pod_facts::{condition, is_ending, phase};

/// Keeps a finished pod until it is counted.
pub const FINALIZER: &str = "batch.kubernetes.io/job-tracking";
/// On a pod: its completion index.
pub const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// On a pod: how many attempts of its index failed before it.
pub const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// On a pod: how many more failed that do not count.
pub const IGNORED_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";

const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(10);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(10);

/// Whether a pod still has to be counted.
#[must_use]
pub fn is_tracked(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().flatten().any(|name| name == FINALIZER)
}

fn number(pod: &Pod, annotation: &str) -> Option<i32> {
    pod.metadata.annotations.as_ref()?.get(annotation)?.parse().ok().filter(|number| *number >= 0)
}

/// A pod's completion index, if it has one that the Job knows.
#[must_use]
pub fn index(pod: &Pod, completions: i32) -> Option<i32> {
    number(pod, INDEX).filter(|index| *index < completions)
}

/// How many attempts failed before this one: those that count, and all.
#[must_use]
pub fn failures_before(pod: &Pod) -> (i32, i32) {
    let counted = number(pod, FAILURES).unwrap_or_default();
    (counted, counted + number(pod, IGNORED_FAILURES).unwrap_or_default())
}

/// Whether a pod is only replaced once it has failed; otherwise one that is being deleted has failed already.
#[must_use]
pub fn waits_for_end(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.pod_replacement_policy.as_deref()) == Some("Failed")
}

/// Whether a pod has failed.
#[must_use]
pub fn has_failed(pod: &Pod, job: &Job) -> bool {
    phase(pod) == "Failed" || (!waits_for_end(job) && is_ending(pod) && phase(pod) != "Succeeded")
}

/// When a pod ended.
#[must_use]
pub fn ended_at(pod: &Pod) -> Timestamp {
    let statuses = || pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let ends: Option<Vec<Timestamp>> =
        statuses().map(|status| Some(status.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0)).collect();
    let by_containers = ends.and_then(|ends| ends.into_iter().max());
    let by_condition =
        || condition(pod, "Ready").filter(|ready| ready.status == "False")?.last_transition_time.as_ref().map(|time| time.0);
    let by_deletion = || {
        let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_default();
        Some(pod.metadata.deletion_timestamp.as_ref()?.0 - SignedDuration::from_secs(grace))
    };
    let made = || pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    by_containers.or_else(by_condition).or_else(by_deletion).or_else(made).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// When the next attempt may begin after so many failures in a row.
#[must_use]
pub fn retry_at(failures: i32, last: Timestamp) -> Timestamp {
    if failures <= 0 {
        return last;
    }
    let doublings = u32::try_from(failures - 1).unwrap_or_default().min(10);
    last + FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

/// What the failure policy makes of a failed pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It counts.
    Count,
    /// It does not.
    Ignore,
    /// Its index has failed for good.
    FailIndex,
    /// The Job has failed, and why.
    FailJob(String),
}

/// What the first rule that matches says; without one the failure counts.
#[must_use]
pub fn judge(job: &Job, pod: &Pod) -> Verdict {
    let policy = job.spec.as_ref().and_then(|spec| spec.pod_failure_policy.as_ref());
    let of = |name: &Option<String>| name.clone().unwrap_or_default();
    for (position, rule) in policy.iter().flat_map(|policy| &policy.rules).enumerate() {
        let full_name = || format!("{}/{}", of(&pod.metadata.namespace), of(&pod.metadata.name));
        let why = if let Some(codes) = &rule.on_exit_codes {
            exit_that_matches(pod, codes)
                .map(|(container, code)| format!("Container {container} for pod {} failed with exit code {code}", full_name()))
        } else {
            let patterns = rule.on_pod_conditions.as_deref().unwrap_or_default();
            let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
            let mut matching = conditions.filter(|one| {
                patterns
                    .iter()
                    .any(|pattern| pattern.type_ == one.type_ && pattern.status.as_deref().unwrap_or("True") == one.status)
            });
            matching.next().map(|one| format!("Pod {} has condition {}", full_name(), one.type_))
        };
        let Some(why) = why else { continue };
        return match rule.action.as_str() {
            "Ignore" => Verdict::Ignore,
            "FailIndex" => Verdict::FailIndex,
            "FailJob" => Verdict::FailJob(format!("{why} matching FailJob rule at index {position}")),
            _ => Verdict::Count,
        };
    }
    Verdict::Count
}

fn exit_that_matches<'p>(pod: &'p Pod, codes: &OnExitCodes) -> Option<(&'p str, i32)> {
    let status = pod.status.as_ref()?;
    let all = status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten());
    let exit = |one: &'p ContainerStatus| {
        let code = one.state.as_ref()?.terminated.as_ref()?.exit_code;
        let named = codes.container_name.as_ref().is_none_or(|name| *name == one.name);
        let listed = codes.values.contains(&code);
        let matches = if codes.operator == "In" { listed } else { !listed };
        (named && code != 0 && matches).then_some((one.name.as_str(), code))
    };
    all.into_iter().find_map(exit)
}
