use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use serde_json::{Value, json};

use super::schedule::Schedule;
use super::{name_for, plan};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn zone() -> TimeZone {
    TimeZone::fixed(Offset::UTC)
}

#[test]
fn schedules_name_their_next_time() {
    let table = [
        ("* * * * *", "2026-01-01T00:00:30Z", "2026-01-01T00:01:00Z"),
        ("*/15 8-10 * * *", "2026-01-01T10:45:00Z", "2026-01-02T08:00:00Z"),
        ("0 0 31 * *", "2026-02-01T00:00:00Z", "2026-03-31T00:00:00Z"),
        ("0 0 29 feb ?", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 13 * 5", "2026-01-03T00:00:00Z", "2026-01-09T00:00:00Z"),
        ("0 0 * * sun,7", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
        ("5/20 * * * *", "2026-01-01T00:05:00Z", "2026-01-01T00:25:00Z"),
        ("@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
        ("@every 1h30m", "2026-01-01T00:00:00Z", "2026-01-01T01:30:00Z"),
    ];
    for (text, after, expected) in table {
        assert_eq!(Schedule::parse(text).unwrap().next_after(at(after), &zone()), Some(at(expected)), "{text}");
    }
    assert_eq!(Schedule::parse("0 0 30 2 *").unwrap().next_after(at("2026-01-01T00:00:00Z"), &zone()), None);
    for wrong in ["", "* * * *", "60 * * * *", "* * * * 8", "5-3 * * * *", "*/0 * * * *", "x * * * *", "@sometimes", "@every 1ms"]
    {
        assert!(Schedule::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_zone_shifts_the_times() {
    let east = TimeZone::fixed(Offset::constant(2));
    let next = Schedule::parse("0 6 * * *").unwrap().next_after(at("2026-01-01T00:00:00Z"), &east);
    assert_eq!(next, Some(at("2026-01-01T04:00:00Z")));
}

fn cron(spec: Value, status: Value) -> CronJob {
    let mut object = json!({
        "metadata": {"name": "c", "uid": "c", "creationTimestamp": "2026-01-01T00:00:30Z"},
        "spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"template": {}}}}, "status": status,
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn job(name: &str, condition: &str) -> Arc<Job> {
    let conditions = if condition.is_empty() { json!([]) } else { json!([{"type": condition, "status": "True"}]) };
    let status = json!({"conditions": conditions, "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:01:00Z"});
    Arc::new(serde_json::from_value(json!({"metadata": {"name": name, "uid": name}, "status": status})).unwrap())
}

fn active(name: &str) -> Value {
    json!({"active": [{"name": name, "uid": name}]})
}

#[test]
fn a_job_is_started_once_for_each_time_and_late_ones_only_within_the_deadline() {
    let idle = plan(&cron(json!({}), json!({})), &[], &zone(), at("2026-01-01T00:04:00Z"));
    assert_eq!((idle.start, idle.again), (None, Some(at("2026-01-01T00:05:00Z"))));
    let first = plan(&cron(json!({}), json!({})), &[], &zone(), at("2026-01-01T00:05:01Z"));
    assert_eq!(first.start, Some(at("2026-01-01T00:05:00Z")));
    let seen = json!({"lastScheduleTime": "2026-01-01T00:05:00Z"});
    assert_eq!(plan(&cron(json!({}), seen), &[], &zone(), at("2026-01-01T00:06:00Z")).start, None);
    let late = plan(&cron(json!({}), json!({})), &[], &zone(), at("2026-01-03T00:07:00Z"));
    assert_eq!((late.start, late.told[0].1), (Some(at("2026-01-03T00:05:00Z")), "TooManyMissedTimes"));
    let strict = cron(json!({"startingDeadlineSeconds": 60}), json!({}));
    assert_eq!(plan(&strict, &[], &zone(), at("2026-01-01T00:07:00Z")).start, None);
    assert_eq!(plan(&cron(json!({"suspend": true}), json!({})), &[], &zone(), at("2026-01-01T00:05:01Z")).start, None);
    assert_eq!(name_for("c", at("2026-01-01T00:05:00Z")), "c-29453765");
}

#[test]
fn the_policy_says_what_becomes_of_a_job_that_still_runs() {
    let now = at("2026-01-01T00:05:01Z");
    let jobs = [job("old", "")];
    let with = |policy: &str| plan(&cron(json!({"concurrencyPolicy": policy}), active("old")), &jobs, &zone(), now);
    assert_eq!(with("Allow").start, Some(at("2026-01-01T00:05:00Z")));
    let forbid = with("Forbid");
    assert_eq!((forbid.start, forbid.told[0].1), (None, "JobAlreadyActive"));
    let replace = with("Replace");
    assert_eq!((replace.start.is_some(), replace.delete.len(), replace.status.active), (true, 1, None));
}

#[test]
fn finished_jobs_leave_the_list_and_old_ones_go() {
    let jobs: Vec<_> =
        ["a", "b", "c", "d"].iter().map(|name| job(name, "Complete")).chain([job("x", "Failed"), job("y", "Failed")]).collect();
    let plan = plan(&cron(json!({}), active("d")), &jobs, &zone(), at("2026-01-01T00:04:00Z"));
    assert_eq!(plan.status.active, None);
    assert_eq!(plan.status.last_successful_time.map(|time| time.0), Some(at("2026-01-01T00:01:00Z")));
    assert_eq!(plan.told[0].2, "Saw completed job: d, condition: Complete");
    let gone: Vec<_> = plan.delete.iter().filter_map(|job| job.metadata.name.as_deref()).collect();
    assert_eq!(gone, ["a", "x"]);
}
