//! Upgrading and rolling back: one revision takes the place of another, the new record first, then the objects. It
//! never renders.

use std::collections::BTreeSet;

use chart::release::{self, Apply, HookEvent, Release, Status};
use serde_json::Value as Json;

use super::super::cluster::Cluster;
use super::super::lease::{Left, hold};
use super::super::store::Store;
use super::super::{HelmError, hooks};
use super::history::{Past, open};
use super::objects::{Change, Key, key, look, marked};
use super::{Applied, Rollback, Wish, describe, settle};

/// Which of the two it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Upgrade,
    Rollback,
}

/// Upgrades a release.
///
/// # Errors
/// When there is none, somebody is at work on it, an object is somebody else's, or a step fails.
pub async fn upgrade(cluster: &Cluster, wish: Wish<'_>) -> Result<Release, HelmError> {
    if wish.how.dry {
        let past = Past::of(Store::new(cluster).history(wish.name).await?);
        let past = past.ok_or_else(|| HelmError::FindDeployed(wish.name.to_owned()))?;
        if past.last.info.status.is_pending() {
            return Err(HelmError::InProgress);
        }
        let (current, release) = successor(cluster, &wish, &past, &describe(&wish.how, "Dry run complete"))?;
        let (old, _) = past.objects(&current)?;
        let new = marked(&release.manifest, &release.name, &cluster.namespace)?;
        check_new(cluster, &old, &new, (!wish.how.take_ownership).then_some(wish.name)).await?;
        return Ok(release);
    }
    hold(cluster, wish.name, async |left| upgrade_held(cluster, &wish, left).await).await
}

async fn upgrade_held(cluster: &Cluster, wish: &Wish<'_>, left: Left) -> Result<Release, HelmError> {
    let missing = || HelmError::FindDeployed(wish.name.to_owned());
    let past = open(cluster, wish.name, left, false).await?.ok_or_else(missing)?;
    let (current, release) = successor(cluster, wish, &past, "Preparing upgrade")?;
    replace(cluster, &past, &current, release, &wish.how, Way::Upgrade).await
}

/// What an upgrade replaces, and its own record.
fn successor(cluster: &Cluster, wish: &Wish<'_>, past: &Past, description: &str) -> Result<(Release, Release), HelmError> {
    let current = past.current.clone().ok_or_else(|| HelmError::FindDeployed(wish.name.to_owned()))?;
    let server_side = wish.how.server_side.unwrap_or(past.last.apply_method == Apply::Server);
    let mut release = wish.record(&cluster.namespace, Status::PendingUpgrade, description);
    release.info.first_deployed.clone_from(&current.info.first_deployed);
    release.version = past.last.version + 1;
    release.apply_method = if server_side { Apply::Server } else { Apply::Client };
    release.labels = past.last.labels.iter().chain(&wish.labels).map(|(key, value)| (key.clone(), value.clone())).collect();
    release.labels.retain(|_, value| value != "null");
    Ok((current, release))
}

/// Rolls a release back.
///
/// # Errors
/// When there is no such revision, somebody is at work on it, or a step fails.
pub async fn rollback(cluster: &Cluster, name: &str, wish: &Rollback) -> Result<Release, HelmError> {
    hold(cluster, name, async |left| rollback_held(cluster, name, wish, left).await).await
}

async fn rollback_held(cluster: &Cluster, name: &str, wish: &Rollback, left: Left) -> Result<Release, HelmError> {
    if wish.revision < 0 {
        return Err(HelmError::ReadRevision);
    }
    // As with Helm, a rollback is the way out of an interruption that nobody owns up to.
    let past = open(cluster, name, left, true).await?.ok_or(HelmError::FindRelease)?;
    let wanted = if wish.revision == 0 { past.last.version - 1 } else { wish.revision };
    let found = past.history.iter().find(|it| it.version == wanted);
    let target = found.ok_or(HelmError::FindRevision(wanted))?.clone();
    if wish.how.dry {
        return Ok(target);
    }
    let current = past.current.clone().unwrap_or_else(|| past.last.clone());
    let server_side = wish.how.server_side.unwrap_or(target.apply_method == Apply::Server);
    let mut release = Release {
        version: past.last.version + 1,
        apply_method: if server_side { Apply::Server } else { Apply::Client },
        ..target
    };
    release.info.first_deployed.clone_from(&past.last.info.first_deployed);
    release.info.last_deployed = super::now();
    release.info.deleted.clear();
    release.info.status = Status::PendingRollback;
    release.info.description = describe(&wish.how, &format!("Rollback to {wanted}"));
    release.info.rollback_revision = wanted;
    replace(cluster, &past, &current, release, &wish.how, Way::Rollback).await
}

