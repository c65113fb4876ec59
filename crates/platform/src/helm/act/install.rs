//! Installing: a record first, then the objects. It never touches what it may not adopt.

use std::collections::BTreeSet;

use chart::release::{Apply, HookEvent, Release, Status};
use serde_json::Value as Json;

use super::super::cluster::{Cluster, ClusterError};
use super::super::lease::{Left, hold};
use super::super::store::Store;
use super::super::{HelmError, hooks};
use super::history::is_held;
use super::objects::{Change, Key, look, marked};
use super::remove::uninstall_held;
use super::{Applied, Uninstall, Wish, describe, settle};

/// Whether a name can be installed under.
///
/// # Errors
/// When it is in use.
pub async fn check_free(cluster: &Cluster, name: &str, replace: bool) -> Result<(), HelmError> {
    let history = Store::new(cluster).history(name).await?;
    match history.last().map(|last| last.info.status) {
        None => Ok(()),
        Some(Status::Uninstalled | Status::Failed) if replace => Ok(()),
        // What was being installed may never have come into force: that is seen once its lease is held.
        Some(Status::PendingInstall) if history.len() == 1 => Ok(()),
        Some(_) => Err(HelmError::ReuseName),
    }
}

/// Installs a release.
///
/// # Errors
/// When the name is in use, an object is somebody else's, or a step fails.
pub async fn install(cluster: &Cluster, wish: Wish<'_>) -> Result<Release, HelmError> {
    if wish.how.dry {
        let server_side = wish.how.server_side.unwrap_or(true);
        find(cluster, &wish).await?;
        let mut release = wish.record(&cluster.namespace, Status::PendingInstall, "Dry run complete");
        release.apply_method = if server_side { Apply::Server } else { Apply::Client };
        return Ok(release);
    }
    hold(cluster, wish.name, async |left| install_held(cluster, &wish, left).await).await
}

/// The objects that are wished, and which of them are there.
async fn find(cluster: &Cluster, wish: &Wish<'_>) -> Result<(Vec<Json>, BTreeSet<Key>), HelmError> {
    let objects = marked(&wish.rendered.manifest, wish.name, &cluster.namespace)?;
    let owner = (!wish.how.take_ownership).then_some(wish.name);
    match look(cluster, &objects, owner, "install").await {
        Ok(found) => Ok((objects, found)),
        Err(HelmError::Ask(error @ ClusterError::FindKind { .. })) => Err(HelmError::ReadManifest(error.to_string())),
        Err(error) => Err(error),
    }
}

async fn install_held(cluster: &Cluster, wish: &Wish<'_>, left: Left) -> Result<Release, HelmError> {
    let (name, how) = (wish.name, &wish.how);
    let store = Store::new(cluster);
    let history = store.history(name).await?;
    if history.last().is_some_and(|last| last.info.status.is_pending() && is_held(last, left)) {
        return Err(HelmError::ReuseName);
    }
    let server_side = how.server_side.unwrap_or(true);
    let (objects, found) = find(cluster, wish).await?;
    let mut release = wish.record(&cluster.namespace, Status::PendingInstall, "Initial install underway");
    release.version = history.last().map_or(1, |last| last.version + 1);
    release.apply_method = if server_side { Apply::Server } else { Apply::Client };
    if let Some(mut last) = history.into_iter().last().filter(|last| last.info.status != Status::Failed) {
        last.info.status = if last.info.status.is_pending() { Status::Failed } else { Status::Superseded };
        last.info.description = "superseded by new release".to_owned();
        store.update(&last).await?;
    }
    if !store.create(&release).await? {
        return Err(HelmError::InProgress);
    }
    let change = Change { old: &[], left: &[], new: &objects, found, server_side, adopt: true };
    if let Err(error) = bring_in(cluster, &mut release, &change, how).await {
        release.info.status = Status::Failed;
        release.info.description = format!("Release {name:?} failed: {error}");
        store.update(&release).await?;
        return if how.undo { undo(cluster, name, how, error).await } else { Err(error) };
    }
    release.info.status = Status::Deployed;
    release.info.description = describe(how, "Install complete");
    store.update(&release).await?;
    Ok(release)
}

async fn bring_in(cluster: &Cluster, release: &mut Release, change: &Change<'_>, how: &Applied) -> Result<(), HelmError> {
    let failed = |event: &'static str| move |error: HelmError| HelmError::RunHook { event, why: error.to_string() };
    if !how.no_hooks {
        let run = hooks::run(cluster, release, HookEvent::PreInstall, how.timeout, change.server_side).await;
        run.map_err(failed("failed pre-install"))?;
    }
    if change.found.is_empty() {
        change.make(cluster).await?;
    } else {
        change.carry_out(cluster, how).await.map_err(|(_, error)| error)?;
    }
    settle(cluster, change.new, how).await?;
    if !how.no_hooks {
        let run = hooks::run(cluster, release, HookEvent::PostInstall, how.timeout, change.server_side).await;
        run.map_err(failed("failed post-install"))?;
    }
    Ok(())
}

async fn undo(cluster: &Cluster, name: &str, how: &Applied, error: HelmError) -> Result<Release, HelmError> {
    let away = Uninstall {
        keep_history: false,
        dry: false,
        no_hooks: how.no_hooks,
        wait: how.wait,
        propagation: "Background",
        timeout: how.timeout,
        description: String::new(),
    };
    let undone = uninstall_held(cluster, name, &away).await;
    undone.map_err(|undoing| HelmError::Undo {
        undoing: "uninstalling the release",
        what: "install",
        why: error.to_string(),
        also: undoing.to_string(),
    })?;
    Err(HelmError::Undone { name: name.to_owned(), undone: "uninstalled", why: error.to_string() })
}
