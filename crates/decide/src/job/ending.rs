//! When a Job is over, and how that is told: first what it is about to become, then, once no pod is left, what it is.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, SuccessPolicy};

use super::attempt::{self, Verdict};
use super::indexes::Indexes;
use super::{Look, Plan, Told, condition};
use crate::pod_facts::phase;

/// How a Job ends.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub is_success: bool,
    reason: String,
    message: String,
}

impl End {
    fn new(is_success: bool, reason: &str, message: impl Into<String>) -> Self {
        Self { is_success, reason: reason.to_owned(), message: message.into() }
    }
}

/// Whether a Job has a condition.
pub(super) fn has(job: &Job, kind: &str) -> bool {
    let mut conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|one| one.type_ == kind && one.status == "True")
}

fn existing(job: &Job, kind: &str, is_success: bool) -> Option<End> {
    let mut conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let one = conditions.find(|one| one.type_ == kind && one.status == "True")?;
    Some(End::new(is_success, one.reason.as_deref().unwrap_or_default(), one.message.clone().unwrap_or_default()))
}

/// All completions are there.
pub(super) fn completed() -> End {
    End::new(true, "CompletionsReached", "Reached expected number of succeeded pods")
}

/// Whether the Job is to end now for another reason than that all is done; when its deadline comes, it is looked at again.
pub(super) fn find(look: &Look<'_>, started: Option<Timestamp>, again: &mut Option<Timestamp>) -> Option<End> {
    let already = || existing(look.job, "SuccessCriteriaMet", true).or_else(|| existing(look.job, "FailureTarget", false));
    already().or_else(|| by_policy(look)).or_else(|| by_limit(look, started, again)).or_else(|| by_indexes(look))
}

fn by_policy(look: &Look<'_>) -> Option<End> {
    let failed = look.pods.iter().filter(|pod| attempt::is_tracked(pod) && attempt::has_failed(pod, look.job));
    failed.map(|pod| attempt::judge(look.job, pod)).find_map(|verdict| match verdict {
        Verdict::FailJob(why) => Some(End::new(false, "PodFailurePolicy", why)),
        _ => None,
    })
}

fn by_limit(look: &Look<'_>, started: Option<Timestamp>, again: &mut Option<Timestamp>) -> Option<End> {
    let limit = look.spec.backoff_limit.unwrap_or(6);
    if look.failed > limit || restarted_too_often(look, limit) {
        return Some(End::new(false, "BackoffLimitExceeded", "Job has reached the specified backoff limit"));
    }
    let seconds = look.spec.active_deadline_seconds.filter(|_| look.spec.suspend != Some(true))?;
    let deadline = started?.checked_add(SignedDuration::from_secs(seconds)).ok()?;
    if deadline <= look.now {
        return Some(End::new(false, "DeadlineExceeded", "Job was active longer than specified deadline"));
    }
    *again = Some(deadline);
    None
}

/// With restarts in place, those of the running pods count together.
fn restarted_too_often(look: &Look<'_>, limit: i32) -> bool {
    let in_place = look.spec.template.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()) == Some("OnFailure");
    if !in_place {
        return false;
    }
    let running = look.pods.iter().filter(|pod| matches!(phase(pod), "Running" | "Pending"));
    let restarts: i32 = running
        .flat_map(|pod| pod.status.iter())
        .flat_map(|status| status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten()))
        .map(|status| status.restart_count)
        .sum();
    if limit == 0 { restarts > 0 } else { restarts >= limit }
}

fn by_indexes(look: &Look<'_>) -> Option<End> {
    if !look.indexed {
        return None;
    }
    if let Some(failed) = &look.failed_indexes {
        if look.spec.max_failed_indexes.is_some_and(|max| failed.len() > max) {
            let message = "Job has exceeded the specified maximal number of failed indexes";
            return Some(End::new(false, "MaxFailedIndexesExceeded", message));
        }
        if !failed.is_empty() && failed.len() + look.succeeded_indexes.len() >= look.completions {
            return Some(End::new(false, "FailedIndexes", "Job has failed indexes"));
        }
    }
    let rule = met_rule(look.spec.success_policy.as_ref()?, &look.succeeded_indexes, look.completions)?;
    Some(End::new(true, "SuccessPolicy", format!("Matched rules at index {rule}")))
}

fn met_rule(policy: &SuccessPolicy, succeeded: &Indexes, completions: i32) -> Option<usize> {
    if succeeded.is_empty() {
        return None;
    }
    policy.rules.iter().position(|rule| match &rule.succeeded_indexes {
        None => rule.succeeded_count.is_some_and(|count| succeeded.len() >= count),
        Some(text) => {
            let required = Indexes::parse(text, completions);
            let met = count(required.iter().filter(|index| succeeded.has(*index)).count());
            !required.is_empty() && met >= rule.succeeded_count.unwrap_or(required.len())
        }
    })
}

fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

/// Writes the end into the conditions: what the Job is about to become at once, what it is once nothing is left to wait for.
pub(super) fn enact(look: &Look<'_>, plan: &mut Plan, end: Option<End>) {
    let Some(end) = end else { return };
    let (target, last) = if end.is_success { ("SuccessCriteriaMet", "Complete") } else { ("FailureTarget", "Failed") };
    let conditions = plan.status.conditions.get_or_insert_default();
    if !conditions.iter().any(|one| one.type_ == target) {
        conditions.push(condition(target, true, &end.reason, &end.message, look.now));
    }
    let uncounted = plan.status.uncounted_terminated_pods.as_ref();
    let counted = uncounted.is_none_or(|uncounted| uncounted.succeeded.is_none() && uncounted.failed.is_none());
    if !counted || !plan.release.is_empty() || plan.status.terminating.unwrap_or_default() > 0 {
        return;
    }
    conditions.push(condition(last, true, &end.reason, &end.message, look.now));
    if end.is_success {
        plan.status.completion_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(look.now));
        if look.spec.completions.is_some_and(|completions| look.succeeded > completions) {
            let message = "Too many succeeded pods running after completion count reached".to_owned();
            plan.told.push(Told { warning: true, reason: "TooManySucceededPods", message });
        }
        plan.told.push(Told { warning: false, reason: "Completed", message: "Job completed".to_owned() });
    } else {
        plan.told.push(Told { warning: true, reason: word(&end.reason), message: end.message });
    }
}

/// The reason as a word that lives for ever.
fn word(reason: &str) -> &'static str {
    const WORDS: &[&str] =
        &["BackoffLimitExceeded", "DeadlineExceeded", "FailedIndexes", "MaxFailedIndexesExceeded", "PodFailurePolicy"];
    WORDS.iter().find(|word| **word == reason).copied().unwrap_or("Failed")
}
