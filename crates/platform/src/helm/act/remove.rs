//! Uninstalling: objects first, the records last, so that an interrupted one can be asked for again.

use chart::release::{HookEvent, Release, Status};
use serde_json::Value as Json;

use super::super::cluster::Cluster;
use super::super::lease::hold;
use super::super::ready::gone;
use super::super::store::Store;
use super::super::{HelmError, hooks};
use super::objects::{key, objects, take_away};
use super::{Taken, Uninstall, now};

/// Takes a release away; says what was kept.
///
/// # Errors
/// When there is none, or a step fails.
pub async fn uninstall(cluster: &Cluster, name: &str, wish: &Uninstall) -> Result<Taken, HelmError> {
    hold(cluster, name, async |_| uninstall_held(cluster, name, wish).await).await
}

pub(super) async fn uninstall_held(cluster: &Cluster, name: &str, wish: &Uninstall) -> Result<Taken, HelmError> {
    let store = Store::new(cluster);
    let history = store.history(name).await?;
    let Some(mut release) = history.last().cloned() else { return Err(HelmError::FindRelease) };
    if release.info.status == Status::Uninstalled {
        if wish.keep_history {
            return Err(HelmError::AlreadyDeleted(name.to_owned()));
        }
        return forget(&store, &history).await.map(|()| Taken::default());
    }
    let all = everything(cluster, &history)?;
    if wish.dry {
        return take_away(cluster, &release, all, wish).await.map(|(kept, _)| kept);
    }
    release.info.status = Status::Uninstalling;
    release.info.deleted = now();
    release.info.description = "Deletion in progress (or silently failed)".to_owned();
    if !wish.no_hooks {
        hooks::run(cluster, &mut release, HookEvent::PreDelete, wish.timeout, true).await?;
    }
    store.update(&release).await?;
    let (kept, deleted) = take_away(cluster, &release, all, wish).await?;
    let mut wrong = Vec::new();
    if wish.wait
        && let Err(error) = gone(cluster, &deleted, wish.timeout).await
    {
        wrong.push(error.to_string());
    }
    if !wish.no_hooks
        && let Err(error) = hooks::run(cluster, &mut release, HookEvent::PostDelete, wish.timeout, true).await
    {
        wrong.push(error.to_string());
    }
    release.info.status = Status::Uninstalled;
    release.info.description =
        if wish.description.is_empty() { "Uninstallation complete".to_owned() } else { wish.description.clone() };
    if wish.keep_history {
        store.update(&release).await?;
        for before in history.iter().filter(|it| it.info.status == Status::Deployed && it.version != release.version) {
            let mut before = before.clone();
            before.info.status = Status::Superseded;
            store.update(&before).await?;
        }
    } else {
        forget(&store, &history).await?;
    }
    if wrong.is_empty() { Ok(kept) } else { Err(HelmError::Uninstall { count: wrong.len(), why: wrong.join("; ") }) }
}

/// The objects of the newest revision, then those of older ones that it may not have replaced yet.
fn everything(cluster: &Cluster, history: &[Release]) -> Result<Vec<Json>, HelmError> {
    let in_force = history.iter().rev().position(|it| it.info.status == Status::Deployed);
    let mut all: Vec<Json> = Vec::new();
    for (back, release) in history.iter().rev().take(in_force.unwrap_or(0) + 1).enumerate() {
        let found = objects(&release.manifest);
        for object in if back == 0 { found? } else { found.unwrap_or_default() } {
            if !all.iter().any(|it| key(cluster, it) == key(cluster, &object)) {
                all.push(object);
            }
        }
    }
    Ok(all)
}

/// The newest record goes last: it says what is still to be taken away.
async fn forget(store: &Store<'_>, history: &[Release]) -> Result<(), HelmError> {
    for release in history {
        store.delete(release).await?;
    }
    Ok(())
}
