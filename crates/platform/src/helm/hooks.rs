//! Hooks: made in the order of their weights, waited for, and taken away by their policies. It knows no charts.

use std::time::Duration;

use chart::release::{Execution, Hook, HookEvent, HookPhase, Release};
use serde_json::Value as Json;

use super::HelmError;
use super::act::make;
use super::cluster::Cluster;
use super::readiness::Until;
use super::ready::{gone, wait};
use super::store::Store;

fn event_name(event: HookEvent) -> &'static str {
    match event {
        HookEvent::PreInstall => "pre-install",
        HookEvent::PostInstall => "post-install",
        HookEvent::PreDelete => "pre-delete",
        HookEvent::PostDelete => "post-delete",
        HookEvent::PreUpgrade => "pre-upgrade",
        HookEvent::PostUpgrade => "post-upgrade",
        HookEvent::PreRollback => "pre-rollback",
        HookEvent::PostRollback => "post-rollback",
        HookEvent::Test => "test",
    }
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

fn object(hook: &Hook) -> Result<Json, HelmError> {
    chart::yaml::read(hook.manifest.as_bytes()).map_err(|error| HelmError::ReadManifest(error.to_string()))
}

fn has_policy(hook: &Hook, policy: &str) -> bool {
    hook.delete_policies.iter().any(|it| it == policy)
}

async fn delete(cluster: &Cluster, hook: &Hook, timeout: Duration) -> Result<(), HelmError> {
    let object = object(hook)?;
    if object["kind"] == "CustomResourceDefinition" || !cluster.delete(&object, "Background").await? {
        return Ok(());
    }
    gone(cluster, &[object], timeout).await
}

/// Runs the hooks of an event, and takes away what they leave by their policies.
pub(super) async fn run(
    cluster: &Cluster,
    release: &mut Release,
    event: HookEvent,
    timeout: Duration,
    server_side: bool,
) -> Result<(), HelmError> {
    match execute(cluster, release, event, timeout, server_side).await {
        Ok(left) => clean_up(cluster, &left, timeout).await,
        Err((left, error)) => clean_up(cluster, &left, timeout).await.and(Err(error)),
    }
}

/// Takes the objects of hooks away.
pub(super) async fn clean_up(cluster: &Cluster, left: &[Hook], timeout: Duration) -> Result<(), HelmError> {
    for hook in left {
        delete(cluster, hook, timeout).await?;
    }
    Ok(())
}

/// Runs the hooks of an event; their outcomes stand in the record afterwards. Says which are to be taken away then.
pub(super) async fn execute(
    cluster: &Cluster,
    release: &mut Release,
    event: HookEvent,
    timeout: Duration,
    server_side: bool,
) -> Result<Vec<Hook>, (Vec<Hook>, HelmError)> {
    let mut order: Vec<usize> = (0..release.hooks.len()).filter(|at| release.hooks[*at].events.contains(&event)).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&release.hooks[*a], &release.hooks[*b]);
        a.weight.cmp(&b.weight).then_with(|| a.name.cmp(&b.name))
    });
    let none = |error: HelmError| (Vec::new(), error);
    let mut left = Vec::new();
    for at in order {
        // No policy at all means that the last run's object goes before the next run.
        if release.hooks[at].delete_policies.is_empty() {
            release.hooks[at].delete_policies.push("before-hook-creation".to_owned());
        }
        if has_policy(&release.hooks[at], "before-hook-creation") {
            delete(cluster, &release.hooks[at], timeout).await.map_err(none)?;
        }
        release.hooks[at].last_run = Execution { started_at: now(), completed_at: String::new(), phase: HookPhase::Running };
        Store::new(cluster).update(release).await.map_err(|error| none(error.into()))?;
        let outcome = run_one(cluster, &release.hooks[at], event, timeout, server_side).await;
        let hook = &mut release.hooks[at];
        hook.last_run.completed_at = now();
        hook.last_run.phase = if outcome.is_ok() { HookPhase::Succeeded } else { HookPhase::Failed };
        if let Err(error) = outcome {
            if has_policy(hook, "hook-failed") {
                left.insert(0, hook.clone());
            }
            return Err((left, error));
        }
        if has_policy(hook, "hook-succeeded") {
            left.push(hook.clone());
        }
    }
    left.reverse();
    Ok(left)
}

async fn run_one(
    cluster: &Cluster,
    hook: &Hook,
    event: HookEvent,
    timeout: Duration,
    server_side: bool,
) -> Result<(), HelmError> {
    let object = object(hook)?;
    make(cluster, &object, server_side, false)
        .await
        .map_err(|error| HelmError::Objects(format!("warning: Hook {} {} failed: {error}", event_name(event), hook.path)))?;
    // Of hooks only those that run to an end are waited for.
    if matches!(hook.kind.as_str(), "Job" | "Pod") {
        wait(cluster, &[object], Until::Ended, timeout).await?;
    }
    Ok(())
}
