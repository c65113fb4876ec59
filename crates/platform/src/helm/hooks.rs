//! Hooks: made in the order of their weights, waited for, and taken away by their policies. It knows no charts.

use std::time::Duration;

use chart::release::{Execution, Hook, HookEvent, HookPhase, Release};
use serde_json::Value as Json;

use super::HelmError;
use super::cluster::Cluster;
use super::ready::{Until, wait};
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
    // No policy at all means that the last run's object goes before the next run.
    hook.delete_policies.iter().any(|it| it == policy) || (hook.delete_policies.is_empty() && policy == "before-hook-creation")
}

async fn delete(cluster: &Cluster, hook: &Hook, timeout: Duration) -> Result<(), HelmError> {
    let object = object(hook)?;
    if object["kind"] == "CustomResourceDefinition" || !cluster.delete(&object, "Background").await? {
        return Ok(());
    }
    let gone = async {
        while cluster.find(&object).await?.is_some() {
            tokio::task::yield_now().await;
        }
        Ok::<(), HelmError>(())
    };
    match tokio::time::timeout(timeout, gone).await {
        Ok(done) => done,
        Err(_) => Err(HelmError::Wait(format!("timed out waiting for the hook {} to go", hook.name))),
    }
}

/// Runs the hooks of an event; their outcomes stand in the record afterwards.
pub(super) async fn run(cluster: &Cluster, release: &mut Release, event: HookEvent, timeout: Duration) -> Result<(), HelmError> {
    let mut order: Vec<usize> = (0..release.hooks.len()).filter(|at| release.hooks[*at].events.contains(&event)).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&release.hooks[*a], &release.hooks[*b]);
        a.weight.cmp(&b.weight).then_with(|| a.name.cmp(&b.name))
    });
    for (place, at) in order.iter().copied().enumerate() {
        if has_policy(&release.hooks[at], "before-hook-creation") {
            delete(cluster, &release.hooks[at], timeout).await?;
        }
        release.hooks[at].last_run = Execution { started_at: now(), completed_at: String::new(), phase: HookPhase::Running };
        Store::new(cluster).update(release).await?;
        let outcome = run_one(cluster, &release.hooks[at], timeout).await;
        let hook = &mut release.hooks[at];
        hook.last_run.completed_at = now();
        hook.last_run.phase = if outcome.is_ok() { HookPhase::Succeeded } else { HookPhase::Failed };
        if let Err(error) = outcome {
            if has_policy(hook, "hook-failed") {
                delete(cluster, hook, timeout).await?;
            }
            for before in &order[..place] {
                if has_policy(&release.hooks[*before], "hook-succeeded") {
                    delete(cluster, &release.hooks[*before], timeout).await?;
                }
            }
            return Err(HelmError::RunHook { event: event_name(event), why: error.to_string() });
        }
    }
    for at in order.into_iter().rev() {
        if has_policy(&release.hooks[at], "hook-succeeded") {
            delete(cluster, &release.hooks[at], timeout).await?;
        }
    }
    Ok(())
}

async fn run_one(cluster: &Cluster, hook: &Hook, timeout: Duration) -> Result<(), HelmError> {
    let object = object(hook)?;
    cluster.apply(&object, false).await?;
    let until = if matches!(hook.kind.as_str(), "Job" | "Pod") { Until::Done } else { Until::Ready };
    wait(cluster, &[object], until, timeout).await
}
