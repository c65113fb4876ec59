//! When a CronJob starts a Job, and which old ones go. Never asks for the time; the zone comes in as data.

pub mod schedule;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::job::is_over;
use schedule::Schedule;

/// Missed times beyond which people are told.
const MISSED_MAX: i64 = 100;
/// How many finished Jobs are kept, those that went well and those that did not.
const HISTORY: (i32, i32) = (3, 1);

/// What is to be done.
#[derive(Debug, Default)]
pub struct Plan {
    /// The time for which a Job is to be made.
    pub start: Option<Timestamp>,
    /// Jobs that go: those that are replaced, and old ones.
    pub delete: Vec<Arc<Job>>,
    /// The status, before a Job is made.
    pub status: CronJobStatus,
    /// When to look again, though nothing happened.
    pub again: Option<Timestamp>,
    /// What to tell: whether it is a warning, the reason, the message.
    pub told: Vec<(bool, &'static str, String)>,
}

fn name(job: &Job) -> &str {
    job.metadata.name.as_deref().unwrap_or_default()
}

fn went_well(job: &Job) -> bool {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|one| one.type_ == "Complete" && one.status == "True")
}

/// The name of the Job for a time.
#[must_use]
pub fn name_for(cron: &str, time: Timestamp) -> String {
    format!("{cron}-{}", time.as_second() / 60)
}

/// Decides about one CronJob from the Jobs that it owns.
#[must_use]
pub fn plan(cron: &CronJob, jobs: &[Arc<Job>], zone: &TimeZone, now: Timestamp) -> Plan {
    let mut plan = Plan { status: cron.status.clone().unwrap_or_default(), ..Plan::default() };
    keep_active(jobs, &mut plan);
    let spec = &cron.spec;
    forget_old(cron, jobs, &mut plan);
    if cron.metadata.deletion_timestamp.is_some() || spec.suspend == Some(true) {
        return plan;
    }
    let schedule = match Schedule::parse(&spec.schedule) {
        Ok(schedule) => schedule,
        Err(error) => {
            plan.told.push((true, "UnparseableSchedule", format!("unparseable schedule: \"{}\" : {error}", spec.schedule)));
            return plan;
        }
    };
    plan.again = schedule.next_after(now, zone);
    let Some(time) = due(cron, &schedule, zone, now, &mut plan) else { return plan };
    let deadline = spec.starting_deadline_seconds.map(|seconds| time + SignedDuration::from_secs(seconds));
    if deadline.is_some_and(|deadline| deadline < now) {
        let message = format!("Missed scheduled time to start a job: {}", time.strftime("%a, %d %b %Y %H:%M:%S +0000"));
        plan.told.push((true, "MissSchedule", message));
        return plan;
    }
    let wanted = name_for(cron.metadata.name.as_deref().unwrap_or_default(), time);
    let active = plan.status.active.as_deref().unwrap_or_default();
    let started = active.iter().any(|job| job.name.as_deref() == Some(&wanted));
    if started || plan.status.last_schedule_time.as_ref().is_some_and(|last| last.0 == time) {
        return plan;
    }
    match spec.concurrency_policy.as_deref() {
        Some("Forbid") if !active.is_empty() => {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid".to_owned();
            plan.told.push((false, "JobAlreadyActive", message));
            return plan;
        }
        Some("Replace") => {
            let is_active = |job: &&Arc<Job>| active.iter().any(|one| one.uid == job.metadata.uid);
            plan.delete.extend(jobs.iter().filter(is_active).cloned());
            plan.status.active = None;
        }
        _ => {}
    }
    plan.start = Some(time);
    plan.status.last_schedule_time = Some(Time(time));
    plan
}

/// Takes Jobs that are over or gone off the list.
fn keep_active(jobs: &[Arc<Job>], plan: &mut Plan) {
    let status = &mut plan.status;
    let mut active = status.active.take().unwrap_or_default();
    for job in jobs {
        let listed = active.iter().position(|one| one.uid == job.metadata.uid);
        match listed {
            Some(place) if is_over(job) => {
                active.remove(place);
                let how = if went_well(job) { "Complete" } else { "Failed" };
                plan.told.push((false, "SawCompletedJob", format!("Saw completed job: {}, condition: {how}", name(job))));
            }
            None if !is_over(job) && job.metadata.deletion_timestamp.is_none() => {
                plan.told.push((
                    true,
                    "UnexpectedJob",
                    format!("Saw a job that the controller did not create or forgot: {}", name(job)),
                ));
            }
            _ => {}
        }
        let ended = job.status.as_ref().and_then(|status| status.completion_time.clone()).filter(|_| went_well(job));
        if let Some(ended) = ended
            && status.last_successful_time.as_ref().is_none_or(|last| last.0 < ended.0)
        {
            status.last_successful_time = Some(ended);
        }
    }
    active.retain(|one| {
        let there = jobs.iter().any(|job| job.metadata.uid == one.uid);
        if !there {
            let name = one.name.as_deref().unwrap_or_default();
            plan.told.push((false, "MissingJob", format!("Active job went missing: {name}")));
        }
        there
    });
    status.active = Some(active).filter(|active| !active.is_empty());
}

/// The last time that has come and was not seen to yet.
fn due(cron: &CronJob, schedule: &Schedule, zone: &TimeZone, now: Timestamp, plan: &mut Plan) -> Option<Timestamp> {
    let made = cron.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
    let mut earliest = plan.status.last_schedule_time.as_ref().map_or(made, |time| time.0);
    let deadline = cron.spec.starting_deadline_seconds;
    if let Some(seconds) = deadline {
        earliest = earliest.max(now - SignedDuration::from_secs(seconds));
    }
    let first = schedule.next_after(earliest, zone).filter(|first| *first <= now)?;
    let second = schedule.next_after(first, zone)?;
    if second > now {
        return Some(first);
    }
    let interval = second.duration_since(first);
    let missed = now.duration_since(first).as_secs() / interval.as_secs().max(1);
    if missed > MISSED_MAX {
        let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew".to_owned();
        plan.told.push((true, "TooManyMissedTimes", message));
    }
    // Only the last few are walked through.
    let near = now - interval.saturating_mul(8);
    let mut last = if missed > 16 && !matches!(schedule, Schedule::Every(_)) {
        schedule.next_after(near, zone).filter(|time| *time <= now)?
    } else {
        first
    };
    while let Some(next) = schedule.next_after(last, zone).filter(|next| *next <= now) {
        last = next;
    }
    Some(last)
}

/// Adds finished Jobs beyond what is to be kept, the oldest first.
fn forget_old(cron: &CronJob, jobs: &[Arc<Job>], plan: &mut Plan) {
    let good = cron.spec.successful_jobs_history_limit.unwrap_or(HISTORY.0);
    let bad = cron.spec.failed_jobs_history_limit.unwrap_or(HISTORY.1);
    for (well, limit) in [(true, good), (false, bad)] {
        let mut over: Vec<_> = jobs.iter().filter(|job| is_over(job) && went_well(job) == well).cloned().collect();
        over.sort_by_key(|job| {
            let started = job.status.as_ref().and_then(|status| status.start_time.as_ref());
            (started.map(|time| time.0), job.metadata.name.clone())
        });
        let excess = over.len().saturating_sub(usize::try_from(limit).unwrap_or_default());
        plan.delete.extend(over.into_iter().take(excess));
    }
}
