//! When an object is ready, by the rules of kstatus, and waiting for it by watching. It changes nothing.

use std::time::Duration;

use futures::StreamExt as _;
use http::Request;
use kube::api::{DynamicObject, WatchEvent};
use serde_json::Value as Json;

use super::HelmError;
use super::cluster::{Cluster, text};

/// How far an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// As wished.
    Ready,
    /// On its way.
    InProgress(String),
    /// It will not get there.
    Failed(String),
}

/// What waiting waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Ready.
    Ready,
    /// Ready, and jobs done.
    Done,
}

fn condition<'o>(object: &'o Json, kind: &str) -> Option<&'o Json> {
    object.pointer("/status/conditions")?.as_array()?.iter().find(|it| it["type"] == kind)
}

fn number(object: &Json, pointer: &str, otherwise: i64) -> i64 {
    object.pointer(pointer).and_then(Json::as_i64).unwrap_or(otherwise)
}

/// How far an object is; `done` asks jobs to be done, not only begun.
#[must_use]
pub fn readiness(object: &Json, done: bool) -> Readiness {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return Readiness::InProgress("Terminating".to_owned());
    }
    let generation = number(object, "/metadata/generation", 0);
    if number(object, "/status/observedGeneration", generation) < generation {
        return Readiness::InProgress("the newest generation is not observed".to_owned());
    }
    match text(object, "/kind") {
        "Deployment" => deployment(object),
        "ReplicaSet" | "StatefulSet" => replicas(object, "/status/readyReplicas"),
        "DaemonSet" => daemons(object),
        "Pod" => pod(object, done),
        "Job" => job(object, done),
        "PersistentVolumeClaim" => phase(object, "Bound"),
        "CustomResourceDefinition" => by_condition(object, "Established"),
        _ => generic(object),
    }
}

fn compare(have: i64, want: i64, what: &str) -> Readiness {
    if have >= want { Readiness::Ready } else { Readiness::InProgress(format!("{what}: {have}/{want}")) }
}

fn deployment(object: &Json) -> Readiness {
    if condition(object, "Progressing").is_some_and(|it| it["reason"] == "ProgressDeadlineExceeded") {
        return Readiness::Failed("Progress deadline exceeded".to_owned());
    }
    if object.pointer("/status/observedGeneration").is_none() {
        return Readiness::InProgress("not observed yet".to_owned());
    }
    let want = number(object, "/spec/replicas", 1);
    let updated = number(object, "/status/updatedReplicas", 0);
    if updated < want {
        return Readiness::InProgress(format!("Updated: {updated}/{want}"));
    }
    if number(object, "/status/replicas", 0) > updated {
        return Readiness::InProgress("Pending termination of old replicas".to_owned());
    }
    compare(number(object, "/status/availableReplicas", 0), want, "Available")
}

fn replicas(object: &Json, ready: &str) -> Readiness {
    if object.pointer("/status/observedGeneration").is_none() {
        return Readiness::InProgress("not observed yet".to_owned());
    }
    compare(number(object, ready, 0), number(object, "/spec/replicas", 1), "Ready")
}

fn daemons(object: &Json) -> Readiness {
    if object.pointer("/status/observedGeneration").is_none() {
        return Readiness::InProgress("not observed yet".to_owned());
    }
    let want = number(object, "/status/desiredNumberScheduled", 0);
    let updated = number(object, "/status/updatedNumberScheduled", 0);
    if updated < want {
        return Readiness::InProgress(format!("Updated: {updated}/{want}"));
    }
    compare(number(object, "/status/numberReady", 0), want, "Ready")
}

fn pod(object: &Json, done: bool) -> Readiness {
    match text(object, "/status/phase") {
        "Succeeded" => Readiness::Ready,
        "Failed" => Readiness::Failed("Pod has completed, but not successfully".to_owned()),
        _ if done => Readiness::InProgress("Pod is running".to_owned()),
        _ => by_condition(object, "Ready"),
    }
}

