use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::attempt::{FAILURES, FINALIZER, INDEX};
use super::indexes::Indexes;
use super::{Memory, NewPod, Plan, is_over, plan};

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn job(spec: Value) -> Job {
    let mut object = json!({
        "metadata": {"name": "j", "namespace": "default", "uid": "job"},
        "spec": {
            "completions": 2, "parallelism": 2, "backoffLimit": 6, "completionMode": "NonIndexed", "podReplacementPolicy": "TerminatingOrFailed",
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c"}]}},
        },
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn pod(uid: &str, phase: &str, more: Value) -> Arc<Pod> {
    let mut object = json!({
        "metadata": {"name": uid, "namespace": "default", "uid": uid, "finalizers": [FINALIZER], "creationTimestamp": "2026-01-01T11:00:00Z"},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T11:30:00Z"}]},
    });
    if phase == "Running" {
        object["status"]["conditions"][0]["status"] = json!("True");
    }
    for part in ["metadata", "status"] {
        for (field, value) in more[part].as_object().into_iter().flatten() {
            object[part][field] = value.clone();
        }
    }
    Arc::new(serde_json::from_value(object).unwrap())
}

fn indexed(uid: &str, phase: &str, index: i32, failures: i32) -> Arc<Pod> {
    pod(uid, phase, json!({"metadata": {"annotations": {INDEX: index.to_string(), FAILURES: failures.to_string()}}}))
}

fn failed_with(uid: &str, code: i32) -> Arc<Pod> {
    let state = json!({"terminated": {"exitCode": code, "finishedAt": "2026-01-01T11:30:00Z"}});
    let status = json!({"name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
    pod(uid, "Failed", json!({"status": {"containerStatuses": [status]}}))
}

fn decide(job: &Job, pods: &[Arc<Pod>]) -> Plan {
    let plan = plan(job, pods, Memory::default(), now());
    check(job, pods, &plan);
    plan
}

/// What must hold for every plan.
fn check(job: &Job, pods: &[Arc<Pod>], plan: &Plan) {
    let spec = job.spec.as_ref().unwrap();
    let uncounted = plan.status.uncounted_terminated_pods.clone().unwrap();
    let (good, bad) = (uncounted.succeeded.unwrap_or_default(), uncounted.failed.unwrap_or_default());
    assert!(good.iter().all(|uid| !bad.contains(uid)), "nothing counts twice");
    assert!(plan.release.iter().all(|pod| pods.iter().any(|other| other.metadata.uid == pod.metadata.uid)));
    let stays = plan.status.active.unwrap_or_default();
    assert!((0..=spec.parallelism.unwrap().max(stays)).contains(&stays));
    assert!(plan.create.is_empty() || (plan.stop.is_empty() && plan.discard.is_empty()));
    if plan.status.conditions.iter().flatten().any(|one| matches!(one.type_.as_str(), "Complete" | "Failed")) {
        assert!(
            good.is_empty() && bad.is_empty() && plan.release.is_empty() && plan.create.is_empty(),
            "the end is the last thing"
        );
    }
}

/// Carries a plan out: the pods as they are afterwards.
fn act(job: &mut Job, pods: &mut Vec<Arc<Pod>>, plan: &Plan) {
    job.status = Some(plan.status.clone());
    let is_in = |list: &[Arc<Pod>], pod: &Arc<Pod>| list.iter().any(|other| other.metadata.uid == pod.metadata.uid);
    pods.retain(|pod| !is_in(&plan.discard, pod) && !is_in(&plan.stop, pod));
    for pod in pods.iter_mut().filter(|pod| is_in(&plan.release, pod)) {
        Arc::make_mut(pod).metadata.finalizers = None;
    }
}

/// The true conditions with their reasons.
fn conditions(plan: &Plan) -> Vec<(String, String)> {
    let all = plan.status.conditions.iter().flatten().filter(|one| one.status == "True");
    all.map(|one| (one.type_.clone(), one.reason.clone().unwrap_or_default())).collect()
}

fn pair(kind: &str, reason: &str) -> (String, String) {
    (kind.to_owned(), reason.to_owned())
}

/// Looks until nothing changes, and returns the last plan.
fn settle(job: &mut Job, pods: &mut Vec<Arc<Pod>>) -> Plan {
    for _ in 0..10 {
        let plan = decide(job, pods);
        act(job, pods, &plan);
        if is_over(job) {
            return plan;
        }
    }
    panic!("it does not end: {:?}", job.status)
}

#[test]
fn a_new_job_makes_its_pods_and_begins() {
    let plan = decide(&job(json!({"completions": 3})), &[]);
    assert_eq!(plan.create, [NewPod { index: None, failures: None }; 2]);
    assert_eq!((plan.status.active, plan.status.start_time.map(|time| time.0)), (Some(2), Some(now())));
    assert!(plan.status.conditions.is_none());
}

#[test]
fn finished_pods_are_counted_once_and_end_the_job() {
    let mut job = job(json!({}));
    let mut pods = vec![pod("a", "Succeeded", json!({})), pod("b", "Running", json!({}))];
    let first = decide(&job, &pods);
    assert_eq!((first.release.len(), first.status.succeeded, first.create.len()), (1, Some(0), 0));
    act(&mut job, &mut pods, &first);
    let second = decide(&job, &pods);
    assert_eq!((second.status.succeeded, second.status.active), (Some(1), Some(1)));
    act(&mut job, &mut pods, &second);
    pods[1] = pod("b", "Succeeded", json!({}));
    let last = settle(&mut job, &mut pods);
    assert_eq!(conditions(&last), [pair("SuccessCriteriaMet", "CompletionsReached"), pair("Complete", "CompletionsReached")]);
    assert_eq!((last.status.succeeded, last.status.failed, last.status.completion_time.is_some()), (Some(2), Some(0), true));
    assert_eq!(last.told[0].message, "Job completed");
}

#[test]
fn a_lost_status_write_counts_nothing_twice() {
    let mut job = job(json!({"completions": 5}));
    let mut pods = vec![pod("a", "Succeeded", json!({}))];
    let first = decide(&job, &pods);
    // The finalizer could not be removed: the next look does so, and the number stays.
    job.status = Some(first.status);
    let again = decide(&job, &pods);
    assert_eq!((again.status.succeeded, again.release.len()), (Some(0), 1));
    act(&mut job, &mut pods, &again);
    pods.clear();
    assert_eq!(decide(&job, &pods).status.succeeded, Some(1));
}

#[test]
fn failures_pause_longer_each_time_and_end_the_job_beyond_the_limit() {
    let mut job = job(json!({"backoffLimit": 1, "completions": 1, "parallelism": 1}));
    let end = now() - SignedDuration::from_secs(4);
    let late = json!({"status": {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": end.to_string()}]}});
    let mut pods = vec![pod("a", "Failed", late)];
    let first = decide(&job, &pods);
    assert_eq!((first.create.len(), first.again), (0, Some(end + SignedDuration::from_secs(10))));
    act(&mut job, &mut pods, &first);
    let next = plan(&job, &pods, first.memory, end + SignedDuration::from_secs(10));
    assert_eq!((next.create.len(), next.status.failed), (1, Some(1)));
    act(&mut job, &mut pods, &next);
    pods.push(pod("b", "Failed", json!({})));
    let last = settle(&mut job, &mut pods);
    assert_eq!(conditions(&last), [pair("FailureTarget", "BackoffLimitExceeded"), pair("Failed", "BackoffLimitExceeded")]);
    assert_eq!(last.status.failed, Some(2));
    assert_eq!(last.told[0].message, "Job has reached the specified backoff limit");
}

#[test]
fn a_deadline_ends_pods_that_still_run() {
    let mut job = job(json!({"activeDeadlineSeconds": 60}));
    let mut pods = vec![pod("a", "Running", json!({}))];
    assert_eq!(decide(&job, &pods).again, Some(now() + SignedDuration::from_secs(60)));
    job.status = Some(serde_json::from_value(json!({"startTime": "2026-01-01T11:59:00Z"})).unwrap());
    assert_eq!(decide(&job, &pods).stop.len(), 1);
    let last = settle(&mut job, &mut pods);
    assert_eq!(conditions(&last)[1], pair("Failed", "DeadlineExceeded"));
}

#[test]
fn a_suspended_job_gives_its_pods_up_uncounted_and_goes_on_later() {
    let mut job = job(json!({"suspend": true}));
    let mut pods = vec![pod("a", "Running", json!({}))];
    let plan = decide(&job, &pods);
    assert_eq!((plan.discard.len(), plan.release.len(), plan.status.start_time.is_none()), (1, 0, true));
    assert_eq!((conditions(&plan), plan.told[0].reason), (vec![pair("Suspended", "JobSuspended")], "Suspended"));
    act(&mut job, &mut pods, &plan);
    job.spec.as_mut().unwrap().suspend = Some(false);
    let plan = decide(&job, &pods);
    assert_eq!((plan.create.len(), plan.told[0].message.as_str()), (2, "Job resumed"));
    assert_eq!(plan.status.conditions.unwrap()[0].status, "False");
}

#[test]
fn fewer_at_a_time_lets_those_go_that_matter_least() {
    let pods = [pod("ready", "Running", json!({})), pod("waits", "Pending", json!({}))];
    let plan = decide(&job(json!({"parallelism": 1})), &pods);
    assert_eq!(plan.discard.iter().map(|pod| pod.metadata.name.as_deref().unwrap()).collect::<Vec<_>>(), ["waits"]);
}

#[test]
fn an_indexed_job_fills_its_gaps_and_says_which_are_done() {
    let mut job = job(json!({"completionMode": "Indexed", "completions": 5, "parallelism": 3}));
    let mut pods = vec![indexed("a", "Succeeded", 0, 0), indexed("b", "Running", 1, 0), indexed("c", "Succeeded", 2, 0)];
    let plan = decide(&job, &pods);
    assert_eq!(plan.create.iter().filter_map(|new| new.index).collect::<Vec<_>>(), [3, 4]);
    assert_eq!((plan.status.completed_indexes.as_deref(), plan.status.succeeded), (Some("0,2"), Some(2)));
    act(&mut job, &mut pods, &plan);
    pods.push(indexed("d", "Running", 1, 0));
    assert_eq!(decide(&job, &pods).discard.len(), 1, "one index, one pod");
}

#[test]
fn each_index_may_fail_on_its_own() {
    let spec = json!({"completionMode": "Indexed", "backoffLimitPerIndex": 1, "backoffLimit": i32::MAX});
    let mut job = job(spec);
    let mut pods = vec![indexed("a", "Failed", 0, 0), indexed("b", "Succeeded", 1, 0)];
    let plan = decide(&job, &pods);
    assert_eq!(plan.create, [NewPod { index: Some(0), failures: Some((1, 0)) }]);
    assert_eq!(plan.release.len(), 1, "the failed one tells how often its index failed until it is replaced");
    act(&mut job, &mut pods, &plan);
    pods.push(indexed("c", "Failed", 0, 1));
    let last = settle(&mut job, &mut pods);
    assert_eq!(conditions(&last)[1], pair("Failed", "FailedIndexes"));
    assert_eq!((last.status.failed_indexes.as_deref(), last.status.completed_indexes.as_deref()), (Some("0"), Some("1")));
}

#[test]
fn the_failure_policy_ignores_counts_and_ends() {
    let rule = |action: &str, code: i32| json!({"action": action, "onExitCodes": {"operator": "In", "values": [code]}});
    let policy = json!({"rules": [rule("Ignore", 1), rule("FailJob", 42)]});
    let spec = json!({"podFailurePolicy": policy, "podReplacementPolicy": "Failed", "backoffLimit": 0});
    let mut job = job(spec);
    let mut pods = vec![failed_with("a", 1)];
    let plan = decide(&job, &pods);
    assert_eq!((plan.release.len(), plan.stop.len(), conditions(&plan).len()), (1, 0, 0));
    act(&mut job, &mut pods, &plan);
    pods.push(failed_with("b", 42));
    let last = settle(&mut job, &mut pods);
    assert_eq!(conditions(&last)[1], pair("Failed", "PodFailurePolicy"));
    assert_eq!(last.told[0].message, "Container c for pod default/b failed with exit code 42 matching FailJob rule at index 1");
    assert_eq!(last.status.failed, Some(1));
}

#[test]
fn a_success_policy_ends_the_job_before_all_is_done() {
    let spec = json!({"completionMode": "Indexed", "completions": 4, "successPolicy": {"rules": [{"succeededIndexes": "0-1", "succeededCount": 1}]}});
    let mut job = job(spec);
    let mut pods = vec![indexed("a", "Succeeded", 1, 0), indexed("b", "Running", 0, 0)];
    let last = settle(&mut job, &mut pods);
    assert_eq!(conditions(&last), [pair("SuccessCriteriaMet", "SuccessPolicy"), pair("Complete", "SuccessPolicy")]);
    assert_eq!((last.status.failed, pods.len()), (Some(0), 1));
}

#[test]
fn one_that_is_going_is_replaced_at_once_unless_the_job_waits_for_its_end() {
    let leaving = || {
        pod("a", "Running", json!({"metadata": {"deletionTimestamp": "2026-01-01T11:59:50Z", "deletionGracePeriodSeconds": 30}}))
    };
    let one = json!({"completions": 1, "parallelism": 1});
    let plan = decide(&job(one.clone()), &[leaving()]);
    assert_eq!((plan.release.len(), plan.status.terminating), (1, Some(1)));
    let mut patient = job(one);
    patient.spec.as_mut().unwrap().pod_replacement_policy = Some("Failed".to_owned());
    let plan = decide(&patient, &[leaving()]);
    assert_eq!((plan.create.len(), plan.release.len()), (0, 0));
}

#[test]
fn indexes_are_written_in_runs() {
    for text in ["", "0", "0,1", "0-2", "1,3-5,7,8"] {
        assert_eq!(Indexes::parse(text, 100).to_string(), text);
    }
    assert_eq!(Indexes::parse("0-9", 3).to_string(), "0-2");
}
