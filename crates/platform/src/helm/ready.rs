//! Waiting until objects are ready, or gone, by watching them. It changes nothing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use http::Request;
use kube::api::{DynamicObject, WatchEvent};
use serde_json::Value as Json;

use super::HelmError;
use super::cluster::{Cluster, ClusterError, text};
use super::readiness::{Readiness, Until, readiness};

/// What a timeout of zero means.
const DEFAULT: Duration = Duration::from_secs(30);

/// Waits until all are as wished. What failed for good does not end the wait for the others.
pub(super) async fn wait(cluster: &Cluster, objects: &[Json], until: Until, timeout: Duration) -> Result<(), HelmError> {
    let paused = |it: &&Json| it["kind"] == "Deployment" && it.pointer("/spec/paused").is_some_and(|it| it == true);
    let objects: Vec<&Json> = objects.iter().filter(|it| !paused(it)).collect();
    let judge = |seen: Option<&Json>| match seen {
        None => Readiness::Missing,
        Some(seen) => readiness(seen, until, jiff::Timestamp::now()),
    };
    let ended = |found: &Readiness| matches!(found, Readiness::Ready | Readiness::Failed(_));
    all(cluster, &objects, timeout, judge, ended, |found| *found == Readiness::Ready, "not ready").await
}

/// Waits until all are gone.
pub(super) async fn gone(cluster: &Cluster, objects: &[Json], timeout: Duration) -> Result<(), HelmError> {
    let objects: Vec<&Json> = objects.iter().collect();
    let judge = |seen: Option<&Json>| match seen {
        None => Readiness::Missing,
        Some(seen) => readiness(seen, Until::Ready, jiff::Timestamp::now()),
    };
    let ended = |found: &Readiness| *found == Readiness::Missing;
    all(cluster, &objects, timeout, judge, ended, ended, "still exists").await
}

async fn all(
    cluster: &Cluster,
    objects: &[&Json],
    timeout: Duration,
    judge: impl Fn(Option<&Json>) -> Readiness,
    ended: impl Fn(&Readiness) -> bool,
    good: impl Fn(&Readiness) -> bool,
    what: &str,
) -> Result<(), HelmError> {
    let seen: Vec<Mutex<Readiness>> = objects.iter().map(|_| Mutex::new(Readiness::Missing)).collect();
    let waits = objects.iter().zip(&seen).map(|(object, seen)| {
        follow(cluster, object, |found| {
            let found = judge(found);
            let ended = ended(&found);
            *seen.lock().unwrap_or_else(PoisonError::into_inner) = found;
            ended
        })
    });
    let timeout = if timeout.is_zero() { DEFAULT } else { timeout };
    let late = match tokio::time::timeout(timeout, futures::future::try_join_all(waits)).await {
        Ok(done) => done.map(|_| false)?,
        Err(_) => true,
    };
    let mut lines = Vec::new();
    for (object, seen) in objects.iter().zip(seen) {
        let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !good(&seen) {
            let (status, message) = seen.words();
            let name = format!("{}/{}/{}", text(object, "/kind"), cluster.namespace_of(object), text(object, "/metadata/name"));
            lines.push(format!("resource {name} {what}. status: {status}, message: {message}"));
        }
    }
    if late {
        lines.push("context deadline exceeded".to_owned());
    }
    if lines.is_empty() { Ok(()) } else { Err(HelmError::Wait(lines.join("\n"))) }
}

/// Shows an object as it is and at each change, until that is said to be enough.
async fn follow(cluster: &Cluster, object: &Json, mut enough: impl FnMut(Option<&Json>) -> bool) -> Result<(), HelmError> {
    let selected =
        format!("{}?fieldSelector=metadata.name%3D{}", cluster.collection(object).await?, text(object, "/metadata/name"));
    loop {
        let list = cluster.read(&selected).await?.unwrap_or_default();
        let whole = |mut found: Json| {
            // Items of a list do not repeat what they are.
            found["kind"] = object["kind"].clone();
            found["apiVersion"] = object["apiVersion"].clone();
            found
        };
        if enough(list.pointer("/items/0").cloned().map(whole).as_ref()) {
            return Ok(());
        }
        let version = text(&list, "/metadata/resourceVersion");
        let path = format!("{selected}&watch=true&resourceVersion={version}&timeoutSeconds=290");
        let request = Request::get(&path).body(Vec::new()).map_err(|cause| ClusterError::Build { path: path.clone(), cause })?;
        let events = cluster.client.request_events::<DynamicObject>(request).await;
        let mut events = std::pin::pin!(events.map_err(ClusterError::from)?);
        while let Some(Ok(event)) = events.next().await {
            let enough = match event {
                WatchEvent::Added(seen) | WatchEvent::Modified(seen) => {
                    enough(serde_json::to_value(&seen).ok().map(whole).as_ref())
                }
                WatchEvent::Deleted(_) => enough(None),
                WatchEvent::Bookmark(_) => false,
                WatchEvent::Error(_) => break,
            };
            if enough {
                return Ok(());
            }
        }
    }
}
