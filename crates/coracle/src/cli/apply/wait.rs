//! Waiting until what was applied is ready, with a line of what is still awaited.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, bail};
use decide::readiness::{self, Readiness};
use futures::{StreamExt as _, TryStreamExt as _, stream::SelectAll};
use kube::{
    ResourceExt as _,
    core::GroupVersionKind,
    runtime::{WatchStreamExt as _, watcher},
};

use super::{Applied, Known, objects};
use crate::output::Progress;

/// Waits for all of them; fails when one cannot become ready, or the time is up.
///
/// # Errors
/// What is not ready, and why.
pub async fn until_ready(known: &Known, applied: &[Applied], patience: Duration) -> anyhow::Result<()> {
    let progress = Progress::start();
    let mut awaited: BTreeMap<String, String> = BTreeMap::new();
    let mut events = SelectAll::new();
    for one in applied {
        let group = one.api_version.split_once('/').map_or("", |(group, _)| group);
        let version = one.api_version.rsplit('/').next().unwrap_or_default();
        let Some((resource, capabilities)) = known.resources.get(&format!("{group}/{version}/{}", one.kind)) else { continue };
        // Groups of Kubernetes itself have no dot, or end in its domain; kinds of others that keep a status say when they are ready.
        let custom = group.contains('.')
            && !group.ends_with(".k8s.io")
            && capabilities.subresources.iter().any(|(sub, _)| sub.plural.ends_with("status"));
        let what = format!("{} {}", one.kind, one.name);
        awaited.insert(what.clone(), "it was not seen yet".to_owned());
        let only = watcher::Config::default().fields(&format!("metadata.name={}", one.name));
        let types = GroupVersionKind::gvk(group, version, &one.kind);
        let stream = watcher(objects(known.client.clone(), &one.namespace, resource), only).default_backoff().applied_objects();
        events.push(stream.map_ok(move |object| (what.clone(), types.clone(), custom, object)).boxed());
    }
    let ready = async {
        while let Some(event) = events.next().await {
            // A watch that broke is taken up again by itself.
            let Ok((what, types, custom, object)) = event else { continue };
            let mut value = serde_json::to_value(&object).context("an object is no JSON")?;
            value["kind"] = types.kind.into();
            match readiness::of(&value, custom) {
                Readiness::Ready => {
                    if awaited.remove(&what).is_some() {
                        progress.done(&format!("{what} is ready"));
                    }
                }
                Readiness::Progressing(why) => {
                    progress.step(&format!("{what}: {why}"));
                    awaited.insert(what, why);
                }
                Readiness::Failed(why) => bail!("{what} in {:?} failed: {why}", object.namespace().unwrap_or_default()),
            }
            if awaited.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    };
    match tokio::time::timeout(patience, ready).await {
        Ok(done) => done,
        Err(_) => {
            let left: Vec<String> = awaited.iter().map(|(what, why)| format!("  {what}: {why}")).collect();
            bail!("not ready within {patience:?}:\n{}", left.join("\n"))
        }
    }
}

/// A breath between two looks at what has no event.
#[expect(clippy::disallowed_methods, reason = "discovery has no event that a client could wait for")]
pub async fn pause() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}
