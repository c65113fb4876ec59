//! Install, upgrade, rollback, uninstall: the steps in Helm's order, each recorded before the next begins, so that
//! whatever is interrupted is seen in the history and gone on from. It never renders.

mod objects;

use std::time::Duration;

use chart::release::{self, Apply, Hook, HookEvent, Info, Recovery, Release, Status};
use chart::template::Rendered;
use serde_json::{Map, Value as Json};

use self::objects::{apply_all, check_adoption, key, marked, objects, take_away};
use super::cluster::Cluster;
use super::lease::{Worker, hold, worker};
use super::ready::{Until, wait};
use super::store::Store;
use super::{HelmError, hooks};

/// How a release is brought into force.
#[derive(Clone, Debug)]
pub struct Applied {
    /// By the server, not merged here; nothing means as the last revision was.
    pub server_side: Option<bool>,
    /// Fields are taken over from other managers.
    pub force_conflicts: bool,
    /// Return only when all is ready.
    pub wait: bool,
    /// Jobs have to be done for that.
    pub wait_for_jobs: bool,
    /// Hooks do not run.
    pub no_hooks: bool,
    /// A failure is undone.
    pub undo: bool,
    /// Objects of others are taken over.
    pub take_ownership: bool,
    /// How long each step may take.
    pub timeout: Duration,
    /// How many revisions are kept; zero keeps all.
    pub history_max: usize,
    /// What the record says, instead of Helm's words.
    pub description: String,
}

/// What is to be in force.
pub struct Wish<'w> {
    /// The release.
    pub name: &'w str,
    /// What the chart came to.
    pub rendered: &'w Rendered,
    /// What the user set.
    pub config: Map<String, Json>,
    /// Labels of the record.
    pub labels: std::collections::BTreeMap<String, String>,
    /// How.
    pub how: Applied,
}

/// How a release is rolled back.
pub struct Rollback {
    /// To which revision; zero is the last but one.
    pub revision: i64,
    /// How.
    pub how: Applied,
}