/// Which objects are there that the last revision does not have.
async fn check_new(cluster: &Cluster, old: &[Json], new: &[Json], owner: Option<&str>) -> Result<BTreeSet<Key>, HelmError> {
    let fresh = |it: &&Json| !old.iter().any(|old| key(cluster, old) == key(cluster, it));
    let made: Vec<Json> = new.iter().filter(fresh).cloned().collect();
    look(cluster, &made, owner, "update").await
}

async fn replace(
    cluster: &Cluster,
    past: &Past,
    current: &Release,
    mut release: Release,
    how: &Applied,
    way: Way,
) -> Result<Release, HelmError> {
    let store = Store::new(cluster);
    let (old, left) = past.objects(current)?;
    let new = marked(&release.manifest, &release.name, &cluster.namespace)?;
    let owner = (way == Way::Upgrade && !how.take_ownership).then_some(release.name.as_str());
    let found = check_new(cluster, &old, &new, owner).await?;
    for revision in release::pruned(&past.history, how.history_max) {
        for gone in past.history.iter().filter(|it| it.version == revision) {
            store.delete(gone).await?;
        }
    }
    if !store.create(&release).await? {
        return Err(HelmError::InProgress);
    }
    let server_side = release.apply_method == Apply::Server;
    let adopt = way == Way::Rollback || current.apply_method != Apply::Server;
    let change = Change { old: &old, left: &left, new: &new, found, server_side, adopt };
    if let Err((made, error)) = exchange(cluster, &mut release, &change, how, way).await {
        return fail(cluster, past, release, how, way, (made, error)).await;
    }
    release.info.status = Status::Deployed;
    if way == Way::Upgrade {
        release.info.description = describe(how, "Upgrade complete");
    }
    // The new one first: of two in force the newest counts, of none no one does.
    store.update(&release).await?;
    for before in past.history.iter().filter(|it| it.info.status == Status::Deployed) {
        let mut before = before.clone();
        before.info.status = Status::Superseded;
        store.update(&before).await?;
    }
    Ok(release)
}

type Failure = (Vec<Json>, HelmError);

async fn exchange(cluster: &Cluster, release: &mut Release, change: &Change<'_>, how: &Applied, way: Way) -> Result<(), Failure> {
    let (before, after) = match way {
        Way::Upgrade => (HookEvent::PreUpgrade, HookEvent::PostUpgrade),
        Way::Rollback => (HookEvent::PreRollback, HookEvent::PostRollback),
    };
    let hook_failed = |event: HookEvent, error: HelmError| match way {
        Way::Rollback => error,
        Way::Upgrade => {
            let event = if event == HookEvent::PreUpgrade { "pre-upgrade hooks failed" } else { "post-upgrade hooks failed" };
            HelmError::RunHook { event, why: error.to_string() }
        }
    };
    if !how.no_hooks {
        let run = hooks::run(cluster, release, before, how.timeout, change.server_side).await;
        run.map_err(|error| (Vec::new(), hook_failed(before, error)))?;
    }
    let made = change.carry_out(cluster, how).await?;
    if let Err(error) = settle(cluster, change.new, how).await {
        let why = error.to_string();
        let name = release.name.clone();
        return Err((made, if way == Way::Rollback { HelmError::Settle { name, why } } else { error }));
    }
    if !how.no_hooks {
        let run = hooks::run(cluster, release, after, how.timeout, change.server_side).await;
        run.map_err(|error| (made, hook_failed(after, error)))?;
    }
    Ok(())
}

async fn fail(
    cluster: &Cluster,
    past: &Past,
    mut release: Release,
    how: &Applied,
    way: Way,
    (made, error): Failure,
) -> Result<Release, HelmError> {
    let name = release.name.clone();
    release.info.status = Status::Failed;
    let what = if way == Way::Rollback { "Rollback" } else { "Upgrade" };
    release.info.description = format!("{what} {name:?} failed: {error}");
    Store::new(cluster).update(&release).await?;
    if how.cleanup {
        for object in &made {
            cluster.delete(object, "Background").await?;
        }
    }
    if !how.undo || way == Way::Rollback {
        return Err(error);
    }
    let good = |it: &&Release| matches!(it.info.status, Status::Superseded | Status::Deployed);
    let Some(target) = past.history.iter().rev().find(good) else {
        return Err(HelmError::FindSuccess(error.to_string()));
    };
    let back = Rollback { revision: target.version, how: Applied { undo: false, ..how.clone() } };
    let undone = Box::pin(rollback_held(cluster, &name, &back, Left::Nothing)).await;
    let why = error.to_string();
    undone.map_err(|undoing| HelmError::Undo {
        undoing: "rolling back the release",
        what: "upgrade",
        why: why.clone(),
        also: undoing.to_string(),
    })?;
    Err(HelmError::Undone { name, undone: "rolled back", why })
}
