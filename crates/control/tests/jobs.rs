//! Jobs against the real server. The test plays the node: it says how pods end.

mod cluster;

use cluster::{Cluster, object};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

const CONTROLLERS: &[&str] = &["job-controller", "ttl-after-finished-controller", "pod-garbage-collector"];

fn job(name: &str, more: Value) -> Job {
    let mut all = json!({
        "metadata": {"name": name},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "app:1"}]}}},
    });
    for (field, value) in more.as_object().unwrap() {
        all["spec"][field] = value.clone();
    }
    object(all)
}

async fn end(cluster: &Cluster, pod: &Pod, phase: &str) {
    let patch = json!({"status": {"phase": phase}});
    cluster.api::<Pod>("default").patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

/// Reason of a true condition.
fn reason<'j>(job: &'j Job, kind: &str) -> Option<&'j str> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|one| one.type_ == kind && one.status == "True")?.reason.as_deref()
}

fn live(pods: &[Pod]) -> Vec<&Pod> {
    let is_live = |pod: &&Pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        pod.metadata.deletion_timestamp.is_none() && phase != Some("Succeeded") && phase != Some("Failed")
    };
    pods.iter().filter(is_live).collect()
}

/// Waits until an event with this reason is written.
async fn told(cluster: &Cluster, reason: &str) {
    let is = |event: &k8s_openapi::api::core::v1::Event| event.reason.as_deref() == Some(reason);
    cluster.until("default", |events: &[_]| events.iter().any(is)).await;
}

#[tokio::test]
async fn a_job_runs_its_pods_counts_them_and_is_complete() {
    let cluster = Cluster::with(CONTROLLERS).await;
    cluster.create("default", &job("j", json!({"completions": 3, "parallelism": 2}))).await;
    for _ in 0..3 {
        let pods = cluster.until::<Pod>("default", |pods| !live(pods).is_empty()).await;
        assert!(live(&pods).len() <= 2);
        end(&cluster, live(&pods)[0], "Succeeded").await;
    }
    let done = cluster.until_one::<Job>("default", "j", |job| reason(job, "Complete").is_some()).await;
    let status = done.status.as_ref().unwrap();
    assert_eq!((status.succeeded, status.failed.unwrap_or_default(), status.active), (Some(3), 0, None));
    assert_eq!(reason(&done, "SuccessCriteriaMet"), Some("CompletionsReached"));
    assert!(status.completion_time.is_some());
    let pods =
        cluster.until::<Pod>("default", |pods| pods.len() == 3 && pods.iter().all(|pod| pod.finalizers().is_empty())).await;
    assert_eq!(pods[0].labels()["batch.kubernetes.io/job-name"], "j");
    told(&cluster, "Completed").await;
    assert_eq!(cluster.events("default", "Completed", 1).await, ["Job completed"]);
}

#[tokio::test]
async fn an_indexed_job_names_its_pods_and_fails_with_its_limit() {
    let cluster = Cluster::with(CONTROLLERS).await;
    let spec = json!({"completions": 2, "parallelism": 2, "completionMode": "Indexed", "backoffLimit": 0});
    cluster.create("default", &job("j", spec)).await;
    let mut pods = cluster.until::<Pod>("default", |pods| pods.len() == 2).await;
    pods.sort_by_key(|pod| pod.annotations()["batch.kubernetes.io/job-completion-index"].clone());
    let spec = pods[1].spec.as_ref().unwrap();
    assert_eq!(spec.hostname.as_deref(), Some("j-1"));
    assert_eq!(spec.containers[0].env.as_ref().unwrap()[0].name, "JOB_COMPLETION_INDEX");
    assert!(pods[1].name_any().starts_with("j-1-"));
    end(&cluster, &pods[0], "Succeeded").await;
    cluster
        .until_one::<Job>("default", "j", |job| job.status.as_ref().and_then(|s| s.completed_indexes.as_deref()) == Some("0"))
        .await;
    end(&cluster, &pods[1], "Failed").await;
    let done = cluster.until_one::<Job>("default", "j", |job| reason(job, "Failed").is_some()).await;
    assert_eq!(
        (reason(&done, "Failed"), reason(&done, "FailureTarget")),
        (Some("BackoffLimitExceeded"), Some("BackoffLimitExceeded"))
    );
    told(&cluster, "BackoffLimitExceeded").await;
    assert_eq!(cluster.events("default", "BackoffLimitExceeded", 1).await, ["Job has reached the specified backoff limit"]);
}

#[tokio::test]
async fn a_job_is_suspended_and_goes_on() {
    let cluster = Cluster::with(CONTROLLERS).await;
    cluster.create("default", &job("j", json!({}))).await;
    cluster.until::<Pod>("default", |pods| live(pods).len() == 1).await;
    cluster.patch::<Job>("default", "j", json!({"spec": {"suspend": true}})).await;
    cluster.until::<Pod>("default", |pods| pods.is_empty()).await;
    let suspended = cluster.until_one::<Job>("default", "j", |job| reason(job, "Suspended").is_some()).await;
    assert_eq!(suspended.status.unwrap().failed.unwrap_or_default(), 0);
    cluster.patch::<Job>("default", "j", json!({"spec": {"suspend": false}})).await;
    cluster.until::<Pod>("default", |pods| live(pods).len() == 1).await;
}

#[tokio::test]
async fn a_job_that_is_over_goes_after_its_time_and_lets_its_pods_go() {
    let cluster = Cluster::with(CONTROLLERS).await;
    cluster.create("default", &job("j", json!({"ttlSecondsAfterFinished": 0}))).await;
    let pods = cluster.until::<Pod>("default", |pods| pods.len() == 1).await;
    end(&cluster, &pods[0], "Succeeded").await;
    cluster.until::<Job>("default", |jobs| jobs.iter().all(|job| job.metadata.deletion_timestamp.is_some())).await;
    cluster.create("default", &job("k", json!({}))).await;
    let of_k = |pods: &[Pod]| pods.iter().any(|pod| pod.name_any().starts_with("k-"));
    cluster.until::<Pod>("default", of_k).await;
    cluster.api::<Job>("default").delete("k", &DeleteParams::background()).await.unwrap();
    let free = |pods: &[Pod]| pods.iter().filter(|pod| pod.name_any().starts_with("k-")).all(|pod| pod.finalizers().is_empty());
    cluster.until::<Pod>("default", free).await;
}
