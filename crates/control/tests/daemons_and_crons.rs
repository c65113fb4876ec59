//! DaemonSets and CronJobs against the real server. No node runs; `play_node` makes pods ready.

mod cluster;

use cluster::{Cluster, object};
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, DaemonSet},
    batch::v1::{CronJob, Job},
    core::v1::{Node, Pod},
};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

const CONTROLLERS: &[&str] = &["daemon-set-controller", "cronjob-controller", "kube-scheduler", "pod-garbage-collector"];

async fn node(cluster: &Cluster, name: &str) {
    let nodes: Api<Node> = cluster.all();
    nodes.create(&PostParams::default(), &object(json!({"metadata": {"name": name}}))).await.unwrap();
    let resources = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
    let status = json!({"status": {"capacity": resources, "allocatable": resources}});
    nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    nodes.patch(name, &PatchParams::default(), &Patch::Merge(json!({"spec": {"taints": null}}))).await.unwrap();
}

fn daemon(image: &str) -> DaemonSet {
    object(json!({"metadata": {"name": "d"}, "spec": {
        "selector": {"matchLabels": {"app": "d"}},
        "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [{"name": "main", "image": image}]}},
    }}))
}

fn image(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.containers[0].image.as_deref()).unwrap_or_default()
}

#[tokio::test]
async fn a_daemon_set_runs_on_every_node_and_is_updated_node_by_node() {
    let cluster = Cluster::with(CONTROLLERS).await;
    node(&cluster, "a").await;
    node(&cluster, "b").await;
    let _playing = cluster.play_node("default");
    cluster.create("default", &daemon("app:1")).await;
    let ready = |set: &DaemonSet| {
        let status = set.status.clone().unwrap_or_default();
        (status.number_available, status.updated_number_scheduled, status.observed_generation)
            == (Some(2), Some(2), set.metadata.generation)
    };
    cluster.until_one::<DaemonSet>("default", "d", ready).await;
    let pods = cluster.until::<Pod>("default", |pods| pods.len() == 2).await;
    let mut on: Vec<_> = pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.clone()).collect();
    on.sort();
    assert_eq!(on, ["a", "b"]);
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "app:2"}]}}}});
    cluster.patch::<DaemonSet>("default", "d", patch).await;
    cluster.until::<Pod>("default", |pods| pods.len() == 2 && pods.iter().all(|pod| image(pod) == "app:2")).await;
    cluster.until_one::<DaemonSet>("default", "d", ready).await;
    cluster.until::<ControllerRevision>("default", |revisions| revisions.len() == 2).await;
    node(&cluster, "c").await;
    cluster.until::<Pod>("default", |pods| pods.len() == 3).await;
}

#[tokio::test]
async fn a_cron_job_starts_its_job_in_time_and_remembers_it() {
    let cluster = Cluster::with(CONTROLLERS).await;
    let cron = json!({"metadata": {"name": "c"}, "spec": {
        "schedule": "@every 1s", "concurrencyPolicy": "Forbid", "timeZone": "Etc/UTC",
        "jobTemplate": {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "app:1"}]}}}},
    }});
    cluster.create::<CronJob>("default", &object(cron)).await;
    let jobs = cluster.until::<Job>("default", |jobs| jobs.len() == 1).await;
    assert_eq!(jobs[0].owner_references()[0].kind, "CronJob");
    assert!(jobs[0].annotations().contains_key("batch.kubernetes.io/cronjob-scheduled-timestamp"));
    let name = jobs[0].name_any();
    let remembers = |cron: &CronJob| {
        let status = cron.status.clone().unwrap_or_default();
        status.last_schedule_time.is_some() && status.active.iter().flatten().any(|job| job.name.as_deref() == Some(&name))
    };
    cluster.until_one::<CronJob>("default", "c", remembers).await;
}