/// How a release is taken away.
pub struct Uninstall {
    /// Its records stay.
    pub keep_history: bool,
    /// Hooks do not run.
    pub no_hooks: bool,
    /// Return only when all is gone.
    pub wait: bool,
    /// `Background`, `Foreground` or `Orphan`.
    pub propagation: &'static str,
    /// How long each step may take.
    pub timeout: Duration,
    /// What the record says.
    pub description: String,
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

/// Whether a name can be installed under.
///
/// # Errors
/// When it is in use, or somebody is at work on it.
pub async fn check_free(cluster: &Cluster, name: &str, replace: bool) -> Result<(), HelmError> {
    let history = Store::new(cluster).history(name).await?;
    match history.last().map(|last| last.info.status) {
        None => Ok(()),
        Some(Status::Uninstalled | Status::Failed) if replace => Ok(()),
        // What was being installed when its worker ended never came into force: it is gone on from.
        Some(Status::PendingInstall) if !is_held(cluster, name, history.last()).await => Ok(()),
        Some(_) => Err(HelmError::ReuseName),
    }
}

/// A pending record of Helm's names no worker; its worker counts as there for so long.
const HELD: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

async fn is_held(cluster: &Cluster, name: &str, release: Option<&Release>) -> bool {
    match worker(cluster, name).await {
        Worker::AtWork => true,
        Worker::Gone => false,
        Worker::Unknown => {
            let begun = release.and_then(|release| release.info.last_deployed.parse::<jiff::Timestamp>().ok());
            begun.is_some_and(|begun| jiff::Timestamp::now().duration_since(begun) < HELD)
        }
    }
}

async fn settle(cluster: &Cluster, objects: &[Json], how: &Applied) -> Result<(), HelmError> {
    if !how.wait {
        return Ok(());
    }
    let until = if how.wait_for_jobs { Until::Done } else { Until::Ready };
    wait(cluster, objects, until, how.timeout).await
}

fn describe(how: &Applied, otherwise: &str) -> String {
    if how.description.is_empty() { otherwise.to_owned() } else { how.description.clone() }
}

/// Installs a release.
///
/// # Errors
/// When the name is in use, an object is somebody else's, or a step fails.
pub async fn install(cluster: &Cluster, wish: Wish<'_>) -> Result<Release, HelmError> {
    hold(cluster, wish.name, install_held(cluster, wish)).await
}

async fn install_held(cluster: &Cluster, wish: Wish<'_>) -> Result<Release, HelmError> {
    let Wish { name, rendered, config, labels, how } = wish;
    let store = Store::new(cluster);
    let history = store.history(name).await?;
    let server_side = how.server_side.unwrap_or(true);
    let objects = marked(&rendered.manifest, name, &cluster.namespace)?;
    if !how.take_ownership {
        check_adoption(cluster, &objects, name, "install").await?;
    }
    let mut release = Release {
        name: name.to_owned(),
        info: Info {
            first_deployed: now(),
            last_deployed: now(),
            description: "Initial install underway".to_owned(),
            status: Status::PendingInstall,
            notes: rendered.notes.clone(),
            ..Info::default()
        },
        chart: release::chart_record(&rendered.chart),
        config,
        manifest: rendered.manifest.clone(),
        hooks: rendered.hooks.clone(),
        version: history.last().map_or(1, |last| last.version + 1),
        namespace: cluster.namespace.clone(),
        apply_method: if server_side { Apply::Server } else { Apply::Client },
        labels,
    };
    if let Some(mut last) = history.into_iter().last() {
        last.info.status = if last.info.status.is_pending() { Status::Failed } else { Status::Superseded };
        store.update(&last).await?;
    }
    if !store.create(&release).await? {
        return Err(HelmError::InProgress);
    }
    let done = bring_in(cluster, &mut release, &objects, &how, (HookEvent::PreInstall, HookEvent::PostInstall)).await;
    if let Err(error) = done {
        release.info.status = Status::Failed;
        release.info.description = format!("Release {name:?} failed: {error}");
        store.update(&release).await?;
        if how.undo {
            let away = Uninstall {
                keep_history: false,
                no_hooks: how.no_hooks,
                wait: how.wait,
                propagation: "Background",
                timeout: how.timeout,
                description: String::new(),
            };
            uninstall(cluster, name, &away).await?;
            return Err(HelmError::Undone { name: name.to_owned(), undone: "uninstalled", why: error.to_string() });
        }
        return Err(error);
    }
    release.info.status = Status::Deployed;
    release.info.description = describe(&how, "Install complete");
    store.update(&release).await?;
    Ok(release)
}

async fn bring_in(
    cluster: &Cluster,
    release: &mut Release,
    objects: &[Json],
    how: &Applied,
    events: (HookEvent, HookEvent),
) -> Result<(), HelmError> {
    if !how.no_hooks {
        hooks::run(cluster, release, events.0, how.timeout).await?;
    }
    apply_all(cluster, &[], objects, how, release.apply_method == Apply::Server).await?;
    settle(cluster, objects, how).await?;
    if !how.no_hooks {
        hooks::run(cluster, release, events.1, how.timeout).await?;
    }
    Ok(())
}

/// The history of a release, an interrupted end of it marked as failed; and the revision that the next one replaces.
async fn open(cluster: &Cluster, name: &str) -> Result<(Vec<Release>, Release), HelmError> {
    let store = Store::new(cluster);
    let mut history = store.history(name).await?;
    let held = is_held(cluster, name, history.last()).await;
    match release::recovery(&history, |_| held) {
        Recovery::None => {}
        Recovery::InProgress(_) => return Err(HelmError::InProgress),
        Recovery::Resume { failed, .. } => {
            for release in history.iter_mut().filter(|it| it.version == failed.revision) {
                release.info.status = Status::Failed;
                release.info.description = format!("Interrupted: {} was never ended", failed.status.name());
                store.update(release).await?;
            }
        }
    }
    let last = history.last().ok_or_else(|| HelmError::FindDeployed(name.to_owned()))?;
    let in_force = history.iter().rev().find(|it| it.info.status == Status::Deployed);
    let usable = matches!(last.info.status, Status::Failed | Status::Superseded | Status::Deployed);
    let current = in_force.or(usable.then_some(last)).cloned();
    let current = current.ok_or_else(|| HelmError::FindDeployed(name.to_owned()))?;
    Ok((history, current))
}

/// Upgrades a release.
///
/// # Errors
/// When there is none, somebody is at work on it, an object is somebody else's, or a step fails.
pub async fn upgrade(cluster: &Cluster, wish: Wish<'_>) -> Result<Release, HelmError> {
    let Wish { name, rendered, config, labels, how } = wish;
    let (history, current) = open(cluster, name).await?;
    let last = history.last().cloned().unwrap_or_default();
    let server_side = how.server_side.unwrap_or(last.apply_method == Apply::Server);
    let mut all_labels = last.labels.clone();
    all_labels.extend(labels);
    let release = Release {
        name: name.to_owned(),
        info: Info {
            first_deployed: current.info.first_deployed.clone(),
            last_deployed: now(),
            description: "Preparing upgrade".to_owned(),
            status: Status::PendingUpgrade,
            notes: rendered.notes.clone(),
            ..Info::default()
        },
        chart: release::chart_record(&rendered.chart),
        config,
        manifest: rendered.manifest.clone(),
        hooks: rendered.hooks.clone(),
        version: last.version + 1,
        namespace: cluster.namespace.clone(),
        apply_method: if server_side { Apply::Server } else { Apply::Client },
        labels: all_labels,
    };
    let events = (HookEvent::PreUpgrade, HookEvent::PostUpgrade);
    replace(cluster, history, current, release, &how, events, "Upgrade complete").await
}

/// Rolls a release back.
///
/// # Errors
/// When there is no such revision, somebody is at work on it, or a step fails.
pub async fn rollback(cluster: &Cluster, name: &str, wish: &Rollback) -> Result<Release, HelmError> {
    let (history, current) = open(cluster, name).await?;
    let last = history.last().cloned().unwrap_or_default();
    let wanted = if wish.revision == 0 { last.version - 1 } else { wish.revision };
    let found = history.iter().find(|it| it.version == wanted);
    let target = found.ok_or(HelmError::FindRevision(wanted))?.clone();
    let server_side = wish.how.server_side.unwrap_or(target.apply_method == Apply::Server);
    let release = Release {
        info: Info {
            first_deployed: last.info.first_deployed.clone(),
            last_deployed: now(),
            status: Status::PendingRollback,
            description: describe(&wish.how, &format!("Rollback to {wanted}")),
            notes: target.info.notes.clone(),
            rollback_revision: wanted,
            ..Info::default()
        },
        version: last.version + 1,
        apply_method: if server_side { Apply::Server } else { Apply::Client },
        ..target
    };
    let said = format!("Rollback to {wanted}");
    let events = (HookEvent::PreRollback, HookEvent::PostRollback);
    replace(cluster, history, current, release, &wish.how, events, &said).await
}

async fn replace(
    cluster: &Cluster,
    history: Vec<Release>,
    current: Release,
    mut release: Release,
    how: &Applied,
    events: (HookEvent, HookEvent),
    said: &str,
) -> Result<Release, HelmError> {
    let store = Store::new(cluster);
    let name = release.name.clone();
    let old = objects(&current.manifest)?;
    let new = marked(&release.manifest, &name, &cluster.namespace)?;
    if !how.take_ownership {
        let known = |it: &&Json| !old.iter().any(|old| key(cluster, old) == key(cluster, it));
        let made: Vec<Json> = new.iter().filter(known).cloned().collect();
        check_adoption(cluster, &made, &name, "update").await?;
    }
    for revision in release::pruned(&history, how.history_max) {
        for gone in history.iter().filter(|it| it.version == revision) {
            store.delete(gone).await?;
        }
    }
    if !store.create(&release).await? {
        return Err(HelmError::InProgress);
    }
    let done = hold(cluster, &name, exchange(cluster, &mut release, &old, &new, how, events)).await;
    if let Err(error) = done {
        release.info.status = Status::Failed;
        let what = if events.0 == HookEvent::PreRollback { "Rollback" } else { "Upgrade" };
        release.info.description = format!("{what} {name:?} failed: {error}");
        store.update(&release).await?;
        if how.undo && events.0 == HookEvent::PreUpgrade {
            let back = Rollback { revision: current.version, how: Applied { undo: false, ..how.clone() } };
            Box::pin(rollback(cluster, &name, &back)).await?;
            return Err(HelmError::Undone { name, undone: "rolled back", why: error.to_string() });
        }
        return Err(error);
    }
    for mut before in history.into_iter().filter(|it| it.info.status == Status::Deployed) {
        before.info.status = Status::Superseded;
        store.update(&before).await?;
    }
    release.info.status = Status::Deployed;
    release.info.description = describe(how, said);
    store.update(&release).await?;
    Ok(release)
}

async fn exchange(
    cluster: &Cluster,
    release: &mut Release,
    old: &[Json],
    new: &[Json],
    how: &Applied,
    events: (HookEvent, HookEvent),
) -> Result<(), HelmError> {
    if !how.no_hooks {
        hooks::run(cluster, release, events.0, how.timeout).await?;
    }
    apply_all(cluster, old, new, how, release.apply_method == Apply::Server).await?;
    settle(cluster, new, how).await?;
    if !how.no_hooks {
        hooks::run(cluster, release, events.1, how.timeout).await?;
    }
    Ok(())
}

/// Takes a release away; says what was kept by its policy.
///
/// # Errors
/// When there is none, or a step fails.
pub async fn uninstall(cluster: &Cluster, name: &str, wish: &Uninstall) -> Result<String, HelmError> {
    let store = Store::new(cluster);
    let history = store.history(name).await?;
    let Some(mut release) = history.last().cloned() else { return Err(HelmError::FindRelease) };
    if release.info.status == Status::Uninstalled {
        if wish.keep_history {
            return Err(HelmError::AlreadyDeleted(name.to_owned()));
        }
        return forget(&store, &history).await.map(|()| String::new());
    }
    release.info.status = Status::Uninstalling;
    release.info.deleted = now();
    release.info.description = "Deletion in progress (or silently failed)".to_owned();
    if !wish.no_hooks {
        hooks::run(cluster, &mut release, HookEvent::PreDelete, wish.timeout).await?;
    }
    store.update(&release).await?;
    let kept = take_away(cluster, &release, wish).await?;
    if !wish.no_hooks {
        hooks::run(cluster, &mut release, HookEvent::PostDelete, wish.timeout).await?;
    }
    release.info.status = Status::Uninstalled;
    release.info.description =
        if wish.description.is_empty() { "Uninstallation complete".to_owned() } else { wish.description.clone() };
    if wish.keep_history {
        store.update(&release).await?;
    } else {
        forget(&store, &history).await?;
    }
    Ok(kept)
}

async fn forget(store: &Store<'_>, history: &[Release]) -> Result<(), HelmError> {
    for release in history {
        store.delete(release).await?;
    }
    Ok(())
}

/// Runs a release's tests.
///
/// # Errors
/// When there is none, or a test fails; what came of them stands in the record either way.
pub async fn run_tests(
    cluster: &Cluster,
    name: &str,
    timeout: Duration,
    chosen: impl Fn(&Hook) -> bool,
) -> Result<Release, (Option<Box<Release>>, HelmError)> {
    let store = Store::new(cluster);
    let history = store.history(name).await.map_err(|error| (None, error.into()))?;
    let Some(mut release) = history.last().cloned() else { return Err((None, HelmError::FindRelease)) };
    let (run, left): (Vec<Hook>, Vec<Hook>) =
        release.hooks.drain(..).partition(|hook| !hook.events.contains(&HookEvent::Test) || chosen(hook));
    release.hooks = run;
    let done = hooks::run(cluster, &mut release, HookEvent::Test, timeout).await;
    release.hooks.extend(left);
    store.update(&release).await.map_err(|error| (None, error.into()))?;
    match done {
        Ok(()) => Ok(release),
        Err(error) => Err((Some(Box::new(release)), error)),
    }
}
