//! Install, upgrade, rollback, uninstall: the steps in Helm's order, each recorded before the next begins, so that
//! whatever is interrupted is seen in the history and gone on from. It never renders.

mod exchange;
mod history;
mod install;
mod objects;
mod remove;

use std::time::Duration;

use chart::release::{self, Apply, Hook, HookEvent, Info, Release, Status};
use chart::template::Rendered;
use serde_json::{Map, Value as Json};

pub use self::exchange::{rollback, upgrade};
pub use self::install::{check_free, install};
pub(super) use self::objects::make;
pub use self::objects::resources;
pub use self::remove::uninstall;
use super::cluster::Cluster;
use super::readiness::Until;
use super::ready::wait;
use super::store::Store;
use super::{HelmError, hooks};

/// How a release is brought into force.
#[derive(Clone, Debug)]
pub struct Applied {
    /// By the server, not merged here; nothing means as the last revision was.
    pub server_side: Option<bool>,
    /// Fields are taken over from other managers.
    pub force_conflicts: bool,
    /// Only look whether it can be.
    pub dry: bool,
    /// Objects are written over, not merged.
    pub force_replace: bool,
    /// What a failed change made is deleted.
    pub cleanup: bool,
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

/// What was left of a release.
#[derive(Debug, Default)]
pub struct Taken {
    /// A text on what was kept.
    pub kept: String,
    /// Kinds, names and namespaces of objects that are not its own.
    pub foreign: Vec<(String, String, String)>,
}

/// How a release is taken away.
pub struct Uninstall {
    /// Its records stay.
    pub keep_history: bool,
    /// Only say what would be kept.
    pub dry: bool,
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

fn describe(how: &Applied, otherwise: &str) -> String {
    if how.description.is_empty() { otherwise.to_owned() } else { how.description.clone() }
}

async fn settle(cluster: &Cluster, objects: &[Json], how: &Applied) -> Result<(), HelmError> {
    if !how.wait {
        return Ok(());
    }
    let until = if how.wait_for_jobs { Until::Done } else { Until::Ready };
    wait(cluster, objects, until, how.timeout).await
}

impl Wish<'_> {
    /// The record of it; its revision, its method and its labels are still to be said.
    #[must_use]
    pub fn record(&self, namespace: &str, status: Status, description: &str) -> Release {
        let now = now();
        Release {
            name: self.name.to_owned(),
            info: Info {
                first_deployed: now.clone(),
                last_deployed: now,
                description: description.to_owned(),
                status,
                notes: self.rendered.notes.clone(),
                ..Info::default()
            },
            chart: release::chart_record(&self.rendered.chart),
            config: self.config.clone(),
            manifest: self.rendered.manifest.clone(),
            hooks: self.rendered.hooks.clone(),
            version: 1,
            namespace: namespace.to_owned(),
            labels: self.labels.clone(),
            ..Release::default()
        }
    }
}

/// How a release's tests went.
pub struct Tested {
    /// The release, with their outcomes.
    pub release: Release,
    /// Why they are not all good.
    pub failure: Option<HelmError>,
    left: Vec<Hook>,
}

/// Runs a release's tests; what came of them stands in the record either way.
///
/// # Errors
/// When there is no such release.
pub async fn run_tests(
    cluster: &Cluster,
    name: &str,
    timeout: Duration,
    chosen: &dyn Fn(&Hook) -> bool,
) -> Result<Tested, HelmError> {
    let store = Store::new(cluster);
    let history = store.history(name).await?;
    let Some(mut release) = history.last().cloned() else { return Err(HelmError::FindRelease) };
    let (run, skipped): (Vec<Hook>, Vec<Hook>) = release.hooks.drain(..).partition(chosen);
    release.hooks = run;
    let server_side = release.apply_method == Apply::Server;
    let ran = hooks::execute(cluster, &mut release, HookEvent::Test, timeout, server_side).await;
    release.hooks.splice(0..0, skipped);
    store.update(&release).await?;
    let (left, failure) = match ran {
        Ok(left) => (left, None),
        Err((left, error)) => (left, Some(error)),
    };
    Ok(Tested { release, failure, left })
}

/// Takes away what the tests leave by their policies; until then it can be looked at.
///
/// # Errors
/// When something does not go.
pub async fn clean_up(cluster: &Cluster, tested: &Tested, timeout: Duration) -> Result<(), HelmError> {
    hooks::clean_up(cluster, &tested.left, timeout).await
}