fn job(object: &Json, done: bool) -> Readiness {
    if condition(object, "Failed").is_some_and(|it| it["status"] == "True") {
        return Readiness::Failed("Job Failed".to_owned());
    }
    let complete = condition(object, "Complete").is_some_and(|it| it["status"] == "True");
    if complete || (!done && object.pointer("/status/startTime").is_some()) {
        return Readiness::Ready;
    }
    Readiness::InProgress("Job in progress".to_owned())
}

fn phase(object: &Json, wanted: &str) -> Readiness {
    match text(object, "/status/phase") {
        found if found == wanted => Readiness::Ready,
        found => Readiness::InProgress(format!("phase is {found:?}")),
    }
}

fn by_condition(object: &Json, kind: &str) -> Readiness {
    if condition(object, kind).is_some_and(|it| it["status"] == "True") {
        Readiness::Ready
    } else {
        Readiness::InProgress(format!("condition {kind} is not true"))
    }
}

fn generic(object: &Json) -> Readiness {
    let holds = |kind: &str| condition(object, kind).is_some_and(|it| it["status"] == "True");
    if holds("Stalled") {
        return Readiness::Failed("Stalled".to_owned());
    }
    if holds("Reconciling") || condition(object, "Ready").is_some_and(|it| it["status"] == "False") {
        return Readiness::InProgress("not ready yet".to_owned());
    }
    Readiness::Ready
}

/// Waits until all are as wished, by watching them one after the other.
pub(super) async fn wait(cluster: &Cluster, objects: &[Json], until: Until, timeout: Duration) -> Result<(), HelmError> {
    let all = async {
        for object in objects {
            wait_for_one(cluster, object, until).await?;
        }
        Ok(())
    };
    match tokio::time::timeout(timeout, all).await {
        Ok(done) => done,
        Err(_) => Err(HelmError::Wait("resources are not ready: context deadline exceeded".to_owned())),
    }
}

async fn wait_for_one(cluster: &Cluster, object: &Json, until: Until) -> Result<(), HelmError> {
    loop {
        let Some(found) = cluster.find(object).await? else {
            return Err(HelmError::Wait(format!("{} was deleted", named(cluster, object))));
        };
        if judged(cluster, &found, until)? {
            return Ok(());
        }
        let collection = cluster.collection(object).await?;
        let name = text(object, "/metadata/name");
        let version = text(&found, "/metadata/resourceVersion");
        let path =
            format!("{collection}?watch=true&fieldSelector=metadata.name%3D{name}&resourceVersion={version}&timeoutSeconds=290");
        let request =
            Request::get(&path).body(Vec::new()).map_err(|cause| super::ClusterError::Build { path: path.clone(), cause })?;
        let events = cluster.client.request_events::<DynamicObject>(request).await;
        let mut events = std::pin::pin!(events.map_err(|error| super::ClusterError::Ask(error.to_string()))?);
        while let Some(Ok(event)) = events.next().await {
            let (WatchEvent::Added(seen) | WatchEvent::Modified(seen)) = event else { break };
            let mut seen = serde_json::to_value(&seen).unwrap_or_default();
            seen["kind"] = object["kind"].clone();
            if judged(cluster, &seen, until)? {
                return Ok(());
            }
        }
    }
}

fn judged(cluster: &Cluster, object: &Json, until: Until) -> Result<bool, HelmError> {
    match readiness(object, until == Until::Done) {
        Readiness::Ready => Ok(true),
        Readiness::InProgress(_) => Ok(false),
        Readiness::Failed(why) => {
            let object = named(cluster, object);
            Err(HelmError::Wait(format!("resource {object} not ready. status: Failed, message: {why}")))
        }
    }
}

fn named(cluster: &Cluster, object: &Json) -> String {
    format!("{}/{}/{}", text(object, "/kind"), cluster.namespace_of(object), text(object, "/metadata/name"))
}
